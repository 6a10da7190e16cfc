//! The folder of a sweep: its runs, what belongs to it, and which process works in it.

mod loose;
mod manifest;

use manifest::RegistrationNote;
pub(crate) use manifest::{ConfirmsNote, Manifest, TrialNote, TuningNote};

use crate::Error;
use crate::arm::Arm;
use crate::console;
use crate::environment::{host, write_diff};
use crate::guard::guarded;
use crate::invocation;
use crate::plan::PlannedRun;
use crate::shell;
use crate::tune::Score;
use analysis::{Commands, Report, ReportOptions, Shape};
use rayon::iter::{IntoParallelRefIterator, ParallelIterator};
use record::{
    ActivationSpec, HeldLocks, Outcome, RunDir, RunId, RunState, StoredRun, any_run_has_ended,
    is_same_file, look_at_runs, open_lock, read_file, write_atomically,
};
use std::collections::{HashMap, HashSet};
use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Whether the run has a record that counts. A record that is damaged, of another run or of another schema does not:
/// the run is trained again. Nor does one of a failure, whose cause may have been removed.
pub(crate) fn is_done(dir: &RunDir) -> bool {
    counts(dir.outcome())
}

/// The folders of `all` below `runs`, and for each whether [`is_done`]. Several threads read.
pub(crate) fn which_are_done(all: &[PlannedRun], runs: &Path) -> Vec<(RunDir, bool)> {
    let look = |run: &PlannedRun| {
        let dir = run.dir(runs);
        let outcome = dir.outcome();
        (dir, outcome)
    };
    let found: Vec<_> = all.par_iter().map(look).collect();
    // Warnings are in the order of the runs.
    found.into_iter().map(|(dir, outcome)| (dir, counts(outcome))).collect()
}

fn counts(outcome: Result<Option<Outcome>, record::Error>) -> bool {
    match outcome {
        Ok(outcome) => outcome.is_some_and(|outcome| !matches!(outcome, Outcome::Failed { .. })),
        // A worker refuses a run whose record cannot be read, which may be whole.
        Err(error @ record::Error::Io { .. }) => {
            console::warning(&error.to_string());
            false
        }
        Err(error) => {
            console::warning(&format!("{error}; the run is trained again"));
            false
        }
    }
}

/// File whose lock is held while runs are written; it says who holds it.
const LOCK: &str = ".lock";

/// A sweep's folder.
#[derive(Debug, Clone)]
pub(crate) struct SweepDir {
    path: PathBuf,
}

/// Held while runs are written; the system frees it when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

/// What a report was made from.
pub(crate) struct Reported {
    pub(crate) runs: Vec<StoredRun>,
    pub(crate) report: Report,
    /// Finished runs in the folder that are not of this sweep.
    pub(crate) strangers: Vec<RunDir>,
    /// Runs of this sweep that are not finished.
    pub(crate) missing: usize,
    /// Records of this sweep that are left out, and why.
    pub(crate) skipped: Vec<String>,
}

/// Runs in the folder of a sweep.
#[derive(Default)]
struct Found {
    /// Finished ones that the sweep reports, and what they are where that was read.
    ours: Vec<(RunDir, Option<Box<StoredRun>>)>,
    /// Finished trials of tuning, and finished runs that the sweep may come to again.
    trials: Vec<RunDir>,
    /// Finished ones that are not of the sweep.
    strangers: Vec<RunDir>,
    unfinished: Vec<RunDir>,
    /// Runs of the sweep with a file in the place of their record that is none.
    damaged: Vec<RunDir>,
}

/// Which process works in the folder of a sweep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Holder {
    None,
    /// One of this machine.
    Process(String),
    /// One of another machine was the last; whether it still works cannot be seen from here.
    Elsewhere(String),
}

