//! Numbers as the report prints them.

use crate::statistics::Interval;

/// A quantity that was not measured.
pub(crate) const ABSENT: &str = "—";

/// A fraction in percent with two decimals: `84.20`.
pub(crate) fn percent(fraction: f64) -> String {
    let hundredths = (fraction * 1e4).round() as i64;
    let sign = if hundredths < 0 { "−" } else { "" };
    let size = hundredths.unsigned_abs();
    format!("{sign}{}.{:02}", size / 100, size % 100)
}

/// A number with so many decimals, its integer part in groups of three digits; from a million on, with
/// an exponent.
pub(crate) fn fixed(value: f64, decimals: usize) -> String {
    if value.is_nan() {
        return "NaN".into();
    }
    let size = value.abs();
    let digits = if size.is_infinite() {
        "∞".into()
    } else if size >= 1e6 {
        format!("{size:.2e}")
    } else {
        let digits = format!("{size:.decimals$}");
        let (integer, fraction) = digits.split_at(digits.find('.').unwrap_or(digits.len()));
        format!("{}{fraction}", group(integer))
    };
    // A negative number that rounds to zero has no sign.
    let zero = digits.bytes().all(|byte| matches!(byte, b'0' | b'.'));
    if value < 0.0 && !zero { format!("−{digits}") } else { digits }
}

/// An integer in groups of three digits: `77 754`. The space does not break.
pub(crate) fn grouped(value: u64) -> String {
    group(&value.to_string())
}

/// A probability as it is quoted, with three decimals; with four where three would put it on the other side of 0.05.
pub(crate) fn probability(p: f64) -> String {
    if p < 0.001 {
        return "< 0.001".to_owned();
    }
    let text = format!("{p:.3}");
    match text.as_str() {
        "0.050" if p > 0.05 => format!("{:.4}", p.max(0.0501)),
        _ => text,
    }
}

/// As [`probability`], in a sentence.
pub(crate) fn equals(p: f64) -> String {
    let text = probability(p);
    if text.starts_with('<') { format!("p {text}") } else { format!("p = {text}") }
}

/// An interval in brackets; a dash where there is none.
pub(crate) fn bracket(interval: Option<Interval>, show: impl Fn(f64) -> String) -> String {
    interval.map_or(ABSENT.into(), |interval| {
        format!("[{}, {}]", show(interval.low), show(interval.high))
    })
}

pub(crate) fn group(digits: &str) -> String {
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push('\u{a0}');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_become_percent_with_two_decimals() {
        assert_eq!(percent(0.842), "84.20");
        assert_eq!(percent(1.0), "100.00");
        assert_eq!(percent(0.00004), "0.00");
        assert_eq!(percent(-0.0123), "−1.23");
    }

    #[test]
    fn fixed_numbers_keep_their_digits_and_lose_a_sign_of_nothing() {
        assert_eq!(fixed(-0.25, 3), "−0.250");
        assert_eq!(fixed(-0.0001, 3), "0.000");
        assert_eq!(fixed(12_345.6, 1), "12\u{a0}345.6");
        assert_eq!(fixed(1_234_567.0, 1), "1.23e6");
        assert_eq!(fixed(f64::NEG_INFINITY, 1), "−∞");
        assert_eq!(fixed(f64::NAN, 1), "NaN");
    }

    #[test]
    fn a_probability_never_rounds_to_the_other_side_of_the_level() {
        assert_eq!(probability(0.2092), "0.209");
        assert_eq!(probability(0.05), "0.050");
        assert_eq!(probability(0.0504), "0.0504");
        assert_eq!(probability(0.050_001), "0.0501");
        assert_eq!(probability(0.0006), "< 0.001");
        assert_eq!(equals(0.0006), "p < 0.001");
        assert_eq!(equals(1.0), "p = 1.000");
    }

    #[test]
    fn integers_are_grouped_by_three() {
        assert_eq!(grouped(7), "7");
        assert_eq!(grouped(754), "754");
        assert_eq!(grouped(77_754), "77\u{a0}754");
        assert_eq!(grouped(11_171_074), "11\u{a0}171\u{a0}074");
    }
}
