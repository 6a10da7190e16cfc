//! What a sweep and its tasks leave in the folder of a submission, for each other and for the next process.

use super::{End, Task};
use crate::Error;
use crate::execute::Token;
use record::{RunId, write_atomically};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

/// Ending of the file in which a task says how one of its runs ended.
const END: &str = ".end.json";
const SUBMISSION: &str = "submission.json";

/// What was given to the cluster, as the next process finds it. It is written before the cluster has it, without the
/// number, which the cluster gives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Submission {
    /// Name of the job, by which it is found where the number is not known.
    #[serde(default)]
    pub(super) name: String,
    /// Number of the array, once it is known.
    pub(super) array: Option<u64>,
    /// By task: the tokens of its jobs, and the runs that they are about.
    pub(super) tasks: Vec<Vec<(Token, RunId)>>,
}

/// What is found of a submission.
#[derive(Debug, PartialEq)]
pub(super) enum Found {
    /// Nothing was submitted from this folder.
    Nothing,
    Submission(Submission),
    /// The file is damaged, for the reason given; what the files of the tasks say stands in for it.
    Damaged(String, Submission),
}

impl Submission {
    pub(super) fn write(&self, folder: &Path) -> Result<(), Error> {
        let json = serde_json::to_vec_pretty(self).unwrap_or_default();
        Ok(write_atomically(&folder.join(SUBMISSION), &json)?)
    }

    /// Forgets the submission in `folder`, which the cluster has not taken.
    pub(super) fn remove(folder: &Path) -> Result<(), Error> {
        let path = folder.join(SUBMISSION);
        fs::remove_file(&path).map_err(Error::io("remove", &path))
    }

    /// The submission in `folder`, whose job is called `name` where the file cannot say so.
    pub(super) fn find(folder: &Path, name: impl FnOnce() -> String) -> Found {
        let path = folder.join(SUBMISSION);
        let reason = match fs::read(&path) {
            Ok(bytes) => match serde_json::from_slice::<Self>(&bytes) {
                // One with neither could be any job.
                Ok(submission) if submission.array.is_none() && submission.name.is_empty() => {
                    "it has neither a name nor a number".to_owned()
                }
                Ok(submission) => return Found::Submission(submission),
                Err(error) => error.to_string(),
            },
            // A file of another kind beside the folders of submissions, or one that was never submitted.
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                return Found::Nothing;
            }
            Err(error) => error.to_string(),
        };
        let tasks = (0..).map_while(|number| {
            let bytes = fs::read(folder.join(format!("{number}.json"))).ok()?;
            // A damaged task keeps its number; its runs are not known.
            let task: Option<Task> = serde_json::from_slice(&bytes).ok();
            let jobs = task.into_iter().flat_map(|task| task.jobs);
            Some(jobs.map(|job| (job.token, job.spec.id())).collect())
        });
        Found::Damaged(reason, Self { name: name(), array: None, tasks: tasks.collect() })
    }
}

/// How runs of tasks in `folder` ended, by their tokens, as far as the tasks have said so.
///
/// A note that cannot be read says that its run has ended, but not how: that run may be tried again. No note is found in
/// a folder that cannot be read.
pub(super) fn end_notes(folder: &Path) -> BTreeMap<Token, End> {
    let mut notes = BTreeMap::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(token) = name.to_str().and_then(|name| name.strip_suffix(END)) else { continue };
        let path = entry.path();
        let damaged = |reason: String| End::Died {
            reason: format!("{} is damaged: {reason}", path.display()),
            again: true,
        };
        let end = match fs::read(&path) {
            Ok(bytes) => {
                serde_json::from_slice(&bytes).unwrap_or_else(|error| damaged(error.to_string()))
            }
            Err(error) => damaged(error.to_string()),
        };
        notes.insert(token.to_owned(), end);
    }
    notes
}

/// Says how the run of `token` ended, in the folder of the task's `file`.
pub(crate) fn write_end(file: &Path, token: &Token, end: &End) -> Result<(), Error> {
    let json = serde_json::to_vec(end).unwrap_or_default();
    Ok(write_atomically(&file.with_file_name(format!("{token}{END}")), &json)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_note_says_that_the_run_may_be_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        write_end(&at("0.json"), &"whole".to_owned(), &End::Done).unwrap();
        let whole = fs::read(at("whole.end.json")).unwrap();
        let damages: [(&str, &[u8]); 4] = [
            ("empty", b""),
            ("half", &whole[..whole.len() / 2]),
            ("zeros", &[0; 64]),
            ("other", b"{}"),
        ];
        for (token, bytes) in damages {
            fs::write(at(&format!("{token}.end.json")), bytes).unwrap();
        }
        fs::create_dir(at("folder.end.json")).unwrap();
        fs::write(at("notes.txt"), "foreign").unwrap();
        let notes = end_notes(folder.path());
        assert_eq!(notes.len(), 6);
        assert_eq!(notes["whole"], End::Done);
        for (token, end) in notes.iter().filter(|(token, _)| *token != "whole") {
            let End::Died { reason, again: true } = end else { panic!("{token}: {end:?}") };
            assert!(reason.contains(&format!("{token}.end.json is damaged")), "{reason}");
        }
        assert!(end_notes(&at("nowhere")).is_empty());
    }

    #[test]
    fn submissions_of_every_form_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let find = || Submission::find(folder.path(), || "n".to_owned());
        assert_eq!(find(), Found::Nothing);
        assert_eq!(
            Submission::find(&folder.path().join("file/below"), String::new),
            Found::Nothing
        );
        // Of earlier versions.
        fs::write(folder.path().join(SUBMISSION), r#"{ "array": 7, "tasks": [] }"#).unwrap();
        let Found::Submission(submission) = find() else { panic!() };
        assert_eq!((submission.array, &*submission.name), (Some(7), ""));
        let intent = Submission { name: "n".to_owned(), array: None, tasks: Vec::new() };
        intent.write(folder.path()).unwrap();
        assert_eq!(find(), Found::Submission(intent.clone()));
        let damages =
            ["", "{", "\0\0\0\0", "[]", r#"{ "array": -1, "tasks": [] }"#, r#"{ "tasks": [] }"#];
        for damage in damages {
            fs::write(folder.path().join(SUBMISSION), damage).unwrap();
            let Found::Damaged(_, submission) = find() else { panic!("{damage}") };
            assert_eq!(submission, intent);
        }
    }
}
