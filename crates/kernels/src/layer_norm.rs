//! Layer norm, with the residual sum before it.

use crate::buffer::Buffer;
use crate::host::{Host, Operation, Values, record};
use crate::linear::column_sums;
use burn::Tensor;
use pulp::Arch;
use rayon::prelude::*;

/// Rows that one task takes on. They are fixed, since sums over rows are made of the tasks'.
const ROWS: usize = 32;

/// Layer norm of `x` + `residual` over the last dimension (Ba, Kiros and Hinton 2016), for `x`
/// `[…, width]`, `gamma` and `beta` `[width]`.
#[must_use]
pub fn layer_norm<const D: usize>(
    x: Tensor<D>,
    residual: Option<Tensor<D>>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
) -> Tensor<D> {
    let shape = x.dims();
    let width = shape[D - 1];
    let hosts = (Host::of(&x), residual.as_ref().map(Host::of), Host::of(&gamma), Host::of(&beta));
    let (Some(host_x), None | Some(Some(_)), Some(host_gamma), Some(host_beta)) = hosts else {
        return plain(x, residual, gamma, beta, epsilon);
    };
    let host_residual = residual.as_ref().and_then(Host::of);
    let (gamma, beta) = (host_gamma.values(), host_beta.values());
    let x = host_x.values();
    let residual = host_residual.as_ref().map(Host::values);
    let n = x.slice().len();
    let mut y = Buffer::take(n);
    // Kept for the backward: (x − mean) / σ, and 1 / σ of each row.
    let mut normal = Buffer::take(n);
    let mut inverse = Buffer::take(n / width.max(1));
    if n > 0 {
        let task = ROWS * width;
        let residuals: Vec<Option<&[f32]>> = match &residual {
            None => vec![None; n.div_ceil(task)],
            Some(residual) => residual.slice().chunks(task).map(Some).collect(),
        };
        y.par_chunks_mut(task)
            .zip(normal.par_chunks_mut(task))
            .zip(inverse.par_chunks_mut(ROWS))
            .zip(x.slice().par_chunks(task))
            .zip(residuals)
            .for_each(|((((y, normal), inverse), x), residual)| {
                normal.copy_from_slice(x);
                if let Some(residual) = residual {
                    normal.iter_mut().zip(residual).for_each(|(x, r)| *x += r);
                }
                let rows = y.chunks_exact_mut(width).zip(normal.chunks_exact_mut(width));
                for ((y, normal), inverse) in rows.zip(inverse) {
                    *inverse = row_forward(normal, y, gamma.slice(), beta.slice(), epsilon);
                }
            });
    }
    let y = Values::from_buffer(y, &shape);
    let saved = || LayerNorm {
        normal: Values::from_buffer(normal, &shape),
        inverse: Values::from_buffer(inverse, &[n / width.max(1)]),
        gamma,
    };
    match host_residual {
        None => record([host_x, host_gamma, host_beta], y, saved),
        Some(residual) => {
            record([host_x, host_gamma, host_beta, residual], y, || ResidualLayerNorm(saved()))
        }
    }
    .into_tensor()
}

fn plain<const D: usize>(
    x: Tensor<D>,
    residual: Option<Tensor<D>>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
) -> Tensor<D> {
    let x = match residual {
        Some(residual) => x + residual,
        None => x,
    };
    let centered = x.clone() - x.mean_dim(D - 1);
    let variance = centered.clone().square().mean_dim(D - 1);
    centered / (variance + epsilon).sqrt() * gamma.unsqueeze() + beta.unsqueeze()
}

/// Sum of f(i) over `n`, in 16 columns: an order that is the same on every machine.
#[inline(always)]
fn sum(n: usize, f: impl Fn(usize) -> f32) -> f32 {
    let mut sums = [0.0_f32; 16];
    let whole = n / 16 * 16;
    for from in (0..whole).step_by(16) {
        for (i, sum) in sums.iter_mut().enumerate() {
            *sum += f(from + i);
        }
    }
    let rest: f32 = (whole..n).map(&f).sum();
    sums.iter().sum::<f32>() + rest
}

