//! Runs planned runs: each in a process of its own, so that whatever happens to one costs no other.

mod active;
mod job;
pub(crate) mod launcher;
mod work;
pub(crate) mod worker;

pub(crate) use job::{Job, JobContext};
pub(crate) use work::{PlannedWork, Work};

use crate::console::SweepProgress;
use crate::environment::{cores, environment};
use crate::experiment::Experiment;
use crate::plan::PlannedRun;
use crate::tracking::Tracking;
use crate::{Error, interrupt};
use active::Active;
use actlab_core::DeviceSpec;
use launcher::{End, Launcher, LauncherKind, Limits, Local, Scope, Slurm};
use record::{Outcome, RunDir, RunRecord, RunState, SCHEMA_VERSION, Timing};
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tracking::Notice;

/// Tells one attempt at a run from all others.
pub(crate) type Token = String;

/// How often workers are looked after.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// How often their records and their memory are looked at.
pub(crate) const LOOK: Duration = Duration::from_millis(100);

/// How many runs train side by side, and with how many threads each.
///
/// Small models leave a second thread idle for much of a step, so one thread a run and as many runs
/// as processors is the fastest way through a sweep. Neither number changes a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Workers {
    pub(crate) jobs: usize,
    pub(crate) threads: usize,
    /// Whether the number is chosen here: then memory bounds it too.
    pub(crate) auto: bool,
}

impl Workers {
    /// For `runs` runs of `experiment` on `device`, where the user may have said something.
    pub(crate) fn new(device: DeviceSpec, runs: usize, experiment: &Experiment) -> Self {
        let cores = cores();
        let (jobs, threads) = (experiment.jobs.number(), experiment.threads);
        let auto = jobs.is_none();
        let jobs = jobs.unwrap_or_else(|| match (device.is_cpu(), threads) {
            (false, _) => device.places().len() / experiment.replicas(),
            (true, Some(threads)) => cores / threads.max(1),
            (true, None) => cores / experiment.replicas(),
        });
        let jobs = jobs.clamp(1, runs.max(1));
        Self { jobs, threads: threads.unwrap_or(cores / jobs).max(1), auto }
    }
}

/// Where runs are trained, and who sees it.
pub(crate) struct Execution<'a> {
    pub(crate) context: JobContext,
    pub(crate) device: DeviceSpec,
    /// How often a run whose process died is begun again.
    pub(crate) retries: u32,
    pub(crate) progress: &'a SweepProgress,
    pub(crate) tracking: &'a Tracking,
}

impl<'a> Execution<'a> {
    /// Execution of `experiment` with results below `runs`.
    pub(crate) fn new(
        experiment: &Experiment,
        runs: &Path,
        device: DeviceSpec,
        workers: Workers,
        progress: &'a SweepProgress,
        tracking: &'a Tracking,
    ) -> Self {
        let context = JobContext {
            sweep: experiment.name.clone(),
            runs: runs.to_owned(),
            device: device.to_string(),
            other_devices: Vec::new(),
            threads: workers.threads,
            jobs: match experiment.launcher {
                LauncherKind::Local => {
                    let places = device.places().len();
                    (workers.jobs * experiment.replicas().min(places)).div_ceil(places)
                }
                // A task has its device to itself.
                LauncherKind::Slurm => 1,
            },
            data_dir: experiment.data_dir.clone(),
            data_folders: experiment.data_folders.clone(),
            system_metrics: experiment.system_metrics,
            checkpoint_every: experiment.checkpoints(),
        };
        Self { context, device, retries: experiment.retries, progress, tracking }
    }

    /// Trains the runs `first`, which `work` has given, and every other that it gives, and leaves their records; a run
    /// that fails leaves one that says so. A run whose folder cannot be used is left out.
    ///
    /// # Errors
    /// If some runs failed or were left out, when all others have ended. If nothing can be written, or the user
    /// interrupts: the other runs are then stopped too, and can be resumed.
    pub(crate) fn execute(
        &self,
        first: Vec<PlannedRun>,
        work: &mut dyn Work,
        launcher: &mut dyn Launcher,
    ) -> Result<(), Error> {
        let mut schedule = Schedule {
            execution: self,
            ready: VecDeque::new(),
            active: Vec::new(),
            again: Vec::new(),
            failed: 0,
            refused: 0,
        };
        schedule.add(first);
        let result = schedule.run(work, launcher);
        self.progress.clear();
        let Schedule { failed, refused, .. } = schedule;
        match result {
            Ok(()) if failed + refused > 0 => {
                Err(Error::RunsFailed { failed, refused, runs: work.total() })
            }
            result => result,
        }
    }

    fn job(&self, run: &PlannedRun) -> Job {
        Job {
            token: token(),
            spec: run.spec.clone(),
            goes_on_from: run.goes_on_from.clone(),
            repeats: false,
            context: self.context.clone(),
        }
    }
}

fn token() -> Token {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{}-{:.6}-{count}", std::process::id(), record::now())
}

