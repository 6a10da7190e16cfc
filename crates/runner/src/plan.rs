//! From an experiment to its runs.

use crate::experiment::{BUDGET, Experiment, FORMS, Task};
use crate::guard::guarded;
use crate::tune::Assignment;
use crate::{Error, experiment::Override};
use activation::{Activation, ActivationRequest};
use actlab_core::data::{Catalogue, Dataset};
use actlab_core::{DeviceSpec, ModelSize, model_size};
use record::{ActivationSpec, RunSpec, Trial};
use std::collections::HashMap;
use std::sync::Arc;

/// Everything that a sweep does.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    /// The runs that are reported; where something is tuned, as they would be without it. In the order of seeds,
    /// then tasks, then activations.
    pub(crate) runs: Vec<PlannedRun>,
    /// Label of the arm that the others are compared to.
    pub(crate) baseline: String,
    pub(crate) planner: Planner<'a>,
}

/// Makes runs of an experiment.
#[derive(Debug)]
pub(crate) struct Planner<'a> {
    experiment: &'a Experiment,
    /// Where to train.
    pub(crate) device: DeviceSpec,
    arms: Vec<Arc<dyn Activation>>,
    fingerprints: Vec<String>,
    /// Labels of the arms, in the order of the experiment.
    pub(crate) labels: Vec<String>,
    /// The arm that each override is about, where it is about one.
    overridden: Vec<Option<String>>,
    catalogue: Catalogue,
    loaded: HashMap<String, Arc<Dataset>>,
}

/// One run with what it needs.
#[derive(Debug, Clone)]
pub(crate) struct PlannedRun {
    pub(crate) spec: RunSpec,
    pub(crate) activation: Arc<dyn Activation>,
    pub(crate) data: Arc<Dataset>,
    pub(crate) size: ModelSize,
    /// Optimizer steps of the whole budget.
    pub(crate) steps: u64,
    /// Folder name of a shorter trial of the same, from whose end it goes on.
    pub(crate) goes_on_from: Option<String>,
}

impl PlannedRun {
    /// The run of `spec`, whose activation and data these are.
    ///
    /// # Errors
    /// If model, data and recipe do not go together.
    pub(crate) fn new(
        spec: RunSpec,
        activation: Arc<dyn Activation>,
        data: Arc<Dataset>,
    ) -> Result<Self, actlab_core::Error> {
        let size = model_size(&spec.model, &data, &activation)?;
        let per_epoch = data.train.len().div_ceil(spec.training.batch_size.max(1)) as u64;
        let steps = spec.training.budget.steps(per_epoch);
        Ok(Self { spec, activation, data, size, steps, goes_on_from: None })
    }

    /// The step at which it ends.
    pub(crate) fn last_step(&self) -> u64 {
        self.spec.trial.map_or(self.steps, |trial| trial.steps.min(self.steps))
    }

    /// The same run as a trial of tuning that ends after the part `part` of its budget, or at the evaluation that
    /// follows.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "steps are far below 2^52"
    )]
    pub(crate) fn trial(mut self, part: f64) -> Self {
        let every = self.spec.training.evaluate_every.unwrap_or_else(|| self.steps_per_epoch());
        let wanted = (part * self.steps as f64).ceil() as u64;
        let steps = wanted.max(1).next_multiple_of(every).min(self.steps);
        self.spec.trial = Some(Trial { steps });
        self
    }

    fn steps_per_epoch(&self) -> u64 {
        self.data.train.len().div_ceil(self.spec.training.batch_size) as u64
    }

    /// Relative cost of a training step: its operations.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    pub(crate) fn step_cost(&self) -> f64 {
        self.size.flops as f64 * self.spec.training.batch_size as f64
    }

    /// Relative cost of all its steps.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    pub(crate) fn cost(&self) -> f64 {
        self.step_cost() * self.last_step() as f64
    }
}

/// The activation of a spec, if this program has it as it was.
///
/// # Errors
/// If it is unknown, or its formula is another one.
pub(crate) fn build(spec: &ActivationSpec) -> Result<Arc<dyn Activation>, Error> {
    let request =
        ActivationRequest { name: spec.name.clone(), parameters: spec.parameters.clone() };
    let activation = activation::build(&request)?;
    if fingerprint(&activation) != spec.fingerprint {
        return Err(Error::Usage(format!(
            "this program's formula of {} is not the one that the run is about",
            spec.label
        )));
    }
    Ok(activation)
}

/// A formula that panics is to cost its runs, and those tell how.
fn fingerprint(activation: &Arc<dyn Activation>) -> String {
    guarded(|| activation.fingerprint()).unwrap_or_else(|_| "panics".to_owned())
}

