//! The object-safe form of an activation, derived from its formula.

use crate::parameter::display;
use crate::reference::Reference;
use crate::simd::arch;
use crate::slices::{Backward, Forward, GateAlone, GatedBackward, GatedForward};
use crate::{BuildError, Dual, Formula, GatedFormula, Parameter, Parameters, Real, Registration};
use burn::Tensor;
use serde::{Serialize, de::DeserializeOwned};
use std::fmt::Debug;
use std::sync::Arc;

/// A registered activation with its hyper-parameters, as models hold it.
///
/// Derived from a [`Formula`] or [`GatedFormula`] by [`register!`](crate::register); not meant to be
/// implemented by hand.
pub trait Activation: Debug + Send + Sync {
    /// Name, aliases, formula, citation and declared parameters.
    fn registration(&self) -> &'static Registration;

    /// Every hyper-parameter, defaults filled in.
    fn parameters(&self) -> &Parameters;

    /// What it takes.
    fn kind(&self) -> Kind<'_>;

    /// The nonlinearity of one input: the activation itself, or a gated one's gate.
    fn nonlinearity(&self) -> &dyn Pointwise;

    /// A hash of the formula's values and slopes at fixed points: an edited formula has another.
    ///
    /// FNV-1a over the bits of the double-precision reference, in sixteen hexadecimal digits.
    fn fingerprint(&self) -> String {
        let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
        let mut add = |number: f64| {
            for byte in number.to_bits().to_le_bytes() {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        };
        // A grid from −8 to 8, and points far from it, where a bound or a parameter may act.
        const FAR: [f64; 12] =
            [-1000.0, -100.0, -50.0, -20.0, -12.0, -10.0, 10.0, 12.0, 20.0, 50.0, 100.0, 1000.0];
        let points = || (-128..=128).map(|i| f64::from(i) / 16.0).chain(FAR);
        for x in points() {
            let (y, slope) = self.nonlinearity().eval(x);
            add(y);
            add(slope);
        }
        if let Kind::Gated(f) = self.kind() {
            for (gate, value) in points().zip(points().rev().map(|x| x / 2.0 + 1.0)) {
                let (y, by_gate, by_value) = f.eval(gate, value);
                add(y);
                add(by_gate);
                add(by_value);
            }
        }
        format!("{hash:016x}")
    }

    /// As a user would write it, without parameters at their defaults: `leaky_relu(slope=0.2)`.
    fn label(&self) -> String {
        let defaults = self.registration().defaults();
        let pairs: Vec<_> = self
            .parameters()
            .iter()
            .filter(|(name, value)| defaults.get(*name) != Some(value))
            .map(|(name, value)| format!("{name}={}", display(value)))
            .collect();
        let name = self.registration().name;
        if pairs.is_empty() { name.to_owned() } else { format!("{name}({})", pairs.join(",")) }
    }
}

/// What an activation takes.
#[derive(Debug, Clone, Copy)]
pub enum Kind<'a> {
    /// One input.
    Pointwise(&'a dyn Pointwise),
    /// Two inputs of one shape: gate and value.
    Gated(&'a dyn Gated),
}

/// y = f(x), elementwise.
pub trait Pointwise: Debug + Send + Sync {
    /// The reference in double precision: f(x) and f′(x). A factor 0 wins over an infinite one, so that x · σ(x)
    /// is −0 at −∞.
    fn eval(&self, x: f64) -> (f64, f64);

    /// f over a tensor of shape `[n]`; [`forward`](#method.forward) takes any rank.
    fn forward_flat(&self, x: Tensor<1>) -> Tensor<1>;

    /// f′ over a tensor of shape `[n]`, without autodiff; see [`derivative`](#method.derivative).
    fn derivative_flat(&self, x: Tensor<1>) -> Tensor<1>;

    /// `y` = f(`x`) on the CPU, over SIMD registers; for numbers that lie in the cache already, the
    /// fused kernels call it tile by tile.
    ///
    /// # Panics
    /// If the lengths differ.
    fn forward_slice(&self, x: &[f32], y: &mut [f32]);

    /// `gradient` · f′(`x`), in place; otherwise like [`Pointwise::forward_slice`].
    ///
    /// # Panics
    /// If the lengths differ.
    fn backward_slice(&self, x: &[f32], gradient: &mut [f32]);
}

impl dyn Pointwise + '_ {
    /// f over a tensor of any shape.
    #[must_use]
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let shape = x.dims();
        self.forward_flat(flat(x)).reshape(shape)
    }

    /// f′ over a tensor of any shape.
    #[must_use]
    pub fn derivative<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let shape = x.dims();
        self.derivative_flat(flat(x)).reshape(shape)
    }
}

/// y = g(gate) · value, elementwise.
pub trait Gated: Debug + Send + Sync {
    /// The reference in double precision: y, ∂y/∂gate and ∂y/∂value.
    fn eval(&self, gate: f64, value: f64) -> (f64, f64, f64);

