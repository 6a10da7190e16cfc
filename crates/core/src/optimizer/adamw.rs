use super::{Parameter, Rates, State, UpdateRule, above_zero, fraction};
use crate::Error;
use crate::component::{Definition, check_all};
use actlab_kernels as kernels;
use burn::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Adam with decoupled weight decay (Loshchilov and Hutter 2019).
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AdamW {
    /// Decay of the first moment.
    #[serde(default = "beta1")]
    pub beta1: f64,
    /// Decay of the second moment.
    #[serde(default = "beta2")]
    pub beta2: f64,
    /// Added to the denominator.
    #[serde(default = "epsilon")]
    pub epsilon: f64,
}

pub(super) fn beta1() -> f64 {
    0.9
}

pub(super) fn beta2() -> f64 {
    0.999
}

pub(super) fn epsilon() -> f64 {
    1e-8
}

impl AdamW {
    /// Refuses moments that never move, and an ε that single precision does not have.
    pub(super) fn check_moments(beta1: f64, beta2: f64, epsilon: f64) -> Result<(), Error> {
        #[expect(clippy::cast_possible_truncation, reason = "the test is of this very cast")]
        let normal = (epsilon as f32).is_normal();
        check_all([
            ("beta1", fraction(beta1), "must be at least 0 and below 1"),
            ("beta2", fraction(beta2), "must be at least 0 and below 1"),
            ("epsilon", above_zero(epsilon) && normal, "must be a number above 1e-37"),
        ])
    }

    /// One step, to which the weight decay of `rates` is applied apart from the gradient, and `coupled_decay` in it.
    pub(super) fn step(
        &self,
        rates: Rates,
        coupled_decay: f64,
        value: Tensor<1>,
        gradient: Tensor<1>,
        state: &mut State,
    ) -> Tensor<1> {
        let rule = kernels::AdamW {
            learning_rate: rates.learning_rate,
            gradient_scale: rates.gradient_scale,
            weight_decay: rates.weight_decay,
            coupled_decay,
            beta1: self.beta1,
            beta2: self.beta2,
            epsilon: self.epsilon,
            step: state.steps,
        };
        let mut moments = <[Tensor<1>; 2]>::try_from(std::mem::take(&mut state.tensors)).ok();
        let new = rule.step(value, gradient, &mut moments);
        state.tensors.extend(moments.into_iter().flatten());
        new
    }
}

impl Definition for AdamW {
    const NAME: &'static str = "adamw";
    const ABOUT: &'static str = "Adam with decoupled weight decay";
    const CITATION: &'static str = "Loshchilov and Hutter 2019, arXiv:1711.05101";

    fn check(&self) -> Result<(), Error> {
        Self::check_moments(self.beta1, self.beta2, self.epsilon)
    }

    fn words(&self) -> String {
        let Self { beta1, beta2, epsilon } = self;
        format!("AdamW, β₁ {beta1}, β₂ {beta2}, ε {epsilon:e}")
    }
}

impl UpdateRule for AdamW {
    /// The first and the second moment.
    fn states(&self, _: &Parameter<'_>) -> usize {
        2
    }

    fn leaves_steps_alone(&self) -> bool {
        true
    }

    fn update(
        &self,
        _: &Parameter<'_>,
        rates: Rates,
        value: Tensor<1>,
        gradient: Tensor<1>,
        state: &mut State,
    ) -> Tensor<1> {
        self.step(rates, 0.0, value, gradient, state)
    }
}
