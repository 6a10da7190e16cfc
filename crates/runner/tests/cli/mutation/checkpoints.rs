//! Checkpoints with accidental changes and the right checksum: a sweep continues from one that its run can have left,
//! and begins the run anew otherwise.

use super::change::{Dice, change_json, damaged, mutated};
use super::records::copy;
use super::survive::{Call, Case, survives};
use crate::damage::interrupt_at;
use crate::support::{Place, place};
use record::RunDir;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::fs;
use std::path::PathBuf;

const LONG: &str = r#"
name = "small"
activations = ["relu"]
seeds = [1]
checkpoint_every = 0.001
[tasks.t]
model = { name = "resnet", depth = 8, width = 2 }
data = { name = "fashion-mnist-mini", train_limit = 64 }
[tasks.t.training]
batch_size = 16
budget = { steps = 24 }
evaluate_every = 6
optimizer = { name = "sgd" }
learning_rate = 0.05
"#;

fn run(place: &Place) -> RunDir {
    let folder = place.path("results/small/runs");
    RunDir::at(fs::read_dir(folder).unwrap().next().unwrap().unwrap().path())
}

/// Writes `bytes` as a checkpoint after `step`, with the right name, in the place of all others.
fn replace(run: &RunDir, step: u64, length: usize, bytes: &[u8]) -> PathBuf {
    let mut metrics = fs::read(run.path().join("metrics.jsonl")).unwrap();
    metrics.truncate(length);
    let digest = Sha256::new_with_prefix(&metrics).chain_update(bytes).finalize();
    let digits: String = digest[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    run.remove_checkpoints().unwrap();
    let path = run.path().join(format!("checkpoint-{step}-{length}-{digits}.safetensors"));
    fs::write(&path, bytes).unwrap();
    path
}

/// The header of a file of safetensors, and what follows.
fn parts(bytes: &[u8]) -> (Value, &[u8]) {
    let (length, rest) = bytes.split_first_chunk::<8>().unwrap();
    let (header, tensors) = rest.split_at(usize::try_from(u64::from_le_bytes(*length)).unwrap());
    (serde_json::from_slice(header).unwrap(), tensors)
}

fn joined(header: &[u8], tensors: &[u8]) -> Vec<u8> {
    let mut header = header.to_vec();
    header.resize(header.len().next_multiple_of(8), b' ');
    [&(header.len() as u64).to_le_bytes()[..], &header, tensors].concat()
}

/// Changes the progress, the list of tensors, the header's text, or any byte.
fn changed(bytes: &[u8], dice: &mut Dice) -> Vec<u8> {
    let (mut header, tensors) = parts(bytes);
    match dice.below(6) {
        0 => damaged(bytes.to_vec(), dice),
        1 => joined(&mutated(header.to_string(), dice), tensors),
        2 => {
            change_json(&mut header, dice);
            joined(header.to_string().as_bytes(), tensors)
        }
        kind => {
            let text = header["__metadata__"]["progress"].as_str().unwrap();
            let mut progress: Value = serde_json::from_str(text).unwrap();
            change_json(&mut progress, dice);
            let text = if kind == 3 {
                String::from_utf8_lossy(&mutated(text, dice)).into_owned()
            } else {
                progress.to_string()
            };
            header["__metadata__"]["progress"] = text.into();
            joined(header.to_string().as_bytes(), tensors)
        }
    }
}

/// 8 cases, each of which trains a network.
#[test]
fn changed_checkpoints_cost_no_sweep() {
    let stopped = place();
    stopped.write("small.toml", LONG);
    interrupt_at(&stopped, 8);
    let newest = run(&stopped).checkpoints().unwrap().remove(0);
    let bytes = fs::read(newest.path()).unwrap();
    survives(8, 6, |place, dice| {
        let _ = fs::remove_dir_all(place.path("results"));
        place.write("small.toml", LONG);
        copy(&stopped.path("results"), &place.path("results"));
        let after = changed(&bytes, dice);
        let length = usize::try_from(newest.metrics_bytes).unwrap();
        let (step, length) = match dice.below(8) {
            0 => (u64::MAX, length),
            1 => (newest.step, dice.below(length)),
            _ => (newest.step, length),
        };
        replace(&run(place), step, length, &after);
        let header = String::from_utf8_lossy(&after[..after.len().min(4000)]).into_owned();
        let input = format!("step {step}, {length} bytes of metrics\n{header}");
        Case { calls: vec![Call::new(&["sweep", "small.toml"], &[0, 1])], input }
    });
}

fn predictions(place: &Place) -> String {
    fs::read_to_string(run(place).path().join("predictions.csv")).unwrap()
}

/// What is no state of the run is told and left out: the run begins anew, or from an older checkpoint, and ends in the
/// same bits.
#[test]
fn a_checkpoint_that_the_run_cannot_have_left_changes_no_result() {
    let calm = place();
    calm.write("small.toml", LONG);
    calm.run(&["sweep", "small.toml"]).ok();
    let place = place();
    place.write("small.toml", LONG);
    interrupt_at(&place, 8);
    let stopped = place.path("stopped");
    copy(&place.path("results"), &stopped);
    let changes: [(&str, Value, &str); 3] = [
        (
            "/summary/steps",
            u64::MAX.into(),
            "it is of step 18446744073709551615, and its name says",
        ),
        ("/updates", Value::Object(serde_json::Map::new()), "`updates` lacks `"),
        ("/order", "0".repeat(64).into(), "`order` is not the checksum of the"),
    ];
    for (i, (path, value, words)) in changes.into_iter().enumerate() {
        fs::remove_dir_all(place.path("results")).unwrap();
        copy(&stopped, &place.path("results"));
        let files = run(&place).checkpoints().unwrap();
        let bytes = fs::read(files[0].path()).unwrap();
        let (mut header, tensors) = parts(&bytes);
        let text = header["__metadata__"]["progress"].as_str().unwrap();
        let mut progress: Value = serde_json::from_str(text).unwrap();
        *progress.pointer_mut(path).unwrap() = value;
        header["__metadata__"]["progress"] = progress.to_string().into();
        let bytes = joined(header.to_string().as_bytes(), tensors);
        let older = (i > 0).then(|| (files[1].path(), fs::read(files[1].path()).unwrap()));
        let length = usize::try_from(files[0].metrics_bytes).unwrap();
        replace(&run(&place), files[0].step, length, &bytes);
        if let Some((path, bytes)) = &older {
            fs::write(path, bytes).unwrap();
        }
        let said = place.run(&["sweep", "small.toml"]);
        assert!(said.err.contains(words), "{}", said.err);
        let next = if older.is_some() { "an older checkpoint is tried" } else { "begins anew" };
        assert!(said.err.contains(next), "{}", said.err);
        said.ok();
        assert_eq!(predictions(&place), predictions(&calm), "{path}");
    }
}
