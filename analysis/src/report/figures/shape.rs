//! What the activations look like.

use crate::plot::{Axis, Layout, Mark, Palette, Plot, Series};
use crate::render::number::fixed;

/// An activation as a function of one number: of a gated one the gate, its value held at 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Shape {
    /// Label of the activation.
    pub label: String,
    /// Input, output and derivative, in ascending order of the input.
    pub points: Vec<[f64; 3]>,
}

/// Inputs between which a shape is worth seeing.
const INPUTS: [i32; 2] = [-4, 4];
/// Samples on each side of 0 of a shape within bounds.
const SAMPLES: i32 = 200;
/// Samples from one whole number to the next.
const DENSITY: i32 = 40;

impl Shape {
    /// Samples f(x) and f′(x).
    pub fn of(label: String, f: impl Fn(f64) -> (f64, f64)) -> Self {
        let sample = |i| {
            let x = f64::from(i) / f64::from(DENSITY);
            let (y, slope) = f(x);
            [x, y, slope]
        };
        Self { label, points: (INPUTS[0] * DENSITY..=INPUTS[1] * DENSITY).map(sample).collect() }
    }

    /// Samples f(x) and f′(x) for inputs between minus and plus `bound`.
    pub fn within(label: String, bound: f64, f: impl Fn(f64) -> (f64, f64)) -> Self {
        let sample = |i| {
            let x = bound * f64::from(i) / f64::from(SAMPLES);
            let (y, slope) = f(x);
            [x, y, slope]
        };
        Self { label, points: (-SAMPLES..=SAMPLES).map(sample).collect() }
    }
}

/// A picture in two formats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// As SVG, in light or dark colours as the reader's screen has them.
    pub svg: String,
    /// As PNG, on a light ground.
    pub png: Vec<u8>,
}

/// Draws f(x) and, thinner, f′(x) of each activation into one picture.
///
/// # Errors
/// If a font or a number cannot be drawn.
pub fn draw_shapes(shapes: &[Shape]) -> Result<Picture, String> {
    let derivative = |label: &str| {
        let is_name = label.chars().all(|c| c.is_alphanumeric() || c == '_');
        if is_name { format!("{label}′") } else { format!("({label})′") }
    };
    let labels: Vec<String> =
        shapes.iter().flat_map(|one| [one.label.clone(), derivative(&one.label)]).collect();
    let palette = Palette::new(labels.iter().map(String::as_str));
    let line = |shape: &Shape, place: usize, label: &str, width: f64| {
        let points: Vec<[f64; 2]> =
            shape.points.iter().map(|point| [point[0], point[place]]).collect();
        let mut series = Series::of(label, &palette);
        series.marks.extend(curves(&points, width));
        series
    };
    let both = shapes.iter().zip(labels.chunks(2)).flat_map(|(shape, labels)| {
        [line(shape, 1, &labels[0], 2.5), line(shape, 2, &labels[1], 1.5)]
    });
    let names: Vec<&str> = shapes.iter().map(|one| one.label.as_str()).collect();
    let plot = Plot {
        name: "activations".to_owned(),
        title: format!("{} and derivative", names.join(", ")),
        note: String::new(),
        x: Axis::number("input x"),
        y: Axis::number("f(x), f′(x)"),
        series: both.collect(),
    };
    let layout = Layout::default();
    Ok(Picture { svg: plot.svg(&layout), png: plot.png(&layout)? })
}

/// f(x) and f′(x) of every activation.
pub(super) fn plots(shapes: &[Shape], palette: &Palette) -> Vec<Plot> {
    let plot = |name: &str, title: &str, y: &str, place: usize| Plot {
        name: format!("activations-{name}"),
        title: title.to_owned(),
        note: "Of a gated activation the gate, its value held at 1.".to_owned(),
        x: Axis::number("input x").between(INPUTS[0].into(), INPUTS[1].into()),
        y: Axis::number(y),
        series: shapes
            .iter()
            .enumerate()
            .map(|(i, shape)| series(shape, place, width(shape, &shapes[i + 1..], place), palette))
            .collect(),
    };
    let mut plots = vec![
        plot("shape", "Activations", "f(x)", 1),
        plot("slope", "Derivatives of the activations", "f′(x)", 2),
    ];
    plots.retain(|plot| !plot.is_empty());
    plots
}

