//! Runs on their way to an MLflow tracking server.

use crate::support::{HANG, Place, Written, pace, train};
use record::Outcome;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tracking::mlflow::{Flag, Settings, SinkRequest, note, target};
use tracking::{Configured, Environment, Leftover, RecordSource, Tracker};
use tracking_testing::{Fault, KEY, Mlflow, MlflowRun, Plan, Request, Seeded, Server, calm};

const PATIENCE: Duration = Duration::from_secs(60);

fn settings(url: &str) -> Settings {
    let variable = |name: &str| (name == "MLFLOW_TRACKING_TOKEN").then(|| KEY.to_owned());
    let request = SinkRequest { flag: Some(Flag::Uri(url.to_owned())), table: None };
    Settings::resolve(&request, &Environment { variable: &variable, home: None }).unwrap().unwrap()
}

fn tracker(place: &Place, url: &str) -> Tracker {
    let target = target(&settings(url), pace(), &place.notice()).unwrap();
    Tracker::start(vec![target], &place.notice()).unwrap()
}

/// The run on the server that the note names.
fn theirs(server: &Server<Mlflow>, run: &Written) -> MlflowRun {
    let id = note(&run.dir).unwrap().unwrap().id.unwrap();
    server.received().runs[&id].clone()
}

/// Steps and values of each metric that must arrive.
fn expected(run: &Written) -> BTreeMap<String, Vec<(i64, Value)>> {
    let mut metrics: BTreeMap<String, Vec<(i64, Value)>> = BTreeMap::new();
    for row in &run.history {
        let step = row["_step"].as_i64().unwrap();
        for (name, value) in row.iter().filter(|(name, _)| !name.starts_with('_')) {
            if value.is_number() || value.is_string() {
                metrics.entry(name.clone()).or_default().push((step, value.clone()));
            }
        }
    }
    metrics
}

fn assert_history(theirs: &MlflowRun, run: &Written) {
    for (name, values) in expected(run) {
        let got: Vec<(i64, Value)> =
            theirs.metrics[&name].iter().map(|(step, _, value)| (*step, value.clone())).collect();
        assert_eq!(got, values, "{name}");
        assert!(theirs.metrics[&name].iter().all(|(_, time, _)| *time > 1_700_000_000_000));
    }
    let samples = &theirs.metrics["system/cpu.total_percent"];
    let steps: Vec<i64> = samples.iter().map(|(step, ..)| *step).collect();
    assert_eq!(steps, (0..i64::try_from(run.history.len() / 5).unwrap()).collect::<Vec<_>>());
}

/// Every value of every run, once and in order, and all that belongs to a run.
fn assert_whole(server: &Server<Mlflow>, runs: &[Written]) {
    assert_eq!(server.received().faults, [""; 0]);
    assert_eq!(server.received().runs.len(), runs.len());
    for run in runs {
        let theirs = theirs(server, run);
        assert_history(&theirs, run);
        let seed = run.spec.seed.to_string();
        let id = run.spec.id().to_string();
        for (name, value) in [
            ("actlab.run_id", id.as_str()),
            ("sweep", "sweep"),
            ("activation", "gelu"),
            ("task", "images"),
            ("model", "resnet-20"),
            ("seed", &seed),
            ("actlab.outcome", "completed"),
        ] {
            assert_eq!(theirs.tags[name], value, "{name}");
        }
        for (name, value) in [
            ("training.optimizer.name", "sgd"),
            ("training.learning_rate", "0.1"),
            ("training.batch_size", "128"),
            ("activation", "gelu"),
        ] {
            assert_eq!(theirs.params[name], value, "{name}");
        }
        assert_eq!(theirs.metrics["total_seconds"].len(), 1);
        assert_eq!(theirs.metrics["total_seconds"][0].2, json!(1.5));
        let record = std::fs::read(run.dir.path().join("record.json")).unwrap();
        assert_eq!(theirs.files["record.json"], record);
        assert_eq!(theirs.status, "FINISHED");
        assert!(theirs.end_time.unwrap() > 1_700_000_000_000);
        let note = note(&run.dir).unwrap().unwrap();
        assert!(note.complete && note.lines == run.history.len() as u64, "{note:?}");
        assert!(settings(&server.url()).has_all(&run.dir).unwrap());
    }
}

