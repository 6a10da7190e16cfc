use crate::float;
use serde::{Deserialize, Serialize};

/// One line of `metrics.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// An optimizer step.
    Train(TrainStep),
    /// An evaluation on the validation split.
    Validation(Evaluation),
    /// Statistics of one activation site, taken at an evaluation.
    Site(Site),
}

/// Metrics of one optimizer step, before the update.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainStep {
    /// Optimizer step, counted from 1.
    pub step: u64,
    /// Passes over the training data so far, fractional.
    #[serde(with = "float")]
    pub epoch: f64,
    /// Mean loss over the batch (with label smoothing, where configured).
    #[serde(with = "float")]
    pub loss: f64,
    /// Fraction of the batch that was classified correctly.
    #[serde(with = "float")]
    pub accuracy: f64,
    /// Learning rate of this step.
    #[serde(with = "float")]
    pub learning_rate: f64,
    /// Euclidean norm of the whole gradient, before clipping.
    #[serde(with = "float")]
    pub gradient_norm: f64,
    /// Wall time of the step in seconds.
    #[serde(with = "float")]
    pub seconds: f64,
}

/// Mean loss and accuracy over a split.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Optimizer steps made before this evaluation.
    pub step: u64,
    /// Passes over the training data so far, fractional.
    #[serde(with = "float")]
    pub epoch: f64,
    /// Mean cross-entropy over the split, without label smoothing, in nats.
    #[serde(with = "float")]
    pub loss: f64,
    /// Fraction of the split that was classified correctly.
    #[serde(with = "float")]
    pub accuracy: f64,
}

/// What one activation site does to a sample of the validation data.
///
/// A *unit* is a channel of an image model or a feature of a transformer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Site {
    /// Optimizer steps made before the sample.
    pub step: u64,
    /// Name of the site, as in `blocks.0.inner`.
    pub site: String,
    /// Position of the site in the forward pass, from 0.
    pub depth: usize,
    /// Units at the site.
    pub units: usize,
    /// Fraction of units whose largest |f′(x)| over the sample is below 10⁻³: no gradient passes.
    #[serde(with = "float")]
    pub dead: f64,
    /// Fraction of outputs that are exactly zero.
    #[serde(with = "float")]
    pub zero: f64,
    /// Mean of the outputs.
    #[serde(with = "float")]
    pub mean: f64,
    /// Variance of the outputs (population).
    #[serde(with = "float")]
    pub variance: f64,
    /// Fraction of inputs at which |f′(x)| is below 10⁻³.
    #[serde(with = "float")]
    pub saturated: f64,
}
