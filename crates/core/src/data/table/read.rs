//! The rows of a table, of whatever format its name says.

use crate::Error;
use crate::data::files::{bad, read};
use activation::did_you_mean;
use polars::prelude::{ArrowDataType, DataType};
use polars_io::prelude::{ParquetReader, SerReader};
use std::fs::File;
use std::path::{Path, PathBuf};

/// Some columns of a table, as text.
pub(super) struct Rows {
    /// The file.
    pub(super) path: PathBuf,
    /// Names of the rows' places, as "line 3".
    place: &'static str,
    /// The number of each row in its file.
    numbers: Vec<u64>,
    /// Cells by row, in the order of the wanted columns.
    pub(super) cells: Vec<Vec<String>>,
}

impl Rows {
    /// The rows at `places`.
    pub(super) fn select(&self, places: &[usize]) -> Self {
        Self {
            path: self.path.clone(),
            place: self.place,
            numbers: places.iter().map(|row| self.numbers[*row]).collect(),
            cells: places.iter().map(|row| self.cells[*row].clone()).collect(),
        }
    }

    /// That row `row` is wrong.
    pub(super) fn wrong(&self, row: usize, reason: impl std::fmt::Display) -> Error {
        let number = self.numbers.get(row).copied().unwrap_or_default();
        bad(&self.path, format!("{} {number}: {reason}", self.place))
    }
}

/// The columns `wanted` of the table at `path`.
pub(super) fn rows(path: &Path, wanted: &[&str]) -> Result<Rows, Error> {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    match extension.to_ascii_lowercase().as_str() {
        "csv" => delimited(path, wanted, b','),
        "tsv" => delimited(path, wanted, b'\t'),
        "jsonl" | "ndjson" => json_lines(path, wanted),
        "parquet" => parquet(path, wanted),
        _ => Err(bad(path, "must end in .csv, .tsv, .jsonl, .ndjson or .parquet")),
    }
}

/// Positions of the columns `wanted` among those that are there.
fn positions(path: &Path, wanted: &[&str], there: &[String]) -> Result<Vec<usize>, Error> {
    if there.is_empty() {
        return Err(bad(path, "is empty"));
    }
    let position = |name: &&str| {
        if there.iter().filter(|column| column == name).count() > 1 {
            return Err(bad(
                path,
                format!("has two columns `{name}`: give one of them another name"),
            ));
        }
        there.iter().position(|column| column == name).ok_or_else(|| {
            let nearest = activation::nearest(name, there.iter().map(String::as_str));
            let hint = did_you_mean(&nearest);
            bad(path, format!("has no column `{name}`{hint}; it has {}", there.join(", ")))
        })
    };
    wanted.iter().map(position).collect()
}

fn delimited(path: &Path, wanted: &[&str], delimiter: u8) -> Result<Rows, Error> {
    let bytes = read(path)?;
    // A mark that some programs put before a text in UTF-8.
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    // Cells between tabs are never quoted: a quotation mark in a text is one.
    let quoted = delimiter == b',';
    if let Some(line) = open_quote(text).filter(|_| quoted) {
        return Err(bad(
            path,
            format!("line {line}: a cell begins with \" and does not end with one"),
        ));
    }
    let mut reader =
        csv::ReaderBuilder::new().delimiter(delimiter).quoting(quoted).from_reader(text);
    let error = |error: csv::Error| match error.kind() {
        csv::ErrorKind::Utf8 { pos, .. } => {
            let line = pos.as_ref().map_or(0, csv::Position::line);
            bad(path, format!("line {line}: is not UTF-8"))
        }
        csv::ErrorKind::UnequalLengths { pos, expected_len, len } => {
            let line = pos.as_ref().map_or(0, csv::Position::line);
            bad(path, format!("line {line}: has {len} cells, but the header has {expected_len}"))
        }
        _ => bad(path, error.to_string()),
    };
    let header: Vec<String> =
        reader.headers().map_err(error)?.iter().map(|name| name.trim().to_owned()).collect();
    if let [only] = &header[..]
        && let Some((other, name)) =
            [(',', "commas"), ('\t', "tabs"), (';', "semicolons"), ('|', "bars")].into_iter().find(
                |(other, _)| {
                    only.contains(*other)
                        && !wanted.contains(&only.as_str())
                        && *other != char::from(delimiter)
                },
            )
    {
        let (right, ending) = if delimiter == b',' { ("commas", ".csv") } else { ("tabs", ".tsv") };
        let hint = if other == '\t' || other == ',' { ", or the file another ending" } else { "" };
        let reason = format!(
            "its cells are separated by {name}, but must be by {right} in a {ending} file{hint}"
        );
        return Err(bad(path, reason));
    }
    let positions = positions(path, wanted, &header)?;
    let (mut numbers, mut cells) = (Vec::new(), Vec::new());
    for record in reader.records() {
        let record = record.map_err(error)?;
        numbers.push(record.position().map_or(0, csv::Position::line));
        let cell = |place: &usize| record.get(*place).unwrap_or_default().to_owned();
        cells.push(positions.iter().map(cell).collect());
    }
    Ok(Rows { path: path.to_owned(), place: "line", numbers, cells })
}

