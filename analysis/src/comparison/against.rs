//! One arm against the baseline.

use super::{ALPHA, ArmScores, LookPlan, POWER, Rules, TaskScores, TestFigures};
use crate::statistics::{
    Adjusted, Bootstrap, Interval, LEVEL, Looks, Moments, Probabilities, Resolution, cliffs_delta,
    cohen_d, cohen_d_paired, detectable_effect, improvement_of_places, mann_whitney, mean,
    paired_t, pairs_needed, places, posterior_t, probability_of_improvement,
    probability_of_improvement_interval, standard_deviation, t_interval, welch, welch_interval,
    wilcoxon,
};
use serde::Serialize;
use std::collections::{HashMap, HashSet};

/// More pairs than anybody trains.
const MOST_PAIRS: usize = 10_000;

/// Pairs below which their spread is too badly known to plan with.
const ENOUGH_TO_PLAN: usize = 5;

/// An arm against the baseline.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Against {
    /// Seeds that both have.
    pub pairs: usize,
    /// Runs of either side whose seed the other lacks.
    pub unpaired: usize,
    /// Whether the figures below are of pairs; else of all runs of both sides.
    pub paired: bool,
    /// Difference of the means (of the pairs), this arm minus the baseline.
    pub difference: Option<f64>,
    /// Sample standard deviation of the pairs' differences.
    pub standard_deviation: Option<f64>,
    /// Interval of the difference that the verdict inverts: Student's (or Welch's) at the level of the test after
    /// correction. It excludes 0 exactly where the difference is significant.
    pub interval: Option<Interval>,
    /// Level of `interval`, as in 0.9875: 0.95 where there is nothing to correct for.
    pub interval_level: Option<f64>,
    /// The same at 95 %, without correction.
    pub interval_uncorrected: Option<Interval>,
    /// 95 % percentile bootstrap interval, which is too narrow of few runs.
    pub interval_bootstrap: Option<Interval>,
    /// Paired t test of the pairs, or Welch's test; absent where the differences show no spread.
    pub t_test: Option<TestFigures>,
    /// Wilcoxon's signed-rank test of the pairs, or the Mann–Whitney U test; both exact.
    pub rank_test: Option<TestFigures>,
    /// p of the t test over all looks, where there were several; before the correction for a family.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p_looks: Option<f64>,
    /// p after Holm's correction over the family.
    pub p_holm: Option<f64>,
    /// Two one-sided tests of a difference as large as the margin, where there is one.
    pub equivalence: Option<Equivalence>,
    /// Probabilities by Student's posterior, where there is a margin and the runs are pairs.
    pub probabilities: Option<Probabilities>,
    /// Cohen's d by the deviation of the pairs' differences, with the sign of the difference.
    pub cohen_d_paired: Option<f64>,
    /// Cohen's d by the pooled deviation, with the sign of the difference.
    pub cohen_d: Option<f64>,
    /// Cliff's δ: positive where runs of this arm are better more often than worse.
    pub cliffs_delta: Option<f64>,
    /// Probability that a run of this arm beats one of the baseline.
    pub probability_of_improvement: Option<f64>,
    /// Its 95 % interval (Newcombe 2006, method 5).
    pub probability_interval: Option<Interval>,
    /// The same by the bootstrap, runs drawn within each arm.
    pub probability_interval_bootstrap: Option<Interval>,
    /// What such runs can find.
    pub power: Option<Power>,
    /// What follows.
    pub verdict: Verdict,
    #[serde(skip)]
    differences: Vec<f64>,
    /// The margin in units of the scores, where there is one for the task.
    #[serde(skip)]
    margin: Option<f64>,
    /// 1 where larger scores are better, −1 where smaller ones are.
    #[serde(skip)]
    direction: f64,
    #[serde(skip)]
    sides: Option<Sides>,
    #[serde(skip)]
    past: Option<Past>,
    /// The look that `p_looks` is from.
    #[serde(skip)]
    deciding: Option<usize>,
    /// The same of equivalence.
    #[serde(skip)]
    deciding_equivalence: Option<usize>,
}

/// Equivalence within the margin (Schuirmann 1987).
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Equivalence {
    /// The larger p of the two one-sided tests.
    pub p: f64,
    /// The same after correction over the family.
    pub p_holm: f64,
}

