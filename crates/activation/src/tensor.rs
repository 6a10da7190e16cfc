//! Burn tensors as numbers: every operation is elementwise, on the tensor's device, and
//! differentiable where the tensor is.

use crate::Real;
use burn::Tensor;
use burn::tensor::activation;

impl<const D: usize> Real for Tensor<D> {
    fn constant(&self, value: f64) -> Self {
        self.full_like(value)
    }

    fn exp(self) -> Self {
        Tensor::exp(self)
    }

    fn exp_m1(self) -> Self {
        // Burn has no expm1: near zero the result keeps f32's absolute precision, not its relative.
        Tensor::exp(self) - 1.0
    }

    fn ln(self) -> Self {
        Tensor::log(self)
    }

    fn ln_1p(self) -> Self {
        Tensor::log1p(self)
    }

    fn sqrt(self) -> Self {
        Tensor::sqrt(self)
    }

    fn sin(self) -> Self {
        Tensor::sin(self)
    }

    fn cos(self) -> Self {
        Tensor::cos(self)
    }

    fn tanh(self) -> Self {
        Tensor::tanh(self)
    }

    fn erf(self) -> Self {
        Tensor::erf(self)
    }

    fn sigmoid(self) -> Self {
        activation::sigmoid(self)
    }

    fn softplus(self) -> Self {
        // ln(1 + eˣ) = −ln σ(−x): burn's log-sigmoid has a stable value and a stable gradient.
        activation::log_sigmoid(self.neg()).neg()
    }

    fn select(self, threshold: f64, at_most: Self, above: Self) -> Self {
        above.mask_where(self.lower_equal_scalar(threshold), at_most)
    }

    fn max(self, bound: f64) -> Self {
        if bound == 0.0 {
            // One operation forward and one backward instead of two and two.
            return activation::relu(self);
        }
        let mask = self.clone().lower_equal_scalar(bound);
        self.mask_fill(mask, bound)
    }

    fn min(self, bound: f64) -> Self {
        let mask = self.clone().greater_scalar(bound);
        self.mask_fill(mask, bound)
    }

    fn square(self) -> Self {
        <Tensor<D>>::square(self)
    }
}
