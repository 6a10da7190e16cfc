use crate::Error;
use std::fs::File;
use std::io::Write;
use std::path::Path;

/// Ending of the names of temporary files.
pub(super) const TEMPORARY: &str = ".tmp";

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
        builder.prefix(".").suffix(TEMPORARY);
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
    .map_err(|error| Error::io("write", path)(plain(error)))
}

/// The error without the random name of a temporary file: the same fault always has the same words.
fn plain(error: std::io::Error) -> std::io::Error {
    match error.to_string().split_once(" at path ") {
        Some((words, _)) => std::io::Error::new(error.kind(), words),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

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

    #[cfg(target_os = "linux")]
    #[test]
    fn the_same_fault_has_the_same_words() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("missing").join("file");
        let said = || write_atomically(&path, b"new").unwrap_err().to_string();
        assert_eq!(said(), said());
        assert!(
            said().ends_with("missing/file: No such file or directory (os error 2)"),
            "{}",
            said()
        );
    }
}
