//! The report as one HTML page that needs no network: its style, script and figures are in it.

use super::figures::Figures;
use super::labels::Labels;
use super::markdown::document;
use super::parts::Part;
use super::{PLOTS, Report, columns, legend};
use crate::frame::Status;
use crate::metric::{Shown, test_value};
use crate::plot::Plot;
use crate::render::html::{escape, inline};
use crate::render::text::unescape;
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
    let labels = Labels::new(std::iter::empty(), WIDE);
    let title = escape(&report.title);
    let mut body = String::new();
    let document = document(report, &labels);
    let entries = legend::entries(report);
    let explain = |header: &str| legend::explanation(&entries, header).map(unescape);
    // The answers begin with the first heading below the title, and the legend with what comes after them.
    let mut sections = 0;
    let answers = report.tasks_by_baseline().count();
    for part in &document {
        if let Part::Heading(2, _) = part {
            body += match sections {
                0 => "<section class=\"answer\">\n",
                _ if sections < answers => "</section>\n<section class=\"answer\">\n",
                _ if sections == answers => "</section>\n",
                _ => "",
            };
            if sections == answers {
                body += &contents(&document, answers);
            }
            sections += 1;
        }
        if sections == 1 && matches!(part, Part::Heading(2, _)) {
            body = body.replacen("<section", &format!("{}<section", toggles(&report.figures)), 1);
        }
        body += &shown(part, &explain);
    }
    body += &runs(report);
    body += "<h2 id=\"configuration\">Configuration and machine</h2>\n";
    body += &experiment(report);
    for (task, json) in &report.page.settings {
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

/// A part of the report as HTML.
fn shown(part: &Part<'_>, explain: &dyn Fn(&str) -> Option<String>) -> String {
    match part {
        Part::Heading(level, text) => {
            format!("<h{level} id=\"{}\">{}</h{level}>\n", slug(text), inline(text))
        }
        Part::Text(text) => format!("<p>{}</p>\n", inline(text)),
        Part::Next(next) => {
            let command = next.command.as_ref();
            let command = command
                .map(|command| format!("<pre class=\"command\">{}</pre>\n", escape(command)));
            format!(
                "<p class=\"next\">Next: {}</p>\n{}",
                inline(&next.text),
                command.unwrap_or_default()
            )
        }
        Part::List(items) => list(items),
        Part::Table(table) | Part::Fitted(table) => scroll(&table.html(explain)),
        Part::Plots(plots) => figures(plots),
        Part::Note(text) => format!("<p class=\"quiet\">{}</p>\n", inline(text)),
        Part::Folded(name, parts) => {
            let inside: String = parts.iter().map(|part| shown(part, explain)).collect();
            format!("<details><summary>{name}</summary>\n{inside}</details>\n")
        }
    }
}

/// An anchor: letters and digits of a heading.
fn slug(text: &str) -> String {
    let plain = |c: char| if c.is_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let slug: String = text.chars().map(plain).collect();
    slug.split('-').filter(|word| !word.is_empty()).collect::<Vec<_>>().join("-")
}

/// Links to what follows the answers.
fn contents(document: &[Part<'_>], answers: usize) -> String {
    let headings = document.iter().filter_map(|part| match part {
        Part::Heading(2, text) => Some((slug(text), inline(text))),
        _ => None,
    });
    let own = [("runs", "Runs"), ("configuration", "Configuration and machine")];
    let own = own.map(|(anchor, text)| (anchor.to_owned(), text.to_owned()));
    let links: String = headings
        .skip(answers)
        .chain(own)
        .map(|(anchor, text)| format!("<a href=\"#{anchor}\">{text}</a>\n"))
        .collect();
    format!("<nav aria-label=\"Contents\">\n{links}</nav>\n")
}

/// Where plots are drawn.
fn figures(plots: &[Plot]) -> String {
    let figure = |plot: &Plot| {
        let note = if plot.note.is_empty() {
            String::new()
        } else {
            format!(" <span>{}</span>", escape(&plot.note))
        };
        format!(
            "<figure><figcaption>{title}{note}</figcaption><div data-plot=\"{name}\"></div>\
             <noscript><img src=\"{PLOTS}/{name}.svg\" alt=\"{title}\"></noscript></figure>\n",
            title = escape(&plot.title),
            name = escape(&plot.name)
        )
    };
    let figures: String = plots.iter().map(figure).collect();
    format!("<div class=\"plots\">\n{figures}</div>\n")
}

fn toggles(figures: &Figures) -> String {
    let mut text = String::from(
        "<div class=\"toggles\" role=\"group\" aria-label=\"Activations shown in the plots\">\n",
    );
    for (label, style) in &figures.arms {
        let label = escape(label);
        text += &format!(
            "<button class=\"toggle\" type=\"button\" data-arm=\"{label}\" data-light=\"{}\" data-dark=\"{}\" \
             data-dash=\"{}\" data-marker=\"{}\" aria-pressed=\"true\"><i></i>{label}</button>\n",
            style.colour.light, style.colour.dark, style.dash, style.marker
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
        "<h2 id=\"runs\">Runs</h2>\n<details><summary>All {} runs</summary>\n<div class=\"scroll\"><table>\
         <thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody></table></div></details>\n",
        page.runs.len()
    )
}

/// The experiment as a file that trains it again.
fn experiment(report: &Report) -> String {
    let Some(text) = &report.experiment else { return String::new() };
    let command = if report.search.is_some() { "search" } else { "sweep" };
    format!(
        "<details><summary>Experiment as TOML: save it as <code>experiment.toml</code>, then \
         <code>actlab {command} experiment.toml</code>. Folders of data, where they are your own, are not in \
         it.</summary>\n<pre>{}</pre></details>\n",
        escape(text)
    )
}

fn scroll(table: &str) -> String {
    format!("<div class=\"scroll\">{table}</div>\n")
}

fn list(items: &[String]) -> String {
    let items: String = items.iter().map(|item| format!("<li>{}</li>\n", inline(item))).collect();
    format!("<ul>\n{items}</ul>\n")
}
