//! Matrix products, whose every number is the same sum on every machine.
//!
//! Terms are added one after the other by fused multiply-adds, from 0 on, [`DEPTH`] of them at most; `scale` times such
//! a sum is added to the number by another. The `gemm` crate does so too, whatever its registers are, as long as a sum
//! has no more terms than it adds up in one go; but not for vectors and sums of one or two terms, and not without
//! registers: these products are computed here.

use crate::buffer::Buffer;
use crate::transpose::transpose;
use ::activation::arch;
use ::activation::simd::{Width, width};
use gemm::Parallelism;
use rayon::prelude::*;

/// Most terms of a sum that are added up in one go. The `gemm` crate cuts no fewer than these
/// (`gemm_common::cache::kernel_params`), however small the caches of a machine are.
const DEPTH: usize = 512;

/// Columns of a product from which on a left side in columns is copied to rows.
const WIDE: usize = 128;

/// A matrix in a slice, at any strides.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Matrix<'a> {
    pub(crate) numbers: &'a [f32],
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) row_stride: usize,
    pub(crate) column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// Row after row.
    pub(crate) fn new(numbers: &'a [f32], rows: usize, columns: usize) -> Self {
        Self { numbers, rows, columns, row_stride: columns, column_stride: 1 }
    }

    /// Rows at a distance of `row_stride`.
    pub(crate) fn strided(
        numbers: &'a [f32],
        rows: usize,
        columns: usize,
        row_stride: usize,
    ) -> Self {
        Self { numbers, rows, columns, row_stride, column_stride: 1 }
    }

    pub(crate) fn transpose(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    /// `rows` rows, from `row` on.
    fn rows_from(self, row: usize, rows: usize) -> Self {
        Self { numbers: &self.numbers[row * self.row_stride..], rows, ..self }
    }

    /// The same matrix, row after row, in `copy`; it lies column after column.
    fn by_rows<'b>(&self, copy: &'b mut Buffer, threads: Threads) -> Matrix<'b> {
        assert_eq!(self.row_stride, 1, "columns without gaps");
        let sizes = [self.columns, self.rows];
        transpose(self.numbers, sizes, self.column_stride, copy, threads == Threads::All);
        Matrix::new(copy, self.rows, self.columns)
    }

    fn fits(&self) -> bool {
        fits(self.numbers.len(), self.rows, self.columns, self.row_stride, self.column_stride)
    }
}

fn fits(len: usize, rows: usize, columns: usize, row_stride: usize, column_stride: usize) -> bool {
    rows == 0 || columns == 0 || (rows - 1) * row_stride + (columns - 1) * column_stride < len
}

/// Who computes a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Threads {
    /// The calling thread.
    One,
    /// All of the pool. Each number of the result is still one thread's sum.
    All,
}

/// The product of the `gemm` crate, with the instructions of every other kernel.
///
/// # Safety
/// As of [`gemm::gemm`].
#[expect(clippy::too_many_arguments, reason = "those of the function that it stands for")]
unsafe fn gemm(
    m: usize,
    n: usize,
    k: usize,
    c: *mut f32,
    c_row: isize,
    add: bool,
    a: *const f32,
    [a_column, a_row]: [isize; 2],
    b: *const f32,
    [b_column, b_row]: [isize; 2],
    scale: f32,
    parallelism: Parallelism,
) {
    let alpha = if add { 1.0 } else { 0.0 };
    #[cfg(target_arch = "x86_64")]
    if width() != Width::widest() {
        use gemm_common::simd::{MixedSimd, V3};
        use gemm_f32::microkernel::fma::f32::{H_M, H_N, H_UKR, MR_DIV_N, NR, UKR};
        const LANES: usize = 8;
        if let Some(simd) = <V3 as MixedSimd<f32, f32, f32, f32>>::try_new() {
            // Its kernels want columns in `c`: the product of the transposed matrices.
            // SAFETY: the caller's.
            unsafe {
                gemm_common::gemm::gemm_basic_generic::<
                    V3,
                    f32,
                    LANES,
                    { MR_DIV_N * LANES },
                    NR,
                    MR_DIV_N,
                    H_M,
                    H_N,
                >(
                    simd,
                    n,
                    m,
                    k,
                    c,
                    c_row,
                    1,
                    add,
                    b,
                    b_row,
                    b_column,
                    a,
                    a_row,
                    a_column,
                    alpha,
                    scale,
                    false,
                    false,
                    false,
                    |a, b, c| a * b + c,
                    &UKR,
                    &H_UKR,
                    false,
                    parallelism,
                );
            }
            return;
        }
    }
    // SAFETY: the caller's.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            c,
            1,
            c_row,
            add,
            a,
            a_column,
            a_row,
            b,
            b_column,
            b_row,
            alpha,
            scale,
            false,
            false,
            false,
            parallelism,
        );
    }
}

