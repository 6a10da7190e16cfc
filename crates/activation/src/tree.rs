//! A formula of `x` as a tree: for programs that write and change formulas.
//!
//! A [`Tree`] has exactly the functions of formulas as text, and prints as one: what the text computes is what the tree
//! says, to the last bit.

use crate::Activation;
use crate::graph::{Binary, Choice, Constant, Graph, Id, Node, Unary};
use crate::text::{X, function};
use std::fmt;

/// Symbols of a tree that is made of a graph, in which shared parts are written out.
const MOST_SYMBOLS: usize = 4000;

/// What stands at one place of a tree.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Symbol {
    /// The input.
    X,
    /// A constant.
    Number(f64),
    /// The negative of its part.
    Negative,
    /// Sum.
    Add,
    /// Difference.
    Sub,
    /// Product.
    Mul,
    /// Quotient.
    Div,
    /// A function of formulas, by its name.
    Function(&'static str),
    /// Its second part where the first is at most this number, and the third elsewhere.
    AtMost(f64),
}

impl Symbol {
    /// The function called `name`, or one of its other names.
    #[must_use]
    pub fn function(name: &str) -> Option<Self> {
        let name = match name {
            "expm1" => "exp_m1",
            "log1p" => "ln_1p",
            "log" => "ln",
            name => name,
        };
        function(name).map(|(name, _)| Self::Function(name))
    }

    /// How many parts it has.
    #[must_use]
    pub fn parts(self) -> usize {
        match self {
            Self::X | Self::Number(_) => 0,
            Self::Negative => 1,
            Self::Add | Self::Sub | Self::Mul | Self::Div => 2,
            Self::Function(name) => function(name).map_or(0, |(_, arguments)| arguments),
            Self::AtMost(_) => 3,
        }
    }
}

/// A symbol and its parts, as many as [`Symbol::parts`] says.
#[derive(Debug, Clone, PartialEq)]
pub struct Tree {
    /// What stands at its root.
    pub symbol: Symbol,
    /// What that is applied to.
    pub parts: Vec<Tree>,
}

impl Tree {
    /// A tree of one symbol that has no parts.
    #[must_use]
    pub fn leaf(symbol: Symbol) -> Self {
        Self { symbol, parts: Vec::new() }
    }

    /// `symbol` of `parts`.
    #[must_use]
    pub fn of(symbol: Symbol, parts: Vec<Self>) -> Self {
        Self { symbol, parts }
    }

    /// Symbols.
    #[must_use]
    pub fn size(&self) -> usize {
        1 + self.parts.iter().map(Self::size).sum::<usize>()
    }

    /// Symbols that are no input or constant.
    #[must_use]
    pub fn operations(&self) -> usize {
        usize::from(!self.parts.is_empty()) + self.parts.iter().map(Self::operations).sum::<usize>()
    }

    /// Operations on the longest way from the root to an input or constant.
    #[must_use]
    pub fn depth(&self) -> usize {
        let deepest = self.parts.iter().map(Self::depth).max();
        deepest.map_or(0, |depth| depth + 1)
    }

    /// Every symbol, each before its parts.
    #[must_use]
    pub fn symbols(&self) -> Vec<Symbol> {
        let mut symbols = vec![self.symbol];
        symbols.extend(self.parts.iter().flat_map(Self::symbols));
        symbols
    }

    /// The subtree at `place` in the order of [`Tree::symbols`].
    #[must_use]
    pub fn at(&self, place: usize) -> Option<&Self> {
        let mut left = place;
        if left == 0 {
            return Some(self);
        }
        left -= 1;
        for part in &self.parts {
            let size = part.size();
            if left < size {
                return part.at(left);
            }
            left -= size;
        }
        None
    }

    /// The same for a change.
    #[must_use]
    pub fn at_mut(&mut self, place: usize) -> Option<&mut Self> {
        let mut left = place;
        if left == 0 {
            return Some(self);
        }
        left -= 1;
        for part in &mut self.parts {
            let size = part.size();
            if left < size {
                return part.at_mut(left);
            }
            left -= size;
        }
        None
    }

