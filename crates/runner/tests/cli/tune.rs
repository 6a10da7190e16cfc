//! Tuned sweeps: the same trials for every arm, chosen on validation data, and final runs on fresh seeds.

use crate::support::{Place, place};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

const TUNED: &str = r#"
name = "tuned"
activations = ["relu", "gelu"]
seeds = [1, 2]

[tune]
seeds = [11, 12, 13]

[tasks.images]
model = { name = "resnet", depth = 8, width = 4 }
data = { name = "fashion-mnist-mini", train_limit = 256 }

[tasks.images.training]
batch_size = 64
budget = { steps = 8 }
optimizer = { name = "sgd", nesterov = true }
learning_rate = 0.1
schedule = "cosine"
evaluate_every = 2
"#;

const GRID: &str =
    "method = \"grid\"\nparameters.training.learning_rate = { values = [0.01, 0.1, 0.3] }\n";

const RANDOM: &str = "method = \"quasi_random\"\ntrials = 4\n\
    parameters.training.learning_rate = { min = 0.01, max = 1.0, scale = \"log\" }\n";

const HALVING: &str = "early_stop = { policy = \"successive_halving\", first = 0.3, eta = 2 }\n";

fn tuned(tune: &str) -> Place {
    let place = place();
    place.write("tuned.toml", &TUNED.replace("[tune]\n", &format!("[tune]\n{tune}")));
    place
}

/// The records of all runs, by folder name.
fn records(place: &Place) -> BTreeMap<String, Value> {
    let folder = place.path("results/tuned/runs");
    let runs = std::fs::read_dir(folder).unwrap().map(|run| run.unwrap().path());
    let record = |run: PathBuf| {
        let text = std::fs::read_to_string(run.join("record.json")).ok()?;
        let name = run.file_name().unwrap().to_str().unwrap().to_owned();
        Some((name, serde_json::from_str(&text).unwrap()))
    };
    runs.filter_map(record).collect()
}

fn is_trial(record: &Value) -> bool {
    record["spec"].get("trial").is_some()
}

#[test]
fn the_best_trial_by_validation_is_trained_on_fresh_seeds() {
    let place = tuned(GRID);
    let said = place.run(&["sweep", "tuned.toml"]);
    assert!(said.err.contains("tuned: 22 runs, 0 of them done"), "{}", said.err);
    // Three trials differ in their values alone, and so do their lines.
    for rate in ["0.01", "0.1", "0.3"] {
        let line = format!("] relu-images-s11 (learning_rate = {rate}): validation ");
        assert_eq!(said.err.matches(&line).count(), 1, "{}", said.err);
    }
    let table = said.ok();
    let records = records(&place);
    assert_eq!(records.len(), 22);
    for arm in ["relu", "gelu"] {
        let of_arm = || records.values().filter(|one| one["spec"]["activation"]["label"] == arm);
        let mut best = (-1.0, 0.0);
        for rate in [0.01, 0.1, 0.3] {
            let mut scores: Vec<f64> = of_arm()
                .filter(|one| is_trial(one) && one["spec"]["training"]["learning_rate"] == rate)
                .map(|one| one["summary"]["best_validation"]["accuracy"].as_f64().unwrap())
                .collect();
            scores.sort_by(f64::total_cmp);
            assert_eq!(scores.len(), 3, "a run a seed");
            if scores[1] > best.0 {
                best = (scores[1], rate);
            }
        }
        let finals: Vec<&Value> = of_arm().filter(|one| !is_trial(one)).collect();
        assert_eq!(finals.len(), 2);
        for run in finals {
            assert_eq!(run["spec"]["training"]["learning_rate"], best.1, "{arm}");
            assert!(run["spec"]["seed"].as_u64().unwrap() < 3);
            assert!(run["summary"]["test"].is_object());
        }
    }
    for (name, record) in &records {
        let folder = place.path("results/tuned/runs").join(name);
        // A trial never sees the test split.
        assert_eq!(folder.join("predictions.csv").exists(), !is_trial(record), "{name}");
        assert!(!is_trial(record) || record["summary"]["test"].is_null());
    }
    assert!(table.contains("4 runs of 2 activations on 1 task"), "{table}");
    let report = place.read("results/tuned/report.md");
    assert!(report.contains("the best of 3 trials of its own (grid search)"), "{report}");
    assert!(report.contains("plots/images-tuning-learning_rate.svg"), "{report}");
    assert!(place.path("results/tuned/plots/images-tuning-learning_rate.png").exists());
    assert!(place.read("results/tuned/report.html").contains(">Tuning</h3>"));

    // Nothing is left to do, and nothing changes.
    let again = place.run(&["sweep", "tuned.toml"]);
    assert_eq!(again.err.matches('[').count(), 0, "{}", again.err);
    assert_eq!(again.ok(), table);
    let plan = place.run(&["sweep", "tuned.toml", "--dry-run"]).ok();
    assert!(plan.contains("22 runs, 22 of them done"), "{plan}");
    assert!(
        plan.contains("  trials  final  done  ") && plan.contains("  9       2      11  "),
        "{plan}"
    );
    // The page has the experiment, which is the same sweep.
    let page = place.read("results/tuned/report.html");
    let (_, text) = page.split_once("<summary>Experiment as TOML").unwrap();
    let (_, text) = text.split_once("<pre>").unwrap();
    let (text, _) = text.split_once("</pre>").unwrap();
    std::fs::write(place.path("again.toml"), text.replace("&quot;", "\"")).unwrap();
    // The time of a run, at the end of a line, is measured anew.
    let but_for_times = |plan: &str| -> Vec<String> {
        let digit = |c: char| c.is_ascii_digit() || c == '.';
        let line = |line: &str| line.trim_end_matches(" s").trim_end_matches(digit).to_owned();
        plan.lines().map(line).collect()
    };
    let planned = place.run(&["sweep", "again.toml", "--dry-run"]).ok();
    assert_eq!(but_for_times(&planned), but_for_times(&plan));
    let watched = place.run(&["report", "results/tuned", "--watch"]);
    assert!(watched.err.contains("22 of 22 runs are finished"), "{}", watched.err);
}

