//! Numbers that are too large, and what bounds them.

use crate::support::place;
use insta::assert_snapshot;

const TUNE: &str = "\n[tune]\nmethod = \"random\"\ntrials = 2\nparameters.training.learning_rate = { min = 0.1, max = 0.2 }\n";

#[test]
fn numbers_beyond_bounds_name_key_and_limit() {
    let place = place();
    place.write("tuned.toml", &format!("{}{TUNE}", crate::support::TINY));
    let long = format!("{}=1", vec!["a"; 10_000].join("."));
    let name = format!("name={}", "x".repeat(101));
    let nested = format!("seeds={}{}", "[".repeat(5000), "]".repeat(5000));
    let settings = [
        "seeds[1000000000]=5",
        "seeds[-1000000000]=5",
        "overrides[10000000].task=images",
        &long,
        &name,
        &nested,
        "threads=1000000",
        "jobs=1000000",
        "retries=1000000",
        "time_limit=1e300",
        "memory_limit=9223372036854775807",
        "checkpoint_every=inf",
        "system_metrics=-1",
        "margin=nan",
        "tune.trials=0",
        "tune.trials=9223372036854775807",
        "tune.trials=1e300",
        "tune.seeds=[]",
        "tune.early_stop={ policy = \"median\", first = 1e-9 }",
        "tune.early_stop={ policy = \"successive_halving\", eta = -1 }",
        "tune.early_stop={ policy = \"successive_halving\", after = [9, 3] }",
        "tune.early_stop={ policy = \"successive_halving\", after = [1000000] }",
        "tasks.images.training.batch_size=1000000000000000000",
        "tasks.images.training.batch_size=257",
        "tasks.images.training.budget.epochs=9223372036854775807",
        "tasks.images.training.learning_rate=nan",
        "tasks.images.training.clip_norm=inf",
        "tasks.images.training.target_accuracy=nan",
        "tasks.images.model.width=4097",
        "activations=[\"relu\", \"leaky_relu(slope=1e-300)\"]",
    ];
    let said: Vec<String> = settings
        .iter()
        .map(|setting| place.run(&["sweep", "tuned.toml", "--dry-run", "--set", setting]).refused())
        .collect();
    assert_snapshot!(said.join(""));
}

/// A model of three billion parameters, and batches of thousands of images, are planned without being computed.
#[test]
fn a_dry_run_computes_a_bounded_part_of_a_step() {
    let place = place();
    let run = |settings: &[&str]| {
        let mut args = vec!["sweep", "tiny.toml", "--dry-run"];
        settings.iter().for_each(|setting| args.extend(["--set", setting]));
        let said = place.run(&args);
        let err = said.err.clone();
        (said.ok(), err)
    };
    let (plan, notes) = run(&["tasks.images.model.width=4096"]);
    assert!(
        notes.contains("not measuring a step of relu on images: the model is too large"),
        "{notes}"
    );
    assert!(plan.contains("resnet-8 (width") && plan.contains("4096)"), "{plan}");
    let whole = ["tasks.images.data.train_limit=4000", "tasks.images.training.batch_size=4000"];
    let (_, notes) = run(&whole);
    assert!(notes.contains("with 1024 of the 4000 examples of its batch"), "{notes}");
}
