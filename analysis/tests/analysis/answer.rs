//! The answer that a report begins with, for every kind of result.

use crate::common::{IMAGES, TEXT, WORDS, diverge, fail, find, run, text_run};
use analysis::{Commands, Report, ReportOptions};
use record::StoredRun;

pub(crate) fn options() -> ReportOptions {
    ReportOptions {
        title: "A sweep".into(),
        baseline: Some("relu".into()),
        order: ["relu", "gelu", "silu", "swiglu"].map(str::to_owned).to_vec(),
        commands: Commands {
            sweep: Some("actlab sweep experiments/quick.toml".into()),
            results: Some("results/quick".into()),
            resume: Some("actlab sweep experiments/quick.toml".into()),
            ..Commands::default()
        },
        ..ReportOptions::default()
    }
}

/// Runs of `task` whose test accuracies in percent are these, the seeds from 1.
fn arm(task: &str, activation: &str, accuracies: &[f64]) -> Vec<StoredRun> {
    let one = |(seed, accuracy): (u64, &f64)| {
        let mut run = run(task, activation, seed);
        let summary = run.record.summary.as_mut().unwrap();
        summary.test_examples = Some(10_000);
        summary.test.as_mut().unwrap().metrics = [("accuracy", accuracy / 100.0)].into();
        run
    };
    (1..).zip(accuracies).map(one).collect()
}

pub(crate) fn arms(task: &str, arms: &[(&str, &[f64])]) -> Vec<StoredRun> {
    arms.iter().flat_map(|(label, accuracies)| arm(task, label, accuracies)).collect()
}

pub(crate) fn brief(runs: &[StoredRun], options: &ReportOptions) -> String {
    Report::from_runs(runs, options).expect("the runs are well formed").brief(100)
}

const RELU: [f64; 6] = [84.1, 84.3, 84.0, 84.2, 84.4, 84.1];
/// About a point above [`RELU`].
const ABOVE: [f64; 6] = [85.2, 85.3, 85.1, 85.1, 85.5, 85.2];
/// About three points above it.
const FAR_ABOVE: [f64; 6] = [87.1, 87.4, 87.1, 87.2, 87.3, 87.0];
/// Around it.
const AROUND: [f64; 6] = [84.6, 83.9, 84.3, 83.8, 84.5, 84.2];
/// About three points below it.
const BELOW: [f64; 6] = [81.0, 81.2, 81.1, 81.1, 81.4, 81.0];

#[test]
fn a_clear_winner() {
    let runs = arms(IMAGES, &[("relu", &RELU), ("gelu", &ABOVE), ("silu", &FAR_ABOVE)]);
    insta::assert_snapshot!(brief(&runs, &options()));
}

#[test]
fn two_better_ones_that_the_runs_do_not_separate() {
    let other = [85.0, 85.6, 85.0, 85.4, 85.3, 85.0];
    let runs = arms(IMAGES, &[("relu", &RELU), ("gelu", &ABOVE), ("silu", &other)]);
    insta::assert_snapshot!(brief(&runs, &options()));
}

#[test]
fn no_winner() {
    let other = [84.0, 84.6, 84.2, 83.8, 84.7, 83.9];
    let runs = arms(IMAGES, &[("relu", &RELU), ("gelu", &AROUND), ("silu", &other)]);
    insta::assert_snapshot!(brief(&runs, &options()));
}

#[test]
fn a_worse_arm() {
    let runs = arms(IMAGES, &[("relu", &RELU), ("gelu", &AROUND), ("swiglu", &BELOW)]);
    insta::assert_snapshot!(brief(&runs, &options()));
}

#[test]
fn the_baseline_wins() {
    let runs = arms(IMAGES, &[("relu", &FAR_ABOVE), ("gelu", &RELU), ("swiglu", &BELOW)]);
    insta::assert_snapshot!(brief(&runs, &options()));
}

#[test]
fn two_seeds() {
    let runs = arms(IMAGES, &[("relu", &RELU[..2]), ("gelu", &AROUND[..2]), ("silu", &ABOVE[..2])]);
    insta::assert_snapshot!(brief(&runs, &options()));
}

#[test]
fn one_seed() {
    let runs = arms(IMAGES, &[("relu", &RELU[..1]), ("gelu", &AROUND[..1])]);
    insta::assert_snapshot!(brief(&runs, &options()));
}

#[test]
fn all_diverged() {
    let mut runs = arms(IMAGES, &[("relu", &RELU[..3]), ("gelu", &AROUND[..3])]);
    for run in &mut runs {
        diverge(&mut run.record, 100);
    }
    insta::assert_snapshot!(brief(&runs, &options()));
}

#[test]
fn all_failed() {
    let mut runs = arms(IMAGES, &[("relu", &RELU[..2]), ("gelu", &AROUND[..2])]);
    for run in &mut runs {
        fail(&mut run.record, "a panic");
    }
    insta::assert_snapshot!(brief(&runs, &options()));
}

