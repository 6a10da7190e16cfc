//! Offline directories.

use crate::support::{Place, pace};
use record::Outcome;
use std::time::Duration;
use tracking::Tracker;
use tracking::wandb::{LogSource, Mode, target};

#[test]
fn a_run_that_begins_anew_has_one_directory() {
    let place = Place::new();
    let settings = place.settings(Mode::Offline, "http://127.0.0.1:9");
    for (steps, finished) in [(10, false), (20, true)] {
        let target = target(&settings, pace(), &place.notice()).unwrap();
        let tracker = Tracker::start(vec![target], &place.notice()).unwrap();
        let mut run = place.begin(1);
        let following = tracker.follow(&run.dir);
        (1..=steps).for_each(|step| run.step(step));
        if finished {
            run.finish(Outcome::Completed);
        }
        following.end(if finished { 0 } else { 130 });
        assert_eq!(tracker.finish(Duration::from_secs(30), &|| false), []);
    }
    let directories: Vec<_> = std::fs::read_dir(&settings.dir).unwrap().collect();
    assert_eq!(directories.len(), 1);
    let directory = directories[0].as_ref().unwrap().path();
    let name = directory.file_name().unwrap().to_str().unwrap();
    assert!(name.starts_with("offline-run-20"), "{name}");
    assert!(!LogSource::open(&directory).unwrap().is_synced());
    let summary = std::fs::read_to_string(directory.join("files/wandb-summary.json")).unwrap();
    assert!(summary.contains("\"outcome\":\"completed\""), "{summary}");
}

#[test]
fn a_folder_of_something_else_is_refused() {
    let place = Place::new();
    let error = LogSource::open(place.path()).unwrap_err().to_string();
    assert!(error.contains("there is no run-ID.wandb in it"), "{error}");
}
