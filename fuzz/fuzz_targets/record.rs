//! Files of a run: record, metrics and predictions. The first byte chooses which.

#![no_main]

use libfuzzer_sys::fuzz_target;
use record::fuzzing::{metrics, predictions, record};

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, content)) = bytes.split_first() else { return };
    let _ = match kind % 3 {
        0 => record(content),
        1 => metrics(content),
        _ => predictions(content),
    };
});
