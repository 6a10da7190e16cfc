//! Layers of values, and where each is from: the file, the environment, flags.

use super::limits::{MOST, MOST_PARTS, grouped};
use super::position::{of_key, segments};
use super::{BUDGET, common_keys};
use crate::Error;
use crate::shell::VARIABLES;
use config::builder::DefaultState;
use config::{ConfigBuilder, Map, Source, Value, ValueKind};
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

/// Knows where every value of an experiment is from: a file, the environment, a flag.
#[derive(Debug, Clone, Default)]
pub(super) struct Origins {
    pub(super) file: PathBuf,
    /// What the file holds; empty where there is no such file that a user has written.
    pub(super) text: Arc<str>,
    pub(super) values: Value,
    /// Values that stand elsewhere in the file that they are from.
    pub(super) moved: Vec<Moved>,
    /// Keys of tables that a setting has given as a whole, with its origin, the uppermost last.
    pub(super) whole: Vec<(String, String)>,
}

/// A value that has another key in its own file than in the experiment, as in a sweep file of W&B's.
#[derive(Debug, Clone)]
pub(crate) struct Moved {
    /// Its key in the experiment.
    pub(crate) key: String,
    /// Its origin.
    pub(crate) origin: String,
    /// Its key there.
    pub(crate) own: String,
}

/// What follows `key` in `longer`, if that is `key` or a key below it.
fn below<'a>(longer: &'a str, key: &str) -> Option<&'a str> {
    longer.strip_prefix(key).filter(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

impl Origins {
    pub(super) fn error(&self, key: &str, what: &dyn std::fmt::Display) -> Error {
        Error::Experiment(format!("{}: {what}", self.place(key)))
    }

    /// An error about the value at `key`, which must fit those at `others`. Where one of these is from a layer above,
    /// as a flag is above the file, that one is named: without it there would be no error.
    pub(super) fn conflict(
        &self,
        key: &str,
        others: &[&str],
        what: &dyn std::fmt::Display,
    ) -> Error {
        let layer = |key: &str| self.layer(key);
        let own = layer(key);
        // A part of the value that is from above.
        let inner = self.keys_below(key).into_iter().find(|inner| layer(inner) > own);
        if let Some(inner) = inner.filter(|inner| !self.is_moved(inner)) {
            return self.error(&inner, what);
        }
        let above = others.iter().find(|other| layer(other) > own && !self.is_moved(other));
        match above {
            Some(other) => Error::Experiment(format!(
                "{}: does not fit {}: {what}",
                self.place(other),
                self.place(key)
            )),
            None => self.error(key, what),
        }
    }

    fn layer(&self, key: &str) -> Layer {
        self.of(key).map_or(Layer::File, |origin| Layer::of(&origin))
    }

    /// Whether the value at `key` is from a layer above that of the value at `other`.
    pub(super) fn is_above(&self, key: &str, other: &str) -> bool {
        self.layer(key) > self.layer(other)
    }

    /// Keys of the values in the table at `key`.
    fn keys_below(&self, key: &str) -> Vec<String> {
        let value =
            segments(key).into_iter().try_fold(&self.values, |value, segment| match &value.kind {
                ValueKind::Table(table) => table.get(segment),
                _ => None,
            });
        match value.map(|value| &value.kind) {
            Some(ValueKind::Table(table)) => {
                table.keys().map(|inner| format!("{key}.{inner}")).collect()
            }
            _ => Vec::new(),
        }
    }

    fn is_moved(&self, key: &str) -> bool {
        self.moved.iter().any(|one| below(key, &one.key).is_some())
    }

    /// Where the value at `key` is from: the origin with line and column, and its key there.
    pub(super) fn place(&self, key: &str) -> String {
        let origin = self.of(key);
        if let Some(place) = self.own_place(key, origin.as_deref()) {
            return place;
        }
        let file = self.file.display().to_string();
        let origin = origin.unwrap_or_else(|| file.clone());
        if let Some(own) = own_key(&origin) {
            // A flag or variable has one key, which need not be told again.
            let rest = below(key, &own).unwrap_or_default().trim_start_matches('.');
            return if rest.is_empty() { origin } else { format!("{origin}: {rest}") };
        }
        let origin = match of_key(&self.text, key) {
            Some(position) if origin == file => format!("{origin}:{position}"),
            _ => origin,
        };
        match key {
            "." => origin,
            key => format!("{origin}: {key}"),
        }
    }

    /// The place of a value that was moved.
    fn own_place(&self, key: &str, origin: Option<&str>) -> Option<String> {
        let moved = || self.moved.iter().filter(|one| origin.is_none_or(|own| own == one.origin));
        let nearest = moved()
            .filter_map(|one| Some((one, below(key, &one.key)?)))
            .max_by_key(|(one, _)| one.key.len());
        if let Some((one, rest)) = nearest {
            return Some(format!("{}: {}{rest}", one.origin, one.own));
        }
        // A part of the experiment that holds moved values.
        let mut inner = moved().filter(|one| below(&one.key, key).is_some());
        let first = inner.next()?;
        let shared = |a: &str, b: &str| {
            let same = a.split('.').zip(b.split('.')).take_while(|(a, b)| a == b);
            same.map(|(a, _)| a).collect::<Vec<_>>().join(".")
        };
        let own = inner.fold(first.own.clone(), |own, one| shared(&own, &one.own));
        Some(if own.is_empty() { first.origin.clone() } else { format!("{}: {own}", first.origin) })
    }

    /// Origin of the value at `key`, or of what it lies in.
    fn of(&self, key: &str) -> Option<String> {
        self.of_value(key).or_else(|| {
            let mut whole = self.whole.iter().rev();
            whole.find(|(table, _)| below(key, table).is_some()).map(|(_, origin)| origin.clone())
        })
    }

    /// Whether a setting has given the table at `key` as a whole.
    pub(super) fn is_given_whole(&self, key: &str) -> bool {
        self.whole.iter().any(|(table, _)| below(key, table).is_some())
    }

    fn of_value(&self, key: &str) -> Option<String> {
        let mut value = &self.values;
        let mut origin = None;
        let segments = segments(key);
        let mut rest = &segments[..];
        while !rest.is_empty() {
            // A key may have dots in it.
            let inner = (1..=rest.len()).find_map(|count| match &value.kind {
                ValueKind::Table(table) => Some((table.get(&rest[..count].join("."))?, count)),
                ValueKind::Array(items) if count == 1 => {
                    Some((items.get(rest[0].parse::<usize>().ok()?)?, count))
                }
                _ => None,
            });
            let Some((inner, count)) = inner else { break };
            rest = &rest[count..];
            value = inner;
            origin = value.origin().map(str::to_owned).or_else(|| common_origin(value)).or(origin);
        }
        origin
    }
}

/// Begins the origin of a value from the environment.
const VARIABLE: &str = "environment variable ";

/// Layers of values, the lowest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Layer {
    File,
    Environment,
    Flag,
}

