//! A report as a list of parts, in the order in which every form of it shows them: the terminal a few, Markdown and the
//! page all.

use super::advice::Next;
use crate::plot::Plot;
use crate::render::table::Table;
use crate::render::text::{escape, shorten, unescape, width, wrap};

/// A piece of a report. Words are escaped for Markdown.
#[derive(Debug, Clone)]
pub(super) enum Part<'a> {
    /// A heading of a level from 1 to 6.
    Heading(usize, String),
    /// A paragraph.
    Text(String),
    /// What to do next, with the command.
    Next(Next),
    /// A list.
    List(Vec<String>),
    /// A table that is continued below itself where it is too wide.
    Table(Table),
    /// A table that leaves out what does not fit.
    Fitted(Table),
    /// Plots, side by side where there is room.
    Plots(&'a [Plot]),
    /// Notes on marks in a table, in lines.
    Note(String),
    /// What a page shows on request, under its name.
    Folded(&'static str, Vec<Part<'a>>),
}

/// The parts as Markdown in lines of at most `columns`; pictures lie in the folder `plots`.
pub(super) fn markdown(parts: &[Part<'_>], columns: usize, plots: &str) -> Vec<String> {
    let one = |part: &Part<'_>| match part {
        Part::Heading(level, text) => {
            // A heading cannot be wrapped.
            format!("{} {}\n", "#".repeat(*level), shorten(text, columns - level - 1))
        }
        Part::Text(text) => wrap(text, "", columns),
        Part::Next(next) => {
            let text = wrap(&format!("Next: {}", next.text), "", columns);
            // A command is copied: it stays on one line.
            let command = next.command.as_ref().map(|command| format!("\n    {command}\n"));
            text + &command.unwrap_or_default()
        }
        Part::List(items) => bullets(items, columns),
        Part::Table(table) => table.render(columns),
        Part::Fitted(table) => table.fitted(columns).render(columns),
        Part::Plots(shown) => pictures(shown, columns, plots),
        Part::Note(text) => text.clone(),
        Part::Folded(name, parts) => {
            let heading = Part::Heading(3, (*name).to_owned());
            let all: Vec<Part<'_>> = [heading].into_iter().chain(parts.iter().cloned()).collect();
            markdown(&all, columns, plots).join("\n")
        }
    };
    parts.iter().map(one).filter(|text| !text.is_empty()).collect()
}

/// The parts for a terminal: Markdown whose names have no escapes and whose pictures are left out.
pub(super) fn terminal(parts: Vec<Part<'_>>, columns: usize) -> Vec<String> {
    // In a table, a bar in a name needs its escape.
    let cell = |text: &str| unescape(text).replace('|', "\\|");
    let plain = |part| match part {
        Part::Heading(level, text) => Part::Heading(level, unescape(&text)),
        Part::Text(text) => Part::Text(unescape(&text)),
        Part::Next(next) => Part::Next(Next { text: unescape(&next.text), ..next }),
        Part::List(items) => Part::List(items.iter().map(|item| unescape(item)).collect()),
        Part::Table(table) => Part::Table(table.map(cell)),
        Part::Fitted(table) => Part::Fitted(table.map(cell)),
        Part::Note(text) => Part::Note(unescape(&text)),
        Part::Plots(_) | Part::Folded(..) => Part::Plots(&[]),
    };
    let plain: Vec<Part<'_>> = parts.into_iter().map(plain).collect();
    markdown(&plain, columns, "")
}

/// A list in Markdown.
pub(super) fn bullets(items: &[String], columns: usize) -> String {
    items.iter().map(|item| wrap(item, "- ", columns)).collect()
}

/// Plots by relative path.
fn pictures(plots: &[Plot], columns: usize, folder: &str) -> String {
    let picture = |plot: &Plot| {
        let (title, path) = (escape(&plot.title), format!("{folder}/{}.svg)", plot.name));
        let line = format!("![{title}]({path}");
        // A path may have a line of its own.
        if width(&line) <= columns {
            format!("{line}\n")
        } else {
            wrap(&format!("![{title}]( {path}"), "", columns)
        }
    };
    plots.iter().map(picture).collect::<Vec<_>>().join("\n")
}
