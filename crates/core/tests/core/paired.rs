//! Arms of one seed are paired: with different activations they begin with the same weights, see the same batches,
//! changed in the same way, and drop the same units.

use crate::runs::{Memory, activations, bert, data, resnet, run_with};
use actlab_core::Checkpoint;
use actlab_core::data::augment::{Augmentation, CropFlip, Unchanged};
use actlab_core::data::{Batch, BatchInputs, Batches, Dataset, Examples};
use actlab_core::model::{BertModel, Model, Resnet, initialize};
use actlab_core::objective::{Classification, Objective};
use actlab_core::sites::Sites;
use actlab_core::stream::{Draws, Stream};
use burn::Tensor;
use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Device;
use record::{Budget, RunSpec};
use safetensors::SafeTensors;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Shape and numbers of every weight, by its name.
type Weights = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

fn initial_weights(spec: &RunSpec, data: &Dataset) -> Weights {
    #[derive(Default)]
    struct Collect {
        path: Vec<String>,
        weights: Weights,
    }

    impl ModuleVisitor for Collect {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.path.push(name.to_owned());
        }

        fn exit_module(&mut self, _: &str, _: &str) {
            self.path.pop();
        }

        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let tensor = param.val();
            let shape = tensor.dims().to_vec();
            let numbers = tensor.into_data().iter::<f32>().collect();
            self.weights.insert(self.path.join("."), (shape, numbers));
        }
    }

    fn visit<M: Model>(spec: &RunSpec, data: &Dataset, collect: &mut Collect) {
        let model: M = actlab_core::component::parameters(&spec.model).unwrap();
        let interface = Classification {}.interface(data).unwrap();
        let activations = activations(spec);
        let network = model.build(&interface, &Sites::new(&activations), &Device::flex()).unwrap();
        initialize(network, spec.seed).visit(collect);
    }

    let mut collect = Collect::default();
    match spec.model.name.as_str() {
        "resnet" => visit::<Resnet>(spec, data, &mut collect),
        "bert" => visit::<BertModel>(spec, data, &mut collect),
        other => panic!("{other}"),
    }
    collect.weights
}

/// Names of weights that have one shape in both; of these, those whose numbers differ.
fn compare(a: &Weights, b: &Weights) -> (Vec<String>, Vec<String>) {
    let shared = a.iter().filter(|(name, weight)| b.get(*name).is_some_and(|b| b.0 == weight.0));
    let shared: Vec<String> = shared.map(|(name, _)| name.clone()).collect();
    let differ = shared.iter().filter(|name| a[*name].1 != b[*name].1).cloned().collect();
    (shared, differ)
}

/// What a run has left of the epoch, and how far its streams of order, augmentation and dropout are, after a step.
#[derive(Debug, Clone, PartialEq)]
struct Place {
    /// Examples since the run began.
    examples: usize,
    /// Checksum of what is left of the epoch.
    order: String,
    streams: Vec<String>,
}

/// The places of a run after each of its steps but the last, by its checkpoints.
fn places(spec: &RunSpec) -> Vec<Place> {
    let mut memory = Memory { keeps: true, ..Memory::default() };
    let last = run_with(spec, 2, &mut memory).summary.steps;
    let step = |bytes: &[u8]| Checkpoint::from_bytes(bytes).unwrap().step();
    memory.kept.retain(|(_, bytes)| step(bytes) < last);
    // An evaluation has a checkpoint before it and one after it.
    memory.kept.dedup_by_key(|(_, bytes)| step(bytes));
    let place = |(_, bytes): &(usize, Vec<u8>)| {
        let (_, metadata) = SafeTensors::read_metadata(bytes).unwrap();
        let progress = &metadata.metadata().as_ref().unwrap()["progress"];
        let progress: serde_json::Value = serde_json::from_str(progress).unwrap();
        Place {
            examples: serde_json::from_value(progress["train_examples"].clone()).unwrap(),
            order: serde_json::from_value(progress["order"].clone()).unwrap(),
            streams: serde_json::from_value(progress["streams"].clone()).unwrap(),
        }
    };
    memory.kept.iter().map(place).collect()
}

