//! Layer norm, with the residual sum before it.

use crate::buffer::Buffer;
use crate::host::{Host, Operation, Values, record};
use ::activation::arch;
use burn::Tensor;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;
use std::sync::{Mutex, PoisonError};

/// Rows that one task takes on. They are fixed, since sums over rows are made of the tasks'.
const ROWS: usize = 32;

/// Layer norm of `x` + `residual` over the last dimension (Ba, Kiros and Hinton 2016), for `x`
/// `[…, width]`, `gamma` and `beta` `[width]`.
///
/// # Panics
/// If the sizes do not agree.
#[must_use]
pub fn layer_norm<const D: usize>(
    x: Tensor<D>,
    residual: Option<Tensor<D>>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
) -> Tensor<D> {
    #[expect(clippy::cast_possible_truncation, reason = "f32 statistics")]
    let single = epsilon as f32;
    let shape = x.dims();
    let width = shape[D - 1];
    assert!(gamma.dims() == [width] && beta.dims() == [width], "one γ and β for each place");
    assert!(residual.as_ref().is_none_or(|x| x.dims() == shape), "a residual of one shape");
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
                let (gamma, beta) = (gamma.slice(), beta.slice());
                let rows =
                    Forward { x, residual, gamma, beta, epsilon: single, y, normal, inverse };
                arch().dispatch(rows);
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

/// Some rows: their normal forms, outputs, and 1 / σ.
struct Forward<'a> {
    x: &'a [f32],
    residual: Option<&'a [f32]>,
    gamma: &'a [f32],
    beta: &'a [f32],
    epsilon: f32,
    y: &'a mut [f32],
    normal: &'a mut [f32],
    inverse: &'a mut [f32],
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    #[expect(clippy::cast_precision_loss, reason = "widths are small")]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { x, residual, gamma, beta, epsilon, y, normal, inverse } = self;
        let width = gamma.len();
        let by_n = 1.0 / width as f32;
        let (gamma, gamma_rest) = S::as_simd_f32s(gamma);
        let (beta, beta_rest) = S::as_simd_f32s(beta);
        for (row, inverse) in inverse.iter_mut().enumerate() {
            let range = row * width..(row + 1) * width;
            let (x, x_rest) = S::as_simd_f32s(&x[range.clone()]);
            let (y, y_rest) = S::as_mut_simd_f32s(&mut y[range.clone()]);
            let (z, z_rest) = S::as_mut_simd_f32s(&mut normal[range.clone()]);
            let mut sums = simd.splat_f32s(0.0);
            if let Some(residual) = residual {
                let (residual, residual_rest) = S::as_simd_f32s(&residual[range]);
                for (z, (x, residual)) in z.iter_mut().zip(x.iter().zip(residual)) {
                    *z = simd.add_f32s(*x, *residual);
                    sums = simd.add_f32s(sums, *z);
                }
                for (z, (x, residual)) in z_rest.iter_mut().zip(x_rest.iter().zip(residual_rest)) {
                    *z = x + residual;
                }
            } else {
                for (z, x) in z.iter_mut().zip(x) {
                    *z = *x;
                    sums = simd.add_f32s(sums, *x);
                }
                z_rest.copy_from_slice(x_rest);
            }
            let mean = (simd.reduce_sum_f32s(sums) + z_rest.iter().sum::<f32>()) * by_n;
            let means = simd.splat_f32s(mean);
            let mut squares = simd.splat_f32s(0.0);
            for z in z.iter_mut() {
                *z = simd.sub_f32s(*z, means);
                squares = simd.mul_add_e_f32s(*z, *z, squares);
            }
            let mut square = simd.reduce_sum_f32s(squares);
            for z in z_rest.iter_mut() {
                *z -= mean;
                square += *z * *z;
            }
            *inverse = 1.0 / (square * by_n + epsilon).sqrt();
            let inverses = simd.splat_f32s(*inverse);
            for ((z, y), (gamma, beta)) in z.iter_mut().zip(y).zip(gamma.iter().zip(beta)) {
                *z = simd.mul_f32s(*z, inverses);
                *y = simd.mul_add_e_f32s(*z, *gamma, *beta);
            }
            let rest = gamma_rest.iter().zip(beta_rest);
            for ((z, y), (gamma, beta)) in z_rest.iter_mut().zip(y_rest).zip(rest) {
                *z *= *inverse;
                *y = *z * gamma + beta;
            }
        }
    }
}

/// Some rows: the gradient by the input in the place of that by the output, and the sums over rows
/// of the gradients by γ and β.
struct Backward<'a> {
    gradient: &'a mut [f32],
    normal: &'a [f32],
    inverse: &'a [f32],
    gamma: &'a [f32],
    by_gamma: &'a mut [f32],
    by_beta: &'a mut [f32],
}

