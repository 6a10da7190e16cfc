use super::{median_and_best, on_threads};
use crate::Error;
use crate::cli::BenchOpsArgs;
use crate::console::{self, out, outln};
use crate::device;
use activation::{Activation, ActivationRequest};
use actlab_core::stream::Stream;
use actlab_kernels as kernels;
use burn::Tensor;
use burn::tensor::Device;
use serde_json::json;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

/// Batch, height, width and channels of the images.
const IMAGES: [usize; 4] = [128, 32, 32, 16];

/// How much larger batches, rows and matrices are on other devices than the CPU: they shall not fit into a cache.
const LARGER: usize = 16;

/// Calls between two looks at the clock on such devices, which compute behind the caller.
const AT_ONCE: usize = 16;

/// Tokens, width and inner width of the feed-forward.
const TOKENS: [usize; 3] = [2048, 256, 1024];

/// Batch, heads and tokens twice of the attention weights.
const SCORES: [usize; 4] = [32, 4, 64, 64];

const PEAK: usize = 1024;

/// Calls before those that count.
const WARMUP: usize = 3;

/// What bounds an operation, and how much of that it needs.
#[derive(Clone, Copy)]
enum Work {
    /// Bytes read and written, each once.
    Bytes(usize),
    /// Floating-point operations.
    Flops(usize),
}

/// One operation, ready to be called.
struct Operation {
    name: String,
    shape: Vec<usize>,
    work: Work,
    /// Whether an activation alone is measured.
    activation: bool,
    call: Box<dyn FnMut() + Send>,
}

/// What was measured of it.
struct Measured {
    name: String,
    shape: Vec<usize>,
    work: Work,
    median: f64,
    best: f64,
}

impl Measured {
    /// Bytes or operations a second, at best.
    #[expect(clippy::cast_precision_loss, reason = "for a rate")]
    fn rate(&self) -> f64 {
        match self.work {
            Work::Bytes(n) | Work::Flops(n) => n as f64 / self.best,
        }
    }
}

/// Measures operations of the kernels.
pub(crate) fn run(args: &BenchOpsArgs) -> Result<(), Error> {
    if args.rounds == 0 {
        return Err(Error::Usage("--rounds 0: must be 1 or more".into()));
    }
    let activations = asked(&args.activation)?;
    let spec = device::named(&args.device)?;
    let device = spec.open()?;
    let mut all = operations(&activations, &device, if spec.is_cpu() { 1 } else { LARGER })?;
    if !activations.is_empty() && args.only.is_empty() {
        all.retain(|operation| operation.activation || operation.name == "copy");
    }
    for name in &args.only {
        if !all.iter().any(|operation| operation.name == *name) {
            let known: Vec<_> = all.iter().map(|operation| operation.name.as_str()).collect();
            return Err(Error::Usage(format!(
                "--only {name:?}: there is no such operation; there are {}",
                known.join(", ")
            )));
        }
    }
    let wanted = |name: &str| {
        // What the others are held against is always measured.
        matches!(name, "copy" | "gemm")
            || args.only.is_empty()
            || args.only.iter().any(|n| n == name)
    };
    let chosen: Vec<_> = all.into_iter().filter(|operation| wanted(&operation.name)).collect();
    let (threads, measured) = on_threads(args.threads, |threads| {
        let method = Method { rounds: args.rounds, device: (!spec.is_cpu()).then_some(&device) };
        let measured = chosen.into_iter().map(|operation| measure(operation, method));
        (threads, measured.collect::<Vec<_>>())
    })?;
    let peak = |name: &str| {
        measured.iter().find(|measured| measured.name == name).map_or(f64::NAN, Measured::rate)
    };
    let (copy, gemm) = (peak("copy"), peak("gemm"));
    if args.json {
        let rows: Vec<_> = measured
            .iter()
            .map(|measured| {
                let (peak, bytes, gflop) = match measured.work {
                    Work::Bytes(bytes) => ("copy", Some(bytes), None),
                    Work::Flops(flops) => ("gemm", None, Some(flops as f64 / 1e9)),
                };
                let highest = if peak == "copy" { copy } else { gemm };
                json!({
                    "operation": measured.name,
                    "shape": measured.shape,
                    "threads": threads,
                    "median_seconds": measured.median,
                    "best_seconds": measured.best,
                    "gflop": gflop,
                    "bytes": bytes,
                    "share_of_peak": measured.rate() / highest,
                    "peak": peak,
                })
            })
            .collect();
        outln!("{}", serde_json::Value::Array(rows));
        return Ok(());
    }
    let rows: Vec<Vec<String>> = measured
        .iter()
        .map(|measured| {
            let shape: Vec<_> = measured.shape.iter().map(ToString::to_string).collect();
            let (rate, share) = match measured.work {
                Work::Bytes(_) => (format!("{:.1} GB/s", measured.rate() / 1e9), copy),
                Work::Flops(_) => (format!("{:.0} GFLOP/s", measured.rate() / 1e9), gemm),
            };
            vec![
                measured.name.clone(),
                shape.join("×"),
                format!("{:.3}", 1e3 * measured.median),
                format!("{:.3}", 1e3 * measured.best),
                rate,
                format!("{:.0} %", 100.0 * measured.rate() / share),
            ]
        })
        .collect();
    out!(
        "{}",
        console::table(&["operation", "shape", "median ms", "best ms", "rate", "of peak"], &rows)
    );
    let place = match (spec.is_cpu(), threads) {
        (false, _) => spec.to_string(),
        (true, 1) => "1 thread".to_owned(),
        (true, threads) => format!("{threads} threads"),
    };
    outln!(
        "\n{place}. The peak is that of `copy` for what is bound by memory, and of `gemm` for\nthe rest."
    );
    Ok(())
}

