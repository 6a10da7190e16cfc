use crate::Error;
use crate::cli::ReportArgs;
use crate::console::{self, note, out};
use crate::interrupt;
use crate::invocation;
use crate::sweep_dir::{Progress, SweepDir};
use analysis::Report;
use record::{RunDir, StoredRun};
use std::time::Duration;

/// Columns of the report: what a pull request and a terminal show without wrapping.
const WIDTH: usize = 120;

/// Columns where standard output is no terminal.
const PLAIN: usize = 100;

/// Columns of a terminal beyond which lines become hard to read.
const WIDEST: usize = 120;

/// Runs that are named before the others are counted.
const MOST_NAMES: usize = 10;

/// How often a watched sweep is looked at.
const LOOK: Duration = Duration::from_millis(500);

pub(crate) fn run(args: &ReportArgs) -> Result<(), Error> {
    let sweep = SweepDir::new(args.dir.clone());
    if args.watch {
        watch(&sweep)?;
    }
    let (report, runs) = show(&sweep, args.full)?;
    if args.parquet { export(&sweep, &report, &runs) } else { Ok(()) }
}

/// Writes the records as tables for other tools.
fn export(sweep: &SweepDir, report: &Report, runs: &[StoredRun]) -> Result<(), Error> {
    let exported = report.export(runs, sweep.path())?;
    for line in &exported.unread {
        console::warning(&format!("left out from there on: {line}"));
    }
    note!("written: {}, {}", exported.records.display(), exported.metrics.display());
    Ok(())
}

/// Writes the report again whenever a run ends, until all have ended.
fn watch(sweep: &SweepDir) -> Result<(), Error> {
    interrupt::install();
    let mut shown = None;
    loop {
        let Progress { finished, runs, .. } = sweep.progress()?;
        if shown != Some(finished) {
            shown = Some(finished);
            let written = match sweep.report(WIDTH)? {
                Some(reported) => reported.written?.html.display().to_string(),
                None => "no report yet".to_owned(),
            };
            note!("{finished} of {runs} runs are finished: {written}");
        }
        if finished >= runs {
            return Ok(());
        }
        std::thread::sleep(LOOK);
        if interrupt::interrupted() {
            return Err(Error::Interrupted("the report is that of the runs so far".into()));
        }
    }
}

/// Names the runs that do not belong to the experiment as it is now.
fn warn_of_strangers(sweep: &SweepDir, strangers: &[RunDir]) {
    if strangers.is_empty() {
        return;
    }
    let folder =
        |dir: &RunDir| dir.path().file_name().map(|name| name.to_string_lossy().into_owned());
    let mut names: Vec<String> = strangers.iter().filter_map(folder).take(MOST_NAMES).collect();
    if strangers.len() > names.len() {
        names.push(format!("and {} more", strangers.len() - names.len()));
    }
    console::warning(&format!(
        "{} finished runs in {} belong to an earlier form of the experiment and are left out: {}",
        strangers.len(),
        sweep.runs().display(),
        names.join(", ")
    ));
}

/// Writes the report beside the records, and prints it. Where the folder is for reading alone, it is printed.
pub(crate) fn write_and_print(sweep: &SweepDir) -> Result<(), Error> {
    show(sweep, false).map(drop)
}

/// Columns of the terminal that results go to.
fn columns() -> usize {
    terminal_size::terminal_size().map_or(PLAIN, |(width, _)| usize::from(width.0)).min(WIDEST)
}

/// Writes the report and prints its answers, or all of it; the report, and the runs that it was made from.
fn show(sweep: &SweepDir, full: bool) -> Result<(Report, Vec<StoredRun>), Error> {
    let Some(reported) = sweep.report(WIDTH)? else {
        if sweep.manifest()?.search.is_some() {
            return Err(Error::Usage(format!(
                "no run of the final sweep in {} is finished yet: resume the search with `actlab search`",
                sweep.path().display()
            )));
        }
        return Err(Error::Usage(format!(
            "no run of {} is finished yet: run the sweep first",
            sweep.path().display()
        )));
    };
    if full {
        out!("{}", reported.report.markdown());
    } else {
        out!("{}", reported.report.brief(columns()));
    }
    if reported.missing > 0 {
        console::warning(&format!("{} runs of this sweep are not finished", reported.missing));
    }
    for line in &reported.skipped {
        console::warning(&format!("left out: {line}"));
    }
    warn_of_strangers(sweep, &reported.strangers);
    let written = match reported.written.map_err(Error::from) {
        Err(error) if error.is_read_only() => {
            console::warning(&format!("the report is not written: {error}"));
            return Ok((reported.report, reported.runs));
        }
        written => written?,
    };
    for line in &written.undrawn {
        console::warning(&format!("not drawn: {line}"));
    }
    note!(
        "\nFull report: {} and {}\nOpen the page: actlab open {}\nFor papers: {}, {}; figures: {}, {}",
        written.markdown.display(),
        written.html.display(),
        invocation::quoted(&sweep.path().display().to_string()),
        written.latex.display(),
        written.plots.display(),
        written.summary.display(),
        written.runs.display()
    );
    Ok((reported.report, reported.runs))
}
