//! Runs a test of this program again, in a process that uses other vector instructions: a process chooses them once.

use activation::simd::{VARIABLE, Width};
use std::process::Command;

/// Set in the other process; begins the lines that it answers with.
const ASKED: &str = "ACTLAB_TEST_INSTRUCTIONS";

/// Whether this process was started by [`answers`]: a test that only answers does nothing otherwise.
#[must_use]
pub fn is_asked() -> bool {
    std::env::var_os(ASKED).is_some()
}

/// Gives a line to the process that asked.
pub fn answer(line: &str) {
    println!("{ASKED}={line}");
}

/// The lines that `test` of this test program, by its path, answers with instructions of `width`.
///
/// # Panics
/// If the test fails.
#[must_use]
pub fn answers(width: Width, test: &str) -> Vec<String> {
    let program = std::env::current_exe().expect("a running program has a path");
    let output = Command::new(program)
        .args([test, "--exact", "--nocapture"])
        .env(VARIABLE, width.to_string())
        .env(ASKED, "1")
        .output()
        .expect("a test program can be started again");
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{width}: {text}{errors}");
    let line = |line: &str| Some(line.split_once(&format!("{ASKED}="))?.1.to_owned());
    let lines: Vec<String> = text.lines().filter_map(line).collect();
    assert!(!lines.is_empty(), "{test} answers nothing: is it there? {text}");
    lines
}
