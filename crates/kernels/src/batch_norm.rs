//! Batch norm over images `[…, channels]`, with the residual sum and the activation behind it.

mod moments;

use crate::buffer::Buffer;
use crate::device::{self, rule::Averages};
use crate::host::{Host, Operation, Values, record};
use crate::replica::Replica;
use ::activation::Activation;
use ::activation::arch;
use burn::Tensor;
use moments::{fold, image_statistics};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;
use std::sync::{Arc, Mutex, PoisonError};

/// What batch norm gives in training.
#[derive(Debug)]
pub struct BatchNormTraining {
    /// Of the input's shape.
    pub output: Tensor<4>,
    /// Mean of each channel over the batch, `[channels]`, without gradient.
    pub mean: Tensor<1>,
    /// Variance of each channel over the batch (divided by the count), `[channels]`, without gradient.
    pub variance: Tensor<1>,
}

/// f(batch norm of `x` + `residual`) with the statistics of the batch (Ioffe and Szegedy 2015); f is
/// the nonlinearity of `activation`, and what is absent is left out.
///
/// `x` and `residual` are `[batch, height, width, channels]`; `gamma` and `beta` are `[channels]`. A `replica` takes the
/// statistics of the whole batch, of which `x` is its part.
///
/// # Panics
/// If the sizes do not agree.
#[must_use]
pub fn batch_norm_training(
    x: Tensor<4>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
    residual: Option<Tensor<4>>,
    activation: Option<&Arc<Activation>>,
    replica: Option<Replica>,
) -> BatchNormTraining {
    let shape = x.dims();
    let channels = shape[3];
    assert_sizes(shape, [&gamma, &beta], residual.as_ref());
    let hosts = (Host::of(&x), Host::of(&gamma), Host::of(&beta));
    let host_residual = residual.as_ref().map(Host::of);
    let ((Some(host_x), Some(host_gamma), Some(host_beta)), None | Some(Some(_))) =
        (hosts, &host_residual)
    else {
        let f = activation;
        return device::batch_norm::training(x, gamma, beta, epsilon, residual, f, replica);
    };
    let host_residual = host_residual.flatten();
    let values = Inputs {
        x: host_x.values(),
        residual: host_residual.as_ref().map(Host::values),
        activation: activation.cloned(),
        channels,
        row: shape[1] * shape[2] * channels,
    };
    let (gamma, beta) = (host_gamma.values(), host_beta.values());
    let Statistics { mean, variance, count } = values.statistics(replica.as_ref());
    let inverse: Vec<f64> = variance.iter().map(|v| 1.0 / (v + epsilon).sqrt()).collect();
    let scale: Vec<f64> =
        gamma.slice().iter().zip(&inverse).map(|(gamma, i)| f64::from(*gamma) * i).collect();
    let shift: Vec<f64> = beta
        .slice()
        .iter()
        .zip(scale.iter().zip(&mean))
        .map(|(beta, (scale, mean))| f64::from(*beta) - scale * mean)
        .collect();
    let affine = Affine::new(&scale, &shift);
    let output = Values::from_buffer(values.apply(&affine), &shape);
    let vector = |numbers: &[f64]| -> Tensor<1> {
        let mut buffer = Buffer::take(channels);
        store(numbers, &mut buffer);
        Values::from_buffer(buffer, &[channels]).into_tensor()
    };
    let (mean_tensor, variance_tensor) = (vector(&mean), vector(&variance));
    let taped = matches!(host_x, Host::Taped(_));
    let lift = |x: Tensor<1>| if taped { Tensor::from_inner(x) } else { x };
    let saved = || Saved { values, affine, mean, inverse, gamma, count, replica };
    let output = match host_residual {
        None => record([host_x, host_gamma, host_beta], output, || BatchNorm(saved())),
        Some(residual) => {
            let inputs = [host_x, host_gamma, host_beta, residual];
            record(inputs, output, || ResidualBatchNorm(saved()))
        }
    };
    BatchNormTraining {
        output: output.into_tensor(),
        mean: lift(mean_tensor),
        variance: lift(variance_tensor),
    }
}

