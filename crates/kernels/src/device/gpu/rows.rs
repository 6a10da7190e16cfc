//! What is computed of whole rows, a cube a row: layer norm and softmax.

use super::cube::{cubes, dim, largest_of_all, sum_of_all, threads};
use super::sent::sent;
use super::{on_gpu, room, tensor};
use burn::Tensor;
use cubecl::prelude::*;

/// What layer norm gives.
pub(crate) struct Normalized {
    /// The result, `[rows, width]`.
    pub(crate) y: Tensor<2>,
    /// (x − mean) / σ.
    pub(crate) normal: Tensor<2>,
    /// 1 / σ, `[rows, 1]`.
    pub(crate) inverse: Tensor<2>,
}

/// Layer norm of the rows of `x` + `residual`.
#[expect(clippy::cast_possible_truncation, reason = "rounding to f32 is meant")]
pub(crate) fn layer_norm(
    x: &Tensor<2>,
    residual: Option<&Tensor<2>>,
    [gamma, beta]: [&Tensor<1>; 2],
    epsilon: f64,
) -> Option<Normalized> {
    let [rows, width] = x.dims();
    let (x, gamma, beta) = (on_gpu(x)?, on_gpu(gamma)?, on_gpu(beta)?);
    let added = residual.is_some();
    // What is absent is not read; another takes its place.
    let residual = match residual {
        Some(residual) => on_gpu(residual)?,
        None => x.clone(),
    };
    let (y, normal, inverse) =
        (room(&x, [rows, width]), room(&x, [rows, width]), room(&x, [rows, 1]));
    if rows * width > 0 {
        let threads = threads(width);
        layer_norm_kernel::launch(
            &x.client.clone(),
            cubes(rows),
            dim(threads),
            x.into_buffer_arg(),
            residual.into_buffer_arg(),
            gamma.into_buffer_arg(),
            beta.into_buffer_arg(),
            y.clone().into_buffer_arg(),
            normal.clone().into_buffer_arg(),
            inverse.clone().into_buffer_arg(),
            epsilon as f32,
            added,
            threads,
        );
    }
    Some(Normalized { y: tensor(y), normal: tensor(normal), inverse: tensor(inverse) })
}

#[cube(launch)]
#[expect(clippy::too_many_arguments, reason = "a kernel takes buffers and numbers alone")]
fn layer_norm_kernel(
    x: &[f32],
    residual: &[f32],
    gamma: &[f32],
    beta: &[f32],
    y: &mut [f32],
    normal: &mut [f32],
    inverse: &mut [f32],
    epsilon: f32,
    #[comptime] added: bool,
    #[comptime] threads: usize,
) {
    let mut shared = Shared::new_slice(threads);
    let row = CUBE_POS;
    let width = gamma.len();
    if row < inverse.len() {
        let first = row * width;
        let own = UNIT_POS as usize;
        let mut sum = 0.0f32;
        let mut i = own;
        while i < width {
            let mut z = x[first + i];
            if added {
                z += residual[first + i];
            }
            // Kept where the result will be: each thread reads what it wrote.
            normal[first + i] = z;
            sum += z;
            i += threads;
        }
        let mean = sum_of_all(sum, &mut shared, threads) / width as f32;
        let mut squares = 0.0f32;
        i = own;
        while i < width {
            let centered = normal[first + i] - mean;
            squares += centered * centered;
            i += threads;
        }
        let variance = sum_of_all(squares, &mut shared, threads) / width as f32;
        let one_over = 1.0f32 / (variance + epsilon).sqrt();
        i = own;
        while i < width {
            let z = (normal[first + i] - mean) * one_over;
            normal[first + i] = z;
            y[first + i] = z * gamma[i] + beta[i];
            i += threads;
        }
        if UNIT_POS == 0 {
            inverse[row] = one_over;
        }
    }
}

/// The gradient of layer norm by its input, for `gradient` by its output.
pub(crate) fn layer_norm_gradient(
    gradient: &Tensor<2>,
    normal: &Tensor<2>,
    inverse: &Tensor<2>,
    gamma: &Tensor<1>,
) -> Option<Tensor<2>> {
    let [rows, width] = gradient.dims();
    let (gradient, normal) = (on_gpu(gradient)?, on_gpu(normal)?);
    let (inverse, gamma) = (on_gpu(inverse)?, on_gpu(gamma)?);
    let by_x = room(&gradient, [rows, width]);
    if rows * width > 0 {
        let threads = threads(width);
        layer_norm_gradient_kernel::launch(
            &gradient.client.clone(),
            cubes(rows),
            dim(threads),
            gradient.into_buffer_arg(),
            normal.into_buffer_arg(),
            inverse.into_buffer_arg(),
            gamma.into_buffer_arg(),
            by_x.clone().into_buffer_arg(),
            threads,
        );
    }
    Some(tensor(by_x))
}

