//! What goes wrong with one run of several: the others neither notice nor wait.

use crate::support::{Place, Written, pace};
use record::Outcome;
use std::time::{Duration, Instant};
use tracking::wandb::{Mode, Note, Settings, note, target, target_without_fallback};
use tracking::{Configured, Leftover, Pace, RecordSource, Tracker};
use tracking_testing::{Fault, Plan, Request, Server, calm};

/// Name of the run with the fault.
const BAD: &str = "gelu-images-s2";
const RUNS: u64 = 5;

/// Spoils what `concerned` picks of the requests of the run [`BAD`].
fn spoil(
    fault: Fault,
    concerned: impl Fn(&Request) -> bool + Send + 'static,
) -> impl Plan + 'static {
    let mut id: Option<String> = None;
    move |request: &Request| {
        let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let variables = &body["variables"];
        if variables["displayName"] == BAD {
            id = variables["name"].as_str().map(str::to_owned);
        }
        let id = id.as_deref()?;
        let is_bad = variables["name"] == id || variables["run"] == id || request.path.contains(id);
        (is_bad && concerned(request)).then_some(fault)
    }
}

fn is_operation(request: &Request, name: &str) -> bool {
    String::from_utf8_lossy(&request.body).contains(&format!("\"operationName\":\"{name}\""))
}

/// Five runs, one after the other, each of which is whole before the next begins.
fn train(place: &Place, tracker: &Tracker) -> Vec<Written> {
    let one = |seed| {
        let mut run = place.begin(seed);
        let following = tracker.follow(&run.dir);
        (1..=20).for_each(|step| run.step(step));
        run.finish(Outcome::Completed);
        following.end(0);
        run
    };
    (1..=RUNS).map(one).collect()
}

fn is_whole(server: &Server, run: &Written) -> bool {
    let Some(note) = note(&run.dir).unwrap() else { return false };
    let received = server.received();
    received.runs.get(&note.id).is_some_and(|run| run.exit_code == Some(0))
}

/// What is left, and how long the runs without a fault took.
fn outcome(plan: impl Plan + 'static, pace: Pace) -> (Place, Server, Vec<Leftover>, Duration) {
    let (place, server) = (Place::new(), Server::start(plan));
    let settings = place.settings(Mode::Online, &server.url());
    let target = target(&settings, pace, &place.notice()).unwrap();
    let tracker = Tracker::start(vec![target], &place.notice()).unwrap();
    let runs = train(&place, &tracker);
    let began = Instant::now();
    let good = || runs.iter().filter(|run| run.spec.seed != 2);
    while !good().all(|run| is_whole(&server, run)) {
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", place.said());
        std::thread::sleep(Duration::from_millis(2));
    }
    let took = began.elapsed();
    let left = tracker.finish(Duration::from_millis(300), &|| false);
    for run in good() {
        let id = note(&run.dir).unwrap().unwrap().id;
        run.assert_history(&server.received().runs[&id].history());
    }
    (place, server, left, took)
}

/// Interrupted in the middle of a step, and resumed by a process that cannot reach the server: nothing says that all has
/// arrived before it has, and the step is told whole.
#[test]
fn an_interrupted_run_is_whole_on_the_server_when_it_is_resumed_and_not_before() {
    let (place, server) = (Place::new(), Server::start(calm()));
    let settings = place.settings(Mode::Online, &server.url());
    let start = |settings: &Settings| {
        let target = target(settings, pace(), &place.notice()).unwrap();
        Tracker::start(vec![target], &place.notice()).unwrap()
    };
    let mut run = place.begin(1);
    let tracker = start(&settings);
    let following = tracker.follow(&run.dir);
    (1..=9).for_each(|step| run.step(step));
    run.train(10);
    following.end(130);
    assert_eq!(tracker.finish(Duration::from_secs(20), &|| false), []);
    assert!(!settings.has_all(&run.dir).unwrap());

    run.evaluate(10);
    (11..=20).for_each(|step| run.step(step));
    let away = place.settings(Mode::Online, "http://127.0.0.1:1");
    let tracker = start(&Settings { base_url: away.base_url, ..settings.clone() });
    let following = tracker.follow(&run.dir);
    run.finish(Outcome::Completed);
    following.end(0);
    tracker.finish(Duration::from_millis(100), &|| false);
    assert!(!settings.has_all(&run.dir).unwrap() && settings.catches_up(&run.dir));

    let tracker = start(&settings);
    tracker.send(|| RecordSource::finished(run.dir.clone()));
    assert_eq!(tracker.finish(Duration::from_secs(20), &|| false), []);
    assert!(settings.has_all(&run.dir).unwrap());
    let id = note(&run.dir).unwrap().unwrap().id;
    run.assert_history(&server.received().runs[&id].history());
    // What one server has, another lacks.
    let other = Settings { base_url: "http://127.0.0.1:2".into(), ..settings.clone() };
    assert!(!other.has_all(&run.dir).unwrap() && !other.catches_up(&run.dir));
}

