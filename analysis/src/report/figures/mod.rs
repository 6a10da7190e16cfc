//! The plots of a report: numbers and words, before anybody draws them.

mod cost;
mod crowd;
mod depth;
mod focus;
mod forest;
mod gradient;
mod learned;
mod overall;
mod shape;
mod task;
mod tuning;

pub use shape::{Picture, Shape, draw_shapes};

use self::crowd::Crowd;
use super::{Measured, Task, Tuning};
use crate::comparison::{Overall, TaskScores, margin_of};
use crate::metric;
use crate::plot::{Palette, Plot, Style};
use crate::statistics::Bootstrap;
use crate::summary::Arm;
use record::Metric;
use std::collections::BTreeSet;

/// Resamples of a band: it is looked at, not read off.
const BAND_RESAMPLES: usize = 400;

/// Points of a line at most: more cannot be pointed at.
const MOST_POINTS: usize = 120;

/// Characters of a task's name in names of files, which file systems limit.
const LONGEST_NAME: usize = 100;

/// Every plot of a report.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Figures {
    /// Those of each task, in the order of the report.
    pub(super) tasks: Vec<Vec<Plot>>,
    /// The differences to the baseline of each task, in the order of the report.
    pub(super) forests: Vec<Vec<Plot>>,
    /// Those over all tasks.
    pub(super) overall: Vec<Plot>,
    /// The activations themselves.
    pub(super) shapes: Vec<Plot>,
    /// Labels in the order of the report, and their styles.
    pub(super) arms: Vec<(String, Style)>,
    palette: Palette,
    /// Names of the files of each task.
    files: Vec<String>,
}

/// What plots are made from.
pub(super) struct Sources<'a> {
    /// In the order of the report.
    pub(super) runs: &'a [Measured<'a>],
    pub(super) arms: &'a [Arm],
    /// Test values, with that of guessing for what diverged.
    pub(super) scores: &'a [TaskScores],
    /// What each task is judged by, in their order.
    pub(super) metrics: &'a [Metric],
    pub(super) overall: Option<&'a Overall>,
    /// Label that differences are to.
    pub(super) baseline: &'a str,
    /// Differences that do not matter, as a fraction.
    pub(super) margin: Option<f64>,
    pub(super) shapes: &'a [Shape],
    pub(super) tuning: Option<&'a Tuning>,
    pub(super) bootstrap: Bootstrap,
}

impl Figures {
    pub(super) fn new(sources: &Sources<'_>) -> Self {
        let resamples = sources.bootstrap.resamples.min(BAND_RESAMPLES);
        let bands = Bootstrap { resamples, ..sources.bootstrap };
        let label = |one: &Measured<'_>| one.run.record.spec.activation.label.clone();
        let labels: Vec<String> = sources.runs.iter().map(label).collect();
        let shapes = sources.shapes.iter().map(|shape| shape.label.as_str());
        let palette = Palette::new(labels.iter().map(String::as_str).chain(shapes));
        let mut names = Names::default();
        let mut forests = Vec::new();
        let mut files = Vec::new();
        let tasks = sources
            .runs
            .chunk_by(|a, b| a.run.record.spec.task == b.run.record.spec.task)
            .zip(sources.metrics)
            .map(|(runs, metric)| {
                let name = &runs[0].run.record.spec.task;
                let arms: Vec<&Arm> = sources.arms.iter().filter(|arm| arm.task == *name).collect();
                let file = names.of(name);
                files.push(file.clone());
                let forest = forest::Forest {
                    file: &file,
                    task: name,
                    baseline: sources.baseline,
                    metric,
                    margin: margin_of(sources.margin, Some(metric)),
                };
                forests.push(forest.plot(&arms, &palette).into_iter().collect());
                let merits = arms.iter().filter_map(|arm| {
                    Some((arm.activation.as_str(), metric.merit(arm.test?.mean)))
                });
                let crowd = Crowd::new(sources.baseline, merits);
                let task = task::TaskPlots::new(&file, runs, metric, &palette, &crowd);
                let mut plots = task.all(&arms);
                let tuned = sources.tuning.iter();
                plots.extend(
                    tuned.flat_map(|tuning| tuning::plots(&file, name, metric, tuning, &palette)),
                );
                plots
            })
            .collect();
        let mut seen = BTreeSet::new();
        let arms = labels.into_iter().filter(|label| seen.insert(label.clone()));
        Self {
            tasks,
            forests,
            overall: overall::plots(sources, &palette, &bands),
            shapes: shape::plots(sources.shapes, &palette),
            arms: arms.map(|label| (label.clone(), palette.of(&label))).collect(),
            files,
            palette,
        }
    }

