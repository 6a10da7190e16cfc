use crate::Real;
use std::f64::consts::FRAC_2_SQRT_PI;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// A value with its derivative by one input (forward-mode differentiation, Clifford 1873).
///
/// `R` is any interpretation of [`Real`], so that the derivative of a formula is as exact, and as
/// fast, as its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Dual<R> {
    /// f(x).
    pub value: R,
    /// f′(x).
    pub derivative: R,
}

impl<R: Real> Dual<R> {
    /// The input that is differentiated by: derivative 1.
    #[inline(always)]
    pub fn variable(value: R) -> Self {
        let derivative = value.constant(1.0);
        Self { value, derivative }
    }

    /// An input that is held fixed: derivative 0.
    #[inline(always)]
    pub fn fixed(value: R) -> Self {
        let derivative = value.constant(0.0);
        Self { value, derivative }
    }

    /// The chain rule: `value` = f(x), and `slope` = f′(x).
    #[inline(always)]
    fn chain(self, value: R, slope: R) -> Self {
        Self { value, derivative: slope.chain_product(self.derivative) }
    }
}

impl<R: Real> Add for Dual<R> {
    type Output = Self;
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self { value: self.value + other.value, derivative: self.derivative + other.derivative }
    }
}

impl<R: Real> Sub for Dual<R> {
    type Output = Self;
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        Self { value: self.value - other.value, derivative: self.derivative - other.derivative }
    }
}

impl<R: Real> Mul for Dual<R> {
    type Output = Self;
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        Self {
            value: self.value.clone() * other.value.clone(),
            derivative: self
                .derivative
                .chain_product_add(other.value, self.value.chain_product(other.derivative)),
        }
    }
}

impl<R: Real> Div for Dual<R> {
    type Output = Self;
    #[inline(always)]
    fn div(self, other: Self) -> Self {
        let quotient = self.value / other.value.clone();
        Self {
            value: quotient.clone(),
            derivative: (self.derivative - quotient.chain_product(other.derivative)) / other.value,
        }
    }
}

impl<R: Real> Neg for Dual<R> {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        Self { value: -self.value, derivative: -self.derivative }
    }
}

impl<R: Real> Add<f64> for Dual<R> {
    type Output = Self;
    #[inline(always)]
    fn add(self, constant: f64) -> Self {
        Self { value: self.value + constant, derivative: self.derivative }
    }
}

impl<R: Real> Sub<f64> for Dual<R> {
    type Output = Self;
    #[inline(always)]
    fn sub(self, constant: f64) -> Self {
        Self { value: self.value - constant, derivative: self.derivative }
    }
}

impl<R: Real> Mul<f64> for Dual<R> {
    type Output = Self;
    #[inline(always)]
    fn mul(self, constant: f64) -> Self {
        Self { value: self.value * constant, derivative: self.derivative * constant }
    }
}

impl<R: Real> Div<f64> for Dual<R> {
    type Output = Self;
    #[inline(always)]
    fn div(self, constant: f64) -> Self {
        Self { value: self.value / constant, derivative: self.derivative / constant }
    }
}

impl<R: Real> Real for Dual<R> {
    #[inline(always)]
    fn constant(&self, value: f64) -> Self {
        Self::fixed(self.value.constant(value))
    }

    #[inline(always)]
    fn exp(self) -> Self {
        let value = self.value.clone().exp();
        self.chain(value.clone(), value)
    }

    #[inline(always)]
    fn exp_m1(self) -> Self {
        let value = self.value.clone().exp_m1();
        self.chain(value.clone(), value + 1.0)
    }

    #[inline(always)]
    fn ln(self) -> Self {
        let slope = self.value.constant(1.0) / self.value.clone();
        let value = self.value.clone().ln();
        self.chain(value, slope)
    }

    #[inline(always)]
    fn ln_1p(self) -> Self {
        let slope = self.value.constant(1.0) / (self.value.clone() + 1.0);
        let value = self.value.clone().ln_1p();
        self.chain(value, slope)
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        let value = self.value.clone().sqrt();
        let slope = value.constant(0.5) / value.clone();
        self.chain(value, slope)
    }

    #[inline(always)]
    fn sin(self) -> Self {
        let (value, slope) = (self.value.clone().sin(), self.value.clone().cos());
        self.chain(value, slope)
    }

    #[inline(always)]
    fn cos(self) -> Self {
        let (value, slope) = (self.value.clone().cos(), -self.value.clone().sin());
        self.chain(value, slope)
    }

    #[inline(always)]
    fn tanh(self) -> Self {
        let value = self.value.clone().tanh();
        let slope = -value.clone().square() + 1.0;
        self.chain(value, slope)
    }

    #[inline(always)]
    fn erf(self) -> Self {
        let value = self.value.clone().erf();
        let slope = (-self.value.clone().square()).exp() * FRAC_2_SQRT_PI;
        self.chain(value, slope)
    }

    #[inline(always)]
    fn erfc(self) -> Self {
        let (value, gaussian) = self.value.clone().erfc_and_gaussian();
        self.chain(value, gaussian * -FRAC_2_SQRT_PI)
    }

    #[inline(always)]
    fn sigmoid(self) -> Self {
        let value = self.value.clone().sigmoid();
        let slope = value.clone() * (-value.clone() + 1.0);
        self.chain(value, slope)
    }

    #[inline(always)]
    fn softplus(self) -> Self {
        let (value, slope) = (self.value.clone().softplus(), self.value.clone().sigmoid());
        self.chain(value, slope)
    }

    #[inline(always)]
    fn select(self, threshold: f64, at_most: Self, above: Self) -> Self {
        Self {
            value: self.value.clone().select(threshold, at_most.value, above.value),
            derivative: self.value.select(threshold, at_most.derivative, above.derivative),
        }
    }

    #[inline(always)]
    fn min(self, bound: f64) -> Self {
        let zero = self.value.constant(0.0);
        Self {
            value: self.value.clone().min(bound),
            derivative: self.value.select(bound, self.derivative, zero),
        }
    }
}
