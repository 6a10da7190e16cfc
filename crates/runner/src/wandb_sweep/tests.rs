use super::*;

const BASE: &str = r#"
        activations = ["relu"]
        seeds = [1, 2]
        [tasks.images.training]
        budget = { epochs = 9 }
    "#;

fn changes(text: &str) -> Result<String, String> {
    let base = |_: &Path| Ok(toml::from_str(BASE).unwrap());
    read(Path::new("sweep.yaml"), text, &base)
        .map(|changes| {
            let notes = changes.notes.iter().map(|note| format!("note: {note}"));
            let settings = changes.settings.iter().map(Setting::shown);
            settings.chain(notes).collect::<Vec<_>>().join("\n")
        })
        .map_err(|error| error.to_string())
}

#[test]
fn a_sweep_file_becomes_an_experiment() {
    let text = "
program: experiments/quick.toml
method: random
name: lr
project: acts
metric:
  name: validation/accuracy
  goal: maximize
run_cap: 40
parameters:
  activation:
    values: [relu, gelu]
  seed:
    values: [1, 2]
  learning_rate:
    distribution: log_uniform_values
    min: 0.001
    max: 1
  batch_size:
    min: 16
    max: 64
  training:
    parameters:
      optimizer:
        parameters:
          momentum:
            values: [0.8, 0.9]
  weight_decay:
    value: 5.0e-4
early_terminate:
  type: hyperband
  min_iter: 3
";
    insta::assert_snapshot!(changes(text).unwrap());
}

/// The primary metric of a task's objective, with its own direction.
#[test]
fn trials_are_compared_by_the_primary_metric_of_the_objective() {
    let metric = |objectives: &[&str], metric: &str| {
        let tasks: String = objectives
            .iter()
            .enumerate()
            .map(|(i, objective)| format!("[tasks.t{i}]\nobjective = {objective}\n"))
            .collect();
        let base = |_: &Path| Ok(toml::from_str(&tasks).unwrap());
        let text = format!(
            "program: a.toml\nmethod: grid\nmetric: {{{metric}}}\nparameters: {{lr: {{values: [0.1, 0.2]}}}}\n"
        );
        read(Path::new("sweep.yaml"), &text, &base)
            .map(|changes| changes.notes.join(""))
            .map_err(|error| error.to_string())
    };
    let [causal, masked] = ["\"causal_lm\"", "{ name = \"masked_lm\", masked = 0.2 }"];
    let bits = "name: validation/bits_per_byte";
    for (objectives, right) in [
        (&[causal][..], format!("{bits}, goal: minimize")),
        (&[masked], "name: validation/loss, goal: minimize".to_owned()),
        (&["\"classification\""], "name: validation/accuracy, goal: maximize".to_owned()),
        // W&B's own default.
        (&[causal], bits.to_owned()),
    ] {
        assert_eq!(metric(objectives, &right).as_deref(), Ok(""), "{right}");
    }
    assert_eq!(
        metric(&[causal, masked], &format!("{bits}, goal: minimize")).as_deref(),
        Ok("metric.name: trials on tasks with another objective are compared by validation/loss")
    );
    for (objectives, wrong, reason) in [
        (
            &[causal][..],
            format!("{bits}, goal: maximize"),
            "metric.goal: must be minimize, not maximize: validation/bits_per_byte is better where it is lower",
        ),
        (
            &[causal],
            "name: validation/accuracy, goal: maximize".to_owned(),
            "metric.name: trials are compared by the primary metric of each task, which is not `validation/accuracy`; \
             write validation/bits_per_byte (minimize)",
        ),
        (
            &[causal, masked],
            "name: validation/bits_per_bite".to_owned(),
            "which is not `validation/bits_per_bite` (did you mean `validation/bits_per_byte`?); write \
             validation/bits_per_byte (minimize) or validation/loss (minimize)",
        ),
    ] {
        let said = metric(objectives, &wrong).unwrap_err();
        assert!(said.contains(reason), "{said}");
    }
}

#[test]
fn activations_and_seeds_alone_need_no_tuning() {
    let text = "program: a.toml\nmethod: grid\nparameters:\n  activation: {values: [relu, gelu]}\n  seed: {values: [5]}\n";
    assert_eq!(changes(text).unwrap(), "activations = [\"relu\", \"gelu\"]\nseeds = [5]");
}

const SEVEN: [&str; 7] = [
    "epochs: {min: 1, max: 1000}",
    "batch_size: {min: 1, max: 1000}",
    "clip_norm: {min: 1, max: 1000}",
    "lr: {min: 1, max: 1000}",
    "warmup: {min: 1, max: 1000}",
    "weight_decay: {min: 1, max: 1000}",
    "dropout: {min: 1, max: 1000}",
];

