//! Who logs where: the variables, files and flags that W&B's users know.

use super::netrc;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

const PUBLIC_SERVER: &str = "https://api.wandb.ai";
const DEFAULT_PROJECT: &str = "actlab";

/// Whether and how runs go to W&B.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// To a server, while they go on.
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
pub struct Wish {
    /// By a flag: goes before the environment.
    pub flag: Option<Mode>,
    /// By the experiment: gives way to the environment.
    pub mode: Option<Mode>,
    /// User or team.
    pub entity: Option<String>,
    /// Project.
    pub project: Option<String>,
    /// Words to find the runs by.
    pub tags: Vec<String>,
}

/// Where the user's own settings are looked up.
pub struct Environment<'a> {
    /// The value of an environment variable, where it is set and not empty.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
    /// The user's folder, for `.netrc`.
    pub home: Option<PathBuf>,
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
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A variable has a value that makes no sense.
    #[error("environment variable {name}: {reason}")]
    Variable {
        /// The variable.
        name: &'static str,
        /// What is wrong with its value.
        reason: String,
    },
    /// It was asked for a server that no key is known of.
    #[error(
        "logging to W&B needs a key for {host}: set WANDB_API_KEY, or write `machine {host} login user password KEY` into {netrc} (`wandb login` does), or choose --wandb offline"
    )]
    NoKey {
        /// The server.
        host: String,
        /// The user's netrc file.
        netrc: String,
    },
    /// No HTTPS here.
    #[error("cannot make an HTTP client: {0}")]
    Client(String),
}

