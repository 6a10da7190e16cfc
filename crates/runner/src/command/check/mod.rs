//! `actlab check`: whether activations, and training on a device, give the numbers that they should.

mod training;

use crate::Error;
use crate::cli::CheckArgs;
use crate::console::outln;
use crate::device;
use crate::guard::guarded;
use activation::{ActivationRequest, conformance};

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
    let mut failed = 0;
    for activation in activations {
        outln!("{}", activation.label());
        let checks = guarded(|| conformance::check(&activation, &device));
        match checks {
            Ok(checks) => {
                for check in checks {
                    match check.outcome {
                        Ok(()) => outln!("  ok    {}", check.name),
                        Err(reason) => {
                            failed += 1;
                            outln!("  FAIL  {}\n        {reason}", check.name);
                        }
                    }
                }
            }
            Err(reason) => {
                failed += 1;
                outln!("  FAIL  it does not panic\n        {reason}");
            }
        }
    }
    if let Some(file) = &args.training {
        failed += training::compare(file, spec)?;
    }
    if failed > 0 { Err(Error::ChecksFailed(failed)) } else { Ok(()) }
}
