//! What a search for formulas tried, what it found, and how to count the tests of that.

use super::columns::header;
use super::{Report, Task};
use crate::comparison::Family;
use crate::metric::Shown;
use crate::render::number::{ABSENT, fixed, grouped, probability};
use crate::render::table::{Column, Table};
use crate::render::text::{escape, shorten, width};
use record::Metric;
use std::collections::BTreeMap;

/// Beginning of the origin of a formula that the search did not write itself.
const START: &str = "start: ";

/// Columns that a formula takes in a table.
const FORMULA_WIDTH: usize = 50;

/// A search for formulas, and what came out.
#[derive(Debug, Clone, PartialEq)]
pub struct Search {
    /// Seed of all that was drawn.
    pub seed: u64,
    /// Seeds of the runs by which formulas were judged.
    pub seeds: Vec<u64>,
    /// What formulas are made of.
    pub grammar: Grammar,
    /// Generations that were planned.
    pub generations: usize,
    /// Parts of the budget after which formulas were compared; the last is 1.
    pub parts: Vec<f64>,
    /// One in so many went on after each.
    pub eta: u32,
    /// Runs of all formulas.
    pub runs: usize,
    /// Formulas that each generation proposed.
    pub proposed: Vec<Generation>,
    /// Every formula that was trained.
    pub formulas: Vec<Formula>,
    /// Names of those whose runs are reported, the best by validation data first.
    pub finalists: Vec<String>,
}

/// The formulas that a search may write.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Grammar {
    /// Functions by name.
    pub functions: Vec<String>,
    /// Operators.
    pub operators: Vec<String>,
    /// Constants that formulas begin with.
    pub constants: Vec<f64>,
    /// Operations at most.
    pub max_operations: usize,
    /// Operations that are nested at most.
    pub depth: usize,
    /// Whether formulas are gates.
    pub gated: bool,
}

impl Grammar {
    /// What it holds, in a sentence.
    fn words(&self) -> String {
        let codes = |all: &[String]| all.iter().map(|one| code(one)).collect::<Vec<_>>().join(" ");
        let parts = [codes(&self.operators), codes(&self.functions)];
        let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        let constants = match &self.constants[..] {
            [] => "no constants".to_owned(),
            some => format!("constants that begin at {} and are varied", joined(some)),
        };
        format!(
            "Formulas {} made of {}, with {constants}; they have at most {}, at most {} of them nested.",
            if self.gated { "are gates `f` of `f(gate) * value`," } else { "of `x` are" },
            parts.join(" and "),
            count(self.max_operations, "operation", "operations"),
            self.depth
        )
    }
}

/// Formulas that a generation proposed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Generation {
    /// All of them.
    pub proposed: usize,
    /// Those that were not trained, by the reason.
    pub refused: Vec<(String, usize)>,
}

/// A formula that was trained.
#[derive(Debug, Clone, PartialEq)]
pub struct Formula {
    /// Label of its runs.
    pub name: String,
    /// Its text.
    pub formula: String,
    /// Operations, in additions.
    pub cost: u32,
    /// Generation that proposed it; the first is 0.
    pub generation: usize,
    /// How it came to be, in words: `start: NAME` of one that the search began with.
    pub origin: String,
    /// The registered activation that is the same function.
    pub same_as: Option<String>,
    /// Part of the budget after which it was compared last.
    pub part: f64,
    /// By task: the primary metric on validation data there, the median over seeds; nothing where most runs diverged.
    pub values: Vec<(String, Option<f64>)>,
}

impl Formula {
    fn value(&self, task: &str) -> Option<f64> {
        self.values.iter().find(|(own, _)| own == task).and_then(|(_, value)| *value)
    }

    /// Whether it was trained with the whole budget.
    fn is_whole(&self) -> bool {
        self.part >= 1.0
    }
}

