//! Checkpoints with the right checksum and wrong content: a run refuses each, and none changes a number.

use crate::runs::{Memory, activations, bert, data, resnet, run_with};
use actlab_core::data::Dataset;
use actlab_core::{Activations, Checkpoint, Finished, Stopped, Trainer, train};
use burn::tensor::Device;
use record::{Budget, Component, Precision, RunSpec};
use serde_json::{Map, Value, json};

/// The header of a file of safetensors, its progress, and its tensors.
struct Parts {
    header: Map<String, Value>,
    progress: Value,
    tensors: Vec<u8>,
}

impl Parts {
    fn of(bytes: &[u8]) -> Self {
        let (length, rest) = bytes.split_first_chunk::<8>().unwrap();
        let (header, tensors) =
            rest.split_at(usize::try_from(u64::from_le_bytes(*length)).unwrap());
        let header: Map<String, Value> = serde_json::from_slice(header).unwrap();
        let progress = header["__metadata__"]["progress"].as_str().unwrap();
        let progress = serde_json::from_str(progress).unwrap();
        Self { header, progress, tensors: tensors.to_vec() }
    }

    fn bytes(mut self) -> Vec<u8> {
        self.header["__metadata__"]["progress"] = self.progress.to_string().into();
        let mut header = serde_json::to_vec(&self.header).unwrap();
        header.resize(header.len().next_multiple_of(8), b' ');
        let length = (header.len() as u64).to_le_bytes();
        [&length[..], &header, &self.tensors].concat()
    }

    /// The progress at a path like `/summary/steps`.
    fn at(&mut self, path: &str) -> &mut Value {
        self.progress.pointer_mut(path).unwrap_or_else(|| panic!("no {path}"))
    }

    /// Gives the tensor `from` the name `to`.
    fn rename(&mut self, from: &str, to: &str) {
        let tensor = self.header.remove(from).unwrap_or_else(|| panic!("no {from}"));
        self.header.insert(to.to_owned(), tensor);
    }
}

/// Checkpoints of a run of five steps with an evaluation after every third.
fn kept(spec: &RunSpec) -> Vec<Vec<u8>> {
    let mut memory = Memory { keeps: true, ..Memory::default() };
    run_with(spec, 1, &mut memory);
    memory.kept.into_iter().map(|(_, bytes)| bytes).collect()
}

/// A run that may continue from a checkpoint.
struct Subject {
    spec: RunSpec,
    activations: Activations,
    data: Dataset,
}

impl Subject {
    fn new(spec: RunSpec) -> Self {
        let (activations, data) = (activations(&spec), data(&spec));
        Self { spec, activations, data }
    }

    /// Trains from `bytes` on; why that is refused, where it is.
    fn train(&self, bytes: &[u8], memory: &mut Memory) -> Result<Finished, String> {
        Checkpoint::from_bytes(bytes).map_err(|unusable| unusable.to_string())?;
        let Self { spec, activations, data } = self;
        let devices = [Device::flex()];
        let trainer = Trainer::new(spec, activations, data, &devices);
        memory.from = Some(bytes.to_vec());
        train(trainer, memory).map_err(|stopped| match stopped {
            Stopped::Checkpoint(unusable) => {
                assert!(memory.events.is_empty(), "nothing is measured from what is refused");
                unusable.to_string()
            }
            error => panic!("{error}"),
        })
    }

    /// Why the run does not continue from `bytes`; nothing where it does.
    fn refusal(&self, bytes: &[u8]) -> Option<String> {
        self.train(bytes, &mut Memory::default()).err()
    }
}

const HUGE: u64 = u64::MAX;