/// What runs of the spread at hand find, at the level of the first step of the family's correction. Nothing here depends
/// on the differences that were seen.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Power {
    /// Minimum detectable effect: the true difference that so many pairs find with probability 0.8.
    pub detectable: f64,
    /// Seeds that find a difference as large as the margin with probability 0.8; absent without a margin, of fewer
    /// than five pairs, and where it is more than 10,000.
    pub seeds_for_margin: Option<usize>,
}

/// What the figures allow one to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// Significantly better than the baseline, at level 0.05 over the family.
    Better,
    /// Significantly worse than the baseline, at level 0.05 over the family.
    Worse,
    /// Within the margin that does not matter, at level 0.05 over the family.
    Equivalent,
    /// No significant difference.
    Undecided,
    /// Every run equals the baseline's under its seed.
    Identical,
    /// Every difference to the baseline is the same, and not 0: there is no spread to judge it by.
    Constant,
    /// Too few runs for any test: a spread takes two pairs, or two runs a side.
    TooFew,
    /// One of the two has no score at all.
    NoScores,
    /// A significant difference, or equivalence, of activations that are no better than guessing: no claim.
    NothingLearned,
}

impl Verdict {
    /// The verdict in a word, as in the JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::Worse => "worse",
            Self::Equivalent => "equivalent",
            Self::Undecided => "undecided",
            Self::Identical => "identical",
            Self::Constant => "constant",
            Self::TooFew => "too_few",
            Self::NoScores => "no_scores",
            Self::NothingLearned => "nothing_learned",
        }
    }

    /// Whether further seeds would change nothing: a sweep that may end early ends here. An arm that always diverged, or
    /// equals the baseline under every seed, does not hold it up.
    #[must_use]
    pub fn decided(self) -> bool {
        !matches!(self, Self::Undecided | Self::Constant | Self::TooFew)
    }
}

/// Looks at unfinished results that have been made.
#[derive(Debug, Clone, PartialEq)]
struct Past {
    looks: Looks,
    /// Differences at each look.
    differences: Vec<Vec<f64>>,
}

impl Past {
    fn new(
        plan: &LookPlan,
        arm: &ArmScores,
        baseline: &ArmScores,
        resolution: Resolution,
    ) -> Option<Self> {
        let made = plan.seeds.iter().filter(|seeds| **seeds <= plan.finished);
        let at = |seeds: &usize| {
            let first: HashSet<&str> = plan.order.iter().take(*seeds).map(String::as_str).collect();
            let runs = arm.runs.iter().filter(|(seed, _)| first.contains(seed.as_str())).cloned();
            let arm = ArmScores::new(arm.activation.clone(), runs.collect());
            resolution.differences(&paired_scores(&arm, baseline))
        };
        Some(Self { looks: Looks::new(&plan.seeds)?, differences: made.map(at).collect() })
    }

    /// The difference at the last look.
    fn last(&self) -> Option<f64> {
        mean(self.differences.last()?)
    }

    /// Whether the difference at `look` has the direction of that at the last: what an early look shows and the last one
    /// contradicts is not claimed.
    fn agrees(&self, look: usize) -> bool {
        let at = mean(&self.differences[look]).unwrap_or(0.0);
        at * self.last().unwrap_or(0.0) > 0.0
    }

    /// p of the t test over all looks that agree with the last, and the look that it is from; a test that could not be
    /// made shows nothing.
    fn p_of_difference(&self) -> (f64, Option<usize>) {
        let p = |look: usize| {
            let test =
                Sample::Pairs(&self.differences[look]).t_test().filter(|_| self.agrees(look));
            test.map_or(1.0, |test| test.p)
        };
        self.looks.p(&(0..self.differences.len()).map(p).collect::<Vec<_>>())
    }

    /// p of equivalence over all looks, and the look that it is from; where the last difference is beyond the margin, none
    /// shows it.
    fn p_of_equivalence(&self, margin: f64) -> (f64, Option<usize>) {
        let beyond = self.last().is_none_or(|last| last.abs() > margin);
        let p = |differences: &Vec<f64>| {
            let p = Sample::Pairs(differences).equivalence(margin).filter(|_| !beyond);
            p.unwrap_or(1.0)
        };
        self.looks.p(&self.differences.iter().map(p).collect::<Vec<_>>())
    }

