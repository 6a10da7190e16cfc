//! Attention of several heads, without a transposed copy of anything.

use crate::buffer::Buffer;
use crate::host::{Host, Operation, Values, record};
use crate::matrix::{Matrix, Threads, multiply};
use crate::softmax::{softmax_row, softmax_row_backward};
use burn::Tensor;
use burn::tensor::{Bool, activation::softmax};
use rayon::prelude::*;

/// softmax(q kᵀ / √width) v for each head (Vaswani et al. 2017, arXiv:1706.03762).
///
/// `query`, `key` and `value` are `[batch, tokens, heads · width]`. `padding` `[batch, tokens]` is true
/// where nobody looks. `dropout` `[batch, heads, tokens, tokens]`, if there is one, is what the weights
/// are multiplied with.
///
/// # Panics
/// If the sizes do not agree.
#[must_use]
pub fn attention(
    [query, key, value]: [Tensor<3>; 3],
    heads: usize,
    padding: Tensor<2, Bool>,
    dropout: Option<Tensor<4>>,
) -> Tensor<3> {
    let [batch, tokens, hidden] = query.dims();
    assert!(key.dims() == query.dims() && value.dims() == query.dims(), "of one shape");
    assert!(heads > 0 && hidden % heads == 0, "heads of one width");
    let hosts = [&query, &key, &value].map(Host::of);
    let host_dropout = dropout.as_ref().map(Host::of);
    let ([Some(q), Some(k), Some(v)], None | Some(Some(_))) = (hosts, &host_dropout) else {
        return plain([query, key, value], heads, padding, dropout);
    };
    let padded: Vec<bool> = padding.into_data().iter::<bool>().collect();
    let saved = Attention {
        shape: Shape { batch, tokens, hidden, heads },
        query: q.values(),
        key: k.values(),
        value: v.values(),
        weights: None,
        dropout: host_dropout.flatten().as_ref().map(Host::values),
    };
    let (y, weights) = saved.forward(&padded);
    let y = Values::from_buffer(y, &[batch, tokens, hidden]);
    let shape = [batch, heads, tokens, tokens];
    record([q, k, v], y, || Attention {
        weights: Some(Values::from_buffer(weights, &shape)),
        ..saved
    })
    .into_tensor()
}

#[expect(clippy::cast_precision_loss, reason = "widths are small")]
fn plain(
    inputs: [Tensor<3>; 3],
    heads: usize,
    padding: Tensor<2, Bool>,
    dropout: Option<Tensor<4>>,
) -> Tensor<3> {
    let [batch, tokens, hidden] = inputs[0].dims();
    let width = hidden / heads;
    let [query, key, value] =
        inputs.map(|x| x.reshape([batch, tokens, heads, width]).swap_dims(1, 2));
    let scores = (query / (width as f64).sqrt()).matmul(key.transpose());
    let padding = padding.reshape([batch, 1, 1, tokens]).expand(scores.dims());
    let mut weights = softmax(scores.mask_fill(padding, f32::NEG_INFINITY), 3);
    if let Some(dropout) = dropout {
        weights = weights * dropout;
    }
    weights.matmul(value).swap_dims(1, 2).reshape([batch, tokens, hidden])
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

    /// Numbers of one row of the batch.
    fn row(&self) -> usize {
        self.tokens * self.hidden
    }

    /// Weights of one head of one row.
    fn square(&self) -> usize {
        self.tokens * self.tokens
    }

    /// One head of one row.
    fn head<'a>(&self, numbers: &'a [f32], head: usize) -> Matrix<'a> {
        let from = head * self.width();
        Matrix::strided(&numbers[from..], self.tokens, self.width(), self.hidden)
    }

    fn weights<'a>(&self, numbers: &'a [f32]) -> Matrix<'a> {
        Matrix::new(numbers, self.tokens, self.tokens)
    }
}

#[derive(Debug, Clone)]
struct Attention {
    shape: Shape,
    query: Values,
    key: Values,
    value: Values,
    /// Before dropout.
    weights: Option<Values>,
    dropout: Option<Values>,
}

impl Attention {
    fn dropout_of(&self, row: usize, head: usize) -> Option<&[f32]> {
        let square = self.shape.square();
        let from = (row * self.shape.heads + head) * square;
        self.dropout.as_ref().map(|dropout| &dropout.slice()[from..from + square])
    }

    fn forward(&self, padded: &[bool]) -> (Buffer, Buffer) {
        let shape = &self.shape;
        let mut y = Buffer::take(shape.batch * shape.row());
        let mut weights = Buffer::take(shape.batch * shape.heads * shape.square());
        if y.is_empty() {
            return (y, weights);
        }
        y.par_chunks_mut(shape.row())
            .zip(weights.par_chunks_mut(shape.heads * shape.square()))
            .zip(padded.par_chunks(shape.tokens))
            .enumerate()
            .for_each(|(row, ((y, weights), padded))| {
                self.forward_row(row, y, weights, padded);
            });
        (y, weights)
    }

