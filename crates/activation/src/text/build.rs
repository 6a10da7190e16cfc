//! From the tree of a formula to its operations.

use super::parse::{Comparison, Condition, Expression, Operator, What};
use super::{FormulaError, GATE_AND_VALUE, TextFormula, X};
use crate::graph::{Graph, Trace};
use crate::registry;
use crate::{Algebra, did_you_mean, nearest};
use std::cell::Cell;
use std::f64::consts::PI;
use std::ops::Range;

/// Most operations of a formula.
const MOST_OPERATIONS: usize = 1000;

/// Deepest nesting of activations that are formulas of other activations.
const DEEPEST: usize = 8;

thread_local! {
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// A function of formulas.
struct Function {
    name: &'static str,
    arguments: usize,
    call: for<'r> fn(&[Trace<'r>]) -> Trace<'r>,
}

macro_rules! functions {
    ($($name:ident $arguments:literal |$a:ident| $call:expr;)*) => {
        &[$(Function { name: stringify!($name), arguments: $arguments, call: |$a| $call },)*]
    };
}

/// The functions of formulas; `log`, `expm1` and `log1p` are other names of some.
const FUNCTIONS: &[Function] = functions! {
    abs 1 |a| a[0].abs();
    atan 1 |a| a[0].atan();
    clamp 3 |a| larger(smaller(a[0], a[2]), a[1]);
    cos 1 |a| a[0].cos();
    erf 1 |a| a[0].erf();
    erfc 1 |a| a[0].erfc();
    exp 1 |a| a[0].exp();
    exp_m1 1 |a| a[0].exp_m1();
    expm1 1 |a| a[0].exp_m1();
    ln 1 |a| a[0].ln();
    ln_1p 1 |a| a[0].ln_1p();
    log 1 |a| a[0].ln();
    log1p 1 |a| a[0].ln_1p();
    max 2 |a| larger(a[0], a[1]);
    min 2 |a| smaller(a[0], a[1]);
    sigmoid 1 |a| a[0].sigmoid();
    sin 1 |a| a[0].sin();
    softplus 1 |a| a[0].softplus();
    sqrt 1 |a| a[0].sqrt();
    square 1 |a| a[0].square();
    tanh 1 |a| a[0].tanh();
};

/// Names of the functions that formulas may call beside registered activations.
pub fn functions() -> impl Iterator<Item = &'static str> {
    FUNCTIONS.iter().map(|function| function.name)
}

/// The function called `name`, and how many arguments it takes.
pub(crate) fn function(name: &str) -> Option<(&'static str, usize)> {
    let found = FUNCTIONS.iter().find(|function| function.name == name)?;
    Some((found.name, found.arguments))
}

fn larger<'r>(a: Trace<'r>, b: Trace<'r>) -> Trace<'r> {
    match (a.known(), b.known()) {
        (_, Some(bound)) if bound.is_nan() => b,
        (Some(bound), _) if bound.is_nan() => a,
        (_, Some(bound)) => a.max(bound),
        (Some(bound), _) => b.max(bound),
        // What cannot be compared is the last branch, which is `a`.
        _ if b.may_be_nan() => chosen(a - b, 0.0, b, a, a + b),
        _ => (a - b).select(0.0, b, a),
    }
}

fn smaller<'r>(a: Trace<'r>, b: Trace<'r>) -> Trace<'r> {
    match (a.known(), b.known()) {
        (_, Some(bound)) if bound.is_nan() => b,
        (Some(bound), _) if bound.is_nan() => a,
        (_, Some(bound)) => a.min(bound),
        (Some(bound), _) => b.min(bound),
        _ if a.may_be_nan() => chosen(a - b, 0.0, a, b, a + b),
        _ => (a - b).select(0.0, a, b),
    }
}

/// `at_most` where `compared` is at most `threshold`, `above` where it is greater, and `neither` where it is NaN.
fn chosen<'r>(
    compared: Trace<'r>,
    threshold: f64,
    at_most: Trace<'r>,
    above: Trace<'r>,
    neither: Trace<'r>,
) -> Trace<'r> {
    compared.select(threshold, at_most, (-compared).select(-threshold, above, neither))
}

