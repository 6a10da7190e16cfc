//! Flags of measurements.

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// Training steps of a model on random data: forward, backward and update
    #[command(after_help = super::help::BENCH_STEP)]
    Step(BenchStepArgs),
    /// Operations of the CPU kernels, and what share of the machine's speed they reach
    #[command(after_help = super::help::BENCH_OPS)]
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
    #[arg(long, value_name = "N", value_parser = super::numbers::whole::<usize>)]
    pub(crate) batch: Option<usize>,
    /// Threads [default: one per processor]
    #[arg(long, value_name = "N", value_parser = super::numbers::threads)]
    pub(crate) threads: Option<usize>,
    /// Steps that are measured
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = super::numbers::whole::<usize>)]
    pub(crate) rounds: usize,
    /// Where to compute: cpu, cuda, cuda:N, vulkan, metal, wgpu, or auto for the best of them
    #[arg(long, default_value = "cpu")]
    pub(crate) device: String,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct BenchOpsArgs {
    /// Where to compute: cpu, cuda, cuda:N, vulkan, metal, wgpu or auto; other devices than the CPU take larger tensors
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    pub(crate) device: String,
    /// Threads [default: one per processor]
    #[arg(long, value_name = "N", value_parser = super::numbers::threads)]
    pub(crate) threads: Option<usize>,
    /// Calls that are measured
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = super::numbers::whole::<usize>)]
    pub(crate) rounds: usize,
    /// Operation to measure, by its name in the table; may be given again [default: all]
    #[arg(long, value_name = "NAME")]
    pub(crate) only: Vec<String>,
    /// Activation to measure alone, by its name or as a formula; may be given again
    #[arg(long, value_name = "TEXT")]
    pub(crate) activation: Vec<String>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}
