use indexmap::IndexMap;
use serde_json::Value;
use std::borrow::Cow;
use std::fmt;

/// Hyper-parameters by name, in the order in which the formula declares them.
pub type Parameters = IndexMap<String, Value>;

/// What is known of one hyper-parameter.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// Name.
    pub name: Cow<'static, str>,
    /// Values that it may take.
    pub domain: Domain,
    /// What it does, in a few words.
    pub help: Cow<'static, str>,
}

/// Values that a hyper-parameter may take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Domain {
    /// A finite number from `min` to `max`, both included: a constant, or where a learned number begins.
    Number {
        /// Where the user says nothing.
        default: f64,
        /// Smallest.
        min: f64,
        /// Largest.
        max: f64,
    },
    /// One of these words. The default is that of the formula's struct.
    Choice(&'static [&'static str]),
}

impl Parameter {
    /// A number: its default, and the least and the greatest that it may be.
    #[must_use]
    pub const fn number(
        name: &'static str,
        default: f64,
        [min, max]: [f64; 2],
        help: &'static str,
    ) -> Self {
        let domain = Domain::Number { default, min, max };
        Self { name: Cow::Borrowed(name), domain, help: Cow::Borrowed(help) }
    }

    /// One word of `words`, which is a field of the formula's struct.
    #[must_use]
    pub const fn choice(
        name: &'static str,
        words: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Self { name: Cow::Borrowed(name), domain: Domain::Choice(words), help: Cow::Borrowed(help) }
    }
}

impl Domain {
    /// Whether it is a number's.
    #[must_use]
    pub const fn is_number(&self) -> bool {
        matches!(self, Self::Number { .. })
    }

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
            Self::Number { min, max, .. } => value
                .as_f64()
                .is_some_and(|number| number.is_finite() && (*min..=*max).contains(&number)),
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
            Self::Number { min, max, .. } if min.is_infinite() && max.is_infinite() => {
                f.write_str("a finite number")
            }
            Self::Number { min, max, .. } => write!(f, "a number from {min} to {max}"),
            Self::Choice(words) => {
                let quoted: Vec<_> = words.iter().map(|word| format!("\"{word}\"")).collect();
                write!(f, "one of {}", quoted.join(", "))
            }
        }
    }
}

/// `value` as a user writes it.
pub(crate) fn display(value: &Value) -> String {
    match value {
        Value::String(word) => word.clone(),
        Value::Number(number) => {
            number.as_f64().map_or_else(|| number.to_string(), |x| x.to_string())
        }
        Value::Array(words) => {
            let words: Vec<String> = words.iter().map(display).collect();
            if words.is_empty() { "none".to_owned() } else { words.join("+") }
        }
        other => other.to_string(),
    }
}
