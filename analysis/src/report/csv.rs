//! The tables for programs: fractions, seconds and bytes in full precision, empty where not measured.

use super::Task;
use crate::Error;
use crate::comparison::{Against, ArmFigures};
use crate::statistics::{Estimate, Interval, LEVEL};
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
    let low = |interval: Option<Interval>| optional(interval.map(|interval| interval.low));
    let high = |interval: Option<Interval>| optional(interval.map(|interval| interval.high));
    let interval = |estimate: Option<Estimate>| estimate.and_then(|estimate| estimate.interval);
    let accuracy = arm.test_accuracy;
    let resampled = accuracy.and_then(|accuracy| accuracy.bootstrap);
    let spread = |get: fn(&ArmFigures) -> Option<f64>| arm.spread.as_ref().and_then(get);
    let bca = arm.spread.as_ref().and_then(|spread| spread.interval_bca);
    let against = arm.against.as_ref();
    let test = |get: fn(&Against) -> Option<f64>| optional(against.and_then(get));
    let between = |get: fn(&Against) -> Option<Interval>| against.and_then(get);
    let (corrected, uncorrected, bootstrap) = (
        between(|against| against.interval),
        between(|against| against.interval_uncorrected),
        between(|against| against.interval_bootstrap),
    );
    let examples = arm.examples.crossed;
    let examples_interval = examples.and_then(|crossed| crossed.interval(LEVEL));
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
        ("test_accuracy_low", low(interval(accuracy))),
        ("test_accuracy_high", high(interval(accuracy))),
        ("test_accuracy_bootstrap_low", low(resampled)),
        ("test_accuracy_bootstrap_high", high(resampled)),
        ("test_accuracy_bca_low", low(bca)),
        ("test_accuracy_bca_high", high(bca)),
        ("test_accuracy_median", optional(spread(|spread| spread.median))),
        ("test_accuracy_iqm", optional(spread(|spread| spread.interquartile_mean))),
        ("test_accuracy_worst", optional(spread(|spread| Some(spread.worst.as_ref()?.1)))),
        ("test_accuracy_best", optional(spread(|spread| Some(spread.best.as_ref()?.1)))),
        ("difference_mean", test(|against| against.difference)),
        ("difference_sd", test(|against| against.standard_deviation)),
        ("difference_low", low(uncorrected)),
        ("difference_high", high(uncorrected)),
        ("difference_corrected_low", low(corrected)),
        ("difference_corrected_high", high(corrected)),
        ("difference_corrected_level", test(|against| against.interval_level)),
        ("difference_bootstrap_low", low(bootstrap)),
        ("difference_bootstrap_high", high(bootstrap)),
        ("difference_examples_low", low(examples_interval)),
        ("difference_examples_high", high(examples_interval)),
        ("difference_examples_bootstrap_low", low(arm.examples.bootstrap)),
        ("difference_examples_bootstrap_high", high(arm.examples.bootstrap)),
        ("difference_sd_seeds", optional(examples.map(|crossed| crossed.seeds))),
        ("difference_sd_examples", optional(examples.map(|crossed| crossed.examples))),
        ("pairs", against.map_or(0, |against| against.pairs).to_string()),
        ("p", test(|against| Some(against.t_test?.p))),
        ("p_holm", test(|against| against.p_holm)),
        ("p_ranks", test(|against| Some(against.rank_test?.p))),
        ("p_equivalence", test(|against| Some(against.equivalence?.p))),
        ("p_equivalence_holm", test(|against| Some(against.equivalence?.p_holm))),
        ("cohen_d_paired", test(|against| against.cohen_d_paired)),
        ("cohen_d", test(|against| against.cohen_d)),
        ("cliffs_delta", test(|against| against.cliffs_delta)),
        ("probability_of_improvement", test(|against| against.probability_of_improvement)),
        ("minimum_detectable_effect", test(|against| Some(against.power?.detectable))),
        ("seeds_for_margin", optional(against.and_then(|against| against.power?.seeds_for_margin))),
        ("probability_worse", test(|against| Some(against.probabilities?.worse))),
        ("probability_equivalent", test(|against| Some(against.probabilities?.equivalent))),
        ("probability_better", test(|against| Some(against.probabilities?.better))),
        ("verdict", against.map_or("", |against| against.verdict.name()).to_owned()),
        ("negative_log_likelihood", optional(arm.examples.log_likelihood)),
        ("expected_calibration_error", optional(arm.examples.calibration)),
        ("disagreement", optional(arm.examples.disagreement)),
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
        ("train_seconds", optional(arm.train_seconds.map(|seconds| seconds.mean))),
        (
            "train_seconds_sd",
            optional(arm.train_seconds.and_then(|seconds| seconds.standard_deviation)),
        ),
        ("examples_per_second", optional(arm.examples_per_second)),
        ("dominated_by", optional(arm.dominated_by.as_ref())),
    ]
}

fn optional(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

fn finish(csv: csv::Writer<Vec<u8>>) -> Result<Vec<u8>, Error> {
    csv.into_inner().map_err(|error| Error::Csv(error.into_error().into()))
}
