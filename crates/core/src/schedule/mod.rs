//! The learning rate over time.

mod constant;
mod cosine;
mod linear;

pub use constant::Constant;
pub use cosine::Cosine;
pub use linear::Linear;

use crate::Error;
use crate::component::{self, Definition, Entry, Registration};
use record::{Component, TrainingSpec};
use std::fmt::Debug;

/// How the learning rate goes after the warm-up.
pub trait Schedule: Debug + Send + Sync {
    /// The part of the peak after `progress`, which is 0 at the first step after the warm-up and would be 1 one step
    /// after the last.
    fn factor(&self, progress: f64) -> f64;
}

/// A registered schedule.
#[derive(Debug)]
pub struct ScheduleRegistration {
    entry: Entry,
    build: fn(&Component) -> Result<Box<dyn Schedule>, Error>,
}

impl ScheduleRegistration {
    /// That of `D`, which `package` registers.
    #[must_use]
    pub const fn of<D: Definition + Schedule>(package: &'static str) -> Self {
        Self {
            entry: Entry::of::<D>(package),
            build: |component| Ok(Box::new(component::parameters::<D>(component)?)),
        }
    }
}

inventory::collect!(ScheduleRegistration);

impl Registration for ScheduleRegistration {
    const KIND: &'static str = "schedule";

    fn entry(&self) -> &Entry {
        &self.entry
    }
}

crate::register_component!(ScheduleRegistration: Constant, Cosine, Linear);

/// The learning rate of every step of a run.
#[derive(Debug)]
pub struct LearningRate {
    peak: f64,
    warmup: f64,
    schedule: Box<dyn Schedule>,
}

impl LearningRate {
    /// That of `training`.
    ///
    /// # Errors
    /// If its schedule is unknown, or has a wrong parameter.
    pub fn of(training: &TrainingSpec) -> Result<Self, Error> {
        let Component { name, .. } = &training.schedule;
        let schedule = component::find::<ScheduleRegistration>(name)
            .and_then(|registration| (registration.build)(&training.schedule))
            .map_err(|error| error.within("schedule"))?;
        Ok(Self { peak: training.learning_rate, warmup: training.warmup, schedule })
    }

    /// Learning rate of optimizer step `step` (from 1) of `total`.
    ///
    /// It rises linearly over the first `warmup · total` steps, reaching its peak at the last of them,
    /// then follows the schedule, which would reach zero one step after the last.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "steps are far below 2^52")]
    pub fn at(&self, step: u64, total: u64) -> f64 {
        let warmup = (self.warmup * total as f64).round();
        let step = step as f64;
        if step <= warmup {
            return self.peak * step / warmup;
        }
        // Steps after the warm-up: the first has progress 0.
        let progress = (step - warmup - 1.0) / (total as f64 - warmup).max(1.0);
        self.peak * self.schedule.factor(progress)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(schedule: &str, warmup: f64) -> Vec<f64> {
        let schedule = Component::named(schedule);
        let found = component::find::<ScheduleRegistration>(&schedule.name).unwrap();
        let schedule = (found.build)(&schedule).unwrap();
        let rate = LearningRate { peak: 2.0, warmup, schedule };
        (1..=10).map(|step| rate.at(step, 10)).collect()
    }

    #[test]
    fn warmup_reaches_the_peak() {
        let rates = rates("constant", 0.5);
        assert_eq!(&rates[..6], [0.4, 0.8, 1.2, 1.6, 2.0, 2.0]);
    }

    #[test]
    fn schedules_fall_from_the_peak_towards_zero() {
        assert_eq!(rates("constant", 0.0), [2.0; 10]);
        let linear = rates("linear", 0.2);
        assert_eq!(&linear[1..4], [2.0, 2.0, 1.75]);
        assert!((linear[9] - 0.25).abs() < 1e-12);
        let cosine = rates("cosine", 0.0);
        assert_eq!(cosine[0], 2.0);
        assert!((cosine[5] - 1.0).abs() < 1e-12);
        assert!(cosine.windows(2).all(|pair| pair[0] > pair[1]));
    }
}
