//! Weights & Biases, over HTTP and as directories that its own `wandb sync` takes.

mod client;
mod files;
mod log;
mod netrc;
mod note;
mod offline;
mod online;
mod payload;
mod proto;
mod settings;
mod source;

use crate::{
    Configured, Environment, Kind, Notice, Pace, SettingsError, Sink, Target, printable, printing,
};
use record::RunDir;
use sha2::{Digest, Sha256};
use std::path::Path;
use std::sync::Arc;

pub use log::LogError;
pub use note::{Destination, Note, Upload, note};
pub use settings::{ApiKey, Mode, Named, Settings, SinkRequest, Wandb};
pub use source::LogSource;

/// The sink that talks to a server, as users call it.
pub const NAME: &str = "W&B";

pub(crate) static KIND: Kind = Kind {
    key: "wandb",
    name: NAME,
    description: "Weights & Biases: over HTTP, or as offline directories for `wandb sync`",
    schema: || schemars::schema_for!(Wandb),
    variables: Some("WANDB_"),
    by_sync: true,
};

impl crate::SinkRequest for SinkRequest {
    fn settle(
        &self,
        environment: &Environment<'_>,
        _: &Path,
    ) -> Result<Option<Box<dyn Configured>>, SettingsError> {
        Ok(Some(Box::new(Settings::resolve(self, environment)?)))
    }
}

impl Configured for Settings {
    fn target(&self, pace: Pace, notice: &Notice) -> Result<Option<Target>, SettingsError> {
        match self.mode {
            Mode::Disabled => Ok(None),
            Mode::Online | Mode::Offline => target(self, pace, notice).map(Some),
        }
    }

    fn introduction(&self) -> String {
        let Self { mode, project, base_url, dir, .. } = self;
        match mode {
            Mode::Online => format!(
                "W&B: logging to project {project} on {base_url} (--wandb disabled turns it off)"
            ),
            Mode::Offline => format!("W&B: writing offline directories to {}", dir.display()),
            Mode::Disabled => "W&B: not logging; --wandb online or offline turns it on".to_owned(),
        }
    }

    fn warning(&self) -> Option<String> {
        let open = self.mode == Mode::Online && self.key_in_the_open();
        open.then(|| "WANDB_BASE_URL is http: the key can be read on its way; use https".to_owned())
    }

    fn has_all(&self, dir: &RunDir) -> Result<bool, record::Error> {
        let complete = |upload: Upload| upload.complete && upload.is_on(&self.base_url);
        Ok(note(dir)?.and_then(|note| note.upload).is_some_and(complete))
    }

    fn expect(&self, dir: &RunDir, _: &str) {
        if self.mode == Mode::Online {
            // A damaged note is told when the run is followed.
            let _ = note::expected(dir, self);
        }
    }

    /// What was to be logged to the server, and did not arrive whole.
    fn catches_up(&self, dir: &RunDir) -> bool {
        let due = |note: Note| note.is_due(dir, &self.base_url);
        self.mode == Mode::Online && note(dir).ok().flatten().is_some_and(due)
    }
}

/// What sends runs, or reports of sweeps, in `dirs` to where their notes say, on the server that `environment` names:
/// a note never decides on that, since the key would go there.
///
/// # Errors
/// If there is no key, or a run was to be logged elsewhere than the environment says.
pub fn noted(dirs: &[RunDir], environment: &Environment<'_>) -> Result<SinkRequest, SettingsError> {
    let request =
        SinkRequest { flag: Some(Mode::Online), by_notes: true, ..SinkRequest::default() };
    let settings = Settings::resolve(&request, environment)?;
    for dir in dirs {
        // A damaged note is told when it is the run's turn, and what has arrived is not sent again.
        let Ok(Some(note)) = note(dir) else { continue };
        if settings.has_all(dir).unwrap_or(false) {
            continue;
        }
        settings.agree_with(&note, dir)?;
    }
    Ok(request)
}

