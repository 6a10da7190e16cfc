//! Trials that end before their budget is used.

use crate::experiment::limits::grouped;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::HashSet;

/// Comparisons that a policy may name.
const MOST_COMPARISONS: usize = 100;

/// Which trials continue. Decisions wait until every trial of an activation on a task has come as far, so that they do not
/// depend on which worker was faster.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(tag = "policy", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum EarlyStop {
    /// One in `eta` continues with a budget `eta` times as large (Jamieson and Talwalkar 2016).
    SuccessiveHalving {
        /// Part of the budget after which trials are compared first.
        #[serde(default)]
        first: Option<f64>,
        /// In place of `first`: evaluations after which trials are compared, ascending. Those that come when a trial
        /// is over are left out.
        #[serde(default)]
        after: Vec<u64>,
        /// One in so many continues.
        #[serde(default = "default_eta")]
        eta: u32,
    },
    /// A trial ends whose best primary metric on validation data is worse than the median of the others' means until then
    /// (Golovin et al. 2017).
    Median {
        /// Part of the budget after which trials are compared first, and then again each time.
        first: f64,
    },
}

fn default_eta() -> u32 {
    3
}

/// Where trials are compared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rung {
    /// Part of the budget.
    pub(crate) part: f64,
    /// Evaluations, where the policy counts in these.
    pub(crate) evaluations: Option<u64>,
}

impl Rung {
    /// The end of the budget.
    pub(crate) const WHOLE: Self = Self { part: 1.0, evaluations: None };
}

/// How long a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Length {
    /// Optimizer steps of the whole budget.
    pub(crate) steps: u64,
    /// Steps between two evaluations.
    pub(crate) evaluate_every: u64,
}

impl Length {
    /// The step at which a trial ends that goes up to `rung`: that of an evaluation.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "steps are far below 2^52"
    )]
    pub(crate) fn end(self, rung: Rung) -> u64 {
        let wanted = match rung.evaluations {
            Some(evaluations) => evaluations.saturating_mul(self.evaluate_every),
            None => (rung.part * self.steps as f64).ceil() as u64,
        };
        let whole = wanted.max(1).checked_next_multiple_of(self.evaluate_every);
        whole.unwrap_or(u64::MAX).min(self.steps)
    }
}

/// `rungs` without those that end with the next one in trials of every length, where nothing more would be known.
pub(crate) fn without_repeats(rungs: &[Rung], lengths: &HashSet<Length>) -> Vec<Rung> {
    let differs = |place: usize| match rungs.get(place + 1) {
        Some(next) => lengths.iter().any(|length| length.end(rungs[place]) < length.end(*next)),
        None => true,
    };
    (0..rungs.len()).filter(|place| differs(*place)).map(|place| rungs[place]).collect()
}

impl EarlyStop {
    /// Where trials of `evaluations` evaluations are compared; the last is the end of the budget.
    ///
    /// # Errors
    /// If the first comparison would come when a trial is over: a key and the reason.
    #[expect(clippy::cast_precision_loss, reason = "evaluations are far below 2^52")]
    pub(crate) fn rungs(&self, evaluations: u64) -> Result<Vec<Rung>, (&'static str, String)> {
        let mut rungs = Vec::new();
        let of_part = |part| Rung { part, evaluations: None };
        match self {
            Self::SuccessiveHalving { first: Some(first), eta, .. } => {
                let parts =
                    std::iter::successors(Some(*first), |part| Some(part * f64::from(*eta)));
                rungs.extend(parts.take_while(|part| *part < 1.0 - 1e-9).map(of_part));
            }
            Self::SuccessiveHalving { first: None, after, .. } => {
                let earlier = after.iter().filter(|after| **after < evaluations);
                rungs.extend(earlier.map(|after| Rung {
                    part: *after as f64 / evaluations as f64,
                    evaluations: Some(*after),
                }));
                if rungs.is_empty() {
                    let first = after.first().copied().unwrap_or_default();
                    let message = format!(
                        "the first comparison, after {} evaluations, comes when a trial is over: it has {}",
                        grouped(first),
                        grouped(evaluations)
                    );
                    return Err(("after", message));
                }
            }
            Self::Median { first } => {
                let parts = std::iter::successors(Some(*first), |part| Some(part + first));
                rungs.extend(parts.take_while(|part| *part < 1.0 - 1e-9).map(of_part));
            }
        }
        rungs.push(Rung::WHOLE);
        Ok(rungs)
    }

