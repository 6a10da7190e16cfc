//! From an experiment to its runs.

use crate::experiment::{BUDGET, Experiment, FORMS, Task};
use crate::guard::guarded;
use crate::{Error, experiment::Override};
use activation::{Activation, ActivationRequest};
use actlab_core::data::{Catalogue, Dataset};
use actlab_core::{DeviceSpec, ModelSize, model_size};
use record::{ActivationSpec, RunSpec};
use std::collections::HashMap;
use std::sync::Arc;

/// Everything that a sweep does.
#[derive(Debug)]
pub(crate) struct Plan {
    /// In the order in which they run: by seed, then task, then activation, so that the arms can be
    /// compared on every task as early as possible.
    pub(crate) runs: Vec<PlannedRun>,
    /// Labels of the arms, in the order of the experiment.
    pub(crate) labels: Vec<String>,
    /// Label of the arm that the others are compared to.
    pub(crate) baseline: String,
    /// Where to train.
    pub(crate) device: DeviceSpec,
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

impl Plan {
    /// Resolves names, loads data, and checks that everything goes together.
    pub(crate) fn new(experiment: &Experiment) -> Result<Self, Error> {
        let at = |key: String, what: &dyn std::fmt::Display| experiment.error(&key, what);
        let inside = |part: String, error: &actlab_core::Error| match error.key() {
            // An error that names a key of another part of the task.
            Some(key) if key.starts_with("data.") => {
                at(part.replace(".training", &format!(".{key}")), error)
            }
            Some(key) => at(format!("{part}.{key}"), error),
            None => at(part, error),
        };
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
        let fingerprints: Vec<String> = arms.iter().map(fingerprint).collect();
        let labels: Vec<String> = arms.iter().map(|arm| arm.label()).collect();
        let baseline = match &experiment.baseline {
            None => labels[0].clone(),
            Some(request) => {
                let label = label(request).map_err(|error| at("baseline".into(), &error))?;
                if !labels.contains(&label) {
                    let reason = format!("`{label}` is none of the activations");
                    return Err(at("baseline".into(), &reason));
                }
                label
            }
        };
        let mut changed = Vec::new();
        for (i, change) in experiment.overrides.iter().enumerate() {
            let key = || format!("overrides[{i}].activation");
            let arm = change.activation.as_ref().map(label).transpose();
            let arm = arm.map_err(|error| at(key(), &error))?;
            if let Some(arm) = arm.as_ref().filter(|arm| !labels.contains(arm)) {
                let known = labels.join(", ");
                return Err(at(key(), &format!("`{arm}` is none of the activations: {known}")));
            }
            changed.push(arm);
        }

        let catalogue =
            Catalogue::new(experiment.data_dir.clone(), experiment.data_folders.clone());
        let mut loaded: HashMap<String, Arc<Dataset>> = HashMap::new();
        let mut runs = Vec::new();
        for seed in &experiment.seeds {
            for (name, task) in &experiment.tasks {
                for (i, arm) in arms.iter().enumerate() {
                    let task = apply(task, &experiment.overrides, &changed, name, &arm.label())
                        .map_err(|(change, error)| {
                            at(format!("overrides[{change}].set"), &error)
                        })?;
                    let key = format!("{:?} {:?}", task.data, task.model);
                    let data = match loaded.get(&key) {
                        Some(data) => Arc::clone(data),
                        None => {
                            let data = catalogue
                                .load(&task.data, &task.model)
                                .map_err(|error| inside(format!("tasks.{name}.data"), &error))?;
                            Arc::clone(loaded.entry(key).or_insert(Arc::new(data)))
                        }
                    };
                    let spec = RunSpec {
                        activation: ActivationSpec {
                            name: arm.registration().name.to_owned(),
                            parameters: arm.parameters().clone(),
                            label: arm.label(),
                            fingerprint: fingerprints[i].clone(),
                        },
                        task: name.clone(),
                        model: task.model,
                        data: task.data,
                        data_sha256: data.sha256.clone(),
                        training: task.training,
                        seed: *seed,
                        device: device.kind().to_owned(),
                        numerics: actlab_core::NUMERICS,
                        trial: None,
                    };
                    actlab_core::check(&spec, &data)
                        .map_err(|error| inside(format!("tasks.{name}.training"), &error))?;
                    let run = PlannedRun::new(spec, Arc::clone(arm), data)
                        .map_err(|error| inside(format!("tasks.{name}.model"), &error))?;
                    runs.push(run);
                }
            }
        }
        Ok(Self { runs, labels, baseline, device })
    }
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
        use crate::cli::ExperimentArgs;
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../experiments");
        let mut plans = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let file = entry.unwrap().path();
            if file.extension().is_none_or(|extension| extension != "toml") {
                continue;
            }
            let text = std::fs::read_to_string(&file).unwrap();
            assert!(text.starts_with("#:schema ./schema.json"), "{}", file.display());
            let args = ExperimentArgs {
                file: Some(file),
                set: Vec::new(),
                device: None,
                jobs: None,
                retries: None,
                threads: None,
                output: None,
                wandb: None,
                tensorboard: false,
            };
            let plan = Plan::new(&Experiment::load(&args).unwrap()).unwrap();
            assert!(!plan.runs.is_empty());
            plans += 1;
        }
        assert!(plans > 0);
    }
}
