//! The plots of one task.

use super::crowd::Crowd;
use super::depth::Places;
use super::focus::focus;
use super::{MOST_POINTS, cost, depth, ended, gradient, learned, thinned};
use crate::frame::Status;
use crate::metric::{Shown, test_value};
use crate::plot::{Axis, Mark, Palette, Plot, Series};
use crate::render::number::{fixed, grouped};
use crate::report::Measured;
use crate::statistics::{LEVEL, mean, quantile, t_interval};
use crate::summary::Arm;
use record::{Evaluation, Metric};
use std::collections::BTreeMap;

/// Completed runs from which on a box says more than the runs in it.
const BOXED: usize = 4;

/// Runs from which on a curve has a band: an interval of fewer says little.
pub(super) const BANDED: usize = 3;

/// Points of a curve with a marker at most.
const MARKED: usize = 12;

/// The runs of one activation.
pub(super) struct Group<'a> {
    pub(super) label: &'a str,
    pub(super) runs: &'a [Measured<'a>],
}

impl<'a> Group<'a> {
    pub(super) fn completed(&self) -> impl Iterator<Item = &'a Measured<'a>> {
        self.runs.iter().filter(|one| Status::of(&one.run.record) == Status::Completed)
    }
}

impl Group<'_> {
    /// How the runs ended where none completed.
    fn ended(&self) -> Option<String> {
        let count =
            |status| self.runs.iter().filter(|one| Status::of(&one.run.record) == status).count();
        let none = count(Status::Completed) == 0;
        none.then(|| ended(count(Status::Diverged), count(Status::Failed)))
    }
}

/// What the plots of a task are made from.
pub(super) struct TaskPlots<'a> {
    /// Names of files begin with it.
    file: &'a str,
    task: &'a str,
    pub(super) metric: &'a Metric,
    pub(super) palette: &'a Palette,
    crowd: &'a Crowd,
    /// In the order of the report.
    pub(super) groups: Vec<Group<'a>>,
}

