//! Activations on devices other than the CPU; their gradient is made of the input, which alone is kept.

use crate::device::gpu;
use crate::device::tape::{AnyRank, Derivative, record, untaped};
use ::activation::{Activation, Gated, Kind};
use burn::Tensor;
use std::sync::Arc;

/// f(x) without a tape.
pub(crate) fn value<const D: usize>(f: &Activation, x: Tensor<D>) -> Tensor<D> {
    if let Some(y) = gpu::pointwise(f.nonlinearity().elementwise(), &x) {
        return y;
    }
    f.nonlinearity().forward(x)
}

/// `gradient` · f′(x) without a tape.
pub(crate) fn gradient<const D: usize>(
    f: &Activation,
    x: Tensor<D>,
    gradient: Tensor<D>,
) -> Tensor<D> {
    if let Some(y) = gpu::pointwise_gradient(f.nonlinearity().elementwise(), &x, &gradient) {
        return y;
    }
    gradient * f.nonlinearity().derivative(x)
}

/// See [`nonlinearity`](crate::nonlinearity).
pub(crate) fn nonlinearity<const D: usize>(f: &Arc<Activation>, x: Tensor<D>) -> Tensor<D> {
    let saved = Nonlinearity { f: Arc::clone(f), x: untaped(&x) };
    let y = value(f, saved.x.clone());
    record([x.into()], y, || saved)
}

#[derive(Debug, Clone)]
struct Nonlinearity<const D: usize> {
    f: Arc<Activation>,
    x: Tensor<D>,
}

impl<const D: usize> Derivative<1> for Nonlinearity<D> {
    fn backward(self, upstream: AnyRank, _: [bool; 1]) -> [Option<AnyRank>; 1] {
        [Some(gradient(&self.f, self.x, upstream.tensor()).into())]
    }
}

/// See [`activation`](crate::activation()); `gated` is what `f` is.
pub(crate) fn gated<const D: usize>(
    f: &Arc<Activation>,
    gated: &dyn Gated,
    x: Tensor<D>,
) -> Tensor<D> {
    let mut shape = x.dims();
    let width = shape[D - 1];
    let rows: usize = shape[..D - 1].iter().product();
    let saved = GatedRows { f: Arc::clone(f), x: untaped(&x).reshape([rows, width]) };
    shape[D - 1] = width / 2;
    let y = saved.value(gated).reshape(shape);
    record([x.into()], y, || Reshaped::<D>(saved))
}

#[derive(Debug, Clone)]
struct GatedRows {
    f: Arc<Activation>,
    /// `[rows, 2 · half]`
    x: Tensor<2>,
}

impl GatedRows {
    fn halves(&self) -> [Tensor<2>; 2] {
        let half = self.x.dims()[1] / 2;
        [0, half].map(|from| self.x.clone().narrow(1, from, half))
    }

    fn value(&self, gated: &dyn Gated) -> Tensor<2> {
        if let Some(y) = gpu::gated(gated.elementwise(), &self.x) {
            return y;
        }
        let [gate, value] = self.halves();
        gated.forward(gate, value)
    }

    fn gradient(&self, gradient: Tensor<2>) -> Tensor<2> {
        let Kind::Gated(gated) = self.f.kind() else { unreachable!("it is gated") };
        if let Some(y) = gpu::gated_gradient(gated.elementwise(), &self.x, &gradient) {
            return y;
        }
        let [gate, value] = self.halves();
        let (by_gate, by_value) = gated.derivatives(gate, value);
        Tensor::cat(vec![gradient.clone() * by_gate, gradient * by_value], 1)
    }
}

#[derive(Debug, Clone)]
struct Reshaped<const D: usize>(GatedRows);

impl<const D: usize> Derivative<1> for Reshaped<D> {
    fn backward(self, gradient: AnyRank, _: [bool; 1]) -> [Option<AnyRank>; 1] {
        let gradient = gradient.tensor::<D>();
        let mut shape = gradient.dims();
        let half = shape[D - 1];
        let rows: usize = shape[..D - 1].iter().product();
        let by_x = self.0.gradient(gradient.reshape([rows, half]));
        shape[D - 1] = 2 * half;
        [Some(by_x.reshape(shape).into())]
    }
}
