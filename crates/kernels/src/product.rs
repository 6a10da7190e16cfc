//! Matrix products whose left side is read where it lies: the loop inside every convolution.

use ::activation::arch;
use ::activation::simd::width;
use pulp::{Simd, WithSimd};

/// Numbers in the longest register. Rows that are padded to a multiple of it can be read in whole registers of any machine.
pub(crate) const LANES: usize = 16;

/// Registers of a row of the right side that are read at once.
const REGISTERS: usize = 2;

/// Columns of the right side that are read at once on this machine. What lies in panels of so many, each row behind the one
/// before it, comes from memory faster than long rows do.
pub(crate) fn panel() -> usize {
    REGISTERS * width().lanes()
}

/// For each `block`, `c[row][column] = Σ_run Σ_k a[row][run][k] · b[run][k][column]`, or `+=`.
///
/// `a` is read number by number, at any stride, and is not copied. Rows of `b` are padded with numbers that may be read, to
/// whole registers. Columns of `b` are read in panels of [`panel`] columns, each of which begins `b_panel` numbers behind the one
/// before it: `panel()` where rows lie in one piece.
pub(crate) struct Product<'a> {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) k: usize,
    pub(crate) runs: usize,
    pub(crate) blocks: usize,
    pub(crate) a: &'a [f32],
    pub(crate) a_row: usize,
    pub(crate) a_k: usize,
    pub(crate) a_run: usize,
    pub(crate) a_block: usize,
    pub(crate) b: &'a [f32],
    pub(crate) b_k: usize,
    pub(crate) b_panel: usize,
    pub(crate) b_run: usize,
    pub(crate) b_block: usize,
    pub(crate) c: &'a mut [f32],
    pub(crate) c_row: usize,
    pub(crate) c_block: usize,
    /// Adds to `c` instead of writing over it.
    pub(crate) add: bool,
}

impl Product<'_> {
    /// Computes it.
    ///
    /// # Panics
    /// If a slice is too short for the strides.
    pub(crate) fn run(self) {
        if [self.rows, self.columns, self.k, self.runs, self.blocks].contains(&0) {
            assert!(self.add || self.rows * self.columns * self.blocks == 0, "an empty sum");
            return;
        }
        let last = |counts: &[(usize, usize)]| -> usize {
            counts.iter().map(|(count, stride)| (count - 1) * stride).sum()
        };
        let a = [
            (self.rows, self.a_row),
            (self.k, self.a_k),
            (self.runs, self.a_run),
            (self.blocks, self.a_block),
        ];
        let panels = self.columns.div_ceil(panel());
        assert!(panels == 1 || self.b_panel >= panel(), "panels overlap");
        let b = [
            (self.k, self.b_k),
            (panels, self.b_panel),
            (self.runs, self.b_run),
            (self.blocks, self.b_block),
        ];
        let c = [(self.rows, self.c_row), (self.blocks, self.c_block)];
        assert!(last(&a) < self.a.len(), "the left side is too short");
        let rest = self.columns - (panels - 1) * panel();
        assert!(
            last(&b) + rest.next_multiple_of(width().lanes()) <= self.b.len(),
            "the right side is too short"
        );
        assert!(last(&c) + self.columns <= self.c.len(), "the result is too short");
        arch().dispatch(self);
    }
}

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        // With a stride that the compiler knows, one register addresses every row of a tile; these
        // are the strides of the convolutions in residual networks, plain and gated, and of gradients by
        // weights.
        match self.a_row {
            1 => self.tiles::<S, 1>(simd),
            16 => self.tiles::<S, 16>(simd),
            32 => self.tiles::<S, 32>(simd),
            48 => self.tiles::<S, 48>(simd),
            64 => self.tiles::<S, 64>(simd),
            96 => self.tiles::<S, 96>(simd),
            _ => self.tiles::<S, ANY>(simd),
        }
    }
}

/// A stride that is known only when the program runs.
const ANY: usize = 0;

