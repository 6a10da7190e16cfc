//! A comparison for people.

use super::{ALPHA, Against, ArmFigures, Comparison, Overall, POWER, TaskComparison, Verdict};
use crate::report::number::{ABSENT, fixed};
use crate::report::table::{Column, Table};
use crate::report::text::{escape, wrap};
use crate::statistics::Interval;

impl Comparison {
    /// The comparison as Markdown in lines of at most `columns`, verdicts first.
    #[must_use]
    pub fn markdown(&self, columns: usize) -> String {
        let mut parts = Vec::new();
        for task in &self.tasks {
            if !task.task.is_empty() {
                parts.push(format!("## {}\n", escape(&task.task)));
            }
            parts.push(verdicts(task, &self.baseline, columns));
            parts.push(tables(task).render(columns));
        }
        if let Some(overall) = &self.overall {
            parts.push("## Over all tasks\n".to_owned());
            parts.push(over_tasks(overall, "IQM", &|score| fixed(score, 4), columns));
        }
        parts.push("## How to read this\n".to_owned());
        parts.push(legend(self, columns));
        parts.join("\n")
    }
}

/// Decimals that show what differs.
fn decimals(task: &TaskComparison) -> usize {
    let largest =
        task.arms.iter().filter_map(|arm| arm.best.as_ref()).map(|(_, score)| score.abs());
    if largest.fold(0.0, f64::max) <= 1.0 { 4 } else { 2 }
}

fn signed(value: f64, decimals: usize) -> String {
    let text = fixed(value, decimals);
    if value > 0.0 && text.bytes().any(|byte| matches!(byte, b'1'..=b'9')) {
        format!("+{text}")
    } else {
        text
    }
}

fn bracket(interval: Option<Interval>, show: impl Fn(f64) -> String) -> String {
    interval.map_or(ABSENT.into(), |interval| {
        format!("[{}, {}]", show(interval.low), show(interval.high))
    })
}

/// A probability as it is quoted.
pub(crate) fn probability(p: f64) -> String {
    if p < 0.0001 { "< 0.0001".to_owned() } else { format!("{p:.4}") }
}

pub(crate) fn equals(p: f64) -> String {
    if p < 0.0001 { "p < 0.0001".to_owned() } else { format!("p = {p:.4}") }
}

fn verdicts(task: &TaskComparison, baseline: &str, columns: usize) -> String {
    let decimals = decimals(task);
    let name = escape(baseline);
    if !task.arms.iter().any(|arm| arm.activation == baseline) {
        return wrap(
            &format!("The baseline {name} has no score: nothing is compared."),
            "- ",
            columns,
        );
    }
    let sentence = |arm: &ArmFigures, against: &Against| {
        let label = escape(&arm.activation);
        let figures = figures(against, decimals);
        match against.verdict {
            Verdict::Better => format!("**{label} is better than {name}**: {figures}."),
            Verdict::Worse => format!("**{label} is worse than {name}**: {figures}."),
            Verdict::Equivalent => {
                format!("**{label} and {name} are equivalent** within the margin: {figures}.")
            }
            Verdict::Undecided { pairs_needed } => {
                let needed = match pairs_needed {
                    Some(pairs) => format!(
                        "about {pairs} pairs would find a difference of this size four times in five"
                    ),
                    None if against.paired => "the difference is next to nothing".to_owned(),
                    None => "paired seeds would find smaller differences".to_owned(),
                };
                format!("{label}: these runs do not tell it from {name}: {figures}; {needed}.")
            }
            Verdict::TooFew => {
                let difference = against
                    .difference
                    .map(|difference| format!(" ({})", signed(difference, decimals)))
                    .unwrap_or_default();
                format!(
                    "{label}: too few runs, or no spread, to compare it with {name}{difference}."
                )
            }
        }
    };
    let mut lines: Vec<String> =
        task.arms.iter().filter_map(|arm| Some(sentence(arm, arm.against.as_ref()?))).collect();
    let loose: Vec<String> = task
        .arms
        .iter()
        .filter(|arm| arm.against.as_ref().is_some_and(|against| against.unpaired > 0))
        .map(|arm| escape(&arm.activation))
        .collect();
    if !loose.is_empty() {
        lines.push(format!(
            "Seeds of {} and {name} do not all pair up: where two or more do, the pairs are compared; \
             else all runs, unpaired.",
            loose.join(", ")
        ));
    }
    lines.iter().map(|line| wrap(line, "- ", columns)).collect()
}

