//! Sums along a row whose order does not depend on the width of the registers.

use pulp::Simd;

/// Running sums of a row: number `i` is added to sum `i` mod 16. Sixteen numbers are the longest register; a shorter
/// one takes its part of them.
pub(crate) const LANES: usize = 16;

/// Running sums of a row, in registers: in the first `LANES / S::F32_LANES` of them.
pub(crate) struct Sums<S: Simd>(pub(crate) [S::f32s; LANES]);

impl<S: Simd> Sums<S> {
    /// Registers that hold the sums.
    pub(crate) const REGISTERS: usize = LANES / S::F32_LANES;

    #[inline(always)]
    pub(crate) fn new(simd: S) -> Self {
        Self([simd.splat_f32s(0.0); LANES])
    }

    /// Calls `add` with each of `count` registers of a row, and with the register of sums that it is added to. Zeros
    /// behind the end of a row change no sum, as none is ever −0.
    #[inline(always)]
    pub(crate) fn each(count: usize, mut add: impl FnMut(usize, usize)) {
        let whole = count / Self::REGISTERS * Self::REGISTERS;
        for from in (0..whole).step_by(Self::REGISTERS) {
            // Of a length that the compiler knows: the sums stay in registers.
            for sum in 0..Self::REGISTERS {
                add(from + sum, sum);
            }
        }
        for sum in 0..count - whole {
            add(whole + sum, sum);
        }
    }

    /// The register of sums that the register `at` of a row is added to.
    #[inline(always)]
    pub(crate) fn at(&mut self, at: usize) -> &mut S::f32s {
        &mut self.0[at % Self::REGISTERS]
    }

    /// The sum of all: of halves, of their halves, and so on.
    #[inline(always)]
    pub(crate) fn total(&self) -> f32 {
        let mut sums = [0.0; LANES];
        let lanes: &[f32] = bytemuck::cast_slice(&self.0[..Self::REGISTERS]);
        sums.copy_from_slice(lanes);
        let mut half = LANES;
        while half > 1 {
            half /= 2;
            for i in 0..half {
                sums[i] += sums[i + half];
            }
        }
        sums[0]
    }
}
