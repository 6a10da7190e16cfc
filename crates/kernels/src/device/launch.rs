//! Kernels of our own for GPUs, in CubeCL: what takes many of burn's operations in one pass over memory.
//!
//! Each function answers [`None`] where its tensors are not f32 numbers of a GPU; burn's operations do it there.

use crate::device::rule::{AdamW, Sgd};
use crate::device::tape::Gpu;
use crate::reduce::RUN;
use burn::Tensor;
use burn::tensor::{DType, Shape};
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;
use cubecl::calculate_cube_count_elemwise;
use cubecl::prelude::*;

/// The tensor, without gaps, if it holds f32 numbers of a GPU.
pub(crate) fn on_gpu<const D: usize>(x: &Tensor<D>) -> Option<CubeTensor> {
    if x.dtype() != DType::F32 {
        return None;
    }
    x.clone().try_into_primitive::<Gpu>().ok().map(into_contiguous)
}

/// Room for numbers beside `like`.
pub(crate) fn room(like: &CubeTensor, shape: impl Into<Shape>) -> CubeTensor {
    let (client, device) = (like.client.clone(), like.device.clone());
    empty_device_contiguous_dtype(client, device, shape.into(), DType::F32)
}

pub(crate) fn tensor<const D: usize>(x: CubeTensor) -> Tensor<D> {
    Tensor::from_primitive::<Gpu>(x)
}

/// A thread for each of so many numbers.
pub(crate) fn threads(on: &CubeTensor, count: usize) -> (CubeCount, CubeDim) {
    let dim = CubeDim::new(&on.client, count);
    (calculate_cube_count_elemwise(&on.client, count, dim), dim)
}

/// New parameter and moments.
pub(crate) fn adamw(
    rule: AdamW,
    [parameter, gradient, first, second]: [&Tensor<1>; 4],
) -> Option<[Tensor<1>; 3]> {
    let (parameter, gradient) = (on_gpu(parameter)?, on_gpu(gradient)?);
    let (first, second) = (on_gpu(first)?, on_gpu(second)?);
    let count = parameter.meta.num_elements();
    let new = [(); 3].map(|()| room(&parameter, [count]));
    if count > 0 {
        let (cubes, dim) = threads(&parameter, count);
        let client = parameter.client.clone();
        let [new_parameter, new_first, new_second] = new.clone();
        adamw_kernel::launch(
            &client,
            cubes,
            dim,
            parameter.into_buffer_arg(),
            gradient.into_buffer_arg(),
            first.into_buffer_arg(),
            second.into_buffer_arg(),
            new_parameter.into_buffer_arg(),
            new_first.into_buffer_arg(),
            new_second.into_buffer_arg(),
            rule.scale,
            rule.beta1,
            rule.beta2,
            rule.rest1,
            rule.rest2,
            rule.epsilon,
            rule.keep,
            rule.rate,
            rule.correction2,
        );
    }
    Some(new.map(tensor))
}

#[cube(launch)]
#[expect(clippy::too_many_arguments, reason = "a kernel takes buffers and numbers alone")]
fn adamw_kernel(
    parameter: &[f32],
    gradient: &[f32],
    first: &[f32],
    second: &[f32],
    new_parameter: &mut [f32],
    new_first: &mut [f32],
    new_second: &mut [f32],
    scale: f32,
    beta1: f32,
    beta2: f32,
    rest1: f32,
    rest2: f32,
    epsilon: f32,
    keep: f32,
    rate: f32,
    correction2: f32,
) {
    let i = ABSOLUTE_POS;
    if i < parameter.len() {
        let g = gradient[i] * scale;
        let m = beta1 * first[i] + rest1 * g;
        let v = beta2 * second[i] + rest2 * (g * g);
        let root = (v * correction2).sqrt() + epsilon;
        new_parameter[i] = parameter[i] * keep - rate * m / root;
        new_first[i] = m;
        new_second[i] = v;
    }
}

/// New parameter, and velocity where there is one.
pub(crate) fn sgd(
    rule: Sgd,
    [parameter, gradient]: [&Tensor<1>; 2],
    velocity: Option<&Tensor<1>>,
) -> Option<(Tensor<1>, Option<Tensor<1>>)> {
    let (parameter, gradient) = (on_gpu(parameter)?, on_gpu(gradient)?);
    let moving = velocity.is_some();
    // Where there is none it is not read, and what is written in its place has no use.
    let velocity = match velocity {
        Some(velocity) => on_gpu(velocity)?,
        None => gradient.clone(),
    };
    let count = parameter.meta.num_elements();
    let new = room(&parameter, [count]);
    let new_velocity = room(&parameter, [if moving { count } else { 1 }]);
    if count > 0 {
        let (cubes, dim) = threads(&parameter, count);
        let client = parameter.client.clone();
        sgd_kernel::launch(
            &client,
            cubes,
            dim,
            parameter.into_buffer_arg(),
            gradient.into_buffer_arg(),
            velocity.into_buffer_arg(),
            new.clone().into_buffer_arg(),
            new_velocity.clone().into_buffer_arg(),
            rule.rate,
            rule.scale,
            rule.momentum,
            rule.decay,
            moving,
            rule.nesterov,
        );
    }
    Some((tensor(new), moving.then(|| tensor(new_velocity))))
}

