//! Kernels of our own for GPUs, in CubeCL: what takes many of burn's operations in one pass over memory.
//!
//! Each function returns [`None`] unless its tensors are f32, on a GPU and without a tape. The caller then uses burn's
//! operations.

#![allow(clippy::collapsible_if, reason = "both sides of && are computed in a kernel")]
#![allow(
    clippy::disallowed_methods,
    reason = "functions of kernels are the GPU's, not the platform's"
)]

mod batch_norm;
mod channels;
mod convolution;
mod cube;
mod dropout;
mod embedding;
mod formula;
mod heads;
mod loss;
mod product;
mod rows;
mod sent;
mod shortcut;
mod squares;
mod sums;
mod tile;
mod update;

pub(crate) use batch_norm::{gradient_sums, statistics};
pub(crate) use channels::{Other, channel_affine, channel_affine_gradient};
pub(crate) use convolution::{convolution, convolution_by_weight};
pub(crate) use dropout::dropped;
pub(crate) use embedding::sums_by_token;
pub(crate) use formula::{gated, gated_gradient, pointwise, pointwise_gradient};
pub(crate) use heads::{apart, join_heads, side_by_side, split_heads};
pub(crate) use loss::{cross_entropy, cross_entropy_gradient};
pub(crate) use product::{product, product_over_rows};
pub(crate) use rows::{Normalized, layer_norm, layer_norm_gradient, softmax, softmax_gradient};
pub(crate) use shortcut::{every_pixel, spread_pixels};
pub(crate) use squares::{Squares, clip_factor};
pub(crate) use sums::{column_moments, column_sums};
pub(crate) use update::{adamw, averages, begin_group, end_group, group_factor, sgd};

use crate::device::tape::Gpu;
use burn::Tensor;
use burn::tensor::{DType, Int, Shape};
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;
use cubecl::calculate_cube_count_elemwise;
use cubecl::client::Client;
use cubecl::prelude::*;

/// Numbers that the kernels count by 32 bits, with room for what a thread counts beyond the last; larger tensors take burn's
/// operations.
const MOST: usize = (u32::MAX - (1 << 24)) as usize;

/// The tensor, without gaps, if it holds f32 numbers of a GPU.
fn on_gpu<const D: usize>(x: &Tensor<D>) -> Option<CubeTensor> {
    if x.dtype() != DType::F32 || x.dims().iter().product::<usize>() > MOST {
        return None;
    }
    x.clone().try_into_primitive::<Gpu>().ok().map(into_contiguous).map(exact)
}

/// The tensor, without gaps, if it holds whole numbers of 32 bits of a GPU.
fn whole_numbers(x: &Tensor<1, Int>) -> Option<CubeTensor> {
    if x.dtype() != DType::I32 {
        return None;
    }
    x.clone().try_into_primitive::<Gpu>().ok().map(into_contiguous).map(exact)
}

/// The same tensor, whose buffer ends with its last number. CUDA rounds a row up to a multiple of 16 to 512 bytes where burn
/// allocates it, and a kernel takes the length of the buffer for that of the tensor.
fn exact(mut x: CubeTensor) -> CubeTensor {
    let used = (x.meta.num_elements() * x.dtype.size()) as u64;
    let beyond = x.handle.size_in_used().saturating_sub(used);
    if used > 0 && beyond > 0 {
        x.handle = x.handle.clone().offset_end(beyond);
    }
    x
}

/// An uninitialized f32 tensor on the device of `like`.
fn room(like: &CubeTensor, shape: impl Into<Shape>) -> CubeTensor {
    let (client, device) = (like.client.clone(), like.device.clone());
    empty_device_contiguous_dtype(client, device, shape.into(), DType::F32)
}

/// The same numbers without gaps and in order.
pub(crate) fn contiguous<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    match on_gpu(&x) {
        Some(x) => tensor(x),
        None => x,
    }
}

fn tensor<const D: usize>(x: CubeTensor) -> Tensor<D> {
    Tensor::from_primitive::<Gpu>(x)
}

/// A thread for each of so many numbers.
fn threads(on: &CubeTensor, count: usize) -> (CubeCount, CubeDim) {
    let dim = CubeDim::new(&on.client, count);
    (calculate_cube_count_elemwise(&on.client, count, dim), dim)
}

/// A thread for each vector of so many numbers, and the numbers of a vector: as many as a thread reads at once, where that
/// divides `row`.
fn vectors(on: &CubeTensor, count: usize, row: usize) -> (CubeCount, CubeDim, usize) {
    let width = width(&on.client, row);
    let (cubes, dim) = threads(on, count / width);
    (cubes, dim, width)
}

/// Numbers that a thread reads at once, where that divides `row`; 1 otherwise.
fn width(client: &Client, row: usize) -> usize {
    let widths = client.io_optimized_vector_sizes(size_of::<f32>());
    widths.filter(|width| row.is_multiple_of(*width)).max().unwrap_or(1)
}
