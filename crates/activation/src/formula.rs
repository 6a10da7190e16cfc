use crate::card::StaticNotes;
use crate::{Parameter, Real};
use serde::{Serialize, de::DeserializeOwned};
use std::fmt::Debug;

/// The numbers of a formula, over any interpretation: an array, whose length says how many there are.
pub trait Numbers<R>: Clone {
    /// How many.
    const COUNT: usize;

    /// The array of `number(i)` for each place `i`.
    fn from_fn(number: impl FnMut(usize) -> R) -> Self;
}

impl<R: Clone, const N: usize> Numbers<R> for [R; N] {
    const COUNT: usize = N;

    #[inline(always)]
    fn from_fn(number: impl FnMut(usize) -> R) -> Self {
        std::array::from_fn(number)
    }
}

/// A pointwise activation, y = f(x), written once.
///
/// Its numbers are arguments of [`Formula::eval`], since each can be a constant or learned. What chooses between formulas
/// is a field of the implementing struct; `Default` gives the defaults of fields, and serde their names.
pub trait Formula:
    Debug + Clone + Default + Serialize + DeserializeOwned + Send + Sync + 'static
{
    /// Name in experiment files and tables: lower case, words joined by `_`.
    const NAME: &'static str;

    /// Other names that mean the same.
    const ALIASES: &'static [&'static str] = &[];

    /// Names of the activation with certain hyper-parameters, and what each stands for, as a user would write it:
    /// `("gelu_new", "gelu(approximate=tanh)")`.
    const VARIANTS: &'static [(&'static str, &'static str)] = &[];

    /// The formula, in LaTeX without delimiters, for `x`.
    const LATEX: &'static str;

    /// Where the formula is from.
    const CITATION: &'static str;

    /// What is known of it beside: who uses it, what overflows in it, and figures of papers.
    const NOTES: StaticNotes = StaticNotes::NONE;

    /// Hyper-parameters: the numbers in the order of [`Formula::Numbers`], and a choice for each field.
    const PARAMETERS: &'static [Parameter] = &[];

    /// The numbers: `[R; 0]` where there are none.
    type Numbers<R: Real>: Numbers<R>;

    /// The value at `x`, with these numbers.
    ///
    /// Mark it `#[inline(always)]`: only then are the CPU kernels made of it fast. Inside one of their
    /// loops the formula is a few SIMD instructions a register; called from there, it is slower by an
    /// order of magnitude (`actlab bench step` shows it), with the same numbers.
    fn eval<R: Real>(&self, x: R, numbers: Self::Numbers<R>) -> R;
}

/// A gated activation, y = g(gate) · value (Dauphin et al. 2017; Shazeer 2020).
///
/// Models give it two inputs of one shape, and use [`GatedFormula::gate`] alone where there is just
/// one, as after a residual sum.
pub trait GatedFormula:
    Debug + Clone + Default + Serialize + DeserializeOwned + Send + Sync + 'static
{
    /// Name in experiment files and tables: lower case, words joined by `_`.
    const NAME: &'static str;

    /// Other names that mean the same.
    const ALIASES: &'static [&'static str] = &[];

    /// Names of the activation with certain hyper-parameters, and what each stands for, as a user would write it:
    /// `("gelu_new", "gelu(approximate=tanh)")`.
    const VARIANTS: &'static [(&'static str, &'static str)] = &[];

    /// The formula, in LaTeX without delimiters, for gate `g` and value `v`.
    const LATEX: &'static str;

    /// Where the formula is from.
    const CITATION: &'static str;

    /// What is known of it beside: who uses it, what overflows in it, and figures of papers.
    const NOTES: StaticNotes = StaticNotes::NONE;

    /// Hyper-parameters: the numbers in the order of [`GatedFormula::Numbers`], and a choice for each field.
    const PARAMETERS: &'static [Parameter] = &[];

    /// The numbers: `[R; 0]` where there are none.
    type Numbers<R: Real>: Numbers<R>;

    /// The gate's own nonlinearity. Mark it `#[inline(always)]`, as [`Formula::eval`].
    fn gate<R: Real>(&self, gate: R, numbers: Self::Numbers<R>) -> R;

    /// The value for a gate and a value.
    #[inline(always)]
    fn eval<R: Real>(&self, gate: R, value: R, numbers: Self::Numbers<R>) -> R {
        self.gate(gate, numbers) * value
    }
}
