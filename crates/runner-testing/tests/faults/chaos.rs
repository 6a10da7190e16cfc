//! A sweep whose processes are killed again and again, and whose disk fills, ends as a calm one.

use crate::place;
use runner_testing::{Place, without_time};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Processes that are killed over the test.
const KILLS: usize = 50;

/// Five arms, of which one panics and one gives NaN, on two tasks under two seeds.
const ARMS: &str = "activations=[\"relu\", \"gelu\", \"mish\", \"panics\", \"gives_nan\"]";

const RUNS: &str = "results/tiny/runs";

const ARGS: &[&str] = &[
    "sweep",
    "tiny.toml",
    "--jobs",
    "2",
    "--set",
    ARMS,
    "--set",
    "checkpoint_every=0.000001",
    "--set",
    "tasks.images.training.budget.epochs=4",
    "--set",
    "tasks.text.training.budget.steps=6",
];

/// A fixed series of numbers (SplitMix64).
struct Dice(u64);

impl Dice {
    /// A number below `n`.
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }
}

fn start(place: &Place) -> Child {
    place.command(ARGS).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Processes that `parent` has started.
fn children(parent: u32) -> Vec<u32> {
    let output = Command::new("pgrep").args(["-P", &parent.to_string()]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().lines().filter_map(|id| id.parse().ok()).collect()
}

fn kill(id: u32) -> bool {
    let id = id.to_string();
    let status = Command::new("kill").args(["-KILL", &id]).stderr(Stdio::null()).status();
    status.unwrap().success()
}

/// The sweep on a disk on which no file can become larger than a few KiB: its error.
fn on_a_full_disk(place: &Place) -> String {
    let program = place.command(ARGS);
    let mut shell = Command::new("sh");
    // A longer write fails, as on a full disk, instead of killing the process.
    shell.args(["-c", "trap '' XFSZ; ulimit -f 8; exec \"$0\" \"$@\""]);
    shell.arg(program.get_program()).args(program.get_args());
    shell.current_dir(place.path("")).stdin(Stdio::null()).env("NO_COLOR", "1");
    let output = shell.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_sweep_in_chaos_ends_in_the_table_of_a_calm_one() {
    let calm = place();
    let expected = calm.run(ARGS);
    assert_eq!(expected.code, Some(1), "{}", expected.err);

    let place = place();
    let mut dice = Dice(11);
    let (mut kills, mut runners) = (0, 0);
    let began = Instant::now();
    let mut sweep = start(&place);
    while kills < KILLS {
        assert!(began.elapsed() < Duration::from_secs(300), "{kills} kills");
        std::thread::sleep(Duration::from_millis(20 + dice.below(130)));
        if let Some(status) = sweep.try_wait().unwrap() {
            // Only failures are left, which every sweep tries again.
            assert_eq!(status.code(), Some(1));
            sweep = start(&place);
        }
        let workers = children(sweep.id());
        if dice.below(4) == 0 || workers.is_empty() {
            // Once it has begun: or it would never come to anything.
            if began.elapsed() > Duration::from_millis(500) && !workers.is_empty() {
                assert!(kill(sweep.id()));
                sweep.wait().unwrap();
                kills += 1;
                runners += 1;
                if kills == KILLS / 2 || runners == 3 {
                    let said = on_a_full_disk(&place);
                    assert!(said.contains("File too large"), "{said}");
                }
                sweep = start(&place);
            }
        } else {
            let one = usize::try_from(dice.below(workers.len() as u64)).unwrap();
            kills += usize::from(kill(workers[one]));
        }
    }
    assert!(runners >= 5, "{runners}");
    kill(sweep.id());
    sweep.wait().unwrap();

    let said = place.run(ARGS);
    assert_eq!(said.code, Some(1), "{}", said.err);
    assert!(said.err.contains("4 of 20 runs failed"), "{}", said.err);
    assert_eq!(without_time(&said.out), without_time(&expected.out));
    let [report, expected] = [&place, &calm].map(|place| place.read("results/tiny/report.md"));
    assert_eq!(without_time(&report), without_time(&expected));
    assert!(report.contains("a plugin went wrong") && report.contains("not finite"), "{report}");
    let mut resumed = 0;
    for run in std::fs::read_dir(calm.path(RUNS)).unwrap() {
        let run = run.unwrap().file_name();
        let file = |place: &Place, name: &str| {
            std::fs::read_to_string(place.path(RUNS).join(&run).join(name)).unwrap_or_default()
        };
        let same = |what: &dyn Fn(&Place) -> String| {
            assert_eq!(what(&place), what(&calm), "{}", Path::new(&run).display());
        };
        same(&|place| file(place, "predictions.csv"));
        // Every step occurs once.
        same(&|place| {
            let metrics = file(place, "metrics.jsonl");
            let events = |name: &str| metrics.matches(&format!("\"event\":\"{name}\"")).count();
            assert_eq!(events("start"), 1);
            format!("{} steps", events("train"))
        });
        let files = std::fs::read_dir(place.path(RUNS).join(&run)).unwrap();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        assert_eq!(names.filter(|name| name.contains("checkpoint")).count(), 0);
        resumed += file(&place, "metrics.jsonl").matches("resumes after step").count();
    }
    assert!(resumed > 0, "no run went on from a checkpoint");
}
