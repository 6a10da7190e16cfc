//! Tasks that differ in the precision of their products alone: what an activation loses by it, and what it costs.

use super::labels::Labels;
use super::scores::resolution;
use crate::frame::Status;
use crate::metric::{Shown, in_markdown, test_value};
use crate::render::number::{ABSENT, bracket, fixed};
use crate::render::table::{Column, Table};
use crate::statistics::{LEVEL, Resolution, mean, standard_deviation, t_interval};
use record::{Metric, Precision, StoredRun, TrainingSpec};
use std::collections::BTreeMap;

/// One task in several precisions.
#[derive(Debug, Clone)]
pub(super) struct Precisions {
    /// Name of the task in the first of them.
    pub(super) task: String,
    metric: Metric,
    /// What two scores must differ by to differ at all.
    resolution: Resolution,
    /// The baseline of times.
    baseline: String,
    /// In the order of their size, f32 first.
    precisions: Vec<Precision>,
    arms: Vec<Arm>,
    /// Whether the CPU trained, which emulates all but f32.
    emulated: bool,
}

/// One activation, in each precision.
#[derive(Debug, Clone)]
struct Arm {
    activation: String,
    cells: Vec<Cell>,
}

/// Runs of one activation in one precision.
#[derive(Debug, Clone, Default)]
struct Cell {
    /// Test values of completed runs, by seed.
    scores: BTreeMap<u64, f64>,
    runs: usize,
    diverged: usize,
    /// Training steps that were skipped, of each run that counts them.
    skipped: Vec<f64>,
    /// Seconds of training of completed runs.
    seconds: Vec<f64>,
}

/// A task in one precision: its runs, and what they are judged by.
type Variant<'a> = (Precision, &'a [&'a StoredRun], &'a Metric);

/// What is the same in all precisions of a task.
fn but_for_precision(run: &StoredRun) -> String {
    let spec = &run.record.spec;
    let training = TrainingSpec { precision: Precision::F32, ..spec.training.clone() };
    let parts = (&spec.model, &spec.objective, &spec.data, &training, &spec.device);
    // What a record holds is representable in JSON.
    serde_json::to_string(&parts).unwrap_or_default()
}