/// A part of the section.
pub(super) enum Part {
    Text(String),
    Heading(&'static str),
    Table(Table),
    List(Vec<String>),
}

/// The section of `report`, without its heading; nothing where there was no search.
pub(super) fn parts(report: &Report) -> Vec<Part> {
    let Some(search) = &report.search else { return Vec::new() };
    let mut parts = vec![
        Part::Text(search.tried()),
        Part::Text(search.judged(report)),
        Part::Heading("Generations"),
        Part::Table(search.by_generation(&report.tasks)),
        Part::Heading("Finalists"),
    ];
    let finalists = search.finalists();
    if finalists.is_empty() {
        parts.push(Part::Text(
            "No formula that the search found came to the end of its budget without diverging: the tables are about the \
             activations of the experiment alone."
                .to_owned(),
        ));
        return parts;
    }
    parts.push(Part::Table(search.table(&finalists, report)));
    let notes = search.notes(&finalists);
    if !notes.is_empty() {
        parts.push(Part::List(notes));
    }
    parts.push(Part::Text(search.which_p(report)));
    parts
}

/// A formula as it can be copied.
fn code(formula: &str) -> String {
    format!("`{}`", formula.replace('`', ""))
}

fn joined<T: ToString>(all: &[T]) -> String {
    all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn count(n: usize, one: &str, many: &str) -> String {
    format!("{}\u{a0}{}", grouped(n as u64), if n == 1 { one } else { many })
}

impl Search {
    fn finalists(&self) -> Vec<&Formula> {
        let find = |name: &String| self.formulas.iter().find(|one| one.name == *name);
        self.finalists.iter().filter_map(find).collect()
    }

    /// Tests that would have been made, had every formula that was trained been tested as a finalist is.
    fn tests(&self, report: &Report) -> usize {
        let tasks = match report.frame.family {
            Family::Report => report.tasks.len(),
            Family::Task => 1,
        };
        self.formulas.len() * tasks
    }

    /// How many formulas were proposed, and what became of them.
    fn tried(&self) -> String {
        let proposed: usize = self.proposed.iter().map(|one| one.proposed).sum();
        let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
        for (reason, times) in self.proposed.iter().flat_map(|one| &one.refused) {
            *reasons.entry(reason).or_default() += times;
        }
        let mut reasons: Vec<(&str, usize)> = reasons.into_iter().collect();
        reasons.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        let refused: usize = reasons.iter().map(|(_, times)| times).sum();
        let reasons: Vec<String> = reasons
            .iter()
            .map(|(reason, times)| format!("{} {}", grouped(*times as u64), escape(reason)))
            .collect();
        let reasons =
            if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join("; ")) };
        format!(
            "The search (seed {}) proposed {}. It refused {} without training{reasons} and trained {} in {} of {}, with {}. \
             {}{} All that were trained are in sweep.json, under `search`, with their scores.",
            self.seed,
            count(proposed, "formula", "formulas"),
            grouped(refused as u64),
            grouped(self.formulas.len() as u64),
            grouped(self.proposed.len() as u64),
            count(self.generations, "generation", "generations"),
            count(self.runs, "run", "runs"),
            self.grammar.words(),
            self.begun(),
        )
    }

    /// What the first generation began with, in a sentence.
    fn begun(&self) -> String {
        let start = |one: &Formula| {
            let name = one.origin.strip_prefix(START)?;
            Some(format!("{} ({})", escape(name), escape(&one.name)))
        };
        let all: Vec<String> = self.formulas.iter().filter_map(start).collect();
        if all.is_empty() {
            return String::new();
        }
        format!(" The first generation began with {}.", all.join(", "))
    }

    /// By what formulas were judged.
    fn judged(&self, report: &Report) -> String {
        let metrics: Vec<String> =
            report.metrics().iter().map(|metric| metric.label.clone()).collect();
        let seeds = match &self.seeds[..] {
            [one] => format!("with seed {one}"),
            many => format!("the median over the seeds {}", joined(many)),
        };
        let several = if report.tasks.len() > 1 { ", by mean rank over tasks" } else { "" };
        let after: Vec<String> =
            self.parts.iter().map(|part| format!("{}\u{a0}%", fixed(part * 100.0, 0))).collect();
        let halving = match &after[..] {
            [] | [_] => "after the whole budget".to_owned(),
            [first @ .., _] => format!(
                "after {} of the budget, where one in {} went on{}, and at its end",
                first.join(" and "),
                self.eta,
                if first.len() > 1 { " each time" } else { "" }
            ),
        };
        format!(
            "Formulas were judged by validation {} ({seeds}){several}, {halving}. Each generation was made of the fittest \
             before it, by this score and by cost: operations of the simplified formula, in additions (NSGA-II, Deb et al. \
             2002). No run of the search read the test split.",
            metrics.join(" or ")
        )
    }

    fn by_generation(&self, tasks: &[Task]) -> Table {
        let generations = 0..self.proposed.len();
        let own = |generation: usize| {
            self.formulas.iter().filter(move |one| one.generation == generation)
        };
        let number = |n: usize| grouped(n as u64);
        let refused = |one: &Generation| one.refused.iter().map(|(_, times)| times).sum::<usize>();
        let column = |name: &str, cell: &dyn Fn(usize) -> String| {
            Column::numbers(name, generations.clone().map(cell).collect())
        };
        let whole = |generation| own(generation).filter(|one| one.is_whole());
        let mut blocks = vec![vec![
            column("proposed", &|g| number(self.proposed[g].proposed)),
            column("refused", &|g| number(refused(&self.proposed[g]))),
            column("trained", &|g| number(own(g).count())),
            column("whole budget", &|g| number(whole(g).count())),
        ]];
        for task in tasks {
            let name = named(&format!("best {}", header::tuned(&task.metric)), task, tasks);
            let best = |g: usize| best(whole(g), task);
            blocks.push(vec![
                column(&name, &|g| {
                    let value = best(g).and_then(|one| one.value(&task.name));
                    value.map_or(ABSENT.into(), |value| task.metric.number(value))
                }),
                Column::words(
                    "by",
                    generations
                        .clone()
                        .map(|g| best(g).map_or(ABSENT.into(), |one| escape(&one.name)))
                        .collect(),
                ),
            ]);
        }
        Table {
            key: Column::numbers(
                "generation",
                generations.clone().map(|g| (g + 1).to_string()).collect(),
            ),
            blocks,
        }
    }

