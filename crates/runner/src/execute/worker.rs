//! The worker: trains one run in this process, as a job says.

use super::Job;
use crate::arm::Arm;
use crate::console::{self, outcome_words};
use crate::environment::{environment, gpu, host, peak_memory_bytes};
use crate::guard::{guard_thread, guarded};
use crate::plan::PlannedRun;
use crate::{Error, interrupt};
use actlab_core::data::Catalogue;
use actlab_core::device::reserved;
use actlab_core::{Checkpoint, DeviceSpec, Finished, FirstSteps, Monitor, Stopped, Trainer, train};
use burn::tensor::Device;
use rayon::{ThreadPool, ThreadPoolBuilder};
use record::{
    Attempt, CheckpointFile, Environment, Event, Metric, MetricsWriter, Outcome, Predictions,
    RunDir, RunLock, RunRecord, RunState, SCHEMA_VERSION, SavedRun, Start, Timing,
};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tracking::system::{Gpu, Sampler};

/// How long a worker waits for another one that still writes the same run: one whose sweep was killed stops
/// after its step.
const PATIENCE: Duration = Duration::from_secs(60);

/// The metrics stream of a run, to which the run itself and the sampler write.
type Stream = Arc<Mutex<MetricsWriter>>;

/// Trains the run of `job` and writes its record.
///
/// A run that diverges or panics leaves a record that says so. An error means that there is none: it was
/// interrupted, or nothing can be written.
pub(crate) fn work(job: &Job) -> Result<RunRecord, Error> {
    let context = &job.context;
    let numerics = actlab_core::numerics(&job.spec.device);
    if job.spec.numerics != numerics && !job.repeats {
        return Err(Error::Usage(format!(
            "the sweep wants training code {}, and this program has {numerics}: use one program for both",
            job.spec.numerics,
        )));
    }
    let devices = job.devices()?;
    let arm = Arm::of(&job.spec.activation)?;
    let catalogue = Catalogue::new(context.data_dir.clone(), context.data_folders.clone());
    let executor = Executor::new(&devices, context.threads)?;
    let load = || guarded(|| catalogue.load(&job.spec.data, &job.spec.model));
    let panics = |reason| Error::Usage(format!("{} cannot be read: {reason}", job.spec.data.name));
    let data = executor.pool.install(load).map_err(panics)??;
    if data.sha256 != job.spec.data_sha256 {
        return Err(Error::Usage(format!(
            "the files of {} are not those that the sweep began with",
            job.spec.data.name
        )));
    }
    let weights = actlab_core::model::initial_weights(&job.spec, &data, &arm.activations)?;
    if weights != job.spec.weights_sha256 {
        return Err(Error::Usage(format!(
            "the weights that {} starts from are not those of the file that the run was planned with: its SHA-256 is {}, \
             and was {}",
            job.spec.model.name,
            weights.as_deref().unwrap_or("none"),
            job.spec.weights_sha256.as_deref().unwrap_or("none")
        )));
    }
    let run = PlannedRun::new(job.spec.clone(), Arc::new(arm), Arc::new(data))?;
    let dir = job.dir();
    let _lock = lock(&dir)?;
    // Another process may have finished it while this one waited. What is wrong with a record was said before.
    if matches!(dir.outcome(), Ok(Some(Outcome::Completed | Outcome::Diverged { .. }))) {
        let record = dir.record()?;
        dir.tidy(&record);
        return Ok(record);
    }
    executor.run(&run, &dir, job)
}