/// The tasks of `runs`, which are ordered by task, that are there in more than one precision.
pub(super) fn of(runs: &[&StoredRun], metrics: &[Metric], baseline: &str) -> Vec<Precisions> {
    let tasks: Vec<(&[&StoredRun], &Metric)> =
        runs.chunk_by(|a, b| a.record.spec.task == b.record.spec.task).zip(metrics).collect();
    let mut groups: Vec<(String, Vec<Variant<'_>>)> = Vec::new();
    for (runs, metric) in tasks {
        let (key, precision) = (but_for_precision(runs[0]), runs[0].record.spec.training.precision);
        match groups.iter_mut().find(|(known, _)| *known == key) {
            Some((_, group)) => group.push((precision, runs, metric)),
            None => groups.push((key, vec![(precision, runs, metric)])),
        }
    }
    let group = |(_, mut tasks): (String, Vec<Variant<'_>>)| {
        tasks.sort_by_key(|(precision, ..)| *precision);
        tasks.dedup_by_key(|(precision, ..)| *precision);
        let (_, first, metric) = tasks.first().filter(|_| tasks.len() > 1)?;
        let mut labels: Vec<&str> = Vec::new();
        for run in tasks.iter().flat_map(|(_, runs, _)| *runs) {
            let label = run.record.spec.activation.label.as_str();
            if !labels.contains(&label) {
                labels.push(label);
            }
        }
        let arm = |label: &&str| Arm {
            activation: (*label).to_owned(),
            cells: tasks.iter().map(|(_, runs, _)| cell(runs, label)).collect(),
        };
        Some(Precisions {
            task: first[0].record.spec.task.clone(),
            metric: in_markdown(metric),
            resolution: resolution(first, metric),
            baseline: baseline.to_owned(),
            precisions: tasks.iter().map(|(precision, ..)| *precision).collect(),
            arms: labels.iter().map(arm).collect(),
            emulated: first[0].record.spec.device == "cpu",
        })
    };
    groups.into_iter().filter_map(group).collect()
}

#[expect(clippy::cast_precision_loss, reason = "steps are far below 2^52")]
fn cell(runs: &[&StoredRun], label: &str) -> Cell {
    let mut cell = Cell::default();
    for run in runs.iter().filter(|run| run.record.spec.activation.label == label) {
        cell.runs += 1;
        let skipped = run.record.summary.as_ref().and_then(|summary| summary.skipped_steps);
        cell.skipped.extend(skipped.map(|steps| steps as f64));
        match Status::of(&run.record) {
            Status::Completed => {
                cell.scores
                    .extend(test_value(&run.record).map(|score| (run.record.spec.seed, score)));
                cell.seconds.push(run.record.timing.train_seconds);
            }
            Status::Diverged => cell.diverged += 1,
            Status::Failed => {}
        }
    }
    cell
}

impl Precisions {
    /// Heading of its table.
    pub(super) fn heading(&self) -> String {
        format!("Precision: {}", self.task)
    }

    /// What is compared.
    pub(super) fn note(&self) -> String {
        let first = self.precisions[0];
        let others: Vec<String> = self.precisions[1..].iter().map(ToString::to_string).collect();
        let mut note = format!(
            "Products of matrices and convolutions take operands in {} as in PyTorch's autocast; weights, sums, \
             norms, softmax and loss are f32. Differences to {first} are paired by seed, with 95 % intervals; they \
             are not adjusted for their number.",
            others.join(" or ")
        );
        if self.emulated {
            note += " The CPU emulates bf16 and f16: it rounds as a GPU does, and its times say nothing, so they are left \
                     out.";
        } else {
            note += &format!(" Times are those of {} in the same precision.", self.baseline);
        }
        note
    }

    /// Scores, differences, and what went wrong.
    pub(super) fn table(&self, labels: &Labels) -> Table {
        let metric = &self.metric;
        let each = |cell: &dyn Fn(&Arm) -> String| self.arms.iter().map(cell).collect::<Vec<_>>();
        let mut blocks = Vec::new();
        for (place, precision) in self.precisions.iter().enumerate() {
            let score = |arm: &Arm| arm.cells[place].score(metric);
            let header = metric.header(&precision.to_string());
            let mut block = vec![Column::numbers(&header, each(&score))];
            if place > 0 {
                let header = format!("{precision} − {}", self.precisions[0]);
                let header = metric.difference_header(&header);
                let difference = |arm: &Arm| self.difference(arm, place);
                block.push(Column::numbers(&header, each(&difference)));
            }
            if self.arms.iter().any(|arm| arm.cells[place].diverged > 0) {
                let diverged = |arm: &Arm| {
                    format!("{} of {}", arm.cells[place].diverged, arm.cells[place].runs)
                };
                block.push(Column::numbers("diverged", each(&diverged)));
            }
            if self.arms.iter().any(|arm| !arm.cells[place].skipped.is_empty()) {
                let skipped = |arm: &Arm| {
                    mean(&arm.cells[place].skipped).map_or(ABSENT.into(), |steps| fixed(steps, 1))
                };
                block.push(Column::numbers("skipped steps", each(&skipped)));
            }
            if !self.emulated {
                let time = |arm: &Arm| self.time(arm, place);
                block.push(Column::numbers(&format!("time / {}", self.baseline), each(&time)));
            }
            blocks.push(block);
        }
        Table {
            key: Column::words("activation", each(&|arm| labels.cell(&arm.activation))),
            blocks,
        }
    }

    /// Difference of the scores to those of the first precision with the same seeds. Equal differences have no interval.
    fn difference(&self, arm: &Arm, place: usize) -> String {
        let (first, own) = (&arm.cells[0].scores, &arm.cells[place].scores);
        let pairs = own.iter().filter_map(|(seed, score)| Some((*score, *first.get(seed)?)));
        let differences = self.resolution.differences(&pairs.collect::<Vec<_>>());
        let Some(average) = mean(&differences) else { return ABSENT.into() };
        let interval = t_interval(&differences, LEVEL);
        let shown = self.metric.difference(average);
        match interval {
            Some(_) => {
                format!("{shown} {}", bracket(interval, |value| self.metric.difference(value)))
            }
            None => shown,
        }
    }

    /// Time of training over that of the baseline in the same precision.
    fn time(&self, arm: &Arm, place: usize) -> String {
        let baseline = self.arms.iter().find(|arm| arm.activation == self.baseline);
        let seconds = |arm: &Arm| mean(&arm.cells[place].seconds);
        match (seconds(arm), baseline.and_then(seconds)) {
            (Some(own), Some(of_baseline)) if of_baseline > 0.0 => fixed(own / of_baseline, 2),
            _ => ABSENT.into(),
        }
    }
}

impl Cell {
    fn score(&self, metric: &Metric) -> String {
        let scores: Vec<f64> = self.scores.values().copied().collect();
        let Some(average) = mean(&scores) else { return ABSENT.into() };
        let spread = standard_deviation(&scores);
        let spread = spread.map(|sd| format!(" ± {}", metric.number(sd))).unwrap_or_default();
        metric.number(average) + &spread
    }
}
