//! The command line of ActLab: plan, train, resume, report.
//!
//! A program with activations of its own links their crates and calls [`main`]:
//!
//! ```no_run
//! // use my_activation as _;
//!
//! fn main() -> std::process::ExitCode {
//!     runner::main()
//! }
//! ```

mod arm;
mod choices;
mod cli;
mod command;
mod console;
mod device;
mod environment;
mod error;
mod execute;
mod experiment;
#[doc(hidden)]
pub mod fuzzing;
mod guard;
mod interrupt;
mod invocation;
mod plan;
mod plugins;
mod registration;
mod search;
mod sequential;
mod shell;
mod sweep_dir;
mod tracking;
mod tune;
mod wandb_sweep;

use clap::Parser;
use std::ffi::OsString;
use std::process::ExitCode;

pub use error::Error;

/// Runs the program with the arguments of the process.
#[must_use]
pub fn main() -> ExitCode {
    interrupt::survive_file_size_limit();
    ExitCode::from(run(std::env::args_os()))
}

/// Runs the program with `args`, of which the first is its name, and returns its exit code: 0 success,
/// 1 something that was tried failed, 2 it was asked for wrongly, 130 it was interrupted.
pub fn run<I, T>(args: I) -> u8
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    let cli = match cli::Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors; clap knows where each goes. A closed pipe is no error.
            let _ = error.print();
            return if error.use_stderr() { 2 } else { 0 };
        }
    };
    console::set_level(cli.quiet, cli.verbose);
    match command::run(cli) {
        Ok(()) => 0,
        Err(error) => {
            console::error(&error);
            error.exit_code()
        }
    }
}
