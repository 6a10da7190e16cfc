//! Experiment files: what they hold, and how a value gets its final form.

mod check;
mod flags;
mod kinds;
mod layers;
pub(crate) mod limits;
mod load;
mod position;
mod schema;
mod seeds;
pub(crate) mod words;

pub(crate) use flags::{comma_separated, seeds_of_flag};
pub(crate) use kinds::fault;
pub(crate) use layers::{Moved, Setting};
pub(crate) use schema::schema;

use crate::Error;
use crate::arm::{ArmRequest, ArmSchema};
use crate::choices::{FamilySchema, Jobs, JobsSchema, Pairs};
use crate::execute::launcher::{LauncherKind, SlurmSettings};
use crate::search::Search;
use crate::sequential::Sequential;
use crate::tune::Tune;
use analysis::Family;
use indexmap::IndexMap;
use layers::{Origins, to_toml};
use record::{CLASSIFICATION, Component, DataSpec, Precision, TrainingSpec};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;
use tracking::mlflow::{self, Mlflow};
use tracking::wandb::{self, Mode, Wandb};
use tracking::{SinkRequest, tensorboard};

/// The experiment that `sweep` runs without a file.
pub(crate) const DEFAULT_FILE: &str = "experiments/quick.toml";

/// Tables that take one of several forms, by their `name`: another form keeps nothing of the old one, but for the keys
/// that all forms have.
pub(crate) const FORMS: [(&str, &[&str]); 6] = [
    ("model", &[]),
    ("objective", &[]),
    ("optimizer", &[]),
    ("schedule", &[]),
    ("augmentation", &[]),
    ("data", &["augmentation", "train_limit"]),
];

/// The keys that every form of the table `key` has, if it is one that takes several forms.
pub(crate) fn common_keys(key: &str) -> Option<&'static [&'static str]> {
    FORMS.iter().find(|(table, _)| *table == key).map(|(_, common)| *common)
}

/// The table that is in one of several units: another unit replaces the old one.
pub(crate) const BUDGET: &str = "budget";

/// Values that a file need not give.
const DEFAULTS: &str = r#"
description = ""
device = "cpu"
output = "results"
data_dir = "data"
system_metrics = 10
checkpoint_every = 60
jobs = "auto"
launcher = "local"
retries = 1
"#;

