//! A graph with what a reader would leave out left out: the same function for finite inputs, but rounded otherwise.

use super::infix::thresholds;
use super::{Binary, Choice, Constant, Graph, Id, Node, Recorder, Trace, Unary};
use crate::Algebra;
use std::cell::RefCell;
use std::collections::HashMap;

/// Most conditions of a formula of which each branch is simplified under what the condition says.
const MOST_CONDITIONS: usize = 8;

/// Most pieces of a formula.
const MOST_PIECES: usize = 6;

/// A formula in pieces: one output for each, which holds up to the end of the piece.
pub(super) struct Pieces {
    /// Upper ends of all pieces but the last.
    pub(super) ends: Vec<f64>,
    pub(super) graph: Graph,
}

/// What is known of the values of a node: they lie between these.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Bounds {
    low: f64,
    high: f64,
    /// Whether the least value is that of more than one input, as 0 is of `max(x, 0)`.
    stays_low: bool,
    /// The same of the greatest.
    stays_high: bool,
}

impl Bounds {
    const ALL: Self = Self::between(f64::NEG_INFINITY, f64::INFINITY);

    const fn between(low: f64, high: f64) -> Self {
        Self { low, high, stays_low: false, stays_high: false }
    }

    fn and(self, other: Self) -> Self {
        // The narrower bound holds; of equal ones that which says more.
        let stays = |own: f64, theirs: f64, stay: [bool; 2], other_wins: bool| match own == theirs {
            true => stay[0] && stay[1],
            false => stay[usize::from(other_wins)],
        };
        Self {
            low: self.low.max(other.low),
            high: self.high.min(other.high),
            stays_low: stays(
                self.low,
                other.low,
                [self.stays_low, other.stays_low],
                other.low > self.low,
            ),
            stays_high: stays(
                self.high,
                other.high,
                [self.stays_high, other.stays_high],
                other.high < self.high,
            ),
        }
    }

    /// Those of what `f`, which goes in one direction, makes of the values.
    fn map(self, f: impl Fn(f64) -> f64) -> Self {
        let (a, b) = (f(self.low), f(self.high));
        let falls = a > b;
        Self {
            low: a.min(b),
            high: a.max(b),
            stays_low: if falls { self.stays_high } else { self.stays_low },
            stays_high: if falls { self.stays_low } else { self.stays_high },
        }
    }

    /// Those of the larger of the values and `bound`.
    fn at_least(self, bound: f64) -> Self {
        Self { stays_low: self.stays_low || self.low < bound, ..self.map(|x| x.max(bound)) }
    }

    /// Those of the smaller of the values and `bound`.
    fn at_most(self, bound: f64) -> Self {
        Self { stays_high: self.stays_high || self.high > bound, ..self.map(|x| x.min(bound)) }
    }

    /// The first input where the node `id`, an affine function of it between bounds, is `value`.
    pub(super) fn input_at(graph: &Graph, id: Id, value: f64) -> Option<f64> {
        match graph.nodes[id] {
            Node::Input(0) => Some(value),
            Node::Unary(Unary::Neg, x) => Self::input_at(graph, x, -value),
            Node::WithConstant(op, x, Constant(c)) => {
                Self::input_at(graph, x, inverse(op, c)?(value))
            }
            // Beyond the bound it never gets there.
            Node::Min(x, bound) if value < bound.0 => Self::input_at(graph, x, value),
            _ => match graph.lower_bound(id) {
                Some((x, bound)) if value > bound => Self::input_at(graph, x, value),
                _ => None,
            },
        }
    }
}

impl Graph {
    /// The operand and the bound of a node that is the larger of both, also where it is written as a condition.
    fn lower_bound(&self, id: Id) -> Option<(Id, f64)> {
        match self.nodes[id] {
            Node::Max(x, bound) => Some((x, bound.0)),
            Node::Select { x, threshold, at_most, above }
                if above == x && self.nodes[at_most] == Node::Constant(threshold) =>
            {
                Some((x, threshold.0))
            }
            _ => None,
        }
    }
}

impl Graph {
    /// Its first output, a function of one input without numbers, simplified as a whole: conditions stay where they are.
    pub(crate) fn simplified(&self) -> Self {
        let recorder = RefCell::default();
        let mut simplifier = Simplifier::new(self, &recorder, 1, 0);
        let whole = simplifier.node(self.outputs[0], &Facts::default());
        let nodes = recorder.borrow().nodes.clone();
        Self { nodes, outputs: vec![whole.id] }.without_unused()
    }
}

