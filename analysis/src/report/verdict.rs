//! What the figures of a task allow one to say, in sentences.

use super::Task;
use super::number::{hundredths, percent, points};
use super::text::escape;
use crate::statistics::Estimate;
use crate::summary::Arm;

/// Below so many runs, a percentile bootstrap interval misses the truth several times as often as it
/// says: see [`crate::statistics::Bootstrap::mean`].
const ENOUGH_RUNS: usize = 5;

/// Where the interval of a difference lies, judged on the digits that the report shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Above,
    Below,
    Includes,
    /// No interval.
    Unknown,
}

impl Side {
    fn of(difference: Option<&Estimate>) -> Self {
        match difference.and_then(|difference| difference.interval) {
            None => Self::Unknown,
            Some(interval) if hundredths(interval.low) > 0 => Self::Above,
            Some(interval) if hundredths(interval.high) < 0 => Self::Below,
            Some(_) => Self::Includes,
        }
    }
}

/// The verdict on a task, a paragraph each.
pub(super) fn sentences(task: &Task) -> Vec<String> {
    let mut sentences = Vec::new();
    let judged: Vec<&Arm> = task.arms.iter().filter(|arm| arm.test_accuracy.is_some()).collect();
    if judged.is_empty() {
        sentences.push("No run completed: there is nothing to compare.".into());
    } else {
        sentences.push(leaders(task, &judged));
        sentences.extend(baseline_missing(task));
        sentences.extend(sides(task));
    }
    sentences.extend(ended(task, "diverged", |arm| arm.diverged));
    sentences.extend(ended(task, "failed", |arm| arm.failed));
    sentences.extend(exploratory(&judged));
    sentences.extend(unlike(task));
    sentences
}

/// Who has the highest mean, and whether that is more than luck.
fn leaders(task: &Task, judged: &[&Arm]) -> String {
    let score =
        |arm: &Arm| arm.test_accuracy.map_or(i64::MIN, |accuracy| hundredths(accuracy.mean));
    let best = judged.iter().map(|arm| score(arm)).max().unwrap_or(i64::MIN);
    let leaders: Vec<&Arm> = judged.iter().copied().filter(|arm| score(arm) == best).collect();
    let mean = leaders[0].test_accuracy.map_or(0.0, |accuracy| accuracy.mean);
    let value = format!("{}\u{a0}%", percent(mean));
    if judged.len() == 1 {
        return format!(
            "Only {} has completed runs, with a mean test accuracy of {value} ({}).",
            escape(&leaders[0].activation),
            size(leaders[0])
        );
    }
    let [leader] = leaders[..] else {
        let names = list(&leaders);
        return format!("{names} share the highest mean test accuracy, {value}.");
    };
    let name = escape(&leader.activation);
    if leader.activation != task.baseline {
        let mut sentence =
            format!("{name} has the highest mean test accuracy, {value} ({}).", size(leader));
        if task.baseline().is_some_and(|baseline| baseline.completed > 0) {
            sentence += &format!(" {}", difference("Its", leader, &task.baseline));
        }
        return sentence;
    }
    let mut sentence = format!(
        "{name}, the baseline, has the highest mean test accuracy, {value} ({}).",
        size(leader)
    );
    let others = judged.iter().filter(|arm| arm.activation != leader.activation);
    // The first of equals, in the order of the experiment.
    if let Some(next) = others.rev().max_by_key(|arm| score(arm)) {
        let next_name = escape(&next.activation);
        sentence += &format!(" Next is {next_name}: {}", difference("its", next, &task.baseline));
    }
    sentence
}

/// How many runs a mean is over, and how many it leaves out.
fn size(arm: &Arm) -> String {
    let mut size = format!("n\u{a0}=\u{a0}{}", arm.completed);
    for (count, how) in [(arm.diverged, "diverged"), (arm.failed, "failed")] {
        if count > 0 {
            size += &format!("; {count} of {} {how}", arm.runs);
        }
    }
    size
}

