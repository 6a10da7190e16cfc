//! The kernels that training runs, against the reference in double precision.

use activation::conformance::Check;
use activation::{Activation, Kind};
use actlab_kernels::activation as kernel;
use burn::Tensor;
use burn::tensor::{Device, TensorData};
use std::sync::Arc;

const ROWS: i32 = 9;

/// Gates of a row, and its values.
const HALF: i32 = 36;

/// Values and gradients of the kernels of `activation` on `device`.
pub(super) fn check(activation: &Arc<Activation>, device: &Device) -> Vec<Check> {
    // From −10 to 10, in several rows, so that gates and values lie apart; exact in f32.
    let at = |row: i32, column: i32| f64::from((column * 37 + row * 61) % 321 - 160) / 16.0;
    let rows: Vec<Vec<f64>> =
        (0..ROWS).map(|row| (0..2 * HALF).map(|column| at(row, column)).collect()).collect();
    let half = rows[0].len() / 2;
    let numbers: Vec<f64> = rows.iter().flatten().copied().collect();
    let numbers = TensorData::new(numbers, [rows.len(), 2 * half]).convert::<f32>();
    let x = Tensor::<2>::from_data(numbers, &device.clone().autodiff()).require_grad();
    let y = kernel(activation, x.clone());
    let gradients = y.clone().sum().backward();
    let read = |x: Tensor<2>| x.into_data().iter::<f64>().collect::<Vec<_>>();
    let values = read(y.inner());
    let slopes = x.grad(&gradients).map(read).unwrap_or_default();

    let mut expected_values = Vec::new();
    let mut expected_slopes = Vec::new();
    for row in &rows {
        match activation.kind() {
            Kind::Pointwise(f) => {
                let (values, slopes): (Vec<_>, Vec<_>) = row.iter().map(|x| f.eval(*x)).unzip();
                expected_values.extend(values);
                expected_slopes.extend(slopes);
            }
            Kind::Gated(f) => {
                let (gates, others) = row.split_at(half);
                let at = |(gate, other): (&f64, &f64)| f.eval(*gate, *other);
                let figures: Vec<_> = gates.iter().zip(others).map(at).collect();
                expected_values.extend(figures.iter().map(|(value, _, _)| *value));
                expected_slopes.extend(figures.iter().map(|(_, by_gate, _)| *by_gate));
                expected_slopes.extend(figures.iter().map(|(_, _, by_value)| *by_value));
            }
        }
    }
    vec![
        Check { name: "kernels of training: values", outcome: near(&values, &expected_values) },
        Check { name: "kernels of training: gradients", outcome: near(&slopes, &expected_slopes) },
    ]
}

/// To 10⁻⁶ absolute and 10⁻⁵ relative, as the other checks.
fn near(found: &[f64], expected: &[f64]) -> Result<(), String> {
    if found.len() != expected.len() {
        return Err(format!("{} numbers, expected {}", found.len(), expected.len()));
    }
    let wrong = found.iter().zip(expected).find(|(found, expected)| {
        let error = (*found - *expected).abs();
        error.is_nan() || error > 1e-6 + 1e-5 * expected.abs()
    });
    match wrong {
        Some((found, expected)) => Err(format!("{found}, expected {expected}")),
        None => Ok(()),
    }
}