    /// What the intervals of `looks` have in common, which together cover at 1 − `level`, widened to hold the last
    /// difference, and the level of the last of them; in place of what they have in common that of the look `deciding`,
    /// where there is nothing.
    fn interval(
        &self,
        level: f64,
        looks: impl Fn(usize) -> bool,
        deciding: Option<usize>,
    ) -> Option<(Interval, f64)> {
        let levels = self.looks.nominal_levels(level);
        let at = |look: usize| t_interval(&self.differences[look], 1.0 - levels[look]);
        let last = self.differences.len().checked_sub(1)?;
        let own = at(last)?;
        let made: Vec<Interval> = (0..=last).filter(|look| looks(*look)).filter_map(at).collect();
        let low = made.iter().map(|interval| interval.low).fold(f64::NEG_INFINITY, f64::max);
        let high = made.iter().map(|interval| interval.high).fold(f64::INFINITY, f64::min);
        let (common, level) = match deciding {
            _ if low <= high && !made.is_empty() => (Interval { low, high }, levels[last]),
            Some(look) => (at(look).unwrap_or(own), levels[look]),
            None => (own, levels[last]),
        };
        let difference = self.last()?;
        let (low, high) = (common.low.min(difference), common.high.max(difference));
        Some((Interval { low, high }, level))
    }
}

/// All runs of both, where they are not compared under shared seeds.
#[derive(Debug, Clone, PartialEq)]
struct Sides {
    moments: [Moments; 2],
    /// Their scores; none of published means.
    scores: [Vec<f64>; 2],
}

/// Scores by seed.
fn by_seed(arm: &ArmScores) -> HashMap<&str, f64> {
    arm.runs.iter().map(|(seed, score)| (seed.as_str(), *score)).collect()
}

/// Scores of both under the seeds that both have, in the order of the arm's runs.
pub(crate) fn paired_scores(arm: &ArmScores, other: &ArmScores) -> Vec<(f64, f64)> {
    let theirs = by_seed(other);
    let pair = |(seed, score): &(String, f64)| Some((*score, *theirs.get(seed.as_str())?));
    arm.runs.iter().filter_map(pair).collect()
}

impl Against {
    pub(super) fn new(
        arm: &ArmScores,
        baseline: &ArmScores,
        task: &TaskScores,
        rules: &Rules,
    ) -> Self {
        let resolution = task.resolution;
        let margin = rules.margin_of(task.metric.as_ref());
        let past = rules.looks.as_ref().and_then(|plan| Past::new(plan, arm, baseline, resolution));
        // Between looks, what has come in since the last one is not looked at.
        let looked_at = past.as_ref().and_then(|past| past.differences.last().cloned());
        let differences =
            looked_at.unwrap_or_else(|| resolution.differences(&paired_scores(arm, baseline)));
        let all = resolution.scores(&[arm.values(), baseline.values()].concat());
        let (ours, theirs) = all.split_at(arm.runs.len());
        let moments = |arm: &ArmScores, scores| arm.published.or(Moments::of(scores));
        let both = moments(arm, ours).zip(moments(baseline, theirs));
        let single = |arm: &ArmScores, scores| moments(arm, scores).or(Moments::of_one(scores));
        // A single pair has no spread, so runs of both sides say more, where there are any. Looks are at pairs alone.
        let sides = match differences.len() {
            0 => single(arm, ours).zip(single(baseline, theirs)),
            1 => both,
            _ => None,
        };
        let sides = sides
            .filter(|_| past.is_none())
            .map(|(a, b)| Sides { moments: [a, b], scores: [ours.to_vec(), theirs.to_vec()] });
        let sample = Sample::of(sides.as_ref(), &differences);
        let paired = sides.is_none();
        // Differences keep the sign of the scores; what is won and lost goes by merit.
        let merits = |scores: &[f64]| scores.iter().map(|x| task.merit(*x)).collect::<Vec<_>>();
        let (our_merits, their_merits) = (merits(ours), merits(theirs));
        let improvement = probability_of_improvement(&our_merits, &their_merits);
        let several = ours.len().min(theirs.len()) > 1;
        let drawn = |strata: &[Vec<u32>]| improvement_of_places(&strata[0], &strata[1]);
        let placed = places(&our_merits, &their_merits);
        // Before the first look nothing is tested.
        let early = past.as_ref().is_some_and(|past| past.differences.is_empty());
        let t_test = sample.t_test().filter(|_| !early);
        let equivalence = match &past {
            _ if t_test.is_none() || margin.is_none() => None,
            Some(past) => margin.map(|margin| past.p_of_equivalence(margin)),
            None => margin.and_then(|margin| Some((sample.equivalence(margin)?, None))),
        };
        // A look at which nothing shows decides nothing.
        let look = |found: Option<(f64, Option<usize>)>| found.filter(|(p, _)| *p < 1.0)?.1;
        let over_looks = past.as_ref().filter(|_| t_test.is_some()).map(Past::p_of_difference);
        Self {
            pairs: differences.len(),
            unpaired: (ours.len() + theirs.len())
                .saturating_sub(2 * paired_scores(arm, baseline).len()),
            paired,
            difference: sample.difference(),
            standard_deviation: standard_deviation(&differences).filter(|_| paired),
            interval: None,
            interval_level: None,
            interval_uncorrected: sample.interval(LEVEL),
            interval_bootstrap: sample.bootstrap(&rules.bootstrap).filter(|_| several),
            t_test,
            // It knows nothing of looks.
            rank_test: sample.rank_test().filter(|_| several && past.is_none()),
            p_looks: over_looks.map(|(p, _)| p),
            deciding: look(over_looks),
            deciding_equivalence: look(equivalence),
            p_holm: None,
            equivalence: equivalence.map(|(p, _)| Equivalence { p, p_holm: 1.0 }),
            probabilities: margin
                .filter(|_| paired)
                .and_then(|margin| posterior_t(&merits(&differences), margin, 0.0)),
            cohen_d_paired: if paired { cohen_d_paired(&differences) } else { None },
            cohen_d: both.and_then(|(a, b)| cohen_d(&a, &b)),
            cliffs_delta: cliffs_delta(&our_merits, &their_merits),
            probability_of_improvement: improvement,
            probability_interval: improvement.and_then(|theta| {
                probability_of_improvement_interval(theta, (ours.len(), theirs.len()))
            }),
            probability_interval_bootstrap: several
                .then(|| rules.bootstrap.stratified(&placed, drawn))
                .flatten(),
            power: None,
            verdict: match sample.untested() {
                _ if early => Verdict::TooFew,
                // At a look, only shared seeds count.
                Verdict::NoScores if !ours.is_empty() && !theirs.is_empty() => Verdict::TooFew,
                untested => untested,
            },
            past,
            sides,
            differences,
            margin,
            direction: task.merit(1.0),
        }
    }