/// Whether the `gemm` crate computes the product of `a` and `b` as [`direct`] does.
fn suits_gemm(a: &Matrix<'_>, b: &Matrix<'_>) -> bool {
    // Otherwise it has loops of their own, in another order or without fused multiply-adds. (Rows of `b` that overlap
    // would be taken for a column.)
    let (m, n, k) = (a.rows, b.columns, a.columns);
    width() != Width::Scalar && m > 1 && n > 1 && k > 2 && b.row_stride > 1
}

/// Sums that [`direct`] computes side by side.
const TILE: usize = 32;

/// Rows that one task of [`direct`] takes on.
const ROWS: usize = 16;

/// The product of `a` and `b`, whose sums are added up in one go.
fn direct(
    a: Matrix<'_>,
    b: Matrix<'_>,
    c: &mut [f32],
    row_stride: usize,
    scale: f32,
    add: bool,
    threads: Threads,
) {
    let rows = |(task, c): (usize, &mut [f32])| {
        let first = task * ROWS;
        let rows = ROWS.min(a.rows - first);
        let a = a.rows_from(first, rows);
        arch().dispatch(
            #[inline(always)]
            || direct_rows(a, b, c, row_stride, scale, add),
        );
    };
    // What is behind the last row belongs to none.
    let size = if a.rows <= ROWS { c.len() } else { ROWS * row_stride };
    let tasks = a.rows.div_ceil(ROWS);
    match threads {
        Threads::One => c.chunks_mut(size).take(tasks).enumerate().for_each(rows),
        Threads::All => c.par_chunks_mut(size).take(tasks).enumerate().for_each(rows),
    }
}

#[inline(always)]
fn direct_rows(
    a: Matrix<'_>,
    b: Matrix<'_>,
    c: &mut [f32],
    row_stride: usize,
    scale: f32,
    add: bool,
) {
    if b.columns == 1 {
        // Rows side by side.
        for first in (0..a.rows).step_by(TILE) {
            let count = TILE.min(a.rows - first);
            let lanes = a.rows_from(first, count).transpose();
            let sums = chains(a.columns, (b.numbers, b.row_stride), lanes);
            for (row, sum) in sums.iter().take(count).enumerate() {
                finish(&mut c[(first + row) * row_stride], *sum, scale, add);
            }
        }
        return;
    }
    for row in 0..a.rows {
        let line = (&a.numbers[row * a.row_stride..], a.column_stride);
        for first in (0..b.columns).step_by(TILE) {
            let count = TILE.min(b.columns - first);
            let lanes =
                Matrix { numbers: &b.numbers[first * b.column_stride..], columns: count, ..b };
            let sums = chains(a.columns, line, lanes);
            let c = &mut c[row * row_stride + first..][..count];
            for (c, sum) in c.iter_mut().zip(sums) {
                finish(c, sum, scale, add);
            }
        }
    }
}

/// A number of the result, with the sum that belongs to it.
#[inline(always)]
fn finish(c: &mut f32, sum: f32, scale: f32, add: bool) {
    *c = if add { scale.mul_add(sum, *c) } else { scale * sum };
}

