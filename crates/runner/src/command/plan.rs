//! How many seeds a difference takes.

use super::sweep::train;
use crate::Error;
use crate::cli::PlanArgs;
use crate::console::{SweepProgress, duration, fitted, note, out, outln};
use crate::execute::{PlannedWork, Work, Workers};
use crate::experiment::Experiment;
use crate::invocation;
use crate::plan::{Plan, PlannedRun};
use crate::sweep_dir::{Manifest, SweepDir, is_done};
use crate::tracking::{self, Tracking};
use analysis::{SeedPlan, plan_seeds, scores_of};
use record::{Outcome, RunDir, RunSpec, StoredRun};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// Probabilities with which the effect should be found.
const POWERS: [f64; 2] = [0.8, 0.95];

/// Seeds of a pilot begin here: far from those that people write, and from those of a confirmation.
const FIRST_SEED: u64 = 2_000_000;

/// Pilot seeds at most.
const MOST_PILOTS: usize = 100;

/// Seeds up to which the command that trains them is written out.
const MOST_NAMED: usize = 40;

/// The plan, as JSON.
#[derive(Debug, Serialize)]
struct Planned {
    effect_points: f64,
    /// Level of each test: 0.05 over all comparisons of the family, of which the last look has a share.
    level: f64,
    comparisons: Vec<SeedPlan>,
    /// Seeds for every comparison, by the estimated spread and by its upper bound, for each power.
    seeds: Vec<Seeds>,
}

#[derive(Debug, Serialize)]
struct Seeds {
    power: f64,
    estimated: Option<usize>,
    cautious: Option<usize>,
    /// Hours on this machine, those of pilot runs included.
    estimated_hours: Option<f64>,
    cautious_hours: Option<f64>,
}

pub(crate) fn run(args: &PlanArgs) -> Result<(), Error> {
    let experiment = Experiment::load(&args.experiment)?;
    let effect = effect(args, &experiment)?;
    if experiment.search.is_some() {
        let reason = "a search cannot be planned: search first, then plan with what was found in `activations`";
        return Err(experiment.error("search", &reason));
    }
    if experiment.tune.is_some() {
        let reason = "a tuned sweep cannot be planned: tune first, then plan with what was found";
        return Err(Error::Usage(reason.to_owned()));
    }
    let mut plan = Plan::new(&experiment)?;
    let scale = scale(&plan, args)?;
    if plan.planner.labels.len() < 2 {
        return Err(experiment.error("activations", &"a comparison takes two activations or more"));
    }
    let manifest = Manifest::of(&experiment, &plan);
    let runs = match finished(&SweepDir::new(experiment.dir()), &plan.runs, args.pilot)? {
        Some(runs) => runs,
        None => pilot(&experiment, &mut plan, &manifest, args.pilot)?,
    };
    let count = experiment.all_seeds().len() * plan.planner.labels.len();
    let workers = Workers::new(plan.planner.device, count, &experiment);
    let tasks = scores_of(&runs, &manifest.options())?;
    let looks = experiment.sequential.as_ref().map(|one| one.looks(&experiment.seeds));
    let looks = looks.unwrap_or_default();
    let (comparisons, level) =
        plan_seeds(&tasks, &plan.baseline, effect / scale, experiment.family, &looks, &POWERS);
    let seconds = seconds_per_seed(&runs);
    let hours = |seeds: Option<usize>| {
        seeds.map(|seeds| seeds as f64 * seconds / workers.jobs as f64 / 3600.0)
    };
    let seeds = POWERS.iter().enumerate().map(|(place, power)| {
        let most = |get: fn(&analysis::Needed) -> Option<usize>| {
            let each: Option<Vec<usize>> =
                comparisons.iter().map(|one| get(&one.needed[place])).collect();
            each?.into_iter().max()
        };
        let (estimated, cautious) = (most(|one| one.seeds), most(|one| one.cautious));
        Seeds {
            power: *power,
            estimated,
            cautious,
            estimated_hours: hours(estimated),
            cautious_hours: hours(cautious),
        }
    });
    let seeds = seeds.collect();
    let planned = Planned { effect_points: effect, level, comparisons, seeds };
    if args.json {
        outln!("{}", serde_json::to_string_pretty(&planned).unwrap_or_default());
    } else {
        let unit = match plan.runs[0].metric.unit.as_str() {
            "%" => "points",
            unit => unit,
        };
        let command = manifest.command.as_deref().and_then(invocation::sweep_of_plan);
        let file = args.experiment.file.as_ref().map(|file| format!(" {}", file.display()));
        let command =
            command.unwrap_or_else(|| format!("actlab sweep{}", file.unwrap_or_default()));
        show(&planned, (scale, unit), &experiment, workers, command);
        show_diverged(&runs);
    }
    Ok(())
}

