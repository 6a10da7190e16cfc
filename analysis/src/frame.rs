//! The records as a table: one row a run.

use crate::curve::Curve;
use polars::prelude::{Column, DataFrame, NamedFrom, PolarsResult, Series};
use record::{Outcome, RunRecord, Site, StoredRun, Summary};

/// How a run counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// It used its whole budget and was tested.
    Completed,
    /// Training blew up: a result about the activation.
    Diverged,
    /// The program failed: no result about the activation.
    Failed,
}

impl Status {
    /// How `run` counts. A run that claims to have completed but carries no test accuracy counts
    /// as failed, so that the number of completed runs is the number that a mean is taken over.
    pub(crate) fn of(run: &RunRecord) -> Self {
        match run.outcome {
            Outcome::Completed if tested(run) => Self::Completed,
            Outcome::Completed | Outcome::Failed { .. } => Self::Failed,
            Outcome::Diverged { .. } => Self::Diverged,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Diverged => "diverged",
            Self::Failed => "failed",
        }
    }
}

fn tested(run: &RunRecord) -> bool {
    let test = run.summary.as_ref().and_then(|summary| summary.test);
    test.is_some_and(|test| test.accuracy.is_finite())
}

/// Why a run did not complete, in the record's words; [`None`] where it did.
pub(crate) fn reason(run: &RunRecord) -> Option<&str> {
    match &run.outcome {
        Outcome::Completed if tested(run) => None,
        Outcome::Completed => Some("completed without a test evaluation"),
        Outcome::Diverged { reason, .. } | Outcome::Failed { reason } => Some(reason),
    }
}

/// One row a run, in the order given.
///
/// Accuracies, `dead`, `zero` and `saturated` are fractions; losses are in nats; times in seconds;
/// `peak_memory` in bytes; `flops` those of one example's forward pass. The five columns about
/// activation sites are means over the sites of the last evaluation, each site counting the same.
/// The four columns about the validation curve are those of [`Curve`]. What a run did not measure is null.
pub(crate) fn of_runs(runs: &[&StoredRun], curves: &[Option<Curve>]) -> PolarsResult<DataFrame> {
    let rows = Rows(runs);
    let curve = |name: &str, get: fn(&Curve) -> Option<f64>| -> Column {
        let cells: Vec<_> = curves.iter().map(|curve| get(curve.as_ref()?)).collect();
        Series::new(name.into(), cells).into()
    };
    DataFrame::new(
        runs.len(),
        vec![
            rows.text("id", |run| Some(run.id.to_string())),
            rows.text("task", |run| Some(run.spec.task.clone())),
            rows.text("activation", |run| Some(run.spec.activation.label.clone())),
            rows.text("model", |run| Some(run.spec.model.label())),
            rows.text("data", |run| Some(run.spec.data.name.clone())),
            rows.integer("seed", |run| Some(run.spec.seed)),
            rows.float("learning_rate", |run| Some(run.spec.training.learning_rate)),
            rows.text("device", |run| Some(run.spec.device.clone())),
            rows.text("status", |run| Some(Status::of(run).name().to_owned())),
            rows.integer("diverged_step", |run| match run.outcome {
                Outcome::Diverged { step, .. } => Some(step),
                Outcome::Completed | Outcome::Failed { .. } => None,
            }),
            rows.text("reason", |run| reason(run).map(str::to_owned)),
            rows.float("test_accuracy", |run| Some(run.summary.as_ref()?.test?.accuracy)),
            rows.float("test_loss", |run| Some(run.summary.as_ref()?.test?.loss)),
            rows.float("best_validation_accuracy", |run| best(run, |best| best.accuracy)),
            rows.float("best_validation_loss", |run| best(run, |best| best.loss)),
            rows.integer("best_validation_step", |run| best(run, |best| best.step)),
            rows.float("best_validation_epoch", |run| best(run, |best| best.epoch)),
            rows.float("last_validation_accuracy", |run| last(run, |last| last.accuracy)),
            rows.float("last_validation_loss", |run| last(run, |last| last.loss)),
            rows.float("target_accuracy", |run| run.spec.training.target_accuracy),
            rows.integer("steps_to_target", |run| run.summary.as_ref()?.steps_to_target),
            rows.float("seconds_to_target", |run| {
                let summary = run.summary.as_ref()?;
                let step_seconds = run.timing.train_seconds / summary.steps as f64;
                Some(summary.steps_to_target? as f64 * step_seconds)
            }),
            curve("validation_area", |curve| Some(curve.area)),
            curve("validation_volatility", |curve| curve.volatility),
            curve("largest_drop", |curve| Some(curve.largest_drop)),
            curve("final_minus_best", |curve| Some(curve.final_minus_best)),
            rows.integer("steps", |run| measured(run, |summary| summary.steps)),
            rows.float("initial_loss", |run| measured(run, |summary| summary.initial_loss)),
            rows.integer("parameters", |run| measured(run, |summary| summary.parameters)),
            rows.integer("flops", |run| measured(run, |summary| summary.flops)),
            rows.float("dead", |run| over_sites(run, |site| site.dead)),
            rows.float("zero", |run| over_sites(run, |site| site.zero)),
            rows.float("saturated", |run| over_sites(run, |site| site.saturated)),
            rows.float("mean_shift", |run| over_sites(run, |site| site.mean)),
            rows.float("absolute_mean_shift", |run| over_sites(run, |site| site.mean.abs())),
            rows.float("variance", |run| over_sites(run, |site| site.variance)),
            rows.integer("peak_memory", |run| run.timing.peak_memory_bytes),
            rows.float("energy_joules", |run| run.timing.energy_joules),
            rows.float("total_seconds", |run| Some(run.timing.total_seconds)),
            rows.float("train_seconds", |run| Some(run.timing.train_seconds)),
            rows.float("examples_per_second", |run| Some(run.timing.examples_per_second)),
        ],
    )
}

fn measured<T>(run: &RunRecord, get: impl Fn(&Summary) -> T) -> Option<T> {
    run.summary.as_ref().map(get)
}

fn best<T>(run: &RunRecord, get: impl Fn(&record::Evaluation) -> T) -> Option<T> {
    run.summary.as_ref()?.best_validation.as_ref().map(get)
}

fn last<T>(run: &RunRecord, get: impl Fn(&record::Evaluation) -> T) -> Option<T> {
    run.summary.as_ref()?.last_validation.as_ref().map(get)
}

fn over_sites(run: &RunRecord, get: impl Fn(&Site) -> f64) -> Option<f64> {
    let values: Vec<f64> = run.summary.as_ref()?.sites.iter().map(get).collect();
    crate::statistics::mean(&values)
}

struct Rows<'a>(&'a [&'a StoredRun]);

impl Rows<'_> {
    fn text(&self, name: &str, get: impl Fn(&RunRecord) -> Option<String>) -> Column {
        let cells: Vec<_> = self.0.iter().map(|run| get(&run.record)).collect();
        Series::new(name.into(), cells).into()
    }

    fn integer(&self, name: &str, get: impl Fn(&RunRecord) -> Option<u64>) -> Column {
        let cells: Vec<_> = self.0.iter().map(|run| get(&run.record)).collect();
        Series::new(name.into(), cells).into()
    }

    fn float(&self, name: &str, get: impl Fn(&RunRecord) -> Option<f64>) -> Column {
        let cells: Vec<_> = self.0.iter().map(|run| get(&run.record)).collect();
        Series::new(name.into(), cells).into()
    }
}
