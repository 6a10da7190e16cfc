use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

/// Where pieces are appended, and the end of one can be cut off.
pub(crate) trait Storage: Write {
    /// Leaves the first `length` bytes, and continues behind them.
    fn cut(&mut self, length: u64) -> io::Result<()>;
}

impl Storage for File {
    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)?;
        self.seek(SeekFrom::Start(length)).map(|_| ())
    }
}

/// A file that grows by whole pieces: one that the disk took only in part is taken back.
#[derive(Debug)]
pub(crate) struct AppendFile<S = File> {
    storage: S,
    length: u64,
    /// A part of a piece lies behind `length`.
    torn: bool,
}

impl AppendFile {
    /// Creates the file, and the folder that it lies in; an older file is replaced.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        Ok(Self { storage: File::create(path)?, length: 0, torn: false })
    }
}

impl<S: Storage> AppendFile<S> {
    /// Appends all of `piece` or nothing.
    pub(crate) fn append(&mut self, piece: &[u8]) -> io::Result<()> {
        if self.torn {
            self.storage.cut(self.length)?;
            self.torn = false;
        }
        if let Err(error) = self.storage.write_all(piece) {
            // Where this fails too, the next try begins with it.
            self.torn = self.storage.cut(self.length).is_err();
            return Err(error);
        }
        self.length += piece.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk with so much room.
    struct Disk {
        bytes: Vec<u8>,
        room: usize,
        /// Cutting fails too.
        stuck: bool,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.len().min(self.room - self.bytes.len());
            if taken == 0 {
                return Err(io::Error::from(io::ErrorKind::StorageFull));
            }
            self.bytes.extend(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Storage for Disk {
        fn cut(&mut self, length: u64) -> io::Result<()> {
            if self.stuck {
                return Err(io::Error::from(io::ErrorKind::PermissionDenied));
            }
            self.bytes.truncate(usize::try_from(length).unwrap_or(usize::MAX));
            Ok(())
        }
    }

    #[test]
    fn a_piece_that_a_full_disk_took_in_part_is_taken_back() {
        for stuck in [false, true] {
            let storage = Disk { bytes: Vec::new(), room: 8, stuck };
            let mut file = AppendFile { storage, length: 0, torn: false };
            file.append(b"whole").unwrap();
            assert_eq!(file.append(b"piece").unwrap_err().kind(), io::ErrorKind::StorageFull);
            assert_eq!(file.storage.bytes.len(), if stuck { 8 } else { 5 });
            file.storage.stuck = false;
            file.storage.room = 16;
            file.append(b"piece").unwrap();
            assert_eq!(file.storage.bytes, b"wholepiece");
        }
    }
}
