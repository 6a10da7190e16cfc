//! The difference of every activation to the baseline, with the interval of its test: a row each, the best on top, those
//! without a difference below.

use super::ended;
use crate::comparison::Verdict;
use crate::metric::Shown;
use crate::plot::{Axis, Mark, Palette, Plot, Series};
use crate::render::number::equals;
use crate::statistics::Interval;
use crate::summary::Arm;
use record::{Direction, Metric};

/// How many times the largest difference, or the margin, an axis reaches: intervals of a few runs reach further, and
/// end in an arrow.
const REACH: f64 = 4.0;

/// How many times the usual size a difference must have to lie beyond the axis, so that the others can be read.
const RUNAWAY: f64 = 10.0;

/// Size of the ends of an interval, in rows.
const END: f64 = 0.14;

/// Length of the head of an arrow, as a part of the axis.
const HEAD: f64 = 0.012;

/// Length of an arrow to a difference beyond the axis, as a part of it.
const ARROW: f64 = 0.05;

/// What a forest plot is made from.
pub(super) struct Forest<'a> {
    pub(super) file: &'a str,
    pub(super) task: &'a str,
    pub(super) baseline: &'a str,
    pub(super) metric: &'a Metric,
    /// Differences that do not matter, in units of recorded values.
    pub(super) margin: Option<f64>,
}

/// An activation of the plot.
struct Row<'a> {
    arm: &'a Arm,
    /// To the baseline; 0 of the baseline itself.
    difference: Option<f64>,
}

impl Row<'_> {
    fn interval(&self) -> Option<Interval> {
        self.arm.against.as_ref()?.interval
    }
}

/// From where to where the axis goes.
#[derive(Debug, Clone, Copy)]
struct Reach {
    low: f64,
    high: f64,
}

impl Reach {
    fn holds(self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }

    fn part(self, part: f64) -> f64 {
        part * (self.high - self.low)
    }
}

