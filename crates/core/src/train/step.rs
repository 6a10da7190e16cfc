//! One training step.

use super::measured::{Figures, Measured, Unread};
use super::parts::{PassOptions, Passed};
use super::state::{Course, Run, WHOLE};
use super::{Monitor, Stopped};
use crate::checkpoint::{Progress, Stage};
use crate::data::Answers;
use crate::divergence::{self, not_finite};
use crate::model::Network;
use crate::optimizer::{GradientScale, GradientSquares};
use crate::recipe::Recipe;
use burn::optim::GradientsParams;
use record::{Event, LayerGradient, TrainStep};
use std::time::Instant;

/// A step that was made.
pub(super) struct Step {
    pub(super) measured: TrainStep,
    /// The gradient by layer.
    layers: Vec<LayerGradient>,
    /// Whether the gradient was not finite in f16, and nothing was updated.
    skipped: bool,
    examples: u64,
}

/// A step that was made, but for what it measured.
pub(super) struct Made {
    step: u64,
    epoch: f64,
    learning_rate: f64,
    /// What the loss was multiplied with, in f16 alone.
    loss_scale: Option<f64>,
    answers: Answers,
    /// Wall time that the processor took.
    seconds: f64,
}

impl Made {
    fn step(self, measured: Measured, recipe: &Recipe<'_>, seconds: f64) -> Step {
        let Self { step, epoch, learning_rate, loss_scale, answers, .. } = self;
        let Measured { loss, predicted, norm } = measured;
        let unsmoothed = Some(loss).filter(|_| recipe.spec.training.label_smoothing == 0.0);
        let mut metrics = recipe.objective.step_metrics(unsmoothed, &predicted, &answers);
        if let Some(scale) = loss_scale {
            metrics.insert(LOSS_SCALE, scale);
        }
        let measured = TrainStep {
            step,
            epoch,
            loss,
            metrics,
            learning_rate,
            gradient_norm: norm.whole,
            seconds,
        };
        Step {
            measured,
            layers: norm.layers,
            skipped: loss_scale.is_some() && !norm.whole.is_finite(),
            examples: answers.examples.len() as u64,
        }
    }
}

/// Name of the metric of a step in f16.
const LOSS_SCALE: &str = "loss_scale";

/// Seconds within which what was measured is to be seen, though more steps might be made before.
const SEEN_WITHIN: f64 = 0.5;

