//! The finding of the UvA course's notebook on activation functions (Lippe; tutorial 3), on the subset that ships: a deep
//! multilayer perceptron with sigmoids stays at chance, and others learn.

use crate::runs::{Memory, resnet, run_with};
use record::{Budget, Component, Outcome};

fn accuracy(activation: &str) -> f64 {
    let mut spec = resnet(activation);
    let widths = serde_json::json!([512, 256, 256, 128]);
    spec.model = Component::named("mlp").with("widths", widths).with("init", "pytorch");
    spec.data.augmentation = Component::named("none");
    spec.data.train_limit = Some(2000);
    spec.training.batch_size = 256;
    spec.training.budget = Budget::Epochs(20);
    spec.training.optimizer = Component::named("sgd").with("momentum", 0.9);
    spec.training.learning_rate = 0.01;
    spec.training.schedule = Component::named("constant");
    (spec.training.weight_decay, spec.training.warmup) = (0.0, 0.0);
    (spec.training.label_smoothing, spec.training.clip_norm) = (0.0, None);
    spec.training.evaluate_every = None;
    let finished = run_with(&spec, 2, &mut Memory::default());
    assert_eq!(finished.outcome, Outcome::Completed);
    finished.summary.last_validation.unwrap().metrics.get("accuracy").unwrap()
}

#[test]
fn sigmoid_stays_near_chance_and_others_do_not() {
    let sigmoid = accuracy("sigmoid");
    assert!(sigmoid < 0.3, "chance is 0.1: {sigmoid}");
    for other in ["relu", "gelu", "silu"] {
        let accuracy = accuracy(other);
        assert!(accuracy > 0.4, "{other}: {accuracy}");
    }
}
