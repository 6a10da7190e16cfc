//! A BERT encoder (Devlin et al. 2019, arXiv:1810.04805), in the small sizes of Turc et al. 2019 (arXiv:1908.08962),
//! with a head that classifies the text, or one that predicts tokens.

mod pretrained;

use super::layers::{
    apply, embedding, layer_norm, linear, normalize, positions, weights_and_biases,
};
use super::weights::{Sources, Weights};
use super::{
    Head, Initializer, InputShape, Interface, Model, ModelSize, Network, Pass, gated_feed_forward,
};
use crate::Error;
use crate::component::Definition;
use crate::data::Batch;
use crate::sites::{Site, Sites};
use actlab_kernels::{self as kernels, Seen, Sequences};
use burn::Tensor;
use burn::module::{Module, Param};
use burn::nn::{Embedding, LayerNorm, Linear};
use burn::tensor::{Device, Int};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Transformer encoder (Devlin et al. 2019; sizes of Turc et al. 2019).
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BertModel {
    /// Layers, width and heads.
    pub size: BertSize,
    /// Longest sequence in tokens, `[CLS]` and `[SEP]` included; also the number of learned positions.
    #[serde(default = "default_max_length")]
    pub max_length: usize,
    /// Dropout after embeddings, attention, feed-forward and pooler.
    #[serde(default = "default_dropout")]
    pub dropout: f64,
    /// Pretrained weights to start from, as in `{ from = "model.safetensors" }`; all are drawn by the seed where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<Pretrained>,
}

/// Pretrained weights.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pretrained {
    /// A `model.safetensors` of Hugging Face's BERT. Its vocabulary must be that of the data, by `tokenizer`.
    pub from: PathBuf,
}

/// Published BERT sizes (Turc et al. 2019; `base` of Devlin et al. 2019): layers / hidden width / heads, feed-forward
/// four times as wide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BertSize {
    /// 2 / 128 / 2.
    Tiny,
    /// 4 / 256 / 4.
    Mini,
    /// 4 / 512 / 8.
    Small,
    /// 8 / 512 / 8.
    Medium,
    /// 12 / 768 / 12.
    Base,
}

impl BertSize {
    const ALL: [Self; 5] = [Self::Tiny, Self::Mini, Self::Small, Self::Medium, Self::Base];

    /// Layers, hidden width and heads.
    fn numbers(self) -> (usize, usize, usize) {
        match self {
            Self::Tiny => (2, 128, 2),
            Self::Mini => (4, 256, 4),
            Self::Small => (4, 512, 8),
            Self::Medium => (8, 512, 8),
            Self::Base => (12, 768, 12),
        }
    }

    /// As experiment files name it.
    fn name(self) -> &'static str {
        match self {
            Self::Tiny => "tiny",
            Self::Mini => "mini",
            Self::Small => "small",
            Self::Medium => "medium",
            Self::Base => "base",
        }
    }
}

fn default_max_length() -> usize {
    128
}

fn default_dropout() -> f64 {
    0.1
}

impl Definition for BertModel {
    const NAME: &'static str = "bert";
    const ABOUT: &'static str = "transformer encoder, for text";
    const CITATION: &'static str =
        "Devlin et al. 2019, arXiv:1810.04805; Turc et al. 2019, arXiv:1908.08962";

    fn check(&self) -> Result<(), Error> {
        let Self { max_length, dropout, .. } = *self;
        if !(3..=8192).contains(&max_length) {
            let reason =
                format!("is {max_length}, but must be from 3 ([CLS], a token, [SEP]) to 8192");
            return Err(Error::spec("max_length", reason));
        }
        if !(0.0..1.0).contains(&dropout) {
            let reason = format!("is {dropout}, but must be at least 0 and below 1");
            return Err(Error::spec("dropout", reason));
        }
        Ok(())
    }

    fn words(&self) -> String {
        let Self { max_length, dropout, init, .. } = self;
        let from = init.as_ref().map(|init| format!(", weights of {}", init.from.display()));
        format!(
            "{}, sequences of up to {max_length} tokens, dropout {dropout}{}",
            self.label(),
            from.unwrap_or_default()
        )
    }

    fn label(&self) -> String {
        format!("bert-{}", self.size.name())
    }
}

impl Model for BertModel {
    type Network = Bert;

    const EXAMPLE: &'static str = r#"{"size": "mini"}"#;
    const MIXED_PRECISION: bool = true;

    fn max_tokens(&self) -> Option<usize> {
        Some(self.max_length)
    }

    fn weights(&self) -> Option<&Path> {
        self.init.as_ref().map(|init| init.from.as_path())
    }

    fn size(&self, interface: &Interface, sites: &Sites<'_>) -> Result<ModelSize, Error> {
        Ok(self.config(interface)?.size(sites))
    }

