//! Tasks that are not judged by accuracy: what is better, in every place that says so.

use crate::common::{
    BITS, IMAGES, TEXT, bits_per_byte, diverge, evaluation, find, run, sweep, text_run, texts,
};
use analysis::statistics::{Bootstrap, Resolution};
use analysis::{
    ArmScores, Comparison, Error, Family, Report, ReportOptions, Rules, Side, TaskScores, Trial,
    Tuning, Verdict, side_by_side,
};
use record::{
    Direction, Evaluation, Event, ExampleLoss, Metric, Outcome, Predictions, RunDir, StoredRun,
};
use serde_json::json;

fn options() -> ReportOptions {
    ReportOptions {
        order: ["relu", "gelu", "silu"].map(str::to_owned).to_vec(),
        task_order: vec![IMAGES.into(), TEXT.into()],
        ..ReportOptions::default()
    }
}

fn report(runs: &[StoredRun], options: &ReportOptions) -> Report {
    Report::from_runs(runs, options).expect("the runs are well formed")
}

/// The text on one line.
fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The cell of a Markdown table below `header`, in the row of `label`; of the first table that has both.
#[track_caller]
fn cell(text: &str, header: &str, label: &str) -> String {
    let cells = |line: &str| line.split('|').map(|c| c.trim().to_owned()).collect::<Vec<_>>();
    let mut column = None;
    for line in text.lines() {
        if !line.starts_with('|') {
            column = None;
            continue;
        }
        let row = cells(line);
        match column {
            None => column = Some(row.iter().position(|cell| cell == header)),
            Some(Some(column)) if row[1] == label => return row[column].clone(),
            Some(_) => {}
        }
    }
    panic!("no cell {header}, {label} in {text}")
}

#[test]
fn an_arm_with_fewer_bits_per_byte_is_better() {
    let report = report(&texts(1..=10), &options());
    let text = report.markdown();
    let said = flat(&text);
    for expected in [
        "gelu has the lowest mean test bits per byte, 2.05",
        "**Better than relu** at level 0.05 (Holm-adjusted, 2 comparisons in this report): gelu (−0.0",
        "**Worse than relu** at level 0.05 (Holm-adjusted, 2 comparisons in this report): silu (+0.0",
        "target 2.2000 bits/byte",
        "objective: causal\\_lm",
        "model: gpt-micro, 128 bytes of context",
        "The checkpoint with the best validation bits per byte",
    ] {
        assert!(
            said.replace('\u{a0}', " ").contains(&expected.replace("\\_", "_")),
            "{expected}\n{text}"
        );
    }
    assert_eq!(said.matches("lower is better").count(), 1, "{text}");
    for absent in ["accura", "points", "highest"] {
        assert!(!said.contains(absent), "{absent}: {text}");
    }
    // Differences keep the sign of what was recorded; everything else says which of them are better.
    assert!(cell(&text, "Δ to baseline, bits/byte", "gelu").starts_with("−0.0"), "{text}");
    assert!(cell(&text, "Δ to baseline, bits/byte", "silu").starts_with("+0.0"), "{text}");
    assert!(cell(&text, "test bits/byte ± sd", "gelu").starts_with("**2.05"), "{text}");
    assert!(cell(&text, "P(better)", "gelu").starts_with("1.00"), "{text}");
    assert!(cell(&text, "P(better)", "silu").starts_with("0.00"), "{text}");
    assert_eq!(cell(&text, "Cliff's δ", "gelu"), "1.00");
    assert_eq!(cell(&text, "Cliff's δ", "silu"), "−1.00");
    let single = |header: &str| -> f64 {
        cell(&text, header, "gelu").split(' ').next().unwrap().parse().unwrap()
    };
    assert!(single("best bits/byte (seed)") < single("worst bits/byte (seed)"), "{text}");
    assert_eq!(cell(&text, "mean rank", "gelu"), "1.00");
    assert_eq!(cell(&text, "mean rank", "relu"), "2.00");
    assert_eq!(cell(&text, "mean rank", "silu"), "3.00");
    let page = report.html();
    assert!(page.contains("Share of runs below a value of bits per byte"), "{page}");
    // Both others are faster and better than silu, and gelu is the better one; relu is the fastest.
    assert_eq!(cell(&text, "dominated by", "silu"), "gelu");
    assert_eq!(cell(&text, "dominated by", "gelu"), "none");
    assert_eq!(cell(&text, "dominated by", "relu"), "none");
}

