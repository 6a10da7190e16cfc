//! Tables of labelled texts, or of labelled numbers, of the user's own.

mod read;

use super::files::{bad, hex, sha256, shared_file};
use super::split::{stratified, untrained, without_duplicates};
use super::wordpiece::WordPieceTokenizer;
use super::wordpiece_training::train_wordpiece;
use super::{DataSource, Dataset, Features, Inputs, Loading, Part, Text};
use crate::Error;
use crate::component::{Definition, check_all};
use read::{Rows, rows};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;

/// A table of the user's own with a text, or numbers, and a label in each row: CSV, TSV, JSON Lines or Parquet.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// The file; its ending says the format: `.csv`, `.tsv`, `.jsonl`, `.ndjson` or `.parquet`.
    pub path: PathBuf,
    /// Column of the texts; `text` where neither this nor `features` is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Columns of numbers that stand in the place of a text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<String>,
    /// Column of the labels.
    #[serde(default = "label")]
    pub label: String,
    /// Column that says `train`, `validation` or `test` of each row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<String>,
    /// Table of the validation split, with the same columns; `path` is then the training split.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<PathBuf>,
    /// Table of the test split.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<PathBuf>,
    /// Without `split` and tables of their own, the part of each class that is the validation split, and again as much
    /// for the test split; 0.1 where absent. The same rows always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_out: Option<f64>,
    /// Most entries of the WordPiece vocabulary, which is learned from the training split: 8000 where absent. All
    /// characters of the split are entries, however many there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vocabulary: Option<usize>,
    /// Tokenizer of a pretrained model, in the place of a vocabulary that is learned: a `vocab.txt` for WordPiece, or a
    /// `tokenizer.json`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<PathBuf>,
}

fn label() -> String {
    "label".to_owned()
}

/// Where nothing else is said.
const HELD_OUT: f64 = 0.1;
const VOCABULARY: usize = 8000;

crate::register_component!(DatasetRegistration: Table);

/// Column of the texts where nothing else is said.
const TEXT: &str = "text";

/// What the column of splits may say.
const SPLITS: [&str; 3] = ["train", "validation", "test"];

impl Definition for Table {
    const NAME: &'static str = "table";
    const ABOUT: &'static str =
        "a table of your own with texts or numbers, and labels: CSV, TSV, JSON Lines or Parquet";

    fn check(&self) -> Result<(), Error> {
        let files = self.validation.is_some() || self.test.is_some();
        let both = self.validation.is_some() == self.test.is_some();
        let chance = self.held_out.is_none() || !(files || self.split.is_some());
        let held_out = self.held_out.is_none_or(|part| part > 0.0 && part <= 0.4);
        let words = self.vocabulary.is_none() || self.features.is_empty();
        let vocabulary = self.vocabulary.is_none_or(|size| (200..=1 << 17).contains(&size));
        let inputs = self.inputs();
        let columns = self.features.iter().collect::<BTreeSet<_>>().len() == self.features.len();
        check_all([
            (
                "features",
                self.features.is_empty() || self.text.is_none(),
                "contradict `text`: give one of them",
            ),
            ("validation", both, "and `test` must be given together, or neither"),
            (
                "split",
                !files || self.split.is_none(),
                "contradicts `validation` and `test`: give one of both",
            ),
            ("held_out", held_out, "must be above 0 and at most 0.4"),
            ("held_out", chance, "contradicts `split` and tables of their own: leave it out"),
            ("vocabulary", vocabulary, "must be from 200 to 131072"),
            ("vocabulary", words, "is for texts, and there are `features`"),
            (
                "tokenizer",
                self.tokenizer.is_none() || self.features.is_empty(),
                "is for texts, and there are `features`",
            ),
            (
                "tokenizer",
                self.tokenizer.is_none() || self.vocabulary.is_none(),
                "contradicts `vocabulary`: give one of them",
            ),
            ("label", !inputs.contains(&self.label.as_str()), "is among what the network sees"),
            ("features", columns, "name a column twice"),
        ])
    }

    fn words(&self) -> String {
        format!("table of {}", self.path.display())
    }
}

impl Table {
    /// The columns that hold what a network sees.
    fn inputs(&self) -> Vec<&str> {
        if self.features.is_empty() {
            vec![self.text.as_deref().unwrap_or(TEXT)]
        } else {
            self.features.iter().map(String::as_str).collect()
        }
    }

