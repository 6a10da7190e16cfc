use crate::{Described, Environment, Metric, Metrics, float};
use serde::{Deserialize, Serialize};

/// One line of `metrics.jsonl`: an event and when it was written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stamped {
    /// Seconds since 1970 (UTC). Not part of what is reproducible; absent in early records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<f64>,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// What happens in a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The run begins.
    Start(Box<Start>),
    /// An optimizer step.
    Train(TrainStep),
    /// An evaluation on the validation split.
    Validation(Evaluation),
    /// Statistics of one activation site, taken at an evaluation.
    Site(Site),
    /// How large the gradient is in each layer, at an evaluation.
    Gradients(Gradients),
    /// What activations have learned, at an evaluation.
    Learned(Learned),
    /// How busy the machine is.
    System(SystemSample),
    /// A line that the program printed about the run.
    Output {
        /// The line, without its end.
        line: String,
    },
}

impl Event {
    /// The step and the numbers of a measurement of training, by the names that W&B, TensorBoard and exports
    /// have for them, as in `validation/accuracy`; nothing of other events.
    #[must_use]
    pub fn metrics(&self) -> Option<(u64, Vec<(String, f64)>)> {
        let named =
            |first: &[(&str, f64)], split: &str, metrics: &Metrics, last: &[(&str, f64)]| {
                let owned = |(name, value): &(&str, f64)| ((*name).to_owned(), *value);
                let metrics =
                    metrics.iter().map(|(name, value)| (format!("{split}/{name}"), value));
                first.iter().map(owned).chain(metrics).chain(last.iter().map(owned)).collect()
            };
        match self {
            Self::Train(step) => Some((
                step.step,
                named(
                    &[("epoch", step.epoch), ("train/loss", step.loss)],
                    "train",
                    &step.metrics,
                    &[
                        ("train/learning_rate", step.learning_rate),
                        ("train/gradient_norm", step.gradient_norm),
                        ("train/step_seconds", step.seconds),
                    ],
                ),
            )),
            Self::Validation(evaluation) => Some((
                evaluation.step,
                named(
                    &[("epoch", evaluation.epoch), ("validation/loss", evaluation.loss)],
                    "validation",
                    &evaluation.metrics,
                    &[],
                ),
            )),
            Self::Site(site) => {
                let numbers = [
                    ("dead", site.dead),
                    ("zero", site.zero),
                    ("mean", site.mean),
                    ("variance", site.variance),
                    ("saturated", site.saturated),
                ];
                let name = |(what, value)| (site.metric(what), value);
                Some((site.step, numbers.into_iter().map(name).collect()))
            }
            Self::Gradients(gradients) => {
                let name = |layer: &LayerGradient| (gradient_metric(&layer.layer), layer.norm);
                Some((gradients.step, gradients.layers.iter().map(name).collect()))
            }
            Self::Learned(learned) => {
                let numbers = learned.numbers.iter().flat_map(LearnedNumber::metrics);
                Some((learned.step, numbers.collect()))
            }
            Self::Start(_) | Self::System(_) | Self::Output { .. } => None,
        }
    }
}

fn gradient_metric(layer: &str) -> String {
    format!("gradients/{layer}/norm")
}

impl Site {
    /// Name of a metric of the site, as in `sites/stem/dead`.
    #[must_use]
    pub fn metric(&self, what: &str) -> String {
        format!("sites/{}/{what}", self.site)
    }
}

/// What is known of a run when it begins, beside its spec.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Start {
    /// Name of the sweep that the run belongs to.
    pub sweep: String,
    /// Trainable parameters.
    pub parameters: u64,
    /// Floating-point operations of one example's forward pass (a multiply-add counts two).
    pub flops: u64,
    /// Optimizer steps that it will make.
    pub steps: u64,
    /// What it is judged by; absent in early records, which were judged by accuracy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<Metric>,
    /// Its components in words.
    #[serde(default)]
    pub described: Described,
    /// Where it runs.
    pub environment: Environment,
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
    /// Metrics of the objective over the batch, as in `accuracy`; in f16 the scale of the loss too.
    #[serde(flatten)]
    pub metrics: Metrics,
    /// Learning rate of this step.
    #[serde(with = "float")]
    pub learning_rate: f64,
    /// Euclidean norm of the whole gradient, before clipping; not finite where a step in f16 was skipped.
    #[serde(with = "float")]
    pub gradient_norm: f64,
    /// Wall time of the step in seconds; where several were measured together, their mean.
    #[serde(with = "float")]
    pub seconds: f64,
}

