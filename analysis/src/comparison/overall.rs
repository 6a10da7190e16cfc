//! All tasks together. Tasks are the blocks: seeds of one task are no independent tasks.

use super::blocks::{all_seeds, blocks as seed_blocks};
use super::guessing::luck_of;
use super::{ALPHA, ArmScores, Rules, TaskScores, TestFigures};
use crate::metric;
use crate::parallel;
use crate::statistics::{
    Interval, Nested, Probabilities, Ranks, interquartile_mean, interquartile_mean_of_drawn, mean,
    signed_rank_posterior,
};
use record::Metric;
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
    /// Labels of arms that some tasks have a score of, but not all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
    /// Tasks.
    pub tasks: usize,
    /// Names of the tasks' metrics, where those differ: there are no figures of raw scores then. Empty otherwise.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<String>,
    /// Blocks that arms are ranked in: tasks, by the arms' means over seeds; of a single task its seeds.
    pub blocks: usize,
    /// Seeds of a single task that any of the arms has; `blocks` are those that all of them have.
    #[serde(skip)]
    pub(crate) seeds: usize,
    /// Whether results were looked at on the way, of which tests of ranks know nothing.
    #[serde(skip)]
    pub(crate) looks: bool,
    /// Interquartile mean of each arm over runs and tasks, with its 95 % interval, runs drawn within tasks. Of
    /// several tasks, scores are normalized before: guessing is 0, the best arm's mean 1. Empty where guessing is
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
    /// and better; empty without a margin, of fewer than five tasks, and where tasks have different metrics.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub probabilities: Vec<Option<Probabilities>>,
    /// How differences to the baseline spread between tasks and between the seeds of a task; empty of one task, and
    /// where tasks differ in the number of seeds or in their metrics.
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
        _ => common.iter().map(task_block).collect::<Option<_>>().unwrap_or_default(),
    };
    // Ranks and probabilities go by merit, which is larger for better scores, whatever the metric.
    let task_of = |block: usize| if common.len() == 1 { &common[0] } else { &common[block] };
    let blocks: Vec<Vec<f64>> = blocks
        .into_iter()
        .enumerate()
        .map(|(place, block)| block.into_iter().map(|x| task_of(place).merit(x)).collect())
        .collect();
    let metrics = different_metrics(&common);
    if activations.len() < 3 || blocks.len() < 2 {
        return None;
    }
    let baseline = activations.iter().position(|label| *label == rules.baseline);
    // Ranks know nothing of looks.
    let tests =
        Ranks::of(&blocks).filter(|ranks| ranks.blocks >= ENOUGH_BLOCKS && rules.looks.is_none());
    let sizes = common.iter().flat_map(|task| task.arms.iter().map(|arm| arm.runs.len()));
    let places: Vec<usize> = (0..activations.len()).collect();
    let alike = metrics.is_empty();
    let margin = rules
        .margin_of(common.first()?.metric.as_ref())
        .filter(|_| alike && common.len() >= ENOUGH_BLOCKS);
    let scored = tasks.iter().flat_map(|task| &task.arms).filter(|arm| !arm.runs.is_empty());
    let mut left_out: Vec<String> = Vec::new();
    for arm in scored.map(|arm| &arm.activation) {
        if !activations.contains(arm) && !left_out.contains(arm) {
            left_out.push(arm.clone());
        }
    }
    Some(Overall {
        left_out,
        tasks: common.len(),
        blocks: blocks.len(),
        looks: rules.looks.is_some(),
        seeds: all_seeds(&common.first()?.arms),
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
            if alike { Nested::of(&differences.collect::<Vec<_>>()) } else { None }
        })),
        activations,
        metrics,
    })
}

/// Names of the metrics of `tasks`, where they are not all the same.
fn different_metrics(tasks: &[TaskScores]) -> Vec<String> {
    let known: Option<Vec<&Metric>> = tasks.iter().map(|task| task.metric.as_ref()).collect();
    let distinct = known.map(metric::distinct).unwrap_or_default();
    if distinct.len() < 2 {
        return Vec::new();
    }
    distinct.into_iter().map(|metric| metric.label.clone()).collect()
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
            metric: task.metric.clone(),
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
        _ => tasks.iter().map(normalized).collect(),
    };
    let Some(scaled) = scaled else { return Vec::new() };
    let arms = scaled.first().map_or(0, |task| task.arms.len());
    let arms: Vec<usize> = (0..arms).collect();
    parallel::map(&arms, |i| {
        let strata: Vec<Vec<f64>> = scaled.iter().map(|task| task.arms[*i].values()).collect();
        // Resamples count how often each value was drawn: nothing is sorted for each of them.
        let mut values = strata.concat();
        values.sort_unstable_by(f64::total_cmp);
        values.dedup_by_key(|value| value.to_bits());
        let place = |value: &f64| values.partition_point(|other| other.total_cmp(value).is_lt());
        let placed: Vec<Vec<u32>> = strata
            .iter()
            .map(|stratum| stratum.iter().map(|value| place(value) as u32).collect())
            .collect();
        let middle = |drawn: &[Vec<u32>]| {
            let mut times = vec![0; values.len()];
            drawn.iter().flatten().for_each(|place| times[*place as usize] += 1);
            interquartile_mean_of_drawn(&values, &times).unwrap_or(f64::NAN)
        };
        let interval = rules.bootstrap.stratified(&placed, middle);
        (interquartile_mean(&strata.concat()).unwrap_or(f64::NAN), interval)
    })
}

/// A task's scores with guessing at 0 and the best arm's mean at 1, so that larger ones are better; nothing where
/// guessing is not known, or no arm is better by more than luck: what is divided by then is noise.
pub(crate) fn normalized(task: &TaskScores) -> Option<TaskScores> {
    let guessing = task.guessing.filter(|guessing| guessing.is_finite())?;
    let means = task.arms.iter().filter_map(|arm| mean(&arm.values()));
    let best = means.map(|mean| task.merit(mean)).reduce(f64::max)?;
    let scale = best - task.merit(guessing);
    (scale > luck_of(task, guessing)).then(|| {
        let scaled = |score: f64| (task.merit(score) - task.merit(guessing)) / scale;
        let arm = |arm: &ArmScores| {
            let runs = arm.runs.iter().map(|(seed, score)| (seed.clone(), scaled(*score)));
            ArmScores::new(arm.activation.clone(), runs.collect())
        };
        let arms = task.arms.iter().map(arm).collect();
        TaskScores { arms, metric: None, ..task.clone() }
    })
}
