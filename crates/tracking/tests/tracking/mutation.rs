//! Files of offline runs with accidental changes: each is read or refused, and what is read can be sent and written.

use crate::support::{Place, pace};
use record::Outcome;
use std::path::Path;
use std::time::Duration;
use tracking::wandb::{LogSource, Mode, note, target, target_without_fallback};
use tracking::{Source, Tracker};
use tracking_testing::Server;

/// Length of the header of the file, and of that of a chunk.
const FILE: usize = 7;
const CHUNK: usize = 7;

/// Cases, unless the variable `MUTATIONS` has another number; `MUTATION_SEED` chooses other ones.
fn count_and_seed(count: usize) -> (usize, u64) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let count = number("MUTATIONS").and_then(|count| usize::try_from(count).ok()).unwrap_or(count);
    (count, number("MUTATION_SEED").unwrap_or(0))
}

/// A sequence of pseudo-random numbers: SplitMix64 (Steele, Lea and Flood 2014).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) >> 1).unwrap() % end.max(1)
    }

    /// Changes one place of `bytes`.
    fn change(&mut self, bytes: &mut Vec<u8>) {
        let at = self.below(bytes.len());
        match self.below(7) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, 0xff),
            2 if !bytes.is_empty() => drop(bytes.remove(at)),
            3 => {
                let end = bytes.len().min(at + 1 + self.below(40));
                bytes[at..end].fill(0);
            }
            4 if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
            // Lengths and numbers of Protocol Buffers, and numbers of JSON.
            5 if !bytes.is_empty() => bytes[at] = [0xff, 0x80, 0x7f, 0, b'9', b'"'][self.below(6)],
            _ => {
                let end = bytes.len().min(at + 10);
                bytes.splice(at..end, [0xff; 9].into_iter().chain([1]));
            }
        }
    }
}

impl Dice {
    /// Changes a letter, digit or mark of a text in `bytes`, whose length stays.
    fn change_text(&mut self, bytes: &mut [u8]) {
        const MARKS: &[u8] = b"09-.e\"{}[]:,/\\ n";
        let places: Vec<usize> =
            (0..bytes.len()).filter(|i| bytes[*i].is_ascii_graphic()).collect();
        if !places.is_empty() {
            bytes[places[self.below(places.len())]] = MARKS[self.below(MARKS.len())];
        }
    }
}

/// The records of a file whose chunks are whole.
fn records(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = &bytes[FILE..];
    let mut records = Vec::new();
    while rest.len() >= CHUNK {
        let length = usize::from(u16::from_le_bytes([rest[4], rest[5]]));
        assert_eq!(rest[6], 1, "a record in one part");
        records.push(rest[CHUNK..CHUNK + length].to_vec());
        rest = &rest[CHUNK + length..];
    }
    records
}

/// A file of `records`, each in one chunk with the right checksum.
fn file(header: &[u8], records: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = header[..FILE].to_vec();
    for record in records {
        let mut crc = crc32fast::Hasher::new();
        crc.update(&[1]);
        crc.update(record);
        bytes.extend(crc.finalize().to_le_bytes());
        bytes.extend(u16::try_from(record.len()).unwrap().to_le_bytes());
        bytes.push(1);
        bytes.extend(record);
    }
    bytes
}

/// An offline directory of a short run.
fn offline(place: &Place) -> std::path::PathBuf {
    let settings = place.settings(Mode::Offline, "http://127.0.0.1:9");
    let target = target(&settings, pace(), &place.notice()).unwrap();
    let tracker = Tracker::start(vec![target], &place.notice()).unwrap();
    let mut run = place.begin(1);
    let following = tracker.follow(&run.dir);
    (1..=4).for_each(|step| run.step(step));
    run.finish(Outcome::Completed);
    following.end(0);
    assert_eq!(tracker.finish(Duration::from_secs(30), &|| false), []);
    note(&run.dir).unwrap().unwrap().offline.unwrap()
}

/// Reads all events of the directory; whether it could be read.
fn drained(directory: &Path) -> bool {
    let Ok(mut source) = LogSource::open(directory) else { return false };
    let mut events = 0;
    loop {
        match source.next() {
            Ok(Some(_)) => events += 1,
            Ok(None) => return true,
            Err(_) => return false,
        }
        assert!(events < 100_000, "it does not end");
    }
}

/// 500 cases, of which the twentieth part is also sent to a server.
#[test]
fn changed_offline_files_are_read_or_refused() {
    let place = Place::new();
    let whole = offline(&place);
    let name = std::fs::read_dir(&whole).unwrap().map(|entry| entry.unwrap().path());
    let log = name.into_iter().find(|path| path.extension().is_some_and(|end| end == "wandb"));
    let log = log.unwrap();
    let bytes = std::fs::read(&log).unwrap();
    assert!(bytes.len() < 32 << 10, "one block");
    assert_eq!(file(&bytes, &records(&bytes)), bytes, "as it was");

    let server = Server::start(|_: &tracking_testing::Request| None);
    let (count, seed) = count_and_seed(500);
    let (mut read, mut refused) = (0, 0);
    for case in 0..count {
        let mut dice = Dice(seed ^ (case as u64) << 32);
        let mut parts = records(&bytes);
        let mut changed = bytes.clone();
        for _ in 0..=dice.below(4) / 3 {
            let part = dice.below(parts.len());
            match dice.below(5) {
                0 => dice.change(&mut changed),
                1 => dice.change(&mut parts[part]),
                2 => drop(parts.remove(part)),
                _ => dice.change_text(&mut parts[part]),
            }
            if changed == bytes {
                changed = file(&bytes, &parts);
            }
        }
        std::fs::write(&log, &changed).unwrap();
        if !drained(&whole) {
            refused += 1;
            continue;
        }
        read += 1;
        if case % 20 == 0 {
            let settings = place.settings(Mode::Online, &server.url());
            let target = target_without_fallback(&settings, pace(), &place.notice()).unwrap();
            let tracker = Tracker::start(vec![target], &place.notice()).unwrap();
            tracker.send(|| LogSource::open(&whole).unwrap());
            tracker.finish(Duration::from_secs(5), &|| false);
        }
    }
    eprintln!("{count} files: {read} are read, {refused} refused");
    assert!(read > 0 && refused > 0);
}
