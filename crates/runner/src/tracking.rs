//! Who hears of runs beside their records.

use crate::Error;
use crate::console::{self, note};
use crate::experiment::Experiment;
use crate::interrupt;
use crate::sweep_dir::SweepDir;
use record::{RunDir, StoredRun, WandbRun};
use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracking::wandb::{Environment, Mode, Settings, Wish};
use tracking::{
    Following, Leftover, Notice, Pace, RecordSource, ReportSource, Tracker, tensorboard, wandb,
};

/// After so long without success, what a sink lacks is left for later.
const PATIENCE: Duration = Duration::from_secs(60);
/// The same after Ctrl-C.
const PATIENCE_INTERRUPTED: Duration = Duration::from_secs(3);

/// Files of a sweep that its report consists of.
const REPORT_FILES: [&str; 5] =
    ["report.md", "report.html", "summary.csv", "runs.csv", "sweep.json"];

/// Sinks of a sweep.
pub(crate) struct Tracking {
    tracker: Tracker,
    wandb: Settings,
    tensorboard: bool,
    notice: Notice,
    /// Name of the sweep.
    sweep: String,
}

/// What flags, environment and experiment say of W&B.
pub(crate) fn settings(experiment: &Experiment) -> Result<Settings, Error> {
    let table = &experiment.wandb;
    resolve(&Wish {
        flag: experiment.wandb_flag,
        mode: table.mode,
        entity: table.entity.clone(),
        project: table.project.clone(),
        tags: table.tags.clone(),
    })
}

fn resolve(wish: &Wish) -> Result<Settings, Error> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let environment = Environment { variable: &variable, home: std::env::home_dir() };
    Ok(Settings::resolve(wish, &environment)?)
}

impl Tracking {
    /// Starts what `experiment` asks for; `notice` prints a line.
    pub(crate) fn start(
        experiment: &Experiment,
        wandb: Settings,
        sweep: &SweepDir,
        notice: Notice,
    ) -> Result<Self, Error> {
        let mut targets = Vec::new();
        match wandb.mode {
            Mode::Disabled => {}
            Mode::Online | Mode::Offline => {
                targets.push(wandb::target(&wandb, Pace::default(), &notice)?);
            }
        }
        if experiment.tensorboard {
            targets.push(tensorboard::target(tensorboard::folder_of(sweep.path())));
        }
        let threads = |error| Error::Usage(format!("cannot start a thread: {error}"));
        Ok(Self {
            tracker: Tracker::start(targets, &notice).map_err(threads)?,
            wandb,
            tensorboard: experiment.tensorboard,
            notice,
            sweep: experiment.name.clone(),
        })
    }

    /// Says in a line where runs are logged.
    pub(crate) fn introduce(&self, sweep: &SweepDir) {
        let Settings { mode, project, base_url, dir, .. } = &self.wandb;
        (self.notice)(&match mode {
            Mode::Online => format!(
                "W&B: logging to project {project} on {base_url} (--wandb disabled turns it off)"
            ),
            Mode::Offline => {
                format!("W&B: writing offline directories to {}", dir.display())
            }
            Mode::Disabled => "W&B: not logging; --wandb online or offline turns it on".to_owned(),
        });
        if *mode == Mode::Online && self.wandb.key_in_the_open() {
            console::warning("WANDB_BASE_URL is http: the key can be read on its way; use https");
        }
        if self.tensorboard {
            let folder = tensorboard::folder_of(sweep.path());
            (self.notice)(&format!("TensorBoard: tensorboard --logdir {}", folder.display()));
        }
    }

    /// Follows the run in `dir`, which has been begun; one that was followed before is told anew.
    pub(crate) fn follow(&self, dir: &RunDir) -> Following {
        self.tracker.follow(dir)
    }

    /// Sends what an earlier process left: of finished runs that a server knows, but not to their end.
    pub(crate) fn catch_up(&self, finished: &[RunDir]) {
        if self.wandb.mode != Mode::Online {
            return;
        }
        for dir in finished {
            let begun = |note: WandbRun| note.upload.is_some_and(|upload| !upload.complete);
            if dir.wandb().ok().flatten().is_some_and(begun) {
                self.tracker.send(|| RecordSource::finished(dir.clone()));
            }
        }
    }

    /// Sends the report of the sweep.
    pub(crate) fn report(&self, sweep: &SweepDir) {
        let (name, folder) = (&self.sweep, sweep.path());
        self.tracker.send(|| ReportSource::new(name, folder.to_owned(), &REPORT_FILES));
    }

    /// Waits until everybody has heard everything, and says what was left.
    pub(crate) fn finish(self, sweep: &SweepDir) {
        finish(self.tracker, &format!("actlab sync {}", sweep.path().display()));
    }
}

