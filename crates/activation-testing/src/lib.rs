//! What tests share: assertions for an activation plugin, and other vector instructions.
//!
//! `oracle/pytorch.json` holds values and derivatives that PyTorch computed in double precision.

pub mod instructions;

use activation::{Activation, Kind};
use burn::Tensor;
use burn::tensor::Device;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Deserialize)]
struct Oracle {
    pointwise: BTreeMap<String, PointwiseFigures>,
    gated: BTreeMap<String, GatedFigures>,
}

#[derive(Deserialize)]
struct PointwiseFigures {
    x: Vec<f64>,
    y: Vec<f64>,
    dy_dx: Vec<f64>,
}

#[derive(Deserialize)]
struct GatedFigures {
    gate: Vec<f64>,
    value: Vec<f64>,
    y: Vec<f64>,
    dy_dgate: Vec<f64>,
    dy_dvalue: Vec<f64>,
}

/// The activation that `text` names.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn activation(text: &str) -> Arc<Activation> {
    let built = text
        .parse()
        .map_err(|error| format!("{error}"))
        .and_then(|request| activation::build(&request).map_err(|error| error.to_string()));
    built.unwrap_or_else(|error| panic!("{error}"))
}

/// Asserts every conformance check, on the CPU.
///
/// # Panics
/// If one fails; the message lists all that do.
pub fn assert_conforms(text: &str) {
    let failed: Vec<_> = activation::conformance::check(&activation(text), &Device::flex())
        .into_iter()
        .filter_map(|check| Some(format!("{}: {}", check.name, check.outcome.err()?)))
        .collect();
    assert!(failed.is_empty(), "`{text}` fails\n{}", failed.join("\n"));
}

/// Asserts the figures of PyTorch that the oracle holds under `key`: double precision to 10⁻¹², the
/// tensor path to 10⁻⁶ absolute and 10⁻⁵ relative.
///
/// # Panics
/// If the oracle has no such key, or a figure differs.
pub fn assert_agrees_with_pytorch(text: &str, key: &str) {
    let oracle: Oracle = serde_json::from_str(include_str!("../oracle/pytorch.json"))
        .unwrap_or_else(|error| panic!("the oracle is damaged: {error}"));
    let activation = activation(text);
    match activation.kind() {
        Kind::Pointwise(f) => {
            let figures =
                oracle.pointwise.get(key).unwrap_or_else(|| panic!("no oracle for {key}"));
            let y = numbers(f.forward(tensor(&figures.x)));
            let slope = numbers(f.derivative(tensor(&figures.x)));
            for (i, x) in figures.x.iter().enumerate() {
                let at = format!("{text} at {x}");
                let reference = f.eval(*x);
                assert_close(&at, reference.0, figures.y[i], 1e-12, 1e-12);
                assert_close(&at, reference.1, figures.dy_dx[i], 1e-12, 1e-12);
                assert_close(&at, y[i], figures.y[i], 1e-6, 1e-5);
                assert_close(&at, slope[i], figures.dy_dx[i], 1e-6, 1e-5);
            }
        }
        Kind::Gated(f) => {
            let figures = oracle.gated.get(key).unwrap_or_else(|| panic!("no oracle for {key}"));
            let y = numbers(f.forward(tensor(&figures.gate), tensor(&figures.value)));
            for (i, y) in y.into_iter().enumerate() {
                let (gate, value) = (figures.gate[i], figures.value[i]);
                let at = format!("{text} at ({gate}, {value})");
                let reference = f.eval(gate, value);
                assert_close(&at, reference.0, figures.y[i], 1e-12, 1e-12);
                assert_close(&at, reference.1, figures.dy_dgate[i], 1e-12, 1e-12);
                assert_close(&at, reference.2, figures.dy_dvalue[i], 1e-12, 1e-12);
                assert_close(&at, y, figures.y[i], 1e-6, 1e-5);
            }
        }
    }
}

