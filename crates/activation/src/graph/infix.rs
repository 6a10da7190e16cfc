//! A graph as infix text, for reading.

use super::simplify::{Bounds, Pieces, simplified};
use super::{Binary, Graph, Id, Node, Unary};

/// Longest text of a shared part that is repeated instead of named.
const SHORT: usize = 6;

/// A formula as text: shared parts with names, and the whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Infix {
    /// Parts that occur more than once: a name and its text, each after those that it refers to.
    pub shared: Vec<(String, String)>,
    /// The formula.
    pub result: String,
}

impl Infix {
    /// One line for each shared part, as in `a = sigmoid(x)`, and one for the formula.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let shared = self.shared.iter().map(|(name, text)| format!("{name} = {text}"));
        shared.chain([self.result.clone()]).collect()
    }
}

/// How strongly the outermost operation of a text binds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Strength {
    If,
    Sum,
    Product,
    Sign,
    Atom,
}

/// A text without its sign.
struct Text {
    negative: bool,
    text: String,
    strength: Strength,
}

impl Text {
    fn new(text: impl Into<String>, strength: Strength) -> Self {
        Self { negative: false, text: text.into(), strength }
    }

    fn with_sign(mut self, negative: bool) -> Self {
        self.negative ^= negative;
        self
    }

    /// With its sign, and in brackets where it binds less than `strength`.
    fn at(&self, strength: Strength) -> String {
        match self.negative {
            true if strength >= Strength::Product => {
                format!("(-{})", self.unsigned(Strength::Product))
            }
            true => format!("-{}", self.unsigned(Strength::Product)),
            false => self.unsigned(strength),
        }
    }

    fn unsigned(&self, strength: Strength) -> String {
        if self.strength < strength { format!("({})", self.text) } else { self.text.clone() }
    }
}

/// At most ten significant digits.
fn constant(value: f64) -> Text {
    let rounded: f64 = format!("{:.9e}", value.abs()).parse().unwrap_or(value.abs());
    let plain = rounded == 0.0 || (1e-5..1e10).contains(&rounded) || !rounded.is_finite();
    let text = if plain { rounded.to_string() } else { format!("{rounded:e}") };
    Text::new(text, Strength::Atom).with_sign(value.is_sign_negative() && rounded != 0.0)
}

struct Printer<'a> {
    graph: &'a Graph,
    inputs: &'a [&'a str],
    numbers: &'a [&'a str],
    /// Names of shared nodes.
    names: Vec<Option<String>>,
}

