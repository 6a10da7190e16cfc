//! Files of a run: one folder, written by one process, readable at any instant.

mod atomic;
mod checkpoint;
mod checksum;
mod find;
mod lock;
mod note;
mod plain;
mod stream;

pub use atomic::write_atomically;
pub use checkpoint::{CheckpointFile, SavedRun};
pub use checksum::FileSum;
pub(crate) use checksum::{seal, sha256};
pub use find::{StoredRun, any_run_has_ended, find_all_runs, find_runs, look_at_runs, read_runs};
pub use lock::{HeldLocks, RunLock, is_same_file};
pub use note::{Link, Note};
pub use plain::{open_lock, read_file};
pub use stream::{MetricsReader, MetricsWriter, Timeline, now};

use crate::{
    Attempt, Error, Outcome, PredictionLine, Predictions, RunId, RunRecord, RunSpec, SCHEMA_VERSION,
};
use checksum::Seal;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

const SPEC: &str = "spec.json";
const METRICS: &str = "metrics.jsonl";
const PREDICTIONS: &str = "predictions.csv";
const RECORD: &str = "record.json";
const ATTEMPT: &str = "attempt.json";
const LOCK: &str = ".lock";

/// Where a record is kept that this program cannot use, when its run is trained again.
const UNUSABLE: &str = "record.json.unusable";

/// Age of a temporary file that no process still writes.
const LITTER_AGE: Duration = Duration::from_secs(3600);

/// Bytes at the beginning of a record in which its id stands.
const HEAD_BYTES: usize = 128;

/// Bytes of a folder's name that every file system takes.
const LONGEST_NAME: usize = 255;

/// How far a run has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunState {
    /// No folder, or an empty one.
    Absent,
    /// Begun and not ended.
    Unfinished,
    /// Its record is there, and whole.
    Finished,
    /// There is a file in the place of its record that is none: empty, cut off, altered, of another run or schema.
    Damaged,
}

/// The folder of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunDir {
    path: PathBuf,
}

impl RunDir {
    /// The folder that `spec` has below `runs`: a readable label and the hash. A label that is too long for a file
    /// system is cut, and what no name of a task has, as in a record of unknown origin, is replaced: so the folder lies
    /// below `runs` whatever the spec says.
    #[must_use]
    pub fn of(runs: &Path, spec: &RunSpec) -> Self {
        Self::with_id(runs, spec, &spec.id())
    }

    /// The same where the id of `spec` is known.
    #[must_use]
    pub fn with_id(runs: &Path, spec: &RunSpec, id: &RunId) -> Self {
        let safe = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
        let longest = LONGEST_NAME - 1 - id.as_str().len();
        let label: String = spec.label().chars().map(safe).take(longest).collect();
        Self { path: runs.join(format!("{label}-{id}")) }
    }

