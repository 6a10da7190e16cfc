//! `actlab propagate`: how variances change through a deep network at initialization.

use crate::Error;
use crate::cli::{Gain, PropagateArgs};
use crate::console::{note, out, outln, table};
use crate::guard::guarded;
use activation::properties::Properties;
use activation::{Activation, ActivationRequest, Kind, Pointwise};
use actlab_core::stream::Stream;
use rayon::prelude::*;
use serde_json::{Value, json};

/// Activations where none is named.
const USUAL: [&str; 6] = ["relu", "leaky_relu", "gelu", "silu", "tanh", "selu"];

/// Inputs that are sent through the network.
const BATCH: usize = 256;

/// Factor over all layers beyond which a variance vanishes or explodes.
const STABLE: f64 = 10.0;

/// Layers up to which that is the factor. The logarithm of a variance does a random walk over the layers, whose spread
/// grows with the root of their number.
const STABLE_UP_TO: f64 = 50.0;

/// What the columns mean, in lines of at most 80 characters.
const LEGEND: &str = "\
Var[f] L  variance of the outputs of layer L
Var[∂] L  variance of the gradient by the inputs of layer L's activation. It is
          drawn from N(0, 1) behind the last layer and goes back to the first:
          read from right to left, the columns go from the input to the output
dead      units of the last layer whose slope f′ is 0 for every input
zero      outputs of the last layer that are exactly zero";

/// What happens in a network, layer by layer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Propagated {
    /// Mean square of what goes into the activations of each layer, from the first.
    pub(crate) preactivations: Vec<f64>,
    /// Variance over all units and inputs of what leaves each layer.
    pub(crate) activations: Vec<f64>,
    /// Variance of the gradient by what enters each layer's activation, for a gradient N(0, 1) at the output.
    pub(crate) gradients: Vec<f64>,
    /// Share of all units of each layer that are dead: f′ is 0 for every input.
    pub(crate) dead: Vec<f64>,
    /// Share of zeros among what leaves each layer.
    pub(crate) zeros: Vec<f64>,
}

pub(crate) fn run(args: &PropagateArgs) -> Result<(), Error> {
    let names: Vec<String> = if args.activations.is_empty() {
        USUAL.iter().map(|name| (*name).to_owned()).collect()
    } else {
        args.activations.clone()
    };
    let mut rows = Vec::new();
    for name in &names {
        let request: ActivationRequest = name.parse()?;
        let panics = |reason| Error::Usage(format!("`{name}` cannot be computed: {reason}"));
        let activation = guarded(|| activation::build(&request)).map_err(panics)??;
        let panics = |reason| Error::Usage(format!("`{name}` cannot be computed: {reason}"));
        let (gain, propagated) = guarded(|| {
            let gain = gain(args.init, &activation);
            let (depth, width) = (args.depth as usize, args.width as usize);
            (gain, propagate(activation.nonlinearity(), depth, width, gain, args.seed))
        })
        .map_err(panics)?;
        if matches!(activation.kind(), Kind::Gated(_)) {
            note!(
                "{} is gated: the figures are of its nonlinearity alone, without the value that it is multiplied with",
                activation.label()
            );
        }
        rows.push((activation.label(), gain, propagated));
    }
    if args.json {
        let all: Vec<Value> =
            rows.iter().map(|(label, gain, one)| to_json(label, *gain, one)).collect();
        outln!("{}", serde_json::to_string_pretty(&all).unwrap_or_default());
        return Ok(());
    }
    out!("{}", text(&rows));
    note!(
        "{} layers of {} units, {BATCH} inputs N(0, 1), seed {}; weights N(0, gain²/{}).\n{LEGEND}",
        args.depth,
        args.width,
        args.seed,
        args.width
    );
    Ok(())
}

fn gain(init: Gain, activation: &Activation) -> f64 {
    match init {
        Gain::He => 2.0_f64.sqrt(),
        Gain::Matched => Properties::of(activation).moments.gain(),
        Gain::Lecun => 1.0,
    }
}

/// Sends inputs through a network of `depth` linear layers of `width` units, each with the activation `f` behind it, and
/// gradients back.
///
/// The numbers depend on the arguments alone: weights of a layer are of their own stream, the same for every activation.
pub(crate) fn propagate(
    f: &dyn Pointwise,
    depth: usize,
    width: usize,
    gain: f64,
    seed: u64,
) -> Propagated {
    #[expect(clippy::cast_precision_loss, reason = "widths are small")]
    let std = gain / (width as f64).sqrt();
    let weights: Vec<Vec<f32>> = (0..depth)
        .map(|layer| Stream::new(seed, &format!("propagate/{layer}")).normal(width * width, std))
        .collect();
    let mut x = Stream::new(seed, "propagate/inputs").normal(BATCH * width, 1.0);
    let mut result = Propagated {
        preactivations: Vec::new(),
        activations: Vec::new(),
        gradients: vec![0.0; depth],
        dead: Vec::new(),
        zeros: Vec::new(),
    };
    let mut slopes = Vec::new();
    for weights in &weights {
        let z = product(&x, weights, width);
        let mut slope = vec![1.0; z.len()];
        x = vec![0.0; z.len()];
        f.forward_slice(&z, &mut x);
        f.backward_slice(&z, &mut slope);
        result.preactivations.push(mean(z.iter().map(|z| f64::from(*z).powi(2))));
        result.activations.push(variance(&x));
        let dead = |unit: usize| slope.iter().skip(unit).step_by(width).all(|slope| *slope == 0.0);
        result.dead.push(mean((0..width).map(|unit| f64::from(u8::from(dead(unit))))));
        result.zeros.push(mean(x.iter().map(|x| f64::from(u8::from(*x == 0.0)))));
        slopes.push(slope);
    }
    let mut gradient = Stream::new(seed, "propagate/gradients").normal(BATCH * width, 1.0);
    for (layer, slope) in slopes.iter().enumerate().rev() {
        gradient.iter_mut().zip(slope).for_each(|(gradient, slope)| *gradient *= slope);
        result.gradients[layer] = variance(&gradient);
        gradient = product(&gradient, &transposed(&weights[layer], width), width);
    }
    result
}

