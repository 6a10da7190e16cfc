//! What a record says of the machine and of the program.

mod memory;

use crate::console;
use actlab_core::DeviceSpec;
use record::{Environment, Git, write_atomically};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::Path;
use tracking::system::gpu_name;

const LOCK: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.lock"));

/// How the source that the program was built from differed from its commit.
const DIFF: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/source.diff"));

/// Keeps in `folder` how the source differed from its commit, where it did: records name it by its hash.
///
/// # Errors
/// If the folder cannot be written.
pub(crate) fn write_diff(folder: &Path) -> Result<(), record::Error> {
    let path = folder.join(format!("source-{}.diff", sha256(DIFF)));
    if DIFF.is_empty() || path.exists() { Ok(()) } else { write_atomically(&path, DIFF) }
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Number that the driver gives the GPU of `device`, where it is one of NVIDIA's: the user may have hidden some and
/// so renumbered them.
pub(crate) fn gpu(device: &str) -> Option<u32> {
    visible_gpu(device, std::env::var("CUDA_VISIBLE_DEVICES").ok())
}

fn visible_gpu(device: &str, visible: Option<String>) -> Option<u32> {
    let number = match device.split_once(':') {
        Some(("cuda", number)) => number.parse::<u32>().ok()?,
        None if device == "cuda" => 0,
        _ => return None,
    };
    match visible.filter(|list| !list.is_empty()) {
        Some(list) => list.split(',').nth(number as usize)?.trim().parse().ok(),
        None => Some(number),
    }
}

/// The environment of runs on `device` with `threads` threads.
pub(crate) fn environment(device: DeviceSpec, threads: usize) -> Environment {
    Environment {
        actlab: env!("CARGO_PKG_VERSION").to_owned(),
        rustc: env!("BUILT_BY_RUSTC").to_owned(),
        target: env!("BUILT_FOR_TARGET").to_owned(),
        features: features(),
        os: os(),
        cpu: cpu(),
        cores: cores(),
        memory_bytes: proc_kib("meminfo", "MemTotal:"),
        gpu: gpu(&device.to_string()).and_then(gpu_name),
        device: device.to_string(),
        threads,
        lock_sha256: sha256(LOCK),
        git: git(),
    }
}

/// Largest resident size of this process so far, in bytes, where the system tells.
pub(crate) fn peak_memory_bytes() -> Option<u64> {
    proc_kib("self/status", "VmHWM:")
}

/// Resident size of the process `id`, in bytes, where the system tells.
pub(crate) fn memory_of(id: u32) -> Option<u64> {
    proc_kib(&format!("{id}/status"), "VmRSS:")
}

/// The largest that this size has been, in bytes.
pub(crate) fn most_memory_of(id: u32) -> Option<u64> {
    proc_kib(&format!("{id}/status"), "VmHWM:")
}

/// Bytes that programs can still have without the machine, or the container that this is, getting short of
/// memory; where the system tells.
pub(crate) fn memory_available() -> Option<u64> {
    memory::available(Path::new("/"))
}

/// Warns of a `memory_limit` that cannot be kept, since the system does not tell what a process uses.
pub(crate) fn check_memory_limit(limit: Option<u64>) {
    if limit.is_some() && memory_of(std::process::id()).is_none() {
        console::warning(
            "memory_limit: this system does not tell how much memory a process uses, so runs are not limited",
        );
    }
}

/// Name of this machine.
pub(crate) fn host() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = name.or_else(|| std::env::var("HOSTNAME").ok());
    name.map_or_else(|| "this machine".to_owned(), |name| name.trim().to_owned())
}

/// Processors that this process may use.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn features() -> Vec<String> {
    let features = [
        ("cuda", cfg!(feature = "cuda")),
        ("wgpu", cfg!(feature = "wgpu")),
        ("vulkan", cfg!(feature = "vulkan")),
        ("metal", cfg!(feature = "metal")),
    ];
    features.into_iter().filter(|(_, on)| *on).map(|(name, _)| name.to_owned()).collect()
}

fn git() -> Option<Git> {
    let commit = env!("BUILT_FROM_COMMIT");
    (!commit.is_empty()).then(|| Git {
        commit: commit.to_owned(),
        dirty: env!("BUILT_FROM_CHANGED_FILES") == "true",
        diff_sha256: (!DIFF.is_empty()).then(|| sha256(DIFF)),
    })
}

fn os() -> String {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    release
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="))
        .map_or_else(|| std::env::consts::OS.to_owned(), |name| name.trim_matches('"').to_owned())
}

/// Name of the processor.
pub(crate) fn cpu() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    info.lines()
        .find(|line| line.starts_with("model name"))
        .and_then(|line| line.split_once(':'))
        .map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.trim().to_owned())
}

fn proc_kib(file: &str, key: &str) -> Option<u64> {
    memory::proc_kib(Path::new("/"), file, key)
}

#[cfg(test)]
mod tests {
    use super::visible_gpu;

    #[test]
    fn a_gpu_keeps_the_number_that_the_driver_gives_it() {
        assert_eq!(visible_gpu("cpu", None), None);
        assert_eq!(visible_gpu("cuda", None), Some(0));
        assert_eq!(visible_gpu("cuda:2", None), Some(2));
        assert_eq!(visible_gpu("cuda:1", Some("3, 5".into())), Some(5));
        assert_eq!(visible_gpu("cuda:2", Some("3,5".into())), None);
        assert_eq!(visible_gpu("cuda:0", Some("GPU-1234".into())), None);
    }
}
