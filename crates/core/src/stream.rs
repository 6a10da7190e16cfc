//! Named random streams.
//!
//! Every use of randomness draws from its own stream, which depends on the run's seed and on the
//! stream's name alone. Two runs that differ in their activation therefore start from the same
//! weights, see the same batches in the same order with the same augmentation, and drop the same
//! units, however many numbers another use has drawn.

use actlab_kernels::Dropout;
use rand::{Rng, RngExt, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

/// What `seed` and `name` alone decide.
fn digest(seed: u64, name: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(b"actlab stream");
    hash.update(seed.to_le_bytes());
    hash.update(name.as_bytes());
    hash.finalize().into()
}

/// A deterministic source of random numbers.
#[derive(Debug, Clone)]
pub struct Stream(ChaCha8Rng);

impl Stream {
    /// The stream called `name` of `seed`.
    #[must_use]
    pub fn new(seed: u64, name: &str) -> Self {
        Self(ChaCha8Rng::from_seed(digest(seed, name)))
    }

    /// How far it is, as text: equal for streams that have given as many numbers.
    #[must_use]
    pub fn position(&self) -> String {
        self.0.get_word_pos().to_string()
    }

    /// Goes to a position that [`Stream::position`] told; [`None`] where that is none.
    pub(crate) fn seek(&mut self, position: &str) -> Option<()> {
        self.0.set_word_pos(position.parse().ok()?);
        Some(())
    }

    /// A permutation of 0..n.
    #[must_use]
    pub fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        order.shuffle(&mut self.0);
        order
    }

    /// A whole number below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        self.0.random_range(0..n)
    }

    /// A fair coin.
    pub fn coin(&mut self) -> bool {
        self.0.next_u32() & 1 == 1
    }

    /// Numbers between minus and plus `bound`.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "weights are single precision")]
    pub fn uniform(&mut self, n: usize, bound: f64) -> Vec<f32> {
        (0..n).map(|_| (bound * (2.0 * self.0.random::<f64>() - 1.0)) as f32).collect()
    }

    /// Normal numbers with mean 0.
    #[must_use]
    pub fn normal(&mut self, n: usize, std: f64) -> Vec<f32> {
        self.normal_within(n, std, f64::INFINITY)
    }

    /// Normal numbers with mean 0, redrawn beyond two standard deviations (as in BERT).
    #[must_use]
    pub fn truncated_normal(&mut self, n: usize, std: f64) -> Vec<f32> {
        self.normal_within(n, std, 2.0)
    }

    #[expect(clippy::cast_possible_truncation, reason = "weights are single precision")]
    fn normal_within(&mut self, n: usize, std: f64, bound: f64) -> Vec<f32> {
        let mut numbers = Vec::with_capacity(n);
        while numbers.len() < n {
            let left = n - numbers.len();
            let pair = self.normal_pair().into_iter().filter(|z| z.abs() <= bound);
            numbers.extend(pair.take(left).map(|z| (z * std) as f32));
        }
        numbers
    }

    /// Two independent standard normal numbers, by the polar method (Marsaglia and Bray 1964). Its one function
    /// that is not exact in IEEE 754, the logarithm, is that of the `libm` crate: the same on every platform.
    fn normal_pair(&mut self) -> [f64; 2] {
        loop {
            // Uniform from −1 to 1, and both points in the unit circle.
            let [u, v] = [(); 2].map(|()| 2.0 * self.0.random::<f64>() - 1.0);
            let square = u * u + v * v;
            if square > 0.0 && square < 1.0 {
                let radius = (-2.0 * libm::log(square) / square).sqrt();
                return [u * radius, v * radius];
            }
        }
    }
}

/// Numbers the draws of a generator by counter, whose numbers depend on seed, name, draw and place: kernels draw them
/// where they need them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draws {
    key: u64,
    next: u64,
    /// The first example's place in the batch.
    first: usize,
}

impl Draws {
    /// The draws called `name` of `seed`.
    #[must_use]
    pub fn new(seed: u64, name: &str) -> Self {
        let [a, b, c, d, e, f, g, h, ..] = digest(seed, name);
        Self { key: u64::from_le_bytes([a, b, c, d, e, f, g, h]), next: 0, first: 0 }
    }

    /// The same draws for a part of the batch that begins with example `first`.
    #[must_use]
    pub(crate) fn of_part(&self, first: usize) -> Self {
        Self { first, ..self.clone() }
    }

    /// How many draws were made, as text.
    #[must_use]
    pub fn position(&self) -> String {
        self.next.to_string()
    }

    /// Goes to a position that [`Draws::position`] told; [`None`] where that is none.
    pub(crate) fn seek(&mut self, position: &str) -> Option<()> {
        self.next = position.parse().ok()?;
        Some(())
    }

    /// The next draw, for dropout with probability `p`.
    pub fn dropout(&mut self, p: f64) -> Dropout {
        let draw = self.next;
        self.next = draw.wrapping_add(1);
        Dropout { key: self.key, draw, p, first: self.first }
    }
}

#[cfg(test)]
mod tests {
    use super::{Draws, Stream};

    #[test]
    fn streams_depend_on_seed_and_name_alone() {
        let draw = |seed, name| Stream::new(seed, name).permutation(50);
        assert_eq!(draw(1, "order"), draw(1, "order"));
        assert_ne!(draw(1, "order"), draw(2, "order"));
        assert_ne!(draw(1, "order"), draw(1, "augmentation"));
    }

    #[test]
    fn distributions_have_their_moments() {
        let mut stream = Stream::new(0, "test");
        let normal = stream.normal(100_000, 2.0);
        let mean = normal.iter().map(|x| f64::from(*x)).sum::<f64>() / 1e5;
        let variance = normal.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / 1e5;
        assert!(mean.abs() < 0.03, "{mean}");
        assert!((variance - 4.0).abs() < 0.1, "{variance}");
        assert!(stream.truncated_normal(10_000, 1.0).iter().all(|x| x.abs() <= 2.0));
    }

    #[test]
    fn draws_continue_where_others_were() {
        let mut draws = Draws::new(1, "dropout");
        let first = draws.dropout(0.1);
        assert_ne!(draws.dropout(0.1), first);
        let mut others = Draws::new(1, "dropout");
        others.seek(&draws.position()).unwrap();
        assert_eq!(others.dropout(0.1), draws.dropout(0.1));
        for wrong in ["x", "-1", "18446744073709551616"] {
            assert_eq!(others.seek(wrong), None, "{wrong}");
        }
        assert_ne!(Draws::new(2, "dropout").dropout(0.1), first);
        assert_ne!(Draws::new(1, "other").dropout(0.1), first);
    }

    #[test]
    fn a_stream_goes_on_where_another_was() {
        let mut stream = Stream::new(1, "order");
        let _ = (stream.permutation(7), stream.coin(), stream.normal(3, 1.0));
        let mut other = Stream::new(1, "order");
        other.seek(&stream.position()).unwrap();
        assert_eq!(other.permutation(50), stream.permutation(50));
        assert_eq!(other.seek("x"), None);
    }

    /// Results on users' disks depend on these numbers: a new version of a library must not change them.
    #[test]
    fn the_numbers_are_stable() {
        let mut stream = Stream::new(7, "init/head.weight");
        assert_eq!(stream.permutation(8), [4, 2, 3, 7, 0, 5, 6, 1]);
        assert_eq!(stream.normal(3, 1.0), [-0.29958963, 0.12745118, -1.2997453]);
        assert_eq!(Draws::new(7, "dropout").dropout(0.5).key, 0x198b_9e32_176e_e8f6);
    }
}
