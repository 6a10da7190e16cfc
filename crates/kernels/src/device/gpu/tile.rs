//! What a cube computes of a product: a tile of its rows and columns, of which each thread has some. It walks along the
//! sum in chunks: its threads bring a chunk of both sides into shared memory, and each adds their products to its own sums.

use crate::mixed::Precision;
use cubecl::prelude::*;
use half::f16;

/// Numbers of each sum that are in shared memory at a time.
pub(super) const CHUNK: usize = 16;

/// Cubes that keep every GPU busy.
pub(super) const CUBES: usize = 512;

/// Rows and columns of a product that a cube computes, and a thread of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Tile {
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) rows_of_thread: usize,
    pub(super) columns_of_thread: usize,
}

impl Tile {
    /// Of each width from the one that reads least for what it computes to the one that occupies a GPU with the smallest
    /// product.
    const ALL: [Self; 8] = [
        Self::new(64, 64, 8),
        Self::new(32, 64, 4),
        Self::new(128, 32, 8),
        Self::new(64, 32, 4),
        Self::new(32, 32, 4),
        Self::new(128, 16, 8),
        Self::new(64, 16, 4),
        Self::new(32, 16, 4),
    ];

    const fn new(rows: usize, columns: usize, rows_of_thread: usize) -> Self {
        Self { rows, columns, rows_of_thread, columns_of_thread: 4 }
    }

    /// For so many products of so many rows and columns.
    pub(super) fn of_product(products: usize, rows: usize, columns: usize) -> Self {
        let width = columns.next_power_of_two().max(16);
        let fits = Self::ALL.into_iter().filter(|tile| tile.columns <= width);
        let [.., last] = Self::ALL;
        let busy = |tile: &Self| products * tile.cubes(rows, columns) >= CUBES / 2;
        fits.clone().find(busy).unwrap_or(last)
    }

    /// For a product of so many columns that is made in parts.
    pub(super) fn of_parts(columns: usize) -> Self {
        match columns {
            0..=16 => Self::new(64, 16, 4),
            17..=32 => Self::new(64, 32, 4),
            _ => Self::new(64, 64, 8),
        }
    }

    /// Tiles of so many rows and columns.
    pub(super) fn cubes(&self, rows: usize, columns: usize) -> usize {
        rows.div_ceil(self.rows) * columns.div_ceil(self.columns)
    }

    /// Threads along the columns.
    pub(super) fn across(&self) -> usize {
        self.columns / self.columns_of_thread
    }

    /// Threads along the rows.
    pub(super) fn down(&self) -> usize {
        self.rows / self.rows_of_thread
    }

    pub(super) fn threads(&self) -> usize {
        self.across() * self.down()
    }

    pub(super) fn dim(&self) -> CubeDim {
        super::cube::dim(self.threads())
    }

    /// Places in shared memory from a number of the left side to the next one along the sum: one more than there are rows,
    /// so that numbers of one row lie in several banks.
    pub(super) fn left_stride(&self) -> usize {
        self.rows + 1
    }

    /// The same of the right side.
    pub(super) fn right_stride(&self) -> usize {
        self.columns + 1
    }

    pub(super) fn sums(&self) -> usize {
        self.rows_of_thread * self.columns_of_thread
    }
}

/// How the sum of a product is made in parts: as many as keep a GPU busy, of some chunks each.
pub(super) struct Parts {
    pub(super) count: usize,
    /// Terms of each; the last may have fewer.
    pub(super) terms: usize,
}

impl Parts {
    /// Of so many terms, for a product of so many tiles.
    pub(super) fn of(terms: usize, tiles: usize) -> Self {
        let count = (CUBES / tiles.max(1)).clamp(1, (terms / (4 * CHUNK)).max(1));
        let terms_of_part = terms.div_ceil(count).next_multiple_of(CHUNK).max(CHUNK);
        Self { count: terms.div_ceil(terms_of_part).max(1), terms: terms_of_part }
    }
}

/// The nearest number of a precision, ties to even.
#[cube]
pub(super) fn rounded(x: f32, #[comptime] precision: Precision) -> f32 {
    match comptime!(precision) {
        Precision::F32 => x,
        // By bits, since not every device has the format.
        Precision::Bf16 => {
            let bits = u32::reinterpret(x);
            let nearest = (bits + 0x7fff + ((bits >> 16) & 1)) & 0xffff_0000;
            let is_nan = (bits & 0x7fff_ffff) > 0x7f80_0000;
            f32::reinterpret(select(is_nan, bits | 0x0040_0000, nearest))
        }
        Precision::F16 => f32::cast_from(f16::cast_from(x)),
    }
}

#[cube]
pub(super) fn zeros(#[comptime] tile: Tile) -> Array<f32> {
    let mut sums = Array::<f32>::new(comptime!(tile.sums()));
    #[unroll]
    for i in 0..comptime!(tile.sums()) {
        sums[i] = 0.0f32;
    }
    sums
}

/// Adds the products of a chunk to the sums of a thread: its rows and columns are apart by the threads of the cube, so that
/// neighbours read neighbours.
#[cube]
pub(super) fn add_products(
    left: &[f32],
    right: &[f32],
    sums: &mut Array<f32>,
    #[comptime] tile: Tile,
) {
    let unit = UNIT_POS as usize;
    let own_row = unit / comptime!(tile.across());
    let own_column = unit % comptime!(tile.across());
    let mut rows = Array::<f32>::new(comptime!(tile.rows_of_thread));
    for k in 0..CHUNK {
        let (first_row, first_column) = (
            own_row + k * comptime!(tile.left_stride()),
            own_column + k * comptime!(tile.right_stride()),
        );
        #[unroll]
        for i in 0..comptime!(tile.rows_of_thread) {
            rows[i] = left[first_row + comptime!(i * tile.down())];
        }
        #[unroll]
        for j in 0..comptime!(tile.columns_of_thread) {
            let column = right[first_column + comptime!(j * tile.across())];
            #[unroll]
            for i in 0..comptime!(tile.rows_of_thread) {
                let at = comptime!(i * tile.columns_of_thread + j);
                sums[at] = fma(rows[i], column, sums[at]);
            }
        }
    }
}
