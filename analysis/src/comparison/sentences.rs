//! What a comparison of scores says, in sentences.

use super::{ALPHA, Family, POWER};
use super::{
    Against, ArmFigures, Comparison, Overall, RankTests, TaskComparison, TukeyBlocks, Verdict,
};
use crate::metric::Shown;
use crate::render::number::{bracket, equals, fixed, probability};
use crate::render::text::escape;

/// How scores of a task are written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Form {
    decimals: usize,
    scientific: bool,
}

impl Form {
    /// With the decimals that show what differs.
    pub(super) fn of(task: &TaskComparison) -> Self {
        let ends = task.arms.iter().flat_map(|arm| [&arm.best, &arm.worst]).flatten();
        let scores =
            ends.map(|(_, score)| *score).chain(task.arms.iter().filter_map(|arm| arm.mean));
        let largest = scores.map(f64::abs).fold(0.0, f64::max);
        Self {
            decimals: if largest <= 1.0 { 4 } else { 2 },
            scientific: largest > 0.0 && largest < 0.001,
        }
    }

    pub(super) fn score(self, value: f64) -> String {
        if self.scientific && value != 0.0 {
            let digits = format!("{:.2e}", value.abs());
            return if value < 0.0 { format!("−{digits}") } else { digits };
        }
        fixed(value, self.decimals)
    }

    pub(super) fn difference(self, value: f64) -> String {
        let text = self.score(value);
        if value != 0.0 && !text.bytes().any(|byte| matches!(byte, b'1'..=b'9')) {
            // Too small for the decimals of scores, and not 0.
            return format!("{value:+.2e}").replace('-', "−");
        }
        if value > 0.0 && text.bytes().any(|byte| matches!(byte, b'1'..=b'9')) {
            format!("+{text}")
        } else {
            text
        }
    }
}

/// The verdicts on a task, a paragraph each.
pub(super) fn verdicts(task: &TaskComparison, comparison: &Comparison) -> Vec<String> {
    let name = escape(&comparison.baseline);
    let Some(baseline) = task.arms.iter().find(|arm| arm.activation == comparison.baseline) else {
        return vec![format!("The baseline {name} has no score: nothing is compared.")];
    };
    let form = Form::of(task);
    let mut lines = Vec::new();
    lines.extend(nothing_learned(task, form));
    lines.extend(
        task.arms
            .iter()
            .filter_map(|arm| Some(sentence(arm, arm.against.as_ref()?, baseline, form))),
    );
    let loose: Vec<String> = task
        .arms
        .iter()
        .filter(|arm| arm.against.as_ref().is_some_and(|against| against.unpaired > 0))
        .map(|arm| escape(&arm.activation))
        .collect();
    if !loose.is_empty() {
        lines.push(format!(
            "Seeds of {} and {name} do not all match: the shared ones are compared where there are two or more, \
             else all runs, unpaired.",
            loose.join(", ")
        ));
    }
    lines
}

fn nothing_learned(task: &TaskComparison, form: Form) -> Option<String> {
    let guessing = task.guessing?;
    task.nothing_learned.then(|| {
        format!(
            "**Nothing was learned**: no activation's mean is {} guessing ({}). There is no winner.",
            task.metric.as_ref().map_or("above", |metric| metric.better_side()),
            form.score(guessing)
        )
    })
}

fn sentence(arm: &ArmFigures, against: &Against, baseline: &ArmFigures, form: Form) -> String {
    let (label, name) = (escape(&arm.activation), escape(&baseline.activation));
    let figures = figures(against, form);
    let shared = if against.paired {
        format!("under each of the {} shared seeds", against.pairs)
    } else {
        "in every run".to_owned()
    };
    match against.verdict {
        Verdict::Better => format!("**{label} is better than {name}**: {figures}."),
        Verdict::Worse => format!("**{label} is worse than {name}**: {figures}."),
        Verdict::Equivalent => {
            format!("**{label} and {name} are equivalent** within the margin: {figures}.")
        }
        Verdict::Undecided => format!(
            "{label}: no significant difference from {name}: {figures}{}.",
            power(against, form)
        ),
        Verdict::Identical => {
            format!("{label} and {name} are identical: they have the same score {shared}.")
        }
        Verdict::Constant => format!(
            "{label} differs from {name} by exactly {} {shared}: without a spread there is no test.",
            form.difference(against.difference.unwrap_or_default())
        ),
        Verdict::TooFew => {
            let difference = against
                .difference
                .map(|difference| format!(" ({})", form.difference(difference)))
                .unwrap_or_default();
            format!("{label}: too few runs to compare with {name}{difference}.")
        }
        Verdict::NothingLearned => {
            format!("{label}: not judged against {name}, since nothing was learned: {figures}.")
        }
        Verdict::NoScores if arm.n == 0 => format!("{label} has no score."),
        Verdict::NoScores => format!("{name} has no score to compare {label} with."),
    }
}