/// An experiment: activations × tasks × seeds.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Experiment {
    /// Name of the experiment, and of its folder below `output`.
    pub(crate) name: String,
    /// What it asks, in a sentence.
    #[serde(default)]
    pub(crate) description: String,
    /// The activations that are compared: `"gelu"`, `"leaky_relu(slope=0.2)"` or `{ name = "silu", beta = 1.702 }`.
    #[schemars(with = "Vec<ArmSchema>")]
    pub(crate) activations: Vec<ArmRequest>,
    /// The activation that the others are compared to; the first where absent.
    #[serde(default)]
    #[schemars(with = "Option<ArmSchema>")]
    pub(crate) baseline: Option<ArmRequest>,
    /// Differences of at most so many percentage points do not matter, on tasks judged in %: activations that are surely
    /// within it are called equivalent.
    #[serde(default)]
    pub(crate) margin: Option<f64>,
    /// Over which comparisons with the baseline the error rate of 5 % is held: all of the `report`, or those of each
    /// `task`.
    #[serde(default)]
    #[schemars(with = "FamilySchema")]
    pub(crate) family: Family,
    /// How every activation is compared with every other, as a family of its own: `holm`, `tukey` or `none`.
    #[serde(default)]
    pub(crate) all_pairs: Pairs,
    /// Every activation is trained once with each: a list, or a number N for the seeds 1 to N.
    #[serde(deserialize_with = "seeds::deserialize")]
    #[schemars(with = "seeds::SeedsSchema")]
    pub(crate) seeds: Vec<u64>,
    /// Ends the sweep when its comparisons are decided.
    #[serde(default)]
    pub(crate) sequential: Option<Sequential>,
    /// What the activations are trained on, by name.
    pub(crate) tasks: IndexMap<String, Task>,
    /// Every task is trained in each, under the name of the task with the precision behind it, as in `images_bf16`;
    /// f32 adds nothing. Where absent, tasks are as they are.
    #[serde(default)]
    precisions: Vec<Precision>,
    /// What is tuned before the runs that are reported.
    #[serde(default)]
    pub(crate) tune: Option<Tune>,
    /// Formulas that are searched for before the runs that are reported, by `actlab search`.
    #[serde(default)]
    pub(crate) search: Option<Search>,
    /// Changes for some activations or tasks, applied in order.
    #[serde(default)]
    pub(crate) overrides: Vec<Override>,
    /// Where to train: `cpu`, `cuda`, `cuda:N`, `vulkan`, `metal`, `wgpu`, or `auto` for the best that this machine has.
    pub(crate) device: String,
    /// Runs at the same time, each in a process of its own: a number, or `auto` for one a processor (one a
    /// GPU) as far as memory allows. They change no number.
    #[schemars(with = "JobsSchema")]
    pub(crate) jobs: Jobs,
    /// Threads of each run; an even share of the processors where absent. They change no number.
    #[serde(default)]
    pub(crate) threads: Option<usize>,
    /// Folder for results.
    pub(crate) output: PathBuf,
    /// Folder in which data sets that do not ship have one of their name each.
    pub(crate) data_dir: PathBuf,
    /// Folders of data sets that lie elsewhere, by name.
    #[serde(default)]
    pub(crate) data_folders: BTreeMap<String, PathBuf>,
    /// Weights & Biases.
    #[serde(default)]
    pub(crate) wandb: Wandb,
    /// Write event files for TensorBoard into the experiment's folder.
    #[serde(default)]
    pub(crate) tensorboard: bool,
    /// MLflow: a table turns it on.
    #[serde(default)]
    pub(crate) mlflow: Option<Mlflow>,
    /// Seconds between samples of processor, memory, GPUs and energy; 0 takes none.
    pub(crate) system_metrics: f64,
    /// Seconds between checkpoints of a run, from which it resumes where it was stopped; 0 keeps none.
    pub(crate) checkpoint_every: f64,
    /// Where runs are trained: in processes of this machine (`local`), or as tasks of a Slurm cluster (`slurm`).
    pub(crate) launcher: LauncherKind,
    /// What is asked of a Slurm cluster.
    #[serde(default)]
    pub(crate) slurm: SlurmSettings,
    /// How often a run whose process died (killed, out of memory, aborted) is begun again, from its last checkpoint.
    pub(crate) retries: u32,
    /// Seconds of wall time after which a run is killed and counts as failed.
    #[serde(default)]
    pub(crate) time_limit: Option<f64>,
    /// MiB of memory beyond which a run is killed and counts as failed.
    #[serde(default)]
    pub(crate) memory_limit: Option<u64>,
    /// What a flag says of Weights & Biases, which goes before its own variables.
    #[serde(skip)]
    pub(crate) wandb_flag: Option<Mode>,
    /// The same of MLflow.
    #[serde(skip)]
    pub(crate) mlflow_flag: Option<mlflow::Flag>,
    /// Tasks of the file that flags leave out.
    #[serde(skip)]
    left_out: Vec<String>,
    /// Labels of activations of the file that flags, variables or a sweep file leave out.
    #[serde(skip)]
    left_out_arms: Vec<String>,
    /// Tasks that are another one in other precision, by name.
    #[serde(skip)]
    variants: BTreeMap<String, String>,
    /// Where every value is from.
    #[serde(skip)]
    origins: Origins,
}

/// Keys that decide what an experiment finds or claims: the others say where and how it is run.
const REGISTERED: [&str; 15] = [
    "name",
    "description",
    "activations",
    "baseline",
    "margin",
    "family",
    "all_pairs",
    "seeds",
    "sequential",
    "tasks",
    "precisions",
    "tune",
    "search",
    "overrides",
    "device",
];

