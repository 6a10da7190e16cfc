//! Convolutions of stride 1 by 3×3 kernels with 2¼ times fewer products: the minimal filtering of
//! Winograd, F(2×2, 3×3), in the form of Lavin and Gray 2016 (arXiv:1509.09308).
//!
//! An image is cut into tiles of 2×2 outputs, each of which sees 4×4 inputs. Tiles and kernels are
//! transformed into 16 numbers a channel (`V = Bᵀ d B`, `U = G g Gᵀ`); a convolution is then 16 matrix
//! products, one for each of these numbers, and a transform back (`Y = Aᵀ M A`). The gradient by the
//! weights is the adjoint: `Gᵀ (Vᵀ (A ∂Y Aᵀ)) G`.

use crate::buffer::Buffer;
use crate::padded::{Border, Padded, Pixels, Shape};
use crate::product::{LANES, Product, panel};
use ::activation::arch;
use ::activation::simd::width;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

/// Numbers that a tile has in the transformed space.
const POINTS: usize = 16;

/// Tiles that are transformed together, at least: what they become stays in the second cache, and fills the tiles of products.
const STRIP: usize = 24;

/// The same where they are summed over, which costs once a strip.
const SUMMED_STRIP: usize = 64;

/// Numbers between the points of `tiles` with `channels`: a line more than they fill, since stores at
/// distances of a page hold each other up.
fn distance(tiles: usize, channels: usize) -> usize {
    tiles * channels + LANES
}

/// Channels from which the products that are spared cost more than the transforms.
const CHANNELS: usize = 16;

/// Whether a convolution is of this kind, and gains by it.
pub(crate) fn applies(shape: &Shape) -> bool {
    let narrow = shape.input.min(shape.output);
    shape.kernel == 3 && shape.stride == 1 && narrow >= CHANNELS
}

/// One convolution's sizes. In the transformed space a row of an image's channels begins at a whole register of any machine; no
/// result depends on what lies behind its channels.
#[derive(Clone, Copy)]
struct Plan {
    height: usize,
    width: usize,
    input: usize,
    output: usize,
    input_padded: usize,
    output_padded: usize,
    rows: usize,
    columns: usize,
}

impl Plan {
    fn new(shape: &Shape, input: usize, output: usize) -> Self {
        Self {
            height: shape.height,
            width: shape.width,
            input,
            output,
            input_padded: input.next_multiple_of(LANES),
            output_padded: output.next_multiple_of(LANES),
            rows: shape.height.div_ceil(2),
            columns: shape.width.div_ceil(2),
        }
    }

    /// Columns of products: the outputs, filled up to whole registers of this machine.
    fn product_columns(&self) -> usize {
        self.output.next_multiple_of(width().lanes())
    }

    /// Outputs of a panel of kernels: no more than products read, so that a single panel has no gaps.
    fn panel(&self) -> usize {
        panel().min(self.product_columns())
    }

    /// Outputs in whole panels.
    fn output_in_panels(&self) -> usize {
        self.output.next_multiple_of(self.panel())
    }

    /// Whether a result is whole tiles, in whole registers of any machine.
    fn output_is_whole(&self) -> bool {
        self.output == self.output_padded
            && self.height.is_multiple_of(2)
            && self.width.is_multiple_of(2)
    }

    /// Rows of tiles that make up at least `tiles`.
    fn strip_rows(&self, tiles: usize) -> usize {
        tiles.div_ceil(self.columns).min(self.rows)
    }

    /// An image with a border of one pixel, and what whole tiles need beyond it.
    fn padded_input(&self) -> Padded {
        let border = Border {
            before: 1,
            after_rows: 2 * self.rows + 1 - self.height,
            after_columns: 2 * self.columns + 1 - self.width,
        };
        Padded::new(self.height, self.width, self.input, border)
    }

    /// A result filled up to whole tiles.
    fn padded_output(&self) -> Padded {
        let border = Border {
            before: 0,
            after_rows: 2 * self.rows - self.height,
            after_columns: 2 * self.columns - self.width,
        };
        Padded::new(self.height, self.width, self.output, border)
    }
}

