//! Embeddings.

use crate::buffer::Buffer;
use crate::host::{Host, Operation, Values, record};
use burn::Tensor;
use burn::tensor::Int;
use rayon::prelude::*;
use std::sync::Arc;

/// Numbers that one task writes.
const TASK: usize = 1 << 16;

/// Rows of `weight` `[entries, width]` that `tokens` `[batch, tokens]` name: `[batch, tokens, width]`.
///
/// # Panics
/// If there is no such row.
#[must_use]
pub fn embedding(weight: Tensor<2>, tokens: Tensor<2, Int>) -> Tensor<3> {
    let [entries, width] = weight.dims();
    let [batch, length] = tokens.dims();
    let Some(host) = Host::of(&weight) else {
        let rows = weight.select(0, tokens.reshape([batch * length]));
        return rows.reshape([batch, length, width]);
    };
    let rows: Arc<[usize]> = tokens
        .into_data()
        .iter::<i64>()
        .map(|token| usize::try_from(token).expect("tokens are counted from 0"))
        .collect();
    let values = host.values();
    let mut y = Buffer::take(rows.len() * width);
    if width > 0 {
        let numbers = values.slice();
        y.par_chunks_mut(width)
            .with_min_len((TASK / width).max(1))
            .zip(rows.par_iter())
            .for_each(|(y, row)| y.copy_from_slice(&numbers[row * width..(row + 1) * width]));
    }
    let y = Values::from_buffer(y, &[batch, length, width]);
    record([host], y, || Embedding { rows, entries, width }).into_tensor()
}

#[derive(Debug, Clone)]
struct Embedding {
    rows: Arc<[usize]>,
    entries: usize,
    width: usize,
}

impl Operation<1> for Embedding {
    fn backward(self, gradient: Values, _: [bool; 1]) -> [Option<Values>; 1] {
        let Self { rows, entries, width } = self;
        let mut by_weight = Buffer::take(entries * width);
        by_weight.par_chunks_mut(TASK).for_each(|piece| piece.fill(0.0));
        // In the order of the batch: a token that is there twice is a sum.
        for (row, gradient) in rows.iter().zip(gradient.slice().chunks_exact(width.max(1))) {
            let sum = &mut by_weight[row * width..(row + 1) * width];
            sum.iter_mut().zip(gradient).for_each(|(sum, g)| *sum += g);
        }
        [Some(Values::from_buffer(by_weight, &[entries, width]))]
    }
}
