//! Residual networks for small images (He et al. 2016, arXiv:1512.03385, section 4.2).

use super::batch_norm::BatchNorm;
use super::gain::Gains;
use super::layers::apply;
use super::{
    Gain, Head, Initializer, InputShape, Interface, Model, ModelSize, Network, Pass, gated_residual,
};
use crate::Error;
use crate::component::Definition;
use crate::data::Batch;
use crate::sites::{Site, Sites};
use actlab_kernels::{pixel_means, shortcut};
use burn::Tensor;
use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::Device;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// CIFAR-style residual network (He et al. 2016, section 4.2).
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Resnet {
    /// Layers with weights: 6n + 2, as in 8, 20, 32, 44, 56, 110.
    pub depth: usize,
    /// Channels of the first stage; the next ones have twice and four times as many.
    #[serde(default = "default_width")]
    pub width: usize,
    /// How convolutions begin, by the activation behind each: that of the block's inside for the first of a block, that
    /// behind the residual sum for the second.
    #[serde(default, skip_serializing_if = "Gain::is_default")]
    pub init: Gain,
}

fn default_width() -> usize {
    16
}

impl Definition for Resnet {
    const NAME: &'static str = "resnet";
    const ABOUT: &'static str = "CIFAR-style residual network, for images";
    const CITATION: &'static str = "He et al. 2016, arXiv:1512.03385, section 4.2";

    fn check(&self) -> Result<(), Error> {
        let Self { depth, width, .. } = *self;
        if !(8..=1202).contains(&depth) || !(depth - 2).is_multiple_of(6) {
            let reason =
                format!("is {depth}, but must be 6n + 2: 8, 14, 20, 32, 44, 56, … up to 1202");
            return Err(Error::spec("depth", reason));
        }
        if !(1..=4096).contains(&width) {
            return Err(Error::spec("width", format!("is {width}, but must be from 1 to 4096")));
        }
        Ok(())
    }

    fn words(&self) -> String {
        format!("{}{}", self.label(), self.init.words())
    }

    fn label(&self) -> String {
        match self {
            Self { depth, width: 16, .. } => format!("resnet-{depth}"),
            Self { depth, width, .. } => format!("resnet-{depth} (width {width})"),
        }
    }
}

impl Model for Resnet {
    type Network = ResNet;

    const EXAMPLE: &'static str = r#"{"depth": 8}"#;
    const MIXED_PRECISION: bool = true;

    fn size(&self, interface: &Interface, sites: &Sites<'_>) -> Result<ModelSize, Error> {
        let size = self.config(interface)?.size(sites);
        self.init.check(sites)?;
        Ok(size)
    }

    fn build(
        &self,
        interface: &Interface,
        sites: &Sites<'_>,
        device: &Device,
    ) -> Result<ResNet, Error> {
        let mut network = self.config(interface)?.init(sites, device);
        network.gains = Gains::new(self.init, network.layers())?;
        Ok(network)
    }
}

impl Resnet {
    fn config(&self, interface: &Interface) -> Result<ResNetConfig, Error> {
        let &Interface { inputs: InputShape::Images { channels, height, width }, .. } = interface
        else {
            return Err(interface.inputs.refused("a resnet takes images"));
        };
        let Head::Classes(classes) = interface.head else {
            return Err(interface.head.refused("a resnet"));
        };
        Ok(ResNetConfig {
            depth: self.depth,
            width: self.width,
            channels,
            height,
            image_width: width,
            classes,
        })
    }
}

/// Shape of a residual network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResNetConfig {
    /// Layers with weights, 6n + 2.
    pub depth: usize,
    /// Channels of the first stage; the next ones have twice and four times as many.
    pub width: usize,
    /// Channels of the image.
    pub channels: usize,
    /// Height of the image in pixels.
    pub height: usize,
    /// Width of the image in pixels.
    pub image_width: usize,
    /// Classes.
    pub classes: usize,
}

/// One block: channels in and out, the site between its convolutions, stride, and pixels of its output.
struct BlockShape {
    input: usize,
    output: usize,
    inner: Site,
    outer: Site,
    stride: usize,
    pixels: usize,
}

impl ResNetConfig {
    fn stem(&self, sites: &Sites<'_>) -> Site {
        sites.pointwise("stem", self.width)
    }

    fn blocks(&self, sites: &Sites<'_>) -> Vec<BlockShape> {
        let per_stage = (self.depth - 2) / 6;
        let (mut height, mut width) = (self.height, self.image_width);
        let mut input = self.width;
        let mut blocks = Vec::new();
        for stage in 0..3 {
            let output = self.width << stage;
            for block in 0..per_stage {
                let stride = if stage > 0 && block == 0 { 2 } else { 1 };
                (height, width) = (height.div_ceil(stride), width.div_ceil(stride));
                let index = blocks.len();
                let inner = |fan| if fan == 2 { gated_residual(input, output) } else { output };
                blocks.push(BlockShape {
                    input,
                    output,
                    inner: sites.gated(format!("blocks.{index}.inner"), inner),
                    outer: sites.pointwise(format!("blocks.{index}.outer"), output),
                    stride,
                    pixels: height * width,
                });
                input = output;
            }
        }
        blocks
    }

    /// Parameters and operations with the activations of `sites`.
    #[must_use]
    pub fn size(&self, sites: &Sites<'_>) -> ModelSize {
        let _ = self.stem(sites);
        let stem = 9 * self.channels * self.width;
        let features = 4 * self.width;
        let mut parameters = stem + 2 * self.width + features * self.classes + self.classes;
        let mut flops = 2 * stem * self.height * self.image_width + 2 * features * self.classes;
        for block in self.blocks(sites) {
            let made = block.inner.fan() * block.inner.width();
            let weights = 9 * (block.input * made + block.inner.width() * block.output);
            parameters += weights + 2 * (made + block.output);
            flops += 2 * weights * block.pixels;
        }
        ModelSize { parameters: parameters as u64, flops: flops as u64 }
    }

