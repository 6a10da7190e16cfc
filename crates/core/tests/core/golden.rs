//! The bits of training are pinned: a change of them raises `NUMERICS`.

use crate::runs::{Memory, bert, language, mlp, resnet, run_with};
use activation::simd::{Width, width};
use activation_testing::instructions::{answer, answers, is_asked};
use actlab_core::Checkpoint;
use record::{Budget, Component, RunSpec};
use safetensors::SafeTensors;
use sha2::{Digest, Sha256};

/// SHA-256, the first sixteen digits, of every tensor of training after five steps: weights, the best of them, running
/// statistics and the optimizer's moments. They are the same on every instruction set and every machine.
const PINNED: &[(&str, &str)] = &[
    ("resnet gelu", "fc5e811a06430757"),
    ("resnet swiglu", "6a05d4ac61278966"),
    ("resnet prelu", "b902e7944ba1e539"),
    ("resnet formula", "ab20fc119686f1a5"),
    ("bert gelu", "d07e670facd2c642"),
    ("bert swiglu", "6378767446de8d71"),
    ("bert learned", "235fcffec0bade35"),
    ("masked bert gelu", "8f18a0f45206306b"),
    ("gpt gelu", "dd42ff3c8f7a02ab"),
    ("gpt swiglu", "453886bf4a3b8e64"),
    ("mlp relu", "3dc37972fa04f8fa"),
    ("mlp mish", "a03044dc4fbe9526"),
];

const CHANGED: &str = "the bits of training changed: if that is meant, raise NUMERICS in crates/core/src/train/mod.rs and \
                       write the new hashes here";

/// A formula as text, with functions whose registers are more than arithmetic.
const FORMULA: &str = "x * tanh(softplus(x)) + 0.1 * atan(x) * exp(-x * x)";

/// An activation that learns.
const LEARNED: &str = "x * sigmoid(b * x) where b=1, learn=b";

fn specs() -> Vec<(&'static str, RunSpec)> {
    let muon = |mut spec: RunSpec| {
        spec.training.optimizer = Component::named("muon");
        spec
    };
    let adamw = |mut spec: RunSpec| {
        spec.training.optimizer = Component::named("adamw");
        spec
    };
    let mut found = vec![
        ("resnet gelu", resnet("gelu")),
        ("resnet swiglu", resnet("swiglu")),
        ("resnet prelu", resnet("prelu")),
        ("resnet formula", resnet(FORMULA)),
        ("bert gelu", adamw(bert("gelu"))),
        ("bert swiglu", adamw(bert("swiglu"))),
        ("bert learned", adamw(bert(LEARNED))),
        ("masked bert gelu", language("gelu", "masked_lm")),
        ("gpt gelu", adamw(language("gelu", "causal_lm"))),
        ("gpt swiglu", muon(language("swiglu", "causal_lm"))),
        ("mlp relu", mlp("relu", "batch")),
        ("mlp mish", muon(mlp("mish", "layer"))),
    ];
    for (_, spec) in &mut found {
        spec.training.budget = Budget::Steps(6);
    }
    found
}

/// Hashes of what a run gives.
#[derive(Debug, PartialEq)]
struct Hashes {
    /// Of what the last checkpoint before the last step holds.
    tensors: String,
    /// Of all that was measured, and of the predictions.
    measured: String,
}

fn digits(hash: Sha256) -> String {
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

fn bits(spec: &RunSpec, threads: usize) -> Hashes {
    let mut memory = Memory { keeps: true, ..Memory::default() };
    let finished = run_with(spec, threads, &mut memory);
    let last = finished.summary.steps;
    let before = |bytes: &[u8]| Checkpoint::from_bytes(bytes).unwrap().step() < last;
    let (_, bytes) = memory.kept.iter().rfind(|(_, bytes)| before(bytes)).unwrap();
    let file = SafeTensors::deserialize(bytes).unwrap();
    let mut tensors = file.tensors();
    tensors.sort_by(|(a, _), (b, _)| a.cmp(b));
    assert!(tensors.iter().any(|(name, _)| name.starts_with("model/")));
    assert!(tensors.iter().any(|(name, _)| name.starts_with("optimizer/")));
    let mut hash = Sha256::new();
    for (name, tensor) in tensors {
        hash.update(name.as_bytes());
        hash.update(format!("{:?}", tensor.shape()).as_bytes());
        hash.update(tensor.data());
    }
    let mut measured = Sha256::new();
    measured.update(serde_json::to_vec(&memory.events).unwrap());
    measured.update(format!("{:?}", finished.predictions).as_bytes());
    Hashes { tensors: digits(hash), measured: digits(measured) }
}

/// Prints the hashes of this process's instructions; does nothing in a test run of its own.
#[test]
fn hashes_of_this_process() {
    if !is_asked() {
        return;
    }
    for (name, spec) in specs() {
        let two = bits(&spec, 2);
        // Once: without registers, it takes long.
        if width() == Width::widest() {
            assert_eq!(bits(&spec, 1), two, "{name}: other bits with one thread");
        }
        answer(&format!("{name}={}={}", two.tensors, two.measured));
    }
}

/// Names of the specs, with the hashes of tensors and of what was measured on `width`.
fn hashes_on(width: Width) -> Vec<(String, String, String)> {
    let lines = answers(width, "golden::hashes_of_this_process");
    let mut found = Vec::new();
    for line in &lines {
        let [name, tensors, measured] = line.split('=').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        found.push((name.to_owned(), tensors.to_owned(), measured.to_owned()));
    }
    assert_eq!(found.len(), specs().len(), "{lines:?}");
    found
}

#[test]
fn the_bits_of_training_are_pinned() {
    let widths = Width::available();
    let found: Vec<_> = widths.iter().map(|width| hashes_on(*width)).collect();
    for (width, hashes) in widths.iter().zip(&found) {
        assert_eq!(hashes, &found[0], "{width} has other bits than {}", widths[0]);
    }
    let is_pinned = |(name, tensors, _): &&(String, String, String)| {
        PINNED.contains(&(name.as_str(), tensors.as_str()))
    };
    let wrong: Vec<String> = found[0]
        .iter()
        .filter(|found| !is_pinned(found))
        .map(|(name, tensors, _)| format!("    (\"{name}\", \"{tensors}\"),"))
        .collect();
    assert!(wrong.is_empty(), "{CHANGED}:\n{}", wrong.join("\n"));
}

/// The hash sees a single bit, and the test fails for what is not pinned.
#[test]
fn another_seed_or_recipe_has_other_bits() {
    let (_, spec) = specs().remove(0);
    let before = bits(&spec, 1).tensors;
    let mut rate = spec.clone();
    rate.training.learning_rate *= 1.0 + 1e-6;
    for other in [RunSpec { seed: spec.seed + 1, ..spec.clone() }, rate] {
        assert_ne!(bits(&other, 1).tensors, before);
    }
}
