//! How busy the machine is during a run, and what energy it takes.

mod busy;
mod nvml;
mod rapl;

use busy::Busy;
use nvml::Gpus;
use rapl::Rapl;
use record::SystemSample;
use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

/// Takes a sample of the run.
type Take = Box<dyn FnMut(SystemSample) + Send>;

/// Reads the machine's figures for the run of this process at a low rate, on a thread of its own.
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
    energy: Energy,
    stop: bool,
}

/// The GPU that a run trains on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gpu {
    /// Its number, as the driver counts.
    pub index: u32,
    /// Runs that share it.
    pub runs: f64,
}

impl Sampler {
    /// Gives `take` a sample every `interval` until the sampler is dropped. `gpus` are those whose energy counts.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(
        interval: Duration,
        gpus: Vec<Gpu>,
        take: impl FnMut(SystemSample) + Send + 'static,
    ) -> std::io::Result<Self> {
        let energy = Energy { gpus, ..Energy::default() };
        let state = State { meters: Meters::open(), energy, stop: false };
        let shared = Arc::new(Shared { state: Mutex::new(state), stopping: Condvar::new() });
        let theirs = Arc::clone(&shared);
        let mut take: Take = Box::new(take);
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
                        take(state.sample());
                    }
                }
            })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Energy that the run took so far in joules, as far as the system tells: of the processors, in proportion
    /// to the processor time that it used of all that was used; of its GPUs, an even share among their runs.
    #[must_use]
    pub fn joules(&self) -> Option<f64> {
        let mut state = self.shared.state();
        state.settle();
        state.energy.total
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

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Figures for charts: a panic elsewhere makes them no worse.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Counts the energy since the last time.
    fn settle(&mut self) {
        let (cpu, gpus) = self.meters.energy();
        let part = self.meters.busy.part();
        self.energy.add(cpu, part, &gpus);
    }

    fn sample(&mut self) -> SystemSample {
        self.settle();
        let mut sample = self.meters.sample();
        sample.cpu_joules = self.energy.cpu.take();
        for gpu in &mut sample.gpus {
            gpu.joules = self.energy.on_gpus.remove(&gpu.index);
        }
        sample
    }
}

/// What a run took, in joules.
#[derive(Debug, Default)]
struct Energy {
    gpus: Vec<Gpu>,
    /// Since the last sample.
    cpu: Option<f64>,
    /// By the number of the GPU, since the last sample.
    on_gpus: BTreeMap<u32, f64>,
    /// Of all, since the beginning.
    total: Option<f64>,
}

impl Energy {
    /// Adds what the machine took, of whose work `part` was the run's.
    fn add(&mut self, cpu: Option<f64>, part: f64, gpus: &[(u32, f64)]) {
        let add = |sum: &mut Option<f64>, joules: f64| *sum = Some(sum.unwrap_or(0.0) + joules);
        if let Some(joules) = cpu {
            add(&mut self.cpu, joules * part);
            add(&mut self.total, joules * part);
        }
        for gpu in &self.gpus {
            for (index, joules) in gpus.iter().filter(|(index, _)| *index == gpu.index) {
                *self.on_gpus.entry(*index).or_default() += joules / gpu.runs;
                add(&mut self.total, joules / gpu.runs);
            }
        }
    }
}

/// Model name of the GPU with the number that the driver gives it, where there is one and the driver tells.
#[must_use]
pub fn gpu_name(index: u32) -> Option<String> {
    Gpus::open().name(index)
}

/// Name, memory, compute capability and driver of the GPU with the number that the driver gives it, as in
/// `NVIDIA H100 80GB HBM3, 79 GiB, compute capability 9.0, driver 580.95`, where there is one and the driver tells.
#[must_use]
pub fn gpu_details(index: u32) -> Option<String> {
    Gpus::open().details(index)
}

/// Memory of the machine's NVIDIA GPUs, where the driver tells.
#[derive(Debug)]
pub struct GpuMemory(Gpus);

impl GpuMemory {
    /// Looks for the driver.
    #[must_use]
    pub fn open() -> Self {
        Self(Gpus::open())
    }

    /// Bytes in use, and free ones, of the GPU with the number that the driver gives it.
    #[must_use]
    pub fn of(&self, index: u32) -> Option<(u64, u64)> {
        self.0.memory(index)
    }
}

/// What the system lets one read.
#[derive(Debug)]
struct Meters {
    system: System,
    pid: Option<Pid>,
    busy: Busy,
    rapl: Rapl,
    gpus: Gpus,
}

impl Meters {
    fn open() -> Self {
        let mut meters = Self {
            system: System::new(),
            pid: sysinfo::get_current_pid().ok(),
            busy: Busy::open(),
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

    #[test]
    fn energy_is_that_of_the_run() {
        let gpu = |index| Gpu { index, runs: 2.0 };
        let mut energy = Energy { gpus: vec![gpu(1)], ..Energy::default() };
        energy.add(Some(10.0), 0.5, &[(0, 7.0), (1, 4.0)]);
        energy.add(Some(2.0), 1.0, &[(1, 1.0)]);
        assert_eq!((energy.cpu, energy.total), (Some(7.0), Some(9.5)));
        assert_eq!(energy.on_gpus, [(1, 2.5)].into());
        let mut both = Energy { gpus: vec![gpu(1), gpu(0)], ..Energy::default() };
        both.add(None, 0.5, &[(0, 7.0), (1, 4.0), (2, 9.0)]);
        assert_eq!((both.total, both.on_gpus), (Some(5.5), [(0, 3.5), (1, 2.0)].into()));
        let mut nothing = Energy::default();
        nothing.add(None, 1.0, &[(0, 1.0)]);
        assert_eq!(nothing.total, None);
    }

    #[test]
    fn a_run_is_sampled_until_the_sampler_is_dropped() {
        let (give, take) = mpsc::channel();
        let interval = Duration::from_millis(20);
        let sampler =
            Sampler::start(interval, Vec::new(), move |sample| drop(give.send(sample))).unwrap();
        let sample: SystemSample = take.recv_timeout(Duration::from_secs(20)).unwrap();
        assert!(sample.cpu_percent.is_some_and(|load| (0.0..=100.0).contains(&load)));
        assert!(sample.process_memory_bytes.is_some_and(|bytes| bytes > 1 << 20));
        drop(sampler);
        // Its channel is gone with it.
        while take.recv_timeout(Duration::from_secs(20)).is_ok() {}
    }
}
