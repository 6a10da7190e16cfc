//! What a task's values must be, by the schema of experiment files: so a wrong one is named with its key, which serde
//! loses within a table that takes one of several forms.

use super::schema::SCHEMA;
use super::words;
use serde_json::Value;

/// Keys whose value says which form a table has.
const TAGS: [&str; 2] = ["name", "policy"];

/// The first value in `part`, a task or a part of one, that is not of its kind: its key, and what would be right.
///
/// Keys that are absent are no fault, and whether a number is in range is checked elsewhere.
pub(crate) fn fault(part: &Value) -> Option<(String, String)> {
    walk(&SCHEMA["$defs"]["Task"], part, "")
}

/// The same for an experiment, or a part of one.
pub(super) fn fault_of_experiment(part: &Value) -> Option<(String, String)> {
    walk(&SCHEMA, part, "")
}

/// The forms that `node` allows, with references followed.
fn forms(node: &'static Value) -> Vec<&'static Value> {
    if let Some(name) = node["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/")) {
        return forms(&SCHEMA["$defs"][name]);
    }
    match node["oneOf"].as_array().or_else(|| node["anyOf"].as_array()) {
        Some(inner) => inner.iter().flat_map(forms).collect(),
        None => vec![node],
    }
}

fn is_type(form: &Value, name: &str) -> bool {
    form["type"] == *name
        || form["type"].as_array().is_some_and(|names| names.iter().any(|own| own == name))
}

fn walk(node: &'static Value, value: &Value, path: &str) -> Option<(String, String)> {
    // It takes the key away.
    if value.is_null() {
        return None;
    }
    let forms = forms(node);
    let tables: Vec<&Value> = forms.iter().copied().filter(|one| is_type(one, "object")).collect();
    let at = |message: String| Some((path.to_owned(), message));
    if let (Value::Object(given), false) = (value, tables.is_empty()) {
        return table(&tables, given, path);
    }
    if let (Value::Array(items), Some(kind)) =
        (value, forms.iter().find_map(|form| form.get("items")))
    {
        let of = |(i, item)| walk(kind, item, &format!("{path}[{i}]"));
        return items.iter().enumerate().find_map(of);
    }
    let scalar = |form: &&Value| !is_type(form, "object") && !is_type(form, "null");
    if !tables.is_empty() && !forms.iter().copied().any(|form| scalar(&form)) {
        return at(wanted_table(&tables, value, path));
    }
    let words: Vec<&str> = forms.iter().flat_map(|form| words_of(form)).collect();
    if !words.is_empty() {
        let right = value.as_str().is_some_and(|word| words.contains(&word));
        let shown = words::shown(value);
        return if right {
            None
        } else {
            at(format!("must be one of {}, not {shown}", words.join(", ")))
        };
    }
    let kinds: [(&str, bool, &str); 5] = [
        ("integer", value.is_u64(), "a whole number of 0 or more"),
        ("number", value.is_number(), "a number"),
        ("boolean", value.is_boolean(), "true or false"),
        ("string", value.is_string(), "text"),
        ("array", value.is_array(), "a list"),
    ];
    let of = |name: &str| forms.iter().any(|form| is_type(form, name));
    let known: Vec<_> = kinds.iter().filter(|(name, ..)| of(name)).collect();
    if known.is_empty() || known.iter().any(|(_, right, _)| *right) {
        return None;
    }
    at(format!("must be {}, not {}", known[0].2, words::shown(value)))
}