impl Printer<'_> {
    /// The text of a node, or its name.
    fn text(&self, id: Id) -> Text {
        match &self.names[id] {
            Some(name) => Text::new(name.clone(), Strength::Atom),
            None => self.written(id),
        }
    }

    fn sum(&self, a: &Text, negative: bool, b: Text) -> Text {
        let b = b.with_sign(negative);
        // A positive term goes first.
        let (first, second) = if a.negative && !b.negative { (&b, a) } else { (a, &b) };
        // So does one before a sum that begins with a sign: 1 - x - y.
        if let (false, Strength::Sum, Some(rest)) =
            (b.negative, a.strength, a.text.strip_prefix('-').filter(|_| !a.negative))
        {
            return Text::new(format!("{} - {rest}", b.unsigned(Strength::Sum)), Strength::Sum);
        }
        let sign = if second.negative { '-' } else { '+' };
        let least = if second.negative { Strength::Product } else { Strength::Sum };
        let second = second.unsigned(least);
        Text::new(format!("{} {sign} {second}", first.at(Strength::Sum)), Strength::Sum)
    }

    fn product(&self, a: &Text, b: &Text) -> Text {
        let text = format!("{} * {}", a.unsigned(Strength::Product), b.unsigned(Strength::Product));
        Text::new(text, Strength::Product).with_sign(a.negative ^ b.negative)
    }

    fn quotient(&self, a: &Text, b: &Text) -> Text {
        let text = format!("{} / {}", a.unsigned(Strength::Product), b.unsigned(Strength::Atom));
        Text::new(text, Strength::Product).with_sign(a.negative ^ b.negative)
    }

    fn call(&self, name: &str, arguments: &[Text]) -> Text {
        let arguments: Vec<String> = arguments.iter().map(|one| one.at(Strength::If)).collect();
        Text::new(format!("{name}({})", arguments.join(", ")), Strength::Atom)
    }

    fn written(&self, id: Id) -> Text {
        let name = |names: &[&str], i: usize| {
            let name = names.get(i).map_or_else(|| format!("n{i}"), |name| (*name).to_owned());
            Text::new(name, Strength::Atom)
        };
        match self.graph.nodes[id] {
            Node::Input(i) => name(self.inputs, i),
            Node::Number(i) => name(self.numbers, i),
            Node::Constant(value) => constant(value.0),
            Node::Unary(Unary::Neg, x) => self.text(x).with_sign(true),
            Node::Unary(Unary::Square, x) => {
                Text::new(format!("{}^2", self.text(x).at(Strength::Atom)), Strength::Sign)
            }
            Node::Unary(Unary::Gaussian, x) => {
                let square = format!("-{}^2", self.text(x).at(Strength::Atom));
                self.call("exp", &[Text::new(square, Strength::If)])
            }
            Node::Unary(f, x) => self.call(f.name(), &[self.text(x)]),
            Node::Binary(Binary::Mul, a, b) => {
                let mut factors = Vec::new();
                [a, b].into_iter().for_each(|factor| self.factors(factor, &mut factors));
                // Numbers go before what they multiply.
                factors.sort_by_key(|factor| !matches!(self.graph.nodes[*factor], Node::Number(_)));
                let texts = factors.into_iter().map(|factor| self.text(factor));
                let product = texts.reduce(|a, b| self.product(&a, &b));
                product.unwrap_or_else(|| Text::new("1", Strength::Atom))
            }
            Node::Binary(op, a, b) => self.binary(op, &self.text(a), self.text(b)),
            Node::WithConstant(Binary::Mul, x, value) => {
                self.product(&constant(value.0), &self.text(x))
            }
            Node::WithConstant(op, x, value) => self.binary(op, &self.text(x), constant(value.0)),
            Node::MulAdd(a, b, c) => {
                let product = self.product(&self.text(a), &self.text(b));
                self.sum(&product, false, self.text(c))
            }
            Node::Select { x, threshold, at_most, above } => {
                let [x, at_most, above] = [x, at_most, above].map(|id| self.text(id));
                let condition = format!(
                    "if {} <= {} then {} else {}",
                    x.at(Strength::Sum),
                    constant(threshold.0).at(Strength::Sum),
                    at_most.at(Strength::Sum),
                    // `else if` needs no brackets.
                    above.at(Strength::If),
                );
                Text::new(condition, Strength::If)
            }
            Node::Max(x, bound) => self.call("max", &[self.text(x), constant(bound.0)]),
            Node::Min(x, bound) => self.call("min", &[self.text(x), constant(bound.0)]),
        }
    }

    /// The factors of a product, of which some may be products without a name themselves.
    fn factors(&self, id: Id, found: &mut Vec<Id>) {
        match self.graph.nodes[id] {
            Node::Binary(Binary::Mul, a, b) if self.names[id].is_none() => {
                self.factors(a, found);
                self.factors(b, found);
            }
            _ => found.push(id),
        }
    }

    fn binary(&self, op: Binary, a: &Text, b: Text) -> Text {
        match op {
            Binary::Add => self.sum(a, false, b),
            Binary::Sub => self.sum(a, true, b),
            Binary::Mul => self.product(a, &b),
            Binary::Div => self.quotient(a, &b),
        }
    }
}

impl Graph {
    /// Its first output as text, with names for inputs and numbers. What is equal for finite inputs is
    /// simplified, and conditions on one input become pieces: `if x <= 0 then … else …`.
    pub(crate) fn infix(&self, inputs: &[&str], numbers: &[&str]) -> Infix {
        let Pieces { ends, graph } = simplified(self, inputs.len(), numbers.len());
        let mut uses = vec![0_usize; graph.nodes.len()];
        for operand in graph.nodes.iter().flat_map(Node::operands).chain(graph.outputs.clone()) {
            uses[operand] += 1;
        }
        let mut printer =
            Printer { graph: &graph, inputs, numbers, names: vec![None; graph.nodes.len()] };
        let mut letters = names(inputs, numbers);
        let mut shared = Vec::new();
        for (id, node) in graph.nodes.iter().enumerate() {
            if uses[id] < 2 || node.operands().is_empty() || graph.outputs == [id] {
                continue;
            }
            let text = printer.text(id).at(Strength::If);
            if text.chars().count() > SHORT
                && let Some(name) = letters.next()
            {
                shared.push((name.clone(), text));
                printer.names[id] = Some(name);
            }
        }
        let at = |place: usize, strength| printer.text(graph.outputs[place]).at(strength);
        let mut result = String::new();
        for (place, end) in ends.iter().enumerate() {
            let end = constant(*end).at(Strength::Sum);
            let x = inputs.first().copied().unwrap_or("x");
            result += &format!("if {x} <= {end} then {} else ", at(place, Strength::Sum));
        }
        result += &at(ends.len(), Strength::If);
        Infix { shared, result }
    }
}

/// Names that are no input, number or function of formulas.
fn names(inputs: &[&str], numbers: &[&str]) -> impl Iterator<Item = String> {
    let taken: Vec<String> = inputs.iter().chain(numbers).map(|name| (*name).to_owned()).collect();
    let letters = ('a'..='z').filter(|c| !matches!(c, 'e' | 'f' | 'x')).map(String::from);
    let more = (1..).map(|i| format!("t{i}"));
    letters.chain(more).filter(move |name| !taken.contains(name))
}

