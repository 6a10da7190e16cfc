//! Lists results, and deletes those that are no longer needed.

use super::status::is_run;
use crate::cli::{ResultsArgs, ResultsCommand};
use crate::console::{self, confirmed, note, out, outcome_words, outln};
use crate::sweep_dir::{Holder, SweepDir};
use crate::{Error, shell};
use record::{HeldLocks, RunDir, RunState};
use serde::Serialize;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Folders that a question names before the others are counted.
const MOST_NAMES: usize = 20;

pub(crate) fn run(args: &ResultsArgs) -> Result<(), Error> {
    match &args.command {
        None => list(args),
        Some(ResultsCommand::Rm { dirs, yes }) => remove(dirs, *yes),
        Some(ResultsCommand::Gc { dir, yes }) => collect_garbage(dir, *yes),
    }
}

/// A sweep, or runs that no sweep names.
#[derive(Debug, Serialize)]
struct Results {
    name: String,
    folder: PathBuf,
    /// `sweep`, `search`, or `runs` where there is no sweep.
    kind: &'static str,
    finished: usize,
    runs: usize,
    /// `finished`, `failed` (a run or more, which the next sweep trains again), `stopped` or `running`; `unknown` where another machine's process worked on it last.
    state: &'static str,
    /// Why nothing can be said of it, where that is so.
    #[serde(skip_serializing_if = "Option::is_none")]
    damaged: Option<String>,
    /// Seconds since a file of it was written.
    seconds_since_change: Option<u64>,
    bytes: u64,
    /// The page of its report, where it has one.
    report: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    list: Option<Vec<Run>>,
}

/// One run.
#[derive(Debug, Serialize)]
struct Run {
    run: String,
    folder: PathBuf,
    /// `finished`, `unfinished` or `damaged`.
    state: &'static str,
    /// How it ended, in words.
    outcome: Option<String>,
    /// Whether it is part of the sweep, or of its trials.
    of_sweep: bool,
}

fn list(args: &ResultsArgs) -> Result<(), Error> {
    let single = is_results(&args.dir);
    let folders = if single { vec![args.dir.clone()] } else { folders(&args.dir)? };
    let with_runs = args.runs || single;
    let locks = HeldLocks::now();
    let all: Vec<Results> =
        folders.iter().map(|folder| Results::of(folder, with_runs, &locks)).collect();
    if args.json {
        outln!("{}", serde_json::to_string_pretty(&all).unwrap_or_default());
        return Ok(());
    }
    if all.is_empty() {
        note!("no results in {}", args.dir.display());
        return Ok(());
    }
    let rows: Vec<Vec<String>> = all.iter().map(Results::row).collect();
    out!("{}", console::fitted(&["name", "runs", "state", "changed", "size"], &rows, &[0, 2]));
    for one in all.iter().filter(|one| one.list.is_some()) {
        let rows: Vec<Vec<String>> = one.list.iter().flatten().map(Run::row).collect();
        if !rows.is_empty() {
            out!("\n{}", console::fitted(&["run", "result"], &rows, &[0, 1]));
        }
    }
    Ok(())
}

/// Whether the folder is that of a sweep, or of runs.
fn is_results(folder: &Path) -> bool {
    folder.join("sweep.json").exists() || folder.join("runs").is_dir()
}

/// The folders of results in `dir`, by name.
fn folders(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            // Nothing was trained yet.
            if dir == Path::new("results") {
                return Ok(Vec::new());
            }
            let message = format!("{} does not exist: name a folder of results", dir.display());
            return Err(Error::Usage(message));
        }
        Err(error) => return Err(Error::io("read", dir)(error)),
    };
    let mut folders = Vec::new();
    for entry in entries {
        folders.push(entry.map_err(Error::io("read", dir))?.path());
    }
    folders.retain(|folder| is_results(folder));
    folders.sort();
    Ok(folders)
}

