use crate::Request;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::time::Duration;

/// What goes wrong with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// An answer of another kind; nothing was done.
    Status {
        /// Its code.
        code: u16,
        /// Its header `Retry-After`, in seconds.
        retry_after: Option<u64>,
    },
    /// The connection ends before anything was done.
    CloseUnread,
    /// It was done, and the connection ends before the answer.
    LoseAnswer,
    /// It was done, and the connection ends in the middle of the answer.
    BreakAnswer,
    /// Nothing for so long, and then the connection ends; nothing was done.
    Hang(Duration),
    /// It is done after so long.
    Slow(Duration),
    /// It was done, and the answer is another's.
    Garbage,
    /// It was done, and the answer is empty.
    NoData,
    /// An answer of GraphQL that names an error, with an escape sequence in it; nothing was done.
    Errors,
}

/// Says what goes wrong with the next request.
pub trait Plan: Send {
    /// The fault of `request`, if any.
    fn next(&mut self, request: &Request) -> Option<Fault>;
}

impl<F: FnMut(&Request) -> Option<Fault> + Send> Plan for F {
    fn next(&mut self, request: &Request) -> Option<Fault> {
        self(request)
    }
}

/// Nothing goes wrong.
#[must_use]
pub fn calm() -> impl Plan {
    |_: &Request| None
}

/// Faults of every kind by chance, the same for the same seed and order of requests.
#[derive(Debug)]
pub struct Seeded {
    random: ChaCha8Rng,
    /// Share of requests with a fault.
    share: f64,
    /// Longer than a client waits.
    hang: Duration,
}

impl Seeded {
    /// Faults in a part `share` of requests; `hang` is longer than the client waits.
    #[must_use]
    pub fn new(seed: u64, share: f64, hang: Duration) -> Self {
        Self { random: ChaCha8Rng::seed_from_u64(seed), share, hang }
    }

    /// Every kind of fault that may pass.
    #[must_use]
    pub fn kinds(hang: Duration) -> Vec<Fault> {
        let status = |code, retry_after| Fault::Status { code, retry_after };
        vec![
            status(429, Some(0)),
            status(429, None),
            status(500, None),
            status(502, None),
            status(503, Some(0)),
            status(504, None),
            status(408, None),
            Fault::CloseUnread,
            Fault::LoseAnswer,
            Fault::BreakAnswer,
            Fault::Hang(hang),
            Fault::Slow(hang / 8),
        ]
    }
}

impl Plan for Seeded {
    fn next(&mut self, _: &Request) -> Option<Fault> {
        let kinds = Self::kinds(self.hang);
        let faulty = self.random.random_bool(self.share);
        let kind = self.random.random_range(0..kinds.len());
        faulty.then(|| kinds[kind])
    }
}
