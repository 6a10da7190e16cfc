//! Rows of tokens as heads of sequences, and back: in one kernel what is a padding, a split and a transposition.

use super::sent::sent;
use super::{MOST, on_gpu, room, tensor, threads};
use crate::sequences::Sequences;
use burn::Tensor;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

/// The starts of sequences, and the end of the last, on the device of `like`.
#[expect(clippy::cast_possible_truncation, reason = "rows are counted by 32 bits")]
fn offsets(sequences: &Sequences, like: &CubeTensor) -> CubeTensor {
    let offsets = sequences.starts().iter().copied().chain([sequences.rows()]);
    sent(offsets.map(|offset| offset as u32).collect(), like)
}

/// `N` parts, one or three, of `rows` `[rows, N · heads · width]`: `[sequences, heads, longest, width]` each, with zeros behind
/// shorter sequences.
pub(crate) fn split_heads<const N: usize>(
    rows: &Tensor<2>,
    sequences: &Sequences,
    heads: usize,
) -> Option<[Tensor<4>; N]> {
    assert!(N == 1 || N == 3, "one part or three");
    let [_, joined] = rows.dims();
    let rows = on_gpu(rows)?;
    let (count, longest, width) = (sequences.count(), sequences.longest(), joined / N / heads);
    let numbers = count * heads * longest * width;
    if numbers > MOST {
        return None;
    }
    let parts: [CubeTensor; N] =
        std::array::from_fn(|_| room(&rows, [count, heads, longest, width]));
    if numbers > 0 {
        let offsets = offsets(sequences, &rows);
        let (cubes, dim) = threads(&rows, numbers);
        // What is absent is not written; another takes its place.
        let [first, second, third] = [0, N / 2, N - 1].map(|i| parts[i].clone());
        split_heads_kernel::launch(
            &rows.client.clone(),
            cubes,
            dim,
            rows.into_buffer_arg(),
            offsets.into_buffer_arg(),
            first.into_buffer_arg(),
            second.into_buffer_arg(),
            third.into_buffer_arg(),
            heads,
            longest,
            width,
            N == 3,
        );
    }
    Some(parts.map(tensor))
}

#[cube(launch)]
#[expect(clippy::too_many_arguments, reason = "a kernel takes buffers and numbers alone")]
fn split_heads_kernel(
    rows: &[f32],
    offsets: &[u32],
    first: &mut [f32],
    second: &mut [f32],
    third: &mut [f32],
    #[comptime] heads: usize,
    longest: usize,
    #[comptime] width: usize,
    #[comptime] three: bool,
) {
    let i = ABSOLUTE_POS;
    if i < first.len() {
        let column = i % width;
        let token = (i / width) % longest;
        let head = (i / width / longest) % heads;
        let sequence = i / width / longest / heads;
        let row = offsets[sequence] as usize + token;
        let inside = row < offsets[sequence + 1] as usize;
        let hidden = heads * width;
        let mut parts = 1usize;
        if three {
            parts = 3usize;
        }
        let at = row * parts * hidden + head * width + column;
        let mut a = 0.0f32;
        let mut b = 0.0f32;
        let mut c = 0.0f32;
        if inside {
            a = rows[at];
            if three {
                b = rows[at + hidden];
                c = rows[at + 2 * hidden];
            }
        }
        first[i] = a;
        if three {
            second[i] = b;
            third[i] = c;
        }
    }
}

/// The way back of [`split_heads`].
pub(crate) fn join_heads<const N: usize>(
    parts: &[Tensor<4>; N],
    sequences: &Sequences,
) -> Option<Tensor<2>> {
    assert!(N == 1 || N == 3, "one part or three");
    let [_, heads, longest, width] = parts[0].dims();
    let on_device: Vec<CubeTensor> = parts.iter().map(on_gpu).collect::<Option<_>>()?;
    let (rows, hidden) = (sequences.rows(), heads * width);
    if N * rows * hidden > MOST {
        return None;
    }
    let y = room(&on_device[0], [rows, N * hidden]);
    if rows * hidden > 0 {
        let offsets = offsets(sequences, &y);
        let (cubes, dim) = threads(&y, rows * hidden);
        // What is absent is not read; another takes its place.
        let [first, second, third] = [0, N / 2, N - 1].map(|i| on_device[i].clone());
        join_heads_kernel::launch(
            &y.client.clone(),
            cubes,
            dim,
            first.into_buffer_arg(),
            second.into_buffer_arg(),
            third.into_buffer_arg(),
            offsets.into_buffer_arg(),
            y.clone().into_buffer_arg(),
            heads,
            longest,
            width,
            N == 3,
        );
    }
    Some(tensor(y))
}

