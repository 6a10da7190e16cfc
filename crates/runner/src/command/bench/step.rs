use super::{median_and_best, on_threads};
use crate::Error;
use crate::cli::BenchStepArgs;
use crate::console::outln;
use crate::device;
use crate::environment::peak_memory_bytes;
use crate::guard::guarded;
use activation::ActivationRequest;
use actlab_core::Activations;
use actlab_core::bench::{MODELS, StepBench};
use serde_json::json;
use std::sync::Arc;

/// Measures training steps of one model.
pub(crate) fn run(args: &BenchStepArgs) -> Result<(), Error> {
    let Some(chosen) = MODELS.iter().find(|model| model.name == args.model) else {
        let known: Vec<_> = MODELS.iter().map(|model| model.name).collect();
        return Err(Error::Usage(format!(
            "--model {}: there is no such model; there are {}",
            args.model,
            known.join(", ")
        )));
    };
    let activation = activation::build(&args.activation.parse::<ActivationRequest>()?)?;
    let device_spec = device::named(&args.device)?;
    let device = device_spec.open()?;
    let name = chosen.name;
    let batch = args.batch.unwrap_or(chosen.batch);
    if batch == 0 || args.rounds == 0 {
        return Err(Error::Usage("--batch and --rounds must be 1 or more".into()));
    }
    let activations = Activations::from(Arc::clone(&activation));
    let bench = StepBench { model: chosen, activations: &activations, batch, device: &device };
    let size = bench.size()?;
    let (threads, seconds) =
        on_threads(args.threads, |threads| (threads, guarded(|| bench.seconds(args.rounds))))?;
    let seconds = seconds.map_err(|reason| {
        Error::Usage(format!("{name} with {}: {reason}", activation.label()))
    })??;
    let (median, best) = median_and_best(seconds);
    #[expect(clippy::cast_precision_loss, reason = "for a rate")]
    let rate = batch as f64 / median;
    let memory = peak_memory_bytes();
    if args.json {
        outln!(
            "{}",
            json!({
                "model": name,
                "activation": activation.label(),
                "device": device_spec.to_string(),
                "batch": batch,
                "threads": threads,
                "parameters": size.parameters,
                "steps": args.rounds,
                "median_seconds": median,
                "best_seconds": best,
                "examples_per_second": rate,
                "peak_memory_bytes": memory,
            })
        );
        return Ok(());
    }
    outln!("model        {name}, {} parameters", size.parameters);
    outln!("activation   {}", activation.label());
    outln!("batch        {batch}");
    outln!("threads      {threads}");
    outln!("steps        {} (forward, backward, update)", args.rounds);
    outln!("median       {:.2} ms a step", 1e3 * median);
    outln!("best         {:.2} ms a step", 1e3 * best);
    outln!("examples/s   {rate:.0}");
    if let Some(bytes) = memory {
        outln!("peak memory  {} MiB", bytes >> 20);
    }
    Ok(())
}
