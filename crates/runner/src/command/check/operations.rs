//! Operations of training on a device against the same on the CPU, whose kernels have tests of their own: values and
//! gradients, for sizes that no tile, vector or part of a sum divides, and for sizes that all of them divide.

use crate::Error;
use crate::guard::guarded;
use activation::conformance::Check;
use activation::{Activation, ActivationRequest};
use actlab_core::stream::Stream;
use actlab_kernels::{self as kernels, AdamW, Dropout, Seen, Sequences, Sgd, Squares, UpdateGroup};
use burn::Tensor;
use burn::tensor::{Device, Gradients, Int, TensorData};
use std::sync::Arc;

/// Largest difference, relative to the largest number of a tensor: the CPU and a device add in other orders.
const TOLERANCE: f64 = 1e-4;

/// Added to variances.
const EPSILON: f64 = 1e-5;

/// What one of the cases of an operation gives: numbers of results, and of gradients by its inputs.
type Results = Vec<Vec<f64>>;

/// An operation at some sizes.
struct Operation {
    name: &'static str,
    cases: Vec<Case>,
}

type Case = Box<dyn Fn(&mut Inputs) -> Results>;

impl Operation {
    /// One whose cases are of `sizes`.
    fn new<S: Copy + 'static>(
        name: &'static str,
        sizes: &[S],
        run: impl Fn(&mut Inputs, S) -> Results + Copy + 'static,
    ) -> Self {
        let case = |size: &S| -> Case {
            let size = *size;
            Box::new(move |inputs| run(inputs, size))
        };
        Self { name, cases: sizes.iter().map(case).collect() }
    }

    fn check(&self, device: &Device) -> Result<(), String> {
        for (place, case) in self.cases.iter().enumerate() {
            let on = |device: &Device| guarded(|| case(&mut Inputs::new(device, place as u64)));
            let (expected, found) = (on(&Device::flex())?, on(device)?);
            for (i, (expected, found)) in expected.iter().zip(&found).enumerate() {
                near(expected, found)
                    .map_err(|reason| format!("size {place}, result {i} {reason}"))?;
            }
        }
        Ok(())
    }
}

/// Whether numbers are those that the CPU gives.
fn near(expected: &[f64], found: &[f64]) -> Result<(), String> {
    if expected.len() != found.len() {
        return Err(format!("has {} numbers, {} on the CPU", found.len(), expected.len()));
    }
    let largest = expected.iter().fold(0.1_f64, |largest, x| largest.max(x.abs()));
    let pairs = expected.iter().zip(found).enumerate();
    for (place, (expected, found)) in pairs {
        let error = (found - expected).abs() / largest;
        if error.is_nan() || error > TOLERANCE {
            return Err(format!(
                "at {place} is {found}, {expected} on the CPU ({error:.1e} of the largest)"
            ));
        }
    }
    Ok(())
}

/// Makes the inputs of a case, the same numbers on every device, and remembers whose gradients are asked for.
struct Inputs {
    device: Device,
    stream: Stream,
    gradients: Vec<Gradient>,
}

/// The numbers of the gradient by one input.
type Gradient = Box<dyn Fn(&Gradients) -> Option<Vec<f64>>>;

impl Inputs {
    fn new(device: &Device, seed: u64) -> Self {
        let stream = Stream::new(seed, "operations");
        Self { device: device.clone().autodiff(), stream, gradients: Vec::new() }
    }

    /// Numbers up to `bound`, whose gradient is asked for.
    fn tensor<const D: usize>(&mut self, shape: [usize; D], bound: f64) -> Tensor<D> {
        let x = self.fixed(shape, bound).require_grad();
        let leaf = x.clone();
        self.gradients.push(Box::new(move |gradients| leaf.grad(gradients).map(numbers)));
        x
    }

    /// Numbers up to `bound`.
    fn fixed<const D: usize>(&mut self, shape: [usize; D], bound: f64) -> Tensor<D> {
        let numbers = self.stream.uniform(shape.iter().product(), bound);
        Tensor::from_data(TensorData::new(numbers, shape), &self.device)
    }

    /// Whole numbers below `end`.
    fn indices(&mut self, count: usize, end: usize) -> Tensor<1, Int> {
        #[expect(clippy::cast_possible_wrap, reason = "they are small")]
        let indices: Vec<i64> = (0..count).map(|_| self.stream.below(end) as i64).collect();
        Tensor::from_data(TensorData::new(indices, [count]), &self.device)
    }

