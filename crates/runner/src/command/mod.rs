//! One file a command.

mod bench;
mod check;
mod compare;
mod completions;
mod components;
mod confirm;
mod data;
mod env;
mod eval;
mod explain;
mod init;
mod list;
mod new;
mod open;
mod plan;
mod plot;
mod propagate;
mod report;
mod rerun;
mod results;
mod search;
mod sites;
mod stats;
mod status;
mod sweep;
mod train;
mod worker;

use crate::Error;
use crate::cli::{Cli, Command, NewCommand};
use crate::console::out;

pub(crate) fn run(cli: Cli) -> Result<(), Error> {
    activation::simd::Width::chosen().map_err(|error| Error::Usage(error.to_string()))?;
    match cli.command {
        Command::Init(args) => init::run(&args),
        Command::Sweep(args) => sweep::run(&args),
        Command::Search(args) => search::run(&args),
        Command::Train(args) => train::run(&args),
        Command::Plan(args) => plan::run(&args),
        Command::Confirm(args) => confirm::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Plot(args) => plot::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Results(args) => results::run(&args),
        Command::Open(args) => open::run(&args),
        Command::Rerun(args) => rerun::run(&args),
        Command::Compare(args) => compare::run(&args),
        Command::Stats(args) => stats::run(&args),
        Command::Sync(args) => crate::tracking::sync(&args),
        Command::List(args) => {
            list::run(&args);
            Ok(())
        }
        Command::Sites(args) => sites::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Eval(args) => eval::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Propagate(args) => propagate::run(&args),
        Command::Bench(command) => bench::run(&command),
        Command::Data(command) => data::run(&command),
        Command::New(NewCommand::Activation(args)) => new::run(&args),
        Command::Env(args) => {
            env::run(&args);
            Ok(())
        }
        Command::Schema => {
            out!("{}", crate::experiment::schema());
            Ok(())
        }
        Command::Completions(args) => completions::run(&args),
        Command::Worker { task: None } => worker::run(),
        Command::Worker { task: Some(file) } => worker::run_task(&file),
    }
}