/// How far a sweep has come.
pub(crate) struct Progress {
    /// Runs of the sweep that are finished, trials too.
    pub(crate) finished: usize,
    /// Those of them that failed: the next sweep trains them again.
    pub(crate) failed: usize,
    /// Its runs, as many as they may become.
    pub(crate) runs: usize,
    /// Runs that have begun and not ended, of this sweep or an earlier form of it.
    pub(crate) unfinished: Vec<RunDir>,
    /// Runs of the sweep with a file in the place of their record that is none.
    pub(crate) damaged: Vec<RunDir>,
}

/// What the folder of a sweep holds.
struct Records {
    runs: Vec<StoredRun>,
    /// Finished trials.
    trials: Vec<RunDir>,
    /// Records that are left out, and why.
    skipped: Vec<String>,
    /// Finished runs that do not belong here.
    strangers: Vec<RunDir>,
}

impl SweepDir {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether a report is there.
    pub(crate) fn has_report(&self) -> bool {
        ["report.md", "report.html"].iter().all(|name| self.path.join(name).is_file())
    }

    /// Where the runs lie.
    pub(crate) fn runs(&self) -> PathBuf {
        self.path.join("runs")
    }

    /// Creates the folder, and keeps other processes out of it.
    pub(crate) fn lock(&self) -> Result<Lock, Error> {
        fs::create_dir_all(self.runs()).map_err(Error::io("create", &self.runs()))?;
        let path = self.path.join(LOCK);
        // Not emptied before it is ours: it says who holds it.
        let mut file = open_lock(&path).map_err(Error::io("write", &path))?;
        match file.try_lock() {
            // The folder may have been removed and made again since it was opened.
            Ok(()) if !is_same_file(&file, &path) => self.lock(),
            Ok(()) => {
                let _ = file.set_len(0);
                // For the message of a second process. It may be missing.
                let _ = writeln!(file, "process {} on {}", std::process::id(), host());
                Ok(Lock { _file: file })
            }
            Err(TryLockError::WouldBlock) => {
                let holder = read_text(&path).unwrap_or_default();
                let holder = match holder.trim() {
                    "" => String::new(),
                    holder => format!(" ({holder})"),
                };
                Err(Error::Usage(format!(
                    "another actlab{holder} is running in {}: wait for it, or choose another folder with --output",
                    self.path.display()
                )))
            }
            Err(TryLockError::Error(source)) => Err(Error::io("lock", &path)(source)),
        }
    }

    /// Says which runs belong to the sweep, of which not all are known yet: what an earlier process knew of the same
    /// experiment stays part of it, since decisions that are made again lead there again.
    pub(crate) fn write_manifest_so_far(&self, manifest: &Manifest) -> Result<(), Error> {
        let before = self.manifest().ok();
        let before = before.filter(|before| before.experiment == manifest.experiment);
        let Some(before) = before else { return self.write_manifest(manifest) };
        let known: HashSet<&RunId> = manifest.runs.iter().chain(manifest.trials()).collect();
        let mut earlier: Vec<RunId> =
            before.all_runs().filter(|id| !known.contains(id)).cloned().collect();
        earlier.sort_unstable();
        earlier.dedup();
        self.write_manifest(&Manifest { earlier, ..manifest.clone() })
    }

    /// Says which runs belong to the sweep.
    ///
    /// The experiment as it was before the first run ended stays in it.
    pub(crate) fn write_manifest(&self, manifest: &Manifest) -> Result<(), Error> {
        write_diff(&self.path)?;
        let before = self.manifest().ok().and_then(|before| before.registration);
        let seen = any_run_has_ended(&self.runs())?;
        let now = || RegistrationNote {
            sha256: record::json_sha256(manifest.experiment.clone()),
            experiment: manifest.experiment.clone(),
        };
        // Once results can be seen, nothing is registered any more.
        let registration = if seen { before } else { Some(now()) };
        let manifest = Manifest { registration, ..manifest.clone() };
        let json = serde_json::to_vec_pretty(&manifest).unwrap_or_default();
        Ok(write_atomically(&self.path.join("sweep.json"), &json)?)
    }

