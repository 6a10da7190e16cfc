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
    let mut of_arms: BTreeMap<(&str, &str), Vec<&StoredRun>> = BTreeMap::new();
    for run in runs.iter().filter(|run| Status::of(&run.record) == Status::Completed) {
        let spec = &run.record.spec;
        of_arms.entry((&spec.task, &spec.activation.label)).or_default().push(run);
    }
    for task in arms.chunk_by_mut(|a, b| a.task == b.task) {
        let name = task[0].task.clone();
        let of = |label: &str| match of_arms.get(&(name.as_str(), label)) {
            Some(runs) => read(runs),
            None => (BTreeMap::new(), Vec::new()),
        };
        let theirs: BTreeMap<u64, Vec<bool>> = of(baseline)
            .0
            .into_iter()
            .map(|(seed, predictions)| (seed, correct(&predictions).collect()))
            .collect();
        let labels: Vec<String> = task.iter().map(|arm| arm.activation.clone()).collect();
        let figures = parallel::map(&labels, |label| {
            let theirs = (label != baseline).then_some(&theirs);
            let (ours, errors) = of(label);
            (figures(&ours, theirs, bootstrap), errors)
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

/// Predictions by seed, and why those of other runs cannot be read.
fn read(runs: &[&StoredRun]) -> (BTreeMap<u64, Vec<Prediction>>, Vec<String>) {
    let (mut read, mut errors) = (BTreeMap::new(), Vec::new());
    for run in runs {
        match run.predictions() {
            Ok(predictions) => {
                read.insert(run.record.spec.seed, predictions);
            }
            Err(record::Error::Io { source, .. })
                if source.kind() == ErrorKind::NotFound && run.record.files.is_empty() => {}
            Err(error) => errors.push(error.to_string()),
        }
    }
    (read, errors)
}

fn correct(predictions: &[Prediction]) -> impl Iterator<Item = bool> {
    predictions.iter().map(|one| one.label == one.predicted)
}

/// Figures of an arm; `theirs` is what the baseline classified correctly, by seed.
fn figures(
    ours: &BTreeMap<u64, Vec<Prediction>>,
    theirs: Option<&BTreeMap<u64, Vec<bool>>>,
    bootstrap: Bootstrap,
) -> ExampleFigures {
    let each = |figure: &dyn Fn(&[Prediction]) -> Option<f64>| {
        let figures: Option<Vec<f64>> = ours.values().map(|one| figure(one)).collect();
        mean(&figures?)
    };
    let differences: Vec<Vec<f32>> = theirs
        .into_iter()
        .flat_map(|theirs| ours.iter().filter_map(|(seed, ours)| Some((ours, theirs.get(seed)?))))
        .filter(|(ours, theirs)| ours.len() == theirs.len())
        .map(|(ours, theirs)| {
            let pairs = correct(ours).zip(theirs);
            pairs.map(|(a, b)| f32::from(a) - f32::from(*b)).collect()
        })
        .collect();
    let classes: Vec<Vec<usize>> =
        ours.values().map(|one| one.iter().map(|one| one.predicted).collect()).collect();
    ExampleFigures {
        crossed: Crossed::of(&differences),
        bootstrap: bootstrap.seeds_and_examples(&differences),
        log_likelihood: each(&|one| {
            let probabilities: Vec<f64> = one.iter().map(|one| one.probability).collect();
            negative_log_likelihood(&probabilities)
        }),
        calibration: each(&|one| {
            let confident =
                one.iter().map(|one| Some((one.confidence?, one.label == one.predicted)));
            expected_calibration_error(&confident.collect::<Option<Vec<_>>>()?)
        }),
        disagreement: disagreement(&classes),
    }
}
