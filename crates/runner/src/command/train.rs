use crate::cli::TrainArgs;
use crate::console::SweepProgress;
use crate::execute::{Workers, execute, keep_panics_quiet};
use crate::experiment::{DEFAULT_FILE, Experiment};
use crate::plan::Plan;
use crate::sweep_dir::SweepDir;
use crate::{Error, interrupt};
use record::{Outcome, RunDir, RunState};
use std::path::PathBuf;

/// Trains one run. Its record lies where the sweep's do, so that a sweep that wants it finds it done.
pub(crate) fn run(args: &TrainArgs) -> Result<(), Error> {
    let mut experiment = Experiment::load(&args.experiment)?;
    let file = args.experiment.file.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_FILE));
    let known: Vec<String> = experiment.tasks.keys().cloned().collect();
    let task = args.task.clone().unwrap_or_else(|| known[0].clone());
    if !experiment.tasks.contains_key(&task) {
        return Err(Error::Usage(format!(
            "--task {task}: {} has the tasks {}",
            file.display(),
            known.join(", ")
        )));
    }
    experiment.tasks.retain(|name, _| *name == task);
    experiment.activations = vec![args.activation.parse()?];
    experiment.baseline = None;
    experiment.overrides.retain(|change| change.task.as_ref().is_none_or(|name| *name == task));
    experiment.seeds = vec![args.seed.unwrap_or(experiment.seeds[0])];
    let plan = Plan::new(&experiment, &file)?;
    let run = &plan.runs[0];

    let sweep = SweepDir::new(experiment.dir());
    let _lock = sweep.lock()?;
    let dir = RunDir::of(&sweep.runs(), &run.spec);
    let record = if dir.state() == RunState::Finished {
        eprintln!("this run is done already");
        dir.record()?
    } else {
        keep_panics_quiet();
        interrupt::install();
        let progress = SweepProgress::new(&plan.runs, |_| false);
        let workers = Workers::new(plan.device, 1, None, experiment.threads);
        execute(&[run], &sweep.runs(), plan.device, workers, &progress)?;
        dir.record()?
    };
    let percent = |accuracy: f64| format!("{:.2} %", 100.0 * accuracy);
    println!("run          {}", run.spec.label());
    match &record.outcome {
        Outcome::Completed => println!("outcome      completed"),
        Outcome::Diverged { step, reason } => {
            println!("outcome      diverged at step {step}: {reason}")
        }
        Outcome::Failed { reason } => println!("outcome      failed: {reason}"),
    }
    if let Some(summary) = &record.summary {
        println!("parameters   {}", summary.parameters);
        println!("steps        {}", summary.steps);
        if let Some(best) = summary.best_validation {
            println!("validation   {} at step {}", percent(best.accuracy), best.step);
        }
        if let Some(test) = summary.test {
            println!("test         {}", percent(test.accuracy));
        }
    }
    println!("examples/s   {:.0}", record.timing.examples_per_second);
    println!("record       {}", dir.path().join("record.json").display());
    match record.outcome {
        Outcome::Failed { .. } => Err(Error::RunsFailed { failed: 1, runs: 1 }),
        _ => Ok(()),
    }
}
