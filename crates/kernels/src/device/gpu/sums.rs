//! Sums of rows and of squares, in parts that follow from the shape.

use super::{on_gpu, room, tensor, threads};
use crate::reduce::RUN;
use burn::Tensor;
use cubecl::prelude::*;

/// Threads that add up the squares of a tensor, at most.
const SQUARES: usize = 4096;

/// Partial sums of the squares of all numbers.
pub(crate) fn square_sums<const D: usize>(x: &Tensor<D>) -> Option<Tensor<1>> {
    let x = on_gpu(x).filter(|x| x.meta.num_elements() > 0)?;
    let parts = x.meta.num_elements().div_ceil(RUN).min(SQUARES);
    let y = room(&x, [parts]);
    let (cubes, dim) = threads(&x, parts);
    let client = x.client.clone();
    square_sums_kernel::launch(
        &client,
        cubes,
        dim,
        x.into_buffer_arg(),
        y.clone().into_buffer_arg(),
    );
    Some(tensor(y))
}

#[cube(launch)]
fn square_sums_kernel(x: &[f32], y: &mut [f32]) {
    let i = ABSOLUTE_POS;
    let parts = y.len();
    if i < parts {
        let mut sum = 0.0f32;
        let count = (x.len() + parts - 1) / parts;
        for run in 0..count {
            let at = run * parts + i;
            if at < x.len() {
                sum += x[at] * x[at];
            }
        }
        y[i] = sum;
    }
}

/// Sums of [`RUN`] rows each, the last of fewer: `[⌈rows / RUN⌉, columns]` of `[rows, columns]`.
pub(crate) fn run_sums(x: &Tensor<2>) -> Option<Tensor<2>> {
    let [rows, columns] = x.dims();
    let x = on_gpu(x)?;
    let runs = rows.div_ceil(RUN).max(1);
    let y = room(&x, [runs, columns]);
    if runs * columns > 0 {
        let (cubes, dim) = threads(&x, runs * columns);
        let client = x.client.clone();
        run_sums_kernel::launch(
            &client,
            cubes,
            dim,
            x.into_buffer_arg(),
            y.clone().into_buffer_arg(),
            rows,
            columns,
        );
    }
    Some(tensor(y))
}

#[cube(launch)]
fn run_sums_kernel(x: &[f32], y: &mut [f32], rows: usize, columns: usize) {
    let i = ABSOLUTE_POS;
    if i < y.len() {
        let column = i % columns;
        let first = (i / columns) * RUN;
        let end = clamp_max(first + RUN, rows);
        let mut sum = 0.0f32;
        for row in first..end {
            sum += x[row * columns + column];
        }
        y[i] = sum;
    }
}

/// For runs of rows of `x` and `other` `[rows, columns]`: the sums of `x`, and those of `x` · (`other` − `mean`), side by
/// side in `[⌈rows / RUN⌉, 2 · columns]`. Without `other` it is `x` − `mean` in place of both.
pub(crate) fn run_moments(
    x: &Tensor<2>,
    other: Option<&Tensor<2>>,
    mean: &Tensor<1>,
) -> Option<Tensor<2>> {
    let [rows, columns] = x.dims();
    let (x, mean) = (on_gpu(x)?, on_gpu(mean)?);
    let centered = other.is_none();
    let other = match other {
        Some(other) => on_gpu(other)?,
        None => x.clone(),
    };
    let runs = rows.div_ceil(RUN).max(1);
    let y = room(&x, [runs, 2 * columns]);
    if runs * columns > 0 {
        let (cubes, dim) = threads(&x, runs * columns);
        let client = x.client.clone();
        run_moments_kernel::launch(
            &client,
            cubes,
            dim,
            x.into_buffer_arg(),
            other.into_buffer_arg(),
            mean.into_buffer_arg(),
            y.clone().into_buffer_arg(),
            rows,
            columns,
            centered,
        );
    }
    Some(tensor(y))
}

#[cube(launch)]
fn run_moments_kernel(
    x: &[f32],
    other: &[f32],
    mean: &[f32],
    y: &mut [f32],
    rows: usize,
    columns: usize,
    #[comptime] centered: bool,
) {
    let i = ABSOLUTE_POS;
    if 2 * i < y.len() {
        let column = i % columns;
        let run = i / columns;
        let first = run * RUN;
        let end = clamp_max(first + RUN, rows);
        let center = mean[column];
        let mut sum = 0.0f32;
        let mut product = 0.0f32;
        for row in first..end {
            let at = row * columns + column;
            let deviation = other[at] - center;
            if centered {
                sum += deviation;
                product += deviation * deviation;
            } else {
                sum += x[at];
                product += x[at] * deviation;
            }
        }
        y[2 * run * columns + column] = sum;
        y[(2 * run + 1) * columns + column] = product;
    }
}
