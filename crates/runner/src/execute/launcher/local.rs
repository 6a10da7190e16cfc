//! Processes of this machine.

use super::sharing::Sharing;
use super::{End, Launcher, Scope};
use crate::Error;
use crate::environment::{memory_available, memory_of, most_memory_of};
use crate::execute::{Job, LOOK, TICK};
use crate::interrupt;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tracking::Notice;

/// Lines of a worker's own words that are kept for the reason of its death.
const LAST_WORDS: usize = 5;

/// Beginning of the line in which a worker says why it gives up.
const ERROR: &str = "error: ";

/// What one run may use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Limits {
    /// Wall time.
    pub(crate) time: Option<Duration>,
    /// Resident bytes.
    pub(crate) memory: Option<u64>,
}

/// Starts each job in a process of this machine.
///
/// A worker reads its job from standard input and stops when that ends: so it also does when this process is
/// killed.
pub(crate) struct Local {
    jobs: usize,
    /// Whether memory may keep it from starting as many jobs as it may.
    auto: bool,
    limits: Limits,
    notice: Notice,
    /// Devices that jobs are spread over; where there are none, each job is trained on the device that it names.
    devices: Vec<String>,
    /// Devices of a job, at most.
    most: usize,
    running: Vec<Running>,
    /// Most resident bytes that a run has had.
    largest: u64,
    /// When the memory of runs was last looked at.
    looked: Option<Instant>,
    sharing: Sharing,
}

struct Running {
    token: String,
    devices: Vec<String>,
    child: Child,
    /// Open for as long as the worker shall continue.
    input: Option<ChildStdin>,
    said: Arc<Mutex<VecDeque<String>>>,
    reader: JoinHandle<()>,
    started: Instant,
    /// Resident bytes when they were last looked at.
    used: u64,
    /// The limit that it went over.
    over: Option<String>,
}

impl Local {
    /// Runs at most `jobs` at a time, and where `auto` is set no more than memory allows; `notice` prints a line.
    pub(crate) fn new(jobs: usize, auto: bool, limits: Limits, notice: Notice) -> Self {
        Self {
            jobs,
            auto,
            limits,
            notice,
            devices: Vec::new(),
            most: 1,
            running: Vec::new(),
            largest: 0,
            looked: None,
            sharing: Sharing::open(),
        }
    }

    /// Spreads jobs over `devices`, of which a job takes at most so many.
    pub(crate) fn over(self, devices: Vec<String>, most: usize) -> Self {
        Self { devices, most, ..self }
    }

    /// The devices that one more job may take, those that the fewest use first.
    fn places(&self) -> Vec<String> {
        let used: Vec<&str> =
            self.running.iter().flat_map(|one| &one.devices).map(String::as_str).collect();
        least_used(&self.devices, &used)
    }

    /// How many jobs the devices of the next one have memory for.
    fn room_on_devices(&mut self) -> usize {
        let mut room = usize::MAX;
        for device in self.places().into_iter().take(self.most) {
            let there = self.running.iter().filter(|one| one.devices.contains(&device));
            let ages: Vec<Duration> = there.map(|one| one.started.elapsed()).collect();
            let youngest = ages.iter().min().copied().unwrap_or_default();
            room = room.min(self.sharing.room(&device, ages.len(), youngest));
        }
        room
    }

    /// The devices for `job`: one for each of its replicas, where there are as many.
    fn place(&self, job: &Job) -> Vec<String> {
        let mut devices = self.places();
        devices.truncate(job.spec.training.replicas.max(1));
        if devices.is_empty() { vec![job.context.device.clone()] } else { devices }
    }

    /// Runs one job to its end; an interrupt stops it.
    pub(crate) fn run(&mut self, job: &Job) -> Result<End, Error> {
        self.start(job)?;
        loop {
            if interrupt::interrupted() {
                self.stop();
            }
            if let Some((_, end)) = self.ended()?.into_iter().next() {
                return Ok(end);
            }
            std::thread::sleep(TICK);
        }
    }

