//! Learned numbers against PyTorch, one for a site and one for each channel.

use actlab_kernels as kernels;
use burn::Tensor;
use burn::tensor::{Device, TensorData};
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct Oracle {
    learned: BTreeMap<String, Figures>,
}

/// Of shape `[rows, channels]`, but for the parameter.
#[derive(Deserialize)]
struct Figures {
    x: Vec<Vec<f32>>,
    parameter: Vec<f32>,
    gradient: Vec<Vec<f32>>,
    y: Vec<Vec<f32>>,
    by_x: Vec<Vec<f32>>,
    by_parameter: Vec<f32>,
}

fn tensor(rows: &[Vec<f32>], device: &Device) -> Tensor<2> {
    let shape = [rows.len(), rows[0].len()];
    Tensor::from_data(TensorData::new(rows.concat(), shape), device)
}

fn assert_close<const D: usize>(what: &str, actual: Tensor<D>, expected: &[f32]) {
    let actual: Vec<f32> = actual.into_data().iter::<f32>().collect();
    assert_eq!(actual.len(), expected.len(), "{what}");
    for (actual, expected) in actual.iter().zip(expected) {
        let error = (actual - expected).abs();
        assert!(error <= 1e-6 + 2e-6 * expected.abs(), "{what}: {actual}, not {expected}");
    }
}

#[test]
fn learned_numbers_agree_with_pytorch() {
    let oracle = include_str!("../../../activation-testing/oracle/pytorch.json");
    let oracle: Oracle = serde_json::from_str(oracle).unwrap();
    let device = Device::flex().autodiff();
    for (name, figures) in &oracle.learned {
        let text = match name.split(' ').next() {
            Some("prelu") => "if x <= 0 then slope * x else x where slope=0, learn=slope",
            _ => "x * sigmoid(beta * x) where beta=1, learn=beta",
        };
        let activation = activation_testing::activation(text);
        let x = tensor(&figures.x, &device).require_grad();
        let parameter = tensor(std::slice::from_ref(&figures.parameter), &device).require_grad();
        let y = kernels::learned(&activation, 1, x.clone(), parameter.clone());
        assert_close(name, y.clone().inner(), &figures.y.concat());
        let gradients = (y * tensor(&figures.gradient, &device)).sum().backward();
        assert_close(name, x.grad(&gradients).unwrap(), &figures.by_x.concat());
        let by_parameter = parameter.grad(&gradients).unwrap();
        assert_close(name, by_parameter, &figures.by_parameter);
    }
}
