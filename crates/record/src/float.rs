//! JSON has no NaN and no infinity, and a diverged run has both: they are written as strings.

use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

const NAN: &str = "nan";
const INFINITY: &str = "inf";
const NEGATIVE_INFINITY: &str = "-inf";

pub(crate) fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    if value.is_nan() {
        serializer.serialize_str(NAN)
    } else if *value == f64::INFINITY {
        serializer.serialize_str(INFINITY)
    } else if *value == f64::NEG_INFINITY {
        serializer.serialize_str(NEGATIVE_INFINITY)
    } else {
        serializer.serialize_f64(*value)
    }
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    deserializer.deserialize_any(Number)
}

/// A number in this form, for what is no field of a struct.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct AsNumber(#[serde(with = "crate::float")] pub(crate) f64);

/// Reads a number or one of the three names. (An untagged enum would first keep a copy of each of the millions of
/// numbers in a report.)
struct Number;

impl Visitor<'_> for Number {
    type Value = f64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a number, \"{NAN}\", \"{INFINITY}\" or \"{NEGATIVE_INFINITY}\"")
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<f64, E> {
        Ok(value)
    }

    #[expect(clippy::cast_precision_loss, reason = "as every reader of JSON takes whole numbers")]
    fn visit_u64<E: Error>(self, value: u64) -> Result<f64, E> {
        Ok(value as f64)
    }

    #[expect(clippy::cast_precision_loss, reason = "as every reader of JSON takes whole numbers")]
    fn visit_i64<E: Error>(self, value: i64) -> Result<f64, E> {
        Ok(value as f64)
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<f64, E> {
        match name {
            NAN => Ok(f64::NAN),
            INFINITY => Ok(f64::INFINITY),
            NEGATIVE_INFINITY => Ok(f64::NEG_INFINITY),
            _ => Err(E::invalid_value(Unexpected::Str(name), &self)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    #[derive(Serialize, Deserialize)]
    #[serde(transparent)]
    struct Wrapped(#[serde(with = "super")] f64);

    #[test]
    fn every_number_is_read_as_it_was_written() {
        for (value, json) in [
            (0.1, "0.1"),
            (2.0, "2.0"),
            (f64::NAN, "\"nan\""),
            (f64::INFINITY, "\"inf\""),
            (f64::NEG_INFINITY, "\"-inf\""),
        ] {
            assert_eq!(serde_json::to_string(&Wrapped(value)).unwrap(), json);
            let read: Wrapped = serde_json::from_str(json).unwrap();
            assert_eq!(read.0.to_bits(), value.to_bits());
        }
        let whole: Vec<Wrapped> = serde_json::from_str("[3, -4]").unwrap();
        assert_eq!((whole[0].0, whole[1].0), (3.0, -4.0));
        for other in ["null", "true", "[1]", "\"NaN\"", "\"1\""] {
            assert!(serde_json::from_str::<Wrapped>(other).is_err(), "{other}");
        }
    }
}
