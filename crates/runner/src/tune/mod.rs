//! Tuning: the same trials for every arm, chosen on validation data, before the runs that are reported.

mod score;
mod space;
mod work;

pub(crate) use score::Score;
pub(crate) use space::{Assignment, Space};
pub(crate) use work::{Count, Tuning};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How keys of the tasks are tuned: every arm gets the same trials on each task; the best by validation accuracy,
/// the median over the seeds of tuning, is trained anew with the seeds of the experiment.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tune {
    /// How values are found.
    pub(crate) method: Method,
    /// Trials of each arm on each task; not for a grid, which tries every combination.
    #[serde(default)]
    pub(crate) trials: Option<usize>,
    /// Every trial is trained once with each; none may be among the seeds of the experiment.
    pub(crate) seeds: Vec<u64>,
    /// Seed of the values that are drawn.
    #[serde(default)]
    pub(crate) search_seed: u64,
    /// What is tuned, by its key: `training.learning_rate` on every task, `tasks.NAME.training.learning_rate` on
    /// one. Either `values`, or `min` and `max` with a `scale` (`linear` or `log`) and perhaps `integer = true`.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub(crate) parameters: toml::Table,
    /// Ends trials that do badly before their budget is used. Final runs are never ended so.
    #[serde(default)]
    pub(crate) early_stop: Option<EarlyStop>,
}

/// How values are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Method {
    /// Every combination of the values.
    Grid,
    /// Independent draws.
    Random,
    /// Points that are spread more evenly than independent ones: an additive sequence with the generalised golden
    /// ratio (Roberts 2018), shifted at random.
    QuasiRandom,
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Grid => "grid search",
            Self::Random => "random search",
            Self::QuasiRandom => "quasi-random search",
        })
    }
}

/// Which trials go on. Decisions wait until every trial of an arm on a task has come as far, so that they do not
/// depend on which worker was faster.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(tag = "policy", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum EarlyStop {
    /// One in `eta` goes on with a budget `eta` times as large (Jamieson and Talwalkar 2016).
    SuccessiveHalving {
        /// Part of the budget after which trials are compared first.
        first: f64,
        /// One in so many goes on.
        #[serde(default = "default_eta")]
        eta: u32,
    },
    /// A trial ends whose best validation accuracy is below the median of the others' means until then
    /// (Golovin et al. 2017).
    Median {
        /// Part of the budget after which trials are compared first, and then again each time.
        first: f64,
    },
}

fn default_eta() -> u32 {
    3
}

impl EarlyStop {
    /// Parts of the budget after which trials are compared; the last is all of it.
    pub(crate) fn rungs(self) -> Vec<f64> {
        let mut rungs = Vec::new();
        let mut part = self.first();
        while part < 1.0 - 1e-9 {
            rungs.push(part);
            part = match self {
                Self::SuccessiveHalving { eta, .. } => part * f64::from(eta),
                Self::Median { first } => part + first,
            };
        }
        rungs.push(1.0);
        rungs
    }

    fn first(self) -> f64 {
        match self {
            Self::SuccessiveHalving { first, .. } | Self::Median { first } => first,
        }
    }

    /// What is wrong with it: a key and the reason.
    fn check(self) -> Result<(), (&'static str, &'static str)> {
        if !(self.first() >= 0.01 && self.first() < 1.0) {
            return Err(("first", "must be at least 0.01 and below 1: a part of the budget"));
        }
        match self {
            Self::SuccessiveHalving { eta: 0 | 1, .. } => Err(("eta", "must be 2 or more")),
            _ => Ok(()),
        }
    }
}

impl Tune {
    /// Refuses what no type forbids; `final_seeds` are those of the experiment. The error is a key below `tune` and
    /// what is wrong with it.
    pub(crate) fn check(&self, final_seeds: &[u64]) -> Result<(), (String, String)> {
        let refuse = |key: &str, message: String| Err((key.to_owned(), message));
        if self.seeds.is_empty() {
            return refuse("seeds", "must hold one seed or more".to_owned());
        }
        for (i, seed) in self.seeds.iter().enumerate() {
            if self.seeds[..i].contains(seed) {
                return refuse("seeds", format!("{seed} stands there twice"));
            }
            if final_seeds.contains(seed) {
                return refuse(
                    "seeds",
                    format!("{seed} is a seed of the final runs too, which must be fresh"),
                );
            }
        }
        match (self.method, self.trials) {
            (Method::Grid, Some(_)) => {
                return refuse(
                    "trials",
                    "is not for a grid: it tries every combination".to_owned(),
                );
            }
            (Method::Random | Method::QuasiRandom, None) => {
                return refuse("trials", "is missing: how many values to try".to_owned());
            }
            (_, Some(0)) => return refuse("trials", "must be 1 or more".to_owned()),
            _ => {}
        }
        if let Some(early_stop) = self.early_stop {
            early_stop
                .check()
                .map_err(|(key, message)| (format!("early_stop.{key}"), message.to_owned()))?;
        }
        Space::new(self).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rungs_end_with_the_whole_budget() {
        let halving = |first, eta| EarlyStop::SuccessiveHalving { first, eta }.rungs();
        assert_eq!(halving(0.25, 2), [0.25, 0.5, 1.0]);
        assert_eq!(halving(0.2, 3), [0.2, 0.2 * 3.0, 1.0]);
        assert_eq!(EarlyStop::Median { first: 0.5 }.rungs(), [0.5, 1.0]);
        assert_eq!(EarlyStop::Median { first: 0.1 }.rungs().len(), 10);
    }
}
