//! Tasks of a Slurm cluster: jobs go out as arrays, and come back through the folder of the sweep, which every node
//! sees.

use super::{End, Launcher, Limits};
use crate::Error;
use crate::execute::{Job, Token};
use record::{RunId, write_atomically};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use tracking::Notice;

/// Tasks of an array at most: clusters take a thousand where nobody has said otherwise.
const LARGEST_ARRAY: usize = 1000;

/// How often the folder is looked at for what tasks say.
const LOOK: Duration = Duration::from_secs(1);

/// How often the cluster is asked about its tasks.
const ASK: Duration = Duration::from_secs(5);

/// How long a task that is gone may take to say how its runs ended: a shared folder may show it late.
const GRACE: Duration = Duration::from_secs(10);

/// Ending of the file in which a task says how one of its runs ended.
const END: &str = ".end.json";
const SUBMISSION: &str = "submission.json";

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
    /// Time of a task, as in `4:00:00`. A minute before its end, runs are stopped and then go on in another task.
    pub(crate) time: Option<String>,
    /// Memory of a task, as in `8G`.
    pub(crate) memory: Option<String>,
    /// GPUs of a task.
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

/// What was given to the cluster, as the next process finds it.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Submission {
    /// Number of the array.
    array: u64,
    /// By task: the tokens of its jobs, and the runs that they are about.
    tasks: Vec<Vec<(Token, RunId)>>,
}

