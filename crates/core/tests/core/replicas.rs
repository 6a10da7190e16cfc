//! A batch that is trained in parts gives what the whole batch gives.

use crate::runs::{bert, language, mlp, resnet, run};
use record::{Event, RunSpec, TrainStep};

/// `spec` with batches in so many parts, whose batch norms share their statistics.
pub(crate) fn in_parts(mut spec: RunSpec, replicas: usize) -> RunSpec {
    spec.training.replicas = replicas;
    spec.training.sync_batch_norm = replicas > 1;
    spec
}

fn steps(spec: &RunSpec) -> Vec<TrainStep> {
    let (_, events) = run(spec, 1);
    let step = |event| match event {
        Event::Train(step) => Some(step),
        _ => None,
    };
    events.into_iter().filter_map(step).collect()
}

/// The largest relative difference of losses and norms of gradients.
fn difference(a: &[TrainStep], b: &[TrainStep]) -> f64 {
    assert_eq!(a.len(), b.len());
    let numbers = |steps: &[TrainStep]| -> Vec<f64> {
        steps.iter().flat_map(|step| [step.loss, step.gradient_norm]).collect()
    };
    let both = numbers(a).into_iter().zip(numbers(b));
    both.map(|(a, b)| ((a - b) / a).abs()).fold(0.0, f64::max)
}

/// Examples, augmentation, hidden tokens and dropout are those of the whole batch, losses are weighted by rows, and
/// batch norms see all images: only the order of sums is another.
#[test]
fn parts_of_a_batch_are_trained_as_the_whole() {
    let masked = language("gelu", "masked_lm");
    let causal = language("silu", "causal_lm");
    let subjects =
        [resnet("gelu"), resnet("prelu"), mlp("relu", "batch"), bert("swiglu"), masked, causal];
    for spec in subjects {
        let whole = steps(&spec);
        // Three do not divide the batches of 32 and of 8.
        for replicas in [2, 3, 4] {
            let parts = steps(&in_parts(spec.clone(), replicas));
            let found = difference(&whole, &parts);
            assert!(found < 1e-5, "{} in {replicas}: {found:e}", spec.label());
            for (a, b) in whole.iter().zip(&parts) {
                let names = |step: &TrainStep| {
                    step.metrics.iter().map(|(name, _)| name.to_owned()).collect::<Vec<_>>()
                };
                assert_eq!(names(a), names(b));
            }
        }
    }
}

/// As in PyTorch's `DistributedDataParallel`: statistics of a part are not those of the batch.
#[test]
fn without_shared_statistics_each_part_has_its_own() {
    let mut own = in_parts(resnet("relu"), 4);
    own.training.sync_batch_norm = false;
    let difference = difference(&steps(&resnet("relu")), &steps(&own));
    assert!((1e-3..1.0).contains(&difference), "{difference}");
}
