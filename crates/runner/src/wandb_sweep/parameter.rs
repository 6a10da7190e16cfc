//! Values that a parameter takes.

use super::{Refusal, refuse};
use crate::experiment::limits::{MOST, MOST_PARAMETERS, MOST_PARTS, MOST_WHOLE, grouped, within};
use crate::experiment::words;
use crate::tune::distinct;
use serde_json::{Map, Value, json};

/// Keys of a parameter.
const KEYS: [&str; 6] = ["value", "values", "min", "max", "distribution", "parameters"];

/// Keys of W&B's that belong to distributions which are not supported.
const OTHER_KEYS: [&str; 6] = ["probabilities", "q", "mu", "sigma", "a", "b"];

/// Distributions that are supported, each with its own keys.
const DISTRIBUTIONS: [&str; 6] =
    ["constant", "categorical", "int_uniform", "uniform", "log_uniform", "log_uniform_values"];

/// Values of an integer range that a grid tries at most.
const LONGEST_RANGE: i64 = 1000;

/// Values that a parameter takes.
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
    },
}

/// A parameter with its name, those in tables with a dot.
#[derive(Debug)]
pub(super) struct Parameter<'a> {
    pub(super) name: String,
    /// As the file has it.
    own: &'a Map<String, Value>,
    pub(super) range: Range,
    /// What a reader of the file may not expect.
    pub(super) note: Option<String>,
}

impl Parameter<'_> {
    /// Where in the file one of its values is.
    pub(super) fn key(&self, value: &Value) -> String {
        let list = self.own.get("values").and_then(Value::as_array);
        match list.and_then(|list| list.iter().position(|own| own == value)) {
            Some(place) => format!("parameters.{}.values[{place}]", self.name),
            None => format!("parameters.{}.value", self.name),
        }
    }
}

/// The parameters in `table`; one whose value is null is as if it were absent.
pub(super) fn parameters(table: &Map<String, Value>) -> Result<Vec<Parameter<'_>>, Refusal> {
    let mut all = Vec::new();
    walk("", 1, table, &mut all)?;
    within(all.len(), MOST_PARAMETERS, "parameters")
        .map_err(|message| ("parameters".to_owned(), message))?;
    Ok(all)
}

fn walk<'a>(
    prefix: &str,
    depth: usize,
    table: &'a Map<String, Value>,
    all: &mut Vec<Parameter<'a>>,
) -> Result<(), Refusal> {
    for (key, value) in table {
        let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        let place = format!("parameters.{name}");
        if depth > MOST_PARTS {
            return refuse(
                &place,
                format!("lies deeper than the {MOST_PARTS} levels that are supported"),
            );
        }
        let Value::Object(own) = value else {
            let message = format!("must be a table, as in {{value: {}}}", words::literal(value));
            return refuse(&place, message);
        };
        if let Some(inner) = own.get("parameters").filter(|inner| !inner.is_null()) {
            let Value::Object(inner) = inner else {
                return refuse(
                    &format!("{place}.parameters"),
                    format!("must be a table of parameters, not {}", words::shown(inner)),
                );
            };
            if let Some(other) = own.keys().find(|key| *key != "parameters") {
                return refuse(&place, format!("has `parameters` and `{other}`: keep one of them"));
            }
            walk(&name, depth + 1, inner, all)?;
            continue;
        }
        let found = Range::new(own).map_err(|message| (place, message))?;
        all.extend(found.map(|(range, note)| Parameter { name, own, range, note }));
    }
    Ok(())
}

impl Range {
    /// The values of a parameter, unless its value is null, and perhaps a note on them.
    fn new(table: &Map<String, Value>) -> Result<Option<(Self, Option<String>)>, String> {
        check_keys(table)?;
        if table.get("value").is_some_and(Value::is_null)
            && table.keys().all(|key| key == "value" || key == "distribution")
        {
            return Ok(None);
        }
        let of = |key: &str| table.get(key).filter(|value| !value.is_null());
        let distribution = match of("distribution") {
            None => None,
            Some(Value::String(name)) => Some(name.as_str()),
            Some(other) => {
                return Err(format!("`distribution` must be text, not {}", words::shown(other)));
            }
        };
        let given = match (of("value"), of("values"), of("min"), of("max")) {
            (Some(_), None, None, None) => "constant",
            (None, Some(_), None, None) => "categorical",
            (None, None, Some(min), Some(max)) if whole(min).and(whole(max)).is_some() => {
                "int_uniform"
            }
            (None, None, Some(_), Some(_)) => "uniform",
            _ => return Err("needs `value`, `values`, or `min` and `max`".to_owned()),
        };
        let distribution = distribution.unwrap_or(given);
        match (distribution, of("value"), of("values")) {
            ("constant", Some(value), None) => Ok(Some((Self::Values(vec![value.clone()]), None))),
            ("categorical", None, Some(values)) => Self::list(values).map(Some),
            ("int_uniform", None, None) => Ok(Some((Self::whole_numbers(table)?, None))),
            ("uniform" | "log_uniform_values", None, None) => {
                let log = distribution == "log_uniform_values";
                let (min, max) = (number(table, "min")?, number(table, "max")?);
                Ok(Some((Self::Between { min, max, log }, None)))
            }
            ("log_uniform", None, None) => {
                Self::exponents(number(table, "min")?, number(table, "max")?).map(Some)
            }
            _ => Err(format!(
                "the distribution {distribution} has other keys: constant takes `value`, categorical `values`, the others `min` and `max`"
            )),
        }
    }