#[test]
fn one_arm_diverged_in_all_runs_and_another_in_some() {
    let mut runs = arms(IMAGES, &[("relu", &RELU), ("gelu", &AROUND), ("silu", &ABOVE)]);
    for seed in 1..=6 {
        diverge(find(&mut runs, IMAGES, "gelu", seed), 100);
    }
    diverge(find(&mut runs, IMAGES, "silu", 2), 100);
    insta::assert_snapshot!(brief(&runs, &options()));
}

#[test]
fn the_baseline_diverged() {
    let mut runs = arms(IMAGES, &[("relu", &RELU[..2]), ("gelu", &AROUND[..2])]);
    for seed in 1..=2 {
        diverge(find(&mut runs, IMAGES, "relu", seed), 100);
    }
    insta::assert_snapshot!(brief(&runs, &options()));
}

#[test]
fn nothing_learned() {
    let guessing = [10.1, 9.9, 10.0, 10.2, 9.8, 10.0];
    let other = [10.0, 10.1, 10.0, 9.9, 10.3, 9.8];
    let runs = arms(IMAGES, &[("relu", &guessing), ("gelu", &other)]);
    insta::assert_snapshot!(brief(&runs, &options()));
}

#[test]
fn learned_on_one_task_only() {
    let guessing = [50.0, 50.0, 50.0, 50.0, 50.0, 50.0];
    let mut runs = arms(IMAGES, &[("relu", &RELU), ("gelu", &ABOVE)]);
    runs.extend(arms(WORDS, &[("relu", &guessing), ("gelu", &guessing)]));
    insta::assert_snapshot!(brief(&runs, &options()));
}

#[test]
fn an_arm_that_guesses() {
    let guessing = [10.1, 9.9, 10.0, 10.2, 9.8, 10.0];
    let runs = arms(IMAGES, &[("relu", &RELU), ("gelu", &ABOVE), ("silu", &guessing)]);
    insta::assert_snapshot!(brief(&runs, &options()));
}

#[test]
fn identical_scores() {
    let runs = arms(IMAGES, &[("relu", &RELU), ("gelu", &RELU), ("silu", &AROUND)]);
    insta::assert_snapshot!(brief(&runs, &options()));
}

#[test]
fn the_same_difference_under_every_seed() {
    let moved = RELU.map(|accuracy| accuracy + 1.0);
    let runs = arms(IMAGES, &[("relu", &RELU), ("gelu", &moved)]);
    insta::assert_snapshot!(brief(&runs, &options()));
}

#[test]
fn equivalence_within_a_margin() {
    let runs = arms(IMAGES, &[("relu", &RELU), ("gelu", &AROUND), ("silu", &FAR_ABOVE)]);
    let options = ReportOptions { margin: Some(0.015), ..options() };
    insta::assert_snapshot!(brief(&runs, &options));
}

#[test]
fn a_margin_that_the_runs_do_not_reach() {
    let runs = arms(IMAGES, &[("relu", &RELU), ("gelu", &AROUND)]);
    let options = ReportOptions { margin: Some(0.002), ..options() };
    insta::assert_snapshot!(brief(&runs, &options));
}

#[test]
fn seeds_that_do_not_match() {
    let mut runs = arms(IMAGES, &[("relu", &RELU), ("gelu", &FAR_ABOVE)]);
    for (place, run) in
        runs.iter_mut().filter(|run| run.record.spec.activation.label == "gelu").enumerate()
    {
        run.record.spec.seed = 11 + place as u64;
        run.record.id = run.record.spec.id();
    }
    insta::assert_snapshot!(brief(&runs, &options()));
}

#[test]
fn lower_is_better() {
    let arm = |label: &'static str, bits: f64| (1..=5).map(move |seed| text_run(label, seed, bits));
    let runs: Vec<StoredRun> =
        arm("relu", 2.1).chain(arm("gelu", 2.05)).chain(arm("silu", 2.1002)).collect();
    assert!(runs.iter().all(|run| run.record.spec.task == TEXT));
    insta::assert_snapshot!(brief(&runs, &options()));
}

#[test]
fn a_narrow_terminal_keeps_the_difference() {
    let runs = arms(IMAGES, &[("relu", &RELU), ("leaky_relu(slope=0.2)", &AROUND)]);
    let report = Report::from_runs(&runs, &options()).unwrap();
    for columns in [40, 60, 72, 80, 100, 120] {
        let text = report.brief(columns);
        assert!(text.contains("| Δ to baseline, points |"), "{columns}: {text}");
        let commands = |line: &str| line.starts_with("    ");
        for line in text.lines().filter(|line| !commands(line)) {
            assert!(line.chars().count() <= columns.max(60), "{columns}: {line}");
        }
    }
}
