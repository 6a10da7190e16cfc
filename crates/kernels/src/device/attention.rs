//! Attention on devices other than the CPU: all heads of all sequences side by side, padded to one length.

use crate::attention::Seen;
use crate::device::tape::{AnyRank, Derivative, record, untaped};
use crate::dropout::{Dropout, Place};
use crate::mixed::Precision;
use crate::sequences::Sequences;
use burn::Tensor;
use burn::tensor::activation::softmax;
use burn::tensor::{Bool, Device, TensorData};
use rayon::prelude::*;

/// See [`attention`](crate::attention()); `inputs` are in the precision already.
pub(crate) fn attention(
    precision: Precision,
    inputs: Tensor<2>,
    heads: usize,
    sequences: &Sequences,
    seen: Seen,
    dropout: Option<Dropout>,
) -> Tensor<2> {
    let [rows, joined] = inputs.dims();
    if rows == 0 {
        return inputs.narrow(1, 0, joined / 3);
    }
    let plain = untaped(&inputs);
    let device = plain.device();
    let shape = Shape { sequences: sequences.clone(), heads, hidden: joined / 3 };
    let [query, key, value] = shape.parts(plain);
    let mut scores = query.clone().matmul(key.clone().transpose()) * shape.scale();
    if let Some(unseen) = shape.unseen(seen, &device) {
        let unseen = unseen.expand(scores.dims());
        scores = scores.mask_fill(unseen, f32::NEG_INFINITY);
    }
    let weights = softmax(scores, 3);
    let mask = dropout.map(|dropout| {
        let mask = square_mask(sequences, heads, dropout);
        Tensor::<4>::from_data(mask, &device).cast(weights.dtype())
    });
    let saved = Saved { precision, shape, query, key, value, weights, mask };
    let y = precision.matmul(saved.dropped(), saved.value.clone());
    let y = saved.shape.joined([y]);
    record([inputs.into()], y, || saved)
}

#[derive(Debug, Clone)]
struct Shape {
    sequences: Sequences,
    heads: usize,
    hidden: usize,
}

impl Shape {
    fn width(&self) -> usize {
        self.hidden / self.heads
    }

    /// What scores are multiplied with.
    #[expect(clippy::cast_precision_loss, reason = "widths are small")]
    fn scale(&self) -> f64 {
        1.0 / (self.width() as f64).sqrt()
    }

    /// `N` parts of `[rows, N · hidden]`, each `[sequences, heads, longest, width]`.
    fn parts<const N: usize>(&self, rows: Tensor<2>) -> [Tensor<4>; N] {
        let padded = self.sequences.padded(rows);
        let [batch, tokens, _] = padded.dims();
        std::array::from_fn(|i| {
            let part = padded.clone().narrow(2, i * self.hidden, self.hidden);
            part.reshape([batch, tokens, self.heads, self.width()]).swap_dims(1, 2)
        })
    }

    /// The way back.
    fn joined<const N: usize>(&self, parts: [Tensor<4>; N]) -> Tensor<2> {
        let parts = parts.map(|part| {
            let [batch, _, tokens, _] = part.dims();
            part.swap_dims(1, 2).reshape([batch, tokens, self.hidden])
        });
        let padded = if N == 1 { parts[0].clone() } else { Tensor::cat(parts.into(), 2) };
        self.sequences.packed(padded)
    }

    /// True at keys that a token does not see, if there are such: of a shape that expands to that of the scores.
    fn unseen(&self, seen: Seen, device: &Device) -> Option<Tensor<4, Bool>> {
        let (batch, tokens) = (self.sequences.count(), self.sequences.longest());
        match seen {
            Seen::All => {
                let padding = self.sequences.padding(device)?;
                Some(padding.reshape([batch, 1, 1, tokens]))
            }
            // Padding is behind all tokens.
            Seen::Earlier => {
                let later = Tensor::<2, Bool>::tril_mask([tokens, tokens], 0, device);
                Some(later.reshape([1, 1, tokens, tokens]))
            }
        }
    }
}

#[derive(Debug, Clone)]
struct Saved {
    precision: Precision,
    shape: Shape,
    query: Tensor<4>,
    key: Tensor<4>,
    value: Tensor<4>,
    /// Before dropout.
    weights: Tensor<4>,
    mask: Option<Tensor<4>>,
}

impl Saved {
    fn dropped(&self) -> Tensor<4> {
        match &self.mask {
            Some(mask) => self.weights.clone() * mask.clone(),
            None => self.weights.clone(),
        }
    }
}

impl Derivative<1> for Saved {
    fn backward(self, gradient: AnyRank, _: [bool; 1]) -> [Option<AnyRank>; 1] {
        let [gradient] = self.shape.parts(gradient.tensor());
        let by_value = self.precision.matmul(self.dropped().transpose(), gradient.clone());
        let Self { precision, shape, query, key, value, weights, mask } = self;
        let mut by_weights = precision.matmul(gradient, value.transpose());
        if let Some(mask) = mask {
            by_weights = by_weights * mask;
        }
        let product = by_weights * weights.clone();
        let by_scores = (product.clone() - weights * product.sum_dim(3)) * shape.scale();
        let by_query = by_scores.clone().matmul(key);
        let by_key = by_scores.transpose().matmul(query);
        [Some(shape.joined([by_query, by_key, by_value]).into())]
    }
}

/// What the weights `[sequences, heads, longest, longest]` are multiplied with.
fn square_mask(sequences: &Sequences, heads: usize, dropout: Dropout) -> TensorData {
    let tokens = sequences.longest();
    let square = tokens * tokens;
    let mut mask = vec![1.0; sequences.count() * heads * square];
    mask.par_chunks_mut(square.max(1)).enumerate().for_each(|(i, mask)| {
        let place = Place { sequence: i / heads, token: 0, head: i % heads };
        dropout.apply(place, tokens, mask);
    });
    TensorData::new(mask, [sequences.count(), heads, tokens, tokens])
}
