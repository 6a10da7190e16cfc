//! The bits of training are pinned: whoever changes them says so by raising `NUMERICS`.

use crate::training::{Memory, bert, resnet, run_with};
use activation::simd::{VARIABLE, Width};
use actlab_core::Checkpoint;
use record::{Budget, Component, RunSpec};
use safetensors::SafeTensors;
use sha2::{Digest, Sha256};
use std::process::Command;

/// SHA-256, the first sixteen digits, of every tensor of training after five steps: weights, the best of them, running
/// statistics and the optimizer's moments.
///
/// By the instructions that the kernels use on a machine with the widest ones that it has, as in `avx2 on avx512`. (Some
/// reductions of burn, as the mean of a loss, follow the machine alone.) A line for each model.
const PINNED: &[(&str, &str, &str)] = &[
    ("avx512 on avx512", "resnet gelu", "139602f639bb0d47"),
    ("avx512 on avx512", "resnet swiglu", "ee9e0ee7324c4b5f"),
    ("avx512 on avx512", "bert gelu", "d364b6ccfaed2d9e"),
    ("avx512 on avx512", "bert swiglu", "e372362cce71d1c7"),
    ("avx2 on avx512", "resnet gelu", "139602f639bb0d47"),
    ("avx2 on avx512", "resnet swiglu", "ee9e0ee7324c4b5f"),
    ("avx2 on avx512", "bert gelu", "dbfa3c7df486da27"),
    ("avx2 on avx512", "bert swiglu", "fa75bd93471a7b9d"),
    ("avx2 on avx2", "resnet gelu", "b8977d18c443b4c7"),
    ("avx2 on avx2", "resnet swiglu", "a47d5f441e8361ad"),
    ("avx2 on avx2", "bert gelu", "dbfa3c7df486da27"),
    ("avx2 on avx2", "bert swiglu", "fa75bd93471a7b9d"),
    ("scalar on avx2", "resnet gelu", "79fc0ff60f212c32"),
    ("scalar on avx2", "resnet swiglu", "fef13dceee2be64d"),
    ("scalar on avx2", "bert gelu", "a7c788141b9ac55a"),
    ("scalar on avx2", "bert swiglu", "0e04797b4df25bc5"),
    ("scalar on avx512", "resnet gelu", "728302f49dbcd0ea"),
    ("scalar on avx512", "resnet swiglu", "3f6d5a361455a28e"),
    ("scalar on avx512", "bert gelu", "a7c788141b9ac55a"),
    ("scalar on avx512", "bert swiglu", "0e04797b4df25bc5"),
];

const CHANGED: &str = "the bits of training changed: if that is meant, raise NUMERICS in crates/core/src/train.rs and \
                       write the new hashes here";

const UNKNOWN: &str = "no hashes are pinned for these instructions: write them here";

/// What asks the test below, in a process of its own, for its hashes.
const ASKED: &str = "ACTLAB_TEST_GOLDEN_BITS";

fn specs() -> Vec<(&'static str, RunSpec)> {
    let mut found = Vec::new();
    for (name, mut spec) in [
        ("resnet gelu", resnet("gelu")),
        ("resnet swiglu", resnet("swiglu")),
        ("bert gelu", bert("gelu")),
        ("bert swiglu", bert("swiglu")),
    ] {
        spec.training.budget = Budget::Steps(6);
        if name.starts_with("bert") {
            spec.training.optimizer = Component::named("adamw");
        }
        found.push((name, spec));
    }
    found
}

/// The hash of what the last checkpoint before the last step holds.
fn bits(spec: &RunSpec, threads: usize) -> String {
    let mut memory = Memory { keeps: true, ..Memory::default() };
    let last = run_with(spec, threads, &mut memory).summary.steps;
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
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Prints the hashes of this process's instructions; does nothing in a test run of its own.
#[test]
fn hashes_of_this_process() {
    if std::env::var_os(ASKED).is_none() {
        return;
    }
    for (name, spec) in specs() {
        let (one, two) = (bits(&spec, 1), bits(&spec, 2));
        assert_eq!(one, two, "{name}: other bits with two threads");
        println!("{ASKED}={} on {}={name}={one}", activation::simd::width(), Width::widest());
    }
}

#[test]
fn the_bits_of_training_are_pinned() {
    let (mut wrong, mut unknown) = (Vec::new(), Vec::new());
    for width in Width::available() {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["golden::hashes_of_this_process", "--exact", "--nocapture"])
            .env(VARIABLE, width.to_string())
            .env(ASKED, "1")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{width}: {text}{errors}");
        let mut seen = 0;
        for line in text.lines() {
            let Some((_, line)) = line.split_once(&format!("{ASKED}=")) else { continue };
            let [key, name, hash] = line.split('=').collect::<Vec<_>>()[..] else {
                panic!("{line}")
            };
            assert!(key.starts_with(&format!("{width} on ")), "{key}");
            seen += 1;
            if !PINNED.contains(&(key, name, hash)) {
                let line = format!("    (\"{key}\", \"{name}\", \"{hash}\"),");
                let known = PINNED.iter().any(|(pinned, _, _)| *pinned == key);
                if known { &mut wrong } else { &mut unknown }.push(line);
            }
        }
        assert_eq!(seen, specs().len(), "{text}");
    }
    assert!(wrong.is_empty(), "{CHANGED}:\n{}", wrong.join("\n"));
    // A machine of another kind is no fault of whoever tests on it; where changes land, all are pinned.
    let unknown = unknown.join("\n");
    println!("no hashes are pinned yet for these instructions:\n{unknown}");
    assert!(unknown.is_empty() || std::env::var_os("CI").is_none(), "{UNKNOWN}:\n{unknown}");
}

/// The hash sees a single bit, and the test fails for what is not pinned.
#[test]
fn another_seed_or_recipe_has_other_bits() {
    let (_, spec) = specs().remove(0);
    let before = bits(&spec, 1);
    let mut rate = spec.clone();
    rate.training.learning_rate *= 1.0 + 1e-6;
    for other in [RunSpec { seed: spec.seed + 1, ..spec.clone() }, rate] {
        assert_ne!(bits(&other, 1), before);
    }
}
