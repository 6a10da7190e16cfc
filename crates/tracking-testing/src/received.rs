use crate::{KEY, Request, Service};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// What a server has.
#[derive(Debug)]
pub struct Received {
    base_url: String,
    /// By id.
    pub runs: BTreeMap<String, Run>,
    /// What no client should do.
    pub faults: Vec<String>,
    /// Requests by path.
    pub requests: BTreeMap<String, usize>,
    /// Whether a run's answer tells how many lines of system metrics and output there are, as the public
    /// server does.
    pub tells_all_counts: bool,
    /// Where files of a run, by its id, are to be sent instead.
    pub upload_urls: BTreeMap<String, String>,
}

/// A run.
#[derive(Debug, Clone, Default)]
pub struct Run {
    /// Variables of the last UpsertBucket.
    pub variables: Map<String, Value>,
    /// Times that it was begun.
    pub begun: usize,
    /// Lines by file.
    pub lines: BTreeMap<String, Vec<String>>,
    /// Lines that arrived when they were there already.
    pub repeated: usize,
    /// Files by name.
    pub files: BTreeMap<String, Vec<u8>>,
    /// Names that the client says it has uploaded.
    pub uploaded: Vec<String>,
    /// How it ended.
    pub exit_code: Option<i64>,
    /// Requests with lines.
    pub streams: usize,
    /// Requests that say nothing but that the client lives.
    pub heartbeats: usize,
}

impl Run {
    /// Lines of history.
    #[must_use]
    pub fn history(&self) -> Vec<Map<String, Value>> {
        self.rows("wandb-history.jsonl")
    }

    /// Lines of system metrics.
    #[must_use]
    pub fn events(&self) -> Vec<Map<String, Value>> {
        self.rows("wandb-events.jsonl")
    }

    /// The summary.
    #[must_use]
    pub fn summary(&self) -> Map<String, Value> {
        self.rows("wandb-summary.json").pop().unwrap_or_default()
    }

    /// The configuration, out of its wrappers.
    #[must_use]
    pub fn config(&self) -> Map<String, Value> {
        let text = self.variables["config"].as_str().unwrap();
        let map: Map<String, Value> = serde_json::from_str(text).unwrap();
        map.into_iter().map(|(key, wrapped)| (key, wrapped["value"].clone())).collect()
    }

    fn rows(&self, file: &str) -> Vec<Map<String, Value>> {
        let lines = self.lines.get(file).map(Vec::as_slice).unwrap_or_default();
        lines.iter().map(|line| parse(line)).collect()
    }
}

/// As W&B's own client and server do, with numbers that JSON lacks: they become text.
fn parse(line: &str) -> Map<String, Value> {
    let mut line = line.to_owned();
    for special in ["NaN", "-Infinity", "Infinity"] {
        line = line.replace(&format!(":{special}"), &format!(":\"{special}\""));
    }
    serde_json::from_str(&line).unwrap()
}

impl Service for Received {
    /// A request that was turned away is one all the same.
    fn refused(&mut self, request: &Request) {
        *self.requests.entry(request.path.clone()).or_default() += 1;
    }

    /// Does what `request` asks for; the status and body of the answer.
    fn take(&mut self, request: &Request) -> (u16, String) {
        self.refused(request);
        if request.path.starts_with("/upload/") {
            return self.upload(request);
        }
        let expected = format!("Basic {}", BASE64_STANDARD.encode(format!("api:{KEY}")));
        if request.header("authorization") != Some(&expected) {
            return (401, "{\"error\":\"no such key\"}".to_owned());
        }
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let parts: Vec<&str> = request.path.split('/').collect();
        match parts.as_slice() {
            ["", "graphql"] => (200, json!({ "data": self.graphql(&body) }).to_string()),
            ["", "files", _, _, id, "file_stream"] => {
                self.stream(id, &body);
                (200, "{\"limits\":{}}".to_owned())
            }
            _ => (404, "{}".to_owned()),
        }
    }
}

impl Received {
    pub(crate) fn new(base_url: String) -> Self {
        Self {
            base_url,
            runs: BTreeMap::new(),
            faults: Vec::new(),
            requests: BTreeMap::new(),
            tells_all_counts: true,
            upload_urls: BTreeMap::new(),
        }
    }

