//! What test predictions show: differences over seeds and examples, calibration, and how far seeds disagree.

use crate::frame::Status;
use crate::metric::test_value;
use crate::parallel;
use crate::statistics::{
    Bootstrap, Calibration, Crossed, disagreement, mean, negative_log_likelihood,
};
use crate::summary::{Arm, ExampleFigures};
use record::{PredictionLine, RunRecord, StoredRun};
use std::collections::BTreeMap;
use std::io::ErrorKind;

/// Resamples of an interval at most: each draws every test example.
const RESAMPLES: usize = 1_000;

/// Adds to `arms` what the predictions of their runs show. The answer is how many runs have predictions that cannot be
/// read, and why the first cannot: those are left out. Early records have none, and are left out without a word.
pub(super) fn add_figures(
    arms: &mut [Arm],
    runs: &[&StoredRun],
    baseline: &str,
    bootstrap: Bootstrap,
) -> Option<(usize, String)> {
    let mut unread: Option<(usize, String)> = None;
    let bootstrap = Bootstrap { resamples: bootstrap.resamples.min(RESAMPLES), ..bootstrap };
    let mut of_arms: OfArms<'_> = BTreeMap::new();
    for run in runs.iter().filter(|run| Status::of(&run.record) == Status::Completed) {
        let spec = &run.record.spec;
        of_arms.entry((&spec.task, &spec.activation.label)).or_default().push(run);
    }
    for task in arms.chunk_by_mut(|a, b| a.task == b.task) {
        let name = task[0].task.clone();
        let theirs = runs_of(&of_arms, &name, baseline);
        let theirs = Predicted::of(parallel::map(theirs, |run| Examples::read(run)));
        let labels: Vec<String> = task.iter().map(|arm| arm.activation.clone()).collect();
        let figures = parallel::map(&labels, |label| {
            if label == baseline {
                return (figures(&theirs, None, bootstrap), theirs.errors.clone());
            }
            let ours = runs_of(&of_arms, &name, label).iter();
            let ours = Predicted::of(ours.map(|run| Examples::read(run)).collect());
            (figures(&ours, Some(&theirs), bootstrap), ours.errors)
        });
        for (arm, (figures, errors)) in task.iter_mut().zip(figures) {
            arm.examples = figures;
            for error in errors {
                unread.get_or_insert((0, error)).0 += 1;
            }
        }
    }
    unread
}

/// Completed runs by task and activation.
type OfArms<'a> = BTreeMap<(&'a str, &'a str), Vec<&'a StoredRun>>;

fn runs_of<'a>(of_arms: &'a OfArms<'a>, task: &'a str, label: &'a str) -> &'a [&'a StoredRun] {
    of_arms.get(&(task, label)).map(Vec::as_slice).unwrap_or_default()
}

/// What a run said about the test examples.
struct Examples {
    seed: u64,
    /// What it scored on each.
    scores: Scores,
    /// The class that it predicted, for each; none where there are no classes.
    predicted: Vec<u32>,
    log_likelihood: Option<f64>,
    calibration: Option<f64>,
}

