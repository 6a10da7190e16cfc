//! Rotary positions.

use crate::host::{Host, Operation, Values, record};
use burn::Tensor;
use burn::tensor::TensorData;
use std::sync::Arc;

/// Base of the angles' geometric sequence (Su et al. 2021, section 3.2.2).
const BASE: f64 = 10_000.0;

/// Turns queries and keys by angles that grow with their position (Su et al. 2021, arXiv:2104.09864).
///
/// `inputs` `[batch, tokens, 3 · heads · width]` holds queries, keys and values, as [`attention`](crate::attention)
/// takes them; values stay as they are. In each head the pair of numbers i and i + width / 2 is turned by
/// position · 10000^(−2i / width).
///
/// # Panics
/// If the width of a head is not even.
#[must_use]
pub fn rotary(inputs: Tensor<3>, heads: usize) -> Tensor<3> {
    let [_, tokens, joined] = inputs.dims();
    assert!(heads > 0 && joined % (6 * heads) == 0, "heads of one even width, three times");
    let width = joined / 3 / heads;
    let turn = Turn { tokens, heads, width, angles: Arc::new(angles(tokens, width)) };
    let Some(host) = Host::of(&inputs) else { return turn.plain(inputs) };
    let y = turn.turned(host.values(), 1.0);
    record([host], y, || turn).into_tensor()
}

/// Cosine and sine of each position and pair, `[tokens, width / 2]`.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "widths are small"
)]
fn angles(tokens: usize, width: usize) -> Vec<(f32, f32)> {
    let half = width / 2;
    let rates: Vec<f64> =
        (0..half).map(|i| libm::pow(BASE, -2.0 * i as f64 / width as f64)).collect();
    let angle = |(place, rate): (usize, &f64)| {
        let angle = place as f64 * rate;
        (libm::cos(angle) as f32, libm::sin(angle) as f32)
    };
    (0..tokens).flat_map(|place| rates.iter().map(move |rate| (place, rate))).map(angle).collect()
}

#[derive(Debug, Clone)]
struct Turn {
    tokens: usize,
    heads: usize,
    width: usize,
    angles: Arc<Vec<(f32, f32)>>,
}

impl Turn {
    /// Queries and keys turned forward by a `sign` of 1, and back by one of −1.
    fn turned(&self, values: Values, sign: f32) -> Values {
        let (half, hidden) = (self.width / 2, self.heads * self.width);
        if self.tokens == 0 || half == 0 {
            return values;
        }
        // One piece is one token.
        values.change(3 * hidden, |token, numbers| {
            let place = token % self.tokens;
            let angles = &self.angles[place * half..(place + 1) * half];
            for head in numbers[..2 * hidden].chunks_exact_mut(self.width) {
                let (first, second) = head.split_at_mut(half);
                for ((a, b), (cos, sin)) in first.iter_mut().zip(second).zip(angles) {
                    let sin = sign * sin;
                    (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
                }
            }
        })
    }

    fn plain(&self, inputs: Tensor<3>) -> Tensor<3> {
        let [batch, tokens, joined] = inputs.dims();
        let (heads, half) = (self.heads, self.width / 2);
        let device = inputs.device();
        let table = |part: fn(&(f32, f32)) -> f32| {
            let numbers: Vec<f32> = self.angles.iter().map(part).collect();
            Tensor::<4>::from_data(TensorData::new(numbers, [1, tokens, 1, half]), &device)
        };
        let (cos, sin) = (table(|angle| angle.0), table(|angle| angle.1));
        let (cos, sin) = (cos.cast(inputs.dtype()), sin.cast(inputs.dtype()));
        let turned = inputs.clone().narrow(2, 0, 2 * joined / 3);
        let turned = turned.reshape([batch, tokens, 2 * heads, self.width]);
        let a = turned.clone().narrow(3, 0, half);
        let b = turned.narrow(3, half, half);
        let first = a.clone() * cos.clone() - b.clone() * sin.clone();
        let second = b * cos + a * sin;
        let turned = Tensor::cat(vec![first, second], 3).reshape([batch, tokens, 2 * joined / 3]);
        Tensor::cat(vec![turned, inputs.narrow(2, 2 * joined / 3, joined / 3)], 2)
    }
}

impl Operation<1> for Turn {
    /// A rotation's transpose turns back.
    fn backward(self, gradient: Values, _: [bool; 1]) -> [Option<Values>; 1] {
        [Some(self.turned(gradient, -1.0))]
    }
}
