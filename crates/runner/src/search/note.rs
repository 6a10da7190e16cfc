//! What `sweep.json` holds of a search: all that its report says.

use super::candidate::Refusal;
use super::grammar::Grammar;
use indexmap::IndexMap;
use record::RunId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A search as it is so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct SearchNote {
    /// Seed of all that is drawn.
    pub(crate) seed: u64,
    /// Seeds of the trials.
    pub(crate) seeds: Vec<u64>,
    /// What formulas are made of.
    pub(crate) grammar: Grammar,
    /// Generations in all.
    pub(crate) generations: usize,
    /// Formulas that a generation trains.
    pub(crate) population: usize,
    /// Parts of the budget after which formulas are compared; the last is 1.
    pub(crate) parts: Vec<f64>,
    /// One in so many continues after each.
    pub(crate) eta: u32,
    /// What became of the formulas that were proposed, by generation.
    pub(crate) proposed: Vec<Proposed>,
    /// Every formula that was trained, in the order in which they were found.
    pub(crate) formulas: Vec<FormulaNote>,
    /// Names of those that went into the final sweep, the best by validation data first.
    pub(crate) finalists: Vec<String>,
}

/// Formulas that a generation proposed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Proposed {
    /// All of them.
    pub(crate) formulas: usize,
    /// Those that were not trained, by the reason.
    pub(crate) refused: BTreeMap<Refusal, usize>,
}

/// A formula that was trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct FormulaNote {
    pub(crate) name: String,
    pub(crate) formula: String,
    /// In additions.
    pub(crate) cost: u32,
    pub(crate) generation: usize,
    /// How it came to be, in words.
    pub(crate) origin: String,
    /// The registered activation that is the same function.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) same_as: Option<String>,
    /// Part of the budget after which it was compared last; 0 before the first comparison.
    pub(crate) part: f64,
    /// By task: the primary metric on validation data there, the median over seeds; null where most runs diverged.
    pub(crate) values: IndexMap<String, Option<f64>>,
    /// Its runs, the shorter ones first: for each length one a task and seed.
    pub(crate) runs: Vec<Vec<RunId>>,
}

impl SearchNote {
    /// Runs of trials.
    pub(crate) fn runs(&self) -> impl Iterator<Item = &RunId> {
        self.formulas.iter().flat_map(|one| one.runs.iter().flatten())
    }

    /// The search as reports show it.
    pub(crate) fn shown(&self) -> analysis::Search {
        let generation = |proposed: &Proposed| analysis::Generation {
            proposed: proposed.formulas,
            refused: proposed
                .refused
                .iter()
                .map(|(reason, count)| (reason.to_string(), *count))
                .collect(),
        };
        let formula = |one: &FormulaNote| analysis::Formula {
            name: one.name.clone(),
            formula: one.formula.clone(),
            cost: one.cost,
            generation: one.generation,
            origin: one.origin.clone(),
            same_as: one.same_as.clone(),
            part: one.part,
            values: one.values.iter().map(|(task, value)| (task.clone(), *value)).collect(),
        };
        analysis::Search {
            seed: self.seed,
            seeds: self.seeds.clone(),
            grammar: self.grammar.shown(),
            generations: self.generations,
            parts: self.parts.clone(),
            eta: self.eta,
            runs: self.runs().count(),
            proposed: self.proposed.iter().map(generation).collect(),
            formulas: self.formulas.iter().map(formula).collect(),
            finalists: self.finalists.clone(),
        }
    }
}
