use crate::Error;
use crate::cli::CompareArgs;
use crate::console::{self, columns_or, out};
use crate::sweep_dir::SweepDir;
use analysis::statistics::Bootstrap;
use analysis::{Side, side_by_side};
use record::StoredRun;
use std::path::Path;

/// Columns of the output at most, and where it goes to no terminal.
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
    let names = names(&args.a, &args.b);
    let bootstrap = Bootstrap { resamples: 10_000, seed: 0 };
    let [a, b] = [Side { name: &names[0], runs: &a }, Side { name: &names[1], runs: &b }];
    out!("{}", side_by_side(a, b, bootstrap, columns_or(WIDTH).min(WIDTH))?);
    Ok(())
}

/// Names of two folders: the last parts of their paths, or the whole paths where those are the same.
fn names(a: &Path, b: &Path) -> [String; 2] {
    let last = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    match (last(a), last(b)) {
        (Some(a), Some(b)) if a != b => [a, b],
        _ => [a, b].map(|path| path.display().to_string()),
    }
}
