//! Plots over all tasks: ranks, and how often a score is reached.

use super::crowd::Crowd;
use super::{Sources, thinned};
use crate::comparison::{ENOUGH_RUNS, Overall, TaskScores, normalized};
use crate::metric::{self, Shown};
use crate::plot::{Axis, Mark, Palette, Plot, Series};
use crate::render::number::{fixed, percent};
use crate::statistics::{Bootstrap, mean, performance_profile};
use record::Metric;

/// Points of a profile that tell their value, at most.
const TOLD: usize = 13;

pub(super) fn plots(sources: &Sources<'_>, palette: &Palette, bands: &Bootstrap) -> Vec<Plot> {
    let mut plots: Vec<Plot> = sources
        .overall
        .and_then(|overall| ranks(overall, of(sources), palette))
        .into_iter()
        .collect();
    plots.extend(profile(sources, palette, bands));
    plots.retain(|plot| !plot.is_empty());
    plots
}

/// What the plots are about: the task, where there is one.
fn of<'a>(sources: &Sources<'a>) -> &'a str {
    match sources.scores {
        [task] => &task.task,
        _ => "All tasks",
    }
}

/// The critical-difference diagram (Demšar 2006), a row for each arm, the best on top.
///
/// There is none without a critical difference.
fn ranks(overall: &Overall, of: &str, palette: &Palette) -> Option<Plot> {
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
        title: format!("{of}: mean ranks"),
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
/// where scores cannot be normalized.
fn profile(sources: &Sources<'_>, palette: &Palette, bands: &Bootstrap) -> Option<Plot> {
    let several = sources.scores.len() > 1;
    let scores: Vec<TaskScores> = if several {
        sources.scores.iter().map(normalized).collect::<Option<_>>()?
    } else {
        sources.scores.to_vec()
    };
    let profile = Profile::new(&scores, sources.metrics.first().filter(|_| !several));
    let mut labels: Vec<&str> = Vec::new();
    for arm in scores.iter().flat_map(|task| &task.arms) {
        if !arm.runs.is_empty() && !labels.contains(&arm.activation.as_str()) {
            labels.push(&arm.activation);
        }
    }
    let sizes = scores.iter().flat_map(|task| task.arms.iter().map(|arm| arm.runs.len()));
    // Bands are drawn where there are runs enough for a bootstrap within tasks.
    let banded = sizes.min().is_some_and(|fewest| fewest >= ENOUGH_RUNS);
    let bands = Some(bands).filter(|_| banded);
    let series = labels
        .iter()
        .map(|label| Series { marks: profile.marks(label, bands), ..Series::of(label, palette) })
        .collect();
    let side = profile.side();
    let (shown, x) = profile.shown(sources.metrics);
    let mut plot = Plot {
        name: "profile".into(),
        title: format!("{}: performance profile", of(sources)),
        note: format!("Share of runs {side} {shown}."),
        x,
        y: Axis::percent(&format!("runs {side} it")).between(0.0, 1.0),
        series,
    };
    let merits = labels.iter().filter_map(|label| Some((*label, profile.merit_of(label)?)));
    Crowd::new(sources.baseline, merits).calm(&mut plot);
    Some(plot)
}

/// Shares of runs, as functions of a score.
struct Profile<'a> {
    scores: &'a [TaskScores],
    /// What the only task is judged by; of several tasks scores are normalized, and larger where they are better.
    only: Option<&'a Metric>,
    /// From where to where the scores go as merits, with some room.
    ends: [f64; 2],
}