    /// What the sweep is.
    pub(crate) fn manifest(&self) -> Result<Manifest, Error> {
        let path = self.path.join("sweep.json");
        let text = read_text(&path).map_err(|error| self.no_sweep(&path, &error))?;
        serde_json::from_str(&text)
            .map_err(|error| Error::Usage(format!("{} is damaged: {error}", path.display())))
    }

    /// The report of the runs that are finished; nothing where there is none. With `baselines`, the first takes the place of
    /// the experiment's, and the others are compared with as well.
    pub(crate) fn make_report(
        &self,
        width: usize,
        baselines: &[String],
    ) -> Result<Option<Reported>, Error> {
        let manifest = self.shown_manifest()?;
        if let Some(unknown) = baselines.iter().find(|one| !manifest.activations.contains(one)) {
            return Err(Error::Usage(format!(
                "--baseline {unknown}: no activation of {} has this name; it has {}",
                self.path.display(),
                manifest.activations.join(", ")
            )));
        }
        let Records { runs, trials, skipped, strangers } = self.read(&manifest)?;
        if runs.is_empty() {
            skipped.iter().for_each(|line| console::warning(&format!("left out: {line}")));
            return Ok(None);
        }
        let mut shapes = shapes(&runs);
        let place = |shape: &Shape| manifest.activations.iter().position(|one| *one == shape.label);
        shapes.sort_by_key(place);
        let tuning = manifest.tuning.as_ref().map(|note| tuning(note, trials));
        let missing = manifest.runs.len().saturating_sub(runs.len() + skipped.len());
        let seeds = manifest.experiment["seeds"].as_array().into_iter().flatten();
        let commands = Commands {
            sweep: manifest.command.as_deref().and_then(invocation::without_seeds),
            results: Some(shell::quoted(&self.path.display().to_string())),
            resume: manifest.command.as_deref().map(shell::line),
            seeds: seeds.filter_map(serde_json::Value::as_u64).collect(),
            missing,
            other_baseline: !baselines.is_empty(),
        };
        let mut options = ReportOptions {
            tuning,
            width,
            skipped: skipped.clone(),
            shapes,
            commands,
            // An early version kept no experiment. That of a confirmation is what the records say.
            experiment: toml::to_string(&manifest.experiment)
                .ok()
                .filter(|_| manifest.confirms.is_none()),
            ..manifest.options()
        };
        if let Some((first, others)) = baselines.split_first() {
            options.stated_baseline = options.baseline.replace(first.clone());
            options.further_baselines = others.to_vec();
        }
        let report = Report::from_runs(&runs, &options)?;
        Ok(Some(Reported { runs, report, strangers, missing, skipped }))
    }

    /// Whether the finished runs of `manifest` decide every comparison.
    pub(crate) fn decided(&self, manifest: &Manifest) -> Result<bool, Error> {
        let Records { runs, .. } = self.read(manifest)?;
        Ok(!runs.is_empty() && Report::decided(&runs, &manifest.options())?)
    }

    /// How far the sweep has come. Nothing is written for that, and no lock taken.
    pub(crate) fn progress(&self) -> Result<Progress, Error> {
        let manifest = self.shown_manifest()?;
        let found = self.find(&manifest, false)?;
        let known = manifest.all_runs().count();
        let ended = found.ours.iter().map(|(dir, _)| dir).chain(&found.trials);
        let failed = ended.filter(|dir| matches!(dir.outcome(), Ok(Some(Outcome::Failed { .. }))));
        let failed: HashSet<_> = failed.filter_map(RunDir::id).collect();
        // A folder that was copied is no second run.
        let finished: HashSet<_> = found
            .ours
            .iter()
            .map(|(dir, _)| dir)
            .chain(&found.trials)
            .filter_map(RunDir::id)
            .collect();
        Ok(Progress {
            finished: finished.len(),
            failed: failed.len(),
            runs: manifest.planned.unwrap_or(known),
            unfinished: found.unfinished,
            damaged: found.damaged,
        })
    }

