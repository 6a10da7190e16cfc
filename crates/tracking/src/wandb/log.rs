//! The file of an offline run: LevelDB's log format with W&B's header and checksums.

use super::proto::Record;
use crate::append::AppendFile;
use prost::Message;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

/// `:W&B`, a magic number, and the version of the format.
const HEADER: [u8; 7] = [b':', b'W', b'&', b'B', 0xE1, 0xBE, 0];
const BLOCK: usize = 32 * 1024;
const CHUNK_HEADER: usize = 7;

const FULL: u8 = 1;
const FIRST: u8 = 2;
const MIDDLE: u8 = 3;
const LAST: u8 = 4;

/// Writes records, each whole or not at all.
#[derive(Debug)]
pub(super) struct LogWriter {
    file: AppendFile,
    /// Bytes in the file, the header included: blocks count from its beginning.
    position: usize,
    /// Records in the file.
    records: i64,
    begun: bool,
}

impl LogWriter {
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let file = AppendFile::create(path)?;
        Ok(Self { file, position: 0, records: 0, begun: false })
    }

    /// Appends `record`, with its number. After an error nothing of it is in the file.
    pub(super) fn append(&mut self, record: &Record) -> io::Result<()> {
        if !self.begun {
            self.file.append(&HEADER)?;
            self.position = HEADER.len();
            self.begun = true;
        }
        let record = Record { num: self.records + 1, ..record.clone() };
        let piece = frame(&record.encode_to_vec(), self.position);
        self.file.append(&piece)?;
        self.position += piece.len();
        self.records += 1;
        Ok(())
    }
}

/// `payload` in chunks that no block's end cuts, for a file of `position` bytes.
#[expect(clippy::cast_possible_truncation, reason = "a chunk is shorter than a block")]
fn frame(mut payload: &[u8], position: usize) -> Vec<u8> {
    let mut piece = Vec::with_capacity(payload.len() + 2 * CHUNK_HEADER);
    let mut first = true;
    loop {
        let room = BLOCK - (position + piece.len()) % BLOCK;
        if room < CHUNK_HEADER {
            piece.resize(piece.len() + room, 0);
            continue;
        }
        let (chunk, rest) = payload.split_at(payload.len().min(room - CHUNK_HEADER));
        let kind = match (first, rest.is_empty()) {
            (true, true) => FULL,
            (true, false) => FIRST,
            (false, false) => MIDDLE,
            (false, true) => LAST,
        };
        piece.extend(checksum(kind, chunk).to_le_bytes());
        piece.extend((chunk.len() as u16).to_le_bytes());
        piece.push(kind);
        piece.extend(chunk);
        if rest.is_empty() {
            return piece;
        }
        payload = rest;
        first = false;
    }
}

fn checksum(kind: u8, chunk: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&[kind]);
    crc.update(chunk);
    crc.finalize()
}

/// Why a file cannot be read as an offline run.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The system refused.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// It holds something else.
    #[error("{} is not a W&B file: {reason}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// Reads the records of a file. An end that is torn, as a killed process leaves it, ends them.
#[derive(Debug)]
pub(super) struct LogReader {
    path: PathBuf,
    file: BufReader<File>,
    /// Bytes read.
    position: usize,
}

impl LogReader {
    pub(super) fn open(path: &Path) -> Result<Self, LogError> {
        let io = |source| LogError::Io { path: path.to_owned(), source };
        let mut file = BufReader::new(File::open(path).map_err(io)?);
        let mut header = [0; HEADER.len()];
        match file.read_exact(&mut header) {
            Ok(()) if header == HEADER => {}
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => return Err(io(error)),
            _ => {
                let reason = "it does not begin as one".to_owned();
                return Err(LogError::Format { path: path.to_owned(), reason });
            }
        }
        Ok(Self { path: path.to_owned(), file, position: HEADER.len() })
    }

