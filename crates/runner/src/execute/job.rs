use actlab_core::DeviceSpec;
use record::{RunDir, RunSpec};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// What a worker process is to do: train one run. It reads this as JSON.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Job {
    /// Tells this attempt at the run from all others.
    pub(crate) token: String,
    pub(crate) spec: RunSpec,
    /// Folder name of a shorter trial of the same, where this one resumes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) goes_on_from: Option<String>,
    /// Whether it repeats a run of a record, with this program's training code.
    #[serde(default)]
    pub(crate) repeats: bool,
    pub(crate) context: JobContext,
}

/// What is the same for every job of a sweep, and changes no number.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct JobContext {
    /// Name of the sweep.
    pub(crate) sweep: String,
    /// Folder of the runs.
    pub(crate) runs: PathBuf,
    /// The first device.
    pub(crate) device: String,
    /// Those behind it, of a run that is trained on several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) other_devices: Vec<String>,
    pub(crate) threads: usize,
    /// Runs that share the device.
    pub(crate) jobs: usize,
    pub(crate) data_dir: PathBuf,
    pub(crate) data_folders: BTreeMap<String, PathBuf>,
    /// Seconds between samples of the system; 0 takes none.
    pub(crate) system_metrics: f64,
    /// Time between checkpoints, if any are kept.
    pub(crate) checkpoint_every: Option<Duration>,
}

impl Job {
    /// The devices that the run's replicas take in turns.
    ///
    /// # Errors
    /// If one is none.
    pub(crate) fn devices(&self) -> Result<Vec<DeviceSpec>, actlab_core::Error> {
        let first: DeviceSpec = self.context.device.parse()?;
        let others = &self.context.other_devices;
        let replicas = self.spec.training.replicas;
        if others.is_empty() && replicas > 1 {
            // Those that a task of a cluster was given, where none was named.
            return Ok(first.places().into_iter().take(replicas).collect());
        }
        std::iter::once(Ok(first)).chain(others.iter().map(|device| device.parse())).collect()
    }

    pub(crate) fn dir(&self) -> RunDir {
        RunDir::of(&self.context.runs, &self.spec)
    }
}
