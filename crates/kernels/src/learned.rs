//! Activations whose numbers are learned: the gradients by inputs and numbers in one pass.

use crate::buffer::Buffer;
use crate::device::row::repeated;
use crate::host::{Host, Operation, Values, record};
use ::activation::{Activation, LearnedFormula, Values as NumberValues};
use burn::Tensor;
use rayon::prelude::*;
use std::sync::Arc;

/// Elements that one task takes on. Sums are of a task first: their order follows from the shape alone.
const TASK: usize = 1 << 15;

/// Elements of one call of the formula.
const TILE: usize = 4 * LearnedFormula::tile();

/// The activation `f` over the last dimension of `x` with the learned `numbers`, of shape `[numbers, 1]` or
/// `[numbers, channels]`. With `inputs` = 2, gate and value are the halves of the last dimension, which is halved.
///
/// # Panics
/// If `f` learns nothing, or the shapes do not go together.
#[must_use]
pub fn learned<const D: usize>(
    f: &Arc<Activation>,
    inputs: usize,
    x: Tensor<D>,
    numbers: Tensor<2>,
) -> Tensor<D> {
    let formula = f.learned().expect("an activation that learns").formula(inputs);
    let mut shape = x.dims();
    assert!(shape[D - 1].is_multiple_of(inputs), "as many gates as values");
    let channels = shape[D - 1] / inputs;
    shape[D - 1] = channels;
    let [count, each] = numbers.dims();
    assert_eq!(count, formula.numbers(), "one row for each number");
    assert!(each == 1 || each == channels, "one value for a site, or one for each channel");
    let (Some(host), Some(numbers_host)) = (Host::of(&x), Host::of(&numbers)) else {
        let rows = shape.iter().product::<usize>() / channels.max(1);
        let (inputs, numbers) = on_tensors(x, inputs, numbers, [rows, channels]);
        return formula.forward(&inputs, &numbers).reshape(shape);
    };
    let (f, x, numbers) = (Arc::clone(f), host.values(), numbers_host.values());
    let job = Job { f, inputs, channels, x, numbers };
    let y = Values::from_buffer(job.outputs(), &shape);
    record([host, numbers_host], y, || job).into_tensor()
}

/// The activation `f` over the last dimension of `x` as it is computed when training begins: what it learns has its
/// initial values, and a gradient where `x` has one.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "parameters are single precision")]
pub fn with_initial_numbers<const D: usize>(
    f: &Arc<Activation>,
    inputs: usize,
    x: Tensor<D>,
) -> Tensor<D> {
    let Some(learned) = f.learned() else {
        return if inputs == 2 { crate::activation(f, x) } else { crate::nonlinearity(f, x) };
    };
    let each = learned.learning().per.values(x.dims()[D - 1] / inputs);
    let numbers = learned.initial();
    let values: Vec<f32> =
        numbers.iter().flat_map(|x| std::iter::repeat_n(*x as f32, each)).collect();
    let values = Tensor::<1>::from_floats(values.as_slice(), &x.device());
    let values = values.reshape([numbers.len(), each]);
    let values = if x.is_require_grad() { values.require_grad() } else { values };
    self::learned(f, inputs, x, values)
}

/// The derivative of the activation by each of its inputs, as [`learned`] has them, without autodiff: of the shape of the
/// output.
///
/// # Panics
/// As [`learned`].
#[must_use]
pub fn learned_derivatives<const D: usize>(
    f: &Arc<Activation>,
    inputs: usize,
    x: Tensor<D>,
    numbers: Tensor<2>,
) -> Vec<Tensor<D>> {
    let formula = f.learned().expect("an activation that learns").formula(inputs);
    let mut shape = x.dims();
    shape[D - 1] /= inputs;
    let channels = shape[D - 1];
    if let (Some(host @ Host::Plain(_)), Some(numbers)) = (Host::of(&x), Host::of(&numbers)) {
        let (x, numbers) = (host.values(), numbers.values());
        let job = Job { f: Arc::clone(f), inputs, channels, x, numbers };
        let slopes = job.slopes().into_iter();
        return slopes.map(|slope| Values::from_buffer(slope, &shape).into_tensor()).collect();
    }
    let rows = shape.iter().product::<usize>() / channels.max(1);
    let (inputs, numbers) = on_tensors(x, inputs, numbers, [rows, channels]);
    let slopes = formula.derivatives(&inputs, &numbers);
    slopes.into_iter().map(|slope| slope.reshape(shape)).collect()
}

