//! Two sweeps beside each other: what changed in the configuration, and what in the results.

use crate::Error;
use crate::comparison::{ALPHA, ArmScores, Family, Rules, TaskScores, Verdict, against_baseline};
use crate::frame::score;
use crate::metric::{self, Shown};
use crate::render::number::ABSENT;
use crate::render::number::{equals, probability};
use crate::render::table::{Column, Table};
use crate::render::text::{escape, wrap};
use crate::statistics::{Bootstrap, Interval, Resolution, mean};
use record::{Direction, Metric, RunSpec, StoredRun};
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
/// [`Error::NoRuns`] if either has none; [`Error::Metrics`] if runs of one task of a sweep are judged by different
/// metrics.
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
    let cells = Cells::new(a, b, bootstrap)?;
    parts.push(cells.verdicts(a.name, b.name, columns));
    parts.push("## What changed in the configuration\n".to_owned());
    parts.push(changes(a, b, columns));
    parts.push("## What changed in the results\n".to_owned());
    parts.push(cells.table(a.name, b.name).render(columns));
    parts.push(cells.lonely(a.name, b.name, columns));
    parts.push(wrap(&cells.legend(a.name, b.name), "", columns));
    parts.retain(|part| !part.is_empty());
    Ok(parts.join("\n"))
}

/// One activation on one task, in both sweeps.
struct Cell {
    task: String,
    activation: String,
    metric: Metric,
    means: (f64, f64),
    counts: (usize, usize),
    /// Runs that diverged or failed, of how many, in each sweep.
    lost: [(usize, usize); 2],
    /// Seeds that are compared; none where all runs of both are.
    pairs: Option<usize>,
    difference: f64,
    interval: Option<Interval>,
    verdict: Verdict,
    p_holm: Option<f64>,
    p_ranks: Option<f64>,
}

impl Cell {
    /// That runs of either sweep have no score, in words that continue a sentence; empty where all have one.
    fn without_a_score(&self, names: [&str; 2]) -> String {
        let of_sides = self.lost.iter().zip(names).filter(|((lost, _), _)| *lost > 0);
        let words: Vec<String> = of_sides
            .map(|((lost, all), name)| format!("{lost} of {all} in {}", escape(name)))
            .collect();
        match words.is_empty() {
            true => String::new(),
            false => format!(" (diverged or failed: {})", words.join(", ")),
        }
    }
}

struct Cells {
    both: Vec<Cell>,
    /// Task and activation of arms that both have, one of them without a score.
    without_scores: Vec<(String, String)>,
    /// Task and activation of arms that one sweep lacks.
    only: [Vec<(String, String)>; 2],
    /// Tasks that the sweeps judge by different metrics, and the names of both.
    unlike: Vec<(String, [String; 2])>,
    /// What the arms of both are judged by; where there are none, what the tasks are.
    metrics: Vec<Metric>,
}

type Scores = BTreeMap<(String, String), Vec<(String, f64)>>;

/// What every task is judged by.
fn metrics(runs: &[StoredRun]) -> Result<BTreeMap<String, Metric>, Error> {
    let mut of_tasks: BTreeMap<String, Vec<&StoredRun>> = BTreeMap::new();
    for run in runs {
        of_tasks.entry(run.record.spec.task.clone()).or_default().push(run);
    }
    of_tasks.into_iter().map(|(task, runs)| Ok((task, metric::of_task(&runs)?))).collect()
}

/// Test values of completed runs by task and activation.
fn scores(runs: &[StoredRun]) -> Scores {
    let mut scores = Scores::new();
    for run in runs {
        let record = &run.record;
        let key = (record.spec.task.clone(), record.spec.activation.label.clone());
        let entry = scores.entry(key).or_default();
        entry.extend(score(record).map(|score| (record.spec.seed.to_string(), score)));
    }
    scores
}

/// Runs without a score, and all runs, by task and activation.
fn lost(runs: &[StoredRun]) -> BTreeMap<(String, String), (usize, usize)> {
    let mut lost: BTreeMap<(String, String), (usize, usize)> = BTreeMap::new();
    for run in runs {
        let record = &run.record;
        let key = (record.spec.task.clone(), record.spec.activation.label.clone());
        let (without, all) = lost.entry(key).or_default();
        *without += usize::from(score(record).is_none());
        *all += 1;
    }
    lost
}

