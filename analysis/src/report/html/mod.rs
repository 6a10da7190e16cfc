//! The report as one HTML page that needs no network: its style, script and figures are in it.

use super::figures::Figures;
use super::labels::Labels;
use super::search::{self, Part};
use super::{Report, Task, columns, legend};
use crate::comparison::markdown::overall_table;
use crate::comparison::sentences;
use crate::frame::Status;
use crate::metric::{Shown, test_value};
use crate::plot::Plot;
use crate::render::html::{escape, inline};
use record::StoredRun;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// No label is too long for a page.
const WIDE: usize = 100_000;

/// What the page adds to a report.
#[derive(Debug, Clone)]
pub(super) struct Page {
    runs: Vec<Row>,
    /// A spec and an environment of each task, in JSON.
    settings: Vec<(String, String)>,
}

/// A run in the list of all.
#[derive(Debug, Clone)]
struct Row {
    task: String,
    activation: String,
    seed: u64,
    status: &'static str,
    /// Its test value.
    value: Option<f64>,
    folder: String,
}

impl Page {
    pub(super) fn new(runs: &[&StoredRun]) -> Self {
        let row = |run: &&StoredRun| Row {
            task: run.record.spec.task.clone(),
            activation: run.record.spec.activation.label.clone(),
            seed: run.record.spec.seed,
            status: Status::of(&run.record).name(),
            value: test_value(&run.record),
            folder: run
                .dir
                .path()
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default(),
        };
        let settings = runs
            .chunk_by(|a, b| a.record.spec.task == b.record.spec.task)
            .map(|runs| {
                let record = &runs[0].record;
                let both = (&record.spec, &record.environment);
                // What a record holds is representable in JSON.
                (record.spec.task.clone(), serde_json::to_string_pretty(&both).unwrap_or_default())
            })
            .collect();
        Self { runs: runs.iter().map(row).collect(), settings }
    }
}

/// The whole page.
pub(super) fn render(report: &Report) -> String {
    let page = &report.page;
    let labels = Labels::new(std::iter::empty(), WIDE);
    let title = escape(&report.title);
    let mut body = format!(
        "<h1>{title}</h1>\n<p class=\"quiet\">{}</p>\n<h2>Summary</h2>\n<div class=\"verdicts\">\n",
        inline(&super::markdown::overview(report))
    );
    for task in &report.tasks {
        body += &format!(
            "<h3>{} <span class=\"quiet\">({})</span></h3>\n{}",
            escape(&task.name),
            inline(&super::markdown::frame_of(task)),
            list(&super::markdown::summary(report, task))
        );
    }
    body += "</div>\n";
    body += &toggles(&report.figures);
    for (task, plots) in report.tasks.iter().zip(&report.figures.tasks) {
        body += &section(report, task, plots, &labels);
    }
    body += &searched(report);
    if let Some(overall) = &report.overall {
        body += "<h2>Over all tasks</h2>\n";
        body += &list(&sentences::overall(overall));
        body += &scroll(&overall_table(overall, &super::markdown::share(report, overall)).html());
    }
    body += &figures(&report.figures.overall);
    for precisions in &report.precisions {
        body += &format!("<h2>{}</h2>\n", escape(&precisions.heading()));
        body += &format!("<p>{}</p>\n", inline(&precisions.note()));
        body += &scroll(&precisions.table(&labels).html());
    }
    if let Some(to_baseline) = &report.to_baseline {
        body += &format!("<h2>{}</h2>\n", escape(&to_baseline.heading()));
        body += &format!("<p>{}</p>\n", inline(&to_baseline.note()));
        body += &scroll(&to_baseline.table(&labels).html());
    }
    if !report.figures.shapes.is_empty() {
        body += "<h2>The activations</h2>\n";
        body += &figures(&report.figures.shapes);
    }
    body += "<h2>Methods</h2>\n";
    for text in super::methods::paragraphs(report) {
        body += &format!("<p>{}</p>\n", inline(&text));
    }
    body += &runs(report);
    body += "<h2>How to read this</h2>\n";
    body += &list(&legend::entries(report));
    body += "<h2>Configuration and machine</h2>\n";
    for (task, json) in &page.settings {
        body += &format!(
            "<details><summary>{}: spec and environment of its first run</summary>\n<pre>{}</pre></details>\n",
            escape(task),
            escape(json)
        );
    }
    // Nothing that a name holds may end the script.
    let plots: Vec<&Plot> = report.figures.iter().collect();
    let figures = serde_json::to_string(&plots).unwrap_or_default().replace('<', "\\u003c");
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{body}</main>\n\
         <div id=\"tip\" role=\"status\"></div>\n\
         <script type=\"application/json\" id=\"figures\">{figures}</script>\n\
         <script>\n{SCRIPT}</script>\n</body>\n</html>\n"
    )
}

