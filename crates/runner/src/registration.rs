//! What has changed in an experiment since its first run ended.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What has changed since an experiment was registered, a sentence each.
pub(crate) fn changes(before: &Value, now: &Value) -> Vec<String> {
    let (mut old, mut new) = (BTreeMap::new(), BTreeMap::new());
    flatten("", before, &mut old);
    flatten("", now, &mut new);
    let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let word = |value: Option<&Value>| value.map_or("absent".to_owned(), Value::to_string);
    let mut changes: Vec<String> = keys
        .into_iter()
        .filter(|key| old.get(*key) != new.get(*key))
        .map(|key| format!("{key} was {}, is {}", word(old.get(key)), word(new.get(key))))
        .collect();
    if old
        .iter()
        .chain(&new)
        .any(|(key, _)| key.starts_with("sequential") && old.get(key) != new.get(key))
    {
        changes.push(
            "the plan of looks changed after results could be seen, which its bounds do not account for"
                .to_owned(),
        );
    }
    let seeds = |value: &Value| value.get("seeds").and_then(Value::as_array).map_or(0, Vec::len);
    if seeds(now) > seeds(before) && seeds(before) > 0 && now.get("sequential").is_none() {
        changes.push(
            "seeds were added after results could be seen, which p values do not account for; `[sequential]` does"
                .to_owned(),
        );
    }
    changes
}

/// The values below `value` by their dotted keys; a list counts as one.
fn flatten(prefix: &str, value: &Value, values: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(table) => {
            for (key, value) in table {
                let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                flatten(&key, value, values);
            }
        }
        Value::Null => {}
        other => {
            values.insert(prefix.to_owned(), other.clone());
        }
    }
}
