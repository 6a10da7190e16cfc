//! What tuning chose, and from what.

use super::columns::header;
use super::labels::Labels;
use crate::metric::Shown;
use crate::render::number::ABSENT;
use crate::render::table::{Column, Table};
use crate::render::text::escape;
use record::Metric;
use serde_json::Value;

/// Distinct values from which on one can lie at their edge.
const ENOUGH_FOR_AN_EDGE: usize = 3;

/// How the recipes of a sweep were tuned, and what came out.
#[derive(Debug, Clone, PartialEq)]
pub struct Tuning {
    /// How values were found, in words, as in `grid search`.
    pub method: String,
    /// Seeds of the trials.
    pub seeds: Vec<u64>,
    /// Whether trials were ended before their budget was used.
    pub early_stop: bool,
    /// By task: the keys that were tuned, and whether on a logarithmic scale.
    pub parameters: Vec<(String, Vec<(String, bool)>)>,
    /// Every trial of every activation on every task.
    pub trials: Vec<Trial>,
}

/// Values that were tried for an activation on a task.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// Name of the task.
    pub task: String,
    /// Label of the activation.
    pub activation: String,
    /// Keys and their values.
    pub values: Vec<(String, Value)>,
    /// Best validation value of the task's metric, the median over seeds; a run that diverged counts as the worst that
    /// the metric has (0 of an accuracy, infinity of a loss). Nothing where a run is missing.
    pub value: Option<f64>,
    /// Runs that diverged.
    pub diverged: usize,
    /// Steps after which the trial ended.
    pub steps: Option<u64>,
    /// Whether the runs that are reported have these values.
    pub chosen: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Edge {
    Low,
    High,
}

impl Trial {
    /// The value of `key`, if it is a number.
    pub(super) fn number(&self, key: &str) -> Option<f64> {
        self.setting(key)?.as_f64()
    }

    fn setting(&self, key: &str) -> Option<&Value> {
        self.values.iter().find(|(own, _)| own == key).map(|(_, value)| value)
    }
}

impl Tuning {
    /// Keys that were tuned on `task`, and whether on a logarithmic scale.
    pub(super) fn parameters_of(&self, task: &str) -> &[(String, bool)] {
        self.parameters.iter().find(|(own, _)| own == task).map_or(&[], |(_, keys)| keys)
    }

    /// The trials of an activation on a task.
    pub(super) fn trials_of(&self, task: &str, activation: &str) -> Vec<&Trial> {
        let own = |trial: &&Trial| trial.task == task && trial.activation == activation;
        self.trials.iter().filter(own).collect()
    }

    fn activations(&self, task: &str) -> Vec<&str> {
        let mut labels: Vec<&str> = Vec::new();
        for trial in self.trials.iter().filter(|trial| trial.task == task) {
            if !labels.contains(&trial.activation.as_str()) {
                labels.push(&trial.activation);
            }
        }
        labels
    }

    /// What was done on `task`, in a sentence or two.
    pub(super) fn note(&self, task: &str, metric: &Metric) -> String {
        let seeds: Vec<String> = self.seeds.iter().map(u64::to_string).collect();
        let trials = self.trials.iter().filter(|trial| trial.task == task).count();
        let arms = self.activations(task).len().max(1);
        let many = if seeds.len() == 1 { "with seed" } else { "the median over seeds" };
        format!(
            "Each activation has the best of {} trials of its own ({}{}), by validation {}, {many} {}; the \
             runs that are reported have other seeds.",
            trials / arms,
            self.method,
            if self.early_stop { ", the worse ones ended early" } else { "" },
            metric.label,
            seeds.join(", ")
        )
    }

    /// A warning for each key whose best value lies at the edge of what was tried.
    pub(super) fn warnings(&self, task: &str) -> Vec<String> {
        let mut warnings = Vec::new();
        for (key, _) in self.parameters_of(task) {
            for (edge, word) in [(Edge::Low, "smallest"), (Edge::High, "largest")] {
                let at_it: Vec<&str> = self
                    .activations(task)
                    .into_iter()
                    .filter(|label| self.edge(task, label, key) == Some(edge))
                    .collect();
                if at_it.is_empty() {
                    continue;
                }
                let labels: Vec<String> = at_it.iter().map(|label| escape(label)).collect();
                warnings.push(format!(
                    "The best {} of {} is the {word} one that was tried: a range that goes further may hold a better one.",
                    escape(short(key)),
                    labels.join(", ")
                ));
            }
        }
        warnings
    }