/// Rows of `x` times the matrix `weights`, of which each row has the weights of one output. Sums are in the order of
/// inputs, whatever the number of threads.
fn product(x: &[f32], weights: &[f32], width: usize) -> Vec<f32> {
    let mut y = vec![0.0; x.len()];
    let weights = transposed(weights, width);
    y.par_chunks_mut(width).zip(x.par_chunks(width)).for_each(|(y, x)| {
        for (x, weights) in x.iter().zip(weights.chunks(width)) {
            y.iter_mut().zip(weights).for_each(|(y, weight)| *y += x * weight);
        }
    });
    y
}

fn transposed(matrix: &[f32], width: usize) -> Vec<f32> {
    let mut turned = vec![0.0; matrix.len()];
    for (i, row) in matrix.chunks(width).enumerate() {
        for (j, value) in row.iter().enumerate() {
            turned[j * width + i] = *value;
        }
    }
    turned
}

#[expect(clippy::cast_precision_loss, reason = "a mean")]
fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let n = values.len() as f64;
    values.sum::<f64>() / n
}

fn variance(values: &[f32]) -> f64 {
    let middle = mean(values.iter().map(|x| f64::from(*x)));
    mean(values.iter().map(|x| (f64::from(*x) - middle).powi(2)))
}

/// What became of a variance between the first and the last of `values` it goes through.
fn verdict(first: f64, last: f64, layers: usize) -> &'static str {
    #[expect(clippy::cast_precision_loss, reason = "few layers")]
    let bound = libm::pow(STABLE, (layers as f64 / STABLE_UP_TO).sqrt().max(1.0));
    match last / first {
        ratio if !ratio.is_finite() || !last.is_finite() => "explodes",
        ratio if ratio > bound => "explodes",
        ratio if ratio < 1.0 / bound => "vanishes",
        _ => "is stable",
    }
}

