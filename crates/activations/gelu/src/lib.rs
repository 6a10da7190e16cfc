//! GELU.

use activation::{Formula, Parameter, Real};
use serde::{Deserialize, Serialize};
use std::f64::consts::{FRAC_2_PI, SQRT_2};

/// The Gaussian error linear unit, x · Φ(x) with Φ the standard normal distribution function
/// (Hendrycks and Gimpel, 2016).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Gelu {
    approximate: Approximate,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Approximate {
    /// Φ by the error function.
    #[default]
    None,
    /// Φ(x) ≈ (1 + tanh(√(2/π) (x + 0.044715 x³))) / 2, section 2 of the paper.
    Tanh,
}

impl Formula for Gelu {
    const NAME: &'static str = "gelu";
    const LATEX: &'static str = r"x \, \Phi(x)";
    const CITATION: &'static str = "Hendrycks and Gimpel 2016, arXiv:1606.08415";
    const PARAMETERS: &'static [Parameter] =
        &[Parameter::choice("approximate", &["none", "tanh"], "how Φ is computed")];

    #[inline(always)]
    fn eval<R: Real>(&self, x: R) -> R {
        let phi = match self.approximate {
            Approximate::None => (x.clone() / SQRT_2).erf(),
            Approximate::Tanh => {
                let cubic = x.clone().square() * 0.044_715 + 1.0;
                (x.clone() * cubic * FRAC_2_PI.sqrt()).tanh()
            }
        };
        x * ((phi + 1.0) * 0.5)
    }
}

activation::register!(Gelu);

#[cfg(test)]
mod tests {
    use activation_testing::{
        activation, assert_agrees_with_pytorch, assert_close, assert_conforms,
    };

    #[test]
    fn conforms() {
        assert_conforms("gelu");
        assert_conforms("gelu(approximate=tanh)");
    }

    #[test]
    fn agrees_with_pytorch() {
        assert_agrees_with_pytorch("gelu", "gelu");
        assert_agrees_with_pytorch("gelu(approximate=tanh)", "gelu(approximate=tanh)");
    }

    #[test]
    fn textbook_figures() {
        let gelu = activation("gelu");
        for (x, y) in [(-2.0, -0.0455), (-1.0, -0.1587), (0.0, 0.0), (1.0, 0.8413), (2.0, 1.9545)] {
            assert_close("GELU", gelu.nonlinearity().eval(x).0, y, 5e-5, 0.0);
        }
    }
}
