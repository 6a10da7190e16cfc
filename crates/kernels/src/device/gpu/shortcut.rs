//! Every so many pixels of an image, with further channels, and back.

use super::{MOST, on_gpu, room, tensor, vectors};
use burn::Tensor;
use cubecl::prelude::*;

/// Sizes of an image.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
struct Sizes {
    rows: usize,
    columns: usize,
    /// Vectors of channels.
    channels: usize,
}

/// Every `stride`-th pixel of `x` `[batch, rows, columns, channels]`, with zeros up to `channels` channels.
pub(crate) fn every_pixel(x: &Tensor<4>, stride: usize, channels: usize) -> Option<Tensor<4>> {
    let [batch, rows, columns, _] = x.dims();
    launch(x, [batch, rows.div_ceil(stride), columns.div_ceil(stride), channels], stride, false)
}

/// The gradient by the image of `shape` for the one by [`every_pixel`].
pub(crate) fn spread_pixels(
    gradient: &Tensor<4>,
    stride: usize,
    shape: [usize; 4],
) -> Option<Tensor<4>> {
    launch(gradient, shape, stride, true)
}

fn launch(x: &Tensor<4>, to: [usize; 4], stride: usize, spread: bool) -> Option<Tensor<4>> {
    let from = x.dims();
    let x = on_gpu(x)?;
    let count: usize = to.iter().product();
    if count > MOST {
        return None;
    }
    let y = room(&x, to);
    if count > 0 {
        // What both numbers of channels are a multiple of.
        let (cubes, dim, width) = vectors(&x, count, greatest_divisor(from[3], to[3]));
        let client = x.client.clone();
        let sizes = |[_, rows, columns, channels]: [usize; 4]| {
            SizesLaunch::new(rows, columns, channels / width)
        };
        shortcut_kernel::launch(
            &client,
            cubes,
            dim,
            width,
            x.into_buffer_arg(),
            y.clone().into_buffer_arg(),
            sizes(from),
            sizes(to),
            stride,
            spread,
        );
    }
    Some(tensor(y))
}

fn greatest_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { greatest_divisor(b, a % b) }
}

#[cube(launch)]
fn shortcut_kernel<N: Size>(
    x: &[Vector<f32, N>],
    y: &mut [Vector<f32, N>],
    from: Sizes,
    to: Sizes,
    stride: usize,
    #[comptime] spread: bool,
) {
    let i = ABSOLUTE_POS;
    if i < y.len() {
        let (pixel, channel) = (i / to.channels, i % to.channels);
        let (row, column) = (pixel / to.columns % to.rows, pixel % to.columns);
        let example = pixel / (to.rows * to.columns);
        let mut read = channel < from.channels;
        let (mut from_row, mut from_column) = (row * stride, column * stride);
        if spread {
            read = read && row % stride == 0 && column % stride == 0;
            from_row = row / stride;
            from_column = column / stride;
        }
        let mut number = Vector::<f32, N>::zeroed();
        if read {
            let pixel = (example * from.rows + from_row) * from.columns + from_column;
            number = x[pixel * from.channels + channel];
        }
        y[i] = number;
    }
}
