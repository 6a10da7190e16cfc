//! Who hears of runs beside their records.

use crate::Error;
use crate::console::{self, note};
use crate::experiment::Experiment;
use crate::interrupt;
use crate::sweep_dir::SweepDir;
use record::{RunDir, RunState, StoredRun, WandbRun};
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
    for (name, value) in std::env::vars_os() {
        let name = name.to_string_lossy();
        // Taken for unset, it would change where a run is logged.
        if (name.starts_with("WANDB_") || name == "NETRC") && value.to_str().is_none() {
            return Err(Error::Usage(format!("environment variable {name}: is not UTF-8 text")));
        }
    }
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
        if *mode == Mode::Online {
            warn_of_open_key(&self.wandb);
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

    /// Sends what an earlier process left of finished runs: to W&B's server the rest of those that it knows,
    /// but not to their end, and to TensorBoard those that it lacks.
    pub(crate) fn catch_up(&self, finished: &[RunDir], sweep: &SweepDir) {
        if self.wandb.mode == Mode::Online {
            let begun = |note: WandbRun| note.upload.is_some_and(|upload| !upload.complete);
            for dir in finished {
                if dir.wandb().ok().flatten().is_some_and(begun) {
                    self.tracker.send_to(wandb::NAME, RecordSource::finished(dir.clone()));
                }
            }
        }
        if self.tensorboard {
            let folder = tensorboard::folder_of(sweep.path());
            let lacking = |dir: &&RunDir| !tensorboard::is_complete(&folder, dir);
            let lacking: Vec<_> = finished.iter().filter(lacking).collect();
            if !lacking.is_empty() {
                let n = lacking.len();
                let runs = if n == 1 { "run" } else { "runs" };
                (self.notice)(&format!("TensorBoard: writing event files of {n} finished {runs}"));
            }
            for dir in lacking {
                self.tracker.send_to(tensorboard::NAME, RecordSource::finished(dir.clone()));
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
        let later = format!("actlab sync {}", sweep.path().display());
        drop(finish(self.tracker, &later));
    }
}

fn warn_of_open_key(settings: &Settings) {
    if settings.key_in_the_open() {
        console::warning("WANDB_BASE_URL is http: the key can be read on its way; use https");
    }
}

/// Waits for `tracker`; `later` is the command that sends W&B what is left, which is returned.
fn finish(tracker: Tracker, later: &str) -> Vec<Leftover> {
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
    for (left, runs) in by_reason(&leftovers) {
        console::warning(&said_of(left, runs, later));
    }
    leftovers
}

/// What is said of `runs` runs that did not arrive as `left` did not.
fn said_of(left: &Leftover, runs: usize, later: &str) -> String {
    let one = runs == 1;
    let Leftover { sink, reason, .. } = left;
    let said =
        format!("{sink}: {runs} {} not arrive: {reason}", if one { "run did" } else { "runs did" });
    if left.damaged {
        return said;
    }
    let record = if one { "record" } else { "records" };
    let place = if left.saved { " and in offline directories" } else { "" };
    let then = if *sink == tensorboard::NAME {
        "the same sweep with --tensorboard writes".to_owned()
    } else {
        format!("`{later}` sends")
    };
    format!("{said}. Everything is in the {record}{place}; {then} the rest")
}

/// Leftovers with the same cause: the first of them, and how many they are.
fn by_reason(leftovers: &[Leftover]) -> Vec<(&Leftover, usize)> {
    let mut groups: Vec<(&Leftover, usize)> = Vec::new();
    for left in leftovers {
        let cause = |left: &Leftover| (left.sink, left.reason.clone(), left.saved, left.damaged);
        match groups.iter_mut().find(|(first, _)| cause(first) == cause(left)) {
            Some(group) => group.1 += 1,
            None => groups.push((left, 1)),
        }
    }
    groups
}

/// Uploads what `dirs` hold and the server has not.
pub(crate) fn sync(dirs: &[PathBuf]) -> Result<(), Error> {
    let settings = resolve(&Wish { flag: Some(Mode::Online), ..Wish::default() })?;
    warn_of_open_key(&settings);
    interrupt::install();
    let notice: Notice = Arc::new(|line| note!("{line}"));
    // What is there already is sent as fast as the server takes it.
    let pace = Pace { interval: Duration::ZERO, ..Pace::default() };
    let target = wandb::target_without_fallback(&settings, pace, &notice)?;
    let mut found = Found::default();
    for dir in dirs {
        found.look_into(dir)?;
    }
    for reason in &found.damaged {
        console::warning(&format!("not uploaded: {reason}"));
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
    let left = finish(tracker, "the same command");
    let arrived = |path: &Path| left.iter().all(|left| left.folder != path);
    for log in found.logs.iter().filter(|log| arrived(log.path())) {
        log.mark_synced().map_err(Error::io("write to", log.path()))?;
    }
    let before = match found.before {
        0 => String::new(),
        n => format!("; {n} had been uploaded before"),
    };
    let missing = left.len() + found.damaged.len();
    let not = if missing == 0 { String::new() } else { format!(", {missing} not") };
    let uploaded = count.saturating_sub(left.len());
    note!("{uploaded} {} uploaded{not}{before}", if uploaded == 1 { "run" } else { "runs" });
    if missing == 0 { Ok(()) } else { Err(Error::NotSynced) }
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
    /// What cannot be read, and why.
    damaged: Vec<String>,
}

impl Found {
    fn look_into(&mut self, dir: &Path) -> Result<(), Error> {
        if dir.join("sweep.json").exists() {
            for (run, state) in record::find_all_runs(&dir.join("runs"))? {
                // One that is damaged is named.
                match (state, run.outcome()) {
                    (RunState::Damaged, Err(error)) => self.damaged.push(error.to_string()),
                    (RunState::Finished | RunState::Damaged, _) => self.add_run(run),
                    (RunState::Absent | RunState::Unfinished, _) => {}
                }
            }
            // A sweep's folder has the name of the sweep.
            if self.is_new(&RunDir::at(dir.to_owned())) && dir.join("report.md").exists() {
                // Its name is asked for, which `.` has not.
                self.reports.push(dir.canonicalize().unwrap_or_else(|_| dir.to_owned()));
            }
        } else if dir.join("record.json").exists() {
            self.add_run(RunDir::at(dir.to_owned()));
        } else if dir.join("spec.json").exists() {
            return Err(Error::Usage(format!(
                "{}: the run is not finished; `actlab sweep` goes on with it",
                dir.display()
            )));
        } else {
            match wandb::LogSource::open(dir) {
                Ok(log) if log.is_synced() => self.before += 1,
                Ok(log) => self.logs.push(log),
                Err(error) if wandb::LogSource::is_one(dir) => self.damaged.push(error.to_string()),
                Err(error) => return Err(Error::Usage(format!("nothing to upload: {error}"))),
            }
        }
        Ok(())
    }

    fn add_run(&mut self, dir: RunDir) {
        // That it can be read is seen now.
        let read = StoredRun::read(dir.clone()).and_then(|run| run.timeline(0));
        match read {
            Ok(_) if self.is_new(&dir) => self.runs.push(dir),
            Ok(_) => {}
            Err(error) => self.damaged.push(error.to_string()),
        }
    }

    /// Whether the server lacks something of the run in `dir`; where it does not, or nobody knows, that is
    /// counted.
    fn is_new(&mut self, dir: &RunDir) -> bool {
        let complete = |note: WandbRun| note.upload.is_some_and(|upload| upload.complete);
        match dir.wandb().map(|note| note.is_some_and(complete)) {
            Ok(false) => return true,
            Ok(true) => self.before += 1,
            Err(error) => self.damaged.push(error.to_string()),
        }
        false
    }
}
