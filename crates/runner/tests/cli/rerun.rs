//! A run is repeated from nothing but its record.

use crate::support::place;

/// A record of an early program, which lacks what later ones say of a run.
#[test]
fn a_run_of_an_early_program_is_repeated_to_the_last_bit() {
    let place = place();
    place.run(&["train", "tiny.toml", "--activation", "relu", "--task", "text"]).ok();
    let runs = place.path("results/tiny/runs");
    let run = std::fs::read_dir(runs).unwrap().next().unwrap().unwrap().path();
    let path = run.join("record.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let mut record: serde_json::Value = serde_json::from_str(&text).unwrap();
    let whole = record.as_object_mut().unwrap();
    for key in ["sha256", "files", "described"] {
        whole.remove(key).unwrap();
    }
    let summary = whole["summary"].as_object_mut().unwrap();
    for key in ["metric", "test_examples"] {
        summary.remove(key).unwrap();
    }
    std::fs::write(&path, record.to_string()).unwrap();
    let said = place.run(&["rerun", run.to_str().unwrap()]);
    assert!(said.out.contains("the same     every step"), "{said:?}");
    said.ok();
}

#[test]
fn a_run_is_repeated_to_the_last_bit() {
    let place = place();
    place.run(&["train", "tiny.toml", "--activation", "gelu", "--task", "images"]).ok();
    let runs = place.path("results/tiny/runs");
    let run = std::fs::read_dir(runs).unwrap().next().unwrap().unwrap().path();
    let run = run.to_str().unwrap();
    let said = place.run(&["rerun", run, "--threads", "2"]);
    assert!(said.out.contains("the same     every step"), "{said:?}");
    said.ok();

    // A step that was something else, and a figure.
    let metrics = std::fs::read_to_string(format!("{run}/metrics.jsonl")).unwrap();
    let (head, tail) = metrics.split_once("\"step\":3").unwrap();
    let tail = tail.replacen("\"loss\":", "\"loss\":1", 1);
    std::fs::write(format!("{run}/metrics.jsonl"), format!("{head}\"step\":3{tail}")).unwrap();
    let said = place.run(&["rerun", run]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.out.contains("differs      the metrics, from step 3 on"), "{}", said.out);
    std::fs::write(format!("{run}/metrics.jsonl"), &metrics).unwrap();

    // Another probability of the same class, and no predictions at all.
    let path = format!("{run}/predictions.csv");
    let table = std::fs::read_to_string(&path).unwrap();
    let (first, rest) = table.split_once("\n1,").unwrap();
    let (first, confidence) = first.rsplit_once(',').unwrap();
    let other = 0.5 * confidence.parse::<f64>().unwrap();
    std::fs::write(&path, format!("{first},{other}\n1,{rest}")).unwrap();
    let said = place.run(&["rerun", run]);
    assert!(said.out.contains("differs      the predictions for 1 test examples"), "{said:?}");
    std::fs::remove_file(&path).unwrap();
    let said = place.run(&["rerun", run]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.out.contains("the predictions cannot be compared"), "{}", said.out);
    let said = place.run(&["rerun", "results/tiny"]);
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(said.err.contains("name the folder of one of its runs"), "{}", said.err);
    // What it would be compared with is looked at before it is trained.
    let stream = std::path::Path::new(run).join("metrics.jsonl");
    let text = place.read(stream.to_str().unwrap());
    place.write(stream.to_str().unwrap(), &text.replacen("\"event\"", "event", 2));
    let said = place.run(&["rerun", run]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(!said.err.contains("training it again"), "{}", said.err);
}
