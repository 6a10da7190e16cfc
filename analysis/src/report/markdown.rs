//! The page: headings, verdicts, tables, what went wrong, and how to read it.

use super::labels::Labels;
use super::search::Part;
use super::{PLOTS, Report, Task, columns, legend, methods, search, verdict};
use crate::comparison::Overall;
use crate::comparison::markdown::over_tasks;
use crate::metric::Shown;
use crate::plot::Plot;
use crate::render::number::{fixed, grouped};
use crate::render::text::{escape, shorten, width, wrap};
use crate::setup::Condition;
use record::Direction;

/// The whole report.
pub(super) fn render(report: &Report) -> String {
    let arms = report.tasks.iter().flat_map(|task| &task.arms);
    let labels = Labels::new(arms.map(|arm| arm.activation.as_str()), report.width);
    let mut parts = vec![
        heading("#", &report.title, report.width),
        wrap(&overview(report), "", report.width),
        heading("##", "Summary", report.width),
    ];
    for task in &report.tasks {
        let name = format!("**{}** ({})", escape(&task.name), frame_of(task));
        parts.push(wrap(&name, "", report.width));
        parts.push(bullets(&summary(report, task), report.width));
    }
    for (task, plots) in report.tasks.iter().zip(&report.figures.tasks) {
        parts.extend(section(task, &labels, report.width));
        parts.extend(tuning(report, task, &labels));
        parts.push(pictures(plots, report.width));
    }
    parts.extend(searched(report));
    if let Some(overall) = &report.overall {
        parts.push(heading("##", "Over all tasks", report.width));
        parts.push(over_tasks(overall, &share(report, overall), report.width));
    }
    parts.push(pictures(&report.figures.overall, report.width));
    for precisions in &report.precisions {
        parts.push(heading("##", &precisions.heading(), report.width));
        parts.push(wrap(&precisions.note(), "", report.width));
        parts.push(precisions.table(&labels).render(report.width));
    }
    if let Some(to_baseline) = &report.to_baseline {
        parts.push(heading("##", &to_baseline.heading(), report.width));
        parts.push(wrap(&to_baseline.note(), "", report.width));
        parts.push(to_baseline.table(&labels).render(report.width));
    }
    if !report.figures.shapes.is_empty() {
        parts.push(heading("##", "The activations", report.width));
        parts.push(pictures(&report.figures.shapes, report.width));
    }
    parts.push(heading("##", "Methods", report.width));
    parts.extend(methods::paragraphs(report).map(|text| wrap(&text, "", report.width)));
    parts.extend(unfinished(report));
    parts.extend(without_curve(report));
    parts.extend(without_predictions(report));
    parts.extend(skipped(report));
    let links = report.links.markdown();
    if !report.links.sinks().is_empty() {
        parts.push(heading("##", "Runs on trackers", report.width));
        parts.push(bullets(&links, report.width));
    }
    parts.push(heading("##", "How to read this", report.width));
    parts.push(bullets(&legend::entries(report), report.width));
    parts.push(labels.notes(report.width));
    parts.retain(|part| !part.is_empty());
    parts.join("\n")
}

/// What a task's differences are to, and which values are better where those are not the higher ones.
pub(super) fn frame_of(task: &Task) -> String {
    let lower = match task.metric.direction {
        Direction::Higher => String::new(),
        Direction::Lower => format!("; {}, lower is better", task.metric.label),
    };
    format!("baseline {}{lower}", escape(&task.baseline))
}

/// What a task showed, and what makes it less sure.
pub(super) fn summary(report: &Report, task: &Task) -> Vec<String> {
    let mut sentences = verdict::sentences(task, &report.frame);
    sentences.extend(report.tuning.iter().flat_map(|tuning| tuning.warnings(&task.name)));
    sentences
}

fn tuning(report: &Report, task: &Task, labels: &Labels) -> Vec<String> {
    let Some(tuning) = &report.tuning else { return Vec::new() };
    let Some(table) = tuning.table(&task.name, &task.metric, labels) else { return Vec::new() };
    vec![
        "### Tuning\n".into(),
        wrap(&tuning.note(&task.name, &task.metric), "", report.width),
        table.render(report.width),
    ]
}

