//! How large a difference is, and how large one must be to be found.

use super::distribution::{bisect, chi_quantile_of, noncentral_t_cdf, normal, t_critical};
use super::{Interval, LEVEL, Moments, mean, standard_deviation};
use statrs::distribution::ContinuousCDF;

/// Cohen's d of two samples: the difference of the means by the pooled standard deviation (Cohen 1988).
///
/// [`None`] of a single run on either side.
#[must_use]
pub fn cohen_d(a: &Moments, b: &Moments) -> Option<f64> {
    if a.n < 2 || b.n < 2 {
        return None;
    }
    let weight = |one: &Moments| (one.n as f64 - 1.0) / (a.n as f64 + b.n as f64 - 2.0);
    // Square roots of weights: squares of large deviations would overflow.
    let part = |one: &Moments| weight(one).sqrt() * one.standard_deviation;
    divide(a.mean - b.mean, libm::hypot(part(a), part(b)))
}

/// Cohen's d of pairs: the mean difference by the standard deviation of the differences.
#[must_use]
pub fn cohen_d_paired(differences: &[f64]) -> Option<f64> {
    divide(mean(differences)?, standard_deviation(differences)?)
}

fn divide(difference: f64, spread: f64) -> Option<f64> {
    (spread > 0.0).then(|| difference / spread)
}

/// Probability that a run of `a` beats one of `b`, ties half (Agarwal et al. 2021).
#[must_use]
pub fn probability_of_improvement(a: &[f64], b: &[f64]) -> Option<f64> {
    if a.is_empty() || b.is_empty() {
        return None;
    }
    let [a, b] = places(a, b);
    Some(improvement_of_places(&a, &b))
}

/// Interval of the probability of improvement `theta` at [`LEVEL`](super::LEVEL), of so many runs a side: Newcombe's
/// method 5 (2006), which solves (θ̂ − θ)² = z² · V(θ) with Hanley and McNeil's variance. It has a width where
/// every run of one side beats every run of the other, where a bootstrap has none.
///
/// [`None`] of fewer than two runs on either side.
#[must_use]
pub fn probability_of_improvement_interval(theta: f64, runs: (usize, usize)) -> Option<Interval> {
    if runs.0 < 2 || runs.1 < 2 {
        return None;
    }
    let (m, n) = (runs.0 as f64, runs.1 as f64);
    let half = (m + n) / 2.0 - 1.0;
    let z = normal().inverse_cdf(0.5 + LEVEL / 2.0);
    let beyond = |t: f64| {
        let spread = t * (1.0 - t) * (1.0 + half * (1.0 - t) / (2.0 - t) + half * t / (1.0 + t));
        (theta - t).powi(2) > z * z * spread / (m * n)
    };
    Some(Interval {
        low: if theta > 0.0 { bisect(0.0, theta, beyond) } else { 0.0 },
        high: if theta < 1.0 { bisect(theta, 1.0, |t| !beyond(t)) } else { 1.0 },
    })
}

/// Both samples with the place of every value among all that occur, from 0 on, in the value's stead.
pub(crate) fn places(a: &[f64], b: &[f64]) -> [Vec<u32>; 2] {
    let mut all = [a, b].concat();
    all.sort_by(f64::total_cmp);
    all.dedup();
    let place = |value: &f64| all.partition_point(|other| other < value) as u32;
    [a.iter().map(place).collect(), b.iter().map(place).collect()]
}

/// [`probability_of_improvement`] of samples of [`places`], neither of them empty, without comparing each value with each: resamples
/// ask for it thousands of times.
pub(crate) fn improvement_of_places(a: &[u32], b: &[u32]) -> f64 {
    let largest = |side: &[u32]| side.iter().copied().fold(0, u32::max);
    let last = largest(a).max(largest(b));
    // How often a place occurs on either side.
    let mut times = vec![[0_u32; 2]; last as usize + 1];
    for (side, sample) in [a, b].into_iter().enumerate() {
        for place in sample {
            times[*place as usize][side] += 1;
        }
    }
    let (mut beaten, mut doubled_wins) = (0_u64, 0_u64);
    for [ours, theirs] in times.into_iter().map(|times| times.map(u64::from)) {
        doubled_wins += ours * (2 * beaten + theirs);
        beaten += theirs;
    }
    doubled_wins as f64 / (2 * a.len() * b.len()) as f64
}

/// Cliff's δ: how much oftener a run of `a` beats one of `b` than the other way round (Cliff 1993).
#[must_use]
pub fn cliffs_delta(a: &[f64], b: &[f64]) -> Option<f64> {
    Some(2.0 * probability_of_improvement(a, b)? - 1.0)
}

/// Power of a two-sided paired t test at level `alpha` with `n` pairs, where the true d of the pairs is
/// `effect`.
#[must_use]
pub fn power(effect: f64, n: usize, alpha: f64) -> Option<f64> {
    let df = (n as f64) - 1.0;
    if df < 1.0 {
        return None;
    }
    let critical = t_critical(alpha, df)?;
    let delta = effect.abs() * (n as f64).sqrt();
    Some(1.0 - noncentral_t_cdf(critical, df, delta)? + noncentral_t_cdf(-critical, df, delta)?)
}

/// Upper bound of a standard deviation that `n` values show as `sd`, which holds with probability
/// `confidence` for normal values: pilots of a few runs know the spread badly (Kieser and Wassmer 1996).
#[must_use]
pub fn upper_standard_deviation(sd: f64, n: usize, confidence: f64) -> Option<f64> {
    let df = n.checked_sub(1).filter(|df| *df > 0)? as f64;
    Some(sd * (df / chi_quantile_of(df, 1.0 - confidence)?).sqrt())
}

