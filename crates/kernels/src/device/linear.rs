//! Linear layers on devices other than the CPU.

use crate::device::gpu;
use crate::device::product::{product, product_and_sum_over_rows, product_over_rows};
use crate::device::tape::{AnyRank, Derivative, record, untaped};
use crate::reduce::column_sums;
use burn::Tensor;

/// See [`linear`](crate::linear()).
pub(crate) fn linear(x: Tensor<2>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<2> {
    let saved = Saved { x: untaped(&x), weight: untaped(&weight) };
    let known = bias.as_ref().is_none_or(|bias| bias.dims()[0] == weight.dims()[1]);
    assert!(known, "a bias for each output");
    let y = product(&saved.x, &saved.weight, bias.as_ref().map(untaped).as_ref());
    match bias {
        None => record([x.into(), weight.into()], y, || Product(saved)),
        Some(bias) => record([x.into(), weight.into(), bias.into()], y, || Linear(saved)),
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
    let [_, width] = saved.weight.dims();
    let y = product(&saved.x, &saved.weight, Some(&joined(rows).reshape([width])));
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
    fn by_x(&self, gradient: &Tensor<2>) -> AnyRank {
        product(gradient, &self.weight.clone().transpose(), None).into()
    }

    fn by_weight(&self, gradient: &Tensor<2>) -> AnyRank {
        product_over_rows(&self.x, gradient).into()
    }
}

#[derive(Debug, Clone)]
struct Product(Saved);

impl Derivative<2> for Product {
    fn backward(self, gradient: AnyRank, wanted: [bool; 2]) -> [Option<AnyRank>; 2] {
        let (gradient, [x, weight]) = (gradient.tensor(), wanted);
        [x.then(|| self.0.by_x(&gradient)), weight.then(|| self.0.by_weight(&gradient))]
    }
}

#[derive(Debug, Clone)]
struct Linear(Saved);

impl Derivative<3> for Linear {
    fn backward(self, gradient: AnyRank, [x, weight, bias]: [bool; 3]) -> [Option<AnyRank>; 3] {
        let gradient = gradient.tensor::<2>();
        let by_x = x.then(|| self.0.by_x(&gradient));
        if weight && bias {
            let (by_weight, by_bias) = product_and_sum_over_rows(&self.0.x, &gradient);
            return [by_x, Some(by_weight.into()), Some(by_bias.into())];
        }
        let by_weight = weight.then(|| self.0.by_weight(&gradient));
        let by_bias = || column_sums(gradient).flatten::<1>(0, 1).into();
        [by_x, by_weight, bias.then(by_bias)]
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
        let by_x = wanted[0].then(|| self.0.by_x(&gradient));
        let (by_weight, by_bias) = product_and_sum_over_rows(&self.0.x, &gradient);
        let [w1, w2, w3] = apart(by_weight).map(Into::into);
        let bias = |x: Tensor<2>| x.reshape([width]).into();
        let [b1, b2, b3] = apart(by_bias.unsqueeze()).map(bias);
        [by_x, Some(w1), Some(w2), Some(w3), Some(b1), Some(b2), Some(b3)]
    }
}
