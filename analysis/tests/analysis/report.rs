//! Reports of made-up sweeps: what they say, and what they must not depend on.

use crate::common::{ACTIVATIONS, IMAGES, WORDS, diverge, evaluation, fail, find, run, sweep};
use analysis::{Error, Family, Report, ReportOptions};
use proptest::prelude::*;
use record::{Budget, StoredRun};

pub(crate) fn options() -> ReportOptions {
    ReportOptions {
        title: "Five activations, two small networks".into(),
        order: ACTIVATIONS.map(str::to_owned).to_vec(),
        task_order: vec![IMAGES.into(), WORDS.into()],
        ..ReportOptions::default()
    }
}

fn report(runs: &[StoredRun], options: &ReportOptions) -> String {
    Report::from_runs(runs, options).expect("the runs are well formed").markdown()
}

/// Five activations, two seeds, one run diverged and one failed.
pub(crate) fn unlucky() -> Vec<StoredRun> {
    let mut runs = sweep(1..=3);
    diverge(find(&mut runs, IMAGES, "swiglu", 2), 412);
    diverge(find(&mut runs, WORDS, "relu", 3), 1_030);
    for seed in 1..=3 {
        diverge(find(&mut runs, WORDS, "silu", seed), 100 * seed);
    }
    fail(
        find(&mut runs, IMAGES, "gelu", 1),
        "thread 'main' panicked at src/lib.rs:12:\nindex out of bounds: the len is 3 but the index is 3",
    );
    runs
}

#[test]
fn two_seeds() {
    insta::assert_snapshot!(report(&sweep(1..=2), &options()));
}

/// Five activations make four comparisons with each of two baselines: eight on each of two tasks, sixteen in the report.
#[test]
fn the_stated_correction_counts_the_comparisons_with_every_baseline() {
    let text = |family| {
        let further_baselines = vec!["gelu".into()];
        report(&sweep(1..=5), &ReportOptions { family, further_baselines, ..options() })
    };
    let stated = |text: &str| -> Vec<String> {
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let parts = words.split("(Holm-adjusted, ").skip(1);
        parts.map(|part| part.split(')').next().unwrap_or_default().to_owned()).collect()
    };
    let of_report = stated(&text(Family::Report));
    assert!(!of_report.is_empty());
    assert!(of_report.iter().all(|one| one == "16 comparisons in this report"), "{of_report:?}");
    let of_task = stated(&text(Family::Task));
    assert_eq!(of_task.len(), of_report.len());
    assert!(of_task.iter().all(|one| one == "8 comparisons on this task"), "{of_task:?}");
}

#[test]
fn energy_is_shown_where_a_machine_tells() {
    let mut runs = sweep(1..=2);
    assert!(!report(&runs, &options()).contains("energy"));
    for run in runs.iter_mut().filter(|run| run.record.spec.task == IMAGES) {
        run.record.timing.energy_joules = Some(1234.5);
    }
    let text = report(&runs, &options());
    let headers: Vec<_> = text.lines().filter(|line| line.contains("examples/s |")).collect();
    assert!(headers[0].contains("energy, J") && !headers[1].contains("energy, J"), "{text}");
    assert!(text.contains("- energy, J: what"), "{text}");
    assert!(
        text.contains("1\u{a0}234") || text.contains("1 234") || text.contains("1 235"),
        "{text}"
    );
}

#[test]
fn one_seed() {
    insta::assert_snapshot!(report(&sweep([1]), &options()));
}

#[test]
fn ten_seeds() {
    insta::assert_snapshot!(report(&sweep(1..=10), &options()));
}

#[test]
fn some_runs_diverged_and_one_failed() {
    insta::assert_snapshot!(report(&unlucky(), &options()));
}

#[test]
fn a_baseline_that_a_task_lacks() {
    let mut runs = sweep(1..=2);
    runs.retain(|run| run.record.spec.task == IMAGES || run.record.spec.activation.label != "relu");
    insta::assert_snapshot!(report(&runs, &options()));
}

#[test]
fn conditions_that_differ_between_arms() {
    let mut runs = sweep(1..=2);
    runs.retain(|run| run.record.spec.task == IMAGES);
    for run in &mut runs {
        let spec = &mut run.record.spec;
        match spec.activation.label.as_str() {
            "silu" => spec.training.learning_rate = 0.05,
            "gelu" => {
                spec.training.budget = Budget::Epochs(5);
                run.record.summary.as_mut().unwrap().steps = 2_345;
            }
            _ => {}
        }
    }
    insta::assert_snapshot!(report(&runs, &options()));
}

