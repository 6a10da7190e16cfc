//! Scores from elsewhere.

use crate::support::place;

fn scores() -> String {
    let oracle: serde_json::Value = serde_json::from_str(include_str!(
        "../../../../analysis/tests/analysis/fixtures/statistics.json"
    ))
    .unwrap();
    let mut table = String::from("activation,task,seed,score\n");
    for (activation, runs) in oracle["scores"].as_object().unwrap() {
        for (seed, scores) in runs.as_array().unwrap().iter().enumerate() {
            for (task, score) in ["images", "words"].iter().zip(scores.as_array().unwrap()) {
                table += &format!("{activation},{task},{seed},{score}\n");
            }
        }
    }
    table
}

#[test]
fn verdicts_come_first() {
    let place = place();
    place.write("scores.csv", &scores());
    let out = place.run(&["stats", "scores.csv", "--baseline", "relu"]).ok();
    insta::assert_snapshot!(out);
    for line in out.lines() {
        assert!(line.chars().count() <= 120, "{line}");
    }
}

#[test]
fn every_figure_is_in_the_json() {
    let place = place();
    place.write("scores.csv", &scores());
    let args = ["stats", "scores.csv", "--baseline", "relu", "--margin", "0.05", "--json"];
    let json: serde_json::Value = serde_json::from_str(&place.run(&args).ok()).unwrap();
    let gelu = json["tasks"][0]["arms"].as_array().unwrap();
    let gelu = gelu.iter().find(|arm| arm["activation"] == "gelu").unwrap();
    assert_eq!(gelu["against"]["verdict"]["verdict"], "equivalent");
    let p = gelu["against"]["rank_test"]["p"].as_f64().unwrap();
    assert!((p - 0.001_953_125).abs() < 1e-12, "{p}");
    assert_eq!(json["overall"]["blocks"], 20);
}

#[test]
fn what_is_wrong_is_said() {
    let place = place();
    place.write("scores.csv", "activation,task,seed,score\nrelu,a,1,0.5\ngelu,a,1,much\n");
    let said = place.run(&["stats", "scores.csv", "--baseline", "relu"]).refused();
    assert!(said.contains("scores.csv: line 3: the score `much`"), "{said}");
    place.write("scores.csv", "activation,task,seed,score\nrelu,a,1,0.5\ngelu,a,1,0.6\n");
    let said = place.run(&["stats", "scores.csv", "--baseline", "silu"]).refused();
    assert!(said.contains("it has relu, gelu"), "{said}");
    let out = place.run(&["stats", "scores.csv", "--baseline", "relu"]).ok();
    assert!(out.contains("too few runs"), "{out}");
    let said = place.run(&["stats", "none.csv", "--baseline", "relu"]);
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("cannot read none.csv"), "{}", said.err);
}