/// In one sentence, what becomes of activations and gradients.
fn sentence(one: &Propagated) -> String {
    let (depth, last) = (one.activations.len(), one.activations.len() - 1);
    let forward = verdict(one.activations[0], one.activations[last], depth);
    let backward = verdict(one.gradients[last], one.gradients[0], depth);
    let dead = one.dead[last];
    let dead = if dead > 0.0 {
        format!("; {} of the last layer's units are dead", percent(dead))
    } else {
        String::new()
    };
    if forward == backward {
        let plural = match forward {
            "explodes" => "explode",
            "vanishes" => "vanish",
            _ => "are stable",
        };
        return format!("the variances of activations and gradients {plural}{dead}");
    }
    format!("the variance of activations {forward}, that of gradients {backward}{dead}")
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

fn figure(x: f64) -> String {
    if (0.01..1000.0).contains(&x.abs()) { format!("{x:.3}") } else { format!("{x:.1e}") }
}

/// Layers that the table shows, counted from 1: the first, the last and a few between.
fn shown(depth: usize) -> Vec<usize> {
    let mut layers: Vec<usize> =
        [1, 5, 10, 20, 50, 100, 200, 500].into_iter().filter(|layer| *layer < depth).collect();
    layers.push(depth);
    layers
}

fn text(rows: &[(String, f64, Propagated)]) -> String {
    let depth = rows.first().map_or(0, |(.., one)| one.activations.len());
    let shown = shown(depth);
    let layers = |what: &str, cell: &dyn Fn(&Propagated, usize) -> f64, order: &[usize]| {
        let header = order.iter().map(|layer| format!("{what} {layer}"));
        let header: Vec<String> = std::iter::once("activation".to_owned()).chain(header).collect();
        let row = |(label, _, one): &(String, f64, Propagated)| {
            let cells = order.iter().map(|layer| figure(cell(one, layer - 1)));
            std::iter::once(label.clone()).chain(cells).collect()
        };
        let rows: Vec<Vec<String>> = rows.iter().map(row).collect();
        table(&header.iter().map(String::as_str).collect::<Vec<_>>(), &rows)
    };
    let last: Vec<Vec<String>> = rows
        .iter()
        .map(|(label, gain, one)| {
            let shares = [percent(one.dead[depth - 1]), percent(one.zeros[depth - 1])];
            [label.clone(), format!("{gain:.4}")].into_iter().chain(shares).collect()
        })
        .collect();
    // Gradients arrive at the first layer last.
    let back: Vec<usize> = shown.iter().rev().copied().collect();
    let mut text = [
        layers("Var[f]", &|one, layer| one.activations[layer], &shown),
        layers("Var[∂]", &|one, layer| one.gradients[layer], &back),
        table(&["activation", "gain", "dead", "zero"], &last),
    ]
    .join("\n");
    text.push('\n');
    for (label, _, one) in rows {
        text += &format!("{label}: {}.\n", sentence(one));
    }
    text
}

/// JSON has no NaN and no infinity: they are text.
fn numbers(all: &[f64]) -> Value {
    all.iter().map(|x| if x.is_finite() { json!(x) } else { json!(x.to_string()) }).collect()
}

fn to_json(label: &str, gain: f64, one: &Propagated) -> Value {
    json!({
        "activation": label,
        "gain": gain,
        "mean_square_of_preactivations": numbers(&one.preactivations),
        "variance_of_activations": numbers(&one.activations),
        "variance_of_gradients": numbers(&one.gradients),
        "dead": numbers(&one.dead),
        "zero": numbers(&one.zeros),
        "result": sentence(one),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(name: &str, depth: usize, width: usize, gain: f64) -> Propagated {
        let activation = activation::build(&name.parse().unwrap()).unwrap();
        propagate(activation.nonlinearity(), depth, width, gain, 1)
    }

    /// The fixed point of SELU (Klambauer et al. 2017) is mean 0 and variance 1 with weights of variance 1/fan-in.
    #[test]
    fn selu_with_lecun_stays_at_variance_1() {
        let selu = network("selu", 50, 256, 1.0);
        for variance in &selu.activations {
            assert!((variance - 1.0).abs() < 0.25, "{:?}", selu.activations);
        }
        assert!(
            sentence(&selu).contains("variance of activations is stable"),
            "{}",
            sentence(&selu)
        );
        // E[f′²] is 1.0716: gradients grow by that in each layer.
        let growth = libm::pow(selu.gradients[0] / selu.gradients[49], 1.0 / 49.0);
        assert!((growth - 1.0716).abs() < 0.02, "{growth}");
    }

    /// With gain √2, E[z²] of ReLU is kept: E[f²] = ½ E[z²] (He et al. 2015). With gain 1 it halves at each layer.
    #[test]
    fn relu_keeps_its_second_moment_under_he() {
        let he = network("relu", 10, 256, 2.0_f64.sqrt());
        assert!(
            (he.preactivations[9] / he.preactivations[0] - 1.0).abs() < 0.5,
            "{:?}",
            he.preactivations
        );
        let lecun = network("relu", 10, 256, 1.0);
        let ratio = lecun.preactivations[9] / lecun.preactivations[0];
        assert!((0.5..2.0).contains(&(ratio * 512.0)), "{ratio}");
        assert!(sentence(&lecun).contains("vanish"), "{}", sentence(&lecun));
    }

    /// A unit is dead where its weights point away from every activation of the batch. Counted here by another way: the
    /// network is computed with plain sums, in double precision.
    #[test]
    fn dead_units_are_those_that_no_input_reaches() {
        let (depth, width) = (10, 32);
        let gain = 2.0_f64.sqrt();
        let relu = network("relu", depth, width, gain);
        let mut x: Vec<Vec<f64>> = Stream::new(1, "propagate/inputs")
            .normal(BATCH * width, 1.0)
            .chunks(width)
            .map(|row| row.iter().map(|x| f64::from(*x)).collect())
            .collect();
        for layer in 0..depth {
            let mut stream = Stream::new(1, &format!("propagate/{layer}"));
            let weights = stream.normal(width * width, gain / (width as f64).sqrt());
            let unit = |row: &[f64], unit: usize| {
                let weights = &weights[unit * width..(unit + 1) * width];
                let z: f64 = row.iter().zip(weights).map(|(x, w)| x * f64::from(*w)).sum();
                z.max(0.0)
            };
            x = x.iter().map(|row| (0..width).map(|at| unit(row, at)).collect()).collect();
            let dead = (0..width).filter(|at| x.iter().all(|row| row[*at] == 0.0)).count();
            assert!((relu.dead[layer] - dead as f64 / width as f64).abs() < 1e-9, "layer {layer}");
        }
        // Activations become alike with depth, so that whole units fall silent.
        assert!(relu.dead[depth - 1] > relu.dead[0], "{:?}", relu.dead);
    }

    #[test]
    fn the_legend_fits_a_terminal() {
        assert!(LEGEND.lines().all(|line| line.chars().count() <= 80));
    }

    #[test]
    fn the_same_arguments_give_the_same_numbers() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let one = pool.install(|| network("gelu", 6, 64, 1.5335));
        assert_eq!(one, network("gelu", 6, 64, 1.5335));
        assert_eq!(shown(50), [1, 5, 10, 20, 50]);
        assert_eq!(shown(1), [1]);
    }
}
