//! W&B's own sweep files, read as changes of an experiment. What cannot be honoured is refused.
//!
//! The keys are those of <https://docs.wandb.ai/models/sweeps/sweep-config-keys>.

use crate::Error;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// Names that people give to keys of a task.
const ALIASES: &[(&str, &str)] = &[
    ("batch_size", "training.batch_size"),
    ("clip_norm", "training.clip_norm"),
    ("dropout", "model.dropout"),
    ("epochs", "training.budget.epochs"),
    ("label_smoothing", "training.label_smoothing"),
    ("learning_rate", "training.learning_rate"),
    ("lr", "training.learning_rate"),
    ("momentum", "training.optimizer.momentum"),
    ("optimizer", "training.optimizer"),
    ("schedule", "training.schedule"),
    ("steps", "training.budget.steps"),
    ("training", "training"),
    ("model", "model"),
    ("data", "data"),
    ("tasks", "tasks"),
    ("warmup", "training.warmup"),
    ("weight_decay", "training.weight_decay"),
];

/// What trials are compared by.
const METRIC: &str = "validation/accuracy";

/// Seeds of trials where the experiment names none: so many, from the one after its largest on.
const TRIAL_SEEDS: u64 = 3;

/// Values of an integer range that a grid tries at most.
const LONGEST_RANGE: i64 = 1000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    program: PathBuf,
    method: String,
    #[serde(default)]
    metric: Option<Metric>,
    parameters: Map<String, Value>,
    #[serde(default)]
    early_terminate: Option<EarlyTerminate>,
    #[serde(default)]
    run_cap: Option<u64>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    project: Option<String>,
    #[serde(default)]
    entity: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Metric {
    name: String,
    #[serde(default)]
    goal: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct EarlyTerminate {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    min_iter: Option<f64>,
    #[serde(default)]
    max_iter: Option<f64>,
    #[serde(default)]
    s: Option<i32>,
    #[serde(default)]
    eta: Option<f64>,
    #[serde(default)]
    strict: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameter {
    #[serde(default)]
    value: Option<Value>,
    #[serde(default)]
    values: Option<Vec<Value>>,
    #[serde(default)]
    min: Option<Value>,
    #[serde(default)]
    max: Option<Value>,
    #[serde(default)]
    distribution: Option<String>,
    #[serde(default)]
    parameters: Option<Map<String, Value>>,
}

/// What a sweep file changes.
#[derive(Debug)]
pub(crate) struct Changes {
    /// The experiment that it varies.
    pub(crate) base: PathBuf,
    /// Keys of the experiment and their values.
    pub(crate) values: Vec<(String, Value)>,
}

/// Values that a parameter takes.
#[derive(Debug)]
enum Range {
    Values(Vec<Value>),
    Between { min: f64, max: f64, log: bool, integer: bool },
}

/// A key below the file's root, and what is wrong with it.
type Refusal = (String, String);

fn refuse<T>(key: &str, message: impl Into<String>) -> Result<T, Refusal> {
    Err((key.to_owned(), message.into()))
}

/// Whether a file is one of W&B's.
pub(crate) fn is_one(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
}

/// What the sweep file `text` changes; `read` reads the experiment that it names.
///
/// # Errors
/// Whatever cannot be honoured, by its key.
pub(crate) fn read(
    file: &Path,
    text: &str,
    read: &dyn Fn(&Path) -> Result<toml::Table, Error>,
) -> Result<Changes, Error> {
    let wrong = |message: String| Error::Experiment(format!("{}: {message}", file.display()));
    let sweep: File = serde_saphyr::from_str(text).map_err(|error| wrong(error.to_string()))?;
    if sweep.program.extension().is_none_or(|extension| extension != "toml") {
        return Err(wrong(format!(
            "program: must be the experiment file that the parameters vary, as in experiments/quick.toml, and {} is none",
            sweep.program.display()
        )));
    }
    let base = read(&sweep.program)?;
    let values =
        sweep.changes(&base).map_err(|(key, message)| wrong(format!("{key}: {message}")))?;
    Ok(Changes { base: sweep.program, values })
}

impl File {
    fn changes(&self, base: &toml::Table) -> Result<Vec<(String, Value)>, Refusal> {
        if let Some(metric) = &self.metric {
            if metric.name != METRIC {
                return refuse(
                    "metric.name",
                    format!("trials are compared by {METRIC}, not by {}", metric.name),
                );
            }
            if metric.goal.as_deref().is_some_and(|goal| goal != "maximize") {
                return refuse(
                    "metric.goal",
                    format!("must be maximize: {METRIC} is better where it is higher"),
                );
            }
        }
        let grid = match self.method.as_str() {
            "grid" => true,
            "random" => false,
            other => {
                return refuse(
                    "method",
                    format!(
                        "must be grid or random; {other} is not to be had: its trials would depend on which were finished first"
                    ),
                );
            }
        };
        let mut values = Vec::new();
        let mut constants = Vec::new();
        let mut tuned = Map::new();
        let (mut arms, mut seeds) = (None, None);
        for (key, range) in self.ranges()? {
            let place = format!("parameters.{key}");
            match (key.as_str(), range) {
                ("activation" | "activations", Range::Values(all)) => arms = Some(all),
                ("seed" | "seeds", Range::Values(all)) => seeds = Some(all),
                ("activation" | "activations" | "seed" | "seeds", _) => {
                    return refuse(&place, "needs `values`");
                }
                (_, Range::Values(all)) if all.len() == 1 => {
                    constants
                        .push((full(&key).map_err(|message| (place, message))?, all[0].clone()));
                }
                (_, range) => {
                    let path = full(&key).map_err(|message| (place.clone(), message))?;
                    tuned.insert(path, range.table(grid).map_err(|message| (place, message))?);
                }
            }
        }
        let count = |key: &str, given: &Option<Vec<Value>>| {
            let own = base.get(key).and_then(toml::Value::as_array).map_or(0, Vec::len);
            given.as_ref().map_or(own, Vec::len) as u64
        };
        let tasks = base.get("tasks").and_then(toml::Value::as_table).map_or(0, toml::Table::len);
        let cells = count("activations", &arms) * tasks as u64;
        let finals = cells * count("seeds", &seeds);
        let known: Vec<u64> = seeds
            .clone()
            .or_else(|| serde_json::to_value(base.get("seeds")?).ok()?.as_array().cloned())
            .unwrap_or_default()
            .iter()
            .filter_map(Value::as_u64)
            .collect();
        values.extend(arms.map(|arms| ("activations".to_owned(), Value::Array(arms))));
        values.extend(seeds.map(|seeds| ("seeds".to_owned(), Value::Array(seeds))));
        if tuned.is_empty() {
            if self.early_terminate.is_some() {
                return refuse(
                    "early_terminate",
                    "there is nothing to choose from: no parameter but activation and seed has several values",
                );
            }
            if self.run_cap.is_some_and(|cap| cap < finals) {
                return refuse(
                    "run_cap",
                    format!(
                        "is less than the {finals} runs of the sweep, and a part of them would compare unequal things"
                    ),
                );
            }
        } else {
            let own = base.get("tune").and_then(|tune| tune.get("seeds")).cloned();
            let next = known.iter().max().map_or(1, |last| last + 1);
            let trial_seeds: Vec<u64> = match own.map(toml::Value::try_into) {
                Some(Ok(seeds)) => seeds,
                _ => (next..next + TRIAL_SEEDS).collect(),
            };
            let trials = self.trials(grid, &tuned, cells * trial_seeds.len() as u64, finals)?;
            let mut tune = json!({
                "method": if grid { "grid" } else { "random" },
                "seeds": trial_seeds,
                "parameters": tuned,
            });
            if !grid {
                tune["trials"] = json!(trials);
            }
            if let Some(early) = &self.early_terminate {
                tune["early_stop"] = early.policy(base)?;
            }
            values.push(("tune".to_owned(), tune));
        }
        if !constants.is_empty() {
            let mut overrides = base
                .get("overrides")
                .and_then(|overrides| serde_json::to_value(overrides).ok()?.as_array().cloned())
                .unwrap_or_default();
            overrides.extend(constants.into_iter().map(|(path, value)| constant(&path, value)));
            values.push(("overrides".to_owned(), Value::Array(overrides)));
        }
        for (key, value) in [
            ("name", &self.name),
            ("description", &self.description),
            ("wandb.project", &self.project),
            ("wandb.entity", &self.entity),
        ] {
            values.extend(value.as_ref().map(|value| (key.to_owned(), json!(value))));
        }
        Ok(values)
    }

    /// Parameters by their keys, those in tables with a dot.
    fn ranges(&self) -> Result<Vec<(String, Range)>, Refusal> {
        fn walk(
            prefix: &str,
            table: &Map<String, Value>,
            all: &mut Vec<(String, Range)>,
        ) -> Result<(), Refusal> {
            for (key, value) in table {
                let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                let place = format!("parameters.{key}");
                let parameter: Parameter = serde_json::from_value(value.clone())
                    .map_err(|error| (place.clone(), error.to_string()))?;
                match &parameter.parameters {
                    Some(inner) => walk(&key, inner, all)?,
                    None => all.push((key, parameter.range().map_err(|message| (place, message))?)),
                }
            }
            Ok(())
        }
        let mut all = Vec::new();
        walk("", &self.parameters, &mut all)?;
        Ok(all)
    }

    /// Trials of each arm on each task, within the cap.
    fn trials(
        &self,
        grid: bool,
        tuned: &Map<String, Value>,
        runs_of_one: u64,
        finals: u64,
    ) -> Result<u64, Refusal> {
        if grid {
            let points: u64 = tuned
                .values()
                .map(|range| range["values"].as_array().map_or(1, Vec::len) as u64)
                .product();
            let all = points * runs_of_one + finals;
            return match self.run_cap {
                Some(cap) if cap < all => refuse(
                    "run_cap",
                    format!(
                        "is less than the {all} runs of the whole grid, and a part of it would compare unequal things"
                    ),
                ),
                _ => Ok(points),
            };
        }
        let Some(cap) = self.run_cap else {
            return refuse("run_cap", "is missing: a random search needs an end");
        };
        match cap.saturating_sub(finals) / runs_of_one.max(1) {
            0 => refuse(
                "run_cap",
                format!(
                    "must be {} or more: one trial of each arm on each task under each seed of tuning, and {finals} final runs",
                    runs_of_one + finals
                ),
            ),
            trials => Ok(trials),
        }
    }
}

impl Parameter {
    fn range(&self) -> Result<Range, String> {
        let number = |value: &Option<Value>| value.as_ref().and_then(Value::as_f64);
        let whole = |value: &Option<Value>| {
            value.as_ref().is_some_and(|value| value.is_i64() || value.is_u64())
        };
        let between = |log: bool, integer: bool| match (number(&self.min), number(&self.max)) {
            (Some(min), Some(max)) if min < max => Ok(Range::Between { min, max, log, integer }),
            _ => Err("needs numbers `min` and `max`, the first below the second".to_owned()),
        };
        let given = match (&self.value, &self.values, &self.min, &self.max) {
            (Some(_), None, None, None) => "constant",
            (None, Some(_), None, None) => "categorical",
            (None, None, Some(_), Some(_)) if whole(&self.min) && whole(&self.max) => "int_uniform",
            (None, None, Some(_), Some(_)) => "uniform",
            _ => return Err("needs `value`, `values`, or `min` and `max`".to_owned()),
        };
        match (self.distribution.as_deref().unwrap_or(given), &self.value, &self.values) {
            ("constant", Some(value), None) => Ok(Range::Values(vec![value.clone()])),
            ("categorical", None, Some(values)) if !values.is_empty() => {
                Ok(Range::Values(values.clone()))
            }
            ("int_uniform", None, None) => between(false, true),
            ("uniform", None, None) => between(false, false),
            ("log_uniform_values", None, None) => between(true, false),
            // Its ends are exponents.
            ("log_uniform", None, None) => match between(false, false)? {
                Range::Between { min, max, .. } => Ok(Range::Between {
                    min: libm::exp(min),
                    max: libm::exp(max),
                    log: true,
                    integer: false,
                }),
                range => Ok(range),
            },
            (other, ..) => Err(format!(
                "the distribution {other} is not to be had here: there are constant, categorical, int_uniform, uniform, log_uniform and log_uniform_values, each with its own keys"
            )),
        }
    }
}

impl Range {
    /// The range as `[tune.parameters]` has it.
    fn table(&self, grid: bool) -> Result<Value, String> {
        Ok(match self {
            Self::Values(values) => json!({ "values": values }),
            Self::Between { min, max, integer: true, .. } if grid => {
                let (min, max) = (*min as i64, *max as i64);
                if max - min >= LONGEST_RANGE {
                    return Err(format!("a grid over more than {LONGEST_RANGE} values"));
                }
                json!({ "values": (min..=max).collect::<Vec<i64>>() })
            }
            Self::Between { .. } if grid => {
                return Err("a grid needs `values`, or whole numbers `min` and `max`".to_owned());
            }
            Self::Between { min, max, log, integer } => json!({
                "min": min,
                "max": max,
                "scale": if *log { "log" } else { "linear" },
                "integer": integer,
            }),
        })
    }
}

impl EarlyTerminate {
    /// Successive halving with the brackets of Hyperband, whose iterations are evaluations.
    fn policy(&self, base: &toml::Table) -> Result<Value, Refusal> {
        if self.kind != "hyperband" {
            return refuse("early_terminate.type", format!("must be hyperband, not {}", self.kind));
        }
        if self.strict == Some(false) {
            return refuse(
                "early_terminate.strict",
                "must be true or absent: a trial that is not among the best ends",
            );
        }
        let eta = self.eta.unwrap_or(3.0);
        if eta < 2.0 || eta.fract() != 0.0 {
            return refuse("early_terminate.eta", "must be a whole number of 2 or more");
        }
        let first = match (self.min_iter, self.max_iter, self.s) {
            (Some(first), None, None) => first,
            (None, Some(last), Some(s)) => last / libm::pow(eta, f64::from(s)),
            _ => {
                return refuse("early_terminate", "needs either `min_iter`, or `max_iter` and `s`");
            }
        };
        let mut parts: Vec<f64> = Vec::new();
        for (name, task) in base.get("tasks").and_then(toml::Value::as_table).into_iter().flatten()
        {
            let training = |key: &str| task.get("training").and_then(|training| training.get(key));
            let budget =
                |unit: &str| training("budget").and_then(|budget| budget.get(unit)?.as_integer());
            let every = training("evaluate_every").and_then(toml::Value::as_integer);
            let evaluations = match (budget("epochs"), budget("steps"), every) {
                (Some(epochs), None, None) => epochs as f64,
                (None, Some(steps), Some(every)) if every > 0 => {
                    (steps as f64 / every as f64).ceil()
                }
                _ => {
                    return refuse(
                        "early_terminate",
                        format!(
                            "task {name}: how many evaluations it has is known for a budget in epochs, or one in steps with `evaluate_every`, alone"
                        ),
                    );
                }
            };
            parts.push(first / evaluations);
        }
        let part = parts.first().copied().unwrap_or(1.0);
        if parts.iter().any(|other| (other - part).abs() > 1e-9) {
            return refuse(
                "early_terminate",
                "the tasks have different numbers of evaluations: use `[tune] early_stop`, which counts in parts of a budget",
            );
        }
        if part >= 1.0 {
            return refuse(
                "early_terminate",
                format!(
                    "the first comparison, after {first} evaluations, comes when a trial is over"
                ),
            );
        }
        Ok(json!({ "policy": "successive_halving", "first": part, "eta": eta as i64 }))
    }
}

/// A key of a task for a name in a sweep file.
fn full(key: &str) -> Result<String, String> {
    let (head, rest) = key.split_once('.').map_or((key, None), |(head, rest)| (head, Some(rest)));
    match ALIASES.iter().find(|(name, _)| *name == head) {
        Some((_, path)) => {
            Ok(rest.map_or_else(|| (*path).to_owned(), |rest| format!("{path}.{rest}")))
        }
        None => {
            let known: Vec<&str> = ALIASES.iter().map(|(name, _)| *name).collect();
            Err(format!(
                "is no key of an experiment; there are activation, seed, {}, and those below them with a dot, as in training.optimizer.momentum",
                known.join(", ")
            ))
        }
    }
}

/// The override that gives every task, or the one that `path` names, this value.
fn constant(path: &str, value: Value) -> Value {
    let nest = |path: &str, value| path.rsplit('.').fold(value, |inner, key| json!({ key: inner }));
    match path.strip_prefix("tasks.").and_then(|rest| rest.split_once('.')) {
        Some((task, path)) => json!({ "task": task, "set": nest(path, value) }),
        None => json!({ "set": nest(path, value) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = r#"
        activations = ["relu"]
        seeds = [1, 2]
        [tasks.images.training]
        budget = { epochs = 9 }
    "#;

    fn changes(text: &str) -> Result<String, String> {
        let base = |_: &Path| Ok(toml::from_str(BASE).unwrap());
        read(Path::new("sweep.yaml"), text, &base)
            .map(|changes| serde_json::to_string_pretty(&changes.values).unwrap())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_sweep_file_becomes_an_experiment() {
        let text = "
program: experiments/quick.toml
method: random
name: lr
project: acts
metric:
  name: validation/accuracy
  goal: maximize
run_cap: 40
parameters:
  activation:
    values: [relu, gelu]
  seed:
    values: [1, 2]
  learning_rate:
    distribution: log_uniform_values
    min: 0.001
    max: 1
  batch_size:
    min: 16
    max: 64
  training:
    parameters:
      optimizer:
        parameters:
          momentum:
            values: [0.8, 0.9]
  weight_decay:
    value: 5.0e-4
early_terminate:
  type: hyperband
  min_iter: 3
";
        insta::assert_snapshot!(changes(text).unwrap());
    }

    #[test]
    fn activations_and_seeds_alone_need_no_tuning() {
        let text = "program: a.toml\nmethod: grid\nparameters:\n  activation: {values: [relu, gelu]}\n  seed: {values: [5]}\n";
        assert_eq!(
            serde_json::from_str::<Value>(&changes(text).unwrap()).unwrap(),
            json!([["activations", ["relu", "gelu"]], ["seeds", [5]]])
        );
    }

    #[test]
    fn what_cannot_be_honoured_is_refused() {
        let grid = "program: a.toml\nmethod: grid\nparameters: {lr: {values: [0.1, 0.2]}}\n";
        let random = "program: a.toml\nmethod: random\nrun_cap: 20\nparameters: {lr: {min: 0.1, max: 0.2}}\n";
        let cases = [
            grid.replace("a.toml", "train.py"),
            grid.replace("method: grid", "method: bayes"),
            format!("{grid}command: [python, train.py]\n"),
            format!("{grid}metric: {{name: val_loss, goal: minimize}}\n"),
            format!("{grid}metric: {{name: validation/accuracy, goal: minimize}}\n"),
            grid.replace("lr:", "layers:"),
            grid.replace("[0.1, 0.2]", "[0.1, 0.2], probabilities: [0.5, 0.5]"),
            grid.replace("values: [0.1, 0.2]", "min: 0.1, max: 0.2"),
            grid.replace("values: [0.1, 0.2]", "mu: 0, sigma: 1, distribution: normal"),
            format!("{grid}run_cap: 5\n"),
            random.replace("run_cap: 20\n", ""),
            random.replace("run_cap: 20", "run_cap: 3"),
            format!("{random}early_terminate: {{type: median}}\n"),
            format!("{random}early_terminate: {{type: hyperband, min_iter: 9}}\n"),
            format!("{random}early_terminate: {{type: hyperband, min_iter: 3, strict: false}}\n"),
            "program: a.toml\n\tmethod".to_owned(),
        ];
        let messages: Vec<String> = cases.iter().map(|case| changes(case).unwrap_err()).collect();
        insta::assert_snapshot!(messages.join("\n"));
    }
}