/// Mean loss and metrics over a split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Optimizer steps made before this evaluation.
    pub step: u64,
    /// Passes over the training data so far, fractional.
    #[serde(with = "float")]
    pub epoch: f64,
    /// Mean cross-entropy over the split, without label smoothing, in nats.
    #[serde(with = "float")]
    pub loss: f64,
    /// Metrics of the objective over the split, as in `accuracy`.
    #[serde(flatten)]
    pub metrics: Metrics,
}

impl Evaluation {
    /// The value of `metric`; NaN where it was not measured.
    #[must_use]
    pub fn value(&self, metric: &Metric) -> f64 {
        match self.metrics.get(&metric.name) {
            Some(value) => value,
            None if metric.name == "loss" => self.loss,
            None => f64::NAN,
        }
    }
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
    /// Inputs of the nonlinearity; those of the gate, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<Histogram>,
    /// Outputs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outputs: Option<Histogram>,
}

/// How large the gradient of the last training step was in each layer, before clipping.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Gradients {
    /// The training step, as in [`TrainStep`].
    pub step: u64,
    /// In the order of the forward pass.
    pub layers: Vec<LayerGradient>,
}

/// What activations have learned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Learned {
    /// Optimizer steps made before.
    pub step: u64,
    /// In the order of the forward pass.
    pub numbers: Vec<LearnedNumber>,
}

/// A number that an activation learns at one site, or at several that share it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LearnedNumber {
    /// Name of the site, as in `blocks.0.inner`, or of the first one that shares it, as in `stem and others`.
    pub site: String,
    /// Name of the number, as in `slope`.
    pub number: String,
    /// Values of it: one, or one for each channel.
    pub values: usize,
    /// Where it begins.
    #[serde(with = "float")]
    pub start: f64,
    /// Their mean.
    #[serde(with = "float")]
    pub mean: f64,
    /// The least.
    #[serde(with = "float")]
    pub min: f64,
    /// The greatest.
    #[serde(with = "float")]
    pub max: f64,
}

impl LearnedNumber {
    /// What trackers and exports have of it: `learned/stem/slope`, and the extremes where there are several values.
    fn metrics(&self) -> Vec<(String, f64)> {
        let name = format!("learned/{}/{}", self.site, self.number);
        if self.values == 1 {
            return vec![(name, self.mean)];
        }
        let of = |what: &str, value| (format!("{name}/{what}"), value);
        vec![of("mean", self.mean), of("min", self.min), of("max", self.max)]
    }
}

/// The gradient of one layer's parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayerGradient {
    /// Name of the layer, as in `blocks.0`.
    pub layer: String,
    /// Euclidean norm over all its parameters.
    #[serde(with = "float")]
    pub norm: f64,
}

/// How many numbers lie where: buckets of equal width between the least and the greatest finite one, or half
/// a unit about it where they are the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    /// Least number.
    pub min: f64,
    /// Greatest number.
    pub max: f64,
    /// Sum of the numbers.
    pub sum: f64,
    /// Sum of their squares.
    pub sum_of_squares: f64,
    /// Numbers in each bucket.
    pub counts: Vec<u64>,
}

