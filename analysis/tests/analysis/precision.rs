//! The section on precision: what each activation loses by products in bf16 and f16.

use crate::common::{IMAGES, WORDS, diverge, run};
use analysis::{Report, ReportOptions};
use record::{Precision, StoredRun};

/// Runs of three activations in f32, bf16 and f16, of which one diverged.
fn runs(device: &str) -> Vec<StoredRun> {
    let mut runs = Vec::new();
    for precision in [Precision::F32, Precision::Bf16, Precision::F16] {
        for activation in ["relu", "gelu", "swiglu"] {
            for seed in 1..=4 {
                let mut run = run(IMAGES, activation, seed);
                let record = &mut run.record;
                record.spec.device = device.into();
                record.spec.training.precision = precision;
                if !precision.is_f32() {
                    record.spec.task = format!("{IMAGES}_{precision}");
                    let summary = record.summary.as_mut().unwrap();
                    let test = summary.test.as_mut().unwrap();
                    let accuracy = test.metrics.get("accuracy").unwrap();
                    let loss = if activation == "swiglu" { 0.02 } else { 0.001 };
                    test.metrics.insert("accuracy", accuracy - loss * (1.0 + 0.1 * seed as f64));
                    record.timing.train_seconds *= 0.5;
                }
                if precision == Precision::F16 {
                    record.summary.as_mut().unwrap().skipped_steps = Some(2 + seed % 2);
                    if (activation, seed) == ("swiglu", 4) {
                        diverge(record, 30);
                    }
                }
                record.id = record.spec.id();
                runs.push(run);
            }
        }
    }
    runs
}

fn section(runs: &[StoredRun]) -> String {
    let report =
        Report::from_runs(runs, &ReportOptions { title: "t".into(), ..Default::default() });
    let text = report.unwrap().markdown();
    let from = text.find("## Precision").unwrap_or_else(|| panic!("no section:\n{text}"));
    let rest = &text[from..];
    let end = rest[3..].find("\n## ").map_or(rest.len(), |end| end + 3);
    rest[..end].to_owned()
}

#[test]
fn tasks_that_differ_in_precision_alone_are_set_side_by_side() {
    insta::assert_snapshot!("precision_on_the_cpu", section(&runs("cpu")));
    insta::assert_snapshot!("precision_on_a_gpu", section(&runs("cuda")));
}

/// Differences that are equal but for rounding have no spread, and no interval.
#[test]
fn equal_differences_have_no_interval() {
    let mut runs: Vec<StoredRun> = Vec::new();
    for (precision, scores) in
        [(Precision::F32, [0.1, 0.7, 0.4]), (Precision::Bf16, [0.2, 0.8, 0.5])]
    {
        for (seed, score) in (1..).zip(scores) {
            let mut run = run(IMAGES, "relu", seed);
            let record = &mut run.record;
            record.spec.training.precision = precision;
            record.spec.task = format!("{IMAGES}_{precision}");
            let test = record.summary.as_mut().unwrap().test.as_mut().unwrap();
            test.metrics = [("accuracy", score)].into();
            record.id = record.spec.id();
            runs.push(run);
        }
    }
    let section = section(&runs);
    assert!(section.contains("+10.00 |") && !section.contains("+10.00 ["), "{section}");
}

/// Tasks in one precision, or that differ in more, are not.
#[test]
fn other_tasks_are_not() {
    let mut runs: Vec<StoredRun> = [IMAGES, WORDS]
        .iter()
        .flat_map(|task| (1..=3).map(|seed| run(task, "relu", seed)))
        .collect();
    for run in &mut runs {
        if run.record.spec.task == WORDS {
            run.record.spec.training.precision = Precision::Bf16;
            run.record.id = run.record.spec.id();
        }
    }
    let report = Report::from_runs(&runs, &ReportOptions::default()).unwrap();
    assert!(!report.markdown().contains("## Precision"));
}