/// The launcher that `experiment` asks for.
///
/// # Errors
/// If it is not available here.
pub(crate) fn launcher(
    experiment: &Experiment,
    device: DeviceSpec,
    workers: Workers,
    notice: Notice,
) -> Result<Box<dyn Launcher>, Error> {
    let limits = Limits {
        time: experiment.time_limit.map(Duration::from_secs_f64),
        memory: experiment.memory_limit.map(|mib| mib << 20),
    };
    Ok(match experiment.launcher {
        LauncherKind::Local => {
            let local = Local::new(workers.jobs, workers.auto, limits, notice);
            let devices = device.places().iter().map(ToString::to_string).collect();
            Box::new(local.over(devices, experiment.replicas()))
        }
        LauncherKind::Slurm => {
            let mut settings = experiment.slurm.clone();
            if settings.gpus.is_none() && !device.is_cpu() {
                settings.gpus = u32::try_from(experiment.replicas()).ok();
            }
            let (name, folder) = (&experiment.name, experiment.dir());
            Box::new(Slurm::new(settings, limits, name, &folder, notice)?)
        }
    })
}

struct Schedule<'a, 'b> {
    execution: &'b Execution<'a>,
    /// The longest first: so the workers end together.
    ready: VecDeque<PlannedRun>,
    active: Vec<Active<'a>>,
    /// Runs that are begun again.
    again: Vec<Job>,
    /// Runs that have a record of failure.
    failed: usize,
    /// Runs that could not be trained and have no record.
    refused: usize,
}

impl Schedule<'_, '_> {
    fn run(&mut self, work: &mut dyn Work, launcher: &mut dyn Launcher) -> Result<(), Error> {
        // What ends the sweep, once something does.
        let mut stopping: Option<Error> = None;
        let mut looked = Instant::now();
        let mut pause = LOOK;
        loop {
            if interrupt::interrupted() && stopping.is_none() {
                launcher.stop();
                stopping = Some(Error::Interrupted(interrupt::how_to_resume()));
            }
            if stopping.is_none() {
                self.launch(launcher)?;
            }
            let mut ended = false;
            for (token, end) in launcher.ended()? {
                let Some(place) = self.active.iter().position(|one| one.token == token) else {
                    continue;
                };
                ended = true;
                if let Err(error) = self.end(place, end, work, stopping.is_some()) {
                    launcher.stop();
                    // What stopped the sweep, rather than what it stopped.
                    if stopping.as_ref().is_none_or(|old| matches!(old, Error::Interrupted(_))) {
                        stopping = Some(error);
                    }
                }
            }
            let again = std::mem::take(&mut self.again);
            if stopping.is_some() {
                let given_up = |one: &Active<'_>| again.iter().any(|job| job.token == one.token);
                for one in self.active.extract_if(.., |one| given_up(one)) {
                    one.stopped();
                }
            } else if !again.is_empty() {
                launcher.launch(&again)?;
            }
            if looked.elapsed() >= pause {
                looked = Instant::now();
                for one in &mut self.active {
                    if let Some(trouble) = one.look(self.execution.tracking) {
                        self.execution.progress.line(&format!("warning: {trouble}"));
                    }
                }
                // Thousands of runs on a slow disk must not keep this process busy.
                pause = LOOK.max(20 * looked.elapsed());
            }
            if ended && stopping.is_none() {
                let before = work.done().len();
                match work.next() {
                    Ok(runs) => {
                        self.execution.tracking.catch_up(&work.done()[before..]);
                        self.add(runs);
                    }
                    // The workers keep checkpoints before the sweep ends.
                    Err(error) => {
                        launcher.stop();
                        stopping = Some(error);
                    }
                }
                let progress = self.execution.progress;
                progress.set_totals(work.total(), work.done().len() - before);
            }
            if self.active.is_empty() && (self.ready.is_empty() || stopping.is_some()) {
                return stopping.map_or(Ok(()), Err);
            }
            if !ended {
                std::thread::sleep(TICK);
            }
        }
    }

    fn add(&mut self, runs: Vec<PlannedRun>) {
        self.ready.extend(runs);
        // Those that take about as long stay in order, so that a seed has all its arms early.
        let about = |run: &PlannedRun| (4.0 * libm::log(run.cost())).round();
        self.ready.make_contiguous().sort_by(|a, b| about(b).total_cmp(&about(a)));
    }

    fn launch(&mut self, launcher: &mut dyn Launcher) -> Result<(), Error> {
        if self.ready.is_empty() {
            return Ok(());
        }
        let room = launcher.room().min(self.ready.len());
        let mut jobs = Vec::with_capacity(room);
        for run in self.ready.drain(..room) {
            let mut job = self.execution.job(&run);
            let running = launcher.running(&run.spec.id());
            let new = running.is_none();
            job.token = running.unwrap_or(job.token);
            let progress = self.execution.progress.begin(&run);
            self.execution.tracking.expect(&job.dir());
            self.active.push(Active::new(run, &job, progress));
            if new {
                jobs.push(job);
            }
        }
        if jobs.is_empty() { Ok(()) } else { launcher.launch(&jobs) }
    }

