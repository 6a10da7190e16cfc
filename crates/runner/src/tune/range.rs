//! Values of one key: a list, or a range from which they are drawn.

use crate::experiment::limits::{MOST, MOST_WHOLE, within};
use crate::experiment::words::number;
use serde::Deserialize;
use serde_json::{Value, json};

/// Significant digits of numbers that are drawn.
const DIGITS: i32 = 4;

/// Values to try.
#[derive(Debug, Clone)]
pub(super) enum Range {
    Values(Vec<Value>),
    Between {
        min: f64,
        max: f64,
        log: bool,
    },
    /// Whole numbers, both ends included.
    Whole {
        min: i64,
        max: i64,
        log: bool,
    },
}

/// A range as users write it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
    values: Option<Vec<Value>>,
    min: Option<f64>,
    max: Option<f64>,
    scale: Option<Scale>,
    #[serde(default)]
    integer: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Scale {
    Linear,
    Log,
}

/// What stands for null in an experiment file, since TOML has none: the key is left out, so that its default holds.
const UNSET: &str = "unset";

/// `value` with `{ unset = true }` in the place of null, or the other way round.
pub(crate) fn unset(value: Value, to_null: bool) -> Value {
    match value {
        Value::Null if !to_null => json!({ UNSET: true }),
        Value::Object(table)
            if to_null && table.len() == 1 && table.get(UNSET) == Some(&json!(true)) =>
        {
            Value::Null
        }
        Value::Object(table) => Value::Object(
            table.into_iter().map(|(key, value)| (key, unset(value, to_null))).collect(),
        ),
        other => other,
    }
}

impl Range {
    pub(super) fn new(table: Table) -> Result<Self, String> {
        let Table { values, min, max, scale, integer } = table;
        match (values, min, max) {
            (Some(values), None, None) if scale.is_none() && !integer => {
                if values.is_empty() {
                    return Err("must hold one value or more".to_owned());
                }
                within(values.len(), MOST, "values")?;
                Ok(Self::Values(distinct(values.into_iter().map(|value| unset(value, true))).0))
            }
            (None, Some(min), Some(max)) => {
                Self::between(min, max, scale == Some(Scale::Log), integer)
            }
            _ => {
                Err("needs either `values`, or `min` and `max` (with `scale` and `integer`)"
                    .to_owned())
            }
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "compared before"
    )]
    fn between(min: f64, max: f64, log: bool, integer: bool) -> Result<Self, String> {
        let (least, most) = (number(min), number(max));
        let ordered = min < max || (integer && min == max);
        if !(ordered && min.is_finite() && max.is_finite()) {
            return Err(format!(
                "`min` must be below `max`, both finite; they are {least} and {most}"
            ));
        }
        if log && min <= 0.0 {
            return Err(format!("`min` must be above 0 on a logarithmic scale, not {least}"));
        }
        if !(max - min).is_finite() {
            return Err(format!("`min` and `max`, {least} and {most}, are too far apart"));
        }
        if !integer {
            return Ok(Self::Between { min, max, log });
        }
        let (low, high) = (min.ceil(), max.floor());
        if low > high {
            return Err(format!("there is no whole number from {least} to {most}"));
        }
        if low.abs().max(high.abs()) > MOST_WHOLE as f64 {
            return Err(format!("whole numbers must be from -{MOST_WHOLE} to {MOST_WHOLE}"));
        }
        Ok(Self::Whole { min: low as i64, max: high as i64, log })
    }

    pub(super) fn values(&self) -> &[Value] {
        match self {
            Self::Values(values) => values,
            Self::Between { .. } | Self::Whole { .. } => &[],
        }
    }

    /// Whether steps are better seen as factors: values fourfold or more apart.
    pub(super) fn is_logarithmic(&self) -> bool {
        match self {
            Self::Between { log, .. } | Self::Whole { log, .. } => *log,
            Self::Values(values) => {
                let numbers: Option<Vec<f64>> = values.iter().map(Value::as_f64).collect();
                let Some(numbers) = numbers else { return false };
                let least = numbers.iter().copied().fold(f64::INFINITY, f64::min);
                let most = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                least > 0.0 && most / least >= 4.0
            }
        }
    }

