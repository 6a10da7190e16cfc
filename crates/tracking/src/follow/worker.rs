//! What follows the runs for one kind of sink, and decides whose turn it is and what comes of a fault.

use super::track::{GivenWarnings, Progress, Track, Trouble, lane};
use super::{Arrival, Closing, Leftover, Returned, Shared};
use crate::sink::{Fault, Open, Pace, Target};
use crate::source::Source;
use crate::{Notice, printable};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Longest time between two looks when no further run comes.
const CLOSING_TICK: Duration = Duration::from_millis(20);

/// The thread of one kind of sink. Runs have their turns on lanes beside it, so that one whose request hangs
/// keeps no other waiting.
pub(super) struct Worker {
    target: Target,
    shared: Arc<Shared>,
    notice: Notice,
    lanes: Sender<Track>,
    /// Runs that wait for their turn.
    tracks: Vec<Track>,
    /// Those that have it.
    flights: Vec<Flight>,
    /// Runs that are begun again while the one before has its turn.
    held: Vec<Box<dyn Source>>,
    /// How often the kind of sink was replaced.
    generation: u32,
    /// The server cannot be reached.
    away: Option<Away>,
    /// Since when nothing has worked for any run.
    stuck_since: Option<Instant>,
    /// What went wrong last.
    reason: String,
    given: GivenWarnings,
    closing: bool,
}

struct Flight {
    folder: PathBuf,
    /// It did not work the last time.
    faulty: bool,
    fallen: bool,
    /// It looks whether the server is back.
    probe: bool,
}

struct Away {
    faults: u32,
    retry_at: Instant,
    told: bool,
}

impl Worker {
    pub(super) fn new(
        target: Target,
        shared: Arc<Shared>,
        notice: Notice,
    ) -> std::io::Result<Self> {
        let (lanes, queue) = mpsc::channel();
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..target.lanes.max(1) {
            let (queue, shared) = (Arc::clone(&queue), Arc::clone(&shared));
            let thread = std::thread::Builder::new().name("tracking".into());
            thread.spawn(move || lane(&queue, &shared))?;
        }
        Ok(Self {
            target,
            shared,
            notice,
            lanes,
            tracks: Vec::new(),
            flights: Vec::new(),
            held: Vec::new(),
            generation: 0,
            away: None,
            stuck_since: None,
            reason: String::new(),
            given: GivenWarnings::default(),
            closing: false,
        })
    }

    pub(super) fn run(mut self) {
        loop {
            let (arrivals, returned, closing, mut abandon) = {
                let mut state = self.shared.state();
                let arrivals = std::mem::take(&mut state.arrivals);
                (arrivals, std::mem::take(&mut state.returned), state.closing, state.abandon)
            };
            for Arrival(source) in arrivals {
                self.accept(source);
            }
            for Returned(track, result) in returned {
                self.take_back(track, result);
            }
            let own = self.target.pace.patience;
            let closing =
                closing.map(|closing| Closing { patience: closing.patience.min(own), ..closing });
            if let Some(closing) = closing {
                self.close(&closing);
                abandon |= closing.is_over(self.stuck_since);
            }
            if !abandon {
                self.dispatch();
            } else if self.flights.is_empty() {
                self.abandon();
                return;
            }
            let idle = self.tracks.is_empty() && self.flights.is_empty();
            if closing.is_some() && idle && self.shared.state().arrivals.is_empty() {
                return;
            }
            self.wait();
        }
    }

    /// Waits until a run is due, or there are news.
    fn wait(&self) {
        let now = Instant::now();
        let tick = self.tick();
        let dues = self.tracks.iter().map(|track| track.due);
        let next = dues.chain(self.away.as_ref().map(|away| away.retry_at));
        // What is due already waits for a lane.
        let next = next.filter(|due| *due > now).min();
        let pause = next.map_or(tick, |due| due.saturating_duration_since(now).min(tick));
        let state = self.shared.state();
        if state.arrivals.is_empty() && state.returned.is_empty() {
            drop(self.shared.news.wait_timeout(state, pause));
        }
    }