    /// The edge of what was tried at which the chosen value of `key` lies.
    fn edge(&self, task: &str, activation: &str, key: &str) -> Option<Edge> {
        let trials = self.trials_of(task, activation);
        let mut tried: Vec<f64> = trials.iter().filter_map(|trial| trial.number(key)).collect();
        tried.sort_by(f64::total_cmp);
        tried.dedup();
        let best = trials.iter().find(|trial| trial.chosen)?.number(key)?;
        if tried.len() < ENOUGH_FOR_AN_EDGE {
            None
        } else if best <= tried[0] {
            Some(Edge::Low)
        } else if best >= tried[tried.len() - 1] {
            Some(Edge::High)
        } else {
            None
        }
    }

    /// The values that were chosen on `task`; nothing where nothing was tuned.
    pub(super) fn table(&self, task: &str, metric: &Metric, labels: &Labels) -> Option<Table> {
        let activations = self.activations(task);
        if activations.is_empty() {
            return None;
        }
        let column = |name: &str, cell: &dyn Fn(&[&Trial], Option<&Trial>) -> String| {
            let cells = activations.iter().map(|label| {
                let trials = self.trials_of(task, label);
                let chosen = trials.iter().copied().find(|trial| trial.chosen);
                cell(&trials, chosen)
            });
            Column::numbers(name, cells.collect())
        };
        let values = self.parameters_of(task).iter().map(|(key, _)| {
            column(&escape(short(key)), &|_, chosen| {
                let value = chosen.and_then(|trial| trial.setting(key));
                value.map_or(ABSENT.into(), |value| match value {
                    Value::String(text) => escape(text),
                    other => escape(&other.to_string()),
                })
            })
        });
        let result = vec![
            column(&header::tuned(metric), &|_, chosen| {
                let value = chosen.and_then(|trial| trial.value);
                value.map_or(ABSENT.into(), |value| metric.number(value))
            }),
            column(header::SPREAD, &|trials, _| {
                let known = || trials.iter().filter_map(|trial| trial.value);
                let worst = known().reduce(|a, b| if metric.is_better(a, b) { b } else { a });
                worst.zip(metric.best(known())).map_or(ABSENT.into(), |(worst, best)| {
                    format!("{}–{}", metric.number(worst), metric.number(best))
                })
            }),
            column(header::DIVERGED, &|trials, _| {
                trials.iter().map(|trial| trial.diverged).sum::<usize>().to_string()
            }),
        ];
        let key = Column::words(
            "activation",
            activations.iter().map(|label| labels.cell(label)).collect(),
        );
        Some(Table { key, blocks: vec![values.collect(), result] })
    }
}

/// The last part of a key, which is what people call it.
pub(super) fn short(key: &str) -> &str {
    key.rsplit('.').next().unwrap_or(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::tests::bits_per_byte;
    use serde_json::json;

    fn tuning(best: f64) -> Tuning {
        let trial = |rate: f64| Trial {
            task: "images".into(),
            activation: "relu".into(),
            values: vec![("training.learning_rate".into(), json!(rate))],
            value: Some(0.5),
            diverged: 0,
            steps: None,
            chosen: (rate - best).abs() < 1e-12,
        };
        Tuning {
            method: "grid search".into(),
            seeds: vec![8, 9],
            early_stop: false,
            parameters: vec![("images".into(), vec![("training.learning_rate".into(), true)])],
            trials: [0.1, 0.2, 0.4].map(trial).to_vec(),
        }
    }

    #[test]
    fn a_best_value_at_the_edge_is_warned_of() {
        assert_eq!(tuning(0.2).warnings("images"), Vec::<String>::new());
        assert_eq!(
            tuning(0.4).warnings("images"),
            [
                "The best learning_rate of relu is the largest one that was tried: a range that goes further may hold a better one."
            ]
        );
        assert!(tuning(0.1).warnings("images")[0].contains("smallest"));
        assert_eq!(tuning(0.1).warnings("other"), Vec::<String>::new());
    }

    /// Of a loss the worst trial is the highest.
    #[test]
    fn the_spread_goes_from_the_worst_trial_to_the_best() {
        let labels = Labels::new(["relu"].into_iter(), 120);
        let spread = |metric: &Metric, values: [f64; 3]| {
            let mut tuning = tuning(0.2);
            for (trial, value) in tuning.trials.iter_mut().zip(values) {
                trial.value = Some(value);
            }
            let text = tuning.table("images", metric, &labels).unwrap().render(120);
            let row = text.lines().last().unwrap();
            row.split('|').map(str::trim).nth(4).unwrap().to_owned()
        };
        assert_eq!(spread(&bits_per_byte(), [2.5, 2.1, f64::INFINITY]), "∞–2.1000");
        assert_eq!(spread(&Metric::accuracy(None), [0.75, 0.5, 0.0]), "0.00–75.00");
    }

    #[test]
    fn the_note_counts_trials_of_each_activation() {
        assert!(
            tuning(0.2)
                .note("images", &Metric::accuracy(None))
                .contains("the best of 3 trials of its own (grid search), by validation accuracy")
        );
    }
}
