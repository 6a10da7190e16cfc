//! Names of activations in table cells, where a long one would push the figures off the screen.

use crate::render::text::{escape, shorten, width, wrap};

/// Shortens the labels that are too long for a cell and remembers them for a footnote.
#[derive(Debug)]
pub(super) struct Labels {
    limit: usize,
    /// Labels that are shortened, in the order of their notes.
    long: Vec<String>,
}

impl Labels {
    /// Labels for a page of so many columns; a cell takes at most a quarter of it.
    pub(super) fn new<'a>(labels: impl Iterator<Item = &'a str>, columns: usize) -> Self {
        let limit = columns / 4;
        let mut long: Vec<String> = Vec::new();
        for label in labels {
            if width(&escape(label)) > limit && !long.iter().any(|known| known == label) {
                long.push(label.to_owned());
            }
        }
        Self { limit, long }
    }

    /// A label as a table cell, escaped, with the mark of its footnote if it was shortened.
    pub(super) fn cell(&self, label: &str) -> String {
        let Some(note) = self.long.iter().position(|long| long == label) else {
            return escape(label);
        };
        let mark = format!("[^{}]", note + 1);
        // Escapes take room too: cut the label, then see how long the cell becomes.
        let mut room = self.limit.saturating_sub(width(&mark)).max(1);
        loop {
            let cell = format!("{}{mark}", escape(&shorten(label, room)));
            if width(&cell) <= self.limit || room == 1 {
                return cell;
            }
            room -= 1;
        }
    }

    /// The footnotes: every shortened label in full.
    pub(super) fn notes(&self, columns: usize) -> String {
        let note = |(i, label): (usize, &String)| {
            wrap(&escape(label), &format!("[^{}]: ", i + 1), columns)
        };
        self.long.iter().enumerate().map(note).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_labels_become_notes_and_stay_distinct() {
        let long =
            ["leaky_relu(slope=0.20000000000000001)", "leaky_relu(slope=0.20000000000000002)"];
        let labels = Labels::new(long.into_iter().chain(["relu"]), 100);
        assert_eq!(labels.cell("relu"), "relu");
        assert_eq!(labels.cell(long[0]), "leaky_relu(slope=0.2…[^1]");
        assert_eq!(labels.cell(long[1]), "leaky_relu(slope=0.2…[^2]");
        assert_eq!(labels.notes(100), format!("[^1]: {}\n[^2]: {}\n", long[0], long[1]));
    }

    #[test]
    fn escapes_count() {
        let label = "a|".repeat(20);
        let labels = Labels::new([label.as_str()].into_iter(), 80);
        assert!(width(&labels.cell(&label)) <= 20);
    }
}