#[test]
fn the_report_of_a_language_model() {
    insta::assert_snapshot!(report(&texts(1..=5), &options()).markdown());
}

fn task(metric: Option<Metric>, sign: f64) -> TaskScores {
    let arm = |label: &str, gain: f64| {
        let score = |seed: u32| {
            let noise = f64::from(seed * 7919 % 97) / 9700.0;
            let letters: u32 = label.bytes().map(u32::from).sum();
            let own = f64::from(seed * letters % 13) / 1300.0;
            (seed.to_string(), sign * (0.5 + gain + noise + own))
        };
        ArmScores::new(label.to_owned(), (1..=8).map(score).collect())
    };
    TaskScores {
        task: "t".into(),
        arms: vec![arm("relu", 0.0), arm("gelu", 0.03), arm("silu", -0.03), arm("swiglu", 0.001)],
        guessing: Some(sign * 0.1),
        resolution: Resolution::Rounding,
        metric,
    }
}

fn rules(margin: Option<f64>) -> Rules {
    Rules {
        baseline: "relu".into(),
        margin,
        bootstrap: Bootstrap { resamples: 200, seed: 0 },
        family: Family::Report,
        all_pairs: None,
        looks: None,
    }
}

/// A metric of which lower values are better, with every score negated, says the same: whatever is not a difference or a
/// score has the same value, and those have the other sign.
#[test]
fn a_mirrored_metric_gives_mirrored_figures() {
    let share = |direction| Metric { direction, ..Metric::accuracy(None) };
    let of = |direction, sign: f64| {
        let tasks = vec![task(Some(share(direction)), sign); 6];
        Comparison::new(&tasks, &rules(Some(0.02)))
    };
    let (higher, lower) = (of(Direction::Higher, 1.0), of(Direction::Lower, -1.0));
    let verdicts = |comparison: &Comparison| -> Vec<Verdict> {
        let arms = comparison.tasks[0].arms.iter();
        arms.filter_map(|arm| Some(arm.against.as_ref()?.verdict)).collect()
    };
    assert_eq!(verdicts(&higher), [Verdict::Better, Verdict::Worse, Verdict::Equivalent]);
    assert_eq!(verdicts(&lower), verdicts(&higher));
    for (ours, theirs) in higher.tasks[0].arms.iter().zip(&lower.tasks[0].arms) {
        let seed = |run: &Option<(String, f64)>| run.clone().unwrap().0;
        assert_eq!(seed(&ours.best), seed(&theirs.best));
        assert_eq!(seed(&ours.worst), seed(&theirs.worst));
        let (Some(ours), Some(theirs)) = (&ours.against, &theirs.against) else { continue };
        assert_eq!(ours.cliffs_delta, theirs.cliffs_delta);
        assert_eq!(ours.probability_of_improvement, theirs.probability_of_improvement);
        assert_eq!(ours.probability_interval, theirs.probability_interval);
        assert_eq!(ours.p_holm, theirs.p_holm);
        let p = |of: &analysis::Against| of.probabilities.unwrap();
        assert!((p(ours).better - p(theirs).better).abs() < 1e-12, "{ours:?} {theirs:?}");
        assert!((p(ours).worse - p(theirs).worse).abs() < 1e-12, "{ours:?} {theirs:?}");
        assert_eq!(ours.difference, theirs.difference.map(|difference| -difference));
        let (a, b) = (ours.interval.unwrap(), theirs.interval.unwrap());
        assert_eq!((a.low, a.high), (-b.high, -b.low));
        assert_eq!(ours.power, theirs.power);
    }
    let (higher, lower) = (higher.overall.unwrap(), lower.overall.unwrap());
    assert_eq!(higher.ranks, lower.ranks);
    assert_eq!(higher.ranks, [3.0, 1.0, 4.0, 2.0]);
    assert_eq!(higher.tests, lower.tests);
    assert_eq!(higher.components, lower.components);
    let better = |overall: &analysis::Overall| -> Vec<f64> {
        overall.probabilities.iter().flatten().map(|one| one.better).collect()
    };
    assert!(better(&higher)[0] > 0.9 && better(&higher)[1] == 0.0, "{higher:?}");
    assert_eq!(better(&higher), better(&lower));
    for (ours, theirs) in higher.interquartile_mean.iter().zip(&lower.interquartile_mean) {
        assert!((ours.0 - theirs.0).abs() < 1e-12, "{ours:?} {theirs:?}");
    }
}