    /// The rows of a table, each checked: inputs, label, and the split where a column says it.
    fn rows(&self, path: &std::path::Path) -> Result<Rows, Error> {
        let mut wanted = self.inputs();
        wanted.push(&self.label);
        wanted.extend(self.split.as_deref());
        let rows = rows(path, &wanted)?;
        let inputs = self.inputs().len();
        for (row, cells) in rows.cells.iter().enumerate() {
            for (name, cell) in wanted.iter().zip(cells) {
                if cell.trim().is_empty() {
                    return Err(rows.wrong(row, format!("`{name}` is empty")));
                }
            }
            if !self.features.is_empty() {
                for (name, cell) in wanted.iter().zip(&cells[..inputs]) {
                    if number(cell).is_none() {
                        let reason = format!("`{name}` is `{}`, but must be a number", cell.trim());
                        return Err(rows.wrong(row, reason));
                    }
                }
            }
        }
        if rows.cells.is_empty() {
            return Err(bad(path, "holds no row below its header"));
        }
        Ok(rows)
    }

    /// The rows of each split: those of three tables, or of one that a column or chance splits.
    fn splits(&self) -> Result<[Rows; 3], Error> {
        let rows = self.rows(&self.path)?;
        let labels: BTreeSet<&str> = rows.cells.iter().map(|row| self.label_of(row)).collect();
        if labels.len() < 2 {
            let reason = format!("`{}` has one class: there is nothing to tell apart", self.label);
            return Err(bad(&self.path, reason));
        }
        if let (Some(validation), Some(test)) = (&self.validation, &self.test) {
            let paths = [&self.path, validation, test].map(std::slice::from_ref);
            if shared_file(paths).is_some() {
                let reason = "and `validation` must be other files than `path` and each other";
                return Err(Error::spec("test", reason));
            }
            return Ok([rows, self.rows(validation)?, self.rows(test)?]);
        }
        let parts = match &self.split {
            Some(column) => by_column(&rows, column)?,
            None => {
                let labels: Vec<&str> = rows.cells.iter().map(|row| self.label_of(row)).collect();
                let keys: Vec<Vec<Cell<'_>>> = rows.cells.iter().map(|row| self.key(row)).collect();
                stratified(&labels, &keys, self.held_out.unwrap_or(HELD_OUT))
                    .map_err(|reason| bad(&self.path, reason))?
            }
        };
        Ok(parts.map(|part| rows.select(&part)))
    }

