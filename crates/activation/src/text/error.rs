//! What is wrong in the text of a formula, and where.

use std::fmt;
use std::ops::Range;

/// Why a text is no formula.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormulaError {
    /// The text.
    pub text: String,
    /// The bytes of the text that are meant.
    pub span: Range<usize>,
    /// What is wrong, and what would be right.
    pub reason: String,
}

impl std::error::Error for FormulaError {}

/// Characters shown on each side of what is meant.
const AROUND: usize = 60;

impl fmt::Display for FormulaError {
    /// The reason, the line, and carets below what is meant.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { text, span, reason } = self;
        let begin = text[..span.start].rfind('\n').map_or(0, |at| at + 1);
        let end = text[span.start..].find('\n').map_or(text.len(), |at| span.start + at);
        let before: Vec<char> = text[begin..span.start].chars().collect();
        let marked = text[span.start..span.end.min(end).max(span.start)].chars().count().max(1);
        let line: Vec<char> = text[begin..end].chars().collect();
        let first = before.len().saturating_sub(AROUND);
        let last = (before.len() + marked + AROUND).min(line.len());
        let shown = |c: &char| if c.is_control() { ' ' } else { *c };
        let line: String = line[first..last].iter().map(shown).collect();
        let dots = |cut: bool| if cut { "…" } else { "" };
        let left = dots(first > 0);
        let indent = before.len() - first + left.chars().count();
        writeln!(f, "{reason}")?;
        writeln!(
            f,
            "  {left}{line}{}",
            dots(begin + last < text[begin..end].chars().count() + begin)
        )?;
        write!(f, "  {}{}", " ".repeat(indent), "^".repeat(marked.min(AROUND)))
    }
}
