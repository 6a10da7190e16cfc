//! How far activations are from each other.

use super::gauss::{panels, weighted};
use crate::Activation;

/// The values of an activation's nonlinearity where distances are measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Samples {
    /// Weights of the points, and values there.
    values: Vec<(f64, f64)>,
}

impl Samples {
    /// Those of `activation`.
    #[must_use]
    pub fn of(activation: &Activation) -> Self {
        let f = activation.nonlinearity();
        let points = panels(&[]).into_iter().flat_map(|[from, to]| weighted(from, to));
        Self { values: points.map(|(x, weight)| (weight, f.eval(x).0)).collect() }
    }

    /// √E[(f(z) − g(z))²] for z ~ N(0, 1); NaN where one of them gives NaN.
    #[must_use]
    pub fn distance(&self, other: &Self) -> f64 {
        let pairs = self.values.iter().zip(&other.values);
        pairs.map(|((weight, f), (_, g))| weight * (f - g) * (f - g)).sum::<f64>().sqrt()
    }
}
