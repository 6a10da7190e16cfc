//! W&B's interface over HTTP.

use super::files::{Addresses, Files};
use super::settings::{ApiKey, Settings};
use crate::event::Document;
use crate::http::{Answer, Hidden, Http, escape, is_page, said};
use crate::{Fault, Pace, SettingsError};
use reqwest::StatusCode;
use reqwest::blocking::RequestBuilder;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The name that goes with a key.
const USER: &str = "api";

const VIEWER: &str = "query Viewer { viewer { id entity username } }";

const UPSERT: &str = "mutation UpsertBucket($id: String, $name: String, $project: String, $entity: String, \
$groupName: String, $description: String, $displayName: String, $notes: String, $commit: String, \
$config: JSONString, $host: String, $program: String, $repo: String, $jobType: String, $state: String, \
$sweep: String, $tags: [String!], $summaryMetrics: JSONString) { upsertBucket(input: { id: $id, name: $name, \
groupName: $groupName, modelName: $project, entityName: $entity, description: $description, \
displayName: $displayName, notes: $notes, config: $config, commit: $commit, host: $host, \
jobProgram: $program, jobRepo: $repo, jobType: $jobType, state: $state, sweep: $sweep, tags: $tags, \
summaryMetrics: $summaryMetrics }) { inserted bucket { id name displayName config historyLineCount \
eventsLineCount logLineCount project { name entity { name } } } } }";

const CREATE_RUN_FILES: &str = "mutation CreateRunFiles($entity: String!, $project: String!, $run: String!, \
$files: [String!]!) { createRunFiles(input: { entityName: $entity, projectName: $project, runName: $run, \
files: $files }) { runID uploadHeaders files { name uploadUrl } } }";

/// Talks to one server with one key.
#[derive(Debug)]
pub(super) struct Client {
    http: Http,
    base_url: String,
    key: ApiKey,
    /// What is never shown of the answers.
    hidden: Hidden,
    /// How often it was asked whether the key is good.
    asked: AtomicU64,
    /// What came of that last.
    key_check: Mutex<Option<Result<(), Fault>>>,
    project: Mutex<Project>,
}

/// How the project takes runs.
#[derive(Debug, Default)]
struct Project {
    /// It has taken one.
    takes_runs: bool,
    /// Ids of runs that were refused before it took any.
    refused: BTreeSet<String>,
}

/// So many runs are refused, and none is taken, before it counts as a refusal of the whole project.
const REFUSALS: usize = 3;

/// What is told of a run that begins.
#[derive(Debug)]
pub(super) struct Upsert<'a> {
    pub(super) id: &'a str,
    pub(super) entity: Option<&'a str>,
    pub(super) project: &'a str,
    pub(super) group: &'a str,
    pub(super) display_name: &'a str,
    pub(super) job_type: &'a str,
    pub(super) tags: Vec<String>,
    pub(super) config: Map<String, Value>,
    pub(super) host: String,
    pub(super) commit: Option<&'a str>,
}

/// What the server knows of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bucket {
    pub(super) entity: String,
    pub(super) project: String,
    pub(super) history_lines: usize,
    pub(super) events_lines: Option<usize>,
    pub(super) output_lines: Option<usize>,
}

/// Where a run is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) entity: String,
    pub(super) project: String,
    pub(super) id: String,
}

impl Client {
    pub(super) fn new(settings: &Settings, pace: Pace) -> Result<Self, SettingsError> {
        let key = settings
            .key
            .clone()
            .ok_or_else(|| SettingsError::Client("there is no key".to_owned()))?;
        Ok(Self {
            http: Http::new(&settings.base_url, pace)?,
            base_url: settings.base_url.clone(),
            hidden: Hidden::new(&[key.secret(), &format!("{USER}:{}", key.secret())]),
            key,
            asked: AtomicU64::new(0),
            key_check: Mutex::new(None),
            project: Mutex::default(),
        })
    }

