//! What a report says, in its order: answers first, then how they came about, and how to read it.

use super::labels::Labels;
use super::parts::{self, Part};
use super::search::{self, Part as Found};
use super::{PLOTS, Report, Task, advice, answer, columns, legend, methods, verdict};
use crate::comparison::Overall;
use crate::comparison::markdown::overall_table;
use crate::comparison::sentences;
use crate::metric::Shown;
use crate::render::number::{fixed, grouped};
use crate::render::text::{escape, unescape};
use crate::setup::{self, Condition};
use record::Direction;

/// The whole report.
pub(super) fn render(report: &Report) -> String {
    let labels = labels(report, report.width);
    let mut text = parts::markdown(&document(report, &labels), report.width, PLOTS);
    text.push(labels.notes(report.width));
    text.retain(|part| !part.is_empty());
    text.join("\n")
}

/// The answers alone, for a terminal.
pub(super) fn brief(report: &Report, columns: usize) -> String {
    let columns = columns.max(LEAST_WIDTH);
    let labels = labels(report, columns);
    let mut parts = beginning(report);
    for task in report.tasks_by_baseline() {
        parts.extend(answered(report, task, &[], &labels));
    }
    if report.tasks.len() > 1 {
        parts.extend(over_all(report).into_iter().take(2));
    }
    let mut text = parts::terminal(parts, columns);
    text.push(unescape(&labels.notes(columns)));
    text.retain(|part| !part.is_empty());
    text.join("\n")
}

/// Columns below which nothing is laid out.
pub(super) const LEAST_WIDTH: usize = 60;

fn labels(report: &Report, columns: usize) -> Labels {
    let arms = report.tasks.iter().flat_map(|task| &task.arms);
    Labels::new(arms.map(|arm| arm.activation.as_str()), columns)
}

/// Everything that a report says, but for what pages alone show.
pub(super) fn document<'a>(report: &'a Report, labels: &Labels) -> Vec<Part<'a>> {
    let mut parts = beginning(report);
    for (task, plots) in report.tasks_by_baseline().zip(&report.figures.forests) {
        parts.extend(answered(report, task, plots, labels));
    }
    for (task, plots) in report.tasks.iter().zip(&report.figures.tasks) {
        parts.extend(details(report, task, plots, labels));
    }
    parts.extend(searched(report));
    parts.extend(over_all(report));
    // Without its heading a plot would belong to the last task.
    if report.overall.is_none() && !report.figures.overall.is_empty() {
        parts.push(Part::Heading(2, OVER_ALL.into()));
    }
    parts.push(Part::Plots(&report.figures.overall));
    for precisions in &report.precisions {
        parts.push(Part::Heading(2, escape(&precisions.heading())));
        parts.push(Part::Text(precisions.note()));
        parts.push(Part::Table(precisions.table(labels)));
    }
    if let Some(to_baseline) = &report.to_baseline {
        parts.push(Part::Heading(2, escape(&to_baseline.heading())));
        parts.push(Part::Text(to_baseline.note()));
        parts.push(Part::Table(to_baseline.table(labels)));
    }
    if !report.figures.shapes.is_empty() {
        parts.push(Part::Heading(2, "The activations".into()));
        parts.push(Part::Plots(&report.figures.shapes));
    }
    parts.push(Part::Heading(2, "Methods".into()));
    parts.extend(methods::paragraphs(report).map(Part::Text));
    parts.extend(unfinished(report));
    parts.extend(without_curve(report));
    parts.extend(without_predictions(report));
    parts.extend(skipped(report));
    if !report.links.sinks().is_empty() {
        parts.push(Part::Heading(2, "Runs on trackers".into()));
        parts.push(Part::List(report.links.markdown()));
    }
    parts.push(Part::Heading(2, "How to read this".into()));
    let entries = legend::entries(report).into_iter().map(|entry| entry.text);
    parts.push(Part::List(entries.collect()));
    parts
}

fn beginning(report: &Report) -> Vec<Part<'static>> {
    let mut parts = vec![Part::Heading(1, escape(&report.title)), Part::Text(overview(report))];
    parts.extend(report.confirms.as_ref().map(|confirms| {
        let (sweep, statement) = (escape(&confirms.sweep), escape(&confirms.statement));
        Part::Text(format!("A confirmation run of {sweep}, {statement}"))
    }));
    parts
}

/// The answer to the question of a task.
fn answered<'a>(
    report: &Report,
    task: &Task,
    plots: &'a [crate::plot::Plot],
    labels: &Labels,
) -> Vec<Part<'a>> {
    let title = format!("{}: test {} ({})", escape(&task.name), task.metric.label, frame_of(task));
    let mut parts =
        vec![Part::Heading(2, title), Part::Text(answer::sentences(report, task).join(" "))];
    parts.extend(advice::next(report, task).map(Part::Next));
    parts.push(Part::Plots(plots));
    parts.push(Part::Fitted(columns::answer(task, labels)));
    parts
}