#[test]
fn what_the_server_refuses_of_one_run_is_said_once() {
    let status = |code| Fault::Status { code, retry_after: None };
    let stream = |request: &Request| request.is_stream();
    let cases: Vec<(&str, Box<dyn Plan>)> = vec![
        ("404", Box::new(spoil(status(404), stream))),
        ("403", Box::new(spoil(status(403), stream))),
        ("409", Box::new(spoil(status(409), stream))),
        ("302", Box::new(spoil(status(302), stream))),
        ("as planned", Box::new(spoil(Fault::Errors, |r| is_operation(r, "UpsertBucket")))),
        ("403", Box::new(spoil(status(403), |r| is_operation(r, "UpsertBucket")))),
    ];
    for (reason, mut plan) in cases {
        let plan = move |request: &Request| plan.next(request);
        let (place, _, left, _) = outcome(plan, pace());
        assert_eq!(left.len(), 1, "{reason}: {left:?}");
        assert!(left[0].saved && left[0].reason.contains(reason), "{left:?}");
        let said: Vec<_> =
            place.said().into_iter().filter(|line| !line.contains("/someone/")).collect();
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].contains(BAD) && said[0].contains(reason), "{said:?}");
        assert!(!said[0].contains('\u{1b}'), "{said:?}");
    }
}

#[test]
fn what_may_pass_keeps_no_other_run_waiting() {
    let slow = Pace { timeout: Duration::from_secs(2), ..pace() };
    for (fault, pace) in [
        (Fault::Status { code: 500, retry_after: None }, pace()),
        (Fault::Status { code: 429, retry_after: Some(3600) }, pace()),
        (Fault::Hang(Duration::from_secs(3)), slow),
    ] {
        let (place, server, left, took) =
            outcome(spoil(fault, |request| request.is_stream()), pace);
        assert!(took < Duration::from_millis(1500), "{fault:?}: {took:?}");
        assert_eq!(left.len(), 1, "{fault:?}: {left:?}");
        assert!(left[0].saved, "{left:?}");
        let said: Vec<_> =
            place.said().into_iter().filter(|line| !line.contains("/someone/")).collect();
        assert_eq!(said.len(), 1, "{fault:?}: {said:?}");
        assert!(said[0].contains(BAD) && said[0].contains("it is tried again"), "{said:?}");
        drop(server);
    }
}

/// A run whose fault passes says so once, and what went wrong on the way is not told again and again.
#[test]
fn a_fault_that_comes_and_goes_is_told_once() {
    let mut requests = 0;
    let mut spoiled = spoil(Fault::Status { code: 500, retry_after: None }, Request::is_stream);
    let plan = move |request: &Request| {
        let fault = spoiled.next(request)?;
        requests += 1;
        (requests % 3 != 0).then_some(fault)
    };
    let (place, server) = (Place::new(), Server::start(plan));
    let settings = place.settings(Mode::Online, &server.url());
    let target = target(&settings, pace(), &place.notice()).unwrap();
    let tracker = Tracker::start(vec![target], &place.notice()).unwrap();
    let mut run = place.begin(2);
    let following = tracker.follow(&run.dir);
    for step in 1..=100 {
        run.step(step);
        std::thread::sleep(Duration::from_millis(4));
    }
    run.finish(Outcome::Completed);
    following.end(0);
    assert_eq!(tracker.finish(Duration::from_secs(20), &|| false), []);
    let said = place.said();
    let faults = said.iter().filter(|line| line.contains("answers 500")).count();
    let passed = said.iter().filter(|line| line.ends_with(": works again")).count();
    assert_eq!((faults, passed), (1, 1), "{said:?}");
}

