//! What NVIDIA's management library tells, by a stand-in for it that is compiled here.

use crate::support::{Place, place};
use std::path::PathBuf;
use std::process::Command;

/// A folder with the stand-in, to be searched for libraries.
fn library(place: &Place) -> PathBuf {
    let folder = place.path("lib");
    std::fs::create_dir_all(&folder).unwrap();
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cli/nvml.c");
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .args([&folder.join("libnvidia-ml.so.1"), &PathBuf::from(source)])
        .status();
    assert!(compiled.unwrap().success(), "a C compiler, which linking Rust needs too");
    folder
}

/// Every GPU of the machine is sampled, whatever trains.
#[test]
fn gpus_are_sampled() {
    let place = place();
    let mut train = place.command(&["train", "tiny.toml", "--set", "system_metrics=0.1"]);
    train.args(["--activation", "gelu", "--task", "images"]);
    train.args(["--set", "tasks.images.training.budget={ epochs = 40 }"]);
    train.env("LD_LIBRARY_PATH", library(&place));
    assert!(train.status().unwrap().success());
    let runs = std::fs::read_dir(place.path("results/tiny/runs")).unwrap();
    let run = runs.map(|entry| entry.unwrap().path()).find(|path| path.is_dir()).unwrap();
    let metrics = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let line = metrics.lines().find(|line| line.contains("utilization_percent"));
    let line = line.unwrap_or_else(|| panic!("no GPU was sampled:\n{metrics}"));
    let event: serde_json::Value = serde_json::from_str(line).unwrap();
    let gpus = find(&event, "gpus").unwrap();
    assert_eq!(gpus.as_array().unwrap().len(), 2);
    let second = &gpus[1];
    assert_eq!(second["index"], 1);
    assert_eq!(second["utilization_percent"], 41.0);
    assert_eq!(second["memory_bytes"], 2_u64 << 30);
    assert_eq!(second["memory_percent"], 25.0);
    assert_eq!(second["temperature_celsius"], 61.0);
    assert_eq!(second["power_watts"], 250.501);
    // The run is not on it.
    assert!(second.get("joules").is_none_or(serde_json::Value::is_null));
}

/// The value of `key` anywhere in `json`.
fn find<'a>(json: &'a serde_json::Value, key: &str) -> Option<&'a serde_json::Value> {
    match json {
        serde_json::Value::Object(map) => {
            map.get(key).or_else(|| map.values().find_map(|value| find(value, key)))
        }
        _ => None,
    }
}
