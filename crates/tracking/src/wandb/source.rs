//! Offline directories as a source of events.

use super::log::{LogError, LogReader};
use super::note::{Destination, Note, note};
use super::offline::map_of;
use super::payload::special_number;
use super::proto::{Record, RunRecord};
use super::{mark_synced, synced_name};
use crate::event::{Document, Event, Metric, Point, Run};
use crate::source::Source;
use record::{Error, RunDir};
use serde_json::{Map, Value};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};

/// Reads an offline directory.
#[derive(Debug)]
pub struct LogSource {
    dir: RunDir,
    file: PathBuf,
    id: String,
    /// It says how its run ended.
    whole: bool,
    log: Option<LogReader>,
    ready: VecDeque<Event>,
    ended: bool,
    time: f64,
}

impl LogSource {
    /// The offline directory `directory`.
    ///
    /// # Errors
    /// If it holds no file of a run.
    pub fn open(directory: &Path) -> Result<Self, LogError> {
        let file = file_in(directory)?;
        // That it can be read is seen now.
        let mut log = LogReader::open(&file)?;
        let (mut id, mut whole, mut destination) = (None, false, None);
        while let Some(record) = log.next()? {
            whole |= record.exit.is_some();
            if let Some(run) = record.run {
                destination = destination_of(&run);
                id = Some(run.run_id);
            }
        }
        let Some(id) = id.filter(|id| !id.is_empty()) else {
            let reason = "it names no run".to_owned();
            return Err(LogError::Format { path: file, reason });
        };
        let source = Self {
            dir: RunDir::at(directory.to_owned()),
            file,
            id,
            whole,
            log: None,
            ready: VecDeque::new(),
            ended: false,
            time: 0.0,
        };
        let known = note(&source.dir).ok().flatten().filter(|run| run.id == source.id);
        let lacking = known.as_ref().is_none_or(|run| run.destination.is_none());
        let is_new = known.is_none();
        let mut run = known.unwrap_or_else(|| Note::new(source.id.clone()));
        if is_new || (lacking && destination.is_some()) {
            run.destination = destination;
            let path = directory.to_owned();
            let written = source.dir.write_note(&run);
            // Without the id, the run would have another one the next time; without the rest, it is as it was.
            if is_new {
                written
                    .map_err(|error| LogError::Io { path, source: std::io::Error::other(error) })?;
            }
        }
        Ok(source)
    }

    /// Whether `directory` holds the file of an offline run, be it damaged.
    #[must_use]
    pub fn is_one(directory: &Path) -> bool {
        file_in(directory).is_ok()
    }

    /// Whether a server has all of it, files included.
    #[must_use]
    pub fn is_uploaded(&self) -> bool {
        let upload = note(&self.dir).ok().flatten().and_then(|note| note.upload);
        upload.is_some_and(|upload| upload.complete)
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Whether the directory was uploaded before, by whomever.
    #[must_use]
    pub fn is_synced(&self) -> bool {
        self.dir.path().join(synced_name(&self.id)).exists()
    }

    /// Whether it says how its run ended: without that the run is still written, or its process was killed.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.whole
    }

