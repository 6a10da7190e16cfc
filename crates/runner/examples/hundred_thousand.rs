//! How long planning, resuming and reporting a sweep of 100,000 runs takes, or of as many seeds as the argument says
//! for 20 arms on 10 tasks.
//!
//! ```text
//! cargo run -p runner --example hundred_thousand
//! cargo run -p runner --example hundred_thousand -- 50
//! cargo run -p runner --example hundred_thousand -- 50 FOLDER
//! ```
//!
//! Where a folder is named, everything stays there; where it holds the runs already, they are not made again.
//!
//! One run of each arm on each task is trained, in no time; its files stand for those of every other seed.

use record::{RunDir, RunRecord};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// Training allocates and frees the same large buffers at every step, which mimalloc is good at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ARMS: usize = 20;
const TASKS: usize = 10;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    // Workers and measured steps are this program again.
    if std::env::var_os(CHILD).is_some() || std::env::args().nth(1).as_deref() == Some("worker") {
        std::process::exit(runner::run(std::env::args_os()).into());
    }
    let seeds = std::env::args().nth(1).map_or(Ok(500), |text| text.parse())?;
    let temporary = tempfile::tempdir()?;
    let named = std::env::args().nth(2).map(PathBuf::from);
    let place = named.as_deref().unwrap_or(temporary.path());
    if !place.join("results/big").exists() {
        record_runs(place, seeds)?;
    }
    timed(place, "plan and resume check", &["sweep", "big.toml", "--dry-run"])?;
    timed(place, "plan, resume check and report", &["sweep", "big.toml"])?;
    timed(place, "report", &["report", "results/big"])?;
    timed(place, "report and Parquet", &["report", "results/big", "--parquet"])?;
    timed(place, "status", &["status", "results/big"])
}

/// Trains the first seed in `place`, and makes the others of it.
fn record_runs(place: &Path, seeds: u64) -> Result<()> {
    let file = place.join("big.toml");
    fs::write(&file, experiment(1))?;
    timed(place, "the first seed, trained", &["sweep", "big.toml"])?;
    let runs = place.join("results/big/runs");
    let began = Instant::now();
    let templates = record::read_runs(&runs)?;
    for template in &templates {
        for seed in 2..=seeds {
            copy(&runs, template.dir.path(), &template.record, seed)?;
        }
    }
    let count = templates.len() as u64 * seeds;
    println!("{count} runs are recorded ({:.1} s to write them)", began.elapsed().as_secs_f64());
    fs::write(&file, experiment(seeds))?;
    Ok(())
}

/// Tells this program that it is to be `actlab`.
const CHILD: &str = "HUNDRED_THOUSAND_IS_ACTLAB";

/// Runs `actlab` with `args` and says how long that took, and how much memory.
fn timed(place: &Path, what: &str, args: &[&str]) -> Result<()> {
    let began = Instant::now();
    let output = Command::new(std::env::current_exe()?)
        .args(args)
        .current_dir(place)
        .env(CHILD, "1")
        .output()?;
    println!("{what}: {:.1} s", began.elapsed().as_secs_f64());
    if output.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into())
    }
}

fn experiment(seeds: u64) -> String {
    let arms: Vec<String> =
        (0..ARMS).map(|arm| format!("\"leaky_relu(slope={})\"", 0.01 * (arm + 1) as f64)).collect();
    let seeds: Vec<String> = (1..=seeds).map(|seed| seed.to_string()).collect();
    let mut text = format!(
        "name = \"big\"\nactivations = [{}]\nseeds = [{}]\nsystem_metrics = 0\ncheckpoint_every = 0\n",
        arms.join(", "),
        seeds.join(", ")
    );
    for task in 0..TASKS {
        let _ = write!(
            text,
            r#"
            [tasks.task_{task}]
            model = {{ name = "resnet", depth = 8, width = 4 }}
            data = {{ name = "fashion-mnist-mini", train_limit = {} }}
            [tasks.task_{task}.training]
            batch_size = 32
            budget = {{ steps = 4 }}
            optimizer = {{ name = "sgd" }}
            learning_rate = 0.1
            "#,
            64 + task
        );
    }
    text
}

/// The files of a run, as those of another seed.
fn copy(runs: &Path, template: &Path, record: &RunRecord, seed: u64) -> Result<()> {
    let mut record = record.clone();
    record.spec.seed = seed;
    record.id = record.spec.id();
    if let Some(summary) = &mut record.summary
        && let Some(test) = &mut summary.test
    {
        // Seeds differ.
        let shift = 1e-4 * (seed * 7919 % 101) as f64;
        test.metrics =
            [("accuracy", test.metrics.get("accuracy").unwrap_or_default() + shift)].into();
    }
    let dir = RunDir::of(runs, &record.spec);
    fs::create_dir(dir.path())?;
    for name in ["metrics.jsonl", "predictions.csv"] {
        fs::hard_link(template.join(name), dir.path().join(name))?;
    }
    fs::write(dir.path().join("spec.json"), serde_json::to_vec_pretty(&record.spec)?)?;
    fs::write(dir.path().join("record.json"), record.to_file()?)?;
    Ok(())
}
