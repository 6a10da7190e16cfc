//! What reads experiments, for fuzzing: any text is read or refused, and nothing panics.

use crate::experiment::Experiment;

/// The experiment that a sweep file varies, whatever its `program` is called.
const BASE: &str = r#"
name = "small"
activations = ["relu", "gelu"]
seeds = [1, 2]

[tasks.t]
model = { name = "resnet", depth = 8, width = 2 }
data = { name = "fashion-mnist-mini", train_limit = 32 }

[tasks.t.training]
batch_size = 16
budget = { epochs = 2 }
optimizer = { name = "sgd", momentum = 0.9 }
learning_rate = 0.1
"#;

/// Whether `text` is an experiment file.
#[must_use]
pub fn experiment(text: &str) -> bool {
    Experiment::of_text(text).is_ok()
}

/// Whether `text` is a sweep file of W&B that varies a small experiment.
#[must_use]
pub fn wandb_sweep(text: &str) -> bool {
    Experiment::of_sweep(text, BASE).is_ok()
}
