//! Scores of arms, set against a baseline: how large the differences are, and which of them are real.

pub(crate) mod markdown;
mod scores;

use crate::parallel;
use crate::statistics::{
    Bootstrap, Interval, Ranks, Test, cliffs_delta, cohen_d, cohen_d_paired, detectable_effect,
    holm, improvement_of_places, interquartile_mean, mann_whitney, mean, median, paired_t,
    pairs_needed, places, probability_of_improvement, standard_deviation, welch, wilcoxon,
};
use serde::Serialize;

pub use scores::read_scores;

/// Level at which a difference counts as one.
pub const ALPHA: f64 = 0.05;

/// Probability with which a difference should be found.
pub const POWER: f64 = 0.8;

/// More pairs than anybody trains.
const MOST_PAIRS: usize = 10_000;

/// Blocks below which ranks over them are called exploratory.
const ENOUGH_BLOCKS: usize = 10;

/// Scores of one arm on one task, higher is better: a seed and a score each.
#[derive(Debug, Clone, PartialEq)]
pub struct ArmScores {
    /// Label of the activation.
    pub activation: String,
    /// One a run; a seed stands there once.
    pub runs: Vec<(String, f64)>,
}

impl ArmScores {
    fn values(&self) -> Vec<f64> {
        self.runs.iter().map(|(_, score)| *score).collect()
    }

    fn of_seed(&self, seed: &str) -> Option<f64> {
        self.runs.iter().find(|(known, _)| known == seed).map(|(_, score)| *score)
    }
}

/// Scores of every arm on one task.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskScores {
    /// Name of the task.
    pub task: String,
    /// In the order in which they are shown.
    pub arms: Vec<ArmScores>,
}

/// How arms are compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    /// Label of the arm that the others are compared with.
    pub baseline: String,
    /// Differences of at most this size do not matter, in units of the score.
    pub margin: Option<f64>,
    /// How intervals are made.
    pub bootstrap: Bootstrap,
}

/// What the scores of every task say.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// Label of the arm that the others are compared with.
    pub baseline: String,
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
    /// 95 % percentile bootstrap interval of the mean.
    pub interval: Option<Interval>,
    /// The same by BCa.
    pub interval_bca: Option<Interval>,
    /// Best score, and its seed.
    pub best: Option<(String, f64)>,
    /// Worst score, and its seed.
    pub worst: Option<(String, f64)>,
    /// Set against the baseline; absent for the baseline itself.
    pub against: Option<Against>,
}

/// An arm against the baseline.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Against {
    /// Seeds that both have.
    pub pairs: usize,
    /// Runs of either side whose seed the other lacks.
    pub unpaired: usize,
    /// Whether the figures below are of pairs; else of all runs of both sides.
    pub paired: bool,
    /// Difference of the means (of the pairs), this arm minus the baseline.
    pub difference: Option<f64>,
    /// Its 95 % percentile bootstrap interval.
    pub interval: Option<Interval>,
    /// Paired t test of the pairs, or Welch's test.
    pub t_test: Option<TestFigures>,
    /// Wilcoxon's signed-rank test of the pairs, or the Mann–Whitney U test; both exact.
    pub rank_test: Option<TestFigures>,
    /// p of the t test after Holm's correction over the arms of the task.
    pub p_holm: Option<f64>,
    /// Cohen's d by the deviation of the pairs' differences.
    pub cohen_d_paired: Option<f64>,
    /// Cohen's d by the pooled deviation.
    pub cohen_d: Option<f64>,
    /// Cliff's δ.
    pub cliffs_delta: Option<f64>,
    /// Probability that a run of this arm beats one of the baseline.
    pub probability_of_improvement: Option<f64>,
    /// Its 95 % interval, runs drawn within each arm.
    pub probability_interval: Option<Interval>,
    /// Smallest true difference that so many pairs, with this spread, find with a probability of 0.8 at a
    /// level of 0.05, without correction.
    pub detectable: Option<f64>,
    /// What follows.
    pub verdict: Verdict,
}

