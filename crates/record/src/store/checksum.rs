//! Checksums, so that a flipped bit, a lost end or an edited file is found.
//!
//! A record ends with the SHA-256 of all bytes before that line. It also holds those of the files beside it.

use crate::Error;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::path::Path;

/// What stands between the last field of a record and its checksum.
const KEY: &str = ",\n  \"sha256\": \"";
/// What stands behind the checksum.
const END: &str = "\"\n}\n";
/// Hexadecimal digits of a SHA-256.
const DIGITS: usize = 64;

/// Bytes at the end of a record that hold its checksum.
const SEAL_BYTES: usize = KEY.len() + DIGITS + END.len();

/// What the end of a record says of its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seal {
    /// The content has the checksum that it states.
    Whole,
    /// The content has another checksum.
    Broken,
    /// There is no checksum where this program writes it: an early record, or one that another program has written.
    Absent,
}

/// A JSON object, printed with indents, with the checksum of its text as its last field.
pub(crate) fn seal(mut json: Vec<u8>) -> Vec<u8> {
    if json.ends_with(b"\n}") {
        json.truncate(json.len() - 2);
    }
    let digest = sha256(&json);
    json.extend_from_slice(KEY.as_bytes());
    json.extend_from_slice(digest.as_bytes());
    json.extend_from_slice(END.as_bytes());
    json
}

/// The checksum in `tail`, the last [`SEAL_BYTES`] bytes of a file, if they have its form.
fn digits_of(tail: &[u8]) -> Option<&[u8]> {
    let digits = tail.strip_prefix(KEY.as_bytes())?.strip_suffix(END.as_bytes())?;
    (digits.len() == DIGITS && digits.iter().all(u8::is_ascii_hexdigit)).then_some(digits)
}

/// Compares the content of `file` with the checksum at its end.
pub(super) fn check(file: &[u8]) -> Seal {
    let Some((content, tail)) = file.split_at_checked(file.len().saturating_sub(SEAL_BYTES)) else {
        return Seal::Absent;
    };
    match digits_of(tail) {
        None => Seal::Absent,
        Some(digits) if sha256(content).as_bytes() == digits => Seal::Whole,
        Some(_) => Seal::Broken,
    }
}

/// SHA-256 in hexadecimal digits.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

/// The digits of a digest.
pub(super) fn hexadecimal(digest: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| char::from(DIGITS[usize::from(value)]);
    digest.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// Size and checksum of a file beside a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSum {
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256 of the content in hexadecimal digits.
    pub sha256: String,
}

impl FileSum {
    /// That of a file with this content.
    #[must_use]
    pub fn of(content: &[u8]) -> Self {
        Self { bytes: content.len() as u64, sha256: sha256(content) }
    }

    /// Compares the `content` of the file at `path` with what the record says of it.
    ///
    /// # Errors
    /// If it is another content.
    pub(super) fn check(&self, path: &Path, content: &[u8]) -> Result<(), Error> {
        let found = Self::of(content);
        let reason = if found.bytes != self.bytes {
            format!("it has {} bytes, and the record says {}", found.bytes, self.bytes)
        } else if found.sha256 != self.sha256 {
            "its checksum is not the one in the record".to_owned()
        } else {
            return Ok(());
        };
        Err(Error::Damaged { path: path.to_owned(), reason })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flipped_bit_anywhere_is_found() {
        let file = seal(b"{\n  \"a\": 1,\n  \"b\": \"x\"\n}".to_vec());
        let parsed: serde_json::Value = serde_json::from_slice(&file).unwrap();
        assert_eq!(parsed["b"], "x");
        assert_eq!(check(&file), Seal::Whole);
        for place in 0..file.len() {
            for bit in 0..8 {
                let mut damaged = file.clone();
                damaged[place] ^= 1 << bit;
                assert_ne!(check(&damaged), Seal::Whole, "bit {bit} of byte {place}");
            }
        }
        for length in 0..file.len() {
            assert_ne!(check(&file[..length]), Seal::Whole, "{length} bytes");
        }
    }

    #[test]
    fn files_without_a_checksum_are_told_apart_from_damaged_ones() {
        assert_eq!(check(b""), Seal::Absent);
        assert_eq!(check(b"{}\n"), Seal::Absent);
        assert_eq!(check(&[0; 200]), Seal::Absent);
        let mut file = seal(b"{\n  \"a\": 1\n}".to_vec());
        file[6] = b'9';
        assert_eq!(check(&file), Seal::Broken);
    }
}
