//! Mean and variance of the channels of an image.

use super::{Repeated, period};
use ::activation::arch;
use pulp::{Simd, WithSimd};

/// Sums of one period as sums of each channel.
pub(super) fn fold(sums: &[f32], channels: usize) -> Vec<f64> {
    let mut folded = vec![0.0; channels];
    for row in sums.chunks_exact(channels.max(1)) {
        for (folded, sum) in folded.iter_mut().zip(row) {
            *folded += f64::from(*sum);
        }
    }
    folded
}

/// Mean, and sum of squares about it, of each channel of one image.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub(super) fn image_statistics(x: &[f32], channels: usize) -> [Vec<f64>; 2] {
    let period = period(channels);
    let count = (x.len() / channels.max(1)).max(1) as f64;
    let (mut sums, mut squares) = (vec![0.0; period], vec![0.0; period]);
    arch().dispatch(Moments { x, center: None, sums: &mut sums });
    let mean: Vec<f64> = fold(&sums, channels).into_iter().map(|sum| sum / count).collect();
    let center = Repeated::new(&mean);
    arch().dispatch(Moments { x, center: Some(&center.0), sums: &mut squares });
    [mean, fold(&squares, channels)]
}

/// Adds to `sums`, of one period, Σ x, or Σ (x − center)², over the places of each channel.
struct Moments<'a> {
    x: &'a [f32],
    center: Option<&'a [f32]>,
    sums: &'a mut [f32],
}

impl WithSimd for Moments<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { x, center, sums } = self;
        let period = sums.len();
        let lanes = S::F32_LANES;
        let whole = x.len() / period.max(1);
        for from in (0..period).step_by(4 * lanes) {
            let (sums, _) = S::as_mut_simd_f32s(&mut sums[from..from + 4 * lanes]);
            let mut sum = [sums[0], sums[1], sums[2], sums[3]];
            let registers = |row: usize| {
                let at = row * period + from;
                S::as_simd_f32s(&x[at..at + 4 * lanes]).0
            };
            if let Some(center) = center {
                let (center, _) = S::as_simd_f32s(&center[from..from + 4 * lanes]);
                for row in 0..whole {
                    let x = registers(row);
                    for i in 0..4 {
                        let centered = simd.sub_f32s(x[i], center[i]);
                        sum[i] = simd.mul_add_f32s(centered, centered, sum[i]);
                    }
                }
            } else {
                for row in 0..whole {
                    let x = registers(row);
                    for i in 0..4 {
                        sum[i] = simd.add_f32s(sum[i], x[i]);
                    }
                }
            }
            sums.copy_from_slice(&sum);
        }
        for (i, x) in x[whole * period..].iter().enumerate() {
            sums[i] += center.map_or(*x, |center| (x - center[i]) * (x - center[i]));
        }
    }
}
