//! Follows runs and hands their events to sinks, on threads of its own.

mod track;
mod worker;

use crate::sink::Target;
use crate::source::{Ending, RecordSource, Source};
use crate::{Notice, printing};
use record::RunDir;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use track::{Progress, Track, Trouble};
use worker::Worker;

/// Follows the runs of a sweep and hands their events to every sink. Training does not wait for a sink: each kind has
/// threads of its own that read records.
#[derive(Debug)]
pub struct Tracker {
    threads: Vec<Thread>,
}

/// What follows runs for one kind of sink.
#[derive(Debug)]
struct Thread {
    sink: &'static str,
    shared: Arc<Shared>,
    handle: JoinHandle<()>,
}

/// Tells the tracker that a run has ended; where it is dropped before, the run has failed.
#[derive(Debug)]
pub struct Following(Ending);

impl Drop for Following {
    fn drop(&mut self) {
        // Or the tracker would wait for ever for a run whose thread has panicked.
        self.0.end(1);
    }
}

impl Following {
    /// Nothing more is written to the run's record. 0 is the exit code of a run that went as it should, 130
    /// that of one that was interrupted.
    pub fn end(&self, exit_code: i32) {
        self.0.end(exit_code);
    }
}

/// A run that a sink did not get whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    /// The sink, as users call it.
    pub sink: &'static str,
    /// Folder of the run.
    pub folder: PathBuf,
    /// What stood in the way.
    pub reason: String,
    /// What takes the sink's place has the whole run.
    pub saved: bool,
    /// The run's own files are damaged: trying again does not help.
    pub damaged: bool,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    news: Condvar,
}

#[derive(Debug, Default)]
struct State {
    arrivals: Vec<Arrival>,
    returned: Vec<Returned>,
    /// No further run comes.
    closing: Option<Closing>,
    /// What is not handed over is left.
    abandon: bool,
    /// Runs that are not handed over whole.
    open: usize,
    leftovers: Vec<Leftover>,
}

#[derive(Debug, Clone, Copy)]
struct Closing {
    since: Instant,
    /// What does not work for so long is left.
    patience: Duration,
}

impl Closing {
    /// Whether what has not worked since `stuck_since` is left.
    fn is_over(&self, stuck_since: Option<Instant>) -> bool {
        stuck_since.is_some_and(|since| since.max(self.since).elapsed() >= self.patience)
    }
}

struct Arrival(Box<dyn Source>);

impl std::fmt::Debug for Arrival {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Arrival")
    }
}

/// A run that had its turn.
struct Returned(Track, Result<Progress, Trouble>);

impl std::fmt::Debug for Returned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Returned")
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Counts and lists: whole after every statement.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the thread another run to follow.
    fn hand(&self, source: Box<dyn Source>) {
        let mut state = self.state();
        state.open += 1;
        state.arrivals.push(Arrival(source));
        self.news.notify_all();
    }
}

impl Tracker {
    /// Starts the threads of each of `targets`. `notice` tells the user of faults and when they pass.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(targets: Vec<Target>, notice: &Notice) -> std::io::Result<Self> {
        let mut threads = Vec::new();
        for target in targets {
            let shared =
                Arc::new(Shared { state: Mutex::new(State::default()), news: Condvar::new() });
            let sink = target.name;
            let worker = Worker::new(target, Arc::clone(&shared), printing(notice))?;
            let thread = std::thread::Builder::new().name("tracking".into());
            threads.push(Thread { sink, shared, handle: thread.spawn(move || worker.run())? });
        }
        Ok(Self { threads })
    }

    /// Follows the run in `dir`, whose record has been begun.
    #[must_use]
    pub fn follow(&self, dir: &RunDir) -> Following {
        let ending = Ending::open();
        for thread in &self.threads {
            thread.shared.hand(Box::new(RecordSource::live(dir.clone(), ending.clone())));
        }
        Following(ending)
    }

    /// Hands over events from elsewhere; `source` makes them anew for each sink.
    pub fn send<S: Source + 'static>(&self, mut source: impl FnMut() -> S) {
        for thread in &self.threads {
            thread.shared.hand(Box::new(source()));
        }
    }

    /// Hands over events from elsewhere to the sink that users call `sink`, if it is there.
    pub fn send_to(&self, sink: &str, source: impl Source + 'static) {
        if let Some(thread) = self.threads.iter().find(|thread| thread.sink == sink) {
            thread.shared.hand(Box::new(source));
        }
    }

    /// Runs that are not handed over whole yet, over all sinks.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.threads.iter().map(|thread| thread.shared.state().open).sum()
    }

    /// Waits until every sink has everything. A run for which nothing works for `patience`, or that of its sink where that
    /// is shorter, is left, and all are where nothing works for any of them, or `give_up` says so: what a sink falls back
    /// on is written, and the runs are returned.
    pub fn finish(self, patience: Duration, give_up: &dyn Fn() -> bool) -> Vec<Leftover> {
        let closing = Closing { since: Instant::now(), patience };
        for Thread { shared, .. } in &self.threads {
            shared.state().closing = Some(closing);
            shared.news.notify_all();
        }
        while self.threads.iter().any(|thread| !thread.handle.is_finished()) {
            if give_up() {
                for Thread { shared, .. } in &self.threads {
                    shared.state().abandon = true;
                    shared.news.notify_all();
                }
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let mut leftovers = Vec::new();
        for Thread { sink, shared, handle } in self.threads {
            // A sink that panics must not take with it what others did.
            if handle.join().is_err() {
                let reason = "it panicked".to_owned();
                let folder = PathBuf::new();
                leftovers.push(Leftover { sink, folder, reason, saved: false, damaged: false });
            }
            leftovers.append(&mut shared.state().leftovers);
        }
        leftovers
    }
}
