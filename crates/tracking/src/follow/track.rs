//! A run on its way to a sink: its turns, and what stands in their way.

use super::{Returned, Shared};
use crate::event::Event;
use crate::sink::{Fault, Sink};
use crate::source::Source;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::mpsc::Receiver;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Events of one run that are handed over before it is the next one's turn.
const TURN: usize = 5_000;
/// A fault that was told is not told again for so long.
const TOLD_FOR: Duration = Duration::from_secs(600);

/// A run on its way to a sink.
pub(super) struct Track {
    pub(super) source: Box<dyn Source>,
    pub(super) sink: Box<dyn Sink>,
    /// An event that was refused.
    pub(super) refused: Option<Event>,
    /// The last event is taken.
    pub(super) ended: bool,
    /// How often the kind of sink had been replaced when this one was opened.
    pub(super) generation: u32,
    /// The sink is what takes the place of one that refused the run.
    pub(super) fallen: bool,
    /// When it is looked at again.
    pub(super) due: Instant,
    /// Its last turn has handed something over, whatever came of it.
    pub(super) moved: bool,
    /// Faults in a row.
    pub(super) faults: u32,
    /// Since when nothing has worked.
    pub(super) stuck_since: Option<Instant>,
    /// What went wrong last.
    pub(super) reason: String,
    /// A fault was told that has not passed.
    pub(super) told: bool,
    /// It knows that the server is away.
    pub(super) away: bool,
    pub(super) given: GivenWarnings,
}

/// Faults that were told, and when.
#[derive(Debug, Default)]
pub(super) struct GivenWarnings(Vec<(String, Instant)>);

impl GivenWarnings {
    /// Whether `reason` is to be told: it is new, or long ago.
    pub(super) fn is_news(&mut self, reason: &str) -> bool {
        self.0.retain(|(_, when)| when.elapsed() < TOLD_FOR);
        let news = self.0.iter().all(|(known, _)| known != reason);
        if news {
            self.0.push((reason.to_owned(), Instant::now()));
        }
        news
    }
}

/// What came of a turn.
pub(super) enum Progress {
    /// The run is handed over.
    Done,
    /// Another turn should follow at once.
    More,
    /// What is there is handed over.
    Idle,
}

/// What stood in the way of a turn.
pub(super) enum Trouble {
    Sink(Fault),
    /// The run's own files are damaged.
    Source(String),
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        Self::Sink(fault)
    }
}

impl Track {
    pub(super) fn new(source: Box<dyn Source>, sink: Box<dyn Sink>, generation: u32) -> Self {
        Self {
            source,
            sink,
            refused: None,
            ended: false,
            generation,
            fallen: false,
            due: Instant::now(),
            moved: false,
            faults: 0,
            stuck_since: None,
            reason: String::new(),
            told: false,
            away: false,
            given: GivenWarnings::default(),
        }
    }

    pub(super) fn folder(&self) -> &Path {
        self.source.folder().path()
    }

    /// Hands over what there is.
    pub(super) fn advance(&mut self) -> Result<Progress, Trouble> {
        let before = self.sink.taken();
        let advanced = self.hand_over();
        self.moved = self.sink.taken() > before;
        advanced
    }

    fn hand_over(&mut self) -> Result<Progress, Trouble> {
        let mut events = 0;
        while events < TURN && !self.ended && self.sink.has_room() {
            let event = match self.refused.take() {
                Some(event) => event,
                None => match self.source.next() {
                    Ok(Some(event)) => event,
                    Ok(None) => break,
                    Err(error) => return Err(Trouble::Source(error.to_string())),
                },
            };
            if let Err(fault) = self.sink.take(&event) {
                self.refused = Some(event);
                return Err(fault.into());
            }
            self.ended = matches!(event, Event::End { .. });
            events += 1;
        }
        let flushed = self.sink.flush()?;
        Ok(if flushed && self.ended {
            Progress::Done
        } else if self.ended || events == TURN || !self.sink.has_room() {
            Progress::More
        } else {
            Progress::Idle
        })
    }
}

/// Gives runs their turns, until all senders are gone.
pub(super) fn lane(queue: &Mutex<Receiver<Track>>, shared: &Shared) {
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(mut track) = next else { return };
        let advanced = catch_unwind(AssertUnwindSafe(|| track.advance()));
        let result =
            advanced.unwrap_or_else(|_| Err(Fault::Run("its sink panicked".to_owned()).into()));
        shared.state().returned.push(Returned(track, result));
        shared.news.notify_all();
    }
}
