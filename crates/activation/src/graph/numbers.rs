//! Which values an operation may have where inputs and numbers of the formula are finite: whether NaN is among them.
//!
//! Sums and products of finite numbers count as finite, however large they are. What grows as an exponential does is
//! taken to overflow, and 0 · ∞ is 0, as the reference has it.

use super::{Binary, Constant, Id, Node, Trace, Unary};
use crate::Algebra;
use std::f64::consts::FRAC_PI_2;

/// Inputs from where on an exponential overflows in single precision.
const OVERFLOWS: f64 = 88.0;

/// The values of a node.
#[derive(Debug, Clone, Copy)]
struct Values {
    low: f64,
    high: f64,
    /// Whether −∞ and ∞ are among them, and not only ever larger numbers.
    infinite: [bool; 2],
    nan: bool,
}

impl Values {
    /// Every finite number.
    const FINITE: Self = Self::between(f64::NEG_INFINITY, f64::INFINITY);

    const fn between(low: f64, high: f64) -> Self {
        Self { low, high, infinite: [false; 2], nan: false }
    }

    fn constant(value: f64) -> Self {
        if value.is_nan() {
            return Self { nan: true, ..Self::FINITE };
        }
        Self {
            infinite: [value == f64::NEG_INFINITY, value == f64::INFINITY],
            ..Self::between(value, value)
        }
    }

    fn is_infinite(self) -> bool {
        self.infinite[0] || self.infinite[1]
    }

    fn has_zero(self) -> bool {
        self.low <= 0.0 && self.high >= 0.0
    }

    fn or_nan(self, nan: bool) -> Self {
        Self { nan: self.nan || nan, ..self }
    }

    /// The values of both.
    fn or(self, other: Self) -> Self {
        Self {
            low: self.low.min(other.low),
            high: self.high.max(other.high),
            infinite: [0, 1].map(|end| self.infinite[end] || other.infinite[end]),
            nan: self.nan || other.nan,
        }
    }

    fn negated(self) -> Self {
        let [low, high] = self.infinite;
        Self { low: -self.high, high: -self.low, infinite: [high, low], nan: self.nan }
    }

    fn plus(self, other: Self) -> Self {
        let opposite =
            self.infinite[0] && other.infinite[1] || self.infinite[1] && other.infinite[0];
        let (low, high) = (self.low + other.low, self.high + other.high);
        Self {
            low: if low.is_nan() { f64::NEG_INFINITY } else { low },
            high: if high.is_nan() { f64::INFINITY } else { high },
            infinite: [0, 1].map(|end| self.infinite[end] || other.infinite[end]),
            nan: self.nan || other.nan || opposite,
        }
    }

    fn times(self, other: Self) -> Self {
        let product = |a: f64, b: f64| if a == 0.0 || b == 0.0 { 0.0 } else { a * b };
        let ends = [self.low, self.high].map(|a| [other.low, other.high].map(|b| product(a, b)));
        let ends = ends.as_flattened();
        let low = ends.iter().copied().fold(f64::INFINITY, f64::min);
        let high = ends.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let infinite = self.is_infinite() || other.is_infinite();
        Self {
            low,
            high,
            infinite: [infinite && low < 0.0, infinite && high > 0.0],
            nan: self.nan || other.nan,
        }
    }

    /// The quotient: 0/0 and ∞/∞ are NaN.
    fn over(self, other: Self) -> Self {
        let nan = self.nan || other.nan || self.is_infinite() && other.is_infinite();
        if other.has_zero() {
            return Self { infinite: [true; 2], nan: nan || self.has_zero(), ..Self::FINITE };
        }
        let (a, b) = (1.0 / other.low, 1.0 / other.high);
        self.times(Self::between(a.min(b), a.max(b))).or_nan(nan)
    }

    fn square(self) -> Self {
        let (a, b) = (self.low * self.low, self.high * self.high);
        let low = if self.has_zero() { 0.0 } else { a.min(b) };
        let infinite = [false, self.is_infinite()];
        Self { infinite, nan: self.nan, ..Self::between(low, a.max(b)) }
    }

    /// What `f` makes of them, which rises and has NaN below `from` alone; `infinite` where it is so for a finite argument.
    fn rising(self, from: f64, infinite: [bool; 2], f: impl Fn(f64) -> f64) -> Self {
        let (low, high) = (f(self.low.max(from)), f(self.high.max(from)));
        Self {
            low,
            high,
            infinite: [
                infinite[0] || self.infinite[0] && low == f64::NEG_INFINITY,
                infinite[1] || self.infinite[1] && high == f64::INFINITY,
            ],
            nan: self.nan || self.low < from,
        }
    }

    /// What `f` makes of them, which rises everywhere and is finite for finite arguments.
    fn always_rising(self, f: impl Fn(f64) -> f64) -> Self {
        self.rising(f64::NEG_INFINITY, [false; 2], f)
    }

