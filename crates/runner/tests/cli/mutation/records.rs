//! Files of a finished sweep with accidental changes. A record ends with its checksum, which stops most of them: so
//! some are sealed again after the change, and some have the early form without one.

use super::change::{Dice, change_json, damaged, mutated};
use super::survive::{Call, Case, survives};
use crate::support::{Place, place};
use record::{FileSum, RunRecord};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

const SMALL: &str = r#"
name = "small"
activations = ["relu", "gelu"]
seeds = [1, 2]
[tasks.t]
model = { name = "resnet", depth = 8, width = 2 }
data = { name = "fashion-mnist-mini", train_limit = 32 }
[tasks.t.training]
batch_size = 16
budget = { steps = 4 }
evaluate_every = 2
optimizer = { name = "sgd" }
learning_rate = 0.05
"#;

const WANDB: &str = r#"{ "id": "abcd1234", "url": "http://127.0.0.1/e/p/runs/abcd1234",
  "upload": { "attempt": 1, "events_base": 2, "output_base": 3, "complete": false } }"#;

const ATTEMPT: &str = r#"{ "token": "x", "host": "h", "process": 1, "started_unix": 1.0, "after_step": 2, "steps": 4 }"#;

/// Files of a run, and whether they hold one JSON value.
const FILES: &[(&str, bool)] = &[
    ("record.json", true),
    ("record.json", true),
    ("metrics.jsonl", false),
    ("predictions.csv", false),
    ("spec.json", true),
    ("attempt.json", true),
    ("wandb.json", true),
];

/// The form in which changed records are written.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Form {
    /// As the change leaves them: the checksum is that of the content before.
    Plain,
    /// With checksums that are right.
    Sealed,
    /// Without checksums, as early versions wrote them.
    Early,
}

/// Copies a folder and all below it.
pub(super) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(|entry| entry.unwrap()) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A place with a finished sweep, its report left out.
fn finished() -> Place {
    let place = place();
    place.write("small.toml", SMALL);
    place.run(&["sweep", "small.toml"]).ok();
    for entry in fs::read_dir(place.path("results/small")).unwrap().map(|entry| entry.unwrap()) {
        if !["runs", "sweep.json"].iter().any(|name| entry.file_name() == *name) {
            let path = entry.path();
            if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.unwrap();
        }
    }
    place
}

fn runs(place: &Place) -> Vec<PathBuf> {
    let folder = place.path("results/small/runs");
    let mut runs: Vec<_> = fs::read_dir(folder).unwrap().map(|run| run.unwrap().path()).collect();
    runs.sort();
    runs
}

/// Changes a text: mostly at one place, sometimes as a disk does. JSON often stays JSON.
fn changed(bytes: &[u8], is_json: bool, dice: &mut Dice) -> Vec<u8> {
    match dice.below(6) {
        0 => damaged(bytes.to_vec(), dice),
        1..=3 if is_json && let Ok(mut json) = serde_json::from_slice(bytes) => {
            for _ in 0..=dice.below(2) {
                change_json(&mut json, dice);
            }
            serde_json::to_vec_pretty(&json).unwrap()
        }
        _ => mutated(bytes, dice),
    }
}

/// The record of `run` in another form; nothing where it cannot have that.
fn reformed(run: &Path, form: Form) -> Option<Vec<u8>> {
    let mut json: Value = serde_json::from_slice(&fs::read(run.join("record.json")).ok()?).ok()?;
    let fields = json.as_object_mut()?;
    fields.remove("sha256");
    match form {
        Form::Plain => return None,
        Form::Early => drop(fields.remove("files")),
        Form::Sealed => {
            let files = fields.get_mut("files").and_then(Value::as_object_mut);
            for (name, sum) in files.into_iter().flatten() {
                let content = fs::read(run.join(name)).unwrap_or_default();
                *sum = serde_json::to_value(FileSum::of(&content)).ok()?;
            }
        }
    }
    if let Ok(record) = serde_json::from_value::<RunRecord>(json.clone())
        && form == Form::Sealed
    {
        return record.to_file().ok();
    }
    let mut text = serde_json::to_vec_pretty(&json).ok()?;
    if form == Form::Sealed {
        // As a record ends, whatever is in it.
        text.truncate(text.len() - 2);
        let digest: String =
            Sha256::digest(&text).iter().map(|byte| format!("{byte:02x}")).collect();
        text.extend(format!(",\n  \"sha256\": \"{digest}\"\n}}\n").bytes());
    }
    Some(text)
}

