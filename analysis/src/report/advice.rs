//! What to do after a task's answer, with the command that does it.

use super::answer::{ENOUGH, compared_seeds};
use super::verdict::{list, nothing_learned};
use super::{Report, Task};
use crate::comparison::{ALPHA, Against, POWER, Verdict};
use crate::metric::Shown;
use crate::render::number::{fixed, grouped};
use crate::statistics::pairs_needed;
use crate::summary::Arm;

/// Seeds beyond which a plan is no advice.
const MOST_SEEDS: usize = 1_000;

/// Seeds up to which a command names each.
const MOST_NAMED: usize = 40;

/// Difference that is planned for where an experiment states no margin, in percentage points.
const EFFECT: f64 = 0.5;

/// The same for other metrics, as a share of the baseline's mean.
const EFFECT_SHARE: f64 = 0.01;

/// Commands that continue a sweep.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Commands {
    /// Trains the sweep, as in `actlab sweep experiments/quick.toml`; absent where the file is not known.
    pub sweep: Option<String>,
    /// Folder of the results as the user writes it, as in `results/quick`.
    pub results: Option<String>,
    /// Continues the sweep as it was begun, as in `actlab sweep experiments/quick.toml --seeds 5`.
    pub resume: Option<String>,
    /// Seeds that the experiment states, also those whose runs are not finished.
    pub seeds: Vec<u64>,
    /// Runs of the sweep that are not finished.
    pub missing: usize,
    /// Whether the report has another baseline than the experiment, with which `actlab confirm` compares.
    pub other_baseline: bool,
}

/// A step, and the command that makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Next {
    pub(super) text: String,
    pub(super) command: Option<String>,
}

impl Next {
    fn of(text: impl Into<String>) -> Self {
        Self { text: text.into(), command: None }
    }
}

/// What to do after a task's answer; nothing where the answer is complete.
pub(super) fn next(report: &Report, task: &Task) -> Option<Next> {
    let judged: Vec<&Arm> = task.arms.iter().filter(|arm| arm.test.is_some()).collect();
    if report.commands.missing > 0 {
        let text = match report.frame.next_look {
            Some(look) => format!("resume the sweep: {}.", look.words()),
            None => "resume the sweep: not all of its runs are finished, and every claim is provisional.".into(),
        };
        return Some(Next { text, command: report.commands.resume.clone() });
    }
    if judged.is_empty() {
        let diverged = task.arms.iter().any(|arm| arm.diverged > 0);
        return Some(Next::of(if diverged {
            "lower `learning_rate`, lengthen `warmup` or set `clip_norm`. The section \"Runs that did not complete\" has details."
        } else {
            "read the reasons in the section \"Runs that did not complete\". The same sweep trains failed runs again."
        }));
    }
    if nothing_learned(task, &judged).is_some() {
        return Some(Next::of(
            "tune `learning_rate` or raise `budget` before comparing activations.",
        ));
    }
    if let Some(unstable) = diverging(task) {
        return Some(unstable);
    }
    if task.baseline().is_none_or(|arm| arm.completed == 0) {
        let other = &judged[0].activation;
        let command = |results| format!("actlab report {results} --baseline {}", quoted(other));
        let command = report.commands.results.as_ref().map(command);
        return Some(Next { text: "choose another baseline.".into(), command });
    }
    let arms: Vec<(&Arm, &Against)> =
        task.arms.iter().filter_map(|arm| Some((arm, arm.against.as_ref()?))).collect();
    let with = |verdict| {
        arms.iter().filter(|(_, one)| one.verdict == verdict).copied().collect::<Vec<_>>()
    };
    if report.looks.is_some() || report.confirms.is_some() {
        // How many seeds such a sweep has follows from its looks, or is part of what was stated before.
        return None;
    }
    if !with(Verdict::Better).is_empty() {
        return confirm(report, judged.len());
    }
    let undecided = with(Verdict::Undecided);
    let few = with(Verdict::TooFew);
    let seeds = |(arm, one): &(&Arm, &Against)| compared_seeds(task, arm, one);
    let pairs = undecided.iter().chain(&few).map(seeds).min();
    match pairs {
        Some(pairs @ 0..ENOUGH) => Some(more_seeds(report, ENOUGH, pairs, "train at least")),
        Some(pairs) => plan(report, task, &undecided, pairs),
        None => {
            let equivalent = with(Verdict::Equivalent);
            let others = match equivalent.len() {
                1 => "",
                _ => " \"All pairs\" compares the others with each other.",
            };
            match equivalent.iter().map(seeds).min()? {
                pairs @ 0..ENOUGH => Some(more_seeds(report, ENOUGH, pairs, "train at least")),
                _ => Some(Next::of(format!(
                    "where equivalence to {} is enough, choose by cost.{others}",
                    task.baseline
                ))),
            }
        }
    }
}

