use crate::support::actlab;
use insta::assert_snapshot;
use serde_json::Value;

#[test]
fn steps_are_measured() {
    let args =
        ["bench", "step", "--activation", "swiglu", "--batch", "2", "--rounds", "2", "--json"];
    let json: Value = serde_json::from_str(&actlab(&args).ok()).unwrap();
    assert_eq!(json["model"], "resnet20");
    assert_eq!(json["activation"], "swiglu");
    assert_eq!(json["parameters"], 270_990);
    for key in ["median_seconds", "best_seconds", "examples_per_second"] {
        assert!(json[key].as_f64().unwrap() > 0.0, "{key}: {json}");
    }
}

#[test]
fn operations_are_held_against_the_peaks() {
    let args = ["bench", "ops", "--rounds", "1", "--threads", "1", "--only", "gelu forward"];
    let text = actlab(&args).ok();
    for line in ["copy ", "gemm ", "gelu forward "] {
        assert!(text.lines().any(|row| row.starts_with(line)), "{line}: {text}");
    }
    let json = actlab(&[&args[..], &["--json"]].concat()).ok();
    let rows: Vec<Value> = serde_json::from_str(&json).unwrap();
    assert_eq!(rows.len(), 3);
    assert!(rows.iter().all(|row| row["share_of_peak"].as_f64().unwrap() > 0.0), "{json}");
}

#[test]
fn wrong_names_say_what_would_be_right() {
    let said: Vec<String> = [
        &["bench", "step", "--model", "resnet"][..],
        &["bench", "step", "--activation", "gellu"],
        &["bench", "step", "--batch", "0"],
        &["bench", "step", "--threads", "0"],
        &["bench", "ops", "--only", "gelu"],
        &["bench", "ops", "--rounds", "0"],
    ]
    .into_iter()
    .map(|args| actlab(args).refused())
    .collect();
    assert_snapshot!(said.join(""));
}
