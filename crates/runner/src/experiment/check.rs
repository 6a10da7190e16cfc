//! What no type forbids.

use super::limits::{MOST, MOST_JOBS, MOST_RETRIES, MOST_RUNS, MOST_THREADS, grouped, within};
use super::{Experiment, Jobs};
use std::collections::HashSet;

/// A key and what is wrong with it.
type Refusal = (String, String);

/// Bytes of a name that is a part of a folder's.
const LONGEST_NAME: usize = 100;

fn refuse<T>(key: &str, message: impl Into<String>) -> Result<T, Refusal> {
    Err((key.to_owned(), message.into()))
}

impl Experiment {
    /// Refuses what no type forbids; the error is a key and what is wrong with it.
    pub(super) fn check(&self) -> Result<(), Refusal> {
        self.check_names()?;
        self.check_counts()?;
        self.check_numbers()?;
        self.check_choices()
    }

    fn check_names(&self) -> Result<(), Refusal> {
        if !is_name(&self.name) {
            return refuse(
                "name",
                "must have letters, digits, `-`, `_` and `.` only: it names a folder",
            );
        }
        if self.name.len() > LONGEST_NAME {
            return refuse(
                "name",
                format!("must have at most {LONGEST_NAME} characters: it names a folder"),
            );
        }
        for name in self.tasks.keys() {
            let key = || format!("tasks.{name}");
            if !is_name(name) || name.contains('.') {
                let message = "a task's name must have letters, digits, `-` and `_` only";
                return refuse(&key(), message);
            }
            if name.len() > LONGEST_NAME {
                let message = format!("a task's name must have at most {LONGEST_NAME} characters");
                return refuse(&key(), message);
            }
        }
        for (i, change) in self.overrides.iter().enumerate() {
            if let Some(task) = &change.task
                && !self.tasks.keys().any(|name| self.is_task(Some(task), name))
            {
                let known: Vec<_> = self.tasks.keys().map(String::as_str).collect();
                let message = format!("there is no task `{task}`; there are {}", known.join(", "));
                return refuse(&format!("overrides[{i}].task"), message);
            }
        }
        Ok(())
    }

    fn check_counts(&self) -> Result<(), Refusal> {
        let counts = [
            ("activations", self.activations.len(), "name one activation or more"),
            ("seeds", self.seeds.len(), "hold one seed or more"),
            ("tasks", self.tasks.len(), "hold one task or more"),
        ];
        for (key, count, least) in counts {
            if count == 0 {
                return refuse(key, format!("must {least}"));
            }
            within(count, MOST, key).map_err(|message| (key.to_owned(), message))?;
        }
        within(self.overrides.len(), MOST, "overrides")
            .map_err(|message| ("overrides".to_owned(), message))?;
        let mut seen = HashSet::new();
        if let Some(seed) = self.seeds.iter().find(|seed| !seen.insert(**seed)) {
            return refuse("seeds", format!("duplicate seed {seed}"));
        }
        let seeds = self.sequential.as_ref().map_or(self.seeds.len(), |one| one.max_seeds);
        // Each is at most MOST, or far below what would overflow.
        let runs = (self.activations.len() as u128) * (self.tasks.len() as u128) * (seeds as u128);
        if runs > u128::from(MOST_RUNS) && seeds <= MOST {
            return refuse(
                "seeds",
                format!(
                    "{} activations on {} tasks with {} seeds are {} runs; at most {} are supported",
                    grouped(self.activations.len()),
                    grouped(self.tasks.len()),
                    grouped(seeds),
                    grouped(runs),
                    grouped(MOST_RUNS)
                ),
            );
        }
        Ok(())
    }

    fn check_numbers(&self) -> Result<(), Refusal> {
        if self.margin.is_some_and(|margin| !(margin > 0.0 && margin < 100.0)) {
            return refuse("margin", "must be above 0 and below 100: percentage points");
        }
        if self.slurm.runs_per_task == 0 {
            return refuse("slurm.runs_per_task", "must be 1 or more");
        }
        if let Some(threads) = self.threads.filter(|threads| !(1..=MOST_THREADS).contains(threads))
        {
            return refuse("threads", format!("must be from 1 to {MOST_THREADS}, not {threads}"));
        }
        if let Jobs::Number(jobs) = self.jobs
            && jobs > MOST_JOBS
        {
            return refuse("jobs", format!("must be `auto`, or from 1 to {MOST_JOBS}, not {jobs}"));
        }
        if self.retries > MOST_RETRIES {
            return refuse(
                "retries",
                format!("must be from 0 to {MOST_RETRIES}, not {}", self.retries),
            );
        }
        if !(self.system_metrics == 0.0 || (0.1..=3600.0).contains(&self.system_metrics)) {
            return refuse("system_metrics", "must be 0, or from 0.1 to 3600 seconds");
        }
        if self.time_limit.is_some_and(|limit| !(limit > 0.0 && limit < 1e9)) {
            return refuse("time_limit", "must be a number of seconds above 0 and below 1e9");
        }
        if self.memory_limit.is_some_and(|limit| !(1..1 << 40).contains(&limit)) {
            return refuse("memory_limit", "must be from 1 to 1099511627775: MiB");
        }
        if !(0.0..=1e6).contains(&self.checkpoint_every) {
            return refuse("checkpoint_every", "must be 0, or a number of seconds up to 1000000");
        }
        Ok(())
    }

    fn check_choices(&self) -> Result<(), Refusal> {
        if let Some(sequential) = &self.sequential {
            sequential
                .check(&self.seeds)
                .map_err(|(key, message)| (format!("sequential.{key}"), message))?;
            if self.tune.is_some() {
                return refuse(
                    "sequential",
                    "cannot be combined with `tune`: tune first, then set what was found",
                );
            }
        }
        if let Some(tune) = &self.tune {
            tune.check(&self.seeds).map_err(|(key, message)| (format!("tune.{key}"), message))?;
        }
        if let Some(search) = &self.search {
            for (other, there) in
                [("tune", self.tune.is_some()), ("sequential", self.sequential.is_some())]
            {
                if there {
                    let message = format!(
                        "cannot be combined with `{other}`: search first, then put what was found into `activations`"
                    );
                    return refuse("search", message);
                }
            }
            search
                .check(&self.seeds, self.tasks.len())
                .map_err(|(key, message)| (format!("search.{key}"), message))?;
        }
        Ok(())
    }
}

fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty() && name.chars().all(plain) && !name.starts_with('.')
}
