//! Errors of serde in the words of experiment files, without names of Rust types.

/// Characters of a value that a message shows.
const LONGEST: usize = 60;

/// What serde calls a type, and what a user calls it. A name ending in a blank is the beginning of others.
const TYPES: &[(&str, &str)] = &[
    ("usize", "a whole number of 0 or more"),
    ("u64", "a whole number of 0 or more"),
    ("u32", "a whole number of 0 or more"),
    ("i64", "a whole number"),
    ("f64", "a number"),
    ("a boolean", "true or false"),
    ("a string", "text"),
    ("string", "text"),
    ("path string", "a path, as text"),
    ("str", "text"),
    ("a sequence", "a list"),
    ("a map", "a table"),
    ("internally tagged enum ", "a table with a `name`"),
    ("enum ", "one of its words, as text"),
    ("string or map", "text or a table"),
    ("struct ", "a table"),
    ("any valid JSON value", "a value"),
    ("any valid TOML value", "a value"),
];

/// Kinds of values as serde names them before the value itself, and the words that take their place.
const VALUES: &[(&str, &str)] = &[
    ("string ", "the text "),
    ("integer ", ""),
    ("floating point ", ""),
    ("boolean ", ""),
    ("unit value", "null"),
    ("null", "null"),
    ("sequence", "a list"),
    ("map", "a table"),
    ("Option value", "null"),
];

/// The message of serde's in plain words; one that it does not know stays as it is.
pub(crate) fn plain(message: &str) -> String {
    let message = message.split("\nin `").next().unwrap_or(message).trim_end();
    // serde_json ends with a position in a text that no user has seen.
    let message = message.split(" at line ").next().unwrap_or(message);
    if let Some(words) = of_keys(message) {
        return words;
    }
    let Some((found, expected)) = message
        .strip_prefix("invalid type: ")
        .or_else(|| message.strip_prefix("invalid value: "))
        .and_then(|rest| rest.rsplit_once(", expected "))
    else {
        return message.to_owned();
    };
    format!("must be {}, not {}", type_words(expected), value_words(found))
}

/// What serde says of keys and words, which it calls fields and variants.
fn of_keys(message: &str) -> Option<String> {
    for (name, words) in [("missing", "missing key"), ("duplicate", "duplicate key")] {
        if let Some(key) = message.strip_prefix(&format!("{name} field ")) {
            return Some(format!("{words} {key}"));
        }
    }
    let (wrong, expected) = match message.strip_prefix("unknown field ") {
        Some(rest) => ("unknown key ", rest),
        None => ("unknown word ", message.strip_prefix("unknown variant ")?),
    };
    let (found, known) = expected.split_once(", ")?;
    let names: Vec<&str> = known.split('`').skip(1).step_by(2).collect();
    let found = found.trim_matches('`');
    let near = activation::did_you_mean(&activation::nearest(found, names.iter().copied()));
    Some(match names[..] {
        [] => format!("{wrong}`{found}`"),
        _ if near.is_empty() => format!("{wrong}`{found}`; known are {}", names.join(", ")),
        _ => format!("{wrong}`{found}`{near}"),
    })
}

fn type_words(expected: &str) -> &str {
    let known = TYPES
        .iter()
        .find(|(name, _)| *name == expected || (name.ends_with(' ') && expected.starts_with(name)));
    known.map_or(expected, |(_, words)| words)
}

fn value_words(found: &str) -> String {
    for (name, words) in VALUES {
        if let Some(rest) = found.strip_prefix(name) {
            let rest = rest.replace('`', "");
            let rest = rest.parse().map_or(rest, number);
            return cut(&format!("{words}{rest}"));
        }
    }
    cut(found)
}

/// The beginning of a text that may be long.
fn cut(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// A value as a message shows it.
pub(crate) fn shown(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => format!("the text \"{}\"", cut(text).escape_debug()),
        serde_json::Value::Number(one) if one.is_f64() => {
            one.as_f64().map_or_else(String::new, number)
        }
        serde_json::Value::Array(_) => "a list".to_owned(),
        serde_json::Value::Object(_) => "a table".to_owned(),
        other => other.to_string(),
    }
}

/// A number as people write it: one with many digits by its power of ten.
pub(crate) fn number(value: f64) -> String {
    let usual = value == 0.0 || !value.is_finite() || (1e-5..1e15).contains(&value.abs());
    if usual { value.to_string() } else { format!("{value:e}") }
}

/// A value as its file may have it.
pub(crate) fn literal(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => cut(text).escape_debug().to_string(),
        serde_json::Value::Array(_) => "[…]".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_of_rust_become_words() {
        let cases = [
            (
                "invalid type: string \"64\", expected usize",
                "must be a whole number of 0 or more, not the text \"64\"",
            ),
            (
                "invalid type: floating point `2.5`, expected u64\nin `a.b`",
                "must be a whole number of 0 or more, not 2.5",
            ),
            (
                "invalid value: integer `-2`, expected u64",
                "must be a whole number of 0 or more, not -2",
            ),
            ("invalid type: sequence, expected a string", "must be text, not a list"),
            (
                "invalid type: string \"a, expected b\", expected f64",
                "must be a number, not the text \"a, expected b\"",
            ),
            (
                "invalid type: string \"sgd\", expected internally tagged enum OptimizerSpec",
                "must be a table with a `name`, not the text \"sgd\"",
            ),
            (
                "invalid type: floating point `1000000000000000000000.0`, expected u64",
                "must be a whole number of 0 or more, not 1e21",
            ),
            ("missing field `seeds`", "missing key `seeds`"),
            (
                "unknown field `seed`, expected `seeds` or `name`",
                "unknown key `seed` (did you mean `seeds`?)",
            ),
            (
                "unknown variant `x`, expected one of `grid`, `random`",
                "unknown word `x`; known are grid, random",
            ),
            ("unknown field `a`, there are no fields", "unknown key `a`"),
        ];
        for (message, words) in cases {
            assert_eq!(plain(message), words);
        }
    }
}
