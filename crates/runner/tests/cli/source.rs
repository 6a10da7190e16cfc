//! What the build script keeps of the source, tried on a repository of its own.

#[path = "../../build/source.rs"]
mod build_script;

use build_script::{HASHED, LARGEST_PATCH, LISTED, differences};
use std::fs;
use std::path::Path;
use std::process::Command;

fn git(root: &Path, args: &[&str]) {
    let mut command = Command::new("git");
    command.arg("-C").arg(root).args(["-c", "user.name=a", "-c", "user.email=a@localhost"]);
    let output = command.args(args).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// A repository with one committed file.
fn repository() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    git(folder.path(), &["init", "--quiet"]);
    fs::write(folder.path().join("lib.rs"), "fn one() {}\n").unwrap();
    git(folder.path(), &["add", "lib.rs"]);
    git(folder.path(), &["commit", "--quiet", "--message", "One"]);
    folder
}

fn kept(root: &Path) -> String {
    String::from_utf8(differences(root).unwrap()).unwrap()
}

#[test]
fn a_clean_checkout_leaves_nothing() {
    let folder = repository();
    assert_eq!(kept(folder.path()), "");
    assert_eq!(differences(Path::new("/nonexistent")), None);
}

#[test]
fn untracked_files_are_kept_by_checksum_alone() {
    let folder = repository();
    let root = folder.path();
    fs::write(root.join(".env"), "WANDB_API_KEY=secret-1\n").unwrap();
    fs::create_dir(root.join("notes")).unwrap();
    fs::write(root.join("notes/a\nb.txt"), "secret-2").unwrap();
    fs::write(root.join("lib.rs"), "fn two() {}\n").unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink("/etc/hostname", root.join("link")).unwrap();
    let text = kept(root);
    assert!(!text.contains("secret"), "{text}");
    // sha256sum of the two files.
    for line in [
        "# 22362253654de5273fe41402c9fcbdc7ef7e02a5e988d712e99da970e4fc843b  .env\n",
        "  notes/a\\nb.txt\n",
        "-fn one() {}\n+fn two() {}\n",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    #[cfg(unix)]
    assert!(text.contains("# not a regular file  link\n"), "{text}");

    // The whole is still a patch.
    let patch = tempfile::NamedTempFile::new().unwrap();
    fs::write(patch.path(), &text).unwrap();
    git(root, &["checkout", "--quiet", "lib.rs"]);
    git(root, &["apply", &patch.path().display().to_string()]);
    assert_eq!(fs::read_to_string(root.join("lib.rs")).unwrap(), "fn two() {}\n");
}

#[test]
fn large_files_and_many_files_are_cut_short_with_a_line_that_says_so() {
    let folder = repository();
    let root = folder.path();
    fs::File::create(root.join("a.bin")).unwrap().set_len(HASHED + 1).unwrap();
    for i in 0..LISTED + 2 {
        fs::write(root.join(format!("b{i:04}")), "").unwrap();
    }
    let text = kept(root);
    assert!(text.contains(&format!("# {} bytes, not hashed  a.bin\n", HASHED + 1)), "{text}");
    assert!(text.ends_with("# and 3 more\n"), "{text}");
    assert_eq!(text.lines().count(), LISTED + 2);

    git(root, &["clean", "--quiet", "--force"]);
    fs::write(root.join("lib.rs"), "fn many() {}\n".repeat(200_000)).unwrap();
    let text = kept(root);
    assert!(text.len() < LARGEST_PATCH + 300);
    let first = text.lines().next().unwrap();
    assert!(
        first.starts_with("# The patch has 28001") && first.ends_with("are not kept."),
        "{first}"
    );
    assert!(text.ends_with("+fn many() {}\n"), "cut between lines");
}
