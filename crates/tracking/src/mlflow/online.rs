//! Runs that a tracking server follows during training.

use super::Note;
use super::client::{Beginning, Client, Found, Refusal, RemoteRun};
use super::form::{self, Sample};
use super::settings::Settings;
use crate::event::{Document, Metric, Run};
use crate::{Event, Fault, Notice, Pace, Sink};
use record::{RunDir, RunState};
use serde_json::Value;
use std::sync::Arc;
use std::time::Instant;

/// Metrics of one request at most, and parameters: the server's own limits.
const METRICS: usize = 1000;
const PARAMETERS: usize = 100;
/// Metrics that wait at most.
const WAITING: usize = 10_000;

/// One run on a server.
pub(super) struct Online {
    client: Arc<Client>,
    settings: Settings,
    pace: Pace,
    dir: RunDir,
    notice: Notice,
    /// What is in the run's folder, if anything is.
    kept: Option<Note>,
    run: Option<Box<Run>>,
    /// What the server has of the run, where it was asked and then turned the next request away.
    found: Option<Found>,
    session: Option<Session>,
    /// Metrics that the server may lack, in order.
    waiting: Vec<Sample>,
    /// Lines of history that were taken.
    lines: u64,
    /// Step of the last one: where what has no step of its own is shown.
    step: u64,
    /// Samples of system metrics that were taken.
    samples: u64,
    /// Figures of the whole run, until its end gives them a time.
    summary: Vec<(String, Metric)>,
    files: Vec<Document>,
    /// Files that the server did not take, and why.
    refused: Vec<String>,
    ending: Option<(i32, f64)>,
    announced: bool,
    /// Requests by which the server got something.
    taken: u64,
    complete: bool,
}

/// What the server said when it was asked for the run.
struct Session {
    known: RemoteRun,
    /// Parameters that the server lacks.
    parameters: Vec<(String, String)>,
    /// When metrics were last sent.
    sent: Option<Instant>,
    /// Metrics were sent, and whether they have arrived is not known.
    doubtful: bool,
    /// The figures of the whole run have arrived.
    summarized: bool,
}

impl Session {
    /// Whether the server has this value, or a later one of the same metric.
    fn has(&self, sample: &Sample) -> bool {
        self.known.metrics.get(&sample.key).is_some_and(|(step, _)| *step >= sample.step)
    }

    /// What became of metrics that were sent. Where they were turned away, they have certainly not arrived.
    fn settle(&mut self, answer: Result<(), Refusal>) -> Result<(), Fault> {
        answer.map_err(|refusal| {
            self.doubtful = !refusal.is_busy();
            refusal.into()
        })
    }
}

impl Online {
    pub(super) fn new(
        client: Arc<Client>,
        settings: &Settings,
        pace: Pace,
        dir: RunDir,
        kept: Option<Note>,
        notice: Notice,
    ) -> Self {
        Self {
            client,
            settings: settings.clone(),
            pace,
            dir,
            notice,
            kept,
            run: None,
            found: None,
            session: None,
            waiting: Vec::new(),
            lines: 0,
            step: 0,
            samples: 0,
            summary: Vec::new(),
            files: Vec::new(),
            refused: Vec::new(),
            ending: None,
            announced: false,
            taken: 0,
            complete: false,
        }
    }

    /// Writes the note, if it says something new.
    fn write_note(&mut self, note: Note) -> Result<(), Fault> {
        if self.kept.as_ref() != Some(&note) {
            self.dir.write_note(&note).map_err(|error| Fault::of_note(&error))?;
            self.kept = Some(note);
        }
        Ok(())
    }

    /// Makes the run known to the server, and learns what that has of it.
    fn open(&mut self, client: &Client, run: &Run) -> Result<Session, Fault> {
        let experiment = self.settings.experiment.clone().unwrap_or_else(|| run.group.clone());
        let note = self.settings.note(self.kept.as_ref(), &experiment);
        // Kept before the server hears of it: `actlab sync` then knows that the run is to be logged.
        self.write_note(note.clone())?;
        let beginning = Beginning {
            experiment: &experiment,
            noted: note.id.as_deref(),
            name: &run.name,
            run_id: form::run_id(run),
            sweep: &run.group,
            start_time: form::milliseconds(run.started),
            tags: form::tags(run),
        };
        let known = client.begin(&beginning, &mut self.found)?;
        let url = client.page(&known);
        self.write_note(Note { id: Some(known.id.clone()), url: Some(url.clone()), ..note })?;
        // Without the note, the next try begins again: that is no progress.
        self.taken += 1;
        if !std::mem::replace(&mut self.announced, true) {
            (self.notice)(&format!("MLflow: {}: {url}", run.name));
        }
        // One that is there never changes.
        let mut parameters = form::parameters(&run.config);
        parameters.retain(|(name, _)| !known.parameters.contains(name));
        let session = Session { known, parameters, sent: None, doubtful: false, summarized: false };
        // A run that begins anew repeats its history.
        self.waiting.retain(|sample| !session.has(sample));
        Ok(session)
    }

    /// Asks the server what it has of the run.
    fn look_again(&mut self, client: &Client, session: &mut Session) -> Result<(), Fault> {
        let id = &session.known.id;
        session.known = client.run(id)?.ok_or_else(|| {
            Fault::Run(format!("{}: the run {id} is no longer there", self.settings.base_url))
        })?;
        self.waiting.retain(|sample| !session.has(sample));
        session.doubtful = false;
        Ok(())
    }

    fn push(&mut self, sample: Sample) {
        if !self.session.as_ref().is_some_and(|session| session.has(&sample)) {
            self.waiting.push(sample);
        }
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
        let done = self.talk(client, &mut session);
        self.session = Some(session);
        done
    }

