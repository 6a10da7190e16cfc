//! Files of a run: one folder, written by one process, readable at any instant.

use crate::{
    Attempt, Error, Evaluation, Event, Gradients, Prediction, RunRecord, RunSpec, SCHEMA_VERSION,
    Site, Stamped, WandbRun,
};
use serde::Serialize;
use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

const SPEC: &str = "spec.json";
const METRICS: &str = "metrics.jsonl";
const PREDICTIONS: &str = "predictions.csv";
const RECORD: &str = "record.json";
const WANDB: &str = "wandb.json";
const ATTEMPT: &str = "attempt.json";
const LOCK: &str = ".lock";
const CHECKPOINT: &str = "checkpoint-";
const CHECKPOINT_ENDING: &str = ".safetensors";

/// Checkpoints of a run that are kept: the last one, and one more should it be damaged.
const CHECKPOINTS_KEPT: usize = 2;

/// Writes a file so that a reader sees the old content or the new one, never a part: to a temporary
/// name beside it, synced, then renamed.
///
/// # Errors
/// If the folder cannot be written; the old file is then untouched.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    (|| {
        let mut builder = tempfile::Builder::new();
        builder.prefix(".").suffix(".tmp");
        // Temporary files are private by default, but results are to be read.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let mut file = builder.tempfile_in(folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        // The rename itself reaches the disk with the folder, where folders can be opened.
        #[cfg(unix)]
        File::open(folder)?.sync_all()?;
        Ok(())
    })()
    .map_err(Error::io("write", path))
}

/// How far a run has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunState {
    /// No folder, or an empty one.
    Absent,
    /// Begun and not ended.
    Unfinished,
    /// Its record is there.
    Finished,
}

/// The folder of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunDir {
    path: PathBuf,
}

/// Held while a run is written; the system frees it when the process ends, however it ends.
#[derive(Debug)]
pub struct RunLock {
    _file: File,
}

impl RunDir {
    /// The folder that `spec` has below `runs`: a readable label and the hash.
    #[must_use]
    pub fn of(runs: &Path, spec: &RunSpec) -> Self {
        Self { path: runs.join(format!("{}-{}", spec.label(), spec.id())) }
    }

    /// The folder `path`, as somebody named it.
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

    /// How far the run has come.
    #[must_use]
    pub fn state(&self) -> RunState {
        if self.path.join(RECORD).exists() {
            RunState::Finished
        } else if self.path.join(SPEC).exists() {
            RunState::Unfinished
        } else {
            RunState::Absent
        }
    }

