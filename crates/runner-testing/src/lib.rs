//! The program in a folder of its own, as integration tests use it.

#![expect(clippy::unwrap_used, reason = "a panic fails the test")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A folder with an experiment, in which the program runs.
#[derive(Debug)]
pub struct Place {
    folder: tempfile::TempDir,
    program: &'static str,
}

/// A sweep of a few seconds: two arms on each of two tasks.
pub const TINY: &str = r#"
name = "tiny"
activations = ["relu", "gelu"]
seeds = [1, 2]

[tasks.images]
model = { name = "resnet", depth = 8, width = 4 }
data = { name = "fashion-mnist-mini", train_limit = 256 }

[tasks.images.training]
batch_size = 64
budget = { epochs = 1 }
optimizer = { name = "sgd", nesterov = true }
learning_rate = 0.1
schedule = "cosine"
warmup = 0.2
evaluate_every = 2

[tasks.text]
model = { name = "bert", size = "tiny", max_length = 8 }
data = { name = "movie-reviews", train_limit = 64 }

[tasks.text.training]
batch_size = 32
budget = { steps = 2 }
optimizer = { name = "adamw" }
learning_rate = 1e-3
"#;

impl Place {
    /// A folder with [`TINY`] in `tiny.toml`, in which `program` runs.
    pub fn new(program: &'static str) -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap(), program };
        place.write("tiny.toml", TINY);
        place
    }

    /// A file or folder in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file, in folders that are made for it.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Reads a file.
    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// The program with `args`.
    pub fn command(&self, args: &[&str]) -> Command {
        command(self.program, self.folder.path(), args)
    }

    /// Runs the program with `args` to its end.
    pub fn run(&self, args: &[&str]) -> ProgramOutput {
        ProgramOutput::new(self.command(args).output().unwrap())
    }
}

/// `program` with `args` in `folder`, and with nothing that the user has set up for themselves.
pub fn command(program: &str, folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args).current_dir(folder).stdin(Stdio::null()).env("NO_COLOR", "1");
    // Nothing that the user has set up for themselves: no values, no keys.
    command.env("HOME", folder);
    let own = |name: &str| ["ACTLAB_", "WANDB_", "NETRC"].iter().any(|own| name.starts_with(own));
    for (name, _) in std::env::vars().filter(|(name, _)| own(name)) {
        command.env_remove(name);
    }
    command
}

/// What the program said, and how it ended.
#[derive(Debug)]
pub struct ProgramOutput {
    /// On standard output.
    pub out: String,
    /// On standard error.
    pub err: String,
    /// Exit code, where it was not killed.
    pub code: Option<i32>,
}

impl ProgramOutput {
    /// What a program that has ended said.
    pub fn new(output: Output) -> Self {
        Self {
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
            code: output.status.code(),
        }
    }

    /// Standard output of a run that succeeded.
    pub fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.out
    }

    /// Standard error of a run that was asked for wrongly.
    pub fn refused(self) -> String {
        assert_eq!(self.code, Some(2), "{self:?}");
        assert_eq!(self.out, "", "an error is no result");
        self.err
    }
}

/// The report without what depends on the machine: the columns of speed, time, memory, energy and dominance, which end
/// tables, the time that a next step takes, and the paragraph on compute.
#[must_use]
pub fn without_time(report: &str) -> String {
    let mut keep = None;
    let mut lines = Vec::new();
    let compute = report.find("\nCompute: ").unwrap_or(report.len());
    let (before, compute) = report.split_at(compute);
    let after = compute.trim_start().find("\n\n").map_or("", |end| &compute.trim_start()[end..]);
    let kept = before.lines().chain(after.lines());
    // What to do next says how long it takes.
    let mut next = false;
    for line in kept.filter(|line| !line.contains("energy, J:")) {
        next = line.starts_with("Next: ") || (next && !line.is_empty());
        if next {
            continue;
        }
        let cells: Vec<_> = line.split('|').collect();
        if !line.starts_with('|') {
            keep = None;
        } else {
            let timed = |cell: &str| {
                ["examples/s", "peak MiB", "dominated by", "time"].contains(&cell.trim())
            };
            keep = keep.or(cells.iter().position(|cell| timed(cell)));
        }
        lines.push(cells[..keep.unwrap_or(cells.len())].join("|"));
    }
    lines.join("\n")
}
