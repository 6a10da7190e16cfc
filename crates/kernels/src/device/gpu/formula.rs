//! One kernel for an activation, and one for its gradient, made of its formula: burn's operations would write the result of
//! each to memory. A formula with an infinite constant takes burn's operations all the same.

use super::{on_gpu, room, tensor, vectors};
use ::activation::{Algebra, Elementwise, erfc_and_gaussian};
use burn::Tensor;
use cubecl::ir::Scope;
use cubecl::prelude::*;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// A formula of one input over `x`.
pub(crate) fn pointwise<const D: usize>(f: Elementwise, x: &Tensor<D>) -> Option<Tensor<D>> {
    let count: usize = x.dims().iter().product();
    let (shape, x) = (x.dims(), on_gpu(x).filter(|_| f.is_finite())?);
    let y = room(&x, shape);
    if count > 0 {
        let (cubes, dim, width) = vectors(&x, count, count);
        let client = x.client.clone();
        pointwise_kernel::launch(
            &client,
            cubes,
            dim,
            width,
            x.into_buffer_arg(),
            y.clone().into_buffer_arg(),
            f,
        );
    }
    Some(tensor(y))
}

#[cube(launch)]
fn pointwise_kernel<N: Size>(
    x: &[Vector<f32, N>],
    y: &mut [Vector<f32, N>],
    #[comptime] f: Elementwise,
) {
    let i = ABSOLUTE_POS;
    if i < y.len() {
        let x = x[i];
        let mut result = Vector::<f32, N>::empty();
        #[unroll]
        for k in 0..N::value() {
            result.insert(k, value_of_one(x.extract(k), f.clone()));
        }
        y[i] = result;
    }
}

/// `gradient` · f′(`x`).
pub(crate) fn pointwise_gradient<const D: usize>(
    f: Elementwise,
    x: &Tensor<D>,
    gradient: &Tensor<D>,
) -> Option<Tensor<D>> {
    let count: usize = x.dims().iter().product();
    let (shape, x) = (x.dims(), on_gpu(x).filter(|_| f.is_finite())?);
    let gradient = on_gpu(gradient)?;
    let y = room(&x, shape);
    if count > 0 {
        let (cubes, dim, width) = vectors(&x, count, count);
        let client = x.client.clone();
        pointwise_gradient_kernel::launch(
            &client,
            cubes,
            dim,
            width,
            x.into_buffer_arg(),
            gradient.into_buffer_arg(),
            y.clone().into_buffer_arg(),
            f,
        );
    }
    Some(tensor(y))
}

#[cube(launch)]
fn pointwise_gradient_kernel<N: Size>(
    x: &[Vector<f32, N>],
    gradient: &[Vector<f32, N>],
    y: &mut [Vector<f32, N>],
    #[comptime] f: Elementwise,
) {
    let i = ABSOLUTE_POS;
    if i < y.len() {
        let x = x[i];
        let mut slopes = Vector::<f32, N>::empty();
        #[unroll]
        for k in 0..N::value() {
            slopes.insert(k, slope_of_one(x.extract(k), f.clone()));
        }
        y[i] = gradient[i] * slopes;
    }
}

/// A formula of gate and value, the halves of the rows of `x` `[rows, 2 · half]`: `[rows, half]`.
pub(crate) fn gated(f: Elementwise, x: &Tensor<2>) -> Option<Tensor<2>> {
    let [rows, width] = x.dims();
    let (half, x) = (width / 2, on_gpu(x).filter(|_| f.is_finite())?);
    let y = room(&x, [rows, half]);
    if rows * half > 0 {
        let (cubes, dim, width) = vectors(&x, rows * half, half);
        let client = x.client.clone();
        gated_kernel::launch(
            &client,
            cubes,
            dim,
            width,
            x.into_buffer_arg(),
            y.clone().into_buffer_arg(),
            half / width,
            f,
        );
    }
    Some(tensor(y))
}

