//! Where events come from.

use crate::event::{Document, Event, Metric, Point, Run};
use record::{
    Error, MetricsReader, Outcome, RunDir, RunRecord, RunSpec, RunState, Site, Stamped, Start,
    SystemSample,
};
use serde_json::{Map, Value, json};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// Gives the events of one run, in order.
pub trait Source: Send {
    /// Folder that belongs to the run, in which a sink may keep notes.
    fn folder(&self) -> &RunDir;

    /// The next event; nothing where there is none yet, and after [`Event::End`].
    ///
    /// # Errors
    /// If what should be there cannot be read.
    fn next(&mut self) -> Result<Option<Event>, Error>;

    /// Begins again with the first event.
    fn rewind(&mut self);
}

/// How a run that is being written has ended, if it has.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ending(Arc<AtomicI64>);

impl Ending {
    const OPEN: i64 = i64::MIN;

    pub(crate) fn open() -> Self {
        Self(Arc::new(AtomicI64::new(Self::OPEN)))
    }

    /// Nothing more is written. The first word counts.
    pub(crate) fn end(&self, exit_code: i32) {
        let code = i64::from(exit_code);
        let _ = self.0.compare_exchange(Self::OPEN, code, Ordering::AcqRel, Ordering::Acquire);
    }

    fn exit_code(&self) -> Option<i32> {
        i32::try_from(self.0.load(Ordering::Acquire)).ok()
    }
}

/// Exit code that tells of a run's outcome: a run that diverged is a result as good as any.
#[must_use]
pub fn exit_code(outcome: &Outcome) -> i32 {
    i32::from(matches!(outcome, Outcome::Failed { .. }))
}

/// Reads the record of a run, also while it is written.
#[derive(Debug)]
pub struct RecordSource {
    dir: RunDir,
    ending: Ending,
    stage: Stage,
    ready: VecDeque<Event>,
    /// Metrics of the last step: others of the same step may follow.
    point: Option<Point>,
    spec: Option<RunSpec>,
    time: f64,
    /// The run's beginning was read.
    begun: bool,
    /// Last step of training that was read.
    step: u64,
}

#[derive(Debug)]
enum Stage {
    Begin,
    Stream(Box<MetricsReader>),
    Ended,
}

impl RecordSource {
    /// The run in `dir`, which another process writes until `ending` tells of its end.
    pub(crate) fn live(dir: RunDir, ending: Ending) -> Self {
        Self {
            dir,
            ending,
            stage: Stage::Begin,
            ready: VecDeque::new(),
            point: None,
            spec: None,
            time: 0.0,
            begun: false,
            step: 0,
        }
    }

    /// The finished run in `dir`; where its record is gone, it ends as one that failed.
    #[must_use]
    pub fn finished(dir: RunDir) -> Self {
        let ending = Ending::open();
        ending.end(dir.record().map_or(1, |record| exit_code(&record.outcome)));
        Self::live(dir, ending)
    }

    /// One more event of the stream, if it is there.
    fn read(&mut self) -> Result<bool, Error> {
        if let Stage::Begin = self.stage {
            self.spec = Some(self.dir.spec()?);
            self.stage = Stage::Stream(Box::new(self.dir.metrics()?));
        }
        // Asked before reading: what is written before the end is then read before it too.
        let ended = self.ending.exit_code();
        let Stage::Stream(reader) = &mut self.stage else { return Ok(false) };
        match reader.next() {
            Some(line) => {
                let line = line?;
                self.translate(line);
                Ok(true)
            }
            None => {
                let Some(exit_code) = ended else { return Ok(false) };
                let torn = reader.torn();
                self.finish(exit_code, torn)?;
                Ok(true)
            }
        }
    }

    fn translate(&mut self, line: Stamped) {
        // A record of an earlier version has no times: a run of no length.
        let time = line.time.unwrap_or(self.time);
        self.time = time;
        if let Some((step, numbers)) = line.event.metrics() {
            let metrics = numbers.into_iter().map(|(name, value)| (name, Metric::Number(value)));
            self.add(step, time, metrics);
        }
        match line.event {
            record::Event::Start(start) => {
                self.begun = true;
                if let Some(spec) = &self.spec {
                    let run = run(spec, &start, time);
                    self.ready.push_back(Event::Start(Box::new(run)));
                }
            }
            record::Event::Train(train) => self.step = train.step,
            record::Event::Validation(_)
            | record::Event::Gradients(_)
            | record::Event::Learned(_) => {}
            record::Event::Site(site) => self.add(site.step, time, histograms(&site)),
            record::Event::System(sample) => {
                let figures = system_figures(&sample);
                self.ready.push_back(Event::System { time, figures });
            }
            record::Event::Output { line } => {
                self.ready.push_back(Event::Output { time, line });
            }
        }
    }

