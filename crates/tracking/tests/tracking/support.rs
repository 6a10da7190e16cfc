use indexmap::IndexMap;
use record::{
    ActivationSpec, Budget, CLASSIFICATION, Component, DataSpec, Described, Environment,
    Evaluation, Event, Histogram, MetricsWriter, Outcome, RunDir, RunRecord, RunSpec,
    SCHEMA_VERSION, Site, SiteStatistics, Start, SystemSample, Timing, TrainStep, TrainingSpec,
};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tracking::wandb::{Mode, Settings, SinkRequest, Wandb};
use tracking::{Environment as Surroundings, Notice, Pace, Tracker};

/// A folder for results and for offline directories.
pub(crate) struct Place {
    pub(crate) folder: TempDir,
    said: Arc<Mutex<Vec<String>>>,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), said: Arc::default() }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Settings for the server at `url`.
    pub(crate) fn settings(&self, mode: Mode, url: &str) -> Settings {
        self.settings_with_key(mode, url, tracking_testing::KEY)
    }

    pub(crate) fn settings_with_key(&self, mode: Mode, url: &str, key: &str) -> Settings {
        let dir = self.path().display().to_string();
        let variable = |name: &str| match name {
            "WANDB_BASE_URL" => Some(url.to_owned()),
            "WANDB_API_KEY" => Some(key.to_owned()),
            "WANDB_DIR" => Some(dir.clone()),
            _ => None,
        };
        let table = Wandb { tags: vec!["mine".to_owned()], ..Wandb::default() };
        let request = SinkRequest { flag: Some(mode), table, by_notes: false };
        let environment = Surroundings { variable: &variable, home: None };
        Settings::resolve(&request, &environment).unwrap()
    }

    pub(crate) fn notice(&self) -> Notice {
        let said = Arc::clone(&self.said);
        Arc::new(move |line| said.lock().unwrap().push(line.to_owned()))
    }

    /// What the user was told.
    pub(crate) fn said(&self) -> Vec<String> {
        self.said.lock().unwrap().clone()
    }

    /// Begins the run of `seed`.
    pub(crate) fn begin(&self, seed: u64) -> Written {
        self.begin_with(seed, |_| {})
    }

    /// Begins a run of `seed` whose spec `change` changes.
    pub(crate) fn begin_with(&self, seed: u64, change: impl FnOnce(&mut RunSpec)) -> Written {
        let mut spec = spec(seed);
        change(&mut spec);
        Written::begin(&self.path().join("results"), spec)
    }

    /// No file and no message holds the key.
    pub(crate) fn assert_no_key(&self) {
        for line in self.said() {
            assert!(!line.contains(tracking_testing::KEY), "{line}");
        }
        let mut folders = vec![self.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let bytes = std::fs::read(&path).unwrap();
                    let text = String::from_utf8_lossy(&bytes);
                    assert!(!text.contains(tracking_testing::KEY), "{}", path.display());
                }
            }
        }
    }
}

