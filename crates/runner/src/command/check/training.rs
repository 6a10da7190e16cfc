//! Training on a device against training on the CPU: the same weights, batches and dropout, step by step.

use crate::Error;
use crate::cli::{ExperimentArgs, Flags};
use crate::console::outln;
use crate::environment::cores;
use crate::execute::worker::Executor;
use crate::experiment::Experiment;
use crate::plan::{Plan, PlannedRun};
use actlab_core::DeviceSpec;
use record::{Precision, TrainStep};
use std::path::Path;

/// Steps that are compared.
const STEPS: u64 = 5;

/// Largest relative differences that are taken for agreement.
struct Tolerance {
    /// Of the first step's loss.
    first_loss: f64,
    /// Of the norm of the first step's gradient.
    first_gradient: f64,
    /// Of the losses of later steps, whose weights differ by then.
    later_loss: f64,
}

impl Tolerance {
    /// In f32 sums are made in another order; in bf16 and f16 numbers are rounded, and not always the same ones.
    const fn of(precision: Precision) -> Self {
        let (first_loss, first_gradient, later_loss) = match precision {
            Precision::F32 => (1e-4, 1e-3, 1e-2),
            Precision::Bf16 => (1e-2, 5e-2, 5e-2),
            Precision::F16 => (2e-3, 1e-2, 2e-2),
        };
        Self { first_loss, first_gradient, later_loss }
    }
}

/// Compares the first steps of every task and activation of an experiment; how many differ too much.
pub(super) fn compare(file: &Path, spec: DeviceSpec) -> Result<usize, Error> {
    let args = ExperimentArgs { file: Some(file.to_owned()), flags: Flags::default() };
    let experiment = Experiment::load(&args)?;
    let plan = Plan::new(&experiment)?;
    let places: Vec<_> = spec.places().into_iter().take(experiment.replicas()).collect();
    let (cpu, device) =
        (Executor::new(&[DeviceSpec::CPU], cores())?, Executor::new(&places, cores())?);
    outln!("first {STEPS} training steps on {spec} against cpu: relative differences");
    let first = plan.runs.first().map(|run| run.spec.seed);
    let mut failed = 0;
    for run in plan.runs.iter().filter(|run| Some(run.spec.seed) == first) {
        let tolerance = Tolerance::of(run.spec.training.precision);
        let label = run.spec.label();
        match difference(run, &cpu, &device) {
            Ok(difference) => {
                let small = difference.is_within(&tolerance);
                failed += usize::from(!small);
                let word = if small { "ok  " } else { "FAIL" };
                outln!("  {word}  {label}: {}", difference.beside(&tolerance));
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
    /// How often the steps have read from the device.
    reads: u64,
}

impl Difference {
    fn is_within(&self, tolerance: &Tolerance) -> bool {
        self.first_loss <= tolerance.first_loss
            && self.first_gradient <= tolerance.first_gradient
            && self.later_loss <= tolerance.later_loss
    }

    fn beside(&self, tolerance: &Tolerance) -> String {
        format!(
            "loss {:.1e} (at most {:.0e}), gradient {:.1e} ({:.0e}), later losses {:.1e} ({:.0e}); reads in {STEPS} steps: {}",
            self.first_loss,
            tolerance.first_loss,
            self.first_gradient,
            tolerance.first_gradient,
            self.later_loss,
            tolerance.later_loss,
            self.reads
        )
    }
}

fn difference(run: &PlannedRun, cpu: &Executor, device: &Executor) -> Result<Difference, Error> {
    let right = cpu.first_steps(run, STEPS)?;
    let given = device.first_steps(run, STEPS)?;
    let largest = |from: usize, to: usize, number: fn(&TrainStep) -> f64| {
        let pairs = right.measured.iter().zip(&given.measured).take(to).skip(from);
        // A difference that is no number is larger than any.
        pairs
            .map(|(a, b)| relative(number(a), number(b)))
            .fold(0.0, |largest, x| if x.is_nan() || x > largest { x } else { largest })
    };
    Ok(Difference {
        first_loss: largest(0, 1, |step| step.loss),
        first_gradient: largest(0, 1, |step| step.gradient_norm),
        later_loss: largest(1, right.measured.len(), |step| step.loss),
        reads: given.reads,
    })
}

fn relative(right: f64, given: f64) -> f64 {
    // A step in f16 that is skipped has a gradient that is infinite.
    if right.is_infinite() && given.is_infinite() {
        return 0.0;
    }
    (given - right).abs() / right.abs().max(f64::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_differs() {
        let difference =
            |first_loss| Difference { first_loss, first_gradient: 0.0, later_loss: 0.0, reads: 1 };
        let tolerance = Tolerance::of(Precision::F32);
        assert!(difference(1e-5).is_within(&tolerance));
        assert!(!difference(1e-3).is_within(&tolerance));
        assert!(!difference(f64::NAN).is_within(&tolerance));
        assert_eq!(relative(f64::INFINITY, f64::INFINITY), 0.0);
        assert_eq!(relative(2.0, 3.0), 0.5);
    }
}
