//! Products of matrices in f32, each term as precise as on the CPU: a GPU's units for matrices would round both sides to
//! TF32.

use super::cube::cubes;
use super::sums::{sum_of_parts, two_sums_of_parts};
use super::tile::{CHUNK, Parts, Tile, add_products, zeros};
use super::{MOST, on_gpu, room, tensor, width};
use crate::device::tape::Gpu;
use crate::mixed::Precision;
use burn::Tensor;
use burn::tensor::DType;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

/// `left` · `right` + `bias` of the matrices in the last two dimensions; dimensions before them are those of both.
pub(crate) fn product<const D: usize>(
    left: &Tensor<D>,
    right: &Tensor<D>,
    bias: Option<&Tensor<1>>,
) -> Option<Tensor<D>> {
    let (mut shape, others) = (left.dims(), right.dims());
    if shape[..D - 2] != others[..D - 2] || shape[D - 1] != others[D - 2] {
        return None;
    }
    shape[D - 1] = others[D - 1];
    let (left, right) = (Matrices::of(left)?, Matrices::of(right)?);
    let bias = match bias {
        Some(bias) => Some(on_gpu(bias)?),
        None => None,
    };
    let tile = Tile::of_product(left.count, left.rows, right.columns);
    let y = launch(&left, &right, bias, tile, None)?;
    Some(tensor::<1>(y).reshape(shape))
}

/// The sum over rows of the products of `left` `[rows, n]` and `right` `[rows, m]`, `[n, m]`, and that of `right`, `[m]`,
/// where it is wanted.
pub(crate) fn product_over_rows(
    left: &Tensor<2>,
    right: &Tensor<2>,
    summed: bool,
) -> Option<(Tensor<2>, Option<Tensor<1>>)> {
    let ([rows, n], [_, m]) = (left.dims(), right.dims());
    let (left, right) = (Matrices::of(&left.clone().transpose())?, Matrices::of(right)?);
    let tile = Tile::of_parts(m);
    let parts = Parts::of(rows, tile.cubes(n, m));
    let count = parts.count;
    let sums = launch(&left, &right, None, tile, Some((parts, summed)))?;
    if !summed {
        let product = sum_of_parts(sums, count, Precision::F32);
        return Some((tensor::<1>(product).reshape([n, m]), None));
    }
    let (product, sum) = two_sums_of_parts(sums, count, n * m);
    Some((tensor::<1>(product).reshape([n, m]), Some(tensor(sum))))
}

/// Matrices one behind the other.
struct Matrices {
    data: CubeTensor,
    count: usize,
    rows: usize,
    columns: usize,
    /// Whether the numbers of a column are neighbours, not those of a row.
    transposed: bool,
}

impl Matrices {
    fn of<const D: usize>(x: &Tensor<D>) -> Option<Self> {
        let shape = x.dims();
        if x.dtype() != DType::F32 || shape.iter().product::<usize>() > MOST {
            return None;
        }
        let x = x.clone().try_into_primitive::<Gpu>().ok()?;
        let transposed = lies_transposed(&shape, x.meta.strides());
        Some(Self {
            data: if transposed { x } else { into_contiguous(x) },
            count: shape[..D - 2].iter().product(),
            rows: shape[D - 2],
            columns: shape[D - 1],
            transposed,
        })
    }

    /// Numbers that are read at once.
    fn width(&self) -> usize {
        let neighbours = if self.transposed { self.rows } else { self.columns };
        width(&self.data.client, neighbours).min(CHUNK)
    }
}

/// Whether so strided a tensor is one without gaps whose last two dimensions are swapped.
fn lies_transposed(shape: &[usize], strides: &[usize]) -> bool {
    let rank = shape.len();
    let mut order: Vec<usize> = (0..rank).collect();
    order.swap(rank - 2, rank - 1);
    let mut expected = 1;
    order.into_iter().rev().all(|axis| {
        let lies = strides[axis] == expected;
        expected *= shape[axis];
        lies
    })
}

/// How a side of a product is read: `length` of its rows or columns for each term of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Side {
    /// Whether neighbours in memory are of one term, not of one row or column.
    of_term: bool,
    length: usize,
    /// Places in shared memory from a term to the next.
    stride: usize,
    threads: usize,
}

impl Side {
    /// Vectors that a thread reads of a chunk.
    fn loads(&self, width: usize) -> usize {
        (CHUNK * self.length / width).div_ceil(self.threads)
    }
}

