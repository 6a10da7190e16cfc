//! How many steps a run has, and what happens after which.

use crate::data::Dataset;
use record::RunSpec;

/// How many steps a run has, and when it is evaluated.
pub(crate) struct Steps {
    pub(crate) per_epoch: u64,
    /// Of the whole budget.
    pub(crate) total: u64,
    /// The step at which it ends, which a trial does earlier.
    pub(crate) last: u64,
    pub(crate) evaluate_every: u64,
}

impl Steps {
    pub(crate) fn of(spec: &RunSpec, data: &Dataset) -> Self {
        let per_epoch = data.train.len().div_ceil(spec.training.batch_size) as u64;
        let total = spec.training.budget.steps(per_epoch);
        Self {
            per_epoch,
            total,
            last: spec.trial.map_or(total, |trial| trial.steps.min(total)),
            evaluate_every: spec.training.evaluate_every.unwrap_or(per_epoch),
        }
    }

    /// Passes over the training data until `step`.
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    pub(crate) fn epoch(&self, step: u64) -> f64 {
        step as f64 / self.per_epoch as f64
    }

    /// Whether an evaluation follows `step`.
    pub(crate) fn evaluates_after(&self, step: u64) -> bool {
        step.is_multiple_of(self.evaluate_every) || step == self.total
    }

    /// Evaluations that follow the steps until `step`.
    pub(crate) fn evaluations(&self, step: u64) -> u64 {
        let extra = step == self.total && !step.is_multiple_of(self.evaluate_every);
        step / self.evaluate_every + u64::from(extra)
    }

    /// Evaluations from that after `best`, which was the best one, to that after `step`.
    pub(crate) fn in_vain(&self, best: u64, step: u64) -> u64 {
        (step - best).div_ceil(self.evaluate_every)
    }
}