    /// The folder `path`, as a user named it.
    #[must_use]
    pub fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// The folder itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The run's id, as the folder's name has it.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        let (_, id) = self.path.file_name()?.to_str()?.rsplit_once('-')?;
        Some(id)
    }

    /// Where the lock of the run lies while a process works on it.
    #[must_use]
    pub fn lock_path(&self) -> PathBuf {
        self.path.join(LOCK)
    }

    /// How far the run has come. A record counts where it is whole and that of the run that the folder is named after.
    #[must_use]
    pub fn state(&self) -> RunState {
        let own = |bytes: &[u8]| checksum::check(bytes) == Seal::Whole && self.is_own(bytes);
        match with_content(&self.path.join(RECORD), own) {
            Ok(true) => RunState::Finished,
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                if self.path.join(SPEC).exists() { RunState::Unfinished } else { RunState::Absent }
            }
            // An early record has no checksum.
            _ => match self.outcome() {
                Ok(Some(_)) => RunState::Finished,
                Ok(None) | Err(_) => RunState::Damaged,
            },
        }
    }

    /// Whether a whole record is that of the run that the folder is named after, as its first lines tell.
    fn is_own(&self, record: &[u8]) -> bool {
        let Some(id) = self.id() else { return false };
        let head = &record[..record.len().min(HEAD_BYTES)];
        let mut lines = head.split(|byte| *byte == b'\n');
        lines.any(|line| {
            let stated =
                line.strip_prefix(b"  \"id\": \"").and_then(|rest| rest.strip_suffix(b"\","));
            stated == Some(id.as_bytes())
        })
    }

    /// Creates the folder, and keeps other processes from writing the run; nothing where one does.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub fn lock(&self) -> Result<Option<RunLock>, Error> {
        fs::create_dir_all(&self.path).map_err(Error::io("create", &self.path))?;
        let path = self.lock_path();
        let file = open_lock(&path).map_err(Error::io("write", &path))?;
        match file.try_lock() {
            // The process that ended the run took the file away, and another may have made one of the same name.
            Ok(()) if is_same_file(&file, &path) => Ok(Some(RunLock { _file: file })),
            Ok(()) | Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(Error::io("lock", &path)(source)),
        }
    }

    /// Starts the run anew: writes its spec and opens an empty metrics stream. A record that cannot be used is kept
    /// under another name.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub fn begin(&self, spec: &RunSpec) -> Result<MetricsWriter, Error> {
        fs::create_dir_all(&self.path).map_err(Error::io("create", &self.path))?;
        // Those of another stream must not be taken for ones of this, nor an earlier end for this one's.
        self.remove_checkpoints()?;
        match self.outcome() {
            Ok(Some(_)) => self.remove(RECORD)?,
            Ok(None) => {}
            // One that cannot be read now may be whole.
            Err(error @ Error::Io { .. }) if !error.is_no_file() => return Err(error),
            Err(_) => self.set_record_aside()?,
        }
        self.remove(PREDICTIONS)?;
        self.remove_litter();
        let path = self.path.join(SPEC);
        let json = serde_json::to_vec_pretty(spec).map_err(Error::format("run spec", &path))?;
        write_atomically(&path, &json)?;
        MetricsWriter::create(self.path.join(METRICS), &[])
    }

    /// Gives the record another name, which no earlier one has, so that the run is trained again.
    ///
    /// # Errors
    /// If there is none, or the folder cannot be written.
    pub fn set_record_aside(&self) -> Result<(), Error> {
        let path = self.path.join(RECORD);
        let named = |number| match number {
            1 => self.path.join(UNUSABLE),
            number => self.path.join(format!("{UNUSABLE}-{number}")),
        };
        let free = (1..).map(named).find(|name| !name.exists());
        let free = free.unwrap_or_else(|| named(1));
        fs::rename(&path, free).map_err(Error::io("rename", &path))
    }

    /// Says which process works on the run from now on.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub fn write_attempt(&self, attempt: &Attempt) -> Result<(), Error> {
        let path = self.path.join(ATTEMPT);
        let json = serde_json::to_vec_pretty(attempt)
            .map_err(Error::format("note of an attempt", &path))?;
        write_atomically(&path, &json)
    }

    /// Which process worked on the run last; nothing where none has begun, the run has ended, or the note cannot be
    /// read: nothing depends on it.
    #[must_use]
    pub fn attempt(&self) -> Option<Attempt> {
        read_json(&self.path.join(ATTEMPT), "note of an attempt").ok()
    }

    /// Writes the test predictions.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub fn write_predictions(&self, predictions: &Predictions) -> Result<(), Error> {
        let csv = predictions.to_csv();
        write_atomically(&self.path.join(PREDICTIONS), csv.as_bytes())
    }

    /// Ends the run: after this it is [`RunState::Finished`]. The record gets the checksums of the files beside it, and
    /// its own. Checkpoints are removed, but for that at the end of a trial, from which a longer one continues.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub fn finish(&self, record: &RunRecord) -> Result<(), Error> {
        fs::create_dir_all(&self.path).map_err(Error::io("create", &self.path))?;
        let mut record = record.clone();
        for name in [METRICS, PREDICTIONS] {
            let path = self.path.join(name);
            // What the record says of a file must not be on the disk before the file is.
            let read = File::open(&path).and_then(|mut file| {
                file.sync_all()?;
                let mut content = Vec::new();
                file.read_to_end(&mut content)?;
                Ok(content)
            });
            match read {
                Ok(content) => {
                    record.files.insert(name.to_owned(), FileSum::of(&content));
                }
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(source) => return Err(Error::io("read", &path)(source)),
            }
        }
        let path = self.path.join(RECORD);
        let content = record.to_file().map_err(Error::format("run record", &path))?;
        write_atomically(&path, &content)?;
        self.tidy(&record);
        Ok(())
    }

    /// Removes what only a run that has not ended needs: checkpoints, but for that at the end of a trial, from which a
    /// longer one continues. The caller holds its lock. What cannot be removed does no harm to a run that has ended.
    pub fn tidy(&self, record: &RunRecord) {
        let end = record.spec.trial.map(|trial| trial.steps);
        let checkpoints = self.remove_checkpoints_but(end);
        self.remove_litter();
        // As long as the note is there, another process tries again.
        if checkpoints.is_ok() {
            let _ = self.remove(ATTEMPT);
        }
        let _ = self.remove(LOCK);
    }

    /// Does what [`RunDir::tidy`] does for a run whose process wrote the record and was killed before it could. Does
    /// nothing where there is no record, or another process still works on the run.
    pub fn tidy_after_kill(&self) {
        // The note of the attempt is removed after everything but the lock.
        if !self.path.join(ATTEMPT).exists() {
            return;
        }
        // Before the lock, whose file a run without a record would keep.
        let Ok(record) = self.record() else { return };
        if let Ok(Some(_lock)) = self.lock() {
            self.tidy(&record);
        }
    }

    /// Removes temporary files that killed processes have left. Young ones may be those of a tracker, which writes its
    /// note without the lock of the run.
    fn remove_litter(&self) {
        let files = fs::read_dir(&self.path).into_iter().flatten().filter_map(Result::ok);
        for file in files {
            let name = file.file_name();
            let name = name.to_string_lossy();
            let temporary = name.starts_with('.') && name.ends_with(atomic::TEMPORARY);
            let age = || file.metadata().ok()?.modified().ok()?.elapsed().ok();
            if temporary && age().is_some_and(|age| age > LITTER_AGE) {
                let _ = fs::remove_file(file.path());
            }
        }
    }

    fn remove(&self, name: &str) -> Result<(), Error> {
        let path = self.path.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(Error::io("remove", &path)(error))
            }
            _ => Ok(()),
        }
    }

    /// Reads the final record.
    ///
    /// # Errors
    /// If it is missing, damaged, or of another schema.
    pub fn record(&self) -> Result<RunRecord, Error> {
        let path = self.path.join(RECORD);
        let parsed = with_content(&path, |bytes| parse_record(&path, bytes));
        parsed.map_err(Error::io("read", &path))?
    }

    /// How the run ended, if it has: the record is read as far as that needs, and must be that of this folder's run.
    ///
    /// # Errors
    /// If there is a record that is damaged, of another schema, or of another run.
    pub fn outcome(&self) -> Result<Option<Outcome>, Error> {
        #[derive(Deserialize)]
        struct Head {
            schema: u32,
            id: RunId,
            outcome: Outcome,
        }

        let path = self.path.join(RECORD);
        let look = |bytes: &[u8]| match checksum::check(bytes) {
            Seal::Whole => {
                let head = parse(&path, bytes, |head: &Head| head.schema)?;
                Ok((head.id, head.outcome))
            }
            Seal::Absent | Seal::Broken => {
                let record = parse_record(&path, bytes)?;
                Ok((record.id, record.outcome))
            }
        };
        let (id, outcome) = match with_content(&path, look) {
            Ok(read) => read?,
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(Error::io("read", &path)(error)),
        };
        if self.id() != Some(id.as_str()) {
            return Err(Error::Damaged { path, reason: format!("it is the record of run {id}") });
        }
        Ok(Some(outcome))
    }

    /// Reads the spec.
    ///
    /// # Errors
    /// If it is missing or damaged.
    pub fn spec(&self) -> Result<RunSpec, Error> {
        read_json(&self.path.join(SPEC), "run spec")
    }

    /// Reads what was measured at evaluations, which is much faster than the whole stream: every evaluation on
    /// validation data, and the sites and gradients of at most `most` of them, evenly spread, the last one
    /// included. A torn last line is left out.
    ///
    /// # Errors
    /// If the stream cannot be read, or one of these lines is damaged.
    pub fn timeline(&self, most: usize) -> Result<Timeline, Error> {
        self.checked_timeline(&BTreeMap::new(), most)
    }

    fn checked_timeline(
        &self,
        files: &BTreeMap<String, FileSum>,
        most: usize,
    ) -> Result<Timeline, Error> {
        self.with_checked(METRICS, files, |path, content| Timeline::read(content, path, most))
    }

    /// Reads the test predictions, in the order of the examples.
    ///
    /// # Errors
    /// If there are none, or they are damaged; the error tells the line.
    pub fn predictions(&self) -> Result<Predictions, Error> {
        self.checked_predictions(&BTreeMap::new())
    }

    fn checked_predictions(&self, files: &BTreeMap<String, FileSum>) -> Result<Predictions, Error> {
        self.with_checked(PREDICTIONS, files, |path, content| {
            Predictions::from_csv(content).map_err(wrong_line(path))
        })
    }

    fn each_checked_prediction(
        &self,
        files: &BTreeMap<String, FileSum>,
        take: impl FnMut(PredictionLine),
    ) -> Result<(), Error> {
        self.with_checked(PREDICTIONS, files, |path, content| {
            Predictions::each_in_csv(content, take).map_err(wrong_line(path))
        })
    }

    /// What `read` makes of a file of the run, of its path and content; where `files` has its checksum, that is compared
    /// before.
    fn with_checked<R>(
        &self,
        name: &str,
        files: &BTreeMap<String, FileSum>,
        read: impl FnOnce(&Path, &[u8]) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let path = self.path.join(name);
        let look = |content: &[u8]| {
            if let Some(sum) = files.get(name) {
                sum.check(&path, content)?;
            }
            read(&path, content)
        };
        with_content(&path, look).map_err(Error::io("read", &path))?
    }

    /// Opens the metrics stream, of a finished run or a running one.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn metrics(&self) -> Result<MetricsReader, Error> {
        MetricsReader::open(self.path.join(METRICS))
    }
}