    fn graphql(&mut self, body: &Value) -> Value {
        let variables = &body["variables"];
        match body["operationName"].as_str().unwrap_or_default() {
            "Viewer" => {
                json!({ "viewer": { "id": "1", "entity": "someone", "username": "someone" } })
            }
            "UpsertBucket" => {
                let id = variables["name"].as_str().unwrap_or_default().to_owned();
                let run = self.runs.entry(id.clone()).or_default();
                run.begun += 1;
                run.exit_code = None;
                run.variables = variables.as_object().cloned().unwrap_or_default();
                let count = |file: &str| run.lines.get(file).map_or(0, Vec::len);
                let mut bucket = json!({
                    "id": "1",
                    "name": id,
                    "displayName": variables["displayName"],
                    "config": variables["config"],
                    "historyLineCount": count("wandb-history.jsonl"),
                    "project": {
                        "name": variables["project"],
                        "entity": { "name": variables["entity"].as_str().unwrap_or("someone") },
                    },
                });
                if self.tells_all_counts {
                    bucket["eventsLineCount"] = count("wandb-events.jsonl").into();
                    bucket["logLineCount"] = count("output.log").into();
                }
                json!({ "upsertBucket": { "inserted": run.begun == 1, "bucket": bucket } })
            }
            "CreateRunFiles" => {
                let run = variables["run"].as_str().unwrap_or_default();
                let names = variables["files"].as_array().cloned().unwrap_or_default();
                let files = names.iter().map(|name| {
                    let name = name.as_str().unwrap_or_default();
                    let url = format!("{}/upload/{run}/{name}", self.base_url);
                    let url = self.upload_urls.get(run).unwrap_or(&url);
                    json!({ "name": name, "uploadUrl": url })
                });
                let files: Vec<_> = files.collect();
                json!({ "createRunFiles": { "runID": "1", "uploadHeaders": ["X-Test: yes"], "files": files } })
            }
            other => {
                self.faults.push(format!("unknown operation {other}"));
                Value::Null
            }
        }
    }

    fn upload(&mut self, request: &Request) -> (u16, String) {
        if request.header("authorization").is_some() {
            self.faults.push(format!("{} carries the key", request.path));
        }
        if request.header("x-test") != Some("yes") {
            self.faults.push(format!("{} lacks the upload header", request.path));
        }
        let mut parts = request.path.trim_start_matches("/upload/").split('/');
        let (id, name) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let run = self.runs.entry(id.to_owned()).or_default();
        run.files.insert(name.to_owned(), request.body.clone());
        (200, String::new())
    }

    fn stream(&mut self, id: &str, body: &Value) {
        let Some(run) = self.runs.get_mut(id) else {
            self.faults.push(format!("lines of {id}, which was never begun"));
            return;
        };
        let files = body["files"].as_object().cloned().unwrap_or_default();
        run.streams += usize::from(!files.is_empty());
        run.heartbeats += usize::from(files.is_empty() && body["complete"].is_null());
        for (name, chunk) in files {
            let offset = usize::try_from(chunk["offset"].as_u64().unwrap()).unwrap();
            let content = chunk["content"].as_array().unwrap();
            let lines = run.lines.entry(name.clone()).or_default();
            if name == "wandb-summary.json" {
                lines.clear();
            }
            if offset > lines.len() {
                let has = lines.len();
                self.faults.push(format!("{id}: {name}: offset {offset}, where {has} lines are"));
                continue;
            }
            for (i, line) in content.iter().enumerate() {
                let line = line.as_str().unwrap();
                match lines.get(offset + i) {
                    None => lines.push(line.to_owned()),
                    Some(known) => {
                        run.repeated += 1;
                        if known != line {
                            self.faults.push(format!(
                                "{id}: {name}: line {} was `{known}` and is now `{line}`",
                                offset + i
                            ));
                        }
                    }
                }
            }
        }
        if let Some(names) = body["uploaded"].as_array() {
            run.uploaded = names.iter().map(|name| name.as_str().unwrap().to_owned()).collect();
        }
        if body["complete"] == true {
            run.exit_code = body["exitcode"].as_i64();
        }
    }
}
