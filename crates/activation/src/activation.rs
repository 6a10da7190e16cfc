//! An activation as models hold it.

use crate::body::{Body, Graphs};
use crate::graph::Graph;
use crate::graph::Infix;
use crate::learning::{KEYS, initial};
use crate::parameter::display;
use crate::reference::Reference;
use crate::text::{GATE_AND_VALUE, X};
use crate::{Elementwise, LearnedFormula, Learning, Parameter, Parameters, Registration};
use burn::Tensor;
use std::fmt;
use std::fmt::Debug;
use std::sync::{Arc, OnceLock};

/// Points at which conditions are looked at for changes.
const CHANGES_LOOKED_AT: u32 = 4096;

/// An activation with its hyper-parameters, as models hold it.
pub struct Activation {
    registration: Arc<Registration>,
    parameters: Parameters,
    label: String,
    body: Body,
    /// With numbers; made when they are first asked for.
    graphs: OnceLock<Graphs>,
    learned: Option<Learned>,
}

/// What an activation learns.
#[derive(Debug)]
pub struct Learned {
    learning: Learning,
    initial: Vec<f64>,
    alone: LearnedFormula,
    gated: Option<LearnedFormula>,
}

impl Learned {
    pub(crate) fn new(graphs: &Graphs, numbers: &[(&Parameter, f64)], learning: &Learning) -> Self {
        let fixed = |(number, value): &(&Parameter, f64)| {
            let learned = learning.names.iter().any(|name| *name == number.name);
            (!learned).then_some(*value)
        };
        let fixed: Vec<Option<f64>> = numbers.iter().map(fixed).collect();
        let Graphs { alone, gated } = graphs.fix(&fixed);
        let count = learning.names.len();
        Self {
            initial: initial(numbers, learning),
            alone: LearnedFormula::new(alone, 1, count),
            gated: gated.map(|graph| LearnedFormula::new(graph, 2, count)),
            learning: learning.clone(),
        }
    }

    /// Which numbers, and how.
    #[must_use]
    pub fn learning(&self) -> &Learning {
        &self.learning
    }

    /// Where they begin.
    #[must_use]
    pub fn initial(&self) -> &[f64] {
        &self.initial
    }

    /// The formula of so many inputs: the nonlinearity of one, or that of gate and value.
    #[must_use]
    pub fn formula(&self, inputs: usize) -> &LearnedFormula {
        self.gated.as_ref().filter(|_| inputs == 2).unwrap_or(&self.alone)
    }
}

impl Debug for Activation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Activation").field(&self.label).finish()
    }
}

impl Activation {
    pub(crate) fn new(
        registration: &Arc<Registration>,
        parameters: Parameters,
        label: String,
        body: Body,
        learned: Option<Learned>,
    ) -> Self {
        let (registration, graphs) = (Arc::clone(registration), OnceLock::new());
        Self { registration, parameters, label, body, graphs, learned }
    }

    /// Its operations, with its numbers in their order.
    pub(crate) fn graphs(&self) -> &Graphs {
        // What is built has a graph.
        let nothing = || Graphs { alone: Graph::trace(1, 0, |x, _| x.to_vec()), gated: None };
        let make = || self.registration.graphs(&self.parameters).unwrap_or_else(|_| nothing());
        self.graphs.get_or_init(make)
    }

    /// Name, aliases, formula, citation and declared parameters.
    #[must_use]
    pub fn registration(&self) -> &Registration {
        &self.registration
    }

