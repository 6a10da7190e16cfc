//! How busy the machine is while runs go on, and what energy they take.

mod nvml;
mod rapl;

use nvml::Gpus;
use rapl::Rapl;
use record::SystemSample;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

/// Takes a sample of a run.
type Take = Box<dyn FnMut(SystemSample) + Send>;

/// Reads the machine's figures at a low rate, on a thread of its own.
#[derive(Debug)]
pub struct Sampler {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    stopping: Condvar,
}

#[derive(Debug)]
struct State {
    meters: Meters,
    watched: Vec<Watched>,
    next: u64,
    stop: bool,
}

/// A run that goes on.
struct Watched {
    number: u64,
    /// The GPU that it trains on.
    gpu: Option<u32>,
    take: Take,
    /// Its share of the energy since its last sample.
    cpu_joules: Option<f64>,
    gpu_joules: Vec<(u32, f64)>,
    /// Its share of all energy, that of GPUs that it does not use left out.
    total: Option<f64>,
}

impl std::fmt::Debug for Watched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watched").field("number", &self.number).finish_non_exhaustive()
    }
}

/// A run that is sampled until this is dropped.
#[derive(Debug)]
pub struct Watch {
    shared: Arc<Shared>,
    number: u64,
}

impl Sampler {
    /// Samples every `interval`.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(interval: Duration) -> std::io::Result<Self> {
        let state = State { meters: Meters::open(), watched: Vec::new(), next: 0, stop: false };
        let shared = Arc::new(Shared { state: Mutex::new(state), stopping: Condvar::new() });
        let theirs = Arc::clone(&shared);
        let thread =
            std::thread::Builder::new().name("system metrics".into()).spawn(move || {
                let mut state = theirs.state();
                while !state.stop {
                    let (guard, timeout) = theirs
                        .stopping
                        .wait_timeout(state, interval)
                        .unwrap_or_else(PoisonError::into_inner);
                    state = guard;
                    if timeout.timed_out() {
                        state.sample();
                    }
                }
            })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Samples for a run from now on: `take` gets each sample. `gpu` is the GPU that it trains on, whose
    /// energy counts.
    #[must_use]
    pub fn watch(
        &self,
        gpu: Option<u32>,
        take: impl FnMut(SystemSample) + Send + 'static,
    ) -> Watch {
        let mut state = self.shared.state();
        // What was used until now is of the others.
        state.settle();
        let number = state.next;
        state.next += 1;
        state.watched.push(Watched {
            number,
            gpu,
            take: Box::new(take),
            cpu_joules: None,
            gpu_joules: Vec::new(),
            total: None,
        });
        Watch { shared: Arc::clone(&self.shared), number }
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.shared.state().stop = true;
        self.shared.stopping.notify_all();
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported; nothing depends on its samples.
            let _ = thread.join();
        }
    }
}

impl Watch {
    /// Energy that the run took so far in joules, as far as the system tells: an even share of what the
    /// machine took while several runs went on.
    #[must_use]
    pub fn joules(&self) -> Option<f64> {
        let mut state = self.shared.state();
        state.settle();
        state.watched.iter().find(|run| run.number == self.number)?.total
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.settle();
        state.watched.retain(|run| run.number != self.number);
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Figures for charts: a panic elsewhere makes them no worse.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Shares out the energy since the last time.
    fn settle(&mut self) {
        let (cpu, gpus) = self.meters.energy();
        share(&mut self.watched, cpu, &gpus);
    }

    fn sample(&mut self) {
        if self.watched.is_empty() {
            return;
        }
        self.settle();
        let sample = self.meters.sample();
        for run in &mut self.watched {
            let mut sample = sample.clone();
            sample.cpu_joules = run.cpu_joules.take();
            for gpu in &mut sample.gpus {
                let own = run.gpu_joules.iter().find(|(index, _)| *index == gpu.index);
                gpu.joules = own.map(|(_, joules)| *joules);
            }
            run.gpu_joules.clear();
            (run.take)(sample);
        }
    }
}

/// Shares energy evenly among runs: that of the processors among all, that of a GPU among those on it.
#[expect(clippy::cast_precision_loss, reason = "runs are few")]
fn share(watched: &mut [Watched], cpu: Option<f64>, gpus: &[(u32, f64)]) {
    let add = |sum: &mut Option<f64>, joules: f64| *sum = Some(sum.unwrap_or(0.0) + joules);
    let runs = watched.len() as f64;
    if let Some(joules) = cpu {
        for run in watched.iter_mut() {
            add(&mut run.cpu_joules, joules / runs);
            add(&mut run.total, joules / runs);
        }
    }
    for (index, joules) in gpus {
        let on_it = watched.iter().filter(|run| run.gpu == Some(*index)).count() as f64;
        for run in watched.iter_mut().filter(|run| run.gpu == Some(*index)) {
            let part = joules / on_it;
            match run.gpu_joules.iter_mut().find(|(known, _)| known == index) {
                Some((_, sum)) => *sum += part,
                None => run.gpu_joules.push((*index, part)),
            }
            add(&mut run.total, part);
        }
    }
}

/// What the system lets one read.
#[derive(Debug)]
struct Meters {
    system: System,
    pid: Option<Pid>,
    rapl: Rapl,
    gpus: Gpus,
}

impl Meters {
    fn open() -> Self {
        let mut meters = Self {
            system: System::new(),
            pid: sysinfo::get_current_pid().ok(),
            rapl: Rapl::open(rapl::FOLDER.as_ref()),
            gpus: Gpus::open(),
        };
        // Loads are means since the reading before.
        meters.refresh();
        meters
    }

