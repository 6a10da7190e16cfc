//! What the plots of a report show, as the page has them as data.

use crate::common::{IMAGES, diverge, fail, find, sweep};
use crate::report::options;
use analysis::Report;
use record::{Site, StoredRun};
use serde_json::Value;

/// The plot `name` of the report of `runs`.
fn plot(runs: &[StoredRun], name: &str) -> Value {
    let page = Report::from_runs(runs, &options()).unwrap().html();
    let figures = page.split("id=\"figures\">").nth(1).unwrap().split("</script>").next().unwrap();
    let figures: Vec<Value> = serde_json::from_str(figures).unwrap();
    figures.into_iter().find(|plot| plot["name"] == name).unwrap_or_else(|| panic!("{name}"))
}

/// The marks of one kind of an activation.
fn marks(plot: &Value, label: &str, kind: &str) -> Vec<Value> {
    let mut series = plot["series"].as_array().unwrap().iter();
    let series = series.find(|series| series["label"] == label).unwrap();
    let marks = series["marks"].as_array().unwrap().iter();
    marks.filter(|mark| mark["mark"] == kind).cloned().collect()
}

/// The words that a plot has beside an activation.
fn words(plot: &Value, label: &str) -> Vec<String> {
    let labels = marks(plot, label, "label").into_iter();
    labels.map(|mark| mark["text"].as_str().unwrap().to_owned()).collect()
}

/// Names of the rows of a plot, from the top.
fn rows(plot: &Value) -> Vec<&str> {
    let ticks = plot["y"]["ticks"].as_array().unwrap().iter();
    ticks.rev().map(|tick| tick[1].as_str().unwrap()).collect()
}

/// Sets the test accuracy of a run.
fn score(runs: &mut [StoredRun], activation: &str, seed: u64, accuracy: f64) {
    let summary = find(runs, IMAGES, activation, seed).summary.as_mut().unwrap();
    summary.test.as_mut().unwrap().metrics = [("accuracy", accuracy)].into();
}

#[test]
fn every_activation_has_its_row_of_differences() {
    let mut runs = sweep(1..=3);
    for seed in 1..=3 {
        diverge(find(&mut runs, IMAGES, "silu", seed), 100);
    }
    diverge(find(&mut runs, IMAGES, "gelu", 1), 100);
    fail(find(&mut runs, IMAGES, "gelu", 2), "the disk is full");
    diverge(find(&mut runs, IMAGES, "gelu", 3), 100);
    let plot = plot(&runs, "fashion_resnet8-difference");
    let rows = rows(&plot);
    assert_eq!(rows.len(), 5);
    assert_eq!(rows[3..], ["gelu", "silu"], "below those with a difference, in their order");
    assert_eq!(words(&plot, "silu"), ["diverged in 3 of 3 runs"]);
    assert_eq!(words(&plot, "gelu"), ["no completed run: 2 diverged, 1 failed"]);
    assert_eq!(words(&plot, "relu"), ["baseline"]);
    assert!(words(&plot, "swiglu").is_empty(), "it has an interval");
}

#[test]
fn a_difference_of_one_pair_has_no_interval_and_says_so() {
    let plot = plot(&sweep(1..=1), "fashion_resnet8-difference");
    assert_eq!(words(&plot, "gelu"), ["one pair: no interval"]);
    assert!(marks(&plot, "gelu", "line").is_empty());
}

/// 60 points below the baseline, where the others are within 2.
#[test]
fn a_difference_far_from_the_others_lies_beyond_the_axis_and_is_written() {
    let mut runs = sweep(1..=3);
    for (seed, relu) in [(1, 0.80), (2, 0.81), (3, 0.82)] {
        score(&mut runs, "relu", seed, relu);
        let wobble = [0.0, 0.002, -0.002][seed as usize - 1];
        score(&mut runs, "leaky_relu(slope=0.2)", seed, relu + 0.015 + wobble);
        score(&mut runs, "gelu", seed, relu + 0.01 - wobble);
        score(&mut runs, "silu", seed, relu - 0.02 + 2.0 * wobble);
        score(&mut runs, "swiglu", seed, relu - 0.6 + wobble);
    }
    let plot = plot(&runs, "fashion_resnet8-difference");
    let range: [f64; 2] = serde_json::from_value(plot["x"]["range"].clone()).unwrap();
    assert!((-0.05..-0.02).contains(&range[0]) && (0.015..0.05).contains(&range[1]), "{range:?}");
    assert_eq!(words(&plot, "swiglu"), ["−60.00 points"]);
    assert!(marks(&plot, "swiglu", "dot").is_empty());
    for line in marks(&plot, "swiglu", "line") {
        let points: Vec<[f64; 2]> = serde_json::from_value(line["points"].clone()).unwrap();
        let near = |x: f64| (range[0]..range[0] + 0.1 * (range[1] - range[0])).contains(&x);
        assert!(points.iter().all(|[x, _]| near(*x)), "an arrow at the edge: {points:?}");
    }
    let told = &marks(&plot, "swiglu", "spot")[0]["text"];
    assert!(told.as_str().unwrap().starts_with("−60.00 points [−6"), "{told}");
    assert_eq!(marks(&plot, "silu", "dot").len(), 1);
    assert!(plot["series"].as_array().unwrap().len() == 6);
}

/// Of a ResNet, whose blocks have two sites each.
#[test]
fn lines_of_two_kinds_of_sites_have_different_widths() {
    let mut runs = sweep(1..=2);
    for run in runs.iter_mut().filter(|run| run.record.spec.task == IMAGES) {
        let sites = &mut run.record.summary.as_mut().unwrap().sites;
        let both = sites.iter().flat_map(|site| {
            let at = |kind: &str, depth| Site {
                site: site.site.replace("inner", kind),
                depth: 2 * site.depth + depth,
                ..site.clone()
            };
            [at("inner", 0), at("outer", 1)]
        });
        *sites = both.collect();
    }
    let plot = plot(&runs, "fashion_resnet8-mean");
    let label = "activation site, from the input (thick lines: inner; thin: outer)";
    assert_eq!(plot["x"]["label"], label);
    let curves: Vec<(f64, f64)> = marks(&plot, "gelu", "curve")
        .iter()
        .map(|curve| (curve["points"][0][0].as_f64().unwrap(), curve["width"].as_f64().unwrap()))
        .collect();
    assert_eq!(curves, [(0.0, 2.5), (1.0, 1.0)]);
}

#[test]
fn an_activation_without_a_test_value_says_why_among_those_of_every_run() {
    let mut runs = sweep(1..=3);
    for seed in 1..=3 {
        diverge(find(&mut runs, IMAGES, "silu", seed), 100);
    }
    let plot = plot(&runs, "fashion_resnet8-scores");
    assert_eq!(words(&plot, "silu"), ["diverged in 3 of 3 runs"]);
    assert!(marks(&plot, "gelu", "dot").len() == 3 && words(&plot, "gelu").is_empty());
}
