//! Steps that are made before what they measure is read: the reads are few, and nothing else depends on them.

use crate::replicas::in_parts;
use crate::runs::{Memory, activations, bert, blown_up, data, halves, language, mlp, resnet, run};
use actlab_core::{Finished, Stopped, Trainer, first_steps, train};
use burn::tensor::Device;
use record::{Budget, Outcome, RunSpec, Trial};

/// Trains with a read every so many steps.
fn run_reading(spec: &RunSpec, every: usize, memory: &mut Memory) -> Result<Finished, Stopped> {
    let (activations, data, devices) = (activations(spec), data(spec), [Device::flex()]);
    let trainer = Trainer::new(spec, &activations, &data, &devices);
    train(Trainer { read_every: every, ..trainer }, memory)
}

/// The norm of the gradient is not needed for the update.
fn unclipped(mut spec: RunSpec) -> RunSpec {
    spec.training.clip_norm = None;
    spec
}

#[test]
fn steps_read_from_their_device_once_in_so_many() {
    let texts = ["causal_lm", "masked_lm"].map(|objective| language("gelu", objective));
    let others = [resnet("silu"), mlp("gelu", "batch"), bert("swiglu"), bert("prelu")];
    for spec in others.into_iter().chain(texts).map(unclipped) {
        let (activations, data, devices) = (activations(&spec), data(&spec), [Device::flex()]);
        for (every, reads) in [(1, 5), (2, 3), (8, 1)] {
            let trainer = Trainer::new(&spec, &activations, &data, &devices);
            let steps = first_steps(Trainer { read_every: every, ..trainer }, 5).unwrap();
            assert_eq!((steps.measured.len(), steps.reads), (5, reads), "{}", spec.label());
        }
    }
}

#[test]
fn what_is_recorded_does_not_depend_on_when_it_is_read() {
    let [_, f16] = halves(&resnet("gelu"));
    let plain = [resnet("gelu"), bert("prelu"), language("silu", "causal_lm")].map(unclipped);
    let others = [in_parts(unclipped(resnet("silu")), 2), resnet("relu"), f16];
    let mut long = plain.clone().into_iter().chain(others).collect::<Vec<_>>();
    for spec in &mut long {
        spec.training.budget = Budget::Steps(8);
    }
    let mut once = long[0].clone();
    once.training.evaluate_every = Some(8);
    let mut patient = long[0].clone();
    (patient.training.patience, patient.training.learning_rate) = (Some(1), 1e-30);
    let trial = RunSpec { trial: Some(Trial { steps: 7 }), ..long[0].clone() };
    for spec in long.into_iter().chain([once, patient, trial]) {
        let (expected, events) = run(&spec, 1);
        for every in [2, 3, 100] {
            let mut memory = Memory::default();
            let finished = run_reading(&spec, every, &mut memory).unwrap();
            assert_eq!(memory.events, events);
            assert_eq!(finished.summary, expected.summary);
            assert_eq!(finished.predictions, expected.predictions);
            assert_eq!(finished.train_examples, expected.train_examples);
        }
    }
}

/// The scale of the loss is that of the step that is recorded, and not that of the last one that was made.
#[test]
fn a_loss_scale_is_exhausted_at_its_step() {
    let [_, mut spec] = halves(&resnet("relu"));
    spec.training.budget = Budget::Steps(40);
    spec.training.evaluate_every = Some(40);
    spec.training.learning_rate = 1e30;
    let (expected, events) = run(&spec, 1);
    assert!(matches!(expected.outcome, Outcome::Diverged { .. }), "{:?}", expected.outcome);
    for every in [2, 3, 30] {
        let mut memory = Memory::default();
        let finished = run_reading(&spec, every, &mut memory).unwrap();
        assert_eq!(format!("{:?}", memory.events), format!("{events:?}"));
        assert_eq!(finished.outcome, expected.outcome);
        assert_eq!(finished.summary, expected.summary);
    }
}

/// A loss that is not finite is seen some steps later; those are as if they had not been made.
#[test]
fn steps_behind_a_divergence_leave_nothing() {
    let mut spec = unclipped(blown_up(30));
    spec.training.learning_rate = 1e30;
    let (expected, events) = run(&spec, 1);
    let Outcome::Diverged { step, .. } = expected.outcome else { panic!("it diverges") };
    assert!(step < 6, "{step}");
    for every in [2, 3, 5, 30] {
        let mut memory = Memory { keeps: every == 5, ..Memory::default() };
        let finished = run_reading(&spec, every, &mut memory).unwrap();
        // NaN is not equal to itself.
        assert_eq!(format!("{:?}", memory.events), format!("{events:?}"));
        assert_eq!(finished.outcome, expected.outcome);
        assert_eq!(finished.summary, expected.summary);
        assert_eq!(finished.train_examples, expected.train_examples);
    }
}

/// What was made is recorded before a checkpoint is kept, and nothing is recorded twice.
#[test]
fn an_interrupt_records_what_was_made() {
    let mut spec = unclipped(resnet("relu"));
    spec.training.budget = Budget::Steps(8);
    let (undisturbed, events) = run(&spec, 1);
    for question in 1..8 {
        let mut memory = Memory { stop_at_question: Some(question), ..Memory::default() };
        let stopped = run_reading(&spec, 5, &mut memory).unwrap_err();
        assert!(matches!(stopped, Stopped::Interrupted), "{stopped}");
        let (before, bytes) = memory.kept.pop().unwrap();
        assert_eq!(before, memory.events.len(), "nothing is measured after the checkpoint");
        let mut rest = Memory { from: Some(bytes), ..Memory::default() };
        let finished = run_reading(&spec, 5, &mut rest).unwrap();
        assert_eq!([memory.events, rest.events].concat(), events);
        assert_eq!(finished.summary, undisturbed.summary);
        assert_eq!(finished.predictions, undisturbed.predictions);
        assert_eq!(finished.train_examples, undisturbed.train_examples);
    }
}