/// What such runs can find, and how many the margin takes.
fn power(against: &Against, form: Form) -> String {
    let Some(power) = against.power else { return String::new() };
    let mut text = format!("; minimum detectable difference {}", form.score(power.detectable));
    if let Some(seeds) = power.seeds_for_margin {
        text += &format!("; the margin takes {seeds} seeds or more");
    }
    text
}

fn figures(against: &Against, form: Form) -> String {
    let mut parts = Vec::new();
    if let Some(difference) = against.difference {
        let mut text = form.difference(difference);
        if against.interval.is_some() {
            text += &format!(" {}", bracket(against.interval, |x| form.difference(x)));
        }
        parts.push(text);
    }
    if let (Some(test), Some(p)) = (against.t_test, against.p_holm) {
        parts.push(format!("{} ({}, Holm)", equals(p), test.name));
    }
    if let Some(equivalence) =
        against.equivalence.filter(|_| against.verdict == Verdict::Equivalent)
    {
        parts.push(format!("equivalence {}", equals(equivalence.p_holm)));
    }
    if let Some(d) = against.cohen_d_paired.or(against.cohen_d) {
        parts.push(format!("d = {}", fixed(d, 2)));
    }
    if against.paired {
        parts.push(format!("{} pairs", against.pairs));
    }
    parts.join(", ")
}

/// What the ranks say, a paragraph each.
pub(crate) fn overall(overall: &Overall) -> Vec<String> {
    let blocks = if overall.tasks == 1 && overall.blocks < overall.seeds {
        format!(
            "{} of {} seeds of one task, those under which each of these activations has a score",
            overall.blocks, overall.seeds
        )
    } else if overall.tasks == 1 {
        format!("the {} seeds of one task", overall.blocks)
    } else {
        format!("{} tasks, each by the means over its seeds", overall.blocks)
    };
    let mut lines = vec![match &overall.tests {
        Some(RankTests { friedman, iman_davenport, critical_difference, .. }) => format!(
            "Ranks over {blocks}: Friedman χ² = {}, {}; Iman–Davenport F = {}, {}. Mean ranks that differ by more \
             than {} differ significantly (Nemenyi, level {ALPHA}).",
            fixed(friedman.statistic, 2),
            equals(friedman.p),
            fixed(iman_davenport.statistic, 2),
            equals(iman_davenport.p),
            fixed(*critical_difference, 2),
        ),
        None if overall.looks => format!(
            "Ranks over {blocks}: without a test, since tests of ranks know nothing of looks. Ranks alone are no evidence."
        ),
        None if overall.blocks >= super::overall::ENOUGH_BLOCKS => {
            format!("Ranks over {blocks}: all are the same, and there is no test.")
        }
        None => format!(
            "Ranks over {blocks}: too few for a test, which takes {} or more. Ranks alone are no evidence.",
            super::overall::ENOUGH_BLOCKS
        ),
    }];
    if !overall.metrics.is_empty() {
        lines.push(format!(
            "Tasks have different metrics ({}): activations are compared by their ranks on each task, and no mean of raw \
             scores over tasks is shown.",
            overall.metrics.iter().map(|label| escape(label)).collect::<Vec<_>>().join(", ")
        ));
    }
    if !overall.left_out.is_empty() {
        let labels: Vec<String> = overall.left_out.iter().map(|label| escape(label)).collect();
        lines.push(format!(
            "Without a score on one of the tasks, and so not among these: {}.",
            labels.join(", ")
        ));
    }
    if overall.tasks > 1 {
        lines.push(if overall.interquartile_mean.is_empty() {
            "Scores are not pooled over tasks: on one of them it is not known what guessing scores, or no activation is better \
             than guessing."
                .to_owned()
        } else {
            "Scores are normalized by task before they are pooled: guessing is 0, the best activation's mean is 1."
                .to_owned()
        });
    }
    lines
}

