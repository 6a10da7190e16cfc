//! Training steps on random data: what an activation costs on this machine.

use crate::data::{Batch, BatchInputs};
use crate::evaluate::cross_entropy;
use crate::model::{BertConfig, ModelConfig, ModelSize, Network, Pass, ResNetConfig, initialize};
use crate::optimizer::Optimizer;
use crate::stream::Stream;

use activation::Activation;
use burn::Tensor;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Int};
use record::OptimizerSpec;
use std::sync::Arc;
use std::time::Instant;

/// A model whose steps can be measured.
#[derive(Debug, Clone, Copy)]
pub struct BenchModel {
    /// Name.
    pub name: &'static str,
    /// Rows of a batch.
    pub batch: usize,
    /// Its shape.
    pub config: fn() -> ModelConfig,
}

/// Models whose steps can be measured.
pub const MODELS: &[BenchModel] = &[
    BenchModel { name: "resnet20", batch: 128, config: resnet20 },
    BenchModel { name: "bert-mini", batch: 32, config: bert_mini },
];

/// Tokens of a row.
const LENGTH: usize = 64;

/// Of the plain stochastic gradient descent in a step.
const LEARNING_RATE: f64 = 0.01;

/// Steps before those that count.
const WARMUP: usize = 3;

fn resnet20() -> ModelConfig {
    ModelConfig::Resnet(ResNetConfig {
        depth: 20,
        width: 16,
        channels: 3,
        height: 32,
        image_width: 32,
        classes: 10,
    })
}

fn bert_mini() -> ModelConfig {
    ModelConfig::Bert(BertConfig {
        vocabulary: 30_522,
        positions: 512,
        hidden: 256,
        layers: 4,
        heads: 4,
        feed_forward: 1024,
        classes: 2,
        dropout: 0.0,
    })
}

/// Training steps of one model with one activation.
#[derive(Debug)]
pub struct StepBench<'a> {
    /// The model.
    pub model: &'a ModelConfig,
    /// Its activation.
    pub activation: &'a Arc<dyn Activation>,
    /// Rows of a batch.
    pub batch: usize,
    /// Where to compute, without autodiff.
    pub device: &'a Device,
}

impl StepBench<'_> {
    /// Parameters and operations of the model.
    #[must_use]
    pub fn size(&self) -> ModelSize {
        self.model.size(&**self.activation)
    }

    /// Seconds of each of `rounds` steps: forward, backward and an update by plain stochastic gradient
    /// descent, on random images, or random tokens without padding; some steps go before them.
    #[must_use]
    pub fn seconds(&self, rounds: usize) -> Vec<f64> {
        let device = self.device.clone().autodiff();
        match self.model {
            ModelConfig::Resnet(config) => {
                let batch = images(config, self.batch, &device);
                steps(config.init(self.activation, &device), &batch, rounds)
            }
            ModelConfig::Bert(config) => {
                let batch = text(config, self.batch, &device);
                steps(config.init(self.activation, &device), &batch, rounds)
            }
        }
    }
}

fn labels(classes: usize, rows: usize, device: &Device) -> (Tensor<1, Int>, Vec<usize>) {
    let chosen: Vec<usize> = (0..rows).map(|row| row % classes.max(1)).collect();
    let numbers: Vec<i32> = chosen.iter().map(|class| *class as i32).collect();
    (Tensor::from_ints(numbers.as_slice(), device), chosen)
}

fn images(config: &ResNetConfig, rows: usize, device: &Device) -> Batch {
    let shape = [rows, config.channels, config.height, config.image_width];
    let numbers = Stream::new(1, "bench/images").normal(shape.iter().product(), 1.0);
    let images = Tensor::<1>::from_floats(numbers.as_slice(), device).reshape(shape);
    let (labels, classes) = labels(config.classes, rows, device);
    Batch { inputs: BatchInputs::Images(images), labels, classes }
}

fn text(config: &BertConfig, rows: usize, device: &Device) -> Batch {
    let mut order = Stream::new(1, "bench/text").permutation(config.vocabulary);
    order.truncate(rows * LENGTH);
    let tokens: Vec<i32> = order.iter().cycle().take(rows * LENGTH).map(|t| *t as i32).collect();
    let tokens = Tensor::<1, Int>::from_ints(tokens.as_slice(), device).reshape([rows, LENGTH]);
    let padding = tokens.clone().lower_elem(0);
    let (labels, classes) = labels(config.classes, rows, device);
    Batch { inputs: BatchInputs::Text { tokens, padding }, labels, classes }
}

fn steps<N: Network>(network: N, batch: &Batch, rounds: usize) -> Vec<f64> {
    let mut network = initialize(network, 1);
    let rule = OptimizerSpec::Sgd { momentum: 0.0, nesterov: false };
    let mut optimizer = Optimizer::new(rule, 0.0);
    let mut dropout = Stream::new(1, "bench/dropout");
    let mut seconds = Vec::with_capacity(rounds);
    for round in 0..WARMUP + rounds {
        let started = Instant::now();
        let logits = network.forward(batch, &mut Pass::training(&mut dropout));
        let loss = cross_entropy(logits, batch.labels.clone(), 0.0).mean();
        let gradients = loss.backward();
        // A training loop looks at the loss.
        let _ = loss.inner().into_scalar::<f32>();
        let gradients = GradientsParams::from_grads(gradients, &network);
        network = optimizer.step(LEARNING_RATE, 1.0, network, gradients);
        if round >= WARMUP {
            seconds.push(started.elapsed().as_secs_f64());
        }
    }
    seconds
}
