//! Errors of the YAML reader in plain words.

use crate::experiment::words::plain;
use serde_saphyr::Error;

/// Characters of a line that a message shows.
const SHOWN: usize = 60;

const TOO_LARGE: &str = "the file is too large, too deeply nested, or repeats too much by aliases";

/// Kinds of values by a part of what the reader calls them.
const KINDS: [(&str, &str); 3] =
    [("mapping start", "a table"), ("sequence start", "a list"), ("string scalar", "text")];

/// Where the file `text` is wrong, with that line, and what is wrong there: what follows the name of the file.
pub(super) fn words(error: &Error, text: &str) -> String {
    let message = message(error.without_snippet());
    let Some(location) = error.location().filter(|location| location.line() > 0) else {
        return format!(": {message}");
    };
    let number = usize::try_from(location.line()).unwrap_or(usize::MAX);
    let line = text.lines().nth(number - 1).unwrap_or_default().trim();
    let shown: String = line.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    let dots = if line.chars().count() > SHOWN { "…" } else { "" };
    let place = format!(":{number}:{}", location.column());
    if shown.is_empty() {
        format!("{place}: {message}")
    } else {
        format!("{place}: `{shown}{dots}`: {message}")
    }
}

fn message(error: &Error) -> String {
    match error {
        Error::AliasError { error, .. } => message(error.without_snippet()),
        Error::DuplicateMappingKey { key: Some(key), .. } => {
            format!("duplicate key `{key}`: keep one of them")
        }
        Error::DuplicateMappingKey { .. } => "duplicate key: keep one of them".to_owned(),
        Error::NonFiniteFloat { value, .. } => {
            format!("`{value}` is no finite number, which a value must be")
        }
        Error::MultipleDocuments { .. } => {
            "a second document begins here (`---`): one is supported".to_owned()
        }
        Error::Budget { .. }
        | Error::AliasReplayCounterOverflow { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => TOO_LARGE.to_owned(),
        Error::MergeKeyNotAllowed { .. } => "merge keys (`<<`) are not supported".to_owned(),
        Error::RecursiveReferencesRequireWeakTypes { .. } => {
            "an alias stands within its own anchor, which is not supported".to_owned()
        }
        Error::UnsupportedTag { tag, .. } => format!("the tag `{tag}` is not supported"),
        Error::InvalidUtf8Input => "is not UTF-8 text".to_owned(),
        Error::Eof { .. } => "the file ends where a value is missing".to_owned(),
        Error::Unexpected { expected, .. } => {
            let words = KINDS.iter().find(|(part, _)| expected.contains(part));
            words.map_or_else(
                || format!("expected {expected}"),
                |(_, words)| format!("must be {words}"),
            )
        }
        Error::NullIntoString { .. } => "must be text, not null".to_owned(),
        Error::InvalidScalar { ty: "u64", .. } => {
            format!("must be a whole number from 0 to {}", u64::MAX)
        }
        Error::InvalidScalar { ty, .. } => {
            let words = plain(&format!("invalid type: ?, expected {ty}"));
            words.strip_suffix(", not ?").unwrap_or(&words).to_owned()
        }
        Error::SerdeInvalidType { unexpected, expected, .. } => {
            plain(&format!("invalid type: {unexpected}, expected {expected}"))
        }
        Error::SerdeInvalidValue { unexpected, expected, .. } => {
            plain(&format!("invalid value: {unexpected}, expected {expected}"))
        }
        Error::SerdeUnknownField { field, expected, .. } => {
            format!("unknown key `{field}`; there are {}", expected.join(", "))
        }
        Error::SerdeMissingField { field, .. } => format!("missing key `{field}`"),
        other if other.to_string().contains("recursion limit") => TOO_LARGE.to_owned(),
        other => {
            let text = other.to_string();
            let text = text.strip_prefix("error: ").unwrap_or(&text);
            let position =
                |text: &str| text.starts_with("line ").then(|| text.find(": ")).flatten();
            let text = &text[position(text).map_or(0, |end| end + 2)..];
            text.split(" at line ").next().unwrap_or(text).to_owned()
        }
    }
}
