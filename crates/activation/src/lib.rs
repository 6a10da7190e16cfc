//! What an activation is.
//!
//! An author writes one formula over the algebra [`Real`] and registers it:
//!
//! ```
//! use activation::{Formula, Real};
//! use serde::{Deserialize, Serialize};
//!
//! /// Mish, x · tanh(softplus(x)) (Misra 2019, arXiv:1908.08681).
//! #[derive(Debug, Clone, Default, Serialize, Deserialize)]
//! struct Mish {}
//!
//! impl Formula for Mish {
//!     const NAME: &'static str = "mish";
//!     const LATEX: &'static str = r"x \tanh(\ln(1 + e^x))";
//!     const CITATION: &'static str = "Misra 2019, arXiv:1908.08681";
//!
//!     type Numbers<R: Real> = [R; 0];
//!
//!     #[inline(always)]
//!     fn eval<R: Real>(&self, x: R, []: [R; 0]) -> R {
//!         x * x.softplus().tanh()
//!     }
//! }
//!
//! activation::register!(Mish);
//!
//! let mish = activation::build(&"mish".parse()?)?;
//! let (y, dy_dx) = mish.nonlinearity().eval(0.0);
//! assert_eq!((y, dy_dx), (0.0, 0.6));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The same formula is then read as `f64` (reference), as [`Dual`] (exact derivatives), as burn
//! tensors (training, on any device) and as SIMD registers ([`Lanes`]: fused kernels on the CPU). A formula may also be
//! text ([`TextFormula`]), in an experiment or in a [card]. Models hold an `Arc<`[`Activation`]`>`.

mod activation;
mod body;
pub mod card;
mod chain;
pub mod conformance;
mod dual;
mod elementwise;
mod error;
mod formula;
mod functions;
mod graph;
mod lanes;
mod learning;
mod parameter;
mod program;
pub mod properties;
mod real;
mod reference;
mod registry;
mod request;
mod segment;
pub mod simd;
mod slices;
mod tensor;
mod text;
mod tile;
mod tree;
mod watch;

pub use activation::{Activation, Gated, Kind, Learned, Pointwise};
pub use dual::Dual;
pub use elementwise::{Elementwise, erfc_and_gaussian};
pub use error::{BuildError, SyntaxError, did_you_mean, nearest};
pub use formula::{Formula, GatedFormula, Numbers};
pub use graph::Infix;
pub use lanes::Lanes;
pub use learning::{LearnedFormula, Learning, Per};
pub use parameter::{Domain, Parameter, Parameters};
pub use program::Values;
pub use real::{Algebra, Real};
pub use registry::{Entry, Registrable, Registration, all, build, build_registered, find};
pub use request::ActivationRequest;
pub use simd::arch;
pub use text::{FormulaError, TextFormula, functions};
pub use tree::{Symbol, Tree};

#[doc(hidden)]
pub mod reexport {
    pub use inventory;
}
