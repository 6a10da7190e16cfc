//! Which server, and what it is told: the keys of an experiment, and the variables that MLflow's users know.

use crate::http::{Hidden, is_loopback};
use crate::{Environment, SettingsError};
use reqwest::Url;
use schemars::JsonSchema;
use serde::Deserialize;
use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

/// Characters that MLflow takes for the name of an experiment.
const LONGEST_NAME: usize = 500;

/// A tracking server of MLflow that runs are logged to; none where this is absent. MLFLOW_TRACKING_URI and
/// MLFLOW_EXPERIMENT_NAME go before it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Mlflow {
    /// Address of the server, as in `http://localhost:5000`; that of MLFLOW_TRACKING_URI where absent.
    pub tracking_uri: Option<String>,
    /// Experiment on the server that the runs belong to; the name of the sweep where absent.
    pub experiment: Option<String>,
}

/// What a flag says of MLflow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Flag {
    /// Log, to the server that environment or experiment name.
    On,
    /// Log to this server.
    Uri(String),
    /// Do not log, whatever the experiment says.
    Off,
}

impl FromStr for Flag {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text {
            "on" => Self::On,
            "off" | "disabled" => Self::Off,
            uri => Self::Uri(uri.to_owned()),
        })
    }
}

/// What an experiment and its flags say of MLflow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SinkRequest {
    /// By a flag: goes before the environment.
    pub flag: Option<Flag>,
    /// By the experiment: gives way to the environment.
    pub table: Option<Mlflow>,
}

/// It was asked for a server, and no address of one is known.
const NO_SERVER: &str = "logging to MLflow needs the address of a tracking server: set `mlflow.tracking_uri` or \
MLFLOW_TRACKING_URI, or use --mlflow=http://localhost:5000";

/// The address in an experiment file.
const IN_FILE: &str = "mlflow.tracking_uri";

/// A secret that goes to the tracking server: never shown, never written.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// A name and a password.
    Basic {
        /// The name.
        user: String,
        /// The password.
        password: String,
    },
    /// A token.
    Bearer(String),
}