/// Inputs and numbers as tensors of `[rows, channels]`.
fn on_tensors<const D: usize>(
    x: Tensor<D>,
    inputs: usize,
    numbers: Tensor<2>,
    [rows, channels]: [usize; 2],
) -> (Vec<Tensor<2>>, Vec<Tensor<2>>) {
    let x = x.reshape([rows, inputs * channels]);
    let count = numbers.dims()[0];
    let part = |place: usize| x.clone().narrow(1, place * channels, channels);
    let number = |place: usize| repeated(numbers.clone().narrow(0, place, 1), [rows, channels]);
    ((0..inputs).map(part).collect(), (0..count).map(number).collect())
}

#[derive(Debug, Clone)]
struct Job {
    f: Arc<Activation>,
    inputs: usize,
    channels: usize,
    x: Values,
    /// Of shape `[numbers, 1]` or `[numbers, channels]`.
    numbers: Values,
}

/// What a task works with: tiles of inputs, and numbers for each element of a tile.
struct Scratch {
    inputs: Vec<Vec<f32>>,
    numbers: Vec<Vec<f32>>,
}

impl Job {
    fn formula(&self) -> &LearnedFormula {
        self.f.learned().expect("checked before").formula(self.inputs)
    }

    fn task_rows(&self) -> usize {
        (TASK / self.channels).max(1)
    }

    /// The activation's outputs.
    fn outputs(&self) -> Buffer {
        let wide = self.inputs * self.channels;
        let x = self.x.slice();
        let mut y = Buffer::take(x.len() / self.inputs);
        if !y.is_empty() {
            let rows = self.task_rows();
            y.par_chunks_mut(rows * self.channels)
                .zip(x.par_chunks(rows * wide))
                .for_each(|(y, x)| self.forward(x, y));
        }
        y
    }

    fn tile_rows(&self) -> usize {
        (TILE / self.channels).max(1)
    }

    /// Values of each number.
    fn each(&self) -> usize {
        self.numbers.slice().len() / self.formula().numbers()
    }

    fn scratch(&self) -> Scratch {
        let size = self.tile_rows() * self.channels;
        let inputs = if self.inputs == 1 { Vec::new() } else { vec![vec![0.0; size]; self.inputs] };
        let each = self.each();
        let numbers = self.numbers.slice().chunks_exact(each);
        let numbers = match each {
            1 => numbers.map(<[f32]>::to_vec).collect(),
            _ => numbers.map(|row| row.repeat(self.tile_rows())).collect(),
        };
        Scratch { inputs, numbers }
    }

