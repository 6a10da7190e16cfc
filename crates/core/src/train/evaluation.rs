//! Evaluations, the best weights until then, early stopping, and statistics of activation sites.

use super::state::{Best, Course, Run};
use super::{Monitor, Stopped};
use crate::checkpoint::{Progress, Stage};
use crate::data::{Examples, Part};
use crate::model::{Network, Pass, Probe};
use crate::objective::{STREAM, Score, UnreadScores, better, evaluation};
use crate::parameters::learned_values;
use crate::recipe::Recipe;
use crate::sites::LearnedSite;
use crate::stream::Stream;
use record::{Event, Gradients, LayerGradient, Learned, LearnedNumber, Site};

/// The stream of what an objective asks at random in an evaluation: the same for every network and seed.
fn questions() -> Stream {
    Stream::new(0, STREAM)
}

/// Mean and extremes of the values of a learned number.
#[expect(clippy::cast_precision_loss, reason = "channels are few")]
fn summarized(
    site: &LearnedSite,
    (number, start): (&String, &f64),
    values: &[f32],
) -> LearnedNumber {
    let values: Vec<f64> = values.iter().copied().map(f64::from).collect();
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    // Where one is NaN, all figures are.
    let extreme = |pick: fn(f64, f64) -> f64| {
        if mean.is_nan() { f64::NAN } else { values.iter().copied().fold(values[0], pick) }
    };
    LearnedNumber {
        site: site.site.clone(),
        number: number.clone(),
        values: values.len(),
        start: *start,
        mean,
        min: extreme(f64::min),
        max: extreme(f64::max),
    }
}

impl<N: Network> Run<'_, N> {
    /// Evaluates the network on the validation split after a step whose gradients by layer are `layers`. Where that is
    /// interrupted, nothing has changed.
    pub(super) fn validate(
        &self,
        course: &mut Course<N>,
        layers: Vec<LayerGradient>,
        monitor: &mut dyn Monitor,
    ) -> Result<(), Stopped> {
        let Recipe { spec, data, objective, metric, .. } = self.recipe;
        let (training, steps) = (&spec.training, &self.steps);
        let step = course.recorded();
        let epoch = steps.epoch(step);
        let network = self.network().valid();
        let scores = self.scores(&network, &data.validation, monitor)?;
        let evaluation = evaluation(&**objective, (step, epoch), &scores);
        monitor.event(&Event::Validation(evaluation.clone())).map_err(Stopped::Monitor)?;
        let gradients = Gradients { step, layers };
        monitor.event(&Event::Gradients(gradients)).map_err(Stopped::Monitor)?;
        let learned = self.learned_numbers();
        if !learned.is_empty() {
            let event = Event::Learned(Learned { step, numbers: learned.clone() });
            monitor.event(&event).map_err(Stopped::Monitor)?;
        }
        let Course { progress, best, diverged, .. } = course;
        progress.summary.learned = learned;
        let Progress { summary, evaluations, stage, .. } = progress;
        summary.last_validation = Some(evaluation.clone());
        *evaluations += 1;
        let improved =
            best.as_ref().is_none_or(|best| better(metric, &evaluation, &best.evaluation));
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
        let value = evaluation.value(metric);
        if training.target().is_some_and(|target| metric.reaches(value, target)) {
            summary.steps_to_target.get_or_insert(step);
        }
        if improved {
            summary.best_validation = Some(evaluation.clone());
            *best = Some(Best { evaluation, network });
        }
        *stage = if gives_up { Stage::Ended } else { Stage::Step };
        Ok(())
    }

    /// What activations have learned, in the order of the forward pass.
    fn learned_numbers(&self) -> Vec<LearnedNumber> {
        if self.learned.is_empty() {
            return Vec::new();
        }
        let values = learned_values(self.network());
        let of_site = |site: &LearnedSite| {
            let values = values.get(&site.id).map_or(&[][..], Vec::as_slice);
            let each = values.len() / site.learning.names.len();
            let rows = values.chunks(each.max(1));
            let names = site.learning.names.iter().zip(&site.initial);
            let summed = |(number, row): ((&String, &f64), &[f32])| summarized(site, number, row);
            names.zip(rows).map(summed).collect::<Vec<_>>()
        };
        self.learned.iter().flat_map(of_site).collect()
    }

    /// The scores of every example of `part`.
    pub(super) fn scores(
        &self,
        network: &N,
        part: &Part,
        monitor: &dyn Monitor,
    ) -> Result<Vec<Score>, Stopped> {
        let precision = self.recipe.spec.training.precision;
        let mut all = Vec::with_capacity(part.len());
        let mut unread = Vec::new();
        let mut stream = questions();
        for indices in part.chunks(self.recipe.objective.evaluation_batch()) {
            if monitor.interrupted() {
                return Err(Stopped::Interrupted);
            }
            let examples = Examples::Evaluation { part, indices: &indices, objective: &mut stream };
            let batch = self.feeder.batches().batch(examples, self.device);
            let logits = network.forward(&batch, &mut Pass::evaluation().with_precision(precision));
            unread.push(UnreadScores::of(logits, batch.targets));
            if unread.len() >= self.read_every {
                all.extend(UnreadScores::read(std::mem::take(&mut unread)));
            }
        }
        all.extend(UnreadScores::read(unread));
        Ok(all)
    }

    /// Statistics of every activation site over the first validation examples.
    fn measure_sites(&self, network: &N, step: u64, examples: usize) -> Vec<Site> {
        let part = &self.recipe.data.validation;
        let indices: Vec<usize> = (0..examples.min(part.len())).collect();
        let examples =
            Examples::Evaluation { part, indices: &indices, objective: &mut questions() };
        let batch = self.feeder.batches().batch(examples, self.device);
        let mut probe = Probe::new(step);
        let precision = self.recipe.spec.training.precision;
        let _ = network.forward(&batch, &mut Pass::probed(&mut probe).with_precision(precision));
        probe.into_sites()
    }
}
