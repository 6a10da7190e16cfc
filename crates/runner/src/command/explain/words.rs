//! Figures and sentences about one activation.

use crate::experiment::limits::grouped;
use activation::properties::{Bound, Features, Interval, Kink, Monotone, Pole};

/// Most places that a line lists.
const LISTED: usize = 6;

/// A number in about six digits.
pub(super) fn number(x: f64) -> String {
    if x.is_infinite() {
        return if x > 0.0 { "∞".to_owned() } else { "−∞".to_owned() };
    }
    let size = x.abs();
    if size != 0.0 && !(1e-4..1e6).contains(&size) {
        return minus(format!("{x:.4e}"));
    }
    let decimals = if size >= 100.0 { 2 } else { 5 };
    let text = format!("{x:.decimals$}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    minus(if text == "-0" { "0".to_owned() } else { text.to_owned() })
}

/// With four decimals, as in tables of moments.
pub(super) fn fixed(x: f64) -> String {
    if !x.is_finite() {
        return number(x);
    }
    let text = format!("{x:.4}");
    minus(if text == "-0.0000" { "0.0000".to_owned() } else { text })
}

fn minus(text: String) -> String {
    text.replace('-', "−")
}

pub(super) fn range(features: &Features) -> String {
    let Features { infimum, supremum, .. } = features;
    let open =
        |bound: &Bound, closed: char, open: char| if bound.at.is_some() { closed } else { open };
    format!(
        "{}{}, {}{}",
        open(infimum, '[', '('),
        number(infimum.value),
        number(supremum.value),
        open(supremum, ']', ')'),
    )
}

/// Whether it goes in one direction, and where it turns.
pub(super) fn monotone(features: &Features) -> String {
    match features.monotone {
        Monotone::No if features.turns.is_empty() => "no".to_owned(),
        Monotone::No => format!("no: turns at {}", places(&features.turns)),
        other => other.word().to_owned(),
    }
}

pub(super) fn lipschitz(features: &Features) -> String {
    let jumps = features.kinks.iter().any(|kink| kink.jump != 0.0);
    if !features.poles.is_empty() {
        return "none: the value has a pole".to_owned();
    }
    match features.lipschitz {
        slope if slope.is_infinite() && jumps => "none: the value jumps".to_owned(),
        slope if slope.is_infinite() => "none: the slope is unbounded".to_owned(),
        slope => number(slope),
    }
}

pub(super) fn places(places: &[f64]) -> String {
    let mut nearest: Vec<f64> = places.to_vec();
    nearest.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
    let more = if nearest.len() > LISTED { ", …" } else { "" };
    nearest.truncate(LISTED);
    nearest.sort_by(f64::total_cmp);
    let texts: Vec<String> = nearest.into_iter().map(number).collect();
    if texts.is_empty() { "none".to_owned() } else { texts.join(", ") + more }
}

/// Where a function is zero: over intervals, and at places alone.
pub(super) fn zeros(features: &Features) -> String {
    // Where the value jumps, the end of an interval need not be zero.
    let jumps = |at: f64| features.kinks.iter().any(|kink| kink.at == at && kink.jump != 0.0);
    let below = |at| if jumps(at) { "<" } else { "≤" };
    let above = |at| if jumps(at) { ">" } else { "≥" };
    let text = |one: &Interval| match (one.from.is_finite(), one.to.is_finite()) {
        (false, false) => "everywhere".to_owned(),
        (false, true) => format!("x {} {}", below(one.to), number(one.to)),
        (true, false) => format!("x {} {}", above(one.from), number(one.from)),
        (true, true) => format!("{} to {}", number(one.from), number(one.to)),
    };
    let mut texts: Vec<String> = features.dead.iter().take(LISTED).map(text).collect();
    if texts.is_empty() || !features.zeros.is_empty() {
        texts.push(places(&features.zeros));
    }
    texts.join(", ")
}

pub(super) fn intervals(intervals: &[Interval]) -> String {
    let text = |one: &Interval| match (one.from.is_finite(), one.to.is_finite()) {
        (false, false) => "everywhere".to_owned(),
        (false, true) => format!("x < {}", number(one.to)),
        (true, false) => format!("x > {}", number(one.from)),
        (true, true) => format!("{} to {}", number(one.from), number(one.to)),
    };
    let texts: Vec<String> = intervals.iter().take(LISTED).map(text).collect();
    let more = if intervals.len() > LISTED { ", …" } else { "" };
    if texts.is_empty() { "nowhere".to_owned() } else { texts.join(", ") + more }
}

pub(super) fn kinks(kinks: &[Kink]) -> String {
    let text = |kink: &Kink| {
        let jump = match kink.jump {
            0.0 => String::new(),
            jump => format!(", value jumps by {}", number(jump)),
        };
        format!(
            "{} (slope {} to {}{jump})",
            number(kink.at),
            number(kink.below),
            number(kink.above)
        )
    };
    let texts: Vec<String> = kinks.iter().take(LISTED).map(text).collect();
    let more = if kinks.len() > LISTED { ", …" } else { "" };
    if texts.is_empty() { "none".to_owned() } else { texts.join(", ") + more }
}

/// Where values grow without bound; nothing where they do not.
pub(super) fn poles(poles: &[Pole]) -> String {
    let text = |pole: &Pole| {
        let side = |limit: f64, side: &str| match limit.is_nan() {
            true => None,
            false => Some(format!("{} from {side}", number(limit))),
        };
        let sides = [side(pole.below, "below"), side(pole.above, "above")];
        let sides: Vec<String> = sides.into_iter().flatten().collect();
        format!("{} ({})", number(pole.at), sides.join(", "))
    };
    let texts: Vec<String> = poles.iter().take(LISTED).map(text).collect();
    texts.join(", ") + if poles.len() > LISTED { ", …" } else { "" }
}

/// Within which inputs places are looked for.
pub(super) fn searched(bound: f64) -> String {
    format!("within ±{}, for turns, zeros, poles and kinks", grouped(bound))
}

pub(super) fn limits(limits: [Option<f64>; 2]) -> String {
    let text = |limit: Option<f64>| limit.map_or_else(|| "none".to_owned(), number);
    format!("{} at −∞, {} at ∞", text(limits[0]), text(limits[1]))
}

/// `text` in lines of at most `width` characters, broken between words.
pub(super) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last().map_or(0, |line| line.chars().count());
        if line > 0 && line + 1 + word.chars().count() > width {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for (x, text) in [
            (0.0, "0"),
            (-0.0, "0"),
            (1.0, "1"),
            (-0.278_464_54, "−0.27846"),
            (1234.5, "1234.5"),
            (1e-7, "1.0000e−7"),
            (f64::NEG_INFINITY, "−∞"),
            (-1e-12, "−1.0000e−12"),
        ] {
            assert_eq!(number(x), text);
        }
        assert_eq!(fixed(-1e-12), "0.0000");
        assert_eq!(places(&[3.0, -2.0]), "−2, 3");
    }

    #[test]
    fn zeros_may_be_intervals() {
        let of = |f: &dyn Fn(f64) -> (f64, f64), changes: &[f64]| {
            zeros(&Features::of(f, changes, false))
        };
        assert_eq!(of(&|x| if x <= 0.0 { (0.0, 0.0) } else { (x, 1.0) }, &[0.0]), "x ≤ 0");
        assert_eq!(of(&|x| if x < 0.0 { (0.0, 0.0) } else { (1.0, 0.0) }, &[0.0]), "x < 0");
        let shrink = |x: f64| match x {
            x if x > 0.5 => (x - 0.5, 1.0),
            x if x < -0.5 => (x + 0.5, 1.0),
            _ => (0.0, 0.0),
        };
        assert_eq!(of(&shrink, &[-0.5, 0.5]), "−0.5 to 0.5");
        assert_eq!(of(&|x| (x - 1.0, 1.0), &[]), "1");
        assert_eq!(of(&|_| (1.0, 0.0), &[]), "none");
    }

    #[test]
    fn poles_have_their_sides() {
        let pole = |at, below, above| Pole { at, below, above };
        let (up, down) = (f64::INFINITY, f64::NEG_INFINITY);
        assert_eq!(poles(&[]), "");
        assert_eq!(poles(&[pole(0.0, f64::NAN, down)]), "0 (−∞ from above)");
        assert_eq!(poles(&[pole(2.0, down, up)]), "2 (−∞ from below, ∞ from above)");
        assert_eq!(searched(20.0), "within ±20, for turns, zeros, poles and kinks");
    }

    #[test]
    fn lines_are_broken_between_words() {
        assert_eq!(wrapped("a bb  ccc dddd", 6), ["a bb", "ccc", "dddd"]);
        assert_eq!(wrapped("", 6), [""]);
        assert_eq!(wrapped("longerthansix", 6), ["longerthansix"]);
    }
}
