//! What can go wrong before and around training.

use std::path::PathBuf;

/// Why data, model or device cannot be had as asked for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No data set of that name.
    #[error("unknown data set `{name}`; known are {}", known.join(", "))]
    UnknownData {
        /// What was asked for.
        name: String,
        /// Every name.
        known: Vec<&'static str>,
    },
    /// A file of a data set is not there.
    #[error("data set `{name}` lacks {} (plain or with .gz): {found}; fetch it with `actlab data fetch {name}`, or name the folder that holds it", path.display())]
    MissingData {
        /// Name of the data set.
        name: String,
        /// The file.
        path: PathBuf,
        /// What is there instead.
        found: String,
    },
    /// A file is there, but is not what it should be.
    #[error("{}: {reason}", path.display())]
    BadData {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what would be right.
        reason: String,
    },
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
    /// A download failed.
    #[error("cannot fetch {url}: {reason}")]
    Download {
        /// Address.
        url: String,
        /// What happened.
        reason: String,
    },
    /// Model, data and recipe do not go together.
    #[error("{reason}")]
    Spec {
        /// Key of the part of the task that is wrong, as in `depth`; empty for the whole part.
        key: &'static str,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// The device is not there, or not built in.
    #[error("device `{device}`: {reason}")]
    Device {
        /// What was asked for.
        device: String,
        /// What is missing.
        reason: String,
    },
    /// The tokenizer refused a text or a vocabulary.
    #[error("tokenizer: {0}")]
    Tokenizer(String),
    /// The user stopped it.
    #[error("interrupted")]
    Interrupted,
}

impl Error {
    /// The value of `key` is wrong.
    pub(crate) fn spec(key: &'static str, reason: impl Into<String>) -> Self {
        Self::Spec { key, reason: reason.into() }
    }

    /// Key of the part of the task that is wrong, where that is known.
    #[must_use]
    pub fn key(&self) -> Option<&'static str> {
        match self {
            Self::Spec { key, .. } if !key.is_empty() => Some(key),
            Self::UnknownData { .. } => Some("name"),
            _ => None,
        }
    }
}
