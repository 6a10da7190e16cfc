//! Sums and means in an order that follows from the shape alone.
//!
//! On devices other than the CPU they are made in stages, with enough of them side by side where the length has powers
//! of two in it, as those of batches have. Without autotune burn sums a long axis in one thread for each result, and a
//! whole tensor by atomic additions, whose order is chance. On the CPU its order is that of the machine's registers.

use crate::buffer::Buffer;
use crate::device::{self, gpu};
use crate::host::{Host, Operation, Values, record};
use ::activation::arch;
use burn::Tensor;
use rayon::prelude::*;

/// Partial sums of an axis, at most.
const PARTS: usize = 1024;

/// How many partial sums an axis of `length` has: a power of two that divides it.
pub(crate) fn parts(length: usize) -> usize {
    if length == 0 { 1 } else { 1 << length.trailing_zeros().min(PARTS.trailing_zeros()) }
}

/// Rows that are added up at once, at most: a longer sum is made in stages.
const RUN: usize = 64;

/// Sum of each column of `[rows, columns]`: `[1, columns]`.
pub(crate) fn column_sums(x: Tensor<2>) -> Tensor<2> {
    let [rows, columns] = x.dims();
    if let Some(sums) = gpu::column_sums(&x) {
        return sums;
    }
    if rows <= RUN {
        return x.sum_dim(0);
    }
    let (runs, rest) = (rows / RUN, rows % RUN);
    let whole = if rest == 0 { x.clone() } else { x.clone().narrow(0, 0, runs * RUN) };
    let sums = whole.reshape([runs, RUN, columns]).sum_dim(1).reshape([runs, columns]);
    column_sums(if rest == 0 {
        sums
    } else {
        Tensor::cat(vec![sums, x.narrow(0, runs * RUN, rest).sum_dim(0)], 0)
    })
}

/// Sum of all numbers, `[1]`.
pub(crate) fn sum<const D: usize>(x: Tensor<D>) -> Tensor<1> {
    let length = x.dims().iter().product();
    let parts = parts(length);
    let sums = x.reshape([parts, length / parts]).sum_dim(1);
    sums.reshape([parts]).sum_dim(0)
}

/// Mean of `x` `[n]`, as `[1]`.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
#[expect(clippy::cast_possible_truncation, reason = "rounding to f32 is meant")]
pub fn mean(x: Tensor<1>) -> Tensor<1> {
    let [n] = x.dims();
    let count = n as f64;
    let Some(host) = Host::of(&x) else { return device::reduce::mean(x) };
    let total: f64 = host.values().slice().iter().copied().map(f64::from).sum();
    let mut y = Buffer::take(1);
    y[0] = (total / count) as f32;
    record([host], Values::from_buffer(y, &[1]), || Mean(n)).into_tensor()
}

#[derive(Debug, Clone)]
struct Mean(usize);

impl Operation<1> for Mean {
    #[expect(clippy::cast_precision_loss, reason = "batches are small")]
    fn backward(self, gradient: Values, _: [bool; 1]) -> [Option<Values>; 1] {
        let mut by_x = Buffer::take(self.0);
        by_x.fill(gradient.slice()[0] / self.0 as f32);
        [Some(Values::from_buffer(by_x, &[self.0]))]
    }
}

/// Mean of each channel over the pixels of `x` `[batch, height, width, channels]`: `[batch, channels]`.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "images are small")]
pub fn pixel_means(x: Tensor<4>) -> Tensor<2> {
    let [batch, height, width, channels] = x.dims();
    let pixels = height * width;
    let Some(host) = Host::of(&x) else {
        return device::reduce::pixel_means(x);
    };
    let values = host.values();
    let mut y = Buffer::zeros(batch * channels);
    let image = (pixels * channels).max(1);
    let count = pixels as f32;
    y.par_chunks_mut(channels.max(1)).zip(values.slice().par_chunks(image)).for_each(|(y, x)| {
        arch().dispatch(
            #[inline(always)]
            || {
                for pixel in x.chunks_exact(y.len()) {
                    y.iter_mut().zip(pixel).for_each(|(sum, x)| *sum += x);
                }
                y.iter_mut().for_each(|sum| *sum /= count);
            },
        );
    });
    let y = Values::from_buffer(y, &[batch, channels]);
    record([host], y, || PixelMeans([batch, height, width, channels])).into_tensor()
}

#[derive(Debug, Clone)]
struct PixelMeans([usize; 4]);

impl Operation<1> for PixelMeans {
    #[expect(clippy::cast_precision_loss, reason = "images are small")]
    fn backward(self, gradient: Values, _: [bool; 1]) -> [Option<Values>; 1] {
        let [_, height, width, channels] = self.0;
        let count = (height * width) as f32;
        let mut by_x = Buffer::take(self.0.iter().product());
        let image = (height * width * channels).max(1);
        by_x.par_chunks_mut(image).zip(gradient.slice().par_chunks(channels.max(1))).for_each(
            |(by_x, gradient)| {
                let (first, rest) = by_x.split_at_mut(channels);
                first.iter_mut().zip(gradient).for_each(|(by_x, g)| *by_x = g / count);
                rest.chunks_exact_mut(channels).for_each(|pixel| pixel.copy_from_slice(first));
            },
        );
        [Some(Values::from_buffer(by_x, &self.0))]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    fn stages_sum_everything_once() {
        for rows in [1, 2, 3, 96, 1024, 5000, 4096] {
            let numbers: Vec<f32> = (0..3 * rows).map(|i| i as f32).collect();
            let x = Tensor::<1>::from_floats(numbers.as_slice(), &Device::flex());
            let columns = column_sums(x.clone().reshape([rows, 3]));
            let columns: Vec<f32> = columns.into_data().iter::<f32>().collect();
            for (column, sum) in columns.iter().enumerate() {
                let right: f64 = (0..rows).map(|row| (3 * row + column) as f64).sum();
                assert!((f64::from(*sum) - right).abs() <= 1e-5 * right.max(1.0), "{rows}: {sum}");
            }
            let right: f64 = (0..3 * rows).map(|i| i as f64).sum();
            let given = f64::from(sum(x).into_scalar::<f32>());
            assert!((given - right).abs() <= 1e-5 * right.max(1.0), "{rows}: {given}");
        }
        assert_eq!([0, 1, 6, 131_072].map(parts), [1, 1, 2, 1024]);
    }
}
