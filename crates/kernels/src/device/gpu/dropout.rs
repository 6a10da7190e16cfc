//! Dropout by counter: the numbers of `crate::philox`, drawn in the kernel that uses them.

use super::sent::sent;
use super::{MOST, on_gpu, room, tensor, threads};
use crate::device::dropout::{Dropped, Rows};
use crate::dropout::{BLOCK, Dropout, HEAD, LANES};
use burn::Tensor;
use cubecl::prelude::*;

/// `x` `[rows, width]` with numbers dropped.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counters are words; p is in [0, 1)"
)]
pub(crate) fn dropped(x: &Tensor<2>, dropped: &Dropped) -> Option<Tensor<2>> {
    let [rows, width] = x.dims();
    let count = rows * width.div_ceil(BLOCK) * LANES;
    let x = on_gpu(x).filter(|_| count <= MOST)?;
    let Dropout { key, draw, p, first } = dropped.dropout;
    let (heads, tokens, from) = match &dropped.rows {
        Rows::Packed(_) => (1, 1, 0),
        Rows::Heads { heads, tokens, from } => (*heads, *tokens, *from),
    };
    let starts = match &dropped.rows {
        Rows::Packed(sequences) => sequences.starts(),
        Rows::Heads { .. } => &[0],
    };
    let starts = sent(starts.iter().map(|start| *start as u32).collect(), &x);
    let packed = matches!(dropped.rows, Rows::Packed(_));
    let y = room(&x, [rows, width]);
    let (cubes, dim) = threads(&x, count);
    let client = x.client.clone();
    dropout_kernel::launch(
        &client,
        cubes,
        dim,
        x.into_buffer_arg(),
        y.clone().into_buffer_arg(),
        starts.into_buffer_arg(),
        width,
        tokens,
        heads,
        from,
        key as u32,
        (key >> 32) as u32 ^ (draw >> 32) as u32,
        draw as u32,
        first as u32,
        (p * (f64::from(u32::MAX) + 1.0)) as u32,
        (1.0 / (1.0 - p)) as f32,
        packed,
    );
    Some(tensor(y))
}

/// A thread draws the four numbers of one counter of a row, as `crate::dropout` lays them out.
#[cube(launch)]
#[expect(clippy::too_many_arguments, reason = "a kernel takes buffers and numbers alone")]
fn dropout_kernel(
    x: &[f32],
    y: &mut [f32],
    starts: &[u32],
    width: usize,
    tokens: usize,
    heads: usize,
    from: usize,
    key: u32,
    second_key: u32,
    draw: u32,
    first: u32,
    threshold: u32,
    kept: f32,
    #[comptime] packed: bool,
) {
    let counters = width.div_ceil(BLOCK) * LANES;
    let row = ABSOLUTE_POS / counters;
    let counter = ABSOLUTE_POS % counters;
    if row * width < y.len() {
        let mut token = from + row % tokens;
        let mut sequence = row / tokens / heads;
        let mut head = (row / tokens) % heads;
        if packed {
            // The last sequence that begins at the row or before it.
            let mut low = 0usize;
            let mut high = starts.len();
            while high - low > 1 {
                let middle = (low + high) / 2;
                if starts[middle] as usize <= row {
                    low = middle;
                } else {
                    high = middle;
                }
            }
            sequence = low;
            token = row - starts[low] as usize;
            head = 0usize;
        }
        let mut a = (head * HEAD + counter) as u32;
        let mut b = token as u32;
        let mut c = first + sequence as u32;
        let mut d = draw;
        let mut one = key;
        let mut other = second_key;
        for _ in 0..10 {
            let low_a = a * 0xd251_1f53u32;
            let high_a = a.mul_hi(0xd251_1f53u32);
            let low_c = c * 0xcd9e_8d57u32;
            let high_c = c.mul_hi(0xcd9e_8d57u32);
            a = high_c ^ b ^ one;
            c = high_a ^ d ^ other;
            b = low_c;
            d = low_a;
            one += 0x9e37_79b9u32;
            other += 0xbb67_ae85u32;
        }
        let column = (counter / LANES) * BLOCK + counter % LANES;
        let at = row * width + column;
        keep(x, y, at, column < width, a >= threshold, kept);
        keep(x, y, at + LANES, column + LANES < width, b >= threshold, kept);
        keep(x, y, at + 2 * LANES, column + 2 * LANES < width, c >= threshold, kept);
        keep(x, y, at + 3 * LANES, column + 3 * LANES < width, d >= threshold, kept);
    }
}

#[cube]
fn keep(x: &[f32], y: &mut [f32], at: usize, inside: bool, keeps: bool, kept: f32) {
    if inside {
        let mut factor = 0.0f32;
        if keeps {
            factor = kept;
        }
        y[at] = x[at] * factor;
    }
}
