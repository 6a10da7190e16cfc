//! What a user sees during runs. Everything here goes to standard error: standard output is for
//! results.

mod table;

pub(crate) use table::{columns_or, cut, fitted, hanging, table};

use crate::Error;
use crate::plan::PlannedRun;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use record::{Evaluation, Metric, Outcome, RunRecord, TrainStep};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{BufRead, IsTerminal, Write};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tracking::Notice;

/// Writes a result to standard output. A reader that has seen enough (`actlab list | head -1`) closes the
/// pipe, which ends the program without a word; `print!` would panic.
pub(crate) fn output(text: std::fmt::Arguments<'_>) {
    if let Err(error) = std::io::stdout().lock().write_fmt(text) {
        if error.kind() != std::io::ErrorKind::BrokenPipe {
            message(format_args!("error: cannot write to standard output: {error}"));
        }
        std::process::exit(1);
    }
}

/// Writes a line to standard error, unless `-q` is given.
pub(crate) fn notice(text: std::fmt::Arguments<'_>) {
    if !is_quiet() {
        message(text);
    }
}

/// Writes a line to standard error, which may be closed: then `eprintln!` panics.
fn message(text: std::fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// How much is written to standard error: 0 with `-q`, 1, or 2 with `-v`.
static LEVEL: AtomicU8 = AtomicU8::new(1);

/// Sets how much is written to standard error.
pub(crate) fn set_level(quiet: bool, verbose: bool) {
    let level = match (quiet, verbose) {
        (true, _) => 0,
        (false, false) => 1,
        (false, true) => 2,
    };
    LEVEL.store(level, Ordering::Relaxed);
}

/// Whether nothing but errors and warnings is wanted.
pub(crate) fn is_quiet() -> bool {
    LEVEL.load(Ordering::Relaxed) == 0
}

/// Whether details are wanted.
pub(crate) fn is_verbose() -> bool {
    LEVEL.load(Ordering::Relaxed) >= 2
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

/// [`note!`] with `-v`.
macro_rules! detail {
    ($($arguments:tt)*) => {
        if $crate::console::is_verbose() {
            $crate::console::notice(format_args!($($arguments)*));
        }
    };
}

pub(crate) use {detail, note, out, outln};

/// `text` as a terminal may show it: the name of a file, or what a server says, must not command it. Lines stay.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    let command = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    if !text.contains(command) {
        return Cow::Borrowed(text);
    }
    let shown = |c: char| if command(c) { char::REPLACEMENT_CHARACTER } else { c };
    Cow::Owned(text.chars().map(shown).collect())
}

/// Prints an error, in red where that is wanted.
pub(crate) fn error(error: &Error) {
    let word = if colour() { "\u{1b}[31merror\u{1b}[0m" } else { "error" };
    message(format_args!("{word}: {}", printable(&error.to_string())));
}

/// Prints a warning.
pub(crate) fn warning(text: &str) {
    let word = if colour() { "\u{1b}[33mwarning\u{1b}[0m" } else { "warning" };
    message(format_args!("{word}: {}", printable(text)));
}

fn colour() -> bool {
    std::io::stderr().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Shows how a sweep goes: on a terminal a bar a run and one for all, elsewhere a line a finished run.
/// Runs may run side by side.
pub(crate) struct SweepProgress {
    bars: MultiProgress,
    overall: ProgressBar,
    started: Instant,
    /// Cost of all that was not done at the beginning.
    total: f64,
    state: Mutex<State>,
}

struct State {
    finished: usize,
    runs: usize,
    /// By task, since an operation of one model takes longer than one of another.
    tasks: BTreeMap<String, TaskState>,
}

#[derive(Default)]
struct TaskState {
    /// Cost of what is not done.
    left: f64,
    /// Cost of what was done since this process began.
    done: f64,
    /// What that took, summed over runs that went on side by side.
    seconds: f64,
}

impl State {
    fn left(&self) -> f64 {
        self.tasks.values().map(|task| task.left).sum()
    }

    /// Time left, by the speed on each task so far, and on a task that has not begun by the slowest.
    fn time_left(&self, elapsed: f64) -> Option<Duration> {
        let known = || self.tasks.values().filter(|task| task.done > 0.0);
        let slowest = known().map(|task| task.seconds / task.done).fold(0.0, f64::max);
        let spent: f64 = known().map(|task| task.seconds).sum();
        if elapsed < 2.0 || spent <= 0.0 {
            return None;
        }
        let work: f64 = self
            .tasks
            .values()
            .map(|task| {
                let rate = if task.done > 0.0 { task.seconds / task.done } else { slowest };
                task.left * rate
            })
            .sum();
        // Steps alone are timed: what lies between them, and runs side by side, is in this ratio.
        Duration::try_from_secs_f64(work * elapsed / spent).ok()
    }
}

/// Shows how one run goes.
pub(crate) struct RunProgress<'a> {
    sweep: &'a SweepProgress,
    /// Shown from its beginning: it may have to wait for a place.
    bar: Option<ProgressBar>,
    label: String,
    steps: u64,
    task: String,
    /// Cost of a step.
    weight: f64,
    /// Cost of all steps.
    cost: f64,
    /// Cost of the steps that are not done.
    left: f64,
    batch: usize,
    metric: Metric,
    validation: Option<Evaluation>,
}

