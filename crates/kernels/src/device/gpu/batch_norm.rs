//! Statistics of batch norm and the sums of its gradient.

use super::cube::{cubes, dim};
use super::sums::{Partial, column_sum};
use super::{on_gpu, room, tensor};
use crate::device::batch_norm::{Statistics, Sums};
use burn::Tensor;
use cubecl::prelude::*;

/// Of `[pixels, channels]`, and what it is scaled and shifted by, with `gamma` and `beta`.
#[expect(clippy::cast_possible_truncation, reason = "rounding to f32 is meant")]
pub(crate) fn statistics(
    pixels: &Tensor<2>,
    [gamma, beta]: [&Tensor<1>; 2],
    epsilon: f64,
) -> Option<Statistics> {
    let [count, channels] = pixels.dims();
    let (gamma, beta) = (on_gpu(gamma)?, on_gpu(beta)?);
    let partial = Partial::moments(pixels)?;
    let vector = || room(&partial.sums, [channels]);
    let (mean, variance, inverse, scale, shift) =
        (vector(), vector(), vector(), vector(), vector());
    if count * channels == 0 {
        return None;
    }
    let threads = partial.threads();
    statistics_kernel::launch(
        &partial.sums.client.clone(),
        cubes(channels),
        dim(threads),
        partial.sums.into_buffer_arg(),
        gamma.into_buffer_arg(),
        beta.into_buffer_arg(),
        mean.clone().into_buffer_arg(),
        variance.clone().into_buffer_arg(),
        inverse.clone().into_buffer_arg(),
        scale.clone().into_buffer_arg(),
        shift.clone().into_buffer_arg(),
        count,
        partial.parts,
        partial.rows,
        epsilon as f32,
        threads,
    );
    Some(Statistics {
        mean: tensor(mean),
        variance: tensor(variance),
        inverse: tensor(inverse),
        scale: tensor(scale),
        shift: tensor(shift),
    })
}

/// Joins the moments of parts (Chan, Golub and LeVeque 1983), a cube a channel.
#[cube(launch)]
#[expect(clippy::too_many_arguments, reason = "a kernel takes buffers and numbers alone")]
fn statistics_kernel(
    moments: &[f32],
    gamma: &[f32],
    beta: &[f32],
    mean: &mut [f32],
    variance: &mut [f32],
    inverse: &mut [f32],
    scale: &mut [f32],
    shift: &mut [f32],
    rows: usize,
    parts: usize,
    of_part: usize,
    epsilon: f32,
    #[comptime] threads: usize,
) {
    let mut counts = Shared::<[f32]>::new_slice(threads);
    let mut means = Shared::<[f32]>::new_slice(threads);
    let mut squares = Shared::<[f32]>::new_slice(threads);
    let channel = CUBE_POS;
    let channels = mean.len();
    if channel < channels {
        let unit = UNIT_POS as usize;
        counts[unit] = 0.0f32;
        means[unit] = 0.0f32;
        squares[unit] = 0.0f32;
        let mut part = unit;
        while part < parts {
            let at = 2 * part * channels + channel;
            let count = min(of_part, rows - part * of_part) as f32;
            join(&mut counts, &mut means, &mut squares, count, moments[at], moments[at + channels]);
            part += threads;
        }
        sync_cube();
        let mut half = comptime!(threads / 2).runtime();
        while half > 0 {
            if unit < half {
                let other = unit + half;
                let (count, mean, square) = (counts[other], means[other], squares[other]);
                join(&mut counts, &mut means, &mut squares, count, mean, square);
            }
            sync_cube();
            half /= 2;
        }
        if UNIT_POS == 0 {
            let of_channel = squares[0] / counts[0];
            let one_over = 1.0f32 / (of_channel + epsilon).sqrt();
            let factor = gamma[channel] * one_over;
            mean[channel] = means[0];
            variance[channel] = of_channel;
            inverse[channel] = one_over;
            scale[channel] = factor;
            shift[channel] = beta[channel] - means[0] * factor;
        }
    }
}

/// Joins the mean of so many numbers, and the sum of the squares about it, to those that the thread holds.
#[cube]
fn join(
    counts: &mut [f32],
    means: &mut [f32],
    squares: &mut [f32],
    count: f32,
    mean: f32,
    square: f32,
) {
    let unit = UNIT_POS as usize;
    let before = counts[unit];
    let after = before + count;
    // Where there are no numbers there is nothing to divide.
    let share = count / max(after, 1.0f32);
    let difference = mean - means[unit];
    counts[unit] = after;
    means[unit] += difference * share;
    squares[unit] += square + difference * difference * (before * share);
}

/// Of `gradient` and its products with the normalized `pixels`, both `[pixels, channels]`, of which there is one in
/// `each`.
#[expect(clippy::cast_possible_truncation, reason = "rounding to f32 is meant")]
pub(crate) fn gradient_sums(
    gradient: &Tensor<2>,
    pixels: &Tensor<2>,
    statistics: &Statistics,
    each: f64,
) -> Option<Sums> {
    let [count, channels] = gradient.dims();
    let mean = on_gpu(&statistics.mean)?;
    let (inverse, scale) = (on_gpu(&statistics.inverse)?, on_gpu(&statistics.scale)?);
    let partial = Partial::of_products(gradient, pixels, Some(&mean))?;
    if count * channels == 0 {
        return None;
    }
    let vector = || room(&partial.sums, [channels]);
    let (by_gamma, by_beta, along, shift) = (vector(), vector(), vector(), vector());
    let threads = partial.threads();
    gradient_sums_kernel::launch(
        &partial.sums.client.clone(),
        cubes(channels),
        dim(threads),
        partial.sums.into_buffer_arg(),
        mean.into_buffer_arg(),
        inverse.into_buffer_arg(),
        scale.into_buffer_arg(),
        by_gamma.clone().into_buffer_arg(),
        by_beta.clone().into_buffer_arg(),
        along.clone().into_buffer_arg(),
        shift.clone().into_buffer_arg(),
        partial.parts,
        each as f32,
        threads,
    );
    Some(Sums {
        by_gamma: tensor(by_gamma),
        by_beta: tensor(by_beta),
        along: tensor(along),
        shift: tensor(shift),
    })
}

#[cube(launch)]
#[expect(clippy::too_many_arguments, reason = "a kernel takes buffers and numbers alone")]
fn gradient_sums_kernel(
    sums: &[f32],
    mean: &[f32],
    inverse: &[f32],
    scale: &[f32],
    by_gamma: &mut [f32],
    by_beta: &mut [f32],
    along: &mut [f32],
    shift: &mut [f32],
    parts: usize,
    each: f32,
    #[comptime] threads: usize,
) {
    let mut shared = Shared::new_slice(threads);
    let channel = CUBE_POS;
    let channels = mean.len();
    if channel < channels {
        let sum = column_sum(sums, channel, 2 * channels, parts, &mut shared, threads);
        let product =
            column_sum(sums, channels + channel, 2 * channels, parts, &mut shared, threads);
        if UNIT_POS == 0 {
            let normal = product * inverse[channel];
            let slope = -(scale[channel] * inverse[channel] * normal * each);
            by_beta[channel] = sum;
            by_gamma[channel] = normal;
            along[channel] = slope;
            shift[channel] = -(scale[channel] * sum * each) - slope * mean[channel];
        }
    }
}
