//! A server that does as it should.

use crate::support::{Place, Written, pace};
use record::Outcome;
use serde_json::json;
use std::time::{Duration, Instant};
use tracking::wandb::{Mode, note, target};
use tracking::{Pace, ReportSource, Tracker};
use tracking_testing::{Server, calm};

fn tracker(place: &Place, server: &Server, pace: Pace) -> Tracker {
    let settings = place.settings(Mode::Online, &server.url());
    let target = target(&settings, pace, &place.notice()).unwrap();
    Tracker::start(vec![target], &place.notice()).unwrap()
}

fn train(place: &Place, tracker: &Tracker, steps: u64, outcome: Outcome) -> Written {
    let mut run = place.begin(3);
    let following = tracker.follow(&run.dir);
    (1..=steps).for_each(|step| run.step(step));
    run.finish(outcome.clone());
    following.end(tracking::exit_code(&outcome));
    run
}

const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn everything_of_a_run_arrives() {
    let (place, server) = (Place::new(), Server::start(calm()));
    let tracker = tracker(&place, &server, pace());
    let run = train(&place, &tracker, 25, Outcome::Completed);
    std::fs::write(place.path().join("report.md"), "# Report").unwrap();
    tracker.send(|| ReportSource::new("sweep", place.path().to_owned(), &["report.md", "none"]));
    assert_eq!(tracker.finish(PATIENCE, &|| false), []);

    let received = server.received();
    assert_eq!(received.faults, [""; 0]);
    let note = note(&run.dir).unwrap().unwrap();
    let theirs = &received.runs[&note.id];
    run.assert_history(&theirs.history());
    assert_eq!(theirs.variables["displayName"], "gelu-images-s3");
    assert_eq!(theirs.variables["groupName"], "sweep");
    assert_eq!(theirs.variables["jobType"], "train");
    assert_eq!(theirs.variables["project"], "actlab");
    assert_eq!(theirs.variables["tags"], json!(["mine", "gelu", "images", "resnet-20"]));
    let config = theirs.config();
    assert_eq!(config["activation"], "gelu");
    assert_eq!(config["training"]["learning_rate"], 0.1);
    assert_eq!(config["parameters"], 10);
    let summary = theirs.summary();
    assert_eq!(summary["outcome"], "completed");
    assert_eq!(summary["energy_joules"], 12.5);
    assert_eq!(summary["train/gradient_norm"], json!(3.0 / 25.0));
    assert_eq!(summary["_step"], 25);
    assert!(summary["_wandb"]["runtime"].as_u64().unwrap() >= 1);
    let events = theirs.events();
    assert_eq!(events.len(), 5);
    assert_eq!(events[4]["system.cpu.total_percent"], 25.0);
    assert_eq!(events[4]["_wandb"], true);
    assert_eq!(theirs.lines["output.log"].len(), 2);
    assert!(theirs.lines["output.log"][1].ends_with("Z step 20"));
    assert_eq!(theirs.exit_code, Some(0));
    let mut names: Vec<_> = theirs.files.keys().map(String::as_str).collect();
    names.sort_unstable();
    let expected =
        ["config.yaml", "record.json", "spec.json", "wandb-metadata.json", "wandb-summary.json"];
    assert_eq!(names, expected);
    let mut uploaded = theirs.uploaded.clone();
    uploaded.sort_unstable();
    assert_eq!(uploaded, expected);
    let yaml = String::from_utf8(theirs.files["config.yaml"].clone()).unwrap();
    assert!(yaml.contains("\"activation\":\n    value: \"gelu\"\n"), "{yaml}");

    let url = format!("{}/someone/actlab/runs/{}", server.url(), note.id);
    assert_eq!(note.url.as_deref(), Some(url.as_str()));
    assert!(place.said().contains(&format!("W&B: gelu-images-s3: {url}")), "{:?}", place.said());
    assert!(note.upload.unwrap().complete);

    let (_, report) =
        received.runs.iter().find(|(_, run)| run.variables["jobType"] == "report").unwrap();
    assert_eq!(report.variables["displayName"], "sweep-report");
    assert_eq!(report.files["report.md"], b"# Report");
    assert_eq!(report.exit_code, Some(0));
    drop(received);
    place.assert_no_key();
}

