//! The best activation of a sweep once more, on seeds that it has not seen.

use super::sweep::go_on;
use crate::Error;
use crate::arm::{Arm, ArmRequest};
use crate::cli::ConfirmArgs;
use crate::console;
use crate::execute::PlannedWork;
use crate::experiment::Experiment;
use crate::plan::PlannedRun;
use crate::shell;
use crate::sweep_dir::{ConfirmsNote, Manifest, SweepDir};
use crate::tracking;
use actlab_core::data::{Catalogue, Dataset};
use actlab_core::model::initial_weights;
use analysis::{ArmScores, Family, TaskScores};
use record::{RunSpec, StoredRun};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Fresh seeds begin here: far from those that people write.
const FIRST_SEED: u64 = 1_000_000;

/// Fresh seeds at least, by default.
const LEAST_SEEDS: usize = 5;

/// Fresh seeds at most.
const MOST_SEEDS: usize = 10_000;

pub(crate) fn run(args: &ConfirmArgs) -> Result<(), Error> {
    refuse_changes(args)?;
    let first = SweepDir::new(args.dir.clone());
    let manifest = first.manifest()?;
    let (runs, skipped) = first.runs_of_sweep()?;
    for line in skipped {
        console::warning(&format!("left out: {line}"));
    }
    if runs.is_empty() {
        return Err(Error::Usage(format!(
            "no run of {} is finished yet: run the sweep first",
            args.dir.display()
        )));
    }
    if manifest.experiment.is_null() {
        return Err(Error::Usage(format!(
            "{} does not hold its experiment, as those of early versions: run `actlab sweep` on it again",
            first.path().join("sweep.json").display()
        )));
    }
    let name = format!("{}-confirm", manifest.name);
    let mut experiment = Experiment::again(
        &first.path().join("sweep.json"),
        &manifest.experiment,
        &name,
        &args.flags(),
    )?;
    // What is trained is in the records; it is neither tuned nor ended early.
    (experiment.tune, experiment.search, experiment.sequential) = (None, None, None);
    let chosen =
        choose(&analysis::scores_of(&runs, &manifest.options())?, &manifest.baseline, args)?;
    let seeds = seeds(&runs, &manifest, args)?;
    let planned = planned(&experiment, &runs, &chosen, &manifest.baseline, &seeds)?;
    let manifest = confirmation(&manifest, name, &chosen, &seeds, &planned);

    let sinks = tracking::settings(&experiment)?;
    let device = crate::device::of(&experiment)?;
    device.open()?;
    let sweep = SweepDir::new(experiment.dir());
    let _lock = sweep.lock()?;
    refuse_another(&sweep, &manifest)?;
    sweep.write_manifest(&manifest)?;
    if let Some(note) = &manifest.confirms {
        console::note!("{}", note.statement);
    }
    let mut work = PlannedWork::new(&planned, &sweep.runs());
    let costs = work.open().map(|run| (run.spec.task.clone(), run.cost())).collect();
    go_on(&experiment, &sweep, device, sinks, &mut work, costs)
}

/// Refuses to state something else where runs of a confirmation are there already.
fn refuse_another(sweep: &SweepDir, manifest: &Manifest) -> Result<(), Error> {
    let Ok(before) = sweep.manifest() else { return Ok(()) };
    let seen = record::any_run_has_ended(&sweep.runs())?;
    let same = before.confirms == manifest.confirms && before.experiment == manifest.experiment;
    if !seen || same {
        return Ok(());
    }
    let stated = before.confirms.map(|note| note.statement).unwrap_or_default();
    Err(Error::Usage(format!(
        "{} holds another confirmation, {stated} What is stated now would not be stated before the first run: choose \
         another folder with --output",
        sweep.path().display()
    )))
}

/// Refuses flags that could change what is trained or claimed: that is in the records.
fn refuse_changes(args: &ConfirmArgs) -> Result<(), Error> {
    match args.run.set.first() {
        None => Ok(()),
        Some(pair) => Err(Error::Usage(format!(
            "--set {pair}: a confirmation trains what the sweep's records say, and only its seeds are others"
        ))),
    }
}

