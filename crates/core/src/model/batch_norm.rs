//! Batch norm, and the statistics that it gathers in training.

use super::{Mode, Pass};
use activation::Activation;
use actlab_kernels::{self as kernels, BatchNormTraining};
use burn::Tensor;
use burn::module::{
    Content, Module, ModuleDisplay, ModuleDisplayDefault, ModuleMapper, ModuleVisitor, Param,
    ParamId,
};
use burn::tensor::Device;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Share of a batch in the running statistics, as in PyTorch.
const MOMENTUM: f64 = 0.1;

/// Batch norm over the last dimension (Ioffe and Szegedy 2015, arXiv:1502.03167).
#[derive(Module, Debug)]
pub(super) struct BatchNorm {
    gamma: Param<Tensor<1>>,
    beta: Param<Tensor<1>>,
    running_mean: Running,
    running_var: Running,
    epsilon: f64,
}

impl BatchNorm {
    /// One that changes nothing of what has mean 0 and variance 1.
    pub(super) fn new(channels: usize, epsilon: f64, device: &Device) -> Self {
        let vector = |number: f64| Tensor::<1>::full([channels], number, device);
        Self {
            gamma: Param::from_tensor(vector(1.0)),
            beta: Param::from_tensor(vector(0.0)),
            running_mean: Running::new(vector(0.0)),
            running_var: Running::new(vector(1.0)),
            epsilon,
        }
    }

    /// f(batch norm of `x` `[batch, height, width, channels]` + `residual`): in training by the batch, whose statistics it
    /// gathers; in evaluation by those.
    pub(super) fn apply(
        &self,
        x: Tensor<4>,
        residual: Option<Tensor<4>>,
        f: Option<&Arc<Activation>>,
        pass: &mut Pass<'_>,
    ) -> Tensor<4> {
        let (gamma, beta) = (self.gamma.val(), self.beta.val());
        let (running, epsilon) = ([&self.running_mean, &self.running_var], self.epsilon);
        let old = running.map(Running::value);
        if pass.mode() == Mode::Evaluation {
            return kernels::batch_norm_inference(x, [gamma, beta], old, epsilon, residual, f);
        }
        let BatchNormTraining { output, mean, variance } =
            kernels::batch_norm_training(x, gamma, beta, epsilon, residual, f, pass.next_replica());
        let new = kernels::running_averages(old, [mean, variance], MOMENTUM);
        running.into_iter().zip(new).for_each(|(running, new)| running.set(new));
        output
    }
}

/// A statistic that forward passes change: it is shared by clones of the module, as the values of parameters are until one
/// of them is trained.
///
/// burn's `RunningState` averages over threads: it divides each statistic at each step, also where there is one thread.
#[derive(Debug, Clone)]
struct Running {
    id: ParamId,
    value: Arc<Mutex<Tensor<1>>>,
}

impl Running {
    fn new(value: Tensor<1>) -> Self {
        Self::with_id(ParamId::new(), value)
    }

    fn with_id(id: ParamId, value: Tensor<1>) -> Self {
        Self { id, value: Arc::new(Mutex::new(value)) }
    }

    /// A tensor is replaced whole: one that another thread had when it panicked is a good one.
    fn lock(&self) -> MutexGuard<'_, Tensor<1>> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn value(&self) -> Tensor<1> {
        self.lock().clone()
    }

    fn set(&self, value: Tensor<1>) {
        *self.lock() = value;
    }

    fn change(self, change: impl FnOnce(Tensor<1>) -> Tensor<1>) -> Self {
        let new = change(self.value());
        self.set(new);
        self
    }
}

impl std::fmt::Display for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Running(id={})", self.id)
    }
}

impl ModuleDisplayDefault for Running {
    fn content(&self, content: Content) -> Option<Content> {
        content.add_formatted(&"Running").optional()
    }
}

impl ModuleDisplay for Running {}

impl Module for Running {
    fn visit<V: ModuleVisitor>(&self, visitor: &mut V) {
        visitor.visit_float(&Param::initialized(self.id, self.value()));
    }

    fn map<M: ModuleMapper>(self, mapper: &mut M) -> Self {
        let id = self.id;
        self.change(|value| {
            let (_, value, _) = mapper.map_float(Param::initialized(id, value)).consume();
            value.set_require_grad(false)
        })
    }

    fn to_device(self, device: &Device) -> Self {
        self.change(|value| value.to_device(device))
    }

    fn fork(self, device: &Device) -> Self {
        self.to_device(device)
    }

    fn collect_devices(&self, mut devices: Vec<Device>) -> Vec<Device> {
        let device = self.value().device();
        if !devices.contains(&device) {
            devices.push(device);
        }
        devices
    }

    fn materialize(self) -> Self {
        self
    }

    fn valid(&self) -> Self {
        Self::with_id(self.id, self.value().without_autodiff())
    }

    fn train(self) -> Self {
        Self::with_id(self.id, Tensor::from_inner(self.value()))
    }
}
