//! The same bits on every instruction set that the machine has.

use crate::case::{Case, Draw};
use crate::formula::Name;
use crate::operation::{self, Heads, Learned, Sizes};
use crate::reduction;
use crate::threads::{bits, hash};
use activation::simd::Width;
use activation_testing::instructions::{answer, answers, is_asked};
use actlab_kernels::{gated_slopes, learned_derivatives, log_probabilities, slope};
use burn::Tensor;
use burn::tensor::{DType, Device};

/// Operations of sizes that are drawn: around registers of each width and where sums are cut.
fn drawn() -> Vec<Case> {
    let draw = &mut Draw::new(23);
    let mut cases = Vec::new();
    for _ in 0..24 {
        let mut size = |most: usize| 1 + draw.below(most);
        let [a, b, c, d] = [size(5), size(9), size(70), size(70)];
        let (deep, shallow) = (size(1400), size(2));
        let residual = draw.coin();
        cases.extend([
            operation::nonlinearity(draw, Name::Smooth, [a, b, c]),
            operation::activation(draw, Name::Gated, [a, b, c]),
            operation::learned(draw, Learned::Two, [a, b, c], residual),
            operation::softmax(draw, [a, b, c]),
            operation::layer_norm(draw, [a, b, c], residual),
            operation::linear(draw, [b, deep, c], residual),
            operation::linear(draw, [a, c, 1], residual),
            operation::linear(draw, [1, c, d], residual),
            operation::linear(draw, [c, shallow, d], residual),
            operation::batch_norm_training(draw, [a, b, 4, c], residual, Some(Name::Smooth)),
            reduction::cross_entropy(draw, [b, c], 0.1),
            reduction::pixel_means(draw, [a, b, 3, c]),
            reduction::plus_row(draw, [c, d]),
            reduction::tanh(draw, [b, c]),
        ]);
        let lengths: Vec<usize> = (0..a).map(|i| (c + 5 * i) % (c + 1)).collect();
        cases.push(operation::dropout(draw, lengths.clone(), d));
        let heads = Heads {
            lengths,
            heads: 2,
            width: 1 + draw.below(40),
            dropout: residual,
            causal: draw.coin(),
        };
        cases.push(operation::attention(draw, heads));
        for (kernel, stride) in [(3, 1), (3, 2), (1, 1), (5, 1)] {
            let sizes =
                Sizes { batch: a, height: b, width: 7, input: c, output: d, kernel, stride };
            cases.push(operation::convolution(draw, sizes));
        }
    }
    cases
}

/// What is computed without a tape.
fn figures() -> Vec<(String, Vec<f32>)> {
    let draw = &mut Draw::new(29);
    let mut figures = Vec::new();
    for columns in [1, 7, 16, 37, 130] {
        let mut tensor = || {
            let numbers = draw.numbers(9 * columns, 4.0);
            Tensor::<1>::from_floats(numbers.as_slice(), &Device::flex()).reshape([9, columns])
        };
        let mut add = |name: &str, tensor: Tensor<2>| {
            figures.push((format!("{name} {columns}"), tensor.into_data().iter::<f32>().collect()));
        };
        add("log probabilities", log_probabilities(tensor()));
        add("slope", slope(&Name::Smooth.activation(), tensor()));
        let gated = Name::Gated.activation();
        if let activation::Kind::Gated(f) = gated.kind() {
            let [by_gate, by_value] = gated_slopes(f, tensor(), tensor());
            add("slope by gate", by_gate);
            add("slope by value", by_value);
        }
        let f = activation_testing::activation("x * sigmoid(beta * x) where beta=1, learn=all");
        let numbers = Tensor::<2>::full([1, columns], 1.3, &Device::flex());
        for learned in learned_derivatives(&f, 1, tensor(), numbers) {
            add("slope of a learned one", learned);
        }
    }
    figures
}

/// Prints the hashes of this process's instructions; does nothing in a test run of its own.
#[test]
fn hashes_of_this_process() {
    if !is_asked() {
        return;
    }
    for case in operation::small().into_iter().chain(operation::large()).chain(drawn()) {
        for device in [Device::flex(), Device::flex().autodiff()] {
            let taped = device.is_autodiff();
            // On a tape, inference takes burn's operations.
            if taped && case.name.starts_with("batch norm inference") {
                continue;
            }
            let hash = hash(&bits(case.run_fused(&device, DType::F32)));
            answer(&format!("{}, taped {taped}: {hash:016x}", case.name));
        }
    }
    for (name, numbers) in figures() {
        let bits = numbers.iter().map(|x| u64::from(x.to_bits())).collect();
        answer(&format!("{name}: {:016x}", hash(&[bits])));
    }
}

#[test]
fn every_operation_has_the_same_bits_on_every_instruction_set() {
    let hashes = |width: &Width| answers(*width, "widths::hashes_of_this_process");
    let widths = Width::available();
    let expected = hashes(&widths[0]);
    assert!(expected.len() > 400, "{}", expected.len());
    for width in &widths[1..] {
        let found = hashes(width);
        assert_eq!(found.len(), expected.len(), "{width}");
        let others: Vec<&String> =
            found.iter().zip(&expected).filter(|(a, b)| a != b).map(|(a, _)| a).collect();
        assert!(others.is_empty(), "{width}, not as {}: {others:#?}", widths[0]);
    }
}
