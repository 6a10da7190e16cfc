use crate::{Parameter, Real};
use serde::{Serialize, de::DeserializeOwned};
use std::fmt::Debug;

/// A pointwise activation, y = f(x), written once.
///
/// The implementing struct holds the hyper-parameters; `Default` gives their defaults and serde
/// their names.
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

    /// Hyper-parameters: one entry a field.
    const PARAMETERS: &'static [Parameter] = &[];

    /// The value at `x`.
    ///
    /// Mark it `#[inline(always)]`: only then are the CPU kernels made of it fast. Inside one of their
    /// loops the formula is a few SIMD instructions a register; called from there, it is slower by an
    /// order of magnitude (`actlab bench step` shows it), with the same numbers.
    fn eval<R: Real>(&self, x: R) -> R;
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

    /// Hyper-parameters: one entry a field.
    const PARAMETERS: &'static [Parameter] = &[];

    /// The gate's own nonlinearity. Mark it `#[inline(always)]`, as [`Formula::eval`].
    fn gate<R: Real>(&self, gate: R) -> R;

    /// The value for a gate and a value.
    #[inline(always)]
    fn eval<R: Real>(&self, gate: R, value: R) -> R {
        self.gate(gate) * value
    }
}
