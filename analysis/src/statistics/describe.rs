//! Location and spread.

/// Arithmetic mean, or [`None`] of nothing.
///
/// A second pass adds the mean of the residuals, which removes nearly all of the first pass's
/// rounding.
#[must_use]
pub fn mean(values: &[f64]) -> Option<f64> {
    if values.is_empty() {
        return None;
    }
    let n = values.len() as f64;
    let first = values.iter().sum::<f64>() / n;
    if first.is_finite() {
        return Some(first + values.iter().map(|value| value - first).sum::<f64>() / n);
    }
    if values.iter().all(|value| value.is_finite()) {
        // The sum alone overflowed.
        return Some(values.iter().map(|value| value / n).sum());
    }
    Some(first)
}

/// Sample standard deviation √(Σ(xᵢ − x̄)² / (n − 1)), or [`None`] of fewer than two values.
///
/// Two passes with the correction of Chan, Golub and LeVeque (1983, equation 1.7). Residuals are divided by
/// the largest of them, so that squares neither overflow nor vanish.
#[must_use]
pub fn standard_deviation(values: &[f64]) -> Option<f64> {
    if values.len() < 2 {
        return None;
    }
    let n = values.len() as f64;
    let centre = mean(values)?;
    let largest = values.iter().map(|value| (value - centre).abs()).fold(0.0, f64::max);
    let unit = if largest.is_normal() { power_of_two_below(largest) } else { 1.0 };
    let (residuals, squares) = values.iter().fold((0.0, 0.0), |(residuals, squares), value| {
        let residual = (value - centre) / unit;
        (residuals + residual, residual.mul_add(residual, squares))
    });
    // The correction can only undershoot zero by rounding; a NaN must stay one.
    let variance = (squares - residuals * residuals / n) / (n - 1.0);
    Some(if variance < 0.0 { 0.0 } else { variance.sqrt() * unit })
}

/// The largest power of two that is at most `value`, a normal number: dividing by it rounds nothing.
fn power_of_two_below(value: f64) -> f64 {
    const EXPONENT: u64 = 0x7ff0_0000_0000_0000;
    f64::from_bits(value.to_bits() & EXPONENT)
}

/// What a t test needs to know of a sample: published results often are no more than this.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moments {
    /// Values.
    pub n: usize,
    /// Their mean.
    pub mean: f64,
    /// Their sample standard deviation.
    pub standard_deviation: f64,
}

impl Moments {
    /// Those of two values or more.
    #[must_use]
    pub fn of(values: &[f64]) -> Option<Self> {
        Some(Self {
            n: values.len(),
            mean: mean(values)?,
            standard_deviation: standard_deviation(values)?,
        })
    }

    /// Those of a single value, which shows no spread: tests, intervals and effect sizes make nothing of them.
    pub(crate) fn of_one(values: &[f64]) -> Option<Self> {
        let [mean] = *values else { return None };
        Some(Self { n: 1, mean, standard_deviation: 0.0 })
    }

    /// The same, `shift` higher.
    #[must_use]
    pub fn shifted(self, shift: f64) -> Self {
        Self { mean: self.mean + shift, ..self }
    }
}

/// Middle value, or the mean of the two middle ones; [`None`] of nothing.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    let lower = sorted[sorted.len() / 2 - 1];
    Some(lower + (upper - lower) / 2.0)
}

/// Mean of the middle half: a quarter of the values is left out at either end, rounded down (Agarwal et al.
/// 2021).
#[must_use]
pub fn interquartile_mean(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let cut = sorted.len() / 4;
    mean(&sorted[cut..sorted.len() - cut])
}

/// By how much scores below `target` miss it, on average (Agarwal et al. 2021).
#[must_use]
pub fn optimality_gap(values: &[f64], target: f64) -> Option<f64> {
    let gaps: Vec<f64> = values.iter().map(|value| (target - value).max(0.0)).collect();
    mean(&gaps)
}

/// Quantile of sorted values with linear interpolation between order statistics (definition 7 of
/// Hyndman and Fan 1996, the default of NumPy and R).
pub(crate) fn quantile(sorted: &[f64], probability: f64) -> f64 {
    let rank = probability * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[rank.floor() as usize], sorted[rank.ceil() as usize]);
    below + (above - below) * rank.fract()
}

/// [`quantile`] of values in any order, which it rearranges: most are not compared with each other.
pub(crate) fn select_quantile(values: &mut [f64], probability: f64) -> f64 {
    let rank = probability * (values.len() - 1) as f64;
    let (_, below, larger) = values.select_nth_unstable_by(rank.floor() as usize, f64::total_cmp);
    let next = larger.iter().copied().min_by(f64::total_cmp);
    let above = next.filter(|_| rank.fract() > 0.0).unwrap_or(*below);
    *below + (above - *below) * rank.fract()
}