    /// The numbers of `y` and of `others`, and of the gradients by all inputs, for some gradient by `y`.
    fn results<const D: usize>(&mut self, y: Tensor<D>, others: Vec<Tensor<1>>) -> Results {
        let upstream = self.fixed(y.dims(), 1.0);
        let gradients = kernels::with_gradient(y.clone(), upstream.inner()).backward();
        let mut results = vec![numbers(y.inner())];
        results.extend(others.into_iter().map(numbers));
        results.extend(self.gradients.iter().map(|of| of(&gradients).unwrap_or_default()));
        results
    }
}

fn numbers<const D: usize>(x: Tensor<D>) -> Vec<f64> {
    x.into_data().iter::<f64>().collect()
}

/// Compares every operation.
pub(super) fn check(device: &Device) -> Result<Vec<Check>, Error> {
    let all = [images(), texts(), rows(), vec![updates(), squares()]].into_iter().flatten();
    let learned = learned()?;
    let check =
        |operation: Operation| Check { name: operation.name, outcome: operation.check(device) };
    Ok(all.chain(learned).map(check).collect())
}

/// Batch, rows, columns and channels.
const IMAGES: [[usize; 4]; 4] = [[3, 5, 4, 7], [2, 9, 7, 18], [4, 8, 8, 16], [17, 6, 5, 33]];

fn images() -> Vec<Operation> {
    // Image, channels of the result, kernel, stride.
    let convolutions = [
        ([3, 5, 4, 7], 18, 3, 1),
        ([3, 5, 4, 7], 5, 3, 2),
        ([2, 9, 8, 3], 16, 3, 1),
        ([5, 7, 7, 20], 33, 1, 2),
        ([2, 11, 5, 6], 9, 5, 3),
        ([8, 16, 16, 16], 32, 3, 2),
        ([9, 8, 8, 64], 64, 3, 1),
    ];
    vec![
        Operation::new("convolution", &convolutions, |inputs, (image, output, kernel, stride)| {
            let x = inputs.tensor(image, 1.0);
            let weight = inputs.tensor([output, image[3], kernel, kernel], 1.0);
            inputs.results(kernels::convolution(x, weight, stride), Vec::new())
        }),
        Operation::new("batch norm in training", &IMAGES, |inputs, image| {
            let x = inputs.tensor(image, 3.0);
            let (gamma, beta) = (inputs.tensor([image[3]], 2.0), inputs.tensor([image[3]], 2.0));
            let residual = Some(inputs.tensor(image, 2.0));
            let norm = kernels::batch_norm_training(x, gamma, beta, EPSILON, residual, None, None);
            inputs.results(norm.output, vec![norm.mean, norm.variance])
        }),
        Operation::new("batch norm at inference", &IMAGES, |inputs, image| {
            let x = inputs.tensor(image, 3.0);
            let mut vector = || inputs.fixed([image[3]], 2.0);
            let (affine, mean, variance) = ([vector(), vector()], vector(), vector().abs());
            let y = kernels::batch_norm_inference(x, affine, [mean, variance], 0.1, None, None);
            inputs.results(y, Vec::new())
        }),
        Operation::new("shortcut", &IMAGES, |inputs, image| {
            let x = inputs.tensor(image, 2.0);
            inputs.results(kernels::shortcut(x, 2, image[3] + 9), Vec::new())
        }),
        Operation::new("means of pixels", &IMAGES, |inputs, image| {
            let x = inputs.tensor(image, 2.0);
            inputs.results(kernels::pixel_means(x), Vec::new())
        }),
    ]
}

/// Sequences of other lengths, one of them without a token; of one length; and one that is computed in parts.
const LENGTHS: [&[usize]; 4] = [&[5, 2, 0, 3], &[33, 1, 30, 7, 12], &[16; 6], &[1100]];

