use crate::cli::StatusArgs;
use crate::console::{self, duration, fitted, out, outln, printable};
use crate::environment::host;
use crate::sweep_dir::{Holder, Progress, SweepDir, is_running};
use crate::{Error, shell};
use record::{Event, HeldLocks, Metric, RunDir};
use serde::Serialize;
use std::path::Path;
use std::time::Duration;

/// Runs that are named before the others are counted.
const MOST_NAMES: usize = 10;

/// How far a sweep has come.
#[derive(Debug, Serialize)]
struct Status {
    finished: usize,
    /// Those of them that failed.
    failed: usize,
    runs: usize,
    /// Which process of this machine works in the folder.
    holder: Option<String>,
    /// Which process of another machine worked in the folder last: whether it still does cannot be seen from here.
    holder_elsewhere: Option<String>,
    begun: Vec<Begun>,
    /// Folders of runs whose record cannot be used: they will be trained again.
    damaged: Vec<String>,
}

/// A run that has begun and not ended.
#[derive(Debug, Serialize)]
struct Begun {
    run: String,
    /// Whether a process works on it now; absent where that is another machine's process.
    running: Option<bool>,
    host: String,
    process: u32,
    step: u64,
    steps: u64,
    loss: Option<f64>,
    /// Name of the metric that the run is judged by.
    metric: Option<String>,
    /// Its last value on validation data.
    validation: Option<f64>,
    /// The same as it is shown.
    #[serde(skip)]
    shown: Option<String>,
    /// Seconds since the last step.
    silent_seconds: Option<f64>,
}

/// Nothing is written and no lock is taken, so that it works on a read-only folder and disturbs no worker.
pub(crate) fn run(args: &StatusArgs) -> Result<(), Error> {
    let run = RunDir::at(args.dir.clone());
    if is_run(&args.dir) {
        return of_run(&run, args.json);
    }
    let sweep = SweepDir::new(args.dir.clone());
    let Progress { finished, failed, runs, unfinished, damaged } = sweep.progress()?;
    let locks = HeldLocks::now();
    let (holder, holder_elsewhere) = match sweep.holder(&locks) {
        Holder::None => (None, None),
        Holder::Process(holder) => (Some(holder), None),
        Holder::Elsewhere(holder) => (None, Some(holder)),
    };
    let status = Status {
        finished,
        failed,
        runs,
        holder,
        holder_elsewhere,
        begun: unfinished.iter().filter_map(|dir| Begun::of(dir, &locks)).collect(),
        damaged: damaged.iter().map(name).collect(),
    };
    if args.json {
        outln!("{}", serde_json::to_string_pretty(&status).unwrap_or_default());
    } else {
        show(&sweep, &status);
    }
    Ok(())
}

/// Whether the folder is that of one run.
pub(super) fn is_run(folder: &Path) -> bool {
    folder.join("record.json").exists() || folder.join("spec.json").exists()
}

/// How far one run has come.
fn of_run(dir: &RunDir, json: bool) -> Result<(), Error> {
    if dir.outcome()?.is_some() {
        let record = dir.record()?;
        if json {
            let outcome = serde_json::json!({ "run": name(dir), "outcome": record.outcome });
            outln!("{}", serde_json::to_string_pretty(&outcome).unwrap_or_default());
        } else {
            super::train::show(dir, &record);
        }
        return Ok(());
    }
    let begun = Begun::of(dir, &HeldLocks::now());
    match (json, begun) {
        (true, begun) => {
            outln!("{}", serde_json::to_string_pretty(&begun).unwrap_or_default());
        }
        (false, Some(begun)) => table_of(&[begun]),
        (false, None) => outln!("{}: not begun", printable(&name(dir))),
    }
    Ok(())
}