/// The difference that should be found, in percentage points.
fn effect(args: &PlanArgs, experiment: &Experiment) -> Result<f64, Error> {
    if !(2..=MOST_PILOTS).contains(&args.pilot) {
        return Err(Error::Usage(format!(
            "--pilot {}: must be from 2 to {MOST_PILOTS}: one seed shows no spread",
            args.pilot
        )));
    }
    let effect = args.effect.or(experiment.margin).ok_or_else(|| {
        Error::Usage(
            "name the difference that should be found, in percentage points: --effect 0.5 (or give the experiment a `margin`)"
                .to_owned(),
        )
    })?;
    if effect > 0.0 && effect < 100.0 {
        return Ok(effect);
    }
    Err(Error::Usage(format!("--effect {effect}: must be above 0 and below 100 percentage points")))
}

/// What a recorded value is multiplied with to be shown: one for all tasks, of which the effect is a difference.
fn scale(plan: &Plan<'_>, args: &PlanArgs) -> Result<f64, Error> {
    let first = &plan.runs[0].metric;
    if first.unit != "%" && args.effect.is_none() {
        return Err(Error::Usage(format!(
            "a margin is in percentage points, and the tasks are judged in {}: name the difference that should be found, \
             as in --effect 0.02",
            first.unit
        )));
    }
    let alike = |run: &PlannedRun| run.metric.unit == first.unit && run.metric.scale == first.scale;
    match plan.runs.iter().find(|run| !alike(run)) {
        None => Ok(first.scale),
        Some(other) => Err(Error::Usage(format!(
            "the task {} is judged in {}, and {} in {}: one effect cannot be meant for both; plan each in a file of its own",
            plan.runs[0].spec.task, first.unit, other.spec.task, other.metric.unit
        ))),
    }
}

/// Runs of every arm on every task with `count` seeds of their own: a pilot that is part of the test would make its
/// error rate larger. They lie in a folder beside the sweep's.
fn pilot(
    experiment: &Experiment,
    plan: &mut Plan<'_>,
    manifest: &Manifest,
    count: usize,
) -> Result<Vec<StoredRun>, Error> {
    let name = format!("{}-pilot", experiment.name);
    let sweep = SweepDir::new(experiment.output.join(&name));
    let taken = experiment.all_seeds();
    let mut pilots = Vec::new();
    for seed in (FIRST_SEED..).filter(|seed| !taken.contains(seed)).take(count) {
        for task in experiment.tasks.keys() {
            for arm in 0..plan.planner.labels.len() {
                pilots.push(plan.planner.run(task, arm, seed, &[])?);
            }
        }
    }
    let device = plan.planner.device;
    let sinks = tracking::settings(experiment)?;
    device.open()?;
    let _lock = sweep.lock()?;
    sweep.write_manifest(&Manifest {
        name,
        runs: pilots.iter().map(|run| run.spec.id()).collect(),
        looks: None,
        ..manifest.clone()
    })?;
    let mut work = PlannedWork::new(&pilots, &sweep.runs());
    let first = work.next()?;
    if !first.is_empty() {
        let workers = Workers::new(device, first.len(), experiment);
        note!("training {} pilot runs, {} at a time", first.len(), workers.jobs);
        let costs = first.iter().map(|run| (run.spec.task.clone(), run.cost())).collect::<Vec<_>>();
        let progress = SweepProgress::new(work.total(), work.done().len(), costs);
        let tracking = Tracking::start(experiment, sinks, progress.notice())?;
        tracking.catch_up(work.done());
        let trained = train(experiment, &sweep, device, first, &mut work, &progress, &tracking);
        tracking.finish(&sweep);
        trained?;
    }
    read(&sweep, &pilots)
}

/// The finished runs of the sweep, where every arm has `count` of them on every task.
fn finished(
    sweep: &SweepDir,
    planned: &[PlannedRun],
    count: usize,
) -> Result<Option<Vec<StoredRun>>, Error> {
    let runs = read(sweep, planned)?;
    let key = |spec: &RunSpec| (spec.task.clone(), spec.activation.label.clone());
    let mut counts: BTreeMap<(String, String), usize> =
        planned.iter().map(|run| (key(&run.spec), 0)).collect();
    for run in &runs {
        *counts.entry(key(&run.record.spec)).or_default() += 1;
    }
    Ok(counts.values().all(|found| *found >= count).then_some(runs))
}

/// The finished ones of `planned`.
fn read(sweep: &SweepDir, planned: &[PlannedRun]) -> Result<Vec<StoredRun>, Error> {
    let mut runs = Vec::new();
    for run in planned {
        let dir = RunDir::of(&sweep.runs(), &run.spec);
        if is_done(&dir) {
            runs.push(StoredRun::read(dir)?);
        }
    }
    Ok(runs)
}

