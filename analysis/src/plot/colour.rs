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

/// Colours that are told apart by everybody (Okabe and Ito 2008), darkened or lightened to stand out on their
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

/// The colours of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Palette {
    colours: HashMap<String, Colour>,
}

impl Palette {
    /// Colours for activations with these labels, in the order of the experiment. Those without a colour of their own
    /// take the free ones in that order, then those of activations that are not there; of more than eight, some share
    /// one.
    pub(crate) fn new<'a>(labels: impl Iterator<Item = &'a str>) -> Self {
        let mut distinct: Vec<&str> = Vec::new();
        let mut seen = HashSet::new();
        distinct.extend(labels.filter(|label| seen.insert(*label)));
        let absent = |owner: &Option<&str>| owner.is_none_or(|owner| !seen.contains(owner));
        let free = COLOURS.iter().filter(|(_, owner)| owner.is_none());
        let unused = COLOURS.iter().filter(|(_, owner)| owner.is_some() && absent(owner));
        let taken = COLOURS.iter().filter(|(_, owner)| !absent(owner));
        let mut others = free.chain(unused).chain(taken).map(|(colour, _)| *colour).cycle();
        let own = |label: &str| {
            COLOURS.iter().find(|(_, owner)| *owner == Some(label)).map(|(colour, _)| *colour)
        };
        let colours = distinct
            .into_iter()
            .filter_map(|label| Some((label.to_owned(), own(label).or_else(|| others.next())?)));
        Self { colours: colours.collect() }
    }

    pub(crate) fn of(&self, label: &str) -> Colour {
        self.colours.get(label).copied().unwrap_or(TEXT)
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
            COLOURS.iter().position(|(colour, _)| *colour == own).unwrap()
        };
        let places = ["mish", "elu", "tanh", "x", "y", "z"].map(place);
        // Those of leaky_relu, gelu and swiglu, which are not there, come after the free ones.
        assert_eq!(places, [5, 6, 7, 1, 2, 4]);
        assert_eq!((place("relu"), place("silu")), (0, 3));
    }

    #[test]
    fn a_light_colour_tells_its_dark_one() {
        let light: BTreeSet<_> = Palette::all().map(|colour| colour.light).collect();
        assert_eq!(light.len(), Palette::all().count());
    }
}
