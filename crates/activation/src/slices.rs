//! Formulas over slices of f32 on the CPU, one SIMD register at a time.
//!
//! Where a register gives NaN, as for infinite inputs or where something overflows in single precision on the way
//! to a result that does not, the reference in double precision has the last word. For finite numbers of the size
//! that networks compute, that never happens, and all it costs is a comparison.

use crate::reference::Reference;
use crate::{Dual, Formula, GatedFormula, Lanes, Real};
use pulp::{Simd, WithSimd};

/// A function of one input, over any numbers.
pub(crate) trait Function {
    fn call<R: Real>(&self, x: R) -> R;
}

impl<T: Formula> Function for T {
    #[inline(always)]
    fn call<R: Real>(&self, x: R) -> R {
        self.eval(x)
    }
}

/// The nonlinearity of a gated formula's gate.
pub(crate) struct GateAlone<'a, T>(pub(crate) &'a T);

impl<T: GatedFormula> Function for GateAlone<'_, T> {
    #[inline(always)]
    fn call<R: Real>(&self, x: R) -> R {
        self.0.gate(x)
    }
}

/// Whether a number of the register is NaN.
#[inline(always)]
fn has_nan<S: Simd>(simd: S, x: S::f32s) -> bool {
    let numbers = simd.equal_f32s(x, x);
    if size_of::<S::m32s>() == size_of::<S::u32s>() && S::F32_LANES > 1 {
        // Without a branch for each number.
        let numbers: S::u32s = bytemuck::cast(numbers);
        let numbers: &[u32] = bytemuck::cast_slice(std::slice::from_ref(&numbers));
        return numbers.iter().fold(u32::MAX, |all, number| all & number) != u32::MAX;
    }
    simd.first_true_m32s(simd.not_m32s(numbers)) < S::F32_LANES
}

/// The numbers of a register.
fn lanes<T: bytemuck::NoUninit>(register: &T) -> &[f32] {
    bytemuck::cast_slice(std::slice::from_ref(register))
}

fn lanes_mut<T: bytemuck::Pod>(register: &mut T) -> &mut [f32] {
    bytemuck::cast_slice_mut(std::slice::from_mut(register))
}

/// Puts the reference's values in the place of NaN.
#[cold]
#[inline(never)]
#[expect(clippy::cast_possible_truncation, reason = "rounding to f32 is meant")]
fn mend_values(f: &impl Function, x: &[f32], y: &mut [f32]) {
    for (x, y) in x.iter().zip(y).filter(|(_, y)| y.is_nan()) {
        *y = f.call(Reference(f64::from(*x))).0 as f32;
    }
}

/// Puts the reference's slopes in the place of NaN.
#[cold]
#[inline(never)]
#[expect(clippy::cast_possible_truncation, reason = "rounding to f32 is meant")]
fn mend_slopes(f: &impl Function, x: &[f32], slopes: &mut [f32]) {
    for (x, slope) in x.iter().zip(slopes).filter(|(_, slope)| slope.is_nan()) {
        *slope = f.call(Dual::variable(Reference(f64::from(*x)))).derivative.0 as f32;
    }
}

/// As [`mend_values`].
#[cold]
#[inline(never)]
#[expect(clippy::cast_possible_truncation, reason = "rounding to f32 is meant")]
fn mend_gated_values(f: &impl GatedFormula, gate: &[f32], value: &[f32], y: &mut [f32]) {
    for ((gate, value), y) in gate.iter().zip(value).zip(y).filter(|(_, y)| y.is_nan()) {
        *y = f.eval(Reference(f64::from(*gate)), Reference(f64::from(*value))).0 as f32;
    }
}

/// As [`mend_slopes`], by gate and by value.
#[cold]
#[inline(never)]
#[expect(clippy::cast_possible_truncation, reason = "rounding to f32 is meant")]
fn mend_gated_slopes(
    f: &impl GatedFormula,
    (gate, value): (&[f32], &[f32]),
    (by_gate, by_value): (&mut [f32], &mut [f32]),
) {
    for ((gate, value), (by_gate, by_value)) in
        gate.iter().zip(value).zip(by_gate.iter_mut().zip(by_value))
    {
        let (gate, value) = (Reference(f64::from(*gate)), Reference(f64::from(*value)));
        if by_gate.is_nan() {
            *by_gate = f.eval(Dual::variable(gate), Dual::fixed(value)).derivative.0 as f32;
        }
        if by_value.is_nan() {
            *by_value = f.eval(Dual::fixed(gate), Dual::variable(value)).derivative.0 as f32;
        }
    }
}

#[inline(always)]
fn value<S: Simd>(simd: S, f: &impl Function, x: S::f32s) -> S::f32s {
    let mut y = f.call(Lanes::new(simd, x)).into_inner();
    if has_nan(simd, y) {
        mend_values(f, lanes(&x), lanes_mut(&mut y));
    }
    y
}

#[inline(always)]
fn slope<S: Simd>(simd: S, f: &impl Function, x: S::f32s) -> S::f32s {
    let mut slope = f.call(Dual::variable(Lanes::new(simd, x))).derivative.into_inner();
    if has_nan(simd, slope) {
        mend_slopes(f, lanes(&x), lanes_mut(&mut slope));
    }
    slope
}

/// y = f(x).
pub(crate) struct Forward<'a, F> {
    pub(crate) f: &'a F,
    pub(crate) x: &'a [f32],
    pub(crate) y: &'a mut [f32],
}

