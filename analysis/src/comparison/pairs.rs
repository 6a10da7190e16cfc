//! Every arm against every other.

use super::against::paired_scores;
use super::{ALPHA, ArmScores, Family, Rules, TaskScores};
use crate::statistics::{Moments, holm, mean, paired_t, tukey, welch};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Arms of a task beyond which a table of all pairs is unreadable.
const MOST_ARMS: usize = 40;

/// How all pairs are corrected, as a family of their own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AllPairs {
    /// t tests of each pair, after Holm's correction.
    #[default]
    Holm,
    /// Tukey's test in blocks, a seed a block: one spread for all arms. Tasks are corrected together by Bonferroni
    /// where the family is the report.
    Tukey,
}

impl AllPairs {
    /// Its name in a sentence.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Holm => "Holm",
            Self::Tukey => "Tukey",
        }
    }
}

/// Two arms of a task.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pair {
    /// Label of the one.
    pub a: String,
    /// Label of the other.
    pub b: String,
    /// `a` minus `b`.
    pub difference: Option<f64>,
    /// p after correction; absent where there is no spread, or too few runs.
    pub p: Option<f64>,
}

impl Pair {
    /// Whether they differ at level 0.05 over all pairs.
    #[must_use]
    pub fn significant(&self) -> bool {
        self.p.is_some_and(|p| p <= ALPHA)
    }
}

/// All pairs of each task, the arms in their order; nothing where it is off, of more than 40 arms, or of fewer than
/// three, where the pairs are the comparisons with the baseline.
pub(super) fn all(tasks: &[TaskScores], rules: &Rules) -> Vec<Vec<Pair>> {
    let mut all: Vec<Vec<Pair>> = tasks
        .iter()
        .map(|task| match rules.all_pairs {
            // Pairs know nothing of looks.
            Some(how) if rules.looks.is_none() && (3..=MOST_ARMS).contains(&task.arms.len()) => {
                of_task(task, how)
            }
            _ => Vec::new(),
        })
        .collect();
    match (rules.all_pairs, rules.family) {
        (Some(AllPairs::Holm), Family::Report) => {
            correct(&mut all.iter_mut().flatten().collect::<Vec<_>>())
        }
        (Some(AllPairs::Holm), Family::Task) => {
            for task in &mut all {
                correct(&mut task.iter_mut().collect::<Vec<_>>());
            }
        }
        (Some(AllPairs::Tukey), Family::Report) => {
            let tested = all.iter().filter(|task| task.iter().any(|pair| pair.p.is_some())).count();
            for pair in all.iter_mut().flatten() {
                pair.p = pair.p.map(|p| (p * tested as f64).min(1.0));
            }
        }
        (Some(AllPairs::Tukey), Family::Task) | (None, _) => {}
    }
    all
}

fn correct(pairs: &mut [&mut Pair]) {
    let tests: Vec<(usize, f64)> = pairs.iter().filter_map(|pair| pair.p).enumerate().collect();
    let mut adjusted = holm(&tests, ALPHA).into_iter();
    for pair in pairs.iter_mut().filter(|pair| pair.p.is_some()) {
        pair.p = adjusted.next().map(|one| one.p);
    }
}

fn of_task(task: &TaskScores, how: AllPairs) -> Vec<Pair> {
    let mut pairs = Vec::new();
    for (i, a) in task.arms.iter().enumerate() {
        for b in &task.arms[i + 1..] {
            let (difference, p) = compare(a, b, task);
            pairs.push(Pair { a: a.activation.clone(), b: b.activation.clone(), difference, p });
        }
    }
    if how == AllPairs::Tukey {
        // An arm that shares no seed with the first would leave no block to anybody.
        let first = task.arms.first();
        let shares =
            |arm: &&ArmScores| first.is_some_and(|first| paired_scores(arm, first).len() > 1);
        let arms: Vec<ArmScores> = task.arms.iter().filter(shares).cloned().collect();
        let labels: Vec<String> = arms.iter().map(|arm| arm.activation.clone()).collect();
        let p = tukey(&blocks(&TaskScores { arms, ..task.clone() })).unwrap_or_default();
        let k = labels.len();
        let place = |label: &str| labels.iter().position(|known| known == label);
        for pair in &mut pairs {
            let both = place(&pair.a).zip(place(&pair.b));
            pair.p = both.and_then(|(i, j)| p.get(i * (2 * k - i - 1) / 2 + j - i - 1).copied());
        }
    }
    pairs
}

fn compare(a: &ArmScores, b: &ArmScores, task: &TaskScores) -> (Option<f64>, Option<f64>) {
    let differences = task.resolution.differences(&paired_scores(a, b));
    if differences.len() >= 2 {
        return (mean(&differences), paired_t(&differences).map(|test| test.p));
    }
    let (ours, theirs) = (a.values(), b.values());
    let all = task.resolution.scores(&[ours.as_slice(), theirs.as_slice()].concat());
    let (ours, theirs) = all.split_at(ours.len());
    let moments = |arm: &ArmScores, scores| arm.published.or(Moments::of(scores));
    let Some((a, b)) = moments(a, ours).zip(moments(b, theirs)) else {
        return (mean(ours).zip(mean(theirs)).map(|(a, b)| a - b), None);
    };
    (Some(a.mean - b.mean), welch(&a, &b).map(|test| test.p))
}

/// Scores of every arm under each seed that all of them have.
pub(super) fn blocks(task: &TaskScores) -> Vec<Vec<f64>> {
    let maps: Vec<std::collections::HashMap<&str, f64>> = task
        .arms
        .iter()
        .map(|arm| arm.runs.iter().map(|(seed, score)| (seed.as_str(), *score)).collect())
        .collect();
    let seeds: Vec<&String> = task
        .arms
        .first()
        .map(|arm| arm.runs.iter().map(|(seed, _)| seed).collect())
        .unwrap_or_default();
    let mut seen = BTreeSet::new();
    seeds
        .into_iter()
        .filter(|seed| seen.insert(*seed))
        .filter_map(|seed| maps.iter().map(|scores| scores.get(seed.as_str()).copied()).collect())
        .map(|block: Vec<f64>| task.resolution.scores(&block))
        .collect()
}