/// Model, objective, data and recipe. The parameters of each component are all stated.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Task {
    /// Network.
    #[schemars(with = "serde_json::Value")]
    pub(crate) model: Component,
    /// What the network learns and is judged by; a classification where absent.
    #[schemars(with = "Option<serde_json::Value>")]
    pub(crate) objective: Component,
    /// Data set.
    pub(crate) data: DataSpec,
    /// Recipe.
    pub(crate) training: TrainingSpec,
}

impl<'de> Deserialize<'de> for Task {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename = "task", deny_unknown_fields)]
        struct Given {
            model: Component,
            #[serde(default)]
            objective: Option<Component>,
            data: DataSpec,
            training: TrainingSpec,
        }

        let Given { model, objective, data, training } = Given::deserialize(deserializer)?;
        let objective = objective.unwrap_or_else(|| Component::named(CLASSIFICATION));
        let mut task = Self { model, objective, data, training };
        let components = actlab_core::Components {
            model: &mut task.model,
            objective: &mut task.objective,
            optimizer: &mut task.training.optimizer,
            schedule: &mut task.training.schedule,
            data: &mut task.data,
        };
        actlab_core::resolve(components).map_err(|error| {
            let key = error.key().map(|key| format!("{key}: ")).unwrap_or_default();
            de::Error::custom(format!("{key}{error}"))
        })?;
        Ok(task)
    }
}

/// A change for the activations and tasks that it names; those that it does not name are not restricted.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Override {
    /// Activation, as in `activations`.
    #[serde(default)]
    #[schemars(with = "Option<ArmSchema>")]
    pub(crate) activation: Option<ArmRequest>,
    /// Name of a task.
    #[serde(default)]
    pub(crate) task: Option<String>,
    /// What changes: a part of a task, as in `{ training = { learning_rate = 0.05 } }`.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub(crate) set: serde_json::Value,
}

impl Experiment {
    /// What it and its flags ask of each sink of events.
    pub(crate) fn sinks(&self) -> Vec<Box<dyn SinkRequest>> {
        vec![
            Box::new(wandb::SinkRequest {
                flag: self.wandb_flag,
                table: self.wandb.clone(),
                by_notes: false,
            }),
            Box::new(tensorboard::SinkRequest(self.tensorboard)),
            Box::new(mlflow::SinkRequest {
                flag: self.mlflow_flag.clone(),
                table: self.mlflow.clone(),
            }),
        ]
    }

    /// The most parts that a batch of any task is trained in.
    pub(crate) fn replicas(&self) -> usize {
        self.tasks.values().map(|task| task.training.replicas).max().unwrap_or(1).max(1)
    }

    /// Time between checkpoints of a run, if it keeps any.
    pub(crate) fn checkpoints(&self) -> Option<Duration> {
        (self.checkpoint_every > 0.0).then(|| Duration::from_secs_f64(self.checkpoint_every))
    }

    /// What is wrong with the value at `key`, with where the value is from.
    pub(crate) fn error(&self, key: &str, what: &dyn std::fmt::Display) -> Error {
        self.origins.error(key, what)
    }

    /// What is wrong with the value at `key`, which must fit those at `others`: where a flag has set one of these, the
    /// flag is named first.
    pub(crate) fn conflict(
        &self,
        key: &str,
        others: &[&str],
        what: &dyn std::fmt::Display,
    ) -> Error {
        self.origins.conflict(key, others, what)
    }

    /// Where the value at `key` is from, as in `s.yaml: parameters.activation`.
    pub(crate) fn place(&self, key: &str) -> String {
        self.origins.place(key)
    }

    /// The description, as long as it is that of this very comparison: nothing where variables or flags choose other
    /// activations, other tasks or another name than the file that it is from.
    pub(crate) fn own_description(&self) -> &str {
        let chosen =
            ["activations", "name"].iter().any(|key| self.origins.is_above(key, "description"));
        if chosen || !self.left_out.is_empty() { "" } else { &self.description }
    }

