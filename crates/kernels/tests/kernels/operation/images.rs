//! The operations on images, `[batch, rows, columns, channels]`.

use super::EPSILON;
use crate::case::{Case, Draw, Input, Output};
use crate::formula::Name;
use actlab_kernels as kernels;
use burn::Tensor;
use burn::tensor::Int;
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;

/// Sizes of a convolution.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    pub(crate) batch: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) input: usize,
    pub(crate) output: usize,
    pub(crate) kernel: usize,
    pub(crate) stride: usize,
}

pub(crate) fn convolution(draw: &mut Draw, sizes: Sizes) -> Case {
    let Sizes { batch, height, width, input, output, kernel, stride } = sizes;
    Case::new(
        format!("convolution {sizes:?}"),
        vec![
            draw.input(&[batch, height, width, input], 2.0),
            draw.input(&[output, input, kernel, kernel], 1.0),
        ],
        move |tape| kernels::convolution(tape.input(0), tape.input(1), stride),
        move |tape| plain_convolution(tape.input(0), tape.input(1), stride),
    )
}

pub(crate) fn plain_convolution(x: Tensor<4>, weight: Tensor<4>, stride: usize) -> Tensor<4> {
    let padding = weight.dims()[2] / 2;
    let options = ConvOptions::new([stride; 2], [padding; 2], [1, 1], 1);
    conv2d(x.permute([0, 3, 1, 2]), weight, None, options).permute([0, 2, 3, 1])
}

fn batch_norm_inputs(draw: &mut Draw, shape: [usize; 4], residual: bool) -> Vec<Input> {
    let channels = shape[3];
    let mut inputs = vec![
        draw.spread(&shape, channels),
        draw.input(&[channels], 2.0),
        draw.input(&[channels], 2.0),
    ];
    if residual {
        inputs.push(draw.input(&shape, 2.0));
    }
    inputs
}

pub(crate) fn batch_norm_training(
    draw: &mut Draw,
    shape: [usize; 4],
    residual: bool,
    f: Option<Name>,
) -> Case {
    let activation = f.map(Name::activation);
    Case::new(
        format!("batch norm {shape:?}, residual {residual}, {f:?}"),
        batch_norm_inputs(draw, shape, residual),
        move |tape| {
            let residual = residual.then(|| tape.input::<4>(3));
            let (x, gamma, beta) = (tape.input(0), tape.input(1), tape.input(2));
            let activation = activation.as_ref();
            let norm =
                kernels::batch_norm_training(x, gamma, beta, EPSILON, residual, activation, None);
            Output { others: vec![norm.mean, norm.variance], ..Output::from(norm.output) }
        },
        move |tape| {
            let residual = residual.then(|| tape.input::<4>(3));
            plain_batch_norm(tape.input(0), tape.input(1), tape.input(2), residual, f)
        },
    )
}

pub(crate) fn plain_batch_norm(
    x: Tensor<4>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    residual: Option<Tensor<4>>,
    f: Option<Name>,
) -> Output {
    let shape = x.dims();
    let flat = x.reshape([shape[0] * shape[1] * shape[2], shape[3]]);
    let mean = flat.clone().mean_dim(0);
    let centered = flat - mean.clone();
    let variance = centered.clone().square().mean_dim(0);
    let normal = centered / (variance.clone() + EPSILON).sqrt();
    let y = (normal * gamma.unsqueeze() + beta.unsqueeze()).reshape(shape);
    let vector = |x: Tensor<2>| x.reshape([shape[3]]).detach();
    let others = vec![vector(mean), vector(variance)];
    Output { others, ..finish(y, residual, f).into() }
}

fn finish(y: Tensor<4>, residual: Option<Tensor<4>>, f: Option<Name>) -> Tensor<4> {
    let y = match residual {
        Some(residual) => y + residual,
        None => y,
    };
    match f {
        Some(f) => f.plain(y),
        None => y,
    }
}

/// Statistics have no gradient here, as they have none where the operation is used.
pub(crate) fn batch_norm_inference(
    draw: &mut Draw,
    shape: [usize; 4],
    residual: bool,
    f: Option<Name>,
) -> Case {
    let channels = shape[3];
    let activation = f.map(Name::activation);
    let mut inputs = batch_norm_inputs(draw, shape, false);
    inputs.push(Input::new(&[channels], draw.numbers(channels, 2.0)));
    let variance = draw.numbers(channels, 2.0).into_iter().map(|x| x * x + 0.1).collect();
    inputs.push(Input::new(&[channels], variance));
    if residual {
        inputs.push(draw.input(&shape, 2.0));
    }
    Case::new(
        format!("batch norm inference {shape:?}, residual {residual}, {f:?}"),
        inputs,
        move |tape| {
            let residual = residual.then(|| tape.input::<4>(5));
            kernels::batch_norm_inference(
                tape.input(0),
                [tape.input(1), tape.input(2)],
                [tape.input(3), tape.input(4)],
                EPSILON,
                residual,
                activation.as_ref(),
            )
        },
        move |tape| {
            let residual = residual.then(|| tape.input::<4>(5));
            let wide = |i: usize| tape.input::<1>(i).reshape([1, 1, 1, channels]);
            let normal = (tape.input::<4>(0) - wide(3)) / (wide(4) + EPSILON).sqrt();
            finish(normal * wide(1) + wide(2), residual, f)
        },
    )
}

/// With `more` channels than `shape` has.
pub(crate) fn shortcut(draw: &mut Draw, shape: [usize; 4], stride: usize, more: usize) -> Case {
    let channels = shape[3] + more;
    Case::new(
        format!("shortcut {shape:?}, stride {stride}, {more} channels more"),
        vec![draw.input(&shape, 2.0)],
        move |tape| kernels::shortcut(tape.input(0), stride, channels),
        move |tape| {
            let every = |size: usize| {
                let places: Vec<i64> = (0..size).step_by(stride).map(|i| i as i64).collect();
                Tensor::<1, Int>::from_data(places.as_slice(), tape.device())
            };
            let x: Tensor<4> = tape.input(0);
            let x = x.select(1, every(shape[1])).select(2, every(shape[2]));
            if more == 0 {
                return x;
            }
            let [batch, rows, columns, _] = x.dims();
            let zeros = Tensor::<4>::zeros([batch, rows, columns, more], tape.device());
            let zeros = zeros.cast(x.dtype());
            Tensor::cat(vec![x, zeros], 3)
        },
    )
}
