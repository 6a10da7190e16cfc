//! The gradient of a batch whose parts are trained side by side, each by a replica of the network.

use super::{CPU, Trainer};
use crate::Error;
use crate::data::Batch;
use crate::model::{Network, Pass};
use crate::objective::cross_entropy;
use crate::parameters::{TensorVisitor, for_each_tensor};
use crate::stream::Draws;
use actlab_kernels::{Abandoned, Replica, UpdateGroup, mean};
use burn::Tensor;
use burn::module::ParamId;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Int};
use rayon::{ThreadPool, ThreadPoolBuilder};
use record::TrainingSpec;
use std::any::Any;

/// Where the parts of a batch are trained.
pub(super) struct Replicas<'a> {
    /// A device for each.
    devices: Vec<&'a Device>,
    /// Threads of each but the first, which computes on those of its caller, where running statistics and updates are made.
    /// They stay the same from step to step: a GPU's memory belongs to threads.
    pools: Vec<ThreadPool>,
    share_statistics: bool,
}

/// What a step does with a batch, and with each part of it.
#[derive(Clone, Copy)]
pub(super) struct PassOptions<'a> {
    pub(super) training: &'a TrainingSpec,
    /// What the loss is multiplied with before the backward pass.
    pub(super) loss_scale: f64,
    /// Whether it is asked what the network predicts.
    pub(super) predicts: bool,
}

/// What a batch, or a part of it, gives.
pub(super) struct Passed {
    /// Mean over the batch, of which a part has its share.
    pub(super) loss: Tensor<1>,
    /// The output that is predicted of each row.
    pub(super) predicted: Option<Tensor<2, Int>>,
    pub(super) gradients: GradientsParams,
}

/// A part of a batch, as it is trained.
struct Part<'a> {
    batch: &'a Batch,
    /// Rows of it over those of the batch.
    share: f64,
    replica: Option<Replica>,
}

impl<'a> Replicas<'a> {
    /// Those of a run, on its devices in turns.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub(super) fn new(trainer: Trainer<'a>) -> Result<Self, Error> {
        let Trainer { spec, devices, start_thread, .. } = trainer;
        let training = &spec.training;
        let count = training.replicas.max(1);
        let on_cpu = spec.device == CPU;
        let threads = if on_cpu { (rayon::current_num_threads() / count).max(1) } else { 1 };
        let builder = || ThreadPoolBuilder::new().num_threads(threads).start_handler(start_thread);
        let pool = |_| builder().build();
        let pools = (1..count).map(pool).collect::<Result<_, _>>();
        Ok(Self {
            devices: devices.iter().cycle().take(count).collect(),
            pools: pools.map_err(|error| Error::spec("training.replicas", error.to_string()))?,
            share_statistics: training.sync_batch_norm,
        })
    }

    /// How many of so many examples each replica takes, and where; as many as there are examples, at most.
    pub(super) fn sizes(&self, examples: usize) -> Vec<(usize, Device)> {
        let count = self.devices.len().min(examples);
        let size = |rank| (rank + 1) * examples / count - rank * examples / count;
        let devices = self.devices.iter().take(count).enumerate();
        devices.map(|(rank, device)| (size(rank), (*device).clone().autodiff())).collect()
    }

    /// The loss of `batch` and its gradient by the parameters of `network`; `draws` are where dropout comes from.
    ///
    /// A part's loss is weighted by its rows, so that losses and gradients are sums over the parts, made in their order.
    pub(super) fn pass<N: Network>(
        &self,
        network: &N,
        batch: &[Batch],
        draws: &mut Draws,
        options: PassOptions<'_>,
    ) -> Passed {
        if let [batch] = batch {
            return Part { batch, share: 1.0, replica: None }.pass(network, draws, options);
        }
        let rows = |batch: &Batch| batch.targets.answers.classes.len();
        let all: usize = batch.iter().map(rows).sum();
        let group = if self.share_statistics { batch.len() } else { 0 };
        let mut group = Replica::group(group).into_iter();
        #[expect(clippy::cast_precision_loss, reason = "batches are small")]
        let part = |batch| {
            let share = rows(batch) as f64 / all as f64;
            Part { batch, share, replica: group.next() }
        };
        self.side_by_side(network, batch.iter().map(part).collect(), draws, options)
    }

    /// The sum over several parts.
    fn side_by_side<N: Network>(
        &self,
        network: &N,
        parts: Vec<Part<'_>>,
        draws: &mut Draws,
        options: PassOptions<'_>,
    ) -> Passed {
        let mut before = 0;
        let mut parts: Vec<(Part<'_>, Draws)> = parts
            .into_iter()
            .map(|part| {
                let draws = draws.of_part(before);
                before += part.batch.targets.answers.examples.len();
                (part, draws)
            })
            .collect();
        let others = parts.split_off(1);
        // Each has parameters of its own on its tape; the numbers of a device are shared. A thread copies them itself, since
        // what another one has made is waited for by each kernel that reads it.
        let weights: Vec<_> = others.iter().map(|_| network.valid()).collect();
        let results = std::thread::scope(|scope| {
            let started: Vec<_> = others
                .into_iter()
                .zip(weights)
                .zip(self.devices.iter().skip(1).zip(&self.pools))
                .map(|(((part, mut draws), weights), (device, pool))| {
                    let pass = move || {
                        let network: N = weights.to_device(device).train();
                        part.pass(&network, &mut draws, options)
                    };
                    scope.spawn(move || pool.install(pass))
                })
                .collect();
            // Every part makes as many draws.
            let (first, _) = parts.pop().expect("a batch has a part");
            let first = std::panic::AssertUnwindSafe(|| first.pass(network, draws, options));
            let first = std::panic::catch_unwind(first);
            let others = started.into_iter().map(std::thread::ScopedJoinHandle::join);
            std::iter::once(first).chain(others).collect::<Vec<_>>()
        });
        let (passed, mut faults): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
        // The fault itself, rather than that another waited for it.
        faults.sort_by_key(|fault| matches!(fault, Err(fault) if fault.is::<Abandoned>()));
        if let Some(Err(fault)) = faults.into_iter().next() {
            std::panic::resume_unwind(fault as Box<dyn Any + Send>);
        }
        let passed = passed.into_iter().filter_map(Result::ok);
        let sum = |one: Passed, other: Passed| one.plus(other, network);
        passed.reduce(sum).expect("each part has passed")
    }
}