impl<'a> TaskPlots<'a> {
    /// Of `runs`, which are all of one task, in the order of the report.
    pub(super) fn new(
        file: &'a str,
        runs: &'a [Measured<'a>],
        metric: &'a Metric,
        palette: &'a Palette,
        crowd: &'a Crowd,
    ) -> Self {
        fn label<'a>(one: &'a Measured<'_>) -> &'a str {
            &one.run.record.spec.activation.label
        }
        let groups = runs.chunk_by(|a, b| label(a) == label(b));
        Self {
            file,
            task: runs.first().map_or("", |one| &one.run.record.spec.task),
            metric,
            palette,
            crowd,
            groups: groups.map(|runs| Group { label: label(&runs[0]), runs }).collect(),
        }
    }

    /// All plots that show something, in the order of the report.
    pub(super) fn all(&self, arms: &[&Arm]) -> Vec<Plot> {
        let sites = Places::sites(&self.groups);
        let by_site = |quantity| depth::by_site(self, &sites, quantity);
        let mut plots = self.curves();
        plots.push(self.scores());
        plots.extend(by_site(&depth::DEAD));
        plots.extend(depth::dead_during_training(self));
        plots.extend(depth::OTHERS.iter().filter_map(by_site));
        plots.extend(gradient::plots(self));
        plots.push(self.cost(arms));
        plots.extend(self.learned());
        plots.retain(|plot| !plot.is_empty());
        plots
    }

    /// A plot without what is drawn.
    pub(super) fn plot(&self, kind: &str, title: &str, note: &str, [x, y]: [Axis; 2]) -> Plot {
        Plot {
            name: format!("{}-{kind}", self.file),
            title: format!("{}: {title}", self.task),
            note: note.to_owned(),
            x,
            y,
            series: Vec::new(),
        }
    }

    /// What `marks` makes of the runs of each activation.
    pub(super) fn draw(&self, marks: &dyn Fn(&Group<'_>) -> Vec<Mark>) -> Vec<Series> {
        let one = |group: &Group<'_>| Series {
            marks: marks(group),
            ..Series::of(group.label, self.palette)
        };
        self.groups.iter().map(one).collect()
    }

    /// A row for each activation, the first on top.
    pub(super) fn rows(&self) -> Axis {
        Axis::names("", self.groups.iter().rev().map(|group| group.label.to_owned()))
    }

    /// Where the row of an activation is.
    pub(super) fn row(&self, group: &Group<'_>) -> f64 {
        let place = self.groups.iter().position(|one| one.label == group.label).unwrap_or(0);
        (self.groups.len() - 1 - place) as f64
    }

    /// What was measured during training.
    fn curves(&self) -> Vec<Plot> {
        let metric = self.metric;
        let label = &metric.label;
        let over_seeds = "Mean and 95\u{a0}% interval over seeds.";
        let drawn = |mut plot: Plot, values: Values<'_>, say: &dyn Fn(f64) -> String| {
            plot.series = self.draw(&|group| curve(group, values, say));
            self.crowd.calm(&mut plot);
            focus(&mut plot);
            plot
        };
        let title = format!("validation {label} during training");
        let axes = [steps(), Axis::metric("validation", metric, "")];
        let loss = [steps(), Axis::number("validation loss")];
        let training_loss = [steps(), Axis::number("training loss")];
        let windows = "Mean over a window of batches, and 95\u{a0}% interval over seeds. It includes label smoothing, where \
                       that is set.";
        vec![
            drawn(
                self.plot("curve", &title, over_seeds, axes),
                &|one| validations(one, &|evaluation| evaluation.value(metric)),
                &|value| said(metric, value),
            ),
            drawn(
                self.plot("loss", "validation loss during training", over_seeds, loss),
                &|one| validations(one, &|evaluation| evaluation.loss),
                &|value| fixed(value, 4),
            ),
            drawn(
                self.plot("training-loss", "training loss", windows, training_loss),
                &|one| one.timeline.training.clone(),
                &|value| fixed(value, 4),
            ),
        ]
    }

    /// The test value of every run.
    fn scores(&self) -> Plot {
        let metric = self.metric;
        let title = format!("test {} of every run", metric.label);
        let note = "Box: middle half of the runs and their median. Bar: mean.";
        let axes = [Axis::metric("test", metric, ""), self.rows()];
        let mut series = self.draw(&|group| scores(group, metric, self.row(group)));
        let all = self.groups.iter().flat_map(Group::completed);
        let least = all.filter_map(|one| test_value(&one.run.record)).reduce(f64::min);
        for (one, group) in series.iter_mut().zip(&self.groups) {
            let at = least.filter(|_| one.marks.is_empty()).map(|least| [least, self.row(group)]);
            one.marks.extend(at.zip(group.ended()).map(|(at, text)| Mark::Label { at, text }));
        }
        Plot { series, ..self.plot("scores", &title, note, axes) }
    }

    /// What the test value costs.
    fn cost(&self, arms: &[&Arm]) -> Plot {
        let metric = self.metric;
        let title = format!("test {} and training time", metric.label);
        let note = "With 95\u{a0}% intervals from three runs on. A line, where there is one, is the Pareto front of the means.";
        let axes = [Axis::number("training time of a run (s)"), Axis::metric("test", metric, "")];
        let series = cost::series(arms, metric, self.palette);
        let mut plot = Plot { series, ..self.plot("cost", &title, note, axes) };
        self.crowd.calm(&mut plot);
        plot
    }

    /// What activations have learned: a plot for each number.
    fn learned(&self) -> Vec<Plot> {
        let one = |name: String| {
            let title = format!("learned {name} during training");
            let note = "Thin: each activation site. Thick: their mean.";
            let axes = [steps(), Axis::number(&name)];
            let series = self.draw(&|group| learned::over_time(group, &name));
            Plot { series, ..self.plot(&format!("learned-{name}"), &title, note, axes) }
        };
        learned::names(&self.groups).into_iter().map(one).collect()
    }
}

/// The axis of time.
pub(super) fn steps() -> Axis {
    Axis::number("optimizer step")
}

