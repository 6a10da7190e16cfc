//! The gradient of an embedding: rows of one token are added in the order of the batch. Atomic additions have no fixed order.
//!
//! Every row is compared with every other, which takes some milliseconds for 65,536 rows.

use super::cube::{cubes, dim, threads};
use super::{on_gpu, tensor, whole_numbers};
use burn::Tensor;
use burn::tensor::{DType, Int};
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use cubecl::prelude::*;

/// Threads that look for the rows with one token.
const THREADS: usize = 64;

/// Of each of so many tokens the sum of the rows of `gradient` `[rows, width]` that `tokens` gives it:
/// `[entries, width]`.
pub(crate) fn sums_by_token(
    tokens: &Tensor<1, Int>,
    gradient: &Tensor<2>,
    entries: usize,
) -> Option<Tensor<2>> {
    let [rows, width] = gradient.dims();
    let tokens = whole_numbers(tokens)?;
    let y = on_gpu(&Tensor::<2>::zeros([entries, width], (&gradient.device(), DType::F32)))?;
    let gradient = on_gpu(gradient)?;
    if rows * width > 0 {
        let (client, device) = (gradient.client.clone(), gradient.device.clone());
        let [next, first] = [(); 2].map(|()| {
            let (client, device) = (client.clone(), device.clone());
            empty_device_contiguous_dtype(client, device, [rows].into(), DType::U32)
        });
        neighbours_kernel::launch(
            &client,
            cubes(rows),
            dim(THREADS),
            tokens.clone().into_buffer_arg(),
            next.clone().into_buffer_arg(),
            first.clone().into_buffer_arg(),
            rows,
        );
        sums_kernel::launch(
            &client,
            cubes(rows),
            dim(threads(width)),
            tokens.into_buffer_arg(),
            next.into_buffer_arg(),
            first.into_buffer_arg(),
            gradient.into_buffer_arg(),
            y.clone().into_buffer_arg(),
            rows,
            width,
            threads(width),
        );
    }
    Some(tensor(y))
}

/// Of each row the next one with its token, `rows` where there is none, and whether it is the first with it.
#[cube(launch)]
fn neighbours_kernel(tokens: &[i32], next: &mut [u32], first: &mut [u32], rows: usize) {
    let mut nexts = Shared::<[u32]>::new_slice(THREADS);
    let mut firsts = Shared::<[u32]>::new_slice(THREADS);
    let row = CUBE_POS;
    let unit = UNIT_POS as usize;
    if row < rows {
        let token = tokens[row];
        let mut next_of = rows as u32;
        let mut first_of = row as u32;
        let mut i = unit;
        while i < rows {
            if tokens[i] == token {
                if i > row {
                    next_of = min(next_of, i as u32);
                } else {
                    first_of = min(first_of, i as u32);
                }
            }
            i += THREADS;
        }
        nexts[unit] = next_of;
        firsts[unit] = first_of;
        sync_cube();
        let mut half = comptime!(THREADS / 2).runtime();
        while half > 0 {
            if unit < half {
                let (other_next, other_first) = (nexts[unit + half], firsts[unit + half]);
                nexts[unit] = min(nexts[unit], other_next);
                firsts[unit] = min(firsts[unit], other_first);
            }
            sync_cube();
            half /= 2;
        }
        if unit == 0 {
            next[row] = nexts[0];
            first[row] = firsts[0];
        }
    }
}

/// A cube for the first row with a token goes from each row with it to the next.
#[cube(launch)]
#[expect(clippy::too_many_arguments, reason = "a kernel takes buffers and numbers alone")]
fn sums_kernel(
    tokens: &[i32],
    next: &[u32],
    first: &[u32],
    gradient: &[f32],
    y: &mut [f32],
    rows: usize,
    width: usize,
    #[comptime] threads: usize,
) {
    let row = CUBE_POS;
    if row < rows {
        if first[row] as usize == row {
            let mut column = UNIT_POS as usize;
            while column < width {
                let mut sum = 0.0f32;
                let mut at = row;
                while at < rows {
                    sum += gradient[at * width + column];
                    at = next[at] as usize;
                }
                y[tokens[row] as usize * width + column] = sum;
                column += threads;
            }
        }
    }
}
