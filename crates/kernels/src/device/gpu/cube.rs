//! Sums that the threads of one cube make together.

use cubecl::prelude::*;

/// Cubes along one axis, at most, on every kind of device.
const MOST: usize = 65_535;

/// A cube for each of so many rows or columns; [`CUBE_POS`] may lie beyond the last.
pub(super) fn cubes(count: usize) -> CubeCount {
    let (wide, high) = tiles(count);
    CubeCount::Static(wide, high, 1)
}

/// The same along two axes.
#[expect(clippy::cast_possible_truncation, reason = "tensors have less than 2^32 numbers")]
pub(super) fn tiles(count: usize) -> (u32, u32) {
    let wide = count.min(MOST);
    (wide as u32, count.div_ceil(wide.max(1)) as u32)
}

/// Threads of a cube that sums so many numbers: a power of two.
pub(super) fn threads(count: usize) -> usize {
    count.next_power_of_two().clamp(32, 256)
}

/// A cube of so many threads.
pub(super) fn dim(threads: usize) -> CubeDim {
    #[expect(clippy::cast_possible_truncation, reason = "at most 256")]
    CubeDim::new_1d(threads as u32)
}

/// The sum of the numbers that the threads hold, by halves, in `shared`, which has a place for each.
#[cube]
pub(super) fn sum_of_all(own: f32, shared: &mut [f32], #[comptime] threads: usize) -> f32 {
    let unit = UNIT_POS as usize;
    shared[unit] = own;
    sync_cube();
    let mut half = comptime!(threads / 2).runtime();
    while half > 0 {
        if unit < half {
            let other = shared[unit + half];
            shared[unit] += other;
        }
        sync_cube();
        half /= 2;
    }
    let sum = shared[0];
    sync_cube();
    sum
}

/// The largest of the numbers that the threads hold.
#[cube]
pub(super) fn largest_of_all(own: f32, shared: &mut [f32], #[comptime] threads: usize) -> f32 {
    let unit = UNIT_POS as usize;
    shared[unit] = own;
    sync_cube();
    let mut half = comptime!(threads / 2).runtime();
    while half > 0 {
        if unit < half {
            let other = shared[unit + half];
            shared[unit] = max(shared[unit], other);
        }
        sync_cube();
        half /= 2;
    }
    let largest = shared[0];
    sync_cube();
    largest
}
