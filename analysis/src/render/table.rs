//! Markdown tables that are read raw as well.

use super::html::{escape, inline};
use super::text::width;

/// On which side a column's cells line up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Align {
    Left,
    Right,
}

/// Width of a column whose cells are narrower: its rule takes that.
const LEAST_WIDTH: usize = 3;

/// One column: a header and a cell a row, all of them escaped.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    cells: Vec<String>,
    align: Align,
    /// Columns of the terminal that the widest cell takes, or more.
    width: usize,
    /// How soon the column is left out where a table is too wide; 0 is never.
    drop: u8,
}

impl Column {
    /// A column of words.
    pub(crate) fn words(header: &str, cells: Vec<String>) -> Self {
        Self::new(header, cells, Align::Left)
    }

    /// A column of numbers.
    pub(crate) fn numbers(header: &str, cells: Vec<String>) -> Self {
        Self::new(header, cells, Align::Right)
    }

    fn new(header: &str, cells: Vec<String>, align: Align) -> Self {
        let cells = std::iter::once(header.to_owned()).chain(cells);
        // A no-break space does its work in running text; in a cell nothing breaks.
        let cells: Vec<String> = cells.map(|cell| cell.replace('\u{a0}', " ")).collect();
        let width = cells.iter().map(|cell| width(cell)).max().unwrap_or(0).max(LEAST_WIDTH);
        Self { cells, align, width, drop: 0 }
    }

    /// The same column, at least so wide: how a table is laid out then does not depend on cells that
    /// differ from one execution to the next.
    pub(crate) fn reserve(self, columns: usize) -> Self {
        Self { width: self.width.max(columns), ..self }
    }

    /// The same column with other cells.
    fn map(&self, cell: fn(&str) -> String) -> Self {
        let cells: Vec<String> = self.cells.iter().map(|one| cell(one)).collect();
        let widest = |cells: &[String]| cells.iter().map(|one| width(one)).max().unwrap_or(0);
        // Room that was reserved stays.
        let reserved = if self.width > widest(&self.cells) { self.width } else { LEAST_WIDTH };
        Self { width: widest(&cells).max(reserved), cells, ..*self }
    }

    /// The same column, left out of a table that is too wide: those with larger numbers go first.
    pub(crate) fn dropped(self, drop: u8) -> Self {
        Self { drop, ..self }
    }

    fn cell(&self, row: usize) -> String {
        let cell = &self.cells[row];
        let padding = " ".repeat(self.width - width(cell));
        match self.align {
            Align::Left => format!(" {cell}{padding} |"),
            Align::Right => format!(" {padding}{cell} |"),
        }
    }

    fn rule(&self) -> String {
        match self.align {
            Align::Left => format!(" {} |", "-".repeat(self.width)),
            Align::Right => format!(" {}: |", "-".repeat(self.width - 1)),
        }
    }
}

/// A table whose rows are named by its first column. Blocks are columns that belong side by side.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub(crate) key: Column,
    pub(crate) blocks: Vec<Vec<Column>>,
}

impl Table {
    /// The table as Markdown in lines of at most `columns`. Blocks that do not fit beside the others
    /// go to a further table with the same key.
    pub(crate) fn render(&self, columns: usize) -> String {
        let span = |column: &Column| column.width + 3;
        let mut tables: Vec<Vec<&Column>> = Vec::new();
        let mut used = 0;
        for block in self.blocks.iter().filter(|block| !block.is_empty()) {
            let needed: usize = block.iter().map(span).sum();
            match tables.last_mut() {
                Some(table) if used + needed <= columns => {
                    table.extend(block);
                    used += needed;
                }
                _ => {
                    tables.push([&self.key].into_iter().chain(block).collect());
                    used = 1 + span(&self.key) + needed;
                }
            }
        }
        tables.iter().map(|table| lines(table)).collect::<Vec<_>>().join("\n")
    }
}

impl Table {
    /// The same table with other cells.
    pub(crate) fn map(&self, cell: fn(&str) -> String) -> Self {
        let block = |block: &Vec<Column>| block.iter().map(|column| column.map(cell)).collect();
        Self { key: self.key.map(cell), blocks: self.blocks.iter().map(block).collect() }
    }

