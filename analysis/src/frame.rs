//! The records as a table: one row a run.

use crate::curve::Curve;
use crate::metric::test_value;
use polars::prelude::{Column, DataFrame, NamedFrom, PolarsResult, Series};
use record::{Direction, Metric, Outcome, RunRecord, Site, StoredRun, Summary};

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
    /// How `run` counts. A run that claims to have completed but was not tested counts as failed, and one whose test
    /// value is not finite as diverged, so that the number of completed runs is the number that a mean is taken over.
    pub(crate) fn of(run: &RunRecord) -> Self {
        match run.outcome {
            Outcome::Completed => match test_value(run) {
                Some(value) if value.is_finite() => Self::Completed,
                Some(_) => Self::Diverged,
                None => Self::Failed,
            },
            Outcome::Failed { .. } => Self::Failed,
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

/// The test value of a run that completed.
pub(crate) fn score(run: &RunRecord) -> Option<f64> {
    if Status::of(run) == Status::Completed { test_value(run) } else { None }
}

/// Why a run did not complete, in the record's words; [`None`] where it did.
pub(crate) fn reason(run: &RunRecord) -> Option<String> {
    match &run.outcome {
        Outcome::Completed => match (test_value(run), &run.summary) {
            (Some(value), _) if value.is_finite() => None,
            (Some(value), Some(summary)) => Some(format!(
                "the test {} is {}",
                summary.metric().label,
                if value.is_nan() { "NaN" } else { "infinite" }
            )),
            _ => Some("completed without a test evaluation".to_owned()),
        },
        Outcome::Diverged { reason, .. } | Outcome::Failed { reason } => Some(reason.clone()),
    }
}

/// Columns of values of the runs' own metrics.
const VALUES: [&str; 4] = ["test", "best_validation", "last_validation", "target"];

/// One row a run, in the order given.
///
/// The columns [`VALUES`] are of the run's own metric, whose name and direction are in the last columns. `dead`,
/// `zero` and `saturated` are fractions; losses are in nats; times in seconds;
/// `peak_memory` and `device_memory` in bytes; `flops` those of one example's forward pass. The five columns about
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
            rows.text("model", |run| Some(run.described.or_names(&run.spec).model)),
            rows.text("data", |run| Some(run.spec.data.name.clone())),
            rows.integer("seed", |run| Some(run.spec.seed)),
            rows.float("learning_rate", |run| Some(run.spec.training.learning_rate)),
            rows.text("device", |run| Some(run.spec.device.clone())),
            rows.text("status", |run| Some(Status::of(run).name().to_owned())),
            rows.integer("diverged_step", |run| match run.outcome {
                Outcome::Diverged { step, .. } => Some(step),
                Outcome::Completed | Outcome::Failed { .. } => None,
            }),
            rows.text("reason", reason),
            rows.float("test", test_value),
            rows.float("test_loss", |run| Some(run.summary.as_ref()?.test.as_ref()?.loss)),
            rows.float("best_validation", |run| of_validation(run, |one| &one.best_validation)),
            rows.float("best_validation_loss", |run| best(run, |best| best.loss)),
            rows.integer("best_validation_step", |run| best(run, |best| best.step)),
            rows.float("best_validation_epoch", |run| best(run, |best| best.epoch)),
            rows.float("last_validation", |run| of_validation(run, |one| &one.last_validation)),
            rows.float("last_validation_loss", |run| {
                run.summary.as_ref()?.last_validation.as_ref().map(|last| last.loss)
            }),
            rows.float("target", |run| run.spec.training.target()),
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
            rows.integer("device_memory", |run| run.timing.device_memory_bytes),
            rows.float("energy_joules", |run| run.timing.energy_joules),
            rows.float("total_seconds", |run| Some(run.timing.total_seconds)),
            rows.float("train_seconds", |run| Some(run.timing.train_seconds)),
            rows.float("examples_per_second", |run| Some(run.timing.examples_per_second)),
            rows.text("metric", |run| measured(run, |summary| summary.metric().name)),
            rows.text("direction", |run| {
                measured(run, |summary| direction(&summary.metric()).to_owned())
            }),
        ],
    )
}

/// The direction in a word of tables.
pub(crate) fn direction(metric: &Metric) -> &'static str {
    match metric.direction {
        Direction::Higher => "higher",
        Direction::Lower => "lower",
    }
}

/// Name of a column of values of the metric called `metric`, as in `test_accuracy` or `target_bits_per_byte`.
pub(crate) fn value_column(what: &str, metric: &str) -> String {
    format!("{what}_{metric}")
}

/// The table for other tools: the values of each of `metrics` in columns of their own. A loss has one already.
pub(crate) fn by_metric(runs: &DataFrame, metrics: &[&Metric]) -> PolarsResult<DataFrame> {
    let mut taken: Vec<&str> = runs.columns().iter().map(|column| column.name().as_str()).collect();
    taken.retain(|name| !VALUES.contains(name));
    let of_rows = runs.column("metric")?.str()?;
    let mut columns = Vec::new();
    for column in runs.columns() {
        let what = column.name().as_str();
        if !VALUES.contains(&what) {
            columns.push(column.clone());
            continue;
        }
        let values = column.f64()?;
        let mut seen: Vec<&str> = Vec::new();
        for metric in metrics {
            let name = value_column(what, &metric.name);
            if taken.contains(&name.as_str()) || seen.contains(&metric.name.as_str()) {
                continue;
            }
            seen.push(&metric.name);
            // A run without a summary has a target alone, and is of the only metric where there is one.
            let own =
                |row: usize| of_rows.get(row).map_or(metrics.len() == 1, |own| own == metric.name);
            let cell = |row: usize| values.get(row).filter(|_| own(row));
            let cells: Vec<Option<f64>> = (0..runs.height()).map(cell).collect();
            columns.push(Series::new(name.into(), cells).into());
        }
    }
    DataFrame::new(runs.height(), columns)
}

fn measured<T>(run: &RunRecord, get: impl Fn(&Summary) -> T) -> Option<T> {
    run.summary.as_ref().map(get)
}

fn best<T>(run: &RunRecord, get: impl Fn(&record::Evaluation) -> T) -> Option<T> {
    run.summary.as_ref()?.best_validation.as_ref().map(get)
}

/// The value of the run's own metric at one of its evaluations on validation data.
fn of_validation(
    run: &RunRecord,
    get: impl Fn(&Summary) -> &Option<record::Evaluation>,
) -> Option<f64> {
    let summary = run.summary.as_ref()?;
    get(summary).as_ref().map(|evaluation| evaluation.value(&summary.metric()))
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
