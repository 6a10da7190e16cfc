use super::adamw::{self, AdamW};
use super::{Parameter, Rates, State, UpdateRule, fraction};
use crate::Error;
use crate::component::{Definition, check_all};
use crate::pattern;
use actlab_kernels::{Squares, linear};
use burn::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Orthogonalised momentum for matrices between hidden layers (Jordan et al. 2024); AdamW for everything else.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Muon {
    /// Decay of the momentum.
    #[serde(default = "momentum")]
    pub momentum: f64,
    /// Nesterov's form.
    #[serde(default = "nesterov")]
    pub nesterov: bool,
    /// Steps of Newton and Schulz's iteration, which orthogonalises the momentum.
    #[serde(default = "iterations")]
    pub iterations: usize,
    /// How a matrix's learning rate follows from its shape.
    #[serde(default)]
    pub scale: Scale,
    /// Names of parameters that AdamW updates though they are matrices: those of embeddings and heads. A `*` stands
    /// for any characters.
    #[serde(default = "adamw_parameters")]
    pub adamw_parameters: Vec<String>,
    /// Decay of AdamW's first moment.
    #[serde(default = "adamw::beta1")]
    pub beta1: f64,
    /// Decay of AdamW's second moment.
    #[serde(default = "adamw::beta2")]
    pub beta2: f64,
    /// Added to the denominator of AdamW.
    #[serde(default = "adamw::epsilon")]
    pub epsilon: f64,
}

/// How the learning rate of a matrix with `outputs` and `inputs` follows from its shape.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// 0.2 · √max(outputs, inputs) times the learning rate: steps are as large as those of AdamW, so that both may
    /// share a learning rate (Liu et al. 2025, arXiv:2502.16982).
    #[default]
    MatchAdamw,
    /// √max(1, outputs / inputs) times the learning rate (Jordan et al. 2024).
    Original,
}

fn momentum() -> f64 {
    0.95
}

fn nesterov() -> bool {
    true
}

fn iterations() -> usize {
    5
}

fn adamw_parameters() -> Vec<String> {
    ["embeddings.*", "head.*", "tokens.*"].map(str::to_owned).to_vec()
}

/// Coefficients of the quintic iteration X ← aX + (bA + cA²)X with A = XXᵀ, which brings every singular value near 1.
const QUINTIC: (f64, f64, f64) = (3.4445, -4.7750, 2.0315);

/// Added to the norm that a matrix is divided by first.
const NORM_EPSILON: f64 = 1e-7;

impl Definition for Muon {
    const NAME: &'static str = "muon";
    const ABOUT: &'static str = "orthogonalised momentum for matrices, AdamW for everything else";
    const CITATION: &'static str = "Jordan et al. 2024, https://kellerjordan.github.io/posts/muon; Liu et al. 2025, arXiv:2502.16982";

    fn check(&self) -> Result<(), Error> {
        AdamW::check_moments(self.beta1, self.beta2, self.epsilon)?;
        let iterations = (1..=100).contains(&self.iterations);
        check_all([
            ("momentum", fraction(self.momentum), "must be at least 0 and below 1"),
            ("iterations", iterations, "must be from 1 to 100"),
        ])
    }

    fn words(&self) -> String {
        let Self { momentum, iterations, .. } = self;
        format!("Muon, momentum {momentum}, {iterations} iterations; AdamW for other parameters")
    }
}

impl Muon {
    fn adamw(&self) -> AdamW {
        AdamW { beta1: self.beta1, beta2: self.beta2, epsilon: self.epsilon }
    }

    /// Outputs and inputs of the matrix that `parameter` is, where it is one for Muon. A convolution's weights are one
    /// with a row for each output channel.
    fn matrix(&self, parameter: &Parameter<'_>) -> Option<Matrix> {
        if self.adamw_parameters.iter().any(|own| pattern::matches(own, parameter.path)) {
            return None;
        }
        match *parameter.shape {
            // Linear layers hold [inputs, outputs].
            [inputs, outputs] => Some(Matrix { rows: inputs, columns: outputs, outputs, inputs }),
            [outputs, ref rest @ ..] if rest.len() == 3 => {
                let inputs = rest.iter().product();
                Some(Matrix { rows: outputs, columns: inputs, outputs, inputs })
            }
            _ => None,
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "widths are small")]
    fn rate(&self, matrix: Matrix) -> f64 {
        let (outputs, inputs) = (matrix.outputs as f64, matrix.inputs as f64);
        match self.scale {
            Scale::MatchAdamw => 0.2 * outputs.max(inputs).sqrt(),
            Scale::Original => (outputs / inputs).max(1.0).sqrt(),
        }
    }
}

/// A parameter as a matrix, as it lies in memory, and what it maps.
#[derive(Debug, Clone, Copy)]
struct Matrix {
    rows: usize,
    columns: usize,
    outputs: usize,
    inputs: usize,
}

impl UpdateRule for Muon {
    /// The momentum of a matrix; the two moments of another parameter.
    fn states(&self, parameter: &Parameter<'_>) -> usize {
        if self.matrix(parameter).is_some() { 1 } else { 2 }
    }