impl Product<'_> {
    #[inline(always)]
    fn tiles<S: Simd, const A_ROW: usize>(&mut self, simd: S) {
        let mut column = 0;
        while column < self.columns {
            if self.columns - column > S::F32_LANES {
                self.columns_from::<S, A_ROW, REGISTERS>(simd, column);
                column += REGISTERS * S::F32_LANES;
            } else {
                self.columns_from::<S, A_ROW, 1>(simd, column);
                column += S::F32_LANES;
            }
        }
    }

    /// `V` registers of columns of every row and block.
    #[inline(always)]
    fn columns_from<S: Simd, const A_ROW: usize, const V: usize>(
        &mut self,
        simd: S,
        column: usize,
    ) {
        // Sums, a row of `b` and a number of `a` must stay in registers, and as many sums must be
        // under way as a multiply-add has steps.
        let most = match (S::REGISTER_COUNT >= 32, V) {
            (true, 1) => 16,
            (true, _) => 8,
            (false, 1) => 8,
            (false, _) => 6,
        };
        let mut memory = Memory([0.0; 32 * LANES]);
        let mut row = 0;
        while row < self.rows {
            let left = self.rows - row;
            let even = left.div_ceil(left.div_ceil(most));
            macro_rules! tile {
                ($($rows:literal),*) => {
                    match even {
                        $(n if n >= $rows => {
                            for block in 0..self.blocks {
                                self.tile::<S, A_ROW, $rows, V>(simd, block, row, column, &mut memory);
                            }
                            $rows
                        })*
                        _ => unreachable!("a row is left"),
                    }
                };
            }
            row += if S::REGISTER_COUNT >= 32 && V == 1 {
                tile!(16, 14, 12, 8, 4, 2, 1)
            } else if S::REGISTER_COUNT >= 32 || V == 1 {
                tile!(8, 7, 6, 4, 2, 1)
            } else {
                tile!(6, 5, 4, 3, 2, 1)
            };
        }
    }

    #[inline(always)]
    fn tile<S: Simd, const A_ROW: usize, const R: usize, const V: usize>(
        &mut self,
        simd: S,
        block: usize,
        row: usize,
        column: usize,
        memory: &mut Memory,
    ) {
        let a_row = if A_ROW == ANY { self.a_row } else { A_ROW };
        let mut sums = [[simd.splat_f32s(0.0); V]; R];
        // SAFETY: `run` has checked the largest index of each side; rows from `row` to `row + R` and
        // columns from `column`, padded, are among those that it has counted.
        unsafe {
            let a = self.a.as_ptr().add(block * self.a_block + row * a_row);
            let from = column / (REGISTERS * S::F32_LANES) * self.b_panel;
            let b = self.b.as_ptr().add(block * self.b_block + from);
            for run in 0..self.runs {
                let mut a = a.add(run * self.a_run);
                let mut b = b.add(run * self.b_run);
                for _ in 0..self.k {
                    let mut right = [simd.splat_f32s(0.0); V];
                    for (v, right) in right.iter_mut().enumerate() {
                        *right = b.add(v * S::F32_LANES).cast::<S::f32s>().read_unaligned();
                    }
                    for r in 0..R {
                        let left = simd.splat_f32s(*a.add(r * a_row));
                        for v in 0..V {
                            sums[r][v] = simd.mul_add_f32s(left, right[v], sums[r][v]);
                        }
                    }
                    // The last step leaves the slice, but nothing is read there.
                    a = a.wrapping_add(self.a_k);
                    b = b.wrapping_add(self.b_k);
                }
            }
        }
        let from = block * self.c_block + row * self.c_row + column;
        if self.columns - column >= V * S::F32_LANES {
            for r in 0..R {
                for v in 0..V {
                    // SAFETY: `run` has checked the last row and column of the result, and the
                    // registers are full.
                    unsafe {
                        let c = self.c.as_mut_ptr().add(from + r * self.c_row + v * S::F32_LANES);
                        let c = c.cast::<S::f32s>();
                        let sum = sums[r][v];
                        let sum =
                            if self.add { simd.add_f32s(sum, c.read_unaligned()) } else { sum };
                        c.write_unaligned(sum);
                    }
                }
            }
            return;
        }
        // Through memory: the sums would not stay in registers above if a loop that is not unrolled
        // indexed them.
        let (registers, _) = S::as_mut_simd_f32s(&mut memory.0);
        for r in 0..R {
            for v in 0..V {
                registers[r * V + v] = sums[r][v];
            }
        }
        let width = self.columns - column;
        for r in 0..R {
            let c = &mut self.c[from + r * self.c_row..from + r * self.c_row + width];
            let sums: &[f32] = bytemuck::cast_slice(&registers[r * V..(r + 1) * V]);
            for (c, sum) in c.iter_mut().zip(sums) {
                *c = if self.add { *c + sum } else { *sum };
            }
        }
    }
}

/// What a tile has summed: up to 32 registers of 16 numbers.
#[repr(align(64))]
struct Memory([f32; 32 * LANES]);

#[cfg(test)]
mod tests {
    use super::*;

    /// The same, with every index checked, from panels of so many columns.
    fn plain(p: &Product<'_>, panel: usize) -> Vec<f32> {
        let mut c = p.c.to_vec();
        for block in 0..p.blocks {
            for row in 0..p.rows {
                for column in 0..p.columns {
                    let from = column / panel * p.b_panel + column % panel;
                    let mut sum = 0.0_f64;
                    for run in 0..p.runs {
                        for k in 0..p.k {
                            let a =
                                p.a[block * p.a_block + row * p.a_row + k * p.a_k + run * p.a_run];
                            let b = p.b[block * p.b_block + k * p.b_k + run * p.b_run + from];
                            sum += f64::from(a) * f64::from(b);
                        }
                    }
                    let c = &mut c[block * p.c_block + row * p.c_row + column];
                    #[expect(clippy::cast_possible_truncation, reason = "rounding is meant")]
                    let sum = sum as f32;
                    *c = if p.add { *c + sum } else { sum };
                }
            }
        }
        c
    }

