//! A decoder-only transformer: GPT-2 (Radford et al. 2019), with norms before the residual branches, and learned or
//! rotary positions.

use super::layers::{
    apply, embedding, layer_norm, linear, normalize, positions, weights_and_biases,
};
use super::{
    Head, Initializer, InputShape, Interface, Model, ModelSize, Network, Pass, gated_feed_forward,
};
use crate::Error;
use crate::component::{Definition, check_all};
use crate::data::Batch;
use crate::sites::{Site, Sites};
use actlab_kernels::{self as kernels, Seen, Sequences};
use burn::Tensor;
use burn::module::Module;
use burn::nn::{Embedding, LayerNorm, Linear};
use burn::tensor::Device;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Decoder-only transformer with norms before the residual branches (Radford et al. 2019).
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Gpt {
    /// Layers, width and heads under one name; or `layers`, `width` and `heads`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<GptSize>,
    /// Layers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layers: Option<usize>,
    /// Width; the feed-forward is four times as wide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<usize>,
    /// Attention heads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heads: Option<usize>,
    /// Tokens that are seen at once; a longer text is cut into pieces of so many.
    #[serde(default = "max_length")]
    pub max_length: usize,
    /// How a token's position is told.
    #[serde(default)]
    pub positions: Positions,
    /// Whether the token embedding is also the matrix of the output, where that is the next token.
    #[serde(default = "tied")]
    pub tied: bool,
    /// Dropout after embeddings, on attention weights, and after both branches of a layer.
    #[serde(default)]
    pub dropout: f64,
}

/// Sizes with names: layers / width / heads, feed-forward four times as wide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GptSize {
    /// 2 / 128 / 4: 0.4 M parameters beside the embeddings, which a processor trains in minutes.
    Nano,
    /// 6 / 384 / 6: 10.6 M parameters beside the embeddings.
    Mini,
    /// 12 / 768 / 12: GPT-2 small, 85 M parameters beside the embeddings.
    Small,
}

/// How a token's position is told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Positions {
    /// An embedding of each position is added (Radford et al. 2019).
    #[default]
    Learned,
    /// Queries and keys are turned (Su et al. 2021, arXiv:2104.09864).
    Rotary,
}

fn max_length() -> usize {
    128
}

fn tied() -> bool {
    true
}

/// Of every layer norm.
const EPSILON: f64 = 1e-5;

/// Standard deviation of initial weights (Radford et al. 2018, section 4.1).
const DEVIATION: f64 = 0.02;

impl Gpt {
    /// Layers, width and heads.
    fn numbers(&self) -> Result<(usize, usize, usize), Error> {
        let missing = "must be one of nano, mini, small; or give `layers`, `width` and `heads`";
        match (self.size, self.layers, self.width, self.heads) {
            (Some(size), None, None, None) => Ok(match size {
                GptSize::Nano => (2, 128, 4),
                GptSize::Mini => (6, 384, 6),
                GptSize::Small => (12, 768, 12),
            }),
            (Some(_), ..) => Err(Error::spec(
                "size",
                "contradicts `layers`, `width` and `heads`: give one of both",
            )),
            (None, Some(layers), Some(width), Some(heads)) => Ok((layers, width, heads)),
            _ => Err(Error::spec("size", missing)),
        }
    }

    fn config(&self, interface: &Interface) -> Result<Config, Error> {
        let InputShape::Tokens { vocabulary } = interface.inputs else {
            return Err(interface.inputs.refused("a gpt takes text"));
        };
        if interface.head == Head::Tokens {
            return Err(interface.head.refused("a gpt"));
        }
        let (layers, width, heads) = self.numbers()?;
        let learned = self.positions == Positions::Learned;
        Ok(Config {
            vocabulary,
            length: self.max_length,
            layers,
            width,
            heads,
            learned,
            tied: self.tied,
            head: interface.head,
            dropout: self.dropout,
        })
    }
}

impl Definition for Gpt {
    const NAME: &'static str = "gpt";
    const ABOUT: &'static str = "decoder-only transformer, for text";
    const CITATION: &'static str =
        "Radford et al. 2019, Language models are unsupervised multitask learners";

    fn check(&self) -> Result<(), Error> {
        let (layers, width, heads) = self.numbers()?;
        check_all([
            ("layers", (1..=256).contains(&layers), "must be from 1 to 256"),
            ("width", (2..=16_384).contains(&width), "must be from 2 to 16384"),
            ("heads", heads >= 1 && width % heads == 0, "must divide the width"),
            (
                "heads",
                self.positions == Positions::Learned || (width / heads) % 2 == 0,
                "must leave an even width for each head with rotary positions",
            ),
            ("max_length", (1..=8192).contains(&self.max_length), "must be from 1 to 8192"),
            ("dropout", (0.0..1.0).contains(&self.dropout), "must be at least 0 and below 1"),
        ])
    }

