use std::ops::{Add, Div, Mul, Neg, Sub};

/// What formulas compute with: a number that is copied as `f64` is, so that `x * x.softplus().tanh()` needs no clone.
///
/// Constants stand on the right, `x * 2.0`, or are made of another number: `x.constant(1.0) - x`.
pub trait Real: Algebra + Copy {}

impl<R: Algebra + Copy> Real for R {}

/// A number, or something that computes like one: the algebra that formulas are written in.
///
/// Interpretations: `f64`; the reference, double precision in which 0 · ∞ is 0; [`Dual<R>`](crate::Dual), a
/// value with its derivative; [`Lanes<S>`](crate::Lanes), a SIMD register, for the CPU's kernels; and
/// `burn::Tensor<D>`, where every operation is elementwise and differentiable.
///
/// NaN goes through every operation: a comparison with NaN takes the branch that keeps it.
pub trait Algebra:
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

    /// Arc tangent, from −π/2 to π/2.
    #[must_use]
    fn atan(self) -> Self;

    /// Error function, 2/√π ∫₀ˣ e^(−t²) dt.
    #[must_use]
    fn erf(self) -> Self;

    /// Complementary error function, 1 − erf(x), with a relative accuracy also where it is small: erfc(5) is
    /// 1.5·10⁻¹². The normal distribution function is Φ(x) = ½ erfc(−x/√2).
    #[must_use]
    fn erfc(self) -> Self;

    /// erfc(x) and e^(−x²), which is its derivative but for the factor −2/√π: together they may cost little more
    /// than one of them.
    #[must_use]
    #[inline(always)]
    fn erfc_and_gaussian(self) -> (Self, Self) {
        (self.clone().erfc(), (-self.square()).exp())
    }

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

    /// `self` from `low` to `high`, the bound beyond.
    #[must_use]
    #[inline(always)]
    fn clamp(self, low: f64, high: f64) -> Self {
        self.max(low).min(high)
    }

    /// The larger of x and 0; the derivative is 0 at 0.
    #[must_use]
    #[inline(always)]
    fn relu(self) -> Self {
        self.max(0.0)
    }

    /// xⁿ as products, for n ≥ 0.
    #[must_use]
    #[inline(always)]
    fn powi(self, n: u32) -> Self {
        match n {
            0 => self.constant(1.0),
            1 => self,
            n if n.is_multiple_of(2) => self.powi(n / 2).square(),
            n => self.clone().powi(n - 1) * self,
        }
    }

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

    /// The derivative of [`Algebra::exp_m1`] at `x`, where it is `value`. This and the two that follow are of what is there
    /// already; the reference computes them anew, so that small ones have all their digits.
    #[doc(hidden)]
    #[must_use]
    #[inline(always)]
    fn slope_of_exp_m1(x: Self, value: Self) -> Self {
        let _ = x;
        value + 1.0
    }

    /// The derivative of [`Algebra::sigmoid`] at `x`, where it is `value`.
    #[doc(hidden)]
    #[must_use]
    #[inline(always)]
    fn slope_of_sigmoid(x: Self, value: Self) -> Self {
        let _ = x;
        value.clone() * (-value + 1.0)
    }

    /// The derivative of [`Algebra::tanh`] at `x`, where it is `value`.
    #[doc(hidden)]
    #[must_use]
    #[inline(always)]
    fn slope_of_tanh(x: Self, value: Self) -> Self {
        let _ = x;
        -value.square() + 1.0
    }

    /// A product in the chain rule, of a slope and a derivative. The reference gives 0 where one of them is 0,
    /// also for 0 · ∞ and 0 · NaN: what does not depend on the input has no part in the derivative.
    #[must_use]
    #[inline(always)]
    fn chain_product(self, other: Self) -> Self {
        self * other
    }

    /// `self` · `factor` + `term`, the product as [`Algebra::chain_product`] has it.
    #[must_use]
    #[inline(always)]
    fn chain_product_add(self, factor: Self, term: Self) -> Self {
        self.mul_add(factor, term)
    }
}

/// Functions are those of the `libm` crate: what a formula gives enters the identity of runs, and the standard
/// library's functions are the platform's, which round differently.
impl Algebra for f64 {
    fn constant(&self, value: f64) -> Self {
        value
    }

    fn exp(self) -> Self {
        libm::exp(self)
    }

    fn exp_m1(self) -> Self {
        libm::expm1(self)
    }

    fn ln(self) -> Self {
        libm::log(self)
    }

    fn ln_1p(self) -> Self {
        libm::log1p(self)
    }

    fn sqrt(self) -> Self {
        self.sqrt()
    }

    fn sin(self) -> Self {
        libm::sin(self)
    }

    fn cos(self) -> Self {
        libm::cos(self)
    }

    fn tanh(self) -> Self {
        libm::tanh(self)
    }

    fn atan(self) -> Self {
        libm::atan(self)
    }

    fn erf(self) -> Self {
        libm::erf(self)
    }

    fn erfc(self) -> Self {
        libm::erfc(self)
    }

    fn sigmoid(self) -> Self {
        if self >= 0.0 {
            1.0 / (1.0 + libm::exp(-self))
        } else {
            let e = libm::exp(self);
            e / (1.0 + e)
        }
    }

    fn softplus(self) -> Self {
        // f64::max drops a NaN, but the second term keeps it.
        f64::max(self, 0.0) + libm::log1p(libm::exp(-self.abs()))
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
    use super::Algebra;

    #[test]
    fn nan_goes_through_comparisons() {
        for y in [
            Algebra::max(f64::NAN, 0.0),
            Algebra::min(f64::NAN, 0.0),
            Algebra::abs(f64::NAN),
            Algebra::softplus(f64::NAN),
            Algebra::sigmoid(f64::NAN),
        ] {
            assert!(y.is_nan());
        }
    }

    #[test]
    fn sigmoid_and_softplus_do_not_overflow() {
        assert_eq!(Algebra::sigmoid(-1e4), 0.0);
        assert_eq!(Algebra::sigmoid(1e4), 1.0);
        assert_eq!(Algebra::softplus(-1e4), 0.0);
        assert_eq!(Algebra::softplus(1e4), 1e4);
    }
}
