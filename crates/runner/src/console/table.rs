//! Tables for a terminal.

use super::printable;
use std::io::IsTerminal;

/// Columns where neither a terminal nor the variable COLUMNS says how many there are.
const COLUMNS: usize = 80;

/// Columns that a cell keeps, however narrow the terminal is.
const NARROWEST: usize = 12;

/// Characters of a word that is not broken.
const LONGEST_WORD: usize = 30;

/// Blanks between columns.
const GAP: usize = 2;

/// A table with aligned columns.
pub(crate) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    lines(header, rows, &widths(header, rows))
}

/// A table with aligned columns that fits the terminal: cells of the columns `flexible` are wrapped.
pub(crate) fn fitted(header: &[&str], rows: &[Vec<String>], flexible: &[usize]) -> String {
    fitted_to(columns(), header, rows, flexible)
}

/// `value` behind `prefix`, in lines that fit the terminal; those behind the first are indented as it is.
pub(crate) fn hanging(prefix: &str, value: &str) -> String {
    let indent = prefix.chars().count();
    let lines = wrapped(value, columns().saturating_sub(indent).max(NARROWEST));
    let blank = " ".repeat(indent);
    let mut text = String::new();
    for (i, line) in lines.iter().enumerate() {
        text += if i == 0 { prefix } else { &blank };
        text += line;
        text.push('\n');
    }
    text
}

/// Columns of the terminal that standard output is, or those of the variable COLUMNS; else `plain`.
pub(crate) fn columns_or(plain: usize) -> usize {
    let terminal = std::io::stdout().is_terminal().then(terminal_size::terminal_size).flatten();
    let stated = || std::env::var("COLUMNS").ok()?.parse().ok().filter(|width| *width >= NARROWEST);
    terminal.map(|(width, _)| usize::from(width.0)).or_else(stated).unwrap_or(plain)
}

fn columns() -> usize {
    columns_or(COLUMNS)
}

/// The same with one line per row: cells of the columns `flexible` are cut.
pub(crate) fn cut(header: &[&str], rows: &[Vec<String>], flexible: &[usize]) -> String {
    let widths = narrowed(columns(), header, rows, flexible, &|_| NARROWEST);
    let short = |(cell, width): (&String, &usize)| {
        if cell.chars().count() <= *width {
            return cell.clone();
        }
        let kept: String = cell.chars().take(width.saturating_sub(1)).collect();
        kept.trim_end().to_owned() + "…"
    };
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().zip(&widths).map(short).collect()).collect();
    lines(header, &rows, &widths)
}

fn fitted_to(columns: usize, header: &[&str], rows: &[Vec<String>], flexible: &[usize]) -> String {
    // A word is not broken, unless it is very long.
    let least = |column: usize| {
        let cells = rows.iter().map(|row| row[column].as_str()).chain([header[column]]);
        let words = cells.flat_map(|cell| cell.split(' ')).map(|word| word.chars().count());
        words.max().unwrap_or(0).clamp(NARROWEST, LONGEST_WORD)
    };
    lines(header, rows, &narrowed(columns, header, rows, flexible, &least))
}

/// Widths of columns that fit so many columns of a terminal, as far as the flexible ones can be narrowed.
fn narrowed(
    columns: usize,
    header: &[&str],
    rows: &[Vec<String>],
    flexible: &[usize],
    least: &dyn Fn(usize) -> usize,
) -> Vec<usize> {
    let mut widths = widths(header, rows);
    let total = |widths: &[usize]| widths.iter().sum::<usize>() + GAP * (widths.len() - 1);
    while total(&widths) > columns {
        let wide = flexible.iter().filter(|column| widths[**column] > least(**column));
        let Some(widest) = wide.max_by_key(|column| widths[**column]) else { break };
        widths[*widest] -= 1;
    }
    widths
}

fn widths(header: &[&str], rows: &[Vec<String>]) -> Vec<usize> {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([header[column].chars().count()]).max().unwrap_or(0)
    };
    (0..header.len()).map(width).collect()
}

fn lines(header: &[&str], rows: &[Vec<String>], widths: &[usize]) -> String {
    let mut text = line(header.iter().copied(), widths);
    for row in rows {
        text += &line(row.iter().map(String::as_str), widths);
    }
    text
}

/// The lines of one row.
fn line<'a>(cells: impl Iterator<Item = &'a str>, widths: &[usize]) -> String {
    let cells: Vec<Vec<String>> =
        cells.zip(widths).map(|(cell, width)| wrapped(&printable(cell), *width)).collect();
    let height = cells.iter().map(Vec::len).max().unwrap_or(0);
    let mut text = String::new();
    for part in 0..height {
        let padded: Vec<String> = cells
            .iter()
            .zip(widths)
            .map(|(cell, width)| {
                let shown = cell.get(part).map_or("", String::as_str);
                format!("{shown}{}", " ".repeat(width - shown.chars().count()))
            })
            .collect();
        text += padded.join(&" ".repeat(GAP)).trim_end();
        text.push('\n');
    }
    text
}

/// `text` in lines of at most `width` characters, broken between words, or within one that is longer.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    if text.chars().count() <= width {
        return vec![text.to_owned()];
    }
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let mut rest: Vec<char> = word.chars().collect();
        let used = lines.last().map_or(0, |line| line.chars().count());
        let blank = usize::from(used > 0);
        if used + blank + rest.len() > width && used > 0 {
            lines.push(String::new());
        } else if let Some(line) = lines.last_mut().filter(|_| blank == 1) {
            line.push(' ');
        }
        while rest.len() > width {
            let more = rest.split_off(width);
            lines.last_mut().into_iter().for_each(|line| line.extend(&rest));
            lines.push(String::new());
            rest = more;
        }
        lines.last_mut().into_iter().for_each(|line| line.extend(&rest));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cells: &[&str]) -> Vec<String> {
        cells.iter().map(|cell| (*cell).to_owned()).collect()
    }

    #[test]
    fn columns_are_aligned() {
        let rows = [row(&["σ", "x"]), row(&["long", ""])];
        assert_eq!(table(&["a", "b"], &rows), "a     b\nσ     x\nlong\n");
    }

    #[test]
    fn cells_are_wrapped_where_the_terminal_is_narrow() {
        let rows = [row(&["name", "some words that are long", "3"]), row(&["other", "short", "4"])];
        let shown = fitted_to(25, &["a", "b", "c"], &rows, &[1]);
        assert_eq!(
            shown,
            "a      b                c\nname   some words that  3\n       are long\nother  short            4\n"
        );
        assert_eq!(fitted_to(100, &["a", "b", "c"], &rows, &[1]), table(&["a", "b", "c"], &rows));
        // What cannot be broken elsewhere is broken anywhere.
        assert_eq!(wrapped("a abcdefgh b", 4), ["a", "abcd", "efgh", "b"]);
    }

    #[test]
    fn cells_do_not_command_the_terminal() {
        assert!(!table(&["a"], &[row(&["\u{1b}]0;x"])]).contains('\u{1b}'));
    }
}
