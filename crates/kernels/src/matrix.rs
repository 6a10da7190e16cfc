//! Matrix products, by the `gemm` crate.
//!
//! That crate chooses its instructions by the processor. Where narrower ones are asked for
//! ([`activation::simd`](::activation::simd)), its parts for these are called directly.

use crate::buffer::Buffer;
use crate::transpose::transpose;
use ::activation::simd::{Width, width};
use gemm::Parallelism;

/// Most terms of a sum that are read from one transposed copy, which then fits in a cache.
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
    use gemm_common::simd::MixedSimd;

    let alpha = if add { 1.0 } else { 0.0 };
    // With the widest instructions that there are, as the crate does; with others, what it would do on a machine
    // that has only those.
    macro_rules! narrower {
        ($simd:ident, $module:ident, $lanes:literal) => {{
            use gemm_f32::microkernel::$module::f32::{H_M, H_N, H_UKR, MR_DIV_N, NR, UKR};
            type S = gemm_common::simd::$simd;
            if let Some(simd) = <S as MixedSimd<f32, f32, f32, f32>>::try_new() {
                // Its kernels want columns in `c`: the product of the transposed matrices.
                // SAFETY: the caller's.
                unsafe {
                    gemm_common::gemm::gemm_basic_generic::<
                        S,
                        f32,
                        $lanes,
                        { MR_DIV_N * $lanes },
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
        }};
    }
    if width() != Width::widest() {
        match width() {
            #[cfg(target_arch = "x86_64")]
            Width::Avx2 => narrower!(V3, fma, 8),
            _ => narrower!(Scalar, scalar, 1),
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

/// c = scale · a b, or c += scale · a b; rows of `c` are `row_stride` apart.
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
    if a.column_stride == 1 || n < WIDE {
        product(a, b, add);
        return;
    }
    let depth = k.div_ceil(k.div_ceil(DEPTH));
    for from in (0..k).step_by(depth) {
        let depth = depth.min(k - from);
        let mut copy = Buffer::take(m * depth);
        let a = a.transpose().rows_from(from, depth).transpose().by_rows(&mut copy, threads);
        product(a, b.rows_from(from, depth), add || from > 0);
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