impl Forest<'_> {
    /// The plot; nothing where nothing is compared.
    pub(super) fn plot(&self, arms: &[&Arm], palette: &Palette) -> Option<Plot> {
        let rows = self.rows(arms);
        if rows.iter().filter(|row| row.difference.is_some()).count() < 2 {
            return None;
        }
        let reach = self.reach(&rows);
        let last = rows.len() - 1;
        let mut series = vec![self.behind(rows.len())];
        series.extend(rows.iter().enumerate().map(|(place, row)| Series {
            marks: self.marks(row, (last - place) as f64, reach),
            ..Series::of(&row.arm.activation, palette)
        }));
        let metric = self.metric;
        let better = match metric.direction {
            Direction::Higher => "right is better",
            Direction::Lower => "left is better",
        };
        let unit = match metric.difference_unit() {
            "" => String::new(),
            unit => format!("{unit}; "),
        };
        Some(Plot {
            name: format!("{}-difference", self.file),
            title: format!(
                "{}: difference in test {} to {}",
                self.task, metric.label, self.baseline
            ),
            note: self.note(&rows, reach),
            x: Axis {
                scale: metric.scale,
                ..Axis::number(&format!("Δ test {} ({unit}{better})", metric.label))
                    .between(reach.low, reach.high)
            },
            y: Axis::names("", rows.iter().rev().map(|row| row.arm.activation.clone())),
            series,
        })
    }

    /// Every activation, from the best difference to the worst, and then those without one.
    fn rows<'a>(&self, arms: &[&'a Arm]) -> Vec<Row<'a>> {
        let difference = |arm: &Arm| match &arm.against {
            Some(against) => against.difference.filter(|difference| difference.is_finite()),
            None => (arm.activation == self.baseline && arm.test.is_some()).then_some(0.0),
        };
        let mut rows: Vec<Row<'a>> =
            arms.iter().map(|arm| Row { arm, difference: difference(arm) }).collect();
        let merit = |row: &Row<'_>| {
            row.difference.map_or(f64::NEG_INFINITY, |value| self.metric.merit(value))
        };
        rows.sort_by(|a, b| merit(b).total_cmp(&merit(a)));
        rows
    }

    /// The margin and the line of no difference, behind so many rows.
    fn behind(&self, rows: usize) -> Series {
        let ends = [-0.5, rows as f64 - 0.5];
        let mut behind = Series::neutral();
        behind.marks.extend(self.margin.map(|margin| Mark::Box {
            from: [-margin, ends[0]],
            to: [margin, ends[1]],
            opacity: 0.12,
            text: format!("margin: ±{}", plain(&self.metric.size(margin))),
        }));
        behind.marks.push(Mark::Line { points: vec![[0.0, ends[0]], [0.0, ends[1]]], width: 1.0 });
        behind
    }

    fn note(&self, rows: &[Row<'_>], reach: Reach) -> String {
        let gone = |row: &Row<'_>| row.difference.is_some_and(|value| !reach.holds(value));
        let cut = |row: &Row<'_>| {
            let cuts = |one: Interval| !reach.holds(one.low) || !reach.holds(one.high);
            row.interval().is_some_and(cuts)
        };
        let mut note = "Mean over seeds, with the interval of the corrected test: significant where it excludes 0.".to_owned();
        if self.margin.is_some() {
            note += " Shaded: the margin.";
        }
        if rows.iter().any(|row| cut(row) && !gone(row)) {
            note += " An arrow: the interval continues beyond the axis.";
        }
        if rows.iter().any(gone) {
            note += " An arrow with a value: the mean lies beyond the axis.";
        }
        note
    }

    /// What is drawn of a row at the height `y`.
    fn marks(&self, row: &Row<'_>, y: f64, reach: Reach) -> Vec<Mark> {
        let Some(difference) = row.difference else {
            return vec![Mark::Label {
                at: [reach.low, y],
                text: self.without_difference(row.arm),
            }];
        };
        let mut marks = row.interval().map_or_else(Vec::new, |one| interval(one, y, reach));
        let text = self.text(row.arm, difference);
        if reach.holds(difference) {
            marks.push(Mark::Dot { at: [difference, y], text, url: None });
            let words = row.interval().is_none().then(|| without_interval(row.arm));
            marks.extend(words.map(|text| Mark::Label { at: [difference, y], text: text.into() }));
            return marks;
        }
        let (edge, inward) =
            if difference < reach.low { (reach.low, 1.0) } else { (reach.high, -1.0) };
        if marks.is_empty() {
            let tail = edge + inward * reach.part(ARROW);
            marks.push(Mark::Line { points: vec![[edge, y], [tail, y]], width: 2.0 });
            marks.push(end(edge, inward * reach.part(HEAD), y));
        }
        let metric = self.metric;
        let value = plain(&metric.with_difference_unit(&metric.difference(difference)));
        marks.push(Mark::Spot { at: [edge, y], text });
        marks.push(Mark::Label { at: [edge, y], text: value });
        marks
    }

    /// From where to where the axis goes.
    fn reach(&self, rows: &[Row<'_>]) -> Reach {
        let usual = self.usual(rows);
        let stays = |row: &&Row<'_>| {
            row.difference.is_some_and(|value| usual <= 0.0 || value.abs() <= RUNAWAY * usual)
        };
        let shown: Vec<&Row<'_>> = rows.iter().filter(stays).collect();
        let differences = || shown.iter().filter_map(|row| row.difference);
        let intervals = || shown.iter().filter_map(|row| row.interval());
        // Where nothing differs, the narrowest interval says what the scale is.
        let narrowest = intervals().map(half).reduce(f64::min);
        let largest = differences()
            .map(f64::abs)
            .chain(self.margin)
            .fold(0.0, f64::max)
            .max(narrowest.unwrap_or(0.0) / REACH);
        let most = if largest > 0.0 { REACH * largest } else { 1.0 / self.metric.scale };
        let ends = intervals().flat_map(|one| [one.low, one.high]).chain(differences());
        let ends: Vec<f64> =
            ends.chain(self.margin.into_iter().flat_map(|margin| [-margin, margin])).collect();
        let low = ends.iter().copied().fold(0.0, f64::min).max(-most);
        let high = ends.iter().copied().fold(0.0, f64::max).min(most);
        if low == high {
            // Nothing differs, and there is no interval.
            return Reach { low: -most, high: most };
        }
        let room = (high - low) * 0.05;
        Reach { low: low - room, high: high + room }
    }

    /// The size of a difference that is seen on this task: the median of those that are not 0, or that of the intervals,
    /// which of few runs say little, or the margin.
    fn usual(&self, rows: &[Row<'_>]) -> f64 {
        let sizes = rows.iter().filter_map(|row| row.difference).map(f64::abs);
        let size = median(sizes.filter(|size| *size > 0.0));
        let width = median(rows.iter().filter_map(Row::interval).map(half));
        size.max(width.min(REACH * size)).max(self.margin.unwrap_or(0.0))
    }

    /// Why an activation has no difference to the baseline.
    fn without_difference(&self, arm: &Arm) -> String {
        if arm.completed > 0 {
            return format!("no difference to {}", self.baseline);
        }
        ended(arm.diverged, arm.failed)
    }

    fn text(&self, arm: &Arm, difference: f64) -> String {
        let metric = self.metric;
        let Some(against) = &arm.against else { return "baseline".to_owned() };
        let mut text = metric.with_difference_unit(&metric.difference(difference));
        if let Some(interval) = against.interval {
            let bound = |value| metric.difference(value);
            text += &format!(" [{}, {}]", bound(interval.low), bound(interval.high));
        }
        if let Some(p) = against.p_holm {
            text += &format!(", {}", equals(p));
        }
        plain(&text)
    }
}

fn plain(text: &str) -> String {
    text.replace('\u{a0}', " ")
}

/// Why an activation has a difference without an interval.
fn without_interval(arm: &Arm) -> &'static str {
    let Some(against) = &arm.against else { return "baseline" };
    match against.verdict {
        Verdict::Identical => "no difference under any seed",
        Verdict::Constant => "one difference under all seeds: no interval",
        _ if against.paired && against.pairs == 1 => "one pair: no interval",
        _ => "too few runs: no interval",
    }
}

/// What the axis shows of an interval; nothing where all of it lies beyond.
fn interval(one: Interval, y: f64, reach: Reach) -> Vec<Mark> {
    if one.high < reach.low || one.low > reach.high {
        return Vec::new();
    }
    let inside = [one.low, one.high].map(|bound| bound.clamp(reach.low, reach.high));
    let mut marks = vec![Mark::Line { points: vec![[inside[0], y], [inside[1], y]], width: 2.0 }];
    marks.extend([(inside[0], one.low, 1.0), (inside[1], one.high, -1.0)].map(
        |(at, bound, inward)| {
            // What is cut off ends in an arrow, other intervals in a tick.
            let back = if reach.holds(bound) { 0.0 } else { inward * reach.part(HEAD) };
            end(at, back, y)
        },
    ));
    marks
}

/// The end of a line: a tick, or a head of an arrow that reaches `back`.
fn end(at: f64, back: f64, y: f64) -> Mark {
    Mark::Line { points: vec![[at + back, y + END], [at, y], [at + back, y - END]], width: 2.0 }
}

fn half(interval: Interval) -> f64 {
    (interval.high - interval.low) / 2.0
}

/// The median, of an even number the lower one; 0 of nothing.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.len().checked_sub(1).map_or(0.0, |last| values[last / 2])
}
