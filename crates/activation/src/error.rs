use crate::{Domain, FormulaError};

/// Why an activation cannot be built from what was asked for.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum BuildError {
    /// No activation of that name is linked into the program.
    #[error("unknown activation `{name}`{}; {}", did_you_mean(nearest), listed(known))]
    UnknownName {
        /// What was asked for.
        name: String,
        /// Names that look like it.
        nearest: Vec<String>,
        /// Every name.
        known: Vec<String>,
    },
    /// The activation has no such hyper-parameter.
    #[error(
        "`{activation}` has no parameter `{parameter}`{}; {}",
        did_you_mean(nearest),
        if known.is_empty() { "it has none".to_owned() } else { format!("it has {}", known.join(", ")) }
    )]
    UnknownParameter {
        /// Name of the activation.
        activation: String,
        /// What was asked for.
        parameter: String,
        /// Names that look like it.
        nearest: Vec<String>,
        /// Every parameter.
        known: Vec<String>,
    },
    /// A word where a number belongs, or the reverse.
    #[error("`{parameter}` of `{activation}` must be {domain}, not {} {value}", type_of(value))]
    WrongType {
        /// Name of the activation.
        activation: String,
        /// Name of the parameter.
        parameter: String,
        /// What was given.
        value: serde_json::Value,
        /// What would be right.
        domain: Domain,
    },
    /// The right type, but not a value that the formula takes.
    #[error("`{parameter}` of `{activation}` is {value}, but must be {domain}")]
    OutOfRange {
        /// Name of the activation.
        activation: String,
        /// Name of the parameter.
        parameter: String,
        /// What was given.
        value: serde_json::Value,
        /// What would be right.
        domain: Domain,
    },
    /// A hyper-parameter that the name of a variant has settled already.
    #[error("`{variant}` is `{meaning}`: its `{parameter}` cannot be another")]
    Variant {
        /// The name that was asked for.
        variant: String,
        /// What it stands for.
        meaning: String,
        /// The parameter that is given otherwise.
        parameter: String,
    },
    /// What is said of learned numbers is wrong.
    #[error("`{key}` of `{activation}` is {value}, but must be {right}")]
    Learning {
        /// Name of the activation.
        activation: String,
        /// The key.
        key: &'static str,
        /// What was given.
        value: serde_json::Value,
        /// What would be right.
        right: String,
    },
    /// The text of a formula is wrong.
    #[error(transparent)]
    Formula(#[from] FormulaError),
    /// A formula has the name of a registered activation.
    #[error("`{0}` is a registered activation: give the formula another `name`")]
    TakenName(String),
    /// A key of a formula that is no parameter of it.
    #[error("the formula `{formula}` has no parameter `{parameter}`{}", did_you_mean(nearest))]
    NotInFormula {
        /// Its text.
        formula: String,
        /// The key.
        parameter: String,
        /// Names that look like it.
        nearest: Vec<String>,
    },
    /// A card that cannot be used.
    #[error("the card {file} of the activation `{name}` cannot be used: {reason}")]
    Card {
        /// Name of the activation.
        name: String,
        /// Its file.
        file: String,
        /// Why.
        reason: String,
    },
    /// The plugin's struct does not take the parameters that it declares.
    #[error("`{activation}` does not accept its own parameters: {reason}")]
    Plugin {
        /// Name of the activation.
        activation: String,
        /// What serde said.
        reason: String,
    },
}

/// Most names that a message lists.
const LISTED: usize = 12;

/// All names, if they are few.
fn listed(known: &[String]) -> String {
    if known.len() > LISTED {
        return format!("`actlab list` shows all {}", known.len());
    }
    format!("known are {}", known.join(", "))
}

/// A question that names what looks like a wrong name, in brackets; nothing where nothing does.
#[must_use]
pub fn did_you_mean(nearest: &[impl AsRef<str>]) -> String {
    let quoted: Vec<_> = nearest.iter().map(|name| format!("`{}`", name.as_ref())).collect();
    match quoted.as_slice() {
        [] => String::new(),
        [one] => format!(" (did you mean {one}?)"),
        [before @ .., last] => format!(" (did you mean {} or {last}?)", before.join(", ")),
    }
}

fn type_of(value: &serde_json::Value) -> &'static str {
    use serde_json::Value;
    match value {
        Value::Null => "null",
        Value::Bool(_) => "the boolean",
        Value::Number(_) => "the number",
        Value::String(_) => "the text",
        Value::Array(_) => "the list",
        Value::Object(_) => "the table",
    }
}

/// The candidates that look like `name`, best first.
#[must_use]
pub fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut scored: Vec<_> = candidates
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|(score, _)| *score > 0.8)
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    // A name may be that of a function and of an activation.
    scored.dedup();
    scored.into_iter().map(|(_, candidate)| candidate).take(3).collect()
}

/// Text that is neither of the form `name` or `name(parameter=value, …)`, nor a formula.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SyntaxError {
    /// It begins like a name with parameters.
    #[error(
        "cannot read activation `{text}`: {reason}; write `name`, `name(parameter=value, …)`, or a formula of x"
    )]
    Form {
        /// The whole text.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// It is a wrong formula.
    #[error(transparent)]
    Formula(#[from] FormulaError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_one_question() {
        for (names, question) in [
            (&[][..], ""),
            (&["tanh"], " (did you mean `tanh`?)"),
            (&["tanh", "tanhshrink"], " (did you mean `tanh` or `tanhshrink`?)"),
            (
                &["tanh", "tanhshrink", "tanhsoft_1"],
                " (did you mean `tanh`, `tanhshrink` or `tanhsoft_1`?)",
            ),
        ] {
            assert_eq!(did_you_mean(names), question);
        }
    }
}
