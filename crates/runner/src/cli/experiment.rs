//! Flags that change an experiment.

use super::{numbers::whole, utf8_path};
use crate::choices::Jobs;
use crate::execute::launcher::LauncherKind;
use clap::Args;
use std::path::PathBuf;
use tracking::mlflow::Flag;
use tracking::wandb::Mode;

/// An experiment, and what is changed in it.
#[derive(Debug, Args)]
pub(crate) struct ExperimentArgs {
    /// Experiment file [default: experiments/quick.toml]
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) flags: Flags,
}

/// What flags change in an experiment of several runs.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Flags {
    #[command(flatten)]
    pub(crate) choice: ChoiceFlags,
    #[command(flatten)]
    pub(crate) run: RunFlags,
    #[command(flatten)]
    pub(crate) parallel: ParallelFlags,
}

/// What is compared, in short forms of `--set`.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ChoiceFlags {
    /// Activations to compare, separated by commas, as in relu,gelu,'leaky_relu(slope=0.2)'
    #[arg(long, value_name = "LIST", help_heading = "What is compared")]
    pub(crate) activations: Vec<String>,
    /// Seeds: a number N for the seeds 1 to N, or a list, as in 3,5,8
    #[arg(long, value_name = "N|LIST", help_heading = "What is compared")]
    pub(crate) seeds: Option<String>,
    /// Train on these tasks of the experiment alone, separated by commas
    #[arg(long, value_name = "LIST", help_heading = "What is compared")]
    pub(crate) tasks: Vec<String>,
    /// Activation that the others are compared with [default: the experiment's, or its first]
    #[arg(long, value_name = "ACTIVATION", help_heading = "What is compared")]
    pub(crate) baseline: Option<String>,
    /// Name of the experiment, and of the folder of its results
    #[arg(long, value_name = "NAME", help_heading = "What is compared")]
    pub(crate) name: Option<String>,
}

/// How each run is trained and logged.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct RunFlags {
    /// Change a value of the experiment; VALUE is TOML, and a bare word is text; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Where to train: cpu, cuda, cuda:N, vulkan, metal, wgpu, or auto for the best of them
    #[arg(long, value_name = "DEVICE")]
    pub(crate) device: Option<String>,
    /// Threads of each run [default: an even share of the processors]
    #[arg(long, value_name = "N", value_parser = whole::<usize>)]
    pub(crate) threads: Option<usize>,
    /// How often a run whose process died is restarted from its last checkpoint [default: 1]
    #[arg(long, value_name = "N", value_parser = whole::<u32>)]
    pub(crate) retries: Option<u32>,
    /// Folder for results; each experiment has one of its name in it [default: results]
    #[arg(long, value_name = "DIR", value_parser = utf8_path())]
    pub(crate) output: Option<String>,
    /// Log to Weights & Biases: online, offline or disabled [default: disabled]
    #[arg(long, value_name = "MODE")]
    pub(crate) wandb: Option<Mode>,
    /// Write event files for TensorBoard
    #[arg(long)]
    pub(crate) tensorboard: bool,
    /// Log to the MLflow tracking server URI (without it, to that of MLFLOW_TRACKING_URI or the experiment); `off` logs
    /// to none
    #[arg(long, value_name = "URI", num_args = 0..=1, require_equals = true, default_missing_value = "on")]
    pub(crate) mlflow: Option<Flag>,
}

/// How many runs are trained at a time, and where.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ParallelFlags {
    /// Runs that are trained at the same time, each in a process of its own: a number, or `auto` for one per
    /// processor (one per GPU) as far as memory allows [default: auto]
    #[arg(long, value_name = "N|auto")]
    pub(crate) jobs: Option<Jobs>,
    /// Where runs are trained: in processes of this machine (local), or as tasks of a Slurm cluster (slurm)
    /// [default: local]
    #[arg(long, value_enum, value_name = "WHERE", hide_possible_values = true)]
    pub(crate) launcher: Option<LauncherKind>,
}

#[derive(Debug, Args)]
pub(crate) struct SweepArgs {
    #[command(flatten)]
    pub(crate) experiment: ExperimentArgs,
    /// Show the plan with an estimate of its time, and train nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SearchArgs {
    /// Experiment file with a [search] table
    #[arg(value_name = "SPEC")]
    pub(crate) spec: PathBuf,
    #[command(flatten)]
    pub(crate) flags: Flags,
    /// Show what would be trained at most, with an estimate of its time, and train nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    pub(crate) experiment: ExperimentArgs,
    /// Difference that should be found, in percentage points or the unit of the tasks' metric [default: the experiment's margin]
    #[arg(long, value_name = "POINTS", value_parser = super::numbers::number)]
    pub(crate) effect: Option<f64>,
    /// Pilot seeds that each activation has on each task
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = whole::<usize>)]
    pub(crate) pilot: usize,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ConfirmArgs {
    /// Folder of a sweep
    #[arg(default_value = "results/quick", value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// Fresh seeds [default: as many as the sweep has, at least 5]
    #[arg(long, value_name = "N", value_parser = whole::<usize>)]
    pub(crate) seeds: Option<usize>,
    /// Activation to confirm on every task; may be repeated [default: the best of each task]
    #[arg(long, value_name = "NAME")]
    pub(crate) activation: Vec<String>,
    #[command(flatten)]
    pub(crate) run: RunFlags,
    #[command(flatten)]
    pub(crate) parallel: ParallelFlags,
}

impl ConfirmArgs {
    /// The flags that an experiment takes.
    pub(crate) fn flags(&self) -> Flags {
        Flags {
            choice: ChoiceFlags::default(),
            run: self.run.clone(),
            parallel: self.parallel.clone(),
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct TrainArgs {
    /// Experiment file [default: experiments/quick.toml]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Activation, as in gelu or 'leaky_relu(slope=0.2)'; several are separated by commas
    #[arg(long = "activation", alias = "activations", required = true, value_name = "LIST")]
    pub(crate) activations: Vec<String>,
    /// Task of the experiment; several are separated by commas [default: its first]
    #[arg(long = "task", alias = "tasks", value_name = "LIST")]
    pub(crate) tasks: Vec<String>,
    /// One seed [default: the experiment's first]
    #[arg(long, value_name = "SEED", value_parser = whole::<u64>, conflicts_with = "seeds")]
    pub(crate) seed: Option<u64>,
    /// Several seeds: a number N for the seeds 1 to N, or a list, as in 3,5,8
    #[arg(long, value_name = "N|LIST")]
    seeds: Option<String>,
    /// Name of the folder for the results [default: the experiment's name]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    run: RunFlags,
    #[command(flatten)]
    parallel: ParallelFlags,
}

impl TrainArgs {
    /// The experiment that the runs are of.
    pub(crate) fn experiment(&self) -> ExperimentArgs {
        let (name, seeds) = (self.name.clone(), self.seeds.clone());
        let choice = ChoiceFlags { name, seeds, ..ChoiceFlags::default() };
        ExperimentArgs {
            file: self.file.clone(),
            flags: Flags { choice, run: self.run.clone(), parallel: self.parallel.clone() },
        }
    }

    /// Whether all seeds of the experiment are meant: those that flags give.
    pub(crate) fn all_seeds(&self) -> bool {
        self.seeds.is_some()
    }
}
