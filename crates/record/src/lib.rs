//! What a run leaves on disk: its spec, its metrics stream, its final record and its predictions.
//!
//! A run is identified by a hash of its resolved [`RunSpec`]; its directory holds
//!
//! | file | written | holds |
//! |---|---|---|
//! | `spec.json` | first | the resolved [`RunSpec`] |
//! | `metrics.jsonl` | append-only while running | one [`Stamped`] event a line |
//! | `predictions.csv` | atomically, before the record | one test example a line |
//! | `checkpoint-STEP-BYTES-CHECKSUM.safetensors` | atomically, while running | training after `STEP`, when `metrics.jsonl` had `BYTES` |
//! | `attempt.json` | atomically, when a process begins to work on the run | the [`Attempt`]; gone when the run has ended |
//! | `TRACKER.json` | atomically, where a tracker is used | its [`Note`]: where the run can be seen (a [`Link`]), and how far it has come |
//! | `record.json` | atomically, last | the [`RunRecord`]: its presence says that the run has ended; it holds the checksums of the files above, and ends with its own |
//!
//! This crate knows no tensor and no table: `runner` writes through it, `analysis` reads through it.

mod component;
mod decimal;
mod environment;
mod error;
mod event;
mod float;
#[doc(hidden)]
pub mod fuzzing;
mod metric;
mod prediction;
mod run;
mod spec;
mod store;

pub use component::Component;
pub use environment::{Environment, Git};
pub use error::Error;
pub use event::{
    Evaluation, Event, GpuSample, Gradients, Histogram, LayerGradient, Learned, LearnedNumber,
    Site, Stamped, Start, SystemSample, TrainStep,
};
pub use metric::{Direction, Metric, Metrics};
pub use prediction::{ExampleLoss, Prediction, PredictionLine, Predictions};
pub use run::{Attempt, Outcome, RunRecord, SCHEMA_VERSION, Summary, Timing};
pub use spec::{
    ActivationSpec, Budget, CLASSIFICATION, DataSpec, Described, Divergence, Precision, RunId,
    RunSpec, SiteActivation, SiteStatistics, SpecText, Split, TrainingSpec, Trial, json_sha256,
};
pub use store::{
    CheckpointFile, FileSum, HeldLocks, Link, MetricsReader, MetricsWriter, Note, RunDir, RunLock,
    RunState, SavedRun, StoredRun, Timeline, any_run_has_ended, find_all_runs, find_runs,
    is_same_file, look_at_runs, now, open_lock, read_file, read_runs, write_atomically,
};
