//! SwiGLU.

use activation::{GatedFormula, Parameter, Real};
use serde::{Deserialize, Serialize};

/// SiLU of a gate times a value (Shazeer, 2020).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SwiGlu {
    beta: f64,
}

impl Default for SwiGlu {
    fn default() -> Self {
        Self { beta: 1.0 }
    }
}

impl GatedFormula for SwiGlu {
    const NAME: &'static str = "swiglu";
    const LATEX: &'static str = r"g \, \sigma(\beta g) \cdot v";
    const CITATION: &'static str = "Shazeer 2020, arXiv:2002.05202";
    const PARAMETERS: &'static [Parameter] =
        &[Parameter::number("beta", 0.0, 100.0, "steepness of the gate's sigmoid")];

    #[inline(always)]
    fn gate<R: Real>(&self, gate: R) -> R {
        gate.clone() * (gate * self.beta).sigmoid()
    }
}

activation::register!(SwiGlu);

#[cfg(test)]
mod tests {
    use activation_testing::{assert_agrees_with_pytorch, assert_conforms};

    #[test]
    fn conforms() {
        assert_conforms("swiglu");
        assert_conforms("swiglu(beta=2)");
    }

    #[test]
    fn agrees_with_pytorch() {
        assert_agrees_with_pytorch("swiglu", "swiglu");
    }
}
