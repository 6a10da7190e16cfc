//! Update rules, with weight decay on weights alone, and clipping of the whole gradient.

use crate::checkpoint::{Tensors, Unusable};
use crate::parameters::{Each, for_each_tensor, parameter_lengths, parameter_names};
use actlab_kernels::{AdamW, Sgd, sum_of_squares};
use burn::Tensor;
use burn::module::{Module, ModuleMapper, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::Device;
use record::{LayerGradient, OptimizerSpec};
use std::collections::{BTreeMap, HashMap};

/// An update rule, and what it remembers of each parameter.
#[derive(Debug)]
pub(crate) struct Optimizer {
    rule: OptimizerSpec,
    /// Of tensors of rank two and more; norms and biases do not decay.
    weight_decay: f64,
    memory: HashMap<ParamId, Memory>,
}

/// What is remembered of a parameter, flattened.
#[derive(Debug, Default)]
struct Memory {
    /// Updates so far.
    steps: u64,
    velocity: Option<Tensor<1>>,
    moments: Option<[Tensor<1>; 2]>,
}

impl Optimizer {
    pub(crate) fn new(rule: OptimizerSpec, weight_decay: f64) -> Self {
        Self { rule, weight_decay, memory: HashMap::new() }
    }

    /// Adds what is remembered of the parameters of `module` to `tensors`; how often each was updated.
    pub(crate) fn save<M: Module>(
        &self,
        module: &M,
        tensors: &mut Tensors,
    ) -> BTreeMap<String, u64> {
        let mut updates = BTreeMap::new();
        for (name, id) in parameter_names(module) {
            let Some(memory) = self.memory.get(&id) else { continue };
            updates.insert(name.clone(), memory.steps);
            let parts = memory.velocity.iter().chain(memory.moments.iter().flatten());
            for (place, part) in parts.enumerate() {
                tensors.add(slot(&name, place), part.clone());
            }
        }
        updates
    }

    /// Remembers what [`Optimizer::save`] saved.
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
        let lengths = parameter_lengths(module);
        if let Some(name) = updates.keys().find(|name| !lengths.contains_key(*name)) {
            return Err(Unusable::new(format!("`updates` has `{name}`, which is no parameter")));
        }
        for (name, (id, length)) in &lengths {
            let Some(&steps) = updates.get(name) else { continue };
            let mut memory = Memory { steps, ..Memory::default() };
            let mut take = |place| {
                let name = slot(name, place);
                let part = tensors.take(&name, [*length], device);
                let wrong = || Unusable::new(format!("`{name}` is missing, or has another shape"));
                part.ok_or_else(wrong)
            };
            match self.rule {
                // Without momentum there is none.
                OptimizerSpec::Sgd { momentum: 0.0, .. } => {}
                OptimizerSpec::Sgd { .. } => memory.velocity = Some(take(0)?),
                OptimizerSpec::Adamw { .. } => memory.moments = Some([take(0)?, take(1)?]),
            }
            self.memory.insert(*id, memory);
        }
        Ok(())
    }

    /// `module` after one update by its gradients times `gradient_scale`.
    pub(crate) fn step<M: Module>(
        &mut self,
        learning_rate: f64,
        gradient_scale: f64,
        module: M,
        gradients: GradientsParams,
    ) -> M {
        module.map(&mut Step { optimizer: self, learning_rate, gradient_scale, gradients })
    }

    fn update(
        &mut self,
        id: ParamId,
        decays: bool,
        (learning_rate, gradient_scale): (f64, f64),
        parameter: Tensor<1>,
        gradient: Tensor<1>,
    ) -> Tensor<1> {
        let weight_decay = if decays { self.weight_decay } else { 0.0 };
        let memory = self.memory.entry(id).or_default();
        memory.steps += 1;
        match self.rule {
            OptimizerSpec::Sgd { momentum, nesterov } => {
                let rule = Sgd { learning_rate, gradient_scale, momentum, nesterov, weight_decay };
                rule.step(parameter, gradient, &mut memory.velocity)
            }
            OptimizerSpec::Adamw { beta1, beta2, epsilon } => {
                let step = memory.steps;
                let rule = AdamW {
                    learning_rate,
                    gradient_scale,
                    beta1,
                    beta2,
                    epsilon,
                    weight_decay,
                    step,
                };
                rule.step(parameter, gradient, &mut memory.moments)
            }
        }
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
    gradients: GradientsParams,
}

impl ModuleMapper for Step<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let id = param.id;
        let Some(gradient) = self.gradients.remove::<D>(id) else { return param };
        param.map(|old| {
            let shape = old.dims();
            let length: usize = shape.iter().product();
            let tracked = old.is_require_grad();
            let old = old.inner().reshape([length]);
            let rates = (self.learning_rate, self.gradient_scale);
            let new = self.optimizer.update(id, D > 1, rates, old, gradient.reshape([length]));
            Tensor::from_inner(new.reshape(shape)).set_require_grad(tracked)
        })
    }
}

