//! Activations that go wrong, and runs that take too much.

use crate::place;

#[test]
fn plugins_that_go_wrong_cost_their_runs_and_not_the_sweep() {
    let place = place();
    let set = "activations=[\"relu\", \"panics\", \"gives_nan\", \"aborts\", \"mish\"]";
    let args = ["sweep", "tiny.toml", "--set", set, "--set", "seeds=[1]"];
    let said = place.run(&args);
    assert_eq!(said.code, Some(1), "a failed run is an error: {}", said.err);
    let report = place.read("results/tiny/report.md");
    for words in ["| mish ", "| relu ", "a plugin went wrong", "not finite", "signal 6 (abort)"] {
        assert!(report.contains(words), "{words}: {report}");
    }
    assert_eq!(std::fs::read_dir(place.path("results/tiny/runs")).unwrap().count(), 10);
    // A panic is the same each time; a process that died is begun again once.
    assert_eq!(said.err.matches("it resumes from").count(), 2, "{}", said.err);
    assert!(said.err.contains("4 of 10 runs failed"), "{}", said.err);

    // What failed is tried again, and the code says once more that it failed.
    let said = place.run(&[&args[..], &["--retries", "0"]].concat());
    assert_eq!(said.code, Some(1), "{}", said.err);
    assert_eq!(said.err.matches("it resumes from").count(), 0, "{}", said.err);
}

/// Replicas that wait for one another are not left waiting by one that panics, which is not printed either.
#[test]
fn a_panic_in_a_replica_costs_its_run() {
    let place = place();
    let set = "activations=[\"relu\", \"panics\"]";
    let replicas =
        ["replicas=3", "sync_batch_norm=true"].map(|key| format!("tasks.images.training.{key}"));
    let mut args = vec!["sweep", "tiny.toml", "--tasks", "images", "--set", "seeds=[1]"];
    args.extend(["--set", set, "--set", &replicas[0], "--set", &replicas[1]]);
    let said = place.run(&args);
    assert_eq!(said.code, Some(1), "{}", said.err);
    let report = place.read("results/tiny/report.md");
    for words in ["| relu ", "a plugin went wrong", "in 3 replicas that share batch statistics"] {
        assert!(report.contains(words), "{words}: {report}");
    }
    assert!(said.err.contains("1 of 2 runs failed"), "{}", said.err);
    assert!(
        !said.err.contains("panicked at") && !said.err.contains("it resumes from"),
        "{}",
        said.err
    );
}

/// A crate outside of the workspace adds a model and a data set as it adds an activation.
#[test]
fn a_model_and_a_data_set_of_another_crate() {
    let place = place();
    place.write(
        "rings.toml",
        r#"
        name = "rings"
        activations = ["relu", "mish", "swiglu"]
        seeds = [1, 2]
        [tasks.rings]
        model = { name = "shallow", units = 24 }
        data = { name = "rings", noise = 0.05 }
        training = { batch_size = 32, budget = { epochs = 15 }, optimizer = { name = "adamw" }, learning_rate = 0.01 }
        "#,
    );
    let said = place.run(&["sweep", "rings.toml"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let report = place.read("results/rings/report.md");
    for words in ["| mish ", "| swiglu ", "one hidden layer of 24 units"] {
        assert!(report.contains(words), "{words}: {report}");
    }
    // Rings that are far apart are learned.
    let csv = place.read("results/rings/runs.csv");
    let header: Vec<&str> = csv.lines().next().unwrap().split(',').collect();
    let column = header.iter().position(|name| *name == "test_accuracy").unwrap();
    for line in csv.lines().skip(1) {
        let accuracy: f64 = line.split(',').nth(column).unwrap().parse().unwrap();
        assert!(accuracy > 0.95, "{line}");
    }
    assert!(place.run(&["list", "models"]).ok().contains("shallow"));
    assert!(place.run(&["list", "datasets"]).ok().contains("points on two rings"));
    let said = place.run(&["sweep", "rings.toml", "--set", "tasks.rings.model.unit=3"]);
    assert_eq!(said.code, Some(2), "{}", said.err);
    assert!(
        said.err.contains("tasks.rings.model.unit: unknown key (did you mean `units`?)"),
        "{}",
        said.err
    );
}

#[test]
fn a_run_beyond_its_limits_is_killed_and_the_others_go_on() {
    let place = place();
    let set = "activations=[\"hangs\", \"relu\"]";
    let tasks = "tasks.text.training.budget.steps=1";
    let args = ["sweep", "tiny.toml", "--set", set, "--set", "seeds=[1]", "--set", tasks];
    let said = place.run(&[&args[..], &["--set", "time_limit=5"]].concat());
    assert_eq!(said.code, Some(1), "{}", said.err);
    assert_eq!(said.err.matches("it took longer than its limit of 5 s").count(), 2, "{}", said.err);
    assert!(said.err.contains("relu-images-s1: test"), "{}", said.err);

    let said = place.run(
        &[
            &args[..4],
            &args[4..],
            &["--set", "memory_limit=20", "--set", "activations=[\"relu\"]", "--set", "name=small"],
        ]
        .concat(),
    );
    assert_eq!(said.code, Some(1), "{}", said.err);
    assert!(said.err.contains("more memory than its limit of 20 MiB"), "{}", said.err);
}
