//! The training loop.

use crate::Error;
use crate::checkpoint::{self, Checkpoint, Progress, Recipe, Stage, Tensors, Unusable};
use crate::data::{AUGMENTATION, Batch, Batches, Dataset, Examples, Part};
use crate::divergence::{self, not_finite};
use crate::evaluate::{Said, better, cross_entropy, evaluation, largest, said};
use crate::model::{ModelConfig, ModelSize, Network, Pass, Probe, initialize};
use crate::optimizer::{Optimizer, gradient_norm};
use crate::parameters::trained_names;
use crate::recipe::check;
use crate::schedule::learning_rate;
use crate::steps::Steps;
use crate::stream::Stream;
use activation::Activation;
use burn::optim::GradientsParams;
use burn::tensor::Device;
use record::{
    Evaluation, Event, Gradients, LayerGradient, Outcome, Prediction, RunSpec, Site, Summary,
    TrainStep,
};
use std::sync::Arc;
use std::time::Instant;

/// Version of everything here that decides numbers; part of a run's identity.
pub const NUMERICS: u32 = 4;

/// Examples of a batch in evaluations.
const EVALUATION_BATCH: usize = 250;

/// Is told what happens during training, and says whether to go on.
pub trait Monitor {
    /// Something was measured.
    ///
    /// # Errors
    /// What cannot be kept; training then stops.
    fn event(&mut self, event: &Event) -> Result<(), Box<dyn std::error::Error + Send + Sync>>;

    /// Whether the user wants to stop.
    fn interrupted(&self) -> bool;

    /// A checkpoint from which to go on; whoever gives one has kept the events until then, and no others.
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
    /// The checkpoint to go on from is not of this run.
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
    pub predictions: Vec<Prediction>,
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
    /// The activation of `spec`.
    pub activation: &'a Arc<dyn Activation>,
    /// The data of `spec`.
    pub data: &'a Dataset,
    /// Where to compute, without autodiff.
    pub device: &'a Device,
}

/// Trains, validates, and judges the best checkpoint on the test split once. A trial of tuning is not judged.
///
/// The numbers depend on the spec alone: on no clock, no thread count and no earlier run.
///
/// # Errors
/// If it is interrupted, or the monitor fails, or the spec makes no sense.
pub fn train(trainer: Trainer<'_>, monitor: &mut dyn Monitor) -> Result<Finished, Stopped> {
    let Trainer { spec, activation, data, device } = trainer;
    check(spec, data)?;
    let device = device.clone().autodiff();
    match ModelConfig::new(&spec.model, data)? {
        ModelConfig::Resnet(config) => {
            Run::new(trainer, config.init(activation, &device)).run(monitor)
        }
        ModelConfig::Bert(config) => {
            Run::new(trainer, config.init(activation, &device)).run(monitor)
        }
    }
}

/// Seconds that one training step takes, the first one (which warms up) not counted.
///
/// # Errors
/// If the spec makes no sense.
pub fn measure_step(trainer: Trainer<'_>) -> Result<f64, Error> {
    fn seconds<N: Network>(trainer: Trainer<'_>, network: N) -> f64 {
        let mut run = Run::new(trainer, network);
        (1..=2).map(|step| run.step(step, 2, 0.0).0.seconds).fold(0.0, |_, last| last)
    }

    let Trainer { spec, activation, data, device } = trainer;
    check(spec, data)?;
    let device = device.clone().autodiff();
    Ok(match ModelConfig::new(&spec.model, data)? {
        ModelConfig::Resnet(config) => seconds(trainer, config.init(activation, &device)),
        ModelConfig::Bert(config) => seconds(trainer, config.init(activation, &device)),
    })
}

struct Run<'a, N> {
    trainer: Trainer<'a>,
    batches: Batches<'a>,
    /// It is away during an update, which writes over parameters that nobody else holds.
    network: Option<N>,
    optimizer: Optimizer,
    /// Training examples in the order of the current epoch.
    order: Vec<usize>,
    order_stream: Stream,
    augmentation: Stream,
    dropout: Stream,
    train_seconds: f64,
    train_examples: u64,
}

/// Prefixes of the names of tensors in a checkpoint.
const MODEL: &str = "model/";
const BEST: &str = "best/";

/// Why there is a network.
const WHOLE: &str = "the network is away during an update only";

/// The best weights so far.
struct Best<N> {
    evaluation: Evaluation,
    network: N,
}

/// How far training has come.
struct Course<N> {
    progress: Progress,
    best: Option<Best<N>>,
    /// The step at which it diverged, and why.
    diverged: Option<(u64, String)>,
    started: Instant,
    /// Wall time before it was stopped and resumed, in seconds.
    seconds_before: f64,
}

impl<N> Course<N> {
    /// Steps that were made.
    fn made(&self) -> u64 {
        self.progress.summary.steps
    }