/// Waits for `tracker`; `later` is the command that sends what is left. Returns whether nothing is.
fn finish(tracker: Tracker, later: &str) -> bool {
    let began = Instant::now();
    let told = Cell::new(false);
    let pending = tracker.pending();
    let give_up = || {
        if interrupt::interrupted() {
            // An interrupted sweep leaves time for the last lines; who interrupts the waiting itself has
            // waited enough.
            return began.elapsed() >= PATIENCE_INTERRUPTED;
        }
        if began.elapsed() > Duration::from_secs(2) && !told.replace(true) {
            note!("handing over what {pending} runs have left to log; Ctrl-C leaves it for later");
        }
        false
    };
    let leftovers = tracker.finish(PATIENCE, &give_up);
    for (sink, reason, runs, saved) in by_reason(&leftovers) {
        let one = runs == 1;
        console::warning(&format!(
            "{sink}: {runs} {} not arrive: {reason}. Everything is in the {}{}; `{later}` sends the rest",
            if one { "run did" } else { "runs did" },
            if one { "record" } else { "records" },
            if saved { " and in offline directories" } else { "" },
        ));
    }
    leftovers.is_empty()
}

/// Leftovers with the same cause, counted.
fn by_reason(leftovers: &[Leftover]) -> Vec<(&str, &str, usize, bool)> {
    let mut groups: Vec<(&str, &str, usize, bool)> = Vec::new();
    for left in leftovers {
        match groups.iter_mut().find(|(sink, reason, _, saved)| {
            (*sink, *reason, *saved) == (left.sink, left.reason.as_str(), left.saved)
        }) {
            Some(group) => group.2 += 1,
            None => groups.push((left.sink, &left.reason, 1, left.saved)),
        }
    }
    groups
}

/// Uploads what `dirs` hold and the server has not.
pub(crate) fn sync(dirs: &[PathBuf]) -> Result<(), Error> {
    let settings = resolve(&Wish { flag: Some(Mode::Online), ..Wish::default() })?;
    interrupt::install();
    let notice: Notice = Arc::new(|line| note!("{line}"));
    // What is there already is sent as fast as the server takes it.
    let pace = Pace { interval: Duration::ZERO, ..Pace::default() };
    let target = wandb::target_without_fallback(&settings, pace, &notice)?;
    let mut found = Found::default();
    for dir in dirs {
        found.look_into(dir)?;
    }
    let threads = |error| Error::Usage(format!("cannot start a thread: {error}"));
    let tracker = Tracker::start(vec![target], &notice).map_err(threads)?;
    let count = found.logs.len() + found.runs.len() + found.reports.len();
    for log in &found.logs {
        tracker.send(|| log.clone());
    }
    for run in &found.runs {
        tracker.send(|| RecordSource::finished(run.clone()));
    }
    for sweep in &found.reports {
        let name = sweep.file_name().unwrap_or_default().to_string_lossy();
        tracker.send(|| ReportSource::new(&name, sweep.clone(), &REPORT_FILES));
    }
    if !finish(tracker, "the same command") {
        return Err(Error::NotSynced);
    }
    for log in &found.logs {
        log.mark_synced().map_err(Error::io("write to", log.path()))?;
    }
    let before = match found.before {
        0 => String::new(),
        n => format!("; {n} had been uploaded before"),
    };
    note!("{count} {} uploaded{before}", if count == 1 { "run" } else { "runs" });
    Ok(())
}

/// What there is to upload.
#[derive(Default)]
struct Found {
    logs: Vec<wandb::LogSource>,
    runs: Vec<RunDir>,
    /// Folders of sweeps whose report is to be uploaded.
    reports: Vec<PathBuf>,
    /// Runs that were uploaded before.
    before: usize,
}

impl Found {
    fn look_into(&mut self, dir: &Path) -> Result<(), Error> {
        if dir.join("sweep.json").exists() {
            for run in record::find_runs(&dir.join("runs"))? {
                self.add_run(run)?;
            }
            // A sweep's folder has the name of the sweep.
            if is_uploaded(&RunDir::at(dir.to_owned()))? {
                self.before += 1;
            } else if dir.join("report.md").exists() {
                // Its name is asked for, which `.` has not.
                self.reports.push(dir.canonicalize().unwrap_or_else(|_| dir.to_owned()));
            }
        } else if dir.join("record.json").exists() {
            self.add_run(RunDir::at(dir.to_owned()))?;
        } else if dir.join("spec.json").exists() {
            return Err(Error::Usage(format!(
                "{}: the run is not finished; `actlab sweep` goes on with it",
                dir.display()
            )));
        } else {
            let log = wandb::LogSource::open(dir)
                .map_err(|error| Error::Usage(format!("nothing to upload: {error}")))?;
            if log.is_synced() {
                self.before += 1;
            } else {
                self.logs.push(log);
            }
        }
        Ok(())
    }

    fn add_run(&mut self, dir: RunDir) -> Result<(), Error> {
        // That it can be read is seen now.
        StoredRun::read(dir.clone())?;
        if is_uploaded(&dir)? {
            self.before += 1;
        } else {
            self.runs.push(dir);
        }
        Ok(())
    }
}

/// Whether a server has everything of the run in `dir`.
fn is_uploaded(dir: &RunDir) -> Result<bool, Error> {
    let complete = |note: WandbRun| note.upload.is_some_and(|upload| upload.complete);
    Ok(dir.wandb()?.is_some_and(complete))
}
