//! What an activation computes of each element, for kernels of other crates.

use crate::Algebra;
use crate::graph::{Graph, Node};
use crate::lanes::{ERFC, ERFC_SCALE};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// A formula of one input, or of gate and value, over any [`Algebra`]. Clones share it; what is compared and hashed are
/// its operations.
#[derive(Debug, Clone)]
pub struct Elementwise {
    graph: Arc<Graph>,
    hash: u64,
}

impl Elementwise {
    pub(crate) fn new(graph: Graph) -> Self {
        let mut hasher = DefaultHasher::new();
        graph.hash(&mut hasher);
        Self { graph: Arc::new(graph), hash: hasher.finish() }
    }

    /// Whether all its constants are finite in single precision: kernels in WGSL cannot have others.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "what overflows is infinite")]
    pub fn is_finite(&self) -> bool {
        self.graph.nodes.iter().filter_map(Node::constant).all(|x| (x as f32).is_finite())
    }

    /// The value. `inputs` must not be empty.
    pub fn eval<R: Algebra>(&self, inputs: &[R]) -> R {
        self.graph.eval(inputs, &[])
    }

    /// The derivative by an input.
    pub fn derivative<R: Algebra>(&self, inputs: &[R], by: usize) -> R {
        self.graph.derivative(inputs, &[], by).derivative()
    }
}

impl PartialEq for Elementwise {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash
            && (Arc::ptr_eq(&self.graph, &other.graph) || self.graph == other.graph)
    }
}

impl Eq for Elementwise {}

impl Hash for Elementwise {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.hash.hash(state);
    }
}

/// [`Algebra::erfc_and_gaussian`] of basic operations, for an interpretation that has no complementary error function:
/// e^(−x²) · P(1/(1 + 0.416 |x|)), mirrored for x < 0, with the polynomial of the SIMD registers. The result keeps its digits
/// where a difference 1 − erf(x) would lose them.
pub fn erfc_and_gaussian<R: Algebra>(x: R) -> (R, R) {
    // e^(−x²) is 0 in single precision beyond 10.2; bounded, nothing overflows.
    let size = x.clone().select(0.0, -x.clone(), x.clone()).min(11.0);
    let gaussian = (-(size.clone() * size.clone())).exp();
    let t = x.constant(1.0) / (size * f64::from(ERFC_SCALE) + 1.0);
    let mut sum = t.constant(f64::from(ERFC[ERFC.len() - 1]));
    for coefficient in ERFC.iter().rev().skip(1) {
        sum = sum * t.clone() + f64::from(*coefficient);
    }
    let positive = sum * gaussian.clone();
    let mirrored = -positive.clone() + 2.0;
    (x.select(0.0, mirrored, positive), gaussian)
}
