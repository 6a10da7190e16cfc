//! Made-up records of plausible sweeps.

use indexmap::IndexMap;
use record::{
    ActivationSpec, Budget, CLASSIFICATION, Component, DataSpec, Described, Direction, Environment,
    Evaluation, Metric, Outcome, RunDir, RunRecord, RunSpec, SCHEMA_VERSION, Site, SiteStatistics,
    StoredRun, Summary, Timing, TrainingSpec,
};
use std::collections::BTreeMap;
use std::path::Path;

pub(crate) const IMAGES: &str = "fashion_resnet8";
pub(crate) const WORDS: &str = "sentiment_bert_mini";
pub(crate) const TEXT: &str = "text_gpt";
pub(crate) const ACTIVATIONS: [&str; 5] =
    ["relu", "leaky_relu(slope=0.2)", "gelu", "silu", "swiglu"];

/// A completed run. Figures depend on task, activation and seed alone.
pub(crate) fn run(task: &str, activation: &str, seed: u64) -> StoredRun {
    let spec = spec(task, activation, seed);
    let place = ACTIVATIONS.iter().position(|known| *known == activation).unwrap_or(5);
    let images = task == IMAGES;
    // A fixed scatter in [−0.5, 0.5): looks like runs, and is the same everywhere (SplitMix64).
    let scatter = |salt: u64| {
        let key = seed * 1_000 + place as u64 * 100 + salt * 10 + u64::from(images);
        let mut z = key.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64 - 0.5
    };
    let gain = [0.0, 0.001, 0.009, 0.006, 0.008, 0.003][place];
    let base = if images { 0.842 } else { 0.773 };
    let accuracy =
        |salt: u64, shift: f64| ((base + gain + shift + 0.014 * scatter(salt)) * 1e4).round() / 1e4;
    let (steps, every) = if images { (1_407, 469) } else { (2_000, 250) };
    let best_step = steps - every * (seed % 2);
    let at = |step: u64, salt, shift| {
        let accuracy = accuracy(salt, shift);
        let epoch = step as f64 / if images { 469.0 } else { 625.0 };
        evaluation(step, epoch, 1.3 * (1.0 - accuracy), accuracy)
    };
    let gated = activation == "swiglu";
    let (parameters, flops) = match (images, gated) {
        (true, false) => (77_754, 24_630_272),
        (true, true) => (79_946, 25_112_064),
        (false, false) => (11_171_074, 812_646_400),
        (false, true) => (11_163_906, 812_122_112),
    };
    let sites = (0..3).map(|depth| Site {
        step: steps,
        site: format!("blocks.{depth}.inner"),
        depth,
        units: 16 << depth,
        dead: if place == 0 { 0.03 * depth as f64 } else { 0.0 },
        zero: if place == 0 { 0.52 + 0.02 * scatter(6) } else { 0.0 },
        mean: 0.3 - 0.1 * place as f64 + 0.05 * scatter(depth as u64),
        variance: 0.8 + 0.2 * scatter(9 + depth as u64),
        saturated: [0.52, 0.0, 0.031, 0.012, 0.018, 0.02][place] * (1.0 + 0.1 * scatter(5)),
        inputs: None,
        outputs: None,
    });
    let seconds = 41.0 + 6.0 * place as f64 + scatter(8);
    StoredRun {
        dir: RunDir::of(Path::new("runs"), &spec),
        record: RunRecord {
            schema: SCHEMA_VERSION,
            id: spec.id(),
            outcome: Outcome::Completed,
            described: described(images),
            summary: Some(Summary {
                parameters,
                flops,
                steps,
                classes: Some(if images { 10 } else { 2 }),
                metric: None,
                initial_loss: 2.302,
                best_validation: Some(at(best_step, 1, 0.002)),
                last_validation: Some(at(steps, 2, 0.001)),
                test: Some(at(best_step, 3, 0.0)),
                test_examples: None,
                steps_to_target: Some(steps - every * (1 + (seed + place as u64) % 2)),
                skipped_steps: None,
                sites: sites.collect(),
                learned: Vec::new(),
            }),
            timing: Timing {
                started_unix: 1.7e9 + seconds,
                ended_unix: None,
                total_seconds: seconds * 1.2,
                train_seconds: seconds,
                examples_per_second: 180_000.0 / seconds,
                peak_memory_bytes: Some(812_000_000 + 1_000 * place as u64),
                device_memory_bytes: None,
                energy_joules: None,
            },
            environment: environment(),
            files: BTreeMap::new(),
            spec,
        },
    }
}