/// Euclidean norms of a gradient.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct GradientNorm {
    /// Over all parameters.
    pub(crate) whole: f64,
    /// Over the parameters of each layer, in the order of the forward pass.
    pub(crate) layers: Vec<LayerGradient>,
}

/// The norms of `gradients`. A layer is a field of the model, or an element of one that is a list.
pub(crate) fn gradient_norm<M: Module>(module: &M, gradients: &GradientsParams) -> GradientNorm {
    struct Norms<'a> {
        gradients: &'a GradientsParams,
        whole: f64,
        /// Name and sum of squares.
        layers: Vec<(String, f64)>,
    }

    impl Each for Norms<'_> {
        fn tensor<const D: usize>(&mut self, name: &str, id: ParamId, _: Tensor<D>) {
            let Some(gradient) = self.gradients.get::<D>(id) else { return };
            let squares = sum_of_squares(gradient);
            self.whole += squares;
            let path: Vec<&str> = name.split('.').collect();
            let element = |name: &&str| name.bytes().all(|byte| byte.is_ascii_digit());
            let depth = if path.get(1).is_some_and(element) { 2 } else { 1 };
            let layer = path[..depth].join(".");
            match self.layers.last_mut() {
                Some((last, sum)) if *last == layer => *sum += squares,
                _ => self.layers.push((layer, squares)),
            }
        }
    }

    let mut norms = Norms { gradients, whole: 0.0, layers: Vec::new() };
    for_each_tensor(module, &mut norms);
    let layer = |(layer, squares): (String, f64)| LayerGradient { layer, norm: squares.sqrt() };
    GradientNorm {
        whole: norms.whole.sqrt(),
        layers: norms.layers.into_iter().map(layer).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::nn::{Linear, LinearConfig};

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
        for optimizer_spec in [
            OptimizerSpec::Sgd { momentum: 0.9, nesterov: false },
            OptimizerSpec::Adamw { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
        ] {
            let layer = layer();
            let mut optimizer = Optimizer::new(optimizer_spec, 0.5);
            let gradients = gradients(&layer, 0.0);
            let layer = optimizer.step(0.1, 1.0, layer, gradients);
            // 1 − 0.1 · 0.5 of each weight, all of the bias.
            assert_eq!(numbers(&layer), [0.95, 1.9, 3.0]);
        }
    }

    #[test]
    fn momentum_has_no_dampening() {
        let spec = OptimizerSpec::Sgd { momentum: 0.5, nesterov: false };
        let mut layer = layer();
        let mut rule = Optimizer::new(spec, 0.0);
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
        let norm = gradient_norm(&layer, &gradients);
        assert!((norm.whole - 12_f64.sqrt()).abs() < 1e-6);
        let layers: Vec<_> = norm.layers.iter().map(|layer| layer.layer.as_str()).collect();
        assert_eq!(layers, ["weight", "bias"]);
        assert!((norm.layers[1].norm - 2.0).abs() < 1e-6);
    }

    #[test]
    fn gradients_are_scaled_before_the_update() {
        let spec = OptimizerSpec::Sgd { momentum: 0.0, nesterov: false };
        let layer = layer();
        let gradients = gradients(&layer, 2.0);
        let layer = Optimizer::new(spec, 0.0).step(0.1, 0.25, layer, gradients);
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
        let spec = OptimizerSpec::Adamw { beta1: 0.8, beta2: 0.9, epsilon: 1e-6 };
        let mut ours = Optimizer::new(spec, 0.1);
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
