//! Experiment files: what they hold, and how a value gets its final form.

mod layers;

use crate::Error;
use crate::cli::{ExperimentArgs, Flags};
use crate::execute::launcher::{LauncherKind, SlurmSettings};
use crate::sequential::Sequential;
use crate::tune::Tune;
use crate::wandb_sweep;
use activation::ActivationRequest;
use analysis::{AllPairs, Family};
use config::{Config, FileFormat};
use indexmap::IndexMap;
use layers::{Origins, Setting, Text, environment, from_toml, to_toml};
use record::{DataSpec, ModelSpec, TrainingSpec};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;
use tracking::wandb::Mode;

/// The experiment that `sweep` runs without a file.
pub(crate) const DEFAULT_FILE: &str = "experiments/quick.toml";

/// Tables that take one of several forms, by their `name`: another form keeps nothing of the old one.
pub(crate) const FORMS: [&str; 2] = ["model", "optimizer"];

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

/// [`Jobs::Auto`], as users write it.
const AUTO: &str = "auto";

/// An experiment: activations × tasks × seeds.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Experiment {
    /// Name of the experiment, and of its folder below `output`.
    pub(crate) name: String,
    /// What it asks, in a sentence.
    #[serde(default)]
    pub(crate) description: String,
    /// The arms: `"gelu"`, `"leaky_relu(slope=0.2)"` or `{ name = "silu", beta = 1.702 }`.
    #[schemars(with = "Vec<ActivationSchema>")]
    pub(crate) activations: Vec<ActivationRequest>,
    /// The arm that the others are compared to; the first where absent.
    #[serde(default)]
    #[schemars(with = "Option<ActivationSchema>")]
    pub(crate) baseline: Option<ActivationRequest>,
    /// Differences of test accuracy of at most so many percentage points do not matter: arms that are surely
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
    /// Every arm is trained once with each.
    pub(crate) seeds: Vec<u64>,
    /// Ends the sweep when its comparisons are decided.
    #[serde(default)]
    pub(crate) sequential: Option<Sequential>,
    /// What the arms are trained on, by name.
    pub(crate) tasks: IndexMap<String, Task>,
    /// What is tuned before the runs that are reported.
    #[serde(default)]
    pub(crate) tune: Option<Tune>,
    /// Changes for some arms or tasks, applied in order.
    #[serde(default)]
    pub(crate) overrides: Vec<Override>,
    /// Where to train: `cpu`, `cuda`, `cuda:N`, `wgpu`.
    pub(crate) device: String,
    /// Runs that go on side by side, each in a process of its own: a number, or `auto` for one a processor (one on
    /// a GPU) as far as memory allows. They change no number.
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
    /// Seconds between samples of processor, memory, GPUs and energy; 0 takes none.
    pub(crate) system_metrics: f64,
    /// Seconds between checkpoints of a run, from which it goes on where it was stopped; 0 keeps none.
    pub(crate) checkpoint_every: f64,
    /// Where runs go on: in processes of this machine (`local`), or as tasks of a Slurm cluster (`slurm`).
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
    /// Where every value is from.
    #[serde(skip)]
    origins: Origins,
}

/// How every activation is compared with every other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Pairs {
    /// t tests of each pair with Holm's correction
    #[default]
    Holm,
    /// Tukey's test with seeds as blocks
    Tukey,
    /// Not at all
    None,
}

impl Pairs {
    /// As the analysis takes it.
    pub(crate) fn how(self) -> Option<AllPairs> {
        match self {
            Self::Holm => Some(AllPairs::Holm),
            Self::Tukey => Some(AllPairs::Tukey),
            Self::None => None,
        }
    }
}

/// [`Family`], for the schema.
#[derive(JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(dead_code, reason = "only its schema is used")]
enum FamilySchema {
    Report,
    Task,
}

/// Keys that decide what an experiment finds or claims: the others say where and how it is run.
const REGISTERED: [&str; 13] = [
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
    "tune",
    "overrides",
    "device",
];

/// How many runs go on side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "toml::Value")]
pub(crate) enum Jobs {
    /// As many as processors and memory allow.
    Auto,
    /// So many.
    Number(usize),
}

impl Jobs {
    /// What the user has said, if anything.
    pub(crate) fn number(self) -> Option<usize> {
        match self {
            Self::Auto => None,
            Self::Number(number) => Some(number),
        }
    }
}