/// The share of runs below a threshold: of 2.08 bits all runs of gelu, and none of the others.
#[test]
fn a_profile_counts_the_runs_that_are_better() {
    let page = report(&texts(1..=5), &options()).html();
    let figures = page.split("id=\"figures\">").nth(1).unwrap().split("</script>").next().unwrap();
    let figures: Vec<serde_json::Value> = serde_json::from_str(figures).unwrap();
    let profile = figures.iter().find(|plot| plot["name"] == "profile").unwrap();
    assert_eq!(profile["x"]["label"], "test bits per byte");
    assert_eq!(profile["y"]["label"], "runs below it");
    for (label, expected) in [("relu", 0.0), ("gelu", 1.0), ("silu", 0.0)] {
        let series = profile["series"].as_array().unwrap().iter();
        let series = series.clone().find(|series| series["label"] == label).unwrap();
        let marks = series["marks"].as_array().unwrap();
        let line = marks.iter().find(|mark| mark["mark"] == "curve").unwrap();
        let points: Vec<[f64; 2]> = serde_json::from_value(line["points"].clone()).unwrap();
        let before = points.iter().rfind(|point| point[0] <= 2.08);
        assert_eq!(before.unwrap()[1], expected, "{label}");
        let dot = marks.iter().rfind(|mark| mark["mark"] == "spot").unwrap();
        assert!(dot["text"].as_str().unwrap().contains("100.00 % of runs below 2.1"), "{dot}");
    }
}

/// A margin in percentage points says nothing of bits per byte.
#[test]
fn a_margin_is_for_metrics_in_percent_alone() {
    let of = |metric| Comparison::new(&[task(Some(metric), 1.0)], &rules(Some(0.02)));
    let has = |comparison: &Comparison| {
        let arms = comparison.tasks[0].arms.iter().filter_map(|arm| arm.against.as_ref());
        arms.filter(|arm| arm.equivalence.is_some() && arm.probabilities.is_some()).count()
    };
    assert_eq!(has(&of(Metric::accuracy(None))), 3);
    assert_eq!(has(&of(bits_per_byte())), 0);
    // Recorded in percent, the same margin is a hundred times as large.
    let percent = Metric { scale: 1.0, ..Metric::accuracy(None) };
    let all = of(percent);
    let arms = all.tasks[0].arms.iter().filter_map(|arm| arm.against.as_ref());
    assert!(arms.map(|arm| arm.verdict).all(|verdict| verdict == Verdict::Equivalent));
    let options = ReportOptions { margin: Some(0.02), ..options() };
    let text = flat(&report(&texts(1..=5), &options).markdown());
    let note = "The margin is in percentage points and does not apply to bits per byte: equivalence is not tested";
    assert_eq!(text.matches(note).count(), 1, "{text}");
    assert!(!text.contains("Equivalence within"), "{text}");
}

/// A run that diverged counts as guessing, 8 bits, where that is known; else it has no score.
#[test]
fn a_run_that_diverged_ranks_last_or_is_left_out() {
    let mut runs = texts(1..=10);
    for seed in 1..=10 {
        diverge(find(&mut runs, TEXT, "gelu", seed), 100);
    }
    let text = report(&runs, &options()).markdown();
    assert_eq!(cell(&text, "mean rank", "gelu"), "3.00");
    assert!(flat(&text).contains("a run that diverged scores as guessing does. IQM"), "{text}");
    let mut runs = texts(1..=10);
    diverge(find(&mut runs, TEXT, "gelu", 1), 100);
    for run in &mut runs {
        let metric = Metric { guessing: f64::NAN, ..bits_per_byte() };
        run.record.summary.as_mut().unwrap().metric = Some(metric);
    }
    let text = report(&runs, &options()).markdown();
    assert_eq!(cell(&text, "mean rank", "gelu"), "1.00");
    let note = "where what guessing scores is not known, it has no score and is left out";
    assert!(flat(&text).contains(note), "{text}");
    assert!(!text.contains("no better than guessing"), "{text}");
}

