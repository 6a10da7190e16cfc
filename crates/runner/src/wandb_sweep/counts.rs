//! How many runs a sweep file asks for.

use super::file::File;
use super::{Base, Refusal, Tuned, refuse};
use crate::experiment::limits::{MOST, grouped};

/// What is tuned on `task`.
fn tuned_on<'a>(tuned: &'a [Tuned], task: &'a str) -> impl Iterator<Item = &'a Tuned> {
    tuned.iter().filter(move |one| one.place.task.as_deref().is_none_or(|own| own == task))
}

pub(super) fn nothing_tuned(sweep: &File, base: &Base, counts: &Counts) -> Result<(), Refusal> {
    if sweep.early_terminate.is_some() {
        return refuse(
            "early_terminate",
            "there is nothing to choose from: no parameter but activation and seed has several values",
        );
    }
    let finals = counts.finals(base);
    match sweep.run_cap {
        Some(cap) if u128::from(cap) < finals => refuse(
            "run_cap",
            format!(
                "is less than the {finals} runs of the sweep, and a part of them would compare unequal things"
            ),
        ),
        _ => Ok(()),
    }
}

/// Numbers of what a sweep is made of.
pub(super) struct Counts {
    pub(super) arms: u128,
    pub(super) seeds: u128,
    pub(super) trial_seeds: u128,
}

impl Counts {
    /// Runs that are reported. Each factor is a number of items in a file that was read: no product overflows.
    fn finals(&self, base: &Base) -> u128 {
        self.arms * base.tasks().len() as u128 * self.seeds
    }

    /// Trials of each arm on each task, within the cap.
    pub(super) fn trials(
        &self,
        sweep: &File,
        base: &Base,
        grid: bool,
        tuned: &[Tuned],
    ) -> Result<u128, Refusal> {
        let finals = self.finals(base);
        let runs_of_one = self.arms * self.trial_seeds;
        if grid {
            return self.grid(sweep, base, tuned);
        }
        let Some(cap) = sweep.run_cap else {
            return refuse("run_cap", "is missing: a random search needs an end");
        };
        let tasks =
            base.tasks().into_iter().filter(|task| tuned_on(tuned, task).next().is_some()).count();
        let runs_of_one = runs_of_one * tasks.max(1) as u128;
        let trials = u128::from(cap).saturating_sub(finals) / runs_of_one.max(1);
        if trials == 0 {
            return refuse(
                "run_cap",
                format!(
                    "must be {} or more: one trial of each activation on each task under each seed of tuning, and {finals} final runs",
                    runs_of_one + finals
                ),
            );
        }
        if trials > MOST as u128 {
            let (trials, most) = (grouped(trials), grouped(MOST));
            return refuse(
                "run_cap",
                format!(
                    "{cap} leaves {trials} trials of each activation; at most {most} are supported"
                ),
            );
        }
        Ok(trials)
    }

    /// Checks a grid against the cap, which must hold all of it; it needs no number of trials.
    fn grid(&self, sweep: &File, base: &Base, tuned: &[Tuned]) -> Result<u128, Refusal> {
        let mut all = self.finals(base);
        for task in base.tasks() {
            let size = tuned_on(tuned, task).try_fold(1_u128, |size, one| {
                size.checked_mul(one.points()).filter(|size| *size <= MOST as u128)
            });
            let Some(size) = size else {
                let most = grouped(MOST);
                return refuse(
                    "parameters",
                    format!("the grid has more than {most} points; at most {most} are supported"),
                );
            };
            if tuned_on(tuned, task).next().is_some() {
                all += size * self.arms * self.trial_seeds;
            }
        }
        match sweep.run_cap {
            Some(cap) if u128::from(cap) < all => refuse(
                "run_cap",
                format!(
                    "is less than the {all} runs of the whole grid, and a part of it would compare unequal things"
                ),
            ),
            _ => Ok(0),
        }
    }
}
