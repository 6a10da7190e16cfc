pub(crate) use runner_testing::{ProgramOutput, TINY};

pub(crate) type Place = runner_testing::Place;

const ACTLAB: &str = env!("CARGO_BIN_EXE_actlab");

/// A folder with an experiment, in which the program runs.
pub(crate) fn place() -> Place {
    Place::new(ACTLAB)
}

/// Runs the program where no experiment is needed.
pub(crate) fn actlab(args: &[&str]) -> ProgramOutput {
    let mut command = runner_testing::command(ACTLAB, &std::env::temp_dir(), args);
    ProgramOutput::new(command.output().expect("the program starts"))
}
