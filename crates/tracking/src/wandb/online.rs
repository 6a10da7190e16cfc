//! Runs that a server follows during training.

use super::Settings;
use super::client::{Client, Place, Upsert};
use super::files::Files;
use super::note::{Note, Upload, expected};
use super::payload::{self, Row};
use crate::event::{Document, Run};
use crate::{Event, Fault, Notice, Pace, Sink};
use record::{RunDir, RunState};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Instant;

/// Lines of one request at most.
const LINES: usize = 10_000;
/// Their bytes at most.
const BYTES: usize = 4 << 20;

/// One run on a server.
pub(super) struct Online {
    client: Arc<Client>,
    settings: Settings,
    pace: Pace,
    dir: RunDir,
    notice: Notice,
    note: Note,
    run: Option<Box<Run>>,
    session: Option<Session>,
    history: Lines,
    events: Lines,
    output: Lines,
    summary: Row,
    /// The summary has changed since it was sent.
    summary_is_new: bool,
    files: Files,
    /// Requests by which the server got something.
    taken: u64,
    exit_code: Option<i32>,
    /// The server knows that the run has ended.
    complete: bool,
}

/// What the server said when the run began.
struct Session {
    place: Place,
    /// When it last heard of the run.
    heard: Instant,
    /// Whether it has heard of it at all.
    streaming: bool,
}

/// A file that grows by lines, of which the server has the first ones.
#[derive(Debug, Default)]
struct Lines {
    /// Number that the first line of `waiting` has on the server.
    offset: usize,
    /// Lines that are to come and that the server has already.
    known: usize,
    waiting: Vec<String>,
    bytes: usize,
}

impl Lines {
    fn push(&mut self, line: String) {
        self.bytes += line.len();
        self.waiting.push(line);
    }

    /// What was taken before it was known how much the server has is sorted out.
    fn begin(&mut self, base: usize, has: usize) {
        self.offset = base;
        self.known = has.saturating_sub(base);
        self.skip();
    }

    /// Leaves out what the server has.
    fn skip(&mut self) {
        let skipped = self.known.min(self.waiting.len());
        self.waiting.drain(..skipped);
        self.offset += skipped;
        self.known -= skipped;
        self.bytes = self.waiting.iter().map(String::len).sum();
    }

    /// Whether there has been no line.
    fn is_new(&self) -> bool {
        self.offset == 0 && self.waiting.is_empty()
    }

    fn is_full(&self) -> bool {
        self.waiting.len() >= LINES || self.bytes >= BYTES
    }

    fn chunk(&self) -> Value {
        json!({ "offset": self.offset, "content": self.waiting })
    }

    fn sent(&mut self) {
        self.offset += self.waiting.len();
        self.waiting.clear();
        self.bytes = 0;
    }
}

impl Online {
    pub(super) fn new(
        client: Arc<Client>,
        settings: Settings,
        pace: Pace,
        dir: RunDir,
        notice: Notice,
    ) -> Result<Self, Fault> {
        let note = expected(&dir, &settings)?;
        let settings = match &note.destination {
            Some(destination) => settings.at(destination),
            None => settings,
        };
        Ok(Self {
            client,
            settings,
            pace,
            dir,
            notice,
            note,
            run: None,
            session: None,
            history: Lines::default(),
            events: Lines::default(),
            output: Lines::default(),
            summary: Row::default(),
            summary_is_new: false,
            files: Files::default(),
            taken: 0,
            exit_code: None,
            complete: false,
        })
    }

    /// Makes the run known to the server, and learns what that has of it.
    fn open(&mut self, client: &Client, run: &Run) -> Result<Session, Fault> {
        client.check_key()?;
        // The id is kept before the server hears of it, or a crash would leave a run without an owner.
        self.write_note()?;
        let bucket = client.upsert(Upsert {
            id: &self.note.id,
            entity: self.settings.entity.as_deref(),
            project: &self.settings.project,
            group: payload::group(run, &self.settings),
            display_name: &run.name,
            job_type: &run.job_type,
            tags: payload::tags(run, &self.settings),
            config: payload::config(run),
            host: payload::host(),
            commit: payload::commit(run),
        })?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a time")]
        let attempt = (run.started * 1e6) as u64;
        let server = &self.settings.base_url;
        let here =
            |upload: &Upload| upload.is_on(server) && upload.is_in(&bucket.entity, &bucket.project);
        let (entity, project) = (Some(bucket.entity.clone()), Some(bucket.project.clone()));
        let upload = match self.note.upload.take() {
            Some(upload) if upload.attempt == attempt && here(&upload) => {
                Upload { complete: false, entity, project, ..upload }
            }
            // A run that begins anew repeats its history to the last line, so what the server has of that
            // is not sent again. Its system metrics and output are new.
            _ => Upload {
                attempt,
                events_base: bucket.events_lines.unwrap_or(0) as u64,
                output_base: bucket.output_lines.unwrap_or(0) as u64,
                complete: false,
                server: Some(server.clone()),
                entity,
                project,
            },
        };
        let base = |lines: u64| usize::try_from(lines).unwrap_or(usize::MAX);
        let (events, output) = (base(upload.events_base), base(upload.output_base));
        self.history.begin(0, bucket.history_lines);
        self.events.begin(events, bucket.events_lines.unwrap_or(events));
        self.output.begin(output, bucket.output_lines.unwrap_or(output));
        let url = self.settings.run_url(&bucket.entity, &bucket.project, &self.note.id);
        self.note.url = Some(url.clone());
        self.note.upload = Some(upload);
        self.write_note()?;
        (self.notice)(&format!("W&B: {}: {url}", run.name));
        self.taken += 1;
        let place =
            Place { entity: bucket.entity, project: bucket.project, id: self.note.id.clone() };
        Ok(Session { place, heard: Instant::now(), streaming: false })
    }

