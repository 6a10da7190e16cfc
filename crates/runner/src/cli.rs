//! Commands and their flags.

mod activations;
mod bench;
mod plot;

pub(crate) use activations::{
    EvalArgs, EvalPath, ExplainArgs, FormulaKind, Gain, NewActivationArgs, NewCommand,
    PropagateArgs,
};
pub(crate) use bench::{BenchCommand, BenchOpsArgs, BenchStepArgs};
pub(crate) use plot::{FormatArg, PlotArgs};

use crate::choices::{Jobs, Pairs};
use crate::execute::launcher::LauncherKind;
use analysis::Family;
use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use tracking::mlflow::Flag;
use tracking::wandb::Mode;

/// Takes a path that records and jobs can hold, which are text: another one would name another folder there.
fn utf8_path() -> impl TypedValueParser<Value = String> {
    OsStringValueParser::new().try_map(|path| {
        path.into_string().map_err(|_| "a folder for results must be named in UTF-8")
    })
}

/// Compare neural-network activation functions under equal conditions.
#[derive(Debug, Parser)]
#[command(
    name = "actlab",
    version,
    max_term_width = 100,
    after_help = "\
Examples:
  actlab sweep                           train and compare, as experiments/quick.toml says
  actlab sweep mine.toml --dry-run       show what would be trained, and for how long
  actlab list                            show the activations
  actlab explain 'x * tanh(x)'           formula, derivative, plot, range, gain and cost
  actlab eval gelu -- -1 0 1             value and derivative at some points
  actlab new activation mish             begin an activation of your own

In a checkout, `cargo run -p runner --` stands for `actlab`."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Train every activation on every task with every seed, and compare them.
    #[command(after_help = "\
Examples:
  actlab sweep
  actlab sweep experiments/quick.toml --set 'seeds=[1,2,3]'
  actlab sweep --set 'activations=[\"relu\", \"gelu\"]' --set tasks.fashion_resnet8.training.budget.epochs=1
  ACTLAB_SEEDS='[1]' actlab sweep --dry-run
  actlab sweep --wandb offline --tensorboard

A stopped sweep goes on where it was; a finished one prints its table again. Values come from the
defaults, then the file, then the environment (ACTLAB_KEY, with __ for a dot), then --set.")]
    Sweep(SweepArgs),
    /// Search for formulas: evolve them on validation data, then compare the best as a sweep does.
    #[command(after_help = "\
Examples:
  actlab search experiments/search.toml
  actlab search mine.toml --dry-run                show what would be trained, and for how long
  actlab search mine.toml --set search.seed=7 --set search.generations=10

SPEC is an experiment with a [search] table: which functions, operators and constants formulas are made
of, how many are trained, and with which seeds. Formulas are judged by validation data alone. The best
are then trained with the experiment's seeds beside its activations, and the report says how many
formulas were tried and corrects for that. A stopped search resumes where it was.")]
    Search(SearchArgs),
    /// Train one activation on one task of an experiment.
    #[command(after_help = "\
Example:
  actlab train --activation 'leaky_relu(slope=0.2)' --task fashion_resnet8 --seed 7")]
    Train(TrainArgs),
    /// Plan how many seeds a difference takes, from the spread of pilot runs.
    #[command(after_help = "\
Examples:
  actlab plan experiments/quick.toml --effect 0.5
  actlab plan mine.toml --effect 0.3 --pilot 5 --json

Finished runs of the experiment are the pilot; where an activation has fewer than --pilot of them, pilot
runs with seeds of their own are trained first, in results/NAME-pilot. The plan depends on the spread of
differences under shared seeds, never on the differences.")]
    Plan(PlanArgs),
    /// Confirm the best activation of a sweep on fresh seeds, in a folder of its own.
    #[command(after_help = "\
Examples:
  actlab confirm results/quick
  actlab confirm results/quick --seeds 10 --activation gelu

The best of several is likely to be overestimated. This trains it and the baseline again, on seeds that the
sweep has not used, and tests the one difference that was stated before.")]
    Confirm(ConfirmArgs),
    /// Write and print the table of a sweep again.
    #[command(after_help = "\
Examples:
  actlab report results/quick
  actlab report results/quick --full             print all of report.md
  actlab report results/quick --baseline gelu,silu
  actlab report results/quick --watch            from another terminal, while the sweep runs")]
    Report(ReportArgs),
    /// Draw plots of a sweep as PDF, SVG or PNG, for papers and talks
    #[command(after_help = "\
