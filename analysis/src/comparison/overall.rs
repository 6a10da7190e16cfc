//! All tasks together. Tasks are the blocks: seeds of one task are no independent tasks.

use super::pairs::blocks as seed_blocks;
use super::{ALPHA, ArmScores, Rules, TaskScores, TestFigures};
use crate::parallel;
use crate::statistics::{
    Interval, Nested, Probabilities, Ranks, interquartile_mean, mean, signed_rank_posterior,
};
use serde::Serialize;
use std::collections::HashMap;

/// Blocks below which ranks are shown without a test (Demšar 2006 asks for more still).
pub(crate) const ENOUGH_BLOCKS: usize = 5;

/// Runs of an arm on a task below which a resampled interval is too narrow to be shown.
pub(crate) const ENOUGH_RUNS: usize = 20;

/// All tasks together.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Overall {
    /// Labels of the arms that every task has.
    pub activations: Vec<String>,
    /// Tasks.
    pub tasks: usize,
    /// Blocks that arms are ranked in: tasks, by the arms' means over seeds; of a single task its seeds.
    pub blocks: usize,
    /// Interquartile mean of each arm over runs and tasks, with its 95 % interval, runs drawn within tasks. Of
    /// several tasks, scores are normalised before: guessing is 0, the best arm's mean 1. Empty where guessing is
    /// not known.
    pub interquartile_mean: Vec<(f64, Option<Interval>)>,
    /// Runs of the arm with the fewest on a task.
    pub fewest_runs: usize,
    /// Mean rank of each arm, 1 the best.
    pub ranks: Vec<f64>,
    /// Tests of these ranks; absent of fewer than five blocks.
    #[serde(flatten)]
    pub tests: Option<RankTests>,
    /// Probabilities that a new task would show each arm worse than the baseline by more than the margin, within it,
    /// and better; empty without a margin, and of fewer than five tasks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub probabilities: Vec<Option<Probabilities>>,
    /// How differences to the baseline spread between tasks and between the seeds of a task; empty of one task, and
    /// where tasks differ in the number of seeds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<Option<Nested>>,
}

/// Tests of mean ranks.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RankTests {
    /// Friedman's χ² and p.
    pub friedman: TestFigures,
    /// Iman and Davenport's F and p.
    pub iman_davenport: TestFigures,
    /// Mean ranks that differ by more differ significantly (Nemenyi, at level 0.05).
    pub critical_difference: f64,
    /// Nemenyi's p of each arm against the baseline.
    pub nemenyi: Vec<Option<f64>>,
}

/// All tasks together; a run without a score may have that of guessing in them. Nothing of fewer than three arms
/// or two blocks.
pub(crate) fn overall(tasks: &[TaskScores], rules: &Rules) -> Option<Overall> {
    let common = common(tasks);
    let activations: Vec<String> =
        common.first()?.arms.iter().map(|arm| arm.activation.clone()).collect();
    let blocks: Vec<Vec<f64>> = match &common[..] {
        [task] => seed_blocks(task),
        _ => common.iter().filter_map(task_block).collect(),
    };
    if activations.len() < 3 || blocks.len() < 2 {
        return None;
    }
    let baseline = activations.iter().position(|label| *label == rules.baseline);
    // Ranks know nothing of looks.
    let tests =
        Ranks::of(&blocks).filter(|ranks| ranks.blocks >= ENOUGH_BLOCKS && rules.looks.is_none());
    let sizes = common.iter().flat_map(|task| task.arms.iter().map(|arm| arm.runs.len()));
    let places: Vec<usize> = (0..activations.len()).collect();
    let margin = rules.margin.filter(|_| common.len() >= ENOUGH_BLOCKS);
    Some(Overall {
        tasks: common.len(),
        blocks: blocks.len(),
        interquartile_mean: pooled(&common, rules),
        fewest_runs: sizes.min().unwrap_or(0),
        ranks: Ranks::mean_ranks(&blocks),
        tests: tests.map(|ranks| RankTests {
            friedman: figures("Friedman", ranks.friedman),
            iman_davenport: figures("Iman–Davenport", ranks.iman_davenport),
            critical_difference: ranks.critical_difference(ALPHA),
            nemenyi: places
                .iter()
                .map(|i| baseline.filter(|b| b != i).map(|b| ranks.nemenyi(*i, b)))
                .collect(),
        }),
        probabilities: if_any(places.iter().map(|i| {
            let other = baseline.filter(|b| b != i)?;
            let difference = |block: &Vec<f64>| block[*i] - block[other];
            let differences: Vec<f64> = blocks.iter().map(difference).collect();
            signed_rank_posterior(&differences, margin?, rules.bootstrap.seed)
        })),
        components: if_any(places.iter().map(|i| {
            let other = baseline.filter(|b| b != i)?;
            let differences = common.iter().map(|task| differences(task, *i, other));
            Nested::of(&differences.collect::<Vec<_>>())
        })),
        activations,
    })
}