/// One line says which files of a run were not taken, and that all else was.
fn assert_files_are_told(place: &Place, file: &str) {
    let said = place.said();
    let told: Vec<_> = said.iter().filter(|line| !line.contains("/someone/")).collect();
    assert_eq!(told.len(), 1, "{said:?}");
    assert!(told[0].contains(BAD) && told[0].contains(file), "{said:?}");
    assert!(told[0].contains("all that was measured has arrived"), "{said:?}");
}

/// Only the files are refused: the numbers are not written once more, and the run does not count as lost.
#[test]
fn a_run_whose_files_are_refused_has_arrived() {
    let refused = Fault::Status { code: 403, retry_after: None };
    let cases: Vec<Box<dyn Plan>> = vec![
        Box::new(spoil(Fault::Errors, |request| is_operation(request, "CreateRunFiles"))),
        Box::new(spoil(refused, |request| request.method == "PUT")),
    ];
    for mut plan in cases {
        let plan = move |request: &Request| plan.next(request);
        let (place, server, left, _) = outcome(plan, pace());
        assert_eq!(left, []);
        assert_files_are_told(&place, "record.json");
        let settings = place.settings(Mode::Online, &server.url());
        assert!(!settings.dir.exists());
        let received = server.received();
        let run = received.runs.values().find(|run| run.variables["displayName"] == BAD).unwrap();
        assert_eq!((run.exit_code, run.history().len()), (Some(0), 20));
    }
}

/// An address that is none, or of a kind that is not HTTP, costs the files and the run's name, no more.
#[test]
fn a_bad_upload_address_costs_the_run_alone() {
    for url in ["ftp://127.0.0.1/x", "file:///etc/passwd", "no address", "http://"] {
        let (place, server) = (Place::new(), Server::start(calm()));
        let settings = place.settings(Mode::Online, &server.url());
        let target = target_without_fallback(&settings, pace(), &place.notice()).unwrap();
        let mut runs: Vec<_> = (1..=3).map(|seed| place.begin(seed)).collect();
        for run in &mut runs {
            (1..=10).for_each(|step| run.step(step));
            run.finish(Outcome::Completed);
            let note = Note::new(format!("run{}", run.spec.seed));
            run.dir.write_note(&note).unwrap();
        }
        server.received().upload_urls.insert("run2".to_owned(), url.to_owned());
        let tracker = Tracker::start(vec![target], &place.notice()).unwrap();
        for run in &runs {
            tracker.send(|| RecordSource::finished(run.dir.clone()));
        }
        let began = Instant::now();
        let left = tracker.finish(Duration::from_secs(20), &|| false);
        assert!(began.elapsed() < Duration::from_secs(10));
        assert_eq!(left, []);
        assert_files_are_told(&place, "record.json");
        assert!(!note(&runs[1].dir).unwrap().unwrap().upload.unwrap().complete);
        assert!([0, 2].iter().all(|i| is_whole(&server, &runs[*i])));
        runs[1].assert_history(&server.received().runs["run2"].history());
    }
}

/// A project that takes no run at all is one refusal, not one per run.
#[test]
fn a_project_that_refuses_every_run_is_left_alone() {
    let (place, server) = (
        Place::new(),
        Server::start(|request: &Request| {
            is_operation(request, "UpsertBucket")
                .then_some(Fault::Status { code: 403, retry_after: None })
        }),
    );
    let settings = place.settings(Mode::Online, &server.url());
    let target = target(&settings, pace(), &place.notice()).unwrap();
    let tracker = Tracker::start(vec![target], &place.notice()).unwrap();
    for seed in 1..=12 {
        let mut run = place.begin(seed);
        let following = tracker.follow(&run.dir);
        run.step(1);
        run.finish(Outcome::Completed);
        following.end(0);
        std::thread::sleep(Duration::from_millis(10));
    }
    tracker.finish(Duration::from_secs(20), &|| false);
    let said = place.said().join("\n");
    assert_eq!(said.matches("offline directories instead").count(), 1, "{said}");
    assert!(said.lines().count() <= 5, "{said}");
    assert_eq!(std::fs::read_dir(&settings.dir).unwrap().count(), 12);
}

