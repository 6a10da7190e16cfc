//! Attention on devices other than the CPU: all heads of all sequences side by side, padded to one length.
//!
//! Weights are kept for the backward where they are few. Those of long sequences are computed for some queries at a time,
//! and again in the backward, so that memory grows with the length and not with its square (Rabe and Staats 2021,
//! arXiv:2112.05682).

use crate::attention::Seen;
use crate::device::dropout::{Dropped, Rows};
use crate::device::gpu;
use crate::device::product::{product, rounded_product};
use crate::device::tape::{AnyRank, Derivative, record, untaped};
use crate::dropout::Dropout;
use crate::mixed::Precision;
use crate::sequences::Sequences;
use burn::Tensor;
use burn::tensor::activation::softmax;
use burn::tensor::{Bool, Device};
use std::ops::Range;

/// Tokens of the longest sequence whose weights are kept.
const LONG: usize = 1024;

/// Queries of longer sequences that are computed at a time.
const QUERIES: usize = 256;

/// See [`attention`](crate::attention()); `inputs` are in the precision already.
pub(crate) fn attention(
    precision: Precision,
    inputs: Tensor<2>,
    heads: usize,
    sequences: &Sequences,
    seen: Seen,
    dropout: Option<Dropout>,
) -> Tensor<2> {
    attention_of(LONG, precision, inputs, heads, sequences, seen, dropout)
}

/// [`attention`] that keeps the weights of sequences of at most `long` tokens.
fn attention_of(
    long: usize,
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
    let shape = Shape { sequences: sequences.clone(), heads, hidden: joined / 3 };
    let [query, key, value] = shape.parts(untaped(&inputs));
    let mut saved = Saved { precision, shape, seen, dropout, query, key, value, weights: None };
    let tokens = sequences.longest();
    let y = if tokens <= long {
        let weights = saved.weights(0..tokens);
        let y = saved.output(0..tokens, weights.clone());
        saved.weights = Some(weights);
        y
    } else {
        let output = |block: Range<usize>| saved.output(block.clone(), saved.weights(block));
        Tensor::cat(saved.blocks().map(output).collect(), 2)
    };
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
        if let Some(parts) = gpu::split_heads(&rows, &self.sequences, self.heads) {
            return parts;
        }
        let padded = self.sequences.padded(rows);
        let [batch, tokens, _] = padded.dims();
        std::array::from_fn(|i| {
            let part = padded.clone().narrow(2, i * self.hidden, self.hidden);
            part.reshape([batch, tokens, self.heads, self.width()]).swap_dims(1, 2)
        })
    }

    /// The way back.
    fn joined<const N: usize>(&self, parts: [Tensor<4>; N]) -> Tensor<2> {
        if let Some(rows) = gpu::join_heads(&parts, &self.sequences) {
            return rows;
        }
        let parts = parts.map(|part| {
            let [batch, _, tokens, _] = part.dims();
            part.swap_dims(1, 2).reshape([batch, tokens, self.hidden])
        });
        let padded = if N == 1 { parts[0].clone() } else { Tensor::cat(parts.into(), 2) };
        self.sequences.packed(padded)
    }

    /// True at keys that the tokens at `queries` do not see, if there are such: of a shape that expands to that of the
    /// scores.
    fn unseen(
        &self,
        seen: Seen,
        queries: &Range<usize>,
        device: &Device,
    ) -> Option<Tensor<4, Bool>> {
        let (batch, tokens) = (self.sequences.count(), self.sequences.longest());
        match seen {
            Seen::All => {
                let padding = self.sequences.padding(device)?;
                Some(padding.reshape([batch, 1, 1, tokens]))
            }
            // Padding is behind all tokens.
            Seen::Earlier => {
                let shape = [queries.len(), tokens];
                let from = i64::try_from(queries.start).expect("tokens lie in memory");
                let later = Tensor::<2, Bool>::tril_mask(shape, from, device);
                Some(later.reshape([1, 1, queries.len(), tokens]))
            }
        }
    }
}

#[derive(Debug, Clone)]
struct Saved {
    precision: Precision,
    shape: Shape,
    seen: Seen,
    dropout: Option<Dropout>,
    query: Tensor<4>,
    key: Tensor<4>,
    value: Tensor<4>,
    /// Before dropout, of all queries; they are computed again where there are none.
    weights: Option<Tensor<4>>,
}

impl Saved {
    /// Queries that are computed at a time.
    fn blocks(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let tokens = self.shape.sequences.longest();
        (0..tokens).step_by(QUERIES).map(move |from| from..(from + QUERIES).min(tokens))
    }

    fn queries(&self, block: &Range<usize>) -> Tensor<4> {
        self.query.clone().narrow(2, block.start, block.len())
    }

