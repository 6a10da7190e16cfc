//! A formula as a list of operations: what is left of it when it is computed over [`Trace`] instead of numbers.
//!
//! Everything that needs a formula as data is made of this: programs over tiles ([`crate::program`]), derivatives by
//! learned numbers, and the text of derivatives. Equal operations on equal operands are one node, and what is
//! simplified gives the same bits: constants are folded, and factors of 1 and double negations are dropped.

mod infix;
mod node;
mod numbers;
mod simplify;

pub use infix::Infix;
pub(crate) use node::{Binary, Constant, Id, Node, Unary};

use crate::reference::Reference;
use crate::{Algebra, Dual};
use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// Two neighbouring numbers from `from` to `to`, of which the first alone is `like_from`, as `from` is.
pub(crate) fn bisect(from: f64, to: f64, like_from: impl Fn(f64) -> bool) -> [f64; 2] {
    let (mut from, mut to) = (from, to);
    loop {
        let middle = from + (to - from) / 2.0;
        if middle <= from || middle >= to {
            return [from, to];
        }
        if like_from(middle) {
            from = middle;
        } else {
            to = middle;
        }
    }
}

/// A condition: `at_most` where `x` is at most `threshold`, `above` elsewhere.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Choice {
    pub(crate) x: Id,
    pub(crate) threshold: f64,
    pub(crate) at_most: Id,
    pub(crate) above: Id,
}

/// A formula as operations, each after its operands.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Graph {
    pub(crate) nodes: Vec<Node>,
    pub(crate) outputs: Vec<Id>,
}

impl Graph {
    /// The graph of what `formula` computes from `inputs` inputs and `numbers` numbers.
    pub(crate) fn trace(
        inputs: usize,
        numbers: usize,
        formula: impl for<'r> FnOnce(&[Trace<'r>], &[Trace<'r>]) -> Vec<Trace<'r>>,
    ) -> Self {
        let recorder = RefCell::new(Recorder::default());
        let leaf = |node| Trace { recorder: &recorder, id: recorder.borrow_mut().add(node) };
        let inputs: Vec<Trace<'_>> = (0..inputs).map(|i| leaf(Node::Input(i))).collect();
        let numbers: Vec<Trace<'_>> = (0..numbers).map(|i| leaf(Node::Number(i))).collect();
        let outputs = formula(&inputs, &numbers).iter().map(|output| output.id).collect();
        let nodes = recorder.borrow().nodes.clone();
        Self { nodes, outputs }.without_unused()
    }

    /// Keeps what the outputs depend on.
    fn without_unused(self) -> Self {
        let mut used = vec![false; self.nodes.len()];
        for output in &self.outputs {
            used[*output] = true;
        }
        for (id, node) in self.nodes.iter().enumerate().rev() {
            if used[id] {
                node.operands().into_iter().for_each(|operand| used[operand] = true);
            }
        }
        let mut place = vec![0; self.nodes.len()];
        let mut nodes = Vec::new();
        for (id, node) in self.nodes.into_iter().enumerate().filter(|(id, _)| used[*id]) {
            place[id] = nodes.len();
            nodes.push(match node {
                Node::Unary(f, x) => Node::Unary(f, place[x]),
                Node::WithConstant(op, x, c) => Node::WithConstant(op, place[x], c),
                Node::Max(x, c) => Node::Max(place[x], c),
                Node::Min(x, c) => Node::Min(place[x], c),
                Node::Binary(op, a, b) => Node::Binary(op, place[a], place[b]),
                Node::MulAdd(a, b, c) => Node::MulAdd(place[a], place[b], place[c]),
                Node::Select { x, threshold, at_most, above } => Node::Select {
                    x: place[x],
                    threshold,
                    at_most: place[at_most],
                    above: place[above],
                },
                leaf => leaf,
            });
        }
        Self { nodes, outputs: self.outputs.into_iter().map(|output| place[output]).collect() }
    }

    /// Operations: nodes that are no input, number or constant.
    pub(crate) fn operations(&self) -> usize {
        self.nodes.iter().filter(|node| !node.operands().is_empty()).count()
    }

    /// What the node `id` chooses between, if it is a condition. One that keeps NaN of what it compares reads as if it did
    /// not: the text of such a condition keeps it again.
    pub(crate) fn choice(&self, id: Id) -> Option<Choice> {
        let Node::Select { x, threshold, at_most, above } = self.nodes[id] else { return None };
        let choice = Choice { x, threshold: threshold.0, at_most, above };
        let Node::Select { x: mirrored, threshold: least, at_most: inner, above: neither } =
            self.nodes[above]
        else {
            return Some(choice);
        };
        let is_negative = |a: Id, b: Id| self.nodes[a] == Node::Unary(Unary::Neg, b);
        let sum_of_sides = match self.nodes[x] {
            Node::Binary(Binary::Sub, a, b) => Node::Binary(Binary::Add, a.min(b), a.max(b)),
            other => other,
        };
        let keeps_nan = least.0 == -threshold.0
            && (is_negative(mirrored, x) || is_negative(x, mirrored))
            && (neither == x || self.nodes[neither] == sum_of_sides);
        Some(if keeps_nan { Choice { above: inner, ..choice } } else { choice })
    }