fn survive(plan: impl Plan + 'static, runs: u64, steps: u64) {
    let (place, server) = (Place::new(), Server::mlflow(plan));
    let tracker = tracker(&place, &server.url());
    let runs = train(&place, &tracker, runs, steps);
    assert_eq!(tracker.finish(PATIENCE, &|| false), [], "{:?}", place.said());
    assert_whole(&server, &runs);
    place.assert_no_key();
}

#[test]
fn a_run_arrives_with_all_that_belongs_to_it() {
    let (place, server) = (Place::new(), Server::mlflow(calm()));
    let tracker = tracker(&place, &server.url());
    let runs = train(&place, &tracker, 2, 400);
    assert_eq!(tracker.finish(PATIENCE, &|| false), []);
    assert_whole(&server, &runs);
    let received = server.received();
    assert_eq!(received.experiments.keys().collect::<Vec<_>>(), ["sweep"]);
    drop(received);
    let said = place.said();
    let page = format!("{}/#/experiments/1/runs/", server.url());
    assert_eq!(said.iter().filter(|line| line.contains(&page)).count(), 2, "{said:?}");
    // A NaN is what protocol buffers have for it.
    assert_eq!(theirs(&server, &runs[0]).metrics["train/loss"][6].2, "NaN");
    place.assert_no_key();
}

#[test]
fn predictions_are_uploaded() {
    let (place, server) = (Place::new(), Server::mlflow(calm()));
    let mut run = place.begin(1);
    run.step(1);
    run.finish(Outcome::Completed);
    std::fs::write(run.dir.path().join("predictions.csv"), "index,label\n0,1\n").unwrap();
    assert_eq!(send(&place, &server.url(), &[run]), []);
    let received = server.received();
    let files = &received.runs.values().next().unwrap().files;
    assert_eq!(files["predictions.csv"], b"index,label\n0,1\n");
    assert_eq!(files.len(), 3);
}

/// Sends finished runs from their records.
fn send(place: &Place, url: &str, runs: &[Written]) -> Vec<Leftover> {
    let tracker = tracker(place, url);
    for run in runs {
        tracker.send(|| RecordSource::finished(run.dir.clone()));
    }
    tracker.finish(PATIENCE, &|| false)
}

/// Each kind in every third request.
#[test]
fn every_kind_of_fault_costs_nothing() {
    let mut kinds = Seeded::kinds(HANG);
    kinds.push(Fault::Garbage);
    std::thread::scope(|scope| {
        for kind in kinds {
            scope.spawn(move || {
                let mut requests = 0;
                let plan = move |_: &Request| {
                    requests += 1;
                    (requests % 3 == 1).then_some(kind)
                };
                survive(plan, 1, 40);
            });
        }
    });
}

#[test]
fn faults_by_chance_cost_nothing() {
    std::thread::scope(|scope| {
        for seed in 0..6 {
            scope.spawn(move || survive(Seeded::new(seed, 0.3, HANG), 3, 200));
        }
    });
}

#[test]
fn a_server_that_restarts_gets_everything() {
    let (place, mut server) = (Place::new(), Server::mlflow(calm()));
    let tracker = tracker(&place, &server.url());
    let runs = std::thread::scope(|scope| {
        let training = scope.spawn(|| train(&place, &tracker, 2, 400));
        for _ in 0..3 {
            std::thread::sleep(Duration::from_millis(40));
            server.go_away();
            std::thread::sleep(Duration::from_millis(40));
            server.come_back();
        }
        training.join().unwrap()
    });
    assert_eq!(tracker.finish(PATIENCE, &|| false), []);
    assert_whole(&server, &runs);
}