/// The width of a curve that lies below those of `later` shapes: wider for each that would hide it, as the curve of SiLU is
/// below that of SwiGLU's gate.
fn width(shape: &Shape, later: &[Shape], place: usize) -> f64 {
    const OWN: f64 = 2.0;
    const STEP: f64 = 3.0;
    let same = |other: &&Shape| {
        let pairs = shape.points.iter().zip(&other.points);
        shape.points.len() == other.points.len()
            && pairs.into_iter().all(|(a, b)| (a[place] - b[place]).abs() < 1e-9)
    };
    OWN + STEP * later.iter().filter(same).count() as f64
}

fn series(shape: &Shape, place: usize, width: f64, palette: &Palette) -> Series {
    let mut series = Series::of(&shape.label, palette);
    let points: Vec<[f64; 2]> = shape.points.iter().map(|point| [point[0], point[place]]).collect();
    if points.len() > 1 {
        // Whole numbers tell their value.
        let told = points.iter().filter(|[x, _]| x.fract() == 0.0).map(|at| Mark::Spot {
            at: *at,
            text: format!("x = {}: {}", fixed(at[0], 0), fixed(at[1], 4)),
        });
        let told: Vec<Mark> = told.collect();
        series.marks.extend(curves(&points, width));
        series.marks.extend(told);
    }
    series
}

/// Steps between samples that a jump exceeds, as a multiple of the steps beside it.
const JUMP: f64 = 10.0;

/// Height below which a step is no jump, however flat the curve is beside it.
const LEAST_JUMP: f64 = 0.05;

/// A curve through samples, interrupted where the function jumps, as a derivative at a kink does.
fn curves(points: &[[f64; 2]], width: f64) -> Vec<Mark> {
    let step = |i: usize| match points.get(i..i + 2) {
        Some([a, b]) => (b[1] - a[1]).abs(),
        _ => 0.0,
    };
    // A sample may lie in the middle of a jump: the steps beside both of its sides count.
    let jumps = |i: usize| {
        let beside = [i.checked_sub(2), Some(i + 2)].into_iter().flatten().map(step);
        step(i) > LEAST_JUMP && step(i) > JUMP * beside.fold(0.0, f64::max)
    };
    let mut parts = vec![Vec::new()];
    for (i, at) in points.iter().enumerate() {
        parts.last_mut().into_iter().for_each(|part: &mut Vec<[f64; 2]>| part.push(*at));
        if jumps(i) {
            parts.push(Vec::new());
        }
    }
    parts.retain(|part| part.len() > 1);
    parts.into_iter().map(|points| Mark::Curve { points, width }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(slope: fn(f64) -> f64) -> usize {
        let shape = Shape::of("f".into(), |x| (0.0, slope(x)));
        let points: Vec<[f64; 2]> = shape.points.iter().map(|point| [point[0], point[2]]).collect();
        curves(&points, 1.0).len()
    }

    #[test]
    fn a_curve_that_would_be_hidden_is_wider() {
        let shape = |label: &str, f: fn(f64) -> f64| Shape::of(label.into(), |x| (f(x), 1.0));
        let shapes = [shape("silu", |x| x), shape("relu", |x| x.max(0.0)), shape("swiglu", |x| x)];
        let widths = |place| [0, 1, 2].map(|i| width(&shapes[i], &shapes[i + 1..], place));
        assert_eq!(widths(1), [5.0, 2.0, 2.0]);
        assert_eq!(widths(2), [8.0, 5.0, 2.0]);
    }

    #[test]
    fn derivatives_are_interrupted_at_kinks_alone() {
        assert_eq!(parts(|x| f64::from(x > 0.0)), 2);
        // Half way at the kink itself.
        assert_eq!(parts(|x| if x == 0.0 { 0.5 } else { f64::from(x > 0.0) }), 2);
        assert_eq!(parts(|x| f64::from(x.abs() < 1.5)), 3);
        assert_eq!(parts(|x| x), 1);
        assert_eq!(parts(|x| 1.0 / (1.0 + libm::exp(-20.0 * x))), 1);
        assert_eq!(parts(|_| 1.0), 1);
    }
}
