//! Before and after the runs that decide: plans, looks, confirmation, and what changed since an experiment was registered.

use crate::support::{Place, place};
use serde_json::Value;

/// A sweep of one task whose runs take a second.
const ONE: &str = r#"
name = "one"
activations = ["relu", "gelu"]
seeds = [1, 2]
[tasks.t]
model = { name = "resnet", depth = 8, width = 4 }
data = { name = "fashion-mnist-mini", train_limit = 128 }
training = { batch_size = 64, budget = { epochs = 1 }, optimizer = { name = "sgd" }, learning_rate = 0.1 }
"#;

fn with(text: &str) -> Place {
    let place = place();
    place.write("one.toml", &format!("{ONE}{text}"));
    place
}

fn manifest(place: &Place, name: &str) -> Value {
    serde_json::from_str(&place.read(&format!("results/{name}/sweep.json"))).unwrap()
}

/// `text` on one line.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_plan_trains_pilots_of_its_own() {
    let place = with("");
    let args = ["plan", "one.toml", "--effect", "2", "--pilot", "3", "--json"];
    let planned: Value = serde_json::from_str(&place.run(&args).ok()).unwrap();
    let gelu = &planned["comparisons"][0];
    assert_eq!((gelu["activation"].as_str(), gelu["pairs"].as_u64()), (Some("gelu"), Some(3)));
    assert_eq!(planned["level"], 0.05);
    let seeds = |power: usize, key: &str| planned["seeds"][power][key].as_u64().unwrap();
    assert!(seeds(0, "estimated") <= seeds(1, "estimated"), "{planned}");
    assert!(seeds(0, "estimated") <= seeds(0, "cautious"), "{planned}");
    // Pilot runs are not trained twice, and are none of the sweep's.
    let again = place.run(&args);
    assert!(!again.err.contains("training"), "{}", again.err);
    assert_eq!(
        serde_json::from_str::<Value>(&again.ok()).unwrap()["comparisons"],
        planned["comparisons"]
    );
    place.run(&["sweep", "one.toml"]).ok();
    let report = words(&place.read("results/one/report.md"));
    assert!(report.contains("has not changed since"), "{report}");
    assert!(report.contains("4 runs of 2 activations"), "{report}");
    // Finished runs are the pilot where there are enough.
    let args = ["plan", "one.toml", "--effect", "2", "--pilot", "2", "--json"];
    let finished: Value = serde_json::from_str(&place.run(&args).ok()).unwrap();
    assert_eq!(finished["comparisons"][0]["pairs"], 2);
    let said = place.run(&["plan", "one.toml", "--effect", "2", "--pilot", "1000"]).refused();
    assert!(said.contains("from 2 to 100"), "{said}");
    let said = place.run(&["plan", "one.toml"]).refused();
    assert!(said.contains("--effect"), "{said}");
    let said = place.run(&["plan", "one.toml", "--effect", "0"]).refused();
    assert!(said.contains("above 0"), "{said}");
}

#[test]
fn the_best_is_confirmed_on_fresh_seeds() {
    let place = with("");
    place.run(&["sweep", "one.toml"]).ok();
    let said = place.run(&["confirm", "results/one", "--activation", "gelu", "--seeds", "2"]);
    assert!(
        said.err.contains("stated before the first run: gelu against relu on t on 2 fresh seeds"),
        "{}",
        said.err
    );
    let brief = said.ok();
    assert!(brief.contains("A confirmation run of one, stated before the first run"), "{brief}");
    let report = place.read("results/one-confirm/report.md");
    assert!(report.contains("Confirmation on fresh seeds"), "{report}");
    assert!(report.contains("seeds: 1000000, 1000001"), "{report}");
    assert!(!report.contains("likely to be overestimated"), "{report}");
    // The first sweep is as it was.
    assert_eq!(manifest(&place, "one")["runs"].as_array().unwrap().len(), 4);
    assert_eq!(manifest(&place, "one-confirm")["confirms"]["sweep"], "one");
    // Another claim cannot be stated before these runs any more.
    let said =
        place.run(&["confirm", "results/one", "--activation", "gelu", "--seeds", "3"]).refused();
    assert!(said.contains("holds another confirmation"), "{said}");
    let said = place.run(&["confirm", "results/one", "--set", "margin=3.0"]).refused();
    assert!(said.contains("--set margin=3.0"), "{said}");
    let said = place.run(&["confirm", "results/one", "--activation", "relu"]).refused();
    assert!(said.contains("--activation relu"), "{said}");
}

/// A margin that no difference exceeds: the first look decides, and the seeds after it are not trained.
#[test]
fn a_decided_sweep_ends_early() {
    let place = with("\n[sequential]\nmax_seeds = 9\nlooks = [4, 6]\n");
    let args = ["sweep", "one.toml", "--set", "margin=99"];
    place.run(&args).ok();
    let report = place.read("results/one/report.md");
    assert_eq!(manifest(&place, "one")["runs"].as_array().unwrap().len(), 2 * 4);
    let text = words(&report);
    // What such short runs learn is nothing, and is not claimed to be equivalent.
    let said = "Not judged against relu, since nothing was learned: gelu";
    assert!(text.contains(said) && !text.contains("**Equivalent"), "{report}");
    assert!(text.contains("after 4, 6, 9 seeds") && text.contains("(looks made: 1)"), "{report}");
    let status = place.run(&["status", "results/one"]).ok();
    assert!(status.contains("8 of 8 runs are finished"), "{status}");
    // Without the margin it is not decided, and continues to its end.
    place.run(&["sweep", "one.toml"]).ok();
    let report = words(&place.read("results/one/report.md"));
    assert!(report.contains("(looks made: "), "{report}");
    assert!(report.contains("margin was 99, is absent"), "{report}");
    let said = place.run(&["sweep", "one.toml", "--set", "sequential.max_seeds=2"]).refused();
    assert!(said.contains("sequential.max_seeds"), "{said}");
}

#[test]
fn what_changed_since_the_first_run_is_listed() {
    let place = with("");
    place.run(&["sweep", "one.toml", "--set", "seeds=[1]"]).ok();
    let report = words(&place.read("results/one/report.md"));
    assert!(report.contains("has not changed since"), "{report}");
    place.run(&["sweep", "one.toml"]).ok();
    let report = words(&place.read("results/one/report.md"));
    assert!(report.contains("changed since: seeds was [1], is [1,2]"), "{report}");
    assert!(report.contains("seeds were added after results could be seen"), "{report}");
    let registration = &manifest(&place, "one")["registration"];
    assert_eq!(registration["experiment"]["seeds"], serde_json::json!([1]));
    assert_eq!(registration["sha256"].as_str().unwrap().len(), 64);
    // What is lost is not made up again.
    let mut without = manifest(&place, "one");
    without.as_object_mut().unwrap().remove("registration");
    place.write("results/one/sweep.json", &without.to_string());
    place.run(&["sweep", "one.toml"]).ok();
    let report = place.read("results/one/report.md");
    assert!(!report.contains("SHA-256"), "{report}");
}
