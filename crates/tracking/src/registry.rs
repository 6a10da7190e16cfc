//! The sinks that there are, and what one that was asked for can do.

use crate::{Environment, Notice, Pace, SettingsError, Target};
use record::RunDir;
use schemars::Schema;
use std::path::Path;

/// A kind of sink.
#[derive(Debug)]
pub struct Kind {
    /// Key of its settings in an experiment, and its flag.
    pub key: &'static str,
    /// What messages call it.
    pub name: &'static str,
    /// What it does, in a line.
    pub description: &'static str,
    /// Schema of its settings in an experiment.
    pub schema: fn() -> Schema,
    /// How the environment variables begin that it reads; nothing where it reads none.
    pub variables: Option<&'static str>,
    /// Whether `actlab sync` sends what it lacks; otherwise the same sweep with its flag does.
    pub by_sync: bool,
}

/// Every kind of sink, in the order in which they are listed.
static SINKS: &[&Kind] = &[&crate::wandb::KIND, &crate::tensorboard::KIND, &crate::mlflow::KIND];

/// Words in the names of variables whose values are secret.
const SECRET: [&str; 4] = ["KEY", "TOKEN", "SECRET", "PASSWORD"];

/// Every kind of sink, in the order in which they are listed.
#[must_use]
pub fn sinks() -> &'static [&'static Kind] {
    SINKS
}

/// The kind of sink that messages call `name`.
#[must_use]
pub fn kind(name: &str) -> Option<&'static Kind> {
    SINKS.iter().copied().find(|kind| kind.name == name)
}

/// Whether a sink reads the environment variable `name`.
#[must_use]
pub fn is_read(name: &str) -> bool {
    name == "NETRC"
        || SINKS.iter().filter_map(|kind| kind.variables).any(|prefix| name.starts_with(prefix))
}

/// Whether the environment variable `name` holds a secret of a sink. Processes that log nothing do not get it.
#[must_use]
pub fn is_secret(name: &str) -> bool {
    name != "NETRC" && is_read(name) && SECRET.iter().any(|word| name.contains(word))
}

/// What an experiment and its flags say of a sink.
pub trait SinkRequest {
    /// What comes of it for the sweep in the folder `sweep`; nothing where the sink has no part in it.
    ///
    /// # Errors
    /// If a value is wrong, or one is missing.
    fn settle(
        &self,
        environment: &Environment<'_>,
        sweep: &Path,
    ) -> Result<Option<Box<dyn Configured>>, SettingsError>;
}

/// A sink with all its settings.
pub trait Configured: std::fmt::Debug {
    /// What [`crate::Tracker`] starts; nothing where the sink is turned off.
    ///
    /// # Errors
    /// If an HTTP client cannot be made.
    fn target(&self, pace: Pace, notice: &Notice) -> Result<Option<Target>, SettingsError>;

    /// Says in a line where runs are logged.
    fn introduction(&self) -> String;

    /// What the user should know before something is sent.
    fn warning(&self) -> Option<String> {
        None
    }

    /// Remembers in `dir` that its run, of the sweep `sweep`, is to be logged: it may end while no process follows it.
    fn expect(&self, dir: &RunDir, sweep: &str) {
        let _ = (dir, sweep);
    }

    /// Whether the sink has everything of the finished run in `dir`.
    ///
    /// # Errors
    /// If the note of that is damaged.
    fn has_all(&self, dir: &RunDir) -> Result<bool, record::Error>;

    /// Whether the next sweep sends what the sink lacks of the finished run in `dir`.
    fn catches_up(&self, dir: &RunDir) -> bool;

    /// Says that `runs` finished runs are sent, where that takes a while.
    fn catching_up(&self, runs: usize) -> Option<String> {
        let _ = runs;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sinks_are_listed_with_what_they_do_and_their_settings() {
        let keys: std::collections::BTreeSet<_> = sinks().iter().map(|kind| kind.key).collect();
        assert!(keys.len() == sinks().len() && keys.contains("wandb"), "{keys:?}");
        for kind in sinks() {
            assert!(!kind.description.is_empty() && !kind.description.contains('\n'));
            let schema = serde_json::to_value((kind.schema)()).unwrap_or_default();
            assert!(schema["description"].is_string(), "{}: {schema}", kind.key);
            for (name, property) in schema["properties"].as_object().into_iter().flatten() {
                assert!(property["description"].is_string(), "{}.{name}", kind.key);
            }
        }
    }

    #[test]
    fn secrets_are_told_from_settings() {
        let secret = ["WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE"];
        assert!(secret.into_iter().all(is_secret));
        let plain = ["WANDB_MODE", "SLURM_JWT", "PATH", "TOKENIZERS_PARALLELISM", "NETRC"];
        assert!(!plain.into_iter().any(is_secret));
    }
}
