//! Slurm's own commands.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The commands, and where they are.
#[derive(Debug, Clone)]
pub(super) struct Cluster {
    pub(super) sbatch: PathBuf,
    pub(super) squeue: PathBuf,
}

impl Default for Cluster {
    fn default() -> Self {
        Self { sbatch: "sbatch".into(), squeue: "squeue".into() }
    }
}

impl Cluster {
    /// Whether the commands can be started at all.
    pub(super) fn try_it(&self) -> std::io::Result<()> {
        command(&self.sbatch).arg("--version").output().map(drop)
    }

    /// Submits `script`; the number of its job, or what went wrong.
    pub(super) fn submit(&self, script: &Path) -> Result<u64, String> {
        let output = command(&self.sbatch).arg("--parsable").arg(script).output();
        let output = output.map_err(|error| error.to_string())?;
        let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        if !output.status.success() {
            return Err(words);
        }
        // The number, and behind a semicolon the cluster where there are several.
        let answer = String::from_utf8_lossy(&output.stdout);
        let number = answer.trim().split(';').next().and_then(|number| number.parse().ok());
        number.ok_or_else(|| format!("its answer `{}` is no job number {words}", answer.trim()))
    }

    /// State of every task of the job `array`, by `ARRAY_TASK`; none where the cluster has forgotten it.
    pub(super) fn states(&self, array: u64) -> Result<HashMap<String, String>, String> {
        let array = array.to_string();
        let answer = self.ask(&["--array", "--format=%i|%T", "--jobs", &array])?;
        let states = answer.lines().filter_map(|line| line.trim().split_once('|'));
        Ok(states.map(|(task, state)| (task.to_owned(), state.to_owned())).collect())
    }

    /// Number of the job called `name`, if it waits, runs, or has ended lately. One that ended long ago needs no number:
    /// its tasks are over.
    pub(super) fn find(&self, name: &str) -> Result<Option<u64>, String> {
        let answer = self.ask(&["--format=%F", "--name", name])?;
        let number = |line: &str| {
            let line = line.trim();
            line[..line.find(|c: char| !c.is_ascii_digit()).unwrap_or(line.len())].parse().ok()
        };
        Ok(answer.lines().find_map(number))
    }

    fn ask(&self, args: &[&str]) -> Result<String, String> {
        let output = command(&self.squeue).args(["--noheader", "--states=all"]).args(args).output();
        let output = output.map_err(|error| error.to_string())?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        // One that ended long ago is forgotten.
        if words.contains("Invalid job id") { Ok(String::new()) } else { Err(words) }
    }
}

/// A command of Slurm's. Tasks inherit the environment of sbatch, but log nothing, so they get no key of a sink; nor may a
/// variable rename the job or change its array.
fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_remove("SBATCH_JOB_NAME").env_remove("SBATCH_ARRAY_INX");
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(tracking::is_secret) {
            command.env_remove(name);
        }
    }
    command
}