/// What a task's differences are to, and which values are better where those are not the higher ones.
pub(super) fn frame_of(task: &Task) -> String {
    let lower = match task.metric.direction {
        Direction::Higher => String::new(),
        Direction::Lower => ", lower is better".to_owned(),
    };
    format!("baseline: {}{lower}", escape(&task.baseline))
}

/// What a task showed, and what makes it less sure.
pub(super) fn summary(report: &Report, task: &Task) -> Vec<String> {
    let mut sentences = verdict::sentences(task, &report.frame);
    sentences.extend(report.tuning.iter().flat_map(|tuning| tuning.warnings(&task.name)));
    sentences
}

fn tuning<'a>(report: &Report, task: &Task, labels: &Labels) -> Vec<Part<'a>> {
    let Some(tuning) = &report.tuning else { return Vec::new() };
    let Some(table) = tuning.table(&task.name, &task.metric, labels) else { return Vec::new() };
    vec![
        Part::Heading(3, "Tuning".into()),
        Part::Text(tuning.note(&task.name, &task.metric)),
        Part::Table(table),
    ]
}

/// What a search tried and found.
fn searched(report: &Report) -> Vec<Part<'static>> {
    let found = search::parts(report);
    let title = (!found.is_empty()).then(|| Part::Heading(2, "Search".into()));
    let shown = found.into_iter().map(|part| match part {
        Found::Text(text) => Part::Text(text),
        Found::Heading(title) => Part::Heading(3, title.to_owned()),
        Found::Table(table) => Part::Table(table),
        Found::List(items) => Part::List(items),
    });
    title.into_iter().chain(shown).collect()
}

/// Heading of what all tasks together show.
const OVER_ALL: &str = "Over all tasks";

/// What all tasks together show.
fn over_all(report: &Report) -> Vec<Part<'static>> {
    let Some(overall) = &report.overall else { return Vec::new() };
    // Differences have a common spread where the tasks have one metric.
    let metric = report.tasks.first().map(|task| &task.metric);
    let spread = |value| match metric {
        // An estimate that was cut at zero is not a measured zero.
        _ if value == 0.0 => columns::CUT_AT_ZERO.to_owned(),
        Some(metric) => metric.number(value),
        None => fixed(value, 3),
    };
    vec![
        Part::Heading(2, OVER_ALL.into()),
        Part::List(sentences::overall(overall)),
        Part::Table(overall_table(overall, &share(report, overall), &spread)),
    ]
}

pub(super) fn overview(report: &Report) -> String {
    let total = |count: fn(&crate::summary::Arm) -> usize| -> usize {
        report.tasks.iter().flat_map(|task| &task.arms).map(count).sum()
    };
    let mut activations: Vec<&str> = report
        .tasks
        .iter()
        .flat_map(|task| task.arms.iter().map(|arm| arm.activation.as_str()))
        .collect();
    activations.sort_unstable();
    activations.dedup();
    let search = report.search.as_ref().filter(|search| !search.finalists.is_empty());
    let found = search.map_or(String::new(), |search| {
        format!(
            " A search found {} of the activations, the best of {} that it trained: see the section Search.",
            search.finalists.len(),
            plural(search.formulas.len(), "formula")
        )
    });
    let missing = match report.commands.missing {
        0 => String::new(),
        missing => format!(" **{missing} more are not finished: every claim is provisional.**"),
    };
    let recipe = match (compares(report) && had_one_learning_rate(report), report.tasks.len()) {
        (false, _) => String::new(),
        (true, tasks) => format!(
            " {} activations had the same learning rate; tuned for each of them (`[tune]`), the order may be another.",
            if tasks == 1 { "All" } else { "On each task all" }
        ),
    };
    format!(
        "{} of {} on {}: {} completed, {} diverged, {} failed.{missing}{found}{recipe}",
        plural(total(|arm| arm.runs), "run"),
        plural(activations.len(), "activation"),
        plural(report.tasks.len(), "task"),
        total(|arm| arm.completed),
        total(|arm| arm.diverged),
        total(|arm| arm.failed)
    )
}

/// Whether on some task two activations have scores, and learned something.
fn compares(report: &Report) -> bool {
    let scored = |task: &Task| task.arms.iter().filter(|arm| arm.completed > 0).count();
    report.tasks.iter().any(|task| !task.nothing_learned && scored(task) > 1)
}

/// Whether no activation had a learning rate of its own.
fn had_one_learning_rate(report: &Report) -> bool {
    let rates = report.tasks.iter().flat_map(|task| &task.conditions);
    let mut rates = rates.filter(|condition| condition.name == setup::LEARNING_RATE);
    report.tuning.is_none() && rates.all(Condition::uniform)
}