impl<F: Function> WithSimd for Forward<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { f, x, y } = self;
        assert_eq!(x.len(), y.len(), "one output for each input");
        let (x, x_rest) = S::as_simd_f32s(x);
        let (y, y_rest) = S::as_mut_simd_f32s(y);
        for (x, y) in x.iter().zip(y) {
            *y = value(simd, f, *x);
        }
        if !x_rest.is_empty() {
            let x = simd.partial_load_f32s(x_rest);
            simd.partial_store_f32s(y_rest, value(simd, f, x));
        }
    }
}

/// gradient · f′(x), in the place of the gradient.
pub(crate) struct Backward<'a, F> {
    pub(crate) f: &'a F,
    pub(crate) x: &'a [f32],
    pub(crate) gradient: &'a mut [f32],
}

impl<F: Function> WithSimd for Backward<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { f, x, gradient } = self;
        assert_eq!(x.len(), gradient.len(), "one gradient for each input");
        let (x, x_rest) = S::as_simd_f32s(x);
        let (gradient, gradient_rest) = S::as_mut_simd_f32s(gradient);
        for (x, gradient) in x.iter().zip(gradient) {
            *gradient = simd.mul_f32s(*gradient, slope(simd, f, *x));
        }
        if !x_rest.is_empty() {
            let slope = slope(simd, f, simd.partial_load_f32s(x_rest));
            let gradient = simd.partial_load_f32s(gradient_rest);
            simd.partial_store_f32s(gradient_rest, simd.mul_f32s(gradient, slope));
        }
    }
}

#[inline(always)]
fn value_of<S: Simd>(simd: S, f: &impl GatedFormula, gate: S::f32s, value: S::f32s) -> S::f32s {
    let mut y = f.eval(Lanes::new(simd, gate), Lanes::new(simd, value)).into_inner();
    if has_nan(simd, y) {
        mend_gated_values(f, lanes(&gate), lanes(&value), lanes_mut(&mut y));
    }
    y
}

/// y = g(gate) · value.
pub(crate) struct GatedForward<'a, F> {
    pub(crate) f: &'a F,
    pub(crate) gate: &'a [f32],
    pub(crate) value: &'a [f32],
    pub(crate) y: &'a mut [f32],
}

impl<F: GatedFormula> WithSimd for GatedForward<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { f, gate, value, y } = self;
        assert!(gate.len() == y.len() && value.len() == y.len(), "inputs and output of one length");
        let (gate, gate_rest) = S::as_simd_f32s(gate);
        let (value, value_rest) = S::as_simd_f32s(value);
        let (y, y_rest) = S::as_mut_simd_f32s(y);
        for ((gate, value), y) in gate.iter().zip(value).zip(y) {
            *y = value_of(simd, f, *gate, *value);
        }
        if !y_rest.is_empty() {
            let gate = simd.partial_load_f32s(gate_rest);
            let y = value_of(simd, f, gate, simd.partial_load_f32s(value_rest));
            simd.partial_store_f32s(y_rest, y);
        }
    }
}

#[inline(always)]
fn gradients<S: Simd>(
    simd: S,
    f: &impl GatedFormula,
    gate: S::f32s,
    value: S::f32s,
    gradient: S::f32s,
) -> (S::f32s, S::f32s) {
    let (g, v) = (Lanes::new(simd, gate), Lanes::new(simd, value));
    let mut by_gate = f.eval(Dual::variable(g), Dual::fixed(v)).derivative.into_inner();
    let mut by_value = f.eval(Dual::fixed(g), Dual::variable(v)).derivative.into_inner();
    if has_nan(simd, by_gate) || has_nan(simd, by_value) {
        let slopes = (lanes_mut(&mut by_gate), lanes_mut(&mut by_value));
        mend_gated_slopes(f, (lanes(&gate), lanes(&value)), slopes);
    }
    (simd.mul_f32s(by_gate, gradient), simd.mul_f32s(by_value, gradient))
}

/// The gradients by gate and value, in their places.
pub(crate) struct GatedBackward<'a, F> {
    pub(crate) f: &'a F,
    pub(crate) gate: &'a mut [f32],
    pub(crate) value: &'a mut [f32],
    pub(crate) gradient: &'a [f32],
}

impl<F: GatedFormula> WithSimd for GatedBackward<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { f, gate, value, gradient } = self;
        let n = gradient.len();
        assert!(gate.len() == n && value.len() == n, "inputs and gradient of one length");
        let (gate, gate_rest) = S::as_mut_simd_f32s(gate);
        let (value, value_rest) = S::as_mut_simd_f32s(value);
        let (gradient, gradient_rest) = S::as_simd_f32s(gradient);
        for ((gate, value), gradient) in gate.iter_mut().zip(value).zip(gradient) {
            (*gate, *value) = gradients(simd, f, *gate, *value, *gradient);
        }
        if !gradient_rest.is_empty() {
            let (by_gate, by_value) = gradients(
                simd,
                f,
                simd.partial_load_f32s(gate_rest),
                simd.partial_load_f32s(value_rest),
                simd.partial_load_f32s(gradient_rest),
            );
            simd.partial_store_f32s(gate_rest, by_gate);
            simd.partial_store_f32s(value_rest, by_value);
        }
    }
}
