//! TensorBoard's event files. `scripts/check_tracking.py` reads them with its own reader.

use crate::support::Place;
use record::Outcome;
use std::time::Duration;
use tracking::{Tracker, tensorboard};

/// Lengths and checksums of the records of a file.
fn records(bytes: &[u8]) -> Vec<&[u8]> {
    let mut rest = bytes;
    let mut records = Vec::new();
    while !rest.is_empty() {
        let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
        records.push(&rest[12..12 + length]);
        rest = &rest[16 + length..];
    }
    records
}

#[test]
fn a_run_has_one_file_however_often_it_begins() {
    let place = Place::new();
    let folder = place.path().join("tensorboard");
    for steps in [30, 20] {
        let targets = vec![tensorboard::target(folder.clone())];
        let tracker = Tracker::start(targets, &place.notice()).unwrap();
        let mut run = place.begin(3);
        let following = tracker.follow(&run.dir);
        (1..=steps).for_each(|step| run.step(step));
        run.finish(Outcome::Completed);
        following.end(0);
        assert_eq!(tracker.finish(Duration::from_secs(30), &|| false), []);
        // Names of files go by the second.
        std::thread::sleep(Duration::from_millis(1100));
    }
    let files: Vec<_> = std::fs::read_dir(folder.join("gelu-images-s3")).unwrap().collect();
    assert_eq!(files.len(), 1);
    let bytes = std::fs::read(files[0].as_ref().unwrap().path()).unwrap();
    // Version, hyper-parameters, 20 steps, 4 samples of the system, the end.
    assert_eq!(records(&bytes).len(), 2 + 20 + 4 + 1);
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.contains("brain.Event:2") && text.contains("_hparams_/session_start_info"));
}
