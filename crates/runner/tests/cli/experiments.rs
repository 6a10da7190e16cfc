//! Files of experiments, valid and invalid, each with what the program must say of it.
//!
//! A file has comments that the test reads: `# arg:` is an argument behind the file, `# env:` a variable, `# error:` a line
//! of the message that is expected (behind `error: `), `# runs:` the number of runs of the plan. With `INSTA_UPDATE=always`
//! the expected lines are written anew: then read the difference.

use crate::support::{Place, ProgramOutput, place};
use std::fs;
use std::path::{Path, PathBuf};

fn folder(kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/experiments").join(kind)
}

/// The values of the comments `# KEY: value` of a file.
fn comments<'a>(text: &'a str, key: &str) -> Vec<&'a str> {
    let prefix = format!("# {key}:");
    let value = |line: &'a str| Some(line.strip_prefix(&prefix)?.strip_prefix(' ').unwrap_or(""));
    text.lines().filter_map(value).collect()
}

/// What `actlab sweep FILE --dry-run` says of the file `name` of a folder.
fn planned(place: &Place, kind: &str, name: &str) -> (String, ProgramOutput) {
    let file = format!("{name}.toml");
    let text = fs::read_to_string(folder(kind).join(&file)).unwrap();
    place.write(&file, &text);
    let mut args = vec!["sweep", &file, "--dry-run"];
    args.extend(comments(&text, "arg"));
    let mut command = place.command(&args);
    for pair in comments(&text, "env") {
        let (key, value) = pair.split_once('=').unwrap();
        command.env(key, value);
    }
    let said = ProgramOutput::new(command.output().unwrap());
    (text, said)
}

/// Compares what was said with the comments of the file, or writes these.
fn expect(kind: &str, name: &str, text: &str, key: &str, said: &[&str]) {
    if std::env::var("INSTA_UPDATE").is_ok_and(|value| value == "always") {
        let prefix = format!("# {key}:");
        let mut kept: Vec<String> =
            text.lines().filter(|line| !line.starts_with(&prefix)).map(str::to_owned).collect();
        kept.extend(said.iter().map(|line| format!("{prefix} {line}").trim_end().to_owned()));
        fs::write(folder(kind).join(format!("{name}.toml")), kept.join("\n") + "\n").unwrap();
        return;
    }
    let said: Vec<&str> = said.iter().map(|line| line.trim_end()).collect();
    assert_eq!(comments(text, key), said, "{kind}/{name}.toml");
}

/// Words of Rust and of its libraries, which no message for a user has.
const RUST_WORDS: [&str; 14] = [
    "usize",
    "u64",
    "i64",
    "f64",
    "variant",
    "sequence",
    "invalid type",
    "invalid value:",
    "missing field",
    "unknown field",
    "expected a",
    "struct",
    "enum",
    "panicked",
];

fn invalid(name: &str) {
    let place = place();
    let (text, said) = planned(&place, "invalid", name);
    let message = said.refused();
    for word in RUST_WORDS {
        assert!(!message.contains(word), "{name}: {word}: {message}");
    }
    let message = message.strip_prefix("error: ").unwrap();
    let flags = ["--", "environment variable ", "invalid value"];
    let of_flag = flags.iter().any(|begin| message.starts_with(begin));
    let has = |key: &str| !comments(&text, key).is_empty();
    assert_eq!(of_flag, has("arg") || has("env"), "{name}: {message}");
    assert!(!place.path("results").exists(), "{name}: nothing is written");
    expect("invalid", name, &text, "error", &message.lines().collect::<Vec<_>>());
}

fn valid(name: &str) {
    let place = place();
    let (text, said) = planned(&place, "valid", name);
    let out = said.ok();
    let runs = out.lines().find_map(|line| line.split_once(" runs, ")).unwrap().0;
    expect("valid", name, &text, "runs", &[runs]);
}

/// A test for each file, and one that no file is left out.
macro_rules! files {
    ($kind:ident: $($name:ident)*) => {
        mod $kind {
            $(#[test]
            fn $name() {
                super::$kind(stringify!($name));
            })*

            #[test]
            fn no_file_is_left_out() {
                let mut files: Vec<String> = std::fs::read_dir(super::folder(stringify!($kind)))
                    .unwrap()
                    .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
                    .collect();
                files.sort_unstable();
                let mut tests = vec![$(stringify!($name)),*];
                tests.sort_unstable();
                assert_eq!(files, tests);
            }
        }
    };
}

