//! Who hears of runs beside their records.

use crate::Error;
use crate::cli::SyncArgs;
use crate::console::{self, note};
use crate::experiment::Experiment;
use crate::interrupt;
use crate::sweep_dir::SweepDir;
use record::{RunDir, RunState, StoredRun};
use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracking::mlflow::Flag;
use tracking::{
    Configured, Environment, Following, Leftover, Notice, Pace, RecordSource, ReportSource,
    SinkRequest, Target, Tracker, mlflow, wandb,
};

/// After so long without success, what a sink lacks is left for later.
const PATIENCE: Duration = Duration::from_secs(60);
/// The same after Ctrl-C.
const PATIENCE_INTERRUPTED: Duration = Duration::from_secs(3);

/// Files of a sweep that its report consists of.
const REPORT_FILES: [&str; 5] =
    ["report.md", "report.html", "summary.csv", "runs.csv", "sweep.json"];

/// Sinks with all their settings.
pub(crate) type Sinks = Vec<Box<dyn Configured>>;

/// A sink of a sweep that runs go to.
struct Active {
    sink: Box<dyn Configured>,
    /// Name of its threads.
    name: &'static str,
}

/// Sinks of a sweep.
pub(crate) struct Tracking {
    tracker: Tracker,
    active: Vec<Active>,
    /// What is said of each sink, and what the user should know of it.
    introductions: Vec<(String, Option<String>)>,
    notice: Notice,
    /// Name of the sweep.
    sweep: String,
}

/// What flags, environment and experiment say of sinks.
pub(crate) fn settings(experiment: &Experiment) -> Result<Sinks, Error> {
    let wishes = experiment.sinks();
    let sinks = wishes.iter().map(|request| settle(&**request, &experiment.dir()));
    sinks.filter_map(Result::transpose).collect()
}

fn settle(request: &dyn SinkRequest, sweep: &Path) -> Result<Option<Box<dyn Configured>>, Error> {
    for (name, value) in std::env::vars_os() {
        let name = name.to_string_lossy();
        // Taken for unset, it would change where a run is logged.
        if tracking::is_read(&name) && value.to_str().is_none() {
            return Err(Error::Usage(format!("environment variable {name}: is not UTF-8 text")));
        }
    }
    Ok(request.settle(&environment(), sweep)?)
}

/// The variables of this process.
fn environment() -> Environment<'static> {
    let variable = &|name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    Environment { variable, home: std::env::home_dir() }
}

impl Tracking {
    /// Starts what `experiment` asks for; `notice` prints a line.
    pub(crate) fn start(
        experiment: &Experiment,
        sinks: Sinks,
        notice: Notice,
    ) -> Result<Self, Error> {
        let introductions =
            sinks.iter().map(|sink| (sink.introduction(), sink.warning())).collect();
        let (mut targets, mut active) = (Vec::new(), Vec::new());
        for sink in sinks {
            if let Some(target) = sink.target(Pace::default(), &notice)? {
                active.push(Active { sink, name: target.name });
                targets.push(target);
            }
        }
        let tracker = Tracker::start(targets, &notice).map_err(no_thread)?;
        Ok(Self { tracker, active, introductions, notice, sweep: experiment.name.clone() })
    }

    /// Says in a line where runs are logged.
    pub(crate) fn introduce(&self) {
        for (introduction, warning) in &self.introductions {
            (self.notice)(introduction);
            if let Some(warning) = warning {
                console::warning(warning);
            }
        }
    }

    /// Follows the run in `dir`, which has been begun; one that was followed before is told anew.
    pub(crate) fn follow(&self, dir: &RunDir) -> Following {
        self.tracker.follow(dir)
    }

    /// Remembers that the run in `dir` is to be logged, before it is trained: it may end after this process.
    pub(crate) fn expect(&self, dir: &RunDir) {
        if !self.active.is_empty() {
            // What stands in the way of the folder is told of the run itself.
            let _ = std::fs::create_dir_all(dir.path());
        }
        for Active { sink, .. } in &self.active {
            sink.expect(dir, &self.sweep);
        }
    }

    /// Remembers that the report of the sweep is to be logged.
    pub(crate) fn expect_report(&self, sweep: &SweepDir) {
        self.expect(&RunDir::at(sweep.path().to_owned()));
    }