    /// The network at its layers' own initial values; see [`super::initialize`].
    #[must_use]
    pub fn init(&self, sites: &Sites<'_>, device: &Device) -> ResNet {
        let stem = self.stem(sites);
        let blocks = self
            .blocks(sites)
            .into_iter()
            .map(|shape| {
                let made = shape.inner.fan() * shape.inner.width();
                Block {
                    conv1: conv(shape.input, made, shape.stride, device),
                    norm1: BatchNorm::new(made, EPSILON, device),
                    conv2: conv(shape.inner.width(), shape.output, 1, device),
                    norm2: BatchNorm::new(shape.output, EPSILON, device),
                    stride: shape.stride,
                    inner: shape.inner,
                    outer: shape.outer,
                }
            })
            .collect();
        ResNet {
            stem_conv: conv(self.channels, self.width, 1, device),
            stem_norm: BatchNorm::new(self.width, EPSILON, device),
            stem,
            blocks,
            head: LinearConfig::new(4 * self.width, self.classes)
                .with_initializer(burn::nn::Initializer::Zeros)
                .init(device),
            gains: Gains::default(),
        }
    }
}

/// Added to the variances of batch norms.
const EPSILON: f64 = 1e-5;

fn conv(input: usize, output: usize, stride: usize, device: &Device) -> Conv2d {
    Conv2dConfig::new([input, output], [3, 3])
        .with_stride([stride, stride])
        .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
        .with_bias(false)
        .with_initializer(burn::nn::Initializer::Zeros)
        .init(device)
}

/// A residual network: stem, three stages of blocks, global average pooling, linear head.
#[derive(Module, Debug)]
pub struct ResNet {
    stem_conv: Conv2d,
    stem_norm: BatchNorm,
    stem: Site,
    blocks: Vec<Block>,
    head: Linear,
    #[module(skip)]
    gains: Gains,
}

#[derive(Module, Debug)]
struct Block {
    conv1: Conv2d,
    norm1: BatchNorm,
    conv2: Conv2d,
    norm2: BatchNorm,
    stride: usize,
    inner: Site,
    outer: Site,
}

impl ResNet {
    /// Paths of the convolutions, and the site behind each.
    fn layers(&self) -> Vec<(String, &Site)> {
        let mut layers = vec![("stem_conv".to_owned(), &self.stem)];
        for (index, block) in self.blocks.iter().enumerate() {
            layers.push((format!("blocks.{index}.conv1"), &block.inner));
            layers.push((format!("blocks.{index}.conv2"), &block.outer));
        }
        layers
    }

    /// Logits `[batch, classes]` of images `[batch, channels, height, width]`.
    #[must_use]
    pub fn logits(&self, images: Tensor<4>, pass: &mut Pass<'_>) -> Tensor<2> {
        // Channels last: what the layers between here and the pooling take.
        let x = pass.precision().convolution(
            images.permute([0, 2, 3, 1]),
            self.stem_conv.weight.val(),
            1,
        );
        let mut x = norm_nonlinearity(&self.stem_norm, x, None, &self.stem, pass);
        for block in &self.blocks {
            x = block.forward(x, pass);
        }
        apply(&self.head, pixel_means(x), pass)
    }
}

impl Block {
    fn forward(&self, x: Tensor<4>, pass: &mut Pass<'_>) -> Tensor<4> {
        let y = pass.precision().convolution(x.clone(), self.conv1.weight.val(), self.stride);
        let y = if self.inner.fan() == 2 {
            self.inner.forward(self.norm1.apply(y, None, None, pass), pass)
        } else {
            norm_nonlinearity(&self.norm1, y, None, &self.inner, pass)
        };
        let y = pass.precision().convolution(y, self.conv2.weight.val(), 1);
        let shortcut = shortcut(x, self.stride, y.dims()[3]);
        norm_nonlinearity(&self.norm2, y, Some(shortcut), &self.outer, pass)
    }
}

/// The nonlinearity behind batch norm and residual sum, in one pass unless its inputs are measured.
fn norm_nonlinearity(
    norm: &BatchNorm,
    x: Tensor<4>,
    residual: Option<Tensor<4>>,
    site: &Site,
    pass: &mut Pass<'_>,
) -> Tensor<4> {
    match site.fixed_activation() {
        Some(f) if !pass.is_probed() => norm.apply(x, residual, Some(f), pass),
        _ => {
            let x = norm.apply(x, residual, None, pass);
            site.forward(x, pass)
        }
    }
}

impl Network for ResNet {
    fn forward(&self, batch: &Batch, pass: &mut Pass<'_>) -> Tensor<2> {
        self.logits(batch.inputs.images().clone(), pass)
    }

    /// Convolutions: normal with variance 2 / fan-in (He et al. 2015, arXiv:1502.01852), the same
    /// for every activation so that all start alike, unless `init` says otherwise. Head: variance 1 / fan-in.
    #[expect(clippy::cast_precision_loss, reason = "widths are small")]
    fn initializer(&self, name: &str, shape: &[usize]) -> Initializer {
        let (layer, kind) = name.rsplit_once('.').unwrap_or(("", name));
        match (kind, shape) {
            ("weight", [_, input, height, width]) => {
                let square = self.gains.square(layer);
                Initializer::Normal((square / (input * height * width) as f64).sqrt())
            }
            ("weight", [input, _]) => Initializer::Normal((1.0 / *input as f64).sqrt()),
            _ => Initializer::AsBuilt,
        }
    }
}
