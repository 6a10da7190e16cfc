//! What a sweep file holds.

use serde::Deserialize;
use serde_json::{Map, Value};
use std::path::PathBuf;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) program: PathBuf,
    pub(super) method: String,
    #[serde(default)]
    pub(super) metric: Option<Metric>,
    pub(super) parameters: Map<String, Value>,
    #[serde(default)]
    pub(super) early_terminate: Option<EarlyTerminate>,
    #[serde(default)]
    pub(super) run_cap: Option<u64>,
    #[serde(default)]
    pub(super) name: Option<String>,
    #[serde(default)]
    pub(super) description: Option<String>,
    #[serde(default)]
    pub(super) project: Option<String>,
    #[serde(default)]
    pub(super) entity: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Metric {
    pub(super) name: String,
    #[serde(default)]
    pub(super) goal: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EarlyTerminate {
    #[serde(rename = "type")]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) min_iter: Option<f64>,
    #[serde(default)]
    pub(super) max_iter: Option<f64>,
    #[serde(default)]
    pub(super) s: Option<f64>,
    #[serde(default)]
    pub(super) eta: Option<f64>,
    #[serde(default)]
    pub(super) strict: Option<bool>,
}
