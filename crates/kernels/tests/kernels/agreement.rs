//! Values and gradients of each operation, over random sizes, memory layouts and tracked inputs.

use crate::case::{CASES, Case, Draw};
use crate::formula::Name;
use crate::operation::{
    self, Heads, Learned, Sizes, plain_batch_norm, plain_layer_norm, plain_linear,
};
use crate::reduction;
use actlab_kernels::{self as kernels, Seen, Sequences};
use burn::Tensor;
use burn::tensor::{DType, Device};
use proptest::prelude::*;

/// Channels: few, odd, and as many as fill registers or one more.
fn channels() -> impl Strategy<Value = usize> {
    prop_oneof![4 => 1..=20_usize, 1 => Just(16), 1 => Just(32), 1 => Just(33)]
}

fn formula() -> impl Strategy<Value = Name> {
    prop_oneof![Just(Name::Smooth), Just(Name::Kinked), Just(Name::Gated)]
}

/// Sequences, one of which has a token.
fn lengths() -> impl Strategy<Value = Vec<usize>> {
    let some = |lengths: &Vec<usize>| lengths.iter().any(|length| *length > 0);
    prop_oneof![
        3 => prop::collection::vec(0..=20_usize, 1..=5).prop_filter("a token", some),
        1 => (1..=20_usize, 1..=5_usize).prop_map(|(length, count)| vec![length; count]),
    ]
}

/// What may stand behind a sum. Only smooth ones: at a kink, the last bit of the sum decides which of
/// two slopes it is.
fn smooth() -> impl Strategy<Value = Option<Name>> {
    prop_oneof![Just(None), Just(Some(Name::Smooth)), Just(Some(Name::Gated))]
}

fn image() -> impl Strategy<Value = [usize; 4]> {
    (1..=5_usize, 1..=9_usize, 1..=9_usize, channels())
        .prop_map(|(batch, height, width, channels)| [batch, height, width, channels])
}

/// Variances over less than four values are decided by roundings.
fn normed_image() -> impl Strategy<Value = [usize; 4]> {
    image().prop_filter("four values a channel", |[batch, height, width, _]| {
        batch * height * width >= 4
    })
}

