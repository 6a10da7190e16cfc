//! Whether a recipe makes sense.

use crate::Error;
use crate::data::{Dataset, Inputs};
use crate::divergence::LONGEST_WINDOW;
use record::{Augmentation, OptimizerSpec, RunSpec};

/// Refuses recipes that make no sense.
///
/// # Errors
/// What is wrong first, with its key below `training` (or `data`).
#[expect(clippy::cast_possible_truncation, reason = "burn holds these as f32")]
pub fn check(spec: &RunSpec, data: &Dataset) -> Result<(), Error> {
    let training = &spec.training;
    let positive = |x: f64| x > 0.0 && x.is_finite() && (x as f32).is_finite();
    let fraction = |x: f64| (0.0..1.0).contains(&x);
    let mut checks = vec![
        ("batch_size", training.batch_size >= 1, "must be 1 or more"),
        ("budget", training.budget.steps(1) >= 1, "must be 1 or more"),
        ("budget", training.budget.steps(1) < 1 << 40, "is more than any run can do"),
        ("learning_rate", positive(training.learning_rate), "must be a number above 0"),
        (
            "warmup",
            fraction(training.warmup),
            "must be at least 0 and below 1: a part of all steps",
        ),
        ("label_smoothing", fraction(training.label_smoothing), "must be at least 0 and below 1"),
        (
            "weight_decay",
            training.weight_decay == 0.0 || positive(training.weight_decay),
            "must be a number of at least 0",
        ),
        ("clip_norm", training.clip_norm.is_none_or(positive), "must be a number above 0"),
        ("evaluate_every", training.evaluate_every != Some(0), "must be 1 or more"),
        ("patience", training.patience != Some(0), "must be 1 or more"),
        (
            "target_accuracy",
            training.target_accuracy.is_none_or(|target| target > 0.0 && target <= 1.0),
            "must be above 0 and at most 1: a part of all examples",
        ),
        (
            "divergence.ratio",
            training.divergence.is_none_or(|rule| rule.ratio >= 1.0 && rule.ratio.is_finite()),
            "must be a number of at least 1: a multiple of the loss of guessing",
        ),
        (
            "divergence.window",
            training.divergence.is_none_or(|rule| (1..=LONGEST_WINDOW).contains(&rule.window)),
            "must be from 1 to 100000: a number of steps",
        ),
        ("site_statistics.every", training.site_statistics.every >= 1, "must be 1 or more"),
    ];
    match training.optimizer {
        OptimizerSpec::Sgd { momentum, nesterov } => checks.extend([
            ("optimizer.momentum", fraction(momentum), "must be at least 0 and below 1"),
            ("optimizer.nesterov", !nesterov || momentum > 0.0, "needs a momentum above 0"),
        ]),
        OptimizerSpec::Adamw { beta1, beta2, epsilon } => checks.extend([
            ("optimizer.beta1", fraction(beta1), "must be at least 0 and below 1"),
            ("optimizer.beta2", fraction(beta2), "must be at least 0 and below 1"),
            (
                "optimizer.epsilon",
                positive(epsilon) && (epsilon as f32).is_normal(),
                "must be a number above 1e-37",
            ),
        ]),
    }
    for (key, right, reason) in checks {
        if !right {
            return Err(Error::spec(key, reason));
        }
    }
    if spec.data.augmentation != Augmentation::None && matches!(data.train.inputs, Inputs::Text(_))
    {
        return Err(Error::spec("data.augmentation", "is for images, and the data set holds text"));
    }
    Ok(())
}
