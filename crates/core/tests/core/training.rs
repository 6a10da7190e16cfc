//! What the training loop promises: the same bits every time, paired arms, honest endings.

use activation_testing::activation;
use actlab_core::data::{Catalogue, Dataset};
use actlab_core::{Checkpoint, Finished, Monitor, Stopped, Trainer, train};
use burn::tensor::Device;
use record::{
    ActivationSpec, Augmentation, BertSize, Budget, DataSpec, Divergence, Event, ModelSpec,
    OptimizerSpec, Outcome, RunSpec, ScheduleSpec, SiteStatistics, TrainingSpec, Trial,
};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::f64::consts::LN_10;
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

fn spec(name: &str, model: ModelSpec, data: &str, batch_size: usize, steps: u64) -> RunSpec {
    let f = activation(name);
    RunSpec {
        activation: ActivationSpec {
            name: f.registration().name.into(),
            parameters: f.parameters().clone(),
            label: f.label(),
            fingerprint: f.fingerprint(),
        },
        task: "test".into(),
        model,
        data: DataSpec {
            name: data.into(),
            augmentation: Augmentation::CropFlip,
            train_limit: Some(200),
        },
        data_sha256: String::new(),
        training: TrainingSpec {
            batch_size,
            budget: Budget::Steps(steps),
            optimizer: OptimizerSpec::Sgd { momentum: 0.9, nesterov: true },
            learning_rate: 0.05,
            weight_decay: 5e-4,
            schedule: ScheduleSpec::Cosine,
            warmup: 0.2,
            label_smoothing: 0.1,
            clip_norm: Some(1.0),
            evaluate_every: Some(3),
            patience: None,
            target_accuracy: Some(0.05),
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
    spec(name, ModelSpec::Resnet { depth: 8, width: 8 }, "fashion-mnist-mini", 32, 5)
}

pub(crate) fn bert(name: &str) -> RunSpec {
    let model = ModelSpec::Bert { size: BertSize::Tiny, max_length: 16, dropout: 0.1 };
    let mut spec = spec(name, model, "movie-reviews", 8, 4);
    spec.data.augmentation = Augmentation::None;
    spec
}

pub(crate) fn data(spec: &RunSpec) -> Dataset {
    let catalogue = Catalogue::new(PathBuf::from("nowhere"), BTreeMap::new());
    let mut data = catalogue.load(&spec.data, &spec.model).unwrap();
    data.validation = data.validation.take(60);
    data.test = data.test.take(40);
    data
}

fn run(spec: &RunSpec, threads: usize) -> (Finished, Vec<Event>) {
    let mut memory = Memory::default();
    let finished = run_with(spec, threads, &mut memory);
    (finished, memory.events)
}

pub(crate) fn run_with(spec: &RunSpec, threads: usize, memory: &mut Memory) -> Finished {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let activation = activation(&spec.activation.label);
    let data = data(spec);
    let device = Device::flex();
    let trainer = Trainer { spec, activation: &activation, data: &data, device: &device };
    pool.install(|| train(trainer, memory)).unwrap()
}

#[test]
fn the_same_spec_gives_the_same_bits_with_any_number_of_threads() {
    for spec in [resnet("gelu"), resnet("swiglu"), bert("silu"), bert("swiglu")] {
        let (first, first_events) = run(&spec, 1);
        let (second, second_events) = run(&spec, 2);
        assert_eq!(first_events, second_events);
        assert_eq!(first.summary, second.summary);
        assert_eq!(first.predictions, second.predictions);
        assert_eq!(first.outcome, Outcome::Completed);
        assert_eq!(first.predictions.len(), 40);
        let test = first.summary.test.unwrap();
        let correct = first.predictions.iter().filter(|said| said.label == said.predicted).count();
        assert_eq!(test.accuracy, correct as f64 / 40.0);
        assert_eq!(test.step, first.summary.best_validation.unwrap().step);
        assert!(first.summary.steps_to_target.is_some_and(|step| step >= 3));
    }
}

#[test]
fn a_run_goes_on_from_any_checkpoint_as_if_nothing_had_been() {
    // Beyond an epoch of seven batches, with the memory of both optimizers, and with losses to look at in the end.
    let mut resnet = resnet("swiglu");
    resnet.training.budget = Budget::Steps(9);
    let mut bert = bert("gelu");
    bert.training.optimizer = OptimizerSpec::Adamw { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };
    let mut blown_up = blown_up(9);
    blown_up.training.divergence = Some(Divergence { ratio: 1.0, window: 4 });
    for spec in [resnet, bert, blown_up] {
        let mut whole = Memory { keeps: true, ..Memory::default() };
        let undisturbed = run_with(&spec, 1, &mut whole);
        // Between steps, and between a step and its evaluation.
        let Budget::Steps(steps) = spec.training.budget else { panic!("steps") };
        assert!(whole.kept.len() as u64 > steps, "{}", whole.kept.len());
        for (events, bytes) in &whole.kept {
            let mut memory = Memory { from: Some(bytes.clone()), ..Memory::default() };
            let finished = run_with(&spec, 2, &mut memory);
            assert_eq!(memory.events, whole.events[*events..]);
            assert_eq!(finished.outcome, undisturbed.outcome);
            assert_eq!(finished.summary, undisturbed.summary);
            assert_eq!(finished.predictions, undisturbed.predictions);
            assert_eq!(finished.train_examples, undisturbed.train_examples);
        }
    }
}

/// An interrupt is noticed between steps and between the batches of an evaluation, on validation or test data: a
/// checkpoint is kept each time, and nothing of the evaluation is seen twice.
#[test]
fn an_interrupt_at_any_moment_keeps_a_checkpoint() {
    let mut spec = resnet("relu");
    spec.training.patience = Some(1);
    let (undisturbed, events) = run(&spec, 1);
    let (activation, data, device) = (activation("relu"), data(&spec), Device::flex());
    let trainer = Trainer { spec: &spec, activation: &activation, data: &data, device: &device };
    let mut moments = 0;
    loop {
        let mut memory = Memory { stop_at_question: Some(moments), ..Memory::default() };
        match train(trainer, &mut memory) {
            Err(Stopped::Interrupted) => {}
            Ok(_) => break,
            Err(error) => panic!("{error}"),
        }
        moments += 1;
        let Some((before, bytes)) = memory.kept.pop() else {
            assert!(memory.events.is_empty(), "nothing is lost but what was not yet begun");
            continue;
        };
        assert_eq!(before, memory.events.len(), "nothing is measured after the checkpoint");
        let mut rest = Memory { from: Some(bytes), ..Memory::default() };
        let finished = run_with(&spec, 1, &mut rest);
        assert_eq!([memory.events, rest.events].concat(), events);
        assert_eq!(finished.summary, undisturbed.summary);
        assert_eq!(finished.predictions, undisturbed.predictions);
    }
    // One before each step, one or more in each evaluation, and one or more on the test data.
    let steps = usize::try_from(undisturbed.summary.steps).unwrap();
    assert!(moments > steps + 3, "{moments}");
}

#[test]
fn a_longer_trial_goes_on_where_a_shorter_one_ended() {
    let mut spec = resnet("gelu");
    spec.training.budget = Budget::Steps(9);
    let trial = |steps| RunSpec { trial: Some(Trial { steps }), ..spec.clone() };
    let mut short = Memory::default();
    let first = run_with(&trial(3), 1, &mut short);
    assert_eq!((first.summary.steps, first.summary.test), (3, None));
    assert!(first.predictions.is_empty(), "a trial never sees the test split");
    let (_, bytes) = short.kept.pop().unwrap();
    let mut long = Memory { from: Some(bytes), ..Memory::default() };
    let second = run_with(&trial(6), 1, &mut long);
    let (whole, events) = run(&trial(6), 1);
    assert_eq!([short.events, long.events].concat(), events);
    assert_eq!(second.summary, whole.summary);
    // And both are the beginning of the run of which they are trials.
    let (_, full) = run(&spec, 1);
    assert_eq!(full[..events.len()], events[..]);
}

#[test]
fn patience_ends_a_run_that_gets_no_better() {
    // Nothing is learned at this rate, and nothing else changes: it has no running statistics.
    let mut spec = bert("relu");
    spec.training.budget = Budget::Steps(20);
    (spec.training.learning_rate, spec.training.warmup) = (1e-30, 0.0);
    spec.training.weight_decay = 0.0;
    spec.training.site_statistics.every = 100;
    spec.training.patience = Some(2);
    let (finished, _) = run(&spec, 1);
    let best = finished.summary.best_validation.unwrap().step;
    assert_eq!(finished.outcome, Outcome::Completed);
    assert_eq!(finished.summary.steps, best + 6, "two evaluations in vain");
    assert!(finished.summary.steps < 20);
    assert_eq!(finished.summary.test.unwrap().step, best);
    assert!(!finished.summary.sites.is_empty(), "the last evaluation measures sites");
}

#[test]
fn a_checkpoint_of_another_run_or_a_damaged_one_is_refused() {
    let mut memory = Memory { keeps: true, ..Memory::default() };
    run_with(&resnet("relu"), 1, &mut memory);
    let (_, bytes) = &memory.kept[0];
    for end in [0, 7, 100, bytes.len() - 1] {
        assert!(Checkpoint::from_bytes(&bytes[..end]).is_err(), "{end}");
    }
    let spec = resnet("swiglu");
    let (activation, data, device) = (activation("swiglu"), data(&spec), Device::flex());
    let trainer = Trainer { spec: &spec, activation: &activation, data: &data, device: &device };
    let mut other = Memory { from: Some(bytes.clone()), ..Memory::default() };
    let stopped = train(trainer, &mut other).unwrap_err();
    assert!(matches!(stopped, Stopped::Checkpoint(_)), "{stopped}");
}

#[test]
fn evaluations_come_at_their_steps_with_every_site() {
    let (finished, events) = run(&resnet("relu"), 1);
    let steps: Vec<u64> = events
        .iter()
        .filter_map(|event| match event {
            Event::Validation(evaluation) => Some(evaluation.step),
            _ => None,
        })
        .collect();
    assert_eq!(steps, [3, 5]);
    let sites: Vec<_> = finished.summary.sites.iter().map(|site| site.site.as_str()).collect();
    assert_eq!(
        sites,
        [
            "stem",
            "blocks.0.inner",
            "blocks.0.outer",
            "blocks.1.inner",
            "blocks.1.outer",
            "blocks.2.inner",
            "blocks.2.outer"
        ]
    );
    for site in &finished.summary.sites {
        // ReLU is saturated exactly where it gives zero.
        assert_eq!(site.zero, site.saturated);
        assert!(site.mean > 0.0 && site.variance > 0.0 && site.dead < 1.0);
    }
}

#[test]
fn a_run_that_blows_up_has_diverged_and_is_not_judged() {
    let mut spec = resnet("relu");
    spec.training.learning_rate = 1e30;
    spec.training.clip_norm = None;
    spec.training.warmup = 0.0;
    let (finished, _) = run(&spec, 1);
    let Outcome::Diverged { step, reason } = &finished.outcome else {
        panic!("{:?}", finished.outcome)
    };
    assert!(*step <= 3, "{step}: {reason}");
    assert_eq!(finished.summary.test, None);
    assert_eq!(finished.summary.best_validation, None);
    assert_eq!(finished.summary.steps_to_target, None);
    assert!(finished.predictions.is_empty());
}

/// Training losses, a number a step.
fn losses(events: &[Event]) -> Vec<f64> {
    let loss = |event: &Event| match event {
        Event::Train(step) => Some(step.loss),
        _ => None,
    };
    events.iter().filter_map(loss).collect()
}

fn mean(losses: &[f64]) -> f64 {
    losses.iter().sum::<f64>() / losses.len() as f64
}

/// A rate so large that the loss rises far beyond its first value, from where the network learns.
#[test]
fn a_run_that_learns_after_a_spike_is_completed() {
    let mut spec = resnet("relu");
    spec.seed = 2;
    spec.training.budget = Budget::Steps(150);
    spec.training.learning_rate = 1.6;
    (spec.training.warmup, spec.training.clip_norm) = (0.0, None);
    spec.training.evaluate_every = Some(50);
    for rule in [None, Some(Divergence { ratio: 1.0, window: 20 })] {
        spec.training.divergence = rule;
        let (finished, events) = run(&spec, 2);
        let losses = losses(&events);
        let spike = losses.windows(20).map(mean).fold(0.0, f64::max);
        assert!(spike > 1.1 * losses[0], "there is a spike: {spike} after {}", losses[0]);
        let end = mean(&losses[130..]);
        assert!(end < 0.95 * LN_10, "it learns: {end}");
        assert_eq!(finished.outcome, Outcome::Completed);
        let validation = finished.summary.best_validation.unwrap();
        assert!(validation.accuracy > 0.2, "chance is 0.1: {}", validation.accuracy);
        assert!(finished.summary.test.is_some());
        assert_eq!(finished.summary.test_examples, Some(40));
    }
}

/// A run whose loss stays finite and far above that of guessing.
fn blown_up(steps: u64) -> RunSpec {
    let mut spec = resnet("relu");
    spec.training.budget = Budget::Steps(steps);
    spec.training.learning_rate = 30.0;
    spec.training.schedule = ScheduleSpec::Constant;
    spec.training.warmup = 0.0;
    spec.training.evaluate_every = Some(7);
    spec
}

#[test]
fn a_loss_above_that_of_guessing_is_divergence_where_the_recipe_asks_and_at_the_end_alone() {
    let plain = blown_up(30);
    let (completed, events) = run(&plain, 2);
    assert_eq!(completed.outcome, Outcome::Completed);
    let losses = losses(&events);
    assert!(mean(&losses[25..]) > 2.0 * LN_10, "{losses:?}");

    let mut asked = plain.clone();
    asked.training.divergence = Some(Divergence { ratio: 2.0, window: 5 });
    let (diverged, same_events) = run(&asked, 2);
    let Outcome::Diverged { step: 30, reason } = &diverged.outcome else {
        panic!("{:?}", diverged.outcome)
    };
    let expected = format!("the last 5 steps averages {:.3}", mean(&losses[25..]));
    assert!(reason.contains(&expected), "{reason}, {expected}");
    // Nothing ends it before, and it is not judged.
    let until_the_test = events.len().min(same_events.len());
    assert_eq!(same_events[..until_the_test], events[..until_the_test]);
    assert_eq!(diverged.summary.steps, 30);
    assert_eq!((diverged.summary.test, diverged.summary.test_examples), (None, None));
    assert_eq!((diverged.summary.best_validation, diverged.predictions.len()), (None, 0));

    // A trial of tuning is the beginning of a run, and no end.
    asked.trial = Some(Trial { steps: 14 });
    assert_eq!(run(&asked, 2).0.outcome, Outcome::Completed);
}

#[test]
fn a_loss_that_is_not_finite_is_divergence_whatever_the_recipe_says() {
    for rule in [None, Some(Divergence { ratio: f64::MAX, window: 100_000 })] {
        let mut spec = blown_up(30);
        spec.training.learning_rate = 1e30;
        spec.training.clip_norm = None;
        spec.training.divergence = rule;
        let Outcome::Diverged { step, reason } = run(&spec, 2).0.outcome else {
            panic!("{rule:?}")
        };
        assert!(step < 30 && reason.contains("not finite"), "{step}: {reason}");
    }
}

#[test]
fn an_interrupt_stops_between_steps() {
    let spec = resnet("relu");
    let mut memory = Memory { stop_after: Some(2), ..Memory::default() };
    let (activation, data, device) = (activation("relu"), data(&spec), Device::flex());
    let trainer = Trainer { spec: &spec, activation: &activation, data: &data, device: &device };
    let stopped = train(trainer, &mut memory).unwrap_err();
    assert!(matches!(stopped, Stopped::Interrupted));
    assert_eq!(memory.events.len(), 2);
}

#[test]
fn recipes_that_make_no_sense_are_refused() {
    let change = |change: fn(&mut TrainingSpec)| {
        let mut spec = resnet("relu");
        change(&mut spec.training);
        let data = data(&spec);
        let error = actlab_core::check(&spec, &data).unwrap_err();
        error.key().unwrap_or_default().to_owned()
    };
    assert_eq!(change(|training| training.target_accuracy = Some(90.0)), "target_accuracy");
    assert_eq!(change(|training| training.weight_decay = 1e39), "weight_decay");
    assert_eq!(
        change(|training| {
            training.optimizer = OptimizerSpec::Adamw { beta1: 1.0, beta2: 0.9, epsilon: 1e-8 };
        }),
        "optimizer.beta1"
    );
    assert_eq!(
        change(|training| {
            training.optimizer = OptimizerSpec::Sgd { momentum: 0.0, nesterov: true };
        }),
        "optimizer.nesterov"
    );
    for (ratio, window, key) in [
        (0.99, 1, "divergence.ratio"),
        (f64::NAN, 1, "divergence.ratio"),
        (f64::INFINITY, 1, "divergence.ratio"),
        (1.0, 0, "divergence.window"),
        (1.0, 100_001, "divergence.window"),
    ] {
        let mut spec = resnet("relu");
        spec.training.divergence = Some(Divergence { ratio, window });
        let error = actlab_core::check(&spec, &data(&spec)).unwrap_err();
        assert_eq!(error.key(), Some(key), "{error}");
    }
    assert!(change(|training| training.batch_size = 0).contains("batch_size"));
    assert!(change(|training| training.learning_rate = f64::NAN).contains("learning_rate"));
    assert!(change(|training| training.warmup = 1.0).contains("warmup"));
    assert!(change(|training| training.budget = Budget::Epochs(0)).contains("budget"));
    assert!(change(|training| training.evaluate_every = Some(0)).contains("evaluate_every"));

    let catalogue = Catalogue::new(PathBuf::from("nowhere"), BTreeMap::new());
    let mut mixed = resnet("relu");
    mixed.data.name = "movie-reviews".into();
    let data = catalogue.load(&mixed.data, &mixed.model).unwrap();
    let error = actlab_core::model_size(&mixed.model, &data, &activation("relu")).unwrap_err();
    assert!(error.to_string().contains("a resnet takes images"), "{error}");
    let depth = ModelSpec::Resnet { depth: 10, width: 16 };
    let images = resnet("relu");
    let images = catalogue.load(&images.data, &images.model).unwrap();
    let error = actlab_core::model_size(&depth, &images, &activation("relu")).unwrap_err();
    assert!(error.to_string().contains("6n + 2"), "{error}");
}
