//! An axis: what it measures, and where its numbers stand.

use crate::metric::Shown;
use crate::render::number::{fixed, grouped};
use record::Metric;
use serde::Serialize;

/// What one direction of a plot measures.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Axis {
    /// Quantity and unit.
    pub(crate) label: String,
    pub(crate) format: Format,
    /// Numbers of the data times this are what the axis says.
    pub(crate) scale: f64,
    /// Unit behind the numbers.
    pub(crate) unit: String,
    /// Where there is something to read, and what, in place of round numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ticks: Option<Vec<(f64, String)>>,
    /// What the axis shows at least, in place of what the data leave.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) range: Option<[f64; 2]>,
}

/// How numbers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Format {
    /// In digits.
    Number,
    /// Not at all.
    Nothing,
}

impl Axis {
    pub(crate) fn number(label: &str) -> Self {
        Self {
            label: label.to_owned(),
            format: Format::Number,
            scale: 1.0,
            unit: String::new(),
            ticks: None,
            range: None,
        }
    }

    /// Shares as percentages.
    pub(crate) fn percent(label: &str) -> Self {
        Self { scale: 100.0, unit: "\u{a0}%".to_owned(), ..Self::number(label) }
    }

    /// Values of a metric; what they are, as in `test`, and more about them.
    pub(crate) fn metric(what: &str, metric: &Metric, more: &str) -> Self {
        if metric.is_share() {
            let label = format!("{what} {}{more}", metric.label);
            return Self { scale: metric.scale, ..Self::percent(&label) };
        }
        // A long unit stands once, beside the axis.
        let label = format!("{what} {}{more}", metric.named_with_unit());
        Self { scale: metric.scale, ..Self::number(&label) }
    }

    /// Rows or columns that have names, at 0, 1, 2 and so on.
    pub(crate) fn names(label: &str, names: impl Iterator<Item = String>) -> Self {
        let ticks: Vec<(f64, String)> =
            names.enumerate().map(|(place, name)| (place as f64, name)).collect();
        let range = [-0.5, ticks.len() as f64 - 0.5];
        Self {
            format: Format::Nothing,
            ticks: Some(ticks),
            range: Some(range),
            ..Self::number(label)
        }
    }

    /// Powers of ten, of data that are logarithms to base 10.
    pub(crate) fn logarithmic(label: &str, [low, high]: [f64; 2]) -> Self {
        let inside = |value: &f64| (low..=high).contains(&libm::log10(*value));
        let powers = |digits: &[u32]| -> Vec<f64> {
            (low.floor() as i32..=high.ceil() as i32)
                .flat_map(|power| {
                    digits
                        .iter()
                        .map(move |digit| f64::from(*digit) * libm::exp10(f64::from(power)))
                })
                .collect()
        };
        let choices: [&[u32]; 3] = [&[1], &[1, 2, 5], &[1, 2, 3, 4, 5, 6, 7, 8, 9]];
        let enough = |values: &Vec<f64>| values.iter().filter(|value| inside(value)).count() > 2;
        // Of a narrow range, round numbers of equal distance.
        let values = choices.into_iter().map(powers).find(enough).unwrap_or_else(|| {
            let span = [libm::exp10(low), libm::exp10(high)];
            Self::number("").ticks(span).into_iter().map(|(value, _)| value).collect()
        });
        let ticks = values
            .iter()
            .filter(|value| **value > 0.0)
            .map(|value| (libm::log10(*value), short(*value)))
            .collect();
        Self { ticks: Some(ticks), ..Self::number(label) }
    }

    pub(crate) fn between(self, low: f64, high: f64) -> Self {
        Self { range: Some([low, high]), ..self }
    }

    /// From where to where the axis goes to show `values`.
    pub(super) fn span(&self, values: impl Iterator<Item = f64> + Clone) -> [f64; 2] {
        if let Some(range) = self.range {
            return range;
        }
        let low = values.clone().fold(f64::INFINITY, f64::min);
        let high = values.fold(f64::NEG_INFINITY, f64::max);
        if low > high {
            return [0.0, 1.0];
        }
        let room = match (high - low) * 0.06 {
            room if room > 0.0 => room,
            _ if high != 0.0 => high.abs() * 0.05,
            _ => 0.05,
        };
        // Shares and times do not go below 0.
        let below = if low >= 0.0 { (low - room).max(0.0) } else { low - room };
        [below, high + room]
    }

