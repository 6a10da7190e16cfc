use record::{Outcome, RunRecord};
use std::cmp::Ordering;

/// How good a trial is: medians over the seeds of tuning, on validation data.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Score {
    /// Best validation accuracy; 0 for a run that diverged or failed.
    pub(crate) accuracy: f64,
    /// Loss of the same evaluation.
    loss: f64,
}

impl Score {
    /// The score of a trial's `records`, one a seed.
    pub(crate) fn of(records: &[RunRecord]) -> Self {
        let best = |record: &RunRecord| match record.outcome {
            Outcome::Completed => {
                record.summary.as_ref().and_then(|summary| summary.best_validation)
            }
            Outcome::Diverged { .. } | Outcome::Failed { .. } => None,
        };
        let accuracy = |record| best(record).map_or(0.0, |best| best.accuracy);
        let loss = |record| best(record).map_or(f64::INFINITY, |best| best.loss);
        Self {
            accuracy: median(records.iter().map(accuracy).collect()),
            loss: median(records.iter().map(loss).collect()),
        }
    }

    /// The better one is less; equal ones are in no order.
    pub(crate) fn order(&self, other: &Self) -> Ordering {
        other.accuracy.total_cmp(&self.accuracy).then(self.loss.total_cmp(&other.loss))
    }
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
        let score = |accuracy, loss| Score { accuracy, loss };
        let mut scores = [score(0.5, 1.0), score(0.7, 2.0), score(0.7, 1.0)];
        scores.sort_by(Score::order);
        assert_eq!(scores, [score(0.7, 1.0), score(0.7, 2.0), score(0.5, 1.0)]);
    }
}
