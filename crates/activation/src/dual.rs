use crate::Algebra;
use std::f64::consts::FRAC_2_SQRT_PI;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// A value with its derivative by one input or number (forward-mode differentiation, Clifford 1873).
///
/// `R` is any interpretation of [`Algebra`], so that the derivative of a formula is as exact, and as
/// fast, as its value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dual<R> {
    /// f(x).
    pub value: R,
    /// f′(x); none where the value does not depend on what is differentiated by, so that nothing is computed for it.
    slope: Option<R>,
}

impl<R: Algebra> Dual<R> {
    /// What is differentiated by: derivative 1.
    #[inline(always)]
    pub fn variable(value: R) -> Self {
        let slope = value.constant(1.0);
        Self { value, slope: Some(slope) }
    }

    /// What is held fixed: derivative 0.
    #[inline(always)]
    pub fn fixed(value: R) -> Self {
        Self { value, slope: None }
    }

    /// f′(x).
    #[inline(always)]
    pub fn derivative(&self) -> R {
        self.slope.clone().unwrap_or_else(|| self.value.constant(0.0))
    }

    /// The chain rule: `value` = f(x), and `slope` = f′(x), which is computed only where it is needed.
    #[inline(always)]
    fn chain(self, value: R, slope: impl FnOnce() -> R) -> Self {
        Self { value, slope: self.slope.map(|inner| slope().chain_product(inner)) }
    }
}

impl<R: Algebra> Add for Dual<R> {
    type Output = Self;
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        let slope = match (self.slope, other.slope) {
            (Some(a), Some(b)) => Some(a + b),
            (a, b) => a.or(b),
        };
        Self { value: self.value + other.value, slope }
    }
}

impl<R: Algebra> Sub for Dual<R> {
    type Output = Self;
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        let slope = match (self.slope, other.slope) {
            (Some(a), Some(b)) => Some(a - b),
            (None, Some(b)) => Some(-b),
            (a, None) => a,
        };
        Self { value: self.value - other.value, slope }
    }
}

impl<R: Algebra> Mul for Dual<R> {
    type Output = Self;
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        let value = self.value.clone() * other.value.clone();
        let slope = match (self.slope, other.slope) {
            (Some(a), Some(b)) => {
                Some(a.chain_product_add(other.value, self.value.chain_product(b)))
            }
            (Some(a), None) => Some(a.chain_product(other.value)),
            (None, Some(b)) => Some(self.value.chain_product(b)),
            (None, None) => None,
        };
        Self { value, slope }
    }
}

impl<R: Algebra> Div for Dual<R> {
    type Output = Self;
    #[inline(always)]
    fn div(self, other: Self) -> Self {
        let quotient = self.value / other.value.clone();
        let rest = other.slope.map(|slope| quotient.clone().chain_product(slope));
        let numerator = match (self.slope, rest) {
            (Some(a), Some(b)) => Some(a - b),
            (None, Some(b)) => Some(-b),
            (a, None) => a,
        };
        Self { value: quotient, slope: numerator.map(|numerator| numerator / other.value) }
    }
}

impl<R: Algebra> Neg for Dual<R> {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        Self { value: -self.value, slope: self.slope.map(|slope| -slope) }
    }
}

impl<R: Algebra> Add<f64> for Dual<R> {
    type Output = Self;
    #[inline(always)]
    fn add(self, constant: f64) -> Self {
        Self { value: self.value + constant, slope: self.slope }
    }
}

impl<R: Algebra> Sub<f64> for Dual<R> {
    type Output = Self;
    #[inline(always)]
    fn sub(self, constant: f64) -> Self {
        Self { value: self.value - constant, slope: self.slope }
    }
}

impl<R: Algebra> Mul<f64> for Dual<R> {
    type Output = Self;
    #[inline(always)]
    fn mul(self, constant: f64) -> Self {
        Self { value: self.value * constant, slope: self.slope.map(|slope| slope * constant) }
    }
}

impl<R: Algebra> Div<f64> for Dual<R> {
    type Output = Self;
    #[inline(always)]
    fn div(self, constant: f64) -> Self {
        Self { value: self.value / constant, slope: self.slope.map(|slope| slope / constant) }
    }
}

impl<R: Algebra> Algebra for Dual<R> {
    #[inline(always)]
    fn constant(&self, value: f64) -> Self {
        Self::fixed(self.value.constant(value))
    }

    #[inline(always)]
    fn exp(self) -> Self {
        let value = self.value.clone().exp();
        self.chain(value.clone(), || value)
    }

    #[inline(always)]
    fn exp_m1(self) -> Self {
        let (x, value) = (self.value.clone(), self.value.clone().exp_m1());
        self.chain(value.clone(), || R::slope_of_exp_m1(x, value))
    }

    #[inline(always)]
    fn ln(self) -> Self {
        let x = self.value.clone();
        self.chain(x.clone().ln(), || x.constant(1.0) / x)
    }

    #[inline(always)]
    fn ln_1p(self) -> Self {
        let x = self.value.clone();
        self.chain(x.clone().ln_1p(), || x.constant(1.0) / (x + 1.0))
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        let value = self.value.clone().sqrt();
        self.chain(value.clone(), || value.constant(0.5) / value)
    }

    #[inline(always)]
    fn sin(self) -> Self {
        let x = self.value.clone();
        self.chain(x.clone().sin(), || x.cos())
    }

    #[inline(always)]
    fn cos(self) -> Self {
        let x = self.value.clone();
        self.chain(x.clone().cos(), || -x.sin())
    }

    #[inline(always)]
    fn tanh(self) -> Self {
        let (x, value) = (self.value.clone(), self.value.clone().tanh());
        self.chain(value.clone(), || R::slope_of_tanh(x, value))
    }

    #[inline(always)]
    fn atan(self) -> Self {
        let x = self.value.clone();
        self.chain(x.clone().atan(), || x.constant(1.0) / (x.square() + 1.0))
    }

    #[inline(always)]
    fn erf(self) -> Self {
        let x = self.value.clone();
        self.chain(x.clone().erf(), || (-x.square()).exp() * FRAC_2_SQRT_PI)
    }

    #[inline(always)]
    fn erfc(self) -> Self {
        let (value, gaussian) = self.value.clone().erfc_and_gaussian();
        self.chain(value, || gaussian * -FRAC_2_SQRT_PI)
    }

    #[inline(always)]
    fn sigmoid(self) -> Self {
        let (x, value) = (self.value.clone(), self.value.clone().sigmoid());
        self.chain(value.clone(), || R::slope_of_sigmoid(x, value))
    }

    #[inline(always)]
    fn softplus(self) -> Self {
        let x = self.value.clone();
        self.chain(x.clone().softplus(), || x.sigmoid())
    }

    #[inline(always)]
    fn select(self, threshold: f64, at_most: Self, above: Self) -> Self {
        let slope = match (at_most.slope, above.slope) {
            (None, None) => None,
            (a, b) => {
                let or_zero = |slope: Option<R>| slope.unwrap_or_else(|| self.value.constant(0.0));
                Some(self.value.clone().select(threshold, or_zero(a), or_zero(b)))
            }
        };
        Self { value: self.value.select(threshold, at_most.value, above.value), slope }
    }

    #[inline(always)]
    fn min(self, bound: f64) -> Self {
        let x = self.value.clone();
        let slope = self.slope.map(|slope| x.clone().select(bound, slope, x.constant(0.0)));
        Self { value: self.value.min(bound), slope }
    }
}
