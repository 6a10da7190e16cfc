use std::ops::{Add, Div, Mul, Neg, Sub};

/// A number, or something that computes like one: the algebra that formulas are written in.
///
/// Interpretations: `f64`, the reference; [`Dual<R>`](crate::Dual), a value with its derivative;
/// [`Lanes<S>`](crate::Lanes), a SIMD register, for the CPU's kernels; and `burn::Tensor<D>`, where every
/// operation is elementwise and differentiable.
///
/// NaN goes through every operation: a comparison with NaN takes the branch that keeps it.
pub trait Real:
    Clone
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + Add<f64, Output = Self>
    + Sub<f64, Output = Self>
    + Mul<f64, Output = Self>
    + Div<f64, Output = Self>
{
    /// The constant `value`, of the shape and on the device of `self`.
    #[must_use]
    fn constant(&self, value: f64) -> Self;

    /// `self` · `factor` + `term`, where the interpretation has it in one operation.
    #[must_use]
    #[inline(always)]
    fn mul_add(self, factor: Self, term: Self) -> Self {
        self * factor + term
    }

    /// eˣ.
    #[must_use]
    fn exp(self) -> Self;

    /// eˣ − 1, precise near zero where the interpretation has it.
    #[must_use]
    fn exp_m1(self) -> Self;

    /// Natural logarithm.
    #[must_use]
    fn ln(self) -> Self;

    /// ln(1 + x), precise near zero.
    #[must_use]
    fn ln_1p(self) -> Self;

    /// Square root.
    #[must_use]
    fn sqrt(self) -> Self;

    /// Sine.
    #[must_use]
    fn sin(self) -> Self;

    /// Cosine.
    #[must_use]
    fn cos(self) -> Self;

    /// Hyperbolic tangent.
    #[must_use]
    fn tanh(self) -> Self;

    /// Error function, 2/√π ∫₀ˣ e^(−t²) dt.
    #[must_use]
    fn erf(self) -> Self;

    /// Logistic function 1/(1 + e^(−x)), without overflow.
    #[must_use]
    fn sigmoid(self) -> Self;

    /// ln(1 + eˣ), without overflow.
    #[must_use]
    fn softplus(self) -> Self;

    /// `at_most` where `self` ≤ `threshold`, `above` elsewhere.
    ///
    /// Both branches are computed everywhere: keep them finite where they are not chosen, as by
    /// `x.min(0.0).exp()`, since 0 · ∞ would put NaN into a gradient.
    #[must_use]
    fn select(self, threshold: f64, at_most: Self, above: Self) -> Self;

    /// The larger of `self` and `bound`; the derivative is 0 where they are equal.
    #[must_use]
    #[inline(always)]
    fn max(self, bound: f64) -> Self {
        let constant = self.constant(bound);
        self.clone().select(bound, constant, self)
    }

    /// The smaller of `self` and `bound`; the derivative is 1 where they are equal.
    #[must_use]
    fn min(self, bound: f64) -> Self;

    /// |x|, with derivative 0 at 0.
    #[must_use]
    #[inline(always)]
    fn abs(self) -> Self {
        self.clone().max(0.0) + (-self).max(0.0)
    }

    /// x².
    #[must_use]
    #[inline(always)]
    fn square(self) -> Self {
        self.clone() * self
    }
}

impl Real for f64 {
    fn constant(&self, value: f64) -> Self {
        value
    }

    fn exp(self) -> Self {
        self.exp()
    }

    fn exp_m1(self) -> Self {
        self.exp_m1()
    }

    fn ln(self) -> Self {
        self.ln()
    }

    fn ln_1p(self) -> Self {
        self.ln_1p()
    }

    fn sqrt(self) -> Self {
        self.sqrt()
    }

    fn sin(self) -> Self {
        self.sin()
    }

    fn cos(self) -> Self {
        self.cos()
    }

    fn tanh(self) -> Self {
        self.tanh()
    }

    fn erf(self) -> Self {
        libm::erf(self)
    }

    fn sigmoid(self) -> Self {
        if self >= 0.0 {
            1.0 / (1.0 + (-self).exp())
        } else {
            let e = self.exp();
            e / (1.0 + e)
        }
    }

    fn softplus(self) -> Self {
        // f64::max drops a NaN, but the second term keeps it.
        f64::max(self, 0.0) + (-self.abs()).exp().ln_1p()
    }

    fn select(self, threshold: f64, at_most: Self, above: Self) -> Self {
        if self <= threshold { at_most } else { above }
    }

    fn min(self, bound: f64) -> Self {
        if self > bound { bound } else { self }
    }
}

#[cfg(test)]
mod tests {
    use super::Real;

    #[test]
    fn nan_goes_through_comparisons() {
        for y in [
            Real::max(f64::NAN, 0.0),
            Real::min(f64::NAN, 0.0),
            Real::abs(f64::NAN),
            Real::softplus(f64::NAN),
            Real::sigmoid(f64::NAN),
        ] {
            assert!(y.is_nan());
        }
    }

    #[test]
    fn sigmoid_and_softplus_do_not_overflow() {
        assert_eq!(Real::sigmoid(-1e4), 0.0);
        assert_eq!(Real::sigmoid(1e4), 1.0);
        assert_eq!(Real::softplus(-1e4), 0.0);
        assert_eq!(Real::softplus(1e4), 1e4);
    }
}