impl Examples {
    /// Nothing of an early record, which has no predictions.
    fn read(run: &StoredRun) -> Result<Option<Self>, String> {
        // Most runs of a report have as many.
        let expected = run.record.summary.as_ref().and_then(|summary| summary.test_examples);
        let expected = expected.map_or(0, |examples| examples.min(MOST_EXPECTED) as usize);
        let (mut right, mut predicted, mut probabilities) = (
            Vec::with_capacity(expected),
            Vec::with_capacity(expected),
            Vec::with_capacity(expected),
        );
        let mut losses: Vec<(f64, f64)> = Vec::new();
        let mut calibration = Some(Calibration::default());
        let read = run.each_prediction(|line| match line {
            PredictionLine::Class(one) => {
                right.push(one.label == one.predicted);
                // No task has more classes than fit.
                predicted.push(u32::try_from(one.predicted).unwrap_or(u32::MAX));
                probabilities.push(one.probability);
                match (one.confidence, &mut calibration) {
                    (Some(confidence), Some(calibration)) => {
                        calibration.add(confidence, one.label == one.predicted);
                    }
                    _ => calibration = None,
                }
            }
            PredictionLine::Loss(one) => losses.push((one.loss, one.units)),
        });
        match read {
            Ok(()) => Ok(Some(Self {
                seed: run.record.spec.seed,
                scores: match losses.is_empty() {
                    true => Scores::Right(right),
                    false => Scores::Losses(weighted(&losses, &run.record)),
                },
                predicted,
                log_likelihood: negative_log_likelihood(&probabilities),
                calibration: calibration.and_then(|calibration| calibration.error()),
            })),
            Err(record::Error::Io { source, .. })
                if source.kind() == ErrorKind::NotFound && run.record.files.is_empty() =>
            {
                Ok(None)
            }
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Scores of the test examples.
enum Scores {
    /// Whether the right class was predicted.
    Right(Vec<bool>),
    /// Losses, so that their mean is the run's test value.
    Losses(Vec<f32>),
}

/// Losses of examples, with what each is related to, as scores whose mean is the run's test value.
fn weighted(losses: &[(f64, f64)], run: &RunRecord) -> Vec<f32> {
    let units = losses.iter().map(|(_, units)| units).sum::<f64>() / losses.len() as f64;
    let mean = losses.iter().map(|(loss, _)| loss / units).sum::<f64>() / losses.len() as f64;
    // Losses may have another unit than the run's value.
    let unit = test_value(run).map(|value| value / mean).filter(|unit| unit.is_finite());
    losses.iter().map(|(loss, _)| (loss / units * unit.unwrap_or(1.0)) as f32).collect()
}

/// By seed, where one of two arms was right and the other was not; [`None`] where examples have losses.
fn right_differences(pairs: &[(&Examples, &Examples)]) -> Option<Vec<Vec<i8>>> {
    let mut all = Vec::new();
    for (ours, theirs) in pairs {
        let (Scores::Right(a), Scores::Right(b)) = (&ours.scores, &theirs.scores) else {
            return None;
        };
        if a.len() == b.len() {
            all.push(a.iter().zip(b).map(|(a, b)| i8::from(*a) - i8::from(*b)).collect());
        }
    }
    Some(all)
}

/// By seed, the differences of the losses of two arms.
fn loss_differences(pairs: &[(&Examples, &Examples)]) -> Vec<Vec<f32>> {
    let mut all: Vec<Vec<f32>> = Vec::new();
    for (ours, theirs) in pairs {
        let (Scores::Losses(a), Scores::Losses(b)) = (&ours.scores, &theirs.scores) else {
            continue;
        };
        let differences: Vec<f32> = a.iter().zip(b).map(|(a, b)| a - b).collect();
        if a.len() == b.len() && differences.iter().all(|one| one.is_finite()) {
            all.push(differences);
        }
    }
    all
}

/// Test examples that memory is kept for before they are read.
const MOST_EXPECTED: u64 = 1 << 20;

/// What the runs of an arm said about the test examples.
struct Predicted {
    /// In the order of seeds.
    runs: Vec<Examples>,
    /// Why other runs cannot be read.
    errors: Vec<String>,
}

impl Predicted {
    fn of(read: Vec<Result<Option<Examples>, String>>) -> Self {
        let (mut runs, mut errors) = (BTreeMap::new(), Vec::new());
        for one in read {
            match one {
                Ok(Some(run)) => {
                    runs.insert(run.seed, run);
                }
                Ok(None) => {}
                Err(error) => errors.push(error),
            }
        }
        Self { runs: runs.into_values().collect(), errors }
    }

    fn with_seed(&self, seed: u64) -> Option<&Examples> {
        let place = self.runs.binary_search_by_key(&seed, |run| run.seed).ok()?;
        Some(&self.runs[place])
    }
}

/// Figures of an arm, where `theirs` is the baseline.
fn figures(ours: &Predicted, theirs: Option<&Predicted>, bootstrap: Bootstrap) -> ExampleFigures {
    let each = |figure: fn(&Examples) -> Option<f64>| {
        let figures: Option<Vec<f64>> = ours.runs.iter().map(figure).collect();
        mean(&figures?)
    };
    let pairs = theirs.into_iter().flat_map(|theirs| {
        ours.runs.iter().filter_map(|ours| Some((ours, theirs.with_seed(ours.seed)?)))
    });
    let pairs: Vec<(&Examples, &Examples)> = pairs.collect();
    let (crossed, resampled) = match right_differences(&pairs) {
        Some(differences) => {
            (Crossed::of(&differences), bootstrap.seeds_and_examples(&differences))
        }
        None => {
            let differences = loss_differences(&pairs);
            (Crossed::of(&differences), bootstrap.seeds_and_losses(&differences))
        }
    };
    let classes: Vec<&[u32]> = ours.runs.iter().map(|run| run.predicted.as_slice()).collect();
    ExampleFigures {
        crossed,
        bootstrap: resampled,
        log_likelihood: each(|run| run.log_likelihood),
        calibration: each(|run| run.calibration),
        disagreement: disagreement(&classes),
    }
}