    /// What the experiment is: every key that decides what it finds or claims, as it was given.
    pub(crate) fn registered(&self) -> serde_json::Value {
        let values = to_toml(self.origins.values.clone());
        let mut json =
            values.and_then(|values| serde_json::to_value(values).ok()).unwrap_or_default();
        if let Some(table) = json.as_object_mut() {
            table.retain(|key, _| REGISTERED.contains(&key.as_str()));
            // In one form, so that two forms of the same seeds are no change.
            if let Some(seeds) = table.get_mut("seeds") {
                *seeds = self.seeds.clone().into();
            }
            if let Some(overrides) = table.get_mut("overrides").and_then(|all| all.as_array_mut()) {
                let is_out = |task: &str| self.left_out.iter().any(|name| name == task);
                let mut own = self.overrides.iter();
                overrides.retain(|one| {
                    let arm = own.next().and_then(|change| self.arm_left_out(change));
                    arm.is_none() && !one["task"].as_str().is_some_and(is_out)
                });
            }
        }
        json
    }

    /// Every seed that a run may have, in the order in which they are trained.
    pub(crate) fn all_seeds(&self) -> Vec<u64> {
        match &self.sequential {
            Some(sequential) => sequential.order(&self.seeds),
            None => self.seeds.clone(),
        }
    }

    /// Adds every task in each of the precisions.
    fn add_precisions(&mut self) -> Result<(), (String, String)> {
        let at = |message: String| Err(("precisions".to_owned(), message));
        let tasks = std::mem::take(&mut self.tasks);
        for (name, task) in tasks {
            if !self.precisions.is_empty() && !task.training.precision.is_f32() {
                return at(format!("task `{name}` has a precision of its own"));
            }
            let mut variants: Vec<Precision> = self.precisions.clone();
            variants.sort_unstable();
            if let Some(pair) = variants.windows(2).find(|pair| pair[0] == pair[1]) {
                return at(format!("duplicate precision `{}`", pair[0]));
            }
            if variants.is_empty() {
                variants.push(task.training.precision);
            }
            for precision in variants {
                let mut variant = task.clone();
                variant.training.precision = precision;
                let own = self.precisions.is_empty() || precision.is_f32();
                let variant_name = if own { name.clone() } else { format!("{name}_{precision}") };
                if !own {
                    self.variants.insert(variant_name.clone(), name.clone());
                }
                if self.tasks.insert(variant_name.clone(), variant).is_some() {
                    return at(format!("there is another task `{variant_name}`"));
                }
            }
        }
        Ok(())
    }

    /// Activations of the file that this experiment does not have, of those that overrides may be about.
    fn arms_left_out(&self, of_file: &[ArmRequest]) -> Vec<String> {
        if self.overrides.iter().all(|change| change.activation.is_none()) {
            return Vec::new();
        }
        // What is wrong with one that is trained is said with its place when runs are planned.
        let labels: Vec<String> =
            self.activations.iter().filter_map(|arm| arm.label().ok()).collect();
        let of_file = of_file.iter().filter_map(|arm| arm.label().ok());
        of_file.filter(|label| !labels.contains(label)).collect()
    }

    /// The activation that a change is for, where the file has it and flags, variables or a sweep file leave it out.
    pub(crate) fn arm_left_out(&self, change: &Override) -> Option<String> {
        let arm = change.activation.as_ref().filter(|_| !self.left_out_arms.is_empty())?;
        let label = arm.label_among(self.left_out_arms.iter()).ok()?;
        self.left_out_arms.contains(&label).then_some(label)
    }

    /// Whether a change that is meant for `wanted` is meant for the task `name`.
    pub(crate) fn is_task(&self, wanted: Option<&str>, name: &str) -> bool {
        let base = self.variants.get(name).map(String::as_str);
        wanted.is_none_or(|task| task == name || Some(task) == base)
    }

    /// The folder of the sweep.
    pub(crate) fn dir(&self) -> PathBuf {
        self.output.join(&self.name)
    }
}
