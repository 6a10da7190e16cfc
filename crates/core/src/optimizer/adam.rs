use super::adamw::{self, AdamW};
use super::{Parameter, Rates, State, UpdateRule};
use crate::Error;
use crate::component::Definition;
use burn::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Adam; weight decay is added to the gradient (Kingma and Ba 2015).
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Adam {
    /// Decay of the first moment.
    #[serde(default = "adamw::beta1")]
    pub beta1: f64,
    /// Decay of the second moment.
    #[serde(default = "adamw::beta2")]
    pub beta2: f64,
    /// Added to the denominator.
    #[serde(default = "adamw::epsilon")]
    pub epsilon: f64,
}

impl Definition for Adam {
    const NAME: &'static str = "adam";
    const ABOUT: &'static str = "Adam; weight decay is added to the gradient";
    const CITATION: &'static str = "Kingma and Ba 2015, arXiv:1412.6980, algorithm 1";

    fn check(&self) -> Result<(), Error> {
        AdamW::check_moments(self.beta1, self.beta2, self.epsilon)
    }

    fn words(&self) -> String {
        let Self { beta1, beta2, epsilon } = self;
        format!("Adam, β₁ {beta1}, β₂ {beta2}, ε {epsilon:e}")
    }
}

impl UpdateRule for Adam {
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
        let (coupled_decay, rates) = (rates.weight_decay, Rates { weight_decay: 0.0, ..rates });
        let Self { beta1, beta2, epsilon } = *self;
        AdamW { beta1, beta2, epsilon }.step(rates, coupled_decay, value, gradient, state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optimizer::tests::trajectory;

    /// `torch.optim.Adam(lr=0.1, weight_decay=0.5)` of PyTorch 2.15 in double precision, from (1, −2).
    #[test]
    fn agrees_with_pytorch() {
        let rates = Rates { learning_rate: 0.1, gradient_scale: 1.0, weight_decay: 0.5 };
        let adam = Adam { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };
        let gradients = [[1.0, -3.0], [-4.0, 0.01], [0.5, 2.0]];
        let seen = trajectory(&adam, rates, &[2], [1.0, -2.0], &gradients);
        for (seen, expected) in seen.iter().zip(PYTORCH) {
            for (seen, expected) in seen.iter().zip(expected) {
                assert!((f64::from(*seen) - expected).abs() < 1e-6, "{seen:?} {expected:?}");
            }
        }
    }

    /// Printed by `scripts/optimizer_references.py`.
    const PYTORCH: [[f64; 2]; 3] = [
        [0.900_000_000_667, -1.900_000_000_25],
        [0.942_482_356_554, -1.817_741_270_14],
        [0.958_705_154_57, -1.772_699_198_54],
    ];
}
