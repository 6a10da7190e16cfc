//! Scales and shifts each channel, with an activation behind it where there is one.

use super::formula::{slope_of_one, value_of_one};
use super::{on_gpu, room, tensor, vectors};
use ::activation::Elementwise;
use burn::Tensor;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

/// What is added to a scaled and shifted image: another of its shape, times a factor for each channel where there is one.
pub(crate) type Other<'a> = (&'a Tensor<4>, Option<&'a Tensor<1>>);

/// f(`x` · a + b + `other`), with `a` and `b` `[channels]` for the last dimension.
pub(crate) fn channel_affine(
    x: &Tensor<4>,
    [a, b]: [&Tensor<1>; 2],
    other: Option<Other<'_>>,
    f: Option<Elementwise>,
) -> Option<Tensor<4>> {
    if !is_finite(f.as_ref()) {
        return None;
    }
    let (shape, inputs) = (x.dims(), Inputs::of(x, [a, b], other)?);
    let y = room(&inputs.x, shape);
    let count: usize = shape.iter().product();
    if count > 0 {
        let (cubes, dim, width) = vectors(&inputs.x, count, shape[3]);
        let client = inputs.x.client.clone();
        let Inputs { x, a, b, other, c, given, scaled } = inputs;
        channel_affine_kernel::launch(
            &client,
            cubes,
            dim,
            width,
            x.into_buffer_arg(),
            a.into_buffer_arg(),
            b.into_buffer_arg(),
            other.into_buffer_arg(),
            c.into_buffer_arg(),
            y.clone().into_buffer_arg(),
            shape[3] / width,
            given,
            scaled,
            f,
        );
    }
    Some(tensor(y))
}

/// `gradient` · f′(`x` · a + b + `other`).
pub(crate) fn channel_affine_gradient(
    f: Elementwise,
    x: &Tensor<4>,
    [a, b]: [&Tensor<1>; 2],
    other: Option<&Tensor<4>>,
    gradient: &Tensor<4>,
) -> Option<Tensor<4>> {
    if !is_finite(Some(&f)) {
        return None;
    }
    let other = other.map(|other| (other, None));
    let (shape, inputs) = (x.dims(), Inputs::of(x, [a, b], other)?);
    let gradient = on_gpu(gradient)?;
    let y = room(&inputs.x, shape);
    let count: usize = shape.iter().product();
    if count > 0 {
        let (cubes, dim, width) = vectors(&inputs.x, count, shape[3]);
        let client = inputs.x.client.clone();
        let Inputs { x, a, b, other, given, .. } = inputs;
        channel_affine_gradient_kernel::launch(
            &client,
            cubes,
            dim,
            width,
            x.into_buffer_arg(),
            a.into_buffer_arg(),
            b.into_buffer_arg(),
            other.into_buffer_arg(),
            gradient.into_buffer_arg(),
            y.clone().into_buffer_arg(),
            shape[3] / width,
            given,
            f,
        );
    }
    Some(tensor(y))
}

/// A formula with an infinite constant takes burn's operations.
fn is_finite(f: Option<&Elementwise>) -> bool {
    f.is_none_or(Elementwise::is_finite)
}

/// What both kernels read. What is absent is not read; another takes its place.
struct Inputs {
    x: CubeTensor,
    a: CubeTensor,
    b: CubeTensor,
    other: CubeTensor,
    c: CubeTensor,
    /// Whether there is another image.
    given: bool,
    /// Whether it has factors.
    scaled: bool,
}

impl Inputs {
    fn of(x: &Tensor<4>, [a, b]: [&Tensor<1>; 2], other: Option<Other<'_>>) -> Option<Self> {
        let (x, a, b) = (on_gpu(x)?, on_gpu(a)?, on_gpu(b)?);
        let (given, scaled) = (other.is_some(), other.is_some_and(|(_, c)| c.is_some()));
        let c = match other {
            Some((_, Some(c))) => on_gpu(c)?,
            _ => a.clone(),
        };
        let other = match other {
            Some((other, _)) => on_gpu(other)?,
            None => x.clone(),
        };
        Some(Self { x, a, b, other, c, given, scaled })
    }
}

#[cube(launch)]
#[expect(clippy::too_many_arguments, reason = "a kernel takes buffers and numbers alone")]
fn channel_affine_kernel<N: Size>(
    x: &[Vector<f32, N>],
    a: &[Vector<f32, N>],
    b: &[Vector<f32, N>],
    other: &[Vector<f32, N>],
    c: &[Vector<f32, N>],
    y: &mut [Vector<f32, N>],
    channels: usize,
    #[comptime] given: bool,
    #[comptime] scaled: bool,
    #[comptime] f: Option<Elementwise>,
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
        if comptime!(f.is_some()) {
            let mut result = Vector::<f32, N>::empty();
            #[unroll]
            for k in 0..N::value() {
                result.insert(k, value_of_one(sum.extract(k), comptime!(f.clone().expect(SEEN))));
            }
            y[i] = result;
        } else {
            y[i] = sum;
        }
    }
}

/// Why a formula is expected.
const SEEN: &str = "it was seen that there is a formula";

#[cube(launch)]
#[expect(clippy::too_many_arguments, reason = "a kernel takes buffers and numbers alone")]
fn channel_affine_gradient_kernel<N: Size>(
    x: &[Vector<f32, N>],
    a: &[Vector<f32, N>],
    b: &[Vector<f32, N>],
    other: &[Vector<f32, N>],
    gradient: &[Vector<f32, N>],
    y: &mut [Vector<f32, N>],
    channels: usize,
    #[comptime] given: bool,
    #[comptime] f: Elementwise,
) {
    let i = ABSOLUTE_POS;
    if i < y.len() {
        let channel = i % channels;
        let mut sum = x[i] * a[channel] + b[channel];
        if given {
            sum += other[i];
        }
        let mut slopes = Vector::<f32, N>::empty();
        #[unroll]
        for k in 0..N::value() {
            slopes.insert(k, slope_of_one(sum.extract(k), f.clone()));
        }
        y[i] = gradient[i] * slopes;
    }
}