/// Sums of `k` products of numbers of a line, at a distance of its stride, with the columns of `lanes`.
#[inline(always)]
fn chains(k: usize, (line, stride): (&[f32], usize), lanes: Matrix<'_>) -> [f32; TILE] {
    let mut sums = [0.0_f32; TILE];
    for i in 0..k {
        let x = line[i * stride];
        let row = &lanes.numbers[i * lanes.row_stride..];
        match row.first_chunk::<TILE>() {
            Some(row) if lanes.columns == TILE && lanes.column_stride == 1 => {
                for (sum, y) in sums.iter_mut().zip(row) {
                    *sum = x.mul_add(*y, *sum);
                }
            }
            _ => {
                for (column, sum) in sums.iter_mut().take(lanes.columns).enumerate() {
                    *sum = x.mul_add(row[column * lanes.column_stride], *sum);
                }
            }
        }
    }
    sums
}

/// c = scale · a b, or c += scale · a b; rows of `c` are `row_stride` apart, and the numbers between them stay.
///
/// # Panics
/// If sizes do not agree.
pub(crate) fn multiply(
    a: Matrix<'_>,
    b: Matrix<'_>,
    c: &mut [f32],
    row_stride: usize,
    scale: f32,
    add: bool,
    threads: Threads,
) {
    let (m, n, k) = (a.rows, b.columns, a.columns);
    assert_eq!(k, b.rows, "columns of the left are rows of the right");
    assert!(a.fits() && b.fits() && fits(c.len(), m, n, row_stride, 1), "matrices in their slices");
    if m == 0 || n == 0 {
        return;
    }
    if k == 0 {
        assert!(add, "an empty sum");
        return;
    }
    let parallelism = match threads {
        Threads::One => Parallelism::None,
        Threads::All => match rayon::current_num_threads() {
            1 => Parallelism::None,
            n => Parallelism::Rayon(n),
        },
    };
    let stride = |stride: usize| isize::try_from(stride).expect("strides lie within a slice");
    let mut product = |a: Matrix<'_>, b: Matrix<'_>, add: bool| {
        assert!(a.fits() && b.fits() && (a.rows, b.columns) == (m, n) && a.columns == b.rows);
        if !suits_gemm(&a, &b) {
            direct(a, b, c, row_stride, scale, add, threads);
            return;
        }
        // SAFETY: every index of the three matrices was checked to lie in its slice, and `c` is borrowed
        // mutably, so that nothing overlaps it.
        unsafe {
            gemm(
                a.rows,
                b.columns,
                a.columns,
                c.as_mut_ptr(),
                stride(row_stride),
                add,
                a.numbers.as_ptr(),
                [stride(a.column_stride), stride(a.row_stride)],
                b.numbers.as_ptr(),
                [stride(b.column_stride), stride(b.row_stride)],
                scale,
                parallelism,
            );
        }
    };
    // The `gemm` crate packs what lies in columns number by number; a copy made in registers costs less.
    let mut copy;
    let mut b = b;
    if b.column_stride != 1 {
        copy = Buffer::take(k * n);
        b = b.by_rows(&mut copy, threads);
    }
    let in_rows = a.column_stride == 1 || n < WIDE;
    let depth = k.div_ceil(k.div_ceil(DEPTH));
    for from in (0..k).step_by(depth) {
        let depth = depth.min(k - from);
        let (add, b) = (add || from > 0, b.rows_from(from, depth));
        let columns = a.transpose().rows_from(from, depth);
        if in_rows {
            product(columns.transpose(), b, add);
        } else {
            let mut copy = Buffer::take(m * depth);
            product(columns.transpose().by_rows(&mut copy, threads), b, add);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_and_sums() {
        let (a, b) = ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [1.0, 0.0, 2.0, 1.0, 0.0, 3.0]);
        let mut c = [10.0; 6];
        multiply(Matrix::new(&a, 2, 3), Matrix::new(&b, 3, 2), &mut c, 3, 0.5, true, Threads::One);
        assert_eq!(c, [12.5, 15.5, 10.0, 17.0, 21.5, 10.0]);
        let transposed = Matrix::new(&a, 3, 2).transpose();
        multiply(transposed, Matrix::new(&b, 3, 2), &mut c, 2, 1.0, false, Threads::All);
        assert_eq!(c[..4], [7.0, 18.0, 10.0, 22.0]);
    }

    #[test]
    fn matrices_in_columns_and_deep_sums() {
        let numbers = |n: usize, seed: usize| -> Vec<f32> {
            (0..n).map(|i| ((i * 37 + seed) % 29) as f32 / 8.0 - 1.5).collect()
        };
        let (m, k) = (9, 2 * DEPTH + 77);
        for n in [WIDE - 1, WIDE + 2] {
            let (a, b) = (numbers(k * m, 1), numbers(n * k, 2));
            for threads in [Threads::One, Threads::All] {
                let mut c = vec![0.5; m * (n + 1)];
                let (left, right) = (Matrix::new(&a, k, m), Matrix::new(&b, n, k));
                multiply(left.transpose(), right.transpose(), &mut c, n + 1, 2.0, true, threads);
                for (row, column) in (0..m).flat_map(|row| (0..n).map(move |column| (row, column)))
                {
                    let term = |i: usize| f64::from(a[i * m + row]) * f64::from(b[column * k + i]);
                    let expected = 0.5 + 2.0 * (0..k).map(term).sum::<f64>();
                    let difference = f64::from(c[row * (n + 1) + column]) - expected;
                    assert!(difference.abs() < 0.05, "{row} {column}: {difference}");
                }
                assert!((0..m).all(|row| c[row * (n + 1) + n] == 0.5), "nothing between the rows");
            }
        }
    }

    /// What the module says of each number.
    fn defined(
        a: &Matrix<'_>,
        b: &Matrix<'_>,
        [row, column]: [usize; 2],
        c: f32,
        scale: f32,
    ) -> f32 {
        let depth = a.columns.div_ceil(a.columns.div_ceil(DEPTH));
        let places: Vec<usize> = (0..a.columns).collect();
        places.chunks(depth).fold(c, |c, places| {
            let sum = places.iter().fold(0.0_f32, |sum, i| {
                let left = a.numbers[row * a.row_stride + i * a.column_stride];
                left.mul_add(b.numbers[i * b.row_stride + column * b.column_stride], sum)
            });
            scale.mul_add(sum, c)
        })
    }

    fn assert_defined([m, n, k]: [usize; 3], [left_in_columns, right_in_columns, add]: [bool; 3]) {
        let numbers = |n: usize, seed: usize| -> Vec<f32> {
            (0..n).map(|i| ((i * 7919 + seed * 104_729) % 10_007) as f32 / 5000.0 - 1.0).collect()
        };
        let (a, b, before) = (numbers(m * k, 1), numbers(k * n, 2), numbers(m * n, 3));
        let matrix = |numbers, rows, columns, in_columns| {
            if in_columns {
                Matrix::new(numbers, columns, rows).transpose()
            } else {
                Matrix::new(numbers, rows, columns)
            }
        };
        let (a, b) = (matrix(&a, m, k, left_in_columns), matrix(&b, k, n, right_in_columns));
        let mut c = before.clone();
        multiply(a, b, &mut c, n, 0.3, add, Threads::All);
        for (i, (c, before)) in c.iter().zip(before).enumerate() {
            // A sum from 0 is the product alone.
            let start = if add { before } else { 0.0 };
            let right = defined(&a, &b, [i / n, i % n], start, 0.3);
            assert_eq!(c.to_bits(), right.to_bits(), "{m} × {k} × {n}: number {i}");
        }
    }

    #[test]
    fn every_number_is_the_sum_that_is_defined() {
        for m in [1, 2, 17, 70] {
            for n in [1, 2, 5, 33, WIDE + 3] {
                for k in [1, 2, 3, 100, DEPTH, DEPTH + 1, 3 * DEPTH + 50] {
                    assert_defined([m, n, k], [false, false, false]);
                    assert_defined([m, n, k], [true, false, true]);
                    assert_defined([m, n, k], [false, true, true]);
                    assert_defined([m, n, k], [true, true, false]);
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "matrices in their slices")]
    fn short_slices_are_refused() {
        let a = [0.0; 5];
        multiply(
            Matrix::new(&a, 2, 3),
            Matrix::new(&a, 3, 1),
            &mut [0.0; 2],
            1,
            1.0,
            false,
            Threads::One,
        );
    }
}