    /// Asks once whether the key is good. What is wrong here is wrong for every run.
    pub(super) fn check_key(&self) -> Result<(), Fault> {
        let asked = self.asked.load(Ordering::Acquire);
        let mut check = whole(&self.key_check);
        match &*check {
            Some(Ok(())) => return Ok(()),
            Some(Err(fault @ Fault::Sink(_))) => return Err(fault.clone()),
            // Another run has asked while this one waited.
            Some(Err(fault)) if asked != self.asked.load(Ordering::Acquire) => {
                return Err(fault.clone());
            }
            Some(Err(_)) | None => {}
        }
        let answer = match self.graphql("Viewer", VIEWER, json!({})) {
            Ok(data) if data["viewer"].is_null() => {
                Err(Fault::Sink(format!("{} does not know the key", self.base_url)))
            }
            Ok(_) => Ok(()),
            Err(Fault::Later { reason, wait }) => Err(Fault::Away { reason, wait }),
            Err(Fault::Run(reason)) => Err(Fault::Sink(reason)),
            Err(fault) => Err(fault),
        };
        self.asked.fetch_add(1, Ordering::AcqRel);
        *check = Some(answer.clone());
        answer
    }

    /// Creates the run, or finds it again.
    pub(super) fn upsert(&self, run: Upsert<'_>) -> Result<Bucket, Fault> {
        let id = run.id.to_owned();
        let answer = self.try_upsert(run);
        let mut project = whole(&self.project);
        project.takes_runs |= answer.is_ok();
        match answer {
            Err(Fault::Run(reason)) if !project.takes_runs => {
                project.refused.insert(id);
                Err(if project.refused.len() < REFUSALS {
                    Fault::Run(reason)
                } else {
                    Fault::Sink(format!("{reason} (so for every run)"))
                })
            }
            answer => answer,
        }
    }

    fn try_upsert(&self, run: Upsert<'_>) -> Result<Bucket, Fault> {
        let variables = json!({
            "id": null,
            "name": run.id,
            "project": run.project,
            "entity": run.entity,
            "groupName": run.group,
            "description": null,
            "displayName": run.display_name,
            "notes": null,
            "commit": run.commit,
            "config": Value::Object(run.config).to_string(),
            "host": run.host,
            "program": "actlab",
            "repo": null,
            "jobType": run.job_type,
            "state": "running",
            "sweep": null,
            "tags": run.tags,
            "summaryMetrics": null,
        });
        let data = self.graphql("UpsertBucket", UPSERT, variables)?;
        let bucket = &data["upsertBucket"]["bucket"];
        let project = &bucket["project"];
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let (Some(entity), Some(name)) = (text(&project["entity"]["name"]), text(&project["name"]))
        else {
            return Err(Fault::later(format!(
                "{} gives no run for UpsertBucket: {}",
                self.base_url,
                self.said(&data.to_string())
            )));
        };
        let count =
            |name: &str| bucket[name].as_u64().and_then(|count| usize::try_from(count).ok());
        Ok(Bucket {
            entity,
            project: name,
            history_lines: count("historyLineCount").unwrap_or(0),
            events_lines: count("eventsLineCount"),
            output_lines: count("logLineCount"),
        })
    }

    /// Sends lines of a run.
    pub(super) fn file_stream(&self, place: &Place, body: &Value) -> Result<(), Fault> {
        let Place { entity, project, id } = place;
        let url = format!(
            "{}/files/{}/{}/{}/file_stream",
            self.base_url,
            escape(entity),
            escape(project),
            escape(id)
        );
        let bytes = serde_json::to_vec(body).unwrap_or_default();
        let length = bytes.len();
        let request = self.authorized(self.http.client(&url).post(&url)).body(bytes);
        let request = request.header(CONTENT_TYPE, "application/json");
        let text = self.yes(self.http.send_large(request, length)?)?;
        match serde_json::from_str::<Value>(&text) {
            Ok(_) => Ok(()),
            Err(_) => Err(self.no_json("lines")),
        }
    }

    /// That something between here and the server answers.
    fn no_json(&self, to: &str) -> Fault {
        Fault::later(format!("{} answers {to} with something else than JSON", self.base_url))
    }

    /// What the server says as it is shown.
    fn said(&self, text: &str) -> String {
        said(text, &self.hidden)
    }