/// Trains `runs` runs side by side while they are followed.
pub(crate) fn train(place: &Place, tracker: &Tracker, runs: u64, steps: u64) -> Vec<Written> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = (1..=runs)
            .map(|seed| {
                scope.spawn(move || {
                    let mut run = place.begin(seed);
                    let following = tracker.follow(&run.dir);
                    for step in 1..=steps {
                        run.step(step);
                        std::thread::sleep(Duration::from_micros(500));
                    }
                    run.finish(Outcome::Completed);
                    following.end(0);
                    run
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// Fast enough for tests.
pub(crate) fn pace() -> Pace {
    Pace {
        tick: Duration::from_millis(2),
        first_wait: Duration::from_millis(1),
        longest_wait: Duration::from_millis(20),
        interval: Duration::from_millis(20),
        heartbeat: Duration::from_millis(200),
        timeout: Duration::from_millis(400),
        patience: Duration::from_secs(60),
    }
}

/// Longer than a client of [`pace`] waits for an answer.
pub(crate) const HANG: Duration = Duration::from_millis(800);

/// A run whose record is written by the test.
pub(crate) struct Written {
    pub(crate) dir: RunDir,
    pub(crate) spec: RunSpec,
    writer: MetricsWriter,
    /// The lines of history that must arrive, without their clocks.
    pub(crate) history: Vec<Map<String, Value>>,
}

impl Written {
    fn begin(runs: &Path, spec: RunSpec) -> Self {
        let dir = RunDir::of(runs, &spec);
        let writer = dir.begin(&spec).unwrap();
        let mut run = Self { dir, spec, writer, history: Vec::new() };
        let start = Start {
            sweep: "sweep".into(),
            parameters: 10,
            flops: 20,
            steps: 100,
            metric: None,
            described: Described { model: "resnet-20".into(), ..Described::default() },
            environment: environment(),
        };
        run.write(&Event::Start(Box::new(start)));
        run
    }

    pub(crate) fn write(&mut self, event: &Event) {
        self.writer.write(event).unwrap();
    }

    /// A training step; every tenth with an evaluation and a site, every fifth with a sample of the system.
    pub(crate) fn step(&mut self, step: u64) {
        self.train(step);
        self.evaluate(step);
    }

    /// The first half of a step.
    pub(crate) fn train(&mut self, step: u64) {
        #[expect(clippy::cast_precision_loss, reason = "steps are few")]
        let x = step as f64;
        let loss = if step == 7 { f64::NAN } else { 1.0 / x + 0.1 };
        let epoch = x / 10.0;
        self.write(&Event::Train(TrainStep {
            step,
            epoch,
            loss,
            metrics: [("accuracy", 0.5)].into(),
            learning_rate: 0.1 * x,
            gradient_norm: 3.0 / x,
            seconds: 0.25,
        }));
        self.history.push(Map::from_iter([
            ("_step".to_owned(), json!(step)),
            ("epoch".to_owned(), json!(epoch)),
            ("train/loss".to_owned(), if loss.is_nan() { json!("NaN") } else { json!(loss) }),
            ("train/accuracy".to_owned(), json!(0.5)),
            ("train/learning_rate".to_owned(), json!(0.1 * x)),
            ("train/gradient_norm".to_owned(), json!(3.0 / x)),
            ("train/step_seconds".to_owned(), json!(0.25)),
        ]));
    }

    /// The second half of a step.
    pub(crate) fn evaluate(&mut self, step: u64) {
        #[expect(clippy::cast_precision_loss, reason = "steps are few")]
        let x = step as f64;
        let epoch = x / 10.0;
        let mut row = self.history.pop().unwrap();
        if step.is_multiple_of(10) {
            let evaluation =
                Evaluation { step, epoch, loss: 2.0 / x, metrics: [("accuracy", 0.75)].into() };
            self.write(&Event::Validation(evaluation));
            let values = [0.0, 1.0, 2.0, 4.0];
            let histogram = Histogram::of(values.into_iter(), 4).unwrap();
            self.write(&Event::Site(Site {
                step,
                site: "stem".into(),
                depth: 0,
                units: 4,
                dead: 0.25,
                zero: 0.5,
                mean: 1.5,
                variance: 2.5,
                saturated: 0.125,
                inputs: None,
                outputs: Some(histogram),
            }));
            self.write(&Event::Output { line: format!("step {step}") });
            row.insert("validation/loss".into(), json!(2.0 / x));
            row.insert("validation/accuracy".into(), json!(0.75));
            for (what, value) in [
                ("dead", 0.25),
                ("zero", 0.5),
                ("mean", 1.5),
                ("variance", 2.5),
                ("saturated", 0.125),
            ] {
                row.insert(format!("sites/stem/{what}"), json!(value));
            }
            row.insert(
                "sites/stem/outputs".into(),
                json!({ "_type": "histogram", "bins": [0.0, 1.0, 2.0, 3.0, 4.0], "values": [1, 1, 1, 1] }),
            );
        }
        if step.is_multiple_of(5) {
            let sample = SystemSample { cpu_percent: Some(x), ..SystemSample::default() };
            self.write(&Event::System(sample));
        }
        self.history.push(row);
    }

    pub(crate) fn finish(&self, outcome: Outcome) {
        self.dir
            .finish(&RunRecord {
                schema: SCHEMA_VERSION,
                id: self.spec.id(),
                spec: self.spec.clone(),
                outcome,
                described: Described::default(),
                summary: None,
                timing: Timing {
                    started_unix: record::now(),
                    ended_unix: None,
                    total_seconds: 1.5,
                    train_seconds: 1.25,
                    examples_per_second: 1000.5,
                    peak_memory_bytes: Some(1 << 20),
                    device_memory_bytes: None,
                    energy_joules: Some(12.5),
                },
                environment: environment(),
                files: BTreeMap::new(),
            })
            .unwrap();
    }

    /// Compares a received history with what was written.
    pub(crate) fn assert_history(&self, rows: &[Map<String, Value>]) {
        assert_eq!(rows.len(), self.history.len(), "lines of {}", self.dir.path().display());
        for (row, expected) in rows.iter().zip(&self.history) {
            let mut row = row.clone();
            assert!(row.remove("_timestamp").unwrap().as_f64().unwrap() > 1.7e9);
            assert!(row.remove("_runtime").unwrap().as_f64().unwrap() >= 0.0);
            assert_eq!(row, *expected);
        }
    }
}

fn environment() -> Environment {
    Environment {
        actlab: "0.1.0".into(),
        rustc: "rustc".into(),
        target: "x86_64".into(),
        features: Vec::new(),
        os: "Debian".into(),
        cpu: "a processor".into(),
        cores: 2,
        memory_bytes: Some(1 << 30),
        gpu: None,
        device: "cpu".into(),
        threads: 1,
        lock_sha256: "00".into(),
        git: None,
    }
}

fn spec(seed: u64) -> RunSpec {
    RunSpec {
        activation: ActivationSpec {
            name: "gelu".into(),
            parameters: IndexMap::new(),
            label: "gelu".into(),
            fingerprint: "00".into(),
            sites: Vec::new(),
        },
        task: "images".into(),
        model: Component::named("resnet").with("depth", 20).with("width", 16),
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
            evaluate_every: None,
            patience: None,
            target_accuracy: None,
            target: None,
            divergence: None,
            site_statistics: SiteStatistics::default(),
        },
        seed,
        device: "cpu".into(),
        numerics: 2,
        trial: None,
    }
}