/// What a kernel is compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Form {
    tile: Tile,
    left: Side,
    right: Side,
    biased: bool,
    /// Whether the cubes of one tile are parts of one sum, not products.
    in_parts: bool,
    /// Whether the sums of the right side are a row behind those of the products.
    summed: bool,
}

fn launch(
    left: &Matrices,
    right: &Matrices,
    bias: Option<CubeTensor>,
    tile: Tile,
    parts: Option<(Parts, bool)>,
) -> Option<CubeTensor> {
    let summed = parts.as_ref().is_some_and(|(_, summed)| *summed);
    let parts = parts.map(|(parts, _)| parts);
    let (rows, columns, depth) = (left.rows, right.columns, left.columns);
    let deep = parts.as_ref().map_or(left.count, |parts| parts.count);
    let (down, across) = (rows.div_ceil(tile.rows), columns.div_ceil(tile.columns));
    let results = deep * (rows + usize::from(summed)) * columns;
    if results > MOST || right.rows != depth {
        return None;
    }
    let y = room(&left.data, [results]);
    if deep * rows * columns == 0 {
        // Without a row of the product there is no cube that adds up the right side.
        return (!summed).then_some(y);
    }
    let (threads, client) = (tile.threads(), left.data.client.clone());
    let side = |of_term, length, stride| Side { of_term, length, stride, threads };
    let form = Form {
        tile,
        left: side(left.transposed, tile.rows, tile.left_stride()),
        right: side(!right.transposed, tile.columns, tile.right_stride()),
        biased: bias.is_some(),
        in_parts: parts.is_some(),
        summed,
    };
    // SAFETY: every place that is read or written is compared with the sizes of the matrices first, which agree.
    unsafe {
        product_kernel::launch_unchecked(
            &client,
            cubes(down * across * deep),
            tile.dim(),
            left.width(),
            right.width(),
            left.data.clone().into_buffer_arg(),
            right.data.clone().into_buffer_arg(),
            // What is absent is not read; another takes its place.
            bias.unwrap_or_else(|| left.data.clone()).into_buffer_arg(),
            y.clone().into_buffer_arg(),
            rows,
            columns,
            depth,
            parts.map_or(depth, |parts| parts.terms),
            down,
            across,
            deep,
            form,
        );
    }
    Some(y)
}

#[cube(launch_unchecked)]
#[expect(clippy::too_many_arguments, reason = "a kernel takes buffers and numbers alone")]
fn product_kernel<N: Size, M: Size>(
    left: &[Vector<f32, N>],
    right: &[Vector<f32, M>],
    bias: &[f32],
    y: &mut [f32],
    rows: usize,
    columns: usize,
    depth: usize,
    of_part: usize,
    down: usize,
    across: usize,
    count: usize,
    #[comptime] form: Form,
) {
    let tile = comptime!(form.tile);
    let mut lefts = Shared::<[f32]>::new_slice(comptime!(CHUNK * tile.left_stride()));
    let mut rights = Shared::<[f32]>::new_slice(comptime!(CHUNK * tile.right_stride()));
    let unit = UNIT_POS as usize;
    let first_row = CUBE_POS % down * tile.rows;
    let first_column = CUBE_POS / down % across * tile.columns;
    let deep = CUBE_POS / (down * across);
    let mut sums = zeros(tile);

    let mut first = comptime!(0usize).runtime();
    let mut left_from = comptime!(0usize).runtime();
    let mut right_from = comptime!(0usize).runtime();
    if comptime!(form.in_parts) {
        first = deep * of_part;
    } else {
        left_from = deep * rows * depth;
        right_from = deep * depth * columns;
    }
    let mut end = min(first + of_part, depth);
    // There may be more cubes than tiles.
    if deep >= count {
        end = first;
    }
    let left_width = N::value();
    let right_width = M::value();
    let mut next_left = Array::<Vector<f32, N>>::new(comptime!(form.left.loads(left_width)));
    let mut next_right = Array::<Vector<f32, M>>::new(comptime!(form.right.loads(right_width)));
    let left_lines = Lines { from: left_from, count: rows, first: first_row };
    let right_lines = Lines { from: right_from, count: columns, first: first_column };
    read::<N>(left, &left_lines, depth, first, end, &mut next_left, form.left);
    read::<M>(right, &right_lines, depth, first, end, &mut next_right, form.right);
    // The first threads of the first row of cubes add up the right side too.
    let adds =
        comptime!(form.summed).runtime() && first_row == 0 && unit < comptime!(tile.across());
    let mut right_sums = Array::<f32>::new(comptime!(tile.columns_of_thread));
    #[unroll]
    for j in 0..comptime!(tile.columns_of_thread) {
        right_sums[j] = 0.0f32;
    }
    let mut at = first;
    while at < end {
        lay::<N>(&next_left, &mut lefts, form.left);
        lay::<M>(&next_right, &mut rights, form.right);
        sync_cube();
        // What comes next is on its way while the products of a chunk are added.
        at += CHUNK;
        read::<N>(left, &left_lines, depth, at, end, &mut next_left, form.left);
        read::<M>(right, &right_lines, depth, at, end, &mut next_right, form.right);
        add_products(&lefts, &rights, &mut sums, tile);
        if comptime!(form.summed) {
            if adds {
                for k in 0..CHUNK {
                    #[unroll]
                    for j in 0..comptime!(tile.columns_of_thread) {
                        right_sums[j] += rights[k * comptime!(tile.right_stride())
                            + unit
                            + comptime!(j * tile.across())];
                    }
                }
            }
        }
        sync_cube();
    }

    let all_rows = if comptime!(form.summed) { rows + 1 } else { rows };
    let own_row = first_row + unit / comptime!(tile.across());
    let own_column = first_column + unit % comptime!(tile.across());
    #[unroll]
    for j in 0..comptime!(tile.columns_of_thread) {
        let column = own_column + comptime!(j * tile.across());
        let mut added = 0.0f32;
        if comptime!(form.biased) {
            if column < columns {
                added = bias[column];
            }
        }
        #[unroll]
        for i in 0..comptime!(tile.rows_of_thread) {
            let row = own_row + comptime!(i * tile.down());
            if row < rows && column < columns && deep < count {
                y[(deep * all_rows + row) * columns + column] =
                    sums[comptime!(i * tile.columns_of_thread + j)] + added;
            }
        }
        if comptime!(form.summed) {
            if adds && column < columns && deep < count {
                y[(deep * all_rows + rows) * columns + column] = right_sums[j];
            }
        }
    }
}

