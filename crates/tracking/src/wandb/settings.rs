//! Who logs where: the variables, files and flags that W&B's users know.

use super::netrc;
use super::note::Destination;
use crate::http::{escape, is_loopback};
use crate::{Environment, SettingsError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

const PUBLIC_SERVER: &str = "https://api.wandb.ai";
/// Name under which `wandb login` writes the public server's key too.
const PUBLIC_SERVER_IN_NETRC: &str = "api.forge.coreweave.com";
const DEFAULT_PROJECT: &str = "actlab";

/// Whether and how runs go to W&B.
// A later one tells the server less.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// To a server, during training.
    Online,
    /// Into directories for `wandb sync`.
    Offline,
    /// Not at all.
    Disabled,
}

impl FromStr for Mode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "online" => Ok(Self::Online),
            "offline" | "dryrun" => Ok(Self::Offline),
            "disabled" => Ok(Self::Disabled),
            other => Err(format!("`{other}` must be online, offline or disabled")),
        }
    }
}

/// Whether and where runs are logged to Weights & Biases. Its own variables, as WANDB_MODE and
/// WANDB_PROJECT, go before this.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Wandb {
    /// `online`, `offline` or `disabled`, which it is where absent: a key alone turns nothing on.
    pub mode: Option<Mode>,
    /// User or team; the key's own where absent.
    pub entity: Option<String>,
    /// Project; `actlab` where absent.
    pub project: Option<String>,
    /// Tags of every run, beside activation, task and model.
    pub tags: Vec<String>,
}

/// A key to a user's account: never shown, never written.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(String);

impl ApiKey {
    /// The key itself, for the one header that carries it.
    pub(super) fn secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(…)")
    }
}

/// What an experiment and its flags say of W&B.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SinkRequest {
    /// By a flag: goes before the environment.
    pub flag: Option<Mode>,
    /// By the experiment: gives way to the environment.
    pub table: Wandb,
    /// Entity, project, group and tags are those of the note beside each run, where it has one of the same server.
    pub by_notes: bool,
}

/// Everything that a sink needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Whether and how.
    pub mode: Mode,
    /// The server, as in `https://api.wandb.ai`, without a slash at its end.
    pub base_url: String,
    /// The user's key to it.
    pub key: Option<ApiKey>,
    /// User or team; the server knows the key's own where absent.
    pub entity: Option<String>,
    /// Project.
    pub project: String,
    /// Group of runs; the sweep's name where absent.
    pub group: Option<String>,
    /// Words to find the runs by.
    pub tags: Vec<String>,
    /// Folder in which offline directories lie.
    pub dir: PathBuf,
    /// Notes beside runs go before entity, project, group and tags.
    pub by_notes: bool,
    /// What environment variables name.
    pub named: Named,
}

/// What environment variables name: chosen for this very command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Named {
    /// `WANDB_BASE_URL`.
    pub server: bool,
    /// `WANDB_ENTITY`.
    pub entity: bool,
    /// `WANDB_PROJECT`.
    pub project: bool,
}

impl Settings {
    /// Settles what flags, environment, the settings file of W&B's own client and the experiment say, in this
    /// order. Without a request the mode is [`Mode::Disabled`]: a key alone is none.
    ///
    /// # Errors
    /// If a value makes no sense, or the server is asked for and no key is known.
    pub fn resolve(
        request: &SinkRequest,
        environment: &Environment<'_>,
    ) -> Result<Self, SettingsError> {
        let path = environment.variable;
        let variable = |name: &str| {
            let value = path(name).map(|value| value.trim().to_owned());
            value.filter(|value| !value.is_empty())
        };
        let parent = path("WANDB_DIR").map(PathBuf::from).unwrap_or_default();
        // W&B's own client takes the hidden folder where there is one.
        let hidden = parent.join(".wandb");
        let dir = if hidden.is_dir() { hidden } else { parent.join("wandb") };
        let file = SettingsFile::read(&dir.join("settings"))?;
        let of_user = match config_folder(environment) {
            Some(folder) => SettingsFile::read(&folder.join("settings"))?,
            None => SettingsFile::default(),
        };
        let by_variable = variable("WANDB_MODE")
            .map(|text| text.parse::<Mode>())
            .transpose()
            .map_err(|reason| SettingsError::Variable { name: "WANDB_MODE", reason })?;
        let mode = match request.flag.or(by_variable) {
            Some(mode) => mode,
            // The file keeps a folder from the server; it asks for nothing to be sent.
            None => match (file.mode.max(of_user.mode), request.table.mode) {
                (Some(file), Some(mode)) => file.max(mode),
                (Some(Mode::Online), None) | (None, None) => Mode::Disabled,
                (Some(mode), None) | (None, Some(mode)) => mode,
            },
        };
        let url = match mode {
            Mode::Disabled => server_of(variable("WANDB_BASE_URL"), None, None)?,
            Mode::Online | Mode::Offline => {
                server_of(variable("WANDB_BASE_URL"), file.base_url, of_user.base_url)?
            }
        };
        let base_url = url.as_str().trim_end_matches('/').to_owned();
        let key = match mode {
            Mode::Online => Some(key(&url, &variable, netrc_of(environment).as_deref())?),
            Mode::Offline | Mode::Disabled => None,
        };
        let mut tags: Vec<String> = variable("WANDB_TAGS")
            .map(|tags| tags.split(',').map(|tag| tag.trim().to_owned()).collect())
            .unwrap_or_default();
        tags.retain(|tag| !tag.is_empty());
        check_tags("WANDB_TAGS", &tags)?;
        check_tags("wandb.tags", &request.table.tags)?;
        tags.extend(request.table.tags.iter().cloned());
        let project = match (variable("WANDB_PROJECT"), &request.table.project) {
            (Some(project), _) => check_project("WANDB_PROJECT", project)?,
            (None, Some(project)) => check_project("wandb.project", project.clone())?,
            (None, None) => match file.project.or(of_user.project) {
                Some(project) if mode != Mode::Disabled => {
                    check_project("project in W&B's settings file", project)?
                }
                _ => DEFAULT_PROJECT.to_owned(),
            },
        };
        Ok(Self {
            mode,
            base_url,
            key,
            entity: variable("WANDB_ENTITY")
                .or_else(|| request.table.entity.clone())
                .or(file.entity)
                .or(of_user.entity),
            project,
            group: variable("WANDB_RUN_GROUP"),
            tags,
            dir,
            by_notes: request.by_notes,
            named: Named {
                server: variable("WANDB_BASE_URL").is_some(),
                entity: variable("WANDB_ENTITY").is_some(),
                project: variable("WANDB_PROJECT").is_some(),
            },
        })
    }