    /// Creates the folder, and keeps other processes from writing the run; nothing where one does.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub fn lock(&self) -> Result<Option<RunLock>, Error> {
        fs::create_dir_all(&self.path).map_err(Error::io("create", &self.path))?;
        let path = self.path.join(LOCK);
        let file = File::create(&path).map_err(Error::io("write", &path))?;
        match file.try_lock() {
            // Whoever ended the run took the file away: another may have made one of the same name.
            Ok(()) if path.exists() => Ok(Some(RunLock { _file: file })),
            Ok(()) | Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(Error::io("lock", &path)(source)),
        }
    }

    /// Starts the run anew: writes its spec and opens an empty metrics stream.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub fn begin(&self, spec: &RunSpec) -> Result<MetricsWriter, Error> {
        fs::create_dir_all(&self.path).map_err(Error::io("create", &self.path))?;
        // Those of another stream must not be taken for ones of this, nor an earlier end for this one's.
        self.remove_checkpoints()?;
        self.remove(RECORD)?;
        let path = self.path.join(SPEC);
        let json = serde_json::to_vec_pretty(spec).map_err(Error::format("run spec", &path))?;
        write_atomically(&path, &json)?;
        MetricsWriter::create(self.path.join(METRICS), &[])
    }

    /// Checkpoints of the run that its metrics stream reaches, the newest first.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn checkpoints(&self) -> Result<Vec<CheckpointFile>, Error> {
        let length = fs::metadata(self.path.join(METRICS)).map_or(0, |metadata| metadata.len());
        let mut found = self.find_checkpoints()?;
        found.retain(|checkpoint| checkpoint.metrics_bytes <= length);
        Ok(found)
    }

    fn find_checkpoints(&self) -> Result<Vec<CheckpointFile>, Error> {
        let entries = match fs::read_dir(&self.path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Error::io("read", &self.path)(error)),
        };
        let mut found = Vec::new();
        for entry in entries {
            let path = entry.map_err(Error::io("read", &self.path))?.path();
            found.extend(CheckpointFile::named(path));
        }
        found.sort_by_key(|checkpoint| std::cmp::Reverse(checkpoint.step));
        Ok(found)
    }

    /// Removes every checkpoint.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub fn remove_checkpoints(&self) -> Result<(), Error> {
        for checkpoint in self.find_checkpoints()? {
            checkpoint.remove()?;
        }
        Ok(())
    }

    /// Goes on with the run in `from`, this one or one that begins in the same way, as it was at `checkpoint`:
    /// what its metrics stream has after that is cut off.
    ///
    /// # Errors
    /// If the stream cannot be written.
    pub fn resume(&self, from: &Self, checkpoint: &CheckpointFile) -> Result<MetricsWriter, Error> {
        let path = from.path.join(METRICS);
        let mut bytes = fs::read(&path).map_err(Error::io("read", &path))?;
        bytes.truncate(usize::try_from(checkpoint.metrics_bytes).unwrap_or(usize::MAX));
        MetricsWriter::create(self.path.join(METRICS), &bytes)
    }

    /// Says who works on the run from now on.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub fn write_attempt(&self, attempt: &Attempt) -> Result<(), Error> {
        let path = self.path.join(ATTEMPT);
        let json = serde_json::to_vec_pretty(attempt)
            .map_err(Error::format("note of an attempt", &path))?;
        write_atomically(&path, &json)
    }

    /// Who worked on the run last; nothing where nobody has begun, or the run has ended.
    ///
    /// # Errors
    /// If that cannot be read, or is damaged.
    pub fn attempt(&self) -> Result<Option<Attempt>, Error> {
        let path = self.path.join(ATTEMPT);
        match read_json(&path, "note of an attempt") {
            Ok(attempt) => Ok(Some(attempt)),
            Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Keeps a checkpoint of the run after `step`, with its metrics stream `metrics` as it is now, and the one
    /// before it; older ones go.
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
        metrics.file.sync_data().map_err(Error::io("write", &metrics.path))?;
        let length = metrics.file.metadata().map_err(Error::io("read", &metrics.path))?.len();
        let name = format!("{CHECKPOINT}{step}-{length}{CHECKPOINT_ENDING}");
        write_atomically(&self.path.join(name), bytes)?;
        for old in self.find_checkpoints()?.into_iter().skip(CHECKPOINTS_KEPT) {
            old.remove()?;
        }
        Ok(())
    }

    /// Writes the test predictions.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub fn write_predictions(&self, predictions: &[Prediction]) -> Result<(), Error> {
        let csv = Prediction::to_csv(predictions);
        write_atomically(&self.path.join(PREDICTIONS), csv.as_bytes())
    }

    /// Ends the run: after this it is [`RunState::Finished`]. Its checkpoints go, but for that at the end of a trial,
    /// from which a longer one goes on.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub fn finish(&self, record: &RunRecord) -> Result<(), Error> {
        fs::create_dir_all(&self.path).map_err(Error::io("create", &self.path))?;
        let path = self.path.join(RECORD);
        let mut json =
            serde_json::to_vec_pretty(record).map_err(Error::format("run record", &path))?;
        json.push(b'\n');
        write_atomically(&path, &json)?;
        let end = record.spec.trial.map(|trial| trial.steps);
        for checkpoint in self.find_checkpoints()? {
            if Some(checkpoint.step) != end {
                checkpoint.remove()?;
            }
        }
        self.remove(ATTEMPT)?;
        self.remove(LOCK)
    }

    fn remove(&self, name: &str) -> Result<(), Error> {
        let path = self.path.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
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
        let bytes = fs::read(&path).map_err(Error::io("read", &path))?;
        let value: serde_json::Value =
            serde_json::from_slice(&bytes).map_err(Error::format("run record", &path))?;
        let found = value.get("schema").and_then(serde_json::Value::as_u64).unwrap_or(0);
        if found != u64::from(SCHEMA_VERSION) {
            return Err(Error::Schema { path, found: u32::try_from(found).unwrap_or(u32::MAX) });
        }
        serde_json::from_value(value).map_err(Error::format("run record", &path))
    }

    /// Reads the spec.
    ///
    /// # Errors
    /// If it is missing or damaged.
    pub fn spec(&self) -> Result<RunSpec, Error> {
        read_json(&self.path.join(SPEC), "run spec")
    }

    /// Where the run is on Weights & Biases, if it is.
    ///
    /// # Errors
    /// If that cannot be read, or is damaged.
    pub fn wandb(&self) -> Result<Option<WandbRun>, Error> {
        let path = self.path.join(WANDB);
        if path.exists() { read_json(&path, "note about W&B").map(Some) } else { Ok(None) }
    }

    /// Keeps where the run is on Weights & Biases.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub fn write_wandb(&self, run: &WandbRun) -> Result<(), Error> {
        let path = self.path.join(WANDB);
        let json =
            serde_json::to_vec_pretty(run).map_err(Error::format("note about W&B", &path))?;
        write_atomically(&path, &json)
    }

    /// Reads what was measured at evaluations, which is much faster than the whole stream: every evaluation on
    /// validation data, and the sites and gradients of at most `most` of them, evenly spread, the last one
    /// included. A torn last line is left out.
    ///
    /// # Errors
    /// If the stream cannot be read, or one of these lines is damaged.
    pub fn timeline(&self, most: usize) -> Result<Timeline, Error> {
        let path = self.path.join(METRICS);
        let text = fs::read(&path).map_err(Error::io("read", &path))?;
        let text = String::from_utf8_lossy(&text);
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let mut timeline = Timeline::default();
        // The steps at which sites or gradients were measured, before any of their long lines is parsed.
        let mut measured: Vec<(u64, &str)> = Vec::new();
        for line in whole.lines() {
            if line.contains("\"event\":\"validation\"") {
                timeline.add(line, &path)?;
            } else if line.contains("\"event\":\"site\"")
                || line.contains("\"event\":\"gradients\"")
            {
                measured.extend(step_of(line).map(|step| (step, line)));
            }
        }
        let mut steps: Vec<u64> = measured.iter().map(|(step, _)| *step).collect();
        steps.dedup();
        let stride = steps.len().div_ceil(most.max(1)).max(1);
        let chosen: BTreeSet<u64> = steps.into_iter().rev().step_by(stride).collect();
        for (_, line) in measured.iter().filter(|(step, _)| chosen.contains(step)) {
            timeline.add(line, &path)?;
        }
        Ok(timeline)
    }

    /// Reads the test predictions, in the order of the examples.
    ///
    /// # Errors
    /// If there are none, or they are damaged; the error tells the line.
    pub fn predictions(&self) -> Result<Vec<Prediction>, Error> {
        let path = self.path.join(PREDICTIONS);
        let csv = fs::read_to_string(&path).map_err(Error::io("read", &path))?;
        Prediction::from_csv(&csv).map_err(|line| Error::Predictions { path, line })
    }

    /// Reads which test examples were classified correctly, in their order.
    ///
    /// # Errors
    /// Those of [`RunDir::predictions`].
    pub fn correct(&self) -> Result<Vec<bool>, Error> {
        let predictions = self.predictions()?;
        Ok(predictions.iter().map(|prediction| prediction.label == prediction.predicted).collect())
    }

    /// Opens the metrics stream, of a finished run or a running one.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn metrics(&self) -> Result<MetricsReader, Error> {
        MetricsReader::open(self.path.join(METRICS))
    }
}

