//! What an activation computes with: a compiled formula, or the graph of one.

use crate::graph::{Graph, Trace};
use crate::learning::mend;
use crate::program::Program;
use crate::reference::Reference;
use crate::simd::arch;
use crate::slices::{Backward, Forward, Function, GatedBackward, GatedForward, GatedFunction};
use crate::tile::{PART, Pair, multiply, product};
use crate::{Dual, Elementwise, Formula, Gated, GatedFormula, Numbers, Pointwise, Real};
use burn::Tensor;
use std::sync::OnceLock;

/// The graphs of an activation, with numbers.
#[derive(Debug, Clone)]
pub(crate) struct Graphs {
    /// The nonlinearity of one input.
    pub(crate) alone: Graph,
    /// That of gate and value, where it is gated.
    pub(crate) gated: Option<Graph>,
}

impl Graphs {
    pub(crate) fn of_formula<T: Formula>(formula: &T) -> Self {
        let count = <T::Numbers<f64> as Numbers<f64>>::COUNT;
        let alone = Graph::trace(1, count, |x, numbers| vec![formula.eval(x[0], traced(numbers))]);
        Self { alone, gated: None }
    }

    pub(crate) fn of_gated<T: GatedFormula>(formula: &T) -> Self {
        let count = <T::Numbers<f64> as Numbers<f64>>::COUNT;
        let alone = Graph::trace(1, count, |x, numbers| vec![formula.gate(x[0], traced(numbers))]);
        let gated =
            Graph::trace(2, count, |x, numbers| vec![formula.eval(x[0], x[1], traced(numbers))]);
        Self { alone, gated: Some(gated) }
    }

    /// Their operations with these numbers.
    pub(crate) fn fix(&self, numbers: &[Option<f64>]) -> Self {
        Self {
            alone: self.alone.fix(1, numbers),
            gated: self.gated.as_ref().map(|graph| graph.fix(2, numbers)),
        }
    }
}

