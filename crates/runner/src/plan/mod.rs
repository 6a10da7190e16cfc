//! From an experiment to its runs.

mod blame;
mod merge;

use crate::Error;
use crate::arm::Arm;
use crate::experiment::{Experiment, Task};
use crate::tune::{Assignment, Length, Rung};
use actlab_core::data::{Catalogue, Dataset};
use actlab_core::model::{initial_weights, max_tokens};
use actlab_core::sites::SiteInfo;
use actlab_core::{DeviceSpec, Layout, ModelSize, objective};
use blame::Blame;
use record::{Described, Metric, RunDir, RunId, RunSpec, SpecText, Trial};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// Bytes of an activation's label: with the names of task, seed and run it is a folder's name, which has 255 at most.
const LONGEST_LABEL: usize = 100;

/// Everything that a sweep does.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    /// The runs that are reported; where something is tuned, as they would be without it. In the order of seeds,
    /// then tasks, then activations.
    pub(crate) runs: Vec<PlannedRun>,
    /// Label of the arm that the others are compared to.
    pub(crate) baseline: String,
    pub(crate) planner: Planner<'a>,
}

/// Makes runs of an experiment.
#[derive(Debug)]
pub(crate) struct Planner<'a> {
    experiment: &'a Experiment,
    /// Where to train.
    pub(crate) device: DeviceSpec,
    arms: Vec<Arc<Arm>>,
    /// Labels of the arms, in the order of the experiment.
    pub(crate) labels: Vec<String>,
    /// The arm that each override is about, where it is about one; it may be one that flags leave out.
    overridden: Vec<Option<String>>,
    catalogue: Catalogue,
    loaded: HashMap<String, Arc<Dataset>>,
    /// SHA-256 of the weights that models start from, by model, objective, arm and data.
    weights: HashMap<String, Option<String>>,
    /// A run of each arm on each task, without assignments.
    cells: HashMap<(String, usize), PlannedRun>,
    /// Each task as overrides leave it for an arm.
    tasks: HashMap<(String, usize), Task>,
}

/// One run with what it needs.
#[derive(Debug, Clone)]
pub(crate) struct PlannedRun {
    pub(crate) spec: RunSpec,
    pub(crate) arm: Arc<Arm>,
    pub(crate) data: Arc<Dataset>,
    pub(crate) size: ModelSize,
    /// Activation sites of its network.
    sites: Arc<Vec<SiteInfo>>,
    /// What it is judged by.
    pub(crate) metric: Metric,
    /// Its components in words.
    pub(crate) described: Described,
    /// Optimizer steps of the whole budget.
    pub(crate) steps: u64,
    /// Folder name of a shorter trial of the same, from whose end it continues.
    pub(crate) goes_on_from: Option<String>,
    /// Values of its trial in words, as in `learning_rate = 0.1`; empty where nothing is tuned.
    assigned: String,
    /// The spec but for its seed, where other runs share it.
    shared: Option<Arc<SpecText>>,
}

impl PlannedRun {
    /// The run of `spec`, whose activation and data these are.
    ///
    /// # Errors
    /// If model, data and recipe do not go together.
    pub(crate) fn new(
        spec: RunSpec,
        arm: Arc<Arm>,
        data: Arc<Dataset>,
    ) -> Result<Self, actlab_core::Error> {
        let Layout { size, sites } = Layout::of(&spec, &data, &arm.activations)?;
        let metric = objective::build(&spec.objective)?.metric(&data);
        let described = actlab_core::describe(&spec)?;
        let per_epoch = data.train.len().div_ceil(spec.training.batch_size.max(1)) as u64;
        let steps = spec.training.budget.steps(per_epoch);
        Ok(Self {
            spec,
            arm,
            data,
            size,
            sites: Arc::new(sites),
            metric,
            described,
            steps,
            goes_on_from: None,
            assigned: String::new(),
            shared: None,
        })
    }

    /// The identity of its spec.
    pub(crate) fn id(&self) -> RunId {
        match &self.shared {
            Some(shared) => shared.id(self.spec.seed),
            None => self.spec.id(),
        }
    }

