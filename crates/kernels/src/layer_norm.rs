//! Layer norm, with the residual sum before it.

use crate::buffer::Buffer;
use crate::device;
use crate::host::{Host, Operation, Values, record};
use crate::lanes::Sums;
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
    let shape = x.dims();
    let width = shape[D - 1];
    assert!(gamma.dims() == [width] && beta.dims() == [width], "one γ and β for each place");
    assert!(residual.as_ref().is_none_or(|x| x.dims() == shape), "a residual of one shape");
    let host_residual = residual.as_ref().map(Host::of);
    match (Host::of(&x), host_residual, Host::of(&gamma), Host::of(&beta)) {
        (Some(x), None, Some(gamma), Some(beta)) => on_host(x, None, [gamma, beta], epsilon),
        (Some(x), Some(Some(residual)), Some(gamma), Some(beta)) => {
            on_host(x, Some(residual), [gamma, beta], epsilon)
        }
        _ => return device::layer_norm::layer_norm(x, residual, [gamma, beta], epsilon),
    }
    .into_tensor()
}

fn on_host(
    host_x: Host,
    host_residual: Option<Host>,
    [host_gamma, host_beta]: [Host; 2],
    epsilon: f64,
) -> Host {
    #[expect(clippy::cast_possible_truncation, reason = "f32 statistics")]
    let single = epsilon as f32;
    let (gamma, beta) = (host_gamma.values(), host_beta.values());
    let x = host_x.values();
    let (shape, width) = (x.shape(), gamma.slice().len());
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
            let (y, y_rest) = S::as_mut_simd_f32s(&mut y[range.clone()]);
            let z = &mut normal[range.clone()];
            let mean = with_residual(simd, &x[range.clone()], residual.map(|x| &x[range]), z);
            let (z, z_rest) = S::as_mut_simd_f32s(z);
            let square = centered(simd, z, z_rest, mean * by_n);
            *inverse = 1.0 / (square * by_n + epsilon).sqrt();
            let inverses = simd.splat_f32s(*inverse);
            for ((z, y), (gamma, beta)) in z.iter_mut().zip(y).zip(gamma.iter().zip(beta)) {
                *z = simd.mul_f32s(*z, inverses);
                *y = simd.mul_add_f32s(*z, *gamma, *beta);
            }
            if !z_rest.is_empty() {
                let z = simd.mul_f32s(simd.partial_load_f32s(z_rest), inverses);
                simd.partial_store_f32s(z_rest, z);
                let (gamma, beta) =
                    (simd.partial_load_f32s(gamma_rest), simd.partial_load_f32s(beta_rest));
                simd.partial_store_f32s(y_rest, simd.mul_add_f32s(z, gamma, beta));
            }
        }
    }
}

/// Writes `x` + `residual` of one row to `z`, and gives its sum.
#[inline(always)]
fn with_residual<S: Simd>(simd: S, x: &[f32], residual: Option<&[f32]>, z: &mut [f32]) -> f32 {
    let (x, x_rest) = S::as_simd_f32s(x);
    let (z, z_rest) = S::as_mut_simd_f32s(z);
    let z = &mut z[..x.len()];
    let mut sums = Sums::<S>::new(simd);
    let mut end = simd.partial_load_f32s(x_rest);
    if let Some(residual) = residual {
        let (residual, residual_rest) = S::as_simd_f32s(residual);
        let residual = &residual[..x.len()];
        Sums::<S>::each(
            x.len(),
            #[inline(always)]
            |i, sum| {
                z[i] = simd.add_f32s(x[i], residual[i]);
                sums.0[sum] = simd.add_f32s(sums.0[sum], z[i]);
            },
        );
        end = simd.add_f32s(end, simd.partial_load_f32s(residual_rest));
    } else {
        Sums::<S>::each(
            x.len(),
            #[inline(always)]
            |i, sum| {
                z[i] = x[i];
                sums.0[sum] = simd.add_f32s(sums.0[sum], x[i]);
            },
        );
    }
    if !z_rest.is_empty() {
        simd.partial_store_f32s(z_rest, end);
        let sum = sums.at(x.len());
        *sum = simd.add_f32s(*sum, end);
    }
    sums.total()
}