/// A checkpoint of a run that has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointFile {
    /// The last step that is in it.
    pub step: u64,
    /// Length of the metrics stream when it was taken.
    pub metrics_bytes: u64,
    path: PathBuf,
}

impl CheckpointFile {
    fn named(path: PathBuf) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        let (step, length) =
            name.strip_prefix(CHECKPOINT)?.strip_suffix(CHECKPOINT_ENDING)?.split_once('-')?;
        Some(Self { step: step.parse().ok()?, metrics_bytes: length.parse().ok()?, path })
    }

    /// Its content.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read(&self) -> Result<Vec<u8>, Error> {
        fs::read(&self.path).map_err(Error::io("read", &self.path))
    }

    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn remove(&self) -> Result<(), Error> {
        fs::remove_file(&self.path).map_err(Error::io("remove", &self.path))
    }
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path, what: &'static str) -> Result<T, Error> {
    let bytes = fs::read(path).map_err(Error::io("read", path))?;
    serde_json::from_slice(&bytes).map_err(Error::format(what, path))
}

/// The step of an event, read from its line without the rest of it.
fn step_of(line: &str) -> Option<u64> {
    let (_, rest) = line.split_once("\"step\":")?;
    let end = rest.find(|c: char| !c.is_ascii_digit())?;
    rest[..end].parse().ok()
}

