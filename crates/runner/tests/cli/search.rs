//! Searches: formulas that are evolved on validation data, and a final sweep on fresh seeds.

use crate::support::{Place, TINY, place};
use insta::assert_snapshot;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

const SPEC: &str = r#"
name = "found"
activations = ["relu", "silu"]
seeds = [1, 2, 3]

[search]
seed = 4
generations = 2
population = 6
parents = 3
finalists = 2
seeds = [11, 12]
first = 0.5
start = ["relu", "tanh"]

[search.grammar]
functions = ["max", "tanh", "sigmoid", "exp"]
max_operations = 5
depth = 4

[tasks.images]
model = { name = "mlp", widths = [16] }
data = { name = "fashion-mnist-mini", train_limit = 256 }

[tasks.images.training]
batch_size = 64
budget = { steps = 8 }
optimizer = { name = "sgd" }
learning_rate = 0.1
evaluate_every = 2
"#;

fn found() -> Place {
    let place = place();
    place.write("found.toml", SPEC);
    place
}

/// The records of all runs, by folder name.
fn records(place: &Place) -> BTreeMap<String, Value> {
    let folder = place.path("results/found/runs");
    let runs = std::fs::read_dir(folder).unwrap().map(|run| run.unwrap().path());
    let record = |run: PathBuf| {
        let text = std::fs::read_to_string(run.join("record.json")).ok()?;
        let name = run.file_name().unwrap().to_str().unwrap().to_owned();
        Some((name, serde_json::from_str(&text).unwrap()))
    };
    runs.filter_map(record).collect()
}

fn manifest(place: &Place) -> Value {
    serde_json::from_str(&place.read("results/found/sweep.json")).unwrap()
}

/// A section of a report.
fn section(report: &str) -> String {
    let (_, rest) = report.split_once("\n## Search\n").expect("there is a section");
    rest.split_once("\n## ").map_or(rest, |(section, _)| section).to_owned()
}

#[test]
fn formulas_are_judged_by_validation_and_the_best_are_compared_on_fresh_seeds() {
    let place = found();
    let said = place.run(&["search", "found.toml"]);
    // Six formulas to step 4 and three to the end under two seeds, twice; two arms and two finalists.
    assert!(said.err.contains("found: 48 runs, 0 of them done"), "{}", said.err);
    said.ok();
    let report = place.read("results/found/report.md");
    let records = records(&place);
    let manifest = manifest(&place);
    assert_eq!(records.len(), 48);
    let search = &manifest["search"];
    let formulas = search["formulas"].as_array().unwrap();
    assert_eq!(formulas.len(), 12);
    let texts: BTreeSet<&str> =
        formulas.iter().map(|one| one["formula"].as_str().unwrap()).collect();
    assert_eq!(texts.len(), 12, "each is trained once");
    let finalists: Vec<&str> =
        search["finalists"].as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect();
    assert_eq!(finalists.len(), 2);
    assert!(finalists.iter().all(|name| name.starts_with("found_")), "{finalists:?}");
    for (name, record) in &records {
        let trial = record["spec"].get("trial").is_some();
        let seed = record["spec"]["seed"].as_u64().unwrap();
        assert_eq!(trial, seed > 10, "{name}");
        // The search never sees the test split.
        let folder = place.path("results/found/runs").join(name);
        assert_eq!(folder.join("predictions.csv").exists(), !trial, "{name}");
        assert!(!trial || record["summary"]["test"].is_null());
        let label = record["spec"]["activation"]["label"].as_str().unwrap();
        assert!(trial || ["relu", "silu"].contains(&label) || finalists.contains(&label), "{name}");
        let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name());
        let left = files.filter(|file| file.to_string_lossy().starts_with("checkpoint"));
        assert_eq!(left.count(), 0, "{name}");
    }
    // A formula can be used by its text in any other command.
    let best = formulas.iter().find(|one| one["name"] == finalists[0]).unwrap();
    place.run(&["eval", best["formula"].as_str().unwrap(), "--", "0.5"]).ok();
    let said = section(&report);
    for words in [
        "and trained 12 in 2 of 2 generations, with 36 runs",
        "The first generation began with relu (start_1), tanh (start_2).",
        "(the median over the seeds 11, 12)",
        "| p (12 tests) |",
        "**Which p to quote:** p (Holm)",
        &format!("| {} ", finalists[0]),
    ] {
        let whole = said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(whole.contains(words), "{words}: {said}");
    }
    assert!(report.contains("12 runs of 4 activations on 1 task"), "{report}");
    let page = place.read("results/found/report.html");
    assert!(
        page.contains("<h2 id=\"search\">Search</h2>") && page.contains("<code>"),
        "no section"
    );

    // Nothing is left to do, nothing changes, and the report is made of what is on the disk.
    let again = place.run(&["search", "found.toml"]);
    assert_eq!(again.err.matches('[').count(), 0, "{}", again.err);
    again.ok();
    assert_eq!(section(&place.read("results/found/report.md")), section(&report));
    let full = place.run(&["report", "results/found", "--full"]).ok();
    assert_eq!(section(&full), section(&report));
    let status = place.run(&["status", "results/found"]).ok();
    assert!(status.contains("48 of 48 runs are finished; nothing is left to do"), "{status}");
    let plan = place.run(&["search", "found.toml", "--dry-run"]).ok();
    assert!(plan.contains("48 runs, 48 of them done"), "{plan}");

    // What it found is confirmed on seeds that neither the search nor the sweep had.
    let said =
        place.run(&["confirm", "results/found", "--activation", finalists[0], "--seeds", "2"]);
    assert!(said.ok().contains("stated before the first run"));
}

