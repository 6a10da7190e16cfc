//! In the place of kernels for GPUs where the program is built without: no tensor is on one.

use crate::device::convolution::Places;
use crate::device::rule::{AdamW, Sgd};
use ::activation::Elementwise;
use burn::Tensor;

pub(crate) fn adamw(_: AdamW, _: [&Tensor<1>; 4]) -> Option<[Tensor<1>; 3]> {
    None
}

pub(crate) fn sgd(
    _: Sgd,
    _: [&Tensor<1>; 2],
    _: Option<&Tensor<1>>,
) -> Option<(Tensor<1>, Option<Tensor<1>>)> {
    None
}

pub(crate) fn square_sums<const D: usize>(_: &Tensor<D>) -> Option<Tensor<1>> {
    None
}

pub(crate) fn run_sums(_: &Tensor<2>) -> Option<Tensor<2>> {
    None
}

pub(crate) fn run_moments(
    _: &Tensor<2>,
    _: Option<&Tensor<2>>,
    _: &Tensor<1>,
) -> Option<Tensor<2>> {
    None
}

pub(crate) fn channel_affine<const D: usize>(
    _: &Tensor<D>,
    _: [&Tensor<1>; 2],
    _: Option<(&Tensor<D>, Option<&Tensor<1>>)>,
) -> Option<Tensor<D>> {
    None
}

pub(crate) fn pointwise<const D: usize>(_: Elementwise, _: &Tensor<D>) -> Option<Tensor<D>> {
    None
}

pub(crate) fn pointwise_gradient<const D: usize>(
    _: Elementwise,
    _: &Tensor<D>,
    _: &Tensor<D>,
) -> Option<Tensor<D>> {
    None
}

pub(crate) fn gated(_: Elementwise, _: &Tensor<2>) -> Option<Tensor<2>> {
    None
}

pub(crate) fn gated_gradient(_: Elementwise, _: &Tensor<2>, _: &Tensor<2>) -> Option<Tensor<2>> {
    None
}

pub(crate) fn gather(_: &Tensor<4>, _: Places) -> Option<Tensor<3>> {
    None
}
