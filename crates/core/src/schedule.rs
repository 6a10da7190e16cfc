use record::{ScheduleSpec, TrainingSpec};
use std::f64::consts::PI;

/// Learning rate of optimizer step `step` (from 1) of `total`.
///
/// It rises linearly over the first `warmup · total` steps, reaching its peak at the last of them,
/// then follows the schedule, which would reach zero one step after the last.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "steps are far below 2^52")]
pub fn learning_rate(training: &TrainingSpec, step: u64, total: u64) -> f64 {
    let warmup = (training.warmup * total as f64).round();
    let step = step as f64;
    if step <= warmup {
        return training.learning_rate * step / warmup;
    }
    // Steps after the warm-up: the first has progress 0.
    let progress = (step - warmup - 1.0) / (total as f64 - warmup).max(1.0);
    training.learning_rate
        * match training.schedule {
            ScheduleSpec::Constant => 1.0,
            ScheduleSpec::Cosine => f64::midpoint(1.0, libm::cos(PI * progress)),
            ScheduleSpec::Linear => 1.0 - progress,
        }
}

#[cfg(test)]
mod tests {
    use super::*;
    use record::{Budget, OptimizerSpec, SiteStatistics};

    fn training(schedule: ScheduleSpec, warmup: f64) -> TrainingSpec {
        TrainingSpec {
            batch_size: 1,
            budget: Budget::Steps(10),
            optimizer: OptimizerSpec::Sgd { momentum: 0.9, nesterov: false },
            learning_rate: 2.0,
            weight_decay: 0.0,
            schedule,
            warmup,
            label_smoothing: 0.0,
            clip_norm: None,
            evaluate_every: None,
            patience: None,
            target_accuracy: None,
            divergence: None,
            site_statistics: SiteStatistics::default(),
        }
    }

    fn rates(schedule: ScheduleSpec, warmup: f64) -> Vec<f64> {
        let training = training(schedule, warmup);
        (1..=10).map(|step| learning_rate(&training, step, 10)).collect()
    }

    #[test]
    fn warmup_reaches_the_peak() {
        let rates = rates(ScheduleSpec::Constant, 0.5);
        assert_eq!(&rates[..6], [0.4, 0.8, 1.2, 1.6, 2.0, 2.0]);
    }

    #[test]
    fn schedules_fall_from_the_peak_towards_zero() {
        assert_eq!(rates(ScheduleSpec::Constant, 0.0), [2.0; 10]);
        let linear = rates(ScheduleSpec::Linear, 0.2);
        assert_eq!(&linear[1..4], [2.0, 2.0, 1.75]);
        assert!((linear[9] - 0.25).abs() < 1e-12);
        let cosine = rates(ScheduleSpec::Cosine, 0.0);
        assert_eq!(cosine[0], 2.0);
        assert!((cosine[5] - 1.0).abs() < 1e-12);
        assert!(cosine.windows(2).all(|pair| pair[0] > pair[1]));
    }
}