/// Changes files of one run; what was done, in words.
fn damage(run: &Path, dice: &mut Dice) -> String {
    fs::write(run.join("wandb.json"), WANDB).unwrap();
    let form = *dice.pick(&[Form::Plain, Form::Sealed, Form::Sealed, Form::Early]);
    if dice.below(6) == 0 {
        fs::remove_file(run.join("record.json")).unwrap();
        fs::write(run.join("attempt.json"), ATTEMPT).unwrap();
    }
    let mut said = format!("{form:?} ");
    for _ in 0..1 + dice.below(4) / 3 {
        let (name, is_json) = *dice.pick(FILES);
        let Ok(before) = fs::read(run.join(name)) else { continue };
        let after = changed(&before, is_json, dice);
        fs::write(run.join(name), &after).unwrap();
        said += &format!("{name}: {}\n", difference(&before, &after));
    }
    if let Some(record) = reformed(run, form) {
        fs::write(run.join("record.json"), record).unwrap();
    }
    said
}

/// The lines that differ, of a text that may be long.
fn difference(before: &[u8], after: &[u8]) -> String {
    let [before, after] = [before, after].map(String::from_utf8_lossy);
    let known: std::collections::BTreeSet<&str> = before.lines().collect();
    let new: Vec<&str> = after.lines().filter(|line| !known.contains(line)).take(6).collect();
    format!("{} bytes, new: {:.600}", after.len(), new.join(" | "))
}

/// What is done with a changed sweep. A report takes a second or two, since it draws pictures.
fn calls(run: &Path, dice: &mut Dice) -> Vec<Call> {
    let run = format!("results/small/runs/{}", run.file_name().unwrap().to_str().unwrap());
    match dice.below(16) {
        0 => vec![Call::new(&["report", "results/small"], &[0, 2])],
        1 => vec![Call::new(&["sweep", "small.toml", "--dry-run"], &[0, 1, 2])],
        2 => {
            // A spec that asks for more steps trains longer.
            let call = Call::new(&["rerun", &run, "--output", "reruns"], &[0, 1, 2]);
            vec![call.for_at_most(Duration::from_secs(5))]
        }
        _ => vec![
            Call::new(&["status", "results/small"], &[0, 2]),
            Call::new(&["compare", "results/small", "whole"], &[0, 2]),
        ],
    }
}

/// 100 cases, of one or two files of a run, and of `sweep.json`.
#[test]
fn changed_records_are_read_or_refused() {
    let whole = finished();
    survives(100, 4, |place, dice| {
        for name in ["results", "reruns"] {
            let _ = fs::remove_dir_all(place.path(name));
        }
        place.write("small.toml", SMALL);
        copy(&whole.path("results/small"), &place.path("results/small"));
        if !place.path("whole").exists() {
            copy(&whole.path("results/small"), &place.path("whole"));
        }
        let runs = runs(place);
        let run = dice.pick(&runs);
        let mut input = damage(run, dice);
        if dice.below(5) == 0 {
            let path = place.path("results/small/sweep.json");
            let before = fs::read(&path).unwrap();
            let after = changed(&before, true, dice);
            fs::write(&path, &after).unwrap();
            input += &format!("sweep.json: {}\n", difference(&before, &after));
        }
        Case { calls: calls(run, dice), input }
    });
}
