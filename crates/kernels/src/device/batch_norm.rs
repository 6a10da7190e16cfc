//! Batch norm on devices other than the CPU, with a backward of its own.

use crate::batch_norm::{BatchNormTraining, channelwise};
use crate::device::tape::{AnyRank, Derivative, record, untaped};
use crate::device::{activation, gpu};
use crate::read;
use crate::reduce::column_sums;
use crate::replica::Replica;
use ::activation::Activation;
use burn::Tensor;
use burn::tensor::TensorData;
use std::sync::Arc;

/// See [`batch_norm_training`](crate::batch_norm_training).
pub(crate) fn training(
    x: Tensor<4>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
    residual: Option<Tensor<4>>,
    activation: Option<&Arc<Activation>>,
    replica: Option<Replica>,
) -> BatchNormTraining {
    let pixels = flat(untaped(&x));
    let [count, _] = pixels.dims();
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    let mut count = count as f64;
    let vectors = [&untaped(&gamma), &untaped(&beta)];
    let mut statistics = gpu::statistics(&pixels, vectors, epsilon)
        .unwrap_or_else(|| Statistics::of(pixels, vectors, epsilon));
    if let Some(replica) = &replica {
        (statistics, count) = statistics.of_all(replica, count, vectors, epsilon);
    }
    let [mean, variance] = [&statistics.mean, &statistics.variance].map(Clone::clone);
    let mut saved = Saved {
        x: untaped(&x),
        statistics,
        residual: residual.as_ref().map(untaped),
        activation: activation.cloned(),
        each: 1.0 / count,
        replica,
    };
    let lift = |y: Tensor<1>| if x.device().is_autodiff() { Tensor::from_inner(y) } else { y };
    let (mean, variance) = (lift(mean), lift(variance));
    let output = saved.value();
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

/// f(`x` · scale + shift of each channel + `residual`), without gradients by scale and shift.
pub(crate) fn inference(
    x: Tensor<4>,
    [scale, shift]: [Tensor<1>; 2],
    residual: Option<Tensor<4>>,
    activation: Option<&Arc<Activation>>,
) -> Tensor<4> {
    let f = activation.map(|f| f.nonlinearity().elementwise());
    let other = residual.as_ref().map(|residual| (residual, None));
    gpu::channel_affine(&x, [&scale, &shift], other, f).unwrap_or_else(|| {
        let y = x.clone() * channelwise(scale) + channelwise(shift);
        finish(y, residual.clone(), activation)
    })
}

/// What follows the normalization.
fn finish(
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

/// Of each channel of a batch, `[channels]`.
#[derive(Debug, Clone)]
pub(crate) struct Statistics {
    pub(crate) mean: Tensor<1>,
    /// Divided by the count.
    pub(crate) variance: Tensor<1>,
    /// One over the standard deviation.
    pub(crate) inverse: Tensor<1>,
    /// The normalized and affine image is `scale` · x + `shift`.
    pub(crate) scale: Tensor<1>,
    pub(crate) shift: Tensor<1>,
}

/// Sums over the gradient of a batch, and what follows from them, `[channels]`.
#[derive(Debug, Clone)]
pub(crate) struct Sums {
    pub(crate) by_gamma: Tensor<1>,
    pub(crate) by_beta: Tensor<1>,
    /// The gradient by x is scale · gradient + `along` · x + `shift`.
    pub(crate) along: Tensor<1>,
    pub(crate) shift: Tensor<1>,
}

impl Statistics {
    /// Of `[pixels, channels]`.
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    fn of(pixels: Tensor<2>, vectors: [&Tensor<1>; 2], epsilon: f64) -> Self {
        let [count, channels] = pixels.dims();
        let each = 1.0 / count as f64;
        let mean = (column_sums(pixels.clone()) * each).reshape([channels]);
        let squares = column_sums((pixels - mean.clone().unsqueeze()).square());
        Self::new(mean, squares.reshape([channels]) * each, vectors, epsilon)
    }

    fn new(
        mean: Tensor<1>,
        variance: Tensor<1>,
        [gamma, beta]: [&Tensor<1>; 2],
        epsilon: f64,
    ) -> Self {
        let inverse = (variance.clone() + epsilon).sqrt().recip();
        let scale = gamma.clone() * inverse.clone();
        let shift = beta.clone() - mean.clone() * scale.clone();
        Self { mean, variance, inverse, scale, shift }
    }

    /// Of the whole batch, with its number of pixels, where these are of the replica's part with `count` pixels: parts
    /// are joined in their order (Chan, Golub and LeVeque 1983).
    fn of_all(
        &self,
        replica: &Replica,
        count: f64,
        vectors: [&Tensor<1>; 2],
        epsilon: f64,
    ) -> (Self, f64) {
        let [channels] = self.mean.dims();
        let numbers = Tensor::cat(vec![self.mean.clone(), self.variance.clone()], 0);
        let own = std::iter::once(count).chain(read(numbers).iter::<f64>()).collect();
        let (mut total, mut joined) = (0.0, vec![0.0; 2 * channels]);
        let (mean, squares) = joined.split_at_mut(channels);
        for part in &*replica.gather(own) {
            let (count, means, variances) = (part[0], &part[1..=channels], &part[channels + 1..]);
            let before = total;
            total += count;
            for c in 0..channels {
                let difference = means[c] - mean[c];
                mean[c] += difference * count / total;
                squares[c] +=
                    variances[c] * count + difference * difference * count * before / total;
            }
        }
        squares.iter_mut().for_each(|square| *square /= total);
        let joined = from_host(joined, &self.mean);
        let (mean, variance) = halves(&joined);
        (Self::new(mean, variance, vectors, epsilon), total)
    }
}

impl Sums {
    /// What follows from gradients by gamma and beta over the whole batch, of which there is one pixel in `each`.
    fn new([by_gamma, by_beta]: [Tensor<1>; 2], of: &Statistics, each: f64) -> Self {
        let along = of.scale.clone() * of.inverse.clone() * by_gamma.clone() * -each;
        let shift = of.scale.clone() * by_beta.clone() * -each - along.clone() * of.mean.clone();
        Self { by_gamma, by_beta, along, shift }
    }

    /// Of the `gradient` `[pixels, channels]` and its products with the normalized `pixels`.
    fn of(gradient: Tensor<2>, pixels: Tensor<2>, of: &Statistics, each: f64) -> Self {
        let [_, channels] = gradient.dims();
        let centered = pixels - of.mean.clone().unsqueeze();
        let product = column_sums(gradient.clone() * centered).reshape([channels]);
        let by_beta = column_sums(gradient).reshape([channels]);
        Self::new([product * of.inverse.clone(), by_beta], of, each)
    }

    /// With what follows from the whole batch, where these are of the replica's part. Gradients by gamma and beta stay
    /// those of the part: those of replicas are added later.
    fn of_all(self, replica: &Replica, of: &Statistics, each: f64) -> Self {
        let own = Tensor::cat(vec![self.by_gamma.clone(), self.by_beta.clone()], 0);
        let mut sum = vec![0.0; own.dims()[0]];
        for part in &*replica.gather(read(own.clone()).iter::<f64>().collect()) {
            sum.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
        }
        let (by_gamma, by_beta) = halves(&from_host(sum, &own));
        let Self { along, shift, .. } = Self::new([by_gamma, by_beta], of, each);
        Self { along, shift, ..self }
    }
}

/// `numbers` on the device of `like`, in its format.
fn from_host(numbers: Vec<f64>, like: &Tensor<1>) -> Tensor<1> {
    let count = numbers.len();
    Tensor::from_data(TensorData::new(numbers, [count]), (&like.device(), like.dtype()))
}

fn halves(both: &Tensor<1>) -> (Tensor<1>, Tensor<1>) {
    let half = both.dims()[0] / 2;
    (both.clone().narrow(0, 0, half), both.clone().narrow(0, half, half))
}

/// `x` · `scale` + `shift` of each channel, + `other` times its factor where there is one.
fn affine(
    x: &Tensor<4>,
    [scale, shift]: [&Tensor<1>; 2],
    other: Option<gpu::Other<'_>>,
) -> Tensor<4> {
    if let Some(y) = gpu::channel_affine(x, [scale, shift], other, None) {
        return y;
    }
    let y = x.clone() * channelwise(scale.clone()) + channelwise(shift.clone());
    match other {
        None => y,
        Some((other, None)) => y + other.clone(),
        Some((other, Some(factor))) => y + other.clone() * channelwise(factor.clone()),
    }
}

#[derive(Debug, Clone)]
struct Saved {
    x: Tensor<4>,
    /// Over the whole batch.
    statistics: Statistics,
    residual: Option<Tensor<4>>,
    activation: Option<Arc<Activation>>,
    /// One over the number of pixels in the batch.
    each: f64,
    replica: Option<Replica>,
}

impl Saved {
    fn value(&self) -> Tensor<4> {
        let Statistics { scale, shift, .. } = &self.statistics;
        let other = self.residual.as_ref().map(|x| (x, None));
        let f = self.activation.as_ref().map(|f| f.nonlinearity().elementwise());
        gpu::channel_affine(&self.x, [scale, shift], other, f)
            .unwrap_or_else(|| finish(self.before_activation(), None, self.activation.as_ref()))
    }

    /// The gradient by what the activation gets, for the one by what it gives.
    fn before(&self, f: &Activation, gradient: Tensor<4>) -> Tensor<4> {
        let Statistics { scale, shift, .. } = &self.statistics;
        let formula = f.nonlinearity().elementwise();
        let other = self.residual.as_ref();
        gpu::channel_affine_gradient(formula, &self.x, [scale, shift], other, &gradient)
            .unwrap_or_else(|| activation::gradient(f, self.before_activation(), gradient))
    }

    /// What the activation gets.
    fn before_activation(&self) -> Tensor<4> {
        let Statistics { scale, shift, .. } = &self.statistics;
        affine(&self.x, [scale, shift], self.residual.as_ref().map(|x| (x, None)))
    }

    fn backward(self, gradient: AnyRank) -> Gradients {
        let mut gradient = gradient.tensor::<4>();
        if let Some(f) = &self.activation {
            gradient = self.before(f, gradient);
        }
        let Self { x, statistics, each, replica, .. } = self;
        let (flat_gradient, pixels) = (flat(gradient.clone()), flat(x.clone()));
        let mut sums = gpu::gradient_sums(&flat_gradient, &pixels, &statistics, each)
            .unwrap_or_else(|| Sums::of(flat_gradient, pixels, &statistics, each));
        if let Some(replica) = &replica {
            sums = sums.of_all(replica, &statistics, each);
        }
        let Sums { by_gamma, by_beta, along, shift } = sums;
        let by_x = affine(&gradient, [&statistics.scale, &shift], Some((&x, Some(&along))));
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
