//! Embeddings.

use crate::buffer::Buffer;
use crate::device;
use crate::host::{Host, Operation, Values, record};
use burn::Tensor;
use burn::tensor::Int;
use rayon::prelude::*;

/// Numbers that one task writes.
const TASK: usize = 1 << 16;

/// Rows of `weight` `[entries, width]` that `tokens` `[rows]` name: `[rows, width]`.
///
/// # Panics
/// If there is no such row.
#[must_use]
pub fn embedding(weight: Tensor<2>, tokens: Tensor<1, Int>) -> Tensor<2> {
    let [entries, width] = weight.dims();
    let Some(host) = Host::of(&weight) else {
        return device::embedding::embedding(weight, tokens);
    };
    let tokens: Vec<usize> = tokens
        .into_data()
        .iter::<i64>()
        .map(|token| usize::try_from(token).expect("tokens are counted from 0"))
        .collect();
    let values = host.values();
    let mut y = Buffer::take(tokens.len() * width);
    if width > 0 {
        let numbers = values.slice();
        y.par_chunks_mut(width)
            .with_min_len((TASK / width).max(1))
            .zip(tokens.par_iter())
            .for_each(|(y, token)| y.copy_from_slice(&numbers[token * width..(token + 1) * width]));
    }
    let y = Values::from_buffer(y, &[tokens.len(), width]);
    record([host], y, || Embedding { tokens, entries, width }).into_tensor()
}

#[derive(Debug, Clone)]
struct Embedding {
    tokens: Vec<usize>,
    entries: usize,
    width: usize,
}

impl Operation<1> for Embedding {
    fn backward(self, gradient: Values, _: [bool; 1]) -> [Option<Values>; 1] {
        let Self { tokens, entries, width } = self;
        let mut by_weight = Buffer::take(entries * width);
        // Rows by token; those of one token in the order of the batch, in which they are summed.
        let mut rows: Vec<(usize, usize)> =
            tokens.into_iter().enumerate().map(|(row, token)| (token, row)).collect();
        rows.sort_unstable();
        let gradient = gradient.slice();
        let piece = (TASK / width.max(1)).max(1);
        by_weight.par_chunks_mut((piece * width).max(1)).enumerate().for_each(|(i, sums)| {
            let first = i * piece;
            let from = rows.partition_point(|(token, _)| *token < first);
            sums.fill(0.0);
            let own = rows[from..].iter().take_while(|(token, _)| *token < first + piece);
            for (token, row) in own {
                let sum = &mut sums[(token - first) * width..(token - first + 1) * width];
                let gradient = &gradient[row * width..(row + 1) * width];
                sum.iter_mut().zip(gradient).for_each(|(sum, g)| *sum += g);
            }
        });
        [Some(Values::from_buffer(by_weight, &[entries, width]))]
    }
}
