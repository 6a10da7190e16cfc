//! Formulas as text: `x * sigmoid(b * x)`, or gated, `silu(gate) * value`.
//!
//! A text is parsed into a tree, and the tree is computed over [`Trace`], which gives the same graph of operations as a
//! compiled formula has.

mod build;
mod error;
mod lex;
mod parse;

pub(crate) use build::function;
pub use build::functions;
pub use error::FormulaError;

use crate::graph::Graph;
use crate::learning::KEYS;
use crate::registry::FORMULA;
use parse::{Expression, What};
use std::ops::Range;

/// The input of a formula of one.
pub(crate) const X: &str = "x";

/// The inputs of a gated formula.
pub(crate) const GATE_AND_VALUE: [&str; 2] = ["gate", "value"];

/// Words that are no names of parameters.
const RESERVED: [&str; 8] = [X, "gate", "value", "pi", "if", "then", "else", "where"];

/// Whether `name` says something else in the table of an activation.
pub(crate) fn is_key(name: &str) -> bool {
    KEYS.contains(&name) || [FORMULA, "name", "default"].contains(&name)
}

/// A formula that has been read.
#[derive(Debug, Clone, PartialEq)]
pub struct TextFormula {
    text: String,
    tree: Expression,
    gated: bool,
    /// The names that are no input, in the order in which they appear, and where they do first.
    parameters: Vec<(String, Range<usize>)>,
}

impl TextFormula {
    /// Reads `text`.
    ///
    /// # Errors
    /// If it is no formula. Functions and their arguments are checked by [`TextFormula::graph`].
    pub fn parse(text: &str) -> Result<Self, FormulaError> {
        let tree = parse::parse(text)?;
        let mut names = Vec::new();
        collect(&tree, &mut names);
        let error = |span: Range<usize>, reason: &str| FormulaError {
            text: text.to_owned(),
            span,
            reason: reason.to_owned(),
        };
        let find = |name: &str| names.iter().find(|(found, _)| found == name);
        let gates = GATE_AND_VALUE.map(find);
        let gated = match (find(X), gates) {
            (Some((_, span)), [Some(_), _] | [_, Some(_)]) => {
                let reason = "a formula is of `x`, or of `gate` and `value`, not of both";
                return Err(error(span.clone(), reason));
            }
            (Some(_), _) => false,
            (None, [Some(_), Some(_)]) => true,
            (None, [Some((_, span)), None] | [None, Some((_, span))]) => {
                let reason = "a gated formula has `gate` and `value`; one of them is missing";
                return Err(error(span.clone(), reason));
            }
            (None, [None, None]) => {
                let reason = "the formula does not depend on `x` (or on `gate` and `value`)";
                return Err(error(tree.span.clone(), reason));
            }
        };
        names.retain(|(name, _)| !RESERVED.contains(&name.as_str()));
        if let Some((name, span)) = names.iter().find(|(name, _)| is_key(name)) {
            let reason =
                format!("`{name}` is a key of activations: give the parameter another name");
            return Err(error(span.clone(), &reason));
        }
        Ok(Self { text: text.to_owned(), tree, gated, parameters: names })
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it is of `gate` and `value`.
    #[must_use]
    pub fn is_gated(&self) -> bool {
        self.gated
    }

    /// Names of its parameters, in the order in which they appear.
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        self.parameters.iter().map(|(name, _)| name.as_str())
    }

    /// That its parameter `name` has no value.
    pub(crate) fn without_value(&self, name: &str, known: &[&str]) -> FormulaError {
        let span = self.parameters.iter().find(|(other, _)| other == name);
        let inputs = if self.gated { "gate and value" } else { X };
        let reason = format!(
            "`{name}` has no value{}: give one (`{name} = 1.0`), or write an input ({inputs})",
            crate::did_you_mean(&crate::nearest(name, known.iter().copied())),
        );
        let span = span.map_or(0..0, |(_, span)| span.clone());
        FormulaError { text: self.text.clone(), span, reason }
    }

    /// Its operations, with `numbers` as the names of its numbers.
    pub(crate) fn graph(&self, numbers: &[&str]) -> Result<Graph, FormulaError> {
        build::graph(self, numbers)
    }
}

/// Every name of `tree` that is no function, once.
fn collect(tree: &Expression, names: &mut Vec<(String, Range<usize>)>) {
    match &tree.what {
        What::Number(_) => {}
        What::Name(name) => {
            if !names.iter().any(|(other, _)| other == name) {
                names.push((name.clone(), tree.span.clone()));
            }
        }
        What::Negative(inner) | What::Power(inner, _) => collect(inner, names),
        What::Binary(_, a, b) => [a, b].into_iter().for_each(|part| collect(part, names)),
        What::Call { arguments, named, .. } => {
            let named = named.iter().map(|(.., value)| value);
            arguments.iter().chain(named).for_each(|part| collect(part, names));
        }
        What::If(condition) => {
            let parts = [&condition.left, &condition.right, &condition.then, &condition.otherwise];
            parts.into_iter().for_each(|part| collect(part, names));
        }
    }
}