/// What `look` makes of the content of the file at `path`. Reports and status read thousands of files: those of usual
/// size are read into the same memory.
fn with_content<R>(path: &Path, look: impl FnOnce(&[u8]) -> R) -> std::io::Result<R> {
    /// Bytes of the memory, which most files of a run fit into.
    const KEPT: usize = 256 << 10;
    thread_local! {
        static START: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    }

    let mut file = plain::open(path)?;
    // While it is looked at, another file may be read.
    let mut start = START.take();
    start.resize(KEPT, 0);
    let mut length = 0;
    let read = loop {
        match file.read(&mut start[length..]) {
            // A full memory, or the end of the file.
            Ok(0) => break Ok(()),
            Ok(more) => length += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => break Err(error),
        }
    };
    let result = read.and_then(|()| {
        if length < start.len() {
            return Ok(look(&start[..length]));
        }
        let mut content = start.clone();
        file.read_to_end(&mut content)?;
        Ok(look(&content))
    });
    START.set(start);
    result
}

/// Names the line of the table of predictions at `path` that makes no sense.
fn wrong_line(path: &Path) -> impl FnOnce(usize) -> Error {
    let path = path.to_owned();
    move |line| Error::Predictions { path, line }
}

fn read_json<T: DeserializeOwned>(path: &Path, what: &'static str) -> Result<T, Error> {
    let bytes = read_file(path).map_err(Error::io("read", path))?;
    serde_json::from_slice(&bytes).map_err(Error::format(what, path))
}

