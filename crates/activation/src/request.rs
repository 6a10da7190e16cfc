use crate::{Parameters, SyntaxError, parameter::display};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;
use std::{fmt, str::FromStr};

/// An activation as a user asks for it: a name, and the hyper-parameters that differ from their
/// defaults. Nothing is checked yet; [`build`](crate::build) does.
///
/// Text (`leaky_relu(slope=0.2)`) and tables (`{ name = "silu", beta = 1.702 }`) mean the same.
#[derive(Debug, Clone, PartialEq)]
pub struct ActivationRequest {
    /// Name or alias; `-` counts as `_`, and case does not matter.
    pub name: String,
    /// Hyper-parameters, in the order given.
    pub parameters: Parameters,
}

impl FromStr for ActivationRequest {
    type Err = SyntaxError;

    fn from_str(text: &str) -> Result<Self, SyntaxError> {
        let error = |reason: &str| SyntaxError { text: text.to_owned(), reason: reason.to_owned() };
        let (name, list) = match text.trim().split_once('(') {
            None => (text.trim(), ""),
            Some((name, rest)) => {
                let list =
                    rest.strip_suffix(')').ok_or_else(|| error("`)` is missing at the end"))?;
                (name.trim(), list.trim())
            }
        };
        if name.is_empty() {
            return Err(error("the name is missing"));
        }
        if !name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')) {
            return Err(error("a name has letters, digits, `_` and `-` only"));
        }
        let mut parameters = Parameters::new();
        for pair in list.split(',').map(str::trim) {
            if pair.is_empty() && list.is_empty() {
                break;
            }
            let (key, value) = pair
                .split_once('=')
                .ok_or_else(|| error(&format!("`{pair}` is not of the form parameter=value")))?;
            let (key, value) = (key.trim(), unquoted(value.trim()));
            if key.is_empty() || value.is_empty() {
                return Err(error(&format!("`{pair}` is not of the form parameter=value")));
            }
            // Such a value would not be the same when it is printed and read again.
            if value.contains(['"', '\'']) || value.trim() != value {
                let reason = "has a quotation mark inside the value, or a blank at its end";
                return Err(error(&format!("`{pair}` {reason}")));
            }
            let value = match value.parse::<f64>() {
                Ok(number) if number.is_finite() => Value::from(number),
                _ => Value::from(value),
            };
            if parameters.insert(key.to_owned(), value).is_some() {
                return Err(error(&format!("`{key}` is given twice")));
            }
        }
        Ok(Self { name: name.to_owned(), parameters })
    }
}

/// `value` without the quotation marks around it.
fn unquoted(value: &str) -> &str {
    let inside = |mark: char| value.strip_prefix(mark)?.strip_suffix(mark);
    inside('"').or_else(|| inside('\'')).unwrap_or(value)
}

impl fmt::Display for ActivationRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if !self.parameters.is_empty() {
            let pairs: Vec<_> = self
                .parameters
                .iter()
                .map(|(key, value)| format!("{key}={}", display(value)))
                .collect();
            write!(f, "({})", pairs.join(","))?;
        }
        Ok(())
    }
}

impl Serialize for ActivationRequest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ActivationRequest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = ActivationRequest;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "an activation: \"name\", \"name(parameter=value)\" or { name = \"…\", parameter = value }",
                )
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut name = None;
                let mut parameters = Parameters::new();
                while let Some(key) = map.next_key::<String>()? {
                    if key == "name" {
                        name = Some(map.next_value::<String>()?);
                    } else {
                        parameters.insert(key, map.next_value()?);
                    }
                }
                let name = name.ok_or_else(|| de::Error::missing_field("name"))?;
                Ok(ActivationRequest { name, parameters })
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_table_mean_the_same() {
        let text: ActivationRequest = "silu( beta = 1.702 )".parse().unwrap();
        let table: ActivationRequest =
            serde_json::from_str(r#"{"name": "silu", "beta": 1.702}"#).unwrap();
        assert_eq!(text, table);
        assert_eq!(text.to_string(), "silu(beta=1.702)");
        let word: ActivationRequest = "gelu(approximate=\"tanh\")".parse().unwrap();
        assert_eq!(word.parameters["approximate"], "tanh");
        assert_eq!(word.to_string().parse(), Ok(word));
    }

    #[test]
    fn malformed_text_is_refused_with_a_reason() {
        for (text, reason) in [
            ("", "the name is missing"),
            ("(slope=1)", "the name is missing"),
            ("gelu(", "`)` is missing"),
            ("gelu)", "letters, digits"),
            ("gelu(tanh)", "not of the form"),
            ("gelu(a=)", "not of the form"),
            ("gelu(a=1,)", "not of the form"),
            ("gelu(a=1,a=2)", "given twice"),
            ("gelu(a=\"x)", "quotation mark"),
            ("gelu(a='x\")", "quotation mark"),
            ("gelu(a=' x')", "a blank"),
        ] {
            let error = text.parse::<ActivationRequest>().unwrap_err();
            assert!(error.reason.contains(reason), "{text}: {error}");
        }
    }
}
