//! Event files for TensorBoard: a folder a run, scalars, histograms and hyper-parameters.

use crate::append::AppendFile;
use crate::event::{Metric, Point, Run};
use crate::source::{TRAIN, TUNE, exit_code};
use crate::{
    Configured, Environment, Event, Fault, Kind, Notice, Pace, SettingsError, Sink, Target,
};
use prost::Message;
use record::{Histogram, RunDir};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Names of our event files begin and end with these.
const PREFIX: &str = "events.out.tfevents.";
const SUFFIX: &str = ".actlab";

/// Keys of a run's configuration that TensorBoard's table of hyper-parameters shows, and where they lie.
const HPARAMS: [(&str, &str); 12] = [
    ("activation", "/activation"),
    ("task", "/task"),
    ("model_name", "/model_name"),
    ("data", "/data/name"),
    ("seed", "/seed"),
    ("learning_rate", "/training/learning_rate"),
    ("batch_size", "/training/batch_size"),
    ("optimizer", "/training/optimizer/name"),
    ("schedule", "/training/schedule"),
    ("warmup", "/training/warmup"),
    ("weight_decay", "/training/weight_decay"),
    ("parameters", "/parameters"),
];

/// The sink, as users call it.
pub const NAME: &str = "TensorBoard";

pub(crate) static KIND: Kind = Kind {
    key: "tensorboard",
    name: NAME,
    description: "event files for TensorBoard in the sweep's folder",
    schema: || schemars::schema_for!(SinkRequest),
    variables: None,
    by_sync: false,
};

/// Write event files for TensorBoard into the experiment's folder.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct SinkRequest(pub bool);

impl crate::SinkRequest for SinkRequest {
    fn settle(
        &self,
        _: &Environment<'_>,
        sweep: &Path,
    ) -> Result<Option<Box<dyn Configured>>, SettingsError> {
        let settings = Settings { folder: folder_of(sweep) };
        Ok(self.0.then(|| Box::new(settings) as Box<dyn Configured>))
    }
}

/// Where event files are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Folder that has one for each run.
    pub folder: PathBuf,
}

impl Configured for Settings {
    fn target(&self, _: Pace, _: &Notice) -> Result<Option<Target>, SettingsError> {
        Ok(Some(target(self.folder.clone())))
    }

    fn introduction(&self) -> String {
        format!("TensorBoard: tensorboard --logdir {}", self.folder.display())
    }

    fn has_all(&self, dir: &RunDir) -> Result<bool, record::Error> {
        Ok(is_complete(&self.folder, dir))
    }

    fn catches_up(&self, dir: &RunDir) -> bool {
        !is_complete(&self.folder, dir)
    }

    fn catching_up(&self, runs: usize) -> Option<String> {
        let word = if runs == 1 { "run" } else { "runs" };
        Some(format!("TensorBoard: writing event files of {runs} finished {word}"))
    }
}

/// The sink that writes event files, a folder for each run below `folder`.
#[must_use]
pub fn target(folder: PathBuf) -> Target {
    Target {
        name: NAME,
        pace: Pace::default().of_files(),
        lanes: 1,
        open: Box::new(move |dir: &RunDir| {
            let folder = folder_of_run(&folder, dir);
            Ok(Box::new(TensorBoard { folder, file: None, step: 0 }) as Box<dyn Sink>)
        }),
        fallback: None,
    }
}

struct TensorBoard {
    /// Of this run alone.
    folder: PathBuf,
    file: Option<AppendFile>,
    /// Last step: what has no step of its own is shown there.
    step: i64,
}

impl TensorBoard {
    /// Begins the run's folder anew: what an earlier beginning left would be shown twice.
    fn begin(&mut self, run: &Run) -> io::Result<AppendFile> {
        fs::create_dir_all(&self.folder)?;
        for path in event_files(&self.folder)? {
            fs::remove_file(path)?;
        }
        let name = format!("{PREFIX}{:.0}{SUFFIX}", run.started);
        let mut file = AppendFile::create(&self.folder.join(name))?;
        let version = What::FileVersion("brain.Event:2".to_owned());
        let hparams =
            summary(vec![hparams_value("session_start_info", &session_start(run, &self.folder))]);
        file.append(&[frame(run.started, 0, version), frame(run.started, 0, hparams)].concat())?;
        Ok(file)
    }

    fn write(&mut self, event: &Event) -> io::Result<()> {
        let frame = match event {
            Event::Start(run) => {
                // A run without metrics, as a sweep's report, has nothing to show.
                if [TRAIN, TUNE].contains(&run.job_type.as_str()) {
                    self.file = Some(self.begin(run)?);
                }
                return Ok(());
            }
            Event::Point(point) => {
                self.step = i64::try_from(point.step).unwrap_or(i64::MAX);
                frame(point.time, self.step, summary(values(point)))
            }
            Event::System { time, figures } => {
                let values = figures.iter();
                let values = values.map(|(name, value)| scalar(&format!("system/{name}"), *value));
                frame(*time, self.step, summary(values.collect()))
            }
            Event::End { exit_code, time } => {
                let end = SessionEndInfo { status: status_of(*exit_code), end_time_secs: *time };
                let data = HparamsData { session_end_info: Some(end), ..HparamsData::default() };
                let value = hparams_value("session_end_info", &data);
                frame(*time, self.step, summary(vec![value]))
            }
            Event::Output { .. } | Event::Summary(_) | Event::File(_) => return Ok(()),
        };
        self.file.as_mut().map_or(Ok(()), |file| file.append(&frame))
    }
}