    /// The value at `u`, from 0 to 1.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "whole numbers are at most 2^53, and what is beyond the ends is cut"
    )]
    pub(super) fn at(&self, u: f64) -> Value {
        let between = |low: f64, high: f64, log: bool| {
            if log {
                let (low, high) = (libm::log(low), libm::log(high));
                libm::exp(low + u * (high - low))
            } else {
                low + u * (high - low)
            }
        };
        match *self {
            Self::Values(ref values) => {
                values[((u * values.len() as f64) as usize).min(values.len() - 1)].clone()
            }
            Self::Between { min, max, log } => {
                json!(rounded(between(min, max, log)).clamp(min, max))
            }
            // Each whole number has the same share of the range: it reaches half beyond the ends.
            Self::Whole { min, max, log } => {
                let value = if log {
                    between(min as f64 - 0.5, max as f64 + 0.5, true).round()
                } else {
                    min as f64 + (u * ((max - min) as f64 + 1.0)).floor()
                };
                json!((value as i64).clamp(min, max))
            }
        }
    }
}

/// The values, each once, and how many were left out. Numbers are equal if they are so as numbers: 1e-7 and 0.0000001,
/// 1 and 1.0.
pub(crate) fn distinct(values: impl Iterator<Item = Value>) -> (Vec<Value>, usize) {
    let mut seen = std::collections::HashSet::new();
    let (mut kept, mut dropped) = (Vec::new(), 0);
    for value in values {
        let key = match value.as_f64() {
            // 0 and -0 are one.
            Some(number) if value.is_f64() || number.abs() < MOST_EXACT => {
                format!("{}", number + 0.0)
            }
            _ => value.to_string(),
        };
        if seen.insert(key) {
            kept.push(value);
        } else {
            dropped += 1;
        }
    }
    (kept, dropped)
}

/// Whole numbers below it are exact in floating point.
#[expect(clippy::cast_precision_loss, reason = "a power of two")]
const MOST_EXACT: f64 = MOST_WHOLE as f64;

/// The number with a few significant digits.
fn rounded(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let digits = usize::try_from(DIGITS - 1).unwrap_or(0);
    // By way of text, so that 0.3 is 0.3.
    format!("{value:.digits$e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        assert_eq!(rounded(0.000_123_456), 0.000_123_5);
        assert_eq!(rounded(0.299_99), 0.3);
        assert_eq!(rounded(0.0), 0.0);
    }

    #[test]
    fn whole_numbers_have_equal_shares() {
        let range = Range::between(2.0, 4.0, false, true).unwrap();
        let of = |u| range.at(u).as_i64().unwrap();
        assert_eq!(
            [of(0.0), of(0.333), of(0.334), of(0.666), of(0.667), of(1.0)],
            [2, 2, 3, 3, 4, 4]
        );
        // ln 1.5, 2.5 and 3.5 from 0.5: the shares of 1, 2 and 3.
        let log = Range::between(1.0, 3.0, true, true).unwrap();
        let of = |u| log.at(u).as_i64().unwrap();
        let share = |x: f64| libm::log(x / 0.5) / libm::log(7.0);
        assert_eq!([of(0.0), of(share(1.49)), of(share(1.51)), of(share(2.49))], [1, 1, 2, 2]);
        assert_eq!([of(share(2.51)), of(1.0)], [3, 3]);
    }

    #[test]
    fn equal_values_count_once() {
        let values =
            vec![json!(1e-6), json!(0.000_000_1), json!(1e-7), json!(1), json!(1.0), json!("1")];
        let (kept, dropped) = distinct(values.into_iter());
        assert_eq!((kept.len(), dropped), (4, 2));
        let large = vec![json!(9_007_199_254_740_993_i64), json!(9_007_199_254_740_992_i64)];
        assert_eq!(distinct(large.into_iter()).1, 0);
    }

    #[test]
    fn null_has_a_form_in_toml() {
        let value = json!({ "name": "sgd", "momentum": null });
        let other = json!({ "name": "sgd", "momentum": { "unset": true } });
        assert_eq!(unset(value.clone(), false), other);
        assert_eq!(unset(other, true), value);
        assert_eq!(unset(Value::Null, false), json!({ "unset": true }));
    }
}