/// The value: `[batch, height, width, output]`.
pub(crate) fn forward(shape: &Shape, x: &[f32], weight: &[f32]) -> Buffer {
    let plan = Plan::new(shape, shape.input, shape.output);
    let kernels = transform_kernels(&plan, |output, input, row, column| {
        weight[shape.weight(output, input, row, column)]
    });
    convolve(shape, &plan, &kernels, x)
}

/// The gradient by the image: a convolution of that by the result with the kernels turned round.
pub(crate) fn backward_by_x(shape: &Shape, weight: &[f32], gradient: &[f32]) -> Buffer {
    let plan = Plan::new(shape, shape.output, shape.input);
    let kernels = transform_kernels(&plan, |output, input, row, column| {
        weight[shape.weight(input, output, 2 - row, 2 - column)]
    });
    convolve(shape, &plan, &kernels, gradient)
}

/// U as `[point][output / panel][input][panel]`.
fn transform_kernels(
    plan: &Plan,
    weight: impl Fn(usize, usize, usize, usize) -> f32 + Sync,
) -> Buffer {
    let (panel, matrix) = (plan.panel(), plan.input * plan.output_in_panels());
    let mut kernels = Buffer::take(POINTS * matrix);
    kernels.par_chunks_mut(4 * matrix).enumerate().for_each(|(row, points)| {
        points.fill(0.0);
        for input in 0..plan.input {
            for output in 0..plan.output {
                // A row of G g, then that of (G g) Gᵀ.
                let half = [0, 1, 2].map(|column| {
                    kernel_point(row, [0, 1, 2].map(|row| weight(output, input, row, column)))
                });
                let at = (output / panel * plan.input + input) * panel + output % panel;
                for column in 0..4 {
                    points[column * matrix + at] = kernel_point(column, half);
                }
            }
        }
    });
    kernels
}

/// A row of G g.
fn kernel_point(row: usize, [a, b, c]: [f32; 3]) -> f32 {
    match row {
        0 => a,
        1 => 0.5 * (a + b + c),
        2 => 0.5 * (a - b + c),
        _ => c,
    }
}

/// Gᵀ u.
fn kernel_gradient([a, b, c, d]: [f32; 4]) -> [f32; 3] {
    [a + 0.5 * (b + c), 0.5 * (b - c), 0.5 * (b + c) + d]
}

fn convolve(shape: &Shape, plan: &Plan, kernels: &[f32], x: &[f32]) -> Buffer {
    let pixels = plan.height * plan.width;
    let mut y = Buffer::take(shape.batch * pixels * plan.output);
    let images = shape.images_a_task();
    y.par_chunks_mut(images * pixels * plan.output)
        .zip(x.par_chunks(images * pixels * plan.input))
        .for_each(|(y, x)| {
            let mut padded = plan.padded_input();
            let strip_rows = plan.strip_rows(STRIP);
            let strip = strip_rows * plan.columns;
            let mut v = Buffer::take(POINTS * distance(strip, plan.input_padded));
            let mut m = Buffer::take(POINTS * distance(strip, plan.output_padded));
            let images = y.chunks_exact_mut(pixels * plan.output);
            for (y, x) in images.zip(x.chunks_exact(pixels * plan.input)) {
                padded.load(x);
                for first in (0..plan.rows).step_by(strip_rows) {
                    let rows = strip_rows.min(plan.rows - first);
                    let tiles = rows * plan.columns;
                    let strip = Strip { first, rows, columns: plan.columns };
                    strip.transform_input(padded.pixels(), &mut v);
                    Product {
                        rows: tiles,
                        columns: plan.product_columns(),
                        k: plan.input,
                        runs: 1,
                        blocks: POINTS,
                        a: &v,
                        a_row: plan.input_padded,
                        a_k: 1,
                        a_run: 0,
                        a_block: distance(tiles, plan.input_padded),
                        b: kernels,
                        b_k: plan.panel(),
                        b_panel: plan.input * plan.panel(),
                        b_run: 0,
                        b_block: plan.input * plan.output_in_panels(),
                        c: &mut m,
                        c_row: plan.output_padded,
                        c_block: distance(tiles, plan.output_padded),
                        add: false,
                    }
                    .run();
                    arch().dispatch(TransformOutput { plan, strip, m: &m, y });
                }
            }
        });
    y
}