    /// Which process works in the folder, if one does, as far as this machine can tell.
    pub(crate) fn holder(&self, locks: &HeldLocks) -> Holder {
        let path = self.path.join(LOCK);
        let Ok(text) = read_text(&path) else { return Holder::None };
        let holder = text.trim().to_owned();
        let (process, place) = match holder.split_whitespace().collect::<Vec<_>>()[..] {
            ["process", process, "on", place] => (process.parse().ok(), Some(place)),
            _ => (None, None),
        };
        if locks.holds(&path) == Some(true) {
            Holder::Process(holder)
        } else if place.is_some_and(|place| place != host()) {
            Holder::Elsewhere(holder)
        } else if process.is_some_and(is_running) {
            // Some file systems give the list of locks other numbers.
            Holder::Process(holder)
        } else {
            Holder::None
        }
    }

    /// The finished runs of this sweep, and what is wrong with records that are left out.
    pub(crate) fn runs_of_sweep(&self) -> Result<(Vec<StoredRun>, Vec<String>), Error> {
        let Records { runs, skipped, .. } = self.read(&self.manifest()?)?;
        Ok((runs, skipped))
    }

    fn read(&self, manifest: &Manifest) -> Result<Records, Error> {
        // Only what belongs here is read: a stranger that is damaged does no harm.
        let Found { ours, trials, strangers, damaged, .. } = self.find(manifest, true)?;
        let (runs, mut skipped) = read(ours);
        let reported: HashSet<&str> = manifest.runs.iter().map(RunId::as_str).collect();
        let damaged = damaged.iter().filter(|dir| dir.id().is_some_and(|id| reported.contains(id)));
        skipped.extend(damaged.filter_map(|dir| Some(dir.outcome().err()?.to_string())));
        Ok(Records { runs, trials, skipped, strangers })
    }

    /// Runs that have ended: those that the sweep reports, its trials, and those that are not of the sweep. Where they are
    /// to be `read`, the records of the first are, instead of looking at each file twice.
    fn find(&self, manifest: &Manifest, read: bool) -> Result<Found, Error> {
        let ours: HashSet<&str> = manifest.runs.iter().map(RunId::as_str).collect();
        let trials = manifest.trials().chain(&manifest.earlier);
        let trials: HashSet<&str> = trials.map(RunId::as_str).collect();
        let of = |dir: &RunDir, ids: &HashSet<&str>| dir.id().is_some_and(|id| ids.contains(id));
        let look = |dir: RunDir| {
            let own = |run: &StoredRun| run.dir.id() == Some(run.record.id.as_str());
            let run = (read && of(&dir, &ours)).then(|| StoredRun::read(dir.clone()).ok());
            // A record takes room, and where nothing is read there are as many places for one.
            let run = run.flatten().filter(own).map(Box::new);
            // A record that can be read is whole.
            let state = if run.is_some() { RunState::Finished } else { dir.state() };
            (dir, state, run)
        };
        let mut found = Found::default();
        for (dir, state, run) in look_at_runs(&self.runs(), look)? {
            match state {
                RunState::Absent => {}
                RunState::Unfinished => found.unfinished.push(dir),
                RunState::Finished if of(&dir, &ours) => found.ours.push((dir, run)),
                RunState::Finished if of(&dir, &trials) => found.trials.push(dir),
                RunState::Finished => found.strangers.push(dir),
                RunState::Damaged if of(&dir, &ours) || of(&dir, &trials) => {
                    found.damaged.push(dir);
                }
                // What is no run of this sweep does no harm.
                RunState::Damaged => {}
            }
        }
        Ok(found)
    }
}

/// The text of the file at `path`.
fn read_text(path: &Path) -> std::io::Result<String> {
    String::from_utf8(read_file(path)?)
        .map_err(|_| std::io::Error::new(std::io::ErrorKind::InvalidData, "it is not UTF-8 text"))
}