/// How scores over all tasks are written: of several tasks they are normalized.
pub(super) fn share(report: &Report, overall: &Overall) -> impl Fn(f64) -> String {
    let only = report.tasks.first().filter(|_| overall.tasks == 1);
    let only = only.map(|task| task.metric.clone());
    move |score| match &only {
        Some(metric) => metric.quantity(score),
        None => fixed(score, 3),
    }
}

pub(super) fn plural(n: usize, thing: &str) -> String {
    format!("{}\u{a0}{thing}{}", grouped(n as u64), if n == 1 { "" } else { "s" })
}

/// How the answer of a task came about.
fn details<'a>(
    report: &Report,
    task: &Task,
    plots: &'a [crate::plot::Plot],
    labels: &Labels,
) -> Vec<Part<'a>> {
    let mut facts: Vec<String> = task.conditions.iter().map(condition).collect();
    let seeds: Vec<String> = task.seeds.iter().map(u64::to_string).collect();
    facts.push(format!("seeds: {}", seeds.join(", ")));
    let mut parts = vec![
        Part::Heading(2, format!("{} in detail", escape(&task.name))),
        Part::List(summary(report, task)),
        Part::Folded("Conditions", vec![Part::List(facts)]),
        Part::Plots(plots),
        Part::Heading(3, "Results".into()),
        Part::Table(columns::results(task, labels)),
    ];
    let tables = [
        ("Spread over runs", columns::spread(task, labels), None),
        ("Tests", columns::tests(task, labels), None),
        ("Test examples", columns::examples(task, labels), None),
        ("All pairs", columns::pairs(task, labels), note_on_pairs(task)),
        ("Convergence", columns::convergence(task, labels), None),
        ("Learned numbers", columns::learned(task, labels), None),
        ("Activation sites", Some(columns::sites(task, labels)), None),
        ("Cost", Some(columns::cost(task, labels)), None),
    ];
    for (name, table, note) in tables {
        if let Some(table) = table {
            parts.push(Part::Heading(3, name.into()));
            parts.push(Part::Table(table));
            parts.extend(note.map(Part::Text));
        }
    }
    parts.extend(columns::count_note(task, report.width).map(Part::Note));
    parts.extend(tuning(report, task, labels));
    parts
}

/// Which runs the comparison of all pairs is of, where it is not of all.
fn note_on_pairs(task: &Task) -> Option<String> {
    let labels: Vec<&str> = task.arms.iter().map(|arm| arm.activation.as_str()).collect();
    sentences::tukey(task.tukey.as_ref()?, &labels)
}

pub(super) fn condition(condition: &Condition) -> String {
    let values: Vec<String> = condition
        .values
        .iter()
        .map(|(value, labels)| {
            if condition.uniform() {
                return escape_words(value);
            }
            let labels: Vec<String> = labels.iter().map(|label| escape(label)).collect();
            format!("{} ({})", escape_words(value), labels.join(", "))
        })
        .collect();
    format!("{}: {}", condition.name, values.join("; "))
}

/// Escapes word by word, so that no-break spaces survive.
fn escape_words(text: &str) -> String {
    text.split('\u{a0}').map(escape).collect::<Vec<_>>().join("\u{a0}")
}

fn skipped(report: &Report) -> Vec<Part<'static>> {
    if report.skipped.is_empty() {
        return Vec::new();
    }
    let items: Vec<String> = report.skipped.iter().map(|line| escape(line)).collect();
    vec![Part::Heading(2, "Records that are left out".into()), Part::List(items)]
}

fn without_curve(report: &Report) -> Option<Part<'static>> {
    let (runs, reason) = report.without_curve.as_ref()?;
    Some(Part::Text(format!(
        "The learning curves of {} could not be read and are left out. The first: {}. To train such a run again, remove its \
         record.json.",
        plural(*runs, "run"),
        escape(reason)
    )))
}

fn without_predictions(report: &Report) -> Option<Part<'static>> {
    let (runs, reason) = report.without_predictions.as_ref()?;
    Some(Part::Text(format!(
        "The test predictions of {} could not be read and are left out. The first: {}. To train such a run again, remove its \
         record.json.",
        plural(*runs, "run"),
        escape(reason)
    )))
}

fn unfinished(report: &Report) -> Vec<Part<'static>> {
    if report.unfinished.is_empty() {
        return Vec::new();
    }
    let items: Vec<String> = report
        .unfinished
        .iter()
        .map(|run| {
            format!(
                "{}, {}, seed\u{a0}{} ({}): {}: {}",
                escape(&run.task),
                escape(&run.activation),
                run.seed,
                run.id,
                run.end,
                escape(&run.reason)
            )
        })
        .collect();
    vec![Part::Heading(2, "Runs that did not complete".into()), Part::List(items)]
}