/// f(batch norm of `x` + `residual`) with the statistics that training has gathered, without
/// gradients by them; otherwise as [`batch_norm_training`].
///
/// # Panics
/// If the sizes do not agree.
#[must_use]
pub fn batch_norm_inference(
    x: Tensor<4>,
    scale_and_shift: [Tensor<1>; 2],
    statistics: [Tensor<1>; 2],
    epsilon: f64,
    residual: Option<Tensor<4>>,
    activation: Option<&Arc<Activation>>,
) -> Tensor<4> {
    let [gamma, beta] = scale_and_shift;
    let [mean, variance] = statistics;
    assert_sizes(x.dims(), [&gamma, &beta, &mean, &variance], residual.as_ref());
    let scale = gamma / (variance + epsilon).sqrt();
    let shift = beta - mean * scale.clone();
    let host_residual = residual.as_ref().map(Host::of);
    let (Some(Host::Plain(_)), None | Some(Some(_))) = (Host::of(&x), &host_residual) else {
        return device::batch_norm::inference(x, [scale, shift], residual, activation);
    };
    let (Some(host_x), Some(host_scale), Some(host_shift)) =
        (Host::of(&x), Host::of(&scale), Host::of(&shift))
    else {
        unreachable!("parameters lie where the image does")
    };
    let shape = x.dims();
    let wide = |x: Host| x.values().slice().iter().map(|x| f64::from(*x)).collect::<Vec<_>>();
    let values = Inputs {
        x: host_x.values(),
        residual: host_residual.flatten().as_ref().map(Host::values),
        activation: activation.cloned(),
        channels: shape[3],
        row: shape[1] * shape[2] * shape[3],
    };
    let affine = Affine::new(&wide(host_scale), &wide(host_shift));
    Values::from_buffer(values.apply(&affine), &shape).into_tensor()
}

/// (1 − `momentum`) · `old` + `momentum` · `new`, without gradient: mean and variance that training gathers. A GPU may leave
/// them to the end of an [`UpdateGroup`](crate::UpdateGroup).
#[must_use]
pub fn running_averages(old: [Tensor<1>; 2], new: [Tensor<1>; 2], momentum: f64) -> [Tensor<1>; 2] {
    let taped = old[0].device().is_autodiff();
    let [old, new] = [old, new].map(|both| both.each_ref().map(device::tape::untaped));
    #[expect(clippy::cast_possible_truncation, reason = "rounding to f32 is meant")]
    let rule = Averages { rest: (1.0 - momentum) as f32, share: momentum as f32 };
    let averages = device::gpu::averages(rule, old.each_ref(), new.each_ref());
    let averages = averages.unwrap_or_else(|| {
        let [old, new] =
            [(old, 1.0 - momentum), (new, momentum)].map(|(x, factor)| x.map(|x| x * factor));
        let ([mean, variance], [new_mean, new_variance]) = (old, new);
        [mean + new_mean, variance + new_variance]
    });
    if taped { averages.map(Tensor::from_inner) } else { averages }
}

fn assert_sizes<const N: usize>(
    shape: [usize; 4],
    vectors: [&Tensor<1>; N],
    residual: Option<&Tensor<4>>,
) {
    assert!(vectors.iter().all(|x| x.dims() == [shape[3]]), "one number for each channel");
    assert!(residual.is_none_or(|x| x.dims() == shape), "a residual of one shape");
}

pub(crate) fn channelwise(x: Tensor<1>) -> Tensor<4> {
    let [channels] = x.dims();
    x.reshape([1, 1, 1, channels])
}

#[expect(clippy::cast_possible_truncation, reason = "rounding to f32 is meant")]
fn store(numbers: &[f64], to: &mut [f32]) {
    for (to, from) in to.iter_mut().zip(numbers) {
        *to = *from as f32;
    }
}

