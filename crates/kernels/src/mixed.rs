//! Mixed precision: products of numbers in half precision, summed in single precision.
//!
//! As under PyTorch's `autocast`, the operands of a product are rounded to bf16 or f16, and so is its result, after the
//! bias, which is f32; in the backward pass so are the gradients that enter and leave it. Weights, and everything
//! between products, stay f32. A device multiplies in the format itself, and rounds before it adds the bias too; the
//! CPU rounds and multiplies in f32, at no gain of time.

use crate::attention::{Seen, attention_in};
use crate::convolution::convolution;
use crate::device;
use crate::dropout::Dropout;
use crate::host::{Host, Operation, Values, record};
use crate::linear::{linear, linear_three};
use crate::row::plus_row;
use crate::sequences::Sequences;
use ::activation::arch;
use burn::Tensor;
use burn::tensor::FloatDType;

/// Numbers that one task takes on.
const TASK: usize = 1 << 16;

/// Number format of the operands of products.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Precision {
    /// Single precision.
    #[default]
    F32,
    /// 8 bits of exponent, as f32, and 8 of precision.
    Bf16,
    /// 5 bits of exponent, from 6e-8 to 65,504, and 11 of precision.
    F16,
}

impl Precision {
    /// Numbers rounded to the format, ties to even; what is too large is infinite.
    pub(crate) fn round(self, numbers: &mut [f32]) {
        // A loop for each, so that it is compiled for registers.
        arch().dispatch(
            #[inline(always)]
            || match self {
                Self::F32 => {}
                Self::Bf16 => numbers.iter_mut().for_each(|x| *x = bf16(*x)),
                Self::F16 => numbers.iter_mut().for_each(|x| *x = f16(*x)),
            },
        );
    }

    /// `x` in the format, and its gradient too.
    #[must_use]
    pub fn rounded<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        let Some(format) = self.format() else { return x };
        let Some(host) = Host::of(&x) else { return x.cast(format).cast(FloatDType::F32) };
        let y = host.values().change(TASK, |_, numbers| self.round(numbers));
        record([host], y, || Rounded(self)).into_tensor()
    }

    /// [`linear`] in this precision.
    ///
    /// # Panics
    /// As it does.
    #[must_use]
    pub fn linear(self, x: Tensor<2>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<2> {
        let Some(format) = self.format() else { return linear(x, weight, bias) };
        if Host::of(&x).is_some() {
            return self.rounded(linear(self.rounded(x), self.rounded(weight), bias));
        }
        let y = linear(x.cast(format), weight.cast(format), None).cast(FloatDType::F32);
        match bias {
            Some(bias) => self.rounded(plus_row(y, bias)),
            None => y,
        }
    }

    /// [`linear_three`] in this precision.
    ///
    /// # Panics
    /// As it does.
    #[must_use]
    pub fn linear_three(
        self,
        x: Tensor<2>,
        weights: [Tensor<2>; 3],
        biases: [Tensor<1>; 3],
    ) -> Tensor<2> {
        if self == Self::F32 {
            return linear_three(x, weights, biases);
        }
        if Host::of(&x).is_some() {
            let weights = weights.map(|weight| self.rounded(weight));
            return self.rounded(linear_three(self.rounded(x), weights, biases));
        }
        self.linear(x, Tensor::cat(weights.into(), 1), Some(Tensor::cat(biases.into(), 0)))
    }

    /// [`convolution`] in this precision.
    ///
    /// # Panics
    /// As it does.
    #[must_use]
    pub fn convolution(self, x: Tensor<4>, weight: Tensor<4>, stride: usize) -> Tensor<4> {
        if self == Self::F32 {
            return convolution(x, weight, stride);
        }
        if Host::of(&x).is_some() {
            return self.rounded(convolution(self.rounded(x), self.rounded(weight), stride));
        }
        device::convolution::convolution(self, x, weight, stride)
    }

    /// [`attention`](crate::attention) in this precision: its scores and their gradient are f32, as in fused kernels.
    ///
    /// # Panics
    /// As it does.
    #[must_use]
    pub fn attention(
        self,
        inputs: Tensor<2>,
        heads: usize,
        sequences: &Sequences,
        seen: Seen,
        dropout: Option<Dropout>,
    ) -> Tensor<2> {
        self.rounded(attention_in(self, self.rounded(inputs), heads, sequences, seen, dropout))
    }

    /// `a` `b` for `[…, rows, k]` and `[…, k, columns]`, on any device.
    pub(crate) fn matmul<const D: usize>(self, a: Tensor<D>, b: Tensor<D>) -> Tensor<D> {
        let y = self.cast(a).matmul(self.cast(b));
        if self == Self::F32 { y } else { y.cast(FloatDType::F32) }
    }

    /// `x` in the format, on any device.
    pub(crate) fn cast<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self.format() {
            None => x,
            Some(format) => x.cast(format),
        }
    }

    /// What burn calls it, where it is not f32.
    fn format(self) -> Option<FloatDType> {
        match self {
            Self::F32 => None,
            Self::Bf16 => Some(FloatDType::BF16),
            Self::F16 => Some(FloatDType::F16),
        }
    }
}