    /// A readable name, as in `gelu-images-s3` or `gelu-images-s101 (learning_rate = 0.1, to step 40)`.
    pub(crate) fn label(&self) -> String {
        let short = self.last_step() < self.steps;
        let end = short.then(|| format!("to step {}", self.last_step()));
        let assigned = Some(self.assigned.clone()).filter(|assigned| !assigned.is_empty());
        let words: Vec<String> = assigned.into_iter().chain(end).collect();
        let label = self.spec.label();
        if words.is_empty() { label } else { format!("{label} ({})", words.join(", ")) }
    }

    /// Its folder below `runs`.
    pub(crate) fn dir(&self, runs: &Path) -> RunDir {
        RunDir::with_id(runs, &self.spec, &self.id())
    }

    /// The step at which it ends.
    pub(crate) fn last_step(&self) -> u64 {
        self.spec.trial.map_or(self.steps, |trial| trial.steps.min(self.steps))
    }

    /// The same run as a trial of tuning that ends at `rung`, or at the evaluation that follows.
    pub(crate) fn trial(mut self, rung: Rung) -> Self {
        self.spec.trial = Some(Trial { steps: self.length().end(rung) });
        self.shared = None;
        self
    }

    /// How long it is with its whole budget.
    pub(crate) fn length(&self) -> Length {
        Length { steps: self.steps, evaluate_every: self.evaluate_every() }
    }

    /// Evaluations of its whole budget on validation data.
    pub(crate) fn evaluations(&self) -> u64 {
        self.steps.div_ceil(self.evaluate_every())
    }

    fn evaluate_every(&self) -> u64 {
        self.spec.training.evaluate_every.unwrap_or_else(|| self.steps_per_epoch()).max(1)
    }

    fn steps_per_epoch(&self) -> u64 {
        self.data.train.len().div_ceil(self.spec.training.batch_size) as u64
    }

    /// Relative cost of a training step: its operations.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    pub(crate) fn step_cost(&self) -> f64 {
        self.size.flops as f64 * self.spec.training.batch_size as f64
    }

    /// Relative cost of all its steps.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    pub(crate) fn cost(&self) -> f64 {
        self.step_cost() * self.last_step() as f64
    }
}

impl<'a> Plan<'a> {
    /// Resolves names, loads data, and checks that everything goes together.
    pub(crate) fn new(experiment: &'a Experiment) -> Result<Self, Error> {
        let mut planner = Planner::new(experiment)?;
        let baseline = match &experiment.baseline {
            None => planner.labels[0].clone(),
            Some(request) => {
                let label = request
                    .label_among(planner.labels.iter())
                    .map_err(|error| experiment.error("baseline", &error))?;
                if !planner.labels.contains(&label) {
                    return Err(planner.no_such_baseline(&label));
                }
                label
            }
        };
        let mut runs = Vec::new();
        for seed in &experiment.all_seeds() {
            for task in experiment.tasks.keys() {
                for arm in 0..planner.labels.len() {
                    runs.push(planner.run(task, arm, *seed, &[])?);
                }
            }
        }
        planner.check_sites(&runs)?;
        planner.check_margin(&runs)?;
        Ok(Self { runs, baseline, planner })
    }
}

