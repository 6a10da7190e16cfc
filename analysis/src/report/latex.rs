//! The results as tables for papers: LaTeX with the package `booktabs`.

use super::{Report, Task, methods};
use crate::metric::Shown;
use crate::render::text::unescape;
use crate::summary::Arm;
use record::Direction;

/// A table for each task, and a paragraph of methods.
pub(super) fn render(report: &Report) -> String {
    let mut text = String::from("% Needs \\usepackage{booktabs}.\n");
    for task in &report.tasks {
        text += "\n";
        text += &table(task);
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

fn table(task: &Task) -> String {
    let tested = task.has_tests();
    let mut text = format!("% {}\n", comment(&task.name));
    text += if tested { "\\begin{tabular}{lrrrrr}\n" } else { "\\begin{tabular}{lrrr}\n" };
    let metric = &task.metric;
    let unit = match metric.difference_unit() {
        "" => String::new(),
        unit => format!(" ({})", escape(&unescape(unit))),
    };
    let lower = if metric.direction == Direction::Lower { ", lower is better" } else { "" };
    text += &format!(
        "\\toprule\nActivation & $n$ & Test {}{lower} & $\\Delta${unit}",
        escape(&unescape(&metric.named_with_unit()))
    );
    text += if tested { " & $p$ (Holm) & $d$" } else { "" };
    text += " \\\\\n\\midrule\n";
    for arm in &task.arms {
        let mut cells = vec![
            escape(&arm.activation),
            arm.completed.to_string(),
            value(task, arm),
            difference(task, arm),
        ];
        if tested {
            let against = arm.against.as_ref();
            let p = against.and_then(|against| against.p_holm);
            cells.push(p.map_or_else(dash, |p| {
                if p < 0.0001 { "$<$\\,0.0001".to_owned() } else { format!("{p:.4}") }
            }));
            let d = against.and_then(|against| against.cohen_d_paired);
            cells.push(d.map_or_else(dash, |d| math(&format!("{d:.2}"))));
        }
        text += &format!("{} \\\\\n", cells.join(" & "));
    }
    text + "\\bottomrule\n\\end{tabular}\n"
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
    format!("{}{}", signed(difference), interval.unwrap_or_default())
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
