//! The plots of one task.

use super::{MOST_POINTS, learned, thinned};
use crate::frame::Status;
use crate::metric::{Shown, test_value};
use crate::plot::{Axis, Mark, Palette, Plot, Series};
use crate::render::number::{fixed, grouped, percent};
use crate::report::Measured;
use crate::statistics::{LEVEL, mean, quantile, t_interval};
use crate::summary::Arm;
use record::{Metric, Site};
use std::collections::BTreeMap;

/// Completed runs from which on a box says more than the runs in it.
const BOXED: usize = 4;

/// Height of an activation's rows, of which one row of names is 1.
const FILLED: f64 = 0.84;

/// The runs of one activation.
pub(super) struct Group<'a> {
    label: &'a str,
    runs: &'a [Measured<'a>],
}

impl<'a> Group<'a> {
    pub(super) fn completed(&self) -> impl Iterator<Item = &'a Measured<'a>> {
        self.runs.iter().filter(|one| Status::of(&one.run.record) == Status::Completed)
    }
}

/// The plots of a task whose files begin with `name`.
pub(super) fn plots(
    name: &str,
    runs: &[Measured<'_>],
    arms: &[&Arm],
    metric: &Metric,
    palette: &Palette,
) -> Vec<Plot> {
    let label = |one: &Measured<'_>| one.run.record.spec.activation.label.clone();
    let groups: Vec<Group<'_>> = runs
        .chunk_by(|a, b| label(a) == label(b))
        .map(|runs| Group { label: &runs[0].run.record.spec.activation.label, runs })
        .collect();
    let draw = |series: &dyn Fn(&Group<'_>) -> Vec<Mark>| -> Vec<Series> {
        let one = |group| Series { marks: series(group), ..Series::of(group.label, palette) };
        groups.iter().map(one).collect()
    };
    let plot = |kind: &str, title: &str, x: Axis, y: Axis, series: Vec<Series>| Plot {
        name: format!("{name}-{kind}"),
        title: title.to_owned(),
        x,
        y,
        series,
    };
    let steps = || Axis::number("optimizer step");
    let rows = || Axis::names("", groups.iter().rev().map(|group| group.label.to_owned()));
    let row = |group: &Group<'_>| {
        let place = groups.iter().position(|one| one.label == group.label).unwrap_or(0);
        (groups.len() - 1 - place) as f64
    };
    let depth = || Axis::number("depth of the activation site");
    let by_depth = |kind: &str, title: &str, y: Axis, get: fn(&Site) -> f64| {
        let title = format!("{title} by depth, at the last evaluation");
        let share = y.scale != 1.0;
        let marks = |group: &Group<'_>| sites(group, get, &|value| write(value, share));
        plot(kind, &title, depth(), y, draw(&marks))
    };
    let gradients = |kind: &str, title: &str, x: Axis, marks: &dyn Fn(&Group<'_>) -> Vec<Mark>| {
        let mut one = plot(kind, title, x, Axis::number(""), draw(marks));
        let heights = || {
            let corners = one.corners().into_iter().map(|[_, y]| y);
            corners.filter(|y| y.is_finite()).collect::<Vec<_>>()
        };
        let low = heights().into_iter().fold(f64::INFINITY, f64::min);
        let high = heights().into_iter().fold(f64::NEG_INFINITY, f64::max);
        if low <= high {
            let axis = Axis::logarithmic("gradient norm (logarithmic)", [low, high]);
            let room = ((high - low) * 0.06).max(0.05);
            one.y = axis.between(low - room, high + room);
        }
        one
    };
    let label = &metric.label;
    let mut plots = vec![
        plot(
            "curve",
            &format!("Validation {label} over time, mean and 95 % interval over seeds"),
            steps(),
            Axis::metric("validation", metric, ""),
            draw(&|group| curve(group, metric)),
        ),
        plot(
            "scores",
            &format!("Test {label} of every run; box: middle half and median; tick: mean"),
            Axis::metric("test", metric, ""),
            rows(),
            draw(&|group| scores(group, metric, row(group))),
        ),
        by_depth("dead", "Dead units", Axis::percent("dead units"), |site| site.dead),
        plot(
            "dead-over-time",
            "Dead units by layer (input at the bottom) and time; darker: more of them",
            steps(),
            rows(),
            draw(&|group| dead_over_time(group, row(group))),
        ),
        by_depth("zero", "Outputs that are zero", Axis::percent("zero outputs"), |site| site.zero),
        by_depth(
            "mean",
            "Mean of the outputs (mean shift)",
            Axis::number("mean of outputs"),
            |site| site.mean,
        ),
        by_depth(
            "variance",
            "Variance of the outputs",
            Axis::number("variance of outputs"),
            |site| site.variance,
        ),
        by_depth("saturated", "Saturated inputs", Axis::percent("saturated inputs"), |site| {
            site.saturated
        }),
        gradients(
            "gradient",
            "Gradient norm by depth, at the last evaluation",
            Axis::number("depth of the layer"),
            &|group| gradient_by_depth(group),
        ),
        gradients("gradient-over-time", "Gradient norm over time", steps(), &|group| {
            gradient_over_time(group)
        }),
        plot(
            "cost",
            &format!("Test {label} vs. training time, with 95 % intervals and Pareto front"),
            Axis::number("training time of a run, s"),
            Axis::metric("test", metric, ""),
            cost(arms, metric, palette),
        ),
    ];
    for name in learned::names(&groups) {
        let title =
            format!("Learned number {name} over time: each activation site (thin), and their mean");
        let marks = |group: &Group<'_>| learned::over_time(group, &name);
        let kind = format!("learned-{name}");
        plots.push(plot(&kind, &title, steps(), Axis::number(&name), draw(&marks)));
    }
    plots.retain(|plot| !plot.is_empty());
    plots
}

