//! What the training loop promises: the same bits every time, paired arms, honest endings.

use crate::replicas::in_parts;
use crate::runs::{
    Memory, activations, bert, blown_up, data, halves, language, losses, resnet, run, run_with, sgd,
};
use actlab_core::data::Catalogue;
use actlab_core::{Checkpoint, Layout, Stopped, Trainer, train};
use burn::tensor::Device;
use record::{
    Budget, Component, Divergence, Event, Outcome, Precision, Predictions, RunSpec, TrainingSpec,
    Trial,
};
use std::collections::BTreeMap;
use std::path::PathBuf;

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
    // Of ten classes, guessing meets one in ten.
    let mut spec = resnet("relu");
    spec.training.target_accuracy = Some(0.1);
    let error = actlab_core::check_target(&spec, &data(&spec)).unwrap_err();
    assert_eq!(error.key(), Some("training.target_accuracy"), "{error}");
    for (objective, target, right) in [
        ("causal_lm", -1.0, "must be above 0: no run scores less"),
        ("causal_lm", 0.0, "must be above 0: no run scores less"),
        ("causal_lm", 9.5, "must be below 8.0000 bits/byte, which guessing scores"),
        ("masked_lm", 9.0, "must be below 8.9872 nats, which guessing scores"),
    ] {
        let mut spec = language("relu", objective);
        spec.training.target = Some(target);
        let error = actlab_core::check_target(&spec, &data(&spec)).unwrap_err();
        assert_eq!(error.key(), Some("training.target"), "{error}");
        assert!(error.to_string().contains(right), "{error}");
    }
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
