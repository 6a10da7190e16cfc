//! Files that are not what the program left: one of them costs its run, and no other.

use crate::support::{Place, place};
use record::{RunDir, RunState};
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const SMALL: &str = r#"
name = "small"
activations = ["relu", "gelu"]
seeds = [1, 2]
[tasks.t]
model = { name = "resnet", depth = 8, width = 4 }
data = { name = "fashion-mnist-mini", train_limit = 64 }
[tasks.t.training]
batch_size = 16
budget = { steps = 6 }
evaluate_every = 3
optimizer = { name = "sgd" }
learning_rate = 0.05
"#;

const SWEEP: [&str; 2] = ["sweep", "small.toml"];

/// A place with a finished sweep of four runs.
fn finished() -> Place {
    let place = place();
    place.write("small.toml", SMALL);
    place.run(&SWEEP).ok();
    place
}

fn runs(place: &Place) -> Vec<PathBuf> {
    let folder = place.path("results/small/runs");
    let mut runs: Vec<_> = fs::read_dir(folder).unwrap().map(|run| run.unwrap().path()).collect();
    runs.sort();
    runs
}

/// Predictions by the folder of their run.
fn predictions(place: &Place) -> BTreeMap<String, String> {
    let read = |run: PathBuf| {
        let name = run.file_name().unwrap().to_str().unwrap().to_owned();
        // A pipe never ends.
        let file = Some(run.join("predictions.csv")).filter(|file| file.is_file())?;
        Some((name, fs::read_to_string(file).ok()?))
    };
    runs(place).into_iter().filter_map(read).collect()
}

fn remove(path: &Path) {
    if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
}

fn pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// The run in `folder` as one that has not ended.
fn reopen(folder: &Path) {
    remove(&folder.join("record.json"));
    fs::write(
        folder.join("attempt.json"),
        r#"{ "token": "x", "host": "h", "process": 1, "started_unix": 1.0, "after_step": 0, "steps": 6 }"#,
    )
    .unwrap();
}

/// Replaces the first `from` in a file of `folder`.
fn edit(folder: &Path, file: &str, from: &str, to: &str) {
    let text = fs::read_to_string(folder.join(file)).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(folder.join(file), text.replacen(from, to, 1)).unwrap();
}

/// What happens to a damaged run.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    /// It is trained again; the sweep names the reason where it is not the ordinary one.
    Again,
    /// It cannot be trained, and the sweep says why.
    LeftOut,
    /// It counts as finished; the report says what is missing.
    Reported(&'static str),
}

