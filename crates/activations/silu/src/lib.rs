//! SiLU, also called Swish.

mod notes;

use activation::card::StaticNotes;
use activation::{Formula, Parameter, Real};
use serde::{Deserialize, Serialize};

/// x · σ(βx): SiLU for β = 1 (Elfwing, Uchibe and Doya, 2018), Swish for any β (Ramachandran, Zoph
/// and Le, 2017); β = 1.702 is the sigmoid approximation of GELU.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Silu {}

impl Formula for Silu {
    const NAME: &'static str = "silu";
    const ALIASES: &'static [&'static str] = &["swish"];
    const VARIANTS: &'static [(&'static str, &'static str)] = &[("quick_gelu", "silu(beta=1.702)")];
    const LATEX: &'static str = r"x \, \sigma(\beta x)";
    const CITATION: &'static str =
        "Elfwing et al. 2018, arXiv:1702.03118; Ramachandran et al. 2017, arXiv:1710.05941";
    const NOTES: StaticNotes = notes::NOTES;
    const PARAMETERS: &'static [Parameter] =
        &[Parameter::number("beta", 1.0, [0.0, 100.0], "steepness of the sigmoid")];

    type Numbers<R: Real> = [R; 1];

    #[inline(always)]
    fn eval<R: Real>(&self, x: R, [beta]: [R; 1]) -> R {
        x * (x * beta).sigmoid()
    }
}

activation::register!(Silu);

#[cfg(test)]
mod tests {
    use activation_testing::{
        activation, assert_agrees_with_pytorch, assert_conforms, assert_values,
    };

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
    fn infinities_and_large_numbers() {
        let infinity = f64::INFINITY;
        let ends = [(-infinity, -0.0, 0.0), (infinity, infinity, 1.0), (-3e38, -0.0, 0.0)];
        assert_values("silu", &ends, 0.0, 0.0);
        assert_values("silu(beta=100)", &ends, 0.0, 0.0);
        let half = [(-infinity, -infinity, 0.5), (infinity, infinity, 0.5), (-1e36, -5e35, 0.5)];
        assert_values("silu(beta=0)", &half, 0.0, 1e-7);
        let tail = [(-40.0, -1.699_341_702_116_635_6e-16, -1.656_858_159_563_719_7e-16)];
        assert_values("silu", &tail, 1e-12, 1e-5);
    }

    #[test]
    fn swish_is_another_name() {
        assert_eq!(activation("Swish").label(), "silu");
    }
}
