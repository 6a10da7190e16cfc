//! Records as tables for other tools: Apache Parquet.

use crate::Error;
use crate::parallel;
use polars::prelude::{
    Column, DataFrame, DataType, Field, NamedFrom, PolarsResult, Schema, Series,
};
use polars_io::prelude::ParquetWriter;
use record::StoredRun;
use std::fs::File;
use std::path::{Path, PathBuf};

/// Where tables were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// `records.parquet`: one row a run, with the columns of `runs.csv`.
    pub records: PathBuf,
    /// `metrics.parquet`: one row a number that a run measured.
    pub metrics: PathBuf,
    /// Runs whose metrics stream could not be read to its end, and why.
    pub unread: Vec<String>,
}

/// Writes `runs`, one row a run, and every number of the metrics streams of `stored` into `dir`.
pub(crate) fn write(runs: &DataFrame, stored: &[StoredRun], dir: &Path) -> Result<Exported, Error> {
    let (records, metrics) = (dir.join("records.parquet"), dir.join("metrics.parquet"));
    atomically(&records, |file| {
        ParquetWriter::new(file).finish(&mut runs.clone())?;
        Ok(())
    })?;
    let mut unread = Vec::new();
    atomically(&metrics, |file| {
        let mut writer = ParquetWriter::new(file).batched(&schema())?;
        let mut rows = Rows::default();
        let mut rest = stored;
        while !rest.is_empty() {
            let runs;
            (runs, rest) = rest.split_at(some_at_a_time(rest));
            for (run, error) in parallel::map(runs, Rows::read) {
                rows.append(run);
                unread.extend(error);
                if rows.step.len() >= ROWS_AT_A_TIME {
                    writer.write_batch(&std::mem::take(&mut rows).into_frame()?)?;
                }
            }
        }
        if !rows.step.is_empty() {
            writer.write_batch(&rows.into_frame()?)?;
        }
        writer.finish()?;
        Ok(())
    })?;
    Ok(Exported { records, metrics, unread })
}

/// Writes a file under another name and gives it its own when it is whole.
fn atomically(path: &Path, write: impl FnOnce(File) -> PolarsResult<()>) -> Result<(), Error> {
    let io = |source| record::Error::Io { action: "write", path: path.to_owned(), source };
    let part = path.with_extension("parquet.tmp");
    let written = File::create(&part).map_err(io).map_err(Error::from).and_then(|file| {
        write(file.try_clone().map_err(io)?)?;
        file.sync_all().map_err(io)?;
        std::fs::rename(&part, path).map_err(io)?;
        Ok(())
    });
    if written.is_err() {
        // What is left of it is of no use.
        let _ = std::fs::remove_file(&part);
    }
    written
}

fn schema() -> Schema {
    Schema::from_iter([
        Field::new("run".into(), DataType::String),
        Field::new("step".into(), DataType::UInt64),
        Field::new("time".into(), DataType::Float64),
        Field::new("metric".into(), DataType::String),
        Field::new("value".into(), DataType::Float64),
    ])
}

/// Bytes of streams that are read side by side: memory does not grow with the sweep.
const BYTES_AT_A_TIME: u64 = 16 << 20;

/// How many of the first of `runs` are read side by side.
fn some_at_a_time(runs: &[StoredRun]) -> usize {
    let mut bytes = 0_u64;
    let taken = runs.iter().take_while(|run| {
        let some = bytes < BYTES_AT_A_TIME;
        // An early record does not say how long the stream is.
        let sum = run.record.files.get("metrics.jsonl");
        bytes = bytes.saturating_add(sum.map_or(BYTES_AT_A_TIME, |sum| sum.bytes));
        some
    });
    taken.count()
}

/// Rows from which on a group of them is written, so that a group is not much larger than the stream of a run.
const ROWS_AT_A_TIME: usize = 1 << 18;

/// Numbers of some runs.
#[derive(Default)]
struct Rows {
    run: Vec<String>,
    step: Vec<u64>,
    time: Vec<Option<f64>>,
    metric: Vec<String>,
    value: Vec<f64>,
}

impl Rows {
    /// Those of one run, and why its stream could not be read to its end.
    fn read(run: &StoredRun) -> (Self, Option<String>) {
        let mut rows = Self::default();
        let stream = match run.dir.metrics() {
            Ok(stream) => stream,
            Err(error) => return (rows, Some(error.to_string())),
        };
        let id = run.record.id.as_str();
        for line in stream {
            let line = match line {
                Ok(line) => line,
                Err(error) => return (rows, Some(error.to_string())),
            };
            let Some((step, numbers)) = line.event.metrics() else { continue };
            for (metric, value) in numbers {
                rows.run.push(id.to_owned());
                rows.step.push(step);
                rows.time.push(line.time);
                rows.metric.push(metric);
                rows.value.push(value);
            }
        }
        (rows, None)
    }

    fn append(&mut self, mut other: Self) {
        self.run.append(&mut other.run);
        self.step.append(&mut other.step);
        self.time.append(&mut other.time);
        self.metric.append(&mut other.metric);
        self.value.append(&mut other.value);
    }

    fn into_frame(self) -> PolarsResult<DataFrame> {
        let height = self.step.len();
        let columns: Vec<Column> = vec![
            Series::new("run".into(), self.run).into(),
            Series::new("step".into(), self.step).into(),
            Series::new("time".into(), self.time).into(),
            Series::new("metric".into(), self.metric).into(),
            Series::new("value".into(), self.value).into(),
        ];
        DataFrame::new(height, columns)
    }
}
