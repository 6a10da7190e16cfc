//! The residual network's shortcut without parameters.

use crate::buffer::Buffer;
use crate::device;
use crate::host::{Host, Operation, Values, record};
use burn::Tensor;
use rayon::prelude::*;

/// Every `stride`-th pixel of `x` `[batch, height, width, input]`, with zeros for channels up to
/// `channels`: option A of He et al. 2016 (arXiv:1512.03385).
///
/// # Panics
/// If there are fewer channels than `x` has.
#[must_use]
pub fn shortcut(x: Tensor<4>, stride: usize, channels: usize) -> Tensor<4> {
    let [batch, height, width, input] = x.dims();
    assert!(channels >= input && stride > 0, "channels are added, pixels are left out");
    if stride == 1 && channels == input {
        return x;
    }
    let Some(host) = Host::of(&x) else { return device::shortcut::shortcut(x, stride, channels) };
    let shape = Shape { height, width, input, channels, stride };
    let mut y = Buffer::zeros(batch * shape.result());
    if !y.is_empty() && input > 0 {
        y.par_chunks_mut(shape.result())
            .zip(host.values().slice().par_chunks(shape.image()))
            .for_each(|(y, x)| {
                shape.pairs(|from, to| y[to..to + input].copy_from_slice(&x[from..from + input]));
            });
    }
    let dims = [batch, height.div_ceil(stride), width.div_ceil(stride), channels];
    let y = Values::from_buffer(y, &dims);
    record([host], y, || Shortcut { shape, dims: [batch, height, width, input] }).into_tensor()
}

#[derive(Debug, Clone, Copy)]
struct Shape {
    height: usize,
    width: usize,
    input: usize,
    channels: usize,
    stride: usize,
}

impl Shape {
    fn image(&self) -> usize {
        self.height * self.width * self.input
    }

    fn result(&self) -> usize {
        self.height.div_ceil(self.stride) * self.width.div_ceil(self.stride) * self.channels
    }

    /// Where each pixel that stays lies in the image, and in the result.
    fn pairs(&self, mut each: impl FnMut(usize, usize)) {
        let mut to = 0;
        for row in (0..self.height).step_by(self.stride) {
            for column in (0..self.width).step_by(self.stride) {
                each((row * self.width + column) * self.input, to);
                to += self.channels;
            }
        }
    }
}

#[derive(Debug, Clone)]
struct Shortcut {
    shape: Shape,
    dims: [usize; 4],
}

impl Operation<1> for Shortcut {
    fn backward(self, gradient: Values, _: [bool; 1]) -> [Option<Values>; 1] {
        let Self { shape, dims } = self;
        let input = shape.input;
        let mut by_x = Buffer::zeros(dims.iter().product());
        if !by_x.is_empty() {
            by_x.par_chunks_mut(shape.image())
                .zip(gradient.slice().par_chunks(shape.result()))
                .for_each(|(by_x, gradient)| {
                    shape.pairs(|to, from| {
                        by_x[to..to + input].copy_from_slice(&gradient[from..from + input]);
                    });
                });
        }
        [Some(Values::from_buffer(by_x, &dims))]
    }
}
