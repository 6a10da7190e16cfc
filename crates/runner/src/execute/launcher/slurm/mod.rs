//! Tasks of a Slurm cluster: jobs go out as arrays, and come back through the folder of the sweep, which every node
//! sees.

mod cluster;
mod script;
mod submission;

pub(crate) use submission::write_end;

use super::{End, Launcher, Limits};
use crate::execute::{Job, Token};
use crate::{Error, interrupt};
use cluster::Cluster;
use record::{RunId, write_atomically};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use submission::{Found, Submission, end_notes};
use tracking::Notice;

/// Tasks of an array at most: clusters take a thousand by default.
const LARGEST_ARRAY: usize = 1000;

/// How often the folder is looked at for what tasks say.
const LOOK: Duration = Duration::from_secs(1);

/// How often the cluster is asked about its tasks.
const ASK: Duration = Duration::from_secs(5);

/// How long a task that is gone may take to say how its runs ended: a shared folder may show it late.
const GRACE: Duration = Duration::from_secs(10);

/// States of a task that will do no more (`man squeue`, "Job state codes").
const OVER: [&str; 11] = [
    "BOOT_FAIL",
    "CANCELLED",
    "COMPLETED",
    "DEADLINE",
    "FAILED",
    "NODE_FAIL",
    "OUT_OF_MEMORY",
    "PREEMPTED",
    "REVOKED",
    "SPECIAL_EXIT",
    "TIMEOUT",
];

/// What is asked of a Slurm cluster.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SlurmSettings {
    /// `--partition`.
    pub(crate) partition: Option<String>,
    /// `--account`.
    pub(crate) account: Option<String>,
    /// Time of a task, as in `4:00:00`. A minute before its end, runs are stopped and then continue in another task.
    pub(crate) time: Option<String>,
    /// Memory of a task, as in `8G`.
    pub(crate) memory: Option<String>,
    /// GPUs of a task: where nothing is said and the device is a GPU, as many as a run has replicas.
    pub(crate) gpus: Option<u32>,
    /// Runs of a task, one after the other: so that short ones do not spend their time in the queue.
    pub(crate) runs_per_task: usize,
    /// Tasks at a time, at most.
    pub(crate) tasks_at_once: Option<usize>,
    /// Image that `apptainer exec` runs tasks in, with `actlab` on its path; the nodes' own program where absent.
    pub(crate) container: Option<PathBuf>,
    /// Further options of `sbatch`, as in `--qos=low`.
    pub(crate) options: Vec<String>,
    /// Lines of shell before a task begins, as in `module load cuda`.
    pub(crate) setup: Vec<String>,
}

impl Default for SlurmSettings {
    fn default() -> Self {
        Self {
            partition: None,
            account: None,
            time: None,
            memory: None,
            gpus: None,
            runs_per_task: 1,
            tasks_at_once: None,
            container: None,
            options: Vec::new(),
            setup: Vec::new(),
        }
    }
}

/// What a task is to do: runs, one after the other.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Task {
    pub(crate) jobs: Vec<Job>,
    pub(crate) limits: Limits,
}

/// Gives jobs to Slurm.
pub(crate) struct Slurm {
    cluster: Cluster,
    settings: SlurmSettings,
    limits: Limits,
    name: String,
    /// Folder of the tasks, below that of the sweep.
    folder: PathBuf,
    notice: Notice,
    /// Jobs that are out, and the folder, array and task that they are in.
    out: BTreeMap<Token, Place>,
    /// Those that an earlier process gave out.
    before: BTreeMap<RunId, Token>,
    looked: Option<Instant>,
    asked: Option<Instant>,
    /// Whether Slurm's last answer was one.
    silent: bool,
    detached: bool,
    batches: u64,
}

#[derive(Debug, Clone)]
struct Place {
    folder: PathBuf,
    array: u64,
    task: usize,
    /// Since when the task is gone, and how.
    gone: Option<(Instant, String)>,
}

impl Slurm {
    /// For the sweep `name`, whose folder is `sweep`; continues with what an earlier process has given out.
    ///
    /// # Errors
    /// If Slurm is not here, or what an earlier process has left cannot be read.
    pub(crate) fn new(
        settings: SlurmSettings,
        limits: Limits,
        name: &str,
        sweep: &Path,
        notice: Notice,
    ) -> Result<Self, Error> {
        let mut slurm = Self::idle(Cluster::default(), settings, limits, name, sweep, notice);
        if let Err(error) = slurm.cluster.try_it() {
            return Err(Error::Usage(format!(
                "cannot start sbatch ({error}): --launcher slurm is for the login node of a Slurm cluster"
            )));
        }
        slurm.find_earlier()?;
        Ok(slurm)
    }

    fn idle(
        cluster: Cluster,
        settings: SlurmSettings,
        limits: Limits,
        name: &str,
        sweep: &Path,
        notice: Notice,
    ) -> Self {
        Self {
            cluster,
            settings,
            limits,
            name: name.to_owned(),
            folder: sweep.join("slurm"),
            notice,
            out: BTreeMap::new(),
            before: BTreeMap::new(),
            looked: None,
            asked: None,
            silent: false,
            detached: false,
            batches: 0,
        }
    }