/// Many runs that all hang are waited for together, not one after the other.
#[test]
fn patience_is_that_of_the_whole_sink() {
    let hang = Fault::Hang(Duration::from_secs(2));
    let server = Server::start(move |request: &Request| request.is_stream().then_some(hang));
    let place = Place::new();
    let settings = place.settings(Mode::Online, &server.url());
    let target = target(&settings, pace(), &place.notice()).unwrap();
    let tracker = Tracker::start(vec![target], &place.notice()).unwrap();
    let runs: Vec<_> = (1..=24)
        .map(|seed| {
            let mut run = place.begin(seed);
            let following = tracker.follow(&run.dir);
            run.step(1);
            run.finish(Outcome::Completed);
            following.end(0);
            run
        })
        .collect();
    let began = Instant::now();
    let left = tracker.finish(Duration::from_millis(600), &|| false);
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    assert_eq!(left.len(), runs.len());
    assert!(left.iter().all(|left| left.saved), "{left:?}");
}

/// The files of one run are damaged: it is left, with the reason, and nothing goes round in circles.
#[test]
fn a_damaged_record_costs_the_run_alone() {
    for (file, bytes) in [
        ("metrics.jsonl", ""),
        ("metrics.jsonl", "\0\0\0\0\n"),
        ("wandb.json", ""),
        ("wandb.json", "{\"id\":"),
        ("spec.json", "{"),
    ] {
        for fallback in [true, false] {
            let (place, server) = (Place::new(), Server::start(calm()));
            let settings = place.settings(Mode::Online, &server.url());
            let target = if fallback { target } else { target_without_fallback };
            let target = target(&settings, pace(), &place.notice()).unwrap();
            let tracker = Tracker::start(vec![target], &place.notice()).unwrap();
            let mut runs: Vec<_> = (1..=3).map(|seed| place.begin(seed)).collect();
            for run in &mut runs {
                (1..=10).for_each(|step| run.step(step));
                run.finish(Outcome::Completed);
            }
            std::fs::write(runs[1].dir.path().join(file), bytes).unwrap();
            for run in &runs {
                tracker.send(|| RecordSource::finished(run.dir.clone()));
            }
            let left = tracker.finish(Duration::from_secs(20), &|| false);
            assert_eq!(left.len(), 1, "{file}: {left:?}");
            assert!(left[0].damaged && !left[0].saved, "{file}: {left:?}");
            assert!(left[0].reason.contains(file), "{file}: {left:?}");
            assert!(place.said().len() <= 3, "{:?}", place.said());
            assert!([0, 2].iter().all(|i| is_whole(&server, &runs[*i])), "{file}");
        }
    }
}

/// Lines that are missing at the end of a finished run are missed.
#[test]
fn a_shortened_record_is_not_uploaded_as_whole() {
    let (place, server) = (Place::new(), Server::start(calm()));
    let settings = place.settings(Mode::Online, &server.url());
    let target = target_without_fallback(&settings, pace(), &place.notice()).unwrap();
    let tracker = Tracker::start(vec![target], &place.notice()).unwrap();
    let mut run = place.begin(1);
    (1..=10).for_each(|step| run.step(step));
    run.finish(Outcome::Completed);
    let path = run.dir.path().join("metrics.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, &text[..text.len() - 30]).unwrap();
    tracker.send(|| RecordSource::finished(run.dir.clone()));
    let left = tracker.finish(Duration::from_secs(20), &|| false);
    assert_eq!(left.len(), 1, "{left:?}");
    assert!(left[0].damaged && left[0].reason.contains("metrics.jsonl"), "{left:?}");
}
