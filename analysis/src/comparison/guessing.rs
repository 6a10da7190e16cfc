//! Whether activations learned anything: scores against those of guessing.

use super::{ArmScores, TaskScores, Verdict};
use crate::metric::Shown;
use crate::statistics::{Resolution, mean};
use record::Metric;

/// Standard errors of guessing within which a share of right answers is one of guessing.
const LEARNED: f64 = 2.0;

/// By how much guessing, which scores `guessing`, is better by luck on so many test examples, which are many where their
/// number is not known.
pub(crate) fn luck(metric: Option<&Metric>, guessing: f64, examples: Option<u64>) -> f64 {
    let whole = metric.map_or(1.0, |metric| 100.0 / metric.scale);
    let share = guessing / whole;
    // Only of shares of right answers is it known how far luck goes.
    if !metric.is_none_or(Shown::is_share) || !(0.0..=1.0).contains(&share) {
        return 0.0;
    }
    let examples = examples.unwrap_or(u64::MAX) as f64;
    LEARNED * (share * (1.0 - share) / examples).sqrt() * whole
}

/// The same on a task.
pub(super) fn luck_of(task: &TaskScores, guessing: f64) -> f64 {
    let examples = match task.resolution {
        Resolution::Examples(examples) => Some(examples),
        Resolution::Rounding => None,
    };
    luck(task.metric.as_ref(), guessing, examples)
}

/// Whether it is known what guessing scores on `task`, and no arm's mean is better by more than luck.
pub(super) fn nothing_learned(task: &TaskScores) -> bool {
    let Some(guessing) = task.guessing.filter(|guessing| guessing.is_finite()) else {
        return false;
    };
    let reached = task.merit(guessing) + luck_of(task, guessing);
    let means = |arm: &ArmScores| arm.published.map(|one| one.mean).or(mean(&arm.values()));
    let best = task.arms.iter().filter_map(means).map(|mean| task.merit(mean)).reduce(f64::max);
    best.is_some_and(|best| best <= reached)
}

impl Verdict {
    /// The verdict where nothing was learned: no claim.
    pub(super) fn at_guessing(self) -> Self {
        match self {
            Self::Better | Self::Worse | Self::Equivalent => Self::NothingLearned,
            other => other,
        }
    }
}
