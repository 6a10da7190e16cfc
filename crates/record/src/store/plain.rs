//! Files that are files. A pipe or a device in the place of one never ends, and a link in the place of a lock leads to a
//! file of the user's own.

use std::fs::{self, File};
use std::io::{Error, ErrorKind, Read, Result};
use std::path::Path;

/// What stands at a path, but is no file: it is reported as a folder is.
fn no_file(reason: &'static str) -> Error {
    Error::new(ErrorKind::IsADirectory, reason)
}

/// Opens the file at `path` for reading; a link to one is followed.
pub(super) fn open(path: &Path) -> Result<File> {
    match fs::metadata(path) {
        Ok(found) if found.is_file() || found.is_dir() => File::open(path),
        Ok(_) => Err(no_file("it is no regular file: remove it")),
        // One that leads to nothing is as good as absent; one that leads to itself is in the way.
        Err(error) if error.kind() != ErrorKind::NotFound && is_link(path) => {
            Err(no_file("it is a link that leads nowhere: remove it"))
        }
        Err(error) => Err(error),
    }
}

/// The content of the file at `path`, as [`open`] opens it.
pub fn read_file(path: &Path) -> Result<Vec<u8>> {
    let mut content = Vec::new();
    open(path)?.read_to_end(&mut content)?;
    Ok(content)
}

/// Opens the lock at `path`, which may have to be made. Its content stays as it is: it may be another process's.
///
/// # Errors
/// If it cannot be written, or is no regular file: what a link leads to is none of ours.
pub fn open_lock(path: &Path) -> Result<File> {
    match fs::symlink_metadata(path) {
        Ok(found) if !found.is_file() => Err(no_file("it is no regular file: remove it")),
        _ => File::options().create(true).append(true).open(path),
    }
}

fn is_link(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::process::Command;

    #[test]
    fn what_is_no_file_is_refused_and_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        assert!(Command::new("mkfifo").arg(at("pipe")).status().unwrap().success());
        symlink("loop", at("loop")).unwrap();
        symlink("nothing", at("dangling")).unwrap();
        symlink("/dev/zero", at("endless")).unwrap();
        fs::write(at("file"), "content").unwrap();
        symlink("file", at("link")).unwrap();
        for name in ["pipe", "loop", "endless"] {
            assert_eq!(read_file(&at(name)).unwrap_err().kind(), ErrorKind::IsADirectory, "{name}");
        }
        assert_eq!(read_file(&at("dangling")).unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(read_file(&at("link")).unwrap(), b"content");
    }

    #[test]
    fn a_lock_is_no_link() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("file"), "content").unwrap();
        symlink("file", at("link")).unwrap();
        assert!(open_lock(&at("link")).is_err());
        assert_eq!(fs::read(at("file")).unwrap(), b"content");
        // That of another process keeps what it says.
        assert!(open_lock(&at("file")).is_ok());
        assert_eq!(fs::read(at("file")).unwrap(), b"content");
        assert!(open_lock(&at("new")).is_ok());
    }
}
