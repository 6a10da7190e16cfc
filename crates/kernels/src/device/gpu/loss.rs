//! Cross-entropy, a cube a row.

use super::cube::{cubes, dim, largest_of_all, sum_of_all, threads};
use super::{on_gpu, room, tensor, whole_numbers};
use burn::Tensor;
use burn::tensor::Int;
use cubecl::prelude::*;

/// The losses of the rows of `logits` `[rows, outputs]`, and of each the largest logit and the logarithm of the sum of the
/// powers of what lies below it: `[rows]`. Their sum would round the second away where the first is large.
#[expect(clippy::cast_possible_truncation, reason = "rounding to f32 is meant")]
pub(crate) fn cross_entropy(
    logits: &Tensor<2>,
    labels: &Tensor<1, Int>,
    smoothing: f64,
) -> Option<[Tensor<1>; 3]> {
    let [rows, outputs] = logits.dims();
    let (logits, labels) = (on_gpu(logits)?, whole_numbers(labels)?);
    if outputs == 0 {
        return None;
    }
    let [losses, largest, logarithms] = [(); 3].map(|()| room(&logits, [rows]));
    if rows * outputs > 0 {
        cross_entropy_kernel::launch(
            &logits.client.clone(),
            cubes(rows),
            dim(threads(outputs)),
            logits.into_buffer_arg(),
            labels.into_buffer_arg(),
            losses.clone().into_buffer_arg(),
            largest.clone().into_buffer_arg(),
            logarithms.clone().into_buffer_arg(),
            outputs,
            smoothing as f32,
            smoothing > 0.0,
            threads(outputs),
        );
    }
    Some([losses, largest, logarithms].map(tensor))
}

#[cube(launch)]
#[expect(clippy::too_many_arguments, reason = "a kernel takes buffers and numbers alone")]
fn cross_entropy_kernel(
    logits: &[f32],
    labels: &[i32],
    losses: &mut [f32],
    largest_of_rows: &mut [f32],
    logarithms: &mut [f32],
    outputs: usize,
    smoothing: f32,
    #[comptime] smoothed: bool,
    #[comptime] threads: usize,
) {
    let mut shared = Shared::new_slice(threads);
    let row = CUBE_POS;
    if row < losses.len() {
        let first = row * outputs;
        let unit = UNIT_POS as usize;
        let mut largest = logits[first];
        let mut sum = 0.0f32;
        let mut i = unit;
        while i < outputs {
            largest = max(largest, logits[first + i]);
            sum += logits[first + i];
            i += threads;
        }
        let largest = largest_of_all(largest, &mut shared, threads);
        let mean = sum_of_all(sum, &mut shared, threads) / outputs as f32;
        let mut powers = 0.0f32;
        i = unit;
        while i < outputs {
            powers += (logits[first + i] - largest).exp();
            i += threads;
        }
        let logarithm = sum_of_all(powers, &mut shared, threads).ln();
        if unit == 0 {
            // Differences from the largest first: they are small where the logits are large.
            let right = logits[first + labels[row] as usize] - largest - logarithm;
            if smoothed {
                let spread = mean - largest - logarithm;
                losses[row] = -(right * (1.0f32 - smoothing) + spread * smoothing);
            } else {
                losses[row] = -right;
            }
            largest_of_rows[row] = largest;
            logarithms[row] = logarithm;
        }
    }
}

/// The gradient by the logits, for those by the losses, `gradient` `[rows]`.
#[expect(clippy::cast_possible_truncation, reason = "rounding to f32 is meant")]
#[expect(clippy::cast_precision_loss, reason = "outputs are few")]
pub(crate) fn cross_entropy_gradient(
    logits: &Tensor<2>,
    labels: &Tensor<1, Int>,
    [largest, logarithms, gradient]: [&Tensor<1>; 3],
    smoothing: f64,
) -> Option<Tensor<2>> {
    let [rows, outputs] = logits.dims();
    let (logits, labels) = (on_gpu(logits)?, whole_numbers(labels)?);
    let (largest, logarithms) = (on_gpu(largest)?, on_gpu(logarithms)?);
    let gradient = on_gpu(gradient)?;
    let y = room(&logits, [rows, outputs]);
    if rows * outputs > 0 {
        let (cubes, dim) = super::threads(&logits, rows * outputs);
        cross_entropy_gradient_kernel::launch(
            &logits.client.clone(),
            cubes,
            dim,
            logits.into_buffer_arg(),
            labels.into_buffer_arg(),
            largest.into_buffer_arg(),
            logarithms.into_buffer_arg(),
            gradient.into_buffer_arg(),
            y.clone().into_buffer_arg(),
            outputs,
            (1.0 - smoothing) as f32,
            (smoothing / outputs as f64) as f32,
        );
    }
    Some(tensor(y))
}

/// g (p − t), where t is the smoothed distribution of the label.
#[cube(launch)]
#[expect(clippy::too_many_arguments, reason = "a kernel takes buffers and numbers alone")]
fn cross_entropy_gradient_kernel(
    logits: &[f32],
    labels: &[i32],
    largest: &[f32],
    logarithms: &[f32],
    gradient: &[f32],
    y: &mut [f32],
    outputs: usize,
    right: f32,
    spread: f32,
) {
    let i = ABSOLUTE_POS;
    if i < y.len() {
        let (row, output) = (i / outputs, i % outputs);
        let mut p = (logits[i] - largest[row] - logarithms[row]).exp();
        if labels[row] as usize == output {
            p -= right;
        }
        y[i] = gradient[row] * (p - spread);
    }
}