#[test]
fn guessing_has_no_winner() {
    let mut runs: Vec<StoredRun> = Vec::new();
    for (label, _) in BITS {
        runs.extend((1..=5).map(|seed| text_run(label, seed, 8.0)));
    }
    let text = flat(&report(&runs, &options()).markdown());
    let sentence = "**Nothing was learned:** the lowest mean test bits per byte, 8.00";
    assert!(
        text.contains(sentence) && text.contains("no better than guessing (8.0000 bits/byte)"),
        "{text}"
    );
    assert!(!text.contains("has the lowest"), "{text}");
}

/// A test value that is no number makes no claim, and breaks nothing.
#[test]
fn values_that_are_not_finite_count_as_diverged() {
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let mut runs = texts(1..=5);
        for seed in 1..=5 {
            let summary = find(&mut runs, TEXT, "gelu", seed).summary.as_mut().unwrap();
            for evaluation in
                [&mut summary.test, &mut summary.best_validation, &mut summary.last_validation]
            {
                let evaluation = evaluation.as_mut().unwrap();
                evaluation.metrics = [("bits_per_byte", value)].into();
            }
        }
        let folder = tempfile::tempdir().unwrap();
        let report = report(&runs, &options());
        report.write(folder.path()).unwrap();
        let text = flat(&report.markdown());
        assert!(text.contains("10 completed, 5 diverged, 0 failed"), "{text}");
        assert!(text.contains("**gelu diverged in all 5 runs.**"), "{text}");
        assert!(!text.contains("**Better than relu**"), "{text}");
        let reason = if value.is_nan() { "NaN" } else { "infinite" };
        assert!(text.contains(&format!("diverged: the test bits per byte is {reason}")), "{text}");
        assert_eq!(cell(&report.markdown(), "mean rank", "gelu"), "3.00");
    }
}

/// A completed run of which the metric was not measured failed.
#[test]
fn a_test_without_the_metric_is_none() {
    let mut runs = texts(1..=2);
    let run = find(&mut runs, TEXT, "gelu", 1);
    run.summary.as_mut().unwrap().test = Some(evaluation(1, 1.0, 1.0, 0.5));
    let text = flat(&report(&runs, &options()).markdown());
    assert!(text.contains("5 completed, 0 diverged, 1 failed"), "{text}");
}

#[test]
fn runs_of_a_task_share_a_metric() {
    let mut runs = texts(1..=2);
    let mut other = run(TEXT, "gelu", 3);
    assert_eq!(other.record.outcome, Outcome::Completed);
    other.record.summary.as_mut().unwrap().metric = Some(Metric::accuracy(Some(2)));
    runs.push(other);
    let error = Report::from_runs(&runs, &options()).unwrap_err();
    assert!(matches!(error, Error::Metrics { .. }), "{error}");
    let message = error.to_string();
    assert!(
        message.contains("task text_gpt has runs that are judged by bits per byte and by accuracy"),
        "{message}"
    );
}

