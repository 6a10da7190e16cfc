//! MLflow's interface over HTTP.

use super::form::{self, Sample};
use super::settings::{Secret, Settings};
use crate::event::Document;
use crate::http::{Answer, Hidden, Http, escape, is_page, said};
use crate::{Fault, Notice, Pace, SettingsError};
use reqwest::blocking::RequestBuilder;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// Talks to one tracking server.
#[derive(Debug)]
pub(super) struct Client {
    http: Http,
    base_url: String,
    secret: Option<Secret>,
    /// What is never shown of the answers.
    hidden: Hidden,
    /// Ids of experiments by name, or what is wrong with every run.
    experiments: Mutex<BTreeMap<String, Result<String, Fault>>>,
    /// Names of experiments that the server did not have when it was asked.
    missing: Mutex<BTreeSet<String>>,
    /// The user knows that artifacts go elsewhere.
    said: AtomicBool,
}

/// What is told of a run that begins.
#[derive(Debug)]
pub(super) struct Beginning<'a> {
    pub(super) experiment: &'a str,
    /// Id of the run on the server, where it was there before.
    pub(super) noted: Option<&'a str>,
    pub(super) name: &'a str,
    /// Id of the spec, and the sweep: by these the run is found again.
    pub(super) run_id: &'a str,
    pub(super) sweep: &'a str,
    pub(super) start_time: i64,
    pub(super) tags: Vec<Value>,
}

/// What the server has of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct RemoteRun {
    pub(super) id: String,
    pub(super) experiment_id: String,
    pub(super) artifact_uri: String,
    pub(super) status: String,
    /// Step and timestamp of the last value of each metric.
    pub(super) metrics: BTreeMap<String, (i64, i64)>,
    pub(super) parameters: BTreeSet<String>,
}

/// What a search for a run has shown.
#[derive(Debug)]
pub(super) enum Found {
    Run(RemoteRun),
    Absent,
}

/// Why a request has no result.
pub(super) enum Refusal {
    Fault(Fault),
    /// There are too many requests: nothing was done.
    Busy(Fault),
    /// The server has an error code for it.
    Code {
        code: String,
        fault: Fault,
    },
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Fault(fault) | Refusal::Busy(fault) | Refusal::Code { fault, .. } => fault,
        }
    }
}

impl Refusal {
    fn is(&self, wanted: &str) -> bool {
        matches!(self, Self::Code { code, .. } if code == wanted)
    }

    /// Whether the server has certainly done nothing, and may do the same later.
    pub(super) fn is_busy(&self) -> bool {
        matches!(self, Self::Busy(_))
    }
}

const ABSENT: &str = "RESOURCE_DOES_NOT_EXIST";
const EXISTS: &str = "RESOURCE_ALREADY_EXISTS";

impl Client {
    pub(super) fn new(settings: &Settings, pace: Pace) -> Result<Self, SettingsError> {
        Ok(Self {
            http: Http::new(&settings.base_url, pace)?,
            base_url: settings.base_url.clone(),
            secret: settings.secret.clone(),
            hidden: settings.secret.as_ref().map(Secret::hidden).unwrap_or_default(),
            experiments: Mutex::default(),
            missing: Mutex::default(),
            said: AtomicBool::new(false),
        })
    }

    /// Page of a run.
    pub(super) fn page(&self, run: &RemoteRun) -> String {
        let (experiment, id) = (escape(&run.experiment_id), escape(&run.id));
        format!("{}/#/experiments/{experiment}/runs/{id}", self.base_url)
    }

    /// Creates the run, or finds it again. `found` is what an earlier try has found, if only the request after that was
    /// turned away: a server that turns quick requests away would otherwise never come to it.
    pub(super) fn begin(
        &self,
        beginning: &Beginning<'_>,
        found: &mut Option<Found>,
    ) -> Result<RemoteRun, Fault> {
        let experiment = self.experiment(beginning.experiment)?;
        let known = match found.take() {
            Some(found) => found,
            None => self.find(&experiment, beginning)?,
        };
        let answer = match &known {
            Found::Absent => self.create(&experiment, beginning),
            Found::Run(run) if run.status == "RUNNING" => Ok(run.clone()),
            Found::Run(run) => {
                let body = json!({ "run_id": run.id, "status": "RUNNING" });
                let status = "RUNNING".to_owned();
                self.post("runs/update", &body).map(|_| RemoteRun { status, ..run.clone() })
            }
        };
        answer.map_err(|refusal| {
            *found = refusal.is_busy().then_some(known);
            refusal.into()
        })
    }