/// The record in `bytes`, the content of the file at `path`.
pub(crate) fn parse_record(path: &Path, bytes: &[u8]) -> Result<RunRecord, Error> {
    let seal = checksum::check(bytes);
    let record = parse(path, bytes, |record: &RunRecord| record.schema)?;
    // The checksum covers the spec.
    let reason = if seal != Seal::Whole && record.spec.id() != record.id {
        "its spec is not the one that its id stands for"
    } else if seal == Seal::Broken {
        "its content does not have the checksum at its end"
    } else {
        return Ok(record);
    };
    Err(Error::Damaged { path: path.to_owned(), reason: reason.to_owned() })
}

/// Reads a record, or a part of it, that says of which schema it is.
fn parse<T: DeserializeOwned>(
    path: &Path,
    bytes: &[u8],
    schema: impl Fn(&T) -> u32,
) -> Result<T, Error> {
    #[derive(Deserialize)]
    struct Schema {
        schema: u64,
    }

    let other = |found| Error::Schema { path: path.to_owned(), found };
    match serde_json::from_slice(bytes) {
        Ok(parsed) if schema(&parsed) == SCHEMA_VERSION => Ok(parsed),
        Ok(parsed) => Err(other(schema(&parsed))),
        // Where it cannot be read, its schema may be the reason.
        Err(error) => Err(match serde_json::from_slice::<Schema>(bytes) {
            Ok(Schema { schema }) if schema != u64::from(SCHEMA_VERSION) => {
                other(u32::try_from(schema).unwrap_or(u32::MAX))
            }
            _ => Error::format("run record", path)(error),
        }),
    }
}

#[cfg(test)]
mod tests;
