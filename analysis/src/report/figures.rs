//! What plots show: numbers, before anybody draws them.

use crate::frame::Status;
use crate::statistics::{Bootstrap, mean};
use record::{Evaluation, StoredRun};
use serde::Serialize;
use std::collections::BTreeMap;

/// Resamples of the band around a learning curve: it is looked at, not read off.
const BAND_RESAMPLES: usize = 400;

/// Points of a curve at most: more cannot be pointed at.
const MOST_POINTS: usize = 120;

/// Colours that are told apart by everybody (Okabe and Ito 2008), each for light and for dark pages.
const COLOURS: [(&str, &str); 8] = [
    ("#000000", "#e6e6e6"),
    ("#0072b2", "#56b4e9"),
    ("#d55e00", "#ff8c42"),
    ("#009e73", "#2fd6a3"),
    ("#cc79a7", "#e79fc8"),
    ("#b8860b", "#f0e442"),
    ("#56b4e9", "#0a84d0"),
    ("#7f7f7f", "#a6a6a6"),
];

/// Activations that have a colour of their own, in every report.
const KNOWN: [&str; 5] = ["relu", "leaky_relu", "gelu", "silu", "swiglu"];

/// The plots of one task.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct TaskFigures {
    pub(crate) task: String,
    pub(crate) arms: Vec<ArmFigures>,
}

/// What plots show of one arm.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct ArmFigures {
    pub(crate) label: String,
    pub(crate) light: &'static str,
    pub(crate) dark: &'static str,
    /// Validation accuracy over time, mean over the runs that were evaluated then.
    pub(crate) curve: Vec<CurvePoint>,
    /// Test accuracy of every completed run.
    pub(crate) scores: Vec<Score>,
    /// Activation sites at the last evaluation, by depth, mean over completed runs.
    pub(crate) sites: Vec<SitePoint>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct CurvePoint {
    pub(crate) step: u64,
    pub(crate) mean: f64,
    /// 95 % bootstrap interval, of two runs and more.
    pub(crate) low: Option<f64>,
    pub(crate) high: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Score {
    pub(crate) seed: u64,
    pub(crate) score: f64,
    /// The run's page on W&B, where it has one.
    pub(crate) url: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct SitePoint {
    pub(crate) depth: usize,
    pub(crate) site: String,
    pub(crate) dead: f64,
    pub(crate) zero: f64,
    pub(crate) mean: f64,
    pub(crate) variance: f64,
    pub(crate) saturated: f64,
}

/// The figures of `runs`, which are in the order of the report, with their evaluations.
pub(super) fn of_runs(
    runs: &[&StoredRun],
    evaluations: &[Vec<Evaluation>],
    bootstrap: Bootstrap,
) -> Vec<TaskFigures> {
    let bootstrap = Bootstrap { resamples: bootstrap.resamples.min(BAND_RESAMPLES), ..bootstrap };
    let labels = labels(runs);
    let both: Vec<(&StoredRun, &[Evaluation])> =
        runs.iter().copied().zip(evaluations.iter().map(Vec::as_slice)).collect();
    both.chunk_by(|a, b| a.0.record.spec.task == b.0.record.spec.task)
        .map(|task| TaskFigures {
            task: task[0].0.record.spec.task.clone(),
            arms: task
                .chunk_by(|a, b| label(a.0) == label(b.0))
                .map(|arm| {
                    let label = label(arm[0].0).to_owned();
                    let (light, dark) = colour(&labels, &label);
                    ArmFigures {
                        light,
                        dark,
                        curve: curve(arm, &bootstrap),
                        scores: arm.iter().filter_map(|(run, _)| score(run)).collect(),
                        sites: sites(arm),
                        label,
                    }
                })
                .collect(),
        })
        .collect()
}

fn label(run: &StoredRun) -> &str {
    &run.record.spec.activation.label
}

/// Labels that have no colour of their own, in alphabetical order.
fn labels(runs: &[&StoredRun]) -> Vec<String> {
    let mut labels: Vec<String> = runs
        .iter()
        .map(|run| label(run).to_owned())
        .filter(|label| !KNOWN.contains(&label.as_str()))
        .collect();
    labels.sort();
    labels.dedup();
    labels
}

fn colour(others: &[String], label: &str) -> (&'static str, &'static str) {
    let place = KNOWN.iter().position(|known| *known == label).unwrap_or_else(|| {
        KNOWN.len() + others.iter().position(|known| known == label).unwrap_or(0)
    });
    COLOURS[place % COLOURS.len()]
}

fn curve(arm: &[(&StoredRun, &[Evaluation])], bootstrap: &Bootstrap) -> Vec<CurvePoint> {
    let mut by_step: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for evaluation in arm.iter().flat_map(|(_, evaluations)| *evaluations) {
        if evaluation.accuracy.is_finite() {
            by_step.entry(evaluation.step).or_default().push(evaluation.accuracy);
        }
    }
    let stride = by_step.len().div_ceil(MOST_POINTS).max(1);
    let last = by_step.len().saturating_sub(1);
    by_step
        .into_iter()
        .enumerate()
        // The end counts, wherever the stride falls.
        .filter(|(place, _)| (last - place).is_multiple_of(stride))
        .filter_map(|(_, (step, accuracies))| {
            let interval = bootstrap.mean(&accuracies);
            Some(CurvePoint {
                step,
                mean: mean(&accuracies)?,
                low: interval.map(|interval| interval.low),
                high: interval.map(|interval| interval.high),
            })
        })
        .collect()
}

fn score(run: &StoredRun) -> Option<Score> {
    if Status::of(&run.record) != Status::Completed {
        return None;
    }
    // A note that cannot be read costs a link.
    let url = run.dir.wandb().ok().flatten().and_then(|note| note.url);
    let score = run.record.summary.as_ref()?.test?.accuracy;
    Some(Score { seed: run.record.spec.seed, score, url })
}

fn sites(arm: &[(&StoredRun, &[Evaluation])]) -> Vec<SitePoint> {
    let completed = arm.iter().filter(|(run, _)| Status::of(&run.record) == Status::Completed);
    let mut by_depth: BTreeMap<usize, (String, Vec<[f64; 5]>)> = BTreeMap::new();
    for site in completed.filter_map(|(run, _)| Some(&run.record.summary.as_ref()?.sites)).flatten()
    {
        let entry = by_depth.entry(site.depth).or_insert_with(|| (site.site.clone(), Vec::new()));
        entry.1.push([site.dead, site.zero, site.mean, site.variance, site.saturated]);
    }
    by_depth
        .into_iter()
        .map(|(depth, (site, figures))| {
            let average = |i: usize| {
                let values: Vec<f64> = figures.iter().map(|figures| figures[i]).collect();
                mean(&values).unwrap_or(f64::NAN)
            };
            SitePoint {
                depth,
                site,
                dead: average(0),
                zero: average(1),
                mean: average(2),
                variance: average(3),
                saturated: average(4),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_activations_keep_their_colours() {
        let others = ["elu".to_owned(), "mish".to_owned()];
        assert_eq!(colour(&others, "gelu"), colour(&[], "gelu"));
        let all = ["relu", "leaky_relu", "gelu", "silu", "swiglu", "elu", "mish"];
        let colours: std::collections::BTreeSet<_> =
            all.iter().map(|label| colour(&others, label)).collect();
        assert_eq!(colours.len(), all.len());
    }
}
