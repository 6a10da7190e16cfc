//! A sweep that ends when its comparisons are decided: seeds come in stages, with a look at the results after each.

use crate::Error;
use crate::execute::Work;
use crate::plan::PlannedRun;
use crate::sweep_dir::{Manifest, SweepDir, which_are_done};
use record::{RunDir, RunId, RunRecord};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};

/// Seeds beyond which no sweep goes.
const MOST_SEEDS: usize = 10_000;

/// Looks beyond which each would have next to nothing of the error rate.
const MOST_LOOKS: usize = 20;

/// Looks at results before all seeds are trained: the error rate of 5 % holds over all looks, which share it in the
/// proportions of O'Brien–Fleming bounds, and a sweep ends when every comparison is decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sequential {
    /// Seeds that are trained at most; those that `seeds` does not name follow its largest.
    pub(crate) max_seeds: usize,
    /// Numbers of seeds after which results are looked at, ascending; where absent, as many as `seeds` has, then twice
    /// as many as before each time. The last look is always after `max_seeds`.
    #[serde(default)]
    pub(crate) looks: Vec<usize>,
}

impl Sequential {
    /// Refuses what makes no sense, with the key.
    pub(crate) fn check(&self, seeds: &[u64]) -> Result<(), (String, String)> {
        let refuse = |key: &str, message: String| Err((key.to_owned(), message));
        if self.max_seeds <= seeds.len() || self.max_seeds > MOST_SEEDS {
            let message = format!(
                "must be more than the {} of `seeds`, and at most {MOST_SEEDS}",
                seeds.len()
            );
            return refuse("max_seeds", message);
        }
        if !self.looks.windows(2).all(|pair| pair[0] < pair[1]) {
            return refuse("looks", "must be ascending numbers of seeds, as in [5, 10, 20]".into());
        }
        if self.looks.len() > MOST_LOOKS {
            return refuse("looks", format!("must be at most {MOST_LOOKS}"));
        }
        if let Some(look) = self.looks.iter().find(|look| **look < 2 || **look > self.max_seeds) {
            let message = format!("{look} must be from 2 to max_seeds, {}", self.max_seeds);
            return refuse("looks", message);
        }
        if seeds.iter().max().is_some_and(|most| most.checked_add(self.max_seeds as u64).is_none())
        {
            return refuse(
                "max_seeds",
                "there are not as many seeds above those of `seeds`".into(),
            );
        }
        Ok(())
    }

    /// Every seed, in the order in which they are trained.
    pub(crate) fn order(&self, seeds: &[u64]) -> Vec<u64> {
        let next = seeds.iter().max().map_or(1, |most| most + 1);
        let more = next..next + (self.max_seeds - seeds.len()) as u64;
        seeds.iter().copied().chain(more).collect()
    }

    /// Numbers of seeds after which results are looked at.
    pub(crate) fn looks(&self, seeds: &[u64]) -> Vec<usize> {
        let mut looks = self.looks.clone();
        if looks.is_empty() {
            let first = seeds.len().max(2);
            looks.extend(
                std::iter::successors(Some(first), |look| Some(2 * look))
                    .take_while(|look| *look < self.max_seeds),
            );
        }
        if looks.last() != Some(&self.max_seeds) {
            looks.push(self.max_seeds);
        }
        looks
    }
}

/// The runs of such a sweep.
pub(crate) struct Stages<'a> {
    sweep: &'a SweepDir,
    manifest: Manifest,
    /// Runs between one look and the next.
    stages: Vec<Vec<PlannedRun>>,
    /// The stage that is being trained, if any was begun.
    current: Option<usize>,
    /// Runs of it that have not ended.
    pending: HashSet<RunId>,
    /// Whether every comparison is decided.
    decided: bool,
    done: Vec<RunDir>,
    known: usize,
}

impl<'a> Stages<'a> {
    /// The runs `all`, in the order of their seeds, of which each has as many arms and tasks.
    pub(crate) fn new(
        all: Vec<PlannedRun>,
        looks: &[usize],
        order: &[u64],
        sweep: &'a SweepDir,
        manifest: Manifest,
    ) -> Self {
        let places: HashMap<u64, usize> =
            order.iter().enumerate().map(|(place, seed)| (*seed, place)).collect();
        let stage = |seed: u64| {
            let place = places.get(&seed).copied().unwrap_or(usize::MAX);
            looks.iter().position(|look| place < *look).unwrap_or(looks.len())
        };
        let mut stages: Vec<Vec<PlannedRun>> = looks.iter().map(|_| Vec::new()).collect();
        for run in all {
            if let Some(stage) = stages.get_mut(stage(run.spec.seed)) {
                stage.push(run);
            }
        }
        Self {
            sweep,
            manifest: Manifest { runs: Vec::new(), ..manifest },
            stages,
            current: None,
            pending: HashSet::new(),
            decided: false,
            done: Vec::new(),
            known: 0,
        }
    }

