//! What part of its data a plot of curves shows: one activation whose loss explodes must not flatten the others, and the
//! interval of three runs must not either.

use crate::plot::{Mark, Plot};
use crate::render::number::fixed;

/// How many times the height of the others a curve must have to leave the plot.
const RUNAWAY: f64 = 10.0;

/// By how much of the curves' height bands may widen a plot, on each side.
const BANDS: f64 = 0.5;

/// Room above and below, as a part of the height.
const ROOM: f64 = 0.06;

/// Narrows the height of a plot of curves to what can be read. A curve that leaves it ends there, with a word of how
/// high it goes.
pub(super) fn focus(plot: &mut Plot) {
    let heights: Vec<Option<[f64; 2]>> = plot.series.iter().map(|one| height(&one.marks)).collect();
    let mut known: Vec<[f64; 2]> = heights.iter().flatten().copied().collect();
    if known.is_empty() {
        return;
    }
    known.sort_by(|a, b| a[1].total_cmp(&b[1]));
    let low = known.iter().map(|[low, _]| *low).fold(f64::INFINITY, f64::min);
    let usual = known[(known.len() - 1) / 2][1] - low;
    let stays = |[_, high]: &[f64; 2]| usual <= 0.0 || high - low <= RUNAWAY * usual;
    let high = known.iter().filter(|one| stays(one)).map(|one| one[1]).fold(low, f64::max);
    let gone: Vec<usize> = (0..heights.len())
        .filter(|i| heights[*i].as_ref().is_some_and(|height| !stays(height)))
        .collect();
    let span = high - low;
    let (least, most) = bands(plot);
    // A share is at most 1, and neither it nor a loss is negative, whatever an interval says.
    let most_possible = if plot.y.unit.contains('%') { high.max(1.0) } else { f64::INFINITY };
    let possible = (low < 0.0 || least >= 0.0) && most <= most_possible;
    let narrow = least >= low - BANDS * span && most <= high + BANDS * span;
    if gone.is_empty() && narrow && possible {
        return;
    }
    if span <= 0.0 {
        return;
    }
    let bottom = if least.is_finite() { least.clamp(low - BANDS * span, low) } else { low };
    let top = if most.is_finite() { most.clamp(high, high + BANDS * span) } else { high };
    let room = ROOM * (top - bottom);
    let bottom = if low >= 0.0 { (bottom - room).max(0.0) } else { bottom - room };
    let top = (top + room).min(most_possible);
    plot.y = plot.y.clone().between(bottom, top);
    for (place, i) in gone.into_iter().enumerate() {
        // One below the other.
        let height = top - (place + 1) as f64 * ROOM * (top - bottom);
        let most = heights[i].map_or(f64::NAN, |[_, most]| most);
        let series = &mut plot.series[i];
        let name = series.label.clone().unwrap_or_default();
        leave(&mut series.marks, top, height, &format!("{name} ↑ {}", written(most)));
    }
}

/// Takes away what lies above `top`, and says `text` at the height `at` where the curve leaves the plot.
fn leave(marks: &mut Vec<Mark>, top: f64, at: f64, text: &str) {
    let points = marks.iter().flat_map(|mark| match mark {
        Mark::Curve { points, .. } => points.as_slice(),
        _ => &[],
    });
    let x = points.filter(|[_, y]| *y > top).map(|[x, _]| *x).reduce(f64::min);
    for mark in marks.iter_mut() {
        if let Mark::Curve { points, .. } = mark {
            points.retain(|[_, y]| *y <= top);
        }
    }
    marks.retain(|mark| match mark {
        Mark::Dot { at, .. } | Mark::Spot { at, .. } => at[1] <= top,
        Mark::Curve { points, .. } => !points.is_empty(),
        // A band of what has left says nothing.
        Mark::Band { .. } => false,
        _ => true,
    });
    marks.extend(x.map(|x| Mark::Label { at: [x, at], text: text.to_owned() }));
}