#[test]
fn trials_that_end_early_are_the_beginnings_of_whole_ones_whatever_interrupts_them() {
    let calm = tuned(&format!("{RANDOM}{HALVING}"));
    // Four trials of three seeds to step 4, two to step 6, one to the end; two final runs: for each of two arms.
    let said = calm.run(&["sweep", "tuned.toml"]);
    assert!(said.err.contains("46 runs, 0 of them done"), "{}", said.err);
    assert_eq!(said.err.matches(", to step 4): ").count(), 24, "{}", said.err);
    said.ok();
    let expected = records(&calm);
    assert_eq!(expected.len(), 46);

    let disturbed = tuned(&format!("{RANDOM}{HALVING}"));
    let args = ["sweep", "tuned.toml", "--jobs", "1", "--set", "checkpoint_every=0.000001"];
    for kills in 1..5 {
        let mut child =
            disturbed.command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let started = Instant::now();
        let folder = disturbed.path("results/tuned/runs");
        while !folder.exists() || records(&disturbed).len() < kills * 10 {
            assert!(started.elapsed() < Duration::from_secs(120), "it does not come on");
            std::thread::sleep(Duration::from_millis(5));
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    disturbed.run(&args).ok();
    let found = records(&disturbed);
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (name, record) in &found {
        assert_eq!(record["summary"], expected[name]["summary"], "{name}");
    }
    // Checkpoints of trials are gone once they are of no use.
    for name in found.keys() {
        let folder = disturbed.path("results/tuned/runs").join(name);
        let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name());
        let left = files.filter(|file| file.to_string_lossy().starts_with("checkpoint"));
        assert_eq!(left.count(), 0, "{name}");
    }

    // What went on from shorter trials is what a whole one would have been.
    let whole = tuned(RANDOM);
    whole.run(&["sweep", "tuned.toml"]).ok();
    let mut longest = 0;
    for (name, record) in records(&whole) {
        if let Some(same) = found.get(&name).filter(|_| is_trial(&record)) {
            assert_eq!(same["summary"], record["summary"], "{name}");
            longest += 1;
        }
    }
    assert_eq!(longest, 6, "one trial of each arm came to its end");
}

/// Parts of the budget that end at the same evaluation are one comparison, and the sweep is finished when they are made.
#[test]
fn comparisons_at_the_same_evaluation_are_one() {
    let halving = "early_stop = { policy = \"successive_halving\", first = 0.1, eta = 3 }\n";
    let place = tuned(&format!("{RANDOM}{halving}"));
    // Evaluations after steps 4 and 8: of the parts 0.1, 0.3, 0.9 and 1 the first two are one, and so are the others.
    let args = ["sweep", "tuned.toml", "--set", "tasks.images.training.evaluate_every=4"];
    let said = place.run(&args);
    // Four trials of three seeds to step 4, one to the end, two final runs: for each of two arms.
    assert!(said.err.contains("tuned: 34 runs, 0 of them done"), "{}", said.err);
    said.ok();
    assert_eq!(records(&place).len(), 34);
    let status = place.run(&["status", "results/tuned", "--json"]).ok();
    let status: Value = serde_json::from_str(&status).unwrap();
    assert_eq!((status["finished"].as_u64(), status["runs"].as_u64()), (Some(34), Some(34)));
    assert_eq!(status["failed"], 0);
}

#[test]
fn the_median_rule_ends_some_and_never_the_best() {
    let place = tuned(&format!("{RANDOM}early_stop = {{ policy = \"median\", first = 0.5 }}\n"));
    let said = place.run(&["sweep", "tuned.toml"]);
    assert!(said.err.contains("of them done"), "{}", said.err);
    said.ok();
    let records = records(&place);
    let steps =
        |steps: u64| records.values().filter(|one| one["spec"]["trial"]["steps"] == steps).count();
    assert_eq!(steps(4), 24);
    assert!((6..=24).contains(&steps(8)) && steps(8) % 3 == 0, "{}", steps(8));
    assert_eq!(records.values().filter(|one| !is_trial(one)).count(), 4);

    // A trial that lost its metrics cannot be compared: it is trained again, and the choice stays.
    let chosen = place.read("results/tuned/sweep.json");
    let short = records.iter().find(|(_, one)| one["spec"]["trial"]["steps"] == 4).unwrap().0;
    place.write(&format!("results/tuned/runs/{short}/metrics.jsonl"), "");
    let said = place.run(&["sweep", "tuned.toml"]);
    assert!(said.err.contains("metrics.jsonl is damaged"), "{}", said.err);
    said.ok();
    assert_eq!(place.read("results/tuned/sweep.json"), chosen);
    assert!(!place.read(&format!("results/tuned/runs/{short}/metrics.jsonl")).is_empty());
}

#[test]
fn wrong_tuning_is_refused_by_key() {
    let cases = [
        (
            "method = \"grid\"\nparameters.training.learning_rate = { min = 1, max = 2 }\n",
            "tune.parameters.training.learning_rate: a grid needs `values`",
        ),
        (
            "method = \"random\"\nparameters.training.learning_rate = { min = 1, max = 2 }\n",
            "tune.trials: missing key `trials`",
        ),
        (
            "method = \"grid\"\nparameters.training.rate = { values = [1] }\n",
            "tune.parameters.training.rate: with training.rate = 1: unknown key",
        ),
        (
            "method = \"grid\"\nparameters.tasks.text.training.warmup = { values = [0.1] }\n",
            "there is no task `text`",
        ),
        (
            "method = \"grid\"\nparameters.training.learning_rate = { values = [0.1, -1] }\n",
            "with training.learning_rate = -1",
        ),
    ];
    for (tune, words) in cases {
        let place = tuned(tune);
        let said = place.run(&["sweep", "tuned.toml"]).refused();
        assert!(!place.path("results").exists(), "a refusal writes nothing: {said}");
        assert!(said.contains(words) && said.contains("tuned.toml"), "{said}");
    }
    let said = tuned(GRID).run(&["sweep", "tuned.toml", "--set", "seeds=[11]"]).refused();
    assert!(said.contains("tune.seeds: 11 is a seed of the final runs too"), "{said}");
}
