use std::path::{Path, PathBuf};

/// Why a record could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, as in "read" or "write".
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The file is not what this program writes.
    #[error("{} is not a valid {what}: {source}", path.display())]
    Format {
        /// What the file should hold.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Where it stops making sense.
        source: serde_json::Error,
    },
    /// A file is not as it was written.
    #[error("{} is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// How that shows.
        reason: String,
    },
    /// A table of predictions is not what this program writes.
    #[error("{} is not a valid table of predictions: line {line}", path.display())]
    Predictions {
        /// The file.
        path: PathBuf,
        /// The first line that makes no sense, from 1.
        line: usize,
    },
    /// The file was written by another version of ActLab.
    #[error(
        "{} has record schema {found}, this program reads {}: run the sweep again, or read it with the ActLab that wrote it",
        path.display(), crate::SCHEMA_VERSION
    )]
    Schema {
        /// The file.
        path: PathBuf,
        /// The version that it states.
        found: u32,
    },
}

impl Error {
    /// Whether a folder lies where a file should.
    pub(crate) fn is_no_file(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == std::io::ErrorKind::IsADirectory)
    }

    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    pub(crate) fn format(
        what: &'static str,
        path: &Path,
    ) -> impl FnOnce(serde_json::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Format { what, path, source }
    }
}
