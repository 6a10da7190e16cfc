//! Sizes that do not agree are refused, as plain operations refuse them, and not computed with.

use crate::formula::Name;
use actlab_kernels as kernels;
use burn::Tensor;
use burn::tensor::Device;
use std::panic::{AssertUnwindSafe, catch_unwind};

fn zeros<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    Tensor::zeros(shape, &Device::flex())
}

fn assert_refused<T>(what: &str, run: impl FnOnce() -> T) {
    assert!(catch_unwind(AssertUnwindSafe(run)).is_err(), "{what} is not refused");
}

#[test]
fn convolutions() {
    let x = || zeros([2, 4, 4, 3]);
    assert_refused("other channels", || kernels::convolution(x(), zeros([5, 4, 3, 3]), 1));
    assert_refused("an even kernel", || kernels::convolution(x(), zeros([5, 3, 2, 2]), 1));
    assert_refused("an oblong kernel", || kernels::convolution(x(), zeros([5, 3, 3, 1]), 1));
    assert_refused("no stride", || kernels::convolution(x(), zeros([5, 3, 3, 3]), 0));
    assert_refused("fewer channels", || kernels::shortcut(x(), 2, 2));
    assert_refused("no stride", || kernels::shortcut(x(), 0, 3));
}

#[test]
fn linear_layers() {
    assert_refused("other inputs", || kernels::linear(zeros([2, 3]), zeros([4, 5]), None));
    assert_refused("a longer bias", || {
        kernels::linear(zeros([2, 3]), zeros([3, 5]), Some(zeros([6])))
    });
    let three = |first: [usize; 2], bias: usize| {
        let weights = [zeros(first), zeros([3, 5]), zeros([3, 5])];
        kernels::linear_three(zeros([2, 3]), weights, [zeros([5]), zeros([bias]), zeros([5])])
    };
    assert_refused("weights of two widths", || three([3, 4], 5));
    assert_refused("other inputs", || three([4, 5], 5));
    assert_refused("a shorter bias", || three([3, 5], 4));
}

#[test]
fn attention() {
    let attention = |width, padding, dropout: Option<[usize; 4]>| {
        let padding = zeros::<2>(padding).greater_scalar(1.0);
        kernels::attention(zeros([3, 4, width]), 2, padding, dropout.map(zeros))
    };
    assert_eq!(attention(12, [3, 4], Some([3, 2, 4, 4])).dims(), [3, 4, 4]);
    assert_refused("an odd width", || attention(14, [3, 4], None));
    assert_refused("padding of fewer rows", || attention(12, [2, 4], None));
    assert_refused("padding of fewer tokens", || attention(12, [3, 3], None));
    assert_refused("padding of more tokens", || attention(12, [3, 8], None));
    assert_refused("dropout of fewer rows", || attention(12, [3, 4], Some([2, 2, 4, 4])));
    assert_refused("dropout of more tokens", || attention(12, [3, 4], Some([3, 2, 4, 8])));
}

#[test]
fn norms() {
    let layer_norm = |gamma: usize, beta: usize, residual: Option<[usize; 2]>| {
        let residual = residual.map(zeros);
        kernels::layer_norm(zeros([3, 8]), residual, zeros([gamma]), zeros([beta]), 1e-5)
    };
    assert_refused("a shorter γ", || layer_norm(4, 8, None));
    assert_refused("a longer γ", || layer_norm(9, 8, None));
    assert_refused("a shorter β", || layer_norm(8, 4, None));
    assert_refused("a residual of fewer rows", || layer_norm(8, 8, Some([2, 8])));
    assert_refused("a residual of other width", || layer_norm(8, 8, Some([3, 9])));
    let f = Name::Smooth.activation();
    let batch_norm = |gamma: usize, beta: usize, residual: Option<[usize; 4]>| {
        let (x, residual) = (zeros([3, 2, 2, 6]), residual.map(zeros));
        kernels::batch_norm_training(x, zeros([gamma]), zeros([beta]), 1e-5, residual, Some(&f))
    };
    assert_refused("a shorter γ", || batch_norm(3, 6, None));
    assert_refused("a shorter β", || batch_norm(6, 3, None));
    assert_refused("a residual of fewer images", || batch_norm(6, 6, Some([2, 2, 2, 6])));
    assert_refused("a residual of other size", || batch_norm(6, 6, Some([3, 2, 3, 6])));
    let inference = |gamma: usize, residual: Option<[usize; 4]>| {
        let parameters = || [zeros([gamma]), zeros([gamma])];
        let (x, residual) = (zeros([3, 2, 2, 6]), residual.map(zeros));
        kernels::batch_norm_inference(x, parameters(), parameters(), 1e-5, residual, Some(&f))
    };
    assert_refused("shorter parameters", || inference(3, None));
    assert_refused("a residual of fewer images", || inference(6, Some([2, 2, 2, 6])));
}

#[test]
fn others() {
    let tokens = |token: i64| Tensor::from_data([[0, token]], &Device::flex());
    assert_refused("a token beyond the last", || kernels::embedding(zeros([5, 3]), tokens(5)));
    assert_refused("a token below 0", || kernels::embedding(zeros([5, 3]), tokens(-1)));
    assert_refused("gradients of other shape", || {
        kernels::with_gradient(zeros([2, 3]), zeros([3, 2]))
    });
    assert_refused("an odd width", || {
        kernels::activation(&Name::Gated.activation(), zeros([4, 5]))
    });
    let rule = kernels::Sgd {
        learning_rate: 0.1,
        gradient_scale: 1.0,
        momentum: 0.0,
        nesterov: false,
        weight_decay: 0.0,
    };
    assert_refused("a shorter gradient", || rule.step(zeros([5]), zeros([4]), &mut None));
}