/// The operations of `formula`, with `numbers` as the names of its numbers.
pub(super) fn graph(formula: &TextFormula, numbers: &[&str]) -> Result<Graph, FormulaError> {
    let names: &[&str] = if formula.is_gated() { &GATE_AND_VALUE } else { &[X] };
    let deep = DEPTH.get();
    if deep >= DEEPEST {
        let reason = format!("activations refer to each other more than {DEEPEST} deep");
        return Err(FormulaError { text: formula.text.clone(), span: 0..0, reason });
    }
    DEPTH.set(deep + 1);
    let mut failed = None;
    let graph = Graph::trace(names.len(), numbers.len(), |inputs, values| {
        let inputs = names.iter().copied().zip(inputs.iter().cloned());
        let values = numbers.iter().copied().zip(values.iter().cloned());
        let scope = Scope { text: &formula.text, names: inputs.chain(values).collect() };
        scope.value(&formula.tree).map_or_else(
            |error| {
                failed = Some(error);
                Vec::new()
            },
            |value| vec![value],
        )
    });
    DEPTH.set(deep);
    if let Some(error) = failed {
        return Err(error);
    }
    let graph = keeping_nan(graph, names.len(), numbers.len());
    if graph.operations() > MOST_OPERATIONS {
        let reason = format!(
            "the formula has {} operations, but at most {MOST_OPERATIONS} are supported",
            graph.operations()
        );
        return Err(FormulaError { text: formula.text.clone(), span: 0..0, reason });
    }
    Ok(graph)
}

/// The graph with NaN for an input that is NaN, where a comparison would have hidden it.
fn keeping_nan(graph: Graph, inputs: usize, numbers: usize) -> Graph {
    // Other inputs and numbers may decide which branch is taken.
    const OTHERS: [f64; 8] = [1.0, -1.0, 0.3, -0.3, 5.0, -5.0, 40.0, -40.0];
    let hidden = |place: usize| {
        OTHERS.iter().any(|others| {
            OTHERS.iter().any(|number| {
                let input = |other| if other == place { f64::NAN } else { *others };
                let inputs: Vec<f64> = (0..inputs).map(input).collect();
                !graph.eval(&inputs, &vec![*number; numbers]).is_nan()
            })
        })
    };
    let hidden: Vec<usize> = (0..inputs).filter(|place| hidden(*place)).collect();
    if hidden.is_empty() {
        return graph;
    }
    Graph::trace(inputs, numbers, |inputs, numbers| {
        let mut value = graph.eval(inputs, numbers);
        for place in hidden {
            // Every number is at most infinity, and NaN is not.
            let input = inputs[place];
            value = input.select(f64::INFINITY, value, input);
        }
        vec![value]
    })
}

/// What names stand for.
#[derive(Clone)]
struct Scope<'a, 'r> {
    text: &'a str,
    /// Inputs first.
    names: Vec<(&'a str, Trace<'r>)>,
}

impl<'r> Scope<'_, 'r> {
    fn error(&self, span: Range<usize>, reason: impl Into<String>) -> FormulaError {
        FormulaError { text: self.text.to_owned(), span, reason: reason.into() }
    }

    fn value(&self, tree: &Expression) -> Result<Trace<'r>, FormulaError> {
        let any = &self.names[0].1;
        Ok(match &tree.what {
            What::Number(value) => any.constant(*value),
            What::Name(name) if name == "pi" => any.constant(PI),
            What::Name(name) => {
                let found = self.names.iter().find(|(other, _)| other == name);
                let missing = || self.error(tree.span.clone(), format!("`{name}` has no value"));
                found.ok_or_else(missing)?.1
            }
            What::Negative(inner) => -self.value(inner)?,
            What::Binary(operator, a, b) => {
                let (a, b) = (self.value(a)?, self.value(b)?);
                match operator {
                    Operator::Add => a + b,
                    Operator::Sub => a - b,
                    Operator::Mul => a * b,
                    Operator::Div => a / b,
                }
            }
            What::Power(base, exponent) => self.value(base)?.powi(*exponent),
            What::Call { function, name, arguments, named } => {
                self.call(function, name, arguments, named)?
            }
            What::If(condition) => self.condition(condition)?,
        })
    }

    fn call(
        &self,
        function: &str,
        name: &Range<usize>,
        arguments: &[Expression],
        named: &[(String, Range<usize>, Expression)],
    ) -> Result<Trace<'r>, FormulaError> {
        let known = FUNCTIONS.iter().find(|known| known.name == function);
        let count = known.map_or(1, |known| known.arguments);
        let registered = if known.is_some() { None } else { registry::find(function).ok() };
        if known.is_none() && registered.is_none() {
            let activations = registry::all();
            let activations = activations.iter().map(|entry| entry.name.as_str());
            let near = nearest(function, functions().chain(activations));
            let near = did_you_mean(&near);
            let all: Vec<&str> = functions().collect();
            let reason = format!(
                "there is no function `{function}`{near}; there are {}, and every pointwise activation",
                all.join(", ")
            );
            return Err(self.error(name.clone(), reason));
        }
        if arguments.len() != count {
            let reason = format!("`{function}` takes {}, not {}", counted(count), arguments.len());
            return Err(self.error(name.clone(), reason));
        }
        let values: Vec<Trace<'r>> =
            arguments.iter().map(|argument| self.value(argument)).collect::<Result<_, _>>()?;
        if let Some(known) = known {
            if let Some((parameter, at, _)) = named.first() {
                let reason = format!("`{function}` has no parameter `{parameter}`");
                return Err(self.error(at.clone(), reason));
            }
            if function == "clamp"
                && let (Some(low), Some(high)) = (values[1].known(), values[2].known())
                && low > high
            {
                let reason = format!(
                    "the lower bound of `clamp` is {low}, above the upper bound {high}: write `clamp(…, {high}, {low})`"
                );
                return Err(self.error(name.clone(), reason));
            }
            return Ok((known.call)(&values));
        }
        let wrong = |reason: String| self.error(name.clone(), reason);
        let mut given = Vec::new();
        for (parameter, at, value) in named {
            if given.iter().any(|(other, _): &(&str, Trace<'_>)| other == parameter) {
                return Err(self.error(at.clone(), format!("duplicate parameter `{parameter}`")));
            }
            given.push((parameter.as_str(), self.value(value)?));
        }
        registry::call(function, values[0], &given).map_err(wrong)
    }

    /// Both branches are computed everywhere. Where the condition compares an input with what depends on none, each branch
    /// sees that bound in the place of the input where the branch is not taken, so that nothing overflows there.
    fn condition(&self, condition: &Condition) -> Result<Trace<'r>, FormulaError> {
        let Condition { left, comparison, right, then, otherwise } = condition;
        let is_input = |tree: &Expression| match &tree.what {
            What::Name(name) => self.input(name),
            _ => None,
        };
        // `0 < x` is `x > 0`.
        let (left, comparison, right) = match (is_input(left), is_input(right)) {
            (None, Some(_)) => (right, comparison.mirrored(), left),
            _ => (left, *comparison, right),
        };
        let (a, b) = (self.value(left)?, self.value(right)?);
        let guarded = is_input(left).filter(|_| !self.depends_on_input(right));
        let choice = Choice::new(comparison, a, b);
        let branch = |tree: &Expression, taken: bool| {
            let Some(place) = guarded else { return self.value(tree) };
            let mut scope = self.clone();
            let input = if taken { choice.choose(a, b) } else { choice.choose(b, a) };
            if may_overflow(tree) {
                scope.names[place].1 = input;
            }
            scope.value(tree)
        };
        let (then, otherwise) = (branch(then, true)?, branch(otherwise, false)?);
        Ok(choice.choose(then, otherwise))
    }

    /// Whether an input is part of `tree`.
    fn depends_on_input(&self, tree: &Expression) -> bool {
        let mut names = Vec::new();
        super::collect(tree, &mut names);
        names.iter().any(|(name, _)| self.input(name).is_some())
    }

    /// The place of the input called `name`.
    fn input(&self, name: &str) -> Option<usize> {
        let is_input = name == X || GATE_AND_VALUE.contains(&name);
        self.names.iter().position(|(other, _)| *other == name).filter(|_| is_input)
    }
}

