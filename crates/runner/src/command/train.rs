use crate::arm::ArmRequest;
use crate::cli::TrainArgs;
use crate::console::{SweepProgress, note, out, outln};
use crate::execute::{Execution, PlannedWork, Work, Workers, launcher};
use crate::experiment::{Experiment, comma_separated};
use crate::plan::Plan;
use crate::sweep_dir::{SweepDir, which_are_done};
use crate::tracking::{self, Tracking};
use crate::{Error, interrupt, shell};
use record::{Outcome, RunDir, RunRecord};

/// Trains some runs. Their records lie where the sweep's do, so that a sweep that wants them finds them done.
pub(crate) fn run(args: &TrainArgs) -> Result<(), Error> {
    let mut experiment = Experiment::load(&args.experiment())?;
    let baseline = baseline(&experiment);
    choose(&mut experiment, args)?;
    let plan = Plan::new(&experiment)?;
    let device = plan.planner.device;

    let sinks = tracking::settings(&experiment)?;
    device.open()?;
    let sweep = SweepDir::new(experiment.dir());
    let _lock = sweep.lock()?;
    let runs = sweep.runs();
    let dirs: Vec<(RunDir, bool)> = which_are_done(&plan.runs, &runs);
    for (run, (_, done)) in plan.runs.iter().zip(&dirs) {
        if *done {
            note!("{} is done already", run.spec.label());
        }
    }
    dirs.iter().filter(|(_, done)| *done).for_each(|(dir, _)| dir.tidy_after_kill());
    let open = dirs.iter().filter(|(_, done)| !done).count();
    if open > 0 {
        interrupt::install();
        let mut work = PlannedWork::new(&plan.runs, &runs);
        let costs = work.open().map(|run| (run.spec.task.clone(), run.cost())).collect::<Vec<_>>();
        let progress = SweepProgress::new(plan.runs.len(), plan.runs.len() - open, costs);
        let workers = Workers::new(device, open, &experiment);
        let tracking = Tracking::start(&experiment, sinks, progress.notice())?;
        tracking.introduce();
        let execution = Execution::new(&experiment, &runs, device, workers, &progress, &tracking);
        let mut launcher = launcher(&experiment, device, workers, progress.notice())?;
        let trained = execution.execute(work.next()?, &mut work, &mut *launcher);
        tracking.finish(&sweep);
        match trained {
            // Their records tell the reasons, which are shown below.
            Ok(()) | Err(Error::RunsFailed { refused: 0, .. }) => {}
            Err(error) => return Err(error),
        }
    }
    let mut failed = 0;
    for (place, (dir, _)) in dirs.iter().enumerate() {
        let record = dir.record()?;
        failed += usize::from(matches!(record.outcome, Outcome::Failed { .. }));
        if place > 0 {
            out!("\n");
        }
        show(dir, &record);
    }
    // In the folder of a sweep, the report is that of the sweep.
    let is_sweep = sweep.path().join("sweep.json").exists();
    let folder = match dirs.first() {
        Some((dir, _)) if is_sweep => dir.path(),
        _ => sweep.path(),
    };
    let mut command = format!("actlab report {}", shell::quoted(&folder.display().to_string()));
    // Where no sweep says what is compared, the report takes the first in the alphabet.
    let labels = &plan.planner.labels;
    let other =
        baseline.filter(|label| labels.contains(label) && labels.iter().min() != Some(label));
    if let Some(label) = other.filter(|_| !is_sweep) {
        command += &format!(" --baseline {}", shell::quoted(&label));
    }
    note!("show the results again with `{command}`");
    match failed {
        0 => Ok(()),
        failed => Err(Error::RunsFailed { failed, refused: 0, runs: dirs.len() }),
    }
}

/// The label of the experiment's baseline, where it can be built.
fn baseline(experiment: &Experiment) -> Option<String> {
    let request = experiment.baseline.as_ref().or(experiment.activations.first())?;
    let labels: Vec<String> =
        experiment.activations.iter().filter_map(|arm| arm.label().ok()).collect();
    request.label_among(labels.iter()).ok()
}

/// Leaves in the experiment what is asked for: some activations, which need not be of it, some tasks and seeds.
fn choose(experiment: &mut Experiment, args: &TrainArgs) -> Result<(), Error> {
    let known: Vec<String> = experiment.tasks.keys().cloned().collect();
    let mut tasks = comma_separated(&args.tasks, "--task")?;
    if tasks.is_empty() {
        tasks.extend(known.first().cloned());
    }
    if let Some(task) = tasks.iter().find(|task| !known.contains(task)) {
        let near = activation::nearest(task, known.iter().map(String::as_str));
        return Err(Error::Usage(format!(
            "--task: there is no task `{task}`{}; the tasks of the experiment are {}",
            activation::did_you_mean(&near),
            known.join(", ")
        )));
    }
    experiment.tasks.retain(|name, _| tasks.contains(name));
    let at = |error: &dyn std::fmt::Display| Error::Usage(format!("--activation: {error}"));
    let mut labels = Vec::new();
    for (i, arm) in experiment.activations.iter().enumerate() {
        let label = arm.label();
        labels.push(label.map_err(|error| experiment.error(&format!("activations[{i}]"), &error))?);
    }
    let (mut wanted, mut arms): (Vec<String>, Vec<ArmRequest>) = (Vec::new(), Vec::new());
    for text in comma_separated(&args.activations, "--activation")? {
        let asked: ArmRequest = text.parse().map_err(|error| at(&error))?;
        let label = asked.label_among(labels.iter()).map_err(|error| at(&error))?;
        if wanted.contains(&label) {
            return Err(at(&format!("duplicate activation `{label}`")));
        }
        // An arm of the experiment, or another one.
        let own = labels.iter().position(|own| *own == label);
        arms.push(own.map_or(asked, |place| experiment.activations[place].clone()));
        wanted.push(label);
    }
    experiment.activations = arms;
    experiment.baseline = None;
    for change in std::mem::take(&mut experiment.overrides) {
        let own_task = change.task.as_deref();
        let same_task = tasks.iter().any(|name| experiment.is_task(own_task, name));
        let arm = change.activation.as_ref().map(|arm| arm.label_among(labels.iter()));
        let arm = arm.transpose()?;
        if same_task && arm.is_none_or(|arm| wanted.contains(&arm)) {
            experiment.overrides.push(change);
        }
    }
    match args.seed {
        Some(seed) => experiment.seeds = vec![seed],
        None if args.all_seeds() => {}
        None => experiment.seeds.truncate(1),
    }
    // Runs are what they were asked to be.
    (experiment.tune, experiment.search, experiment.sequential) = (None, None, None);
    Ok(())
}

/// Prints what came out of a run.
pub(super) fn show(dir: &RunDir, record: &RunRecord) {
    outln!("run          {}", record.spec.label());
    match &record.outcome {
        Outcome::Completed => outln!("outcome      completed"),
        Outcome::Diverged { step, reason } => {
            outln!("outcome      diverged at step {step}: {reason}")
        }
        Outcome::Failed { reason } => outln!("outcome      failed: {reason}"),
    }
    if let Some(summary) = &record.summary {
        outln!("parameters   {}", summary.parameters);
        outln!("steps        {}", summary.steps);
        let metric = summary.metric();
        if let Some(best) = &summary.best_validation {
            outln!("validation   {} at step {}", metric.shown(best.value(&metric)), best.step);
        }
        if let Some(test) = &summary.test {
            outln!("test         {}", metric.shown(test.value(&metric)));
        }
    }
    outln!("examples/s   {:.0}", record.timing.examples_per_second);
    outln!("record       {}", dir.path().join("record.json").display());
}