#[test]
fn what_holds_though_it_may_not_be_expected_is_noted() {
    let text = "
program: a.toml
method: random
metric: {name: validation/accuracy}
run_cap: 20
parameters:
  seed: {distribution: int_uniform, min: 0, max: 4}
  lr: {distribution: log_uniform, min: 0.0001, max: 0.1}
  weight_decay: {values: [1.0e-6, 0.0000001, 1.0e-7]}
  clip_norm: {values: [null, 1.0]}
  label_smoothing: {value: null}
  optimizer.name: {value: sgd}
  momentum: {value: 0.8}
";
    insta::assert_snapshot!(changes(text).unwrap());
}

#[test]
fn what_cannot_be_honoured_is_refused() {
    let grid = "program: a.toml\nmethod: grid\nparameters: {lr: {values: [0.1, 0.2]}}\n";
    let random =
        "program: a.toml\nmethod: random\nrun_cap: 20\nparameters: {lr: {min: 0.1, max: 0.2}}\n";
    let cases = [
        grid.replace("a.toml", "train.py"),
        grid.replace("method: grid", "method: bayes"),
        format!("{grid}command: [python, train.py]\n"),
        format!("{grid}metric: {{name: val_loss, goal: minimize}}\n"),
        format!("{grid}metric: {{name: validation/accuracy, goal: minimize}}\n"),
        format!("{grid}metric: {{name: validation/acuracy, goal: maximize}}\n"),
        grid.replace("lr:", "layers:"),
        grid.replace("[0.1, 0.2]", "[0.1, 0.2], probabilities: [0.5, 0.5]"),
        grid.replace("values: [0.1, 0.2]", "min: 0.1, max: 0.2"),
        grid.replace("values: [0.1, 0.2]", "mu: 0, sigma: 1, distribution: normal"),
        format!("{grid}run_cap: 5\n"),
        random.replace("run_cap: 20\n", ""),
        random.replace("run_cap: 20", "run_cap: 3"),
        format!("{random}early_terminate: {{type: median}}\n"),
        format!("{random}early_terminate: {{type: hyperband, min_iter: 3, strict: false}}\n"),
        "program: a.toml\n\tmethod".to_owned(),
        format!("{random}early_terminate: {{type: hyperband, min_iter: 0.5}}\n"),
        format!("{random}early_terminate: {{type: hyperband, max_iter: 2, s: 3}}\n"),
        format!("{random}early_terminate: {{type: hyperband, min_iter: 3, eta: 1}}\n"),
        grid.replace("values: [0.1, 0.2]", "min: 0.1, max: 0.2, q: 0.1, distribution: q_uniform"),
        grid.replace("values: [0.1, 0.2]", "min: 0.1, max: 1000, distribution: log_uniform"),
        grid.replace("values: [0.1, 0.2]", "min: -1000, max: 0, distribution: log_uniform"),
        grid.replace("values: [0.1, 0.2]", "min: low, max: 0, distribution: uniform"),
        grid.replace("values: [0.1, 0.2]", "min: .inf, max: 0"),
        grid.replace("lr: {values: [0.1, 0.2]}", "epochs: {min: -9223372036854775808, max: 1}"),
        grid.replace("lr: {values: [0.1, 0.2]}", "epochs: {min: 1, max: 18446744073709551615}"),
        grid.replace("lr: {values: [0.1, 0.2]}", "epochs: {min: 1, max: 2000}"),
        grid.replace("values: [0.1, 0.2]", "values: []"),
        grid.replace("{values: [0.1, 0.2]}", "0.1"),
        grid.replace("lr:", "lr: {value: 3}, learning_rate:"),
        grid.replace("lr:", "lr: {value: 3}, lr:"),
        grid.replace("lr:", "epochs: {value: 3}, steps:"),
        grid.replace("lr:", "lr: {value: 3}, tasks.images.lr:"),
        grid.replace("lr: {values: [0.1, 0.2]}", "optimizer: {value: sgd}"),
        grid.replace("lr: {values: [0.1, 0.2]}", "optimizer: {values: [adam, sgd]}"),
        grid.replace("lr: {values: [0.1, 0.2]}", "batch_size: {value: \"64\"}"),
        grid.replace("lr: {values: [0.1, 0.2]}", "seed: {values: [18446744073709551615]}"),
        grid.replace("lr: {values: [0.1, 0.2]}", "seed: {min: 0, max: 1000000}"),
        grid.replace("lr: {values: [0.1, 0.2]}", "activation: {min: 0, max: 3}"),
        grid.replace("lr: {values: [0.1, 0.2]}", "tasks: {value: 3}"),
        grid.replace("lr: {values: [0.1, 0.2]}", &SEVEN.join(", ")),
        random.replace("run_cap: 20", "run_cap: 18446744073709551615"),
        random.replace("run_cap: 20", "run_cap: 18446744073709551616"),
        random.replace("run_cap: 20", "run_cap: 10000000000000"),
    ];
    let messages: Vec<String> = cases.iter().map(|case| changes(case).unwrap_err()).collect();
    insta::assert_snapshot!(messages.join("\n"));
}
