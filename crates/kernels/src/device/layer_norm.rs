//! Layer norm on devices other than the CPU.

use crate::device::gpu::{self, Normalized};
use crate::device::tape::{AnyRank, Derivative, record, untaped};
use crate::reduce::column_sums;
use burn::Tensor;

/// See [`layer_norm`](crate::layer_norm()).
pub(crate) fn layer_norm<const D: usize>(
    x: Tensor<D>,
    residual: Option<Tensor<D>>,
    [gamma, beta]: [Tensor<1>; 2],
    epsilon: f64,
) -> Tensor<D> {
    let shape = x.dims();
    let flat = |x: &Tensor<D>| {
        let width = shape[D - 1];
        untaped(x).reshape([shape[..D - 1].iter().product(), width])
    };
    let (rows, added) = (flat(&x), residual.as_ref().map(flat));
    let vectors = [&untaped(&gamma), &untaped(&beta)];
    let Normalized { y, normal, inverse } =
        gpu::layer_norm(&rows, added.as_ref(), vectors, epsilon)
            .unwrap_or_else(|| normalized(rows, added, vectors, epsilon));
    let y = y.reshape(shape);
    let saved = Saved::<D> { shape, normal, inverse, gamma: untaped(&gamma) };
    match residual {
        None => record([x.into(), gamma.into(), beta.into()], y, || saved),
        Some(residual) => {
            let inputs = [x.into(), gamma.into(), beta.into(), residual.into()];
            record(inputs, y, || Residual(saved))
        }
    }
}

/// Layer norm of rows by burn's operations.
fn normalized(
    rows: Tensor<2>,
    added: Option<Tensor<2>>,
    [gamma, beta]: [&Tensor<1>; 2],
    epsilon: f64,
) -> Normalized {
    let z = match added {
        Some(added) => rows + added,
        None => rows,
    };
    let centered = z.clone() - z.mean_dim(1);
    let variance = centered.clone().square().mean_dim(1);
    let inverse = (variance + epsilon).sqrt().recip();
    let normal = centered * inverse.clone();
    let y = normal.clone() * gamma.clone().unsqueeze() + beta.clone().unsqueeze();
    Normalized { y, normal, inverse }
}

#[derive(Debug, Clone)]
struct Saved<const D: usize> {
    shape: [usize; D],
    /// (x − mean) / σ, `[rows, width]`.
    normal: Tensor<2>,
    /// 1 / σ, `[rows, 1]`.
    inverse: Tensor<2>,
    gamma: Tensor<1>,
}

impl<const D: usize> Derivative<3> for Saved<D> {
    fn backward(self, gradient: AnyRank, _: [bool; 3]) -> [Option<AnyRank>; 3] {
        let Self { shape, normal, inverse, gamma } = self;
        let gradient = gradient.tensor::<D>().reshape(normal.dims());
        let [_, width] = normal.dims();
        let [by_beta, by_gamma] = gpu::column_moments(&gradient, &normal).unwrap_or_else(|| {
            [gradient.clone(), gradient.clone() * normal.clone()]
                .map(|x| column_sums(x).reshape([width]))
        });
        let by_x = gpu::layer_norm_gradient(&gradient, &normal, &inverse, &gamma);
        let by_x = by_x.unwrap_or_else(|| {
            let by_normal = gradient * gamma.unsqueeze();
            let along = (by_normal.clone() * normal.clone()).mean_dim(1);
            (by_normal.clone() - by_normal.mean_dim(1) - normal * along) * inverse
        });
        [Some(by_x.reshape(shape).into()), Some(by_gamma.into()), Some(by_beta.into())]
    }
}

#[derive(Debug, Clone)]
struct Residual<const D: usize>(Saved<D>);

impl<const D: usize> Derivative<4> for Residual<D> {
    fn backward(self, gradient: AnyRank, _: [bool; 4]) -> [Option<AnyRank>; 4] {
        let [x, gamma, beta] = self.0.backward(gradient, [true; 3]);
        [x.clone(), gamma, beta, x]
    }
}
