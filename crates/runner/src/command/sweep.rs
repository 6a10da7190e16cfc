use crate::cli::SweepArgs;
use crate::console::{self, SweepProgress, duration, note, out, outln};
use crate::execute::worker::Executor;
use crate::execute::{Execution, Workers, launcher};
use crate::experiment::Experiment;
use crate::plan::{Plan, PlannedRun};
use crate::sweep_dir::SweepDir;
use crate::tracking::{self, Tracking};
use crate::{Error, interrupt};
use record::{Outcome, RunDir, RunState};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::Duration;

pub(crate) fn run(args: &SweepArgs) -> Result<(), Error> {
    let experiment = Experiment::load(&args.experiment)?;
    let plan = Plan::new(&experiment)?;
    let sweep = SweepDir::new(experiment.dir());
    if args.dry_run {
        return dry_run(&experiment, &plan, &sweep);
    }
    // Before anything is written: a device or a key that is not there must not disturb a sweep that is.
    let wandb = tracking::settings(&experiment)?;
    plan.device.open()?;
    let _lock = sweep.lock()?;
    sweep.write_manifest(&plan, &experiment)?;

    let dirs: Vec<RunDir> =
        plan.runs.iter().map(|run| RunDir::of(&sweep.runs(), &run.spec)).collect();
    let done = dirs.iter().map(is_done).collect::<Result<Vec<bool>, Error>>()?;
    let progress = SweepProgress::new(&plan.runs, &done);
    let tracking = Tracking::start(&experiment, wandb, &sweep, progress.notice())?;
    let finished: Vec<RunDir> =
        dirs.iter().zip(&done).filter(|(_, done)| **done).map(|(dir, _)| dir.clone()).collect();
    tracking.catch_up(&finished);
    let result = execute(&experiment, &plan, &sweep, &done, &progress, &tracking);
    // What is there is shown even where the sweep could not go on.
    let shown = match &result {
        Ok(()) | Err(Error::RunsFailed { .. }) => super::report::write_and_print(&sweep),
        Err(_) => Ok(()),
    };
    if finished.len() < plan.runs.len() && shown.is_ok() && !interrupt::interrupted() {
        tracking.report(&sweep);
    }
    tracking.finish(&sweep);
    shown?;
    result
}

/// Trains every run that is not done.
fn execute(
    experiment: &Experiment,
    plan: &Plan,
    sweep: &SweepDir,
    done: &[bool],
    progress: &SweepProgress,
    tracking: &Tracking,
) -> Result<(), Error> {
    let runs = sweep.runs();
    let mut open: Vec<PlannedRun> = plan
        .runs
        .iter()
        .zip(done)
        .filter(|(_, done)| !**done)
        .map(|(run, _)| run.clone())
        .collect();
    if !open.is_empty() {
        interrupt::install();
        let workers =
            Workers::new(plan.device, open.len(), experiment.jobs.number(), experiment.threads);
        progress.line(&format!(
            "{}: {} runs, {} of them done; {} at a time, with {} {} each; results go to {}",
            experiment.name,
            plan.runs.len(),
            plan.runs.len() - open.len(),
            workers.jobs,
            workers.threads,
            if workers.threads == 1 { "thread" } else { "threads" },
            sweep.path().display()
        ));
        tracking.introduce(sweep);
        let execution = Execution::new(experiment, &runs, plan.device, workers, progress, tracking);
        execution.execute(&mut open, &mut *launcher(experiment, workers, progress.notice()))?;
    }
    let mut failed = 0;
    for run in &plan.runs {
        let record = RunDir::of(&runs, &run.spec).record()?;
        failed += usize::from(matches!(record.outcome, Outcome::Failed { .. }));
    }
    if failed > 0 {
        return Err(Error::RunsFailed { failed, runs: plan.runs.len() });
    }
    Ok(())
}

/// Whether the run has a record that counts: one of another schema does not, nor one of a failure, which is
/// tried again: what made it fail may have been mended.
fn is_done(dir: &RunDir) -> Result<bool, Error> {
    if dir.state() != RunState::Finished {
        return Ok(false);
    }
    match dir.record() {
        Ok(record) => Ok(!matches!(record.outcome, Outcome::Failed { .. })),
        Err(error @ record::Error::Schema { .. }) => {
            console::warning(&format!("{error}; it is run again now"));
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}

/// Shows what would be trained. The time is measured: one step of every arm on every task.
fn dry_run(experiment: &Experiment, plan: &Plan, sweep: &SweepDir) -> Result<(), Error> {
    let workers =
        Workers::new(plan.device, plan.runs.len(), experiment.jobs.number(), experiment.threads);
    let executor = Executor::new(plan.device, workers.threads)?;
    let runs_dir = sweep.runs();
    let mut cells: BTreeMap<(usize, usize), Cell> = BTreeMap::new();
    for run in &plan.runs {
        let task = experiment.tasks.get_index_of(&run.spec.task).unwrap_or_default();
        let arm = plan.labels.iter().position(|label| *label == run.spec.activation.label);
        let cell = match cells.entry((task, arm.unwrap_or_default())) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                note!("measuring a step of {} on {}", run.spec.activation.label, run.spec.task);
                entry.insert(Cell::new(run, executor.measure_step(run)?))
            }
        };
        cell.runs += 1;
        cell.done += usize::from(is_done(&RunDir::of(&runs_dir, &run.spec))?);
    }
    let rows: Vec<Vec<String>> = cells
        .values()
        .map(|cell| {
            vec![
                cell.task.clone(),
                cell.label.clone(),
                cell.model.clone(),
                cell.parameters.to_string(),
                cell.steps.to_string(),
                cell.runs.to_string(),
                cell.done.to_string(),
                duration(Duration::from_secs_f64(cell.run_seconds)),
            ]
        })
        .collect();
    let header =
        ["task", "activation", "model", "parameters", "steps", "runs", "done", "time a run"];
    out!("{}", console::table(&header, &rows));
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let left: f64 =
        cells.values().map(|cell| (cell.runs - cell.done) as f64 * cell.run_seconds).sum::<f64>()
            / workers.jobs as f64;
    let (runs, done) =
        cells.values().fold((0, 0), |(runs, done), cell| (runs + cell.runs, done + cell.done));
    outln!(
        "\n{runs} runs, {done} of them done; the others take about {} here, {} at a time",
        duration(Duration::from_secs_f64(left)),
        workers.jobs
    );
    outln!("results go to {}", sweep.path().display());
    Ok(())
}

/// One arm on one task.
struct Cell {
    task: String,
    label: String,
    model: String,
    parameters: u64,
    steps: u64,
    runs: usize,
    done: usize,
    run_seconds: f64,
}

impl Cell {
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    fn new(run: &PlannedRun, step_seconds: f64) -> Self {
        let training = &run.spec.training;
        let per_epoch = run.data.train.len().div_ceil(training.batch_size) as u64;
        let evaluations = run.steps.div_ceil(training.evaluate_every.unwrap_or(per_epoch));
        // A forward pass is a third of a step.
        let judged =
            evaluations as f64 * run.data.validation.len() as f64 + run.data.test.len() as f64;
        let judging = judged / training.batch_size as f64 * step_seconds / 3.0;
        Self {
            task: run.spec.task.clone(),
            label: run.spec.activation.label.clone(),
            model: run.spec.model.label(),
            parameters: run.size.parameters,
            steps: run.steps,
            runs: 0,
            done: 0,
            run_seconds: run.steps as f64 * step_seconds + judging,
        }
    }
}
