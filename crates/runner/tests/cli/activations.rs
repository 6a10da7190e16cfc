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

/// What trains on other devices, what trains on the CPU, and another way to say it.
#[test]
fn eval_shows_each_path() {
    let eval = |flags: &[&str]| {
        let head = ["eval", "x * sigmoid(b * x) where b=1.5"];
        actlab(&[&head[..], flags, &["--", "-1", "0.5"]].concat())
    };
    for path in ["f64", "tensor", "kernel"] {
        assert_snapshot!(path, eval(&["--path", path]).ok());
    }
    assert_eq!(eval(&["--path", "kernel"]).ok(), eval(&["--dtype", "f32"]).ok());
    assert_eq!(eval(&["--path", "f64"]).ok(), eval(&["--dtype", "f64"]).ok());
    let both = eval(&["--path", "f64", "--dtype", "f32"]);
    assert_eq!(both.code, Some(2), "{}", both.err);
    let gated = |path: &str| actlab(&["eval", "swiglu", "--path", path, "--", "1,2"]).ok();
    assert!(gated("f64").contains("dy_dbeta") && !gated("tensor").contains("dy_dbeta"));
}

#[test]
fn list_shows_every_activation() {
    let list = actlab(&["list"]).ok();
    for line in ["silu", "pau", "geglu"] {
        assert_eq!(list.lines().filter(|one| one.split(' ').next() == Some(line)).count(), 1);
    }
    let json: serde_json::Value = serde_json::from_str(&actlab(&["list", "--json"]).ok()).unwrap();
    let all = json.as_array().unwrap();
    assert!(all.len() >= 65);
    // A line for each, below the header.
    assert_eq!(list.lines().count(), all.len() + 1);
    let widest = list.lines().map(|line| line.chars().count()).max().unwrap();
    assert!(widest <= 80, "{widest}");
    assert_snapshot!(list.lines().take(12).collect::<Vec<_>>().join("\n"));
    let find = |name: &str| all.iter().find(|entry| entry["name"] == name).unwrap();
    let xielu = find("xielu");
    assert_eq!(xielu["learned"], serde_json::json!(["alpha_p", "alpha_n"]));
    assert!(xielu["formula"].as_str().unwrap().contains("softplus(alpha_n)"));
    assert!(xielu["traps"].is_string() && xielu["used_in"].is_string());
    assert_eq!(find("leaky_relu")["variants"][0]["name"], "prelu");
    assert!(!find("mish")["published"].as_array().unwrap().is_empty());
    let long = actlab(&["list", "--long"]).ok();
    for words in ["  traps       ln(1 + exp(x)) overflows", "  LaTeX       ", "; learned\n"] {
        assert!(long.contains(words), "{words}");
    }
}

#[test]
fn explain_says_what_is_known() {
    let explain =
        |names: &[&str]| actlab(&[&["explain", "--no-timing", "--width", "90"], names].concat());
    assert_snapshot!(explain(&["silu"]).ok());
    assert_snapshot!(explain(&["if x <= 0 then b * exp_m1(x) else x where b=0.5"]).ok());
    assert_snapshot!(explain(&["geglu"]).ok());
    assert_snapshot!(explain(&["relu", "gelu", "selu", "sine"]).ok());
    let out = actlab(&["explain", "silu", "--json"]).ok();
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    let silu = &json[0];
    assert!((silu["gain"].as_f64().unwrap() - 1.6765).abs() < 1e-4, "{out}");
    assert_eq!(silu["features"]["limits"], serde_json::json!([-0.0, "inf"]));
    assert!(silu["cost_relative_to_relu"]["forward"].as_f64().unwrap() > 0.0);
    assert_eq!(silu["nearest"].as_array().unwrap().len(), 5);
    for (name, reason) in [
        ("gellu", "did you mean `gelu`"),
        ("x * tanhh(x)", "no function `tanhh`"),
        ("silu(beta=-1)", "must be a number from 0 to 100"),
        ("x * b", "`b` has no value"),
    ] {
        let said = explain(&[name]).refused();
        assert!(said.contains(reason), "{said}");
    }
}

#[test]
fn explain_draws() {
    let place = crate::support::place();
    place.run(&["explain", "silu", "relu", "--svg", "a.svg", "--png", "a.png", "--no-timing"]).ok();
    let svg = place.read("a.svg");
    assert!(svg.starts_with("<svg") && svg.contains("silu′"), "{svg}");
    let png = std::fs::read(place.path("a.png")).unwrap();
    assert!(png.starts_with(b"\x89PNG"));
    let said = place.run(&["explain", "silu", "--svg", "nowhere/a.svg"]);
    assert_eq!(said.code, Some(1), "{}", said.err);
    assert!(said.err.contains("nowhere"), "{}", said.err);
}

#[test]
fn propagate_shows_a_line_for_each_activation() {
    let args = ["propagate", "relu", "selu", "--depth", "6", "--width", "64", "--init", "lecun"];
    let first = actlab(&args).ok();
    assert_snapshot!(first);
    assert_eq!(first, actlab(&args).ok());
    let json = actlab(&[&args[..], &["--json"]].concat()).ok();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json[1]["variance_of_activations"].as_array().unwrap().len(), 6);
    assert!(actlab(&["propagate", "rellu"]).refused().contains("did you mean `relu`"));
    for depth in ["0", "1001"] {
        assert_eq!(actlab(&["propagate", "--depth", depth]).code, Some(2));
    }
}

#[test]
fn every_registered_activation_conforms() {
    let out = actlab(&["check"]).ok();
    assert!(!out.contains("FAIL"), "{out}");
    assert!(out.matches("  ok    ").count() >= 65 * 13);
    assert_snapshot!(actlab(&["check", "leaky_relu(slope=0.2)"]).ok());
}