/// A bar takes one line of the terminal: a longer message is cut, since a line that wraps could not be removed.
fn style(template: &str, coloured: &str) -> ProgressStyle {
    ProgressStyle::with_template(if colour() { coloured } else { template })
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("█▉▊▋▌▍▎▏ ")
}

impl SweepProgress {
    /// For `runs` runs, of which `finished` are done already; the others cost so much on each task.
    pub(crate) fn new(
        runs: usize,
        finished: usize,
        left: impl IntoIterator<Item = (String, f64)>,
    ) -> Self {
        let mut tasks: BTreeMap<String, TaskState> = BTreeMap::new();
        for (task, cost) in left {
            tasks.entry(task).or_default().left += cost;
        }
        let target = if is_quiet() {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr_with_hz(5)
        };
        let bars = MultiProgress::with_draw_target(target);
        let overall = bars.add(ProgressBar::new(1000));
        overall.set_style(style(
            "{bar:20} {percent:>3}% {wide_msg}",
            "{bar:20.cyan/blue} {percent:>3}% {wide_msg}",
        ));
        let state = State { finished, runs, tasks };
        let total = state.left().max(f64::MIN_POSITIVE);
        Self { bars, overall, started: Instant::now(), total, state: Mutex::new(state) }
    }

    /// There are `runs` runs in all, of which `more` turned out to be done already.
    pub(crate) fn set_totals(&self, runs: usize, more: usize) {
        let mut state = self.state();
        state.runs = runs;
        state.finished += more;
    }

    /// A run begins.
    pub(crate) fn begin(&self, run: &PlannedRun) -> RunProgress<'_> {
        RunProgress {
            sweep: self,
            bar: None,
            label: run.label(),
            steps: run.last_step(),
            task: run.spec.task.clone(),
            weight: run.step_cost(),
            cost: run.cost(),
            left: run.cost(),
            batch: run.spec.training.batch_size,
            metric: run.metric.clone(),
            validation: None,
        }
    }

    /// A line above the bars.
    pub(crate) fn line(&self, text: &str) {
        line_above(&self.bars, text);
    }

    /// [`SweepProgress::line`], for other threads.
    pub(crate) fn notice(&self) -> Notice {
        let bars = self.bars.clone();
        Arc::new(move |text| line_above(&bars, text))
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

    fn time_left(&self, state: &State) -> Option<Duration> {
        state.time_left(self.started.elapsed().as_secs_f64())
    }
}

fn line_above(bars: &MultiProgress, text: &str) {
    let text = printable(text);
    if bars.is_hidden() {
        note!("{text}");
    } else {
        // A terminal that is gone is no error.
        let _ = bars.println(text);
    }
}

impl RunProgress<'_> {
    /// The run continues after `step`, up to which another process has come.
    pub(crate) fn resume(&mut self, step: u64) {
        #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
        let left = self.cost - self.weight * step as f64;
        if let Some(task) = self.sweep.state().tasks.get_mut(&self.task) {
            task.left += left - self.left;
        }
        self.left = left;
        self.bar.get_or_insert_with(|| {
            let bar = ProgressBar::new(self.steps);
            let bar = self.sweep.bars.insert_before(&self.sweep.overall, bar);
            bar.set_style(style(
                "{bar:20} {pos:>4}/{len} {wide_msg}",
                "{bar:20.green/blue} {pos:>4}/{len} {wide_msg}",
            ));
            bar.set_message(self.label.clone());
            bar
        });
    }

    pub(crate) fn step(&mut self, step: &TrainStep) {
        self.left -= self.weight;
        let mut state = self.sweep.state();
        if let Some(task) = state.tasks.get_mut(&self.task) {
            task.left -= self.weight;
            task.done += self.weight;
            task.seconds += step.seconds;
        }
        if self.sweep.hidden() {
            return;
        }
        let Some(bar) = &self.bar else { return };
        bar.set_position(step.step);
        #[expect(clippy::cast_precision_loss, reason = "for a rate")]
        let rate = self.batch as f64 / step.seconds;
        let mut message = format!("{}  loss {:.3}  {rate:.0} ex/s", self.label, step.loss);
        if let Some(validation) = &self.validation {
            let value = validation.value(&self.metric);
            let digits = self.metric.digits.saturating_sub(1);
            message += &format!("  validation {}", self.metric.shown_with(value, digits));
        }
        bar.set_message(message);
        let mut message = format!("{} of {} runs done", state.finished, state.runs);
        if let Some(left) = self.sweep.time_left(&state) {
            message += &format!(", {} left", duration(left));
        }
        self.sweep.overall.set_message(message);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a part of 1000"
        )]
        self.sweep.overall.set_position((1000.0 * (1.0 - state.left() / self.sweep.total)) as u64);
    }

    pub(crate) fn validation(&mut self, evaluation: Evaluation) {
        self.validation = Some(evaluation);
    }

    /// The run is left out: its bar is removed.
    pub(crate) fn leave(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }

    /// The run ended: a line that stays.
    pub(crate) fn end(self, record: &RunRecord) {
        let (finished, runs, left) = {
            let mut state = self.sweep.state();
            state.finished += 1;
            // A run that diverged leaves steps undone.
            if let Some(task) = state.tasks.get_mut(&self.task) {
                task.left -= self.left;
            }
            (state.finished, state.runs, self.sweep.time_left(&state))
        };
        let result = outcome_words(record);
        let left = match left {
            Some(left) if finished < runs => format!(", about {} left", duration(left)),
            _ => String::new(),
        };
        let seconds = record.timing.total_seconds;
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
        let label = &self.label;
        self.sweep.line(&format!("[{finished}/{runs}] {label}: {result} ({seconds:.0} s{left})"));
    }
}

