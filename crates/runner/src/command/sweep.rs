use crate::cli::SweepArgs;
use crate::console::{self, SweepProgress, duration, note, out, outln};
use crate::execute::launcher::LauncherKind;
use crate::execute::worker::Executor;
use crate::execute::{Execution, PlannedWork, Work, Workers, launcher};
use crate::experiment::{DEFAULT_FILE, Experiment};
use crate::plan::{Plan, PlannedRun};
use crate::search::Evolution;
use crate::sequential::Stages;
use crate::sweep_dir::{Manifest, SweepDir, which_are_done};
use crate::tracking::{self, Sinks, Tracking};
use crate::tune::{Count, Tuning};
use crate::{Error, environment, interrupt};
use actlab_core::DeviceSpec;
use record::RunDir;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::{Duration, Instant};

pub(crate) fn run(args: &SweepArgs) -> Result<(), Error> {
    let experiment = Experiment::load(&args.experiment)?;
    if experiment.search.is_some() {
        let file = args.experiment.file.as_deref().unwrap_or(Path::new(DEFAULT_FILE)).display();
        let message = format!("a file with a [search] table is run by `actlab search {file}`");
        return Err(experiment.error("search", &message));
    }
    carry_out(&experiment, args.dry_run)
}

/// Runs `experiment` to its end, with what it tunes or searches for; or shows what that would be.
pub(super) fn carry_out(experiment: &Experiment, dry: bool) -> Result<(), Error> {
    let mut plan = Plan::new(experiment)?;
    let sweep = SweepDir::new(experiment.dir());
    // Before anything is written: a device or a key that is not there must not disturb a sweep that is.
    let sinks = tracking::settings(experiment)?;
    if dry {
        return dry_run(experiment, &mut plan, &sweep);
    }
    let device = plan.planner.device;
    device.open()?;
    let manifest = Manifest::of(experiment, &plan);
    let Plan { runs: base, planner, .. } = &mut plan;
    // After what may still be refused, since it makes the folder; where nothing is left to do, it may be for reading alone.
    let lock = || match sweep.lock() {
        Err(error) if error.is_read_only() && is_complete(&sweep, &manifest) => Ok(None),
        lock => lock.map(Some),
    };
    if experiment.tune.is_some() {
        let mut tuning = Tuning::new(experiment, planner, &sweep, manifest.clone())?;
        let costs = tuning.costs(base);
        let Some(_lock) = lock()? else { return super::report::write_and_print(&sweep) };
        go_on(experiment, &sweep, device, sinks, &mut tuning, costs)
    } else if experiment.search.is_some() {
        let mut evolution = Evolution::new(experiment, planner, &sweep, manifest.clone())?;
        let costs = evolution.costs(base);
        let Some(_lock) = lock()? else { return super::report::write_and_print(&sweep) };
        go_on(experiment, &sweep, device, sinks, &mut evolution, costs)
    } else {
        let Some(_lock) = lock()? else { return super::report::write_and_print(&sweep) };
        if let Some(looks) = manifest.looks.clone() {
            let costs = base.iter().map(|run| (run.spec.task.clone(), run.cost())).collect();
            let runs = std::mem::take(base);
            let mut work = Stages::new(runs, &looks.seeds, &looks.order, &sweep, manifest);
            return go_on(experiment, &sweep, device, sinks, &mut work, costs);
        }
        sweep.write_manifest(&manifest)?;
        let mut work = PlannedWork::new(base, &sweep.runs());
        let costs = work.open().map(|run| (run.spec.task.clone(), run.cost())).collect();
        go_on(experiment, &sweep, device, sinks, &mut work, costs)
    }
}

/// Whether the folder holds the very experiment of `manifest`, and all its runs are finished.
fn is_complete(sweep: &SweepDir, manifest: &Manifest) -> bool {
    let same = sweep.manifest().is_ok_and(|there| there.experiment == manifest.experiment);
    same && sweep.progress().is_ok_and(|progress| progress.finished >= progress.runs)
}

/// Resumes a sweep, trains it to its end, and shows what came out.
pub(super) fn go_on(
    experiment: &Experiment,
    sweep: &SweepDir,
    device: DeviceSpec,
    sinks: Sinks,
    work: &mut dyn Work,
    costs: Vec<(String, f64)>,
) -> Result<(), Error> {
    let first = work.next()?;
    let done = work.done().len();
    let progress = SweepProgress::new(work.total(), done, costs);
    let tracking = Tracking::start(experiment, sinks, progress.notice())?;
    work.done().iter().for_each(RunDir::tidy_after_kill);
    tracking.catch_up(work.done());
    let some = !first.is_empty();
    let result = if some {
        tracking.expect_report(sweep);
        train(experiment, sweep, device, first, work, &progress, &tracking)
    } else {
        Ok(())
    };
    // What is there is shown even where the sweep could not continue.
    let shown = match &result {
        Ok(()) | Err(Error::RunsFailed { .. }) => super::report::write_and_print(sweep),
        Err(_) => Ok(()),
    };
    if shown.is_ok() && !interrupt::interrupted() {
        tracking.report(sweep, some);
    }
    tracking.finish(sweep);
    // Why runs have no result matters more than that there is no report yet.
    result.and(shown)
}

