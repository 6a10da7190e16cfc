//! Runs of trials: what a tuned sweep and a search share.

use super::Rung;
use crate::Error;
use crate::plan::PlannedRun;
use record::{RunDir, RunRecord};
use std::path::Path;

/// The runs of a trial up to `rung`, one for each of `seeds`. `like` is one of them; each resumes the one of its seed among
/// the `shorter` ones.
pub(crate) fn up_to(
    rung: Rung,
    like: PlannedRun,
    seeds: &[u64],
    shorter: Option<&[PlannedRun]>,
    folder: &Path,
) -> Vec<PlannedRun> {
    let like = like.trial(rung);
    let run = |seed: &u64| {
        let mut run = like.clone();
        run.spec.seed = *seed;
        run.goes_on_from = shorter.and_then(|shorter| {
            let same = |one: &&PlannedRun| one.spec.seed == *seed && one.spec.task == run.spec.task;
            let dir = RunDir::of(folder, &shorter.iter().find(same)?.spec);
            Some(dir.path().file_name()?.to_str()?.to_owned())
        });
        run
    };
    seeds.iter().map(run).collect()
}

/// The records of `runs`.
pub(crate) fn records<'a>(
    runs: impl IntoIterator<Item = &'a PlannedRun>,
    folder: &Path,
) -> Result<Vec<RunRecord>, Error> {
    let record = |run: &PlannedRun| Ok(RunDir::of(folder, &run.spec).record()?);
    runs.into_iter().map(record).collect()
}

/// Removes the checkpoints of `runs`, which nothing resumes.
pub(crate) fn discard<'a>(runs: impl IntoIterator<Item = &'a PlannedRun>, folder: &Path) {
    for run in runs {
        // One that stays costs space, and no more.
        let _ = RunDir::of(folder, &run.spec).remove_checkpoints();
    }
}
