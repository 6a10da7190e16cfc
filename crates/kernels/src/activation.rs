//! Activations in one pass: value or gradient straight from the input, which alone is kept.

use crate::buffer::Buffer;
use crate::device;
use crate::host::{Host, Operation, Values, record};
use ::activation::{Activation, Gated, Kind};
use burn::Tensor;
use rayon::prelude::*;
use std::sync::Arc;

/// Numbers that one task takes on.
const TASK: usize = 1 << 16;

/// Numbers of a tile of gates and values: with the output it lies in the first cache.
const TILE: usize = 2048;

/// The nonlinearity of one input, f(x), for `x` of any shape.
#[must_use]
pub fn nonlinearity<const D: usize>(f: &Arc<Activation>, x: Tensor<D>) -> Tensor<D> {
    match Host::of(&x) {
        Some(host) => nonlinearity_on_host(f, host).into_tensor(),
        None => device::activation::nonlinearity(f, x),
    }
}

fn nonlinearity_on_host(f: &Arc<Activation>, host: Host) -> Host {
    let values = host.values();
    let mut y = Buffer::take(values.slice().len());
    y.par_chunks_mut(TASK)
        .zip(values.slice().par_chunks(TASK))
        .for_each(|(y, x)| f.nonlinearity().forward_slice(x, y));
    let y = Values::from_buffer(y, &values.shape());
    record([host], y, || Nonlinearity { f: Arc::clone(f), x: values })
}

/// The derivative of the nonlinearity of one input, f′(x), without autodiff.
#[must_use]
pub fn slope<const D: usize>(f: &Arc<Activation>, x: Tensor<D>) -> Tensor<D> {
    match Host::of(&x) {
        Some(host @ Host::Plain(_)) => slope_on_host(f, &host.values()).into_tensor(),
        _ => f.nonlinearity().derivative(x),
    }
}

fn slope_on_host(f: &Arc<Activation>, values: &Values) -> Values {
    let mut y = Buffer::take(values.slice().len());
    y.par_chunks_mut(TASK).zip(values.slice().par_chunks(TASK)).for_each(|(y, x)| {
        y.fill(1.0);
        f.nonlinearity().backward_slice(x, y);
    });
    Values::from_buffer(y, &values.shape())
}

/// The derivatives of a gated activation by gate and value, of one shape, without autodiff.
///
/// # Panics
/// If the shapes differ.
#[must_use]
pub fn gated_slopes<const D: usize>(
    f: &dyn Gated,
    gate: Tensor<D>,
    value: Tensor<D>,
) -> [Tensor<D>; 2] {
    assert_eq!(gate.dims(), value.dims(), "as many gates as values");
    let hosts = (Host::of(&gate), Host::of(&value));
    let (Some(host @ Host::Plain(_)), Some(host_value)) = hosts else {
        let (by_gate, by_value) = f.derivatives(gate, value);
        return [by_gate, by_value];
    };
    let [gate, value] = gated_slopes_on_host(f, &host.values(), &host_value.values());
    [gate.into_tensor(), value.into_tensor()]
}

fn gated_slopes_on_host(f: &dyn Gated, gate: &Values, value: &Values) -> [Values; 2] {
    let (mut gate, mut value) = (gate.copied(), value.copied());
    let ones = vec![1.0; TILE];
    gate.slice_mut()
        .par_chunks_mut(TILE)
        .zip(value.slice_mut().par_chunks_mut(TILE))
        .for_each(|(gate, value)| f.backward_slice(gate, value, &ones[..gate.len()]));
    [gate, value]
}

#[derive(Debug, Clone)]
struct Nonlinearity {
    f: Arc<Activation>,
    x: Values,
}

impl Operation<1> for Nonlinearity {
    fn backward(self, gradient: Values, _: [bool; 1]) -> [Option<Values>; 1] {
        let x = self.x.slice();
        let gradient = gradient.change(TASK, |task, gradient| {
            let x = &x[task * TASK..task * TASK + gradient.len()];
            self.f.nonlinearity().backward_slice(x, gradient);
        });
        [Some(gradient)]
    }
}

/// The activation over the last dimension of `x`: a gated one takes its first half as gate and its
/// second as value, and halves it.
///
/// # Panics
/// If a gated one gets an odd number.
#[must_use]
pub fn activation<const D: usize>(f: &Arc<Activation>, x: Tensor<D>) -> Tensor<D> {
    let Kind::Gated(gated) = f.kind() else { return nonlinearity(f, x) };
    let width = x.dims()[D - 1];
    assert!(width.is_multiple_of(2), "as many gates as values");
    match Host::of(&x) {
        Some(host) => gated_on_host(f, gated, width / 2, host).into_tensor(),
        None => device::activation::gated(f, gated, x),
    }
}

