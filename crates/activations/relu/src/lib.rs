//! ReLU.

mod notes;

use activation::card::StaticNotes;
use activation::{Formula, Real};
use serde::{Deserialize, Serialize};

/// The rectified linear unit, max(x, 0) (Nair and Hinton, 2010).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Relu {}

impl Formula for Relu {
    const NAME: &'static str = "relu";
    const LATEX: &'static str = r"\max(x, 0)";
    const CITATION: &'static str = "Nair and Hinton 2010, ICML";
    const NOTES: StaticNotes = notes::NOTES;

    type Numbers<R: Real> = [R; 0];

    #[inline(always)]
    fn eval<R: Real>(&self, x: R, []: [R; 0]) -> R {
        x.max(0.0)
    }
}

activation::register!(Relu);

#[cfg(test)]
mod tests {
    use activation::Algebra;
    use activation_testing::{
        activation, assert_agrees_with_pytorch, assert_close, assert_conforms,
    };

    #[test]
    fn conforms() {
        assert_conforms("relu");
    }

    #[test]
    fn agrees_with_pytorch() {
        assert_agrees_with_pytorch("relu", "relu");
    }

    /// E\[max(x, 0)\] = 1/√(2π) ≈ 0.3989 for a standard normal x: the mean shift of ReLU.
    #[test]
    fn mean_of_standard_normal_inputs() {
        let relu = activation("relu");
        let step = 1e-3;
        let density = |x: f64| Algebra::exp(-x * x / 2.0) / std::f64::consts::TAU.sqrt();
        let mean: f64 = (-10_000..10_000)
            .map(|i| (f64::from(i) + 0.5) * step)
            .map(|x| relu.nonlinearity().eval(x).0 * density(x) * step)
            .sum();
        assert_close("mean", mean, 0.3989, 5e-5, 0.0);
    }
}
