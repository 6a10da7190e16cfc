//! Commands and their flags.

mod activations;
mod bench;
mod experiment;
mod help;
mod manage;
pub(crate) mod numbers;
mod plot;

pub(crate) use activations::{
    EvalArgs, EvalPath, ExplainArgs, FormulaKind, Gain, NewActivationArgs, NewCommand,
    PropagateArgs,
};
pub(crate) use bench::{BenchCommand, BenchOpsArgs, BenchStepArgs};
pub(crate) use experiment::{
    ConfirmArgs, ExperimentArgs, Flags, PlanArgs, SearchArgs, SweepArgs, TrainArgs,
};
pub(crate) use manage::{
    CompletionsArgs, InitArgs, OpenArgs, ResultsArgs, ResultsCommand, ShellName,
};
pub(crate) use plot::{FormatArg, PlotArgs};

use crate::choices::Pairs;
use analysis::Family;
use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use tracking::mlflow::Flag;

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
    version = env!("BUILT_VERSION"),
    max_term_width = 100,
    after_help = help::ACTLAB
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Print errors, warnings and results only
    #[arg(short, long, global = true, conflicts_with = "verbose", display_order = 1000)]
    pub(crate) quiet: bool,
    /// Also print details: where values are from, data sets, checkpoints
    #[arg(short, long, global = true, display_order = 1001)]
    pub(crate) verbose: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write an experiment with comments, from flags or answers
    #[command(after_help = help::INIT)]
    Init(InitArgs),
    /// Train every activation on every task with every seed, and compare them.
    #[command(after_help = help::SWEEP)]
    Sweep(SweepArgs),
    /// Search for formulas: evolve them on validation data, then compare the best as a sweep does.
    #[command(after_help = help::SEARCH)]
    Search(SearchArgs),
    /// Train single runs of an experiment, without a report
    #[command(after_help = help::TRAIN)]
    Train(TrainArgs),
    /// Plan how many seeds a difference takes, from the spread of pilot runs.
    #[command(after_help = help::PLAN)]
    Plan(PlanArgs),
    /// Confirm the best activation of a sweep on fresh seeds, in a folder of its own.
    #[command(after_help = help::CONFIRM)]
    Confirm(ConfirmArgs),
    /// Write and print the report of a sweep again
    #[command(after_help = help::REPORT)]
    Report(ReportArgs),
    /// Draw plots of a sweep as PDF, SVG or PNG, for papers and talks
    #[command(after_help = help::PLOT)]
    Plot(PlotArgs),
    /// Show the progress of a sweep, also from another terminal or machine
    #[command(after_help = help::STATUS)]
    Status(StatusArgs),
    /// List results, and delete those that are no longer needed
    #[command(after_help = help::RESULTS)]
    Results(ResultsArgs),
    /// Open the report of a sweep in a browser
    #[command(after_help = help::OPEN)]
    Open(OpenArgs),
    /// Train a run again from its record, and verify that the result is bit-identical
    #[command(after_help = help::RERUN)]
    Rerun(RerunArgs),
    /// Compare two sweeps: what changed in the configuration, and what in the results
    #[command(after_help = help::COMPARE)]
    Compare(CompareArgs),
    /// Compare scores of other programs, with the statistics of a report
    #[command(after_help = help::STATS)]
    Stats(StatsArgs),
    /// Upload to Weights & Biases or MLflow what is not there yet: offline directories, or runs of a sweep
    #[command(after_help = help::SYNC)]
    Sync(SyncArgs),
    /// Show what can be named in an experiment: activations, models, objectives, data sets, optimizers, schedules.
    #[command(after_help = help::LIST)]
    List(ListArgs),
    /// Show where a model has activations: the names that an experiment can choose them by
    #[command(after_help = help::SITES)]
    Sites(SitesArgs),
    /// Validate activations (values, derivatives, shapes, extreme inputs) and operations of a device
    #[command(after_help = help::CHECK)]
    Check(CheckArgs),
    /// Print value and derivative of an activation at some points.
    #[command(after_help = help::EVAL)]
    Eval(EvalArgs),
    /// Explain an activation: formula, derivative, plot, range, moments, gain, cost and nearest relatives
    #[command(after_help = help::EXPLAIN)]
    Explain(ExplainArgs),
    /// Show how variances change through a deep network at initialization, for any activations
    #[command(after_help = help::PROPAGATE)]
    Propagate(PropagateArgs),
    /// Measure what training steps and single operations cost on this machine.
    #[command(subcommand, after_help = help::BENCH)]
    Bench(BenchCommand),
    /// Show, fetch or verify data sets.
    #[command(subcommand, after_help = help::DATA)]
    Data(DataCommand),
    /// Create an activation from a template
    #[command(subcommand, after_help = help::NEW)]
    New(NewCommand),
    /// Print the machine and build information that is stored with each run
    #[command(after_help = help::ENV)]
    Env(EnvArgs),
    /// Print the JSON schema of experiment files
    #[command(after_help = help::SCHEMA)]
    Schema,
    /// Print completions for a shell, or install them and the man pages
    #[command(after_help = help::COMPLETIONS)]
    Completions(CompletionsArgs),
    /// Train the run that standard input describes, until that ends; or the runs of a task, one after the other.
    #[command(hide = true)]
    Worker {
        /// File of a task
        task: Option<PathBuf>,
    },
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
    /// Print JSON
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
    /// Threads [default: one per processor]
    #[arg(long, value_name = "N", value_parser = numbers::threads)]
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
    /// Differences of at most this size do not matter: activations within it are called equivalent
    #[arg(long, value_name = "SCORE", value_parser = numbers::number)]
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
    /// Print JSON
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
    /// Print JSON
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
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Activations, as in gelu or 'leaky_relu(slope=0.2)' [default: all, with default parameters]
    pub(crate) names: Vec<String>,
    /// Where to compute: cpu, cuda, cuda:N, vulkan, metal, wgpu, or auto for the best of them. Without names, the
    /// operations of training on a GPU are compared with those of the CPU too
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
    #[command(after_help = help::DATA_LIST)]
    List {
        /// Folder in which each data set has one of its name
        #[arg(long, value_name = "DIR", default_value = "data")]
        data_dir: PathBuf,
    },
    /// Fetch a data set; an interrupted download is resumed, and files are verified
    #[command(after_help = help::DATA_FETCH)]
    Fetch {
        /// Name, as `actlab data list` shows it
        name: String,
        #[command(flatten)]
        place: DataFolder,
    },
    /// Load a data set whole and say what it holds
    #[command(after_help = help::DATA_VERIFY)]
    Verify {
        /// Name, as `actlab data list` shows it
        name: String,
        #[command(flatten)]
        place: DataFolder,
    },
}

#[derive(Debug, Args)]
pub(crate) struct EnvArgs {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[cfg(test)]
mod book;
#[cfg(test)]
mod documented;

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn flags_are_consistent() {
        super::Cli::command().debug_assert();
    }
}
