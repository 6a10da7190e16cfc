//! What a network learns, and what it is judged by.

mod causal_lm;
mod classification;
mod masked_lm;
mod score;

pub use causal_lm::CausalLm;
pub use classification::Classification;
pub use masked_lm::MaskedLm;
pub(crate) use score::indices;
pub use score::{Score, UnreadScores, accuracy, cross_entropy, mean_loss};

use crate::Error;
use crate::component::{self, Definition, Entry, Registration};
use crate::data::{Answers, Dataset, Part};
use crate::model::Interface;
use crate::stream::Stream;
use record::{Component, Evaluation, Metric, Metrics, Predictions};
use std::fmt::Debug;

/// Name of the stream that an objective draws from in training.
pub(crate) const STREAM: &str = "objective";

/// One example as an objective asks for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Prepared {
    /// The tokens that the network sees, where they are not those of the data set.
    pub tokens: Option<Vec<u32>>,
    /// What is right, for each row that the network gives.
    pub labels: Vec<usize>,
    /// Positions in the sequence at which tokens are predicted, one for each label; none where the whole example has
    /// one label.
    pub positions: Option<Vec<usize>>,
    /// What the example's loss is related to, as bytes of its text.
    pub units: f64,
}

/// Turns examples into what a network shall predict, and predictions into scores.
pub trait Objective: Debug + Send + Sync {
    /// What a network takes and gives for it.
    ///
    /// # Errors
    /// If `data` is not of its kind.
    fn interface(&self, data: &Dataset) -> Result<Interface, Error>;

    /// The primary metric: choice of checkpoints, early stopping, tuning and reports go by it. What guessing scores
    /// depends on the data, and is NaN here.
    fn primary(&self) -> Metric;

    /// What guessing scores on `data`, in the primary metric.
    fn guessing(&self, data: &Dataset) -> f64;

    /// The primary metric on `data`.
    fn metric(&self, data: &Dataset) -> Metric {
        Metric { guessing: self.guessing(data), ..self.primary() }
    }

    /// The loss in nats of a network that has learned nothing.
    fn guessing_loss(&self, data: &Dataset) -> f64;

    /// Examples of a batch in evaluations.
    fn evaluation_batch(&self) -> usize {
        250
    }

    /// The example of `part` at `index`. What is random draws from `stream`, which in evaluations begins anew for
    /// each split: they ask the same of every network.
    fn prepare(&self, part: &Part, index: usize, stream: &mut Stream) -> Prepared;

    /// Whether [`Objective::step_metrics`] needs the output that is predicted of each row.
    fn needs_predictions(&self) -> bool {
        false
    }

    /// Metrics of a training step, by its mean loss, which is not known where labels are smoothed, and the output with the
    /// largest logit of each row; there are no such outputs where [`Objective::needs_predictions`] says so.
    fn step_metrics(&self, loss: Option<f64>, predicted: &[usize], answers: &Answers) -> Metrics;

    /// Metrics over a split, the primary one among them unless that is the loss.
    fn metrics(&self, scores: &[Score]) -> Metrics;

    /// Refuses an evaluation of `part` that cannot be, as one in a foreign checkpoint.
    ///
    /// # Errors
    /// What is wrong, and what would be right.
    fn check(&self, evaluation: &Evaluation, part: &Part) -> Result<(), String> {
        let _ = (evaluation, part);
        Ok(())
    }

    /// What is kept of each test example.
    fn predictions(&self, scores: &[Score]) -> Predictions;
}

/// The evaluation of a split by its scores.
pub(crate) fn evaluation(
    objective: &dyn Objective,
    (step, epoch): (u64, f64),
    scores: &[Score],
) -> Evaluation {
    Evaluation { step, epoch, loss: mean_loss(scores), metrics: objective.metrics(scores) }
}

/// Whether `candidate` is better: by the primary metric, then by a lower loss. An equal one that comes later is not.
pub(crate) fn better(metric: &Metric, candidate: &Evaluation, best: &Evaluation) -> bool {
    let [new, old] = [candidate, best].map(|evaluation| evaluation.value(metric));
    metric.is_better(new, old) || (!metric.is_better(old, new) && candidate.loss < best.loss)
}

/// A registered objective.
#[derive(Debug)]
pub struct ObjectiveRegistration {
    entry: Entry,
    build: fn(&Component) -> Result<Box<dyn Objective>, Error>,
}

impl ObjectiveRegistration {
    /// That of `D`, which `package` registers.
    #[must_use]
    pub const fn of<D: Definition + Objective>(package: &'static str) -> Self {
        Self {
            entry: Entry::of::<D>(package),
            build: |component| Ok(Box::new(component::parameters::<D>(component)?)),
        }
    }
}

inventory::collect!(ObjectiveRegistration);

impl Registration for ObjectiveRegistration {
    const KIND: &'static str = "objective";

    fn entry(&self) -> &Entry {
        &self.entry
    }
}

crate::register_component!(ObjectiveRegistration: CausalLm, Classification, MaskedLm);

/// The objective that `component` names.
///
/// # Errors
/// If it is unknown, or a parameter is wrong.
pub fn build(component: &Component) -> Result<Box<dyn Objective>, Error> {
    component::find::<ObjectiveRegistration>(&component.name)
        .and_then(|registration| (registration.build)(component))
        .map_err(|error| error.within("objective"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use record::Direction;

    #[test]
    fn the_primary_metric_decides_then_the_loss() {
        let accuracy = Metric::accuracy(Some(2));
        let evaluation = |accuracy, loss| Evaluation {
            step: 1,
            epoch: 1.0,
            loss,
            metrics: [("accuracy", accuracy)].into(),
        };
        assert!(better(&accuracy, &evaluation(0.6, 2.0), &evaluation(0.5, 1.0)));
        assert!(better(&accuracy, &evaluation(0.5, 0.9), &evaluation(0.5, 1.0)));
        assert!(!better(&accuracy, &evaluation(0.5, 1.0), &evaluation(0.5, 1.0)));
        let lower = Metric { direction: Direction::Lower, ..accuracy };
        assert!(!better(&lower, &evaluation(0.6, 0.5), &evaluation(0.5, 1.0)));
        assert!(better(&lower, &evaluation(0.4, 2.0), &evaluation(0.5, 1.0)));
        assert!(better(&lower, &evaluation(0.4, 2.0), &evaluation(f64::NAN, 1.0)));
    }
}