    fn forward_row(&self, row: usize, y: &mut [f32], weights: &mut [f32], padded: &[bool]) {
        let shape = &self.shape;
        let (tokens, hidden) = (shape.tokens, shape.hidden);
        let range = row * shape.row()..(row + 1) * shape.row();
        let inputs = [&self.query, &self.key, &self.value];
        let [query, key, value] = inputs.map(|x| &x.slice()[range.clone()]);
        // After dropout, where there is one.
        let mut dropped = vec![0.0; if self.dropout.is_some() { shape.square() } else { 0 }];
        for (head, weights) in weights.chunks_exact_mut(shape.square()).enumerate() {
            let (q, k) = (shape.head(query, head), shape.head(key, head).transpose());
            multiply(q, k, weights, tokens, shape.scale(), false, Threads::One);
            for scores in weights.chunks_exact_mut(tokens) {
                for (score, padded) in scores.iter_mut().zip(padded) {
                    if *padded {
                        *score = f32::NEG_INFINITY;
                    }
                }
                softmax_row(scores);
            }
            let weights = match self.dropout_of(row, head) {
                None => &*weights,
                Some(dropout) => {
                    for (dropped, (w, d)) in dropped.iter_mut().zip(weights.iter().zip(dropout)) {
                        *dropped = w * d;
                    }
                    &dropped
                }
            };
            let (weights, value) = (shape.weights(weights), shape.head(value, head));
            let y = &mut y[head * shape.width()..];
            multiply(weights, value, y, hidden, 1.0, false, Threads::One);
        }
    }

    /// Gradients by query, key and value of one row.
    fn backward_row(&self, row: usize, gradient: &[f32], weights: &[f32], by: [&mut [f32]; 3]) {
        let shape = &self.shape;
        let (tokens, hidden) = (shape.tokens, shape.hidden);
        let range = row * shape.row()..(row + 1) * shape.row();
        let inputs = [&self.query, &self.key, &self.value];
        let [query, key, value] = inputs.map(|x| &x.slice()[range.clone()]);
        let [by_query, by_key, by_value] = by;
        let mut by_scores = vec![0.0; shape.square()];
        let mut dropped = vec![0.0; if self.dropout.is_some() { shape.square() } else { 0 }];
        for (head, weights) in weights.chunks_exact(shape.square()).enumerate() {
            let dropout = self.dropout_of(row, head);
            let g = shape.head(gradient, head);
            let used = match dropout {
                None => weights,
                Some(dropout) => {
                    for (dropped, (w, d)) in dropped.iter_mut().zip(weights.iter().zip(dropout)) {
                        *dropped = w * d;
                    }
                    &dropped
                }
            };
            let from = head * shape.width();
            let product = |a, b, c: &mut [f32], stride, scale| {
                multiply(a, b, c, stride, scale, false, Threads::One);
            };
            let used = shape.weights(used).transpose();
            product(used, g, &mut by_value[from..], hidden, 1.0);
            let value = shape.head(value, head).transpose();
            product(g, value, &mut by_scores, tokens, 1.0);
            if let Some(dropout) = dropout {
                by_scores.iter_mut().zip(dropout).for_each(|(g, d)| *g *= d);
            }
            let rows = by_scores.chunks_exact_mut(tokens).zip(weights.chunks_exact(tokens));
            rows.for_each(|(g, weights)| softmax_row_backward(g, weights));
            let by_scores = shape.weights(&by_scores);
            let scale = shape.scale();
            product(by_scores, shape.head(key, head), &mut by_query[from..], hidden, scale);
            let by_scores = by_scores.transpose();
            product(by_scores, shape.head(query, head), &mut by_key[from..], hidden, scale);
        }
    }
}

impl Operation<3> for Attention {
    fn backward(self, gradient: Values, wanted: [bool; 3]) -> [Option<Values>; 3] {
        let shape = &self.shape;
        let n = shape.batch * shape.row();
        let mut by = [Buffer::take(n), Buffer::take(n), Buffer::take(n)];
        if let (Some(weights), true) = (&self.weights, n > 0) {
            let [q, k, v] = by.each_mut().map(|by| by.par_chunks_mut(shape.row()));
            q.zip(k)
                .zip(v)
                .zip(gradient.slice().par_chunks(shape.row()))
                .zip(weights.slice().par_chunks(shape.heads * shape.square()))
                .enumerate()
                .for_each(|(row, ((((q, k), v), gradient), weights))| {
                    self.backward_row(row, gradient, weights, [q, k, v]);
                });
        }
        let mut wanted = wanted.into_iter();
        let dims = [shape.batch, shape.tokens, shape.hidden];
        by.map(|by| (wanted.next() == Some(true)).then(|| Values::from_buffer(by, &dims)))
    }
}
