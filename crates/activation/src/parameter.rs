use indexmap::IndexMap;
use serde_json::Value;
use std::fmt;

/// Hyper-parameters by name, in the order in which the formula declares them.
pub type Parameters = IndexMap<String, Value>;

/// What is known of one hyper-parameter. Its default is the one of the formula's `Default`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Parameter {
    /// Name: the field's.
    pub name: &'static str,
    /// Values that it may take.
    pub domain: Domain,
    /// What it does, in a few words.
    pub help: &'static str,
}

/// Values that a hyper-parameter may take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Domain {
    /// A finite number from `min` to `max`, both included.
    Number {
        /// Smallest.
        min: f64,
        /// Largest.
        max: f64,
    },
    /// One of these words.
    Choice(&'static [&'static str]),
}

impl Parameter {
    /// A finite number from `min` to `max`.
    #[must_use]
    pub const fn number(name: &'static str, min: f64, max: f64, help: &'static str) -> Self {
        Self { name, domain: Domain::Number { min, max }, help }
    }

    /// One word of `words`.
    #[must_use]
    pub const fn choice(
        name: &'static str,
        words: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Self { name, domain: Domain::Choice(words), help }
    }
}

impl Domain {
    /// Whether `value` has the type that this domain asks for.
    pub(crate) fn has_type(&self, value: &Value) -> bool {
        match self {
            Self::Number { .. } => value.is_number(),
            Self::Choice(_) => value.is_string(),
        }
    }

    /// Whether `value` lies in this domain.
    pub(crate) fn contains(&self, value: &Value) -> bool {
        match self {
            Self::Number { min, max } => {
                value.as_f64().is_some_and(|number| (*min..=*max).contains(&number))
            }
            Self::Choice(words) => value.as_str().is_some_and(|word| words.contains(&word)),
        }
    }

    /// `value` in the form that equals the default's: 1 and 1.0 are one number.
    pub(crate) fn canonical(&self, value: &Value) -> Value {
        match self {
            Self::Number { .. } => value.as_f64().map_or_else(|| value.clone(), Value::from),
            Self::Choice(_) => value.clone(),
        }
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number { min, max } => write!(f, "a number from {min} to {max}"),
            Self::Choice(words) => {
                let quoted: Vec<_> = words.iter().map(|word| format!("\"{word}\"")).collect();
                write!(f, "one of {}", quoted.join(", "))
            }
        }
    }
}

/// A parameter's value as a user writes it in `name(parameter=value)`.
pub(crate) fn display(value: &Value) -> String {
    match value {
        Value::String(word) => word.clone(),
        Value::Number(number) => {
            number.as_f64().map_or_else(|| number.to_string(), |x| x.to_string())
        }
        other => other.to_string(),
    }
}