impl Cells {
    fn new(a: Side<'_>, b: Side<'_>, bootstrap: Bootstrap) -> Result<Self, Error> {
        let (of_a, of_b) = (scores(a.runs), scores(b.runs));
        let (lost_a, lost_b) = (lost(a.runs), lost(b.runs));
        let (metrics_a, metrics_b) = (metrics(a.runs)?, metrics(b.runs)?);
        let unlike: Vec<(String, [String; 2])> = metrics_a
            .iter()
            .filter_map(|(task, ours)| Some((task, ours, metrics_b.get(task)?)))
            .filter(|(_, ours, theirs)| !metric::same(ours, theirs))
            .map(|(task, ours, theirs)| {
                (task.clone(), [ours, theirs].map(|metric| metric.label.clone()))
            })
            .collect();
        let alike = |task: &String| !unlike.iter().any(|(other, _)| other == task);
        let rules = Rules {
            baseline: "a".to_owned(),
            margin: None,
            bootstrap,
            family: Family::Report,
            all_pairs: None,
            looks: None,
        };
        let shared: Vec<_> = of_a
            .iter()
            .filter(|((task, _), _)| alike(task))
            .filter_map(|(key, ours)| Some((key, ours, of_b.get(key)?, metrics_a.get(&key.0)?)))
            .collect();
        let arm =
            |name: &str, runs: &[(String, f64)]| ArmScores::new(name.to_owned(), runs.to_vec());
        let tasks: Vec<TaskScores> = shared
            .iter()
            .map(|((task, _), ours, theirs, metric)| TaskScores {
                task: task.clone(),
                arms: vec![arm("a", ours), arm("b", theirs)],
                guessing: None,
                resolution: Resolution::Rounding,
                metric: Some((*metric).clone()),
            })
            .collect();
        let compared = against_baseline(&tasks, &rules);
        let values =
            |runs: &[(String, f64)]| runs.iter().map(|(_, score)| *score).collect::<Vec<_>>();
        let both = shared.iter().zip(compared).filter_map(
            |((key @ (task, activation), ours, theirs, metric), arms)| {
                let of = |lost: &BTreeMap<_, _>| lost.get(*key).copied().unwrap_or_default();
                let against = arms.into_iter().flatten().next()?;
                Some(Cell {
                    task: task.clone(),
                    activation: activation.clone(),
                    metric: metric::in_markdown(metric),
                    means: (mean(&values(ours))?, mean(&values(theirs))?),
                    counts: (ours.len(), theirs.len()),
                    lost: [of(&lost_a), of(&lost_b)],
                    pairs: against.paired.then_some(against.pairs),
                    difference: against.difference?,
                    verdict: against.verdict,
                    interval: against.interval,
                    p_holm: against.p_holm,
                    p_ranks: against.rank_test.map(|test| test.p),
                })
            },
        );
        let both: Vec<Cell> = both.collect();
        let of_tasks = metrics_a.values().chain(metrics_b.values());
        let of_cells = both.iter().map(|cell| &cell.metric);
        let metrics = match &both[..] {
            [] => metric::distinct(of_tasks).into_iter().map(metric::in_markdown).collect(),
            _ => metric::distinct(of_cells).into_iter().cloned().collect(),
        };
        let lacks = |of: &Scores, other: &Scores| {
            of.keys().filter(|key| !other.contains_key(*key)).cloned().collect()
        };
        let unscored = |(_, ours, theirs, _): &&(&(String, String), &Vec<_>, &Vec<_>, &Metric)| {
            ours.is_empty() || theirs.is_empty()
        };
        let without_scores = shared.iter().filter(unscored).map(|(key, ..)| (*key).clone());
        Ok(Self {
            without_scores: without_scores.collect(),
            both,
            only: [lacks(&of_a, &of_b), lacks(&of_b, &of_a)],
            unlike,
            metrics,
        })
    }