    /// With the differences of `further` tasks: every task again for each of several further baselines.
    pub(super) fn with_further(mut self, further: &[Task], margin: Option<f64>) -> Self {
        let mut names = Names { taken: self.iter().map(|plot| plot.name.clone()).collect() };
        for (task, file) in further.iter().zip(self.files.iter().cycle()) {
            let metric = metric::out_of_markdown(&task.metric);
            let forest = forest::Forest {
                file,
                task: &task.name,
                baseline: &task.baseline,
                metric: &metric,
                margin: margin_of(margin, Some(&metric)),
            };
            let arms: Vec<&Arm> = task.arms.iter().collect();
            let plot = forest.plot(&arms, &self.palette).map(|plot| Plot {
                name: names.of(&format!("{}-{}", plot.name, task.baseline)),
                ..plot
            });
            self.forests.push(plot.into_iter().collect());
        }
        self
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Plot> {
        let answers = self.forests.iter().flatten();
        answers.chain(self.tasks.iter().flatten()).chain(&self.overall).chain(&self.shapes)
    }
}

/// Names of files, which no name of a task can spoil.
#[derive(Debug, Default)]
struct Names {
    taken: BTreeSet<String>,
}

impl Names {
    fn of(&mut self, task: &str) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() || "-_".contains(c) { c } else { '_' };
        let mut name: String = task.chars().map(plain).take(LONGEST_NAME).collect();
        while !self.taken.insert(name.clone()) {
            name.push('_');
        }
        name
    }
}

/// How the runs of an activation ended of which none completed.
fn ended(diverged: usize, failed: usize) -> String {
    let all = |how: &str, runs: usize| match runs {
        1 => format!("{how} in its only run"),
        runs => format!("{how} in {runs} of {runs} runs"),
    };
    match (diverged, failed) {
        (runs, 0) => all("diverged", runs),
        (0, runs) => all("failed", runs),
        (diverged, failed) => format!("no completed run: {diverged} diverged, {failed} failed"),
    }
}

/// Every so many of `all`, so that they are at most `most`; the last counts, wherever the stride falls.
fn thinned<T>(all: Vec<T>, most: usize) -> Vec<T> {
    let stride = all.len().div_ceil(most).max(1);
    let last = all.len().saturating_sub(1);
    let kept = |(place, _): &(usize, T)| (last - place).is_multiple_of(stride);
    all.into_iter().enumerate().filter(kept).map(|(_, one)| one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_are_plain_and_apart() {
        let mut names = Names::default();
        assert_eq!(names.of("reviews/bert mini"), "reviews_bert_mini");
        assert_eq!(names.of("reviews_bert_mini"), "reviews_bert_mini_");
    }

    #[test]
    fn runs_that_did_not_complete_are_counted() {
        assert_eq!(ended(3, 0), "diverged in 3 of 3 runs");
        assert_eq!(ended(0, 1), "failed in its only run");
        assert_eq!(ended(2, 1), "no completed run: 2 diverged, 1 failed");
    }

    #[test]
    fn the_last_is_never_thinned_out() {
        assert_eq!(thinned((1..=10).collect(), 4), [1, 4, 7, 10]);
        assert_eq!(thinned(vec![1, 2], 4), [1, 2]);
        assert!(thinned(Vec::<u8>::new(), 4).is_empty());
    }
}