/// The line, counted from 1, of a quoted cell between commas that does not end, or has text behind its end.
fn open_quote(text: &[u8]) -> Option<usize> {
    let (mut line, mut begun, mut place) = (1, None, 0);
    let mut cell_begins = true;
    while let Some(byte) = text.get(place) {
        let next = text.get(place + 1);
        match (begun, byte) {
            (None, b'"') if cell_begins => begun = Some(line),
            (Some(_), b'"') if next == Some(&b'"') => place += 1,
            (Some(first), b'"') => {
                let behind = text[place + 1..].iter().find(|byte| !matches!(**byte, b' ' | b'\t'));
                match behind {
                    None | Some(b',' | b'\n' | b'\r') => begun = None,
                    Some(_) => return Some(first),
                }
            }
            _ => {}
        }
        cell_begins = begun.is_none() && matches!(byte, b',' | b'\n' | b'\r');
        line += usize::from(*byte == b'\n');
        place += 1;
    }
    begun
}

fn json_lines(path: &Path, wanted: &[&str]) -> Result<Rows, Error> {
    let bytes = read(path)?;
    let (mut numbers, mut cells) = (Vec::new(), Vec::new());
    for (number, line) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
        let wrong = |reason: String| bad(path, format!("line {number}: {reason}"));
        let line = std::str::from_utf8(line).map_err(|_| wrong("is not UTF-8".to_owned()))?;
        if line.trim().is_empty() {
            continue;
        }
        let row: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line)
            .map_err(|error| wrong(format!("is no JSON object: {error}")))?;
        let there: Vec<String> = row.keys().cloned().collect();
        positions(path, wanted, &there).map_err(|error| match error {
            Error::BadData { reason, .. } => wrong(reason),
            other => other,
        })?;
        let cell = |name: &&str| match &row[*name] {
            serde_json::Value::String(text) => Ok(text.clone()),
            serde_json::Value::Null => Ok(String::new()),
            serde_json::Value::Array(_) | serde_json::Value::Object(_) => {
                Err(wrong(format!("`{name}` must be a text, a number, or true or false")))
            }
            other => Ok(other.to_string()),
        };
        numbers.push(number);
        cells.push(wanted.iter().map(cell).collect::<Result<_, _>>()?);
    }
    if cells.is_empty() {
        return Err(bad(path, "is empty"));
    }
    Ok(Rows { path: path.to_owned(), place: "line", numbers, cells })
}

fn parquet(path: &Path, wanted: &[&str]) -> Result<Rows, Error> {
    let io = |source| Error::Io { action: "read", path: path.to_owned(), source };
    let refused = |error: polars::error::PolarsError| bad(path, error.to_string());
    let mut reader = ParquetReader::new(File::open(path).map_err(io)?);
    let schema = reader.schema().map_err(refused)?;
    let there: Vec<String> = schema.iter_names().map(|name| name.to_string()).collect();
    positions(path, wanted, &there)?;
    let mut columns: Vec<String> = Vec::new();
    for name in wanted {
        let kind = schema.get(name).map(|field| &field.dtype);
        if let Some(kind) = kind.filter(|kind| !is_cell(kind)) {
            let needed =
                "a column of a data set holds texts, integers, floats, booleans or categories";
            return Err(bad(path, format!("column `{name}` is of type {kind:?}: {needed}")));
        }
        if !columns.iter().any(|column| column == name) {
            columns.push((*name).to_owned());
        }
    }
    // The other columns are not read: they may be of types that this program cannot read.
    let frame = reader.with_columns(Some(columns)).finish().map_err(refused)?;
    let mut cells = vec![Vec::with_capacity(wanted.len()); frame.height()];
    for name in wanted {
        let column = frame.column(name).and_then(|column| column.cast(&DataType::String));
        let column = column.map_err(refused)?;
        let text = column.str().map_err(refused)?;
        for (row, cell) in cells.iter_mut().zip(text.iter()) {
            row.push(cell.unwrap_or_default().to_owned());
        }
    }
    let numbers = (1..=cells.len() as u64).collect();
    Ok(Rows { path: path.to_owned(), place: "row", numbers, cells })
}

/// Whether values of a type can be read as the text of a cell.
fn is_cell(kind: &ArrowDataType) -> bool {
    use ArrowDataType as Type;
    match kind {
        Type::Dictionary(_, values, _) => is_cell(values),
        Type::Null | Type::Boolean => true,
        Type::Utf8 | Type::LargeUtf8 | Type::Utf8View => true,
        Type::Binary | Type::LargeBinary | Type::BinaryView => true,
        Type::Int8 | Type::Int16 | Type::Int32 | Type::Int64 => true,
        Type::UInt8 | Type::UInt16 | Type::UInt32 | Type::UInt64 => true,
        Type::Float32 | Type::Float64 => true,
        _ => false,
    }
}