fn gated_on_host(f: &Arc<Activation>, gated: &dyn Gated, half: usize, host: Host) -> Host {
    let values = host.values();
    let mut shape = values.shape();
    if let Some(width) = shape.last_mut() {
        *width = half;
    }
    let mut y = Buffer::take(shape.iter().product());
    if half > 0 {
        let rows = task_rows(half);
        y.par_chunks_mut(rows * half)
            .zip(values.slice().par_chunks(rows * 2 * half))
            .for_each(|(y, x)| gated_forward(gated, half, x, y));
    }
    let y = Values::from_buffer(y, &shape);
    record([host], y, || GatedActivation { f: Arc::clone(f), half, x: values })
}

fn task_rows(half: usize) -> usize {
    (TASK / (2 * half)).max(1)
}

fn tile_rows(half: usize) -> usize {
    (TILE / half).max(1)
}

/// Most numbers of a row that is copied here: a call of the system's copy takes longer than copying so few.
const SHORT: usize = 128;

/// Copies a row.
///
/// # Panics
/// If lengths differ.
#[inline(always)]
fn copy_row(from: &[f32], to: &mut [f32]) {
    const PIECE: usize = 8;
    assert_eq!(from.len(), to.len(), "rows of one length");
    match from.last_chunk::<PIECE>() {
        Some(last) if from.len() <= SHORT => {
            let ((from, _), (pieces, _)) = (from.as_chunks::<PIECE>(), to.as_chunks_mut());
            pieces.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
            // The last piece overlaps the one before it.
            if let Some(end) = to.last_chunk_mut() {
                *end = *last;
            }
        }
        _ => to.copy_from_slice(from),
    }
}

/// Gates and values of `rows`, one after the other.
fn split(rows: &[f32], half: usize, gate: &mut [f32], value: &mut [f32]) {
    for ((row, gate), value) in rows
        .chunks_exact(2 * half)
        .zip(gate.chunks_exact_mut(half))
        .zip(value.chunks_exact_mut(half))
    {
        copy_row(&row[..half], gate);
        copy_row(&row[half..], value);
    }
}

fn gated_forward(f: &dyn Gated, half: usize, x: &[f32], y: &mut [f32]) {
    let rows = tile_rows(half);
    let (mut gate, mut value) = (vec![0.0; rows * half], vec![0.0; rows * half]);
    for (x, y) in x.chunks(rows * 2 * half).zip(y.chunks_mut(rows * half)) {
        let n = y.len();
        split(x, half, &mut gate, &mut value);
        f.forward_slice(&gate[..n], &value[..n], y);
    }
}

#[derive(Debug, Clone)]
struct GatedActivation {
    f: Arc<Activation>,
    half: usize,
    x: Values,
}

impl Operation<1> for GatedActivation {
    fn backward(self, gradient: Values, _: [bool; 1]) -> [Option<Values>; 1] {
        let Kind::Gated(f) = self.f.kind() else { unreachable!("recorded for gated ones only") };
        let half = self.half;
        let mut by_x = Buffer::take(self.x.slice().len());
        if half > 0 {
            let rows = task_rows(half);
            by_x.par_chunks_mut(rows * 2 * half)
                .zip(self.x.slice().par_chunks(rows * 2 * half))
                .zip(gradient.slice().par_chunks(rows * half))
                .for_each(|((by_x, x), gradient)| gated_backward(f, half, x, gradient, by_x));
        }
        [Some(Values::from_buffer(by_x, &self.x.shape()))]
    }
}

fn gated_backward(f: &dyn Gated, half: usize, x: &[f32], gradient: &[f32], by_x: &mut [f32]) {
    let rows = tile_rows(half);
    let (mut gate, mut value) = (vec![0.0; rows * half], vec![0.0; rows * half]);
    let tiles = x.chunks(rows * 2 * half).zip(gradient.chunks(rows * half));
    for ((x, gradient), by_x) in tiles.zip(by_x.chunks_mut(rows * 2 * half)) {
        let n = gradient.len();
        split(x, half, &mut gate, &mut value);
        f.backward_slice(&mut gate[..n], &mut value[..n], gradient);
        for (row, (gate, value)) in by_x
            .chunks_exact_mut(2 * half)
            .zip(gate.chunks_exact(half).zip(value.chunks_exact(half)))
        {
            copy_row(gate, &mut row[..half]);
            copy_row(value, &mut row[half..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_any_length_are_copied() {
        for length in (0..=2 * 8 + 1).chain([SHORT - 1, SHORT, SHORT + 1]) {
            let from: Vec<f32> = (0_u8..=u8::MAX).map(f32::from).take(length).collect();
            let mut to = vec![-1.0; length];
            copy_row(&from, &mut to);
            assert_eq!(to, from, "{length}");
        }
    }
}