    fn update(
        &self,
        parameter: &Parameter<'_>,
        rates: Rates,
        value: Tensor<1>,
        gradient: Tensor<1>,
        state: &mut State,
    ) -> Tensor<1> {
        let Some(matrix) = self.matrix(parameter) else {
            return self.adamw().step(rates, 0.0, value, gradient, state);
        };
        let gradient = gradient * rates.gradient_scale;
        let old = state.tensors.pop().unwrap_or_else(|| value.zeros_like());
        let momentum = old * self.momentum + gradient.clone() * (1.0 - self.momentum);
        state.tensors.push(momentum.clone());
        let direction = if self.nesterov {
            gradient * (1.0 - self.momentum) + momentum * self.momentum
        } else {
            momentum
        };
        let shape = value.dims();
        let direction = direction.reshape([matrix.rows, matrix.columns]);
        let direction = orthogonalised(direction, self.iterations).reshape(shape);
        value * (1.0 - rates.learning_rate * rates.weight_decay)
            - direction * (rates.learning_rate * self.rate(matrix))
    }
}

/// A matrix with the singular vectors of `x`, and singular values near 1 in place of its own.
fn orthogonalised(x: Tensor<2>, iterations: usize) -> Tensor<2> {
    let [rows, columns] = x.dims();
    let tall = rows > columns;
    let mut x = if tall { x.transpose() } else { x };
    let mut squares = Squares::default();
    squares.push(x.clone());
    let squares = squares.sums();
    x = match squares.on_device() {
        Some(sum) => x / (sum.clone().sqrt() + NORM_EPSILON).reshape([1, 1]),
        None => x / (squares.numbers(&[])[0].sqrt() + NORM_EPSILON),
    };
    let (a, b, c) = QUINTIC;
    for _ in 0..iterations {
        let gram = linear(x.clone(), x.clone().transpose(), None);
        let polynomial = gram.clone() * b + linear(gram.clone(), gram, None) * c;
        x = x.clone() * a + linear(polynomial, x, None);
    }
    if tall { x.transpose() } else { x }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optimizer::tests::trajectory;
    use crate::stream::Stream;
    use burn::tensor::Device;

    fn muon() -> Muon {
        serde_json::from_str("{}").unwrap()
    }

    /// Singular values end between 0.68 and 1.14 (Jordan et al. 2024, figure of φ after five steps), whatever they were.
    #[test]
    fn singular_values_end_near_one() {
        for [rows, columns] in [[3, 5], [5, 3], [16, 16]] {
            let numbers = Stream::new(1, "muon").normal(rows * columns, 3.0);
            let x = Tensor::<1>::from_floats(numbers.as_slice(), &Device::flex());
            let y = orthogonalised(x.reshape([rows, columns]), 5);
            let short = if rows > columns {
                y.clone().transpose().matmul(y)
            } else {
                y.clone().matmul(y.transpose())
            };
            // The trace of the Gram matrix is the sum of squares of the singular values.
            let n = rows.min(columns);
            let gram: Vec<f32> = short.into_data().iter::<f32>().collect();
            let trace: f32 = (0..n).map(|i| gram[i * n + i]).sum();
            let mean = f64::from(trace) / n as f64;
            assert!((0.4..1.4).contains(&mean), "{mean}");
        }
    }

    /// `torch.optim.Muon(lr=0.1, weight_decay=0.5, adjust_lr_fn="match_rms_adamw")` of PyTorch, whose iteration is in
    /// bfloat16: two digits agree.
    #[test]
    fn agrees_with_pytorch() {
        let rates = Rates { learning_rate: 0.1, gradient_scale: 1.0, weight_decay: 0.5 };
        // PyTorch's weights are [outputs, inputs]: these are transposed.
        let gradients = [[0.5, -1.0, 2.0, 0.25, 1.5, -0.75], [1.0, 0.5, -0.5, 2.0, -1.0, 0.1]];
        let start = [0.1, 0.2, 0.3, -0.4, 0.5, -0.6];
        let seen = trajectory(&muon(), rates, &[2, 3], start, &gradients);
        for (seen, expected) in seen.iter().zip(PYTORCH) {
            for (seen, expected) in seen.iter().zip(expected) {
                assert!((f64::from(*seen) - expected).abs() < 2e-3, "{seen:?} {expected:?}");
            }
        }
    }

    /// Printed by `scripts/optimizer_references.py`.
    const PYTORCH: [[f64; 6]; 2] = [
        [0.082_280, 0.188_342, 0.257_801, -0.394_344, 0.443_742, -0.574_668],
        [0.064_905, 0.172_904, 0.225_561, -0.395_736, 0.427_881, -0.534_907],
    ];

    #[test]
    fn embeddings_heads_norms_and_biases_are_adamw_s() {
        let rule = muon();
        let states = |path, shape| rule.states(&Parameter { path, shape });
        assert_eq!(states("layers.0.attention.query.weight", &[4, 4]), 1);
        assert_eq!(states("stem_conv.weight", &[16, 3, 3, 3]), 1);
        for (path, shape) in [
            ("embeddings.token.weight", &[10, 4][..]),
            ("head.weight", &[4, 2]),
            ("layers.0.attention.query.bias", &[4]),
        ] {
            assert_eq!(states(path, shape), 2, "{path}");
        }
    }
}