impl<N: Network> Run<'_, N> {
    /// Makes the next step, and reads what steps have measured where it is time to.
    pub(super) fn advance(
        &mut self,
        course: &mut Course<N>,
        monitor: &mut dyn Monitor,
    ) -> Result<(), Stopped> {
        let step = self.made(course) + 1;
        self.step(step, self.steps.total, self.steps.epoch(step));
        #[expect(clippy::cast_precision_loss, reason = "they are few")]
        let seconds = self.step_seconds * self.unrecorded.len() as f64;
        let full = self.unrecorded.len() >= self.read_every || seconds > SEEN_WITHIN;
        // What was read already is as good as recorded, and the loss scale is that of its step.
        let read = matches!(self.unrecorded.last(), Some((_, Figures::Read(_))));
        if full || read || step == self.steps.last || self.steps.evaluates_after(step) {
            self.record(course, monitor)?;
        }
        Ok(())
    }

    /// Steps that were made, the last of which may not be recorded yet.
    pub(super) fn made(&self, course: &Course<N>) -> u64 {
        course.recorded() + self.unrecorded.len() as u64
    }

    /// Records the steps that were made. Those behind one that diverged are as if they had not been.
    pub(super) fn record(
        &mut self,
        course: &mut Course<N>,
        monitor: &mut dyn Monitor,
    ) -> Result<(), Stopped> {
        for step in self.read() {
            let Step { measured, layers, skipped, examples } = step;
            self.train_seconds += measured.seconds;
            self.train_examples += examples;
            monitor.event(&Event::Train(measured.clone())).map_err(Stopped::Monitor)?;
            let Progress { summary, recent_losses, stage, .. } = &mut course.progress;
            summary.steps = measured.step;
            if measured.step == 1 {
                summary.initial_loss = measured.loss;
            }
            summary.skipped_steps = self.scaler.map(|scaler| scaler.skipped);
            let exhausted = self.scaler.is_none_or(|scaler| scaler.is_exhausted());
            let skipped = skipped && measured.loss.is_finite() && !exhausted;
            if let (Some(reason), false) = (not_finite(&measured), skipped) {
                course.diverged = Some((measured.step, reason));
                break;
            }
            divergence::remember(
                self.recipe.spec.training.divergence,
                recent_losses,
                measured.loss,
            );
            if self.steps.evaluates_after(measured.step) {
                *stage = Stage::Evaluate { layers };
            }
        }
        Ok(())
    }

    /// One step of training. What it measures is read later, but for what decides the update.
    ///
    /// A read waits for the device: before it the processor hands over the update and prepares the next batch, so that
    /// both are busy.
    pub(super) fn step(&mut self, step: u64, total: u64, epoch: f64) {
        let started = Instant::now();
        let training = &self.recipe.spec.training;
        let batch = self.feeder.next(&self.replicas);
        let network = self.network.as_ref().expect(WHOLE);
        let predicts = self.recipe.objective.needs_predictions();
        let loss_scale = self.scaler.map(|scaler| scaler.scale);
        let factor = loss_scale.unwrap_or(1.0);
        let options = PassOptions { training, loss_scale: factor, predicts };
        let Passed { loss, predicted, gradients } =
            self.replicas.pass(network, &batch, &mut self.dropout, options);
        let squares = GradientSquares::of(self.network(), &gradients);
        let unread = Unread { loss, predicted, squares, loss_scale: factor };
        let learning_rate = self.recipe.rate.at(step, total);
        let mut gradients = Some(gradients);
        if let Some(scale) = self.scale_without_waiting(&unread)
            && let Some(gradients) = gradients.take()
        {
            self.update(learning_rate, scale, gradients);
        }
        if step < total {
            self.feeder.prepare(&self.replicas);
        }
        let figures = match gradients {
            None => Figures::OnDevice(Box::new(unread)),
            Some(gradients) => {
                let measured = unread.read();
                self.update_by_norm(learning_rate, gradients, measured.norm.whole, factor);
                Figures::Read(measured)
            }
        };
        let answers = Answers::of(batch.into_iter().map(|part| part.targets.answers));
        let seconds = started.elapsed().as_secs_f64();
        let made = Made { step, epoch, learning_rate, loss_scale, answers, seconds };
        self.unrecorded.push((made, figures));
    }

    /// What the gradient is multiplied with for the update, where the processor need not know its norm: with f16 it must, and
    /// where it clips by a norm that a device does not.
    fn scale_without_waiting(&self, unread: &Unread) -> Option<GradientScale> {
        match (self.recipe.spec.training.clip_norm, &self.scaler) {
            (_, Some(_)) => None,
            (None, None) => Some(1.0.into()),
            (Some(largest), None) => {
                unread.squares.sums.clip_factor(largest).map(GradientScale::from)
            }
        }
    }

    /// An update that depends on the `norm` of the gradient: `gradients` are `factor` times as large.
    fn update_by_norm(&mut self, rate: f64, gradients: GradientsParams, norm: f64, factor: f64) {
        let scale = match self.recipe.spec.training.clip_norm {
            Some(largest) if norm > largest => largest / norm,
            _ => 1.0,
        };
        let finite = norm.is_finite();
        if let Some(scaler) = &mut self.scaler {
            scaler.update(finite);
        }
        if finite || self.scaler.is_none() {
            self.update(rate, (scale / factor).into(), gradients);
        }
    }

    /// The steps that are not recorded, with what they measured, which is read from the device at once. Each took its share
    /// of the time of all.
    pub(super) fn read(&mut self) -> Vec<Step> {
        let started = Instant::now();
        let (made, figures): (Vec<_>, _) = std::mem::take(&mut self.unrecorded).into_iter().unzip();
        let measured = Figures::read(figures);
        let seconds: f64 = made.iter().map(|made| made.seconds).sum();
        #[expect(clippy::cast_precision_loss, reason = "they are few")]
        let seconds = (seconds + started.elapsed().as_secs_f64()) / made.len().max(1) as f64;
        if !made.is_empty() {
            self.step_seconds = seconds;
        }
        made.into_iter()
            .zip(measured)
            .map(|(made, measured)| made.step(measured, self.recipe, seconds))
            .collect()
    }

    /// An update by `scale` times `gradients`.
    fn update(&mut self, rate: f64, scale: GradientScale, gradients: GradientsParams) {
        let network = self.network.take().expect(WHOLE);
        self.network = Some(self.optimizer.step(rate, scale, network, gradients));
    }
}
