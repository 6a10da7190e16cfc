//! A stand-in for an MLflow tracking server.

use crate::{KEY, Plan, Request, Server, Service};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What a tracking server has.
#[derive(Debug, Default)]
pub struct Mlflow {
    /// Ids by name.
    pub experiments: BTreeMap<String, String>,
    /// By id.
    pub runs: BTreeMap<String, MlflowRun>,
    /// What no client should do.
    pub faults: Vec<String>,
    /// Requests by path, without the query.
    pub requests: BTreeMap<String, usize>,
    /// Where files of runs are, other than behind the server itself.
    pub artifact_root: Option<String>,
}

/// A run. Like a server that keeps files, and unlike one with a database, it takes the same value twice.
#[derive(Debug, Clone, Default)]
pub struct MlflowRun {
    /// Id of its experiment.
    pub experiment: String,
    /// Its name.
    pub name: String,
    /// By key.
    pub tags: BTreeMap<String, String>,
    /// By key.
    pub params: BTreeMap<String, String>,
    /// Step, timestamp and value by key, in the order in which they came.
    pub metrics: BTreeMap<String, Vec<(i64, i64, Value)>>,
    /// Its status.
    pub status: String,
    /// When it ended, in milliseconds.
    pub end_time: Option<i64>,
    /// Files by name.
    pub files: BTreeMap<String, Vec<u8>>,
}

impl Server<Mlflow> {
    /// A tracking server that takes the token [`KEY`], and whose answers `plan` spoils.
    #[must_use]
    pub fn mlflow(plan: impl Plan + 'static) -> Self {
        Self::with(|_| Mlflow::default(), plan)
    }
}

type Answer = (u16, Value);

