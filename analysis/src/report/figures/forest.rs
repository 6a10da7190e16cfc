//! The difference of every activation to the baseline, with the interval of its test: a row each, the best on top.

use crate::metric::Shown;
use crate::plot::{Axis, Mark, Palette, Plot, Series};
use crate::render::number::equals;
use crate::summary::Arm;
use record::{Direction, Metric};

/// How many times the largest difference, or the margin, an axis reaches: intervals of a few runs reach further, and
/// end in an arrow.
const REACH: f64 = 4.0;

/// Size of the ends of an interval, in rows.
const END: f64 = 0.14;

/// What a forest plot is made from.
pub(super) struct Forest<'a> {
    pub(super) file: &'a str,
    pub(super) task: &'a str,
    pub(super) baseline: &'a str,
    pub(super) metric: &'a Metric,
    /// Differences that do not matter, in units of recorded values.
    pub(super) margin: Option<f64>,
}

impl Forest<'_> {
    /// The plot; nothing where nothing is compared.
    pub(super) fn plot(&self, arms: &[&Arm], palette: &Palette) -> Option<Plot> {
        let metric = self.metric;
        let difference = |arm: &Arm| match &arm.against {
            Some(against) => against.difference,
            None => (arm.activation == self.baseline && arm.test.is_some()).then_some(0.0),
        };
        let mut rows: Vec<(&Arm, f64)> =
            arms.iter().filter_map(|arm| Some((*arm, difference(arm)?))).collect();
        rows.retain(|(_, difference)| difference.is_finite());
        if rows.len() < 2 {
            return None;
        }
        rows.sort_by(|(_, a), (_, b)| metric.merit(*b).total_cmp(&metric.merit(*a)));
        let row = |place: usize| (rows.len() - 1 - place) as f64;
        let [low, high] = self.span(&rows);
        let ends = [-0.5, rows.len() as f64 - 0.5];
        let beyond = |bound: f64| bound < low || bound > high;
        let cut = rows.iter().any(|(arm, _)| {
            let interval = arm.against.as_ref().and_then(|against| against.interval);
            interval.is_some_and(|interval| beyond(interval.low) || beyond(interval.high))
        });
        let mut behind = Series::neutral();
        behind.marks.extend(self.margin.map(|margin| Mark::Box {
            from: [-margin, ends[0]],
            to: [margin, ends[1]],
            opacity: 0.12,
            text: format!("margin: ±{}", plain(&metric.size(margin))),
        }));
        behind.marks.push(Mark::Line { points: vec![[0.0, ends[0]], [0.0, ends[1]]], width: 1.0 });
        let mut series = vec![behind];
        for (place, (arm, difference)) in rows.iter().enumerate() {
            let y = row(place);
            let mut one = Series::of(&arm.activation, palette);
            if let Some(interval) = arm.against.as_ref().and_then(|against| against.interval) {
                let inside = [interval.low.clamp(low, high), interval.high.clamp(low, high)];
                one.marks
                    .push(Mark::Line { points: vec![[inside[0], y], [inside[1], y]], width: 2.0 });
                let arrow = (high - low) * 0.012;
                for (end, bound, inward) in
                    [(inside[0], interval.low, 1.0), (inside[1], interval.high, -1.0)]
                {
                    // What is cut off ends in an arrow, other intervals in a tick.
                    let back = if beyond(bound) { inward * arrow } else { 0.0 };
                    one.marks.push(Mark::Line {
                        points: vec![[end + back, y + END], [end, y], [end + back, y - END]],
                        width: 2.0,
                    });
                }
            }
            one.marks.push(Mark::Dot {
                at: [*difference, y],
                text: self.text(arm, *difference),
                url: None,
            });
            series.push(one);
        }
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
            note: format!(
                "Mean over seeds, with the interval of the corrected test: significant where it excludes 0.{}{}",
                if self.margin.is_some() { " Shaded: the margin." } else { "" },
                if cut { " An arrow: the interval continues beyond the axis." } else { "" }
            ),
            x: Axis {
                scale: metric.scale,
                ..Axis::number(&format!("Δ test {} ({unit}{better})", metric.label))
                    .between(low, high)
            },
            y: Axis::names("", rows.iter().rev().map(|(arm, _)| arm.activation.clone())),
            series,
        })
    }

    /// From where to where the axis goes.
    fn span(&self, rows: &[(&Arm, f64)]) -> [f64; 2] {
        let sizes = rows.iter().map(|(_, difference)| difference.abs());
        let intervals = || rows.iter().filter_map(|(arm, _)| arm.against.as_ref()?.interval);
        // Where nothing differs, the narrowest interval says what the scale is.
        let narrowest = intervals().map(|one| (one.high - one.low) / 2.0).reduce(f64::min);
        let largest =
            sizes.chain(self.margin).fold(0.0, f64::max).max(narrowest.unwrap_or(0.0) / REACH);
        let most = if largest > 0.0 { REACH * largest } else { 1.0 / self.metric.scale };
        let ends = intervals().flat_map(|one| [one.low, one.high]);
        let ends = ends.chain(rows.iter().map(|(_, difference)| *difference));
        let ends: Vec<f64> =
            ends.chain(self.margin.into_iter().flat_map(|margin| [-margin, margin])).collect();
        let low = ends.iter().copied().fold(0.0, f64::min).max(-most);
        let high = ends.iter().copied().fold(0.0, f64::max).min(most);
        if low == high {
            // Nothing differs, and there is no interval.
            return [-most, most];
        }
        let room = (high - low) * 0.05;
        [low - room, high + room]
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