    fn find(&self, experiment: &str, beginning: &Beginning<'_>) -> Result<Found, Fault> {
        let noted = beginning.noted.map(|id| self.run(id)).transpose()?.flatten();
        let known = match noted {
            Some(run) => Some(run),
            None => self.search(experiment, beginning)?,
        };
        Ok(known.map_or(Found::Absent, Found::Run))
    }

    /// The id of the experiment `name`, which is created where it is missing. What is wrong here is wrong for every
    /// run.
    fn experiment(&self, name: &str) -> Result<String, Fault> {
        let mut known = self.experiments.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known.get(name) {
            return found.clone();
        }
        let found = self.find_experiment(name).map_err(|fault| match fault {
            Fault::Later { reason, wait } => Fault::Away { reason, wait },
            Fault::Run(reason) => Fault::Sink(reason),
            fault => fault,
        });
        if !matches!(found, Err(Fault::Away { .. })) {
            known.insert(name.to_owned(), found.clone());
        }
        found
    }

    fn find_experiment(&self, name: &str) -> Result<String, Fault> {
        let look = || self.get("experiments/get-by-name", &[("experiment_name", name)]);
        let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        // It is created without another look where only that was turned away before.
        let looked = if missing.contains(name) { None } else { Some(look()) };
        let absent =
            |answer: &Result<_, Refusal>| answer.as_ref().is_err_and(|refusal| refusal.is(ABSENT));
        let found = match looked.filter(|answer| !absent(answer)) {
            None => {
                missing.insert(name.to_owned());
                match self.post("experiments/create", &json!({ "name": name })) {
                    Ok(created) => return self.text(&created["experiment_id"], "an experiment"),
                    // Another process was quicker.
                    Err(refusal) if refusal.is(EXISTS) => look()?,
                    Err(refusal) => return Err(refusal.into()),
                }
            }
            Some(found) => found?,
        };
        let experiment = &found["experiment"];
        if experiment["lifecycle_stage"] == "deleted" {
            return Err(Fault::Run(format!(
                "{}: the experiment {name} is deleted there: restore it, or choose another with `mlflow.experiment`",
                self.base_url
            )));
        }
        self.text(&experiment["experiment_id"], "an experiment")
    }

    /// The run `id`; nothing where the server does not know it.
    pub(super) fn run(&self, id: &str) -> Result<Option<RemoteRun>, Fault> {
        let answer = match self.get("runs/get", &[("run_id", id)]) {
            Ok(answer) => answer,
            Err(refusal) if refusal.is(ABSENT) => return Ok(None),
            Err(refusal) => return Err(refusal.into()),
        };
        let run = &answer["run"];
        if run["info"]["lifecycle_stage"] == "deleted" {
            return Err(Fault::Run(format!(
                "{}: the run {id} is deleted there: restore it, or remove mlflow.json to log it as a new run",
                self.base_url
            )));
        }
        self.known(run).map(Some)
    }

    fn search(&self, experiment: &str, run: &Beginning<'_>) -> Result<Option<RemoteRun>, Fault> {
        let quoted = |text: &str| text.replace(['\'', '\\', '"'], "");
        let filter = format!(
            "tags.\"{}\" = '{}' and tags.{} = '{}'",
            form::RUN_ID,
            quoted(run.run_id),
            form::SWEEP,
            quoted(run.sweep)
        );
        let body = json!({
            "experiment_ids": [experiment],
            "filter": filter,
            "run_view_type": "ACTIVE_ONLY",
            "order_by": ["attributes.start_time ASC"],
            "max_results": 1,
        });
        let answer = self.post("runs/search", &body)?;
        answer["runs"].get(0).map(|run| self.known(run)).transpose()
    }