/// A comparison that decides between two values.
struct Choice<'r> {
    compared: Trace<'r>,
    threshold: f64,
    /// Whether the condition holds where `compared` is at most `threshold`.
    at_most: bool,
    /// Whether `compared` may be NaN where inputs and numbers are finite.
    may_be_nan: bool,
}

impl<'r> Choice<'r> {
    fn new(comparison: Comparison, a: Trace<'r>, b: Trace<'r>) -> Self {
        let (compared, threshold) = match (a.known(), b.known()) {
            (_, Some(bound)) => (a, bound),
            _ => (a - b, 0.0),
        };
        let may_be_nan = compared.may_be_nan();
        // a ≥ b is −a ≤ −b.
        let mirrored = matches!(comparison, Comparison::AtLeast | Comparison::Less);
        let (compared, threshold) =
            if mirrored { (-compared, -threshold) } else { (compared, threshold) };
        let at_most = matches!(comparison, Comparison::AtMost | Comparison::AtLeast);
        Self { compared, threshold, at_most, may_be_nan }
    }

    /// NaN where a side of the comparison is NaN: then neither branch is right.
    fn choose(&self, then: Trace<'r>, otherwise: Trace<'r>) -> Trace<'r> {
        let (at_most, above) = if self.at_most { (then, otherwise) } else { (otherwise, then) };
        let Self { compared, threshold, .. } = *self;
        if threshold.is_nan() {
            return compared.constant(threshold);
        }
        if self.may_be_nan {
            return chosen(compared, threshold, at_most, above, compared);
        }
        compared.select(threshold, at_most, above)
    }
}

/// Whether a tree has more than sums and products.
fn may_overflow(tree: &Expression) -> bool {
    match &tree.what {
        What::Number(_) | What::Name(_) => false,
        What::Negative(inner) | What::Power(inner, _) => may_overflow(inner),
        What::Binary(operator, a, b) => {
            *operator == Operator::Div || may_overflow(a) || may_overflow(b)
        }
        What::Call { .. } | What::If(_) => true,
    }
}

fn counted(arguments: usize) -> String {
    match arguments {
        1 => "one argument".to_owned(),
        2 => "two arguments".to_owned(),
        many => format!("{many} arguments"),
    }
}