impl Layer {
    fn of(origin: &str) -> Self {
        if origin.starts_with("--") {
            Self::Flag
        } else if origin.starts_with(VARIABLE) {
            Self::Environment
        } else {
            Self::File
        }
    }
}

/// The key that `origin` alone sets, if it is a variable or a flag of one key.
fn own_key(origin: &str) -> Option<String> {
    if let Some(name) = origin.strip_prefix(VARIABLE) {
        return name.strip_prefix(VARIABLES).map(key_of_variable);
    }
    // A flag of one key has its name.
    origin.strip_prefix("--").filter(|flag| *flag != "set").map(str::to_owned)
}

/// The key that the variable with this name behind [`VARIABLES`] sets.
fn key_of_variable(name: &str) -> String {
    name.to_lowercase().replace("__", ".")
}

/// The origin of all values in a table, if it is one: tables are merged and have none themselves.
fn common_origin(value: &Value) -> Option<String> {
    match &value.kind {
        ValueKind::Table(table) => {
            let mut origins = table
                .values()
                .filter(|value| !matches!(value.kind, ValueKind::Nil))
                .map(|value| value.origin().map(str::to_owned).or_else(|| common_origin(value)));
            let first = origins.next()??;
            origins.all(|other| other.as_ref() == Some(&first)).then_some(first)
        }
        _ => None,
    }
}

/// The experiment file, with its path as the origin of its values.
#[derive(Debug, Clone)]
pub(super) struct Text {
    pub(super) origin: String,
    pub(super) table: toml::Table,
}

impl Source for Text {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, config::ConfigError> {
        let table = self.table.clone();
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
        check_key(key).map_err(|message| {
            let shown: String = key.chars().take(40).collect();
            let dots = if shown.len() < key.len() { "…" } else { "" };
            Error::Usage(format!("{origin} {shown}{dots}: {message}"))
        })?;
        // What is not TOML is a bare word: --set device=cuda.
        let value = toml::from_str::<toml::Table>(&format!("value = {text}"))
            .ok()
            .and_then(|mut table| table.remove("value"))
            .unwrap_or_else(|| toml::Value::String(text.to_owned()));
        Ok(Self { key: key.to_owned(), value: from_toml(value, origin) })
    }

    /// The value `value` of the key `key` of `origin`.
    pub(crate) fn json(origin: &str, key: &str, value: serde_json::Value) -> Result<Self, String> {
        Ok(Self { key: key.to_owned(), value: from_json(value, origin)? })
    }

    /// Key and origin, if it gives a table as a whole.
    pub(super) fn whole(&self) -> Option<(String, String)> {
        let table = matches!(self.value.kind, ValueKind::Table(_));
        Some((self.key.clone(), self.value.origin()?.to_owned())).filter(|_| table)
    }

    /// Key and value as TOML.
    pub(crate) fn shown(&self) -> String {
        let value = to_toml(self.value.clone());
        format!("{} = {}", self.key, value.map_or("nothing".to_owned(), |value| value.to_string()))
    }

    /// Takes the value at `key` back.
    pub(crate) fn unset(key: &str) -> Self {
        Self { key: key.to_owned(), value: Value::new(None, ValueKind::Nil) }
    }

