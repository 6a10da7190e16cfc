//! Networks that start from files of Hugging Face's `transformers`, whose logits are those of PyTorch.
//!
//! `scripts/huggingface_fixtures.py` writes the files.

use activation_testing::activation;
use actlab_core::data::{Answers, Batch, BatchInputs, Share, Targets};
use actlab_core::model::weights::{Weights, check, load};
use actlab_core::model::{Bert, BertConfig, Head, Network, Pass, initialize, named_parameters};
use actlab_core::sites::{Activations, Sites};
use burn::Tensor;
use burn::tensor::{Device, TensorData, bf16, f16};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// Relative to the largest logit: single precision, sums in another order.
const TOLERANCE: f32 = 1e-5;

#[derive(Deserialize)]
struct Fixture {
    shape: [usize; 2],
    tokens: Vec<i64>,
    lengths: Vec<usize>,
    masked_lm: Vec<f32>,
    classification: Vec<f32>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/huggingface")
}

fn fixture() -> Fixture {
    serde_json::from_slice(&std::fs::read(folder().join("logits.json")).unwrap()).unwrap()
}

fn file(name: &str) -> Weights {
    Weights::read(&folder().join(format!("{name}.safetensors"))).unwrap()
}

const CLASSES: Head = Head::Classes(3);

fn config(head: Head) -> BertConfig {
    BertConfig {
        vocabulary: 50,
        positions: 12,
        hidden: 16,
        layers: 2,
        heads: 2,
        feed_forward: 64,
        head,
        dropout: 0.1,
    }
}

fn network(config: &BertConfig, name: &str) -> Bert {
    let activations = Activations::from(activation(name));
    initialize(config.init(&Sites::new(&activations), &Device::flex()), 1)
}

fn logits(network: &Bert) -> Vec<f32> {
    let Fixture { shape: [batch, length], tokens, lengths, .. } = fixture();
    let device = Device::flex();
    let sequences: Vec<Vec<u32>> = tokens
        .chunks_exact(length)
        .zip(&lengths)
        .map(|(row, length)| row[..*length].iter().map(|token| *token as u32).collect())
        .collect();
    let examples = vec![Share { rows: 1, units: 1.0 }; batch];
    let labels = Tensor::from_data(TensorData::new(vec![0_i64; batch], [batch]), &device);
    // A head of tokens predicts all of them.
    let batch = Batch {
        inputs: BatchInputs::packed(&sequences, &device),
        targets: Targets {
            labels,
            positions: None,
            answers: Answers { classes: vec![0; batch], examples },
        },
    };
    network.forward(&batch, &mut Pass::evaluation()).into_data().iter::<f32>().collect()
}

fn assert_near(actual: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(actual.len(), expected.len());
    let largest = expected.iter().fold(0.0_f32, |max, x| max.max(x.abs()));
    for (i, (a, e)) in actual.iter().zip(expected).enumerate() {
        assert!((a - e).abs() <= tolerance * largest, "[{i}]: {a}, PyTorch says {e}");
    }
}

#[test]
fn logits_are_those_of_transformers() {
    let Fixture { masked_lm, classification, .. } = fixture();
    for (name, head, expected) in
        [("masked_lm", Head::Tokens, masked_lm), ("classification", CLASSES, classification)]
    {
        let network = load(network(&config(head), "gelu"), &file(name)).unwrap();
        assert_near(&logits(&network), &expected, TOLERANCE);
    }
}

/// Every parameter but those of a head that the file lacks is from the file.
#[test]
fn a_head_that_the_file_lacks_is_drawn_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    rewrite("classification", &path, Dtype::F32, |name| {
        (!name.starts_with("classifier")).then(|| name.to_owned())
    });
    let (file, drawn) = (Weights::read(&path).unwrap(), network(&config(CLASSES), "gelu"));
    let sources = drawn.sources(&file).unwrap();
    let missing: Vec<String> = named_parameters(&drawn)
        .into_iter()
        .map(|(name, ..)| name)
        .filter(|name| !sources.contains_key(name))
        .collect();
    assert_eq!(missing, ["head.weight", "head.bias"]);
    let both = [1, 2].map(|seed| {
        let network = load(initialize(drawn.clone(), seed), &file).unwrap();
        logits(&network)
    });
    assert_ne!(both[0], both[1]);
}

/// Writes the tensors of a fixture in numbers of another type, under the names that `rename` gives them; those without
/// are left out.
fn rewrite(name: &str, path: &Path, dtype: Dtype, rename: impl Fn(&str) -> Option<String>) {
    let bytes = std::fs::read(folder().join(format!("{name}.safetensors"))).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let mut written = Vec::new();
    for (name, view) in tensors.tensors() {
        let Some(name) = rename(&name) else { continue };
        let numbers = view.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b));
        let data: Vec<u8> = match dtype {
            Dtype::F16 => numbers.flat_map(|x| f16::from_f32(x).to_le_bytes()).collect(),
            Dtype::BF16 => numbers.flat_map(|x| bf16::from_f32(x).to_le_bytes()).collect(),
            Dtype::F64 => numbers.flat_map(|x| f64::from(x).to_le_bytes()).collect(),
            _ => view.data().to_vec(),
        };
        written.push((name, view.shape().to_vec(), data));
    }
    let views = written.iter().map(|(name, shape, data)| {
        (name.clone(), TensorView::new(dtype, shape.clone(), data).unwrap())
    });
    std::fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

