//! Convolutions over images `[batch, height, width, channels]`, without copies of the image for
//! each tap (compare im2col): the direct method of Zhang et al. 2018 (arXiv:1809.10170), or
//! [`winograd`] where it takes less time.

use crate::buffer::Buffer;
use crate::device;
use crate::host::{Host, Operation, Values, record};
use crate::mixed::Precision;
use crate::padded::{Border, Padded, Shape};
use crate::product::{LANES, Product, panel};
use crate::winograd;
use burn::Tensor;
use rayon::prelude::*;

/// Convolves `x` `[batch, height, width, input]` with `weight` `[output, input, kernel, kernel]`,
/// the kernel odd and the border padded with zeros by half of it: `[batch, ⌈height / stride⌉,
/// ⌈width / stride⌉, output]`.
///
/// # Panics
/// If channels do not agree, or the kernel is even or not square.
#[must_use]
pub fn convolution(x: Tensor<4>, weight: Tensor<4>, stride: usize) -> Tensor<4> {
    let [batch, height, width, input] = x.dims();
    let [output, taken, kernel, across] = weight.dims();
    assert_eq!(taken, input, "weights for as many channels as the image has");
    assert!(kernel == across && kernel % 2 == 1, "a square kernel of odd size");
    assert!(stride > 0, "a stride");
    let (Some(host_x), Some(host_weight)) = (Host::of(&x), Host::of(&weight)) else {
        return device::convolution::convolution(Precision::F32, x, weight, stride);
    };
    let shape = Shape { batch, height, width, input, output, kernel, stride };
    let (x, weight) = (host_x.values(), host_weight.values());
    let y = forward(&shape, x.slice(), weight.slice());
    let dims = [batch, shape.rows(), shape.columns(), output];
    let y = Values::from_buffer(y, &dims);
    record([host_x, host_weight], y, || Convolution { shape, x, weight }).into_tensor()
}

#[derive(Debug, Clone)]
struct Convolution {
    shape: Shape,
    x: Values,
    weight: Values,
}

impl Operation<2> for Convolution {
    fn backward(self, gradient: Values, wanted: [bool; 2]) -> [Option<Values>; 2] {
        let Self { shape, x, weight } = self;
        let (by_x, by_weight) =
            backward(&shape, x.slice(), weight.slice(), gradient.slice(), wanted);
        [
            by_x.map(|by_x| Values::from_buffer(by_x, &x.shape())),
            by_weight.map(|by_weight| Values::from_buffer(by_weight, &weight.shape())),
        ]
    }
}

/// The value: `[batch, rows, columns, output]`.
pub(crate) fn forward(shape: &Shape, x: &[f32], weight: &[f32]) -> Buffer {
    let mut y = Buffer::take(shape.batch * shape.result());
    if y.is_empty() || x.is_empty() {
        y.fill(0.0);
        return y;
    }
    if winograd::applies(shape) {
        return winograd::forward(shape, x, weight);
    }
    let packed = pack_forward(shape, weight);
    let images = shape.images_a_task();
    y.par_chunks_mut(images * shape.result()).zip(x.par_chunks(images * shape.image())).for_each(
        |(y, x)| {
            let (height, width) = (shape.height, shape.width);
            let mut padded = Padded::new(height, width, shape.input, shape.border());
            for (y, x) in y.chunks_exact_mut(shape.result()).zip(x.chunks_exact(shape.image())) {
                padded.load(x);
                forward_image(shape, &padded, &packed, y);
            }
        },
    );
    y
}

/// Weights as `[row][column][input][output, padded]`.
fn pack_forward(shape: &Shape, weight: &[f32]) -> Buffer {
    let padded = shape.output.next_multiple_of(LANES);
    let mut packed = Buffer::zeros(shape.kernel * shape.kernel * shape.input * padded);
    let mut at = 0;
    for row in 0..shape.kernel {
        for column in 0..shape.kernel {
            for input in 0..shape.input {
                for output in 0..shape.output {
                    packed[at + output] = weight[shape.weight(output, input, row, column)];
                }
                at += padded;
            }
        }
    }
    packed
}

fn forward_image(shape: &Shape, x: &Padded, packed: &[f32], y: &mut [f32]) {
    let b_k = shape.output.next_multiple_of(LANES);
    let k = shape.kernel * shape.input;
    Product {
        rows: shape.columns(),
        columns: shape.output,
        k,
        runs: shape.kernel,
        blocks: shape.rows(),
        a: &x.numbers,
        a_row: shape.stride * shape.input,
        a_k: 1,
        a_run: x.stride,
        a_block: shape.stride * x.stride,
        b: packed,
        b_k,
        b_panel: panel(),
        b_run: k * b_k,
        b_block: 0,
        c: y,
        c_row: shape.output,
        c_block: shape.columns() * shape.output,
        add: false,
    }
    .run();
}

