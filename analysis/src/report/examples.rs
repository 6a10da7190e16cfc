//! What test predictions show: differences over seeds and examples, calibration, and how far seeds disagree.

use crate::frame::Status;
use crate::parallel;
use crate::statistics::{
    Bootstrap, Crossed, disagreement, expected_calibration_error, mean, negative_log_likelihood,
};
use crate::summary::{Arm, ExampleFigures};
use record::{Prediction, StoredRun};
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
    /// Whether it was right, for each.
    correct: Vec<bool>,
    /// The class that it predicted, for each.
    predicted: Vec<usize>,
    log_likelihood: Option<f64>,
    calibration: Option<f64>,
}

impl Examples {
    /// Nothing of an early record, which has no predictions.
    fn read(run: &StoredRun) -> Result<Option<Self>, String> {
        match run.predictions() {
            Ok(predictions) => Ok(Some(Self::of(run.record.spec.seed, &predictions))),
            Err(record::Error::Io { source, .. })
                if source.kind() == ErrorKind::NotFound && run.record.files.is_empty() =>
            {
                Ok(None)
            }
            Err(error) => Err(error.to_string()),
        }
    }

    fn of(seed: u64, predictions: &[Prediction]) -> Self {
        let correct = |one: &Prediction| one.label == one.predicted;
        let probabilities: Vec<f64> = predictions.iter().map(|one| one.probability).collect();
        let confident = predictions.iter().map(|one| Some((one.confidence?, correct(one))));
        let confident: Option<Vec<_>> = confident.collect();
        Self {
            seed,
            correct: predictions.iter().map(correct).collect(),
            predicted: predictions.iter().map(|one| one.predicted).collect(),
            log_likelihood: negative_log_likelihood(&probabilities),
            calibration: confident.and_then(|confident| expected_calibration_error(&confident)),
        }
    }
}

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
    let differences: Vec<Vec<f32>> = pairs
        .filter(|(ours, theirs)| ours.correct.len() == theirs.correct.len())
        .map(|(ours, theirs)| {
            let pairs = ours.correct.iter().zip(&theirs.correct);
            pairs.map(|(a, b)| f32::from(*a) - f32::from(*b)).collect()
        })
        .collect();
    let classes: Vec<&[usize]> = ours.runs.iter().map(|run| run.predicted.as_slice()).collect();
    ExampleFigures {
        crossed: Crossed::of(&differences),
        bootstrap: bootstrap.seeds_and_examples(&differences),
        log_likelihood: each(|run| run.log_likelihood),
        calibration: each(|run| run.calibration),
        disagreement: disagreement(&classes),
    }
}