/// Images by accuracy and texts by bits per byte: ranks and normalized values, and no mean of raw ones.
#[test]
fn tasks_with_different_metrics() {
    let mut runs = sweep(1..=5);
    runs.retain(|run| {
        let spec = &run.record.spec;
        spec.task == IMAGES && ["relu", "gelu", "silu"].contains(&spec.activation.label.as_str())
    });
    runs.extend(texts(1..=5));
    let folder = tempfile::tempdir().unwrap();
    let report = report(&runs, &options());
    let written = report.write(folder.path()).unwrap();
    let text = report.markdown();
    let said = flat(&text);
    assert!(said.contains("Tasks have different metrics (accuracy, bits per byte)"), "{text}");
    assert!(!said.contains("sd of Δ"), "{text}");
    assert!(report.html().contains("Share of runs above a normalized score"), "{text}");
    assert!(said.contains("has the highest mean test accuracy"), "{text}");
    assert!(said.contains("gelu has the lowest mean test bits per byte"), "{text}");
    assert_eq!(said.matches("lower is better").count(), 1, "{text}");
    let overall = text.split("## Over all tasks").nth(1).unwrap();
    let normalized =
        |label: &str| -> f64 { cell(overall, "IQM (normalized)", label).parse().unwrap() };
    assert!(normalized("gelu") > normalized("relu") && normalized("gelu") <= 1.01, "{text}");
    // Every metric has columns of its own.
    let mut table = csv::Reader::from_path(&written.runs).unwrap();
    let header = table.headers().unwrap().clone();
    let column = |name: &str| header.iter().position(|column| column == name).unwrap();
    let rows: Vec<_> = table.records().map(Result::unwrap).collect();
    assert_eq!(header.iter().rev().take(2).collect::<Vec<_>>(), ["direction", "metric"]);
    for row in &rows {
        let own = if &row[column("task")] == TEXT { "bits_per_byte" } else { "accuracy" };
        for metric in ["accuracy", "bits_per_byte"] {
            for what in ["test", "best_validation", "last_validation", "target"] {
                let cell = &row[column(&format!("{what}_{metric}"))];
                assert_eq!(cell.is_empty(), metric != own, "{what}_{metric} {row:?}");
            }
        }
        assert_eq!(&row[column("metric")], own);
    }
    let mut table = csv::Reader::from_path(&written.summary).unwrap();
    let header = table.headers().unwrap().clone();
    let column = |name: &str| header.iter().position(|column| column == name).unwrap();
    let rows: Vec<_> = table.records().map(Result::unwrap).collect();
    let gelu = rows.iter().find(|row| &row[0] == TEXT && &row[1] == "gelu").unwrap();
    assert!(gelu[column("test_bits_per_byte_mean")].starts_with("2.05"), "{gelu:?}");
    assert_eq!(&gelu[column("test_accuracy_mean")], "");
    assert_eq!((&gelu[column("verdict")], &gelu[column("direction")]), ("better", "lower"));
    let page = report.html();
    assert!(page.contains("test bits per byte (baseline: relu, lower is better)"), "{page}");
    let latex = std::fs::read_to_string(written.latex).unwrap();
    assert!(
        latex.contains("Test bits per byte, lower is better & $\\Delta$ (bits/byte)"),
        "{latex}"
    );
    assert!(latex.contains("Test accuracy (\\%) & $\\Delta$ (points)"), "{latex}");
}

/// Runs in folders of their own: all arms begin at 3 bits, and `slow` ones need four evaluations.
fn on_disk(folder: &std::path::Path, slow: &str) -> Vec<StoredRun> {
    let mut runs = texts(1..=4);
    for stored in &mut runs {
        let spec = &stored.record.spec;
        stored.dir = RunDir::of(folder, spec);
        let mut stream = stored.dir.begin(spec).unwrap();
        for (step, bits) in [(1, 3.0), (2, 2.0), (3, 2.25), (4, 2.0)] {
            let late = spec.activation.label == slow && step < 4;
            let value = if late { 3.0 } else { bits };
            stream
                .write(&Event::Validation(Evaluation {
                    step,
                    epoch: 1.0,
                    loss: value,
                    metrics: [("bits_per_byte", value)].into(),
                }))
                .unwrap();
        }
        // Examples of one and of two bytes; those of gelu take half a nat less a byte.
        let less = if spec.activation.label == "gelu" { 0.5 } else { 0.0 };
        let said = |index: usize| {
            let units = 1.0 + (index % 2) as f64;
            ExampleLoss { index, loss: (2.0 - less) * units + (index % 7) as f64 * 0.01, units }
        };
        let losses: Vec<ExampleLoss> = (0..700).map(said).collect();
        // The run's value is what its examples say, in bits.
        let nats: f64 = losses.iter().map(|one| one.loss).sum::<f64>()
            / losses.iter().map(|one| one.units).sum::<f64>();
        let test = stored.record.summary.as_mut().unwrap().test.as_mut().unwrap();
        let shift = stored.record.spec.seed as f64 * 1e-9;
        test.metrics = [("bits_per_byte", nats / std::f64::consts::LN_2 + shift)].into();
        stored.dir.write_predictions(&Predictions::Losses(losses)).unwrap();
        stored.dir.finish(&stored.record).unwrap();
    }
    runs
}

#[test]
fn curves_and_targets_go_down() {
    let folder = tempfile::tempdir().unwrap();
    let text = report(&on_disk(folder.path(), "silu"), &options()).markdown();
    let convergence = text.split("### Convergence").nth(1).unwrap();
    // From 2 to 2.25 is the unwanted move; the first step from 3 to 2 is not.
    assert_eq!(cell(convergence, "largest drop", "relu"), "0.2500");
    assert_eq!(cell(convergence, "final − best", "relu"), "0.0000");
    assert_eq!(cell(convergence, "area bits/byte", "relu"), "2.2500");
    assert_eq!(cell(convergence, "largest drop", "silu"), "0.0000");
    let times = text.split("## Time to the baseline's bits per byte").nth(1).unwrap();
    assert_eq!(cell(times, "text_gpt, 2.0000 bits/byte", "gelu"), "2");
    assert_eq!(cell(times, "text_gpt, 2.0000 bits/byte", "silu"), "4");
    assert_eq!(cell(times, "score", "gelu"), "1.000");
    assert!(times.contains("(the upper median"), "{text}");
}