/// Numbers of one tile: input, output and gradient of it lie in the first cache.
const TILE: usize = 1024;

/// One number a channel, repeated over a tile: what lies at a multiple of its length behind the first
/// channel is taken a register at a time, whatever the number of channels is.
#[derive(Debug, Clone)]
struct Repeated(Vec<f32>);

impl Repeated {
    fn new(numbers: &[f64]) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "rounding to f32 is meant")]
        let row: Vec<f32> = numbers.iter().map(|x| *x as f32).collect();
        Self(row.repeat(tile(numbers.len()) / numbers.len().max(1)))
    }
}

/// The least multiple of `channels` and of four registers.
fn period(channels: usize) -> usize {
    (1..=64).map(|n| n * channels).find(|n| n % 64 == 0).unwrap_or(0)
}

/// y = scale · x + shift, channel by channel.
#[derive(Debug, Clone)]
struct Affine {
    scale: Repeated,
    shift: Repeated,
}

impl Affine {
    fn new(scale: &[f64], shift: &[f64]) -> Self {
        Self { scale: Repeated::new(scale), shift: Repeated::new(shift) }
    }
}

/// Inputs, kept for the backward.
#[derive(Debug, Clone)]
struct Inputs {
    x: Values,
    residual: Option<Values>,
    activation: Option<Arc<Activation>>,
    channels: usize,
    /// Numbers of one image.
    row: usize,
}

impl Inputs {
    /// Pieces of one image each; none where there are no numbers.
    fn images<'a>(&self, numbers: &'a [f32]) -> rayon::slice::Chunks<'a, f32> {
        numbers.par_chunks(self.row.max(1))
    }

    fn residual_images(&self) -> Vec<Option<&[f32]>> {
        let count = self.x.slice().len() / self.row.max(1);
        match &self.residual {
            None => vec![None; count],
            Some(residual) => residual.slice().chunks(self.row.max(1)).map(Some).collect(),
        }
    }

    /// Mean and variance of each channel: of each image first, about its own mean, then joined (Chan,
    /// Golub and LeVeque 1983), in the order of the batch, of which a replica has a part.
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    fn statistics(&self, replica: Option<&Replica>) -> Statistics {
        let channels = self.channels;
        let images: Vec<[Vec<f64>; 2]> =
            self.images(self.x.slice()).map(|x| image_statistics(x, channels)).collect();
        let images = of_all(images, channels, replica);
        let count = (self.row / channels.max(1)) as f64;
        let (mut mean, mut squares) = (vec![0.0; channels], vec![0.0; channels]);
        for (n, [image_mean, image_squares]) in images.iter().enumerate() {
            let n = n as f64;
            for c in 0..channels {
                let difference = image_mean[c] - mean[c];
                mean[c] += difference / (n + 1.0);
                squares[c] += image_squares[c] + difference * difference * count * n / (n + 1.0);
            }
        }
        let count = (count * images.len() as f64).max(1.0);
        let variance = squares.into_iter().map(|squares| squares / count).collect();
        Statistics { mean, variance, count }
    }

    fn apply(&self, affine: &Affine) -> Buffer {
        let mut y = Buffer::take(self.x.slice().len());
        y.par_chunks_mut(self.row.max(1))
            .zip(self.images(self.x.slice()))
            .zip(self.residual_images())
            .for_each(|((y, x), residual)| {
                let mut z = vec![0.0; tile(self.channels)];
                let residuals = tiles(residual, z.len());
                for ((y, x), residual) in
                    y.chunks_mut(z.len()).zip(x.chunks(z.len())).zip(residuals)
                {
                    match &self.activation {
                        None => arch().dispatch(Normalize { affine, x, residual, z: y }),
                        Some(f) => {
                            let z = &mut z[..x.len()];
                            arch().dispatch(Normalize { affine, x, residual, z });
                            f.nonlinearity().forward_slice(z, y);
                        }
                    }
                }
            });
        y
    }
}