fn write(value: f64, share: bool) -> String {
    if share { format!("{} %", percent(value)) } else { fixed(value, 3) }
}

/// A line through points that tell their text.
pub(super) fn line(points: Vec<([f64; 2], String)>) -> Vec<Mark> {
    if points.is_empty() {
        return Vec::new();
    }
    let through = points.iter().map(|(at, _)| *at).collect();
    let dots = points.into_iter().map(|(at, text)| Mark::Dot { at, text, url: None });
    [Mark::Line { points: through, width: 2.0 }].into_iter().chain(dots).collect()
}

/// Mean validation value over the runs that were evaluated then, with its interval.
fn curve(group: &Group<'_>, metric: &Metric) -> Vec<Mark> {
    let mut by_step: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for evaluation in group.runs.iter().flat_map(|one| &one.timeline.validations) {
        let value = evaluation.value(metric);
        if value.is_finite() {
            by_step.entry(evaluation.step).or_default().push(value);
        }
    }
    let (mut points, mut band) = (Vec::new(), Vec::new());
    for (step, values) in thinned(by_step.into_iter().collect(), MOST_POINTS) {
        let Some(mean) = mean(&values) else { continue };
        let interval = t_interval(&values, LEVEL);
        band.extend(interval.map(|interval| [step as f64, interval.low, interval.high]));
        let text = format!("step {}: {}", grouped(step), said(metric, mean));
        points.push(([step as f64, mean], text));
    }
    let band = (band.len() > 1).then_some(Mark::Band { points: band });
    band.into_iter().chain(line(points)).collect()
}

