//! A multilayer perceptron.

use super::batch_norm::BatchNorm;
use super::gain::Gains;
use super::layers::{apply, linear};
use super::{Gain, Head, Initializer, InputShape, Interface, Model, ModelSize, Network, Pass};
use crate::Error;
use crate::component::Definition;
use crate::data::Batch;
use crate::sites::{Site, Sites};
use burn::Tensor;
use burn::module::Module;
use burn::nn::{LayerNorm, Linear};
use burn::tensor::Device;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Multilayer perceptron: linear layers with an activation behind each but the last.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mlp {
    /// Units of each hidden layer, from the first. A gated activation has fewer, so that the network has as many
    /// parameters.
    pub widths: Vec<usize>,
    /// Norm between each hidden layer and its activation.
    #[serde(default)]
    pub norm: Norm,
    /// How weights and biases begin.
    #[serde(default)]
    pub init: Init,
}

/// Norm between a layer and its activation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Norm {
    /// None.
    #[default]
    None,
    /// Batch norm (Ioffe and Szegedy 2015).
    Batch,
    /// Layer norm (Ba et al. 2016).
    Layer,
}

/// How weights and biases begin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Init {
    /// Weights normal with variance 2 / fan-in (He et al. 2015), those of the last layer 1 / fan-in; biases zero.
    #[default]
    He,
    /// As `he`, but with variance gain² / fan-in, where the gain is 1/√E[f(z)²] of the activation behind the layer for
    /// z ~ N(0, 1).
    Matched,
    /// As `he`, but with the gain that the activation's card states for its paper, if it does.
    Paper,
    /// Weights and biases uniform between ±1 / √fan-in, as in PyTorch's `nn.Linear`.
    Pytorch,
}

impl Init {
    /// The gain of weights before activations.
    fn gain(self) -> Gain {
        match self {
            Self::He | Self::Pytorch => Gain::He,
            Self::Matched => Gain::Matched,
            Self::Paper => Gain::Paper,
        }
    }
}

/// Of both norms.
const EPSILON: f64 = 1e-5;

/// Most hidden layers.
const DEEPEST: usize = 1000;

/// Most units of a layer.
const WIDEST: usize = 65_536;

impl Definition for Mlp {
    const NAME: &'static str = "mlp";
    const ABOUT: &'static str = "multilayer perceptron, for images or features";
    const CITATION: &'static str = "Rumelhart, Hinton and Williams 1986, Nature 323";

    fn check(&self) -> Result<(), Error> {
        let layers = self.widths.len();
        if !(1..=DEEPEST).contains(&layers) {
            let reason = format!("has {layers} widths, but must have 1 to {DEEPEST}");
            return Err(Error::spec("widths", reason));
        }
        match self.widths.iter().find(|width| !(1..=WIDEST).contains(*width)) {
            Some(width) => {
                let reason = format!("has a width of {width}, but each must be from 1 to {WIDEST}");
                Err(Error::spec("widths", reason))
            }
            None => Ok(()),
        }
    }

    fn words(&self) -> String {
        let norm = match self.norm {
            Norm::None => "",
            Norm::Batch => ", batch norm",
            Norm::Layer => ", layer norm",
        };
        let init = match self.init {
            Init::He | Init::Matched | Init::Paper => self.init.gain().words(),
            Init::Pytorch => ", PyTorch's initialization",
        };
        format!("{}{norm}{init}", self.label())
    }

    fn label(&self) -> String {
        let widths: Vec<String> = self.widths.iter().map(usize::to_string).collect();
        // A deep one is told by its depth.
        match widths.len() {
            0..=4 => format!("mlp-{}", widths.join("-")),
            layers => format!("mlp-{}-…-{} ({layers} layers)", widths[0], widths[layers - 1]),
        }
    }
}

/// Numbers between two layers.
struct Shape {
    input: usize,
    site: Site,
    output: usize,
}

impl Mlp {
    /// The hidden layers with their sites, and what the last of them gives, for `input` features and `classes`.
    fn shapes(&self, interface: &Interface, sites: &Sites<'_>) -> Result<Vec<Shape>, Error> {
        let mut input = match interface.inputs {
            InputShape::Images { channels, height, width } => channels * height * width,
            InputShape::Features { width } => width,
            InputShape::Tokens { .. } => {
                return Err(interface.inputs.refused("an mlp takes images or features"));
            }
        };
        let Head::Classes(classes) = interface.head else {
            return Err(interface.head.refused("an mlp"));
        };
        let factor = self.gated_factor(input, classes);
        let mut shapes = Vec::new();
        for (index, plain) in self.widths.iter().enumerate() {
            let width = |fan| if fan == 2 { scaled(*plain, factor) } else { *plain };
            let site = sites.gated(format!("hidden.{index}"), width);
            let output = site.width();
            shapes.push(Shape { input, site, output });
            input = output;
        }
        Ok(shapes)
    }

