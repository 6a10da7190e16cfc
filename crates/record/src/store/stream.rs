//! The metrics stream of a run: `metrics.jsonl`, one event per line.

use super::atomic::write_atomically;
use super::plain;
use crate::{Error, Evaluation, Event, Gradients, Learned, Site, Stamped, float};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since 1970 (UTC).
#[must_use]
pub fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}

/// Appends events to a metrics stream, one per line.
#[derive(Debug)]
pub struct MetricsWriter {
    path: PathBuf,
    file: File,
    /// Of everything that is in the stream.
    digest: Sha256,
    bytes: u64,
    /// Whether a part of a line may stand at the end.
    torn: bool,
}

impl MetricsWriter {
    /// A stream that begins with `bytes`. A reader of an older stream keeps seeing that, and no end of it.
    pub(super) fn create(path: PathBuf, bytes: &[u8]) -> Result<Self, Error> {
        write_atomically(&path, bytes)?;
        let file = File::options().append(true).open(&path).map_err(Error::io("write", &path))?;
        let digest = Sha256::new_with_prefix(bytes);
        Ok(Self { file, path, digest, bytes: bytes.len() as u64, torn: false })
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
        self.mend()?;
        if let Err(source) = self.file.write_all(&line) {
            // A full disk takes a part of a line: the next one must not follow it.
            self.torn = true;
            let _ = self.mend();
            return Err(Error::io("write", &self.path)(source));
        }
        self.digest.update(&line);
        self.bytes += line.len() as u64;
        Ok(())
    }

    /// Leaves a part of a line, as a full disk does.
    #[cfg(test)]
    pub(super) fn tear(&mut self, part: &[u8]) {
        self.file.write_all(part).expect("a part of a line");
        self.torn = true;
    }

    /// Cuts off what a write that failed has left.
    fn mend(&mut self) -> Result<(), Error> {
        if self.torn {
            self.file.set_len(self.bytes).map_err(Error::io("write", &self.path))?;
            self.torn = false;
        }
        Ok(())
    }

    /// Brings the stream to the disk; its length, and the state of its checksum.
    pub(super) fn sync(&self) -> Result<(u64, Sha256), Error> {
        self.file.sync_data().map_err(Error::io("write", &self.path))?;
        Ok((self.bytes, self.digest.clone()))
    }
}

/// Reads a metrics stream line by line, also one that a worker still writes: where the iterator has ended,
/// asking again gives what was appended meanwhile. A torn last line, as a killed process leaves it, is no
/// event; [`MetricsReader::torn`] tells of it.
#[derive(Debug)]
pub struct MetricsReader {
    path: PathBuf,
    lines: BufReader<File>,
    /// The last line as far as it is there.
    line: Vec<u8>,
    /// Whether the system refused to read on: then nothing follows.
    failed: bool,
}

impl MetricsReader {
    pub(super) fn open(path: PathBuf) -> Result<Self, Error> {
        let file = plain::open(&path).map_err(Error::io("read", &path))?;
        Ok(Self { lines: BufReader::new(file), path, line: Vec::new(), failed: false })
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
        if self.failed {
            return None;
        }
        if let Err(source) = self.lines.read_until(b'\n', &mut self.line) {
            self.failed = true;
            return Some(Err(Error::io("read", &self.path)(source)));
        }
        if self.line.last() != Some(&b'\n') {
            return None;
        }
        let event = parse(&self.line).map_err(Error::format("metrics stream", &self.path));
        self.line.clear();
        Some(event)
    }
}

/// Points of a curve of training losses at most.
const MOST_WINDOWS: usize = 100;

/// What was measured at the evaluations of a run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Timeline {
    /// Every evaluation on validation data.
    pub validations: Vec<Evaluation>,
    /// Step and loss of training, each a mean over a window of steps, of which there are at most 100.
    pub training: Vec<(u64, f64)>,
    /// Activation sites, without their histograms, at some of them.
    pub sites: Vec<Site>,
    /// Gradients by layer at some of them.
    pub gradients: Vec<Gradients>,
    /// What activations had learned at some of them.
    pub learned: Vec<Learned>,
}

impl Timeline {
    /// Reads what was measured at evaluations from the `content` of the stream at `path`, which is much faster than
    /// the whole stream: every evaluation on validation data, and sites, gradients and learned numbers of at most `most` of them,
    /// evenly spread, the last one included. A torn last line is left out.
    pub(crate) fn read(content: &[u8], path: &Path, most: usize) -> Result<Self, Error> {
        let whole = content.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let mut timeline = Self::default();
        // The steps at which sites or gradients were measured, before any of their long lines is parsed.
        let mut measured: Vec<(u64, &[u8])> = Vec::new();
        let mut losses: Vec<(u64, f64)> = Vec::new();
        let mut begin = 0;
        for end in memchr::memchr_iter(b'\n', &content[..whole]) {
            let line = &content[begin..=end];
            begin = end + 1;
            match kind_of(line) {
                b"validation" => timeline.add(line, path)?,
                b"train" => losses.extend(step_of(line).zip(loss_of(line))),
                b"site" | b"gradients" | b"learned" => {
                    measured.extend(step_of(line).map(|step| (step, line)));
                }
                _ => {}
            }
        }
        timeline.training = windows(&losses);
        let mut steps: Vec<u64> = measured.iter().map(|(step, _)| *step).collect();
        steps.dedup();
        let stride = steps.len().div_ceil(most.max(1)).max(1);
        let chosen: BTreeSet<u64> = steps.into_iter().rev().step_by(stride).collect();
        for (_, line) in measured.iter().filter(|(step, _)| chosen.contains(step)) {
            timeline.add(line, path)?;
        }
        Ok(timeline)
    }

