//! Whether results may be NaN, at the cost of one multiply-add a register.

use pulp::Simd;

/// Looks for NaN in registers. It is asked once for many of them: a branch for each would cost more than some
/// formulas do.
///
/// A loop that does little else has `N` sums, so that none waits for the one before it.
#[derive(Clone, Copy)]
pub(crate) struct Watch<S: Simd, const N: usize = 1> {
    simd: S,
    /// Sums of 0 · x over what was seen: 0, or NaN where there was NaN or infinity.
    sums: [S::f32s; N],
}

impl<S: Simd, const N: usize> Watch<S, N> {
    #[inline(always)]
    pub(crate) fn new(simd: S) -> Self {
        Self { simd, sums: [simd.splat_f32s(0.0); N] }
    }

    #[inline(always)]
    pub(crate) fn look(&mut self, x: S::f32s) {
        self.look_as(0, x);
    }

    /// As [`Watch::look`], by the sum of this number, modulo their count.
    #[inline(always)]
    pub(crate) fn look_as(&mut self, number: usize, x: S::f32s) {
        let sum = &mut self.sums[number % N];
        *sum = self.simd.mul_add_f32s(x, self.simd.splat_f32s(0.0), *sum);
    }

    /// Whether it may have seen NaN.
    #[inline(always)]
    #[expect(clippy::disallowed_methods, reason = "in any order, the sum is NaN or is not")]
    pub(crate) fn is_alarmed(self) -> bool {
        let mut sum = self.sums[0];
        for other in &self.sums[1..] {
            sum = self.simd.add_f32s(sum, *other);
        }
        self.simd.reduce_sum_f32s(sum).is_nan()
    }
}
