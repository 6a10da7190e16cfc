//! Attention of several heads, without a transposed copy of anything.

use crate::buffer::Buffer;
use crate::host::{Host, Operation, Values, record};
use crate::matrix::{Matrix, Threads, multiply};
use crate::mixed::Precision;
use crate::softmax::{softmax_row, softmax_row_backward};
use burn::Tensor;
use burn::tensor::{Bool, activation::softmax};
use rayon::prelude::*;

/// softmax(q kᵀ / √width) v for each head (Vaswani et al. 2017, arXiv:1706.03762).
///
/// `inputs` `[batch, tokens, 3 · heads · width]` holds queries, keys and values, one after the other. `dropout` `[batch, heads, tokens, tokens]`, if there is one, is what the weights
/// are multiplied with.
///
/// # Panics
/// If the sizes do not agree.
#[must_use]
pub fn attention(
    inputs: Tensor<3>,
    heads: usize,
    seen: Seen,
    dropout: Option<Tensor<4>>,
) -> Tensor<3> {
    attention_in(Precision::F32, inputs, heads, seen, dropout)
}

/// [`attention`] whose products take operands of a precision; `inputs` are in it already.
pub(crate) fn attention_in(
    precision: Precision,
    inputs: Tensor<3>,
    heads: usize,
    seen: Seen,
    dropout: Option<Tensor<4>>,
) -> Tensor<3> {
    let [batch, tokens, width] = inputs.dims();
    assert!(heads > 0 && width % (3 * heads) == 0, "heads of one width, three times");
    if let Seen::Unpadded(padding) = &seen {
        assert_eq!(padding.dims(), [batch, tokens], "padding of each token");
    }
    let square = [batch, heads, tokens, tokens];
    assert!(dropout.as_ref().is_none_or(|x| x.dims() == square), "dropout of each weight");
    let hidden = width / 3;
    let host_dropout = dropout.as_ref().map(Host::of);
    let (Some(host), None | Some(Some(_))) = (Host::of(&inputs), &host_dropout) else {
        return plain(precision, inputs, heads, seen, dropout);
    };
    let hidden_from = match seen {
        Seen::Unpadded(padding) => Hidden::Padded(padding.into_data().iter::<bool>().collect()),
        Seen::Earlier => Hidden::Later,
    };
    let saved = Attention {
        shape: Shape { batch, tokens, hidden, heads },
        inputs: host.values(),
        weights: None,
        precision,
        dropout: host_dropout.flatten().as_ref().map(Host::values),
    };
    let (y, weights) = saved.forward(&hidden_from);
    let y = Values::from_buffer(y, &[batch, tokens, hidden]);
    let shape = [batch, heads, tokens, tokens];
    record([host], y, || Attention { weights: Some(Values::from_buffer(weights, &shape)), ..saved })
        .into_tensor()
}

/// Which tokens each token sees.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "there is one at a time")]
pub enum Seen {
    /// All of its text but for padding, which is true in `[batch, tokens]`.
    Unpadded(Tensor<2, Bool>),
    /// Itself and those before it.
    Earlier,
}

/// Which tokens are not seen.
enum Hidden {
    /// True for each token `[batch, tokens]` that is padding.
    Padded(Vec<bool>),
    /// Those behind each token.
    Later,
}

