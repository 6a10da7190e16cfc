//! Whether a recipe makes sense, and what it is made of.

use crate::Error;
use crate::component::{self, Registration};
use crate::data::augment::{self, Augmentation, AugmentationRegistration};
use crate::data::{Dataset, DatasetRegistration, Inputs};
use crate::divergence::LONGEST_WINDOW;
use crate::model::{InputShape, Layout, ModelRegistration, registration};
use crate::objective::{self, Objective, ObjectiveRegistration};
use crate::optimizer::{self, OptimizerRegistration, UpdateRule};
use crate::schedule::{LearningRate, ScheduleRegistration};
use crate::sites::Activations;
use record::{Component, DataSpec, Described, Direction, Metric, RunSpec};

/// Most replicas of a run: each is a thread at least.
const MOST_REPLICAS: usize = 64;

/// The components of a run, built.
#[derive(Debug)]
pub(crate) struct Recipe<'a> {
    pub(crate) spec: &'a RunSpec,
    pub(crate) data: &'a Dataset,
    pub(crate) objective: Box<dyn Objective>,
    /// What the run is judged by.
    pub(crate) metric: Metric,
    pub(crate) augmentation: Box<dyn Augmentation>,
    pub(crate) rate: LearningRate,
    pub(crate) layout: Layout,
}

impl<'a> Recipe<'a> {
    /// Builds the components of `spec`.
    ///
    /// # Errors
    /// What is wrong first, with its key in the task.
    pub(crate) fn new(
        spec: &'a RunSpec,
        data: &'a Dataset,
        activations: &Activations,
    ) -> Result<Self, Error> {
        check(spec, data)?;
        let objective = objective::build(&spec.objective)?;
        Ok(Self {
            metric: objective.metric(data),
            objective,
            augmentation: augment::build(&spec.data.augmentation)?,
            rate: LearningRate::of(&spec.training)?,
            layout: Layout::of(spec, data, activations)?,
            spec,
            data,
        })
    }

    /// A fresh update rule.
    pub(crate) fn update_rule(&self) -> Result<Box<dyn UpdateRule>, Error> {
        optimizer::build(&self.spec.training.optimizer)
    }
}

/// The components of a task, which an experiment names.
#[derive(Debug)]
pub struct Components<'a> {
    /// Network.
    pub model: &'a mut Component,
    /// Objective.
    pub objective: &'a mut Component,
    /// Update rule.
    pub optimizer: &'a mut Component,
    /// Learning rate over time.
    pub schedule: &'a mut Component,
    /// Data set, and random changes to its training data.
    pub data: &'a mut DataSpec,
}

/// States every parameter of `components`, under their registered names. Ranges are checked by [`check`].
///
/// # Errors
/// If a name or a parameter is unknown, or a value is of the wrong type; with its key in the task.
pub fn resolve(components: Components<'_>) -> Result<(), Error> {
    let Components { model, objective, optimizer, schedule, data } = components;
    resolve_one::<ModelRegistration>(model, "model")?;
    resolve_one::<ObjectiveRegistration>(objective, "objective")?;
    resolve_one::<OptimizerRegistration>(optimizer, "training.optimizer")?;
    resolve_one::<ScheduleRegistration>(schedule, "training.schedule")?;
    resolve_one::<AugmentationRegistration>(&mut data.augmentation, "data.augmentation")?;
    let mut source = data.component();
    resolve_one::<DatasetRegistration>(&mut source, "data")?;
    (data.name, data.parameters) = (source.name, source.parameters);
    Ok(())
}

fn resolve_one<R: Registration>(component: &mut Component, key: &str) -> Result<(), Error> {
    *component = component::resolve::<R>(component).map_err(|error| error.within(key))?;
    Ok(())
}

/// The components of `spec` in words.
///
/// # Errors
/// As [`resolve`].
pub fn describe(spec: &RunSpec) -> Result<Described, Error> {
    let model = component::describe::<ModelRegistration>(&spec.model)?;
    let optimizer = component::describe::<OptimizerRegistration>(&spec.training.optimizer)?;
    let schedule = component::describe::<ScheduleRegistration>(&spec.training.schedule)?;
    let augmentation = component::describe::<AugmentationRegistration>(&spec.data.augmentation)?;
    Ok(Described {
        model: model.label,
        model_details: model.words,
        optimizer: optimizer.words,
        schedule: schedule.words,
        augmentation: augmentation.words,
    })
}

