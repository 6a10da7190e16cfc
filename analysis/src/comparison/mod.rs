//! Scores of arms, set against a baseline: how large the differences are, and which of them are significant.

mod against;
mod blocks;
mod family;
mod guessing;
pub(crate) mod markdown;
mod overall;
mod pairs;
mod scores;
pub(crate) mod sentences;

use crate::metric::Shown;
use crate::parallel;
use crate::statistics::{
    Bootstrap, Interval, LEVEL, Moments, Probabilities, Resolution, Test, interquartile_mean, mean,
    median, standard_deviation, t_interval, t_interval_of,
};
use record::Metric;
use serde::{Deserialize, Serialize, Serializer};

pub use against::{Against, Equivalence, Power, Verdict};
pub use overall::{Overall, RankTests};
pub use pairs::{AllPairs, Pair, TukeyBlocks};
pub use scores::read_scores;

pub(crate) use against::paired_scores;
pub(crate) use guessing::luck;
pub(crate) use overall::{ENOUGH_RUNS, normalized, overall};

/// Level at which a difference is significant, over a whole family of tests.
pub const ALPHA: f64 = 0.05;

/// Probability with which a difference should be found.
pub const POWER: f64 = 0.8;

/// Scores of one arm on one task: a seed and a score each.
#[derive(Debug, Clone, PartialEq)]
pub struct ArmScores {
    /// Label of the activation.
    pub activation: String,
    /// One a run, in the order in which they were planned; a seed occurs once.
    pub runs: Vec<(String, f64)>,
    /// What was published of runs whose scores are not known; there are no `runs` then.
    pub published: Option<Moments>,
}

impl ArmScores {
    /// An arm of runs whose scores are known.
    #[must_use]
    pub fn new(activation: String, runs: Vec<(String, f64)>) -> Self {
        Self { activation, runs, published: None }
    }

    fn values(&self) -> Vec<f64> {
        self.runs.iter().map(|(_, score)| *score).collect()
    }
}

/// Scores of every arm on one task.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskScores {
    /// Name of the task.
    pub task: String,
    /// In the order in which they are shown.
    pub arms: Vec<ArmScores>,
    /// What guessing scores, where it is known.
    pub guessing: Option<f64>,
    /// What two scores must differ by to differ at all.
    pub resolution: Resolution,
    /// What the scores are values of, as they were recorded. Absent for scores from elsewhere, of which higher ones are
    /// better.
    pub metric: Option<Metric>,
}

impl TaskScores {
    /// `score` as a number of which larger ones are better.
    #[must_use]
    pub fn merit(&self, score: f64) -> f64 {
        merit(self.metric.as_ref(), score)
    }
}

/// `score` as a number of which larger ones are better.
fn merit(metric: Option<&Metric>, score: f64) -> f64 {
    metric.map_or(score, |metric| metric.merit(score))
}

/// Tests that share one error rate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// All tests against the baseline, on every task.
    #[default]
    Report,
    /// Those of each task.
    Task,
}

/// How arms are compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    /// Label of the arm that the others are compared with.
    pub baseline: String,
    /// Differences of at most this size do not matter: in units of the score where tasks have no metric, otherwise a
    /// fraction, which is for metrics in percent alone.
    pub margin: Option<f64>,
    /// How resampled intervals are made.
    pub bootstrap: Bootstrap,
    /// Over which tests the error rate is held.
    pub family: Family,
    /// Whether every arm is compared with every other, and how; a family of its own.
    pub all_pairs: Option<AllPairs>,
    /// Numbers of seeds after which the results were looked at, ascending, where a sweep could end early.
    pub looks: Option<LookPlan>,
}

impl Rules {
    /// The margin on a task that is judged by `metric`, in units of its scores.
    pub(crate) fn margin_of(&self, metric: Option<&Metric>) -> Option<f64> {
        margin_of(self.margin, metric)
    }
}

/// The margin `fraction` in units of recorded values of `metric`: a margin is stated in percentage points, and says
/// nothing of another unit.
pub(crate) fn margin_of(fraction: Option<f64>, metric: Option<&Metric>) -> Option<f64> {
    match metric {
        Some(metric) if metric.is_share() => {
            let margin = fraction.map(|margin| margin * (100.0 / metric.scale));
            margin.filter(|margin| margin.is_finite() && *margin > 0.0)
        }
        Some(_) => None,
        None => fraction,
    }
}

/// A plan of looks, stated before the first run.
#[derive(Debug, Clone, PartialEq)]
pub struct LookPlan {
    /// Seeds after which results are looked at; the last is the largest number.
    pub seeds: Vec<usize>,
    /// Every seed that a run may have, in the order in which they are trained.
    pub order: Vec<String>,
    /// How many of them every arm has finished on every task.
    pub finished: usize,
}

