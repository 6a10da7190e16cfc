//! Sums of columns and of squares, in parts that follow from the shape.

use super::cube::{cubes, dim, sum_of_all, threads as threads_of_cube};
use super::{on_gpu, room, tensor, threads};
use burn::Tensor;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

/// Rows that one thread adds up, at least, unless there are too many parts.
const ROWS: usize = 64;

/// Partial sums of a column, or of the squares of a tensor, at most.
const PARTS: usize = 1024;

/// Squares that one cube of so many threads adds up, at least.
const SQUARES: usize = 8192;
const THREADS: usize = 256;

/// Writes the sum of the squares of all numbers to a place of `into`, which is made for so many numbers where there is none.
pub(crate) fn sum_of_squares<const D: usize>(
    x: &Tensor<D>,
    into: Option<&Tensor<1>>,
    at: usize,
    most: usize,
) -> Option<Tensor<1>> {
    let x = on_gpu(x)?;
    let into = match into {
        Some(into) => on_gpu(into)?,
        None => room(&x, [most]),
    };
    let count = x.meta.num_elements();
    let cubes = count.div_ceil(SQUARES).clamp(1, PARTS);
    if cubes == 1 {
        squares_by_cube(&x, &into, [at, 1], true);
    } else {
        let parts = room(&x, [cubes]);
        squares_by_cube(&x, &parts, [0, cubes], true);
        squares_by_cube(&parts, &into, [at, 1], false);
    }
    Some(tensor(into))
}

/// Writes sums by so many cubes from a place on: of the numbers, or of their squares.
fn squares_by_cube(x: &CubeTensor, y: &CubeTensor, [at, cubes]: [usize; 2], squared: bool) {
    squares_kernel::launch(
        &x.client.clone(),
        super::cube::cubes(cubes),
        dim(THREADS),
        x.clone().into_buffer_arg(),
        y.clone().into_buffer_arg(),
        at,
        cubes,
        squared,
        THREADS,
    );
}

#[cube(launch)]
fn squares_kernel(
    x: &[f32],
    y: &mut [f32],
    at: usize,
    cubes: usize,
    #[comptime] squared: bool,
    #[comptime] threads: usize,
) {
    let mut shared = Shared::new_slice(threads);
    if CUBE_POS < cubes {
        let mut sum = 0.0f32;
        let mut i = CUBE_POS * threads + UNIT_POS as usize;
        while i < x.len() {
            if squared {
                sum += x[i] * x[i];
            } else {
                sum += x[i];
            }
            i += cubes * threads;
        }
        let all = sum_of_all(sum, &mut shared, threads);
        if UNIT_POS == 0 {
            y[at + CUBE_POS] = all;
        }
    }
}

/// Sum of each column of `[rows, columns]`: `[1, columns]`.
pub(crate) fn column_sums(x: &Tensor<2>) -> Option<Tensor<2>> {
    let [_, columns] = x.dims();
    let partial = Partial::of(x, Summed::Numbers)?;
    let y = room(&partial.sums, [1, columns]);
    if columns > 0 {
        let threads = partial.threads();
        column_sums_kernel::launch(
            &partial.sums.client.clone(),
            cubes(columns),
            dim(threads),
            partial.sums.into_buffer_arg(),
            y.clone().into_buffer_arg(),
            partial.parts,
            threads,
        );
    }
    Some(tensor(y))
}

#[cube(launch)]
fn column_sums_kernel(sums: &[f32], y: &mut [f32], parts: usize, #[comptime] threads: usize) {
    let mut shared = Shared::new_slice(threads);
    let column = CUBE_POS;
    if column < y.len() {
        let sum = column_sum(sums, column, y.len(), parts, &mut shared, threads);
        if UNIT_POS == 0 {
            y[column] = sum;
        }
    }
}

/// Sums of the columns of `x`, and of its products with `other`, both `[rows, columns]`: `[columns]` each.
pub(crate) fn column_moments(x: &Tensor<2>, other: &Tensor<2>) -> Option<[Tensor<1>; 2]> {
    let [_, columns] = x.dims();
    let partial = Partial::of(x, Summed::Products { other, mean: None })?;
    let (sum, product) = (room(&partial.sums, [columns]), room(&partial.sums, [columns]));
    if columns > 0 {
        let threads = partial.threads();
        column_moments_kernel::launch(
            &partial.sums.client.clone(),
            cubes(columns),
            dim(threads),
            partial.sums.into_buffer_arg(),
            sum.clone().into_buffer_arg(),
            product.clone().into_buffer_arg(),
            partial.parts,
            threads,
        );
    }
    Some([tensor(sum), tensor(product)])
}