/// What a search tried and found.
fn searched(report: &Report) -> Vec<String> {
    let parts = search::parts(report);
    let title = (!parts.is_empty()).then(|| heading("##", "Search", report.width));
    let shown = parts.into_iter().map(|part| match part {
        Part::Text(text) => wrap(&text, "", report.width),
        Part::Heading(title) => heading("###", title, report.width),
        Part::Table(table) => table.render(report.width),
        Part::List(items) => bullets(&items, report.width),
    });
    title.into_iter().chain(shown).collect()
}

fn heading(level: &str, text: &str, columns: usize) -> String {
    // A heading cannot be wrapped.
    format!("{level} {}\n", shorten(&escape(text), columns - level.len() - 1))
}

/// Plots by relative path.
fn pictures(plots: &[Plot], columns: usize) -> String {
    let picture = |plot: &Plot| {
        let (title, path) = (escape(&plot.title), format!("{PLOTS}/{}.svg)", plot.name));
        let line = format!("![{title}]({path}");
        // A path may stand on a line of its own.
        if width(&line) <= columns {
            format!("{line}\n")
        } else {
            wrap(&format!("![{title}]( {path}"), "", columns)
        }
    };
    plots.iter().map(picture).collect::<Vec<_>>().join("\n")
}

fn bullets(items: &[String], columns: usize) -> String {
    items.iter().map(|item| wrap(item, "- ", columns)).collect()
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
    format!(
        "{} of {} on {}: {} completed, {} diverged, {} failed.{found}",
        plural(total(|arm| arm.runs), "run"),
        plural(activations.len(), "activation"),
        plural(report.tasks.len(), "task"),
        total(|arm| arm.completed),
        total(|arm| arm.diverged),
        total(|arm| arm.failed)
    )
}

/// How scores over all tasks are written: of several tasks they are normalised.
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

fn section(task: &Task, labels: &Labels, columns: usize) -> Vec<String> {
    let mut facts: Vec<String> = task.conditions.iter().map(condition).collect();
    let seeds: Vec<String> = task.seeds.iter().map(u64::to_string).collect();
    facts.push(format!("seeds: {}", seeds.join(", ")));
    vec![
        heading("##", &task.name, columns),
        bullets(&facts, columns),
        "### Results\n".into(),
        columns::results(task, labels).render(columns),
        columns::spread(task, labels).map_or(String::new(), |table| table.render(columns)),
        columns::tests(task, labels).map_or(String::new(), |table| table.render(columns)),
        columns::examples(task, labels).map_or(String::new(), |table| table.render(columns)),
        if task.pairs.is_empty() { String::new() } else { "### All pairs\n".into() },
        columns::pairs(task, labels).map_or(String::new(), |table| table.render(columns)),
        if task.has_curves() { "### Convergence\n".into() } else { String::new() },
        columns::convergence(task, labels).map_or(String::new(), |table| table.render(columns)),
        if task.learned.is_empty() { String::new() } else { "### Learned numbers\n".into() },
        columns::learned(task, labels).map_or(String::new(), |table| table.render(columns)),
        "### Cost and diagnostics\n".into(),
        columns::cost(task, labels).render(columns),
        columns::count_note(task, columns).unwrap_or_default(),
    ]
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

fn skipped(report: &Report) -> Vec<String> {
    if report.skipped.is_empty() {
        return Vec::new();
    }
    let items: Vec<String> = report.skipped.iter().map(|line| escape(line)).collect();
    vec![heading("##", "Records that are left out", report.width), bullets(&items, report.width)]
}

fn without_curve(report: &Report) -> Option<String> {
    let (runs, reason) = report.without_curve.as_ref()?;
    let note = format!(
        "The learning curves of {} could not be read and are left out. The first: {}. To train such a run again, remove its \
         record.json.",
        plural(*runs, "run"),
        escape(reason)
    );
    Some(wrap(&note, "", report.width))
}

fn without_predictions(report: &Report) -> Option<String> {
    let (runs, reason) = report.without_predictions.as_ref()?;
    let note = format!(
        "The test predictions of {} could not be read and are left out. The first: {}. To train such a run again, remove its \
         record.json.",
        plural(*runs, "run"),
        escape(reason)
    );
    Some(wrap(&note, "", report.width))
}

fn unfinished(report: &Report) -> Vec<String> {
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
    vec![heading("##", "Runs that did not complete", report.width), bullets(&items, report.width)]
}
