//! Products of matrices on devices other than the CPU.

use crate::device::gpu;
use crate::mixed::Precision;
use crate::reduce::column_sums;
use burn::Tensor;

/// `a` · `b` + `bias` of the matrices in the last two dimensions, without a tape.
pub(crate) fn product<const D: usize>(
    a: &Tensor<D>,
    b: &Tensor<D>,
    bias: Option<&Tensor<1>>,
) -> Tensor<D> {
    gpu::product(a, b, bias).unwrap_or_else(|| {
        let y = a.clone().matmul(b.clone());
        match bias {
            Some(bias) => y + bias.clone().unsqueeze(),
            None => y,
        }
    })
}

/// `a` · `b`, both rounded to `precision`.
pub(crate) fn rounded_product<const D: usize>(
    precision: Precision,
    a: Tensor<D>,
    b: Tensor<D>,
) -> Tensor<D> {
    if precision == Precision::F32 { product(&a, &b, None) } else { precision.matmul(a, b) }
}

/// Parts of the sum of [`product_over_rows`] where burn's operations make it. A product with few results would be computed
/// by few of a device's processors.
const PARTS: usize = 8;

/// Results of a product that is not made in parts: it occupies a device.
const MANY: usize = 1 << 20;

/// The sum over rows of the products of `a` `[rows, n]` and `b` `[rows, m]`, `[n, m]`, and that of `b`, `[m]`: the gradients
/// of a linear layer by its weight and bias.
pub(crate) fn product_and_sum_over_rows(a: &Tensor<2>, b: &Tensor<2>) -> (Tensor<2>, Tensor<1>) {
    match gpu::product_over_rows(a, b, true) {
        Some((product, Some(sum))) => (product, sum),
        _ => (product_over_rows(a, b), column_sums(b.clone()).flatten(0, 1)),
    }
}

/// The sum over rows of the products of `a` `[rows, n]` and `b` `[rows, m]`: `[n, m]`.
pub(crate) fn product_over_rows(a: &Tensor<2>, b: &Tensor<2>) -> Tensor<2> {
    if let Some((product, _)) = gpu::product_over_rows(a, b, false) {
        return product;
    }
    let ([rows, n], [_, m]) = (a.dims(), b.dims());
    let each = rows / PARTS;
    if each == 0 || n * m >= MANY {
        return a.clone().transpose().matmul(b.clone());
    }
    let part =
        |x: &Tensor<2>, width| x.clone().narrow(0, 0, PARTS * each).reshape([PARTS, each, width]);
    let sum = part(a, n).swap_dims(1, 2).matmul(part(b, m)).sum_dim(0).reshape([n, m]);
    let rest = rows - PARTS * each;
    if rest == 0 {
        return sum;
    }
    let rest_of = |x: &Tensor<2>| x.clone().narrow(0, PARTS * each, rest);
    sum + rest_of(a).transpose().matmul(rest_of(b))
}