#[cube(launch)]
fn column_moments_kernel(
    sums: &[f32],
    sum: &mut [f32],
    product: &mut [f32],
    parts: usize,
    #[comptime] threads: usize,
) {
    let mut shared = Shared::new_slice(threads);
    let column = CUBE_POS;
    let columns = sum.len();
    if column < columns {
        let first = column_sum(sums, column, 2 * columns, parts, &mut shared, threads);
        let second = column_sum(sums, columns + column, 2 * columns, parts, &mut shared, threads);
        if UNIT_POS == 0 {
            sum[column] = first;
            product[column] = second;
        }
    }
}

/// What is summed along the columns of `[rows, columns]`.
pub(super) enum Summed<'a> {
    /// The numbers.
    Numbers,
    /// Their squares about the mean of the column.
    Squares { mean: &'a CubeTensor },
    /// The numbers, and in columns behind them their products with another tensor less the mean of its column.
    Products { other: &'a Tensor<2>, mean: Option<&'a CubeTensor> },
}

/// Partial sums of columns, each over every so many rows.
pub(super) struct Partial {
    /// `[parts, columns]`, or with twice the columns.
    pub(super) sums: CubeTensor,
    pub(super) parts: usize,
}

impl Partial {
    pub(super) fn of(x: &Tensor<2>, summed: Summed<'_>) -> Option<Self> {
        let [rows, columns] = x.dims();
        let x = on_gpu(x)?;
        let parts = rows.div_ceil(ROWS).clamp(1, PARTS);
        // What is absent is not read; another takes its place.
        let (other, mean, what) = match summed {
            Summed::Numbers => (x.clone(), x.clone(), 0),
            Summed::Squares { mean } => (x.clone(), mean.clone(), 1),
            Summed::Products { other, mean: Some(mean) } => (on_gpu(other)?, mean.clone(), 2),
            Summed::Products { other, mean: None } => (on_gpu(other)?, x.clone(), 3),
        };
        let sums = room(&x, [parts, if what < 2 { columns } else { 2 * columns }]);
        if columns > 0 {
            let (cubes, dim) = threads(&x, parts * columns);
            let client = x.client.clone();
            partial_sums_kernel::launch(
                &client,
                cubes,
                dim,
                x.into_buffer_arg(),
                other.into_buffer_arg(),
                mean.into_buffer_arg(),
                sums.clone().into_buffer_arg(),
                rows,
                columns,
                parts,
                what,
            );
        }
        Some(Self { sums, parts })
    }

    /// Threads of the cube that adds up the parts of a column.
    pub(super) fn threads(&self) -> usize {
        threads_of_cube(self.parts)
    }
}

#[cube(launch)]
#[expect(clippy::too_many_arguments, reason = "a kernel takes buffers and numbers alone")]
fn partial_sums_kernel(
    x: &[f32],
    other: &[f32],
    mean: &[f32],
    sums: &mut [f32],
    rows: usize,
    columns: usize,
    parts: usize,
    #[comptime] what: u32,
) {
    let i = ABSOLUTE_POS;
    if i < parts * columns {
        let column = i % columns;
        let part = i / columns;
        let mut sum = 0.0f32;
        let mut product = 0.0f32;
        let mut row = part;
        while row < rows {
            let at = row * columns + column;
            if what == 0 {
                sum += x[at];
            } else if what == 1 {
                let deviation = x[at] - mean[column];
                sum += deviation * deviation;
            } else if what == 2 {
                sum += x[at];
                product += x[at] * (other[at] - mean[column]);
            } else {
                sum += x[at];
                product += x[at] * other[at];
            }
            row += parts;
        }
        if what < 2 {
            sums[i] = sum;
        } else {
            sums[2 * part * columns + column] = sum;
            sums[(2 * part + 1) * columns + column] = product;
        }
    }
}

/// The sum of a column of `[parts, columns]`, by all threads of a cube.
#[cube]
pub(super) fn column_sum(
    sums: &[f32],
    column: usize,
    columns: usize,
    parts: usize,
    shared: &mut [f32],
    #[comptime] threads: usize,
) -> f32 {
    let mut sum = 0.0f32;
    let mut part = UNIT_POS as usize;
    while part < parts {
        sum += sums[part * columns + column];
        part += threads;
    }
    sum_of_all(sum, shared, threads)
}