Examples:
  actlab plot results/quick --plot difference --format pdf --width 84mm
  actlab plot results/quick --plot curve --format png --width 160mm --font-size 9 --title
  actlab plot results/quick --list")]
    Plot(PlotArgs),
    /// Show how far a sweep has come, from another terminal or machine
    #[command(after_help = "\
Examples:
  actlab status results/quick
  watch actlab status results/quick")]
    Status(StatusArgs),
    /// Train a run again from its record, and compare: the same numbers, to the last bit?
    #[command(after_help = "\
Example:
  actlab rerun results/quick/runs/gelu-reviews_bert_mini-s1-*")]
    Rerun(RerunArgs),
    /// Set two sweeps side by side: what changed in the configuration, and what in the results
    #[command(after_help = "\
Example:
  actlab compare results/before results/after")]
    Compare(CompareArgs),
    /// Compare scores from elsewhere: the same statistics for anybody's results
    #[command(after_help = "\
Examples:
  actlab stats scores.csv --baseline relu
  actlab stats scores.csv --baseline relu --margin 0.005 --all-pairs holm
  actlab stats published.csv --baseline relu --json

The table has the columns activation, task, seed and score (higher is better), one row per run; a column
guessing, the score of guessing on the task, lets scores be pooled over tasks. A table of published
results has the columns activation, task, n, mean and sd, one row per activation.")]
    Stats(StatsArgs),
    /// Upload to Weights & Biases or MLflow what is not there yet: offline directories, or runs of a sweep
    #[command(after_help = "\
Examples:
  actlab sync wandb/offline-run-*
  actlab sync results/quick
  actlab sync results/quick --mlflow=http://localhost:5000

What has arrived before is not sent again. Runs that were to be logged to MLflow go there, others to W&B, whose key is
WANDB_API_KEY, or that of the host in ~/.netrc. --mlflow sends all runs to MLflow, and none to W&B.")]
    Sync(SyncArgs),
    /// Show what can be named in an experiment: activations, models, objectives, data sets, optimizers, schedules.
    #[command(after_help = "\
Examples:
  actlab list                    every activation, one line each
  actlab list --long             also formulas, parameters, and what their cards say
  actlab list models
  actlab list optimizers --json")]
    List(ListArgs),
    /// Show where a model has activations: the names that an experiment can choose them by
    #[command(after_help = "\
Examples:
  actlab sites --model resnet --set depth=20
  actlab sites --model bert --set size=mini --activation 'gelu[layers.0.*=relu]'
  actlab sites --model gpt --set size=nano --activation swiglu --json")]
    Sites(SitesArgs),
    /// Check that activations are what they say: values, derivatives, shapes, extremes.
    #[command(after_help = "\
Examples:
  actlab check
  actlab check gelu 'leaky_relu(slope=0.2)'
  actlab check --device cuda --training experiments/quick.toml")]
    Check(CheckArgs),
    /// Print value and derivative of an activation at some points.
    #[command(after_help = "\
Examples:
  actlab eval 'leaky_relu(slope=0.2)' -- -2 -1 0 1 2
  actlab eval swiglu --json -- 1,2 -1,0.5        gate,value pairs
  actlab eval gelu --path kernel -- 0.5          as the CPU trains; --path tensor as other devices do
  actlab eval 'x * sigmoid(b * x) where b=1.5' -- 1")]
    Eval(EvalArgs),
    /// Explain an activation: formula, derivative, plot, range, moments, gain, cost and nearest relatives
    #[command(after_help = "\
Examples:
  actlab explain silu
  actlab explain 'x * sigmoid(1.702 * x)' --svg quick_gelu.svg
  actlab explain relu gelu silu                  side by side

Of a gated activation the nonlinearity of its gate is explained. Figures under N(0, 1) are those of f(z) for a standard
normal z; the gain 1/√E[f²] keeps the variance of layers.")]
    Explain(ExplainArgs),
    /// Show how variances change through a deep network at initialisation, for any activations
    #[command(after_help = "\
Examples:
  actlab propagate
  actlab propagate relu gelu silu --init matched
  actlab propagate selu --init lecun --depth 100

The network has linear layers without bias, each followed by the activation; its inputs are N(0, 1).")]
    Propagate(PropagateArgs),
    /// Measure what training steps and single operations cost on this machine.
    #[command(subcommand)]
    Bench(BenchCommand),
    /// Show, fetch or verify data sets.
    #[command(subcommand)]
    Data(DataCommand),
    /// Write the beginning of something new.
    #[command(subcommand)]
    New(NewCommand),
    /// Show what a record says of this machine and program.
    Env(EnvArgs),
    /// Print the JSON schema of experiment files.
    Schema,
    /// Train the run that standard input describes, until that ends; or the runs of a task, one after the other.
    #[command(hide = true)]
    Worker {
        /// File of a task
        task: Option<PathBuf>,
    },
}