fn figures(against: &Against, decimals: usize) -> String {
    let mut parts = Vec::new();
    if let Some(difference) = against.difference {
        let mut text = signed(difference, decimals);
        if against.interval.is_some() {
            text += &format!(" {}", bracket(against.interval, |x| signed(x, decimals)));
        }
        parts.push(text);
    }
    if let (Some(test), Some(p)) = (against.t_test, against.p_holm) {
        parts.push(format!("{} ({}, Holm)", equals(p), test.name));
    }
    if let Some(d) = against.cohen_d_paired.or(against.cohen_d) {
        parts.push(format!("d = {}", fixed(d, 2)));
    }
    if against.paired {
        parts.push(format!("{} pairs", against.pairs));
    }
    parts.join(", ")
}

fn tables(task: &TaskComparison) -> Table {
    let decimals = decimals(task);
    let arms = &task.arms;
    let column = |header: &str, cell: &dyn Fn(&ArmFigures) -> String| {
        Column::numbers(header, arms.iter().map(cell).collect())
    };
    let value = |header: &str, get: &dyn Fn(&ArmFigures) -> Option<f64>, decimals: usize| {
        column(header, &|arm| get(arm).map_or(ABSENT.into(), |value| fixed(value, decimals)))
    };
    let to = |header: &str, cell: &dyn Fn(&Against) -> Option<String>| {
        column(header, &|arm| match &arm.against {
            Some(against) => cell(against).unwrap_or(ABSENT.into()),
            None => String::new(),
        })
    };
    let score = |score: f64| fixed(score, decimals);
    let description = vec![
        column("n", &|arm| arm.n.to_string()),
        value("mean", &|arm| arm.mean, decimals),
        value("sd", &|arm| arm.standard_deviation, decimals),
        value("median", &|arm| arm.median, decimals),
        value("IQM", &|arm| arm.interquartile_mean, decimals),
    ];
    let intervals = vec![
        column("95 % interval", &|arm| bracket(arm.interval, score)),
        column("BCa", &|arm| bracket(arm.interval_bca, score)),
    ];
    let range = vec![
        value("worst", &|arm| arm.worst.as_ref().map(|(_, score)| *score), decimals),
        value("best", &|arm| arm.best.as_ref().map(|(_, score)| *score), decimals),
    ];
    let difference = vec![
        to("Δ", &|against| Some(signed(against.difference?, decimals))),
        to("95 % interval of Δ", &|against| {
            Some(bracket(Some(against.interval?), |x| signed(x, decimals)))
        }),
        to("smallest found", &|against| Some(score(against.detectable?))),
    ];
    let tests = vec![
        to("p", &|against| Some(probability(against.t_test?.p))),
        to("p (Holm)", &|against| Some(probability(against.p_holm?))),
        to("p (ranks)", &|against| Some(probability(against.rank_test?.p))),
    ];
    let effects = vec![
        to("d (pairs)", &|against| Some(fixed(against.cohen_d_paired?, 2))),
        to("d", &|against| Some(fixed(against.cohen_d?, 2))),
        to("Cliff's δ", &|against| Some(fixed(against.cliffs_delta?, 2))),
        to("P(improves)", &|against| {
            let interval = bracket(against.probability_interval, |x| format!("{x:.2}"));
            Some(format!("{:.2} {interval}", against.probability_of_improvement?))
        }),
    ];
    Table {
        key: Column::words("activation", arms.iter().map(|arm| escape(&arm.activation)).collect()),
        blocks: vec![description, intervals, range, difference, tests, effects],
    }
}

