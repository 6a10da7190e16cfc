//! Several arms over several blocks: who is ahead, by ranks (Demšar 2006).

use super::distribution::{range_critical, range_tail};
use super::pairwise::{Test, doubled_ranks};
use statrs::distribution::{ChiSquared, ContinuousCDF, FisherSnedecor};

/// Ranks of arms over blocks (tasks, or the seeds of one task), rank 1 the highest score.
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
        // Twice the ranks are whole numbers, so that everything up to the statistics is exact.
        let (blocks_whole, arms_whole) = (n as i128, k as i128);
        let mut sums = vec![0_i128; k];
        let mut squares = 0_i128;
        for block in blocks {
            let negated: Vec<f64> = block.iter().map(|score| -score).collect();
            for (sum, rank) in sums.iter_mut().zip(doubled_ranks(&negated)) {
                *sum += rank as i128;
                squares += (rank as i128).pow(2);
            }
        }
        let middle = blocks_whole * (arms_whole + 1);
        // Sums of squares between arms and within blocks, four times each (Conover 1999, section 5.8).
        let between: i128 = sums.iter().map(|sum| (sum - middle).pow(2)).sum();
        let within = squares - blocks_whole * arms_whole * (arms_whole + 1).pow(2);
        if within == 0 {
            return None;
        }
        let (blocks, arms) = (n as f64, k as f64);
        let statistic = (arms - 1.0) * (between as f64 / within as f64);
        let chi = ChiSquared::new(arms - 1.0).ok()?;
        let friedman = Test { statistic, p: chi.sf(statistic) };
        let room = blocks_whole * within - between;
        // Where every block agrees, nothing is left to chance.
        let f =
            if room == 0 { f64::INFINITY } else { (blocks - 1.0) * between as f64 / room as f64 };
        let fisher = FisherSnedecor::new(arms - 1.0, (arms - 1.0) * (blocks - 1.0)).ok()?;
        let p = if f.is_finite() { fisher.sf(f) } else { 0.0 };
        Some(Self {
            blocks: n,
            mean: sums.iter().map(|sum| *sum as f64 / 2.0 / blocks).collect(),
            friedman,
            iman_davenport: Test { statistic: f, p },
        })
    }

    /// Mean rank of each arm over `blocks`, which have a score of each arm.
    #[must_use]
    pub fn mean_ranks(blocks: &[Vec<f64>]) -> Vec<f64> {
        let mut sums = vec![0_usize; blocks.first().map_or(0, Vec::len)];
        for block in blocks {
            let negated: Vec<f64> = block.iter().map(|score| -score).collect();
            for (sum, rank) in sums.iter_mut().zip(doubled_ranks(&negated)) {
                *sum += rank;
            }
        }
        sums.iter().map(|sum| *sum as f64 / 2.0 / blocks.len() as f64).collect()
    }

    /// Nemenyi's critical difference at level `alpha`: mean ranks of two arms that are further apart differ,
    /// with all pairs taken together (Nemenyi 1963).
    #[must_use]
    pub fn critical_difference(&self, alpha: f64) -> f64 {
        range_critical(alpha, self.mean.len()) / 2f64.sqrt() * self.standard_error()
    }

    /// Nemenyi's p of two arms, all pairs taken together.
    #[must_use]
    pub fn nemenyi(&self, a: usize, b: usize) -> f64 {
        let q = (self.mean[a] - self.mean[b]).abs() / self.standard_error() * 2f64.sqrt();
        range_tail(q, self.mean.len())
    }

    fn standard_error(&self) -> f64 {
        let k = self.mean.len() as f64;
        (k * (k + 1.0) / (6.0 * self.blocks as f64)).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_that_agree_leave_nothing_to_chance() {
        let ranks = Ranks::of(&vec![vec![3.0, 2.0, 1.0]; 6]).unwrap();
        assert_eq!(ranks.mean, [1.0, 2.0, 3.0]);
        assert_eq!(ranks.friedman.statistic, 12.0);
        assert_eq!(ranks.iman_davenport, Test { statistic: f64::INFINITY, p: 0.0 });
    }

    /// By mpmath, with 50 digits: every block ranks the arms alike.
    #[test]
    fn far_tails_of_nemenyi_keep_their_digits() {
        for (blocks, expected) in [
            (
                10,
                [0.618_449_480_551, 0.037_696_068_220_5, 2.142_426_143_31e-4, 1.538_031_380_35e-7],
            ),
            (
                21,
                [0.242_506_923_682, 3.997_166_392_59e-4, 7.831_492_050_33e-9, 2.453_129_100_32e-15],
            ),
        ] {
            let ranks = Ranks::of(&vec![vec![1.0, 2.0, 3.0, 4.0, 5.0]; blocks]).unwrap();
            for (arm, expected) in expected.into_iter().enumerate() {
                let p = ranks.nemenyi(0, arm + 1);
                assert!((p / expected - 1.0).abs() < 1e-8, "{blocks} {arm}: {p} {expected}");
            }
        }
    }

    #[test]
    fn what_cannot_be_ranked_is_not() {
        assert_eq!(Ranks::of(&[vec![1.0, 2.0, 3.0]]), None);
        assert_eq!(Ranks::of(&[vec![1.0, 2.0], vec![1.0, 2.0]]), None);
        assert_eq!(Ranks::of(&[vec![1.0; 3], vec![1.0; 3]]), None);
        assert_eq!(Ranks::of(&[vec![1.0, 2.0, f64::NAN], vec![1.0, 2.0, 3.0]]), None);
    }
}