impl<'a> Plan<'a> {
    /// Resolves names, loads data, and checks that everything goes together.
    pub(crate) fn new(experiment: &'a Experiment) -> Result<Self, Error> {
        let mut planner = Planner::new(experiment)?;
        let baseline = match &experiment.baseline {
            None => planner.labels[0].clone(),
            Some(request) => {
                let label = label(request).map_err(|error| experiment.error("baseline", &error))?;
                if !planner.labels.contains(&label) {
                    let reason = format!("`{label}` is none of the activations");
                    return Err(experiment.error("baseline", &reason));
                }
                label
            }
        };
        let mut runs = Vec::new();
        for seed in &experiment.all_seeds() {
            for task in experiment.tasks.keys() {
                for arm in 0..planner.labels.len() {
                    runs.push(planner.run(task, arm, *seed, &[])?);
                }
            }
        }
        Ok(Self { runs, baseline, planner })
    }
}

impl<'a> Planner<'a> {
    fn new(experiment: &'a Experiment) -> Result<Self, Error> {
        let at = |key: String, what: &dyn std::fmt::Display| experiment.error(&key, what);
        let device: DeviceSpec =
            experiment.device.parse().map_err(|error| at("device".into(), &error))?;
        let mut arms: Vec<Arc<dyn Activation>> = Vec::new();
        for (i, request) in experiment.activations.iter().enumerate() {
            let key = format!("activations[{i}]");
            let arm = activation::build(request).map_err(|error| at(key.clone(), &error))?;
            if arms.iter().any(|other| other.label() == arm.label()) {
                return Err(at(key, &format!("`{}` stands there twice", arm.label())));
            }
            arms.push(arm);
        }
        let labels: Vec<String> = arms.iter().map(|arm| arm.label()).collect();
        let mut overridden = Vec::new();
        for (i, change) in experiment.overrides.iter().enumerate() {
            let key = || format!("overrides[{i}].activation");
            let arm = change.activation.as_ref().map(label).transpose();
            let arm = arm.map_err(|error| at(key(), &error))?;
            if let Some(arm) = arm.as_ref().filter(|arm| !labels.contains(arm)) {
                let known = labels.join(", ");
                return Err(at(key(), &format!("`{arm}` is none of the activations: {known}")));
            }
            overridden.push(arm);
        }
        Ok(Self {
            experiment,
            device,
            fingerprints: arms.iter().map(fingerprint).collect(),
            labels,
            overridden,
            arms,
            catalogue: Catalogue::new(experiment.data_dir.clone(), experiment.data_folders.clone()),
            loaded: HashMap::new(),
        })
    }

    /// The run of the arm number `arm` on `task` with `seed`, and with `assignments` laid upon its recipe.
    pub(crate) fn run(
        &mut self,
        name: &str,
        arm: usize,
        seed: u64,
        assignments: &[Assignment],
    ) -> Result<PlannedRun, Error> {
        let experiment = self.experiment;
        let at = |key: String, what: &dyn std::fmt::Display| {
            if assignments.is_empty() {
                return experiment.error(&key, what);
            }
            let values: Vec<String> =
                assignments.iter().map(|one| format!("{} = {}", one.path, one.value)).collect();
            let what = format!("with {}: {key}: {what}", values.join(", "));
            experiment.error("tune.parameters", &what)
        };
        let inside = |part: String, error: &actlab_core::Error| match error.key() {
            // An error that names a key of another part of the task.
            Some(key) if key.starts_with("data.") => {
                at(part.replace(".training", &format!(".{key}")), error)
            }
            Some(key) => at(format!("{part}.{key}"), error),
            None => at(part, error),
        };
        let label = &self.labels[arm];
        let task = &experiment.tasks[name];
        let task = apply(task, &experiment.overrides, &self.overridden, name, label)
            .map_err(|(change, error)| at(format!("overrides[{change}].set"), &error))?;
        let task = lay(task, assignments).map_err(|error| at(format!("tasks.{name}"), &error))?;
        let key = format!("{:?} {:?}", task.data, task.model);
        let data = match self.loaded.get(&key) {
            Some(data) => Arc::clone(data),
            None => {
                let data = self
                    .catalogue
                    .load(&task.data, &task.model)
                    .map_err(|error| inside(format!("tasks.{name}.data"), &error))?;
                if !self.loaded.values().any(|other| other.name == data.name) {
                    warn_of_differences(&data);
                }
                Arc::clone(self.loaded.entry(key).or_insert(Arc::new(data)))
            }
        };
        let activation = &self.arms[arm];
        let spec = RunSpec {
            activation: ActivationSpec {
                name: activation.registration().name.to_owned(),
                parameters: activation.parameters().clone(),
                label: label.clone(),
                fingerprint: self.fingerprints[arm].clone(),
            },
            task: name.to_owned(),
            model: task.model,
            data: task.data,
            data_sha256: data.sha256.clone(),
            training: task.training,
            seed,
            device: self.device.kind().to_owned(),
            numerics: actlab_core::NUMERICS,
            trial: None,
        };
        actlab_core::check(&spec, &data)
            .map_err(|error| inside(format!("tasks.{name}.training"), &error))?;
        PlannedRun::new(spec, Arc::clone(activation), data)
            .map_err(|error| inside(format!("tasks.{name}.model"), &error))
    }
}