/// Training takes no longer where the server hangs.
#[test]
fn training_does_not_wait() {
    let (place, server) = (Place::new(), Server::mlflow(|_: &Request| Some(Fault::Hang(HANG))));
    let tracker = tracker(&place, &server.url());
    let began = Instant::now();
    let runs = train(&place, &tracker, 2, 20);
    assert!(began.elapsed() < HANG, "{:?}", began.elapsed());
    let left = tracker.finish(Duration::from_millis(50), &|| false);
    assert_eq!(left.len(), runs.len());
    // What is to be sent later is in the notes.
    assert!(runs.iter().all(|run| settings(&server.url()).catches_up(&run.dir)));
}

/// A process that is killed before the server has answered leaves notes by which the next one sends everything.
#[test]
fn runs_that_end_while_the_server_is_away_are_noted() {
    let (place, mut server) = (Place::new(), Server::mlflow(calm()));
    server.go_away();
    let settings = settings(&server.url());
    let first = tracker(&place, &server.url());
    let runs = train(&place, &first, 2, 50);
    let began = Instant::now();
    while !runs.iter().all(|run| settings.catches_up(&run.dir)) {
        assert!(began.elapsed() < PATIENCE, "no note says that the runs are to be logged");
        std::thread::sleep(Duration::from_millis(2));
    }
    for run in &runs {
        let note = note(&run.dir).unwrap().unwrap();
        let found = (note.tracking_uri, note.experiment, note.id);
        assert_eq!(found, (server.url(), "sweep".to_owned(), None));
    }
    first.finish(Duration::ZERO, &|| true);
    server.come_back();
    assert_eq!(send(&place, &server.url(), &runs), []);
    assert_whole(&server, &runs);
    // Before it begins, too, and one that has arrived may begin anew.
    let later = place.begin(3);
    settings.expect(&later.dir, "sweep");
    assert!(settings.catches_up(&later.dir) && note(&later.dir).unwrap().unwrap().id.is_none());
    settings.expect(&runs[0].dir, "sweep");
    assert!(settings.catches_up(&runs[0].dir));
    assert!(note(&runs[0].dir).unwrap().unwrap().id.is_some());
}

#[test]
fn what_never_arrived_is_sent_later_from_the_record() {
    let (place, mut server) = (Place::new(), Server::mlflow(calm()));
    server.go_away();
    let first = tracker(&place, &server.url());
    let runs = train(&place, &first, 2, 50);
    let left = first.finish(Duration::from_millis(200), &|| false);
    assert_eq!(left.len(), 2);
    assert!(left.iter().all(|left| !left.saved && !left.damaged), "{left:?}");
    let said = place.said().join("\n");
    assert!(said.contains("it is tried again"), "{said}");
    server.come_back();
    assert_eq!(send(&place, &server.url(), &runs), []);
    assert_whole(&server, &runs);
    // Again: nothing is there twice.
    assert_eq!(send(&place, &server.url(), &runs), []);
    assert_whole(&server, &runs);
    // Without the note the run is found by its tags.
    std::fs::remove_file(runs[0].dir.path().join("mlflow.json")).unwrap();
    assert_eq!(send(&place, &server.url(), &runs), []);
    assert_whole(&server, &runs);
}