fn texts() -> Vec<Operation> {
    let attention = |inputs: &mut Inputs, lengths: &[usize], seen: Seen, p: Option<f64>| {
        let sequences = Sequences::new(lengths.iter().copied());
        let x = inputs.tensor([sequences.rows(), 3 * 2 * 12], 1.0);
        let dropout = p.map(|p| Dropout { key: 5, draw: 7, p, first: 1 });
        inputs.results(kernels::attention(x, 2, &sequences, seen, dropout), Vec::new())
    };
    vec![
        Operation::new("attention", &LENGTHS, move |inputs, lengths| {
            attention(inputs, lengths, Seen::All, None)
        }),
        Operation::new("attention, causal, with dropout", &LENGTHS, move |inputs, lengths| {
            attention(inputs, lengths, Seen::Earlier, Some(0.25))
        }),
        Operation::new("dropout", &LENGTHS, |inputs, lengths| {
            let sequences = Sequences::new(lengths.iter().copied());
            let x = inputs.tensor([sequences.rows(), 37], 2.0);
            let dropout = Dropout { key: 3, draw: 11, p: 0.3, first: 2 };
            inputs.results(kernels::dropout(x, &sequences, dropout), Vec::new())
        }),
        Operation::new("rotary positions", &LENGTHS, |inputs, lengths| {
            let sequences = Sequences::new(lengths.iter().copied());
            let x = inputs.tensor([sequences.rows(), 3 * 3 * 10], 2.0);
            inputs.results(kernels::rotary(x, 3, &sequences), Vec::new())
        }),
        Operation::new(
            "embedding",
            &[[6, 7, 20], [1003, 71, 517], [50, 64, 256]],
            |inputs, sizes| {
                let [entries, width, rows] = sizes;
                let weight = inputs.tensor([entries, width], 2.0);
                let tokens = inputs.indices(rows, entries);
                inputs.results(kernels::embedding(weight, tokens), Vec::new())
            },
        ),
    ]
}

/// Rows and columns.
const ROWS: [[usize; 2]; 5] = [[1, 1], [5, 19], [101, 67], [64, 256], [37, 1301]];

fn rows() -> Vec<Operation> {
    // Rows, columns that are read, columns that are written.
    let products =
        [[5, 7, 18], [1, 33, 1], [301, 131, 97], [97, 1301, 33], [1301, 67, 100], [256, 64, 192]];
    vec![
        Operation::new("linear layer", &products, |inputs, [rows, input, output]| {
            let (x, weight) =
                (inputs.tensor([rows, input], 1.0), inputs.tensor([input, output], 1.0));
            let bias = Some(inputs.tensor([output], 1.0));
            inputs.results(kernels::linear(x, weight, bias), Vec::new())
        }),
        Operation::new("three linear layers", &products, |inputs, [rows, input, output]| {
            let x = inputs.tensor([rows, input], 1.0);
            let weights = std::array::from_fn(|_| inputs.tensor([input, output], 1.0));
            let biases = std::array::from_fn(|_| inputs.tensor([output], 1.0));
            inputs.results(kernels::linear_three(x, weights, biases), Vec::new())
        }),
        Operation::new("softmax", &ROWS, |inputs, sizes| {
            let x = inputs.tensor(sizes, 30.0);
            inputs.results(kernels::softmax(x), Vec::new())
        }),
        Operation::new("layer norm", &ROWS[1..], |inputs, sizes| {
            let (x, residual) = (inputs.tensor(sizes, 3.0), inputs.tensor(sizes, 1.0));
            let (gamma, beta) = (inputs.tensor([sizes[1]], 2.0), inputs.tensor([sizes[1]], 2.0));
            let y = kernels::layer_norm(x, Some(residual), gamma, beta, EPSILON);
            inputs.results(y, Vec::new())
        }),
        Operation::new("cross-entropy", &ROWS, |inputs, [rows, outputs]| {
            let logits = inputs.tensor([rows, outputs], 20.0);
            let labels = inputs.indices(rows, outputs);
            inputs.results(kernels::cross_entropy(logits, labels, 0.1), Vec::new())
        }),
        Operation::new("mean", &ROWS, |inputs, [rows, columns]| {
            let x = inputs.tensor([rows * columns], 2.0);
            inputs.results(kernels::mean(x), Vec::new())
        }),
        Operation::new("sum with a row", &ROWS, |inputs, sizes| {
            let (x, row) = (inputs.tensor(sizes, 2.0), inputs.tensor([sizes[1]], 2.0));
            inputs.results(kernels::plus_row(x, row), Vec::new())
        }),
    ]
}

