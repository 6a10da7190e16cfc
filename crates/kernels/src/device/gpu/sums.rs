//! Sums of columns, in parts that follow from the shape, and from how many numbers the device reads at once.

use super::cube::{cubes, dim, sum_of_all, threads as threads_of_cube};
use super::tile::rounded;
use super::{on_gpu, room, tensor, width};
use crate::mixed::Precision;
use burn::Tensor;
use burn_cubecl::tensor::CubeTensor;
use cubecl::client::Client;
use cubecl::prelude::*;

/// Partial sums of a column, at most.
const PARTS: usize = 1024;

/// Threads of a cube.
const THREADS: usize = 256;

/// Sum of each column of `[rows, columns]`: `[1, columns]`.
pub(crate) fn column_sums(x: &Tensor<2>) -> Option<Tensor<2>> {
    let [_, columns] = x.dims();
    let partial = Partial::of(x)?;
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
    let partial = Partial::of_products(x, other, None)?;
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

/// Numbers that a cube adds up the parts of, and threads for each.
const COLUMNS: usize = 32;
const LANES: usize = 8;

/// The sum over the first dimension of `[parts, numbers]`: `[numbers]`. Parts are added in their order by each of a few
/// threads, and the sums of these in theirs; what comes out is rounded.
pub(super) fn sum_of_parts(parts: CubeTensor, count: usize, precision: Precision) -> CubeTensor {
    let numbers = parts.meta.num_elements() / count.max(1);
    let y = room(&parts, [numbers]);
    if numbers > 0 {
        // SAFETY: every place that is read or written is compared with the sizes of the tensors first.
        unsafe {
            sum_of_parts_kernel::launch_unchecked(
                &parts.client.clone(),
                cubes(numbers.div_ceil(COLUMNS)),
                dim(COLUMNS * LANES),
                parts.into_buffer_arg(),
                y.clone().into_buffer_arg(),
                count,
                numbers,
                precision,
            );
        }
    }
    y
}

/// The same in two pieces: the first `length` numbers, and the others.
pub(super) fn two_sums_of_parts(
    parts: CubeTensor,
    count: usize,
    length: usize,
) -> (CubeTensor, CubeTensor) {
    let numbers = parts.meta.num_elements() / count.max(1);
    let (y, rest) = (room(&parts, [length]), room(&parts, [numbers - length]));
    if numbers > 0 {
        // SAFETY: every place that is read or written is compared with the sizes of the tensors first.
        unsafe {
            two_sums_of_parts_kernel::launch_unchecked(
                &parts.client.clone(),
                cubes(numbers.div_ceil(COLUMNS)),
                dim(COLUMNS * LANES),
                parts.into_buffer_arg(),
                y.clone().into_buffer_arg(),
                rest.clone().into_buffer_arg(),
                count,
                numbers,
                length,
            );
        }
    }
    (y, rest)
}

#[cube(launch_unchecked)]
fn two_sums_of_parts_kernel(
    parts: &[f32],
    y: &mut [f32],
    rest: &mut [f32],
    count: usize,
    numbers: usize,
    length: usize,
) {
    let (place, sum) = sum_of_place(parts, count, numbers);
    if UNIT_POS as usize / COLUMNS == 0 {
        if place < length {
            y[place] = sum;
        } else if place < numbers {
            rest[place - length] = sum;
        }
    }
}

#[cube(launch_unchecked)]
fn sum_of_parts_kernel(
    parts: &[f32],
    y: &mut [f32],
    count: usize,
    numbers: usize,
    #[comptime] precision: Precision,
) {
    let (place, sum) = sum_of_place(parts, count, numbers);
    if UNIT_POS as usize / COLUMNS == 0 && place < numbers {
        y[place] = rounded(sum, precision);
    }
}

/// A place, and for the threads of the first lane its sum over `[parts, numbers]`.
#[cube]
fn sum_of_place(parts: &[f32], count: usize, numbers: usize) -> (usize, f32) {
    let mut shared = Shared::<[f32]>::new_slice(comptime!(COLUMNS * LANES));
    let unit = UNIT_POS as usize;
    let (column, lane) = (unit % COLUMNS, unit / COLUMNS);
    let place = CUBE_POS * COLUMNS + column;
    let mut sum = 0.0f32;
    if place < numbers {
        let mut part = lane;
        while part < count {
            sum += parts[part * numbers + place];
            part += LANES;
        }
    }
    shared[unit] = sum;
    sync_cube();
    let mut sum = 0.0f32;
    if lane == 0 {
        #[unroll]
        for lane in 0..LANES {
            sum += shared[lane * COLUMNS + column];
        }
    }
    (place, sum)
}

/// Partial sums of columns, each over some rows that follow one another.
pub(super) struct Partial {
    /// `[parts, columns]`, or with twice the columns.
    pub(super) sums: CubeTensor,
    pub(super) parts: usize,
    /// Rows of a part; the last may have fewer.
    pub(super) rows: usize,
}

/// How the threads of a cube share some rows and columns: `wide` of them take neighbouring vectors of numbers, and `lanes`
/// take every so many rows.
struct Share {
    client: Client,
    /// Numbers of a vector.
    width: usize,
    wide: usize,
    lanes: usize,
    parts: usize,
    /// Rows of a part.
    rows: usize,
    cubes: CubeCount,
}

impl Share {
    fn of(x: &CubeTensor, [rows, columns]: [usize; 2]) -> Option<Self> {
        let client = x.client.clone();
        let width = width(&client, columns);
        let vectors = columns / width;
        let wide = vectors.clamp(1, THREADS);
        let lanes = THREADS / wide;
        // Some vectors a thread, unless there are too many parts.
        let least = (lanes * AT_ONCE).max(rows.div_ceil(PARTS));
        let parts = rows.div_ceil(least).max(1);
        let across = u16::try_from(vectors.div_ceil(wide).max(1)).ok()?;
        let cubes = CubeCount::Static(u32::try_from(parts).ok()?, u32::from(across), 1);
        Some(Self { client, width, wide, lanes, parts, rows: least, cubes })
    }

    fn partial(&self, sums: CubeTensor) -> Partial {
        Partial { sums, parts: self.parts, rows: self.rows }
    }
}

/// Vectors that a thread reads in a turn, so that several are on their way.
const AT_ONCE: usize = 4;

impl Partial {
    /// The sums of the numbers.
    pub(super) fn of(x: &Tensor<2>) -> Option<Self> {
        let [rows, columns] = x.dims();
        let x = on_gpu(x)?;
        let share = Share::of(&x, [rows, columns])?;
        let sums = room(&x, [share.parts, columns]);
        if columns > 0 {
            // SAFETY: every place that is read or written is compared with the sizes of the tensors first.
            unsafe {
                partial_sums_kernel::launch_unchecked(
                    &share.client,
                    share.cubes.clone(),
                    dim(THREADS),
                    share.width,
                    x.into_buffer_arg(),
                    sums.clone().into_buffer_arg(),
                    rows,
                    columns / share.width,
                    share.rows,
                    share.wide,
                    share.lanes,
                );
            }
        }
        Some(share.partial(sums))
    }

    /// The sums of the numbers, and in columns behind them of their products with `other` less `mean`, the mean of its
    /// column, where that is given.
    pub(super) fn of_products(
        x: &Tensor<2>,
        other: &Tensor<2>,
        mean: Option<&CubeTensor>,
    ) -> Option<Self> {
        let [rows, columns] = x.dims();
        assert_eq!(other.dims(), [rows, columns], "a factor for each number");
        let (x, other) = (on_gpu(x)?, on_gpu(other)?);
        let share = Share::of(&x, [rows, columns])?;
        let sums = room(&x, [share.parts, 2 * columns]);
        if columns > 0 {
            let centered = mean.is_some();
            // What is absent is not read; another takes its place.
            let mean = mean.unwrap_or(&x).clone();
            // SAFETY: every place that is read or written is compared with the sizes of the tensors first.
            unsafe {
                partial_products_kernel::launch_unchecked(
                    &share.client,
                    share.cubes.clone(),
                    dim(THREADS),
                    share.width,
                    x.into_buffer_arg(),
                    other.into_buffer_arg(),
                    mean.into_buffer_arg(),
                    sums.clone().into_buffer_arg(),
                    rows,
                    columns / share.width,
                    share.rows,
                    share.wide,
                    share.lanes,
                    centered,
                );
            }
        }
        Some(share.partial(sums))
    }

    /// The mean of the rows of each part, and in columns behind it the sum of the squares about it.
    pub(super) fn moments(x: &Tensor<2>) -> Option<Self> {
        let [rows, columns] = x.dims();
        let x = on_gpu(x)?;
        let share = Share::of(&x, [rows, columns])?;
        let sums = room(&x, [share.parts, 2 * columns]);
        if columns > 0 {
            // SAFETY: every place that is read or written is compared with the sizes of the tensors first.
            unsafe {
                partial_moments_kernel::launch_unchecked(
                    &share.client,
                    share.cubes.clone(),
                    dim(THREADS),
                    share.width,
                    x.into_buffer_arg(),
                    sums.clone().into_buffer_arg(),
                    rows,
                    columns / share.width,
                    share.rows,
                    share.wide,
                    share.lanes,
                );
            }
        }
        Some(share.partial(sums))
    }

    /// Threads of the cube that adds up the parts of a column.
    pub(super) fn threads(&self) -> usize {
        threads_of_cube(self.parts)
    }
}

/// The rows and the column of vectors that a thread takes.
#[derive(CubeType)]
struct Own {
    /// The first row.
    row: usize,
    /// The row behind the last.
    end: usize,
    vector: usize,
    /// Rows that are apart.
    lane: usize,
    /// Whether there are any.
    some: bool,
}

#[cube]
impl Own {
    fn of(rows: usize, vectors: usize, of_part: usize, wide: usize, lanes: usize) -> Own {
        let unit = UNIT_POS as usize;
        let part = CUBE_POS_X as usize * of_part;
        let vector = CUBE_POS_Y as usize * wide + unit % wide;
        let lane = unit / wide;
        Own {
            row: part + lane,
            end: min(part + of_part, rows),
            vector,
            lane,
            some: lane < lanes && vector < vectors,
        }
    }
}

#[cube(launch_unchecked)]
fn partial_sums_kernel<N: Size>(
    x: &[Vector<f32, N>],
    sums: &mut [Vector<f32, N>],
    rows: usize,
    vectors: usize,
    of_part: usize,
    wide: usize,
    lanes: usize,
) {
    let mut shared = Shared::<[Vector<f32, N>]>::new_slice(THREADS);
    let own = Own::of(rows, vectors, of_part, wide, lanes);
    let sum = sum_of_rows::<N>(x, &own, Vector::zeroed(), vectors, lanes, false);
    let sum = sum_of_lanes::<N>(sum, &mut shared, wide, lanes);
    if own.some && own.lane == 0 {
        sums[CUBE_POS_X as usize * vectors + own.vector] = sum;
    }
}

#[cube(launch_unchecked)]
#[expect(clippy::too_many_arguments, reason = "a kernel takes buffers and numbers alone")]
fn partial_products_kernel<N: Size>(
    x: &[Vector<f32, N>],
    other: &[Vector<f32, N>],
    mean: &[Vector<f32, N>],
    sums: &mut [Vector<f32, N>],
    rows: usize,
    vectors: usize,
    of_part: usize,
    wide: usize,
    lanes: usize,
    #[comptime] centered: bool,
) {
    let mut shared = Shared::<[Vector<f32, N>]>::new_slice(THREADS);
    let own = Own::of(rows, vectors, of_part, wide, lanes);
    let mut sum = Vector::<f32, N>::zeroed();
    let mut product = Vector::<f32, N>::zeroed();
    if own.some {
        let mut center = Vector::<f32, N>::zeroed();
        if centered {
            center = mean[own.vector];
        }
        let mut row = own.row;
        while row < own.end {
            #[unroll]
            for i in 0..AT_ONCE {
                let at = row + i * lanes;
                if at < own.end {
                    let number = x[at * vectors + own.vector];
                    sum += number;
                    product += number * (other[at * vectors + own.vector] - center);
                }
            }
            row += AT_ONCE * lanes;
        }
    }
    let sum = sum_of_lanes::<N>(sum, &mut shared, wide, lanes);
    let product = sum_of_lanes::<N>(product, &mut shared, wide, lanes);
    if own.some && own.lane == 0 {
        let at = 2 * CUBE_POS_X as usize * vectors + own.vector;
        sums[at] = sum;
        sums[at + vectors] = product;
    }
}

#[cube(launch_unchecked)]
fn partial_moments_kernel<N: Size>(
    x: &[Vector<f32, N>],
    moments: &mut [Vector<f32, N>],
    rows: usize,
    vectors: usize,
    of_part: usize,
    wide: usize,
    lanes: usize,
) {
    let mut shared = Shared::<[Vector<f32, N>]>::new_slice(THREADS);
    let own = Own::of(rows, vectors, of_part, wide, lanes);
    let first = CUBE_POS_X as usize * of_part;
    let sum = sum_of_rows::<N>(x, &own, Vector::zeroed(), vectors, lanes, false);
    let sum = sum_of_lanes::<N>(sum, &mut shared, wide, lanes);
    let mean = sum / Vector::<f32, N>::new((own.end - first) as f32);
    // The rows of a part are still near: they are read again.
    let squares = sum_of_rows::<N>(x, &own, mean, vectors, lanes, true);
    let squares = sum_of_lanes::<N>(squares, &mut shared, wide, lanes);
    if own.some && own.lane == 0 {
        let at = 2 * CUBE_POS_X as usize * vectors + own.vector;
        moments[at] = mean;
        moments[at + vectors] = squares;
    }
}

/// The sum of the vectors that a thread takes, or of the squares of their distances from `center`.
#[cube]
fn sum_of_rows<N: Size>(
    x: &[Vector<f32, N>],
    own: &Own,
    center: Vector<f32, N>,
    vectors: usize,
    lanes: usize,
    #[comptime] squared: bool,
) -> Vector<f32, N> {
    let mut sum = Vector::<f32, N>::zeroed();
    if own.some {
        let mut row = own.row;
        while row < own.end {
            #[unroll]
            for i in 0..AT_ONCE {
                let at = row + i * lanes;
                if at < own.end {
                    let number = x[at * vectors + own.vector];
                    if squared {
                        let deviation = number - center;
                        sum += deviation * deviation;
                    } else {
                        sum += number;
                    }
                }
            }
            row += AT_ONCE * lanes;
        }
    }
    sum
}

/// The sum of the vectors of a column over the lanes, by halves; every thread of the column gets it.
#[cube]
fn sum_of_lanes<N: Size>(
    own: Vector<f32, N>,
    shared: &mut [Vector<f32, N>],
    wide: usize,
    lanes: usize,
) -> Vector<f32, N> {
    let unit = UNIT_POS as usize;
    let lane = unit / wide;
    shared[unit] = own;
    sync_cube();
    let mut half = comptime!(THREADS / 2).runtime();
    while half > 0 {
        if lane < half && lane + half < lanes {
            let other = shared[unit + half * wide];
            shared[unit] += other;
        }
        sync_cube();
        half /= 2;
    }
    let sum = shared[unit % wide];
    sync_cube();
    sum
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