    fn sample(&self) -> Sample<'_> {
        Sample::of(self.sides.as_ref(), &self.differences)
    }

    /// p of the test of a difference, before the correction for a family.
    pub(super) fn p(&self) -> Option<f64> {
        self.p_looks.or(self.t_test.map(|test| test.p))
    }

    /// Takes the correction over a family into account, and judges.
    pub(super) fn correct(&mut self, differs: Adjusted, within: Option<Adjusted>) {
        self.p_holm = Some(differs.p);
        if let (Some(equivalence), Some(within)) = (&mut self.equivalence, within) {
            equivalence.p_holm = within.p;
        }
        let significant = differs.p <= ALPHA;
        let equivalent = within.filter(|within| within.p <= ALPHA);
        self.verdict = match self.difference {
            _ if equivalent.is_some() => Verdict::Equivalent,
            Some(difference) if significant && self.direction * difference > 0.0 => Verdict::Better,
            Some(_) if significant => Verdict::Worse,
            _ => Verdict::Undecided,
        };
        // Two one-sided tests invert an interval that leaves out as much on either side.
        let tested = match equivalent {
            Some(within) => 2.0 * ALPHA / within.divisor,
            None => ALPHA / differs.divisor,
        };
        let found = match &self.past {
            // Looks of the other direction say nothing for a difference, and something for equivalence.
            Some(past) => {
                let counts = |look| equivalent.is_some() || past.agrees(look);
                let deciding = match equivalent {
                    Some(_) => self.deciding_equivalence,
                    None => self.deciding,
                };
                past.interval(tested, counts, deciding)
            }
            None => self.sample().interval(1.0 - tested).map(|interval| (interval, tested)),
        };
        self.interval = found.map(|(interval, _)| interval);
        self.interval_level = found.map(|(_, level)| 1.0 - level);
    }

    /// The level of the test that power is planned at, of a family's `level`; nothing before the last look.
    fn planned_level(&self, level: f64) -> Option<f64> {
        let Some(past) = &self.past else { return Some(level) };
        let levels = past.looks.nominal_levels(level);
        (past.differences.len() == levels.len()).then(|| levels.last().copied()).flatten()
    }
}

/// Paired d that so many pairs find at a level: most arms of a report share both, and each takes thousands of
/// integrals.
#[derive(Debug, Default)]
pub(super) struct Effects(HashMap<(usize, u64), Option<f64>>);

