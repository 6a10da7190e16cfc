//! Differences as test examples show them: intervals over seeds and examples together.

use crate::frame::Status;
use crate::parallel;
use crate::statistics::Bootstrap;
use crate::summary::Arm;
use record::StoredRun;
use std::collections::BTreeMap;

/// Resamples of an interval at most: each draws every test example.
const RESAMPLES: usize = 1_000;

/// Adds to `arms` the interval of their difference to the baseline by the multi-bootstrap, where there are two
/// pairs of runs and more with predictions of the same test examples.
pub(super) fn add_intervals(
    arms: &mut [Arm],
    runs: &[&StoredRun],
    baseline: &str,
    bootstrap: Bootstrap,
) {
    let bootstrap = Bootstrap { resamples: bootstrap.resamples.min(RESAMPLES), ..bootstrap };
    for task in arms.chunk_by_mut(|a, b| a.task == b.task) {
        let of = |label: &str| -> Vec<&StoredRun> {
            let spec = |run: &StoredRun| {
                let spec = &run.record.spec;
                spec.task == task[0].task && spec.activation.label == label
            };
            let completed = |run: &StoredRun| Status::of(&run.record) == Status::Completed;
            runs.iter().copied().filter(|run| spec(run) && completed(run)).collect()
        };
        let labels: Vec<String> = task.iter().map(|arm| arm.activation.clone()).collect();
        let theirs = predictions(&of(baseline));
        let ours: Vec<_> = labels.iter().map(|label| of(label)).collect();
        let arms: Vec<(&String, Vec<&StoredRun>)> = labels.iter().zip(ours).collect();
        let intervals = parallel::map(&arms, |(label, runs)| {
            // Predictions are read where there is something to compare them with.
            if *label == baseline || runs.len() < 2 || theirs.len() < 2 {
                return None;
            }
            let differences: Vec<Vec<f32>> = predictions(runs)
                .into_iter()
                .filter_map(|(seed, ours)| {
                    let theirs = theirs.get(&seed)?;
                    let pairs = ours.iter().zip(theirs);
                    let difference = |(a, b): (&bool, &bool)| f32::from(*a) - f32::from(*b);
                    (ours.len() == theirs.len()).then(|| pairs.map(difference).collect())
                })
                .collect();
            bootstrap.seeds_and_examples(&differences)
        });
        for (arm, interval) in task.iter_mut().zip(intervals) {
            arm.examples_interval = interval;
        }
    }
}

/// Which test examples every run classified correctly, by seed; runs whose predictions cannot be read are left
/// out, as those of early records are.
fn predictions(runs: &[&StoredRun]) -> BTreeMap<u64, Vec<bool>> {
    let read = |run: &&StoredRun| Some((run.record.spec.seed, run.dir.correct().ok()?));
    runs.iter().filter_map(read).collect()
}
