//! The forms in which W&B takes what a run says, over HTTP and in files alike.

use super::Settings;
use crate::event::{Metric, Point, Run};
use chrono::{DateTime, SecondsFormat};
use indexmap::IndexMap;
use serde_json::{Map, Value, json};

/// A run's own clock.
const STEP: &str = "_step";
const TIMESTAMP: &str = "_timestamp";
const RUNTIME: &str = "_runtime";

/// Names and values in JSON, in the order in which they came. As in W&B's own client, the values may be
/// `NaN`, `Infinity` and `-Infinity`, which JSON proper lacks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Row(IndexMap<String, String>);

impl Row {
    fn set(&mut self, key: impl Into<String>, value: impl Into<Value>) {
        self.0.insert(key.into(), value.into().to_string());
    }

    fn set_number(&mut self, key: impl Into<String>, value: f64) {
        self.0.insert(key.into(), number(value));
    }

    /// Lays `row` over what is there.
    pub(super) fn add(&mut self, row: &Self) {
        for (key, value) in &row.0 {
            self.0.insert(key.clone(), value.clone());
        }
    }

    /// Names, and values in JSON.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    pub(super) fn to_json(&self) -> String {
        let mut text = String::from("{");
        for (key, value) in self.iter() {
            if text.len() > 1 {
                text.push(',');
            }
            text += &Value::from(key).to_string();
            text.push(':');
            text += value;
        }
        text.push('}');
        text
    }
}

/// A number as W&B's own client writes it.
pub(super) fn number(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "Infinity".to_owned() } else { "-Infinity".to_owned() }
    } else {
        Value::from(value).to_string()
    }
}

/// The number that [`number`] wrote, where it is none of JSON.
pub(super) fn special_number(text: &str) -> Option<f64> {
    match text {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

/// Figures of a summary.
pub(super) fn row_of(values: &[(String, Metric)]) -> Row {
    let mut row = Row::default();
    for (name, metric) in values {
        set_metric(&mut row, name, metric);
    }
    row
}

fn set_metric(row: &mut Row, name: &str, metric: &Metric) {
    match metric {
        Metric::Number(value) => row.set_number(name, *value),
        Metric::Histogram(histogram) => row.set(
            name,
            json!({
                "_type": "histogram",
                "bins": histogram.edges(),
                "values": histogram.counts,
            }),
        ),
        Metric::Json(value) => row.set(name, value.clone()),
    }
}

/// A line of history.
pub(super) fn history(point: &Point, started: f64) -> Row {
    let mut row = Row::default();
    row.set(STEP, point.step);
    row.set_number(TIMESTAMP, point.time);
    row.set_number(RUNTIME, runtime(point.time, started));
    row.add(&row_of(&point.metrics));
    row
}

/// What a summary says of a run that ends at `time`: W&B's page takes the duration from there.
#[expect(clippy::cast_possible_truncation, reason = "seconds of a run")]
pub(super) fn ending(time: f64, started: f64) -> Row {
    let mut row = Row::default();
    row.set("_wandb", json!({ "runtime": runtime(time, started) as i64 }));
    row
}

/// Seconds since the run began.
pub(super) fn runtime(time: f64, started: f64) -> f64 {
    (time - started).max(0.0)
}

/// A line of system metrics.
pub(super) fn system(time: f64, started: f64, figures: &[(String, f64)]) -> Row {
    let mut row = Row::default();
    row.set("_wandb", true);
    row.set_number(TIMESTAMP, time);
    row.set_number(RUNTIME, runtime(time, started));
    for (name, value) in figures {
        row.set_number(format!("system.{name}"), *value);
    }
    row
}

/// A line of output, as W&B's page shows it.
pub(super) fn output(time: f64, line: &str) -> String {
    format!("{} {line}", moment(time))
}

/// A time as people and W&B write it (RFC 3339, UTC).
#[expect(clippy::cast_possible_truncation, reason = "times of this century")]
fn moment(time: f64) -> String {
    let moment = DateTime::from_timestamp_micros((time * 1e6) as i64).unwrap_or_default();
    moment.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// A time as a part of a directory's name.
#[expect(clippy::cast_possible_truncation, reason = "times of this century")]
pub(super) fn moment_in_names(time: f64) -> String {
    let moment = DateTime::from_timestamp_micros((time * 1e6) as i64).unwrap_or_default();
    moment.format("%Y%m%d_%H%M%S").to_string()
}

/// The configuration as W&B's interface takes it: each value in a wrapper.
pub(super) fn config(run: &Run) -> Map<String, Value> {
    let wrap = |value: &Value| json!({ "value": value });
    let mut map: Map<String, Value> =
        run.config.iter().map(|(key, value)| (key.clone(), wrap(value))).collect();
    map.insert("_wandb".into(), wrap(&json!({ "cli_version": producer() })));
    map
}

/// `config.yaml`. A value in JSON is one in YAML too.
pub(super) fn config_yaml(run: &Run) -> Vec<u8> {
    let mut text = String::new();
    for (key, wrapped) in config(run) {
        text += &format!("{}:\n    value: {}\n", Value::from(key), wrapped["value"]);
    }
    text.into_bytes()
}

/// `wandb-metadata.json`: the machine and the program.
pub(super) fn metadata(run: &Run) -> Vec<u8> {
    let mut metadata = json!({
        "startedAt": moment(run.started),
        "program": "actlab",
        "host": host(),
    });
    if let Some(environment) = &run.environment {
        let more = json!({
            "os": environment.os,
            "actlab": environment.actlab,
            "rustc": environment.rustc,
            "target": environment.target,
            "features": environment.features,
            "cpu": environment.cpu,
            "cpu_count_logical": environment.cores,
            "memory": { "total": environment.memory_bytes.map(|bytes| bytes.to_string()) },
            "device": environment.device,
            "threads": environment.threads,
            "cargo_lock_sha256": environment.lock_sha256,
            "git": environment.git.as_ref().map(|git| json!({ "commit": git.commit, "dirty": git.dirty })),
        });
        if let (Value::Object(metadata), Value::Object(more)) = (&mut metadata, more) {
            metadata.extend(more.into_iter().filter(|(_, value)| !value.is_null()));
        }
    }
    let mut bytes = serde_json::to_vec_pretty(&metadata).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

/// Name of this machine.
pub(super) fn host() -> String {
    sysinfo::System::host_name().unwrap_or_default()
}

/// Who writes.
pub(super) fn producer() -> String {
    concat!("actlab ", env!("CARGO_PKG_VERSION")).to_owned()
}

/// The commit that the program was built from.
pub(super) fn commit(run: &Run) -> Option<&str> {
    let git = run.environment.as_ref()?.git.as_ref()?;
    Some(&git.commit)
}

/// Words to find the run by: the user's and its own.
pub(super) fn tags(run: &Run, settings: &Settings) -> Vec<String> {
    let mut tags = settings.tags.clone();
    // W&B refuses longer ones.
    let short = |tag: &String| tag.chars().take(64).collect::<String>();
    tags.extend(run.tags.iter().map(short));
    let mut seen = std::collections::HashSet::new();
    tags.retain(|tag| seen.insert(tag.clone()));
    tags
}

/// The group of the run.
pub(super) fn group<'a>(run: &'a Run, settings: &'a Settings) -> &'a str {
    settings.group.as_deref().unwrap_or(&run.group)
}
