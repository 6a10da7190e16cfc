//! Layers that models share.

use super::{Mode, Pass};
use activation::Activation;
use actlab_kernels::{self as kernels, BatchNormTraining, Sequences};
use burn::Tensor;
use burn::nn::{
    BatchNorm, Embedding, EmbeddingConfig, LayerNorm, LayerNormConfig, Linear, LinearConfig,
};
use burn::tensor::{Device, TensorData};
use std::sync::Arc;

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

/// `norm` over `[batch, height, width, channels]`: in training by the batch, whose statistics it gathers; in
/// evaluation by those.
pub(super) fn batch_norm(
    norm: &BatchNorm,
    x: Tensor<4>,
    residual: Option<Tensor<4>>,
    f: Option<&Arc<Activation>>,
    pass: &mut Pass<'_>,
) -> Tensor<4> {
    let (gamma, beta) = (norm.gamma.val(), norm.beta.val());
    let epsilon = norm.epsilon;
    if pass.mode() == Mode::Evaluation {
        let statistics = [norm.running_mean.value(), norm.running_var.value()];
        return kernels::batch_norm_inference(x, [gamma, beta], statistics, epsilon, residual, f);
    }
    let BatchNormTraining { output, mean, variance } =
        kernels::batch_norm_training(x, gamma, beta, epsilon, residual, f, pass.next_replica());
    for (running, new) in [(&norm.running_mean, mean), (&norm.running_var, variance)] {
        running.update(kernels::running_average(running.value_sync(), new, norm.momentum));
    }
    output
}