    /// The formula as text, with `input` as the name of the input.
    #[must_use]
    pub fn text(&self, input: &str) -> String {
        self.written(input).0
    }

    /// The text, and how strongly its outermost operation binds.
    fn written(&self, input: &str) -> (String, Strength) {
        let part = |i: usize, least: Strength| self.parts[i].inside(input, least);
        match self.symbol {
            Symbol::X => (input.to_owned(), Strength::Atom),
            Symbol::Number(value) => {
                let strength =
                    if value.is_sign_negative() { Strength::Sign } else { Strength::Atom };
                (number(value), strength)
            }
            Symbol::Negative => (format!("-{}", part(0, Strength::Power)), Strength::Sign),
            Symbol::Add => {
                let (a, b) = (part(0, Strength::Sum), part(1, Strength::Product));
                (format!("{a} + {b}"), Strength::Sum)
            }
            Symbol::Sub => {
                let (a, b) = (part(0, Strength::Sum), part(1, Strength::Product));
                (format!("{a} - {b}"), Strength::Sum)
            }
            Symbol::Mul => {
                let (a, b) = (part(0, Strength::Product), part(1, Strength::Sign));
                (format!("{a} * {b}"), Strength::Product)
            }
            Symbol::Div => {
                let (a, b) = (part(0, Strength::Product), part(1, Strength::Sign));
                (format!("{a} / {b}"), Strength::Product)
            }
            Symbol::Function(SQUARE) => (format!("{}^2", part(0, Strength::Atom)), Strength::Power),
            Symbol::Function(name) => {
                let parts: Vec<String> =
                    self.parts.iter().map(|part| part.inside(input, Strength::Sum)).collect();
                (format!("{name}({})", parts.join(", ")), Strength::Atom)
            }
            Symbol::AtMost(threshold) => {
                let [compared, at_most, above] = [0, 1, 2].map(|i| part(i, Strength::Sum));
                let threshold = number(threshold);
                let text = format!("if {compared} <= {threshold} then {at_most} else {above}");
                (text, Strength::If)
            }
        }
    }

    /// The text, in brackets where it binds less than `least`.
    fn inside(&self, input: &str, least: Strength) -> String {
        let (text, strength) = self.written(input);
        if strength < least { format!("({text})") } else { text }
    }

    /// The tree of the first output of `graph`, a formula of one input without numbers; nothing where it is too large to
    /// write.
    pub(crate) fn of_graph(graph: &Graph) -> Option<Self> {
        let mut room = MOST_SYMBOLS;
        Self::of_node(graph, *graph.outputs.first()?, &mut room)
    }

