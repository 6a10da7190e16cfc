//! Fine-tuning of a BERT that starts from a file of Hugging Face's.

use crate::support::{Place, place};
use serde_json::json;
use std::fmt::Write as _;

const WORDS: [&str; 8] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad", "film"];

/// Layer norms and linear layers of an encoder layer, with inputs and outputs of the latter.
const LINEAR: [(&str, usize, usize); 6] = [
    ("attention.self.query", 128, 128),
    ("attention.self.key", 128, 128),
    ("attention.self.value", 128, 128),
    ("attention.output.dense", 128, 128),
    ("intermediate.dense", 128, 512),
    ("output.dense", 512, 128),
];

/// The tensors of a `BertModel` of the size `tiny`: names and shapes.
fn tensors() -> Vec<(String, Vec<usize>)> {
    let mut all = vec![
        ("embeddings.word_embeddings.weight".to_owned(), vec![WORDS.len(), 128]),
        ("embeddings.position_embeddings.weight".to_owned(), vec![16, 128]),
        ("embeddings.token_type_embeddings.weight".to_owned(), vec![2, 128]),
        ("pooler.dense.weight".to_owned(), vec![128, 128]),
        ("pooler.dense.bias".to_owned(), vec![128]),
    ];
    let mut norms = vec!["embeddings.LayerNorm".to_owned()];
    for layer in 0..2 {
        let own = format!("encoder.layer.{layer}");
        for (name, inputs, outputs) in LINEAR {
            all.push((format!("{own}.{name}.weight"), vec![outputs, inputs]));
            all.push((format!("{own}.{name}.bias"), vec![outputs]));
        }
        norms.extend(["attention.output", "output"].map(|name| format!("{own}.{name}.LayerNorm")));
    }
    for norm in norms {
        all.push((format!("{norm}.weight"), vec![128]));
        all.push((format!("{norm}.bias"), vec![128]));
    }
    all
}

/// A file in the safetensors format; another `shift` gives other numbers.
fn safetensors(shift: usize) -> Vec<u8> {
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    for (name, shape) in tensors() {
        let begin = data.len();
        let norm = name.ends_with("LayerNorm.weight");
        for i in 0..shape.iter().product() {
            let small = ((i + shift) * 7919 % 1009) as f32 / 10_090.0 - 0.05;
            data.extend((if norm { 1.0 } else { small }).to_le_bytes());
        }
        let offsets = [begin, data.len()];
        header.insert(name, json!({ "dtype": "F32", "shape": shape, "data_offsets": offsets }));
    }
    let mut header = serde_json::to_vec(&header).unwrap();
    header.resize(header.len().next_multiple_of(8), b' ');
    [&(header.len() as u64).to_le_bytes()[..], &header, &data].concat()
}

fn prepared() -> Place {
    let place = place();
    std::fs::write(place.path("model.safetensors"), safetensors(0)).unwrap();
    place.write("vocab.txt", &(WORDS.join("\n") + "\n"));
    let mut table = "text,label\n".to_owned();
    // Six tokens each, and no two alike.
    for row in 0..60 {
        let word = ["good", "bad"][row % 2];
        let rest: Vec<&str> = (1..6).map(|bit| ["film", "picture"][row >> bit & 1]).collect();
        writeln!(table, "{word} {},{word}", rest.join(" ")).unwrap();
    }
    place.write("films.csv", &table);
    place.write(
        "tuned.toml",
        r#"
name = "tuned"
activations = ["gelu", "relu"]
seeds = [1]

[tasks.films]
model = { name = "bert", size = "tiny", max_length = 8, init = { from = "model.safetensors" } }
data = { name = "table", path = "films.csv", tokenizer = "vocab.txt" }

[tasks.films.training]
batch_size = 8
budget = { steps = 3 }
optimizer = { name = "adamw" }
learning_rate = 1e-3
"#,
    );
    place
}

/// The only run of `activation`: its folder below the results.
fn run_of(place: &Place, activation: &str) -> Vec<String> {
    let runs = std::fs::read_dir(place.path("results/tuned/runs")).unwrap();
    let names = runs.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with(activation)).collect()
}

#[test]
fn a_bert_is_fine_tuned_from_a_file() {
    let place = prepared();
    place.run(&["sweep", "tuned.toml"]).ok();
    let report = place.read("results/tuned/report.md");
    assert!(report.contains("dropout 0.1, weights of model.safetensors"), "{report}");
    let first = run_of(&place, "gelu");
    let spec: serde_json::Value =
        serde_json::from_str(&place.read(&format!("results/tuned/runs/{}/spec.json", first[0])))
            .unwrap();
    assert_eq!(spec["weights_sha256"].as_str().map(str::len), Some(64), "{spec}");
    let folder = format!("results/tuned/runs/{}", first[0]);
    let again = place.run(&["rerun", &folder]);
    assert!(again.out.contains("the same     every step"), "{again:?}");
    // Nothing changed, so nothing is trained again.
    place.run(&["sweep", "tuned.toml"]).ok();
    assert_eq!(run_of(&place, "gelu"), first);

    std::fs::write(place.path("model.safetensors"), safetensors(1)).unwrap();
    let other = place.run(&["rerun", &folder]);
    assert_eq!(other.code, Some(1), "{other:?}");
    assert!(other.err.contains("not those of the file that the run was planned with"), "{other:?}");
    place.run(&["sweep", "tuned.toml"]).ok();
    assert_eq!(run_of(&place, "gelu").len(), 2);
}

#[test]
fn a_file_that_does_not_fit_is_refused_before_anything_is_trained() {
    let place = prepared();
    place.write("text.safetensors", "no weights");
    place.write("longer.txt", &(WORDS.join("\n") + "\nmore\n"));
    for (set, reason) in [
        (
            "model.init.from=nowhere.safetensors",
            "tasks.films.model.init.from: cannot read nowhere.safetensors",
        ),
        ("model.init.from=text.safetensors", "text.safetensors: is not in the safetensors format"),
        (
            "model.size=mini",
            "holds 2 layers of width 128, and the model has 4 of width 256: use size = \"tiny\"",
        ),
        ("model.max_length=32", "it must be at most 16"),
        (
            "data.tokenizer=longer.txt",
            "`embeddings.word_embeddings.weight` has the shape [8, 128], but `embeddings.token.weight` needs [9, 128]: the \
             tokenizer of the data has 9 entries, and the file 8",
        ),
        ("data.tokenizer=nowhere.txt", "tasks.films.data.tokenizer: cannot read nowhere.txt"),
        ("data.vocabulary=300", "contradicts `vocabulary`"),
        ("objective=masked_lm", "take the file of a BertForMaskedLM"),
        (
            "model.init={ form = \"x\" }",
            "tasks.films.model.init.form: unknown key (did you mean `from`?)",
        ),
    ] {
        let said = place.run(&["sweep", "tuned.toml", "--set", &format!("tasks.films.{set}")]);
        assert_eq!(said.code, Some(2), "{set}: {said:?}");
        assert!(said.err.contains(reason), "{set}: {}", said.err);
    }
    let gated = place.run(&["sweep", "tuned.toml", "--set", "activations=[\"gelu\", \"swiglu\"]"]);
    assert_eq!(gated.code, Some(2), "{gated:?}");
    assert!(gated.err.contains("no weights for the gate and value of `swiglu`"), "{}", gated.err);
    assert!(!place.path("results").exists());
}