#[test]
fn labels_too_long_for_a_cell() {
    let labels = [
        "relu",
        "leaky_relu(slope=0.20000000000000001)",
        "leaky_relu(slope=0.20000000000000002)",
        "a|b*c_",
    ];
    let runs: Vec<_> =
        labels.iter().flat_map(|label| (1..=5).map(|seed| run(IMAGES, label, seed))).collect();
    let options = ReportOptions { width: 100, ..options() };
    insta::assert_snapshot!(report(&runs, &options));
}

#[test]
fn no_line_is_wider_than_asked() {
    let mut runs = unlucky();
    let long = format!("leaky_relu(slope=0.{})", "2".repeat(150));
    runs.extend((1..=2).map(|seed| run(IMAGES, &long, seed)));
    runs.extend((1..=2).map(|seed| run(&format!("task_{}", "x".repeat(150)), "relu", seed)));
    for width in [60, 79, 80, 100, 120, 200] {
        let options = ReportOptions { width, title: "A ".repeat(150), ..options() };
        for line in report(&runs, &options).lines() {
            assert!(line.chars().count() <= width, "{width}: {line}");
        }
    }
}

#[test]
fn tables_are_well_formed() {
    let markdown = report(&unlucky(), &options());
    let cells = |line: &str| line.replace("\\|", "").matches('|').count();
    let mut table: Vec<&str> = Vec::new();
    let mut tables = 0;
    for line in markdown.lines().chain([""]) {
        if line.starts_with('|') {
            table.push(line);
        } else if let Some(header) = table.first() {
            tables += 1;
            assert!(table.len() >= 3, "{table:?}");
            let width = header.chars().count();
            for row in &table {
                assert_eq!(cells(row), cells(header), "{row}");
                assert_eq!(row.chars().count(), width, "{row}");
            }
            assert_eq!(line, "", "a table ends with an empty line");
            table.clear();
        }
    }
    assert!(tables >= 4);
}

/// What depends on the machine stands in the last two columns of a table and nowhere else.
#[test]
fn time_and_speed_stand_in_the_last_columns_alone() {
    let without = |runs: &[StoredRun]| {
        // Where a table of machine times begins to have them.
        let mut timed = None;
        let mut kept = Vec::new();
        let text = report(runs, &options());
        // The methods name the machine and the time of all runs.
        let (before, methods) = text.split_once("\nCompute: ").unwrap();
        let (_, after) = methods.split_once("\n\n").unwrap();
        for line in before.lines().chain(after.lines()).filter(|line| !line.starts_with("Next: ")) {
            if !line.starts_with('|') {
                timed = None;
            }
            let cells: Vec<&str> = line.split('|').collect();
            let speed = cells
                .iter()
                .position(|cell| ["examples/s", "dominated by", "time"].contains(&cell.trim()));
            timed = timed.or(speed);
            kept.push(cells[..timed.unwrap_or(cells.len())].join("|"));
        }
        kept.join("\n")
    };
    let runs = sweep(1..=2);
    let mut elsewhere = runs.clone();
    for run in &mut elsewhere {
        let timing = &mut run.record.timing;
        timing.started_unix += 1e6;
        timing.train_seconds *= 1234.5;
        timing.total_seconds *= 3.0;
        timing.examples_per_second /= 77.7;
        timing.peak_memory_bytes = None;
        run.record.environment.cpu = "another processor".into();
        run.record.environment.threads = 64;
    }
    assert_ne!(report(&runs, &options()), report(&elsewhere, &options()));
    assert_eq!(without(&runs), without(&elsewhere));
}

#[test]
fn other_arms_do_not_move_an_arms_figures() {
    let row = |markdown: &str, start: &str| {
        let row = markdown.lines().find(|line| line.starts_with(start)).unwrap();
        let row = row.split_whitespace().collect::<String>();
        // An interval and a p that are corrected for all comparisons depend on their number.
        row.split('|')
            .take(4)
            .map(|cell| cell.trim_matches('*'))
            .map(|cell| cell.split_once("[−").map_or(cell, |(own, _)| own))
            .collect::<Vec<_>>()
            .join("|")
    };
    let all = sweep(1..=5);
    let mut few = all.clone();
    few.retain(|run| ["relu", "silu"].contains(&run.record.spec.activation.label.as_str()));
    let (all, few) = (report(&all, &options()), report(&few, &options()));
    assert_eq!(row(&all, "| silu "), row(&few, "| silu "));
}

