//! Update rules, with weight decay on weights alone, and clipping of the whole gradient.

mod adam;
mod adamw;
mod lion;
mod muon;
mod norm;
mod sgd;

pub use adam::Adam;
pub use adamw::AdamW;
pub use lion::Lion;
pub use muon::{Muon, Scale};
pub(crate) use norm::{GradientNorm, GradientSquares};
pub use sgd::Sgd;

use crate::Error;
use crate::checkpoint::{Tensors, Unusable};
use crate::component::{self, Definition, Entry, Registration};
use crate::parameters::{parameter_names, parameter_shapes};
use crate::sites::LearnedSite;
use activation::Learning;
use actlab_kernels::UpdateGroup;
use burn::Tensor;
use burn::module::{Module, ModuleMapper, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::Device;
use record::Component;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;

/// What an update rule may know of a parameter.
#[derive(Debug, Clone, Copy)]
pub struct Parameter<'a> {
    /// Its name, as in `blocks.0.conv1.weight`.
    pub path: &'a str,
    /// Its shape; rules are given it flattened.
    pub shape: &'a [usize],
}

/// The numbers of one step.
#[derive(Debug, Clone, Copy)]
pub struct Rates {
    /// Learning rate of the step.
    pub learning_rate: f64,
    /// What the gradient is multiplied with, which clips it.
    pub gradient_scale: f64,
    /// Weight decay of the parameter: norms and biases have none.
    pub weight_decay: f64,
}

/// What a rule keeps of a parameter.
#[derive(Debug, Default)]
pub struct State {
    /// Updates so far, this one included.
    pub steps: u64,
    /// Tensors of the parameter's length; none before the first update.
    pub tensors: Vec<Tensor<1>>,
}

/// How parameters change by their gradients.
pub trait UpdateRule: Debug + Send {
    /// Tensors that it keeps of `parameter` after its first update.
    fn states(&self, parameter: &Parameter<'_>) -> usize;

    /// Whether its new values and tensors are what a step of [`actlab_kernels::Sgd`] or [`actlab_kernels::AdamW`] returns
    /// for the gradient as it is given, and it looks at none of them: those of all parameters may then be computed together,
    /// and their gradients be clipped as they are read.
    fn leaves_steps_alone(&self) -> bool {
        false
    }

    /// The new value of `parameter`, flattened as `value` and `gradient` are.
    fn update(
        &self,
        parameter: &Parameter<'_>,
        rates: Rates,
        value: Tensor<1>,
        gradient: Tensor<1>,
        state: &mut State,
    ) -> Tensor<1>;
}

/// A registered update rule.
#[derive(Debug)]
pub struct OptimizerRegistration {
    entry: Entry,
    build: fn(&Component) -> Result<Box<dyn UpdateRule>, Error>,
}

impl OptimizerRegistration {
    /// That of `D`, which `package` registers.
    #[must_use]
    pub const fn of<D: Definition + UpdateRule>(package: &'static str) -> Self {
        Self {
            entry: Entry::of::<D>(package),
            build: |component| Ok(Box::new(component::parameters::<D>(component)?)),
        }
    }
}

inventory::collect!(OptimizerRegistration);

impl Registration for OptimizerRegistration {
    const KIND: &'static str = "optimizer";

