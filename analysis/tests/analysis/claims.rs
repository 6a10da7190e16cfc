//! What a report claims where runs are missing, diverged, or learned nothing.

use crate::answer::{arms, brief, options};
use crate::common::{IMAGES, diverge, fail, find, text_run};
use analysis::{Commands, Confirms, Report, ReportOptions, Side, side_by_side};
use record::StoredRun;

const RELU: [f64; 6] = [84.1, 84.3, 84.0, 84.2, 84.4, 84.1];
/// Around [`RELU`].
const AROUND: [f64; 6] = [84.6, 83.9, 84.3, 83.8, 84.5, 84.2];
/// About three points below it.
const BELOW: [f64; 6] = [81.0, 81.2, 81.1, 81.1, 81.4, 81.0];
/// Below guessing by half of it and more.
const FAR_BELOW_GUESSING: [f64; 6] = [6.0, 6.1, 6.0, 6.1, 6.2, 6.0];
const GUESSING: [f64; 6] = [10.0; 6];

fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The answers, and all of the report, as one line each.
fn both(runs: &[StoredRun], options: &ReportOptions) -> [String; 2] {
    let report = Report::from_runs(runs, options).unwrap();
    [report.brief(100), report.markdown()].map(|text| flat(&text))
}

fn diverge_from(runs: &mut [StoredRun], activation: &str, seed: u64) {
    for seed in seed..=6 {
        diverge(find(runs, IMAGES, activation, seed), 100);
    }
}

#[track_caller]
fn assert_says(text: &str, words: &str) {
    assert!(text.contains(words), "{words}\n{text}");
}

#[track_caller]
fn assert_never_says(text: &str, words: &str) {
    assert!(!text.contains(words), "{words}\n{text}");
}

#[test]
fn a_baseline_that_wins_and_diverged_says_both_at_once() {
    let mut runs = arms(IMAGES, &[("relu", &RELU), ("gelu", &BELOW), ("swiglu", &BELOW)]);
    diverge_from(&mut runs, "relu", 4);
    let [answer, details] = both(&runs, &options());
    let but = "; but 3 of 6 runs of relu diverged.";
    let winner = answer.split("**relu, the baseline, is better").nth(1).unwrap();
    let sentence = &winner[..winner.find("diverged.").unwrap() + 9];
    assert!(sentence.ends_with(but) && !sentence.contains(". "), "{answer}");
    let worse = details.split("**Worse than relu**").nth(1).unwrap();
    assert_says(&worse[..worse.find(" - ").unwrap()], but);
    // There is nothing to confirm of a baseline.
    assert_says(&details, "The best of 3 is likely to be overestimated.");
    assert_never_says(&details, "actlab confirm");

    // Beside another that is as good as it, it is not said to win.
    let mut runs = arms(IMAGES, &[("relu", &RELU), ("gelu", &BELOW), ("swiglu", &AROUND)]);
    diverge_from(&mut runs, "relu", 6);
    let [answer, _] = both(&runs, &options());
    assert_says(&answer, "is worse than relu**; but 1 of 6 runs of relu diverged;");
}

#[test]
fn equivalence_says_which_runs_diverged() {
    let all = [("relu", &RELU[..]), ("gelu", &AROUND), ("silu", &RELU.map(|x| x + 0.01))];
    let margin = ReportOptions { margin: Some(0.05), ..options() };
    let mut runs = arms(IMAGES, &all);
    diverge_from(&mut runs, "gelu", 4);
    let [answer, details] = both(&runs, &margin);
    assert_says(
        &answer,
        "equivalent to relu** within 5.00 points; but 3 of 6 runs of gelu diverged",
    );
    assert_says(&details, "; but 3 of 6 runs diverged, 0 of 6 of relu)");
    let mut runs = arms(IMAGES, &all);
    diverge_from(&mut runs, "relu", 5);
    let [answer, details] = both(&runs, &margin);
    assert_says(&answer, "within 5.00 points; but 2 of 6 runs of relu diverged");
    assert_says(&details, "; but 2 of 6 runs of relu diverged. ");
}

