//! A search for formulas, and the sweep that compares what it found.

use super::sweep::carry_out;
use crate::Error;
use crate::cli::{ExperimentArgs, SearchArgs};
use crate::experiment::Experiment;

pub(crate) fn run(args: &SearchArgs) -> Result<(), Error> {
    let file = ExperimentArgs { file: Some(args.spec.clone()), flags: args.flags.clone() };
    let experiment = Experiment::load(&file)?;
    if experiment.search.is_none() {
        let spec = args.spec.display();
        return Err(Error::Experiment(format!(
            "{spec}: the [search] table is missing: add one, or compare its activations with `actlab sweep {spec}`"
        )));
    }
    carry_out(&experiment, args.dry_run)
}
