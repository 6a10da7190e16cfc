//! Tests of two samples against each other.

use super::distribution::{normal, t_two_sided};
use super::{Moments, mean, standard_deviation};
use statrs::distribution::ContinuousCDF;

/// Above so many pairs, or runs of both sides, the exact distribution of ranks is approximated by a normal
/// one: the two differ in the third digit of p there, and counting takes long.
const EXACT_PAIRS: usize = 200;
const EXACT_RUNS: usize = 80;

/// A statistic and the probability of one as extreme where there is no difference, two-sided.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Test {
    /// The statistic.
    pub statistic: f64,
    /// Two-sided p.
    pub p: f64,
}

/// Paired t test of the differences' mean against 0 (Student 1908); of two pairs and more.
///
/// Where all differences are the same, there is no spread to judge by and no test: take them from
/// [`Resolution::differences`](super::Resolution::differences), which makes equal what is equal but for rounding.
#[must_use]
pub fn paired_t(differences: &[f64]) -> Option<Test> {
    let n = differences.len() as f64;
    let spread = standard_deviation(differences).filter(|sd| *sd > 0.0 && sd.is_finite())?;
    let statistic = mean(differences)? / (spread / n.sqrt());
    Some(Test { statistic, p: t_two_sided(statistic, n - 1.0)? })
}

/// Welch's t test of two means with variances of their own (Welch 1947); of two runs a side and more.
///
/// [`None`] where neither sample has a spread.
#[must_use]
pub fn welch(a: &Moments, b: &Moments) -> Option<Test> {
    let (error, df) = welch_error(a, b)?;
    let statistic = (a.mean - b.mean) / error;
    Some(Test { statistic, p: t_two_sided(statistic, df)? })
}

/// Standard error of the difference of two means, and its degrees of freedom (Welch and Satterthwaite).
pub(super) fn welch_error(a: &Moments, b: &Moments) -> Option<(f64, f64)> {
    let part = |one: &Moments| one.standard_deviation / (one.n as f64).sqrt();
    let (ea, eb) = (part(a), part(b));
    let error = libm::hypot(ea, eb);
    if !(error > 0.0 && error.is_finite() && a.n > 1 && b.n > 1) {
        return None;
    }
    // Shares of the variance, which do not overflow.
    let (sa, sb) = ((ea / error).powi(2), (eb / error).powi(2));
    let df = 1.0 / (sa * sa / (a.n as f64 - 1.0) + sb * sb / (b.n as f64 - 1.0));
    Some((error, df))
}

/// Wilcoxon's signed-rank test (Wilcoxon 1945): the smaller of the two rank sums. Differences of 0 are left
/// out, equal ones share a rank, and p is exact: it counts the signs that the ranks at hand could have.
#[must_use]
pub fn wilcoxon(differences: &[f64]) -> Option<Test> {
    let (ranks, positive) = signed_ranks(differences)?;
    let total: usize = ranks.iter().sum();
    let lesser = positive.min(total - positive);
    if ranks.len() > EXACT_PAIRS {
        return wilcoxon_asymptotic(differences);
    }
    // Probability that the positive ranks sum to so much, by one rank after the other.
    let mut probability = vec![0.0; total + 1];
    probability[0] = 1.0;
    let mut reached = 0;
    for rank in &ranks {
        reached += rank;
        for sum in (0..=reached).rev() {
            let with = if sum >= *rank { probability[sum - rank] } else { 0.0 };
            probability[sum] = 0.5 * (probability[sum] + with);
        }
    }
    let tail: f64 = probability[..=lesser].iter().sum();
    Some(Test { statistic: lesser as f64 / 2.0, p: (2.0 * tail).min(1.0) })
}

/// [`wilcoxon`] by the normal distribution with a correction for ties, without one for continuity.
#[must_use]
pub fn wilcoxon_asymptotic(differences: &[f64]) -> Option<Test> {
    let (ranks, positive) = signed_ranks(differences)?;
    let total: usize = ranks.iter().sum();
    // Ranks are doubled here, and so are their sums.
    let variance: f64 = ranks.iter().map(|rank| (*rank as f64).powi(2)).sum::<f64>() / 4.0;
    let lesser = positive.min(total - positive) as f64;
    let z = (lesser - total as f64 / 2.0) / variance.sqrt();
    let p = (2.0 * normal().cdf(-z.abs())).min(1.0);
    Some(Test { statistic: lesser / 2.0, p })
}

/// Twice the ranks of what differs, and the sum of those of positive differences.
fn signed_ranks(differences: &[f64]) -> Option<(Vec<usize>, usize)> {
    let differing: Vec<f64> = differences.iter().copied().filter(|d| *d != 0.0).collect();
    if differing.is_empty() || differing.iter().any(|difference| difference.is_nan()) {
        return None;
    }
    let sizes: Vec<f64> = differing.iter().map(|difference| difference.abs()).collect();
    let ranks = doubled_ranks(&sizes);
    let positive =
        differing.iter().zip(&ranks).filter(|(d, _)| **d > 0.0).map(|(_, rank)| rank).sum();
    Some((ranks, positive))
}

