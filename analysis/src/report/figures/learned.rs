//! What activations have learned, over time.

use super::task::{Group, line};
use super::{MOST_POINTS, thinned};
use crate::plot::Mark;
use crate::render::number::{fixed, grouped};
use crate::statistics::mean;
use record::LearnedNumber;
use std::collections::BTreeMap;

/// Names of the numbers that an activation of `groups` learns, in their order.
pub(super) fn names(groups: &[Group<'_>]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for learned in groups.iter().flat_map(Group::completed).flat_map(|one| &one.timeline.learned) {
        for number in &learned.numbers {
            if !names.contains(&number.number) {
                names.push(number.number.clone());
            }
        }
    }
    names
}

/// A thin line for each activation site, and a thick one for their mean, over the completed runs of an activation.
pub(super) fn over_time(group: &Group<'_>, name: &str) -> Vec<Mark> {
    let mut sites: BTreeMap<&str, BTreeMap<u64, Vec<f64>>> = BTreeMap::new();
    let mut all: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for learned in group.completed().flat_map(|one| &one.timeline.learned) {
        for number in learned.numbers.iter().filter(|number| number.number == name) {
            let LearnedNumber { site, start, mean, .. } = number;
            for (step, value) in [(0, *start), (learned.step, *mean)] {
                sites.entry(site).or_default().entry(step).or_default().push(value);
                all.entry(step).or_default().push(value);
            }
        }
    }
    let points = |by_step: BTreeMap<u64, Vec<f64>>, what: &str| {
        let point = |(step, values): (u64, Vec<f64>)| {
            let value = mean(&values)?;
            let text = format!("{what}, step {}: {name} = {}", grouped(step), fixed(value, 4));
            Some(([step as f64, value], text))
        };
        thinned(by_step.into_iter().filter_map(point).collect::<Vec<_>>(), MOST_POINTS)
    };
    let mut marks = Vec::new();
    if sites.len() > 1 {
        for (site, by_step) in sites {
            let points = points(by_step, site);
            let through = points.iter().map(|(at, _)| *at).collect();
            marks.push(Mark::Curve { points: through, width: 0.6 });
            // The last point tells which site it is.
            marks.extend(points.into_iter().last().map(|(at, text)| Mark::Dot {
                at,
                text,
                url: None,
            }));
        }
        marks.extend(line(points(all, "mean of the sites")));
        return marks;
    }
    let site = sites.keys().next().copied().unwrap_or_default();
    line(points(all, site))
}