/// What undoes the operation with a constant.
fn inverse(op: Binary, c: f64) -> Option<impl Fn(f64) -> f64> {
    if matches!(op, Binary::Mul | Binary::Div) && (c == 0.0 || !c.is_finite()) {
        return None;
    }
    Some(move |value: f64| match op {
        Binary::Add => value - c,
        Binary::Sub => value + c,
        Binary::Mul => value / c,
        Binary::Div => value * c,
    })
}

/// The first output of `graph`, simplified.
pub(super) fn simplified(graph: &Graph, inputs: usize, numbers: usize) -> Pieces {
    let recorder = RefCell::default();
    let mut simplifier = Simplifier::new(graph, &recorder, inputs, numbers);
    let ends = thresholds(graph);
    let input = graph.nodes.iter().position(|node| *node == Node::Input(0));
    let pieces = match input {
        Some(input) if inputs == 1 && !ends.is_empty() && ends.len() < MOST_PIECES => {
            simplifier.pieces(input, &ends)
        }
        _ => None,
    };
    let (ends, outputs) = pieces.unwrap_or_else(|| {
        let whole = simplifier.node(graph.outputs[0], &Facts::default());
        (Vec::new(), vec![whole])
    });
    let outputs = outputs.iter().map(|output| output.id).collect();
    let nodes = recorder.borrow().nodes.clone();
    Pieces { ends, graph: Graph { nodes, outputs }.without_unused() }
}

/// What conditions around a node say of others.
type Facts = Vec<(Id, Bounds)>;

/// A node, and the bits of what is known around it.
type Key = (Id, Vec<(Id, u64, u64)>);

struct Simplifier<'a, 'r> {
    graph: &'a Graph,
    inputs: Vec<Trace<'r>>,
    numbers: Vec<Trace<'r>>,
    known: HashMap<Key, Trace<'r>>,
}

impl<'a, 'r> Simplifier<'a, 'r> {
    /// One of `graph`, which writes what it makes into `recorder`.
    fn new(
        graph: &'a Graph,
        recorder: &'r RefCell<Recorder>,
        inputs: usize,
        numbers: usize,
    ) -> Self {
        let leaf = |node| Trace { recorder, id: recorder.borrow_mut().add(node) };
        Self {
            graph,
            inputs: (0..inputs).map(|i| leaf(Node::Input(i))).collect(),
            numbers: (0..numbers).map(|i| leaf(Node::Number(i))).collect(),
            known: HashMap::new(),
        }
    }

    /// The pieces between `ends`, if no condition is left in them.
    fn pieces(&mut self, input: Id, ends: &[f64]) -> Option<(Vec<f64>, Vec<Trace<'r>>)> {
        let mut outputs: Vec<Trace<'r>> = Vec::new();
        let mut kept = Vec::new();
        let mut low = f64::NEG_INFINITY;
        for high in ends.iter().copied().chain([f64::INFINITY]) {
            let facts = vec![(input, Bounds::between(low, high))];
            let piece = self.node(self.graph.outputs[0], &facts);
            if piece.has_condition() {
                return None;
            }
            // Pieces that are alike are one.
            if outputs.last().is_some_and(|last| last.id == piece.id) {
                kept.pop();
            } else {
                outputs.push(piece);
            }
            kept.push(high);
            low = high;
        }
        kept.pop();
        Some((kept, outputs))
    }

    fn bounds(&self, id: Id, facts: &Facts) -> Bounds {
        let own = facts.iter().filter(|(fact, _)| *fact == id).map(|(_, bounds)| *bounds);
        let own = own.fold(Bounds::ALL, Bounds::and);
        match self.graph.nodes[id] {
            Node::Unary(Unary::Neg, x) => own.and(self.bounds(x, facts).map(|x| -x)),
            Node::WithConstant(op, x, Constant(c)) if inverse(op, c).is_some() => {
                own.and(self.bounds(x, facts).map(|x| op.apply(x, c)))
            }
            Node::Min(x, bound) => own.and(self.bounds(x, facts).at_most(bound.0)),
            _ => match self.graph.lower_bound(id) {
                Some((x, bound)) => own.and(self.bounds(x, facts).at_least(bound)),
                None => own,
            },
        }
    }

    /// The facts with that `id` lies between `bounds`, also said of what `id` is made of.
    fn with(&self, facts: &Facts, id: Id, bounds: Bounds) -> Facts {
        let mut facts = facts.clone();
        let (mut id, mut bounds) = (id, bounds);
        loop {
            facts.push((id, bounds));
            (id, bounds) = match self.graph.nodes[id] {
                Node::Unary(Unary::Neg, x) => (x, bounds.map(|x| -x)),
                Node::WithConstant(op, x, Constant(c)) => match inverse(op, c) {
                    Some(inverse) => (x, bounds.map(inverse)),
                    None => return facts,
                },
                _ => return facts,
            };
        }
    }