impl Part<'_> {
    fn pass<N: Network>(self, network: &N, draws: &mut Draws, options: PassOptions<'_>) -> Passed {
        let PassOptions { training, loss_scale, predicts } = options;
        let mut pass =
            Pass::training(draws).with_precision(training.precision).with_replica(self.replica);
        // A batch norm looks at the averages that it gathers in the next pass only.
        let group = UpdateGroup::begin(None);
        let logits = network.forward(self.batch, &mut pass);
        drop(group);
        let labels = self.batch.targets.labels.clone();
        let loss = mean(cross_entropy(logits.clone(), labels, training.label_smoothing));
        let times = |loss: Tensor<1>, factor| if factor == 1.0 { loss } else { loss * factor };
        let loss = times(loss, self.share);
        let gradients = times(loss.clone(), loss_scale).backward();
        Passed {
            loss: loss.inner(),
            predicted: predicts.then(|| logits.inner().argmax(1)),
            gradients: GradientsParams::from_grads(gradients, network),
        }
    }
}

impl Passed {
    /// With what a part behind it gives; gradients are by the parameters of `network`.
    fn plus<N: Network>(mut self, mut other: Self, network: &N) -> Self {
        let device = self.loss.device();
        self.loss = self.loss + other.loss.to_device(&device);
        self.predicted = self
            .predicted
            .zip(other.predicted)
            .map(|(first, second)| Tensor::cat(vec![first, second.to_device(&device)], 0));
        let mut sum = Sum { gradients: &mut self.gradients, others: &mut other.gradients };
        for_each_tensor(network, &mut sum);
        self
    }
}

/// Adds the gradients of others.
struct Sum<'a> {
    gradients: &'a mut GradientsParams,
    others: &'a mut GradientsParams,
}

impl TensorVisitor for Sum<'_> {
    fn tensor<const D: usize>(&mut self, _: &str, id: ParamId, _: Tensor<D>) {
        let Some(other) = self.others.remove::<D>(id) else { return };
        let sum = match self.gradients.remove::<D>(id) {
            Some(own) => {
                let device = own.device();
                own + other.to_device(&device)
            }
            None => other,
        };
        self.gradients.register(id, sum);
    }
}