/// Gives jobs to Slurm.
pub(crate) struct Slurm {
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
    /// For the sweep `name`, whose folder is `sweep`; goes on with what an earlier process has given out.
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
        if let Err(error) = Command::new("sbatch").arg("--version").output() {
            return Err(Error::Usage(format!(
                "cannot start sbatch ({error}): --launcher slurm is for the login node of a Slurm cluster"
            )));
        }
        let mut slurm = Self::idle(settings, limits, name, sweep, notice);
        slurm.find_earlier()?;
        Ok(slurm)
    }

    fn idle(
        settings: SlurmSettings,
        limits: Limits,
        name: &str,
        sweep: &Path,
        notice: Notice,
    ) -> Self {
        Self {
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

    /// Tasks that go on since an earlier process submitted them.
    fn find_earlier(&mut self) -> Result<(), Error> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(source) => return Err(Error::io("read", &self.folder)(source)),
        };
        for entry in entries {
            let folder = entry.map_err(Error::io("read", &self.folder))?.path();
            let path = folder.join(SUBMISSION);
            let Ok(text) = fs::read_to_string(&path) else { continue };
            let Ok(submission) = serde_json::from_str::<Submission>(&text) else { continue };
            let ended = self.end_notes(&folder)?;
            for (task, jobs) in submission.tasks.into_iter().enumerate() {
                for (token, run) in jobs {
                    if !ended.contains_key(&token) {
                        let (folder, array) = (folder.clone(), submission.array);
                        self.out.insert(token.clone(), Place { folder, array, task, gone: None });
                        self.before.insert(run, token);
                    }
                }
            }
        }
        if self.out.is_empty() {
            return Ok(());
        }
        // What is gone without a word is nobody's any more.
        let Some(states) = self.states() else {
            return Err(Error::Usage(
                "squeue does not answer, and an earlier sweep has left tasks: try again".into(),
            ));
        };
        self.out.retain(|_, place| over(&states, place).is_none());
        let alive: BTreeSet<&Token> = self.out.keys().collect();
        self.before.retain(|_, token| alive.contains(token));
        if !self.before.is_empty() {
            let runs = self.before.len();
            (self.notice)(&format!(
                "Slurm: {runs} runs go on since an earlier sweep submitted them"
            ));
        }
        Ok(())
    }

    /// How runs in `folder` ended, by their tokens, as far as their tasks have said so.
    fn end_notes(&self, folder: &Path) -> Result<BTreeMap<Token, End>, Error> {
        let mut notes = BTreeMap::new();
        for entry in fs::read_dir(folder).map_err(Error::io("read", folder))? {
            let path = entry.map_err(Error::io("read", folder))?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            let Some(token) = name.and_then(|name| name.strip_suffix(END)) else { continue };
            let text = fs::read_to_string(&path).map_err(Error::io("read", &path))?;
            let end = serde_json::from_str(&text)
                .map_err(|error| Error::Usage(format!("{} is damaged: {error}", path.display())))?;
            notes.insert(token.to_owned(), end);
        }
        Ok(notes)
    }

    /// State of every task of the arrays that are out, by `ARRAY_TASK`; nothing where Slurm does not answer.
    fn states(&mut self) -> Option<HashMap<String, String>> {
        let mut arrays: Vec<String> =
            self.out.values().map(|place| place.array.to_string()).collect();
        arrays.sort_unstable();
        arrays.dedup();
        let mut states = HashMap::new();
        for array in arrays {
            let output = Command::new("squeue")
                .args(["--noheader", "--array", "--states=all", "--format=%i|%T", "--jobs", &array])
                .output();
            let (answer, trouble) = match output {
                Ok(output) if output.status.success() => (output.stdout, None),
                // One that ended long ago is forgotten.
                Ok(output)
                    if String::from_utf8_lossy(&output.stderr).contains("Invalid job id") =>
                {
                    (Vec::new(), None)
                }
                Ok(output) => {
                    let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
                    (Vec::new(), Some(words))
                }
                Err(error) => (Vec::new(), Some(error.to_string())),
            };
            if let Some(trouble) = trouble {
                if !self.silent {
                    (self.notice)(&format!(
                        "squeue does not answer ({trouble}); it is asked again"
                    ));
                }
                self.silent = true;
                return None;
            }
            self.silent = false;
            for line in String::from_utf8_lossy(&answer).lines() {
                if let Some((task, state)) = line.trim().split_once('|') {
                    states.insert(task.to_owned(), state.to_owned());
                }
            }
        }
        Some(states)
    }

    fn submit(&mut self, jobs: &[Job]) -> Result<(), Error> {
        self.batches += 1;
        let batch = format!("{}-{:.3}-{}", std::process::id(), record::now(), self.batches);
        let folder = self.folder.join(batch);
        fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
        let tasks: Vec<&[Job]> = jobs.chunks(self.settings.runs_per_task.max(1)).collect();
        for (number, jobs) in tasks.iter().enumerate() {
            let task = Task { jobs: jobs.to_vec(), limits: self.limits };
            let json = serde_json::to_vec(&task).unwrap_or_default();
            write_atomically(&folder.join(format!("{number}.json")), &json)?;
        }
        let script = folder.join("task.sh");
        let threads = jobs.first().map_or(1, |job| job.context.threads);
        write_atomically(&script, self.script(&folder, tasks.len(), threads)?.as_bytes())?;
        let output = Command::new("sbatch").arg("--parsable").arg(&script).output();
        let output = output.map_err(Error::io("start", Path::new("sbatch")))?;
        let answer = String::from_utf8_lossy(&output.stdout);
        // The number, and behind a semicolon the cluster where there are several.
        let array = answer.trim().split(';').next().and_then(|number| number.parse().ok());
        let (true, Some(array)) = (output.status.success(), array) else {
            return Err(Error::Usage(format!(
                "sbatch refuses {}: {}",
                script.display(),
                String::from_utf8_lossy(&output.stderr).trim()
            )));
        };
        let named = |jobs: &&[Job]| -> Vec<(Token, RunId)> {
            jobs.iter().map(|job| (job.token.clone(), job.spec.id())).collect()
        };
        let submission = Submission { array, tasks: tasks.iter().map(named).collect() };
        let json = serde_json::to_vec_pretty(&submission).unwrap_or_default();
        write_atomically(&folder.join(SUBMISSION), &json)?;
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

    /// The batch script of `tasks` tasks with their files in `folder`.
    fn script(&self, folder: &Path, tasks: usize, threads: usize) -> Result<String, Error> {
        let SlurmSettings { partition, account, time, memory, gpus, container, .. } =
            &self.settings;
        let at_once =
            self.settings.tasks_at_once.map(|most| format!("%{most}")).unwrap_or_default();
        let folder = std::path::absolute(folder).map_err(Error::io("find", folder))?;
        let folder = folder.display();
        let mut options = vec![
            format!("--job-name=actlab-{}", self.name),
            format!("--array=0-{}{at_once}", tasks - 1),
            format!("--output={folder}/%a.log"),
            format!("--cpus-per-task={threads}"),
            // A task that is lost is submitted again, from its checkpoint.
            "--no-requeue".to_owned(),
            "--signal=B:TERM@60".to_owned(),
        ];
        let words = [
            ("partition", partition.clone()),
            ("account", account.clone()),
            ("time", time.clone()),
            ("mem", memory.clone()),
            ("gpus", gpus.map(|gpus| gpus.to_string())),
        ];
        for (key, value) in words {
            options.extend(value.map(|value| format!("--{key}={value}")));
        }
        options.extend(self.settings.options.iter().cloned());
        let mut script = String::from("#!/bin/bash\n");
        for option in options {
            let _ = writeln!(script, "#SBATCH {option}");
        }
        for line in &self.settings.setup {
            let _ = writeln!(script, "{line}");
        }
        let program = match container {
            Some(image) => {
                let gpus = if gpus.is_some() { "--nv " } else { "" };
                format!("apptainer exec {gpus}{} actlab", quoted(&image.display().to_string()))
            }
            None => {
                let own =
                    std::env::current_exe().map_err(Error::io("find", Path::new("actlab")))?;
                quoted(&own.display().to_string())
            }
        };
        let _ = writeln!(
            script,
            "exec {program} worker {}/\"$SLURM_ARRAY_TASK_ID\".json",
            quoted(&folder.to_string())
        );
        Ok(script)
    }
}