    /// Where the numbers stand within a span, and what they say.
    pub(super) fn ticks(&self, [low, high]: [f64; 2]) -> Vec<(f64, String)> {
        if let Some(ticks) = &self.ticks {
            let shown = |(at, _): &&(f64, String)| low <= *at && *at <= high;
            return ticks.iter().filter(shown).cloned().collect();
        }
        let scale = self.scale;
        let (low, high) = (low * scale, high * scale);
        let rough = libm::exp10(libm::log10((high - low) / 4.0).floor());
        let step = [1.0, 2.0, 5.0, 10.0]
            .map(|factor| factor * rough)
            .into_iter()
            .find(|step| (high - low) / step <= 6.0)
            .unwrap_or(rough);
        let decimals = (-libm::log10(step).floor()).clamp(0.0, 12.0) as usize;
        let largest = low.abs().max(high.abs());
        let digits = libm::log10(largest / step).ceil().clamp(1.0, 12.0) as usize;
        let first = (low / step - 1e-9).ceil() as i64;
        let last = (high / step + 1e-9).floor() as i64;
        (first..=last)
            .map(|i| {
                let value = i as f64 * step;
                let text = if largest >= LARGE {
                    format!("{value:.digits$e}").replace('-', "−")
                } else if decimals == 0 && value >= 0.0 {
                    grouped(value.round() as u64)
                } else {
                    fixed(value, decimals)
                };
                (value / scale, format!("{text}{}", self.unit))
            })
            .collect()
    }
}

/// From here on numbers are written with an exponent.
const LARGE: f64 = 1e7;

/// A round number in as many digits as it has, as long as they are few.
fn short(value: f64) -> String {
    if !(1e-3..1e5).contains(&value) {
        return format!("{value:.0e}");
    }
    let exact = |decimals: &usize| {
        let shifted = value * libm::exp10(*decimals as f64);
        (shifted - shifted.round()).abs() < 1e-6 * shifted
    };
    fixed(value, (0..8).find(exact).unwrap_or(8))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(axis: &Axis, span: [f64; 2]) -> Vec<String> {
        axis.ticks(span).into_iter().map(|(_, text)| text.replace('\u{a0}', " ")).collect()
    }

    #[test]
    fn numbers_are_round_and_few() {
        assert_eq!(said(&Axis::number(""), [0.0, 1_407.0]), ["0", "500", "1 000"]);
        assert_eq!(said(&Axis::number(""), [-1.0, 1.0]), ["−1.0", "−0.5", "0.0", "0.5", "1.0"]);
        assert_eq!(
            said(&Axis::percent(""), [0.801, 0.829]),
            ["80.5 %", "81.0 %", "81.5 %", "82.0 %", "82.5 %"]
        );
    }

    #[test]
    fn large_numbers_have_an_exponent_and_differ() {
        assert_eq!(
            said(&Axis::number(""), [0.0, 2.1e31]),
            ["0.0e0", "5.0e30", "1.0e31", "1.5e31", "2.0e31"]
        );
        assert_eq!(said(&Axis::number(""), [-2e7, 2e7])[0], "−2.0e7");
        let near = said(&Axis::number(""), [1e7, 1.002e7]);
        assert_eq!(near[..2], ["1.0000e7", "1.0005e7"]);
    }

    #[test]
    fn logarithms_are_said_as_what_they_stand_for() {
        assert_eq!(
            said(&Axis::logarithmic("", [-2.0, 1.0]), [-2.0, 1.0]),
            ["0.01", "0.1", "1", "10"]
        );
        assert_eq!(said(&Axis::logarithmic("", [0.0, 0.7]), [0.0, 0.7]), ["1", "2", "5"]);
    }

    #[test]
    fn a_narrow_logarithmic_axis_has_numbers_too() {
        for (low, high) in [(0.55, 0.93), (0.11, 0.48), (0.61, 0.64), (3.0, 8.0), (1.0, 1.2)] {
            let span = [libm::log10(low), libm::log10(high)];
            let said = said(&Axis::logarithmic("", span), span);
            assert!((2..=10).contains(&said.len()), "{low} to {high}: {said:?}");
            let distinct: std::collections::BTreeSet<_> = said.iter().collect();
            assert_eq!(distinct.len(), said.len(), "{said:?}");
        }
    }

    #[test]
    fn a_span_leaves_room_and_no_share_is_negative() {
        let axis = Axis::percent("");
        assert_eq!(axis.span([0.0, 0.5].into_iter()), [0.0, 0.53]);
        assert_eq!(axis.span([0.0].into_iter()), [0.0, 0.05]);
        assert_eq!(axis.span(std::iter::empty()), [0.0, 1.0]);
    }
}
