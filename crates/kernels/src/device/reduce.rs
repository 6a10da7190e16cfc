//! Means on devices other than the CPU, whose backward spreads numbers.

use crate::device::tape::{AnyRank, Derivative, record, untaped};
use crate::reduce::column_sums;
use burn::Tensor;

/// See [`mean`](crate::mean).
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub(crate) fn mean(x: Tensor<1>) -> Tensor<1> {
    let [n] = x.dims();
    let sum = column_sums(untaped(&x).reshape([n, 1])).reshape([1]);
    record([x.into()], sum / n as f64, || Mean { count: n })
}

/// See [`pixel_means`](crate::pixel_means).
pub(crate) fn pixel_means(x: Tensor<4>) -> Tensor<2> {
    let [batch, height, width, channels] = x.dims();
    let pixels = untaped(&x).reshape([batch, height * width, channels]);
    let y = pixels.mean_dim(1).reshape([batch, channels]);
    record([x.into()], y, || PixelMeans { shape: [batch, height, width, channels] })
}

#[derive(Debug, Clone)]
struct Mean {
    count: usize,
}

impl Derivative<1> for Mean {
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    fn backward(self, gradient: AnyRank, _: [bool; 1]) -> [Option<AnyRank>; 1] {
        let each = gradient.tensor::<1>() / self.count as f64;
        [Some(each.expand([self.count]).into())]
    }
}

#[derive(Debug, Clone)]
struct PixelMeans {
    shape: [usize; 4],
}

impl Derivative<1> for PixelMeans {
    #[expect(clippy::cast_precision_loss, reason = "images are small")]
    fn backward(self, gradient: AnyRank, _: [bool; 1]) -> [Option<AnyRank>; 1] {
        let [batch, height, width, channels] = self.shape;
        let each = gradient.tensor::<2>() / (height * width) as f64;
        [Some(each.reshape([batch, 1, 1, channels]).expand(self.shape).into())]
    }
}