#[test]
fn an_arm_that_always_diverged_is_in_every_answer() {
    let mut runs =
        arms(IMAGES, &[("relu", &GUESSING), ("gelu", &FAR_BELOW_GUESSING), ("silu", &GUESSING)]);
    diverge_from(&mut runs, "silu", 1);
    let [answer, _] = both(&runs, &options());
    assert_says(&answer, "There is no winner. **silu diverged in all 6 runs.**");

    let mut runs = arms(IMAGES, &[("relu", &RELU), ("gelu", &AROUND), ("silu", &RELU)]);
    diverge_from(&mut runs, "relu", 1);
    diverge_from(&mut runs, "silu", 2);
    fail(find(&mut runs, IMAGES, "silu", 1), "a panic");
    let [answer, _] = both(&runs, &options());
    assert_says(
        &answer,
        "The baseline relu diverged in all 6 runs: nothing is compared. **silu completed no run (5 diverged, 1 failed).**",
    );
}

#[test]
fn nothing_is_claimed_where_nothing_was_learned() {
    let noisy = [10.0, 10.1, 9.9, 10.0, 10.1, 10.0];
    let runs =
        arms(IMAGES, &[("relu", &FAR_BELOW_GUESSING), ("gelu", &noisy), ("silu", &GUESSING)]);
    let report = Report::from_runs(&runs, &options()).unwrap();
    let details = flat(&report.markdown());
    assert_says(&details, "**Nothing was learned:**");
    for claim in ["**Better", "**Worse", "**Equivalent"] {
        assert_never_says(&details, claim);
    }
    assert_says(
        &details,
        "- Not judged against relu, since nothing was learned: gelu (+3.95 points",
    );
    let folder = tempfile::tempdir().unwrap();
    let written = report.write(folder.path()).unwrap();
    let latex = std::fs::read_to_string(written.latex).unwrap();
    let rows = latex.lines().filter(|line| line.ends_with("\\\\"));
    assert!(rows.clone().all(|row| !row.contains("dagger")), "{latex}");
    assert!(rows.clone().any(|row| row.starts_with("gelu")), "{latex}");
    assert_says(&flat(&latex), "No activation is better than guessing, and none is marked");
    assert!(!latex.contains("best in bold") && !latex.contains("significantly better"), "{latex}");
    let summary = std::fs::read_to_string(written.summary).unwrap();
    assert!(summary.contains("nothing_learned") && !summary.contains(",better,"), "{summary}");
}

#[test]
fn a_confirmation_asks_for_no_more_seeds() {
    let runs = arms(IMAGES, &[("relu", &RELU[..2]), ("gelu", &AROUND[..2])]);
    assert_says(&brief(&runs, &options()), "Next: train at least 5");
    let confirms = Confirms { sweep: "quick".into(), statement: "stated before.".into() };
    let confirmation = ReportOptions { confirms: Some(confirms), ..options() };
    assert_never_says(&brief(&runs, &confirmation), "Next:");
    let runs = arms(IMAGES, &[("relu", &RELU), ("gelu", &AROUND)]);
    assert_says(&brief(&runs, &options()), "Next:");
    assert_never_says(&brief(&runs, &confirmation), "Next:");
}

/// A margin is in percentage points, and for no other metric.
#[test]
fn a_margin_is_advised_for_metrics_in_percent_alone() {
    let bits =
        |label: &'static str, bits: f64| (1..=30).map(move |seed| text_run(label, seed, bits));
    let runs: Vec<StoredRun> = bits("relu", 2.1).chain(bits("gelu", 2.1)).collect();
    let text = flat(&brief(&runs, &options()));
    assert_says(&text, "bits/byte with 80 % power. More seeds narrow the intervals.");
    assert_never_says(&text, "margin");
}

#[test]
fn identical_scores_are_counted_for_each_activation() {
    let mut runs = arms(IMAGES, &[("relu", &RELU), ("gelu", &RELU), ("silu", &RELU)]);
    diverge_from(&mut runs, "gelu", 5);
    let [answer, _] = both(&runs, &options());
    assert_says(
        &answer,
        "silu has the same score as relu under each of 6 shared seeds; gelu has the same score as relu under each of 4 \
         shared seeds",
    );
}