    fn start(&mut self, job: &Job) -> Result<(), Error> {
        let program = program();
        let mut command = Command::new(&program);
        command.arg("worker").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        // A worker logs nothing.
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(tracking::is_secret) {
                command.env_remove(name);
            }
        }
        #[cfg(unix)]
        {
            use std::os::unix::process::CommandExt;
            // Ctrl-C is for this process, which tells the workers.
            command.arg0("actlab").process_group(0);
        }
        let mut child = command.spawn().map_err(Error::io("start", &program))?;
        let mut input = child.stdin.take();
        let mut job = job.clone();
        let devices = self.place(&job);
        job.context.device.clone_from(&devices[0]);
        job.context.other_devices = devices[1..].to_vec();
        let json = serde_json::to_vec(&job).unwrap_or_default();
        if let Some(input) = &mut input {
            // A worker that dies at once is met when it is waited for.
            let _ = input.write_all(&json).and_then(|()| input.write_all(b"\n"));
        }
        let said = Arc::new(Mutex::new(VecDeque::new()));
        let (words, notice, label) = (Arc::clone(&said), self.notice.clone(), job.spec.label());
        let errors = child.stderr.take();
        let reader = std::thread::Builder::new().spawn(move || {
            let lines = errors.into_iter().flat_map(|errors| BufReader::new(errors).split(b'\n'));
            for line in lines.map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).trim_end().to_owned();
                if !line.starts_with(ERROR) {
                    notice(&format!("{label}: {line}"));
                }
                let mut words = words.lock().unwrap_or_else(PoisonError::into_inner);
                if words.len() == LAST_WORDS {
                    words.pop_front();
                }
                words.push_back(line);
            }
        });
        let reader = match reader {
            Ok(reader) => reader,
            Err(error) => {
                // It has trained nothing, or what it kept is resumed.
                let _ = child.kill().and_then(|()| child.wait());
                return Err(Error::io("start a thread for", &program)(error));
            }
        };
        self.running.push(Running {
            token: job.token,
            devices,
            child,
            input,
            said,
            reader,
            started: Instant::now(),
            used: 0,
            over: None,
        });
        Ok(())
    }
}

impl Launcher for Local {
    fn room(&mut self) -> usize {
        let free = self.jobs.saturating_sub(self.running.len());
        let free = if free > 0 { free.min(self.room_on_devices()) } else { 0 };
        if self.auto && free > 0 && !self.running.is_empty() {
            // One more only where it will fit beside the others, of which some may still grow.
            let growth = |one: &Running| self.largest.saturating_sub(one.used);
            let growth: u64 = self.running.iter().map(growth).sum();
            if memory_available().is_some_and(|available| available < growth + self.largest) {
                return 0;
            }
        }
        free
    }

    fn launch(&mut self, jobs: &[Job]) -> Result<(), Error> {
        jobs.iter().try_for_each(|job| self.start(job))
    }

    fn ended(&mut self) -> Result<Vec<(String, End)>, Error> {
        let mut ended = Vec::new();
        // Each reading costs time of the system, which slows the runs.
        let due = self.looked.is_none_or(|looked| looked.elapsed() >= LOOK);
        if due {
            self.looked = Some(Instant::now());
        }
        let mut i = 0;
        while i < self.running.len() {
            let one = &mut self.running[i];
            let id = one.child.id();
            let most = due.then(|| most_memory_of(id)).flatten();
            self.largest = self.largest.max(most.unwrap_or(0));
            if due {
                one.used = memory_of(id).unwrap_or(0);
            }
            let status = one.child.try_wait().map_err(Error::io("wait for", &program()))?;
            match status {
                Some(status) => {
                    let one = self.running.swap_remove(i);
                    ended.push((one.token.clone(), one.end(status)));
                }
                None => {
                    one.check(self.limits, most);
                    i += 1;
                }
            }
        }
        Ok(ended)
    }

    fn stop(&mut self) {
        for one in &mut self.running {
            one.input = None;
        }
    }
}

