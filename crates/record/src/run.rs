use crate::store::seal;
use crate::{
    Described, Environment, Evaluation, FileSum, LearnedNumber, Metric, RunId, RunSpec, Site,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Version of everything this crate writes; it grows when a reader of the old form would go wrong.
pub const SCHEMA_VERSION: u32 = 1;

/// The final record of a run: `record.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// [`SCHEMA_VERSION`] of the writer.
    pub schema: u32,
    /// Hash of the spec.
    pub id: RunId,
    /// What was asked for.
    pub spec: RunSpec,
    /// How it ended.
    pub outcome: Outcome,
    /// Components of the spec in words. Empty in early records.
    #[serde(default, skip_serializing_if = "Described::is_empty")]
    pub described: Described,
    /// What was measured; absent where the run failed before its first step.
    pub summary: Option<Summary>,
    /// How long it took. Not part of what is reproducible.
    pub timing: Timing,
    /// Where it ran. Not part of what is reproducible.
    pub environment: Environment,
    /// Size and checksum of each file beside the record, by its name. Absent in early records.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, FileSum>,
}

impl RunRecord {
    /// The content of `record.json`: a JSON object that ends with the checksum of its text.
    ///
    /// # Errors
    /// If it cannot be represented in JSON.
    pub fn to_file(&self) -> Result<Vec<u8>, serde_json::Error> {
        Ok(seal(serde_json::to_vec_pretty(self)?))
    }
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Outcome {
    /// It used its whole budget.
    Completed,
    /// The training loss, a gradient or the validation loss became NaN or infinite; or, where the recipe asks for
    /// it ([`Divergence`](crate::Divergence)), training ended with a loss above that of guessing.
    Diverged {
        /// Step at which it was noticed.
        step: u64,
        /// In words.
        reason: String,
    },
    /// The program failed, as by a panic in a plugin.
    Failed {
        /// In words.
        reason: String,
    },
}

/// What a run measured: the same for the same spec, to the last bit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Trainable parameters.
    pub parameters: u64,
    /// Floating-point operations of one example's forward pass (a multiply-add counts two).
    pub flops: u64,
    /// Optimizer steps made.
    pub steps: u64,
    /// Classes of a classification. Absent in early records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<u64>,
    /// What the run is judged by. Absent in early records, which were judged by accuracy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<Metric>,
    /// Loss at the first step, before any update.
    #[serde(with = "crate::float")]
    pub initial_loss: f64,
    /// The evaluation on validation data with the best primary metric (then the lowest loss, then the earliest).
    pub best_validation: Option<Evaluation>,
    /// The last evaluation on validation data.
    pub last_validation: Option<Evaluation>,
    /// The test split, once, by the weights of `best_validation`; absent for a diverged run.
    pub test: Option<Evaluation>,
    /// Examples of the test split that `test` was measured on. Absent where there is no `test`, and in early records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_examples: Option<u64>,
    /// First evaluated step whose primary metric reached the task's target.
    pub steps_to_target: Option<u64>,
    /// Steps of a run in f16 whose gradient was not finite, and which changed nothing. Absent for other runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped_steps: Option<u64>,
    /// Activation sites at the last evaluation.
    pub sites: Vec<Site>,
    /// What activations had learned at the last evaluation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub learned: Vec<LearnedNumber>,
}

impl Summary {
    /// What the run is judged by.
    #[must_use]
    pub fn metric(&self) -> Metric {
        self.metric.clone().unwrap_or_else(|| Metric::accuracy(self.classes))
    }
}

/// How long a run took and how much memory it used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    /// When it began, in seconds since 1970 (UTC).
    #[serde(with = "crate::float")]
    pub started_unix: f64,
    /// When it ended; absent in early records. A run that was interrupted ends later than its wall time after its beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_unix: Option<f64>,
    /// Wall time of everything, in seconds: of all attempts together, without what passed between them.
    #[serde(with = "crate::float")]
    pub total_seconds: f64,
    /// Wall time of the training steps alone, in seconds.
    #[serde(with = "crate::float")]
    pub train_seconds: f64,
    /// Training examples a second, over the training steps alone.
    #[serde(with = "crate::float")]
    pub examples_per_second: f64,
    /// Largest resident size of the run's process, in bytes, where the system tells.
    pub peak_memory_bytes: Option<u64>,
    /// Bytes that the run's process held on a GPU when it ended, the most of its GPUs; absent on the CPU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_memory_bytes: Option<u64>,
    /// Energy of processors and GPUs in joules, where the system tells: of the processors in
    /// proportion to the processor time that the run used of all that was used, of a GPU an even share among its runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub energy_joules: Option<f64>,
}

impl Timing {
    /// When the run ended, in seconds since 1970 (UTC).
    #[must_use]
    pub fn ended(&self) -> f64 {
        self.ended_unix.unwrap_or(self.started_unix + self.total_seconds)
    }
}

/// Who works on a run that has not ended: `attempt.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// Tells this attempt from all others.
    pub token: String,
    /// The machine.
    pub host: String,
    /// The process on it.
    pub process: u32,
    /// When it began, in seconds since 1970 (UTC).
    pub started_unix: f64,
    /// When the run began, where an earlier attempt began it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_started_unix: Option<f64>,
    /// The step after which it continues; 0 where it began anew.
    pub after_step: u64,
    /// All steps of the run.
    pub steps: u64,
}

impl Attempt {
    /// When the run began, in this attempt or an earlier one.
    #[must_use]
    pub fn run_started(&self) -> f64 {
        self.run_started_unix.unwrap_or(self.started_unix)
    }
}
