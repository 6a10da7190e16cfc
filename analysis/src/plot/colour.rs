//! Colours that stay with an activation over all plots.

use serde::Serialize;

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
/// ground.
const COLOURS: [Colour; 8] = [
    colour("#000000", "#E6E6E6"),
    colour("#0072B2", "#56B4E9"),
    colour("#D55E00", "#FF8C42"),
    colour("#009E73", "#2FD6A3"),
    colour("#CC79A7", "#E79FC8"),
    colour("#B8860B", "#F0E442"),
    colour("#57B5EA", "#0A84D0"),
    colour("#7F7F7F", "#A6A6A6"),
];

/// Activations that have a colour of their own, in every report.
const KNOWN: [&str; 5] = ["relu", "leaky_relu", "gelu", "silu", "swiglu"];

/// The colours of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Palette {
    /// Labels that have no colour of their own, in alphabetical order.
    others: Vec<String>,
}

impl Palette {
    /// Colours for activations with these labels.
    pub(crate) fn new<'a>(labels: impl Iterator<Item = &'a str>) -> Self {
        let mut others: Vec<String> =
            labels.filter(|label| !KNOWN.contains(label)).map(str::to_owned).collect();
        others.sort();
        others.dedup();
        Self { others }
    }

    pub(crate) fn of(&self, label: &str) -> Colour {
        let place = KNOWN.iter().position(|known| *known == label).unwrap_or_else(|| {
            KNOWN.len() + self.others.iter().position(|known| known == label).unwrap_or(0)
        });
        COLOURS[place % COLOURS.len()]
    }

    /// Every colour that a plot may use.
    pub(super) fn all() -> impl Iterator<Item = Colour> {
        COLOURS.into_iter().chain([TEXT, GRID, GROUND])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn known_activations_keep_their_colours() {
        let palette = Palette::new(["relu", "mish", "elu", "gelu"].into_iter());
        assert_eq!(palette.of("gelu"), Palette::new(std::iter::empty()).of("gelu"));
        let all = ["relu", "leaky_relu", "gelu", "silu", "swiglu", "elu", "mish"];
        let colours: BTreeSet<_> = all.iter().map(|label| palette.of(label)).collect();
        assert_eq!(colours.len(), all.len());
    }

    #[test]
    fn a_light_colour_tells_its_dark_one() {
        let light: BTreeSet<_> = Palette::all().map(|colour| colour.light).collect();
        assert_eq!(light.len(), Palette::all().count());
    }
}