/// A test by name.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct TestFigures {
    /// As in `paired t`.
    pub name: &'static str,
    /// The statistic.
    pub statistic: f64,
    /// Two-sided p.
    pub p: f64,
}

impl TestFigures {
    fn new(name: &'static str, test: Option<Test>) -> Option<Self> {
        test.map(|Test { statistic, p }| Self { name, statistic, p })
    }
}

/// What the figures allow one to say.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// Higher than the baseline, at level 0.05 after Holm's correction.
    Better,
    /// Lower than the baseline, at level 0.05 after Holm's correction.
    Worse,
    /// Within the margin that does not matter (two one-sided t tests at level 0.05, Schuirmann 1987).
    Equivalent,
    /// These runs do not tell.
    Undecided {
        /// Pairs that would find a difference as large as the one seen (or as the margin) with a
        /// probability of 0.8; absent where that is more than anybody trains.
        pairs_needed: Option<usize>,
    },
    /// Too few runs for any test: a spread takes two pairs, or two runs a side.
    TooFew,
}

impl Verdict {
    /// The verdict in a word, as in the JSON.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::Worse => "worse",
            Self::Equivalent => "equivalent",
            Self::Undecided { .. } => "undecided",
            Self::TooFew => "too_few",
        }
    }
}

/// All tasks together.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Overall {
    /// Labels of the arms.
    pub activations: Vec<String>,
    /// Tasks that every arm has.
    pub tasks: usize,
    /// Blocks that arms are ranked in: a task under a seed.
    pub blocks: usize,
    /// So few blocks that ranks are a hint at most.
    pub exploratory: bool,
    /// Interquartile mean of each arm over runs and tasks, with its 95 % interval, runs drawn within tasks.
    pub interquartile_mean: Vec<(f64, Option<Interval>)>,
    /// Mean rank of each arm, 1 the best.
    pub ranks: Vec<f64>,
    /// Friedman's χ² and p.
    pub friedman: TestFigures,
    /// Iman and Davenport's F and p.
    pub iman_davenport: TestFigures,
    /// Mean ranks that differ by more differ (Nemenyi, at level 0.05).
    pub critical_difference: f64,
    /// Nemenyi's p of each arm against the baseline.
    pub nemenyi: Vec<Option<f64>>,
}

impl Comparison {
    /// Compares the arms of every task with the baseline.
    #[must_use]
    pub fn new(tasks: &[TaskScores], rules: &Rules) -> Self {
        Self {
            baseline: rules.baseline.clone(),
            tasks: tasks.iter().map(|task| compare(task, rules)).collect(),
            overall: overall(tasks, rules),
        }
    }
}

fn compare(task: &TaskScores, rules: &Rules) -> TaskComparison {
    let arms = task
        .arms
        .iter()
        .zip(against_baseline(task, rules))
        .map(|(arm, against)| ArmFigures { against, ..describe(arm, &rules.bootstrap) })
        .collect();
    TaskComparison { task: task.task.clone(), arms }
}

/// Each arm of `task` against the baseline; nothing for the baseline itself, and where there is none.
pub(crate) fn against_baseline(task: &TaskScores, rules: &Rules) -> Vec<Option<Against>> {
    let nothing = || task.arms.iter().map(|_| None).collect();
    let Some(baseline) = task.arms.iter().find(|arm| arm.activation == rules.baseline) else {
        return nothing();
    };
    let mut compared: Vec<Option<Against>> = parallel::map(&task.arms, |arm| {
        (arm.activation != baseline.activation).then(|| against(arm, baseline, rules))
    });
    // Arms without a test pay for nothing.
    let p = |against: &Against| against.t_test.map(|test| test.p);
    let raw: Vec<f64> = compared.iter().flatten().filter_map(p).collect();
    let mut corrected = holm(&raw).into_iter();
    for (arm, against) in task.arms.iter().zip(&mut compared) {
        if let Some(against) = against.as_mut().filter(|against| against.t_test.is_some()) {
            against.p_holm = corrected.next();
            against.verdict = verdict(arm, baseline, against, rules.margin);
        }
    }
    compared
}