    /// y over two tensors of shape `[n]`; [`forward`](#method.forward) takes any rank.
    fn forward_flat(&self, gate: Tensor<1>, value: Tensor<1>) -> Tensor<1>;

    /// ∂y/∂gate and ∂y/∂value over two tensors of shape `[n]`, without autodiff.
    fn derivatives_flat(&self, gate: Tensor<1>, value: Tensor<1>) -> (Tensor<1>, Tensor<1>);

    /// `y` = g(`gate`) · `value` on the CPU; see [`Pointwise::forward_slice`].
    ///
    /// # Panics
    /// If the lengths differ.
    fn forward_slice(&self, gate: &[f32], value: &[f32], y: &mut [f32]);

    /// Puts the gradients by gate and value in the place of `gate` and `value`, for the `gradient` by
    /// the output.
    ///
    /// # Panics
    /// If the lengths differ.
    fn backward_slice(&self, gate: &mut [f32], value: &mut [f32], gradient: &[f32]);
}

impl dyn Gated + '_ {
    /// y over two tensors of one shape.
    #[must_use]
    pub fn forward<const D: usize>(&self, gate: Tensor<D>, value: Tensor<D>) -> Tensor<D> {
        let shape = gate.dims();
        self.forward_flat(flat(gate), flat(value)).reshape(shape)
    }

    /// ∂y/∂gate and ∂y/∂value over two tensors of one shape.
    #[must_use]
    pub fn derivatives<const D: usize>(
        &self,
        gate: Tensor<D>,
        value: Tensor<D>,
    ) -> (Tensor<D>, Tensor<D>) {
        let shape = gate.dims();
        let (by_gate, by_value) = self.derivatives_flat(flat(gate), flat(value));
        (by_gate.reshape(shape), by_value.reshape(shape))
    }
}

fn flat<const D: usize>(x: Tensor<D>) -> Tensor<1> {
    let length = x.shape().num_elements();
    x.reshape([length])
}

/// Parameters of a formula, as serde sees them.
fn to_parameters<T: Serialize>(formula: &T) -> Parameters {
    serde_json::to_value(formula)
        .ok()
        .and_then(|value| serde_json::from_value(value).ok())
        .unwrap_or_default()
}

fn from_parameters<T: DeserializeOwned>(
    activation: &'static str,
    parameters: &Parameters,
) -> Result<T, BuildError> {
    let map = parameters.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    serde_json::from_value(serde_json::Value::Object(map))
        .map_err(|error| BuildError::Plugin { activation, reason: error.to_string() })
}

/// What [`register!`](crate::register) needs of a formula. `K` tells the kinds apart, and is inferred.
pub trait Registrable<K>: Default + Serialize {
    /// See [`Formula::NAME`].
    const NAME: &'static str;
    /// See [`Formula::ALIASES`].
    const ALIASES: &'static [&'static str];
    /// See [`Formula::VARIANTS`].
    const VARIANTS: &'static [(&'static str, &'static str)];
    /// Word for the kind.
    const KIND: &'static str;
    /// See [`Formula::LATEX`].
    const LATEX: &'static str;
    /// See [`Formula::CITATION`].
    const CITATION: &'static str;
    /// See [`Formula::PARAMETERS`].
    const PARAMETERS: &'static [Parameter];

    /// Hyper-parameters at their defaults.
    #[must_use]
    fn defaults() -> Parameters {
        to_parameters(&Self::default())
    }

    /// The activation with all `parameters`.
    ///
    /// # Errors
    /// If the struct does not take them.
    fn build(
        registration: &'static Registration,
        parameters: Parameters,
    ) -> Result<Arc<dyn Activation>, BuildError>;
}

/// Marker of [`Formula`] for [`Registrable`].
#[derive(Debug)]
pub struct PointwiseKind;

/// Marker of [`GatedFormula`] for [`Registrable`].
#[derive(Debug)]
pub struct GatedKind;

#[derive(Debug)]
struct OfFormula<T>(T);

impl<T: Formula> Pointwise for OfFormula<T> {
    fn eval(&self, x: f64) -> (f64, f64) {
        let y = self.0.eval(Dual::variable(Reference(x)));
        (y.value.0, y.derivative.0)
    }

    fn forward_flat(&self, x: Tensor<1>) -> Tensor<1> {
        self.0.eval(x)
    }

    fn derivative_flat(&self, x: Tensor<1>) -> Tensor<1> {
        self.0.eval(Dual::variable(x)).derivative
    }

    fn forward_slice(&self, x: &[f32], y: &mut [f32]) {
        arch().dispatch(Forward { f: &self.0, x, y });
    }

    fn backward_slice(&self, x: &[f32], gradient: &mut [f32]) {
        arch().dispatch(Backward { f: &self.0, x, gradient });
    }
}

#[derive(Debug)]
struct PointwiseActivation<T> {
    registration: &'static Registration,
    parameters: Parameters,
    formula: OfFormula<T>,
}

