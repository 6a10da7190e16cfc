//! Runs of seconds, and a monitor that remembers what it is told.

use activation_testing::activation;
use actlab_core::data::{Catalogue, Dataset};
use actlab_core::{Activations, Checkpoint, Finished, Monitor, Trainer, train};
use burn::tensor::Device;
use record::{
    ActivationSpec, Budget, CLASSIFICATION, Component, DataSpec, Event, Precision, RunSpec,
    SiteStatistics, TrainingSpec,
};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Remembers everything, and stops after some steps where it is told to.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) events: Vec<Event>,
    pub(crate) stop_after: Option<usize>,
    /// Whether the user wants to stop when that has been asked so many times.
    pub(crate) stop_at_question: Option<usize>,
    pub(crate) questions: Cell<usize>,
    /// Whether every checkpoint is kept.
    pub(crate) keeps: bool,
    /// Checkpoints, and how many events came before.
    pub(crate) kept: Vec<(usize, Vec<u8>)>,
    pub(crate) from: Option<Vec<u8>>,
}

impl Monitor for Memory {
    fn event(&mut self, event: &Event) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let mut event = event.clone();
        if let Event::Train(step) = &mut event {
            step.seconds = 0.0;
        }
        self.events.push(event);
        Ok(())
    }

    fn interrupted(&self) -> bool {
        let question = self.questions.replace(self.questions.get() + 1);
        self.stop_after.is_some_and(|steps| self.events.len() >= steps)
            || self.stop_at_question.is_some_and(|last| question >= last)
    }

    fn resume(&mut self) -> Option<Checkpoint> {
        self.from.take().map(|bytes| Checkpoint::from_bytes(&bytes).unwrap())
    }

    fn checkpoint_due(&self) -> bool {
        self.keeps
    }

    fn checkpoint(&mut self, step: u64, bytes: Vec<u8>) {
        assert_eq!(Checkpoint::from_bytes(&bytes).unwrap().step(), step);
        self.kept.push((self.events.len(), bytes));
    }
}

pub(crate) fn sgd(momentum: f64, nesterov: bool) -> Component {
    Component::named("sgd").with("momentum", momentum).with("nesterov", nesterov)
}

/// The activations of a spec.
pub(crate) fn activations(spec: &RunSpec) -> Activations {
    activation(&spec.activation.label).into()
}

pub(crate) fn spec(
    name: &str,
    model: Component,
    data: &str,
    batch_size: usize,
    steps: u64,
) -> RunSpec {
    let f = activation(name);
    RunSpec {
        activation: ActivationSpec {
            name: f.registration().name.clone(),
            parameters: f.parameters().clone(),
            label: f.label(),
            fingerprint: f.fingerprint(),
            sites: Vec::new(),
        },
        task: "test".into(),
        model,
        objective: Component::named(CLASSIFICATION),
        data: DataSpec {
            augmentation: Component::named("crop_flip"),
            train_limit: Some(200),
            ..DataSpec::named(data)
        },
        data_sha256: String::new(),
        weights_sha256: None,
        training: TrainingSpec {
            batch_size,
            budget: Budget::Steps(steps),
            optimizer: sgd(0.9, true),
            learning_rate: 0.05,
            weight_decay: 5e-4,
            schedule: Component::named("cosine"),
            warmup: 0.2,
            label_smoothing: 0.1,
            precision: Precision::F32,
            replicas: 1,
            sync_batch_norm: false,
            clip_norm: Some(1.0),
            evaluate_every: Some(3),
            patience: None,
            target_accuracy: Some(0.05),
            target: None,
            divergence: None,
            site_statistics: SiteStatistics { examples: 16, every: 1 },
        },
        seed: 3,
        device: "cpu".into(),
        numerics: actlab_core::NUMERICS,
        trial: None,
    }
}

pub(crate) fn resnet(name: &str) -> RunSpec {
    spec(
        name,
        Component::named("resnet").with("depth", 8).with("width", 8),
        "fashion-mnist-mini",
        32,
        5,
    )
}

pub(crate) fn mlp(name: &str, norm: &str) -> RunSpec {
    let widths = serde_json::json!([37, 20]);
    let model = Component::named("mlp").with("widths", widths).with("norm", norm);
    spec(name, model, "fashion-mnist-mini", 32, 5)
}

pub(crate) fn bert(name: &str) -> RunSpec {
    let model = Component::named("bert").with("size", "tiny").with("max_length", 16);
    let mut spec = spec(name, model, "movie-reviews", 8, 4);
    spec.data.augmentation = Component::named("none");
    spec
}

/// A small language model: of the next tokens, or of hidden ones.
pub(crate) fn language(name: &str, objective: &str) -> RunSpec {
    let mut spec = bert(name);
    spec.objective = Component::named(objective);
    if objective == "causal_lm" {
        let gpt = Component::named("gpt").with("layers", 1).with("width", 16).with("heads", 2);
        spec.model = gpt.with("max_length", 16).with("dropout", 0.1);
        spec.data.name = "king-james-bible".into();
    }
    spec.training.optimizer = Component::named("lion");
    spec.training.learning_rate = 1e-3;
    spec.training.target_accuracy = None;
    spec.training.target = Some(100.0);
    spec
}

pub(crate) fn data(spec: &RunSpec) -> Dataset {
    let catalogue = Catalogue::new(PathBuf::from("nowhere"), BTreeMap::new());
    let mut data = catalogue.load(&spec.data, &spec.model).unwrap();
    data.validation = data.validation.take(60);
    data.test = data.test.take(40);
    data
}

pub(crate) fn run(spec: &RunSpec, threads: usize) -> (Finished, Vec<Event>) {
    let mut memory = Memory::default();
    let finished = run_with(spec, threads, &mut memory);
    (finished, memory.events)
}

pub(crate) fn run_with(spec: &RunSpec, threads: usize, memory: &mut Memory) -> Finished {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let activations = activations(spec);
    let data = data(spec);
    let devices = [Device::flex()];
    let trainer = Trainer::new(spec, &activations, &data, &devices);
    pool.install(|| train(trainer, memory)).unwrap()
}

/// `spec` in bf16 and in f16.
pub(crate) fn halves(spec: &RunSpec) -> [RunSpec; 2] {
    [Precision::Bf16, Precision::F16].map(|precision| {
        let mut spec = spec.clone();
        spec.training.precision = precision;
        spec
    })
}

/// A run whose loss stays finite and far above that of guessing.
pub(crate) fn blown_up(steps: u64) -> RunSpec {
    let mut spec = resnet("relu");
    spec.training.budget = Budget::Steps(steps);
    spec.training.learning_rate = 30.0;
    spec.training.schedule = Component::named("constant");
    spec.training.warmup = 0.0;
    spec.training.evaluate_every = Some(7);
    spec
}

/// Training losses, a number a step.
pub(crate) fn losses(events: &[Event]) -> Vec<f64> {
    let loss = |event: &Event| match event {
        Event::Train(step) => Some(step.loss),
        _ => None,
    };
    events.iter().filter_map(loss).collect()
}
