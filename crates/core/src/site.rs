//! Statistics of one activation site.

use burn::Tensor;
use record::Site;

/// |f′(x)| below this passes no gradient worth the name.
const EPSILON: f32 = 1e-3;

/// Statistics over a sample.
///
/// `slopes` holds the derivative by each input (one, or gate and value), each of the shape of
/// `outputs`; units lie along `axis`. A unit is dead where every slope stays below ε everywhere; an
/// input is saturated where every slope is below ε there.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub(crate) fn measure<const D: usize>(
    step: u64,
    site: &str,
    depth: usize,
    slopes: &[Tensor<D>],
    outputs: &Tensor<D>,
    axis: usize,
) -> Site {
    let shape = outputs.dims();
    let units = shape[axis];
    let inner: usize = shape[axis + 1..].iter().product();
    let outputs = host(outputs);
    let slopes: Vec<Vec<f32>> = slopes.iter().map(host).collect();

    let mut alive = vec![false; units];
    let mut saturated = 0_usize;
    for i in 0..outputs.len() {
        // NaN counts as passing: a diverging run is not a dying one.
        if slopes.iter().all(|slope| slope[i].abs() < EPSILON) {
            saturated += 1;
        } else {
            alive[i / inner % units] = true;
        }
    }
    let n = outputs.len().max(1) as f64;
    let mean = outputs.iter().map(|y| f64::from(*y)).sum::<f64>() / n;
    let variance = outputs.iter().map(|y| (f64::from(*y) - mean).powi(2)).sum::<f64>() / n;
    let dead = alive.iter().filter(|alive| !**alive).count();
    let zero = outputs.iter().filter(|y| **y == 0.0).count();
    Site {
        step,
        site: site.to_owned(),
        depth,
        units,
        dead: dead as f64 / units.max(1) as f64,
        zero: zero as f64 / n,
        mean,
        variance,
        saturated: saturated as f64 / n,
    }
}

fn host<const D: usize>(tensor: &Tensor<D>) -> Vec<f32> {
    // A float tensor converted to f32 is a vector of f32.
    tensor.to_data().convert::<f32>().try_into_vec::<f32>().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn dead_zero_and_saturated_are_told_apart() {
        let device = Device::flex();
        // Shape [batch 2, units 3, width 2]. Unit 0 passes no gradient, unit 1 does for one input,
        // unit 2 does for all.
        let outputs = Tensor::<3>::from_floats(
            [[[0.0, 0.0], [1.0, 0.0], [2.0, 2.0]], [[0.0, 0.0], [0.0, 0.0], [2.0, 4.0]]],
            &device,
        );
        let slopes = Tensor::<3>::from_floats(
            [[[0.0, 1e-4], [1.0, 0.0], [1.0, 1.0]], [[0.0, 0.0], [0.0, 0.0], [-1.0, 1.0]]],
            &device,
        );
        let site = measure(5, "here", 2, &[slopes], &outputs, 1);
        assert_eq!((site.units, site.step, site.depth), (3, 5, 2));
        assert!((site.dead - 1.0 / 3.0).abs() < 1e-12);
        assert!((site.zero - 7.0 / 12.0).abs() < 1e-12);
        assert!((site.saturated - 7.0 / 12.0).abs() < 1e-12);
        assert!((site.mean - 11.0 / 12.0).abs() < 1e-12);
        let variance = (1.0 + 3.0 * 4.0 + 16.0) / 12.0 - (11.0_f64 / 12.0).powi(2);
        assert!((site.variance - variance).abs() < 1e-12);
    }

    #[test]
    fn a_gated_unit_lives_by_either_input() {
        let device = Device::flex();
        let zeros = Tensor::<2>::zeros([2, 2], &device);
        let by_value = Tensor::<2>::from_floats([[0.0, 0.0], [0.5, 0.0]], &device);
        let site = measure(0, "gate", 0, &[zeros.clone(), by_value], &zeros, 1);
        assert!((site.dead - 0.5).abs() < 1e-12);
        assert!((site.saturated - 0.75).abs() < 1e-12);
    }
}
