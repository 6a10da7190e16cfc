//! The results as tables for papers: LaTeX with the package `booktabs`.

use super::{Report, Task, methods};
use crate::comparison::{ALPHA, Family, Verdict};
use crate::metric::Shown;
use crate::render::number::probability;
use crate::render::text::unescape;
use crate::summary::Arm;
use record::Direction;

/// Mark of a significant difference.
const SIGNIFICANT: &str = "$^\\dagger$";

/// A table for each task and baseline, and a paragraph of methods.
pub(super) fn render(report: &Report) -> String {
    let mut text = String::from("% Needs \\usepackage{booktabs}.\n");
    for task in report.tasks_by_baseline() {
        text += "\n";
        text += &table(report, task);
    }
    for paragraph in methods::paragraphs(report) {
        text += &format!("\n{}\n", escape(&unescape(&paragraph)));
    }
    let links = report.links.latex(&escape);
    if !links.is_empty() {
        // Without the package hyperref the text of a link stays.
        text += "\n\\providecommand{\\href}[2]{#2}\n";
        text += &links.join("\\\\\n");
        text.push('\n');
    }
    text
}

fn table(report: &Report, task: &Task) -> String {
    let tested = task.has_tests();
    let mut text = format!("% {}\n\\begin{{table}}\n\\centering\n", comment(&task.name));
    text += &format!("\\caption{{{}}}\n", caption(report, task));
    text += if tested { "\\begin{tabular}{lrrrr}\n" } else { "\\begin{tabular}{lrrr}\n" };
    let metric = &task.metric;
    let unit = match metric.difference_unit() {
        "" => String::new(),
        unit => format!(" ({})", escape(&unescape(unit))),
    };
    let lower = if metric.direction == Direction::Lower { ", lower is better" } else { "" };
    text += &format!(
        "\\toprule\nActivation & Seeds & Test {}{lower} & $\\Delta${unit}",
        escape(&unescape(&metric.named_with_unit()))
    );
    text += if tested { " & $p$ (Holm)" } else { "" };
    text += " \\\\\n\\midrule\n";
    let mean = |arm: &Arm| arm.test.map(|value| value.mean);
    let best = metric.best(task.arms.iter().filter_map(mean)).map(|best| metric.last_digits(best));
    let best = best.filter(|_| !task.nothing_learned);
    for arm in &task.arms {
        let is_best = best.is_some() && mean(arm).map(|mean| metric.last_digits(mean)) == best;
        let shown = value(task, arm);
        let mut cells = vec![
            escape(&arm.activation),
            seeds(arm),
            if is_best { format!("\\textbf{{{shown}}}") } else { shown },
            difference(task, arm),
        ];
        if tested {
            let p = arm.against.as_ref().and_then(|against| against.p_holm);
            cells.push(p.map_or_else(dash, |p| match probability(p).strip_prefix("< ") {
                Some(bound) => format!("$<$\\,{bound}"),
                None => probability(p),
            }));
        }
        text += &format!("{} \\\\\n", cells.join(" & "));
    }
    text + "\\bottomrule\n\\end{tabular}\n\\end{table}\n"
}

/// Seeds with a score, and of how many where runs diverged or failed.
fn seeds(arm: &Arm) -> String {
    match arm.completed == arm.runs {
        true => arm.completed.to_string(),
        false => format!("{} of {}", arm.completed, arm.runs),
    }
}

/// What the table shows, and what its marks mean.
fn caption(report: &Report, task: &Task) -> String {
    let mut text = format!(
        "Test {} on {}: mean $\\pm$ standard deviation over seeds{}. $\\Delta$: mean difference to {}, of pairs under the \
         same seeds where there are any",
        escape(&unescape(&task.metric.label)),
        escape(&task.name),
        if task.nothing_learned { "" } else { ", best in bold" },
        escape(&task.baseline)
    );
    if task.nothing_learned {
        text += ". No activation is better than guessing, and none is marked as better or worse";
    } else if task.has_tests() {
        let scope = match report.frame.family {
            Family::Report => format!("{} comparisons of the report", report.frame.comparisons),
            Family::Task => "the comparisons of the task".to_owned(),
        };
        text += &format!(
            ", with the interval of the corrected test. {SIGNIFICANT}: significantly better or worse than {} ($t$ test, \
             $p \\le {ALPHA}$ after Holm's correction over {scope})",
            escape(&task.baseline)
        );
    }
    text += ".";
    let lost: Vec<String> = task
        .arms
        .iter()
        .flat_map(|arm| {
            let counts = [(arm.diverged, "diverged"), (arm.failed, "failed")];
            let shown = counts.into_iter().filter(|(count, _)| *count > 0);
            shown.map(move |(count, how)| {
                format!("{count} of {} runs of {} {how}", arm.runs, escape(&arm.activation))
            })
        })
        .collect();
    if !lost.is_empty() {
        text += &format!(" Left out of the figures: {}.", lost.join(", "));
    }
    text
}

fn value(task: &Task, arm: &Arm) -> String {
    let number = |value: f64| plain(&task.metric.number(value));
    let Some(value) = arm.test else { return dash() };
    let spread = value.standard_deviation;
    let spread = spread.map(|sd| format!(" $\\pm$ {}", number(sd))).unwrap_or_default();
    format!("{}{spread}", number(value.mean))
}

/// A number without a sign of its own: spaces between groups of digits are LaTeX's, and so is infinity.
fn plain(number: &str) -> String {
    number.replace('\u{a0}', "\\,").replace('∞', "$\\infty$").replace('−', "$-$")
}

fn difference(task: &Task, arm: &Arm) -> String {
    if arm.activation == task.baseline {
        return "baseline".to_owned();
    }
    let Some((against, difference)) =
        arm.against.as_ref().and_then(|against| Some((against, against.difference?)))
    else {
        return dash();
    };
    let signed = |value: f64| math(&task.metric.difference(value));
    let interval = against
        .interval
        .map(|interval| format!(" [{}, {}]", signed(interval.low), signed(interval.high)));
    let mark = matches!(against.verdict, Verdict::Better | Verdict::Worse);
    let mark = if mark { SIGNIFICANT } else { "" };
    format!("{}{mark}{}", signed(difference), interval.unwrap_or_default())
}

fn dash() -> String {
    "---".to_owned()
}

/// A signed number, with a minus and not a hyphen.
fn math(number: &str) -> String {
    format!("${}$", number.replace('−', "-").replace('\u{a0}', "\\,").replace('∞', "\\infty"))
}

/// Text in a comment: on its line.
fn comment(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '\\' => escaped += "\\textbackslash{}",
            '~' => escaped += "\\textasciitilde{}",
            '^' => escaped += "\\textasciicircum{}",
            '<' => escaped += "\\textless{}",
            '>' => escaped += "\\textgreater{}",
            '|' => escaped += "\\textbar{}",
            '`' => escaped += "\\textasciigrave{}",
            '"' => escaped += "\\textquotedbl{}",
            '≤' => escaped += "$\\le$",
            '≥' => escaped += "$\\ge$",
            '−' => escaped += "$-$",
            '·' => escaped += "$\\cdot$",
            '_' | '&' | '%' | '$' | '#' | '{' | '}' => {
                escaped.push('\\');
                escaped.push(c);
            }
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_latex_would_take_as_markup_is_escaped() {
        assert_eq!(escape("leaky_relu(slope=5%)"), "leaky\\_relu(slope=5\\%)");
        assert_eq!(escape("a\\b\n{c}"), "a\\textbackslash{}b \\{c\\}");
        assert_eq!(math("−0.10"), "$-0.10$");
    }
}
