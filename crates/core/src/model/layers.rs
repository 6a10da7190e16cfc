//! Layers that models share.

use super::Pass;
use actlab_kernels::{self as kernels, Sequences};
use burn::Tensor;
use burn::nn::{Embedding, EmbeddingConfig, LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::tensor::{Device, TensorData};

/// A linear layer of zeros; see [`super::initialize`].
pub(super) fn linear(input: usize, output: usize, device: &Device) -> Linear {
    LinearConfig::new(input, output).with_initializer(burn::nn::Initializer::Zeros).init(device)
}

/// An embedding of zeros; see [`super::initialize`].
pub(super) fn embedding(entries: usize, width: usize, device: &Device) -> Embedding {
    EmbeddingConfig::new(entries, width).with_initializer(burn::nn::Initializer::Zeros).init(device)
}

/// A layer norm over `width` numbers.
pub(super) fn layer_norm(width: usize, epsilon: f64, device: &Device) -> LayerNorm {
    LayerNormConfig::new(width).with_epsilon(epsilon).init(device)
}

/// The bias of `layer`.
pub(super) fn bias(layer: &Linear) -> Tensor<1> {
    layer.bias.as_ref().expect("linear layers are built with a bias").val()
}

/// Weights and biases of three layers, as the products of attention take them.
pub(super) fn weights_and_biases(layers: [&Linear; 3]) -> ([Tensor<2>; 3], [Tensor<1>; 3]) {
    (layers.map(|layer| layer.weight.val()), layers.map(bias))
}

/// `layer` of `[rows, width]`.
pub(super) fn apply(layer: &Linear, x: Tensor<2>, pass: &Pass<'_>) -> Tensor<2> {
    pass.precision().linear(x, layer.weight.val(), Some(bias(layer)))
}

/// The embedding `[rows, width]` of each token's position.
///
/// # Panics
/// If a text is longer than there are positions, which a data set that respects the model's limit rules out.
pub(super) fn positions(weight: Tensor<2>, sequences: &Sequences) -> Tensor<2> {
    let ([known, _], longest) = (weight.dims(), sequences.longest());
    assert!(longest <= known, "a text of {longest} tokens, but the model has {known} positions");
    let places: Vec<i64> =
        sequences.positions().map(|place| i64::try_from(place).expect("texts are short")).collect();
    let rows = places.len();
    let places = Tensor::from_data(TensorData::new(places, [rows]), &weight.device());
    kernels::embedding(weight, places)
}

/// `norm` over the last dimension of `x` + `residual`.
pub(super) fn normalize<const D: usize>(
    norm: &LayerNorm,
    x: Tensor<D>,
    residual: Option<Tensor<D>>,
    epsilon: f64,
) -> Tensor<D> {
    let beta = norm.beta.as_ref().expect("layer norms are built with a shift").val();
    kernels::layer_norm(x, residual, norm.gamma.val(), beta, epsilon)
}