impl<'a> Planner<'a> {
    fn new(experiment: &'a Experiment) -> Result<Self, Error> {
        let at = |key: String, what: &dyn std::fmt::Display| experiment.error(&key, what);
        let device = crate::device::of(experiment)?;
        let mut arms: Vec<Arc<Arm>> = Vec::new();
        for (i, request) in experiment.activations.iter().enumerate() {
            let key = format!("activations[{i}]");
            let arm = request.build().map_err(|error| at(key.clone(), &error))?;
            let label = &arm.spec.label;
            if arms.iter().any(|other| other.spec.label == *label) {
                return Err(at(key, &format!("duplicate activation `{label}`")));
            }
            if let Some(other) = arms.iter().find(|other| other.is_formula_of(&arm)) {
                let message = format!("`{label}` is the same function as `{}`", other.spec.label);
                return Err(at(key, &message));
            }
            if label.len() > LONGEST_LABEL {
                let message = format!(
                    "its label has more than {LONGEST_LABEL} bytes, and names a folder; a formula may have a name: \
                     {{ name = \"mine\", formula = \"…\" }}"
                );
                return Err(at(key, &message));
            }
            arms.push(Arc::new(arm));
        }
        let labels: Vec<String> = arms.iter().map(|arm| arm.spec.label.clone()).collect();
        let mut overridden = Vec::new();
        for (i, change) in experiment.overrides.iter().enumerate() {
            let key = || format!("overrides[{i}].activation");
            if let Some(arm) = experiment.arm_left_out(change) {
                overridden.push(Some(arm));
                continue;
            }
            let arm = change.activation.as_ref().map(|arm| arm.label_among(labels.iter()));
            let arm = arm.transpose();
            let arm = arm.map_err(|error| at(key(), &error))?;
            if let Some(arm) = arm.as_ref().filter(|arm| !labels.contains(arm)) {
                let (known, place) = (labels.join(", "), experiment.place("activations"));
                let message = format!("`{arm}` is not in `activations` ({known}; {place})");
                return Err(experiment.conflict(&key(), &["activations"], &message));
            }
            overridden.push(arm);
        }
        Ok(Self {
            experiment,
            device,
            labels,
            overridden,
            arms,
            catalogue: Catalogue::new(experiment.data_dir.clone(), experiment.data_folders.clone()),
            loaded: HashMap::new(),
            weights: HashMap::new(),
            cells: HashMap::new(),
            tasks: HashMap::new(),
        })
    }

    /// The arms, those of the experiment first.
    pub(crate) fn arms(&self) -> &[Arc<Arm>] {
        &self.arms
    }

    /// Adds an arm that the experiment does not name; its number.
    pub(crate) fn add(&mut self, arm: Arm) -> usize {
        self.labels.push(arm.spec.label.clone());
        self.arms.push(Arc::new(arm));
        self.arms.len() - 1
    }

    /// Refuses a pattern of an arm that matches an activation site on no task.
    fn check_sites(&self, runs: &[PlannedRun]) -> Result<(), Error> {
        for (place, arm) in self.arms.iter().enumerate() {
            let own = runs.iter().filter(|run| run.spec.activation.label == arm.spec.label);
            let mut sites: Vec<SiteInfo> = Vec::new();
            for run in own {
                let new = run.sites.iter().filter(|site| !sites.contains(site));
                let new: Vec<SiteInfo> = new.cloned().collect();
                sites.extend(new);
            }
            let checked = arm.activations.check(&sites);
            checked
                .map_err(|error| self.experiment.error(&format!("activations[{place}]"), &error))?;
        }
        Ok(())
    }

    /// Refuses a margin where no task is judged in percent.
    fn check_margin(&self, runs: &[PlannedRun]) -> Result<(), Error> {
        let in_points = |run: &PlannedRun| run.metric.unit == "%";
        if self.experiment.margin.is_none() || runs.iter().any(in_points) {
            return Ok(());
        }
        let unit = runs.first().map_or("", |run| run.metric.unit.as_str());
        let message = format!("is in percentage points, and the tasks are judged in {unit}");
        Err(self.experiment.error("margin", &message))
    }

    fn no_such_baseline(&self, label: &str) -> Error {
        let experiment = self.experiment;
        let known = self.labels.join(", ");
        let place = experiment.place("activations");
        let other = self.labels.first().map_or("", String::as_str);
        let message = format!(
            "`{label}` is not in `activations` ({known}; {place}): add it there, or name another baseline, as \
             in --baseline {}",
            if other.contains('(') { format!("'{other}'") } else { other.to_owned() }
        );
        experiment.conflict("baseline", &["activations"], &message)
    }

