//! The formulas that a search may write: symbols, constants, and how large a formula may be.

use crate::experiment::limits::within;
use crate::experiment::words::number;
use activation::{Symbol, Tree, functions};
use actlab_core::stream::Stream;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Operations that a formula may have at most, whatever the experiment says.
const MOST_OPERATIONS: usize = 100;

/// Depth that a formula may have at most.
const DEEPEST: usize = 20;

/// Constants that a grammar may name.
const MOST_CONSTANTS: usize = 1000;

/// Size of a constant at most.
pub(super) const LARGEST: f64 = 1e6;

/// Functions of x where the experiment names none.
const FUNCTIONS: [&str; 9] =
    ["abs", "max", "min", "square", "exp", "sigmoid", "tanh", "softplus", "erf"];

/// The formulas that a search may write.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Grammar {
    /// Functions of one or two arguments, by their names in formulas: `tanh`, `max`; `if` is a condition that compares with
    /// a constant, as in `if x <= 0 then … else …`.
    pub(super) functions: Vec<String>,
    /// Operators: `+`, `-` (also as a sign), `*` and `/`.
    pub(super) operators: Vec<String>,
    /// Constants that formulas begin with. Mutation changes them: by about a third at a time, to three significant digits.
    pub(super) constants: Vec<f64>,
    /// Operations of a formula at most, as it is written.
    pub(super) max_operations: usize,
    /// Operations that are nested in one another at most.
    pub(super) depth: usize,
    /// Whether formulas are gates: a network then has `f(gate) * value`, and what is searched is `f`.
    pub(super) gated: bool,
}

impl Default for Grammar {
    fn default() -> Self {
        Self {
            functions: FUNCTIONS.map(str::to_owned).to_vec(),
            operators: ["+", "-", "*", "/"].map(str::to_owned).to_vec(),
            constants: vec![0.0, 0.5, 1.0, 2.0],
            max_operations: 8,
            depth: 5,
            gated: false,
        }
    }
}

/// A key and what is wrong with it.
type Refusal = (String, String);

impl Grammar {
    /// The grammar as it is used.
    ///
    /// # Errors
    /// A key below `grammar`, and what is wrong with it.
    pub(super) fn rules(&self) -> Result<Rules, Refusal> {
        let refuse = |key: &str, message: String| Err((key.to_owned(), message));
        let mut symbols = Vec::new();
        for (i, operator) in self.operators.iter().enumerate() {
            let key = format!("operators[{i}]");
            let own: &[Symbol] = match operator.as_str() {
                "+" => &[Symbol::Add],
                "-" => &[Symbol::Sub, Symbol::Negative],
                "*" => &[Symbol::Mul],
                "/" => &[Symbol::Div],
                other => {
                    return refuse(
                        &key,
                        format!("`{other}` is no operator; there are +, -, * and /"),
                    );
                }
            };
            if symbols.contains(&own[0]) {
                return refuse(&key, format!("duplicate operator `{operator}`"));
            }
            symbols.extend(own);
        }
        for (i, name) in self.functions.iter().enumerate() {
            let key = format!("functions[{i}]");
            let symbol = function(name).map_err(|message| (key.clone(), message))?;
            if symbols.contains(&symbol) {
                return refuse(&key, format!("duplicate function `{name}`"));
            }
            symbols.push(symbol);
        }
        let functions = |symbol: &Symbol| matches!(symbol, Symbol::Function(_) | Symbol::AtMost(_));
        if !symbols.iter().any(functions) {
            return refuse(
                "functions",
                "must name one function or more: without any, formulas are no activations".into(),
            );
        }
        within(self.constants.len(), MOST_CONSTANTS, "constants")
            .map_err(|message| ("constants".to_owned(), message))?;
        for (i, constant) in self.constants.iter().enumerate() {
            if constant.abs() > LARGEST {
                let message =
                    format!("must be from -{LARGEST} to {LARGEST}, not {}", number(*constant));
                return refuse(&format!("constants[{i}]"), message);
            }
        }
        let whole = |key: &str, value: usize, most: usize| match (1..=most).contains(&value) {
            true => Ok(()),
            false => Err((key.to_owned(), format!("must be from 1 to {most}, not {value}"))),
        };
        whole("max_operations", self.max_operations, MOST_OPERATIONS)?;
        whole("depth", self.depth, DEEPEST)?;
        Ok(Rules {
            symbols,
            constants: self.constants.clone(),
            max_operations: self.max_operations,
            depth: self.depth,
            gated: self.gated,
        })
    }

