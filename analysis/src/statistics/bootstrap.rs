//! The percentile bootstrap (Efron and Tibshirani 1993, chapter 13).

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Nominal coverage of every interval.
pub const LEVEL: f64 = 0.95;

/// A closed interval of the real line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// Lower bound.
    pub low: f64,
    /// Upper bound.
    pub high: f64,
}

impl Interval {
    /// Whether `value` lies inside or on a bound.
    #[must_use]
    pub fn contains(&self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }
}

/// How intervals are resampled.
///
/// Every interval starts the random stream of `seed` anew. An interval is therefore a function of
/// its own values alone: adding, removing or reordering arms does not move any other arm's figures.
/// It also means that arms of equal size are resampled alike, which takes Monte-Carlo noise out of
/// the comparison of their intervals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bootstrap {
    /// Resamples drawn for an interval; with 0 there are no intervals.
    pub resamples: usize,
    /// Seed of the ChaCha8 stream.
    pub seed: u64,
}

impl Bootstrap {
    /// Percentile interval of the mean at [`LEVEL`]: the values are drawn n at a time with
    /// replacement, and the bounds are the 2.5th and 97.5th percentile of the resamples' means.
    ///
    /// The interval does not depend on the order of `values` and lies within their range. There is
    /// none for fewer than two values (a single one carries no spread) or for values that are not
    /// finite.
    ///
    /// With few values it is too narrow: a resample spreads √((n − 1)/n) as much as an unbiased
    /// estimate would, and tails are those of a normal and not of a t distribution. Of normal
    /// values, nominal 95 % covers the true mean about 49 % of the time at n = 2, 75 % at n = 3,
    /// 83 % at n = 5 and 91 % at n = 10 (simulated).
    #[must_use]
    pub fn mean(&self, values: &[f64]) -> Option<Interval> {
        if values.len() < 2 || self.resamples == 0 || !values.iter().all(|value| value.is_finite())
        {
            return None;
        }
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (least, greatest) = (sorted[0], sorted[sorted.len() - 1]);

        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let mut means: Vec<f64> = (0..self.resamples)
            .map(|_| {
                // Summing distances from the least value keeps the digits that the values share
                // out of the rounding; what remains of it must not leave the range.
                let total: f64 =
                    sorted.iter().map(|_| sorted[below(&mut rng, sorted.len())] - least).sum();
                (least + total / sorted.len() as f64).clamp(least, greatest)
            })
            .collect();
        means.sort_by(f64::total_cmp);
        let tail = (1.0 - LEVEL) / 2.0;
        Some(Interval { low: quantile(&means, tail), high: quantile(&means, 1.0 - tail) })
    }
}

/// A uniform index below `n`, by the high half of a 64 × 64 bit product. Indices differ in
/// probability by less than 2⁻⁶⁴, which no number of resamples shows.
fn below(rng: &mut ChaCha8Rng, n: usize) -> usize {
    ((u128::from(rng.next_u64()) * n as u128) >> 64) as usize
}

/// Quantile of sorted values with linear interpolation between order statistics (definition 7 of
/// Hyndman and Fan 1996, the default of NumPy and R).
fn quantile(sorted: &[f64], probability: f64) -> f64 {
    let rank = probability * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[rank.floor() as usize], sorted[rank.ceil() as usize]);
    below + (above - below) * rank.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOTSTRAP: Bootstrap = Bootstrap { resamples: 2_000, seed: 7 };

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
    fn two_values_span_their_own_interval() {
        // A quarter of the resamples takes the lower value twice, a quarter the upper.
        let interval = BOOTSTRAP.mean(&[0.8, 0.9]).unwrap();
        assert_eq!(interval, Interval { low: 0.8, high: 0.9 });
    }

    #[test]
    fn what_cannot_be_resampled_has_no_interval() {
        assert_eq!(BOOTSTRAP.mean(&[]), None);
        assert_eq!(BOOTSTRAP.mean(&[0.5]), None);
        assert_eq!(BOOTSTRAP.mean(&[0.5, f64::NAN]), None);
        assert_eq!(Bootstrap { resamples: 0, seed: 7 }.mean(&[0.5, 0.6]), None);
    }

    #[test]
    fn the_seed_decides_and_decides_alone() {
        let values = [0.1, 0.4, 0.2, 0.9, 0.3, 0.7];
        let other = Bootstrap { seed: 8, ..BOOTSTRAP };
        assert_eq!(BOOTSTRAP.mean(&values), BOOTSTRAP.mean(&values));
        assert_ne!(BOOTSTRAP.mean(&values), other.mean(&values));
    }

    #[test]
    fn every_index_is_drawn_as_often() {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let mut counts = [0u32; 7];
        for _ in 0..70_000 {
            counts[below(&mut rng, 7)] += 1;
        }
        // Standard deviation of a count: √(70 000 · 1/7 · 6/7) ≈ 93.
        assert!(counts.iter().all(|&count| count.abs_diff(10_000) < 5 * 93), "{counts:?}");
    }
}
