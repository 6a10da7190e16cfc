//! Tuning: the same trials for every arm, chosen on validation data, before the runs that are reported.

mod range;
mod rung;
mod score;
mod space;
mod trials;
mod work;

pub(crate) use range::{distinct, unset};
pub(crate) use rung::{EarlyStop, Length, Rung, without_repeats};
pub(crate) use score::Score;
pub(crate) use space::{Assignment, Space, overlap};
pub(crate) use trials::{discard, records, up_to};
pub(crate) use work::{Count, Tuning};

use crate::experiment::limits::{MOST, grouped, within};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::fmt;

/// How keys of the tasks are tuned: every activation gets the same trials on each task; the best by the primary metric on validation data,
/// the median over the seeds of tuning, is trained anew with the seeds of the experiment.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tune {
    /// How values are found.
    pub(crate) method: Method,
    /// Trials of each activation on each task; not for a grid, which tries every combination.
    #[serde(default)]
    pub(crate) trials: Option<usize>,
    /// Every trial is trained once with each; none may be among the seeds of the experiment. Where absent, 1000001,
    /// 1000002 and 1000003, or the ones that follow where the experiment has one of these.
    #[serde(default)]
    seeds: Option<Vec<u64>>,
    /// Seed of the values that are drawn.
    #[serde(default)]
    pub(crate) search_seed: u64,
    /// What is tuned, by its key: `training.learning_rate` on every task, `tasks.NAME.training.learning_rate` on
    /// one. Either `values`, of which `{ unset = true }` leaves the key out, or `min` and `max` with a `scale`
    /// (`linear` or `log`) and perhaps `integer = true`.
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
    /// Points that are spread more evenly than independent ones: an additive sequence with the generalized golden
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

/// Seeds of trials where the experiment names none: so many, from this one on. They do not depend on the
/// experiment's own, so that a seed more leaves trials and their choices as they are.
const FIRST_TRIAL_SEED: u64 = 1_000_001;
pub(crate) const TRIAL_SEEDS: usize = 3;

/// Seeds of trials where the experiment, whose own are `final_seeds`, names none.
pub(crate) fn trial_seeds(final_seeds: &[u64]) -> Vec<u64> {
    let used: HashSet<u64> = final_seeds.iter().copied().collect();
    (FIRST_TRIAL_SEED..).filter(|seed| !used.contains(seed)).take(TRIAL_SEEDS).collect()
}

/// Refuses `seeds` of trials that are none, too many, not distinct, or among `final_seeds`.
pub(crate) fn check_seeds(seeds: &[u64], final_seeds: &[u64]) -> Result<(), String> {
    if seeds.is_empty() {
        return Err("must hold one seed or more".to_owned());
    }
    within(seeds.len(), MOST, "seeds")?;
    let finals: HashSet<u64> = final_seeds.iter().copied().collect();
    let mut seen = HashSet::new();
    for seed in seeds {
        if !seen.insert(*seed) {
            return Err(format!("duplicate seed {seed}"));
        }
        if finals.contains(seed) {
            return Err(format!("{seed} is a seed of the final runs too, which must be fresh"));
        }
    }
    Ok(())
}

impl Tune {
    /// Every trial is trained once with each.
    pub(crate) fn seeds(&self) -> &[u64] {
        self.seeds.as_deref().unwrap_or_default()
    }

    /// Fills in what the experiment leaves out; `final_seeds` are those of the experiment.
    pub(crate) fn fill_in(&mut self, final_seeds: &[u64]) {
        self.seeds.get_or_insert_with(|| trial_seeds(final_seeds));
    }

    /// Refuses what no type forbids; `final_seeds` are those of the experiment. The error is a key below `tune` and
    /// what is wrong with it.
    pub(crate) fn check(&self, final_seeds: &[u64]) -> Result<(), (String, String)> {
        let refuse = |key: &str, message: String| Err((key.to_owned(), message));
        check_seeds(self.seeds(), final_seeds).map_err(|message| ("seeds".into(), message))?;
        match (self.method, self.trials) {
            (Method::Grid, Some(_)) => {
                return refuse(
                    "trials",
                    "is not for a grid: it tries every combination".to_owned(),
                );
            }
            (Method::Random | Method::QuasiRandom, None) => {
                return refuse("trials", "missing key `trials`: how many values to try".to_owned());
            }
            (_, Some(trials)) if !(1..=MOST).contains(&trials) => {
                let most = grouped(MOST);
                return refuse(
                    "trials",
                    format!("must be from 1 to {most}, not {}", grouped(trials)),
                );
            }
            _ => {}
        }
        if let Some(early_stop) = &self.early_stop {
            early_stop.check().map_err(|(key, message)| (format!("early_stop.{key}"), message))?;
        }
        Space::new(self).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_of_trials_do_not_depend_on_how_many_seeds_there_are() {
        let filled = |finals: &[u64]| {
            let text = "method = \"grid\"\nparameters.training.warmup = { values = [0.1] }";
            let mut tune: Tune = toml::from_str(text).unwrap();
            tune.fill_in(finals);
            tune.seeds().to_vec()
        };
        assert_eq!(filled(&[1, 2]), [1_000_001, 1_000_002, 1_000_003]);
        assert_eq!(filled(&[1, 2, u64::MAX]), [1_000_001, 1_000_002, 1_000_003]);
        assert_eq!(filled(&[1_000_002]), [1_000_001, 1_000_003, 1_000_004]);
    }
}