impl Secret {
    /// The forms in which a server may repeat it.
    pub(super) fn hidden(&self) -> Hidden {
        match self {
            Self::Basic { user, password } => {
                Hidden::new(&[password, &format!("{user}:{password}")])
            }
            Self::Bearer(token) => Hidden::new(&[token]),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Everything that the sink needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The server, without a slash at its end.
    pub base_url: String,
    /// Experiment; the sweep's name where absent.
    pub experiment: Option<String>,
    /// What proves to the server who asks, where it wants that.
    pub secret: Option<Secret>,
    /// Whether there is one that is not sent, since a file alone names the server.
    pub secret_withheld: bool,
}

impl Settings {
    /// Settles what flags, environment and experiment say, in this order. Nothing where neither the flag nor the
    /// experiment asks for MLflow: variables alone do not.
    ///
    /// # Errors
    /// If a value is wrong, or no server is named.
    pub fn resolve(
        request: &SinkRequest,
        environment: &Environment<'_>,
    ) -> Result<Option<Self>, SettingsError> {
        let given = match (&request.flag, &request.table) {
            (Some(Flag::Off), _) | (None, None) => return Ok(None),
            (Some(Flag::Uri(uri)), _) => Some(("--mlflow", uri.clone())),
            (Some(Flag::On) | None, _) => None,
        };
        let variable = |name: &str| {
            let value = (environment.variable)(name).map(|value| value.trim().to_owned());
            value.filter(|value| !value.is_empty())
        };
        let table = request.table.clone().unwrap_or_default();
        let by_variable =
            || variable("MLFLOW_TRACKING_URI").map(|uri| ("MLFLOW_TRACKING_URI", uri));
        let by_table = || table.tracking_uri.clone().map(|uri| (IN_FILE, uri));
        let (key, uri) = given
            .or_else(by_variable)
            .or_else(by_table)
            .ok_or_else(|| SettingsError::Other(NO_SERVER.to_owned()))?;
        let by_variable =
            variable("MLFLOW_EXPERIMENT_NAME").map(|name| ("MLFLOW_EXPERIMENT_NAME", name));
        let named = by_variable.or(table.experiment.map(|name| ("mlflow.experiment", name)));
        let secret = match (
            variable("MLFLOW_TRACKING_USERNAME"),
            variable("MLFLOW_TRACKING_PASSWORD"),
            variable("MLFLOW_TRACKING_TOKEN"),
        ) {
            (Some(user), Some(password), _) => Some(Secret::Basic { user, password }),
            (_, _, token) => token.map(Secret::Bearer),
        };
        // An address in a file may be another's: a secret goes where the flag or the environment says, and nowhere else.
        let secret_withheld = secret.is_some() && key == IN_FILE;
        let secret = secret.filter(|_| !secret_withheld);
        Ok(Some(Self {
            base_url: server(key, uri.trim())?,
            experiment: named.map(|(key, name)| check_experiment(key, name)).transpose()?,
            secret,
            secret_withheld,
        }))
    }

    /// Whether a secret would travel in the open: over HTTP without TLS, to another machine.
    #[must_use]
    pub fn secret_in_the_open(&self) -> bool {
        self.secret.is_some()
            && Url::parse(&self.base_url)
                .is_ok_and(|url| url.scheme() == "http" && !is_loopback(&url))
    }
}

/// The address of a server.
fn server(key: &'static str, text: &str) -> Result<String, SettingsError> {
    // An address that cannot be read may hold a password all the same.
    let secret = text.contains(['@', '?']);
    let shown = if secret { "…".to_owned() } else { text.to_owned() };
    let bad = |reason| SettingsError::Name { key, value: shown.clone(), reason };
    let parsed = Url::parse(text);
    if let Ok(url) = &parsed
        && (!url.username().is_empty() || url.password().is_some())
    {
        // The value is not repeated.
        return Err(SettingsError::Other(format!(
            "{key}: must not hold a user or password: use MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
        )));
    }
    let url = parsed.map_err(|_| bad("must be a URL, as in http://localhost:5000"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(bad(
            "must begin with http:// or https://: runs are logged to a tracking server only",
        ));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(bad("must end with the host or a path: no `?` or `#`"));
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

fn check_experiment(key: &'static str, name: String) -> Result<String, SettingsError> {
    if name.trim().is_empty() || name.chars().count() > LONGEST_NAME {
        let reason = "an MLflow experiment has a name of 1 to 500 characters";
        return Err(SettingsError::Name { key, value: name, reason });
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(
        flag: Option<Flag>,
        table: Option<Mlflow>,
        variables: &[(&str, &str)],
    ) -> Result<Option<Settings>, SettingsError> {
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Settings::resolve(
            &SinkRequest { flag, table },
            &Environment { variable: &variable, home: None },
        )
    }

    fn table(uri: &str) -> Option<Mlflow> {
        Some(Mlflow { tracking_uri: Some(uri.to_owned()), experiment: None })
    }

    const ALL: [(&str, &str); 3] = [
        ("MLFLOW_TRACKING_URI", "http://env:5000/"),
        ("MLFLOW_EXPERIMENT_NAME", "env"),
        ("MLFLOW_TRACKING_TOKEN", "secret"),
    ];

    #[test]
    fn variables_alone_turn_nothing_on() {
        assert_eq!(resolve(None, None, &ALL).unwrap(), None);
        assert_eq!(resolve(Some(Flag::Off), table("http://a"), &ALL).unwrap(), None);
    }

    #[test]
    fn flags_go_before_the_environment_and_that_before_the_experiment() {
        let url = |flag, table, variables: &[_]| {
            resolve(flag, table, variables).unwrap().unwrap().base_url
        };
        assert_eq!(url(None, table("http://a/mlflow/"), &[]), "http://a/mlflow");
        assert_eq!(url(None, table("http://a"), &ALL), "http://env:5000");
        assert_eq!(url(None, Some(Mlflow::default()), &ALL), "http://env:5000");
        assert_eq!(url(Some(Flag::On), None, &ALL), "http://env:5000");
        let flag = Some("https://flag".parse::<Flag>().unwrap());
        assert_eq!(url(flag, table("http://a"), &ALL), "https://flag");
        let settings = resolve(Some(Flag::On), None, &ALL).unwrap().unwrap();
        assert_eq!(settings.experiment.as_deref(), Some("env"));
        assert_eq!(settings.secret, Some(Secret::Bearer("secret".to_owned())));
        assert!(!format!("{settings:?}").contains("secret\""), "{settings:?}");
        assert!(settings.secret_in_the_open());
        let error = resolve(Some(Flag::On), None, &[]).unwrap_err().to_string();
        assert!(error.contains("MLFLOW_TRACKING_URI"), "{error}");
    }

    #[test]
    fn a_name_and_a_password_go_before_a_token() {
        let both = [("MLFLOW_TRACKING_USERNAME", "me"), ("MLFLOW_TRACKING_PASSWORD", "pass")];
        let flag = || Some("http://a".parse::<Flag>().unwrap());
        let secret = |variables: &[_]| resolve(flag(), None, variables).unwrap().unwrap().secret;
        let basic = Secret::Basic { user: "me".to_owned(), password: "pass".to_owned() };
        assert_eq!(secret(&[both[0], both[1], ALL[2]]), Some(basic));
        assert_eq!(secret(&[both[0]]), None);
        let token = Secret::Bearer("secret".to_owned());
        assert_eq!(secret(&[both[0], ALL[2]]), Some(token));
        // The address of an experiment file may be another's.
        let file = resolve(None, table("http://a"), &[both[0], both[1], ALL[2]]).unwrap().unwrap();
        assert_eq!(file.secret, None);
    }

    #[test]
    fn wrong_addresses_name_their_key_and_show_no_password() {
        for (uri, reason) in [
            ("localhost:5000", "http://"),
            ("databricks", "must be a URL"),
            ("sqlite:///mlflow.db", "tracking server only"),
            ("http://me:pa55word@host", "MLFLOW_TRACKING_PASSWORD"),
            ("http://host/?a=pb", "no `?`"),
        ] {
            for (flag, given, key) in [
                (None, table(uri), "mlflow.tracking_uri"),
                (Some(Flag::Uri(uri.to_owned())), None, "--mlflow"),
            ] {
                let error = resolve(flag, given, &[]).unwrap_err().to_string();
                assert!(error.contains(key) && error.contains(reason), "{error}");
                assert!(!error.contains("pa55word"), "{error}");
            }
        }
        let named = Some(Mlflow {
            experiment: Some("x".repeat(501)),
            tracking_uri: Some("http://a".into()),
        });
        let error = resolve(None, named, &[]).unwrap_err().to_string();
        assert!(error.contains("mlflow.experiment"), "{error}");
    }
}