impl TryFrom<toml::Value> for Jobs {
    type Error = &'static str;

    fn try_from(value: toml::Value) -> Result<Self, Self::Error> {
        match value {
            toml::Value::String(word) if word == AUTO => Ok(Self::Auto),
            toml::Value::Integer(number) if number >= 1 => {
                usize::try_from(number).map(Self::Number).map_err(|_| "is too large")
            }
            _ => Err("must be `auto`, or a number of 1 or more"),
        }
    }
}

impl FromStr for Jobs {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = text.parse().map(toml::Value::Integer);
        Self::try_from(number.unwrap_or_else(|_| toml::Value::String(text.to_owned())))
    }
}

/// [`Jobs`], for the schema.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum JobsSchema {
    Number(usize),
    Word(JobsWord),
}

#[derive(JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(dead_code, reason = "only its schema is used")]
enum JobsWord {
    Auto,
}

/// Whether and where runs are logged to Weights & Biases. Its own variables, as WANDB_MODE and
/// WANDB_PROJECT, go before this.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Wandb {
    /// `online`, `offline` or `disabled`, which it is where absent: a key alone turns nothing on.
    pub(crate) mode: Option<Mode>,
    /// User or team; the key's own where absent.
    pub(crate) entity: Option<String>,
    /// Project; `actlab` where absent.
    pub(crate) project: Option<String>,
    /// Tags of every run, beside activation, task and model.
    pub(crate) tags: Vec<String>,
}

/// Model, data and recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Task {
    /// Network.
    pub(crate) model: ModelSpec,
    /// Data set.
    pub(crate) data: DataSpec,
    /// Recipe.
    pub(crate) training: TrainingSpec,
}

/// A change for the arms and tasks that it names; those that it does not name are not restricted.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Override {
    /// Arm, as in `activations`.
    #[serde(default)]
    #[schemars(with = "Option<ActivationSchema>")]
    pub(crate) activation: Option<ActivationRequest>,
    /// Name of a task.
    #[serde(default)]
    pub(crate) task: Option<String>,
    /// What changes: a part of a task, as in `{ training = { learning_rate = 0.05 } }`.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub(crate) set: serde_json::Value,
}

/// An activation, for the schema.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum ActivationSchema {
    /// `name` or `name(parameter=value)`.
    Text(String),
    /// `{ name = "…", parameter = value }`.
    Table {
        /// Name or alias.
        name: String,
        #[serde(flatten)]
        parameters: serde_json::Map<String, serde_json::Value>,
    },
}

impl Experiment {
    /// Time between checkpoints of a run, if it keeps any.
    pub(crate) fn checkpoints(&self) -> Option<Duration> {
        (self.checkpoint_every > 0.0).then(|| Duration::from_secs_f64(self.checkpoint_every))
    }

    /// Reads the experiment: defaults, then the file, then the environment, then the flags.
    pub(crate) fn load(args: &ExperimentArgs) -> Result<Self, Error> {
        let mut file = args.file.clone().unwrap_or_else(|| DEFAULT_FILE.into());
        let read = |file: &Path| {
            std::fs::read_to_string(file)
                .map_err(|error| missing(file, args.file.is_none(), &error))
        };
        let mut text = read(&file)?;
        let mut layers = Vec::new();
        if wandb_sweep::is_one(&file) {
            let table = |base: &Path| {
                toml::from_str(&read(base)?).map_err(|error: toml::de::Error| {
                    Error::Experiment(format!("{}: {error}", base.display()))
                })
            };
            let changes = wandb_sweep::read(&file, &text, &table)?;
            for (key, value) in changes.values {
                let value = toml::Value::try_from(value).map_err(|error| {
                    Error::Experiment(format!("{}: {key}: {error}", file.display()))
                })?;
                let value = from_toml(value, &file.display().to_string());
                layers.push(Setting { key, value });
            }
            file = changes.base;
            text = read(&file)?;
        }
        Self::layered(&file, &text, layers, &args.flags)
    }

