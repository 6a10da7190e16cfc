//! How soon an activation is where the baseline ends (Dahl et al. 2023, AlgoPerf).

use super::Measured;
use super::labels::Labels;
use crate::frame::Status;
use crate::metric::{self, Shown};
use crate::render::number::{ABSENT, fixed};
use crate::render::table::{Column, Table};
use crate::render::text::{escape, unescape};
use crate::statistics::time_to_target_score;
use crate::summary::Arm;
use record::{Direction, Evaluation, Metric};
use std::collections::HashMap;

/// Steps to the baseline's validation value over all tasks that have it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ToBaseline {
    pub(super) baseline: String,
    /// Tasks, what they are judged by, and the validation value to reach on them.
    tasks: Vec<(String, Metric, f64)>,
    arms: Vec<ArmTimes>,
}

#[derive(Debug, Clone, PartialEq)]
struct ArmTimes {
    activation: String,
    /// Steps on each task.
    steps: Vec<f64>,
    /// 1 for the fastest on every task.
    score: f64,
}

/// Finds the steps of every arm, and keeps them there; the score of the arms that have runs on every task.
/// `metrics` are those of the tasks in the order of `arms`.
pub(super) fn find(
    arms: &mut [Arm],
    runs: &[Measured<'_>],
    metrics: &[Metric],
    baseline: &str,
) -> Option<ToBaseline> {
    let mut tasks = Vec::new();
    let mut of_arms: HashMap<(&str, &str), Vec<&Measured<'_>>> = HashMap::new();
    for one in runs {
        let spec = &one.run.record.spec;
        of_arms.entry((&spec.task, &spec.activation.label)).or_default().push(one);
    }
    for (arms, metric) in arms.chunk_by_mut(|a, b| a.task == b.task).zip(metrics) {
        let name = arms[0].task.clone();
        let baseline = of_arms.get(&(name.as_str(), baseline)).map(Vec::as_slice);
        let Some(target) = target(baseline.unwrap_or_default(), metric) else { continue };
        for arm in arms.iter_mut() {
            let own = of_arms.get(&(name.as_str(), arm.activation.as_str())).map(Vec::as_slice);
            arm.steps_to_baseline = steps(own.unwrap_or_default(), metric, target);
        }
        tasks.push((name, metric::in_markdown(metric), target));
    }
    let mut labels: Vec<&str> = Vec::new();
    for arm in arms.iter() {
        if !labels.contains(&arm.activation.as_str()) {
            labels.push(&arm.activation);
        }
    }
    let times = |label: &str| -> Option<Vec<f64>> {
        let on = |(task, ..): &(String, Metric, f64)| {
            let same = |arm: &&Arm| arm.task == *task && arm.activation == label;
            arms.iter().find(same)?.steps_to_baseline
        };
        tasks.iter().map(on).collect()
    };
    let found: Vec<(&str, Vec<f64>)> =
        labels.into_iter().filter_map(|label| Some((label, times(label)?))).collect();
    if tasks.is_empty() || found.len() < 2 {
        return None;
    }
    let by_task: Vec<Vec<Option<f64>>> = (0..tasks.len())
        .map(|task| found.iter().map(|(_, steps)| Some(steps[task])).collect())
        .collect();
    let scores = time_to_target_score(&by_task);
    let arms = found
        .into_iter()
        .zip(scores)
        .map(|((label, steps), score)| ArmTimes { activation: label.to_owned(), steps, score })
        .collect();
    Some(ToBaseline { baseline: baseline.to_owned(), tasks, arms })
}

/// The median over the baseline's completed runs of their best validation value; the worse one of two in the middle, so
/// that most runs of the baseline reach it.
fn target(baseline: &[&Measured<'_>], metric: &Metric) -> Option<f64> {
    let completed = baseline.iter().filter(|one| Status::of(&one.run.record) == Status::Completed);
    let best = |one: &&Measured<'_>| {
        let values = one.timeline.validations.iter().map(|evaluation| evaluation.value(metric));
        metric.best(values.filter(|value| value.is_finite()))
    };
    worse_median(completed.filter_map(best).collect(), metric)
}

fn worse_median(mut values: Vec<f64>, metric: &Metric) -> Option<f64> {
    values.sort_by(|a, b| metric.merit(*a).total_cmp(&metric.merit(*b)));
    values.get(values.len().checked_sub(1)? / 2).copied()
}

/// The median over runs of the first evaluated step that reaches `target`. A run that diverged never does, and
/// one that failed says nothing.
fn steps(runs: &[&Measured<'_>], metric: &Metric, target: f64) -> Option<f64> {
    let mut steps: Vec<f64> = runs
        .iter()
        .filter_map(|one| match Status::of(&one.run.record) {
            Status::Failed => None,
            Status::Diverged => Some(f64::INFINITY),
            // Without a curve there is nothing to say.
            Status::Completed if one.timeline.validations.is_empty() => None,
            Status::Completed => {
                let reached = |one: &&Evaluation| metric.reaches(one.value(metric), target);
                let first = one.timeline.validations.iter().find(reached);
                Some(first.map_or(f64::INFINITY, |evaluation| evaluation.step as f64))
            }
        })
        .collect();
    steps.sort_by(f64::total_cmp);
    let middle = steps.len() / 2;
    match steps.len() {
        0 => None,
        n if n % 2 == 1 => Some(steps[middle]),
        _ => Some(f64::midpoint(steps[middle - 1], steps[middle])),
    }
}

impl ToBaseline {
    /// The steps on each task, and the score.
    pub(super) fn table(&self, labels: &Labels) -> Table {
        let key = self.arms.iter().map(|arm| labels.cell(&arm.activation)).collect();
        let steps = |(task, (name, metric, target)): (usize, &(String, Metric, f64))| {
            let cell = |arm: &ArmTimes| match arm.steps[task] {
                steps if steps.is_finite() => fixed(steps, usize::from(steps.fract() != 0.0)),
                _ => ABSENT.to_owned(),
            };
            let header = format!("{}, {}", escape(name), metric.quantity(*target));
            vec![Column::numbers(&header, self.arms.iter().map(cell).collect())]
        };
        let score = self.arms.iter().map(|arm| fixed(arm.score, 3)).collect();
        let blocks = self.tasks.iter().enumerate().map(steps);
        Table {
            key: Column::words("activation", key),
            blocks: blocks.chain([vec![Column::numbers("score", score)]]).collect(),
        }
    }

    /// What the tasks are judged by, each metric once.
    fn metrics(&self) -> Vec<&Metric> {
        metric::distinct(self.tasks.iter().map(|(_, metric, _)| metric))
    }

    /// Heading of the table, not escaped.
    pub(super) fn heading(&self) -> String {
        let labels = metric::alternatives(&self.metrics(), |metric| unescape(&metric.label));
        format!("Time to the baseline's {}", labels.join(" or "))
    }

    /// What the table shows.
    pub(super) fn note(&self) -> String {
        let metrics = self.metrics();
        let labels = metric::alternatives(&metrics, |metric| metric.label.clone());
        let medians = metric::alternatives(&metrics, |metric| match metric.direction {
            Direction::Higher => "lower".to_owned(),
            Direction::Lower => "upper".to_owned(),
        });
        format!(
            "Steps to the validation {} that most runs of {} reach (the {} median of their best), as the median over \
             runs; {ABSENT}: half of the runs or more never do. The target is set by the runs of {}: it \
             always reaches it, and an activation that is as good misses it about half of the time. Score: the share of tasks on which an activation takes at most τ times \
             the steps of the fastest, averaged over τ from 1 to 4; 1 is the fastest everywhere.",
            labels.join(" or "),
            escape(&self.baseline),
            medians.join(" or "),
            escape(&self.baseline)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::worse_median;
    use crate::metric::tests::bits_per_byte;
    use record::Metric;

    #[test]
    fn most_runs_reach_their_worse_median() {
        let lower_median = |values| worse_median(values, &Metric::accuracy(None));
        assert_eq!(lower_median(vec![]), None);
        assert_eq!(lower_median(vec![0.8, 0.7]), Some(0.7));
        assert_eq!(lower_median(vec![0.9, 0.7, 0.8]), Some(0.8));
        assert_eq!(lower_median(vec![0.9, 0.7, 0.8, 0.6]), Some(0.7));
        assert_eq!(worse_median(vec![2.1, 2.3, 2.2, 2.0], &bits_per_byte()), Some(2.2));
    }
}
