//! Activations as they are written for version 0.1. Later versions 0.1.x compile this file unchanged: what a release adds to the
//! interface is tested elsewhere. `docs/src/adding-an-activation.md` states the promise.

use activation::card::{StaticNotes, StaticPublished};
use activation::{Formula, GatedFormula, Parameter, Real};
use activation_testing::assert_conforms;
use serde::{Deserialize, Serialize};

/// Every function of a pointwise formula.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Everything {}

impl Formula for Everything {
    const NAME: &'static str = "everything_0_1";
    const LATEX: &'static str = r"f(x)";
    const CITATION: &'static str = "unpublished";
    const ALIASES: &'static [&'static str] = &["all_of_0_1"];
    const PARAMETERS: &'static [Parameter] =
        &[Parameter::number("beta", 1.0, [0.0, 100.0], "steepness")];
    const NOTES: StaticNotes = StaticNotes {
        used_in: "a test",
        published: &[StaticPublished { setting: "none", figure: "none", source: "none" }],
        ..StaticNotes::NONE
    };

    type Numbers<R: Real> = [R; 1];

    #[inline(always)]
    fn eval<R: Real>(&self, x: R, [beta]: [R; 1]) -> R {
        let smooth = x.sigmoid() + x.tanh() + x.atan() + x.erf() + x.sin() * x.cos();
        let bounded = x.clamp(-3.0, 3.0);
        let grown = bounded.exp() + bounded.exp_m1() - bounded.erfc() + bounded.softplus();
        let root = (x.square() + 1.0).sqrt() - (x.powi(2) + 1.0).ln() + x.abs().ln_1p();
        let pieces = x.select(0.0, x * 0.25, x) + x.relu() + x.max(-1.0) - x.min(1.0) / 2.0;
        let one = x.constant(1.0);
        (-smooth * beta).mul_add(one, grown) + root + pieces + x * 16.0 - 0.5
    }
}

activation::register!(Everything);

/// A gated formula, whose value is the product with the gate's nonlinearity.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Gate {}

impl GatedFormula for Gate {
    const NAME: &'static str = "gate_0_1";
    const LATEX: &'static str = r"\sigma(g) \cdot v";
    const CITATION: &'static str = "unpublished";

    type Numbers<R: Real> = [R; 0];

    #[inline(always)]
    fn gate<R: Real>(&self, gate: R, []: [R; 0]) -> R {
        gate.sigmoid()
    }
}

activation::register!(Gate);

#[test]
fn conform() {
    for name in ["everything_0_1", "everything_0_1(beta=2)", "all_of_0_1", "gate_0_1"] {
        assert_conforms(name);
    }
    assert_conforms("everything_0_1(learn=beta)");
}