    /// Tasks that continue since an earlier process submitted them.
    fn find_earlier(&mut self) -> Result<(), Error> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(source) => return Err(Error::io("read", &self.folder)(source)),
        };
        for entry in entries {
            let folder = entry.map_err(Error::io("read", &self.folder))?.path();
            self.find_submission(&folder)?;
        }
        if self.out.is_empty() {
            return Ok(());
        }
        // A task that is gone without a word has no owner.
        let Some(states) = self.states() else {
            return Err(unanswered());
        };
        self.out.retain(|_, place| over(&states, place).is_none());
        let alive: BTreeSet<&Token> = self.out.keys().collect();
        self.before.retain(|_, token| alive.contains(token));
        if !self.before.is_empty() {
            let runs = self.before.len();
            (self.notice)(&format!(
                "Slurm: {runs} runs continue since an earlier sweep submitted them"
            ));
        }
        Ok(())
    }

    /// The jobs that were submitted from `folder` and have not ended.
    fn find_submission(&mut self, folder: &Path) -> Result<(), Error> {
        let name = || {
            let batch = folder.file_name().unwrap_or_default().to_string_lossy();
            script::job_name(&self.settings, &self.name, &batch)
        };
        let mut submission = match Submission::find(folder, name) {
            Found::Nothing => return Ok(()),
            Found::Submission(submission) => submission,
            Found::Damaged(reason, submission) => {
                (self.notice)(&format!(
                    "Slurm: submission.json in {} is damaged ({reason}); its job is looked for by the name {}",
                    folder.display(),
                    submission.name
                ));
                submission
            }
        };
        let ended = end_notes(folder);
        if submission.tasks.iter().flatten().all(|(token, _)| ended.contains_key(token)) {
            return Ok(());
        }
        let array = match submission.array {
            Some(array) => array,
            None => {
                let Some(array) = self.find_job(folder, &submission.name)? else { return Ok(()) };
                submission.array = Some(array);
                submission.write(folder)?;
                array
            }
        };
        for (task, jobs) in submission.tasks.into_iter().enumerate() {
            for (token, run) in jobs.into_iter().filter(|(token, _)| !ended.contains_key(token)) {
                let place = Place { folder: folder.to_owned(), array, task, gone: None };
                self.out.insert(token.clone(), place);
                self.before.insert(run, token);
            }
        }
        Ok(())
    }

    /// Number of the job `name`, whose sweep ended before it had written it down; none where the job was not submitted,
    /// or is forgotten.
    fn find_job(&self, folder: &Path, name: &str) -> Result<Option<u64>, Error> {
        // An sbatch that has outlived its sweep may still run.
        let young = fs::metadata(folder)
            .and_then(|metadata| metadata.modified())
            .is_ok_and(|time| time.elapsed().is_ok_and(|age| age < GRACE));
        let looking = Instant::now();
        loop {
            let found = self.cluster.find(name).map_err(|words| {
                (self.notice)(&format!("squeue does not answer ({words})"));
                unanswered()
            })?;
            if found.is_some() || !young || looking.elapsed() >= GRACE {
                return Ok(found);
            }
            if interrupt::interrupted() {
                return Err(Error::Interrupted(interrupt::how_to_resume()));
            }
            std::thread::sleep(LOOK);
        }
    }

    /// State of every task of the arrays that are out, by `ARRAY_TASK`; nothing where Slurm does not answer.
    fn states(&mut self) -> Option<HashMap<String, String>> {
        let arrays: BTreeSet<u64> = self.out.values().map(|place| place.array).collect();
        let mut states = HashMap::new();
        for array in arrays {
            match self.cluster.states(array) {
                Ok(answer) => states.extend(answer),
                Err(words) => {
                    if !self.silent {
                        (self.notice)(&format!(
                            "squeue does not answer ({words}); it is asked again"
                        ));
                    }
                    self.silent = true;
                    return None;
                }
            }
        }
        self.silent = false;
        Some(states)
    }

    fn submit(&mut self, jobs: &[Job]) -> Result<(), Error> {
        self.batches += 1;
        let batch = format!("{}-{:.3}-{}", std::process::id(), record::now(), self.batches);
        let folder = self.folder.join(&batch);
        fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
        let tasks: Vec<&[Job]> = jobs.chunks(self.settings.runs_per_task.max(1)).collect();
        for (number, jobs) in tasks.iter().enumerate() {
            let task = Task { jobs: jobs.to_vec(), limits: self.limits };
            let json = serde_json::to_vec(&task).unwrap_or_default();
            write_atomically(&folder.join(format!("{number}.json")), &json)?;
        }
        let name = script::job_name(&self.settings, &self.name, &batch);
        let path = folder.join("task.sh");
        let threads = jobs.first().map_or(1, |job| job.context.threads);
        let script = script::script(&self.settings, &name, &folder, tasks.len(), threads)?;
        write_atomically(&path, &script)?;
        let named = |jobs: &&[Job]| -> Vec<(Token, RunId)> {
            jobs.iter().map(|job| (job.token.clone(), job.spec.id())).collect()
        };
        let mut submission =
            Submission { name, array: None, tasks: tasks.iter().map(named).collect() };
        // Written first: whatever happens from here on, the next process finds the job.
        submission.write(&folder)?;
        let array = match self.cluster.submit(&path) {
            Ok(array) => array,
            Err(words) => self.taken_after_all(&folder, &submission.name, &path, &words)?,
        };
        submission.array = Some(array);
        submission.write(&folder)?;
        for (task, jobs) in submission.tasks.into_iter().enumerate() {
            for (token, _) in jobs {
                self.out.insert(token, Place { folder: folder.clone(), array, task, gone: None });
            }
        }
        (self.notice)(&format!(
            "Slurm: job {array} with {} {}",
            tasks.len(),
            if tasks.len() == 1 { "task" } else { "tasks" }
        ));
        Ok(())
    }

    /// The number of a job that sbatch has failed to tell, with `words`: where an answer was lost on its way, the
    /// cluster has it.
    fn taken_after_all(
        &self,
        folder: &Path,
        name: &str,
        script: &Path,
        words: &str,
    ) -> Result<u64, Error> {
        match self.cluster.find(name) {
            Ok(Some(array)) => {
                (self.notice)(&format!(
                    "Slurm: sbatch failed ({words}), but job {array} was submitted"
                ));
                return Ok(array);
            }
            // It is certain that nothing runs.
            Ok(None) => Submission::remove(folder)?,
            Err(_) => {}
        }
        Err(Error::Usage(format!("sbatch refuses {}: {words}", script.display())))
    }
}