    fn create(&self, experiment: &str, run: &Beginning<'_>) -> Result<RemoteRun, Refusal> {
        let body = json!({
            "experiment_id": experiment,
            "run_name": run.name,
            "start_time": run.start_time,
            "tags": run.tags,
        });
        let answer = self.post("runs/create", &body)?;
        self.known(&answer["run"]).map_err(Refusal::Fault)
    }

    /// Sends metrics, parameters and tags of a run.
    pub(super) fn log_batch(
        &self,
        run: &str,
        metrics: &[Sample],
        parameters: &[(String, String)],
        tags: &[Value],
    ) -> Result<(), Refusal> {
        let metrics: Vec<Value> = metrics.iter().map(Sample::to_json).collect();
        let body = json!({
            "run_id": run,
            "metrics": metrics,
            "params": form::parameters_json(parameters),
            "tags": tags,
        });
        self.post("runs/log-batch", &body)?;
        Ok(())
    }

    /// Tells the server how the run has ended.
    pub(super) fn end(&self, run: &str, status: &str, end_time: i64) -> Result<(), Fault> {
        let body = json!({ "run_id": run, "status": status, "end_time": end_time });
        self.post("runs/update", &body)?;
        Ok(())
    }

    /// Uploads a file of a run through the server, where that takes it.
    pub(super) fn upload(&self, folder: &str, file: &Document) -> Result<(), Fault> {
        let parts: Vec<String> = folder.split('/').map(escape).collect();
        let url = format!(
            "{}/api/2.0/mlflow-artifacts/artifacts/{}/{}",
            self.base_url,
            parts.join("/"),
            escape(&file.name)
        );
        let request = self.http.client(&url).put(&url).body(file.bytes.clone());
        let answer = self.http.send_large(self.authorized(request), file.bytes.len())?;
        if answer.status.is_success() && is_page(&answer.text) {
            let reason = format!("{} answers an artifact with a page for people", self.base_url);
            return Err(Fault::later(reason));
        }
        if answer.status.is_success() {
            return Ok(());
        }
        Err(self.refusal("an artifact", &answer).into())
    }

    /// The folder below the server's own that `artifact_uri` stands for; nothing where files are to go elsewhere.
    pub(super) fn artifact_folder(&self, artifact_uri: &str) -> Option<String> {
        let rest = artifact_uri.strip_prefix("mlflow-artifacts:")?;
        let path = match rest.strip_prefix("//") {
            // Another host: what the secret is not for.
            Some(rest) if !rest.starts_with('/') => {
                let (authority, path) = rest.split_once('/')?;
                let own = self.base_url.split_once("://")?.1.split('/').next()?;
                (authority == own).then_some(path)?
            }
            _ => rest,
        };
        let path = path.trim_matches('/');
        let is_step = |part: &str| part.is_empty() || part == "." || part == "..";
        (!path.split('/').any(is_step)).then(|| path.to_owned())
    }

    /// Says that files are not uploaded, once for all runs.
    pub(super) fn say_once(&self, notice: &Notice, artifact_uri: &str) {
        if !self.said.swap(true, Ordering::AcqRel) {
            let place = said(artifact_uri, &self.hidden);
            notice(&format!(
                "MLflow: no files are uploaded: the server keeps them at {place}, which only `mlflow server --serve-artifacts` stands for"
            ));
        }
    }