impl Settings {
    /// Settles what flags, environment and experiment say, in this order. With neither a wish nor a key,
    /// the mode is [`Mode::Disabled`].
    ///
    /// # Errors
    /// If a variable makes no sense, or the server is asked for and no key is known.
    pub fn resolve(wish: &Wish, environment: &Environment<'_>) -> Result<Self, SettingsError> {
        let variable = environment.variable;
        let base_url = variable("WANDB_BASE_URL").unwrap_or_else(|| PUBLIC_SERVER.to_owned());
        let base_url = base_url.trim_end_matches('/').to_owned();
        let bad_url = |reason: &str| SettingsError::Variable {
            name: "WANDB_BASE_URL",
            reason: reason.to_owned(),
        };
        let url = reqwest::Url::parse(&base_url)
            .map_err(|_| bad_url("must be a URL, as in https://wandb.example.org"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(bad_url("must begin with https:// (or http://)"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(bad_url("must not hold a user or password: the key is WANDB_API_KEY"));
        }
        let host = url.host_str().unwrap_or_default().to_owned();
        let netrc_path = variable("NETRC")
            .map(PathBuf::from)
            .or_else(|| environment.home.as_ref().map(|home| home.join(NETRC)));
        let key = variable("WANDB_API_KEY").or_else(|| {
            let text = std::fs::read_to_string(netrc_path.as_deref()?).ok()?;
            netrc::password(&text, &host)
        });
        // A line break would end the header that carries it.
        let key = key.map(|key| key.trim().to_owned()).filter(|key| !key.is_empty()).map(ApiKey);
        let by_variable = variable("WANDB_MODE")
            .map(|text| text.parse::<Mode>())
            .transpose()
            .map_err(|reason| SettingsError::Variable { name: "WANDB_MODE", reason })?;
        let wished = wish.flag.or(by_variable).or(wish.mode);
        let mode = match wished {
            Some(mode) => mode,
            None if key.is_some() => Mode::Online,
            None => Mode::Disabled,
        };
        if mode == Mode::Online && key.is_none() {
            let netrc =
                netrc_path.as_deref().unwrap_or(Path::new("~/.netrc")).display().to_string();
            return Err(SettingsError::NoKey { host, netrc });
        }
        let mut tags: Vec<String> = variable("WANDB_TAGS")
            .map(|tags| tags.split(',').map(|tag| tag.trim().to_owned()).collect())
            .unwrap_or_default();
        tags.extend(wish.tags.iter().cloned());
        tags.retain(|tag| !tag.is_empty());
        let dir = variable("WANDB_DIR").map(PathBuf::from).unwrap_or_default().join("wandb");
        Ok(Self {
            mode,
            base_url,
            key,
            entity: variable("WANDB_ENTITY").or_else(|| wish.entity.clone()),
            project: variable("WANDB_PROJECT")
                .or_else(|| wish.project.clone())
                .unwrap_or_else(|| DEFAULT_PROJECT.to_owned()),
            group: variable("WANDB_RUN_GROUP"),
            tags,
            dir,
        })
    }

    /// Whether the key would travel in the open: over HTTP without TLS, to another machine.
    #[must_use]
    pub fn key_in_the_open(&self) -> bool {
        let Ok(url) = reqwest::Url::parse(&self.base_url) else { return false };
        let host = url.host_str().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let here = host == "localhost"
            || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
        url.scheme() == "http" && !here
    }

    /// Where a browser finds a run.
    pub(super) fn run_url(&self, entity: &str, project: &str, id: &str) -> String {
        // The public server's pages are on another host than its interface.
        let app = if self.base_url == PUBLIC_SERVER { "https://wandb.ai" } else { &self.base_url };
        format!("{app}/{}/{}/runs/{id}", escape(entity), escape(project))
    }
}

const NETRC: &str = if cfg!(windows) { "_netrc" } else { ".netrc" };

/// A name as a segment of a URL's path.
pub(super) fn escape(name: &str) -> String {
    let mut text = String::new();
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                text.push(char::from(byte));
            }
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(wish: &Wish, variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Settings::resolve(wish, &Environment { variable: &variable, home: None })
    }

    #[test]
    fn flags_go_before_the_environment_and_that_before_the_experiment() {
        let wish = Wish { mode: Some(Mode::Offline), ..Wish::default() };
        let mode = |wish: &Wish, variables: &[_]| resolve(wish, variables).unwrap().mode;
        assert_eq!(mode(&Wish::default(), &[]), Mode::Disabled);
        assert_eq!(mode(&Wish::default(), &[("WANDB_API_KEY", "k")]), Mode::Online);
        assert_eq!(mode(&wish, &[("WANDB_API_KEY", "k")]), Mode::Offline);
        assert_eq!(mode(&wish, &[("WANDB_MODE", "disabled")]), Mode::Disabled);
        let flag = Wish { flag: Some(Mode::Offline), ..Wish::default() };
        assert_eq!(mode(&flag, &[("WANDB_MODE", "disabled")]), Mode::Offline);
    }

    #[test]
    fn names_come_from_the_environment_and_then_the_experiment() {
        let wish = Wish {
            entity: Some("team".into()),
            project: Some("ours".into()),
            tags: vec!["a".into()],
            ..Wish::default()
        };
        let settings = resolve(&wish, &[]).unwrap();
        assert_eq!(settings.base_url, "https://api.wandb.ai");
        assert_eq!((settings.entity.as_deref(), settings.project.as_str()), (Some("team"), "ours"));
        assert_eq!(settings.dir, Path::new("wandb"));
        let variables = [
            ("WANDB_ENTITY", "me"),
            ("WANDB_PROJECT", "mine"),
            ("WANDB_TAGS", "b, c,"),
            ("WANDB_DIR", "/logs"),
            ("WANDB_RUN_GROUP", "g"),
            ("WANDB_BASE_URL", "https://wandb.example.org/"),
        ];
        let settings = resolve(&wish, &variables).unwrap();
        assert_eq!((settings.entity.as_deref(), settings.project.as_str()), (Some("me"), "mine"));
        assert_eq!(settings.tags, ["b", "c", "a"]);
        assert_eq!(settings.dir, Path::new("/logs/wandb"));
        assert_eq!(settings.group.as_deref(), Some("g"));
        let url = settings.run_url("a team", "p", "id");
        assert_eq!(url, "https://wandb.example.org/a%20team/p/runs/id");
    }

    #[test]
    fn keys_come_from_the_variable_or_the_netrc_of_the_host() {
        let folder = tempfile::tempdir().unwrap();
        let netrc = folder.path().join("netrc");
        std::fs::write(&netrc, "machine wandb.example.org login user password secret1\n").unwrap();
        let netrc = netrc.to_str().unwrap();
        let wish = Wish { flag: Some(Mode::Online), ..Wish::default() };
        let here = ("WANDB_BASE_URL", "https://wandb.example.org:8080");
        let settings = resolve(&wish, &[here, ("NETRC", netrc)]).unwrap();
        assert_eq!(settings.key.as_ref().unwrap().secret(), "secret1");
        let settings = resolve(&wish, &[here, ("NETRC", netrc), ("WANDB_API_KEY", "secret2\n")]);
        let settings = settings.unwrap();
        assert_eq!(settings.key.as_ref().unwrap().secret(), "secret2");
        // Of another host, nothing.
        let error = resolve(&wish, &[("NETRC", netrc)]).unwrap_err().to_string();
        assert!(error.contains("api.wandb.ai") && error.contains(netrc), "{error}");
        assert!(!format!("{settings:?}").contains("secret"), "{settings:?}");
    }

    #[test]
    fn an_open_line_is_noticed() {
        for (url, open) in [
            ("http://wandb.example.org", true),
            ("http://192.168.0.7:8080", true),
            ("https://wandb.example.org", false),
            ("http://localhost:8080", false),
            ("http://127.0.0.1:8080", false),
            ("http://[::1]:8080", false),
        ] {
            let settings = resolve(&Wish::default(), &[("WANDB_BASE_URL", url)]).unwrap();
            assert_eq!(settings.key_in_the_open(), open, "{url}");
        }
    }

    #[test]
    fn values_that_make_no_sense_are_refused() {
        for (name, value) in [
            ("WANDB_MODE", "on"),
            ("WANDB_BASE_URL", "wandb.example.org"),
            ("WANDB_BASE_URL", "ftp://wandb.example.org"),
            ("WANDB_BASE_URL", "https://me:secret@wandb.example.org"),
        ] {
            let error = resolve(&Wish::default(), &[(name, value)]).unwrap_err().to_string();
            assert!(error.contains(name) && !error.contains("secret"), "{error}");
        }
    }
}
