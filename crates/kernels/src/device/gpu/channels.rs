//! Scales and shifts each channel, and averages channels, in one kernel.

use super::{on_gpu, room, tensor, threads};
use burn::Tensor;
use cubecl::prelude::*;

/// `x` · a + b, with `a` and `b` `[channels]` for the last dimension, and + `other`, times c where there is one.
pub(crate) fn channel_affine<const D: usize>(
    x: &Tensor<D>,
    [a, b]: [&Tensor<1>; 2],
    other: Option<(&Tensor<D>, Option<&Tensor<1>>)>,
) -> Option<Tensor<D>> {
    let shape = x.dims();
    let (x, a, b) = (on_gpu(x)?, on_gpu(a)?, on_gpu(b)?);
    let (given, scaled) = (other.is_some(), other.is_some_and(|(_, c)| c.is_some()));
    // What is absent is not read; another takes its place.
    let other_or_x = match other {
        Some((other, _)) => on_gpu(other)?,
        None => x.clone(),
    };
    let c = match other {
        Some((_, Some(c))) => on_gpu(c)?,
        _ => a.clone(),
    };
    let count: usize = shape.iter().product();
    let y = room(&x, shape);
    if count > 0 {
        let (cubes, dim) = threads(&x, count);
        let client = x.client.clone();
        channel_affine_kernel::launch(
            &client,
            cubes,
            dim,
            x.into_buffer_arg(),
            a.into_buffer_arg(),
            b.into_buffer_arg(),
            other_or_x.into_buffer_arg(),
            c.into_buffer_arg(),
            y.clone().into_buffer_arg(),
            shape[D - 1],
            given,
            scaled,
        );
    }
    Some(tensor(y))
}

#[cube(launch)]
#[expect(clippy::too_many_arguments, reason = "a kernel takes buffers and numbers alone")]
fn channel_affine_kernel(
    x: &[f32],
    a: &[f32],
    b: &[f32],
    other: &[f32],
    c: &[f32],
    y: &mut [f32],
    channels: usize,
    #[comptime] given: bool,
    #[comptime] scaled: bool,
) {
    let i = ABSOLUTE_POS;
    if i < y.len() {
        let channel = i % channels;
        let mut sum = x[i] * a[channel] + b[channel];
        if given {
            if scaled {
                sum += other[i] * c[channel];
            } else {
                sum += other[i];
            }
        }
        y[i] = sum;
    }
}

/// (1 − `share`) · `old` + `share` · `new`.
#[expect(clippy::cast_possible_truncation, reason = "rounding to f32 is meant")]
pub(crate) fn average(old: &Tensor<1>, new: &Tensor<1>, share: f64) -> Option<Tensor<1>> {
    let [count] = old.dims();
    let (old, new) = (on_gpu(old)?, on_gpu(new)?);
    let y = room(&old, [count]);
    if count > 0 {
        let (cubes, dim) = threads(&old, count);
        let client = old.client.clone();
        average_kernel::launch(
            &client,
            cubes,
            dim,
            old.into_buffer_arg(),
            new.into_buffer_arg(),
            y.clone().into_buffer_arg(),
            (1.0 - share) as f32,
            share as f32,
        );
    }
    Some(tensor(y))
}

#[cube(launch)]
fn average_kernel(old: &[f32], new: &[f32], y: &mut [f32], rest: f32, share: f32) {
    let i = ABSOLUTE_POS;
    if i < y.len() {
        y[i] = old[i] * rest + new[i] * share;
    }
}