    fn entry(&self) -> &Entry {
        &self.entry
    }
}

crate::register_component!(OptimizerRegistration: Adam, AdamW, Lion, Muon, Sgd);

/// Whether a number is at least 0 and below 1.
fn fraction(x: f64) -> bool {
    (0.0..1.0).contains(&x)
}

/// Whether a number is finite and above 0.
fn above_zero(x: f64) -> bool {
    x > 0.0 && x.is_finite()
}

/// The update rule that `component` names.
///
/// # Errors
/// If it is unknown, or a parameter is wrong.
pub(crate) fn build(component: &Component) -> Result<Box<dyn UpdateRule>, Error> {
    (component::find::<OptimizerRegistration>(&component.name)?.build)(component)
}

/// What gradients are multiplied with.
#[derive(Debug, Clone)]
pub(crate) struct GradientScale {
    number: f64,
    /// A factor that the host does not know, `[1]` on the device of the gradients.
    on_device: Option<Tensor<1>>,
}

impl From<f64> for GradientScale {
    fn from(number: f64) -> Self {
        Self { number, on_device: None }
    }
}

impl From<Tensor<1>> for GradientScale {
    fn from(factor: Tensor<1>) -> Self {
        Self { number: 1.0, on_device: Some(factor) }
    }
}

/// An update rule, and its state of each parameter.
#[derive(Debug)]
pub(crate) struct Optimizer {
    rule: Box<dyn UpdateRule>,
    /// Of tensors of rank two and more; norms and biases do not decay.
    weight_decay: f64,
    states: HashMap<ParamId, State>,
    /// How the numbers of activations are learned.
    learned: HashMap<ParamId, Learning>,
}

impl Optimizer {
    pub(crate) fn new(rule: Box<dyn UpdateRule>, weight_decay: f64) -> Self {
        Self { rule, weight_decay, states: HashMap::new(), learned: HashMap::new() }
    }

    /// With rates of their own for what activations learn.
    pub(crate) fn with_learned(mut self, sites: &[LearnedSite]) -> Self {
        self.learned = sites.iter().map(|site| (site.id, site.learning.clone())).collect();
        self
    }

    /// The shape of a parameter for rules: what an activation learns is no matrix.
    fn shape(&self, id: ParamId, shape: &[usize]) -> Vec<usize> {
        if self.learned.contains_key(&id) { vec![shape.iter().product()] } else { shape.to_vec() }
    }

    /// The rates of a parameter of rank `rank`.
    fn rates(&self, id: ParamId, rank: usize, learning_rate: f64, gradient_scale: f64) -> Rates {
        let (factor, decays) = match self.learned.get(&id) {
            Some(learning) => (learning.learning_rate_factor, learning.weight_decay),
            None => (1.0, rank > 1),
        };
        Rates {
            learning_rate: learning_rate * factor,
            gradient_scale,
            weight_decay: if decays { self.weight_decay } else { 0.0 },
        }
    }

    /// Adds the states of the parameters of `module` to `tensors`; how often each was updated.
    pub(crate) fn save<M: Module>(
        &self,
        module: &M,
        tensors: &mut Tensors,
    ) -> BTreeMap<String, u64> {
        let mut updates = BTreeMap::new();
        for (name, id) in parameter_names(module) {
            let Some(state) = self.states.get(&id) else { continue };
            updates.insert(name.clone(), state.steps);
            for (place, tensor) in state.tensors.iter().enumerate() {
                tensors.add(slot(&name, place), tensor.clone());
            }
        }
        updates
    }

    /// Takes the states that [`Optimizer::save`] saved.
    ///
    /// # Errors
    /// If a part of it is missing, has another shape, or belongs to no parameter of `module`.
    pub(crate) fn load<M: Module>(
        &mut self,
        module: &M,
        tensors: &mut Tensors,
        updates: &BTreeMap<String, u64>,
        device: &Device,
    ) -> Result<(), Unusable> {
        let shapes = parameter_shapes(module);
        if let Some(name) = updates.keys().find(|name| !shapes.contains_key(*name)) {
            return Err(Unusable::new(format!("`updates` has `{name}`, which is no parameter")));
        }
        for (path, (id, shape)) in &shapes {
            let Some(&steps) = updates.get(path) else { continue };
            let mut state = State { steps, ..State::default() };
            let shape = &self.shape(*id, shape);
            for place in 0..self.rule.states(&Parameter { path, shape }) {
                let name = slot(path, place);
                let tensor = tensors.take(&name, [shape.iter().product()], device);
                let wrong = || Unusable::new(format!("`{name}` is missing, or has another shape"));
                state.tensors.push(tensor.ok_or_else(wrong)?);
            }
            self.states.insert(*id, state);
        }
        Ok(())
    }