/// Words of a form that is one, or one of several.
fn words_of(form: &'static Value) -> Vec<&'static str> {
    let listed = form["enum"].as_array().map(Vec::as_slice).unwrap_or_default();
    form["const"].as_str().into_iter().chain(listed.iter().filter_map(Value::as_str)).collect()
}

/// The names of forms that have one each.
fn names(tables: &[&'static Value]) -> Vec<&'static str> {
    tables.iter().filter_map(|form| words_of(tag(form)?.1).first().copied()).collect()
}

/// The key that says which form a table has, with its schema.
fn tag(form: &'static Value) -> Option<(&'static str, &'static Value)> {
    let of = |key: &&'static str| {
        Some((*key, &form["properties"][*key])).filter(|(_, one)| !words_of(one).is_empty())
    };
    TAGS.iter().find_map(of)
}

fn keys(form: &'static Value) -> impl Iterator<Item = &'static str> {
    form["properties"].as_object().into_iter().flat_map(|all| all.keys().map(String::as_str))
}

/// What a value is called whose key is the last of `path`.
fn last(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

/// What the value of a key is called.
fn noun(key: &str) -> &str {
    if key == "data" { "data set" } else { key }
}

/// A question that names what looks like a wrong word.
fn hint(word: &str, right: &[&str]) -> String {
    activation::did_you_mean(&activation::nearest(word, right.iter().copied()))
}

fn wanted_table(tables: &[&'static Value], value: &Value, path: &str) -> String {
    let key = last(path);
    let names = names(tables);
    let named = keys(tables[0]).any(|key| key == "name");
    match value.as_str() {
        Some(word) if names.contains(&word) => {
            format!(
                "\"{word}\" is the name of {} {}: write {key}.name, one of {}",
                article(key),
                noun(key),
                names.join(", ")
            )
        }
        Some(word) if !names.is_empty() => format!(
            "there is no {} `{}`{}; write {key}.name, one of {}",
            noun(key),
            word.escape_debug(),
            hint(word, &names),
            names.join(", ")
        ),
        Some(word) if named => {
            format!("must be a table: write {key}.name for \"{}\"", word.escape_debug())
        }
        _ => {
            let mut all: Vec<&str> = tables.iter().flat_map(|form| keys(form)).collect();
            all.sort_unstable();
            all.dedup();
            format!("must be a table with keys of {}, not {}", all.join(", "), words::shown(value))
        }
    }
}

fn article(word: &str) -> &'static str {
    if word.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }
}

fn table(
    tables: &[&'static Value],
    given: &serde_json::Map<String, Value>,
    path: &str,
) -> Option<(String, String)> {
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    let names = names(tables);
    let mut fitting = tables.to_vec();
    let tag = tables.iter().find_map(|form| Some(tag(form)?.0)).unwrap_or("name");
    if let (Some(Value::String(name)), false) = (given.get(tag), names.is_empty()) {
        fitting.retain(|form| words_of(&form["properties"][tag]).contains(&name.as_str()));
        if fitting.is_empty() {
            let shown = name.escape_debug();
            let key = last(path);
            let what = if tag == "name" { noun(key).to_owned() } else { format!("{key}.{tag}") };
            let hint = hint(name, &names);
            let message =
                format!("there is no {what} `{shown}`{hint}; there are {}", names.join(", "));
            return Some((below(tag), message));
        }
    }
    for (key, value) in given {
        let place = |form: &&'static Value| {
            form["properties"]
                .get(key)
                .or_else(|| form.get("additionalProperties").filter(|more| more.is_object()))
        };
        if fitting.iter().any(|form| place(form).is_none() && form["additionalProperties"] != false)
        {
            continue;
        }
        let places: Vec<&'static Value> = fitting.iter().filter_map(place).collect();
        if places.is_empty() {
            let mut all: Vec<&str> = fitting.iter().flat_map(|form| keys(form)).collect();
            all.sort_unstable();
            all.dedup();
            let form = match (given.get(tag), &fitting[..]) {
                (Some(Value::String(name)), [_]) if !names.is_empty() => format!("of {name}"),
                _ => "here".to_owned(),
            };
            let hint = hint(key, &all);
            let message = format!("is no key {form}{hint}; there are {}", all.join(", "));
            return Some((below(key), message));
        }
        // One form that takes the value is enough: which one it will be is not known.
        let faults: Vec<_> = places.iter().map(|place| walk(place, value, &below(key))).collect();
        if faults.iter().all(Option::is_some) {
            return faults.into_iter().flatten().next();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn faults_are_named_with_their_key() {
        let cases = [
            json!({ "training": { "optimizer": "sgd" } }),
            json!({ "training": { "optimizer": "adam" } }),
            json!({ "training": { "optimizer": { "name": "adam" } } }),
            json!({ "training": { "optimizer": { "name": "adamw", "momentum": 0.9 } } }),
            json!({ "training": { "optimizer": { "momentum": "high" } } }),
            json!({ "training": { "optimizer": 3 } }),
            json!({ "training": { "batch_size": "64" } }),
            json!({ "training": { "batch_size": 2.5 } }),
            json!({ "training": { "batch_size": -1 } }),
            json!({ "training": { "learning_rate": [0.1] } }),
            json!({ "training": { "budget": { "hours": 1 } } }),
            json!({ "training": { "budget": 3 } }),
            json!({ "training": { "schedule": "cosin" } }),
            json!({ "training": { "schedule": { "name": "cosine" } } }),
            json!({ "training": { "clip_norm": "no" } }),
            json!({ "training": { "lr": 1 } }),
            json!({ "training": { "site_statistics": { "examples": true } } }),
            json!({ "model": "resnet" }),
            json!({ "model": { "depth": "eight" } }),
            json!({ "data": "mnist" }),
            json!({ "data": { "augmentation": "flip" } }),
            json!({ "layers": 3 }),
            json!(3),
        ];
        let experiments = [
            json!({ "tune": { "early_stop": { "policy": "median", "first": "soon" } } }),
            json!({ "tune": { "early_stop": { "policy": "successive_halving", "eta": -1 } } }),
            json!({ "tune": { "early_stop": { "policy": "asha" } } }),
            json!({ "tune": { "trials": "many" } }),
            json!({ "tasks": { "a": { "training": { "warmup": "no" } } } }),
            json!({ "seeds": [1, -2] }),
            json!({ "seeds": 1 }),
            json!({ "overrides": [{ "set": {}, "tusk": "a" }] }),
            json!({ "wandb": { "tags": ["a", 3] } }),
            json!({ "jobs": "auto", "activations": ["gelu", { "name": "silu", "beta": 2 }], "baseline": "gelu" }),
            json!({ "tune": { "parameters": { "training.warmup": { "values": [0] } } } }),
        ];
        let words = |case: &Value, found: Option<(String, String)>| match found {
            Some((key, message)) => format!("{key}: {message}"),
            None => format!("{case} is right"),
        };
        let said: Vec<String> = cases
            .iter()
            .map(|case| words(case, fault(case)))
            .chain(experiments.iter().map(|case| words(case, fault_of_experiment(case))))
            .collect();
        insta::assert_snapshot!(said.join("\n"));
    }

    #[test]
    fn what_is_right_has_no_fault() {
        let right = [
            json!({ "training": { "optimizer": { "momentum": 0.9 }, "learning_rate": 1, "clip_norm": null } }),
            json!({ "training": { "budget": { "epochs": 3 }, "schedule": "cosine", "patience": 2 } }),
            json!({ "model": { "name": "bert", "size": "tiny", "dropout": 0 }, "data": { "train_limit": 5 } }),
            json!({ "training": { "divergence": { "ratio": 2.0 } } }),
            json!({}),
        ];
        for part in right {
            assert_eq!(fault(&part), None, "{part}");
        }
    }
}