/// A value with its unit, in the text of a mark.
fn said(metric: &Metric, value: f64) -> String {
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

/// A figure of the sites of completed runs, at the end, averaged over runs.
fn sites(group: &Group<'_>, get: fn(&Site) -> f64, say: &dyn Fn(f64) -> String) -> Vec<Mark> {
    let mut by_depth: BTreeMap<usize, (&str, Vec<f64>)> = BTreeMap::new();
    let summaries = group.completed().filter_map(|one| one.run.record.summary.as_ref());
    for site in summaries.flat_map(|summary| &summary.sites) {
        by_depth.entry(site.depth).or_insert_with(|| (&site.site, Vec::new())).1.push(get(site));
    }
    let point = |(depth, (site, values)): (usize, (&str, Vec<f64>))| {
        let value = mean(&values)?;
        Some(([depth as f64, value], format!("{site}: {}", say(value))))
    };
    line(by_depth.into_iter().filter_map(point).collect())
}

/// A cell for each site and evaluation: the more units are dead, the darker.
fn dead_over_time(group: &Group<'_>, row: f64) -> Vec<Mark> {
    let mut cells: BTreeMap<(u64, usize), (&str, Vec<f64>)> = BTreeMap::new();
    for site in group.completed().flat_map(|one| &one.timeline.sites) {
        let cell = cells.entry((site.step, site.depth));
        cell.or_insert_with(|| (&site.site, Vec::new())).1.push(site.dead);
    }
    let layers = 1 + cells.keys().map(|(_, depth)| *depth).max().unwrap_or(0);
    let mut steps: Vec<u64> = cells.keys().map(|(step, _)| *step).collect();
    steps.dedup();
    let height = FILLED / layers as f64;
    let cell = |((step, depth), (site, values)): ((u64, usize), (&str, Vec<f64>))| {
        let dead = mean(&values)?;
        let place = steps.binary_search(&step).ok()?;
        // A cell tells of the time since the one before.
        let since = if place == 0 { 0 } else { steps[place - 1] };
        let bottom = row - FILLED / 2.0 + height * depth as f64;
        Some(Mark::Box {
            from: [since as f64, bottom],
            to: [step as f64, bottom + height],
            // Few dead units are to be seen, too.
            opacity: if dead > 0.0 { 0.15 + 0.85 * dead.min(1.0) } else { 0.05 },
            text: format!("{site}, step {}: {} % dead", grouped(step), percent(dead)),
        })
    };
    cells.into_iter().filter_map(cell).collect()
}

/// Geometric mean over the completed runs, as a logarithm; norms of 0 have none.
fn logarithm(norms: &[f64]) -> Option<f64> {
    let logs: Vec<f64> = norms
        .iter()
        .filter(|norm| **norm > 0.0 && norm.is_finite())
        .map(|norm| libm::log10(*norm))
        .collect();
    mean(&logs)
}

fn gradient_by_depth(group: &Group<'_>) -> Vec<Mark> {
    let mut layers: BTreeMap<usize, (&str, Vec<f64>)> = BTreeMap::new();
    for gradients in group.completed().filter_map(|one| one.timeline.gradients.last()) {
        for (depth, layer) in gradients.layers.iter().enumerate() {
            let entry = layers.entry(depth).or_insert_with(|| (&layer.layer, Vec::new()));
            entry.1.push(layer.norm);
        }
    }
    let point = |(depth, (layer, norms)): (usize, (&str, Vec<f64>))| {
        let log = logarithm(&norms)?;
        Some(([depth as f64, log], format!("{layer}: {:.3e}", libm::exp10(log))))
    };
    line(layers.into_iter().filter_map(point).collect())
}

fn gradient_over_time(group: &Group<'_>) -> Vec<Mark> {
    let mut by_step: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for gradients in group.completed().flat_map(|one| &one.timeline.gradients) {
        let squares: f64 = gradients.layers.iter().map(|layer| layer.norm * layer.norm).sum();
        by_step.entry(gradients.step).or_default().push(squares.sqrt());
    }
    let point = |(step, norms): (u64, Vec<f64>)| {
        let log = logarithm(&norms)?;
        let text = format!("step {}: {:.3e}", grouped(step), libm::exp10(log));
        Some(([step as f64, log], text))
    };
    line(thinned(by_step.into_iter().filter_map(point).collect(), MOST_POINTS))
}

/// Arms by training time and test value, and a line along those that none dominates.
fn cost(arms: &[&Arm], metric: &Metric, palette: &Palette) -> Vec<Series> {
    let places: Vec<(&Arm, [f64; 2])> = arms
        .iter()
        .filter_map(|arm| Some((*arm, [arm.train_seconds?.mean, arm.test?.mean])))
        .collect();
    let mut front: Vec<[f64; 2]> =
        places.iter().filter(|(arm, _)| arm.on_front()).map(|(_, at)| *at).collect();
    front.sort_by(|a, b| a[0].total_cmp(&b[0]));
    let mut steps: Vec<[f64; 2]> = Vec::new();
    for at in front {
        steps.extend(steps.last().map(|last| [at[0], last[1]]));
        steps.push(at);
    }
    let mut series = vec![Series::neutral()];
    if steps.len() > 1 {
        series[0].marks.push(Mark::Line { points: steps, width: 1.0 });
    }
    series.extend(places.into_iter().map(|(arm, at)| {
        let mut one = Series::of(&arm.activation, palette);
        let interval = arm.test.and_then(|value| value.interval);
        one.marks.extend(interval.map(|interval| Mark::Line {
            points: vec![[at[0], interval.low], [at[0], interval.high]],
            width: 1.0,
        }));
        let times = arm.train_seconds.and_then(|seconds| seconds.interval);
        one.marks.extend(times.map(|interval| Mark::Line {
            points: vec![[interval.low.max(0.0), at[1]], [interval.high, at[1]]],
            width: 1.0,
        }));
        let text = format!("{} in {} s", said(metric, at[1]), fixed(at[0], 1));
        one.marks.push(Mark::Dot { at, text, url: None });
        one
    }));
    series
}
