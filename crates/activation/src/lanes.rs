//! Formulas over SIMD registers: the interpretation behind fused CPU kernels.

use crate::Algebra;
use pulp::Simd;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// One register of f32 numbers of the instruction set `S`, which is chosen when the program runs
/// (AVX-512, AVX2 with FMA, NEON, or one number at a time).
///
/// Errors of the functions against the true value, checked by the tests below: `exp`, `exp_m1`,
/// `ln`, `ln_1p`, `tanh`, `erf`, `sigmoid` and `softplus` within 4 units in the last place wherever
/// the result is at least 2⁻¹²⁵ (a smaller one may become 0); `erfc` within 8; `sin`, `cos` and `atan` round the
/// double-precision result, one number at a time. They have the same bits on every instruction set: without a fused
/// multiply-add, it is emulated.
#[derive(Debug, Clone, Copy)]
pub struct Lanes<S: Simd> {
    simd: S,
    value: S::f32s,
}

impl<S: Simd> Lanes<S> {
    /// The numbers in `value`.
    #[inline(always)]
    pub fn new(simd: S, value: S::f32s) -> Self {
        Self { simd, value }
    }

    /// The numbers.
    #[inline(always)]
    pub fn into_inner(self) -> S::f32s {
        self.value
    }

    #[inline(always)]
    fn with(self, value: S::f32s) -> Self {
        Self { simd: self.simd, value }
    }

    #[inline(always)]
    fn bits(self) -> S::u32s {
        bytemuck::cast(self.value)
    }

    #[inline(always)]
    fn with_bits(self, bits: S::u32s) -> Self {
        self.with(bytemuck::cast(bits))
    }

    /// `yes` where the mask is set. (The library's own function for f32 is not always inlined.)
    #[inline(always)]
    fn choose(self, mask: S::m32s, yes: Self, no: Self) -> Self {
        self.with_bits(self.simd.select_u32s(mask, yes.bits(), no.bits()))
    }

    #[inline(always)]
    fn splat(self, number: f32) -> Self {
        self.with(self.simd.splat_f32s(number))
    }

    /// `self` from `low` to `high`, the bound beyond; NaN stays.
    #[inline(always)]
    fn clamp(self, low: f32, high: f32) -> Self {
        let (simd, low, high) = (self.simd, self.splat(low), self.splat(high));
        if S::F32_LANES == 1 {
            let below = simd.less_than_f32s(self.value, low.value);
            let above = simd.greater_than_f32s(self.value, high.value);
            return self.choose(above, high, self.choose(below, low, self));
        }
        // The instructions of every processor here give NaN where the second operand is NaN.
        self.with(simd.min_f32s(high.value, simd.max_f32s(low.value, self.value)))
    }

    /// The smaller of `self` and `high`; NaN stays.
    #[inline(always)]
    fn at_most(self, high: f32) -> Self {
        let (simd, high) = (self.simd, self.splat(high));
        if S::F32_LANES == 1 {
            return self.choose(simd.greater_than_f32s(self.value, high.value), high, self);
        }
        self.with(simd.min_f32s(high.value, self.value))
    }

    /// `self` where `x` > `threshold`, `otherwise` elsewhere and where `x` is NaN.
    #[inline(always)]
    fn where_above(self, x: Self, threshold: f32, otherwise: Self) -> Self {
        let above = self.simd.greater_than_f32s(x.value, x.splat(threshold).value);
        self.choose(above, self, otherwise)
    }

    /// Sum of `coefficients[i]` · `self`^i.
    #[inline(always)]
    fn polynomial<const N: usize>(self, coefficients: [f32; N]) -> Self {
        let mut sum = self.splat(coefficients[N - 1]);
        for i in (0..N - 1).rev() {
            sum = sum.mul_add(self, self.splat(coefficients[i]));
        }
        sum
    }

    #[inline(always)]
    fn absolute(self) -> Self {
        let rest = self.simd.splat_u32s(0x7fff_ffff);
        self.with_bits(self.simd.and_u32s(self.bits(), rest))
    }