/// The word for a shell.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// How the task at `place` ended, if it has.
fn over(states: &HashMap<String, String>, place: &Place) -> Option<String> {
    match states.get(&format!("{}_{}", place.array, place.task)) {
        None => Some("forgotten".to_owned()),
        Some(state) => OVER.contains(&state.as_str()).then(|| state.clone()),
    }
}

/// Says how the run of `token` ended, in the folder of the task's `file`.
pub(crate) fn write_end(file: &Path, token: &Token, end: &End) -> Result<(), Error> {
    let json = serde_json::to_vec(end).unwrap_or_default();
    Ok(write_atomically(&file.with_file_name(format!("{token}{END}")), &json)?)
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
            for (token, end) in self.end_notes(&folder)? {
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
                ended.push((token, End::Died { reason, again: true }));
            }
        }
        Ok(ended)
    }

    fn stop(&mut self) {
        let mut arrays: Vec<String> =
            self.out.values().map(|place| place.array.to_string()).collect();
        arrays.sort_unstable();
        arrays.dedup();
        if !arrays.is_empty() {
            let arrays = arrays.join(" ");
            (self.notice)(&format!(
                "Slurm goes on with {arrays}: the same command follows it again, `scancel {arrays}` ends it"
            ));
        }
        self.detached = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn the_script_asks_for_what_the_experiment_says() {
        let settings: SlurmSettings = toml::from_str(
            r#"
            partition = "gpu"
            account = "vision"
            time = "4:00:00"
            memory = "8G"
            gpus = 1
            runs_per_task = 4
            tasks_at_once = 50
            container = "/images/act lab.sif"
            options = ["--qos=low"]
            setup = ["module load apptainer"]
            "#,
        )
        .unwrap();
        let sweep = Path::new("/shared/results/wide");
        let slurm = Slurm::idle(settings, Limits::default(), "wide", sweep, Arc::new(|_| {}));
        insta::assert_snapshot!(
            slurm.script(Path::new("/shared/results/wide/slurm/1"), 250, 4).unwrap()
        );
    }
}
