//! SwiGLU.

mod notes;

use activation::card::StaticNotes;
use activation::{GatedFormula, Parameter, Real};
use serde::{Deserialize, Serialize};

/// SiLU of a gate times a value (Shazeer, 2020).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SwiGlu {}

impl GatedFormula for SwiGlu {
    const NAME: &'static str = "swiglu";
    const LATEX: &'static str = r"g \, \sigma(\beta g) \cdot v";
    const CITATION: &'static str = "Shazeer 2020, arXiv:2002.05202";
    const NOTES: StaticNotes = notes::NOTES;
    const PARAMETERS: &'static [Parameter] =
        &[Parameter::number("beta", 1.0, [0.0, 100.0], "steepness of the gate's sigmoid")];

    type Numbers<R: Real> = [R; 1];

    #[inline(always)]
    fn gate<R: Real>(&self, gate: R, [beta]: [R; 1]) -> R {
        gate * (gate * beta).sigmoid()
    }
}

activation::register!(SwiGlu);

#[cfg(test)]
mod tests {
    use activation::Kind;
    use activation_testing::{activation, assert_agrees_with_pytorch, assert_conforms};

    #[test]
    fn conforms() {
        assert_conforms("swiglu");
        assert_conforms("swiglu(beta=2)");
    }

    /// y, ∂y/∂gate and ∂y/∂value in double precision, and in single precision as the CPU's kernels compute them.
    #[expect(clippy::cast_possible_truncation, reason = "the kernels are single precision")]
    fn at(gate: f64, value: f64) -> [[f64; 3]; 2] {
        let swiglu = activation("swiglu");
        let Kind::Gated(f) = swiglu.kind() else { panic!("it is gated") };
        let (y, by_gate, by_value) = f.eval(gate, value);
        let (mut gates, mut values, mut ys) = ([gate as f32], [value as f32], [0.0]);
        f.forward_slice(&gates, &values, &mut ys);
        f.backward_slice(&mut gates, &mut values, &[1.0]);
        let single = [ys[0], gates[0], values[0]].map(f64::from);
        [[y, by_gate, by_value], single]
    }

    #[test]
    fn a_closed_gate_and_infinities() {
        let infinity = f64::INFINITY;
        for (gate, value) in [(-1e3, 1e36), (-infinity, 1.0), (-infinity, infinity)] {
            for figures in at(gate, value) {
                assert_eq!(figures, [0.0, 0.0, 0.0], "at ({gate}, {value})");
            }
        }
        for figures in at(infinity, 2.0) {
            assert_eq!(figures, [infinity, 2.0, infinity]);
        }
    }

    /// The derivative by the value is silu(gate), whatever the value is.
    #[test]
    fn a_value_that_is_nan() {
        for [y, by_gate, by_value] in at(0.0, f64::NAN) {
            assert!(y.is_nan() && by_gate.is_nan());
            assert_eq!(by_value, 0.0);
        }
        for [y, by_gate, by_value] in at(f64::NAN, 1.0) {
            assert!(y.is_nan() && by_gate.is_nan() && by_value.is_nan());
        }
    }

    #[test]
    fn agrees_with_pytorch() {
        assert_agrees_with_pytorch("swiglu", "swiglu");
    }
}