/// Smallest paired d that `n` pairs find with probability `wanted` (by a two-sided paired t test at level
/// `alpha`).
#[must_use]
pub fn detectable_effect(n: usize, wanted: f64, alpha: f64) -> Option<f64> {
    let (mut low, mut high) = (0.0, 1.0);
    while power(high, n, alpha)? < wanted {
        high *= 2.0;
        if high > 1e6 {
            return None;
        }
    }
    // Thirty halvings: nine digits of a figure that is shown with three.
    for _ in 0..30 {
        let middle = f64::midpoint(low, high);
        if power(middle, n, alpha)? < wanted { low = middle } else { high = middle }
    }
    Some(high)
}

/// Fewest pairs that find a paired d of `effect` with probability `wanted`; none where it takes more than
/// `most`.
#[must_use]
pub fn pairs_needed(effect: f64, wanted: f64, alpha: f64, most: usize) -> Option<usize> {
    let enough = |n| power(effect, n, alpha).is_some_and(|power| power >= wanted);
    if most < 2 || effect.is_nan() || !enough(most) {
        return None;
    }
    let (mut low, mut high) = (1, most);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if enough(middle) { high = middle } else { low = middle }
    }
    Some(high)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// statsmodels.stats.power.TTestPower
    #[test]
    fn power_of_paired_tests() {
        for (effect, n, expected) in [
            (0.5, 20, 0.564_504_418_439_020_3),
            (0.8, 10, 0.616_232_763_474_405_9),
            (1.5, 4, 0.532_792_607_261_341_3),
            (0.2, 100, 0.508_264_806_621_038),
        ] {
            let ours = power(effect, n, 0.05).unwrap();
            assert!((ours - expected).abs() < 1e-9, "{effect} {n}: {ours}");
        }
        for (n, expected) in [(3, 3.264_043_552_8), (10, 0.996_001_910_8), (30, 0.529_235_704_5)] {
            let ours = detectable_effect(n, 0.8, 0.05).unwrap();
            // Its own root finder stops there.
            assert!((ours - expected).abs() < 1e-6, "{n}: {ours}");
        }
        assert_eq!(pairs_needed(0.5, 0.8, 0.05, 10_000), Some(34));
        assert_eq!(pairs_needed(1e-6, 0.8, 0.05, 1_000), None);
        assert_eq!(power(0.5, 1, 0.05), None);
    }

    /// `scipy.stats.chi2.ppf(0.2, df)` is 0.064184754667 for one degree of freedom, 5.380053268 for nine.
    #[test]
    fn a_spread_of_few_runs_is_uncertain() {
        let two = upper_standard_deviation(1.0, 2, 0.8).unwrap();
        assert!((two - (1.0 / 0.064_184_754_667_f64).sqrt()).abs() < 1e-6, "{two}");
        let ten = upper_standard_deviation(2.0, 10, 0.8).unwrap();
        assert!((ten - 2.0 * (9.0 / 5.380_053_268_f64).sqrt()).abs() < 1e-6, "{ten}");
        assert_eq!(upper_standard_deviation(1.0, 1, 0.8), None);
    }

    #[test]
    fn power_grows_with_pairs() {
        let powers: Vec<f64> = (2..400).map(|n| power(0.3, n, 0.05).unwrap()).collect();
        assert!(powers.is_sorted(), "{powers:?}");
    }

    #[test]
    fn what_is_found_has_the_power_asked_for() {
        for n in [2, 3, 5, 10, 30] {
            let effect = detectable_effect(n, 0.8, 0.05).unwrap();
            assert!((power(effect, n, 0.05).unwrap() - 0.8).abs() < 1e-8, "{n}");
        }
    }

    /// The table in the README of digantamisra98/Mish: CIFAR-10, SqueezeNet, 23 runs each, d of Mish against
    /// the others. Its d are of means that it shows rounded to 0.01, which moves a difference by 0.01 at most.
    #[test]
    fn published_means_and_deviations_give_published_effects() {
        let of = |mean, standard_deviation| Moments { n: 23, mean, standard_deviation };
        let mish = of(87.48, 0.3967);
        for (other, published) in [(of(87.32, 0.4140), 0.386), (of(86.66, 0.5840), 1.646)] {
            let ours = cohen_d(&mish, &other).unwrap();
            let pooled =
                f64::midpoint(mish.standard_deviation.powi(2), other.standard_deviation.powi(2));
            assert!((ours - published).abs() < 0.01 / pooled.sqrt() + 5e-4, "{ours} {published}");
        }
    }

    /// The equation solved by mpmath: θ̂ = 1 of 2 and 2 runs, ½ of 10 and 10, 0.8 of 5 and 5.
    #[test]
    fn improvement_has_an_interval() {
        for (theta, runs, low, high) in [
            (1.0, (2, 2), 0.385_635_704_497_166, 1.0),
            (0.5, (10, 10), 0.273_515_588_189_894, 0.726_484_411_810_106),
            (0.8, (5, 5), 0.429_094_030_803_653, 0.950_547_083_944_087),
        ] {
            let interval = probability_of_improvement_interval(theta, runs).unwrap();
            assert!((interval.low - low).abs() < 1e-9, "{interval:?} {low}");
            assert!((interval.high - high).abs() < 1e-9, "{interval:?} {high}");
        }
        assert_eq!(probability_of_improvement_interval(1.0, (1, 5)), None);
    }

    #[test]
    fn identical_runs_have_no_effect_size() {
        let same = Moments::of(&[1.0, 1.0]).unwrap();
        assert_eq!(cohen_d(&same, &same), None);
        assert_eq!(cliffs_delta(&[1.0, 1.0], &[1.0, 1.0]), Some(0.0));
        assert_eq!(cliffs_delta(&[], &[1.0]), None);
    }
}
