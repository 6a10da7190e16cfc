//! GELU.

mod notes;

use activation::card::StaticNotes;
use activation::{Formula, Parameter, Real};
use serde::{Deserialize, Serialize};
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_PI};

/// The Gaussian error linear unit, x · Φ(x) with Φ the standard normal distribution function
/// (Hendrycks and Gimpel, 2016), accurate also in the negative tail: x · ½ erfc(−x/√2).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Gelu {
    approximate: Approximate,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Approximate {
    /// Φ by the complementary error function.
    #[default]
    None,
    /// Φ(x) ≈ (1 + tanh(√(2/π) (x + 0.044715 x³))) / 2, section 2 of the paper.
    Tanh,
}

impl Formula for Gelu {
    const NAME: &'static str = "gelu";
    const VARIANTS: &'static [(&'static str, &'static str)] = &[
        // Names of this approximation in Hugging Face's transformers and elsewhere.
        ("gelu_new", "gelu(approximate=tanh)"),
        ("gelu_tanh", "gelu(approximate=tanh)"),
        ("gelu_pytorch_tanh", "gelu(approximate=tanh)"),
    ];
    const LATEX: &'static str = r"x \, \Phi(x)";
    const CITATION: &'static str = "Hendrycks and Gimpel 2016, arXiv:1606.08415";
    const NOTES: StaticNotes = notes::NOTES;
    const PARAMETERS: &'static [Parameter] =
        &[Parameter::choice("approximate", &["none", "tanh"], "how Φ is computed")];

    type Numbers<R: Real> = [R; 0];

    #[inline(always)]
    fn eval<R: Real>(&self, x: R, []: [R; 0]) -> R {
        let phi = match self.approximate {
            // Not (1 + erf)/2, which loses all digits where Φ is small.
            Approximate::None => (x * -FRAC_1_SQRT_2).erfc() * 0.5,
            // σ(2u) = (1 + tanh(u))/2, likewise.
            Approximate::Tanh => {
                let cubic = x.square() * 0.044_715 + 1.0;
                (x * cubic * (2.0 * FRAC_2_PI.sqrt())).sigmoid()
            }
        };
        x * phi
    }
}

activation::register!(Gelu);

#[cfg(test)]
mod tests {
    use activation_testing::{
        activation, assert_agrees_with_pytorch, assert_close, assert_conforms, assert_values,
        autodiff,
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

    /// x Φ(x) and Φ(x) + x φ(x) to 17 digits, by mpmath: where 1 + erf has no digits left.
    #[test]
    fn the_negative_tail() {
        let points = [
            (-5.0, -1.433_257_859_395_969_6e-6, -7.146_946_001_792_295e-6),
            (-5.5, -1.044_425_935_623_824_6e-7, -5.733_472_398_739_925e-7),
            (-6.0, -5.919_525_870_226_189e-9, -3.546_870_945_390_201_5e-8),
            (-7.0, -8.958_687_807_200_845e-12, -6.266_323_031_466_632e-11),
            (-8.0, -4.976_768_459_417_427e-15, -3.979_607_261_086_796e-14),
            (-9.0, -1.015_729_565_358_456_5e-18, -9.138_937_373_906_64e-18),
        ];
        assert_values("gelu", &points, 1e-13, 1e-5);
        let gelu = activation("gelu");
        let (y, slope) = gelu.nonlinearity().eval(-20.0);
        assert_close("GELU", y, -5.507_248_237_212_467e-88, 0.0, 1e-12);
        assert_close("its slope", slope, -1.101_436_048_313_346_4e-86, 0.0, 1e-12);
        let [y, slope] = autodiff("gelu", &points.map(|(x, ..)| x));
        for (i, (x, expected, expected_slope)) in points.into_iter().enumerate() {
            assert_close(&format!("GELU of a tensor at {x}"), y[i], expected, 0.0, 2e-5);
            assert_close(&format!("its slope at {x}"), slope[i], expected_slope, 0.0, 2e-5);
        }
    }

    #[test]
    fn infinities_and_what_overflows_on_the_way() {
        let infinity = f64::INFINITY;
        let ends = [(-infinity, -0.0, 0.0), (infinity, infinity, 1.0)];
        assert_values("gelu", &ends, 0.0, 0.0);
        assert_values("gelu(approximate=tanh)", &ends, 0.0, 0.0);
        let large = [1e19, 2e19, 1e36, 3e38].map(|x| (x, x, 1.0));
        let small = [1e19, 2e19, 1e36, 3e38].map(|x| (-x, -0.0, 0.0));
        for text in ["gelu", "gelu(approximate=tanh)"] {
            assert_values(text, &large, 1e-12, 1e-6);
            assert_values(text, &small, 0.0, 0.0);
            let gelu = activation(text);
            for x in [1.4e154, 1e308] {
                assert_eq!(gelu.nonlinearity().eval(x), (x, 1.0));
                assert_eq!(gelu.nonlinearity().eval(-x), (0.0, 0.0));
            }
            assert!(gelu.nonlinearity().eval(f64::NAN).1.is_nan());
        }
    }

    #[test]
    fn other_names_of_the_approximation() {
        for name in ["gelu_new", "gelu_tanh", "GELU-PyTorch-tanh", "gelu_new(approximate=tanh)"] {
            assert_eq!(activation(name).label(), "gelu(approximate=tanh)");
        }
        let contradiction = activation::build(&"gelu_new(approximate=none)".parse().unwrap());
        assert_eq!(
            contradiction.unwrap_err().to_string(),
            "`gelu_new` is `gelu(approximate=tanh)`: its `approximate` cannot be another"
        );
        let unknown = activation::build(&"gelu_tan".parse().unwrap()).unwrap_err().to_string();
        assert!(unknown.contains("did you mean `gelu_tanh`"), "{unknown}");
    }

    #[test]
    fn textbook_figures() {
        let gelu = activation("gelu");
        for (x, y) in [(-2.0, -0.0455), (-1.0, -0.1587), (0.0, 0.0), (1.0, 0.8413), (2.0, 1.9545)] {
            assert_close("GELU", gelu.nonlinearity().eval(x).0, y, 5e-5, 0.0);
        }
    }
}