#[test]
fn labels_that_the_experiment_does_not_name_follow_alphabetically() {
    let options = ReportOptions { order: vec!["silu".into()], ..options() };
    let markdown = report(&sweep([1]), &options);
    let details = markdown.split("### Results").nth(1).unwrap();
    let rows: Vec<&str> = details
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| -"))
        .map(|line| line.split_whitespace().nth(1).unwrap())
        .take(6)
        .collect();
    assert_eq!(rows, ["activation", "silu", "gelu", "leaky_relu(slope=0.2)", "relu", "swiglu"]);
    assert!(markdown.contains("(baseline: silu)"), "{markdown}");
}

#[test]
fn a_baseline_can_lead() {
    let options = ReportOptions { baseline: Some("gelu".into()), ..options() };
    let mut runs = sweep(1..=10);
    runs.retain(|run| run.record.spec.task == IMAGES);
    let text = report(&runs, &options).replace('\n', " ");
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("gelu, the baseline, has the highest mean test accuracy"), "{text}");
    let adjusted = "(Holm-adjusted, 4 comparisons in this report)";
    let worse =
        format!("**Worse than gelu** at level 0.05 {adjusted}: relu (−0.76 points [−1.27, −0.26]");
    assert!(text.contains(&worse), "{text}");
    assert!(text.contains(&format!("No significant difference from gelu {adjusted}")), "{text}");
    assert!(text.contains("swiglu (−0.25 points [−0.93, +0.44], p = 0.356)"), "{text}");
}

/// Every difference here is below a point.
#[test]
fn a_margin_makes_arms_equivalent() {
    let options = ReportOptions { margin: Some(0.02), ..options() };
    let text = report(&sweep(1..=10), &options);
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let equivalent = "**Equivalent to relu** within 2.00 points (Holm-adjusted, 8 comparisons in this report): leaky";
    assert_eq!(text.matches(equivalent).count(), 2, "{text}");
    assert!(!text.contains("**Better"), "{text}");
    assert!(text.contains("P(worse / equivalent / better)"), "{text}");
}

/// Curves are read from the runs' own folders.
#[test]
fn convergence_is_that_of_the_validation_curve() {
    let folder = tempfile::tempdir().unwrap();
    let mut runs = sweep(1..=2);
    for run in &mut runs {
        run.dir = record::RunDir::of(folder.path(), &run.record.spec);
        let mut stream = run.dir.begin(&run.record.spec).unwrap();
        for (step, accuracy) in [(10, 0.5), (20, 0.75), (30, 0.625), (40, 0.625)] {
            let evaluation = evaluation(step, 1.0, 1.0, accuracy);
            stream.write(&record::Event::Validation(evaluation)).unwrap();
        }
    }
    let text = report(&runs, &options());
    assert_eq!(text.matches("### Convergence").count(), 2, "{text}");
    let row = text.lines().find(|line| line.contains("relu") && line.contains("64.58")).unwrap();
    // Area, volatility, largest drop, final − best.
    let cells: Vec<&str> = row.split('|').map(str::trim).skip(2).take(4).collect();
    // Volatility: residuals −0.0875, 0.1375, −0.0125, −0.0375 of the least-squares line.
    assert_eq!(cells, ["64.58", "11.86", "12.50", "−12.50"]);
    assert!(!text.contains("could not be read"), "{text}");
}

/// Ranks count a run that diverged as one that guesses; means leave it out.
#[test]
fn a_run_that_diverged_ranks_last() {
    let mut runs = sweep(1..=10);
    let before = report(&runs, &options());
    for seed in 1..=10 {
        diverge(find(&mut runs, IMAGES, "gelu", seed), 100);
    }
    let after = report(&runs, &options());
    let rank = |text: &str| -> f64 {
        let table = text.split("## Over all tasks").nth(1).unwrap();
        let row = table.lines().find(|line| line.starts_with("| gelu")).unwrap();
        row.split('|').nth(2).unwrap().trim().parse().unwrap()
    };
    assert!(rank(&before) < 2.0 && rank(&after) > 3.0, "{after}");
}

#[test]
fn papers_get_a_table() {
    let folder = tempfile::tempdir().unwrap();
    let report = Report::from_runs(&sweep(1..=10), &options()).unwrap();
    let written = report.write(folder.path()).unwrap();
    insta::assert_snapshot!(std::fs::read_to_string(written.latex).unwrap());
}

