//! A sweep's result for readers: Markdown for people, CSV for programs.

mod advice;
mod answer;
mod columns;
mod csv;
mod drawing;
mod examples;
mod figures;
mod html;
mod labels;
mod latex;
mod learned;
mod legend;
mod links;
mod markdown;
mod methods;
mod options;
mod parts;
mod precision;
mod scores;
mod search;
mod target;
mod tuning;
mod verdict;

pub use advice::Commands;
pub use drawing::{Drawing, Drawn, PictureFont, PictureFormat};
pub use figures::{Picture, Shape, draw_shapes};
pub use methods::{Confirms, Registration};
pub use options::ReportOptions;
pub use scores::scores_of;
pub use search::{Formula, Generation, Grammar, Search};
pub use tuning::{Trial, Tuning};

use crate::Error;
use crate::comparison::{
    AllPairs, ByBaseline, Comparison, LookPlan, Overall, Pair, Rules, TaskComparison, TukeyBlocks,
    against_baseline, overall,
};
use crate::curve::Curve;
use crate::export::{self, Exported};
use crate::frame::{self, Status};
use crate::metric::{self, Shown};
use crate::order::position;
use crate::parallel;
use crate::plot::{Layout, Plot};
use crate::setup::{Condition, conditions};
use crate::statistics::Bootstrap;
use crate::summary::{Arm, arms, find_front};
use figures::{Figures, Sources};
use polars::prelude::DataFrame;
use record::{Metric, Outcome, StoredRun, Timeline, write_atomically};
use scores::{Diverged, baseline_of, metrics, rules, scores, test_examples};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A run and what was measured on its way.
pub(crate) struct Measured<'a> {
    pub(crate) run: &'a StoredRun,
    pub(crate) timeline: Timeline,
}

/// Evaluations of a run at which sites and gradients are looked at, at most.
const MOST_LOOKS: usize = 40;

/// Completed runs from which on their spread is shown.
const ENOUGH_FOR_SPREAD: usize = 3;

/// Folder of the pictures, beside the report.
const PLOTS: &str = "plots";

/// What a sweep showed. A function of the set of runs and the options: equal sets give equal bytes.
#[derive(Debug, Clone)]
pub struct Report {
    title: String,
    width: usize,
    runs: DataFrame,
    tasks: Vec<Task>,
    /// The tasks again, as they compare with further baselines.
    further: Vec<Task>,
    /// The baseline that the experiment states, where this is another.
    stated_baseline: Option<String>,
    frame: verdict::Frame,
    all_pairs: Option<AllPairs>,
    looks: Option<LookPlan>,
    registration: Option<Registration>,
    confirms: Option<Confirms>,
    made: methods::Made,
    /// Over all tasks, where there is enough for it.
    overall: Option<Overall>,
    /// Tasks in several precisions.
    precisions: Vec<precision::Precisions>,
    /// How soon every arm was where the baseline ends.
    to_baseline: Option<target::ToBaseline>,
    figures: Figures,
    tuning: Option<Tuning>,
    search: Option<Search>,
    commands: Commands,
    /// The experiment as TOML.
    experiment: Option<String>,
    /// Runs whose metrics stream cannot be read, and why the first cannot.
    without_curve: Option<(usize, String)>,
    /// How many runs have predictions that cannot be read, and why the first cannot.
    without_predictions: Option<(usize, String)>,
    unfinished: Vec<Unfinished>,
    skipped: Vec<String>,
    /// Where the runs can be seen.
    links: links::Links,
    page: html::Page,
}

/// What the runs of one task showed.
#[derive(Debug, Clone)]
struct Task {
    name: String,
    /// Label that the differences are to; it need not have a run here.
    baseline: String,
    /// What its runs are judged by, in words that are escaped for Markdown.
    metric: Metric,
    conditions: Vec<Condition>,
    seeds: Vec<u64>,
    arms: Vec<Arm>,
    /// Every activation against every other.
    pairs: Vec<Pair>,
    /// What Tukey's test of the pairs is of; absent where they are not compared by it.
    tukey: Option<TukeyBlocks>,
    /// Whether no activation is better than guessing, so that nothing is claimed.
    nothing_learned: bool,
    /// Comparisons that share their error rate with those of this task, of all baselines.
    comparisons: usize,
    /// What its activations have learned.
    learned: Vec<learned::LearnedRow>,
    test_examples: Option<u64>,
}

