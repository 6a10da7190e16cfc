use crate::Error;
use crate::plan::PlannedRun;
use crate::sweep_dir::which_are_done;
use record::{RunDir, RunId, RunRecord};
use std::path::Path;

/// Gives runs as they become possible.
pub(crate) trait Work {
    /// Runs that can begin now and were not given before.
    ///
    /// # Errors
    /// If what they follow from cannot be read.
    fn next(&mut self) -> Result<Vec<PlannedRun>, Error>;

    /// A run that was given has ended.
    fn finished(&mut self, record: &RunRecord);

    /// A run that was given cannot be trained. The answer says what waits for it, where something does.
    fn refused(&mut self, run: &RunId) -> Option<String> {
        let _ = run;
        None
    }

    /// How many runs there are in all, as far as is known.
    fn total(&self) -> usize;

    /// Runs that were done before.
    fn done(&self) -> &[RunDir];
}

/// Runs that are all known.
pub(crate) struct PlannedWork {
    open: Vec<PlannedRun>,
    done: Vec<RunDir>,
    /// How many there are.
    total: usize,
}

impl PlannedWork {
    /// `all`, with their records below `runs`.
    pub(crate) fn new(all: &[PlannedRun], runs: &Path) -> Self {
        let mut work = Self { open: Vec::new(), done: Vec::new(), total: all.len() };
        for (run, (dir, done)) in all.iter().zip(which_are_done(all, runs)) {
            if done {
                work.done.push(dir);
            } else {
                work.open.push(run.clone());
            }
        }
        work
    }

    /// Runs that were not done before, until they are given.
    pub(crate) fn open(&self) -> impl Iterator<Item = &PlannedRun> {
        self.open.iter()
    }
}

impl Work for PlannedWork {
    fn next(&mut self) -> Result<Vec<PlannedRun>, Error> {
        Ok(std::mem::take(&mut self.open))
    }

    fn finished(&mut self, _: &RunRecord) {}

    fn total(&self) -> usize {
        self.total
    }

    fn done(&self) -> &[RunDir] {
        &self.done
    }
}
