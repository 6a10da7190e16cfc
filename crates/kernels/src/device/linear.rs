//! Linear layers on devices other than the CPU.

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
