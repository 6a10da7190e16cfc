//! SiLU, also called Swish.

use activation::{Formula, Parameter, Real};
use serde::{Deserialize, Serialize};

/// x · σ(βx): SiLU for β = 1 (Elfwing, Uchibe and Doya, 2018), Swish for any β (Ramachandran, Zoph
/// and Le, 2017); β = 1.702 is the sigmoid approximation of GELU.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Silu {
    beta: f64,
}

impl Default for Silu {
    fn default() -> Self {
        Self { beta: 1.0 }
    }
}

impl Formula for Silu {
    const NAME: &'static str = "silu";
    const ALIASES: &'static [&'static str] = &["swish"];
    const LATEX: &'static str = r"x \, \sigma(\beta x)";
    const CITATION: &'static str =
        "Elfwing et al. 2018, arXiv:1702.03118; Ramachandran et al. 2017, arXiv:1710.05941";
    const PARAMETERS: &'static [Parameter] =
        &[Parameter::number("beta", 0.0, 100.0, "steepness of the sigmoid")];

    #[inline(always)]
    fn eval<R: Real>(&self, x: R) -> R {
        x.clone() * (x * self.beta).sigmoid()
    }
}

activation::register!(Silu);

#[cfg(test)]
mod tests {
    use activation_testing::{activation, assert_agrees_with_pytorch, assert_conforms};

    #[test]
    fn conforms() {
        assert_conforms("silu");
        assert_conforms("silu(beta=1.702)");
        assert_conforms("silu(beta=0)");
    }

    #[test]
    fn agrees_with_pytorch() {
        assert_agrees_with_pytorch("silu", "silu");
        assert_agrees_with_pytorch("silu(beta=1.702)", "silu(beta=1.702)");
    }

    #[test]
    fn swish_is_another_name() {
        assert_eq!(activation("Swish").label(), "silu");
    }
}
