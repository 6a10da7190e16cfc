//! Looking at results before all of them are in, with one error rate over all looks (O'Brien and Fleming 1979).

use super::distribution::{bisect, normal};
use statrs::distribution::{Continuous, ContinuousCDF};

/// Points at which a path's density is kept from look to look.
const POINTS: usize = 201;

/// A path hardly ever falls below this.
const NEVER: f64 = -9.0;

/// When results are looked at, as parts of the largest number of seeds.
///
/// With b = z · √part, a sum of independent steps where there is no difference, O'Brien and Fleming's bound on
/// |b| is the same at every look: early looks need overwhelming evidence, and the last one hardly more than a
/// test without looks.
#[derive(Debug, Clone, PartialEq)]
pub struct Looks {
    parts: Vec<f64>,
}

/// Which side of zero counts as evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Both.
    Two,
    /// Above it.
    One,
}

impl Looks {
    /// Looks after so many seeds, ascending; the last is the largest number.
    #[must_use]
    pub fn new(seeds: &[usize]) -> Option<Self> {
        let last = *seeds.last()? as f64;
        let ascending = seeds[0] > 0 && seeds.windows(2).all(|pair| pair[0] < pair[1]);
        ascending.then(|| Self { parts: seeds.iter().map(|n| *n as f64 / last).collect() })
    }

    /// p over all looks, where the tests at the first looks gave `p` each (two-sided ones, or one-sided), as
    /// many as have been made: the probability that any look of all would show as much, were there no
    /// difference. It is valid whenever one stops, and never falls back.
    #[must_use]
    pub fn p(&self, p: &[f64], side: Side) -> f64 {
        let normal = normal();
        let reached = p.iter().zip(&self.parts).map(|(p, part)| {
            let tail = if side == Side::Two { p / 2.0 } else { *p };
            let z = -normal.inverse_cdf(tail.clamp(1e-300, 1.0 - 1e-16));
            z * part.sqrt()
        });
        match reached.reduce(f64::max) {
            Some(bound) => self.crossing(bound, side),
            None => 1.0,
        }
    }

    /// The levels of the two-sided tests at each look, where all looks together have `level`.
    #[must_use]
    pub fn nominal_levels(&self, level: f64) -> Vec<f64> {
        let bound = bisect(0.0, 40.0, |bound| self.crossing(bound, Side::Two) > level);
        self.parts.iter().map(|part| 2.0 * normal().sf(bound / part.sqrt())).collect()
    }

    /// Probability that b reaches `bound` at any look where there is no difference, by integration from look to
    /// look (Armitage, McPherson and Rowe 1969).
    fn crossing(&self, bound: f64, side: Side) -> f64 {
        let low = if side == Side::Two { -bound } else { NEVER.min(bound - 1.0) };
        if side == Side::Two && bound <= 0.0 {
            return 1.0;
        }
        let normal = normal();
        let step = (bound - low) / (POINTS - 1) as f64;
        let at = |i: usize| low + step * i as f64;
        // Simpson's weights.
        let weight = |i: usize| match i {
            0 => step / 3.0,
            i if i == POINTS - 1 => step / 3.0,
            i if i % 2 == 1 => 4.0 * step / 3.0,
            _ => 2.0 * step / 3.0,
        };
        let outside = |from: f64, sd: f64| {
            let above = normal.sf((bound - from) / sd);
            if side == Side::Two { above + normal.cdf((low - from) / sd) } else { above }
        };
        let first = self.parts[0].sqrt();
        let mut crossed = outside(0.0, first);
        let mut density: Vec<f64> =
            (0..POINTS).map(|i| normal.pdf(at(i) / first) / first).collect();
        for pair in self.parts.windows(2) {
            let sd = (pair[1] - pair[0]).sqrt();
            crossed +=
                (0..POINTS).map(|i| weight(i) * density[i] * outside(at(i), sd)).sum::<f64>();
            density = (0..POINTS)
                .map(|to| {
                    let from =
                        |i: usize| weight(i) * density[i] * normal.pdf((at(to) - at(i)) / sd) / sd;
                    (0..POINTS).map(from).sum()
                })
                .collect();
        }
        crossed.clamp(0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bounds for equally spaced looks (Jennison and Turnbull 2000, table 2.3): z at the last look.
    #[test]
    fn bounds_are_those_of_the_book() {
        for (looks, last) in [(2, 1.977), (3, 2.004), (4, 2.024), (5, 2.040)] {
            let parts: Vec<usize> = (1..=looks).collect();
            let looks_made = Looks::new(&parts).unwrap();
            let levels = looks_made.nominal_levels(0.05);
            let z = -normal().inverse_cdf(levels[looks - 1] / 2.0);
            assert!((z - last).abs() < 1e-3, "{looks}: {z}");
            let first = -normal().inverse_cdf(levels[0] / 2.0);
            assert!((first - last * (looks as f64).sqrt()).abs() < 5e-3, "{looks}: {first}");
        }
    }

    #[test]
    fn one_look_is_the_plain_test() {
        let looks = Looks::new(&[7]).unwrap();
        for p in [0.9, 0.05, 1e-6] {
            assert!((looks.p(&[p], Side::Two) / p - 1.0).abs() < 1e-6);
            assert!((looks.p(&[p / 2.0], Side::One) / (p / 2.0) - 1.0).abs() < 1e-6);
            assert!((looks.nominal_levels(p)[0] / p - 1.0).abs() < 1e-6);
        }
    }

    #[test]
    fn p_and_level_agree_and_evidence_stays() {
        let looks = Looks::new(&[3, 5, 10]).unwrap();
        let nominal = looks.nominal_levels(0.05)[1];
        assert!((looks.p(&[1.0, nominal], Side::Two) - 0.05).abs() < 1e-6);
        let early = looks.p(&[1e-9], Side::Two);
        assert_eq!(looks.p(&[1e-9, 0.9, 0.9], Side::Two), early);
        assert_eq!(looks.p(&[], Side::Two), 1.0);
        assert_eq!(Looks::new(&[3, 3]), None);
        assert_eq!(Looks::new(&[]), None);
    }
}
