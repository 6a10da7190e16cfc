//! Tells the program what it was built from: compiler, target, and state of the source.

use std::env;
use std::process::Command;

fn main() {
    let rustc = env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    set("BUILT_BY_RUSTC", output(&rustc, &["--version"]));
    set("BUILT_FOR_TARGET", env::var("TARGET").ok());

    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let git = |args: &[&str]| output("git", &[&["-C", root], args].concat());
    set("BUILT_FROM_COMMIT", git(&["rev-parse", "HEAD"]));
    set(
        "BUILT_FROM_CHANGED_FILES",
        git(&["status", "--porcelain"]).map(|files| (!files.is_empty()).to_string()),
    );
    // A commit moves the reflog; an edit moves the sources.
    for path in [".git/logs/HEAD", "crates", "analysis", "Cargo.toml", "Cargo.lock"] {
        let path = format!("{root}/{path}");
        if std::path::Path::new(&path).exists() {
            println!("cargo:rerun-if-changed={path}");
        }
    }
}

fn set(name: &str, value: Option<String>) {
    println!("cargo:rustc-env={name}={}", value.unwrap_or_default());
}

fn output(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