    /// Uploads what waits of `files`. Addresses are kept from one try to the next: a server that turns quick requests away
    /// would otherwise never come to the files.
    pub(super) fn upload(&self, place: &Place, files: &mut Files) -> Result<(), Fault> {
        files.begin_turn();
        loop {
            if files.lacks_address() {
                let names = files.names();
                let variables = json!({
                    "entity": place.entity,
                    "project": place.project,
                    "run": place.id,
                    "files": names,
                });
                let addresses = match self.graphql("CreateRunFiles", CREATE_RUN_FILES, variables) {
                    Ok(data) => Addresses::new(names, &data["createRunFiles"]),
                    // What belongs to the run beside its files is another request.
                    Err(Fault::Run(reason)) => {
                        files.refuse_all(&reason);
                        return Ok(());
                    }
                    Err(fault) => return Err(fault),
                };
                files.set_addresses(addresses);
            }
            let Some((file, address)) = files.next() else { return Ok(()) };
            match address.map(|(url, headers)| self.put(url, file, headers)) {
                Some(Ok(())) => files.arrived(),
                // The store may be another host than the server: what it does concerns this run.
                Some(Err(Fault::Later { reason, wait } | Fault::Away { reason, wait })) => {
                    return Err(Fault::Later { reason, wait });
                }
                Some(Err(_)) | None => files.refuse(),
            }
        }
    }

    fn put(&self, url: &str, file: &Document, headers: &Value) -> Result<(), Fault> {
        // A relative one is of this server. It says itself who may write: the key stays here.
        let url = if url.starts_with('/') { format!("{}{url}", self.base_url) } else { url.into() };
        let mut request = self.http.client(&url).put(&url).body(file.bytes.clone());
        for header in headers.as_array().into_iter().flatten() {
            if let Some((name, value)) = header.as_str().and_then(|text| text.split_once(':')) {
                request = request.header(name.trim(), value.trim());
            }
        }
        let text = self.yes(self.http.send_large(request, file.bytes.len())?)?;
        if is_page(&text) { Err(self.no_json("a file")) } else { Ok(()) }
    }

    fn graphql(&self, operation: &str, query: &str, variables: Value) -> Result<Value, Fault> {
        let body = json!({ "operationName": operation, "query": query, "variables": variables });
        let url = format!("{}/graphql", self.base_url);
        let request = self.authorized(self.http.client(&url).post(&url)).json(&body);
        let answer = self.http.send(request)?;
        if answer.status == StatusCode::CONFLICT {
            // Of two requests at a time.
            return Err(Fault::later(format!("{} answers {}", self.base_url, answer.status)));
        }
        let text = self.yes(answer)?;
        let mut answer: Value = serde_json::from_str(&text).map_err(|_| self.no_json(operation))?;
        let data = answer["data"].take();
        if let Some(error) = answer["errors"].get(0)
            && data.as_object().is_none_or(|data| data.values().all(Value::is_null))
        {
            let message = self.said(error["message"].as_str().unwrap_or("no message"));
            return Err(Fault::Run(format!("{} refuses {operation}: {message}", self.base_url)));
        }
        if !data.is_object() {
            return Err(Fault::later(format!(
                "{} answers {operation} with nothing",
                self.base_url
            )));
        }
        Ok(data)
    }

    fn authorized(&self, request: RequestBuilder) -> RequestBuilder {
        request.basic_auth(USER, Some(self.key.secret()))
    }

    /// The text of `answer`, where it says yes.
    fn yes(&self, answer: Answer) -> Result<String, Fault> {
        if answer.status.is_success() { Ok(answer.text) } else { Err(self.refusal(&answer)) }
    }

    fn refusal(&self, answer: &Answer) -> Fault {
        let (host, status) = (&self.base_url, answer.status);
        if answer.may_pass() {
            let reason = format!("{host} answers {status}");
            return Fault::Later { reason, wait: answer.wait };
        }
        match status.as_u16() {
            401 => {
                Fault::Sink(format!("{host} answers {status}: the key is wrong or was withdrawn"))
            }
            403 => Fault::Run(format!(
                "{host} answers {status}: the key may not write this run, or to this entity and project"
            )),
            404 => Fault::Run(format!(
                "{host} answers {status}: there is no such run, entity or project, or WANDB_BASE_URL is no W&B server"
            )),
            300..=399 => Fault::Run(format!(
                "{host} answers {status}: it is elsewhere now; give its address in WANDB_BASE_URL"
            )),
            _ => Fault::Run(format!("{host} answers {status}")),
        }
    }
}

/// What a lock guards, which is whole after every statement.
fn whole<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}