    fn node(&mut self, id: Id, facts: &Facts) -> Trace<'r> {
        let key =
            facts.iter().map(|(id, bounds)| (*id, bounds.low.to_bits(), bounds.high.to_bits()));
        let key = (id, key.collect::<Vec<_>>());
        if let Some(known) = self.known.get(&key) {
            return *known;
        }
        let made = self.made(id, facts);
        self.known.insert(key, made);
        made
    }

    fn made(&mut self, id: Id, facts: &Facts) -> Trace<'r> {
        let constant = |this: &Self, value: f64| this.inputs[0].constant(value);
        match self.graph.nodes[id] {
            Node::Input(i) => self.inputs[i],
            Node::Number(i) => self.numbers[i],
            Node::Constant(value) => constant(self, value.0),
            Node::Unary(f, x) => {
                let Bounds { low, high, .. } = self.bounds(x, facts);
                let x = self.node(x, facts);
                match f {
                    Unary::Neg => neg(x),
                    Unary::Abs if low >= 0.0 => x,
                    Unary::Abs if high <= 0.0 => neg(x),
                    Unary::Gaussian => gaussian(x),
                    Unary::Square => match x.node() {
                        Node::Unary(Unary::Neg, inner) => x.part(inner).square(),
                        _ => x.square(),
                    },
                    _ => f.apply(x),
                }
            }
            Node::Binary(op, a, b) => {
                let (a, b) = (self.node(a, facts), self.node(b, facts));
                binary(op, a, b)
            }
            Node::WithConstant(op, x, value) => {
                let x = self.node(x, facts);
                binary(op, x, constant(self, value.0))
            }
            Node::MulAdd(a, b, c) => {
                let [a, b, c] = [a, b, c].map(|id| self.node(id, facts));
                binary(Binary::Add, binary(Binary::Mul, a, b), c)
            }
            Node::Select { x, threshold, at_most, above } => {
                let written = Choice { x, threshold: threshold.0, at_most, above };
                self.select(self.graph.choice(id).unwrap_or(written), facts)
            }
            Node::Max(x, bound) => {
                let Bounds { low, high, .. } = self.bounds(x, facts);
                match bound.0 {
                    bound if low >= bound => self.node(x, facts),
                    bound if high <= bound => constant(self, bound),
                    bound => Algebra::max(self.node(x, facts), bound),
                }
            }
            Node::Min(x, bound) => {
                let Bounds { low, high, .. } = self.bounds(x, facts);
                match bound.0 {
                    bound if high <= bound => self.node(x, facts),
                    bound if low >= bound => constant(self, bound),
                    bound => Algebra::min(self.node(x, facts), bound),
                }
            }
        }
    }

    fn select(&mut self, choice: Choice, facts: &Facts) -> Trace<'r> {
        let Choice { x, threshold, at_most, above } = choice;
        let branches = [at_most, above];
        let Bounds { low, high, stays_low, .. } = self.bounds(x, facts);
        // Every number but NaN is at most infinity.
        if high <= threshold {
            return self.node(branches[0], facts);
        }
        // At the threshold itself the first branch holds, which is no matter where that is a single input.
        if low > threshold || (low == threshold && !stays_low) {
            return self.node(branches[1], facts);
        }
        let condition = |node: &&Node| matches!(node, Node::Select { .. });
        let few = self.graph.nodes.iter().filter(condition).count() <= MOST_CONDITIONS;
        let [below, beyond] = if few {
            let below = Bounds::between(f64::NEG_INFINITY, threshold);
            let beyond = Bounds::between(threshold, f64::INFINITY);
            [below, beyond].map(|bounds| self.with(facts, x, bounds))
        } else {
            [facts.clone(), facts.clone()]
        };
        let (at_most, above) = (self.node(branches[0], &below), self.node(branches[1], &beyond));
        self.node(x, facts).select(threshold, at_most, above)
    }
}