    /// The values that must give way before this one is merged into the layers `below`, which config merges table by
    /// table: a table that is given as a whole keeps nothing of the old one, nor does a budget in another unit, nor a
    /// table of which another form is chosen by its `name`, but for the keys that all forms have.
    pub(super) fn clear(&self, below: &Below) -> Clear {
        if matches!(self.value.kind, ValueKind::Table(_)) {
            return Clear(vec![self.key.clone()]);
        }
        let Some((table, last)) = self.key.rsplit_once('.') else { return Clear::default() };
        let name = table.rsplit('.').next().unwrap_or_default();
        match common_keys(name) {
            _ if name == BUDGET => Clear(vec![table.to_owned()]),
            Some(common) if last == NAME => self.clear_form(table, common, below),
            _ => Clear::default(),
        }
    }

    /// The values of another form than that which this name chooses, at the key `table`.
    fn clear_form(&self, table: &str, common: &[&str], below: &Below) -> Clear {
        let Some(old) = below.build_cloned().ok().and_then(|values| values.get_table(table).ok())
        else {
            return Clear(vec![table.to_owned()]);
        };
        let text = |value: &Value| match &value.kind {
            ValueKind::String(text) => Some(text.clone()),
            _ => None,
        };
        if old.get(NAME).and_then(text) == text(&self.value) {
            return Clear::default();
        }
        let keys = old.keys().filter(|key| !common.contains(&key.as_str()));
        Clear(keys.map(|key| format!("{table}.{key}")).collect())
    }
}

/// The layers below a setting.
type Below = ConfigBuilder<DefaultState>;

/// The key by which a table says which form it has.
const NAME: &str = "name";

impl Source for Setting {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, config::ConfigError> {
        Ok(Map::from([(self.key.clone(), self.value.clone())]))
    }
}

/// Takes the values at these keys back.
#[derive(Debug, Clone, Default)]
pub(super) struct Clear(Vec<String>);

impl Source for Clear {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, config::ConfigError> {
        Ok(self.0.iter().map(|key| (key.clone(), Value::new(None, ValueKind::Nil))).collect())
    }
}

/// Refuses a key that is deeper than any experiment, or whose place in a list would need many items before it.
fn check_key(key: &str) -> Result<(), String> {
    let parts = key.split(['.', '[']).count();
    if parts > MOST_PARTS {
        return Err(format!("the key has {parts} parts; at most {MOST_PARTS} are supported"));
    }
    for place in key.split('[').skip(1) {
        let place = place.split(']').next().unwrap_or_default().trim();
        let number = place.trim_start_matches(['-', '+']);
        let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        if digits && number.parse::<usize>().map_or(true, |place| place >= MOST) {
            return Err(format!(
                "[{place}] is beyond the {} items that a list may have",
                grouped(MOST)
            ));
        }
    }
    Ok(())
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
        if let Some(key) = name.strip_prefix(VARIABLES) {
            let origin = format!("{VARIABLE}{name}");
            let value = value
                .into_string()
                .map_err(|_| Error::Experiment(format!("{origin}: is not UTF-8 text")))?;
            settings.push(Setting::new(&origin, &key_of_variable(key), &value)?);
        }
    }
    settings.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(settings)
}

/// The key of a number in `value`, which is at `key`, that is NaN or infinite.
pub(super) fn non_finite(value: &Value, key: &str) -> Option<(String, f64)> {
    let dot = if key.is_empty() { "" } else { "." };
    match &value.kind {
        ValueKind::Float(number) if !number.is_finite() => Some((key.to_owned(), *number)),
        ValueKind::Array(items) => {
            let of = |(i, item)| non_finite(item, &format!("{key}[{i}]"));
            items.iter().enumerate().find_map(of)
        }
        ValueKind::Table(table) => {
            table.iter().find_map(|(name, value)| non_finite(value, &format!("{key}{dot}{name}")))
        }
        _ => None,
    }
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

/// A JSON value as one of a layer; TOML, through which layers go, has no numbers above 2^63 − 1 and no null.
fn from_json(value: serde_json::Value, origin: &str) -> Result<Value, String> {
    use serde_json::Value as Json;
    let owned = origin.to_owned();
    let kind = match value {
        Json::Null => ValueKind::Nil,
        Json::Bool(truth) => ValueKind::Boolean(truth),
        Json::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(number), ..) => ValueKind::I64(number),
            (None, None, Some(number)) => ValueKind::Float(number),
            _ => return Err(format!("{number} is too large: at most {} is supported", i64::MAX)),
        },
        Json::String(text) => ValueKind::String(text),
        Json::Array(items) => ValueKind::Array(
            items.into_iter().map(|item| from_json(item, origin)).collect::<Result<_, _>>()?,
        ),
        Json::Object(table) => ValueKind::Table(
            table
                .into_iter()
                .map(|(key, value)| Ok((key, from_json(value, origin)?)))
                .collect::<Result<_, String>>()?,
        ),
    };
    Ok(Value::new(Some(&owned), kind))
}