/// Results on other data than the published are not comparable with those of others under the same name.
fn warn_of_differences(data: &Dataset) {
    let [first, others @ ..] = &data.differences[..] else { return };
    let others = match others.len() {
        0 => String::new(),
        1 => ", and 1 other file of it differs".to_owned(),
        more => format!(", and {more} other files of it differ"),
    };
    crate::console::warning(&format!(
        "data set `{0}` is not as published: {first}{others}; `actlab data verify {0}` lists all",
        data.name
    ));
}

/// `task` with `assignments` laid upon it.
fn lay(task: Task, assignments: &[Assignment]) -> Result<Task, serde_json::Error> {
    if assignments.is_empty() {
        return Ok(task);
    }
    let mut value = serde_json::to_value(&task)?;
    for assignment in assignments {
        merge(&mut value, &assignment.nested());
    }
    serde_json::from_value(value)
}

fn label(request: &ActivationRequest) -> Result<String, activation::BuildError> {
    Ok(activation::build(request)?.label())
}

/// The task as `overrides` leave it for one arm; an error comes with the position of its override.
fn apply(
    task: &Task,
    overrides: &[Override],
    arms: &[Option<String>],
    name: &str,
    label: &str,
) -> Result<Task, (usize, serde_json::Error)> {
    let mut changed = task.clone();
    for (i, (change, arm)) in overrides.iter().zip(arms).enumerate() {
        let meant = change.task.as_deref().is_none_or(|task| task == name)
            && arm.as_deref().is_none_or(|arm| arm == label);
        if meant {
            let mut value = serde_json::to_value(&changed).map_err(|error| (i, error))?;
            merge(&mut value, &change.set);
            changed = serde_json::from_value(value).map_err(|error| (i, error))?;
        }
    }
    Ok(changed)
}

/// Lays `over` upon `under`, table by table, as the layers of an experiment do: another form of a model
/// or optimizer, and another budget, replace the old one as a whole.
fn merge(under: &mut serde_json::Value, over: &serde_json::Value) {
    match (under, over) {
        (serde_json::Value::Object(under), serde_json::Value::Object(over)) => {
            for (key, value) in over {
                match under.get_mut(key) {
                    Some(old) if key != BUDGET && same_form(key, old, value) => merge(old, value),
                    _ => {
                        under.insert(key.clone(), value.clone());
                    }
                }
            }
        }
        (under, over) => *under = over.clone(),
    }
}

fn same_form(key: &str, old: &serde_json::Value, new: &serde_json::Value) -> bool {
    !FORMS.contains(&key) || new.get("name").is_none_or(|name| old.get("name") == Some(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn overrides_merge_tables_and_replace_forms() {
        let mut value = json!({
            "optimizer": { "name": "sgd", "momentum": 0.9 }, "budget": { "epochs": 3 }, "warmup": 0.1
        });
        merge(&mut value, &json!({ "optimizer": { "momentum": 0.8 }, "budget": { "steps": 9 } }));
        assert_eq!(
            value,
            json!({
                "optimizer": { "name": "sgd", "momentum": 0.8 }, "budget": { "steps": 9 }, "warmup": 0.1
            })
        );
        merge(&mut value, &json!({ "optimizer": { "name": "adamw" } }));
        assert_eq!(value["optimizer"], json!({ "name": "adamw" }));
    }

    /// Every experiment that ships can be planned with what ships, and names its schema.
    #[test]
    fn experiments_that_ship_make_plans() {
        use crate::cli::{ExperimentArgs, Flags};
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../experiments");
        let mut plans = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let file = entry.unwrap().path();
            if file.extension().is_none_or(|extension| extension != "toml") {
                continue;
            }
            let text = std::fs::read_to_string(&file).unwrap();
            assert!(text.starts_with("#:schema ./schema.json"), "{}", file.display());
            let args = ExperimentArgs { file: Some(file), flags: Flags::default() };
            let experiment = Experiment::load(&args).unwrap();
            let plan = Plan::new(&experiment).unwrap();
            assert!(!plan.runs.is_empty());
            plans += 1;
        }
        assert!(plans > 0);
    }
}