/// The Mann–Whitney U test (Mann and Whitney 1947): how many pairs the first sample wins, ties half. p is
/// exact: it counts the ways to divide the ranks at hand.
#[must_use]
pub fn mann_whitney(a: &[f64], b: &[f64]) -> Option<Test> {
    let (ranks, statistic) = u_statistic(a, b)?;
    if ranks.len() > EXACT_RUNS {
        return mann_whitney_asymptotic(a, b);
    }
    let total: usize = ranks.iter().sum();
    // ways[m][s]: probability-weighted count of m ranks that sum to s.
    let mut ways = vec![vec![0.0_f64; total + 1]; a.len() + 1];
    ways[0][0] = 1.0;
    for (seen, rank) in ranks.iter().enumerate() {
        for taken in (1..=a.len().min(seen + 1)).rev() {
            for sum in (*rank..=total).rev() {
                let with = ways[taken - 1][sum - rank];
                ways[taken][sum] += with;
            }
        }
    }
    let ways = &ways[a.len()];
    let all: f64 = ways.iter().sum();
    let observed: usize = ranks[..a.len()].iter().sum();
    let below: f64 = ways[..=observed].iter().sum();
    let above: f64 = ways[observed..].iter().sum();
    Some(Test { statistic, p: (2.0 * below.min(above) / all).min(1.0) })
}

/// [`mann_whitney`] by the normal distribution, with corrections for ties and continuity.
#[must_use]
pub fn mann_whitney_asymptotic(a: &[f64], b: &[f64]) -> Option<Test> {
    let (ranks, statistic) = u_statistic(a, b)?;
    let (na, nb) = (a.len() as f64, b.len() as f64);
    let n = na + nb;
    let middle = (n + 1.0) / 2.0;
    let spread: f64 = ranks.iter().map(|rank| (*rank as f64 / 2.0 - middle).powi(2)).sum();
    let variance = na * nb / (n * (n - 1.0)) * spread;
    let distance = (statistic - na * nb / 2.0).abs() - 0.5;
    if variance <= 0.0 {
        return None;
    }
    let p = (2.0 * normal().sf(distance / variance.sqrt())).min(1.0);
    Some(Test { statistic, p })
}

/// Twice the ranks of all values, those of `a` first, and U of `a`.
fn u_statistic(a: &[f64], b: &[f64]) -> Option<(Vec<usize>, f64)> {
    if a.is_empty() || b.is_empty() || a.iter().chain(b).any(|value| value.is_nan()) {
        return None;
    }
    let all: Vec<f64> = a.iter().chain(b).copied().collect();
    let ranks = doubled_ranks(&all);
    let sum: usize = ranks[..a.len()].iter().sum();
    let least = a.len() * (a.len() + 1);
    Some((ranks, (sum - least) as f64 / 2.0))
}

/// Twice the ranks of `values` from 1, where equal ones share the mean of theirs.
pub(super) fn doubled_ranks(values: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0; values.len()];
    let mut begin = 0;
    while begin < order.len() {
        let mut end = begin + 1;
        while end < order.len() && values[order[end]] == values[order[begin]] {
            end += 1;
        }
        for place in &order[begin..end] {
            ranks[*place] = begin + 1 + end;
        }
        begin = end;
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_share_a_rank() {
        assert_eq!(doubled_ranks(&[3.0, 1.0, 3.0, 2.0]), [7, 2, 7, 4]);
    }

    #[test]
    fn what_shows_no_difference_has_no_test_or_p_1() {
        assert_eq!(paired_t(&[0.1]), None);
        assert_eq!(paired_t(&[0.1, 0.1]), None);
        assert_eq!(wilcoxon(&[0.0, 0.0]), None);
        let same = Moments::of(&[0.5, 0.5]).unwrap();
        assert_eq!(welch(&same, &same), None);
        assert_eq!(mann_whitney(&[0.5, 0.5], &[0.5]).unwrap().p, 1.0);
        assert_eq!(wilcoxon(&[0.1, -0.1]).unwrap().p, 1.0);
    }

    #[test]
    fn few_pairs_cannot_be_significant_by_ranks() {
        // Five of five in one direction: 2 / 2⁵.
        assert_eq!(wilcoxon(&[1.0, 2.0, 3.0, 4.0, 5.0]).unwrap().p, 0.0625);
        // Three against three: 2 / 20.
        assert_eq!(mann_whitney(&[4.0, 5.0, 6.0], &[1.0, 2.0, 3.0]).unwrap().p, 0.1);
    }
}
