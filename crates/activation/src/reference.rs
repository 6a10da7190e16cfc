//! Double precision in which a factor that vanishes wins: the reference of every formula.

use crate::Algebra;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// A double-precision number with 0 · ±∞ = ±0: the interpretation of a formula that says what is right.
///
/// In IEEE 754, 0 · ∞ is NaN. In an activation it is nearly always a factor that vanishes exponentially, or one
/// that a hyper-parameter sets to 0, times an input: x · σ(x) tends to −0 for x → −∞, and 0 · x is 0 for every x
/// that a network computes. Where a formula is read as `Reference`, it has the limits that it ought to have.
/// (∞ − ∞, ∞/∞ and 0/0 stay NaN. A limit that this gets wrong is found by the
/// [conformance](crate::conformance) checks.)
///
/// Functions are those of the `libm` crate, the same on every platform.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub(crate) struct Reference<const EXACT: bool = true>(pub(crate) f64);

/// a · b with 0 · ±∞ = ±0.
fn product(a: f64, b: f64) -> f64 {
    let y = a * b;
    if y.is_nan() && !a.is_nan() && !b.is_nan() {
        0.0_f64.copysign(a.signum() * b.signum())
    } else {
        y
    }
}

macro_rules! arithmetic {
    ($($trait:ident, $method:ident, $with:expr;)*) => {$(
        impl<const EXACT: bool> $trait for Reference<EXACT> {
            type Output = Self;

            fn $method(self, other: Self) -> Self {
                Self($with(self.0, other.0))
            }
        }

        impl<const EXACT: bool> $trait<f64> for Reference<EXACT> {
            type Output = Self;

            fn $method(self, other: f64) -> Self {
                Self($with(self.0, other))
            }
        }
    )*};
}

arithmetic! {
    Add, add, |a, b| a + b;
    Sub, sub, |a, b| a - b;
    Mul, mul, product;
    Div, div, |a, b| a / b;
}

impl<const EXACT: bool> Neg for Reference<EXACT> {
    type Output = Self;

    fn neg(self) -> Self {
        Self(-self.0)
    }
}

macro_rules! functions {
    ($($name:ident)*) => {$(
        fn $name(self) -> Self {
            Self(Algebra::$name(self.0))
        }
    )*};
}

impl<const EXACT: bool> Algebra for Reference<EXACT> {
    fn constant(&self, value: f64) -> Self {
        Self(value)
    }

    functions! { exp exp_m1 ln ln_1p sqrt sin cos tanh atan erf erfc sigmoid softplus }

    fn slope_of_exp_m1(x: Self, value: Self) -> Self {
        if EXACT { x.exp() } else { value + 1.0 }
    }

    fn slope_of_sigmoid(x: Self, value: Self) -> Self {
        // 1 − σ(x) is σ(−x).
        if EXACT { value * (-x).sigmoid() } else { value * (-value + 1.0) }
    }

    fn slope_of_tanh(x: Self, value: Self) -> Self {
        // 1 − tanh(x)² is 4 σ(2x) σ(−2x).
        let twice = x * 2.0;
        if EXACT { twice.sigmoid() * (-twice).sigmoid() * 4.0 } else { -value.square() + 1.0 }
    }

    fn select(self, threshold: f64, at_most: Self, above: Self) -> Self {
        if self.0 <= threshold { at_most } else { above }
    }

    fn min(self, bound: f64) -> Self {
        Self(Algebra::min(self.0, bound))
    }

    /// 0 where one of them is 0, whatever the other is.
    fn chain_product(self, other: Self) -> Self {
        if self.0 == 0.0 || other.0 == 0.0 { Self(0.0) } else { Self(self.0 * other.0) }
    }

    fn chain_product_add(self, factor: Self, term: Self) -> Self {
        self.chain_product(factor) + term
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dual;

    #[test]
    fn zero_times_infinity_is_zero_with_the_sign_of_the_product() {
        for (a, b, negative) in [
            (0.0, f64::INFINITY, false),
            (0.0, f64::NEG_INFINITY, true),
            (-0.0, f64::INFINITY, true),
            (f64::NEG_INFINITY, -0.0, false),
        ] {
            let y = (Reference::<true>(a) * Reference(b)).0;
            assert!(y == 0.0 && y.is_sign_negative() == negative, "{a} · {b} = {y}");
            let y = (Reference::<true>(a) * b).0;
            assert!(y == 0.0 && y.is_sign_negative() == negative, "{a} · {b} = {y}");
        }
        assert!((Reference::<true>(0.0) * f64::NAN).0.is_nan());
        assert!((Reference::<true>(f64::INFINITY) - f64::INFINITY).0.is_nan());
        assert_eq!((Reference::<true>(2.0) * f64::INFINITY).0, f64::INFINITY);
    }

    /// d(u · v) at u = 0, v = NaN by v is u.
    #[test]
    fn what_is_held_fixed_adds_nothing_to_a_derivative() {
        let (u, v) =
            (Dual::fixed(Reference::<true>(0.0)), Dual::variable(Reference::<true>(f64::NAN)));
        let y = u * v;
        assert!(y.value.0.is_nan());
        assert_eq!(y.derivative().0, 0.0);
        let (u, v) =
            (Dual::fixed(Reference::<true>(3.0)), Dual::variable(Reference::<true>(f64::INFINITY)));
        assert_eq!((u * v).derivative().0, 3.0);
    }

    #[test]
    fn a_function_that_is_flat_stays_flat_where_its_argument_overflows() {
        for x in [1e200, f64::INFINITY] {
            let x = Dual::variable(Reference::<true>(x));
            assert_eq!((x * x.square()).tanh().derivative().0, 0.0);
            assert_eq!((-x.square()).exp().derivative().0, 0.0);
        }
    }
}
