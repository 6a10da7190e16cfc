use std::path::{Path, PathBuf};

/// What ends the program without success.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The experiment is not one; says file, key, and what would be right.
    #[error("{0}")]
    Experiment(String),
    /// What was asked for on the command line makes no sense.
    #[error("{0}")]
    Usage(String),
    /// An activation cannot be built as asked for.
    #[error(transparent)]
    Activation(#[from] activation::BuildError),
    /// An activation is not written as one.
    #[error(transparent)]
    Syntax(#[from] activation::SyntaxError),
    /// Data, model or device.
    #[error(transparent)]
    Core(#[from] actlab_core::Error),
    /// A record cannot be read or written.
    #[error(transparent)]
    Record(#[from] record::Error),
    /// A report cannot be made.
    #[error(transparent)]
    Analysis(#[from] analysis::Error),
    /// The operating system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, as in "read".
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// Some runs failed; the others are recorded.
    #[error("{failed} of {runs} runs failed; the reasons are in the report")]
    RunsFailed {
        /// Runs that failed.
        failed: usize,
        /// Runs of the sweep.
        runs: usize,
    },
    /// A worker could not do its work, and another would fare no better.
    #[error("{label}: {reason}")]
    Worker {
        /// The run.
        label: String,
        /// What the worker said.
        reason: String,
    },
    /// A checkpoint does not fit the run.
    #[error("{0}")]
    Checkpoint(String),
    /// A run that was repeated gave other numbers.
    #[error("the run gave other numbers than its record has")]
    Differs,
    /// Some checks failed.
    #[error("{0} of the checks failed")]
    ChecksFailed(usize),
    /// What W&B needs to know makes no sense.
    #[error(transparent)]
    Wandb(#[from] tracking::wandb::SettingsError),
    /// Some runs did not reach the server; which, has been said.
    #[error("not everything was uploaded")]
    NotSynced,
    /// The user interrupted it.
    #[error("interrupted: what is finished is kept; {0}")]
    Interrupted(String),
}

impl Error {
    /// The operating system refused to do `action` with `path`.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    /// What the process exits with: 1, something that was tried failed; 2, it was asked for wrongly;
    /// 130, it was interrupted.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::RunsFailed { .. }
            | Self::Worker { .. }
            | Self::Checkpoint(_)
            | Self::Differs
            | Self::ChecksFailed(_)
            | Self::Record(_)
            | Self::Analysis(_)
            | Self::Io { .. }
            | Self::NotSynced => 1,
            Self::Core(error) => match error {
                actlab_core::Error::Io { .. } | actlab_core::Error::Download { .. } => 1,
                actlab_core::Error::Interrupted => 130,
                _ => 2,
            },
            Self::Experiment(_)
            | Self::Usage(_)
            | Self::Activation(_)
            | Self::Syntax(_)
            | Self::Wandb(_) => 2,
            Self::Interrupted(_) => 130,
        }
    }
}
