//! Plots over all tasks: ranks, and how often a score is reached.

use super::Sources;
use crate::comparison::{ENOUGH_RUNS, Overall, TaskScores, normalized};
use crate::metric::{self, Shown};
use crate::plot::{Axis, Mark, Palette, Plot, Series};
use crate::render::number::{fixed, percent};
use crate::statistics::{Bootstrap, performance_profile};
use record::Metric;

/// Thresholds of a profile.
const THRESHOLDS: usize = 61;

pub(super) fn plots(sources: &Sources<'_>, palette: &Palette, bands: &Bootstrap) -> Vec<Plot> {
    let mut plots: Vec<Plot> =
        sources.overall.and_then(|overall| ranks(overall, palette)).into_iter().collect();
    plots.extend(profile(sources, palette, bands));
    plots.retain(|plot| !plot.is_empty());
    plots
}

/// The critical-difference diagram (Demšar 2006), a row for each arm, the best on top.
///
/// There is none without a critical difference.
fn ranks(overall: &Overall, palette: &Palette) -> Option<Plot> {
    let critical = overall.tests.as_ref()?.critical_difference;
    let mut arms: Vec<(&String, f64)> =
        overall.activations.iter().zip(overall.ranks.iter().copied()).collect();
    arms.sort_by(|a, b| a.1.total_cmp(&b.1));
    let count = arms.len();
    let row = |place: usize| (count - 1 - place) as f64;
    let half = critical / 2.0;
    let mut series: Vec<Series> = arms
        .iter()
        .enumerate()
        .map(|(place, (label, rank))| {
            let y = row(place);
            // No rank is below 1 or above the number of activations.
            let reach =
                vec![[(rank - half).max(0.5), y], [(rank + half).min(count as f64 + 0.5), y]];
            let text = format!("mean rank {}", fixed(*rank, 2));
            Series {
                marks: vec![
                    Mark::Line { points: reach, width: 2.0 },
                    Mark::Dot { at: [*rank, y], text, url: None },
                ],
                ..Series::of(label, palette)
            }
        })
        .collect();
    // Behind the intervals of every arm.
    let mut x = arms.last().map_or(0.0, |(_, rank)| (rank + half).min(count as f64 + 0.5)) + 0.25;
    let mut bars = Series::neutral();
    for (first, last) in alike(&arms, critical) {
        let points = vec![[x, row(first) + 0.2], [x, row(last) - 0.2]];
        bars.marks.push(Mark::Line { points, width: 4.0 });
        x += 0.2;
    }
    series.push(bars);
    let low = arms.first().map_or(0.0, |(_, rank)| rank - half).max(0.0) - 0.1;
    Some(Plot {
        name: "ranks".into(),
        title: "All tasks: mean ranks".to_owned(),
        note: format!(
            "Bars connect activations that do not differ significantly (Nemenyi, critical difference {}).",
            fixed(critical, 2)
        ),
        x: Axis::number("mean rank (1 is best)").between(low, x),
        y: Axis::names("", arms.iter().rev().map(|(label, _)| (*label).clone())),
        series,
    })
}

/// First and last place of every largest group of neighbours that differ by at most `critical`.
fn alike(arms: &[(&String, f64)], critical: f64) -> Vec<(usize, usize)> {
    let mut groups: Vec<(usize, usize)> = Vec::new();
    for first in 0..arms.len() {
        let reach = arms.partition_point(|(_, rank)| rank - arms[first].1 <= critical);
        let last = reach - 1;
        if last > first && groups.last().is_none_or(|group| last > group.1) {
            groups.push((first, last));
        }
    }
    groups
}

