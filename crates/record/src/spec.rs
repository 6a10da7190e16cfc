//! The resolved description of one run. It serializes to canonical JSON, whose hash names the run.

use crate::component::{self, Component};
use crate::store::sha256;
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;

/// Everything that decides the numbers of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunSpec {
    /// The factor under study.
    pub activation: ActivationSpec,
    /// Name of the task in the experiment file.
    pub task: String,
    /// Network.
    pub model: Component,
    /// What the network learns and is judged by; a spec says nothing of a classification.
    #[serde(default = "classification", skip_serializing_if = "is_classification")]
    pub objective: Component,
    /// Data set.
    pub data: DataSpec,
    /// SHA-256 over the data set's files, so that other data makes another run.
    pub data_sha256: String,
    /// SHA-256 of the file that the weights start from; absent where all are drawn by the seed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights_sha256: Option<String>,
    /// Recipe.
    pub training: TrainingSpec,
    /// Seed of every random stream.
    pub seed: u64,
    /// Kind of device, as in `cpu` or `cuda`: other devices round otherwise.
    pub device: String,
    /// Version of the training code: it grows when the same spec would give other numbers.
    pub numerics: u32,
    /// What makes it a trial of tuning; absent for a run whose result is reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<Trial>,
}

/// A trial of tuning is judged on validation data alone: it never sees the test split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// It ends after so many steps, with the schedule of the whole budget.
    pub steps: u64,
}

impl RunSpec {
    /// The run's identity: a hash of the spec's JSON.
    #[must_use]
    pub fn id(&self) -> RunId {
        self.but_for_seed().id(self.seed)
    }

    /// The spec but for its seed, from which the identities of runs under other seeds follow.
    #[must_use]
    pub fn but_for_seed(&self) -> SpecText {
        // Strings, numbers and maps with text keys: nothing that JSON lacks.
        let json = serde_json::to_value(self).expect("a spec is representable in JSON");
        let (mut before, mut after) = (String::new(), String::new());
        let mut fields = BTreeMap::new();
        if let serde_json::Value::Object(map) = json {
            fields.extend(map);
        }
        for (key, value) in fields {
            match key.as_str().cmp(SEED) {
                Ordering::Less => before += &format!("\"{key}\":{},", sorted(value)),
                Ordering::Equal => {}
                Ordering::Greater => after += &format!(",\"{key}\":{}", sorted(value)),
            }
        }
        SpecText { before: format!("{{{before}\"{SEED}\":"), after: after + "}" }
    }

    /// A readable name, as in `gelu-resnet_fashion-s3`.
    #[must_use]
    pub fn label(&self) -> String {
        format!("{}-{}-s{}", self.activation.slug(), self.task, self.seed)
    }
}

/// The field of a spec that differs between the seeds of an arm.
const SEED: &str = "seed";

/// The canonical JSON of a spec without its seed. A sweep has many seeds, and to write the rest takes much longer than
/// to hash it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecText {
    /// What stands before the seed.
    before: String,
    /// What stands behind it.
    after: String,
}

impl SpecText {
    /// The identity of the run with `seed`.
    #[must_use]
    pub fn id(&self, seed: u64) -> RunId {
        let Self { before, after } = self;
        let mut digits = sha256(format!("{before}{seed}{after}").as_bytes());
        digits.truncate(16);
        RunId(digits)
    }
}

/// SHA-256 of a JSON value, in hexadecimal digits, which does not depend on the order of keys.
#[must_use]
pub fn json_sha256(value: serde_json::Value) -> String {
    sha256(sorted(value).to_string().as_bytes())
}

