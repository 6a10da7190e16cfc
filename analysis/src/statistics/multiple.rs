//! Several tests at once.

use super::distribution::studentized_range_tail;
use super::mean;

/// p after correction for all tests of a family, and at which level the test was made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adjusted {
    /// The corrected p: deciding by it at a level errs with at most that probability over the whole family.
    pub p: f64,
    /// By how much the family's level was divided for this test. An interval at 1 − level / divisor excludes 0
    /// exactly where the corrected p is at most the level.
    pub divisor: f64,
}

/// Holm's step-down correction (Holm 1979) at `level`, in the order given. A test is a comparison's number and
/// its p.
///
/// Of the tests of one comparison at most one may be of a hypothesis that is true, as those of "no difference"
/// and of "a difference beyond the margin" are; they count once (Shaffer 1986). Where every comparison has one
/// test this is Holm's procedure as it is known.
#[must_use]
pub fn holm(tests: &[(usize, f64)], level: f64) -> Vec<Adjusted> {
    let mut order: Vec<usize> = (0..tests.len()).collect();
    order.sort_by(|a, b| tests[*a].1.total_cmp(&tests[*b].1));
    let comparisons = tests.iter().map(|(comparison, _)| comparison + 1).max().unwrap_or(0);
    let mut open = vec![0_usize; comparisons];
    for (comparison, _) in tests {
        open[*comparison] += 1;
    }
    let mut left = open.iter().filter(|tests| **tests > 0).count();
    let mut adjusted = vec![Adjusted { p: 1.0, divisor: left.max(1) as f64 }; tests.len()];
    let mut largest: f64 = 0.0;
    // The divisor of the first test that does not reject: every later one is made with it.
    let mut stopped = None;
    for i in order {
        let (comparison, p) = tests[i];
        largest = largest.max(left as f64 * p).min(1.0);
        let divisor = *stopped.get_or_insert(left as f64);
        adjusted[i] = Adjusted { p: largest, divisor };
        if largest <= level {
            stopped = None;
        }
        open[comparison] -= 1;
        left -= usize::from(open[comparison] == 0);
    }
    adjusted
}

/// Tukey's comparison of all pairs of arms in blocks (Tukey 1953): p of the pairs `(i, j)` with i < j in the
/// order (0, 1), (0, 2), …, by the studentized range of all arms.
///
/// `blocks[block][arm]` is a score; what blocks and arms leave unexplained is the error, with
/// (arms − 1)(blocks − 1) degrees of freedom. [`None`] of fewer than two blocks or arms, or without any error.
#[must_use]
pub fn tukey(blocks: &[Vec<f64>]) -> Option<Vec<f64>> {
    let (n, k) = (blocks.len(), blocks.first()?.len());
    if n < 2 || k < 2 || blocks.iter().any(|block| block.len() != k) {
        return None;
    }
    let arm = |arm: usize| mean(&blocks.iter().map(|block| block[arm]).collect::<Vec<_>>());
    let arms: Vec<f64> = (0..k).map(arm).collect::<Option<_>>()?;
    let grand = mean(&arms)?;
    let mut squares = 0.0;
    for block in blocks {
        let own = mean(block)?;
        squares += block
            .iter()
            .zip(&arms)
            .map(|(score, arm)| (score - own - (arm - grand)).powi(2))
            .sum::<f64>();
    }
    let df = ((k - 1) * (n - 1)) as f64;
    let error = (squares / df / n as f64).sqrt();
    let largest = blocks.iter().flatten().fold(0.0_f64, |largest, score| largest.max(score.abs()));
    if error.is_nan() || error <= 8.0 * f64::EPSILON * largest {
        return None;
    }
    let mut p = Vec::new();
    for i in 0..k {
        for j in i + 1..k {
            p.push(studentized_range_tail((arms[i] - arms[j]).abs() / error, k, df)?);
        }
    }
    Some(p)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(p: &[f64]) -> Vec<f64> {
        let tests: Vec<(usize, f64)> = p.iter().copied().enumerate().collect();
        holm(&tests, 0.05).into_iter().map(|one| one.p).collect()
    }

    #[test]
    fn the_least_p_pays_for_all() {
        assert_eq!(plain(&[0.01, 0.04, 0.03]), [0.03, 0.06, 0.06]);
        assert_eq!(plain(&[0.5, 0.9]), [1.0, 1.0]);
        assert!(plain(&[]).is_empty());
    }

    #[test]
    fn an_interval_excludes_zero_where_the_test_rejects() {
        let p = [0.001, 0.03, 0.03, 0.2];
        let tests: Vec<(usize, f64)> = p.into_iter().enumerate().collect();
        let adjusted = holm(&tests, 0.05);
        assert_eq!(
            adjusted.iter().map(|one| one.divisor).collect::<Vec<_>>(),
            [4.0, 3.0, 3.0, 3.0]
        );
        for (p, one) in p.iter().zip(&adjusted) {
            assert_eq!(*p <= 0.05 / one.divisor, one.p <= 0.05, "{one:?}");
        }
    }

    #[test]
    fn two_tests_of_a_comparison_count_once() {
        // Two comparisons with a test of difference and one of equivalence each.
        let adjusted = holm(&[(0, 0.01), (0, 0.9), (1, 0.8), (1, 0.02)], 0.05);
        let p: Vec<f64> = adjusted.iter().map(|one| one.p).collect();
        assert_eq!(p, [0.02, 1.0, 1.0, 0.04]);
    }

    /// q by hand from the two-way table (error 17/6 with 6 degrees of freedom), p of
    /// `scipy.stats.studentized_range.sf`.
    #[test]
    fn all_pairs_in_blocks() {
        let blocks = [[3.0, 5.0, 4.0], [4.0, 7.0, 5.0], [2.0, 6.0, 4.0], [5.0, 6.0, 6.0]];
        let p = tukey(&blocks.map(|block| block.to_vec())).unwrap();
        let expected = [0.005_104_166_220_69, 0.093_084_220_891_39, 0.093_084_220_891_39];
        for (ours, expected) in p.iter().zip(expected) {
            assert!((ours / expected - 1.0).abs() < 1e-6, "{p:?}");
        }
        // Without error there is nothing to judge by.
        assert_eq!(tukey(&[vec![0.1, 0.2], vec![0.7, 0.8]]), None);
    }
}
