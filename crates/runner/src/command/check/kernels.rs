//! The kernels that training runs, against the reference in double precision.

use activation::conformance::Check;
use activation::{Activation, Kind};
use actlab_kernels::with_initial_numbers;
use burn::Tensor;
use burn::tensor::{Device, TensorData};
use std::sync::Arc;

const ROWS: usize = 9;

/// Gates of a row, and values.
const HALF: usize = 36;

/// Numbers from −10 to 10 in sixteenths, which are exact in f32; `salt` makes others of the same place.
fn number(place: usize, salt: usize) -> f64 {
    let sixteenths = (place * place * salt + place * 37) % 321;
    sixteenths as f64 / 16.0 - 10.0
}

/// What a kernel should give at one input, or at gate and value.
struct Expected {
    at: Vec<f64>,
    value: f64,
    slopes: Vec<f64>,
}

impl Expected {
    /// Of the rows of inputs, row by row.
    fn of(activation: &Activation, inputs: &[f64]) -> Vec<Self> {
        match activation.kind() {
            Kind::Pointwise(f) => {
                let at = |x: &f64| {
                    let (value, slope) = f.eval(*x);
                    Self { at: vec![*x], value, slopes: vec![slope] }
                };
                inputs.iter().map(at).collect()
            }
            Kind::Gated(f) => {
                let row = |row: &[f64]| {
                    let (gates, values) = row.split_at(HALF);
                    let at = |(gate, value): (&f64, &f64)| {
                        let (y, by_gate, by_value) = f.eval(*gate, *value);
                        Self { at: vec![*gate, *value], value: y, slopes: vec![by_gate, by_value] }
                    };
                    gates.iter().zip(values).map(at).collect::<Vec<_>>()
                };
                inputs.chunks(2 * HALF).flat_map(row).collect()
            }
        }
    }
}

/// Values and gradients of the kernels of `activation` on `device`; what it learns is where training begins.
pub(super) fn check(activation: &Arc<Activation>, device: &Device) -> Vec<Check> {
    let gated = matches!(activation.kind(), Kind::Gated(_));
    let width = if gated { HALF } else { 2 * HALF };
    let numbers = |count: usize, salt: usize| -> Vec<f64> {
        (0..count).map(|place| number(place, salt)).collect()
    };
    let (inputs, upstream) = (numbers(ROWS * 2 * HALF, 19), numbers(ROWS * width, 5));
    let tensor = |numbers: &[f64], columns: usize| {
        let data = TensorData::new(numbers.to_vec(), [ROWS, columns]).convert::<f32>();
        Tensor::<2>::from_data(data, &device.clone().autodiff())
    };
    let x = tensor(&inputs, 2 * HALF).require_grad();
    let y = with_initial_numbers(activation, if gated { 2 } else { 1 }, x.clone());
    let gradients = (y.clone() * tensor(&upstream, width)).sum().backward();
    let read = |x: Tensor<2>| x.into_data().iter::<f64>().collect::<Vec<_>>();
    let values = read(y.inner());
    let slopes = x.grad(&gradients).map(read).unwrap_or_default();

    let expected = Expected::of(activation, &inputs);
    let by_value = expected.iter().enumerate().map(|(place, expected)| {
        near(&expected.at, values.get(place).copied(), expected.value, 1.0)
    });
    let by_input = expected.iter().enumerate().flat_map(|(place, expected)| {
        let (row, column) = (place / width, place % width);
        let slopes = &slopes;
        let upstream = upstream[place];
        expected.slopes.iter().enumerate().map(move |(part, slope)| {
            let found = slopes.get(row * 2 * HALF + part * HALF + column).copied();
            // Where the value is NaN, its slope is anything.
            if expected.value.is_nan() {
                return Ok(());
            }
            near(&expected.at, found, upstream * slope, upstream.abs().max(1.0))
        })
    });
    vec![
        Check { name: "kernels of training: values", outcome: by_value.collect() },
        Check { name: "kernels of training: gradients", outcome: by_input.collect() },
    ]
}

/// To 10⁻⁶ · `scale` absolute and 10⁻⁵ relative, as the other checks.
fn near(at: &[f64], found: Option<f64>, expected: f64, scale: f64) -> Result<(), String> {
    let found = found.ok_or("there are fewer numbers than inputs")?;
    let error = (found - expected).abs();
    // What is NaN, or infinite, must be so alike.
    #[expect(clippy::float_cmp, reason = "the same infinity is meant")]
    let is_same = found == expected || found.is_nan() && expected.is_nan();
    if !is_same && (error.is_nan() || error > 1e-6 * scale + 1e-5 * expected.abs()) {
        return Err(format!("at {at:?} is {found}, expected {expected} (error {error:.1e})"));
    }
    Ok(())
}
