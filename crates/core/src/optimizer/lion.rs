use super::{Parameter, Rates, State, UpdateRule, fraction};
use crate::Error;
use crate::component::{Definition, check_all};
use burn::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Steps of one size in the direction of the sign of the momentum, with decoupled weight decay (Chen et al. 2023).
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lion {
    /// Part of the momentum in the direction of a step; the rest is the gradient.
    #[serde(default = "beta1")]
    pub beta1: f64,
    /// Decay of the momentum.
    #[serde(default = "beta2")]
    pub beta2: f64,
}

fn beta1() -> f64 {
    0.9
}

fn beta2() -> f64 {
    0.99
}

impl Definition for Lion {
    const NAME: &'static str = "lion";
    const ABOUT: &'static str = "sign of the momentum, with decoupled weight decay";
    const CITATION: &'static str = "Chen et al. 2023, arXiv:2302.06675, program 1";

    fn check(&self) -> Result<(), Error> {
        check_all([
            ("beta1", fraction(self.beta1), "must be at least 0 and below 1"),
            ("beta2", fraction(self.beta2), "must be at least 0 and below 1"),
        ])
    }

    fn words(&self) -> String {
        format!("Lion, β₁ {}, β₂ {}", self.beta1, self.beta2)
    }
}

impl UpdateRule for Lion {
    /// The momentum.
    fn states(&self, _: &Parameter<'_>) -> usize {
        1
    }

    fn update(
        &self,
        _: &Parameter<'_>,
        rates: Rates,
        value: Tensor<1>,
        gradient: Tensor<1>,
        state: &mut State,
    ) -> Tensor<1> {
        let gradient = gradient * rates.gradient_scale;
        let momentum = state.tensors.pop().unwrap_or_else(|| value.zeros_like());
        let direction = momentum.clone() * self.beta1 + gradient.clone() * (1.0 - self.beta1);
        state.tensors.push(momentum * self.beta2 + gradient * (1.0 - self.beta2));
        value * (1.0 - rates.learning_rate * rates.weight_decay)
            - direction.sign() * rates.learning_rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optimizer::tests::trajectory;

    /// Program 1 of the paper in double precision, three steps from (1, −2) with learning rate 0.1, weight decay 0.5
    /// and the gradients (1, −3), (−4, 0.01), (0.5, 2).
    #[test]
    fn agrees_with_the_paper() {
        let rates = Rates { learning_rate: 0.1, gradient_scale: 1.0, weight_decay: 0.5 };
        let gradients = [[1.0_f32, -3.0], [-4.0, 0.01], [0.5, 2.0]];
        let seen =
            trajectory(&Lion { beta1: 0.9, beta2: 0.99 }, rates, &[2], [1.0, -2.0], &gradients);
        let (mut p, mut m) = ([1.0_f64, -2.0], [0.0_f64; 2]);
        for (gradient, seen) in gradients.iter().zip(seen) {
            for i in 0..2 {
                let c = 0.9 * m[i] + 0.1 * f64::from(gradient[i]);
                p[i] -= 0.1 * (c.signum() + 0.5 * p[i]);
                m[i] = 0.99 * m[i] + 0.01 * f64::from(gradient[i]);
                assert!((f64::from(seen[i]) - p[i]).abs() < 1e-6, "{seen:?} {p:?}");
            }
        }
        // By hand: 1 − 0.1 · (1 + 0.5 · 1), then 0.85 − 0.1 · (−1 + 0.425), and 0.9075 − 0.1 · (1 + 0.45375).
        assert!((p[0] - 0.762_125).abs() < 1e-9, "{p:?}");
    }
}
