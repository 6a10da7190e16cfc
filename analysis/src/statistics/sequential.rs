//! Looking at results before all of them are in, with one error rate over all looks.

use super::distribution::normal;
use statrs::distribution::ContinuousCDF;

/// The bound on z at the last look from which the shape of the earlier ones follows.
const LAST_BOUND: f64 = 1.96;

/// When results are looked at, as parts of the largest number of seeds.
///
/// Each look has a share of the level, in the proportions of O'Brien and Fleming's bounds (1979), which on z grow as
/// 1/√part towards the beginning: early looks need overwhelming evidence, and the last one has most of the level.
/// The shares add up to 1, so that the error rate over all looks is at most the level whatever the test and however few
/// the seeds (Bonferroni); bounds for paths of normal numbers err up to 5.8 % of the time with t tests of few seeds.
#[derive(Debug, Clone, PartialEq)]
pub struct Looks {
    shares: Vec<f64>,
}

impl Looks {
    /// Looks after so many seeds, ascending; the last is the largest number.
    #[must_use]
    pub fn new(seeds: &[usize]) -> Option<Self> {
        let last = *seeds.last()? as f64;
        let ascending = seeds[0] > 0 && seeds.windows(2).all(|pair| pair[0] < pair[1]);
        let nominal = |n: &usize| normal().sf(LAST_BOUND / (*n as f64 / last).sqrt());
        let levels: Vec<f64> = seeds.iter().map(nominal).collect();
        let all: f64 = levels.iter().sum();
        ascending.then(|| Self { shares: levels.iter().map(|level| level / all).collect() })
    }

    /// p over all looks, where the tests at the first looks gave `p` each, and the look that it is from. It is valid
    /// whenever one stops, and never falls back.
    #[must_use]
    pub fn p(&self, p: &[f64]) -> (f64, Option<usize>) {
        let weighted = p.iter().zip(&self.shares).map(|(p, share)| (p / share).min(1.0));
        let least = weighted.enumerate().min_by(|(_, a), (_, b)| a.total_cmp(b));
        least.map_or((1.0, None), |(look, p)| (p, Some(look)))
    }

    /// The levels of the tests at each look, where all looks together have `level`.
    #[must_use]
    pub fn nominal_levels(&self, level: f64) -> Vec<f64> {
        self.shares.iter().map(|share| share * level).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two-sided levels of O'Brien and Fleming's three equally spaced looks are 0.0005, 0.0141 and 0.0451 (Jennison and
    /// Turnbull 2000, table 2.3): the same proportions, but for the sum.
    #[test]
    fn shares_have_the_shape_of_the_bounds() {
        let levels = Looks::new(&[1, 2, 3]).unwrap().nominal_levels(0.05);
        assert!((levels.iter().sum::<f64>() - 0.05).abs() < 1e-12);
        for (ours, published) in levels.iter().zip([0.0005, 0.0141, 0.0451]) {
            let scaled = published * 0.05 / 0.0597;
            assert!((ours - scaled).abs() < 0.003, "{levels:?}");
        }
    }

    #[test]
    fn one_look_is_the_plain_test() {
        let looks = Looks::new(&[7]).unwrap();
        assert_eq!(looks.p(&[0.03]), (0.03, Some(0)));
        assert_eq!(looks.nominal_levels(0.05), [0.05]);
    }

    #[test]
    fn p_and_level_agree_and_evidence_stays() {
        let looks = Looks::new(&[3, 5, 10]).unwrap();
        let nominal = looks.nominal_levels(0.05)[1];
        let (p, look) = looks.p(&[1.0, nominal]);
        assert!((p - 0.05).abs() < 1e-12 && look == Some(1));
        let early = looks.p(&[1e-12]);
        assert_eq!(looks.p(&[1e-12, 0.9, 0.9]), early);
        assert_eq!(looks.p(&[]), (1.0, None));
        assert_eq!(Looks::new(&[3, 3]), None);
        assert_eq!(Looks::new(&[]), None);
    }
}
