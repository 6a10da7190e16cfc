//! Convolutions on devices other than the CPU. A GPU has kernels for them; elsewhere the taps of every place are gathered side
//! by side (im2col), and one product is made of them. The gradient by the image is a gather and a product too, so that
//! nothing is added to places that several threads share.

use crate::device::gpu;
use crate::device::tape::{AnyRank, Derivative, record, untaped};
use crate::mixed::Precision;
use crate::padded::Shape;
use crate::reduce::parts;
use burn::Tensor;
use burn::tensor::{Device, Int};
use std::cell::RefCell;

/// Parts of the sum of the gradient by the weights, at most.
const PARTS: usize = 128;

/// See [`convolution`](crate::convolution()).
pub(crate) fn convolution(
    precision: Precision,
    x: Tensor<4>,
    weight: Tensor<4>,
    stride: usize,
) -> Tensor<4> {
    let [batch, height, width, input] = x.dims();
    let [output, _, kernel, _] = weight.dims();
    let known = weight.dims() == [output, input, kernel, kernel];
    assert!(known, "weights for each input channel, with square kernels");
    assert!(kernel % 2 == 1, "kernels with a middle");
    assert!(stride > 0, "a stride");
    let shape = Shape { batch, height, width, input, output, kernel, stride };
    let saved = Saved { precision, shape, x: untaped(&x), weight: untaped(&weight) };
    let y = saved.forward();
    record([x.into(), weight.into()], y, || saved)
}

#[derive(Debug, Clone)]
struct Saved {
    precision: Precision,
    shape: Shape,
    x: Tensor<4>,
    weight: Tensor<4>,
}

impl Saved {
    fn taps(&self) -> usize {
        self.shape.kernel * self.shape.kernel
    }

    /// What each tap of each output pixel reads: `[batch · rows · columns, kernel · kernel · input]`, in the format of
    /// products.
    fn gathered(&self) -> Tensor<2> {
        let shape = &self.shape;
        let image = self.precision.cast(self.x.clone());
        let gathered = gather(image, shape, Direction::Forward);
        gathered.reshape([shape.batch * shape.rows() * shape.columns(), self.taps() * shape.input])
    }

    fn places(&self, direction: Direction) -> Places {
        let Shape { height, width, kernel, stride, .. } = self.shape;
        Places { height, width, kernel, stride, direction }
    }

    fn forward(&self) -> Tensor<4> {
        let (precision, places) = (self.precision, self.places(Direction::Forward));
        if let Some(y) = gpu::convolution(precision, &self.x, &self.weight, places) {
            return y;
        }
        let shape = &self.shape;
        let long = self.taps() * shape.input;
        let weight = self.weight.clone().permute([2, 3, 1, 0]).reshape([long, shape.output]);
        let y = self.precision.matmul(self.gathered(), weight);
        y.reshape([shape.batch, shape.rows(), shape.columns(), shape.output])
    }

    fn by_x(&self, gradient: Tensor<4>) -> Tensor<4> {
        let (precision, places) = (self.precision, self.places(Direction::Backward));
        if let Some(by_x) = gpu::convolution(precision, &gradient, &self.weight, places) {
            return by_x;
        }
        let (shape, gradient) = (&self.shape, precision.cast(gradient));
        let long = self.taps() * shape.output;
        let pixels = shape.batch * shape.height * shape.width;
        let gathered = gather(gradient, shape, Direction::Backward).reshape([pixels, long]);
        let weight = self.weight.clone().permute([2, 3, 0, 1]).reshape([long, shape.input]);
        let by_x = self.precision.matmul(gathered, weight);
        by_x.reshape([shape.batch, shape.height, shape.width, shape.input])
    }

    /// In parts, so that it is not one long sum for each weight.
    fn by_weight(&self, gradient: Tensor<4>) -> Tensor<4> {
        let (precision, places) = (self.precision, self.places(Direction::Forward));
        if let Some(by_weight) = gpu::convolution_by_weight(precision, &self.x, &gradient, places) {
            return by_weight;
        }
        let (shape, gradient) = (&self.shape, precision.cast(gradient));
        let long = self.taps() * shape.input;
        let count = shape.batch * shape.rows() * shape.columns();
        let parts = parts(count).min(PARTS);
        let taps = self.gathered().reshape([parts, count / parts, long]);
        let gradient = gradient.reshape([parts, count / parts, shape.output]);
        let by_weight = self.precision.matmul(taps.swap_dims(1, 2), gradient).sum_dim(0);
        let by_weight = by_weight.reshape([shape.kernel, shape.kernel, shape.input, shape.output]);
        gpu::contiguous(by_weight.permute([3, 2, 0, 1]))
    }
}

