use super::{Parameter, Rates, State, UpdateRule, fraction};
use crate::Error;
use crate::component::{Definition, check_all};
use actlab_kernels as kernels;
use burn::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Stochastic gradient descent with momentum; weight decay is added to the gradient.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sgd {
    /// Momentum factor.
    #[serde(default = "momentum")]
    pub momentum: f64,
    /// Nesterov's form.
    #[serde(default)]
    pub nesterov: bool,
}

fn momentum() -> f64 {
    0.9
}

impl Definition for Sgd {
    const NAME: &'static str = "sgd";
    const ABOUT: &'static str = "stochastic gradient descent with momentum";
    const CITATION: &'static str = "Sutskever et al. 2013, ICML";

    fn check(&self) -> Result<(), Error> {
        let Self { momentum, nesterov } = *self;
        check_all([
            ("momentum", fraction(momentum), "must be at least 0 and below 1"),
            ("nesterov", !nesterov || momentum > 0.0, "needs a momentum above 0"),
        ])
    }

    fn words(&self) -> String {
        match (self.momentum, self.nesterov) {
            (0.0, _) => "SGD".to_owned(),
            (momentum, false) => format!("SGD, momentum {momentum}"),
            (momentum, true) => format!("SGD, Nesterov momentum {momentum}"),
        }
    }
}

impl UpdateRule for Sgd {
    /// The velocity; without momentum there is none.
    fn states(&self, _: &Parameter<'_>) -> usize {
        usize::from(self.momentum != 0.0)
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
        let rule = kernels::Sgd {
            learning_rate: rates.learning_rate,
            gradient_scale: rates.gradient_scale,
            weight_decay: rates.weight_decay,
            momentum: self.momentum,
            nesterov: self.nesterov,
        };
        let mut velocity = state.tensors.pop();
        let new = rule.step(value, gradient, &mut velocity);
        state.tensors.extend(velocity);
        new
    }
}