    /// Begins the next stage: the runs of it that are not done.
    fn begin(&mut self) -> Result<Vec<PlannedRun>, Error> {
        let next = self.current.map_or(0, |stage| stage + 1);
        self.current = Some(next);
        let mut open = Vec::new();
        let stage = &self.stages[next];
        for (run, (dir, done)) in stage.iter().zip(which_are_done(stage, &self.sweep.runs())) {
            self.manifest.runs.push(run.id());
            if done {
                self.done.push(dir);
            } else {
                self.pending.insert(run.id());
                open.push(run.clone());
            }
            self.known += 1;
        }
        // On the way through what is done already nothing is new.
        if !open.is_empty() || self.is_last() {
            self.write_manifest()?;
        }
        Ok(open)
    }

    /// Whether no stage follows.
    fn is_last(&self) -> bool {
        self.decided || self.current.is_some_and(|stage| stage + 1 == self.stages.len())
    }

    fn write_manifest(&mut self) -> Result<(), Error> {
        self.manifest.planned = Some(self.total());
        if self.is_last() {
            self.sweep.write_manifest(&self.manifest)
        } else {
            self.sweep.write_manifest_so_far(&self.manifest)
        }
    }
}

impl Work for Stages<'_> {
    fn next(&mut self) -> Result<Vec<PlannedRun>, Error> {
        while self.pending.is_empty() && !self.decided {
            if self.current.is_some() {
                self.decided = self.sweep.decided(&self.manifest)?;
            }
            if self.is_last() {
                self.write_manifest()?;
                break;
            }
            let open = self.begin()?;
            if !open.is_empty() {
                return Ok(open);
            }
        }
        Ok(Vec::new())
    }

    fn finished(&mut self, record: &RunRecord) {
        self.pending.remove(&record.id);
    }

    fn refused(&mut self, run: &RunId) -> Option<String> {
        // A look counts the seeds that every activation has: without this run it would have none after it.
        self.pending.contains(run).then(|| "the next look waits for it".to_owned())
    }

    fn total(&self) -> usize {
        if self.is_last() {
            return self.known;
        }
        self.stages.iter().map(Vec::len).sum()
    }

    fn done(&self) -> &[RunDir] {
        &self.done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_double_and_end_at_the_largest_number() {
        let of = |max_seeds, looks: &[usize]| Sequential { max_seeds, looks: looks.to_vec() };
        assert_eq!(of(20, &[]).looks(&[1, 2, 3]), [3, 6, 12, 20]);
        assert_eq!(of(20, &[5, 10]).looks(&[1, 2, 3]), [5, 10, 20]);
        assert_eq!(of(12, &[4, 12]).looks(&[1]), [4, 12]);
        assert_eq!(of(5, &[]).looks(&[7]), [2, 4, 5]);
        assert_eq!(of(5, &[]).order(&[7, 3]), [7, 3, 8, 9, 10]);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let key = |max_seeds, looks: &[usize], seeds: &[u64]| {
            let one = Sequential { max_seeds, looks: looks.to_vec() };
            one.check(seeds).err().map(|(key, _)| key)
        };
        assert_eq!(key(10, &[3, 6], &[1, 2]), None);
        assert_eq!(key(2, &[], &[1, 2]).as_deref(), Some("max_seeds"));
        assert_eq!(key(1 << 40, &[], &[1, 2]).as_deref(), Some("max_seeds"));
        assert_eq!(key(10, &[6, 3], &[1, 2]).as_deref(), Some("looks"));
        assert_eq!(key(10, &[1], &[1, 2]).as_deref(), Some("looks"));
        assert_eq!(key(10, &[11], &[1, 2]).as_deref(), Some("looks"));
        assert_eq!(key(10, &[], &[u64::MAX - 3]).as_deref(), Some("max_seeds"));
    }
}
