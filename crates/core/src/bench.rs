//! Training steps on random data: what an activation costs on this machine.

use crate::Error;
use crate::component;
use crate::data::{Answers, Batch, BatchInputs, Share, Targets};
use crate::model::{
    Head, InputShape, Interface, Layout, Model, ModelSize, Network, Pass, initialize, registration,
};
use crate::objective::cross_entropy;
use crate::optimizer::{Optimizer, Sgd};
use crate::sites::{Activations, Sites};
use crate::stream::{Draws, Stream};
use actlab_kernels::{Sequences, UpdateGroup, mean};
use burn::Tensor;
use burn::optim::GradientsParams;
use burn::tensor::Device;
use record::Component;
use std::time::Instant;

/// A model whose steps can be measured.
#[derive(Debug, Clone, Copy)]
pub struct BenchModel {
    /// Name.
    pub name: &'static str,
    /// Rows of a batch.
    pub batch: usize,
    /// What it takes and gives.
    pub interface: Interface,
    component: fn() -> Component,
}

impl BenchModel {
    /// The model with its parameters.
    #[must_use]
    pub fn component(&self) -> Component {
        (self.component)()
    }
}

/// Models whose steps can be measured.
pub const MODELS: &[BenchModel] = &[
    BenchModel {
        name: "resnet20",
        batch: 128,
        interface: Interface {
            inputs: InputShape::Images { channels: 3, height: 32, width: 32 },
            head: Head::Classes(10),
        },
        component: || Component::named("resnet").with("depth", 20),
    },
    BenchModel {
        name: "bert-mini",
        batch: 32,
        interface: Interface {
            inputs: InputShape::Tokens { vocabulary: 30_522 },
            head: Head::Classes(2),
        },
        component: || {
            let bert = Component::named("bert").with("size", "mini");
            bert.with("max_length", 512).with("dropout", 0.0)
        },
    },
];

/// Tokens of a row.
const LENGTH: usize = 64;

/// Of the plain stochastic gradient descent in a step.
const LEARNING_RATE: f64 = 0.01;

/// Steps before those that count.
const WARMUP: usize = 3;

/// Training steps of one model with one activation.
#[derive(Debug)]
pub struct StepBench<'a> {
    /// The model.
    pub model: &'a BenchModel,
    /// Its activations.
    pub activations: &'a Activations,
    /// Rows of a batch.
    pub batch: usize,
    /// Where to compute, without autodiff.
    pub device: &'a Device,
}

/// Times the steps of a registered model: seconds of each of so many rounds.
pub(crate) type Steps = fn(&StepBench<'_>, usize) -> Result<Vec<f64>, Error>;

impl StepBench<'_> {
    /// Parameters and operations of the model.
    ///
    /// # Errors
    /// If the model is not registered.
    pub fn size(&self) -> Result<ModelSize, Error> {
        let BenchModel { interface, .. } = self.model;
        Ok(Layout::new(&self.model.component(), interface, self.activations)?.size)
    }

    /// Seconds of each of `rounds` steps: forward, backward and an update by plain stochastic gradient
    /// descent, on random images, or random tokens without padding; some steps go before them.
    ///
    /// # Errors
    /// If the model is not registered.
    pub fn seconds(&self, rounds: usize) -> Result<Vec<f64>, Error> {
        (registration(&self.model.component())?.bench)(self, rounds)
    }
}

/// [`StepBench::seconds`] where the model is `M`.
pub(crate) fn steps_of_model<M: Model>(
    bench: &StepBench<'_>,
    rounds: usize,
) -> Result<Vec<f64>, Error> {
    let device = bench.device.clone().autodiff();
    let model: M = component::parameters(&bench.model.component())?;
    let interface = &bench.model.interface;
    let network = model.build(interface, &Sites::on(&device, bench.activations), &device)?;
    Ok(steps(network, &batch(interface, bench.batch, &device), rounds))
}

/// A batch of random examples.
fn batch(interface: &Interface, rows: usize, device: &Device) -> Batch {
    let inputs = match interface.inputs {
        InputShape::Images { channels, height, width } => {
            images([rows, channels, height, width], device)
        }
        InputShape::Features { width } => {
            BatchInputs::Features(images([rows, 1, 1, width], device).flattened())
        }
        InputShape::Tokens { vocabulary } => text(vocabulary, rows, device),
    };
    let (outputs, rows) = match (interface.head, interface.inputs) {
        (Head::Classes(classes), _) => (classes, rows),
        (Head::Tokens | Head::NextToken, InputShape::Tokens { vocabulary }) => {
            (vocabulary, rows * LENGTH)
        }
        // No model predicts tokens of something else.
        (Head::Tokens | Head::NextToken, _) => (1, rows),
    };
    let classes: Vec<usize> = (0..rows).map(|row| row % outputs.max(1)).collect();
    let numbers: Vec<i32> = classes.iter().map(|class| *class as i32).collect();
    let labels = Tensor::from_ints(numbers.as_slice(), device);
    let examples = vec![Share { rows: 1, units: 1.0 }; rows];
    Batch {
        inputs,
        targets: Targets { labels, positions: None, answers: Answers { classes, examples } },
    }
}

fn images(shape: [usize; 4], device: &Device) -> BatchInputs {
    let numbers = Stream::new(1, "bench/images").normal(shape.iter().product(), 1.0);
    BatchInputs::Images(Tensor::<1>::from_floats(numbers.as_slice(), device).reshape(shape))
}

fn text(vocabulary: usize, rows: usize, device: &Device) -> BatchInputs {
    let mut order = Stream::new(1, "bench/text").permutation(vocabulary);
    order.truncate(rows * LENGTH);
    let tokens: Vec<i32> = order.iter().cycle().take(rows * LENGTH).map(|t| *t as i32).collect();
    let sequences = Sequences::new(std::iter::repeat_n(LENGTH, rows));
    BatchInputs::Text { tokens: Tensor::from_ints(tokens.as_slice(), device), sequences }
}

fn steps<N: Network>(network: N, batch: &Batch, rounds: usize) -> Vec<f64> {
    let mut network = initialize(network, 1);
    let rule = Sgd { momentum: 0.0, nesterov: false };
    let mut optimizer = Optimizer::new(Box::new(rule), 0.0);
    let mut dropout = Draws::new(1, "bench/dropout");
    let mut seconds = Vec::with_capacity(rounds);
    for round in 0..WARMUP + rounds {
        let started = Instant::now();
        let group = UpdateGroup::begin(None);
        let logits = network.forward(batch, &mut Pass::training(&mut dropout));
        drop(group);
        let loss = mean(cross_entropy(logits, batch.targets.labels.clone(), 0.0));
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
