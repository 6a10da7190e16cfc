//! A task as overrides and tuned values leave it, and which of these is to blame for what is wrong with it.

use super::Planner;
use super::merge::merge;
use crate::Error;
use crate::experiment::{Task, fault, words};
use crate::tune::{Assignment, unset};

/// Finds the value that is to blame for what is wrong with a task: the file's, that of an override, or a tuned one.
pub(super) struct Blame<'a, 'b> {
    pub(super) planner: &'b Planner<'a>,
    pub(super) name: &'b str,
    pub(super) arm: usize,
    pub(super) assignments: &'b [Assignment],
}

impl Blame<'_, '_> {
    /// The task as overrides and assignments leave it.
    pub(super) fn task(&self) -> Result<Task, Error> {
        let cell = (self.name.to_owned(), self.arm);
        // Most trials lie upon a task that was planned before.
        let task = match self.planner.tasks.get(&cell) {
            Some(task) => task.clone(),
            None => self.overridden_task()?,
        };
        self.tuned(task)
    }

    /// The task as overrides leave it.
    fn overridden_task(&self) -> Result<Task, Error> {
        let Planner { experiment, overridden, labels, .. } = self.planner;
        let mut task = experiment.tasks[self.name].clone();
        for (i, change) in experiment.overrides.iter().enumerate() {
            let meant = experiment.is_task(change.task.as_deref(), self.name)
                && overridden[i].as_deref().is_none_or(|arm| arm == labels[self.arm]);
            if meant {
                let set = unset(change.set.clone(), true);
                task = lay(&task, [&set]).map_err(|error| {
                    let key = format!("overrides[{i}].set");
                    match explain(&task, &[&set]) {
                        Some((below, message)) if below.is_empty() => {
                            experiment.error(&key, &message)
                        }
                        Some((below, message)) => {
                            experiment.error(&format!("{key}.{below}"), &message)
                        }
                        None => experiment.error(&key, &words::plain(&error.to_string())),
                    }
                })?;
            }
        }
        Ok(task)
    }

    /// The task with the assignments upon it.
    fn tuned(&self, task: Task) -> Result<Task, Error> {
        if self.assignments.is_empty() {
            return Ok(task);
        }
        let mut ordered: Vec<&Assignment> = self.assignments.iter().collect();
        // A name chooses a form, into which the other keys go.
        ordered.sort_by_key(|one| !one.path.ends_with(".name"));
        let nested: Vec<serde_json::Value> = ordered.iter().map(|one| one.nested()).collect();
        let nested: Vec<&serde_json::Value> = nested.iter().collect();
        lay(&task, nested.iter().copied()).map_err(|error| match explain(&task, &nested) {
            Some((path, message)) => self.at(&path, &message),
            None => self.at("", &words::plain(&error.to_string())),
        })
    }

    /// What `core` says against the part `part` of the task.
    pub(super) fn refuse(&self, part: &str, error: &actlab_core::Error) -> Error {
        let key = match error.key() {
            Some(key) if part.is_empty() => key.to_owned(),
            Some(key) => format!("{part}.{key}"),
            None => part.to_owned(),
        };
        let parts = ["model", "objective", "data"];
        // What is said of a whole part may be the fault of another part that it does not fit.
        let whole = ["model.name", "objective.name", "data.name", "data.augmentation"];
        if parts.contains(&key.as_str()) || whole.contains(&key.as_str()) {
            self.conflict(&key, &parts, error)
        } else {
            self.at(&key, error)
        }
    }

    /// What is wrong with the value at `path`, which must fit the parts `others` of the task: where a flag has chosen one
    /// of these, the flag is named first.
    pub(super) fn conflict(
        &self,
        path: &str,
        others: &[&str],
        what: &dyn std::fmt::Display,
    ) -> Error {
        let experiment = self.planner.experiment;
        let place = |path: &str| format!("tasks.{}.{path}", self.name);
        if !self.assignments.is_empty() || self.overridden(path).is_some() {
            return self.at(path, what);
        }
        let own = path.split('.').next().unwrap_or(path);
        let keys = |part: &&&str| [place(part), place(&format!("{part}.name"))];
        let mut keys: Vec<String> =
            others.iter().filter(|part| **part != own).flat_map(|part| keys(&part)).collect();
        keys.push(place("data.train_limit"));
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        experiment.conflict(&place(path), &keys, what)
    }

