use crate::Error;
use crate::cli::StatusArgs;
use crate::console::{duration, out, outln, table};
use crate::sweep_dir::SweepDir;
use record::{Event, RunDir, RunState, find_all_runs};
use serde::Serialize;
use std::time::Duration;

/// How far a sweep has come.
#[derive(Debug, Serialize)]
struct Status {
    finished: usize,
    runs: usize,
    /// Who is at work in the folder.
    holder: Option<String>,
    begun: Vec<Begun>,
}

/// A run that has begun and not ended.
#[derive(Debug, Serialize)]
struct Begun {
    run: String,
    /// Whether a process works on it now.
    running: bool,
    host: String,
    process: u32,
    step: u64,
    steps: u64,
    loss: Option<f64>,
    validation_accuracy: Option<f64>,
    /// Seconds since the last step.
    silent_seconds: Option<f64>,
}

pub(crate) fn run(args: &StatusArgs) -> Result<(), Error> {
    let sweep = SweepDir::new(args.dir.clone());
    let (finished, runs) = sweep.progress()?;
    let mut begun = Vec::new();
    for (dir, state) in find_all_runs(&sweep.runs())? {
        if state == RunState::Unfinished {
            begun.extend(Begun::of(&dir)?);
        }
    }
    let status = Status { finished, runs, holder: sweep.holder(), begun };
    if args.json {
        outln!("{}", serde_json::to_string_pretty(&status).unwrap_or_default());
    } else {
        show(&sweep, &status);
    }
    Ok(())
}

fn show(sweep: &SweepDir, status: &Status) {
    let Status { finished, runs, holder, begun } = status;
    let at_work = match holder {
        Some(holder) => format!("at work: {holder}"),
        None if finished < runs => "nobody is at work; `actlab sweep` goes on with it".to_owned(),
        None => "nothing is left to do".to_owned(),
    };
    outln!("{}: {finished} of {runs} runs are finished; {at_work}", sweep.path().display());
    if begun.is_empty() {
        return;
    }
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    let rows: Vec<Vec<String>> = begun
        .iter()
        .map(|one| {
            let silent = one.silent_seconds.and_then(|s| Duration::try_from_secs_f64(s).ok());
            vec![
                one.run.clone(),
                format!("{}/{}", one.step, one.steps),
                one.loss.map(|loss| format!("{loss:.3}")).unwrap_or_default(),
                one.validation_accuracy.map(percent).unwrap_or_default(),
                silent.map(|silent| format!("{} ago", duration(silent))).unwrap_or_default(),
                match one.running {
                    true => format!("process {} on {}", one.process, one.host),
                    false => "stopped".to_owned(),
                },
            ]
        })
        .collect();
    out!("{}", table(&["run", "step", "loss", "validation", "last step", "where"], &rows));
}

impl Begun {
    /// How far the run in `dir` is; nothing where it has not really begun, or has ended just now.
    fn of(dir: &RunDir) -> Result<Option<Self>, Error> {
        let (Some(attempt), Some(name)) = (dir.attempt()?, dir.path().file_name()) else {
            return Ok(None);
        };
        let Ok(events) = dir.metrics() else { return Ok(None) };
        let mut begun = Self {
            run: name.to_string_lossy().into_owned(),
            // Who can lock it knows that nobody else has.
            running: dir.lock()?.is_none(),
            host: attempt.host,
            process: attempt.process,
            step: attempt.after_step,
            steps: attempt.steps,
            loss: None,
            validation_accuracy: None,
            silent_seconds: None,
        };
        for line in events {
            // A line that cannot be read is told where it matters.
            let Ok(line) = line else { break };
            match line.event {
                Event::Train(step) => {
                    begun.step = step.step;
                    begun.loss = Some(step.loss);
                    begun.silent_seconds = line.time.map(|time| (record::now() - time).max(0.0));
                }
                Event::Validation(validation) => {
                    begun.validation_accuracy = Some(validation.accuracy);
                }
                _ => {}
            }
        }
        Ok(Some(begun))
    }
}