#[cube(launch)]
fn gated_kernel<N: Size>(
    x: &[Vector<f32, N>],
    y: &mut [Vector<f32, N>],
    half: usize,
    #[comptime] f: Elementwise,
) {
    let i = ABSOLUTE_POS;
    if i < y.len() {
        let at = (i / half) * 2 * half + i % half;
        let gate = x[at];
        let value = x[at + half];
        let mut result = Vector::<f32, N>::empty();
        #[unroll]
        for k in 0..N::value() {
            result.insert(k, value_of_two(gate.extract(k), value.extract(k), f.clone()));
        }
        y[i] = result;
    }
}

/// The gradient by `x` `[rows, 2 · half]` for that by the output `[rows, half]`.
pub(crate) fn gated_gradient(
    f: Elementwise,
    x: &Tensor<2>,
    gradient: &Tensor<2>,
) -> Option<Tensor<2>> {
    let [rows, half] = gradient.dims();
    let (x, gradient) = (on_gpu(x).filter(|_| f.is_finite())?, on_gpu(gradient)?);
    let y = room(&x, [rows, 2 * half]);
    if rows * half > 0 {
        let (cubes, dim, width) = vectors(&x, rows * half, half);
        let client = x.client.clone();
        gated_gradient_kernel::launch(
            &client,
            cubes,
            dim,
            width,
            x.into_buffer_arg(),
            gradient.into_buffer_arg(),
            y.clone().into_buffer_arg(),
            half / width,
            f,
        );
    }
    Some(tensor(y))
}

#[cube(launch)]
fn gated_gradient_kernel<N: Size>(
    x: &[Vector<f32, N>],
    gradient: &[Vector<f32, N>],
    y: &mut [Vector<f32, N>],
    half: usize,
    #[comptime] f: Elementwise,
) {
    let i = ABSOLUTE_POS;
    if i < gradient.len() {
        let at = (i / half) * 2 * half + i % half;
        let gate = x[at];
        let value = x[at + half];
        let mut by_gate = Vector::<f32, N>::empty();
        let mut by_value = Vector::<f32, N>::empty();
        #[unroll]
        for k in 0..N::value() {
            let gate = gate.extract(k);
            let value = value.extract(k);
            by_gate.insert(k, slope_of_two(gate, value, 0usize, f.clone()));
            by_value.insert(k, slope_of_two(gate, value, 1usize, f.clone()));
        }
        y[at] = gradient[i] * by_gate;
        y[at + half] = gradient[i] * by_value;
    }
}

#[cube]
pub(super) fn value_of_one(x: f32, #[comptime] f: Elementwise) -> f32 {
    intrinsic!(|scope| f.eval(&[Code { scope, value: x }]).value)
}

#[cube]
pub(super) fn slope_of_one(x: f32, #[comptime] f: Elementwise) -> f32 {
    intrinsic!(|scope| f.derivative(&[Code { scope, value: x }], 0).value)
}

#[cube]
fn value_of_two(gate: f32, value: f32, #[comptime] f: Elementwise) -> f32 {
    intrinsic!(|scope| f.eval(&[gate, value].map(|value| Code { scope, value })).value)
}

#[cube]
fn slope_of_two(gate: f32, value: f32, #[comptime] by: usize, #[comptime] f: Elementwise) -> f32 {
    intrinsic!(|scope| f.derivative(&[gate, value].map(|value| Code { scope, value }), by).value)
}

/// A number in the code of a kernel: operations on it are written there.
#[derive(Clone)]
struct Code<'a> {
    scope: &'a Scope,
    value: NativeExpand<f32>,
}

/// One operation of a kernel's code.
macro_rules! operations {
    ($($name:ident($($operand:ident),+) = $result:expr;)+) => {
        $(
            #[cube]
            fn $name($($operand: f32),+) -> f32 {
                $result
            }
        )+
    };
}

operations! {
    add(a, b) = a + b;
    sub(a, b) = a - b;
    mul(a, b) = a * b;
    div(a, b) = a / b;
    negative(x) = -x;
    exponential(x) = x.exp();
    logarithm(x) = x.ln();
    logarithm_of_one_and(x) = x.log1p();
    root(x) = x.sqrt();
    sine(x) = x.sin();
    cosine(x) = x.cos();
    hyperbolic_tangent(x) = x.tanh();
    arc_tangent(x) = x.atan();
    error_function(x) = Erf::erf(x);
}