impl Task {
    /// The baseline's runs on this task.
    fn baseline(&self) -> Option<&Arm> {
        self.arms.iter().find(|arm| arm.activation == self.baseline)
    }

    /// Whether runs diverged that have no score, because it is not known what guessing scores.
    fn has_unscored(&self) -> bool {
        self.metric.known_guessing().is_none() && self.arms.iter().any(|arm| arm.diverged > 0)
    }

    fn has_target(&self) -> bool {
        self.arms.iter().any(|arm| arm.target.is_some())
    }

    fn has_tests(&self) -> bool {
        self.arms.iter().any(|arm| arm.against.as_ref().is_some_and(|test| test.t_test.is_some()))
    }

    fn has_curves(&self) -> bool {
        self.arms.iter().any(|arm| arm.validation_area.is_some())
    }

    fn has_spread(&self) -> bool {
        self.arms.iter().any(|arm| arm.completed >= ENOUGH_FOR_SPREAD)
    }

    fn has_examples(&self) -> bool {
        self.arms.iter().any(|arm| arm.examples.crossed.is_some())
    }

    fn uses_gpus(&self) -> bool {
        self.arms.iter().any(|arm| arm.device_memory.is_some())
    }

    fn has_energy(&self) -> bool {
        self.arms.iter().any(|arm| arm.energy_joules.is_some())
    }
}

/// A run that did not complete.
#[derive(Debug, Clone)]
struct Unfinished {
    id: String,
    task: String,
    activation: String,
    seed: u64,
    /// How it ended, as in `diverged at step 412`.
    end: String,
    reason: String,
}

/// Where a report was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// `report.md`: the report for people.
    pub markdown: PathBuf,
    /// `summary.csv`: one row a task, baseline and activation.
    pub summary: PathBuf,
    /// `runs.csv`: one row a run.
    pub runs: PathBuf,
    /// `summary.tex`: the results as tables for a paper.
    pub latex: PathBuf,
    /// `report.html`: the report with plots, as one page.
    pub html: PathBuf,
    /// `plots`: every plot as SVG and PNG.
    pub plots: PathBuf,
    /// Plots that could not be drawn, and why.
    pub undrawn: Vec<String>,
}