/// Refuses recipes that make no sense.
///
/// # Errors
/// What is wrong first, with its key in the task.
#[expect(clippy::cast_possible_truncation, reason = "burn holds these as f32")]
pub fn check(spec: &RunSpec, data: &Dataset) -> Result<(), Error> {
    let training = &spec.training;
    let positive = |x: f64| x > 0.0 && x.is_finite() && (x as f32).is_finite();
    let fraction = |x: f64| (0.0..1.0).contains(&x);
    let objective = objective::build(&spec.objective)?;
    objective.interface(data)?;
    let metric = objective.metric(data);
    let checks = [
        ("batch_size", training.batch_size >= 1, "must be 1 or more"),
        ("budget", training.budget.steps(1) >= 1, "must be 1 or more"),
        ("budget", training.budget.steps(1) < 1 << 40, "is more than any run can do"),
        ("learning_rate", positive(training.learning_rate), "must be a number above 0"),
        (
            "warmup",
            fraction(training.warmup),
            "must be at least 0 and below 1: a part of all steps",
        ),
        ("label_smoothing", fraction(training.label_smoothing), "must be at least 0 and below 1"),
        (
            "weight_decay",
            training.weight_decay == 0.0 || positive(training.weight_decay),
            "must be a number of at least 0",
        ),
        (
            "precision",
            training.precision.is_f32() || registration(&spec.model)?.mixed_precision,
            "must be f32: the model has no other",
        ),
        (
            "replicas",
            (1..=MOST_REPLICAS).contains(&training.replicas),
            "must be from 1 to 64: parts of every batch",
        ),
        (
            "replicas",
            training.replicas <= training.batch_size,
            "must not be above `batch_size`: each takes an example of a batch at least",
        ),
        (
            "sync_batch_norm",
            !training.sync_batch_norm || training.replicas > 1,
            "is for `replicas` above 1: one replica sees the whole batch",
        ),
        ("clip_norm", training.clip_norm.is_none_or(positive), "must be a number above 0"),
        ("evaluate_every", training.evaluate_every != Some(0), "must be 1 or more"),
        ("patience", training.patience != Some(0), "must be 1 or more"),
        (
            "target_accuracy",
            training.target_accuracy.is_none_or(|target| target > 0.0 && target <= 1.0),
            "must be above 0 and at most 1: a part of all examples",
        ),
        (
            "target_accuracy",
            training.target_accuracy.is_none() || metric.name == "accuracy",
            "is for tasks that are judged by accuracy: use `target`",
        ),
        (
            "target",
            training.target.is_none() || training.target_accuracy.is_none(),
            "contradicts `target_accuracy`: give one of them",
        ),
        ("target", training.target.is_none_or(f64::is_finite), "must be a finite number"),
        (
            "target",
            metric.unit != "%"
                || training.target.is_none_or(|target| target > 0.0 && target <= 1.0),
            "must be above 0 and at most 1, as in 0.75: a part of all examples",
        ),
        (
            "divergence.ratio",
            training.divergence.is_none_or(|rule| rule.ratio >= 1.0 && rule.ratio.is_finite()),
            "must be a number of at least 1: a multiple of the loss of guessing",
        ),
        (
            "divergence.window",
            training.divergence.is_none_or(|rule| (1..=LONGEST_WINDOW).contains(&rule.window)),
            "must be from 1 to 100000: a number of steps",
        ),
        ("site_statistics.every", training.site_statistics.every >= 1, "must be 1 or more"),
    ];
    for (key, right, reason) in checks {
        if !right {
            return Err(Error::spec(format!("training.{key}"), reason));
        }
    }
    optimizer::build(&training.optimizer).map_err(|error| error.within("training.optimizer"))?;
    LearningRate::of(training).map_err(|error| error.within("training"))?;
    let augmentation = augment::build(&spec.data.augmentation);
    augmentation.map_err(|error| error.within("data"))?;
    if spec.data.augmentation.name != NO_AUGMENTATION
        && !matches!(data.train.inputs, Inputs::Images(_))
    {
        let holds = InputShape::of(&data.train.inputs).holds();
        let reason = format!("is for images, and the data set holds {holds}");
        return Err(Error::spec("data.augmentation", reason));
    }
    Ok(())
}

/// Refuses a target that no run can reach, or that guessing reaches. A run that was begun with one is still trained.
///
/// # Errors
/// If it is one of these.
pub fn check_target(spec: &RunSpec, data: &Dataset) -> Result<(), Error> {
    let training = &spec.training;
    let metric = objective::build(&spec.objective)?.metric(data);
    let targets = [("target_accuracy", training.target_accuracy), ("target", training.target)];
    for (key, target) in targets {
        if let Some(reason) = target.and_then(|target| pointless(&metric, target)) {
            return Err(Error::spec(format!("training.{key}"), reason));
        }
    }
    Ok(())
}

/// Why the steps to `target` say nothing: no run reaches it, or guessing does.
fn pointless(metric: &Metric, target: f64) -> Option<String> {
    if metric.direction == Direction::Lower && target <= 0.0 {
        return Some("must be above 0: no run scores less".to_owned());
    }
    metric.reaches(metric.guessing, target).then(|| {
        let side = if metric.direction == Direction::Lower { "below" } else { "above" };
        format!("must be {side} {}, which guessing scores", metric.shown(metric.guessing))
    })
}

/// Name of the augmentation that changes nothing.
const NO_AUGMENTATION: &str = "none";