fn check(case: Case, draw: &mut Draw) {
    case.varied(draw).assert_agrees();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]

    #[test]
    fn nonlinearities(
        seed: u64, f in formula(), a in 1..=4_usize, b in 1..=9_usize, width in 1..=70_usize
    ) {
        let draw = &mut Draw::new(seed);
        check(operation::nonlinearity(draw, f, [a, b, width]), draw);
    }

    #[test]
    fn activations(
        seed: u64, f in formula(), a in 1..=4_usize, b in 1..=9_usize, width in 1..=70_usize
    ) {
        let draw = &mut Draw::new(seed);
        check(operation::activation(draw, f, [a, b, width]), draw);
    }

    #[test]
    fn learned_numbers(
        seed: u64,
        f in prop_oneof![Just(Learned::Slope), Just(Learned::Two), Just(Learned::Gated)],
        a in 1..=4_usize, b in 1..=30_usize, width in 1..=70_usize, per_channel: bool
    ) {
        let draw = &mut Draw::new(seed);
        check(operation::learned(draw, f, [a, b, width], per_channel), draw);
    }

    #[test]
    fn softmaxes(seed: u64, a in 1..=4_usize, b in 1..=9_usize, width in 1..=70_usize) {
        let draw = &mut Draw::new(seed);
        check(operation::softmax(draw, [a, b, width]), draw);
    }

    #[test]
    fn losses(
        seed: u64, rows in 1..=40_usize, outputs in 1..=70_usize,
        smoothing in prop_oneof![Just(0.0), Just(0.1)]
    ) {
        let draw = &mut Draw::new(seed);
        check(reduction::cross_entropy(draw, [rows, outputs], smoothing), draw);
    }

    #[test]
    fn means_and_rows(seed: u64, rows in 1..=140_usize, shape in image()) {
        let draw = &mut Draw::new(seed);
        check(reduction::mean(draw, rows), draw);
        check(reduction::pixel_means(draw, shape), draw);
        check(reduction::plus_row(draw, [rows, shape[3]]), draw);
        check(reduction::tanh(draw, [rows, shape[3]]), draw);
    }

    #[test]
    fn layer_norms(
        seed: u64, residual: bool, a in 1..=4_usize, b in 1..=20_usize, width in 1..=70_usize
    ) {
        let draw = &mut Draw::new(seed);
        check(operation::layer_norm(draw, [a, b, width], residual), draw);
    }

    #[test]
    fn linear_layers(
        seed: u64, bias: bool, rows in 1..=140_usize, input in 1..=40_usize, output in 1..=40_usize
    ) {
        let draw = &mut Draw::new(seed);
        check(operation::linear(draw, [rows, input, output], bias), draw);
    }

    #[test]
    fn three_linear_layers(
        seed: u64, rows in 1..=140_usize, input in 1..=40_usize, output in 1..=40_usize
    ) {
        let draw = &mut Draw::new(seed);
        check(operation::linear_three(draw, [rows, input, output]), draw);
    }

    #[test]
    fn attentions(
        seed: u64,
        lengths in lengths(),
        heads in 1..=4_usize,
        width in 1..=17_usize,
        dropout: bool,
        causal: bool,
    ) {
        let draw = &mut Draw::new(seed);
        let sizes = Heads { lengths, heads, width, dropout, causal };
        check(operation::attention(draw, sizes), draw);
    }

    #[test]
    fn dropouts(seed: u64, lengths in lengths(), width in 1..=150_usize) {
        let draw = &mut Draw::new(seed);
        check(operation::dropout(draw, lengths, width), draw);
    }

    #[test]
    fn rotary_positions(
        seed: u64, lengths in lengths(), heads in 1..=4_usize, half in 1..=9_usize,
    ) {
        let draw = &mut Draw::new(seed);
        check(operation::rotary(draw, lengths, [heads, 2 * half]), draw);
    }

    #[test]
    fn embeddings(
        seed: u64,
        entries in 1..=9_usize,
        width in 1..=40_usize,
        rows in 1..=60_usize,
    ) {
        let draw = &mut Draw::new(seed);
        check(operation::embedding(draw, [entries, width], rows), draw);
    }

    #[test]
    fn convolutions(
        seed: u64,
        [batch, height, width, input] in image(),
        output in channels(),
        kernel in prop_oneof![Just(1_usize), Just(3), Just(5)],
        stride in 1..=3_usize,
    ) {
        let draw = &mut Draw::new(seed);
        let sizes = Sizes { batch, height, width, input, output, kernel, stride };
        check(operation::convolution(draw, sizes), draw);
    }

    /// What residual networks are made of, where there are shorter ways to the same sums.
    #[test]
    fn wide_convolutions(
        seed: u64,
        [batch, height, width, _] in image(),
        input in 16..=66_usize,
        output in 16..=66_usize,
    ) {
        let draw = &mut Draw::new(seed);
        let sizes = Sizes { batch, height, width, input, output, kernel: 3, stride: 1 };
        check(operation::convolution(draw, sizes), draw);
    }

    #[test]
    fn batch_norms(seed: u64, shape in normed_image(), residual: bool, f in smooth()) {
        let draw = &mut Draw::new(seed);
        check(operation::batch_norm_training(draw, shape, residual, f), draw);
    }

    #[test]
    fn batch_norms_at_inference(seed: u64, shape in image(), residual: bool, f in smooth()) {
        let draw = &mut Draw::new(seed);
        check(operation::batch_norm_inference(draw, shape, residual, f), draw);
    }

    #[test]
    fn shortcuts(seed: u64, shape in image(), stride in 1..=3_usize, more in 0..=20_usize) {
        let draw = &mut Draw::new(seed);
        check(operation::shortcut(draw, shape, stride, more), draw);
    }

    #[test]
    fn copies(seed: u64, shape in image()) {
        let draw = &mut Draw::new(seed);
        let case = Case::new(
            "copy",
            vec![draw.input(&shape, 2.0)],
            |tape| kernels::copy(&tape.input::<4>(0)),
            |tape| tape.input::<4>(0),
        )
        .varied(draw);
        let cpu = Device::flex();
        let expected = case.run_plain(&cpu, DType::F32);
        prop_assert_eq!(case.run_fused(&cpu, DType::F32), expected);
    }
}

#[test]
fn sizes_of_several_tasks() {
    for case in operation::large() {
        case.assert_agrees();
    }
}