/// Of each channel over a batch.
struct Statistics {
    mean: Vec<f64>,
    /// Divided by the count.
    variance: Vec<f64>,
    /// Pixels of the batch.
    count: f64,
}

/// Two numbers for each of so many `channels` of each image of the whole batch, of which a replica has some.
fn of_all(
    own: Vec<[Vec<f64>; 2]>,
    channels: usize,
    replica: Option<&Replica>,
) -> Vec<[Vec<f64>; 2]> {
    let Some(replica) = replica else { return own };
    let all = replica.gather(own.into_iter().flatten().flatten().collect());
    let images = all.iter().flat_map(|numbers| numbers.chunks_exact(2 * channels.max(1)));
    images.map(|image| [&image[..channels], &image[channels..]].map(<[f64]>::to_vec)).collect()
}

/// Numbers of a tile: whole periods.
fn tile(channels: usize) -> usize {
    let period = period(channels).max(1);
    period * (TILE / period).max(1)
}

/// Tiles of `numbers`, or as many times none as are asked for.
fn tiles(numbers: Option<&[f32]>, size: usize) -> impl Iterator<Item = Option<&[f32]>> {
    let chunks = numbers.map(|numbers| numbers.chunks(size).map(Some));
    chunks.into_iter().flatten().chain(std::iter::repeat(None))
}

/// z = scale · x + shift + residual over one tile; the first number is of the first channel.
struct Normalize<'a> {
    affine: &'a Affine,
    x: &'a [f32],
    residual: Option<&'a [f32]>,
    z: &'a mut [f32],
}

impl WithSimd for Normalize<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { affine: Affine { scale, shift }, x, residual, z } = self;
        assert!(z.len() <= scale.0.len() && x.len() == z.len(), "one tile");
        let (scale, _) = S::as_simd_f32s(&scale.0);
        let (shift, _) = S::as_simd_f32s(&shift.0);
        let (z, z_rest) = S::as_mut_simd_f32s(z);
        let (x, x_rest) = S::as_simd_f32s(x);
        let n = z.len();
        let lines = z.iter_mut().zip(x).zip(scale.iter().zip(shift));
        match residual {
            None => {
                for ((z, x), (scale, shift)) in lines {
                    *z = simd.mul_add_f32s(*scale, *x, *shift);
                }
                if !x_rest.is_empty() {
                    let x = simd.partial_load_f32s(x_rest);
                    let z = simd.mul_add_f32s(scale[n], x, shift[n]);
                    simd.partial_store_f32s(z_rest, z);
                }
            }
            Some(residual) => {
                let (residual, residual_rest) = S::as_simd_f32s(residual);
                for (((z, x), (scale, shift)), residual) in lines.zip(residual) {
                    *z = simd.add_f32s(simd.mul_add_f32s(*scale, *x, *shift), *residual);
                }
                if !x_rest.is_empty() {
                    let x = simd.partial_load_f32s(x_rest);
                    let z = simd.mul_add_f32s(scale[n], x, shift[n]);
                    let residual = simd.partial_load_f32s(residual_rest);
                    simd.partial_store_f32s(z_rest, simd.add_f32s(z, residual));
                }
            }
        }
    }
}

/// Adds to `sums`, of one period each, Σ a and Σ a (b − center) over the places of each channel.
struct Sums<'a> {
    a: &'a [f32],
    b: &'a [f32],
    center: &'a [f32],
    sums: &'a mut [f32],
    products: &'a mut [f32],
}