impl Effects {
    /// What pairs like those of `against` find at `level`, and how many the margin takes.
    pub(super) fn power(&mut self, against: &Against, level: f64) -> Option<Power> {
        let (spread, level) = (against.standard_deviation?, against.planned_level(level)?);
        let needed = |margin: f64| pairs_needed(margin / spread, POWER, level, MOST_PAIRS);
        Some(Power {
            detectable: self.detectable(against.pairs, level)? * spread,
            seeds_for_margin: against
                .margin
                .filter(|_| against.pairs >= ENOUGH_TO_PLAN)
                .and_then(needed)
                .map(|seeds| seeds.max(ENOUGH_TO_PLAN)),
        })
    }

    fn detectable(&mut self, pairs: usize, level: f64) -> Option<f64> {
        let found = self.0.entry((pairs, level.to_bits()));
        *found.or_insert_with(|| detectable_effect(pairs, POWER, level))
    }
}

/// What a test is made of.
#[derive(Debug, Clone, Copy)]
enum Sample<'a> {
    /// Differences under shared seeds.
    Pairs(&'a [f64]),
    /// All runs of both sides.
    Sides(&'a Sides),
}

impl<'a> Sample<'a> {
    fn of(sides: Option<&'a Sides>, differences: &'a [f64]) -> Self {
        sides.map_or(Self::Pairs(differences), Self::Sides)
    }

    fn difference(self) -> Option<f64> {
        match self {
            Self::Pairs(differences) => mean(differences),
            Self::Sides(Sides { moments: [a, b], .. }) => Some(a.mean - b.mean),
        }
    }

    fn interval(self, level: f64) -> Option<Interval> {
        match self {
            Self::Pairs(differences) => t_interval(differences, level),
            Self::Sides(Sides { moments: [a, b], .. }) => welch_interval(a, b, level),
        }
    }

    fn bootstrap(self, bootstrap: &Bootstrap) -> Option<Interval> {
        match self {
            Self::Pairs(differences) => bootstrap.mean(differences),
            Self::Sides(Sides { scores, .. }) => {
                let of_means = |strata: &[Vec<f64>]| {
                    mean(&strata[0]).unwrap_or(f64::NAN) - mean(&strata[1]).unwrap_or(f64::NAN)
                };
                bootstrap.stratified(scores, of_means)
            }
        }
    }

    fn t_test(self) -> Option<TestFigures> {
        match self {
            Self::Pairs(differences) => TestFigures::new("paired t", paired_t(differences)),
            Self::Sides(Sides { moments: [a, b], .. }) => TestFigures::new("Welch t", welch(a, b)),
        }
    }

    fn rank_test(self) -> Option<TestFigures> {
        match self {
            Self::Pairs(differences) => TestFigures::new("Wilcoxon", wilcoxon(differences)),
            Self::Sides(Sides { scores: [ours, theirs], .. }) => {
                TestFigures::new("Mann–Whitney", mann_whitney(ours, theirs))
            }
        }
    }

    /// The larger p of both one-sided tests that the difference is as large as `margin`.
    fn equivalence(self, margin: f64) -> Option<f64> {
        let one_sided = |shift: f64| {
            let test = match self {
                Self::Pairs(differences) => {
                    let moved: Vec<f64> = differences.iter().map(|one| one + shift).collect();
                    paired_t(&moved)?
                }
                Self::Sides(Sides { moments: [a, b], .. }) => welch(&a.shifted(shift), b)?,
            };
            // Above 0 after +margin, below 0 after −margin.
            Some(if test.statistic * shift > 0.0 { test.p / 2.0 } else { 1.0 - test.p / 2.0 })
        };
        Some(f64::max(one_sided(margin)?, one_sided(-margin)?))
    }

    /// What can be said where there is no test.
    fn untested(self) -> Verdict {
        // A single run, or pair, shows no spread, which is not a spread of 0.
        let spread = match self {
            Self::Pairs([_]) => true,
            Self::Pairs(differences) => differences.windows(2).any(|pair| pair[0] != pair[1]),
            Self::Sides(Sides { moments, .. }) => {
                moments.iter().any(|side| side.standard_deviation > 0.0 || side.n < 2)
            }
        };
        match self.difference() {
            None => Verdict::NoScores,
            Some(_) if spread => Verdict::TooFew,
            Some(0.0) => Verdict::Identical,
            Some(_) => Verdict::Constant,
        }
    }
}