impl Report {
    /// Compares the activations that `runs` trained.
    ///
    /// The order of `runs` does not matter.
    ///
    /// # Errors
    /// [`Error::NoRuns`] without any run; [`Error::Duplicate`] if two runs have the same task,
    /// activation and seed, as those of two experiments may; [`Error::Metrics`] if runs of one task are judged by
    /// different metrics.
    pub fn from_runs(runs: &[StoredRun], options: &ReportOptions) -> Result<Self, Error> {
        let runs = ordered(runs, options)?;
        let baseline = baseline_of(&runs, options)?;
        let rules = rules(&runs, options, &baseline);
        let bootstrap = rules.bootstrap;
        let metrics = metrics(&runs)?;

        let (runs, without_curve) = measured(&runs);
        let curves: Vec<Option<Curve>> = runs
            .chunk_by(|a, b| a.run.record.spec.task == b.run.record.spec.task)
            .zip(&metrics)
            .flat_map(|(runs, metric)| {
                runs.iter().map(|one| Curve::of(&one.timeline.validations, metric))
            })
            .collect();
        let stored: Vec<&StoredRun> = runs.iter().map(|one| one.run).collect();
        let frame = frame::of_runs(&stored, &curves)?;
        let mut arms = arms(&frame)?;
        let (compared, others) = Comparison::with_further(
            &scores(&stored, &metrics, Diverged::LeftOut),
            &rules,
            &options.further_baselines,
        );
        add_comparison(&mut arms, &compared.tasks);
        let without_predictions = examples::add_figures(&mut arms, &stored, &baseline, bootstrap);
        let to_baseline = target::find(&mut arms, &runs, &metrics, &baseline);
        for (task, metric) in arms.chunk_by_mut(|a, b| a.task == b.task).zip(&metrics) {
            find_front(task, metric);
        }
        let with_guessing = scores(&stored, &metrics, Diverged::AtGuessing);
        let overall = overall(&with_guessing, &rules);
        let figures = Figures::new(&Sources {
            runs: &runs,
            arms: &arms,
            scores: &with_guessing,
            metrics: &metrics,
            overall: overall.as_ref(),
            baseline: &baseline,
            margin: options.margin,
            shapes: &options.shapes,
            tuning: options.tuning.as_ref(),
            bootstrap,
        });
        let learned = runs
            .chunk_by(|a, b| a.run.record.spec.task == b.run.record.spec.task)
            .map(learned::rows);
        let tasks: Vec<Task> = stored
            .chunk_by(|a, b| a.record.spec.task == b.record.spec.task)
            .zip(&metrics)
            .zip(learned)
            .map(|((runs, metric), learned)| {
                let name = runs[0].record.spec.task.clone();
                let mut seeds: Vec<u64> = runs.iter().map(|run| run.record.spec.seed).collect();
                seeds.sort_unstable();
                seeds.dedup();
                Task {
                    baseline: baseline.clone(),
                    conditions: conditions(
                        runs,
                        metric,
                        options.tuning.as_ref().map_or(&[], |tuning| tuning.parameters_of(&name)),
                    ),
                    seeds,
                    pairs: of_name(&compared.tasks, &name, |task| task.pairs.clone()),
                    tukey: of_name(&compared.tasks, &name, |task| task.tukey.clone()),
                    nothing_learned: of_name(&compared.tasks, &name, |task| task.nothing_learned),
                    comparisons: of_name(&compared.tasks, &name, |task| task.comparisons),
                    metric: metric::in_markdown(metric),
                    test_examples: test_examples(runs),
                    learned,
                    arms: arms.iter().filter(|arm| arm.task == name).cloned().collect(),
                    name,
                }
            })
            .collect();
        let further = further(&tasks, others, &options.further_baselines);
        let figures = figures.with_further(&further, options.margin);
        Ok(Self {
            stated_baseline: options.stated_baseline.clone(),
            further,
            title: options.title.clone(),
            width: options.width.max(markdown::LEAST_WIDTH),
            tasks,
            frame: verdict::Frame {
                family: options.family,
                comparisons: compared.comparisons,
                margin: options.margin,
                confirms: options.confirms.is_some(),
                next_look: rules.looks.as_ref().and_then(verdict::NextLook::of),
            },
            all_pairs: options.all_pairs,
            looks: rules.looks,
            registration: options.registration.clone(),
            confirms: options.confirms.clone(),
            made: methods::Made::of(&stored),
            overall,
            precisions: precision::of(&stored, &metrics, &baseline),
            to_baseline,
            without_curve,
            without_predictions,
            unfinished: stored.iter().filter_map(|run| unfinished(run)).collect(),
            skipped: options.skipped.clone(),
            links: links::Links::of(&stored),
            page: html::Page::new(&stored),
            runs: frame::by_metric(&frame, &metric::distinct(&metrics))?,
            figures,
            tuning: options.tuning.clone(),
            search: options.search.clone(),
            commands: options.commands.clone(),
            experiment: options.experiment.clone(),
        })
    }

    /// Activations that have a run on some task.
    fn activations(&self) -> usize {
        let arms = self.tasks.iter().flat_map(|task| &task.arms);
        arms.map(|arm| &arm.activation).collect::<std::collections::BTreeSet<_>>().len()
    }

    /// What the tasks are judged by, each metric once.
    fn metrics(&self) -> Vec<&Metric> {
        metric::distinct(self.tasks.iter().map(|task| &task.metric))
    }

    fn has_pairs(&self) -> bool {
        self.tasks.iter().any(|task| !task.pairs.is_empty())
    }

    /// Whether `runs` decide every comparison with the baseline, so that a sweep that may end early ends.
    ///
    /// # Errors
    /// Those of [`Report::from_runs`].
    pub fn decided(runs: &[StoredRun], options: &ReportOptions) -> Result<bool, Error> {
        let runs = ordered(runs, options)?;
        let baseline = baseline_of(&runs, options)?;
        let rules = Rules {
            bootstrap: Bootstrap { resamples: 0, seed: 0 },
            all_pairs: None,
            ..rules(&runs, options, &baseline)
        };
        let compared =
            against_baseline(&scores(&runs, &metrics(&runs)?, Diverged::LeftOut), &rules);
        let mut verdicts =
            compared.iter().flatten().flatten().map(|against| against.verdict).peekable();
        Ok(verdicts.peek().is_some() && verdicts.all(|verdict| verdict.decided()))
    }

