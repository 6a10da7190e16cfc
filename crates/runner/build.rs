//! Tells the program what it was built from: compiler, target, and state of the source.

#[path = "build/source.rs"]
mod source;

use std::env;
use std::path::Path;
use std::process::Command;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

fn main() {
    let rustc = env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let version = Command::new(rustc).arg("--version").output().ok();
    set("BUILT_BY_RUSTC", version.and_then(|output| line(output.stdout)));
    set("BUILT_FOR_TARGET", env::var("TARGET").ok());

    let root = Path::new(ROOT);
    let git = |args: &[&str]| source::git(root, args).and_then(line);
    set("BUILT_FROM_COMMIT", git(&["rev-parse", "HEAD"]));
    set(
        "BUILT_FROM_CHANGED_FILES",
        git(&["status", "--porcelain"]).map(|files| (!files.is_empty()).to_string()),
    );
    let diff = Path::new(&env::var("OUT_DIR").unwrap_or_default()).join("source.diff");
    std::fs::write(diff, source::differences(root).unwrap_or_default())
        .expect("OUT_DIR can be written");
    // A commit moves the reflog, which in a worktree lies elsewhere; an edit moves the sources.
    let reflog = git(&["rev-parse", "--path-format=absolute", "--git-path", "logs/HEAD"]);
    let sources = ["crates", "analysis", "Cargo.toml", "Cargo.lock"];
    for path in reflog.into_iter().chain(sources.map(|path| format!("{ROOT}/{path}"))) {
        if Path::new(&path).exists() {
            println!("cargo:rerun-if-changed={path}");
        }
    }
}

fn set(name: &str, value: Option<String>) {
    println!("cargo:rustc-env={name}={}", value.unwrap_or_default());
}

fn line(output: Vec<u8>) -> Option<String> {
    String::from_utf8(output).ok().map(|text| text.trim().to_owned())
}
