//! W&B's own sweep files, read as changes of an experiment. What cannot be honoured is refused.
//!
//! The keys are those of <https://docs.wandb.ai/models/sweeps/sweep-config-keys>.

mod counts;
mod early;
mod file;
mod metric;
mod names;
mod parameter;
#[cfg(test)]
mod tests;
mod yaml;

use crate::Error;
use crate::experiment::limits::MOST;
use crate::experiment::{Moved, Setting, fault};
use crate::tune::{TRIAL_SEEDS, unset};
use counts::{Counts, nothing_tuned};
use file::File;
use names::{Place, Subject, subject};
use parameter::{Parameter, Range, parameters};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// What a sweep file changes.
#[derive(Debug)]
pub(crate) struct Changes {
    /// The experiment that it varies.
    pub(crate) base: PathBuf,
    /// Keys of the experiment and their values.
    pub(crate) settings: Vec<Setting>,
    /// Where these stand in the sweep file.
    pub(crate) moved: Vec<Moved>,
    /// What a reader of the file may not expect.
    pub(crate) notes: Vec<String>,
}

/// A key below the file's root, and what is wrong with it.
type Refusal = (String, String);

fn refuse<T>(key: &str, message: impl Into<String>) -> Result<T, Refusal> {
    Err((key.to_owned(), message.into()))
}

/// Whether a file is one of W&B's.
pub(crate) fn is_one(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
}

/// What the sweep file `text` changes; `read` reads the experiment that it names.
///
/// # Errors
/// Whatever cannot be honoured, by its key.
pub(crate) fn read(
    file: &Path,
    text: &str,
    read: &dyn Fn(&Path) -> Result<toml::Table, Error>,
) -> Result<Changes, Error> {
    let wrong = |message: String| Error::Experiment(format!("{}: {message}", file.display()));
    let sweep: File = serde_saphyr::from_str(text).map_err(|error| {
        Error::Experiment(format!("{}{}", file.display(), yaml::words(&error, text)))
    })?;
    if sweep.program.extension().is_none_or(|extension| extension != "toml") {
        return Err(wrong(format!(
            "program: must be the experiment file that the parameters vary, as in experiments/quick.toml, and {} is none",
            sweep.program.display()
        )));
    }
    let table = read(&sweep.program).map_err(|error| wrong(format!("program: {error}")))?;
    let base = Base { table };
    let mut reader = Reader {
        origin: file.display().to_string(),
        settings: Vec::new(),
        moved: Vec::new(),
        notes: Vec::new(),
    };
    reader.read(&sweep, &base).map_err(|(key, message)| wrong(format!("{key}: {message}")))?;
    let Reader { settings, moved, notes, .. } = reader;
    Ok(Changes { base: sweep.program, settings, moved, notes })
}

/// The experiment that is varied, as its file has it.
struct Base {
    table: toml::Table,
}

impl Base {
    /// Items of the list `key`, or the number of them that it gives, as `seeds` may.
    fn count(&self, key: &str) -> usize {
        match self.table.get(key) {
            Some(toml::Value::Array(items)) => items.len(),
            Some(toml::Value::Integer(number)) => usize::try_from(*number).unwrap_or(0),
            _ => 0,
        }
    }

    fn tasks(&self) -> Vec<&str> {
        let tasks = self.table.get("tasks").and_then(toml::Value::as_table);
        tasks.into_iter().flat_map(|tasks| tasks.keys().map(String::as_str)).collect()
    }

    /// Refuses to set what its own `[tune]` tunes, which would hold.
    fn keeps(&self, constants: &[Constant]) -> Result<(), Refusal> {
        let own = self.table.get("tune").and_then(|tune| tune.get("parameters"));
        let mut keys = Vec::new();
        leaves("", own.and_then(toml::Value::as_table), &mut keys);
        for Constant { name, place, .. } in constants {
            let same = |key: &&String| {
                let subject = subject(key);
                matches!(&subject, Ok(Subject::Task(tuned)) if tuned.meets(place))
            };
            if let Some(key) = keys.iter().find(same) {
                return refuse(
                    &format!("parameters.{name}"),
                    format!(
                        "has no effect: [tune.parameters] of the experiment has {key}, and tunes it"
                    ),
                );
            }
        }
        Ok(())
    }

    /// Seeds under which each trial is trained.
    fn trial_seeds(&self) -> usize {
        let own = self.table.get("tune").and_then(|tune| tune.get("seeds")?.as_array());
        own.map_or(TRIAL_SEEDS, Vec::len)
    }
}