#[derive(Debug, Clone)]
struct Rounded(Precision);

impl Operation<1> for Rounded {
    fn backward(self, gradient: Values, _: [bool; 1]) -> [Option<Values>; 1] {
        [Some(gradient.change(TASK, |_, numbers| self.0.round(numbers)))]
    }
}

/// The sign of a number's bits.
const SIGN: u32 = 1 << 31;

/// The bits of infinity; those of a NaN are above.
const INFINITY: u32 = 0x7f80_0000;

/// The nearest bf16.
#[inline(always)]
fn bf16(x: f32) -> f32 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) & 0xffff_0000;
    let nan = bits & !SIGN > INFINITY;
    f32::from_bits(if nan { bits | 0x0040_0000 } else { rounded })
}

/// The nearest f16.
#[inline(always)]
fn f16(x: f32) -> f32 {
    /// 2^-14, below which numbers are multiples of 2^-24.
    const LEAST_NORMAL: u32 = 0x3880_0000;
    /// 2^16, which no f16 reaches.
    const TOO_LARGE: u32 = 0x4780_0000;
    let sign = x.to_bits() & SIGN;
    let size = x.to_bits() & !SIGN;
    let normal = size.wrapping_add(0x0fff + ((size >> 13) & 1)) & !0x1fff;
    // Numbers from 1/2 to 1 are multiples of 2^-24.
    let small = ((f32::from_bits(size) + 0.75) - 0.75).to_bits();
    let rounded = if size < LEAST_NORMAL { small } else { normal };
    let bounded = if rounded >= TOO_LARGE { INFINITY } else { rounded };
    let kept = if size > INFINITY { size | 0x0040_0000 } else { bounded };
    f32::from_bits(kept | sign)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;
    use half::{bf16 as Bf16, f16 as F16};

    /// Every 16-bit number, what lies halfway to the next, and their neighbours.
    #[test]
    fn rounding_is_that_of_half() {
        for high in 0..=u16::MAX {
            for low in [0_u32, 1, 0x0fff, 0x1000, 0x1001, 0x7fff, 0x8000, 0x8001, 0xffff] {
                let x = f32::from_bits((u32::from(high) << 16) | low);
                let same = |a: f32, b: f32| a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan();
                assert!(same(bf16(x), Bf16::from_f32(x).to_f32()), "{x:e}: {:e}", bf16(x));
                assert!(same(f16(x), F16::from_f32(x).to_f32()), "{x:e}: {:e}", f16(x));
            }
        }
        for bits in 0..=u16::MAX {
            let x = F16::from_bits(bits).to_f32();
            assert!(f16(x).to_bits() == x.to_bits() || x.is_nan(), "{x:e}");
        }
    }

    /// The path of other devices, by burn's operations on the CPU, against the kernels.
    #[test]
    fn devices_round_as_the_kernels_do() {
        let device = Device::flex();
        let numbers = |shape: [usize; 4], salt: f32| {
            let length: usize = shape.iter().product();
            let numbers: Vec<f32> =
                (0..length).map(|i| libm::sinf(i as f32 * 0.37 + salt)).collect();
            Tensor::<1>::from_floats(numbers.as_slice(), &device).reshape(shape)
        };
        for precision in [Precision::Bf16, Precision::F16] {
            let far = if precision == Precision::Bf16 { 2e-2 } else { 3e-3 };
            let near = |kernels: Tensor<1>, plain: Tensor<1>| {
                let error: f32 = (kernels.clone() - plain).abs().max().into_scalar();
                let size: f32 = kernels.abs().max().into_scalar();
                assert!(error <= far * size, "{precision:?}: {error} of {size}");
            };
            let (x, weight) = (numbers([2, 5, 6, 3], 0.1), numbers([4, 3, 3, 3], 0.7));
            for stride in [1, 2] {
                let kernels = precision.convolution(x.clone(), weight.clone(), stride);
                let y =
                    device::convolution::convolution(precision, x.clone(), weight.clone(), stride);
                assert_eq!(kernels.dims(), y.dims());
                near(kernels.flatten(0, 3), y.flatten(0, 3));
            }
            let inputs = numbers([1, 1, 10, 12], 0.3).reshape([10, 12]);
            let sequences = Sequences::new([3, 5, 2]);
            let dropout = Some(Dropout { key: 1, draw: 2, p: 0.25, first: 0 });
            for seen in [Seen::All, Seen::Earlier] {
                let kernels = precision.attention(inputs.clone(), 2, &sequences, seen, dropout);
                let inputs = precision.rounded(inputs.clone());
                let plain =
                    device::attention::attention(precision, inputs, 2, &sequences, seen, dropout);
                near(kernels.flatten(0, 1), plain.flatten(0, 1));
            }
        }
    }
}
