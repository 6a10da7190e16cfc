//! A comparison for people.

use super::sentences::{self, Form, legend, verdicts};
use super::{Against, ArmFigures, Comparison, Overall, Pair, TaskComparison};
use crate::render::number::{ABSENT, bracket, fixed, probability};
use crate::render::table::{Column, Table};
use crate::render::text::{escape, wrap};

impl Comparison {
    /// The comparison as Markdown in lines of at most `columns`, verdicts first.
    #[must_use]
    pub fn markdown(&self, columns: usize) -> String {
        let lines = |lines: &[String]| -> String {
            lines.iter().map(|line| wrap(line, "- ", columns)).collect()
        };
        let mut parts = Vec::new();
        for task in &self.tasks {
            if !task.task.is_empty() {
                parts.push(format!("## {}\n", escape(&task.task)));
            }
            parts.push(lines(&verdicts(task, self)));
            parts.push(tables(task).render(columns));
            if !task.pairs.is_empty() {
                let form = Form::of(task);
                let labels: Vec<String> =
                    task.arms.iter().map(|arm| escape(&arm.activation)).collect();
                parts.push("All pairs, row minus column; bold: significant.\n".to_owned());
                parts.push(
                    pair_table(&labels, &task.pairs, !task.nothing_learned, &|difference| {
                        form.difference(difference)
                    })
                    .render(columns),
                );
                let labels: Vec<&str> =
                    task.arms.iter().map(|arm| arm.activation.as_str()).collect();
                let note = task.tukey.as_ref().and_then(|one| sentences::tukey(one, &labels));
                parts.extend(note.map(|note| wrap(&note, "", columns)));
            }
        }
        if let Some(overall) = &self.overall {
            parts.push("## Over all tasks\n".to_owned());
            parts.push(over_tasks(overall, &|score| fixed(score, 4), columns));
        }
        parts.push("## How to read this\n".to_owned());
        parts.push(lines(&legend(self)));
        parts.join("\n")
    }
}

fn tables(task: &TaskComparison) -> Table {
    let form = Form::of(task);
    let arms = &task.arms;
    let column = |header: &str, cell: &dyn Fn(&ArmFigures) -> String| {
        Column::numbers(header, arms.iter().map(cell).collect())
    };
    let value = |header: &str, get: &dyn Fn(&ArmFigures) -> Option<f64>| {
        column(header, &|arm| get(arm).map_or(ABSENT.into(), |value| form.score(value)))
    };
    let to = |header: &str, cell: &dyn Fn(&Against) -> Option<String>| {
        column(header, &|arm| match &arm.against {
            Some(against) => cell(against).unwrap_or(ABSENT.into()),
            None => String::new(),
        })
    };
    let description = vec![
        column("n", &|arm| arm.n.to_string()),
        value("mean", &|arm| arm.mean),
        value("sd", &|arm| arm.standard_deviation),
        value("median", &|arm| arm.median),
        value("IQM", &|arm| arm.interquartile_mean),
        column("95 % interval", &|arm| bracket(arm.interval, |x| form.score(x))),
    ];
    let range = vec![
        value("worst", &|arm| arm.worst.as_ref().map(|(_, score)| *score)),
        value("best", &|arm| arm.best.as_ref().map(|(_, score)| *score)),
    ];
    let difference = vec![
        to("Δ", &|against| Some(form.difference(against.difference?))),
        to("interval of Δ", &|against| {
            Some(bracket(Some(against.interval?), |x| form.difference(x)))
        }),
        to("95 % of Δ", &|against| {
            Some(bracket(Some(against.interval_uncorrected?), |x| form.difference(x)))
        }),
        to("MDE", &|against| Some(form.score(against.power?.detectable))),
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
        to("P(better)", &|against| {
            let improvement = against.probability_of_improvement?;
            Some(match against.probability_interval {
                Some(interval) => {
                    format!("{improvement:.2} {}", bracket(Some(interval), |x| format!("{x:.2}")))
                }
                None => format!("{improvement:.2}"),
            })
        }),
    ];
    let mut blocks = vec![description, range, difference, tests, effects];
    if arms.iter().any(|arm| arm.against.as_ref().is_some_and(|one| one.probabilities.is_some())) {
        blocks.push(vec![to("P(worse / equivalent / better)", &|against| {
            Some(against.probabilities?.words())
        })]);
    }
    Table {
        key: Column::words("activation", arms.iter().map(|arm| escape(&arm.activation)).collect()),
        blocks,
    }
}