    /// The factor of all widths at which a network with gated activations has as many parameters as a plain one.
    ///
    /// With widths s·w, gates and values double the outputs of each hidden layer, with p numbers for each in its bias and
    /// norm: 2s·(n·w₁ + p·Σ wᵢ) + 2s²·Σ wᵢwᵢ₊₁ + s·wₗ·c, of which the root by s is found.
    #[expect(clippy::cast_precision_loss, reason = "widths are small")]
    fn gated_factor(&self, input: usize, classes: usize) -> f64 {
        let widths = &self.widths;
        let (Some(first), Some(last)) = (widths.first(), widths.last()) else { return 1.0 };
        let each = match self.norm {
            Norm::None => 1.0,
            Norm::Batch | Norm::Layer => 3.0,
        };
        let units: f64 = widths.iter().map(|width| *width as f64).sum();
        let between: f64 = widths.windows(2).map(|pair| pair[0] as f64 * pair[1] as f64).sum();
        let before = input as f64 * *first as f64 + each * units;
        let after = *last as f64 * classes as f64;
        let plain = before + between + after;
        let (square, linear) = (2.0 * between, 2.0 * before + after);
        if square == 0.0 {
            return plain / linear;
        }
        ((linear * linear + 4.0 * square * plain).sqrt() - linear) / (2.0 * square)
    }

    fn classes(interface: &Interface) -> usize {
        match interface.head {
            Head::Classes(classes) => classes,
            Head::Tokens | Head::NextToken => 0,
        }
    }
}

/// `width` times `factor`, rounded, and at least 1.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "widths are small"
)]
fn scaled(width: usize, factor: f64) -> usize {
    ((width as f64 * factor).round() as usize).max(1)
}

impl Model for Mlp {
    type Network = MlpNetwork;

    const EXAMPLE: &'static str = r#"{"widths": [64, 64]}"#;
    const MIXED_PRECISION: bool = true;

    fn size(&self, interface: &Interface, sites: &Sites<'_>) -> Result<ModelSize, Error> {
        let classes = Self::classes(interface);
        let (mut parameters, mut flops) = (0, 0);
        let mut last = 0;
        for Shape { input, site, output } in self.shapes(interface, sites)? {
            let made = site.fan() * site.width();
            let norm = if self.norm == Norm::None { 0 } else { 2 * made };
            parameters += input * made + made + norm;
            flops += 2 * input * made;
            last = output;
        }
        parameters += last * classes + classes;
        flops += 2 * last * classes;
        self.init.gain().check(sites)?;
        Ok(ModelSize { parameters: parameters as u64, flops: flops as u64 })
    }

    fn build(
        &self,
        interface: &Interface,
        sites: &Sites<'_>,
        device: &Device,
    ) -> Result<MlpNetwork, Error> {
        let mut last = 0;
        let layer = |shape: Shape| {
            let made = shape.site.fan() * shape.site.width();
            last = shape.output;
            Layer {
                linear: linear(shape.input, made, device),
                batch_norm: (self.norm == Norm::Batch)
                    .then(|| BatchNorm::new(made, EPSILON, device)),
                layer_norm: (self.norm == Norm::Layer)
                    .then(|| super::layers::layer_norm(made, EPSILON, device)),
                site: shape.site,
            }
        };
        let hidden: Vec<Layer> = self.shapes(interface, sites)?.into_iter().map(layer).collect();
        let paths = (0..hidden.len()).map(|index| format!("hidden.{index}.linear"));
        let sites = hidden.iter().map(|layer| &layer.site);
        let gains = Gains::new(self.init.gain(), paths.zip(sites))?;
        Ok(MlpNetwork {
            gains,
            hidden,
            head: linear(last, Self::classes(interface), device),
            pytorch_init: self.init == Init::Pytorch,
        })
    }
}

/// A multilayer perceptron.
#[derive(Module, Debug)]
pub struct MlpNetwork {
    hidden: Vec<Layer>,
    head: Linear,
    pytorch_init: bool,
    #[module(skip)]
    gains: Gains,
}