/// The value with the keys of every object in alphabetical order, so that the order of fields in
/// this file, and of parameters in a user's, does not change a run's identity.
fn sorted(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.into_iter().collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(entries.into_iter().map(|(key, value)| (key, sorted(value))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        other => other,
    }
}

/// Sixteen hexadecimal digits that identify a run.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(String);

impl RunId {
    /// Its digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An activation with every hyper-parameter stated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ActivationSpec {
    /// Registered name.
    pub name: String,
    /// Hyper-parameters, defaults filled in.
    #[serde(default)]
    pub parameters: IndexMap<String, serde_json::Value>,
    /// As the user would write it, without parameters at their defaults: `leaky_relu(slope=0.2)`.
    pub label: String,
    /// Hash of the formula's values, so that an edited formula makes another run.
    pub fingerprint: String,
    /// Other activations at some sites; the last pattern that matches a site decides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sites: Vec<SiteActivation>,
}

/// The activation of the sites whose names match a pattern.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SiteActivation {
    /// Names of sites, in which `*` stands for any characters, as in `blocks.0.*`.
    pub pattern: String,
    /// The value at this place.
    pub activation: ActivationSpec,
}

impl ActivationSpec {
    /// The label as a part of a file name.
    #[must_use]
    pub fn slug(&self) -> String {
        let mut slug = String::new();
        for c in self.label.chars() {
            match c {
                '(' | ',' | '[' => slug.push('-'),
                c if c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.') => slug.push(c),
                _ => {}
            }
        }
        slug
    }
}

/// Name of the objective that a spec need not state.
pub const CLASSIFICATION: &str = "classification";

fn classification() -> Component {
    Component::named(CLASSIFICATION)
}

fn is_classification(objective: &Component) -> bool {
    *objective == classification()
}

/// Name of the augmentation and of the schedule that a file need not state.
const NONE: &str = "none";
const CONSTANT: &str = "constant";

fn one() -> usize {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_one(count: &usize) -> bool {
    *count == 1
}

fn no_augmentation() -> Component {
    Component::named(NONE)
}

fn constant() -> Component {
    Component::named(CONSTANT)
}

/// A data set and what is done to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DataSpec {
    /// Name, as `actlab data list` shows it.
    pub name: String,
    /// Random changes to training images.
    #[serde(default = "no_augmentation", with = "component::short")]
    #[schemars(with = "String")]
    pub augmentation: Component,
    /// Use only so many training examples: the first ones; of a table or an image folder, drawn so that each class has its
    /// share, and always the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train_limit: Option<usize>,
    /// Parameters of the data set.
    #[serde(flatten)]
    #[schemars(skip)]
    pub parameters: IndexMap<String, serde_json::Value>,
}

impl DataSpec {
    /// The data set called `name`, all of it and unchanged.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            augmentation: no_augmentation(),
            train_limit: None,
            parameters: IndexMap::new(),
        }
    }

    /// Name and parameters of the data set alone.
    #[must_use]
    pub fn component(&self) -> Component {
        Component { name: self.name.clone(), parameters: self.parameters.clone() }
    }
}

/// Components of a spec in words, for those who do not have the program that trained it. Empty texts are unknown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Described {
    /// Short name of the model, as in `resnet-20`.
    pub model: String,
    /// The model with what its short name does not say.
    pub model_details: String,
    /// The optimizer, as in "SGD, momentum 0.9".
    pub optimizer: String,
    /// The schedule, as in "cosine to zero".
    pub schedule: String,
    /// Random changes to training data, as in "random crops and flips"; empty where there are none.
    pub augmentation: String,
}

impl Described {
    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What is known of `spec`, with its plain names where that is nothing.
    #[must_use]
    pub fn or_names(&self, spec: &RunSpec) -> Self {
        if !self.is_empty() {
            return self.clone();
        }
        let augmentation = &spec.data.augmentation;
        let unchanged = *augmentation == no_augmentation();
        Self {
            model: spec.model.to_string(),
            model_details: spec.model.to_string(),
            optimizer: spec.training.optimizer.to_string(),
            schedule: spec.training.schedule.to_string(),
            augmentation: if unchanged { String::new() } else { augmentation.to_string() },
        }
    }
}

