//! A program with activations of its own, one that works and some that go wrong in every way, and with a model and a
//! data set of its own.

mod components;

use activation::{Formula, Real};
use serde::{Deserialize, Serialize};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    runner::main()
}

/// One that works.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Mish {}

impl Formula for Mish {
    const NAME: &'static str = "mish";
    const LATEX: &'static str = r"x \tanh(\ln(1 + e^x))";
    const CITATION: &'static str = "Misra 2019";

    type Numbers<R: Real> = [R; 0];

    fn eval<R: Real>(&self, x: R, []: [R; 0]) -> R {
        x * x.softplus().tanh()
    }
}

activation::register!(Mish);

/// Panics wherever it is computed.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Panics {}

impl Formula for Panics {
    const NAME: &'static str = "panics";
    const LATEX: &'static str = "x";
    const CITATION: &'static str = "a test";

    type Numbers<R: Real> = [R; 0];

    fn eval<R: Real>(&self, _: R, []: [R; 0]) -> R {
        panic!("a plugin went wrong")
    }
}

activation::register!(Panics);

/// Ends the process that trains with it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Aborts {}

impl Formula for Aborts {
    const NAME: &'static str = "aborts";
    const LATEX: &'static str = "x";
    const CITATION: &'static str = "a test";

    type Numbers<R: Real> = [R; 0];

    fn eval<R: Real>(&self, x: R, []: [R; 0]) -> R {
        // The program itself asks for a few values of every formula.
        if std::env::args().nth(1).as_deref() == Some("worker") {
            std::process::abort();
        }
        x
    }
}

activation::register!(Aborts);

/// Gives NaN everywhere.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct GivesNan {}

impl Formula for GivesNan {
    const NAME: &'static str = "gives_nan";
    const LATEX: &'static str = r"\sqrt{-1 - x^2}";
    const CITATION: &'static str = "a test";

    type Numbers<R: Real> = [R; 0];

    fn eval<R: Real>(&self, x: R, []: [R; 0]) -> R {
        (-x.square() - 1.0).sqrt()
    }
}

activation::register!(GivesNan);

/// Never comes to an end.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Hangs {}

impl Formula for Hangs {
    const NAME: &'static str = "hangs";
    const LATEX: &'static str = "x";
    const CITATION: &'static str = "a test";

    type Numbers<R: Real> = [R; 0];

    fn eval<R: Real>(&self, x: R, []: [R; 0]) -> R {
        if std::env::args().nth(1).as_deref() == Some("worker") {
            std::thread::sleep(std::time::Duration::from_secs(3600));
        }
        x
    }
}

activation::register!(Hangs);