    fn known(&self, run: &Value) -> Result<RemoteRun, Fault> {
        let info = &run["info"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let all = |name: &str| run["data"][name].as_array().cloned().unwrap_or_default();
        let metrics = all("metrics").into_iter().map(|metric| {
            let step = integer(&metric["step"]).unwrap_or(0);
            (text(&metric["key"]), (step, integer(&metric["timestamp"]).unwrap_or(0)))
        });
        Ok(RemoteRun {
            id: self.text(&info["run_id"], "a run")?,
            experiment_id: text(&info["experiment_id"]),
            artifact_uri: text(&info["artifact_uri"]),
            status: text(&info["status"]),
            metrics: metrics.collect(),
            parameters: all("params").iter().map(|parameter| text(&parameter["key"])).collect(),
        })
    }

    fn text(&self, value: &Value, what: &str) -> Result<String, Fault> {
        let text = value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        text.ok_or_else(|| {
            Fault::later(format!("{} answers without the id of {what}", self.base_url))
        })
    }

    fn get(&self, method: &str, query: &[(&str, &str)]) -> Result<Value, Refusal> {
        let query: Vec<String> =
            query.iter().map(|(name, value)| format!("{name}={}", escape(value))).collect();
        let url = format!("{}?{}", self.address(method), query.join("&"));
        self.call(method, self.http.client(&url).request(Method::GET, &url))
    }

    fn post(&self, method: &str, body: &Value) -> Result<Value, Refusal> {
        let url = self.address(method);
        self.call(method, self.http.client(&url).post(&url).json(body))
    }

    fn address(&self, method: &str) -> String {
        format!("{}/api/2.0/mlflow/{method}", self.base_url)
    }

    fn call(&self, method: &str, request: RequestBuilder) -> Result<Value, Refusal> {
        let answer = self.http.send(self.authorized(request)).map_err(Refusal::Fault)?;
        if !answer.status.is_success() {
            return Err(self.refusal(method, &answer));
        }
        match serde_json::from_str(&answer.text) {
            Ok(value @ Value::Object(_)) => Ok(value),
            _ => Err(Refusal::Fault(Fault::later(format!(
                "{} answers {method} with something else than MLflow's JSON",
                self.base_url
            )))),
        }
    }

    fn authorized(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.secret {
            None => request,
            Some(Secret::Basic { user, password }) => request.basic_auth(user, Some(password)),
            Some(Secret::Bearer(token)) => request.bearer_auth(token),
        }
    }

    fn refusal(&self, method: &str, answer: &Answer) -> Refusal {
        let (host, status) = (&self.base_url, answer.status);
        if answer.may_pass() {
            let reason = format!("{host} answers {status}");
            let fault = Fault::Later { reason, wait: answer.wait };
            let busy = answer.status == StatusCode::TOO_MANY_REQUESTS;
            return if busy { Refusal::Busy(fault) } else { Refusal::Fault(fault) };
        }
        let error: Value = serde_json::from_str(&answer.text).unwrap_or_default();
        let code = error["error_code"].as_str().unwrap_or_default().to_owned();
        let fault = match status.as_u16() {
            401 => Fault::Sink(format!(
                "{host} answers {status}: it needs MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN, and these are absent or wrong"
            )),
            300..=399 => Fault::Sink(format!(
                "{host} answers {status}: it is elsewhere now; give its address in MLFLOW_TRACKING_URI"
            )),
            404 if code.is_empty() => Fault::Sink(format!(
                "{host} answers {status} to {method}: it is no MLflow tracking server"
            )),
            _ => {
                let message = error["message"].as_str().unwrap_or_default();
                let message = said(message, &self.hidden);
                let colon = if message.is_empty() { "" } else { ": " };
                Fault::Run(format!("{host} answers {status} to {method}{colon}{message}"))
            }
        };
        Refusal::Code { code, fault }
    }
}

/// An integer, which protocol buffers may have as a text in JSON.
fn integer(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_go_to_the_tracking_server_alone() {
        let settings = Settings {
            base_url: "http://here:5000".to_owned(),
            experiment: None,
            secret: None,
            secret_withheld: false,
        };
        let client = Client::new(&settings, Pace::default()).ok();
        let folder = |uri: &str| client.as_ref().and_then(|client| client.artifact_folder(uri));
        for uri in ["mlflow-artifacts:/1/a/artifacts", "mlflow-artifacts:///1/a/artifacts"] {
            assert_eq!(folder(uri).as_deref(), Some("1/a/artifacts"), "{uri}");
        }
        assert_eq!(folder("mlflow-artifacts://here:5000/1/a").as_deref(), Some("1/a"));
        for uri in [
            "mlflow-artifacts://there:5000/1/a",
            "s3://bucket/1/a",
            "/srv/mlruns/1/a",
            "file:///mlruns/1",
            "mlflow-artifacts:/../x",
            "",
        ] {
            assert_eq!(folder(uri), None, "{uri}");
        }
    }
}
