//! Norms of gradients: by layer, and over time.

use super::depth::Places;
use super::task::{Group, TaskPlots, line, steps};
use super::{MOST_POINTS, thinned};
use crate::plot::{Axis, Mark, Plot};
use crate::render::number::grouped;
use crate::statistics::mean;
use std::collections::BTreeMap;

/// Both plots of a task.
pub(super) fn plots(of: &TaskPlots<'_>) -> [Plot; 2] {
    let layers = Places::layers(&of.groups);
    let plot = |kind, title, x, marks: &dyn Fn(&Group<'_>) -> Vec<Mark>| {
        let axes = [x, Axis::number("")];
        let series = of.draw(marks);
        let mut plot = Plot { series, ..of.plot(kind, title, "Geometric mean over seeds.", axes) };
        if let Some(axis) = axis(&plot) {
            plot.y = axis;
        }
        plot
    };
    [
        plot(
            "gradient",
            "gradient norm by layer, at the last evaluation",
            layers.axis("layer, from the input"),
            &|group| by_depth(group, &layers),
        ),
        plot("gradient-over-time", "gradient norm during training", steps(), &over_time),
    ]
}

/// The logarithmic axis of what a plot shows; nothing of nothing.
fn axis(plot: &Plot) -> Option<Axis> {
    let heights = plot.corners().into_iter().map(|[_, y]| y).filter(|y| y.is_finite());
    let heights: Vec<f64> = heights.collect();
    let low = heights.iter().copied().reduce(f64::min)?;
    let high = heights.iter().copied().reduce(f64::max)?;
    let room = ((high - low) * 0.06).max(0.05);
    let span = [low - room, high + room];
    let axis = Axis::logarithmic("gradient norm (logarithmic)", span);
    Some(axis.between(span[0], span[1]))
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

fn by_depth(group: &Group<'_>, places: &Places) -> Vec<Mark> {
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

fn over_time(group: &Group<'_>) -> Vec<Mark> {
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
