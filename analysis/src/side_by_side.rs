//! Two sweeps beside each other: what changed in the configuration, and what in the results.

use crate::Error;
use crate::comparison::markdown::{equals, probability};
use crate::comparison::{ALPHA, ArmScores, Rules, TaskScores, against_baseline};
use crate::frame::Status;
use crate::report::number::{ABSENT, percent, points};
use crate::report::table::{Column, Table};
use crate::report::text::{escape, wrap};
use crate::statistics::{Bootstrap, Interval, holm};
use record::StoredRun;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// A sweep, as it is shown.
#[derive(Debug, Clone, Copy)]
pub struct Side<'a> {
    /// What to call it.
    pub name: &'a str,
    /// Its finished runs.
    pub runs: &'a [StoredRun],
}

/// Sets two sweeps side by side, as Markdown in lines of at most `columns`: keys of the configuration and of the
/// machine that differ, then every arm that both have, by the tests of the report (`b` minus `a`, runs paired by
/// seed), then arms that one of them lacks.
///
/// # Errors
/// [`Error::NoRuns`] if either has none.
pub fn side_by_side(
    a: Side<'_>,
    b: Side<'_>,
    bootstrap: Bootstrap,
    columns: usize,
) -> Result<String, Error> {
    if a.runs.is_empty() || b.runs.is_empty() {
        return Err(Error::NoRuns);
    }
    let mut parts = vec![format!("# {} and {}\n", escape(a.name), escape(b.name))];
    let cells = Cells::new(a, b, bootstrap);
    parts.push(cells.verdicts(a.name, b.name, columns));
    parts.push("## What changed in the configuration\n".to_owned());
    parts.push(changes(a, b, columns));
    parts.push("## What changed in the results\n".to_owned());
    parts.push(cells.table(a.name, b.name).render(columns));
    parts.push(cells.lonely(a.name, b.name, columns));
    parts.push(wrap(
        &format!(
            "Test accuracy in percent; the difference in points is {} minus {}, of runs under the same seed where \
             two or more pair up (paired t test, exact Wilcoxon test), else of all runs (Welch's t, exact \
             Mann–Whitney). p (Holm) is corrected over all rows; level {ALPHA}.",
            escape(b.name),
            escape(a.name)
        ),
        "",
        columns,
    ));
    parts.retain(|part| !part.is_empty());
    Ok(parts.join("\n"))
}

/// One activation on one task, in both sweeps.
struct Cell {
    task: String,
    activation: String,
    means: (f64, f64),
    counts: (usize, usize),
    difference: f64,
    interval: Option<Interval>,
    p: Option<f64>,
    p_holm: Option<f64>,
    p_ranks: Option<f64>,
}

struct Cells {
    both: Vec<Cell>,
    /// Task and activation of arms that one sweep lacks.
    only: [Vec<(String, String)>; 2],
}

type Scores = BTreeMap<(String, String), Vec<(String, f64)>>;

/// Test accuracies of completed runs by task and activation.
fn scores(runs: &[StoredRun]) -> Scores {
    let mut scores = Scores::new();
    for run in runs {
        let record = &run.record;
        let key = (record.spec.task.clone(), record.spec.activation.label.clone());
        let entry = scores.entry(key).or_default();
        if Status::of(record) == Status::Completed
            && let Some(test) = record.summary.as_ref().and_then(|summary| summary.test)
        {
            entry.push((record.spec.seed.to_string(), test.accuracy));
        }
    }
    scores
}

impl Cells {
    fn new(a: Side<'_>, b: Side<'_>, bootstrap: Bootstrap) -> Self {
        let (of_a, of_b) = (scores(a.runs), scores(b.runs));
        let rules = Rules { baseline: "a".to_owned(), margin: None, bootstrap };
        let mut both = Vec::new();
        for (key, ours) in &of_a {
            let Some(theirs) = of_b.get(key) else { continue };
            let arm = |name: &str, runs: &[(String, f64)]| ArmScores {
                activation: name.to_owned(),
                runs: runs.to_vec(),
            };
            let arms = vec![arm("a", ours), arm("b", theirs)];
            let mean = |arm: &ArmScores| {
                arm.runs.iter().map(|(_, score)| score).sum::<f64>() / arm.runs.len() as f64
            };
            let (means, counts) = ((mean(&arms[0]), mean(&arms[1])), (ours.len(), theirs.len()));
            let task = TaskScores { task: key.0.clone(), arms };
            let against = against_baseline(&task, &rules).pop().flatten();
            let Some((against, difference)) =
                against.and_then(|against| Some((against.clone(), against.difference?)))
            else {
                continue;
            };
            both.push(Cell {
                task: key.0.clone(),
                activation: key.1.clone(),
                means,
                counts,
                difference,
                interval: against.interval,
                p: against.t_test.map(|test| test.p),
                p_holm: None,
                p_ranks: against.rank_test.map(|test| test.p),
            });
        }
        let raw: Vec<f64> = both.iter().filter_map(|cell| cell.p).collect();
        let mut corrected = holm(&raw).into_iter();
        for cell in both.iter_mut().filter(|cell| cell.p.is_some()) {
            cell.p_holm = corrected.next();
        }
        let lacks = |of: &Scores, other: &Scores| {
            of.keys().filter(|key| !other.contains_key(*key)).cloned().collect()
        };
        Self { both, only: [lacks(&of_a, &of_b), lacks(&of_b, &of_a)] }
    }