impl Results {
    fn of(folder: &Path, with_runs: bool, locks: &HeldLocks) -> Self {
        let sweep = SweepDir::new(folder.to_owned());
        let manifest = sweep.manifest().ok();
        let progress = sweep.progress();
        let (finished, failed, runs) = progress
            .as_ref()
            .map_or((0, 0, 0), |progress| (progress.finished, progress.failed, progress.runs));
        let state = match sweep.holder(locks) {
            Holder::Process(_) => "running",
            _ if progress.is_err() => "damaged",
            _ if finished >= runs && failed > 0 => "failed",
            _ if finished >= runs => "finished",
            Holder::Elsewhere(_) => "unknown",
            Holder::None => "stopped",
        };
        let mut size = Size::default();
        size.add(folder);
        let page = folder.join("report.html");
        Self {
            name: name(folder),
            folder: folder.to_owned(),
            kind: match &manifest {
                Some(manifest) if manifest.search.is_some() => "search",
                _ if folder.join("sweep.json").exists() => "sweep",
                _ => "runs",
            },
            finished,
            runs,
            state,
            damaged: progress.err().map(|error| error.to_string()),
            seconds_since_change: size
                .changed
                .and_then(|time| time.elapsed().ok())
                .map(|age| age.as_secs()),
            bytes: size.bytes,
            report: page.is_file().then_some(page),
            list: with_runs.then(|| list_runs(&sweep)),
        }
    }

    fn row(&self) -> Vec<String> {
        let kind = if self.kind == "sweep" { String::new() } else { format!(" ({})", self.kind) };
        let changed = self.seconds_since_change.map(Duration::from_secs);
        vec![
            format!("{}{kind}", self.name),
            format!("{}/{}", self.finished, self.runs),
            self.state.to_owned(),
            changed.map(ago).unwrap_or_default(),
            bytes(self.bytes),
        ]
    }
}

fn list_runs(sweep: &SweepDir) -> Vec<Run> {
    let manifest = sweep.manifest().ok();
    let ours = |dir: &RunDir| {
        manifest.as_ref().is_none_or(|manifest| {
            let mut all = manifest.all_runs();
            all.any(|id| dir.id() == Some(id.as_str()))
        })
    };
    let look = |(dir, state): (RunDir, RunState)| {
        let (state, outcome) = match state {
            RunState::Absent => return None,
            RunState::Unfinished => ("unfinished", None),
            RunState::Damaged => ("damaged", None),
            RunState::Finished => ("finished", dir.record().ok().map(|one| outcome_words(&one))),
        };
        let of_sweep = ours(&dir);
        let folder = dir.path().to_owned();
        Some(Run { run: name(&folder), folder, state, outcome, of_sweep })
    };
    let all = record::find_all_runs(&sweep.runs()).unwrap_or_default();
    all.into_iter().filter_map(look).collect()
}

impl Run {
    fn row(&self) -> Vec<String> {
        let result = self.outcome.clone().unwrap_or_else(|| self.state.to_owned());
        let part = if self.of_sweep { "" } else { " (not part of the sweep)" };
        vec![self.run.clone(), result + part]
    }
}

/// Bytes of files, and when the last was written.
#[derive(Default)]
struct Size {
    bytes: u64,
    changed: Option<SystemTime>,
}

impl Size {
    /// Adds a folder; links are not followed, and what cannot be read counts nothing.
    fn add(&mut self, folder: &Path) {
        for entry in fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_dir() {
                self.add(&entry.path());
            } else {
                self.bytes += metadata.len();
                self.changed = self.changed.max(metadata.modified().ok());
            }
        }
    }
}

fn name(folder: &Path) -> String {
    folder.file_name().unwrap_or(folder.as_os_str()).to_string_lossy().into_owned()
}

/// A duration before now, in one unit.
fn ago(age: Duration) -> String {
    match age.as_secs() {
        0..60 => "just now".to_owned(),
        seconds @ 60..3600 => format!("{} min ago", seconds / 60),
        seconds @ 3600..86_400 => format!("{} h ago", seconds / 3600),
        seconds @ 86_400.. => format!("{} days ago", seconds / 86_400),
    }
}