/// Forward, and forward and backward, of an activation alone.
fn of_activation(f: &Arc<Activation>, x: &Tensor<4>) -> [Operation; 2] {
    let bytes = x.dims().iter().product::<usize>() * size_of::<f32>();
    let operation = |what: &str, times: usize, call: Box<dyn FnMut() + Send>| Operation {
        name: format!("{} {what}", f.label()),
        shape: x.dims().to_vec(),
        work: Work::Bytes(times * bytes),
        activation: true,
        call,
    };
    let forward = {
        let (f, x) = (Arc::clone(f), x.clone());
        Box::new(move || {
            black_box(kernels::with_initial_numbers(&f, 1, x.clone()));
        })
    };
    let both = {
        let f = Arc::clone(f);
        backward([x.clone()], move |[x]| kernels::with_initial_numbers(&f, 1, x.clone()))
    };
    // Forward reads and writes once; backward reads input and gradient and writes one.
    [operation("forward", 2, forward), operation("forward + backward", 5, both)]
}

/// How an operation is measured.
#[derive(Clone, Copy)]
struct Method<'a> {
    rounds: usize,
    /// What is waited for, where calls return before it has computed.
    device: Option<&'a Device>,
}

#[expect(clippy::cast_precision_loss, reason = "for a time")]
fn measure(operation: Operation, method: Method<'_>) -> Measured {
    let Operation { name, shape, work, mut call, .. } = operation;
    let wait = || {
        // What fails there is met by the next call.
        let _ = method.device.map(Device::sync);
    };
    for _ in 0..WARMUP {
        call();
    }
    wait();
    let calls = if method.device.is_some() { AT_ONCE } else { 1 };
    let seconds = (0..method.rounds)
        .map(|_| {
            let started = Instant::now();
            (0..calls).for_each(|_| call());
            wait();
            started.elapsed().as_secs_f64() / calls as f64
        })
        .collect();
    let (median, best) = median_and_best(seconds);
    Measured { name, shape, work, median, best }
}

fn random<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    let numbers = Stream::new(1, "bench/operations").normal(shape.iter().product(), 1.0);
    Tensor::<1>::from_floats(numbers.as_slice(), device).reshape(shape)
}

/// Forward and backward of `f` over `inputs`, with a gradient that is there already.
fn backward<const D: usize, const N: usize>(
    inputs: [Tensor<D>; N],
    f: impl Fn(&[Tensor<D>; N]) -> Tensor<D> + Send + 'static,
) -> Box<dyn FnMut() + Send> {
    let device = inputs[0].device();
    let inputs = inputs.map(|input| Tensor::from_inner(input).require_grad());
    let gradient = random(f(&inputs).dims(), &device);
    Box::new(move || {
        let y = f(&inputs);
        let seed = kernels::with_gradient(y, Tensor::from_inner(gradient.clone()));
        black_box(seed.backward());
    })
}

/// Activations that are measured where none is asked for.
const ACTIVATIONS: [&str; 4] = ["relu", "leaky_relu", "gelu", "silu"];

fn asked(texts: &[String]) -> Result<Vec<Arc<Activation>>, Error> {
    let build = |text: &String| Ok(activation::build(&text.parse::<ActivationRequest>()?)?);
    texts.iter().map(build).collect()
}

