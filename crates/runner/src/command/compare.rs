use crate::Error;
use crate::cli::CompareArgs;
use crate::console::{self, out};
use crate::sweep_dir::SweepDir;
use analysis::statistics::Bootstrap;
use analysis::{Side, side_by_side};
use record::StoredRun;
use std::path::Path;

/// Columns of the output: what a terminal shows without wrapping.
const WIDTH: usize = 120;

/// Sets two sweeps side by side.
pub(crate) fn run(args: &CompareArgs) -> Result<(), Error> {
    let read = |dir: &Path| -> Result<Vec<StoredRun>, Error> {
        let (runs, skipped) = SweepDir::new(dir.to_owned()).runs_of_sweep()?;
        for line in skipped {
            console::warning(&format!("left out: {line}"));
        }
        if runs.is_empty() {
            return Err(Error::Usage(format!(
                "no run of {} is finished yet: run the sweep first",
                dir.display()
            )));
        }
        Ok(runs)
    };
    let (a, b) = (read(&args.a)?, read(&args.b)?);
    let names = [args.a.display().to_string(), args.b.display().to_string()];
    let bootstrap = Bootstrap { resamples: 10_000, seed: 0 };
    let [a, b] = [Side { name: &names[0], runs: &a }, Side { name: &names[1], runs: &b }];
    out!("{}", side_by_side(a, b, bootstrap, WIDTH)?);
    Ok(())
}