    /// What a network sees of a row; equal numbers are equal however they are written.
    fn key<'a>(&self, row: &'a [String]) -> Vec<Cell<'a>> {
        let cells = row[..self.inputs().len()].iter();
        if self.features.is_empty() {
            return cells.map(|cell| Cell::Text(cell.trim())).collect();
        }
        // The sum makes zeros of both signs one.
        cells.map(|cell| Cell::Number((number(cell).unwrap_or(0.0) + 0.0).to_bits())).collect()
    }

    /// The label of a row.
    fn label_of<'a>(&self, row: &'a [String]) -> &'a str {
        row[self.inputs().len()].trim()
    }

    /// The label of every row, as a class; each must be in the training split.
    fn classes(&self, splits: &[Rows; 3]) -> Result<(Vec<String>, [Vec<usize>; 3]), Error> {
        let known: BTreeSet<&str> = splits[0].cells.iter().map(|row| self.label_of(row)).collect();
        if known.len() < 2 {
            let reason = format!("`{}` has one class: there is nothing to tell apart", self.label);
            return Err(bad(&self.path, reason));
        }
        if let Some((a, b)) = same_number(&known) {
            let reason = format!(
                "the labels `{a}` and `{b}` of `{}` are one number: write it in one way",
                self.label
            );
            return Err(bad(&self.path, reason));
        }
        let place: BTreeMap<&str, usize> = known.iter().copied().zip(0..).collect();
        let mut classes = [Vec::new(), Vec::new(), Vec::new()];
        for (rows, classes) in splits.iter().zip(&mut classes) {
            for (index, row) in rows.cells.iter().enumerate() {
                let label = self.label_of(row);
                let class = place.get(label).ok_or_else(|| {
                    rows.wrong(index, format!("the label `{label}` is not in the training split"))
                })?;
                classes.push(*class);
            }
        }
        Ok((known.into_iter().map(str::to_owned).collect(), classes))
    }

    /// What a network sees of each row.
    fn parts(&self, splits: &[Rows; 3], max_tokens: Option<usize>) -> Result<[Inputs; 3], Error> {
        if !self.features.is_empty() {
            return self.numbers(splits);
        }
        let tokenizer = self.tokenizer(splits, max_tokens.unwrap_or(usize::MAX))?;
        let encode = |rows: &Rows| {
            let sentences: Vec<&str> = rows.cells.iter().map(|row| row[0].trim()).collect();
            Ok::<_, Error>(Inputs::Text(Text {
                vocabulary: tokenizer.entries(),
                tokens: tokenizer.encode_all(&sentences)?,
                bytes: Vec::new(),
                mask: tokenizer.mask(),
            }))
        };
        let [train, validation, test] = splits;
        Ok([encode(train)?, encode(validation)?, encode(test)?])
    }

    /// That of the file which is named, or one over a vocabulary that is learned from the training split.
    fn tokenizer(
        &self,
        splits: &[Rows; 3],
        max_tokens: usize,
    ) -> Result<WordPieceTokenizer, Error> {
        if let Some(path) = &self.tokenizer {
            let tokenizer = WordPieceTokenizer::of_file(path, max_tokens);
            return tokenizer.map_err(|error| Error::spec("tokenizer", error.to_string()));
        }
        let texts: Vec<&str> = splits[0].cells.iter().map(|row| row[0].trim()).collect();
        let size = self.vocabulary.unwrap_or(VOCABULARY);
        let vocabulary = train_wordpiece(&texts, size)?.join("\n") + "\n";
        WordPieceTokenizer::new(vocabulary.as_bytes(), max_tokens)
    }

    /// Checksum over the files.
    fn sha256(&self) -> Result<String, Error> {
        let mut hash = Sha256::new();
        let splits = [Some(&self.path), self.validation.as_ref(), self.test.as_ref()];
        let paths = splits.into_iter().chain([self.tokenizer.as_ref()]);
        for path in paths.flatten() {
            hash.update(sha256(&super::files::read(path)?));
        }
        Ok(hex(&hash.finalize()))
    }
}

/// A cell of what a network sees.
#[derive(PartialEq, Eq, Hash)]
enum Cell<'a> {
    Text(&'a str),
    /// Its bits.
    Number(u64),
}

/// The number in a cell.
fn number(cell: &str) -> Option<f64> {
    cell.trim().parse::<f64>().ok().filter(|number| number.is_finite())
}

/// Two labels that are one number, as `1` and `1.0`.
fn same_number<'a>(labels: &BTreeSet<&'a str>) -> Option<(&'a str, &'a str)> {
    let mut known: HashMap<u64, &str> = HashMap::new();
    // Codes of digits alone are texts: 007 is not 7.
    let is_decimal = |label: &str| label.contains(['.', 'e', 'E']);
    labels.iter().find_map(|label| {
        let number = label.parse::<f64>().ok().filter(|number| number.is_finite())?;
        let first = known.insert((number + 0.0).to_bits(), label)?;
        (is_decimal(first) || is_decimal(label)).then_some((first, *label))
    })
}

/// How many deviations the mean of a column may be from zero, and how large or small its numbers may be, before single
/// precision loses what tells its rows apart.
const FAR: f64 = 1000.0;
const EXTREME: f64 = 1e15;

/// Of its mean, the deviation of a column that is constant but for rounding in double precision.
const CONSTANT: f64 = 1e-12;

/// Numbers whose squares add up to a finite one in double precision.
const SQUARED: f64 = 1e100;

/// Mean and standard deviation of a column of the training split.
#[expect(clippy::cast_precision_loss, reason = "few rows")]
fn mean_and_deviation(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let largest = values.clone().fold(0.0_f64, |largest, value| largest.max(value.abs()));
    let unit = if largest < SQUARED { 1.0 } else { largest };
    let n = values.clone().count().max(1) as f64;
    let mean = values.clone().map(|value| value / unit).sum::<f64>() / n;
    let squares = values.map(|value| (value / unit - mean).powi(2)).sum::<f64>();
    (unit * mean, unit * (squares / n).sqrt())
}

