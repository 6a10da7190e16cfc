//! Tells the program what it was built from: compiler, target, and state of the source.

use std::env;
use std::process::Command;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

fn main() {
    let rustc = env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    set("BUILT_BY_RUSTC", output(&rustc, &["--version"]));
    set("BUILT_FOR_TARGET", env::var("TARGET").ok());

    let git = |args: &[&str]| output("git", &[&["-C", ROOT], args].concat());
    set("BUILT_FROM_COMMIT", git(&["rev-parse", "HEAD"]));
    set(
        "BUILT_FROM_CHANGED_FILES",
        git(&["status", "--porcelain"]).map(|files| (!files.is_empty()).to_string()),
    );
    let diff = std::path::Path::new(&env::var("OUT_DIR").unwrap_or_default()).join("source.diff");
    std::fs::write(diff, differences(&git).unwrap_or_default()).expect("OUT_DIR can be written");
    // A commit moves the reflog; an edit moves the sources.
    for path in [".git/logs/HEAD", "crates", "analysis", "Cargo.toml", "Cargo.lock"] {
        let path = format!("{ROOT}/{path}");
        if std::path::Path::new(&path).exists() {
            println!("cargo:rerun-if-changed={path}");
        }
    }
}

/// Changed files, and new ones, as a patch.
fn differences(git: &dyn Fn(&[&str]) -> Option<String>) -> Option<String> {
    let mut patch = git(&["diff", "HEAD", "--binary"])?;
    for file in git(&["ls-files", "--others", "--exclude-standard"])?.lines() {
        // It says 1 where there is a difference, which is no failure.
        let new = Command::new("git")
            .args(["-C", ROOT, "diff", "--binary", "--no-index", "--", "/dev/null", file])
            .output()
            .ok()?;
        patch.push('\n');
        patch.push_str(String::from_utf8_lossy(&new.stdout).trim_end());
    }
    let patch = patch.trim_start();
    Some(if patch.is_empty() { String::new() } else { format!("{patch}\n") })
}

fn set(name: &str, value: Option<String>) {
    println!("cargo:rustc-env={name}={}", value.unwrap_or_default());
}

fn output(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