impl WithSimd for Sums<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { a, b, center, sums, products } = self;
        let period = sums.len();
        let lanes = S::F32_LANES;
        let whole = a.len() / period;
        // Four registers of sums at a time, over all rows.
        for from in (0..period).step_by(4 * lanes) {
            let (center, _) = S::as_simd_f32s(&center[from..from + 4 * lanes]);
            let (sums, _) = S::as_mut_simd_f32s(&mut sums[from..from + 4 * lanes]);
            let (products, _) = S::as_mut_simd_f32s(&mut products[from..from + 4 * lanes]);
            let mut sum = [sums[0], sums[1], sums[2], sums[3]];
            let mut product = [products[0], products[1], products[2], products[3]];
            for row in 0..whole {
                let at = row * period + from;
                let (a, _) = S::as_simd_f32s(&a[at..at + 4 * lanes]);
                let (b, _) = S::as_simd_f32s(&b[at..at + 4 * lanes]);
                for i in 0..4 {
                    sum[i] = simd.add_f32s(sum[i], a[i]);
                    let centered = simd.sub_f32s(b[i], center[i]);
                    product[i] = simd.mul_add_f32s(a[i], centered, product[i]);
                }
            }
            sums.copy_from_slice(&sum);
            products.copy_from_slice(&product);
        }
        for i in 0..a.len() - whole * period {
            let (a, b) = (a[whole * period + i], b[whole * period + i]);
            sums[i] += a;
            products[i] += a * (b - center[i]);
        }
    }
}

/// What the backward needs.
#[derive(Debug, Clone)]
struct Saved {
    values: Inputs,
    affine: Affine,
    mean: Vec<f64>,
    /// 1 / √(variance + ε).
    inverse: Vec<f64>,
    gamma: Values,
    /// Pixels of the batch.
    count: f64,
    replica: Option<Replica>,
}

/// Gradients of a batch norm.
struct Gradients {
    by_x: Option<Values>,
    by_gamma: Values,
    by_beta: Values,
    by_residual: Option<Values>,
}

/// Sums over images of the gradient, and of its products with the normalized image.
fn sums_of(images: &[[Vec<f64>; 2]], inverse: &[f64]) -> [Vec<f64>; 2] {
    let [mut sum, mut product] = [(); 2].map(|()| vec![0.0; inverse.len()]);
    for [image_sum, image_product] in images {
        for (c, inverse) in inverse.iter().enumerate() {
            sum[c] += image_sum[c];
            product[c] += image_product[c] * inverse;
        }
    }
    [sum, product]
}

impl Saved {
    fn backward(self, gradient: Values, x_wanted: bool, residual_wanted: bool) -> Gradients {
        let Self { values, affine, mean, inverse, gamma, count, replica } = self;
        let channels = values.channels;
        let row = values.row.max(1);
        let center = Repeated::new(&mean);
        // First pass: the gradient before the activation, in the place of the one behind it, and its
        // sums, image by image.
        let residuals = values.residual_images();
        let sums = Mutex::new(vec![[Vec::new(), Vec::new()]; residuals.len()]);
        let x = values.x.slice();
        let gradient = gradient.change(row, |image, gradient| {
            let x = &x[image * row..image * row + gradient.len()];
            let size = tile(channels);
            let mut z = vec![0.0; size];
            let (mut sums_here, mut products) =
                (vec![0.0; period(channels)], vec![0.0; period(channels)]);
            let residuals = tiles(residuals[image], size);
            for ((gradient, x), residual) in
                gradient.chunks_mut(size).zip(x.chunks(size)).zip(residuals)
            {
                if let Some(f) = &values.activation {
                    let z = &mut z[..x.len()];
                    arch().dispatch(Normalize { affine: &affine, x, residual, z });
                    f.nonlinearity().backward_slice(z, gradient);
                }
                arch().dispatch(Sums {
                    a: gradient,
                    b: x,
                    center: &center.0,
                    sums: &mut sums_here,
                    products: &mut products,
                });
            }
            let folded = [fold(&sums_here, channels), fold(&products, channels)];
            sums.lock().unwrap_or_else(PoisonError::into_inner)[image] = folded;
        });
        let sums = sums.into_inner().unwrap_or_else(PoisonError::into_inner);
        // Gradients by gamma and beta are of the own images: those of replicas are added later.
        let own = sums_of(&sums, &inverse);
        let vector = |numbers: &[f64]| {
            let mut buffer = Buffer::take(channels);
            store(numbers, &mut buffer);
            Values::from_buffer(buffer, &[channels])
        };
        let (by_gamma, by_beta) = (vector(&own[1]), vector(&own[0]));
        let [sum, product] = match &replica {
            None => own,
            Some(_) => sums_of(&of_all(sums, channels, replica.as_ref()), &inverse),
        };

        // Second pass: γ/σ · (g − mean of g − x̂ · mean of g x̂), which is a g + (b x + c).
        let (mut scale, mut slope, mut shift) = (vec![], vec![], vec![]);
        for i in 0..channels {
            scale.push(f64::from(gamma.slice()[i]) * inverse[i]);
            slope.push(-scale[i] * inverse[i] * product[i] / count);
            shift.push(-scale[i] * sum[i] / count - slope[i] * mean[i]);
        }
        let (scale, line) = (Repeated::new(&scale), Affine::new(&slope, &shift));
        let combine = |image: usize, gradient: &mut [f32]| {
            let x = &x[image * row..image * row + gradient.len()];
            arch().dispatch(Combine { a: &scale, line: &line, x, gradient });
        };
        let (by_x, by_residual) = match (x_wanted, residual_wanted) {
            (true, true) => (Some(gradient.clone().change(row, combine)), Some(gradient)),
            (true, false) => (Some(gradient.change(row, combine)), None),
            (false, wanted) => (None, wanted.then_some(gradient)),
        };
        Gradients { by_x, by_gamma, by_beta, by_residual }
    }
}

