//! The launcher for Slurm, with an `sbatch` and a `squeue` that stand for it: jobs run on this machine.

use crate::support::{Place, ProgramOutput, place};
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// Keeps its environment, remembers the job by its name, and runs the tasks; `fault` is shell before it answers.
const SBATCH: &str = r##"#!/bin/bash
here="$(dirname "$0")"
[ "$1" = --version ] && exit 0
script="${@: -1}"
env >"$here/sbatch.env"
mkdir -p "$here/jobs"
number=$((40 + $(ls "$here/jobs" | wc -l)))
sed -n 's/^#SBATCH --job-name=//p' "$script" >"$here/jobs/$number"
last=$(sed -n 's/^#SBATCH --array=0-\([0-9]*\).*/\1/p' "$script")
folder="$(dirname "$script")"
(
  for task in $(seq 0 "$last"); do SLURM_ARRAY_TASK_ID=$task bash "$script"; done
  AFTER
  touch "$here/over.$number"
) </dev/null >/dev/null 2>&1 &
FAULT
echo $number
"##;

const SQUEUE: &str = r##"#!/bin/bash
here="$(dirname "$0")"
for job in "$here"/jobs/*; do
  number=$(basename "$job")
  state=RUNNING
  [ -e "$here/over.$number" ] && state=COMPLETED
  case "$*" in
    *"--format=%F --name $(cat "$job")") echo "$number" ;;
    *"--jobs $number") for task in 0 1 2 3; do echo "${number}_$task|$state"; done ;;
  esac
done
"##;

/// A folder with a sweep of two runs, and commands that stand for those of Slurm.
fn cluster(fault: &str, after: &str) -> Place {
    let place = place();
    fs::create_dir(place.path("bin")).unwrap();
    for (name, text) in [("sbatch", SBATCH), ("squeue", SQUEUE)] {
        place.write(&format!("bin/{name}"), &text.replace("FAULT", fault).replace("AFTER", after));
        let path = place.path(&format!("bin/{name}"));
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    place
}

fn sweep(place: &Place, further: &[&str]) -> ProgramOutput {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let bin = [place.path("bin")];
    let path = std::env::join_paths(bin.into_iter().chain(std::env::split_paths(&paths))).unwrap();
    let args = [
        "sweep",
        "tiny.toml",
        "--launcher",
        "slurm",
        "--set",
        "seeds=[1]",
        "--set",
        "tasks.text.data.train_limit=32",
    ];
    let mut command = place.command(&[&args, further].concat());
    command.env("PATH", path).env("WANDB_API_KEY", "secret-key").env("WANDB_MODE", "disabled");
    ProgramOutput::new(command.output().unwrap())
}

fn jobs(place: &Place) -> usize {
    fs::read_dir(place.path("bin/jobs")).unwrap().count()
}

/// The folder of the only submission.
fn submission(place: &Place, output: &str) -> std::path::PathBuf {
    let mut entries = fs::read_dir(place.path(&format!("{output}/tiny/slurm"))).unwrap();
    let folder = entries.next().unwrap().unwrap().path();
    assert!(entries.next().is_none());
    folder
}

#[test]
fn tasks_get_no_key_and_any_path() {
    let place = cluster("", "");
    let output = "my results/100%j #1 \"it's\"";
    sweep(&place, &["--output", output]).ok();
    let environment = place.read("bin/sbatch.env");
    assert!(environment.contains("WANDB_MODE=disabled"), "{environment}");
    assert!(!environment.contains("secret-key"), "{environment}");
    let script = fs::read_to_string(submission(&place, output).join("task.sh")).unwrap();
    assert!(script.contains(r##"/my results/100%%j \#1 \"it's\"/tiny/slurm/"##), "{script}");
    assert!(!script.contains("secret-key"));
}

#[test]
fn a_job_whose_number_was_not_written_down_is_found_again() {
    // Killed as soon as the cluster has the job.
    let place = cluster("kill -9 $PPID", "");
    assert_eq!(sweep(&place, &[]).code, None);
    let folder = submission(&place, "results");
    let intent = fs::read_to_string(folder.join("submission.json")).unwrap();
    assert!(intent.contains("\"array\": null"), "{intent}");
    // Foreign files, and folders that were never submitted, do not matter.
    place.write("results/tiny/slurm/notes.txt", "");
    fs::create_dir(place.path("results/tiny/slurm/empty")).unwrap();
    let second = sweep(&place, &[]);
    assert!(
        second.err.contains("4 runs continue since an earlier sweep submitted them"),
        "{second:?}"
    );
    second.ok();
    assert_eq!(jobs(&place), 1);
}

#[test]
fn a_damaged_submission_is_found_by_its_name() {
    let place = cluster("kill -9 $PPID", "sleep 1");
    assert_eq!(sweep(&place, &[]).code, None);
    fs::write(submission(&place, "results").join("submission.json"), "").unwrap();
    let second = sweep(&place, &[]);
    assert!(second.err.contains("is damaged (EOF while parsing"), "{second:?}");
    second.ok();
    assert_eq!(jobs(&place), 1);
}

#[test]
fn a_job_that_the_cluster_has_though_sbatch_failed_is_followed() {
    let place = cluster("echo 'Socket timed out on send/recv operation' >&2; exit 1", "");
    let said = sweep(&place, &[]);
    assert!(
        said.err.contains("(Socket timed out on send/recv operation), but job 40 was submitted")
    );
    said.ok();
    assert_eq!(jobs(&place), 1);
}

#[test]
fn a_refusal_of_sbatch_is_told_and_leaves_no_submission() {
    let place = cluster("rm \"$here/jobs/$number\"; echo 'Invalid account' >&2; exit 1", "");
    let said = sweep(&place, &[]);
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(said.err.contains("task.sh: Invalid account"), "{said:?}");
    assert!(!submission(&place, "results").join("submission.json").exists());
}

#[test]
fn a_damaged_end_note_costs_nothing_where_the_run_has_its_record() {
    // The first job's notes are cut as soon as they are written.
    let place = cluster("", "");
    let script = place.read("bin/sbatch").replace(
        "bash \"$script\"; done",
        "bash \"$script\"; [ $number = 40 ] && for note in \"$folder\"/*.end.json; do : >\"$note\"; done; done",
    );
    place.write("bin/sbatch", &script);
    let said = sweep(&place, &[]);
    said.ok();
    assert_eq!(jobs(&place), 1);
}

/// The time of the first two tasks is over while their first run is trained, or before: runs whose turn had not come cost
/// no retry.
#[test]
fn runs_whose_turn_did_not_come_cost_no_retry() {
    let place = cluster("", "");
    let in_turn =
        "for task in $(seq 0 \"$last\"); do SLURM_ARRAY_TASK_ID=$task bash \"$script\"; done";
    let cut_short = r#"SLURM_ARRAY_TASK_ID=0 bash "$script" & task=$!
  if [ "$number" -lt 42 ]; then
    until grep -qs '"train"' "$folder"/../../runs/*/metrics.jsonl; do sleep 0.02; done
    kill -TERM $task
  fi
  wait $task"#;
    let sbatch = place.read("bin/sbatch");
    assert!(sbatch.contains(in_turn));
    place.write("bin/sbatch", &sbatch.replace(in_turn, cut_short));
    let said = sweep(&place, &["--set", "slurm.runs_per_task=4", "--retries", "1"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.out.contains("4 runs of 2 activations"), "{}", said.out);
    assert!(said.err.contains("its process was terminated"), "{}", said.err);
    assert!(jobs(&place) >= 3, "{}", said.err);
}
