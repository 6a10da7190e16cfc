//! Runs that `actlab train` has trained in a folder that no sweep has written to.

use super::{Manifest, SweepDir};
use crate::Error;
use crate::shell;
use analysis::Family;
use record::{RunSpec, RunState, find_all_runs};
use std::collections::HashMap;
use std::path::Path;

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
            tuning: None,
            search: None,
            command: None,
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

    /// The command that trains what is missing, where it is known.
    pub(crate) fn resume_command(&self) -> Option<String> {
        let manifest = self.manifest().ok()?;
        let kind = if manifest.search.is_some() { "search" } else { "sweep" };
        manifest
            .command
            .map(|words| shell::line(&words))
            .or_else(|| Some(format!("actlab {kind} FILE")))
    }
}
