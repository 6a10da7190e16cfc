//! Tables of labelled sentences, separated by tabs, never quoted.

use super::files::bad;
use super::wordpiece::WordPieceTokenizer;
use super::{Inputs, Part, Text};
use crate::Error;
use std::path::Path;

/// Sentences with their classes, in the order of the file.
pub(super) type Sentences = Vec<(String, usize)>;

/// Lines below the header of a table.
pub(super) fn count(bytes: &[u8]) -> usize {
    bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count().saturating_sub(1)
}

/// The columns `label` and `sentence` of a table with a header line; the path is for errors.
pub(super) fn parse(path: &Path, bytes: &[u8], classes: usize) -> Result<Sentences, Error> {
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(b'\t')
        .quoting(false)
        .flexible(false)
        .from_reader(bytes);
    let header = reader.headers().map_err(|error| bad(path, error.to_string()))?.clone();
    let column = |name: &str| {
        header.iter().position(|found| found.trim() == name).ok_or_else(|| {
            bad(path, format!(
                "has no column `{name}`: the first line must name `sentence` and `label`, separated by a tab, and is {:?}",
                header.iter().collect::<Vec<_>>().join("\t")
            ))
        })
    };
    let (label, sentence) = (column("label")?, column("sentence")?);
    let mut rows = Vec::new();
    for row in reader.records() {
        let row = row.map_err(|error| bad(path, error.to_string()))?;
        let line = row.position().map_or(0, csv::Position::line);
        let class = row[label].trim().parse().ok().filter(|class| *class < classes);
        let class = class.ok_or_else(|| {
            bad(
                path,
                format!("line {line}: label is `{}`, but there are {classes} classes", &row[label]),
            )
        })?;
        rows.push((row[sentence].trim().to_owned(), class));
    }
    if rows.is_empty() {
        return Err(bad(path, "holds no sentence"));
    }
    Ok(rows)
}

/// The sentences as token ids.
pub(super) fn encode(tokenizer: &WordPieceTokenizer, rows: &Sentences) -> Result<Part, Error> {
    let sentences: Vec<&str> = rows.iter().map(|(text, _)| text.as_str()).collect();
    let inputs = Inputs::Text(Text {
        vocabulary: tokenizer.entries(),
        tokens: tokenizer.encode_all(&sentences)?,
        bytes: Vec::new(),
        mask: tokenizer.mask(),
    });
    Ok(Part { inputs, labels: rows.iter().map(|(_, class)| *class).collect() })
}

/// Sequences of at most `max_length` tokens: longer ones lose what stands before their `[SEP]`.
pub(super) fn cut(part: Part, max_length: usize) -> Part {
    let Inputs::Text(mut text) = part.inputs else { return part };
    for tokens in &mut text.tokens {
        if tokens.len() > max_length {
            tokens.drain(max_length.max(1) - 1..tokens.len() - 1);
        }
    }
    Part { inputs: Inputs::Text(text), labels: part.labels }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_part_of_a_sentence() {
        let bytes = b"sentence\tlabel\na \"good\" film\t1\nbad\t0\n";
        let rows = parse(Path::new("train.tsv"), bytes, 2).unwrap();
        assert_eq!(rows, [("a \"good\" film".into(), 1), ("bad".into(), 0)]);
    }

    #[test]
    fn a_cut_sequence_keeps_its_end() {
        let tokens = vec![vec![2, 7, 8, 9, 3], vec![2, 7, 3]];
        let text = Text { vocabulary: 10, tokens, bytes: Vec::new(), mask: None };
        let part = Part { inputs: Inputs::Text(text), labels: vec![0, 1] };
        let Inputs::Text(text) = cut(part, 4).inputs else { panic!() };
        assert_eq!(text.tokens, [vec![2, 7, 8, 3], vec![2, 7, 3]]);
    }

    #[test]
    fn bad_tables_are_refused_with_a_reason() {
        for (bytes, reason) in [
            (&b"text\tlabel\nx\t1\n"[..], "no column `sentence`"),
            (b"sentence\tlabel\nx\t2\n", "line 2: label is `2`"),
            (b"sentence\tlabel\nx\n", "fields"),
            (b"sentence\tlabel\n", "holds no sentence"),
            (b"", "no column"),
            (b"sentence\tlabel\n\xff\xff\t1\n", "UTF-8"),
        ] {
            let error = parse(Path::new("train.tsv"), bytes, 2).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
