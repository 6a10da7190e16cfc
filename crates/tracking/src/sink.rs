use crate::Event;
use record::RunDir;
use std::time::Duration;

/// Takes the events of one run.
pub trait Sink: Send {
    /// Takes an event, in the order of the run. An event that was refused is offered again.
    ///
    /// # Errors
    /// If it cannot be taken now, or never.
    fn take(&mut self, event: &Event) -> Result<(), Fault>;

    /// Whether it has room for another event.
    fn has_room(&self) -> bool {
        true
    }

    /// How much was handed over: the more it is, the further has the run come. What a turn has handed over counts, even if
    /// the turn ends with a fault.
    fn taken(&self) -> u64 {
        0
    }

    /// Hands over what was taken, if it is time to. Returns whether everything is handed over; where it is
    /// not, this is called again. After [`Event::End`] there is nothing to wait for.
    ///
    /// # Errors
    /// If it cannot be handed over now, or never. What was taken is kept.
    fn flush(&mut self) -> Result<bool, Fault>;
}

/// Why a sink did not do as it was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It may work later for this run: the server is busy, the disk is full.
    Later {
        /// What happened.
        reason: String,
        /// How long the server asks to be left alone.
        wait: Option<Duration>,
    },
    /// It works for no run now, and may later: the server cannot be reached.
    Away {
        /// What happened.
        reason: String,
        /// How long the server asks to be left alone.
        wait: Option<Duration>,
    },
    /// It will not work for this run.
    Run(String),
    /// The run was handed over to its end, but for files that are not taken.
    Files(String),
    /// It will not work for any run: a wrong key.
    Sink(String),
}

impl Fault {
    /// A fault that may pass.
    pub(crate) fn later(reason: impl ToString) -> Self {
        Self::Later { reason: reason.to_string(), wait: None }
    }

    /// That of a run whose measurements have arrived, and `files` have not.
    pub(crate) fn of_files(files: &[String]) -> Self {
        let files = files.join(", ");
        Self::Files(format!(
            "the server did not take these files: {files}; all that was measured has arrived, and the files are in the folder"
        ))
    }

    /// That of a note which cannot be written beside a run. One in a folder that is for reading alone never can.
    pub(crate) fn of_note(error: &record::Error) -> Self {
        use std::io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
        let record::Error::Io { source, path, .. } = error else { return Self::later(error) };
        // Without the folder: many runs have the same fault.
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let reason = format!("{name} cannot be written beside the record: {source}");
        if matches!(source.kind(), PermissionDenied | ReadOnlyFilesystem) {
            Self::Run(reason)
        } else {
            Self::later(reason)
        }
    }
}

/// Opens a sink for the run in a folder.
pub type Open = Box<dyn FnMut(&RunDir) -> Result<Box<dyn Sink>, Fault> + Send>;

/// How often a sink hears of runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Time between two looks at a record.
    pub tick: Duration,
    /// First wait after a fault; it doubles with each one that follows.
    pub first_wait: Duration,
    /// Longest wait between tries.
    pub longest_wait: Duration,
    /// Least time between two requests with lines of a run.
    pub interval: Duration,
    /// After so long without a line, a sign of life.
    pub heartbeat: Duration,
    /// Longest time that a request may take.
    pub timeout: Duration,
    /// Longest time at the end for which a run may wait until its sink works again.
    pub patience: Duration,
}

impl Pace {
    /// For a sink that writes files: a folder that cannot be written seldom changes while the program waits.
    pub(crate) fn of_files(self) -> Self {
        Self { patience: Duration::from_secs(2), ..self }
    }
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            tick: Duration::from_millis(500),
            first_wait: Duration::from_secs(1),
            longest_wait: Duration::from_secs(60),
            interval: Duration::from_secs(5),
            heartbeat: Duration::from_secs(30),
            timeout: Duration::from_secs(20),
            patience: Duration::from_secs(60),
        }
    }
}

/// A kind of sink: how to open one for a run, and what takes its place where it fails for good.
pub struct Target {
    /// What users call it.
    pub name: &'static str,
    /// How often it hears of runs.
    pub pace: Pace,
    /// Runs that it takes at the same time: more than one where a run may keep it waiting.
    pub lanes: usize,
    /// Opens a sink.
    pub open: Open,
    /// Opens what is used instead where a fault is final, or where events are left at the end.
    pub fallback: Option<Open>,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Target").field("name", &self.name).finish_non_exhaustive()
    }
}