impl Hidden {
    /// Turns the scores of the token at `place` of `row` into weights.
    fn softmax(&self, row: usize, place: usize, scores: &mut [f32]) {
        match self {
            Self::Padded(padded) => {
                let padded = &padded[row * scores.len()..(row + 1) * scores.len()];
                for (score, padded) in scores.iter_mut().zip(padded) {
                    if *padded {
                        *score = f32::NEG_INFINITY;
                    }
                }
                softmax_row(scores);
            }
            Self::Later => {
                let (seen, later) = scores.split_at_mut(place + 1);
                softmax_row(seen);
                later.fill(0.0);
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "widths are small")]
pub(crate) fn plain(
    precision: Precision,
    inputs: Tensor<3>,
    heads: usize,
    seen: Seen,
    dropout: Option<Tensor<4>>,
) -> Tensor<3> {
    let [batch, tokens, joined] = inputs.dims();
    let hidden = joined / 3;
    let width = hidden / heads;
    let [query, key, value] = [0, 1, 2].map(|i| {
        let part = inputs.clone().narrow(2, i * hidden, hidden);
        part.reshape([batch, tokens, heads, width]).swap_dims(1, 2)
    });
    let scores = query.matmul(key.transpose()) / (width as f64).sqrt();
    let unseen = match seen {
        Seen::Unpadded(padding) => padding.reshape([batch, 1, 1, tokens]),
        Seen::Earlier => {
            let later = Tensor::<2, Bool>::tril_mask([tokens, tokens], 0, &scores.device());
            later.reshape([1, 1, tokens, tokens])
        }
    };
    let unseen = unseen.expand(scores.dims());
    let mut weights = softmax(scores.mask_fill(unseen, f32::NEG_INFINITY), 3);
    if let Some(dropout) = dropout {
        weights = weights * dropout;
    }
    precision.matmul(weights, value).swap_dims(1, 2).reshape([batch, tokens, hidden])
}

#[derive(Debug, Clone, Copy)]
struct Shape {
    batch: usize,
    tokens: usize,
    hidden: usize,
    heads: usize,
}

impl Shape {
    fn width(&self) -> usize {
        self.hidden / self.heads
    }

    #[expect(clippy::cast_precision_loss, reason = "widths are small")]
    fn scale(&self) -> f32 {
        1.0 / (self.width() as f32).sqrt()
    }

    /// Numbers of one row of the batch, behind the heads.
    fn row(&self) -> usize {
        self.tokens * self.hidden
    }

    /// Numbers of one row of queries, keys and values.
    fn input_row(&self) -> usize {
        3 * self.row()
    }

    /// Weights of one head of one row.
    fn square(&self) -> usize {
        self.tokens * self.tokens
    }

    /// One head of one row of the result, or of its gradient.
    fn head<'a>(&self, numbers: &'a [f32], head: usize) -> Matrix<'a> {
        let from = head * self.width();
        Matrix::strided(&numbers[from..], self.tokens, self.width(), self.hidden)
    }

    /// Where the queries (0), keys (1) or values (2) of one head begin.
    fn input(&self, part: usize, head: usize) -> usize {
        part * self.hidden + head * self.width()
    }

    /// Queries (0), keys (1) or values (2) of one head of one row.
    fn input_head<'a>(&self, numbers: &'a [f32], part: usize, head: usize) -> Matrix<'a> {
        let from = self.input(part, head);
        Matrix::strided(&numbers[from..], self.tokens, self.width(), 3 * self.hidden)
    }

    fn weights<'a>(&self, numbers: &'a [f32]) -> Matrix<'a> {
        Matrix::new(numbers, self.tokens, self.tokens)
    }
}

#[derive(Debug, Clone)]
struct Attention {
    shape: Shape,
    inputs: Values,
    /// Before dropout.
    weights: Option<Values>,
    dropout: Option<Values>,
    precision: Precision,
}

impl Attention {
    fn dropout_of(&self, row: usize, head: usize) -> Option<&[f32]> {
        let square = self.shape.square();
        let from = (row * self.shape.heads + head) * square;
        self.dropout.as_ref().map(|dropout| &dropout.slice()[from..from + square])
    }

    /// Room for what [`Attention::used`] makes.
    fn room(&self) -> Vec<f32> {
        let changes = self.dropout.is_some() || self.precision != Precision::F32;
        vec![0.0; if changes { self.shape.square() } else { 0 }]
    }

