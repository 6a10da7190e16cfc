//! Tables upon tables.

use crate::experiment::{BUDGET, common_keys};
use serde_json::Value;

/// Lays `over` upon `under`, table by table, as the layers of an experiment do: another form of a model
/// or optimizer, and another budget, replace the old one as a whole. Null takes a key away.
pub(super) fn merge(under: &mut serde_json::Value, over: &serde_json::Value) {
    match (under, over) {
        (serde_json::Value::Object(under), serde_json::Value::Object(over)) => {
            for (key, value) in over {
                if value.is_null() {
                    under.remove(key);
                    continue;
                }
                match under.get_mut(key) {
                    Some(old) if key != BUDGET && same_form(key, old, value) => merge(old, value),
                    old => {
                        let kept = old.map(|old| common(key, old)).unwrap_or_default();
                        let mut new = without_null(value);
                        if let Value::Object(new) = &mut new {
                            kept.into_iter().for_each(|(key, value)| {
                                new.entry(key).or_insert(value);
                            });
                        }
                        under.insert(key.clone(), new);
                    }
                }
            }
        }
        (under, over) => *under = without_null(over),
    }
}

/// What another form of the table `key` keeps of `old`.
fn common(key: &str, old: &Value) -> serde_json::Map<String, Value> {
    let kept = common_keys(key).unwrap_or_default();
    let table = old.as_object().into_iter().flatten();
    table
        .filter(|(key, _)| kept.contains(&key.as_str()))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// A value that replaces another: what it takes away is not in it.
fn without_null(value: &serde_json::Value) -> serde_json::Value {
    match value {
        serde_json::Value::Object(table) => table
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key.clone(), without_null(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        other => other.clone(),
    }
}

fn same_form(key: &str, old: &serde_json::Value, new: &serde_json::Value) -> bool {
    common_keys(key).is_none() || new.get("name").is_none_or(|name| old.get("name") == Some(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn overrides_merge_tables_and_replace_forms() {
        let mut value = json!({
            "optimizer": { "name": "sgd", "momentum": 0.9 }, "budget": { "epochs": 3 }, "warmup": 0.1
        });
        merge(&mut value, &json!({ "optimizer": { "momentum": 0.8 }, "budget": { "steps": 9 } }));
        assert_eq!(
            value,
            json!({
                "optimizer": { "name": "sgd", "momentum": 0.8 }, "budget": { "steps": 9 }, "warmup": 0.1
            })
        );
        merge(&mut value, &json!({ "optimizer": { "name": "adamw" } }));
        assert_eq!(value["optimizer"], json!({ "name": "adamw" }));
    }

    #[test]
    fn null_takes_a_key_away() {
        let mut value =
            json!({ "clip_norm": 1.0, "optimizer": { "name": "sgd", "momentum": 0.9 } });
        merge(&mut value, &json!({ "clip_norm": null, "optimizer": { "momentum": null } }));
        assert_eq!(value, json!({ "optimizer": { "name": "sgd" } }));
        merge(
            &mut value,
            &json!({ "optimizer": { "name": "adamw", "beta1": null }, "budget": null }),
        );
        assert_eq!(value, json!({ "optimizer": { "name": "adamw" } }));
    }
}