/// An experiment, and what is changed in it.
#[derive(Debug, Args)]
pub(crate) struct ExperimentArgs {
    /// Experiment file [default: experiments/quick.toml]
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) flags: Flags,
}

/// What flags change in an experiment.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Flags {
    /// Change a value of the experiment; VALUE is TOML, and a bare word is text
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Where to train: cpu, cuda, cuda:N, vulkan, metal, wgpu, or auto for the best of them
    #[arg(long, value_name = "DEVICE")]
    pub(crate) device: Option<String>,
    /// Runs that go on side by side, each in a process of its own: a number, or `auto` for one a processor (one a
    /// GPU) as far as memory allows [default: auto]
    #[arg(long, value_name = "N|auto")]
    pub(crate) jobs: Option<Jobs>,
    /// Threads of each run [default: an even share of the processors]
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<usize>,
    /// How often a run whose process died is begun again, from its last checkpoint [default: 1]
    #[arg(long, value_name = "N")]
    pub(crate) retries: Option<u32>,
    /// Where runs go on: in processes of this machine, or as tasks of a Slurm cluster [default: local]
    #[arg(long, value_enum, value_name = "WHERE", hide_possible_values = true)]
    pub(crate) launcher: Option<LauncherKind>,
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
    #[arg(long, value_name = "POINTS")]
    pub(crate) effect: Option<f64>,
    /// Pilot seeds that each activation has on each task
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub(crate) pilot: usize,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ConfirmArgs {
    /// Folder of a sweep
    #[arg(default_value = "results/quick", value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// Fresh seeds [default: as many as the sweep has, at least 5]
    #[arg(long, value_name = "N")]
    pub(crate) seeds: Option<usize>,
    /// Activation to confirm on every task; may be given again [default: the best of each task]
    #[arg(long, value_name = "NAME")]
    pub(crate) activation: Vec<String>,
    #[command(flatten)]
    pub(crate) flags: Flags,
}

#[derive(Debug, Args)]
pub(crate) struct TrainArgs {
    #[command(flatten)]
    pub(crate) experiment: ExperimentArgs,
    /// Activation, as in gelu or 'leaky_relu(slope=0.2)'
    #[arg(long)]
    pub(crate) activation: String,
    /// Task of the experiment [default: its first]
    #[arg(long)]
    pub(crate) task: Option<String>,
    /// Seed [default: the experiment's first]
    #[arg(long)]
    pub(crate) seed: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// Folder of a sweep
    #[arg(default_value = "results/quick", value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// Write it again whenever a run ends, until all have
    #[arg(long)]
    pub(crate) watch: bool,
    /// Compare with another activation than the experiment's baseline; several with commas. The report is written to a folder
    /// of its own
    #[arg(long, value_name = "NAME[,NAME]")]
    pub(crate) baseline: Option<String>,
    /// Print all of report.md, not the answers alone
    #[arg(long)]
    pub(crate) full: bool,
    /// Also write records.parquet and metrics.parquet, for pandas, polars, R, DuckDB
    #[arg(long)]
    pub(crate) parquet: bool,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Folder of a sweep
    #[arg(default_value = "results/quick", value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RerunArgs {
    /// Folder of a run
    #[arg(value_name = "RUN")]
    pub(crate) run: PathBuf,
    /// Where to train [default: where the run was trained]
    #[arg(long, value_name = "DEVICE")]
    pub(crate) device: Option<String>,
    /// Threads [default: one a processor]
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<usize>,
    /// Folder for the run that is made
    #[arg(long, value_name = "DIR", default_value = "results/reruns", value_parser = utf8_path().map(PathBuf::from))]
    pub(crate) output: PathBuf,
    #[command(flatten)]
    pub(crate) place: DataFolder,
}