/// A part of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// Fits the weights.
    Train,
    /// Chooses the checkpoint.
    Validation,
    /// Judged once.
    Test,
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Test => "test",
        })
    }
}

/// A training recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrainingSpec {
    /// Examples a step.
    pub batch_size: usize,
    /// How long to train.
    pub budget: Budget,
    /// Update rule.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub optimizer: Component,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Weight decay on weights of rank two and more; norms and biases have none.
    #[serde(default)]
    pub weight_decay: f64,
    /// Learning rate over time.
    #[serde(default = "constant", with = "component::short")]
    #[schemars(with = "String")]
    pub schedule: Component,
    /// Fraction of all steps over which the learning rate rises linearly from zero.
    #[serde(default)]
    pub warmup: f64,
    /// Probability mass spread over all classes (Szegedy et al. 2016).
    #[serde(default)]
    pub label_smoothing: f64,
    /// Number format of the operands of matrix products and convolutions; weights, sums and everything else are f32.
    #[serde(default, skip_serializing_if = "Precision::is_f32")]
    pub precision: Precision,
    /// Parts of every batch that are trained side by side, on a device each where there are as many; their gradients are added
    /// in a fixed order. `batch_size` and `learning_rate` are those of the whole batch.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub replicas: usize,
    /// Whether batch norms take the statistics of the whole batch, where it is trained in parts; each takes those of its own part
    /// otherwise, as in PyTorch's `DistributedDataParallel`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sync_batch_norm: bool,
    /// Largest Euclidean norm of the whole gradient; larger ones are scaled down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip_norm: Option<f64>,
    /// Steps between evaluations on validation data; an epoch where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluate_every: Option<u64>,
    /// Evaluations without a better primary metric on validation data (or the same with a lower loss) after which the run ends
    /// early; its whole budget where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patience: Option<u64>,
    /// Validation accuracy whose first reaching is reported in steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_accuracy: Option<f64>,
    /// Value of the task's primary metric on validation data whose first reaching is reported in steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<f64>,
    /// When a run whose numbers all stay finite counts as diverged at its end; never where absent. (A loss or
    /// gradient that is NaN or infinite always ends a run as diverged.)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub divergence: Option<Divergence>,
    /// When and on how much data the activation sites are measured.
    #[serde(default)]
    pub site_statistics: SiteStatistics,
}

impl TrainingSpec {
    /// Value of the primary metric whose first reaching is reported in steps.
    #[must_use]
    pub fn target(&self) -> Option<f64> {
        self.target.or(self.target_accuracy)
    }
}

/// Number format of the operands of products, as in PyTorch's `autocast`.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// Single precision.
    #[default]
    F32,
    /// 8 bits of exponent and 8 of precision.
    Bf16,
    /// 5 bits of exponent and 11 of precision; the loss is scaled, so that small gradients do not vanish.
    F16,
}

impl Precision {
    /// Whether it is single precision.
    #[must_use]
    pub fn is_f32(&self) -> bool {
        *self == Self::F32
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::F16 => "f16",
        })
    }
}

/// A run whose training loss ends above that of guessing counts as diverged.
///
/// It is applied once, when training ends: after the whole budget, or when patience ends the run. A trial of tuning
/// that ends before the whole budget is not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Divergence {
    /// The largest mean training loss that is no divergence, as a multiple of the loss of guessing: ln(number of
    /// classes), in nats. 1 or more.
    pub ratio: f64,
    /// Last training steps over which the loss is averaged; all of them in a shorter run. From 1 to 100000.
    pub window: u64,
}

impl Default for Divergence {
    fn default() -> Self {
        Self { ratio: 1.5, window: 100 }
    }
}

/// When and on how much data the activation sites are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SiteStatistics {
    /// Validation examples that are looked at (the first ones, always the same); 0 turns it off.
    pub examples: usize,
    /// Measure at one evaluation out of so many; the last one is always measured.
    pub every: u64,
}