    fn verdicts(&self, a: &str, b: &str, columns: usize) -> String {
        if self.both.is_empty() {
            return wrap(
                "No activation has completed runs on a task of both sweeps.",
                "- ",
                columns,
            );
        }
        let real = |cell: &&Cell| cell.p_holm.is_some_and(|p| p <= ALPHA);
        let mut lines: Vec<String> = self
            .both
            .iter()
            .filter(real)
            .map(|cell| {
                format!(
                    "**{} on {}: {} is {}**: {}\u{a0}points{}, {}.",
                    escape(&cell.activation),
                    escape(&cell.task),
                    escape(b),
                    if cell.difference > 0.0 { "better" } else { "worse" },
                    points(cell.difference),
                    cell.interval.map_or(String::new(), |interval| format!(
                        " [{},\u{a0}{}]",
                        points(interval.low),
                        points(interval.high)
                    )),
                    equals(cell.p_holm.unwrap_or(1.0)),
                )
            })
            .collect();
        let rest = self.both.len() - lines.len();
        let same = self.both.iter().filter(|cell| cell.difference == 0.0).count();
        if rest > 0 {
            let equal = match same {
                0 => String::new(),
                n => format!("; {n} of them have the very same mean"),
            };
            lines.push(format!(
                "{rest} of {} arms are not told apart between {} and {}{equal}.",
                self.both.len(),
                escape(a),
                escape(b)
            ));
        }
        lines.iter().map(|line| wrap(line, "- ", columns)).collect()
    }

    fn table(&self, a: &str, b: &str) -> Table {
        let column = |header: &str, cell: &dyn Fn(&Cell) -> String| {
            Column::numbers(header, self.both.iter().map(cell).collect())
        };
        let mean = |mean: f64, n: usize| format!("{} ({n})", percent(mean));
        let p = |p: Option<f64>| p.map_or(ABSENT.into(), probability);
        let name = |cell: &Cell| format!("{} {}", escape(&cell.task), escape(&cell.activation));
        Table {
            key: Column::words("task, activation", self.both.iter().map(name).collect()),
            blocks: vec![
                vec![
                    column(&format!("{} (n)", escape(a)), &|cell| {
                        mean(cell.means.0, cell.counts.0)
                    }),
                    column(&format!("{} (n)", escape(b)), &|cell| {
                        mean(cell.means.1, cell.counts.1)
                    }),
                    column("difference", &|cell| points(cell.difference)),
                    column("95 % interval", &|cell| {
                        cell.interval.map_or(ABSENT.into(), |interval| {
                            format!("[{}, {}]", points(interval.low), points(interval.high))
                        })
                    }),
                ],
                vec![
                    column("p (Holm)", &|cell| p(cell.p_holm)),
                    column("p (ranks)", &|cell| p(cell.p_ranks)),
                ],
            ],
        }
    }

    fn lonely(&self, a: &str, b: &str, columns: usize) -> String {
        let line = |name: &str, only: &[(String, String)]| {
            let names: Vec<String> = only
                .iter()
                .map(|(task, activation)| format!("{} on {}", escape(activation), escape(task)))
                .collect();
            wrap(&format!("Only in {}: {}.", escape(name), names.join(", ")), "- ", columns)
        };
        [a, b]
            .iter()
            .zip(&self.only)
            .filter(|(_, only)| !only.is_empty())
            .map(|(name, only)| line(name, only))
            .collect()
    }
}

/// Keys that differ, a line each.
fn changes(a: Side<'_>, b: Side<'_>, columns: usize) -> String {
    let (of_a, of_b) = (settings(a.runs), settings(b.runs));
    let keys: BTreeSet<&String> = of_a.keys().chain(of_b.keys()).collect();
    let words = |values: Option<&BTreeSet<String>>| match values {
        None => ABSENT.to_owned(),
        Some(values) => {
            let values: Vec<String> = values.iter().map(|value| escape(value)).collect();
            values.join(", ")
        }
    };
    let lines: String = keys
        .into_iter()
        .filter(|key| of_a.get(*key) != of_b.get(*key))
        .map(|key| {
            let line =
                format!("{}: {} → {}", escape(key), words(of_a.get(key)), words(of_b.get(key)));
            wrap(&line, "- ", columns)
        })
        .collect();
    if lines.is_empty() { wrap("Nothing.", "- ", columns) } else { lines }
}

/// Every value that a key of the runs' specs has, by task, and that of a few keys of their environments.
fn settings(runs: &[StoredRun]) -> BTreeMap<String, BTreeSet<String>> {
    let mut settings: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for run in runs {
        let record = &run.record;
        let mut add = |key: String, value: String| {
            settings.entry(key).or_default().insert(value);
        };
        let spec = serde_json::to_value(&record.spec).unwrap_or_default();
        let mut leaves = Vec::new();
        flatten("", &spec, &mut leaves);
        for (key, value) in leaves {
            // The factor under study has a table of its own.
            if !key.starts_with("activation.") && key != "task" {
                add(format!("{}.{key}", record.spec.task), value);
            }
        }
        let environment = &record.environment;
        add("machine: actlab".into(), environment.actlab.clone());
        add("machine: rustc".into(), environment.rustc.clone());
        add("machine: cpu".into(), environment.cpu.clone());
        add("machine: device".into(), environment.device.clone());
        add("machine: Cargo.lock".into(), environment.lock_sha256.chars().take(12).collect());
        if let Some(git) = &environment.git {
            let changed = if git.dirty { " with changes" } else { "" };
            let commit: String = git.commit.chars().take(12).collect();
            add("machine: commit".into(), format!("{commit}{changed}"));
        }
        let arm = &record.spec.activation;
        add(format!("formula of {}", arm.label), arm.fingerprint.clone());
    }
    settings
}

fn flatten(prefix: &str, value: &Value, leaves: &mut Vec<(String, String)>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                flatten(&key, value, leaves);
            }
        }
        Value::String(text) => leaves.push((prefix.to_owned(), text.clone())),
        other => leaves.push((prefix.to_owned(), other.to_string())),
    }
}