#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    /// Folder of a sweep
    #[arg(value_name = "A")]
    pub(crate) a: PathBuf,
    /// Folder of the sweep that it is compared with
    #[arg(value_name = "B")]
    pub(crate) b: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct StatsArgs {
    /// Comma-separated values with the columns activation, task, seed, score
    #[arg(value_name = "FILE")]
    pub(crate) scores: PathBuf,
    /// Activation that the others are compared with
    #[arg(long, value_name = "NAME")]
    pub(crate) baseline: String,
    /// Differences of at most this size do not matter: arms within it are called equivalent
    #[arg(long, value_name = "SCORE")]
    pub(crate) margin: Option<f64>,
    /// Comparisons over which the error rate of 5 % is held
    #[arg(long, value_enum, default_value_t = FamilyArg::Report)]
    pub(crate) family: FamilyArg,
    /// Compare every activation with every other, as a family of its own
    #[arg(long, value_enum, default_value_t = Pairs::None)]
    pub(crate) all_pairs: Pairs,
    /// Resamples of a bootstrap interval (in the JSON): 0 for none, at most 1000000
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = resamples)]
    pub(crate) resamples: usize,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// [`Family`], as a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FamilyArg {
    /// All comparisons with the baseline, on all tasks
    Report,
    /// Those of each task
    Task,
}

impl From<FamilyArg> for Family {
    fn from(family: FamilyArg) -> Self {
        match family {
            FamilyArg::Report => Self::Report,
            FamilyArg::Task => Self::Task,
        }
    }
}

/// Resamples of a bootstrap: each takes memory and time.
fn resamples(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| *number <= 1_000_000);
    number.ok_or_else(|| "must be a whole number from 0 to 1000000".to_owned())
}

#[derive(Debug, Args)]
pub(crate) struct SyncArgs {
    /// Offline directories, or folders of sweeps or runs
    #[arg(required = true, value_name = "DIR")]
    pub(crate) dirs: Vec<PathBuf>,
    /// Send all runs to the MLflow tracking server URI (without it, to that of MLFLOW_TRACKING_URI)
    #[arg(long, value_name = "URI", num_args = 0..=1, require_equals = true, default_missing_value = "on")]
    pub(crate) mlflow: Option<Flag>,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// What to show
    #[arg(value_enum, default_value = "activations")]
    pub(crate) kind: ListKind,
    /// Also show formulas, parameters with their ranges, and notes
    #[arg(long)]
    pub(crate) long: bool,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// A kind of what can be named in an experiment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ListKind {
    Activations,
    Models,
    Objectives,
    Datasets,
    Augmentations,
    Optimizers,
    Schedules,
    Sinks,
}

#[derive(Debug, Args)]
pub(crate) struct SitesArgs {
    /// Name of a model, as `actlab list models` shows it
    #[arg(long)]
    pub(crate) model: String,
    /// A parameter of the model, as in depth=20; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Activation, or one for each site, as in 'gelu[blocks.0.*=relu]'
    #[arg(long, default_value = "relu")]
    pub(crate) activation: String,
    /// The model predicts tokens, as a language model does
    #[arg(long)]
    pub(crate) tokens: bool,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Activations, as in gelu or 'leaky_relu(slope=0.2)' [default: all, with default parameters]
    pub(crate) names: Vec<String>,
    /// Where to compute: cpu, cuda, cuda:N, vulkan, metal, wgpu, or auto for the best of them
    #[arg(long, default_value = "cpu")]
    pub(crate) device: String,
    /// Also take the first steps of every task and activation of this experiment, on the device and on the CPU, and
    /// compare losses and gradients
    #[arg(long, value_name = "FILE")]
    pub(crate) training: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct DataFolder {
    /// Folder in which each data set has one of its name
    #[arg(long, value_name = "DIR", default_value = "data")]
    pub(crate) data_dir: PathBuf,
    /// The very folder that holds the data set's files
    #[arg(long, value_name = "DIR")]
    pub(crate) folder: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DataCommand {
    /// Show every data set, and whether it is here
    List {
        /// Folder in which each data set has one of its name
        #[arg(long, value_name = "DIR", default_value = "data")]
        data_dir: PathBuf,
    },
    /// Fetch a data set: resumed where it broke off, checked, never half-loaded
    #[command(after_help = "\
Example:
  actlab data fetch cifar-10")]
    Fetch {
        /// Name, as `actlab data list` shows it
        name: String,
        #[command(flatten)]
        place: DataFolder,
    },
    /// Load a data set whole and say what it holds
    #[command(after_help = "\
Example:
  actlab data verify fashion-mnist --folder /usr/share/datasets/fashion-mnist")]
    Verify {
        /// Name, as `actlab data list` shows it
        name: String,
        #[command(flatten)]
        place: DataFolder,
    },
}

#[derive(Debug, Args)]
pub(crate) struct EnvArgs {
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn flags_are_consistent() {
        super::Cli::command().debug_assert();
    }
}
