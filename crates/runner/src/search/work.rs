//! The runs of a search, as they become known.

use super::Search;
use super::candidate::{Accepted, Filter};
use super::grammar::Rules;
use super::names::{NAMES, refuse_names, start};
use super::note::{FormulaNote, Proposed, SearchNote};
use super::population::{Standing, best, by_front, distinct, fittest, parent, places};
use super::vary::{Change, vary};
use crate::Error;
use crate::execute::Work;
use crate::experiment::Experiment;
use crate::plan::{PlannedRun, Planner};
use crate::sweep_dir::{Manifest, SweepDir, is_done};
use crate::tune::{Count, Rung, Score, discard, records, up_to, without_repeats};
use activation::Tree;
use actlab_core::stream::Stream;
use record::{Metric, RunDir, RunId, RunRecord};
use std::collections::HashSet;

/// Proposals for each formula that a generation wants, at most: a small grammar has no more formulas.
const MOST_PROPOSALS: usize = 200;

/// What the counts of a dry run call the formulas of a search, and those that go into the final sweep.
pub(crate) const FORMULAS: &str = "(formulas of the search)";
pub(crate) const FINALISTS: &str = "(finalists)";

/// Generations of formulas, then the finalists and the arms of the experiment with its seeds.
pub(crate) struct Evolution<'a, 'b> {
    experiment: &'a Experiment,
    search: &'a Search,
    sweep: &'a SweepDir,
    planner: &'b mut Planner<'a>,
    /// Rewritten when something is decided.
    manifest: Manifest,
    note: SearchNote,
    rules: Rules,
    filter: Filter,
    /// Formulas that the search begins with, and what they are.
    start: Vec<(String, Tree)>,
    /// Arms of the experiment.
    arms: usize,
    /// Where formulas are compared.
    rungs: Vec<Rung>,
    stage: Stage,
    /// Every formula that was trained.
    formulas: Vec<Formula>,
    /// Those that the next generation is made of, the fittest first.
    parents: Vec<usize>,
    /// Runs of this stage that are not done.
    pending: HashSet<RunId>,
    /// Runs that were done before.
    done: Vec<RunDir>,
    /// Runs so far: one that reaches the end at an earlier comparison is the same at the next.
    known: HashSet<RunId>,
    /// Whether nothing is to be written.
    dry: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing is handed out.
    New,
    /// The formulas of a generation up to a part of the budget, each by its number.
    Rung { generation: usize, rung: usize },
    /// The runs that are reported.
    Final,
}

/// A formula that is trained.
struct Formula {
    name: String,
    accepted: Accepted,
    generation: usize,
    origin: String,
    /// Its number among the arms.
    arm: usize,
    /// Whether the search found it, and it is none of the arms of the experiment.
    eligible: bool,
    /// Whether it continues.
    alive: bool,
    standing: Standing,
    /// By rung, then by task and seed.
    runs: Vec<Vec<PlannedRun>>,
}

impl<'a, 'b> Evolution<'a, 'b> {
    pub(crate) fn new(
        experiment: &'a Experiment,
        planner: &'b mut Planner<'a>,
        sweep: &'a SweepDir,
        manifest: Manifest,
    ) -> Result<Self, Error> {
        let Some(search) = &experiment.search else {
            return Err(Error::Usage("there is no [search] to run".into()));
        };
        let bad =
            |(key, message): (String, String)| experiment.error(&format!("search.{key}"), &message);
        let rules = search
            .grammar
            .rules()
            .map_err(|(key, message)| bad((format!("grammar.{key}"), message)))?;
        refuse_names(experiment, &planner.labels)?;
        let halving = search.halving();
        let rungs = halving.rungs(1).map_err(|(key, message)| bad((key.to_owned(), message)))?;
        let mut lengths = HashSet::new();
        for task in experiment.tasks.keys() {
            let seed = search.seeds().first().copied().unwrap_or_default();
            lengths.insert(planner.run(task, 0, seed, &[])?.length());
        }
        let rungs = without_repeats(&rungs, &lengths);
        let note = SearchNote {
            seed: search.seed,
            seeds: search.seeds().to_vec(),
            grammar: search.grammar.clone(),
            generations: search.generations,
            population: search.population,
            parts: rungs.iter().map(|rung| rung.part).collect(),
            eta: search.eta,
            proposed: Vec::new(),
            formulas: Vec::new(),
            finalists: Vec::new(),
        };
        let mut evolution = Self {
            experiment,
            search,
            sweep,
            arms: planner.labels.len(),
            planner,
            manifest: Manifest { runs: Vec::new(), ..manifest },
            note,
            filter: Filter::new(&rules),
            start: start(search, &rules).map_err(bad)?,
            rules,
            rungs,
            stage: Stage::New,
            formulas: Vec::new(),
            parents: Vec::new(),
            pending: HashSet::new(),
            done: Vec::new(),
            known: HashSet::new(),
            dry: false,
        };
        evolution.manifest.planned = Some(evolution.total());
        Ok(evolution)
    }

