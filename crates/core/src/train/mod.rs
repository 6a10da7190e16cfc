//! The training loop.

mod evaluation;
mod feed;
mod measured;
mod parts;
mod scaler;
mod state;
mod step;

use crate::Error;
use crate::checkpoint::{Checkpoint, Stage, Unusable};
use crate::data::Dataset;
use crate::divergence;
use crate::model::weights::{self, Weights};
use crate::model::{Model, Network, initialize, registration};
use crate::objective::evaluation;
use crate::recipe::Recipe;
use crate::sites::{Activations, LearnedSite, Sites};
use actlab_kernels::reads;
use burn::tensor::Device;
use record::{Event, Outcome, Predictions, RunSpec, Summary, TrainStep};
use state::{Course, Run};

#[cfg(test)]
pub(crate) use measured::Unread;
pub(crate) use scaler::LossScaler;

/// Version of everything here that decides numbers; part of a run's identity.
pub const NUMERICS: u32 = 6;

/// The same of what decides numbers on other devices than the CPU alone.
const DEVICE_NUMERICS: u32 = 3;

/// The version of everything here that decides the numbers of a run on a kind of device, as in `cpu` or `cuda`.
#[must_use]
pub fn numerics(device: &str) -> u32 {
    if device == CPU { NUMERICS } else { NUMERICS + 1000 * DEVICE_NUMERICS }
}

/// What a spec calls the CPU.
const CPU: &str = "cpu";

/// Steps that other devices are given before the processor waits for them.
const READ_EVERY: usize = 8;

/// Is told what happens during training, and says whether to continue.
pub trait Monitor {
    /// Something was measured.
    ///
    /// # Errors
    /// What cannot be kept; training then stops.
    fn event(&mut self, event: &Event) -> Result<(), Box<dyn std::error::Error + Send + Sync>>;

    /// Whether the user wants to stop.
    fn interrupted(&self) -> bool;

    /// A checkpoint from which to continue; the caller has kept the events until then, and no others.
    fn resume(&mut self) -> Option<Checkpoint> {
        None
    }

    /// Whether it is time to keep a checkpoint.
    fn checkpoint_due(&self) -> bool {
        false
    }

    /// Keeps a checkpoint, as a file's content. What cannot be kept costs time if the run is stopped, and no
    /// more.
    fn checkpoint(&mut self, step: u64, bytes: Vec<u8>) {
        let _ = (step, bytes);
    }
}

/// Why training stopped without a result.
#[derive(Debug, thiserror::Error)]
pub enum Stopped {
    /// The user interrupted it.
    #[error("interrupted")]
    Interrupted,
    /// What was measured could not be kept.
    #[error(transparent)]
    Monitor(Box<dyn std::error::Error + Send + Sync>),
    /// Model, data and recipe do not go together.
    #[error(transparent)]
    Setup(#[from] Error),
    /// The checkpoint to resume from is not of this run.
    #[error(transparent)]
    Checkpoint(#[from] Unusable),
}

/// What training gives.
#[derive(Debug)]
pub struct Finished {
    /// Completed or diverged.
    pub outcome: Outcome,
    /// What was measured.
    pub summary: Summary,
    /// One a test example; empty for a diverged run.
    pub predictions: Predictions,
    /// Wall time in seconds, also before it was stopped and went on.
    pub seconds: f64,
    /// Wall time of the training steps alone, in seconds.
    pub train_seconds: f64,
    /// Examples seen in training.
    pub train_examples: u64,
}

/// Everything that a run needs.
#[derive(Debug, Clone, Copy)]
pub struct Trainer<'a> {
    /// What to do.
    pub spec: &'a RunSpec,
    /// The activations of `spec`.
    pub activations: &'a Activations,
    /// The data of `spec`.
    pub data: &'a Dataset,
    /// Where to compute, without autodiff: the first one trains, and replicas of the network take all in turns.
    pub devices: &'a [Device],
    /// What each thread that replicas compute on calls first, with its number in its pool.
    pub start_thread: fn(usize),
    /// Steps that may be made before what they measure is read. Each read waits for the device. No number depends on it.
    pub read_every: usize,
}

impl<'a> Trainer<'a> {
    /// One whose threads begin with nothing. What a step measures on the CPU is read at once.
    #[must_use]
    pub fn new(
        spec: &'a RunSpec,
        activations: &'a Activations,
        data: &'a Dataset,
        devices: &'a [Device],
    ) -> Self {
        let on_cpu = devices.iter().all(|device| *device == Device::flex());
        let read_every = if on_cpu { 1 } else { READ_EVERY };
        Self { spec, activations, data, devices, start_thread: |_| {}, read_every }
    }

