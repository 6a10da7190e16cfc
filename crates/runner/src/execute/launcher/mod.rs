//! Where jobs run: in processes of this machine, or of others.

mod local;

pub(crate) use local::{Limits, Local};

use super::Job;
use crate::Error;

/// Starts jobs, each in a process of its own, and tells when they have ended.
pub(crate) trait Launcher {
    /// Jobs that it takes now.
    fn room(&mut self) -> usize;

    /// Starts jobs, as many as there was room for.
    ///
    /// # Errors
    /// If none can be started at all.
    fn launch(&mut self, jobs: &[Job]) -> Result<(), Error>;

    /// Jobs that have ended since it was asked last, by their tokens.
    ///
    /// # Errors
    /// If that cannot be found out.
    fn ended(&mut self) -> Result<Vec<(String, End)>, Error>;

    /// Asks every job to stop soon, so that it can go on later.
    fn stop(&mut self);
}

/// How a job's process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// It says that it has done what it was told: the record is there.
    Done,
    /// It stopped because it was told to.
    Stopped,
    /// It could not do its work, and another would fare no better: nothing can be written, data is missing.
    Refused {
        /// In words.
        reason: String,
    },
    /// It died.
    Died {
        /// In words.
        reason: String,
        /// Whether it may go well the next time.
        again: bool,
    },
}
