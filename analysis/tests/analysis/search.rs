//! The section of a search: what was tried, what was found, and which p value to quote.

use crate::common::{IMAGES, WORDS, run};
use analysis::{Family, Formula, Generation, Grammar, Report, ReportOptions, Search};
use record::StoredRun;

fn formula(name: &str, text: &str, generation: usize, part: f64, value: Option<f64>) -> Formula {
    Formula {
        name: name.into(),
        formula: text.into(),
        cost: 7,
        generation,
        origin: "found_1 with another function".into(),
        same_as: None,
        part,
        values: vec![(IMAGES.into(), value), (WORDS.into(), value.map(|value| value - 0.1))],
    }
}

fn search() -> Search {
    let mut start = formula("start_1", "max(x, 0)", 0, 1.0, Some(0.841));
    start.origin = "start: relu".into();
    let long = "max(x * sigmoid(1.702 * x), 0.25 * tanh(x)) - min(abs(x), softplus(x))";
    let mut best = formula("found_7", long, 1, 1.0, Some(0.853));
    best.same_as = Some("made_up".into());
    Search {
        seed: 4,
        seeds: vec![11, 12],
        grammar: Grammar {
            functions: vec!["max".into(), "tanh".into()],
            operators: vec!["+".into(), "*".into()],
            constants: vec![0.0, 0.5],
            max_operations: 8,
            depth: 5,
            gated: false,
        },
        generations: 2,
        parts: vec![0.25, 0.5, 1.0],
        eta: 2,
        runs: 1234,
        proposed: vec![
            Generation {
                proposed: 9,
                refused: vec![("constant".into(), 2), ("affine in x".into(), 3)],
            },
            Generation { proposed: 4, refused: vec![("constant".into(), 1)] },
        ],
        formulas: vec![
            start,
            formula("found_1", "tanh(x)", 0, 0.25, Some(0.4)),
            formula("found_2", "x * tanh(x)", 0, 1.0, Some(0.851)),
            formula("found_3", "x * x", 0, 0.5, None),
            best,
            formula("found_8", "x + max(x, 0)", 1, 0.5, Some(0.9)),
        ],
        finalists: vec!["found_7".into(), "found_2".into()],
    }
}

/// Runs of the baseline, an arm of the experiment and two formulas.
fn runs(tasks: &[&str]) -> Vec<StoredRun> {
    let mut runs = Vec::new();
    for task in tasks {
        for seed in 1..=4 {
            runs.extend(["relu", "silu", "found_2"].map(|label| run(task, label, seed)));
            let mut other = run(task, "gelu", seed);
            other.record.spec.activation.label = "found_7".into();
            other.record.id = other.record.spec.id();
            runs.push(other);
        }
    }
    runs
}

fn report(tasks: &[&str], search: Search, family: Family) -> Report {
    let options = ReportOptions {
        baseline: Some("relu".into()),
        search: Some(search),
        family,
        ..ReportOptions::default()
    };
    Report::from_runs(&runs(tasks), &options).expect("the runs are well formed")
}

fn section(report: &str) -> &str {
    let (_, rest) = report.split_once("\n## Search\n").expect("there is a section");
    rest.split_once("\n## ").map_or(rest, |(section, _)| section)
}

#[test]
fn a_search_says_what_it_tried_and_which_p_to_quote() {
    let report = report(&[IMAGES], search(), Family::Report);
    let text = report.markdown();
    let overview = "A search found 2 of the activations, the best of 6 formulas that it trained";
    assert!(text.split_whitespace().collect::<Vec<_>>().join(" ").contains(overview), "{text}");
    insta::assert_snapshot!(section(&text));
    let page = report.html();
    assert!(
        page.contains("<h2 id=\"search\">Search</h2>") && page.contains("<code>x * tanh(x)</code>")
    );
}

#[test]
fn of_several_tasks_each_formula_counts_on_each() {
    let text = report(&[IMAGES, WORDS], search(), Family::Report).markdown();
    assert!(text.contains("p (12 tests), fashion_resnet8"), "{text}");
    assert!(text.contains("by mean rank over tasks"), "{text}");
    let text = report(&[IMAGES, WORDS], search(), Family::Task).markdown();
    assert!(text.contains("p (6 tests), fashion_resnet8"), "{text}");
}

#[test]
fn a_search_without_finalists_says_so() {
    let search = Search { finalists: Vec::new(), ..search() };
    let text = report(&[IMAGES], search, Family::Report).markdown();
    assert!(section(&text).contains("No formula that the search found came to the end"), "{text}");
    assert!(!text.contains("Which p to quote"), "{text}");
}
