use crate::support::actlab;
use insta::assert_snapshot;

#[test]
fn eval_prints_a_table() {
    assert_snapshot!(
        actlab(&["eval", "leaky_relu(slope=0.2)", "--", "-2", "-1", "0", "1", "2"]).ok()
    );
    assert_snapshot!(actlab(&["eval", "swiglu", "--", "1,2", "-1,0.5"]).ok());
    assert_snapshot!(actlab(&["eval", "gelu", "--dtype", "f32", "--", "-1", "0.5"]).ok());
}

#[test]
fn eval_prints_json() {
    assert_snapshot!(actlab(&["eval", "relu", "--json", "--", "-1", "2"]).ok());
    assert_snapshot!(actlab(&["eval", "swiglu", "--json", "--dtype", "f32", "--", "0,3"]).ok());
    let flag_last = actlab(&["eval", "relu", "-1", "2", "--json"]).ok();
    assert_eq!(flag_last, actlab(&["eval", "relu", "--json", "--", "-1", "2"]).ok());
    let nan = actlab(&["eval", "relu", "--json", "--", "nan"]).ok();
    assert!(nan.contains(r#""y":"NaN""#), "{nan}");
}

#[test]
fn eval_agrees_between_its_paths() {
    let read = |dtype: &str| -> Vec<f64> {
        let args = [
            "eval",
            "gelu(approximate=tanh)",
            "--json",
            "--dtype",
            dtype,
            "--",
            "-1.5",
            "0.25",
            "3",
        ];
        let rows: Vec<std::collections::BTreeMap<String, f64>> =
            serde_json::from_str(&actlab(&args).ok()).unwrap();
        rows.iter().flat_map(|row| row.values().copied()).collect()
    };
    for (reference, tensor) in read("f64").into_iter().zip(read("f32")) {
        assert!((reference - tensor).abs() < 1e-6 + 1e-5 * reference.abs(), "{reference} {tensor}");
    }
}

#[test]
fn list_shows_every_activation() {
    assert_snapshot!(actlab(&["list"]).ok());
    let json: serde_json::Value = serde_json::from_str(&actlab(&["list", "--json"]).ok()).unwrap();
    let names: Vec<_> =
        json.as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["gelu", "leaky_relu", "relu", "silu", "swiglu"]);
}

#[test]
fn every_registered_activation_conforms() {
    let out = actlab(&["check"]).ok();
    assert!(!out.contains("FAIL"), "{out}");
    assert_eq!(out.matches("  ok    ").count(), 65);
    assert_snapshot!(actlab(&["check", "leaky_relu(slope=0.2)"]).ok());
}