/// A change to a progress, and what the refusal names.
type Change = (&'static str, fn(&mut Parts));

const CHANGES: &[Change] = &[
    ("`steps`", |parts| *parts.at("/summary/steps") = HUGE.into()),
    ("`steps`", |parts| *parts.at("/summary/steps") = 1_000_000_000.into()),
    ("`steps`", |parts| *parts.at("/summary/steps") = 0.into()),
    ("`train_examples`", |parts| *parts.at("/summary/steps") = 3.into()),
    ("`train_examples`", |parts| *parts.at("/train_examples") = HUGE.into()),
    ("`train_examples`", |parts| *parts.at("/train_examples") = 0.into()),
    ("`parameters`", |parts| *parts.at("/summary/parameters") = 1.into()),
    ("`flops`", |parts| *parts.at("/summary/flops") = HUGE.into()),
    ("`classes`", |parts| *parts.at("/summary/classes") = 3.into()),
    ("`evaluations`", |parts| *parts.at("/evaluations") = HUGE.into()),
    ("`evaluations`", |parts| *parts.at("/evaluations") = 0.into()),
    ("`order`", |parts| *parts.at("/order") = "".into()),
    ("`order`", |parts| *parts.at("/order") = "0".repeat(64).into()),
    ("invalid type", |parts| *parts.at("/order") = json!([1, 2])),
    ("stream of order", |parts| *parts.at("/streams/0") = "0".into()),
    ("stream of augmentation", |parts| *parts.at("/streams/1") = "7".into()),
    ("stream of dropout", |parts| *parts.at("/streams/2") = "-1".into()),
    ("stream of dropout", |parts| *parts.at("/streams/2") = u128::MAX.to_string().into()),
    ("`updates` lacks", |parts| *parts.at("/updates") = json!({})),
    ("`updates` lacks", |parts| {
        let name = "head.bias";
        parts.at("/updates").as_object_mut().unwrap().remove(name).unwrap();
    }),
    ("no parameter", |parts| parts.at("/updates")["head.nothing"] = 4.into()),
    ("updates of ", |parts| {
        for count in parts.at("/updates").as_object_mut().unwrap().values_mut() {
            *count = HUGE.into();
        }
    }),
    ("`best_validation`", |parts| *parts.at("/best") = Value::Null),
    ("best_validation", |parts| {
        parts.at("/best")["accuracy"] = 1.5.into();
        parts.at("/summary/best_validation")["accuracy"] = 1.5.into();
    }),
    ("best_validation", |parts| {
        parts.at("/best")["step"] = 4.into();
        parts.at("/summary/best_validation")["step"] = 4.into();
    }),
    ("last_validation", |parts| *parts.at("/summary/last_validation") = Value::Null),
    ("`initial_loss`", |parts| *parts.at("/summary/initial_loss") = "nan".into()),
    ("test_examples", |parts| parts.at("/summary")["test_examples"] = 3.into()),
    ("recent_losses", |parts| *parts.at("/recent_losses") = json!([0.5])),
    ("`seconds`", |parts| *parts.at("/seconds") = (-1.0).into()),
    ("`train_seconds`", |parts| *parts.at("/train_seconds") = (-1e300).into()),
    ("step of site", |parts| parts.at("/summary/sites/0")["step"] = HUGE.into()),
    ("`stage`", |parts| *parts.at("/stage") = json!({ "evaluate": { "layers": [] } })),
    ("`stage`", |parts| *parts.at("/stage") = "ended".into()),
    ("has version 1", |parts| *parts.at("/version") = 1.into()),
    ("belongs to nothing", |parts| {
        parts.header.insert(
            "model/more".to_owned(),
            json!({ "dtype": "F32", "shape": [0], "data_offsets": [0, 0] }),
        );
    }),
    ("`optimizer/0/head.bias` is missing", |parts| {
        parts.rename("optimizer/0/head.bias", "optimizer/9/head.bias");
    }),
    ("`model/head.bias` is missing", |parts| parts.rename("model/head.bias", "model/head.x")),
    ("`best/head.bias` is missing", |parts| parts.rename("best/head.bias", "best/head.x")),
];

#[test]
fn progress_that_the_run_cannot_have_made_is_refused() {
    let mut text = bert("relu");
    text.training.budget = Budget::Steps(5);
    for spec in [resnet("gelu"), text] {
        // After the fourth of its steps.
        let four = kept(&spec).into_iter().find(|bytes| {
            let parts = Parts::of(bytes);
            parts.progress["summary"]["steps"] == 4 && parts.progress["stage"] == "step"
        });
        let four = four.unwrap_or_else(|| panic!("no checkpoint after step 4"));
        let subject = Subject::new(spec);
        assert_eq!(subject.refusal(&Parts::of(&four).bytes()), None, "as it was");
        for (i, (words, change)) in CHANGES.iter().enumerate() {
            let mut parts = Parts::of(&four);
            change(&mut parts);
            let said = subject.refusal(&parts.bytes());
            let said = said.unwrap_or_else(|| panic!("change {i} ({words}) is taken"));
            assert!(said.contains(words), "change {i}: {said}, not {words}");
        }
    }
}

/// The scale of the loss belongs to f16, and is a power of two that as many steps can leave.
#[test]
fn a_loss_scale_that_the_run_cannot_have_is_refused() {
    let mut spec = resnet("gelu");
    let plain = kept(&spec).pop().unwrap();
    let mut parts = Parts::of(&plain);
    parts.progress["scaler"] = json!({ "scale": 1024.0, "good_steps": 0, "skipped": 0 });
    let said = Subject::new(spec.clone()).refusal(&parts.bytes()).unwrap();
    assert!(said.contains("belongs to f16 alone"), "{said}");

    spec.training.precision = Precision::F16;
    let bytes = kept(&spec).pop().unwrap();
    let subject = Subject::new(spec);
    assert_eq!(subject.refusal(&bytes), None);
    let changes: [fn(&mut Parts); 4] = [
        |parts| *parts.at("/scaler/scale") = 1000.0.into(),
        |parts| *parts.at("/scaler/scale") = (-2.0).into(),
        |parts| *parts.at("/scaler/good_steps") = HUGE.into(),
        |parts| *parts.at("/scaler") = Value::Null,
    ];
    for change in changes {
        let mut parts = Parts::of(&bytes);
        change(&mut parts);
        let said = subject.refusal(&parts.bytes()).unwrap();
        assert!(said.contains("loss scale"), "{said}");
    }
}

/// Each of the optimizers needs its memory of every parameter in its size.
#[test]
fn the_memory_of_an_optimizer_is_whole() {
    let mut adamw = resnet("relu");
    adamw.training.optimizer = Component::named("adamw");
    let mut plain = resnet("relu");
    plain.training.optimizer = Component::named("sgd").with("momentum", 0.0);
    for (spec, slots) in [(adamw, 2), (resnet("relu"), 1), (plain, 0)] {
        let bytes = kept(&spec).swap_remove(1);
        let subject = Subject::new(spec);
        assert_eq!(subject.refusal(&bytes), None);
        for slot in 0..2 {
            let mut parts = Parts::of(&bytes);
            let name = format!("optimizer/{slot}/head.bias");
            if slot >= slots {
                assert!(!parts.header.contains_key(&name));
                continue;
            }
            // As many bytes, and another shape.
            let tensor = parts.header.get_mut(&name).unwrap();
            let length = tensor["shape"][0].clone();
            tensor["shape"] = json!([1, length]);
            let said = subject.refusal(&parts.bytes()).unwrap();
            assert!(said.contains(&name), "{said}");
        }
    }
}

/// A checkpoint of one run is none of another, even where all shapes agree.
#[test]
fn a_checkpoint_of_another_seed_is_refused() {
    let spec = resnet("relu");
    let bytes = kept(&spec).swap_remove(1);
    let mut other = spec.clone();
    other.seed += 1;
    assert!(Subject::new(other).refusal(&bytes).unwrap().contains("`order`"));
    let mut shorter = spec.clone();
    shorter.training.budget = Budget::Steps(1);
    let late = kept(&spec).pop().unwrap();
    assert!(Subject::new(shorter).refusal(&late).unwrap().contains("`steps`"));
}

/// Any value of the progress, replaced by an extreme one or removed: it is refused, or changes no result.
#[test]
fn a_changed_progress_changes_no_result() {
    let spec = resnet("relu");
    let bytes = kept(&spec).swap_remove(1);
    let subject = Subject::new(spec);
    let mut whole = Memory::default();
    let calm = subject.train(&bytes, &mut whole).unwrap();
    let values =
        [json!(0), json!(-1), json!(1e300), json!(HUGE), json!(0.5), json!("x"), json!([])];
    for path in paths(&Parts::of(&bytes).progress, "") {
        for value in &values {
            let mut parts = Parts::of(&bytes);
            *parts.at(&path) = value.clone();
            let mut memory = Memory::default();
            let Ok(finished) = subject.train(&parts.bytes(), &mut memory) else { continue };
            assert_eq!(memory.events, whole.events, "{path}: {value}");
            assert_eq!(finished.predictions, calm.predictions, "{path}: {value}");
            assert_eq!(finished.outcome, calm.outcome, "{path}: {value}");
        }
    }
}

/// Where values are in `json`; of lists, the first item.
fn paths(json: &Value, path: &str) -> Vec<String> {
    let mut all = vec![path.to_owned()];
    match json {
        Value::Object(fields) => {
            for (key, field) in fields {
                // Parameters are named alike.
                if path != "/updates" || key.starts_with("head") {
                    all.extend(paths(field, &format!("{path}/{key}")));
                }
            }
        }
        Value::Array(items) if !items.is_empty() => {
            all.extend(paths(&items[0], &format!("{path}/0")))
        }
        _ => {}
    }
    all
}

#[test]
fn bytes_of_any_kind_are_refused_without_a_panic() {
    let spec = resnet("relu");
    let whole = kept(&spec).swap_remove(1);
    let header = usize::try_from(u64::from_le_bytes(*whole.first_chunk().unwrap())).unwrap();
    let mut state = 7_u64;
    let mut below = |end: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % end
    };
    for _ in 0..2000 {
        let mut bytes = whole.clone();
        for _ in 0..=below(3) {
            let place = below(header + 8);
            bytes[place] = [b'9', b'0', b'"', b'{', b']', b',', 0, 255][below(8)];
        }
        let _ = Checkpoint::from_bytes(&bytes);
    }
}
