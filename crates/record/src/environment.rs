use serde::{Deserialize, Serialize};

/// The machine, compiler and code that a run was made with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// Version of ActLab.
    pub actlab: String,
    /// Version line of the compiler.
    pub rustc: String,
    /// Target triple.
    pub target: String,
    /// Cargo features of the runner that choose backends.
    pub features: Vec<String>,
    /// Operating system and its version.
    pub os: String,
    /// Model name of the processor.
    pub cpu: String,
    /// Logical processors that the process may use.
    pub cores: usize,
    /// Memory in bytes.
    pub memory_bytes: Option<u64>,
    /// Model name of the GPU that trained, where one did and its driver tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu: Option<String>,
    /// Device that trained, as in `cpu` or `cuda:0`.
    pub device: String,
    /// Threads that trained.
    pub threads: usize,
    /// SHA-256 of `Cargo.lock` at build time.
    pub lock_sha256: String,
    /// State of the source, where it was built inside a git checkout.
    pub git: Option<Git>,
}

/// State of the source that the program was built from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Git {
    /// Full hash of the commit.
    pub commit: String,
    /// Whether files differed from the commit.
    pub dirty: bool,
    /// SHA-256 of the differences, which lie beside the sweep's results as `source-SHA256.diff`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff_sha256: Option<String>,
}
