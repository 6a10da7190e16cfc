//! Servers, networks and disks that do what they should not.

use crate::support::{HANG, Place, Written, pace, train};
use std::net::TcpListener;
use std::time::Duration;
use tracking::wandb::{LogSource, Mode, note, target, target_without_fallback};
use tracking::{Event, RecordSource, Source, Tracker};
use tracking_testing::{Fault, Plan, Request, Seeded, Server, calm};

const PATIENCE: Duration = Duration::from_secs(60);

fn tracker(place: &Place, url: &str) -> Tracker {
    let settings = place.settings(Mode::Online, url);
    Tracker::start(vec![target(&settings, pace(), &place.notice()).unwrap()], &place.notice())
        .unwrap()
}

/// Every line of every run, once and in order.
fn assert_whole(server: &Server, runs: &[Written]) {
    let received = server.received();
    assert_eq!(received.faults, [""; 0]);
    assert_eq!(received.runs.len(), runs.len());
    for run in runs {
        let id = note(&run.dir).unwrap().unwrap().id;
        let theirs = &received.runs[&id];
        run.assert_history(&theirs.history());
        assert_eq!(theirs.events().len(), run.history.len() / 5);
        assert_eq!(theirs.lines["output.log"].len(), run.history.len() / 10);
        assert_eq!(theirs.exit_code, Some(0));
        assert_eq!(theirs.summary()["outcome"], "completed");
        assert!(theirs.files.contains_key("record.json"));
    }
}

fn survive(plan: impl Plan + 'static, runs: u64, steps: u64) {
    let (place, server) = (Place::new(), Server::start(plan));
    let tracker = tracker(&place, &server.url());
    let runs = train(&place, &tracker, runs, steps);
    assert_eq!(tracker.finish(PATIENCE, &|| false), [], "{:?}", place.said());
    assert_whole(&server, &runs);
    place.assert_no_key();
}

/// Each kind in every third request.
#[test]
fn every_kind_of_fault_costs_nothing() {
    let mut kinds = Seeded::kinds(HANG);
    kinds.extend([Fault::Garbage, Fault::NoData]);
    assert!(kinds.len() >= 12);
    std::thread::scope(|scope| {
        for kind in kinds {
            scope.spawn(move || {
                let mut requests = 0;
                survive(
                    move |request: &Request| {
                        requests += 1;
                        // What an answer to lines says is of no interest.
                        let matters = !matches!(kind, Fault::Garbage | Fault::NoData)
                            || request.path == "/graphql";
                        (requests % 3 == 1 && matters).then_some(kind)
                    },
                    1,
                    40,
                );
            });
        }
    });
}

#[test]
fn faults_by_chance_cost_nothing() {
    std::thread::scope(|scope| {
        for seed in 0..8 {
            scope.spawn(move || survive(Seeded::new(seed, 0.4, HANG), 3, 200));
        }
    });
}

#[test]
fn a_server_that_goes_away_and_comes_back_gets_everything() {
    let (place, mut server) = (Place::new(), Server::start(calm()));
    server.go_away();
    let tracker = tracker(&place, &server.url());
    let runs = std::thread::scope(|scope| {
        let training = scope.spawn(|| train(&place, &tracker, 2, 400));
        for _ in 0..3 {
            std::thread::sleep(Duration::from_millis(40));
            server.come_back();
            std::thread::sleep(Duration::from_millis(40));
            server.go_away();
        }
        let runs = training.join().unwrap();
        server.come_back();
        runs
    });
    assert_eq!(tracker.finish(PATIENCE, &|| false), []);
    assert_whole(&server, &runs);
    let said = place.said().join("\n");
    assert!(said.contains("it is tried again") && said.contains("works again"), "{said}");
}

/// Reads an offline directory as an upload does.
fn assert_directory_is_whole(run: &Written) {
    let note = note(&run.dir).unwrap().unwrap();
    let mut source = LogSource::open(&note.offline.unwrap()).unwrap();
    let (mut steps, mut last) = (0, None);
    while let Some(event) = source.next().unwrap() {
        steps += u64::from(matches!(event, Event::Point(_)));
        last = Some(event);
    }
    assert_eq!(steps, run.history.len() as u64);
    assert!(matches!(last, Some(Event::End { exit_code: 0, .. })), "{last:?}");
}

/// Uploads what lies in offline directories.
fn sync(place: &Place, server: &Server, runs: &[Written]) {
    let settings = place.settings(Mode::Online, &server.url());
    let target = target_without_fallback(&settings, pace(), &place.notice()).unwrap();
    let tracker = Tracker::start(vec![target], &place.notice()).unwrap();
    for run in runs {
        let directory = note(&run.dir).unwrap().unwrap().offline.unwrap();
        let log = LogSource::open(&directory).unwrap();
        tracker.send(|| log.clone());
    }
    assert_eq!(tracker.finish(PATIENCE, &|| false), []);
}

#[test]
fn what_never_arrives_lies_in_a_directory_and_is_uploaded_later() {
    let (place, mut server) = (Place::new(), Server::start(calm()));
    server.go_away();
    let tracker = tracker(&place, &server.url());
    let runs = train(&place, &tracker, 2, 50);
    let left = tracker.finish(Duration::from_millis(200), &|| false);
    assert_eq!(left.len(), 2);
    assert!(left.iter().all(|left| left.saved), "{left:?}");
    runs.iter().for_each(assert_directory_is_whole);
    server.come_back();
    sync(&place, &server, &runs);
    assert_whole(&server, &runs);
    // Again: nothing new.
    sync(&place, &server, &runs);
    assert_whole(&server, &runs);
    let received = server.received();
    assert!(received.runs.values().all(|run| run.repeated == 0));
    drop(received);
    place.assert_no_key();
}

