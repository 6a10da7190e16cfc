//! Sizes that do not agree are refused, as plain operations refuse them, and not computed with.

use crate::formula::Name;
use actlab_kernels as kernels;
use burn::Tensor;
use burn::tensor::Device;
use std::panic::{AssertUnwindSafe, catch_unwind};

fn zeros<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    Tensor::zeros(shape, &Device::flex())
}

/// What was computed with and should not have been: all of it is told together.
#[derive(Default)]
struct Accepted(Vec<String>);

impl Accepted {
    fn refuse<T>(&mut self, what: &str, run: impl FnOnce() -> T) {
        if catch_unwind(AssertUnwindSafe(run)).is_ok() {
            self.0.push(what.to_owned());
        }
    }

    fn assert_none(self) {
        assert!(self.0.is_empty(), "accepted: {}", self.0.join("; "));
    }
}

#[test]
fn convolutions() {
    let mut accepted = Accepted::default();
    let x = || zeros([2, 4, 4, 3]);
    accepted.refuse("other channels", || kernels::convolution(x(), zeros([5, 4, 3, 3]), 1));
    accepted.refuse("an even kernel", || kernels::convolution(x(), zeros([5, 3, 2, 2]), 1));
    accepted.refuse("an oblong kernel", || kernels::convolution(x(), zeros([5, 3, 3, 1]), 1));
    accepted.refuse("no stride", || kernels::convolution(x(), zeros([5, 3, 3, 3]), 0));
    accepted.refuse("fewer channels", || kernels::shortcut(x(), 2, 2));
    accepted.refuse("no stride", || kernels::shortcut(x(), 0, 3));
    accepted.assert_none();
}

#[test]
fn linear_layers() {
    let mut accepted = Accepted::default();
    accepted.refuse("other inputs", || kernels::linear(zeros([2, 3]), zeros([4, 5]), None));
    accepted.refuse("a longer bias", || {
        kernels::linear(zeros([2, 3]), zeros([3, 5]), Some(zeros([6])))
    });
    let three = |first: [usize; 2], bias: usize| {
        let weights = [zeros(first), zeros([3, 5]), zeros([3, 5])];
        kernels::linear_three(zeros([2, 3]), weights, [zeros([5]), zeros([bias]), zeros([5])])
    };
    accepted.refuse("weights of two widths", || three([3, 4], 5));
    accepted.refuse("other inputs", || three([4, 5], 5));
    accepted.refuse("a shorter bias", || three([3, 5], 4));
    accepted.assert_none();
}

#[test]
fn attention() {
    let mut accepted = Accepted::default();
    let attention = |width, lengths: &[usize], p| {
        let sequences = kernels::Sequences::new(lengths.iter().copied());
        let dropout = Some(kernels::Dropout { key: 1, draw: 2, p, first: 0 });
        kernels::attention(zeros([7, width]), 2, &sequences, kernels::Seen::All, dropout)
    };
    assert_eq!(attention(12, &[3, 4], 0.5).dims(), [7, 4]);
    accepted.refuse("an odd width", || attention(14, &[3, 4], 0.5));
    accepted.refuse("fewer tokens", || attention(12, &[3, 3], 0.5));
    accepted.refuse("more tokens", || attention(12, &[3, 4, 1], 0.5));
    accepted.refuse("dropout of all", || attention(12, &[3, 4], 1.0));
    accepted.refuse("dropout of less than nothing", || attention(12, &[3, 4], -0.1));
    accepted.refuse("dropout that is no number", || attention(12, &[3, 4], f64::NAN));
    let sequences = kernels::Sequences::new([3, 3]);
    accepted.refuse("rotary: more rows", || kernels::rotary(zeros([7, 12]), 2, &sequences));
    let dropout = kernels::Dropout { key: 1, draw: 2, p: 0.5, first: 0 };
    accepted.refuse("dropout: more rows", || kernels::dropout(zeros([7, 12]), &sequences, dropout));
    accepted.assert_none();
}