    /// The first device.
    fn device(&self) -> &'a Device {
        self.devices.first().expect("a run is trained somewhere")
    }
}

/// Trains, validates, and evaluates the best checkpoint on the test split once. A trial of tuning never sees that split.
///
/// The numbers depend on the spec alone: on no clock, no thread count and no earlier run.
///
/// # Errors
/// If it is interrupted, or the monitor fails, or the spec makes no sense.
pub fn train(trainer: Trainer<'_>, monitor: &mut dyn Monitor) -> Result<Finished, Stopped> {
    (registration(&trainer.spec.model)?.train)(trainer, monitor)
}

/// The first training steps of a run.
#[derive(Debug)]
pub struct FirstSteps {
    /// What each measures.
    pub measured: Vec<TrainStep>,
    /// How often all of them together have read from the device, and so waited for it.
    pub reads: u64,
}

/// The first `count` training steps: to know what a step takes (the first one warms up), or to compare devices.
///
/// # Errors
/// If the spec makes no sense.
pub fn first_steps(trainer: Trainer<'_>, count: u64) -> Result<FirstSteps, Error> {
    (registration(&trainer.spec.model)?.first_steps)(trainer, count)
}

/// [`train`] for a spec whose model is `M`.
pub(crate) fn train_model<M: Model>(
    trainer: Trainer<'_>,
    monitor: &mut dyn Monitor,
) -> Result<Finished, Stopped> {
    let recipe = Recipe::new(trainer.spec, trainer.data, trainer.activations)?;
    Run::new(&recipe, network::<M>(trainer, &recipe)?, trainer)?.run(monitor)
}

/// [`first_steps`] for a spec whose model is `M`.
pub(crate) fn first_steps_of_model<M: Model>(
    trainer: Trainer<'_>,
    count: u64,
) -> Result<FirstSteps, Error> {
    let recipe = Recipe::new(trainer.spec, trainer.data, trainer.activations)?;
    let mut run = Run::new(&recipe, network::<M>(trainer, &recipe)?, trainer)?;
    let total = run.steps.total;
    let before = reads();
    let mut measured = Vec::new();
    for step in 1..=count {
        run.step(step, total.max(count), 0.0);
        if run.unrecorded.len() >= run.read_every || step == count {
            measured.extend(run.read().into_iter().map(|step| step.measured));
        }
    }
    Ok(FirstSteps { measured, reads: reads() - before })
}

/// The network of a spec whose model is `M`, with the weights that it starts from, and what its activations learn.
fn network<M: Model>(
    trainer: Trainer<'_>,
    recipe: &Recipe<'_>,
) -> Result<(M::Network, Vec<LearnedSite>), Error> {
    let model: M = crate::component::parameters(&trainer.spec.model)?;
    let interface = recipe.objective.interface(trainer.data)?;
    let device = trainer.device().clone().autodiff();
    let sites = Sites::on(&device, trainer.activations);
    let network = initialize(model.build(&interface, &sites, &device)?, trainer.spec.seed);
    let learned = sites.into_learned();
    let Some(path) = model.weights() else { return Ok((network, learned)) };
    let file = Weights::read(path)?;
    if trainer.spec.weights_sha256.as_deref() != Some(file.sha256()) {
        return Err(file.refuse(OTHER_WEIGHTS));
    }
    Ok((weights::load(network, &file)?, learned))
}

