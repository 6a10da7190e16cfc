use crate::arm::ArmRequest;
use crate::cli::TrainArgs;
use crate::console::{SweepProgress, note, outln};
use crate::execute::{Execution, Known, Work, Workers, launcher};
use crate::experiment::Experiment;
use crate::plan::Plan;
use crate::sweep_dir::{SweepDir, is_done};
use crate::tracking::{self, Tracking};
use crate::{Error, interrupt};
use record::{Outcome, RunDir};

/// Trains one run. Its record lies where the sweep's do, so that a sweep that wants it finds it done.
pub(crate) fn run(args: &TrainArgs) -> Result<(), Error> {
    let mut experiment = Experiment::load(&args.experiment)?;
    let known: Vec<String> = experiment.tasks.keys().cloned().collect();
    let task = args.task.clone().unwrap_or_else(|| known[0].clone());
    if !experiment.tasks.contains_key(&task) {
        return Err(Error::Usage(format!(
            "--task {task}: there is no such task; there are {}",
            known.join(", ")
        )));
    }
    experiment.tasks.retain(|name, _| *name == task);
    let asked: ArmRequest = args.activation.parse()?;
    let mut labels = Vec::new();
    for arm in &experiment.activations {
        labels.push(arm.label()?);
    }
    let wanted = asked.label_among(labels.iter())?;
    // An arm of the experiment, or another one.
    let own = labels.iter().position(|label| *label == wanted);
    let arm = own.map_or(asked, |place| experiment.activations[place].clone());
    experiment.activations = vec![arm];
    experiment.baseline = None;
    for change in std::mem::take(&mut experiment.overrides) {
        let same_task = change.task.as_ref().is_none_or(|name| *name == task);
        let arm = change.activation.as_ref().map(|arm| arm.label_among(labels.iter()));
        let arm = arm.transpose()?;
        if same_task && arm.is_none_or(|arm| arm == wanted) {
            experiment.overrides.push(change);
        }
    }
    experiment.seeds = vec![args.seed.unwrap_or(experiment.seeds[0])];
    // One run is what it was asked to be.
    (experiment.tune, experiment.search) = (None, None);
    let plan = Plan::new(&experiment)?;
    let device = plan.planner.device;
    let run = &plan.runs[0];

    let sinks = tracking::settings(&experiment)?;
    device.open()?;
    let sweep = SweepDir::new(experiment.dir());
    let _lock = sweep.lock()?;
    let dir = RunDir::of(&sweep.runs(), &run.spec);
    let record = if is_done(&dir) {
        note!("this run is done already");
        dir.record()?
    } else {
        interrupt::install();
        let progress = SweepProgress::new(1, 0, [(run.spec.task.clone(), run.cost())]);
        let workers = Workers::new(device, 1, None, experiment.threads);
        let tracking = Tracking::start(&experiment, sinks, progress.notice())?;
        tracking.introduce();
        let runs = sweep.runs();
        let execution = Execution::new(&experiment, &runs, device, workers, &progress, &tracking);
        let mut launcher = launcher(&experiment, device, workers, progress.notice())?;
        let mut work = Known::new(std::slice::from_ref(run), &runs);
        let trained = execution.execute(work.next()?, &mut work, &mut *launcher);
        tracking.finish(&sweep);
        match trained {
            // Its record tells the reason, which is shown below.
            Ok(()) | Err(Error::RunsFailed { refused: 0, .. }) => {}
            Err(error) => return Err(error),
        }
        dir.record()?
    };
    outln!("run          {}", run.spec.label());
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
    match record.outcome {
        Outcome::Failed { .. } => Err(Error::RunsFailed { failed: 1, refused: 0, runs: 1 }),
        _ => Ok(()),
    }
}