    /// Whether the key would travel in the open: over HTTP without TLS, to another machine.
    #[must_use]
    pub fn key_in_the_open(&self) -> bool {
        reqwest::Url::parse(&self.base_url)
            .is_ok_and(|url| url.scheme() == "http" && !is_loopback(&url))
    }

    /// These settings for a run that goes to `destination`.
    pub(super) fn at(self, destination: &Destination) -> Self {
        let Destination { entity, project, group, tags, .. } = destination.clone();
        Self { entity, project, group, tags, ..self }
    }

    /// Where a browser finds a run.
    pub(super) fn run_url(&self, entity: &str, project: &str, id: &str) -> String {
        // The public server's pages are on another host than its interface.
        let app = if self.base_url == PUBLIC_SERVER { "https://wandb.ai" } else { &self.base_url };
        format!("{app}/{}/{}/runs/{id}", escape(entity), escape(project))
    }
}

const NETRC: &str = if cfg!(windows) { "_netrc" } else { ".netrc" };

fn netrc_of(environment: &Environment<'_>) -> Option<PathBuf> {
    let home = environment.home.as_ref();
    if let Some(named) = (environment.variable)("NETRC") {
        let in_home = named.strip_prefix("~/").and_then(|rest| Some(home?.join(rest)));
        return Some(in_home.unwrap_or_else(|| PathBuf::from(named)));
    }
    let home = home?;
    let files = [NETRC, ".netrc", "_netrc"].map(|name| home.join(name));
    let there = files.iter().find(|file| file.exists()).cloned();
    there.or_else(|| Some(home.join(NETRC)))
}

/// Where W&B's own client keeps the settings of a user.
fn config_folder(environment: &Environment<'_>) -> Option<PathBuf> {
    let named = (environment.variable)("WANDB_CONFIG_DIR").map(PathBuf::from);
    named.or_else(|| environment.home.as_ref().map(|home| home.join(".config").join("wandb")))
}

/// The server: that of the variable, of the user's settings file, or the public one. A file in the folder may be another's,
/// and may name no other server than these: the key would go there.
fn server_of(
    variable: Option<String>,
    of_folder: Option<(PathBuf, String)>,
    of_user: Option<(PathBuf, String)>,
) -> Result<reqwest::Url, SettingsError> {
    let of_file = |(path, text): (PathBuf, String)| {
        let wrong = |reason| SettingsError::File { path, reason: format!("base_url: {reason}") };
        server(&text).map_err(wrong)
    };
    if let Some(text) = variable {
        let wrong = |reason| SettingsError::Variable { name: "WANDB_BASE_URL", reason };
        return server(&text).map_err(wrong);
    }
    let own = match of_user {
        Some(of_user) => of_file(of_user)?,
        None => server(PUBLIC_SERVER).map_err(SettingsError::Client)?,
    };
    let Some((path, text)) = of_folder else { return Ok(own) };
    let named = of_file((path.clone(), text))?;
    if named == own || named.as_str().trim_end_matches('/') == PUBLIC_SERVER {
        return Ok(named);
    }
    let reason = format!(
        "names the server {named}; set WANDB_BASE_URL to it too if that is right: a key goes to no server that a file in the \
         folder chooses"
    );
    Err(SettingsError::File { path, reason })
}

