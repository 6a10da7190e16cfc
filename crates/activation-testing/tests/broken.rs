//! Conformance must be able to fail: each of these formulas is wrong in one way, and the check that
//! is there for it must say so.

use activation::{Formula, Parameter, Real, conformance};
use activation_testing::activation;
use burn::tensor::Device;
use serde::{Deserialize, Serialize};

/// Which checks a formula fails, by the first words of their names.
fn failures(name: &str) -> Vec<&'static str> {
    conformance::check(&activation(name), &Device::flex())
        .into_iter()
        .filter(|check| check.outcome.is_err())
        .map(|check| check.name)
        .collect()
}

macro_rules! broken {
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

broken!(Overflows, "overflows", |x| x.exp());
broken!(Jumps, "jumps", |x| x.select(0.0, x.constant(0.0), x + 1.0));
broken!(TrapsNan, "traps_nan", |x| {
    // The branch that is not chosen overflows, and its gradient is 0 · ∞.
    x.select(0.0, x.exp(), x + 1.0)
});

// ∞/∞ far out, though it tends to ±1; and 1/∞ · ∞, which is taken for 0.
broken!(NoLimit, "no_limit", |x| x / (x.abs() + 1.0));
broken!(WrongLimit, "wrong_limit", |x| x * (x.constant(1.0) / (x.abs() + 1.0)));

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct BadDefault {}

impl Formula for BadDefault {
    const NAME: &'static str = "bad_default";
    const LATEX: &'static str = "f(x)";
    const CITATION: &'static str = "a test";
    const PARAMETERS: &'static [Parameter] =
        &[Parameter::number("slope", 2.0, [0.0, 1.0], "too small")];

    type Numbers<R: Real> = [R; 1];

    fn eval<R: Real>(&self, x: R, [slope]: [R; 1]) -> R {
        x * slope
    }
}

activation::register!(BadDefault);

#[test]
fn each_fault_is_found() {
    let finite = "finite values and gradients from -1e4 to 1e4";
    assert_eq!(failures("overflows"), [finite]);
    assert_eq!(failures("traps_nan"), [finite]);
    assert_eq!(failures("jumps"), ["derivative agrees with finite differences (f64)"]);
    for (name, reason) in [("no_limit", "at -inf is NaN"), ("wrong_limit", "at -1e30 it is -0.9")] {
        assert_eq!(failures(name), ["limits at -inf and +inf are no NaN"], "{name}");
        let checks = conformance::check(&activation(name), &Device::flex());
        let wrong = checks.into_iter().find_map(|check| check.outcome.err()).unwrap_or_default();
        assert!(wrong.contains(reason), "{wrong}");
    }
    let parameters = failures("bad_default");
    assert!(parameters.contains(&"declared parameters are the formula's, defaults in range"));
}

/// Where a formula is NaN, its readings agree: one check says that it is.
#[test]
fn nan_is_told_once() {
    for (text, place) in [
        ("sqrt(x)", "-10"),
        ("ln(x) + x", "-10"),
        ("sqrt(gate) * value", "-10"),
        ("tanh(gate) * sqrt(value)", "(-10.0, -10.0)"),
    ] {
        let checks = conformance::check(&activation(text), &Device::flex());
        let failed: Vec<String> =
            checks.into_iter().filter_map(|check| check.outcome.err()).collect();
        assert_eq!(failed, [format!("the formula is NaN at {place}")], "{text}");
    }
}