    fn numbers(n: usize, seed: usize) -> Vec<f32> {
        (0..n).map(|i| ((i * 37 + seed * 11) % 29) as f32 / 8.0 - 1.5).collect()
    }

    struct On<'a, S: Simd>(Product<'a>, S);

    /// Strides of a right side, and how many numbers it has.
    struct Right {
        k: usize,
        panel: usize,
        run: usize,
        block: usize,
        length: usize,
    }

    impl Right {
        /// Rows in one piece, which overlap.
        fn in_rows([columns, k, runs, blocks]: [usize; 4], panel: usize) -> Self {
            let padded = columns.next_multiple_of(LANES);
            let length = (k + runs + blocks - 2) * padded;
            Self { k: padded, panel, run: padded, block: padded, length }
        }

        /// A panel behind the other, the last one no wider than it is read.
        fn in_panels([columns, k, runs, blocks]: [usize; 4], panel: usize) -> Self {
            let rest = (columns - 1) % panel + 1;
            let own = runs * k * panel;
            let block = columns.div_ceil(panel) * own;
            let unread = panel - rest.next_multiple_of(panel / REGISTERS);
            Self { k: panel, panel: own, run: k * panel, block, length: blocks * block - unread }
        }
    }

    fn assert_agrees([rows, columns]: [usize; 2], [k, runs, blocks]: [usize; 3], add: bool) {
        let sizes = [columns, k, runs, blocks];
        for (width, machine) in [(panel(), true), (REGISTERS, false)] {
            for right in [Right::in_rows(sizes, width), Right::in_panels(sizes, width)] {
                let a = numbers(blocks * 7 + rows * 3 + k * 2 + runs * 5, 1);
                let b = numbers(right.length, 2);
                let mut c = numbers(blocks * (rows * (columns + 2)), 3);
                let product = |c| Product {
                    rows,
                    columns,
                    k,
                    runs,
                    blocks,
                    a: &a,
                    a_row: 3,
                    a_k: 2,
                    a_run: 5,
                    a_block: 7,
                    b: &b,
                    b_k: right.k,
                    b_panel: right.panel,
                    b_run: right.run,
                    b_block: right.block,
                    c,
                    c_row: columns + 2,
                    c_block: rows * (columns + 2),
                    add,
                };
                let mut copy = c.clone();
                let expected = plain(&product(&mut copy), width);
                if machine {
                    product(&mut c).run();
                } else {
                    let On(product, simd) = On(product(&mut c), pulp::Scalar::new());
                    simd.vectorize(product);
                }
                for (c, expected) in c.iter().zip(&expected) {
                    assert!((c - expected).abs() < 1e-3, "{rows} × {columns}: {c} {expected}");
                }
            }
        }
    }

    #[test]
    fn agrees_with_the_bounds_checked_twin() {
        let tiles =
            [[1, 1], [2, 70], [3, 16], [7, 40], [16, 16], [17, 22], [28, 32], [9, 33], [5, 48]];
        for tile in tiles {
            for (sums, add) in [([1, 1, 1], false), ([5, 3, 2], true), ([48, 3, 2], false)] {
                assert_agrees(tile, sums, add);
            }
        }
    }

    /// A product of four rows and `columns` columns.
    fn small(columns: usize, a: &[f32], b: &[f32], b_panel: usize) {
        Product {
            rows: 4,
            columns,
            k: 1,
            runs: 1,
            blocks: 1,
            a,
            a_row: 1,
            a_k: 1,
            a_run: 0,
            a_block: 0,
            b,
            b_k: 16,
            b_panel,
            b_run: 0,
            b_block: 0,
            c: &mut vec![0.0; 4 * columns],
            c_row: columns,
            c_block: 0,
            add: false,
        }
        .run();
    }

    #[test]
    #[should_panic(expected = "the left side is too short")]
    fn a_short_left_side_is_refused() {
        small(1, &[0.0; 3], &[0.0; 64], panel());
    }

    #[test]
    #[should_panic(expected = "the right side is too short")]
    fn a_short_right_side_is_refused() {
        let columns = 2 * panel();
        small(columns, &[0.0; 4], &vec![0.0; columns - 1], panel());
    }

    #[test]
    #[should_panic(expected = "panels overlap")]
    fn panels_that_overlap_are_refused() {
        let columns = 2 * panel();
        small(columns, &[0.0; 4], &vec![0.0; columns], panel() - 1);
    }
}