    fn add(&mut self, line: &[u8], path: &Path) -> Result<(), Error> {
        match parse_event(line, true).map_err(Error::format("metrics stream", path))? {
            Event::Validation(evaluation) => self.validations.push(evaluation),
            Event::Site(site) => self.sites.push(Site { inputs: None, outputs: None, ..site }),
            Event::Gradients(gradients) => self.gradients.push(gradients),
            Event::Learned(learned) => self.learned.push(learned),
            Event::Start(_) | Event::Train(_) | Event::System(_) | Event::Output { .. } => {}
        }
        Ok(())
    }
}

/// Means of neighbouring losses, at most 100 of them, each at the last step of its window.
fn windows(losses: &[(u64, f64)]) -> Vec<(u64, f64)> {
    let size = losses.len().div_ceil(MOST_WINDOWS).max(1);
    let mean = |window: &[(u64, f64)]| {
        let sum: f64 = window.iter().map(|(_, loss)| loss).sum();
        (window[window.len() - 1].0, sum / window.len() as f64)
    };
    losses.chunks(size).map(mean).collect()
}

/// Reads a line.
fn parse(line: &[u8]) -> Result<Stamped, serde_json::Error> {
    match time_of(line) {
        Some(time) => Ok(Stamped { time: Some(time), event: parse_event(line, false)? }),
        None => serde_json::from_slice(line),
    }
}

/// The time of a line that this program has written: it stands at the beginning.
fn time_of(line: &[u8]) -> Option<f64> {
    let rest = line.strip_prefix(b"{\"time\":")?;
    let end = rest.iter().position(|byte| *byte == b',')?;
    serde_json::from_slice(&rest[..end]).ok()
}

/// Reads what happened from a line. Its kind is looked for first, so that the reader knows the form of the rest: a derived
/// reader of [`Stamped`] does not, and keeps a copy of everything. `bare` sites come without their histograms, which
/// are most of their lines.
fn parse_event(line: &[u8], bare: bool) -> Result<Event, serde_json::Error> {
    fn body<T: DeserializeOwned>(
        line: &[u8],
        event: impl Fn(T) -> Event,
    ) -> Result<Event, serde_json::Error> {
        serde_json::from_slice(line).map(event)
    }

    let read = match kind_of(line) {
        b"train" => body(line, Event::Train),
        b"validation" => body(line, Event::Validation),
        b"site" if bare => body(line, |site: BareSite| Event::Site(site.into())),
        b"site" => body(line, Event::Site),
        b"gradients" => body(line, Event::Gradients),
        b"learned" => body(line, Event::Learned),
        b"system" => body(line, Event::System),
        _ => return serde_json::from_slice(line).map(|Stamped { event, .. }| event),
    };
    // What is wrong with a line is said of the whole of it.
    read.or_else(|_| serde_json::from_slice(line).map(|Stamped { event, .. }| event))
}

/// A [`Site`] whose histograms are passed over.
#[derive(Deserialize)]
struct BareSite {
    step: u64,
    site: String,
    depth: usize,
    units: usize,
    #[serde(with = "float")]
    dead: f64,
    #[serde(with = "float")]
    zero: f64,
    #[serde(with = "float")]
    mean: f64,
    #[serde(with = "float")]
    variance: f64,
    #[serde(with = "float")]
    saturated: f64,
}

impl From<BareSite> for Site {
    fn from(site: BareSite) -> Self {
        let BareSite { step, site, depth, units, dead, zero, mean, variance, saturated } = site;
        let (inputs, outputs) = (None, None);
        Self { step, site, depth, units, dead, zero, mean, variance, saturated, inputs, outputs }
    }
}

/// What follows the first `key` in a line.
fn after<'a>(line: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    let place = line.windows(key.len()).position(|part| part == key)?;
    Some(&line[place + key.len()..])
}

/// The kind of an event, read from its line without the rest of it; empty where the line has none. It stands near the
/// beginning, behind the time.
pub(super) fn kind_of(line: &[u8]) -> &[u8] {
    let rest = after(line, b"\"event\":\"").unwrap_or_default();
    rest.split(|byte| *byte == b'"').next().unwrap_or_default()
}

/// The step of an event, read from its line without the rest of it.
pub(super) fn step_of(line: &[u8]) -> Option<u64> {
    let rest = after(line, b"\"step\":")?;
    let end = rest.iter().position(|byte| !byte.is_ascii_digit())?;
    std::str::from_utf8(&rest[..end]).ok()?.parse().ok()
}

/// The loss of an event, read from its line without the rest of it; nothing where it is not finite.
fn loss_of(line: &[u8]) -> Option<f64> {
    let rest = after(line, b"\"loss\":")?;
    let end = rest.iter().position(|byte| matches!(byte, b',' | b'}'))?;
    let loss: f64 = std::str::from_utf8(&rest[..end]).ok()?.trim().parse().ok()?;
    loss.is_finite().then_some(loss)
}