#[test]
fn older_names_missing_prefixes_and_half_precision_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let old = |name: &str| {
        let name = name.strip_prefix("bert.").unwrap_or(name);
        let name = name.replace("LayerNorm.weight", "LayerNorm.gamma");
        Some(name.replace("LayerNorm.bias", "LayerNorm.beta"))
    };
    let expected = fixture().masked_lm;
    for (dtype, tolerance) in [(Dtype::F32, TOLERANCE), (Dtype::F16, 5e-3), (Dtype::BF16, 4e-2)] {
        rewrite("masked_lm", &path, dtype, old);
        let file = Weights::read(&path).unwrap();
        let network = load(network(&config(Head::Tokens), "gelu"), &file).unwrap();
        assert_near(&logits(&network), &expected, tolerance);
    }
}

#[test]
fn a_shorter_longest_sequence_takes_the_first_positions() {
    let config = BertConfig { positions: 9, ..config(CLASSES) };
    let network = load(network(&config, "gelu"), &file("classification")).unwrap();
    assert_near(&logits(&network), &fixture().classification, TOLERANCE);
}

#[test]
fn what_does_not_fit_is_told() {
    let base = config(CLASSES);
    let refusal = |config: &BertConfig, activation: &str, file: &Weights| {
        check(&network(config, activation), file).unwrap_err().to_string()
    };
    for (config, activation, name, reasons) in [
        (
            BertConfig { vocabulary: 60, ..base.clone() },
            "gelu",
            "classification",
            &[
                "`bert.embeddings.word_embeddings.weight` has the shape [50, 16]",
                "needs [60, 16]",
                "tokenizer of the data has 60 entries, and the file 50",
            ][..],
        ),
        (
            BertConfig { hidden: 128, ..base.clone() },
            "gelu",
            "classification",
            &["holds 2 layers of width 16, and the model has 2 of width 128"],
        ),
        (
            BertConfig { layers: 1, ..base.clone() },
            "gelu",
            "classification",
            &["holds 2 layers of width 16, and the model has 1"],
        ),
        (
            BertConfig { positions: 13, ..base.clone() },
            "gelu",
            "classification",
            &["`max_length` is 13: it must be at most 12"],
        ),
        (
            BertConfig { feed_forward: 32, ..base.clone() },
            "gelu",
            "classification",
            &[
                "`bert.encoder.layer.0.intermediate.dense.bias` has the shape [64], but `layers.0.feed_forward.inner.bias` needs [32]",
            ],
        ),
        (
            BertConfig { head: Head::Classes(2), ..base.clone() },
            "gelu",
            "classification",
            &["`classifier.weight` has the shape [3, 16], but `head.weight` needs [2, 16]"],
        ),
        (
            base.clone(),
            "gelu",
            "masked_lm",
            &["lacks `bert.pooler.dense.weight`", "BertForPreTraining"],
        ),
        (
            config(Head::Tokens),
            "gelu",
            "classification",
            &["lacks `cls.predictions.transform.dense.weight`", "BertForMaskedLM"],
        ),
        (
            base.clone(),
            "swiglu",
            "classification",
            &["no weights for the gate and value of `swiglu` at `layers.0.feed_forward`"],
        ),
    ] {
        let said = refusal(&config, activation, &file(name));
        for reason in reasons {
            assert!(said.contains(reason), "{said}, not {reason}");
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let same = |name: &str| Some(name.to_owned());
    let without =
        |part: &'static str| move |name: &str| (!name.contains(part)).then(|| name.to_owned());
    let written = |dtype, rename: &dyn Fn(&str) -> Option<String>| {
        rewrite("classification", &path, dtype, rename);
        refusal(&base, "gelu", &Weights::read(&path).unwrap())
    };
    for (said, reason) in [
        (written(Dtype::F64, &same), "is of type F64, but must be F32, F16 or BF16"),
        (
            written(Dtype::F32, &without("layer.1.output.dense.bias")),
            "lacks `bert.encoder.layer.1.output.dense.bias`, which `layers.1.feed_forward.outer.bias` needs",
        ),
        (
            written(Dtype::F32, &|name| {
                Some(name.replace("classifier.bias", "bert.encoder.layer.0.new"))
            }),
            "`bert.encoder.layer.0.new` belongs to no parameter",
        ),
        (
            written(Dtype::F32, &|name| Some(format!("roberta.{name}"))),
            "holds no BERT: it lacks `bert.embeddings.word_embeddings.weight`; its first tensors are roberta.",
        ),
    ] {
        assert!(said.contains(reason), "{said}, not {reason}");
    }
    std::fs::write(&path, b"PK\x03\x04 no safetensors").unwrap();
    let said = Weights::read(&path).unwrap_err().to_string();
    assert!(said.contains("is not in the safetensors format"), "{said}");
}
