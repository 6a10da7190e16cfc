//! Formulas from the literature, written over the algebra alone, against PyTorch and conformance:
//! what a plugin author may rely on.

use activation::{Formula, GatedFormula, Real};
use activation_testing::{assert_agrees_with_pytorch, assert_conforms};
use serde::{Deserialize, Serialize};

macro_rules! pointwise {
    ($type:ident, $name:literal, |$x:ident| $formula:expr) => {
        #[derive(Debug, Clone, Default, Serialize, Deserialize)]
        struct $type {}

        impl Formula for $type {
            const NAME: &'static str = $name;
            const LATEX: &'static str = "f(x)";
            const CITATION: &'static str = "a test";

            type Numbers<R: Real> = [R; 0];

            fn eval<R: Real>(&self, $x: R, []: [R; 0]) -> R {
                $formula
            }
        }

        activation::register!($type);
    };
}

macro_rules! gated {
    ($type:ident, $name:literal, |$gate:ident| $formula:expr) => {
        #[derive(Debug, Clone, Default, Serialize, Deserialize)]
        struct $type {}

        impl GatedFormula for $type {
            const NAME: &'static str = $name;
            const LATEX: &'static str = "f(g) v";
            const CITATION: &'static str = "a test";

            type Numbers<R: Real> = [R; 0];

            fn gate<R: Real>(&self, $gate: R, []: [R; 0]) -> R {
                $formula
            }
        }

        activation::register!($type);
    };
}

const SELU_SCALE: f64 = 1.050_700_987_355_480_5;
const SELU_ALPHA: f64 = 1.673_263_242_354_377_2;

fn elu<R: Real>(x: R, alpha: f64) -> R {
    x.select(0.0, x.min(0.0).exp_m1() * alpha, x)
}

pointwise!(Mish, "mish", |x| x * x.softplus().tanh());
pointwise!(Elu, "elu", |x| elu(x, 1.0));
pointwise!(Selu, "selu", |x| elu(x, SELU_ALPHA) * SELU_SCALE);
pointwise!(Softplus, "softplus", |x| x.softplus());
pointwise!(Tanh, "tanh", |x| x.tanh());
pointwise!(Sigmoid, "sigmoid", |x| x.sigmoid());
pointwise!(Relu2, "relu2", |x| x.max(0.0).square());
pointwise!(Hardswish, "hardswish", |x| {
    let middle = x * (x + 3.0) / 6.0;
    let zero = x.constant(0.0);
    // From 3 upwards, 3 included: a comparison of −x.
    let upper = (-x).select(-3.0, x, middle);
    x.select(-3.0, zero, upper)
});
gated!(GeGlu, "geglu", |gate| {
    let phi = (gate / std::f64::consts::SQRT_2).erf();
    gate * ((phi + 1.0) * 0.5)
});
gated!(ReGlu, "reglu", |gate| gate.max(0.0));
gated!(Glu, "glu", |gate| gate.sigmoid());

#[test]
fn agree_with_pytorch() {
    for (name, key) in [
        ("mish", "mish"),
        ("elu", "elu(alpha=1.0)"),
        ("selu", "selu"),
        ("softplus", "softplus"),
        ("tanh", "tanh"),
        ("sigmoid", "sigmoid"),
        ("relu2", "relu2"),
        ("hardswish", "hardswish"),
        ("geglu", "geglu"),
        ("reglu", "reglu"),
        ("glu", "glu"),
    ] {
        assert_agrees_with_pytorch(name, key);
    }
}

#[test]
fn conform() {
    for registration in activation::all() {
        assert_conforms(&registration.name);
    }
}