/// Trains the runs `first` and all that follow from them.
pub(super) fn train(
    experiment: &Experiment,
    sweep: &SweepDir,
    device: DeviceSpec,
    first: Vec<PlannedRun>,
    work: &mut dyn Work,
    progress: &SweepProgress,
    tracking: &Tracking,
) -> Result<(), Error> {
    interrupt::install();
    environment::check_memory_limit(experiment.memory_limit);
    let (total, done) = (work.total(), work.done().len());
    let workers = Workers::new(device, total - done, experiment);
    let how = match experiment.launcher {
        LauncherKind::Local => format!("{} at a time", workers.jobs),
        LauncherKind::Slurm => "as tasks of Slurm".to_owned(),
    };
    progress.line(&format!(
        "{}: {total} runs, {done} of them done; {how}, with {} {} each; results go to {}",
        experiment.name,
        workers.threads,
        if workers.threads == 1 { "thread" } else { "threads" },
        sweep.path().display()
    ));
    tracking.introduce();
    let runs = sweep.runs();
    let execution = Execution::new(experiment, &runs, device, workers, progress, tracking);
    let mut launcher = launcher(experiment, device, workers, progress.notice())?;
    execution.execute(first, work, &mut *launcher)
}

/// Shows what would be trained. The time is measured: one step of every arm on every task.
fn dry_run<'a>(
    experiment: &'a Experiment,
    plan: &mut Plan<'a>,
    sweep: &'a SweepDir,
) -> Result<(), Error> {
    let device = plan.planner.device;
    let labels = plan.planner.labels.clone();
    let manifest = Manifest::of(experiment, plan);
    let Plan { runs: base, planner, .. } = plan;
    let counts: Vec<Count> = if experiment.tune.is_some() {
        let mut tuning = Tuning::new(experiment, planner, sweep, manifest)?.dry();
        tuning.next()?;
        tuning.counts()
    } else if experiment.search.is_some() {
        let mut evolution = Evolution::new(experiment, planner, sweep, manifest)?.dry();
        evolution.next()?;
        evolution.counts()
    } else {
        let done = which_are_done(base, &sweep.runs());
        let count = |(run, (_, done)): (&PlannedRun, &(RunDir, bool))| {
            let (task, activation) = (run.spec.task.clone(), run.spec.activation.label.clone());
            Count { task, activation, runs: 1, trials: 0, done: usize::from(*done), whole: 1.0 }
        };
        base.iter().zip(&done).map(count).collect()
    };
    let runs: usize = counts.iter().map(|count| count.runs).sum();
    let workers = Workers::new(device, runs, experiment);
    let devices: Vec<_> = device.places().into_iter().take(experiment.replicas()).collect();
    let mut stopwatch = Stopwatch::new(Executor::new(&devices, workers.threads)?);
    let mut counted: HashMap<(&str, &str), Vec<&Count>> = HashMap::new();
    for count in &counts {
        counted.entry((&count.task, &count.activation)).or_default().push(count);
    }
    let mut cells: BTreeMap<(usize, usize), Cell> = BTreeMap::new();
    for run in base.iter() {
        let task = experiment.tasks.get_index_of(&run.spec.task).unwrap_or_default();
        let arm = labels.iter().position(|label| *label == run.spec.activation.label);
        if let Entry::Vacant(entry) = cells.entry((task, arm.unwrap_or_default())) {
            let mut cell = Cell::new(run, stopwatch.step_seconds(run)?);
            for count in
                counted.get(&(cell.task.as_str(), cell.label.as_str())).into_iter().flatten()
            {
                cell.runs += count.runs;
                cell.trials += count.trials;
                cell.done += count.done;
                cell.whole += count.whole;
            }
            entry.insert(cell);
        }
    }
    if stopwatch.estimated > 0 {
        note!(
            "note: after {} s of measuring, the steps of {} pairs of activation and task were estimated from their operations",
            MEASURING.as_secs(),
            stopwatch.estimated
        );
    }
    let mut cells: Vec<Cell> = cells.into_values().collect();
    // Arms that are not known yet cost about what the others do.
    for count in counts.iter().filter(|count| !labels.contains(&count.activation)) {
        if let Some(like) = cells.iter().rposition(|cell| cell.task == count.task) {
            let cell = cells[like].like(count);
            cells.insert(like + 1, cell);
        }
    }
    show(&cells, workers.jobs, sweep);
    if let Some(search) = &experiment.search {
        outln!("{}", search.at_most());
    }
    Ok(())
}

/// Column of trials in the plan, where there are any.
const TRIALS: usize = 5;

