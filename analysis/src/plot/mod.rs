//! A plot as data: the page draws it with values to point at ([`crate::report`]), [`draw`] as SVG, PNG and PDF.

mod axis;
mod colour;
mod draw;
mod font;
mod pdf;
mod png;
mod scene;
mod svg;

pub(crate) use axis::{Axis, Format};
pub(crate) use colour::{Colour, DASHES, MARKERS, Palette, Style};
pub(crate) use draw::Layout;
pub(crate) use font::Font;

use serde::Serialize;

/// What a plot shows, in the coordinates of its data.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Plot {
    /// Name of its files, without an ending, as in `fashion_resnet8-curve`.
    pub(crate) name: String,
    /// Task and what is shown, in a few words.
    pub(crate) title: String,
    /// What the marks mean, for a caption; empty where the title says it.
    pub(crate) note: String,
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    pub(crate) series: Vec<Series>,
}

/// What belongs to one activation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Series {
    /// Label of the activation; nothing for marks that belong to none.
    pub(crate) label: Option<String>,
    #[serde(flatten)]
    pub(crate) style: Style,
    pub(crate) marks: Vec<Mark>,
}

/// Something drawn.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "mark", rename_all = "snake_case")]
pub(crate) enum Mark {
    /// A plain line through points, `width` pixels wide.
    Line { points: Vec<[f64; 2]>, width: f64 },
    /// A line through data, with the dashes of its activation.
    Curve { points: Vec<[f64; 2]>, width: f64 },
    /// A place without a marker that tells `text`.
    Spot { at: [f64; 2], text: String },
    /// An area: x, its lower and its upper edge.
    Band { points: Vec<[f64; 3]> },
    /// A point that tells `text`, and leads to `url`.
    Dot {
        at: [f64; 2],
        text: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        url: Option<String>,
    },
    /// Words to the right of a point, or to its left where the plot ends.
    Label { at: [f64; 2], text: String },
    /// A rectangle between two corners that tells `text`.
    Box { from: [f64; 2], to: [f64; 2], opacity: f64, text: String },
}

impl Mark {
    /// Corners of the smallest rectangle that holds the mark's numbers.
    fn corners(&self) -> Vec<[f64; 2]> {
        match self {
            Self::Line { points, .. } | Self::Curve { points, .. } => points.clone(),
            Self::Band { points } => {
                points.iter().flat_map(|[x, low, high]| [[*x, *low], [*x, *high]]).collect()
            }
            Self::Dot { at, .. } | Self::Spot { at, .. } | Self::Label { at, .. } => vec![*at],
            Self::Box { from, to, .. } => vec![*from, *to],
        }
    }
}

impl Series {
    /// Nothing drawn yet, of an activation.
    pub(crate) fn of(label: &str, palette: &Palette) -> Self {
        Self { label: Some(label.to_owned()), style: palette.of(label), marks: Vec::new() }
    }

    /// Nothing drawn yet, of no activation.
    pub(crate) fn neutral() -> Self {
        Self { label: None, style: Style::NEUTRAL, marks: Vec::new() }
    }
}

impl Plot {
    /// Whether anything is drawn.
    pub(crate) fn is_empty(&self) -> bool {
        self.series.iter().all(|series| series.marks.is_empty())
    }

    /// Whether every value along y is 0, so that there is nothing to see.
    pub(crate) fn is_zero(&self) -> bool {
        self.corners().iter().all(|[_, y]| *y == 0.0)
    }

    /// Corners of all marks.
    pub(crate) fn corners(&self) -> Vec<[f64; 2]> {
        self.series.iter().flat_map(|series| &series.marks).flat_map(Mark::corners).collect()
    }
}
