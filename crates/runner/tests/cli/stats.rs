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
    let equivalence = gelu["against"]["equivalence"]["p_holm"].as_f64().unwrap();
    assert!(equivalence < 0.05, "{equivalence}");
    let probabilities = &gelu["against"]["probabilities"];
    assert!(probabilities["equivalent"].as_f64().unwrap() > 0.99, "{probabilities}");
    // Tasks are the blocks, and two are too few for a test.
    assert_eq!(json["overall"]["blocks"], 2);
    assert_eq!(json["overall"].get("friedman"), None);
}

/// One task: its seeds are the blocks, and where all rank alike, F is infinite.
#[test]
fn infinity_is_written_as_in_records() {
    let place = place();
    let mut table = String::from("activation,task,seed,score\n");
    for seed in 0..6 {
        for (arm, activation) in ["relu", "gelu", "silu"].iter().enumerate() {
            table += &format!("{activation},t,{seed},{}\n", 7 * arm + seed);
        }
    }
    place.write("scores.csv", &table);
    let args = ["stats", "scores.csv", "--baseline", "relu", "--json"];
    let json: serde_json::Value = serde_json::from_str(&place.run(&args).ok()).unwrap();
    assert_eq!(json["overall"]["friedman"]["statistic"], 12.0);
    assert_eq!(json["overall"]["iman_davenport"]["statistic"], "inf");
    assert_eq!(json["overall"]["iman_davenport"]["p"], 0.0);
}

#[test]
fn published_means_are_compared() {
    let place = place();
    for (n, verdict) in [(3, "no significant difference"), (23, "**relu is worse than mish**")] {
        let mut table = String::from("activation,task,n,mean,sd\n");
        for (activation, mean, sd) in [("mish", 87.48, 0.397), ("relu", 86.66, 0.584)] {
            table += &format!("{activation},CIFAR-10,{n},{mean},{sd}\n");
        }
        place.write("published.csv", &table);
        let out = place.run(&["stats", "published.csv", "--baseline", "mish"]).ok();
        assert!(out.contains(verdict), "{out}");
    }
}

#[test]
fn all_pairs_are_a_family_of_their_own() {
    let place = place();
    place.write("scores.csv", &scores());
    for how in ["holm", "tukey"] {
        let args =
            ["stats", "scores.csv", "--baseline", "relu", "--all-pairs", how, "--family", "task"];
        let out = place.run(&args).ok();
        assert!(out.contains("All pairs, row minus column"), "{out}");
        let json = place.run(&[&args[..], &["--json"]].concat()).ok();
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["tasks"][0]["pairs"].as_array().unwrap().len(), 10);
    }
    let said =
        place.run(&["stats", "scores.csv", "--baseline", "relu", "--resamples", "1000000000"]);
    assert_eq!(said.code, Some(2));
    assert!(said.err.contains("from 0 to 1000000"), "{}", said.err);
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