    /// Sends what an earlier process left of finished runs.
    pub(crate) fn catch_up(&self, finished: &[RunDir]) {
        for Active { sink, name } in &self.active {
            let lacking: Vec<_> = finished.iter().filter(|dir| sink.catches_up(dir)).collect();
            if !lacking.is_empty()
                && let Some(line) = sink.catching_up(lacking.len())
            {
                (self.notice)(&line);
            }
            for dir in lacking {
                self.tracker.send_to(name, RecordSource::finished(dir.clone()));
            }
        }
    }

    /// Sends the report of the sweep to each sink where it is `new`, or did not arrive.
    pub(crate) fn report(&self, sweep: &SweepDir, new: bool) {
        let folder = sweep.path();
        for Active { sink, name } in &self.active {
            if new || sink.catches_up(&RunDir::at(folder.to_owned())) {
                let report = ReportSource::new(&self.sweep, folder.to_owned(), &REPORT_FILES);
                self.tracker.send_to(name, report);
            }
        }
    }

    /// Waits until everybody has heard everything, and says what was left.
    pub(crate) fn finish(self, sweep: &SweepDir) {
        let later = format!("actlab sync {}", sweep.path().display());
        drop(finish(self.tracker, &later));
    }
}

/// Waits for `tracker`; `later` is the command that sends what is left, which is returned.
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
            note!("uploading what {pending} runs have left to log; Ctrl-C leaves it for later");
        }
        false
    };
    let leftovers = tracker.finish(PATIENCE, &give_up);
    for line in said_of(&leftovers, later) {
        console::warning(&line);
    }
    leftovers
}

/// What is said of runs that did not arrive: a line for each sink, and for what can be done about them.
fn said_of(leftovers: &[Leftover], later: &str) -> Vec<String> {
    let fate = |left: &&Leftover| (left.sink, left.damaged, left.saved);
    grouped(leftovers.iter(), fate).into_iter().map(|group| said_of_group(&group, later)).collect()
}

/// What is said of runs that did not arrive at one sink, and are damaged or saved alike.
fn said_of_group(group: &[&Leftover], later: &str) -> String {
    let [Leftover { sink, saved, damaged, .. }, ..] = group else { return String::new() };
    let one = group.len() == 1;
    let kinds = grouped(group.iter().copied(), |left| kind_of_fault(left));
    let count = |runs: usize| format!("{runs} {}", if runs == 1 { "run" } else { "runs" });
    let reasons: Vec<String> = kinds.iter().filter_map(|kind| reason_of(kind)).collect();
    let mut said = format!("{sink}: {} did not arrive", count(group.len()));
    if let [reason] = reasons.as_slice() {
        said += &format!(": {reason}");
    } else {
        let each = kinds.iter().zip(&reasons);
        let each = each.map(|(kind, reason)| format!("{}: {reason}", count(kind.len())));
        said += &format!(" ({})", each.collect::<Vec<_>>().join("; "));
    }
    if *damaged {
        return said;
    }
    let record = if one { "record" } else { "records" };
    let place = if *saved { " and in offline directories" } else { "" };
    let then = match tracking::kind(sink).filter(|kind| !kind.by_sync) {
        Some(kind) => format!("the same sweep with --{} writes", kind.key),
        None => format!("`{later}` sends"),
    };
    format!("{said}. Everything is in the {record}{place}; {then} the rest")
}

/// The reason of runs with the same kind of fault: that of the first.
fn reason_of(kind: &[&Leftover]) -> Option<String> {
    let first = kind.first()?;
    let same = kind.iter().all(|left| left.reason == first.reason);
    let others = if same { "" } else { ", and the like" };
    Some(format!("{}{others}", first.reason))
}

/// The reason without what belongs to the run: its folder, and words with digits, as ids and times.
fn kind_of_fault(left: &Leftover) -> String {
    let folder = left.folder.display().to_string();
    let reason =
        if folder.is_empty() { left.reason.clone() } else { left.reason.replace(&folder, "") };
    let is_of_run = |word: &str| word.len() >= 8 && word.bytes().any(|byte| byte.is_ascii_digit());
    let words = reason.split(|c: char| !c.is_alphanumeric());
    words.filter(|word| !is_of_run(word)).collect::<Vec<_>>().join(" ")
}

