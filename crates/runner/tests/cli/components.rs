//! What can be named in an experiment, and where activations stand.

use crate::support::{actlab, place};
use insta::assert_snapshot;

#[test]
fn components_are_listed() {
    for kind in
        ["models", "objectives", "datasets", "augmentations", "optimizers", "schedules", "sinks"]
    {
        assert_snapshot!(kind, actlab(&["list", kind]).ok());
        let json: serde_json::Value =
            serde_json::from_str(&actlab(&["list", kind, "--json"]).ok()).unwrap();
        let first = &json.as_array().unwrap()[0];
        assert!(first["name"].is_string() && first["parameters"].is_array(), "{first}");
    }
}

#[test]
fn sites_are_listed_with_their_widths() {
    let sites = |args: &[&str]| actlab(&[&["sites"], args].concat());
    assert_snapshot!(
        sites(&["--model", "resnet", "--set", "depth=8", "--activation", "swiglu"]).ok()
    );
    let mixed = "gelu[layers.0.*=relu]";
    assert_snapshot!(sites(&["--model", "gpt", "--set", "size=nano", "--activation", mixed]).ok());
    for (args, reason) in [
        (&["--model", "resnt"][..], "unknown model `resnt` (did you mean `resnet`?)"),
        (&["--model", "resnet", "--set", "depth=9"], "--set depth: is 9, but must be 6n + 2"),
        (&["--model", "bert", "--set", "size=huge"], "--set size: must be one of"),
        (
            &["--model", "gpt", "--set", "size=nano", "--activation", "gelu[block.*=relu]"],
            "`block.*` matches no activation site; the sites are layers.0.feed_forward",
        ),
    ] {
        let said = sites(args);
        assert_eq!(said.code, Some(2), "{}", said.err);
        assert!(said.err.contains(reason), "{}", said.err);
    }
}

/// One arm with another activation at some sites is trained beside others, and its wrong forms are told.
#[test]
fn an_arm_may_have_several_activations() {
    let place = place();
    // Each pattern matches sites of one task.
    let mixed = "activations=[\"relu\", { default = \"gelu\", \"blocks.0.*\" = \"relu\", \"layers.*\" = \"silu\" }]";
    let args = ["sweep", "tiny.toml", "--set", "seeds=[1]", "--set"];
    let said = place.run(&[&args[..], &[mixed]].concat());
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.out.contains("gelu[layers.*=silu,blocks.0.*=relu]"), "{}", said.out);
    let said =
        place.run(&[&args[..], &["activations=[\"relu\", \"gelu[layer.*=relu]\"]"]].concat());
    assert_eq!(said.code, Some(2), "{}", said.err);
    assert!(
        said.err.contains("activations[1]: `layer.*` matches no activation site"),
        "{}",
        said.err
    );
    let both = "activations=[\"relu\", \"gelu[*=silu]\"]";
    let said = place.run(&["sweep", "tiny.toml", "--set", both, "--set", "seeds=[1]"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.out.contains("| gelu[*=silu] "), "{}", said.out);
}

/// A task in bits per byte beside one in percent: lower is better in the first, and ranks are over both.
#[test]
fn a_language_task_beside_a_classification() {
    let place = place();
    let tiny = place.read("tiny.toml");
    let (_, rest) = tiny.split_once("[tasks.images]").unwrap();
    let text = format!(
        r#"
name = "language"
activations = ["relu", "gelu", "silu"]
seeds = [1, 2]

[tasks.bible]
model = {{ name = "gpt", layers = 1, width = 32, heads = 2, max_length = 16 }}
objective = "causal_lm"
data = {{ name = "king-james-bible", train_limit = 400 }}

[tasks.bible.training]
batch_size = 16
budget = {{ steps = 20 }}
optimizer = {{ name = "adamw" }}
learning_rate = 3e-3
evaluate_every = 10
target = 6.0

[tasks.images]{rest}"#
    );
    place.write("language.toml", &text);
    let said = place.run(&["sweep", "language.toml"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.err.contains("bits/byte"), "{}", said.err);
    let report = place.read("results/language/report.md");
    for words in
        ["test bits per byte (baseline: relu, lower is better)", "Tasks have different metrics"]
    {
        assert!(report.contains(words), "{words}: {report}");
    }
    let csv = place.read("results/language/runs.csv");
    assert!(csv.lines().next().unwrap().contains("test_bits_per_byte"), "{csv}");
    let said =
        place.run(&["sweep", "language.toml", "--set", "tasks.bible.training.target_accuracy=0.5"]);
    assert_eq!(said.code, Some(2), "{}", said.err);
    let said =
        place.run(&["sweep", "language.toml", "--set", "tasks.bible.objective=classification"]);
    assert_eq!(said.code, Some(2), "{}", said.err);
    assert!(said.err.contains("has no classes"), "{}", said.err);
}

/// Another data set by its name alone: what every data set has stays, and nothing else.
#[test]
fn a_component_is_replaced_by_its_name() {
    let place = place();
    let tiny = place.read("tiny.toml");
    let data =
        "data = { name = \"table\", path = \"gone.csv\", label = \"mood\", train_limit = 64 }";
    let text = tiny.replace("data = { name = \"movie-reviews\", train_limit = 64 }", data);
    assert_ne!(text, tiny);
    place.write("table.toml", &text);
    let gone = place.run(&["sweep", "table.toml", "--dry-run"]).refused();
    assert!(gone.contains("tasks.text.data: cannot read gone.csv"), "{gone}");
    let name = ["sweep", "table.toml", "--dry-run", "--set", "tasks.text.data.name=movie-reviews"];
    place.run(&name).ok();
    let schedule = [&name[..], &["--set", "tasks.images.training.schedule.name=linear"]].concat();
    place.run(&schedule).ok();
    let mut command = place.command(&["sweep", "table.toml", "--dry-run"]);
    command.env("ACTLAB_TASKS__TEXT__DATA__NAME", "movie-reviews");
    let said = crate::support::ProgramOutput::new(command.output().unwrap());
    said.ok();
}