impl<'a> Profile<'a> {
    fn new(scores: &'a [TaskScores], only: Option<&'a Metric>) -> Self {
        let mut profile = Self { scores, only, ends: [0.0; 2] };
        let all = scores.iter().flat_map(|task| &task.arms).flat_map(|arm| &arm.runs);
        let (low, high) = all
            .map(|(_, score)| profile.merit(*score))
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), merit| {
                (low.min(merit), high.max(merit))
            });
        let room = ((high - low) * 0.02).max(1e-4);
        profile.ends = [low - room, high + room];
        profile
    }

    /// A score as a merit, and a merit as a score: larger merits are better.
    fn merit(&self, score: f64) -> f64 {
        self.only.map_or(score, |metric| metric.merit(score))
    }

    /// Where better scores lie.
    fn side(&self) -> &'static str {
        self.only.map_or("above", |metric| metric.better_side())
    }

    /// The merits of the runs of an activation on every task.
    fn merits(&self, label: &str) -> Vec<Vec<f64>> {
        let arms = self.scores.iter().flat_map(|task| &task.arms);
        arms.filter(|arm| arm.activation == label)
            .map(|arm| arm.runs.iter().map(|(_, score)| self.merit(*score)).collect())
            .collect()
    }

    /// The mean over tasks of the mean merit of an activation.
    fn merit_of(&self, label: &str) -> Option<f64> {
        let tasks = self.merits(label);
        mean(&tasks.iter().filter_map(|merits| mean(merits)).collect::<Vec<_>>())
    }

    /// The curve of an activation and its band. Both are constant between the scores of its runs, and step at them.
    fn marks(&self, label: &str, bands: Option<&Bootstrap>) -> Vec<Mark> {
        let tasks = self.merits(label);
        let mut merits = tasks.concat();
        merits.extend(self.ends);
        merits.sort_by(f64::total_cmp);
        merits.dedup();
        let share = |drawn: &[Vec<f64>]| performance_profile(drawn, &merits);
        let shares = share(&tasks);
        let mut curve: Vec<[f64; 2]> = steps(&merits, shares.iter().map(|share| [*share]))
            .into_iter()
            .map(|(merit, [share])| [self.merit(merit), share])
            .collect();
        let intervals = bands.and_then(|bands| bands.stratified_each(&tasks, share));
        let intervals = intervals.unwrap_or_default();
        let edges = intervals.iter().map(|interval| [interval.low, interval.high]);
        let mut band: Vec<[f64; 3]> = steps(&merits, edges)
            .into_iter()
            .map(|(merit, [low, high])| [self.merit(merit), low, high])
            .collect();
        let told = thinned(merits.iter().zip(&shares).collect(), TOLD);
        let mut told: Vec<Mark> =
            told.into_iter().map(|(merit, share)| self.told(*merit, *share)).collect();
        if self.merit(1.0) < 0.0 {
            // From the left to the right all the same.
            curve.reverse();
            band.reverse();
            told.reverse();
        }
        let band = (!band.is_empty()).then_some(Mark::Band { points: band });
        let curve = Mark::Curve { points: curve, width: 2.0 };
        band.into_iter().chain([curve]).chain(told).collect()
    }

    /// A point that tells the share of runs with a greater merit.
    fn told(&self, merit: f64, share: f64) -> Mark {
        let score = self.merit(merit);
        let said = match self.only {
            Some(metric) => metric.quantity(score).replace('\u{a0}', " "),
            None => fixed(score, 3),
        };
        let text = format!("{} % of runs {} {said}", percent(share), self.side());
        Mark::Spot { at: [score, share], text }
    }

    /// What scores are, in a sentence, and their axis.
    fn shown(&self, metrics: &[Metric]) -> (String, Axis) {
        if let Some(metric) = self.only {
            return (one_value(metric), Axis::metric("test", metric, ""));
        }
        let (one, all) = match &metric::distinct(metrics)[..] {
            [metric] if metric.is_share() => {
                (metric.label.as_str(), format!("test {}", metric.label))
            }
            [metric] => ("score", format!("test {}", metric.label)),
            _ => ("score", "test score".to_owned()),
        };
        let axis = format!("{all}, guessing at 0 and the best mean of the task at 1");
        (format!("a normalized {one}"), Axis::number(&axis))
    }
}

