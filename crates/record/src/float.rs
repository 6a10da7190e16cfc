//! JSON has no NaN and no infinity, and a diverged run has both: they are written as strings.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Repr {
    Number(f64),
    Name(Name),
}

#[derive(Serialize, Deserialize)]
enum Name {
    #[serde(rename = "nan")]
    Nan,
    #[serde(rename = "inf")]
    Infinity,
    #[serde(rename = "-inf")]
    NegativeInfinity,
}

pub(crate) fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    let repr = if value.is_nan() {
        Repr::Name(Name::Nan)
    } else if *value == f64::INFINITY {
        Repr::Name(Name::Infinity)
    } else if *value == f64::NEG_INFINITY {
        Repr::Name(Name::NegativeInfinity)
    } else {
        Repr::Number(*value)
    };
    repr.serialize(serializer)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(match Repr::deserialize(deserializer)? {
        Repr::Number(value) => value,
        Repr::Name(Name::Nan) => f64::NAN,
        Repr::Name(Name::Infinity) => f64::INFINITY,
        Repr::Name(Name::NegativeInfinity) => f64::NEG_INFINITY,
    })
}
