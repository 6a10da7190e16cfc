//! What the taps of a convolution read, side by side, in one kernel.

use super::{MOST, on_gpu, room, tensor, threads};
use crate::device::convolution::{Direction, Places};
use burn::Tensor;
use cubecl::prelude::*;

/// `[batch, target rows · target columns · kernel · kernel, channels]` of `image` `[batch, rows, columns, channels]`.
pub(crate) fn gather(image: &Tensor<4>, places: Places) -> Option<Tensor<3>> {
    let [batch, rows, columns, channels] = image.dims();
    let image = on_gpu(image)?;
    let [target_rows, target_columns] = places.target();
    let pixels = target_rows * target_columns * places.kernel * places.kernel;
    let count = batch * pixels * channels;
    if count > MOST {
        return None;
    }
    let y = room(&image, [batch, pixels, channels]);
    if count > 0 {
        let (cubes, dim) = threads(&image, count);
        let client = image.client.clone();
        gather_kernel::launch(
            &client,
            cubes,
            dim,
            image.into_buffer_arg(),
            y.clone().into_buffer_arg(),
            rows,
            columns,
            target_rows,
            target_columns,
            channels,
            places.kernel,
            places.stride,
            places.direction == Direction::Backward,
        );
    }
    Some(tensor(y))
}

/// Sizes are part of the kernel: divisions by them would take most of its time.
#[cube(launch)]
#[expect(clippy::too_many_arguments, reason = "a kernel takes buffers and numbers alone")]
fn gather_kernel(
    image: &[f32],
    y: &mut [f32],
    #[comptime] rows: usize,
    #[comptime] columns: usize,
    #[comptime] target_rows: usize,
    #[comptime] target_columns: usize,
    #[comptime] channels: usize,
    #[comptime] kernel: usize,
    #[comptime] stride: usize,
    #[comptime] backward: bool,
) {
    let i = ABSOLUTE_POS;
    if i < y.len() {
        let channel = i % channels;
        let tap = (i / channels) % (kernel * kernel);
        let pixel = i / (channels * kernel * kernel);
        let column = pixel % target_columns;
        let row = (pixel / target_columns) % target_rows;
        let example = pixel / (target_columns * target_rows);
        let border = kernel / 2;
        let (tap_row, tap_column) = (tap / kernel, tap % kernel);
        let mut read = 0.0f32;
        // Places are compared before they are subtracted: they are unsigned.
        if backward {
            let down = row + border;
            let right = column + border;
            if down >= tap_row && right >= tap_column {
                let (down, right) = (down - tap_row, right - tap_column);
                if down % stride == 0 && right % stride == 0 {
                    let (from_row, from_column) = (down / stride, right / stride);
                    if from_row < rows && from_column < columns {
                        let at = (example * rows + from_row) * columns + from_column;
                        read = image[at * channels + channel];
                    }
                }
            }
        } else {
            let down = row * stride + tap_row;
            let right = column * stride + tap_column;
            if down >= border && right >= border {
                let (from_row, from_column) = (down - border, right - border);
                if from_row < rows && from_column < columns {
                    let at = (example * rows + from_row) * columns + from_column;
                    read = image[at * channels + channel];
                }
            }
        }
        y[i] = read;
    }
}
