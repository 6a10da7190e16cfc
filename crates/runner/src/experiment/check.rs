//! What no type forbids.

use super::limits::{MOST, MOST_JOBS, MOST_RETRIES, MOST_RUNS, MOST_THREADS, grouped, within};
use super::{Experiment, Jobs};
use actlab_core::data::Catalogue;
use std::collections::HashSet;

/// What is wrong with the value at a key.
pub(super) struct Refusal {
    pub(super) key: String,
    /// Keys of other values that it must fit.
    pub(super) others: Vec<&'static str>,
    pub(super) message: String,
}

impl Refusal {
    fn with(self, others: &[&'static str]) -> Self {
        Self { others: others.to_vec(), ..self }
    }
}

/// Bytes of a name that is a part of a folder's.
const LONGEST_NAME: usize = 100;

fn refuse<T>(key: &str, message: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { key: key.to_owned(), others: Vec::new(), message: message.into() })
}

/// The error of a part of the experiment, whose keys are below `table`.
fn below(table: &str) -> impl Fn((String, String)) -> Refusal {
    move |(key, message)| Refusal { key: format!("{table}.{key}"), others: Vec::new(), message }
}

impl Experiment {
    /// Refuses what no type forbids; the error is a key and what is wrong with it.
    pub(super) fn check(&self) -> Result<(), Refusal> {
        self.check_names()?;
        self.check_folders()?;
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
        if self.name == "runs" {
            return refuse("name", "must not be `runs`: folders of that name hold runs");
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
                && !self.left_out.contains(task)
            {
                let known: Vec<_> = self.tasks.keys().map(String::as_str).collect();
                let near = activation::nearest(task, known.iter().copied());
                let near = activation::did_you_mean(&near);
                let message =
                    format!("there is no task `{task}`{near}; the tasks are {}", known.join(", "));
                return refuse(&format!("overrides[{i}].task"), message)
                    .map_err(|refusal| refusal.with(&["tasks"]));
            }
        }
        Ok(())
    }

    fn check_folders(&self) -> Result<(), Refusal> {
        for (key, folder) in [("output", &self.output), ("data_dir", &self.data_dir)] {
            if folder.as_os_str().is_empty() {
                return refuse(key, "must name a folder: `.` is the one in which actlab is called");
            }
        }
        let fetched = || Catalogue::entries().iter().filter(|entry| entry.is_remote());
        for (name, folder) in &self.data_folders {
            let key = format!("data_folders.{name}");
            if !fetched().any(|entry| entry.name == name) {
                let known: Vec<&str> = fetched().map(|entry| entry.name).collect();
                let near =
                    activation::did_you_mean(&activation::nearest(name, known.iter().copied()));
                let message = format!(
                    "no data set of this name is read from a folder{near}; those are {}",
                    known.join(", ")
                );
                return refuse(&key, message);
            }
            if folder.as_os_str().is_empty() {
                return refuse(&key, "must name a folder");
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
            within(count, MOST, key).or_else(|message| refuse(key, message))?;
        }
        within(self.overrides.len(), MOST, "overrides")
            .or_else(|message| refuse("overrides", message))?;
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
            )
            .map_err(|refusal| refusal.with(&["activations"]));
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
                .map_err(|error| below("sequential")(error).with(&["seeds"]))?;
            if self.tune.is_some() {
                return refuse(
                    "sequential",
                    "cannot be combined with `tune`: tune first, then set what was found",
                )
                .map_err(|refusal| refusal.with(&["tune"]));
            }
        }
        if let Some(tune) = &self.tune {
            tune.check(&self.seeds).map_err(|error| below("tune")(error).with(&["seeds"]))?;
        }
        if let Some(search) = &self.search {
            for (other, there) in
                [("tune", self.tune.is_some()), ("sequential", self.sequential.is_some())]
            {
                if there {
                    let message = format!(
                        "cannot be combined with `{other}`: search first, then put what was found into `activations`"
                    );
                    return refuse("search", message).map_err(|refusal| refusal.with(&[other]));
                }
            }
            search
                .check(&self.seeds, self.tasks.len())
                .map_err(|error| below("search")(error).with(&["seeds"]))?;
        }
        Ok(())
    }
}

fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty() && name.chars().all(plain) && !name.starts_with('.')
}
