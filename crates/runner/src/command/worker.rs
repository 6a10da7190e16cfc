use crate::console::note;
use crate::execute::launcher::{End, Local, slurm};
use crate::execute::{Job, worker};
use crate::{Error, interrupt};
use std::io::{BufRead, Read};
use std::path::Path;
use std::sync::Arc;

/// Trains the run that the first line of standard input describes. The process that gave it keeps its end open; when
/// that closes, also because that process is dead, the run is stopped so that it can be resumed.
pub(crate) fn run() -> Result<(), Error> {
    interrupt::install();
    // Where the system is out of memory, this process is the one to kill, not that which looks after it.
    let _ = std::fs::write("/proc/self/oom_score_adj", "500");
    let mut line = String::new();
    let unread =
        |error: &dyn std::fmt::Display| Error::Usage(format!("cannot read the job: {error}"));
    std::io::stdin().lock().read_line(&mut line).map_err(|error| unread(&error))?;
    let job: Job = serde_json::from_str(&line).map_err(|error| unread(&error))?;
    std::thread::spawn(|| {
        let _ = std::io::stdin().lock().read_to_end(&mut Vec::new());
        interrupt::interrupt();
    });
    worker::work(&job).map(drop).map_err(Error::of_a_run)
}

/// Trains the runs of a task on a node of a cluster, each in a process of its own, and says beside `file` how each
/// ended.
pub(crate) fn run_task(file: &Path) -> Result<(), Error> {
    interrupt::install();
    let text = std::fs::read_to_string(file).map_err(Error::io("read", file))?;
    let task: slurm::Task = serde_json::from_str(&text)
        .map_err(|error| Error::Usage(format!("{} is not a task: {error}", file.display())))?;
    let mut local = Local::new(1, false, task.limits, Arc::new(|line| note!("{line}")));
    for job in &task.jobs {
        let end = if interrupt::interrupted() { End::NotStarted } else { local.run(job)? };
        slurm::write_end(file, &job.token, &end)?;
    }
    Ok(())
}