/// The batches of a run whose steps ended at `places`, as pixels or tokens. The examples are those that left the order;
/// that their random changes are those of the run is asserted by how far the stream is after each of them.
fn batches(spec: &RunSpec, data: &Dataset, places: &[Place]) -> Vec<(Vec<usize>, Vec<f32>)> {
    let augmentation: &dyn Augmentation = match spec.data.augmentation.name.as_str() {
        "crop_flip" => &CropFlip {},
        _ => &Unchanged {},
    };
    let made = Batches::new(data, &Classification {}, augmentation);
    let mut objective = Stream::new(spec.seed, "objective");
    let mut augmentation = Stream::new(spec.seed, "augmentation");
    let mut order_stream = Stream::new(spec.seed, "order");
    let mut left: Vec<usize> = Vec::new();
    let mut found = Vec::new();
    let mut before = 0;
    for place in places {
        if left.is_empty() {
            left = order_stream.permutation(data.train.len());
            left.reverse();
        }
        let taken = left.split_off(left.len() - (place.examples - before));
        before = place.examples;
        let bytes: Vec<u8> = left.iter().flat_map(|left| (*left as u64).to_le_bytes()).collect();
        let digest = Sha256::digest(bytes);
        let checksum: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(checksum, place.order);
        let indices: Vec<usize> = taken.into_iter().rev().collect();
        let examples = Examples::Train {
            indices: &indices,
            augmentation: &mut augmentation,
            objective: &mut objective,
        };
        let batch: Batch = made.batch(examples, &Device::flex());
        assert_eq!(order_stream.position(), place.streams[0]);
        assert_eq!(augmentation.position(), place.streams[1]);
        let numbers = match batch.inputs {
            BatchInputs::Images(images) => images.into_data().iter::<f32>().collect(),
            BatchInputs::Features(features) => features.into_data().iter::<f32>().collect(),
            BatchInputs::Text { tokens, .. } => tokens.into_data().iter::<f32>().collect(),
        };
        found.push((indices, numbers));
    }
    found
}

/// The experiment with each of some activations, through two epochs; the first is the one that others are compared
/// with, the second is gated.
fn arms() -> [Vec<RunSpec>; 2] {
    let epochs = |mut spec: RunSpec| {
        spec.training.budget = Budget::Epochs(2);
        spec.training.evaluate_every = None;
        // Texts, whose batches are smaller, are fewer.
        spec.data.train_limit = Some(if spec.training.batch_size < 32 { 40 } else { 100 });
        spec
    };
    [
        ["relu", "swiglu", "gelu", "silu"].map(resnet).map(epochs).to_vec(),
        ["relu", "swiglu", "gelu", "silu"].map(bert).map(epochs).to_vec(),
    ]
}

#[test]
fn arms_begin_with_the_same_weights() {
    for arms in arms() {
        let data = data(&arms[0]);
        let first = initial_weights(&arms[0], &data);
        for arm in &arms[1..] {
            let weights = initial_weights(arm, &data);
            let (shared, differ) = compare(&first, &weights);
            assert_eq!(differ, [""; 0], "{}", arm.activation.label);
            let gated = arm.activation.label == "swiglu";
            // A gated arm has other widths around its gates, and the same ones elsewhere.
            assert_eq!(shared.len() < first.len(), gated);
            assert!(shared.len() > first.len() / 3, "{} of {}", shared.len(), first.len());
            let drawn =
                shared.iter().filter(|name| first[*name].1.windows(2).any(|w| w[0] != w[1]));
            assert!(drawn.count() >= 2, "some of them are drawn");
        }
        // It could fail.
        let other = RunSpec { seed: arms[0].seed + 1, ..arms[0].clone() };
        let (_, differ) = compare(&first, &initial_weights(&other, &data));
        assert!(differ.len() >= 3, "{differ:?}");
    }
}

#[test]
fn arms_see_the_same_batches_and_drop_the_same_units() {
    for arms in arms() {
        let data = data(&arms[0]);
        let first = places(&arms[0]);
        let per_epoch = data.train.len().div_ceil(arms[0].training.batch_size);
        assert_eq!(first.len(), 2 * per_epoch - 1);
        let first_batches = batches(&arms[0], &data, &first);
        let epoch: Vec<_> = first_batches[..per_epoch].iter().flat_map(|b| b.0.clone()).collect();
        assert_eq!(epoch.len(), data.train.len());
        assert_ne!(first_batches[0].0, first_batches[per_epoch].0, "each epoch has its order");
        for arm in &arms[1..] {
            let places = places(arm);
            assert_eq!(places, first, "{}", arm.activation.label);
            assert_eq!(batches(arm, &data, &places), first_batches);
        }
        // Dropout's masks follow from seed and draw: as many draws for every arm.
        let drops = first[0].streams[2] != "0";
        assert_eq!(
            drops,
            arms[0].training.batch_size < 32,
            "bert has dropout, and resnet has none"
        );

        // It could fail.
        let other = RunSpec { seed: arms[0].seed + 1, ..arms[0].clone() };
        let other_places = places(&other);
        assert_ne!(other_places, first);
        let other_batches = batches(&other, &data, &other_places);
        for (batch, first) in other_batches.iter().zip(&first_batches) {
            assert_ne!(batch.0, first.0);
            assert_ne!(batch.1, first.1);
        }
        let mask = |seed| Draws::new(seed, "dropout").dropout(0.1);
        assert_eq!(mask(arms[0].seed), mask(arms[1].seed));
        assert_ne!(mask(arms[0].seed), mask(other.seed));
    }
}