/// [`interquartile_mean`] of drawn values: the values that can be drawn, in ascending order, and how often each was.
pub(crate) fn interquartile_mean_of_drawn(values: &[f64], times: &[u32]) -> Option<f64> {
    let count = times.iter().map(|times| *times as usize).sum();
    let mut sorted = Vec::with_capacity(count);
    for (value, times) in values.iter().zip(times) {
        sorted.extend(std::iter::repeat_n(*value, *times as usize));
    }
    let cut = sorted.len() / 4;
    mean(&sorted[cut..sorted.len() - cut])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_has_no_mean_and_one_value_has_no_spread() {
        assert_eq!(mean(&[]), None);
        assert_eq!(median(&[]), None);
        assert_eq!(standard_deviation(&[]), None);
        assert_eq!(mean(&[0.5]), Some(0.5));
        assert_eq!(median(&[0.5]), Some(0.5));
        assert_eq!(standard_deviation(&[0.5]), None);
    }

    #[test]
    fn median_takes_the_middle_whatever_the_order() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), Some(2.5));
    }

    #[test]
    fn equal_values_have_no_spread() {
        assert_eq!(standard_deviation(&[0.1; 7]), Some(0.0));
        assert_eq!(mean(&[0.1; 7]), Some(0.1));
    }

    #[test]
    fn a_large_offset_does_not_drown_the_spread() {
        // The textbook case: 4, 7, 13, 16 has the sample variance 30, and so it has a billion higher.
        let offset = [1e9 + 4.0, 1e9 + 7.0, 1e9 + 13.0, 1e9 + 16.0];
        assert_eq!(mean(&offset), Some(1e9 + 10.0));
        let sd = standard_deviation(&offset).unwrap();
        assert!((sd - 30f64.sqrt()).abs() < 1e-12, "{sd}");
    }

    #[test]
    fn squares_neither_overflow_nor_vanish() {
        for scale in [1e-300, 1e-180, 1.0, 1e180, 1e300] {
            let sd = standard_deviation(&[2.0 * scale, 3.0 * scale, 4.0 * scale]).unwrap();
            assert!((sd / scale - 1.0).abs() < 1e-12, "{sd}");
        }
        assert_eq!(mean(&[1.5e308, 1.5e308]), Some(1.5e308));
    }

    #[test]
    fn non_finite_values_are_not_hidden() {
        assert_eq!(mean(&[1.0, f64::INFINITY]), Some(f64::INFINITY));
        assert!(mean(&[1.0, f64::NAN]).unwrap().is_nan());
        assert!(standard_deviation(&[1.0, f64::INFINITY]).unwrap().is_nan());
    }

    #[test]
    fn quantiles_interpolate_between_order_statistics() {
        let values = [1.0, 2.0, 4.0, 8.0];
        assert_eq!(quantile(&values, 0.0), 1.0);
        assert_eq!(quantile(&values, 1.0), 8.0);
        assert_eq!(quantile(&values, 0.5), 3.0);
        // numpy.quantile([1, 2, 4, 8], 0.9)
        assert!((quantile(&values, 0.9) - 6.8).abs() < 1e-12);
        assert_eq!(quantile(&[5.0], 0.3), 5.0);
    }

    #[test]
    fn a_quantile_needs_no_order() {
        let sorted: Vec<f64> = (0..57).map(|i| f64::from(i * i) / 7.0 - 20.0).collect();
        for probability in [0.0, 0.025, 0.25, 0.5, 0.9, 0.975, 1.0] {
            let mut mixed: Vec<f64> = (0..57).map(|i| sorted[i * 23 % 57]).collect();
            let selected = select_quantile(&mut mixed, probability);
            assert_eq!(selected.to_bits(), quantile(&sorted, probability).to_bits());
        }
        assert_eq!(select_quantile(&mut [5.0], 0.3), 5.0);
    }

    #[test]
    fn the_middle_half_of_drawn_values() {
        let values = [0.1, 0.25, 0.3, 0.7];
        let drawn = [0.3, 0.1, 0.7, 0.3, 0.3, 0.1, 0.25];
        let mean = interquartile_mean_of_drawn(&values, &[2, 1, 3, 1]);
        assert_eq!(mean, interquartile_mean(&drawn));
        assert_eq!(interquartile_mean_of_drawn(&values, &[0; 4]), None);
    }
}
