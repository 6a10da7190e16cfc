use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// A file that grows by whole pieces: one that the disk took only in part is taken back.
#[derive(Debug)]
pub(crate) struct AppendFile {
    file: File,
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
        Ok(Self { file: File::create(path)?, length: 0, torn: false })
    }

    /// Appends all of `piece` or nothing.
    pub(crate) fn append(&mut self, piece: &[u8]) -> io::Result<()> {
        if self.torn {
            self.restore()?;
        }
        if let Err(error) = self.file.write_all(piece) {
            self.torn = true;
            // Where this fails too, the next try begins with it.
            let _ = self.restore();
            return Err(error);
        }
        self.length += piece.len() as u64;
        Ok(())
    }

    fn restore(&mut self) -> io::Result<()> {
        use std::io::Seek;
        self.file.set_len(self.length)?;
        self.file.seek(io::SeekFrom::Start(self.length))?;
        self.torn = false;
        Ok(())
    }
}
