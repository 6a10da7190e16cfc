//! Locks: one process at a time writes a run or a sweep.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::Path;

/// Held while a run is written; the system frees it when the process ends, however it ends.
#[derive(Debug)]
pub struct RunLock {
    pub(super) _file: File,
}

/// Whether `file` is the file that lies at `path` now. A lock of a file that has been removed or replaced locks nothing.
#[must_use]
pub fn is_same_file(file: &File, path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let (Ok(open), Ok(there)) = (file.metadata(), fs::metadata(path)) else { return false };
        (open.dev(), open.ino()) == (there.dev(), there.ino())
    }
    #[cfg(not(unix))]
    {
        let _ = file;
        path.exists()
    }
}

/// The files that processes of this machine have locked, as the system lists them. To look takes no lock, and writes
/// nothing.
#[derive(Debug, Clone, Default)]
pub struct HeldLocks {
    /// Device and inode, where the system tells.
    files: Option<BTreeSet<(u64, u64)>>,
}

impl HeldLocks {
    /// Those of this moment. Linux alone tells.
    #[must_use]
    pub fn now() -> Self {
        Self { files: fs::read_to_string("/proc/locks").ok().map(|text| parse(&text)) }
    }

    /// Whether a process of this machine has locked the file at `path`; nothing where the system does not tell.
    #[must_use]
    pub fn holds(&self, path: &Path) -> Option<bool> {
        let files = self.files.as_ref()?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            let there = fs::metadata(path).ok();
            Some(there.is_some_and(|there| files.contains(&(there.dev(), there.ino()))))
        }
        #[cfg(not(unix))]
        {
            let _ = (files, path);
            None
        }
    }
}

/// The locked files in the text of `/proc/locks`, whose lines are like
/// `1: FLOCK  ADVISORY  WRITE 708 08:13:1234 0 EOF` (proc_locks(5)): device in hexadecimal digits, then the inode.
fn parse(text: &str) -> BTreeSet<(u64, u64)> {
    let file = |line: &str| {
        // A process that waits for a lock has `->` in its line, and holds none.
        let mut words = line.split_whitespace().skip(1);
        if words.next()? != "FLOCK" {
            return None;
        }
        let mut parts = words.nth(3)?.split(':');
        let major = u64::from_str_radix(parts.next()?, 16).ok()?;
        let minor = u64::from_str_radix(parts.next()?, 16).ok()?;
        let inode = parts.next()?.parse().ok()?;
        Some((device(major, minor), inode))
    };
    text.lines().filter_map(file).collect()
}

/// The number that `stat` gives a device on Linux (makedev(3)).
fn device(major: u64, minor: u64) -> u64 {
    ((major & 0xffff_f000) << 32)
        | ((major & 0xfff) << 8)
        | ((minor & 0xffff_ff00) << 12)
        | (minor & 0xff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_locks_are_read() {
        let text = "1: FLOCK  ADVISORY  WRITE 708 08:13:1234 0 EOF\n\
                    1: -> FLOCK  ADVISORY  WRITE 709 08:13:99 0 EOF\n\
                    2: POSIX  ADVISORY  READ 5 fd:00:17 0 EOF\nnonsense\n";
        assert_eq!(parse(text), BTreeSet::from([(0x813, 1234)]));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_lock_is_seen_without_taking_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".lock");
        assert_ne!(HeldLocks::now().holds(&path), Some(true));
        let file = File::create(&path).unwrap();
        file.try_lock().unwrap();
        // Some sandboxes and layered file systems list no locks, or other numbers.
        let inode = std::os::unix::fs::MetadataExt::ino(&file.metadata().unwrap());
        let held = HeldLocks::now();
        if held.files.as_ref().is_some_and(|files| files.iter().any(|(_, one)| *one == inode)) {
            assert_eq!(held.holds(&path), Some(true));
            drop(file);
            assert_eq!(HeldLocks::now().holds(&path), Some(false));
        }
    }

    #[test]
    #[cfg(unix)]
    fn a_file_that_was_replaced_is_another_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".lock");
        let file = File::create(&path).unwrap();
        assert!(is_same_file(&file, &path));
        fs::remove_file(&path).unwrap();
        assert!(!is_same_file(&file, &path));
        let _other = File::create(&path).unwrap();
        assert!(!is_same_file(&file, &path));
    }
}