#[test]
fn a_search_that_is_killed_comes_to_the_same_formulas_with_any_number_of_workers() {
    let calm = found();
    calm.run(&["search", "found.toml", "--jobs", "3", "--threads", "1"]).ok();
    let (expected, end) = (records(&calm), manifest(&calm));

    let disturbed = found();
    let args = [
        "search",
        "found.toml",
        "--jobs",
        "1",
        "--threads",
        "1",
        "--set",
        "checkpoint_every=0.000001",
    ];
    for kills in 1..5 {
        let mut child =
            disturbed.command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let started = Instant::now();
        let folder = disturbed.path("results/found/runs");
        while !folder.exists() || records(&disturbed).len() < kills * 10 {
            assert!(started.elapsed() < Duration::from_secs(120), "it does not come on");
            std::thread::sleep(Duration::from_millis(5));
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let status = disturbed.run(&["status", "results/found"]).ok();
    assert!(status.contains("not running; resume with `actlab search found.toml"), "{status}");
    if records(&disturbed).values().all(|one| one["spec"].get("trial").is_some()) {
        let said = disturbed.run(&["report", "results/found"]).refused();
        assert!(
            said.contains("no run of the final sweep in results/found is finished yet"),
            "{said}"
        );
    }
    let before = records(&disturbed);
    disturbed.run(&args).ok();
    let found = records(&disturbed);
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (name, record) in &found {
        assert_eq!(record["summary"], expected[name]["summary"], "{name}");
    }
    for (name, record) in &before {
        assert_eq!(record["timing"], found[name]["timing"], "{name} was trained again");
    }
    assert_eq!(manifest(&disturbed)["search"], end["search"]);
    assert_eq!(manifest(&disturbed)["runs"], end["runs"]);
}

/// A run that is trained again leads to the same runs behind it: meanwhile they stay part of the search.
#[test]
fn a_damaged_record_costs_no_other_run() {
    let place = found();
    place.run(&["search", "found.toml", "--jobs", "3", "--threads", "1"]).ok();
    let (records, end) = (records(&place), manifest(&place));
    let first = end["search"]["formulas"][0]["runs"][0][0].as_str().unwrap().to_owned();
    let run = records.keys().find(|name| name.ends_with(&first)).unwrap();
    std::fs::write(place.path(&format!("results/found/runs/{run}/record.json")), "").unwrap();
    let before = place.read("results/found/sweep.json");
    let args = ["search", "found.toml", "--jobs", "1", "--threads", "1"];
    let mut child =
        place.command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let started = Instant::now();
    while place.read("results/found/sweep.json") == before {
        assert!(started.elapsed() < Duration::from_secs(120), "it does not come on");
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let listed = place.run(&["results", "results/found"]).ok();
    assert!(!listed.contains("not part"), "{listed}");
    let kept = place.run(&["results", "gc", "results/found", "--yes"]);
    assert!(kept.err.contains("every run in results/found is part of a sweep"), "{kept:?}");
    let status = place.run(&["status", "results/found"]).ok();
    assert!(status.contains("47 of 48") || status.contains("48 of 48"), "{status}");
    place.run(&args).ok();
    let again = manifest(&place);
    assert_eq!((&again["search"], &again["runs"]), (&end["search"], &end["runs"]));
    assert!(again.get("earlier").is_none(), "{again}");
}

#[test]
fn the_seed_decides_what_is_proposed() {
    let formulas = |setting: &str| {
        let place = found();
        place
            .run(&["search", "found.toml", "--set", setting, "--set", "search.generations=1"])
            .ok();
        let all = manifest(&place)["search"]["formulas"].clone();
        let texts =
            all.as_array().unwrap().iter().map(|one| one["formula"].as_str().unwrap().to_owned());
        texts.collect::<Vec<_>>()
    };
    let (one, same, other) =
        (formulas("search.seed=4"), formulas("search.population=6"), formulas("search.seed=5"));
    assert_eq!(one, same);
    assert_ne!(one, other);
    assert_eq!(one[..2], other[..2], "the start is the experiment's");
}

#[test]
fn two_tasks_are_judged_together_and_gates_are_searched_for() {
    let place = place();
    let table = "\n[search]\ngenerations = 2\npopulation = 3\nseeds = [9]\nfirst = 1\nfinalists = 1\n\
        [search.grammar]\ngated = true\n";
    let (before, tasks) = TINY.split_once("[tasks.images]").unwrap();
    place.write("gates.toml", &format!("{before}{table}\n[tasks.images]{tasks}"));
    place.run(&["search", "gates.toml", "--set", "name=gates"]).ok();
    let report = place.read("results/gates/report.md");
    let section = section(&report);
    assert!(section.contains("by mean rank over tasks"), "{section}");
    assert!(section.contains("* value`"), "{section}");
    assert!(section.contains("p (12 tests), images"), "{section}");
}

#[test]
fn the_plan_says_what_is_trained_at_most() {
    let place = found();
    let plan = place.run(&["search", "found.toml", "--dry-run"]).ok();
    assert!(plan.contains("48 runs, 0 of them done"), "{plan}");
    assert!(plan.contains("at most 12 formulas, 6 in each of 2 generations"), "{plan}");
    assert!(plan.contains("(formulas of the") && plan.contains("(finalists)"), "{plan}");
    assert!(!place.path("results").exists());
}

#[test]
fn wrong_specs_say_what_would_be_right() {
    let place = found();
    let settings = [
        "search.generations=0",
        "search.population=\"many\"",
        "search.population=100001",
        "search.parents=0",
        "search.finalists=13",
        "search.first=0",
        "search.eta=1",
        "search.seeds=[]",
        "search.seeds=[7, 7]",
        "search.seeds=[2]",
        "search.start=[\"relu\", \"tanhh\"]",
        "search.start=[\"erf\"]",
        "search.start=[\"swiglu\"]",
        "search.start=[\"prelu\"]",
        "search.start=[\"x\", \"x\", \"x\", \"x\", \"x\", \"x\", \"x\"]",
        "search.rungs=3",
        "search.grammar.functions=[\"tanh\", \"sigmiod\"]",
        "search.grammar.functions=[]",
        "search.grammar.operators=[\"^\"]",
        "search.grammar.constants=[1e9]",
        "search.grammar.max_operations=101",
        "search.grammar.depth=0",
        "search.grammar.deepest=3",
        "sequential={ max_seeds = 9 }",
        "tune={ method = \"grid\", parameters = { training = { warmup = { values = [0.1] } } } }",
        "activations=[\"relu\", { name = \"found_3\", formula = \"x * tanh(x)\" }]",
    ];
    let mut said: Vec<String> = settings
        .iter()
        .map(|setting| {
            place.run(&["search", "found.toml", "--dry-run", "--set", setting]).refused()
        })
        .collect();
    said.push(place.run(&["sweep", "found.toml"]).refused());
    said.push(place.run(&["search", "tiny.toml"]).refused());
    said.push(place.run(&["plan", "found.toml", "--effect", "1"]).refused());
    assert_snapshot!(said.join(""));
    assert!(!place.path("results").exists());
}