/// Activations that learn, by one number and by one for each channel.
fn learned() -> Result<Vec<Operation>, Error> {
    let build = |text: &str| -> Result<Arc<Activation>, Error> {
        Ok(activation::build(&text.parse::<ActivationRequest>()?)?)
    };
    let operation = |name, f: Arc<Activation>, inputs_of_f: usize, count: usize| {
        let case = |per_channel: bool, [rows, width]: [usize; 2]| -> Case {
            let f = Arc::clone(&f);
            Box::new(move |inputs| {
                let x = inputs.tensor([rows, inputs_of_f * width], 4.0);
                let learned = inputs.tensor([count, if per_channel { width } else { 1 }], 1.0);
                inputs.results(kernels::learned(&f, inputs_of_f, x, learned), Vec::new())
            })
        };
        let cases = ROWS.iter().flat_map(|sizes| [case(false, *sizes), case(true, *sizes)]);
        Operation { name, cases: cases.collect() }
    };
    let swish = build("x * sigmoid(beta * x) + shift where beta=1, shift=0, learn=all")?;
    let gated = build("gate * sigmoid(beta * gate) * value where beta=1, learn=all")?;
    Ok(vec![
        operation("an activation that learns", swish, 1, 2),
        operation("a gated activation that learns", gated, 2, 1),
    ])
}

/// Sizes of parameters: more of them than one kernel takes, of one part and of several.
fn parameters() -> impl Iterator<Item = usize> {
    (1..=20).map(|i| 13 * i * i).chain([8192, 70_003, 1_100_001])
}

/// What the gradients of all parameters are clipped to: a fifth of it, about.
const LARGEST_NORM: f64 = 130.0;

fn updates() -> Operation {
    Operation::new("clipping and updates of parameters", &[0.0, 0.9], |inputs, momentum| {
        let gradients: Vec<_> =
            parameters().map(|size| inputs.fixed([size], 1.0).inner()).collect();
        let mut squares = Squares::default();
        gradients.iter().for_each(|gradient| squares.push(gradient.clone()));
        let squares = squares.sums();
        // A GPU clips without telling the norm.
        let clip = squares.clip_factor(LARGEST_NORM);
        let gradient_scale = match clip {
            Some(_) => 1.0,
            None => LARGEST_NORM / squares.numbers(&[]).iter().sum::<f64>().sqrt(),
        };
        let group = UpdateGroup::begin(clip.as_ref());
        let mut tensors = Vec::new();
        for gradient in gradients {
            let size = gradient.dims();
            let mut vector = || inputs.fixed(size, 1.0).inner();
            let parameter = vector();
            let mut velocity = (momentum > 0.0).then(&mut vector);
            let mut moments = Some([vector(), vector().abs()]);
            let sgd = Sgd {
                learning_rate: 0.1,
                gradient_scale,
                momentum,
                nesterov: momentum > 0.0,
                weight_decay: 5e-4,
            };
            let adamw = AdamW {
                learning_rate: 0.01,
                gradient_scale,
                beta1: 0.9,
                beta2: 0.999,
                epsilon: 1e-8,
                weight_decay: 0.01,
                coupled_decay: 0.02,
                step: 3,
            };
            tensors.push(sgd.step(parameter.clone(), gradient.clone(), &mut velocity));
            tensors.push(adamw.step(parameter, gradient, &mut moments));
            tensors.extend(velocity.into_iter().chain(moments.into_iter().flatten()));
        }
        drop(group);
        tensors.into_iter().map(numbers).collect()
    })
}

fn squares() -> Operation {
    Operation::new("sums of squares", &[()], |inputs, ()| {
        let mut squares = Squares::default();
        for size in parameters() {
            squares.push(inputs.fixed([size], 1.0).inner());
        }
        let sums = squares.sums();
        let read = sums.on_device().map(|sums| numbers(sums.clone())).unwrap_or_default();
        // One result each: the largest is far larger than the others.
        sums.numbers(&read).into_iter().map(|sum| vec![sum]).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The CPU agrees with itself, and a wrong number is named.
    #[test]
    fn what_differs_is_named() {
        let checks = check(&Device::flex()).unwrap();
        assert!(checks.len() > 20);
        for Check { name, outcome } in checks {
            assert_eq!(outcome, Ok(()), "{name}");
        }
        assert_eq!(near(&[1.0, -200.0], &[1.01, -200.0]), Ok(()));
        let reason = near(&[1.0, -2.0], &[1.0, -2.1]).unwrap_err();
        assert_eq!(reason, "at 1 is -2.1, -2 on the CPU (5.0e-2 of the largest)");
        assert!(near(&[1.0], &[f64::NAN]).is_err());
        assert_eq!(near(&[1.0], &[]).unwrap_err(), "has 0 numbers, 1 on the CPU");
    }
}