    fn tick(&self) -> Duration {
        let tick = self.target.pace.tick;
        if self.closing { tick.min(CLOSING_TICK) } else { tick }
    }

    /// No further run comes: what is left is known, and waits for nothing.
    fn close(&mut self, closing: &Closing) {
        if !std::mem::replace(&mut self.closing, true) {
            for track in self.tracks.iter_mut().filter(|track| track.faults == 0) {
                track.due = Instant::now();
            }
        }
        while let Some(i) = self.tracks.iter().position(|track| closing.is_over(track.stuck_since))
        {
            let track = self.tracks.swap_remove(i);
            self.give_up(track);
        }
    }

    /// Gives runs that are due their turn, those that work first.
    fn dispatch(&mut self) {
        let now = Instant::now();
        if let Some(away) = &self.away
            && away.retry_at <= now
            && self.flights.iter().all(|flight| flight.fallen)
        {
            let known = self.tracks.iter().position(|track| track.away);
            let other = || self.tracks.iter().position(|track| !track.fallen);
            if let Some(i) = known.or_else(other) {
                self.launch(i, true);
            }
        }
        let lanes = self.target.lanes.max(1);
        while self.flights.len() < lanes {
            // Not all lanes are for those that keep them waiting.
            let faulty = self.flights.iter().filter(|flight| flight.faulty).count();
            let has_turn = |track: &Track| {
                track.due <= now
                    && (self.away.is_none() || track.fallen)
                    && (track.faults == 0 || faulty < lanes.div_ceil(2))
            };
            let due = self.tracks.iter().enumerate().filter(|(_, track)| has_turn(track));
            let first = due.min_by_key(|(_, track)| (track.faults > 0, track.due));
            let Some((i, _)) = first else { break };
            self.launch(i, false);
        }
    }

    fn launch(&mut self, i: usize, probe: bool) {
        let track = self.tracks.swap_remove(i);
        self.flights.push(Flight {
            folder: track.folder().to_owned(),
            faulty: track.faults > 0,
            fallen: track.fallen,
            probe,
        });
        // Lanes end when the sender does.
        let _ = self.lanes.send(track);
    }

    fn accept(&mut self, source: Box<dyn Source>) {
        let folder = source.folder().path();
        // A run that is begun again, or continues in another process, is told from its beginning.
        if let Some(before) = self.tracks.iter().position(|track| track.folder() == folder) {
            self.tracks.swap_remove(before);
            self.shared.state().open -= 1;
        }
        if self.flights.iter().any(|flight| flight.folder == folder) {
            let held = self.held.len();
            self.held.retain(|other| other.folder().path() != folder);
            self.shared.state().open -= held - self.held.len();
            self.held.push(source);
            return;
        }
        match (self.target.open)(source.folder()) {
            Ok(sink) => self.tracks.push(Track::new(source, sink, self.generation)),
            Err(fault) => {
                let damaged = matches!(fault, Fault::Run(_));
                self.lose(&*source, reason_of(fault), damaged);
            }
        }
    }

