//! A program with activations of its own: one that works, one that panics, one that gives NaN.

use crate::support::Place;
use activation::{Formula, Real};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Mish {}

impl Formula for Mish {
    const NAME: &'static str = "mish";
    const LATEX: &'static str = r"x \tanh(\ln(1 + e^x))";
    const CITATION: &'static str = "Misra 2019";

    fn eval<R: Real>(&self, x: R) -> R {
        x.clone() * x.softplus().tanh()
    }
}

activation::register!(Mish);

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Panics {}

impl Formula for Panics {
    const NAME: &'static str = "panics";
    const LATEX: &'static str = "x";
    const CITATION: &'static str = "a test";

    fn eval<R: Real>(&self, _: R) -> R {
        panic!("a plugin went wrong")
    }
}

activation::register!(Panics);

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct GivesNan {}

impl Formula for GivesNan {
    const NAME: &'static str = "gives_nan";
    const LATEX: &'static str = r"\sqrt{-1 - x^2}";
    const CITATION: &'static str = "a test";

    fn eval<R: Real>(&self, x: R) -> R {
        (-x.square() - 1.0).sqrt()
    }
}

activation::register!(GivesNan);

#[test]
fn a_plugin_that_panics_costs_its_run_and_not_the_sweep() {
    let place = Place::new();
    let file = place.path("tiny.toml").display().to_string();
    let output = place.path("results").display().to_string();
    let set = "activations=[\"relu\", \"panics\", \"gives_nan\", \"mish\"]";
    let args = ["actlab", "sweep", &file, "--output", &output, "--set", set, "--set", "seeds=[1]"];
    assert_eq!(runner::run(args), 1, "a failed run is an error");

    let report = place.read("results/tiny/report.md");
    for row in ["| mish ", "| relu "] {
        assert!(report.contains(row), "{report}");
    }
    assert!(report.contains("a plugin went wrong"), "{report}");
    assert!(report.contains("not finite"), "{report}");
    assert_eq!(std::fs::read_dir(place.path("results/tiny/runs")).unwrap().count(), 8);

    // What failed is tried again, and the code says once more that it failed.
    assert_eq!(runner::run(args), 1);
}