#[test]
fn lines_are_sent_many_at_a_time_and_a_quiet_run_shows_that_it_lives() {
    let (place, server) = (Place::new(), Server::start(calm()));
    let tracker = tracker(&place, &server, pace());
    let mut run = place.begin(1);
    let following = tracker.follow(&run.dir);
    let began = Instant::now();
    (1..=300).for_each(|step| {
        run.step(step);
        std::thread::sleep(Duration::from_millis(1));
    });
    let streams = began.elapsed().as_millis() / pace().interval.as_millis() + 2;
    std::thread::sleep(pace().heartbeat * 3);
    run.finish(Outcome::Completed);
    following.end(0);
    assert_eq!(tracker.finish(PATIENCE, &|| false), []);
    let received = server.received();
    let theirs = received.runs.values().next().unwrap();
    run.assert_history(&theirs.history());
    // One at once, one an interval, one at the end.
    assert!((theirs.streams as u128) <= streams + 2, "{} > {streams}", theirs.streams);
    assert!(theirs.heartbeats >= 1, "{}", theirs.heartbeats);
}

#[test]
fn a_run_that_failed_says_so_and_one_that_diverged_is_a_result() {
    for (outcome, code) in [
        (Outcome::Failed { reason: "panic".into() }, 1),
        (Outcome::Diverged { step: 3, reason: "the loss is not finite".into() }, 0),
    ] {
        let (place, server) = (Place::new(), Server::start(calm()));
        let tracker = tracker(&place, &server, pace());
        train(&place, &tracker, 3, outcome);
        assert_eq!(tracker.finish(PATIENCE, &|| false), []);
        let received = server.received();
        assert_eq!(received.runs.values().next().unwrap().exit_code, Some(code));
    }
}

/// As where its thread panics.
#[test]
fn a_run_that_never_ends_is_not_waited_for() {
    let (place, server) = (Place::new(), Server::start(calm()));
    let tracker = tracker(&place, &server, pace());
    let mut run = place.begin(1);
    let following = tracker.follow(&run.dir);
    (1..=3).for_each(|step| run.step(step));
    drop(following);
    assert_eq!(tracker.finish(PATIENCE, &|| false), []);
    let received = server.received();
    let theirs = received.runs.values().next().unwrap();
    // More of its last step may come: it is told when the run is resumed.
    run.history.pop();
    run.assert_history(&theirs.history());
    assert_eq!(theirs.exit_code, Some(1));
}

/// The same spec gives the same lines, so those that the server has are not sent again.
#[test]
fn a_run_that_begins_anew_goes_on_where_the_server_is() {
    for tells_all_counts in [true, false] {
        let (place, server) = (Place::new(), Server::start(calm()));
        server.received().tells_all_counts = tells_all_counts;
        let tracker1 = tracker(&place, &server, pace());
        let mut run = place.begin(3);
        let following = tracker1.follow(&run.dir);
        (1..=15).for_each(|step| run.step(step));
        following.end(130);
        assert_eq!(tracker1.finish(PATIENCE, &|| false), []);
        let id = note(&run.dir).unwrap().unwrap().id;
        assert_eq!(server.received().runs[&id].exit_code, Some(130));

        let tracker2 = tracker(&place, &server, pace());
        let run = train(&place, &tracker2, 30, Outcome::Completed);
        assert_eq!(tracker2.finish(PATIENCE, &|| false), []);
        assert_eq!(note(&run.dir).unwrap().unwrap().id, id);
        let received = server.received();
        assert_eq!(received.runs.len(), 1);
        let theirs = &received.runs[&id];
        assert_eq!(theirs.begun, 2);
        run.assert_history(&theirs.history());
        // What the machine did while both went on.
        let events = if tells_all_counts { 3 + 6 } else { 6 };
        assert_eq!(theirs.events().len(), events);
        assert_eq!(theirs.exit_code, Some(0));
    }
}