    /// A run has had its turn.
    fn take_back(&mut self, mut track: Track, result: Result<Progress, Trouble>) {
        let folder = track.folder().to_owned();
        let mut probe = false;
        self.flights.retain(|flight| {
            let mine = flight.folder == folder;
            probe |= mine && flight.probe;
            !mine
        });
        if probe && !matches!(result, Err(Trouble::Sink(Fault::Away { .. }))) {
            self.is_back(&mut track);
        }
        if let Some(i) = self.held.iter().position(|source| source.folder().path() == folder) {
            let source = self.held.swap_remove(i);
            self.shared.state().open -= 1;
            return self.accept(source);
        }
        if std::mem::take(&mut track.moved) {
            self.moved(&mut track);
        }
        let replaced = track.generation != self.generation && !track.fallen;
        match result {
            Ok(progress) => {
                self.worked(&mut track);
                match progress {
                    Progress::Done => self.shared.state().open -= 1,
                    _ if replaced => self.open_anew(track.source),
                    Progress::More => {
                        track.due = Instant::now();
                        self.tracks.push(track);
                    }
                    Progress::Idle => {
                        track.due = Instant::now() + self.tick();
                        self.tracks.push(track);
                    }
                }
            }
            Err(Trouble::Source(reason)) => {
                self.tell(&track, &reason);
                self.drop_track(&track, reason, true);
            }
            Err(Trouble::Sink(_)) if replaced => self.open_anew(track.source),
            Err(Trouble::Sink(Fault::Later { reason, wait })) => self.put_off(track, reason, wait),
            Err(Trouble::Sink(Fault::Away { reason, wait })) => self.go_away(track, reason, wait),
            Err(Trouble::Sink(Fault::Run(reason))) => {
                self.tell(&track, &reason);
                self.fall_back(track, reason);
            }
            Err(Trouble::Sink(Fault::Files(reason))) => {
                self.tell(&track, &reason);
                self.shared.state().open -= 1;
            }
            Err(Trouble::Sink(Fault::Sink(reason))) => {
                self.tracks.push(track);
                self.replace(&reason);
            }
        }
    }

    fn tell(&self, track: &Track, text: &str) {
        (self.notice)(&format!("{}: {}: {text}", self.target.name, track.folder().display()));
    }

    /// A turn of the run has worked.
    fn worked(&mut self, track: &mut Track) {
        if std::mem::take(&mut track.told) {
            self.tell(track, "works again");
        }
        self.moved(track);
    }

    /// A turn of the run has handed something over.
    fn moved(&mut self, track: &mut Track) {
        track.faults = 0;
        track.stuck_since = None;
        if !track.fallen && self.away.is_none() {
            self.stuck_since = None;
        }
    }

    /// The run is tried again later; the others continue.
    fn put_off(&mut self, mut track: Track, reason: String, wait: Option<Duration>) {
        if track.given.is_news(&reason) {
            track.told = true;
            self.tell(&track, &goes_on(&reason));
        }
        let now = Instant::now();
        // A server that asks for no time gets some all the same.
        track.due = now + self.pause(track.faults, track.folder()).max(wait.unwrap_or_default());
        track.faults = track.faults.saturating_add(1);
        track.stuck_since.get_or_insert(now);
        self.stuck_since.get_or_insert(now);
        self.reason.clone_from(&reason);
        track.reason = reason;
        self.tracks.push(track);
    }

    /// The server is not there: only this run asks it until it is.
    fn go_away(&mut self, mut track: Track, reason: String, wait: Option<Duration>) {
        let now = Instant::now();
        let faults = self.away.as_ref().map_or(0, |away| away.faults);
        // Others that were on their way say nothing new.
        if self.away.as_ref().is_none_or(|away| away.retry_at <= now) {
            let mut told = self.away.as_ref().is_some_and(|away| away.told);
            if self.given.is_news(&reason) && !told {
                told = true;
                (self.notice)(&format!("{}: {}", self.target.name, goes_on(&reason)));
            }
            let pause = self.pause(faults, track.folder());
            let retry_at = now + pause.max(wait.unwrap_or_default());
            self.away = Some(Away { faults: faults.saturating_add(1), retry_at, told });
        }
        self.stuck_since.get_or_insert(now);
        self.reason.clone_from(&reason);
        track.reason = reason;
        track.away = true;
        track.due = now;
        self.tracks.push(track);
    }

    /// The server has answered.
    fn is_back(&mut self, track: &mut Track) {
        if self.away.take().is_some_and(|away| away.told) {
            (self.notice)(&format!("{}: works again", self.target.name));
        }
        track.away = false;
        for track in &mut self.tracks {
            track.away = false;
        }
    }

    /// How long to wait after so many faults.
    fn pause(&self, faults: u32, folder: &Path) -> Duration {
        let Pace { first_wait, longest_wait, .. } = self.target.pace;
        let doubled = first_wait.saturating_mul(1 << faults.min(10)).min(longest_wait);
        // Many that were turned away together should not come back together.
        let name = folder.as_os_str().as_encoded_bytes();
        let sum = name.iter().fold(std::process::id(), |sum, byte| {
            sum.wrapping_mul(31).wrapping_add(u32::from(*byte))
        });
        doubled.mul_f64(0.75 + 0.5 * f64::from(sum % 64) / 64.0)
    }