impl Trace<'_> {
    /// Another node of the same recorder.
    fn part(&self, id: Id) -> Self {
        Self { recorder: self.recorder, id }
    }

    /// Whether a condition is in it.
    fn has_condition(&self) -> bool {
        let nodes = &self.recorder.borrow().nodes;
        let mut seen = vec![false; nodes.len()];
        let mut next = vec![self.id];
        while let Some(id) = next.pop() {
            if std::mem::replace(&mut seen[id], true) {
                continue;
            }
            if matches!(nodes[id], Node::Select { .. } | Node::Max(..) | Node::Min(..)) {
                return true;
            }
            next.extend(nodes[id].operands());
        }
        false
    }

    fn is(&self, value: f64) -> bool {
        self.known() == Some(value)
    }

    /// What it is the negative of, if that is how it is written.
    fn negated(&self) -> Option<Self> {
        match self.node() {
            Node::Unary(Unary::Neg, inner) => Some(self.part(inner)),
            _ => None,
        }
    }

    /// Constant factor and the rest.
    fn factor(&self) -> (f64, Self) {
        match self.node() {
            Node::Unary(Unary::Neg, inner) => {
                let (factor, rest) = self.part(inner).factor();
                (-factor, rest)
            }
            Node::WithConstant(Binary::Mul, inner, Constant(c)) => (c, self.part(inner)),
            _ => (1.0, *self),
        }
    }
}

/// `x` times `factor`.
fn scaled<'r>(x: Trace<'r>, factor: f64) -> Trace<'r> {
    if let Some(known) = x.known() {
        return x.constant(known * factor);
    }
    match factor {
        0.0 => x.constant(0.0),
        1.0 => x,
        -1.0 => -x,
        _ => x * factor,
    }
}

fn neg<'r>(x: Trace<'r>) -> Trace<'r> {
    match x.node() {
        Node::Binary(Binary::Sub, a, b) => x.part(b) - x.part(a),
        _ => {
            let (factor, rest) = x.factor();
            scaled(rest, -factor)
        }
    }
}

/// e^(−x²), with a factor of x taken out.
fn gaussian<'r>(x: Trace<'r>) -> Trace<'r> {
    let (factor, rest) = x.factor();
    scaled(rest.square(), -factor * factor).exp()
}

fn binary<'r>(op: Binary, a: Trace<'r>, b: Trace<'r>) -> Trace<'r> {
    match op {
        Binary::Add => sum(a, b),
        Binary::Sub => sum(a, neg(b)),
        Binary::Mul => product(a, b),
        Binary::Div => quotient(a, b),
    }
}

fn sum<'r>(a: Trace<'r>, b: Trace<'r>) -> Trace<'r> {
    if a.is(0.0) {
        return b;
    }
    if b.is(0.0) {
        return a;
    }
    // Multiples of one term are one.
    let ((one, rest), (other, same)) = (a.factor(), b.factor());
    if rest.id == same.id && a.known().is_none() {
        return scaled(rest, one + other);
    }
    // Constants go to the end, where they are one.
    match (a.node(), b.node()) {
        (Node::WithConstant(Binary::Add, inner, Constant(c)), Node::Constant(Constant(more))) => {
            return sum(a.part(inner), a.constant(c + more));
        }
        (Node::WithConstant(Binary::Add, inner, Constant(c)), _) => {
            return sum(sum(a.part(inner), b), a.constant(c));
        }
        (_, Node::WithConstant(Binary::Add, inner, Constant(c))) => {
            return sum(sum(a, b.part(inner)), a.constant(c));
        }
        _ => {}
    }
    match (a.negated(), b.negated()) {
        (_, Some(b)) => a - b,
        (Some(a), _) if b.known().is_none() => b - a,
        _ => a + b,
    }
}

fn product<'r>(a: Trace<'r>, b: Trace<'r>) -> Trace<'r> {
    let ((one, a), (other, b)) = (a.factor(), b.factor());
    let factor = one * other;
    let (factor, rest) = match (a.known(), b.known()) {
        (Some(a), Some(_)) => (factor * a, b),
        (Some(a), None) => (factor * a, b),
        (None, Some(b)) => (factor * b, a),
        (None, None) if a.id == b.id => (factor, a.square()),
        (None, None) => (factor, a * b),
    };
    scaled(rest, factor)
}

fn quotient<'r>(a: Trace<'r>, b: Trace<'r>) -> Trace<'r> {
    if a.is(0.0) || b.is(1.0) {
        return a;
    }
    let (factor, rest) = a.factor();
    // x · 6 / 6 is x.
    if let Some(divisor) = b.known() {
        let whole = factor / divisor;
        if whole.fract() == 0.0 {
            return scaled(rest, whole);
        }
    }
    match (a.negated(), b.negated()) {
        (Some(a), Some(b)) => a / b,
        (Some(a), None) => neg(a / b),
        (None, Some(b)) => neg(a / b),
        (None, None) => a / b,
    }
}