/// A run that is interrupted and begins anew measures the same at other times.
#[test]
fn a_run_that_begins_anew_is_the_same_run() {
    let (place, server) = (Place::new(), Server::mlflow(calm()));
    for keep_note in [true, false] {
        let first = tracker(&place, &server.url());
        let mut run = place.begin(1 + u64::from(keep_note));
        let following = first.follow(&run.dir);
        (1..=57).for_each(|step| run.step(step));
        following.end(130);
        assert_eq!(first.finish(PATIENCE, &|| false), []);
        assert_eq!(theirs(&server, &run).status, "KILLED");
        let id = note(&run.dir).unwrap().unwrap().id;
        if !keep_note {
            std::fs::remove_file(run.dir.path().join("mlflow.json")).unwrap();
        }
        drop(run);
        let second = tracker(&place, &server.url());
        let mut run = place.begin(1 + u64::from(keep_note));
        let following = second.follow(&run.dir);
        (1..=120).for_each(|step| run.step(step));
        run.finish(Outcome::Completed);
        following.end(0);
        assert_eq!(second.finish(PATIENCE, &|| false), []);
        assert_eq!(note(&run.dir).unwrap().unwrap().id, id);
        assert_eq!(server.received().faults, [""; 0]);
        let theirs = theirs(&server, &run);
        assert_history(&theirs, &run);
        assert_eq!(theirs.status, "FINISHED");
    }
}

/// A run that failed says so.
#[test]
fn the_end_of_a_run_is_its_status() {
    let (place, server) = (Place::new(), Server::mlflow(calm()));
    let tracker = tracker(&place, &server.url());
    let mut run = place.begin(1);
    let following = tracker.follow(&run.dir);
    run.step(1);
    run.finish(Outcome::Failed { reason: "out of memory".into() });
    following.end(1);
    assert_eq!(tracker.finish(PATIENCE, &|| false), []);
    let theirs = theirs(&server, &run);
    assert_eq!(theirs.status, "FAILED");
    assert_eq!(theirs.tags["actlab.reason"], "out of memory");
}

#[test]
fn what_is_wrong_for_every_run_is_said_once() {
    for code in [401, 404, 302] {
        let place = Place::new();
        let server =
            Server::mlflow(move |_: &Request| Some(Fault::Status { code, retry_after: None }));
        let tracker = tracker(&place, &server.url());
        let runs = train(&place, &tracker, 3, 20);
        let left = tracker.finish(PATIENCE, &|| false);
        assert_eq!(left.len(), runs.len(), "{left:?}");
        let said = place.said();
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].contains(&code.to_string()), "{said:?}");
        // The server was asked once.
        assert_eq!(server.received().requests.values().sum::<usize>(), 1);
        place.assert_no_key();
    }
}

/// Lines of one run that the server refuses concern no other run.
#[test]
fn a_run_that_is_refused_costs_that_run_alone() {
    let place = Place::new();
    let mut refused: Option<String> = None;
    let server = Server::mlflow(move |request: &Request| {
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        body["metrics"].as_array().filter(|metrics| !metrics.is_empty())?;
        let id = body["run_id"].as_str()?.to_owned();
        let refused = refused.get_or_insert(id.clone());
        (id == *refused).then_some(Fault::Status { code: 400, retry_after: None })
    });
    let tracker = tracker(&place, &server.url());
    let runs = train(&place, &tracker, 2, 20);
    let left = tracker.finish(PATIENCE, &|| false);
    assert_eq!(left.len(), 1, "{left:?}");
    assert!(left[0].reason.contains("answers 400"), "{left:?}");
    let whole = runs.iter().find(|run| run.dir.path() != left[0].folder).unwrap();
    assert_history(&theirs(&server, whole), whole);
}

#[test]
fn files_that_the_server_keeps_elsewhere_are_left_out_and_said_once() {
    let (place, server) = (Place::new(), Server::mlflow(calm()));
    server.received().artifact_root = Some("s3://bucket/mlruns".to_owned());
    let tracker = tracker(&place, &server.url());
    let runs = train(&place, &tracker, 3, 20);
    assert_eq!(tracker.finish(PATIENCE, &|| false), []);
    for run in &runs {
        let theirs = theirs(&server, run);
        assert_history(&theirs, run);
        assert!(theirs.files.is_empty() && theirs.status == "FINISHED");
    }
    let said = place.said();
    assert_eq!(said.iter().filter(|line| line.contains("s3://bucket")).count(), 1, "{said:?}");
}