/// Keys of the parameters in a `[tune.parameters]` table, whose names may be tables in tables.
fn leaves(prefix: &str, table: Option<&toml::Table>, found: &mut Vec<String>) {
    for (key, value) in table.into_iter().flatten() {
        let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value.as_table() {
            Some(inner) if !["values", "min", "max"].iter().any(|key| inner.contains_key(*key)) => {
                leaves(&key, Some(inner), found);
            }
            _ => found.push(key),
        }
    }
}

/// A parameter that has one value.
struct Constant {
    name: String,
    place: Place,
    value: Value,
    /// Where in the sweep file the value is.
    key: String,
}

/// A parameter that is tuned.
struct Tuned {
    name: String,
    place: Place,
    /// As `[tune.parameters]` has it.
    range: Value,
}

impl Tuned {
    /// Points that it has in a grid.
    fn points(&self) -> u128 {
        self.range["values"].as_array().map_or(1, |values| values.len() as u128)
    }
}

/// Turns a sweep file into changes.
struct Reader {
    origin: String,
    settings: Vec<Setting>,
    moved: Vec<Moved>,
    notes: Vec<String>,
}

impl Reader {
    fn read(&mut self, sweep: &File, base: &Base) -> Result<(), Refusal> {
        if let Some(metric) = &sweep.metric {
            self.notes.extend(metric::check(metric, base)?);
            self.notes.extend(metric::others(metric, base));
        }
        let grid = is_grid(sweep)?;
        let mut subjects = Vec::new();
        let all = parameters(&sweep.parameters)?;
        for one in &all {
            let place = format!("parameters.{}", one.name);
            self.notes.extend(one.note.iter().map(|note| format!("{place}: {note}")));
            let subject = subject(&one.name).map_err(|message| (place, message))?;
            subjects.push((one.name.clone(), subject));
        }
        names::distinct(&subjects)?;
        let mut counts = Counts {
            arms: base.count("activations") as u128,
            seeds: base.count("seeds") as u128,
            trial_seeds: base.trial_seeds() as u128,
        };
        let (mut constants, mut tuned) = (Vec::new(), Vec::new());
        for (parameter, (name, subject)) in all.iter().zip(subjects) {
            let range = parameter.range.clone();
            let own = format!("parameters.{name}");
            let at = |message: String| (own.clone(), message);
            match subject {
                Subject::Activations => {
                    let arms = activations(range).map_err(at)?;
                    counts.arms = arms.len() as u128;
                    self.set("activations", &own, Value::Array(arms))?;
                }
                Subject::Seeds => {
                    let seeds = seeds(range).map_err(at)?;
                    counts.seeds = seeds.len() as u128;
                    self.set("seeds", &own, Value::Array(seeds))?;
                }
                Subject::Task(place) => match one_value(&place, parameter)? {
                    Some(value) => {
                        let key = parameter.key(&value);
                        constants.push(Constant { name, place, value, key });
                    }
                    None => {
                        let range = range.table(grid).map_err(at)?;
                        tuned.push(Tuned { name, place, range });
                    }
                },
            }
        }
        if tuned.is_empty() {
            nothing_tuned(sweep, base, &counts)?;
            base.keeps(&constants)?;
        } else {
            self.tune(sweep, base, grid, &tuned, &counts)?;
        }
        self.constants(constants, base.count("overrides"))?;
        self.names(sweep)
    }

    /// What the file calls the sweep, and where it is logged.
    fn names(&mut self, sweep: &File) -> Result<(), Refusal> {
        for (key, own, value) in [
            ("name", "name", &sweep.name),
            ("description", "description", &sweep.description),
            ("wandb.project", "project", &sweep.project),
            ("wandb.entity", "entity", &sweep.entity),
        ] {
            if let Some(value) = value {
                self.set(key, own, json!(value))?;
            }
        }
        Ok(())
    }

    /// Sets `key` of the experiment to `value`, which is at `own` in the sweep file.
    fn set(&mut self, key: &str, own: &str, value: Value) -> Result<(), Refusal> {
        let setting = Setting::json(&self.origin, key, unset(value, false));
        self.settings.push(setting.map_err(|message| (own.to_owned(), message))?);
        self.stands_at(key, own);
        Ok(())
    }

    fn stands_at(&mut self, key: &str, own: &str) {
        let (key, own) = (key.to_owned(), own.to_owned());
        self.moved.push(Moved { key, origin: self.origin.clone(), own });
    }

