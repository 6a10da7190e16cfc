//! Which runs have diverged, and which have only been high for a while.

use crate::runs::{blown_up, halves, losses, mlp, resnet, run};
use record::{Budget, DataSpec, Divergence, Outcome, Trial};
use serde_json::json;
use std::f64::consts::LN_10;

fn mean(losses: &[f64]) -> f64 {
    losses.iter().sum::<f64>() / losses.len() as f64
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

/// Training and validation are sound, and a number of the test split is beyond what the network can take.
#[test]
fn a_test_loss_that_is_not_finite_is_divergence() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.csv");
    let row = |i: u32| {
        let split = ["train", "train", "validation", "test"][i as usize % 4];
        let x = if i == 99 { "3e38".to_owned() } else { (i % 7).to_string() };
        format!("{x},{},{split}\n", i % 3)
    };
    let table = "x,label,split\n".to_owned() + &(0..100).map(row).collect::<String>();
    std::fs::write(&path, table).unwrap();
    let mut spec = mlp("relu", "none");
    let augmentation = spec.data.augmentation.clone();
    spec.data = DataSpec { augmentation, ..DataSpec::named("table") };
    spec.data.augmentation.name = "none".into();
    for (key, value) in
        [("path", json!(path)), ("features", json!(["x"])), ("split", json!("split"))]
    {
        spec.data.parameters.insert(key.into(), value);
    }
    let (finished, _) = run(&spec, 1);
    let Outcome::Diverged { reason, .. } = &finished.outcome else {
        panic!("{:?}", finished.outcome)
    };
    assert_eq!(reason, "the test loss is not finite");
    assert_eq!((finished.summary.test, finished.summary.best_validation), (None, None));
    assert!(finished.predictions.is_empty());
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
