//! Reading whole files, with errors that name them.

use crate::Error;
use flate2::read::GzDecoder;
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

pub(super) fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { action, path, source }
}

pub(super) fn bad(path: &Path, reason: impl Into<String>) -> Error {
    Error::BadData { path: path.to_owned(), reason: reason.into() }
}

/// The file of that name in `folder`, plain or with `.gz` behind it.
pub(super) fn locate(dataset: &str, folder: &Path, name: &str) -> Result<PathBuf, Error> {
    let plain = folder.join(name);
    let packed = folder.join(format!("{name}.gz"));
    match (plain.is_file(), packed.is_file()) {
        (true, _) => Ok(plain),
        (false, true) => Ok(packed),
        (false, false) => Err(Error::MissingData { name: dataset.to_owned(), path: plain }),
    }
}

/// The content of a file, unpacked where its name ends in `.gz`.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let bytes = fs::read(path).map_err(io_error("read", path))?;
    if path.extension().is_some_and(|extension| extension == "gz") {
        unpack(path, &bytes)
    } else {
        Ok(bytes)
    }
}

/// The content of gzipped `bytes` from `path`.
pub(super) fn unpack(path: &Path, bytes: &[u8]) -> Result<Vec<u8>, Error> {
    let mut content = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut content).map_err(|error| {
        bad(
            path,
            format!("cannot be unpacked ({error}); it is truncated or not gzip: fetch it again"),
        )
    })?;
    Ok(content)
}

/// SHA-256 in lower-case hexadecimal digits.
pub(super) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
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
