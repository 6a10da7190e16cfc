//! Norms of a gradient, of all parameters and by layer.

use crate::parameters::{Each, for_each_tensor};
use actlab_kernels::sum_of_squares;
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

/// The norms of `gradients`. A layer is a field of the model, or an element of one that is a list.
pub(crate) fn gradient_norm<M: Module>(module: &M, gradients: &GradientsParams) -> GradientNorm {
    struct Norms<'a> {
        gradients: &'a GradientsParams,
        whole: f64,
        /// Name and sum of squares.
        layers: Vec<(String, f64)>,
    }

    impl Each for Norms<'_> {
        fn tensor<const D: usize>(&mut self, name: &str, id: ParamId, _: Tensor<D>) {
            let Some(gradient) = self.gradients.get::<D>(id) else { return };
            let squares = sum_of_squares(gradient);
            self.whole += squares;
            let path: Vec<&str> = name.split('.').collect();
            let element = |name: &&str| name.bytes().all(|byte| byte.is_ascii_digit());
            let depth = if path.get(1).is_some_and(element) { 2 } else { 1 };
            let layer = path[..depth].join(".");
            match self.layers.last_mut() {
                Some((last, sum)) if *last == layer => *sum += squares,
                _ => self.layers.push((layer, squares)),
            }
        }
    }

    let mut norms = Norms { gradients, whole: 0.0, layers: Vec::new() };
    for_each_tensor(module, &mut norms);
    let layer = |(layer, squares): (String, f64)| LayerGradient { layer, norm: squares.sqrt() };
    GradientNorm {
        whole: norms.whole.sqrt(),
        layers: norms.layers.into_iter().map(layer).collect(),
    }
}
