//! How long a report of a large sweep takes, and how much memory: 2,000 runs of 500 evaluations of seven sites
//! each, with 2,000 test examples, or as many as the arguments say.
//!
//! ```text
//! cargo run -p analysis --example scale
//! cargo run -p analysis --example scale -- 200 500
//! ```

use analysis::{Report, ReportOptions};
use indexmap::IndexMap;
use record::{
    ActivationSpec, Budget, CLASSIFICATION, Component, DataSpec, Described, Environment,
    Evaluation, Event, Gradients, LayerGradient, Metric, Outcome, Prediction, Predictions, RunDir,
    RunRecord, RunSpec, SCHEMA_VERSION, Site, SiteStatistics, Summary, Timing, TrainStep,
    TrainingSpec,
};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

const ACTIVATIONS: [&str; 5] = ["relu", "leaky_relu", "gelu", "silu", "swiglu"];
const TASKS: u64 = 4;
/// Activation sites of a run, and test examples.
const SITES: usize = 7;
const EXAMPLES: usize = 2_000;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut count = |default| arguments.next().map_or(Ok(default), |text| text.parse());
    let (runs, points) = (count(2_000_u64)?, count(500_u64)?);
    let folder = tempfile::tempdir()?;
    let runs_dir = folder.path().join("runs");
    for i in 0..runs {
        write(&runs_dir, i, points)?;
    }
    println!("{runs} runs of {points} steps with an evaluation each are written");

    let began = Instant::now();
    let read = record::read_runs(&runs_dir)?;
    println!("records are read after {:.2} s", began.elapsed().as_secs_f64());
    let report = Report::from_runs(&read, &ReportOptions::default())?;
    println!("figures are there after {:.2} s", began.elapsed().as_secs_f64());
    let written = report.write(folder.path())?;
    println!("files are written after {:.2} s", began.elapsed().as_secs_f64());
    println!(
        "report.html has {:.1} MiB",
        std::fs::metadata(written.html)?.len() as f64 / 1048576.0
    );
    if let Some(peak) = peak_memory() {
        println!("peak memory {:.0} MiB", peak as f64 / 1024.0);
    }
    Ok(())
}

/// Largest resident size so far, in KiB, where the system tells.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// A run that learns, with noise of its own.
fn write(runs: &Path, i: u64, points: u64) -> Result<()> {
    let spec = spec(i);
    let noise = |salt: u64| {
        let z = (i * 7_919 + salt).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        ((z ^ (z >> 31)) % 10_000) as f64 / 1e4 - 0.5
    };
    let dir = RunDir::of(runs, &spec);
    let mut stream = dir.begin(&spec)?;
    let mut last = None;
    let site = |step, depth: usize| Site {
        step,
        site: format!("blocks.{depth}.inner"),
        depth,
        units: 16,
        dead: 0.01,
        zero: 0.5,
        mean: 0.3,
        variance: 0.5,
        saturated: 0.5,
        inputs: None,
        outputs: None,
    };
    for step in 1..=points {
        let epoch = step as f64 / 50.0;
        stream.write(&Event::Train(TrainStep {
            step,
            epoch,
            loss: 2.0 / step as f64,
            metrics: [("accuracy", 0.5)].into(),
            learning_rate: 0.1,
            gradient_norm: 1.0,
            seconds: 0.01,
        }))?;
        let accuracy = 0.9 - 0.5 / step as f64 + 0.01 * noise(step);
        let metrics = [("accuracy", accuracy)].into();
        let evaluation = Evaluation { step, epoch, loss: 1.0 - accuracy, metrics };
        stream.write(&Event::Validation(evaluation.clone()))?;
        last = Some(evaluation);
        for depth in 0..SITES {
            stream.write(&Event::Site(site(step, depth)))?;
        }
        let layer = |depth| LayerGradient {
            layer: format!("blocks.{depth}"),
            norm: 0.1 + 0.01 * step as f64,
        };
        let layers = (0..SITES).map(layer).collect();
        stream.write(&Event::Gradients(Gradients { step, layers }))?;
    }
    let said = |index: usize| Prediction {
        index,
        label: 1,
        predicted: usize::from(noise(index as u64) < 0.4),
        probability: 0.9,
        confidence: Some(0.9),
    };
    dir.write_predictions(&Predictions::Classes((0..EXAMPLES).map(said).collect()))?;
    dir.finish(&RunRecord {
        schema: SCHEMA_VERSION,
        id: spec.id(),
        spec,
        outcome: Outcome::Completed,
        described: Described::default(),
        summary: Some(Summary {
            parameters: 75_002,
            flops: 18_290_000,
            steps: points,
            classes: Some(10),
            metric: Some(Metric::accuracy(Some(10))),
            initial_loss: 2.3,
            best_validation: last.clone(),
            last_validation: last.clone(),
            test: last,
            test_examples: Some(EXAMPLES as u64),
            steps_to_target: Some(10),
            skipped_steps: None,
            sites: (0..SITES).map(|depth| site(points, depth)).collect(),
            learned: Vec::new(),
        }),
        timing: Timing {
            started_unix: 1.7e9,
            ended_unix: None,
            total_seconds: 60.0,
            train_seconds: 50.0,
            examples_per_second: 1_000.0 + 100.0 * noise(0),
            peak_memory_bytes: Some(300 << 20),
            device_memory_bytes: None,
            energy_joules: None,
        },
        files: BTreeMap::new(),
        environment: Environment {
            actlab: "0.1.0".into(),
            rustc: String::new(),
            target: String::new(),
            features: Vec::new(),
            os: String::new(),
            cpu: String::new(),
            cores: 2,
            memory_bytes: None,
            gpu: None,
            device: "cpu".into(),
            threads: 1,
            lock_sha256: String::new(),
            git: None,
        },
    })?;
    Ok(())
}

fn spec(i: u64) -> RunSpec {
    let arms = ACTIVATIONS.len() as u64;
    let label = ACTIVATIONS[(i % arms) as usize];
    RunSpec {
        activation: ActivationSpec {
            name: label.into(),
            parameters: IndexMap::new(),
            label: label.into(),
            fingerprint: "00".into(),
            sites: Vec::new(),
        },
        task: format!("task{}", i / arms % TASKS),
        model: Component::named("resnet").with("depth", 8).with("width", 16),
        objective: Component::named(CLASSIFICATION),
        data: DataSpec::named("fashion-mnist-mini"),
        data_sha256: "00".into(),
        weights_sha256: None,
        training: TrainingSpec {
            batch_size: 128,
            budget: Budget::Epochs(3),
            optimizer: Component::named("sgd").with("momentum", 0.9).with("nesterov", true),
            learning_rate: 0.1,
            weight_decay: 5e-4,
            schedule: Component::named("cosine"),
            warmup: 0.1,
            label_smoothing: 0.0,
            precision: record::Precision::F32,
            replicas: 1,
            sync_batch_norm: false,
            clip_norm: None,
            evaluate_every: Some(1),
            patience: None,
            target_accuracy: Some(0.8),
            target: None,
            divergence: None,
            site_statistics: SiteStatistics::default(),
        },
        seed: i / arms / TASKS,
        device: "cpu".into(),
        numerics: 2,
        trial: None,
    }
}