impl Histogram {
    /// Counts the finite numbers of `values` into `buckets` buckets; nothing where there is none.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a bucket's number is small"
    )]
    pub fn of(values: impl Iterator<Item = f64> + Clone, buckets: usize) -> Option<Self> {
        let finite = values.filter(|value| value.is_finite());
        let (min, max) = finite
            .clone()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), x| (a.min(x), b.max(x)));
        if min > max || buckets == 0 {
            return None;
        }
        let mut histogram =
            Self { min, max, sum: 0.0, sum_of_squares: 0.0, counts: vec![0; buckets] };
        let (first, last) = histogram.range();
        let scale = buckets as f64 / (last - first);
        for value in finite {
            histogram.sum += value;
            histogram.sum_of_squares += value * value;
            // The greatest number belongs to the last bucket.
            let bucket = (((value - first) * scale) as usize).min(buckets - 1);
            histogram.counts[bucket] += 1;
        }
        Some(histogram)
    }

    /// Edges of the buckets, one more than there are.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a bucket's number is small")]
    pub fn edges(&self) -> Vec<f64> {
        let buckets = self.counts.len();
        let (first, last) = self.range();
        let width = (last - first) / buckets.max(1) as f64;
        let mut edges: Vec<f64> = (0..buckets).map(|i| first + width * i as f64).collect();
        edges.push(last);
        edges
    }

    /// What the buckets divide: where all numbers are the same, one around it, as in NumPy.
    fn range(&self) -> (f64, f64) {
        if self.max > self.min { (self.min, self.max) } else { (self.min - 0.5, self.max + 0.5) }
    }
}

/// How busy the machine is, on average since the last sample. What the system does not tell is absent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SystemSample {
    /// Load of all processors, in percent of all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_percent: Option<f64>,
    /// Load of the processors by this process, in percent of all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process_cpu_percent: Option<f64>,
    /// Memory in use, in percent of all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_percent: Option<f64>,
    /// Memory that is free to use, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_available_bytes: Option<u64>,
    /// Resident size of this process, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process_memory_bytes: Option<u64>,
    /// Threads of this process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process_threads: Option<u64>,
    /// Energy that the processors took since the last sample, shared evenly among the runs that went on
    /// side by side, in joules.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_joules: Option<f64>,
    /// Each GPU.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gpus: Vec<GpuSample>,
}

/// How busy a GPU is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GpuSample {
    /// Its number.
    pub index: u32,
    /// Time during which it computed, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub utilization_percent: Option<f64>,
    /// Memory in use, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Memory in use, in percent of all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_percent: Option<f64>,
    /// Temperature in degrees Celsius.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature_celsius: Option<f64>,
    /// Power in watts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub power_watts: Option<f64>,
    /// Energy since the last sample, shared evenly among the runs that went on side by side, in joules.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub joules: Option<f64>,
}

impl SystemSample {
    /// Energy of processors and GPUs since the last sample in joules, as far as it was measured.
    #[must_use]
    pub fn joules(&self) -> Option<f64> {
        let parts = self.gpus.iter().map(|gpu| gpu.joules).chain([self.cpu_joules]);
        parts.flatten().fold(None, |sum, joules| Some(sum.unwrap_or(0.0) + joules))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histograms_count_what_is_finite() {
        let values = [0.0, 1.0, 2.0, 4.0, f64::NAN, f64::INFINITY];
        let histogram = Histogram::of(values.into_iter(), 4).unwrap();
        assert_eq!(histogram.counts, [1, 1, 1, 1]);
        assert_eq!(histogram.edges(), [0.0, 1.0, 2.0, 3.0, 4.0]);
        assert_eq!((histogram.sum, histogram.sum_of_squares), (7.0, 21.0));
        assert_eq!(Histogram::of([f64::NAN].into_iter(), 4), None);
        let constant = Histogram::of([3.0; 5].into_iter(), 4).unwrap();
        assert_eq!((constant.min, constant.max), (3.0, 3.0));
        assert_eq!(constant.counts, [0, 0, 5, 0]);
        assert_eq!(constant.edges(), [2.5, 2.75, 3.0, 3.25, 3.5]);
    }

    #[test]
    fn energy_is_what_was_measured() {
        assert_eq!(SystemSample::default().joules(), None);
        let gpu = |joules| GpuSample { joules, ..GpuSample::default() };
        let sample = SystemSample {
            cpu_joules: Some(2.0),
            gpus: vec![gpu(Some(3.0)), gpu(None)],
            ..SystemSample::default()
        };
        assert_eq!(sample.joules(), Some(5.0));
    }
}
