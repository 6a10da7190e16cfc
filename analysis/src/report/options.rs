//! How a report is made.

use super::{Commands, Confirms, Registration, Search, Shape, Tuning};
use crate::comparison::{AllPairs, Family};

/// How a report is made.
#[derive(Debug, Clone, PartialEq)]
pub struct ReportOptions {
    /// First heading.
    pub title: String,
    /// Label of the activation that the others are compared with; by default the first in the order
    /// of the report.
    pub baseline: Option<String>,
    /// Further activations that all are compared with, in the same family of tests.
    pub further_baselines: Vec<String>,
    /// The baseline that the experiment states, where the report has another.
    pub stated_baseline: Option<String>,
    /// Labels of activations in the order of the experiment; others follow alphabetically.
    pub order: Vec<String>,
    /// Names of tasks in the order of the experiment; others follow alphabetically.
    pub task_order: Vec<String>,
    /// Resamples of a bootstrap interval; with 0 there are no intervals.
    pub bootstrap_resamples: usize,
    /// Seed of the bootstrap.
    pub bootstrap_seed: u64,
    /// Longest line of the Markdown, in characters; less than 60 is taken as 60.
    pub width: usize,
    /// Differences of test values of at most this size do not matter, as a fraction; it applies to tasks whose metric is in
    /// percent alone, and a task without a margin has no test of equivalence.
    pub margin: Option<f64>,
    /// Over which tests the error rate is held.
    pub family: Family,
    /// Whether every activation is compared with every other, and how.
    pub all_pairs: Option<AllPairs>,
    /// Numbers of seeds after which results are looked at, where the sweep may end early, and all its seeds.
    pub looks: Option<(Vec<usize>, Vec<u64>)>,
    /// What was fixed before the first run.
    pub registration: Option<Registration>,
    /// The sweep that these runs confirm.
    pub confirms: Option<Confirms>,
    /// Records that are left out, and why: a line each.
    pub skipped: Vec<String>,
    /// What the activations look like, in the order in which they are shown.
    pub shapes: Vec<Shape>,
    /// How the recipes were tuned, where they were.
    pub tuning: Option<Tuning>,
    /// The search that found some of the activations, where there was one.
    pub search: Option<Search>,
    /// Commands that continue the sweep.
    pub commands: Commands,
    /// The experiment as TOML, as far as it decides what is trained and claimed: no folders, no trackers, no limits.
    pub experiment: Option<String>,
}

impl Default for ReportOptions {
    fn default() -> Self {
        Self {
            title: "Activation functions compared".into(),
            baseline: None,
            further_baselines: Vec::new(),
            stated_baseline: None,
            order: Vec::new(),
            task_order: Vec::new(),
            bootstrap_resamples: 10_000,
            bootstrap_seed: 0,
            width: 120,
            margin: None,
            family: Family::default(),
            all_pairs: Some(AllPairs::default()),
            looks: None,
            registration: None,
            confirms: None,
            skipped: Vec::new(),
            shapes: Vec::new(),
            tuning: None,
            search: None,
            commands: Commands::default(),
            experiment: None,
        }
    }
}
