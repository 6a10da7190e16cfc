//! Directories that `wandb sync` takes.

use super::log::LogWriter;
use super::note::{Destination, Note, note_or_new};
use super::payload::{self, Row};
use super::proto::{
    FilesItem, FilesRecord, GitRepoRecord, HeaderRecord, HistoryRecord, HistoryStep, Item, Items,
    OutputRawRecord, Record, RunExitRecord, RunRecord, StatsRecord, Timestamp, VersionInfo,
};
use super::{Mode, Settings, log_name, synced_name};
use crate::event::{Document, Point, Run};
use crate::{Event, Fault, Sink};
use record::{RunDir, write_atomically};
use serde_json::{Map, Value};
use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Oldest version of W&B's client that reads this.
const MIN_CONSUMER: &str = "0.15.0";

/// Writes the directory of one run, from its beginning: an older directory of the run is written anew.
#[derive(Debug)]
pub(super) struct Offline {
    settings: Settings,
    dir: RunDir,
    note: Note,
    open: Option<Open>,
    /// Records of the last event that are not written yet.
    waiting: VecDeque<Record>,
}

#[derive(Debug)]
struct Open {
    log: LogWriter,
    directory: PathBuf,
    started: f64,
    summary: Row,
}

impl Offline {
    pub(super) fn new(settings: Settings, dir: RunDir) -> Result<Self, Fault> {
        let note = note_or_new(&dir)?;
        Ok(Self { settings, dir, note, open: None, waiting: VecDeque::new() })
    }

    fn begin(&mut self, run: &Run) -> io::Result<()> {
        let id = &self.note.id;
        // `wandb sync` takes directories whose names begin with `offline-`, and would send the whole of one
        // that the server has in part behind that part. Ours knows better, and takes any.
        let prefix = if self.note.upload.is_some() { "run" } else { "offline-run" };
        let is_ours = |directory: &PathBuf| {
            let name = directory.file_name().unwrap_or_default().to_string_lossy();
            directory.is_dir() && name.starts_with(&format!("{prefix}-"))
        };
        let known = self.note.offline.clone().filter(is_ours);
        let directory = known.unwrap_or_else(|| {
            let name = format!("{prefix}-{}-{id}", payload::moment_in_names(run.started));
            self.settings.dir.join(name)
        });
        let files = directory.join("files");
        fs::create_dir_all(&files)?;
        // What was uploaded of an earlier beginning does not count for this one.
        let _ = fs::remove_file(directory.join(synced_name(id)));
        for (name, bytes) in [
            ("config.yaml", payload::config_yaml(run)),
            ("wandb-metadata.json", payload::metadata(run)),
        ] {
            fs::write(files.join(name), bytes)?;
        }
        let log = LogWriter::create(&directory.join(log_name(id)))?;
        let mut new = self.note.offline.replace(directory.clone()).as_ref() != Some(&directory);
        // A directory that stands in for a server does not change where the run was to be logged.
        if self.settings.mode == Mode::Offline && self.note.upload.is_none() {
            new |= self.note.goes_to(Destination::offline(&self.settings));
        }
        if new {
            self.dir.write_note(&self.note).map_err(io::Error::other)?;
        }
        self.waiting.extend(self.first_records(run));
        self.open = Some(Open { log, directory, started: run.started, summary: Row::default() });
        Ok(())
    }

    fn first_records(&self, run: &Run) -> [Record; 3] {
        let header = HeaderRecord {
            version_info: Some(VersionInfo {
                producer: payload::producer(),
                min_consumer: MIN_CONSUMER.to_owned(),
            }),
        };
        let config = payload::config(run);
        let config =
            config.iter().map(|(key, wrapped)| item(key, &wrapped["value"].to_string())).collect();
        let commit = payload::commit(run)
            .map(|commit| GitRepoRecord { remote_url: String::new(), commit: commit.to_owned() });
        let run = RunRecord {
            run_id: self.note.id.clone(),
            entity: self.settings.entity.clone().unwrap_or_default(),
            project: self.settings.project.clone(),
            config: Some(Items { update: config }),
            run_group: payload::group(run, &self.settings).to_owned(),
            job_type: run.job_type.clone(),
            display_name: run.name.clone(),
            tags: payload::tags(run, &self.settings),
            host: payload::host(),
            start_time: Some(Timestamp::of(run.started)),
            git: commit,
        };
        [
            Record { header: Some(header), ..Record::default() },
            Record { run: Some(run), ..Record::default() },
            files(&["config.yaml", "wandb-metadata.json"]),
        ]
    }