impl Sink for TensorBoard {
    fn take(&mut self, event: &Event) -> Result<(), Fault> {
        self.write(event).map_err(|error| {
            Fault::later(format!("cannot write {}: {error}", self.folder.display()))
        })
    }

    fn flush(&mut self) -> Result<bool, Fault> {
        Ok(true)
    }
}

/// Folder of event files of the sweep in `sweep`.
#[must_use]
pub fn folder_of(sweep: &Path) -> PathBuf {
    sweep.join("tensorboard")
}

/// Folder of event files of the run in `dir`. Its name is that of the run's own folder: a label is not enough,
/// since runs with other settings share it.
fn folder_of_run(folder: &Path, dir: &RunDir) -> PathBuf {
    folder.join(dir.path().file_name().unwrap_or_default())
}

/// The event files of ours in the folder of a run.
fn event_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(PREFIX) && name.ends_with(SUFFIX) {
            paths.push(entry.path());
        }
    }
    Ok(paths)
}

/// Whether the event files below `folder` tell of the finished run in `dir` to its end. Where its record
/// cannot be read, nothing more can be told.
#[must_use]
pub fn is_complete(folder: &Path, dir: &RunDir) -> bool {
    let Ok(record) = dir.record() else { return true };
    let Ok(paths) = event_files(&folder_of_run(folder, dir)) else { return false };
    let [path] = paths.as_slice() else { return false };
    let Ok(Some(last)) = last_event(path) else { return false };
    // The end of an attempt that was interrupted is one that failed, or lies before the run's own.
    let Some(status) = end_status(&last) else { return false };
    let timing = record.timing;
    status == status_of(exit_code(&record.outcome)) && last.wall_time >= timing.ended() - 1e-3
}

/// The last event of a file, where it is whole and no longer than one that tells of an end.
fn last_event(path: &Path) -> io::Result<Option<EventProto>> {
    const LONGEST: u64 = 1024;
    let mut file = fs::File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LONGEST)))?;
    let mut tail = Vec::new();
    file.take(LONGEST).read_to_end(&mut tail)?;
    // The one that is as long as it says, ends with the file, and has the right checksums.
    let event = |start| -> Option<EventProto> {
        let (head, rest) = tail.get(start..)?.split_first_chunk::<8>()?;
        let (head_sum, rest) = rest.split_first_chunk()?;
        let (event, event_sum) = rest.split_last_chunk()?;
        let whole = u64::from_le_bytes(*head) == event.len() as u64
            && u32::from_le_bytes(*head_sum) == masked(crc32c::crc32c(head))
            && u32::from_le_bytes(*event_sum) == masked(crc32c::crc32c(event));
        EventProto::decode(event).ok().filter(|_| whole)
    };
    Ok((0..tail.len()).rev().find_map(event))
}

/// How the run ended, where `event` tells of its end.
fn end_status(event: &EventProto) -> Option<i32> {
    let Some(What::Summary(summary)) = &event.what else { return None };
    let data = summary.value.first()?.metadata.as_ref()?.plugin_data.as_ref()?;
    let data = HparamsData::decode(data.content.as_slice()).ok()?;
    data.session_end_info.map(|end| end.status)
}

fn status_of(exit_code: i32) -> i32 {
    if exit_code == 0 { STATUS_SUCCESS } else { STATUS_FAILURE }
}

fn values(point: &Point) -> Vec<SummaryValue> {
    let values = point.metrics.iter().map(|(tag, metric)| match metric {
        Metric::Number(value) => Some(scalar(tag, *value)),
        Metric::Histogram(histogram) => Some(SummaryValue {
            tag: tag.clone(),
            histo: Some(histogram_proto(histogram)),
            ..SummaryValue::default()
        }),
        Metric::Json(_) => None,
    });
    values.flatten().collect()
}