#[cube(launch)]
#[expect(clippy::too_many_arguments, reason = "a kernel takes buffers and numbers alone")]
fn join_heads_kernel(
    first: &[f32],
    second: &[f32],
    third: &[f32],
    offsets: &[u32],
    y: &mut [f32],
    #[comptime] heads: usize,
    longest: usize,
    #[comptime] width: usize,
    #[comptime] three: bool,
) {
    let hidden = heads * width;
    let row = ABSOLUTE_POS / hidden;
    let column = ABSOLUTE_POS % hidden;
    if row < offsets[offsets.len() - 1] as usize {
        // The last sequence that begins at the row or before it.
        let mut low = 0usize;
        let mut high = offsets.len() - 1;
        while high - low > 1 {
            let middle = (low + high) / 2;
            if offsets[middle] as usize <= row {
                low = middle;
            } else {
                high = middle;
            }
        }
        let token = row - offsets[low] as usize;
        let head = column / width;
        let from = ((low * heads + head) * longest + token) * width + column % width;
        let mut parts = 1usize;
        if three {
            parts = 3usize;
        }
        let at = row * parts * hidden + column;
        y[at] = first[from];
        if three {
            y[at + hidden] = second[from];
            y[at + 2 * hidden] = third[from];
        }
    }
}

/// Three matrices of one shape side by side: `[rows, 3 · width]`.
pub(crate) fn side_by_side(parts: &[Tensor<2>; 3]) -> Option<Tensor<2>> {
    let [rows, width] = parts[0].dims();
    let [a, b, c] = [on_gpu(&parts[0])?, on_gpu(&parts[1])?, on_gpu(&parts[2])?];
    if 3 * rows * width > MOST {
        return None;
    }
    let y = room(&a, [rows, 3 * width]);
    if rows * width > 0 {
        let (cubes, dim) = threads(&a, rows * width);
        let client = a.client.clone();
        side_by_side_kernel::launch(
            &client,
            cubes,
            dim,
            a.into_buffer_arg(),
            b.into_buffer_arg(),
            c.into_buffer_arg(),
            y.clone().into_buffer_arg(),
            width,
        );
    }
    Some(tensor(y))
}

#[cube(launch)]
fn side_by_side_kernel(a: &[f32], b: &[f32], c: &[f32], y: &mut [f32], width: usize) {
    let i = ABSOLUTE_POS;
    if i < a.len() {
        let at = (i / width) * 3 * width + i % width;
        y[at] = a[i];
        y[at + width] = b[i];
        y[at + 2 * width] = c[i];
    }
}

/// The way back of [`side_by_side`].
pub(crate) fn apart(x: &Tensor<2>) -> Option<[Tensor<2>; 3]> {
    let [rows, joined] = x.dims();
    let width = joined / 3;
    let x = on_gpu(x)?;
    let parts: [CubeTensor; 3] = std::array::from_fn(|_| room(&x, [rows, width]));
    if rows * width > 0 {
        let (cubes, dim) = threads(&x, rows * width);
        let client = x.client.clone();
        let [a, b, c] = parts.clone();
        apart_kernel::launch(
            &client,
            cubes,
            dim,
            x.into_buffer_arg(),
            a.into_buffer_arg(),
            b.into_buffer_arg(),
            c.into_buffer_arg(),
            width,
        );
    }
    Some(parts.map(tensor))
}

#[cube(launch)]
fn apart_kernel(x: &[f32], a: &mut [f32], b: &mut [f32], c: &mut [f32], width: usize) {
    let i = ABSOLUTE_POS;
    if i < a.len() {
        let at = (i / width) * 3 * width + i % width;
        a[i] = x[at];
        b[i] = x[at + width];
        c[i] = x[at + 2 * width];
    }
}
