//! Formulas that exist in these tests alone, each beside its twin in burn operations.

use activation::{Activation, Formula, GatedFormula, Real};
use burn::Tensor;
use burn::tensor::activation::{leaky_relu, sigmoid};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Smooth {}

impl Formula for Smooth {
    const NAME: &'static str = "smooth";
    const LATEX: &'static str = r"x \, \sigma(x)";
    const CITATION: &'static str = "a test";

    type Numbers<R: Real> = [R; 0];

    #[inline(always)]
    fn eval<R: Real>(&self, x: R, []: [R; 0]) -> R {
        x * x.sigmoid()
    }
}

activation::register!(Smooth);

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Kinked {}

impl Formula for Kinked {
    const NAME: &'static str = "kinked";
    const LATEX: &'static str = r"\max(x, x / 10)";
    const CITATION: &'static str = "a test";

    type Numbers<R: Real> = [R; 0];

    #[inline(always)]
    fn eval<R: Real>(&self, x: R, []: [R; 0]) -> R {
        x.select(0.0, x * 0.1, x)
    }
}

activation::register!(Kinked);

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Gate {}

impl GatedFormula for Gate {
    const NAME: &'static str = "tanh_gate";
    const LATEX: &'static str = r"\tanh(g) v";
    const CITATION: &'static str = "a test";

    type Numbers<R: Real> = [R; 0];

    #[inline(always)]
    fn gate<R: Real>(&self, gate: R, []: [R; 0]) -> R {
        gate.tanh()
    }
}

activation::register!(Gate);

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Name {
    Smooth,
    Kinked,
    Gated,
}

impl Name {
    pub(crate) fn activation(self) -> Arc<Activation> {
        activation_testing::activation(match self {
            Self::Smooth => "smooth",
            Self::Kinked => "kinked",
            Self::Gated => "tanh_gate",
        })
    }

    /// The nonlinearity of one input.
    pub(crate) fn plain<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Smooth => x.clone() * sigmoid(x),
            Self::Kinked => leaky_relu(x, 0.1),
            Self::Gated => x.tanh(),
        }
    }
}
