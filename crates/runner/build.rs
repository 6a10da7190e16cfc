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
    set("BUILT_VERSION", Some(stated(git(&["rev-parse", "--short=10", "HEAD"]), &git)));
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

/// What `--version` says: the version, the commit, and what was built in.
fn stated(commit: Option<String>, git: &dyn Fn(&[&str]) -> Option<String>) -> String {
    let changed = git(&["status", "--porcelain"]).is_some_and(|files| !files.is_empty());
    let commit = match commit {
        Some(commit) if changed => format!("commit {commit}, changed"),
        Some(commit) => format!("commit {commit}"),
        None => "commit unknown".to_owned(),
    };
    let features = ["cuda", "wgpu", "vulkan", "metal"];
    let on = |name: &&str| env::var_os(format!("CARGO_FEATURE_{}", name.to_uppercase())).is_some();
    let features: Vec<&str> = features.into_iter().filter(on).collect();
    let features = if features.is_empty() { "none".to_owned() } else { features.join(", ") };
    let version = env::var("CARGO_PKG_VERSION").unwrap_or_default();
    format!("{version} ({commit}; features: {features})")
}

fn set(name: &str, value: Option<String>) {
    println!("cargo:rustc-env={name}={}", value.unwrap_or_default());
}

fn line(output: Vec<u8>) -> Option<String> {
    String::from_utf8(output).ok().map(|text| text.trim().to_owned())
}
