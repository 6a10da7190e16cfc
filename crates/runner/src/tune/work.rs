//! The runs of a tuned sweep, as they become known.

use super::score::{median, merit, worst};
use super::{Assignment, EarlyStop, Rung, Score, Space, discard, records, up_to, without_repeats};
use crate::Error;
use crate::console;
use crate::execute::Work;
use crate::experiment::Experiment;
use crate::experiment::limits::{MOST_RUNS, grouped};
use crate::plan::{PlannedRun, Planner};
use crate::sweep_dir::{Manifest, SweepDir, TrialNote, TuningNote, is_done};
use record::{Metric, Outcome, RunDir, RunId, RunRecord, StoredRun};
use std::collections::{HashMap, HashSet};

/// Trials of every arm on every task, then the chosen ones with the seeds of the experiment.
pub(crate) struct Tuning<'a, 'b> {
    experiment: &'a Experiment,
    sweep: &'a SweepDir,
    planner: &'b mut Planner<'a>,
    /// Rewritten when something is chosen.
    manifest: Manifest,
    seeds: &'a [u64],
    groups: Vec<Group>,
    /// The group of every run that is not done.
    waiting: HashMap<RunId, usize>,
    /// Runs that were done before.
    done: Vec<RunDir>,
    /// Whether the manifest is to be written.
    news: bool,
    /// Runs so far: trials whose specs are equal share one.
    planned: HashSet<RunId>,
    /// Whether nothing is to be written.
    dry: bool,
}

/// Runs of an arm on a task.
pub(crate) struct Count {
    pub(crate) task: String,
    pub(crate) activation: String,
    /// As many as they may become.
    pub(crate) runs: usize,
    /// Those of them that choose values or formulas; the others are final.
    pub(crate) trials: usize,
    pub(crate) done: usize,
    /// How many budgets they have together.
    pub(crate) whole: f64,
}

/// The trials of one arm on one task.
struct Group {
    task: String,
    arm: usize,
    candidates: Vec<Candidate>,
    /// Where trials are compared.
    rungs: Vec<Rung>,
    stage: Stage,
    /// Runs of this stage that are not done.
    pending: HashSet<RunId>,
    /// Runs that were done before.
    done: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing is handed out.
    New,
    /// Trials up to the part of the budget of this number.
    Rung(usize),
    /// The runs that are reported.
    Final,
}

/// One trial: values, and its runs.
struct Candidate {
    assignments: Vec<Assignment>,
    /// Whether an earlier one comes to the same runs.
    repeated: bool,
    /// Whether it continues.
    alive: bool,
    chosen: bool,
    /// By rung, then by seed.
    runs: Vec<Vec<PlannedRun>>,
}

impl<'a, 'b> Tuning<'a, 'b> {
    pub(crate) fn new(
        experiment: &'a Experiment,
        planner: &'b mut Planner<'a>,
        sweep: &'a SweepDir,
        manifest: Manifest,
    ) -> Result<Self, Error> {
        let Some(tune) = &experiment.tune else {
            return Err(Error::Usage("nothing is tuned".into()));
        };
        let bad = |key: &str, message: &str| experiment.error(&format!("tune.{key}"), &message);
        let space = Space::new(tune).map_err(|(key, message)| bad(&key, &message))?;
        for (key, task) in space.tasks() {
            if !experiment.tasks.contains_key(task) {
                let known: Vec<&str> = experiment.tasks.keys().map(String::as_str).collect();
                let near = activation::nearest(task, known.iter().copied());
                let near = activation::did_you_mean(&near);
                let message =
                    format!("there is no task `{task}`{near}; the tasks are {}", known.join(", "));
                return Err(bad(&format!("parameters.{key}"), &message));
            }
        }
        let mut groups = Vec::new();
        for task in experiment.tasks.keys() {
            let points = space.points(task).map_err(|message| bad("parameters", &message))?;
            let most = MOST_RUNS / (planner.labels.len() * tune.seeds().len()).max(1) as u64;
            if points.len() as u64 > most {
                let message = format!(
                    "{} trials of each activation under {} seeds are too many: at most {} runs are supported",
                    grouped(points.len()),
                    tune.seeds().len(),
                    grouped(MOST_RUNS)
                );
                return Err(bad("parameters", &message));
            }
            for arm in 0..planner.labels.len() {
                groups.push(Group::new(experiment, planner, task, arm, &points)?);
            }
        }
        let mut manifest = Manifest { runs: Vec::new(), ..manifest };
        manifest.tuning = Some(TuningNote {
            method: tune.method.to_string(),
            seeds: tune.seeds().to_vec(),
            parameters: experiment
                .tasks
                .keys()
                .map(|task| (task.clone(), space.paths(task)))
                .collect(),
            early_stop: tune.early_stop.is_some(),
            trials: Vec::new(),
        });
        let mut tuning = Self {
            experiment,
            sweep,
            planner,
            manifest,
            seeds: tune.seeds(),
            groups,
            waiting: HashMap::new(),
            done: Vec::new(),
            news: false,
            planned: HashSet::new(),
            dry: false,
        };
        tuning.manifest.planned = Some(tuning.total());
        Ok(tuning)
    }

