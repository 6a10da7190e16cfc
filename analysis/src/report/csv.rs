//! The tables for programs: values as they were recorded, fractions, seconds and bytes in full precision, empty where not measured.

use super::Task;
use crate::Error;
use crate::comparison::{Against, ArmFigures};
use crate::frame::direction;
use crate::statistics::{Estimate, Interval, LEVEL};
use crate::summary::Arm;
use polars::prelude::{AnyValue, DataFrame};

/// One row a run, with the columns of [`crate::frame::by_metric`].
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

/// What a column of `summary.csv` is called.
#[derive(Debug, Clone, Copy)]
enum Name {
    /// The same for every task.
    Plain(&'static str),
    /// The name of the task's metric stands between both parts: each metric has a column of its own.
    Of(&'static str, &'static str),
}

/// One row a task, baseline and activation.
pub(super) fn summary<'a>(tasks: impl Iterator<Item = &'a Task> + Clone) -> Result<Vec<u8>, Error> {
    let mut metrics: Vec<&str> = Vec::new();
    for task in tasks.clone() {
        if !metrics.contains(&task.metric.name.as_str()) {
            metrics.push(&task.metric.name);
        }
    }
    let mut csv = csv::Writer::from_writer(Vec::new());
    let rows = tasks.flat_map(|task| task.arms.iter().map(move |arm| (task, arm)));
    for (i, (task, arm)) in rows.enumerate() {
        let fields = fields(task, arm);
        if i == 0 {
            csv.write_record(header(&fields, &metrics))?;
        }
        for (name, value) in &fields {
            match name {
                Name::Plain(_) => csv.write_field(value)?,
                Name::Of(..) => {
                    for metric in &metrics {
                        let own = *metric == task.metric.name;
                        csv.write_field(if own { value.as_str() } else { "" })?;
                    }
                }
            }
        }
        csv.write_record(None::<&[u8]>)?;
    }
    finish(csv)
}

fn header(fields: &[(Name, String)], metrics: &[&str]) -> Vec<String> {
    let names = fields.iter().flat_map(|(name, _)| match *name {
        Name::Plain(name) => vec![name.to_owned()],
        Name::Of(before, after) => {
            metrics.iter().map(|metric| format!("{before}_{metric}{after}")).collect()
        }
    });
    names.collect()
}