    /// The report for people, in lines of at most [`ReportOptions::width`].
    ///
    /// Only times differ between two executions of the same experiment on the same kind of device: the last column of a
    /// task's first table, the last columns of its last tables, from `examples/s` on, the time that a next step takes,
    /// and the plot of test values against time.
    #[must_use]
    pub fn markdown(&self) -> String {
        markdown::render(self)
    }

    /// The answer alone: a sentence and a table for each task, in lines of at most `width`.
    #[must_use]
    pub fn brief(&self, width: usize) -> String {
        markdown::brief(self, width)
    }

    /// Writes `records.parquet`, one row a run, and `metrics.parquet`, one row a number of the metrics streams of
    /// `runs`, into `dir`.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub fn export(&self, runs: &[StoredRun], dir: &Path) -> Result<Exported, Error> {
        export::write(&self.runs, runs, dir)
    }

    /// The report as one HTML page: sortable tables, plots with values, no network.
    #[must_use]
    pub fn html(&self) -> String {
        html::render(self)
    }

    /// Every task, as it compares with the first baseline, and again for each further one.
    fn tasks_by_baseline(&self) -> impl Iterator<Item = &Task> + Clone {
        self.tasks.iter().chain(&self.further)
    }

    /// The results as LaTeX tables, and the paragraph of methods.
    #[must_use]
    pub fn latex(&self) -> String {
        latex::render(self)
    }

    /// Writes `report.md`, `report.html`, `summary.csv`, `summary.tex` and `runs.csv` into `dir`, and the plots into
    /// `dir/plots`, each file whole or not at all.
    ///
    /// # Errors
    /// If the folder cannot be made or written.
    pub fn write(&self, dir: &Path) -> Result<Written, Error> {
        let plots = dir.join(PLOTS);
        std::fs::create_dir_all(&plots).map_err(|source| record::Error::Io {
            action: "create",
            path: plots.clone(),
            source,
        })?;
        let undrawn = self.write_plots(&plots)?;
        let written = Written {
            markdown: dir.join("report.md"),
            summary: dir.join("summary.csv"),
            runs: dir.join("runs.csv"),
            latex: dir.join("summary.tex"),
            html: dir.join("report.html"),
            plots,
            undrawn,
        };
        write_atomically(&written.html, self.html().as_bytes())?;
        write_atomically(&written.latex, self.latex().as_bytes())?;
        write_atomically(&written.runs, &csv::runs(&self.runs)?)?;
        write_atomically(&written.summary, &csv::summary(self.tasks_by_baseline())?)?;
        // Last, because it is what a reader looks for.
        write_atomically(&written.markdown, self.markdown().as_bytes())?;
        Ok(written)
    }

    /// Draws every plot into `dir`; what could not be drawn, and why.
    fn write_plots(&self, dir: &Path) -> Result<Vec<String>, Error> {
        let plots: Vec<&Plot> = self.figures.iter().collect();
        let next = AtomicUsize::new(0);
        let layout = Layout::default();
        let draw = || -> Result<Vec<String>, Error> {
            let mut undrawn = Vec::new();
            while let Some(plot) = plots.get(next.fetch_add(1, Ordering::Relaxed)) {
                let pictures =
                    [("svg", Ok(plot.svg(&layout).into_bytes())), ("png", plot.png(&layout))];
                for (kind, picture) in pictures {
                    let name = format!("{}.{kind}", plot.name);
                    match picture {
                        Ok(bytes) => write_atomically(&dir.join(name), &bytes)?,
                        Err(reason) => undrawn.push(format!("{name}: {reason}")),
                    }
                }
            }
            Ok(undrawn)
        };
        let threads = parallel::threads().min(plots.len());
        let mut undrawn = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(draw)).collect();
            let mut undrawn = Vec::new();
            for worker in workers {
                // A thread that panicked drew nothing more.
                undrawn.extend(worker.join().unwrap_or_else(|_| {
                    Ok(vec!["a thread that draws plots broke off".to_owned()])
                })?);
            }
            Ok::<_, Error>(undrawn)
        })?;
        undrawn.sort();
        Ok(undrawn)
    }
}