/// A kind of damage, what it does to the folder of a run, and what happens to that run.
type Damage = (&'static str, fn(&Path), Fate);

const DAMAGES: &[Damage] = &[
    ("an empty record", |run| fs::write(run.join("record.json"), "").unwrap(), Fate::Again),
    (
        "half a record",
        |run| {
            let text = fs::read(run.join("record.json")).unwrap();
            fs::write(run.join("record.json"), &text[..text.len() / 2]).unwrap();
        },
        Fate::Again,
    ),
    ("zeros", |run| fs::write(run.join("record.json"), [0; 64]).unwrap(), Fate::Again),
    ("an empty object", |run| fs::write(run.join("record.json"), "{}").unwrap(), Fate::Again),
    (
        "a folder in the place of a record",
        |run| {
            remove(&run.join("record.json"));
            fs::create_dir(run.join("record.json")).unwrap();
        },
        Fate::Again,
    ),
    (
        "a newer schema",
        |run| edit(run, "record.json", "\"schema\": 1", "\"schema\": 9"),
        Fate::Again,
    ),
    ("another spec", |run| edit(run, "record.json", "\"seed\": ", "\"seed\": 9"), Fate::Again),
    (
        "another figure",
        |run| edit(run, "record.json", "\"accuracy\": 0.", "\"accuracy\": 0.9"),
        Fate::Again,
    ),
    (
        "the record of another run",
        |run| {
            let other = fs::read_dir(run.parent().unwrap()).unwrap();
            let other = other.map(|one| one.unwrap().path()).find(|one| one != run).unwrap();
            fs::copy(other.join("record.json"), run.join("record.json")).unwrap();
        },
        Fate::Again,
    ),
    (
        "an empty note of an attempt",
        |run| {
            reopen(run);
            fs::write(run.join("attempt.json"), "").unwrap();
        },
        Fate::Again,
    ),
    (
        "a zeroed line of metrics before a checkpoint",
        |run| {
            reopen(run);
            edit(run, "metrics.jsonl", "\n", "\n\0\0\0\0\0\0\n");
            fs::write(run.join("checkpoint-3-900-0123456789abcdef.safetensors"), "x").unwrap();
        },
        Fate::Again,
    ),
    (
        "half a spec",
        |run| {
            reopen(run);
            fs::write(run.join("spec.json"), "{ \"activation\":").unwrap();
        },
        Fate::Again,
    ),
    (
        "a file in the place of a run",
        |run| {
            remove(run);
            fs::write(run, "x").unwrap();
        },
        Fate::LeftOut,
    ),
    (
        "a folder in the place of a lock",
        |run| {
            reopen(run);
            fs::create_dir(run.join(".lock")).unwrap();
        },
        Fate::LeftOut,
    ),
    (
        "a pipe in the place of a record",
        |run| {
            remove(&run.join("record.json"));
            pipe(&run.join("record.json"));
        },
        Fate::Again,
    ),
    (
        "a record that links to itself",
        |run| {
            remove(&run.join("record.json"));
            symlink("record.json", run.join("record.json")).unwrap();
        },
        Fate::Again,
    ),
    (
        "a link in the place of a lock",
        |run| {
            reopen(run);
            symlink("../../small.toml", run.join(".lock")).unwrap();
        },
        Fate::LeftOut,
    ),
    (
        "a pipe in the place of metrics",
        |run| {
            remove(&run.join("metrics.jsonl"));
            pipe(&run.join("metrics.jsonl"));
        },
        Fate::Reported("The learning curves of 1 run could not be read"),
    ),
    (
        "a pipe in the place of predictions",
        |run| {
            remove(&run.join("predictions.csv"));
            pipe(&run.join("predictions.csv"));
        },
        Fate::Reported("The test predictions of 1 run could not be read"),
    ),
    (
        "empty metrics",
        |run| fs::write(run.join("metrics.jsonl"), "").unwrap(),
        Fate::Reported("The learning curves of 1 run could not be read"),
    ),
    (
        "no predictions",
        |run| remove(&run.join("predictions.csv")),
        Fate::Reported("The test predictions of 1 run could not be read"),
    ),
    (
        "an index of predictions beyond all",
        |run| {
            let table = "index,label,predicted,probability\n18446744073709551615,0,0,0.5\n";
            fs::write(run.join("predictions.csv"), table).unwrap();
        },
        Fate::Reported("The test predictions of 1 run could not be read"),
    ),
];

#[test]
fn one_damaged_file_costs_its_run_alone() {
    let place = finished();
    let calm = predictions(&place);
    for (i, (what, damage, fate)) in DAMAGES.iter().enumerate() {
        let run = &runs(&place)[i % 4];
        let name = run.file_name().unwrap().to_str().unwrap();
        let whole = tempfile::tempdir().unwrap();
        for file in fs::read_dir(run).unwrap().map(|file| file.unwrap()) {
            fs::copy(file.path(), whole.path().join(file.file_name())).unwrap();
        }
        damage(run);

        let report = place.run(&["report", "results/small"]);
        assert_eq!(report.code, Some(0), "{what}: {report:?}");
        let status = place.run(&["status", "results/small"]);
        assert_eq!(status.code, Some(0), "{what}: {status:?}");
        let sweep = place.run(&SWEEP);
        assert!(!sweep.err.contains("panicked"), "{what}: {}", sweep.err);
        let rest = |others: &BTreeMap<String, String>| {
            others.iter().filter(|(run, _)| *run != name).map(|(_, csv)| csv.clone()).collect()
        };
        let (before, after): (Vec<_>, Vec<_>) = (rest(&calm), rest(&predictions(&place)));
        assert_eq!(before, after, "{what}");
        match fate {
            Fate::Again => {
                assert_eq!(sweep.code, Some(0), "{what}: {}", sweep.err);
                assert!(sweep.err.contains("4 runs, 3 of them done"), "{what}: {}", sweep.err);
                assert_eq!(predictions(&place), calm, "{what}");
                // What could not be used is kept: it may be the only copy of another run's.
                if what.contains("another run") || what.contains("half a record") {
                    assert!(run.join("record.json.unusable").exists(), "{what}");
                }
            }
            Fate::LeftOut => {
                assert_eq!(sweep.code, Some(1), "{what}: {}", sweep.err);
                assert!(sweep.err.contains("1 of 4 runs was not trained"), "{what}: {}", sweep.err);
                assert!(sweep.out.contains("3 runs of 2 activations"), "{what}: {}", sweep.out);
            }
            Fate::Reported(words) => {
                assert_eq!(sweep.code, Some(0), "{what}: {}", sweep.err);
                let report = place.read("results/small/report.md");
                let text = report.split_whitespace().collect::<Vec<_>>().join(" ");
                assert!(text.contains(words), "{what}: {text}");
            }
        }
        remove(run);
        fs::create_dir(run).unwrap();
        for file in fs::read_dir(whole.path()).unwrap().map(|file| file.unwrap()) {
            fs::copy(file.path(), run.join(file.file_name())).unwrap();
        }
    }
}

/// The lock of a sweep is none of the user's files, and no pipe is waited for.
#[test]
fn a_lock_is_a_file() {
    let place = finished();
    let lock = place.path("results/small/.lock");
    remove(&runs(&place)[0]);
    place.write("precious", "mine");
    for kind in ["link", "pipe"] {
        remove(&lock);
        match kind {
            "link" => symlink("../../precious", &lock).unwrap(),
            _ => pipe(&lock),
        }
        let said = place.run(&SWEEP);
        assert_eq!(said.code, Some(1), "{kind}: {said:?}");
        assert!(said.err.contains(".lock: it is no regular file: remove it"), "{}", said.err);
        assert_eq!(place.run(&["status", "results/small"]).code, Some(0), "{kind}");
    }
    assert_eq!(place.read("precious"), "mine");
}

/// Where no run has a result, the reason is said, and not that there is nothing to report.
#[test]
fn a_sweep_without_any_result_says_why() {
    let place = place();
    place.write("small.toml", &SMALL.replace("\"relu\", ", "").replace("[1, 2]", "[1]"));
    place.run(&SWEEP).ok();
    let run = runs(&place).remove(0);
    remove(&run);
    fs::write(&run, "x").unwrap();
    let said = place.run(&SWEEP);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains("1 of 1 runs was not trained"), "{}", said.err);
    assert!(said.err.contains("not trained: cannot create"), "{}", said.err);
}