    /// The experiment `text` of `file`, with `layers` upon it, then the environment, then the flags.
    pub(crate) fn layered(
        file: &Path,
        text: &str,
        mut layers: Vec<Setting>,
        args: &Flags,
    ) -> Result<Self, Error> {
        let mut flags = Vec::new();
        for pair in &args.set {
            let (key, value) = pair.split_once('=').ok_or_else(|| {
                Error::Usage(format!("--set {pair}: must be KEY=VALUE, as in --set 'seeds=[1,2]'"))
            })?;
            flags.push(Setting::new("--set", key.trim(), value.trim())?);
        }
        let count = |n: usize| toml::Value::Integer(i64::try_from(n).unwrap_or(i64::MAX));
        if args.tensorboard {
            let value = from_toml(toml::Value::Boolean(true), "--tensorboard");
            flags.push(Setting { key: "tensorboard".to_owned(), value });
        }
        let jobs = args.jobs.map(|jobs| match jobs {
            Jobs::Auto => toml::Value::String(AUTO.to_owned()),
            Jobs::Number(number) => count(number),
        });
        let words = [
            ("device", args.device.clone().map(toml::Value::String)),
            ("jobs", jobs),
            (
                "launcher",
                args.launcher.map(|launcher| match launcher {
                    LauncherKind::Local => "local".into(),
                    LauncherKind::Slurm => "slurm".into(),
                }),
            ),
            ("retries", args.retries.map(|retries| toml::Value::Integer(retries.into()))),
            ("threads", args.threads.map(count)),
            ("output", args.output.clone().map(toml::Value::String)),
        ];
        for (key, value) in words {
            if let Some(value) = value {
                let origin = format!("--{key}");
                let value = from_toml(value, &origin);
                flags.push(Setting { key: key.to_owned(), value });
            }
        }
        layers.extend(environment(std::env::vars_os())?);
        let mut experiment = Self::parse(file, text, layers, flags)?;
        experiment.wandb_flag = args.wandb;
        Ok(experiment)
    }

    fn parse(
        file: &Path,
        text: &str,
        environment: Vec<Setting>,
        flags: Vec<Setting>,
    ) -> Result<Self, Error> {
        let config = Config::builder()
            .add_source(config::File::from_str(DEFAULTS, FileFormat::Toml))
            .add_source(Text { origin: file.display().to_string(), text: text.to_owned() });
        let config = environment
            .into_iter()
            .chain(flags)
            .fold(config, |config, setting| config.add_source(setting.clear()).add_source(setting))
            .build()
            .map_err(|error| Error::Experiment(format!("{}: {error}", file.display())))?;
        let origins = Origins { file: file.to_owned(), values: config.cache.clone() };
        // By way of TOML, which is strict: config itself would take 2.5 epochs for 3.
        let values = to_toml(config.cache).unwrap_or(toml::Value::Table(toml::Table::new()));
        let mut experiment: Self = serde_path_to_error::deserialize(values).map_err(|error| {
            origins.error(&error.path().to_string(), &error.inner().to_string().trim_end())
        })?;
        experiment.origins = origins;
        experiment.check().map_err(|(key, message)| experiment.error(&key, &message))?;
        Ok(experiment)
    }

    /// What is wrong with the value at `key`, with where the value is from.
    pub(crate) fn error(&self, key: &str, what: &dyn std::fmt::Display) -> Error {
        self.origins.error(key, what)
    }