    fn build(
        &self,
        interface: &Interface,
        sites: &Sites<'_>,
        device: &Device,
    ) -> Result<Bert, Error> {
        Ok(self.config(interface)?.init(sites, device))
    }
}

impl BertModel {
    fn config(&self, interface: &Interface) -> Result<BertConfig, Error> {
        let InputShape::Tokens { vocabulary } = interface.inputs else {
            return Err(interface.inputs.refused("bert takes text"));
        };
        // It sees the whole text: what it had to predict, too.
        if interface.head == Head::NextToken {
            return Err(interface.head.refused("bert"));
        }
        let (layers, hidden, heads) = self.size.numbers();
        Ok(BertConfig {
            vocabulary,
            positions: self.max_length,
            hidden,
            layers,
            heads,
            feed_forward: 4 * hidden,
            head: interface.head,
            dropout: self.dropout,
        })
    }
}

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
    /// What it predicts.
    pub head: Head,
    /// Dropout probability.
    pub dropout: f64,
}

/// Of layer norms, as in the released code.
const EPSILON: f64 = 1e-12;

/// Segment embeddings of BERT; single sentences use the first.
const SEGMENTS: usize = 2;

impl BertConfig {
    /// The activation site of the feed-forward of layer `index`.
    fn feed_forward_site(&self, index: usize, sites: &Sites<'_>) -> Site {
        let width = |fan| match fan {
            2 => gated_feed_forward(self.feed_forward),
            _ => self.feed_forward,
        };
        sites.gated(format!("layers.{index}.feed_forward"), width)
    }

    /// Parameters, and operations for a sequence of the full length, with the activations of `sites`. A head that
    /// predicts tokens is counted at every position.
    #[must_use]
    pub fn size(&self, sites: &Sites<'_>) -> ModelSize {
        let h = self.hidden;
        let n = self.positions;
        let (mut parameters, mut flops) = (0, 0);
        for index in 0..self.layers {
            let site = self.feed_forward_site(index, sites);
            let (made, taken) = (site.fan() * site.width(), site.width());
            let matrices = 4 * h * h + h * made + taken * h;
            parameters += matrices + 4 * h + made + h + 4 * h;
            let attention = 2 * n * n * h;
            flops += 2 * (n * matrices + attention);
        }
        parameters += (self.vocabulary + self.positions + SEGMENTS) * h + 2 * h;
        match self.head {
            Head::Classes(classes) => {
                parameters += h * h + h + h * classes + classes;
                flops += 2 * (h * h + h * classes);
            }
            Head::Tokens | Head::NextToken => {
                let _ = token_head_site(h, sites);
                parameters += h * h + h + 2 * h + self.vocabulary;
                flops += 2 * n * (h * h + h * self.vocabulary);
            }
        }
        ModelSize { parameters: parameters as u64, flops: flops as u64 }
    }

    /// The network at its layers' own initial values; see [`super::initialize`].
    #[must_use]
    pub fn init(&self, sites: &Sites<'_>, device: &Device) -> Bert {
        let h = self.hidden;
        let norm = || layer_norm(h, EPSILON, device);
        let layers = (0..self.layers)
            .map(|index| {
                let site = self.feed_forward_site(index, sites);
                Layer {
                    attention: Attention {
                        query: linear(h, h, device),
                        key: linear(h, h, device),
                        value: linear(h, h, device),
                        output: linear(h, h, device),
                        heads: self.heads,
                    },
                    attention_norm: norm(),
                    feed_forward: FeedForward {
                        inner: linear(h, site.fan() * site.width(), device),
                        outer: linear(site.width(), h, device),
                    },
                    feed_forward_norm: norm(),
                    site,
                }
            })
            .collect();
        let (mut pooler, mut head, mut tokens) = (None, None, None);
        match self.head {
            Head::Classes(classes) => {
                pooler = Some(linear(h, h, device));
                head = Some(linear(h, classes, device));
            }
            Head::Tokens | Head::NextToken => {
                tokens = Some(TokenHead {
                    transform: linear(h, h, device),
                    site: token_head_site(h, sites),
                    norm: norm(),
                    bias: Param::from_tensor(Tensor::zeros([self.vocabulary], device)),
                });
            }
        }
        Bert {
            embeddings: Embeddings {
                token: embedding(self.vocabulary, h, device),
                position: embedding(self.positions, h, device),
                segment: embedding(SEGMENTS, h, device),
                norm: norm(),
            },
            layers,
            pooler,
            head,
            tokens,
            dropout: self.dropout,
        }
    }
}

/// The activation site of a head that predicts tokens.
fn token_head_site(hidden: usize, sites: &Sites<'_>) -> Site {
    sites.pointwise("tokens.transform", hidden)
}

/// A BERT encoder with its head; norms come after the residual sums.
#[derive(Module, Debug)]
pub struct Bert {
    embeddings: Embeddings,
    layers: Vec<Layer>,
    /// With `head`, where texts are classified.
    pooler: Option<Linear>,
    head: Option<Linear>,
    /// Where tokens are predicted.
    tokens: Option<TokenHead>,
    dropout: f64,
}

