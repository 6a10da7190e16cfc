//! Formulas over slices of f32 on the CPU, one SIMD register at a time.

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
            *y = f.call(Lanes::new(simd, *x)).into_inner();
        }
        if !x_rest.is_empty() {
            let x = simd.partial_load_f32s(x_rest);
            simd.partial_store_f32s(y_rest, f.call(Lanes::new(simd, x)).into_inner());
        }
    }
}

#[inline(always)]
fn slope<S: Simd>(simd: S, f: &impl Function, x: S::f32s) -> S::f32s {
    f.call(Dual::variable(Lanes::new(simd, x))).derivative.into_inner()
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
    f.eval(Lanes::new(simd, gate), Lanes::new(simd, value)).into_inner()
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
    let (gate, value) = (Lanes::new(simd, gate), Lanes::new(simd, value));
    let by_gate = f.eval(Dual::variable(gate), Dual::fixed(value)).derivative;
    let by_value = f.eval(Dual::fixed(gate), Dual::variable(value)).derivative;
    let gradient = Lanes::new(simd, gradient);
    ((by_gate * gradient).into_inner(), (by_value * gradient).into_inner())
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