    fn of_unary(self, f: Unary) -> Self {
        let overflows = [false, self.high > OVERFLOWS];
        let everywhere = f64::NEG_INFINITY;
        match f {
            Unary::Neg => self.negated(),
            Unary::Exp => self.rising(everywhere, overflows, Algebra::exp),
            Unary::ExpM1 => self.rising(everywhere, overflows, Algebra::exp_m1),
            Unary::Ln => self.rising(0.0, [self.low <= 0.0, false], Algebra::ln),
            Unary::Ln1p => self.rising(-1.0, [self.low <= -1.0, false], Algebra::ln_1p),
            Unary::Sqrt => self.rising(0.0, [false; 2], Algebra::sqrt),
            Unary::Sin | Unary::Cos => {
                Self::between(-1.0, 1.0).or_nan(self.nan || self.is_infinite())
            }
            Unary::Tanh => self.always_rising(Algebra::tanh),
            Unary::Atan => Self::between(-FRAC_PI_2, FRAC_PI_2).or_nan(self.nan),
            Unary::Erf => self.always_rising(Algebra::erf),
            Unary::Erfc => Self::between(0.0, 2.0).or_nan(self.nan),
            Unary::Gaussian => Self::between(0.0, 1.0).or_nan(self.nan),
            Unary::Sigmoid => self.always_rising(Algebra::sigmoid),
            Unary::Softplus => self.always_rising(Algebra::softplus),
            Unary::Square => self.square(),
            Unary::Abs => {
                let low = if self.has_zero() { 0.0 } else { self.low.abs().min(self.high.abs()) };
                let infinite = [false, self.is_infinite()];
                let high = self.low.abs().max(self.high.abs());
                Self { infinite, nan: self.nan, ..Self::between(low, high) }
            }
        }
    }

    fn of_binary(self, op: Binary, other: Self) -> Self {
        match op {
            Binary::Add => self.plus(other),
            Binary::Sub => self.plus(other.negated()),
            Binary::Mul => self.times(other),
            Binary::Div => self.over(other),
        }
    }
}

/// The values of each of `nodes`.
fn values(nodes: &[Node]) -> Vec<Values> {
    let mut known: Vec<Values> = Vec::with_capacity(nodes.len());
    for node in nodes {
        let at = |id: Id| known[id];
        known.push(match *node {
            Node::Input(_) | Node::Number(_) => Values::FINITE,
            Node::Constant(Constant(value)) => Values::constant(value),
            Node::Unary(f, x) => at(x).of_unary(f),
            Node::Binary(Binary::Mul, a, b) if a == b => at(a).square(),
            Node::Binary(op, a, b) => at(a).of_binary(op, at(b)),
            Node::WithConstant(op, x, Constant(value)) => {
                at(x).of_binary(op, Values::constant(value))
            }
            Node::MulAdd(a, b, c) => at(a).times(at(b)).plus(at(c)),
            Node::Select { at_most, above, .. } => at(at_most).or(at(above)),
            Node::Max(x, Constant(bound)) => at(x).always_rising(|x| x.max(bound)),
            Node::Min(x, Constant(bound)) => at(x).always_rising(|x| x.min(bound)),
        });
    }
    known
}

impl Trace<'_> {
    /// Whether it may be NaN where inputs and numbers are finite.
    pub(crate) fn may_be_nan(&self) -> bool {
        let nodes = &self.recorder.borrow().nodes;
        values(&nodes[..=self.id]).last().is_some_and(|values| values.nan)
    }
}

#[cfg(test)]
mod tests {
    use crate::TextFormula;
    use crate::graph::Graph;

    fn may_be_nan(text: &str) -> bool {
        let graph = TextFormula::parse(text).unwrap().graph(&[]).unwrap();
        let mut found = false;
        let _ = Graph::trace(1, 0, |inputs, numbers| {
            let value = graph.eval(inputs, numbers);
            found = value.may_be_nan();
            vec![value]
        });
        found
    }

    #[test]
    fn what_may_be_nan_at_a_number_is_known() {
        for text in [
            "sqrt(x)",
            "ln(x)",
            "ln_1p(2 * x)",
            "1 / x * x / x",
            "x / tanh(x)",
            "exp(x) - exp(2 * x)",
            "sin(exp(x))",
            "sqrt(x^2 - 1)",
            "x + ln(tanh(x))",
            "sqrt(1 - x^2)",
            "exp(x) / exp(x)",
        ] {
            assert!(may_be_nan(text), "{text}");
        }
        for text in [
            "x",
            "x^3 - 2 * x * x + 1",
            "x * exp(x)",
            "exp(x) + exp(-x)",
            "x - exp(x)",
            "sqrt(x^2)",
            "sqrt(1 + x * x)",
            "sqrt(abs(x))",
            "ln_1p(exp(x))",
            "sqrt(1 - tanh(x)^2)",
            "x / (1 + abs(x))",
            "1 / (x^2 + 1)",
            "x / 2",
            "ln(sigmoid(x))",
            "max(x, 0) - min(x, 1)",
            "sin(x) * atan(x) - erf(x) * softplus(x)",
            "exp(min(x, 20)) - exp(min(2 * x, 20))",
        ] {
            assert!(!may_be_nan(text), "{text}");
        }
    }
}