    /// `self` ≥ 0 with the sign of `sign`.
    #[inline(always)]
    fn with_sign_of(self, sign: Self) -> Self {
        let bit = self.simd.and_u32s(sign.bits(), self.simd.splat_u32s(0x8000_0000));
        self.with_bits(self.simd.or_u32s(self.bits(), bit))
    }

    /// r with x = n ln 2 + r and |r| ≤ ½ ln 2, and 2^(n−1), for n from −125 to 128; for n = −126
    /// the power is 0.
    #[inline(always)]
    fn split_exponent(self) -> (Self, Self) {
        // Adding 1.5 · 2²³ rounds to whole numbers and leaves them in the low bits, here as the
        // exponent of 2^(n−1) is written: 126 more.
        const ROUND: f32 = 12_582_912.0 + 126.0;
        // ln 2 in two parts: the products of n with the first are exact.
        const LN_2_HIGH: f32 = 0.693_359_4;
        const LN_2_LOW: f32 = -2.121_944_4e-4;
        let shifted = self.mul_add(self.splat(std::f32::consts::LOG2_E), self.splat(ROUND));
        let n = shifted - self.splat(ROUND);
        let r = n.mul_add(self.splat(-LN_2_HIGH), self);
        let r = n.mul_add(self.splat(-LN_2_LOW), r);
        let simd = self.simd;
        let bits = simd.wrapping_dyn_shl_u32s(shifted.bits(), simd.splat_u32s(23));
        (r, self.with_bits(bits))
    }

    /// eˣ for x from −87.4, where it is 0, to 89, where it is infinite.
    #[inline(always)]
    fn exp_bounded(self) -> Self {
        // Twice e^r, as the power is half of its own: 2¹²⁸ alone is no f32.
        let (r, half) = self.split_exponent();
        let two = self.splat(2.0);
        let tail = r.polynomial(EXP_TAIL.map(|c| 2.0 * c));
        (r * r).mul_add(tail, r.mul_add(two, two)) * half
    }

    /// The numbers one by one, in double precision.
    #[inline(always)]
    fn each(mut self, f: fn(f64) -> f64) -> Self {
        for number in bytemuck::cast_slice_mut::<_, f32>(std::slice::from_mut(&mut self.value)) {
            #[expect(clippy::cast_possible_truncation, reason = "rounding to f32 is meant")]
            let rounded = f(f64::from(*number)) as f32;
            *number = rounded;
        }
        self
    }
}

/// erfc(x) · e^(x²) in t = 1/(1 + [`ERFC_SCALE`] x) for x from 0 to 9.35; a minimax fit, relative error 3e-8. It
/// gives 1 for t = 1.
pub(crate) const ERFC: [f32; 9] = [
    3.991_339e-5,
    0.233_791_41,
    0.243_659_03,
    0.164_792_25,
    0.343_759_03,
    -0.252_369_4,
    0.560_009_96,
    -0.373_176_25,
    0.079_494_04,
];

/// See [`ERFC`].
pub(crate) const ERFC_SCALE: f32 = 0.416;

/// (e^r − 1 − r) / r² for |r| ≤ ½ ln 2; a minimax fit, relative error 3e-9 of e^r.
const EXP_TAIL: [f32; 5] = [0.5, 0.166_665_18, 0.041_666_206, 0.008_368_888, 0.001_395_048_8];

macro_rules! arithmetic {
    ($($trait:ident, $method:ident, $simd:ident $(, $constant:ident)?;)*) => {$(
        impl<S: Simd> $trait for Lanes<S> {
            type Output = Self;

            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                self.with(self.simd.$simd(self.value, other.value))
            }
        }

        $(impl<S: Simd> $constant<f64> for Lanes<S> {
            type Output = Self;

            #[inline(always)]
            #[expect(clippy::cast_possible_truncation, reason = "constants of f32 formulas")]
            fn $method(self, other: f64) -> Self {
                self.$method(self.splat(other as f32))
            }
        })?
    )*};
}

/// Division by a constant is a product: registers divide slowly.
impl<S: Simd> Div<f64> for Lanes<S> {
    type Output = Self;

    #[inline(always)]
    fn div(self, other: f64) -> Self {
        self * (1.0 / other)
    }
}

arithmetic! {
    Add, add, add_f32s, Add;
    Sub, sub, sub_f32s, Sub;
    Mul, mul, mul_f32s, Mul;
    Div, div, div_f32s;
}

