//! Runs planned runs, some of them side by side, and leaves their records.

use crate::console::{RunProgress, SweepProgress, outcome_words};
use crate::environment::{cores, environment, peak_memory_bytes};
use crate::guard::{guard_thread, guarded};
use crate::plan::PlannedRun;
use crate::tracking::{Stream, Tracked, Tracking};
use crate::{Error, console, interrupt};
use actlab_core::device::panic_message;
use actlab_core::{Checkpoint, DeviceSpec, Finished, Monitor, Stopped, Trainer, train};
use burn::tensor::Device;
use rayon::{ThreadPool, ThreadPoolBuilder};
use record::{
    Environment, Event, MetricsWriter, Outcome, RunDir, RunRecord, RunState, SCHEMA_VERSION, Start,
    Timing,
};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How many runs go on side by side, and with how many threads each.
///
/// Small models leave a second thread idle for much of a step, so one thread a run and as many runs
/// as processors is the fastest way through a sweep. Neither number changes a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Workers {
    pub(crate) jobs: usize,
    pub(crate) threads: usize,
}

impl Workers {
    /// For `runs` runs on `device`, where the user may have said something.
    pub(crate) fn new(
        device: DeviceSpec,
        runs: usize,
        jobs: Option<usize>,
        threads: Option<usize>,
    ) -> Self {
        let cores = cores();
        let jobs = jobs.unwrap_or_else(|| match (device.is_cpu(), threads) {
            (false, _) => 1,
            (true, Some(threads)) => cores / threads.max(1),
            (true, None) => cores,
        });
        let jobs = jobs.clamp(1, runs.max(1));
        Self { jobs, threads: threads.unwrap_or(cores / jobs).max(1) }
    }
}

/// Trains every run of `runs` and writes its record below `dir`; runs are taken in order.
///
/// # Errors
/// If nothing can be written, or the user interrupts: the other runs are then stopped too.
pub(crate) fn execute(
    runs: &[&PlannedRun],
    dir: &Path,
    device: DeviceSpec,
    workers: Workers,
    progress: &SweepProgress,
    tracking: &Tracking,
    checkpoint_every: Option<Duration>,
) -> Result<(), Error> {
    let next = AtomicUsize::new(0);
    let stop = AtomicBool::new(false);
    let work = || -> Result<(), Error> {
        let _stop = StopOnPanic(&stop);
        let executor = Executor::new(device, workers.threads)?;
        while !stop.load(Ordering::Relaxed) {
            let Some(run) = runs.get(next.fetch_add(1, Ordering::Relaxed)) else { break };
            executor
                .run(run, dir, progress.begin(run), &stop, tracking, checkpoint_every)
                .inspect_err(|_| stop.store(true, Ordering::Relaxed))?;
        }
        Ok(())
    };
    let results: Vec<Result<(), Error>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers.jobs).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .map(|thread| {
                thread.join().unwrap_or_else(|panic| {
                    Err(Error::Usage(format!("a worker failed: {}", panic_message(&*panic))))
                })
            })
            .collect()
    });
    progress.clear();
    // What stopped the sweep, rather than what it stopped.
    let mut errors: Vec<Error> = results.into_iter().filter_map(Result::err).collect();
    errors.sort_by_key(|error| matches!(error, Error::Interrupted(_)));
    errors.into_iter().next().map_or(Ok(()), Err)
}

/// Stops the other workers when this one panics, which no worker should.
struct StopOnPanic<'a>(&'a AtomicBool);

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

/// Where runs are computed, one after the other.
pub(crate) struct Executor {
    device: Device,
    device_spec: DeviceSpec,
    pool: ThreadPool,
}

impl Executor {
    pub(crate) fn new(device: DeviceSpec, threads: usize) -> Result<Self, Error> {
        let pool = ThreadPoolBuilder::new()
            .num_threads(threads)
            .start_handler(guard_thread)
            .build()
            .map_err(|error| Error::Usage(format!("cannot start {threads} threads: {error}")))?;
        Ok(Self { device: device.open()?, device_spec: device, pool })
    }

