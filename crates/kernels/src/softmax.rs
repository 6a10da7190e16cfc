//! Softmax over the last dimension.

use crate::buffer::Buffer;
use crate::host::{Host, Operation, Values, record};
use crate::lanes::Sums;
use ::activation::arch;
use ::activation::{Algebra as _, Lanes};
use burn::Tensor;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

/// Numbers that one task takes on.
const TASK: usize = 1 << 14;

/// exp(x) / Σ exp(x) over the last dimension, without overflow.
#[must_use]
pub fn softmax<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let width = x.dims()[D - 1];
    match Host::of(&x) {
        Some(host) => on_host(host, width).into_tensor(),
        None => burn::tensor::activation::softmax(x, D - 1),
    }
}

fn on_host(host: Host, width: usize) -> Host {
    let values = host.values();
    let mut y = Buffer::take(values.slice().len());
    let task = task(width);
    y.par_chunks_mut(task).zip(values.slice().par_chunks(task)).for_each(|(y, x)| {
        y.copy_from_slice(x);
        y.chunks_exact_mut(width).for_each(softmax_row);
    });
    let y = Values::from_buffer(y, &values.shape());
    record([host], y.clone(), || Softmax { y, width })
}

fn task(width: usize) -> usize {
    width.max(1) * (TASK / width.max(1)).max(1)
}

#[derive(Debug, Clone)]
struct Softmax {
    y: Values,
    width: usize,
}

impl Operation<1> for Softmax {
    fn backward(self, gradient: Values, _: [bool; 1]) -> [Option<Values>; 1] {
        let Self { y, width } = self;
        let (y, task) = (y.slice(), task(width));
        let gradient = gradient.change(task, |i, gradient| {
            let y = &y[i * task..i * task + gradient.len()];
            let rows = gradient.chunks_exact_mut(width).zip(y.chunks_exact(width));
            rows.for_each(|(gradient, y)| softmax_row_backward(gradient, y));
        });
        [Some(gradient)]
    }
}

/// Softmax of one row, in place. A row of −∞ alone gives NaN, as anywhere.
pub(crate) fn softmax_row(row: &mut [f32]) {
    arch().dispatch(Row { row });
}

struct Row<'a> {
    row: &'a mut [f32],
}

impl WithSimd for Row<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { row } = self;
        let largest = simd.splat_f32s(largest(simd, row));
        let (registers, rest) = S::as_mut_simd_f32s(row);
        let mut sums = Sums::<S>::new(simd);
        Sums::<S>::each(
            registers.len(),
            #[inline(always)]
            |i, sum| {
                registers[i] = power(simd, registers[i], largest);
                sums.0[sum] = simd.add_f32s(sums.0[sum], registers[i]);
            },
        );
        if !rest.is_empty() {
            simd.partial_store_f32s(rest, power(simd, simd.partial_load_f32s(rest), largest));
            // Read again: with zeros behind the end.
            let sum = sums.at(registers.len());
            *sum = simd.add_f32s(*sum, simd.partial_load_f32s(rest));
        }
        let scale = 1.0 / sums.total();
        let scales = simd.splat_f32s(scale);
        for x in registers {
            *x = simd.mul_f32s(*x, scales);
        }
        rest.iter_mut().for_each(|x| *x *= scale);
    }
}

/// exp(`x` − `largest`).
#[inline(always)]
pub(crate) fn power<S: Simd>(simd: S, x: S::f32s, largest: S::f32s) -> S::f32s {
    Lanes::new(simd, simd.sub_f32s(x, largest)).exp().into_inner()
}

/// The largest number of a row; where one is NaN, any.
#[inline(always)]
pub(crate) fn largest<S: Simd>(simd: S, row: &[f32]) -> f32 {
    let (registers, rest) = S::as_simd_f32s(row);
    let mut largest = f32::NEG_INFINITY;
    if let Some((first, registers)) = registers.split_first() {
        let lanes = registers.iter().fold(*first, |a, b| simd.max_f32s(a, *b));
        largest = simd.reduce_max_f32s(lanes);
    }
    rest.iter().fold(largest, |a, b| a.max(*b))
}

/// y (g − Σ g y), in the place of g.
pub(crate) fn softmax_row_backward(gradient: &mut [f32], y: &[f32]) {
    arch().dispatch(
        #[inline(always)]
        || {
            let mut sums = [0.0_f32; 16];
            let (pairs, rest) = (gradient.chunks_exact(16), y.chunks_exact(16));
            let ends = pairs.remainder().iter().zip(rest.remainder());
            let end: f32 = ends.map(|(g, y)| g * y).sum();
            for (g, y) in pairs.zip(rest) {
                for ((sum, g), y) in sums.iter_mut().zip(g).zip(y) {
                    *sum += g * y;
                }
            }
            let sum = sums.iter().sum::<f32>() + end;
            for (g, y) in gradient.iter_mut().zip(y) {
                *g = y * (*g - sum);
            }
        },
    );
}
