//! What activations have learned, at the end of training.

use super::Measured;
use crate::frame::Status;
use crate::statistics::mean;
use record::LearnedNumber;

/// A number that an activation learns, over the completed runs of a task.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LearnedRow {
    pub(crate) activation: String,
    pub(crate) number: String,
    /// Where it began, if it did so at the same value everywhere.
    pub(crate) start: Option<f64>,
    /// Mean over sites of each run.
    pub(crate) runs: Vec<f64>,
    /// The least and the greatest mean of a site over the runs, with the site's name.
    pub(crate) least: (String, f64),
    pub(crate) greatest: (String, f64),
}

/// The rows of a task's `runs`.
pub(super) fn rows(runs: &[Measured<'_>]) -> Vec<LearnedRow> {
    let label = |one: &Measured<'_>| one.run.record.spec.activation.label.clone();
    runs.chunk_by(|a, b| label(a) == label(b)).flat_map(of_activation).collect()
}

/// Where numbers began, if at the same value.
#[expect(clippy::float_cmp, reason = "the same number")]
fn start<'a>(mut numbers: impl Iterator<Item = &'a LearnedNumber>) -> Option<f64> {
    let first = numbers.next()?.start;
    numbers.all(|number| number.start == first).then_some(first)
}

fn of_activation(runs: &[Measured<'_>]) -> Vec<LearnedRow> {
    let completed = runs.iter().filter(|one| Status::of(&one.run.record) == Status::Completed);
    let learned: Vec<&[LearnedNumber]> = completed
        .filter_map(|one| one.run.record.summary.as_ref())
        .map(|summary| summary.learned.as_slice())
        .collect();
    let mut names: Vec<&str> = Vec::new();
    for number in learned.iter().copied().flatten() {
        if !names.contains(&number.number.as_str()) {
            names.push(&number.number);
        }
    }
    let spec = &runs[0].run.record.spec.activation;
    let row = |name: &&str| {
        let of_name = |numbers: &[LearnedNumber]| -> Vec<(String, f64)> {
            let own = numbers.iter().filter(|number| number.number == *name);
            own.map(|number| (number.site.clone(), number.mean)).collect()
        };
        let each: Vec<Vec<(String, f64)>> =
            learned.iter().map(|numbers| of_name(numbers)).collect();
        let sites: Vec<&String> = each.first()?.iter().map(|(site, _)| site).collect();
        let of_site = |site: &&String| {
            let values = each.iter().flatten().filter(|(other, _)| other == *site);
            let values: Vec<f64> = values.map(|(_, value)| *value).collect();
            Some(((*site).clone(), mean(&values)?))
        };
        let mut by_site: Vec<(String, f64)> = sites.iter().filter_map(of_site).collect();
        by_site.sort_by(|a, b| a.1.total_cmp(&b.1));
        let of_run = |values: &Vec<(String, f64)>| {
            mean(&values.iter().map(|(_, value)| *value).collect::<Vec<_>>())
        };
        Some(LearnedRow {
            activation: spec.label.clone(),
            number: (*name).to_owned(),
            start: start(learned.iter().copied().flatten().filter(|one| one.number == *name)),
            runs: each.iter().filter_map(of_run).collect(),
            least: by_site.first()?.clone(),
            greatest: by_site.last()?.clone(),
        })
    };
    names.iter().filter_map(row).collect()
}