/// The items, or none of them where all are absent.
fn if_any<T>(items: impl Iterator<Item = Option<T>>) -> Vec<Option<T>> {
    let items: Vec<Option<T>> = items.collect();
    if items.iter().any(Option::is_some) { items } else { Vec::new() }
}

fn figures(name: &'static str, test: crate::statistics::Test) -> TestFigures {
    TestFigures { name, statistic: test.statistic, p: test.p }
}

/// The tasks with the arms that all of them have, in the order of the first.
fn common(tasks: &[TaskScores]) -> Vec<TaskScores> {
    let by_label: Vec<HashMap<&str, &ArmScores>> = tasks
        .iter()
        .map(|task| {
            let scored = task.arms.iter().filter(|arm| !arm.runs.is_empty());
            scored.map(|arm| (arm.activation.as_str(), arm)).collect()
        })
        .collect();
    let Some(first) = tasks.first() else { return Vec::new() };
    let labels: Vec<&str> = first
        .arms
        .iter()
        .map(|arm| arm.activation.as_str())
        .filter(|label| by_label.iter().all(|arms| arms.contains_key(label)))
        .collect();
    tasks
        .iter()
        .zip(&by_label)
        .map(|(task, arms)| TaskScores {
            task: task.task.clone(),
            arms: labels.iter().map(|label| arms[label].clone()).collect(),
            guessing: task.guessing,
            resolution: task.resolution,
        })
        .collect()
}

/// The mean of every arm of a task, equal ones made equal.
fn task_block(task: &TaskScores) -> Option<Vec<f64>> {
    let means: Option<Vec<f64>> = task.arms.iter().map(|arm| mean(&arm.values())).collect();
    // Means of counts are no counts.
    Some(crate::statistics::Resolution::Rounding.scores(&means?))
}

fn differences(task: &TaskScores, arm: usize, baseline: usize) -> Vec<f64> {
    task.resolution
        .differences(&super::against::paired_scores(&task.arms[arm], &task.arms[baseline]))
}

/// Interquartile means of the arms over all runs.
fn pooled(tasks: &[TaskScores], rules: &Rules) -> Vec<(f64, Option<Interval>)> {
    let scaled: Option<Vec<TaskScores>> = match tasks {
        [task] => Some(vec![task.clone()]),
        _ => tasks.iter().map(normalised).collect(),
    };
    let Some(scaled) = scaled else { return Vec::new() };
    let arms = scaled.first().map_or(0, |task| task.arms.len());
    let middle = |strata: &[Vec<f64>]| interquartile_mean(&strata.concat()).unwrap_or(f64::NAN);
    let places: Vec<usize> = (0..arms).collect();
    parallel::map(&places, |i| {
        let strata: Vec<Vec<f64>> = scaled.iter().map(|task| task.arms[*i].values()).collect();
        (middle(&strata), rules.bootstrap.stratified(&strata, middle))
    })
}

/// A task's scores with guessing at 0 and the best arm's mean at 1; nothing where guessing is not known, or no arm
/// is better.
pub(crate) fn normalised(task: &TaskScores) -> Option<TaskScores> {
    let guessing = task.guessing?;
    let best = task.arms.iter().filter_map(|arm| mean(&arm.values())).reduce(f64::max)?;
    let scale = best - guessing;
    (scale > 0.0).then(|| {
        let arm = |arm: &ArmScores| {
            let runs = arm.runs.iter();
            let scaled = runs.map(|(seed, score)| (seed.clone(), (score - guessing) / scale));
            ArmScores::new(arm.activation.clone(), scaled.collect())
        };
        TaskScores { arms: task.arms.iter().map(arm).collect(), ..task.clone() }
    })
}
