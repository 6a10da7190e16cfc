use record::{Environment, Histogram};
use serde_json::{Map, Value};

/// What a sink is told of a run, in this order: [`Event::Start`], then points, samples and output as they
/// come, then [`Event::Summary`], files, and [`Event::End`].
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The run begins.
    Start(Box<Run>),
    /// Metrics of one step.
    Point(Point),
    /// How busy the machine is.
    System {
        /// Seconds since 1970 (UTC).
        time: f64,
        /// Names, as W&B has them after `system.`, and values.
        figures: Vec<(String, f64)>,
    },
    /// A line that the program printed about the run.
    Output {
        /// Seconds since 1970 (UTC).
        time: f64,
        /// The line, without its end.
        line: String,
    },
    /// Figures of the whole run.
    Summary(Vec<(String, Metric)>),
    /// A file to keep with the run.
    File(Document),
    /// Nothing follows.
    End {
        /// 0 where the run went as it should.
        exit_code: i32,
        /// Seconds since 1970 (UTC).
        time: f64,
    },
}

/// What is known of a run when it begins.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// A readable name, as in `gelu-resnet20-s3`.
    pub name: String,
    /// What kind of work it is, as in `train`.
    pub job_type: String,
    /// Runs of one sweep belong together.
    pub group: String,
    /// Words to find it by.
    pub tags: Vec<String>,
    /// Everything that was asked for.
    pub config: Map<String, Value>,
    /// When it began, in seconds since 1970 (UTC).
    pub started: f64,
    /// Where it runs.
    pub environment: Option<Environment>,
}

/// Metrics of one step.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Optimizer step; it never falls within a run.
    pub step: u64,
    /// Seconds since 1970 (UTC).
    pub time: f64,
    /// Names, as in `validation/accuracy`, and what was measured.
    pub metrics: Vec<(String, Metric)>,
}

/// What was measured.
#[derive(Debug, Clone, PartialEq)]
pub enum Metric {
    /// A number.
    Number(f64),
    /// Where numbers lie.
    Histogram(Histogram),
    /// Another logged value.
    Json(Value),
}

/// A file in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Its name, without folders.
    pub name: String,
    /// What it holds.
    pub bytes: Vec<u8>,
}
