//! Servers that take few requests in a time.

use crate::support::{Place, Written, pace, train};
use record::Outcome;
use std::time::{Duration, Instant};
use tracking::mlflow::{self, Flag};
use tracking::wandb::{Mode, note, target};
use tracking::{Environment, Pace, RecordSource, Tracker};
use tracking_testing::{Fault, KEY, Plan, Request, Server, calm};

/// Turns away what comes sooner than `least` after the last request that was taken.
fn limited(least: Duration) -> impl Plan + 'static {
    let mut last: Option<Instant> = None;
    move |_: &Request| {
        if last.is_some_and(|last| last.elapsed() < least) {
            return Some(Fault::Status { code: 429, retry_after: None });
        }
        last = Some(Instant::now());
        None
    }
}

/// Shorter than all requests of a run take together, but longer than any single one.
const PATIENCE: Duration = Duration::from_millis(600);
const LEAST: Duration = Duration::from_millis(100);

fn pace_of_limit() -> Pace {
    Pace { longest_wait: Duration::from_millis(40), patience: PATIENCE, ..pace() }
}

/// A request is taken now and then, which is enough.
#[test]
fn a_server_that_limits_its_rate_gets_everything() {
    let (place, server) = (Place::new(), Server::start(limited(LEAST)));
    let settings = place.settings(Mode::Online, &server.url());
    let target = target(&settings, pace_of_limit(), &place.notice()).unwrap();
    let tracker = Tracker::start(vec![target], &place.notice()).unwrap();
    let runs = train(&place, &tracker, 1, 40);
    let began = Instant::now();
    assert_eq!(tracker.finish(Duration::from_secs(60), &|| false), [], "{:?}", place.said());
    assert!(began.elapsed() > PATIENCE, "{:?}", began.elapsed());
    let received = server.received();
    assert_eq!(received.faults, [""; 0]);
    let theirs = &received.runs[&note(&runs[0].dir).unwrap().unwrap().id];
    runs[0].assert_history(&theirs.history());
    assert_eq!((theirs.files.len(), theirs.exit_code), (5, Some(0)));
    assert_eq!(theirs.repeated, 0);
}

#[test]
fn an_mlflow_server_that_limits_its_rate_gets_everything() {
    let (place, server) = (Place::new(), Server::mlflow(limited(LEAST)));
    let variable = |name: &str| (name == "MLFLOW_TRACKING_TOKEN").then(|| KEY.to_owned());
    let request = mlflow::SinkRequest { flag: Some(Flag::Uri(server.url())), table: None };
    let environment = Environment { variable: &variable, home: None };
    let settings = mlflow::Settings::resolve(&request, &environment).unwrap().unwrap();
    // Twice: the run is created, and found again.
    let mut run = place.begin(1);
    (1..=40).for_each(|step| run.step(step));
    run.finish(Outcome::Completed);
    for least in [PATIENCE, Duration::ZERO] {
        let target = mlflow::target(&settings, pace_of_limit(), &place.notice()).unwrap();
        let tracker = Tracker::start(vec![target], &place.notice()).unwrap();
        tracker.send(|| RecordSource::finished(run.dir.clone()));
        let began = Instant::now();
        assert_eq!(tracker.finish(Duration::from_secs(60), &|| false), [], "{:?}", place.said());
        assert!(began.elapsed() > least, "{:?}", began.elapsed());
        let received = server.received();
        assert_eq!((received.faults.as_slice(), received.runs.len()), ([].as_slice(), 1));
        let theirs = received.runs.values().next().unwrap();
        assert_eq!(theirs.metrics["epoch"].len(), 40);
        assert_eq!((theirs.status.as_str(), theirs.files.len()), ("FINISHED", 2));
    }
}

/// Addresses that have expired are asked for anew, and those of a store that refuses are not.
#[test]
fn an_address_that_has_expired_is_asked_for_anew() {
    let puts = |run: &Written, server: &Server| {
        let id = note(&run.dir).unwrap().unwrap().id;
        let received = server.received();
        let requests = received.requests.iter().filter(|(path, _)| path.contains("/upload/"));
        (received.runs[&id].files.len(), requests.map(|(_, count)| count).sum::<usize>())
    };
    for (first, expected) in [(Some(503), (5, 7)), (None, (4, 5))] {
        let place = Place::new();
        // The first address is busy and then expired, or refused at once.
        let mut answers = first.into_iter().chain([403]);
        let server = Server::start(move |request: &Request| {
            let code = (request.method == "PUT").then(|| answers.next())??;
            Some(Fault::Status { code, retry_after: None })
        });
        let settings = place.settings(Mode::Online, &server.url());
        let target = target(&settings, pace(), &place.notice()).unwrap();
        let tracker = Tracker::start(vec![target], &place.notice()).unwrap();
        // All its files are there at once.
        let mut run = place.begin(1);
        (1..=10).for_each(|step| run.step(step));
        run.finish(Outcome::Completed);
        tracker.send(|| RecordSource::finished(run.dir.clone()));
        let left = tracker.finish(Duration::from_secs(20), &|| false);
        assert_eq!(left, []);
        let refused = |line: &String| line.contains("did not take these files");
        assert_eq!(place.said().iter().any(refused), first.is_none(), "{:?}", place.said());
        assert_eq!(puts(&run, &server), expected);
        server.set_plan(calm());
    }
}