/// The error of a cluster that cannot be asked, where tasks may run.
fn unanswered() -> Error {
    Error::Usage("squeue does not answer, and an earlier sweep has left tasks: try again".into())
}

/// How the task at `place` ended, if it has.
fn over(states: &HashMap<String, String>, place: &Place) -> Option<String> {
    match states.get(&format!("{}_{}", place.array, place.task)) {
        None => Some("forgotten".to_owned()),
        Some(state) => OVER.contains(&state.as_str()).then(|| state.clone()),
    }
}

impl Launcher for Slurm {
    fn room(&mut self) -> usize {
        usize::MAX
    }

    fn running(&mut self, run: &RunId) -> Option<Token> {
        self.before.remove(run)
    }

    fn launch(&mut self, jobs: &[Job]) -> Result<(), Error> {
        let most = LARGEST_ARRAY * self.settings.runs_per_task.max(1);
        jobs.chunks(most).try_for_each(|jobs| self.submit(jobs))
    }

    fn ended(&mut self) -> Result<Vec<(Token, End)>, Error> {
        if self.detached {
            let out = std::mem::take(&mut self.out);
            return Ok(out.into_keys().map(|token| (token, End::Stopped)).collect());
        }
        let due = |last: Option<Instant>, pause| last.is_none_or(|last| last.elapsed() >= pause);
        if self.out.is_empty() || !due(self.looked, LOOK) {
            return Ok(Vec::new());
        }
        self.looked = Some(Instant::now());
        let mut ended = Vec::new();
        let folders: BTreeSet<PathBuf> =
            self.out.values().map(|place| place.folder.clone()).collect();
        for folder in folders {
            for (token, end) in end_notes(&folder) {
                if self.out.remove(&token).is_some() {
                    ended.push((token, end));
                }
            }
        }
        if due(self.asked, ASK) {
            self.asked = Some(Instant::now());
            if let Some(states) = self.states() {
                for place in self.out.values_mut() {
                    // Since when it is gone: the first answer that says so counts.
                    let since = place.gone.take();
                    place.gone = over(&states, place)
                        .map(|how| since.unwrap_or_else(|| (Instant::now(), how)));
                }
            }
        }
        let lost: Vec<Token> = self
            .out
            .iter()
            .filter(|(_, place)| place.gone.as_ref().is_some_and(|gone| gone.0.elapsed() >= GRACE))
            .map(|(token, _)| token.clone())
            .collect();
        for token in lost {
            if let Some(Place { array, task, gone: Some((_, how)), .. }) = self.out.remove(&token) {
                let reason = format!("its Slurm task {array}_{task} is gone ({how})");
                ended.push((token, End::Lost { reason }));
            }
        }
        Ok(ended)
    }

    fn stop(&mut self) {
        let arrays: BTreeSet<u64> = self.out.values().map(|place| place.array).collect();
        if !arrays.is_empty() {
            let arrays: Vec<String> = arrays.iter().map(ToString::to_string).collect();
            let arrays = arrays.join(" ");
            (self.notice)(&format!(
                "Slurm continues with {arrays}: the same command follows it again, `scancel {arrays}` ends it"
            ));
        }
        self.detached = true;
    }
}
