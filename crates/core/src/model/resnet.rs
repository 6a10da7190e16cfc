//! Residual networks for small images (He et al. 2016, arXiv:1512.03385, section 4.2).

use super::{Initializer, ModelSize, Network, Pass, gated_residual};
use crate::data::{Batch, BatchInputs};
use activation::{Activation, Kind};
use actlab_kernels::{
    BatchNormTraining, batch_norm_inference, batch_norm_training, convolution, shortcut,
};
use burn::Tensor;
use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::Device;
use std::sync::Arc;

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

/// Channels in, out, and inside, stride, and output size of one block.
struct BlockShape {
    input: usize,
    output: usize,
    inner: usize,
    stride: usize,
    pixels: usize,
}

impl ResNetConfig {
    fn blocks(&self, activation: &dyn Activation) -> Vec<BlockShape> {
        let per_stage = (self.depth - 2) / 6;
        let (mut height, mut width) = (self.height, self.image_width);
        let mut input = self.width;
        let mut blocks = Vec::new();
        for stage in 0..3 {
            let output = self.width << stage;
            for block in 0..per_stage {
                let stride = if stage > 0 && block == 0 { 2 } else { 1 };
                (height, width) = (height.div_ceil(stride), width.div_ceil(stride));
                let inner = match activation.kind() {
                    Kind::Pointwise(_) => output,
                    Kind::Gated(_) => gated_residual(input, output),
                };
                blocks.push(BlockShape { input, output, inner, stride, pixels: height * width });
                input = output;
            }
        }
        blocks
    }

    /// Channels that the first convolution of a block makes for one inner channel.
    fn fan(activation: &dyn Activation) -> usize {
        match activation.kind() {
            Kind::Pointwise(_) => 1,
            Kind::Gated(_) => 2,
        }
    }

    /// Parameters and operations with `activation`.
    #[must_use]
    pub fn size(&self, activation: &dyn Activation) -> ModelSize {
        let fan = Self::fan(activation);
        let stem = 9 * self.channels * self.width;
        let features = 4 * self.width;
        let mut parameters = stem + 2 * self.width + features * self.classes + self.classes;
        let mut flops = 2 * stem * self.height * self.image_width + 2 * features * self.classes;
        for block in self.blocks(activation) {
            let made = fan * block.inner;
            let weights = 9 * (block.input * made + block.inner * block.output);
            parameters += weights + 2 * (made + block.output);
            flops += 2 * weights * block.pixels;
        }
        ModelSize { parameters: parameters as u64, flops: flops as u64 }
    }

    /// The network at its layers' own initial values; see [`super::initialize`].
    #[must_use]
    pub fn init(&self, activation: &Arc<dyn Activation>, device: &Device) -> ResNet {
        let fan = Self::fan(&**activation);
        let blocks = self
            .blocks(&**activation)
            .into_iter()
            .enumerate()
            .map(|(index, shape)| {
                let made = fan * shape.inner;
                Block {
                    conv1: conv(shape.input, made, shape.stride, device),
                    norm1: BatchNormConfig::new(made).init(device),
                    conv2: conv(shape.inner, shape.output, 1, device),
                    norm2: BatchNormConfig::new(shape.output).init(device),
                    stride: shape.stride,
                    inner_site: format!("blocks.{index}.inner"),
                    outer_site: format!("blocks.{index}.outer"),
                }
            })
            .collect();
        ResNet {
            stem_conv: conv(self.channels, self.width, 1, device),
            stem_norm: BatchNormConfig::new(self.width).init(device),
            blocks,
            head: LinearConfig::new(4 * self.width, self.classes)
                .with_initializer(burn::nn::Initializer::Zeros)
                .init(device),
            activation: Arc::clone(activation),
        }
    }
}

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
    blocks: Vec<Block>,
    head: Linear,
    #[module(skip)]
    activation: Arc<dyn Activation>,
}

#[derive(Module, Debug)]
struct Block {
    conv1: Conv2d,
    norm1: BatchNorm,
    conv2: Conv2d,
    norm2: BatchNorm,
    stride: usize,
    #[module(skip)]
    inner_site: String,
    #[module(skip)]
    outer_site: String,
}

