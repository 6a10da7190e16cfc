use crate::registry::FORMULA;
use crate::text::{GATE_AND_VALUE, X};
use crate::{Parameters, SyntaxError, TextFormula, parameter::display};
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

impl ActivationRequest {
    /// The text of its formula, if it is one.
    #[must_use]
    pub fn formula(&self) -> Option<&str> {
        self.parameters.get(FORMULA)?.as_str()
    }
}

/// Whether `text` is the name of an activation, with parameters or without; otherwise it is a formula.
fn is_name(text: &str) -> bool {
    let (name, list) = match text.split_once('(') {
        None => (text, None),
        Some((name, rest)) => (name.trim_end(), rest.strip_suffix(')')),
    };
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        || !name.chars().all(is_word)
    {
        return false;
    }
    if name.split('-').any(|word| word == X || GATE_AND_VALUE.contains(&word)) {
        return false;
    }
    !text.contains('(')
        || list.is_some_and(|list| {
            let key = list.split('=').next().unwrap_or_default().trim();
            let is_key = !key.is_empty() && key.chars().all(is_word) && list.contains('=');
            list.trim().is_empty() || is_key
        })
}

/// The pairs `parameter=value` of a list.
fn pairs(
    list: &str,
    error: &dyn Fn(&str) -> SyntaxError,
    parameters: &mut Parameters,
) -> Result<(), SyntaxError> {
    for pair in list.split(',').map(str::trim) {
        if pair.is_empty() && list.trim().is_empty() {
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
            return Err(error(&format!("duplicate parameter `{key}`")));
        }
    }
    Ok(())
}

/// What separates a formula from the values of its parameters.
const WHERE: &str = " where ";

/// A formula, and the values of its parameters: the word `where` is between them.
fn parts(text: &str) -> (&str, &str) {
    let is_blank = |c: Option<char>| c.is_some_and(char::is_whitespace);
    let mut words = text.match_indices(WHERE.trim()).filter(|(at, word)| {
        let behind = text[at + word.len()..].chars().next();
        is_blank(text[..*at].chars().next_back()) && is_blank(behind)
    });
    match words.next() {
        Some((at, word)) => (text[..at].trim(), text[at + word.len()..].trim()),
        None => (text, ""),
    }
}

const WRONG_NAME: &str =
    "the name of a formula must have letters, digits and `_` only, and begin with a letter";

/// Whether a formula may be called so.
fn may_name(name: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(is_word)
}

impl FromStr for ActivationRequest {
    type Err = SyntaxError;

    /// Reads `name`, `name(parameter=value, …)`, or a formula: `x * sigmoid(b * x) where b=1.5`, which may begin with a
    /// name of its own, `mine: …`.
    fn from_str(text: &str) -> Result<Self, SyntaxError> {
        let error =
            |reason: &str| SyntaxError::Form { text: text.to_owned(), reason: reason.to_owned() };
        let whole = text.trim();
        if whole.is_empty() {
            return Err(error("the name is missing"));
        }
        let mut parameters = Parameters::new();
        if is_name(whole) {
            let (name, list) = whole.split_once('(').unwrap_or((whole, ""));
            pairs(list.strip_suffix(')').unwrap_or_default(), &error, &mut parameters)?;
            return Ok(Self { name: name.trim().to_owned(), parameters });
        }
        let (name, rest) = match whole.split_once(':') {
            None => (FORMULA, whole),
            Some((name, rest)) => (name.trim(), rest.trim()),
        };
        if !may_name(name) {
            return Err(error(WRONG_NAME));
        }
        if let Some(before) = rest.strip_suffix(WHERE.trim())
            && before.ends_with(char::is_whitespace)
        {
            return Err(error("no value follows `where`, as in `where b=2`"));
        }
        let (formula, list) = parts(rest);
        TextFormula::parse(formula.trim())?;
        parameters.insert(FORMULA.to_owned(), formula.trim().into());
        pairs(list, &error, &mut parameters)?;
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
        let pair = |(key, value): (&String, &Value)| format!("{key}={}", display(value));
        let pairs: Vec<_> =
            self.parameters.iter().filter(|(key, _)| *key != FORMULA).map(pair).collect();
        match self.formula() {
            Some(formula) => {
                if self.name != FORMULA {
                    write!(f, "{}: ", self.name)?;
                }
                f.write_str(formula)?;
                if pairs.is_empty() { Ok(()) } else { write!(f, "{WHERE}{}", pairs.join(", ")) }
            }
            None if pairs.is_empty() => f.write_str(&self.name),
            None => write!(f, "{}({})", self.name, pairs.join(",")),
        }
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
                    "an activation: \"name\", \"name(parameter=value)\", { name = \"…\", parameter = value }, or a formula of x",
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
                let is_formula = parameters.contains_key(FORMULA);
                let name = name.or_else(|| is_formula.then(|| FORMULA.to_owned()));
                let name = name.ok_or_else(|| de::Error::missing_field("name"))?;
                if is_formula && !may_name(&name) {
                    return Err(de::Error::custom(WRONG_NAME));
                }
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
    fn what_is_no_name_is_a_formula() {
        for text in [
            "x",
            "x * sigmoid(1.702 * x)",
            "-x",
            "x-1",
            "relu(x)",
            "max(x, 0)^2",
            "silu(gate) * value",
            "if x <= 0 then exp_m1(x) else x",
            "x * sigmoid(b * x) where b=1.5, learn=b",
            "mine: x * tanh(x)",
        ] {
            let request: ActivationRequest = text.parse().unwrap();
            assert!(request.formula().is_some(), "{text}");
            assert_eq!(request.to_string(), text);
        }
        for text in ["gelu", "leaky-relu", "leaky_relu(slope=0.2)", "silu(learn=beta,per=channel)"]
        {
            let request: ActivationRequest = text.parse().unwrap();
            assert_eq!(request.formula(), None, "{text}");
            assert_eq!(request.to_string(), text);
        }
        let table = r#"{"formula": "x * sigmoid(b * x)", "b": 1.5, "learn": ["b"]}"#;
        let table: ActivationRequest = serde_json::from_str(table).unwrap();
        assert_eq!(table.to_string(), "x * sigmoid(b * x) where b=1.5, learn=b");
    }

    #[test]
    fn malformed_text_is_refused_with_a_reason() {
        for (text, reason) in [
            ("", "the name is missing"),
            ("gelu(a=)", "not of the form"),
            ("gelu(a=1,)", "not of the form"),
            ("gelu(a=1,a=2)", "duplicate parameter `a`"),
            ("gelu(a=\"x)", "quotation mark"),
            ("gelu(a='x\")", "quotation mark"),
            ("gelu(a=' x')", "a blank"),
            ("my name: x", "the name of a formula"),
            ("x * b where b", "not of the form"),
            ("x * b where", "no value follows `where`, as in `where b=2`"),
            ("x * b where ", "no value follows `where`, as in `where b=2`"),
            ("x()", "`x` is no function"),
            ("x(a=1)", "`x` is no function"),
            ("gate(value)", "`gate` is no function"),
        ] {
            let error = text.parse::<ActivationRequest>().unwrap_err();
            assert!(error.to_string().contains(reason), "{text}: {error}");
        }
    }
}