/// What to do where activations diverged in half of their runs or more: where the others did not, the formula is the
/// first suspect, and the recipe the second.
fn diverging(task: &Task) -> Option<Next> {
    let often = |arm: &&Arm| arm.diverged > 0 && 2 * arm.diverged >= arm.runs;
    let arms: Vec<&Arm> = task.arms.iter().filter(often).collect();
    let recipe = "lower `learning_rate`, lengthen `warmup` or set `clip_norm` for all activations, or tune `learning_rate` for each \
                  (`[tune]`)";
    let diverged = format!("{} diverged in half of the runs or more", list(&arms));
    let steady = task.arms.iter().filter(|arm| arm.diverged == 0 && arm.completed > 0).count();
    (!arms.is_empty()).then(|| {
        Next::of(match (arms.len(), steady) {
            (1, 2..) => format!(
                "{diverged}, and {steady} others in none: see with `actlab propagate` whether its activations grow with depth. \
                 Else {recipe}."
            ),
            _ => format!("{recipe}: {diverged}."),
        })
    })
}

/// The best of several is chosen by the same runs that show it.
fn confirm(report: &Report, compared: usize) -> Option<Next> {
    if compared < 3 || report.commands.other_baseline {
        return None;
    }
    Some(Next {
        text: format!(
            "confirm the best on fresh seeds: as the best of {compared} it is likely to be overestimated."
        ),
        command: report
            .commands
            .results
            .as_ref()
            .map(|results| format!("actlab confirm {results}")),
    })
}

/// Seeds for the smallest difference that matters, from the spread of the runs and never from their differences.
fn plan(
    report: &Report,
    task: &Task,
    undecided: &[(&Arm, &Against)],
    pairs: usize,
) -> Option<Next> {
    let metric = &task.metric;
    let effect = report.frame.margin_of(task).or_else(|| default_effect(task))?;
    let size = metric.size(effect);
    let level = ALPHA / task.comparisons.max(1) as f64;
    let needed = |(_, one): &(&Arm, &Against)| {
        let spread = one.standard_deviation.filter(|spread| *spread > 0.0)?;
        pairs_needed(effect / spread, POWER, level, MOST_SEEDS)
    };
    if undecided.iter().any(|(_, one)| one.standard_deviation.is_none()) {
        return Some(Next::of(
            "train all activations under the same seeds: pairs need fewer of them.",
        ));
    }
    let Some(needed) = undecided.iter().map(needed).collect::<Option<Vec<usize>>>() else {
        return Some(Next::of(format!(
            "detecting {size} with 80\u{a0}% power takes more than {} seeds.",
            grouped(MOST_SEEDS as u64)
        )));
    };
    let needed = needed.into_iter().max()?;
    if needed > pairs {
        return Some(more_seeds(
            report,
            needed,
            pairs,
            &format!("to detect {size} with 80\u{a0}% power, use"),
        ));
    }
    Some(Next::of(match report.frame.margin_of(task) {
        // A margin is for metrics in percent alone.
        None if !metric.is_share() => format!(
            "these seeds detect {size} with 80\u{a0}% power. More seeds narrow the intervals."
        ),
        Some(_) => format!(
            "these seeds detect {size} with 80\u{a0}% power, but do not show that differences are smaller. More seeds narrow \
             the intervals."
        ),
        None => format!(
            "these seeds detect {size} with 80\u{a0}% power. To show that differences are smaller than that, state a \
             `margin` before the runs."
        ),
    }))
}