impl ResNet {
    /// Logits `[batch, classes]` of images `[batch, channels, height, width]`.
    #[must_use]
    pub fn logits(&self, images: Tensor<4>, pass: &mut Pass<'_>) -> Tensor<2> {
        let f = &self.activation;
        // Channels last: what the layers between here and the pooling take.
        let x = convolution(images.permute([0, 2, 3, 1]), self.stem_conv.weight.val(), 1);
        let mut x = norm_nonlinearity(&self.stem_norm, x, None, f, "stem", pass);
        for block in &self.blocks {
            x = block.forward(f, x, pass);
        }
        let [batch, height, width, channels] = x.dims();
        let pooled =
            x.reshape([batch, height * width, channels]).mean_dim(1).reshape([batch, channels]);
        self.head.forward(pooled)
    }
}

impl Block {
    fn forward(&self, f: &Arc<dyn Activation>, x: Tensor<4>, pass: &mut Pass<'_>) -> Tensor<4> {
        let y = convolution(x.clone(), self.conv1.weight.val(), self.stride);
        let y = match f.kind() {
            Kind::Pointwise(_) => {
                norm_nonlinearity(&self.norm1, y, None, f, &self.inner_site, pass)
            }
            Kind::Gated(_) => {
                pass.activation(f, &self.inner_site, batch_norm(&self.norm1, y, None, None))
            }
        };
        let y = convolution(y, self.conv2.weight.val(), 1);
        let shortcut = shortcut(x, self.stride, y.dims()[3]);
        norm_nonlinearity(&self.norm2, y, Some(shortcut), f, &self.outer_site, pass)
    }
}

/// The nonlinearity behind batch norm and residual sum, in one pass unless somebody looks between.
fn norm_nonlinearity(
    norm: &BatchNorm,
    x: Tensor<4>,
    residual: Option<Tensor<4>>,
    f: &Arc<dyn Activation>,
    site: &str,
    pass: &mut Pass<'_>,
) -> Tensor<4> {
    if pass.is_probed() {
        let x = batch_norm(norm, x, residual, None);
        return pass.nonlinearity(f, site, x);
    }
    batch_norm(norm, x, residual, Some(f))
}

/// `norm` over `[batch, height, width, channels]`: on a device with autodiff by the batch, whose
/// statistics it gathers; elsewhere by those.
fn batch_norm(
    norm: &BatchNorm,
    x: Tensor<4>,
    residual: Option<Tensor<4>>,
    f: Option<&Arc<dyn Activation>>,
) -> Tensor<4> {
    let (gamma, beta) = (norm.gamma.val(), norm.beta.val());
    let epsilon = norm.epsilon;
    if !x.device().is_autodiff() {
        let statistics = [norm.running_mean.value(), norm.running_var.value()];
        return batch_norm_inference(x, [gamma, beta], statistics, epsilon, residual, f);
    }
    let BatchNormTraining { output, mean, variance } =
        batch_norm_training(x, gamma, beta, epsilon, residual, f);
    for (running, new) in [(&norm.running_mean, mean), (&norm.running_var, variance)] {
        let old = running.value_sync().mul_scalar(1.0 - norm.momentum);
        running.update((old + new.mul_scalar(norm.momentum)).detach());
    }
    output
}

impl Network for ResNet {
    fn forward(&self, batch: &Batch, pass: &mut Pass<'_>) -> Tensor<2> {
        match &batch.inputs {
            BatchInputs::Images(images) => self.logits(images.clone(), pass),
            BatchInputs::Text { .. } => unreachable!("ModelConfig::new pairs resnets with images"),
        }
    }

    /// Convolutions: normal with variance 2 / fan-in (He et al. 2015, arXiv:1502.01852), the same
    /// for every activation so that arms start alike. Head: variance 1 / fan-in.
    #[expect(clippy::cast_precision_loss, reason = "widths are small")]
    fn initializer(name: &str, shape: &[usize]) -> Initializer {
        match (name.rsplit('.').next(), shape) {
            (Some("weight"), [_, input, height, width]) => {
                Initializer::Normal((2.0 / (input * height * width) as f64).sqrt())
            }
            (Some("weight"), [input, _]) => Initializer::Normal((1.0 / *input as f64).sqrt()),
            _ => Initializer::AsBuilt,
        }
    }
}
