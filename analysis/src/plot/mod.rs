//! A plot as data: the page draws it with values to point at ([`crate::report`]), [`draw`] as SVG and PNG.

mod axis;
mod canvas;
mod colour;
mod draw;

pub(crate) use axis::{Axis, Format};
pub(crate) use colour::{Colour, Palette};

use serde::Serialize;

/// What a plot shows, in the coordinates of its data.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Plot {
    /// Name of its files, without an ending, as in `fashion_resnet8-curve`.
    pub(crate) name: String,
    /// What it shows, in words.
    pub(crate) title: String,
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    pub(crate) series: Vec<Series>,
}

/// What belongs to one activation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Series {
    /// Label of the activation; nothing for marks that belong to none.
    pub(crate) label: Option<String>,
    pub(crate) colour: Colour,
    pub(crate) marks: Vec<Mark>,
}

/// Something drawn.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "mark", rename_all = "snake_case")]
pub(crate) enum Mark {
    /// A line through points, `width` pixels wide.
    Line { points: Vec<[f64; 2]>, width: f64 },
    /// An area: x, its lower and its upper edge.
    Band { points: Vec<[f64; 3]> },
    /// A point that tells `text`, and leads to `url`.
    Dot {
        at: [f64; 2],
        text: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        url: Option<String>,
    },
    /// A rectangle between two corners that tells `text`.
    Box { from: [f64; 2], to: [f64; 2], opacity: f64, text: String },
}

impl Mark {
    /// Corners of the smallest rectangle that holds the mark's numbers.
    fn corners(&self) -> Vec<[f64; 2]> {
        match self {
            Self::Line { points, .. } => points.clone(),
            Self::Band { points } => {
                points.iter().flat_map(|[x, low, high]| [[*x, *low], [*x, *high]]).collect()
            }
            Self::Dot { at, .. } => vec![*at],
            Self::Box { from, to, .. } => vec![*from, *to],
        }
    }
}

impl Series {
    /// Nothing drawn yet, of an activation.
    pub(crate) fn of(label: &str, palette: &Palette) -> Self {
        Self { label: Some(label.to_owned()), colour: palette.of(label), marks: Vec::new() }
    }

    /// Nothing drawn yet, of no activation.
    pub(crate) fn neutral() -> Self {
        Self { label: None, colour: colour::TEXT, marks: Vec::new() }
    }
}

impl Plot {
    /// Whether anything is drawn.
    pub(crate) fn is_empty(&self) -> bool {
        self.series.iter().all(|series| series.marks.is_empty())
    }

    /// Corners of all marks.
    pub(crate) fn corners(&self) -> Vec<[f64; 2]> {
        self.series.iter().flat_map(|series| &series.marks).flat_map(Mark::corners).collect()
    }
}
