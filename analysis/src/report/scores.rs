//! From records to the scores that are compared, and the rules of the comparison.

use super::ReportOptions;
use crate::Error;
use crate::comparison::{ArmScores, LookPlan, Rules, TaskScores};
use crate::frame::Status;
use crate::metric::{self, Shown, test_value};
use crate::order::position;
use crate::statistics::{Bootstrap, Resolution};
use record::{Metric, StoredRun};
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

/// What each task of `runs`, which are in the order of the report, is judged by.
///
/// # Errors
/// [`Error::Metrics`] where runs of one task are judged by different metrics.
pub(super) fn metrics(runs: &[&StoredRun]) -> Result<Vec<Metric>, Error> {
    runs.chunk_by(same_task).map(metric::of_task).collect()
}

fn same_task(a: &&StoredRun, b: &&StoredRun) -> bool {
    a.record.spec.task == b.record.spec.task
}

/// Test values of `runs`, which are in the order of the report; `metrics` are those of their tasks.
pub(super) fn scores(
    runs: &[&StoredRun],
    metrics: &[Metric],
    diverged: Diverged,
) -> Vec<TaskScores> {
    let score = |run: &StoredRun, metric: &Metric| match Status::of(&run.record) {
        Status::Completed => test_value(&run.record),
        // What guessing scores may be unknown; the run is left out then.
        Status::Diverged if diverged == Diverged::AtGuessing => metric.known_guessing(),
        Status::Diverged | Status::Failed => None,
    };
    let arm = |runs: &[&StoredRun], metric: &Metric| {
        let scored = runs
            .iter()
            .filter_map(|run| Some((run.record.spec.seed.to_string(), score(run, metric)?)))
            .collect();
        ArmScores::new(runs[0].record.spec.activation.label.clone(), scored)
    };
    let task = |(runs, metric): (&[&StoredRun], &Metric)| TaskScores {
        task: runs[0].record.spec.task.clone(),
        arms: runs
            .chunk_by(|a, b| a.record.spec.activation.label == b.record.spec.activation.label)
            .map(|runs| arm(runs, metric))
            .collect(),
        guessing: metric.known_guessing(),
        resolution: resolution(runs, metric),
        metric: Some(metric.clone()),
    };
    runs.chunk_by(same_task).zip(metrics).map(task).collect()
}

/// Test values of the completed runs of `runs`, in the order that `options` name, as they are compared.
///
/// # Errors
/// Those of [`Report::from_runs`](super::Report::from_runs).
pub fn scores_of(runs: &[StoredRun], options: &ReportOptions) -> Result<Vec<TaskScores>, Error> {
    let runs = super::ordered(runs, options)?;
    Ok(scores(&runs, &metrics(&runs)?, Diverged::LeftOut))
}

/// What two scores of `runs`, all of one task, must differ by to differ at all.
pub(super) fn resolution(runs: &[&StoredRun], metric: &Metric) -> Resolution {
    match test_examples(runs) {
        Some(examples) if metric.is_share() => Resolution::Examples(examples),
        _ => Resolution::Rounding,
    }
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
