//! The plots of one task.

use super::crowd::Crowd;
use super::focus::focus;
use super::{MOST_POINTS, learned, thinned};
use crate::frame::Status;
use crate::metric::{Shown, test_value};
use crate::plot::{Axis, Mark, Palette, Plot, Series};
use crate::render::number::{fixed, grouped, percent};
use crate::report::Measured;
use crate::statistics::{LEVEL, mean, quantile, t_interval};
use crate::summary::Arm;
use record::{Evaluation, Metric, Site};
use std::collections::BTreeMap;

/// Completed runs from which on a box says more than the runs in it.
const BOXED: usize = 4;

/// Runs from which on a curve has a band: an interval of fewer says little.
const BANDED: usize = 3;

/// Points of a curve with a marker at most.
const MARKED: usize = 12;

/// Width of the lines of the first kind of sites, and of those of the others.
const KINDS: [f64; 2] = [2.5, 1.0];

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

/// The plots of `task` whose files begin with `name`.
pub(super) fn plots(
    name: &str,
    task: &str,
    runs: &[Measured<'_>],
    arms: &[&Arm],
    metric: &Metric,
    palette: &Palette,
    crowd: &Crowd,
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
    let plot = |kind: &str, title: &str, note: &str, x: Axis, y: Axis, series: Vec<Series>| Plot {
        name: format!("{name}-{kind}"),
        title: format!("{task}: {title}"),
        note: note.to_owned(),
        x,
        y,
        series,
    };
    let (site_places, layer_places) = (Places::sites(&groups), Places::layers(&groups));
    let kinds = site_places.kinds();
    let steps = || Axis::number("optimizer step");
    let rows = || Axis::names("", groups.iter().rev().map(|group| group.label.to_owned()));
    let row = |group: &Group<'_>| {
        let place = groups.iter().position(|one| one.label == group.label).unwrap_or(0);
        (groups.len() - 1 - place) as f64
    };
    let by_depth = |kind: &str, title: &str, y: Axis, get: fn(&Site) -> f64| {
        let share = y.scale != 1.0;
        let marks = |group: &Group<'_>| {
            sites(group, &site_places, &kinds, get, &|value| write(value, share))
        };
        plot(
            kind,
            &format!("{title} by activation site"),
            "At the last evaluation, mean over seeds. A line joins sites of the same kind.",
            site_places.axis(&format!("activation site, from the input{}", told(&kinds))),
            y,
            draw(&marks),
        )
    };
    let gradients = |kind: &str, title: &str, x: Axis, marks: &dyn Fn(&Group<'_>) -> Vec<Mark>| {
        let mut one =
            plot(kind, title, "Geometric mean over seeds.", x, Axis::number(""), draw(marks));
        let heights = || {
            let corners = one.corners().into_iter().map(|[_, y]| y);
            corners.filter(|y| y.is_finite()).collect::<Vec<_>>()
        };
        let low = heights().into_iter().fold(f64::INFINITY, f64::min);
        let high = heights().into_iter().fold(f64::NEG_INFINITY, f64::max);
        if low <= high {
            let room = ((high - low) * 0.06).max(0.05);
            let span = [low - room, high + room];
            let axis = Axis::logarithmic("gradient norm (logarithmic)", span);
            one.y = axis.between(span[0], span[1]);
        }
        one
    };
    let label = &metric.label;
    let over_seeds = "Mean and 95\u{a0}% interval over seeds.";
    let mut plots = vec![
        plot(
            "curve",
            &format!("validation {label} during training"),
            over_seeds,
            steps(),
            Axis::metric("validation", metric, ""),
            draw(&|group| {
                curve(
                    group,
                    &|one| validations(one, &|evaluation| evaluation.value(metric)),
                    &|value| said(metric, value),
                )
            }),
        ),
        plot(
            "loss",
            "validation loss during training",
            over_seeds,
            steps(),
            Axis::number("validation loss"),
            draw(&|group| {
                curve(group, &|one| validations(one, &|evaluation| evaluation.loss), &loss)
            }),
        ),
        plot(
            "training-loss",
            "training loss",
            "Mean over a window of batches, and 95\u{a0}% interval over seeds. It includes label smoothing, where that is set.",
            steps(),
            Axis::number("training loss"),
            draw(&|group| curve(group, &|one| one.timeline.training.clone(), &loss)),
        ),
        plot(
            "scores",
            &format!("test {label} of every run"),
            "Box: middle half of the runs and their median. Bar: mean.",
            Axis::metric("test", metric, ""),
            rows(),
            draw(&|group| scores(group, metric, row(group))),
        ),
        by_depth("dead", "dead units", Axis::percent("dead units"), |site| site.dead),
        plot(
            "dead-over-time",
            "dead units during training",
            "Within the row of an activation, its sites from the input (bottom) to the output (top). The darker a cell, the \
             larger the share of dead units; full colour is 100\u{a0}%.",
            steps(),
            rows(),
            draw(&|group| dead_over_time(group, row(group))),
        ),
        by_depth("zero", "outputs that are zero", Axis::percent("zero outputs"), |site| site.zero),
        by_depth(
            "mean",
            "mean of the outputs (mean shift)",
            Axis::number("mean of outputs"),
            |site| site.mean,
        ),
        by_depth(
            "variance",
            "variance of the outputs",
            Axis::number("variance of outputs"),
            |site| site.variance,
        ),
        by_depth("saturated", "saturated inputs", Axis::percent("saturated inputs"), |site| {
            site.saturated
        }),
        gradients(
            "gradient",
            "gradient norm by layer, at the last evaluation",
            layer_places.axis("layer, from the input"),
            &|group| gradient_by_depth(group, &layer_places),
        ),
        gradients("gradient-over-time", "gradient norm during training", steps(), &|group| {
            gradient_over_time(group)
        }),
        plot(
            "cost",
            &format!("test {label} and training time"),
            "With 95\u{a0}% intervals from three runs on. A line, where there is one, is the Pareto front of the means.",
            Axis::number("training time of a run (s)"),
            Axis::metric("test", metric, ""),
            cost(arms, metric, palette),
        ),
    ];
    let curves = ["-curve", "-loss", "-training-loss"];
    let is_curve = |plot: &&mut Plot| curves.iter().any(|kind| plot.name.ends_with(kind));
    plots.iter_mut().filter(is_curve).for_each(|plot| {
        crowd.calm(plot, "Thick curves and bands");
        focus(plot);
    });
    let is_cost = |plot: &&mut Plot| plot.name.ends_with("-cost");
    plots.iter_mut().filter(is_cost).for_each(|plot| crowd.calm(plot, "Intervals and names"));
    // A plot without anything but zeros shows nothing.
    let counted = ["-dead", "-zero", "-saturated"];
    plots.retain(|plot| !(plot.is_zero() && counted.iter().any(|kind| plot.name.ends_with(kind))));
    let any_dead = runs.iter().flat_map(|one| &one.timeline.sites).any(|site| site.dead > 0.0);
    plots.retain(|plot| any_dead || !plot.name.ends_with("-dead-over-time"));
    for name in learned::names(&groups) {
        let title = format!("learned {name} during training");
        let note = "Thin: each activation site. Thick: their mean.";
        let marks = |group: &Group<'_>| learned::over_time(group, &name);
        let kind = format!("learned-{name}");
        plots.push(plot(&kind, &title, note, steps(), Axis::number(&name), draw(&marks)));
    }
    plots.retain(|plot| !plot.is_empty());
    plots
}