/// Seconds that one seed of every arm on every task takes, one run after the other.
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn seconds_per_seed(runs: &[StoredRun]) -> f64 {
    let mut arms: BTreeMap<(&str, &str), (f64, usize)> = BTreeMap::new();
    for run in runs {
        let spec = &run.record.spec;
        let (seconds, count) = arms.entry((&spec.task, &spec.activation.label)).or_default();
        *seconds += run.record.timing.total_seconds;
        *count += 1;
    }
    arms.values().map(|(seconds, count)| seconds / *count as f64).sum()
}

/// Names the activations of which runs diverged: further ones would too.
fn show_diverged(runs: &[StoredRun]) {
    let mut arms: BTreeMap<(&str, &str), (usize, usize)> = BTreeMap::new();
    for run in runs {
        let spec = &run.record.spec;
        let (diverged, all) = arms.entry((&spec.task, &spec.activation.label)).or_default();
        *diverged += usize::from(matches!(run.record.outcome, Outcome::Diverged { .. }));
        *all += 1;
    }
    for ((task, activation), (diverged, all)) in
        arms.iter().filter(|(_, (diverged, _))| *diverged > 0)
    {
        outln!(
            "\n{activation} on {task}: {diverged} of {all} runs diverged. The seeds above are pairs that complete: at this \
             rate it takes more."
        );
    }
}

/// Prints the plan. `(scale, unit)`: what differences are multiplied with to be shown, and their unit; `command`: the sweep
/// that the plan is for, without its seeds.
fn show(
    planned: &Planned,
    (scale, unit): (f64, &str),
    experiment: &Experiment,
    workers: Workers,
    command: String,
) {
    let decimals = if scale == 1.0 { 4 } else { 2 };
    let points = |value: Option<f64>| {
        value.map_or("—".to_owned(), |value| format!("{:.decimals$}", scale * value))
    };
    let seeds = |seeds: Option<usize>| seeds.map_or("—".to_owned(), |seeds| seeds.to_string());
    let rows: Vec<Vec<String>> = planned
        .comparisons
        .iter()
        .map(|one| {
            let (sd, upper) =
                (points(one.standard_deviation), points(one.upper_standard_deviation));
            let mut row = vec![
                one.task.clone(),
                one.activation.clone(),
                one.pairs.to_string(),
                format!("{sd} ({upper})"),
            ];
            let needed = one.needed.iter();
            row.extend(needed.map(|one| format!("{} ({})", seeds(one.seeds), seeds(one.cautious))));
            row
        })
        .collect();
    let header = ["task", "activation", "pairs", "sd of Δ", "80 % power", "95 % power"];
    out!("{}", fitted(&header, &rows, &[0, 1]));
    outln!(
        "\nsd of Δ: standard deviation of differences to the baseline under shared seeds, in\n\
         {unit}; in brackets its upper 80 % bound. 80 % and 95 % power: seeds for a true\n\
         difference of {} {unit}, at level {:.4} (0.05 over the comparisons of the family);\n\
         in brackets by the upper bound; —: more than 10,000 seeds, or no spread.",
        planned.effect_points,
        planned.level
    );
    if experiment.sequential.is_some() {
        outln!("The looks of [sequential] share this 0.05: the level is that of the last look.");
    }
    if planned.comparisons.iter().any(|one| one.standard_deviation.is_none_or(|sd| sd <= 0.0)) {
        outln!(
            "\nA comparison shows no spread, or has fewer than two completed pairs: use more pilot seeds (--pilot)."
        );
    }
    let time = |hours: Option<f64>| {
        let seconds = hours.map(|hours| Duration::from_secs_f64((hours * 3600.0).min(1e9)));
        seconds.map_or("—".to_owned(), duration)
    };
    for one in &planned.seeds {
        if let Some(estimated) = one.estimated {
            let cautious = match one.cautious {
                Some(cautious) => format!("{cautious} seeds, about {}", time(one.cautious_hours)),
                None => "more than 10,000 seeds".to_owned(),
            };
            outln!(
                "\n{:.0} % power for each comparison by itself: {estimated} seeds, about {} here ({} at a time); by the\n\
                 upper bound of the spread {cautious}.",
                100.0 * one.power,
                time(one.estimated_hours),
                workers.jobs,
            );
        }
    }
    let wanted = planned
        .seeds
        .first()
        .and_then(|one| one.estimated)
        .filter(|seeds| *seeds <= MOST_NAMED && experiment.sequential.is_none());
    if let Some(wanted) = wanted {
        let mut list = experiment.seeds.clone();
        let next = list.iter().max().map_or(1, |most| most.saturating_add(1));
        list.extend((next..).take(wanted.saturating_sub(list.len())));
        let list: Vec<String> = list.iter().take(wanted).map(u64::to_string).collect();
        outln!("\n{command} --set 'seeds=[{}]'", list.join(","));
    }
}