/// The gradients by image and weights, as far as they are `wanted`.
pub(crate) fn backward(
    shape: &Shape,
    x: &[f32],
    weight: &[f32],
    gradient: &[f32],
    wanted: [bool; 2],
) -> (Option<Buffer>, Option<Buffer>) {
    let [by_x_wanted, by_weight_wanted] = wanted;
    if winograd::applies(shape) && !x.is_empty() {
        return (
            by_x_wanted.then(|| winograd::backward_by_x(shape, weight, gradient)),
            by_weight_wanted.then(|| winograd::backward_by_weight(shape, x, gradient)),
        );
    }
    let taps = shape.kernel * shape.kernel * shape.input;
    let images = shape.images_a_sum(taps * shape.output);
    let tasks = shape.batch.div_ceil(images);
    let mut by_x = Buffer::take(if by_x_wanted { x.len() } else { 0 });
    // Sums of each task, as [row][column][input][output].
    let mut partial = Buffer::zeros(if by_weight_wanted { tasks * taps * shape.output } else { 0 });
    if !x.is_empty() && !gradient.is_empty() {
        let phases = if by_x_wanted { Phase::all(shape, weight) } else { Vec::new() };
        let by_x_tasks = pieces(&mut by_x, images * shape.image(), tasks);
        let partial_tasks = pieces(&mut partial, taps * shape.output, tasks);
        by_x_tasks
            .into_par_iter()
            .zip(partial_tasks)
            .zip(x.par_chunks(images * shape.image()))
            .zip(gradient.par_chunks(images * shape.result()))
            .for_each(|(((by_x, partial), x), gradient)| {
                if by_x_wanted {
                    backward_by_x(shape, &phases, gradient, by_x);
                }
                if by_weight_wanted {
                    backward_by_weight(shape, x, gradient, partial);
                }
            });
    } else {
        by_x.fill(0.0);
    }
    let by_weight = by_weight_wanted.then(|| unpack(shape, &mut partial));
    (by_x_wanted.then_some(by_x), by_weight)
}

/// `numbers` in `count` pieces of `size`; empty ones where there are no numbers.
fn pieces(numbers: &mut [f32], size: usize, count: usize) -> Vec<&mut [f32]> {
    if numbers.is_empty() {
        return (0..count).map(|_| [].as_mut_slice()).collect();
    }
    numbers.chunks_mut(size).collect()
}

/// The sum over tasks, in the order of the weights.
fn unpack(shape: &Shape, partial: &mut [f32]) -> Buffer {
    let size = shape.kernel * shape.kernel * shape.input * shape.output;
    let mut by_weight = Buffer::zeros(size);
    if size == 0 || partial.is_empty() {
        return by_weight;
    }
    let (sum, others) = partial.split_at_mut(size);
    for other in others.chunks_exact(size) {
        for (sum, other) in sum.iter_mut().zip(other) {
            *sum += other;
        }
    }
    let mut rows = sum.chunks_exact(shape.output);
    for row in 0..shape.kernel {
        for column in 0..shape.kernel {
            for (input, sums) in rows.by_ref().take(shape.input).enumerate() {
                for (output, sum) in sums.iter().enumerate() {
                    by_weight[shape.weight(output, input, row, column)] = *sum;
                }
            }
        }
    }
    by_weight
}

/// Pixels of the image whose row and column leave the same rests by the stride: all of them see the
/// same taps, and their gradient is itself a convolution, of stride 1, of the gradient by the output.
struct Phase {
    rows: Taps,
    columns: Taps,
    /// Weights as `[row][column][output][input, padded]`.
    packed: Buffer,
}

/// Taps that pixels `rest`, `rest + stride`, … of one axis are seen by.
struct Taps {
    rest: usize,
    /// Pixels.
    count: usize,
    /// Places in the kernel, those of later outputs last.
    taps: Vec<usize>,
    /// Output that the first tap of the first pixel belongs to.
    first: isize,
}

impl Taps {
    fn new(rest: usize, size: usize, kernel: usize, stride: usize) -> Self {
        let half = kernel / 2;
        let taps: Vec<_> = (0..kernel)
            .rev()
            .filter(|tap| (rest + half + kernel * stride - tap).is_multiple_of(stride))
            .collect();
        let first = taps
            .first()
            .map_or(0, |tap| (rest as isize + half as isize - *tap as isize) / stride as isize);
        Self { rest, count: size.saturating_sub(rest).div_ceil(stride), taps, first }
    }

    /// Outputs before the first, and after the last of `outputs`, that the taps reach.
    fn reach(&self, outputs: usize) -> (usize, usize) {
        let last = self.first + self.count as isize - 1 + self.taps.len() as isize - 1;
        let before = (-self.first).max(0);
        let after = (last - (outputs as isize - 1)).max(0);
        (before as usize, after as usize)
    }
}

