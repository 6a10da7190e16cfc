//! What formulas of a search are called, and those that it begins with.

use super::Search;
use super::grammar::Rules;
use crate::Error;
use crate::experiment::Experiment;
use activation::{ActivationRequest, Tree};

/// Beginnings of the names of formulas: those that a search begins with, and those that it finds.
pub(super) const NAMES: [&str; 2] = ["start_", "found_"];

/// Refuses arms that are called as formulas of the search are.
pub(super) fn refuse_names(experiment: &Experiment, labels: &[String]) -> Result<(), Error> {
    let is_number = |rest: &str| !rest.is_empty() && rest.chars().all(|c| c.is_ascii_digit());
    let taken =
        |label: &String| NAMES.iter().any(|name| label.strip_prefix(name).is_some_and(is_number));
    match labels.iter().position(taken) {
        None => Ok(()),
        Some(place) => {
            let message = format!(
                "`{}` is a name that the search gives to formulas: choose another one",
                labels[place]
            );
            Err(experiment.error(&format!("activations[{place}]"), &message))
        }
    }
}

/// The formulas that the search begins with. The error is a key below `search` and what is wrong with it.
pub(super) fn start(
    search: &Search,
    rules: &Rules,
) -> Result<Vec<(String, Tree)>, (String, String)> {
    let (names, given) = search.start();
    let mut found = Vec::new();
    for (i, name) in names.iter().enumerate() {
        match tree(name, rules) {
            Ok(tree) => found.push((name.clone(), tree)),
            Err(message) if given => return Err((format!("start[{i}]"), message)),
            Err(_) => {}
        }
    }
    Ok(found)
}

/// The formula of the activation that is called `name`, or written so.
fn tree(name: &str, rules: &Rules) -> Result<Tree, String> {
    let request: ActivationRequest = name.parse().map_err(|error| format!("{error}"))?;
    let activation = activation::build(&request).map_err(|error| error.to_string())?;
    if activation.learned().is_some() {
        return Err(format!("`{name}` learns numbers, and formulas of a search have none"));
    }
    if matches!(activation.kind(), activation::Kind::Gated(_)) && !rules.gated {
        return Err(format!("`{name}` is gated: `search.grammar.gated = true` searches for gates"));
    }
    let tree = activation.tree().ok_or_else(|| format!("the formula of `{name}` is too long"))?;
    // Either form may be the one that the grammar has.
    let simple = activation.simplified().filter(|simple| rules.has(simple));
    match rules.foreign(&tree) {
        None => Ok(tree),
        Some(what) => simple.ok_or_else(|| {
            format!("the formula of `{name}`, {tree}, has {what}, which the grammar has not")
        }),
    }
}
