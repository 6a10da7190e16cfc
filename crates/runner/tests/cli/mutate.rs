//! Inputs with accidental changes, and what the program must do with each: succeed or refuse it, soon, in little
//! memory, and without a panic.

use crate::support::{Place, place};
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

/// Values that numbers and words are replaced by.
const EXTREMES: &[&str] = &[
    "0",
    "1",
    "-1",
    "-0.0",
    "0.5",
    "2147483648",
    "4294967295",
    "9007199254740993",
    "1000000000000000000",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "18446744073709551615",
    "340282366920938463463374607431768211456",
    "1e-320",
    "1e300",
    "-1e300",
    "nan",
    "inf",
    "-inf",
    ".nan",
    ".inf",
    "null",
    "true",
    "\"\"",
    "''",
    "\"relu\"",
    "[]",
    "{}",
    "[1, 1]",
];

/// Values that many keys take, so that some cases are planned.
const USUAL: &[&str] = &["1", "2", "3", "7", "16", "0.1", "0.5", "1e-3", "1.0", "[3, 4]", "cosine"];

/// Bytes that mean something to a reader of TOML, YAML, JSON or CSV, and some that mean nothing to any.
const BYTES: &[u8] = b"\"'[]{}=:,.#-&*!|>%@\\\n\t 0919eE+\0\xff\xc3";

/// A sequence of pseudo-random numbers: SplitMix64 (Steele, Lea and Flood 2014).
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, or 0 if that is 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    pub(crate) fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }
}

/// `text` with one to three changes: to bytes, to lines, to numbers, or to words.
pub(crate) fn mutated(text: &str, dice: &mut Dice) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..1 + dice.below(6) / 4 * (1 + dice.below(2)) {
        change(&mut bytes, dice);
    }
    bytes
}

fn change(bytes: &mut Vec<u8>, dice: &mut Dice) {
    let at = dice.below(bytes.len());
    match dice.below(12) {
        0 if !bytes.is_empty() => bytes[at] = *dice.pick(BYTES),
        1 if !bytes.is_empty() => drop(bytes.remove(at)),
        2 => bytes.insert(at, *dice.pick(BYTES)),
        3 if dice.below(4) == 0 => bytes.truncate(at),
        4 => lines(bytes, dice, |lines, dice| drop(lines.remove(dice.below(lines.len())))),
        5 => lines(bytes, dice, |lines, dice| {
            let line = dice.pick(lines).clone();
            lines.insert(dice.below(lines.len()), line);
        }),
        6 => lines(bytes, dice, |lines, dice| {
            let (a, b) = (dice.below(lines.len()), dice.below(lines.len()));
            lines.swap(a, b);
        }),
        7 => token(bytes, dice, |c| c.is_ascii_alphabetic() || c == b'_', false),
        8 => token(bytes, dice, |c| c.is_ascii_alphabetic() || c == b'_', true),
        _ => token(bytes, dice, |c| c.is_ascii_digit() || c == b'.', true),
    }
}

fn lines(bytes: &mut Vec<u8>, dice: &mut Dice, change: impl Fn(&mut Vec<Vec<u8>>, &mut Dice)) {
    let mut lines: Vec<Vec<u8>> = bytes.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    change(&mut lines, dice);
    *bytes = lines.join(&b'\n');
}

/// Replaces a word or number whose characters `of` knows: by an extreme value, or by another word of the text.
fn token(bytes: &mut Vec<u8>, dice: &mut Dice, of: impl Fn(u8) -> bool, extreme: bool) {
    let mut tokens = Vec::new();
    let mut start = None;
    for (i, byte) in bytes.iter().chain(std::iter::once(&b'\n')).enumerate() {
        match (of(*byte), start) {
            (true, None) => start = Some(i),
            (false, Some(begin)) => {
                tokens.push(begin..i);
                start = None;
            }
            _ => {}
        }
    }
    if tokens.is_empty() {
        return;
    }
    let other = bytes[dice.pick(&tokens).clone()].to_vec();
    let new = if extreme { value(dice).as_bytes().to_vec() } else { other };
    bytes.splice(dice.pick(&tokens).clone(), new);
}

