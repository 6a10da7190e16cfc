//! What runs are judged by: metrics by name, and the primary one.

use crate::float;
use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;

/// Which values of a metric are better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Larger ones, as of an accuracy.
    Higher,
    /// Smaller ones, as of a loss.
    Lower,
}

/// A metric: what it is called, how it is shown, and what is better.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// Name in records and of trackers, as in `accuracy` or `bits_per_byte`.
    pub name: String,
    /// Name in sentences, as in "accuracy" or "bits per byte".
    pub label: String,
    /// Unit in which it is shown, as in `%` or `bits/byte`; empty where it has none.
    pub unit: String,
    /// A recorded value times this is what is shown: 100 for a fraction in percent.
    pub scale: f64,
    /// Digits after the point of what is shown, at most [`Metric::MOST_DIGITS`].
    #[serde(deserialize_with = "few_digits")]
    pub digits: usize,
    /// What is better.
    pub direction: Direction,
    /// Value of guessing: what a network scores that has learned nothing. NaN where that is unknown.
    #[serde(with = "float")]
    pub guessing: f64,
}

/// A number of digits that can be shown: a file may state any.
fn few_digits<'de, D: Deserializer<'de>>(source: D) -> Result<usize, D::Error> {
    let digits = u64::deserialize(source)?;
    Ok(usize::try_from(digits).unwrap_or(usize::MAX).min(Metric::MOST_DIGITS))
}

impl Metric {
    /// Most digits after the point: a double has no more.
    pub const MOST_DIGITS: usize = 17;

    /// The fraction of examples that were classified correctly, of so many classes.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "there are few classes")]
    pub fn accuracy(classes: Option<u64>) -> Self {
        Self {
            name: "accuracy".to_owned(),
            label: "accuracy".to_owned(),
            unit: "%".to_owned(),
            scale: 100.0,
            digits: 2,
            direction: Direction::Higher,
            guessing: classes.map_or(f64::NAN, |classes| 1.0 / classes.max(1) as f64),
        }
    }

    /// Whether `value` is better than `other`; NaN never is, and everything else is better than NaN.
    #[must_use]
    pub fn is_better(&self, value: f64, other: f64) -> bool {
        if value.is_nan() || other.is_nan() {
            return other.is_nan() && !value.is_nan();
        }
        match self.direction {
            Direction::Higher => value > other,
            Direction::Lower => value < other,
        }
    }

    /// Whether `value` is as good as `target`, or better.
    #[must_use]
    pub fn reaches(&self, value: f64, target: f64) -> bool {
        !value.is_nan() && !target.is_nan() && !self.is_better(target, value)
    }

    /// `value` as it is shown, with its unit and the metric's digits, as in `75.40 %`.
    #[must_use]
    pub fn shown(&self, value: f64) -> String {
        self.shown_with(value, self.digits)
    }

    /// `value` as it is shown, with its unit and so many digits.
    #[must_use]
    pub fn shown_with(&self, value: f64, digits: usize) -> String {
        let number = format!("{:.digits$}", self.scale * value);
        if self.unit.is_empty() { number } else { format!("{number} {}", self.unit) }
    }

    /// `value` as a number of which larger ones are better.
    #[must_use]
    pub fn merit(&self, value: f64) -> f64 {
        match self.direction {
            Direction::Higher => value,
            Direction::Lower => -value,
        }
    }
}

/// When a line of a stream was written: the one number beside metrics that is none.
const TIME: &str = "time";

/// Numbers that were measured, by the names of metrics. In JSON they stand among the fields of what holds them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metrics(BTreeMap<String, f64>);

impl Metrics {
    /// The value of the metric called `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<f64> {
        self.0.get(name).copied()
    }

    /// Sets the value of the metric called `name`.
    pub fn insert(&mut self, name: &str, value: f64) {
        self.0.insert(name.to_owned(), value);
    }

    /// Names and values, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, f64)> {
        self.0.iter().map(|(name, value)| (name.as_str(), *value))
    }
}

impl<N: Into<String>, const LENGTH: usize> From<[(N, f64); LENGTH]> for Metrics {
    fn from(values: [(N, f64); LENGTH]) -> Self {
        Self(values.into_iter().map(|(name, value)| (name.into(), value)).collect())
    }
}

impl Serialize for Metrics {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, &float::AsNumber(*value))?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Metrics {
    /// Takes every field that is a number; a later version may write others beside them.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = Metrics;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("numbers by name")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Metrics, M::Error> {
                let mut metrics = BTreeMap::new();
                while let Some(name) = map.next_key::<String>()? {
                    match map.next_value::<Field>()? {
                        Field::Number(float::AsNumber(value)) if name != TIME => {
                            metrics.insert(name, value);
                        }
                        Field::Number(_) | Field::Other(serde::de::IgnoredAny) => {}
                    }
                }
                Ok(Metrics(metrics))
            }
        }

        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Field {
            Number(float::AsNumber),
            Other(serde::de::IgnoredAny),
        }

        deserializer.deserialize_map(Fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_better_depends_on_the_direction_and_nan_is_worst() {
        let accuracy = Metric::accuracy(Some(4));
        assert_eq!(accuracy.guessing, 0.25);
        assert_eq!(accuracy.shown(0.754), "75.40 %");
        let loss = Metric { direction: Direction::Lower, ..accuracy.clone() };
        assert_eq!(Metric { unit: String::new(), scale: 1.0, ..loss.clone() }.shown(2.0), "2.00");
        assert!(accuracy.is_better(0.6, 0.5) && !accuracy.is_better(0.5, 0.5));
        assert!(loss.is_better(0.5, 0.6) && !loss.is_better(0.6, 0.5));
        for metric in [accuracy, loss] {
            assert!(metric.is_better(0.1, f64::NAN) && !metric.is_better(f64::NAN, 0.1));
            assert!(!metric.is_better(f64::NAN, f64::NAN));
            assert!(metric.reaches(0.5, 0.5) && !metric.reaches(f64::NAN, 0.5));
            assert_eq!(metric.reaches(0.6, 0.5), metric.direction == Direction::Higher);
            assert_eq!(metric.merit(0.6) > metric.merit(0.5), metric.is_better(0.6, 0.5));
        }
    }

    #[test]
    fn digits_have_an_end() {
        let metric = serde_json::to_value(Metric::accuracy(Some(10))).unwrap();
        let with = |digits: u64| {
            let mut metric = metric.clone();
            metric["digits"] = digits.into();
            serde_json::from_value::<Metric>(metric)
        };
        for digits in [17, 18, 70_000, 1 << 32] {
            assert_eq!(with(digits).unwrap().shown(0.5), "50.00000000000000000 %", "{digits}");
        }
    }
}