impl Default for SiteStatistics {
    fn default() -> Self {
        Self { examples: 64, every: 1 }
    }
}

/// How long to train.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Budget {
    /// Passes over the training data.
    Epochs(u64),
    /// Optimizer steps.
    Steps(u64),
}

impl<'de> Deserialize<'de> for Budget {
    /// A layer of configuration takes a unit back by giving it no value, which an enum cannot say.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename = "budget", deny_unknown_fields)]
        struct Units {
            #[serde(default)]
            epochs: Option<u64>,
            #[serde(default)]
            steps: Option<u64>,
        }

        match Units::deserialize(deserializer)? {
            Units { epochs: Some(epochs), steps: None } => Ok(Self::Epochs(epochs)),
            Units { epochs: None, steps: Some(steps) } => Ok(Self::Steps(steps)),
            _ => Err(de::Error::custom("must be either { epochs = N } or { steps = N }")),
        }
    }
}

impl Budget {
    /// Optimizer steps for a data set that gives `steps_per_epoch`.
    #[must_use]
    pub fn steps(self, steps_per_epoch: u64) -> u64 {
        match self {
            Self::Epochs(epochs) => epochs.saturating_mul(steps_per_epoch),
            Self::Steps(steps) => steps,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> RunSpec {
        RunSpec {
            activation: ActivationSpec {
                name: "leaky_relu".into(),
                parameters: IndexMap::from([("slope".into(), 0.2.into())]),
                label: "leaky_relu(slope=0.2)".into(),
                fingerprint: "00".into(),
                sites: Vec::new(),
            },
            task: "fashion".into(),
            model: Component::named("resnet").with("depth", 8).with("width", 16),
            objective: classification(),
            data: DataSpec::named("fashion-mnist-mini"),
            data_sha256: "00".into(),
            weights_sha256: None,
            training: TrainingSpec {
                batch_size: 128,
                budget: Budget::Epochs(3),
                optimizer: Component::named("sgd").with("momentum", 0.9).with("nesterov", true),
                learning_rate: 0.1,
                weight_decay: 5e-4,
                schedule: Component::named("cosine"),
                warmup: 0.1,
                label_smoothing: 0.0,
                precision: Precision::F32,
                replicas: 1,
                sync_batch_norm: false,
                clip_norm: None,
                evaluate_every: None,
                patience: None,
                target_accuracy: None,
                target: None,
                divergence: None,
                site_statistics: SiteStatistics::default(),
            },
            seed: 3,
            device: "cpu".into(),
            numerics: 1,
            trial: None,
        }
    }

    /// Records on users' disks are found by this hash: it must not change by accident.
    #[test]
    fn identity_is_stable() {
        assert_eq!(spec().id().to_string(), "06b3b08c3009b2f9");
        assert_eq!(spec().label(), "leaky_relu-slope0.2-fashion-s3");
    }

    #[test]
    fn identity_is_the_hash_of_the_whole_spec() {
        let weights = RunSpec { weights_sha256: Some("00".into()), ..spec() };
        assert_ne!(weights.id(), spec().id());
        let trial = RunSpec { trial: Some(Trial { steps: 7 }), seed: u64::MAX, ..spec() };
        for spec in [spec(), RunSpec { task: "a\"b\\\u{7}é".into(), ..spec() }, trial] {
            let whole = json_sha256(serde_json::to_value(&spec).unwrap());
            assert_eq!(spec.id().as_str(), &whole[..16]);
            let other = RunSpec { seed: 12, ..spec.clone() };
            assert_eq!(spec.but_for_seed().id(12), other.id());
        }
    }

    #[test]
    fn identity_depends_on_the_seed_and_survives_json() {
        let other = RunSpec { seed: 4, ..spec() };
        assert_ne!(other.id(), spec().id());
        let json = serde_json::to_string(&spec()).unwrap();
        let back: RunSpec = serde_json::from_str(&json).unwrap();
        assert_eq!(back.id(), spec().id());
    }
}