fn difference(its: &str, arm: &Arm, baseline: &str) -> String {
    let baseline = escape(baseline);
    let Some(difference) = arm.difference else {
        return format!("{its} runs share no seed with those of {baseline}: no paired difference.");
    };
    let mean = format!("{}\u{a0}points", points(difference.mean));
    let Some(interval) = difference.interval else {
        return if difference.n == 1 {
            format!(
                "{its} paired difference to {baseline} is {mean} on one seed, \
                 which says nothing about other seeds."
            )
        } else {
            format!("{its} paired difference to {baseline} is {mean} over {} seeds.", difference.n)
        };
    };
    let verdict = match Side::of(Some(&difference)) {
        Side::Above | Side::Below if difference.n < ENOUGH_RUNS => {
            "the interval excludes 0, but so few pairs cannot settle it"
        }
        Side::Above => "the interval lies above 0",
        Side::Below => "the interval lies below 0",
        Side::Includes | Side::Unknown => {
            "the interval includes 0, so these runs do not tell them apart"
        }
    };
    format!(
        "{its} paired difference to {baseline} is {mean} [{},\u{a0}{}] over {} seeds: {verdict}.",
        points(interval.low),
        points(interval.high),
        difference.n
    )
}

fn baseline_missing(task: &Task) -> Option<String> {
    let name = escape(&task.baseline);
    match task.baseline() {
        None => {
            Some(format!("The baseline {name} has no run on this task: no paired differences."))
        }
        Some(arm) if arm.completed == 0 => {
            Some(format!("No run of the baseline {name} completed: no paired differences."))
        }
        Some(_) => None,
    }
}

/// Where every arm stands to the baseline, if there is more than one to place.
fn sides(task: &Task) -> Option<String> {
    if task.baseline().is_none_or(|baseline| baseline.completed == 0) {
        return None;
    }
    let others: Vec<&Arm> = task
        .arms
        .iter()
        .filter(|arm| arm.activation != task.baseline && arm.completed > 0)
        .collect();
    if others.len() < 2 {
        return None;
    }
    let on = |side| -> Vec<&Arm> {
        let on = |arm: &&Arm| Side::of(arm.difference.as_ref()) == side;
        others.iter().copied().filter(on).collect()
    };
    let groups = [
        ("lies above 0 for", Side::Above),
        ("lies below 0 for", Side::Below),
        ("includes 0 for", Side::Includes),
        ("does not exist for", Side::Unknown),
    ];
    let unknown = on(Side::Unknown).len();
    if unknown == others.len() {
        return None;
    }
    let parts: Vec<String> = groups
        .iter()
        .map(|&(words, side)| (words, on(side)))
        .filter(|(_, arms)| !arms.is_empty())
        .map(|(words, arms)| format!("{words} {}", list(&arms)))
        .collect();
    let mut sentence = format!(
        "Against {}, the 95\u{a0}% interval of the paired difference {}.",
        escape(&task.baseline),
        parts.join("; ")
    );
    let compared = others.len() - unknown;
    if compared > 1 && !(on(Side::Above).is_empty() && on(Side::Below).is_empty()) {
        sentence += &format!(
            " These are {compared} comparisons without a correction: \
             one that excludes 0 by chance is not rare."
        );
    }
    Some(sentence)
}

fn ended(task: &Task, how: &str, count: impl Fn(&Arm) -> usize) -> Option<String> {
    let arms: Vec<String> = task
        .arms
        .iter()
        .filter(|arm| count(arm) > 0)
        .map(|arm| format!("{} ({} of {})", escape(&arm.activation), count(arm), arm.runs))
        .collect();
    if arms.is_empty() {
        return None;
    }
    let means = if how == "diverged" {
        "the means leave these runs out and so flatter the activation"
    } else {
        "the means leave these runs out"
    };
    Some(format!("Runs that {how}: {}; {means}.", arms.join(", ")))
}

fn exploratory(judged: &[&Arm]) -> Option<String> {
    let least = judged.iter().map(|arm| arm.completed).min()?;
    if least >= ENOUGH_RUNS {
        return None;
    }
    Some(match least {
        1 => "Exploratory: there are arms of a single completed run, which shows no spread: \
              their rank may be luck."
            .into(),
        _ => format!(
            "Exploratory: there are arms of only {least} completed runs, and intervals of fewer than \
             {ENOUGH_RUNS} are too narrow to be trusted."
        ),
    })
}

/// Conditions that should have been the same for all arms.
fn unlike(task: &Task) -> Option<String> {
    let names: Vec<&str> = task
        .conditions
        .iter()
        .filter(|condition| !condition.uniform() && !condition.tunable)
        .map(|condition| condition.name)
        .collect();
    if names.is_empty() {
        return None;
    }
    Some(format!(
        "**Not like for like:** the runs of this task differ in {} (see below).",
        names.join(", ")
    ))
}

/// `a`, `a and b`, `a, b and c`.
fn list(arms: &[&Arm]) -> String {
    let names: Vec<String> = arms.iter().map(|arm| escape(&arm.activation)).collect();
    match names.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
        None => String::new(),
    }
}