    /// Decides and counts, but writes nothing.
    pub(crate) fn dry(mut self) -> Self {
        self.dry = true;
        self
    }

    /// Runs of a formula at one rung.
    fn runs_each(&self) -> usize {
        self.experiment.tasks.len() * self.search.seeds().len()
    }

    /// Runs of `alive` formulas on `rungs` rungs.
    fn runs_on(&self, alive: usize, rungs: usize) -> usize {
        let mut alive = alive;
        let mut runs = 0;
        for _ in 0..rungs {
            runs += alive * self.runs_each();
            alive = self.search.survivors(alive);
        }
        runs
    }

    /// Budgets of all formulas of a generation on one task, at most.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    fn budgets(&self) -> f64 {
        let (mut alive, mut before, mut whole) = (self.search.population, 0.0, 0.0);
        for rung in &self.rungs {
            // A longer trial resumes from the shorter one.
            whole += (rung.part - before) * (alive * self.search.seeds().len()) as f64;
            before = rung.part;
            alive = self.search.survivors(alive);
        }
        whole
    }

    /// What is left to do: on each task a line for the formulas, one for each arm, and one for the finalists.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    pub(crate) fn counts(&self) -> Vec<Count> {
        let tasks = self.experiment.tasks.len();
        let seeds = self.experiment.seeds.len();
        let finals = |label: &str, task: &String, arms: usize| Count {
            task: task.clone(),
            activation: label.to_owned(),
            runs: arms * seeds,
            trials: 0,
            done: self.done_finals(task, label),
            whole: (arms * seeds) as f64,
        };
        let mut counts = Vec::new();
        for task in self.experiment.tasks.keys() {
            let trial = |dir: &&RunDir| self.is_done_trial(dir, task);
            counts.push(Count {
                task: task.clone(),
                activation: FORMULAS.to_owned(),
                runs: (self.total() - self.final_runs()) / tasks,
                trials: (self.total() - self.final_runs()) / tasks,
                done: self.done.iter().filter(trial).count(),
                whole: self.search.generations as f64 * self.budgets(),
            });
            counts.push(finals(FINALISTS, task, self.most_finalists()));
            let labels = &self.planner.labels[..self.arms];
            counts.extend(labels.iter().map(|label| finals(label, task, 1)));
        }
        counts
    }

    fn is_done_trial(&self, dir: &RunDir, task: &str) -> bool {
        let of =
            |run: &&PlannedRun| run.spec.task == task && dir.id() == Some(run.spec.id().as_str());
        self.formulas.iter().flat_map(|one| one.runs.iter().flatten()).any(|run| of(&run))
    }

    /// Final runs that are done, of an arm of the experiment or of all finalists.
    fn done_finals(&self, task: &str, label: &str) -> usize {
        let own = |dir: &&RunDir| {
            let Ok(record) = dir.record() else { return false };
            let its = &record.spec.activation.label;
            let of_search = self.note.finalists.contains(its);
            record.spec.trial.is_none()
                && record.spec.task == task
                && if label == FINALISTS { of_search } else { its == label }
        };
        self.done.iter().filter(own).count()
    }

    /// Relative cost of all runs of each task, as many as they may become; `base` has a run of each arm on each.
    pub(crate) fn costs(&self, base: &[PlannedRun]) -> Vec<(String, f64)> {
        let cost = |count: Count| {
            let like = base.iter().find(|run| run.spec.task == count.task);
            (count.task.clone(), count.whole * like.map_or(0.0, PlannedRun::cost))
        };
        self.counts().into_iter().map(cost).collect()
    }

    /// Finalists at most, or as many as there are.
    fn most_finalists(&self) -> usize {
        match self.stage {
            Stage::Final => self.note.finalists.len(),
            _ => self.search.finalists,
        }
    }

    fn final_runs(&self) -> usize {
        (self.arms + self.most_finalists())
            * self.experiment.tasks.len()
            * self.experiment.seeds.len()
    }

    /// Goes on once the pending runs are done; what is needed next.
    fn advance(&mut self) -> Result<Vec<PlannedRun>, Error> {
        while self.pending.is_empty() {
            let last = self.rungs.len() - 1;
            let runs = match self.stage {
                Stage::New => self.begin(0)?,
                Stage::Rung { generation, rung } => {
                    self.compare(rung, generation)?;
                    if rung < last && self.formulas.iter().any(|one| one.alive) {
                        self.stage = Stage::Rung { generation, rung: rung + 1 };
                        self.trials(rung + 1)?
                    } else if generation + 1 < self.search.generations {
                        self.choose_parents();
                        self.begin(generation + 1)?
                    } else {
                        self.stage = Stage::Final;
                        self.finals()?
                    }
                }
                Stage::Final => break,
            };
            let open = self.open(runs);
            // On the way through what is done already nothing is new.
            let new = !open.is_empty() || self.stage == Stage::Final;
            if new && !self.dry {
                self.write()?;
            }
            if !open.is_empty() {
                return Ok(open);
            }
        }
        Ok(Vec::new())
    }

    /// Those of `runs` that are not done.
    fn open(&mut self, runs: Vec<PlannedRun>) -> Vec<PlannedRun> {
        let folder = self.sweep.runs();
        let mut open = Vec::new();
        for run in runs {
            if !self.known.insert(run.spec.id()) {
                continue;
            }
            let dir = RunDir::of(&folder, &run.spec);
            if is_done(&dir) {
                self.done.push(dir);
            } else {
                self.pending.insert(run.spec.id());
                open.push(run);
            }
        }
        open
    }

    /// Begins a generation: the shortest runs of its formulas.
    fn begin(&mut self, generation: usize) -> Result<Vec<PlannedRun>, Error> {
        self.stage = Stage::Rung { generation, rung: 0 };
        self.note.proposed.push(Proposed::default());
        let mut stream = Stream::new(self.search.seed, &format!("search generation {generation}"));
        let first = self.formulas.len();
        if generation == 0 {
            for (origin, tree) in self.start.clone() {
                let name = format!("{}{}", NAMES[0], self.formulas.len() + 1);
                self.propose(&tree, name, 0, format!("start: {origin}"), false)?;
            }
        }
        let wanted = self.search.population;
        for _ in 0..wanted.saturating_mul(MOST_PROPOSALS) {
            if self.formulas.len() - first >= wanted {
                break;
            }
            let (tree, origin) = self.offspring(&mut stream);
            let found = self.formulas.iter().filter(|one| one.name.starts_with(NAMES[1])).count();
            let name = format!("{}{}", NAMES[1], found + 1);
            self.propose(&tree, name, generation, origin, true)?;
        }
        self.trials(0)
    }

    /// A new formula: random, or made of the parents.
    fn offspring(&self, stream: &mut Stream) -> (Tree, String) {
        if self.parents.is_empty() {
            return (self.rules.formula(stream), Change::Random.to_string());
        }
        let [one, other] = [(); 2].map(|()| {
            let number = self.parents[parent(self.parents.len(), stream)];
            &self.formulas[number]
        });
        let (tree, change) = vary(&one.accepted.tree, &other.accepted.tree, &self.rules, stream);
        let origin = match change {
            Change::Random => change.to_string(),
            Change::Crossover => {
                format!("{} with {change} of {}", one.name, other.name)
            }
            _ => format!("{} with {change}", one.name),
        };
        (tree, origin)
    }

    /// Adds a formula to the generation, if it is worth training.
    fn propose(
        &mut self,
        tree: &Tree,
        name: String,
        generation: usize,
        origin: String,
        found: bool,
    ) -> Result<(), Error> {
        let accepted = self.filter.accept(tree, &name);
        let Some(proposed) = self.note.proposed.last_mut() else { return Ok(()) };
        proposed.formulas += 1;
        let accepted = match accepted {
            Ok(accepted) => accepted,
            Err(refusal) => {
                *proposed.refused.entry(refusal).or_default() += 1;
                return Ok(());
            }
        };
        let arms = self.planner.arms().iter().take(self.arms);
        let is_arm = arms.into_iter().any(|arm| Filter::is_arm(&accepted, arm));
        let arm = self.planner.add(accepted.arm.clone());
        let standing = Standing { comparisons: 0, scores: Vec::new(), cost: accepted.cost };
        self.formulas.push(Formula {
            name,
            generation,
            origin,
            arm,
            eligible: found && !is_arm,
            alive: true,
            standing,
            runs: Vec::new(),
            accepted,
        });
        Ok(())
    }

    /// The runs of the formulas that continue, up to `rung`.
    fn trials(&mut self, rung: usize) -> Result<Vec<PlannedRun>, Error> {
        let folder = self.sweep.runs();
        let seeds = self.search.seeds();
        let first = seeds.first().copied().unwrap_or_default();
        let mut all = Vec::new();
        for one in self.formulas.iter_mut().filter(|one| one.alive) {
            let mut runs = Vec::new();
            for task in self.experiment.tasks.keys() {
                let like = self.planner.run(task, one.arm, first, &[])?;
                let shorter = one.runs.last().map(Vec::as_slice);
                runs.extend(up_to(self.rungs[rung], like, seeds, shorter, &folder));
            }
            all.extend(runs.iter().cloned());
            one.runs.push(runs);
        }
        Ok(all)
    }

    /// Compares the formulas that have come as far as `rung`: which continue.
    fn compare(&mut self, rung: usize, generation: usize) -> Result<(), Error> {
        let folder = self.sweep.runs();
        let alive: Vec<usize> =
            (0..self.formulas.len()).filter(|place| self.formulas[*place].alive).collect();
        for place in &alive {
            let one = &mut self.formulas[*place];
            let mut scores = Vec::new();
            for task in self.experiment.tasks.keys() {
                let own: Vec<&PlannedRun> =
                    one.runs[rung].iter().filter(|run| run.spec.task == *task).collect();
                let Some(metric) = own.first().map(|run| run.metric.clone()) else { continue };
                scores.push(Score::of(&records(own, &folder)?, &metric));
            }
            one.standing.scores = scores;
            one.standing.comparisons = rung + 1;
        }
        let standings: Vec<&Standing> =
            alive.iter().map(|place| &self.formulas[*place].standing).collect();
        let last = rung + 1 == self.rungs.len();
        let go_on = if last { 0 } else { self.search.survivors(alive.len()) };
        let kept: HashSet<usize> =
            best(&standings, go_on).into_iter().map(|place| alive[place]).collect();
        for place in alive {
            let one = &mut self.formulas[place];
            debug_assert_eq!(one.generation, generation);
            one.alive = kept.contains(&place);
            // A longer trial resumes from the checkpoint of the one before it, and from no other.
            let useless = one.runs.iter().take(if one.alive { rung } else { rung + 1 }).flatten();
            let needed = |run: &&PlannedRun| {
                one.alive && one.runs[rung].iter().any(|kept| kept.spec.id() == run.spec.id())
            };
            discard(useless.filter(|run| !self.dry && !needed(run)), &folder);
        }
        Ok(())
    }

    /// Chooses what the next generation is made of.
    fn choose_parents(&mut self) {
        let standings: Vec<&Standing> = self.formulas.iter().map(|one| &one.standing).collect();
        let order = distinct(fittest(&standings), |place| &self.formulas[*place].accepted.tree);
        self.parents = order.into_iter().take(self.search.parents).collect();
    }

    /// The runs that are reported: those of the arms, and of the finalists.
    fn finals(&mut self) -> Result<Vec<PlannedRun>, Error> {
        let whole = self.rungs.len();
        let fit = |one: &&Formula| {
            one.standing.comparisons == whole
                && one.standing.scores.iter().all(|score| !score.diverged())
        };
        // What is worse and dearer than a formula that was known is behind it.
        let fit: Vec<&Formula> = self.formulas.iter().filter(fit).collect();
        let standings: Vec<&Standing> = fit.iter().map(|one| &one.standing).collect();
        let order = by_front(&standings).into_iter().map(|place| fit[place]);
        let eligible = order.filter(|one| one.eligible);
        let order = distinct(eligible, |one| &one.accepted.tree).into_iter();
        let mut chosen: Vec<&Formula> = order.take(self.search.finalists).collect();
        let places = places(&chosen.iter().map(|one| &one.standing).collect::<Vec<_>>());
        let mut order: Vec<usize> = (0..chosen.len()).collect();
        order.sort_by(|a, b| places[*a].total_cmp(&places[*b]));
        chosen = order.into_iter().map(|place| chosen[place]).collect();
        let chosen: Vec<(usize, String)> =
            chosen.into_iter().map(|one| (one.arm, one.name.clone())).collect();
        let names: Vec<String> = chosen.iter().map(|(_, name)| name.clone()).collect();
        self.manifest.activations.truncate(self.arms);
        self.manifest.activations.extend(names.iter().cloned());
        self.note.finalists = names;
        let mut runs = Vec::new();
        for seed in &self.experiment.seeds {
            for task in self.experiment.tasks.keys() {
                for arm in (0..self.arms).chain(chosen.iter().map(|(arm, _)| *arm)) {
                    runs.push(self.planner.run(task, arm, *seed, &[])?);
                }
            }
        }
        self.manifest.runs = runs.iter().map(PlannedRun::id).collect();
        Ok(runs)
    }

    /// Says in the manifest what is known.
    fn write(&mut self) -> Result<(), Error> {
        let note = |one: &Formula| {
            let metric = |task: &str| -> Option<Metric> {
                let run = one.runs.iter().flatten().find(|run| run.spec.task == task)?;
                Some(run.metric.clone())
            };
            let value = |(task, score): (&String, &Score)| {
                let value = metric(task).filter(|_| !score.diverged());
                (task.clone(), value.map(|metric| score.value(&metric)))
            };
            let compared =
                one.standing.comparisons.checked_sub(1).and_then(|last| self.rungs.get(last));
            FormulaNote {
                name: one.name.clone(),
                formula: one.accepted.text.clone(),
                cost: one.accepted.cost,
                generation: one.generation,
                origin: one.origin.clone(),
                same_as: one.accepted.same_as.clone(),
                part: compared.map_or(0.0, |rung| rung.part),
                values: self.experiment.tasks.keys().zip(&one.standing.scores).map(value).collect(),
                runs: one
                    .runs
                    .iter()
                    .map(|rung| rung.iter().map(|run| run.spec.id()).collect())
                    .collect(),
            }
        };
        self.note.formulas = self.formulas.iter().map(note).collect();
        self.manifest.planned = Some(self.total());
        self.manifest.search = Some(self.note.clone());
        if self.stage == Stage::Final {
            self.sweep.write_manifest(&self.manifest)
        } else {
            self.sweep.write_manifest_so_far(&self.manifest)
        }
    }
}

impl Work for Evolution<'_, '_> {
    fn next(&mut self) -> Result<Vec<PlannedRun>, Error> {
        self.advance()
    }

    fn finished(&mut self, record: &RunRecord) {
        self.pending.remove(&record.id);
    }

    fn refused(&mut self, run: &RunId) -> Option<String> {
        let waits = matches!(self.stage, Stage::Rung { .. }) && self.pending.contains(run);
        waits.then(|| "the choice among the formulas of this generation waits for it".to_owned())
    }

    fn total(&self) -> usize {
        let ahead = match self.stage {
            Stage::New => {
                self.search.generations * self.runs_on(self.search.population, self.rungs.len())
            }
            Stage::Rung { generation, rung } => {
                let alive = self.formulas.iter().filter(|one| one.alive).count();
                let left = self.search.generations - 1 - generation;
                self.runs_on(self.search.survivors(alive), self.rungs.len() - 1 - rung)
                    + left * self.runs_on(self.search.population, self.rungs.len())
            }
            Stage::Final => return self.known.len(),
        };
        self.known.len() + ahead + self.final_runs()
    }

    fn done(&self) -> &[RunDir] {
        &self.done
    }
}