impl Phase {
    fn all(shape: &Shape, weight: &[f32]) -> Vec<Self> {
        let axis = |size: usize| {
            (0..shape.stride.min(size))
                .map(move |rest| Taps::new(rest, size, shape.kernel, shape.stride))
        };
        axis(shape.height)
            .flat_map(|rows| {
                axis(shape.width).map(move |columns| {
                    let rows = Taps { taps: rows.taps.clone(), ..rows };
                    (rows, columns)
                })
            })
            .map(|(rows, columns)| {
                let packed = pack_backward(shape, weight, &rows.taps, &columns.taps);
                Self { rows, columns, packed }
            })
            .collect()
    }
}

fn pack_backward(shape: &Shape, weight: &[f32], rows: &[usize], columns: &[usize]) -> Buffer {
    let padded = shape.input.next_multiple_of(LANES);
    let mut packed = Buffer::zeros(rows.len() * columns.len() * shape.output * padded);
    let mut at = 0;
    for row in rows {
        for column in columns {
            for output in 0..shape.output {
                for input in 0..shape.input {
                    packed[at + input] = weight[shape.weight(output, input, *row, *column)];
                }
                at += padded;
            }
        }
    }
    packed
}

fn backward_by_x(shape: &Shape, phases: &[Phase], gradient: &[f32], by_x: &mut [f32]) {
    let (rows, columns) = (shape.rows(), shape.columns());
    let mut border = Border { before: 0, after_rows: 0, after_columns: 0 };
    for phase in phases {
        let (above, below) = phase.rows.reach(rows);
        let (left, right) = phase.columns.reach(columns);
        border.before = border.before.max(above).max(left);
        border.after_rows = border.after_rows.max(below);
        border.after_columns = border.after_columns.max(right);
    }
    let mut padded = Padded::new(rows, columns, shape.output, border);
    let b_k = shape.input.next_multiple_of(LANES);
    for (gradient, by_x) in
        gradient.chunks_exact(shape.result()).zip(by_x.chunks_exact_mut(shape.image()))
    {
        padded.load(gradient);
        if phases.iter().any(|phase| phase.rows.taps.is_empty() || phase.columns.taps.is_empty()) {
            by_x.fill(0.0);
        }
        for Phase { rows, columns, packed } in phases {
            if packed.is_empty() {
                continue;
            }
            let k = columns.taps.len() * shape.output;
            let before = border.before as isize;
            let (row, column) = (rows.first + before, columns.first + before);
            let from = row as usize * padded.stride + column as usize * shape.output;
            Product {
                rows: columns.count,
                columns: shape.input,
                k,
                runs: rows.taps.len(),
                blocks: rows.count,
                a: &padded.numbers[from..],
                a_row: shape.output,
                a_k: 1,
                a_run: padded.stride,
                a_block: padded.stride,
                b: packed,
                b_k,
                b_panel: panel(),
                b_run: k * b_k,
                b_block: 0,
                c: &mut by_x[(rows.rest * shape.width + columns.rest) * shape.input..],
                c_row: shape.stride * shape.input,
                c_block: shape.stride * shape.width * shape.input,
                add: false,
            }
            .run();
        }
    }
}

/// Adds the gradient of each image to `sums`, `[row][column][input][output]`.
fn backward_by_weight(shape: &Shape, x: &[f32], gradient: &[f32], sums: &mut [f32]) {
    let (height, width, channels) = (shape.height, shape.width, shape.input);
    let mut padded = Padded::new(height, width, channels, shape.border());
    let b_k = shape.output.next_multiple_of(LANES);
    // Rows of the right side must be padded; those of a gradient are where its channels fill
    // registers.
    let fits = b_k == shape.output;
    let pixels = shape.rows() * shape.columns();
    let mut aligned = Buffer::zeros(if fits { 0 } else { pixels * b_k });
    for (x, gradient) in x.chunks_exact(shape.image()).zip(gradient.chunks_exact(shape.result())) {
        padded.load(x);
        let b = if fits {
            gradient
        } else {
            for (to, from) in aligned.chunks_exact_mut(b_k).zip(gradient.chunks_exact(shape.output))
            {
                to[..shape.output].copy_from_slice(from);
            }
            &aligned
        };
        let rows = shape.kernel * shape.input;
        Product {
            rows,
            columns: shape.output,
            k: shape.columns(),
            runs: shape.rows(),
            blocks: shape.kernel,
            a: &padded.numbers,
            a_row: 1,
            a_k: shape.stride * shape.input,
            a_run: shape.stride * padded.stride,
            a_block: padded.stride,
            b,
            b_k,
            b_panel: panel(),
            b_run: shape.columns() * b_k,
            b_block: 0,
            c: sums,
            c_row: shape.output,
            c_block: rows * shape.output,
            add: true,
        }
        .run();
    }
}
