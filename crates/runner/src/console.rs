//! What a user sees while runs go on. Everything here goes to standard error: standard output is for
//! results.

use crate::Error;
use crate::plan::PlannedRun;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use record::{Evaluation, Outcome, RunRecord, TrainStep};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// Prints an error, in red where that is wanted.
pub(crate) fn error(error: &Error) {
    let word = if colour() { "\u{1b}[31merror\u{1b}[0m" } else { "error" };
    eprintln!("{word}: {error}");
}

/// Prints a warning.
pub(crate) fn warning(text: &str) {
    let word = if colour() { "\u{1b}[33mwarning\u{1b}[0m" } else { "warning" };
    eprintln!("{word}: {text}");
}

fn colour() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Shows how a sweep goes: a bar on a terminal, a line a run elsewhere.
pub(crate) struct SweepProgress {
    bar: ProgressBar,
    started: Instant,
    /// Steps of all runs, weighted by their cost.
    total: f64,
    /// Of those, what was done before this process began.
    before: f64,
    /// Of those, what is done.
    done: f64,
    runs: usize,
    index: usize,
    /// Weight of one step of the current run.
    weight: f64,
    label: String,
    validation: Option<Evaluation>,
}

/// Relative cost of a run: operations.
#[expect(clippy::cast_precision_loss, reason = "for a bar")]
fn cost_of_step(run: &PlannedRun) -> f64 {
    run.size.flops as f64 * run.spec.training.batch_size as f64
}

#[expect(clippy::cast_precision_loss, reason = "for a bar")]
pub(crate) fn cost(run: &PlannedRun) -> f64 {
    cost_of_step(run) * run.steps as f64
}

impl SweepProgress {
    pub(crate) fn new(runs: &[PlannedRun]) -> Self {
        let bar = ProgressBar::with_draw_target(Some(1000), ProgressDrawTarget::stderr_with_hz(4));
        let template = if colour() {
            "{bar:30.cyan/blue} {percent:>3}% {msg}"
        } else {
            "{bar:30} {percent:>3}% {msg}"
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("█▉▊▋▌▍▎▏ "));
        }
        Self {
            bar,
            started: Instant::now(),
            total: runs.iter().map(cost).sum(),
            before: 0.0,
            done: 0.0,
            runs: runs.len(),
            index: 0,
            weight: 0.0,
            label: String::new(),
            validation: None,
        }
    }

    /// A run that was finished before.
    pub(crate) fn skip(&mut self, run: &PlannedRun) {
        self.index += 1;
        self.before += cost(run);
        self.done += cost(run);
    }

    pub(crate) fn begin(&mut self, run: &PlannedRun) {
        self.index += 1;
        self.weight = cost_of_step(run);
        self.label = run.spec.label();
        self.validation = None;
        self.show(None);
    }

    pub(crate) fn step(&mut self, step: &TrainStep, batch: usize) {
        self.done += self.weight;
        #[expect(clippy::cast_precision_loss, reason = "for a rate")]
        let rate = batch as f64 / step.seconds;
        self.show(Some((step, rate)));
    }

    pub(crate) fn validation(&mut self, evaluation: Evaluation) {
        self.validation = Some(evaluation);
    }

    fn show(&self, step: Option<(&TrainStep, f64)>) {
        if self.bar.is_hidden() {
            return;
        }
        let mut message = format!("run {}/{} {}", self.index, self.runs, self.label);
        if let Some((step, rate)) = step {
            message += &format!("  step {}  loss {:.3}  {rate:.0} ex/s", step.step, step.loss);
        }
        if let Some(validation) = self.validation {
            message += &format!("  validation {:.1} %", 100.0 * validation.accuracy);
        }
        if let Some(left) = self.left() {
            message += &format!("  {} left", duration(left));
        }
        self.bar.set_message(message);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a position of 1000")]
        self.bar.set_position((1000.0 * self.done / self.total) as u64);
    }

    /// Time left, by the work done since this process began.
    fn left(&self) -> Option<Duration> {
        let done = self.done - self.before;
        let spent = self.started.elapsed().as_secs_f64();
        (done > 0.0 && spent > 2.0)
            .then(|| Duration::from_secs_f64(spent * (self.total - self.done).max(0.0) / done))
    }

    /// A run ended: a line that stays.
    pub(crate) fn end(&mut self, record: &RunRecord) {
        let summary = record.summary.as_ref();
        let result = match &record.outcome {
            Outcome::Completed => {
                let test = summary.and_then(|summary| summary.test);
                test.map_or_else(
                    || "done".to_owned(),
                    |test| format!("test {:.2} %", 100.0 * test.accuracy),
                )
            }
            Outcome::Diverged { step, reason } => format!("diverged at step {step}: {reason}"),
            Outcome::Failed { reason } => format!("failed: {reason}"),
        };
        let left = self.left().map(|left| format!(", {} left", duration(left))).unwrap_or_default();
        let seconds = record.timing.total_seconds;
        self.line(&format!(
            "[{}/{}] {}: {result} ({seconds:.0} s{left})",
            self.index, self.runs, self.label
        ));
    }

    /// A line above the bar.
    pub(crate) fn line(&self, text: &str) {
        if self.bar.is_hidden() {
            eprintln!("{text}");
        } else {
            self.bar.println(text);
        }
    }

    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
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
        let words: Vec<_> =
            [5, 65, 3_725].into_iter().map(|seconds| duration(Duration::from_secs(seconds))).collect();
        assert_eq!(words, ["5 s", "1 min 05 s", "1 h 02 min"]);
    }

    #[test]
    fn columns_are_aligned() {
        let rows = [vec!["σ".to_owned(), "x".to_owned()], vec!["long".to_owned(), String::new()]];
        assert_eq!(table(&["a", "b"], &rows), "a     b\nσ     x\nlong\n");
    }
}
