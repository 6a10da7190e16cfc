//! Where runs are on W&B: what is sent later goes to the same entity and project.

use crate::support::{Place, Written, pace, train};
use record::Outcome;
use serde_json::json;
use std::time::{Duration, Instant};
use tracking::wandb::{
    LogSource, Mode, Settings, SinkRequest, Wandb, note, noted, target, target_without_fallback,
};
use tracking::{Configured, Environment, Leftover, RecordSource, SettingsError, Tracker};
use tracking_testing::{Fault, KEY, Request, Server, calm};

const PATIENCE: Duration = Duration::from_secs(30);

/// What an experiment says of W&B.
fn table() -> Wandb {
    Wandb {
        entity: Some("team-x".into()),
        project: Some("vision".into()),
        tags: vec!["aa".into()],
        ..Wandb::default()
    }
}

/// The environment of a user with a key for the server at `url`, and more variables.
fn with<T>(
    place: &Place,
    url: Option<&str>,
    more: &[(&str, &str)],
    then: impl FnOnce(&Environment<'_>) -> T,
) -> T {
    let dir = place.path().display().to_string();
    let variable = |name: &str| {
        let more = more.iter().find(|(known, _)| *known == name);
        match name {
            "WANDB_BASE_URL" => url.map(str::to_owned),
            "WANDB_API_KEY" => Some(KEY.to_owned()),
            "WANDB_DIR" => Some(dir.clone()),
            _ => more.map(|(_, value)| (*value).to_owned()),
        }
    };
    then(&Environment { variable: &variable, home: None })
}

fn of_experiment(place: &Place, mode: Mode, url: &str, more: &[(&str, &str)]) -> Settings {
    let request = SinkRequest { flag: Some(mode), table: table(), ..SinkRequest::default() };
    with(place, Some(url), more, |environment| Settings::resolve(&request, environment)).unwrap()
}

/// Settings of `actlab sync` for `runs`.
fn of_sync(
    place: &Place,
    url: Option<&str>,
    more: &[(&str, &str)],
    runs: &[Written],
) -> Result<Settings, String> {
    let dirs: Vec<_> = runs.iter().map(|run| run.dir.clone()).collect();
    let settle = |environment: &Environment<'_>| -> Result<_, SettingsError> {
        Settings::resolve(&noted(&dirs, environment)?, environment)
    };
    with(place, url, more, settle).map_err(|error| error.to_string())
}

fn upload(place: &Place, settings: &Settings, runs: &[Written]) -> Vec<Leftover> {
    let target = target_without_fallback(settings, pace(), &place.notice()).unwrap();
    let tracker = Tracker::start(vec![target], &place.notice()).unwrap();
    for run in runs {
        tracker.send(|| RecordSource::finished(run.dir.clone()));
    }
    tracker.finish(PATIENCE, &|| false)
}

fn followed(place: &Place, settings: &Settings, patience: Duration) -> Vec<Written> {
    let target = target(settings, pace(), &place.notice()).unwrap();
    let tracker = Tracker::start(vec![target], &place.notice()).unwrap();
    let runs = train(place, &tracker, 2, 60);
    tracker.finish(patience, &|| false);
    runs
}

fn assert_in_place(server: &Server, runs: &[Written]) {
    let received = server.received();
    assert_eq!(received.faults, [""; 0]);
    assert_eq!(received.runs.len(), runs.len());
    for run in runs {
        let theirs = &received.runs[&note(&run.dir).unwrap().unwrap().id];
        assert_eq!(theirs.variables["entity"], "team-x");
        assert_eq!(theirs.variables["project"], "vision");
        assert_eq!(theirs.variables["groupName"], "ours");
        assert_eq!(theirs.variables["tags"], json!(["aa", "gelu", "images", "resnet-20"]));
        run.assert_history(&theirs.history());
        assert!(received.requests.keys().all(|path| !path.contains("/files/someone")));
    }
}

/// The server is lost in the middle, or before the first request, and `actlab sync` knows nothing of the experiment.
#[test]
fn what_is_sent_later_goes_where_the_experiment_says() {
    for answered in [8, 0] {
        let place = Place::new();
        let mut requests = 0;
        let server = Server::start(move |_: &Request| {
            requests += 1;
            (requests > answered).then_some(Fault::CloseUnread)
        });
        let group = [("WANDB_RUN_GROUP", "ours")];
        let settings = of_experiment(&place, Mode::Online, &server.url(), &group);
        let runs = followed(&place, &settings, Duration::from_millis(100));
        server.set_plan(calm());
        let settings = of_sync(&place, Some(&server.url()), &[], &runs).unwrap();
        assert_eq!(upload(&place, &settings, &runs), []);
        assert_in_place(&server, &runs);
        assert!(server.received().runs.values().all(|run| run.repeated == 0));
        place.assert_no_key();
    }
}