/// What was measured at the evaluations of a run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Timeline {
    /// Every evaluation on validation data.
    pub validations: Vec<Evaluation>,
    /// Activation sites, without their histograms, at some of them.
    pub sites: Vec<Site>,
    /// Gradients by layer at some of them.
    pub gradients: Vec<Gradients>,
}

impl Timeline {
    fn add(&mut self, line: &str, path: &Path) -> Result<(), Error> {
        let line: Stamped =
            serde_json::from_str(line).map_err(Error::format("metrics stream", path))?;
        match line.event {
            Event::Validation(evaluation) => self.validations.push(evaluation),
            Event::Site(site) => self.sites.push(Site { inputs: None, outputs: None, ..site }),
            Event::Gradients(gradients) => self.gradients.push(gradients),
            Event::Start(_) | Event::Train(_) | Event::System(_) | Event::Output { .. } => {}
        }
        Ok(())
    }
}

/// Seconds since 1970 (UTC).
#[must_use]
pub fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}

/// Appends events to a metrics stream, a line each.
#[derive(Debug)]
pub struct MetricsWriter {
    path: PathBuf,
    file: File,
}

impl MetricsWriter {
    /// A stream that begins with `bytes`. Whoever reads an older one goes on seeing that, and no end of it.
    fn create(path: PathBuf, bytes: &[u8]) -> Result<Self, Error> {
        write_atomically(&path, bytes)?;
        let file = File::options().append(true).open(&path).map_err(Error::io("write", &path))?;
        Ok(Self { file, path })
    }

    /// Appends one event, with the time, and hands it to the operating system.
    ///
    /// # Errors
    /// If the disk refuses it.
    pub fn write(&mut self, event: &Event) -> Result<(), Error> {
        #[derive(Serialize)]
        struct Line<'a> {
            time: f64,
            #[serde(flatten)]
            event: &'a Event,
        }

        let line = Line { time: now(), event };
        let mut line = serde_json::to_vec(&line).map_err(Error::format("event", &self.path))?;
        line.push(b'\n');
        self.file.write_all(&line).map_err(Error::io("write", &self.path))
    }
}

/// Reads a metrics stream line by line, also one that somebody still writes: where the iterator has ended,
/// asking again gives what was appended meanwhile. A torn last line, as a killed process leaves it, is no
/// event; [`MetricsReader::torn`] tells of it.
#[derive(Debug)]
pub struct MetricsReader {
    path: PathBuf,
    lines: BufReader<File>,
    /// The last line as far as it is there.
    line: Vec<u8>,
}

impl MetricsReader {
    fn open(path: PathBuf) -> Result<Self, Error> {
        let file = File::open(&path).map_err(Error::io("read", &path))?;
        Ok(Self { lines: BufReader::new(file), path, line: Vec::new() })
    }

    /// Whether the last line was cut off. Known once the iterator has ended.
    #[must_use]
    pub fn torn(&self) -> bool {
        !self.line.is_empty()
    }
}

impl Iterator for MetricsReader {
    type Item = Result<Stamped, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Err(source) = self.lines.read_until(b'\n', &mut self.line) {
            return Some(Err(Error::io("read", &self.path)(source)));
        }
        if self.line.last() != Some(&b'\n') {
            return None;
        }
        let event =
            serde_json::from_slice(&self.line).map_err(Error::format("metrics stream", &self.path));
        self.line.clear();
        Some(event)
    }
}

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
}

/// Finds every run below `runs`, ordered by folder name, without reading it, and how far it has come.
///
/// # Errors
/// If the folder cannot be read.
pub fn find_all_runs(runs: &Path) -> Result<Vec<(RunDir, RunState)>, Error> {
    let entries = fs::read_dir(runs).map_err(Error::io("read", runs))?;
    let mut paths = Vec::new();
    for entry in entries {
        paths.push(entry.map_err(Error::io("read", runs))?.path());
    }
    paths.sort();
    let run = |path| {
        let dir = RunDir { path };
        let state = dir.state();
        (dir, state)
    };
    Ok(paths.into_iter().map(run).collect())
}

