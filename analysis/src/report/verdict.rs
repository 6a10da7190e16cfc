//! What the figures of a task allow one to say, in sentences.

use super::Task;
use super::number::{grouped, hundredths, percent, points};
use super::text::escape;
use crate::comparison::markdown::equals;
use crate::comparison::{Against, Verdict};
use crate::summary::Arm;

/// Below so many runs, a percentile bootstrap interval misses the truth several times as often as it
/// says: see [`crate::statistics::Bootstrap::mean`].
const ENOUGH_RUNS: usize = 5;

/// The verdict on a task, a paragraph each.
pub(super) fn sentences(task: &Task, margin: Option<f64>) -> Vec<String> {
    let mut sentences = Vec::new();
    let judged: Vec<&Arm> = task.arms.iter().filter(|arm| arm.test_accuracy.is_some()).collect();
    if judged.is_empty() {
        sentences.push("No run completed: there is nothing to compare.".into());
    } else {
        sentences.push(leaders(task, &judged));
        sentences.extend(baseline_missing(task));
        sentences.extend(verdicts(task, margin));
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
    let whose = if leader.activation == task.baseline { ", the baseline," } else { "" };
    format!("{name}{whose} has the highest mean test accuracy, {value} ({}).", size(leader))
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

/// Where every arm stands to the baseline: a sentence for each kind of verdict.
fn verdicts(task: &Task, margin: Option<f64>) -> Vec<String> {
    let baseline = escape(&task.baseline);
    let compared: Vec<(&Arm, &Against)> =
        task.arms.iter().filter_map(|arm| Some((arm, arm.against.as_ref()?))).collect();
    let tested = compared.iter().filter(|(_, against)| against.t_test.is_some()).count();
    let of = |name: &str, words: &dyn Fn(&Arm, &Against) -> String| -> Option<String> {
        let parts: Vec<String> = compared
            .iter()
            .filter(|(_, against)| against.verdict.name() == name)
            .map(|(arm, against)| words(arm, against))
            .collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    };
    let correction = if tested > 1 {
        format!(", after Holm's correction over {tested} arms")
    } else {
        String::new()
    };
    let with_figures = |arm: &Arm, against: &Against| {
        format!("{} ({})", escape(&arm.activation), figures(against))
    };
    let mut sentences = Vec::new();
    for (name, words) in [("better", "Better"), ("worse", "Worse")] {
        if let Some(arms) = of(name, &with_figures) {
            sentences
                .push(format!("**{words} than {baseline}** at level 0.05{correction}: {arms}."));
        }
    }
    if let Some(arms) = of("equivalent", &with_figures) {
        let margin = margin.map(|margin| format!(" within {}\u{a0}points", percent(margin)));
        sentences
            .push(format!("**Equivalent to {baseline}**{}: {arms}.", margin.unwrap_or_default()));
    }
    let needed = |against: &Against| match against.verdict {
        Verdict::Undecided { pairs_needed } => pairs_needed,
        _ => None,
    };
    let undecided = |arm: &Arm, against: &Against| {
        let needed = needed(against)
            .map(|pairs| format!("; {}\u{a0}pairs", grouped(pairs as u64)))
            .unwrap_or_default();
        format!("{} ({}{needed})", escape(&arm.activation), figures(against))
    };
    if let Some(arms) = of("undecided", &undecided) {
        let explained = if compared.iter().any(|(_, against)| needed(against).is_some()) {
            " Last in brackets: how many pairs would find a difference as large four times in five."
        } else {
            ""
        };
        sentences.push(format!(
            "Not told apart from {baseline} by these runs{correction}: {arms}.{explained}"
        ));
    }
    let too_few = |arm: &Arm, against: &Against| match against.difference {
        Some(difference) => {
            format!("{} ({}\u{a0}points)", escape(&arm.activation), points(difference))
        }
        None => escape(&arm.activation),
    };
    if let Some(arms) = of("too_few", &too_few) {
        sentences.push(format!("Too few runs to compare with {baseline}: {arms}."));
    }
    let loose: Vec<&Arm> =
        compared.iter().filter(|(_, against)| against.unpaired > 0).map(|(arm, _)| *arm).collect();
    if !loose.is_empty() {
        sentences.push(format!(
            "Completed seeds of {} and {baseline} do not all pair up: pairs are compared where there are \
             two or more, else all runs, unpaired.",
            list(&loose)
        ));
    }
    sentences
}

/// A difference, its interval and its p.
fn figures(against: &Against) -> String {
    let mut text = against
        .difference
        .map(|difference| format!("{}\u{a0}points", points(difference)))
        .unwrap_or_default();
    if let Some(interval) = against.interval {
        text += &format!(" [{},\u{a0}{}]", points(interval.low), points(interval.high));
    }
    if let Some(p) = against.p_holm {
        text += &format!(", {}", equals(p).replace(' ', "\u{a0}"));
    }
    text
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