fn fields(task: &Task, arm: &Arm) -> Vec<(Name, String)> {
    use Name::{Of, Plain};
    let low = |interval: Option<Interval>| optional(interval.map(|interval| interval.low));
    let high = |interval: Option<Interval>| optional(interval.map(|interval| interval.high));
    let interval = |estimate: Option<Estimate>| estimate.and_then(|estimate| estimate.interval);
    let value = arm.test;
    let spread = |get: fn(&ArmFigures) -> Option<f64>| arm.spread.as_ref().and_then(get);
    let resampled = arm.spread.as_ref().and_then(|spread| spread.interval_bootstrap);
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
        (Plain("task"), task.name.clone()),
        (Plain("activation"), arm.activation.clone()),
        (Plain("baseline"), task.baseline.clone()),
        (Plain("runs"), arm.runs.to_string()),
        (Plain("completed"), arm.completed.to_string()),
        (Plain("diverged"), arm.diverged.to_string()),
        (Plain("failed"), arm.failed.to_string()),
        (Of("test", "_mean"), optional(value.map(|value| value.mean))),
        (Of("test", "_sd"), optional(value.and_then(|value| value.standard_deviation))),
        (Of("test", "_low"), low(interval(value))),
        (Of("test", "_high"), high(interval(value))),
        (Of("test", "_bootstrap_low"), low(resampled)),
        (Of("test", "_bootstrap_high"), high(resampled)),
        (Of("test", "_bca_low"), low(bca)),
        (Of("test", "_bca_high"), high(bca)),
        (Of("test", "_median"), optional(spread(|spread| spread.median))),
        (Of("test", "_iqm"), optional(spread(|spread| spread.interquartile_mean))),
        (Of("test", "_worst"), optional(spread(|spread| Some(spread.worst.as_ref()?.1)))),
        (Of("test", "_best"), optional(spread(|spread| Some(spread.best.as_ref()?.1)))),
        (Plain("difference_mean"), test(|against| against.difference)),
        (Plain("difference_sd"), test(|against| against.standard_deviation)),
        (Plain("difference_low"), low(uncorrected)),
        (Plain("difference_high"), high(uncorrected)),
        (Plain("difference_corrected_low"), low(corrected)),
        (Plain("difference_corrected_high"), high(corrected)),
        (Plain("difference_corrected_level"), test(|against| against.interval_level)),
        (Plain("difference_bootstrap_low"), low(bootstrap)),
        (Plain("difference_bootstrap_high"), high(bootstrap)),
        (Plain("difference_examples_low"), low(examples_interval)),
        (Plain("difference_examples_high"), high(examples_interval)),
        (Plain("difference_examples_bootstrap_low"), low(arm.examples.bootstrap)),
        (Plain("difference_examples_bootstrap_high"), high(arm.examples.bootstrap)),
        (Plain("difference_sd_seeds"), optional(examples.map(|crossed| crossed.seeds))),
        (Plain("difference_sd_examples"), optional(examples.map(|crossed| crossed.examples))),
        (Plain("pairs"), against.map_or(0, |against| against.pairs).to_string()),
        (Plain("p"), test(|against| Some(against.t_test?.p))),
        (Plain("p_holm"), test(|against| against.p_holm)),
        (Plain("p_ranks"), test(|against| Some(against.rank_test?.p))),
        (Plain("p_equivalence"), test(|against| Some(against.equivalence?.p))),
        (Plain("p_equivalence_holm"), test(|against| Some(against.equivalence?.p_holm))),
        (Plain("cohen_d_paired"), test(|against| against.cohen_d_paired)),
        (Plain("cohen_d"), test(|against| against.cohen_d)),
        (Plain("cliffs_delta"), test(|against| against.cliffs_delta)),
        (Plain("probability_of_improvement"), test(|against| against.probability_of_improvement)),
        (Plain("minimum_detectable_effect"), test(|against| Some(against.power?.detectable))),
        (
            Plain("seeds_for_margin"),
            optional(against.and_then(|against| against.power?.seeds_for_margin)),
        ),
        (Plain("probability_worse"), test(|against| Some(against.probabilities?.worse))),
        (Plain("probability_equivalent"), test(|against| Some(against.probabilities?.equivalent))),
        (Plain("probability_better"), test(|against| Some(against.probabilities?.better))),
        (Plain("verdict"), against.map_or("", |against| against.verdict.name()).to_owned()),
        (Plain("negative_log_likelihood"), optional(arm.examples.log_likelihood)),
        (Plain("expected_calibration_error"), optional(arm.examples.calibration)),
        (Plain("disagreement"), optional(arm.examples.disagreement)),
        (Plain("test_loss"), optional(arm.test_loss)),
        (Of("best_validation", ""), optional(arm.best_validation)),
        (Plain("best_validation_epoch"), optional(arm.best_validation_epoch)),
        (Of("last_validation", ""), optional(arm.last_validation)),
        (Plain("validation_area"), optional(arm.validation_area)),
        (Plain("validation_volatility"), optional(arm.validation_volatility)),
        (Plain("largest_drop"), optional(arm.largest_drop)),
        (Plain("final_minus_best"), optional(arm.final_minus_best)),
        (Of("target", ""), optional(arm.target)),
        (Plain("reached_target"), arm.reached.to_string()),
        (Plain("steps_to_target_median"), optional(arm.steps_to_target)),
        (Plain("seconds_to_target_median"), optional(arm.seconds_to_target)),
        (Plain("steps_to_baseline_median"), optional(arm.steps_to_baseline)),
        (Plain("parameters_min"), optional(arm.parameters.map(|range| range.0))),
        (Plain("parameters_max"), optional(arm.parameters.map(|range| range.1))),
        (Plain("flops_min"), optional(arm.flops.map(|range| range.0))),
        (Plain("flops_max"), optional(arm.flops.map(|range| range.1))),
        (Plain("dead"), optional(arm.dead)),
        (Plain("zero"), optional(arm.zero)),
        (Plain("saturated"), optional(arm.saturated)),
        (Plain("mean_shift"), optional(arm.mean_shift)),
        (Plain("absolute_mean_shift"), optional(arm.absolute_mean_shift)),
        (Plain("variance"), optional(arm.variance)),
        (Plain("peak_memory"), optional(arm.peak_memory)),
        (Plain("device_memory"), optional(arm.device_memory)),
        (Plain("energy_joules"), optional(arm.energy_joules)),
        (Plain("total_seconds"), optional(arm.total_seconds)),
        (Plain("train_seconds"), optional(arm.train_seconds.map(|seconds| seconds.mean))),
        (
            Plain("train_seconds_sd"),
            optional(arm.train_seconds.and_then(|seconds| seconds.standard_deviation)),
        ),
        (Plain("examples_per_second"), optional(arm.examples_per_second)),
        (Plain("dominated_by"), optional(arm.dominated_by.as_ref())),
        (Plain("metric"), task.metric.name.clone()),
        (Plain("direction"), direction(&task.metric).to_owned()),
    ]
}

fn optional(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

fn finish(csv: csv::Writer<Vec<u8>>) -> Result<Vec<u8>, Error> {
    csv.into_inner().map_err(|error| Error::Csv(error.into_error().into()))
}
