//! Rotary positions.

use crate::host::{Host, Operation, Values, record};
use crate::sequences::Sequences;
use burn::Tensor;
use burn::tensor::TensorData;
use std::sync::Arc;

/// Base of the angles' geometric sequence (Su et al. 2021, section 3.2.2).
const BASE: f64 = 10_000.0;

/// Turns queries and keys by angles that grow with their position (Su et al. 2021, arXiv:2104.09864).
///
/// `inputs` `[rows, 3 · heads · width]` holds queries, keys and values of the tokens of `sequences`, as
/// [`attention`](crate::attention) takes them; values stay as they are. In each head the pair of numbers i and
/// i + width / 2 is turned by position · 10000^(−2i / width).
///
/// # Panics
/// If the width of a head is not even, or there are not as many rows as tokens.
#[must_use]
pub fn rotary(inputs: Tensor<2>, heads: usize, sequences: &Sequences) -> Tensor<2> {
    let [rows, joined] = inputs.dims();
    assert!(heads > 0 && joined % (6 * heads) == 0, "heads of one even width, three times");
    assert_eq!(rows, sequences.rows(), "a row for each token");
    let width = joined / 3 / heads;
    let angles = Arc::new(angles(sequences.longest(), width));
    let turn = Turn { positions: sequences.positions().collect(), heads, width, angles };
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
    /// Of each row in its sequence.
    positions: Arc<[usize]>,
    heads: usize,
    width: usize,
    angles: Arc<Vec<(f32, f32)>>,
}

impl Turn {
    /// Queries and keys turned forward by a `sign` of 1, and back by one of −1.
    fn turned(&self, values: Values, sign: f32) -> Values {
        let (half, hidden) = (self.width / 2, self.heads * self.width);
        if half == 0 {
            return values;
        }
        // One piece is one token.
        values.change(3 * hidden, |row, numbers| {
            let place = self.positions[row];
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

    fn plain(&self, inputs: Tensor<2>) -> Tensor<2> {
        let [rows, joined] = inputs.dims();
        let (heads, half) = (self.heads, self.width / 2);
        let device = inputs.device();
        let table = |part: fn(&(f32, f32)) -> f32| {
            let angles = |place: &usize| &self.angles[place * half..(place + 1) * half];
            let numbers: Vec<f32> = self.positions.iter().flat_map(angles).map(part).collect();
            Tensor::<3>::from_data(TensorData::new(numbers, [rows, 1, half]), &device)
        };
        let (cos, sin) = (table(|angle| angle.0), table(|angle| angle.1));
        let (cos, sin) = (cos.cast(inputs.dtype()), sin.cast(inputs.dtype()));
        let turned = inputs.clone().narrow(1, 0, 2 * joined / 3);
        let turned = turned.reshape([rows, 2 * heads, self.width]);
        let a = turned.clone().narrow(2, 0, half);
        let b = turned.narrow(2, half, half);
        let first = a.clone() * cos.clone() - b.clone() * sin.clone();
        let second = b * cos + a * sin;
        let turned = Tensor::cat(vec![first, second], 2).reshape([rows, 2 * joined / 3]);
        Tensor::cat(vec![turned, inputs.narrow(1, 2 * joined / 3, joined / 3)], 1)
    }
}

impl Operation<1> for Turn {
    /// A rotation's transpose turns back.
    fn backward(self, gradient: Values, _: [bool; 1]) -> [Option<Values>; 1] {
        [Some(self.turned(gradient, -1.0))]
    }
}
