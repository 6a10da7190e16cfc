//! Values that are one of several words.

use analysis::AllPairs;
use schemars::JsonSchema;
use serde::Deserialize;
use std::str::FromStr;

/// [`Jobs::Auto`], as users write it.
pub(crate) const AUTO: &str = "auto";

/// How every activation is compared with every other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Pairs {
    /// t tests of each pair with Holm's correction
    #[default]
    Holm,
    /// Tukey's test with seeds as blocks
    Tukey,
    /// Not at all
    None,
}

impl Pairs {
    /// As the analysis takes it.
    pub(crate) fn how(self) -> Option<AllPairs> {
        match self {
            Self::Holm => Some(AllPairs::Holm),
            Self::Tukey => Some(AllPairs::Tukey),
            Self::None => None,
        }
    }
}

/// [`Family`], for the schema.
#[derive(JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) enum FamilySchema {
    Report,
    Task,
}

/// How many runs train side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "toml::Value")]
pub(crate) enum Jobs {
    /// As many as processors and memory allow.
    Auto,
    /// So many.
    Number(usize),
}

impl Jobs {
    /// What the user has said, if anything.
    pub(crate) fn number(self) -> Option<usize> {
        match self {
            Self::Auto => None,
            Self::Number(number) => Some(number),
        }
    }
}

impl TryFrom<toml::Value> for Jobs {
    type Error = &'static str;

    fn try_from(value: toml::Value) -> Result<Self, Self::Error> {
        match value {
            toml::Value::String(word) if word == AUTO => Ok(Self::Auto),
            toml::Value::Integer(number) if number >= 1 => {
                usize::try_from(number).map(Self::Number).map_err(|_| "is too large")
            }
            _ => Err("must be `auto`, or a number of 1 or more"),
        }
    }
}

impl FromStr for Jobs {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = text.parse().map(toml::Value::Integer);
        Self::try_from(number.unwrap_or_else(|_| toml::Value::String(text.to_owned())))
    }
}

/// [`Jobs`], for the schema.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) enum JobsSchema {
    Number(usize),
    Word(JobsWord),
}

#[derive(JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) enum JobsWord {
    Auto,
}
