//! Seeds as an experiment may give them.

use super::limits::{MOST, grouped};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de::Error};

/// A number of seeds, or the seeds themselves.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) enum SeedsSchema {
    /// The seeds 1 to N.
    Number(#[schemars(range(min = 1))] u64),
    /// Each of these.
    List(Vec<u64>),
}

/// The seeds of a list, or those from 1 to a number.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<u64>, D::Error> {
    let value = toml::Value::deserialize(deserializer)?;
    let Some(number) = value.as_integer() else {
        return value.try_into().map_err(D::Error::custom);
    };
    match usize::try_from(number) {
        Ok(count) if (1..=MOST).contains(&count) => Ok((1..=count as u64).collect()),
        _ => Err(D::Error::custom(format!(
            "must be from 1 to {} seeds, or a list of seeds, not {number}",
            grouped(MOST)
        ))),
    }
}