#[test]
fn two_sweeps_side_by_side() {
    let before = sweep(1..=10);
    let mut after: Vec<StoredRun> = sweep(1..=10);
    after.retain(|run| run.record.spec.activation.label != "silu");
    for run in &mut after {
        let images = run.record.spec.task == IMAGES;
        if images {
            run.record.spec.training.learning_rate = 0.2;
            let test = run.record.summary.as_mut().unwrap().test.as_mut().unwrap();
            let accuracy = test.metrics.get("accuracy").unwrap();
            let seed = run.record.spec.seed as f64;
            test.metrics = [("accuracy", accuracy + (0.01 + 0.0001 * seed))].into();
        }
        run.record.environment.cpu = "another processor".into();
    }
    let bootstrap = analysis::statistics::Bootstrap { resamples: 1_000, seed: 0 };
    let a = analysis::Side { name: "before", runs: &before };
    let b = analysis::Side { name: "after", runs: &after };
    insta::assert_snapshot!(analysis::side_by_side(a, b, bootstrap, 120).unwrap());
    let same = analysis::side_by_side(a, a, bootstrap, 120).unwrap();
    assert!(same.contains("configuration\n\n- Nothing."), "{same}");
    let identical = "Identical under every shared seed: gelu, leaky_relu(slope=0.2), relu, silu, swiglu on fashion";
    assert!(same.split_whitespace().collect::<Vec<_>>().join(" ").contains(identical), "{same}");
    assert!(!same.contains("No significant difference"), "{same}");
    // What one of them does not have did not change.
    after.retain(|run| run.record.spec.task == IMAGES);
    let b = analysis::Side { name: "after", runs: &after };
    let text = analysis::side_by_side(a, b, bootstrap, 120).unwrap();
    assert!(text.contains("learning_rate: 0.1 → 0.2"), "{text}");
    assert!(text.contains("- Only in before:") && !text.contains("→ —"), "{text}");
}

/// A share is of so many examples, and no finer than one of them; a time is as fine as its runs agree.
#[test]
fn figures_say_how_fine_they_are() {
    let mut runs = sweep(1..=3);
    for run in &mut runs {
        run.record.summary.as_mut().unwrap().test_examples = Some(2_000);
    }
    let text = report(&runs, &options());
    assert_eq!(
        text.matches("- test split: 2 000 examples, each of which is 0.05 points\n").count(),
        2,
        "{text}"
    );
    let ratio = |text: &str| {
        let row = text.lines().find(|line| line.starts_with("| gelu")).unwrap();
        row.split('|').rev().nth(1).unwrap().trim().to_owned()
    };
    assert!(!ratio(&text).starts_with('≈'), "{text}");
    for run in &mut runs {
        run.record.timing.train_seconds *= if run.record.spec.seed == 2 { 1.5 } else { 1.0 };
    }
    let text = report(&runs, &options());
    assert!(ratio(&text).starts_with('≈'), "{text}");
}

/// Two activations have no ranks, and one task has no other task: the plot over all runs is still no part of the task's.
#[test]
fn what_is_over_all_tasks_has_its_heading() {
    let runs: Vec<StoredRun> = ["relu", "gelu"]
        .iter()
        .flat_map(|activation| [1, 2].map(|seed| run(IMAGES, activation, seed)))
        .collect();
    let text = report(&runs, &options());
    let heading = text.find("\n## Over all tasks\n").unwrap();
    let plot = text.find("plots/profile.svg").unwrap();
    assert!(heading < plot && !text[heading + 4..plot].contains("\n#"), "{text}");
}

#[test]
fn records_that_are_left_out_are_named() {
    let skipped = vec!["runs/x/record.json has record schema 0".to_owned()];
    let text = report(&sweep(1..=2), &ReportOptions { skipped, ..options() });
    assert!(text.contains("## Records that are left out\n\n- runs/x/record.json has"), "{text}");
}

#[test]
fn a_task_without_any_completed_run_says_so() {
    let mut runs = sweep(1..=2);
    for run in runs.iter_mut().filter(|run| run.record.spec.task == WORDS) {
        diverge(&mut run.record, 10);
    }
    let text = report(&runs, &options());
    assert!(text.contains("No run completed: there is nothing to compare."), "{text}");
    assert!(
        text.contains("20 runs of 5 activations on 2 tasks: 10 completed, 10 diverged, 0 failed.")
    );
}

#[test]
fn a_completed_run_without_a_test_counts_as_failed() {
    let mut runs = sweep(1..=2);
    find(&mut runs, IMAGES, "gelu", 1).summary.as_mut().unwrap().test = None;
    let text = report(&runs, &options());
    assert!(text.contains("19 completed, 0 diverged, 1 failed"), "{text}");
    assert!(text.contains("failed: completed without a test evaluation"), "{text}");
}

#[test]
fn the_report_needs_no_resamples() {
    let without = ReportOptions { bootstrap_resamples: 0, ..options() };
    assert_eq!(report(&sweep(1..=5), &without), report(&sweep(1..=5), &options()));
}

