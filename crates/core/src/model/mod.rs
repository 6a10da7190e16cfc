//! The model zoo.

mod bert;
mod init;
mod pass;
mod resnet;
mod width;

pub use bert::{Bert, BertConfig};
pub use init::{Initializer, initialize, named_parameters};
pub use pass::{Pass, Probe};
pub use resnet::{ResNet, ResNetConfig};
pub use width::{gated_feed_forward, gated_residual};

use crate::Error;
use crate::data::{Batch, Dataset, Inputs};
use activation::Activation;
use burn::Tensor;
use burn::module::Module;
use record::{BertSize, ModelSpec};
use std::sync::Arc;

/// A network that turns a batch into logits.
pub trait Network: Module {
    /// Logits of shape `[batch, classes]`.
    fn forward(&self, batch: &Batch, pass: &mut Pass<'_>) -> Tensor<2>;

    /// How the weights called `name`, of `shape`, begin; by the model's paper.
    fn initializer(name: &str, shape: &[usize]) -> Initializer;
}

/// What a model costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelSize {
    /// Trainable parameters.
    pub parameters: u64,
    /// Floating-point operations of the convolutions and matrix products in one example's forward
    /// pass; a multiply-add counts two.
    pub flops: u64,
}

/// A model's configuration, completed by what its data looks like.
#[derive(Debug, Clone, PartialEq)]
pub enum ModelConfig {
    /// Residual network.
    Resnet(ResNetConfig),
    /// Transformer encoder.
    Bert(BertConfig),
}

impl ModelConfig {
    /// Completes `spec` by the image shape, or vocabulary, and classes of `data`.
    ///
    /// # Errors
    /// If the model does not take such data, or the spec makes no network.
    pub fn new(spec: &ModelSpec, data: &Dataset) -> Result<Self, Error> {
        match (spec, &data.train.inputs) {
            (ModelSpec::Resnet { depth, width }, Inputs::Images(images)) => {
                if !(8..=1202).contains(depth) || (*depth - 2) % 6 != 0 {
                    let reason = format!(
                        "is {depth}, but must be 6n + 2: 8, 14, 20, 32, 44, 56, … up to 1202"
                    );
                    return Err(Error::spec("depth", reason));
                }
                if !(1..=4096).contains(width) {
                    let reason = format!("is {width}, but must be from 1 to 4096");
                    return Err(Error::spec("width", reason));
                }
                Ok(Self::Resnet(ResNetConfig {
                    depth: *depth,
                    width: *width,
                    channels: images.channels,
                    height: images.height,
                    image_width: images.width,
                    classes: data.classes.len(),
                }))
            }
            (ModelSpec::Bert { size, max_length, dropout }, Inputs::Text(text)) => {
                if !(3..=8192).contains(max_length) {
                    let reason = format!(
                        "is {max_length}, but must be from 3 ([CLS], a token, [SEP]) to 8192"
                    );
                    return Err(Error::spec("max_length", reason));
                }
                if !(0.0..1.0).contains(dropout) {
                    let reason = format!("is {dropout}, but must be at least 0 and below 1");
                    return Err(Error::spec("dropout", reason));
                }
                let (layers, hidden, heads) = match size {
                    BertSize::Tiny => (2, 128, 2),
                    BertSize::Mini => (4, 256, 4),
                };
                Ok(Self::Bert(BertConfig {
                    vocabulary: text.vocabulary,
                    positions: *max_length,
                    hidden,
                    layers,
                    heads,
                    feed_forward: 4 * hidden,
                    classes: data.classes.len(),
                    dropout: *dropout,
                }))
            }
            (ModelSpec::Resnet { .. }, Inputs::Text(_)) => {
                let reason =
                    format!("a resnet takes images, but `{}` holds text: use a bert", data.name);
                Err(Error::spec("name", reason))
            }
            (ModelSpec::Bert { .. }, Inputs::Images(_)) => {
                let reason =
                    format!("bert takes text, but `{}` holds images: use a resnet", data.name);
                Err(Error::spec("name", reason))
            }
        }
    }

    /// Parameters and operations with `activation`, without building the model.
    #[must_use]
    pub fn size(&self, activation: &dyn Activation) -> ModelSize {
        match self {
            Self::Resnet(config) => config.size(activation),
            Self::Bert(config) => config.size(activation),
        }
    }
}

/// Parameters and operations of `spec` on `data` with `activation`, without building the model.
///
/// # Errors
/// If model and data do not go together.
pub fn model_size(
    spec: &ModelSpec,
    data: &Dataset,
    activation: &Arc<dyn Activation>,
) -> Result<ModelSize, Error> {
    Ok(ModelConfig::new(spec, data)?.size(&**activation))
}