/// The path of functions that have each of `values` from its place on to the next one: two points where one of them changes.
fn steps<const N: usize>(
    places: &[f64],
    values: impl Iterator<Item = [f64; N]>,
) -> Vec<(f64, [f64; N])> {
    let mut path: Vec<(f64, [f64; N])> = Vec::new();
    for (place, value) in places.iter().zip(values) {
        let before = path.last().map(|(_, before)| *before);
        path.extend(before.filter(|before| *before != value).map(|before| (*place, before)));
        path.push((*place, value));
    }
    path
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
    use crate::comparison::ArmScores;
    use crate::metric::tests::bits_per_byte;
    use crate::statistics::Resolution;

    /// Shares change at the scores of runs alone: at 0.4, 0.6 (twice) and 0.9 of four runs.
    #[test]
    fn a_profile_steps_at_the_scores_of_the_runs() {
        let scores = [0.9, 0.6, 0.4, 0.6].map(|score| (String::new(), score));
        let task = |arm: &str, runs: &[(String, f64)]| TaskScores {
            task: "t".into(),
            arms: vec![ArmScores::new(arm.into(), runs.to_vec())],
            guessing: None,
            resolution: Resolution::Rounding,
            metric: None,
        };
        let tasks = [task("relu", &scores)];
        let metric = Metric::accuracy(None);
        let marks = Profile::new(&tasks, Some(&metric)).marks("relu", None);
        let [Mark::Curve { points, .. }, told @ ..] = &marks[..] else { panic!("{marks:?}") };
        let right = [[0.39, 1.0], [0.4, 1.0], [0.4, 0.75], [0.6, 0.75], [0.6, 0.25], [0.9, 0.25]];
        let right: Vec<[f64; 2]> = right.into_iter().chain([[0.9, 0.0], [0.91, 0.0]]).collect();
        assert_eq!(points.len(), right.len(), "{points:?}");
        for (one, right) in points.iter().zip(&right) {
            assert!((one[0] - right[0]).abs() < 1e-12 && one[1] == right[1], "{points:?}");
        }
        assert!(told.contains(&Mark::Spot {
            at: [0.6, 0.25],
            text: "25.00 % of runs above 60.00 %".into()
        }));
        // Where less is better, the share rises from the left to the right.
        let metric = bits_per_byte();
        let marks = Profile::new(&tasks, Some(&metric)).marks("relu", None);
        let [Mark::Curve { points, .. }, ..] = &marks[..] else { panic!("{marks:?}") };
        let heights: Vec<f64> = points.iter().map(|[_, y]| *y).collect();
        assert_eq!(heights, [0.0, 0.0, 0.25, 0.25, 0.75, 0.75, 1.0, 1.0]);
        assert!(points.is_sorted_by(|a, b| a[0] <= b[0]), "{points:?}");
    }

    /// Both edges of a band step at one of its points, whichever of them changes, and the curve lies between them.
    #[test]
    fn a_band_has_its_interval_on_both_sides_of_a_score() {
        let path = steps(&[1.0, 2.0, 3.0], [[0.5, 1.0], [0.5, 0.9], [0.2, 0.9]].into_iter());
        let right = [
            (1.0, [0.5, 1.0]),
            (2.0, [0.5, 1.0]),
            (2.0, [0.5, 0.9]),
            (3.0, [0.5, 0.9]),
            (3.0, [0.2, 0.9]),
        ];
        assert_eq!(path, right);
        let scores = [0.90, 0.91, 0.915, 0.92, 0.93].map(|score| (String::new(), score));
        let task = TaskScores {
            task: "t".into(),
            arms: vec![ArmScores::new("relu".into(), scores.to_vec())],
            guessing: None,
            resolution: Resolution::Rounding,
            metric: None,
        };
        let metric = Metric::accuracy(None);
        let (tasks, bands) = ([task], Bootstrap { resamples: 400, seed: 0 });
        let marks = Profile::new(&tasks, Some(&metric)).marks("relu", Some(&bands));
        let [Mark::Band { points: band }, Mark::Curve { points: curve, .. }, ..] = &marks[..]
        else {
            panic!("{marks:?}")
        };
        assert!(band.is_sorted_by(|a, b| a[0] <= b[0]), "{band:?}");
        // From each of its points on, the band is an interval that holds the share there.
        let from = |place: f64| band.iter().rfind(|point| point[0] <= place + 1e-12).unwrap();
        for [place, _] in curve {
            let share = curve.iter().rfind(|point| point[0] <= place + 1e-12).unwrap()[1];
            let [_, low, high] = *from(*place);
            assert!(low <= share && share <= high, "{place}: {share} in [{low}, {high}]");
        }
        let last = band.last().unwrap();
        assert_eq!([last[1], last[2]], [0.0, 0.0]);
    }

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