impl<T: Formula> Activation for PointwiseActivation<T> {
    fn registration(&self) -> &'static Registration {
        self.registration
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn kind(&self) -> Kind<'_> {
        Kind::Pointwise(&self.formula)
    }

    fn nonlinearity(&self) -> &dyn Pointwise {
        &self.formula
    }
}

impl<T: Formula> Registrable<PointwiseKind> for T {
    const NAME: &'static str = <T as Formula>::NAME;
    const ALIASES: &'static [&'static str] = <T as Formula>::ALIASES;
    const VARIANTS: &'static [(&'static str, &'static str)] = <T as Formula>::VARIANTS;
    const KIND: &'static str = "pointwise";
    const LATEX: &'static str = <T as Formula>::LATEX;
    const CITATION: &'static str = <T as Formula>::CITATION;
    const PARAMETERS: &'static [Parameter] = <T as Formula>::PARAMETERS;

    fn build(
        registration: &'static Registration,
        parameters: Parameters,
    ) -> Result<Arc<dyn Activation>, BuildError> {
        let formula = OfFormula(from_parameters::<T>(registration.name, &parameters)?);
        Ok(Arc::new(PointwiseActivation { registration, parameters, formula }))
    }
}

#[derive(Debug)]
struct OfGate<T>(T);

impl<T: GatedFormula> OfGate<T> {
    fn partial<R: Real>(&self, gate: Dual<R>, value: Dual<R>) -> Dual<R> {
        self.0.eval(gate, value)
    }
}

impl<T: GatedFormula> Pointwise for OfGate<T> {
    fn eval(&self, x: f64) -> (f64, f64) {
        let y = self.0.gate(Dual::variable(Reference(x)));
        (y.value.0, y.derivative.0)
    }

    fn forward_flat(&self, x: Tensor<1>) -> Tensor<1> {
        self.0.gate(x)
    }

    fn derivative_flat(&self, x: Tensor<1>) -> Tensor<1> {
        self.0.gate(Dual::variable(x)).derivative
    }

    fn forward_slice(&self, x: &[f32], y: &mut [f32]) {
        arch().dispatch(Forward { f: &GateAlone(&self.0), x, y });
    }

    fn backward_slice(&self, x: &[f32], gradient: &mut [f32]) {
        arch().dispatch(Backward { f: &GateAlone(&self.0), x, gradient });
    }
}

impl<T: GatedFormula> Gated for OfGate<T> {
    fn eval(&self, gate: f64, value: f64) -> (f64, f64, f64) {
        let (gate, value) = (Reference(gate), Reference(value));
        let by_gate = self.partial(Dual::variable(gate), Dual::fixed(value));
        let by_value = self.partial(Dual::fixed(gate), Dual::variable(value));
        (by_gate.value.0, by_gate.derivative.0, by_value.derivative.0)
    }

    fn forward_flat(&self, gate: Tensor<1>, value: Tensor<1>) -> Tensor<1> {
        self.0.eval(gate, value)
    }

    fn derivatives_flat(&self, gate: Tensor<1>, value: Tensor<1>) -> (Tensor<1>, Tensor<1>) {
        let by_gate = self.partial(Dual::variable(gate.clone()), Dual::fixed(value.clone()));
        let by_value = self.partial(Dual::fixed(gate), Dual::variable(value));
        (by_gate.derivative, by_value.derivative)
    }

    fn forward_slice(&self, gate: &[f32], value: &[f32], y: &mut [f32]) {
        arch().dispatch(GatedForward { f: &self.0, gate, value, y });
    }

    fn backward_slice(&self, gate: &mut [f32], value: &mut [f32], gradient: &[f32]) {
        arch().dispatch(GatedBackward { f: &self.0, gate, value, gradient });
    }
}

#[derive(Debug)]
struct GatedActivation<T> {
    registration: &'static Registration,
    parameters: Parameters,
    formula: OfGate<T>,
}

impl<T: GatedFormula> Activation for GatedActivation<T> {
    fn registration(&self) -> &'static Registration {
        self.registration
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn kind(&self) -> Kind<'_> {
        Kind::Gated(&self.formula)
    }

    fn nonlinearity(&self) -> &dyn Pointwise {
        &self.formula
    }
}

impl<T: GatedFormula> Registrable<GatedKind> for T {
    const NAME: &'static str = <T as GatedFormula>::NAME;
    const ALIASES: &'static [&'static str] = <T as GatedFormula>::ALIASES;
    const VARIANTS: &'static [(&'static str, &'static str)] = <T as GatedFormula>::VARIANTS;
    const KIND: &'static str = "gated";
    const LATEX: &'static str = <T as GatedFormula>::LATEX;
    const CITATION: &'static str = <T as GatedFormula>::CITATION;
    const PARAMETERS: &'static [Parameter] = <T as GatedFormula>::PARAMETERS;

    fn build(
        registration: &'static Registration,
        parameters: Parameters,
    ) -> Result<Arc<dyn Activation>, BuildError> {
        let formula = OfGate(from_parameters::<T>(registration.name, &parameters)?);
        Ok(Arc::new(GatedActivation { registration, parameters, formula }))
    }
}
