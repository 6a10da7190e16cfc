use super::status::is_run;
use crate::cli::RerunArgs;
use crate::console::test_value;
use crate::console::{note, outln};
use crate::device;
use crate::environment::cores;
use crate::execute::launcher::{End, Limits, Local};
use crate::execute::{Job, JobContext};
use crate::{Error, interrupt};
use record::{
    Event, ExampleLoss, Outcome, Prediction, Predictions, RunDir, RunRecord, RunState, Summary,
};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::sync::Arc;

/// Name of the sweep that a repeated run belongs to. No sweep of an experiment can have it.
const REPETITION: &str = "actlab rerun";

/// Trains the run once more, from nothing but its record, and compares what came out.
pub(crate) fn run(args: &RerunArgs) -> Result<(), Error> {
    let before = RunDir::at(args.run.clone());
    let record = finished(&before)?;
    let measured = measured(&before)?;
    if let Outcome::Failed { reason } = &record.outcome {
        note!("the run failed: {reason}");
    }
    let numerics = actlab_core::numerics(&record.spec.device);
    if record.spec.numerics != numerics {
        note!(
            "the record is of training code {}, and this program has {numerics}: its numbers will be others",
            record.spec.numerics,
        );
    }
    let device = match &args.device {
        Some(text) => device::named(text)?.to_string(),
        None => record.environment.device.clone(),
    };
    let data = &record.spec.data.name;
    let job = Job {
        token: format!("rerun-{}", std::process::id()),
        spec: record.spec.clone(),
        goes_on_from: None,
        repeats: true,
        context: JobContext {
            sweep: REPETITION.to_owned(),
            runs: args.output.clone(),
            device,
            other_devices: Vec::new(),
            threads: args.threads.unwrap_or_else(cores),
            jobs: 1,
            data_dir: args.place.data_dir.clone(),
            data_folders: args
                .place
                .folder
                .iter()
                .map(|folder| (data.clone(), folder.clone()))
                .collect(),
            system_metrics: 0.0,
            checkpoint_every: None,
        },
    };
    let after = job.dir();
    refuse_to_overwrite(&before, &after)?;
    note!("{}: training it again", record.spec.label());
    train(&job)?;
    let again = after.record()?;
    let differences = compare((&before, &record, &measured), &after, &again)?;
    for line in environment(&record, &again) {
        outln!("{line}");
    }
    outln!("record       {}", after.path().join("record.json").display());
    if differences.is_empty() {
        outln!("the same     every step, every evaluation and every prediction, to the last bit");
        return Ok(());
    }
    for line in differences {
        outln!("differs      {line}");
    }
    Err(Error::Differs)
}

/// The record of the run in `dir`, which must have ended.
fn finished(dir: &RunDir) -> Result<RunRecord, Error> {
    let folder = dir.path().display();
    if !is_run(dir.path()) {
        let hint = match dir.path().join("runs").is_dir() {
            true => ": name the folder of one of its runs, which are in `runs`",
            false => "",
        };
        return Err(Error::Usage(format!("{folder} is not the folder of a run{hint}")));
    }
    if !dir.path().join("record.json").exists() {
        let message =
            format!("the run in {folder} is not finished: `actlab status` shows its progress");
        return Err(Error::Usage(message));
    }
    Ok(dir.record()?)
}

/// Refuses to repeat a run in the folder of its original, or in that of a run of a sweep: what is there would be lost.
fn refuse_to_overwrite(before: &RunDir, after: &RunDir) -> Result<(), Error> {
    let place = |dir: &RunDir| dir.path().canonicalize().ok();
    let Some(there) = place(after) else { return Ok(()) };
    let what = if place(before).as_ref() == Some(&there) {
        "the record that is compared with"
    } else if is_repetition(after) {
        return Ok(());
    } else {
        "another run"
    };
    Err(Error::Usage(format!(
        "{} holds {what}: choose another folder with --output",
        after.path().display()
    )))
}

/// Whether the folder holds what an earlier repetition left.
fn is_repetition(dir: &RunDir) -> bool {
    let mut events = dir.metrics().into_iter().flatten();
    let sweep = events.find_map(|line| match line.ok()?.event {
        Event::Start(start) => Some(start.sweep),
        _ => None,
    });
    match sweep {
        Some(sweep) => sweep == REPETITION,
        // It ended before its first event, and nothing can be lost.
        None => matches!(dir.state(), RunState::Absent | RunState::Unfinished),
    }
}

fn train(job: &Job) -> Result<(), Error> {
    interrupt::install();
    // What an earlier repetition left is not resumed, unless another process still works on it.
    if job.dir().lock()?.is_none() {
        return Err(Error::Usage(format!(
            "another process works in {}: wait for it, or choose another folder with --output",
            job.dir().path().display()
        )));
    }
    match std::fs::remove_dir_all(job.dir().path()) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(Error::io("remove", job.dir().path())(error));
        }
        _ => {}
    }
    let mut local = Local::new(1, false, Limits::default(), Arc::new(|line| note!("{line}")));
    match local.run(job)? {
        End::Done => Ok(()),
        End::Stopped | End::NotStarted => {
            Err(Error::Interrupted("the repetition is not finished".into()))
        }
        End::Refused { reason, .. } | End::Died { reason, .. } | End::Lost { reason } => {
            Err(Error::Worker { label: job.spec.label(), reason })
        }
    }
}

