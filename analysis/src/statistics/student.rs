//! Student's intervals, which few runs need: a bootstrap of two or three values is far too narrow.

use super::Moments;
use super::bootstrap::Interval;
use super::distribution::t_critical;
use super::pairwise::welch_error;

/// Student's interval of a mean at `level` (Student 1908): mean ± t · s / √n with n − 1 degrees of freedom.
///
/// There is none of fewer than two values, which show no spread, or of values that are all the same.
#[must_use]
pub fn t_interval(values: &[f64], level: f64) -> Option<Interval> {
    t_interval_of(&Moments::of(values)?, level)
}

/// Interval of the difference of two means, `a` minus `b`, with variances of their own (Welch 1947).
#[must_use]
pub fn welch_interval(a: &Moments, b: &Moments, level: f64) -> Option<Interval> {
    let (error, df) = welch_error(a, b)?;
    around(a.mean - b.mean, error, df, level)
}

/// Student's interval of the mean of such a sample at `level`; none without a spread.
#[must_use]
pub fn t_interval_of(sample: &Moments, level: f64) -> Option<Interval> {
    let n = sample.n as f64;
    let spread = Some(sample.standard_deviation).filter(|sd| *sd > 0.0 && sd.is_finite())?;
    around(sample.mean, spread / n.sqrt(), n - 1.0, level)
}

/// `centre` ± t standard errors.
pub(super) fn around(centre: f64, error: f64, df: f64, level: f64) -> Option<Interval> {
    let reach = t_critical(1.0 - level, df)? * error;
    Some(Interval { low: centre - reach, high: centre + reach })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `scipy.stats.ttest_rel(...).confidence_interval`, `ttest_ind(equal_var=False)`.
    #[test]
    fn intervals_are_those_of_scipy() {
        let close = |ours: Interval, low: f64, high: f64| {
            assert!((ours.low - low).abs() < 1e-9 && (ours.high - high).abs() < 1e-9, "{ours:?}");
        };
        let interval = t_interval(&[0.0019, 0.0017, 0.0018], 0.95).unwrap();
        close(interval, 0.001_551_586_228_8, 0.002_048_413_771_2);
        // Two values: t of one degree of freedom, 12.7 standard errors.
        close(
            t_interval(&[0.8, 0.9], 0.95).unwrap(),
            0.85 - 0.635_310_236_8,
            0.85 + 0.635_310_236_8,
        );
        let sides = [[0.6, 0.61, 0.63], [0.5, 0.54, 0.51]].map(|side| Moments::of(&side).unwrap());
        let welch = welch_interval(&sides[0], &sides[1], 0.95).unwrap();
        close(welch, 0.053_766_589_6, 0.139_566_743_7);
    }

    #[test]
    fn what_shows_no_spread_has_no_interval() {
        assert_eq!(t_interval(&[0.5], 0.95), None);
        assert_eq!(t_interval(&[0.5, 0.5], 0.95), None);
        let same = Moments::of(&[0.5, 0.5]).unwrap();
        assert_eq!(welch_interval(&same, &same, 0.95), None);
    }
}