    fn talk(&mut self, client: &Client, session: &mut Session) -> Result<bool, Fault> {
        if session.doubtful {
            self.look_again(client, session)?;
        }
        while !session.parameters.is_empty() {
            let count = session.parameters.len().min(PARAMETERS);
            client.log_batch(&session.known.id, &[], &session.parameters[..count], &[])?;
            session.parameters.drain(..count);
            self.taken += 1;
        }
        let waited = session.sent.is_none_or(|sent| sent.elapsed() >= self.pace.interval);
        if waited || self.ending.is_some() || !self.has_room() {
            while !self.waiting.is_empty() {
                let count = self.waiting.len().min(METRICS);
                let id = &session.known.id;
                let answer = client.log_batch(id, &self.waiting[..count], &[], &[]);
                session.settle(answer)?;
                self.taken += 1;
                self.waiting.drain(..count);
                session.sent = Some(Instant::now());
            }
        }
        let Some((exit_code, time)) = self.ending else { return Ok(self.waiting.is_empty()) };
        self.close(client, session, exit_code, time)?;
        Ok(true)
    }

    /// Hands over what belongs to the whole run, and tells the server that nothing follows.
    fn close(
        &mut self,
        client: &Client,
        session: &mut Session,
        exit_code: i32,
        time: f64,
    ) -> Result<(), Fault> {
        if !session.summarized {
            self.summarize(client, session, time)?;
            session.summarized = true;
            self.taken += 1;
        }
        let known = &session.known;
        self.upload(client, known)?;
        client.end(&known.id, form::status(exit_code), form::milliseconds(time))?;
        // A report consists of its files.
        if !self.refused.is_empty() && self.lines == 0 {
            let files = self.refused.join(", ");
            return Err(Fault::Run(format!("the server did not take these files: {files}")));
        }
        self.complete = true;
        let Some(note) = self.kept.clone() else { return Ok(()) };
        // What the run is resumed for is still to come, and files may be taken later.
        let is_over = !matches!(self.dir.state(), RunState::Unfinished);
        let complete = is_over && self.refused.is_empty();
        self.write_note(Note { lines: self.lines, complete, ..note })?;
        if self.refused.is_empty() { Ok(()) } else { Err(Fault::of_files(&self.refused)) }
    }

    /// Sends the figures of the whole run: numbers as metrics at its last step, texts as tags.
    fn summarize(&self, client: &Client, session: &mut Session, time: f64) -> Result<(), Fault> {
        let known = &session.known;
        let (mut metrics, mut tags) = (Vec::new(), Vec::new());
        for (name, metric) in &self.summary {
            match metric {
                Metric::Number(value) => {
                    metrics.push(Sample::new(name, *value, time, self.step));
                }
                Metric::Json(Value::String(text)) => {
                    tags.push(form::tag(&format!("actlab.{name}"), text));
                }
                Metric::Json(_) | Metric::Histogram(_) => {}
            }
        }
        let there = |sample: &Sample| {
            known.metrics.get(&sample.key) == Some(&(sample.step, sample.timestamp))
        };
        metrics.retain(|sample| !there(sample));
        if !metrics.is_empty() || !tags.is_empty() {
            let answer = client.log_batch(&session.known.id, &metrics, &[], &tags);
            session.settle(answer)?;
        }
        Ok(())
    }

    fn upload(&mut self, client: &Client, known: &RemoteRun) -> Result<(), Fault> {
        if self.files.is_empty() {
            return Ok(());
        }
        let Some(folder) = client.artifact_folder(&known.artifact_uri) else {
            self.files.clear();
            client.say_once(&self.notice, &known.artifact_uri);
            return Ok(());
        };
        while let Some(file) = self.files.last() {
            match client.upload(&folder, file) {
                Ok(()) => {}
                Err(Fault::Run(reason)) => self.refused.push(format!("{} ({reason})", file.name)),
                Err(fault) => return Err(fault),
            }
            self.files.pop();
            self.taken += 1;
        }
        Ok(())
    }

    /// Adds the predictions of a run, which are read when they are needed only.
    fn add_predictions(&mut self) {
        const NAME: &str = "predictions.csv";
        if self.files.iter().any(|file| file.name == "record.json")
            && let Ok(bytes) = std::fs::read(self.dir.path().join(NAME))
        {
            self.files.push(Document { name: NAME.to_owned(), bytes });
        }
    }
}

impl Sink for Online {
    fn take(&mut self, event: &Event) -> Result<(), Fault> {
        match event {
            Event::Start(run) => self.run = Some(run.clone()),
            Event::Point(point) => {
                (self.step, self.lines) = (point.step, self.lines + 1);
                for (name, metric) in &point.metrics {
                    if let Metric::Number(value) = metric {
                        self.push(Sample::new(name, *value, point.time, point.step));
                    }
                }
            }
            Event::System { time, figures } => {
                for (name, value) in figures {
                    let name = format!("system/{name}");
                    self.push(Sample::new(&name, *value, *time, self.samples));
                }
                self.samples += 1;
            }
            // MLflow has no place for a growing text.
            Event::Output { .. } => {}
            Event::Summary(figures) => self.summary.clone_from(figures),
            Event::File(file) => self.files.push(file.clone()),
            Event::End { exit_code, time } => {
                self.ending = Some((*exit_code, *time));
                self.add_predictions();
            }
        }
        Ok(())
    }

    fn taken(&self) -> u64 {
        self.taken
    }

    fn has_room(&self) -> bool {
        self.waiting.len() < WAITING
    }

    fn flush(&mut self) -> Result<bool, Fault> {
        if self.complete {
            return Ok(true);
        }
        let client = Arc::clone(&self.client);
        self.advance(&client)
    }
}
