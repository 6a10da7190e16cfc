//! State of the source: its commit, and how it differs from that.

use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Bytes of the patch that are kept at most.
pub(crate) const LARGEST_PATCH: usize = 1 << 20;

/// Untracked files that are listed at most.
pub(crate) const LISTED: usize = 200;

/// Bytes of untracked files that are hashed at most, all of them together: a build must not wait for a data set that
/// lies in the checkout.
pub(crate) const HASHED: u64 = 16 << 20;

/// Output of git in `root`; nothing where git or the repository is missing.
pub(crate) fn git(root: &Path, args: &[&str]) -> Option<Vec<u8>> {
    let output = Command::new("git").arg("-C").arg(root).args(args).output().ok()?;
    output.status.success().then_some(output.stdout)
}

/// How the source in `root` differs from its commit: a patch of the tracked files, and the untracked ones by checksum
/// and name alone, since what lies in a checkout beside the source may be secret or large. Empty where there is no
/// difference.
pub(crate) fn differences(root: &Path) -> Option<Vec<u8>> {
    let options = ["diff", "HEAD", "--binary", "--no-ext-diff", "--no-textconv", "--no-color"];
    let patch = git(root, &options)?;
    let untracked = git(root, &["ls-files", "--others", "--exclude-standard", "-z"])?;
    let mut text = list(root, &untracked).into_bytes();
    text.extend(shortened(patch));
    Some(text)
}

/// A patch that is not larger than it may be, whose first line says so where something was left out.
fn shortened(patch: Vec<u8>) -> Vec<u8> {
    if patch.len() <= LARGEST_PATCH {
        return patch;
    }
    let kept = &patch[..LARGEST_PATCH];
    let end = kept.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
    let mut text = format!(
        "# The patch has {} bytes (SHA-256 {}); its first {end} follow, the others are not kept.\n",
        patch.len(),
        sha256(&patch)
    )
    .into_bytes();
    text.extend(&patch[..end]);
    text
}

/// The files `names`, each ended by a zero byte, as comments before a patch.
fn list(root: &Path, names: &[u8]) -> String {
    let names: Vec<&[u8]> =
        names.split(|byte| *byte == 0).filter(|name| !name.is_empty()).collect();
    let mut text = String::new();
    if names.is_empty() {
        return text;
    }
    text.push_str("# Untracked files by SHA-256 and name; their contents are not kept.\n");
    let mut room = HASHED;
    for name in names.iter().take(LISTED) {
        let shown = String::from_utf8_lossy(name);
        let sum = hashed(root, &shown, &mut room);
        let _ = writeln!(text, "# {sum}  {}", shown.escape_debug());
    }
    if names.len() > LISTED {
        let _ = writeln!(text, "# and {} more", names.len() - LISTED);
    }
    text
}

/// Checksum of a file, or why there is none; `room` is how many bytes may still be hashed.
fn hashed(root: &Path, name: &str, room: &mut u64) -> String {
    let path = root.join(name);
    // A link may lead out of the checkout.
    match fs::symlink_metadata(&path) {
        Ok(metadata) if !metadata.is_file() => "not a regular file".to_owned(),
        Ok(metadata) if metadata.len() > *room => format!("{} bytes, not hashed", metadata.len()),
        Ok(metadata) => {
            *room -= metadata.len();
            fs::read(&path).map_or_else(|_| "not readable".to_owned(), |bytes| sha256(&bytes))
        }
        Err(_) => "not readable".to_owned(),
    }
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
