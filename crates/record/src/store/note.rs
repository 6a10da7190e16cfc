//! What trackers keep of a run beside its record: a note for each in a file of its own, and the links in them.

use super::{ATTEMPT, RECORD, RunDir, SPEC, read_file, read_json, write_atomically};
use crate::Error;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// What a tracker keeps of a run: an object in JSON, in which `id` and `url` say where the run can be seen.
pub trait Note: Serialize + DeserializeOwned {
    /// The file in the run's folder, as in `mlflow.json`.
    const FILE: &'static str;
    /// The tracker, as reports call it.
    const SINK: &'static str;
}

/// Where a run can be seen on a tracker.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Link {
    /// The tracker, as reports call it.
    pub sink: String,
    /// The run's page, by HTTP or HTTPS.
    pub url: String,
    /// The run's name there; empty where the note says none.
    pub id: String,
}

/// Field of a note that names its tracker.
const SINK: &str = "sink";

/// Files of a run in JSON that are no notes.
const OTHERS: [&str; 3] = [SPEC, RECORD, ATTEMPT];

/// The tracker whose notes had no `sink` in early versions.
const EARLY: (&str, &str) = ("wandb.json", "W&B");

impl RunDir {
    /// What a tracker keeps of the run, if it has it.
    ///
    /// # Errors
    /// If the note cannot be read, or is damaged.
    pub fn note<N: Note>(&self) -> Result<Option<N>, Error> {
        let path = self.path().join(N::FILE);
        if path.exists() { read_json(&path, "note").map(Some) } else { Ok(None) }
    }

    /// Replaces the note of a tracker.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub fn write_note<N: Note>(&self, note: &N) -> Result<(), Error> {
        let path = self.path().join(N::FILE);
        let mut json = serde_json::to_value(note).map_err(Error::format("note", &path))?;
        if let Value::Object(fields) = &mut json {
            fields.insert(SINK.to_owned(), N::SINK.into());
        }
        let text = serde_json::to_vec_pretty(&json).map_err(Error::format("note", &path))?;
        write_atomically(&path, &text)
    }

    /// Where the run can be seen, by tracker. A note that cannot be read costs its link.
    #[must_use]
    pub fn links(&self) -> Vec<Link> {
        let entries = fs::read_dir(self.path()).into_iter().flatten().flatten();
        let mut links: Vec<Link> = entries.filter_map(|entry| link(&entry.path())).collect();
        links.sort();
        links
    }
}

/// The link in a file, if it is a note with one.
fn link(path: &Path) -> Option<Link> {
    let (name, stem) = (path.file_name()?.to_str()?, path.file_stem()?.to_str()?);
    if path.extension()? != "json" || OTHERS.contains(&name) {
        return None;
    }
    let note: Value = serde_json::from_slice(&read_file(path).ok()?).ok()?;
    let text = |key: &str| note.get(key).and_then(Value::as_str).map(str::to_owned);
    let url = text("url")?;
    if !["https://", "http://"].iter().any(|scheme| url.starts_with(scheme)) {
        return None;
    }
    let early = Some(EARLY.1).filter(|_| name == EARLY.0).unwrap_or(stem);
    let sink = text(SINK).unwrap_or_else(|| early.to_owned());
    Some(Link { sink, url, id: text("id").unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize, Deserialize)]
    struct Kept {
        id: String,
        url: String,
        lines: u64,
    }

    impl Note for Kept {
        const FILE: &'static str = "tracker.json";
        const SINK: &'static str = "A tracker";
    }

    #[test]
    fn links_are_those_of_all_notes() {
        let folder = tempfile::tempdir().unwrap();
        let dir = RunDir::at(folder.path().to_owned());
        assert!(dir.links().is_empty());
        let note = Kept { id: "7".to_owned(), url: "http://here/7".to_owned(), lines: 3 };
        dir.write_note(&note).unwrap();
        assert_eq!(dir.note::<Kept>().unwrap().unwrap().lines, 3);
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write("wandb.json", r#"{ "id": "abc", "url": "https://wandb.ai/e/p/runs/abc" }"#);
        for (name, text) in [
            ("record.json", r#"{ "url": "http://no/note" }"#),
            ("other.txt", r#"{ "url": "http://no/note" }"#),
            ("a.json", "{"),
            ("b.json", r#"{ "url": "javascript:alert(1)" }"#),
            ("c.json", r#"{ "id": "offline" }"#),
            ("d.json", "[1]"),
        ] {
            write(name, text);
        }
        let link = |sink: &str, url: &str, id: &str| Link {
            sink: sink.to_owned(),
            url: url.to_owned(),
            id: id.to_owned(),
        };
        assert_eq!(
            dir.links(),
            [
                link("A tracker", "http://here/7", "7"),
                link("W&B", "https://wandb.ai/e/p/runs/abc", "abc")
            ]
        );
    }
}