    fn of_node(graph: &Graph, id: Id, room: &mut usize) -> Option<Self> {
        *room = room.checked_sub(1)?;
        let mut part = |id: Id| Self::of_node(graph, id, room);
        let number = |value: f64| Self::leaf(Symbol::Number(value));
        Some(match graph.nodes[id] {
            Node::Input(_) => Self::leaf(Symbol::X),
            Node::Number(_) => return None,
            Node::Constant(value) => number(value.0),
            Node::Unary(Unary::Neg, x) => Self::of(Symbol::Negative, vec![part(x)?]),
            Node::Unary(Unary::Gaussian, x) => {
                let square = Self::of(Symbol::Function(SQUARE), vec![part(x)?]);
                let negative = Self::of(Symbol::Negative, vec![square]);
                Self::of(Symbol::Function("exp"), vec![negative])
            }
            Node::Unary(f, x) => Self::of(Symbol::Function(f.name()), vec![part(x)?]),
            Node::Binary(op, a, b) => Self::of(symbol(op), vec![part(a)?, part(b)?]),
            Node::WithConstant(op, x, value) => {
                let x = part(x)?;
                match op {
                    // Numbers go before what they multiply.
                    Binary::Mul => Self::of(Symbol::Mul, vec![number(value.0), x]),
                    Binary::Add if value.0 < 0.0 => {
                        Self::of(Symbol::Sub, vec![x, number(-value.0)])
                    }
                    op => Self::of(symbol(op), vec![x, number(value.0)]),
                }
            }
            Node::MulAdd(a, b, c) => {
                let product = Self::of(Symbol::Mul, vec![part(a)?, part(b)?]);
                Self::of(Symbol::Add, vec![product, part(c)?])
            }
            // Every number is at most infinity.
            Node::Select { threshold: Constant(f64::INFINITY), at_most, .. } => part(at_most)?,
            Node::Select { .. } => {
                let Choice { x, threshold, at_most, above } = graph.choice(id)?;
                match graph.nodes[x] {
                    Node::Binary(Binary::Sub, a, b)
                        if threshold == 0.0 && [a, b] == [above, at_most] =>
                    {
                        Self::of(Symbol::Function("max"), vec![part(a)?, part(b)?])
                    }
                    Node::Binary(Binary::Sub, a, b)
                        if threshold == 0.0 && [a, b] == [at_most, above] =>
                    {
                        Self::of(Symbol::Function("min"), vec![part(a)?, part(b)?])
                    }
                    _ => {
                        let parts = vec![part(x)?, part(at_most)?, part(above)?];
                        Self::of(Symbol::AtMost(threshold), parts)
                    }
                }
            }
            Node::Max(x, bound) => {
                Self::of(Symbol::Function("max"), vec![part(x)?, number(bound.0)])
            }
            Node::Min(x, bound) => {
                Self::of(Symbol::Function("min"), vec![part(x)?, number(bound.0)])
            }
        })
    }
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text(X))
    }
}

/// The function that is written as a power.
const SQUARE: &str = "square";

/// How strongly an operation binds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Strength {
    If,
    Sum,
    Product,
    Sign,
    Power,
    Atom,
}

/// A number as formulas have it, which reads as the same number.
fn number(value: f64) -> String {
    let plain = value == 0.0 || (1e-5..1e10).contains(&value.abs());
    if plain { value.to_string() } else { format!("{value:e}") }
}

fn symbol(op: Binary) -> Symbol {
    match op {
        Binary::Add => Symbol::Add,
        Binary::Sub => Symbol::Sub,
        Binary::Mul => Symbol::Mul,
        Binary::Div => Symbol::Div,
    }
}

impl Activation {
    /// Its nonlinearity as a graph, with constants for its numbers.
    fn fixed(&self) -> Graph {
        let fixed: Vec<Option<f64>> = self.numbers().into_iter().map(Some).collect();
        self.graphs().alone.fix(1, &fixed)
    }

    /// The formula of its nonlinearity of `x` as a tree, with constants for its numbers; nothing where it is too large to
    /// write.
    #[must_use]
    pub fn tree(&self) -> Option<Tree> {
        Tree::of_graph(&self.fixed())
    }

    /// The same, simplified: the same values for finite inputs, but rounded otherwise.
    #[must_use]
    pub fn simplified(&self) -> Option<Tree> {
        Tree::of_graph(&self.fixed().simplified())
    }

    /// What its nonlinearity costs, simplified, in additions: a count that is the same on every machine. Operations count
    /// by about the time that they take beside an addition in the kernels of the CPU.
    #[must_use]
    pub fn cost(&self) -> u32 {
        self.fixed().simplified().nodes.iter().map(weight).sum()
    }
}