    /// Trains `run` and writes its record below `runs`.
    ///
    /// A run that diverges or panics leaves a record that says so. An error means that the sweep
    /// cannot go on: it was interrupted, or nothing can be written.
    pub(crate) fn run(
        &self,
        run: &PlannedRun,
        runs: &Path,
        progress: RunProgress<'_>,
        stop: &AtomicBool,
        tracking: &Tracking,
        checkpoint_every: Option<Duration>,
    ) -> Result<RunRecord, Error> {
        let dir = RunDir::of(runs, &run.spec);
        let (metrics, resumed) = open(&dir, run)?;
        let stream: Stream = Arc::new(Mutex::new(metrics));
        let mut monitor = RunMonitor {
            stream,
            progress,
            stop,
            failure: None,
            dir: dir.clone(),
            checkpoint_every,
            last_checkpoint: Instant::now(),
            resumed: resumed.as_ref().map(|resumed| resumed.checkpoint.clone()),
        };
        let environment = environment(self.device_spec, self.pool.current_num_threads());
        if let Some(resumed) = &resumed {
            monitor.progress.resume(resumed.checkpoint.step());
        } else {
            let start = Start {
                sweep: tracking.sweep.clone(),
                parameters: run.size.parameters,
                flops: run.size.flops,
                steps: run.steps,
                environment: environment.clone(),
            };
            monitor.write(&Event::Start(Box::new(start)))?;
        }
        let mut tracked = tracking.follow(&dir, &monitor.stream, &environment.device);
        tracked.joules_before = resumed.and_then(|resumed| resumed.joules);
        let result = self.finish(run, &dir, &mut monitor, environment, &tracked);
        tracked.end(match &result {
            Ok(record) => tracking::exit_code(&record.outcome),
            Err(error) => error.exit_code().into(),
        });
        let record = result?;
        monitor.progress.end(&record);
        Ok(record)
    }

    /// Trains the run that has been begun, and writes its record.
    fn finish(
        &self,
        run: &PlannedRun,
        dir: &RunDir,
        monitor: &mut RunMonitor<'_>,
        environment: Environment,
        tracked: &Tracked,
    ) -> Result<RunRecord, Error> {
        let started = Instant::now();
        let started_unix = record::now();
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
            let line = format!("goes on after step {}", checkpoint.step());
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
                return Err(Error::Interrupted("the same command goes on from there".into()));
            }
            Ok(Err(Stopped::Monitor(error))) => {
                return Err(failure.map_or_else(|| Error::Usage(error.to_string()), Error::Record));
            }
            Ok(Err(Stopped::Setup(error))) => return Err(error.into()),
            Ok(Err(Stopped::Checkpoint(error))) => {
                return Err(Error::Usage(format!(
                    "{}: {error}: delete its checkpoints to begin anew",
                    dir.path().display()
                )));
            }
            Err(reason) => (Outcome::Failed { reason }, None, Vec::new(), 0.0, 0),
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
            summary,
            timing: Timing {
                started_unix,
                total_seconds,
                train_seconds,
                examples_per_second,
                peak_memory_bytes: peak_memory_bytes(),
                energy_joules: tracked.joules(),
            },
            environment,
        };
        monitor.say(&outcome_words(&record))?;
        dir.finish(&record)?;
        Ok(record)
    }

    /// Trains on the pool's threads; a panic becomes its message.
    fn guarded(
        &self,
        run: &PlannedRun,
        monitor: &mut RunMonitor<'_>,
    ) -> Result<Result<Finished, Stopped>, String> {
        let trainer = self.trainer(run);
        self.pool.install(|| guarded(|| train(trainer, monitor)))
    }

    /// Seconds that a training step of `run` takes; a panic of its activation becomes an error.
    pub(crate) fn measure_step(&self, run: &PlannedRun) -> Result<f64, Error> {
        let trainer = self.trainer(run);
        match self.pool.install(|| guarded(|| actlab_core::measure_step(trainer))) {
            Ok(seconds) => Ok(seconds?),
            Err(reason) => Err(Error::Usage(format!("{}: {reason}", run.spec.label()))),
        }
    }

    fn trainer<'a>(&'a self, run: &'a PlannedRun) -> Trainer<'a> {
        Trainer {
            spec: &run.spec,
            activation: &run.activation,
            data: &run.data,
            device: &self.device,
        }
    }
}