/// The scores of one arm by themselves.
pub(crate) fn describe(arm: &ArmScores, bootstrap: &Bootstrap) -> ArmFigures {
    let values = arm.values();
    let by = |a: &&(String, f64), b: &&(String, f64)| a.1.total_cmp(&b.1);
    ArmFigures {
        activation: arm.activation.clone(),
        n: values.len(),
        mean: mean(&values),
        standard_deviation: standard_deviation(&values),
        median: median(&values),
        interquartile_mean: interquartile_mean(&values),
        interval: bootstrap.mean(&values),
        interval_bca: bootstrap.mean_bca(&values),
        best: arm.runs.iter().max_by(by).cloned(),
        worst: arm.runs.iter().min_by(by).cloned(),
        against: None,
    }
}

/// Scores under the seeds that both arms have.
fn pairs(arm: &ArmScores, baseline: &ArmScores) -> Vec<f64> {
    let difference = |(seed, score): &(String, f64)| Some(score - baseline.of_seed(seed)?);
    arm.runs.iter().filter_map(difference).collect()
}

fn against(arm: &ArmScores, baseline: &ArmScores, rules: &Rules) -> Against {
    let (ours, theirs) = (arm.values(), baseline.values());
    let differences = pairs(arm, baseline);
    // A single pair has no spread, so runs of both sides say more, where there are any.
    let paired = differences.len() >= 2 || ours.len().min(theirs.len()) < 2;
    let (difference, interval, t_test, rank_test) = if paired {
        (
            mean(&differences),
            rules.bootstrap.mean(&differences),
            TestFigures::new("paired t", paired_t(&differences)),
            TestFigures::new("Wilcoxon", wilcoxon(&differences)),
        )
    } else {
        let strata = [ours.clone(), theirs.clone()];
        let of_means = |strata: &[Vec<f64>]| {
            mean(&strata[0]).unwrap_or(f64::NAN) - mean(&strata[1]).unwrap_or(f64::NAN)
        };
        (
            mean(&ours).zip(mean(&theirs)).map(|(a, b)| a - b),
            rules.bootstrap.stratified(&strata, of_means),
            TestFigures::new("Welch t", welch(&ours, &theirs)),
            TestFigures::new("Mann–Whitney", mann_whitney(&ours, &theirs)),
        )
    };
    let improvement = |strata: &[Vec<f64>]| improvement_of_places(&strata[0], &strata[1]);
    let spread = standard_deviation(&differences);
    let smallest = paired
        .then(|| Some(detectable_effect(differences.len(), POWER, ALPHA)? * spread?))
        .flatten();
    Against {
        pairs: differences.len(),
        unpaired: ours.len() + theirs.len() - 2 * differences.len(),
        paired,
        difference,
        interval,
        t_test,
        rank_test: rank_test.filter(|_| ours.len() > 1),
        p_holm: None,
        cohen_d_paired: if paired { cohen_d_paired(&differences) } else { None },
        cohen_d: cohen_d(&ours, &theirs),
        cliffs_delta: cliffs_delta(&ours, &theirs),
        probability_of_improvement: probability_of_improvement(&ours, &theirs),
        probability_interval: rules.bootstrap.stratified(&places(&ours, &theirs), improvement),
        detectable: smallest,
        verdict: Verdict::TooFew,
    }
}

