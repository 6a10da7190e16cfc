//! Sweep files of W&B's.

use crate::support::{Place, place};
use serde_json::Value;

const BASE: &str = r#"
name = "b"
activations = ["relu"]
seeds = [1]
[tasks.t]
model = { name = "resnet", depth = 8, width = 4 }
data = { name = "fashion-mnist-mini", train_limit = 128 }
training = { batch_size = 128, budget = { epochs = 4 }, optimizer = { name = "sgd" }, learning_rate = 0.1 }
"#;

/// A sweep file with these parameters, and further lines before them.
fn grid(place: &Place, before: &str, parameters: &str) {
    let text = format!("program: base.toml\nmethod: grid\n{before}parameters:\n{parameters}");
    place.write("s.yaml", &text);
}

fn base() -> Place {
    let place = place();
    place.write("base.toml", BASE);
    place
}

fn manifest(place: &Place) -> Value {
    serde_json::from_str(&place.read("results/b/sweep.json")).unwrap()
}

fn specs(place: &Place) -> Vec<Value> {
    let runs = std::fs::read_dir(place.path("results/b/runs")).unwrap();
    let spec = |run: std::io::Result<std::fs::DirEntry>| {
        let text = std::fs::read_to_string(run.unwrap().path().join("spec.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    };
    runs.map(spec).collect()
}

#[test]
fn a_random_search_with_a_constant_is_planned() {
    let place = base();
    let yaml = "program: base.toml\nmethod: random\nname: from-wandb\nrun_cap: 17\nparameters:\n  \
                activation: {values: [relu, silu, 'leaky_relu(slope=0.2)']}\n  seed: {value: 5}\n  \
                lr: {min: 0.01, max: 0.5}\n  warmup: {value: 0.25}\n";
    place.write("sweep.yaml", yaml);
    let plan = place.run(&["sweep", "sweep.yaml", "--dry-run"]).ok();
    // One trial under each of three seeds, and one final run, of each arm.
    assert!(plan.contains("12 runs, 0 of them done"), "{plan}");
    assert!(plan.contains("leaky_relu(slope=0.2)"), "{plan}");
    assert!(plan.contains("results/from-wandb"), "{plan}");
}

#[test]
fn brackets_count_the_evaluations_that_the_sweep_itself_sets() {
    let place = base();
    place.write("base.toml", &BASE.replace("epochs = 4", "epochs = 3"));
    let early = "early_terminate: {type: hyperband, min_iter: 3, eta: 2}\n";
    grid(&place, early, "  epochs: {value: 7}\n  learning_rate: {values: [0.05, 0.1]}\n");
    place.run(&["sweep", "s.yaml"]).ok();
    // A step is an epoch, and an evaluation.
    let mut steps: Vec<u64> =
        specs(&place).iter().filter_map(|spec| spec["trial"]["steps"].as_u64()).collect();
    steps.sort_unstable();
    steps.dedup();
    assert_eq!(steps, [3, 6, 7]);
}

#[test]
fn trials_of_equal_specs_share_their_runs() {
    let place = base();
    // 0.9 is the momentum where none is given.
    let momentum = "  optimizer: {values: [{name: sgd}, {name: sgd, momentum: 0.9}]}\n";
    grid(&place, "", momentum);
    let said = place.run(&["sweep", "s.yaml", "--jobs", "2"]);
    assert!(said.err.contains("b: 4 runs, 0 of them done"), "{}", said.err);
    said.ok();
    assert_eq!(specs(&place).len(), 4, "three seeds of one trial, and a final run");
    assert_eq!(manifest(&place)["tuning"]["trials"].as_array().unwrap().len(), 2);
}

#[test]
fn equal_values_count_once() {
    let place = base();
    grid(&place, "", "  weight_decay: {values: [1e-6, 0.0000001, 1e-7]}\n");
    let said = place.run(&["sweep", "s.yaml", "--dry-run"]);
    assert!(
        said.err.contains("parameters.weight_decay: one of the values is equal"),
        "{}",
        said.err
    );
    assert!(said.ok().contains("7 runs, 0 of them done"));
}

#[test]
fn a_seed_more_keeps_trials_and_choices() {
    let place = base();
    let sweep = |seeds: &str, args: &[&str]| {
        grid(
            &place,
            "",
            &format!("  seed: {{values: {seeds}}}\n  learning_rate: {{values: [0.05, 0.1]}}\n"),
        );
        place.run(&[&["sweep", "s.yaml"], args].concat()).ok()
    };
    sweep("[1, 2]", &[]);
    let chosen = |manifest: &Value| {
        let trials = manifest["tuning"]["trials"].as_array().unwrap();
        trials.iter().find(|trial| trial["chosen"] == true).unwrap()["values"].clone()
    };
    let before = manifest(&place);
    let plan = sweep("[1, 2, 3]", &["--dry-run"]);
    assert!(plan.contains("9 runs, 8 of them done"), "{plan}");
    sweep("[1, 2, 3]", &[]);
    let after = manifest(&place);
    assert_eq!(before["tuning"]["seeds"], after["tuning"]["seeds"]);
    assert_eq!(chosen(&before), chosen(&after));
}

#[test]
fn null_leaves_a_key_out() {
    let place = base();
    place.write("base.toml", &BASE.replace("learning_rate", "clip_norm = 2.0, learning_rate"));
    grid(&place, "", "  clip_norm: {values: [null, 1.0]}\n");
    place.run(&["sweep", "s.yaml"]).ok();
    let mut norms: Vec<Option<String>> = specs(&place)
        .iter()
        .filter(|spec| spec.get("trial").is_some())
        .map(|spec| spec["training"].get("clip_norm").map(Value::to_string))
        .collect();
    norms.sort();
    norms.dedup();
    assert_eq!(norms, [None, Some("1.0".to_owned())]);
    // A value of null is as if the parameter were absent.
    grid(&place, "", "  clip_norm: {value: null}\n");
    assert!(place.run(&["sweep", "s.yaml", "--dry-run"]).ok().contains("1 runs"));
    // The same in an experiment file.
    place.write(
        "base.toml",
        &format!(
            "{BASE}\n[tune]\nmethod = \"grid\"\nparameters.\"training.clip_norm\" = {{ values = [{{ unset = true }}, 1.0] }}\n"
        ),
    );
    assert!(place.run(&["sweep", "base.toml", "--dry-run"]).ok().contains("7 runs"));
}

/// Errors that are found when the experiment is planned name the sweep file and its key.
#[test]
fn errors_name_the_sweep_file_and_its_key() {
    let place = base();
    let halving = "early_terminate: {type: hyperband, min_iter: 4}\n";
    let cases = [
        ("", "  activation: {values: [relu, gellu]}\n"),
        ("", "  seed: {values: [1000001, 1]}\n  lr: {values: [0.1, -0.2]}\n"),
        ("", "  warmup: {value: 2}\n"),
        ("", "  training: {parameters: {warmup: {values: [0.1, 2]}}}\n"),
        ("", "  dropout: {value: 0.1}\n"),
        ("", "  tasks.u.lr: {value: 0.1}\n"),
        ("", "  tasks.u.lr: {values: [0.1, 0.2]}\n"),
        ("", "  batch_size: {values: [64, 129]}\n"),
        ("", "  batch_size: {value: 1000000000000000000}\n"),
        ("", "  learning_rate: {values: [null, 0.1]}\n"),
        ("", "  learning_rate: {values: [null]}\n"),
        ("", "  optimizer.name: {values: [adamw, sgd]}\n  momentum: {values: [0.8, 0.9]}\n"),
        (halving, "  lr: {values: [0.1, 0.2]}\n"),
        (halving, "  epochs: {values: [9, 27]}\n"),
        ("name: a/b\n", "  lr: {value: 0.1}\n"),
        ("", "  data: {value: {name: cifar}}\n"),
        ("", "  data: {values: [{name: mnist}, {name: mnits}]}\n"),
        ("", "  data.name: {value: mnits}\n"),
        ("", "  tasks.t.data: {parameters: {name: {values: [mnits]}}}\n"),
        ("", "  data: {value: {name: table, path: nowhere.csv}}\n"),
        ("metric: {name: validation/loss}\n", "  lr: {value: 0.1}\n"),
    ];
    let mut said = Vec::new();
    for (before, parameters) in cases {
        grid(&place, before, parameters);
        said.push(place.run(&["sweep", "s.yaml", "--dry-run"]).refused());
    }
    place.write("base.toml", &format!("baseline = \"relu\"\n{BASE}"));
    grid(&place, "", "  activation: {value: gelu}\n");
    said.push(place.run(&["sweep", "s.yaml", "--dry-run"]).refused());
    place.run(&["sweep", "s.yaml", "--dry-run", "--set", "baseline=gelu"]).ok();
    place
        .write("base.toml", &format!("{BASE}\n[[overrides]]\nactivation = \"silu\"\nset = {{}}\n"));
    said.push(place.run(&["sweep", "s.yaml", "--dry-run"]).refused());
    // One of an activation that the sweep file leaves out concerns no run.
    place
        .write("base.toml", &format!("{BASE}\n[[overrides]]\nactivation = \"relu\"\nset = {{}}\n"));
    place.run(&["sweep", "s.yaml", "--dry-run"]).ok();
    let tune =
        "[tune]\nmethod = \"grid\"\nparameters.training.learning_rate = { values = [1, 2] }\n";
    place.write("base.toml", &format!("{BASE}\n{tune}"));
    grid(&place, "", "  lr: {value: 0.1}\n");
    said.push(place.run(&["sweep", "s.yaml", "--dry-run"]).refused());
    // What lies upon the sweep file is not its fault.
    place.write("base.toml", BASE);
    grid(&place, "", "  lr: {value: 0.1}\n");
    let set = ["sweep", "s.yaml", "--dry-run", "--set", "baseline=relu", "--set", "seeds=[-1]"];
    said.push(place.run(&set).refused());
    insta::assert_snapshot!(said.join(""));
}