    /// What is wrong with the value at `path` of the task, or with all of it where that is empty.
    pub(super) fn at(&self, path: &str, what: &dyn std::fmt::Display) -> Error {
        let experiment = self.planner.experiment;
        let dot = if path.is_empty() { "" } else { "." };
        let place = format!("tasks.{}{dot}{path}", self.name);
        let about = |own: &str| {
            path == own || path.strip_prefix(own).is_some_and(|rest| rest.starts_with('.'))
        };
        if let Some(one) = self.assignments.iter().find(|one| about(&one.path)) {
            let key = format!("tune.parameters.{}", one.key);
            return experiment.error(&key, &format!("with {} = {}: {what}", one.path, one.value));
        }
        if let Some((i, key)) = self.overridden(path) {
            return experiment
                .error(&format!("overrides[{i}].set.{key}"), &format!("{place}: {what}"));
        }
        if self.assignments.is_empty() {
            return experiment.error(&place, what);
        }
        let values: Vec<String> =
            self.assignments.iter().map(|one| format!("{} = {}", one.path, one.value)).collect();
        let what = format!("with {}: {place}: {what}", values.join(", "));
        experiment.error("tune.parameters", &what)
    }

    /// The last override that sets the value at `path`.
    fn overridden<'p>(&self, path: &'p str) -> Option<(usize, &'p str)> {
        let Planner { experiment, overridden, labels, .. } = self.planner;
        let sets = |set: &serde_json::Value| {
            !path.is_empty() && path.split('.').try_fold(set, |inner, key| inner.get(key)).is_some()
        };
        let last = experiment.overrides.iter().enumerate().rposition(|(i, change)| {
            experiment.is_task(change.task.as_deref(), self.name)
                && overridden[i].as_deref().is_none_or(|arm| arm == labels[self.arm])
                && sets(&change.set)
        });
        last.map(|i| (i, path))
    }
}

/// The key that is wrong where `changes` cannot be merged into `task`, and what is wrong with it.
fn explain(task: &Task, changes: &[&serde_json::Value]) -> Option<(String, String)> {
    if let Some(found) = changes.iter().find_map(|change| fault(change)) {
        return Some(found);
    }
    for change in changes {
        let mut paths = Vec::new();
        nulls(change, "", &mut paths);
        let needed = |path: &&String| {
            let null = path
                .rsplit('.')
                .fold(serde_json::Value::Null, |inner, key| serde_json::json!({ key: inner }));
            lay(task, [&null]).is_err()
        };
        if let Some(path) = paths.iter().find(needed) {
            return Some((path.clone(), "cannot be null: it has no default".to_owned()));
        }
    }
    let mut value = serde_json::to_value(task).ok()?;
    changes.iter().for_each(|change| merge(&mut value, change));
    fault(&value)
}

/// Paths in `value` at which null is.
fn nulls(value: &serde_json::Value, path: &str, found: &mut Vec<String>) {
    match value {
        serde_json::Value::Null => found.push(path.to_owned()),
        serde_json::Value::Object(table) => {
            for (key, value) in table {
                let dot = if path.is_empty() { "" } else { "." };
                nulls(value, &format!("{path}{dot}{key}"), found);
            }
        }
        _ => {}
    }
}

/// `task` with `changes` merged into it.
fn lay<'a>(
    task: &Task,
    changes: impl IntoIterator<Item = &'a serde_json::Value>,
) -> Result<Task, serde_json::Error> {
    let mut changes = changes.into_iter().peekable();
    if changes.peek().is_none() {
        return Ok(task.clone());
    }
    let mut value = serde_json::to_value(task)?;
    changes.for_each(|change| merge(&mut value, change));
    serde_json::from_value(value)
}
