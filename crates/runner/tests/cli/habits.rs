//! Commands around experiments and results: `init`, `results`, `open`, `completions`, and flags that all have.

use crate::support::{actlab, place};

/// A sweep of a task whose runs take a second.
const SMALL: &[&str] = &["--tasks", "text", "--activations", "relu,gelu", "--seeds", "2"];

#[test]
fn short_flags_choose_what_is_compared() {
    let place = place();
    let args =
        [&["sweep", "tiny.toml", "--name", "short"], SMALL, &["--baseline", "gelu"]].concat();
    place.run(&args).ok();
    let sweep: serde_json::Value =
        serde_json::from_str(&place.read("results/short/sweep.json")).unwrap();
    assert_eq!(sweep["baseline"], "gelu");
    assert_eq!(sweep["tasks"], serde_json::json!(["text"]));
    assert_eq!(sweep["experiment"]["seeds"], serde_json::json!([1, 2]));
    let command: Vec<&str> =
        sweep["command"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
    assert_eq!(command[1..5], ["sweep", "tiny.toml", "--name", "short"], "{sweep}");
    // The two forms of the seeds are one experiment.
    let again = [&args[..], &["--set", "seeds=[1, 2]"]].concat();
    let said = place.run(&again[..]);
    assert!(!said.err.contains("not part"), "{said:?}");

    let listed = place.run(&["results"]).ok();
    assert!(
        listed.lines().any(|line| line.starts_with("short") && line.contains("4/4")),
        "{listed}"
    );
    let json: serde_json::Value =
        serde_json::from_str(&place.run(&["results", "--json", "--runs"]).ok()).unwrap();
    assert_eq!((&json[0]["kind"], &json[0]["state"]), (&"sweep".into(), &"finished".into()));
    assert_eq!(json[0]["list"].as_array().unwrap().len(), 4);

    let page = place.run(&["open", "results/short", "--print"]).ok();
    assert!(page.trim_end().ends_with("results/short/report.html"), "{page}");
    let path = place.run(&["open", "results/short"]).ok();
    assert_eq!(path, page, "without a display the path is printed");

    // Nothing is deleted without an answer.
    let asked = place.run(&["results", "rm", "short"]).refused();
    assert!(asked.contains("confirm with --yes"), "{asked}");
    // A run of an earlier form of the experiment.
    let fewer = [&args[..], &["--set", "seeds=[1]"]].concat();
    let fewer: Vec<&str> =
        fewer.iter().map(|word| if *word == "2" { "1" } else { *word }).collect();
    place.run(&fewer).ok();
    // What is no run, or holds more than one, stays.
    place.write("results/short/runs/thesis-1/record.json", "{}");
    place.write("results/short/runs/thesis-1/thesis.tex", "mine");
    let stranger = "results/short/runs/other-t-s1-0123456789abcdef";
    place.write(&format!("{stranger}/notes.txt"), "mine");
    let spec = std::fs::read_dir(place.path("results/short/runs")).unwrap();
    let spec = spec.map(|run| run.unwrap().path().join("spec.json")).find(|spec| spec.exists());
    std::fs::copy(spec.unwrap(), place.path(&format!("{stranger}/spec.json"))).unwrap();
    let said = place.run(&["results", "gc", "--yes"]);
    let removed = said.out.clone();
    assert_eq!((said.code, removed.lines().count()), (Some(0), 2), "{said:?}");
    assert!(said.err.contains("notes.txt, which is no result"), "{}", said.err);
    assert_eq!(place.read("results/short/runs/thesis-1/thesis.tex"), "mine");
    assert_eq!(place.read(&format!("{stranger}/notes.txt")), "mine");
    for folder in ["results/short/runs/thesis-1", stranger] {
        std::fs::remove_dir_all(place.path(folder)).unwrap();
    }
    place.run(&["report", "results/short"]).ok();
    // What the user has put beside the results, or into a run, stays with all of it.
    let run = std::fs::read_dir(place.path("results/short/runs")).unwrap().next().unwrap().unwrap();
    let run = run.file_name().into_string().unwrap();
    for file in
        ["results/short/chapter.tex".to_owned(), format!("results/short/runs/{run}/chapter.tex")]
    {
        place.write(&file, "mine");
        let said = place.run(&["results", "rm", "short", "--yes"]).refused();
        assert!(said.contains("holds chapter.tex, which is no result"), "{said}");
        std::fs::remove_file(place.path(&file)).unwrap();
    }
    place.run(&["results", "rm", "short", "--yes"]).ok();
    assert!(!place.path("results/short").exists());
    let gone = place.run(&["results", "rm", "short", "--yes"]).refused();
    assert!(gone.contains("does not exist"), "{gone}");
}

/// What is not certainly a result stays.
#[test]
fn only_results_are_deleted() {
    let place = place();
    place.write("project/src/main.py", "code");
    place.write("project/runs/log.txt", "of another program");
    place.write("alone/runs/log.txt", "of another program");
    place.write("spec/spec.json", "{}");
    place.write("sweep/sweep.json", "{}");
    place.write("foreign/sweep.json", "{}");
    let small =
        [&["train", "tiny.toml", "--activation", "relu", "--task", "text"], &["--name", "try"][..]];
    place.run(&small.concat()).ok();
    place.write("results/try/notes.txt", "mine");
    let refused = |dir: &str, why: &str| {
        let said = place.run(&["results", "rm", dir, "--yes"]).refused();
        assert!(said.contains(why) && said.contains("nothing is deleted"), "{dir}: {said}");
    };
    refused("project", "holds src, which is no result");
    refused("alone", "holds runs/log.txt, which is no run");
    refused("spec", "has no spec.json of a run");
    refused("sweep", "has a sweep.json that is not of a sweep");
    refused("try", "holds notes.txt, which is no result");
    refused(".", "holds the working directory");
    refused("..", "holds the working directory");
    std::fs::remove_file(place.path("results/try/notes.txt")).unwrap();
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(place.path("results/try"), place.path("link")).unwrap();
        refused("link/", "is a link");
    }
    // A process of another machine may still work.
    place.write("results/try/.lock", "process 5 on elsewhere");
    refused("try", "may still work");
    std::fs::remove_file(place.path("results/try/.lock")).unwrap();
    let run = std::fs::read_dir(place.path("results/try/runs")).unwrap().next().unwrap().unwrap();
    let run = run.path().display().to_string();
    let both = place.run(&[
        "results",
        "rm",
        &run,
        &place.path("results/try").display().to_string(),
        "--yes",
    ]);
    assert_eq!(both.ok().lines().count(), 1, "the run is a part of the folder");
    assert!(
        place.path("project/src/main.py").exists() && place.path("alone/runs/log.txt").exists()
    );
}