#[derive(Module, Debug)]
struct Layer {
    linear: Linear,
    batch_norm: Option<BatchNorm>,
    layer_norm: Option<LayerNorm>,
    site: Site,
}

impl Layer {
    /// `[batch, inputs]` to `[batch, outputs]`.
    fn forward(&self, x: Tensor<2>, pass: &mut Pass<'_>) -> Tensor<2> {
        let mut x = apply(&self.linear, x, pass);
        if let Some(norm) = &self.batch_norm {
            let [batch, width] = x.dims();
            let normal = norm.apply(x.reshape([batch, 1, 1, width]), None, None, pass);
            x = normal.reshape([batch, width]);
        }
        if let Some(norm) = &self.layer_norm {
            x = super::layers::normalize(norm, x, None, EPSILON);
        }
        self.site.forward(x, pass)
    }
}

impl Network for MlpNetwork {
    fn forward(&self, batch: &Batch, pass: &mut Pass<'_>) -> Tensor<2> {
        let mut x = batch.inputs.flattened();
        for layer in &self.hidden {
            x = layer.forward(x, pass);
        }
        apply(&self.head, x, pass)
    }

    #[expect(clippy::cast_precision_loss, reason = "widths are small")]
    fn initializer(&self, name: &str, shape: &[usize]) -> Initializer {
        let norm = name.contains("norm");
        let layer = name.rsplit_once('.').map_or("", |(layer, _)| layer);
        let head = layer == "head";
        match (norm, self.pytorch_init, shape) {
            (true, ..) => Initializer::AsBuilt,
            (_, true, [input, _]) => Initializer::Uniform(1.0 / (*input as f64).sqrt()),
            (_, true, [_]) => Initializer::Uniform(1.0 / (self.inputs(layer) as f64).sqrt()),
            (_, false, [input, _]) => {
                let square = if head { 1.0 } else { self.gains.square(layer) };
                Initializer::Normal((square / *input as f64).sqrt())
            }
            _ => Initializer::AsBuilt,
        }
    }
}

impl MlpNetwork {
    /// Inputs of the linear layer at `path`, as in `hidden.0.linear`.
    fn inputs(&self, path: &str) -> usize {
        let index = path.split('.').nth(1).and_then(|index| index.parse::<usize>().ok());
        let linear =
            index.and_then(|index| self.hidden.get(index)).map_or(&self.head, |one| &one.linear);
        linear.weight.val().dims()[0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sites::Activations;
    use activation_swiglu as _;
    use {activation_relu as _, activation_testing::activation};

    fn mlp(widths: &[usize], norm: Norm) -> Mlp {
        Mlp { widths: widths.to_vec(), norm, init: Init::He }
    }

    const MNIST: Interface = Interface {
        inputs: InputShape::Images { channels: 1, height: 28, width: 28 },
        head: Head::Classes(10),
    };

    #[test]
    fn counts_are_those_of_the_network_and_of_the_book() {
        // 784·512 + 512 + 512·256 + 256 + 256·256 + 256 + 256·128 + 128 + 128·10 + 10
        let relu = Activations::from(activation("relu"));
        let size =
            |mlp: &Mlp, f: &Activations| mlp.size(&MNIST, &Sites::new(f)).unwrap().parameters;
        let uva = mlp(&[512, 256, 256, 128], Norm::None);
        assert_eq!(size(&uva, &relu), 633_226);
        let swiglu = Activations::from(activation("swiglu"));
        for norm in [Norm::None, Norm::Batch, Norm::Layer] {
            for widths in [&[512, 256, 256, 128][..], &[300], &[100, 100], &[64; 10]] {
                let model = mlp(widths, norm);
                let plain = size(&model, &relu) as f64;
                for f in [&relu, &swiglu] {
                    let network = model.build(&MNIST, &Sites::new(f), &Device::flex()).unwrap();
                    let counted: usize = crate::model::named_parameters(&network)
                        .iter()
                        .filter(|(_, _, trained)| *trained)
                        .map(|(_, shape, _)| shape.iter().product::<usize>())
                        .sum();
                    assert_eq!(counted as u64, size(&model, f), "{widths:?} {norm:?}");
                    let ratio = counted as f64 / plain;
                    assert!((ratio - 1.0).abs() < 0.02, "{widths:?} {norm:?}: {ratio}");
                }
            }
        }
    }
}
