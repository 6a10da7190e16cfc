//! Update rules of burn, with weight decay on weights alone, and clipping of the whole gradient.

use burn::Tensor;
use burn::module::{Module, ModuleVisitor, Param, ParamGroup, ParamId};
use burn::optim::decay::WeightDecayConfig;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{AdamWConfig, GradientsParams, ModuleOptimizer, SgdConfig};
use record::{OptimizerSpec, TrainingSpec};

/// The update rule of `training` for `module`: tensors of rank one (norms and biases) do not decay.
#[expect(clippy::cast_possible_truncation, reason = "burn holds these as f32")]
pub(crate) fn optimizer<M: Module>(training: &TrainingSpec, module: &M) -> ModuleOptimizer {
    let undecayed = ParamGroup::from_ids(vectors(module));
    match &training.optimizer {
        OptimizerSpec::Sgd { momentum, nesterov } => {
            let momentum = (*momentum > 0.0).then(|| {
                MomentumConfig::new()
                    .with_momentum(*momentum)
                    .with_dampening(0.0)
                    .with_nesterov(*nesterov)
            });
            let config = SgdConfig::new().with_momentum(momentum);
            let decay = Some(WeightDecayConfig::new(training.weight_decay as f32));
            ModuleOptimizer::from(config.clone().with_weight_decay(decay).build()).with_group(
                undecayed,
                config.build(),
                None,
            )
        }
        OptimizerSpec::Adamw { beta1, beta2, epsilon } => {
            let config = AdamWConfig::new()
                .with_beta_1(*beta1 as f32)
                .with_beta_2(*beta2 as f32)
                .with_epsilon(*epsilon as f32)
                .with_weight_decay(0.0);
            ModuleOptimizer::from(
                config.clone().with_weight_decay(training.weight_decay as f32).build(),
            )
            .with_group(undecayed, config.build(), None)
        }
    }
}

/// Parameters of rank one.
fn vectors<M: Module>(module: &M) -> Vec<ParamId> {
    struct Visitor(Vec<ParamId>);

    impl ModuleVisitor for Visitor {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if D == 1 {
                self.0.push(param.id);
            }
        }
    }

    let mut visitor = Visitor(Vec::new());
    module.visit(&mut visitor);
    visitor.0
}

/// Euclidean norm of the whole gradient.
///
/// Sums go over one dimension first: burn splits the sum of a whole large tensor by the number of
/// threads, and the norm must not depend on that.
pub(crate) fn gradient_norm<M: Module>(module: &M, gradients: &GradientsParams) -> f64 {
    struct Visitor<'a> {
        gradients: &'a GradientsParams,
        squares: Vec<Tensor<1>>,
    }

    impl ModuleVisitor for Visitor<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(gradient) = self.gradients.get::<D>(param.id) {
                self.squares.push(gradient.square().sum_dim(0).sum());
            }
        }
    }

    let mut visitor = Visitor { gradients, squares: Vec::new() };
    module.visit(&mut visitor);
    if visitor.squares.is_empty() {
        return 0.0;
    }
    let squares = Tensor::cat(visitor.squares, 0).into_data().convert::<f32>();
    squares.iter::<f32>().map(f64::from).sum::<f64>().sqrt()
}

/// The gradients times `factor`.
pub(crate) fn scale_gradients<M: Module>(
    module: &M,
    gradients: GradientsParams,
    factor: f64,
) -> GradientsParams {
    struct Visitor {
        old: GradientsParams,
        scaled: GradientsParams,
        factor: f64,
    }

    impl ModuleVisitor for Visitor {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(gradient) = self.old.remove::<D>(param.id) {
                self.scaled.register(param.id, gradient.mul_scalar(self.factor));
            }
        }
    }

    let mut visitor = Visitor { old: gradients, scaled: GradientsParams::new(), factor };
    module.visit(&mut visitor);
    visitor.scaled
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::nn::{Linear, LinearConfig};
    use burn::tensor::Device;
    use record::{Budget, ScheduleSpec, SiteStatistics};

    fn training(optimizer: OptimizerSpec) -> TrainingSpec {
        TrainingSpec {
            batch_size: 1,
            budget: Budget::Steps(1),
            optimizer,
            learning_rate: 0.1,
            weight_decay: 0.5,
            schedule: ScheduleSpec::Constant,
            warmup: 0.0,
            label_smoothing: 0.0,
            clip_norm: None,
            evaluate_every: None,
            target_accuracy: None,
            site_statistics: SiteStatistics::default(),
        }
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
        for optimizer_spec in [
            OptimizerSpec::Sgd { momentum: 0.9, nesterov: false },
            OptimizerSpec::Adamw { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
        ] {
            let layer = layer();
            let mut optimizer = optimizer(&training(optimizer_spec), &layer);
            let gradients = gradients(&layer, 0.0);
            let layer = optimizer.step(0.1, layer, gradients);
            // 1 − 0.1 · 0.5 of each weight, all of the bias.
            assert_eq!(numbers(&layer), [0.95, 1.9, 3.0]);
        }
    }

    #[test]
    fn momentum_has_no_dampening() {
        let spec = OptimizerSpec::Sgd { momentum: 0.5, nesterov: false };
        let mut layer = layer();
        let mut rule = optimizer(&TrainingSpec { weight_decay: 0.0, ..training(spec) }, &layer);
        for _ in 0..2 {
            let gradients = gradients(&layer, 1.0);
            layer = rule.step(0.1, layer, gradients);
        }
        // Velocities 1 and 1.5.
        let expected = [0.75, 1.75, 2.75];
        for (number, expected) in numbers(&layer).iter().zip(expected) {
            assert!((number - expected).abs() < 1e-6, "{number}");
        }
    }

    #[test]
    fn the_norm_is_of_the_whole_gradient_and_scales() {
        let layer = layer();
        let gradients = gradients(&layer, 2.0);
        assert!((gradient_norm(&layer, &gradients) - 12_f64.sqrt()).abs() < 1e-6);
        let scaled = scale_gradients(&layer, gradients, 0.5);
        assert!((gradient_norm(&layer, &scaled) - 3_f64.sqrt()).abs() < 1e-6);
    }
}