/// Single runs under different seeds are too few; that is not the same as none.
#[test]
fn a_single_run_of_another_seed_is_too_few() {
    let mut runs = arms(IMAGES, &[("relu", &RELU), ("gelu", &AROUND), ("silu", &AROUND)]);
    for seed in 1..=6 {
        for (label, kept) in [("relu", 1), ("gelu", 2)] {
            if seed != kept {
                diverge(find(&mut runs, IMAGES, label, seed), 100);
            }
        }
    }
    let [answer, details] = both(&runs, &options());
    assert_says(&answer, "Too few runs to compare silu and gelu with relu");
    assert_says(&details, "Too few runs to compare with relu: gelu (−0.20 points), silu");
    assert_never_says(&answer, "completed no run");
}

#[test]
fn before_the_first_look_the_sweep_is_resumed() {
    let mut runs = arms(IMAGES, &[("relu", &RELU), ("gelu", &AROUND), ("silu", &AROUND)]);
    runs.retain(|run| run.record.spec.seed != 2 || run.record.spec.activation.label != "gelu");
    let looks = |missing| ReportOptions {
        looks: Some((vec![3, 6, 10], (1..=10).collect())),
        commands: Commands { missing, ..options().commands },
        ..options()
    };
    let [answer, details] = both(&runs, &looks(1));
    let when = "the first look is after 3 seeds that all activations have finished; 1 is there";
    assert_says(&answer, &format!("**No look yet**: {when}."));
    assert_says(
        &answer,
        &format!("Next: resume the sweep: {when}. actlab sweep experiments/quick.toml"),
    );
    assert_says(&details, &format!("Not compared with relu yet, since {when}: gelu ("));
    for text in [&answer, &details] {
        assert_never_says(text, "oo few runs");
    }
    assert_says(&details, &format!("No difference was tested yet: {when}."));
    assert_says(&details, "without a test, since tests of ranks know nothing of looks.");
    // Between the first look and the last.
    let runs = arms(IMAGES, &[("relu", &RELU[..4]), ("gelu", &AROUND[..4])]);
    let [answer, _] = both(&runs, &looks(2));
    let when = "the next look is after 6 seeds that all activations have finished; 4 are there";
    assert_says(&answer, &format!("Next: resume the sweep: {when}."));
    assert_never_says(&answer, "No look yet");
    let [answer, _] = both(&runs, &looks(0));
    assert_never_says(&answer, "Next:");
}

fn beside(before: &[StoredRun], after: &[StoredRun]) -> String {
    let bootstrap = analysis::statistics::Bootstrap { resamples: 0, seed: 0 };
    let a = Side { name: "before", runs: before };
    let b = Side { name: "after", runs: after };
    flat(&side_by_side(a, b, bootstrap, 120).unwrap())
}

/// Moves the seeds of `runs` by ten.
fn moved(mut runs: Vec<StoredRun>) -> Vec<StoredRun> {
    for run in &mut runs {
        run.record.spec.seed += 10;
        run.record.id = run.record.spec.id();
    }
    runs
}

#[test]
fn sweeps_without_common_seeds_are_not_said_to_share_any() {
    let same = [84.0; 2];
    let before = arms(IMAGES, &[("relu", &same), ("gelu", &RELU[..1]), ("silu", &RELU)]);
    let mut after =
        moved(arms(IMAGES, &[("relu", &same), ("gelu", &AROUND[..1]), ("silu", &RELU)]));
    for seed in 11..=16 {
        diverge(find(&mut after, IMAGES, "silu", seed), 100);
    }
    let text = beside(&before, &after);
    assert_says(
        &text,
        "The same score in all runs of both, which share fewer than two seeds: relu on fashion_resnet8.",
    );
    assert_never_says(&text, "every shared seed");
    assert_says(&text, "Not tested, since there are too few runs: gelu on fashion_resnet8.");
    assert_says(
        &text,
        "Not compared, since one of the two has no completed run: silu on fashion_resnet8.",
    );
}

#[test]
fn a_loss_beyond_all_bounds_is_told() {
    let mut runs = arms(IMAGES, &[("relu", &RELU), ("xielu", &BELOW)]);
    let [calm, _] = both(&runs, &options());
    assert_never_says(&calm, "unstable");
    let summary = find(&mut runs, IMAGES, "xielu", 3).summary.as_mut().unwrap();
    summary.test.as_mut().unwrap().loss = 6e10;
    let [answer, _] = both(&runs, &options());
    assert_says(&answer, "**xielu was unstable**: its mean test loss is 1.0e10. Its outputs");
}