impl Settings {
    /// Refuses to send the run in `dir` elsewhere than `note` says.
    fn agree_with(&self, note: &Note, dir: &RunDir) -> Result<(), SettingsError> {
        let (run, here) = (dir.path().display(), &self.base_url);
        // A note may be another's, and commands no terminal.
        let refuse = |text: String| Err(SettingsError::Other(printable(&text)));
        if let Some(server) = note.server().filter(|server| server != here) {
            return if self.named.server {
                Ok(())
            } else {
                refuse(format!(
                    "{run} was to be logged to {server}, not to {here}: set WANDB_BASE_URL to the server that the runs are to be \
                     uploaded to"
                ))
            };
        }
        // An offline directory may go anywhere.
        if note.server().is_none() {
            return Ok(());
        }
        let (entity, project) = note.place_on(here);
        let of_project = Some(self.project.as_str()).filter(|_| self.named.project);
        let of_entity = self.entity.as_deref().filter(|_| self.named.entity);
        for (name, what, noted, set) in [
            ("WANDB_PROJECT", "project", project, of_project),
            ("WANDB_ENTITY", "entity", entity, of_entity),
        ] {
            if let (Some(noted), Some(set)) = (noted, set)
                && noted != set
            {
                return refuse(format!(
                    "{run} was to be logged to the {what} {noted}, but {name} is {set}: unset it, or set it to {noted}"
                ));
            }
        }
        Ok(())
    }
}

/// Runs that are sent at the same time.
const LANES: usize = 8;

/// The sink that sends runs to the server of `settings`, or writes offline directories.
///
/// # Errors
/// If an HTTP client cannot be made, or an online sink lacks a key.
pub fn target(settings: &Settings, pace: Pace, notice: &Notice) -> Result<Target, SettingsError> {
    let directories = offline_sinks(settings.clone());
    match settings.mode {
        Mode::Online => {
            let client = Arc::new(client::Client::new(settings, pace)?);
            let (settings, notice) = (settings.clone(), printing(notice));
            Ok(Target {
                name: NAME,
                pace,
                lanes: LANES,
                open: Box::new(move |dir| {
                    let sink = online::Online::new(
                        Arc::clone(&client),
                        settings.clone(),
                        pace,
                        dir.clone(),
                        Arc::clone(&notice),
                    )?;
                    Ok(Box::new(sink) as Box<dyn Sink>)
                }),
                fallback: Some(directories),
            })
        }
        Mode::Offline | Mode::Disabled => {
            let pace = pace.of_files();
            Ok(Target { name: "W&B offline", pace, lanes: 1, open: directories, fallback: None })
        }
    }
}

/// The sink that sends runs to the server of `settings`; what does not arrive stays where it is.
///
/// # Errors
/// If an HTTP client cannot be made, or there is no key.
pub fn target_without_fallback(
    settings: &Settings,
    pace: Pace,
    notice: &Notice,
) -> Result<Target, SettingsError> {
    Ok(Target { fallback: None, ..target(settings, pace, notice)? })
}

fn offline_sinks(settings: Settings) -> crate::sink::Open {
    Box::new(move |dir| {
        let sink = offline::Offline::new(settings.clone(), dir.clone())?;
        Ok(Box::new(sink) as Box<dyn Sink>)
    })
}

/// Whether `text` is a netrc file.
pub(crate) fn is_netrc(text: &str) -> bool {
    netrc::look_up(text, &["api.wandb.ai".to_owned()]).is_ok()
}

/// Name of the file of an offline run.
fn log_name(id: &str) -> String {
    format!("run-{id}.wandb")
}

/// Leaves the mark by which `wandb sync` and ours know a directory that is uploaded.
fn mark_synced(directory: &Path, id: &str) -> std::io::Result<()> {
    std::fs::write(directory.join(synced_name(id)), b"")
}

/// Name of that mark.
fn synced_name(id: &str) -> String {
    format!("{}.synced", log_name(id))
}

/// Eight letters and digits, as W&B names runs. The same spec may run in many places, so its own hash
/// would not do.
fn new_id(place: &Path) -> String {
    const LETTERS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let mut hash = Sha256::new();
    hash.update(place.as_os_str().as_encoded_bytes());
    hash.update(std::env::current_dir().unwrap_or_default().as_os_str().as_encoded_bytes());
    hash.update(record::now().to_le_bytes());
    hash.update(std::process::id().to_le_bytes());
    hash.update(sysinfo::System::host_name().unwrap_or_default());
    hash.finalize()[..8].iter().map(|byte| char::from(LETTERS[usize::from(byte % 36)])).collect()
}
