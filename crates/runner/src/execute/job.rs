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
    pub(crate) device: String,
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
    pub(crate) fn dir(&self) -> RunDir {
        RunDir::of(&self.context.runs, &self.spec)
    }
}