    /// Whether sine or cosine is part of it, so that it need not have a limit.
    pub(crate) fn is_periodic(&self) -> bool {
        let periodic = |node: &Node| matches!(node, Node::Unary(Unary::Sin | Unary::Cos, _));
        self.nodes.iter().any(periodic)
    }

    /// The graph of its output at `place` alone.
    pub(crate) fn only(mut self, place: usize) -> Self {
        self.outputs = vec![self.outputs[place]];
        self.without_unused()
    }

    /// The outputs for `inputs` and `numbers`, over any numbers. `inputs` must not be empty.
    pub(crate) fn eval_all<R: Algebra>(&self, inputs: &[R], numbers: &[R]) -> Vec<R> {
        let values = self.eval_nodes(inputs, numbers);
        self.outputs.iter().map(|output| values[*output].clone()).collect()
    }

    /// The values of all nodes; see [`Graph::eval_all`].
    fn eval_nodes<R: Algebra>(&self, inputs: &[R], numbers: &[R]) -> Vec<R> {
        let mut values: Vec<R> = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let at = |id: Id| values[id].clone();
            let value = match *node {
                Node::Input(i) => inputs[i].clone(),
                Node::Number(i) => numbers[i].clone(),
                Node::Constant(constant) => inputs[0].constant(constant.0),
                Node::Unary(f, x) => f.apply(at(x)),
                Node::Binary(op, a, b) => op.apply(at(a), at(b)),
                Node::WithConstant(op, x, constant) => op.with_constant(at(x), constant.0),
                Node::MulAdd(a, b, c) => at(a).mul_add(at(b), at(c)),
                Node::Select { x, threshold, at_most, above } => {
                    at(x).select(threshold.0, at(at_most), at(above))
                }
                Node::Max(x, bound) => at(x).max(bound.0),
                Node::Min(x, bound) => at(x).min(bound.0),
            };
            values.push(value);
        }
        values
    }

    /// Inputs in ascending order where a condition of a graph of one input without numbers changes, or where a divisor
    /// changes its sign: on each side of these it is computed in another way, so that its slope may jump there. Conditions
    /// are looked at at `places`, in ascending order.
    pub(crate) fn changes(&self, places: &[f64]) -> Vec<f64> {
        /// Most changes between two places: more are rounding.
        const MOST: usize = 16;
        let divisor = |node: &Node| match *node {
            Node::Binary(Binary::Div, _, divisor) => Some((divisor, 0.0)),
            _ => None,
        };
        let conditions: Vec<(Id, f64)> = self
            .nodes
            .iter()
            .filter_map(|node| node.condition().or_else(|| divisor(node)))
            .collect();
        let (Some(low), false) = (places.first(), conditions.is_empty()) else {
            return Vec::new();
        };
        let at = |x: f64| -> Vec<bool> {
            let values = self.eval_nodes(&[Reference::<true>(x)], &[]);
            conditions.iter().map(|(node, threshold)| values[*node].0 <= *threshold).collect()
        };
        let mut found = Vec::new();
        let mut before = at(*low);
        for pair in places.windows(2) {
            let [mut from, to] = [pair[0], pair[1]];
            let after = at(to);
            for _ in 0..MOST {
                if before == after {
                    break;
                }
                let change = bisect(from, to, |x| at(x) == before);
                // The side that is the rounder number: the other one is its neighbour.
                found.push(if change[0].to_string().len() <= change[1].to_string().len() {
                    change[0]
                } else {
                    change[1]
                });
                [_, from] = change;
                before = at(from);
            }
            before = after;
        }
        found.dedup_by(|a, b| (*a - *b).abs() < 1e-12);
        found
    }

    /// The first output for `inputs` and `numbers`.
    pub(crate) fn eval<R: Algebra>(&self, inputs: &[R], numbers: &[R]) -> R {
        self.eval_all(inputs, numbers).swap_remove(0)
    }

    /// The graph with constants for the numbers: `fixed[i]` for the i-th, or what is left of them in their order.
    pub(crate) fn fix(&self, inputs: usize, fixed: &[Option<f64>]) -> Self {
        let left = fixed.iter().filter(|number| number.is_none()).count();
        Self::trace(inputs, left, |inputs, numbers| {
            let mut left = numbers.iter();
            let number = |fixed: &Option<f64>| match fixed {
                Some(value) => inputs[0].constant(*value),
                None => left.next().cloned().unwrap_or_else(|| inputs[0].constant(f64::NAN)),
            };
            let numbers: Vec<Trace<'_>> = fixed.iter().map(number).collect();
            self.eval_all(inputs, &numbers)
        })
    }

    /// The graph of one input that one of gate and value is where the value is 1.
    pub(crate) fn with_value_of_one(&self, numbers: usize) -> Self {
        Self::trace(1, numbers, |gate, numbers| {
            self.eval_all(&[gate[0], gate[0].constant(1.0)], numbers)
        })
    }

    /// The derivatives of the first output by each input and then by each number.
    pub(crate) fn derivatives(&self, inputs: usize, numbers: usize) -> Self {
        Self::trace(inputs, numbers, |inputs, numbers| {
            let all = inputs.len() + numbers.len();
            (0..all).map(|by| self.derivative(inputs, numbers, by).derivative()).collect()
        })
    }

    /// The derivatives of the first output by each input.
    pub(crate) fn by_inputs(&self, inputs: usize, numbers: usize) -> Self {
        let mut all = self.derivatives(inputs, numbers);
        all.outputs.truncate(inputs);
        all.without_unused()
    }

    /// Value and derivative by the input `by`, or by the number `by` less the number of inputs.
    pub(crate) fn derivative<R: Algebra>(&self, inputs: &[R], numbers: &[R], by: usize) -> Dual<R> {
        let dual = |(place, value): (usize, &R)| {
            if place == by { Dual::variable(value.clone()) } else { Dual::fixed(value.clone()) }
        };
        let all: Vec<Dual<R>> = inputs.iter().chain(numbers).enumerate().map(dual).collect();
        let (inputs, numbers) = all.split_at(inputs.len());
        self.eval(inputs, numbers)
    }
}