#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
fn bytes(bytes: u64) -> String {
    match bytes {
        0..1000 => format!("{bytes} B"),
        1000..1_000_000 => format!("{:.0} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

fn remove(dirs: &[PathBuf], yes: bool) -> Result<(), Error> {
    let found = dirs.iter().map(|dir| find(dir)).collect::<Result<Vec<_>, _>>()?;
    let mut folders: Vec<PathBuf> = Vec::new();
    for folder in &found {
        // What lies in another one of them is deleted with it.
        let is_part = found.iter().any(|other| other != folder && folder.starts_with(other));
        if !is_part && !folders.contains(folder) {
            folders.push(folder.clone());
        }
    }
    delete(&folders, yes)
}

/// The folder of results that is meant by `dir`: a bare name is one in the folder `results`, if that has it.
fn find(dir: &Path) -> Result<PathBuf, Error> {
    // Without the slash at the end, which would follow a link.
    let plain: PathBuf = dir.components().collect();
    let below = Path::new("results").join(&plain);
    let is_bare = matches!(plain.components().collect::<Vec<_>>()[..], [Component::Normal(_)]);
    let folder = if is_bare && fs::symlink_metadata(&below).is_ok() { below } else { plain };
    let refuse = |reason: &str| {
        Err(Error::Usage(format!("{} {reason}; nothing is deleted", folder.display())))
    };
    match fs::symlink_metadata(&folder) {
        Err(_) => return refuse("does not exist"),
        Ok(metadata) if metadata.is_symlink() => return refuse("is a link"),
        Ok(_) => {}
    }
    let whole = fs::canonicalize(&folder).map_err(Error::io("read", &folder))?;
    if std::env::current_dir().is_ok_and(|here| here.starts_with(&whole)) {
        return refuse("holds the working directory");
    }
    match what_is_deleted(&folder) {
        Ok(()) => Ok(folder),
        Err(reason) => refuse(&reason),
    }
}

/// Names in the folder of a sweep, and beginnings of names.
const OF_SWEEP: [&str; 15] = [
    "sweep.json",
    "runs",
    ".lock",
    "plots",
    "summary.csv",
    "runs.csv",
    "summary.tex",
    "records.parquet",
    "metrics.parquet",
    "slurm",
    "tensorboard",
    "wandb.json",
    "mlflow.json",
    "wandb",
    ".wandb",
];
const OF_SWEEP_BEGIN: [&str; 3] = ["report.", "source-", "baseline-"];

/// The same in the folder of a run.
const OF_RUN: [&str; 8] = [
    "spec.json",
    "metrics.jsonl",
    "predictions.csv",
    "record.json",
    "attempt.json",
    ".lock",
    "wandb.json",
    "mlflow.json",
];
const OF_RUN_BEGIN: [&str; 2] = ["checkpoint-", "record.json.unusable"];

/// What systems and half-made writes leave in any folder.
fn is_litter(name: &str) -> bool {
    name.ends_with(".tmp") || matches!(name, ".DS_Store" | "Thumbs.db" | "desktop.ini")
}

/// Refuses a folder with something in it that is none of ours.
fn holds_only(folder: &Path, names: &[&str], beginnings: &[&str]) -> Result<(), String> {
    let entries = fs::read_dir(folder).map_err(|error| format!("cannot be read: {error}"))?;
    let own = |name: &str| {
        names.contains(&name)
            || beginnings.iter().any(|beginning| name.starts_with(beginning))
            || is_litter(name)
    };
    let mut found: Vec<String> = entries
        .filter_map(|entry| Some(name(&entry.ok()?.path())))
        .filter(|name| !own(name))
        .collect();
    found.sort();
    match found.first() {
        Some(other) => Err(format!(
            "holds {}, which is no result: move it away first",
            console::printable(other)
        )),
        None => Ok(()),
    }
}

/// Whether a folder is that of a sweep or of runs, and of nothing else; the error says why it is not.
fn what_is_deleted(folder: &Path) -> Result<(), String> {
    if is_run(folder) {
        let spec = RunDir::at(folder.to_owned()).spec();
        spec.map(drop).map_err(|_| "has no spec.json of a run".to_owned())?;
        return holds_only(folder, &OF_RUN, &OF_RUN_BEGIN);
    }
    let runs = folder.join("runs");
    if folder.join("sweep.json").exists() {
        let manifest = SweepDir::new(folder.to_owned()).manifest();
        manifest.map(drop).map_err(|_| "has a sweep.json that is not of a sweep".to_owned())?;
    } else if !runs.is_dir() {
        return Err("is neither the folder of a sweep nor that of a run".to_owned());
    }
    // Runs of `actlab train` have no sweep.json. Other programs have folders of that name too.
    let is_sweep = folder.join("sweep.json").exists();
    holds_only(folder, &OF_SWEEP, &OF_SWEEP_BEGIN)?;
    if !runs.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(&runs).map_err(|error| format!("cannot be read: {error}"))? {
        let path = entry.map_err(|error| format!("cannot be read: {error}"))?.path();
        let name = name(&path);
        if is_litter(&name) {
            continue;
        }
        if !path.is_dir() || !is_sweep && RunDir::at(path.clone()).spec().is_err() {
            return Err(format!("holds runs/{}, which is no run", console::printable(&name)));
        }
        holds_only(&path, &OF_RUN, &OF_RUN_BEGIN)
            .map_err(|reason| format!("{reason} (in runs/{})", console::printable(&name)))?;
    }
    Ok(())
}

/// Deletes the folders, after a question, where no process works in one of them.
fn delete(folders: &[PathBuf], yes: bool) -> Result<(), Error> {
    let mut size = Size::default();
    for folder in folders {
        refuse_busy(folder)?;
        size.add(folder);
        if folders.len() <= MOST_NAMES {
            note!("{}", console::printable(&folder.display().to_string()));
        }
    }
    let count = match folders.len() {
        1 => "this folder".to_owned(),
        count => format!("these {count} folders"),
    };
    if !confirmed(&format!("Delete {count} ({})?", bytes(size.bytes)), yes)? {
        note!("nothing is deleted");
        return Ok(());
    }
    for folder in folders {
        // A process may have begun while the question was open.
        refuse_busy(folder)?;
        fs::remove_dir_all(folder).map_err(Error::io("delete", folder))?;
        outln!("deleted {}", console::printable(&folder.display().to_string()));
    }
    Ok(())
}

/// Refuses a folder in which a process works, or may work.
fn refuse_busy(folder: &Path) -> Result<(), Error> {
    let locks = HeldLocks::now();
    let sweep = if is_run(folder) { folder.parent().and_then(Path::parent) } else { Some(folder) };
    // A process that works in a sweep may be about to train any of its runs.
    let sweep = sweep.map(|folder| SweepDir::new(folder.to_owned()));
    let holder = sweep.as_ref().map_or(Holder::None, |sweep| sweep.holder(&locks));
    let refuse = |reason: String| {
        Err(Error::Usage(format!("{} {reason}; nothing is deleted", folder.display())))
    };
    match holder {
        Holder::Process(holder) => return refuse(format!("is in use by {holder}: stop it first")),
        Holder::Elsewhere(holder) => {
            let lock = sweep.map(|sweep| sweep.path().join(".lock")).unwrap_or_default();
            return refuse(format!(
                "was used by {holder} last, which may still work: if it does not, delete {}",
                lock.display()
            ));
        }
        Holder::None => {}
    }
    let runs = match sweep {
        Some(sweep) if !is_run(folder) => record::find_all_runs(&sweep.runs()).unwrap_or_default(),
        _ => vec![(RunDir::at(folder.to_owned()), RunState::Unfinished)],
    };
    let is_held = |dir: &RunDir| locks.holds(&dir.lock_path()) == Some(true);
    if let Some((dir, _)) = runs.iter().find(|(dir, _)| is_held(dir)) {
        return refuse(format!("is in use by a process that trains {}", name(dir.path())));
    }
    let unfinished = runs.iter().any(|(_, state)| *state == RunState::Unfinished);
    if unfinished && folder.join("slurm").is_dir() {
        return refuse(format!(
            "has runs that tasks of Slurm may still train: cancel them, then delete {}",
            folder.join("slurm").display()
        ));
    }
    Ok(())
}

fn collect_garbage(dir: &Path, yes: bool) -> Result<(), Error> {
    let sweeps = if is_results(dir) { vec![dir.to_owned()] } else { folders(dir)? };
    let (mut garbage, mut left) = (Vec::new(), false);
    for folder in &sweeps {
        let sweep = SweepDir::new(folder.clone());
        // Where no sweep names runs, each is one that was asked for.
        if !folder.join("sweep.json").exists() {
            continue;
        }
        if let Err(error) = sweep.manifest() {
            console::warning(&format!("left as it is: {error}"));
            continue;
        }
        for run in list_runs(&sweep).into_iter().filter(|run| !run.of_sweep) {
            match what_is_deleted(&run.folder) {
                Ok(()) => garbage.push(run.folder),
                Err(reason) => {
                    let folder = run.folder.display().to_string();
                    console::warning(&format!(
                        "left as it is: {} {reason}",
                        console::printable(&folder)
                    ));
                    left = true;
                }
            }
        }
    }
    if garbage.is_empty() && left {
        note!("nothing is deleted");
        return Ok(());
    }
    if garbage.is_empty() {
        note!("every run in {} is part of a sweep", shell::quoted(&dir.display().to_string()));
        return Ok(());
    }
    delete(&garbage, yes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_ages_are_short() {
        let sizes = [7, 1500, 2_340_000, 5_000_000_000].map(bytes);
        assert_eq!(sizes, ["7 B", "2 kB", "2.3 MB", "5.0 GB"]);
        let ages = [5, 65, 7300, 200_000].map(|seconds| ago(Duration::from_secs(seconds)));
        assert_eq!(ages, ["just now", "1 min ago", "2 h ago", "2 days ago"]);
    }
}
