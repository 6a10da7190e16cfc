//! Cross-entropy on devices other than the CPU.

use crate::device::gpu;
use crate::device::tape::{AnyRank, Derivative, record, untaped};
use burn::Tensor;
use burn::tensor::Int;
use burn::tensor::activation::log_softmax;

/// See [`cross_entropy`](crate::cross_entropy).
pub(crate) fn cross_entropy(
    logits: Tensor<2>,
    labels: Tensor<1, Int>,
    smoothing: f64,
) -> Tensor<1> {
    let plain = untaped(&logits);
    let numbers =
        if labels.device().is_autodiff() { labels.clone().inner() } else { labels.clone() };
    let Some([losses, largest, logarithms]) = gpu::cross_entropy(&plain, &numbers, smoothing)
    else {
        return by_operations(logits, labels, smoothing);
    };
    let saved = || CrossEntropy { logits: plain, labels: numbers, largest, logarithms, smoothing };
    record([logits.into()], losses, saved)
}

fn by_operations(logits: Tensor<2>, labels: Tensor<1, Int>, smoothing: f64) -> Tensor<1> {
    let [rows, _] = logits.dims();
    let log_probabilities = log_softmax(logits, 1);
    let right = log_probabilities.clone().gather(1, labels.reshape([rows, 1])).reshape([rows]);
    if smoothing == 0.0 {
        return right.neg();
    }
    let mean = log_probabilities.mean_dim(1).reshape([rows]);
    (right * (1.0 - smoothing) + mean * smoothing).neg()
}

#[derive(Debug, Clone)]
struct CrossEntropy {
    logits: Tensor<2>,
    labels: Tensor<1, Int>,
    /// The largest logit of each row.
    largest: Tensor<1>,
    /// Of the sum of the powers of what lies below it.
    logarithms: Tensor<1>,
    smoothing: f64,
}

impl Derivative<1> for CrossEntropy {
    fn backward(self, gradient: AnyRank, _: [bool; 1]) -> [Option<AnyRank>; 1] {
        let Self { logits, labels, largest, logarithms, smoothing } = self;
        let gradient = gradient.tensor();
        let by_logits = gpu::cross_entropy_gradient(
            &logits,
            &labels,
            [&largest, &logarithms, &gradient],
            smoothing,
        );
        [Some(by_logits.expect("the loss was computed there").into())]
    }
}
