//! Attention of several heads, without a transposed copy of anything.

use crate::buffer::Buffer;
use crate::device;
use crate::dropout::{Dropout, Place};
use crate::host::{Host, Operation, Values, record};
use crate::matrix::{Matrix, Threads, multiply};
use crate::mixed::Precision;
use crate::sequences::Sequences;
use crate::softmax::{softmax_row, softmax_row_backward};
use burn::Tensor;
use rayon::prelude::*;

/// softmax(q kᵀ / √width) v for each head (Vaswani et al. 2017, arXiv:1706.03762).
///
/// `inputs` `[rows, 3 · heads · width]` holds queries, keys and values, one after the other, of the tokens of
/// `sequences`: none sees those of another sequence. `dropout` drops weights.
///
/// # Panics
/// If the sizes do not agree.
#[must_use]
pub fn attention(
    inputs: Tensor<2>,
    heads: usize,
    sequences: &Sequences,
    seen: Seen,
    dropout: Option<Dropout>,
) -> Tensor<2> {
    attention_in(Precision::F32, inputs, heads, sequences, seen, dropout)
}

/// [`attention`] whose products take operands of a precision; `inputs` are in it already.
pub(crate) fn attention_in(
    precision: Precision,
    inputs: Tensor<2>,
    heads: usize,
    sequences: &Sequences,
    seen: Seen,
    dropout: Option<Dropout>,
) -> Tensor<2> {
    let [rows, width] = inputs.dims();
    assert!(heads > 0 && width % (3 * heads) == 0, "heads of one width, three times");
    assert_eq!(rows, sequences.rows(), "a row for each token");
    let hidden = width / 3;
    let Some(host) = Host::of(&inputs) else {
        return device::attention::attention(precision, inputs, heads, sequences, seen, dropout);
    };
    let saved = Attention {
        shape: Shape { hidden, heads },
        sequences: sequences.clone(),
        inputs: host.values(),
        weights: None,
        precision,
        dropout,
    };
    let (y, weights) = saved.forward(seen);
    let count = weights.len();
    let y = Values::from_buffer(y, &[rows, hidden]);
    record([host], y, || {
        let weights = Some(Values::from_buffer(weights, &[count]));
        Attention { weights, ..saved }
    })
    .into_tensor()
}

/// Which tokens of its sequence each token sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// All of them.
    All,
    /// Itself and those before it.
    Earlier,
}

impl Seen {
    /// Turns the scores of the token at `place` into weights.
    fn softmax(self, place: usize, scores: &mut [f32]) {
        match self {
            Self::All => softmax_row(scores),
            Self::Earlier => {
                let (seen, later) = scores.split_at_mut(place + 1);
                softmax_row(seen);
                later.fill(0.0);
            }
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Shape {
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

    /// Where the queries (0), keys (1) or values (2) of one head begin.
    fn input(&self, part: usize, head: usize) -> usize {
        part * self.hidden + head * self.width()
    }
}

/// One sequence.
#[derive(Debug, Clone, Copy)]
struct Sequence<'a> {
    shape: Shape,
    index: usize,
    tokens: usize,
    inputs: &'a [f32],
}

impl<'a> Sequence<'a> {
    /// One head of the result, or of its gradient.
    fn head<'b>(&self, numbers: &'b [f32], head: usize) -> Matrix<'b> {
        let Shape { hidden, .. } = self.shape;
        let from = head * self.shape.width();
        Matrix::strided(&numbers[from..], self.tokens, self.shape.width(), hidden)
    }

    /// Queries (0), keys (1) or values (2) of one head.
    fn input(&self, part: usize, head: usize) -> Matrix<'a> {
        let Shape { hidden, .. } = self.shape;
        let from = self.shape.input(part, head);
        Matrix::strided(&self.inputs[from..], self.tokens, self.shape.width(), 3 * hidden)
    }

    fn weights<'b>(&self, numbers: &'b [f32]) -> Matrix<'b> {
        Matrix::new(numbers, self.tokens, self.tokens)
    }

    /// Weights of one head.
    fn square(&self) -> usize {
        self.tokens * self.tokens
    }

    /// Drops weights of one head, or their gradients.
    fn drop(&self, dropout: Dropout, head: usize, numbers: &mut [f32]) {
        dropout.apply(Place { sequence: self.index, token: 0, head }, self.tokens, numbers);
    }
}

#[derive(Debug, Clone)]
struct Attention {
    shape: Shape,
    sequences: Sequences,
    inputs: Values,
    /// Before dropout; those of each sequence and head behind one another.
    weights: Option<Values>,
    dropout: Option<Dropout>,
    precision: Precision,
}

/// `numbers` in pieces of so many.
fn pieces(mut numbers: &mut [f32], sizes: impl Iterator<Item = usize>) -> Vec<&mut [f32]> {
    let piece = |size| numbers.split_off_mut(..size).expect("as many numbers as all pieces take");
    sizes.map(piece).collect()
}

