//! Checkpoints of a run that has not ended.

use super::checksum::hexadecimal;
use super::stream::{MetricsWriter, kind_of, step_of};
use super::{METRICS, RunDir, read_file};
use crate::{Error, write_atomically};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};

const PREFIX: &str = "checkpoint-";
const ENDING: &str = ".safetensors";

/// Hexadecimal digits of a checksum in the name of a checkpoint.
const DIGITS: usize = 16;

/// Checkpoints of a run that are kept: the last one, and one more should it be damaged.
const KEPT: usize = 2;

/// The file of a checkpoint. Its name is `checkpoint-STEP-BYTES-CHECKSUM.safetensors`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointFile {
    /// The last step that is in it.
    pub step: u64,
    /// Length of the metrics stream when it was taken.
    pub metrics_bytes: u64,
    /// The first digits of the SHA-256 of that much of the metrics stream, followed by the file; absent in the names of
    /// early versions.
    checksum: Option<String>,
    path: PathBuf,
}

/// Where in its run a checkpoint was taken: after which step, and at which length of the stream, since there may be one
/// before and one after the evaluation of a step.
type Moment = (u64, u64);

/// A run as it was when a checkpoint was taken.
#[derive(Debug, Clone)]
pub struct SavedRun {
    /// The metrics stream until then.
    pub(super) metrics: Vec<u8>,
    /// Content of the checkpoint's file.
    pub checkpoint: Vec<u8>,
    moment: Moment,
}

impl SavedRun {
    /// The last training step in the metrics stream; nothing where there is none.
    #[must_use]
    pub fn last_step(&self) -> Option<u64> {
        let lines = self.metrics.rsplit(|byte| *byte == b'\n');
        lines.filter(|line| kind_of(line) == b"train").find_map(step_of)
    }
}

impl CheckpointFile {
    fn named(path: PathBuf) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        let mut parts = name.strip_prefix(PREFIX)?.strip_suffix(ENDING)?.split('-');
        let (step, metrics_bytes) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let checksum = parts.next().map(str::to_owned);
        Some(Self { step, metrics_bytes, checksum, path })
    }

    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn moment(&self) -> Moment {
        (self.step, self.metrics_bytes)
    }

    /// Removes it.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub fn remove(&self) -> Result<(), Error> {
        fs::remove_file(&self.path).map_err(Error::io("remove", &self.path))
    }
}

/// The part of a checkpoint's name that tells whether it and the stream are as they were.
fn checksum(metrics: Sha256, checkpoint: &[u8]) -> String {
    let mut digits = hexadecimal(&metrics.chain_update(checkpoint).finalize());
    digits.truncate(DIGITS);
    digits
}

impl RunDir {
    /// Checkpoints of the run, the newest first.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn checkpoints(&self) -> Result<Vec<CheckpointFile>, Error> {
        let entries = match fs::read_dir(self.path()) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Error::io("read", self.path())(error)),
        };
        let mut found = Vec::new();
        for entry in entries {
            let path = entry.map_err(Error::io("read", self.path()))?.path();
            found.extend(CheckpointFile::named(path));
        }
        found.sort_by_key(|checkpoint| std::cmp::Reverse(checkpoint.moment()));
        Ok(found)
    }

    /// Removes every checkpoint.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub fn remove_checkpoints(&self) -> Result<(), Error> {
        self.remove_checkpoints_but(None)
    }

    /// Removes every checkpoint but that after `step`.
    pub(super) fn remove_checkpoints_but(&self, step: Option<u64>) -> Result<(), Error> {
        let all = self.checkpoints()?;
        all.iter().filter(|one| Some(one.step) != step).try_for_each(CheckpointFile::remove)
    }

    /// Keeps a checkpoint of the run after `step`, with its metrics stream `metrics` as it is now, and the one
    /// before it; older ones are removed.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub fn write_checkpoint(
        &self,
        metrics: &MetricsWriter,
        step: u64,
        bytes: &[u8],
    ) -> Result<(), Error> {
        // The stream must not be shorter than the checkpoint says, whatever happens to the machine.
        let (length, digest) = metrics.sync()?;
        let checksum = checksum(digest, bytes);
        let name = format!("{PREFIX}{step}-{length}-{checksum}{ENDING}");
        let path = self.path().join(name);
        write_atomically(&path, bytes)?;
        let older = |one: &&CheckpointFile| one.moment() < (step, length);
        let all = self.checkpoints()?;
        let kept: Vec<&CheckpointFile> = all.iter().filter(older).take(KEPT - 1).collect();
        let useless = |one: &&CheckpointFile| one.path != path && !kept.contains(one);
        all.iter().filter(useless).try_for_each(CheckpointFile::remove)
    }

    /// Reads a checkpoint of this run, and the metrics stream until it was taken.
    ///
    /// # Errors
    /// If they cannot be read, or are not as they were.
    pub fn read_checkpoint(&self, file: &CheckpointFile) -> Result<SavedRun, Error> {
        let damaged =
            |reason: &str| Error::Damaged { path: file.path.clone(), reason: reason.into() };
        let Some(stated) = &file.checksum else {
            return Err(damaged("it is of an earlier version, without a checksum"));
        };
        let checkpoint = read_file(&file.path).map_err(Error::io("read", &file.path))?;
        let path = self.path().join(METRICS);
        let mut metrics = read_file(&path).map_err(Error::io("read", &path))?;
        let length = usize::try_from(file.metrics_bytes).unwrap_or(usize::MAX);
        if metrics.len() < length {
            return Err(damaged("metrics.jsonl is shorter than when it was taken"));
        }
        metrics.truncate(length);
        if checksum(Sha256::new_with_prefix(&metrics), &checkpoint) != *stated {
            return Err(damaged(
                "it, or metrics.jsonl before it, does not have the checksum in its name",
            ));
        }
        Ok(SavedRun { metrics, checkpoint, moment: file.moment() })
    }

    /// Continues in this folder from `saved`, a state of this run or of one that begins in the same way. Later
    /// checkpoints, which the stream then no longer fits, are removed.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub fn resume(&self, saved: &SavedRun) -> Result<MetricsWriter, Error> {
        let later = self.checkpoints()?;
        later
            .iter()
            .filter(|one| one.moment() > saved.moment)
            .try_for_each(CheckpointFile::remove)?;
        MetricsWriter::create(self.path().join(METRICS), &saved.metrics)
    }
}