impl Running {
    /// Kills it where it uses more than it may.
    fn check(&mut self, limits: Limits, most: Option<u64>) {
        let time = limits.time.filter(|limit| self.started.elapsed() > *limit);
        let memory = limits.memory.filter(|limit| most.is_some_and(|most| most > *limit));
        let over = match (time, memory) {
            (Some(limit), _) => {
                format!("it took longer than its limit of {} s", limit.as_secs_f64())
            }
            (_, Some(limit)) => {
                format!("it took more memory than its limit of {} MiB", limit >> 20)
            }
            _ => return,
        };
        if self.over.is_none() {
            self.over = Some(over);
            let _ = self.child.kill();
        }
    }

    fn end(self, status: ExitStatus) -> End {
        // What it said is whole when its end of the pipe is closed; a process that it left behind may hold it.
        let waiting = Instant::now();
        while !self.reader.is_finished() && waiting.elapsed() < Duration::from_secs(1) {
            std::thread::sleep(Duration::from_millis(1));
        }
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        // One that ended well in the very moment in which it went over a limit has a record.
        if let Some(reason) = self.over.filter(|_| !status.success()) {
            return End::Died { reason, again: false };
        }
        let error = said.iter().rev().find_map(|line| line.strip_prefix(ERROR));
        match (status.code(), error) {
            (Some(0), _) => End::Done,
            (Some(130), _) => End::Stopped,
            (Some(code), Some(error)) => {
                let alone = code == i32::from(Error::THIS_RUN_ALONE);
                let scope = if alone { Scope::Run } else { Scope::Sweep };
                End::Refused { reason: error.to_owned(), scope }
            }
            _ => {
                let last: Vec<&str> =
                    said.iter().map(String::as_str).filter(|line| !line.is_empty()).collect();
                let words =
                    if last.is_empty() { String::new() } else { format!(": {}", last.join("; ")) };
                End::Died { reason: format!("{}{words}", how(status)), again: true }
            }
        }
    }
}

/// `devices`, those that the fewest jobs use first, where `used` has the devices of all.
fn least_used(devices: &[String], used: &[&str]) -> Vec<String> {
    let mut devices = devices.to_vec();
    devices.sort_by_key(|device| used.iter().filter(|one| *one == device).count());
    devices
}

/// How a process died, in words.
fn how(status: ExitStatus) -> String {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        let name = match signal {
            4 => " (illegal instruction)",
            6 => " (abort)",
            7 => " (bus error)",
            8 => " (arithmetic error)",
            9 => " (kill: by a user, or by the system where memory is short)",
            11 => " (segmentation fault, or stack overflow)",
            _ => "",
        };
        return format!("its process died of signal {signal}{name}");
    }
    match status.code() {
        Some(code) => format!("its process ended with code {code}"),
        None => "its process died".to_owned(),
    }
}

/// This very program, also where its file has been replaced since it began.
fn program() -> PathBuf {
    let own = PathBuf::from("/proc/self/exe");
    if own.exists() { own } else { std::env::current_exe().unwrap_or_else(|_| "actlab".into()) }
}

#[cfg(test)]
mod tests {
    use super::least_used;

    #[test]
    fn jobs_are_spread_evenly() {
        let devices = ["cuda:0", "cuda:1", "cuda:2"].map(str::to_owned);
        let next = |used: &[&str]| least_used(&devices, used);
        assert_eq!(next(&[]), devices);
        assert_eq!(next(&["cuda:0"]), ["cuda:1", "cuda:2", "cuda:0"]);
        assert_eq!(next(&["cuda:1", "cuda:0"])[0], "cuda:2");
        assert_eq!(next(&["cuda:1", "cuda:0", "cuda:2"]), devices);
        assert_eq!(next(&["cuda:0", "cuda:0", "cuda:2"]), ["cuda:1", "cuda:2", "cuda:0"]);
        assert!(least_used(&[], &["cpu"]).is_empty());
    }
}