#[test]
fn runs_of_train_are_shown() {
    let place = place();
    let train = ["train", "tiny.toml", "--activations", "relu,gelu", "--tasks", "text"];
    let said = place.run(&[&train[..], &["--seeds", "2", "--name", "try"]].concat());
    // The first in the alphabet is gelu.
    let again = "actlab report results/try --baseline relu";
    assert!(said.err.contains(again), "{}", said.err);
    let out = said.ok();
    assert_eq!(out.lines().filter(|line| line.starts_with("run  ")).count(), 4, "{out}");
    let status = place.run(&["status", "results/try"]).ok();
    assert!(status.contains("4 of 4 runs are finished"), "{status}");
    let report = place.run(&["report", "results/try"]).ok();
    assert!(report.contains("relu") && report.contains("baseline: gelu"), "{report}");
    let report = place.run(&["report", "results/try", "--baseline", "relu"]).ok();
    assert!(report.contains("baseline: relu"), "{report}");
    let run = std::fs::read_dir(place.path("results/try/runs")).unwrap().next().unwrap().unwrap();
    let run = run.path().display().to_string();
    for command in ["status", "report"] {
        let shown = place.run(&[command, &run]).ok();
        assert!(shown.contains("outcome      completed"), "{shown}");
    }
    let listed = place.run(&["results"]).ok();
    assert!(listed.contains("try (runs)"), "{listed}");
}

#[test]
fn init_writes_an_experiment_that_can_be_planned() {
    let place = place();
    place.run(&["init", "mine.toml", "--activations", "relu,mish", "--seeds", "3"]).ok();
    let text = place.read("mine.toml");
    assert!(text.contains("activations = [\"relu\", \"mish\"]"), "{text}");
    let plan = place.run(&["sweep", "mine.toml", "--dry-run"]).ok();
    assert!(plan.contains("6 runs"), "{plan}");
    let said = [
        &["init", "mine.toml"][..],
        &["init", "a.toml", "--model", "resnt"],
        &["init", "a.toml", "--activations", "gellu"],
        &["init", "a.toml", "--data", "table"],
        &["init", "a.toml", "--data", "mnits"],
        &["init", "a.toml", "--baseline", "silu", "--activations", "relu,gelu"],
        &["init", "a.toml", "--name", "a/b"],
        &["init", "a.toml", "--seeds", "many"],
        &["init", "a.toml", "--label", "x"],
    ];
    let said: Vec<String> = said.into_iter().map(|args| place.run(args).refused()).collect();
    insta::assert_snapshot!(said.join(""));
    assert!(!place.path("a.toml").exists(), "nothing is written for what is refused");
}

#[test]
fn completions_and_man_pages_are_written() {
    for shell in ["bash", "zsh", "fish"] {
        let script = actlab(&["completions", shell]).ok();
        assert!(script.contains("actlab") && script.contains("sweep"), "{shell}");
    }
    let place = place();
    let written = place.run(&["completions", "--install", "prefix"]).ok();
    for file in [
        "share/bash-completion/completions/actlab",
        "share/zsh/site-functions/_actlab",
        "share/fish/vendor_completions.d/actlab.fish",
        "share/man/man1/actlab.1",
        "share/man/man1/actlab-sweep.1",
        "share/man/man1/actlab-results-rm.1",
    ] {
        assert!(place.path("prefix").join(file).is_file(), "{file}: {written}");
    }
    assert!(!place.path("prefix/share/man/man1/actlab-worker.1").exists());
}

#[test]
fn quiet_verbose_and_version() {
    let place = place();
    let args = [&["sweep", "tiny.toml"], SMALL].concat();
    let quiet = place.run(&[&args[..], &["-q"]].concat());
    assert_eq!(quiet.err, "", "nothing is said but errors and warnings");
    let verbose = place.run(&[&args[..], &["-v"]].concat());
    assert!(verbose.err.contains("seeds = 2") && verbose.err.contains("data set movie-reviews"));
    verbose.ok();
    let version = actlab(&["--version"]).ok();
    assert!(version.starts_with("actlab 0.1.0 (commit "), "{version}");
    assert!(version.contains("features: "), "{version}");
}

#[test]
fn eval_without_points_and_check_of_the_identity() {
    let table = actlab(&["eval", "gelu"]).ok();
    assert_eq!(table.lines().count(), 10, "{table}");
    actlab(&["eval", "swiglu"]).ok();
    let checked = actlab(&["check", "x"]).ok();
    assert!(checked.contains("note  the formula is the identity"), "{checked}");
    let checked = actlab(&["check", "relu"]).ok();
    assert!(!checked.contains("note"), "{checked}");
}