/// An offline directory names them too, and a variable goes before it.
#[test]
fn an_offline_directory_says_where_its_run_belongs() {
    let group = [("WANDB_RUN_GROUP", "ours")];
    for from_record in [true, false] {
        let (place, server) = (Place::new(), Server::start(calm()));
        let settings = of_experiment(&place, Mode::Offline, &server.url(), &group);
        let runs = followed(&place, &settings, PATIENCE);
        let settings = of_sync(&place, Some(&server.url()), &[], &runs).unwrap();
        if from_record {
            assert_eq!(upload(&place, &settings, &runs), []);
        } else {
            let target = target_without_fallback(&settings, pace(), &place.notice()).unwrap();
            let tracker = Tracker::start(vec![target], &place.notice()).unwrap();
            for run in &runs {
                let directory = note(&run.dir).unwrap().unwrap().offline.unwrap();
                let log = LogSource::open(&directory).unwrap();
                tracker.send(|| log.clone());
            }
            assert_eq!(tracker.finish(PATIENCE, &|| false), []);
        }
        assert_in_place(&server, &runs);
    }
    let (place, server) = (Place::new(), Server::start(calm()));
    let settings = of_experiment(&place, Mode::Offline, &server.url(), &group);
    let runs = followed(&place, &settings, PATIENCE);
    let named = [("WANDB_PROJECT", "other"), ("WANDB_ENTITY", "me")];
    let settings = of_sync(&place, Some(&server.url()), &named, &runs).unwrap();
    assert_eq!(upload(&place, &settings, &runs), []);
    let received = server.received();
    assert!(received.runs.values().all(|run| run.variables["project"] == "other"));
    assert!(received.runs.values().all(|run| run.variables["entity"] == "me"));
}

#[test]
fn another_place_than_the_notes_say_is_refused() {
    let (place, mut server) = (Place::new(), Server::start(calm()));
    server.go_away();
    let url = server.url();
    let settings = of_experiment(&place, Mode::Online, &url, &[]);
    let runs = followed(&place, &settings, Duration::from_millis(50));
    let refused = |url: Option<&str>, more: &[_]| of_sync(&place, url, more, &runs).unwrap_err();
    let said = refused(Some(&url), &[("WANDB_PROJECT", "other")]);
    assert!(said.contains("to the project vision, but WANDB_PROJECT is other"), "{said}");
    assert!(said.contains("unset it, or set it to vision"), "{said}");
    let said = refused(Some(&url), &[("WANDB_ENTITY", "me")]);
    assert!(said.contains("to the entity team-x, but WANDB_ENTITY is me"), "{said}");
    let same = [("WANDB_PROJECT", "vision"), ("WANDB_ENTITY", "team-x"), ("WANDB_TAGS", "bb")];
    assert!(of_sync(&place, Some(&url), &same, &runs).is_ok());
    // Without a variable they would go to the public server.
    let said = refused(None, &[]);
    assert!(said.contains(&format!("was to be logged to {url}, not to https://")), "{said}");
    assert!(said.contains("set WANDB_BASE_URL"), "{said}");
}

/// A note is a file, and what it says is shown without commands for the terminal.
#[test]
fn a_foreign_note_commands_no_terminal() {
    let (place, server) = (Place::new(), Server::start(calm()));
    let settings = of_experiment(&place, Mode::Online, &server.url(), &[]);
    let run = place.begin(1);
    settings.expect(&run.dir, "sweep");
    let mut foreign = note(&run.dir).unwrap().unwrap();
    foreign.destination.as_mut().unwrap().project = "a\u{1b}]0;b".to_owned();
    run.dir.write_note(&foreign).unwrap();
    let named = [("WANDB_PROJECT", "vision")];
    let said = of_sync(&place, Some(&server.url()), &named, &[run]).unwrap_err();
    assert!(said.contains("a]0;b") && !said.contains('\u{1b}'), "{said}");
}

