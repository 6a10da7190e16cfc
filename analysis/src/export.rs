//! Records as tables for other tools: Apache Parquet.

use crate::Error;
use polars::prelude::{
    Column, DataFrame, DataType, Field, NamedFrom, ParquetWriter, PolarsResult, Schema, Series,
};
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
        for run in stored {
            let rows = Rows::read(run, &mut unread);
            if rows.step.is_empty() {
                continue;
            }
            // A run at a time: memory does not grow with the sweep.
            writer.write_batch(&rows.into_frame(&run.record.id.to_string())?)?;
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

/// Numbers of one run.
#[derive(Default)]
struct Rows {
    step: Vec<u64>,
    time: Vec<Option<f64>>,
    metric: Vec<String>,
    value: Vec<f64>,
}

impl Rows {
    fn read(run: &StoredRun, unread: &mut Vec<String>) -> Self {
        let mut rows = Self::default();
        let stream = match run.dir.metrics() {
            Ok(stream) => stream,
            Err(error) => {
                unread.push(error.to_string());
                return rows;
            }
        };
        for line in stream {
            let line = match line {
                Ok(line) => line,
                Err(error) => {
                    unread.push(error.to_string());
                    break;
                }
            };
            let Some((step, numbers)) = line.event.metrics() else { continue };
            for (metric, value) in numbers {
                rows.step.push(step);
                rows.time.push(line.time);
                rows.metric.push(metric);
                rows.value.push(value);
            }
        }
        rows
    }

    fn into_frame(self, run: &str) -> PolarsResult<DataFrame> {
        let height = self.step.len();
        let columns: Vec<Column> = vec![
            Series::new("run".into(), vec![run; height]).into(),
            Series::new("step".into(), self.step).into(),
            Series::new("time".into(), self.time).into(),
            Series::new("metric".into(), self.metric).into(),
            Series::new("value".into(), self.value).into(),
        ];
        DataFrame::new(height, columns)
    }
}