/// Predicts tokens; its decoder is the token embedding.
#[derive(Module, Debug)]
struct TokenHead {
    transform: Linear,
    site: Site,
    norm: LayerNorm,
    /// Of the decoder.
    bias: Param<Tensor<1>>,
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
    site: Site,
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
    /// Hidden states `[rows, hidden]` of token ids `[rows]`.
    fn hidden(
        &self,
        tokens: Tensor<1, Int>,
        sequences: &Sequences,
        pass: &mut Pass<'_>,
    ) -> Tensor<2> {
        let x = self.embeddings.forward(tokens, sequences);
        let mut x = pass.dropout_of(x, sequences, self.dropout);
        for layer in &self.layers {
            x = layer.forward(x, sequences, self.dropout, pass);
        }
        x
    }

    /// Logits `[batch, classes]` by the hidden state `[batch, hidden]` of each text's first token.
    fn classify(
        &self,
        (pooler, head): (&Linear, &Linear),
        first: Tensor<2>,
        pass: &mut Pass<'_>,
    ) -> Tensor<2> {
        let pooled = kernels::tanh(apply(pooler, first, pass));
        let pooled = pass.dropout(pooled, self.dropout);
        apply(head, pooled, pass)
    }
}

impl TokenHead {
    /// Logits `[rows, vocabulary]` of hidden states `[rows, hidden]`, by the token embedding `[vocabulary, hidden]`.
    fn forward(&self, x: Tensor<2>, embedding: Tensor<2>, pass: &mut Pass<'_>) -> Tensor<2> {
        let x = apply(&self.transform, x, pass);
        let x = self.site.forward(x, pass);
        let x = normalize(&self.norm, x, None, EPSILON);
        pass.precision().linear(x, embedding.transpose(), Some(self.bias.val()))
    }
}

impl Embeddings {
    fn forward(&self, tokens: Tensor<1, Int>, sequences: &Sequences) -> Tensor<2> {
        let x = kernels::embedding(self.token.weight.val(), tokens);
        let [_, hidden] = self.segment.weight.dims();
        let segment = self.segment.weight.val().narrow(0, 0, 1).reshape([hidden]);
        let position = self.position.weight.val().narrow(0, 0, sequences.longest());
        let position = kernels::plus_row(position, segment);
        normalize(&self.norm, x + positions(position, sequences), None, EPSILON)
    }
}

impl Layer {
    fn forward(
        &self,
        x: Tensor<2>,
        sequences: &Sequences,
        dropout: f64,
        pass: &mut Pass<'_>,
    ) -> Tensor<2> {
        let y = self.attention.forward(x.clone(), sequences, dropout, pass);
        let y = pass.dropout_of(y, sequences, dropout);
        let x = normalize(&self.attention_norm, y, Some(x), EPSILON);
        let y = apply(&self.feed_forward.inner, x.clone(), pass);
        let y = self.site.forward(y, pass);
        let y = apply(&self.feed_forward.outer, y, pass);
        let y = pass.dropout_of(y, sequences, dropout);
        normalize(&self.feed_forward_norm, y, Some(x), EPSILON)
    }
}

impl Attention {
    fn forward(
        &self,
        x: Tensor<2>,
        sequences: &Sequences,
        dropout: f64,
        pass: &mut Pass<'_>,
    ) -> Tensor<2> {
        let (weights, biases) = weights_and_biases([&self.query, &self.key, &self.value]);
        let inputs = pass.precision().linear_three(x, weights, biases);
        let dropout = pass.next_dropout(dropout);
        let mixed = pass.precision().attention(inputs, self.heads, sequences, Seen::All, dropout);
        apply(&self.output, mixed, pass)
    }
}

impl Network for Bert {
    fn forward(&self, batch: &Batch, pass: &mut Pass<'_>) -> Tensor<2> {
        let (tokens, sequences) = batch.inputs.text();
        let x = self.hidden(tokens.clone(), sequences, pass);
        match (&self.pooler, &self.head, &self.tokens) {
            (Some(pooler), Some(head), _) => {
                self.classify((pooler, head), batch.inputs.first(x), pass)
            }
            (_, _, Some(head)) => {
                head.forward(batch.targets.rows(x), self.embeddings.token.weight.val(), pass)
            }
            _ => unreachable!("BertConfig::init builds one of the heads"),
        }
    }

    /// Normal with standard deviation 0.02, truncated at two of them, as in the released code.
    fn initializer(&self, name: &str, _: &[usize]) -> Initializer {
        match name.rsplit('.').next() {
            Some("weight") => Initializer::TruncatedNormal(0.02),
            _ => Initializer::AsBuilt,
        }
    }

    fn sources(&self, file: &Weights) -> Result<Sources, Error> {
        pretrained::sources(self, file)
    }
}