    /// The records that an event becomes.
    fn records(open: &mut Open, event: &Event) -> io::Result<Vec<Record>> {
        Ok(match event {
            Event::Start(_) => Vec::new(),
            Event::Point(point) => vec![history(open, point)],
            Event::System { time, figures } => {
                let stats = StatsRecord {
                    stats_type: 0,
                    timestamp: Some(Timestamp::of(*time)),
                    item: figures
                        .iter()
                        .map(|(key, value)| item(key, &payload::number(*value)))
                        .collect(),
                };
                vec![Record { stats: Some(stats), ..Record::default() }]
            }
            Event::Output { time, line } => {
                let output = OutputRawRecord {
                    output_type: 1,
                    timestamp: Some(Timestamp::of(*time)),
                    line: format!("{line}\n"),
                };
                vec![Record { output_raw: Some(output), ..Record::default() }]
            }
            Event::Summary(values) => {
                open.summary.add(&payload::row_of(values));
                Vec::new()
            }
            Event::File(Document { name, bytes }) => {
                fs::write(open.directory.join("files").join(name), bytes)?;
                vec![files(&[name])]
            }
            Event::End { exit_code, time } => {
                open.summary.add(&payload::ending(*time, open.started));
                let path = open.directory.join("files").join("wandb-summary.json");
                write_atomically(&path, open.summary.to_json().as_bytes())
                    .map_err(io::Error::other)?;
                let update = open.summary.iter().map(|(key, value)| item(key, value)).collect();
                #[expect(clippy::cast_possible_truncation, reason = "seconds of a run")]
                let exit = RunExitRecord {
                    exit_code: *exit_code,
                    runtime: payload::runtime(*time, open.started) as i32,
                };
                vec![
                    Record { summary: Some(Items { update }), ..Record::default() },
                    files(&["wandb-summary.json"]),
                    Record { exit: Some(exit), ..Record::default() },
                ]
            }
        })
    }
}

impl Sink for Offline {
    fn take(&mut self, event: &Event) -> Result<(), Fault> {
        // What is left of the event before goes first.
        self.flush()?;
        if let Event::Start(run) = event {
            self.begin(run).map_err(|error| full(&self.settings.dir, &error))?;
        } else if let Some(open) = &mut self.open {
            let records =
                Self::records(open, event).map_err(|error| full(&open.directory, &error))?;
            self.waiting.extend(records);
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<bool, Fault> {
        if let Some(open) = &mut self.open {
            while let Some(record) = self.waiting.front() {
                open.log.append(record).map_err(|error| full(&open.directory, &error))?;
                self.waiting.pop_front();
            }
        }
        Ok(true)
    }
}

fn full(directory: &Path, error: &io::Error) -> Fault {
    Fault::later(format!("cannot write {}: {error}", directory.display()))
}

fn history(open: &mut Open, point: &Point) -> Record {
    let row = payload::history(point, open.started);
    open.summary.add(&row);
    let items = row.iter().map(|(key, value)| item(key, value)).collect();
    #[expect(clippy::cast_possible_wrap, reason = "steps are far below 2^63")]
    let step = HistoryStep { num: point.step as i64 };
    Record { history: Some(HistoryRecord { item: items, step: Some(step) }), ..Record::default() }
}

fn files(names: &[&str]) -> Record {
    let files =
        names.iter().map(|name| FilesItem { path: (*name).to_owned(), policy: 1 }).collect();
    Record { files: Some(FilesRecord { files }), ..Record::default() }
}

fn item(key: &str, json: &str) -> Item {
    Item { key: key.to_owned(), nested_key: Vec::new(), value_json: json.to_owned() }
}

/// What [`Item`]s say.
pub(super) fn map_of(items: &[Item]) -> Map<String, Value> {
    items
        .iter()
        .map(|item| {
            let key =
                if item.key.is_empty() { item.nested_key.join(".") } else { item.key.clone() };
            // What is no JSON is text.
            let value = serde_json::from_str(&item.value_json)
                .unwrap_or_else(|_| Value::from(item.value_json.as_str()));
            (key, value)
        })
        .collect()
}