    fn words(&self) -> String {
        let positions = match self.positions {
            Positions::Learned => "",
            Positions::Rotary => ", rotary positions",
        };
        let untied = if self.tied { "" } else { ", untied" };
        let Self { max_length, dropout, .. } = self;
        format!("{}, {max_length} tokens{positions}{untied}, dropout {dropout}", self.label())
    }

    fn label(&self) -> String {
        match (self.size, self.numbers()) {
            (Some(GptSize::Nano), _) => "gpt-nano".to_owned(),
            (Some(GptSize::Mini), _) => "gpt-mini".to_owned(),
            (Some(GptSize::Small), _) => "gpt-small".to_owned(),
            (None, Ok((layers, width, heads))) => format!("gpt-{layers}-{width}-{heads}"),
            (None, Err(_)) => "gpt".to_owned(),
        }
    }
}

impl Model for Gpt {
    type Network = GptNetwork;

    const EXAMPLE: &'static str = r#"{"size": "nano"}"#;
    const MIXED_PRECISION: bool = true;

    fn max_tokens(&self) -> Option<usize> {
        Some(self.max_length)
    }

    fn size(&self, interface: &Interface, sites: &Sites<'_>) -> Result<ModelSize, Error> {
        Ok(self.config(interface)?.size(sites))
    }

    fn build(
        &self,
        interface: &Interface,
        sites: &Sites<'_>,
        device: &Device,
    ) -> Result<GptNetwork, Error> {
        Ok(self.config(interface)?.init(sites, device))
    }
}

/// Everything that decides a network's shape.
struct Config {
    vocabulary: usize,
    length: usize,
    layers: usize,
    width: usize,
    heads: usize,
    /// Whether positions are learned.
    learned: bool,
    tied: bool,
    head: Head,
    dropout: f64,
}

impl Config {
    /// The activation site of the feed-forward of layer `index`.
    fn site(&self, index: usize, sites: &Sites<'_>) -> Site {
        let plain = 4 * self.width;
        let width = |fan| if fan == 2 { gated_feed_forward(plain) } else { plain };
        sites.gated(format!("layers.{index}.feed_forward"), width)
    }

    /// Outputs of the head, and rows of them in the longest text.
    fn head(&self) -> (usize, usize) {
        match self.head {
            Head::Classes(classes) => (classes, 1),
            Head::Tokens | Head::NextToken => (self.vocabulary, self.length),
        }
    }

    /// Whether the head has a matrix of its own.
    fn own_head(&self) -> bool {
        !self.tied || self.head != Head::NextToken
    }

    /// Parameters, and operations for a text of the full length.
    fn size(&self, sites: &Sites<'_>) -> ModelSize {
        let (h, n) = (self.width, self.length);
        let (outputs, rows) = self.head();
        let mut parameters = self.vocabulary * h + if self.learned { n * h } else { 0 } + 2 * h;
        if self.own_head() {
            parameters += h * outputs + if self.head == Head::NextToken { 0 } else { outputs };
        }
        let mut flops = 2 * rows * h * outputs;
        for index in 0..self.layers {
            let site = self.site(index, sites);
            let (made, taken) = (site.fan() * site.width(), site.width());
            let matrices = 4 * h * h + h * made + taken * h;
            parameters += matrices + 4 * h + made + h + 4 * h;
            flops += 2 * (n * matrices + 2 * n * n * h);
        }
        ModelSize { parameters: parameters as u64, flops: flops as u64 }
    }

    fn init(&self, sites: &Sites<'_>, device: &Device) -> GptNetwork {
        let h = self.width;
        let norm = || layer_norm(h, EPSILON, device);
        let layers = (0..self.layers)
            .map(|index| {
                let site = self.site(index, sites);
                Layer {
                    attention_norm: norm(),
                    attention: Attention {
                        query: linear(h, h, device),
                        key: linear(h, h, device),
                        value: linear(h, h, device),
                        output: linear(h, h, device),
                        heads: self.heads,
                        rotary: !self.learned,
                    },
                    feed_forward_norm: norm(),
                    feed_forward: FeedForward {
                        inner: linear(h, site.fan() * site.width(), device),
                        outer: linear(site.width(), h, device),
                    },
                    site,
                }
            })
            .collect();
        let (outputs, _) = self.head();
        let head = self.own_head().then(|| {
            let mut head = linear(h, outputs, device);
            if self.head == Head::NextToken {
                head.bias = None;
            }
            head
        });
        GptNetwork {
            embeddings: Embeddings {
                token: embedding(self.vocabulary, h, device),
                position: self.learned.then(|| embedding(self.length, h, device)),
            },
            layers,
            norm: norm(),
            head,
            by_token: self.head == Head::NextToken,
            dropout: self.dropout,
        }
    }
}