    /// The process of a run has ended.
    fn end(
        &mut self,
        place: usize,
        end: End,
        work: &mut dyn Work,
        stopping: bool,
    ) -> Result<(), Error> {
        let tracking = self.execution.tracking;
        if stopping && end != End::Done {
            self.active.swap_remove(place).stopped();
            return Ok(());
        }
        // Whatever became of its process: a run that has its record has ended.
        let recorded = self.active[place].result(end == End::Done);
        let (reason, again, free) = match (end, recorded) {
            (_, Ok(Some(record))) => {
                self.active[place].dir().tidy_after_kill();
                self.ended(place, &record, work);
                return Ok(());
            }
            (End::Done, Ok(None)) => ("it ended without a record".to_owned(), true, false),
            (End::Done, Err(error)) => (error.to_string(), true, false),
            (End::Lost { reason }, _) => (reason, true, !self.active[place].has_begun(tracking)),
            // One that is told to stop costs no retry where it has come further, or had not yet begun: its time on a
            // cluster was over.
            (End::Stopped | End::NotStarted, _) => {
                let one = &mut self.active[place];
                let reason = match one.has_begun(tracking) {
                    true => "its process was terminated",
                    false => "its process was terminated before its turn came",
                };
                (reason.to_owned(), true, one.stops_for_free())
            }
            (End::Refused { reason, scope: Scope::Run }, _) => {
                self.refuse(place, &reason, work);
                return Ok(());
            }
            (End::Refused { reason, scope: Scope::Sweep }, _) => {
                let one = self.active.swap_remove(place);
                let label = one.run.label();
                one.stopped();
                return Err(Error::Worker { label, reason });
            }
            (End::Died { reason, again }, _) => (reason, again, false),
        };
        let one = &mut self.active[place];
        let free = free && one.may_stop_for_free();
        if again && (free || one.retries < self.execution.retries) {
            let job = self.execution.job(&one.run);
            one.again(job.token.clone(), free);
            let label = one.run.label();
            let cost = match free {
                true => ", which costs no retry".to_owned(),
                false => format!(" ({} of {} retries)", one.retries, self.execution.retries),
            };
            let line = format!("{label}: {reason}; it resumes from its last checkpoint{cost}");
            self.execution.progress.line(&line);
            self.again.push(job);
            return Ok(());
        }
        let one = &self.active[place];
        match self.execution.failure(&one.run, one.dir(), reason.clone()) {
            Ok(Some(record)) => self.ended(place, &record, work),
            Ok(None) => {
                let reason = format!("{reason}; another process still works in its folder");
                self.refuse(place, &reason, work);
            }
            Err(error) => match Error::from(error).of_a_run() {
                Error::ThisRun(error) => self.refuse(place, &error.to_string(), work),
                error => return Err(error),
            },
        }
        Ok(())
    }

    /// A run has a record.
    fn ended(&mut self, place: usize, record: &RunRecord, work: &mut dyn Work) {
        self.failed += usize::from(matches!(record.outcome, Outcome::Failed { .. }));
        work.finished(record);
        self.active.swap_remove(place).end(record, self.execution.tracking);
    }

    /// A run cannot be trained, which concerns no other one.
    fn refuse(&mut self, place: usize, reason: &str, work: &mut dyn Work) {
        self.refused += 1;
        let one = self.active.swap_remove(place);
        let label = one.run.label();
        let waits = work.refused(&one.run.spec.id());
        let waits = waits.map(|waits| format!("; {waits}")).unwrap_or_default();
        one.refused();
        self.execution.progress.line(&format!("{label}: not trained: {reason}{waits}"));
    }
}

impl Execution<'_> {
    /// Records that `run` failed without a record of its own. The answer is the record that the run then has; nothing
    /// where another process works on it.
    fn failure(
        &self,
        run: &PlannedRun,
        dir: &RunDir,
        reason: String,
    ) -> Result<Option<RunRecord>, record::Error> {
        let Some(_lock) = dir.lock()? else { return Ok(None) };
        // The process may have ended the run at the last moment.
        if let Ok(Some(Outcome::Completed | Outcome::Diverged { .. })) = dir.outcome() {
            return dir.record().map(Some);
        }
        let begun = dir.attempt();
        if matches!(dir.state(), RunState::Absent | RunState::Damaged) {
            dir.begin(&run.spec)?;
        }
        let now = record::now();
        let (started_unix, began) =
            begun.map_or((now, now), |attempt| (attempt.run_started(), attempt.started_unix));
        let record = RunRecord {
            schema: SCHEMA_VERSION,
            id: run.spec.id(),
            spec: run.spec.clone(),
            outcome: Outcome::Failed { reason },
            described: run.described.clone(),
            summary: None,
            timing: Timing {
                started_unix,
                ended_unix: Some(now),
                total_seconds: now - began,
                train_seconds: 0.0,
                examples_per_second: 0.0,
                peak_memory_bytes: None,
                device_memory_bytes: None,
                energy_joules: None,
            },
            environment: environment(self.device, self.context.threads),
            files: BTreeMap::new(),
        };
        dir.finish(&record)?;
        Ok(Some(record))
    }
}