    fn list(values: &Value) -> Result<(Self, Option<String>), String> {
        let Value::Array(values) = values else {
            return Err(format!("`values` must be a list, not {}", words::shown(values)));
        };
        if values.is_empty() {
            return Err("`values` must hold one value or more".to_owned());
        }
        within(values.len(), MOST, "values").map_err(|message| format!("`values` {message}"))?;
        let (kept, dropped) = distinct(values.iter().cloned());
        let note = match dropped {
            0 => None,
            1 => Some("one of the values is equal to an earlier one, and counts once".to_owned()),
            more => Some(format!("{more} of the values are equal to earlier ones, and count once")),
        };
        Ok((Self::Values(kept), note))
    }

    fn whole_numbers(table: &Map<String, Value>) -> Result<Self, String> {
        let end = |key: &str| {
            let value = table.get(key).unwrap_or(&Value::Null);
            let number = whole(value).or_else(|| integral(value)).ok_or_else(|| {
                format!("`{key}` must be a whole number, not {}", words::shown(value))
            })?;
            if number.unsigned_abs() > MOST_WHOLE.unsigned_abs() {
                return Err(format!(
                    "`{key}: {value}` is too large: whole numbers of a range must be from -{MOST_WHOLE} to {MOST_WHOLE}"
                ));
            }
            Ok(number)
        };
        let (min, max) = (end("min")?, end("max")?);
        if min > max {
            return Err(format!("`min`, {min}, must not be above `max`, {max}"));
        }
        Ok(Self::Whole { min, max })
    }

    /// The range whose ends are powers of e.
    fn exponents(low: f64, high: f64) -> Result<(Self, Option<String>), String> {
        let power = |key: &str, exponent: f64| {
            let (power, shown) = (libm::exp(exponent), words::number(exponent));
            if power.is_finite() && power > 0.0 {
                return Ok(power);
            }
            let size = if exponent > 0.0 { "large" } else { "small" };
            Err(format!(
                "`{key}: {shown}` is too {size}: the ends of log_uniform are exponents of e, and e^{shown} is no \
                 number; log_uniform_values takes the ends themselves"
            ))
        };
        let (min, max) = (power("min", low)?, power("max", high)?);
        if low >= high {
            return Err(format!(
                "`min: {}` must be below `max: {}`",
                words::number(low),
                words::number(high)
            ));
        }
        // Six digits, by way of text.
        let shown = |end: f64| words::number(format!("{end:.5e}").parse().unwrap_or(end));
        let note = format!(
            "the ends of log_uniform are exponents of e: values are from {} to {}; log_uniform_values \
             takes the ends themselves",
            shown(min),
            shown(max)
        );
        Ok((Self::Between { min, max, log: true }, Some(note)))
    }

    /// All values, where they are a list or whole numbers, of which there may be `most`.
    pub(super) fn all(self, most: usize) -> Result<Vec<Value>, String> {
        match self {
            Self::Values(values) => Ok(values),
            Self::Whole { min, max } => {
                let count = max.abs_diff(min).saturating_add(1);
                if count > most as u64 {
                    let (count, most) = (grouped(count), grouped(most));
                    return Err(format!(
                        "{min} to {max} are {count} values; at most {most} are supported"
                    ));
                }
                Ok((min..=max).map(Value::from).collect())
            }
            Self::Between { .. } => {
                Err("needs `values`, or whole numbers `min` and `max`".to_owned())
            }
        }
    }

    /// The range as `[tune.parameters]` has it, for a grid or another method.
    pub(super) fn table(self, grid: bool) -> Result<Value, String> {
        let scale = |log: bool| if log { "log" } else { "linear" };
        Ok(match self {
            Self::Values(values) => json!({ "values": values }),
            Self::Between { .. } if grid => {
                return Err("a grid needs `values`, or whole numbers `min` and `max`".to_owned());
            }
            whole @ Self::Whole { .. } if grid => {
                json!({ "values": whole.all(LONGEST_RANGE as usize)? })
            }
            Self::Whole { min, max } => {
                json!({ "min": min, "max": max, "scale": scale(false), "integer": true })
            }
            Self::Between { min, max, log } => {
                json!({ "min": min, "max": max, "scale": scale(log), "integer": false })
            }
        })
    }
}

fn check_keys(table: &Map<String, Value>) -> Result<(), String> {
    let supported = DISTRIBUTIONS.join(", ");
    if let Some(Value::String(name)) = table.get("distribution")
        && !DISTRIBUTIONS.contains(&name.as_str())
    {
        return Err(format!("the distribution {name} is not supported; supported are {supported}"));
    }
    for key in table.keys() {
        if OTHER_KEYS.contains(&key.as_str()) {
            return Err(format!(
                "`{key}` is not supported: it belongs to other distributions than {supported}"
            ));
        }
        if !KEYS.contains(&key.as_str()) {
            return Err(format!("unknown key `{key}`; there are {}", KEYS.join(", ")));
        }
    }
    Ok(())
}

fn whole(value: &Value) -> Option<i64> {
    // What is beyond i64 is whole too, and refused as too large.
    value.as_i64().or_else(|| value.is_u64().then_some(i64::MAX))
}

/// A number like 2.0, which is whole though it is not written so.
#[expect(clippy::cast_possible_truncation, reason = "what is beyond i64 is refused as too large")]
fn integral(value: &Value) -> Option<i64> {
    value.as_f64().filter(|number| number.fract() == 0.0).map(|number| number as i64)
}

fn number(table: &Map<String, Value>, key: &str) -> Result<f64, String> {
    let value = table.get(key).unwrap_or(&Value::Null);
    value
        .as_f64()
        .filter(|number| number.is_finite())
        .ok_or_else(|| format!("`{key}` must be a number, not {}", words::shown(value)))
}
