//! The metric of a sweep file: what trials are compared by.

use super::file::Metric as Wanted;
use super::{Base, Refusal, refuse};
use actlab_core::objective;
use record::{CLASSIFICATION, Component, Direction, Metric};

/// What comes before the name of a metric of a validation split.
const SPLIT: &str = "validation/";

/// What W&B calls a direction.
fn goal(direction: Direction) -> (&'static str, &'static str) {
    match direction {
        Direction::Higher => ("maximize", "higher"),
        Direction::Lower => ("minimize", "lower"),
    }
}

/// The primary metrics of the tasks of `base`, each once, as trackers call them. A task whose objective is none is
/// left to those who read the experiment.
fn primary(base: &Base) -> Vec<(String, Direction)> {
    let tasks = base.table.get("tasks").and_then(toml::Value::as_table);
    let objectives = tasks.into_iter().flat_map(|tasks| tasks.values()).map(|task| {
        match task.get("objective") {
            None => Some(Component::named(CLASSIFICATION)),
            Some(given) => {
                serde_json::to_value(given).and_then(serde_json::from_value::<Component>).ok()
            }
        }
    });
    let mut found: Vec<(String, Direction)> = Vec::new();
    for objective in objectives.flatten() {
        let Ok(objective) = objective::build(&objective) else { continue };
        let Metric { name, direction, .. } = objective.primary();
        let name = format!("{SPLIT}{name}");
        if found.iter().all(|(known, _)| *known != name) {
            found.push((name, direction));
        }
    }
    found
}

/// Refuses a metric that trials are not compared by, and a goal that contradicts it. A note, where W&B's own default
/// for an absent goal would be another.
pub(super) fn check(wanted: &Wanted, base: &Base) -> Result<Option<String>, Refusal> {
    let known = primary(base);
    if known.is_empty() {
        // What is wrong with the tasks is told with the experiment.
        return Ok(None);
    }
    let Some((name, direction)) = known.iter().find(|(name, _)| *name == wanted.name) else {
        return refuse("metric.name", unknown(&wanted.name, &known));
    };
    let (right, better) = goal(*direction);
    match wanted.goal.as_deref() {
        Some(given) if given == right => Ok(None),
        Some(given) => refuse(
            "metric.goal",
            format!("must be {right}, not {given}: {name} is better where it is {better}"),
        ),
        None if *direction == Direction::Lower => Ok(None),
        None => Ok(Some(format!(
            "metric.goal: is absent: {name} is maximized, where W&B's own default is to minimize"
        ))),
    }
}

/// That tasks which are judged by another metric than `wanted` keep theirs.
pub(super) fn others(wanted: &Wanted, base: &Base) -> Option<String> {
    let others: Vec<String> = primary(base)
        .into_iter()
        .filter(|(name, _)| *name != wanted.name)
        .map(|(name, _)| name)
        .collect();
    (!others.is_empty()).then(|| {
        format!(
            "metric.name: trials on tasks with another objective are compared by {}",
            others.join(" and ")
        )
    })
}

/// That trials are not compared by the metric called `given`.
fn unknown(given: &str, known: &[(String, Direction)]) -> String {
    let each = |(name, direction): &(String, Direction)| format!("{name} ({})", goal(*direction).0);
    let names: Vec<String> = known.iter().map(each).collect();
    // All names begin alike, which is no likeness.
    let bare = |name: &str| name.strip_prefix(SPLIT).unwrap_or(name).to_owned();
    let right: Vec<String> = known.iter().map(|(name, _)| bare(name)).collect();
    let near = activation::nearest(&bare(given), right.iter().map(String::as_str));
    let near: Vec<String> = near.into_iter().map(|name| format!("{SPLIT}{name}")).collect();
    let hint: Vec<&str> = near.iter().map(String::as_str).collect();
    format!(
        "trials are compared by the primary metric of each task, which is not `{}`{}; write {}",
        given.escape_debug(),
        activation::did_you_mean(&hint),
        names.join(" or ")
    )
}