    /// The weights of a head as the product with the values takes them: after dropout, in its precision.
    fn used<'a>(
        &self,
        weights: &'a [f32],
        dropout: Option<&[f32]>,
        room: &'a mut [f32],
    ) -> &'a [f32] {
        if room.is_empty() {
            return weights;
        }
        match dropout {
            None => room.copy_from_slice(weights),
            Some(dropout) => {
                for (used, (w, d)) in room.iter_mut().zip(weights.iter().zip(dropout)) {
                    *used = w * d;
                }
            }
        }
        self.precision.round(room);
        room
    }

    fn forward(&self, hidden: &Hidden) -> (Buffer, Buffer) {
        let shape = &self.shape;
        let mut y = Buffer::take(shape.batch * shape.row());
        let mut weights = Buffer::take(shape.batch * shape.heads * shape.square());
        if y.is_empty() {
            return (y, weights);
        }
        y.par_chunks_mut(shape.row())
            .zip(weights.par_chunks_mut(shape.heads * shape.square()))
            .enumerate()
            .for_each(|(row, (y, weights))| self.forward_row(row, y, weights, hidden));
        (y, weights)
    }

    fn forward_row(&self, row: usize, y: &mut [f32], weights: &mut [f32], unseen: &Hidden) {
        let shape = &self.shape;
        let (tokens, hidden) = (shape.tokens, shape.hidden);
        let inputs = &self.inputs.slice()[row * shape.input_row()..(row + 1) * shape.input_row()];
        let mut room = self.room();
        for (head, weights) in weights.chunks_exact_mut(shape.square()).enumerate() {
            let q = shape.input_head(inputs, 0, head);
            let k = shape.input_head(inputs, 1, head).transpose();
            multiply(q, k, weights, tokens, shape.scale(), false, Threads::One);
            for (place, scores) in weights.chunks_exact_mut(tokens).enumerate() {
                unseen.softmax(row, place, scores);
            }
            let weights = self.used(weights, self.dropout_of(row, head), &mut room);
            let (weights, value) = (shape.weights(weights), shape.input_head(inputs, 2, head));
            let y = &mut y[head * shape.width()..];
            multiply(weights, value, y, hidden, 1.0, false, Threads::One);
        }
    }

    /// The gradient by the inputs of one row.
    fn backward_row(&self, row: usize, gradient: &[f32], weights: &[f32], by: &mut [f32]) {
        let shape = &self.shape;
        let (tokens, hidden) = (shape.tokens, shape.hidden);
        let inputs = &self.inputs.slice()[row * shape.input_row()..(row + 1) * shape.input_row()];
        let mut by_scores = vec![0.0; shape.square()];
        let mut room = self.room();
        for (head, weights) in weights.chunks_exact(shape.square()).enumerate() {
            let dropout = self.dropout_of(row, head);
            let g = shape.head(gradient, head);
            let used = self.used(weights, dropout, &mut room);
            let mut by_input = |part: usize, a: Matrix<'_>, b: Matrix<'_>, scale: f32| {
                let by = &mut by[shape.input(part, head)..];
                multiply(a, b, by, 3 * hidden, scale, false, Threads::One);
            };
            by_input(2, shape.weights(used).transpose(), g, 1.0);
            let value = shape.input_head(inputs, 2, head).transpose();
            multiply(g, value, &mut by_scores, tokens, 1.0, false, Threads::One);
            if let Some(dropout) = dropout {
                by_scores.iter_mut().zip(dropout).for_each(|(g, d)| *g *= d);
            }
            let rows = by_scores.chunks_exact_mut(tokens).zip(weights.chunks_exact(tokens));
            rows.for_each(|(g, weights)| softmax_row_backward(g, weights));
            let by_scores = shape.weights(&by_scores);
            let (query, key) =
                (shape.input_head(inputs, 0, head), shape.input_head(inputs, 1, head));
            by_input(0, by_scores, key, shape.scale());
            by_input(1, by_scores.transpose(), query, shape.scale());
        }
    }
}

impl Operation<1> for Attention {
    fn backward(self, gradient: Values, _: [bool; 1]) -> [Option<Values>; 1] {
        let shape = &self.shape;
        let mut by = Buffer::take(shape.batch * shape.input_row());
        if let (Some(weights), false) = (&self.weights, by.is_empty()) {
            by.par_chunks_mut(shape.input_row())
                .zip(gradient.slice().par_chunks(shape.row()))
                .zip(weights.slice().par_chunks(shape.heads * shape.square()))
                .enumerate()
                .for_each(|(row, ((by, gradient), weights))| {
                    self.backward_row(row, gradient, weights, by);
                });
        }
        [Some(Values::from_buffer(by, &[shape.batch, shape.tokens, 3 * shape.hidden]))]
    }
}