#[cube(launch)]
fn layer_norm_gradient_kernel(
    gradient: &[f32],
    normal: &[f32],
    inverse: &[f32],
    gamma: &[f32],
    by_x: &mut [f32],
    #[comptime] threads: usize,
) {
    let mut shared = Shared::new_slice(threads);
    let row = CUBE_POS;
    let width = gamma.len();
    if row < inverse.len() {
        let first = row * width;
        let own = UNIT_POS as usize;
        let mut sum = 0.0f32;
        let mut product = 0.0f32;
        let mut i = own;
        while i < width {
            let g = gradient[first + i] * gamma[i];
            sum += g;
            product += g * normal[first + i];
            i += threads;
        }
        let mean = sum_of_all(sum, &mut shared, threads) / width as f32;
        let along = sum_of_all(product, &mut shared, threads) / width as f32;
        let one_over = inverse[row];
        i = own;
        while i < width {
            let g = gradient[first + i] * gamma[i];
            by_x[first + i] = (g - mean - normal[first + i] * along) * one_over;
            i += threads;
        }
    }
}

/// softmax(`scale` · `scores`) over the keys that each query of the `scores` `[sequences, heads, queries, keys]` sees:
/// those of its sequence, of so many tokens each; or those up to its own, where there are no `lengths` and the first query
/// has the position `from`. The others have weight 0.
#[expect(clippy::cast_possible_truncation, reason = "lengths and a factor fit into 32 bits")]
pub(crate) fn softmax(
    scores: &Tensor<4>,
    scale: f64,
    lengths: Option<&[usize]>,
    from: usize,
) -> Option<Tensor<4>> {
    let [sequences, heads, queries, keys] = scores.dims();
    let scores = on_gpu(scores)?;
    let earlier = lengths.is_none();
    // A sequence without tokens sees a key too: without any, softmax is no number.
    let lengths = lengths.unwrap_or(&[0]).iter().map(|length| (*length).max(1) as u32);
    let lengths = sent(lengths.collect(), &scores);
    let weights = room(&scores, [sequences, heads, queries, keys]);
    let rows = sequences * heads * queries;
    if rows * keys > 0 {
        let threads = threads(keys);
        softmax_kernel::launch(
            &scores.client.clone(),
            cubes(rows),
            dim(threads),
            scores.into_buffer_arg(),
            lengths.into_buffer_arg(),
            weights.clone().into_buffer_arg(),
            rows,
            heads,
            queries,
            keys,
            from,
            scale as f32,
            earlier,
            threads,
        );
    }
    Some(tensor(weights))
}

#[cube(launch)]
#[expect(clippy::too_many_arguments, reason = "a kernel takes buffers and numbers alone")]
fn softmax_kernel(
    scores: &[f32],
    lengths: &[u32],
    weights: &mut [f32],
    rows: usize,
    heads: usize,
    queries: usize,
    keys: usize,
    from: usize,
    scale: f32,
    #[comptime] earlier: bool,
    #[comptime] threads: usize,
) {
    let mut shared = Shared::new_slice(threads);
    let row = CUBE_POS;
    if row < rows {
        let first = row * keys;
        let own = UNIT_POS as usize;
        let mut seen = from + row % queries + 1;
        if !earlier {
            seen = lengths[row / queries / heads] as usize;
        }
        let mut largest = scores[first] * scale;
        let mut i = own;
        while i < seen {
            largest = max(largest, scores[first + i] * scale);
            i += threads;
        }
        largest = largest_of_all(largest, &mut shared, threads);
        let mut sum = 0.0f32;
        i = own;
        while i < seen {
            let weight = (scores[first + i] * scale - largest).exp();
            // Each thread reads what it wrote.
            weights[first + i] = weight;
            sum += weight;
            i += threads;
        }
        let all = sum_of_all(sum, &mut shared, threads);
        i = own;
        while i < keys {
            if i < seen {
                weights[first + i] /= all;
            } else {
                weights[first + i] = 0.0f32;
            }
            i += threads;
        }
    }
}

/// The gradient by what `scale` multiplies in [`softmax`], for `gradient` by its `weights`.
#[expect(clippy::cast_possible_truncation, reason = "rounding to f32 is meant")]
pub(crate) fn softmax_gradient(
    gradient: &Tensor<4>,
    weights: &Tensor<4>,
    scale: f64,
) -> Option<Tensor<4>> {
    let shape = weights.dims();
    let (gradient, weights) = (on_gpu(gradient)?, on_gpu(weights)?);
    let by_scores = room(&weights, shape);
    let [sequences, heads, queries, keys] = shape;
    let rows = sequences * heads * queries;
    if rows * keys > 0 {
        let threads = threads(keys);
        softmax_gradient_kernel::launch(
            &weights.client.clone(),
            cubes(rows),
            dim(threads),
            gradient.into_buffer_arg(),
            weights.into_buffer_arg(),
            by_scores.clone().into_buffer_arg(),
            rows,
            keys,
            scale as f32,
            threads,
        );
    }
    Some(tensor(by_scores))
}

#[cube(launch)]
fn softmax_gradient_kernel(
    gradient: &[f32],
    weights: &[f32],
    by_scores: &mut [f32],
    rows: usize,
    keys: usize,
    scale: f32,
    #[comptime] threads: usize,
) {
    let mut shared = Shared::new_slice(threads);
    if CUBE_POS < rows {
        let first = CUBE_POS * keys;
        let own = UNIT_POS as usize;
        let mut sum = 0.0f32;
        let mut i = own;
        while i < keys {
            sum += gradient[first + i] * weights[first + i];
            i += threads;
        }
        let along = sum_of_all(sum, &mut shared, threads);
        i = own;
        while i < keys {
            by_scores[first + i] = weights[first + i] * (gradient[first + i] - along) * scale;
            i += threads;
        }
    }
}