#[expect(clippy::cast_possible_truncation, reason = "TensorBoard shows single precision")]
fn scalar(tag: &str, value: f64) -> SummaryValue {
    SummaryValue {
        tag: tag.to_owned(),
        simple_value: Some(value as f32),
        ..SummaryValue::default()
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn histogram_proto(histogram: &Histogram) -> HistogramProto {
    HistogramProto {
        min: histogram.min,
        max: histogram.max,
        num: histogram.counts.iter().sum::<u64>() as f64,
        sum: histogram.sum,
        sum_squares: histogram.sum_of_squares,
        bucket_limit: histogram.edges().into_iter().skip(1).collect(),
        bucket: histogram.counts.iter().map(|count| *count as f64).collect(),
    }
}

fn session_start(run: &Run, folder: &Path) -> HparamsData {
    let config = Value::Object(run.config.clone());
    let hparams = HPARAMS
        .into_iter()
        .filter_map(|(name, path)| Some((name.to_owned(), hparam(config.pointer(path)?)?)))
        .collect();
    // Sessions of one name are taken for one.
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let start =
        SessionStartInfo { hparams, group_name: name.into_owned(), start_time_secs: run.started };
    HparamsData { session_start_info: Some(start), ..HparamsData::default() }
}

fn hparam(value: &Value) -> Option<ProtoValue> {
    match value {
        Value::Number(number) => {
            Some(ProtoValue { number: number.as_f64(), ..ProtoValue::default() })
        }
        Value::String(text) => {
            Some(ProtoValue { string: Some(text.clone()), ..ProtoValue::default() })
        }
        Value::Bool(truth) => Some(ProtoValue { bool: Some(*truth), ..ProtoValue::default() }),
        _ => None,
    }
}

fn hparams_value(name: &str, data: &HparamsData) -> SummaryValue {
    let plugin = PluginData { plugin_name: "hparams".to_owned(), content: data.encode_to_vec() };
    SummaryValue {
        tag: format!("_hparams_/{name}"),
        metadata: Some(SummaryMetadata { plugin_data: Some(plugin) }),
        ..SummaryValue::default()
    }
}

fn summary(value: Vec<SummaryValue>) -> What {
    What::Summary(Summary { value })
}

/// A TFRecord with an event: length, its checksum, the event, its checksum.
fn frame(wall_time: f64, step: i64, what: What) -> Vec<u8> {
    let event = EventProto { wall_time, step, what: Some(what) }.encode_to_vec();
    let length = (event.len() as u64).to_le_bytes();
    let mut frame = Vec::with_capacity(event.len() + 16);
    frame.extend(length);
    frame.extend(masked(crc32c::crc32c(&length)).to_le_bytes());
    frame.extend(&event);
    frame.extend(masked(crc32c::crc32c(&event)).to_le_bytes());
    frame
}

/// TensorFlow's mask, for checksums of data that holds checksums.
fn masked(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xA282_EAD8)
}

// tensorflow.Event and tensorboard.hparams, as far as they are needed.

#[derive(Clone, PartialEq, Message)]
struct EventProto {
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(oneof = "What", tags = "3, 5")]
    what: Option<What>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum What {
    #[prost(string, tag = "3")]
    FileVersion(String),
    #[prost(message, tag = "5")]
    Summary(Summary),
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<SummaryValue>,
}

#[derive(Clone, PartialEq, Message)]
struct SummaryValue {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
    #[prost(message, optional, tag = "5")]
    histo: Option<HistogramProto>,
    #[prost(message, optional, tag = "9")]
    metadata: Option<SummaryMetadata>,
}

#[derive(Clone, PartialEq, Message)]
struct HistogramProto {
    #[prost(double, tag = "1")]
    min: f64,
    #[prost(double, tag = "2")]
    max: f64,
    #[prost(double, tag = "3")]
    num: f64,
    #[prost(double, tag = "4")]
    sum: f64,
    #[prost(double, tag = "5")]
    sum_squares: f64,
    #[prost(double, repeated, tag = "6")]
    bucket_limit: Vec<f64>,
    #[prost(double, repeated, tag = "7")]
    bucket: Vec<f64>,
}

#[derive(Clone, PartialEq, Message)]
struct SummaryMetadata {
    #[prost(message, optional, tag = "1")]
    plugin_data: Option<PluginData>,
}

#[derive(Clone, PartialEq, Message)]
struct PluginData {
    #[prost(string, tag = "1")]
    plugin_name: String,
    #[prost(bytes = "vec", tag = "2")]
    content: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct HparamsData {
    #[prost(int32, tag = "1")]
    version: i32,
    #[prost(message, optional, tag = "3")]
    session_start_info: Option<SessionStartInfo>,
    #[prost(message, optional, tag = "4")]
    session_end_info: Option<SessionEndInfo>,
}

#[derive(Clone, PartialEq, Message)]
struct SessionStartInfo {
    #[prost(btree_map = "string, message", tag = "1")]
    hparams: BTreeMap<String, ProtoValue>,
    #[prost(string, tag = "4")]
    group_name: String,
    #[prost(double, tag = "5")]
    start_time_secs: f64,
}

const STATUS_SUCCESS: i32 = 1;
const STATUS_FAILURE: i32 = 2;

#[derive(Clone, PartialEq, Message)]
struct SessionEndInfo {
    #[prost(int32, tag = "1")]
    status: i32,
    #[prost(double, tag = "2")]
    end_time_secs: f64,
}

/// google.protobuf.Value.
#[derive(Clone, PartialEq, Message)]
struct ProtoValue {
    #[prost(double, optional, tag = "2")]
    number: Option<f64>,
    #[prost(string, optional, tag = "3")]
    string: Option<String>,
    #[prost(bool, optional, tag = "4")]
    bool: Option<bool>,
}