impl<S: Simd> Neg for Lanes<S> {
    type Output = Self;

    #[inline(always)]
    fn neg(self) -> Self {
        let sign = self.simd.splat_u32s(0x8000_0000);
        self.with_bits(self.simd.xor_u32s(self.bits(), sign))
    }
}

impl<S: Simd> Algebra for Lanes<S> {
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "constants of f32 formulas")]
    fn constant(&self, value: f64) -> Self {
        self.splat(value as f32)
    }

    /// One rounding, also where the instruction set does not have it.
    #[inline(always)]
    fn mul_add(self, factor: Self, term: Self) -> Self {
        self.with(self.simd.mul_add_f32s(self.value, factor.value, term.value))
    }

    #[inline(always)]
    fn exp(self) -> Self {
        self.clamp(-87.4, 89.0).exp_bounded()
    }

    #[inline(always)]
    fn exp_m1(self) -> Self {
        // Below the bound it is −1, and above it infinite.
        let (r, half) = self.clamp(-20.0, 89.0).split_exponent();
        let tail = (r * r).mul_add(r.polynomial(EXP_TAIL), r);
        let y = tail.mul_add(half, half - self.splat(0.5));
        y + y
    }

    #[inline(always)]
    fn ln(self) -> Self {
        let simd = self.simd;
        let smallest = self.splat(f32::MIN_POSITIVE);
        // Subnormal numbers are scaled by 2²³ first.
        let normal = simd.greater_than_or_equal_f32s(self.value, smallest.value);
        let scaled = self * self.splat(8_388_608.0);
        let x = self.choose(normal, self, scaled);
        let bias = self.choose(
            normal,
            self.splat(8_388_608.0 + 126.0),
            self.splat(8_388_608.0 + 126.0 + 23.0),
        );
        // x = m · 2^e with m from ½ to 1.
        let bits = x.bits();
        let exponent = simd.wrapping_dyn_shr_u32s(bits, simd.splat_u32s(23));
        let exponent = simd.or_u32s(exponent, simd.splat_u32s(0x4b00_0000));
        let e = self.with_bits(exponent) - bias;
        let mantissa = simd.and_u32s(bits, simd.splat_u32s(0x007f_ffff));
        let mantissa = simd.or_u32s(mantissa, simd.splat_u32s(0x3f00_0000));
        let m = self.with_bits(mantissa);
        // From ½ … 1 to √½ … √2, less one.
        let large = |yes: Self, no: Self| yes.where_above(m, std::f32::consts::FRAC_1_SQRT_2, no);
        let f = large(m, m + m) - self.splat(1.0);
        let e = large(e, e - self.splat(1.0));
        // (ln(1 + f) − f + f²/2) / f³; a minimax fit, relative error 6e-9 of ln(1 + f).
        let tail = f.polynomial([
            0.333_333_3,
            -0.250_008_2,
            0.200_012_27,
            -0.166_233_57,
            0.142_017_59,
            -0.131_601_83,
            0.127_615_75,
            -0.076_344_93,
        ]);
        let square = f * f;
        let y = e.mul_add(self.splat(-2.121_944_4e-4), square * f * tail);
        let y = square.mul_add(self.splat(-0.5), y);
        let y = e.mul_add(self.splat(0.693_359_4), y + f);
        // Infinity stays, 0 gives −∞, NaN and what is below 0 give NaN.
        let y = self.where_above(self, f32::MAX, y);
        let zero = simd.equal_f32s(self.value, self.splat(0.0).value);
        let y = self.choose(zero, self.splat(f32::NEG_INFINITY), y);
        let valid = simd.greater_than_or_equal_f32s(self.value, self.splat(0.0).value);
        self.choose(valid, y, self.splat(f32::NAN))
    }

    #[inline(always)]
    fn ln_1p(self) -> Self {
        // ln(1 + x) with what the sum 1 + x loses put back: ln(u) + (x − (u − 1)) / u.
        let one = self.splat(1.0);
        let u = one + self;
        let y = u.ln() + (self - (u - one)) / u;
        let y = self.where_above(self, f32::MAX, y);
        let edge = self.simd.equal_f32s(u.value, self.splat(0.0).value);
        let lowest = self.splat(f32::NEG_INFINITY);
        self.choose(edge, lowest, y)
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        self.with(self.simd.sqrt_f32s(self.value))
    }

    #[inline(always)]
    fn sin(self) -> Self {
        self.each(libm::sin)
    }

    #[inline(always)]
    fn cos(self) -> Self {
        self.each(libm::cos)
    }

    #[inline(always)]
    fn atan(self) -> Self {
        self.each(libm::atan)
    }

    #[inline(always)]
    fn tanh(self) -> Self {
        let x = self.absolute();
        // Beyond 10 the result is 1.
        let bounded = Algebra::min(x, 10.0);
        let two = self.splat(2.0);
        let large = self.splat(1.0) - two / ((bounded + bounded).exp_bounded() + self.splat(1.0));
        // (tanh(x)/x − 1)/x² below 0.625; a minimax fit, relative error 4e-9.
        let square = self * self;
        let tail = square.polynomial([
            -0.333_332_84,
            0.133_314_91,
            -0.053_743_497,
            0.020_650_586,
            -0.005_717_044_7,
        ]);
        let small = (self * square).mul_add(tail, self);
        large.with_sign_of(self).where_above(x, 0.625, small)
    }

    #[inline(always)]
    fn erf(self) -> Self {
        let x = self.absolute();
        // erf(x)/x − 1 in x² below 0.93; a minimax fit, error 2e-8.
        let tail = (self * self).polynomial([
            0.128_379_15,
            -0.376_124_95,
            0.112_818_025,
            -0.026_765_568,
            0.004_990_981,
            -0.000_597_689_6,
        ]);
        let small = self.mul_add(tail, self);
        // 1 − 1/q(x)⁸ above, with q ≈ erfc^(−1/8); a minimax fit of the result, error 2e-8, and
        // 1.5e-7 with rounding. It needs no bound: where q overflows, the result is 1.
        let q = x.polynomial([
            0.997_586_85,
            0.154_109_2,
            0.059_378_438,
            0.063_127_9,
            -0.026_380_813,
            0.015_297_991,
            -0.003_509_578_3,
            0.000_502_129_1,
        ]);
        let large = self.splat(1.0) - self.splat(1.0) / q.square().square().square();
        large.with_sign_of(self).where_above(x, 0.93, small)
    }

    #[inline(always)]
    fn erfc(self) -> Self {
        self.erfc_and_gaussian().0
    }

    #[inline(always)]
    fn erfc_and_gaussian(self) -> (Self, Self) {
        // Beyond the bound both are 0 (they would be below 2⁻¹²⁵), and its square is one that `exp_bounded` takes.
        let x = self.absolute().at_most(9.34);
        let square = x * x;
        // What the square has lost by rounding.
        let rest = x.mul_add(x, -square);
        let gaussian = (-square).exp_bounded();
        let gaussian = gaussian - gaussian * rest;
        let one = self.splat(1.0);
        let t = one / x.mul_add(self.splat(ERFC_SCALE), one);
        let positive = t.polynomial(ERFC) * gaussian;
        let negative = self.splat(2.0) - positive;
        (positive.where_above(self, 0.0, negative), gaussian)
    }

    #[inline(always)]
    fn sigmoid(self) -> Self {
        let one = self.splat(1.0);
        one / (one + (-self).exp())
    }

    #[inline(always)]
    fn softplus(self) -> Self {
        // ln_1p of a number from 0 to 1 needs none of its special cases but NaN, which x keeps.
        Algebra::max(self, 0.0) + (-self.absolute()).exp().ln_1p()
    }

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "constants of f32 formulas")]
    fn select(self, threshold: f64, at_most: Self, above: Self) -> Self {
        let threshold = self.splat(threshold as f32);
        let mask = self.simd.less_than_or_equal_f32s(self.value, threshold.value);
        self.choose(mask, at_most, above)
    }

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "constants of f32 formulas")]
    fn min(self, bound: f64) -> Self {
        let bound = bound as f32;
        self.splat(bound).where_above(self, bound, self)
    }
}

#[cfg(test)]
mod tests;