/// A note never decides which server is asked, and what it says of one server does not count on another.
#[test]
fn a_note_of_another_server_chooses_nothing() {
    let (place, server, trap) = (Place::new(), Server::start(calm()), Server::start(calm()));
    let mut gone = Server::start(calm());
    gone.go_away();
    let settings = of_experiment(&place, Mode::Online, &gone.url(), &[]);
    let runs = followed(&place, &settings, Duration::from_millis(50));
    for run in &runs {
        let mut foreign = note(&run.dir).unwrap().unwrap();
        foreign.destination.as_mut().unwrap().server = Some(trap.url());
        foreign.url = Some(format!("{}/team-x/vision/runs/x", trap.url()));
        run.dir.write_note(&foreign).unwrap();
    }
    let settings = of_sync(&place, Some(&server.url()), &[], &runs).unwrap();
    assert_eq!(upload(&place, &settings, &runs), []);
    assert!(trap.received().requests.is_empty());
    assert!(server.received().runs.values().all(|run| run.variables["project"] == "actlab"));
}

/// A process that is killed before the server has answered leaves notes by which the next sweep sends everything.
#[test]
fn runs_that_end_while_the_server_is_away_are_sent_by_the_next_process() {
    let (place, mut server) = (Place::new(), Server::start(calm()));
    server.go_away();
    let settings = of_experiment(&place, Mode::Online, &server.url(), &[]);
    let first = target_without_fallback(&settings, pace(), &place.notice()).unwrap();
    let first = Tracker::start(vec![first], &place.notice()).unwrap();
    let runs = train(&place, &first, 2, 60);
    let other = Settings { base_url: "http://127.0.0.1:2".into(), ..settings.clone() };
    let began = Instant::now();
    while !runs.iter().all(|run| settings.catches_up(&run.dir)) {
        assert!(began.elapsed() < PATIENCE, "no note says that the runs are to be logged");
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(!runs.iter().any(|run| other.catches_up(&run.dir)));
    let ids: Vec<_> = runs.iter().map(|run| note(&run.dir).unwrap().unwrap().id).collect();
    assert_eq!(first.finish(Duration::ZERO, &|| true).len(), 2);
    server.come_back();
    assert_eq!(upload(&place, &settings, &runs), []);
    assert_eq!(ids, runs.iter().map(|run| note(&run.dir).unwrap().unwrap().id).collect::<Vec<_>>());
    assert!(!runs.iter().any(|run| settings.catches_up(&run.dir)));
    let received = server.received();
    assert_eq!((received.faults.len(), received.runs.len()), (0, 2));
    for run in &runs {
        run.assert_history(&received.runs[&note(&run.dir).unwrap().unwrap().id].history());
    }
}

/// What a run that was to be logged is, before it has begun.
#[test]
fn a_run_is_expected_before_it_begins() {
    let (place, server) = (Place::new(), Server::start(calm()));
    let settings = of_experiment(&place, Mode::Online, &server.url(), &[]);
    let run = place.begin(1);
    settings.expect(&run.dir, "sweep");
    let id = note(&run.dir).unwrap().unwrap().id;
    settings.expect(&run.dir, "sweep");
    assert_eq!(note(&run.dir).unwrap().unwrap().id, id);
    assert!(settings.catches_up(&run.dir) && !settings.has_all(&run.dir).unwrap());
    let offline = of_experiment(&place, Mode::Offline, &server.url(), &[]);
    let other = place.begin(2);
    offline.expect(&other.dir, "sweep");
    assert!(note(&other.dir).unwrap().is_none());
}

/// The directory that took the place of a server was uploaded by `wandb sync`: the next sweep does not send it once more.
#[test]
fn a_run_whose_directory_was_uploaded_is_not_sent_again() {
    let (place, mut server) = (Place::new(), Server::start(calm()));
    server.go_away();
    let settings = of_experiment(&place, Mode::Online, &server.url(), &[]);
    let runs = followed(&place, &settings, Duration::from_millis(50));
    for run in &runs {
        assert!(settings.catches_up(&run.dir));
        let directory = note(&run.dir).unwrap().unwrap().offline.unwrap();
        LogSource::open(&directory).unwrap().mark_synced().unwrap();
        assert!(!settings.catches_up(&run.dir));
        // It begins anew, and ends after the upload.
        std::thread::sleep(Duration::from_millis(20));
        run.finish(Outcome::Completed);
        assert!(settings.catches_up(&run.dir));
    }
}