#[test]
fn norms() {
    let mut accepted = Accepted::default();
    let layer_norm = |gamma: usize, beta: usize, residual: Option<[usize; 2]>| {
        let residual = residual.map(zeros);
        kernels::layer_norm(zeros([3, 8]), residual, zeros([gamma]), zeros([beta]), 1e-5)
    };
    accepted.refuse("layer norm: a shorter γ", || layer_norm(4, 8, None));
    accepted.refuse("layer norm: a longer γ", || layer_norm(9, 8, None));
    accepted.refuse("layer norm: a shorter β", || layer_norm(8, 4, None));
    accepted.refuse("layer norm: a residual of fewer rows", || layer_norm(8, 8, Some([2, 8])));
    accepted.refuse("layer norm: a residual of other width", || layer_norm(8, 8, Some([3, 9])));
    let f = Name::Smooth.activation();
    let batch_norm = |gamma: usize, beta: usize, residual: Option<[usize; 4]>| {
        let (x, residual) = (zeros([3, 2, 2, 6]), residual.map(zeros));
        kernels::batch_norm_training(
            x,
            zeros([gamma]),
            zeros([beta]),
            1e-5,
            residual,
            Some(&f),
            None,
        )
    };
    accepted.refuse("batch norm: a shorter γ", || batch_norm(3, 6, None));
    accepted.refuse("batch norm: a shorter β", || batch_norm(6, 3, None));
    accepted
        .refuse("batch norm: a residual of fewer images", || batch_norm(6, 6, Some([2, 2, 2, 6])));
    accepted
        .refuse("batch norm: a residual of other size", || batch_norm(6, 6, Some([3, 2, 3, 6])));
    let inference = |gamma: usize, residual: Option<[usize; 4]>| {
        let parameters = || [zeros([gamma]), zeros([gamma])];
        let (x, residual) = (zeros([3, 2, 2, 6]), residual.map(zeros));
        kernels::batch_norm_inference(x, parameters(), parameters(), 1e-5, residual, Some(&f))
    };
    accepted.refuse("inference: shorter parameters", || inference(3, None));
    accepted.refuse("inference: a residual of fewer images", || inference(6, Some([2, 2, 2, 6])));
    accepted.assert_none();
}

#[test]
fn others() {
    let mut accepted = Accepted::default();
    let tokens = |token: i64| Tensor::from_data([0, token], &Device::flex());
    accepted.refuse("a token beyond the last", || kernels::embedding(zeros([5, 3]), tokens(5)));
    accepted.refuse("a token below 0", || kernels::embedding(zeros([5, 3]), tokens(-1)));
    accepted.refuse("gradients of other shape", || {
        kernels::with_gradient(zeros([2, 3]), zeros([3, 2]))
    });
    accepted.refuse("activation: an odd width for a gated one", || {
        kernels::activation(&Name::Gated.activation(), zeros([4, 5]))
    });
    let rule = kernels::Sgd {
        learning_rate: 0.1,
        gradient_scale: 1.0,
        momentum: 0.0,
        nesterov: false,
        weight_decay: 0.0,
    };
    accepted.refuse("Sgd: a shorter gradient", || rule.step(zeros([5]), zeros([4]), &mut None));
    let moving = kernels::Sgd { momentum: 0.9, ..rule };
    accepted.refuse("Sgd: a shorter velocity", || {
        moving.step(zeros([5]), zeros([5]), &mut Some(zeros([4])))
    });
    let rule = kernels::AdamW {
        learning_rate: 0.1,
        gradient_scale: 1.0,
        beta1: 0.9,
        beta2: 0.99,
        epsilon: 1e-8,
        weight_decay: 0.0,
        coupled_decay: 0.0,
        step: 1,
    };
    accepted.refuse("AdamW: shorter moments", || {
        rule.step(zeros([5]), zeros([5]), &mut Some([zeros([5]), zeros([4])]))
    });
    accepted.refuse("AdamW: a shorter gradient", || rule.step(zeros([5]), zeros([4]), &mut None));
    accepted.assert_none();
}