    /// What the table shows.
    fn legend(&self, a: &str, b: &str) -> String {
        let metrics: Vec<&Metric> = self.metrics.iter().collect();
        let values = metric::alternatives(&metrics, |metric| match metric.unit.as_str() {
            "%" => format!("{} in percent", metric.label),
            _ => metric.named_with_unit(),
        });
        let differences =
            metric::alternatives(&metrics, |metric| format!(" in {}", metric.difference_unit()));
        let lower: Vec<String> = metrics
            .iter()
            .filter(|metric| metric.direction == Direction::Lower)
            .map(|metric| metric.label.clone())
            .collect();
        let lower = match &lower[..] {
            [] => String::new(),
            labels if labels.len() == metrics.len() => " (lower is better)".to_owned(),
            labels => format!(" (of {} lower is better)", labels.join(" and ")),
        };
        format!(
            "Test {}{lower}; the difference{} is {} minus {}, of runs under the same seed where two or more pair up \
             (paired t test, exact Wilcoxon test), else of all runs (Welch's t, exact Mann–Whitney). p (Holm) is \
             corrected over all rows; level {ALPHA}.",
            values.join(" or "),
            match &differences[..] {
                [unit] if unit != " in " => unit,
                _ => "",
            },
            escape(b),
            escape(a)
        )
    }

    fn verdicts(&self, a: &str, b: &str, columns: usize) -> String {
        if self.both.is_empty() {
            return wrap(
                "No activation has completed runs on a task of both sweeps.",
                "- ",
                columns,
            );
        }
        let real = |cell: &&Cell| matches!(cell.verdict, Verdict::Better | Verdict::Worse);
        let mut lines: Vec<String> = self
            .both
            .iter()
            .filter(real)
            .map(|cell| {
                format!(
                    "**{} on {}: {} is {}**: {}{}, {}{}.",
                    escape(&cell.activation),
                    escape(&cell.task),
                    escape(b),
                    cell.verdict.name(),
                    cell.metric.with_difference_unit(&cell.metric.difference(cell.difference)),
                    cell.interval.map_or(String::new(), |interval| format!(
                        " [{},\u{a0}{}]",
                        cell.metric.difference(interval.low),
                        cell.metric.difference(interval.high)
                    )),
                    equals(cell.p_holm.unwrap_or(1.0)),
                    cell.without_a_score([a, b]),
                )
            })
            .collect();
        let names = |cells: &[&Cell]| {
            let name = |cell: &&Cell| {
                let lost = cell.without_a_score([a, b]);
                (cell.task.clone(), format!("{}{lost}", escape(&cell.activation)))
            };
            by_task(cells.iter().map(name))
        };
        let with = |verdicts: &[Verdict]| -> Vec<&Cell> {
            self.both.iter().filter(|cell| verdicts.contains(&cell.verdict)).collect()
        };
        let identical = with(&[Verdict::Identical]);
        let (shared, unpaired): (Vec<&Cell>, Vec<&Cell>) =
            identical.into_iter().partition(|cell| cell.pairs.is_some());
        if !shared.is_empty() {
            lines.push(format!("Identical under every shared seed: {}.", names(&shared)));
        }
        if !unpaired.is_empty() {
            lines.push(format!(
                "The same score in all runs of both, which share fewer than two seeds: {}.",
                names(&unpaired)
            ));
        }
        for cell in with(&[Verdict::Constant]) {
            lines.push(format!(
                "{} on {}: {} differs by exactly {} {}: there is no spread to test it by{}.",
                escape(&cell.activation),
                escape(&cell.task),
                escape(b),
                cell.metric.with_difference_unit(&cell.metric.difference(cell.difference)),
                match cell.pairs {
                    Some(pairs) => format!("under each of {pairs} shared seeds"),
                    None => "between all runs".to_owned(),
                },
                cell.without_a_score([a, b]),
            ));
        }
        let untested = with(&[Verdict::TooFew, Verdict::NoScores]);
        if !untested.is_empty() {
            lines.push(format!("Not tested, since there are too few runs: {}.", names(&untested)));
        }
        if !self.without_scores.is_empty() {
            lines.push(format!(
                "Not compared, since one of the two has no completed run: {}.",
                of_pairs(&self.without_scores)
            ));
        }
        let rest = with(&[Verdict::Undecided, Verdict::Equivalent]);
        if !rest.is_empty() {
            lines.push(format!(
                "No significant difference between {} and {}: {}.",
                escape(a),
                escape(b),
                names(&rest)
            ));
        }
        lines.iter().map(|line| wrap(line, "- ", columns)).collect()
    }