    /// Runs of a group, as many as it may still become.
    fn runs_of(&self, group: &Group) -> usize {
        let own = || group.candidates.iter().filter(|candidate| !candidate.repeated);
        let rungs = |candidate: &Candidate| {
            let ids = candidate.runs.iter().filter_map(|rung| Some(rung.first()?.spec.id()));
            ids.collect::<HashSet<RunId>>().len()
        };
        let known: usize = own().map(rungs).sum();
        let mut alive = group.candidates.iter().filter(|candidate| candidate.alive).count();
        let distinct = own().filter(|candidate| candidate.alive).count();
        let ahead = match group.stage {
            Stage::New => group.rungs.len(),
            Stage::Rung(rung) => {
                alive = self.most_survivors(alive);
                group.rungs.len() - 1 - rung
            }
            Stage::Final => 0,
        };
        let mut trials = known;
        for _ in 0..ahead {
            trials += alive.min(distinct);
            alive = self.most_survivors(alive);
        }
        trials * self.seeds.len() + self.experiment.seeds.len()
    }

    /// Decides and counts, but writes nothing.
    pub(crate) fn dry(mut self) -> Self {
        self.dry = true;
        self
    }

    /// What each arm has to do on each task.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    pub(crate) fn counts(&self) -> Vec<Count> {
        let count = |group: &Group| {
            let mut alive = group.candidates.len();
            let mut whole = self.experiment.seeds.len() as f64;
            let distinct = group.candidates.iter().filter(|one| !one.repeated).count();
            let mut before = 0.0;
            for rung in &group.rungs {
                // A longer trial resumes from the shorter one.
                whole += (rung.part - before) * (alive.min(distinct) * self.seeds.len()) as f64;
                before = rung.part;
                alive = self.most_survivors(alive);
            }
            Count {
                task: group.task.clone(),
                activation: self.planner.labels[group.arm].clone(),
                runs: self.runs_of(group),
                trials: self.runs_of(group).saturating_sub(self.experiment.seeds.len()),
                done: group.done,
                whole,
            }
        };
        self.groups.iter().map(count).collect()
    }

    /// Relative cost of all runs of each task, as many as they may become; `base` has a run of each arm on each.
    pub(crate) fn costs(&self, base: &[PlannedRun]) -> Vec<(String, f64)> {
        let cost = |count: Count| {
            let like = |run: &&PlannedRun| {
                run.spec.task == count.task && run.spec.activation.label == count.activation
            };
            (count.task.clone(), count.whole * base.iter().find(like).map_or(0.0, PlannedRun::cost))
        };
        self.counts().into_iter().map(cost).collect()
    }

    /// How many of `alive` trials continue, at most.
    fn most_survivors(&self, alive: usize) -> usize {
        match self.experiment.tune.as_ref().and_then(|tune| tune.early_stop.as_ref()) {
            Some(EarlyStop::SuccessiveHalving { eta, .. }) if alive > 0 => {
                (alive / *eta as usize).max(1)
            }
            _ => alive,
        }
    }

    /// Goes on with a group whose pending runs are done; what it needs next.
    fn advance(&mut self, place: usize) -> Result<Vec<PlannedRun>, Error> {
        loop {
            let group = &self.groups[place];
            if !group.pending.is_empty() {
                return Ok(Vec::new());
            }
            let last = group.rungs.len() - 1;
            let next = match group.stage {
                Stage::New if group.candidates.is_empty() => Stage::Final,
                Stage::New => Stage::Rung(0),
                Stage::Rung(rung) => {
                    self.decide(place, rung)?;
                    if rung == last { Stage::Final } else { Stage::Rung(rung + 1) }
                }
                Stage::Final => return Ok(Vec::new()),
            };
            self.groups[place].stage = next;
            let runs = match next {
                Stage::Rung(rung) => self.trials(place, rung)?,
                _ => self.finals(place)?,
            };
            let open = self.open(place, runs)?;
            self.news = true;
            if !open.is_empty() {
                return Ok(open);
            }
        }
    }

    /// Those of `runs` that are not done.
    fn open(&mut self, place: usize, runs: Vec<PlannedRun>) -> Result<Vec<PlannedRun>, Error> {
        let folder = self.sweep.runs();
        let mut open = Vec::new();
        for run in runs {
            let id = run.spec.id();
            if !self.planned.insert(id.clone()) {
                continue;
            }
            let dir = RunDir::of(&folder, &run.spec);
            let done = is_done(&dir) && self.can_be_judged(&dir)?;
            if done {
                self.groups[place].done += 1;
                self.done.push(dir);
            } else {
                self.groups[place].pending.insert(id.clone());
                self.waiting.insert(id, place);
                open.push(run);
            }
        }
        Ok(open)
    }

    /// Whether a finished run has what the median rule compares. One whose metrics are not those that it left is
    /// trained again.
    fn can_be_judged(&self, dir: &RunDir) -> Result<bool, Error> {
        let policy = self.experiment.tune.as_ref().and_then(|tune| tune.early_stop.as_ref());
        if !matches!(policy, Some(EarlyStop::Median { .. })) {
            return Ok(true);
        }
        let Err(error) = StoredRun::read(dir.clone()).and_then(|run| run.timeline(0)) else {
            return Ok(true);
        };
        console::warning(&format!("{error}; the run is trained again"));
        if !self.dry {
            dir.set_record_aside()?;
        }
        Ok(false)
    }

    fn trials(&mut self, place: usize, rung: usize) -> Result<Vec<PlannedRun>, Error> {
        let folder = self.sweep.runs();
        let group = &mut self.groups[place];
        let mut all = Vec::new();
        for candidate in group.candidates.iter_mut().filter(|candidate| candidate.alive) {
            let first = self.seeds.first().copied().unwrap_or_default();
            let like = self.planner.run(&group.task, group.arm, first, &candidate.assignments)?;
            let shorter = candidate.runs.last().map(Vec::as_slice);
            let runs = up_to(group.rungs[rung], like, self.seeds, shorter, &folder);
            all.extend(runs.iter().cloned());
            candidate.runs.push(runs);
        }
        Ok(all)
    }

    fn finals(&mut self, place: usize) -> Result<Vec<PlannedRun>, Error> {
        let group = &self.groups[place];
        let chosen = group.candidates.iter().find(|candidate| candidate.chosen);
        let assignments = chosen.map(|candidate| candidate.assignments.clone()).unwrap_or_default();
        let mut runs = Vec::new();
        for seed in &self.experiment.seeds {
            runs.push(self.planner.run(&group.task, group.arm, *seed, &assignments)?);
        }
        self.manifest.runs.extend(runs.iter().map(|run| run.spec.id()));
        Ok(runs)
    }

    /// Compares the trials of a group that have come as far as `rung`: which continue, or which is the best.
    fn decide(&mut self, place: usize, rung: usize) -> Result<(), Error> {
        let folder = self.sweep.runs();
        let policy = self.experiment.tune.as_ref().and_then(|tune| tune.early_stop.as_ref());
        let group = &self.groups[place];
        let last = rung + 1 == group.rungs.len();
        let alive: Vec<usize> =
            (0..group.candidates.len()).filter(|i| group.candidates[*i].alive).collect();
        let mut scores = Vec::new();
        for i in &alive {
            let records = records(&group.candidates[*i].runs[rung], &folder)?;
            scores.push((*i, Score::of(&records, &self.metric(place))));
        }
        // Equal ones stay in the order of the search.
        scores.sort_by(|(_, a), (_, b)| a.order(b));
        let survivors: HashSet<usize> = if last {
            scores.iter().take(1).map(|(i, _)| *i).collect()
        } else if let Some(EarlyStop::Median { .. }) = policy {
            let mut means = HashMap::new();
            for i in &alive {
                means.insert(*i, self.mean_until(place, *i, rung)?);
            }
            let kept = |(i, score): &&(usize, Score)| {
                let others = alive.iter().filter(|other| *other != i).map(|other| means[other]);
                let others: Vec<f64> = others.collect();
                others.is_empty() || score.reaches(median(others))
            };
            let kept: HashSet<usize> = scores.iter().filter(kept).map(|(i, _)| *i).collect();
            // The best is never below the median of means; should numbers be strange, it continues all the same.
            if kept.is_empty() { scores.iter().take(1).map(|(i, _)| *i).collect() } else { kept }
        } else {
            scores.iter().take(self.most_survivors(alive.len())).map(|(i, _)| *i).collect()
        };
        let group = &mut self.groups[place];
        // Trials may share a run.
        let kept =
            group.candidates.iter().enumerate().filter(|(i, _)| !last && survivors.contains(i));
        let needed: HashSet<RunId> = kept
            .flat_map(|(_, candidate)| candidate.runs[rung].iter().map(|run| run.spec.id()))
            .collect();
        for i in alive {
            let candidate = &mut group.candidates[i];
            candidate.alive = survivors.contains(&i) && !last;
            candidate.chosen = survivors.contains(&i) && last;
            // A longer trial resumes from the checkpoint of the one before it, and from no other.
            let useless = candidate.runs.iter().take(if candidate.alive { rung } else { rung + 1 });
            let useless = useless.flatten();
            discard(useless.filter(|run| !self.dry && !needed.contains(&run.spec.id())), &folder);
        }
        Ok(())
    }

    /// What the trials of a group are judged by.
    fn metric(&self, place: usize) -> Metric {
        let runs = self.groups[place].candidates.iter().flat_map(|one| one.runs.iter().flatten());
        runs.map(|run| run.metric.clone()).next().unwrap_or_else(|| Metric::accuracy(None))
    }

    /// Mean merit on validation data of a trial until `rung`, the median over seeds.
    fn mean_until(&self, place: usize, candidate: usize, rung: usize) -> Result<f64, Error> {
        let folder = self.sweep.runs();
        let metric = self.metric(place);
        let mut means = Vec::new();
        for run in &self.groups[place].candidates[candidate].runs[rung] {
            let dir = RunDir::of(&folder, &run.spec);
            let timeline = match dir.outcome()? {
                // It may have failed before it measured anything.
                Some(Outcome::Failed { .. }) => dir.timeline(0).unwrap_or_default(),
                _ => dir.timeline(0)?,
            };
            let all: Vec<f64> =
                timeline.validations.iter().map(|one| merit(&metric, one.value(&metric))).collect();
            #[expect(clippy::cast_precision_loss, reason = "evaluations are few")]
            means.push(if all.is_empty() {
                worst(&metric)
            } else {
                all.iter().sum::<f64>() / all.len() as f64
            });
        }
        Ok(median(means))
    }

    /// Says in the manifest what is known.
    fn note(&mut self) -> Result<(), Error> {
        let labels = &self.planner.labels;
        let trials = self.groups.iter().flat_map(|group| {
            group.candidates.iter().map(move |candidate| TrialNote {
                task: group.task.clone(),
                activation: labels[group.arm].clone(),
                values: candidate
                    .assignments
                    .iter()
                    .map(|one| (one.path.clone(), one.value.clone()))
                    .collect(),
                runs: candidate
                    .runs
                    .iter()
                    .map(|rung| rung.iter().map(|run| run.spec.id()).collect())
                    .collect(),
                chosen: candidate.chosen,
            })
        });
        let trials = trials.collect();
        self.manifest.planned = Some(self.total());
        if let Some(tuning) = &mut self.manifest.tuning {
            tuning.trials = trials;
        }
        if self.groups.iter().all(|group| group.stage == Stage::Final) {
            self.sweep.write_manifest(&self.manifest)
        } else {
            self.sweep.write_manifest_so_far(&self.manifest)
        }
    }
}