    /// What is tuned; seeds of trials and the seed of the search stay those of the experiment.
    fn tune(
        &mut self,
        sweep: &File,
        base: &Base,
        grid: bool,
        tuned: &[Tuned],
        counts: &Counts,
    ) -> Result<(), Refusal> {
        self.settings.extend(["tune.trials", "tune.early_stop"].map(Setting::unset));
        self.set("tune.method", "method", json!(if grid { "grid" } else { "random" }))?;
        let trials = counts.trials(sweep, base, grid, tuned)?;
        if !grid {
            self.set("tune.trials", "run_cap", json!(trials))?;
        }
        if let Some(early) = &sweep.early_terminate {
            let (policy, first) = early.policy()?;
            self.set("tune.early_stop", "early_terminate", policy)?;
            self.stands_at("tune.early_stop.after", &format!("early_terminate.{first}"));
        }
        let mut table = serde_json::Map::new();
        for one in tuned {
            let own = format!("parameters.{}", one.name);
            self.stands_at(&format!("tune.parameters.{}", one.place.key()), &own);
            // The number is looked at here, where its name is known.
            Setting::json(&self.origin, "value", one.range.clone())
                .map_err(|message| (own, message))?;
            table.insert(one.place.key(), with_unset_values(&one.range));
        }
        self.set("tune.parameters", "parameters", Value::Object(table))
    }

    /// Overrides for parameters with one value, after the `own` ones of the experiment.
    fn constants(&mut self, mut constants: Vec<Constant>, own: usize) -> Result<(), Refusal> {
        // A name chooses a form, into which the other keys go.
        constants.sort_by_key(|one| !one.place.path.ends_with(".name"));
        for (i, Constant { name, place, value, key: written }) in constants.into_iter().enumerate()
        {
            let key = format!("overrides[{}]", own + i);
            let at = format!("parameters.{name}");
            for inner in value.as_object().into_iter().flat_map(|table| table.keys()) {
                self.stands_at(
                    &format!("{key}.set.{}.{inner}", place.path),
                    &format!("{written}.{inner}"),
                );
            }
            self.set(&key, &at, place.set(unset(value, false)))?;
            // Whatever part of it is told of, it is this parameter.
            for key in [format!("{key}.set"), format!("{key}.task")] {
                self.stands_at(&key, &at);
            }
            for (end, _) in place.path.match_indices('.') {
                self.stands_at(&format!("{key}.set.{}", &place.path[..end]), &at);
            }
            self.stands_at(&format!("{key}.set.{}", place.path), &at);
        }
        Ok(())
    }
}

/// A range whose list of values may have null in it, as TOML can hold it.
fn with_unset_values(range: &Value) -> Value {
    let mut range = range.clone();
    if let Some(values) = range.get_mut("values").and_then(Value::as_array_mut) {
        values.iter_mut().for_each(|value| *value = unset(value.take(), false));
    }
    range
}

/// Refuses values that are not of the kind that `place` takes.
fn check(place: &Place, parameter: &Parameter<'_>, values: &[Value]) -> Result<(), Refusal> {
    values.iter().try_for_each(|value| match fault(&place.nested(value.clone())) {
        None => Ok(()),
        Some((key, message)) => {
            let below = key.strip_prefix(place.path.as_str()).filter(|below| !below.is_empty());
            let own = match below {
                // A part of a table.
                Some(below) => format!("{}{below}", parameter.key(value)),
                None => format!("parameters.{}", parameter.name),
            };
            Err((own, message))
        }
    })
}

/// The value of a parameter that has one; what `place` does not take is refused.
fn one_value(place: &Place, parameter: &Parameter<'_>) -> Result<Option<Value>, Refusal> {
    match &parameter.range {
        Range::Values(values) => {
            check(place, parameter, values)?;
            Ok(values.first().filter(|_| values.len() == 1).cloned())
        }
        Range::Whole { min, max } if min == max => Ok(Some(json!(min))),
        Range::Whole { .. } | Range::Between { .. } => Ok(None),
    }
}

/// Whether it is a grid, or else a random search.
fn is_grid(sweep: &File) -> Result<bool, Refusal> {
    match sweep.method.as_str() {
        "grid" => Ok(true),
        "random" => Ok(false),
        other => refuse(
            "method",
            format!(
                "must be grid or random; {other} is not supported: its trials would depend on which were finished first"
            ),
        ),
    }
}

fn activations(range: Range) -> Result<Vec<Value>, String> {
    match range {
        Range::Values(values) if values.iter().all(|one| one.is_string() || one.is_object()) => {
            Ok(values)
        }
        _ => Err("needs `values` or `value`: names of activations, as in [relu, gelu]".to_owned()),
    }
}

fn seeds(range: Range) -> Result<Vec<Value>, String> {
    let seeds = range.all(MOST)?;
    let right = |seed: &Value| seed.as_i64().is_some_and(|seed| seed >= 0);
    match seeds.iter().find(|seed| !right(seed)) {
        Some(other) => Err(format!(
            "must be whole numbers from 0 to {}, not {}",
            i64::MAX,
            crate::experiment::words::shown(other)
        )),
        None => Ok(seeds),
    }
}
