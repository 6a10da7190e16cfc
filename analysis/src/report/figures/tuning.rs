//! Isolation plots: how good a task goes with each value that was tried, one curve an activation.

use crate::metric::Shown;
use crate::plot::{Axis, Mark, Palette, Plot, Series};
use crate::report::tuning::{Tuning, short};
use record::Metric;

/// Values up to which each has a point of the curve; more are put together.
const MOST_VALUES: usize = 12;

/// Parts of the range from each of which the curve takes the best trial.
const PARTS: usize = 8;

/// The plots of a task whose files begin with `name`.
pub(super) fn plots(
    name: &str,
    task: &str,
    metric: &Metric,
    tuning: &Tuning,
    palette: &Palette,
) -> Vec<Plot> {
    let mut labels: Vec<&str> = Vec::new();
    for trial in tuning.trials.iter().filter(|trial| trial.task == task) {
        if !labels.contains(&trial.activation.as_str()) {
            labels.push(&trial.activation);
        }
    }
    let one = |(key, log): &(String, bool)| {
        let series = labels.iter().map(|label| Series {
            marks: marks(tuning, task, label, metric, (key, *log)),
            ..Series::of(label, palette)
        });
        let name_of_key = short(key);
        let mut plot = Plot {
            name: format!("{name}-tuning-{name_of_key}"),
            title: format!("{task}: validation {} by {name_of_key}", metric.label),
            note: "Every trial; line: the best with each value.".to_owned(),
            x: Axis::number(name_of_key),
            y: Axis::metric("validation", metric, ", median over seeds"),
            series: series.collect(),
        };
        if let Some(axis) = logarithmic(&plot, name_of_key).filter(|_| *log) {
            plot.x = axis;
        }
        plot
    };
    let mut plots: Vec<Plot> = tuning.parameters_of(task).iter().map(one).collect();
    plots.retain(|plot| !plot.is_empty());
    plots
}

/// The trials of an activation by their values of `key`, and the curve through the best.
fn marks(
    tuning: &Tuning,
    task: &str,
    label: &str,
    metric: &Metric,
    (key, log): (&str, bool),
) -> Vec<Mark> {
    let place = |value: f64| if log { libm::log10(value) } else { value };
    let mut marks = Vec::new();
    let mut points = Vec::new();
    for trial in tuning.trials_of(task, label) {
        // A trial of a loss that diverged has no place on the axis.
        let score = trial.value.filter(|score| score.is_finite());
        let (Some(value), Some(score)) = (trial.number(key), score) else { continue };
        let at = [place(value), score];
        let values: Vec<String> =
            trial.values.iter().map(|(key, value)| format!("{} {value}", short(key))).collect();
        let chosen = if trial.chosen { ", chosen" } else { "" };
        let text = format!("{label}: {} ({}{chosen})", metric.number(score), values.join(", "));
        marks.push(Mark::Dot { at, text, url: None });
        points.push(at);
    }
    let curve = envelope(points, metric);
    if curve.len() > 1 {
        marks.insert(0, Mark::Curve { points: curve, width: 2.0 });
    }
    marks
}

/// The logarithmic axis of the values that a plot shows; nothing of none.
fn logarithmic(plot: &Plot, label: &str) -> Option<Axis> {
    let values = || plot.corners().into_iter().map(|[x, _]| x);
    let (low, high) = (values().reduce(f64::min)?, values().reduce(f64::max)?);
    let room = ((high - low) * 0.06).max(0.05);
    let axis = Axis::logarithmic(&format!("{label} (logarithmic)"), [low, high]);
    Some(axis.between(low - room, high + room))
}

/// The best point with each value, in their order; where there are many values, the best in each part of the range.
fn envelope(mut points: Vec<[f64; 2]>, metric: &Metric) -> Vec<[f64; 2]> {
    let merit = |point: &[f64; 2]| metric.merit(point[1]);
    points.sort_by(|a, b| a[0].total_cmp(&b[0]).then(merit(b).total_cmp(&merit(a))));
    // Of equal values the first is the best.
    points.dedup_by(|a, b| a[0].to_bits() == b[0].to_bits());
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return points };
    if points.len() <= MOST_VALUES {
        return points;
    }
    let (low, width) = (first[0], (last[0] - first[0]) / PARTS as f64);
    let part = |point: &[f64; 2]| (((point[0] - low) / width) as usize).min(PARTS - 1);
    points
        .chunk_by(|a, b| part(a) == part(b))
        .filter_map(|points| points.iter().copied().max_by(|a, b| merit(a).total_cmp(&merit(b))))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::envelope;
    use crate::metric::tests::bits_per_byte;
    use record::Metric;

    #[test]
    fn a_curve_goes_through_the_best() {
        let lowest = |points| envelope(points, &bits_per_byte());
        let envelope = |points| envelope(points, &Metric::accuracy(None));
        let points = vec![[2.0, 0.5], [1.0, 0.3], [2.0, 0.6], [1.0, 0.4]];
        assert_eq!(lowest(points), [[1.0, 0.3], [2.0, 0.5]]);
        let many: Vec<[f64; 2]> = (0..80).map(|i| [f64::from(i), f64::from(i % 10)]).collect();
        assert!(lowest(many).iter().all(|[_, y]| *y <= 1.0));
        let points = vec![[2.0, 0.5], [1.0, 0.3], [2.0, 0.6], [1.0, 0.4]];
        assert_eq!(envelope(points), [[1.0, 0.4], [2.0, 0.6]]);
        let many: Vec<[f64; 2]> = (0..80).map(|i| [f64::from(i), f64::from(i % 10)]).collect();
        let curve = envelope(many);
        assert_eq!(curve.len(), 8);
        assert!(curve.iter().all(|[_, y]| *y >= 8.0), "{curve:?}");
        assert!(envelope(Vec::new()).is_empty());
    }
}
