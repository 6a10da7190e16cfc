//! Layers of values, and where each is from: the file, the environment, flags.

use super::{BUDGET, FORMS};
use crate::Error;
use config::{Map, Source, Value, ValueKind};
use std::ffi::OsString;
use std::path::PathBuf;

/// Knows where every value of an experiment is from: a file, the environment, a flag.
#[derive(Debug, Clone, Default)]
pub(super) struct Origins {
    pub(super) file: PathBuf,
    pub(super) values: Value,
}

impl Origins {
    pub(super) fn error(&self, key: &str, what: &dyn std::fmt::Display) -> Error {
        let origin = self.of(key).unwrap_or_else(|| self.file.display().to_string());
        let key = if key == "." { String::new() } else { format!("{key}: ") };
        Error::Experiment(format!("{origin}: {key}{what}"))
    }

    /// Origin of the value at `key`, or of what it lies in.
    fn of(&self, key: &str) -> Option<String> {
        let mut value = &self.values;
        let mut origin = None;
        for segment in key.split(['.', '[']).map(|segment| segment.trim_end_matches(']')) {
            let inner = match &value.kind {
                ValueKind::Table(table) => table.get(segment),
                ValueKind::Array(items) => segment.parse().ok().and_then(|i: usize| items.get(i)),
                _ => None,
            };
            let Some(inner) = inner else { break };
            value = inner;
            origin = value.origin().or(origin);
        }
        origin.map(str::to_owned)
    }
}

/// The experiment file, with its path as the origin of its values.
#[derive(Debug, Clone)]
pub(super) struct Text {
    pub(super) origin: String,
    pub(super) text: String,
}

impl Source for Text {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, config::ConfigError> {
        let table: toml::Table = toml::from_str(&self.text)
            .map_err(|error| config::ConfigError::Message(error.to_string()))?;
        Ok(table.into_iter().map(|(key, value)| (key, from_toml(value, &self.origin))).collect())
    }
}

/// One value from the environment or a flag.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    pub(super) key: String,
    pub(super) value: Value,
}

impl Setting {
    pub(super) fn new(origin: &str, key: &str, text: &str) -> Result<Self, Error> {
        if key.is_empty() {
            return Err(Error::Usage(format!("{origin}: the key is missing")));
        }
        // What is not TOML is a bare word: --set device=cuda.
        let value = toml::from_str::<toml::Table>(&format!("value = {text}"))
            .ok()
            .and_then(|mut table| table.remove("value"))
            .unwrap_or_else(|| toml::Value::String(text.to_owned()));
        Ok(Self { key: key.to_owned(), value: from_toml(value, origin) })
    }

    /// The value that must give way before this one is laid upon the layers below, which config merges
    /// table by table: a table that is given as a whole, or of which another form is chosen, by its
    /// `name` or by the unit of a budget, keeps nothing of the old one.
    pub(super) fn clear(&self) -> Clear {
        let whole = matches!(self.value.kind, ValueKind::Table(_)).then_some(self.key.as_str());
        let form = self.key.rsplit_once('.').filter(|(table, last)| {
            let table = table.rsplit('.').next().unwrap_or_default();
            table == BUDGET || (FORMS.contains(&table) && *last == "name")
        });
        Clear(whole.or(form.map(|(table, _)| table)).map(str::to_owned))
    }
}

impl Source for Setting {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, config::ConfigError> {
        Ok(Map::from([(self.key.clone(), self.value.clone())]))
    }
}

/// Takes a value back.
#[derive(Debug, Clone)]
pub(super) struct Clear(Option<String>);

impl Source for Clear {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, config::ConfigError> {
        Ok(self.0.iter().map(|key| (key.clone(), Value::new(None, ValueKind::Nil))).collect())
    }
}

/// `ACTLAB_TASKS__A__TRAINING__WARMUP=0.2` sets `tasks.a.training.warmup`.
pub(super) fn environment(
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> Result<Vec<Setting>, Error> {
    let mut settings = Vec::new();
    for (name, value) in variables {
        let name = name.to_string_lossy();
        // It is no key of an experiment.
        if name == activation::simd::VARIABLE {
            continue;
        }
        if let Some(key) = name.strip_prefix("ACTLAB_") {
            let value = value.into_string().map_err(|_| {
                Error::Experiment(format!("environment variable {name}: is not UTF-8 text"))
            })?;
            let key = key.to_lowercase().replace("__", ".");
            settings.push(Setting::new(&format!("environment variable {name}"), &key, &value)?);
        }
    }
    settings.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(settings)
}

/// The merged values, without those that were taken back.
pub(super) fn to_toml(value: Value) -> Option<toml::Value> {
    Some(match value.kind {
        ValueKind::Nil => return None,
        ValueKind::Boolean(truth) => truth.into(),
        ValueKind::I64(number) => number.into(),
        ValueKind::I128(number) => i64::try_from(number).ok()?.into(),
        ValueKind::U64(number) => i64::try_from(number).ok()?.into(),
        ValueKind::U128(number) => i64::try_from(number).ok()?.into(),
        ValueKind::Float(number) => number.into(),
        ValueKind::String(text) => text.into(),
        ValueKind::Array(items) => items.into_iter().filter_map(to_toml).collect::<Vec<_>>().into(),
        ValueKind::Table(table) => table
            .into_iter()
            .filter_map(|(key, value)| Some((key, to_toml(value)?)))
            .collect::<toml::Table>()
            .into(),
    })
}

pub(super) fn from_toml(value: toml::Value, origin: &str) -> Value {
    let owned = origin.to_owned();
    let kind = match value {
        toml::Value::String(text) => ValueKind::String(text),
        toml::Value::Integer(number) => ValueKind::I64(number),
        toml::Value::Float(number) => ValueKind::Float(number),
        toml::Value::Boolean(truth) => ValueKind::Boolean(truth),
        toml::Value::Datetime(time) => ValueKind::String(time.to_string()),
        toml::Value::Array(items) => {
            ValueKind::Array(items.into_iter().map(|item| from_toml(item, origin)).collect())
        }
        toml::Value::Table(table) => ValueKind::Table(
            table.into_iter().map(|(key, value)| (key, from_toml(value, origin))).collect(),
        ),
    };
    Value::new(Some(&owned), kind)
}