/// Prints the plan: a line for each arm on each task, and the time of all, `jobs` at a time.
fn show(cells: &[Cell], jobs: usize, sweep: &SweepDir) {
    let trials: usize = cells.iter().map(|cell| cell.trials).sum();
    let rows: Vec<Vec<String>> = cells
        .iter()
        .map(|cell| {
            let mut row = vec![
                cell.task.clone(),
                cell.label.clone(),
                cell.model.clone(),
                cell.parameters.to_string(),
                cell.steps.to_string(),
                cell.runs.to_string(),
                cell.done.to_string(),
                duration(seconds(cell.run_seconds)),
            ];
            if trials > 0 {
                row.insert(TRIALS, cell.trials.to_string());
                row[TRIALS + 1] = (cell.runs - cell.trials).to_string();
            }
            row
        })
        .collect();
    let mut header = vec!["task", "activation", "model", "params", "steps"];
    header.extend(if trials > 0 { &["trials", "final"][..] } else { &["runs"] });
    header.extend(["done", "per run"]);
    out!("{}", console::fitted(&header, &rows, &[0, 1, 2]));
    let left = cells.iter().map(Cell::seconds_left).sum::<f64>() / jobs as f64;
    let (runs, done) =
        cells.iter().fold((0, 0), |(runs, done), cell| (runs + cell.runs, done + cell.done));
    outln!(
        "\n{runs} runs, {done} of them done; the others take about {} here, {} at a time",
        duration(seconds(left)),
        jobs
    );
    outln!("results go to {}", sweep.path().display());
}

/// Time after which steps are no longer measured.
const MEASURING: Duration = Duration::from_secs(10);

/// Operations of a forward pass over the batch of a step that is measured: about a second of an old processor's core.
const MEASURED_FLOPS: f64 = 1e10;

/// Examples of a step that is measured.
const MEASURED_EXAMPLES: usize = 1024;

/// Parameters of a model whose step is measured: with gradients and momenta about a gigabyte.
const MEASURED_PARAMETERS: u64 = 50_000_000;

/// So many seconds, or as many as a duration holds.
fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

/// Measures steps, in a bounded time.
struct Stopwatch {
    executor: Executor,
    started: Instant,
    /// Seconds of all steps that were measured, and their operations.
    measured: (f64, f64),
    /// Steps that were not measured.
    estimated: usize,
}

impl Stopwatch {
    fn new(executor: Executor) -> Self {
        Self { executor, started: Instant::now(), measured: (0.0, 0.0), estimated: 0 }
    }

    /// Seconds that a step of `run` takes. A large batch is measured in part; where much time has gone into
    /// measuring, the step is estimated from those before.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an estimate"
    )]
    fn step_seconds(&mut self, run: &PlannedRun) -> Result<f64, Error> {
        let (seconds, operations) = self.measured;
        let (label, task) = (&run.spec.activation.label, &run.spec.task);
        let small = run.size.parameters <= MEASURED_PARAMETERS
            && (run.size.flops as f64) <= 10.0 * MEASURED_FLOPS;
        if !small {
            note!(
                "not measuring a step of {label} on {task}: the model is too large; its time is estimated"
            );
        }
        if !small || (self.started.elapsed() > MEASURING && operations > 0.0) {
            self.estimated += usize::from(small);
            let each = if operations > 0.0 { seconds / operations } else { 3.0 / MEASURED_FLOPS };
            return Ok(each * run.step_cost());
        }
        let batch = run.spec.training.batch_size;
        let most = (MEASURED_FLOPS / (run.size.flops as f64).max(1.0)) as usize;
        let part = batch.min(most.clamp(1, MEASURED_EXAMPLES));
        let examples = if part < batch {
            format!(", with {part} of the {batch} examples of its batch")
        } else {
            String::new()
        };
        note!("measuring a step of {label} on {task}{examples}");
        let mut smaller = run.clone();
        smaller.spec.training.batch_size = part;
        let measured = self.executor.step_seconds(&smaller)?;
        self.measured.0 += measured;
        self.measured.1 += smaller.step_cost();
        Ok(measured * batch as f64 / part as f64)
    }
}

/// One arm on one task.
struct Cell {
    task: String,
    label: String,
    model: String,
    parameters: u64,
    steps: u64,
    runs: usize,
    /// Those of them that choose values or formulas.
    trials: usize,
    done: usize,
    /// Budgets of all runs: a trial may have a part of one.
    whole: f64,
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
            model: run.described.model.clone(),
            parameters: run.size.parameters,
            steps: run.steps,
            runs: 0,
            trials: 0,
            done: 0,
            whole: 0.0,
            run_seconds: run.steps as f64 * step_seconds + judging,
        }
    }

    /// What `count` says, with the costs of this one.
    fn like(&self, count: &Count) -> Self {
        Self {
            task: self.task.clone(),
            label: count.activation.clone(),
            model: self.model.clone(),
            runs: count.runs,
            trials: count.trials,
            done: count.done,
            whole: count.whole,
            ..*self
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    fn seconds_left(&self) -> f64 {
        let open = (self.runs - self.done.min(self.runs)) as f64 / self.runs.max(1) as f64;
        self.whole * open * self.run_seconds
    }
}