/// One rank stands for all above, but for those that take one alone.
#[test]
fn ranks() {
    fn check_rank<const D: usize>(shape: [usize; D]) {
        let draw = &mut Draw::new(5);
        let width = shape[D - 1];
        let (f, gate) = (Name::Smooth.activation(), Name::Gated.activation());
        let input = || vec![Draw::new(6).input(&shape, 2.0)];
        let cases = [
            Case::new(
                format!("nonlinearity of rank {D}"),
                input(),
                move |tape| kernels::nonlinearity(&f, tape.input::<D>(0)),
                |tape| Name::Smooth.plain(tape.input::<D>(0)),
            ),
            Case::new(
                format!("activation of rank {D}"),
                input(),
                move |tape| kernels::activation(&gate, tape.input::<D>(0)),
                move |tape| {
                    let x = tape.input::<D>(0);
                    let gate = x.clone().narrow(D - 1, 0, width / 2);
                    Name::Gated.plain(gate) * x.narrow(D - 1, width / 2, width / 2)
                },
            ),
            Case::new(
                format!("softmax of rank {D}"),
                input(),
                |tape| kernels::softmax(tape.input::<D>(0)),
                |tape| burn::tensor::activation::softmax(tape.input::<D>(0), D - 1),
            ),
            Case::new(
                format!("layer norm of rank {D}"),
                vec![
                    draw.spread(&shape, 1),
                    draw.input(&[width], 2.0),
                    draw.input(&[width], 2.0),
                    draw.input(&shape, 0.5),
                ],
                |tape| {
                    let (gamma, beta) = (tape.input(1), tape.input(2));
                    let residual = Some(tape.input::<D>(3));
                    kernels::layer_norm(tape.input::<D>(0), residual, gamma, beta, 1e-5)
                },
                |tape| {
                    let (gamma, beta) = (tape.input(1), tape.input(2));
                    plain_layer_norm(tape.input::<D>(0), Some(tape.input::<D>(3)), gamma, beta)
                },
            ),
        ];
        for case in cases {
            check_twice(case, draw);
        }
    }

    fn check_twice(case: Case, draw: &mut Draw) {
        case.assert_agrees();
        check(case, draw);
    }

    check_rank([38]);
    check_rank([5, 38]);
    check_rank([2, 3, 2, 22]);
    check_rank([2, 3, 1, 2, 10]);
}

/// Softmax where exp overflows and underflows, and with weights of zero.
#[test]
fn softmax_of_extremes() {
    let rows = vec![
        vec![1e4, -1e4, 0.0, 9999.0, f32::NEG_INFINITY],
        vec![f32::NEG_INFINITY, f32::NEG_INFINITY, f32::NEG_INFINITY, -3.0, f32::NEG_INFINITY],
        vec![f32::MIN, f32::MIN, f32::MAX, 0.0, f32::MIN_POSITIVE],
    ];
    for row in rows {
        // Repeated, so that it fills registers and leaves a rest.
        for times in [1, 5, 7] {
            let numbers = row.repeat(times);
            let case = Case::new(
                format!("softmax of {row:?}, {times} times"),
                vec![crate::case::Input {
                    tracked: true,
                    ..crate::case::Input::new(&[1, numbers.len()], numbers)
                }],
                |tape| kernels::softmax(tape.input::<2>(0)),
                |tape| burn::tensor::activation::softmax(tape.input::<2>(0), 1),
            );
            case.assert_agrees();
        }
    }
}

/// One tensor as several operands: its gradient is the sum of theirs.
#[test]
fn operands_that_are_one() {
    let draw = &mut Draw::new(13);
    let image = [3, 3, 3, 3];
    let cases = [
        Case::new(
            "linear of one tensor",
            vec![draw.input(&[7, 7], 2.0)],
            |tape| kernels::linear(tape.input(0), tape.input(0), None),
            |tape| plain_linear(tape.input(0), tape.input(0), None),
        ),
        Case::new(
            "linear three of one weight",
            vec![draw.input(&[5, 7], 2.0), draw.input(&[7, 9], 2.0), draw.input(&[9], 2.0)],
            |tape| {
                let weights = [1, 1, 1].map(|i| tape.input::<2>(i));
                kernels::linear_three(tape.input(0), weights, [2, 2, 2].map(|i| tape.input(i)))
            },
            |tape| {
                let y = plain_linear(tape.input(0), tape.input(1), Some(tape.input(2)));
                Tensor::cat(vec![y.clone(), y.clone(), y], 1)
            },
        ),
        Case::new(
            "layer norm of one tensor twice",
            vec![draw.spread(&[5, 19], 1), draw.input(&[19], 2.0)],
            |tape| {
                let x: Tensor<2> = tape.input(0);
                kernels::layer_norm(x.clone(), Some(x), tape.input(1), tape.input(1), 1e-5)
            },
            |tape| {
                let x: Tensor<2> = tape.input(0);
                plain_layer_norm(x.clone(), Some(x), tape.input(1), tape.input(1))
            },
        ),
        Case::new(
            "batch norm of one tensor twice",
            vec![draw.spread(&image, 3), draw.input(&[3], 2.0)],
            |tape| {
                let (x, gamma) = (tape.input::<4>(0), tape.input::<1>(1));
                let f = Name::Smooth.activation();
                let residual = Some(x.clone());
                let norm = kernels::batch_norm_training(
                    x,
                    gamma.clone(),
                    gamma,
                    1e-5,
                    residual,
                    Some(&f),
                    None,
                );
                norm.output
            },
            |tape| {
                let (x, gamma) = (tape.input::<4>(0), tape.input::<1>(1));
                let residual = Some(x.clone());
                let norm = plain_batch_norm(x, gamma.clone(), gamma, residual, Some(Name::Smooth));
                crate::case::Output { others: Vec::new(), ..norm }
            },
        ),
        Case::new(
            "convolution of an image with itself",
            vec![draw.input(&image, 2.0)],
            |tape| kernels::convolution(tape.input(0), tape.input(0), 1),
            |tape| operation::plain_convolution(tape.input(0), tape.input(0), 1),
        ),
    ];
    for case in cases {
        case.assert_agrees();
    }
}