/// A value that is usual, or extreme.
pub(crate) fn value(dice: &mut Dice) -> &'static str {
    let kind = dice.below(3);
    let values = if kind == 0 { USUAL } else { EXTREMES };
    values[dice.below(values.len())]
}

/// How the program ended.
struct Ended {
    status: Option<ExitStatus>,
    err: String,
    time: Duration,
}

/// Runs `command` with little memory until it ends, or for [`LIMIT`].
fn limited(place: &Place, command: &Command) -> Ended {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("ulimit -v {MEMORY}; exec \"$0\" \"$@\"")]);
    shell.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    // Into a file: a pipe that nobody reads would fill.
    let err = std::fs::File::create(place.path("stderr")).unwrap();
    shell.current_dir(place.path(".")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(err);
    let started = Instant::now();
    let mut child = shell.spawn().unwrap();
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break Some(status),
            None if started.elapsed() > LIMIT => {
                child.kill().unwrap();
                child.wait().unwrap();
                break None;
            }
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    };
    let err = String::from_utf8_lossy(&std::fs::read(place.path("stderr")).unwrap()).into_owned();
    Ended { status, err, time: started.elapsed() }
}

/// Runs the program `count` times: `prepare` puts the case's files into the place and gives the arguments. Exit codes
/// other than those of `codes`, panics, and runs without an end fail the test, with the arguments and the files.
pub(crate) fn survives(
    count: usize,
    seed: u64,
    codes: &[i32],
    prepare: impl Fn(&Place, &mut Dice) -> Vec<String> + Sync,
) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let count = number(COUNT.0).map_or(count, |count| count as usize);
    let seed = number(COUNT.1).map_or(seed, |other| seed ^ other);
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::new());
    let worker = || {
        let place = place();
        loop {
            let case = next.fetch_add(1, Ordering::Relaxed);
            if case >= count {
                break;
            }
            // A case depends on its number alone.
            let mut dice = Dice::new(Dice::new(seed ^ (case as u64) << 32).next());
            let args = prepare(&place, &mut dice);
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            let ended = limited(&place, &place.command(&args));
            let code = ended.status.and_then(|status| status.code());
            let right = code.is_some_and(|code| codes.contains(&code));
            let fault = (!right || ended.err.contains("panicked")).then(|| {
                let files = ["case.toml", "case.yaml"].map(|name| {
                    let bytes = std::fs::read(place.path(name)).unwrap_or_default();
                    format!("--- {name}\n{}", String::from_utf8_lossy(&bytes))
                });
                let end: String = ended.err.lines().rev().take(8).collect::<Vec<_>>().join("\n");
                format!("case {case}: {args:?}: {:?}\n{end}\n{}", ended.status, files.join("\n"))
            });
            results.lock().unwrap().push((ended.time, code, format!("{args:?}"), fault));
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(8);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(worker);
        }
    });
    let results = results.into_inner().unwrap();
    let of = |code| results.iter().filter(|(_, own, ..)| *own == code).count();
    let (zero, two) = (of(Some(0)), of(Some(2)));
    let slowest = results.iter().max_by_key(|(time, ..)| *time);
    let slowest = slowest.map(|(time, _, args, _)| format!("{:.1} s, {args}", time.as_secs_f64()));
    eprintln!(
        "{count} cases: {zero} end with 0, {two} with 2, {} otherwise; the slowest took {}",
        results.len() - zero - two,
        slowest.unwrap_or_default()
    );
    let faults: Vec<String> = results.into_iter().filter_map(|(.., fault)| fault).collect();
    assert!(faults.is_empty(), "{} of {count} cases fail:\n{}", faults.len(), faults.join("\n\n"));
}