/// How a run ended, in words.
pub(crate) fn outcome_words(record: &RunRecord) -> String {
    match &record.outcome {
        Outcome::Completed => match (test_value(record), validation_value(record)) {
            (Some(test), _) => format!("test {test}"),
            // A trial is judged by validation data alone.
            (None, Some(validation)) => format!("validation {validation}"),
            (None, None) => "done".to_owned(),
        },
        Outcome::Diverged { step, reason } => format!("diverged at step {step}: {reason}"),
        Outcome::Failed { reason } => format!("failed: {reason}"),
    }
}

/// The primary metric on the test split as it is shown; nothing where the run was not judged.
pub(crate) fn test_value(record: &RunRecord) -> Option<String> {
    let summary = record.summary.as_ref()?;
    let metric = summary.metric();
    Some(metric.shown(summary.test.as_ref()?.value(&metric)))
}

/// The best value of the primary metric on the validation split as it is shown.
fn validation_value(record: &RunRecord) -> Option<String> {
    let summary = record.summary.as_ref()?;
    let metric = summary.metric();
    Some(metric.shown(summary.best_validation.as_ref()?.value(&metric)))
}

/// A duration in words, with two units.
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        3600..172_800 => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} days {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// Asks a question on the terminal; an empty answer is `default`.
pub(crate) fn ask(question: &str, default: &str) -> Result<String, Error> {
    let shown = if default.is_empty() { String::new() } else { format!(" [{default}]") };
    let mut error = std::io::stderr().lock();
    let _ = write!(error, "{question}{shown}: ");
    let _ = error.flush();
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    match read {
        Ok(0) => Err(Error::Usage("the questions were not answered: nothing is written".into())),
        Ok(_) if answer.trim().is_empty() => Ok(default.to_owned()),
        Ok(_) => Ok(answer.trim().to_owned()),
        Err(error) => Err(Error::Usage(format!("cannot read the answer: {error}"))),
    }
}

/// Whether the user says yes to `question`; `yes` is the flag that answers it beforehand.
pub(crate) fn confirmed(question: &str, yes: bool) -> Result<bool, Error> {
    if yes {
        return Ok(true);
    }
    if !std::io::stdin().is_terminal() {
        let message = "there is no terminal to ask on: confirm with --yes";
        return Err(Error::Usage(format!("{question} {message}")));
    }
    let answer = ask(&format!("{question} [y/N]"), "")?;
    Ok(matches!(answer.to_lowercase().as_str(), "y" | "yes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let words: Vec<_> = [5, 65, 3_725, 200_000]
            .into_iter()
            .map(|seconds| duration(Duration::from_secs(seconds)))
            .collect();
        assert_eq!(words, ["5 s", "1 min 05 s", "1 h 02 min", "2 days 7 h"]);
    }

    #[test]
    fn time_left_goes_by_each_task() {
        let task = |left, done, seconds| TaskState { left, done, seconds };
        let state = |tasks: Vec<TaskState>| State {
            finished: 0,
            runs: 0,
            tasks: tasks.into_iter().enumerate().map(|(i, task)| (i.to_string(), task)).collect(),
        };
        // Two runs side by side: 40 seconds of steps in 20 seconds. The second task is twice as slow.
        let both = state(vec![task(10.0, 20.0, 20.0), task(5.0, 10.0, 20.0)]);
        assert_eq!(both.time_left(20.0), Some(Duration::from_secs(10)));
        let unknown = state(vec![task(0.0, 20.0, 40.0), task(10.0, 0.0, 0.0)]);
        assert_eq!(unknown.time_left(20.0), Some(Duration::from_secs(10)));
        assert_eq!(state(vec![task(1.0, 0.0, 0.0)]).time_left(20.0), None);
    }

    #[test]
    fn names_do_not_command_the_terminal() {
        assert_eq!(printable("plain é\n"), "plain é\n");
        assert_eq!(
            printable("\u{1b}[31mred\u{7}\u{9b}2J\r"),
            "\u{fffd}[31mred\u{fffd}\u{fffd}2J\u{fffd}"
        );
    }
}
