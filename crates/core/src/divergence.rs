//! When a run has diverged.

use record::{Divergence, TrainStep};
use std::collections::VecDeque;

/// Most steps that [`Divergence::window`] may name: their losses are kept in checkpoints.
pub(crate) const LONGEST_WINDOW: u64 = 100_000;

/// Why a run ends as diverged after `step`: its loss or gradient is NaN or infinite.
pub(crate) fn not_finite(step: &TrainStep) -> Option<String> {
    let what = match (step.loss.is_finite(), step.gradient_norm.is_finite()) {
        (false, _) => "loss",
        (true, false) => "gradient",
        (true, true) => return None,
    };
    Some(format!("the {what} is not finite"))
}

/// Adds the training loss of a step to those that `rule` will look at when training ends.
pub(crate) fn remember(rule: Option<Divergence>, recent: &mut VecDeque<f64>, loss: f64) {
    let Some(Divergence { window, .. }) = rule else { return };
    recent.push_back(loss);
    while recent.len() as u64 > window {
        recent.pop_front();
    }
}

/// Why a run that has ended with the training losses `recent` (in nats) counts as diverged by `rule`, where it
/// does; `guessing` is the loss of a network that has learned nothing.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub(crate) fn at_the_end(
    rule: Option<Divergence>,
    recent: &VecDeque<f64>,
    guessing: f64,
) -> Option<String> {
    let Divergence { ratio, .. } = rule?;
    let steps = recent.len();
    let mean = recent.iter().sum::<f64>() / steps as f64;
    (mean > ratio * guessing).then(|| {
        format!(
            "the training loss of the last {steps} steps averages {mean:.3}, more than {ratio} times that of guessing ({guessing:.3})"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(loss: f64, gradient_norm: f64) -> TrainStep {
        TrainStep {
            step: 1,
            epoch: 1.0,
            loss,
            metrics: record::Metrics::default(),
            learning_rate: 0.1,
            gradient_norm,
            seconds: 0.0,
        }
    }

    #[test]
    fn nan_and_infinity_are_divergence_and_large_numbers_are_not() {
        assert_eq!(not_finite(&step(1e30, 1e300)), None);
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(not_finite(&step(bad, 1.0)).unwrap(), "the loss is not finite");
            assert_eq!(not_finite(&step(1.0, bad)).unwrap(), "the gradient is not finite");
        }
    }

    #[test]
    fn the_mean_of_the_last_losses_is_compared_with_guessing() {
        let rule = Some(Divergence { ratio: 2.0, window: 3 });
        let end = |rule, losses: &[f64], classes: f64| {
            let mut recent = VecDeque::new();
            losses.iter().for_each(|loss| remember(rule, &mut recent, *loss));
            at_the_end(rule, &recent, libm::log(classes))
        };
        // ln 2 = 0.693, twice that is 1.386; the first two losses are outside of the window.
        assert_eq!(end(rule, &[100.0, 100.0, 1.3, 1.4, 1.4], 2.0), None);
        let reason = end(rule, &[0.0, 0.0, 1.3, 1.4, 1.5], 2.0).unwrap();
        assert!(reason.contains("last 3 steps averages 1.400"), "{reason}");
        assert!(reason.contains("2 times that of guessing (0.693)"), "{reason}");
        // A run shorter than the window, and more classes.
        assert!(end(rule, &[1.4], 2.0).is_some());
        assert_eq!(end(rule, &[1.4], 10.0), None);
        assert_eq!(end(None, &[100.0], 2.0), None);
    }
}
