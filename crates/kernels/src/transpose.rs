//! Transposed copies of matrices.

use rayon::prelude::*;

/// Rows and columns of what lies in registers at once.
const BLOCK: usize = 8;

/// Columns that are one task's.
const TASK: usize = 64;

/// Writes the columns of `from` as rows of `to`, without gaps; rows of `from` are `stride` apart.
/// Several threads share it if `parallel`.
///
/// # Panics
/// If a slice is too short.
pub(crate) fn transpose(
    from: &[f32],
    [rows, columns]: [usize; 2],
    stride: usize,
    to: &mut [f32],
    parallel: bool,
) {
    if rows == 0 || columns == 0 {
        return;
    }
    assert!((rows - 1) * stride + columns <= from.len(), "a matrix in its slice");
    assert_eq!(to.len(), rows * columns, "a place for each number");
    let task = |(i, to): (usize, &mut [f32])| {
        let slab = Slab { from: &from[i * TASK..], rows, stride };
        slab.transpose(to);
    };
    if parallel {
        to.par_chunks_mut(TASK * rows).enumerate().for_each(task);
    } else {
        to.chunks_mut(TASK * rows).enumerate().for_each(task);
    }
}

/// The first columns of a matrix.
struct Slab<'a> {
    from: &'a [f32],
    rows: usize,
    stride: usize,
}

impl Slab<'_> {
    /// As many columns as `to` has rows.
    fn transpose(&self, to: &mut [f32]) {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx") {
            // SAFETY: the processor has AVX.
            unsafe { self.by_avx(to) };
            return;
        }
        self.by(to, plain);
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx")]
    fn by_avx(&self, to: &mut [f32]) {
        self.by(to, |from, stride, to, to_stride| {
            // SAFETY: inside this function the processor has AVX; `by` gives whole blocks.
            unsafe { avx(from, stride, to, to_stride) }
        });
    }

    /// `block` copies 8 × 8 numbers: its slices hold that many at the strides that it is given.
    #[inline(always)]
    fn by(&self, to: &mut [f32], block: impl Fn(&[f32], usize, &mut [f32], usize)) {
        let Self { from, rows, stride } = *self;
        let columns = to.len() / rows;
        let whole = |n: usize| n / BLOCK * BLOCK;
        // Along the rows of the result: its cache lines are filled one after the other.
        for column in (0..whole(columns)).step_by(BLOCK) {
            for row in (0..whole(rows)).step_by(BLOCK) {
                let from = &from[row * stride + column..][..(BLOCK - 1) * stride + BLOCK];
                let to = &mut to[column * rows + row..][..(BLOCK - 1) * rows + BLOCK];
                block(from, stride, to, rows);
            }
        }
        for column in 0..columns {
            let done = if column < whole(columns) { whole(rows) } else { 0 };
            for row in done..rows {
                to[column * rows + row] = from[row * stride + column];
            }
        }
    }
}

#[inline(always)]
fn plain(from: &[f32], stride: usize, to: &mut [f32], to_stride: usize) {
    for column in 0..BLOCK {
        for row in 0..BLOCK {
            to[column * to_stride + row] = from[row * stride + column];
        }
    }
}

/// # Safety
/// The slices must hold 8 × 8 numbers at their strides.
#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx")]
unsafe fn avx(from: &[f32], stride: usize, to: &mut [f32], to_stride: usize) {
    use std::arch::x86_64::{
        _mm_loadu_ps, _mm256_castps128_ps256, _mm256_insertf128_ps, _mm256_shuffle_ps,
        _mm256_storeu_ps, _mm256_unpackhi_ps, _mm256_unpacklo_ps,
    };
    let (from, to) = (from.as_ptr(), to.as_mut_ptr());
    for half in 0..2 {
        // Rows `i` and `i + 4`, four columns of each.
        let pair = |i: usize| {
            // SAFETY: rows 0 to 7 and columns 0 to 7 are there, as the caller promises.
            unsafe {
                let low = _mm_loadu_ps(from.add(i * stride + 4 * half));
                let high = _mm_loadu_ps(from.add((i + 4) * stride + 4 * half));
                _mm256_insertf128_ps::<1>(_mm256_castps128_ps256(low), high)
            }
        };
        let (a, b, c, d) = (pair(0), pair(1), pair(2), pair(3));
        let (ab, cd) = (_mm256_unpacklo_ps(a, b), _mm256_unpacklo_ps(c, d));
        let (ab_high, cd_high) = (_mm256_unpackhi_ps(a, b), _mm256_unpackhi_ps(c, d));
        let columns = [
            _mm256_shuffle_ps::<0b01_00_01_00>(ab, cd),
            _mm256_shuffle_ps::<0b11_10_11_10>(ab, cd),
            _mm256_shuffle_ps::<0b01_00_01_00>(ab_high, cd_high),
            _mm256_shuffle_ps::<0b11_10_11_10>(ab_high, cd_high),
        ];
        for (i, column) in columns.into_iter().enumerate() {
            // SAFETY: as above, of the result.
            unsafe { _mm256_storeu_ps(to.add((4 * half + i) * to_stride), column) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_become_rows() {
        for [rows, columns] in [[1, 1], [8, 8], [7, 9], [16, 65], [33, 130], [0, 3], [3, 0]] {
            let stride = columns + 3;
            let from: Vec<f32> = (0_u16..).take(rows * stride).map(f32::from).collect();
            let expected: Vec<f32> = (0..columns)
                .flat_map(|column| (0..rows).map(move |row| row * stride + column))
                .map(|i| from[i])
                .collect();
            for parallel in [false, true] {
                let mut to = vec![f32::NAN; rows * columns];
                transpose(&from, [rows, columns], stride, &mut to, parallel);
                assert_eq!(to, expected, "{rows} × {columns}");
            }
        }
    }

    #[test]
    fn blocks_agree_with_the_bounds_checked_twin() {
        let from: Vec<f32> = (0_u16..100).map(f32::from).collect();
        let (mut slab, mut twin) = (vec![0.0; 80], vec![0.0; 80]);
        let matrix = Slab { from: &from, rows: 10, stride: 10 };
        matrix.transpose(&mut slab);
        matrix.by(&mut twin, plain);
        assert_eq!(slab, twin);
    }

    #[test]
    #[should_panic(expected = "a matrix in its slice")]
    fn short_slices_are_refused() {
        transpose(&[0.0; 11], [3, 4], 4, &mut [0.0; 12], false);
    }
}
