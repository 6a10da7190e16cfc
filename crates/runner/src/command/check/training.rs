//! Training on a device against training on the CPU: the same weights, batches and dropout, step by step.

use crate::Error;
use crate::cli::{ExperimentArgs, Flags};
use crate::console::outln;
use crate::environment::cores;
use crate::execute::worker::Executor;
use crate::experiment::Experiment;
use crate::plan::{Plan, PlannedRun};
use actlab_core::DeviceSpec;
use record::TrainStep;
use std::path::Path;

/// Steps that are compared.
const STEPS: u64 = 5;

/// Largest relative difference of the first step's loss: single precision, summed in another order.
const FIRST_LOSS: f64 = 1e-4;

/// Of the norm of the first step's gradient.
const FIRST_GRADIENT: f64 = 1e-3;

/// Of the losses of later steps, whose weights differ by then.
const LATER_LOSS: f64 = 1e-2;

/// Compares the first steps of every task and activation of an experiment; how many differ too much.
pub(super) fn compare(file: &Path, spec: DeviceSpec) -> Result<usize, Error> {
    let args = ExperimentArgs { file: Some(file.to_owned()), flags: Flags::default() };
    let experiment = Experiment::load(&args)?;
    let plan = Plan::new(&experiment)?;
    let (cpu, device) = (Executor::new(DeviceSpec::CPU, cores())?, Executor::new(spec, cores())?);
    outln!("first {STEPS} training steps on {spec} against cpu: relative differences");
    let first = plan.runs.first().map(|run| run.spec.seed);
    let mut failed = 0;
    for run in plan.runs.iter().filter(|run| Some(run.spec.seed) == first) {
        let outcome = difference(run, &cpu, &device);
        let label = run.spec.label();
        match outcome {
            Ok(difference) if difference.is_small() => outln!("  ok    {label}: {difference}"),
            Ok(difference) => {
                failed += 1;
                outln!("  FAIL  {label}: {difference}");
            }
            Err(error) => {
                failed += 1;
                outln!("  FAIL  {label}: {error}");
            }
        }
    }
    Ok(failed)
}

/// The largest relative differences.
struct Difference {
    first_loss: f64,
    first_gradient: f64,
    later_loss: f64,
}

impl Difference {
    fn is_small(&self) -> bool {
        self.first_loss <= FIRST_LOSS
            && self.first_gradient <= FIRST_GRADIENT
            && self.later_loss <= LATER_LOSS
    }
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { first_loss, first_gradient, later_loss } = self;
        write!(
            f,
            "loss {first_loss:.1e} (at most {FIRST_LOSS:.0e}), gradient {first_gradient:.1e} ({FIRST_GRADIENT:.0e}), \
             later losses {later_loss:.1e} ({LATER_LOSS:.0e})"
        )
    }
}

fn difference(run: &PlannedRun, cpu: &Executor, device: &Executor) -> Result<Difference, Error> {
    let right = cpu.first_steps(run, STEPS)?;
    let given = device.first_steps(run, STEPS)?;
    let largest = |from: usize, to: usize, number: fn(&TrainStep) -> f64| {
        let pairs = right.iter().zip(&given).take(to).skip(from);
        // A difference that is no number is larger than any.
        pairs
            .map(|(a, b)| relative(number(a), number(b)))
            .fold(0.0, |largest, x| if x.is_nan() || x > largest { x } else { largest })
    };
    Ok(Difference {
        first_loss: largest(0, 1, |step| step.loss),
        first_gradient: largest(0, 1, |step| step.gradient_norm),
        later_loss: largest(1, right.len(), |step| step.loss),
    })
}

fn relative(right: f64, given: f64) -> f64 {
    (given - right).abs() / right.abs().max(f64::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use super::Difference;

    #[test]
    fn what_is_no_number_differs() {
        let difference =
            |first_loss| Difference { first_loss, first_gradient: 0.0, later_loss: 0.0 };
        assert!(difference(1e-5).is_small());
        assert!(!difference(1e-3).is_small());
        assert!(!difference(f64::NAN).is_small());
    }
}
