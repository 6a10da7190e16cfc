//! Every arm against every other.

use super::against::paired_scores;
use super::blocks::{all_seeds, blocks, family};
use super::{ALPHA, ArmScores, Family, Rules, TaskScores};
use crate::statistics::{Moments, holm, mean, paired_t, tukey, welch};
use serde::{Deserialize, Serialize};

/// Arms of a task beyond which a table of all pairs is unreadable.
const MOST_ARMS: usize = 40;

/// How all pairs are corrected, as a family of their own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AllPairs {
    /// t tests of each pair, after Holm's correction.
    #[default]
    Holm,
    /// Tukey's test in blocks, a seed a block: one spread for all arms. The differences are of the same blocks. Tasks are
    /// corrected together by Bonferroni where the family is the report.
    Tukey,
}

impl AllPairs {
    /// Its name in a sentence.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Holm => "Holm",
            Self::Tukey => "Tukey",
        }
    }
}

/// Two arms of a task.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pair {
    /// Label of the one.
    pub a: String,
    /// Label of the other.
    pub b: String,
    /// `a` minus `b`, of the runs that p is of.
    pub difference: Option<f64>,
    /// p after correction; absent where there is no spread, or too few runs, and of an arm that Tukey's test leaves out.
    pub p: Option<f64>,
}

impl Pair {
    /// Whether they differ at level 0.05 over all pairs.
    #[must_use]
    pub fn significant(&self) -> bool {
        self.p.is_some_and(|p| p <= ALPHA)
    }
}

/// The runs of a task that Tukey's test is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TukeyBlocks {
    /// Seeds under which every arm of the test has a score: the blocks. 0 where there is no test.
    pub seeds: usize,
    /// Seeds under which any arm of the task has a score.
    pub all_seeds: usize,
    /// Labels of arms that the test leaves out, since they lack some of its seeds.
    pub left_out: Vec<String>,
    /// Tasks with such a test, by whose number p is multiplied; 1 where each task is a family of its own.
    pub tasks: usize,
    /// Whether only means are known, and no scores of runs.
    #[serde(skip)]
    pub(crate) published: bool,
}

impl TukeyBlocks {
    /// Whether runs that have a score are not in the test.
    pub(crate) fn lacks_runs(&self) -> bool {
        !self.left_out.is_empty() || self.seeds < self.all_seeds
    }
}

/// All pairs of a task, and what Tukey's test of them is of.
pub(super) type OfTask = (Vec<Pair>, Option<TukeyBlocks>);

/// All pairs of each task, the arms in their order; nothing where it is off, of more than 40 arms, or of fewer than
/// three, where the pairs are the comparisons with the baseline.
pub(super) fn all(tasks: &[TaskScores], rules: &Rules) -> Vec<OfTask> {
    let mut all: Vec<OfTask> = tasks
        .iter()
        .map(|task| match rules.all_pairs {
            // Pairs know nothing of looks.
            Some(how) if rules.looks.is_none() && (3..=MOST_ARMS).contains(&task.arms.len()) => {
                of_task(task, how)
            }
            _ => (Vec::new(), None),
        })
        .collect();
    match (rules.all_pairs, rules.family) {
        (Some(AllPairs::Holm), Family::Report) => {
            correct(&mut all.iter_mut().flat_map(|(pairs, _)| pairs).collect::<Vec<_>>())
        }
        (Some(AllPairs::Holm), Family::Task) => {
            for (pairs, _) in &mut all {
                correct(&mut pairs.iter_mut().collect::<Vec<_>>());
            }
        }
        (Some(AllPairs::Tukey), Family::Report) => correct_tasks(&mut all),
        (Some(AllPairs::Tukey), Family::Task) | (None, _) => {}
    }
    all
}

fn correct(pairs: &mut [&mut Pair]) {
    let tests: Vec<(usize, f64)> = pairs.iter().filter_map(|pair| pair.p).enumerate().collect();
    let mut adjusted = holm(&tests, ALPHA).into_iter();
    for pair in pairs.iter_mut().filter(|pair| pair.p.is_some()) {
        pair.p = adjusted.next().map(|one| one.p);
    }
}

/// Bonferroni's correction of Tukey's tests of several tasks.
fn correct_tasks(all: &mut [OfTask]) {
    let has_test = |(pairs, _): &&OfTask| pairs.iter().any(|pair| pair.p.is_some());
    let tested = all.iter().filter(has_test).count().max(1);
    for (pairs, tukey) in all {
        for pair in pairs {
            pair.p = pair.p.map(|p| (p * tested as f64).min(1.0));
        }
        if let Some(tukey) = tukey {
            tukey.tasks = tested;
        }
    }
}

fn of_task(task: &TaskScores, how: AllPairs) -> OfTask {
    let mut pairs = Vec::new();
    for (i, a) in task.arms.iter().enumerate() {
        for b in &task.arms[i + 1..] {
            let (difference, p) = compare(a, b, task);
            pairs.push(Pair { a: a.activation.clone(), b: b.activation.clone(), difference, p });
        }
    }
    let tukey = (how == AllPairs::Tukey).then(|| in_blocks(task, &mut pairs));
    (pairs, tukey)
}

/// Gives `pairs` the p of Tukey's test, and the differences of its blocks. A pair with an arm that is not in the test
/// keeps its difference, and has no p.
fn in_blocks(task: &TaskScores, pairs: &mut [Pair]) -> TukeyBlocks {
    let places = family(&task.arms);
    let arms: Vec<ArmScores> = places.iter().map(|place| task.arms[*place].clone()).collect();
    let labels: Vec<String> = arms.iter().map(|arm| arm.activation.clone()).collect();
    let blocks = blocks(&TaskScores { arms, ..task.clone() });
    let p = tukey(&blocks).unwrap_or_default();
    let k = labels.len();
    let place = |label: &str| labels.iter().position(|known| known == label);
    for pair in pairs {
        pair.p = None;
        let Some((i, j)) = place(&pair.a).zip(place(&pair.b)) else { continue };
        pair.p = p.get(i * (2 * k - i - 1) / 2 + j - i - 1).copied();
        let scores: Vec<(f64, f64)> = blocks.iter().map(|block| (block[i], block[j])).collect();
        pair.difference = mean(&task.resolution.differences(&scores));
    }
    let others = task.arms.iter().map(|arm| &arm.activation);
    TukeyBlocks {
        seeds: blocks.len(),
        all_seeds: all_seeds(&task.arms),
        left_out: others.filter(|label| !labels.contains(label)).cloned().collect(),
        tasks: 1,
        published: task.arms.iter().any(|arm| arm.published.is_some()),
    }
}

fn compare(a: &ArmScores, b: &ArmScores, task: &TaskScores) -> (Option<f64>, Option<f64>) {
    let differences = task.resolution.differences(&paired_scores(a, b));
    if differences.len() >= 2 {
        return (mean(&differences), paired_t(&differences).map(|test| test.p));
    }
    let (ours, theirs) = (a.values(), b.values());
    let all = task.resolution.scores(&[ours.as_slice(), theirs.as_slice()].concat());
    let (ours, theirs) = all.split_at(ours.len());
    let moments = |arm: &ArmScores, scores| arm.published.or(Moments::of(scores));
    let Some((a, b)) = moments(a, ours).zip(moments(b, theirs)) else {
        return (mean(ours).zip(mean(theirs)).map(|(a, b)| a - b), None);
    };
    (Some(a.mean - b.mean), welch(&a, &b).map(|test| test.p))
}