fn section(report: &Report, task: &Task, plots: &[Plot], labels: &Labels) -> String {
    let facts: Vec<String> = task.conditions.iter().map(super::markdown::condition).collect();
    let tables = [
        ("Results", Some(columns::results(task, labels))),
        ("Spread over runs", columns::spread(task, labels)),
        ("Tests", columns::tests(task, labels)),
        ("Test examples", columns::examples(task, labels)),
        ("All pairs (row minus column; bold: significant)", columns::pairs(task, labels)),
        ("Convergence", columns::convergence(task, labels)),
        ("Learned numbers", columns::learned(task, labels)),
        ("Cost and diagnostics", Some(columns::cost(task, labels))),
    ];
    let mut text = format!("<section>\n<h2>{}</h2>\n", escape(&task.name));
    text += &format!("<details><summary>Conditions</summary>\n{}</details>\n", list(&facts));
    let mut tables = tables.into_iter().filter_map(|(name, table)| Some((name, table?)));
    if let Some((name, table)) = tables.next() {
        text += &format!("<h3>{name}</h3>\n{}", scroll(&table.html()));
    }
    text += &figures(plots);
    for (name, table) in tables {
        text += &format!("<h3>{name}</h3>\n{}", scroll(&table.html()));
    }
    if let Some(tuning) = &report.tuning
        && let Some(table) = tuning.table(&task.name, &task.metric, labels)
    {
        text += &format!(
            "<h3>Tuning</h3>\n<p>{}</p>\n",
            inline(&tuning.note(&task.name, &task.metric))
        );
        text += &scroll(&table.html());
    }
    text + "</section>\n"
}

/// What a search tried and found.
fn searched(report: &Report) -> String {
    let parts = search::parts(report);
    let title = if parts.is_empty() { "" } else { "<h2>Search</h2>\n" };
    let shown = parts.into_iter().map(|part| match part {
        Part::Text(text) => format!("<p>{}</p>\n", inline(&text)),
        Part::Heading(title) => format!("<h3>{title}</h3>\n"),
        Part::Table(table) => scroll(&table.html()),
        Part::List(items) => list(&items),
    });
    std::iter::once(title.to_owned()).chain(shown).collect()
}

/// Where plots are drawn.
fn figures(plots: &[Plot]) -> String {
    let figure = |plot: &Plot| {
        format!(
            "<figure><figcaption>{}</figcaption><div data-plot=\"{}\"></div></figure>\n",
            escape(&plot.title),
            escape(&plot.name)
        )
    };
    let figures: String = plots.iter().map(figure).collect();
    format!("<div class=\"plots\">\n{figures}</div>\n")
}

fn toggles(figures: &Figures) -> String {
    let mut text = String::from(
        "<div class=\"toggles\" role=\"group\" aria-label=\"Activations shown in the plots\">\n",
    );
    for (label, colour) in &figures.arms {
        let label = escape(label);
        text += &format!(
            "<button class=\"toggle\" type=\"button\" data-arm=\"{label}\" data-light=\"{}\" data-dark=\"{}\" \
             aria-pressed=\"true\"><i></i>{label}</button>\n",
            colour.light, colour.dark
        );
    }
    text + "</div>\n"
}

fn runs(report: &Report) -> String {
    let page = &report.page;
    let metrics = report.metrics();
    let test = match &metrics[..] {
        [metric] => inline(&columns::header::test(metric)),
        _ => "test".to_owned(),
    };
    let value = |run: &Row| {
        let task = report.tasks.iter().find(|task| task.name == run.task);
        let shown = task.zip(run.value).map(|(task, value)| match metrics.len() {
            1 => task.metric.number(value),
            _ => task.metric.quantity(value),
        });
        inline(&shown.unwrap_or_default())
    };
    let sinks = report.links.sinks();
    let head = ["task", "activation", "seed", "outcome", &test, "record"].map(str::to_owned);
    let head: String = head
        .into_iter()
        .chain(sinks.iter().map(|sink| escape(sink)))
        .map(|name| format!("<th scope=\"col\"><button type=\"button\">{name}</button></th>"))
        .collect();
    let row = |(place, run): (usize, &Row)| {
        let links = report.links.run(place);
        let cell = |sink: &&str| {
            let link = links.iter().find(|link| link.sink == **sink);
            let link = link
                .map(|link| format!("<a href=\"{}\" rel=\"noopener\">open</a>", escape(&link.url)));
            format!("<td>{}</td>", link.unwrap_or_default())
        };
        let cells: String = sinks.iter().map(cell).collect();
        format!(
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>{cells}</tr>\n",
            escape(&run.task),
            escape(&run.activation),
            run.seed,
            run.status,
            value(run),
            escape(&run.folder),
        )
    };
    let rows: String = page.runs.iter().enumerate().map(row).collect();
    format!(
        "<h2>Runs</h2>\n<details><summary>All {} runs</summary>\n<div class=\"scroll\"><table>\
         <thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody></table></div></details>\n",
        page.runs.len()
    )
}

fn scroll(table: &str) -> String {
    format!("<div class=\"scroll\">{table}</div>\n")
}

fn list(items: &[String]) -> String {
    let items: String = items.iter().map(|item| format!("<li>{}</li>\n", inline(item))).collect();
    format!("<ul>\n{items}</ul>\n")
}
