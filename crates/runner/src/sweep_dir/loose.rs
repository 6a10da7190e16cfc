//! Runs that `actlab train` has trained in a folder that no sweep has written to.

use super::{Manifest, SweepDir};
use crate::Error;
use crate::shell;
use analysis::Family;
use record::{RunSpec, RunState, find_all_runs};
use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

impl SweepDir {
    /// What the sweep is; where there is none, a sweep of the runs that are there.
    pub(crate) fn shown_manifest(&self) -> Result<Manifest, Error> {
        if self.path.join("sweep.json").exists() || !self.runs().is_dir() {
            return self.manifest();
        }
        let mut specs = Vec::new();
        for (dir, state) in find_all_runs(&self.runs())? {
            let whole = matches!(state, RunState::Finished | RunState::Unfinished);
            // A run whose description is damaged cannot be shown.
            let spec = if whole { dir.spec().ok() } else { None };
            let changed = std::fs::metadata(dir.path()).and_then(|data| data.modified()).ok();
            specs.extend(spec.filter(|spec| spec.trial.is_none()).map(|spec| (changed, spec)));
        }
        if specs.is_empty() {
            return self.manifest();
        }
        // The newest of several under one name is shown: a table has one place for it.
        specs.sort_by_key(|(changed, _)| *changed);
        let mut newest: HashMap<(String, String, u64), RunSpec> = HashMap::new();
        let mut order = Vec::new();
        for (_, spec) in specs {
            let key = (spec.activation.label.clone(), spec.task.clone(), spec.seed);
            if newest.insert(key.clone(), spec).is_none() {
                order.push(key);
            }
        }
        order.sort();
        let (mut activations, mut tasks) = (Vec::new(), Vec::new());
        for (activation, task, _) in &order {
            if !activations.contains(activation) {
                activations.push(activation.clone());
            }
            if !tasks.contains(task) {
                tasks.push(task.clone());
            }
        }
        let name = self.path.file_name().unwrap_or(self.path.as_os_str());
        Ok(Manifest {
            name: name.to_string_lossy().into_owned(),
            description: String::new(),
            baseline: activations.first().cloned().unwrap_or_default(),
            activations,
            tasks,
            runs: order.iter().filter_map(|key| Some(newest.get(key)?.id())).collect(),
            margin: None,
            family: Family::default(),
            all_pairs: None,
            looks: None,
            experiment: serde_json::Value::Null,
            registration: None,
            confirms: None,
            planned: None,
            earlier: Vec::new(),
            tuning: None,
            search: None,
            command: None,
            output: None,
        })
    }

    /// Why the folder is not that of a sweep.
    pub(super) fn no_sweep(&self, path: &Path, error: &std::io::Error) -> Error {
        let folder = self.path.display();
        let hint = if self.path.join("record.json").exists() || self.path.join("spec.json").exists()
        {
            ": it is that of one run"
        } else if !self.path.exists() {
            ": it does not exist; `actlab results` lists what is there"
        } else if std::fs::read_dir(self.runs()).is_ok_and(|mut runs| runs.next().is_none()) {
            ": nothing was trained in it"
        } else if self.runs().is_dir() {
            ": its runs were trained by `actlab train`"
        } else {
            return Error::Usage(format!(
                "{folder} is not the folder of a sweep: cannot read {}: {error}",
                path.display()
            ));
        };
        Error::Usage(format!("{folder} is not the folder of a sweep{hint}"))
    }

    /// The command that trains what is missing, where it is known, as it can be called in this process's folder.
    pub(crate) fn resume_command(&self) -> Option<String> {
        let manifest = self.manifest().ok()?;
        let kind = if manifest.search.is_some() { "search" } else { "sweep" };
        let Some(words) = &manifest.command else { return Some(format!("actlab {kind} FILE")) };
        let line = shell::line(words);
        let Some(output) = &manifest.output else { return Some(line) };
        let (Ok(folder), Ok(here)) = (self.path.canonicalize(), std::env::current_dir()) else {
            return Some(line);
        };
        Some(command_in(&here, &folder, (output, &manifest.name), &line))
    }
}

/// The command `line` that has written a sweep to `folder`, as it can be called in the folder `here`: the sweep called
/// `name` lies below `output`, which may be relative to the folder of the call.
fn command_in(here: &Path, folder: &Path, (output, name): (&Path, &str), line: &str) -> String {
    let plain: PathBuf = output.components().filter(|part| *part != Component::CurDir).collect();
    let written = plain.join(name);
    if written == folder {
        return line.to_owned();
    }
    if written.is_relative() && folder.ends_with(&written) {
        let called = folder.ancestors().nth(written.components().count());
        return match called.filter(|called| *called != here) {
            Some(called) => {
                format!("cd {} && {line}", shell::quoted(&called.display().to_string()))
            }
            None => line.to_owned(),
        };
    }
    // It was moved, or `output` leads up first.
    let (Some(parent), Some(own)) = (folder.parent(), folder.file_name()) else {
        return line.to_owned();
    };
    let mut line = format!("{line} --output {}", shell::quoted(&parent.display().to_string()));
    let own = own.to_string_lossy();
    if own != name {
        line += &format!(" --name {}", shell::quoted(&own));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_told_with_the_folder_in_which_it_was_called() {
        let of = |here: &str, folder: &str, output: &str| {
            let written = (Path::new(output), "quick");
            command_in(Path::new(here), Path::new(folder), written, "actlab sweep a.toml")
        };
        let plain = "actlab sweep a.toml";
        assert_eq!(of("/home/ada", "/home/ada/results/quick", "results"), plain);
        assert_eq!(of("/home/ada", "/home/ada/results/quick", "./results"), plain);
        assert_eq!(of("/home/ada", "/home/ada/quick", "."), plain);
        assert_eq!(of("/anywhere", "/data/quick", "/data"), plain);
        assert_eq!(
            of("/home", "/my work/results/quick", "results"),
            "cd '/my work' && actlab sweep a.toml"
        );
        assert_eq!(
            of("/home/ada", "/backup/quick", "results"),
            "actlab sweep a.toml --output /backup"
        );
        assert_eq!(
            of("/home/ada", "/home/ada/results/old", "results"),
            "actlab sweep a.toml --output /home/ada/results --name old"
        );
        assert_eq!(of("/home/ada", "/data/quick", "../data"), "actlab sweep a.toml --output /data");
    }
}
