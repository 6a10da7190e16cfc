//! What the training loop promises: the same bits every time, paired arms, honest endings.

use crate::replicas::in_parts;
use activation_testing::activation;
use actlab_core::data::{Catalogue, Dataset};
use actlab_core::{
    Activations, Checkpoint, Finished, Layout, Monitor, Stopped, Trainer, first_steps, train,
};
use burn::tensor::Device;
use record::{
    ActivationSpec, Budget, CLASSIFICATION, Component, DataSpec, Divergence, Event, Outcome,
    Precision, Predictions, RunSpec, SiteStatistics, TrainingSpec, Trial,
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

fn sgd(momentum: f64, nesterov: bool) -> Component {
    Component::named("sgd").with("momentum", momentum).with("nesterov", nesterov)
}

/// The activations of a spec.
pub(crate) fn activations(spec: &RunSpec) -> Activations {
    activation(&spec.activation.label).into()
}

fn spec(name: &str, model: Component, data: &str, batch_size: usize, steps: u64) -> RunSpec {
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

#[test]
fn a_step_reads_from_its_device_once() {
    let texts = ["causal_lm", "masked_lm"].map(|objective| language("gelu", objective));
    let others = [resnet("silu"), mlp("gelu", "batch"), bert("swiglu"), bert("prelu")];
    for mut spec in others.into_iter().chain(texts) {
        spec.training.clip_norm = None;
        let (activations, data, devices) = (activations(&spec), data(&spec), [Device::flex()]);
        let trainer = Trainer::new(&spec, &activations, &data, &devices);
        let steps = first_steps(trainer, 3).unwrap();
        assert_eq!((steps.measured.len(), steps.reads), (3, 3), "{}", spec.label());
    }
}

#[test]
fn the_same_spec_gives_the_same_bits_with_any_number_of_threads() {
    let learned = [resnet("prelu"), bert("x * sigmoid(b * x) where b=1, learn=b")];
    let fixed = [resnet("gelu"), resnet("swiglu"), bert("silu"), bert("swiglu")];
    let half = halves(&bert("gelu"));
    let parts = [in_parts(resnet("gelu"), 2), in_parts(bert("prelu"), 3)];
    for spec in fixed.into_iter().chain(learned).chain(half).chain(parts) {
        let (first, first_events) = run(&spec, 1);
        let (second, second_events) = run(&spec, 2);
        assert_eq!(first_events, second_events);
        assert_eq!(first.summary, second.summary);
        assert_eq!(first.predictions, second.predictions);
        assert_eq!(first.outcome, Outcome::Completed);
        assert_eq!(first.predictions.len(), 40);
        let test = first.summary.test.unwrap();
        let Predictions::Classes(predictions) = first.predictions else { panic!("classes") };
        let correct = predictions.iter().filter(|said| said.label == said.predicted).count();
        assert_eq!(test.metrics, [("accuracy", correct as f64 / 40.0)].into());
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
    bert.training.optimizer = Component::named("adamw");
    let mut blown_up = blown_up(9);
    blown_up.training.divergence = Some(Divergence { ratio: 1.0, window: 4 });
    let [causal, masked] = ["causal_lm", "masked_lm"].map(|name| language("silu", name));
    let prelu = self::resnet("prelu");
    let mut xielu = language("xielu", "causal_lm");
    xielu.training.optimizer = Component::named("muon");
    let [bf16, _] = halves(&resnet);
    // Gradients are too large for the first scale: some steps, also before an evaluation, are skipped.
    let [_, mut f16] = halves(&self::resnet("3 * max(x, 0)"));
    f16.training.evaluate_every = Some(1);
    let parts = in_parts(self::resnet("silu"), 3);
    for spec in [resnet, bert, blown_up, causal, masked, prelu, xielu, bf16, f16, parts] {
        let mut whole = Memory { keeps: true, ..Memory::default() };
        let undisturbed = run_with(&spec, 1, &mut whole);
        // Between steps, and between a step and its evaluation.
        let Budget::Steps(steps) = spec.training.budget else { panic!("steps") };
        assert!(whole.kept.len() as u64 > steps, "{}", whole.kept.len());
        let skipped = undisturbed.summary.skipped_steps;
        assert!(skipped.is_none_or(|steps| steps > 0), "{skipped:?}");
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

/// `spec` in bf16 and in f16.
fn halves(spec: &RunSpec) -> [RunSpec; 2] {
    [Precision::Bf16, Precision::F16].map(|precision| {
        let mut spec = spec.clone();
        spec.training.precision = precision;
        spec
    })
}

/// The scale of the loss at each step.
fn loss_scales(events: &[Event]) -> Vec<f64> {
    let scale = |event: &Event| match event {
        Event::Train(step) => step.metrics.get("loss_scale"),
        _ => None,
    };
    events.iter().filter_map(scale).collect()
}

#[test]
fn products_in_half_precision_train_alike() {
    let mut single = resnet("gelu");
    single.training.budget = Budget::Steps(12);
    let (finished, events) = run(&single, 1);
    assert_eq!((finished.summary.skipped_steps, loss_scales(&events)), (None, vec![]));
    let last = *losses(&events).last().unwrap();
    for spec in halves(&single) {
        let precision = spec.training.precision;
        let (finished, events) = run(&spec, 1);
        assert_eq!(finished.outcome, Outcome::Completed);
        let half = losses(&events);
        assert_ne!(half.last(), Some(&last), "{precision}");
        assert!(
            (half.last().unwrap() / last - 1.0).abs() < 0.1,
            "{precision}: {half:?}, not {last}"
        );
        if precision == Precision::Bf16 {
            assert_eq!((finished.summary.skipped_steps, loss_scales(&events)), (None, vec![]));
            continue;
        }
        let scales = loss_scales(&events);
        assert_eq!((scales.len(), scales[0]), (12, 65_536.0));
        let halved = scales.windows(2).filter(|pair| pair[1] == pair[0] / 2.0).count() as u64;
        let skipped = finished.summary.skipped_steps.unwrap();
        assert!(skipped.abs_diff(halved) <= 1, "{skipped} skipped, {scales:?}");
    }
}

/// A gradient that is not finite however small the scale is divergence, and not a step to skip.
#[test]
fn a_gradient_that_no_scale_makes_finite_is_divergence() {
    let [_, mut spec] = halves(&resnet("relu"));
    spec.training.budget = Budget::Steps(40);
    spec.training.learning_rate = 1e30;
    let (finished, events) = run(&spec, 1);
    assert!(matches!(finished.outcome, Outcome::Diverged { .. }), "{:?}", finished.outcome);
    assert!(losses(&events).len() < 40);
}

/// What activations had learned at each evaluation.
fn learned(events: &[Event]) -> Vec<record::Learned> {
    let of_event = |event: &Event| match event {
        Event::Learned(learned) => Some(learned.clone()),
        _ => None,
    };
    events.iter().filter_map(of_event).collect()
}

#[test]
fn learned_numbers_are_recorded_at_every_evaluation() {
    let (finished, events) = run(&resnet("prelu"), 1);
    let recorded = learned(&events);
    let steps: Vec<u64> = recorded.iter().map(|learned| learned.step).collect();
    assert_eq!(steps, [3, 5]);
    let last = &recorded[1].numbers;
    assert_eq!(finished.summary.learned, *last);
    // The stem, and two sites in each of three blocks.
    assert_eq!(last.len(), 7);
    for number in last {
        assert_eq!(number.number, "slope");
        assert!(number.values >= 8 && number.min < number.mean && number.mean < number.max);
        assert!((number.mean - 0.25).abs() > 1e-6 && (number.mean - 0.25).abs() < 0.2);
    }
    let sites: Vec<&str> = last.iter().map(|number| number.site.as_str()).collect();
    assert_eq!(sites[..3], ["stem", "blocks.0.inner", "blocks.0.outer"]);
}

#[test]
fn sites_share_a_learned_number_where_the_activation_says_so() {
    let text = "leaky_relu(slope=0.25,learn=slope,per=network)";
    for spec in [resnet(text), bert(text)] {
        let (_, events) = run(&spec, 1);
        let (_, again) = run(&spec, 2);
        assert_eq!(learned(&events), learned(&again));
        let last = learned(&events).pop().unwrap().numbers;
        let [number] = last.as_slice() else { panic!("one number: {last:?}") };
        assert!(number.site.ends_with(" and others") && number.values == 1, "{number:?}");
        assert!((number.mean - 0.25).abs() > 1e-6, "{number:?}");
    }
}

#[test]
fn rates_of_learned_numbers_are_their_own() {
    let slopes = |text: &str| {
        let (_, events) = run(&resnet(text), 1);
        let last = learned(&events).pop().unwrap().numbers;
        last.iter().map(|number| number.mean).collect::<Vec<_>>()
    };
    let held = slopes("leaky_relu(slope=0.25,learn=slope,learning_rate_factor=0)");
    assert!(held.iter().all(|slope| *slope == 0.25), "{held:?}");
    let usual = slopes("leaky_relu(slope=0.25,learn=slope)");
    let slow = slopes("leaky_relu(slope=0.25,learn=slope,learning_rate_factor=0.1)");
    let moved = |slopes: &[f64]| slopes.iter().map(|slope| (slope - 0.25).abs()).sum::<f64>();
    assert!(moved(&slow) < 0.3 * moved(&usual), "{slow:?} {usual:?}");
    // Weight decay of 0.5 · 0.05 a step shrinks them.
    let decayed = |text: &str| {
        let mut spec = resnet(text);
        spec.training.weight_decay = 0.5;
        let (_, events) = run(&spec, 1);
        learned(&events).pop().unwrap().numbers.iter().map(|number| number.mean).sum::<f64>()
    };
    let decays = decayed("leaky_relu(slope=0.25,learn=slope,weight_decay=true)");
    assert!(decays < decayed("leaky_relu(slope=0.25,learn=slope)") - 0.05);
}

#[test]
fn a_formula_as_text_trains_to_the_bits_of_the_compiled_one() {
    for (compiled, text) in [
        (resnet("silu(beta=1.702)"), resnet("x * sigmoid(1.702 * x)")),
        (bert("swiglu"), bert("silu(gate) * value")),
    ] {
        let ((compiled, a), (text, b)) = (run(&compiled, 1), run(&text, 2));
        assert_eq!(compiled.predictions, text.predictions);
        assert_eq!(losses(&a), losses(&b));
        assert_eq!(compiled.summary.sites, text.summary.sites);
    }
}

/// An interrupt is noticed between steps and between the batches of an evaluation, on validation or test data: a
/// checkpoint is kept each time, and nothing of the evaluation is seen twice.
#[test]
fn an_interrupt_at_any_moment_keeps_a_checkpoint() {
    let mut spec = resnet("relu");
    spec.training.patience = Some(1);
    let (undisturbed, events) = run(&spec, 1);
    let (activations, data, devices) = (activations(&spec), data(&spec), [Device::flex()]);
    let trainer = Trainer::new(&spec, &activations, &data, &devices);
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
    assert_eq!(finished.summary.test.as_ref().unwrap().step, best);
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
    let (activations, data, devices) = (activations(&spec), data(&spec), [Device::flex()]);
    let trainer = Trainer::new(&spec, &activations, &data, &devices);
    let mut other = Memory { from: Some(bytes.clone()), ..Memory::default() };
    let stopped = train(trainer, &mut other).unwrap_err();
    assert!(matches!(stopped, Stopped::Checkpoint(_)), "{stopped}");
}

#[test]
fn a_language_model_is_judged_by_its_own_metric_and_lower_is_better() {
    for (objective, name, guessing) in
        [("causal_lm", "bits_per_byte", 8.0), ("masked_lm", "loss", libm::log(8000.0))]
    {
        let mut spec = language("gelu", objective);
        spec.training.budget = Budget::Steps(40);
        spec.training.evaluate_every = Some(10);
        spec.training.target = Some(0.99 * guessing);
        let (finished, events) = run(&spec, 2);
        let metric = finished.summary.metric();
        assert_eq!((metric.name.as_str(), metric.direction), (name, record::Direction::Lower));
        assert!((metric.guessing - guessing).abs() < 1e-9, "{metric:?}");
        let values: Vec<f64> = events
            .iter()
            .filter_map(|event| match event {
                Event::Validation(evaluation) => Some(evaluation.value(&metric)),
                _ => None,
            })
            .collect();
        let best = finished.summary.best_validation.unwrap().value(&metric);
        assert_eq!(best, values.iter().copied().fold(f64::INFINITY, f64::min), "{objective}");
        assert!(best < values[0] && best < guessing, "{objective} learns: {values:?}");
        let test = finished.summary.test.unwrap();
        let mean =
            finished.predictions.scores().iter().sum::<f64>() / finished.predictions.len() as f64;
        assert!((mean / test.value(&metric) - 1.0).abs() < 1e-9, "{mean} {test:?}");
        assert!(finished.summary.steps_to_target.is_some(), "{values:?}");
    }
}

#[test]
fn an_objective_that_the_data_does_not_fit_is_refused() {
    let mut spec = bert("relu");
    spec.objective = Component::named("causal_lm");
    let error = Layout::of(&spec, &data(&spec), &activations(&spec)).unwrap_err();
    assert!(error.to_string().contains("needs one long text"), "{error}");
    let mut spec = language("relu", "causal_lm");
    spec.objective = Component::named("classification");
    let error = Layout::of(&spec, &data(&spec), &activations(&spec)).unwrap_err();
    assert!(error.to_string().contains("has no classes"), "{error}");
    let mut spec = language("relu", "masked_lm");
    spec.training.target_accuracy = Some(0.5);
    let error = actlab_core::check(&spec, &data(&spec)).unwrap_err();
    assert_eq!(error.key(), Some("training.target_accuracy"), "{error}");
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
    spec.training.learning_rate = 1.4;
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
        assert!(validation.metrics.get("accuracy").unwrap() > 0.2, "chance is 0.1: {validation:?}");
        assert!(finished.summary.test.is_some());
        assert_eq!(finished.summary.test_examples, Some(40));
    }
}

/// A run whose loss stays finite and far above that of guessing.
fn blown_up(steps: u64) -> RunSpec {
    let mut spec = resnet("relu");
    spec.training.budget = Budget::Steps(steps);
    spec.training.learning_rate = 30.0;
    spec.training.schedule = Component::named("constant");
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
    let (activations, data, devices) = (activations(&spec), data(&spec), [Device::flex()]);
    let trainer = Trainer::new(&spec, &activations, &data, &devices);
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
    assert_eq!(
        change(|training| training.target_accuracy = Some(90.0)),
        "training.target_accuracy"
    );
    assert_eq!(change(|training| training.weight_decay = 1e39), "training.weight_decay");
    assert_eq!(
        change(|training| {
            training.optimizer = Component::named("adamw").with("beta1", 1.0);
        }),
        "training.optimizer.beta1"
    );
    assert_eq!(
        change(|training| {
            training.optimizer = sgd(0.0, true);
        }),
        "training.optimizer.nesterov"
    );
    for (ratio, window, key) in [
        (0.99, 1, "training.divergence.ratio"),
        (f64::NAN, 1, "training.divergence.ratio"),
        (f64::INFINITY, 1, "training.divergence.ratio"),
        (1.0, 0, "training.divergence.window"),
        (1.0, 100_001, "training.divergence.window"),
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
    let error = Layout::of(&mixed, &data, &activations(&mixed)).unwrap_err();
    assert!(error.to_string().contains("a resnet takes images"), "{error}");
    let mut deep = resnet("relu");
    deep.model = Component::named("resnet").with("depth", 10);
    let images = catalogue.load(&deep.data, &resnet("relu").model).unwrap();
    let error = Layout::of(&deep, &images, &activations(&deep)).unwrap_err();
    assert!(error.to_string().contains("6n + 2"), "{error}");
}
