//! Formulas over slices of f32 on the CPU, one SIMD register at a time.
//!
//! Where a register gives NaN, as for infinite inputs or where something overflows in single precision on the way
//! to a result that does not, the reference in double precision has the last word. For finite numbers of the size
//! that networks compute, that never happens, and all it costs is a multiply-add.

use crate::reference::Reference;
use crate::watch::Watch;
use crate::{Dual, Lanes, Real};
use pulp::{Simd, WithSimd};

/// A function of one input, over any numbers. It is cloned before a loop, which then has its numbers at hand.
pub(crate) trait Function: Clone {
    fn call<R: Real>(&self, x: R) -> R;
}

/// A function of gate and value, as [`Function`].
pub(crate) trait GatedFunction: Clone {
    fn call<R: Real>(&self, gate: R, value: R) -> R;
}

/// Registers whose slopes are computed before gradients are multiplied by them: until then they can be mended.
const BLOCK: usize = 8;

/// Puts the reference's values in the place of NaN.
#[cold]
#[inline(never)]
#[expect(clippy::cast_possible_truncation, reason = "rounding to f32 is meant")]
fn mend_values(f: &impl Function, x: &[f32], y: &mut [f32]) {
    for (x, y) in x.iter().zip(y).filter(|(_, y)| y.is_nan()) {
        *y = f.call(Reference::<true>(f64::from(*x))).0 as f32;
    }
}

/// Puts the reference's slopes in the place of NaN.
#[cold]
#[inline(never)]
#[expect(clippy::cast_possible_truncation, reason = "rounding to f32 is meant")]
fn mend_slopes(f: &impl Function, x: &[f32], slopes: &mut [f32]) {
    for (x, slope) in x.iter().zip(slopes).filter(|(_, slope)| slope.is_nan()) {
        *slope = f.call(Dual::variable(Reference::<true>(f64::from(*x)))).derivative().0 as f32;
    }
}

/// As [`mend_values`].
#[cold]
#[inline(never)]
#[expect(clippy::cast_possible_truncation, reason = "rounding to f32 is meant")]
fn mend_gated_values(f: &impl GatedFunction, gate: &[f32], value: &[f32], y: &mut [f32]) {
    for ((gate, value), y) in gate.iter().zip(value).zip(y).filter(|(_, y)| y.is_nan()) {
        *y = f.call(Reference::<true>(f64::from(*gate)), Reference::<true>(f64::from(*value))).0
            as f32;
    }
}

/// As [`mend_slopes`], by gate and by value.
#[cold]
#[inline(never)]
#[expect(clippy::cast_possible_truncation, reason = "rounding to f32 is meant")]
fn mend_gated_slopes(
    f: &impl GatedFunction,
    (gate, value): (&[f32], &[f32]),
    (by_gate, by_value): (&mut [f32], &mut [f32]),
) {
    for ((gate, value), (by_gate, by_value)) in
        gate.iter().zip(value).zip(by_gate.iter_mut().zip(by_value))
    {
        let (gate, value) =
            (Reference::<true>(f64::from(*gate)), Reference::<true>(f64::from(*value)));
        if by_gate.is_nan() {
            *by_gate = f.call(Dual::variable(gate), Dual::fixed(value)).derivative().0 as f32;
        }
        if by_value.is_nan() {
            *by_value = f.call(Dual::fixed(gate), Dual::variable(value)).derivative().0 as f32;
        }
    }
}

#[inline(always)]
fn value<S: Simd>(simd: S, f: &impl Function, x: S::f32s) -> S::f32s {
    f.call(Lanes::new(simd, x)).into_inner()
}

#[inline(always)]
fn slope<S: Simd>(simd: S, f: &impl Function, x: S::f32s) -> S::f32s {
    f.call(Dual::variable(Lanes::new(simd, x))).derivative().into_inner()
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
        let Self { f, x: xs, y: ys } = self;
        let f = &f.clone();
        assert_eq!(xs.len(), ys.len(), "one output for each input");
        let (x, x_rest) = S::as_simd_f32s(xs);
        let (y, y_rest) = S::as_mut_simd_f32s(ys);
        let mut watch = Watch::<S>::new(simd);
        for (x, y) in x.iter().zip(y) {
            *y = value(simd, f, *x);
            watch.look(*y);
        }
        if !x_rest.is_empty() {
            let y = value(simd, f, simd.partial_load_f32s(x_rest));
            watch.look(y);
            simd.partial_store_f32s(y_rest, y);
        }
        if watch.is_alarmed() {
            mend_values(f, xs, ys);
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
        let Self { f, x: xs, gradient: gradients } = self;
        let f = &f.clone();
        assert_eq!(xs.len(), gradients.len(), "one gradient for each input");
        let (x, x_rest) = S::as_simd_f32s(xs);
        let (gradient, gradient_rest) = S::as_mut_simd_f32s(gradients);
        for (x, gradient) in x.chunks(BLOCK).zip(gradient.chunks_mut(BLOCK)) {
            let mut watch = Watch::<S>::new(simd);
            let mut slopes = [simd.splat_f32s(0.0); BLOCK];
            for (x, slope_of) in x.iter().zip(&mut slopes) {
                *slope_of = slope(simd, f, *x);
                watch.look(*slope_of);
            }
            if watch.is_alarmed() {
                mend_slopes(f, bytemuck::cast_slice(x), bytemuck::cast_slice_mut(&mut slopes));
            }
            for (gradient, slope) in gradient.iter_mut().zip(&slopes) {
                *gradient = simd.mul_f32s(*gradient, *slope);
            }
        }
        if !x_rest.is_empty() {
            let mut slope = slope(simd, f, simd.partial_load_f32s(x_rest));
            let mut watch = Watch::<S>::new(simd);
            watch.look(slope);
            if watch.is_alarmed() {
                let slope = bytemuck::cast_slice_mut(std::slice::from_mut(&mut slope));
                mend_slopes(f, x_rest, slope);
            }
            let gradient = simd.partial_load_f32s(gradient_rest);
            simd.partial_store_f32s(gradient_rest, simd.mul_f32s(gradient, slope));
        }
    }
}