files!(
    valid:
        flag_activations
        flag_baseline
        flag_list_of_seeds
        flag_seeds
        flag_tasks
        number_of_seeds
        other_baseline_by_set
        plain
        variable_of_seeds
);

files!(
    invalid:
        augmentation_of_text
        bad_name
        bad_task_name
        bare_word
        baseline_not_compared
        batch_of_zero
        batch_too_large
        data_not_fetched
        data_of_another_kind
        depth_of_resnet
        duplicate_activation
        duplicate_key
        duplicate_seed
        duplicate_table
        empty_activations
        empty_seeds
        flag_activations_unknown
        flag_activations_without_baseline
        flag_baseline
        flag_baseline_unknown
        flag_device
        flag_jobs
        flag_name
        flag_over_variable
        flag_seeds
        flag_seeds_duplicate
        flag_seeds_zero
        flag_tasks
        flag_threads
        float_for_integer
        float_for_integer_in_budget
        float_for_seeds
        integer_for_activation
        integer_for_list
        integer_for_table
        integer_for_text
        integer_for_truth
        list_for_integer
        list_for_number
        list_for_table
        list_for_text
        list_of_tables_for_table
        looks_before_seeds
        margin_of_nothing
        missing_budget
        missing_budget_unit
        missing_depth
        missing_learning_rate
        missing_method
        missing_model
        missing_name
        missing_name_of_activation
        missing_name_of_model
        missing_seeds
        missing_tasks
        missing_training
        missing_trials
        negative_for_integer
        negative_learning_rate
        negative_seed
        negative_seeds
        no_epochs
        no_equals_sign
        no_replica
        no_seeds
        no_value
        number_not_finite
        open_list
        open_text
        override_of_unknown_activation
        override_of_unknown_task
        override_out_of_range
        parameter_out_of_range
        precision_twice
        replicas_above_the_batch
        seed_of_tuning_is_final
        set_activations_without_baseline
        set_baseline
        set_data_that_does_not_fit
        set_fewer_examples_than_a_batch
        set_float
        set_list_item
        set_new_task
        set_out_of_range
        set_unknown_key
        set_unknown_key_below
        set_without_value
        set_wrong_type
        site_of_no_model
        statistics_of_one_replica
        table_for_integer
        table_for_text
        table_that_is_missing
        text_for_integer
        text_for_integer_in_training
        text_for_list
        text_for_number
        text_for_overrides
        text_for_seed
        text_for_seeds
        text_for_set
        text_for_table
        text_for_tasks
        text_for_truth
        too_large_integer
        too_many_seeds
        truth_for_integer
        tuned_and_sequential
        tuned_key_unknown
        tuned_task_unknown
        tuned_value_out_of_range
        two_budgets
        unknown_activation
        unknown_activation_far
        unknown_activation_in_table
        unknown_augmentation
        unknown_data
        unknown_device
        unknown_device_of_mac
        unknown_jobs
        unknown_key
        unknown_key_far
        unknown_key_in_override
        unknown_key_of_activation
        unknown_key_of_another_table
        unknown_key_of_budget
        unknown_key_of_budget_far
        unknown_key_of_data
        unknown_key_of_data_of_another
        unknown_key_of_model
        unknown_key_of_model_far
        unknown_key_of_optimizer
        unknown_key_of_optimizer_of_another
        unknown_key_of_override
        unknown_key_of_schedule
        unknown_key_of_sequential
        unknown_key_of_site_statistics
        unknown_key_of_slurm
        unknown_key_of_task
        unknown_key_of_task_far
        unknown_key_of_training
        unknown_key_of_training_by_other_name
        unknown_key_of_training_epochs
        unknown_key_of_training_far
        unknown_key_of_tune
        unknown_key_of_wandb
        unknown_launcher
        unknown_method
        unknown_model
        unknown_model_far
        unknown_objective
        unknown_optimizer
        unknown_precision
        unknown_schedule
        unknown_schedule_in_table
        unknown_text_for_table
        unknown_wandb_mode
        unknown_word
        unknown_word_far
        variable_activations_without_baseline
        variable_list_item
        variable_out_of_range
        variable_unknown_key
        variable_wrong_type
        warmup_of_all_steps
        wrong_formula
        zero_width
);
