//! Names of parameters, and the keys of an experiment that they are about.

use super::{Refusal, refuse};
use crate::experiment::limits::MOST_PARTS;
use crate::tune::overlap;
use serde_json::{Value, json};

/// Names that people give to keys of a task.
const ALIASES: &[(&str, &str)] = &[
    ("batch_size", "training.batch_size"),
    ("clip_norm", "training.clip_norm"),
    ("dropout", "model.dropout"),
    ("epochs", "training.budget.epochs"),
    ("label_smoothing", "training.label_smoothing"),
    ("learning_rate", "training.learning_rate"),
    ("lr", "training.learning_rate"),
    ("momentum", "training.optimizer.momentum"),
    ("optimizer", "training.optimizer"),
    ("schedule", "training.schedule"),
    ("steps", "training.budget.steps"),
    ("training", "training"),
    ("model", "model"),
    ("data", "data"),
    ("warmup", "training.warmup"),
    ("weight_decay", "training.weight_decay"),
];

/// Beginning of a name that is about one task.
const TASKS: &str = "tasks";

/// What a parameter is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Subject {
    Activations,
    Seeds,
    /// A key of every task, or of the one that is named.
    Task(Place),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) task: Option<String>,
    pub(super) path: String,
}

impl Place {
    /// Whether both lead to one place on some task.
    pub(super) fn meets(&self, other: &Self) -> bool {
        let tasks = self.task.is_none() || other.task.is_none() || self.task == other.task;
        tasks && overlap(&self.path, &other.path)
    }

    /// As a key of `[tune.parameters]`.
    pub(super) fn key(&self) -> String {
        match &self.task {
            Some(task) => format!("{TASKS}.{task}.{}", self.path),
            None => self.path.clone(),
        }
    }

    /// `value` at this place of a task.
    pub(super) fn nested(&self, value: Value) -> Value {
        self.path.rsplit('.').fold(value, |inner, key| json!({ key: inner }))
    }

    /// The override that gives every task, or the one that is named, this value.
    pub(super) fn set(&self, value: Value) -> Value {
        match &self.task {
            Some(task) => json!({ "task": task, "set": self.nested(value) }),
            None => json!({ "set": self.nested(value) }),
        }
    }
}

/// What the parameter `name` is about.
pub(super) fn subject(name: &str) -> Result<Subject, String> {
    let parts = name.split('.').count();
    if parts > MOST_PARTS {
        return Err(format!("the name has {parts} parts; at most {MOST_PARTS} are supported"));
    }
    if name.split('.').any(str::is_empty) {
        return Err(
            "must be names with a dot between them, as in training.optimizer.momentum".into()
        );
    }
    match name {
        "activation" | "activations" => return Ok(Subject::Activations),
        "seed" | "seeds" => return Ok(Subject::Seeds),
        _ => {}
    }
    let place = match name.strip_prefix(TASKS).and_then(|rest| rest.strip_prefix('.')) {
        Some(rest) => {
            let (task, key) = rest.split_once('.').ok_or_else(|| needs_key(name))?;
            Place { task: Some(task.to_owned()), path: full(key)? }
        }
        None if name == TASKS => return Err(needs_key("tasks.NAME")),
        None => Place { task: None, path: full(name)? },
    };
    Ok(Subject::Task(place))
}

fn needs_key(task: &str) -> String {
    format!("must name a key of a task, as in {task}.training.learning_rate")
}

/// A key of a task for a name in a sweep file.
fn full(key: &str) -> Result<String, String> {
    let (head, rest) = key.split_once('.').map_or((key, None), |(head, rest)| (head, Some(rest)));
    match ALIASES.iter().find(|(name, _)| *name == head) {
        Some((_, path)) => {
            Ok(rest.map_or_else(|| (*path).to_owned(), |rest| format!("{path}.{rest}")))
        }
        None => {
            let known: Vec<&str> = ALIASES.iter().map(|(name, _)| *name).collect();
            Err(format!(
                "is no key of an experiment; there are activation, seed, tasks, {}, and those below them with a dot, as in training.optimizer.momentum",
                known.join(", ")
            ))
        }
    }
}

/// Refuses two parameters that lead to one place: which of them would hold is not said anywhere.
pub(super) fn distinct(parameters: &[(String, Subject)]) -> Result<(), Refusal> {
    for (i, (name, subject)) in parameters.iter().enumerate() {
        let same = |(_, other): &&(String, Subject)| match (subject, other) {
            (Subject::Task(a), Subject::Task(b)) => a.meets(b),
            (a, b) => a == b,
        };
        if let Some((other, _)) = parameters[..i].iter().find(same) {
            let place = match subject {
                Subject::Activations => "activations".to_owned(),
                Subject::Seeds => "seeds".to_owned(),
                Subject::Task(place) => place.path.clone(),
            };
            return refuse(
                &format!("parameters.{name}"),
                format!(
                    "leads to the same place as parameters.{other} ({place}): keep one of them"
                ),
            );
        }
    }
    Ok(())
}
