//! MLflow, by the REST interface of its tracking server.

mod client;
mod form;
mod online;
mod settings;

use crate::{
    Configured, Environment, Fault, Kind, Notice, Pace, SettingsError, Sink, Target, printable,
    printing,
};
use record::RunDir;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

pub use settings::{Flag, Mlflow, Settings, SinkRequest};

/// The sink, as users call it.
pub const NAME: &str = "MLflow";

pub(crate) static KIND: Kind = Kind {
    key: "mlflow",
    name: NAME,
    description: "an MLflow tracking server, by its REST interface",
    schema: || schemars::schema_for!(Mlflow),
    variables: Some("MLFLOW_"),
    by_sync: true,
};

/// Runs that are sent at the same time.
const LANES: usize = 4;

/// Where a run is on a tracking server, and what that has of it: `mlflow.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// Address of the server.
    pub tracking_uri: String,
    /// Name of the experiment there.
    pub experiment: String,
    /// Id of the run there, once the server has it.
    #[serde(default, alias = "run_id", skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Page of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Lines of history that the server had when this was written.
    #[serde(default)]
    pub lines: u64,
    /// Whether everything has arrived.
    pub complete: bool,
}

impl record::Note for Note {
    const FILE: &'static str = "mlflow.json";
    const SINK: &'static str = NAME;
}

/// Where the run in `dir` is on a tracking server, if it was to be logged to one.
///
/// # Errors
/// If the note of that is damaged.
pub fn note(dir: &RunDir) -> Result<Option<Note>, record::Error> {
    dir.note()
}

/// What the notes of runs, or sweeps, in `dirs` ask for: the server that they were to be logged to, if there is one.
/// Damaged notes ask for nothing. A note is a file, and may be another's: a secret goes to the server that it names only
/// where `environment` names the same.
///
/// # Errors
/// If they name several servers or experiments, or another server than `environment`.
pub fn noted(
    dirs: &[RunDir],
    environment: &Environment<'_>,
) -> Result<Option<SinkRequest>, SettingsError> {
    let notes: Vec<_> = dirs.iter().filter_map(|dir| note(dir).ok().flatten()).collect();
    let one = |name: fn(&Note) -> &str| {
        let names: BTreeSet<&str> = notes.iter().map(name).collect();
        if names.len() > 1 {
            let names = Vec::from_iter(names).join(" and ");
            // A note may be another's, and commands no terminal.
            return Err(SettingsError::Other(printable(&format!(
                "these runs were to be logged to several places on MLflow, {names}: upload their folders one by one, or choose with --mlflow=URI and MLFLOW_EXPERIMENT_NAME"
            ))));
        }
        Ok(names.into_iter().next().map(str::to_owned))
    };
    let Some(uri) = one(|note| &note.tracking_uri)? else { return Ok(None) };
    let experiment = one(|note| &note.experiment)?;
    let table = Some(Mlflow { tracking_uri: Some(uri.clone()), experiment });
    let request = SinkRequest { flag: None, table };
    let settled = Settings::resolve(&request, environment)?;
    if let Some(other) = settled.filter(|settled| settled.base_url != uri) {
        return Err(SettingsError::Other(printable(&format!(
            "these runs were to be logged to {uri}, but MLFLOW_TRACKING_URI is {}: choose one with --mlflow=URI",
            other.base_url
        ))));
    }
    Ok(Some(request))
}

/// The note of the run in `dir`, of the sweep `sweep`, which is to be logged as `settings` say. It is written before the
/// server hears of the run: a later process then sends what this one does not.
fn expected(
    dir: &RunDir,
    settings: &Settings,
    sweep: Option<&str>,
) -> Result<Option<Note>, record::Error> {
    let kept = note(dir)?;
    let Some(experiment) = settings.experiment.as_deref().or(sweep) else { return Ok(kept) };
    let expected = settings.note(kept.as_ref(), experiment);
    if kept.as_ref() != Some(&expected) && dir.write_note(&expected).is_err() {
        // The next try is made when the run has its turn.
        return Ok(kept);
    }
    Ok(Some(expected))
}

/// The sweep of the run, or report, in `dir`, as far as its beginning tells.
fn group_of(dir: &RunDir) -> Option<String> {
    if dir.path().join("sweep.json").exists() {
        return Some(dir.path().file_name()?.to_string_lossy().into_owned());
    }
    match dir.metrics().ok()?.next()?.ok()?.event {
        record::Event::Start(start) => Some(start.sweep),
        _ => None,
    }
}

/// The sink that sends runs to the server of `settings`.
///
/// # Errors
/// If an HTTP client cannot be made.
pub fn target(settings: &Settings, pace: Pace, notice: &Notice) -> Result<Target, SettingsError> {
    let client = Arc::new(client::Client::new(settings, pace)?);
    let (settings, notice) = (settings.clone(), printing(notice));
    Ok(Target {
        name: NAME,
        pace,
        lanes: LANES,
        open: Box::new(move |dir| {
            let group = group_of(dir);
            let note = expected(dir, &settings, group.as_deref());
            let note = note.map_err(|error| Fault::Run(error.to_string()))?;
            let (client, notice) = (Arc::clone(&client), Arc::clone(&notice));
            let sink = online::Online::new(client, &settings, pace, dir.clone(), note, notice);
            Ok(Box::new(sink) as Box<dyn Sink>)
        }),
        fallback: None,
    })
}

