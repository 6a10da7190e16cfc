//! Several arms over several blocks: who is ahead, by ranks (Demšar 2006).

use super::distribution::{studentized_range_cdf, studentized_range_quantile};
use super::pairwise::{Test, doubled_ranks};
use statrs::distribution::{ChiSquared, ContinuousCDF, FisherSnedecor};

/// Ranks of arms over blocks (a block is a task, or a task under a seed), rank 1 the highest score.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranks {
    /// Blocks.
    pub blocks: usize,
    /// Mean rank of each arm.
    pub mean: Vec<f64>,
    /// Friedman's test that all arms are alike, by χ² with k − 1 degrees of freedom (Friedman 1937).
    pub friedman: Test,
    /// Its less conservative form by F (Iman and Davenport 1980).
    pub iman_davenport: Test,
}

impl Ranks {
    /// Ranks the arms of each block; every block has a score of each arm. There are none of fewer than two
    /// blocks or three arms, or where all scores of every block are the same.
    #[must_use]
    pub fn of(blocks: &[Vec<f64>]) -> Option<Self> {
        let (n, k) = (blocks.len(), blocks.first()?.len());
        let whole = |block: &Vec<f64>| block.len() == k && !block.iter().any(|x| x.is_nan());
        if n < 2 || k < 3 || !blocks.iter().all(whole) {
            return None;
        }
        let mut sums = vec![0.0; k];
        let mut ties = 0.0;
        for block in blocks {
            let negated: Vec<f64> = block.iter().map(|score| -score).collect();
            let ranks = doubled_ranks(&negated);
            for (sum, rank) in sums.iter_mut().zip(&ranks) {
                *sum += *rank as f64 / 2.0;
            }
            ties += tie_excess(&ranks);
        }
        let (blocks, arms) = (n as f64, k as f64);
        let squares: f64 = sums.iter().map(|sum| sum * sum).sum();
        let correction = 1.0 - ties / (blocks * arms * (arms * arms - 1.0));
        let uncorrected =
            12.0 / (blocks * arms * (arms + 1.0)) * squares - 3.0 * blocks * (arms + 1.0);
        let statistic = uncorrected / correction;
        if !statistic.is_finite() {
            return None;
        }
        let chi = ChiSquared::new(arms - 1.0).ok()?;
        let friedman = Test { statistic, p: chi.sf(statistic.max(0.0)) };
        let room = blocks * (arms - 1.0) - statistic;
        let f = (blocks - 1.0) * statistic / room;
        let fisher = FisherSnedecor::new(arms - 1.0, (arms - 1.0) * (blocks - 1.0)).ok()?;
        // Where every block agrees, nothing is left to chance.
        let p = if room > 1e-12 { fisher.sf(f.max(0.0)) } else { 0.0 };
        Some(Self {
            blocks: n,
            mean: sums.iter().map(|sum| sum / blocks).collect(),
            friedman,
            iman_davenport: Test { statistic: f, p },
        })
    }

    /// Nemenyi's critical difference at level `alpha`: mean ranks of two arms that are further apart differ,
    /// with all pairs taken together (Nemenyi 1963).
    #[must_use]
    pub fn critical_difference(&self, alpha: f64) -> f64 {
        let q = studentized_range_quantile(1.0 - alpha, self.mean.len()) / 2f64.sqrt();
        q * self.standard_error()
    }

    /// Nemenyi's p of two arms, all pairs taken together.
    #[must_use]
    pub fn nemenyi(&self, a: usize, b: usize) -> f64 {
        let q = (self.mean[a] - self.mean[b]).abs() / self.standard_error() * 2f64.sqrt();
        1.0 - studentized_range_cdf(q, self.mean.len())
    }

    fn standard_error(&self) -> f64 {
        let k = self.mean.len() as f64;
        (k * (k + 1.0) / (6.0 * self.blocks as f64)).sqrt()
    }
}

/// Σ(t³ − t) over groups of t equal ranks.
fn tie_excess(ranks: &[usize]) -> f64 {
    let mut sorted = ranks.to_vec();
    sorted.sort_unstable();
    let group = |group: &[usize]| (group.len() as f64).powi(3) - group.len() as f64;
    sorted.chunk_by(|a, b| a == b).map(group).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_that_agree_leave_nothing_to_chance() {
        let ranks = Ranks::of(&vec![vec![3.0, 2.0, 1.0]; 6]).unwrap();
        assert_eq!(ranks.mean, [1.0, 2.0, 3.0]);
        assert!((ranks.friedman.statistic - 12.0).abs() < 1e-12);
        assert_eq!(ranks.iman_davenport.p, 0.0);
    }

    #[test]
    fn what_cannot_be_ranked_is_not() {
        assert_eq!(Ranks::of(&[vec![1.0, 2.0, 3.0]]), None);
        assert_eq!(Ranks::of(&[vec![1.0, 2.0], vec![1.0, 2.0]]), None);
        assert_eq!(Ranks::of(&[vec![1.0; 3], vec![1.0; 3]]), None);
        assert_eq!(Ranks::of(&[vec![1.0, 2.0, f64::NAN], vec![1.0, 2.0, 3.0]]), None);
    }
}
