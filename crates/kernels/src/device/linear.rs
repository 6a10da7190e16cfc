//! Linear layers on devices other than the CPU.

use crate::device::gpu;
use crate::device::tape::{AnyRank, Derivative, record, untaped};
use crate::reduce::column_sums;
use burn::Tensor;

/// Parts of the sum of the gradient by the weights. A product with few results would be computed by few of a device's
/// processors.
const PARTS: usize = 8;

/// Results of a product that is not made in parts: it occupies a device.
const MANY: usize = 1 << 20;

/// See [`linear`](crate::linear()).
pub(crate) fn linear(x: Tensor<2>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<2> {
    let saved = Saved { x: untaped(&x), weight: untaped(&weight) };
    let y = saved.x.clone().matmul(saved.weight.clone());
    match bias {
        None => record([x.into(), weight.into()], y, || Product(saved)),
        Some(bias) => {
            let y = y + untaped(&bias).unsqueeze();
            record([x.into(), weight.into(), bias.into()], y, || Linear(saved))
        }
    }
}

/// See [`linear_three`](crate::linear_three()).
pub(crate) fn linear_three(
    x: Tensor<2>,
    weights: [Tensor<2>; 3],
    biases: [Tensor<1>; 3],
) -> Tensor<2> {
    let joined = |parts: [Tensor<2>; 3]| {
        gpu::side_by_side(&parts).unwrap_or_else(|| Tensor::cat(parts.into(), 1))
    };
    let rows = biases.each_ref().map(|bias| untaped(bias).unsqueeze());
    let saved = Saved { x: untaped(&x), weight: joined(weights.each_ref().map(untaped)) };
    let y = saved.x.clone().matmul(saved.weight.clone()) + joined(rows);
    let ([w1, w2, w3], [b1, b2, b3]) = (weights, biases);
    let inputs = [x.into(), w1.into(), w2.into(), w3.into(), b1.into(), b2.into(), b3.into()];
    record(inputs, y, || LinearThree(saved))
}

#[derive(Debug, Clone)]
struct Saved {
    x: Tensor<2>,
    weight: Tensor<2>,
}

impl Saved {
    fn backward(&self, gradient: &Tensor<2>, [x, weight]: [bool; 2]) -> [Option<AnyRank>; 2] {
        let by_x = || gradient.clone().matmul(self.weight.clone().transpose());
        [x.then(|| by_x().into()), weight.then(|| product_over_rows(&self.x, gradient).into())]
    }
}

/// The sum over rows of the products of `a` `[rows, n]` and `b` `[rows, m]`: `[n, m]`.
fn product_over_rows(a: &Tensor<2>, b: &Tensor<2>) -> Tensor<2> {
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

#[derive(Debug, Clone)]
struct Product(Saved);

impl Derivative<2> for Product {
    fn backward(self, gradient: AnyRank, wanted: [bool; 2]) -> [Option<AnyRank>; 2] {
        self.0.backward(&gradient.tensor(), wanted)
    }
}

#[derive(Debug, Clone)]
struct Linear(Saved);

impl Derivative<3> for Linear {
    fn backward(self, gradient: AnyRank, [x, weight, bias]: [bool; 3]) -> [Option<AnyRank>; 3] {
        let gradient = gradient.tensor::<2>();
        let [by_x, by_weight] = self.0.backward(&gradient, [x, weight]);
        let [_, width] = gradient.dims();
        [by_x, by_weight, bias.then(|| column_sums(gradient).reshape([width]).into())]
    }
}

#[derive(Debug, Clone)]
struct LinearThree(Saved);

impl Derivative<7> for LinearThree {
    fn backward(self, gradient: AnyRank, wanted: [bool; 7]) -> [Option<AnyRank>; 7] {
        let gradient = gradient.tensor::<2>();
        let width = gradient.dims()[1] / 3;
        let apart = |x: Tensor<2>| {
            let part = |i| x.clone().narrow(1, i * width, width);
            gpu::apart(&x).unwrap_or_else(|| std::array::from_fn(part))
        };
        let by_x = wanted[0].then(|| gradient.clone().matmul(self.0.weight.clone().transpose()));
        let [w1, w2, w3] = apart(product_over_rows(&self.0.x, &gradient)).map(Into::into);
        let bias = |x: Tensor<2>| x.reshape([width]).into();
        let [b1, b2, b3] = apart(column_sums(gradient)).map(bias);
        [by_x.map(Into::into), Some(w1), Some(w2), Some(w3), Some(b1), Some(b2), Some(b3)]
    }
}