/// Operations one behind the other: gradients that one hands to the next, and to two at once, are
/// worked on in place where it has no other owner.
#[test]
fn operations_in_a_row() {
    let draw = &mut Draw::new(17);
    let inputs = vec![
        draw.input(&[2, 9, 12], 2.0),
        draw.input(&[12, 12], 1.0),
        draw.input(&[12], 1.0),
        draw.input(&[12], 2.0),
    ];
    Case::new(
        "a block of a transformer",
        inputs,
        |tape| {
            let (weight, bias) = (tape.input::<2>(1), tape.input::<1>(2));
            let x = tape.input::<3>(0);
            let rows = x.clone().reshape([18, 12]);
            let inputs = kernels::linear_three(
                rows,
                [weight.clone(), weight.clone(), weight.clone()],
                [bias.clone(), bias.clone(), bias.clone()],
            );
            let sequences = Sequences::new([9, 9]);
            let mixed = kernels::attention(inputs, 3, &sequences, Seen::All, None);
            let mixed = mixed.reshape([2, 9, 12]);
            let x = kernels::layer_norm(mixed, Some(x), tape.input(3), bias.clone(), 1e-5);
            let y = kernels::linear(x.clone().reshape([18, 12]), weight, Some(bias));
            let y = kernels::nonlinearity(&Name::Smooth.activation(), y.reshape([2, 9, 12]));
            kernels::softmax(y.clone() + x) + y
        },
        |tape| {
            let (weight, bias) = (tape.input::<2>(1), tape.input::<1>(2));
            let x = tape.input::<3>(0);
            let rows = x.clone().reshape([18, 12]);
            let y = plain_linear(rows, weight.clone(), Some(bias.clone()));
            let y = y.reshape([2, 9, 3, 4]).swap_dims(1, 2);
            let scores = y.clone().matmul(y.clone().swap_dims(2, 3)) / 2.0;
            let weights = burn::tensor::activation::softmax(scores, 3);
            let mixed = weights.matmul(y).swap_dims(1, 2).reshape([2, 9, 12]);
            let x = plain_layer_norm(mixed, Some(x), tape.input(3), bias.clone());
            let y = plain_linear(x.clone().reshape([18, 12]), weight, Some(bias));
            let y = Name::Smooth.plain(y.reshape([2, 9, 12]));
            burn::tensor::activation::softmax(y.clone() + x, 2) + y
        },
    )
    .assert_agrees();

    let inputs = vec![
        draw.input(&[3, 5, 6, 7], 2.0),
        draw.input(&[7, 7, 3, 3], 0.3),
        draw.input(&[7], 2.0),
        draw.input(&[7], 2.0),
    ];
    Case::new(
        "a block of a residual network",
        inputs,
        |tape| {
            let (weight, gamma, beta) =
                (tape.input::<4>(1), tape.input::<1>(2), tape.input::<1>(3));
            let f = Name::Smooth.activation();
            let x = tape.input::<4>(0);
            let norm = |x, residual| {
                let (gamma, beta) = (gamma.clone(), beta.clone());
                kernels::batch_norm_training(x, gamma, beta, 1e-5, residual, Some(&f), None).output
            };
            let y = norm(kernels::convolution(x.clone(), weight.clone(), 2), None);
            let y = kernels::convolution(y, weight, 1);
            norm(y, Some(kernels::shortcut(x, 2, 7)))
        },
        |tape| {
            let (weight, gamma, beta) =
                (tape.input::<4>(1), tape.input::<1>(2), tape.input::<1>(3));
            let x = tape.input::<4>(0);
            let norm = |x: Tensor<4>| {
                let flat = x.clone().reshape([27, 7]);
                let mean = flat.clone().mean_dim(0);
                let variance = (flat.clone() - mean.clone()).square().mean_dim(0);
                let y = (flat - mean) / (variance + 1e-5).sqrt();
                (y * gamma.clone().unsqueeze() + beta.clone().unsqueeze()).reshape(x.dims())
            };
            let y = operation::plain_convolution(x.clone(), weight.clone(), 2);
            let y = operation::plain_convolution(Name::Smooth.plain(norm(y)), weight, 1);
            let places = || Tensor::from_data([0, 2, 4].as_slice(), tape.device());
            let kept = x.select(1, places()).select(2, places());
            Name::Smooth.plain(norm(y) + kept)
        },
    )
    .assert_agrees();
}
