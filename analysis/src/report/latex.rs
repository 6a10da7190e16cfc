//! The results as tables for papers: LaTeX with the package `booktabs`.

use super::{Report, Task, methods};
use crate::render::number::{percent, points};
use crate::render::text::unescape;
use crate::summary::Arm;

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
    text
}

fn table(task: &Task) -> String {
    let tested = task.has_tests();
    let mut text = format!("% {}\n", comment(&task.name));
    text += if tested { "\\begin{tabular}{lrrrrr}\n" } else { "\\begin{tabular}{lrrr}\n" };
    text += "\\toprule\nActivation & $n$ & Test accuracy (\\%) & $\\Delta$ (points)";
    text += if tested { " & $p$ (Holm) & $d$" } else { "" };
    text += " \\\\\n\\midrule\n";
    for arm in &task.arms {
        let mut cells = vec![
            escape(&arm.activation),
            arm.completed.to_string(),
            accuracy(arm),
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

fn accuracy(arm: &Arm) -> String {
    let Some(accuracy) = arm.test_accuracy else { return dash() };
    let spread = accuracy.standard_deviation;
    let spread = spread.map(|sd| format!(" $\\pm$ {}", percent(sd))).unwrap_or_default();
    format!("{}{spread}", percent(accuracy.mean))
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
    let interval = against.interval.map(|interval| {
        format!(" [{}, {}]", math(&points(interval.low)), math(&points(interval.high)))
    });
    format!("{}{}", math(&points(difference)), interval.unwrap_or_default())
}

fn dash() -> String {
    "---".to_owned()
}

/// A signed number, with a minus and not a hyphen.
fn math(number: &str) -> String {
    format!("${}$", number.replace('−', "-"))
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
