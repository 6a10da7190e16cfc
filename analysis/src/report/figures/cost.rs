//! What a test value costs in time.

use super::task::{BANDED, said};
use crate::plot::{Mark, Palette, Series};
use crate::render::number::fixed;
use crate::summary::Arm;
use record::Metric;

/// Arms by training time and test value, and a line along those that none dominates.
pub(super) fn series(arms: &[&Arm], metric: &Metric, palette: &Palette) -> Vec<Series> {
    let places: Vec<(&Arm, [f64; 2])> = arms
        .iter()
        .filter_map(|arm| Some((*arm, [arm.train_seconds?.mean, arm.test?.mean])))
        .collect();
    let steps = front(&places, metric);
    let mut behind = Series::neutral();
    if steps.len() > 1 {
        behind.marks.push(Mark::Line { points: steps, width: 1.0 });
    }
    let one = |(arm, at): (&Arm, [f64; 2])| Series {
        marks: marks(arm, at, metric),
        ..Series::of(&arm.activation, palette)
    };
    [behind].into_iter().chain(places.into_iter().map(one)).collect()
}

/// The steps from one arm on the front of the means to the next.
fn front(places: &[(&Arm, [f64; 2])], metric: &Metric) -> Vec<[f64; 2]> {
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
    steps
}

/// An arm at its place, with its intervals where there are runs enough, and its name.
fn marks(arm: &Arm, at: [f64; 2], metric: &Metric) -> Vec<Mark> {
    let enough = arm.completed >= BANDED;
    let value = arm.test.and_then(|value| value.interval).filter(|_| enough);
    let time = arm.train_seconds.and_then(|seconds| seconds.interval).filter(|_| enough);
    let upright = value.map(|one| vec![[at[0], one.low], [at[0], one.high]]);
    let level = time.map(|one| vec![[one.low.max(0.0), at[1]], [one.high, at[1]]]);
    let lines = upright.into_iter().chain(level).map(|points| Mark::Line { points, width: 1.0 });
    let text = format!("{} in {} s", said(metric, at[1]), fixed(at[0], 1));
    let dot = Mark::Dot { at, text, url: None };
    lines.chain([dot, Mark::Label { at, text: arm.activation.clone() }]).collect()
}
