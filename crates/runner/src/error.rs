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
    /// Some runs failed or could not be trained; the others are recorded.
    #[error("{}", runs_without_result(*failed, *refused, *runs))]
    RunsFailed {
        /// Runs that failed: their records tell why.
        failed: usize,
        /// Runs that could not be trained: they have no record.
        refused: usize,
        /// Runs of the sweep.
        runs: usize,
    },
    /// A worker could not train its run. That concerns no other run.
    #[error("{0}")]
    ThisRun(Box<Error>),
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
    /// Files of a data set are not the published ones.
    #[error(
        "{files} {} not as published; `actlab data fetch {name}` fetches the published files of `{name}`",
        if *files == 1 { "file is" } else { "files are" }
    )]
    OtherData {
        /// Name of the data set.
        name: String,
        /// Files that differ.
        files: usize,
    },
    /// A setting of a sink of events is wrong or missing.
    #[error(transparent)]
    Sink(#[from] tracking::SettingsError),
    /// Some runs did not reach the server; which, has been said.
    #[error("not everything was uploaded")]
    NotSynced,
    /// The user interrupted it.
    #[error("interrupted: what is finished is kept; {0}")]
    Interrupted(String),
}

/// What became of runs that have no result.
fn runs_without_result(failed: usize, refused: usize, runs: usize) -> String {
    let mut parts = Vec::new();
    if failed > 0 {
        parts.push(format!("{failed} of {runs} runs failed; the reasons are in the report"));
    }
    if refused > 0 {
        let not = if refused == 1 { "was not trained" } else { "were not trained" };
        parts.push(format!(
            "{refused} of {runs} runs {not}, for the reason above; the same command tries again"
        ));
    }
    parts.join(". ")
}

impl Error {
    /// What a worker exits with where its reason concerns its run alone.
    pub(crate) const THIS_RUN_ALONE: u8 = 3;

    /// The same error of a worker, marked where it concerns its run alone: a file or folder of the run, or another
    /// process that works on it. A full disk, or data that is missing, would meet every other run too.
    pub(crate) fn of_a_run(self) -> Self {
        let full = |source: &std::io::Error| {
            use std::io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
            matches!(source.kind(), StorageFull | QuotaExceeded | ReadOnlyFilesystem)
        };
        let alone = match &self {
            Self::Record(record::Error::Io { source, .. }) | Self::Io { source, .. } => {
                !full(source)
            }
            Self::Record(_) | Self::Usage(_) | Self::Checkpoint(_) | Self::Activation(_) => true,
            _ => false,
        };
        if alone { Self::ThisRun(Box::new(self)) } else { self }
    }

    /// The operating system refused to do `action` with `path`.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    /// Whether a folder cannot be written because it is for reading alone.
    pub(crate) fn is_read_only(&self) -> bool {
        use std::io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
        match self {
            Self::Record(record::Error::Io { source, .. })
            | Self::Analysis(analysis::Error::Record(record::Error::Io { source, .. }))
            | Self::Io { source, .. } => {
                matches!(source.kind(), PermissionDenied | ReadOnlyFilesystem)
            }
            _ => false,
        }
    }

    /// What the process exits with: 1, something that was tried failed; 2, it was asked for wrongly;
    /// 130, it was interrupted.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::ThisRun(_) => Self::THIS_RUN_ALONE,
            Self::RunsFailed { .. }
            | Self::Worker { .. }
            | Self::Checkpoint(_)
            | Self::Differs
            | Self::ChecksFailed(_)
            | Self::OtherData { .. }
            | Self::Record(_)
            | Self::Analysis(_)
            | Self::Io { .. }
            | Self::NotSynced => 1,
            Self::Core(error) => match error {
                actlab_core::Error::Io { .. } | actlab_core::Error::Download { .. } => 1,
                actlab_core::Error::Interrupted(_) => 130,
                _ => 2,
            },
            Self::Experiment(_)
            | Self::Usage(_)
            | Self::Activation(_)
            | Self::Syntax(_)
            | Self::Sink(_) => 2,
            Self::Interrupted(_) => 130,
        }
    }
}
