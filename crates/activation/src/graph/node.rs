//! The operations of a formula.

use crate::Algebra;

/// A node of a graph: its place in the list.
pub(crate) type Id = usize;

/// A function of one operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Unary {
    Neg,
    Exp,
    ExpM1,
    Ln,
    Ln1p,
    Sqrt,
    Sin,
    Cos,
    Tanh,
    Atan,
    Erf,
    Erfc,
    /// e^(−x²), as [`Algebra::erfc_and_gaussian`] has it.
    Gaussian,
    Sigmoid,
    Softplus,
    Square,
    Abs,
}

impl Unary {
    /// Its name in formulas; negation has a sign instead, and the Gaussian is an exponential there.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Neg => "",
            Self::Exp | Self::Gaussian => "exp",
            Self::ExpM1 => "exp_m1",
            Self::Ln => "ln",
            Self::Ln1p => "ln_1p",
            Self::Sqrt => "sqrt",
            Self::Sin => "sin",
            Self::Cos => "cos",
            Self::Tanh => "tanh",
            Self::Atan => "atan",
            Self::Erf => "erf",
            Self::Erfc => "erfc",
            Self::Sigmoid => "sigmoid",
            Self::Softplus => "softplus",
            Self::Square => "square",
            Self::Abs => "abs",
        }
    }

    #[inline(always)]
    pub(crate) fn apply<R: Algebra>(self, x: R) -> R {
        match self {
            Self::Neg => -x,
            Self::Exp => x.exp(),
            Self::ExpM1 => x.exp_m1(),
            Self::Ln => x.ln(),
            Self::Ln1p => x.ln_1p(),
            Self::Sqrt => x.sqrt(),
            Self::Sin => x.sin(),
            Self::Cos => x.cos(),
            Self::Tanh => x.tanh(),
            Self::Atan => x.atan(),
            Self::Erf => x.erf(),
            Self::Erfc => x.erfc(),
            Self::Gaussian => x.erfc_and_gaussian().1,
            Self::Sigmoid => x.sigmoid(),
            Self::Softplus => x.softplus(),
            Self::Square => x.square(),
            Self::Abs => x.abs(),
        }
    }
}

/// An operation on two operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Binary {
    Add,
    Sub,
    Mul,
    Div,
}

impl Binary {
    #[inline(always)]
    pub(crate) fn apply<R: Algebra>(self, a: R, b: R) -> R {
        match self {
            Self::Add => a + b,
            Self::Sub => a - b,
            Self::Mul => a * b,
            Self::Div => a / b,
        }
    }

    #[inline(always)]
    pub(crate) fn with_constant<R: Algebra>(self, a: R, b: f64) -> R {
        match self {
            Self::Add => a + b,
            Self::Sub => a - b,
            Self::Mul => a * b,
            Self::Div => a / b,
        }
    }
}

/// A constant, compared and hashed by its bits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Constant(pub(crate) f64);

impl PartialEq for Constant {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

impl Eq for Constant {}

impl std::hash::Hash for Constant {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}

/// One operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Node {
    /// An input of the formula: x, or gate and value.
    Input(usize),
    /// A number of the formula.
    Number(usize),
    Constant(Constant),
    Unary(Unary, Id),
    Binary(Binary, Id, Id),
    /// With a constant as the second operand.
    WithConstant(Binary, Id, Constant),
    /// Product of the first two, plus the third.
    MulAdd(Id, Id, Id),
    /// The first where `x` is at most the threshold, the second elsewhere.
    Select {
        x: Id,
        threshold: Constant,
        at_most: Id,
        above: Id,
    },
    Max(Id, Constant),
    Min(Id, Constant),
}

impl Node {
    /// The nodes that it takes.
    pub(crate) fn operands(&self) -> Vec<Id> {
        match *self {
            Self::Input(_) | Self::Number(_) | Self::Constant(_) => Vec::new(),
            Self::Unary(_, x) | Self::WithConstant(_, x, _) | Self::Max(x, _) | Self::Min(x, _) => {
                vec![x]
            }
            Self::Binary(_, a, b) => vec![a, b],
            Self::MulAdd(a, b, c) => vec![a, b, c],
            Self::Select { x, at_most, above, .. } => vec![x, at_most, above],
        }
    }

    /// The constant in it, if there is one.
    pub(crate) fn constant(&self) -> Option<f64> {
        match *self {
            Self::Constant(constant)
            | Self::WithConstant(_, _, constant)
            | Self::Select { threshold: constant, .. }
            | Self::Max(_, constant)
            | Self::Min(_, constant) => Some(constant.0),
            Self::Input(_)
            | Self::Number(_)
            | Self::Unary(..)
            | Self::Binary(..)
            | Self::MulAdd(..) => None,
        }
    }

    /// What it compares, and with what.
    pub(super) fn condition(&self) -> Option<(Id, f64)> {
        match *self {
            Self::Select { x, threshold: bound, .. }
            | Self::Max(x, bound)
            | Self::Min(x, bound) => Some((x, bound.0)),
            Self::Unary(Unary::Abs, x) => Some((x, 0.0)),
            _ => None,
        }
    }
}