    /// The table without the columns that do not fit into lines of `columns`.
    pub(crate) fn fitted(&self, columns: usize) -> Self {
        let mut table = self.clone();
        let span = |column: &Column| column.width + 3;
        loop {
            let all = || table.blocks.iter().flatten();
            let wide = 1 + span(&table.key) + all().map(span).sum::<usize>();
            let last = all().map(|column| column.drop).max().unwrap_or(0);
            if wide <= columns {
                return table;
            }
            if last == 0 {
                // One column beside the names, then the next below.
                let columns = table.blocks.into_iter().flatten();
                return Self {
                    key: table.key,
                    blocks: columns.map(|column| vec![column]).collect(),
                };
            }
            for block in &mut table.blocks {
                block.retain(|column| column.drop != last);
            }
        }
    }

    /// The table as HTML, all blocks side by side, with headers that are buttons. `explain` gives what a header means.
    pub(crate) fn html(&self, explain: &dyn Fn(&str) -> Option<String>) -> String {
        let columns: Vec<&Column> =
            [&self.key].into_iter().chain(self.blocks.iter().flatten()).collect();
        let rows = columns.first().map_or(0, |column| column.cells.len());
        let cells = |row: usize, cell: &dyn Fn(&str, &str) -> String| -> String {
            let one = |column: &&Column| {
                // Narrow screens leave these out.
                let class = if column.drop > 0 { " class=\"extra\"" } else { "" };
                cell(class, &column.cells[row])
            };
            columns.iter().map(one).collect()
        };
        let header = |class: &str, cell: &str| {
            let title = explain(cell).map(|text| format!(" title=\"{}\"", escape(&text)));
            format!(
                "<th scope=\"col\"{class}><button type=\"button\"{}>{}</button></th>",
                title.unwrap_or_default(),
                inline(cell)
            )
        };
        let body = |class: &str, cell: &str| format!("<td{class}>{}</td>", interval(&inline(cell)));
        let mut html = format!("<table>\n<thead><tr>{}</tr></thead>\n<tbody>\n", cells(0, &header));
        for row in 1..rows {
            html += &format!("<tr>{}</tr>\n", cells(row, &body));
        }
        html + "</tbody>\n</table>"
    }
}

/// An interval behind a number may have a line of its own on a narrow screen.
fn interval(cell: &str) -> String {
    match cell.split_once(" [") {
        Some((number, interval)) if interval.ends_with(']') => {
            format!("{number} <span class=\"interval\">[{interval}</span>")
        }
        _ => cell.to_owned(),
    }
}

fn lines(columns: &[&Column]) -> String {
    let rows = columns.first().map_or(0, |column| column.cells.len());
    let mut text = String::new();
    for row in 0..rows {
        text.push('|');
        text.extend(columns.iter().map(|column| column.cell(row)));
        text.push('\n');
        if row == 0 {
            text.push('|');
            text.extend(columns.iter().map(|column| column.rule()));
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let cells = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        Table {
            key: Column::words("name", cells(["a", "long name"])),
            blocks: vec![
                vec![Column::numbers("n", cells(["1", "10"]))],
                vec![],
                vec![
                    Column::numbers("speed", cells(["1.5", "—"])),
                    Column::numbers("time", cells(["2", "3"])),
                ],
            ],
        }
    }

    #[test]
    fn columns_line_up() {
        assert_eq!(
            table().render(80),
            "\
| name      |   n | speed | time |
| --------- | --: | ----: | ---: |
| a         |   1 |   1.5 |    2 |
| long name |  10 |     — |    3 |
"
        );
    }

    #[test]
    fn columns_that_do_not_fit_are_left_out_by_their_rank() {
        let cells = || vec!["1".to_owned()];
        let column = |name: &str| Column::numbers(name, cells());
        let table = Table {
            key: Column::words("name", cells()),
            blocks: vec![vec![
                column("score"),
                column("difference"),
                column("p").dropped(1),
                column("seeds").dropped(2),
                column("time").dropped(3),
            ]],
        };
        let head =
            |columns| table.fitted(columns).render(columns).lines().next().unwrap().to_owned();
        assert_eq!(head(80), "| name | score | difference |   p | seeds | time |");
        assert_eq!(head(44), "| name | score | difference |   p | seeds |");
        assert_eq!(head(34), "| name | score | difference |");
        assert_eq!(table.fitted(20).render(20).matches("| name |").count(), 2);
    }

    #[test]
    fn a_block_that_does_not_fit_starts_another_table() {
        assert_eq!(
            table().render(33),
            "\
| name      |   n |
| --------- | --: |
| a         |   1 |
| long name |  10 |

| name      | speed | time |
| --------- | ----: | ---: |
| a         |   1.5 |    2 |
| long name |     — |    3 |
"
        );
    }
}