/// Steps of a run and what was measured at each.
type Values<'a> = &'a dyn Fn(&Measured<'_>) -> Vec<(u64, f64)>;

/// Step and value of every evaluation of a run.
fn validations(one: &Measured<'_>, value: &dyn Fn(&Evaluation) -> f64) -> Vec<(u64, f64)> {
    one.timeline.validations.iter().map(|evaluation| (evaluation.step, value(evaluation))).collect()
}

/// A curve through points that tell their text, some with a marker.
pub(super) fn line(points: Vec<([f64; 2], String)>) -> Vec<Mark> {
    wide_line(points, 2.0)
}

/// The same, as wide as that.
pub(super) fn wide_line(points: Vec<([f64; 2], String)>, width: f64) -> Vec<Mark> {
    if points.is_empty() {
        return Vec::new();
    }
    let through = points.iter().map(|(at, _)| *at).collect();
    let stride = points.len().div_ceil(MARKED).max(1);
    let last = points.len() - 1;
    let dots = points.into_iter().enumerate().map(|(place, (at, text))| {
        // The last point has a marker wherever the stride falls.
        let marked = (last - place).is_multiple_of(stride);
        if marked { Mark::Dot { at, text, url: None } } else { Mark::Spot { at, text } }
    });
    [Mark::Curve { points: through, width }].into_iter().chain(dots).collect()
}

/// Mean over the runs that have a value at a step, with its interval.
fn curve(group: &Group<'_>, values: Values<'_>, say: &dyn Fn(f64) -> String) -> Vec<Mark> {
    let mut by_step: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for (step, value) in group.runs.iter().flat_map(values) {
        if value.is_finite() {
            by_step.entry(step).or_default().push(value);
        }
    }
    let (mut points, mut band) = (Vec::new(), Vec::new());
    for (step, values) in thinned(by_step.into_iter().collect(), MOST_POINTS) {
        let Some(mean) = mean(&values) else { continue };
        // An interval of two runs is wider than the plot.
        let interval = t_interval(&values, LEVEL).filter(|_| values.len() >= BANDED);
        band.extend(interval.map(|interval| [step as f64, interval.low, interval.high]));
        let text = format!("step {}: {}", grouped(step), say(mean));
        points.push(([step as f64, mean], text));
    }
    let band = (band.len() > 1).then_some(Mark::Band { points: band });
    band.into_iter().chain(line(points)).collect()
}

/// A value with its unit, in the text of a mark.
pub(super) fn said(metric: &Metric, value: f64) -> String {
    metric.quantity(value).replace('\u{a0}', " ")
}

/// Every completed run on its row, in a box where there are enough.
fn scores(group: &Group<'_>, metric: &Metric, row: f64) -> Vec<Mark> {
    let runs: Vec<(f64, u64, Option<String>)> = group
        .completed()
        .filter_map(|one| {
            let url = one.run.dir.links().into_iter().next().map(|link| link.url);
            Some((test_value(&one.run.record)?, one.run.record.spec.seed, url))
        })
        .collect();
    let mut sorted: Vec<f64> = runs.iter().map(|(score, _, _)| *score).collect();
    sorted.sort_by(f64::total_cmp);
    let Some(mean) = mean(&sorted) else { return Vec::new() };
    let mut marks = Vec::new();
    if sorted.len() >= BOXED {
        let [low, middle, high] = [0.25, 0.5, 0.75].map(|part| quantile(&sorted, part));
        let ends = [[sorted[0], row], [sorted[sorted.len() - 1], row]];
        let text = format!("middle half: {} to {}", said(metric, low), said(metric, high));
        marks.push(Mark::Line { points: ends.to_vec(), width: 1.0 });
        marks.push(Mark::Box {
            from: [low, row - 0.3],
            to: [high, row + 0.3],
            opacity: 0.25,
            text,
        });
        let median = vec![[middle, row - 0.3], [middle, row + 0.3]];
        marks.push(Mark::Line { points: median, width: 1.0 });
    }
    let tick = vec![[mean, row - 0.36], [mean, row + 0.36]];
    marks.push(Mark::Line { points: tick, width: 3.0 });
    let last = runs.len().saturating_sub(1).max(1) as f64;
    marks.extend(runs.into_iter().enumerate().map(|(place, (score, seed, url))| Mark::Dot {
        at: [score, row + 0.4 * (0.5 - place as f64 / last)],
        text: format!("seed {seed}: {}", said(metric, score)),
        url,
    }));
    marks
}
