//! What reads the files of a run, for fuzzing: any bytes are read or refused, and nothing panics.

use crate::store::parse_record;
use crate::{Predictions, Timeline};
use std::path::Path;

/// Evaluations whose sites are read.
const MOST: usize = 20;

/// Whether `bytes` are a `record.json`.
#[must_use]
pub fn record(bytes: &[u8]) -> bool {
    parse_record(Path::new("record.json"), bytes).is_ok()
}

/// Whether `bytes` are a `metrics.jsonl`, as far as a report reads it.
#[must_use]
pub fn metrics(bytes: &[u8]) -> bool {
    Timeline::read(bytes, Path::new("metrics.jsonl"), MOST).is_ok()
}

/// Whether `bytes` are a `predictions.csv`.
#[must_use]
pub fn predictions(bytes: &[u8]) -> bool {
    Predictions::from_csv(bytes).is_ok()
}