impl Derivative<2> for Saved {
    fn backward(self, gradient: AnyRank, wanted: [bool; 2]) -> [Option<AnyRank>; 2] {
        let gradient = gradient.tensor::<4>();
        [
            wanted[0].then(|| self.by_x(gradient.clone()).into()),
            wanted[1].then(|| self.by_weight(gradient).into()),
        ]
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Direction {
    /// For each output pixel, the input pixel of each tap.
    Forward,
    /// For each input pixel, the output pixel that reads it by each tap.
    Backward,
}

/// What decides which pixels are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Places {
    height: usize,
    width: usize,
    pub(crate) kernel: usize,
    pub(crate) stride: usize,
    pub(crate) direction: Direction,
}

impl Places {
    /// Rows and columns of the image that is read.
    pub(crate) fn source(&self) -> [usize; 2] {
        match self.direction {
            Direction::Forward => [self.height, self.width],
            Direction::Backward => self.strided(),
        }
    }

    pub(crate) fn target(&self) -> [usize; 2] {
        match self.direction {
            Direction::Forward => self.strided(),
            Direction::Backward => [self.height, self.width],
        }
    }

    fn strided(&self) -> [usize; 2] {
        [self.height.div_ceil(self.stride), self.width.div_ceil(self.stride)]
    }

    /// The place of the source that `tap` of `target` reads, in one dimension.
    fn read(&self, target: usize, tap: usize, size: usize) -> Option<usize> {
        let border = self.kernel / 2;
        let at = match self.direction {
            Direction::Forward => (target * self.stride + tap).checked_sub(border)?,
            Direction::Backward => {
                let at = (target + border).checked_sub(tap)?;
                if !at.is_multiple_of(self.stride) {
                    return None;
                }
                at / self.stride
            }
        };
        (at < size).then_some(at)
    }

    /// For each pixel of the target and each tap the pixel that it reads, counted row by row; the one after the last is
    /// for those outside.
    fn pixels(&self) -> Vec<usize> {
        let [rows, columns] = self.source();
        let [target_rows, target_columns] = self.target();
        let mut pixels = Vec::with_capacity(target_rows * target_columns * self.kernel.pow(2));
        for row in 0..target_rows {
            for column in 0..target_columns {
                for tap in 0..self.kernel * self.kernel {
                    let row = self.read(row, tap / self.kernel, rows);
                    let column = self.read(column, tap % self.kernel, columns);
                    let pixel = row.zip(column).map(|(row, column)| row * columns + column);
                    pixels.push(pixel.unwrap_or(rows * columns));
                }
            }
        }
        pixels
    }
}

/// Pixels to gather, on a device.
#[derive(Debug, Clone)]
struct Index {
    pixels: Tensor<1, Int>,
    /// Whether some lie outside of the image.
    outside: bool,
}

thread_local! {
    /// Few: one for each shape of image, in both directions.
    static INDICES: RefCell<Vec<(Device, Places, Index)>> = const { RefCell::new(Vec::new()) };
}

fn index(places: Places, device: &Device) -> Index {
    INDICES.with_borrow_mut(|indices| {
        let known = indices.iter().find(|(on, of, _)| on == device && *of == places);
        if let Some((.., index)) = known {
            return index.clone();
        }
        let pixels = places.pixels();
        let outside = pixels.contains(&places.source().iter().product());
        let pixels: Vec<i32> = pixels
            .into_iter()
            .map(|pixel| i32::try_from(pixel).expect("images have fewer pixels"))
            .collect();
        let index = Index { pixels: Tensor::from_data(pixels.as_slice(), device), outside };
        indices.push((device.clone(), places, index.clone()));
        index
    })
}

/// `[batch, target rows · target columns · kernel · kernel, channels]` of `image` `[batch, rows, columns, channels]`.
fn gather(image: Tensor<4>, shape: &Shape, direction: Direction) -> Tensor<3> {
    let [batch, rows, columns, channels] = image.dims();
    let device = image.device();
    let &Shape { height, width, kernel, stride, .. } = shape;
    if kernel == 1 && stride == 1 {
        return image.reshape([batch, rows * columns, channels]);
    }
    let places = Places { height, width, kernel, stride, direction };
    let pixels = image.reshape([batch, rows * columns, channels]);
    let index = index(places, &device);
    let pixels = if index.outside {
        let zero = Tensor::zeros([batch, 1, channels], (&device, pixels.dtype()));
        Tensor::cat(vec![pixels, zero], 1)
    } else {
        pixels
    };
    pixels.select(1, index.pixels)
}
