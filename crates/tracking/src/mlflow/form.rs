//! The forms in which MLflow takes what a run says.

use crate::event::Run;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// Characters of a key, of a parameter's value and of a tag's value that every server takes.
const LONGEST_KEY: usize = 250;
const LONGEST_PARAMETER: usize = 6000;
const LONGEST_TAG: usize = 5000;

/// Tag by which a run is found again: the id of its spec.
pub(super) const RUN_ID: &str = "actlab.run_id";
/// Tag with the name of the sweep.
pub(super) const SWEEP: &str = "sweep";

/// One value of a metric.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sample {
    pub(super) key: String,
    pub(super) value: f64,
    /// Milliseconds since 1970 (UTC).
    pub(super) timestamp: i64,
    pub(super) step: i64,
}

impl Sample {
    pub(super) fn new(name: &str, value: f64, time: f64, step: u64) -> Self {
        let step = i64::try_from(step).unwrap_or(i64::MAX);
        Self { key: key(name), value, timestamp: milliseconds(time), step }
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "key": self.key,
            "value": number(self.value),
            "timestamp": self.timestamp,
            "step": self.step,
        })
    }
}

/// A time in milliseconds, in which MLflow counts.
#[expect(clippy::cast_possible_truncation, reason = "times of this century")]
pub(super) fn milliseconds(time: f64) -> i64 {
    (time * 1e3).round() as i64
}

/// A number as protocol buffers have it in JSON: NaN and infinities are texts.
fn number(value: f64) -> Value {
    if value.is_nan() {
        "NaN".into()
    } else if value.is_infinite() {
        if value > 0.0 { "Infinity".into() } else { "-Infinity".into() }
    } else {
        value.into()
    }
}

/// A key that MLflow takes: letters, digits, `_`, `-`, `.`, `:`, spaces, and slashes between names that are no
/// steps of a path. Those that had to be changed differ by a hash.
pub(super) fn key(name: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "_-. :/".contains(c);
    let mut text: String = name.chars().map(|c| if plain(c) { c } else { '_' }).collect();
    let is_path = |part: &str| part.is_empty() || part == "." || part == "..";
    if text.split('/').any(is_path) {
        let parts = text.split('/').map(|part| if is_path(part) { "_" } else { part });
        text = parts.collect::<Vec<_>>().join("/");
    }
    let long = text.chars().count() > LONGEST_KEY;
    if text == name && !long {
        return text;
    }
    let hash: String =
        Sha256::digest(name.as_bytes()).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    cut(&text, LONGEST_KEY - 1 - hash.len()) + "-" + &hash
}

fn cut(text: &str, length: usize) -> String {
    text.chars().take(length).collect()
}

fn pair(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": value })
}

/// The parameters of a run: its configuration, with the names of nested tables joined by dots.
pub(super) fn parameters(config: &Map<String, Value>) -> Vec<(String, String)> {
    let mut parameters = Vec::new();
    for (name, value) in config {
        flatten(name, value, &mut parameters);
    }
    parameters
}

fn flatten(name: &str, value: &Value, parameters: &mut Vec<(String, String)>) {
    let text = match value {
        Value::Null => return,
        Value::Object(table) => {
            for (part, value) in table {
                flatten(&format!("{name}.{part}"), value, parameters);
            }
            return;
        }
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    parameters.push((key(name), cut(&text, LONGEST_PARAMETER)));
}

pub(super) fn parameters_json(parameters: &[(String, String)]) -> Value {
    parameters.iter().map(|(name, value)| pair(name, value)).collect()
}

/// The id by which a run is found again: that of its spec, or its name where it has none.
pub(super) fn run_id(run: &Run) -> &str {
    run.config.get("run_id").and_then(Value::as_str).unwrap_or(&run.name)
}

/// The tags that a run has from its beginning.
pub(super) fn tags(run: &Run) -> Vec<Value> {
    let config = |name: &str| match run.config.get(name) {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    let commit = run.environment.as_ref().and_then(|environment| environment.git.as_ref());
    let tags = [
        (RUN_ID, Some(run_id(run).to_owned())),
        (SWEEP, Some(run.group.clone())),
        ("job_type", Some(run.job_type.clone())),
        ("activation", config("activation")),
        ("task", config("task")),
        ("model", config("model_name")),
        ("seed", config("seed")),
        ("mlflow.source.name", Some("actlab".to_owned())),
        ("mlflow.source.type", Some("LOCAL".to_owned())),
        ("mlflow.source.git.commit", commit.map(|git| git.commit.clone())),
    ];
    tags.into_iter().filter_map(|(name, value)| Some(tag(name, &value?))).collect()
}

pub(super) fn tag(name: &str, value: &str) -> Value {
    pair(name, &cut(value, LONGEST_TAG))
}

/// The status of a run that ended with `exit_code`.
pub(super) fn status(exit_code: i32) -> &'static str {
    match exit_code {
        0 => "FINISHED",
        130 => "KILLED",
        _ => "FAILED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_those_that_the_server_takes() {
        for same in ["train/loss", "sites/layers.0.mlp/dead", "a b:c", "é"] {
            assert_eq!(key(same), same);
        }
        let changed = ["a[0]", "a(0)", "/a", "a/", "a//b", "a/../b", "", "..", &"x".repeat(251)];
        let mut keys: Vec<String> = changed.iter().map(|name| key(name)).collect();
        for key in &keys {
            assert!(key.chars().count() <= LONGEST_KEY, "{key}");
            assert!(
                !key.contains(['[', '(']) && !key.contains("..") && !key.contains("//"),
                "{key}"
            );
            assert!(!key.starts_with('/') && !key.ends_with('/'), "{key}");
        }
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), changed.len(), "{keys:?}");
    }

    #[test]
    fn numbers_that_json_lacks_are_texts() {
        let json = |value| Sample::new("a", value, 1.5, 3).to_json();
        assert_eq!(json(f64::NAN)["value"], "NaN");
        assert_eq!(json(f64::INFINITY)["value"], "Infinity");
        assert_eq!(json(f64::NEG_INFINITY)["value"], "-Infinity");
        let plain = json!({ "key": "a", "value": 0.25, "timestamp": 1500, "step": 3 });
        assert_eq!(json(0.25), plain);
    }

    #[test]
    fn parameters_are_flat_and_cut() {
        let config = json!({
            "task": "images",
            "training": { "learning_rate": 0.1, "optimizer": { "name": "sgd" }, "clip_norm": null },
            "sites": ["a", "b"],
            "long": "é".repeat(7000),
        });
        let Value::Object(config) = config else { unreachable!() };
        let parameters: std::collections::BTreeMap<_, _> =
            parameters(&config).into_iter().collect();
        assert_eq!(parameters["training.learning_rate"], "0.1");
        assert_eq!(parameters["training.optimizer.name"], "sgd");
        assert_eq!(parameters["sites"], r#"["a","b"]"#);
        assert_eq!(parameters["long"].chars().count(), 6000);
        assert!(!parameters.contains_key("training.clip_norm"));
    }
}