/// A value that may be huge.
fn written(value: f64) -> String {
    if value.abs() < 1e5 { fixed(value, 2) } else { format!("{value:.1e}") }
}

/// The least and the greatest value of the curves.
fn height(marks: &[Mark]) -> Option<[f64; 2]> {
    let points = marks.iter().flat_map(|mark| match mark {
        Mark::Curve { points, .. } => points.as_slice(),
        _ => &[],
    });
    let values: Vec<f64> = points.map(|[_, y]| *y).filter(|y| y.is_finite()).collect();
    let low = values.iter().copied().reduce(f64::min)?;
    Some([low, values.iter().copied().reduce(f64::max)?])
}

/// The least and the greatest value of the bands.
fn bands(plot: &Plot) -> (f64, f64) {
    let marks = plot.series.iter().flat_map(|series| &series.marks);
    let points = marks.flat_map(|mark| match mark {
        Mark::Band { points } => points.as_slice(),
        _ => &[],
    });
    points.fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), [_, low, high]| {
        (least.min(*low), most.max(*high))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::{Axis, Palette, Series};

    fn plot(curves: &[(&str, &[f64])], band: Option<[f64; 2]>) -> Plot {
        let palette = Palette::new(curves.iter().map(|(label, _)| *label));
        let series = |(label, values): &(&str, &[f64])| {
            let points = values.iter().enumerate().map(|(x, y)| [x as f64, *y]).collect();
            let mut series = Series::of(label, &palette);
            series.marks.push(Mark::Curve { points, width: 2.0 });
            let band = band.map(|[low, high]| Mark::Band { points: vec![[0.0, low, high]] });
            series.marks.extend(band);
            series
        };
        let mut plot = Plot {
            name: "t-loss".into(),
            title: String::new(),
            note: "Means.".into(),
            x: Axis::number("step"),
            y: Axis::number("loss"),
            series: curves.iter().map(series).collect(),
        };
        focus(&mut plot);
        plot
    }

    #[test]
    fn a_curve_that_explodes_leaves_the_plot_and_is_named() {
        let plot =
            plot(&[("relu", &[2.0, 1.0]), ("gelu", &[2.2, 1.1]), ("xielu", &[3.0, 1.3e10])], None);
        let [low, high] = plot.y.range.unwrap();
        assert!((0.9..1.0).contains(&low) && (2.2..2.4).contains(&high), "{low} {high}");
        let marks = &plot.series[2].marks;
        let [Mark::Label { at, text }] = &marks[..] else { panic!("{marks:?}") };
        assert_eq!(
            (at[0], text.as_str()),
            (0.0, "xielu ↑ 1.3e10"),
            "it is beyond from the first point on"
        );
        assert!(at[1] < high && plot.series[0].marks.len() == 1);
    }

    #[test]
    fn curves_of_one_size_are_shown_whole() {
        let plot = plot(&[("relu", &[2.0, 1.0]), ("gelu", &[9.0, 1.1])], None);
        assert_eq!((plot.y.range, plot.note.as_str()), (None, "Means."));
    }

    #[test]
    fn bands_do_not_flatten_curves() {
        let plot = plot(&[("relu", &[2.0, 1.0]), ("gelu", &[2.1, 1.1])], Some([-400.0, 400.0]));
        let [low, high] = plot.y.range.unwrap();
        assert!((0.3..0.5).contains(&low) && (2.6..2.8).contains(&high), "{low} {high}");
        assert_eq!(plot.note, "Means.");
    }

    #[test]
    fn an_interval_shows_no_loss_below_0() {
        let plot = plot(&[("relu", &[2.0, 0.1])], Some([-0.3, 2.1]));
        let [low, high] = plot.y.range.unwrap();
        assert!(low == 0.0 && (2.1..2.3).contains(&high), "{low} {high}");
    }
}
