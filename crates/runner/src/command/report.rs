use crate::Error;
use crate::cli::ReportArgs;
use crate::console::{self, note, out};
use crate::sweep_dir::SweepDir;

/// Columns of the report: what a pull request and a terminal show without wrapping.
const WIDTH: usize = 120;

pub(crate) fn run(args: &ReportArgs) -> Result<(), Error> {
    write_and_print(&SweepDir::new(args.dir.clone()))
}

/// Writes the report beside the records, and prints it.
pub(crate) fn write_and_print(sweep: &SweepDir) -> Result<(), Error> {
    let Some(reported) = sweep.report(WIDTH)? else {
        return Err(Error::Usage(format!(
            "no run of {} is finished yet: run the sweep first",
            sweep.path().display()
        )));
    };
    out!("{}", reported.report.markdown());
    if reported.missing > 0 {
        console::warning(&format!("{} runs of this sweep are not finished", reported.missing));
    }
    for line in &reported.skipped {
        console::warning(&format!("left out: {line}"));
    }
    if reported.strangers > 0 {
        console::warning(&format!(
            "{} finished runs in {} belong to an earlier form of the experiment and are left out",
            reported.strangers,
            sweep.runs().display()
        ));
    }
    let written = reported.written?;
    note!(
        "written: {}, {}, {}, {}, {}",
        written.markdown.display(),
        written.html.display(),
        written.summary.display(),
        written.latex.display(),
        written.runs.display()
    );
    Ok(())
}
