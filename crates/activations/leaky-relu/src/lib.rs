//! LeakyReLU.

mod notes;

use activation::card::StaticNotes;
use activation::{Formula, Parameter, Real};
use serde::{Deserialize, Serialize};

/// x where it is positive, slope · x elsewhere (Maas, Hannun and Ng, 2013); PReLU where the slope is learned for each
/// channel (He et al. 2015).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LeakyRelu {}

impl Formula for LeakyRelu {
    const NAME: &'static str = "leaky_relu";
    const ALIASES: &'static [&'static str] = &["leakyrelu", "lrelu"];
    const VARIANTS: &'static [(&'static str, &'static str)] = &[
        // He et al. 2015, arXiv:1502.01852, section 2.1.
        ("prelu", "leaky_relu(slope=0.25,learn=slope,per=channel)"),
    ];
    const LATEX: &'static str = r"\max(x, 0) + \mathrm{slope} \cdot \min(x, 0)";
    const CITATION: &'static str = "Maas, Hannun and Ng 2013, ICML workshop";
    const NOTES: StaticNotes = notes::NOTES;
    const PARAMETERS: &'static [Parameter] =
        &[Parameter::number("slope", 0.01, [0.0, 1.0], "slope for negative inputs")];

    type Numbers<R: Real> = [R; 1];

    #[inline(always)]
    fn eval<R: Real>(&self, x: R, [slope]: [R; 1]) -> R {
        x.select(0.0, x * slope, x)
    }
}

activation::register!(LeakyRelu);

#[cfg(test)]
mod tests {
    use activation_testing::{assert_agrees_with_pytorch, assert_conforms, assert_values};

    #[test]
    fn conforms() {
        assert_conforms("leaky_relu");
        assert_conforms("leaky_relu(slope=0.2)");
        assert_conforms("leaky_relu(slope=0)");
    }

    #[test]
    fn infinities() {
        let infinity = f64::INFINITY;
        let ends = [(-infinity, -infinity, 0.01), (infinity, infinity, 1.0)];
        assert_values("leaky_relu", &ends, 0.0, 1e-7);
        let flat = [(-infinity, -0.0, 0.0), (infinity, infinity, 1.0), (-1e36, -0.0, 0.0)];
        assert_values("leaky_relu(slope=0)", &flat, 0.0, 0.0);
    }

    #[test]
    fn agrees_with_pytorch() {
        assert_agrees_with_pytorch("leaky_relu", "leaky_relu(slope=0.01)");
        assert_agrees_with_pytorch("leaky_relu(slope=0.2)", "leaky_relu(slope=0.2)");
    }
}