/// Those of `device`, in batches so much `larger` than on the CPU.
fn operations(
    asked: &[Arc<Activation>],
    device: &Device,
    larger: usize,
) -> Result<Vec<Operation>, Error> {
    let [batch, height, columns, channels] = IMAGES;
    let images = [larger * batch, height, columns, channels];
    let numbers: usize = images.iter().product();
    let bytes = numbers * size_of::<f32>();
    let mut all = Vec::new();
    let mut add = |name: &str, shape: &[usize], work: Work, call: Box<dyn FnMut() + Send>| {
        let (name, shape) = (name.to_owned(), shape.to_vec());
        all.push(Operation { name, shape, work, activation: false, call });
    };
    let x = random(images, device);
    add("copy", &images, Work::Bytes(2 * bytes), {
        let x = x.clone();
        Box::new(move || {
            black_box(kernels::copy(&x));
        })
    });
    let peak = PEAK * if larger > 1 { 4 } else { 1 };
    add("gemm", &[peak; 3], Work::Flops(2 * peak.pow(3)), {
        let (a, b) = (random([peak, peak], device), random([peak, peak], device));
        Box::new(move || {
            black_box(a.clone().matmul(b.clone()));
        })
    });
    let usual = ACTIVATIONS.map(str::to_owned);
    let activations = if asked.is_empty() { self::asked(&usual)? } else { asked.to_vec() };
    all.extend(activations.iter().flat_map(|f| of_activation(f, &x)));
    let mut add = |name: &str, shape: &[usize], work: Work, call: Box<dyn FnMut() + Send>| {
        let (name, shape) = (name.to_owned(), shape.to_vec());
        all.push(Operation { name, shape, work, activation: false, call });
    };
    add("batch norm forward + backward", &images, Work::Bytes(8 * bytes), {
        let x = Tensor::from_inner(x.clone()).require_grad();
        let gamma = Tensor::from_inner(random([channels], device)).require_grad();
        let beta = Tensor::from_inner(random([channels], device)).require_grad();
        let gradient = x.clone().inner();
        Box::new(move || {
            let y = kernels::batch_norm_training(
                x.clone(),
                gamma.clone(),
                beta.clone(),
                1e-5,
                None,
                None,
                None,
            );
            let seed = kernels::with_gradient(y.output, Tensor::from_inner(gradient.clone()));
            black_box(seed.backward());
        })
    });
    let weight = random([channels, channels, 3, 3], device);
    let flops = 2 * 9 * channels * numbers;
    add("conv 3x3 forward", &images, Work::Flops(flops), {
        let (x, weight) = (x.clone(), weight.clone());
        Box::new(move || {
            black_box(kernels::convolution(x.clone(), weight.clone(), 1));
        })
    });
    let call =
        backward([x, weight], |[x, weight]| kernels::convolution(x.clone(), weight.clone(), 1));
    add("conv 3x3 forward + backward", &images, Work::Flops(3 * flops), call);
    let [tokens, width, inner] = [larger * TOKENS[0], TOKENS[1], TOKENS[2]];
    let x = random([tokens, width], device);
    add("layer norm forward + backward", &[tokens, width], Work::Bytes(6 * 4 * tokens * width), {
        let x = Tensor::from_inner(x.clone()).require_grad();
        let gamma = Tensor::from_inner(random([width], device)).require_grad();
        let beta = Tensor::from_inner(random([width], device)).require_grad();
        let gradient = x.clone().inner();
        Box::new(move || {
            let y = kernels::layer_norm(x.clone(), None, gamma.clone(), beta.clone(), 1e-5);
            let seed = kernels::with_gradient(y, Tensor::from_inner(gradient.clone()));
            black_box(seed.backward());
        })
    });
    let [sequences, heads, queries, keys] = SCORES;
    let shape = [larger * sequences, heads, queries, keys];
    let scores = random(shape, device);
    let bytes = 4 * shape.iter().product::<usize>();
    let call = backward([scores], |[x]| kernels::softmax(x.clone()));
    // On other devices softmax is part of attention.
    if larger == 1 {
        add("softmax forward + backward", &shape, Work::Bytes(5 * bytes), call);
    }
    add(
        "linear forward + backward",
        &[tokens, width, inner],
        Work::Flops(6 * tokens * width * inner),
        {
            let x = Tensor::from_inner(x).require_grad();
            let weight = Tensor::from_inner(random([width, inner], device)).require_grad();
            let bias = Tensor::from_inner(random([inner], device)).require_grad();
            let gradient = random([tokens, inner], device);
            Box::new(move || {
                let y = kernels::linear(x.clone(), weight.clone(), Some(bias.clone()));
                let seed = kernels::with_gradient(y, Tensor::from_inner(gradient.clone()));
                black_box(seed.backward());
            })
        },
    );
    Ok(all)
}
