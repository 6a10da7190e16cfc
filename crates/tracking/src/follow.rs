//! Follows runs and hands their events to sinks, on threads of its own.

use crate::Notice;
use crate::event::Event;
use crate::sink::{Fault, Open, Pace, Sink, Target};
use crate::source::{Ending, RecordSource, Source};
use record::RunDir;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Events of one run that are handed over before it is the next one's turn.
const TURN: usize = 5_000;
/// Follows the runs of a sweep and hands their events to every sink. Nobody waits for a sink: each kind has
/// a thread of its own that reads records.
#[derive(Debug)]
pub struct Tracker {
    threads: Vec<(Arc<Shared>, JoinHandle<()>)>,
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
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    news: Condvar,
}

#[derive(Debug, Default)]
struct State {
    arrivals: Vec<Arrival>,
    /// No further run comes.
    closing: bool,
    /// What is not handed over is left.
    abandon: bool,
    /// Runs that are not handed over whole.
    open: usize,
    /// Since when nothing has worked.
    stuck_since: Option<Instant>,
    leftovers: Vec<Leftover>,
}

struct Arrival(Box<dyn Source>);

impl std::fmt::Debug for Arrival {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Arrival")
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
    /// Starts a thread for each of `targets`. `notice` tells the user of faults and when they pass.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(targets: Vec<Target>, notice: &Notice) -> std::io::Result<Self> {
        let mut threads = Vec::new();
        for target in targets {
            let shared =
                Arc::new(Shared { state: Mutex::new(State::default()), news: Condvar::new() });
            let worker = Worker::new(target, Arc::clone(&shared), Arc::clone(notice));
            let thread =
                std::thread::Builder::new().name("tracking".into()).spawn(move || worker.run())?;
            threads.push((shared, thread));
        }
        Ok(Self { threads })
    }

    /// Follows the run in `dir`, whose record has been begun.
    #[must_use]
    pub fn follow(&self, dir: &RunDir) -> Following {
        let ending = Ending::open();
        for (shared, _) in &self.threads {
            shared.hand(Box::new(RecordSource::live(dir.clone(), ending.clone())));
        }
        Following(ending)
    }

    /// Hands over events from elsewhere; `source` makes them anew for each sink.
    pub fn send<S: Source + 'static>(&self, mut source: impl FnMut() -> S) {
        for (shared, _) in &self.threads {
            shared.hand(Box::new(source()));
        }
    }

    /// Runs that are not handed over whole yet, over all sinks.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.threads.iter().map(|(shared, _)| shared.state().open).sum()
    }

    /// Waits until every sink has everything. Where nothing works for `patience`, or `give_up` says so, the
    /// rest is left: what a sink falls back on is written, and the runs are returned.
    pub fn finish(self, patience: Duration, give_up: &dyn Fn() -> bool) -> Vec<Leftover> {
        for (shared, _) in &self.threads {
            shared.state().closing = true;
            shared.news.notify_all();
        }
        let began = Instant::now();
        let mut leftovers = Vec::new();
        for (shared, thread) in self.threads {
            while !thread.is_finished() {
                let mut state = shared.state();
                let stuck = state.stuck_since.map(|since| since.max(began).elapsed());
                if give_up() || stuck.is_some_and(|stuck| stuck >= patience) {
                    state.abandon = true;
                    shared.news.notify_all();
                }
                drop(state);
                std::thread::sleep(Duration::from_millis(20));
            }
            // A sink that panics must not take with it what others did.
            if thread.join().is_err() {
                let mut state = shared.state();
                let sink = "a sink";
                let reason = "it panicked".to_owned();
                state.leftovers.push(Leftover {
                    sink,
                    folder: PathBuf::new(),
                    reason,
                    saved: false,
                });
            }
            leftovers.append(&mut shared.state().leftovers);
        }
        leftovers
    }
}

/// The thread of one kind of sink.
struct Worker {
    target: Target,
    shared: Arc<Shared>,
    notice: Notice,
    tracks: Vec<Track>,
    /// Faults in a row.
    faults: u32,
    retry_at: Option<Instant>,
    /// What went wrong last.
    reason: String,
}

