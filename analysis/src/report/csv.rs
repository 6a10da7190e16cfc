//! The tables for programs: fractions, seconds and bytes in full precision, empty where not measured.

use super::Task;
use crate::Error;
use crate::comparison::{Against, ArmFigures};
use crate::statistics::Estimate;
use crate::summary::Arm;
use polars::prelude::{AnyValue, DataFrame};

/// One row a run, with the columns of [`crate::frame::of_runs`].
pub(super) fn runs(runs: &DataFrame) -> Result<Vec<u8>, Error> {
    let mut csv = csv::Writer::from_writer(Vec::new());
    csv.write_record(runs.get_column_names())?;
    for row in 0..runs.height() {
        for column in runs.columns() {
            csv.write_field(match column.get(row)? {
                AnyValue::Null => String::new(),
                AnyValue::Float64(value) => value.to_string(),
                AnyValue::String(text) => text.to_owned(),
                other => other.to_string(),
            })?;
        }
        csv.write_record(None::<&[u8]>)?;
    }
    finish(csv)
}

/// One row a task and activation.
pub(super) fn summary(tasks: &[Task]) -> Result<Vec<u8>, Error> {
    let mut csv = csv::Writer::from_writer(Vec::new());
    let rows = tasks.iter().flat_map(|task| task.arms.iter().map(|arm| fields(task, arm)));
    for (i, row) in rows.enumerate() {
        if i == 0 {
            csv.write_record(row.iter().map(|(name, _)| name))?;
        }
        csv.write_record(row.iter().map(|(_, value)| value))?;
    }
    finish(csv)
}

fn fields(task: &Task, arm: &Arm) -> Vec<(&'static str, String)> {
    let low = |estimate: Option<Estimate>| estimate?.interval.map(|interval| interval.low);
    let high = |estimate: Option<Estimate>| estimate?.interval.map(|interval| interval.high);
    let (accuracy, difference) = (arm.test_accuracy, arm.difference);
    let spread = |get: fn(&ArmFigures) -> Option<f64>| arm.spread.as_ref().and_then(get);
    let test = |get: fn(&Against) -> Option<f64>| arm.against.as_ref().and_then(get);
    vec![
        ("task", task.name.clone()),
        ("activation", arm.activation.clone()),
        ("baseline", task.baseline.clone()),
        ("runs", arm.runs.to_string()),
        ("completed", arm.completed.to_string()),
        ("diverged", arm.diverged.to_string()),
        ("failed", arm.failed.to_string()),
        ("test_accuracy_mean", optional(accuracy.map(|accuracy| accuracy.mean))),
        ("test_accuracy_sd", optional(accuracy.and_then(|accuracy| accuracy.standard_deviation))),
        ("test_accuracy_low", optional(low(accuracy))),
        ("test_accuracy_high", optional(high(accuracy))),
        ("test_accuracy_median", optional(spread(|spread| spread.median))),
        ("test_accuracy_iqm", optional(spread(|spread| spread.interquartile_mean))),
        ("test_accuracy_bca_low", optional(spread(|spread| Some(spread.interval_bca?.low)))),
        ("test_accuracy_bca_high", optional(spread(|spread| Some(spread.interval_bca?.high)))),
        ("test_accuracy_worst", optional(spread(|spread| Some(spread.worst.as_ref()?.1)))),
        ("test_accuracy_best", optional(spread(|spread| Some(spread.best.as_ref()?.1)))),
        ("difference_mean", optional(difference.map(|difference| difference.mean))),
        ("difference_sd", optional(difference.and_then(|d| d.standard_deviation))),
        ("difference_low", optional(low(difference))),
        ("difference_high", optional(high(difference))),
        ("difference_examples_low", optional(arm.examples_interval.map(|interval| interval.low))),
        ("difference_examples_high", optional(arm.examples_interval.map(|interval| interval.high))),
        ("pairs", difference.map_or(0, |difference| difference.n).to_string()),
        ("p", optional(test(|against| Some(against.t_test?.p)))),
        ("p_holm", optional(test(|against| against.p_holm))),
        ("p_ranks", optional(test(|against| Some(against.rank_test?.p)))),
        ("cohen_d_paired", optional(test(|against| against.cohen_d_paired))),
        ("cohen_d", optional(test(|against| against.cohen_d))),
        ("cliffs_delta", optional(test(|against| against.cliffs_delta))),
        (
            "probability_of_improvement",
            optional(test(|against| against.probability_of_improvement)),
        ),
        ("smallest_found", optional(test(|against| against.detectable))),
        ("verdict", arm.against.as_ref().map_or("", |against| against.verdict.name()).to_owned()),
        ("test_loss", optional(arm.test_loss)),
        ("best_validation_accuracy", optional(arm.best_validation_accuracy)),
        ("best_validation_epoch", optional(arm.best_validation_epoch)),
        ("last_validation_accuracy", optional(arm.last_validation_accuracy)),
        ("validation_area", optional(arm.validation_area)),
        ("validation_volatility", optional(arm.validation_volatility)),
        ("largest_drop", optional(arm.largest_drop)),
        ("final_minus_best", optional(arm.final_minus_best)),
        ("target_accuracy", optional(arm.target_accuracy)),
        ("reached_target", arm.reached.to_string()),
        ("steps_to_target_median", optional(arm.steps_to_target)),
        ("seconds_to_target_median", optional(arm.seconds_to_target)),
        ("steps_to_baseline_median", optional(arm.steps_to_baseline)),
        ("parameters_min", optional(arm.parameters.map(|range| range.0))),
        ("parameters_max", optional(arm.parameters.map(|range| range.1))),
        ("flops_min", optional(arm.flops.map(|range| range.0))),
        ("flops_max", optional(arm.flops.map(|range| range.1))),
        ("dead", optional(arm.dead)),
        ("zero", optional(arm.zero)),
        ("saturated", optional(arm.saturated)),
        ("mean_shift", optional(arm.mean_shift)),
        ("absolute_mean_shift", optional(arm.absolute_mean_shift)),
        ("variance", optional(arm.variance)),
        ("peak_memory", optional(arm.peak_memory)),
        ("energy_joules", optional(arm.energy_joules)),
        ("total_seconds", optional(arm.total_seconds)),
        ("train_seconds", optional(arm.train_seconds)),
        ("examples_per_second", optional(arm.examples_per_second)),
        ("beaten_by", optional(arm.beaten_by.as_ref())),
    ]
}

fn optional(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

fn finish(csv: csv::Writer<Vec<u8>>) -> Result<Vec<u8>, Error> {
    csv.into_inner().map_err(|error| Error::Csv(error.into_error().into()))
}
