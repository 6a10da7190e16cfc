use crate::support::{actlab, place};
use insta::assert_snapshot;

#[test]
fn wrong_activations_say_what_would_be_right() {
    let said: Vec<String> = [
        &["eval", "gellu", "1"][..],
        &["eval", "leaky_relu(slop=0.1)", "1"],
        &["eval", "leaky_relu(slope=2)", "1"],
        &["eval", "leaky_relu(slope=steep)", "1"],
        &["eval", "gelu(approximate=sigmoid)", "1"],
        &["eval", "relu(slope=1)", "1"],
        &["eval", "gelu(", "1"],
        &["eval", "gelu", "one"],
        &["eval", "gelu", "1,2"],
        &["eval", "swiglu", "1"],
        &["check", "mishh"],
    ]
    .into_iter()
    .map(|args| actlab(args).refused())
    .collect();
    assert_snapshot!(said.join(""));
}

#[test]
fn wrong_experiments_name_file_and_key() {
    let place = place();
    let said: Vec<String> = [
        &["sweep", "nowhere.toml"][..],
        &["sweep"],
        &["sweep", "tiny.toml", "--set", "activations=[\"relu\", \"gellu\"]"],
        &["sweep", "tiny.toml", "--set", "activations=[{ name = \"silu\", beat = 2 }]"],
        &["sweep", "tiny.toml", "--set", "activations=[\"gelu\", \"gelu(approximate=none)\"]"],
        &["sweep", "tiny.toml", "--set", "baseline=silu"],
        &["sweep", "tiny.toml", "--set", "tasks.images.model.depth=9"],
        &["sweep", "tiny.toml", "--set", "tasks.images.data.name=cifar"],
        &["sweep", "tiny.toml", "--set", "tasks.images.data.name=cifar-10"],
        &["sweep", "tiny.toml", "--set", "tasks.images.data.name=movie-reviews"],
        &["sweep", "tiny.toml", "--set", "tasks.images.training.warmup=2"],
        &[
            "sweep",
            "tiny.toml",
            "--set",
            "overrides=[{ activation = \"gelu\", set = { training = { lr = 1 } } }]",
        ],
        &["sweep", "tiny.toml", "--set", "overrides=[{ activation = \"silu\", set = {} }]"],
        &["sweep", "tiny.toml", "--set", "tasks.text.data.augmentation=crop_flip"],
        &["sweep", "tiny.toml", "--set", "tasks.text.training.budget.epochs=9223372036854775807"],
        &["sweep", "tiny.toml", "--set", "seeds"],
        &["sweep", "tiny.toml", "--device", "tpu"],
        &["train", "tiny.toml", "--activation", "gelu", "--task", "image"],
        &["report", "nowhere"],
    ]
    .into_iter()
    .map(|args| place.run(args).refused())
    .collect();
    assert_snapshot!(said.join(""));
    assert!(!place.path("results").exists(), "nothing is written for an experiment that is none");
}

#[cfg(not(feature = "cuda"))]
#[test]
fn a_device_that_is_not_built_in_says_how_to_build_it() {
    let place = place();
    let said = place.run(&["sweep", "tiny.toml", "--device", "cuda"]).refused();
    assert!(said.contains("build with `--features cuda`"), "{said}");
    assert!(!place.path("results").exists(), "nothing is written");
}

#[test]
fn the_best_device_is_that_of_this_machine() {
    let place = place();
    let slurm = &["sweep", "tiny.toml", "--device", "auto", "--launcher", "slurm"];
    let said = place.run(slurm).refused();
    assert!(said.contains("--device: `auto` is the best device of this machine"), "{said}");
    // The tests are built for the CPU alone.
    let said = place.run(&["sweep", "tiny.toml", "--device", "auto", "--dry-run"]);
    assert!(said.err.contains("device: auto is cpu"), "{said:?}");
    said.ok();
}

#[cfg(unix)]
#[test]
fn a_folder_for_results_is_named_in_utf8() {
    use std::os::unix::ffi::OsStrExt;
    let bad = std::ffi::OsStr::from_bytes(b"bad\xff");
    let place = place();
    for command in [&["sweep", "tiny.toml"][..], &["train"], &["rerun", "results/x"]] {
        let output = place.command(command).arg("--output").arg(bad).output().unwrap();
        let said = crate::support::ProgramOutput::new(output).refused();
        assert!(said.contains("must be named in UTF-8") && said.contains("--output"), "{said}");
    }
    let mut command = place.command(&["sweep", "tiny.toml", "--wandb", "offline"]);
    let said = crate::support::ProgramOutput::new(command.env("WANDB_DIR", bad).output().unwrap())
        .refused();
    assert!(said.contains("environment variable WANDB_DIR: is not UTF-8 text"), "{said}");
    assert_eq!(std::fs::read_dir(place.path("")).unwrap().count(), 1, "nothing is written");
}