/// A run on its way to a sink.
struct Track {
    source: Box<dyn Source>,
    sink: Box<dyn Sink>,
    /// An event that was refused.
    refused: Option<Event>,
    /// The last event is taken.
    ended: bool,
}

impl Track {
    /// Hands over what there is; true when that was all.
    fn advance(&mut self) -> Result<bool, Fault> {
        for _ in 0..TURN {
            if self.ended || !self.sink.has_room() {
                break;
            }
            let event = match self.refused.take() {
                Some(event) => event,
                None => match self.source.next().map_err(|error| Fault::Run(error.to_string()))? {
                    Some(event) => event,
                    None => break,
                },
            };
            if let Err(fault) = self.sink.take(&event) {
                self.refused = Some(event);
                return Err(fault);
            }
            self.ended = matches!(event, Event::End { .. });
        }
        Ok(self.sink.flush()? && self.ended)
    }
}

impl Worker {
    fn new(target: Target, shared: Arc<Shared>, notice: Notice) -> Self {
        Self {
            target,
            shared,
            notice,
            tracks: Vec::new(),
            faults: 0,
            retry_at: None,
            reason: String::new(),
        }
    }

    fn run(mut self) {
        loop {
            let (arrivals, closing, abandon) = {
                let mut state = self.shared.state();
                (std::mem::take(&mut state.arrivals), state.closing, state.abandon)
            };
            for Arrival(source) in arrivals {
                self.accept(source);
            }
            if abandon {
                self.abandon();
                return;
            }
            let waiting = self.retry_at.is_some_and(|at| at > Instant::now());
            let more = !waiting && self.round();
            if closing && self.tracks.is_empty() && self.shared.state().arrivals.is_empty() {
                return;
            }
            if !more {
                let state = self.shared.state();
                if state.arrivals.is_empty() && !state.abandon {
                    let tick = self.target.pace.tick;
                    let pause = match self.retry_at {
                        Some(at) => at.saturating_duration_since(Instant::now()).min(tick),
                        // What is left is known, and waits for nobody.
                        None if closing => tick.min(Duration::from_millis(20)),
                        None => tick,
                    };
                    drop(self.shared.news.wait_timeout(state, pause));
                }
            }
        }
    }

    fn accept(&mut self, source: Box<dyn Source>) {
        // A run that is begun again, or goes on in another process, is told from its beginning.
        if let Some(before) =
            self.tracks.iter().position(|track| track.source.folder() == source.folder())
        {
            self.tracks.swap_remove(before);
            self.shared.state().open -= 1;
        }
        match (self.target.open)(source.folder()) {
            Ok(sink) => self.tracks.push(Track { source, sink, refused: None, ended: false }),
            Err(fault) => self.lose(source, reason_of(fault)),
        }
    }

    /// One turn of every run; true where another should follow at once.
    fn round(&mut self) -> bool {
        let mut more = false;
        let mut i = 0;
        while i < self.tracks.len() {
            let track = &mut self.tracks[i];
            match track.advance() {
                Ok(done) => {
                    self.recovered();
                    let track = &self.tracks[i];
                    more |= !done && (track.ended || !track.sink.has_room());
                    if done {
                        self.tracks.swap_remove(i);
                        self.shared.state().open -= 1;
                    } else {
                        i += 1;
                    }
                }
                Err(Fault::Later { reason, wait }) => {
                    self.put_off(reason, wait);
                    // Another run goes first next time.
                    self.tracks.rotate_left(1);
                    return false;
                }
                Err(Fault::Run(reason)) => {
                    let track = self.tracks.swap_remove(i);
                    (self.notice)(&format!(
                        "{}: {}: {reason}",
                        self.target.name,
                        track.source.folder().path().display()
                    ));
                    self.fall_back(track.source, reason);
                }
                Err(Fault::Sink(reason)) => {
                    self.replace(&reason);
                    return true;
                }
            }
        }
        // A run that has more than one turn's worth, or a sink with something left to send.
        more
    }