    /// Remembers that the directory is uploaded.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn mark_synced(&self) -> std::io::Result<()> {
        mark_synced(self.dir.path(), &self.id)
    }

    fn read(&mut self) -> Result<bool, LogError> {
        if self.ended {
            return Ok(false);
        }
        let log = match &mut self.log {
            Some(log) => log,
            None => self.log.insert(LogReader::open(&self.file)?),
        };
        match log.next()? {
            Some(record) => self.translate(record),
            None => {
                // No exit: the process was killed.
                self.ready.push_back(Event::End { exit_code: 255, time: self.time });
                self.ended = true;
            }
        }
        Ok(true)
    }

    fn translate(&mut self, record: Record) {
        if let Some(run) = record.run {
            self.ready.push_back(Event::Start(Box::new(run_of(&run))));
        }
        if let Some(history) = record.history {
            let mut row = map_of(&history.item);
            let step = row.remove("_step").as_ref().and_then(Value::as_u64);
            let step = step.or_else(|| u64::try_from(history.step.as_ref()?.num).ok());
            let time = row.remove("_timestamp").as_ref().and_then(Value::as_f64);
            row.remove("_runtime");
            self.time = time.unwrap_or(self.time);
            let point = Point {
                step: step.unwrap_or(0),
                time: self.time,
                metrics: row.into_iter().map(metric).collect(),
            };
            self.ready.push_back(Event::Point(point));
        }
        if let Some(stats) = record.stats {
            let time = stats.timestamp.map_or(self.time, |time| time.seconds());
            let figures = map_of(&stats.item).into_iter();
            let figures = figures.filter_map(|(name, value)| Some((name, value.as_f64()?)));
            self.ready.push_back(Event::System { time, figures: figures.collect() });
        }
        if let Some(output) = record.output_raw {
            let time = output.timestamp.map_or(self.time, |time| time.seconds());
            for line in output.line.lines() {
                self.ready.push_back(Event::Output { time, line: line.to_owned() });
            }
        }
        if let Some(summary) = record.summary {
            let figures = map_of(&summary.update).into_iter().map(metric).collect();
            self.ready.push_back(Event::Summary(figures));
        }
        for file in record.files.into_iter().flat_map(|files| files.files) {
            // A name is never a way out of the directory.
            let name = Path::new(&file.path);
            if name.components().all(|part| matches!(part, std::path::Component::Normal(_)))
                && let Ok(bytes) = std::fs::read(self.dir.path().join("files").join(name))
            {
                self.ready.push_back(Event::File(Document { name: file.path, bytes }));
            }
        }
        if let Some(exit) = record.exit {
            self.ready.push_back(Event::End { exit_code: exit.exit_code, time: self.time });
            self.ended = true;
        }
    }
}

impl Clone for LogSource {
    /// The same directory, from its beginning.
    fn clone(&self) -> Self {
        Self {
            dir: self.dir.clone(),
            file: self.file.clone(),
            id: self.id.clone(),
            whole: self.whole,
            log: None,
            ready: VecDeque::new(),
            ended: false,
            time: 0.0,
        }
    }
}

impl Source for LogSource {
    fn folder(&self) -> &RunDir {
        &self.dir
    }

    fn next(&mut self) -> Result<Option<Event>, Error> {
        while self.ready.is_empty() {
            let more = self.read().map_err(|error| Error::Io {
                action: "read",
                path: self.file.clone(),
                source: std::io::Error::other(error),
            })?;
            if !more {
                break;
            }
        }
        Ok(self.ready.pop_front())
    }

    fn rewind(&mut self) {
        *self = self.clone();
    }
}

/// The one file of a run in `directory`.
fn file_in(directory: &Path) -> Result<PathBuf, LogError> {
    let io = |source| LogError::Io { path: directory.to_owned(), source };
    for entry in std::fs::read_dir(directory).map_err(io)? {
        let path = entry.map_err(io)?.path();
        if path.extension().is_some_and(|extension| extension == "wandb") {
            return Ok(path);
        }
    }
    let reason = "there is no run-ID.wandb in it".to_owned();
    Err(LogError::Format { path: directory.to_owned(), reason })
}

fn metric((name, value): (String, Value)) -> (String, Metric) {
    let special = value.as_str().and_then(special_number);
    (name, special.map_or(Metric::Json(value), Metric::Number))
}

/// Where the directory says that its run belongs. Its group and tags are with the run.
fn destination_of(run: &RunRecord) -> Option<Destination> {
    let text = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    Some(Destination {
        server: None,
        entity: text(&run.entity),
        project: text(&run.project)?,
        group: None,
        tags: Vec::new(),
    })
}

fn run_of(run: &RunRecord) -> Run {
    let config = run.config.as_ref().map(|config| map_of(&config.update)).unwrap_or_default();
    Run {
        name: run.display_name.clone(),
        job_type: run.job_type.clone(),
        group: run.run_group.clone(),
        tags: run.tags.clone(),
        config: config.into_iter().filter(|(key, _)| key != "_wandb").collect::<Map<_, _>>(),
        started: run.start_time.as_ref().map_or(0.0, super::proto::Timestamp::seconds),
        environment: None,
    }
}
