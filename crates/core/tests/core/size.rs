//! Parameter counts, against the published ones and PyTorch's.

use activation_testing::activation;
use actlab_core::model::{
    BertConfig, Head, InputShape, Interface, Mlp, Model, ResNetConfig, named_parameters,
};
use actlab_core::sites::{Activations, Sites};
use burn::module::Module;
use burn::tensor::Device;

fn trained<M: Module>(module: &M) -> u64 {
    named_parameters(module)
        .into_iter()
        .filter(|(_, _, trained)| *trained)
        .map(|(_, shape, _)| shape.iter().product::<usize>() as u64)
        .sum()
}

fn resnet(depth: usize, channels: usize, size: usize) -> ResNetConfig {
    ResNetConfig { depth, width: 16, channels, height: size, image_width: size, classes: 10 }
}

fn bert(vocabulary: usize, positions: usize) -> BertConfig {
    BertConfig {
        vocabulary,
        positions,
        hidden: 256,
        layers: 4,
        heads: 4,
        feed_forward: 1024,
        head: Head::Classes(2),
        dropout: 0.1,
    }
}

/// The figures are PyTorch's for the same models (`scripts/pytorch_fixtures.py`). The papers say
/// 0.27 M for ResNet-20 (He et al. 2016, table 6) and 11.2 M for BERT-mini (Turc et al. 2019, table 1).
#[test]
fn counts_are_the_published_ones() {
    let device = Device::flex();
    for (config, name, parameters) in [
        (resnet(20, 3, 32), "relu", 269_722),
        (resnet(20, 3, 32), "swiglu", 270_990),
        (resnet(8, 3, 32), "gelu", 75_290),
        (resnet(8, 1, 28), "swiglu", 75_254),
    ] {
        let f = Activations::from(activation(name));
        let sites = || Sites::new(&f);
        assert_eq!(config.size(&sites()).parameters, parameters, "{config:?} {name}");
        assert_eq!(trained(&config.init(&sites(), &device)), parameters, "{config:?} {name}");
    }
    for (config, name, parameters) in [
        (bert(30_522, 512), "gelu", 11_171_074),
        (bert(30_522, 512), "swiglu", 11_164_226),
        (bert(8_000, 32), "relu", 5_282_562),
        (bert(8_000, 32), "swiglu", 5_275_714),
    ] {
        let f = Activations::from(activation(name));
        let sites = || Sites::new(&f);
        assert_eq!(config.size(&sites()).parameters, parameters, "{config:?} {name}");
        assert_eq!(trained(&config.init(&sites(), &device)), parameters, "{config:?} {name}");
    }
}

/// Multiply-adds of ResNet-20 on CIFAR are widely given as 40.6 M to 41 M; two operations each.
#[test]
fn operations_are_the_known_ones() {
    let relu = Activations::from(activation("relu"));
    let flops = resnet(20, 3, 32).size(&Sites::new(&relu)).flops;
    assert_eq!(flops, 2 * 40_551_040);
}

/// As near as whole units allow: one more or one less of a single layer would be further away.
#[test]
fn gated_layers_of_an_mlp_have_the_width_whose_parameters_are_nearest() {
    for norm in ["none", "batch", "layer"] {
        for (features, width, classes) in
            [(2, 64, 2), (2, 16, 2), (4, 16, 3), (10, 64, 2), (784, 64, 10)]
        {
            let interface = Interface {
                inputs: InputShape::Features { width: features },
                head: Head::Classes(classes),
            };
            let config: Mlp =
                serde_json::from_value(serde_json::json!({ "widths": [width], "norm": norm }))
                    .unwrap();
            let size = |name: &str| {
                let f = Activations::from(activation(name));
                config.size(&interface, &Sites::new(&f)).unwrap().parameters
            };
            let each = if norm == "none" { 1 } else { 3 };
            let unit = 2 * (features + each) + classes;
            let away = size("swiglu").abs_diff(size("relu"));
            assert!(2 * away <= unit as u64, "{norm} {features} {width}: {away} of {unit}");
        }
    }
}

#[test]
fn gated_models_are_matched_within_one_percent() {
    for depth in [8, 20, 32, 56] {
        let config = resnet(depth, 3, 32);
        let size = |name| config.size(&Sites::new(&activation(name).into()));
        let [plain, gated] = ["relu", "swiglu"].map(size);
        let ratio = gated.parameters as f64 / plain.parameters as f64;
        assert!((ratio - 1.0).abs() < 0.01, "resnet-{depth}: {ratio}");
    }
}
