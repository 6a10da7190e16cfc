//! Experiment files, sweep files of W&B's and `--set` with accidental changes: each is planned or refused.

use super::change::{Dice, mutated, value};
use super::survive::{Call, Case, survives};
use crate::support::Place;

/// A sweep whose plan takes milliseconds.
const PLAIN: &str = r#"name = "small"
activations = ["relu", { name = "silu", beta = 1.5 }]
baseline = "relu"
seeds = [1, 2]
margin = 0.5
jobs = 1
threads = 1
checkpoint_every = 60
overrides = [{ task = "t", set = { training = { warmup = 0.1 } } }]

[tasks.t]
model = { name = "resnet", depth = 8, width = 2 }
data = { name = "fashion-mnist-mini", train_limit = 32 }

[tasks.t.training]
batch_size = 16
budget = { epochs = 2 }
optimizer = { name = "sgd", momentum = 0.9 }
learning_rate = 0.1
weight_decay = 5e-4
schedule = "cosine"
clip_norm = 1.0
patience = 3
site_statistics = { examples = 8, every = 1 }
"#;

const TUNE: &str = r#"
[tune]
method = "quasi_random"
trials = 4
seeds = [11, 12]
search_seed = 3
early_stop = { policy = "successive_halving", first = 0.5, eta = 2 }

[tune.parameters]
"training.learning_rate" = { min = 0.01, max = 1.0, scale = "log" }
"training.batch_size" = { min = 2, max = 8, integer = true }
"training.warmup" = { values = [0.0, 0.25] }
"#;

const SEQUENTIAL: &str = "\n[sequential]\nmax_seeds = 12\nlooks = [2, 6]\n";

const GRID: &str = "program: small.toml
method: grid
name: swept
metric: {name: validation/accuracy, goal: maximize}
run_cap: 200
parameters:
  activation: {values: [relu, gelu]}
  seed: {values: [1, 2]}
  lr: {values: [0.1, 0.2]}
  batch_size: {min: 2, max: 4}
  clip_norm: {values: [null, 1.0]}
  epochs: {value: 9}
early_terminate: {type: hyperband, min_iter: 3, eta: 3}
";

const RANDOM: &str = "program: small.toml
method: random
run_cap: 60
parameters:
  seed: {distribution: int_uniform, min: 0, max: 3}
  learning_rate: {distribution: log_uniform, min: -5, max: -1}
  weight_decay: {distribution: log_uniform_values, min: 1.0e-5, max: 0.1}
  warmup: {min: 0.1, max: 0.5}
  training:
    parameters:
      optimizer:
        parameters:
          momentum: {values: [0.5, 0.9]}
  optimizer.name: {value: sgd}
early_terminate: {type: hyperband, max_iter: 2, s: 1, eta: 2}
";

/// Keys for `--set`, of which some lead nowhere.
const KEYS: &[&str] = &[
    "activations",
    "activations[1].beta",
    "baseline",
    "checkpoint_every",
    "device",
    "family",
    "jobs",
    "margin",
    "memory_limit",
    "overrides[0].set.training.batch_size",
    "overrides[7].task",
    "retries",
    "seeds",
    "seeds[0]",
    "seeds[99999]",
    "seeds[-3]",
    "sequential.max_seeds",
    "slurm.runs_per_task",
    "system_metrics",
    "tasks.t.data.train_limit",
    "tasks.t.model.depth",
    "tasks.t.model.width",
    "tasks.t.training.batch_size",
    "tasks.t.training.budget.epochs",
    "tasks.t.training.budget.steps",
    "tasks.t.training.clip_norm",
    "tasks.t.training.divergence.ratio",
    "tasks.t.training.divergence.window",
    "tasks.t.training.evaluate_every",
    "tasks.t.training.label_smoothing",
    "tasks.t.training.learning_rate",
    "tasks.t.training.optimizer",
    "tasks.t.training.optimizer.momentum",
    "tasks.t.training.optimizer.name",
    "tasks.t.training.patience",
    "tasks.t.training.site_statistics.every",
    "tasks.t.training.site_statistics.examples",
    "tasks.t.training.target_accuracy",
    "tasks.t.training.warmup",
    "tasks.t.training.weight_decay",
    "threads",
    "time_limit",
    "tune.early_stop.eta",
    "tune.early_stop.first",
    "tune.method",
    "tune.parameters.training.learning_rate.max",
    "tune.search_seed",
    "tune.seeds",
    "tune.trials",
    "wandb.mode",
];

fn dry_run(file: &str) -> Call {
    Call::new(&["sweep", file, "--dry-run"], &[0, 2])
}

/// The case of a file with `bytes`.
fn planned(place: &Place, file: &str, bytes: &[u8]) -> Case {
    std::fs::write(place.path(file), bytes).unwrap();
    Case { calls: vec![dry_run(file)], input: String::from_utf8_lossy(bytes).into_owned() }
}

fn experiment(dice: &mut Dice) -> String {
    format!("{PLAIN}{}", dice.pick(&["", TUNE, SEQUENTIAL]))
}

/// 120 cases, 1 to 3 changes each, of an experiment alone, with `[tune]`, and with `[sequential]`.
#[test]
fn changed_experiments_are_planned_or_refused() {
    survives(120, 1, |place, dice| {
        let text = experiment(dice);
        planned(place, "case.toml", &mutated(text, dice))
    });
}

/// 120 cases of a grid and a random search.
#[test]
fn changed_sweep_files_are_planned_or_refused() {
    survives(120, 2, |place, dice| {
        place.write("small.toml", PLAIN);
        let text = dice.pick(&[GRID, RANDOM]);
        planned(place, "case.yaml", &mutated(text, dice))
    });
}

/// 120 cases, one or two settings each.
#[test]
fn any_setting_is_planned_or_refused() {
    survives(120, 3, |place, dice| {
        let text = experiment(dice);
        place.write("case.toml", &text);
        let mut call = dry_run("case.toml");
        for _ in 0..1 + dice.below(2) {
            let setting = format!("{}={}", dice.pick(KEYS), value(dice));
            call = call.with(&["--set", &setting]);
        }
        Case { calls: vec![call], input: text }
    });
}
