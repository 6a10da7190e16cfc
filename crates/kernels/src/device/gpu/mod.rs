//! Kernels of our own for GPUs, in CubeCL: what takes many of burn's operations in one pass over memory.
//!
//! Each function answers [`None`] where its tensors are not f32 numbers of a GPU, off the tape; burn's operations do it
//! there.

mod channels;
mod formula;
mod gather;
mod sums;
mod update;

pub(crate) use channels::channel_affine;
pub(crate) use formula::{gated, gated_gradient, pointwise, pointwise_gradient};
pub(crate) use gather::gather;
pub(crate) use sums::{run_moments, run_sums, square_sums};
pub(crate) use update::{adamw, sgd};

use crate::device::tape::Gpu;
use burn::Tensor;
use burn::tensor::{DType, Shape};
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;
use cubecl::calculate_cube_count_elemwise;
use cubecl::prelude::*;

/// The tensor, without gaps, if it holds f32 numbers of a GPU.
fn on_gpu<const D: usize>(x: &Tensor<D>) -> Option<CubeTensor> {
    if x.dtype() != DType::F32 {
        return None;
    }
    x.clone().try_into_primitive::<Gpu>().ok().map(into_contiguous)
}

/// Room for numbers beside `like`.
fn room(like: &CubeTensor, shape: impl Into<Shape>) -> CubeTensor {
    let (client, device) = (like.client.clone(), like.device.clone());
    empty_device_contiguous_dtype(client, device, shape.into(), DType::F32)
}

fn tensor<const D: usize>(x: CubeTensor) -> Tensor<D> {
    Tensor::from_primitive::<Gpu>(x)
}

/// A thread for each of so many numbers.
fn threads(on: &CubeTensor, count: usize) -> (CubeCount, CubeDim) {
    let dim = CubeDim::new(&on.client, count);
    (calculate_cube_count_elemwise(&on.client, count, dim), dim)
}
