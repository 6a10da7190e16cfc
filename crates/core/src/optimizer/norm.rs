//! Norms of a gradient, of all parameters and by layer.

use crate::parameters::{TensorVisitor, for_each_tensor};
use actlab_kernels::{SquareSums, Squares};
use burn::Tensor;
use burn::module::{Module, ParamId};
use burn::optim::GradientsParams;
use record::LayerGradient;

/// Euclidean norms of a gradient.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct GradientNorm {
    /// Over all parameters.
    pub(crate) whole: f64,
    /// Over the parameters of each layer, in the order of the forward pass.
    pub(crate) layers: Vec<LayerGradient>,
}

/// Sums of the squares of a gradient, by parameter; some may still be on their device.
#[derive(Debug)]
pub(crate) struct GradientSquares {
    /// Names of the parameters, in the order of the forward pass.
    names: Vec<String>,
    /// The sum of each.
    pub(crate) sums: SquareSums,
}

impl GradientSquares {
    /// Those of `gradients`, whose parameters are those of `module`.
    pub(crate) fn of<M: Module>(module: &M, gradients: &GradientsParams) -> Self {
        struct Visitor<'a>(&'a GradientsParams, Vec<String>, Squares);

        impl TensorVisitor for Visitor<'_> {
            fn tensor<const D: usize>(&mut self, name: &str, id: ParamId, _: Tensor<D>) {
                let Some(gradient) = self.0.get::<D>(id) else { return };
                self.1.push(name.to_owned());
                self.2.push(gradient);
            }
        }

        let mut visitor = Visitor(gradients, Vec::new(), Squares::default());
        for_each_tensor(module, &mut visitor);
        let Visitor(_, names, squares) = visitor;
        Self { names, sums: squares.sums() }
    }

    /// The norms, with the `sums` that were read. A layer is a field of the model, or an element of one that is a
    /// list.
    pub(crate) fn norm(&self, sums: &[f64]) -> GradientNorm {
        let mut layers: Vec<(String, f64)> = Vec::new();
        for (name, squares) in self.names.iter().zip(sums) {
            let path: Vec<&str> = name.split('.').collect();
            let element = |name: &&str| name.bytes().all(|byte| byte.is_ascii_digit());
            let depth = if path.get(1).is_some_and(element) { 2 } else { 1 };
            let layer = path[..depth].join(".");
            match layers.last_mut() {
                Some((last, sum)) if *last == layer => *sum += squares,
                _ => layers.push((layer, *squares)),
            }
        }
        let layer = |(layer, squares): (String, f64)| LayerGradient { layer, norm: squares.sqrt() };
        GradientNorm {
            whole: sums.iter().sum::<f64>().sqrt(),
            layers: layers.into_iter().map(layer).collect(),
        }
    }
}