    fn recovered(&mut self) {
        if self.faults > 0 {
            (self.notice)(&format!("{}: works again", self.target.name));
        }
        self.faults = 0;
        self.retry_at = None;
        self.shared.state().stuck_since = None;
    }

    fn put_off(&mut self, reason: String, wait: Option<Duration>) {
        if self.faults == 0 {
            (self.notice)(&format!(
                "{}: {reason}; training goes on, and what is measured is kept until it works again",
                self.target.name
            ));
        }
        let Pace { first_wait, longest_wait, .. } = self.target.pace;
        let doubled = first_wait.saturating_mul(1 << self.faults.min(10)).min(longest_wait);
        // Many who were turned away together should not come back together.
        let jitter = f64::from(std::process::id() % 64) / 64.0;
        let pause = wait.unwrap_or_else(|| doubled.mul_f64(0.75 + 0.5 * jitter));
        self.faults += 1;
        self.retry_at = Some(Instant::now() + pause);
        self.reason = reason;
        self.shared.state().stuck_since.get_or_insert_with(Instant::now);
    }

    /// The sink will not work: every run goes to its fallback, from the beginning.
    fn replace(&mut self, reason: &str) {
        let tracks = std::mem::take(&mut self.tracks);
        let instead = self.target.fallback.take();
        (self.notice)(&format!(
            "{}: {reason}{}",
            self.target.name,
            if instead.is_some() {
                "; runs are written to offline directories instead"
            } else {
                ""
            }
        ));
        let sources = tracks.into_iter().map(|track| track.source);
        if let Some(open) = instead {
            self.target.open = open;
            self.reason = reason.to_owned();
            for mut source in sources {
                source.rewind();
                self.accept(source);
            }
        } else {
            self.target.open = refuse(reason.to_owned());
            for source in sources {
                self.lose(source, reason.to_owned());
            }
        }
    }

    /// The sink does not take this run: it goes to the fallback, from the beginning.
    fn fall_back(&mut self, mut source: Box<dyn Source>, reason: String) {
        source.rewind();
        let sink = self.target.fallback.as_mut().map(|open| open(source.folder()));
        if let Some(Ok(sink)) = sink {
            self.note(&*source, reason, true);
            self.tracks.push(Track { source, sink, refused: None, ended: false });
        } else {
            self.lose(source, reason);
        }
    }

    /// The run is left as it is.
    fn lose(&mut self, source: Box<dyn Source>, reason: String) {
        self.note(&*source, reason, false);
        self.shared.state().open -= 1;
    }

    fn note(&self, source: &dyn Source, reason: String, saved: bool) {
        let folder = source.folder().path().to_owned();
        let sink = self.target.name;
        self.shared.state().leftovers.push(Leftover { sink, folder, reason, saved });
    }

    /// Leaves what is not handed over, but writes down what can be written.
    fn abandon(&mut self) {
        let arrivals = std::mem::take(&mut self.shared.state().arrivals);
        let sources = std::mem::take(&mut self.tracks).into_iter().map(|track| track.source);
        for mut source in sources.chain(arrivals.into_iter().map(|Arrival(source)| source)) {
            source.rewind();
            let saved = match &mut self.target.fallback {
                Some(open) => write_out(&mut *source, open),
                None => false,
            };
            let reason = if self.reason.is_empty() { "it was given up" } else { &self.reason };
            self.note(&*source, reason.to_owned(), saved);
            self.shared.state().open -= 1;
        }
    }
}

/// Hands everything that there is to a sink that `open` makes; whether it took all.
fn write_out(source: &mut dyn Source, open: &mut Open) -> bool {
    let Ok(mut sink) = open(source.folder()) else { return false };
    while let Ok(Some(event)) = source.next() {
        if sink.take(&event).is_err() {
            return false;
        }
    }
    sink.flush().is_ok()
}

fn refuse(reason: String) -> Open {
    Box::new(move |_| Err(Fault::Sink(reason.clone())))
}

fn reason_of(fault: Fault) -> String {
    match fault {
        Fault::Later { reason, .. } | Fault::Run(reason) | Fault::Sink(reason) => reason,
    }
}