impl Group {
    /// The trials `points` of an arm on a task. Whatever makes no sense is refused before anything runs.
    fn new(
        experiment: &Experiment,
        planner: &mut Planner<'_>,
        task: &str,
        arm: usize,
        points: &[Vec<Assignment>],
    ) -> Result<Self, Error> {
        let mut group = Self {
            task: task.to_owned(),
            arm,
            candidates: Vec::with_capacity(points.len()),
            rungs: vec![Rung::WHOLE],
            stage: Stage::New,
            pending: HashSet::new(),
            done: 0,
        };
        let Some(tune) = &experiment.tune else { return Ok(group) };
        let policy = tune.early_stop.as_ref();
        let (mut seen, mut lengths) = (HashSet::new(), HashSet::new());
        let mut evaluations = None;
        for assignments in points {
            let seed = tune.seeds().first().copied().unwrap_or_default();
            let run = planner.run(task, arm, seed, assignments)?;
            let repeated = !seen.insert(run.spec.id());
            lengths.insert(run.length());
            let own = run.evaluations();
            let first = *evaluations.get_or_insert(own);
            if first != own && policy.is_some_and(EarlyStop::counts_evaluations) {
                let message = format!(
                    "counts in evaluations, and trials on task {task} have different numbers of them, as {first} and \
                     {own}: use `first`, a part of the budget, in [tune] early_stop"
                );
                return Err(experiment.error("tune.early_stop.after", &message));
            }
            let assignments = assignments.clone();
            let (alive, chosen, runs) = (true, false, Vec::new());
            group.candidates.push(Candidate { assignments, repeated, alive, chosen, runs });
        }
        if let (Some(policy), Some(evaluations)) = (policy, evaluations) {
            let rungs = policy.rungs(evaluations).map_err(|(key, message)| {
                let message = format!("task {task}: {message}");
                experiment.error(&format!("tune.early_stop.{key}"), &message)
            })?;
            group.rungs = without_repeats(&rungs, &lengths);
        }
        Ok(group)
    }
}

impl Work for Tuning<'_, '_> {
    fn next(&mut self) -> Result<Vec<PlannedRun>, Error> {
        let mut open = Vec::new();
        for place in 0..self.groups.len() {
            open.extend(self.advance(place)?);
        }
        if std::mem::take(&mut self.news) && !self.dry {
            self.note()?;
        }
        Ok(open)
    }

    fn finished(&mut self, record: &RunRecord) {
        if let Some(place) = self.waiting.remove(&record.id) {
            self.groups[place].pending.remove(&record.id);
        }
    }

    fn refused(&mut self, run: &RunId) -> Option<String> {
        let group = &self.groups[*self.waiting.get(run)?];
        let arm = &self.planner.labels[group.arm];
        match group.stage {
            Stage::New | Stage::Final => None,
            Stage::Rung(_) => Some(format!("the choice for {arm} on {} waits for it", group.task)),
        }
    }

    fn total(&self) -> usize {
        self.groups.iter().map(|group| self.runs_of(group)).sum()
    }

    fn done(&self) -> &[RunDir] {
        &self.done
    }
}