/// Takes `mean` off a row, and gives the sum of the squares.
#[inline(always)]
fn centered<S: Simd>(simd: S, z: &mut [S::f32s], z_rest: &mut [f32], mean: f32) -> f32 {
    let means = simd.splat_f32s(mean);
    let mut sums = Sums::<S>::new(simd);
    Sums::<S>::each(
        z.len(),
        #[inline(always)]
        |i, sum| {
            z[i] = simd.sub_f32s(z[i], means);
            sums.0[sum] = simd.mul_add_f32s(z[i], z[i], sums.0[sum]);
        },
    );
    if !z_rest.is_empty() {
        simd.partial_store_f32s(z_rest, simd.sub_f32s(simd.partial_load_f32s(z_rest), means));
        // Read again: with zeros behind the end.
        let end = simd.partial_load_f32s(z_rest);
        let sum = sums.at(z.len());
        *sum = simd.mul_add_f32s(end, end, *sum);
    }
    sums.total()
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
        let rows = gradient.chunks_exact_mut(width).zip(normal.chunks_exact(width)).zip(inverse);
        for ((gradient, normal), inverse) in rows {
            let [sum, product] =
                scaled(simd, gradient, normal, gamma, [&mut *by_gamma, &mut *by_beta]);
            let (g, g_rest) = S::as_mut_simd_f32s(gradient);
            let (z, z_rest) = S::as_simd_f32s(normal);
            let (mean, slope) = (sum * by_n, product * by_n);
            let (means, slopes) = (simd.splat_f32s(mean), simd.splat_f32s(-slope));
            let inverses = simd.splat_f32s(*inverse);
            for (g, z) in g.iter_mut().zip(z) {
                let line = simd.mul_add_f32s(*z, slopes, simd.sub_f32s(*g, means));
                *g = simd.mul_f32s(line, inverses);
            }
            if !g_rest.is_empty() {
                let centered = simd.sub_f32s(simd.partial_load_f32s(g_rest), means);
                let line = simd.mul_add_f32s(simd.partial_load_f32s(z_rest), slopes, centered);
                simd.partial_store_f32s(g_rest, simd.mul_f32s(line, inverses));
            }
        }
    }
}

/// Adds the gradients of one row by γ and β to theirs, multiplies the gradient by γ, and gives its sum and that of its
/// products with the normal form.
#[inline(always)]
fn scaled<S: Simd>(
    simd: S,
    gradient: &mut [f32],
    normal: &[f32],
    gamma: &[f32],
    [by_gamma, by_beta]: [&mut [f32]; 2],
) -> [f32; 2] {
    let (g, g_rest) = S::as_mut_simd_f32s(gradient);
    let (z, z_rest) = S::as_simd_f32s(normal);
    let (gamma, gamma_rest) = S::as_simd_f32s(gamma);
    let (by_gamma, by_gamma_rest) = S::as_mut_simd_f32s(by_gamma);
    let (by_beta, by_beta_rest) = S::as_mut_simd_f32s(by_beta);
    let n = g.len();
    let (z, gamma) = (&z[..n], &gamma[..n]);
    let (by_gamma, by_beta) = (&mut by_gamma[..n], &mut by_beta[..n]);
    let (mut sums, mut products) = (Sums::<S>::new(simd), Sums::<S>::new(simd));
    Sums::<S>::each(
        n,
        #[inline(always)]
        |i, sum| {
            by_beta[i] = simd.add_f32s(by_beta[i], g[i]);
            by_gamma[i] = simd.mul_add_f32s(g[i], z[i], by_gamma[i]);
            g[i] = simd.mul_f32s(g[i], gamma[i]);
            sums.0[sum] = simd.add_f32s(sums.0[sum], g[i]);
            products.0[sum] = simd.mul_add_f32s(g[i], z[i], products.0[sum]);
        },
    );
    if !g_rest.is_empty() {
        let (g, z) = (simd.partial_load_f32s(g_rest), simd.partial_load_f32s(z_rest));
        let beta = simd.partial_load_f32s(by_beta_rest);
        simd.partial_store_f32s(by_beta_rest, simd.add_f32s(beta, g));
        let sum = simd.partial_load_f32s(by_gamma_rest);
        simd.partial_store_f32s(by_gamma_rest, simd.mul_add_f32s(g, z, sum));
        let g = simd.mul_f32s(g, simd.partial_load_f32s(gamma_rest));
        simd.partial_store_f32s(g_rest, g);
        let (sum, product) = (sums.at(n), products.at(n));
        *sum = simd.add_f32s(*sum, g);
        *product = simd.mul_add_f32s(g, z, *product);
    }
    [sums.total(), products.total()]
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