/// The server goes away for ever in the middle: what it has is not sent again.
#[test]
fn an_upload_that_broke_off_is_completed() {
    let place = Place::new();
    let mut requests = 0;
    let server = Server::start(move |_: &Request| {
        requests += 1;
        (requests > 8).then_some(Fault::CloseUnread)
    });
    let tracker = tracker(&place, &server.url());
    let runs = train(&place, &tracker, 1, 300);
    let left = tracker.finish(Duration::from_millis(100), &|| false);
    assert_eq!(left.len(), 1);
    let id = note(&runs[0].dir).unwrap().unwrap().id;
    // How many lines had arrived depends on the machine; the end of the run had not.
    server.set_plan(calm());
    // By another process, from the record.
    let settings = place.settings(Mode::Online, &server.url());
    let target = target_without_fallback(&settings, pace(), &place.notice()).unwrap();
    let second = Tracker::start(vec![target], &place.notice()).unwrap();
    second.send(|| RecordSource::finished(runs[0].dir.clone()));
    assert_eq!(second.finish(PATIENCE, &|| false), []);
    assert_whole(&server, &runs);
    assert_eq!(server.received().runs[&id].repeated, 0);
    // The directory that stood in says that it is done.
    let directory = note(&runs[0].dir).unwrap().unwrap().offline.unwrap();
    assert!(LogSource::open(&directory).unwrap().is_synced());
    // `wandb sync` would send again what had arrived before: it leaves directories of such names alone.
    assert!(directory.file_name().unwrap().to_str().unwrap().starts_with("run-"));
}

#[test]
fn a_refusal_is_said_once_and_directories_are_written() {
    for code in [401, 403, 404, 301] {
        let place = Place::new();
        let server =
            Server::start(move |_: &Request| Some(Fault::Status { code, retry_after: None }));
        let tracker = tracker(&place, &server.url());
        let runs = train(&place, &tracker, 3, 20);
        assert_eq!(tracker.finish(PATIENCE, &|| false), [], "{:?}", place.said());
        runs.iter().for_each(assert_directory_is_whole);
        let said = place.said();
        let told = said.iter().filter(|line| line.contains(&code.to_string())).count();
        assert_eq!((told, said.len()), (1, 1), "{said:?}");
        assert!(said[0].contains("offline directories"), "{said:?}");
        // There is no second request.
        assert_eq!(server.received().requests.values().sum::<usize>(), 1);
        place.assert_no_key();
    }
}

#[test]
fn a_wrong_key_is_told_without_showing_it() {
    let (place, server) = (Place::new(), Server::start(calm()));
    let key = "ffffffffffffffffffffffffffffffffffffffff";
    let settings = place.settings_with_key(Mode::Online, &server.url(), key);
    let target = target(&settings, pace(), &place.notice()).unwrap();
    let tracker = Tracker::start(vec![target], &place.notice()).unwrap();
    train(&place, &tracker, 1, 5);
    assert_eq!(tracker.finish(PATIENCE, &|| false), []);
    let said = place.said().join("\n");
    assert!(said.contains("the key is wrong") && !said.contains(key), "{said}");
}

/// Lines of one run that the server will not have concern no other run.
#[test]
fn a_run_that_is_refused_goes_to_a_directory_and_the_others_arrive() {
    let place = Place::new();
    let mut refused = None;
    let server = Server::start(move |request: &Request| {
        let first = request.is_stream().then(|| request.path.clone())?;
        let refused = refused.get_or_insert(first);
        (request.path == *refused).then_some(Fault::Status { code: 400, retry_after: None })
    });
    let tracker = tracker(&place, &server.url());
    let runs = train(&place, &tracker, 2, 20);
    let left = tracker.finish(PATIENCE, &|| false);
    assert_eq!(left.len(), 1, "{left:?}");
    assert!(left[0].saved && left[0].reason.contains("answers 400"), "{left:?}");
    let (lost, whole): (Vec<_>, Vec<_>) =
        runs.iter().partition(|run| run.dir.path() == left[0].folder);
    assert_directory_is_whole(lost[0]);
    let id = note(&whole[0].dir).unwrap().unwrap().id;
    whole[0].assert_history(&server.received().runs[&id].history());
}

/// A server that does not speak TLS where the client does.
#[test]
fn a_tls_error_is_survived() {
    let place = Place::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            use std::io::Write;
            let _ = (&stream).write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let tracker = tracker(&place, &format!("https://127.0.0.1:{port}"));
    let runs = train(&place, &tracker, 1, 20);
    let left = tracker.finish(Duration::from_millis(100), &|| false);
    assert!(left[0].saved, "{left:?}");
    assert_directory_is_whole(&runs[0]);
    assert!(place.said().join("\n").contains("it is tried again"), "{:?}", place.said());
}

/// A folder that cannot be written, and later can.
#[test]
fn a_disk_that_refuses_is_waited_for() {
    let place = Place::new();
    let settings = place.settings(Mode::Offline, "http://127.0.0.1:9");
    // A file where the folder should be.
    std::fs::write(&settings.dir, "in the way").unwrap();
    let target = target(&settings, pace(), &place.notice()).unwrap();
    let tracker = Tracker::start(vec![target], &place.notice()).unwrap();
    let runs = train(&place, &tracker, 2, 20);
    std::fs::remove_file(&settings.dir).unwrap();
    assert_eq!(tracker.finish(PATIENCE, &|| false), []);
    runs.iter().for_each(assert_directory_is_whole);
    let said = place.said().join("\n");
    assert!(said.contains("cannot write") && said.contains("works again"), "{said}");
}