    /// The run of the arm number `arm` on `task` with `seed`, and with `assignments` merged into its recipe.
    pub(crate) fn run(
        &mut self,
        name: &str,
        arm: usize,
        seed: u64,
        assignments: &[Assignment],
    ) -> Result<PlannedRun, Error> {
        // Seeds of one arm on one task differ in nothing else.
        let cell = (name.to_owned(), arm);
        if assignments.is_empty()
            && let Some(like) = self.cells.get(&cell)
        {
            let mut run = like.clone();
            run.spec.seed = seed;
            return Ok(run);
        }
        let blame = Blame { planner: self, name, arm, assignments };
        let task = blame.task()?;
        if assignments.is_empty() {
            self.tasks.insert(cell.clone(), task.clone());
        }
        let blame = Blame { planner: self, name, arm, assignments };
        // Models differ in how long a text they take, and in nothing else that data knows of.
        let length = max_tokens(&task.model).map_err(|error| blame.refuse("model", &error))?;
        let key = format!("{:?} {length:?}", task.data);
        let data = match self.loaded.get(&key) {
            Some(data) => Arc::clone(data),
            None => {
                let data = self.catalogue.load(&task.data, &task.model);
                let data = data.map_err(|error| blame.refuse("data", &error))?;
                crate::console::detail!(
                    "data set {}: {} / {} / {} examples to train, validate and test; sha256 {}",
                    data.name,
                    data.train.len(),
                    data.validation.len(),
                    data.test.len(),
                    data.sha256
                );
                if !self.loaded.values().any(|other| other.name == data.name) {
                    warn_of_differences(&data);
                }
                Arc::clone(self.loaded.entry(key.clone()).or_insert(Arc::new(data)))
            }
        };
        let blame = Blame { planner: self, name, arm, assignments };
        let arm = &self.arms[arm];
        let mut spec = RunSpec {
            activation: arm.spec.clone(),
            task: name.to_owned(),
            model: task.model,
            objective: task.objective,
            data: task.data,
            data_sha256: data.sha256.clone(),
            weights_sha256: None,
            training: task.training,
            seed,
            device: self.device.kind().to_owned(),
            numerics: actlab_core::numerics(self.device.kind()),
            trial: None,
        };
        actlab_core::check(&spec, &data)
            .and_then(|()| actlab_core::check_target(&spec, &data))
            .map_err(|error| blame.refuse("", &error))?;
        let (batch, examples) = (spec.training.batch_size, data.train.len());
        if batch > examples {
            let message =
                format!("{batch} is more than the {examples} examples of the training set");
            return Err(blame.conflict("training.batch_size", &["data"], &message));
        }
        let key = format!("{:?} {:?} {}", spec.model, spec.objective, arm.spec.label) + &key;
        spec.weights_sha256 = match self.weights.get(&key) {
            Some(known) => known.clone(),
            None => initial_weights(&spec, &data, &arm.activations)
                .map_err(|error| blame.refuse("", &error))?,
        };
        let weights = spec.weights_sha256.clone();
        let mut run = PlannedRun::new(spec, Arc::clone(arm), data)
            .map_err(|error| blame.refuse("", &error))?;
        self.weights.insert(key, weights);
        if assignments.is_empty() {
            run.shared = Some(Arc::new(run.spec.but_for_seed()));
            self.cells.insert(cell, run.clone());
        }
        let assigned: Vec<String> = assignments.iter().map(Assignment::short).collect();
        run.assigned = assigned.join(", ");
        Ok(run)
    }
}

/// Results on other data than the published are not comparable with those of others under the same name.
fn warn_of_differences(data: &Dataset) {
    let [first, others @ ..] = &data.differences[..] else { return };
    let others = match others.len() {
        0 => String::new(),
        1 => ", and 1 other file of it differs".to_owned(),
        more => format!(", and {more} other files of it differ"),
    };
    crate::console::warning(&format!(
        "data set `{0}` is not as published: {first}{others}; `actlab data verify {0}` lists all",
        data.name
    ));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every experiment that ships can be planned with what ships, and names its schema.
    #[test]
    fn experiments_that_ship_make_plans() {
        use crate::cli::{ExperimentArgs, Flags};
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../experiments");
        let mut plans = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let file = entry.unwrap().path();
            if file.extension().is_none_or(|extension| extension != "toml") {
                continue;
            }
            let text = std::fs::read_to_string(&file).unwrap();
            assert!(text.starts_with("#:schema ./schema.json"), "{}", file.display());
            let args = ExperimentArgs { file: Some(file), flags: Flags::default() };
            let experiment = Experiment::load(&args).unwrap();
            let plan = Plan::new(&experiment).unwrap();
            assert!(!plan.runs.is_empty());
            plans += 1;
        }
        assert!(plans > 0);
    }
}
