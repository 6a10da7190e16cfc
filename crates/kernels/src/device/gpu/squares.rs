//! Sums of the squares of tensors: each in parts that follow from its size, several tensors by a kernel.

use super::cube::{cubes, dim, sum_of_all, threads};
use super::{on_gpu, room, tensor};
use burn::Tensor;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

/// Tensors that one kernel takes, at most.
const TOGETHER: usize = 16;

/// Numbers of a part, at least.
const NUMBERS: usize = 8192;

/// Parts of a tensor, at most.
const PARTS: usize = 512;

/// Threads that add up a part.
const THREADS: usize = 256;

/// Tensors of one GPU whose squares are to be added up.
#[derive(Debug, Default)]
pub(crate) struct Squares(Vec<CubeTensor>);

impl Squares {
    /// Adds a tensor, if it is one for these kernels.
    pub(crate) fn push<const D: usize>(&mut self, x: &Tensor<D>) -> bool {
        let Some(x) = on_gpu(x) else { return false };
        self.0.push(x);
        true
    }

    /// The sum of each, `[tensors]`; none where there is no tensor.
    pub(crate) fn sums(self) -> Option<Tensor<1>> {
        let Self(tensors) = self;
        let first = tensors.first()?;
        let stride = tensors.iter().map(parts).max().unwrap_or(1);
        let sums = room(first, [tensors.len() * stride]);
        let bindings = first.client.properties().hardware.max_bindings as usize;
        // The sums are one, and a device adds bindings of its own.
        let together = bindings.saturating_sub(4).clamp(1, TOGETHER);
        for (group, tensors) in tensors.chunks(together).enumerate() {
            let most = tensors.iter().map(parts).max().unwrap_or(1);
            #[expect(clippy::cast_possible_truncation, reason = "there are few parts")]
            let cubes = CubeCount::Static(most as u32, 1, tensors.len() as u32);
            let buffers = tensors.iter().map(|x| x.clone().into_buffer_arg()).collect();
            squares_kernel::launch(
                &first.client,
                cubes,
                dim(THREADS),
                buffers,
                sums.clone().into_buffer_arg(),
                group * together,
                stride,
                THREADS,
            );
        }
        if stride == 1 {
            return Some(tensor(sums));
        }
        let all = room(first, [tensors.len()]);
        let threads = threads(stride);
        rows_kernel::launch(
            &first.client,
            cubes(tensors.len()),
            dim(threads),
            sums.into_buffer_arg(),
            all.clone().into_buffer_arg(),
            stride,
            threads,
        );
        Some(tensor(all))
    }
}

/// What gradients with these sums of squares are multiplied with, so that the norm of all is `largest` at most: `[1]`.
pub(crate) fn clip_factor(sums: &Tensor<1>, largest: f64) -> Option<Tensor<1>> {
    let sums = on_gpu(sums)?;
    let factor = room(&sums, [1]);
    #[expect(clippy::cast_possible_truncation, reason = "what it is multiplied with is f32")]
    clip_factor_kernel::launch(
        &sums.client.clone(),
        cubes(1),
        dim(THREADS),
        sums.into_buffer_arg(),
        factor.clone().into_buffer_arg(),
        largest as f32,
        THREADS,
    );
    Some(tensor(factor))
}

#[cube(launch)]
fn clip_factor_kernel(sums: &[f32], factor: &mut [f32], largest: f32, #[comptime] threads: usize) {
    let mut shared = Shared::new_slice(threads);
    let mut sum = 0.0f32;
    let mut i = UNIT_POS as usize;
    while i < sums.len() {
        sum += sums[i];
        i += threads;
    }
    let norm = sum_of_all(sum, &mut shared, threads).sqrt();
    if UNIT_POS == 0 {
        let mut clipped = 1.0f32;
        if norm > largest {
            clipped = largest / norm;
        }
        factor[0] = clipped;
    }
}

/// Parts of a tensor.
fn parts(x: &CubeTensor) -> usize {
    x.meta.num_elements().div_ceil(NUMBERS).clamp(1, PARTS)
}

/// The sum of the squares of each part of some tensors, which begin at row `first` of `sums`, `[rows, stride]`; zero behind the
/// last part.
#[cube(launch)]
fn squares_kernel(
    tensors: &Sequence<Box<[f32]>>,
    sums: &mut [f32],
    first: usize,
    stride: usize,
    #[comptime] threads: usize,
) {
    let mut shared = Shared::new_slice(threads);
    let (unit, part) = (UNIT_POS as usize, CUBE_POS_X as usize);
    let mut sum = 0.0f32;
    let mut parts = comptime!(0usize).runtime();
    #[unroll]
    for slot in 0..tensors.len() {
        if CUBE_POS_Z as usize == slot {
            let x = tensors.index(slot);
            // As many as the function `parts` says.
            parts = clamp(x.len().div_ceil(NUMBERS), 1, PARTS);
            sum = squares_of_part(x, part, parts, threads);
        }
    }
    let all = sum_of_all(sum, &mut shared, threads);
    let row = (first + CUBE_POS_Z as usize) * stride;
    if unit == 0 && part < parts {
        sums[row + part] = all;
    }
    if part == 0 {
        let mut absent = parts + unit;
        while absent < stride {
            sums[row + absent] = 0.0;
            absent += threads;
        }
    }
}

/// The sum of the squares that a thread takes of a part.
#[cube]
fn squares_of_part(x: &[f32], part: usize, parts: usize, #[comptime] threads: usize) -> f32 {
    let mut sum = 0.0f32;
    if part < parts {
        let mut i = part * threads + UNIT_POS as usize;
        while i < x.len() {
            sum += x[i] * x[i];
            i += parts * threads;
        }
    }
    sum
}

/// The sum of each row of `[rows, columns]`.
#[cube(launch)]
fn rows_kernel(x: &[f32], y: &mut [f32], columns: usize, #[comptime] threads: usize) {
    let mut shared = Shared::new_slice(threads);
    let row = CUBE_POS;
    if row < y.len() {
        let mut sum = 0.0f32;
        let mut column = UNIT_POS as usize;
        while column < columns {
            sum += x[row * columns + column];
            column += threads;
        }
        let all = sum_of_all(sum, &mut shared, threads);
        if UNIT_POS == 0 {
            y[row] = all;
        }
    }
}