/// What a language model is judged by: uniform bytes have 8 bits.
pub(crate) fn bits_per_byte() -> Metric {
    Metric {
        name: "bits_per_byte".into(),
        label: "bits per byte".into(),
        unit: "bits/byte".into(),
        scale: 1.0,
        digits: 4,
        direction: Direction::Lower,
        guessing: 8.0,
    }
}

/// Bits per byte of the arms of [`text_run`], about which their runs scatter.
pub(crate) const BITS: [(&str, f64); 3] = [("relu", 2.1), ("gelu", 2.05), ("silu", 2.13)];

/// A completed run of a language model, whose test value is `bits` but for a scatter of its seed below 0.01, which all
/// arms share, and one of its own below 0.001.
pub(crate) fn text_run(activation: &str, seed: u64, bits: f64) -> StoredRun {
    let mut stored = run(WORDS, activation, seed);
    let record = &mut stored.record;
    record.spec.task = TEXT.into();
    record.spec.objective = Component::named("causal_lm");
    record.spec.model = Component::named("gpt").with("size", "micro");
    record.spec.training.target = Some(2.2);
    record.described.model = "gpt-micro".into();
    record.described.model_details = "gpt-micro, 128 bytes of context".into();
    record.id = record.spec.id();
    let own = activation.bytes().map(u64::from).sum::<u64>();
    let shared = (seed * 7_919 % 97) as f64 / 97.0 * 0.01;
    let value = bits + shared + ((seed + 3) * own % 89) as f64 / 89.0 * 0.001;
    let summary = record.summary.as_mut().expect("made-up runs have summaries");
    (summary.classes, summary.metric) = (None, Some(bits_per_byte()));
    let evaluations =
        [&mut summary.best_validation, &mut summary.last_validation, &mut summary.test];
    for (place, evaluation) in evaluations.into_iter().flatten().enumerate() {
        let value = value + if place == 2 { 0.0 } else { 0.02 };
        evaluation.metrics = [("bits_per_byte", value)].into();
        evaluation.loss = value * std::f64::consts::LN_2;
    }
    stored.dir = RunDir::of(Path::new("runs"), &stored.record.spec);
    stored
}

/// All arms of [`BITS`].
pub(crate) fn texts(seeds: impl IntoIterator<Item = u64> + Clone) -> Vec<StoredRun> {
    let arm = |(label, bits): (&'static str, f64)| {
        seeds.clone().into_iter().map(move |seed| text_run(label, seed, bits))
    };
    BITS.into_iter().flat_map(arm).collect()
}

/// An evaluation of a classification.
pub(crate) fn evaluation(step: u64, epoch: f64, loss: f64, accuracy: f64) -> Evaluation {
    Evaluation { step, epoch, loss, metrics: [("accuracy", accuracy)].into() }
}

fn described(images: bool) -> Described {
    let words = |images_say: &str, words_say: &str| -> String {
        if images { images_say } else { words_say }.into()
    };
    Described {
        model: words("resnet-8", "bert-mini"),
        model_details: words("resnet-8", "bert-mini, sequences of up to 64 tokens, dropout 0.1"),
        optimizer: words("SGD, Nesterov momentum 0.9", "AdamW, β₁ 0.9, β₂ 0.999, ε 1e-8"),
        schedule: words("cosine to zero", "linear to zero"),
        augmentation: words("random crops and flips", ""),
    }
}