    fn table(&self, finalists: &[&Formula], report: &Report) -> Table {
        let column = |name: &str, cell: &dyn Fn(&Formula) -> String| {
            Column::numbers(name, finalists.iter().map(|one| cell(one)).collect())
        };
        let tasks = &report.tasks;
        let tests = self.tests(report);
        let formulas = finalists.iter().map(|one| code(&shorten(&one.formula, FORMULA_WIDTH)));
        let mut blocks = vec![
            vec![Column::words("formula", formulas.collect())],
            vec![
                column("cost", &|one| one.cost.to_string()),
                column("generation", &|one| (one.generation + 1).to_string()),
            ],
        ];
        for task in tasks {
            let figure = |get: &dyn Fn(f64, f64) -> f64, one: &Formula| {
                let arm = task.arms.iter().find(|arm| arm.activation == one.name);
                let p = arm.and_then(|arm| {
                    let against = arm.against.as_ref()?;
                    Some(get(against.t_test.as_ref()?.p, against.p_holm?))
                });
                p.map_or(ABSENT.into(), probability)
            };
            let all = format!("p ({})", count(tests, "test", "tests"));
            blocks.push(vec![
                column(&named(&header::tuned(&task.metric), task, tasks), &|one| {
                    value(one, task, &task.metric)
                }),
                column(&named(header::P, task, tasks), &|one| figure(&|_, holm| holm, one)),
                column(&named(&all, task, tasks), &|one| {
                    figure(&|p, holm| (p * tests as f64).min(1.0).max(holm), one)
                }),
            ]);
        }
        let names = finalists.iter().map(|one| escape(&one.name)).collect();
        Table { key: Column::words("finalist", names), blocks }
    }

    /// What a table has no room for.
    fn notes(&self, finalists: &[&Formula]) -> Vec<String> {
        let note = |one: &&Formula| {
            let mut words = Vec::new();
            if width(&one.formula) > FORMULA_WIDTH {
                words.push(code(&one.formula));
            }
            if let Some(name) = &one.same_as {
                words.push(format!(
                    "the same function as the registered activation {}",
                    escape(name)
                ));
            }
            words.push(format!("it came from {}", escape(&one.origin)));
            format!("{}: {}.", escape(&one.name), words.join("; "))
        };
        finalists.iter().map(note).collect()
    }

    /// Which p value to quote, and why.
    fn which_p(&self, report: &Report) -> String {
        let trained = grouped(self.formulas.len() as u64);
        let tests = self.tests(report);
        let product = if tests == self.formulas.len() {
            format!("{trained} formulas")
        } else {
            format!("{trained} formulas on {} tasks", report.tasks.len())
        };
        format!(
            "**Which p to quote:** {}, Holm-adjusted over the comparisons of this report. The finalists were chosen on \
             validation data with the seeds of the search, and the tests above use the test split and other seeds, which \
             the choice has not seen; the formulas that were not chosen therefore need no correction here. The column \
             p ({}) is the conservative figure, for readers who doubt that: p times the {product} that were trained \
             (Bonferroni), as if each had been tested. Both hold for this data set and recipe. The validation scores above are \
             those of winners, and therefore optimistic.",
            header::P,
            count(tests, "test", "tests"),
        )
    }
}

/// A header, with the task's name where there are several.
fn named(header: &str, task: &Task, tasks: &[Task]) -> String {
    match tasks {
        [_] => header.to_owned(),
        _ => format!("{header}, {}", escape(&task.name)),
    }
}

fn value(one: &Formula, task: &Task, metric: &Metric) -> String {
    one.value(&task.name).map_or(ABSENT.into(), |value| metric.number(value))
}

/// The best of `formulas` on `task`; of equal ones the first.
fn best<'a>(formulas: impl Iterator<Item = &'a Formula>, task: &Task) -> Option<&'a Formula> {
    let scored = formulas.filter_map(|one| Some((one.value(&task.name)?, one)));
    let better = |best: (f64, &'a Formula), one: (f64, &'a Formula)| {
        if task.metric.is_better(one.0, best.0) { one } else { best }
    };
    scored.reduce(better).map(|(_, one)| one)
}
