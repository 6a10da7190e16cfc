//! The residual network's shortcut on devices other than the CPU.

use crate::device::gpu;
use crate::device::tape::{AnyRank, Derivative, record, untaped};
use burn::Tensor;
use burn::tensor::Slice;

/// See [`shortcut`](crate::shortcut).
pub(crate) fn shortcut(x: Tensor<4>, stride: usize, channels: usize) -> Tensor<4> {
    let shape = x.dims();
    match gpu::every_pixel(&untaped(&x), stride, channels) {
        Some(y) => record([x.into()], y, || Shortcut { shape, stride }),
        None => plain(x, stride, channels),
    }
}

fn plain(x: Tensor<4>, stride: usize, channels: usize) -> Tensor<4> {
    let [batch, height, width, input] = x.dims();
    let axis = |length: usize, step: usize| {
        Slice::new(0, isize::try_from(length).ok(), isize::try_from(step).unwrap_or(1))
    };
    let x = x.slice([axis(batch, 1), axis(height, stride), axis(width, stride), axis(input, 1)]);
    if channels == input {
        return x;
    }
    let [_, rows, columns, _] = x.dims();
    let zeros = Tensor::zeros([batch, rows, columns, channels - input], (&x.device(), x.dtype()));
    Tensor::cat(vec![x, zeros], 3)
}

#[derive(Debug, Clone)]
struct Shortcut {
    /// Of the image.
    shape: [usize; 4],
    stride: usize,
}

impl Derivative<1> for Shortcut {
    fn backward(self, gradient: AnyRank, _: [bool; 1]) -> [Option<AnyRank>; 1] {
        let gradient = gradient.tensor::<4>();
        let by_x = gpu::spread_pixels(&gradient, self.stride, self.shape);
        [Some(by_x.expect("the image was on a GPU, and so is its gradient").into())]
    }
}