fn verdict(
    arm: &ArmScores,
    baseline: &ArmScores,
    against: &Against,
    margin: Option<f64>,
) -> Verdict {
    let (Some(difference), Some(p)) = (against.difference, against.p_holm) else {
        return Verdict::TooFew;
    };
    if let Some(margin) = margin
        && equivalent(arm, baseline, against.paired, margin)
    {
        return Verdict::Equivalent;
    }
    if p <= ALPHA {
        return if difference > 0.0 { Verdict::Better } else { Verdict::Worse };
    }
    let spread = standard_deviation(&pairs(arm, baseline)).filter(|spread| *spread > 0.0);
    let wanted = margin.map_or(difference.abs(), |margin| margin.max(difference.abs()));
    let needed = spread.and_then(|spread| pairs_needed(wanted / spread, POWER, ALPHA, MOST_PAIRS));
    Verdict::Undecided { pairs_needed: needed }
}

/// Whether both one-sided tests reject that the difference is as large as `margin`.
fn equivalent(arm: &ArmScores, baseline: &ArmScores, paired: bool, margin: f64) -> bool {
    let one_sided = |shift: f64| {
        let test = if paired {
            let moved: Vec<f64> =
                pairs(arm, baseline).iter().map(|difference| difference + shift).collect();
            paired_t(&moved)
        } else {
            let moved: Vec<f64> = arm.values().iter().map(|score| score + shift).collect();
            welch(&moved, &baseline.values())
        };
        // Above 0 after +margin, below 0 after −margin.
        test.is_some_and(|test| test.statistic * shift > 0.0 && test.p / 2.0 <= ALPHA)
    };
    one_sided(margin) && one_sided(-margin)
}

/// All tasks together; a run without a score may have that of who guesses in them.
pub(crate) fn overall(tasks: &[TaskScores], rules: &Rules) -> Option<Overall> {
    let first = tasks.first()?;
    let has = |task: &TaskScores, label: &str| task.arms.iter().any(|arm| arm.activation == label);
    let activations: Vec<String> = first
        .arms
        .iter()
        .map(|arm| arm.activation.clone())
        .filter(|label| tasks.iter().all(|task| has(task, label)))
        .collect();
    let arms_of = |task: &TaskScores| -> Vec<ArmScores> {
        let of = |label: &String| task.arms.iter().find(|arm| arm.activation == *label).cloned();
        activations.iter().filter_map(of).collect()
    };
    let mut blocks = Vec::new();
    for task in tasks {
        let arms = arms_of(task);
        for (seed, _) in arms.first().map(|arm| arm.runs.as_slice()).unwrap_or_default() {
            let block: Option<Vec<f64>> = arms.iter().map(|arm| arm.of_seed(seed)).collect();
            blocks.extend(block);
        }
    }
    let ranks = Ranks::of(&blocks)?;
    let baseline = activations.iter().position(|label| *label == rules.baseline);
    let middle = |strata: &[Vec<f64>]| interquartile_mean(&strata.concat()).unwrap_or(f64::NAN);
    let scores: Vec<Vec<ArmScores>> = tasks.iter().map(arms_of).collect();
    let places: Vec<usize> = (0..activations.len()).collect();
    let figures = parallel::map(&places, |i| {
        let strata: Vec<Vec<f64>> = scores.iter().map(|arms| arms[*i].values()).collect();
        (middle(&strata), rules.bootstrap.stratified(&strata, middle))
    });
    let named = |name, test| TestFigures::new(name, Some(test));
    Some(Overall {
        tasks: tasks.len(),
        blocks: ranks.blocks,
        exploratory: ranks.blocks < ENOUGH_BLOCKS,
        interquartile_mean: figures,
        friedman: named("Friedman", ranks.friedman)?,
        iman_davenport: named("Iman–Davenport", ranks.iman_davenport)?,
        critical_difference: ranks.critical_difference(ALPHA),
        nemenyi: (0..activations.len())
            .map(|i| baseline.filter(|baseline| *baseline != i).map(|b| ranks.nemenyi(i, b)))
            .collect(),
        ranks: ranks.mean,
        activations,
    })
}