    /// Whether it counts in evaluations, of which all trials must then have the same number.
    pub(crate) fn counts_evaluations(&self) -> bool {
        matches!(self, Self::SuccessiveHalving { first: None, .. })
    }

    /// What is wrong with it: a key and the reason.
    pub(super) fn check(&self) -> Result<(), (&'static str, String)> {
        let first = match self {
            Self::SuccessiveHalving { first, after, eta } => {
                if *eta < 2 {
                    return Err(("eta", "must be 2 or more".to_owned()));
                }
                if first.is_some() != after.is_empty() {
                    let message = "must be given, or else `after`, and not both";
                    return Err(("first", message.to_owned()));
                }
                let ascending = after.windows(2).all(|pair| pair[0] < pair[1]);
                if after.contains(&0) || !ascending || after.len() > MOST_COMPARISONS {
                    return Err((
                        "after",
                        format!(
                            "must be ascending numbers of evaluations, at most {MOST_COMPARISONS} of them, as in [1, 3, 9]"
                        ),
                    ));
                }
                *first
            }
            Self::Median { first } => Some(*first),
        };
        match first {
            Some(first) if !(0.01..1.0).contains(&first) => {
                Err(("first", "must be at least 0.01 and below 1: a part of the budget".to_owned()))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(policy: &EarlyStop, evaluations: u64) -> Vec<f64> {
        policy.rungs(evaluations).unwrap().iter().map(|rung| rung.part).collect()
    }

    #[test]
    fn rungs_end_with_the_whole_budget() {
        let halving = |first, eta| {
            let policy = EarlyStop::SuccessiveHalving { first: Some(first), after: vec![], eta };
            parts(&policy, 1)
        };
        assert_eq!(halving(0.25, 2), [0.25, 0.5, 1.0]);
        assert_eq!(halving(0.2, 3), [0.2, 0.2 * 3.0, 1.0]);
        assert_eq!(parts(&EarlyStop::Median { first: 0.5 }, 1), [0.5, 1.0]);
        assert_eq!(parts(&EarlyStop::Median { first: 0.1 }, 1).len(), 10);
    }

    #[test]
    fn comparisons_that_fall_on_one_evaluation_are_one() {
        let epochs = Length { steps: 30, evaluate_every: 10 };
        let ends = |rungs: &[Rung], lengths: &[Length]| -> Vec<u64> {
            let lengths: HashSet<Length> = lengths.iter().copied().collect();
            let kept = without_repeats(rungs, &lengths);
            kept.iter().map(|rung| epochs.end(*rung)).collect()
        };
        let median = EarlyStop::Median { first: 0.2 }.rungs(3).unwrap();
        assert_eq!(
            median.iter().map(|rung| epochs.end(*rung)).collect::<Vec<_>>(),
            [10, 20, 20, 30, 30]
        );
        assert_eq!(ends(&median, &[epochs]), [10, 20, 30]);
        let halving = EarlyStop::SuccessiveHalving { first: Some(0.1), after: vec![], eta: 3 };
        assert_eq!(ends(&halving.rungs(3).unwrap(), &[epochs]), [10, 30]);
        // What is one comparison for some trials is two for others.
        let finer = Length { steps: 60, evaluate_every: 10 };
        assert_eq!(ends(&median, &[epochs, finer]), [10, 20, 20, 30, 30]);
        assert_eq!(ends(&median[4..], &[epochs]), [30]);
    }

    #[test]
    fn evaluations_are_compared_until_the_budget_ends() {
        let after = EarlyStop::SuccessiveHalving { first: None, after: vec![3, 9, 27], eta: 3 };
        let counts = |evaluations| {
            let rungs = after.rungs(evaluations)?;
            Ok::<_, (&str, String)>(rungs.iter().map(|rung| rung.evaluations).collect::<Vec<_>>())
        };
        assert_eq!(counts(27).unwrap(), [Some(3), Some(9), None]);
        assert_eq!(counts(28).unwrap(), [Some(3), Some(9), Some(27), None]);
        assert_eq!(counts(4).unwrap(), [Some(3), None]);
        assert_eq!(counts(3).unwrap_err().0, "after");
    }
}