/// Half a nat a byte is 0.7213 bits; classes are of no use here.
#[test]
fn losses_of_examples_are_compared_in_the_unit_of_the_metric() {
    let folder = tempfile::tempdir().unwrap();
    let runs = on_disk(folder.path(), "none");
    let report = report(&runs, &options());
    let text = report.markdown();
    let interval = cell(&text, "Δ, seeds and examples", "gelu");
    let bounds: Vec<f64> = interval
        .trim_matches(['[', ']'])
        .split(", ")
        .map(|bound| bound.replace('−', "-").parse().unwrap())
        .collect();
    let middle = f64::midpoint(bounds[0], bounds[1]);
    assert!((middle + 0.5 / std::f64::consts::LN_2).abs() < 1e-3, "{interval}");
    assert!(bounds[1] < 0.0, "{interval}");
    for absent in ["NLL", "ECE", "disagreement"] {
        assert!(!text.contains(absent), "{absent}: {text}");
    }
}

#[test]
fn the_best_trial_is_the_lowest() {
    let trial = |rate: f64, value: f64| Trial {
        task: TEXT.into(),
        activation: "relu".into(),
        values: vec![("training.learning_rate".into(), json!(rate))],
        value: Some(value),
        diverged: usize::from(value.is_infinite()),
        steps: None,
        chosen: value < 2.05,
    };
    let tuning = Tuning {
        method: "grid search".into(),
        seeds: vec![8],
        early_stop: false,
        parameters: vec![(TEXT.into(), vec![("training.learning_rate".into(), true)])],
        trials: vec![trial(0.1, 2.4), trial(0.2, 2.0), trial(0.4, f64::INFINITY)],
    };
    let options = ReportOptions { tuning: Some(tuning), ..options() };
    let folder = tempfile::tempdir().unwrap();
    let report = report(&texts(1..=3), &options);
    assert_eq!(report.write(folder.path()).unwrap().undrawn, Vec::<String>::new());
    let text = report.markdown();
    let table = text.split("### Tuning").nth(1).unwrap();
    assert!(flat(table).contains("by validation bits per byte, with seed 8"), "{table}");
    assert_eq!(cell(table, "validation bits/byte", "relu"), "2.0000");
    assert_eq!(cell(table, "of all trials", "relu"), "∞–2.0000");
    assert!(flat(&text).contains("a run that diverged counting as the worst"), "{text}");
}