/// What is taken from the numbers of a column, and by what the rest is divided: nothing where single precision holds
/// them well.
fn scale(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let (mean, deviation) = mean_and_deviation(values);
    if deviation <= CONSTANT * mean.abs() {
        // But for rounding: nothing to divide by.
        return (mean, 1.0);
    }
    let ordinary = mean.abs() <= FAR * deviation
        && (EXTREME.recip()..EXTREME).contains(&deviation)
        && mean.abs() < EXTREME;
    if ordinary { (0.0, 1.0) } else { (mean, deviation) }
}

impl Table {
    /// The numbers of each split. A column that would lose too much in single precision is standardized before it is
    /// rounded, by the training split as all columns are later.
    #[expect(clippy::cast_possible_truncation, reason = "to single precision")]
    fn numbers(&self, splits: &[Rows; 3]) -> Result<[Inputs; 3], Error> {
        // Each was checked to be a number.
        let value = |row: &[String], column: usize| number(&row[column]).unwrap_or(0.0);
        let width = self.features.len();
        let of_training = |column| splits[0].cells.iter().map(move |row| value(row, column));
        let scales: Vec<(f64, f64)> = (0..width).map(|column| scale(of_training(column))).collect();
        let scaled = |rows: &Rows| {
            let mut values = Vec::with_capacity(rows.cells.len() * width);
            for (place, row) in rows.cells.iter().enumerate() {
                for (column, (mean, scale)) in scales.iter().enumerate() {
                    let scaled = ((value(row, column) - mean) / scale) as f32;
                    if !scaled.is_finite() {
                        let reason = format!(
                            "`{}` is `{}`, too far from the training split for single precision",
                            self.features[column],
                            row[column].trim()
                        );
                        return Err(rows.wrong(place, reason));
                    }
                    values.push(scaled);
                }
            }
            Ok(Inputs::Features(Features { width, values }))
        };
        let [train, validation, test] = splits;
        Ok([scaled(train)?, scaled(validation)?, scaled(test)?])
    }
}

/// Positions of the rows of each split, which the last cell of each row names.
fn by_column(rows: &Rows, column: &str) -> Result<[Vec<usize>; 3], Error> {
    let mut parts = [Vec::new(), Vec::new(), Vec::new()];
    for (row, cells) in rows.cells.iter().enumerate() {
        let said = cells.last().map_or("", |cell| cell.trim());
        let part = SPLITS.iter().position(|name| *name == said).ok_or_else(|| {
            let right = SPLITS.join(", ");
            rows.wrong(row, format!("`{column}` is `{said}`, but must be one of {right}"))
        })?;
        parts[part].push(row);
    }
    if let Some(empty) =
        SPLITS.iter().zip(&parts).find_map(|(name, part)| part.is_empty().then_some(name))
    {
        return Err(bad(&rows.path, format!("`{column}` says `{empty}` of no row")));
    }
    Ok(parts)
}

impl DataSource for Table {
    const SORTED: bool = true;

    fn load(&self, loading: &Loading<'_>) -> Result<Dataset, Error> {
        let splits = self.splits()?;
        let (classes, labels) = self.classes(&splits)?;
        let [train, validation, test] = self.parts(&splits, loading.max_tokens)?;
        let [train_labels, validation_labels, test_labels] = labels;
        let mut parts = [
            Part { inputs: train, labels: train_labels },
            Part { inputs: validation, labels: validation_labels },
            Part { inputs: test, labels: test_labels },
        ];
        // Splits that the user has made are the user's. Texts that differ may be the same tokens; equal rows are in one
        // split.
        if self.split.is_none() && self.test.is_none() && self.features.is_empty() {
            parts = without_duplicates(parts);
            if let Some(lost) = untrained(&parts) {
                let reason = format!(
                    "leaves no train row of the class `{}`: rows are duplicates of others; give splits of your own",
                    classes[lost]
                );
                return Err(bad(&self.path, reason));
            }
        }
        for (part, name) in parts.iter().zip(SPLITS) {
            if part.is_empty() {
                let reason = format!("leaves no {name} row: rows are duplicates of others");
                return Err(bad(&self.path, reason));
            }
        }
        let [train, validation, test] = parts;
        Ok(Dataset {
            name: Self::NAME.to_owned(),
            classes,
            train,
            validation,
            test,
            sha256: self.sha256()?,
            differences: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests;
