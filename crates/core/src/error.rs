//! What can go wrong before and around training.

use activation::did_you_mean;
use std::path::PathBuf;

/// Why data, model or device cannot be had as asked for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No component of that name.
    #[error("unknown {kind} `{name}`{}; known are {}", did_you_mean(nearest), known.join(", "))]
    UnknownComponent {
        /// What it would be, as in `model`.
        kind: &'static str,
        /// What was asked for.
        name: String,
        /// Names that look like it.
        nearest: Vec<&'static str>,
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
        key: String,
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
    /// The user stopped it; what is kept.
    #[error("interrupted; {0}")]
    Interrupted(&'static str),
}

impl Error {
    /// The value of `key` is wrong; an empty key means all of it.
    pub fn spec(key: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Spec { key: key.into(), reason: reason.into() }
    }

    /// The same error of a part that stands at `outer`.
    #[must_use]
    pub fn within(self, outer: &str) -> Self {
        match self {
            Self::Spec { key, reason } if key.is_empty() => Self::spec(outer, reason),
            Self::Spec { key, reason } => Self::spec(format!("{outer}.{key}"), reason),
            error @ Self::UnknownComponent { .. } => {
                Self::spec(format!("{outer}.name"), error.to_string())
            }
            other => other,
        }
    }

    /// Key of the part of the task that is wrong, where that is known.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        match self {
            Self::Spec { key, .. } if !key.is_empty() => Some(key),
            Self::UnknownComponent { .. } => Some("name"),
            _ => None,
        }
    }
}