/// Whatever a plugin's metric is called and measured in, every file is written and says the same of gelu.
#[test]
fn every_metric_has_a_report() {
    let lower = |name: &str, unit: &str, scale: f64, digits: usize| Metric {
        name: name.into(),
        label: name.replace('_', " "),
        unit: unit.into(),
        scale,
        digits,
        ..bits_per_byte()
    };
    for metric in [
        lower("loss", "nats", 1.0, 3),
        lower("perplexity", "", 1.0, 2),
        lower("error_rate", "%", 100.0, 1),
        lower("a|b_*c", "x_y|%", 1e9, 400),
        Metric { guessing: f64::INFINITY, ..lower("regret", "points", 1e-300, 0) },
    ] {
        let mut runs = texts(1..=5);
        for run in &mut runs {
            let summary = run.record.summary.as_mut().unwrap();
            for evaluation in
                [&mut summary.test, &mut summary.best_validation, &mut summary.last_validation]
            {
                let evaluation = evaluation.as_mut().unwrap();
                let value = evaluation.value(&bits_per_byte());
                evaluation.loss = value;
                if metric.name != "loss" {
                    evaluation.metrics = [(metric.name.as_str(), value)].into();
                }
            }
            summary.metric = Some(metric.clone());
        }
        let folder = tempfile::tempdir().unwrap();
        let report = report(&runs, &ReportOptions { margin: Some(0.001), ..options() });
        let written = report.write(folder.path()).unwrap();
        assert_eq!(written.undrawn, Vec::<String>::new());
        let text = report.markdown();
        let said = flat(&text);
        // A unit that holds a bar makes no further column.
        let bars = |line: &str| line.replace("\\|", "").matches('|').count();
        let lines: Vec<&str> = text.lines().collect();
        for pair in lines.windows(2).filter(|pair| pair.iter().all(|line| line.starts_with('|'))) {
            assert_eq!(bars(pair[0]), bars(pair[1]), "{pair:?}");
        }
        assert!(!said.contains("b_*c") && !report.html().contains("b\\_"), "{text}");
        assert!(said.contains("**Better than relu** at level 0.05"), "{text}");
        assert_eq!(said.matches("lower is better").count(), 1, "{text}");
        assert_eq!(cell(&text, "mean rank", "gelu"), "1.00");
        let margin = metric.unit == "%";
        assert_eq!(said.contains("p (equivalent)"), margin, "{text}");
        assert_eq!(said.contains("true difference is above, within and below"), margin, "{text}");
        let mut table = csv::Reader::from_path(&written.runs).unwrap();
        let name = format!("test_{}", metric.name);
        let header = table.headers().unwrap();
        assert_eq!(header.iter().filter(|column| **column == name).count(), 1, "{header:?}");
        report.export(&runs, folder.path()).unwrap();
        // A loss that is NaN is a run that diverged, not one that was not tested.
        let test = find(&mut runs, TEXT, "gelu", 1).summary.as_mut().unwrap().test.as_mut();
        let test = test.unwrap();
        test.loss = f64::NAN;
        test.metrics = [(metric.name.as_str(), f64::NAN)].into();
        let text = flat(&Report::from_runs(&runs, &options()).unwrap().markdown());
        assert!(text.contains("14 completed, 1 diverged, 0 failed"), "{text}");
    }
}

#[test]
fn a_sweep_with_fewer_bits_is_better_than_another() {
    let before = texts(1..=8);
    let mut after = texts(1..=8);
    for run in &mut after {
        let seed = run.record.spec.seed as f64;
        let test = run.record.summary.as_mut().unwrap().test.as_mut().unwrap();
        let value = test.metrics.get("bits_per_byte").unwrap() - 0.05 - 0.0001 * seed;
        test.metrics = [("bits_per_byte", value)].into();
    }
    let bootstrap = Bootstrap { resamples: 100, seed: 0 };
    let (a, b) = (Side { name: "before", runs: &before }, Side { name: "after", runs: &after });
    let text = side_by_side(a, b, bootstrap, 120).unwrap();
    assert!(text.contains("**gelu on text_gpt: after is better**: −0.05"), "{text}");
    assert!(
        flat(&text).contains("Test bits per byte (lower is better); the difference in bits/byte is after minus before"),
        "{text}"
    );
    assert!(!text.contains("accuracy") && !text.contains("points"), "{text}");
    let text = side_by_side(b, a, bootstrap, 120).unwrap();
    assert!(text.contains("before is worse**: +0.05"), "{text}");
    // The same task, judged otherwise.
    let mut images = vec![run(TEXT, "gelu", 1), run(TEXT, "gelu", 2)];
    images[0].record.summary.as_mut().unwrap().metric = Some(Metric::accuracy(Some(2)));
    let text = side_by_side(a, Side { name: "images", runs: &images }, bootstrap, 120).unwrap();
    let note =
        "text_gpt is judged by bits per byte in before and by accuracy in images: not compared.";
    assert!(flat(&text).contains(note), "{text}");
}

/// A record without words beside one with them, of the same spec.
#[test]
fn the_words_of_early_records_are_no_other_condition() {
    let mut runs = texts(1..=2);
    for seed in 1..=2 {
        find(&mut runs, TEXT, "relu", seed).described = record::Described::default();
    }
    find(&mut runs, TEXT, "gelu", 1).described = record::Described::default();
    let text = report(&runs, &options()).markdown();
    assert!(!text.contains("Not like for like"), "{text}");
    assert!(text.contains("gpt-micro, 128 bytes of context"), "{text}");
    for run in &mut runs {
        run.record.described = record::Described::default();
    }
    let text = report(&runs, &options()).markdown();
    assert!(text.contains("- model: gpt (size micro)"), "{text}");
}
