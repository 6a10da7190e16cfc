//! Sweeps: to the end, interrupted, killed, and again.

use crate::support::{Place, TINY, place};
use runner_testing::without_time;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

fn records(place: &Place) -> usize {
    let Ok(runs) = std::fs::read_dir(place.path("results/tiny/runs")) else { return 0 };
    runs.filter(|run| run.as_ref().unwrap().path().join("record.json").exists()).count()
}

/// Starts the sweep and waits until `until` runs have a record.
fn start(place: &Place, until: usize) -> Child {
    let child = place
        .command(&["sweep", "tiny.toml", "--jobs", "1"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let started = Instant::now();
    while records(place) < until {
        assert!(started.elapsed() < Duration::from_secs(300), "the sweep does not come on");
        std::thread::sleep(Duration::from_millis(5));
    }
    child
}

#[test]
fn an_interrupted_sweep_ends_in_the_table_of_an_undisturbed_one() {
    let calm = place();
    let table = calm.run(&["sweep", "tiny.toml"]).ok();
    assert!(table.contains("| Δ to baseline, points |") && !table.contains("!["), "{table}");
    let full = calm.run(&["report", "results/tiny", "--full"]).ok();
    assert_eq!(full, calm.read("results/tiny/report.md"));
    // What the terminal shows is the beginning of the whole.
    assert_eq!(full.lines().next(), table.lines().next());
    assert_eq!(records(&calm), 8);
    // A command is copied: it stays on its line.
    for line in table.lines().filter(|line| !line.starts_with("    ")) {
        assert!(line.chars().count() <= 120, "{line}");
    }

    // A finished sweep prints its table again, to the last byte, and trains nothing.
    let again = calm.run(&["sweep", "tiny.toml", "--threads", "1"]);
    assert_eq!(again.err.matches("[").count(), 0, "{}", again.err);
    assert_eq!(again.ok(), table);
    assert_eq!(calm.run(&["report", "results/tiny"]).ok(), table);

    let disturbed = place();
    let mut child = start(&disturbed, 1);
    signal(&child, "-KILL");
    child.wait().unwrap();
    let mut child = start(&disturbed, 2);
    signal(&child, "-TERM");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let mut child = start(&disturbed, 3);
    signal(&child, "-INT");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let before = records(&disturbed);
    assert!((3..8).contains(&before), "{before}");
    // The rest with another number of threads.
    let said = disturbed.run(&["sweep", "tiny.toml", "--threads", "1"]);
    assert!(said.err.contains(&format!("{before} of them done")), "{}", said.err);
    assert_eq!(without_time(&said.ok()), without_time(&table));
    assert!(without_time(&table).contains("gelu"));

    for run in std::fs::read_dir(calm.path("results/tiny/runs")).unwrap() {
        let name = run.unwrap().file_name().into_string().unwrap();
        let file = format!("results/tiny/runs/{name}/predictions.csv");
        assert_eq!(calm.read(&file), disturbed.read(&file), "{name}");
        // A run that was interrupted began with its first attempt and ended with its last.
        let record = disturbed.read(&format!("results/tiny/runs/{name}/record.json"));
        let record: serde_json::Value = serde_json::from_str(&record).unwrap();
        let seconds = |key: &str| record["timing"][key].as_f64().unwrap();
        let (began, ended) = (seconds("started_unix"), seconds("ended_unix"));
        assert!(began + seconds("total_seconds") <= ended + 0.5, "{name}: {record}");
        let stream = disturbed.read(&format!("results/tiny/runs/{name}/metrics.jsonl"));
        let events = stream.lines().map(|line| serde_json::from_str(line).unwrap());
        let time = |event: &serde_json::Value| event["time"].as_f64().unwrap();
        let events: Vec<serde_json::Value> = events.collect();
        let first_step = events.iter().find(|event| event["event"] == "train").unwrap();
        assert!(time(&events[0]) <= began && began <= time(first_step), "{name}: {record}");
    }
}

#[test]
fn two_sweeps_do_not_share_a_folder() {
    let place = place();
    let mut child = start(&place, 1);
    // It must not be done before the other one looks.
    signal(&child, "-STOP");
    let said = place.run(&["sweep", "tiny.toml"]).refused();
    signal(&child, "-KILL");
    child.wait().unwrap();
    let holder = format!("another actlab (process {} on ", child.id());
    assert!(said.contains(&holder) && said.contains("is running in"), "{said}");
}

#[test]
fn a_changed_experiment_runs_what_changed() {
    let place = place();
    place
        .run(&["train", "tiny.toml", "--activation", "gelu", "--task", "text", "--seed", "2"])
        .ok();
    assert_eq!(records(&place), 1);
    place.write("tiny.toml", &TINY.replace("seeds = [1, 2]", "seeds = [2]"));
    let said = place.run(&["sweep", "tiny.toml", "--set", "overrides=[{ activation = \"gelu\", task = \"images\", set = { training = { budget = { steps = 1 } } } }]"]);
    assert!(said.err.contains("4 runs, 1 of them done"), "{}", said.err);
    assert!(said.out.contains("Not like for like"), "{}", said.out);
    place.write("tiny.toml", &TINY.replace("seeds = [1, 2]", "seeds = [2]"));
    let said = place.run(&["sweep", "tiny.toml"]);
    assert!(said.err.contains("4 runs, 3 of them done"), "{}", said.err);
    assert!(said.err.contains("1 finished run in"), "{}", said.err);
    assert!(said.err.contains("excluded from the report: gelu-images-s2-"), "{}", said.err);
    assert_eq!(said.code, Some(0));
}

#[test]
fn overrides_of_activations_that_flags_leave_out_change_nothing() {
    let place = place();
    let with_override = |arm: &str| {
        let set = "set = { training = { learning_rate = 0.05 } }";
        place
            .write("tiny.toml", &format!("{TINY}\n[[overrides]]\nactivation = \"{arm}\"\n{set}\n"));
    };
    let args = ["sweep", "tiny.toml", "--activations", "relu,silu", "--tasks", "text"];
    with_override("gelu");
    place.run(&args).ok();
    let manifest: serde_json::Value =
        serde_json::from_str(&place.read("results/tiny/sweep.json")).unwrap();
    assert_eq!(manifest["activations"], serde_json::json!(["relu", "silu"]));
    assert_eq!(manifest["experiment"]["overrides"], serde_json::json!([]));
    // The file's own activations lack this one.
    with_override("mish");
    for args in [&args[..], &args[..2]] {
        let said = place.run(args).refused();
        assert!(said.contains("`mish` is not in `activations`"), "{said}");
    }
}

/// Records that cannot be used are named, and the others are reported on.
#[test]
fn damaged_records_are_left_out_and_named() {
    let place = place();
    place.run(&["sweep", "tiny.toml", "--set", "seeds=[1, 2]"]).ok();
    let runs = place.path("results/tiny/runs");
    let mut folders: Vec<_> =
        std::fs::read_dir(&runs).unwrap().map(|run| run.unwrap().path()).collect();
    folders.sort();
    let record = |i: usize| folders[i].join("record.json");
    // Torn, of another time, and with a spec that is not its own.
    let text = std::fs::read_to_string(record(0)).unwrap();
    std::fs::write(record(0), &text[..text.len() / 2]).unwrap();
    let text = std::fs::read_to_string(record(1)).unwrap();
    std::fs::write(record(1), text.replacen("\"schema\": 1", "\"schema\": 0", 1)).unwrap();
    let text = std::fs::read_to_string(record(2)).unwrap();
    std::fs::write(record(2), text.replacen("\"seed\": ", "\"seed\": 9", 1)).unwrap();

    let said = place.run(&["report", "results/tiny"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.out.contains("5 runs of 2 activations"), "{}", said.out);
    let report = place.read("results/tiny/report.md");
    assert!(report.contains("## Records that are left out"), "{report}");
    for words in ["not a valid run record", "record schema 0", "its spec is not the one"] {
        assert_eq!(said.err.matches(words).count(), 1, "{words}: {}", said.err);
    }
    assert_eq!(said.err.matches("left out:").count(), 3, "{}", said.err);
}

#[test]
fn a_watched_report_is_written_while_the_sweep_goes_on() {
    let place = place();
    let mut child = start(&place, 1);
    let said = place.run(&["report", "results/tiny", "--watch"]);
    child.wait().unwrap();
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.err.contains("8 of 8 runs are finished"), "{}", said.err);
    assert!(said.err.matches("runs are finished").count() > 1, "{}", said.err);
    assert!(said.out.contains("8 runs of 2 activations"), "{}", said.out);
}

#[test]
fn two_sweeps_are_compared() {
    let place = place();
    place.run(&["sweep", "tiny.toml"]).ok();
    let change = ["--set", "name=other", "--set", "tasks.images.training.learning_rate=0.05"];
    place.run(&[&["sweep", "tiny.toml"][..], &change].concat()).ok();
    let out = place.run(&["compare", "results/tiny", "results/other"]).ok();
    assert!(out.contains("- images.training.learning_rate: 0.1 → 0.05"), "{out}");
    // The other task is the same to the last bit.
    let identical = "Identical under every shared seed: gelu, relu on text.";
    assert!(out.contains(identical), "{out}");
    let said = place.run(&["compare", "results/tiny", "results/none"]).refused();
    assert!(said.contains("results/none is not the folder of a sweep"), "{said}");
    assert!(place.read("results/tiny/report.html").starts_with("<!doctype html>"));
}

#[test]
fn a_dry_run_shows_the_plan_and_writes_nothing() {
    let place = place();
    let out = place.run(&["sweep", "tiny.toml", "--dry-run"]).ok();
    let rows: Vec<Vec<&str>> =
        out.lines().skip(1).take(4).map(|line| line.split_whitespace().take(8).collect()).collect();
    assert_eq!(rows[0][..2], ["images", "relu"]);
    assert_eq!(rows[3][..2], ["text", "gelu"]);
    assert!(out.contains("8 runs, 0 of them done"), "{out}");
    assert!(!place.path("results").exists());
}

#[test]
fn the_environment_changes_values() {
    let place = place();
    let said = place
        .command(&["sweep", "tiny.toml", "--dry-run"])
        .env("ACTLAB_SEEDS", "[1, 2, 3]")
        .env("ACTLAB_TASKS__IMAGES__TRAINING__BUDGET__STEPS", "7")
        .output()
        .unwrap();
    let out = String::from_utf8(said.stdout).unwrap();
    assert!(out.contains("12 runs"), "{out}");
    assert!(out.lines().nth(1).unwrap().contains("  7      3     0"), "{out}");
}

#[test]
fn plots_and_other_baselines_come_from_a_finished_sweep() {
    let place = place();
    place.run(&["sweep", "tiny.toml"]).ok();
    let before = place.read("results/tiny/report.md");
    let list = place.run(&["plot", "results/tiny", "--list"]).ok();
    assert!(list.contains("images-difference") && list.contains("images-loss"), "{list}");
    for (format, start) in [("svg", &b"<svg"[..]), ("png", b"\x89PNG"), ("pdf", b"%PDF-1.4")] {
        let args =
            ["plot", "results/tiny", "--plot", "difference", "--format", format, "--output", "p"];
        let said = place.run(&args).ok();
        assert!(
            said.contains(&format!("images-difference.{format}: images: difference")),
            "{said}"
        );
        let bytes = std::fs::read(place.path(&format!("p/images-difference.{format}"))).unwrap();
        assert!(bytes.starts_with(start), "{format}");
    }
    for (args, words) in [
        (&["--plot", "none"][..], "no plot is named `none`"),
        (&["--width", "84"], "a number with a unit"),
        (&["--font-size", "0"], "from 4 to 40 points"),
        (&["--font", "Times"], "there is no such file"),
    ] {
        let said = place.run(&[&["plot", "results/tiny"][..], args].concat()).refused();
        assert!(said.contains(words), "{said}");
    }
    let said = place.run(&["report", "results/tiny", "--baseline", "gelu,relu"]);
    let out = said.ok();
    assert!(out.contains("(baseline: gelu)") && out.contains("(baseline: relu)"), "{out}");
    let report = place.read("results/tiny/baseline-gelu-relu/report.md");
    assert!(report.contains("The baseline was chosen for this report"), "{report}");
    assert_eq!(place.read("results/tiny/report.md"), before);
    let said = place.run(&["report", "results/tiny", "--baseline", "mish"]).refused();
    assert!(
        said.contains("no activation of results/tiny has this name; it has relu, gelu"),
        "{said}"
    );
}
