use super::status::is_run;
use crate::Error;
use crate::arm::ArmRequest;
use crate::cli::ReportArgs;
use crate::console::{self, note, out};
use crate::experiment::comma_separated;
use crate::interrupt;
use crate::shell;
use crate::sweep_dir::{Progress, SweepDir};
use analysis::Report;
use record::{RunDir, StoredRun};
use std::path::PathBuf;
use std::time::Duration;

/// Columns of the report: what a pull request and a terminal show without wrapping.
pub(crate) const WIDTH: usize = 120;

/// Columns where standard output is no terminal.
const PLAIN: usize = 100;

/// Columns of a terminal beyond which lines become hard to read.
const WIDEST: usize = 120;

/// Runs that are named before the others are counted.
const MOST_NAMES: usize = 10;

/// How often a watched sweep is looked at.
const LOOK: Duration = Duration::from_millis(500);

pub(crate) fn run(args: &ReportArgs) -> Result<(), Error> {
    if is_run(&args.dir) {
        let dir = RunDir::at(args.dir.clone());
        return match dir.outcome()? {
            Some(_) => {
                super::train::show(&dir, &dir.record()?);
                Ok(())
            }
            None => Err(Error::Usage(format!(
                "the run in {} is not finished: `actlab status` shows its progress",
                args.dir.display()
            ))),
        };
    }
    let sweep = SweepDir::new(args.dir.clone());
    if args.watch {
        watch(&sweep)?;
    }
    let baselines = baselines(args.baseline.as_deref(), &sweep)?;
    let (report, runs) = show(&sweep, args.full, &baselines)?;
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
            let written = match sweep.make_report(WIDTH, &[])? {
                Some(made) => made.report.write(sweep.path())?.html.display().to_string(),
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
    let folder = sweep.path().display().to_string();
    let one = strangers.len() == 1;
    let count = if one {
        "1 finished run".to_owned()
    } else {
        format!("{} finished runs", strangers.len())
    };
    let (is, it) = if one { ("is", "it") } else { ("are", "them") };
    console::warning(&format!(
        "{count} in {} {is} not part of the current experiment and {is} excluded from the report: {}; `actlab results gc {}` \
         deletes {it}",
        sweep.runs().display(),
        names.join(", "),
        shell::quoted(&folder)
    ));
}

/// Writes the report beside the records, and prints it. Where the folder is for reading alone, it is printed.
pub(crate) fn write_and_print(sweep: &SweepDir) -> Result<(), Error> {
    show(sweep, false, &[]).map(drop)
}

/// Why there is no report.
pub(super) fn nothing_finished(sweep: &SweepDir) -> Result<Error, Error> {
    let search = sweep.shown_manifest()?.search.is_some();
    let which = if search { "of the final sweep in" } else { "in" };
    let command = sweep.resume_command();
    let then = command.map(|command| format!(": resume with `{command}`"));
    Ok(Error::Usage(format!(
        "no run {which} {} is finished yet{}",
        sweep.path().display(),
        then.unwrap_or_default()
    )))
}

/// The labels that `--baseline` names, as the sweep has them.
fn baselines(text: Option<&str>, sweep: &SweepDir) -> Result<Vec<String>, Error> {
    let Some(text) = text else { return Ok(Vec::new()) };
    let known = sweep.shown_manifest()?.activations;
    let mut labels: Vec<String> = Vec::new();
    for asked in comma_separated(&[text.to_owned()], "--baseline")? {
        let label = if known.contains(&asked) {
            asked
        } else {
            let request = asked.parse::<ArmRequest>();
            let found = request.ok().and_then(|request| request.label_among(known.iter()).ok());
            found.unwrap_or(asked)
        };
        if labels.contains(&label) {
            return Err(Error::Usage(format!("--baseline {text}: duplicate activation {label}")));
        }
        labels.push(label);
    }
    Ok(labels)
}

/// Where a report is written: with another baseline, in a folder of its own, so that the sweep's stays.
fn folder(sweep: &SweepDir, baselines: &[String]) -> PathBuf {
    if baselines.is_empty() {
        return sweep.path().to_owned();
    }
    let plain = |c: char| if c.is_ascii_alphanumeric() || "_-.=".contains(c) { c } else { '_' };
    let names: Vec<String> =
        baselines.iter().map(|label| label.chars().map(plain).collect()).collect();
    sweep.path().join(format!("baseline-{}", names.join("-")))
}

/// Columns of the terminal that results go to.
fn columns() -> usize {
    terminal_size::terminal_size().map_or(PLAIN, |(width, _)| usize::from(width.0)).min(WIDEST)
}

/// Writes the report and prints its answers, or all of it; the report, and the runs that it was made from.
fn show(
    sweep: &SweepDir,
    full: bool,
    baselines: &[String],
) -> Result<(Report, Vec<StoredRun>), Error> {
    let Some(reported) = sweep.make_report(WIDTH, baselines)? else {
        return Err(nothing_finished(sweep)?);
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
    let folder = folder(sweep, baselines);
    let written = match reported.report.write(&folder).map_err(Error::from) {
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
        "\nFull report: {} and {}\nOpen the page: actlab open {}\nFor papers: {} and {}\nNumbers: {} and {}",
        written.markdown.display(),
        written.html.display(),
        shell::quoted(&folder.display().to_string()),
        written.latex.display(),
        written.plots.display(),
        written.summary.display(),
        written.runs.display()
    );
    Ok((reported.report, reported.runs))
}
