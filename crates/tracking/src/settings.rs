//! What sinks are asked for, and why they cannot be had.

use std::path::PathBuf;

/// Where the user's own settings are looked up.
pub struct Environment<'a> {
    /// The value of an environment variable, where it is set and not empty.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
    /// The user's folder, for `.netrc`.
    pub home: Option<PathBuf>,
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A variable has a value that makes no sense.
    #[error("environment variable {name}: {reason}")]
    Variable {
        /// The variable.
        name: &'static str,
        /// What is wrong with its value.
        reason: String,
    },
    /// A name that the server does not take.
    #[error("{key} = {value:?}: {reason}")]
    Name {
        /// The key of the experiment, or the variable.
        key: &'static str,
        /// Its value.
        value: String,
        /// What the server takes.
        reason: &'static str,
    },
    /// The settings file of W&B's own client makes no sense.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// It was asked for a server that no key is known of.
    #[error(
        "logging to W&B needs a key for {host}: set WANDB_API_KEY, or write `machine {host} login user password KEY` into {netrc} (`wandb login` does), or choose --wandb offline{}",
        because.as_ref().map(|because| format!(" ({because})")).unwrap_or_default()
    )]
    NoKey {
        /// The server.
        host: String,
        /// The user's netrc file.
        netrc: String,
        /// Why what the netrc file has is not used.
        because: Option<String>,
    },
    /// Something else that one kind of sink needs: what is wrong, where, and what would be right.
    #[error("{0}")]
    Other(String),
    /// No HTTPS here.
    #[error("cannot make an HTTP client: {0}")]
    Client(String),
}