/// By task, the activations to confirm: those that were asked for, or the one with the best mean.
fn choose(
    tasks: &[TaskScores],
    baseline: &str,
    args: &ConfirmArgs,
) -> Result<BTreeMap<String, Vec<String>>, Error> {
    let mut chosen = BTreeMap::new();
    let wanted: Vec<String> = args
        .activation
        .iter()
        .map(|name| {
            let arms = tasks.iter().flat_map(|task| &task.arms);
            Ok(name.parse::<ArmRequest>()?.label_among(arms.map(|arm| &arm.activation))?)
        })
        .collect::<Result<_, Error>>()?;
    for task in tasks {
        let has = |label: &str| {
            task.arms.iter().any(|arm| arm.activation == label && !arm.runs.is_empty())
        };
        let score = |arm: &ArmScores| {
            let scores: Vec<f64> = arm.runs.iter().map(|(_, score)| *score).collect();
            analysis::statistics::mean(&scores).map_or(f64::NEG_INFINITY, |mean| task.merit(mean))
        };
        // An activation most of whose runs did not complete is not the best; of equal ones the first is taken.
        let most = task.arms.iter().map(|arm| arm.runs.len()).max().unwrap_or(0);
        let whole =
            task.arms.iter().filter(|arm| 2 * arm.runs.len() >= most && !arm.runs.is_empty());
        let best = whole.rev().max_by(|a, b| score(a).total_cmp(&score(b)));
        let best = best.map(|arm| arm.activation.clone());
        let arms: Vec<String> = if wanted.is_empty() {
            best.into_iter().collect()
        } else {
            wanted.iter().filter(|label| has(label)).cloned().collect()
        };
        let arms: Vec<String> = arms.into_iter().filter(|label| label != baseline).collect();
        if !arms.is_empty() && has(baseline) {
            chosen.insert(task.task.clone(), arms);
        }
    }
    if chosen.is_empty() {
        return Err(Error::Usage(match &wanted[..] {
            [] => format!(
                "the baseline {baseline} has the best mean on every task: there is nothing to confirm; \
                 --activation names another"
            ),
            names => format!(
                "--activation {}: the sweep has no completed runs of it beside those of its baseline {baseline}",
                names.join(", ")
            ),
        }));
    }
    Ok(chosen)
}

/// Seeds that no run of the sweep has, trials included.
fn seeds(runs: &[StoredRun], manifest: &Manifest, args: &ConfirmArgs) -> Result<Vec<u64>, Error> {
    let used: BTreeSet<u64> = runs.iter().map(|run| run.record.spec.seed).collect();
    let count = args.seeds.unwrap_or_else(|| used.len().max(LEAST_SEEDS));
    if !(2..=MOST_SEEDS).contains(&count) {
        return Err(Error::Usage(format!("--seeds {count}: must be from 2 to {MOST_SEEDS}")));
    }
    let tuned = manifest.tuning.iter().flat_map(|tuning| tuning.seeds.iter().copied());
    let searched = manifest.search.iter().flat_map(|search| search.seeds.iter().copied());
    let trials: BTreeSet<u64> = tuned.chain(searched).collect();
    let fresh = |seed: &u64| !used.contains(seed) && !trials.contains(seed);
    Ok((FIRST_SEED..).filter(fresh).take(count).collect())
}

/// Runs of the chosen arms and the baseline, as their records describe them, with `seeds`.
fn planned(
    experiment: &Experiment,
    runs: &[StoredRun],
    chosen: &BTreeMap<String, Vec<String>>,
    baseline: &str,
    seeds: &[u64],
) -> Result<Vec<PlannedRun>, Error> {
    let catalogue = Catalogue::new(experiment.data_dir.clone(), experiment.data_folders.clone());
    let mut loaded: Vec<(RunSpec, Arc<Dataset>)> = Vec::new();
    let mut recipes: Vec<(RunSpec, Arc<Dataset>)> = Vec::new();
    for (task, arms) in chosen {
        for label in std::iter::once(baseline).chain(arms.iter().map(String::as_str)) {
            let of = |run: &&StoredRun| {
                let spec = &run.record.spec;
                spec.task == *task && spec.activation.label == label
            };
            let Some(run) = runs.iter().find(of) else { continue };
            let numerics = actlab_core::numerics(&run.record.spec.device);
            let spec = RunSpec { numerics, ..run.record.spec.clone() };
            let same = |(known, _): &&(RunSpec, Arc<Dataset>)| {
                known.data == spec.data && known.model == spec.model
            };
            let data = match loaded.iter().find(same) {
                Some((_, data)) => Arc::clone(data),
                None => {
                    let data = Arc::new(catalogue.load(&spec.data, &spec.model)?);
                    loaded.push((spec.clone(), Arc::clone(&data)));
                    data
                }
            };
            if data.sha256 != spec.data_sha256 {
                return Err(Error::Usage(format!(
                    "data set `{}` holds other files than it did when {task} was trained",
                    spec.data.name
                )));
            }
            let weights = initial_weights(&spec, &data, &Arm::of(&spec.activation)?.activations)?;
            if weights != spec.weights_sha256 {
                return Err(Error::Usage(format!(
                    "the weights that {} starts from are those of another file than when {task} was trained",
                    spec.model.name
                )));
            }
            recipes.push((spec, data));
        }
    }
    let mut planned = Vec::new();
    for seed in seeds {
        for (spec, data) in &recipes {
            let arm = Arc::new(Arm::of(&spec.activation)?);
            let spec = RunSpec { seed: *seed, trial: None, ..spec.clone() };
            actlab_core::check(&spec, data)?;
            planned.push(PlannedRun::new(spec, arm, Arc::clone(data))?);
        }
    }
    Ok(planned)
}

