//! Runs in a folder.

use super::{RECORD, RunDir, RunState};
use crate::{Error, PredictionLine, Predictions, RunRecord, Timeline};
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::thread::ScopedJoinHandle;

/// Folders that a thread looks into at least; fewer are not worth another thread.
const LEAST_SHARE: usize = 256;

/// A finished run and where it lies.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredRun {
    /// Its folder.
    pub dir: RunDir,
    /// Its record.
    pub record: RunRecord,
}

impl StoredRun {
    /// Reads the record in `dir`.
    ///
    /// # Errors
    /// If it is missing, damaged or of another schema.
    pub fn read(dir: RunDir) -> Result<Self, Error> {
        Ok(Self { record: dir.record()?, dir })
    }

    /// What was measured at evaluations, as [`RunDir::timeline`] reads it.
    ///
    /// # Errors
    /// Those of [`RunDir::timeline`], and where the stream is not the one that the run left.
    pub fn timeline(&self, most: usize) -> Result<Timeline, Error> {
        self.dir.checked_timeline(&self.record.files, most)
    }

    /// The test predictions, as [`RunDir::predictions`] reads them.
    ///
    /// # Errors
    /// Those of [`RunDir::predictions`], and where the table is not the one that the run left.
    pub fn predictions(&self) -> Result<Predictions, Error> {
        self.dir.checked_predictions(&self.record.files)
    }

    /// Hands `take` each of the test predictions in their order, without keeping any of them.
    ///
    /// # Errors
    /// Those of [`StoredRun::predictions`]; the predictions before a damaged line have been handed over.
    pub fn each_prediction(&self, take: impl FnMut(PredictionLine)) -> Result<(), Error> {
        self.dir.each_checked_prediction(&self.record.files, take)
    }
}

/// Finds everything below `runs` that may be a run, ordered by folder name, and how far it has come.
///
/// # Errors
/// If the folder cannot be read.
pub fn find_all_runs(runs: &Path) -> Result<Vec<(RunDir, RunState)>, Error> {
    look_at_runs(runs, |dir| {
        let state = dir.state();
        (dir, state)
    })
}

/// What `look` makes of everything below `runs` that may be a run, ordered by folder name.
///
/// # Errors
/// If the folder cannot be read.
pub fn look_at_runs<T: Send>(
    runs: &Path,
    look: impl Fn(RunDir) -> T + Sync,
) -> Result<Vec<T>, Error> {
    let entries = fs::read_dir(runs).map_err(Error::io("read", runs))?;
    let mut names = Vec::new();
    for entry in entries {
        names.push(entry.map_err(Error::io("read", runs))?.file_name());
    }
    names.sort_unstable();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let share = names.len().div_ceil(threads).max(LEAST_SHARE);
    let look_at = |part: &[OsString]| -> Vec<T> {
        part.iter().map(|name| look(RunDir::at(runs.join(name)))).collect()
    };
    let look_at = &look_at;
    // The system waits for each file: several threads wait side by side.
    Ok(std::thread::scope(|scope| {
        let start = |part| {
            let thread = std::thread::Builder::new().spawn_scoped(scope, move || look_at(part));
            thread.map_err(|_| part)
        };
        let parts: Vec<_> = names.chunks(share).map(start).collect();
        let join = |part: Result<ScopedJoinHandle<'_, Vec<T>>, &[OsString]>| match part {
            Ok(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            // Where the system gives no thread, this one looks.
            Err(part) => look_at(part),
        };
        parts.into_iter().flat_map(join).collect()
    }))
}

/// Finds every finished run below `runs`, ordered by folder name, without reading it.
///
/// # Errors
/// If the folder cannot be read.
pub fn find_runs(runs: &Path) -> Result<Vec<RunDir>, Error> {
    let finished = |(dir, state)| (state == RunState::Finished).then_some(dir);
    Ok(find_all_runs(runs)?.into_iter().filter_map(finished).collect())
}

/// Whether a run below `runs` has ended, so that a result could be seen. A damaged record counts: it was whole once.
///
/// # Errors
/// If the folder cannot be read.
pub fn any_run_has_ended(runs: &Path) -> Result<bool, Error> {
    for entry in fs::read_dir(runs).map_err(Error::io("read", runs))? {
        let path = entry.map_err(Error::io("read", runs))?.path();
        if path.join(RECORD).exists() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Reads every finished run below `runs`, ordered by folder name; unfinished and damaged ones are left out.
///
/// # Errors
/// If the folder cannot be read, or a record is of another schema.
pub fn read_runs(runs: &Path) -> Result<Vec<StoredRun>, Error> {
    find_runs(runs)?.into_iter().map(StoredRun::read).collect()
}