/// The rows or columns of a side that a cube reads.
#[derive(CubeType)]
struct Lines {
    /// Where the matrix begins.
    from: usize,
    /// How many it has.
    count: usize,
    first: usize,
}

/// Brings what a thread reads of a chunk of a side: of `depth` terms those from `at` on and before `end`; zeros elsewhere.
#[cube]
fn read<N: Size>(
    numbers: &[Vector<f32, N>],
    lines: &Lines,
    depth: usize,
    at: usize,
    end: usize,
    into: &mut Array<Vector<f32, N>>,
    #[comptime] side: Side,
) {
    let width = N::value();
    #[unroll]
    for i in 0..comptime!(side.loads(width)) {
        let spot = Spot::of(i, width, side);
        let (line, term) = (lines.first + spot.line, at + spot.term);
        let mut vector = Vector::<f32, N>::zeroed();
        if spot.term < CHUNK && line < lines.count && term < end {
            let number = if comptime!(side.of_term) {
                term * lines.count + line
            } else {
                line * depth + term
            };
            vector = numbers[(lines.from + number) / width];
        }
        into[i] = vector;
    }
}

/// Lays down in shared memory what [`read`] has brought.
#[cube]
fn lay<N: Size>(read: &Array<Vector<f32, N>>, to: &mut [f32], #[comptime] side: Side) {
    let width = N::value();
    #[unroll]
    for i in 0..comptime!(side.loads(width)) {
        let spot = Spot::of(i, width, side);
        if spot.term < CHUNK && spot.line < side.length {
            #[unroll]
            for j in 0..width {
                let at = if comptime!(side.of_term) {
                    spot.term * side.stride + spot.line + j
                } else {
                    (spot.term + j) * side.stride + spot.line
                };
                to[at] = read[i].extract(j);
            }
        }
    }
}

/// Where in a chunk a thread reads.
#[derive(CubeType)]
struct Spot {
    line: usize,
    term: usize,
}

#[cube]
impl Spot {
    /// The place of its load `i` of vectors of `width` numbers.
    fn of(#[comptime] i: usize, #[comptime] width: usize, #[comptime] side: Side) -> Spot {
        let load = UNIT_POS as usize + comptime!(i * side.threads);
        if comptime!(side.of_term) {
            let vectors = comptime!(side.length / width);
            Spot { line: load % vectors * width, term: load / vectors }
        } else {
            let vectors = comptime!(CHUNK / width);
            Spot { line: load / vectors, term: load % vectors * width }
        }
    }
}
