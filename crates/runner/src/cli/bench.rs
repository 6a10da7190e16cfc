//! Flags of measurements.

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// Training steps of a model on random data: forward, backward and update
    #[command(after_help = "\
Examples:
  actlab bench step --model resnet20 --activation gelu
  actlab bench step --model bert-mini --activation swiglu --threads 2 --json")]
    Step(BenchStepArgs),
    /// Operations of the CPU kernels, and what share of the machine's speed they reach
    #[command(after_help = "\
Examples:
  actlab bench ops
  actlab bench ops --threads 1 --only 'gelu forward' --json")]
    Ops(BenchOpsArgs),
}

#[derive(Debug, Args)]
pub(crate) struct BenchStepArgs {
    /// Model: resnet20 (images of 3×32×32), bert-mini (texts of 64 tokens)
    #[arg(long, default_value = "resnet20")]
    pub(crate) model: String,
    /// Activation, as in gelu or 'leaky_relu(slope=0.2)'
    #[arg(long, default_value = "relu")]
    pub(crate) activation: String,
    /// Rows of a batch [default: 128 images, 32 texts]
    #[arg(long, value_name = "N")]
    pub(crate) batch: Option<usize>,
    /// Threads [default: one a processor]
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<usize>,
    /// Steps that are measured
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) rounds: usize,
    /// Where to compute: cpu, cuda, cuda:N, vulkan, metal, wgpu, or auto for the best of them
    #[arg(long, default_value = "cpu")]
    pub(crate) device: String,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct BenchOpsArgs {
    /// Threads [default: one a processor]
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<usize>,
    /// Calls that are measured
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub(crate) rounds: usize,
    /// Operation to measure, by its name in the table; may be given again [default: all]
    #[arg(long, value_name = "NAME")]
    pub(crate) only: Vec<String>,
    /// Activation to measure alone, by its name or as a formula; may be given again
    #[arg(long, value_name = "TEXT")]
    pub(crate) activation: Vec<String>,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}