fn name(dir: &RunDir) -> String {
    dir.path().file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn show(sweep: &SweepDir, status: &Status) {
    let Status { finished, failed, runs, holder, holder_elsewhere, begun, damaged } = status;
    let at_work = match (holder, holder_elsewhere) {
        (Some(holder), _) => format!("running: {holder}"),
        (None, _) if finished >= runs && *failed > 0 => {
            let again = match sweep.resume_command() {
                Some(command) => format!("`{command}` trains"),
                None => "the same sweep trains".to_owned(),
            };
            format!("{failed} of them failed; {again} them again")
        }
        (None, _) if finished >= runs && !sweep.has_report() => {
            let folder = shell::quoted(&sweep.path().display().to_string());
            format!("the report is not written: `actlab report {folder}` writes it")
        }
        (None, _) if finished >= runs => "nothing is left to do".to_owned(),
        (None, Some(last)) => {
            format!("last worked on by {last}; from here it cannot be seen whether it still is")
        }
        (None, None) => match sweep.resume_command() {
            Some(command) => format!("not running; resume with `{command}`"),
            None => "not running".to_owned(),
        },
    };
    let folder = sweep.path().display().to_string();
    outln!(
        "{}: {finished} of {runs} runs are finished; {}",
        printable(&folder),
        printable(&at_work)
    );
    if !damaged.is_empty() {
        let mut names: Vec<&str> = damaged.iter().map(String::as_str).take(MOST_NAMES).collect();
        let more = format!("and {} more", damaged.len() - names.len());
        if damaged.len() > names.len() {
            names.push(&more);
        }
        let again = sweep.resume_command();
        let again = again.map(|command| format!("; `{command}` trains the run again"));
        console::warning(&format!(
            "the record of {} cannot be read{}",
            names.join(", "),
            again.unwrap_or_default()
        ));
    }
    if begun.is_empty() {
        return;
    }
    table_of(begun);
}

/// Prints a line for each run that has begun.
fn table_of(begun: &[Begun]) {
    let rows: Vec<Vec<String>> = begun
        .iter()
        .map(|one| {
            let silent = one.silent_seconds.and_then(|s| Duration::try_from_secs_f64(s).ok());
            vec![
                one.run.clone(),
                format!("{}/{}", one.step, one.steps),
                one.loss.map(|loss| format!("{loss:.3}")).unwrap_or_default(),
                one.shown.clone().unwrap_or_default(),
                silent.map(|silent| format!("{} ago", duration(silent))).unwrap_or_default(),
                match one.running {
                    Some(false) => "stopped".to_owned(),
                    Some(true) => format!("process {}", one.process),
                    None => format!("process {} on {}", one.process, one.host),
                },
            ]
        })
        .collect();
    let header = ["run", "step", "loss", "validation", "last step", "where"];
    out!("{}", fitted(&header, &rows, &[0, 5]));
}

impl Begun {
    /// How far the run in `dir` is; nothing where it has not really begun, or has ended just now.
    fn of(dir: &RunDir, locks: &HeldLocks) -> Option<Self> {
        let attempt = dir.attempt()?;
        let events = dir.metrics().ok()?;
        let here = attempt.host == host();
        let locked = || locks.holds(&dir.lock_path()) == Some(true) || is_running(attempt.process);
        let mut begun = Self {
            run: name(dir),
            running: here.then(locked),
            host: attempt.host,
            process: attempt.process,
            step: attempt.after_step,
            steps: attempt.steps,
            loss: None,
            metric: None,
            validation: None,
            shown: None,
            silent_seconds: None,
        };
        // Early records tell no metric: they were judged by accuracy.
        let mut metric = Metric::accuracy(None);
        for line in events {
            // A line that cannot be read is told where it matters.
            let Ok(line) = line else { break };
            match line.event {
                Event::Start(start) => metric = start.metric.unwrap_or(metric),
                Event::Train(step) => {
                    begun.step = step.step;
                    begun.loss = Some(step.loss);
                    begun.silent_seconds = line.time.map(|time| (record::now() - time).max(0.0));
                }
                Event::Validation(validation) => {
                    let value = validation.value(&metric);
                    begun.validation = Some(value);
                    begun.shown = Some(metric.shown_with(value, metric.digits.saturating_sub(1)));
                    begun.metric = Some(metric.name.clone());
                }
                _ => {}
            }
        }
        Some(begun)
    }
}