#[derive(Debug, Default)]
struct Recorder {
    nodes: Vec<Node>,
    known: HashMap<Node, Id>,
}

impl Recorder {
    fn add(&mut self, node: Node) -> Id {
        if let Some(id) = self.known.get(&node) {
            return *id;
        }
        self.nodes.push(node);
        self.known.insert(node, self.nodes.len() - 1);
        self.nodes.len() - 1
    }
}

/// A number that remembers how it was computed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trace<'r> {
    recorder: &'r RefCell<Recorder>,
    id: Id,
}

impl Trace<'_> {
    fn node(&self) -> Node {
        self.recorder.borrow().nodes[self.id]
    }

    /// Its value, if it is a constant.
    pub(crate) fn known(&self) -> Option<f64> {
        match self.node() {
            Node::Constant(constant) => Some(constant.0),
            _ => None,
        }
    }

    fn record(&self, node: Node) -> Self {
        let node = self.folded(&node).unwrap_or(node);
        Self { recorder: self.recorder, id: self.recorder.borrow_mut().add(node) }
    }

    /// The constant that `node` is, if all its operands are.
    fn folded(&self, node: &Node) -> Option<Node> {
        let nodes = &self.recorder.borrow().nodes;
        let operands = node.operands();
        if operands.is_empty() {
            return None;
        }
        let mut values = Vec::new();
        for operand in &operands {
            let Node::Constant(constant) = nodes[*operand] else { return None };
            values.push(constant.0);
        }
        Some(Node::Constant(Constant(match *node {
            Node::Unary(f, _) => f.apply(values[0]),
            Node::Binary(op, ..) => op.apply(values[0], values[1]),
            Node::WithConstant(op, _, constant) => op.apply(values[0], constant.0),
            Node::MulAdd(..) => values[0].mul_add(values[1], values[2]),
            Node::Select { threshold, .. } => values[0].select(threshold.0, values[1], values[2]),
            Node::Max(_, bound) => Algebra::max(values[0], bound.0),
            Node::Min(_, bound) => Algebra::min(values[0], bound.0),
            Node::Input(_) | Node::Number(_) | Node::Constant(_) => return None,
        })))
    }

    fn unary(self, f: Unary) -> Self {
        if f == Unary::Neg
            && let Node::Unary(Unary::Neg, inner) = self.node()
        {
            return Self { id: inner, ..self };
        }
        self.record(Node::Unary(f, self.id))
    }

    fn with_constant(self, op: Binary, constant: f64) -> Self {
        #[expect(clippy::float_cmp, reason = "only exactly 1 changes nothing")]
        if matches!(op, Binary::Mul | Binary::Div) && constant == 1.0 {
            return self;
        }
        self.record(Node::WithConstant(op, self.id, Constant(constant)))
    }

    fn binary(self, op: Binary, other: &Self) -> Self {
        match (self.known(), other.known(), op) {
            (Some(_), Some(_), _) => {}
            (_, Some(constant), _) => return self.with_constant(op, constant),
            (Some(constant), _, Binary::Add | Binary::Mul) => {
                return (*other).with_constant(op, constant);
            }
            (Some(constant), _, Binary::Sub) => {
                return (*other).unary(Unary::Neg).with_constant(Binary::Add, constant);
            }
            _ => {}
        }
        // a + b and b + a are one node; the derivative of a product rounds by the order of its factors.
        let (a, b) = match op {
            Binary::Add => (self.id.min(other.id), self.id.max(other.id)),
            Binary::Sub | Binary::Mul | Binary::Div => (self.id, other.id),
        };
        self.record(Node::Binary(op, a, b))
    }
}