/// The thresholds at which one input decides conditions of `graph`, in ascending order; none where conditions depend on
/// something else.
pub(super) fn thresholds(graph: &Graph) -> Vec<f64> {
    let mut found: Vec<f64> = Vec::new();
    for node in &graph.nodes {
        let condition = node.condition();
        let at = condition.and_then(|(x, threshold)| Bounds::input_at(graph, x, threshold));
        found.extend(at.filter(|at| at.is_finite()));
    }
    found.sort_by(f64::total_cmp);
    found.dedup_by(|a, b| *a == *b);
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TextFormula;

    fn written(text: &str) -> [Vec<String>; 2] {
        let formula = TextFormula::parse(text).unwrap();
        let numbers: Vec<&str> = formula.parameters().collect();
        let inputs: &[&str] = if formula.is_gated() { &["gate", "value"] } else { &["x"] };
        let graph = formula.graph(&numbers).unwrap();
        let slopes = graph.derivatives(inputs.len(), numbers.len()).only(0);
        [graph.infix(inputs, &numbers).lines(), slopes.infix(inputs, &numbers).lines()]
    }

    #[test]
    fn formulas_and_derivatives_are_readable() {
        for (text, formula, derivative) in [
            ("x", &["x"][..], &["1"][..]),
            ("max(x, 0)", &["if x <= 0 then 0 else x"], &["if x <= 0 then 0 else 1"]),
            (
                "x * sigmoid(b * x)",
                &["x * sigmoid(b * x)"],
                &["a = sigmoid(b * x)", "a + b * x * a * (1 - a)"],
            ),
            ("-x^2 + 1 - exp(-x)", &["1 - x^2 - exp(-x)"], &["exp(-x) - 2 * x"]),
            (
                "x * min(max(x + 3, 0), 6) / 6",
                &["if x <= -3 then 0 else if x <= 3 then x * (x + 3) / 6 else x"],
                &["if x <= -3 then 0 else if x <= 3 then (2 * x + 3) / 6 else 1"],
            ),
            (
                "x * clamp(x + 3, 0, 6)",
                &["if x <= -3 then 0 else if x <= 3 then x * (x + 3) else 6 * x"],
                &["if x <= -3 then 0 else if x <= 3 then 2 * x + 3 else 6"],
            ),
            ("abs(x)", &["if x <= 0 then -x else x"], &["if x <= 0 then -1 else 1"]),
            ("tanh(x) * 0.5 - 2", &["0.5 * tanh(x) - 2"], &["0.5 * (1 - tanh(x)^2)"]),
            (
                "sigmoid(gate) * value",
                &["sigmoid(gate) * value"],
                &["a = sigmoid(gate)", "a * (1 - a) * value"],
            ),
            (
                "if x <= 0 then c * exp_m1(x) else x",
                &["if x <= 0 then c * exp_m1(x) else x"],
                &["if x <= 0 then c * (exp_m1(x) + 1) else 1"],
            ),
        ] {
            let [found, slope] = written(text);
            assert_eq!(found, formula, "{text}");
            assert_eq!(slope, derivative, "derivative of {text}");
        }
    }

    /// What is printed is read as the same function.
    #[test]
    fn the_text_is_the_function() {
        for text in [
            "x / (1 + exp(-1.5 * x)) - (x - 3) * (2 - x)",
            "x - (x - (x - 2))",
            "-(x + 1) * -x / (2 * (x^2 + 1))",
            "max(x, -1) * min(x, 2) + abs(x - 1)",
            "if tanh(x) <= 0.5 then x^3 else -x",
            "if max(x, 1) <= 1 then x^2 else -x",
            "if max(tanh(x), 0.5) <= 0.5 then x^2 else -x",
            "if min(x, 1) >= 1 then x^2 else -x",
            "if x < -1 then x else if x <= 1 then x^2 - 2 else exp(-x^2)",
            "softplus(x) / sqrt(1 + x^2) * erf(x) - erfc(-x)",
        ] {
            let formula = TextFormula::parse(text).unwrap();
            let graph = formula.graph(&[]).unwrap();
            for graph in [graph.clone(), graph.derivatives(1, 0).only(0)] {
                let Infix { mut shared, result } = graph.infix(&["x"], &[]);
                // What shared parts stand for is put in their place.
                let mut whole = format!(" {result} + 0 * x ");
                while let Some((name, part)) = shared.pop() {
                    whole = replaced(&whole, &name, &part);
                }
                let read = TextFormula::parse(&whole).unwrap().graph(&[]).unwrap();
                for i in -40..40 {
                    let x = (f64::from(i) + 0.3) / 8.0;
                    let (a, b) = (graph.eval(&[x], &[]), read.eval(&[x], &[]));
                    assert!(
                        (a - b).abs() <= 1e-8 * (1.0 + a.abs()),
                        "{text} at {x}: {a} {b}: {whole}"
                    );
                }
            }
        }
    }

    /// `text` with `part` in brackets for each word `name`.
    fn replaced(text: &str, name: &str, part: &str) -> String {
        let mut out = String::new();
        let mut word = String::new();
        for c in text.chars() {
            if c.is_ascii_alphanumeric() || c == '_' || c == '.' {
                word.push(c);
                continue;
            }
            let word = std::mem::take(&mut word);
            out += &if word == name { format!("({part})") } else { word };
            out.push(c);
        }
        out + &word
    }
}
