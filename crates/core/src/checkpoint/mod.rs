//! The state of training between two steps, in the [safetensors](https://github.com/huggingface/safetensors)
//! format: weights, running statistics and the optimizer's memory as tensors, everything else as metadata.

mod check;

use crate::parameters::{TensorVisitor, for_each_tensor};
use crate::recipe::Recipe;
use crate::train::LossScaler;
use burn::Tensor;
use burn::module::{Module, ModuleMapper, Param, ParamId};
use burn::tensor::{Device, TensorData};
use record::{Evaluation, LayerGradient, Summary};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap, VecDeque};

/// Key of the metadata that holds what is no tensor.
const PROGRESS: &str = "progress";

/// Version of what a checkpoint holds.
const VERSION: u32 = 4;

pub(crate) use check::{DROPOUT, Streams, check, checksum_of_order};

/// Why a checkpoint is of no use.
#[derive(Debug, thiserror::Error)]
#[error("not a checkpoint of this run: {0}")]
pub struct Unusable(String);

/// What training knows beside its tensors.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Progress {
    pub(crate) version: u32,
    pub(crate) stage: Stage,
    pub(crate) summary: Summary,
    /// Evaluation of the best weights so far.
    pub(crate) best: Option<Evaluation>,
    pub(crate) evaluations: u64,
    /// Training losses of the last steps, as far as the recipe's rule of divergence will look at them.
    pub(crate) recent_losses: VecDeque<f64>,
    /// Checksum of the training examples that are left of the epoch, which the seed decides: of a long epoch they
    /// would not fit the header of a file.
    pub(crate) order: String,
    /// How far the streams of order, augmentation, dropout and objective are; text, since JSON ends at 64 bits.
    pub(crate) streams: [String; 4],
    /// Updates of each parameter.
    pub(crate) updates: BTreeMap<String, u64>,
    /// In f16 alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) scaler: Option<LossScaler>,
    /// Wall time so far, in seconds.
    pub(crate) seconds: f64,
    pub(crate) train_seconds: f64,
    pub(crate) train_examples: u64,
}

/// What training does next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stage {
    /// The next step, if there is one.
    Step,
    /// The evaluation after the last step.
    Evaluate {
        /// Gradients by layer of that step.
        layers: Vec<LayerGradient>,
    },
    /// Nothing: early stopping has ended it.
    Ended,
}

/// Training as it stood after a step.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    pub(crate) progress: Progress,
    pub(crate) tensors: Tensors,
}

/// Tensors by name: their shapes, and their numbers in single precision, little-endian.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tensors(BTreeMap<String, (Vec<usize>, Vec<u8>)>);

impl Checkpoint {
    /// The last step that is in it.
    #[must_use]
    pub fn step(&self) -> u64 {
        self.progress.summary.steps
    }

    /// The checkpoint as a file.
    ///
    /// # Errors
    /// If it is too large for the format.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>, Unusable> {
        let unusable = |error: &dyn std::fmt::Display| Unusable(error.to_string());
        let json = serde_json::to_string(&self.progress).map_err(|error| unusable(&error))?;
        let mut views = Vec::with_capacity(self.tensors.0.len());
        for (name, (shape, bytes)) in &self.tensors.0 {
            let view = TensorView::new(Dtype::F32, shape.clone(), bytes);
            views.push((name, view.map_err(|error| unusable(&error))?));
        }
        let metadata = HashMap::from([(PROGRESS.to_owned(), json)]);
        safetensors::serialize(views, Some(metadata)).map_err(|error| unusable(&error))
    }

    /// Reads a checkpoint's file.
    ///
    /// # Errors
    /// If it is damaged, or of another version.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Unusable> {
        let unusable = |error: &dyn std::fmt::Display| Unusable(error.to_string());
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|error| unusable(&error))?;
        let json = metadata.metadata().as_ref().and_then(|metadata| metadata.get(PROGRESS));
        let json = json.ok_or_else(|| unusable(&"it says nothing of the run's progress"))?;
        let progress: Progress = serde_json::from_str(json).map_err(|error| unusable(&error))?;
        if progress.version != VERSION {
            return Err(unusable(&format!("it has version {}", progress.version)));
        }
        let file = SafeTensors::deserialize(bytes).map_err(|error| unusable(&error))?;
        let mut tensors = Tensors::default();
        for (name, view) in file.tensors() {
            if view.dtype() != Dtype::F32 {
                return Err(unusable(&format!("`{name}` is not in single precision")));
            }
            tensors.0.insert(name, (view.shape().to_vec(), view.data().to_vec()));
        }
        Ok(Self { progress, tensors })
    }
}

