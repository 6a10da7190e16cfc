//! What is kept of a run on W&B in its folder.

use super::{NAME, Settings, new_id, synced_name};
use crate::Fault;
use record::RunDir;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Where a run is on W&B, and what that has of it: `wandb.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// The run's name in URLs, the same however often the run begins anew.
    pub id: String,
    /// Where it can be seen, once the server has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The offline directory, where one was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offline: Option<PathBuf>,
    /// Where the run is to be logged; absent in early notes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<Destination>,
    /// What the server has of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upload: Option<Upload>,
}

/// Where a run is to be logged, and under which words it is found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destination {
    /// Address of the server; absent where only an offline directory was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// User or team; that of the key where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entity: Option<String>,
    /// Project.
    pub project: String,
    /// Group; the name of the sweep where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Tags beside those of the run itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
}

impl Destination {
    /// What `settings` say, on no server in particular.
    pub(super) fn offline(settings: &Settings) -> Self {
        let Settings { entity, project, group, tags, .. } = settings.clone();
        Self { server: None, entity, project, group, tags }
    }

    /// What `settings` say, on their server.
    pub(super) fn online(settings: &Settings) -> Self {
        Self { server: Some(settings.base_url.clone()), ..Self::offline(settings) }
    }

    /// Whether it may be on the server at `base_url`.
    fn suits(&self, base_url: &str) -> bool {
        self.server.as_deref().is_none_or(|server| server == base_url)
    }
}

/// What a server has of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    /// Which beginning of the run it is about: the whole microseconds of its start since 1970.
    pub attempt: u64,
    /// Lines of system metrics that earlier beginnings of the run have left on the server.
    pub events_base: u64,
    /// The same for lines of output.
    pub output_base: u64,
    /// Whether everything has arrived.
    pub complete: bool,
    /// Address of the server; absent in early notes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// User or team there, and project; absent in early notes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entity: Option<String>,
    /// Project there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
}

impl Upload {
    /// Whether it is about the server at `base_url`, as far as is known.
    #[must_use]
    pub fn is_on(&self, base_url: &str) -> bool {
        self.server.as_deref().is_none_or(|server| server == base_url)
    }

    /// Whether it is about this project of a server, as far as is known.
    pub(super) fn is_in(&self, entity: &str, project: &str) -> bool {
        let same =
            |known: &Option<String>, name: &str| known.as_deref().is_none_or(|it| it == name);
        same(&self.entity, entity) && same(&self.project, project)
    }
}

impl record::Note for Note {
    const FILE: &'static str = "wandb.json";
    const SINK: &'static str = NAME;
}

impl Note {
    /// That of a run of which no server has anything.
    #[must_use]
    pub fn new(id: String) -> Self {
        Self { id, url: None, offline: None, destination: None, upload: None }
    }

    /// The server that the run was to be logged to, as far as is known.
    pub(super) fn server(&self) -> Option<&str> {
        let of_upload = || self.upload.as_ref()?.server.as_deref();
        self.destination.as_ref().and_then(|there| there.server.as_deref()).or_else(of_upload)
    }

    /// Where the run goes, which is always on the server of `settings`: a note is a file, and may be another's. Where
    /// notes count, it is the entity and project of the note, if that is of the same server.
    pub(super) fn settle(&self, settings: &Settings) -> Destination {
        let asked = Destination::online(settings);
        let Some(noted) = self.destination.as_ref().filter(|it| it.suits(&settings.base_url))
        else {
            return asked;
        };
        if !settings.by_notes {
            return asked;
        }
        let there = self.place_on(&settings.base_url);
        let Destination { server, entity, project, group, tags } = asked;
        let new = tags.into_iter().filter(|tag| !noted.tags.contains(tag));
        Destination {
            server,
            entity: if settings.named.entity { entity } else { there.0.map(str::to_owned) },
            project: match there.1 {
                Some(noted) if !settings.named.project => noted.to_owned(),
                _ => project,
            },
            group: group.or_else(|| noted.group.clone()),
            tags: noted.tags.iter().cloned().chain(new).collect(),
        }
    }

    /// Entity and project of the run on the server at `base_url`: those that the server has named, or else those that were
    /// asked for.
    pub(super) fn place_on(&self, base_url: &str) -> (Option<&str>, Option<&str>) {
        let upload = self.upload.as_ref().filter(|upload| upload.is_on(base_url));
        let asked = self.destination.as_ref().filter(|asked| asked.suits(base_url));
        // What another place has of the run does not count, if it is to go to this one since.
        let upload = upload.filter(|upload| {
            let same = |there: &Option<String>, asked: Option<&str>| {
                there.is_none() || asked.is_none() || there.as_deref() == asked
            };
            asked.is_none_or(|asked| {
                same(&upload.project, Some(&asked.project))
                    && same(&upload.entity, asked.entity.as_deref())
            })
        });
        let entity = upload.and_then(|upload| upload.entity.as_deref());
        let project = upload.and_then(|upload| upload.project.as_deref());
        (
            entity.or_else(|| asked?.entity.as_deref()),
            project.or_else(|| Some(asked?.project.as_str())),
        )
    }

    /// Remembers where the run is to be logged; whether that is new.
    pub(super) fn goes_to(&mut self, destination: Destination) -> bool {
        let new = self.destination.as_ref() != Some(&destination);
        self.destination = Some(destination);
        new
    }

    /// Whether the run in `dir` was to be logged to the server at `base_url`, and has not arrived whole.
    pub(super) fn is_due(&self, dir: &RunDir, base_url: &str) -> bool {
        match self.upload.as_ref().filter(|upload| upload.is_on(base_url)) {
            Some(upload) => !upload.complete,
            None => {
                let asked = self.destination.as_ref().and_then(|asked| asked.server.as_deref());
                asked == Some(base_url) && !self.is_synced(dir)
            }
        }
    }

    /// Whether the offline directory of the run in `dir` was uploaded as it is, by `wandb sync` or ours.
    fn is_synced(&self, dir: &RunDir) -> bool {
        let written = |path: PathBuf| path.metadata().and_then(|file| file.modified()).ok();
        let mark = self.offline.as_ref().map(|folder| folder.join(synced_name(&self.id)));
        let ends = ["record.json", "report.md"].map(|name| written(dir.path().join(name)));
        // The run may have begun anew since.
        mark.and_then(written).is_some_and(|mark| ends.into_iter().flatten().all(|end| end <= mark))
    }
}

/// Where the run in `dir` is on W&B, if it was to be logged there.
///
/// # Errors
/// If the note of that is damaged.
pub fn note(dir: &RunDir) -> Result<Option<Note>, record::Error> {
    dir.note()
}

/// What is known of the run in `dir` on W&B; a run that is new there gets an id.
pub(super) fn note_or_new(dir: &RunDir) -> Result<Note, Fault> {
    match note(dir) {
        // It becomes a part of paths and addresses.
        Ok(Some(note)) if !is_id(&note.id) => {
            let path = dir.path().join(<Note as record::Note>::FILE);
            Err(Fault::Run(format!("{}: `{}` is no id of a run", path.display(), note.id)))
        }
        Ok(Some(note)) => Ok(note),
        Ok(None) => Ok(Note::new(new_id(dir.path()))),
        Err(error) => Err(Fault::Run(error.to_string())),
    }
}

/// The note of the run in `dir`, which is to be logged as `settings` say. It is written before the server hears of the run:
/// a later process then sends what this one does not.
pub(super) fn expected(dir: &RunDir, settings: &Settings) -> Result<Note, Fault> {
    let mut note = note_or_new(dir)?;
    let mut new = note.goes_to(note.settle(settings));
    if let Some(upload) = note.upload.as_mut().filter(|upload| upload.is_on(&settings.base_url)) {
        // A run that begins anew, or has more to tell.
        new |= std::mem::replace(&mut upload.complete, false);
    }
    if new {
        // Where the folder does not take it now, the next try is made when the run has its turn.
        let _ = dir.write_note(&note);
    }
    Ok(note)
}

/// Whether W&B could have given a run this id.
fn is_id(id: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=64).contains(&id.len()) && id.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_a_foreign_note_names_no_path() {
        let folder = tempfile::tempdir().expect("a folder");
        let dir = RunDir::at(folder.path().to_owned());
        for id in ["../../escaped", "a/b", "", "a b", "\u{1b}[31m", &"x".repeat(65)] {
            dir.write_note(&Note::new(id.to_owned())).expect("a note");
            assert!(matches!(note_or_new(&dir), Err(Fault::Run(_))), "{id}");
        }
        for id in ["ji6fiein", "my-run_1"] {
            dir.write_note(&Note::new(id.to_owned())).expect("a note");
            assert_eq!(note_or_new(&dir).map(|note| note.id).ok().as_deref(), Some(id));
        }
    }

    /// What a server has in another project does not decide where a run goes that was since to go elsewhere.
    #[test]
    fn a_run_goes_where_it_was_to_go_last() {
        let server = "https://api.wandb.ai";
        let note = |destination: serde_json::Value| -> Note {
            serde_json::from_value(serde_json::json!({
                "id": "abcd1234",
                "destination": destination,
                "upload": {
                    "attempt": 1, "events_base": 2, "output_base": 3, "complete": false, "server": server,
                    "entity": "team-a", "project": "first"
                }
            }))
            .expect("a note")
        };
        let place = |destination| {
            let note = note(destination);
            let (entity, project) = note.place_on(server);
            [entity, project].map(|name| name.map(str::to_owned))
        };
        let names = |entity: Option<&str>, project: &str| {
            [entity.map(str::to_owned), Some(project.to_owned())]
        };
        let same = serde_json::json!({ "server": server, "project": "first", "tags": [] });
        assert_eq!(place(same), names(Some("team-a"), "first"));
        let other = serde_json::json!({ "server": server, "project": "second", "tags": [] });
        assert_eq!(place(other), names(None, "second"));
        let team = serde_json::json!({ "server": server, "entity": "team-b", "project": "first", "tags": [] });
        assert_eq!(place(team), names(Some("team-b"), "first"));
    }

    /// Early versions wrote no `sink`.
    #[test]
    fn an_early_note_keeps_its_id() {
        let folder = tempfile::tempdir().expect("a folder");
        let dir = RunDir::at(folder.path().to_owned());
        let text = r#"{ "id": "abcd1234", "url": "https://wandb.ai/e/p/runs/abcd1234",
            "upload": { "attempt": 1, "events_base": 2, "output_base": 3, "complete": false } }"#;
        std::fs::write(folder.path().join("wandb.json"), text).expect("a file");
        let note = note_or_new(&dir).expect("a note");
        assert_eq!(note.id, "abcd1234");
        assert_eq!(note.upload.as_ref().map(|upload| upload.output_base), Some(3));
        let links = dir.links();
        dir.write_note(&note).expect("a note");
        assert_eq!(dir.links(), links);
    }
}