/// The share of runs that are better than each test value, of several tasks better than each normalized one; nothing
/// where scores cannot be normalized. Bands are drawn where there are runs enough for a bootstrap within tasks.
fn profile(sources: &Sources<'_>, palette: &Palette, bands: &Bootstrap) -> Option<Plot> {
    let several = sources.scores.len() > 1;
    let scores: Vec<TaskScores> = if several {
        sources.scores.iter().map(normalized).collect::<Option<_>>()?
    } else {
        sources.scores.to_vec()
    };
    let sizes = scores.iter().flat_map(|task| task.arms.iter().map(|arm| arm.runs.len()));
    let banded = sizes.min().is_some_and(|fewest| fewest >= ENOUGH_RUNS);
    let all = scores.iter().flat_map(|task| &task.arms).flat_map(|arm| &arm.runs);
    let (low, high) = all.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), (_, score)| {
        (low.min(*score), high.max(*score))
    });
    let room = ((high - low) * 0.02).max(1e-4);
    let at = |i: usize| low - room + (high - low + 2.0 * room) * i as f64 / (THRESHOLDS - 1) as f64;
    let only = sources.metrics.first().filter(|_| !several);
    let say = |score: f64| match only {
        Some(metric) => metric.quantity(score).replace('\u{a0}', " "),
        None => fixed(score, 3),
    };
    // Normalized scores are larger where they are better.
    let merit = |score: f64| only.map_or(score, |metric| metric.merit(score));
    let side = only.map_or("above", |metric| metric.better_side());
    let merits: Vec<f64> = (0..THRESHOLDS).map(|i| merit(at(i))).collect();
    let thresholds: Vec<f64> = (0..THRESHOLDS).map(at).collect();
    let mut labels: Vec<&str> = Vec::new();
    for arm in scores.iter().flat_map(|task| &task.arms) {
        if !arm.runs.is_empty() && !labels.contains(&arm.activation.as_str()) {
            labels.push(&arm.activation);
        }
    }
    let series = labels
        .into_iter()
        .map(|label| {
            let tasks: Vec<Vec<f64>> = scores
                .iter()
                .flat_map(|task| &task.arms)
                .filter(|arm| arm.activation == label)
                .map(|arm| arm.runs.iter().map(|(_, score)| merit(*score)).collect())
                .collect();
            let shares = performance_profile(&tasks, &merits);
            let share = |drawn: &[Vec<f64>]| performance_profile(drawn, &merits);
            let intervals = banded.then(|| bands.stratified_each(&tasks, share)).flatten();
            let mut one = Series::of(label, palette);
            one.marks.extend(intervals.map(|intervals| {
                Mark::Band {
                    points: thresholds
                        .iter()
                        .zip(intervals)
                        .map(|(threshold, interval)| [*threshold, interval.low, interval.high])
                        .collect(),
                }
            }));
            let points: Vec<[f64; 2]> = thresholds
                .iter()
                .zip(&shares)
                .map(|(threshold, share)| [*threshold, *share])
                .collect();
            let told = points.iter().step_by(5).map(|at| Mark::Spot {
                at: *at,
                text: format!("{} % of runs {side} {}", percent(at[1]), say(at[0])),
            });
            let told: Vec<Mark> = told.collect();
            one.marks.push(Mark::Curve { points, width: 2.0 });
            one.marks.extend(told);
            one
        })
        .collect();
    let (note, x) = match only {
        Some(metric) => (
            format!("Share of runs {side} {}", one_value(metric)),
            Axis::metric("test", metric, ""),
        ),
        None => {
            let (one, all) = match &metric::distinct(sources.metrics)[..] {
                [metric] if metric.is_share() => {
                    (metric.label.as_str(), format!("test {}", metric.label))
                }
                [metric] => ("score", format!("test {}", metric.label)),
                _ => ("score", "test score".to_owned()),
            };
            (
                format!("Share of runs above a normalized {one}"),
                Axis::number(&format!("{all}, guessing at 0 and the best mean of the task at 1")),
            )
        }
    };
    Some(Plot {
        name: "profile".into(),
        title: "All tasks: performance profile".to_owned(),
        note,
        x,
        y: Axis::percent(&format!("runs {side} it")).between(0.0, 1.0),
        series,
    })
}

/// A value of the metric with its article: `an accuracy`, `a value of bits per byte`.
fn one_value(metric: &Metric) -> String {
    if !metric.is_share() {
        return format!("a value of {}", metric.label);
    }
    let vowel = metric.label.starts_with(['a', 'e', 'i', 'o', 'u']);
    format!("{} {}", if vowel { "an" } else { "a" }, metric.label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_as_large_as_they_can_be() {
        let names: Vec<String> = (0..5).map(|i| i.to_string()).collect();
        let ranks = [1.0, 1.8, 2.6, 4.0, 5.5];
        let arms: Vec<(&String, f64)> = names.iter().zip(ranks).collect();
        assert_eq!(alike(&arms, 1.6), [(0, 2), (2, 3), (3, 4)]);
        assert_eq!(alike(&arms, 0.1), []);
        assert_eq!(alike(&arms, 9.0), [(0, 4)]);
    }
}
