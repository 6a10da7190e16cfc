//! The model zoo.

mod batch_norm;
mod bert;
mod gain;
mod gpt;
mod init;
mod layers;
mod mlp;
mod pass;
mod resnet;
pub mod weights;
mod width;

pub use bert::{Bert, BertConfig, BertModel, BertSize, Pretrained};
pub use gain::Gain;
pub use gpt::{Gpt, GptNetwork, GptSize, Positions};
pub use init::{Initializer, initialize, named_parameters};
pub use mlp::{Init, Mlp, MlpNetwork, Norm};
pub use pass::{Mode, Pass, Probe};
pub use resnet::{ResNet, ResNetConfig, Resnet};
pub use width::{gated_feed_forward, gated_residual};

use crate::component::{self, Definition, Entry, Registration};
use crate::data::{Batch, Dataset, Inputs};
use crate::sites::{Activations, SiteInfo, Sites};
use crate::train::{Finished, FirstSteps, Monitor, Stopped, Trainer};
use crate::{Error, bench, objective, train};
use burn::Tensor;
use burn::module::Module;
use burn::tensor::Device;
use record::{Component, RunSpec};
use std::path::Path;
use weights::{Sources, Weights};

/// A network that turns a batch into logits.
pub trait Network: Module {
    /// Logits `[rows, outputs]`: a row for each example and an output for each class, or a row for each predicted
    /// position and an output for each token.
    fn forward(&self, batch: &Batch, pass: &mut Pass<'_>) -> Tensor<2>;

    /// How the weights called `name`, of `shape`, begin; by the model's paper.
    fn initializer(&self, name: &str, shape: &[usize]) -> Initializer;

    /// Where `file` has the weights of this network.
    ///
    /// # Errors
    /// If the file holds another network, or no network of this kind starts from files.
    fn sources(&self, file: &Weights) -> Result<Sources, Error> {
        Err(file.refuse("this model takes no weights from files"))
    }
}

/// What one example of a data set looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputShape {
    /// Images.
    Images {
        /// Channels.
        channels: usize,
        /// Height in pixels.
        height: usize,
        /// Width in pixels.
        width: usize,
    },
    /// Numbers that were measured of each example.
    Features {
        /// How many.
        width: usize,
    },
    /// Sequences of tokens.
    Tokens {
        /// Entries of the vocabulary.
        vocabulary: usize,
    },
}

impl InputShape {
    /// The shape of the examples of `inputs`.
    #[must_use]
    pub fn of(inputs: &Inputs) -> Self {
        match inputs {
            Inputs::Images(images) => Self::Images {
                channels: images.channels,
                height: images.height,
                width: images.width,
            },
            Inputs::Features(features) => Self::Features { width: features.width },
            Inputs::Text(text) => Self::Tokens { vocabulary: text.vocabulary },
        }
    }

    /// What the examples are, in a word.
    #[must_use]
    pub fn holds(&self) -> &'static str {
        match self {
            Self::Images { .. } => "images",
            Self::Features { .. } => "features",
            Self::Tokens { .. } => "text",
        }
    }

    /// That a model which `takes` something else does not take these.
    #[must_use]
    pub fn refused(&self, takes: &str) -> Error {
        let model = match self {
            Self::Images { .. } => "a resnet or an mlp",
            Self::Features { .. } => "an mlp",
            Self::Tokens { .. } => "a bert or a gpt",
        };
        let holds = self.holds();
        Error::spec("name", format!("{takes}, but the data set holds {holds}: use {model}"))
    }
}

/// What a network predicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Head {
    /// One of so many classes for each example.
    Classes(usize),
    /// The token that was hidden, at each position that is asked for.
    Tokens,
    /// The token that follows, at each position: no position may see those behind it.
    NextToken,
}

impl Head {
    /// That `model` does not predict this.
    #[must_use]
    pub fn refused(&self, model: &str) -> Error {
        let what = match self {
            Self::Classes(_) => "classes",
            Self::Tokens => "hidden tokens (use a bert)",
            Self::NextToken => "the next token (use a gpt)",
        };
        Error::spec("name", format!("{model} does not predict {what}, which the objective needs"))
    }
}

/// What a network takes and gives: what its data and its objective decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interface {
    /// What it sees.
    pub inputs: InputShape,
    /// What it predicts.
    pub head: Head,
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

/// A model of the zoo: its parameters, as an experiment gives them.
pub trait Model: Definition {
    /// What it builds.
    type Network: Network;

    /// Key of the parameter that says from which file its weights start, for errors.
    const WEIGHTS: &'static str = "init.from";

    /// Parameters of a small one, a JSON object, for lists that show a model as it may be.
    const EXAMPLE: &'static str = "{}";

    /// Whether its products go through [`Pass::precision`]; if not, it trains in f32 alone.
    const MIXED_PRECISION: bool = false;

    /// Most tokens of a sequence that it takes; longer texts are cut. None where it takes no text.
    fn max_tokens(&self) -> Option<usize> {
        None
    }

    /// The file that its weights start from; they are drawn by the seed where there is none.
    fn weights(&self) -> Option<&Path> {
        None
    }

