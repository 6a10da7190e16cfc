//! Statistics of one activation site.

use actlab_kernels::read_at_once;
use burn::Tensor;
use burn::tensor::{TensorData, Transaction};
use record::{Histogram, Site};

/// |f′(x)| below this passes no gradient worth the name.
const EPSILON: f32 = 1e-3;

/// Buckets of a histogram of inputs or outputs.
const BUCKETS: usize = 32;

/// Which site is measured, and when.
pub(crate) struct Place<'a> {
    pub(crate) step: u64,
    pub(crate) site: &'a str,
    pub(crate) depth: usize,
}

/// Statistics over a sample.
///
/// `inputs` are those of the nonlinearity (the gate's, where there is one), and `slopes` holds the derivative
/// by each input (one, or gate and value), all of the shape of `outputs`. A unit is dead where every slope stays below ε everywhere; an input is saturated where
/// every slope is below ε there. The last dimension holds the units.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub(crate) fn measure<const D: usize>(
    place: Place<'_>,
    inputs: &Tensor<D>,
    slopes: &[Tensor<D>],
    outputs: &Tensor<D>,
) -> Site {
    let shape = outputs.dims();
    let units = shape[D - 1];
    let tensors = Transaction::default().register(inputs.clone()).register(outputs.clone());
    let tensors = slopes.iter().fold(tensors, |all, slope| all.register(slope.clone()));
    let mut read = read_at_once(tensors).into_iter().map(numbers);
    let (inputs, outputs) = (read.next().unwrap_or_default(), read.next().unwrap_or_default());
    let slopes: Vec<Vec<f32>> = read.collect();

    let mut alive = vec![false; units];
    let (mut saturated, mut zero, mut sum) = (0_usize, 0_usize, 0.0);
    for (i, output) in outputs.iter().enumerate() {
        // NaN counts as passing: a diverging run is not a dying one.
        if slopes.iter().all(|slope| slope[i].abs() < EPSILON) {
            saturated += 1;
        } else {
            alive[i % units] = true;
        }
        zero += usize::from(*output == 0.0);
        sum += f64::from(*output);
    }
    let n = outputs.len().max(1) as f64;
    let mean = sum / n;
    let squares: f64 = outputs.iter().map(|output| (f64::from(*output) - mean).powi(2)).sum();
    let histogram =
        |values: &[f32]| Histogram::of(values.iter().map(|value| f64::from(*value)), BUCKETS);
    let dead = alive.iter().filter(|alive| !**alive).count();
    Site {
        step: place.step,
        site: place.site.to_owned(),
        depth: place.depth,
        units,
        dead: dead as f64 / units.max(1) as f64,
        zero: zero as f64 / n,
        mean,
        variance: squares / n,
        saturated: saturated as f64 / n,
        inputs: histogram(&inputs),
        outputs: histogram(&outputs),
    }
}

fn numbers(data: TensorData) -> Vec<f32> {
    data.convert::<f32>().try_into_vec().expect("they were converted")
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn dead_zero_and_saturated_are_told_apart() {
        let device = Device::flex();
        // Shape [batch 2, width 2, units 3]. Unit 0 passes no gradient, unit 1 does for one input,
        // unit 2 does for all.
        let outputs = Tensor::<3>::from_floats(
            [[[0.0, 1.0, 2.0], [0.0, 0.0, 2.0]], [[0.0, 0.0, 2.0], [0.0, 0.0, 4.0]]],
            &device,
        );
        let slopes = Tensor::<3>::from_floats(
            [[[0.0, 1.0, 1.0], [1e-4, 0.0, 1.0]], [[0.0, 0.0, -1.0], [0.0, 0.0, 1.0]]],
            &device,
        );
        let place = Place { step: 5, site: "here", depth: 2 };
        let site = measure(place, &outputs.clone().neg(), &[slopes], &outputs);
        let (inputs, histogram) = (site.inputs.unwrap(), site.outputs.unwrap());
        assert_eq!((inputs.min, inputs.max), (-4.0, 0.0));
        assert_eq!((histogram.min, histogram.max, histogram.sum), (0.0, 4.0, 11.0));
        assert_eq!((histogram.counts[0], histogram.counts[31]), (7, 1));
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
        let place = Place { step: 0, site: "gate", depth: 0 };
        let site = measure(place, &zeros, &[zeros.clone(), by_value], &zeros);
        assert!((site.dead - 0.5).abs() < 1e-12);
        assert!((site.saturated - 0.75).abs() < 1e-12);
    }
}