    /// Refuses what no type forbids; the error is a key and what is wrong with it.
    fn check(&self) -> Result<(), (String, String)> {
        let refuse = |key: &str, message: &str| Err((key.to_owned(), message.to_owned()));
        if !is_name(&self.name) {
            return refuse(
                "name",
                "must have letters, digits, `-`, `_` and `.` only: it names a folder",
            );
        }
        if self.activations.is_empty() {
            return refuse("activations", "must name one activation or more");
        }
        if self.seeds.is_empty() {
            return refuse("seeds", "must hold one seed or more");
        }
        let mut seen = std::collections::HashSet::new();
        if let Some(seed) = self.seeds.iter().find(|seed| !seen.insert(**seed)) {
            return refuse("seeds", &format!("{seed} stands there twice"));
        }
        if self.tasks.is_empty() {
            return refuse("tasks", "must hold one task or more");
        }
        let dotted = |name: &&String| !is_name(name) || name.contains('.');
        if let Some(name) = self.tasks.keys().find(dotted) {
            let message = "a task's name must have letters, digits, `-` and `_` only";
            return refuse(&format!("tasks.{name}"), message);
        }
        if self.margin.is_some_and(|margin| !(margin > 0.0 && margin < 100.0)) {
            return refuse("margin", "must be above 0 and below 100: percentage points");
        }
        if self.slurm.runs_per_task == 0 {
            return refuse("slurm.runs_per_task", "must be 1 or more");
        }
        if self.threads == Some(0) {
            return refuse("threads", "must be 1 or more");
        }
        if !(self.system_metrics == 0.0 || (0.1..=3600.0).contains(&self.system_metrics)) {
            return refuse("system_metrics", "must be 0, or from 0.1 to 3600 seconds");
        }
        if let Some(sequential) = &self.sequential {
            sequential
                .check(&self.seeds)
                .map_err(|(key, message)| (format!("sequential.{key}"), message))?;
            if self.tune.is_some() {
                return refuse(
                    "sequential",
                    "cannot be combined with `tune`: tune first, then set what was found",
                );
            }
        }
        if let Some(tune) = &self.tune {
            tune.check(&self.seeds).map_err(|(key, message)| (format!("tune.{key}"), message))?;
        }
        if self.time_limit.is_some_and(|limit| !(limit > 0.0 && limit < 1e9)) {
            return refuse("time_limit", "must be a number of seconds above 0");
        }
        if self.memory_limit.is_some_and(|limit| !(1..1 << 40).contains(&limit)) {
            return refuse("memory_limit", "must be 1 or more: MiB");
        }
        if !(0.0..=1e6).contains(&self.checkpoint_every) {
            return refuse("checkpoint_every", "must be 0, or a number of seconds up to 1000000");
        }
        for (i, change) in self.overrides.iter().enumerate() {
            if let Some(task) = &change.task
                && !self.tasks.contains_key(task)
            {
                let known: Vec<_> = self.tasks.keys().map(String::as_str).collect();
                let message = format!("there is no task `{task}`; there are {}", known.join(", "));
                return refuse(&format!("overrides[{i}].task"), &message);
            }
        }
        Ok(())
    }

    /// An experiment again that [`Experiment::registered`] told of, which `file` holds, called `name`.
    pub(crate) fn again(
        file: &Path,
        registered: &serde_json::Value,
        name: &str,
        flags: &Flags,
    ) -> Result<Self, Error> {
        let mut registered = registered.clone();
        if let Some(table) = registered.as_object_mut() {
            table.insert("name".to_owned(), name.into());
        }
        let text = toml::Table::try_from(&registered).map(|table| table.to_string());
        let text =
            text.map_err(|error| Error::Experiment(format!("{}: {error}", file.display())))?;
        Self::layered(file, &text, Vec::new(), flags)
    }

