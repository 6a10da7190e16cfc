//! Burn tensors as numbers: every operation is elementwise, on the tensor's device, and
//! differentiable where the tensor is.

use crate::Algebra;
use crate::lanes::{ERFC, ERFC_SCALE};
use burn::Tensor;
use burn::tensor::activation;

impl<const D: usize> Algebra for Tensor<D> {
    fn constant(&self, value: f64) -> Self {
        self.full_like(value)
    }

    fn exp(self) -> Self {
        Tensor::exp(self)
    }

    fn exp_m1(self) -> Self {
        // Burn has no expm1: e^x − 1 is tanh(x/2) · (e^x + 1), in which nothing cancels near zero.
        (self.clone() / 2.0).tanh() * (Tensor::exp(self) + 1.0)
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

    fn atan(self) -> Self {
        Tensor::atan(self)
    }

    fn erf(self) -> Self {
        Tensor::erf(self)
    }

    /// e^(−x²) · P(1/(1 + 0.416 |x|)), mirrored for x < 0, with the polynomial of the SIMD registers: a
    /// difference 1 − erf(x) would lose all digits where the result is small.
    fn erfc(self) -> Self {
        self.erfc_and_gaussian().0
    }

    fn erfc_and_gaussian(self) -> (Self, Self) {
        // e^(−x²) is 0 in single precision beyond 10.2; bounded, the square of what overflows is no trap for
        // gradients.
        let negative = self.clone().lower_scalar(0.0);
        // Not by `abs`, whose gradient at 0 is 0.
        let x = self.clone().mask_where(negative.clone(), self.neg()).clamp_max(11.0);
        let gaussian = x.clone().square().neg().exp();
        let t = (x * ERFC_SCALE + 1.0).recip();
        let mut sum = t.full_like(ERFC[ERFC.len() - 1]);
        for coefficient in ERFC.iter().rev().skip(1) {
            sum = sum * t.clone() + f64::from(*coefficient);
        }
        let positive = sum * gaussian.clone();
        let mirrored = positive.clone().neg() + 2.0;
        (positive.mask_where(negative, mirrored), gaussian)
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
