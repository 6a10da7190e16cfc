//! `actlab check`: whether activations, operations and training on a device give the numbers that they should.

mod kernels;
mod operations;
mod training;

use crate::Error;
use crate::cli::CheckArgs;
use crate::console::outln;
use crate::device;
use crate::guard::guarded;
use activation::conformance::{self, Check};
use activation::{Activation, ActivationRequest, Kind};
use std::sync::Arc;

pub(crate) fn run(args: &CheckArgs) -> Result<(), Error> {
    let spec = device::named(&args.device)?;
    if args.training.is_some() && spec.is_cpu() {
        let message =
            "--training compares a device with the CPU: name one by --device, as in --device cuda";
        return Err(Error::Usage(message.into()));
    }
    let device = spec.open()?;
    let names: Vec<String> = if args.names.is_empty() {
        activation::all().iter().map(|entry| entry.name.clone()).collect()
    } else {
        args.names.clone()
    };
    let activations = names
        .iter()
        .map(|name| Ok(activation::build(&name.parse::<ActivationRequest>()?)?))
        .collect::<Result<Vec<_>, Error>>()?;
    let mut counts = Counts::default();
    let count = activations.len();
    for activation in activations {
        outln!("{}", activation.label());
        let checks = guarded(|| {
            let mut checks = conformance::check(&activation, &device);
            checks.extend(kernels::check(&activation, &device));
            checks
        });
        match checks {
            Ok(checks) => counts.show(checks),
            Err(reason) => {
                counts.failed += 1;
                outln!("  FAIL  it does not panic\n        {reason}");
            }
        }
        if let Some(note) = note(&activation) {
            outln!("  note  {note}");
        }
    }
    let mut of =
        if count == 1 { "1 activation".to_owned() } else { format!("{count} activations") };
    if args.names.is_empty() && !spec.is_cpu() {
        outln!("operations");
        let checks = operations::check(&device)?;
        of = format!("{of} and {} operations", checks.len());
        counts.show(checks);
    }
    let Counts { passed, mut failed } = counts;
    outln!("\n{of}: {passed} checks passed, {failed} failed");
    if let Some(file) = &args.training {
        failed += training::compare(file, spec)?;
    }
    if failed > 0 { Err(Error::ChecksFailed(failed)) } else { Ok(()) }
}

/// Checks so far.
#[derive(Default)]
struct Counts {
    passed: usize,
    failed: usize,
}

impl Counts {
    /// Shows and counts some.
    fn show(&mut self, checks: Vec<Check>) {
        for Check { name, outcome } in checks {
            match outcome {
                Ok(()) => {
                    self.passed += 1;
                    outln!("  ok    {name}");
                }
                Err(reason) => {
                    self.failed += 1;
                    outln!("  FAIL  {name}\n        {reason}");
                }
            }
        }
    }
}

/// Package of the activations whose formulas are text in cards, where the identity is meant.
const CARDS: &str = "activation-cards";

/// What the author of a formula may not know of it: that it is still what `actlab new` has written.
fn note(activation: &Arc<Activation>) -> Option<String> {
    let registration = activation.registration();
    if registration.package == CARDS {
        return None;
    }
    let f = activation.nonlinearity();
    let points = [-3.0, -1.0, -0.25, 0.0, 0.5, 1.0, 2.5];
    let identity = guarded(|| points.iter().all(|x| f.eval(*x) == (*x, 1.0))).unwrap_or(false);
    let what = match activation.kind() {
        Kind::Pointwise(_) => "the formula",
        Kind::Gated(_) => "the gate",
    };
    identity.then(|| {
        format!(
            "{what} is the identity, as in the template of `actlab new`: write it before training"
        )
    })
}