/// What the scores of every task say.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// Label of the arm that the others are compared with.
    pub baseline: String,
    /// Over which tests the error rate of 5 % is held.
    pub family: Family,
    /// Comparisons with the baseline in the largest family.
    pub comparisons: usize,
    /// One a task.
    pub tasks: Vec<TaskComparison>,
    /// Over all tasks, where there is enough for it.
    pub overall: Option<Overall>,
}

/// What the scores of one task say.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TaskComparison {
    /// Name of the task.
    pub task: String,
    /// In the order given.
    pub arms: Vec<ArmFigures>,
    /// Every arm against every other; empty unless asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pairs: Vec<Pair>,
    /// What Tukey's test of the pairs is of; absent where they are not compared by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tukey: Option<TukeyBlocks>,
    /// Whether no arm is better than guessing, so that nothing is claimed.
    pub nothing_learned: bool,
    /// Comparisons that share their error rate with those of this task, of all baselines.
    #[serde(skip)]
    pub(crate) comparisons: usize,
    #[serde(skip)]
    guessing: Option<f64>,
    #[serde(skip)]
    metric: Option<Metric>,
}

/// One arm on one task.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ArmFigures {
    /// Label of the activation.
    pub activation: String,
    /// Runs.
    pub n: usize,
    /// Arithmetic mean.
    pub mean: Option<f64>,
    /// Sample standard deviation.
    pub standard_deviation: Option<f64>,
    /// Middle score.
    pub median: Option<f64>,
    /// Mean of the middle half.
    pub interquartile_mean: Option<f64>,
    /// Student's 95 % interval of the mean; absent of one run, and of runs that are all the same.
    pub interval: Option<Interval>,
    /// 95 % percentile bootstrap interval of the mean, which is too narrow of few runs.
    pub interval_bootstrap: Option<Interval>,
    /// The same by BCa.
    pub interval_bca: Option<Interval>,
    /// Best score, and its seed.
    pub best: Option<(String, f64)>,
    /// Worst score, and its seed.
    pub worst: Option<(String, f64)>,
    /// Set against the baseline; absent for the baseline itself.
    pub against: Option<Against>,
}

/// A test by name.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct TestFigures {
    /// As in `paired t`.
    pub name: &'static str,
    /// The statistic; in JSON `"inf"` where it is infinite.
    #[serde(serialize_with = "with_infinity")]
    pub statistic: f64,
    /// Two-sided p.
    pub p: f64,
}

impl TestFigures {
    fn new(name: &'static str, test: Option<Test>) -> Option<Self> {
        test.map(|Test { statistic, p }| Self { name, statistic, p })
    }
}

/// JSON has no infinity: records write it as text, and so does this.
fn with_infinity<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    match *value {
        f64::INFINITY => serializer.serialize_str("inf"),
        f64::NEG_INFINITY => serializer.serialize_str("-inf"),
        value if value.is_nan() => serializer.serialize_str("nan"),
        value => serializer.serialize_f64(value),
    }
}

impl Comparison {
    /// Compares the arms of every task with the baseline.
    #[must_use]
    pub fn new(tasks: &[TaskScores], rules: &Rules) -> Self {
        Self { overall: overall(tasks, rules), ..Self::by_task(tasks, rules) }
    }

    /// The same without what is over all tasks.
    pub(crate) fn by_task(tasks: &[TaskScores], rules: &Rules) -> Self {
        Self::with_further(tasks, rules, &[]).0
    }

    /// The same, and what comparisons with `further` baselines say, by baseline and task.
    pub(crate) fn with_further(
        tasks: &[TaskScores],
        rules: &Rules,
        further: &[String],
    ) -> (Self, ByBaseline) {
        let (mut against, comparisons) = against_all(tasks, rules, further);
        let others = against.split_off(1);
        let against = against.swap_remove(0);
        let pairs = pairs::all(tasks, rules);
        // All arms of all tasks at once: of many tasks, each has little to do.
        let all: Vec<(&TaskScores, &ArmScores)> =
            tasks.iter().flat_map(|task| task.arms.iter().map(move |arm| (task, arm))).collect();
        let mut described =
            parallel::map(&all, |(task, arm)| describe(arm, task, &rules.bootstrap)).into_iter();
        let parts = tasks.iter().zip(against).zip(pairs).zip(&comparisons);
        let compared = parts.map(|(((task, against), (pairs, tukey)), comparisons)| {
            let arms = described.by_ref().take(task.arms.len()).zip(against);
            TaskComparison {
                task: task.task.clone(),
                arms: arms.map(|(arm, against)| ArmFigures { against, ..arm }).collect(),
                pairs,
                tukey,
                nothing_learned: guessing::nothing_learned(task),
                comparisons: *comparisons,
                guessing: task.guessing,
                metric: task.metric.clone(),
            }
        });
        let compared: Vec<TaskComparison> = compared.collect();
        let comparison = Self {
            baseline: rules.baseline.clone(),
            family: rules.family,
            comparisons: comparisons.into_iter().max().unwrap_or(0),
            tasks: compared,
            overall: None,
        };
        (comparison, others)
    }
}