fn lock(dir: &RunDir) -> Result<RunLock, Error> {
    let waiting = Instant::now();
    loop {
        if let Some(lock) = dir.lock()? {
            return Ok(lock);
        }
        if interrupt::interrupted() {
            return Err(Error::Interrupted("nothing was begun".into()));
        }
        if waiting.elapsed() > PATIENCE {
            let holder = match dir.attempt() {
                Some(attempt) => format!("process {} on {}", attempt.process, attempt.host),
                None => "another process".to_owned(),
            };
            return Err(Error::Usage(format!(
                "{holder} still works in {} after {} s: end that process first",
                dir.path().display(),
                PATIENCE.as_secs()
            )));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Where runs are computed, one after the other.
pub(crate) struct Executor {
    /// The first one trains; replicas of a network take all in turns.
    devices: Vec<Device>,
    device_spec: DeviceSpec,
    pool: ThreadPool,
}

impl Executor {
    /// On `devices`, of which there is one at least, with so many threads.
    pub(crate) fn new(devices: &[DeviceSpec], threads: usize) -> Result<Self, Error> {
        let pool = ThreadPoolBuilder::new()
            .num_threads(threads)
            .start_handler(guard_thread)
            .build()
            .map_err(|error| Error::Usage(format!("cannot start {threads} threads: {error}")))?;
        let device_spec = *devices.first().unwrap_or(&DeviceSpec::CPU);
        let devices = devices.iter().map(DeviceSpec::open).collect::<Result<_, _>>()?;
        Ok(Self { devices, device_spec, pool })
    }

    /// Trains `run` in `dir` and writes its record.
    fn run(&self, run: &PlannedRun, dir: &RunDir, job: &Job) -> Result<RunRecord, Error> {
        let context = &job.context;
        let shorter = job.goes_on_from.as_ref().map(|name| context.runs.join(name));
        let (metrics, resumed) = open(dir, run, shorter.as_deref())?;
        let after_step = resumed.as_ref().map_or(0, |resumed| resumed.checkpoint.step());
        let joules = resumed.as_ref().and_then(|resumed| resumed.joules);
        let file = resumed.as_ref().map(|resumed| resumed.file.clone());
        let mut monitor = RunMonitor {
            stream: Arc::new(Mutex::new(metrics)),
            failure: None,
            metric: run.metric.clone(),
            dir: dir.clone(),
            checkpoint_every: context.checkpoint_every,
            ends_at: run.spec.trial.map(|trial| trial.steps),
            last_checkpoint: Instant::now(),
            resumed: resumed.map(|resumed| resumed.checkpoint),
        };
        let environment = environment(self.device_spec, self.pool.current_num_threads());
        if after_step == 0 {
            let start = Start {
                sweep: context.sweep.clone(),
                parameters: run.size.parameters,
                flops: run.size.flops,
                steps: run.steps,
                metric: Some(run.metric.clone()),
                described: run.described.clone(),
                environment: environment.clone(),
            };
            monitor.write(&Event::Start(Box::new(start)))?;
        }
        let earlier = dir.attempt().filter(|_| after_step > 0);
        let attempt = Attempt {
            token: job.token.clone(),
            host: host(),
            process: std::process::id(),
            started_unix: record::now(),
            run_started_unix: earlier.map(|earlier| earlier.run_started()),
            after_step,
            steps: run.last_step(),
        };
        dir.write_attempt(&attempt)?;
        let energy = Energy { before: joules, sampler: sampler(job, &monitor.stream) };
        match self.finish(run, dir, &mut monitor, &attempt, environment, energy) {
            // What does not fit the run is not tried again.
            Err(Error::Checkpoint(reason)) => match file {
                Some(file) if file.path().parent() == Some(dir.path()) => {
                    let next = next_try(dir.checkpoints()?.len() > 1);
                    console::warning(&format!("{}: {reason}; {next}", file.path().display()));
                    file.remove()?;
                    self.run(run, dir, job)
                }
                _ => {
                    console::warning(&format!("{reason}; {}", next_try(false)));
                    dir.remove_checkpoints()?;
                    self.run(run, dir, &Job { goes_on_from: None, ..job.clone() })
                }
            },
            result => result,
        }
    }

    /// Trains the run that has been begun, and writes its record.
    fn finish(
        &self,
        run: &PlannedRun,
        dir: &RunDir,
        monitor: &mut RunMonitor,
        attempt: &Attempt,
        environment: Environment,
        energy: Energy,
    ) -> Result<RunRecord, Error> {
        let started = Instant::now();
        monitor.say(&format!(
            "{}: {} parameters, {} steps on {} with {} {}",
            run.spec.label(),
            run.size.parameters,
            run.steps,
            environment.device,
            environment.threads,
            if environment.threads == 1 { "thread" } else { "threads" },
        ))?;
        if let Some(checkpoint) = &monitor.resumed {
            let line = format!("resumes after step {}", checkpoint.step());
            monitor.say(&line)?;
        }
        let result = self.guarded(run, monitor);
        let failure = monitor.failure.take();
        let mut total_seconds = started.elapsed().as_secs_f64();
        let (outcome, summary, predictions, train_seconds, examples) = match result {
            Ok(Ok(finished)) => {
                total_seconds = finished.seconds;
                let Finished { outcome, summary, predictions, .. } = finished;
                let (seconds, examples) = (finished.train_seconds, finished.train_examples);
                (outcome, Some(summary), predictions, seconds, examples)
            }
            Ok(Err(Stopped::Interrupted)) => {
                return Err(Error::Interrupted("its sweep resumes it".into()));
            }
            Ok(Err(Stopped::Monitor(error))) => {
                return Err(failure.map_or_else(|| Error::Usage(error.to_string()), Error::Record));
            }
            Ok(Err(Stopped::Setup(error))) => return Err(error.into()),
            Ok(Err(Stopped::Checkpoint(error))) => {
                return Err(Error::Checkpoint(error.to_string()));
            }
            Err(reason) => (Outcome::Failed { reason }, None, Predictions::default(), 0.0, 0),
        };
        if !predictions.is_empty() {
            dir.write_predictions(&predictions)?;
        }
        #[expect(clippy::cast_precision_loss, reason = "for a rate")]
        let examples_per_second =
            if train_seconds > 0.0 { examples as f64 / train_seconds } else { 0.0 };
        let record = RunRecord {
            schema: SCHEMA_VERSION,
            id: run.spec.id(),
            spec: run.spec.clone(),
            outcome,
            described: run.described.clone(),
            summary,
            timing: Timing {
                started_unix: attempt.run_started(),
                ended_unix: Some(record::now()),
                total_seconds,
                train_seconds,
                examples_per_second,
                peak_memory_bytes: peak_memory_bytes(),
                device_memory_bytes: self.devices.iter().filter_map(reserved).max(),
                energy_joules: energy.joules(),
            },
            environment,
            files: BTreeMap::new(),
        };
        // No sample may follow.
        drop(energy);
        monitor.say(&outcome_words(&record))?;
        dir.finish(&record)?;
        Ok(record)
    }

    /// Trains on the pool's threads; a panic becomes its message.
    fn guarded(
        &self,
        run: &PlannedRun,
        monitor: &mut RunMonitor,
    ) -> Result<Result<Finished, Stopped>, String> {
        let trainer = self.trainer(run);
        self.pool.install(|| guarded(|| train(trainer, monitor)))
    }

    /// The first `count` training steps of `run`; a panic of its activation becomes an error.
    pub(crate) fn first_steps(&self, run: &PlannedRun, count: u64) -> Result<FirstSteps, Error> {
        self.first_steps_of(run, self.trainer(run), count)
    }

    /// Seconds that a training step of `run` takes; a panic of its activation becomes an error.
    pub(crate) fn step_seconds(&self, run: &PlannedRun) -> Result<f64, Error> {
        // The first one warms up, so that the second is timed by itself.
        let trainer = Trainer { read_every: 1, ..self.trainer(run) };
        let steps = self.first_steps_of(run, trainer, 2)?;
        Ok(steps.measured.last().map_or(0.0, |step| step.seconds))
    }

    fn first_steps_of(
        &self,
        run: &PlannedRun,
        trainer: Trainer<'_>,
        count: u64,
    ) -> Result<FirstSteps, Error> {
        match self.pool.install(|| guarded(|| actlab_core::first_steps(trainer, count))) {
            Ok(steps) => Ok(steps?),
            Err(reason) => Err(Error::Usage(format!("{}: {reason}", run.spec.label()))),
        }
    }

    fn trainer<'a>(&'a self, run: &'a PlannedRun) -> Trainer<'a> {
        let trainer = Trainer::new(&run.spec, &run.arm.activations, &run.data, &self.devices);
        Trainer { start_thread: guard_thread, ..trainer }
    }
}

/// What a run resumes from.
struct Resumed {
    checkpoint: Checkpoint,
    /// Where it lies: in the folder of the run, or of the shorter trial.
    file: CheckpointFile,
    /// Energy that it had taken.
    joules: Option<f64>,
}

/// Energy that a run takes.
struct Energy {
    /// Joules that it had taken before it was stopped and went on.
    before: Option<f64>,
    sampler: Option<Sampler>,
}

impl Energy {
    /// Joules that the run took so far, where the system tells.
    fn joules(&self) -> Option<f64> {
        let now = self.sampler.as_ref().and_then(Sampler::joules);
        [self.before, now].into_iter().flatten().reduce(|a, b| a + b)
    }
}

/// Samples the system into `stream`, where the job wants it. A run does without where the system gives no thread.
fn sampler(job: &Job, stream: &Stream) -> Option<Sampler> {
    let interval = Duration::try_from_secs_f64(job.context.system_metrics).ok()?;
    if interval.is_zero() {
        return None;
    }
    #[expect(clippy::cast_precision_loss, reason = "runs are few")]
    let runs = job.context.jobs as f64;
    let devices = std::iter::once(&job.context.device).chain(&job.context.other_devices);
    let gpus = devices.filter_map(|device| gpu(device)).map(|index| Gpu { index, runs }).collect();
    let stream = Arc::clone(stream);
    let sampler = Sampler::start(interval, gpus, move |sample| {
        // Where the disk refuses, the run itself meets it too, and says so.
        let mut stream = stream.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = stream.write(&Event::System(sample));
    });
    match sampler {
        Ok(sampler) => Some(sampler),
        Err(error) => {
            console::warning(&format!("no system metrics: cannot start a thread: {error}"));
            None
        }
    }
}

/// The metrics stream of a run that begins, or resumes from its newest checkpoint that can be read, or from
/// the end of a shorter trial of the same, in the folder `shorter`.
fn open(
    dir: &RunDir,
    run: &PlannedRun,
    shorter: Option<&Path>,
) -> Result<(MetricsWriter, Option<Resumed>), Error> {
    // Only what this very run left is resumed.
    let own = dir.spec().is_ok_and(|spec| spec == run.spec) && dir.state() == RunState::Unfinished;
    if own && let Some((metrics, resumed)) = go_on(dir, dir)? {
        return Ok((metrics, Some(resumed)));
    }
    let metrics = dir.begin(&run.spec)?;
    if let Some(shorter) = shorter.map(|path| RunDir::at(path.to_owned()))
        && let Some((metrics, resumed)) = go_on(dir, &shorter)?
    {
        return Ok((metrics, Some(resumed)));
    }
    Ok((metrics, None))
}

/// Resumes in `dir` from the newest checkpoint in `from` that can be read.
fn go_on(dir: &RunDir, from: &RunDir) -> Result<Option<(MetricsWriter, Resumed)>, Error> {
    let mut files = from.checkpoints()?.into_iter().peekable();
    while let Some(file) = files.next() {
        let saved = from.read_checkpoint(&file).map_err(|error| error.to_string());
        let saved = saved.and_then(|saved| {
            let checkpoint = usable(&file, &saved)
                .map_err(|reason| format!("{}: {reason}", file.path().display()))?;
            Ok((saved, checkpoint))
        });
        match saved {
            Ok((saved, checkpoint)) => {
                let metrics = dir.resume(&saved)?;
                let joules = dir.metrics()?.filter_map(|event| match event.ok()?.event {
                    Event::System(sample) => sample.joules(),
                    _ => None,
                });
                let joules = joules.reduce(|a, b| a + b);
                return Ok(Some((metrics, Resumed { checkpoint, file, joules })));
            }
            Err(reason) => {
                let next = next_try(files.peek().is_some());
                console::warning(&format!("{reason}; {next}"));
            }
        }
    }
    Ok(None)
}

/// What happens after a checkpoint that is of no use.
fn next_try(older: bool) -> &'static str {
    if older { "an older checkpoint is tried" } else { "the run begins anew" }
}

/// The checkpoint in `saved`, where it is of the step in its name and the metrics stream has come as far.
fn usable(file: &CheckpointFile, saved: &SavedRun) -> Result<Checkpoint, String> {
    let checkpoint =
        Checkpoint::from_bytes(&saved.checkpoint).map_err(|error| error.to_string())?;
    let step = checkpoint.step();
    if step != file.step {
        return Err(format!("it is of step {step}, and its name says step {}", file.step));
    }
    match saved.last_step() {
        Some(last) if last == step => Ok(checkpoint),
        last => {
            let last = last.map_or_else(|| "no step".to_owned(), |last| format!("step {last}"));
            Err(format!("it is of step {step}, and metrics.jsonl before it ends with {last}"))
        }
    }
}

/// Writes what a run measures.
struct RunMonitor {
    stream: Stream,
    failure: Option<record::Error>,
    metric: Metric,
    dir: RunDir,
    /// Time between checkpoints; nothing keeps none.
    checkpoint_every: Option<Duration>,
    /// The step after which a longer trial continues, which needs a checkpoint.
    ends_at: Option<u64>,
    last_checkpoint: Instant,
    resumed: Option<Checkpoint>,
}

impl RunMonitor {
    fn write(&self, event: &Event) -> Result<(), record::Error> {
        // A line is written whole or not at all, also in a panic.
        self.stream.lock().unwrap_or_else(PoisonError::into_inner).write(event)
    }

    /// A line of the run's own output.
    fn say(&self, line: &str) -> Result<(), record::Error> {
        self.write(&Event::Output { line: line.to_owned() })
    }
}

impl Monitor for RunMonitor {
    fn event(&mut self, event: &Event) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let written = self.write(event).and_then(|()| match event {
            Event::Validation(evaluation) => self.say(&format!(
                "step {}: validation loss {:.4}, {} {}",
                evaluation.step,
                evaluation.loss,
                self.metric.label,
                self.metric.shown(evaluation.value(&self.metric))
            )),
            _ => Ok(()),
        });
        if let Err(error) = written {
            let message = error.to_string();
            self.failure = Some(error);
            return Err(message.into());
        }
        Ok(())
    }

    fn interrupted(&self) -> bool {
        interrupt::interrupted()
    }

    fn resume(&mut self) -> Option<Checkpoint> {
        self.resumed.take()
    }

    fn checkpoint_due(&self) -> bool {
        self.checkpoint_every.is_some_and(|every| self.last_checkpoint.elapsed() >= every)
    }

    fn checkpoint(&mut self, step: u64, bytes: Vec<u8>) {
        if self.checkpoint_every.is_none() && self.ends_at != Some(step) {
            return;
        }
        let written = {
            let stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
            self.dir.write_checkpoint(&stream, step, &bytes)
        };
        if let Err(error) = written {
            console::warning(&format!("no checkpoint: {error}"));
        }
        self.last_checkpoint = Instant::now();
    }
}