/// What an operation costs, in additions, as measured with `actlab bench ops` on an x86-64 processor with AVX-512. What is
/// not computed in registers (sine, arctangent) costs most.
fn weight(node: &Node) -> u32 {
    match node {
        Node::Input(_) | Node::Number(_) | Node::Constant(_) => 0,
        Node::Select { threshold: Constant(f64::INFINITY), .. } => 0,
        Node::Unary(Unary::Neg | Unary::Abs | Unary::Square, _)
        | Node::WithConstant(Binary::Add | Binary::Sub | Binary::Mul, ..)
        | Node::Binary(Binary::Add | Binary::Sub | Binary::Mul, ..)
        | Node::MulAdd(..)
        | Node::Select { .. }
        | Node::Max(..)
        | Node::Min(..) => 1,
        Node::WithConstant(Binary::Div, ..) | Node::Binary(Binary::Div, ..) => 3,
        Node::Unary(f, _) => match f {
            Unary::Exp | Unary::ExpM1 | Unary::Gaussian => 2,
            Unary::Sigmoid => 3,
            Unary::Sqrt | Unary::Erf => 4,
            Unary::Tanh => 5,
            Unary::Erfc => 6,
            Unary::Ln => 9,
            Unary::Ln1p => 12,
            Unary::Softplus => 15,
            Unary::Sin | Unary::Cos => 150,
            Unary::Atan => 190,
            Unary::Neg | Unary::Abs | Unary::Square => 1,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TextFormula;

    /// Numbers without an order, for trees.
    struct Numbers(u64);

    impl Numbers {
        fn below(&mut self, n: usize) -> usize {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(self.0 >> 33).unwrap() % n
        }

        fn tree(&mut self, depth: usize) -> Tree {
            const NUMBERS: [f64; 6] = [0.5, -1.25, 3.0, 1e-7, 2.5e12, -0.0];
            if depth == 0 || self.below(5) == 0 {
                let symbol = match self.below(3) {
                    0 => Symbol::Number(NUMBERS[self.below(NUMBERS.len())]),
                    _ => Symbol::X,
                };
                return Tree::leaf(symbol);
            }
            let functions: Vec<&str> = crate::functions().collect();
            let symbol = match self.below(9) {
                0 => Symbol::Negative,
                1 => Symbol::Add,
                2 => Symbol::Sub,
                3 => Symbol::Mul,
                4 => Symbol::Div,
                5 => Symbol::AtMost(NUMBERS[self.below(3)]),
                _ => Symbol::function(functions[self.below(functions.len())]).unwrap(),
            };
            let parts = (0..symbol.parts()).map(|_| self.tree(depth - 1)).collect();
            Tree::of(symbol, parts)
        }
    }

    /// What `tree` is at `x`, by its own symbols; nothing where a part of it is not finite.
    fn value(tree: &Tree, x: f64) -> Option<f64> {
        use crate::Algebra;
        let parts: Option<Vec<f64>> = tree.parts.iter().map(|part| value(part, x)).collect();
        let parts = parts?;
        let value = match tree.symbol {
            Symbol::X => x,
            Symbol::Number(value) => value,
            Symbol::Negative => -parts[0],
            Symbol::Add => parts[0] + parts[1],
            Symbol::Sub => parts[0] - parts[1],
            Symbol::Mul => parts[0] * parts[1],
            Symbol::Div => parts[0] / parts[1],
            Symbol::AtMost(threshold) if parts[0] <= threshold => parts[1],
            Symbol::AtMost(_) => parts[2],
            Symbol::Function(name) => match name {
                "abs" => parts[0].abs(),
                "atan" => Algebra::atan(parts[0]),
                "clamp" => parts[0].min(parts[2]).max(parts[1]),
                "cos" => Algebra::cos(parts[0]),
                "erf" => Algebra::erf(parts[0]),
                "erfc" => Algebra::erfc(parts[0]),
                "exp" => Algebra::exp(parts[0]),
                "exp_m1" => Algebra::exp_m1(parts[0]),
                "ln" => Algebra::ln(parts[0]),
                "ln_1p" => Algebra::ln_1p(parts[0]),
                "max" => parts[0].max(parts[1]),
                "min" => parts[0].min(parts[1]),
                "sigmoid" => Algebra::sigmoid(parts[0]),
                "sin" => Algebra::sin(parts[0]),
                "softplus" => Algebra::softplus(parts[0]),
                "sqrt" => Algebra::sqrt(parts[0]),
                "square" => parts[0] * parts[0],
                "tanh" => Algebra::tanh(parts[0]),
                other => panic!("no function {other}"),
            },
        };
        Some(value).filter(|value| value.is_finite())
    }

    const POINTS: [f64; 9] = [-7.3, -2.0, -0.6, -0.1, 0.0, 0.3, 1.0, 2.7, 9.1];

    #[test]
    fn the_text_of_a_tree_computes_what_the_tree_says() {
        let mut numbers = Numbers(7);
        let mut compared = 0;
        for _ in 0..3000 {
            let tree = numbers.tree(5);
            if !tree.symbols().contains(&Symbol::X) {
                continue;
            }
            let text = tree.to_string();
            let formula = TextFormula::parse(&text).unwrap_or_else(|error| panic!("{error}"));
            // Bounds of `clamp` in the wrong order are refused.
            let Ok(graph) = formula.graph(&[]) else { continue };
            for x in POINTS {
                if let Some(expected) = value(&tree, x) {
                    let found = graph.eval(&[x], &[]);
                    let same = (found - expected).abs() <= 1e-9 * (1.0 + expected.abs());
                    assert!(same, "{text} at {x}: {found} {expected}");
                    compared += 1;
                }
            }
        }
        assert!(compared > 5000, "{compared}");
    }

    #[test]
    fn simplified_trees_keep_their_values() {
        let mut numbers = Numbers(11);
        let (mut compared, mut shorter) = (0, 0);
        for _ in 0..2000 {
            let tree = numbers.tree(4);
            if !tree.symbols().contains(&Symbol::X) {
                continue;
            }
            let formula = TextFormula::parse(&tree.to_string()).unwrap();
            let Ok(graph) = formula.graph(&[]) else { continue };
            let simple = Tree::of_graph(&graph.simplified()).unwrap();
            shorter += usize::from(simple.operations() < tree.operations());
            // Large numbers cancel: 1e12 + x - 1e12.
            let large = |symbol: &Symbol| matches!(symbol, Symbol::Number(n) if n.abs() > 1e3);
            if tree.symbols().iter().any(large) {
                continue;
            }
            for x in POINTS {
                if let (Some(a), Some(b)) = (value(&tree, x), value(&simple, x)) {
                    let same = (a - b).abs() <= 1e-7 * (1.0 + a.abs());
                    assert!(same, "{tree} is not {simple} at {x}: {a} {b}");
                    compared += 1;
                }
            }
        }
        assert!(compared > 3000 && shorter > 300, "{compared} {shorter}");
    }

    #[test]
    fn registered_formulas_have_short_trees() {
        let tree = |text: &str| {
            let activation = crate::build(&text.parse().unwrap()).unwrap();
            activation.tree().unwrap().to_string()
        };
        assert_eq!(tree("max(x, 0)"), "max(x, 0)");
        assert_eq!(tree("max(x, sigmoid(x))"), "max(x, sigmoid(x))");
        assert_eq!(tree("x * sigmoid(b * x) where b=1.5"), "x * sigmoid(1.5 * x)");
        assert_eq!(tree("x^2 - (1 - x) / -2"), "x^2 - (-x + 1) / -2");
        assert_eq!(tree("gate * sigmoid(gate) * value"), "x * sigmoid(x)");
    }

    #[test]
    fn places_are_those_of_symbols() {
        let tree =
            crate::build(&"x * sigmoid(1.5 * x) + 2".parse().unwrap()).unwrap().tree().unwrap();
        let symbols = tree.symbols();
        assert_eq!(symbols.len(), tree.size());
        assert_eq!((tree.operations(), tree.depth()), (4, 4));
        for (place, symbol) in symbols.iter().enumerate() {
            assert_eq!(tree.at(place).unwrap().symbol, *symbol);
        }
        assert_eq!(tree.at(tree.size()), None);
        let mut other = tree.clone();
        *other.at_mut(2).unwrap() = Tree::leaf(Symbol::Number(3.0));
        assert_eq!(other.to_string(), "3 * sigmoid(1.5 * x) + 2");
    }
}