    /// What the experiment is: every key that decides what it finds or claims, as it was given.
    pub(crate) fn registered(&self) -> serde_json::Value {
        let values = to_toml(self.origins.values.clone());
        let mut json =
            values.and_then(|values| serde_json::to_value(values).ok()).unwrap_or_default();
        if let Some(table) = json.as_object_mut() {
            table.retain(|key, _| REGISTERED.contains(&key.as_str()));
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

    /// The folder of the sweep.
    pub(crate) fn dir(&self) -> PathBuf {
        self.output.join(&self.name)
    }
}

fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty() && name.chars().all(plain) && !name.starts_with('.')
}

fn missing(file: &Path, default: bool, error: &std::io::Error) -> Error {
    let hint = if default {
        "; run it in the folder of the project, or name a file: actlab sweep FILE"
    } else {
        ""
    };
    Error::Experiment(format!("cannot read {}: {error}{hint}", file.display()))
}

/// The JSON schema of experiment files.
pub(crate) fn schema() -> String {
    let mut schema = schemars::schema_for!(Experiment);
    // Every key with a default may be left out.
    if let Some(required) = schema.get_mut("required").and_then(serde_json::Value::as_array_mut) {
        let given: toml::Table = toml::from_str(DEFAULTS).unwrap_or_default();
        required.retain(|key| !key.as_str().is_some_and(|key| given.contains_key(key)));
    }
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
        name = "test"
        activations = ["relu", { name = "silu", beta = 1.702 }]
        seeds = [1]
        [tasks.zebra]
        model = { name = "resnet", depth = 8 }
        data = { name = "fashion-mnist-mini" }
        training = { batch_size = 2, budget = { epochs = 1 }, optimizer = { name = "sgd" }, learning_rate = 1 }
        [tasks.ant]
        model = { name = "bert", size = "tiny" }
        data = { name = "movie-reviews" }
        training = { batch_size = 2, budget = { steps = 7 }, optimizer = { name = "adamw" }, learning_rate = 1e-3 }
    "#;

    fn parse(text: &str, flags: &[(&str, &str)]) -> Result<Experiment, String> {
        let flags =
            flags.iter().map(|(key, value)| Setting::new("--set", key, value).unwrap()).collect();
        let environment =
            environment([("ACTLAB_DESCRIPTION".into(), "from the environment".into())].into_iter());
        Experiment::parse(Path::new("x.toml"), text, environment.unwrap(), flags)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn layers_lie_over_each_other() {
        let flags =
            [("seeds", "[4, 5]"), ("tasks.zebra.training.budget.steps", "3"), ("device", "cuda:1")];
        let experiment = parse(FILE, &flags).unwrap();
        assert_eq!(experiment.seeds, [4, 5]);
        assert_eq!(experiment.description, "from the environment");
        assert_eq!(experiment.device, "cuda:1");
        assert_eq!(experiment.output, Path::new("results"));
        assert_eq!(experiment.tasks.keys().collect::<Vec<_>>(), ["zebra", "ant"]);
        assert_eq!(experiment.tasks["zebra"].training.budget, record::Budget::Steps(3));
        assert_eq!(experiment.activations[1].to_string(), "silu(beta=1.702)");
    }

    #[test]
    fn a_setting_that_chooses_another_form_keeps_nothing_of_the_old_one() {
        let optimizer = |flags: &[(&str, &str)]| {
            let experiment = parse(FILE, flags).unwrap();
            format!("{:?}", experiment.tasks["zebra"].training.optimizer)
        };
        let momentum = ("tasks.zebra.training.optimizer.momentum", "0.5");
        assert_eq!(optimizer(&[momentum]), "Sgd { momentum: 0.5, nesterov: false }");
        let adamw = "Adamw { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 }";
        assert_eq!(optimizer(&[momentum, ("tasks.zebra.training.optimizer.name", "adamw")]), adamw);
        assert_eq!(
            optimizer(&[momentum, ("tasks.zebra.training.optimizer", "{ name = \"adamw\" }")]),
            adamw
        );
        let budget = ("tasks.zebra.training.budget", "{ steps = 9 }");
        let experiment = parse(FILE, &[budget]).unwrap();
        assert_eq!(experiment.tasks["zebra"].training.budget, record::Budget::Steps(9));
        // A data set has one form: its other keys stay.
        let flags = [("tasks.zebra.data.train_limit", "5"), ("tasks.zebra.data.name", "mnist")];
        let data = &parse(FILE, &flags).unwrap().tasks["zebra"].data;
        assert_eq!((data.name.as_str(), data.train_limit), ("mnist", Some(5)));
    }

    #[test]
    fn errors_name_file_key_and_what_would_be_right() {
        let cases: [(String, &[(&str, &str)]); 14] = [
            (FILE.into(), &[("tasks.ant.training.budget.steps", "2.5")]),
            (FILE.into(), &[("tasks.ant.training.batch_size", "true")]),
            (FILE.replace("seeds = [1]", "seeds = [1]\nactivations2 = 3"), &[]),
            (FILE.into(), &[("tasks.zebra.model.depth", "eight")]),
            (FILE.into(), &[("tasks.zebra.model.name", "resnt")]),
            (FILE.into(), &[("tasks.zebra.training.batchsize", "2")]),
            (FILE.into(), &[("seeds", "[1, -2]")]),
            (FILE.into(), &[("seeds", "[]")]),
            (FILE.into(), &[("tasks.zebra.training.budget", "{ hours = 1 }")]),
            (FILE.into(), &[("activations", "[\"gelu(\"]")]),
            (FILE.into(), &[("activations", "[3]")]),
            (FILE.into(), &[("overrides", "[{ task = \"x\", set = {} }]")]),
            (FILE.replace("seeds = [1]", ""), &[]),
            (FILE.replace("seeds = [1]", "seeds = [1"), &[]),
        ];
        let messages: Vec<_> =
            cases.iter().map(|(text, flags)| parse(text, flags).unwrap_err()).collect();
        insta::assert_snapshot!(messages.join("\n\n"));
    }
}