    fn write_note(&self) -> Result<(), Fault> {
        self.dir.write_note(&self.note).map_err(|error| Fault::later(error.to_string()))
    }

    /// Sends what waits.
    fn send(&mut self, client: &Client, session: &mut Session) -> Result<(), Fault> {
        let mut files = Map::new();
        for (name, lines) in [
            ("wandb-history.jsonl", &self.history),
            ("wandb-events.jsonl", &self.events),
            ("output.log", &self.output),
        ] {
            if !lines.waiting.is_empty() {
                files.insert(name.into(), lines.chunk());
            }
        }
        if self.summary_is_new {
            let line = self.summary.to_json();
            files.insert("wandb-summary.json".into(), json!({ "offset": 0, "content": [line] }));
        }
        let body = if files.is_empty() { json!({}) } else { json!({ "files": files }) };
        client.file_stream(&session.place, &body)?;
        self.taken += u64::from(self.waits());
        session.heard = Instant::now();
        session.streaming = true;
        for lines in [&mut self.history, &mut self.events, &mut self.output] {
            lines.sent();
        }
        self.summary_is_new = false;
        Ok(())
    }

    /// Tells the server that nothing follows.
    fn close(&mut self, client: &Client, session: &Session, exit_code: i32) -> Result<(), Fault> {
        let mut body = json!({ "complete": true, "exitcode": exit_code });
        if !self.files.uploaded().is_empty() {
            body["uploaded"] = json!(self.files.uploaded());
        }
        client.file_stream(&session.place, &body)?;
        let refused = self.files.refused();
        // A report consists of its files.
        if !refused.is_empty() && self.history.is_new() {
            let files = refused.join(", ");
            return Err(Fault::Run(format!("the server did not take these files: {files}")));
        }
        self.complete = true;
        // What the run is resumed for is still to come, and files may be taken later.
        let is_over = refused.is_empty() && !matches!(self.dir.state(), RunState::Unfinished);
        if let Some(upload) = &mut self.note.upload {
            upload.complete = is_over;
        }
        // A directory that stood in for the server while it was away says nothing new.
        if let Some(directory) = self.note.offline.as_deref().filter(|directory| directory.is_dir())
        {
            super::mark_synced(directory, &self.note.id)
                .map_err(|error| Fault::later(error.to_string()))?;
        }
        self.write_note()?;
        if refused.is_empty() { Ok(()) } else { Err(Fault::of_files(refused)) }
    }

    fn advance(&mut self, client: &Client) -> Result<bool, Fault> {
        let mut session = match self.session.take() {
            Some(session) => session,
            None => {
                let Some(run) = self.run.take() else { return Ok(true) };
                let opened = self.open(client, &run);
                self.run = Some(run);
                opened?
            }
        };
        let advanced = self.talk(client, &mut session);
        self.session = Some(session);
        advanced
    }

    fn talk(&mut self, client: &Client, session: &mut Session) -> Result<bool, Fault> {
        for lines in [&mut self.history, &mut self.events, &mut self.output] {
            lines.skip();
        }
        let waits = self.waits();
        let silence = session.heard.elapsed();
        let due = match self.exit_code {
            Some(_) => waits || !session.streaming,
            // The first lines go at once: the user may look at the page.
            None if waits => {
                !session.streaming || silence >= self.pace.interval || !self.has_room()
            }
            None => silence >= self.pace.heartbeat,
        };
        if due {
            self.send(client, session)?;
        }
        client.upload(&session.place, &mut self.files)?;
        match self.exit_code {
            Some(code) => {
                self.close(client, session, code)?;
                Ok(true)
            }
            None => Ok(!self.waits()),
        }
    }

    fn waits(&self) -> bool {
        let mut lines = [&self.history, &self.events, &self.output].into_iter();
        self.summary_is_new || lines.any(|lines| !lines.waiting.is_empty())
    }
}

impl Sink for Online {
    fn take(&mut self, event: &Event) -> Result<(), Fault> {
        let started = self.run.as_ref().map_or(0.0, |run| run.started);
        match event {
            Event::Start(run) => {
                self.files
                    .add(Document { name: "config.yaml".into(), bytes: payload::config_yaml(run) });
                self.files.add(Document {
                    name: "wandb-metadata.json".into(),
                    bytes: payload::metadata(run),
                });
                self.run = Some(run.clone());
            }
            Event::Point(point) => {
                let row = payload::history(point, started);
                self.summary.add(&row);
                self.summary_is_new = true;
                self.history.push(row.to_json());
            }
            Event::System { time, figures } => {
                self.events.push(payload::system(*time, started, figures).to_json());
            }
            Event::Output { time, line } => self.output.push(payload::output(*time, line)),
            Event::Summary(values) => {
                self.summary.add(&payload::row_of(values));
                self.summary_is_new = true;
            }
            Event::File(file) => self.files.add(file.clone()),
            Event::End { exit_code, time } => {
                self.summary.add(&payload::ending(*time, started));
                self.summary_is_new = true;
                let bytes = self.summary.to_json().into_bytes();
                self.files.add(Document { name: "wandb-summary.json".into(), bytes });
                self.exit_code = Some(*exit_code);
            }
        }
        Ok(())
    }

    fn taken(&self) -> u64 {
        self.taken + self.files.settled() as u64
    }

    fn has_room(&self) -> bool {
        ![&self.history, &self.events, &self.output].into_iter().any(Lines::is_full)
    }

    fn flush(&mut self) -> Result<bool, Fault> {
        if self.complete {
            return Ok(true);
        }
        let client = Arc::clone(&self.client);
        self.advance(&client)
    }
}