#[inline(always)]
fn value_of<S: Simd>(simd: S, f: &impl GatedFunction, gate: S::f32s, value: S::f32s) -> S::f32s {
    f.call(Lanes::new(simd, gate), Lanes::new(simd, value)).into_inner()
}

/// y = g(gate) · value.
pub(crate) struct GatedForward<'a, F> {
    pub(crate) f: &'a F,
    pub(crate) gate: &'a [f32],
    pub(crate) value: &'a [f32],
    pub(crate) y: &'a mut [f32],
}

impl<F: GatedFunction> WithSimd for GatedForward<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { f, gate: gates, value: values, y: ys } = self;
        let f = &f.clone();
        assert!(
            gates.len() == ys.len() && values.len() == ys.len(),
            "inputs and output of one length"
        );
        let (gate, gate_rest) = S::as_simd_f32s(gates);
        let (value, value_rest) = S::as_simd_f32s(values);
        let (y, y_rest) = S::as_mut_simd_f32s(ys);
        let mut watch = Watch::<S>::new(simd);
        for ((gate, value), y) in gate.iter().zip(value).zip(y) {
            *y = value_of(simd, f, *gate, *value);
            watch.look(*y);
        }
        if !y_rest.is_empty() {
            let gate = simd.partial_load_f32s(gate_rest);
            let y = value_of(simd, f, gate, simd.partial_load_f32s(value_rest));
            watch.look(y);
            simd.partial_store_f32s(y_rest, y);
        }
        if watch.is_alarmed() {
            mend_gated_values(f, gates, values, ys);
        }
    }
}

/// Slopes by gate and by value.
#[inline(always)]
fn slopes<S: Simd>(
    simd: S,
    f: &impl GatedFunction,
    gate: S::f32s,
    value: S::f32s,
) -> (S::f32s, S::f32s) {
    let (gate, value) = (Lanes::new(simd, gate), Lanes::new(simd, value));
    let by_gate = f.call(Dual::variable(gate), Dual::fixed(value)).derivative();
    let by_value = f.call(Dual::fixed(gate), Dual::variable(value)).derivative();
    (by_gate.into_inner(), by_value.into_inner())
}

/// The gradients by gate and value, in their places.
pub(crate) struct GatedBackward<'a, F> {
    pub(crate) f: &'a F,
    pub(crate) gate: &'a mut [f32],
    pub(crate) value: &'a mut [f32],
    pub(crate) gradient: &'a [f32],
}

impl<F: GatedFunction> WithSimd for GatedBackward<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { f, gate, value, gradient } = self;
        let f = &f.clone();
        let n = gradient.len();
        assert!(gate.len() == n && value.len() == n, "inputs and gradient of one length");
        let (gate, gate_rest) = S::as_mut_simd_f32s(gate);
        let (value, value_rest) = S::as_mut_simd_f32s(value);
        let (gradient, gradient_rest) = S::as_simd_f32s(gradient);
        let zero = simd.splat_f32s(0.0);
        let blocks = gate.chunks_mut(BLOCK).zip(value.chunks_mut(BLOCK));
        for ((gate, value), gradient) in blocks.zip(gradient.chunks(BLOCK)) {
            let mut watch = Watch::<S>::new(simd);
            let mut slopes_of = [[zero; BLOCK]; 2];
            let [by_gate, by_value] = &mut slopes_of;
            for (((gate, value), by_gate), by_value) in
                gate.iter().zip(value.iter()).zip(by_gate.iter_mut()).zip(by_value.iter_mut())
            {
                (*by_gate, *by_value) = slopes(simd, f, *gate, *value);
                watch.look(*by_gate);
                watch.look(*by_value);
            }
            if watch.is_alarmed() {
                let (gate, value) = (bytemuck::cast_slice(gate), bytemuck::cast_slice(value));
                let [by_gate, by_value] = &mut slopes_of;
                let by_gate = bytemuck::cast_slice_mut(by_gate);
                let by_value = bytemuck::cast_slice_mut(by_value);
                mend_gated_slopes(f, (gate, value), (by_gate, by_value));
            }
            let [by_gate, by_value] = &slopes_of;
            for (((gate, value), gradient), (by_gate, by_value)) in
                gate.iter_mut().zip(value).zip(gradient).zip(by_gate.iter().zip(by_value))
            {
                *gate = simd.mul_f32s(*by_gate, *gradient);
                *value = simd.mul_f32s(*by_value, *gradient);
            }
        }
        if !gradient_rest.is_empty() {
            let (gate, value) =
                (simd.partial_load_f32s(gate_rest), simd.partial_load_f32s(value_rest));
            let (mut by_gate, mut by_value) = slopes(simd, f, gate, value);
            let mut watch = Watch::<S>::new(simd);
            watch.look(by_gate);
            watch.look(by_value);
            if watch.is_alarmed() {
                let slopes = (
                    bytemuck::cast_slice_mut(std::slice::from_mut(&mut by_gate)),
                    bytemuck::cast_slice_mut(std::slice::from_mut(&mut by_value)),
                );
                mend_gated_slopes(f, (gate_rest, value_rest), slopes);
            }
            let gradient = simd.partial_load_f32s(gradient_rest);
            simd.partial_store_f32s(gate_rest, simd.mul_f32s(by_gate, gradient));
            simd.partial_store_f32s(value_rest, simd.mul_f32s(by_value, gradient));
        }
    }
}