    /// The weights of the tokens at `block`, before dropout.
    fn weights(&self, block: Range<usize>) -> Tensor<4> {
        let query = self.queries(&block);
        let scores = product(&query, &self.key.clone().transpose(), None);
        let lengths: Vec<usize> = self.shape.sequences.lengths().collect();
        let lengths = (self.seen == Seen::All).then_some(&lengths[..]);
        let scale = self.shape.scale();
        if let Some(weights) = gpu::softmax(&scores, scale, lengths, block.start) {
            return weights;
        }
        let mut scores = scores * scale;
        if let Some(unseen) = self.shape.unseen(self.seen, &block, &scores.device()) {
            let unseen = unseen.expand(scores.dims());
            scores = scores.mask_fill(unseen, f32::NEG_INFINITY);
        }
        softmax(scores, 3)
    }

    /// `numbers` of the weights of the tokens at `block`, with some dropped.
    fn dropped(&self, block: &Range<usize>, numbers: Tensor<4>) -> Tensor<4> {
        let Some(dropout) = self.dropout else { return numbers };
        let (heads, tokens, from) = (self.shape.heads, block.len(), block.start);
        Dropped { rows: Rows::Heads { heads, tokens, from }, dropout }.apply(numbers)
    }

    fn output(&self, block: Range<usize>, weights: Tensor<4>) -> Tensor<4> {
        rounded_product(self.precision, self.dropped(&block, weights), self.value.clone())
    }

    /// Gradients by queries, keys and values, for the `gradient` by the outputs of the tokens at `block`.
    fn gradients(
        &self,
        block: Range<usize>,
        weights: Tensor<4>,
        gradient: Tensor<4>,
    ) -> [Tensor<4>; 3] {
        let precision = self.precision;
        let used = self.dropped(&block, weights.clone());
        let by_value = rounded_product(precision, used.transpose(), gradient.clone());
        let by_weights = rounded_product(precision, gradient, self.value.clone().transpose());
        let by_weights = self.dropped(&block, by_weights);
        let scale = self.shape.scale();
        let by_scores = gpu::softmax_gradient(&by_weights, &weights, scale).unwrap_or_else(|| {
            let product = by_weights * weights.clone();
            (product.clone() - weights * product.sum_dim(3)) * scale
        });
        let by_query = product(&by_scores, &self.key, None);
        let by_key = product(&by_scores.transpose(), &self.queries(&block), None);
        [by_query, by_key, by_value]
    }
}

impl Derivative<1> for Saved {
    fn backward(mut self, gradient: AnyRank, _: [bool; 1]) -> [Option<AnyRank>; 1] {
        let [gradient] = self.shape.parts(gradient.tensor());
        let tokens = self.shape.sequences.longest();
        let by_inputs = if let Some(weights) = self.weights.take() {
            self.gradients(0..tokens, weights, gradient)
        } else {
            let one = |block: Range<usize>| {
                let gradient = gradient.clone().narrow(2, block.start, block.len());
                self.gradients(block.clone(), self.weights(block), gradient)
            };
            let mut queries = Vec::new();
            let mut others: Option<[Tensor<4>; 2]> = None;
            for [query, key, value] in self.blocks().map(one) {
                queries.push(query);
                others = Some(match others {
                    None => [key, value],
                    Some([keys, values]) => [keys + key, values + value],
                });
            }
            let [keys, values] = others.expect("a long sequence has tokens");
            [Tensor::cat(queries, 2), keys, values]
        };
        [Some(self.shape.joined(by_inputs).into())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{DType, TensorData};

    /// What is computed for some queries at a time, and again in the backward, is what is computed at once and kept.
    #[test]
    fn long_sequences_are_computed_in_blocks() {
        let sequences = Sequences::new([QUERIES + 40, 3, 2 * QUERIES + 1]);
        let (heads, width) = (2, 4);
        let device = Device::flex().autodiff();
        let joined = 3 * heads * width;
        let numbers = |columns: usize, step: f64| {
            let numbers = (0..sequences.rows() * columns).map(|i| libm::sin(i as f64 * step));
            let numbers =
                TensorData::new(numbers.collect::<Vec<f64>>(), [sequences.rows(), columns]);
            Tensor::<2>::from_data(numbers, (&device, DType::F64))
        };
        for seen in [Seen::All, Seen::Earlier] {
            for p in [None, Some(0.25)] {
                let dropout = p.map(|p| Dropout { key: 3, draw: 1, p, first: 2 });
                let of = |long| {
                    let inputs = numbers(joined, 0.7).require_grad();
                    let given = inputs.clone();
                    let y =
                        attention_of(long, Precision::F32, given, heads, &sequences, seen, dropout);
                    let gradients = (y.clone() * numbers(joined / 3, 0.3)).sum().backward();
                    [y.inner(), inputs.grad(&gradients).expect("a gradient")]
                };
                for (whole, blocks) in of(usize::MAX).into_iter().zip(of(QUERIES)) {
                    let difference = (whole - blocks).abs().max().into_scalar::<f64>();
                    assert!(difference < 1e-12, "{seen:?}, {p:?}: {difference:e}");
                }
            }
        }
    }
}