/// Turns a row into its normal form, writes the output, and gives 1 / σ.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "f32 statistics")]
fn row_forward(row: &mut [f32], y: &mut [f32], gamma: &[f32], beta: &[f32], epsilon: f64) -> f32 {
    Arch::new().dispatch(
        #[inline(always)]
        || {
            let n = row.len();
            let by_n = 1.0 / n as f32;
            let mean = sum(n, |i| row[i]) * by_n;
            row.iter_mut().for_each(|x| *x -= mean);
            let variance = sum(n, |i| row[i] * row[i]) * by_n;
            let inverse = (1.0 / (f64::from(variance) + epsilon).sqrt()) as f32;
            for ((x, y), (gamma, beta)) in row.iter_mut().zip(y).zip(gamma.iter().zip(beta)) {
                *x *= inverse;
                *y = *x * gamma + beta;
            }
            inverse
        },
    )
}

#[derive(Debug, Clone)]
struct LayerNorm {
    normal: Values,
    inverse: Values,
    gamma: Values,
}

impl LayerNorm {
    /// The gradients by input, γ and β.
    fn gradients(self, gradient: Values, wanted: bool) -> [Option<Values>; 3] {
        let gamma = self.gamma.slice();
        let width = gamma.len();
        let (normal, inverse) = (self.normal.slice(), self.inverse.slice());
        let mut products = Buffer::take(normal.len().div_ceil(ROWS * width.max(1)) * width);
        if !normal.is_empty() {
            products
                .par_chunks_mut(width)
                .zip(normal.par_chunks(ROWS * width))
                .zip(gradient.slice().par_chunks(ROWS * width))
                .for_each(|((sums, normal), gradient)| products_of(sums, normal, gradient));
        }
        let by_gamma = column_sums(&products, width);
        let by_beta = column_sums(gradient.slice(), width);
        let by_x = wanted.then(|| {
            gradient.change(ROWS * width, |task, gradient| {
                let rows = gradient.chunks_exact_mut(width.max(1));
                for (row, gradient) in rows.enumerate() {
                    let row = task * ROWS + row;
                    let normal = &normal[row * width..(row + 1) * width];
                    row_backward(gradient, normal, gamma, inverse[row]);
                }
            })
        });
        [by_x, Some(by_gamma), Some(by_beta)]
    }
}

/// Column sums of the products of two matrices.
fn products_of(sums: &mut [f32], a: &[f32], b: &[f32]) {
    Arch::new().dispatch(
        #[inline(always)]
        || {
            sums.fill(0.0);
            let width = sums.len();
            for (a, b) in a.chunks_exact(width).zip(b.chunks_exact(width)) {
                for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
                    *sum += a * b;
                }
            }
        },
    );
}

/// g γ / σ, less its mean, less x̂ times the mean of g γ x̂ / σ.
#[expect(clippy::cast_precision_loss, reason = "widths are small")]
fn row_backward(gradient: &mut [f32], normal: &[f32], gamma: &[f32], inverse: f32) {
    Arch::new().dispatch(
        #[inline(always)]
        || {
            let n = gradient.len();
            let by_n = 1.0 / n as f32;
            for (g, gamma) in gradient.iter_mut().zip(gamma) {
                *g *= gamma;
            }
            let mean = sum(n, |i| gradient[i]) * by_n;
            let product = sum(n, |i| gradient[i] * normal[i]) * by_n;
            for (g, normal) in gradient.iter_mut().zip(normal) {
                *g = (*g - mean - normal * product) * inverse;
            }
        },
    );
}

impl Operation<3> for LayerNorm {
    fn backward(self, gradient: Values, wanted: [bool; 3]) -> [Option<Values>; 3] {
        let [by_x, by_gamma, by_beta] = self.gradients(gradient, wanted[0]);
        [by_x, by_gamma.filter(|_| wanted[1]), by_beta.filter(|_| wanted[2])]
    }
}

#[derive(Debug, Clone)]
struct ResidualLayerNorm(LayerNorm);

impl Operation<4> for ResidualLayerNorm {
    fn backward(self, gradient: Values, wanted: [bool; 4]) -> [Option<Values>; 4] {
        let [by_x, by_gamma, by_beta] = self.0.gradients(gradient, wanted[0] || wanted[3]);
        // Both terms of the sum have the gradient of the sum.
        let by_residual = by_x.clone().filter(|_| wanted[3]);
        [
            by_x.filter(|_| wanted[0]),
            by_gamma.filter(|_| wanted[1]),
            by_beta.filter(|_| wanted[2]),
            by_residual,
        ]
    }
}