    fn table(&self, a: &str, b: &str) -> Table {
        let column = |header: &str, cell: &dyn Fn(&Cell) -> String| {
            Column::numbers(header, self.both.iter().map(cell).collect())
        };
        let mean = |cell: &Cell, mean: f64, n: usize| format!("{} ({n})", cell.metric.number(mean));
        let p = |p: Option<f64>| p.map_or(ABSENT.into(), probability);
        let name = |cell: &Cell| format!("{} {}", escape(&cell.task), escape(&cell.activation));
        Table {
            key: Column::words("task, activation", self.both.iter().map(name).collect()),
            blocks: vec![
                vec![
                    column(&format!("{} (n)", escape(a)), &|cell| {
                        mean(cell, cell.means.0, cell.counts.0)
                    }),
                    column(&format!("{} (n)", escape(b)), &|cell| {
                        mean(cell, cell.means.1, cell.counts.1)
                    }),
                ],
                vec![
                    column("difference", &|cell| cell.metric.difference(cell.difference)),
                    column("interval", &|cell| {
                        cell.interval.map_or(ABSENT.into(), |interval| {
                            format!(
                                "[{}, {}]",
                                cell.metric.difference(interval.low),
                                cell.metric.difference(interval.high)
                            )
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
            wrap(&format!("Only in {}: {}.", escape(name), of_pairs(only)), "- ", columns)
        };
        let unlike = self.unlike.iter().map(|(task, [ours, theirs])| {
            let text = format!(
                "{} is judged by {} in {} and by {} in {}: not compared.",
                escape(task),
                escape(ours),
                escape(a),
                escape(theirs),
                escape(b)
            );
            wrap(&text, "- ", columns)
        });
        let unlike: String = unlike.collect();
        let lonely = [a, b]
            .into_iter()
            .zip(&self.only)
            .filter(|(_, only)| !only.is_empty())
            .map(|(name, only)| line(name, only));
        lonely.chain([unlike]).collect()
    }
}

/// Names that belong to tasks, as in `gelu, relu on images; gelu on texts`. Those of one task follow each other.
fn by_task(names: impl Iterator<Item = (String, String)>) -> String {
    let names: Vec<(String, String)> = names.collect();
    let of_task = |group: &[(String, String)]| {
        let names: Vec<&str> = group.iter().map(|(_, name)| name.as_str()).collect();
        format!("{} on {}", names.join(", "), escape(&group[0].0))
    };
    names.chunk_by(|(a, _), (b, _)| a == b).map(of_task).collect::<Vec<_>>().join("; ")
}

/// The same of tasks and activations.
fn of_pairs(pairs: &[(String, String)]) -> String {
    by_task(pairs.iter().map(|(task, activation)| (task.clone(), escape(activation))))
}

/// Keys that differ, a line each, but for those of tasks and activations that one side does not have.
fn changes(a: Side<'_>, b: Side<'_>, columns: usize) -> String {
    let of = |runs: &[StoredRun], name: fn(&RunSpec) -> &str| -> BTreeSet<String> {
        runs.iter().map(|run| name(&run.record.spec).to_owned()).collect()
    };
    let both = |name: fn(&RunSpec) -> &str| {
        of(a.runs, name).intersection(&of(b.runs, name)).cloned().collect()
    };
    let tasks: BTreeSet<String> = both(|spec| &spec.task);
    let labels: BTreeSet<String> = both(|spec| &spec.activation.label);
    let (of_a, of_b) = (settings(a.runs, &tasks, &labels), settings(b.runs, &tasks, &labels));
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

/// Every value that a key of the runs' specs has, for each of `tasks`, that of a few keys of their environments, and the
/// formula of each of `labels`.
fn settings(
    runs: &[StoredRun],
    tasks: &BTreeSet<String>,
    labels: &BTreeSet<String>,
) -> BTreeMap<String, BTreeSet<String>> {
    let mut settings: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for run in runs {
        let record = &run.record;
        let mut add = |key: String, value: String| {
            settings.entry(key).or_default().insert(value);
        };
        let mut leaves = Vec::new();
        if tasks.contains(&record.spec.task) && labels.contains(&record.spec.activation.label) {
            let spec = serde_json::to_value(&record.spec).unwrap_or_default();
            flatten("", &spec, &mut leaves);
        }
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
        if labels.contains(&arm.label) {
            add(format!("formula of {}", arm.label), arm.fingerprint.clone());
        }
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
