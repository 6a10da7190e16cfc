//! Lines and columns of keys and values in the TOML file that they are from.

use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Line and column, counted from 1; a column is a character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

impl Position {
    /// The position of the byte `offset` of `text`.
    pub(crate) fn at(text: &str, offset: usize) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let begin = before.rfind('\n').map_or(0, |end| end + 1);
        let line = before.matches('\n').count() + 1;
        // A byte order mark is no column.
        let column = before[begin..].trim_start_matches('\u{feff}').chars().count() + 1;
        Self { line, column }
    }
}

/// Where `key` is in the TOML file `text`: its name, or the item of a list. Where the file lacks it, the innermost table
/// or list that it would be in; nothing where the file lacks that too.
pub(super) fn of_key(text: &str, key: &str) -> Option<Position> {
    let root = DeTable::parse(text).ok()?;
    let segments = segments(key);
    let mut here = Node::Table(root.get_ref());
    let mut found = None;
    let mut rest = &segments[..];
    while !rest.is_empty() {
        let Some((span, inner, count)) = step(here, rest) else { break };
        rest = &rest[count..];
        found = Some(span);
        match inner {
            DeValue::Table(table) => here = Node::Table(table),
            DeValue::Array(items) => here = Node::List(items),
            _ => break,
        }
    }
    found.map(|span| Position::at(text, span.start))
}

/// The parts of a key between dots and brackets.
pub(super) fn segments(key: &str) -> Vec<&str> {
    key.split(['.', '[']).map(|segment| segment.trim_end_matches(']')).collect()
}

#[derive(Clone, Copy)]
enum Node<'a> {
    Table(&'a DeTable<'a>),
    List(&'a [Spanned<DeValue<'a>>]),
}

/// The value in `here` that the first of `rest` lead to, where its key is, and how many segments that takes: a key
/// may have dots in it.
fn step<'a>(here: Node<'a>, rest: &[&str]) -> Option<(Range<usize>, &'a DeValue<'a>, usize)> {
    match here {
        Node::List(items) => {
            let item = items.get(rest[0].parse::<usize>().ok()?)?;
            Some((item.span(), item.get_ref(), 1))
        }
        Node::Table(table) => (1..=rest.len()).find_map(|count| {
            let wanted = rest[..count].join(".");
            let (key, value) = table.iter().find(|(key, _)| key.get_ref().as_ref() == wanted)?;
            Some((key.span(), value.get_ref(), count))
        }),
    }
}

/// What is wrong with the TOML of `file`, with the line.
pub(super) fn syntax(file: &str, text: &str, error: &toml::de::Error) -> String {
    let message = words(text, error);
    let Some(span) = error.span() else { return format!("{file}: {message}") };
    let position = Position::at(text, span.start.min(text.len()));
    let line = text.lines().nth(position.line - 1).unwrap_or_default();
    let shown: String = line.chars().take(LONGEST_LINE).collect();
    let number = position.line.to_string();
    let margin = " ".repeat(number.len());
    if position.column > LONGEST_LINE {
        return format!("{file}:{position}: {message}");
    }
    format!(
        "{file}:{position}: {message}\n{margin} |\n{number} | {shown}\n{margin} | {}^",
        " ".repeat(position.column - 1)
    )
}

/// What is wrong with TOML, in plain words.
fn words(text: &str, error: &toml::de::Error) -> String {
    let message = error.message().trim();
    let spanned = error.span().and_then(|span| text.get(span)).unwrap_or_default();
    let value = || {
        let line = error.span().and_then(|span| text.get(span.start..)).unwrap_or_default();
        line.lines().next().unwrap_or_default().trim()
    };
    if message.starts_with("duplicate key") {
        return format!("duplicate key `{}`", spanned.escape_debug());
    }
    if message.starts_with("invalid type: integer") {
        return format!("{spanned} is too large: at most {} is supported", i64::MAX);
    }
    if message.starts_with("string values must be quoted") {
        return match value() {
            "" => "a value is missing".to_owned(),
            _ => "text must be in quotation marks".to_owned(),
        };
    }
    message.to_owned()
}

/// Characters of a line that a message shows.
const LONGEST_LINE: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "name = \"é\"\nlist = [1,\n  { a = 2 }]\n[tasks.one.training]\nbudget.epochs = 3\n\
                        \"dotted.key\".x = 1\n[[overrides]]\nset = {}\n[[overrides]]\n  set = { model.depth = 9 }\n";

    #[test]
    fn keys_have_positions() {
        let at = |key: &str| of_key(FILE, key).map(|position| (position.line, position.column));
        assert_eq!(at("name"), Some((1, 1)));
        assert_eq!(at("list[0]"), Some((2, 9)));
        assert_eq!(at("list[1].a"), Some((3, 5)));
        assert_eq!(at("tasks.one.training.budget.epochs"), Some((5, 8)));
        assert_eq!(at("tasks.one.training"), Some((4, 12)));
        assert_eq!(at("tasks.one.training.dotted.key.x"), Some((6, 14)));
        assert_eq!(at("overrides[1].set.model.depth"), Some((10, 17)));
        assert_eq!(at("overrides[0].set"), Some((8, 1)));
        // What is missing is told of at the table that lacks it.
        assert_eq!(at("tasks.one.data"), Some((4, 8)));
        assert_eq!(at("seeds"), None);
        assert_eq!(at("list[7]"), Some((2, 1)));
    }

    #[test]
    fn syntax_errors_show_the_line() {
        let text = "a = 1\nb = [1\nc = 2\n";
        let error = toml::from_str::<toml::Table>(text).unwrap_err();
        let shown = syntax("x.toml", text, &error);
        assert!(shown.starts_with("x.toml:3:1: "), "{shown}");
        assert!(shown.ends_with("\n  |\n3 | c = 2\n  | ^"), "{shown}");
    }
}
