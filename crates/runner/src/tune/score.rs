use record::{Direction, Metric, Outcome, RunRecord};
use std::cmp::Ordering;

/// How good a trial is: medians over the seeds of tuning, on validation data.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Score {
    /// Best primary metric, as a number of which larger ones are better; a run that diverged or failed has the worst.
    merit: f64,
    /// Loss of the same evaluation.
    loss: f64,
}

impl Score {
    /// One of these figures, for tests.
    #[cfg(test)]
    pub(crate) fn new(merit: f64, loss: f64) -> Self {
        Self { merit, loss }
    }

    /// Whether most of its runs diverged or failed.
    pub(crate) fn diverged(&self) -> bool {
        !self.loss.is_finite()
    }

    /// The primary metric of the trial.
    pub(crate) fn value(&self, metric: &Metric) -> f64 {
        metric.merit(self.merit)
    }

    /// Whether the primary metric is at least as good as `merit`.
    pub(super) fn reaches(&self, merit: f64) -> bool {
        self.merit >= merit
    }

    /// The score of a trial's `records`, one a seed, by `metric`.
    pub(crate) fn of(records: &[RunRecord], metric: &Metric) -> Self {
        let best = |record: &RunRecord| match record.outcome {
            Outcome::Completed => {
                record.summary.as_ref().and_then(|summary| summary.best_validation.clone())
            }
            Outcome::Diverged { .. } | Outcome::Failed { .. } => None,
        };
        let merit = |record| {
            best(record).map_or_else(|| worst(metric), |best| merit(metric, best.value(metric)))
        };
        let loss = |record| best(record).map_or(f64::INFINITY, |best| best.loss);
        Self {
            merit: median(records.iter().map(merit).collect()),
            loss: median(records.iter().map(loss).collect()),
        }
    }

    /// The better one is less; equal ones are in no order.
    pub(crate) fn order(&self, other: &Self) -> Ordering {
        other.merit.total_cmp(&self.merit).then(self.loss.total_cmp(&other.loss))
    }
}

/// The worst merit of `metric`.
pub(super) fn worst(metric: &Metric) -> f64 {
    match metric.direction {
        // The least that a part of all examples can be.
        Direction::Higher if metric.unit == "%" => 0.0,
        Direction::Higher | Direction::Lower => f64::NEG_INFINITY,
    }
}

/// `value` of `metric` as a number of which larger ones are better; NaN is the worst.
pub(super) fn merit(metric: &Metric, value: f64) -> f64 {
    if value.is_nan() { worst(metric) } else { metric.merit(value) }
}

/// The middle value, or the mean of the two in the middle; NaN of none.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[n / 2],
        // Two infinities have no mean.
        n if values[n / 2 - 1].to_bits() == values[n / 2].to_bits() => values[n / 2],
        n => f64::midpoint(values[n / 2 - 1], values[n / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(vec![f64::INFINITY; 2]), f64::INFINITY);
    }

    #[test]
    fn the_better_comes_first() {
        let score = |merit, loss| Score { merit, loss };
        let mut scores = [score(0.5, 1.0), score(0.7, 2.0), score(0.7, 1.0)];
        scores.sort_by(Score::order);
        assert_eq!(scores, [score(0.7, 1.0), score(0.7, 2.0), score(0.5, 1.0)]);
    }
}