impl WithSimd for Backward<'_> {
    type Output = ();

    #[inline(always)]
    #[expect(clippy::cast_precision_loss, reason = "widths are small")]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { gradient, normal, inverse, gamma, by_gamma, by_beta } = self;
        let width = gamma.len();
        let by_n = 1.0 / width as f32;
        let (gamma, gamma_rest) = S::as_simd_f32s(gamma);
        let (by_gamma, by_gamma_rest) = S::as_mut_simd_f32s(by_gamma);
        let (by_beta, by_beta_rest) = S::as_mut_simd_f32s(by_beta);
        let rows = gradient.chunks_exact_mut(width).zip(normal.chunks_exact(width)).zip(inverse);
        for ((gradient, normal), inverse) in rows {
            let (g, g_rest) = S::as_mut_simd_f32s(gradient);
            let (z, z_rest) = S::as_simd_f32s(normal);
            let (mut sums, mut products) = (simd.splat_f32s(0.0), simd.splat_f32s(0.0));
            for i in 0..g.len() {
                by_beta[i] = simd.add_f32s(by_beta[i], g[i]);
                by_gamma[i] = simd.mul_add_e_f32s(g[i], z[i], by_gamma[i]);
                g[i] = simd.mul_f32s(g[i], gamma[i]);
                sums = simd.add_f32s(sums, g[i]);
                products = simd.mul_add_e_f32s(g[i], z[i], products);
            }
            let (mut sum, mut product) =
                (simd.reduce_sum_f32s(sums), simd.reduce_sum_f32s(products));
            for i in 0..g_rest.len() {
                by_beta_rest[i] += g_rest[i];
                by_gamma_rest[i] += g_rest[i] * z_rest[i];
                g_rest[i] *= gamma_rest[i];
                sum += g_rest[i];
                product += g_rest[i] * z_rest[i];
            }
            let (mean, slope) = (sum * by_n, product * by_n);
            let (means, slopes) = (simd.splat_f32s(mean), simd.splat_f32s(-slope));
            let inverses = simd.splat_f32s(*inverse);
            for (g, z) in g.iter_mut().zip(z) {
                let centered = simd.sub_f32s(*g, means);
                *g = simd.mul_f32s(simd.mul_add_e_f32s(*z, slopes, centered), inverses);
            }
            for (g, z) in g_rest.iter_mut().zip(z_rest) {
                *g = (*g - mean - z * slope) * inverse;
            }
        }
    }
}

#[derive(Debug, Clone)]
struct LayerNorm {
    normal: Values,
    inverse: Values,
    gamma: Values,
}

impl LayerNorm {
    /// The gradients by input, γ and β.
    fn gradients(self, gradient: Values) -> [Values; 3] {
        let gamma = self.gamma.slice();
        let width = gamma.len();
        let (normal, inverse) = (self.normal.slice(), self.inverse.slice());
        let task = ROWS * width;
        let empty = || (vec![0.0; width], vec![0.0; width]);
        let sums = Mutex::new(vec![(Vec::new(), Vec::new()); normal.len().div_ceil(task.max(1))]);
        let by_x = gradient.change(task, |i, gradient| {
            let (mut by_gamma, mut by_beta) = empty();
            arch().dispatch(Backward {
                normal: &normal[i * task..i * task + gradient.len()],
                inverse: &inverse[i * ROWS..i * ROWS + gradient.len() / width],
                gradient,
                gamma,
                by_gamma: &mut by_gamma,
                by_beta: &mut by_beta,
            });
            sums.lock().unwrap_or_else(PoisonError::into_inner)[i] = (by_gamma, by_beta);
        });
        let (mut by_gamma, mut by_beta) = (Buffer::zeros(width), Buffer::zeros(width));
        // In the order of the rows.
        for (task_gamma, task_beta) in sums.into_inner().unwrap_or_else(PoisonError::into_inner) {
            by_gamma.iter_mut().zip(task_gamma).for_each(|(sum, x)| *sum += x);
            by_beta.iter_mut().zip(task_beta).for_each(|(sum, x)| *sum += x);
        }
        let vector = |buffer| Values::from_buffer(buffer, &[width]);
        [by_x, vector(by_gamma), vector(by_beta)]
    }
}

impl Operation<3> for LayerNorm {
    fn backward(self, gradient: Values, wanted: [bool; 3]) -> [Option<Values>; 3] {
        let [by_x, by_gamma, by_beta] = self.gradients(gradient);
        [wanted[0].then_some(by_x), wanted[1].then_some(by_gamma), wanted[2].then_some(by_beta)]
    }
}

#[derive(Debug, Clone)]
struct ResidualLayerNorm(LayerNorm);

impl Operation<4> for ResidualLayerNorm {
    fn backward(self, gradient: Values, wanted: [bool; 4]) -> [Option<Values>; 4] {
        let [by_x, by_gamma, by_beta] = self.0.gradients(gradient);
        // Both terms of the sum have the gradient of the sum.
        [
            wanted[0].then(|| by_x.clone()),
            wanted[1].then_some(by_gamma),
            wanted[2].then_some(by_beta),
            wanted[3].then_some(by_x),
        ]
    }
}
