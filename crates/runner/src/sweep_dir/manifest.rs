//! `sweep.json`: what a sweep is.

use crate::experiment::Experiment;
use crate::plan::{Plan, PlannedRun};
use crate::registration::changes;
use crate::search::SearchNote;
use crate::shell;
use analysis::{AllPairs, Confirms, Family, Registration, ReportOptions};
use indexmap::IndexMap;
use record::RunId;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use std::path::PathBuf;

/// `sweep.json`: which of the runs in the folder belong together, and how to show them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) baseline: String,
    pub(crate) activations: Vec<String>,
    pub(crate) tasks: Vec<String>,
    pub(crate) runs: Vec<RunId>,
    /// Differences of at most this size do not matter on tasks judged in %, in percentage points.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) margin: Option<f64>,
    /// Over which comparisons the error rate is held.
    #[serde(default)]
    pub(crate) family: Family,
    /// How all pairs are compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) all_pairs: Option<AllPairs>,
    /// When results are looked at, where the sweep may end early.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) looks: Option<LooksNote>,
    /// The keys of the experiment that decide what it finds or claims.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub(crate) experiment: Value,
    /// The same before the first run ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) registration: Option<RegistrationNote>,
    /// The sweep that this one confirms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) confirms: Option<ConfirmsNote>,
    /// All runs, trials too, where not all are known yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) planned: Option<usize>,
    /// Runs that an earlier process knew of the same experiment, while decisions are made again that lead to them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) earlier: Vec<RunId>,
    /// What was tuned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tuning: Option<TuningNote>,
    /// What was searched for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) search: Option<SearchNote>,
    /// The words of the command that trains the runs, as it was typed last.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "words_or_none")]
    pub(crate) command: Option<Vec<String>>,
    /// The folder for results as that command names it: where it is relative, it is below the folder of the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) output: Option<PathBuf>,
}

/// The words of a command; nothing where it is written otherwise, since a report does without it.
fn words_or_none<'de, D: Deserializer<'de>>(source: D) -> Result<Option<Vec<String>>, D::Error> {
    let value = Value::deserialize(source)?;
    Ok(serde_json::from_value(value).ok())
}

/// Looks at results before all of them are in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct LooksNote {
    /// Numbers of seeds after which there is a look.
    pub(crate) seeds: Vec<usize>,
    /// Every seed, in the order in which they are trained.
    pub(crate) order: Vec<u64>,
}

/// An experiment as it was before its first run ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct RegistrationNote {
    /// SHA-256 of its keys.
    pub(crate) sha256: String,
    /// The keys themselves.
    pub(crate) experiment: Value,
}

/// What a confirmation is about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ConfirmsNote {
    /// Folder of the first sweep.
    pub(crate) sweep: String,
    /// The test that was stated before the first run.
    pub(crate) statement: String,
}

/// How a sweep was tuned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct TuningNote {
    /// In words.
    pub(crate) method: String,
    pub(crate) seeds: Vec<u64>,
    /// By task: what was tuned, and whether on a logarithmic scale.
    pub(crate) parameters: IndexMap<String, Vec<(String, bool)>>,
    /// Whether trials were ended before their budget was used.
    pub(crate) early_stop: bool,
    pub(crate) trials: Vec<TrialNote>,
}

/// A trial of one arm on one task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct TrialNote {
    pub(crate) task: String,
    pub(crate) activation: String,
    /// What was tried, by its place in the task.
    pub(crate) values: IndexMap<String, Value>,
    /// Its runs, the shorter ones first: for each length one a seed.
    pub(crate) runs: Vec<Vec<RunId>>,
    /// Whether it is the best of its arm on its task.
    pub(crate) chosen: bool,
}

impl Manifest {
    /// The manifest of `experiment`, whose runs are those of `plan`.
    pub(crate) fn of(experiment: &Experiment, plan: &Plan<'_>) -> Self {
        Self {
            name: experiment.name.clone(),
            description: experiment.own_description().to_owned(),
            margin: experiment.margin,
            family: experiment.family,
            all_pairs: experiment.all_pairs.how(),
            looks: experiment.sequential.as_ref().map(|sequential| LooksNote {
                seeds: sequential.looks(&experiment.seeds),
                order: sequential.order(&experiment.seeds),
            }),
            experiment: experiment.registered(),
            registration: None,
            confirms: None,
            baseline: plan.baseline.clone(),
            activations: plan.planner.labels.clone(),
            tasks: experiment.tasks.keys().cloned().collect(),
            runs: plan.runs.iter().map(PlannedRun::id).collect(),
            planned: None,
            earlier: Vec::new(),
            tuning: None,
            search: None,
            command: Some(shell::portable_words()),
            output: Some(experiment.output.clone()),
        }
    }

    /// How a report of the sweep is made.
    pub(crate) fn options(&self) -> ReportOptions {
        let title = if self.description.is_empty() { &self.name } else { &self.description };
        ReportOptions {
            title: title.clone(),
            baseline: Some(self.baseline.clone()),
            order: self.activations.clone(),
            task_order: self.tasks.clone(),
            margin: self.margin.map(|points| points / 100.0),
            family: self.family,
            all_pairs: self.all_pairs,
            looks: self.looks.as_ref().map(|looks| (looks.seeds.clone(), looks.order.clone())),
            registration: self.registration.as_ref().map(|before| Registration {
                sha256: before.sha256.clone(),
                changes: changes(&before.experiment, &self.experiment),
            }),
            confirms: self.confirms.as_ref().map(|note| Confirms {
                sweep: note.sweep.clone(),
                statement: note.statement.clone(),
            }),
            search: self.search.as_ref().map(SearchNote::shown),
            ..ReportOptions::default()
        }
    }

    /// Every run that belongs to the sweep.
    pub(crate) fn all_runs(&self) -> impl Iterator<Item = &RunId> {
        self.runs.iter().chain(self.trials()).chain(&self.earlier)
    }

    /// Runs of trials, also those of a search.
    pub(crate) fn trials(&self) -> impl Iterator<Item = &RunId> {
        let trials = self.tuning.iter().flat_map(|tuning| &tuning.trials);
        let trials = trials.flat_map(|trial| trial.runs.iter().flatten());
        trials.chain(self.search.iter().flat_map(SearchNote::runs))
    }
}