    /// Wall time so far.
    fn seconds(&self) -> f64 {
        self.seconds_before + self.started.elapsed().as_secs_f64()
    }
}

impl<'a, N: Network> Run<'a, N> {
    fn new(trainer: Trainer<'a>, network: N) -> Self {
        let Trainer { spec, data, .. } = trainer;
        let network = initialize(network, spec.seed);
        Self {
            trainer,
            batches: Batches::new(data, spec.data.augmentation),
            optimizer: Optimizer::new(spec.training.optimizer.clone(), spec.training.weight_decay),
            network: Some(network),
            order: Vec::new(),
            order_stream: Stream::new(spec.seed, "order"),
            augmentation: Stream::new(spec.seed, AUGMENTATION),
            dropout: Stream::new(spec.seed, "dropout"),
            train_seconds: 0.0,
            train_examples: 0,
        }
    }

    fn network(&self) -> &N {
        self.network.as_ref().expect(WHOLE)
    }

    /// Goes to where `checkpoint` was taken; the best weights until then.
    fn restore(
        &mut self,
        checkpoint: Checkpoint,
        size: ModelSize,
    ) -> Result<(Progress, Option<Best<N>>), Unusable> {
        let Trainer { spec, data, device, .. } = self.trainer;
        let Checkpoint { progress, mut tensors } = checkpoint;
        let streams = checkpoint::check(&progress, &Recipe { spec, data, size })?;
        self.unchanged_without_updates(&progress, &tensors)?;
        let best = match progress.best {
            Some(evaluation) => {
                let network = tensors.load_module(BEST, self.network().valid())?;
                Some(Best { evaluation, network })
            }
            None => None,
        };
        self.network = Some(tensors.load_module(MODEL, self.network().clone())?);
        let network = self.network.as_ref().expect(WHOLE);
        self.optimizer.load(network, &mut tensors, &progress.updates, device)?;
        if let Some(name) = tensors.left() {
            return Err(Unusable::new(format!("the tensor `{name}` belongs to nothing")));
        }
        [self.order_stream, self.augmentation, self.dropout] = streams;
        self.order.clone_from(&progress.order);
        self.train_seconds = progress.train_seconds;
        self.train_examples = progress.train_examples;
        Ok((progress, best))
    }

    /// Refuses weights that differ from the initial ones though they were never updated.
    fn unchanged_without_updates(
        &self,
        progress: &Progress,
        tensors: &Tensors,
    ) -> Result<(), Unusable> {
        let mut initial = Tensors::default();
        initial.add_module(MODEL, &self.network().valid());
        for name in trained_names(self.network()) {
            let updated = progress.updates.contains_key(&name);
            if !updated && !tensors.agrees(&initial, &format!("{MODEL}{name}")) {
                return Err(Unusable::new(format!(
                    "`updates` lacks `{name}`, which is not as it was initialised"
                )));
            }
        }
        Ok(())
    }

    /// Training as it stands, to go on from.
    fn keep(&self, progress: Progress, best: Option<&Best<N>>) -> Result<Checkpoint, Unusable> {
        let mut tensors = Tensors::default();
        // Running statistics belong to the network without autodiff.
        tensors.add_module(MODEL, &self.network().valid());
        if let Some(best) = best {
            tensors.add_module(BEST, &best.network);
        }
        let updates = self.optimizer.save(self.network(), &mut tensors);
        let streams = [&self.order_stream, &self.augmentation, &self.dropout];
        Ok(Checkpoint {
            progress: Progress {
                best: best.map(|best| best.evaluation),
                order: self.order.clone(),
                streams: streams.map(Stream::position),
                updates,
                train_seconds: self.train_seconds,
                train_examples: self.train_examples,
                ..progress
            },
            tensors,
        })
    }

    /// Trains from where the monitor has a checkpoint, or from the beginning.
    fn begin(&mut self, monitor: &mut dyn Monitor) -> Result<Course<N>, Stopped> {
        let Trainer { spec, activation, data, .. } = self.trainer;
        let size = ModelConfig::new(&spec.model, data)?.size(&**activation);
        let (progress, best) = match monitor.resume() {
            Some(checkpoint) => self.restore(checkpoint, size)?,
            None => (Progress::new(size, data.classes.len()), None),
        };
        let seconds_before = progress.seconds;
        Ok(Course { progress, best, diverged: None, started: Instant::now(), seconds_before })
    }

