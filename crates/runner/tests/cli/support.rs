use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A folder with an experiment, in which the program runs.
pub(crate) struct Place {
    pub(crate) folder: tempfile::TempDir,
}

/// A sweep of a few seconds: two arms on each of two tasks.
pub(crate) const TINY: &str = r#"
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
    pub(crate) fn new() -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap() };
        place.write("tiny.toml", TINY);
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        command(self.folder.path(), args)
    }

    pub(crate) fn run(&self, args: &[&str]) -> Said {
        Said::new(self.command(args).output().unwrap())
    }
}

pub(crate) fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_actlab"));
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
pub(crate) struct Said {
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) code: Option<i32>,
}

impl Said {
    fn new(output: Output) -> Self {
        Self {
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
            code: output.status.code(),
        }
    }

    /// Standard output of a run that succeeded.
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.out
    }

    /// Standard error of a run that was asked for wrongly.
    pub(crate) fn refused(self) -> String {
        assert_eq!(self.code, Some(2), "{self:?}");
        assert_eq!(self.out, "", "an error is no result");
        self.err
    }
}

/// Runs the program where no experiment is needed.
pub(crate) fn actlab(args: &[&str]) -> Said {
    Said::new(command(&std::env::temp_dir(), args).output().unwrap())
}
