use crate::Error;
use crate::cli::CheckArgs;
use activation::{ActivationRequest, conformance};
use actlab_core::DeviceSpec;
use actlab_core::device::panic_message;
use std::panic::{AssertUnwindSafe, catch_unwind};

pub(crate) fn run(args: &CheckArgs) -> Result<(), Error> {
    let device = args.device.parse::<DeviceSpec>()?.open()?;
    let names: Vec<String> = if args.names.is_empty() {
        activation::all().into_iter().map(|entry| entry.name.to_owned()).collect()
    } else {
        args.names.clone()
    };
    let activations = names
        .iter()
        .map(|name| Ok(activation::build(&name.parse::<ActivationRequest>()?)?))
        .collect::<Result<Vec<_>, Error>>()?;
    // A formula that panics fails its check, with its message and without a trace.
    std::panic::set_hook(Box::new(|_| {}));
    let mut failed = 0;
    for activation in activations {
        println!("{}", activation.label());
        let checks = catch_unwind(AssertUnwindSafe(|| conformance::check(&*activation, &device)));
        match checks {
            Ok(checks) => {
                for check in checks {
                    match check.outcome {
                        Ok(()) => println!("  ok    {}", check.name),
                        Err(reason) => {
                            failed += 1;
                            println!("  FAIL  {}\n        {reason}", check.name);
                        }
                    }
                }
            }
            Err(panic) => {
                failed += 1;
                println!("  FAIL  it panics\n        {}", panic_message(&*panic));
            }
        }
    }
    let _ = std::panic::take_hook();
    if failed > 0 { Err(Error::ChecksFailed(failed)) } else { Ok(()) }
}