/// gradient = a · gradient + (b x + c), channel by channel.
struct Combine<'a> {
    a: &'a Repeated,
    line: &'a Affine,
    x: &'a [f32],
    gradient: &'a mut [f32],
}

impl WithSimd for Combine<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { a, line, x, gradient } = self;
        let tile = a.0.len();
        let (a, _) = S::as_simd_f32s(&a.0);
        let (b, _) = S::as_simd_f32s(&line.scale.0);
        let (c, _) = S::as_simd_f32s(&line.shift.0);
        for (gradient, x) in gradient.chunks_mut(tile).zip(x.chunks(tile)) {
            let (gradient, gradient_rest) = S::as_mut_simd_f32s(gradient);
            let (x, x_rest) = S::as_simd_f32s(x);
            let n = x.len();
            let lines = gradient.iter_mut().zip(x).zip(a.iter().zip(b.iter().zip(c)));
            for ((gradient, x), (a, (b, c))) in lines {
                *gradient = simd.mul_add_f32s(*a, *gradient, simd.mul_add_f32s(*b, *x, *c));
            }
            if !x_rest.is_empty() {
                let line = simd.mul_add_f32s(b[n], simd.partial_load_f32s(x_rest), c[n]);
                let g = simd.partial_load_f32s(gradient_rest);
                simd.partial_store_f32s(gradient_rest, simd.mul_add_f32s(a[n], g, line));
            }
        }
    }
}

#[derive(Debug, Clone)]
struct BatchNorm(Saved);

impl Operation<3> for BatchNorm {
    fn backward(self, gradient: Values, [x, gamma, beta]: [bool; 3]) -> [Option<Values>; 3] {
        let result = self.0.backward(gradient, x, false);
        [result.by_x, gamma.then_some(result.by_gamma), beta.then_some(result.by_beta)]
    }
}

#[derive(Debug, Clone)]
struct ResidualBatchNorm(Saved);

impl Operation<4> for ResidualBatchNorm {
    fn backward(
        self,
        gradient: Values,
        [x, gamma, beta, residual]: [bool; 4],
    ) -> [Option<Values>; 4] {
        let result = self.0.backward(gradient, x, residual);
        [
            result.by_x,
            gamma.then_some(result.by_gamma),
            beta.then_some(result.by_beta),
            result.by_residual,
        ]
    }
}