/// Why a run does not start from a file.
const OTHER_WEIGHTS: &str = "is not the file that the run was planned with: its SHA-256 is another";

impl<N: Network> Run<'_, N> {
    /// Trains until the budget, patience or divergence ends it, then evaluates the best weights on the test split.
    fn run(mut self, monitor: &mut dyn Monitor) -> Result<Finished, Stopped> {
        let mut course = self.begin(monitor)?;
        while course.diverged.is_none() {
            let interrupted = monitor.interrupted();
            if self.made(&course) > 0 && (interrupted || monitor.checkpoint_due()) {
                self.record(&mut course, monitor)?;
                if course.diverged.is_some() {
                    break;
                }
                self.save(&mut course, monitor)?;
            }
            if interrupted {
                return Err(Stopped::Interrupted);
            }
            match course.progress.stage.clone() {
                Stage::Step if self.made(&course) < self.steps.last => {
                    self.advance(&mut course, monitor)?;
                }
                Stage::Evaluate { layers } => {
                    let result = self.validate(&mut course, layers, monitor);
                    self.saved_where_interrupted(result, &mut course, monitor)?;
                }
                Stage::Step | Stage::Ended => break,
            }
        }
        self.end(&mut course);
        if self.is_a_trial_to_continue(&course) {
            self.save(&mut course, monitor)?;
        }
        let mut predictions = Predictions::default();
        if course.diverged.is_none() {
            predictions = self.test_best(&mut course, monitor)?;
        }
        let outcome = match course.diverged.take() {
            Some((step, reason)) => {
                // Never reported by its best moment before the crash.
                course.progress.summary.best_validation = None;
                course.progress.summary.steps_to_target = None;
                Outcome::Diverged { step, reason }
            }
            None => Outcome::Completed,
        };
        Ok(Finished {
            outcome,
            predictions,
            seconds: course.seconds(),
            summary: course.progress.summary,
            train_seconds: self.train_seconds,
            train_examples: self.train_examples,
        })
    }

    /// Applies the recipe's rule of divergence where training has ended, not where a trial did from which a longer one
    /// continues.
    fn end(&self, course: &mut Course<N>) {
        let (made, steps) = (course.recorded(), &self.steps);
        if course.diverged.is_none() && (made < steps.last || steps.last == steps.total) {
            let Recipe { spec, data, objective, .. } = self.recipe;
            let losses = &course.progress.recent_losses;
            let guessing = objective.guessing_loss(data);
            let reason = divergence::at_the_end(spec.training.divergence, losses, guessing);
            course.diverged = reason.map(|reason| (made, reason));
        }
    }

    /// Whether a longer trial of the same may continue from where this one has ended.
    fn is_a_trial_to_continue(&self, course: &Course<N>) -> bool {
        let steps = &self.steps;
        course.recorded() == steps.last && steps.last < steps.total && course.diverged.is_none()
    }

    /// The predictions of the best weights on the test split, which no trial sees.
    fn test_best(
        &self,
        course: &mut Course<N>,
        monitor: &mut dyn Monitor,
    ) -> Result<Predictions, Stopped> {
        let Recipe { spec, data, objective, .. } = self.recipe;
        let Some(best) = course.best.as_ref().filter(|_| spec.trial.is_none()) else {
            return Ok(Predictions::default());
        };
        let when = (best.evaluation.step, best.evaluation.epoch);
        let result = self.scores(&best.network, &data.test, monitor);
        let scores = self.saved_where_interrupted(result, course, monitor)?;
        let test = evaluation(&**objective, when, &scores);
        if !test.loss.is_finite() {
            course.diverged = Some((course.recorded(), "the test loss is not finite".to_owned()));
            return Ok(Predictions::default());
        }
        let summary = &mut course.progress.summary;
        summary.test = Some(test);
        summary.test_examples = Some(scores.len() as u64);
        Ok(objective.predictions(&scores))
    }
}
