use crate::execute::{Job, worker};
use crate::{Error, interrupt};
use std::io::{BufRead, Read};

/// Trains the run that the first line of standard input describes. Whoever gave it keeps its end open; when that
/// closes, also because the other is dead, the run is stopped so that it can go on later.
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
    worker::work(&job).map(drop)
}