    /// `module` after one update by its gradients times `scale`.
    pub(crate) fn step<M: Module>(
        &mut self,
        learning_rate: f64,
        scale: impl Into<GradientScale>,
        module: M,
        gradients: GradientsParams,
    ) -> M {
        let GradientScale { number: gradient_scale, on_device: mut clip } = scale.into();
        let together = self.rule.leaves_steps_alone();
        let _group = together.then(|| UpdateGroup::begin(clip.take().as_ref()));
        let path = Vec::new();
        module.map(&mut Step {
            optimizer: self,
            learning_rate,
            gradient_scale,
            clip,
            gradients,
            path,
        })
    }
}

/// Name of what is remembered of a parameter: its velocity, or its first and second moment.
fn slot(parameter: &str, place: usize) -> String {
    format!("optimizer/{place}/{parameter}")
}

struct Step<'a> {
    optimizer: &'a mut Optimizer,
    learning_rate: f64,
    gradient_scale: f64,
    /// What gradients are multiplied with before the rule is given them.
    clip: Option<Tensor<1>>,
    gradients: GradientsParams,
    path: Vec<String>,
}

impl ModuleMapper for Step<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let id = param.id;
        let Some(gradient) = self.gradients.remove::<D>(id) else { return param };
        param.map(|old| {
            let shape = old.dims();
            let length: usize = shape.iter().product();
            let tracked = old.is_require_grad();
            let old = old.inner().reshape([length]);
            let rates = self.optimizer.rates(id, D, self.learning_rate, self.gradient_scale);
            let seen = self.optimizer.shape(id, &shape);
            let Optimizer { rule, states, .. } = &mut *self.optimizer;
            let state = states.entry(id).or_default();
            state.steps += 1;
            let path = self.path.join(".");
            let parameter = Parameter { path: &path, shape: &seen };
            let gradient = gradient.reshape([length]);
            let gradient = match &self.clip {
                Some(factor) => gradient * factor.clone(),
                None => gradient,
            };
            let new = rule.update(&parameter, rates, old, gradient, state);
            Tensor::from_inner(new.reshape(shape)).set_require_grad(tracked)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::nn::{Linear, LinearConfig};

    /// The values of a parameter of `shape` after each of some steps.
    pub(super) fn trajectory<const N: usize>(
        rule: &dyn UpdateRule,
        rates: Rates,
        shape: &[usize],
        start: [f32; N],
        gradients: &[[f32; N]],
    ) -> Vec<Vec<f32>> {
        let device = Device::flex();
        let mut value = Tensor::<1>::from_floats(start, &device);
        let mut state = State::default();
        let parameter = Parameter { path: "layer.weight", shape };
        let step = |gradient: &[f32; N]| {
            state.steps += 1;
            let gradient = Tensor::from_floats(*gradient, &device);
            value = rule.update(&parameter, rates, value.clone(), gradient, &mut state);
            assert_eq!(state.tensors.len(), rule.states(&parameter));
            value.to_data().iter::<f32>().collect()
        };
        gradients.iter().map(step).collect()
    }

    /// A layer with weights [[1, 2]]ᵀ and bias [3], and gradients of 0·(sum of outputs) or 1·.
    fn layer() -> Linear {
        let device = Device::flex().autodiff();
        let mut layer = LinearConfig::new(2, 1).init(&device);
        layer.weight = Param::from_tensor(Tensor::from_floats([[1.0], [2.0]], &device));
        layer.bias = Some(Param::from_tensor(Tensor::from_floats([3.0], &device)));
        layer
    }

    fn gradients(layer: &Linear, scale: f64) -> GradientsParams {
        let x = Tensor::<2>::ones([1, 2], &Device::flex().autodiff());
        let loss = layer.forward(x).sum().mul_scalar(scale);
        GradientsParams::from_grads(loss.backward(), layer)
    }

    fn numbers(layer: &Linear) -> Vec<f32> {
        let mut all: Vec<f32> = layer.weight.val().into_data().iter::<f32>().collect();
        all.extend(layer.bias.as_ref().unwrap().val().into_data().iter::<f32>());
        all
    }

    #[test]
    fn biases_do_not_decay() {
        for name in ["sgd", "adamw", "lion", "muon"] {
            let layer = layer();
            let mut optimizer = Optimizer::new(build(&Component::named(name)).unwrap(), 0.5);
            let gradients = gradients(&layer, 0.0);
            let layer = optimizer.step(0.1, 1.0, layer, gradients);
            // 1 − 0.1 · 0.5 of each weight, all of the bias.
            assert_eq!(numbers(&layer), [0.95, 1.9, 3.0]);
        }
    }

    #[test]
    fn momentum_has_no_dampening() {
        let sgd = Sgd { momentum: 0.5, nesterov: false };
        let mut layer = layer();
        let mut rule = Optimizer::new(Box::new(sgd), 0.0);
        for _ in 0..2 {
            let gradients = gradients(&layer, 1.0);
            layer = rule.step(0.1, 1.0, layer, gradients);
        }
        // Velocities 1 and 1.5.
        let expected = [0.75, 1.75, 2.75];
        for (number, expected) in numbers(&layer).iter().zip(expected) {
            assert!((number - expected).abs() < 1e-6, "{number}");
        }
    }

    #[test]
    fn the_norm_is_of_the_whole_gradient() {
        let layer = layer();
        let gradients = gradients(&layer, 2.0);
        let squares = GradientSquares::of(&layer, &gradients);
        let loss = Tensor::zeros([1], &Device::flex());
        let unread = crate::train::Unread { loss, predicted: None, squares, loss_scale: 1.0 };
        let norm = unread.read().norm;
        assert!((norm.whole - 12_f64.sqrt()).abs() < 1e-6);
        let layers: Vec<_> = norm.layers.iter().map(|layer| layer.layer.as_str()).collect();
        assert_eq!(layers, ["weight", "bias"]);
        assert!((norm.layers[1].norm - 2.0).abs() < 1e-6);
    }

    #[test]
    fn gradients_are_scaled_before_the_update() {
        let sgd = Sgd { momentum: 0.0, nesterov: false };
        let layer = layer();
        let gradients = gradients(&layer, 2.0);
        let layer = Optimizer::new(Box::new(sgd), 0.0).step(0.1, 0.25, layer, gradients);
        assert_eq!(numbers(&layer), [0.95, 1.95, 2.95]);
    }

    #[test]
    fn adamw_agrees_with_burn() {
        let device = Device::flex();
        let rule = burn::optim::AdamWConfig::new()
            .with_beta_1(0.8)
            .with_beta_2(0.9)
            .with_epsilon(1e-6)
            .with_weight_decay(0.1);
        let mut reference = burn::optim::ModuleOptimizer::from(rule.build());
        let adamw = AdamW { beta1: 0.8, beta2: 0.9, epsilon: 1e-6 };
        let mut ours = Optimizer::new(Box::new(adamw), 0.1);
        let mut layer = layer();
        layer.bias = None;
        let mut expected = layer.clone();
        for step in 1..=4 {
            let x = Tensor::<2>::from_floats([[0.5, -2.0]], &device.clone().autodiff());
            let gradients = |layer: &Linear| {
                let loss = layer.forward(x.clone()).square().sum().mul_scalar(f64::from(step));
                GradientsParams::from_grads(loss.backward(), layer)
            };
            let (a, b) = (gradients(&layer), gradients(&expected));
            layer = ours.step(0.05, 1.0, layer, a);
            expected = reference.step(0.05, expected, b);
        }
        let weights =
            |layer: &Linear| layer.weight.val().into_data().iter::<f32>().collect::<Vec<_>>();
        for (a, b) in weights(&layer).iter().zip(weights(&expected)) {
            assert!((a - b).abs() < 1e-6, "{a} {b}");
        }
    }
}