fn refuse(code: u16, error: &str) -> Answer {
    (code, json!({ "error_code": error, "message": "as planned" }))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

impl Service for Mlflow {
    fn refused(&mut self, request: &Request) {
        let path = request.path.split('?').next().unwrap_or_default();
        *self.requests.entry(path.to_owned()).or_default() += 1;
    }

    fn take(&mut self, request: &Request) -> (u16, String) {
        self.refused(request);
        if request.header("authorization") != Some(&format!("Bearer {KEY}")) {
            return (401, String::new());
        }
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        let parameter = query.split_once('=').map_or("", |(_, value)| value);
        if let Some(file) = path.strip_prefix("/api/2.0/mlflow-artifacts/artifacts/") {
            return self.upload(file, &request.body);
        }
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let method = path.strip_prefix("/api/2.0/mlflow/").unwrap_or_default();
        let (code, answer) = match (request.method.as_str(), method) {
            ("GET", "experiments/get-by-name") => match self.experiments.get(parameter) {
                Some(id) => (
                    200,
                    json!({ "experiment": { "experiment_id": id, "lifecycle_stage": "active" } }),
                ),
                None => refuse(404, "RESOURCE_DOES_NOT_EXIST"),
            },
            ("POST", "experiments/create") => self.create_experiment(text(&body["name"])),
            ("GET", "runs/get") => match self.runs.get(parameter) {
                Some(run) => (200, json!({ "run": self.shown(parameter, run) })),
                None => refuse(404, "RESOURCE_DOES_NOT_EXIST"),
            },
            ("POST", "runs/search") => self.search(&body),
            ("POST", "runs/create") => self.create(&body),
            ("POST", "runs/update") => self.update(&body),
            ("POST", "runs/log-batch") => self.log_batch(&body),
            _ => return (404, "<html>".to_owned()),
        };
        (code, answer.to_string())
    }
}

impl Mlflow {
    fn create_experiment(&mut self, name: String) -> Answer {
        if self.experiments.contains_key(&name) {
            return refuse(400, "RESOURCE_ALREADY_EXISTS");
        }
        let id = (self.experiments.len() + 1).to_string();
        self.experiments.insert(name, id.clone());
        (200, json!({ "experiment_id": id }))
    }

    fn shown(&self, id: &str, run: &MlflowRun) -> Value {
        let last = |(key, values): (&String, &Vec<(i64, i64, Value)>)| {
            let (step, timestamp, value) =
                values.iter().max_by_key(|(step, time, _)| (*step, *time))?;
            Some(json!({ "key": key, "value": value, "timestamp": timestamp, "step": step }))
        };
        let metrics: Vec<Value> = run.metrics.iter().filter_map(last).collect();
        let params: Vec<Value> =
            run.params.iter().map(|(key, value)| json!({ "key": key, "value": value })).collect();
        let uri = match &self.artifact_root {
            Some(root) => format!("{root}/{id}/artifacts"),
            None => format!("mlflow-artifacts:/{}/{id}/artifacts", run.experiment),
        };
        json!({
            "info": {
                "run_id": id,
                "experiment_id": run.experiment,
                "artifact_uri": uri,
                "status": run.status,
                "lifecycle_stage": "active",
            },
            "data": { "metrics": metrics, "params": params },
        })
    }

    fn search(&mut self, body: &Value) -> Answer {
        let filter = text(&body["filter"]);
        let wanted: Vec<&str> = filter.split('\'').skip(1).step_by(2).collect();
        let experiment = text(&body["experiment_ids"][0]);
        let found = self.runs.iter().filter(|(_, run)| {
            let tag = |name: &str| run.tags.get(name).map(String::as_str);
            run.experiment == experiment
                && [tag("actlab.run_id"), tag("sweep")]
                    == [wanted.first().copied(), wanted.get(1).copied()]
        });
        let runs: Vec<Value> = found.map(|(id, run)| self.shown(id, run)).collect();
        (200, if runs.is_empty() { json!({}) } else { json!({ "runs": runs }) })
    }

    fn create(&mut self, body: &Value) -> Answer {
        let id = format!("{:032x}", self.runs.len() + 1);
        let mut run = MlflowRun {
            experiment: text(&body["experiment_id"]),
            name: text(&body["run_name"]),
            status: "RUNNING".to_owned(),
            ..MlflowRun::default()
        };
        set(&mut run.tags, &body["tags"]);
        let same = |other: &MlflowRun| other.tags["actlab.run_id"] == run.tags["actlab.run_id"];
        if self.runs.values().any(same) {
            self.faults.push(format!("{} is created twice", run.name));
        }
        self.runs.insert(id.clone(), run.clone());
        (200, json!({ "run": self.shown(&id, &run) }))
    }

    fn update(&mut self, body: &Value) -> Answer {
        let Some(run) = self.runs.get_mut(&text(&body["run_id"])) else {
            return refuse(404, "RESOURCE_DOES_NOT_EXIST");
        };
        run.status = text(&body["status"]);
        run.end_time = body["end_time"].as_i64().or(run.end_time);
        (200, json!({ "run_info": {} }))
    }

    fn log_batch(&mut self, body: &Value) -> Answer {
        let all = |name: &str| body[name].as_array().cloned().unwrap_or_default();
        let Some(run) = self.runs.get_mut(&text(&body["run_id"])) else {
            return refuse(404, "RESOURCE_DOES_NOT_EXIST");
        };
        let (metrics, params) = (all("metrics"), all("params"));
        if metrics.len() > 1000 || params.len() > 100 || body.to_string().len() > 1_000_000 {
            self.faults.push(format!(
                "a batch of {} metrics and {} params",
                metrics.len(),
                params.len()
            ));
            return refuse(400, "INVALID_PARAMETER_VALUE");
        }
        let before = run.params.clone();
        set(&mut run.params, &body["params"]);
        if before.iter().any(|(key, value)| run.params[key] != *value) {
            self.faults.push("a param changes".to_owned());
        }
        set(&mut run.tags, &body["tags"]);
        for metric in metrics {
            let key = text(&metric["key"]);
            let (step, time) =
                (metric["step"].as_i64().unwrap(), metric["timestamp"].as_i64().unwrap());
            let values = run.metrics.entry(key.clone()).or_default();
            if values.iter().any(|(known, ..)| *known == step) {
                self.faults.push(format!("{}: {key}: step {step} is sent twice", run.name));
            }
            values.push((step, time, metric["value"].clone()));
        }
        (200, json!({}))
    }

    fn upload(&mut self, path: &str, body: &[u8]) -> (u16, String) {
        let parts: Vec<&str> = path.split('/').collect();
        let [_, id, "artifacts", name] = parts.as_slice() else {
            self.faults.push(format!("a file at {path}"));
            return (400, String::new());
        };
        let Some(run) = self.runs.get_mut(*id) else { return (404, "{}".to_owned()) };
        run.files.insert((*name).to_owned(), body.to_owned());
        (200, "{}".to_owned())
    }
}

fn set(map: &mut BTreeMap<String, String>, pairs: &Value) {
    for pair in pairs.as_array().into_iter().flatten() {
        map.insert(text(&pair["key"]), text(&pair["value"]));
    }
}