impl Unusable {
    pub(crate) fn new(reason: String) -> Self {
        Self(reason)
    }
}

impl Progress {
    /// That of a run that has not begun.
    pub(crate) fn new(recipe: &Recipe<'_>) -> Self {
        let size = recipe.layout.size;
        Self {
            version: VERSION,
            stage: Stage::Step,
            summary: Summary {
                parameters: size.parameters,
                flops: size.flops,
                steps: 0,
                classes: Some(recipe.data.classes.len() as u64).filter(|classes| *classes > 0),
                metric: Some(recipe.metric.clone()),
                initial_loss: f64::NAN,
                best_validation: None,
                last_validation: None,
                test: None,
                test_examples: None,
                steps_to_target: None,
                skipped_steps: None,
                sites: Vec::new(),
                learned: Vec::new(),
            },
            best: None,
            evaluations: 0,
            recent_losses: VecDeque::new(),
            order: checksum_of_order(&[]),
            streams: Default::default(),
            updates: BTreeMap::new(),
            scaler: None,
            seconds: 0.0,
            train_seconds: 0.0,
            train_examples: 0,
        }
    }
}

impl Tensors {
    /// Adds a tensor.
    pub(crate) fn add<const D: usize>(&mut self, name: String, tensor: Tensor<D>) {
        let shape = tensor.dims().to_vec();
        let data = actlab_kernels::read(tensor).convert::<f32>();
        let numbers = data.as_slice::<f32>().expect("they were converted");
        let mut bytes = vec![0; size_of_val(numbers)];
        let (places, _) = bytes.as_chunks_mut::<4>();
        places.iter_mut().zip(numbers).for_each(|(place, x)| *place = x.to_le_bytes());
        self.0.insert(name, (shape, bytes));
    }

    /// Adds every parameter and running statistic of `module`, whose names then begin with `prefix`.
    pub(crate) fn add_module<M: Module>(&mut self, prefix: &str, module: &M) {
        for_each_tensor(module, &mut Add { tensors: self, prefix });
    }

    /// Takes a tensor of `shape` out, if it is there.
    pub(crate) fn take<const D: usize>(
        &mut self,
        name: &str,
        shape: [usize; D],
        device: &Device,
    ) -> Option<Tensor<D>> {
        let (shape, bytes) = self.0.remove(name).filter(|(own, _)| *own == shape)?;
        let (values, _) = bytes.as_chunks::<4>();
        let values: Vec<f32> = values.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        Some(Tensor::from_data(TensorData::new(values, shape), device))
    }

    /// The name of one of the tensors that are left, if any is.
    pub(crate) fn left(&self) -> Option<&str> {
        self.0.keys().next().map(String::as_str)
    }

    /// Whether `other` holds the same tensor `name`, to the last bit.
    pub(crate) fn agrees(&self, other: &Self, name: &str) -> bool {
        self.0.get(name) == other.0.get(name)
    }

    /// `module` with the tensors that [`Tensors::add_module`] added.
    ///
    /// # Errors
    /// If one of them is missing, or has another shape.
    pub(crate) fn load_module<M: Module>(
        &mut self,
        prefix: &str,
        module: M,
    ) -> Result<M, Unusable> {
        let mut load = Load { tensors: self, prefix, path: Vec::new(), wrong: None };
        let module = module.map(&mut load);
        match load.wrong {
            None => Ok(module),
            Some(name) => Err(Unusable(format!("`{name}` is missing, or has another shape"))),
        }
    }
}

struct Add<'a> {
    tensors: &'a mut Tensors,
    prefix: &'a str,
}

impl TensorVisitor for Add<'_> {
    fn tensor<const D: usize>(&mut self, name: &str, _: ParamId, tensor: Tensor<D>) {
        self.tensors.add(format!("{}{name}", self.prefix), tensor);
    }
}

struct Load<'a> {
    tensors: &'a mut Tensors,
    prefix: &'a str,
    path: Vec<String>,
    /// The first tensor that could not be set.
    wrong: Option<String>,
}

impl ModuleMapper for Load<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let name = format!("{}{}", self.prefix, self.path.join("."));
        let (shape, device) = (param.val().dims(), param.val().device());
        match self.tensors.take(&name, shape, &device) {
            Some(new) => param.map(|old| new.set_require_grad(old.is_require_grad())),
            None => {
                self.wrong.get_or_insert(name);
                param
            }
        }
    }
}
