//! Batch norm on devices other than the CPU, with a backward of its own.

use crate::batch_norm::{BatchNormTraining, channelwise};
use crate::device::tape::{AnyRank, Derivative, record, untaped};
use crate::device::{activation, gpu};
use crate::reduce::column_sums;
use ::activation::Activation;
use burn::Tensor;
use std::sync::Arc;

/// See [`batch_norm_training`](crate::batch_norm_training).
pub(crate) fn training(
    x: Tensor<4>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
    residual: Option<Tensor<4>>,
    activation: Option<&Arc<Activation>>,
) -> BatchNormTraining {
    let pixels = flat(untaped(&x));
    let [count, channels] = pixels.dims();
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    let each = 1.0 / count as f64;
    let mean = column_sums(pixels.clone()) * each;
    let mean = mean.reshape([channels]);
    let squares = match gpu::run_moments(&pixels, None, &mean) {
        Some(moments) => column_sums(moments).narrow(1, channels, channels),
        None => column_sums((pixels - mean.clone().unsqueeze()).square()),
    };
    let variance = squares.reshape([channels]) * each;
    let mut saved = Saved {
        x: untaped(&x),
        mean: mean.clone(),
        inverse: (variance.clone() + epsilon).sqrt().recip(),
        gamma: untaped(&gamma),
        beta: untaped(&beta),
        residual: residual.as_ref().map(untaped),
        activation: activation.cloned(),
        each,
    };
    let lift = |y: Tensor<1>| if x.device().is_autodiff() { Tensor::from_inner(y) } else { y };
    let (mean, variance) = (lift(mean), lift(variance));
    let output = finish(saved.before_activation(), None, activation);
    // The backward needs it for the slope of the activation alone.
    if activation.is_none() {
        saved.residual = None;
    }
    let output = match residual {
        None => record([x.into(), gamma.into(), beta.into()], output, || BatchNorm(saved)),
        Some(residual) => {
            let inputs = [x.into(), gamma.into(), beta.into(), residual.into()];
            record(inputs, output, || ResidualBatchNorm(saved))
        }
    };
    BatchNormTraining { output, mean, variance }
}

/// What follows the normalization.
pub(crate) fn finish(
    y: Tensor<4>,
    residual: Option<Tensor<4>>,
    activation: Option<&Arc<Activation>>,
) -> Tensor<4> {
    let y = match residual {
        Some(residual) => y + residual,
        None => y,
    };
    match activation {
        Some(f) => activation::value(f, y),
        None => y,
    }
}

/// `[batch · height · width, channels]`
fn flat(x: Tensor<4>) -> Tensor<2> {
    let [batch, height, width, channels] = x.dims();
    x.reshape([batch * height * width, channels])
}

#[derive(Debug, Clone)]
struct Saved {
    x: Tensor<4>,
    mean: Tensor<1>,
    /// One over the standard deviation.
    inverse: Tensor<1>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    residual: Option<Tensor<4>>,
    activation: Option<Arc<Activation>>,
    /// One over the number of pixels in the batch.
    each: f64,
}

impl Saved {
    fn scale(&self) -> Tensor<1> {
        self.gamma.clone() * self.inverse.clone()
    }

    fn centered(&self) -> Tensor<4> {
        self.x.clone() - channelwise(self.mean.clone())
    }

    /// What the activation gets.
    fn before_activation(&self) -> Tensor<4> {
        let scale = self.scale();
        let shift = self.beta.clone() - self.mean.clone() * scale.clone();
        let residual = self.residual.as_ref();
        let y = gpu::channel_affine(&self.x, [&scale, &shift], residual.map(|x| (x, None)));
        y.unwrap_or_else(|| {
            let y = self.centered() * channelwise(scale) + channelwise(self.beta.clone());
            finish(y, self.residual.clone(), None)
        })
    }

    fn backward(self, gradient: AnyRank) -> Gradients {
        let mut gradient = gradient.tensor::<4>();
        if let Some(f) = &self.activation {
            let z = self.before_activation();
            gradient = activation::gradient(f, z, gradient);
        }
        let flat_gradient = flat(gradient.clone());
        if let Some(sums) =
            gpu::run_moments(&flat_gradient, Some(&flat(self.x.clone())), &self.mean)
        {
            return self.on_gpu(gradient, column_sums(sums));
        }
        let standard = self.centered() * channelwise(self.inverse.clone());
        let by_beta = column_sums(flat_gradient);
        let by_gamma = column_sums(flat(gradient.clone() * standard.clone()));
        let [_, channels] = by_beta.dims();
        let (by_beta, by_gamma) = (by_beta.reshape([channels]), by_gamma.reshape([channels]));
        let along = standard * channelwise(by_gamma.clone() * self.each);
        let by_x = (gradient.clone() - channelwise(by_beta.clone() * self.each) - along)
            * channelwise(self.scale());
        Gradients {
            first: [by_x.into(), by_gamma.into(), by_beta.into()],
            by_residual: gradient.into(),
        }
    }
}

impl Saved {
    /// The same with the `sums` `[1, 2 · channels]` of `gradient` and of its products with x − mean.
    fn on_gpu(self, gradient: Tensor<4>, sums: Tensor<2>) -> Gradients {
        let [_, both] = sums.dims();
        let half = |from: usize| sums.clone().narrow(1, from, both / 2).reshape([both / 2]);
        let (by_beta, by_gamma) = (half(0), half(both / 2) * self.inverse.clone());
        let scale = self.scale();
        let along = scale.clone() * self.inverse.clone() * by_gamma.clone() * -self.each;
        let shift =
            scale.clone() * by_beta.clone() * -self.each - along.clone() * self.mean.clone();
        let by_x = gpu::channel_affine(&gradient, [&scale, &shift], Some((&self.x, Some(&along))));
        let by_x = by_x.expect("the sums are of a GPU");
        Gradients {
            first: [by_x.into(), by_gamma.into(), by_beta.into()],
            by_residual: gradient.into(),
        }
    }
}

struct Gradients {
    /// By the image, gamma and beta.
    first: [AnyRank; 3],
    by_residual: AnyRank,
}

#[derive(Debug, Clone)]
struct BatchNorm(Saved);

impl Derivative<3> for BatchNorm {
    fn backward(self, gradient: AnyRank, _: [bool; 3]) -> [Option<AnyRank>; 3] {
        self.0.backward(gradient).first.map(Some)
    }
}

#[derive(Debug, Clone)]
struct ResidualBatchNorm(Saved);

impl Derivative<4> for ResidualBatchNorm {
    fn backward(self, gradient: AnyRank, _: [bool; 4]) -> [Option<AnyRank>; 4] {
        let Gradients { first: [x, gamma, beta], by_residual } = self.0.backward(gradient);
        [Some(x), Some(gamma), Some(beta), Some(by_residual)]
    }
}