    /// The next record; nothing at the end.
    pub(super) fn next(&mut self) -> Result<Option<Record>, LogError> {
        let mut payload = Vec::new();
        let mut inside = false;
        loop {
            let Some((kind, chunk)) = self.chunk()? else { return Ok(None) };
            if matches!(kind, FULL | FIRST) == inside {
                return Err(self.damaged("a record lacks a part"));
            }
            inside = true;
            payload.extend(chunk);
            if matches!(kind, FULL | LAST) {
                let record = Record::decode(payload.as_slice());
                return record.map(Some).map_err(|error| self.damaged(&error.to_string()));
            }
        }
    }

    fn chunk(&mut self) -> Result<Option<(u8, Vec<u8>)>, LogError> {
        let room = BLOCK - self.position % BLOCK;
        if room < CHUNK_HEADER && self.bytes(room)?.is_none() {
            return Ok(None);
        }
        let Some(header) = self.bytes(CHUNK_HEADER)? else { return Ok(None) };
        let expected = u32::from_le_bytes([header[0], header[1], header[2], header[3]]);
        let length = u16::from_le_bytes([header[4], header[5]]);
        let kind = header[6];
        let Some(chunk) = self.bytes(length.into())? else { return Ok(None) };
        if checksum(kind, &chunk) != expected {
            return Err(self.damaged("a checksum is wrong"));
        }
        Ok(Some((kind, chunk)))
    }

    /// The next `count` bytes; nothing where fewer are left.
    fn bytes(&mut self, count: usize) -> Result<Option<Vec<u8>>, LogError> {
        let mut bytes = vec![0; count];
        match self.file.read_exact(&mut bytes) {
            Ok(()) => {
                self.position += count;
                Ok(Some(bytes))
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(source) => Err(LogError::Io { path: self.path.clone(), source }),
        }
    }

    fn damaged(&self, reason: &str) -> LogError {
        let reason = format!("{reason}, near byte {}", self.position);
        LogError::Format { path: self.path.clone(), reason }
    }
}

#[cfg(test)]
mod tests {
    use super::super::proto::OutputRawRecord;
    use super::*;

    fn line(length: usize) -> Record {
        let output = OutputRawRecord { output_type: 1, timestamp: None, line: "x".repeat(length) };
        Record { output_raw: Some(output), ..Record::default() }
    }

    fn read(path: &Path) -> Result<Vec<usize>, LogError> {
        let mut reader = LogReader::open(path)?;
        let mut lengths = Vec::new();
        while let Some(record) = reader.next()? {
            assert_eq!(record.num, lengths.len() as i64 + 1);
            lengths.push(record.output_raw.unwrap().line.len());
        }
        Ok(lengths)
    }

    #[test]
    fn records_of_any_length_survive() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.wandb");
        // Lengths that end a block with 0 to 8 bytes to spare, and some of several blocks.
        let mut lengths = vec![0, 1, 100_000, BLOCK];
        lengths.extend((0..40).map(|i| BLOCK - 60 + i));
        let mut writer = LogWriter::create(&path).unwrap();
        for length in &lengths {
            writer.append(&line(*length)).unwrap();
        }
        assert_eq!(read(&path).unwrap(), lengths);
    }

    #[test]
    fn a_torn_end_ends_the_records() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.wandb");
        let mut writer = LogWriter::create(&path).unwrap();
        for length in [10, 40_000, 20] {
            writer.append(&line(length)).unwrap();
        }
        let whole = std::fs::read(&path).unwrap();
        for end in (HEADER.len()..whole.len()).step_by(97) {
            std::fs::write(&path, &whole[..end]).unwrap();
            let lengths = read(&path).unwrap();
            assert!([10, 40_000].starts_with(&lengths), "{end}: {lengths:?}");
        }
    }

    #[test]
    fn damage_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.wandb");
        let mut writer = LogWriter::create(&path).unwrap();
        writer.append(&line(100)).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[50] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("checksum"));
        std::fs::write(&path, b"something else").unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("not a W&B file"));
    }
}