    /// Calls `work` with the inputs and the numbers of the elements of some rows of `x`.
    fn with_inputs(
        &self,
        scratch: &mut Scratch,
        x: &[f32],
        work: impl FnOnce(&[&[f32]], &[NumberValues<'_>]),
    ) {
        let (channels, wide) = (self.channels, self.inputs * self.channels);
        let elements = x.len() / self.inputs;
        let each = self.each();
        for (place, input) in scratch.inputs.iter_mut().enumerate() {
            for (row, input) in x.chunks_exact(wide).zip(input.chunks_exact_mut(channels)) {
                input.copy_from_slice(&row[place * channels..(place + 1) * channels]);
            }
        }
        let numbers = scratch.numbers.iter().map(|values| match each {
            1 => NumberValues::One(values[0]),
            _ => NumberValues::Each(&values[..elements]),
        });
        let numbers: Vec<NumberValues<'_>> = numbers.collect();
        if self.inputs == 1 {
            work(&[x], &numbers);
        } else {
            let inputs: Vec<&[f32]> =
                scratch.inputs.iter().map(|input| &input[..elements]).collect();
            work(&inputs, &numbers);
        }
    }

    fn forward(&self, x: &[f32], y: &mut [f32]) {
        let (rows, channels) = (self.tile_rows(), self.channels);
        let mut scratch = self.scratch();
        for (x, y) in x.chunks(rows * self.inputs * channels).zip(y.chunks_mut(rows * channels)) {
            self.with_inputs(&mut scratch, x, |inputs, numbers| {
                self.formula().forward_slice(inputs, numbers, y);
            });
        }
    }

    /// The derivatives by each input.
    fn slopes(&self) -> Vec<Buffer> {
        let (count, x) = (self.formula().numbers(), self.x.slice());
        let mut slopes: Vec<Buffer> =
            (0..self.inputs).map(|_| Buffer::take(x.len() / self.inputs)).collect();
        if x.is_empty() {
            return slopes;
        }
        let size = self.tile_rows() * self.channels;
        let mut scratch = self.scratch();
        let mut by_numbers = vec![vec![0.0; size]; count];
        for (tile, x) in x.chunks(size * self.inputs).enumerate() {
            let n = x.len() / self.inputs;
            let by_inputs = slopes.iter_mut().map(|slope| &mut slope[tile * size..][..n]);
            let by_numbers = by_numbers.iter_mut().map(|slope| &mut slope[..n]);
            let mut slices: Vec<&mut [f32]> = by_inputs.chain(by_numbers).collect();
            self.with_inputs(&mut scratch, x, |inputs, numbers| {
                self.formula().derivative_slices(inputs, numbers, &mut slices);
            });
        }
        slopes
    }

    /// Puts the gradients by `x` into `by_x`, and gives those by the numbers, summed over the rows.
    fn backward_task(&self, x: &[f32], gradient: &[f32], by_x: &mut [f32]) -> Vec<f64> {
        let (rows, channels, inputs) = (self.tile_rows(), self.channels, self.inputs);
        let (count, each) = (self.formula().numbers(), self.each());
        let mut scratch = self.scratch();
        let mut derivatives = vec![vec![0.0; rows * channels]; inputs + count];
        let mut sums = vec![0.0; count * each];
        let tiles = x.chunks(rows * inputs * channels).zip(gradient.chunks(rows * channels));
        for ((x, gradient), by_x) in tiles.zip(by_x.chunks_mut(rows * inputs * channels)) {
            self.with_inputs(&mut scratch, x, |inputs, numbers| {
                let n = gradient.len();
                let mut slices: Vec<&mut [f32]> =
                    derivatives.iter_mut().map(|slice| &mut slice[..n]).collect();
                self.formula().derivative_slices(inputs, numbers, &mut slices);
            });
            let (by_inputs, by_numbers) = derivatives.split_at(inputs);
            for (place, slopes) in by_inputs.iter().enumerate() {
                let rows = by_x.chunks_exact_mut(inputs * channels);
                let factors = slopes.chunks_exact(channels).zip(gradient.chunks_exact(channels));
                for (row, (slopes, gradient)) in rows.zip(factors) {
                    let row = &mut row[place * channels..(place + 1) * channels];
                    for (by_x, (slope, gradient)) in row.iter_mut().zip(slopes.iter().zip(gradient))
                    {
                        *by_x = slope * gradient;
                    }
                }
            }
            for (slopes, sums) in by_numbers.iter().zip(sums.chunks_exact_mut(each)) {
                let slopes = &slopes[..gradient.len()];
                if each == 1 {
                    sums[0] += dot(slopes, gradient);
                } else {
                    for (slopes, gradient) in
                        slopes.chunks_exact(each).zip(gradient.chunks_exact(each))
                    {
                        add_products(sums, slopes, gradient);
                    }
                }
            }
        }
        sums
    }
}

/// Adds a · b to `sums`, element by element.
fn add_products(sums: &mut [f64], a: &[f32], b: &[f32]) {
    for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
        *sum += f64::from(*a) * f64::from(*b);
    }
}

/// Sum of a · b: of every eighth number first, so that additions need not wait for each other.
fn dot(a: &[f32], b: &[f32]) -> f64 {
    const PARTS: usize = 8;
    let mut sums = [0.0; PARTS];
    for (a, b) in a.chunks(PARTS).zip(b.chunks(PARTS)) {
        add_products(&mut sums, a, b);
    }
    sums.iter().sum()
}

impl Operation<2> for Job {
    #[expect(clippy::cast_possible_truncation, reason = "gradients are f32")]
    fn backward(self, gradient: Values, _: [bool; 2]) -> [Option<Values>; 2] {
        let (channels, wide) = (self.channels, self.inputs * self.channels);
        let mut by_x = Buffer::take(self.x.slice().len());
        let rows = self.task_rows();
        let parts: Vec<Vec<f64>> = if by_x.is_empty() {
            Vec::new()
        } else {
            by_x.par_chunks_mut(rows * wide)
                .zip(self.x.slice().par_chunks(rows * wide))
                .zip(gradient.slice().par_chunks(rows * channels))
                .map(|((by_x, x), gradient)| self.backward_task(x, gradient, by_x))
                .collect()
        };
        let mut sums = vec![0.0; self.numbers.slice().len()];
        for part in parts {
            sums.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
        }
        let mut by_numbers = Buffer::take(sums.len());
        by_numbers.iter_mut().zip(sums).for_each(|(number, sum)| *number = sum as f32);
        [
            Some(Values::from_buffer(by_x, &self.x.shape())),
            Some(Values::from_buffer(by_numbers, &self.numbers.shape())),
        ]
    }
}