/// What a run goes on from.
struct Resumed {
    checkpoint: Arc<Checkpoint>,
    /// Energy that it had taken.
    joules: Option<f64>,
}

/// The metrics stream of a run that begins, or goes on from its newest checkpoint that can be read.
fn open(dir: &RunDir, run: &PlannedRun) -> Result<(MetricsWriter, Option<Resumed>), Error> {
    // Only what this very run left is gone on with.
    if dir.spec().is_ok_and(|spec| spec == run.spec) && dir.state() == RunState::Unfinished {
        for file in dir.checkpoints()? {
            let checkpoint = file.read().map_err(|error| error.to_string()).and_then(|bytes| {
                Checkpoint::from_bytes(&bytes).map_err(|error| error.to_string())
            });
            match checkpoint {
                Ok(checkpoint) => {
                    let metrics = dir.resume(&file)?;
                    let joules = dir.metrics()?.filter_map(|event| match event.ok()?.event {
                        Event::System(sample) => sample.joules(),
                        _ => None,
                    });
                    let joules = joules.reduce(|a, b| a + b);
                    return Ok((
                        metrics,
                        Some(Resumed { checkpoint: Arc::new(checkpoint), joules }),
                    ));
                }
                Err(reason) => {
                    console::warning(&format!("{}: {reason}", file.path().display()));
                }
            }
        }
    }
    Ok((dir.begin(&run.spec)?, None))
}

/// Writes what a run measures, and shows it.
struct RunMonitor<'a> {
    stream: Stream,
    progress: RunProgress<'a>,
    /// Another run met something that ends the sweep.
    stop: &'a AtomicBool,
    failure: Option<record::Error>,
    dir: RunDir,
    /// Time between checkpoints; nothing keeps none.
    checkpoint_every: Option<Duration>,
    last_checkpoint: Instant,
    resumed: Option<Arc<Checkpoint>>,
}

impl RunMonitor<'_> {
    fn write(&self, event: &Event) -> Result<(), record::Error> {
        // A line is written whole or not at all, whoever panics.
        self.stream.lock().unwrap_or_else(PoisonError::into_inner).write(event)
    }

    /// A line of the run's own output.
    fn say(&self, line: &str) -> Result<(), record::Error> {
        self.write(&Event::Output { line: line.to_owned() })
    }
}

impl Monitor for RunMonitor<'_> {
    fn event(&mut self, event: &Event) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let written = self.write(event).and_then(|()| match event {
            Event::Validation(evaluation) => self.say(&format!(
                "step {}: validation loss {:.4}, accuracy {:.2} %",
                evaluation.step,
                evaluation.loss,
                100.0 * evaluation.accuracy
            )),
            _ => Ok(()),
        });
        if let Err(error) = written {
            let message = error.to_string();
            self.failure = Some(error);
            return Err(message.into());
        }
        match event {
            Event::Train(step) => self.progress.step(step),
            Event::Validation(evaluation) => self.progress.validation(*evaluation),
            _ => {}
        }
        Ok(())
    }

    fn interrupted(&self) -> bool {
        interrupt::interrupted() || self.stop.load(Ordering::Relaxed)
    }

    fn resume(&mut self) -> Option<Checkpoint> {
        self.resumed.take().map(Arc::unwrap_or_clone)
    }

    fn checkpoint_due(&self) -> bool {
        self.checkpoint_every.is_some_and(|every| self.last_checkpoint.elapsed() >= every)
    }

    fn checkpoint(&mut self, step: u64, bytes: Vec<u8>) {
        if self.checkpoint_every.is_none() {
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