/// How to read the figures.
pub(super) fn legend(comparison: &Comparison) -> Vec<String> {
    let baseline = escape(&comparison.baseline);
    let (scope, claims) = match comparison.family {
        Family::Report => {
            ("all comparisons with the baseline, on all tasks", "of all these claims together")
        }
        Family::Task => (
            "the comparisons with the baseline on each task",
            "of the claims on one task together (not of those on all tasks)",
        ),
    };
    let mut entries = vec![
        format!(
            "Verdicts are by the paired t test of runs under the same seed (Welch's where seeds do not match), after \
             Holm's correction over {scope}: {claims}, a false one has a probability of at most {ALPHA}."
        ),
        "sd: sample standard deviation. IQM: mean of the middle half. 95 % interval: Student's, of the mean. \
         Bootstrap intervals are in the JSON; of few runs they are too narrow."
            .to_owned(),
        format!(
            "Δ: mean difference to {baseline}, with the interval of the corrected test, whose level depends on the row: it \
             excludes 0 where the verdict is better or worse, contains it where there is no significant difference, and \
             lies within the margin where they are equivalent. 95 % of Δ: without correction. MDE: minimum detectable effect, the true \
             difference that as many pairs of this spread would find with a probability of {POWER}."
        ),
        "p: of the t test; p (Holm): corrected; p (ranks): of Wilcoxon's signed-rank test, or the Mann–Whitney U \
         test, exact, uncorrected."
            .to_owned(),
        format!(
            "d (pairs): Cohen's d by the deviation of the differences; d: by the pooled deviation. Cliff's δ and \
             P(better): how often a run beats one of {baseline}, with a 95 % interval (Newcombe)."
        ),
    ];
    let arms = || {
        comparison.tasks.iter().flat_map(|task| &task.arms).filter_map(|arm| arm.against.as_ref())
    };
    if arms().any(|against| against.probabilities.is_some()) {
        entries.push(
            "P(worse / equivalent / better): probabilities that the true difference is below, within and above the \
             margin (Bayesian t test with a flat prior)."
                .to_owned(),
        );
    }
    entries.extend(tasks_of_tukey(comparison));
    entries
}

/// How Tukey's tests of several tasks are corrected.
fn tasks_of_tukey(comparison: &Comparison) -> Option<String> {
    let tukey = comparison.tasks.iter().find_map(|task| task.tukey.as_ref())?;
    (tukey.tasks > 1).then(|| {
        format!(
            "All pairs: p of Tukey's test with seeds as blocks, multiplied by the number of tasks, {} (Bonferroni).",
            tukey.tasks
        )
    })
}

/// What the runs of Tukey's test are, where they are not all; `activations` are those of the task.
pub(crate) fn tukey(tukey: &TukeyBlocks, activations: &[&str]) -> Option<String> {
    let TukeyBlocks { seeds, all_seeds, left_out, .. } = tukey;
    let names = |labels: &[&str]| list(labels.iter().map(|label| escape(label)).collect());
    let out: Vec<&str> = left_out.iter().map(String::as_str).collect();
    if tukey.published {
        return Some(
            "Tukey's test takes the scores of runs: pairs of published means have no p.".to_owned(),
        );
    }
    if *seeds == 0 {
        return Some(
            "Tukey's test takes two activations or more that share two seeds or more: pairs have no p."
                .to_owned(),
        );
    }
    if out.is_empty() {
        return (seeds < all_seeds).then(|| {
            format!(
                "Tukey's test, and the differences, are of {seeds} of {all_seeds} seeds: those under which each activation \
                 has a score."
            )
        });
    }
    let tested: Vec<&str> =
        activations.iter().filter(|label| !out.contains(label)).copied().collect();
    let (lack, are, their) =
        if out.len() == 1 { ("lacks", "is", "its") } else { ("lack", "are", "their") };
    Some(format!(
        "Tukey's test, and the differences that have a p, are of the {seeds} seeds under which each of {} has a score. {} \
         {lack} some of these seeds and {are} left out: {their} pairs have no p.",
        names(&tested),
        names(&out)
    ))
}

/// `a`, `a and b`, `a, b and c`.
fn list(words: Vec<String>) -> String {
    match words.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
        None => String::new(),
    }
}

/// A pair of arms in a cell, in bold where it is significant and `claimed`.
pub(crate) fn pair(difference: String, p: Option<f64>, claimed: bool) -> String {
    match p {
        Some(p) if claimed && p <= ALPHA => format!("**{difference}** (p {})", lean(p)),
        Some(p) => format!("{difference} (p {})", lean(p)),
        None => difference,
    }
}

fn lean(p: f64) -> String {
    let text = probability(p);
    if text.starts_with('<') { text } else { format!("= {text}") }
}