/// Finds every finished run below `runs`, ordered by folder name, without reading it.
///
/// # Errors
/// If the folder cannot be read.
pub fn find_runs(runs: &Path) -> Result<Vec<RunDir>, Error> {
    let finished = |(dir, state)| (state == RunState::Finished).then_some(dir);
    Ok(find_all_runs(runs)?.into_iter().filter_map(finished).collect())
}

/// Reads every finished run below `runs`, ordered by folder name; unfinished ones are left out.
///
/// # Errors
/// If the folder cannot be read, or a record is damaged or of another schema.
pub fn read_runs(runs: &Path) -> Result<Vec<StoredRun>, Error> {
    find_runs(runs)?.into_iter().map(StoredRun::read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LayerGradient, TrainStep};

    fn step(step: u64, loss: f64) -> Event {
        Event::Train(TrainStep {
            step,
            epoch: 0.5,
            loss,
            accuracy: 0.25,
            learning_rate: 0.1,
            gradient_norm: 1.5,
            seconds: 0.01,
        })
    }

    #[test]
    fn a_torn_last_line_ends_the_stream_and_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(METRICS);
        let mut writer = MetricsWriter::create(path.clone(), &[]).unwrap();
        writer.write(&step(1, 2.0)).unwrap();
        writer.write(&step(2, 1.0)).unwrap();
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - 5]).unwrap();

        let mut reader = MetricsReader::open(path.clone()).unwrap();
        let mut events = || reader.by_ref().map(|event| event.unwrap().event).collect::<Vec<_>>();
        assert_eq!(events(), [step(1, 2.0)]);
        assert_eq!(events(), []);
        // Whoever writes goes on.
        fs::write(&path, &whole).unwrap();
        assert_eq!(events(), [step(2, 1.0)]);
        assert!(!reader.torn());
        fs::write(&path, [&whole[..], b"{"].concat()).unwrap();
        assert!(reader.next().is_none());
        assert!(reader.torn());
    }

    #[test]
    fn lines_without_a_time_are_read() {
        let line = r#"{"event":"validation","step":1,"epoch":0.5,"loss":"nan","accuracy":0.5}"#;
        let stamped: Stamped = serde_json::from_str(line).unwrap();
        assert_eq!(stamped.time, None);
        let Event::Validation(evaluation) = stamped.event else { panic!("{line}") };
        assert!(evaluation.loss.is_nan());
    }

    #[test]
    fn a_timeline_has_every_evaluation_and_some_of_the_rest() {
        let folder = tempfile::tempdir().unwrap();
        let dir = RunDir::at(folder.path().to_owned());
        let mut writer = MetricsWriter::create(folder.path().join(METRICS), &[]).unwrap();
        for number in 1..=10 {
            writer.write(&step(number, 1.0)).unwrap();
            let evaluation = Evaluation { step: number, epoch: 0.5, loss: 1.0, accuracy: 0.5 };
            writer.write(&Event::Validation(evaluation)).unwrap();
            let layer = LayerGradient { layer: "stem".into(), norm: 0.5 };
            let gradients = Gradients { step: number, layers: vec![layer] };
            writer.write(&Event::Gradients(gradients)).unwrap();
        }
        let steps = |most| {
            let timeline = dir.timeline(most).unwrap();
            assert_eq!(timeline.validations.len(), 10);
            timeline.gradients.iter().map(|gradients| gradients.step).collect::<Vec<_>>()
        };
        assert_eq!(steps(10), (1..=10).collect::<Vec<_>>());
        assert_eq!(steps(4), [1, 4, 7, 10]);
        assert_eq!(steps(1), [10]);
    }

    #[test]
    fn a_run_goes_on_where_a_checkpoint_was_taken() {
        let folder = tempfile::tempdir().unwrap();
        let dir = RunDir::at(folder.path().to_owned());
        let mut writer = MetricsWriter::create(folder.path().join(METRICS), &[]).unwrap();
        for number in 1..=3 {
            writer.write(&step(number, 1.0)).unwrap();
            dir.write_checkpoint(&writer, number, &[number as u8]).unwrap();
        }
        writer.write(&step(4, 1.0)).unwrap();
        // The last two, the newest first.
        let found = dir.checkpoints().unwrap();
        assert_eq!(found.iter().map(|one| one.step).collect::<Vec<_>>(), [3, 2]);
        assert_eq!(found[1].read().unwrap(), [2]);
        let mut writer = dir.resume(&dir, &found[1]).unwrap();
        writer.write(&step(9, 1.0)).unwrap();
        let events: Vec<_> = dir.metrics().unwrap().map(|event| event.unwrap().event).collect();
        assert_eq!(events, [step(1, 1.0), step(2, 1.0), step(9, 1.0)]);
        // A stream that lost its end has no use for a checkpoint beyond it.
        File::options().write(true).open(folder.path().join(METRICS)).unwrap().set_len(50).unwrap();
        assert_eq!(dir.checkpoints().unwrap(), []);
        dir.remove_checkpoints().unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn whoever_reads_a_stream_is_not_disturbed_by_its_new_beginning() {
        let folder = tempfile::tempdir().unwrap();
        let dir = RunDir::at(folder.path().to_owned());
        let mut writer = MetricsWriter::create(folder.path().join(METRICS), &[]).unwrap();
        writer.write(&step(1, 1.0)).unwrap();
        dir.write_checkpoint(&writer, 1, &[]).unwrap();
        writer.write(&step(2, 1.0)).unwrap();
        let mut reader = dir.metrics().unwrap();
        assert!(reader.next().is_some());
        let mut writer = dir.resume(&dir, &dir.checkpoints().unwrap()[0]).unwrap();
        writer.write(&step(9, 1.0)).unwrap();
        assert_eq!(
            reader.by_ref().map(|event| event.unwrap().event).collect::<Vec<_>>(),
            [step(2, 1.0)]
        );
        assert!(!reader.torn());
    }

    #[test]
    fn one_process_writes_a_run() {
        let folder = tempfile::tempdir().unwrap();
        let dir = RunDir::at(folder.path().join("run"));
        let lock = dir.lock().unwrap();
        assert!(lock.is_some());
        assert!(dir.lock().unwrap().is_none());
        drop(lock);
        assert!(dir.lock().unwrap().is_some());
    }

    #[test]
    fn damaged_predictions_are_told_by_their_line() {
        let folder = tempfile::tempdir().unwrap();
        let dir = RunDir::at(folder.path().to_owned());
        let prediction = |index, predicted| Prediction {
            index,
            label: 1,
            predicted,
            probability: 0.5,
            confidence: Some(0.5),
        };
        let predictions = [prediction(0, 1), prediction(1, 0)];
        dir.write_predictions(&predictions).unwrap();
        assert_eq!(dir.predictions().unwrap(), predictions);
        assert_eq!(dir.correct().unwrap(), [true, false]);
        dir.write_predictions(&[prediction(0, 1), prediction(usize::MAX, 0)]).unwrap();
        assert!(dir.correct().unwrap_err().to_string().contains("line 3"));
    }

    #[test]
    fn a_damaged_line_in_the_middle_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(METRICS);
        fs::write(&path, "{\"event\":\"train\"}\n{}\n").unwrap();
        let error = MetricsReader::open(path).unwrap().next().unwrap().unwrap_err();
        assert!(error.to_string().contains("not a valid metrics stream"), "{error}");
    }

    #[test]
    fn non_finite_losses_survive() {
        for loss in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.1 + 0.2] {
            let stamped = Stamped { time: Some(1.5), event: step(1, loss) };
            let json = serde_json::to_string(&stamped).unwrap();
            let back: Stamped = serde_json::from_str(&json).unwrap();
            let Event::Train(back) = back.event else { panic!("{json}") };
            assert_eq!(back.loss.to_bits(), loss.to_bits(), "{json}");
        }
    }

    #[test]
    fn a_write_that_fails_leaves_the_old_file_and_no_litter() {
        let folder = tempfile::tempdir().unwrap();
        // A folder where the file should be: the rename fails.
        let path = folder.path().join("file");
        fs::create_dir(&path).unwrap();
        assert!(write_atomically(&path, b"new").is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        fs::remove_dir(&path).unwrap();
        write_atomically(&path, b"old").unwrap();
        write_atomically(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }
}
