//! Losses, means and broadcast rows as [`Case`]s.

use crate::case::{Case, Draw};
use actlab_kernels as kernels;
use burn::Tensor;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, TensorData};

pub(crate) fn cross_entropy(draw: &mut Draw, [rows, outputs]: [usize; 2], smoothing: f64) -> Case {
    // Far beyond where exp overflows, now and then.
    let bound = if draw.below(4) == 0 { 200.0 } else { 5.0 };
    let logits = draw.input(&[rows, outputs], bound);
    let labels: Vec<i64> = (0..rows).map(|_| draw.below(outputs) as i64).collect();
    let same = labels.clone();
    let tensor = move |labels: &[i64], device: &_| {
        Tensor::<1, Int>::from_data(TensorData::new(labels.to_vec(), [rows]), device)
    };
    Case::new(
        format!("cross-entropy {rows} × {outputs}, smoothing {smoothing}"),
        vec![logits],
        move |tape| {
            kernels::cross_entropy(tape.input(0), tensor(&labels, tape.device()), smoothing)
        },
        move |tape| {
            let all = log_softmax(tape.input::<2>(0), 1);
            let labels = tensor(&same, tape.device()).reshape([rows, 1]);
            let right = all.clone().gather(1, labels).reshape([rows]);
            let mean = all.mean_dim(1).reshape([rows]);
            (right * (1.0 - smoothing) + mean * smoothing).neg()
        },
    )
}

pub(crate) fn mean(draw: &mut Draw, n: usize) -> Case {
    Case::new(
        format!("mean of {n}"),
        vec![draw.input(&[n], 2.0)],
        |tape| kernels::mean(tape.input(0)),
        |tape| tape.input::<1>(0).mean(),
    )
}

pub(crate) fn pixel_means(draw: &mut Draw, shape: [usize; 4]) -> Case {
    let [batch, height, width, channels] = shape;
    Case::new(
        format!("pixel means {shape:?}"),
        vec![draw.input(&shape, 2.0)],
        |tape| kernels::pixel_means(tape.input(0)),
        move |tape| {
            let x = tape.input::<4>(0).reshape([batch, height * width, channels]);
            x.mean_dim(1).reshape([batch, channels])
        },
    )
}

pub(crate) fn plus_row(draw: &mut Draw, [rows, width]: [usize; 2]) -> Case {
    Case::new(
        format!("plus row {rows} × {width}"),
        vec![draw.input(&[rows, width], 2.0), draw.input(&[width], 2.0)],
        |tape| kernels::plus_row(tape.input(0), tape.input(1)),
        |tape| tape.input::<2>(0) + tape.input::<1>(1).unsqueeze(),
    )
}

pub(crate) fn tanh(draw: &mut Draw, shape: [usize; 2]) -> Case {
    Case::new(
        format!("tanh {shape:?}"),
        vec![draw.input(&shape, 3.0)],
        |tape| kernels::tanh(tape.input::<2>(0)),
        |tape| tape.input::<2>(0).tanh(),
    )
}

/// Every one once, on few numbers.
pub(crate) fn small(draw: &mut Draw) -> Vec<Case> {
    vec![
        cross_entropy(draw, [5, 19], 0.0),
        cross_entropy(draw, [5, 19], 0.3),
        // Burn divides gradients of f64 in single precision, which is exact by powers of two.
        mean(draw, 32),
        pixel_means(draw, [3, 5, 4, 7]),
        plus_row(draw, [5, 19]),
        tanh(draw, [5, 19]),
    ]
}

/// Every one on more numbers than one task takes on.
pub(crate) fn large(draw: &mut Draw) -> Vec<Case> {
    vec![
        cross_entropy(draw, [131, 1003], 0.0),
        cross_entropy(draw, [131, 1003], 0.1),
        mean(draw, 1003),
        pixel_means(draw, [19, 9, 8, 33]),
        plus_row(draw, [1301, 67]),
        tanh(draw, [131, 67]),
    ]
}
