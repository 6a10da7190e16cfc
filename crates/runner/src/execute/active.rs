//! A run that a worker has been told to train, seen through its record.

use super::{Job, Token};
use crate::Error;
use crate::console::RunProgress;
use crate::plan::PlannedRun;
use crate::tracking::Tracking;
use record::{Event, MetricsReader, Outcome, RunDir, RunRecord};
use tracking::Following;

/// Times in a row that a worker may be stopped before it has begun, as where the time of a cluster's task is over,
/// before that costs retries.
const MOST_UNSTARTED: u32 = 100;

pub(super) struct Active<'a> {
    pub(super) run: PlannedRun,
    pub(super) token: Token,
    /// How often it has been begun again.
    pub(super) retries: u32,
    dir: RunDir,
    progress: RunProgress<'a>,
    /// What the worker writes, once it has begun.
    stream: Option<MetricsReader>,
    /// Tells trackers of the end.
    following: Option<Following>,
    /// The step after which the worker resumed: those before it are known.
    after_step: u64,
    last_step: u64,
    /// How often in a row its worker was stopped before it had begun.
    unstarted: u32,
    /// Whether what the worker writes cannot be read: it is not looked at any more.
    blind: bool,
}

impl<'a> Active<'a> {
    pub(super) fn new(run: PlannedRun, job: &Job, progress: RunProgress<'a>) -> Self {
        Self {
            run,
            token: job.token.clone(),
            retries: 0,
            dir: job.dir(),
            progress,
            stream: None,
            following: None,
            after_step: 0,
            last_step: 0,
            unstarted: 0,
            blind: false,
        }
    }

    pub(super) fn dir(&self) -> &RunDir {
        &self.dir
    }

    /// The record of the run, if it has one. That of a failure counts where the worker says that it has `done` its work:
    /// else it is that of an earlier sweep.
    pub(super) fn result(&self, done: bool) -> Result<Option<RunRecord>, record::Error> {
        match self.dir.outcome()? {
            None => Ok(None),
            Some(Outcome::Failed { .. }) if !done => Ok(None),
            Some(_) => self.dir.record().map(Some),
        }
    }

    /// Whether the worker has begun with the run.
    pub(super) fn has_begun(&mut self, tracking: &Tracking) -> bool {
        let _ = self.look(tracking);
        self.stream.is_some() || self.blind
    }

    /// Whether a worker that was stopped costs no retry: it made steps, or had not yet begun.
    pub(super) fn stops_for_free(&self) -> bool {
        let begun = self.stream.is_some() || self.blind;
        !begun || self.last_step > self.after_step
    }

    /// Whether it may be begun again once more without a retry.
    pub(super) fn may_stop_for_free(&self) -> bool {
        self.unstarted < MOST_UNSTARTED
    }

    /// It is begun again under another token; `free` is whether that is no retry.
    pub(super) fn again(&mut self, token: Token, free: bool) {
        self.retries += u32::from(!free);
        let begun = self.stream.is_some() || self.blind;
        self.unstarted = if free && !begun { self.unstarted + 1 } else { 0 };
        self.token = token;
        self.stream = None;
        self.blind = false;
        // Steps of the worker before are no progress of the next one.
        (self.after_step, self.last_step) = (0, 0);
    }

    /// Shows what is new in the record, and lets trackers follow it from its beginning. Where that cannot be read,
    /// the run itself continues; the answer then says why.
    pub(super) fn look(&mut self, tracking: &Tracking) -> Option<String> {
        if self.blind {
            return None;
        }
        let result = self.try_look(tracking);
        self.blind = result.is_err();
        result.err().map(|error| format!("{}: no progress is shown: {error}", self.run.label()))
    }

    fn try_look(&mut self, tracking: &Tracking) -> Result<(), Error> {
        if self.stream.is_none() {
            let Some(attempt) = self.dir.attempt() else { return Ok(()) };
            if attempt.token != self.token {
                return Ok(());
            }
            self.begun(attempt.after_step, tracking)?;
        }
        self.read()
    }

    fn begun(&mut self, after_step: u64, tracking: &Tracking) -> Result<(), Error> {
        self.stream = Some(self.dir.metrics()?);
        self.after_step = after_step;
        self.progress.resume(after_step);
        self.following = Some(tracking.follow(&self.dir));
        Ok(())
    }

    fn read(&mut self) -> Result<(), Error> {
        for line in self.stream.iter_mut().flatten() {
            match line?.event {
                Event::Train(step) if step.step > self.after_step => {
                    self.last_step = step.step;
                    self.progress.step(&step);
                }
                Event::Validation(evaluation) => self.progress.validation(evaluation),
                _ => {}
            }
        }
        Ok(())
    }

    /// It has a record.
    pub(super) fn end(mut self, record: &RunRecord, tracking: &Tracking) {
        // A short run may have ended before anybody looked. What cannot be shown was not lost.
        if self.stream.is_none() {
            let _ = self.begun(0, tracking);
        }
        let _ = self.read();
        if let Some(following) = self.following {
            following.end(tracking::exit_code(&record.outcome));
        }
        self.progress.end(record);
    }

    /// It could not be trained.
    pub(super) fn refused(self) {
        if let Some(following) = self.following {
            following.end(1);
        }
        self.progress.leave();
    }

    /// It was stopped.
    pub(super) fn stopped(self) {
        if let Some(following) = self.following {
            following.end(130);
        }
    }
}
