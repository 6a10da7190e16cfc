//! Random numbers by counter.

use pulp::Simd;

/// Philox4x32-10 (Salmon et al. 2011, Parallel random numbers: as easy as 1, 2, 3): four numbers of each lane's counter.
///
/// A number depends on its counter and the key alone, whatever was drawn before it.
#[inline(always)]
pub(crate) fn philox<S: Simd>(
    simd: S,
    [mut a, mut b, mut c, mut d]: [S::u32s; 4],
    [mut first, mut second]: [u32; 2],
) -> [S::u32s; 4] {
    const ROUNDS: usize = 10;
    let multipliers = [simd.splat_u32s(0xd251_1f53), simd.splat_u32s(0xcd9e_8d57)];
    for _ in 0..ROUNDS {
        let (low_a, high_a) = simd.widening_mul_u32s(a, multipliers[0]);
        let (low_c, high_c) = simd.widening_mul_u32s(c, multipliers[1]);
        a = simd.xor_u32s(simd.xor_u32s(high_c, b), simd.splat_u32s(first));
        c = simd.xor_u32s(simd.xor_u32s(high_a, d), simd.splat_u32s(second));
        (b, d) = (low_c, low_a);
        first = first.wrapping_add(0x9e37_79b9);
        second = second.wrapping_add(0xbb67_ae85);
    }
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;
    use pulp::{Arch, WithSimd};

    /// The published known answers, `tests/kat_vectors` of Random123: counter, key, numbers.
    const KNOWN: [([u32; 4], [u32; 2], [u32; 4]); 3] = [
        ([0; 4], [0; 2], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
        ([u32::MAX; 4], [u32::MAX; 2], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
        (
            [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
            [0xa409_3822, 0x299f_31d0],
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
        ),
    ];

    /// Whether every lane gives the known answers.
    struct Lanes;

    impl WithSimd for Lanes {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            for (counter, key, expected) in KNOWN {
                let numbers = philox(simd, counter.map(|word| simd.splat_u32s(word)), key);
                for (numbers, expected) in numbers.iter().zip(expected) {
                    let lanes: &[u32] = bytemuck::cast_slice(std::slice::from_ref(numbers));
                    assert!(lanes.iter().all(|lane| *lane == expected), "{lanes:x?}");
                }
            }
        }
    }

    #[test]
    fn the_published_answers_come_out() {
        Arch::Scalar.dispatch(Lanes);
        Arch::new().dispatch(Lanes);
        #[cfg(target_arch = "x86_64")]
        if let Some(simd) = pulp::x86::V3::try_new() {
            Arch::V3(simd).dispatch(Lanes);
        }
    }
}