/// What was measured on the way of `runs`, and how many have no stream that can be read.
fn measured<'a>(runs: &[&'a StoredRun]) -> (Vec<Measured<'a>>, Option<(usize, String)>) {
    // Long streams: every processor reads some.
    let timelines = parallel::map(runs, |run| timeline(run));
    let mut missing: Option<(usize, String)> = None;
    let runs = runs
        .iter()
        .zip(timelines)
        .map(|(run, timeline)| {
            let timeline = timeline.unwrap_or_else(|error| {
                missing.get_or_insert((0, error)).0 += 1;
                Timeline::default()
            });
            Measured { run, timeline }
        })
        .collect();
    (runs, missing)
}

/// What was measured on the way of a run. A stream without an evaluation is not that of a run that has one.
fn timeline(run: &StoredRun) -> Result<Timeline, String> {
    let timeline = run.timeline(MOST_LOOKS).map_err(|error| error.to_string())?;
    let evaluated =
        run.record.summary.as_ref().is_some_and(|summary| summary.last_validation.is_some());
    if evaluated && timeline.validations.is_empty() {
        return Err(format!("{}: metrics.jsonl has no evaluation", run.dir.path().display()));
    }
    Ok(timeline)
}

/// `tasks` as they compare with each of `baselines`, whose comparisons are `others`.
fn further(tasks: &[Task], others: ByBaseline, baselines: &[String]) -> Vec<Task> {
    let with = |(baseline, compared): (&String, Vec<Vec<Option<_>>>)| {
        tasks
            .iter()
            .zip(compared)
            .map(|(task, compared)| {
                let arms = task.arms.iter().zip(compared);
                Task {
                    baseline: baseline.clone(),
                    arms: arms.map(|(arm, against)| arm.beside_another_baseline(against)).collect(),
                    ..task.clone()
                }
            })
            .collect::<Vec<_>>()
    };
    baselines.iter().zip(others).flat_map(with).collect()
}

/// Hands every arm what `tasks` say of it.
fn add_comparison(arms: &mut [Arm], tasks: &[TaskComparison]) {
    let mut places: HashMap<(&str, &str), &crate::comparison::ArmFigures> = HashMap::new();
    for task in tasks {
        places.extend(
            task.arms.iter().map(|arm| ((task.task.as_str(), arm.activation.as_str()), arm)),
        );
    }
    for arm in arms {
        let figures = places.get(&(arm.task.as_str(), arm.activation.as_str()));
        arm.against = figures.and_then(|figures| figures.against.clone());
        arm.spread = figures.map(|figures| (*figures).clone());
    }
}

/// What `get` takes from the comparison of the task `name`.
fn of_name<T: Default>(tasks: &[TaskComparison], name: &str, get: fn(&TaskComparison) -> T) -> T {
    tasks.iter().find(|task| task.task == name).map(get).unwrap_or_default()
}

/// The runs in the order of the report.
fn ordered<'a>(
    runs: &'a [StoredRun],
    options: &ReportOptions,
) -> Result<Vec<&'a StoredRun>, Error> {
    let place = |run: &'a StoredRun| {
        let spec = &run.record.spec;
        (
            position(&options.task_order, &spec.task),
            position(&options.order, &spec.activation.label),
            spec.seed,
        )
    };
    let mut ordered: Vec<&StoredRun> = runs.iter().collect();
    ordered.sort_by_cached_key(|run| (place(run), run.dir.path()));
    for pair in ordered.windows(2) {
        if place(pair[0]) == place(pair[1]) {
            let spec = &pair[0].record.spec;
            return Err(Error::Duplicate {
                task: spec.task.clone(),
                activation: spec.activation.label.clone(),
                seed: spec.seed,
                first: pair[0].dir.path().to_owned(),
                second: pair[1].dir.path().to_owned(),
            });
        }
    }
    Ok(ordered)
}

fn unfinished(run: &StoredRun) -> Option<Unfinished> {
    let record = &run.record;
    let end = match (Status::of(record), &record.outcome) {
        (Status::Completed, _) => return None,
        (Status::Diverged, Outcome::Diverged { step, .. }) => {
            format!("diverged at step\u{a0}{}", crate::render::number::grouped(*step))
        }
        (status, _) => status.name().to_owned(),
    };
    Some(Unfinished {
        id: record.id.to_string(),
        task: record.spec.task.clone(),
        activation: record.spec.activation.label.clone(),
        seed: record.spec.seed,
        end,
        reason: frame::reason(record).unwrap_or_default(),
    })
}
