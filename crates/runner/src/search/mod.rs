//! Search: formulas over a grammar, evolved on validation data before the runs that are reported.

mod candidate;
mod front;
mod grammar;
mod names;
mod note;
mod population;
mod vary;
mod work;

pub(crate) use note::SearchNote;
pub(crate) use work::Evolution;

use crate::experiment::limits::{MOST_RUNS, grouped};
use crate::tune::{EarlyStop, check_seeds, trial_seeds};
use grammar::Grammar;
use schemars::JsonSchema;
use serde::Deserialize;

/// Generations, and formulas of a generation, at most.
const MOST: usize = 10_000;

/// Activations whose formulas a search begins with where the experiment names none, as far as its grammar has them.
const START: [&str; 3] = ["relu", "silu", "tanh"];

/// A search for formulas: `actlab search` evolves formulas of a grammar by validation data, and compares the best of them
/// with the activations of the experiment under its seeds, as a sweep does.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Search {
    /// Seed of all that is drawn: formulas, parents, changes.
    #[serde(default)]
    pub(crate) seed: u64,
    /// Generations.
    #[serde(default = "default_generations")]
    pub(crate) generations: usize,
    /// Formulas that each generation trains.
    #[serde(default = "default_population")]
    pub(crate) population: usize,
    /// Every formula is trained once with each; none may be among the seeds of the experiment. Where absent, 1000001,
    /// 1000002 and 1000003, or the ones that follow where the experiment has one of these.
    #[serde(default)]
    seeds: Option<Vec<u64>>,
    /// Part of the budget after which the formulas of a generation are compared first (successive halving); with 1 all are
    /// trained to the end.
    #[serde(default = "default_first")]
    pub(crate) first: f64,
    /// One in so many continues, with a budget so many times as large.
    #[serde(default = "default_eta")]
    pub(crate) eta: u32,
    /// Formulas that a generation is made of: the fittest so far by validation data and cost.
    #[serde(default = "default_parents")]
    pub(crate) parents: usize,
    /// Formulas that the final sweep compares with the activations of the experiment.
    #[serde(default = "default_finalists")]
    pub(crate) finalists: usize,
    /// Activations, by name or formula, that are trained first and whose formulas the search begins with; where absent,
    /// `relu`, `silu` and `tanh`, as far as the grammar has them.
    #[serde(default)]
    start: Option<Vec<String>>,
    /// The formulas that may be written.
    #[serde(default)]
    pub(crate) grammar: Grammar,
}

fn default_generations() -> usize {
    5
}

fn default_population() -> usize {
    12
}

fn default_first() -> f64 {
    0.25
}

fn default_eta() -> u32 {
    2
}

fn default_parents() -> usize {
    6
}

fn default_finalists() -> usize {
    3
}

impl Search {
    /// Every formula is trained once with each.
    pub(crate) fn seeds(&self) -> &[u64] {
        self.seeds.as_deref().unwrap_or_default()
    }

    /// Fills in what the experiment leaves out; `final_seeds` are those of the experiment.
    pub(crate) fn fill_in(&mut self, final_seeds: &[u64]) {
        self.seeds.get_or_insert_with(|| trial_seeds(final_seeds));
    }

    /// Activations to begin with, and whether the experiment names them.
    fn start(&self) -> (Vec<String>, bool) {
        match &self.start {
            Some(start) => (start.clone(), true),
            None => (START.map(str::to_owned).to_vec(), false),
        }
    }

    /// Successive halving, as tuning has it.
    fn halving(&self) -> EarlyStop {
        EarlyStop::SuccessiveHalving { first: Some(self.first), after: Vec::new(), eta: self.eta }
    }

    /// How many of `alive` formulas continue.
    fn survivors(&self, alive: usize) -> usize {
        if alive == 0 { 0 } else { (alive / self.eta as usize).max(1) }
    }

    /// What it trains at most, in a sentence.
    pub(crate) fn at_most(&self) -> String {
        format!(
            "the search trains at most {} formulas, {} in each of {} generations; one in {} of a generation continues after each \
             comparison; {} finalists at most go into the final sweep",
            grouped(self.generations * self.population),
            grouped(self.population),
            grouped(self.generations),
            self.eta,
            grouped(self.finalists)
        )
    }

    /// Refuses what no type forbids; `final_seeds` and `tasks` are those of the experiment. The error is a key below
    /// `search` and what is wrong with it.
    pub(crate) fn check(&self, final_seeds: &[u64], tasks: usize) -> Result<(), (String, String)> {
        let refuse = |key: &str, message: String| Err((key.to_owned(), message));
        check_seeds(self.seeds(), final_seeds).map_err(|message| ("seeds".into(), message))?;
        let counts = [
            ("generations", self.generations, 1, MOST),
            ("population", self.population, 1, MOST),
            ("parents", self.parents, 1, MOST),
            ("finalists", self.finalists, 1, self.generations.saturating_mul(self.population)),
        ];
        for (key, count, least, most) in counts {
            if !(least..=most).contains(&count) {
                let most = grouped(most);
                let hint = if key == "finalists" { ", the formulas that are trained" } else { "" };
                return refuse(
                    key,
                    format!("must be from {least} to {most}{hint}, not {}", grouped(count)),
                );
            }
        }
        if !(0.01..=1.0).contains(&self.first) {
            return refuse("first", "must be from 0.01 to 1: a part of the budget".into());
        }
        if !(2..=1000).contains(&self.eta) {
            return refuse("eta", format!("must be from 2 to 1,000, not {}", self.eta));
        }
        let (mut alive, mut part, mut trained) = (self.population, self.first, self.population);
        while part < 1.0 {
            alive = self.survivors(alive);
            trained = trained.saturating_add(alive);
            part *= f64::from(self.eta);
        }
        let of_search = (self.generations * self.seeds().len()) as u128 * trained as u128;
        let runs = (tasks as u128) * (of_search + (self.finalists * final_seeds.len()) as u128);
        if runs > u128::from(MOST_RUNS) {
            let message = format!(
                "{} formulas in each of {} generations on {tasks} tasks with {} seeds are {} runs with those of the finalists; at most {} are supported",
                grouped(self.population),
                grouped(self.generations),
                self.seeds().len(),
                grouped(runs),
                grouped(MOST_RUNS)
            );
            return refuse("population", message);
        }
        self.grammar.rules().map_err(|(key, message)| (format!("grammar.{key}"), message))?;
        let (start, _) = self.start();
        if start.len() > self.population && self.start.is_some() {
            let message = format!(
                "names {} activations, and the first generation has {} formulas (`population`)",
                start.len(),
                self.population
            );
            return refuse("start", message);
        }
        Ok(())
    }
}