/// A record without a whole end is no end of its run, and names of files cannot command the terminal.
#[test]
fn status_counts_what_is_whole_and_writes_nothing() {
    let place = finished();
    let run = &runs(&place)[0];
    reopen(run);
    fs::write(runs(&place)[1].join("record.json"), "").unwrap();
    fs::create_dir(place.path("results/small/runs/\u{1b}[31mred-1")).unwrap();
    fs::copy(run.join("spec.json"), place.path("results/small/runs/\u{1b}[31mred-1/spec.json"))
        .unwrap();
    fs::copy(
        run.join("metrics.jsonl"),
        place.path("results/small/runs/\u{1b}[31mred-1/metrics.jsonl"),
    )
    .unwrap();
    fs::copy(
        run.join("attempt.json"),
        place.path("results/small/runs/\u{1b}[31mred-1/attempt.json"),
    )
    .unwrap();
    let tree = || {
        let folders = runs(&place).into_iter().filter(|run| run.is_dir());
        let files = folders.flat_map(|run| fs::read_dir(run).unwrap());
        files.map(|file| file.unwrap().path()).collect::<std::collections::BTreeSet<_>>()
    };
    let before = tree();
    let said = place.run(&["status", "results/small"]);
    assert_eq!(tree(), before, "nothing is written");
    assert!(said.out.contains("2 of 4 runs are finished; not running"), "{}", said.out);
    // A process of another machine cannot be seen.
    place.write("results/small/.lock", "process 1 on elsewhere.example");
    let other = place.run(&["status", "results/small"]).out;
    assert!(other.contains("last worked on by process 1 on elsewhere.example"), "{other}");
    assert!(said.err.contains("cannot be read"), "{}", said.err);
    assert!(!said.out.contains('\u{1b}') && said.out.contains("[31mred-1"), "{}", said.out);
    assert!(!run.join(".lock").exists(), "status takes no lock");
}