/// 50 % of two classes, and 10.3 % of ten where luck reaches 10.4 %.
#[test]
fn guessing_has_no_winner() {
    let mut runs = sweep(1..=5);
    for run in &mut runs {
        let images = run.record.spec.task == IMAGES;
        let summary = run.record.summary.as_mut().unwrap();
        summary.test_examples = Some(10_000);
        summary.test.as_mut().unwrap().metrics =
            [("accuracy", if images { 0.103 } else { 0.5 })].into();
    }
    let text = report(&runs, &options());
    // In the answer and in the details of each task.
    assert_eq!(text.matches("**Nothing was learned:**").count(), 4, "{text}");
    assert!(!text.contains("has the highest") && !text.contains("share the highest"), "{text}");
    assert!(text.contains("Identical to relu in every run that is compared"), "{text}");
}

#[test]
fn an_arm_that_always_diverged_comes_first() {
    let mut runs = sweep(1..=4);
    for seed in 1..=4 {
        diverge(find(&mut runs, IMAGES, "silu", seed), 100);
    }
    diverge(find(&mut runs, WORDS, "swiglu", 1), 100);
    let text = report(&runs, &options());
    let first = text.lines().find(|line| line.starts_with("- ")).unwrap();
    assert_eq!(first, "- **silu diverged in all 4 runs.**");
    assert!(!text.contains("Too few runs"), "{text}");
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("; but 1 of 4 runs diverged, 0 of 4 of relu"), "{text}");
}

/// Looks are made after 3, 5 and 8 seeds; six are finished.
#[test]
fn a_sweep_that_may_end_early_counts_its_looks() {
    let order: Vec<u64> = (1..=8).collect();
    let looks = |seeds: &[usize]| ReportOptions {
        looks: Some((seeds.to_vec(), order.clone())),
        ..options()
    };
    let runs = sweep(1..=6);
    let text = report(&runs, &looks(&[3, 5, 8]));
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("were planned after 3, 5, 8 seeds"), "{text}");
    assert!(text.contains("(looks made: 2)"), "{text}");
    // Looking costs: no p over looks is below that of one test.
    let p = |options: &ReportOptions| -> Vec<f64> {
        let folder = tempfile::tempdir().unwrap();
        Report::from_runs(&sweep(1..=5), options).unwrap().write(folder.path()).unwrap();
        let mut table = csv::Reader::from_path(folder.path().join("summary.csv")).unwrap();
        let column = table.headers().unwrap().iter().position(|name| name == "p_holm").unwrap();
        table.records().filter_map(|row| row.unwrap()[column].parse().ok()).collect()
    };
    let (early, fixed) = (p(&looks(&[3, 5, 8])), p(&options()));
    assert_eq!(early.len(), fixed.len());
    assert!(early.iter().zip(&fixed).all(|(early, fixed)| early >= fixed), "{early:?} {fixed:?}");
    // Before the first look nothing is claimed.
    let none = report(&sweep(1..=2), &looks(&[3, 5, 8]));
    assert!(!none.contains("**Better") && !none.contains("**Worse"), "{none}");
}

#[test]
fn nothing_to_report_is_an_error() {
    let error = Report::from_runs(&[], &options()).unwrap_err();
    assert!(matches!(error, Error::NoRuns), "{error}");
}

#[test]
fn two_runs_in_one_place_are_an_error() {
    let mut runs = sweep([1]);
    let mut other = run(IMAGES, "gelu", 1);
    other.record.spec.training.learning_rate = 0.2;
    other.record.id = other.record.spec.id();
    other.dir = record::RunDir::of(std::path::Path::new("runs"), &other.record.spec);
    runs.push(other);
    let error = Report::from_runs(&runs, &options()).unwrap_err();
    runs.reverse();
    let reversed = Report::from_runs(&runs, &options()).unwrap_err();
    assert!(matches!(error, Error::Duplicate { .. }), "{error}");
    assert_eq!(error.to_string(), reversed.to_string());
    let message = error.to_string();
    assert!(message.contains("two runs of gelu with seed 1"), "{message}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn the_order_of_runs_does_not_matter(shuffled in Just(unlucky()).prop_shuffle()) {
        let options = ReportOptions { bootstrap_resamples: 100, ..options() };
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let runs = [unlucky(), shuffled];
        let files = std::array::from_fn::<_, 2, _>(|i| {
            let report = Report::from_runs(&runs[i], &options).unwrap();
            let written = report.write(folders[i].path()).unwrap();
            [written.markdown, written.summary, written.runs].map(|path| std::fs::read(path).unwrap())
        });
        prop_assert!(files[0] == files[1]);
    }
}
