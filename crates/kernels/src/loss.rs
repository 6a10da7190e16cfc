//! Cross-entropy, and the logarithms of probabilities.

use crate::buffer::Buffer;
use crate::device;
use crate::host::{Host, Operation, Values, record};
use crate::lanes::{LANES, Sums};
use crate::softmax::{largest, power, softmax_row};
use ::activation::arch;
use burn::Tensor;
use burn::tensor::{Int, activation};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;
use std::sync::Arc;

/// Numbers that one task takes on.
const TASK: usize = 1 << 14;

fn task_rows(outputs: usize) -> usize {
    (TASK / outputs.max(1)).max(1)
}

/// ln Σ exp(x) of a row, without overflow.
fn log_sum_exp(row: &[f32]) -> f64 {
    struct Row<'a>(&'a [f32]);

    impl WithSimd for Row<'_> {
        type Output = f64;

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) -> f64 {
            let largest = largest(simd, self.0);
            let subtracted = simd.splat_f32s(largest);
            let (registers, rest) = S::as_simd_f32s(self.0);
            let mut sums = Sums::<S>::new(simd);
            Sums::<S>::each(
                registers.len(),
                #[inline(always)]
                |i, sum| {
                    sums.0[sum] = simd.add_f32s(sums.0[sum], power(simd, registers[i], subtracted));
                },
            );
            if !rest.is_empty() {
                // Written and read again: with zeros behind the end.
                let mut memory = [0.0; LANES];
                let memory = &mut memory[..rest.len()];
                let powers = power(simd, simd.partial_load_f32s(rest), subtracted);
                simd.partial_store_f32s(memory, powers);
                let sum = sums.at(registers.len());
                *sum = simd.add_f32s(*sum, simd.partial_load_f32s(memory));
            }
            f64::from(largest) + libm::log(f64::from(sums.total()))
        }
    }

    arch().dispatch(Row(row))
}

/// Sum of a row.
fn row_sum(row: &[f32]) -> f64 {
    struct Row<'a>(&'a [f32]);

    impl WithSimd for Row<'_> {
        type Output = f64;

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) -> f64 {
            let (registers, rest) = S::as_simd_f32s(self.0);
            let mut sums = Sums::<S>::new(simd);
            Sums::<S>::each(
                registers.len(),
                #[inline(always)]
                |i, sum| sums.0[sum] = simd.add_f32s(sums.0[sum], registers[i]),
            );
            if !rest.is_empty() {
                let sum = sums.at(registers.len());
                *sum = simd.add_f32s(*sum, simd.partial_load_f32s(rest));
            }
            f64::from(sums.total())
        }
    }

    arch().dispatch(Row(row))
}

/// Cross-entropy of each row of `logits` `[rows, outputs]` in nats, `[rows]`, for what is right in it, `labels`;
/// `smoothing` is spread evenly over all outputs (Szegedy et al. 2016).
///
/// # Panics
/// If there is no such output.
#[must_use]
pub fn cross_entropy(logits: Tensor<2>, labels: Tensor<1, Int>, smoothing: f64) -> Tensor<1> {
    let [rows, outputs] = logits.dims();
    assert_eq!(labels.dims(), [rows], "a label for each row");
    let Some(host) = Host::of(&logits) else {
        return device::loss::cross_entropy(logits, labels, smoothing);
    };
    let labels: Arc<[usize]> = labels
        .into_data()
        .iter::<i64>()
        .map(|label| usize::try_from(label).expect("outputs are counted from 0"))
        .collect();
    let loss = CrossEntropy { logits: host.values(), labels, outputs, smoothing };
    let mut y = Buffer::take(rows);
    let rows = loss.logits.slice().par_chunks_exact(outputs.max(1)).zip(&loss.labels[..]);
    y.par_iter_mut()
        .with_min_len(task_rows(outputs))
        .zip(rows)
        .for_each(|(y, (row, label))| *y = loss.of_row(row, *label));
    let y = Values::from_buffer(y, &[loss.labels.len()]);
    record([host], y, || loss).into_tensor()
}

#[derive(Debug, Clone)]
struct CrossEntropy {
    logits: Values,
    labels: Arc<[usize]>,
    outputs: usize,
    smoothing: f64,
}

impl CrossEntropy {
    #[expect(clippy::cast_possible_truncation, reason = "rounding to f32 is meant")]
    #[expect(clippy::cast_precision_loss, reason = "outputs are few")]
    fn of_row(&self, row: &[f32], label: usize) -> f32 {
        let all = log_sum_exp(row);
        let right = f64::from(row[label]) - all;
        if self.smoothing == 0.0 {
            return -right as f32;
        }
        let mean = row_sum(row) / self.outputs as f64 - all;
        -(right * (1.0 - self.smoothing) + mean * self.smoothing) as f32
    }
}

impl Operation<1> for CrossEntropy {
    /// g (p − t), where t is the smoothed distribution of the label.
    #[expect(clippy::cast_possible_truncation, reason = "rounding to f32 is meant")]
    #[expect(clippy::cast_precision_loss, reason = "outputs are few")]
    fn backward(self, gradient: Values, _: [bool; 1]) -> [Option<Values>; 1] {
        let Self { logits, labels, outputs, smoothing } = self;
        let spread = (smoothing / outputs.max(1) as f64) as f32;
        let right = (1.0 - smoothing) as f32;
        let mut by_x = Buffer::take(logits.slice().len());
        by_x.par_chunks_exact_mut(outputs.max(1))
            .with_min_len(task_rows(outputs))
            .zip(logits.slice().par_chunks_exact(outputs.max(1)))
            .zip(labels.par_iter().zip(gradient.slice()))
            .for_each(|((by_x, x), (label, gradient))| {
                by_x.copy_from_slice(x);
                softmax_row(by_x);
                by_x[*label] -= right;
                arch().dispatch(
                    #[inline(always)]
                    || by_x.iter_mut().for_each(|p| *p = gradient * (*p - spread)),
                );
            });
        [Some(Values::from_buffer(by_x, &[labels.len(), outputs]))]
    }
}

/// Natural logarithms of the probabilities that `logits` `[rows, outputs]` give; without a tape.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "rounding to f32 is meant")]
pub fn log_probabilities(logits: Tensor<2>) -> Tensor<2> {
    let Some(host @ Host::Plain(_)) = Host::of(&logits) else {
        return activation::log_softmax(logits, 1);
    };
    let [rows, outputs] = logits.dims();
    let values = host.values();
    let mut y = Buffer::take(rows * outputs);
    y.par_chunks_exact_mut(outputs.max(1))
        .with_min_len(task_rows(outputs))
        .zip(values.slice().par_chunks_exact(outputs.max(1)))
        .for_each(|(y, x)| {
            let all = log_sum_exp(x);
            y.iter_mut().zip(x).for_each(|(y, x)| *y = (f64::from(*x) - all) as f32);
        });
    Values::from_buffer(y, &[rows, outputs]).into_tensor()
}