    fn run(mut self, monitor: &mut dyn Monitor) -> Result<Finished, Stopped> {
        let Trainer { spec, data, .. } = self.trainer;
        let steps = Steps::of(spec, data);
        let mut course = self.begin(monitor)?;
        while course.diverged.is_none() {
            let interrupted = monitor.interrupted();
            if course.made() > 0 && (interrupted || monitor.checkpoint_due()) {
                self.save(&mut course, monitor)?;
            }
            if interrupted {
                return Err(Stopped::Interrupted);
            }
            match course.progress.stage.clone() {
                Stage::Step if course.made() < steps.last => {
                    self.advance(&mut course, &steps, monitor)?;
                }
                Stage::Evaluate { layers } => {
                    let result = self.validate(&mut course, &steps, layers, monitor);
                    self.saved_where_interrupted(result, &mut course, monitor)?;
                }
                Stage::Step | Stage::Ended => break,
            }
        }

        let made = course.made();
        // The end of training, not that of a trial from which a longer one continues.
        if course.diverged.is_none() && (made < steps.last || steps.last == steps.total) {
            let losses = &course.progress.recent_losses;
            let reason =
                divergence::at_the_end(spec.training.divergence, losses, data.classes.len());
            course.diverged = reason.map(|reason| (made, reason));
        }
        if made == steps.last && steps.last < steps.total && course.diverged.is_none() {
            // A longer trial of the same continues from here.
            self.save(&mut course, monitor)?;
        }
        let mut predictions = Vec::new();
        let summary = &mut course.progress.summary;
        let outcome = if let Some((step, reason)) = course.diverged.take() {
            // Never reported by its best moment before the crash.
            summary.best_validation = None;
            summary.steps_to_target = None;
            Outcome::Diverged { step, reason }
        } else {
            if let Some(best) = course.best.as_ref().filter(|_| spec.trial.is_none()) {
                let Evaluation { step, epoch, .. } = best.evaluation;
                let result =
                    self.predict(&best.network, &data.test, |i| Examples::Test(i), monitor);
                let said = self.saved_where_interrupted(result, &mut course, monitor)?;
                let summary = &mut course.progress.summary;
                summary.test = Some(evaluation(step, epoch, &said));
                summary.test_examples = Some(said.len() as u64);
                predictions =
                    said.iter().enumerate().map(|(index, said)| said.prediction(index)).collect();
            }
            Outcome::Completed
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

    /// Hands the state of training to the monitor.
    fn save(&self, course: &mut Course<N>, monitor: &mut dyn Monitor) -> Result<(), Unusable> {
        course.progress.seconds = course.seconds();
        let checkpoint = self.keep(course.progress.clone(), course.best.as_ref())?;
        monitor.checkpoint(course.made(), checkpoint.to_bytes()?);
        Ok(())
    }

    /// `result`, after the state has been saved where an evaluation was interrupted: it is done anew later.
    fn saved_where_interrupted<T>(
        &self,
        result: Result<T, Stopped>,
        course: &mut Course<N>,
        monitor: &mut dyn Monitor,
    ) -> Result<T, Stopped> {
        if let Err(Stopped::Interrupted) = result {
            self.save(course, monitor)?;
        }
        result
    }

    /// Makes the next step.
    fn advance(
        &mut self,
        course: &mut Course<N>,
        steps: &Steps,
        monitor: &mut dyn Monitor,
    ) -> Result<(), Stopped> {
        let step = course.made() + 1;
        let epoch = steps.epoch(step);
        let (train_step, layers) = self.step(step, steps.total, epoch);
        monitor.event(&Event::Train(train_step.clone())).map_err(Stopped::Monitor)?;
        let Progress { summary, recent_losses, stage, .. } = &mut course.progress;
        summary.steps = step;
        if step == 1 {
            summary.initial_loss = train_step.loss;
        }
        if let Some(reason) = not_finite(&train_step) {
            course.diverged = Some((step, reason));
            return Ok(());
        }
        divergence::remember(self.trainer.spec.training.divergence, recent_losses, train_step.loss);
        if steps.evaluates_after(step) {
            *stage = Stage::Evaluate { layers };
        }
        Ok(())
    }

    /// Evaluates the network on the validation split after a step whose gradients by layer are `layers`. Where that is
    /// interrupted, nothing has changed.
    fn validate(
        &self,
        course: &mut Course<N>,
        steps: &Steps,
        layers: Vec<LayerGradient>,
        monitor: &mut dyn Monitor,
    ) -> Result<(), Stopped> {
        let Trainer { spec: RunSpec { training, .. }, data, .. } = self.trainer;
        let step = course.made();
        let epoch = steps.epoch(step);
        let network = self.network().valid();
        let said =
            self.predict(&network, &data.validation, |i| Examples::Validation(i), monitor)?;
        let evaluation = evaluation(step, epoch, &said);
        monitor.event(&Event::Validation(evaluation)).map_err(Stopped::Monitor)?;
        let gradients = Gradients { step, layers };
        monitor.event(&Event::Gradients(gradients)).map_err(Stopped::Monitor)?;
        let Course { progress, best, diverged, .. } = course;
        let Progress { summary, evaluations, stage, .. } = progress;
        summary.last_validation = Some(evaluation);
        *evaluations += 1;
        let improved = best.as_ref().is_none_or(|best| better(&evaluation, &best.evaluation));
        let best_step =
            best.as_ref().filter(|_| !improved).map_or(step, |best| best.evaluation.step);
        let in_vain = steps.in_vain(best_step, step);
        let gives_up = training.patience.is_some_and(|patience| in_vain >= patience);
        let statistics = training.site_statistics;
        let ends = step == steps.total || gives_up;
        if statistics.examples > 0 && (*evaluations % statistics.every == 0 || ends) {
            summary.sites = self.measure_sites(&network, step, statistics.examples);
            for site in &mut summary.sites {
                monitor.event(&Event::Site(site.clone())).map_err(Stopped::Monitor)?;
                // They stay in the stream: a summary is read for thousands of runs.
                (site.inputs, site.outputs) = (None, None);
            }
        }
        if !evaluation.loss.is_finite() {
            *diverged = Some((step, "the validation loss is not finite".to_owned()));
            return Ok(());
        }
        if training.target_accuracy.is_some_and(|target| evaluation.accuracy >= target) {
            summary.steps_to_target.get_or_insert(step);
        }
        if improved {
            summary.best_validation = Some(evaluation);
            *best = Some(Best { evaluation, network });
        }
        *stage = if gives_up { Stage::Ended } else { Stage::Step };
        Ok(())
    }

    /// The next batch of the training order; a new epoch is a new permutation.
    fn next_batch(&mut self) -> Batch {
        if self.order.is_empty() {
            self.order = self.order_stream.permutation(self.trainer.data.train.len());
            self.order.reverse();
        }
        let size = self.trainer.spec.training.batch_size.min(self.order.len());
        let indices: Vec<usize> =
            self.order.split_off(self.order.len() - size).into_iter().rev().collect();
        let examples = Examples::Train(&indices, &mut self.augmentation);
        self.batches.batch(examples, &self.trainer.device.clone().autodiff())
    }

    /// What a step measured, and its gradient by layer.
    #[expect(clippy::cast_precision_loss, reason = "counts are small")]
    fn step(&mut self, step: u64, total: u64, epoch: f64) -> (TrainStep, Vec<LayerGradient>) {
        let started = Instant::now();
        let training = &self.trainer.spec.training;
        let batch = self.next_batch();
        let network = self.network.as_ref().expect(WHOLE);
        let logits = network.forward(&batch, &mut Pass::training(&mut self.dropout));
        let loss =
            cross_entropy(logits.clone(), batch.labels.clone(), training.label_smoothing).mean();
        let gradients = loss.backward();
        let loss = f64::from(loss.inner().into_scalar::<f32>());
        let predicted = largest(logits.inner());
        let correct = predicted.iter().zip(&batch.classes).filter(|(a, b)| a == b).count();

        let gradients = GradientsParams::from_grads(gradients, self.network());
        let norm = gradient_norm(self.network(), &gradients);
        let scale = match training.clip_norm {
            Some(largest) if norm.whole > largest => largest / norm.whole,
            _ => 1.0,
        };
        let rate = learning_rate(training, step, total);
        let network = self.network.take().expect(WHOLE);
        self.network = Some(self.optimizer.step(rate, scale, network, gradients));
        let seconds = started.elapsed().as_secs_f64();
        self.train_seconds += seconds;
        self.train_examples += batch.classes.len() as u64;
        let step = TrainStep {
            step,
            epoch,
            loss,
            accuracy: correct as f64 / batch.classes.len() as f64,
            learning_rate: rate,
            gradient_norm: norm.whole,
            seconds,
        };
        (step, norm.layers)
    }

    fn predict(
        &self,
        network: &N,
        part: &Part,
        examples: impl Fn(&[usize]) -> Examples<'_>,
        monitor: &dyn Monitor,
    ) -> Result<Vec<Said>, Stopped> {
        let mut all = Vec::with_capacity(part.len());
        for indices in part.chunks(EVALUATION_BATCH) {
            if monitor.interrupted() {
                return Err(Stopped::Interrupted);
            }
            let batch = self.batches.batch(examples(&indices), self.trainer.device);
            let logits = network.forward(&batch, &mut Pass::evaluation());
            all.extend(said(logits, &batch.classes));
        }
        Ok(all)
    }

    /// Statistics of every activation site over the first validation examples.
    fn measure_sites(&self, network: &N, step: u64, examples: usize) -> Vec<Site> {
        let indices: Vec<usize> = (0..examples.min(self.trainer.data.validation.len())).collect();
        let batch = self.batches.batch(Examples::Validation(&indices), self.trainer.device);
        let mut probe = Probe::new(step, batch.real_positions());
        let _ = network.forward(&batch, &mut Pass::probed(&mut probe));
        probe.into_sites()
    }
}
