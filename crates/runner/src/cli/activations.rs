//! Flags of the commands that are about activations alone.

use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// Activations, as in gelu, 'leaky_relu(slope=0.2)' or 'x * sigmoid(1.702 * x)'; several are set side by side
    #[arg(required = true, value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Also draw value and derivative as SVG
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,
    /// Also draw value and derivative as PNG
    #[arg(long, value_name = "FILE")]
    pub(crate) png: Option<PathBuf>,
    /// Columns of the text [default: those of the terminal, at most 100]
    #[arg(long, value_name = "COLUMNS", value_parser = clap::value_parser!(u16).range(40..=1000))]
    pub(crate) width: Option<u16>,
    /// Measure no costs, so that the same command prints the same text
    #[arg(long)]
    pub(crate) no_timing: bool,
}

/// What computes in `actlab eval`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum EvalPath {
    /// The reference, in double precision
    F64,
    /// burn's operations on single-precision tensors, and automatic differentiation: what trains on devices other than
    /// the CPU
    Tensor,
    /// The fused kernels in single precision: what trains on the CPU
    Kernel,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Dtype {
    /// The same as --path f64
    F64,
    /// The same as --path kernel
    F32,
}

#[derive(Debug, Args)]
pub(crate) struct EvalArgs {
    /// Activation, as in gelu, 'leaky_relu(slope=0.2)' or 'x * sigmoid(1.702 * x)'
    pub(crate) activation: String,
    /// Points; gate,value pairs for a gated activation [default: some from -3 to 3]
    #[arg(value_name = "X", allow_negative_numbers = true)]
    pub(crate) points: Vec<String>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// What computes: `kernel` is what trains on the CPU, `tensor` what trains on other devices [default: f64]
    #[arg(long, value_enum)]
    path: Option<EvalPath>,
    /// Precision: another way to say --path f64 or --path kernel
    #[arg(long, value_enum, conflicts_with = "path")]
    dtype: Option<Dtype>,
}

impl EvalArgs {
    /// What computes.
    pub(crate) fn path(&self) -> EvalPath {
        match (self.path, self.dtype) {
            (Some(path), _) => path,
            (None, Some(Dtype::F32)) => EvalPath::Kernel,
            (None, Some(Dtype::F64) | None) => EvalPath::F64,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct PropagateArgs {
    /// Activations, as in gelu or 'leaky_relu(slope=0.2)' [default: relu, leaky_relu, gelu, silu, tanh, selu]
    #[arg(value_name = "ACTIVATION")]
    pub(crate) activations: Vec<String>,
    /// Layers of the network
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) depth: u32,
    /// Units of each layer
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(2..=4096))]
    pub(crate) width: u32,
    /// Gain of the weights, whose variance is gain² / fan-in
    #[arg(long, value_enum, default_value_t = Gain::He)]
    pub(crate) init: Gain,
    /// Seed of weights and inputs
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = super::numbers::whole::<u64>)]
    pub(crate) seed: u64,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Gain of the weights of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Gain {
    /// √2 for every activation (He et al. 2015)
    He,
    /// 1/√E[f(z)²] of each activation, z ~ N(0, 1)
    Matched,
    /// 1 (LeCun et al. 1998)
    Lecun,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FormulaKind {
    /// y = f(x)
    Pointwise,
    /// y = g(gate) · value
    Gated,
}

#[derive(Debug, Subcommand)]
pub(crate) enum NewCommand {
    /// Write a card for a formula, or a crate with it, and link it
    #[command(after_help = super::help::NEW_ACTIVATION)]
    Activation(NewActivationArgs),
}

#[derive(Debug, Args)]
pub(crate) struct NewActivationArgs {
    /// Name: lower-case letters, digits and `_`, beginning with a letter
    pub(crate) name: String,
    /// What a crate's formula takes [default: pointwise]; that of a card is told by its formula
    #[arg(long, value_enum, conflicts_with = "formula")]
    pub(crate) kind: Option<FormulaKind>,
    /// Write a card with this formula of `x`, or of `gate` and `value`
    #[arg(long, value_name = "TEXT")]
    pub(crate) formula: Option<String>,
    /// Default of a parameter of the formula, as in b=1.5; may be repeated
    #[arg(long, value_name = "NAME=VALUE", requires = "formula")]
    pub(crate) parameter: Vec<String>,
    /// Where the formula is from [default: unpublished]
    #[arg(long, value_name = "TEXT", requires = "formula")]
    pub(crate) citation: Option<String>,
    /// Write a crate outside of this checkout, with a program that links it
    #[arg(long, conflicts_with = "formula")]
    pub(crate) external: bool,
    /// Folder of that crate [default: ./NAME]
    #[arg(long, value_name = "DIR", requires = "external")]
    pub(crate) path: Option<PathBuf>,
}
