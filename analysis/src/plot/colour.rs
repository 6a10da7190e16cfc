//! Colours that stay with an activation over all plots.

use serde::Serialize;
use std::collections::{HashMap, HashSet};

/// A colour on light and on dark ground, as `#RRGGBB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Colour {
    pub(crate) light: &'static str,
    pub(crate) dark: &'static str,
}

const fn colour(light: &'static str, dark: &'static str) -> Colour {
    Colour { light, dark }
}

/// Of words and axes.
pub(super) const TEXT: Colour = colour("#1A1A1A", "#E5E5E5");
/// Of lines behind the data.
pub(super) const GRID: Colour = colour("#D0D0D0", "#4A4A4A");
/// Of the ground.
pub(super) const GROUND: Colour = colour("#FFFFFF", "#161616");

/// Colours for all kinds of colour vision (Okabe and Ito 2008), darkened or lightened to stand out on their
/// ground, and the activation that has each in every report, so that plots of different sweeps agree.
const COLOURS: [(Colour, Option<&str>); 8] = [
    (colour("#000000", "#E6E6E6"), Some("relu")),
    (colour("#0072B2", "#56B4E9"), Some("leaky_relu")),
    (colour("#D55E00", "#FF8C42"), Some("gelu")),
    (colour("#009E73", "#2FD6A3"), Some("silu")),
    (colour("#CC79A7", "#E79FC8"), Some("swiglu")),
    (colour("#B8860B", "#F0E442"), None),
    (colour("#57B5EA", "#0A84D0"), None),
    (colour("#7F7F7F", "#A6A6A6"), None),
];

impl Colour {
    /// Red, green and blue on light ground, from 0 to 1.
    pub(super) fn rgb(self) -> [f64; 3] {
        [1, 3, 5].map(|at| {
            let part =
                self.light.get(at..at + 2).and_then(|part| u8::from_str_radix(part, 16).ok());
            f64::from(part.unwrap_or(0)) / 255.0
        })
    }
}

/// How the marks of an activation look in every plot: by colour, and without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Style {
    pub(crate) colour: Colour,
    /// Which of the dashes its curves have.
    pub(crate) dash: usize,
    /// Which of the markers its points have.
    pub(crate) marker: usize,
}

impl Style {
    /// What belongs to no activation.
    pub(super) const NEUTRAL: Self = Self { colour: TEXT, dash: 0, marker: 0 };

    /// The style of a place: after the last colour they begin again, with other dashes and markers.
    fn at(place: usize) -> Self {
        Self {
            colour: COLOURS[place % COLOURS.len()].0,
            dash: (place + place / COLOURS.len()) % DASHES.len(),
            marker: place % MARKERS,
        }
    }
}

/// Lengths of the lines and gaps of a curve.
pub(crate) const DASHES: [&[f64]; 4] = [&[], &[7.0, 3.0], &[2.5, 2.5], &[8.0, 3.0, 2.0, 3.0]];

/// Kinds of markers.
pub(crate) const MARKERS: usize = 6;

/// The styles of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Palette {
    styles: HashMap<String, Style>,
}

impl Palette {
    /// Styles for activations with these labels, in the order of the experiment. Those without a colour of their own
    /// take the free ones in that order, then those of activations that are not there; of more than eight, some share
    /// a colour, with other dashes and markers.
    pub(crate) fn new<'a>(labels: impl Iterator<Item = &'a str>) -> Self {
        let mut distinct: Vec<&str> = Vec::new();
        let mut seen = HashSet::new();
        distinct.extend(labels.filter(|label| seen.insert(*label)));
        let places = || 0..COLOURS.len();
        let owner = |place: usize| COLOURS[place].1;
        let absent = |place: usize| owner(place).is_none_or(|owner| !seen.contains(owner));
        let free = places().filter(|place| owner(*place).is_none());
        let unused = places().filter(|place| owner(*place).is_some() && absent(*place));
        // What comes after the colours has all of them again.
        let mut others = free.chain(unused).chain(COLOURS.len()..);
        let own = |label: &str| places().find(|place| owner(*place) == Some(label));
        let style = |label: &str| own(label).or_else(|| others.next()).map(Style::at);
        let styles = distinct.into_iter().map({
            let mut style = style;
            move |label| (label.to_owned(), style(label).unwrap_or(Style::NEUTRAL))
        });
        Self { styles: styles.collect() }
    }

    pub(crate) fn of(&self, label: &str) -> Style {
        self.styles.get(label).copied().unwrap_or(Style::NEUTRAL)
    }

    /// Every colour that a plot may use.
    pub(super) fn all() -> impl Iterator<Item = Colour> {
        COLOURS.into_iter().map(|(colour, _)| colour).chain([TEXT, GRID, GROUND])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn some_activations_have_a_colour_of_their_own() {
        let palette = Palette::new(["relu", "mish", "elu", "gelu"].into_iter());
        assert_eq!(palette.of("gelu"), Palette::new(["gelu"].into_iter()).of("gelu"));
        let all = ["relu", "leaky_relu", "gelu", "silu", "swiglu", "elu", "mish", "tanh"];
        let palette = Palette::new(all.into_iter());
        let colours: BTreeSet<_> = all.iter().map(|label| palette.of(label)).collect();
        assert_eq!(colours.len(), all.len());
    }

    #[test]
    fn others_take_free_colours_in_their_order() {
        let others = ["mish", "elu", "tanh", "x", "y", "z", "mish"];
        let palette = Palette::new(others.into_iter().chain(["relu", "silu"]));
        let place = |label| {
            let own = palette.of(label);
            COLOURS.iter().position(|(colour, _)| *colour == own.colour).unwrap()
        };
        let places = ["mish", "elu", "tanh", "x", "y", "z"].map(place);
        // Those of leaky_relu, gelu and swiglu, which are not there, come after the free ones.
        assert_eq!(places, [5, 6, 7, 1, 2, 4]);
        assert_eq!((place("relu"), place("silu")), (0, 3));
    }

    #[test]
    fn many_activations_differ_without_colour_too() {
        let labels: Vec<String> = (0..20).map(|i| format!("a{i}")).collect();
        let palette = Palette::new(labels.iter().map(String::as_str).chain(["relu"]));
        let styles: BTreeSet<_> = labels.iter().map(|label| palette.of(label)).collect();
        assert_eq!(styles.len(), 20);
        assert!(!styles.contains(&palette.of("relu")));
        let grey: BTreeSet<_> = labels
            .iter()
            .take(12)
            .map(|label| palette.of(label))
            .map(|one| (one.dash, one.marker))
            .collect();
        assert_eq!(grey.len(), 12);
    }

    #[test]
    fn a_light_colour_tells_its_dark_one() {
        let light: BTreeSet<_> = Palette::all().map(|colour| colour.light).collect();
        assert_eq!(light.len(), Palette::all().count());
    }
}
