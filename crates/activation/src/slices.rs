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

/// Looks for NaN in registers. It is asked once for many of them: a branch for each would cost more than some
/// formulas do.
struct Watch<S: Simd> {
    simd: S,
    /// Where no register so far had NaN.
    numbers: S::m32s,
}

impl<S: Simd> Watch<S> {
    #[inline(always)]
    fn new(simd: S) -> Self {
        let zero = simd.splat_f32s(0.0);
        Self { simd, numbers: simd.equal_f32s(zero, zero) }
    }

    /// Where `x` is a number.
    #[inline(always)]
    fn numbers(&mut self, x: S::f32s) -> S::m32s {
        let numbers = self.simd.equal_f32s(x, x);
        self.numbers = self.simd.and_m32s(self.numbers, numbers);
        numbers
    }

    #[inline(always)]
    fn has_seen_nan(&self) -> bool {
        self.simd.first_true_m32s(self.simd.not_m32s(self.numbers)) < S::F32_LANES
    }
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

/// Multiplies each gradient whose slope in single precision is NaN, and that is therefore as it was, by the slope of
/// the reference.
#[cold]
#[inline(never)]
#[expect(clippy::cast_possible_truncation, reason = "rounding to f32 is meant")]
fn mend_gradients<S: Simd>(simd: S, f: &impl Function, x: &[f32], gradient: &mut [f32]) {
    let lanes = S::F32_LANES;
    for (x, gradient) in x.chunks(lanes).zip(gradient.chunks_mut(lanes)) {
        let slopes = slope(simd, f, simd.partial_load_f32s(x));
        let slopes: &[f32] = bytemuck::cast_slice(std::slice::from_ref(&slopes));
        for ((x, gradient), _) in
            x.iter().zip(gradient).zip(slopes).filter(|(_, slope)| slope.is_nan())
        {
            let slope = f.call(Dual::variable(Reference(f64::from(*x)))).derivative.0;
            *gradient *= slope as f32;
        }
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
    f.call(Lanes::new(simd, x)).into_inner()
}

#[inline(always)]
fn slope<S: Simd>(simd: S, f: &impl Function, x: S::f32s) -> S::f32s {
    f.call(Dual::variable(Lanes::new(simd, x))).derivative.into_inner()
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
        assert_eq!(xs.len(), ys.len(), "one output for each input");
        let (x, x_rest) = S::as_simd_f32s(xs);
        let (y, y_rest) = S::as_mut_simd_f32s(ys);
        let mut watch = Watch::new(simd);
        for (x, y) in x.iter().zip(y) {
            *y = value(simd, f, *x);
            watch.numbers(*y);
        }
        if !x_rest.is_empty() {
            let y = value(simd, f, simd.partial_load_f32s(x_rest));
            watch.numbers(y);
            simd.partial_store_f32s(y_rest, y);
        }
        if watch.has_seen_nan() {
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
        assert_eq!(xs.len(), gradients.len(), "one gradient for each input");
        let (x, x_rest) = S::as_simd_f32s(xs);
        let (gradient, gradient_rest) = S::as_mut_simd_f32s(gradients);
        let mut watch = Watch::new(simd);
        // Where the slope is NaN, the gradient stays as it is.
        let mut product = |x: S::f32s, gradient: S::f32s| {
            let slope = slope(simd, f, x);
            let numbers = watch.numbers(slope);
            let product = simd.mul_f32s(gradient, slope);
            let (product, gradient) = (bytemuck::cast(product), bytemuck::cast(gradient));
            bytemuck::cast(simd.select_u32s(numbers, product, gradient))
        };
        for (x, gradient) in x.iter().zip(gradient) {
            *gradient = product(*x, *gradient);
        }
        if !x_rest.is_empty() {
            let gradient = simd.partial_load_f32s(gradient_rest);
            let product = product(simd.partial_load_f32s(x_rest), gradient);
            simd.partial_store_f32s(gradient_rest, product);
        }
        if watch.has_seen_nan() {
            mend_gradients(simd, f, xs, gradients);
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
        let Self { f, gate: gates, value: values, y: ys } = self;
        assert!(
            gates.len() == ys.len() && values.len() == ys.len(),
            "inputs and output of one length"
        );
        let (gate, gate_rest) = S::as_simd_f32s(gates);
        let (value, value_rest) = S::as_simd_f32s(values);
        let (y, y_rest) = S::as_mut_simd_f32s(ys);
        let mut watch = Watch::new(simd);
        for ((gate, value), y) in gate.iter().zip(value).zip(y) {
            *y = value_of(simd, f, *gate, *value);
            watch.numbers(*y);
        }
        if !y_rest.is_empty() {
            let gate = simd.partial_load_f32s(gate_rest);
            let y = value_of(simd, f, gate, simd.partial_load_f32s(value_rest));
            watch.numbers(y);
            simd.partial_store_f32s(y_rest, y);
        }
        if watch.has_seen_nan() {
            mend_gated_values(f, gates, values, ys);
        }
    }
}

/// Registers whose inputs are kept until it is known that none of their slopes is NaN.
const BLOCK: usize = 8;

/// Slopes by gate and by value.
#[inline(always)]
fn slopes<S: Simd>(
    simd: S,
    f: &impl GatedFormula,
    gate: S::f32s,
    value: S::f32s,
) -> (S::f32s, S::f32s) {
    let (gate, value) = (Lanes::new(simd, gate), Lanes::new(simd, value));
    let by_gate = f.eval(Dual::variable(gate), Dual::fixed(value)).derivative;
    let by_value = f.eval(Dual::fixed(gate), Dual::variable(value)).derivative;
    (by_gate.into_inner(), by_value.into_inner())
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
        let zero = simd.splat_f32s(0.0);
        let blocks = gate.chunks_mut(BLOCK).zip(value.chunks_mut(BLOCK));
        for ((gate, value), gradient) in blocks.zip(gradient.chunks(BLOCK)) {
            let mut watch = Watch::new(simd);
            let mut slopes_of = [[zero; BLOCK]; 2];
            let [by_gate, by_value] = &mut slopes_of;
            for (((gate, value), by_gate), by_value) in
                gate.iter().zip(value.iter()).zip(by_gate.iter_mut()).zip(by_value.iter_mut())
            {
                (*by_gate, *by_value) = slopes(simd, f, *gate, *value);
                watch.numbers(*by_gate);
                watch.numbers(*by_value);
            }
            if watch.has_seen_nan() {
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
            let mut watch = Watch::new(simd);
            watch.numbers(by_gate);
            watch.numbers(by_value);
            if watch.has_seen_nan() {
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