    /// The sink will not work: every run goes to its fallback, from the beginning. One that has its turn
    /// follows when that is over.
    fn replace(&mut self, reason: &str) {
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
        reason.clone_into(&mut self.reason);
        self.target.open = instead.unwrap_or_else(|| refuse(reason.to_owned()));
        self.generation += 1;
        self.away = None;
        self.stuck_since = None;
        let (fallen, tracks) =
            std::mem::take(&mut self.tracks).into_iter().partition(|track| track.fallen);
        self.tracks = fallen;
        for track in tracks {
            self.open_anew(track.source);
        }
    }

    /// Opens the sink that there is now for a run that went to another.
    fn open_anew(&mut self, mut source: Box<dyn Source>) {
        source.rewind();
        self.accept(source);
    }

    /// The sink does not take this run: it goes to the fallback, from the beginning.
    fn fall_back(&mut self, mut track: Track, reason: String) {
        track.source.rewind();
        let folder = track.source.folder();
        let open = self.target.fallback.as_mut().filter(|_| !track.fallen);
        if let Some(Ok(sink)) = open.map(|open| open(folder)) {
            self.note(folder.path(), reason, true, false);
            let mut track = Track::new(track.source, sink, self.generation);
            track.fallen = true;
            self.tracks.push(track);
        } else {
            self.drop_track(&track, reason, false);
        }
    }

    fn drop_track(&mut self, track: &Track, reason: String, damaged: bool) {
        self.lose(&*track.source, reason, damaged);
    }

    /// The run is left as it is.
    fn lose(&mut self, source: &dyn Source, reason: String, damaged: bool) {
        self.note(source.folder().path(), reason, false, damaged);
        self.shared.state().open -= 1;
    }

    /// Remembers that the sink lacks the run in `folder`; the first reason counts.
    fn note(&self, folder: &Path, reason: String, saved: bool, damaged: bool) {
        let mut state = self.shared.state();
        if let Some(known) = state.leftovers.iter_mut().find(|left| left.folder == folder) {
            (known.saved, known.damaged) = (saved, known.damaged || damaged);
            return;
        }
        let (sink, folder) = (self.target.name, folder.to_owned());
        let reason = printable(&reason);
        state.leftovers.push(Leftover { sink, folder, reason, saved, damaged });
    }

    /// Leaves the run, but writes down what can be written.
    fn give_up(&mut self, mut track: Track) {
        let reason = std::mem::take(&mut track.reason);
        let reason = if reason.is_empty() { self.reason.clone() } else { reason };
        self.write_down(&mut *track.source, reason);
    }

    fn write_down(&mut self, source: &mut dyn Source, reason: String) {
        source.rewind();
        let saved = match &mut self.target.fallback {
            Some(open) => write_out(source, open),
            None => false,
        };
        let reason = if reason.is_empty() { "it was given up".to_owned() } else { reason };
        self.note(source.folder().path(), reason, saved, false);
        self.shared.state().open -= 1;
    }

    /// Leaves what is not handed over, but writes down what can be written.
    fn abandon(&mut self) {
        for track in std::mem::take(&mut self.tracks) {
            self.give_up(track);
        }
        let arrivals = std::mem::take(&mut self.shared.state().arrivals);
        let held = std::mem::take(&mut self.held);
        for mut source in held.into_iter().chain(arrivals.into_iter().map(|Arrival(source)| source))
        {
            self.write_down(&mut *source, self.reason.clone());
        }
    }
}

/// What users hear of a fault that may pass.
fn goes_on(reason: &str) -> String {
    format!("{reason}; it is tried again, and the record keeps what is measured")
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
        Fault::Later { reason, .. }
        | Fault::Away { reason, .. }
        | Fault::Run(reason)
        | Fault::Files(reason)
        | Fault::Sink(reason) => reason,
    }
}
