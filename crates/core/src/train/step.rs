//! One training step.

use super::parts::{PassOptions, Passed};
use super::state::{Course, Run, WHOLE};
use super::{Measured, Monitor, Stopped};
use crate::checkpoint::{Progress, Stage};
use crate::data::Answers;
use crate::divergence::{self, not_finite};
use crate::model::Network;
use crate::optimizer::Squares;
use burn::optim::GradientsParams;
use record::{Event, LayerGradient, TrainStep};
use std::time::Instant;

/// What a step leaves.
pub(super) struct Step {
    pub(super) measured: TrainStep,
    /// The gradient by layer.
    layers: Vec<LayerGradient>,
    /// Whether the gradient was not finite in f16, and nothing was updated.
    skipped: bool,
}

/// Name of the metric of a step in f16.
const LOSS_SCALE: &str = "loss_scale";

impl<N: Network> Run<'_, N> {
    /// Makes the next step.
    pub(super) fn advance(
        &mut self,
        course: &mut Course<N>,
        monitor: &mut dyn Monitor,
    ) -> Result<(), Stopped> {
        let step = course.made() + 1;
        let epoch = self.steps.epoch(step);
        let Step { measured: train_step, layers, skipped } =
            self.step(step, self.steps.total, epoch);
        monitor.event(&Event::Train(train_step.clone())).map_err(Stopped::Monitor)?;
        let Progress { summary, recent_losses, stage, .. } = &mut course.progress;
        summary.steps = step;
        if step == 1 {
            summary.initial_loss = train_step.loss;
        }
        summary.skipped_steps = self.scaler.map(|scaler| scaler.skipped);
        let exhausted = self.scaler.is_none_or(|scaler| scaler.is_exhausted());
        let skipped = skipped && train_step.loss.is_finite() && !exhausted;
        if let (Some(reason), false) = (not_finite(&train_step), skipped) {
            course.diverged = Some((step, reason));
            return Ok(());
        }
        divergence::remember(self.recipe.spec.training.divergence, recent_losses, train_step.loss);
        if self.steps.evaluates_after(step) {
            *stage = Stage::Evaluate { layers };
        }
        Ok(())
    }

    /// One step of training.
    ///
    /// What is measured is read as late as possible: until then the processor hands the device its work and prepares the
    /// next batch, and both are busy.
    pub(super) fn step(&mut self, step: u64, total: u64, epoch: f64) -> Step {
        let started = Instant::now();
        let training = &self.recipe.spec.training;
        let batch = self.feeder.next(&self.replicas);
        let network = self.network.as_ref().expect(WHOLE);
        let objective = &self.recipe.objective;
        let loss_scale = self.scaler.map_or(1.0, |scaler| scaler.scale);
        let options = PassOptions { training, loss_scale, predicts: objective.needs_predictions() };
        let Passed { loss, predicted, gradients } =
            self.replicas.pass(network, &batch, &mut self.dropout, options);
        let squares = Squares::of(self.network(), &gradients);
        let rate = self.recipe.rate.at(step, total);
        // Clipping and f16 ask for the norm of the gradient first.
        let waits = training.clip_norm.is_some() || self.scaler.is_some();
        let mut gradients = Some(gradients);
        if !waits && let Some(gradients) = gradients.take() {
            self.update(rate, 1.0, gradients);
        }
        if step < total {
            self.feeder.prepare(&self.replicas);
        }
        let Measured { loss, predicted, norm } =
            Measured::read(loss, predicted, &squares, loss_scale);
        let answers = Answers::of(batch.into_iter().map(|part| part.targets.answers));
        let mut metrics = objective.step_metrics(loss, &predicted, &answers);
        let scale = match training.clip_norm {
            Some(largest) if norm.whole > largest => largest / norm.whole,
            _ => 1.0,
        };
        let finite = norm.whole.is_finite();
        if let Some(scaler) = &mut self.scaler {
            metrics.insert(LOSS_SCALE, scaler.scale);
            scaler.update(finite);
        }
        let skipped = self.scaler.is_some() && !finite;
        if !skipped && let Some(gradients) = gradients {
            self.update(rate, scale / loss_scale, gradients);
        }
        let seconds = started.elapsed().as_secs_f64();
        self.train_seconds += seconds;
        self.train_examples += answers.examples.len() as u64;
        let measured = TrainStep {
            step,
            epoch,
            loss,
            metrics,
            learning_rate: rate,
            gradient_norm: norm.whole,
            seconds,
        };
        Step { measured, layers: norm.layers, skipped }
    }

    /// An update by `scale` times `gradients`.
    fn update(&mut self, rate: f64, scale: f64, gradients: GradientsParams) {
        let network = self.network.take().expect(WHOLE);
        self.network = Some(self.optimizer.step(rate, scale, network, gradients));
    }
}