/// The gradient by the weights, `[output][input][row][column]`.
pub(crate) fn backward_by_weight(shape: &Shape, x: &[f32], gradient: &[f32]) -> Buffer {
    let plan = Plan::new(shape, shape.input, shape.output);
    let matrix = plan.input_padded * plan.output_padded;
    let images = shape.images_a_sum(POINTS * matrix);
    let mut partial = Buffer::take(shape.batch.div_ceil(images) * POINTS * matrix);
    let pixels = plan.height * plan.width;
    partial
        .par_chunks_mut(POINTS * matrix)
        .zip(x.par_chunks(images * pixels * plan.input))
        .zip(gradient.par_chunks(images * pixels * plan.output))
        .for_each(|((sums, x), gradient)| {
            let mut padded_x = plan.padded_input();
            let mut padded_gradient = (!plan.output_is_whole()).then(|| plan.padded_output());
            let strip_rows = plan.strip_rows(SUMMED_STRIP);
            let strip = strip_rows * plan.columns;
            let mut v = Buffer::take(POINTS * distance(strip, plan.input_padded));
            let mut m = Buffer::take(POINTS * distance(strip, plan.output_padded));
            let images = x.chunks_exact(pixels * plan.input);
            let images = images.zip(gradient.chunks_exact(pixels * plan.output));
            for (image, (x, gradient)) in images.enumerate() {
                padded_x.load(x);
                let gradient = match &mut padded_gradient {
                    Some(padded) => {
                        padded.load(gradient);
                        padded.pixels()
                    }
                    None => {
                        let stride = plan.width * plan.output;
                        Pixels { numbers: gradient, channels: plan.output, stride }
                    }
                };
                for first in (0..plan.rows).step_by(strip_rows) {
                    let rows = strip_rows.min(plan.rows - first);
                    let tiles = rows * plan.columns;
                    let strip = Strip { first, rows, columns: plan.columns };
                    strip.transform_input(padded_x.pixels(), &mut v);
                    strip.transform_gradient(gradient, &mut m);
                    Product {
                        rows: plan.input,
                        columns: plan.product_columns(),
                        k: tiles,
                        runs: 1,
                        blocks: POINTS,
                        a: &v,
                        a_row: 1,
                        a_k: plan.input_padded,
                        a_run: 0,
                        a_block: distance(tiles, plan.input_padded),
                        b: &m,
                        b_k: plan.output_padded,
                        b_panel: panel(),
                        b_run: 0,
                        b_block: distance(tiles, plan.output_padded),
                        c: sums,
                        c_row: plan.output_padded,
                        c_block: matrix,
                        add: image > 0 || first > 0,
                    }
                    .run();
                }
            }
        });
    weights_of(&plan, &mut partial)
}

/// The gradient by the weights from the sums of tasks, `[task][point][input, padded][output, padded]`.
fn weights_of(plan: &Plan, partial: &mut [f32]) -> Buffer {
    let (row, matrix) = (plan.output_padded, plan.input_padded * plan.output_padded);
    let (sums, others) = partial.split_at_mut(POINTS * matrix);
    sums.par_chunks_mut(matrix).enumerate().for_each(|(point, sums)| {
        for other in others.chunks_exact(POINTS * matrix) {
            let other = &other[point * matrix..(point + 1) * matrix];
            let rows = sums.chunks_exact_mut(row).zip(other.chunks_exact(row)).take(plan.input);
            for (sums, other) in rows {
                let columns = sums.iter_mut().zip(other).take(plan.output);
                columns.for_each(|(sum, other)| *sum += other);
            }
        }
    });
    let (sums, taps) = (&*sums, 9 * plan.input);
    let mut by_weight = Buffer::take(plan.output * taps);
    by_weight.par_chunks_mut(taps).enumerate().for_each(|(output, by_weight)| {
        for (input, by_weight) in by_weight.chunks_exact_mut(9).enumerate() {
            let at = input * row + output;
            let mut half = [[0.0; 4]; 3];
            for column in 0..4 {
                let u = [0, 1, 2, 3].map(|row| sums[(4 * row + column) * matrix + at]);
                for (half, g) in half.iter_mut().zip(kernel_gradient(u)) {
                    half[column] = g;
                }
            }
            for (row, half) in by_weight.chunks_exact_mut(3).zip(half) {
                row.copy_from_slice(&kernel_gradient(half));
            }
        }
    });
    by_weight
}

