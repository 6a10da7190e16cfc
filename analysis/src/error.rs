use std::path::PathBuf;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing has finished yet.
    #[error("there is no finished run to report on")]
    NoRuns,
    /// Two runs claim the same place in the table, and averaging them would mix two experiments.
    #[error(
        "task {task} has two runs of {activation} with seed {seed}, in {} and {}: \
         report on one experiment at a time",
        first.display(), second.display()
    )]
    Duplicate {
        /// Name of the task.
        task: String,
        /// Label of the activation.
        activation: String,
        /// Seed of both.
        seed: u64,
        /// Folder of one.
        first: PathBuf,
        /// Folder of the other.
        second: PathBuf,
    },
    /// Runs of one task are judged by different metrics, which cannot be set against each other.
    #[error(
        "task {task} has runs that are judged by {first} and by {second}: report on one experiment at a time"
    )]
    Metrics {
        /// Name of the task.
        task: String,
        /// Name of one of the metrics.
        first: String,
        /// Name of the other.
        second: String,
    },
    /// The records could not be put into a table.
    #[error("cannot tabulate the runs: {0}")]
    Table(#[from] polars::error::PolarsError),
    /// A table could not be read or written as comma-separated values.
    #[error("comma-separated values: {0}")]
    Csv(#[from] csv::Error),
    /// A table of scores is not one.
    #[error("line {line}: {reason}")]
    Scores {
        /// Line of the table, from 1.
        line: u64,
        /// What is wrong.
        reason: String,
    },
    /// The report could not be written to disk.
    #[error(transparent)]
    Record(#[from] record::Error),
}
