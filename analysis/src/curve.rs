//! How a run came to its result: its validation curve.

use crate::statistics::mean;
use record::{Evaluation, Metric};

/// Evaluations at the end of a run over which volatility is taken.
pub(crate) const LAST: usize = 5;

/// Evaluations below which a trend leaves nothing to take a deviation of.
const LEAST: usize = 4;

/// Figures of a validation curve, in units of the recorded values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Curve {
    /// Mean value over the steps from the first evaluation to the last (trapezoids).
    pub(crate) area: f64,
    /// Standard deviation of the values of the last [`LAST`] evaluations around their trend: a curve that still rises
    /// evenly is not volatile.
    pub(crate) volatility: Option<f64>,
    /// Largest move to the worse against the best value before; 0 or more.
    pub(crate) largest_drop: f64,
    /// Value at the end minus the best: its sign is that of the recorded values.
    pub(crate) final_minus_best: f64,
}

impl Curve {
    /// The figures of the evaluations of a run by `metric`, of those whose value is finite; nothing of none.
    pub(crate) fn of(evaluations: &[Evaluation], metric: &Metric) -> Option<Self> {
        let point = |one: &Evaluation| (one.step as f64, one.value(metric));
        let points: Vec<(f64, f64)> =
            evaluations.iter().map(point).filter(|(_, value)| value.is_finite()).collect();
        let (_, first) = *points.first()?;
        let (_, last) = *points.last()?;
        let (mut best, mut largest_drop) = (first, 0.0_f64);
        for (_, value) in &points {
            if metric.is_better(*value, best) {
                best = *value;
            }
            largest_drop = largest_drop.max(metric.merit(best) - metric.merit(*value));
        }
        let width = |pair: &[(f64, f64)]| pair[1].0 - pair[0].0;
        let steps: f64 = points.windows(2).map(width).sum();
        let under = |pair: &[(f64, f64)]| width(pair) * (pair[0].1 + pair[1].1) / 2.0;
        let values: Vec<f64> = points.iter().map(|(_, value)| *value).collect();
        let area = if steps > 0.0 {
            points.windows(2).map(under).sum::<f64>() / steps
        } else {
            mean(&values)?
        };
        Some(Self {
            area,
            volatility: around_trend(&points[points.len().saturating_sub(LAST)..]),
            largest_drop,
            final_minus_best: last - best,
        })
    }
}

/// Standard deviation of the values of `points` around their least-squares line over the steps, with n − 2 degrees of
/// freedom; nothing of fewer than [`LEAST`].
fn around_trend(points: &[(f64, f64)]) -> Option<f64> {
    if points.len() < LEAST {
        return None;
    }
    let n = points.len() as f64;
    let middle = points.iter().map(|(step, _)| step).sum::<f64>() / n;
    let mean = points.iter().map(|(_, value)| value).sum::<f64>() / n;
    let spread: f64 = points.iter().map(|(step, _)| (step - middle).powi(2)).sum();
    let rise: f64 = points.iter().map(|(step, value)| (step - middle) * (value - mean)).sum();
    let slope = if spread > 0.0 { rise / spread } else { 0.0 };
    let residual = |(step, value): &(f64, f64)| value - mean - slope * (step - middle);
    let squares: f64 = points.iter().map(|point| residual(point).powi(2)).sum();
    Some((squares / (n - 2.0)).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::tests::bits_per_byte;

    fn curve_by(metric: &Metric, points: &[(u64, f64)]) -> Option<Curve> {
        let evaluation = |(step, value): &(u64, f64)| Evaluation {
            step: *step,
            epoch: 0.0,
            loss: 1.0,
            metrics: [(metric.name.as_str(), *value)].into(),
        };
        Curve::of(&points.iter().map(evaluation).collect::<Vec<_>>(), metric)
    }

    fn curve(points: &[(u64, f64)]) -> Option<Curve> {
        curve_by(&Metric::accuracy(Some(10)), points)
    }

    /// A rise of bits per byte is the unwanted move.
    #[test]
    fn a_drop_is_a_move_to_the_worse() {
        let metric = bits_per_byte();
        let curve = curve_by(&metric, &[(10, 3.0), (20, 2.0), (30, 2.25), (40, 2.125)]).unwrap();
        assert_eq!((curve.largest_drop, curve.final_minus_best), (0.25, 0.125));
        let falling = curve_by(&metric, &[(10, 3.0), (20, 2.0)]).unwrap();
        assert_eq!((falling.largest_drop, falling.final_minus_best), (0.0, 0.0));
        assert_eq!(falling.area, 2.5);
    }

    #[test]
    fn what_is_not_finite_is_no_point() {
        let points = [(10, 0.5), (20, f64::NAN), (30, f64::INFINITY), (40, 0.7)];
        assert_eq!(curve(&points), curve(&[(10, 0.5), (40, 0.7)]));
        assert_eq!(curve(&[(10, f64::NAN)]), None);
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
        assert!(curve(&rising).unwrap().volatility.unwrap() < 1e-12);
        assert_eq!(curve(&rising[..1]).unwrap().area, 0.1);
        assert_eq!(curve(&[]), None);
    }

    /// A trend is learning, what is left of it is volatility: residuals −1, +3, −3, +1 of a line (numpy's polyfit).
    #[test]
    fn volatility_is_around_the_trend() {
        let even: Vec<(u64, f64)> = (1..=5).map(|step| (step, 0.1 * step as f64)).collect();
        assert!(curve(&even).unwrap().volatility.unwrap() < 1e-12);
        assert_eq!(curve(&even[..3]).unwrap().volatility, None);
        let uneven = [(10, 1.0 - 1.0), (20, 2.0 + 3.0), (30, 3.0 - 3.0), (40, 4.0 + 1.0)];
        let volatility = curve(&uneven).unwrap().volatility.unwrap();
        assert!((volatility - (20.0_f64 / 2.0).sqrt()).abs() < 1e-12, "{volatility}");
    }
}