fn spec(task: &str, activation: &str, seed: u64) -> RunSpec {
    let images = task == IMAGES;
    RunSpec {
        activation: ActivationSpec {
            name: activation.split('(').next().unwrap_or_default().into(),
            parameters: IndexMap::new(),
            label: activation.into(),
            fingerprint: String::new(),
            sites: Vec::new(),
        },
        task: task.into(),
        model: if images {
            Component::named("resnet").with("depth", 8).with("width", 16)
        } else {
            let size = Component::named("bert").with("size", "mini");
            size.with("max_length", 64).with("dropout", 0.1)
        },
        objective: Component::named(CLASSIFICATION),
        data: if images {
            DataSpec {
                augmentation: Component::named("crop_flip"),
                train_limit: Some(60_000),
                ..DataSpec::named("fashion-mnist")
            }
        } else {
            DataSpec::named("sst2")
        },
        data_sha256: "00".into(),
        weights_sha256: None,
        training: TrainingSpec {
            batch_size: if images { 128 } else { 32 },
            budget: if images { Budget::Epochs(3) } else { Budget::Steps(2_000) },
            optimizer: if images {
                Component::named("sgd").with("momentum", 0.9).with("nesterov", true)
            } else {
                let betas = Component::named("adamw").with("beta1", 0.9).with("beta2", 0.999);
                betas.with("epsilon", 1e-8)
            },
            learning_rate: if images { 0.1 } else { 3e-4 },
            weight_decay: if images { 5e-4 } else { 0.01 },
            schedule: Component::named(if images { "cosine" } else { "linear" }),
            warmup: 0.1,
            label_smoothing: 0.0,
            precision: record::Precision::F32,
            replicas: 1,
            sync_batch_norm: false,
            clip_norm: if images { None } else { Some(1.0) },
            evaluate_every: if images { None } else { Some(250) },
            patience: None,
            target_accuracy: if images { Some(0.8) } else { None },
            target: None,
            divergence: None,
            site_statistics: SiteStatistics::default(),
        },
        seed,
        device: "cpu".into(),
        numerics: 1,
        trial: None,
    }
}

fn environment() -> Environment {
    Environment {
        actlab: "0.1.0".into(),
        rustc: "rustc 1.95.0".into(),
        target: "x86_64-unknown-linux-gnu".into(),
        features: vec![],
        os: "Linux".into(),
        cpu: "a processor".into(),
        cores: 8,
        memory_bytes: None,
        gpu: None,
        device: "cpu".into(),
        threads: 8,
        lock_sha256: "00".into(),
        git: None,
    }
}

/// Every activation on both tasks.
pub(crate) fn sweep(seeds: impl IntoIterator<Item = u64> + Clone) -> Vec<StoredRun> {
    let mut runs = Vec::new();
    for task in [IMAGES, WORDS] {
        for activation in ACTIVATIONS {
            runs.extend(seeds.clone().into_iter().map(|seed| run(task, activation, seed)));
        }
    }
    runs
}

/// The run of `runs` with these coordinates.
pub(crate) fn find<'a>(
    runs: &'a mut [StoredRun],
    task: &str,
    activation: &str,
    seed: u64,
) -> &'a mut RunRecord {
    let wanted = |run: &&mut StoredRun| {
        let spec = &run.record.spec;
        spec.task == task && spec.activation.label == activation && spec.seed == seed
    };
    &mut runs.iter_mut().find(wanted).expect("the sweep has this run").record
}

/// Lets a run diverge at `step` after it reached the target.
pub(crate) fn diverge(run: &mut RunRecord, step: u64) {
    run.outcome = Outcome::Diverged { step, reason: "the loss became NaN".into() };
    let summary = run.summary.as_mut().expect("made-up runs have summaries");
    summary.steps = step;
    summary.test = None;
    if let Some(last) = &mut summary.last_validation {
        last.loss = f64::NAN;
    }
    for site in &mut summary.sites {
        site.mean = f64::NAN;
        site.variance = f64::INFINITY;
    }
}

/// Lets a run fail before its first step.
pub(crate) fn fail(run: &mut RunRecord, reason: &str) {
    run.outcome = Outcome::Failed { reason: reason.into() };
    run.summary = None;
}
