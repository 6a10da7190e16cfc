//! In the place of kernels for GPUs where the program is built without: no tensor is on one.

use crate::device::batch_norm::{Statistics, Sums};
use crate::device::convolution::Places;
use crate::device::dropout::Dropped;
use crate::device::rule::{AdamW, Averages, Sgd};
use crate::mixed::Precision;
use crate::sequences::Sequences;
use ::activation::Elementwise;
use burn::Tensor;
use burn::tensor::Int;

pub(crate) fn begin_group(_: Option<&Tensor<1>>) {}

pub(crate) fn end_group(_: bool) {}

pub(crate) fn group_factor() -> Option<Tensor<1>> {
    None
}

pub(crate) fn clip_factor(_: &Tensor<1>, _: f64) -> Option<Tensor<1>> {
    None
}

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

#[derive(Debug, Default)]
pub(crate) struct Squares;

impl Squares {
    pub(crate) fn push<const D: usize>(&mut self, _: &Tensor<D>) -> bool {
        false
    }

    pub(crate) fn sums(self) -> Option<Tensor<1>> {
        None
    }
}

pub(crate) fn averages(
    _: Averages,
    _: [&Tensor<1>; 2],
    _: [&Tensor<1>; 2],
) -> Option<[Tensor<1>; 2]> {
    None
}

pub(crate) fn every_pixel(_: &Tensor<4>, _: usize, _: usize) -> Option<Tensor<4>> {
    None
}

pub(crate) fn spread_pixels(_: &Tensor<4>, _: usize, _: [usize; 4]) -> Option<Tensor<4>> {
    None
}

pub(crate) fn cross_entropy(_: &Tensor<2>, _: &Tensor<1, Int>, _: f64) -> Option<[Tensor<1>; 3]> {
    None
}

pub(crate) fn cross_entropy_gradient(
    _: &Tensor<2>,
    _: &Tensor<1, Int>,
    _: [&Tensor<1>; 3],
    _: f64,
) -> Option<Tensor<2>> {
    None
}

pub(crate) fn column_sums(_: &Tensor<2>) -> Option<Tensor<2>> {
    None
}

pub(crate) fn column_moments(_: &Tensor<2>, _: &Tensor<2>) -> Option<[Tensor<1>; 2]> {
    None
}

pub(crate) fn statistics(_: &Tensor<2>, _: [&Tensor<1>; 2], _: f64) -> Option<Statistics> {
    None
}

pub(crate) fn gradient_sums(_: &Tensor<2>, _: &Tensor<2>, _: &Statistics, _: f64) -> Option<Sums> {
    None
}

/// What layer norm gives.
pub(crate) struct Normalized {
    pub(crate) y: Tensor<2>,
    pub(crate) normal: Tensor<2>,
    pub(crate) inverse: Tensor<2>,
}

pub(crate) fn layer_norm(
    _: &Tensor<2>,
    _: Option<&Tensor<2>>,
    _: [&Tensor<1>; 2],
    _: f64,
) -> Option<Normalized> {
    None
}

pub(crate) fn layer_norm_gradient(
    _: &Tensor<2>,
    _: &Tensor<2>,
    _: &Tensor<2>,
    _: &Tensor<1>,
) -> Option<Tensor<2>> {
    None
}

pub(crate) fn softmax(_: &Tensor<4>, _: f64, _: Option<&[usize]>, _: usize) -> Option<Tensor<4>> {
    None
}

pub(crate) fn softmax_gradient(_: &Tensor<4>, _: &Tensor<4>, _: f64) -> Option<Tensor<4>> {
    None
}

pub(crate) type Other<'a> = (&'a Tensor<4>, Option<&'a Tensor<1>>);

pub(crate) fn channel_affine(
    _: &Tensor<4>,
    _: [&Tensor<1>; 2],
    _: Option<Other<'_>>,
    _: Option<Elementwise>,
) -> Option<Tensor<4>> {
    None
}

pub(crate) fn channel_affine_gradient(
    _: Elementwise,
    _: &Tensor<4>,
    _: [&Tensor<1>; 2],
    _: Option<&Tensor<4>>,
    _: &Tensor<4>,
) -> Option<Tensor<4>> {
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

pub(crate) fn dropped(_: &Tensor<2>, _: &Dropped) -> Option<Tensor<2>> {
    None
}

pub(crate) fn contiguous<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    x
}

pub(crate) fn split_heads<const N: usize>(
    _: &Tensor<2>,
    _: &Sequences,
    _: usize,
) -> Option<[Tensor<4>; N]> {
    None
}

pub(crate) fn join_heads<const N: usize>(_: &[Tensor<4>; N], _: &Sequences) -> Option<Tensor<2>> {
    None
}

pub(crate) fn side_by_side(_: &[Tensor<2>; 3]) -> Option<Tensor<2>> {
    None
}

pub(crate) fn apart(_: &Tensor<2>) -> Option<[Tensor<2>; 3]> {
    None
}

pub(crate) fn convolution(
    _: Precision,
    _: &Tensor<4>,
    _: &Tensor<4>,
    _: Places,
) -> Option<Tensor<4>> {
    None
}

pub(crate) fn convolution_by_weight(
    _: Precision,
    _: &Tensor<4>,
    _: &Tensor<4>,
    _: Places,
) -> Option<Tensor<4>> {
    None
}

pub(crate) fn sums_by_token(_: &Tensor<1, Int>, _: &Tensor<2>, _: usize) -> Option<Tensor<2>> {
    None
}

pub(crate) fn product<const D: usize>(
    _: &Tensor<D>,
    _: &Tensor<D>,
    _: Option<&Tensor<1>>,
) -> Option<Tensor<D>> {
    None
}

pub(crate) fn product_over_rows(
    _: &Tensor<2>,
    _: &Tensor<2>,
    _: bool,
) -> Option<(Tensor<2>, Option<Tensor<1>>)> {
    None
}
