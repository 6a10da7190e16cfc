//! New formulas out of old ones.

use super::grammar::{LARGEST, Rules};
use activation::{Symbol, Tree};
use actlab_core::stream::Stream;
use std::fmt;

/// How often a change is tried that does not fit the grammar.
const TRIES: usize = 40;

/// How a formula came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// A part of one formula in the place of a part of another.
    Crossover,
    /// A random part in the place of another.
    Subtree,
    /// Another operator or function of as many arguments.
    Symbol,
    /// Another constant.
    Constant,
    /// A function or operator around a part.
    Insert,
    /// A part in the place of what holds it.
    Delete,
    /// A random formula.
    Random,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Crossover => "a part",
            Self::Subtree => "a new part",
            Self::Symbol => "another function",
            Self::Constant => "another constant",
            Self::Insert => "an insertion",
            Self::Delete => "a deletion",
            Self::Random => "a random draw",
        })
    }
}

/// Each change as often as its number says.
const CHANGES: [(Change, usize); 7] = [
    (Change::Crossover, 5),
    (Change::Subtree, 3),
    (Change::Symbol, 3),
    (Change::Constant, 3),
    (Change::Insert, 3),
    (Change::Delete, 2),
    (Change::Random, 1),
];

/// A formula that is made of `one`, and of `other` in a crossover; it is of the grammar.
pub(super) fn vary(one: &Tree, other: &Tree, rules: &Rules, stream: &mut Stream) -> (Tree, Change) {
    for _ in 0..TRIES {
        let change = change(stream);
        let Some(tree) = changed(change, one, other, rules, stream) else { continue };
        if tree != *one && rules.has(&tree) {
            return (tree, change);
        }
    }
    (rules.formula(stream), Change::Random)
}

fn change(stream: &mut Stream) -> Change {
    let mut left = stream.below(CHANGES.iter().map(|(_, times)| times).sum());
    for (change, times) in CHANGES {
        if left < times {
            return change;
        }
        left -= times;
    }
    Change::Random
}

/// The tree that `change` makes, where it can be made.
fn changed(
    change: Change,
    one: &Tree,
    other: &Tree,
    rules: &Rules,
    stream: &mut Stream,
) -> Option<Tree> {
    let mut tree = one.clone();
    match change {
        Change::Crossover => {
            let part = other.at(stream.below(other.size()))?.clone();
            *tree.at_mut(stream.below(one.size()))? = part;
        }
        Change::Subtree => {
            let depth = 1 + stream.below(2);
            *tree.at_mut(stream.below(one.size()))? = rules.grow(depth, 3, stream);
        }
        Change::Symbol => {
            let place = pick(one, |symbol| symbol.parts() > 0, stream)?;
            let there = tree.at_mut(place)?;
            there.symbol = rules.symbol(Some(there.symbol.parts()), stream)?;
        }
        Change::Constant => {
            let holds = |symbol| matches!(symbol, Symbol::Number(_) | Symbol::AtMost(_));
            let there = tree.at_mut(pick(one, holds, stream)?)?;
            there.symbol = match there.symbol {
                Symbol::Number(value) => Symbol::Number(other_constant(value, rules, stream)),
                Symbol::AtMost(value) => Symbol::AtMost(other_constant(value, rules, stream)),
                symbol => symbol,
            };
        }
        Change::Insert => {
            let there = tree.at_mut(stream.below(one.size()))?;
            let symbol = rules.symbol(None, stream)?;
            let own = stream.below(symbol.parts());
            let part = |place| match (symbol, place) {
                (_, place) if place == own => there.clone(),
                (Symbol::AtMost(_), 0) => Tree::leaf(Symbol::X),
                _ => rules.leaf(stream),
            };
            *there = Tree::of(symbol, (0..symbol.parts()).map(part).collect());
        }
        Change::Delete => {
            let place = pick(one, |symbol| symbol.parts() > 0, stream)?;
            let there = tree.at_mut(place)?;
            let part = there.parts.swap_remove(stream.below(there.parts.len()));
            *there = part;
        }
        Change::Random => tree = rules.formula(stream),
    }
    Some(tree)
}

/// The place of one of the symbols that are `wanted`.
fn pick(tree: &Tree, wanted: impl Fn(Symbol) -> bool, stream: &mut Stream) -> Option<usize> {
    let symbols = tree.symbols().into_iter().enumerate();
    let places: Vec<usize> =
        symbols.filter(|(_, symbol)| wanted(*symbol)).map(|(place, _)| place).collect();
    (!places.is_empty()).then(|| places[stream.below(places.len())])
}

/// A constant in the place of `value`: one of the grammar's, or one nearby.
fn other_constant(value: f64, rules: &Rules, stream: &mut Stream) -> f64 {
    if value == 0.0 || stream.below(4) == 0 {
        return rules.constant(stream).unwrap_or(value);
    }
    let normal = stream.normal(1, 0.3).first().copied().unwrap_or_default();
    let near = (value * libm::exp(f64::from(normal))).clamp(-LARGEST, LARGEST);
    // By way of text, so that 0.3 is 0.3.
    format!("{near:.2e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::super::grammar::Grammar;
    use super::*;

    #[test]
    fn changes_stay_in_the_grammar_and_every_kind_occurs() {
        let functions = ["tanh", "max", "if", "softplus"].map(str::to_owned).to_vec();
        let grammar = Grammar { functions, max_operations: 6, depth: 3, ..Grammar::default() };
        let rules = grammar.rules().unwrap();
        let mut stream = Stream::new(5, "vary");
        let mut seen: Vec<String> = Vec::new();
        let mut pool: Vec<Tree> = (0..10).map(|_| rules.formula(&mut stream)).collect();
        for i in 0..3000 {
            let [a, b] = [(); 2].map(|()| pool[stream.below(pool.len())].clone());
            let (tree, change) = vary(&a, &b, &rules, &mut stream);
            assert!(rules.has(&tree), "{tree}");
            for (symbol, place) in tree.symbols().iter().zip(0..) {
                assert_eq!(tree.at(place).unwrap().parts.len(), symbol.parts(), "{tree}");
            }
            if !seen.contains(&change.to_string()) {
                seen.push(change.to_string());
            }
            let place = i % pool.len();
            pool[place] = tree;
        }
        assert_eq!(seen.len(), CHANGES.len(), "{seen:?}");
    }

    #[test]
    fn the_same_stream_gives_the_same_formulas() {
        let rules = Grammar::default().rules().unwrap();
        let formulas = || -> Vec<String> {
            let mut stream = Stream::new(9, "vary");
            let mut tree = rules.formula(&mut stream);
            let next = |_| {
                tree = vary(&tree, &tree, &rules, &mut stream).0;
                tree.to_string()
            };
            (0..50).map(next).collect()
        };
        assert_eq!(formulas(), formulas());
    }
}