/// The test of equivalence, in words that continue the test of a difference. A margin is in percentage points, and is for
/// the tasks that are judged in percent alone.
fn equivalence(margin: Option<f64>, planned: &[PlannedRun]) -> String {
    let tasks = planned.iter().map(|run| (run.spec.task.as_str(), run.metric.unit == "%"));
    stated_equivalence(margin, &tasks.collect())
}

/// The same of tasks by name, and whether they are judged in percent.
fn stated_equivalence(margin: Option<f64>, tasks: &BTreeMap<&str, bool>) -> String {
    let shares: Vec<&str> =
        tasks.iter().filter(|(_, in_percent)| **in_percent).map(|(task, _)| *task).collect();
    match margin {
        Some(margin) if shares.len() == tasks.len() => {
            format!(", and for equivalence within {margin} points")
        }
        Some(margin) if !shares.is_empty() => {
            format!(", and on {} for equivalence within {margin} points", shares.join(" and "))
        }
        _ => String::new(),
    }
}

/// What the folder of the confirmation says of itself.
fn confirmation(
    first: &Manifest,
    name: String,
    chosen: &BTreeMap<String, Vec<String>>,
    seeds: &[u64],
    planned: &[PlannedRun],
) -> Manifest {
    let claims: Vec<String> = chosen
        .iter()
        .map(|(task, arms)| format!("{} against {} on {task}", arms.join(" and "), first.baseline))
        .collect();
    let comparisons: usize = chosen.values().map(Vec::len).sum();
    let (low, high) = (seeds.first().copied().unwrap_or(0), seeds.last().copied().unwrap_or(0));
    let correction = if comparisons > 1 {
        format!(", Holm-adjusted over {comparisons} comparisons")
    } else {
        String::new()
    };
    let equivalence = equivalence(first.margin, planned);
    let statement = format!(
        "stated before the first run: {} on {} fresh seeds ({low} to {high}), by a two-sided paired t test{equivalence}{correction}, \
         at level 0.05.",
        claims.join("; "),
        seeds.len()
    );
    let wanted: BTreeSet<&String> = chosen.values().flatten().collect();
    let shown = |label: &String| *label == first.baseline || wanted.contains(label);
    let mut experiment = first.experiment.clone();
    if let Some(table) = experiment.as_object_mut() {
        table.insert("name".into(), name.clone().into());
        table.insert("confirms".into(), serde_json::json!(chosen));
        table.insert("seeds".into(), seeds.to_vec().into());
        table.remove("tune");
        table.remove("search");
        table.remove("sequential");
    }
    Manifest {
        description: format!(
            "Confirmation on fresh seeds: {}",
            if first.description.is_empty() { &first.name } else { &first.description }
        ),
        name,
        activations: first.activations.iter().filter(|label| shown(label)).cloned().collect(),
        tasks: first.tasks.iter().filter(|task| chosen.contains_key(*task)).cloned().collect(),
        runs: planned.iter().map(|run| run.spec.id()).collect(),
        family: Family::Report,
        all_pairs: None,
        looks: None,
        experiment,
        registration: None,
        confirms: Some(ConfirmsNote { sweep: first.name.clone(), statement }),
        planned: None,
        tuning: None,
        search: None,
        command: Some(shell::portable_words()),
        ..first.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_margin_is_stated_for_tasks_in_percent_alone() {
        let of = |margin, tasks: &[(&'static str, bool)]| {
            stated_equivalence(margin, &tasks.iter().copied().collect())
        };
        let (images, text) = (("images", true), ("text", false));
        assert_eq!(of(Some(1.0), &[images]), ", and for equivalence within 1 points");
        assert_eq!(of(Some(1.0), &[text]), "");
        assert_eq!(
            of(Some(1.0), &[images, text]),
            ", and on images for equivalence within 1 points"
        );
        assert_eq!(of(None, &[images, text]), "");
    }
}