/// Places in the networks of a task, from the input. A network of another activation may have more of them.
struct Places(Vec<String>);

impl Places {
    /// The activation sites that completed runs have.
    fn sites(groups: &[Group<'_>]) -> Self {
        let completed = groups.iter().flat_map(Group::completed);
        let summaries = completed.filter_map(|one| one.run.record.summary.as_ref());
        Self::merged(summaries.map(|one| one.sites.iter().map(|site| site.site.as_str()).collect()))
    }

    /// The layers whose gradients completed runs have measured.
    fn layers(groups: &[Group<'_>]) -> Self {
        let completed = groups.iter().flat_map(Group::completed);
        let last = completed.filter_map(|one| one.timeline.gradients.last());
        Self::merged(last.map(|one| one.layers.iter().map(|layer| layer.layer.as_str()).collect()))
    }

    /// All names of several networks, each behind those that are before it in its own.
    fn merged<'a>(networks: impl Iterator<Item = Vec<&'a str>>) -> Self {
        let mut names: Vec<String> = Vec::new();
        for network in networks {
            let mut next = 0;
            for name in network {
                match names.iter().position(|known| known == name) {
                    Some(place) => next = place + 1,
                    None => {
                        names.insert(next, name.to_owned());
                        next += 1;
                    }
                }
            }
        }
        Self(names)
    }

    /// The kinds of sites that a line can join, from the input.
    fn kinds(&self) -> Vec<&str> {
        let of_kind = |kind| self.0.iter().filter(move |name| kind_of_site(name) == kind);
        let mut kinds: Vec<&str> = Vec::new();
        for name in &self.0 {
            let kind = kind_of_site(name);
            if !kinds.contains(&kind) && of_kind(kind).nth(1).is_some() {
                kinds.push(kind);
            }
        }
        kinds
    }

    fn of(&self, name: &str) -> Option<f64> {
        self.0.iter().position(|known| known == name).map(|place| place as f64)
    }

    fn axis(&self, label: &str) -> Axis {
        let axis = Axis::number(label);
        let Some(last) = self.0.len().checked_sub(1) else { return axis };
        let room = (last as f64 * 0.06).max(0.5);
        let ticks = self.0.iter().enumerate().map(|(place, name)| (place as f64, name.clone()));
        Axis { ticks: Some(ticks.collect()), range: Some([-room, last as f64 + room]), ..axis }
    }
}

/// Which lines are those of which kind of sites; nothing where there is one kind.
fn told(kinds: &[&str]) -> String {
    match kinds {
        [] | [_] => String::new(),
        [first, others @ ..] => format!(" (thick lines: {first}; thin: {})", others.join(", ")),
    }
}

fn loss(value: f64) -> String {
    fixed(value, 4)
}

/// Step and value of every evaluation of a run.
fn validations(one: &Measured<'_>, value: &dyn Fn(&Evaluation) -> f64) -> Vec<(u64, f64)> {
    one.timeline.validations.iter().map(|evaluation| (evaluation.step, value(evaluation))).collect()
}

fn write(value: f64, share: bool) -> String {
    if share { format!("{} %", percent(value)) } else { fixed(value, 3) }
}

/// A curve through points that tell their text, some with a marker.
pub(super) fn line(points: Vec<([f64; 2], String)>) -> Vec<Mark> {
    wide_line(points, 2.0)
}

/// The same, as wide as that.
fn wide_line(points: Vec<([f64; 2], String)>, width: f64) -> Vec<Mark> {
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
fn curve(
    group: &Group<'_>,
    values: &dyn Fn(&Measured<'_>) -> Vec<(u64, f64)>,
    say: &dyn Fn(f64) -> String,
) -> Vec<Mark> {
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

/// A figure of the sites of completed runs, at the end, averaged over runs: a curve for each kind of site, that of the
/// first of `kinds` thicker than those of the others.
fn sites(
    group: &Group<'_>,
    places: &Places,
    kinds: &[&str],
    get: fn(&Site) -> f64,
    say: &dyn Fn(f64) -> String,
) -> Vec<Mark> {
    let mut by_depth: BTreeMap<usize, (&str, Vec<f64>)> = BTreeMap::new();
    let summaries = group.completed().filter_map(|one| one.run.record.summary.as_ref());
    for site in summaries.flat_map(|summary| &summary.sites) {
        by_depth.entry(site.depth).or_insert_with(|| (&site.site, Vec::new())).1.push(get(site));
    }
    let mut lines: BTreeMap<&str, Vec<([f64; 2], String)>> = BTreeMap::new();
    for (site, values) in by_depth.into_values() {
        let (Some(value), Some(place)) = (mean(&values), places.of(site)) else { continue };
        let point = ([place, value], format!("{site}: {}", say(value)));
        lines.entry(kind_of_site(site)).or_default().push(point);
    }
    let later = |kind: &str| kinds.iter().skip(1).any(|one| *one == kind);
    let draw = |(kind, points)| wide_line(points, KINDS[usize::from(later(kind))]);
    lines.into_iter().flat_map(draw).collect()
}

/// What a site is within its block, as `inner` of `blocks.0.inner`; of a list, the list.
fn kind_of_site(site: &str) -> &str {
    let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    site.rsplit('.').find(|part| !is_number(part)).unwrap_or(site)
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

fn gradient_by_depth(group: &Group<'_>, places: &Places) -> Vec<Mark> {
    let mut layers: BTreeMap<usize, (&str, Vec<f64>)> = BTreeMap::new();
    for gradients in group.completed().filter_map(|one| one.timeline.gradients.last()) {
        for (depth, layer) in gradients.layers.iter().enumerate() {
            let entry = layers.entry(depth).or_insert_with(|| (&layer.layer, Vec::new()));
            entry.1.push(layer.norm);
        }
    }
    let point = |(layer, norms): (&str, Vec<f64>)| {
        let log = logarithm(&norms)?;
        Some(([places.of(layer)?, log], format!("{layer}: {:.3e}", libm::exp10(log))))
    };
    line(layers.into_values().filter_map(point).collect())
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
    // One that is slower and worse is on the front as long as that may be chance; the line is that of the means.
    let mut best = f64::NEG_INFINITY;
    front.retain(|[_, value]| {
        let merit = metric.merit(*value);
        let better = merit > best;
        best = best.max(merit);
        better
    });
    let mut steps: Vec<[f64; 2]> = Vec::new();
    for at in front {
        steps.extend(steps.last().map(|last| [at[0], last[1]]));
        steps.push(at);
    }
    let mut series = vec![Series::neutral()];
    let enough = |arm: &Arm| arm.completed >= BANDED;
    if steps.len() > 1 {
        series[0].marks.push(Mark::Line { points: steps, width: 1.0 });
    }
    series.extend(places.into_iter().map(|(arm, at)| {
        let mut one = Series::of(&arm.activation, palette);
        let interval = arm.test.and_then(|value| value.interval).filter(|_| enough(arm));
        one.marks.extend(interval.map(|interval| Mark::Line {
            points: vec![[at[0], interval.low], [at[0], interval.high]],
            width: 1.0,
        }));
        let times = arm.train_seconds.and_then(|seconds| seconds.interval);
        let times = times.filter(|_| enough(arm));
        one.marks.extend(times.map(|interval| Mark::Line {
            points: vec![[interval.low.max(0.0), at[1]], [interval.high, at[1]]],
            width: 1.0,
        }));
        let text = format!("{} in {} s", said(metric, at[1]), fixed(at[0], 1));
        one.marks.push(Mark::Dot { at, text, url: None });
        one.marks.push(Mark::Label { at, text: arm.activation.clone() });
        one
    }));
    series
}

#[cfg(test)]
mod tests {
    use super::{Places, told};

    #[test]
    fn places_of_different_networks_are_merged_in_their_order() {
        let plain = vec!["conv", "norm", "blocks.0", "head"];
        let learned = vec!["conv", "norm", "stem", "blocks.0", "blocks.1", "head"];
        let right = ["conv", "norm", "stem", "blocks.0", "blocks.1", "head"];
        for networks in [[plain.clone(), learned.clone()], [learned, plain]] {
            assert_eq!(Places::merged(networks.into_iter()).0, right);
        }
    }

    #[test]
    fn lines_of_several_kinds_of_sites_are_told_apart() {
        let of = |sites: &[&str]| Places(sites.iter().map(|site| (*site).to_owned()).collect());
        let resnet =
            ["stem", "blocks.0.inner", "blocks.0.outer", "blocks.1.inner", "blocks.1.outer"];
        let places = of(&resnet);
        assert_eq!(places.kinds(), ["inner", "outer"], "one stem is no line");
        assert_eq!(told(&places.kinds()), " (thick lines: inner; thin: outer)");
        let bert = of(&["layers.0.feed_forward", "layers.1.feed_forward", "tokens.transform"]);
        assert_eq!(told(&bert.kinds()), "");
    }
}
