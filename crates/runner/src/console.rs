//! What a user sees while runs go on. Everything here goes to standard error: standard output is for
//! results.

use crate::Error;
use crate::plan::PlannedRun;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use record::{Evaluation, Outcome, RunRecord, TrainStep};
use std::io::{IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Writes a result to standard output. A reader that has seen enough (`actlab list | head -1`) closes the
/// pipe, which ends the program without a word; `print!` would panic.
pub(crate) fn output(text: std::fmt::Arguments<'_>) {
    if let Err(error) = std::io::stdout().lock().write_fmt(text) {
        if error.kind() != std::io::ErrorKind::BrokenPipe {
            note!("error: cannot write to standard output: {error}");
        }
        std::process::exit(1);
    }
}

/// Writes a line to standard error, where somebody may or may not be listening: `eprintln!` panics when
/// nobody is.
pub(crate) fn notice(text: std::fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// `print!`, for results.
macro_rules! out {
    ($($arguments:tt)*) => { $crate::console::output(format_args!($($arguments)*)) };
}

/// `println!`, for results.
macro_rules! outln {
    ($($arguments:tt)*) => { $crate::console::output(format_args!("{}\n", format_args!($($arguments)*))) };
}

/// `eprintln!`, for everything else.
macro_rules! note {
    ($($arguments:tt)*) => { $crate::console::notice(format_args!($($arguments)*)) };
}

pub(crate) use {note, out, outln};

/// Prints an error, in red where that is wanted.
pub(crate) fn error(error: &Error) {
    let word = if colour() { "\u{1b}[31merror\u{1b}[0m" } else { "error" };
    note!("{word}: {error}");
}

/// Prints a warning.
pub(crate) fn warning(text: &str) {
    let word = if colour() { "\u{1b}[33mwarning\u{1b}[0m" } else { "warning" };
    note!("{word}: {text}");
}

fn colour() -> bool {
    std::io::stderr().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Shows how a sweep goes: on a terminal a bar a run and one for all, elsewhere a line a finished run.
/// Runs may go on side by side.
pub(crate) struct SweepProgress {
    bars: MultiProgress,
    overall: ProgressBar,
    started: Instant,
    /// Cost of all runs.
    total: f64,
    /// Of that, what was done before this process began.
    before: f64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Cost of what is done.
    done: f64,
    finished: usize,
    runs: usize,
}

/// Shows how one run goes.
pub(crate) struct RunProgress<'a> {
    sweep: &'a SweepProgress,
    bar: ProgressBar,
    label: String,
    /// Cost of a step.
    weight: f64,
    batch: usize,
    validation: Option<Evaluation>,
}

/// Relative cost of a training step of a run: its operations.
#[expect(clippy::cast_precision_loss, reason = "for a bar")]
fn step_cost(run: &PlannedRun) -> f64 {
    run.size.flops as f64 * run.spec.training.batch_size as f64
}

#[expect(clippy::cast_precision_loss, reason = "for a bar")]
fn cost(run: &PlannedRun) -> f64 {
    step_cost(run) * run.steps as f64
}

fn style(template: &str, coloured: &str) -> ProgressStyle {
    ProgressStyle::with_template(if colour() { coloured } else { template })
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("█▉▊▋▌▍▎▏ ")
}

impl SweepProgress {
    /// For `runs`, of which those that `done` tells are done already.
    pub(crate) fn new(runs: &[PlannedRun], done: &[bool]) -> Self {
        let done: Vec<&PlannedRun> =
            runs.iter().zip(done).filter(|(_, done)| **done).map(|(run, _)| run).collect();
        let before = done.iter().map(|run| cost(run)).sum();
        let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(5));
        let overall = bars.add(ProgressBar::new(1000));
        overall.set_style(style(
            "{bar:30} {percent:>3}% {msg}",
            "{bar:30.cyan/blue} {percent:>3}% {msg}",
        ));
        let state = State { done: before, finished: done.len(), runs: runs.len() };
        let total = runs.iter().map(cost).sum();
        Self { bars, overall, started: Instant::now(), total, before, state: Mutex::new(state) }
    }

    /// A run begins.
    pub(crate) fn begin(&self, run: &PlannedRun) -> RunProgress<'_> {
        let bar = self.bars.insert_before(&self.overall, ProgressBar::new(run.steps));
        bar.set_style(style(
            "{bar:30} {pos:>4}/{len} {msg}",
            "{bar:30.green/blue} {pos:>4}/{len} {msg}",
        ));
        let label = run.spec.label();
        bar.set_message(label.clone());
        RunProgress {
            sweep: self,
            bar,
            label,
            weight: step_cost(run),
            batch: run.spec.training.batch_size,
            validation: None,
        }
    }

    /// A line above the bars.
    pub(crate) fn line(&self, text: &str) {
        if self.hidden() {
            note!("{text}");
        } else {
            // A terminal that is gone is nobody's fault.
            let _ = self.bars.println(text);
        }
    }

    pub(crate) fn clear(&self) {
        let _ = self.bars.clear();
    }

    fn hidden(&self) -> bool {
        self.bars.is_hidden()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Numbers for a bar: what another thread left is good enough, even where it panicked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Time left, by the work done since this process began.
    fn left(&self, done: f64) -> Option<Duration> {
        let here = done - self.before;
        let spent = self.started.elapsed().as_secs_f64();
        (here > 0.0 && spent > 2.0)
            .then(|| Duration::from_secs_f64(spent * (self.total - done).max(0.0) / here))
    }
}

impl RunProgress<'_> {
    pub(crate) fn step(&mut self, step: &TrainStep) {
        let mut state = self.sweep.state();
        state.done += self.weight;
        if self.sweep.hidden() {
            return;
        }
        self.bar.set_position(step.step);
        #[expect(clippy::cast_precision_loss, reason = "for a rate")]
        let rate = self.batch as f64 / step.seconds;
        let mut message = format!("{}  loss {:.3}  {rate:.0} ex/s", self.label, step.loss);
        if let Some(validation) = self.validation {
            message += &format!("  validation {:.1} %", 100.0 * validation.accuracy);
        }
        self.bar.set_message(message);
        let mut message = format!("{} of {} runs done", state.finished, state.runs);
        if let Some(left) = self.sweep.left(state.done) {
            message += &format!(", {} left", duration(left));
        }
        self.sweep.overall.set_message(message);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a part of 1000"
        )]
        self.sweep.overall.set_position((1000.0 * state.done / self.sweep.total) as u64);
    }

    pub(crate) fn validation(&mut self, evaluation: Evaluation) {
        self.validation = Some(evaluation);
    }

    /// The run ended: a line that stays.
    pub(crate) fn end(self, record: &RunRecord) {
        let (finished, runs, left) = {
            let mut state = self.sweep.state();
            state.finished += 1;
            (state.finished, state.runs, self.sweep.left(state.done))
        };
        let test = record.summary.as_ref().and_then(|summary| summary.test);
        let result = match &record.outcome {
            Outcome::Completed => test.map_or_else(
                || "done".to_owned(),
                |test| format!("test {:.2} %", 100.0 * test.accuracy),
            ),
            Outcome::Diverged { step, reason } => format!("diverged at step {step}: {reason}"),
            Outcome::Failed { reason } => format!("failed: {reason}"),
        };
        let left = match left {
            Some(left) if finished < runs => format!(", about {} left", duration(left)),
            _ => String::new(),
        };
        let seconds = record.timing.total_seconds;
        self.bar.finish_and_clear();
        let label = &self.label;
        self.sweep.line(&format!("[{finished}/{runs}] {label}: {result} ({seconds:.0} s{left})"));
    }
}

/// A duration in words, with two units.
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// A table with aligned columns, for a terminal.
pub(crate) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([header[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded: Vec<String> = cells
            .zip(&widths)
            .map(|(cell, width)| format!("{cell}{}", " ".repeat(width - cell.chars().count())))
            .collect();
        format!("{}\n", padded.join("  ").trim_end())
    };
    let mut text = line(&mut header.iter().copied());
    for row in rows {
        text += &line(&mut row.iter().map(String::as_str));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let words: Vec<_> = [5, 65, 3_725]
            .into_iter()
            .map(|seconds| duration(Duration::from_secs(seconds)))
            .collect();
        assert_eq!(words, ["5 s", "1 min 05 s", "1 h 02 min"]);
    }

    #[test]
    fn columns_are_aligned() {
        let rows = [vec!["σ".to_owned(), "x".to_owned()], vec!["long".to_owned(), String::new()]];
        assert_eq!(table(&["a", "b"], &rows), "a     b\nσ     x\nlong\n");
    }
}
