//! How large a difference is, and how large one must be to be found.

use super::distribution::{noncentral_t_cdf, t_quantile};
use super::{mean, standard_deviation};

/// Cohen's d of two samples: the difference of the means by the pooled standard deviation (Cohen 1988).
#[must_use]
pub fn cohen_d(a: &[f64], b: &[f64]) -> Option<f64> {
    let (na, nb) = (a.len() as f64, b.len() as f64);
    let (sa, sb) = (standard_deviation(a)?, standard_deviation(b)?);
    let pooled = ((na - 1.0) * sa * sa + (nb - 1.0) * sb * sb) / (na + nb - 2.0);
    divide(mean(a)? - mean(b)?, pooled.sqrt())
}

/// [`cohen_d`] of published means and standard deviations of equally many runs.
#[must_use]
pub fn cohen_d_of_summaries(a: (f64, f64), b: (f64, f64)) -> Option<f64> {
    divide(a.0 - b.0, ((a.1 * a.1 + b.1 * b.1) / 2.0).sqrt())
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

/// Both samples with the place of every value among all that occur, from 0 on, in the value's stead.
pub(crate) fn places(a: &[f64], b: &[f64]) -> [Vec<f64>; 2] {
    let mut all = [a, b].concat();
    all.sort_by(f64::total_cmp);
    all.dedup();
    let place = |value: &f64| all.partition_point(|other| other < value) as f64;
    [a.iter().map(place).collect(), b.iter().map(place).collect()]
}

/// [`probability_of_improvement`] of samples of [`places`], neither of them empty, without comparing each value with each: resamples
/// ask for it thousands of times.
pub(crate) fn improvement_of_places(a: &[f64], b: &[f64]) -> f64 {
    let last = a.iter().chain(b).copied().fold(0.0, f64::max);
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
    let critical = t_quantile(1.0 - alpha / 2.0, df)?;
    let delta = effect.abs() * (n as f64).sqrt();
    Some(1.0 - noncentral_t_cdf(critical, df, delta)? + noncentral_t_cdf(-critical, df, delta)?)
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
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
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

    #[test]
    fn power_grows_with_pairs() {
        let powers: Vec<f64> = (2..400).map(|n| power(0.3, n, 0.05).unwrap()).collect();
        assert!(powers.is_sorted(), "{powers:?}");
    }

    #[test]
    fn what_is_found_has_the_power_asked_for() {
        for n in [2, 3, 5, 10, 30] {
            let effect = detectable_effect(n, 0.8, 0.05).unwrap();
            assert!((power(effect, n, 0.05).unwrap() - 0.8).abs() < 1e-9, "{n}");
        }
    }

    /// The table in the README of digantamisra98/Mish: CIFAR-10, SqueezeNet, 23 runs each, d of Mish against
    /// the others. Its d are of means that it shows rounded to 0.01, which moves a difference by 0.01 at most.
    #[test]
    fn published_means_and_deviations_give_published_effects() {
        let mish = (87.48, 0.3967);
        for (other, published) in [((87.32, 0.4140), 0.386), ((86.66, 0.5840), 1.646)] {
            let ours = cohen_d_of_summaries(mish, other).unwrap();
            let (_, deviation) = other;
            let pooled = f64::sqrt((mish.1 * mish.1 + deviation * deviation) / 2.0);
            assert!((ours - published).abs() < 0.01 / pooled + 5e-4, "{ours} {published}");
        }
    }

    #[test]
    fn identical_runs_have_no_effect_size() {
        assert_eq!(cohen_d(&[1.0, 1.0], &[1.0, 1.0]), None);
        assert_eq!(cliffs_delta(&[1.0, 1.0], &[1.0, 1.0]), Some(0.0));
        assert_eq!(cliffs_delta(&[], &[1.0]), None);
    }
}