/// The address of a server, or what is wrong with it.
fn server(text: &str) -> Result<reqwest::Url, String> {
    let bad = |reason: &str| Err(reason.to_owned());
    let Ok(url) = reqwest::Url::parse(text) else {
        return bad("must be a URL, as in https://wandb.example.org");
    };
    if !matches!(url.scheme(), "http" | "https") {
        return bad("must begin with https:// (or http://)");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return bad("must not hold a user or password: the key is WANDB_API_KEY");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return bad("must end with the host or a path: no `?` or `#`");
    }
    let host = url.host_str().unwrap_or_default().trim_end_matches('.');
    let of_wandb = host == "wandb.ai" || host.ends_with(".wandb.ai");
    if of_wandb && (!host.starts_with("api.") || url.scheme() == "http") {
        return bad(&format!("must be {PUBLIC_SERVER} for the public server"));
    }
    Ok(url)
}

/// The key to the server at `url`: that of the variable, or of the netrc file at `netrc`.
fn key(
    url: &reqwest::Url,
    variable: &dyn Fn(&str) -> Option<String>,
    netrc: Option<&Path>,
) -> Result<ApiKey, SettingsError> {
    // Trimmed: a line break would end the header that carries it.
    if let Some(key) = variable("WANDB_API_KEY") {
        return Ok(ApiKey(key));
    }
    let host = url.host_str().unwrap_or_default().to_owned();
    // `wandb login` writes the port too.
    let mut hosts: Vec<String> =
        url.port().map(|port| format!("{host}:{port}")).into_iter().collect();
    hosts.push(host.clone());
    if url.as_str().trim_end_matches('/') == PUBLIC_SERVER {
        hosts.push(PUBLIC_SERVER_IN_NETRC.to_owned());
    }
    let bytes = netrc.map(std::fs::read);
    let because = match bytes {
        Some(Ok(bytes)) => match netrc::look_up(&String::from_utf8_lossy(&bytes), &hosts) {
            Ok(netrc::Entry::Password(password)) if !password.trim().is_empty() => {
                return Ok(ApiKey(password.trim().to_owned()));
            }
            Ok(netrc::Entry::Password(_) | netrc::Entry::Absent) => None,
            Ok(netrc::Entry::OnlyDefault) => Some(format!(
                "its `default` entry is not used: that password was not given for {host}"
            )),
            Err(netrc::BadLine(line)) => Some(format!("that file cannot be read: line {line}")),
        },
        Some(Err(error)) if error.kind() != std::io::ErrorKind::NotFound => {
            Some(format!("that file cannot be read: {error}"))
        }
        Some(Err(_)) | None => None,
    };
    let netrc = netrc.unwrap_or(Path::new("~/.netrc")).display().to_string();
    Err(SettingsError::NoKey { host, netrc, because })
}

/// What a settings file of W&B's own client says, as `wandb offline` and `wandb login --host` write it.
#[derive(Debug, Default)]
struct SettingsFile {
    mode: Option<Mode>,
    /// With the file, for errors.
    base_url: Option<(PathBuf, String)>,
    entity: Option<String>,
    project: Option<String>,
}

impl SettingsFile {
    fn read(path: &Path) -> Result<Self, SettingsError> {
        let bad = |reason| SettingsError::File { path: path.to_owned(), reason };
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            // No file, or something else in the place of the folder, which writing to it will tell.
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::NotFound
                        | std::io::ErrorKind::NotADirectory
                        | std::io::ErrorKind::IsADirectory
                ) =>
            {
                return Ok(Self::default());
            }
            Err(error) => return Err(bad(format!("cannot be read: {error}"))),
        };
        let (mut ours, mut said) = (false, Self::default());
        for line in String::from_utf8_lossy(&bytes).trim_start_matches('\u{feff}').lines() {
            let line = line.trim();
            if line.starts_with('[') {
                ours = line.eq_ignore_ascii_case("[default]");
            }
            let Some((name, value)) = line.split_once(['=', ':']).filter(|_| ours) else {
                continue;
            };
            let value = value.trim().to_owned();
            if value.is_empty() {
                continue;
            }
            match name.trim().to_ascii_lowercase().as_str() {
                "mode" => {
                    said.mode =
                        Some(value.parse().map_err(|reason| bad(format!("mode: {reason}")))?);
                }
                "base_url" => said.base_url = Some((path.to_owned(), value)),
                "entity" => said.entity = Some(value),
                "project" => said.project = Some(value),
                _ => {}
            }
        }
        Ok(said)
    }
}

fn check_project(key: &'static str, value: String) -> Result<String, SettingsError> {
    let long = value.is_empty() || value.chars().count() > 128;
    if long || value.contains(['/', '\\', '#', '?', '%', ':']) {
        let reason = "a W&B project has 1 to 128 characters and none of / \\ # ? % :";
        return Err(SettingsError::Name { key, value, reason });
    }
    Ok(value)
}

fn check_tags(key: &'static str, tags: &[String]) -> Result<(), SettingsError> {
    match tags.iter().find(|tag| !(1..=64).contains(&tag.chars().count())) {
        Some(tag) => Err(SettingsError::Name {
            key,
            value: tag.clone(),
            reason: "a W&B tag has 1 to 64 characters",
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
