//! Inputs with accidental changes, and what the program must do with each: succeed or refuse it, soon, in little
//! memory, and without a panic.

use super::change::Dice;
use crate::support::{Place, place};
use std::fs::File;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Time after which a run of the program counts as endless. It is far above what one takes, so that a machine with
/// other work does not fail the test.
const LIMIT: Duration = Duration::from_secs(30);

/// KiB of address space that the program gets.
const MEMORY: u64 = 4 << 20;

/// Runs of a test, unless the variable `MUTATIONS` has another number; `MUTATION_SEED` chooses other ones.
const COUNT: (&str, &str) = ("MUTATIONS", "MUTATION_SEED");

/// A run of the program in a case.
pub(crate) struct Call {
    args: Vec<String>,
    /// Exit codes that are right.
    codes: &'static [i32],
    /// Whether standard output is JSON where it succeeds.
    json: bool,
    /// Time after which it is ended without being at fault: what the case asks for may take long.
    patience: Option<Duration>,
}

impl Call {
    pub(crate) fn new(args: &[&str], codes: &'static [i32]) -> Self {
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        Self { args, codes, json: false, patience: None }
    }

    pub(crate) fn with(mut self, args: &[&str]) -> Self {
        self.args.extend(args.iter().map(|arg| (*arg).to_owned()));
        self
    }

    pub(crate) fn json(self) -> Self {
        Self { json: true, ..self }
    }

    pub(crate) fn for_at_most(self, patience: Duration) -> Self {
        Self { patience: Some(patience), ..self }
    }

    /// What is wrong about how it ended, if anything is.
    fn fault(&self, ended: &Ended) -> Option<String> {
        let Some(status) = ended.status else {
            return self.patience.is_none().then(|| "it does not end".to_owned());
        };
        // The second where the program has caught it.
        let panics = ["panicked", "panic at "].iter().any(|word| ended.err.contains(word));
        if panics || String::from_utf8_lossy(&ended.out).contains("panic at ") {
            return Some("it panics".to_owned());
        }
        if !status.code().is_some_and(|code| self.codes.contains(&code)) {
            return Some(format!("it ends with {status}, not with one of {:?}", self.codes));
        }
        if self.json && status.success() {
            let parsed: Result<serde_json::Value, _> = serde_json::from_slice(&ended.out);
            return parsed.err().map(|error| format!("its output is no JSON: {error}"));
        }
        None
    }
}

/// What a test does with the program in one case.
pub(crate) struct Case {
    pub(crate) calls: Vec<Call>,
    /// What was changed, for the message of a failure.
    pub(crate) input: String,
}

/// How the program ended.
struct Ended {
    status: Option<ExitStatus>,
    out: Vec<u8>,
    err: String,
    time: Duration,
}

/// Runs `call` with little memory until it ends, or for [`LIMIT`].
fn limited(place: &Place, call: &Call) -> Ended {
    let args: Vec<&str> = call.args.iter().map(String::as_str).collect();
    let command = place.command(&args);
    let limit = call.patience.unwrap_or(LIMIT);
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("ulimit -v {MEMORY}; exec \"$0\" \"$@\"")]);
    shell.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    // Into files: a pipe without a reader would fill.
    let [out, err] = ["stdout", "stderr"].map(|name| File::create(place.path(name)).unwrap());
    shell.current_dir(place.path(".")).stdin(Stdio::null()).stdout(out).stderr(err);
    let started = Instant::now();
    let mut child = shell.spawn().unwrap();
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break Some(status),
            None if started.elapsed() > limit => {
                child.kill().unwrap();
                child.wait().unwrap();
                break None;
            }
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    };
    let [out, err] = ["stdout", "stderr"].map(|name| std::fs::read(place.path(name)).unwrap());
    let err = String::from_utf8_lossy(&err).into_owned();
    Ended { status, out, err, time: started.elapsed() }
}

/// What one case came to.
struct Outcome {
    time: Duration,
    code: Option<i32>,
    call: String,
    fault: Option<String>,
}

/// Tries `count` cases: `prepare` puts the files of one into the place and says what is run. Exit codes other than the
/// right ones, panics, and runs without an end fail the test, with the arguments and the input.
pub(crate) fn survives(
    count: usize,
    seed: u64,
    prepare: impl Fn(&Place, &mut Dice) -> Case + Sync,
) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let count = number(COUNT.0).map_or(count, |count| count as usize);
    let seed = number(COUNT.1).map_or(seed, |other| seed ^ other);
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::new());
    let worker = || {
        let place = place();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                break;
            }
            // A case depends on its number alone.
            let mut dice = Dice::new(Dice::new(seed ^ (number as u64) << 32).next());
            let case = prepare(&place, &mut dice);
            for call in &case.calls {
                let outcome = outcome(&place, call, number, &case.input);
                results.lock().unwrap().push(outcome);
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(8);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(worker);
        }
    });
    summarize(count, results.into_inner().unwrap());
}

fn outcome(place: &Place, call: &Call, case: usize, input: &str) -> Outcome {
    let ended = limited(place, call);
    let name = format!("{:?}", call.args);
    let fault = call.fault(&ended).map(|fault| {
        let end: String = ended.err.lines().rev().take(8).collect::<Vec<_>>().join("\n");
        format!("case {case}: {name}: {fault}\n{end}\n{input}")
    });
    let code = ended.status.and_then(|status| status.code());
    Outcome { time: ended.time, code, call: name, fault }
}

/// Prints how often each exit code came, and fails where something is at fault.
fn summarize(count: usize, outcomes: Vec<Outcome>) {
    let of = |code| outcomes.iter().filter(|outcome| outcome.code == code).count();
    let [zero, one, two] = [0, 1, 2].map(|code| of(Some(code)));
    let slowest = outcomes.iter().max_by_key(|outcome| outcome.time);
    let slowest =
        slowest.map(|outcome| format!("{:.1} s, {}", outcome.time.as_secs_f64(), outcome.call));
    eprintln!(
        "{count} cases, {} runs: {zero} end with 0, {one} with 1, {two} with 2, {} otherwise; the slowest took {}",
        outcomes.len(),
        outcomes.len() - zero - one - two,
        slowest.unwrap_or_default()
    );
    let faults: Vec<String> = outcomes.into_iter().filter_map(|outcome| outcome.fault).collect();
    assert!(faults.is_empty(), "{} of {count} cases fail:\n{}", faults.len(), faults.join("\n\n"));
}