/// Differences of every arm to every other, row minus column; `labels` are the arms of `pairs` in their order.
/// Significant ones are in bold where they are `claimed`.
pub(crate) fn pair_table(
    labels: &[String],
    pairs: &[Pair],
    claimed: bool,
    show: &dyn Fn(f64) -> String,
) -> Table {
    let k = labels.len();
    // Pairs (i, j) with i < j, row by row.
    let place = |i: usize, j: usize| i * (2 * k - i - 1) / 2 + j - i - 1;
    let cell = |row: usize, column: usize| {
        if row == column {
            return String::new();
        }
        let (low, high) = (row.min(column), row.max(column));
        let Some(pair) = pairs.get(place(low, high)) else { return ABSENT.to_owned() };
        let sign = if row < column { 1.0 } else { -1.0 };
        let Some(difference) = pair.difference else { return ABSENT.to_owned() };
        sentences::pair(show(sign * difference), pair.p, claimed)
    };
    let column =
        |of: usize| vec![Column::numbers(&labels[of], (0..k).map(|row| cell(row, of)).collect())];
    Table { key: Column::words("minus", labels.to_vec()), blocks: (0..k).map(column).collect() }
}

/// Ranks and interquartile means, the latter in the form `show`.
pub(crate) fn over_tasks(
    overall: &Overall,
    show: &dyn Fn(f64) -> String,
    columns: usize,
) -> String {
    let lines: String =
        sentences::overall(overall).iter().map(|line| wrap(line, "- ", columns)).collect();
    format!("{lines}\n{}", overall_table(overall, show, show).render(columns))
}

/// The table of [`over_tasks`], with spreads of differences in the form `spread`.
pub(crate) fn overall_table(
    overall: &Overall,
    show: &dyn Fn(f64) -> String,
    spread: &dyn Fn(f64) -> String,
) -> Table {
    let labels = overall.activations.iter().map(|label| escape(label)).collect();
    let cells = |cell: &dyn Fn(usize) -> String| (0..overall.activations.len()).map(cell).collect();
    let mut blocks =
        vec![vec![Column::numbers("mean rank", cells(&|i| fixed(overall.ranks[i], 2)))]];
    if let Some(tests) = &overall.tests {
        let p = |i: usize| tests.nemenyi[i].map_or(String::new(), probability);
        blocks.push(vec![Column::numbers("p (Nemenyi)", cells(&p))]);
    }
    if !overall.interquartile_mean.is_empty() {
        let name = if overall.tasks > 1 { "IQM (normalized)" } else { "IQM" };
        let mut pooled =
            vec![Column::numbers(name, cells(&|i| show(overall.interquartile_mean[i].0)))];
        if overall.fewest_runs >= super::overall::ENOUGH_RUNS {
            let interval = |i: usize| bracket(overall.interquartile_mean[i].1, show);
            pooled.push(Column::numbers("95 % interval", cells(&interval)));
        }
        blocks.push(pooled);
    }
    if !overall.components.is_empty() {
        let component = |get: fn(&crate::statistics::Nested) -> f64| {
            cells(&|i| {
                let text = |nested| spread(get(nested));
                overall.components[i].as_ref().map_or(String::new(), text)
            })
        };
        blocks.push(vec![
            Column::numbers("sd of Δ, tasks", component(|nested| nested.tasks)),
            Column::numbers("sd of Δ, seeds", component(|nested| nested.seeds)),
        ]);
    }
    if !overall.probabilities.is_empty() {
        let cell = |i: usize| overall.probabilities[i].map_or(String::new(), |p| p.words());
        blocks.push(vec![Column::numbers("P(worse / equivalent / better)", cells(&cell))]);
    }
    Table { key: Column::words("activation", labels), blocks }
}