/// Stops the sweep when its run has come to `step`.
pub(crate) fn interrupt_at(place: &Place, step: u64) {
    let mut child = place
        .command(&[&SWEEP[..], &["--jobs", "1"]].concat())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let started = Instant::now();
    let reached = || {
        let runs = place.path("results/small/runs");
        fs::read_dir(runs).is_ok_and(|runs| {
            runs.filter_map(Result::ok).any(|run| {
                let text = fs::read_to_string(run.path().join("metrics.jsonl"));
                text.is_ok_and(|text| text.contains(&format!("\"train\",\"step\":{step},")))
            })
        })
    };
    while !reached() {
        assert!(started.elapsed() < Duration::from_secs(120), "the run does not come on");
        std::thread::sleep(Duration::from_millis(2));
    }
    Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[test]
fn a_flipped_bit_in_a_checkpoint_changes_no_result() {
    let long = SMALL
        .replace("[\"relu\", \"gelu\"]", "[\"relu\"]")
        .replace("seeds = [1, 2]", "seeds = [1]\ncheckpoint_every = 0.001")
        .replace("steps = 6", "steps = 60")
        .replace("evaluate_every = 3", "evaluate_every = 10");
    let calm = place();
    calm.write("small.toml", &long);
    calm.run(&SWEEP).ok();

    let place = place();
    place.write("small.toml", &long);
    interrupt_at(&place, 20);
    let run = &runs(&place)[0];
    let newest = RunDir::at(run.clone()).checkpoints().unwrap().remove(0);
    let mut bytes = fs::read(newest.path()).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(newest.path(), bytes).unwrap();
    let said = place.run(&SWEEP);
    assert!(said.err.contains("is damaged"), "{}", said.err);
    assert!(said.err.contains("an older checkpoint is tried"), "{}", said.err);
    said.ok();
    assert_eq!(predictions(&place), predictions(&calm));
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    assert!(text.contains("resumes after step"), "the older one was used");
}

/// A worker that waits for the end of another one finds the run finished.
#[test]
fn a_run_that_another_worker_has_finished_is_not_trained_again() {
    let place = finished();
    let run = &runs(&place)[0];
    let record = fs::read(run.join("record.json")).unwrap();
    reopen(run);
    let dir = RunDir::at(run.clone());
    let lock = dir.lock().unwrap().unwrap();
    let mut child =
        place.command(&SWEEP).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("3 of them done") {
        line.clear();
        assert!(said.read_line(&mut line).unwrap() > 0, "the sweep says what it does");
    }
    // Long enough for its worker to begin to wait. Where that takes longer, nothing is wrong either.
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(dir.state(), RunState::Unfinished);
    fs::write(run.join("record.json"), &record).unwrap();
    drop(lock);
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{rest}");
    assert_eq!(fs::read(run.join("record.json")).unwrap(), record, "the very same record");
    assert!(!run.join(".lock").exists() && !run.join("attempt.json").exists());
}

#[test]
fn a_repetition_stays_in_its_folder_and_overwrites_no_run() {
    let place = finished();
    let run = runs(&place)[0].clone();
    let path = run.to_str().unwrap();
    let before = fs::read(run.join("record.json")).unwrap();
    let said = place.run(&["rerun", path, "--output", "results/small/runs"]).refused();
    assert!(said.contains("choose another folder with --output"), "{said}");
    assert_eq!(fs::read(run.join("record.json")).unwrap(), before);

    // A record of unknown origin names a folder elsewhere.
    let mut record = RunDir::at(run).record().unwrap();
    record.spec.task = "/../../../escaped/evil".into();
    record.id = record.spec.id();
    let evil = place.path("evil");
    fs::create_dir(&evil).unwrap();
    fs::write(evil.join("record.json"), record.to_file().unwrap()).unwrap();
    fs::write(evil.join("metrics.jsonl"), "").unwrap();
    let said = place.run(&["rerun", "evil", "--output", "deep/reruns"]);
    assert!(!place.path("escaped").exists() && !place.path("deep/escaped").exists(), "{said:?}");
    let inside: Vec<_> = fs::read_dir(place.path("deep/reruns")).unwrap().collect();
    assert_eq!(inside.len(), 1, "{said:?}");
    // Once more over what the first repetition left.
    let again = place.run(&["rerun", "evil", "--output", "deep/reruns"]);
    assert_eq!(again.code, said.code, "{again:?}");
}