#[cube(launch)]
#[expect(clippy::too_many_arguments, reason = "a kernel takes buffers and numbers alone")]
fn sgd_kernel(
    parameter: &[f32],
    gradient: &[f32],
    velocity: &[f32],
    new_parameter: &mut [f32],
    new_velocity: &mut [f32],
    rate: f32,
    scale: f32,
    momentum: f32,
    decay: f32,
    #[comptime] moving: bool,
    #[comptime] nesterov: bool,
) {
    let i = ABSOLUTE_POS;
    if i < parameter.len() {
        let p = parameter[i];
        let g = gradient[i] * scale + decay * p;
        if moving {
            let v = momentum * velocity[i] + g;
            new_velocity[i] = v;
            if nesterov {
                new_parameter[i] = p - rate * (g + momentum * v);
            } else {
                new_parameter[i] = p - rate * v;
            }
        } else {
            new_parameter[i] = p - rate * g;
        }
    }
}

/// Sums of [`RUN`] rows each, the last of fewer: `[⌈rows / RUN⌉, columns]` of `[rows, columns]`.
pub(crate) fn run_sums(x: &Tensor<2>) -> Option<Tensor<2>> {
    let [rows, columns] = x.dims();
    let x = on_gpu(x)?;
    let runs = rows.div_ceil(RUN);
    let y = room(&x, [runs, columns]);
    if runs * columns > 0 {
        let (cubes, dim) = threads(&x, runs * columns);
        let client = x.client.clone();
        run_sums_kernel::launch(
            &client,
            cubes,
            dim,
            x.into_buffer_arg(),
            y.clone().into_buffer_arg(),
            rows,
            columns,
        );
    }
    Some(tensor(y))
}

#[cube(launch)]
fn run_sums_kernel(x: &[f32], y: &mut [f32], rows: usize, columns: usize) {
    let i = ABSOLUTE_POS;
    if i < y.len() {
        let column = i % columns;
        let first = (i / columns) * RUN;
        let end = clamp_max(first + RUN, rows);
        let mut sum = 0.0f32;
        for row in first..end {
            sum += x[row * columns + column];
        }
        y[i] = sum;
    }
}

/// For runs of rows of `x` and `other` `[rows, columns]`: the sums of `x`, and those of `x` · (`other` − `mean`), side by
/// side in `[⌈rows / RUN⌉, 2 · columns]`. Without `other` it is `x` − `mean` in place of both.
pub(crate) fn run_moments(
    x: &Tensor<2>,
    other: Option<&Tensor<2>>,
    mean: &Tensor<1>,
) -> Option<Tensor<2>> {
    let [rows, columns] = x.dims();
    let (x, mean) = (on_gpu(x)?, on_gpu(mean)?);
    let centered = other.is_none();
    let other = match other {
        Some(other) => on_gpu(other)?,
        None => x.clone(),
    };
    let runs = rows.div_ceil(RUN);
    let y = room(&x, [runs, 2 * columns]);
    if runs * columns > 0 {
        let (cubes, dim) = threads(&x, runs * columns);
        let client = x.client.clone();
        run_moments_kernel::launch(
            &client,
            cubes,
            dim,
            x.into_buffer_arg(),
            other.into_buffer_arg(),
            mean.into_buffer_arg(),
            y.clone().into_buffer_arg(),
            rows,
            columns,
            centered,
        );
    }
    Some(tensor(y))
}

#[cube(launch)]
fn run_moments_kernel(
    x: &[f32],
    other: &[f32],
    mean: &[f32],
    y: &mut [f32],
    rows: usize,
    columns: usize,
    #[comptime] centered: bool,
) {
    let i = ABSOLUTE_POS;
    if 2 * i < y.len() {
        let column = i % columns;
        let run = i / columns;
        let first = run * RUN;
        let end = clamp_max(first + RUN, rows);
        let center = mean[column];
        let mut sum = 0.0f32;
        let mut product = 0.0f32;
        for row in first..end {
            let at = row * columns + column;
            let deviation = other[at] - center;
            if centered {
                sum += deviation;
                product += deviation * deviation;
            } else {
                sum += x[at];
                product += x[at] * deviation;
            }
        }
        y[2 * run * columns + column] = sum;
        y[(2 * run + 1) * columns + column] = product;
    }
}

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