/// Half a point; of other metrics 1 % of the baseline's mean, to one digit.
fn default_effect(task: &Task) -> Option<f64> {
    let metric = &task.metric;
    if metric.is_share() {
        return Some(EFFECT / metric.scale);
    }
    let share = EFFECT_SHARE * task.baseline()?.test?.mean.abs();
    let digit = libm::exp10(libm::log10(share).floor());
    let rounded = (share / digit).round() * digit;
    (rounded.is_finite() && metric.last_digits(rounded) > 0.0).then_some(rounded)
}

/// So many seeds in all, of which `pairs` have results of both: how long that takes, and the command. Seeds that were
/// trained or planned stay.
fn more_seeds(report: &Report, wanted: usize, pairs: usize, purpose: &str) -> Next {
    let mut seeds: Vec<u64> = report.tasks.iter().flat_map(|task| &task.seeds).copied().collect();
    seeds.extend(&report.commands.seeds);
    seeds.sort_unstable();
    seeds.dedup();
    let text = format!("{purpose} {}\u{a0}seeds", grouped(wanted as u64));
    if seeds.len() >= wanted {
        let lost = format!(
            "{text} with results of both activations. Of {} seeds, {pairs} have them: see \"Runs that did not complete\".",
            seeds.len()
        );
        return Next::of(lost);
    }
    let more = wanted - seeds.len();
    let first = seeds.last().map_or(1, |last| last.saturating_add(1));
    seeds.extend((first..).take(more));
    let time = duration(seconds_per_seed(report) * more as f64);
    let time = time.map_or(String::new(), |time| format!(" ({more} more, about {time})"));
    let listed: Vec<String> = seeds.iter().map(u64::to_string).collect();
    // A number N is short for the seeds 1 to N.
    let is_short = seeds.iter().copied().eq(1..=seeds.len() as u64);
    let flag = if is_short {
        format!("--seeds {}", seeds.len())
    } else {
        format!("--seeds {}", listed.join(","))
    };
    let command = report.commands.sweep.as_ref().filter(|_| is_short || wanted <= MOST_NAMED);
    Next {
        text: format!("{text}{time}."),
        command: command.map(|command| format!("{command} {flag}")),
    }
}

/// Seconds that one more seed of every activation on every task takes, with as many runs side by side as before.
fn seconds_per_seed(report: &Report) -> f64 {
    let arms = report.tasks.iter().flat_map(|task| &task.arms);
    let all: f64 = arms.filter_map(|arm| arm.total_seconds).sum();
    all / report.made.side_by_side as f64
}

/// A label as a word of a shell.
fn quoted(label: &str) -> String {
    let plain = label.chars().all(|c| c.is_ascii_alphanumeric() || "_-.=".contains(c));
    if plain { label.to_owned() } else { format!("'{}'", label.replace('\'', "'\\''")) }
}

/// As in `40 min`.
fn duration(seconds: f64) -> Option<String> {
    let positive = seconds > 0.0 && seconds.is_finite();
    positive.then(|| match seconds {
        ..90.0 => format!("{}\u{a0}s", fixed(seconds.max(1.0), 0)),
        ..5_400.0 => format!("{}\u{a0}min", fixed(seconds / 60.0, 0)),
        _ => format!("{}\u{a0}h", fixed(seconds / 3600.0, 1)),
    })
}
