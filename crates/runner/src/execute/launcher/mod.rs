//! Where jobs run: in processes of this machine, or of others.

mod local;
mod sharing;
pub(crate) mod slurm;

pub(crate) use local::{Limits, Local};
pub(crate) use slurm::{Slurm, SlurmSettings};

use super::{Job, Token};
use crate::Error;
use record::RunId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which launcher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LauncherKind {
    /// Processes of this machine.
    Local,
    /// Tasks of a Slurm cluster; this is its login node.
    Slurm,
}

/// Starts jobs, each in a process of its own, and tells when they have ended.
pub(crate) trait Launcher {
    /// Jobs that it takes now.
    fn room(&mut self) -> usize;

    /// The job about `run` that continues since an earlier process started it, if one does.
    fn running(&mut self, run: &RunId) -> Option<Token> {
        let _ = run;
        None
    }

    /// Starts jobs, as many as there was room for.
    ///
    /// # Errors
    /// If none can be started at all.
    fn launch(&mut self, jobs: &[Job]) -> Result<(), Error>;

    /// Jobs that have ended since it was asked last, by their tokens.
    ///
    /// # Errors
    /// If that cannot be found out.
    fn ended(&mut self) -> Result<Vec<(Token, End)>, Error>;

    /// Asks every job to stop soon, so that it can continue later; or leaves it to itself, where it does not depend on
    /// this process.
    fn stop(&mut self);
}

/// What a reason not to train concerns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Scope {
    /// This run alone: its folder cannot be used, or another process works in it.
    Run,
    /// Every run: the disk is full, data or a device is missing.
    #[default]
    Sweep,
}

/// How a job's process ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "end", rename_all = "snake_case")]
pub(crate) enum End {
    /// It says that it has done what it was told: the record is there.
    Done,
    /// It stopped because it was told to.
    Stopped,
    /// It was told to stop before its turn came.
    NotStarted,
    /// It is gone without a word, perhaps before its turn came.
    Lost {
        /// In words.
        reason: String,
    },
    /// It could not do its work, and would not the next time.
    Refused {
        /// In words.
        reason: String,
        /// What that concerns.
        #[serde(default)]
        scope: Scope,
    },
    /// It died.
    Died {
        /// In words.
        reason: String,
        /// Whether it may go well the next time.
        again: bool,
    },
}
