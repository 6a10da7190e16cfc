//! How a run came to its result: its validation curve.

use crate::statistics::{mean, standard_deviation};
use record::Evaluation;

/// Evaluations at the end of a run over which volatility is taken.
pub(crate) const LAST: usize = 5;

/// Figures of a validation curve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Curve {
    /// Mean accuracy over the steps from the first evaluation to the last (trapezoids).
    pub(crate) area: f64,
    /// Standard deviation of the accuracies of the last [`LAST`] evaluations.
    pub(crate) volatility: Option<f64>,
    /// Largest loss of accuracy against the best one before.
    pub(crate) largest_drop: f64,
    /// Accuracy at the end minus the best.
    pub(crate) final_minus_best: f64,
}

impl Curve {
    /// The figures of the evaluations of a run; nothing of none.
    pub(crate) fn of(evaluations: &[Evaluation]) -> Option<Self> {
        let last = evaluations.last()?;
        let (mut best, mut largest_drop) = (f64::NEG_INFINITY, 0.0_f64);
        for evaluation in evaluations {
            best = best.max(evaluation.accuracy);
            largest_drop = largest_drop.max(best - evaluation.accuracy);
        }
        let width = |pair: &[Evaluation]| pair[1].step as f64 - pair[0].step as f64;
        let steps: f64 = evaluations.windows(2).map(width).sum();
        let under = |pair: &[Evaluation]| width(pair) * (pair[0].accuracy + pair[1].accuracy) / 2.0;
        let accuracies: Vec<f64> = evaluations.iter().map(|one| one.accuracy).collect();
        let area = if steps > 0.0 {
            evaluations.windows(2).map(under).sum::<f64>() / steps
        } else {
            mean(&accuracies)?
        };
        Some(Self {
            area,
            volatility: standard_deviation(&accuracies[accuracies.len().saturating_sub(LAST)..]),
            largest_drop,
            final_minus_best: last.accuracy - best,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(points: &[(u64, f64)]) -> Option<Curve> {
        let evaluation = |(step, accuracy): &(u64, f64)| Evaluation {
            step: *step,
            epoch: 0.0,
            loss: 1.0,
            accuracy: *accuracy,
        };
        Curve::of(&points.iter().map(evaluation).collect::<Vec<_>>())
    }

    #[test]
    fn area_drop_and_end() {
        let curve = curve(&[(10, 0.5), (20, 0.7), (40, 0.6), (50, 0.65)]).unwrap();
        let area = (10.0 * 0.6 + 20.0 * 0.65 + 10.0 * 0.625) / 40.0;
        assert!((curve.area - area).abs() < 1e-12);
        assert!((curve.largest_drop - 0.1).abs() < 1e-12);
        assert!((curve.final_minus_best + 0.05).abs() < 1e-12);
    }

    #[test]
    fn volatility_is_of_the_end_alone() {
        let rising = [(1, 0.1), (2, 0.6), (3, 0.6), (4, 0.6), (5, 0.6), (6, 0.6)];
        assert_eq!(curve(&rising).unwrap().volatility, Some(0.0));
        assert_eq!(curve(&rising[..1]).unwrap().volatility, None);
        assert_eq!(curve(&rising[..1]).unwrap().area, 0.1);
        assert_eq!(curve(&[]), None);
    }
}