    fn add(&mut self, step: u64, time: f64, metrics: impl IntoIterator<Item = (String, Metric)>) {
        if self.point.as_ref().is_some_and(|point| point.step != step) {
            self.end_point();
        }
        let point = self.point.get_or_insert(Point { step, time, metrics: Vec::new() });
        for (name, metric) in metrics {
            // The epoch comes with every event of a step.
            if !point.metrics.iter().any(|(known, _)| *known == name) {
                point.metrics.push((name, metric));
            }
        }
    }

    fn end_point(&mut self) {
        self.ready.extend(self.point.take().map(Event::Point));
    }

    /// That the stream is not what a run leaves.
    fn damage(&self, what: String) -> Error {
        let source = std::io::Error::new(std::io::ErrorKind::InvalidData, what);
        Error::Io { action: "read all of", path: self.dir.path().join("metrics.jsonl"), source }
    }

    fn finish(&mut self, exit_code: i32, torn: bool) -> Result<(), Error> {
        let mut time = self.time;
        let record = match self.dir.state() {
            RunState::Finished | RunState::Damaged => Some(self.dir.record()?),
            RunState::Absent | RunState::Unfinished => None,
        };
        // A run that was stopped before it began leaves nothing to tell.
        if record.is_some() && !self.begun {
            return Err(self.damage("it does not tell of the run's beginning".to_owned()));
        }
        if let Some(record) = &record
            && record.outcome == Outcome::Completed
        {
            let steps = record.summary.as_ref().map_or(0, |summary| summary.steps);
            if torn {
                return Err(self.damage("its last line is cut off".to_owned()));
            }
            if self.step < steps {
                let reason = format!("it ends at step {} of {steps}", self.step);
                return Err(self.damage(reason));
            }
        }
        let ended = |record: &RunRecord| !matches!(record.outcome, Outcome::Failed { .. });
        if record.as_ref().is_some_and(ended) {
            self.end_point();
        } else {
            // More of its last step may follow when it is resumed, as one that failed is by the next sweep: the step is
            // then told whole.
            self.point = None;
        }
        self.stage = Stage::Ended;
        if let Some(record) = record {
            time = time.max(record.timing.ended());
            self.ready.push_back(Event::Summary(summary(&record)));
            for name in ["spec.json", "record.json"] {
                let path = self.dir.path().join(name);
                let bytes = std::fs::read(&path).map_err(|source| Error::Io {
                    action: "read",
                    path,
                    source,
                })?;
                self.ready.push_back(Event::File(Document { name: name.to_owned(), bytes }));
            }
        }
        self.ready.push_back(Event::End { exit_code, time });
        Ok(())
    }
}

impl Source for RecordSource {
    fn folder(&self) -> &RunDir {
        &self.dir
    }

    fn next(&mut self) -> Result<Option<Event>, Error> {
        while self.ready.is_empty() && self.read()? {}
        Ok(self.ready.pop_front())
    }

    fn rewind(&mut self) {
        *self = Self::live(self.dir.clone(), self.ending.clone());
    }
}

/// The report of a sweep, as a run that measures nothing and has files.
#[derive(Debug)]
pub struct ReportSource {
    dir: RunDir,
    events: Vec<Event>,
    given: usize,
}

impl ReportSource {
    /// The report of the sweep `sweep` in `folder`: `files` of it that are there.
    #[must_use]
    pub fn new(sweep: &str, folder: PathBuf, files: &[&str]) -> Self {
        let time = record::now();
        let run = Run {
            name: format!("{sweep}-report"),
            job_type: "report".to_owned(),
            group: sweep.to_owned(),
            tags: vec!["report".to_owned()],
            config: Map::from_iter([("sweep".to_owned(), sweep.into())]),
            started: time,
            environment: None,
        };
        let mut events = vec![Event::Start(Box::new(run))];
        for name in files {
            if let Ok(bytes) = std::fs::read(folder.join(name)) {
                events.push(Event::File(Document { name: (*name).to_owned(), bytes }));
            }
        }
        events.push(Event::End { exit_code: 0, time });
        Self { dir: RunDir::at(folder), events, given: 0 }
    }
}

impl Source for ReportSource {
    fn folder(&self) -> &RunDir {
        &self.dir
    }

    fn next(&mut self) -> Result<Option<Event>, Error> {
        let event = self.events.get(self.given).cloned();
        self.given += usize::from(event.is_some());
        Ok(event)
    }

    fn rewind(&mut self) {
        self.given = 0;
    }
}

/// Job type of a run whose result is reported.
pub(crate) const TRAIN: &str = "train";
/// Job type of a trial of tuning.
pub(crate) const TUNE: &str = "tune";

