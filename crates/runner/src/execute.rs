//! Runs one planned run and leaves its record.

use crate::console::SweepProgress;
use crate::environment::{environment, peak_memory_bytes};
use crate::plan::PlannedRun;
use crate::{Error, interrupt};
use actlab_core::device::panic_message;
use actlab_core::{DeviceSpec, Finished, Monitor, Stopped, Trainer, train};
use burn::tensor::Device;
use rayon::{ThreadPool, ThreadPoolBuilder};
use record::{Event, MetricsWriter, Outcome, RunDir, RunRecord, SCHEMA_VERSION, Timing};
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Where runs are computed.
pub(crate) struct Executor {
    device: Device,
    device_spec: DeviceSpec,
    pool: ThreadPool,
}

thread_local! {
    /// Where the last panic of this thread happened.
    static PANIC_PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

impl Executor {
    /// Opens the device; `threads` is all processors where absent.
    pub(crate) fn new(device: DeviceSpec, threads: Option<usize>) -> Result<Self, Error> {
        let threads = threads.unwrap_or_else(crate::environment::cores);
        let pool = ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .map_err(|error| Error::Usage(format!("cannot start {threads} threads: {error}")))?;
        // A run that panics is recorded with its reason; the default hook would print a trace as well.
        std::panic::set_hook(Box::new(|info| {
            let place = info.location().map(ToString::to_string);
            PANIC_PLACE.with(|cell| *cell.borrow_mut() = place);
        }));
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
        progress: &mut SweepProgress,
    ) -> Result<RunRecord, Error> {
        let started = Instant::now();
        let started_unix =
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64());
        let dir = RunDir::of(runs, &run.spec);
        let mut monitor = RunMonitor {
            metrics: dir.begin(&run.spec)?,
            progress,
            batch: run.spec.training.batch_size,
            failure: None,
        };
        let result = self.guarded(run, &mut monitor);
        let failure = monitor.failure.take();
        monitor.metrics.flush()?;
        let (outcome, summary, predictions, train_seconds, examples) = match result {
            Ok(Ok(finished)) => {
                let Finished { outcome, summary, predictions, train_seconds, train_examples } = finished;
                (outcome, Some(summary), predictions, train_seconds, train_examples)
            }
            Ok(Err(Stopped::Interrupted)) => {
                return Err(Error::Interrupted("the same command goes on from there".into()));
            }
            Ok(Err(Stopped::Monitor(error))) => {
                return Err(failure.map_or_else(|| Error::Usage(error.to_string()), Error::Record));
            }
            Ok(Err(Stopped::Setup(error))) => return Err(error.into()),
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
                total_seconds: started.elapsed().as_secs_f64(),
                train_seconds,
                examples_per_second,
                peak_memory_bytes: peak_memory_bytes(),
            },
            environment: environment(self.device_spec, self.pool.current_num_threads()),
        };
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
        let train = || {
            catch_unwind(AssertUnwindSafe(|| train(trainer, monitor))).map_err(|panic| {
                let place = PANIC_PLACE.with(|cell| cell.borrow_mut().take());
                let place = place.map(|place| format!(" at {place}")).unwrap_or_default();
                format!("panic{place}: {}", panic_message(&*panic))
            })
        };
        self.pool.install(train)
    }

    /// Seconds that a training step of `run` takes.
    pub(crate) fn measure_step(&self, run: &PlannedRun) -> Result<f64, Error> {
        let trainer = self.trainer(run);
        Ok(self.pool.install(|| actlab_core::measure_step(trainer))?)
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

/// Writes what a run measures, and shows it.
struct RunMonitor<'a> {
    metrics: MetricsWriter,
    progress: &'a mut SweepProgress,
    batch: usize,
    failure: Option<record::Error>,
}

impl Monitor for RunMonitor<'_> {
    fn event(&mut self, event: &Event) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let written = self.metrics.write(event).and_then(|()| match event {
            // An evaluation ends a stretch of work: what was measured so far is handed over.
            Event::Validation(_) => self.metrics.flush(),
            _ => Ok(()),
        });
        if let Err(error) = written {
            let message = error.to_string();
            self.failure = Some(error);
            return Err(message.into());
        }
        match event {
            Event::Train(step) => self.progress.step(step, self.batch),
            Event::Validation(evaluation) => self.progress.validation(*evaluation),
            Event::Site(_) => {}
        }
        Ok(())
    }

    fn interrupted(&self) -> bool {
        interrupt::interrupted()
    }
}
