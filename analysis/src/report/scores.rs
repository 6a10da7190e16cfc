//! From records to the scores that are compared, and the rules of the comparison.

use super::ReportOptions;
use crate::Error;
use crate::comparison::{ArmScores, LookPlan, Rules, TaskScores};
use crate::frame::Status;
use crate::order::position;
use crate::statistics::{Bootstrap, Resolution};
use record::StoredRun;
use std::collections::HashSet;

/// Label of the activation that the others are compared with.
pub(super) fn baseline_of(runs: &[&StoredRun], options: &ReportOptions) -> Result<String, Error> {
    let labels = runs.iter().map(|run| run.record.spec.activation.label.as_str());
    let first = labels.min_by_key(|label| position(&options.order, label)).ok_or(Error::NoRuns)?;
    Ok(options.baseline.clone().unwrap_or_else(|| first.to_owned()))
}

pub(super) fn rules(runs: &[&StoredRun], options: &ReportOptions, baseline: &str) -> Rules {
    Rules {
        baseline: baseline.to_owned(),
        margin: options.margin,
        bootstrap: Bootstrap {
            resamples: options.bootstrap_resamples,
            seed: options.bootstrap_seed,
        },
        family: options.family,
        all_pairs: options.all_pairs,
        looks: options.looks.as_ref().map(|(seeds, order)| looks(runs, seeds, order)),
    }
}

/// How a run that diverged counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Diverged {
    /// Not at all.
    LeftOut,
    /// As one that guesses.
    AtGuessing,
}

/// Test accuracies of `runs`, which are in the order of the report.
pub(super) fn scores(runs: &[&StoredRun], diverged: Diverged) -> Vec<TaskScores> {
    let score = |run: &StoredRun| match Status::of(&run.record) {
        Status::Completed => Some(run.record.summary.as_ref()?.test?.accuracy),
        Status::Diverged if diverged == Diverged::AtGuessing => guessing(&[run]),
        Status::Diverged | Status::Failed => None,
    };
    let arm = |runs: &[&StoredRun]| {
        let scored = runs
            .iter()
            .filter_map(|run| Some((run.record.spec.seed.to_string(), score(run)?)))
            .collect();
        ArmScores::new(runs[0].record.spec.activation.label.clone(), scored)
    };
    let task = |runs: &[&StoredRun]| TaskScores {
        task: runs[0].record.spec.task.clone(),
        arms: runs
            .chunk_by(|a, b| a.record.spec.activation.label == b.record.spec.activation.label)
            .map(arm)
            .collect(),
        guessing: guessing(runs),
        resolution: test_examples(runs).map_or(Resolution::Rounding, Resolution::Examples),
    };
    runs.chunk_by(|a, b| a.record.spec.task == b.record.spec.task).map(task).collect()
}

/// Test accuracies of the completed runs of `runs`, in the order that `options` name, as they are compared.
///
/// # Errors
/// Those of [`Report::from_runs`].
pub fn scores_of(runs: &[StoredRun], options: &ReportOptions) -> Result<Vec<TaskScores>, Error> {
    Ok(scores(&super::ordered(runs, options)?, Diverged::LeftOut))
}

/// The accuracy of guessing, where one of `runs` tells how many classes there are.
pub(super) fn guessing(runs: &[&StoredRun]) -> Option<f64> {
    let classes = |run: &&StoredRun| run.record.summary.as_ref()?.classes;
    runs.iter().find_map(classes).filter(|classes| *classes > 0).map(|classes| 1.0 / classes as f64)
}

/// How many examples the test split has, where one of `runs` tells.
pub(super) fn test_examples(runs: &[&StoredRun]) -> Option<u64> {
    runs.iter().find_map(|run| run.record.summary.as_ref()?.test_examples)
}

/// The plan of looks, and how many seeds every arm that has any run has finished on every task.
fn looks(runs: &[&StoredRun], seeds: &[usize], order: &[u64]) -> LookPlan {
    let arm =
        |run: &StoredRun| (run.record.spec.task.clone(), run.record.spec.activation.label.clone());
    let arms: HashSet<_> = runs.iter().map(|run| arm(run)).collect();
    let ended: HashSet<_> = runs.iter().map(|run| (arm(run), run.record.spec.seed)).collect();
    let finished = |seed: &u64| arms.iter().all(|arm| ended.contains(&(arm.clone(), *seed)));
    LookPlan {
        seeds: seeds.to_vec(),
        order: order.iter().map(u64::to_string).collect(),
        finished: order.iter().take_while(|seed| finished(seed)).count(),
    }
}
