//! What activation sites do, by their depth in the network.

use super::focus::focus;
use super::task::{Group, TaskPlots, steps, wide_line};
use crate::plot::{Axis, Mark, Plot};
use crate::render::number::{fixed, grouped, percent};
use crate::statistics::mean;
use record::Site;
use std::collections::BTreeMap;

/// Width of the lines of the first kind of sites, and of those of the others.
const KINDS: [f64; 2] = [2.5, 1.0];

/// Height of an activation's rows, of which one row of names is 1.
const FILLED: f64 = 0.84;

/// Something that is measured at each site.
pub(super) struct Quantity {
    /// End of the name of its file.
    kind: &'static str,
    title: &'static str,
    axis: &'static str,
    /// Whether it is a share of units or numbers, which is not worth a plot where it is 0 everywhere.
    share: bool,
    get: fn(&Site) -> f64,
}

pub(super) const DEAD: Quantity = Quantity {
    kind: "dead",
    title: "dead units",
    axis: "dead units",
    share: true,
    get: |site| site.dead,
};

pub(super) const OTHERS: [Quantity; 4] = [
    Quantity {
        kind: "zero",
        title: "outputs that are zero",
        axis: "zero outputs",
        share: true,
        get: |site| site.zero,
    },
    Quantity {
        kind: "mean",
        title: "mean of the outputs (mean shift)",
        axis: "mean of outputs",
        share: false,
        get: |site| site.mean,
    },
    Quantity {
        kind: "variance",
        title: "variance of the outputs",
        axis: "variance of outputs",
        share: false,
        get: |site| site.variance,
    },
    Quantity {
        kind: "saturated",
        title: "saturated inputs",
        axis: "saturated inputs",
        share: true,
        get: |site| site.saturated,
    },
];

/// A quantity of all sites at the end.
pub(super) fn by_site(of: &TaskPlots<'_>, places: &Places, quantity: &Quantity) -> Option<Plot> {
    let kinds = places.kinds();
    let x = places.axis(&format!("activation site, from the input{}", told(&kinds)));
    let y = if quantity.share { Axis::percent(quantity.axis) } else { Axis::number(quantity.axis) };
    let title = format!("{} by activation site", quantity.title);
    let note = "At the last evaluation, mean over seeds. A line joins sites of the same kind.";
    let say = |value| write(value, quantity.share);
    let series = of.draw(&|group| sites(group, places, &kinds, quantity.get, &say));
    let mut plot = Plot { series, ..of.plot(quantity.kind, &title, note, [x, y]) };
    if !quantity.share {
        focus(&mut plot);
    }
    (!(quantity.share && plot.is_zero())).then_some(plot)
}

/// Dead units of all sites over time; nothing where no unit is dead.
pub(super) fn dead_during_training(of: &TaskPlots<'_>) -> Option<Plot> {
    let runs = of.groups.iter().flat_map(|group| group.runs);
    let any = runs.flat_map(|one| &one.timeline.sites).any(|site| site.dead > 0.0);
    let note = "Within the row of an activation, its sites from the input (bottom) to the output (top). The darker a cell, the \
                larger the share of dead units; full colour is 100\u{a0}%.";
    let title = "dead units during training";
    let plot = of.plot("dead-over-time", title, note, [steps(), of.rows()]);
    let series = of.draw(&|group| dead_over_time(group, of.row(group)));
    any.then_some(Plot { series, ..plot })
}

/// Places in the networks of a task, from the input. A network of another activation may have more of them.
pub(super) struct Places(Vec<String>);

impl Places {
    /// The activation sites that completed runs have.
    pub(super) fn sites(groups: &[Group<'_>]) -> Self {
        let completed = groups.iter().flat_map(Group::completed);
        let summaries = completed.filter_map(|one| one.run.record.summary.as_ref());
        Self::merged(summaries.map(|one| one.sites.iter().map(|site| site.site.as_str()).collect()))
    }

    /// The layers whose gradients completed runs have measured.
    pub(super) fn layers(groups: &[Group<'_>]) -> Self {
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

    pub(super) fn of(&self, name: &str) -> Option<f64> {
        self.0.iter().position(|known| known == name).map(|place| place as f64)
    }

    pub(super) fn axis(&self, label: &str) -> Axis {
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

fn write(value: f64, share: bool) -> String {
    if share { format!("{} %", percent(value)) } else { fixed(value, 3) }
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
