//! A BERT encoder with a classification head (Devlin et al. 2019, arXiv:1810.04805), in the small
//! sizes of Turc et al. 2019 (arXiv:1908.08962).

use super::{Initializer, ModelSize, Network, Pass, gated_feed_forward};
use crate::data::{Batch, BatchInputs};
use activation::{Activation, Kind};
use actlab_kernels as kernels;
use burn::Tensor;
use burn::module::Module;
use burn::nn::{Embedding, EmbeddingConfig, LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::tensor::{Bool, Device, Int};
use std::sync::Arc;

/// Shape of a BERT encoder.
#[derive(Debug, Clone, PartialEq)]
pub struct BertConfig {
    /// Entries of the vocabulary.
    pub vocabulary: usize,
    /// Learned positions: the longest sequence.
    pub positions: usize,
    /// Width.
    pub hidden: usize,
    /// Layers.
    pub layers: usize,
    /// Attention heads.
    pub heads: usize,
    /// Width of the feed-forward with a pointwise activation.
    pub feed_forward: usize,
    /// Classes.
    pub classes: usize,
    /// Dropout probability.
    pub dropout: f64,
}

/// Of layer norms, as in the released code.
const EPSILON: f64 = 1e-12;

/// Segment embeddings of BERT; single sentences use the first.
const SEGMENTS: usize = 2;

impl BertConfig {
    /// Outputs of the feed-forward's first matrix, and inputs of its second.
    fn feed_forward_widths(&self, activation: &dyn Activation) -> (usize, usize) {
        match activation.kind() {
            Kind::Pointwise(_) => (self.feed_forward, self.feed_forward),
            Kind::Gated(_) => {
                let width = gated_feed_forward(self.feed_forward);
                (2 * width, width)
            }
        }
    }

    /// Parameters, and operations for a sequence of the full length, with `activation`.
    #[must_use]
    pub fn size(&self, activation: &dyn Activation) -> ModelSize {
        let h = self.hidden;
        let (made, taken) = self.feed_forward_widths(activation);
        let matrices = 4 * h * h + h * made + taken * h;
        let layer = matrices + 4 * h + made + h + 4 * h;
        let embeddings = (self.vocabulary + self.positions + SEGMENTS) * h + 2 * h;
        let head = h * h + h + h * self.classes + self.classes;
        let n = self.positions;
        let attention = 2 * n * n * h;
        let flops = 2 * (self.layers * (n * matrices + attention) + h * h + h * self.classes);
        ModelSize {
            parameters: (embeddings + self.layers * layer + head) as u64,
            flops: flops as u64,
        }
    }

    /// The network at its layers' own initial values; see [`super::initialize`].
    #[must_use]
    pub fn init(&self, activation: &Arc<dyn Activation>, device: &Device) -> Bert {
        let h = self.hidden;
        let (made, taken) = self.feed_forward_widths(&**activation);
        let norm = || LayerNormConfig::new(h).with_epsilon(EPSILON).init(device);
        let layers = (0..self.layers)
            .map(|index| Layer {
                attention: Attention {
                    query: linear(h, h, device),
                    key: linear(h, h, device),
                    value: linear(h, h, device),
                    output: linear(h, h, device),
                    heads: self.heads,
                },
                attention_norm: norm(),
                feed_forward: FeedForward {
                    inner: linear(h, made, device),
                    outer: linear(taken, h, device),
                },
                feed_forward_norm: norm(),
                site: format!("layers.{index}.feed_forward"),
            })
            .collect();
        Bert {
            embeddings: Embeddings {
                token: embedding(self.vocabulary, h, device),
                position: embedding(self.positions, h, device),
                segment: embedding(SEGMENTS, h, device),
                norm: norm(),
            },
            layers,
            pooler: linear(h, h, device),
            head: linear(h, self.classes, device),
            dropout: self.dropout,
            activation: Arc::clone(activation),
        }
    }
}

fn linear(input: usize, output: usize, device: &Device) -> Linear {
    LinearConfig::new(input, output).with_initializer(burn::nn::Initializer::Zeros).init(device)
}

fn embedding(entries: usize, width: usize, device: &Device) -> Embedding {
    EmbeddingConfig::new(entries, width).with_initializer(burn::nn::Initializer::Zeros).init(device)
}

/// A BERT encoder with pooler and classification head; norms come after the residual sums.
#[derive(Module, Debug)]
pub struct Bert {
    embeddings: Embeddings,
    layers: Vec<Layer>,
    pooler: Linear,
    head: Linear,
    dropout: f64,
    #[module(skip)]
    activation: Arc<dyn Activation>,
}

#[derive(Module, Debug)]
struct Embeddings {
    token: Embedding,
    position: Embedding,
    segment: Embedding,
    norm: LayerNorm,
}

#[derive(Module, Debug)]
struct Layer {
    attention: Attention,
    attention_norm: LayerNorm,
    feed_forward: FeedForward,
    feed_forward_norm: LayerNorm,
    #[module(skip)]
    site: String,
}

#[derive(Module, Debug)]
struct Attention {
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    heads: usize,
}

#[derive(Module, Debug)]
struct FeedForward {
    inner: Linear,
    outer: Linear,
}

impl Bert {
    /// Logits `[batch, classes]` of token ids `[batch, tokens]`; `padding` of the same shape is true
    /// where there is no token.
    #[must_use]
    pub fn logits(
        &self,
        tokens: Tensor<2, Int>,
        padding: Tensor<2, Bool>,
        pass: &mut Pass<'_>,
    ) -> Tensor<2> {
        let [batch, _] = tokens.dims();
        let x = self.embeddings.forward(tokens);
        let mut x = pass.dropout(x, self.dropout);
        for layer in &self.layers {
            x = layer.forward(&self.activation, x, &padding, self.dropout, pass);
        }
        let hidden = x.dims()[2];
        let first = x.narrow(1, 0, 1).reshape([batch, hidden]);
        let pooled = self.pooler.forward(first).tanh();
        self.head.forward(pass.dropout(pooled, self.dropout))
    }
}

impl Embeddings {
    fn forward(&self, tokens: Tensor<2, Int>) -> Tensor<3> {
        let [_, length] = tokens.dims();
        let x = kernels::embedding(self.token.weight.val(), tokens);
        let position = self.position.weight.val().narrow(0, 0, length).unsqueeze::<3>();
        let segment = self.segment.weight.val().narrow(0, 0, 1).unsqueeze::<3>();
        normalise(&self.norm, x + (position + segment), None)
    }
}

impl Layer {
    fn forward(
        &self,
        f: &Arc<dyn Activation>,
        x: Tensor<3>,
        padding: &Tensor<2, Bool>,
        dropout: f64,
        pass: &mut Pass<'_>,
    ) -> Tensor<3> {
        let y = self.attention.forward(x.clone(), padding, dropout, pass);
        let x = normalise(&self.attention_norm, pass.dropout(y, dropout), Some(x));
        let y = apply(&self.feed_forward.inner, x.clone());
        let y = pass.activation(f, &self.site, y);
        let y = apply(&self.feed_forward.outer, y);
        normalise(&self.feed_forward_norm, pass.dropout(y, dropout), Some(x))
    }
}

impl Attention {
    fn forward(
        &self,
        x: Tensor<3>,
        padding: &Tensor<2, Bool>,
        dropout: f64,
        pass: &mut Pass<'_>,
    ) -> Tensor<3> {
        let [batch, length, hidden] = x.dims();
        let layers = [&self.query, &self.key, &self.value];
        let weights = layers.map(|layer| layer.weight.val());
        let biases = layers.map(bias);
        let inputs =
            kernels::linear_three(x.clone().reshape([batch * length, hidden]), weights, biases);
        let inputs = inputs.reshape([batch, length, 3 * hidden]);
        let mask = pass.dropout_mask([batch, self.heads, length, length], dropout, &x.device());
        let mixed = kernels::attention(inputs, self.heads, padding.clone(), mask);
        apply(&self.output, mixed)
    }
}

fn bias(layer: &Linear) -> Tensor<1> {
    layer.bias.as_ref().expect("linear layers are built with a bias").val()
}

/// `layer` over the last dimension.
fn apply(layer: &Linear, x: Tensor<3>) -> Tensor<3> {
    let [batch, length, width] = x.dims();
    let x = x.reshape([batch * length, width]);
    let y = kernels::linear(x, layer.weight.val(), Some(bias(layer)));
    let [_, made] = y.dims();
    y.reshape([batch, length, made])
}

/// `norm` over the last dimension of `x` + `residual`.
fn normalise(norm: &LayerNorm, x: Tensor<3>, residual: Option<Tensor<3>>) -> Tensor<3> {
    let beta = norm.beta.as_ref().expect("layer norms are built with a shift").val();
    kernels::layer_norm(x, residual, norm.gamma.val(), beta, EPSILON)
}

impl Network for Bert {
    fn forward(&self, batch: &Batch, pass: &mut Pass<'_>) -> Tensor<2> {
        match &batch.inputs {
            BatchInputs::Text { tokens, padding } => {
                self.logits(tokens.clone(), padding.clone(), pass)
            }
            BatchInputs::Images(_) => unreachable!("ModelConfig::new pairs bert with text"),
        }
    }

    /// Normal with standard deviation 0.02, truncated at two of them, as in the released code.
    fn initializer(name: &str, _: &[usize]) -> Initializer {
        match name.rsplit('.').next() {
            Some("weight") => Initializer::TruncatedNormal(0.02),
            _ => Initializer::AsBuilt,
        }
    }
}
