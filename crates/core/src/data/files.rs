//! Reading whole files, with errors that name them.

use crate::Error;
use flate2::bufread::GzDecoder;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

pub(super) fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { action, path, source }
}

pub(crate) fn bad(path: &Path, reason: impl Into<String>) -> Error {
    Error::BadData { path: path.to_owned(), reason: reason.into() }
}

/// Largest file that is read, and largest content that one may unpack to: ten times what any data set here has.
const LARGEST: u64 = 2 << 30;

/// First bytes of a gzip member (RFC 1952, section 2.3.1).
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// The error of a file or folder that cannot be read: what the user can mend is bad data.
pub(super) fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| match source.kind() {
        ErrorKind::PermissionDenied => {
            bad(&path, "permission denied: it must be readable for this user")
        }
        ErrorKind::IsADirectory => bad(&path, "is a folder, but must be a file"),
        _ => Error::Io { action: "read", path, source },
    }
}

/// The content of a file, unpacked where it is gzip.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable(path))?;
    if file.metadata().map_err(unreadable(path))?.len() > LARGEST {
        return Err(bad(path, "is larger than 2 GiB, but no file of a data set is"));
    }
    file.take(LARGEST).read_to_end(&mut bytes).map_err(unreadable(path))?;
    let packed = path.extension().is_some_and(|extension| extension == "gz");
    match (packed, bytes.starts_with(&GZIP)) {
        (_, true) => unpack(path, &bytes),
        (true, false) if !bytes.is_empty() => Err(bad(
            path,
            "cannot be unpacked, since it is not gzip: fetch it again, or take .gz off its name if it is plain",
        )),
        _ => Ok(bytes),
    }
}

/// The content of gzipped `bytes` from `path`: of all members, one behind the other, with zero bytes behind the last.
pub(super) fn unpack(path: &Path, bytes: &[u8]) -> Result<Vec<u8>, Error> {
    let mut content = Vec::new();
    let mut rest = bytes;
    loop {
        let mut decoder = GzDecoder::new(rest);
        let room = (LARGEST + 1).saturating_sub(content.len() as u64);
        (&mut decoder).take(room).read_to_end(&mut content).map_err(|error| {
            bad(
                path,
                format!("cannot be unpacked ({error}): it is truncated or damaged; fetch it again"),
            )
        })?;
        if content.len() as u64 > LARGEST {
            return Err(bad(path, "unpacks to more than 2 GiB, but no file of a data set does"));
        }
        rest = decoder.into_inner();
        if rest.iter().all(|byte| *byte == 0) {
            return Ok(content);
        }
        if !rest.starts_with(&GZIP) {
            let behind = rest.len();
            return Err(bad(
                path,
                format!("has {behind} bytes behind its gzip data: it is damaged; fetch it again"),
            ));
        }
    }
}

/// SHA-256 in lower-case hexadecimal digits.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// A file that two of `groups` share, by whatever name.
pub(super) fn shared_file<const N: usize>(groups: [&[PathBuf]; N]) -> Option<PathBuf> {
    let mut known: HashMap<PathBuf, usize> = HashMap::new();
    for (group, files) in groups.into_iter().enumerate() {
        for file in files {
            let real = file.canonicalize().unwrap_or_else(|_| file.clone());
            if known.insert(real, group).is_some_and(|other| other != group) {
                return Some(file.clone());
            }
        }
    }
    None
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// SHA-256 of a file as it lies on the disk, without holding it in memory.
pub(super) fn sha256_of_file(path: &Path) -> Result<String, Error> {
    let mut file = File::open(path).map_err(io_error("read", path))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer).map_err(io_error("read", path))? {
            0 => return Ok(hex(&hash.finalize())),
            n => hash.update(&buffer[..n]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn every_member_is_unpacked() {
        let unpacked = |bytes: &[u8]| unpack(Path::new("a.gz"), bytes).unwrap();
        assert_eq!(unpacked(&gzip(b"one")), b"one");
        assert_eq!(unpacked(&[gzip(b"one"), gzip(b""), gzip(b" two")].concat()), b"one two");
        // Padding, as tapes and block devices leave it.
        assert_eq!(unpacked(&[gzip(b"one"), vec![0; 512]].concat()), b"one");
    }

    #[test]
    fn damaged_gzip_is_refused_with_a_reason() {
        let whole = gzip(&[7; 1000]);
        let mut wrong_sum = whole.clone();
        let end = wrong_sum.len();
        wrong_sum[end - 8] ^= 1;
        for (bytes, reason) in [
            (whole[..end - 1].to_vec(), "a.gz: cannot be unpacked"),
            (whole[..12].to_vec(), "a.gz: cannot be unpacked"),
            (wrong_sum, "a.gz: cannot be unpacked"),
            (
                [whole.clone(), b"garbage".to_vec()].concat(),
                "a.gz: has 7 bytes behind its gzip data",
            ),
            ([whole.clone(), whole[..end - 4].to_vec()].concat(), "a.gz: cannot be unpacked"),
        ] {
            let error = unpack(Path::new("a.gz"), &bytes).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn packing_is_told_by_content_and_folders_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("packed"), gzip(b"one")).unwrap();
        std::fs::write(path("plain.gz"), b"one").unwrap();
        std::fs::create_dir(path("folder")).unwrap();
        assert_eq!(read(&path("packed")).unwrap(), b"one");
        let error = read(&path("plain.gz")).unwrap_err().to_string();
        assert!(error.contains("take .gz off its name"), "{error}");
        let error = read(&path("folder")).unwrap_err().to_string();
        assert!(error.contains("is a folder, but must be a file"), "{error}");
        let denied = unreadable(Path::new("x"))(ErrorKind::PermissionDenied.into()).to_string();
        assert_eq!(denied, "x: permission denied: it must be readable for this user");
    }

    #[test]
    fn a_file_without_end_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("large");
        File::create(&path).unwrap().set_len(LARGEST + 1).unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains("larger than 2 GiB"), "{error}");
    }
}