macro_rules! arithmetic {
    ($($trait:ident, $method:ident;)*) => {$(
        impl $trait for Trace<'_> {
            type Output = Self;

            fn $method(self, other: Self) -> Self {
                self.binary(Binary::$trait, &other)
            }
        }

        impl $trait<f64> for Trace<'_> {
            type Output = Self;

            fn $method(self, other: f64) -> Self {
                self.with_constant(Binary::$trait, other)
            }
        }
    )*};
}

arithmetic! { Add, add; Sub, sub; Mul, mul; Div, div; }

impl Neg for Trace<'_> {
    type Output = Self;

    fn neg(self) -> Self {
        self.unary(Unary::Neg)
    }
}

macro_rules! functions {
    ($($method:ident $function:ident;)*) => {$(
        fn $method(self) -> Self {
            self.unary(Unary::$function)
        }
    )*};
}

impl Algebra for Trace<'_> {
    fn constant(&self, value: f64) -> Self {
        self.record(Node::Constant(Constant(value)))
    }

    fn mul_add(self, factor: Self, term: Self) -> Self {
        self.record(Node::MulAdd(self.id, factor.id, term.id))
    }

    functions! {
        exp Exp; exp_m1 ExpM1; ln Ln; ln_1p Ln1p; sqrt Sqrt; sin Sin; cos Cos; tanh Tanh; atan Atan; erf Erf;
        erfc Erfc; sigmoid Sigmoid; softplus Softplus; square Square; abs Abs;
    }

    fn erfc_and_gaussian(self) -> (Self, Self) {
        (self.unary(Unary::Erfc), self.unary(Unary::Gaussian))
    }

    fn select(self, threshold: f64, at_most: Self, above: Self) -> Self {
        if at_most.id == above.id {
            return above;
        }
        let (at_most, above) = (at_most.id, above.id);
        self.record(Node::Select { x: self.id, threshold: Constant(threshold), at_most, above })
    }

    fn max(self, bound: f64) -> Self {
        self.record(Node::Max(self.id, Constant(bound)))
    }

    fn min(self, bound: f64) -> Self {
        self.record(Node::Min(self.id, Constant(bound)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(formula: impl for<'r> Fn(Trace<'r>) -> Trace<'r>) -> Graph {
        Graph::trace(1, 0, |inputs, _| vec![formula(inputs[0])])
    }

    #[test]
    fn equal_operations_are_one_and_what_is_exact_is_simplified() {
        let twice = graph(|x| x.exp() + x.exp());
        assert_eq!(twice.operations(), 2);
        assert_eq!(graph(|x| -(-x) * 1.0).operations(), 0);
        let constants = graph(|x| x * (x.constant(2.0) * x.constant(3.0)));
        assert_eq!(constants.nodes[1], Node::WithConstant(Binary::Mul, 0, Constant(6.0)));
        // 1 − x has no operation of its own.
        let less = graph(|x| x.constant(1.0) - x);
        assert_eq!(less.eval(&[3.0], &[]), -2.0);
    }

    #[test]
    fn derivatives_are_those_of_duals() {
        fn silu<'r>(x: Trace<'r>, beta: Trace<'r>) -> Trace<'r> {
            x * (x * beta).sigmoid()
        }
        let graph = Graph::trace(1, 1, |x, beta| vec![silu(x[0], beta[0])]);
        let slopes = graph.derivatives(1, 1);
        let (x, beta) = (0.75_f64, 1.25_f64);
        let slopes = slopes.eval_all(&[x], &[beta]);
        let s = Algebra::sigmoid(x * beta);
        assert!((slopes[0] - (s + x * beta * s * (1.0 - s))).abs() < 1e-15);
        assert!((slopes[1] - x * x * s * (1.0 - s)).abs() < 1e-15);
        let fixed = graph.fix(1, &[Some(1.25)]);
        assert_eq!(fixed.eval(&[x], &[]), graph.eval(&[x], &[beta]));
    }
}
