//! TensorBoard's event files. `scripts/check_tracking.py` reads them with its own reader.

use crate::support::Place;
use record::{Outcome, RunDir};
use std::path::Path;
use std::time::Duration;
use tracking::{RecordSource, Tracker, tensorboard};

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
    let folders: Vec<_> = std::fs::read_dir(&folder).unwrap().collect();
    assert_eq!(folders.len(), 1);
    let run = folders[0].as_ref().unwrap().path();
    // The label and the digits of the run's identity.
    let name = run.file_name().unwrap().to_str().unwrap();
    assert!(name.starts_with("gelu-images-s3-") && name.len() == 15 + 16, "{name}");
    let files: Vec<_> = std::fs::read_dir(&run).unwrap().collect();
    assert_eq!(files.len(), 1);
    let bytes = std::fs::read(files[0].as_ref().unwrap().path()).unwrap();
    // Version, hyper-parameters, 20 steps, 4 samples of the system, the end.
    assert_eq!(records(&bytes).len(), 2 + 20 + 4 + 1);
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.contains("brain.Event:2") && text.contains("_hparams_/session_start_info"));
}

/// Hands the finished runs in `dirs` to TensorBoard, where it lacks any of them.
fn complete(place: &Place, folder: &Path, dirs: &[&RunDir]) {
    let targets = vec![tensorboard::target(folder.to_owned())];
    let tracker = Tracker::start(targets, &place.notice()).unwrap();
    for dir in dirs.iter().filter(|dir| !tensorboard::is_complete(folder, dir)) {
        tracker.send_to(tensorboard::NAME, RecordSource::finished((*dir).clone()));
    }
    assert_eq!(tracker.finish(Duration::from_secs(30), &|| false), []);
}

/// Runs that differ in a learning rate alone have the same label.
#[test]
fn runs_of_one_label_leave_each_other_alone() {
    let place = Place::new();
    let folder = place.path().join("tensorboard");
    let mut dirs = Vec::new();
    for rate in [0.05, 0.1, 0.2] {
        let mut run = place.begin_with(101, |spec| spec.training.learning_rate = rate);
        run.step(1);
        run.finish(Outcome::Completed);
        dirs.push(run.dir);
    }
    std::fs::create_dir_all(folder.join("gelu-images-s101")).unwrap();
    std::fs::write(folder.join("gelu-images-s101/events.out.tfevents.1.other"), "").unwrap();
    complete(&place, &folder, &dirs.iter().collect::<Vec<_>>());
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 4);
    assert!(folder.join("gelu-images-s101/events.out.tfevents.1.other").exists());
    assert!(dirs.iter().all(|dir| tensorboard::is_complete(&folder, dir)));
}

/// As a killed process leaves it: cut anywhere.
#[test]
fn an_event_file_that_was_cut_off_is_completed() {
    let place = Place::new();
    let folder = place.path().join("tensorboard");
    for (seed, outcome) in [
        (1, Outcome::Completed),
        (2, Outcome::Failed { reason: "panic".into() }),
        (3, Outcome::Diverged { step: 3, reason: "the loss is not finite".into() }),
    ] {
        let mut run = place.begin(seed);
        (1..=3).for_each(|step| run.step(step));
        // An attempt that was interrupted has an end too.
        let tracker =
            Tracker::start(vec![tensorboard::target(folder.clone())], &place.notice()).unwrap();
        tracker.follow(&run.dir).end(130);
        assert_eq!(tracker.finish(Duration::from_secs(30), &|| false), []);
        (4..=6).for_each(|step| run.step(step));
        run.finish(outcome);
        assert!(!tensorboard::is_complete(&folder, &run.dir));
        complete(&place, &folder, &[&run.dir]);
        assert!(tensorboard::is_complete(&folder, &run.dir));
        let files = folder.join(run.dir.path().file_name().unwrap());
        let file = std::fs::read_dir(files).unwrap().next().unwrap().unwrap().path();
        let whole = std::fs::read(&file).unwrap();
        for end in (0..whole.len()).step_by(41) {
            std::fs::write(&file, &whole[..end]).unwrap();
            assert!(!tensorboard::is_complete(&folder, &run.dir), "{end}");
        }
        complete(&place, &folder, &[&run.dir]);
        assert_eq!(std::fs::read(&file).unwrap(), whole);
    }
}