impl crate::SinkRequest for SinkRequest {
    fn settle(
        &self,
        environment: &Environment<'_>,
        _: &Path,
    ) -> Result<Option<Box<dyn Configured>>, SettingsError> {
        let settings = Settings::resolve(self, environment)?;
        Ok(settings.map(|settings| Box::new(settings) as Box<dyn Configured>))
    }
}

impl Settings {
    /// The note of a run that is to be logged to `experiment`, of which `kept` is known.
    fn note(&self, kept: Option<&Note>, experiment: &str) -> Note {
        let here =
            |note: &&Note| note.tracking_uri == self.base_url && note.experiment == experiment;
        match kept.filter(here) {
            // A run that begins anew, or has more to tell.
            Some(note) => Note { complete: false, ..note.clone() },
            None => Note {
                tracking_uri: self.base_url.clone(),
                experiment: experiment.to_owned(),
                id: None,
                url: None,
                lines: 0,
                complete: false,
            },
        }
    }
}

impl Configured for Settings {
    fn target(&self, pace: Pace, notice: &Notice) -> Result<Option<Target>, SettingsError> {
        target(self, pace, notice).map(Some)
    }

    fn introduction(&self) -> String {
        let experiment = match &self.experiment {
            Some(name) => format!("experiment {name}"),
            None => "an experiment with the name of the sweep".to_owned(),
        };
        format!("MLflow: logging to {experiment} on {} (--mlflow=off turns it off)", self.base_url)
    }

    fn warning(&self) -> Option<String> {
        if self.secret_withheld {
            return Some(format!(
                "no password or token is sent to {}, which a file names: name it by --mlflow or MLFLOW_TRACKING_URI",
                self.base_url
            ));
        }
        self.secret_in_the_open().then(|| {
            format!(
                "{} is http: the password or token can be read on its way; use https",
                self.base_url
            )
        })
    }

    fn has_all(&self, dir: &RunDir) -> Result<bool, record::Error> {
        let complete = |note: Note| note.complete && note.tracking_uri == self.base_url;
        Ok(note(dir)?.is_some_and(complete))
    }

    fn expect(&self, dir: &RunDir, sweep: &str) {
        // A damaged note is told when the run is followed.
        let _ = expected(dir, self, Some(sweep));
    }

    /// The rest of runs that were to be logged, and did not arrive whole.
    fn catches_up(&self, dir: &RunDir) -> bool {
        note(dir).ok().flatten().is_some_and(|note| !note.complete)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_told_from_settings() {
        let secret = ["MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_PASSWORD"];
        assert!(secret.into_iter().all(crate::is_secret));
        assert!(!crate::is_secret("MLFLOW_TRACKING_URI"));
    }

    #[test]
    fn notes_name_one_server() {
        let folder = tempfile::tempdir().expect("a folder");
        let dirs: Vec<RunDir> = (0..3)
            .map(|i| {
                let path = folder.path().join(i.to_string());
                std::fs::create_dir(&path).expect("a folder");
                RunDir::at(path)
            })
            .collect();
        let unset = Environment { variable: &|_| None, home: None };
        assert_eq!(noted(&dirs, &unset).ok(), Some(None));
        let write = |i: usize, uri: &str| {
            let note = Note {
                tracking_uri: uri.to_owned(),
                experiment: "e".to_owned(),
                id: None,
                url: None,
                lines: 0,
                complete: false,
            };
            dirs[i].write_note(&note).expect("a note");
        };
        write(0, "http://a");
        std::fs::write(dirs[1].path().join(<Note as record::Note>::FILE), "{").expect("a file");
        let request = noted(&dirs, &unset).ok().flatten().unwrap_or_default();
        let table = request.table.clone().unwrap_or_default();
        assert_eq!(table.tracking_uri.as_deref(), Some("http://a"));
        assert_eq!(table.experiment.as_deref(), Some("e"));
        // A secret goes to no server that a note alone names, and where the environment names another, nothing does.
        let with = |uri: Option<&'static str>| {
            move |name: &str| match name {
                "MLFLOW_TRACKING_TOKEN" => Some("token".to_owned()),
                "MLFLOW_TRACKING_URI" => uri.map(str::to_owned),
                _ => None,
            }
        };
        let settled = |uri: Option<&'static str>| {
            let variable = with(uri);
            let environment = Environment { variable: &variable, home: None };
            let request = noted(&dirs, &environment).map_err(|error| error.to_string())?;
            let settings = Settings::resolve(&request.unwrap_or_default(), &environment);
            let settings = settings.map_err(|error| error.to_string())?;
            Ok::<_, String>(settings.expect("a server"))
        };
        let alone = settled(None).expect("settings");
        assert!(alone.secret.is_none() && alone.secret_withheld);
        assert!(settled(Some("http://a/")).expect("settings").secret.is_some());
        let said = settled(Some("http://b")).expect_err("another server");
        assert!(said.contains("logged to http://a, but MLFLOW_TRACKING_URI is http://b"), "{said}");
        write(2, "http://b");
        let said = noted(&dirs, &unset).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(said.contains("http://a and http://b"), "{said}");
    }
}