    fn refresh(&mut self) {
        self.system.refresh_cpu_usage();
        self.system.refresh_memory();
        if let Some(pid) = self.pid {
            let kind = ProcessRefreshKind::nothing().with_cpu().with_memory().without_tasks();
            self.system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), false, kind);
        }
    }

    /// Joules since the last reading: of the processors, and of each GPU.
    fn energy(&mut self) -> (Option<f64>, Vec<(u32, f64)>) {
        (self.rapl.joules(), self.gpus.joules())
    }

    #[expect(clippy::cast_precision_loss, reason = "bytes of a machine are far below 2^52")]
    fn sample(&mut self) -> SystemSample {
        self.refresh();
        let process = self.pid.and_then(|pid| self.system.process(pid));
        let cores = self.system.cpus().len().max(1) as f64;
        let memory = self.system.total_memory();
        let used = 100.0 * self.system.used_memory() as f64 / memory.max(1) as f64;
        SystemSample {
            cpu_percent: Some(f64::from(self.system.global_cpu_usage())),
            // sysinfo counts in percent of one processor.
            process_cpu_percent: process.map(|process| f64::from(process.cpu_usage()) / cores),
            memory_percent: (memory > 0).then_some(used),
            memory_available_bytes: (memory > 0).then(|| self.system.available_memory()),
            process_memory_bytes: process.map(sysinfo::Process::memory),
            process_threads: threads(),
            cpu_joules: None,
            gpus: self.gpus.sample(),
        }
    }
}

/// Threads of this process, where the system tells.
fn threads() -> Option<u64> {
    Some(std::fs::read_dir("/proc/self/task").ok()?.count() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    fn run(number: u64, gpu: Option<u32>) -> Watched {
        Watched {
            number,
            gpu,
            take: Box::new(|_| {}),
            cpu_joules: None,
            gpu_joules: Vec::new(),
            total: None,
        }
    }

    #[test]
    fn energy_is_shared_among_the_runs_that_took_it() {
        let mut watched = vec![run(0, Some(1)), run(1, None)];
        share(&mut watched, Some(10.0), &[(0, 7.0), (1, 4.0)]);
        share(&mut watched, Some(2.0), &[(1, 1.0)]);
        assert_eq!(watched[0].total, Some(11.0));
        assert_eq!(watched[0].gpu_joules, [(1, 5.0)]);
        assert_eq!((watched[1].total, watched[1].cpu_joules), (Some(6.0), Some(6.0)));
        share(&mut watched[..0], Some(1.0), &[]);
    }

    #[test]
    fn a_run_is_sampled_while_it_is_watched() {
        let sampler = Sampler::start(Duration::from_millis(20)).unwrap();
        let (give, take) = mpsc::channel();
        let watch = sampler.watch(None, move |sample| drop(give.send(sample)));
        let sample: SystemSample = take.recv_timeout(Duration::from_secs(20)).unwrap();
        assert!(sample.cpu_percent.is_some_and(|load| (0.0..=100.0).contains(&load)));
        assert!(sample.process_memory_bytes.is_some_and(|bytes| bytes > 1 << 20));
        drop(watch);
        // Its channel is gone with it.
        while take.recv_timeout(Duration::from_secs(20)).is_ok() {}
    }
}