/// Some rows of tiles.
#[derive(Clone, Copy)]
struct Strip {
    first: usize,
    rows: usize,
    columns: usize,
}

impl Strip {
    /// V of each tile of an image, `[point][tile][input, padded]`.
    fn transform_input(self, image: Pixels<'_>, v: &mut [f32]) {
        arch().dispatch(TransformTiles::<4> { strip: self, image, points: v });
    }

    /// A ∂Y Aᵀ of each tile of a gradient, `[point][tile][output, padded]`.
    fn transform_gradient(self, gradient: Pixels<'_>, m: &mut [f32]) {
        arch().dispatch(TransformTiles::<2> { strip: self, image: gradient, points: m });
    }
}

/// Transforms tiles of `SIZE`×`SIZE` pixels, two pixels apart: `SIZE` is 4 for inputs, and 2 for
/// gradients by outputs.
struct TransformTiles<'a, const SIZE: usize> {
    strip: Strip,
    image: Pixels<'a>,
    points: &'a mut [f32],
}

impl<const SIZE: usize> WithSimd for TransformTiles<'_, SIZE> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { strip, image, points } = self;
        let Pixels { numbers, channels, stride: row } = image;
        let padded = channels.next_multiple_of(LANES);
        let tiles = strip.rows * strip.columns;
        let last_row = 2 * (strip.first + strip.rows - 1) + SIZE - 1;
        let last_pixel = last_row * row + (2 * (strip.columns - 1) + SIZE - 1) * channels;
        let last = last_pixel + channels.next_multiple_of(S::F32_LANES);
        assert!(last <= numbers.len(), "tiles within the image");
        let distance = distance(tiles, padded);
        assert!(points.len() >= POINTS * distance, "room for each tile");
        for tile in 0..tiles {
            let (y, x) = (strip.first + tile / strip.columns, tile % strip.columns);
            let from = 2 * y * row + 2 * x * channels;
            for channel in (0..channels).step_by(S::F32_LANES) {
                let mut half = [[simd.splat_f32s(0.0); SIZE]; 4];
                for j in 0..SIZE {
                    let mut d = [simd.splat_f32s(0.0); SIZE];
                    for (i, d) in d.iter_mut().enumerate() {
                        // SAFETY: the last register of the last pixel was checked to lie in the image.
                        *d = unsafe {
                            let at = from + i * row + j * channels + channel;
                            numbers.as_ptr().add(at).cast::<S::f32s>().read_unaligned()
                        };
                    }
                    let line = points_of(simd, d);
                    for i in 0..4 {
                        half[i][j] = line[i];
                    }
                }
                for (i, half) in half.into_iter().enumerate() {
                    for (j, number) in points_of(simd, half).into_iter().enumerate() {
                        // SAFETY: there is room for each point of each tile.
                        unsafe {
                            let at = (4 * i + j) * distance + tile * padded + channel;
                            points.as_mut_ptr().add(at).cast::<S::f32s>().write_unaligned(number);
                        }
                    }
                }
            }
        }
    }
}