    /// The grammar as reports show it.
    pub(super) fn shown(&self) -> analysis::Grammar {
        analysis::Grammar {
            functions: self.functions.clone(),
            operators: self.operators.clone(),
            constants: self.constants.clone(),
            max_operations: self.max_operations,
            depth: self.depth,
            gated: self.gated,
        }
    }
}

/// The symbol of a function's name.
fn function(name: &str) -> Result<Symbol, String> {
    if name == "if" {
        return Ok(Symbol::AtMost(0.0));
    }
    let Some(symbol) = Symbol::function(name) else {
        let known = || functions().chain(["if"]);
        let near = activation::did_you_mean(&activation::nearest(name, known()));
        let usable = known().filter(|name| *name == "if" || function(name).is_ok());
        let usable: Vec<&str> = usable.collect();
        return Err(format!(
            "there is no function `{name}`{near}; there are {}",
            usable.join(", ")
        ));
    };
    match symbol.parts() {
        1 | 2 => Ok(symbol),
        more => Err(format!(
            "`{name}` takes {more} arguments; a search uses functions of one or two, such as max and min"
        )),
    }
}

/// A grammar that was checked.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    /// Operators and functions.
    symbols: Vec<Symbol>,
    pub(super) constants: Vec<f64>,
    max_operations: usize,
    depth: usize,
    pub(super) gated: bool,
}

/// Whether two symbols are one but for their constant.
fn alike(a: Symbol, b: Symbol) -> bool {
    a == b || matches!((a, b), (Symbol::AtMost(_), Symbol::AtMost(_)))
}

impl Rules {
    /// What `tree` has that the grammar lacks, in words, if there is something.
    pub(super) fn foreign(&self, tree: &Tree) -> Option<String> {
        let known = |symbol: &Symbol| match symbol {
            Symbol::X | Symbol::Number(_) => true,
            // A subtraction from 0, or a product with -1.
            Symbol::Negative => {
                [Symbol::Sub, Symbol::Mul].iter().any(|own| self.symbols.contains(own))
            }
            other => self.symbols.iter().any(|own| alike(*own, *other)),
        };
        let symbols = tree.symbols();
        if let Some(symbol) = symbols.iter().find(|symbol| !known(symbol)) {
            return Some(match symbol {
                Symbol::Function(name) => format!("the function `{name}`"),
                Symbol::AtMost(_) => "a condition (`if`)".to_owned(),
                Symbol::Add => "the operator `+`".to_owned(),
                Symbol::Mul => "the operator `*`".to_owned(),
                Symbol::Div => "the operator `/`".to_owned(),
                _ => "the operator `-`".to_owned(),
            });
        }
        let (operations, depth) = (tree.operations(), tree.depth());
        if operations > self.max_operations {
            return Some(format!(
                "{operations} operations (`max_operations` is {})",
                self.max_operations
            ));
        }
        if depth > self.depth {
            return Some(format!("{depth} nested operations (`depth` is {})", self.depth));
        }
        None
    }

    /// Whether the grammar has `tree`.
    pub(super) fn has(&self, tree: &Tree) -> bool {
        self.foreign(tree).is_none()
    }

    /// The text of `tree` as an experiment has it.
    pub(super) fn text(&self, tree: &Tree) -> String {
        match self.gated {
            false => tree.to_string(),
            true => {
                let product = Tree::of(Symbol::Mul, vec![tree.clone(), Tree::leaf(Symbol::X)]);
                // The last factor is the value.
                let text = product.text("gate");
                format!("{}value", text.strip_suffix("gate").unwrap_or(&text))
            }
        }
    }

