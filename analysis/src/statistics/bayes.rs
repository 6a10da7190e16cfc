//! Probabilities that a difference is worse than, within, or better than a margin (Benavoli, Corani, Demšar and
//! Zaffalon 2017).

use super::distribution::t_cdf;
use super::{mean, standard_deviation};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde::Serialize;

/// Weight of the pseudo-observation "no difference" in [`signed_rank_posterior`].
const PRIOR: f64 = 0.5;

/// Draws of [`signed_rank_posterior`]: a probability is known to 0.003.
const DRAWS: usize = 20_000;

/// Probabilities of three cases that exclude each other.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Probabilities {
    /// The true difference is below −margin.
    pub worse: f64,
    /// It lies within the margin.
    pub equivalent: f64,
    /// It is above the margin.
    pub better: f64,
}

/// The Bayesian t test of paired differences: Student's posterior of their mean with a flat prior.
///
/// `correlation` between the differences is 0 for runs that share nothing but the data, and 1/k for k folds of
/// one cross-validation (Nadeau and Bengio 2003). Differences without a spread say nothing of how sure one
/// may be: [`None`], as of fewer than two.
#[must_use]
pub fn posterior_t(differences: &[f64], margin: f64, correlation: f64) -> Option<Probabilities> {
    let n = differences.len() as f64;
    let (centre, spread) = (mean(differences)?, standard_deviation(differences)?);
    let error = spread * (1.0 / n + correlation / (1.0 - correlation)).sqrt();
    if error <= 0.0 {
        return None;
    }
    let worse = t_cdf((-margin - centre) / error, n - 1.0)?;
    let better = t_cdf((centre - margin) / error, n - 1.0)?;
    Some(Probabilities { worse, equivalent: (1.0 - worse - better).max(0.0), better })
}

/// The Bayesian signed-rank test of one difference a task (Benavoli et al. 2014): how often, over draws from a
/// Dirichlet process, most pairs of tasks average below, within or above the margin. What a new task would
/// show, if it is of the same kind. The draws are those of `seed`.
///
/// [`None`] of fewer than two tasks.
#[must_use]
pub fn signed_rank_posterior(differences: &[f64], margin: f64, seed: u64) -> Option<Probabilities> {
    if differences.len() < 2 {
        return None;
    }
    // The first one is the pseudo-observation; the sums that lie beyond the margin depend on values alone.
    let mut values: Vec<(f64, bool)> = std::iter::once((0.0, true))
        .chain(differences.iter().map(|difference| (*difference, false)))
        .collect();
    values.sort_by(|a, b| a.0.total_cmp(&b.0));
    // For each value: partners whose sum with it is below −2·margin, at most that, below 2·margin, at most that.
    let bounds: Vec<[usize; 4]> = values
        .iter()
        .map(|(value, _)| {
            let below = |limit: f64| values.partition_point(|(other, _)| value + other < limit);
            let up_to = |limit: f64| values.partition_point(|(other, _)| value + other <= limit);
            [below(-2.0 * margin), up_to(-2.0 * margin), below(2.0 * margin), up_to(2.0 * margin)]
        })
        .collect();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut wins = [0_u32; 3];
    let mut sums = vec![0.0; values.len() + 1];
    for _ in 0..DRAWS {
        let mut weights = vec![0.0; values.len()];
        for (place, (_, prior)) in values.iter().enumerate() {
            weights[place] = if *prior { half_gamma(&mut rng) } else { exponential(&mut rng) };
            sums[place + 1] = sums[place] + weights[place];
        }
        let total = sums[values.len()];
        let (mut below, mut above) = (0.0, 0.0);
        for (weight, [low, low_end, high, high_end]) in weights.iter().zip(&bounds) {
            // Sums of just the margin count half.
            below += weight * f64::midpoint(sums[*low], sums[*low_end]);
            above += weight * (total - f64::midpoint(sums[*high], sums[*high_end]));
        }
        let whole = total * total;
        let cases = [below, whole - below - above, above];
        let most = (0..3).fold(0, |most, case| if cases[case] > cases[most] { case } else { most });
        wins[most] += 1;
    }
    let [worse, equivalent, better] = wins.map(|wins| f64::from(wins) / DRAWS as f64);
    Some(Probabilities { worse, equivalent, better })
}

/// A number in (0, 1).
fn uniform(rng: &mut ChaCha8Rng) -> f64 {
    ((rng.next_u64() >> 12) as f64 + 0.5) / (1_u64 << 52) as f64
}

/// A draw of the gamma distribution of shape 1.
fn exponential(rng: &mut ChaCha8Rng) -> f64 {
    -libm::log(uniform(rng))
}

/// A draw of the gamma distribution of shape [`PRIOR`], a half: half the square of a normal number.
fn half_gamma(rng: &mut ChaCha8Rng) -> f64 {
    debug_assert!((PRIOR - 0.5).abs() < f64::EPSILON);
    exponential(rng) * libm::cos(std::f64::consts::PI * uniform(rng)).powi(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIFFERENCES: [f64; 10] =
        [0.002, 0.004, -0.001, 0.003, 0.0015, 0.006, 0.0, 0.0025, 0.0035, 0.001];

    #[track_caller]
    fn assert_near(ours: Probabilities, theirs: [f64; 3], tolerance: f64) {
        let ours = [ours.worse, ours.equivalent, ours.better];
        let near = ours.iter().zip(theirs).all(|(a, b)| (a - b).abs() <= tolerance);
        assert!(near, "{ours:?} instead of {theirs:?}");
    }

    /// `baycomp.two_on_single` with one run of ten folds and two of five; SciPy without correlation.
    #[test]
    fn posteriors_of_one_task_are_those_of_baycomp() {
        let of = |correlation| posterior_t(&DIFFERENCES, 0.002, correlation).unwrap();
        assert_near(of(0.1), [0.000_688_724_148, 0.396_718_845_077, 0.602_592_430_774], 1e-10);
        assert_near(of(0.2), [0.003_171_623_490, 0.416_734_498_058, 0.580_093_878_452], 1e-10);
        assert_near(of(0.0), [4.866_342_780e-5, 0.353_022_041_924, 0.646_929_294_648], 1e-10);
    }

    /// `baycomp.SignedRankTest.probs` with a million draws.
    #[test]
    fn posteriors_over_tasks_are_those_of_baycomp() {
        let differences = [0.01, 0.03, -0.005, 0.02, 0.04, 0.001, 0.015];
        let of = |margin| signed_rank_posterior(&differences, margin, 1).unwrap();
        // The standard error of a share of 20,000 draws is at most 0.0035.
        assert_near(of(0.01), [0.0, 0.209_863, 0.790_137], 0.015);
        assert_near(of(0.02), [0.0, 0.829_378, 0.170_622], 0.015);
        assert_eq!(signed_rank_posterior(&[0.1], 0.01, 1), None);
    }

    #[test]
    fn differences_without_spread_are_not_certain() {
        assert_eq!(posterior_t(&[0.1, 0.1], 0.05, 0.0), None);
        assert_eq!(posterior_t(&[0.0, 0.0], 0.05, 0.0), None);
        assert_eq!(posterior_t(&[0.1], 0.05, 0.0), None);
    }
}