    /// Parameters and operations, without building the network. It asks `sites` for the same sites as
    /// [`Model::build`], in the same order.
    ///
    /// # Errors
    /// If it has no network of this interface.
    fn size(&self, interface: &Interface, sites: &Sites<'_>) -> Result<ModelSize, Error>;

    /// The network at its layers' own initial values; see [`initialize`].
    ///
    /// # Errors
    /// If it has no network of this interface.
    fn build(
        &self,
        interface: &Interface,
        sites: &Sites<'_>,
        device: &Device,
    ) -> Result<Self::Network, Error>;
}

/// A registered model.
#[derive(Debug)]
pub struct ModelRegistration {
    entry: Entry,
    max_tokens: fn(&Component) -> Result<Option<usize>, Error>,
    size: fn(&Component, &Interface, &Sites<'_>) -> Result<ModelSize, Error>,
    weights_sha256: fn(&Component, &Interface, &Sites<'_>) -> Result<Option<String>, Error>,
    example: &'static str,
    pub(crate) mixed_precision: bool,
    pub(crate) train: fn(Trainer<'_>, &mut dyn Monitor) -> Result<Finished, Stopped>,
    pub(crate) first_steps: fn(Trainer<'_>, u64) -> Result<FirstSteps, Error>,
    pub(crate) bench: bench::Steps,
}

impl ModelRegistration {
    /// That of `M`, which `package` registers.
    #[must_use]
    pub const fn of<M: Model>(package: &'static str) -> Self {
        Self {
            entry: Entry::of::<M>(package),
            max_tokens: |component| Ok(component::parameters::<M>(component)?.max_tokens()),
            size: |component, interface, sites| {
                component::parameters::<M>(component)?.size(interface, sites)
            },
            weights_sha256: weights_sha256::<M>,
            example: M::EXAMPLE,
            mixed_precision: M::MIXED_PRECISION,
            train: train::train_model::<M>,
            first_steps: train::first_steps_of_model::<M>,
            bench: bench::steps_of_model::<M>,
        }
    }
}

impl ModelRegistration {
    /// The model with the parameters of [`Model::EXAMPLE`]; without parameters where that is no JSON object.
    #[must_use]
    pub fn example(&self) -> Component {
        let mut component = Component::named(self.entry.name);
        component.parameters = serde_json::from_str(self.example).unwrap_or_default();
        component
    }
}

inventory::collect!(ModelRegistration);

impl Registration for ModelRegistration {
    const KIND: &'static str = "model";

    fn entry(&self) -> &Entry {
        &self.entry
    }
}

crate::register_component!(ModelRegistration: BertModel, Gpt, Mlp, Resnet);

/// The registered model that `component` names.
pub(crate) fn registration(component: &Component) -> Result<&'static ModelRegistration, Error> {
    component::find::<ModelRegistration>(&component.name)
}

/// Most tokens of a sequence that the model takes; longer texts are cut. None where it takes no text.
///
/// # Errors
/// If it is unknown, or a parameter is wrong.
pub fn max_tokens(model: &Component) -> Result<Option<usize>, Error> {
    (registration(model)?.max_tokens)(model)
}

fn weights_sha256<M: Model>(
    component: &Component,
    interface: &Interface,
    sites: &Sites<'_>,
) -> Result<Option<String>, Error> {
    let model: M = component::parameters(component)?;
    let Some(path) = model.weights() else { return Ok(None) };
    let check = || {
        let file = Weights::read(path)?;
        weights::check(&model.build(interface, sites, &Device::flex())?, &file)?;
        Ok(Some(file.sha256().to_owned()))
    };
    check().map_err(|error: Error| Error::spec(M::WEIGHTS, error.to_string()))
}

/// SHA-256 of the file that the weights of `spec` start from, where there is one.
///
/// # Errors
/// If the file does not fit the model, its data or its activations.
pub fn initial_weights(
    spec: &RunSpec,
    data: &Dataset,
    activations: &Activations,
) -> Result<Option<String>, Error> {
    let interface = objective::build(&spec.objective)?.interface(data)?;
    let sites = Sites::new(activations);
    let sha256 = (registration(&spec.model)?.weights_sha256)(&spec.model, &interface, &sites);
    sha256.map_err(|error| error.within("model"))
}

/// A model as it fits its data: what it costs, and its activation sites.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// What it costs.
    pub size: ModelSize,
    /// In the order of the forward pass.
    pub sites: Vec<SiteInfo>,
}

impl Layout {
    /// That of `model` with `interface` and `activations`, without building the network.
    ///
    /// # Errors
    /// If they do not go together.
    pub fn new(
        model: &Component,
        interface: &Interface,
        activations: &Activations,
    ) -> Result<Self, Error> {
        let sites = Sites::new(activations);
        let mut size = (registration(model)?.size)(model, interface, &sites)?;
        let sites = sites.into_asked();
        size.parameters += sites.iter().map(|site| site.learned as u64).sum::<u64>();
        Ok(Self { size, sites })
    }

    /// That of the network of `spec` on `data`.
    ///
    /// # Errors
    /// If model, objective and data do not go together.
    pub fn of(spec: &RunSpec, data: &Dataset, activations: &Activations) -> Result<Self, Error> {
        let interface = objective::build(&spec.objective)?.interface(data)?;
        let layout = Self::new(&spec.model, &interface, activations);
        layout.map_err(|error| error.within("model"))
    }
}