    /// Every hyper-parameter, defaults filled in, and what is said of learned numbers.
    #[must_use]
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// What it takes.
    #[must_use]
    pub fn kind(&self) -> Kind<'_> {
        match &self.body.gated {
            Some(gated) => Kind::Gated(&**gated),
            None => Kind::Pointwise(&*self.body.alone),
        }
    }

    /// The nonlinearity of one input: the activation itself, or a gated one's gate. Learned numbers are those at the
    /// beginning.
    #[must_use]
    pub fn nonlinearity(&self) -> &dyn Pointwise {
        &*self.body.alone
    }

    /// What it learns, if anything.
    #[must_use]
    pub fn learned(&self) -> Option<&Learned> {
        self.learned.as_ref()
    }

    /// Operations of its formula: of one input, or of gate and value.
    #[must_use]
    pub fn operations(&self) -> usize {
        self.graphs().gated.as_ref().unwrap_or(&self.graphs().alone).operations()
    }

    /// Operations of the derivatives by its inputs, with those of the value that they need.
    #[must_use]
    pub fn operations_of_derivatives(&self) -> usize {
        let numbers = self.registration.numbers().count();
        match &self.graphs().gated {
            Some(graph) => graph.by_inputs(2, numbers).operations(),
            None => self.graphs().alone.by_inputs(1, numbers).operations(),
        }
    }

    /// Its formula as text, of `x` or of `gate` and `value`, with names for its numbers.
    #[must_use]
    pub fn infix(&self) -> Infix {
        let numbers = self.names_of_numbers();
        match &self.graphs().gated {
            Some(graph) => graph.infix(&GATE_AND_VALUE, &numbers),
            None => self.graphs().alone.infix(&[X], &numbers),
        }
    }

    /// The formula of its [nonlinearity](Activation::nonlinearity) of `x` as text.
    #[must_use]
    pub fn infix_of_nonlinearity(&self) -> Infix {
        self.graphs().alone.infix(&[X], &self.names_of_numbers())
    }

    /// The derivatives of its nonlinearity as text, by `x` and by each of its numbers.
    #[must_use]
    pub fn infix_of_derivatives(&self) -> Vec<(String, Infix)> {
        let numbers = self.names_of_numbers();
        let derivatives = self.graphs().alone.derivatives(1, numbers.len());
        let by = |(place, by): (usize, &&str)| {
            ((*by).to_owned(), derivatives.clone().only(place).infix(&[X], &numbers))
        };
        [X].iter().chain(&numbers).enumerate().map(by).collect()
    }

    fn names_of_numbers(&self) -> Vec<&str> {
        self.registration.numbers().map(|number| number.name.as_ref()).collect()
    }

    /// Inputs within ±`bound` where its nonlinearity goes from one branch of a condition to another, or where a divisor
    /// changes its sign, in ascending order: between these it is smooth.
    #[must_use]
    pub fn changes(&self, bound: f64) -> Vec<f64> {
        let steps = f64::from(CHANGES_LOOKED_AT);
        let place = |i: u32| -bound + (bound - -bound) * f64::from(i) / steps;
        self.changes_between(&(0..=CHANGES_LOOKED_AT).map(place).collect::<Vec<_>>())
    }

    /// The same between the first and the last of `places`, in ascending order, at which conditions are looked at.
    pub(crate) fn changes_between(&self, places: &[f64]) -> Vec<f64> {
        let fixed: Vec<Option<f64>> = self.numbers().into_iter().map(Some).collect();
        self.graphs().fix(&fixed).alone.changes(places)
    }

    /// Whether sine or cosine is part of its formula, so that it need not have limits at infinity.
    #[must_use]
    pub fn is_periodic(&self) -> bool {
        self.graphs().alone.is_periodic()
    }

    /// The formula with its numbers as arguments, all of them: for checks of the derivatives by each.
    #[must_use]
    pub fn with_numbers(&self) -> LearnedFormula {
        let count = self.registration.numbers().count();
        match &self.graphs().gated {
            Some(graph) => LearnedFormula::new(graph.clone(), 2, count),
            None => LearnedFormula::new(self.graphs().alone.clone(), 1, count),
        }
    }

    /// The values of its numbers, in the order of their declaration.
    #[must_use]
    pub fn numbers(&self) -> Vec<f64> {
        let value = |number: &Parameter| {
            self.parameters.get(number.name.as_ref()).and_then(serde_json::Value::as_f64)
        };
        self.registration.numbers().map(|number| value(number).unwrap_or(f64::NAN)).collect()
    }

    /// A hash of the formula's values and slopes at fixed points: an edited formula has another.
    ///
    /// FNV-1a over the bits of the double-precision reference, in sixteen hexadecimal digits.
    #[must_use]
    pub fn fingerprint(&self) -> String {
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
        let fixed: Vec<Option<f64>> = self.numbers().into_iter().map(Some).collect();
        let Graphs { alone, gated } = self.graphs().fix(&fixed);
        // By the rules of derivatives that the first fingerprints had.
        let number = Reference::<false>;
        for x in points() {
            let dual = alone.derivative(&[number(x)], &[], 0);
            add(dual.value.0);
            add(dual.derivative().0);
        }
        if let Some(graph) = gated {
            for (gate, value) in points().zip(points().rev().map(|x| x / 2.0 + 1.0)) {
                let inputs = [number(gate), number(value)];
                let by_gate = graph.derivative(&inputs, &[], 0);
                add(by_gate.value.0);
                add(by_gate.derivative().0);
                add(graph.derivative(&inputs, &[], 1).derivative().0);
            }
        }
        format!("{hash:016x}")
    }

    /// As a user would write it, without parameters at their defaults: `leaky_relu(slope=0.2)`, or
    /// `x * sigmoid(b * x) where b=1.5`. A formula with a name of its own is called by that.
    #[must_use]
    pub fn label(&self) -> String {
        self.label.clone()
    }
}

/// Label of `registration` with these hyper-parameters.
pub(crate) fn label(
    registration: &Registration,
    parameters: &Parameters,
    learning: &Learning,
) -> String {
    let named = registration.name != crate::registry::FORMULA;
    let of_experiment = registration.is_of_experiment();
    let defaults = registration.defaults();
    let shown =
        |name: &str, value: &serde_json::Value| of_experiment || defaults.get(name) != Some(value);
    let pair = |(name, value): (&String, &serde_json::Value)| format!("{name}={}", display(value));
    let mut pairs: Vec<String> =
        parameters.iter().filter(|(name, value)| shown(name, value)).map(pair).collect();
    if *learning != registration.learning {
        let mut keys = Parameters::new();
        learning.write(registration, &mut keys);
        pairs.extend(KEYS.iter().filter_map(|key| keys.get_key_value(*key)).map(pair));
    }
    match registration.formula().filter(|_| of_experiment) {
        // The name stands for all that its table says.
        Some(_) if named => registration.name.clone(),
        Some(text) if pairs.is_empty() => text.to_owned(),
        Some(text) => format!("{text} where {}", pairs.join(", ")),
        None if pairs.is_empty() => registration.name.clone(),
        None => format!("{}({})", registration.name, pairs.join(",")),
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
    /// The formula, for kernels of other crates.
    fn elementwise(&self) -> Elementwise;

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
    /// The formula of gate and value, for kernels of other crates.
    fn elementwise(&self) -> Elementwise;

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