fn traced<'r, N: Numbers<Trace<'r>>>(numbers: &[Trace<'r>]) -> N {
    N::from_fn(|i| numbers[i])
}

/// The functions of an activation with all its numbers.
#[derive(Debug)]
pub(crate) struct Body {
    pub(crate) alone: Box<dyn Pointwise>,
    pub(crate) gated: Option<Box<dyn Gated>>,
}

impl Body {
    pub(crate) fn of_formula<T: Formula>(formula: T, numbers: &[f64]) -> Self {
        let fixed = FixedFormula { formula, numbers: array(numbers) };
        Self { alone: Box::new(OfFormula { fixed, graph: OnceLock::new() }), gated: None }
    }

    pub(crate) fn of_gated<T: GatedFormula>(formula: T, numbers: &[f64]) -> Self {
        let numbers = array(numbers);
        let gate = FixedGate { formula: formula.clone(), numbers };
        let gated = FixedGated { formula, numbers };
        Self {
            alone: Box::new(OfFormula { fixed: gate, graph: OnceLock::new() }),
            gated: Some(Box::new(OfGated { fixed: gated, graph: OnceLock::new() })),
        }
    }

    pub(crate) fn of_graphs(graphs: &Graphs, numbers: &[f64]) -> Self {
        let Graphs { alone, gated } = fixed(graphs.clone(), numbers);
        Self {
            alone: Box::new(OfGraph::new(alone, 1)),
            gated: gated.map(|graph| Box::new(OfGraph::new(graph, 2)) as Box<dyn Gated>),
        }
    }
}

/// Most numbers of a compiled formula: so many are copied to where a loop has them at hand.
pub(crate) const MOST_NUMBERS: usize = 16;

fn array(numbers: &[f64]) -> [f64; MOST_NUMBERS] {
    std::array::from_fn(|i| numbers.get(i).copied().unwrap_or(f64::NAN))
}

fn fixed(graphs: Graphs, numbers: &[f64]) -> Graphs {
    let numbers: Vec<Option<f64>> = numbers.iter().copied().map(Some).collect();
    graphs.fix(&numbers)
}

/// A formula with constants for its numbers.
#[derive(Debug, Clone)]
struct FixedFormula<T> {
    formula: T,
    numbers: [f64; MOST_NUMBERS],
}

impl<T: Formula> Function for FixedFormula<T> {
    #[inline(always)]
    fn call<R: Real>(&self, x: R) -> R {
        let numbers = <T::Numbers<R>>::from_fn(|i| x.constant(self.numbers[i]));
        self.formula.eval(x, numbers)
    }
}

/// The gate's nonlinearity of a gated formula with constants for its numbers.
#[derive(Debug, Clone)]
struct FixedGate<T> {
    formula: T,
    numbers: [f64; MOST_NUMBERS],
}

impl<T: GatedFormula> Function for FixedGate<T> {
    #[inline(always)]
    fn call<R: Real>(&self, x: R) -> R {
        let numbers = <T::Numbers<R>>::from_fn(|i| x.constant(self.numbers[i]));
        self.formula.gate(x, numbers)
    }
}

/// A gated formula with constants for its numbers.
#[derive(Debug, Clone)]
struct FixedGated<T> {
    formula: T,
    numbers: [f64; MOST_NUMBERS],
}

impl<T: GatedFormula> GatedFunction for FixedGated<T> {
    #[inline(always)]
    fn call<R: Real>(&self, gate: R, value: R) -> R {
        let numbers = <T::Numbers<R>>::from_fn(|i| gate.constant(self.numbers[i]));
        self.formula.eval(gate, value, numbers)
    }
}

/// A function that is compiled for slices, and a graph for tensors, which is made when it is first asked for: a formula
/// that panics is not called before.
#[derive(Debug)]
struct OfFormula<F> {
    fixed: F,
    graph: OnceLock<Elementwise>,
}

impl<F: Function> OfFormula<F> {
    fn graph(&self) -> &Elementwise {
        let graph = || Graph::trace(1, 0, |x, _| vec![self.fixed.call(x[0])]);
        let trace = || Elementwise::new(graph());
        self.graph.get_or_init(trace)
    }
}

impl<F: Function + std::fmt::Debug + Send + Sync> Pointwise for OfFormula<F> {
    fn elementwise(&self) -> Elementwise {
        self.graph().clone()
    }

    fn eval(&self, x: f64) -> (f64, f64) {
        let y = self.fixed.call(Dual::variable(Reference::<true>(x)));
        (y.value.0, y.derivative().0)
    }

    fn forward_flat(&self, x: Tensor<1>) -> Tensor<1> {
        self.graph().eval(&[x])
    }

    fn derivative_flat(&self, x: Tensor<1>) -> Tensor<1> {
        self.graph().derivative(&[x], 0)
    }

    fn forward_slice(&self, x: &[f32], y: &mut [f32]) {
        arch().dispatch(Forward { f: &self.fixed, x, y });
    }

    fn backward_slice(&self, x: &[f32], gradient: &mut [f32]) {
        arch().dispatch(Backward { f: &self.fixed, x, gradient });
    }
}

/// As [`OfFormula`], of gate and value.
#[derive(Debug)]
struct OfGated<F> {
    fixed: F,
    graph: OnceLock<Elementwise>,
}

impl<F: GatedFunction> OfGated<F> {
    fn graph(&self) -> &Elementwise {
        let graph = || Graph::trace(2, 0, |x, _| vec![self.fixed.call(x[0], x[1])]);
        let trace = || Elementwise::new(graph());
        self.graph.get_or_init(trace)
    }
}

impl<F: GatedFunction + std::fmt::Debug + Send + Sync> Gated for OfGated<F> {
    fn elementwise(&self) -> Elementwise {
        self.graph().clone()
    }

    fn eval(&self, gate: f64, value: f64) -> (f64, f64, f64) {
        let (gate, value) = (Reference::<true>(gate), Reference::<true>(value));
        let by_gate = self.fixed.call(Dual::variable(gate), Dual::fixed(value));
        let by_value = self.fixed.call(Dual::fixed(gate), Dual::variable(value));
        (by_gate.value.0, by_gate.derivative().0, by_value.derivative().0)
    }

    fn forward_flat(&self, gate: Tensor<1>, value: Tensor<1>) -> Tensor<1> {
        self.graph().eval(&[gate, value])
    }

    fn derivatives_flat(&self, gate: Tensor<1>, value: Tensor<1>) -> (Tensor<1>, Tensor<1>) {
        by_gate_and_value(self.graph(), gate, value)
    }

    fn forward_slice(&self, gate: &[f32], value: &[f32], y: &mut [f32]) {
        arch().dispatch(GatedForward { f: &self.fixed, gate, value, y });
    }

    fn backward_slice(&self, gate: &mut [f32], value: &mut [f32], gradient: &[f32]) {
        arch().dispatch(GatedBackward { f: &self.fixed, gate, value, gradient });
    }
}

fn by_gate_and_value(
    graph: &Elementwise,
    gate: Tensor<1>,
    value: Tensor<1>,
) -> (Tensor<1>, Tensor<1>) {
    let inputs = [gate, value];
    let by = |place| graph.derivative(&inputs, place);
    (by(0), by(1))
}

/// A graph, with programs for slices.
#[derive(Debug)]
struct OfGraph {
    graph: Elementwise,
    forward: Program,
    backward: Program,
}

impl OfGraph {
    fn new(graph: Graph, inputs: usize) -> Self {
        let forward = Program::new(&graph);
        let backward = Program::new(&graph.derivatives(inputs, 0));
        Self { graph: Elementwise::new(graph), forward, backward }
    }

    fn eval_all<const N: usize>(&self, inputs: [f64; N]) -> (f64, [f64; N]) {
        let inputs = inputs.map(Reference::<true>);
        let by = |place| self.graph.derivative(&inputs, place).0;
        (self.graph.eval(&inputs).0, std::array::from_fn(by))
    }
}

impl Pointwise for OfGraph {
    fn elementwise(&self) -> Elementwise {
        self.graph.clone()
    }

    fn eval(&self, x: f64) -> (f64, f64) {
        let (y, [slope]) = self.eval_all([x]);
        (y, slope)
    }

    fn forward_flat(&self, x: Tensor<1>) -> Tensor<1> {
        self.graph.eval(&[x])
    }

    fn derivative_flat(&self, x: Tensor<1>) -> Tensor<1> {
        self.graph.derivative(&[x], 0)
    }

    fn forward_slice(&self, x: &[f32], y: &mut [f32]) {
        assert_eq!(x.len(), y.len(), "one output for each input");
        if self.forward.run(&[x], &[], &mut [&mut *y]) {
            mend(y, |i| {
                if x[i].is_nan() { f64::NAN } else { Pointwise::eval(self, f64::from(x[i])).0 }
            });
        }
    }

    fn backward_slice(&self, x: &[f32], gradient: &mut [f32]) {
        assert_eq!(x.len(), gradient.len(), "one gradient for each input");
        let mut memory = Pair::take();
        for (x, gradient) in x.chunks(PART).zip(gradient.chunks_mut(PART)) {
            let [slopes, _] = memory.numbers(x.len());
            if self.backward.run(&[x], &[], &mut [&mut *slopes]) {
                mend(slopes, |i| {
                    if x[i].is_nan() { f64::NAN } else { Pointwise::eval(self, f64::from(x[i])).1 }
                });
            }
            multiply(gradient, slopes);
        }
        memory.put();
    }
}

impl Gated for OfGraph {
    fn elementwise(&self) -> Elementwise {
        self.graph.clone()
    }

    fn eval(&self, gate: f64, value: f64) -> (f64, f64, f64) {
        let (y, [by_gate, by_value]) = self.eval_all([gate, value]);
        (y, by_gate, by_value)
    }

    fn forward_flat(&self, gate: Tensor<1>, value: Tensor<1>) -> Tensor<1> {
        self.graph.eval(&[gate, value])
    }

    fn derivatives_flat(&self, gate: Tensor<1>, value: Tensor<1>) -> (Tensor<1>, Tensor<1>) {
        by_gate_and_value(&self.graph, gate, value)
    }

    fn forward_slice(&self, gate: &[f32], value: &[f32], y: &mut [f32]) {
        if self.forward.run(&[gate, value], &[], &mut [&mut *y]) {
            mend(y, |i| Gated::eval(self, f64::from(gate[i]), f64::from(value[i])).0);
        }
    }

    fn backward_slice(&self, gate: &mut [f32], value: &mut [f32], gradient: &[f32]) {
        let n = gradient.len();
        assert!(gate.len() == n && value.len() == n, "inputs and gradient of one length");
        let mut memory = Pair::take();
        let tiles = gate.chunks_mut(PART).zip(value.chunks_mut(PART)).zip(gradient.chunks(PART));
        for ((gate, value), gradient) in tiles {
            let [by_gate, by_value] = memory.numbers(gradient.len());
            if self.backward.run(&[gate, value], &[], &mut [&mut *by_gate, &mut *by_value]) {
                let at = |i: usize| Gated::eval(self, f64::from(gate[i]), f64::from(value[i]));
                mend(by_gate, |i| at(i).1);
                mend(by_value, |i| at(i).2);
            }
            product(gate, gradient, by_gate);
            product(value, gradient, by_value);
        }
        memory.put();
    }
}