fn run(spec: &RunSpec, start: &Start, time: f64) -> Run {
    // What a spec holds is representable in JSON.
    let json = |value: serde_json::Result<Value>| value.unwrap_or_default();
    let described = start.described.or_names(spec);
    let config = json!({
        "activation": spec.activation.label,
        "activation_name": spec.activation.name,
        "activation_parameters": json(serde_json::to_value(&spec.activation.parameters)),
        "task": spec.task,
        "model": json(serde_json::to_value(&spec.model)),
        "model_name": described.model,
        "objective": json(serde_json::to_value(&spec.objective)),
        "data": json(serde_json::to_value(&spec.data)),
        "data_sha256": spec.data_sha256,
        "training": json(serde_json::to_value(&spec.training)),
        "seed": spec.seed,
        "device": spec.device,
        "numerics": spec.numerics,
        "run_id": spec.id().to_string(),
        "sweep": start.sweep,
        "parameters": start.parameters,
        "flops": start.flops,
        "steps": start.steps,
    });
    let Value::Object(mut config) = config else { unreachable!("an object was written above") };
    if let Some(sha256) = &spec.weights_sha256 {
        config.insert("weights_sha256".to_owned(), json!(sha256));
    }
    Run {
        name: spec.label(),
        job_type: if spec.trial.is_some() { TUNE } else { TRAIN }.to_owned(),
        group: start.sweep.clone(),
        tags: vec![spec.activation.label.clone(), spec.task.clone(), described.model],
        config,
        started: time,
        environment: Some(start.environment.clone()),
    }
}

fn number(name: &str, value: f64) -> (String, Metric) {
    (name.to_owned(), Metric::Number(value))
}

fn histograms(site: &Site) -> Vec<(String, Metric)> {
    let both = [("inputs", &site.inputs), ("outputs", &site.outputs)];
    both.into_iter()
        .filter_map(|(what, histogram)| {
            Some((site.metric(what), Metric::Histogram(histogram.clone()?)))
        })
        .collect()
}

/// The figures of a sample under the names that W&B's charts know.
#[expect(clippy::cast_precision_loss, reason = "bytes of a machine are far below 2^52")]
fn system_figures(sample: &SystemSample) -> Vec<(String, f64)> {
    const MIB: f64 = 1_048_576.0;
    let mib = |bytes: Option<u64>| bytes.map(|bytes| bytes as f64 / MIB);
    let machine = [
        ("cpu", sample.process_cpu_percent),
        ("cpu.total_percent", sample.cpu_percent),
        ("cpu.energyJoules", sample.cpu_joules),
        ("memory_percent", sample.memory_percent),
        ("proc.memory.availableMB", mib(sample.memory_available_bytes)),
        ("proc.memory.rssMB", mib(sample.process_memory_bytes)),
        ("proc.cpu.threads", sample.process_threads.map(|threads| threads as f64)),
    ];
    let mut figures: Vec<_> =
        machine.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    for gpu in &sample.gpus {
        let of_gpu = [
            ("gpu", gpu.utilization_percent),
            ("memoryAllocated", gpu.memory_percent),
            ("memoryAllocatedBytes", gpu.memory_bytes.map(|bytes| bytes as f64)),
            ("temp", gpu.temperature_celsius),
            ("powerWatts", gpu.power_watts),
            ("energyJoules", gpu.joules),
        ];
        let name = |what: &str| format!("gpu.{}.{what}", gpu.index);
        figures.extend(of_gpu.into_iter().map(|(what, value)| (name(what), value)));
    }
    figures.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

#[expect(clippy::cast_precision_loss, reason = "counts and bytes are far below 2^52")]
fn summary(record: &RunRecord) -> Vec<(String, Metric)> {
    let (outcome, reason) = match &record.outcome {
        Outcome::Completed => ("completed", None),
        Outcome::Diverged { reason, .. } => ("diverged", Some(reason)),
        Outcome::Failed { reason } => ("failed", Some(reason)),
    };
    let text = |name: &str, text: &str| (name.to_owned(), Metric::Json(text.into()));
    let mut figures = vec![text("outcome", outcome)];
    figures.extend(reason.map(|reason| text("reason", reason)));
    let mut add = |name: &str, value: Option<f64>| {
        figures.extend(value.map(|value| number(name, value)));
    };
    if let Some(summary) = &record.summary {
        for (name, evaluation) in [
            ("test", &summary.test),
            ("best_validation", &summary.best_validation),
            ("last_validation", &summary.last_validation),
        ] {
            let Some(evaluation) = evaluation else { continue };
            for (metric, value) in evaluation.metrics.iter() {
                add(&format!("{name}/{metric}"), Some(value));
            }
            add(&format!("{name}/loss"), Some(evaluation.loss));
        }
        let best = summary.best_validation.as_ref().map(|evaluation| evaluation.step as f64);
        add("best_validation/step", best);
        add("steps_to_target", summary.steps_to_target.map(|steps| steps as f64));
    }
    let timing = &record.timing;
    add("total_seconds", Some(timing.total_seconds));
    add("train_seconds", Some(timing.train_seconds));
    add("examples_per_second", Some(timing.examples_per_second));
    add("peak_memory_bytes", timing.peak_memory_bytes.map(|bytes| bytes as f64));
    let device_memory = timing.device_memory_bytes;
    add("device_memory_bytes", device_memory.map(|bytes| bytes as f64));
    add("energy_joules", timing.energy_joules);
    figures
}