/// Bᵀ d for four numbers, A y for two.
#[inline(always)]
fn points_of<S: Simd, const SIZE: usize>(simd: S, d: [S::f32s; SIZE]) -> [S::f32s; 4] {
    if SIZE == 4 {
        [
            simd.sub_f32s(d[0], d[2]),
            simd.add_f32s(d[1], d[2]),
            simd.sub_f32s(d[2], d[1]),
            simd.sub_f32s(d[1], d[3]),
        ]
    } else {
        [
            d[0],
            simd.add_f32s(d[0], d[1]),
            simd.sub_f32s(d[0], d[1]),
            simd.sub_f32s(simd.splat_f32s(0.0), d[1]),
        ]
    }
}

/// Y of each tile, into the image.
struct TransformOutput<'a> {
    plan: &'a Plan,
    strip: Strip,
    m: &'a [f32],
    y: &'a mut [f32],
}

impl WithSimd for TransformOutput<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { plan, strip, m, y } = self;
        let (channels, padded) = (plan.output, plan.output_padded);
        let tiles = strip.rows * strip.columns;
        let distance = distance(tiles, padded);
        assert!(m.len() >= POINTS * distance, "points of each tile");
        for tile in 0..tiles {
            let (row, column) =
                (2 * (strip.first + tile / strip.columns), 2 * (tile % strip.columns));
            for channel in (0..channels).step_by(S::F32_LANES) {
                let mut half = [[simd.splat_f32s(0.0); 4]; 2];
                for j in 0..4 {
                    let mut d = [simd.splat_f32s(0.0); 4];
                    for (i, d) in d.iter_mut().enumerate() {
                        // SAFETY: `m` was checked to hold each point of each tile.
                        *d = unsafe {
                            let at = (4 * i + j) * distance + tile * padded + channel;
                            m.as_ptr().add(at).cast::<S::f32s>().read_unaligned()
                        };
                    }
                    [half[0][j], half[1][j]] = outputs_of(simd, d);
                }
                for (i, half) in half.into_iter().enumerate() {
                    for (j, number) in outputs_of(simd, half).into_iter().enumerate() {
                        let (row, column) = (row + i, column + j);
                        if row >= plan.height || column >= plan.width {
                            continue;
                        }
                        let from = (row * plan.width + column) * plan.output;
                        let to = from + (channel + S::F32_LANES).min(plan.output);
                        let y = &mut y[from + channel..to];
                        if let ([y], _) = S::as_mut_simd_f32s(y) {
                            *y = number;
                        } else {
                            simd.partial_store_f32s(y, number);
                        }
                    }
                }
            }
        }
    }
}

/// Aᵀ m.
#[inline(always)]
fn outputs_of<S: Simd>(simd: S, [a, b, c, d]: [S::f32s; 4]) -> [S::f32s; 2] {
    [simd.add_f32s(simd.add_f32s(a, b), c), simd.sub_f32s(simd.sub_f32s(b, c), d)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buffer::spoil_idle;

    /// Buffers hold earlier numbers: none of them may be read before it is written.
    #[test]
    fn reads_only_what_it_wrote() {
        // With whole tiles, and without; in one panel of outputs, and in several.
        for (height, width, output) in [(7, 6, 20), (8, 6, 32), (6, 6, 70)] {
            assert_reads_only_what_it_wrote(Shape {
                batch: 5,
                height,
                width,
                input: 17,
                output,
                kernel: 3,
                stride: 1,
            });
        }
    }

    fn assert_reads_only_what_it_wrote(shape: Shape) {
        let numbers = |n: usize| -> Vec<f32> { (0..n).map(|i| (i % 13) as f32 - 6.0).collect() };
        let pixels = shape.batch * shape.height * shape.width;
        let (x, gradient) = (numbers(pixels * shape.input), numbers(pixels * shape.output));
        let weight = numbers(shape.output * shape.input * 9);
        let compute = || {
            let y = forward(&shape, &x, &weight).to_vec();
            let by_x = backward_by_x(&shape, &weight, &gradient).to_vec();
            [y, by_x, backward_by_weight(&shape, &x, &gradient).to_vec()]
        };
        let expected = compute();
        spoil_idle();
        assert_eq!(compute(), expected);
    }
}
