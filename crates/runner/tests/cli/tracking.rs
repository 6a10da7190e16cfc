//! Sweeps that are logged.

use crate::support::{Place, place};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tracking_testing::{Fault, KEY, Received, Request, Seeded, Server, calm};

/// The program with a user's key for `server`.
fn logged(place: &Place, server: &Server, args: &[&str]) -> Command {
    let mut command = place.command(args);
    command
        .env("WANDB_BASE_URL", server.url())
        .env("WANDB_API_KEY", KEY)
        .env("WANDB_MODE", "online");
    // Nothing for this machine goes through a proxy.
    for name in ["http_proxy", "https_proxy", "all_proxy"] {
        command.env(name, "http://127.0.0.1:9");
    }
    command
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

fn runs(place: &Place) -> Vec<PathBuf> {
    let runs = std::fs::read_dir(place.path("results/tiny/runs")).unwrap();
    runs.map(|run| run.unwrap().path()).collect()
}

/// Compares what the server has of every run with the run's own record.
fn assert_whole(place: &Place, received: &Received) {
    assert_eq!(received.faults, [""; 0]);
    let runs = runs(place);
    assert_eq!(runs.len(), 8);
    for run in runs {
        let json = |name: &str| -> serde_json::Value {
            serde_json::from_slice(&std::fs::read(run.join(name)).unwrap()).unwrap()
        };
        let id = json("wandb.json")["id"].as_str().unwrap().to_owned();
        let theirs = &received.runs[&id];
        let record = json("record.json");
        let history = theirs.history();
        let steps = record["summary"]["steps"].as_u64().unwrap();
        let arrived: Vec<u64> = history.iter().map(|row| row["_step"].as_u64().unwrap()).collect();
        assert_eq!(arrived, (1..=steps).collect::<Vec<_>>(), "{}", run.display());
        let last = history.last().unwrap();
        let validation = &record["summary"]["last_validation"];
        assert_eq!(last["validation/accuracy"], validation["accuracy"]);
        assert_eq!(theirs.summary()["test/accuracy"], record["summary"]["test"]["accuracy"]);
        assert_eq!(theirs.config()["training"], record["spec"]["training"]);
        assert_eq!(theirs.variables["groupName"], "tiny");
        assert_eq!(theirs.exit_code, Some(0));
    }
}

#[test]
fn a_sweep_reaches_the_server_through_faults() {
    let hang = Duration::from_millis(300);
    let (place, server) = (place(), Server::start(Seeded::new(7, 0.1, hang)));
    let output = logged(&place, &server, &["sweep", "tiny.toml"]).output().unwrap();
    let said = text(output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert_whole(&place, &server.received());
    let url = format!("{}/someone/actlab/runs/", server.url());
    assert_eq!(said.lines().filter(|line| line.contains(&url)).count(), 9, "{said}");
    assert!(!said.contains(KEY));
    let received = server.received();
    let report = received.runs.values().find(|run| run.variables["jobType"] == "report").unwrap();
    assert_eq!(text(report.files["report.md"].clone()), place.read("results/tiny/report.md"));
    assert!(text(output.stdout).contains("| Δ to baseline, points |"));
}

#[test]
fn without_a_key_and_a_wish_a_line_says_how_and_nothing_is_written() {
    let place = place();
    let said = place.run(&["sweep", "tiny.toml", "--set", "seeds=[1]"]);
    assert_eq!(said.err.matches("--wandb online or offline").count(), 1, "{}", said.err);
    assert!(!place.path("wandb").exists() && !place.path("results/tiny/tensorboard").exists());
    let said = place.run(&["sweep", "tiny.toml", "--wandb", "online"]).refused();
    assert!(said.contains("WANDB_API_KEY") && said.contains(".netrc"), "{said}");
    let said = place.run(&["sweep", "tiny.toml", "--set", "wandb.mode=on"]).refused();
    assert!(said.contains("wandb.mode") && said.contains("offline"), "{said}");
    let said = place.run(&["sync", "results/nothing"]).refused();
    assert!(said.contains("results/nothing does not exist"), "{said}");
    let said = place.run(&["sync", "results/tiny"]).refused();
    assert!(said.contains("WANDB_API_KEY"), "{said}");
}

/// A key is no wish, and `wandb offline` is heeded.
#[test]
fn nothing_is_sent_without_being_asked_for() {
    let (place, server) = (place(), Server::start(calm()));
    let args = ["sweep", "tiny.toml", "--set", "seeds=[1]"];
    let sweep = |place: &Place| {
        let output = logged(place, &server, &args).env_remove("WANDB_MODE").output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        text(output.stderr)
    };
    let said = sweep(&place);
    assert!(said.contains("W&B: not logging"), "{said}");
    std::fs::create_dir(place.path("wandb")).unwrap();
    std::fs::write(place.path("wandb/settings"), "[default]\nmode = offline\n").unwrap();
    std::fs::remove_dir_all(place.path("results")).unwrap();
    let said = sweep(&place);
    assert!(said.contains("W&B: writing offline directories"), "{said}");
    assert_eq!(std::fs::read_dir(place.path("wandb")).unwrap().count(), 1 + 5);
    assert_eq!(server.received().requests.len(), 0);
}

#[test]
fn offline_directories_are_uploaded_later() {
    let (place, server) = (place(), Server::start(calm()));
    let said = place.run(&["sweep", "tiny.toml", "--wandb", "offline", "--tensorboard"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let directories: Vec<String> = std::fs::read_dir(place.path("wandb"))
        .unwrap()
        .map(|entry| format!("wandb/{}", entry.unwrap().file_name().into_string().unwrap()))
        .collect();
    assert_eq!(directories.len(), 9);
    assert_eq!(std::fs::read_dir(place.path("results/tiny/tensorboard")).unwrap().count(), 8);

    let mut args = vec!["sync"];
    args.extend(directories.iter().map(String::as_str));
    let output = logged(&place, &server, &args).output().unwrap();
    let said = text(output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("9 runs uploaded"), "{said}");
    assert_whole(&place, &server.received());

    let again = text(logged(&place, &server, &args).output().unwrap().stderr);
    assert!(again.contains("0 runs uploaded; 9 had been uploaded before"), "{again}");
}

/// A directory whose files the store refuses is not uploaded: the next command tries them again.
#[test]
fn refused_files_of_offline_directories_are_tried_again() {
    let place = place();
    let refuses = Arc::new(AtomicBool::new(true));
    let plan = {
        let refuses = Arc::clone(&refuses);
        move |request: &Request| {
            let spoiled = request.method == "PUT" && refuses.load(Ordering::Relaxed);
            spoiled.then_some(Fault::Status { code: 400, retry_after: None })
        }
    };
    let server = Server::start(plan);
    let said = place.run(&["sweep", "tiny.toml", "--wandb", "offline", "--set", "seeds=[1]"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let directories: Vec<String> = std::fs::read_dir(place.path("wandb"))
        .unwrap()
        .map(|entry| format!("wandb/{}", entry.unwrap().file_name().into_string().unwrap()))
        .collect();
    let mut args = vec!["sync"];
    args.extend(directories.iter().map(String::as_str));
    let sync = || text(logged(&place, &server, &args).output().unwrap().stderr);
    let said = sync();
    assert!(said.contains("did not take"), "{said}");
    let said = sync();
    assert!(said.contains("did not take") && !said.contains("before"), "{said}");
    refuses.store(false, Ordering::Relaxed);
    let said = sync();
    assert!(said.contains("5 runs uploaded\n"), "{said}");
    let said = sync();
    assert!(said.contains("0 runs uploaded; 5 had been uploaded before"), "{said}");
}

/// What cannot be sent is neither counted as sent, nor keeps the rest from it.
#[test]
fn only_what_arrives_counts_as_uploaded() {
    let (place, server) = (place(), Server::start(calm()));
    let said = place.run(&["sweep", "tiny.toml", "--set", "seeds=[1]"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let all = runs(&place);
    let metrics = std::fs::read(all[0].join("metrics.jsonl")).unwrap();
    std::fs::write(all[0].join("metrics.jsonl"), "").unwrap();
    std::fs::write(all[1].join("wandb.json"), "").unwrap();
    std::fs::write(all[2].join("record.json"), "{").unwrap();
    let sync = || {
        let output = logged(&place, &server, &["sync", "results/tiny"]).output().unwrap();
        (output.status.code(), text(output.stderr))
    };
    let (code, said) = sync();
    assert_eq!(code, Some(1), "{said}");
    // A run and the report.
    assert!(said.contains("2 runs uploaded, 3 not\n"), "{said}");
    for (run, file) in all.iter().zip(["metrics.jsonl", "wandb.json", "record.json"]) {
        let path = run.join(file).strip_prefix(place.path("")).unwrap().display().to_string();
        assert!(said.contains(&path), "{path}: {said}");
    }
    assert_eq!(server.received().runs.len(), 2);
    std::fs::write(all[0].join("metrics.jsonl"), metrics).unwrap();
    let (code, said) = sync();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("1 run uploaded, 2 not; 2 had been uploaded before\n"), "{said}");
}

/// Runs that finished without event files, or whose files were cut off, get them with the next sweep.
#[test]
fn event_files_are_completed() {
    let place = place();
    let sweep = |more: &[&str]| {
        let args = [&["sweep", "tiny.toml", "--set", "seeds=[1]"], more].concat();
        let said = place.run(&args);
        assert_eq!(said.code, Some(0), "{}", said.err);
        said.err
    };
    sweep(&[]);
    let folder = place.path("results/tiny/tensorboard");
    assert!(!folder.exists());
    let said = sweep(&["--tensorboard"]);
    assert!(said.contains("event files of 4 finished runs"), "{said}");
    let files = || {
        let mut files: Vec<_> = runs(&place)
            .iter()
            .map(|run| {
                let folder = folder.join(run.file_name().unwrap());
                let mut files = std::fs::read_dir(folder).unwrap();
                let file = files.next().unwrap().unwrap().path();
                assert!(files.next().is_none());
                (std::fs::read(&file).unwrap(), file)
            })
            .collect();
        files.sort();
        files
    };
    let before = files();
    assert_eq!(before.len(), 4);
    let (bytes, file) = &before[0];
    std::fs::write(file, &bytes[..bytes.len() - 70]).unwrap();
    let said = sweep(&["--tensorboard"]);
    assert!(said.contains("event files of 1 finished run\n"), "{said}");
    assert_eq!(files(), before);
    let said = sweep(&["--tensorboard"]);
    assert!(!said.contains("TensorBoard"), "{said}");
}

#[test]
fn names_that_the_server_does_not_take_are_refused_before_training() {
    let place = place();
    let set = |value: &str| {
        place.run(&["sweep", "tiny.toml", "--wandb", "offline", "--set", value]).refused()
    };
    let said = set("wandb.project=\"vision/activations\"");
    assert!(said.contains("wandb.project = \"vision/activations\""), "{said}");
    let tag = "x".repeat(66);
    let said = set(&format!("wandb.tags=[\"{tag}\"]"));
    assert!(said.contains(&format!("wandb.tags = \"{tag}\"")), "{said}");
    assert!(!place.path("results").exists() && !place.path("wandb").exists());
}

/// Killed while the server takes nothing: the next command sends the rest, and nothing twice.
#[test]
fn a_killed_upload_is_completed() {
    let place = place();
    let mut streams = 0;
    let server = Server::start(move |request: &Request| {
        streams += usize::from(request.is_stream());
        (streams > 6).then_some(Fault::Status { code: 503, retry_after: None })
    });
    let table = "wandb={entity=\"team-x\", project=\"vision\", tags=[\"aa\"]}";
    let mut child = logged(&place, &server, &["sweep", "tiny.toml", "--set", table])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let began = Instant::now();
    while !place.path("results/tiny/report.md").exists() {
        assert!(began.elapsed() < Duration::from_secs(300), "the sweep does not end");
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    server.set_plan(calm());
    let mut elsewhere = logged(&place, &server, &["sync", "results/tiny"]);
    let output = elsewhere.env("WANDB_PROJECT", "other").output().unwrap();
    let said = text(output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("to the project vision, but WANDB_PROJECT is other"), "{said}");
    let output = logged(&place, &server, &["sync", "results/tiny"]).output().unwrap();
    let said = text(output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert_whole(&place, &server.received());
    assert!(server.received().runs.values().all(|run| run.repeated == 0));
    // They stay in the project that the experiment named.
    for run in server.received().runs.values() {
        assert_eq!(
            (&run.variables["entity"], &run.variables["project"]),
            (&"team-x".into(), &"vision".into())
        );
        assert_eq!(run.variables["tags"][0], "aa");
    }
    let report = |run: &&tracking_testing::Run| run.variables["jobType"] == "report";
    let reports: Vec<_> = server.received().runs.values().filter(report).cloned().collect();
    assert_eq!(reports.len(), 1);
    assert!(reports[0].files.contains_key("report.md") && reports[0].exit_code == Some(0));
    // A finished sweep has nothing to add.
    let requests = |server: &Server| server.received().requests.values().sum::<usize>();
    let before = requests(&server);
    let output = logged(&place, &server, &["sweep", "tiny.toml"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(requests(&server), before);
}

/// Starts `command`, and kills it when the sweep has `finished` finished runs, or its report where that is nothing.
fn kill(place: &Place, command: &mut Command, finished: Option<usize>) {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let began = Instant::now();
    let is_far = || match finished {
        None => place.path("results/tiny/report.md").exists(),
        Some(enough) => {
            let runs = std::fs::read_dir(place.path("results/tiny/runs"));
            let ended = |run: &std::fs::DirEntry| run.path().join("record.json").exists();
            runs.is_ok_and(|runs| runs.flatten().filter(ended).count() >= enough)
        }
    };
    while !is_far() {
        assert!(began.elapsed() < Duration::from_secs(300), "the sweep does not end");
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Killed while the server was away all the time: the next sweep sends what had ended, the report too.
#[test]
fn what_ended_while_the_server_was_away_is_sent_by_the_next_sweep() {
    for finished in [Some(3), None] {
        let (place, mut server) = (place(), Server::start(calm()));
        server.go_away();
        kill(&place, &mut logged(&place, &server, &["sweep", "tiny.toml"]), finished);
        server.come_back();
        let output = logged(&place, &server, &["sweep", "tiny.toml"]).output().unwrap();
        let said = text(output.stderr);
        assert_eq!(output.status.code(), Some(0), "{said}");
        assert_whole(&place, &server.received());
        let received = server.received();
        assert_eq!(received.runs.len(), 9, "{said}");
        let is_report = |run: &&tracking_testing::Run| run.variables["jobType"] == "report";
        let report = received.runs.values().find(is_report).unwrap();
        assert_eq!(report.exit_code, Some(0));
        assert!(report.files.contains_key("report.md"));
    }
    let (place, mut server) = (place(), Server::mlflow(calm()));
    server.go_away();
    let flag = format!("--mlflow={}", server.url());
    let sweep = || {
        let mut command = place.command(&["sweep", "tiny.toml", "--set", "seeds=[1]", &flag]);
        command.env("MLFLOW_TRACKING_TOKEN", KEY);
        command
    };
    kill(&place, &mut sweep(), Some(2));
    server.come_back();
    let output = sweep().output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(output.stderr));
    let received = server.received();
    assert_eq!((received.faults.as_slice(), received.runs.len()), ([].as_slice(), 5));
    assert!(received.runs.values().all(|run| run.status == "FINISHED"));
}

#[test]
fn a_server_that_refuses_costs_no_run() {
    let place = place();
    let server = Server::start(|_: &Request| Some(Fault::Status { code: 403, retry_after: None }));
    let args = ["sweep", "tiny.toml", "--set", "seeds=[1]"];
    let output = logged(&place, &server, &args).output().unwrap();
    let said = text(output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert_eq!(said.matches("answers 403").count(), 1, "{said}");
    assert_eq!(std::fs::read_dir(place.path("wandb")).unwrap().count(), 5, "{said}");
}

/// What the machine does is in the record, also without a tracker.
#[test]
fn a_record_holds_the_run_and_the_machine() {
    let place = place();
    place.run(&["train", "tiny.toml", "--activation", "gelu", "--set", "system_metrics=0.1"]).ok();
    let stream = std::fs::read_to_string(runs(&place)[0].join("metrics.jsonl")).unwrap();
    let events: Vec<serde_json::Value> =
        stream.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |kind: &str| events.iter().filter(|event| event["event"] == kind).count();
    assert_eq!((of("start"), of("train"), of("validation")), (1, 4, 2));
    assert_eq!(events[0]["sweep"], "tiny");
    // The beginning, two evaluations, the end.
    assert_eq!(of("output"), 4);
    let site = events.iter().find(|event| event["event"] == "site").unwrap();
    assert_eq!(site["outputs"]["counts"].as_array().unwrap().len(), 32);
    let times: Vec<f64> = events.iter().map(|event| event["time"].as_f64().unwrap()).collect();
    assert!(times.is_sorted() && times[0] > 1.7e9, "{times:?}");
}

#[test]
fn runs_reach_an_mlflow_server_where_it_is_asked_for() {
    let (place, server) = (place(), Server::mlflow(calm()));
    let run = |args: &[&str]| {
        let mut command = place.command(args);
        command.env("MLFLOW_TRACKING_URI", server.url()).env("MLFLOW_TRACKING_TOKEN", KEY);
        let output = command.output().unwrap();
        let said = text(output.stderr);
        assert_eq!(output.status.code(), Some(0), "{said}");
        assert!(!said.contains(KEY), "{said}");
        said
    };
    let statuses = || {
        let received = server.received();
        assert_eq!(received.faults, [""; 0]);
        assert_eq!(received.experiments.keys().collect::<Vec<_>>(), ["tiny"]);
        received.runs.values().filter(|run| run.status == "FINISHED").count()
    };
    // Variables alone turn nothing on.
    run(&["sweep", "tiny.toml"]);
    assert!(server.received().requests.is_empty());
    // Eight runs and the report.
    let said = run(&["sync", "results/tiny", "--mlflow"]);
    assert!(said.contains("9 runs uploaded"), "{said}");
    assert_eq!(statuses(), 9);
    // No key of W&B is needed where the runs are on MLflow.
    let said = run(&["sync", "results/tiny"]);
    assert!(said.contains("0 runs uploaded; 9 had been uploaded before"), "{said}");
}

#[test]
fn a_sweep_is_logged_to_an_mlflow_server_while_it_goes_on() {
    let hang = Duration::from_millis(300);
    let (place, server) = (place(), Server::mlflow(Seeded::new(3, 0.1, hang)));
    let flag = format!("--mlflow={}", server.url());
    let mut command = place.command(&["sweep", "tiny.toml", &flag]);
    let output = command.env("MLFLOW_TRACKING_TOKEN", KEY).output().unwrap();
    let said = text(output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("MLflow: logging to") && said.contains(&server.url()), "{said}");
    let received = server.received();
    assert_eq!((received.faults.as_slice(), received.runs.len()), ([].as_slice(), 9));
    for run in runs(&place) {
        let json = |name: &str| -> serde_json::Value {
            serde_json::from_slice(&std::fs::read(run.join(name)).unwrap()).unwrap()
        };
        let (note, record) = (json("mlflow.json"), json("record.json"));
        assert_eq!(note["complete"], true, "{note}");
        let theirs = &received.runs[note["id"].as_str().unwrap()];
        let steps = record["summary"]["steps"].as_i64().unwrap();
        let arrived: Vec<i64> = theirs.metrics["epoch"].iter().map(|(step, ..)| *step).collect();
        assert_eq!(arrived, (1..=steps).collect::<Vec<_>>(), "{}", run.display());
        assert_eq!(theirs.metrics["test/accuracy"][0].2, record["summary"]["test"]["accuracy"]);
        assert_eq!(theirs.tags["actlab.run_id"], record["id"].as_str().unwrap());
        assert_eq!(theirs.status, "FINISHED");
        for name in ["record.json", "predictions.csv"] {
            assert_eq!(theirs.files[name], std::fs::read(run.join(name)).unwrap(), "{name}");
        }
    }
}

#[test]
fn an_mlflow_server_that_cannot_be_right_is_refused_before_training() {
    let place = place();
    let said = place.run(&["sweep", "tiny.toml", "--mlflow"]).refused();
    assert!(said.contains("mlflow.tracking_uri") && said.contains("MLFLOW_TRACKING_URI"), "{said}");
    let said = place.run(&["sweep", "tiny.toml", "--mlflow=sqlite:///a.db"]).refused();
    assert!(said.contains("--mlflow") && said.contains("http://"), "{said}");
    let table = "mlflow.tracking_uri=\"http://me:pa55word@host\"";
    let said = place.run(&["sweep", "tiny.toml", "--set", table]).refused();
    assert!(said.contains("mlflow.tracking_uri") && !said.contains("pa55word"), "{said}");
    assert!(!place.path("results").exists());
}