/// Whether `process` of this machine is one of this program's, where the system tells.
pub(crate) fn is_running(process: u32) -> bool {
    let command = fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
    let name = command.split(|byte| *byte == 0).next().unwrap_or_default();
    name.ends_with(b"actlab")
}

/// What the activations of `runs` look like, as far as this program still has them as they were.
fn shapes(runs: &[StoredRun]) -> Vec<Shape> {
    let mut specs: Vec<&ActivationSpec> = Vec::new();
    for run in runs {
        if !specs.contains(&&run.record.spec.activation) {
            specs.push(&run.record.spec.activation);
        }
    }
    let shape = |spec: &ActivationSpec| {
        // An arm with several activations has no one shape, and a formula that panics has none.
        guarded(|| {
            let arm = Arm::of(spec).ok().filter(|_| spec.sites.is_empty())?;
            let f = arm.activations.main().nonlinearity();
            Some(Shape::of(spec.label.clone(), |x| f.eval(x)))
        })
        .ok()?
    };
    specs.into_iter().filter_map(shape).collect()
}

/// What came out of the trials that `note` tells of, whose finished runs are `dirs`.
fn tuning(note: &TuningNote, dirs: Vec<RunDir>) -> analysis::Tuning {
    let mut found: HashMap<String, RunDir> = HashMap::new();
    for dir in dirs {
        found.extend(dir.id().map(str::to_owned).map(|id| (id, dir)));
    }
    let trial = |trial: &TrialNote| {
        // Its longest runs count.
        let longest = trial.runs.last().into_iter().flatten();
        // One that is damaged counts as one that is missing.
        let records: Vec<_> =
            longest.filter_map(|id| found.get(id.as_str())?.record().ok()).collect();
        let metric = records.iter().find_map(|record| Some(record.summary.as_ref()?.metric()));
        let whole = trial.runs.last().is_some_and(|runs| runs.len() == records.len());
        analysis::Trial {
            task: trial.task.clone(),
            activation: trial.activation.clone(),
            values: trial.values.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
            value: metric
                .filter(|_| whole)
                .map(|metric| Score::of(&records, &metric).value(&metric)),
            diverged: records
                .iter()
                .filter(|record| matches!(record.outcome, Outcome::Diverged { .. }))
                .count(),
            steps: records
                .iter()
                .filter_map(|record| record.spec.trial)
                .map(|trial| trial.steps)
                .max(),
            chosen: trial.chosen,
        }
    };
    analysis::Tuning {
        method: note.method.clone(),
        seeds: note.seeds.clone(),
        early_stop: note.early_stop,
        parameters: note
            .parameters
            .iter()
            .map(|(task, parameters)| (task.clone(), parameters.clone()))
            .collect(),
        trials: note.trials.iter().map(trial).collect(),
    }
}

/// The records of `found`, and what is wrong with those that are none.
fn read(found: Vec<(RunDir, Option<Box<StoredRun>>)>) -> (Vec<StoredRun>, Vec<String>) {
    let (mut runs, mut skipped) = (Vec::new(), Vec::new());
    let mut known: HashMap<RunId, PathBuf> = HashMap::new();
    for (dir, run) in found {
        let name = dir.path().display();
        match run.map_or_else(|| StoredRun::read(dir.clone()), |run| Ok(*run)) {
            Err(error) => skipped.push(error.to_string()),
            Ok(run) if run.dir.id() != Some(run.record.id.as_str()) => {
                skipped.push(format!("{name}: its record is that of another run"));
            }
            Ok(run) => match known.get(&run.record.id) {
                Some(first) => {
                    skipped.push(format!("{name}: the same run as {}", first.display()));
                }
                None => {
                    known.insert(run.record.id.clone(), dir.path().to_owned());
                    runs.push(run);
                }
            },
        }
    }
    (runs, skipped)
}