/// Ranks and interquartile means, `iqm` the header of the latter and `show` their form.
pub(crate) fn over_tasks(
    overall: &Overall,
    iqm: &str,
    show: &dyn Fn(f64) -> String,
    columns: usize,
) -> String {
    let lines: String =
        overall_lines(overall).iter().map(|line| wrap(line, "- ", columns)).collect();
    format!("{lines}\n{}", overall_table(overall, iqm, show).render(columns))
}

/// The table of [`over_tasks`].
pub(crate) fn overall_table(overall: &Overall, iqm: &str, show: &dyn Fn(f64) -> String) -> Table {
    let labels = overall.activations.iter().map(|label| escape(label)).collect();
    let cells = |cell: &dyn Fn(usize) -> String| (0..overall.activations.len()).map(cell).collect();
    Table {
        key: Column::words("activation", labels),
        blocks: vec![vec![
            Column::numbers("mean rank", cells(&|i| fixed(overall.ranks[i], 2))),
            Column::numbers(
                "p (Nemenyi)",
                cells(&|i| overall.nemenyi[i].map_or(String::new(), probability)),
            ),
            Column::numbers(iqm, cells(&|i| show(overall.interquartile_mean[i].0))),
            Column::numbers(
                "95 % interval",
                cells(&|i| bracket(overall.interquartile_mean[i].1, show)),
            ),
        ]],
    }
}

/// What the ranks say, a paragraph each.
pub(crate) fn overall_lines(overall: &Overall) -> Vec<String> {
    let (friedman, iman) = (&overall.friedman, &overall.iman_davenport);
    let mut lines = vec![format!(
        "Ranks over {} blocks (a task under a seed) of {}: Friedman χ² = {}, {}; Iman–Davenport F = {}, {}. \
         Mean ranks that differ by more than {} differ (Nemenyi, level {ALPHA}).",
        overall.blocks,
        if overall.tasks == 1 { "one task".to_owned() } else { format!("{} tasks", overall.tasks) },
        fixed(friedman.statistic, 2),
        equals(friedman.p),
        fixed(iman.statistic, 2),
        equals(iman.p),
        fixed(overall.critical_difference, 2),
    )];
    if overall.exploratory {
        lines.push("Exploratory: so few blocks are a hint, not a result.".to_owned());
    }
    if overall.tasks > 1 {
        lines.push(
            "Blocks of one task are alike, so that these p values are too small where tasks differ more \
             than seeds do."
                .to_owned(),
        );
    }
    lines
}

fn legend(comparison: &Comparison, columns: usize) -> String {
    let baseline = escape(&comparison.baseline);
    let entries = [
        format!(
            "Verdicts are by the paired t test of the runs under the same seed (Welch's where seeds do not \
             pair up) at level {ALPHA}, after Holm's correction over the arms of a task."
        ),
        "sd: sample standard deviation. IQM: mean of the middle half. 95 % interval: of the mean, by the \
         percentile bootstrap over runs; BCa: corrected for bias and acceleration."
            .to_owned(),
        format!(
            "Δ: mean difference to {baseline}. smallest found: true difference that so many pairs of this \
             spread would find with a probability of {POWER}, without correction."
        ),
        "p: of the t test; p (Holm): corrected; p (ranks): of Wilcoxon's signed-rank test, or the \
         Mann–Whitney U test, exact."
            .to_owned(),
        format!(
            "d (pairs): Cohen's d by the deviation of the differences; d: by the pooled deviation. Cliff's δ \
             and P(improves): how often a run beats one of {baseline}."
        ),
    ];
    entries.iter().map(|entry| wrap(entry, "- ", columns)).collect()
}