/// Those of `items` with the same `key`, in the order of the first of each.
fn grouped<T, K: PartialEq>(items: impl Iterator<Item = T>, key: impl Fn(&T) -> K) -> Vec<Vec<T>> {
    let mut groups: Vec<(K, Vec<T>)> = Vec::new();
    for item in items {
        let own = key(&item);
        match groups.iter_mut().find(|(known, _)| *known == own) {
            Some((_, group)) => group.push(item),
            None => groups.push((own, vec![item])),
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

fn no_thread(error: std::io::Error) -> Error {
    Error::Usage(format!("cannot start a thread: {error}"))
}

/// Uploads what the folders hold and the servers lack.
pub(crate) fn sync(args: &SyncArgs) -> Result<(), Error> {
    if let Some(dir) = args.dirs.iter().find(|dir| !dir.exists()) {
        let message = format!("{} does not exist: nothing is uploaded", dir.display());
        return Err(Error::Usage(message));
    }
    let mut found = Found::default();
    let looked = args.dirs.iter().try_for_each(|dir| found.look_into(dir));
    let mlflow = match &args.mlflow {
        Some(flag) => Some(mlflow::SinkRequest { flag: Some(flag.clone()), table: None }),
        None => mlflow::noted(&found.dirs(), &environment())?,
    };
    let mut uploads = Vec::new();
    // Runs that were to be logged to MLflow alone need no key of W&B.
    let to_wandb = match &mlflow {
        None | Some(mlflow::SinkRequest { flag: Some(Flag::Off), .. }) => true,
        Some(_) if args.mlflow.is_some() => !found.logs.is_empty(),
        Some(_) => !found.logs.is_empty() || found.runs.iter().any(is_on_wandb),
    };
    if to_wandb {
        let request = wandb::noted(&found.dirs(), &environment())?;
        uploads.extend(upload(&request, wandb::NAME)?);
    }
    looked?;
    if let Some(request) = mlflow {
        uploads.extend(upload(&request, mlflow::NAME)?);
    }
    interrupt::install();
    for reason in &found.damaged {
        console::warning(&format!("not uploaded: {reason}"));
    }
    let several = uploads.len() > 1;
    let mut missing = found.damaged.len();
    for upload in uploads {
        missing += upload.send(&found, several, args.mlflow.is_some())?;
    }
    if missing == 0 { Ok(()) } else { Err(Error::NotSynced) }
}

fn is_on_wandb(run: &RunDir) -> bool {
    // A damaged note is one too.
    wandb::note(run).map_or(true, |note| note.is_some())
}

/// One server that runs are uploaded to.
struct Upload {
    sink: Box<dyn Configured>,
    name: &'static str,
    target: Target,
}

fn upload(request: &dyn SinkRequest, name: &'static str) -> Result<Option<Upload>, Error> {
    let Some(sink) = settle(request, Path::new(""))? else { return Ok(None) };
    if let Some(warning) = sink.warning() {
        console::warning(&warning);
    }
    let notice: Notice = Arc::new(|line| note!("{line}"));
    // What is there already is sent as fast as the server takes it.
    let pace = Pace { interval: Duration::ZERO, ..Pace::default() };
    let target = sink.target(pace, &notice)?;
    Ok(target.map(|target| {
        // What does not arrive stays where it is.
        Upload { sink, name, target: Target { fallback: None, ..target } }
    }))
}

impl Upload {
    /// Sends what the server lacks of `found`; how many do not arrive. Where it is `asked` for by name, it is sent runs
    /// too that were not to be logged there.
    fn send(self, found: &Found, several: bool, asked: bool) -> Result<usize, Error> {
        let Self { sink, name, target } = self;
        let is_wandb = name == wandb::NAME;
        let logs: &[_] = if is_wandb { &found.logs } else { &[] };
        let mut before = if is_wandb { found.before } else { 0 };
        let mut damaged = 0;
        let mut lacks = |dir: &RunDir| match sink.has_all(dir) {
            Ok(true) => {
                before += 1;
                false
            }
            Ok(false) => is_wandb || asked || sink.catches_up(dir),
            Err(error) => {
                damaged += 1;
                console::warning(&format!("not uploaded: {error}"));
                false
            }
        };
        let runs: Vec<_> = found.runs.iter().filter(|run| lacks(run)).collect();
        let at = |sweep: &&PathBuf| lacks(&RunDir::at((*sweep).clone()));
        let reports: Vec<_> = found.reports.iter().filter(at).collect();
        let notice: Notice = Arc::new(|line| note!("{line}"));
        let tracker = Tracker::start(vec![target], &notice).map_err(no_thread)?;
        let count = logs.len() + runs.len() + reports.len();
        for log in logs {
            tracker.send(|| log.clone());
        }
        for run in runs {
            tracker.send(|| RecordSource::finished(run.clone()));
        }
        for sweep in reports {
            let name = sweep.file_name().unwrap_or_default().to_string_lossy();
            tracker.send(|| ReportSource::new(&name, sweep.clone(), &REPORT_FILES));
        }
        let left = finish(tracker, "the same command");
        let arrived = |path: &Path| left.iter().all(|left| left.folder != path);
        for log in logs.iter().filter(|log| arrived(log.path())) {
            if !log.is_whole() {
                note!(
                    "{}: it has no end, since its run is still written or was killed: what there is was uploaded, and the \
                     same command uploads what follows",
                    log.path().display()
                );
                continue;
            }
            // The next command tries the files again that the server did not take.
            if log.is_uploaded() {
                log.mark_synced().map_err(Error::io("write to", log.path()))?;
            }
        }
        let before = match before {
            0 => String::new(),
            n => format!("; {n} had been uploaded before"),
        };
        let missing = left.len() + damaged;
        let not = match missing + found.damaged.len() {
            0 => String::new(),
            n => format!(", {n} not"),
        };
        let uploaded = count.saturating_sub(left.len());
        let prefix = if several { format!("{name}: ") } else { String::new() };
        let word = if uploaded == 1 { "run" } else { "runs" };
        note!("{prefix}{uploaded} {word} uploaded{not}{before}");
        Ok(missing)
    }
}

/// What there is to upload.
#[derive(Default)]
struct Found {
    logs: Vec<wandb::LogSource>,
    runs: Vec<RunDir>,
    /// Folders of sweeps that have a report.
    reports: Vec<PathBuf>,
    /// Offline directories that were uploaded before.
    before: usize,
    /// What cannot be read, and why.
    damaged: Vec<String>,
}

impl Found {
    /// Folders in which sinks have notes.
    fn dirs(&self) -> Vec<RunDir> {
        let reports = self.reports.iter().cloned();
        let logs = self.logs.iter().map(|log| log.path().to_owned());
        self.runs.iter().cloned().chain(reports.chain(logs).map(RunDir::at)).collect()
    }

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
            if dir.join("report.md").exists() {
                // Its name is asked for, which `.` has not.
                self.reports.push(dir.canonicalize().unwrap_or_else(|_| dir.to_owned()));
            }
        } else if dir.join("record.json").exists() {
            self.add_run(RunDir::at(dir.to_owned()));
        } else if dir.join("spec.json").exists() {
            return Err(Error::Usage(format!(
                "{}: the run is not finished; the command that began it resumes it",
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
            Ok(_) => self.runs.push(dir),
            Err(error) => self.damaged.push(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_that_did_not_arrive_are_told_in_one_line() {
        let left = |run: &str, reason: &str, saved, damaged| Leftover {
            sink: wandb::NAME,
            folder: PathBuf::from(run),
            reason: reason.to_owned(),
            saved,
            damaged,
        };
        let busy = "http://here answers 429 Too Many Requests";
        let leftovers = [
            left("r/a-s1", busy, true, false),
            left("r/a-s2", busy, true, false),
            left("r/a-s3", "http://here: the run 0123abcd is deleted there", true, false),
            left("r/a-s4", "http://here: the run 4567efgh is deleted there", true, false),
            left("r/a-s5", "cannot read r/a-s5/metrics.jsonl: no file", false, true),
            left("r/a-s6", "cannot read r/a-s6/metrics.jsonl: no file", false, true),
        ];
        let said = said_of(&leftovers, "actlab sync r");
        assert_eq!(
            said,
            [
                "W&B: 4 runs did not arrive (2 runs: http://here answers 429 Too Many Requests; 2 runs: http://here: the run \
                 0123abcd is deleted there, and the like). Everything is in the records and in offline directories; `actlab \
                 sync r` sends the rest",
                "W&B: 2 runs did not arrive: cannot read r/a-s5/metrics.jsonl: no file, and the like",
            ]
        );
        let said = said_of(&leftovers[..1], "actlab sync r");
        assert_eq!(
            said,
            [
                "W&B: 1 run did not arrive: http://here answers 429 Too Many Requests. Everything is in the record and in \
              offline directories; `actlab sync r` sends the rest"
            ]
        );
    }
}