#[cube]
fn chosen(x: f32, threshold: f32, at_most: f32, above: f32) -> f32 {
    select(x <= threshold, at_most, above)
}

#[cube]
fn at_most(x: f32, bound: f32) -> f32 {
    select(x > bound, bound, x)
}

#[cube]
fn at_least(x: f32, bound: f32) -> f32 {
    select(x <= bound, bound, x)
}

impl Code<'_> {
    #[expect(clippy::cast_possible_truncation, reason = "kernels compute in single precision")]
    fn literal(&self, value: f64) -> NativeExpand<f32> {
        (value as f32).into()
    }

    fn apply(&self, f: impl FnOnce(&Scope, NativeExpand<f32>) -> NativeExpand<f32>) -> Self {
        Self { scope: self.scope, value: f(self.scope, self.value) }
    }
}

/// An operator of two numbers, and of a number and a constant.
macro_rules! operator {
    ($trait:ident, $method:ident) => {
        impl $trait for Code<'_> {
            type Output = Self;
            fn $method(self, other: Self) -> Self {
                self.apply(|scope, x| $method::expand(scope, x, other.value))
            }
        }

        impl $trait<f64> for Code<'_> {
            type Output = Self;
            fn $method(self, constant: f64) -> Self {
                let constant = self.literal(constant);
                self.apply(|scope, x| $method::expand(scope, x, constant))
            }
        }
    };
}

operator!(Add, add);
operator!(Sub, sub);
operator!(Mul, mul);
operator!(Div, div);

impl Neg for Code<'_> {
    type Output = Self;
    fn neg(self) -> Self {
        self.apply(negative::expand)
    }
}

impl Algebra for Code<'_> {
    fn constant(&self, value: f64) -> Self {
        Self { scope: self.scope, value: self.literal(value) }
    }

    fn exp(self) -> Self {
        self.apply(exponential::expand)
    }

    fn exp_m1(self) -> Self {
        // As over tensors: near zero the result keeps f32's absolute precision, not its relative.
        self.exp() - 1.0
    }

    fn ln(self) -> Self {
        self.apply(logarithm::expand)
    }

    fn ln_1p(self) -> Self {
        self.apply(logarithm_of_one_and::expand)
    }

    fn sqrt(self) -> Self {
        self.apply(root::expand)
    }

    fn sin(self) -> Self {
        self.apply(sine::expand)
    }

    fn cos(self) -> Self {
        self.apply(cosine::expand)
    }

    fn tanh(self) -> Self {
        self.apply(hyperbolic_tangent::expand)
    }

    fn atan(self) -> Self {
        self.apply(arc_tangent::expand)
    }

    fn erf(self) -> Self {
        self.apply(error_function::expand)
    }

    fn erfc(self) -> Self {
        erfc_and_gaussian(self).0
    }

    fn erfc_and_gaussian(self) -> (Self, Self) {
        erfc_and_gaussian(self)
    }

    fn sigmoid(self) -> Self {
        // e^(−x) is infinite where x is far below zero, and the quotient 0.
        self.constant(1.0) / ((-self).exp() + 1.0)
    }

    fn softplus(self) -> Self {
        let size = self.clone().select(0.0, self.clone(), -self.clone());
        self.max(0.0) + size.exp().ln_1p()
    }

    fn select(self, threshold: f64, at_most: Self, above: Self) -> Self {
        let threshold = self.literal(threshold);
        self.apply(|scope, x| chosen::expand(scope, x, threshold, at_most.value, above.value))
    }

    fn max(self, bound: f64) -> Self {
        let bound = self.literal(bound);
        self.apply(|scope, x| at_least::expand(scope, x, bound))
    }

    fn min(self, bound: f64) -> Self {
        let bound = self.literal(bound);
        self.apply(|scope, x| at_most::expand(scope, x, bound))
    }
}