/// What came out otherwise.
fn compare(
    (before, record, then): (&RunDir, &RunRecord, &[Measured]),
    after: &RunDir,
    again: &RunRecord,
) -> Result<Vec<String>, Error> {
    let mut differences = Vec::new();
    // As text: NaN is not equal to itself.
    let outcome = |record: &RunRecord| serde_json::to_string(&record.outcome).unwrap_or_default();
    // What early records lack is no difference.
    let known = |has: fn(&Summary) -> bool| {
        [record, again].into_iter().flat_map(|record| &record.summary).all(has)
    };
    let (examples, metric) =
        (known(|one| one.test_examples.is_some()), known(|one| one.metric.is_some()));
    let summary = |record: &RunRecord| {
        let mut summary = record.summary.clone();
        if let Some(summary) = &mut summary {
            summary.test_examples = summary.test_examples.filter(|_| examples);
            summary.metric = summary.metric.take().filter(|_| metric);
        }
        serde_json::to_string(&summary).unwrap_or_default()
    };
    if outcome(record) != outcome(again) {
        differences.push(format!("the outcome: {} was {}", outcome(again), outcome(record)));
    }
    if let Some(step) = first_difference(then, &measured(after)?) {
        differences.push(format!("the metrics, from step {step} on"));
    }
    if summary(record) != summary(again) {
        let test = |record: &RunRecord| test_value(record).unwrap_or_else(|| "none".to_owned());
        let metric = again.summary.as_ref().map(|summary| summary.metric().label);
        differences.push(format!(
            "the summary: test {} {} was {}",
            metric.unwrap_or_default(),
            test(again),
            test(record)
        ));
    }
    differences.extend(predictions(before, after));
    Ok(differences)
}

/// How the test predictions differ, or why they cannot be compared.
fn predictions(before: &RunDir, after: &RunDir) -> Option<String> {
    let absent = |read: &Result<Predictions, record::Error>| matches!(read, Err(record::Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound);
    let (then, now) = (before.predictions(), after.predictions());
    if absent(&then) && absent(&now) {
        // A trial has none, nor has a run that diverged.
        return None;
    }
    let (then, now) = match (then, now) {
        (Ok(then), Ok(now)) => (then, now),
        (Err(error), _) | (_, Err(error)) => {
            return Some(format!("the predictions cannot be compared: {error}"));
        }
    };
    if then.len() != now.len() {
        return Some(format!(
            "there are predictions for {} test examples, not {}",
            now.len(),
            then.len()
        ));
    }
    let bits = |number: Option<f64>| number.map(f64::to_bits);
    let same = |then: &Prediction, now: &Prediction| {
        // Early files have no confidence.
        let confident = then.confidence.is_none() || bits(then.confidence) == bits(now.confidence);
        (then.label, then.predicted) == (now.label, now.predicted)
            && then.probability.to_bits() == now.probability.to_bits()
            && confident
    };
    let count = match (&then, &now) {
        (Predictions::Classes(then), Predictions::Classes(now)) => {
            then.iter().zip(now).filter(|(then, now)| !same(then, now)).count()
        }
        (Predictions::Losses(then), Predictions::Losses(now)) => {
            let same = |then: &ExampleLoss, now: &ExampleLoss| {
                then.loss.to_bits() == now.loss.to_bits() && then.units == now.units
            };
            then.iter().zip(now).filter(|(then, now)| !same(then, now)).count()
        }
        _ => then.len(),
    };
    (count > 0).then(|| format!("the predictions for {count} test examples"))
}

/// What was measured at a step, as text.
type Measured = (u64, String);

/// What the run in `dir` has measured.
fn measured(dir: &RunDir) -> Result<Vec<Measured>, Error> {
    let mut lines = Vec::new();
    for line in dir.metrics()? {
        let mut event = line?.event;
        if let Event::Train(step) = &mut event {
            // How long it took is no result.
            step.seconds = 0.0;
        }
        if let Some((step, _)) = event.metrics() {
            lines.push((step, serde_json::to_string(&event).unwrap_or_default()));
        }
    }
    Ok(lines)
}

/// The first step at which the metrics are not the same.
fn first_difference(then: &[Measured], now: &[Measured]) -> Option<u64> {
    let place = then.iter().zip(now).position(|(then, now)| then != now);
    let place = place.or_else(|| (then.len() != now.len()).then(|| then.len().min(now.len())));
    place.and_then(|place| then.get(place).or(now.get(place))).map(|(step, _)| *step)
}

/// What is another machine, compiler or program now.
fn environment(record: &RunRecord, again: &RunRecord) -> Vec<String> {
    let fields = |record: &RunRecord| -> BTreeMap<String, Value> {
        match serde_json::to_value(&record.environment) {
            Ok(Value::Object(fields)) => fields.into_iter().collect(),
            _ => BTreeMap::new(),
        }
    };
    let (before, after) = (fields(record), fields(again));
    let keys = before.keys().chain(after.keys().filter(|key| !before.contains_key(*key)));
    keys.filter(|key| before.get(*key) != after.get(*key))
        .map(|key| {
            let word = |value: Option<&Value>| value.map_or("none".to_owned(), Value::to_string);
            format!("{key:<12} {}, was {}", word(after.get(key)), word(before.get(key)))
        })
        .collect()
}