/// Each arm of each of `tasks` against the baseline; nothing for the baseline itself, and where there is none.
pub(crate) fn against_baseline(tasks: &[TaskScores], rules: &Rules) -> Vec<Vec<Option<Against>>> {
    against_all(tasks, rules, &[]).0.swap_remove(0)
}

/// What comparisons say, by baseline, task and arm; nothing of a baseline itself.
pub(crate) type ByBaseline = Vec<Vec<Vec<Option<Against>>>>;

/// Each arm of each of `tasks` against the baseline of `rules` and against each of `further`, by baseline and task; and
/// how many comparisons the family of each task has. All of a family share the error rate.
pub(crate) fn against_all(
    tasks: &[TaskScores],
    rules: &Rules,
    further: &[String],
) -> (ByBaseline, Vec<usize>) {
    let baselines: Vec<&str> =
        std::iter::once(&rules.baseline).chain(further).map(String::as_str).collect();
    let all: Vec<(&TaskScores, Option<&ArmScores>, &ArmScores)> = tasks
        .iter()
        .flat_map(|task| baselines.iter().map(move |label| (task, *label)))
        .flat_map(|(task, label)| {
            let baseline = task.arms.iter().find(|arm| arm.activation == label);
            task.arms.iter().map(move |arm| (task, baseline, arm))
        })
        .collect();
    // All arms of all tasks at once: of many tasks, each has little to do.
    let mut against = parallel::map(&all, |(task, baseline, arm)| {
        let baseline = baseline.filter(|baseline| arm.activation != baseline.activation)?;
        Some(Against::new(arm, baseline, task, rules))
    })
    .into_iter();
    let size = |task: &TaskScores| baselines.len() * task.arms.len();
    let mut compared: Vec<Vec<Option<Against>>> =
        tasks.iter().map(|task| against.by_ref().take(size(task)).collect()).collect();
    family::correct(&mut compared, rules);
    let guess = tasks.iter().zip(&mut compared).filter(|(task, _)| guessing::nothing_learned(task));
    for against in guess.flat_map(|(_, arms)| arms.iter_mut().flatten()) {
        against.verdict = against.verdict.at_guessing();
    }
    let comparisons = comparisons(&compared, rules.family);
    let mut by_baseline: ByBaseline = vec![Vec::new(); baselines.len()];
    for (task, arms) in tasks.iter().zip(compared) {
        let mut arms = arms.into_iter();
        for baseline in &mut by_baseline {
            baseline.push(arms.by_ref().take(task.arms.len()).collect());
        }
    }
    (by_baseline, comparisons)
}

/// Comparisons that were tested, in the family of each task.
fn comparisons(against: &[Vec<Option<Against>>], family: Family) -> Vec<usize> {
    let tested = |task: &Vec<Option<Against>>| {
        task.iter().flatten().filter(|against| against.t_test.is_some()).count()
    };
    let tested: Vec<usize> = against.iter().map(tested).collect();
    match family {
        Family::Report => vec![tested.iter().sum(); tested.len()],
        Family::Task => tested,
    }
}

/// The scores of one arm by themselves.
pub(crate) fn describe(arm: &ArmScores, task: &TaskScores, bootstrap: &Bootstrap) -> ArmFigures {
    let values = arm.values();
    let moments = arm.published;
    let (interval_bootstrap, interval_bca) = bootstrap.mean_and_bca(&values);
    let by = |a: &&(String, f64), b: &&(String, f64)| task.merit(a.1).total_cmp(&task.merit(b.1));
    ArmFigures {
        activation: arm.activation.clone(),
        n: moments.map_or(values.len(), |moments| moments.n),
        mean: moments.map(|moments| moments.mean).or(mean(&values)),
        standard_deviation: moments
            .filter(|moments| moments.n > 1)
            .map(|moments| moments.standard_deviation)
            .or(standard_deviation(&values)),
        median: median(&values),
        interquartile_mean: interquartile_mean(&values),
        interval: match &moments {
            Some(moments) => t_interval_of(moments, LEVEL),
            None => t_interval(&task.resolution.scores(&values), LEVEL),
        },
        interval_bootstrap,
        interval_bca,
        best: arm.runs.iter().max_by(by).cloned(),
        worst: arm.runs.iter().min_by(by).cloned(),
        against: None,
    }
}

impl Probabilities {
    /// As they are quoted: worse, equivalent, better.
    pub(crate) fn words(self) -> String {
        format!("{:.2} / {:.2} / {:.2}", self.worse, self.equivalent, self.better)
    }
}
