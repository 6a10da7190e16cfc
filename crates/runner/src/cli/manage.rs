//! Flags of commands around experiments and their results.

use super::numbers::whole;
use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// File to write [default: NAME.toml]
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Name of the experiment [default: that of the file]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Model: resnet, bert, gpt or mlp [default: one that fits the data set]
    #[arg(long, value_name = "NAME")]
    pub(crate) model: Option<String>,
    /// Data set, as `actlab list datasets` shows it [default: one that ships and fits the model]
    #[arg(long, value_name = "NAME")]
    pub(crate) data: Option<String>,
    /// File or folder of a data set of your own (image-folder, table, text)
    #[arg(long, value_name = "PATH")]
    pub(crate) path: Option<String>,
    /// Column with the labels of a table of your own
    #[arg(long, value_name = "COLUMN")]
    pub(crate) label: Option<String>,
    /// Activations to compare, separated by commas [default: relu, gelu, silu]
    #[arg(long, value_name = "LIST")]
    pub(crate) activations: Option<String>,
    /// Activation that the others are compared with [default: the first]
    #[arg(long, value_name = "ACTIVATION")]
    pub(crate) baseline: Option<String>,
    /// Seeds: a number N for the seeds 1 to N, or a list, as in 3,5,8 [default: 5]
    #[arg(long, value_name = "N|LIST")]
    pub(crate) seeds: Option<String>,
    /// Passes over the training data [default: by model]
    #[arg(long, value_name = "N", value_parser = whole::<u32>)]
    pub(crate) epochs: Option<u32>,
    /// Ask nothing: what no flag gives has its default
    #[arg(long)]
    pub(crate) yes: bool,
    /// Overwrite the file
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct ResultsArgs {
    #[command(subcommand)]
    pub(crate) command: Option<ResultsCommand>,
    /// Folder of results, or of one sweep, whose runs are listed
    #[arg(default_value = "results", value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// Also list the runs of each sweep
    #[arg(long)]
    pub(crate) runs: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ResultsCommand {
    /// Delete sweeps or runs, after a question
    #[command(after_help = super::help::RESULTS_RM)]
    Rm {
        /// Folders of sweeps or runs; a bare name is one in the folder `results`
        #[arg(required = true, value_name = "DIR")]
        dirs: Vec<PathBuf>,
        /// Delete without a question
        #[arg(long, short)]
        yes: bool,
    },
    /// Delete what no report reads: runs that are not part of their sweep, after a question
    #[command(after_help = super::help::RESULTS_GC)]
    Gc {
        /// Folder of results, or of one sweep
        #[arg(default_value = "results", value_name = "DIR")]
        dir: PathBuf,
        /// Delete without a question
        #[arg(long, short)]
        yes: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct OpenArgs {
    /// Folder of a sweep, or its report
    #[arg(default_value = "results/quick", value_name = "RESULTS")]
    pub(crate) dir: PathBuf,
    /// Print the path of the page, and open nothing
    #[arg(long)]
    pub(crate) print: bool,
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("what").required(true).args(["shell", "install"])))]
pub(crate) struct CompletionsArgs {
    /// Print the completions of this shell
    #[arg(value_enum, value_name = "SHELL")]
    pub(crate) shell: Option<ShellName>,
    /// Write completions for every shell, and man pages, below this folder, as in /usr/local or ~/.local
    #[arg(long, value_name = "PREFIX")]
    pub(crate) install: Option<PathBuf>,
}

/// A shell that completions are written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ShellName {
    Bash,
    Zsh,
    Fish,
}