impl Attention {
    /// Those that have tokens.
    fn sequences(&self) -> Vec<Sequence<'_>> {
        let inputs = self.inputs.slice();
        let each = 3 * self.shape.hidden;
        let all = self.sequences.starts().iter().zip(self.sequences.lengths()).enumerate();
        let all = all.map(|(index, (start, tokens))| Sequence {
            shape: self.shape,
            index,
            tokens,
            inputs: &inputs[start * each..(start + tokens) * each],
        });
        all.filter(|sequence| sequence.tokens > 0).collect()
    }

    /// Room for what [`Attention::used`] makes.
    fn room(&self, sequence: &Sequence<'_>) -> Vec<f32> {
        let changes = self.dropout.is_some() || self.precision != Precision::F32;
        vec![0.0; if changes { sequence.square() } else { 0 }]
    }

    /// The weights of a head as the product with the values takes them: after dropout, in its precision.
    fn used<'a>(
        &self,
        sequence: &Sequence<'_>,
        head: usize,
        weights: &'a [f32],
        room: &'a mut [f32],
    ) -> &'a [f32] {
        if room.is_empty() {
            return weights;
        }
        room.copy_from_slice(weights);
        if let Some(dropout) = self.dropout {
            sequence.drop(dropout, head, room);
        }
        self.precision.round(room);
        room
    }

    fn forward(&self, seen: Seen) -> (Buffer, Buffer) {
        let Shape { hidden, heads } = self.shape;
        let sequences = self.sequences();
        let rows = || sequences.iter().map(|sequence| sequence.tokens * hidden);
        let squares = || sequences.iter().map(|sequence| sequence.square() * heads);
        let mut y = Buffer::take(rows().sum());
        let mut weights = Buffer::take(squares().sum());
        if hidden > 0 {
            let (y, weights) = (pieces(&mut y, rows()), pieces(&mut weights, squares()));
            y.into_par_iter()
                .zip(weights)
                .zip(&sequences)
                .for_each(|((y, weights), sequence)| self.forward_one(sequence, y, weights, seen));
        }
        (y, weights)
    }

    fn forward_one(&self, one: &Sequence<'_>, y: &mut [f32], weights: &mut [f32], seen: Seen) {
        let Sequence { shape, tokens, .. } = *one;
        let mut room = self.room(one);
        for (head, weights) in weights.chunks_exact_mut(one.square()).enumerate() {
            let (q, k) = (one.input(0, head), one.input(1, head).transpose());
            multiply(q, k, weights, tokens, shape.scale(), false, Threads::One);
            for (place, scores) in weights.chunks_exact_mut(tokens).enumerate() {
                seen.softmax(place, scores);
            }
            let weights = one.weights(self.used(one, head, weights, &mut room));
            let y = &mut y[head * shape.width()..];
            multiply(weights, one.input(2, head), y, shape.hidden, 1.0, false, Threads::One);
        }
    }

    /// The gradient by the inputs of one sequence.
    fn backward_one(&self, one: &Sequence<'_>, gradient: &[f32], weights: &[f32], by: &mut [f32]) {
        let Sequence { shape, tokens, .. } = *one;
        let mut by_scores = vec![0.0; one.square()];
        let mut room = self.room(one);
        for (head, weights) in weights.chunks_exact(one.square()).enumerate() {
            let g = one.head(gradient, head);
            let used = self.used(one, head, weights, &mut room);
            let mut by_input = |part: usize, a: Matrix<'_>, b: Matrix<'_>, scale: f32| {
                let by = &mut by[shape.input(part, head)..];
                multiply(a, b, by, 3 * shape.hidden, scale, false, Threads::One);
            };
            by_input(2, one.weights(used).transpose(), g, 1.0);
            let value = one.input(2, head).transpose();
            multiply(g, value, &mut by_scores, tokens, 1.0, false, Threads::One);
            if let Some(dropout) = self.dropout {
                one.drop(dropout, head, &mut by_scores);
            }
            let rows = by_scores.chunks_exact_mut(tokens).zip(weights.chunks_exact(tokens));
            rows.for_each(|(g, weights)| softmax_row_backward(g, weights));
            let by_scores = one.weights(&by_scores);
            by_input(0, by_scores, one.input(1, head), shape.scale());
            by_input(1, by_scores.transpose(), one.input(0, head), shape.scale());
        }
    }
}

impl Operation<1> for Attention {
    fn backward(self, gradient: Values, _: [bool; 1]) -> [Option<Values>; 1] {
        let Shape { hidden, heads } = self.shape;
        let rows = self.sequences.rows();
        let mut by = Buffer::take(rows * 3 * hidden);
        if let (Some(weights), true) = (&self.weights, hidden > 0) {
            let sequences = self.sequences();
            let by = pieces(&mut by, sequences.iter().map(|one| one.tokens * 3 * hidden));
            let (mut gradient, mut weights) = (gradient.slice(), weights.slice());
            let given = sequences.iter().map(|one| {
                let own = gradient
                    .split_off(..one.tokens * hidden)
                    .zip(weights.split_off(..one.square() * heads));
                own.expect("gradients and weights of every sequence")
            });
            let given: Vec<_> = given.collect();
            by.into_par_iter().zip(given).zip(&sequences).for_each(
                |((by, (gradient, weights)), one)| self.backward_one(one, gradient, weights, by),
            );
        }
        [Some(Values::from_buffer(by, &[rows, 3 * hidden]))]
    }
}