/// A decoder-only transformer.
#[derive(Module, Debug)]
pub struct GptNetwork {
    embeddings: Embeddings,
    layers: Vec<Layer>,
    norm: LayerNorm,
    /// Absent where the token embedding takes its place.
    head: Option<Linear>,
    /// Whether each position has its logits, or the last one alone.
    by_token: bool,
    dropout: f64,
}

#[derive(Module, Debug)]
struct Embeddings {
    token: Embedding,
    position: Option<Embedding>,
}

#[derive(Module, Debug)]
struct Layer {
    attention_norm: LayerNorm,
    attention: Attention,
    feed_forward_norm: LayerNorm,
    feed_forward: FeedForward,
    site: Site,
}

#[derive(Module, Debug)]
struct Attention {
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    heads: usize,
    rotary: bool,
}

#[derive(Module, Debug)]
struct FeedForward {
    inner: Linear,
    outer: Linear,
}

impl Layer {
    fn forward(
        &self,
        x: Tensor<2>,
        sequences: &Sequences,
        dropout: f64,
        pass: &mut Pass<'_>,
    ) -> Tensor<2> {
        let y = normalize(&self.attention_norm, x.clone(), None, EPSILON);
        let y = self.attention.forward(y, sequences, dropout, pass);
        let x = x + pass.dropout_of(y, sequences, dropout);
        let y = normalize(&self.feed_forward_norm, x.clone(), None, EPSILON);
        let y = apply(&self.feed_forward.inner, y, pass);
        let y = self.site.forward(y, pass);
        let y = apply(&self.feed_forward.outer, y, pass);
        x + pass.dropout_of(y, sequences, dropout)
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
        let mut inputs = pass.precision().linear_three(x, weights, biases);
        if self.rotary {
            inputs = kernels::rotary(inputs, self.heads, sequences);
        }
        let dropout = pass.next_dropout(dropout);
        let mixed =
            pass.precision().attention(inputs, self.heads, sequences, Seen::Earlier, dropout);
        apply(&self.output, mixed, pass)
    }
}

impl GptNetwork {
    /// Hidden states `[rows, width]` behind the last norm.
    fn hidden(&self, batch: &Batch, pass: &mut Pass<'_>) -> Tensor<2> {
        let (tokens, sequences) = batch.inputs.text();
        let mut x = kernels::embedding(self.embeddings.token.weight.val(), tokens.clone());
        if let Some(position) = &self.embeddings.position {
            x = x + positions(position.weight.val(), sequences);
        }
        x = pass.dropout_of(x, sequences, self.dropout);
        for layer in &self.layers {
            x = layer.forward(x, sequences, self.dropout, pass);
        }
        normalize(&self.norm, x, None, EPSILON)
    }
}

impl Network for GptNetwork {
    fn forward(&self, batch: &Batch, pass: &mut Pass<'_>) -> Tensor<2> {
        let x = self.hidden(batch, pass);
        let rows = if self.by_token { batch.targets.rows(x) } else { batch.inputs.last(x) };
        match &self.head {
            Some(head) if head.bias.is_some() => apply(head, rows, pass),
            Some(head) => pass.precision().linear(rows, head.weight.val(), None),
            None => {
                let weight = self.embeddings.token.weight.val().transpose();
                pass.precision().linear(rows, weight, None)
            }
        }
    }

    /// Normal with standard deviation 0.02; at the end of each residual branch divided by √(2 · layers), since so many
    /// branches are summed (Radford et al. 2019, section 2.3).
    #[expect(clippy::cast_precision_loss, reason = "there are few layers")]
    fn initializer(&self, name: &str, _: &[usize]) -> Initializer {
        let branch = name.ends_with("output.weight") || name.ends_with("outer.weight");
        match name.rsplit('.').next() {
            Some("weight") if branch => {
                Initializer::Normal(DEVIATION / (2.0 * self.layers.len() as f64).sqrt())
            }
            Some("weight") => Initializer::Normal(DEVIATION),
            _ => Initializer::AsBuilt,
        }
    }
}