    /// A symbol with parts; of as many as `parts`, where that is said.
    pub(super) fn symbol(&self, parts: Option<usize>, stream: &mut Stream) -> Option<Symbol> {
        let fit = self.symbols.iter().filter(|one| parts.is_none_or(|parts| one.parts() == parts));
        let fit: Vec<Symbol> = fit.copied().collect();
        if fit.is_empty() {
            return None;
        }
        Some(match fit[stream.below(fit.len())] {
            Symbol::AtMost(_) => Symbol::AtMost(self.constant(stream).unwrap_or(0.0)),
            symbol => symbol,
        })
    }

    /// One of the constants.
    pub(super) fn constant(&self, stream: &mut Stream) -> Option<f64> {
        let constants = &self.constants;
        (!constants.is_empty()).then(|| constants[stream.below(constants.len())])
    }

    /// The input, or a constant.
    pub(super) fn leaf(&self, stream: &mut Stream) -> Tree {
        let constant = if stream.below(3) == 0 { self.constant(stream) } else { None };
        Tree::leaf(constant.map_or(Symbol::X, Symbol::Number))
    }

    /// A random tree of at most `depth` and `operations`, of which both kinds of branches occur: full ones and short ones.
    pub(super) fn grow(&self, depth: usize, operations: usize, stream: &mut Stream) -> Tree {
        if depth == 0 || operations == 0 || stream.below(4) == 0 {
            return self.leaf(stream);
        }
        let Some(symbol) = self.symbol(None, stream) else { return self.leaf(stream) };
        let mut left = operations - 1;
        let mut parts = Vec::new();
        for place in 0..symbol.parts() {
            let part = match (symbol, place) {
                // Conditions are on the input.
                (Symbol::AtMost(_), 0) => Tree::leaf(Symbol::X),
                _ => self.grow(depth - 1, left, stream),
            };
            left -= part.operations();
            parts.push(part);
        }
        Tree::of(symbol, parts)
    }

    /// A random formula within the bounds of the grammar.
    pub(super) fn formula(&self, stream: &mut Stream) -> Tree {
        // A leaf is no formula.
        for _ in 0..50 {
            let depth = 1 + stream.below(self.depth);
            let tree = self.grow(depth, self.max_operations, stream);
            if tree.operations() > 0 {
                return tree;
            }
        }
        self.leaf(stream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_formulas_are_of_the_grammar_and_can_be_read() {
        let grammar = Grammar {
            functions: vec!["if".into(), "tanh".into(), "max".into()],
            ..Grammar::default()
        };
        for gated in [false, true] {
            let rules = Grammar { gated, ..grammar.clone() }.rules().unwrap();
            let mut stream = Stream::new(3, "grow");
            for _ in 0..500 {
                let tree = rules.formula(&mut stream);
                assert_eq!(rules.foreign(&tree), None, "{tree}");
                let text = rules.text(&tree);
                if tree.symbols().contains(&Symbol::X) {
                    let read = activation::TextFormula::parse(&text).unwrap();
                    assert_eq!(read.is_gated(), gated, "{text}");
                }
            }
        }
    }

    #[test]
    fn wrong_grammars_are_refused_by_key() {
        let refusal = |change: fn(&mut Grammar)| {
            let mut grammar = Grammar::default();
            change(&mut grammar);
            let (key, message) = grammar.rules().unwrap_err();
            format!("{key}: {message}")
        };
        let said = [
            refusal(|grammar| grammar.functions = vec!["tanhh".into()]),
            refusal(|grammar| grammar.functions = vec!["clamp".into()]),
            refusal(|grammar| grammar.functions = vec!["log".into(), "ln".into()]),
            refusal(|grammar| grammar.functions.clear()),
            refusal(|grammar| grammar.operators = vec!["^".into()]),
            refusal(|grammar| grammar.operators = vec!["+".into(), "+".into()]),
            refusal(|grammar| grammar.constants = vec![1.0, 1e7]),
            refusal(|grammar| grammar.max_operations = 0),
            refusal(|grammar| grammar.depth = 21),
        ];
        insta::assert_snapshot!(said.join("\n"));
    }
}