/// Asserts |actual − expected| ≤ absolute + relative · |expected|.
///
/// # Panics
/// If they are further apart.
pub fn assert_close(what: &str, actual: f64, expected: f64, absolute: f64, relative: f64) {
    let error = (actual - expected).abs();
    assert!(
        error <= absolute + relative * expected.abs(),
        "{what}: {actual} is not {expected} (error {error:.2e})"
    );
}

/// Asserts f(x) and f′(x) of a pointwise activation at points `(x, f(x), f′(x))`, in double precision and in the
/// single precision of the CPU's kernels: to the relative tolerance `double` and `single`. An infinity and a zero must be
/// met exactly, with their signs (that of a slope of 0 does not matter).
///
/// # Panics
/// If a figure differs.
pub fn assert_values(text: &str, points: &[(f64, f64, f64)], double: f64, single: f64) {
    let activation = activation(text);
    let f = activation.nonlinearity();
    for &(x, y, slope) in points {
        let (actual_y, actual_slope) = f.eval(x);
        assert_figure(&format!("{text} at {x}"), actual_y, y, double);
        assert_figure(&format!("slope of {text} at {x}"), actual_slope + 0.0, slope, double);
        let ([actual_y], [actual_slope]) = in_kernels(f, x);
        assert_figure(&format!("{text} at {x} in f32"), actual_y, y, single);
        assert_figure(&format!("slope of {text} at {x} in f32"), actual_slope + 0.0, slope, single);
    }
}

/// f(x) and f′(x) of a pointwise activation over a tensor, by autodiff.
///
/// # Panics
/// If it is gated, or no gradient reaches the input.
#[must_use]
pub fn autodiff(text: &str, xs: &[f64]) -> [Vec<f64>; 2] {
    let activation = activation(text);
    let Kind::Pointwise(f) = activation.kind() else { panic!("{text} is gated") };
    let x = Tensor::from_inner(tensor(xs)).require_grad();
    let y = f.forward(x.clone());
    let gradients = y.clone().sum().backward();
    let gradient = x.grad(&gradients).unwrap_or_else(|| panic!("no gradient of {text}"));
    [numbers(y.inner()), numbers(gradient)]
}

/// Asserts |actual − expected| ≤ relative · |expected|, the same sign of zeros, and the same infinity.
///
/// # Panics
/// If it is not so.
pub fn assert_figure(what: &str, actual: f64, expected: f64, relative: f64) {
    let exact = expected == 0.0 || expected.is_infinite();
    let right = if exact {
        actual == expected && actual.is_sign_negative() == expected.is_sign_negative()
    } else {
        (actual - expected).abs() <= relative * expected.abs()
    };
    assert!(right, "{what} is {actual:e}, not {expected:e}");
}

/// f(x) and f′(x) in the single precision of the CPU's kernels.
#[expect(clippy::cast_possible_truncation, reason = "the kernels are single precision")]
fn in_kernels(f: &dyn activation::Pointwise, x: f64) -> ([f64; 1], [f64; 1]) {
    let (mut y, mut slope) = ([0.0], [1.0]);
    f.forward_slice(&[x as f32], &mut y);
    f.backward_slice(&[x as f32], &mut slope);
    (y.map(f64::from), slope.map(f64::from))
}

#[expect(clippy::cast_possible_truncation, reason = "the tensor path is single precision")]
fn tensor(values: &[f64]) -> Tensor<1> {
    let values: Vec<f32> = values.iter().map(|x| *x as f32).collect();
    Tensor::from_floats(values.as_slice(), &Device::flex())
}

fn numbers(tensor: Tensor<1>) -> Vec<f64> {
    let values: Vec<f32> = tensor
        .into_data()
        .try_into_vec::<f32>()
        .unwrap_or_else(|error| panic!("not a float tensor: {error:?}"));
    values.into_iter().map(f64::from).collect()
}
