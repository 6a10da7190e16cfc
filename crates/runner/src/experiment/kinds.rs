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
    let kinds: [(&str, bool, &str); 5] = [
        ("boolean", value.is_boolean(), "true or false"),
        ("string", value.is_string(), "text"),
        ("array", value.is_array(), "a list"),
        ("number", value.is_number(), "a number"),
        ("integer", value.is_u64(), "a whole number of 0 or more"),
    ];
    // The words of a form are all the text that it takes.
    let text = |form: &&'static Value| is_type(form, "string") && words_of(form).is_empty();
    let of = |name: &str| match name {
        "string" => forms.iter().any(text),
        _ => forms.iter().any(|form| is_type(form, name)),
    };
    let known: Vec<_> = kinds.iter().filter(|(name, ..)| of(name)).collect();
    let word = value.as_str();
    if known.iter().any(|(_, right, _)| *right) || word.is_some_and(|word| words.contains(&word)) {
        return None;
    }
    let mut wanted: Vec<String> = known.iter().map(|(.., name)| (*name).to_owned()).collect();
    match words[..] {
        [] => {}
        [one] => wanted.insert(0, format!("`{one}`")),
        _ => wanted.insert(0, format!("one of {}", words.join(", "))),
    }
    if wanted.is_empty() {
        return None;
    }
    // One of several words, or a table with more.
    if !tables.is_empty() && words.is_empty() {
        wanted.insert(0, "a table".to_owned());
    }
    let near = word.map(|word| hint(word, &words)).unwrap_or_default();
    at(format!("must be {}, not {}{near}", wanted.join(" or "), words::shown(value)))
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
        Some(word) if !names.is_empty() => {
            format!("{}: write {key}.name", unknown_name(noun(key), word, &names))
        }
        Some(word) if named => {
            format!("must be a table: write {key}.name for \"{}\"", word.escape_debug())
        }
        _ => {
            let mut all: Vec<&str> = tables.iter().flat_map(|form| keys(form)).collect();
            all.sort_unstable();
            all.dedup();
            let keys = match all.len() {
                1..=MOST_KEYS => format!(" with keys of {}", all.join(", ")),
                _ if !names.is_empty() => " with a `name`".to_owned(),
                _ => String::new(),
            };
            format!("must be a table{keys}, not {}", words::shown(value))
        }
    }
}

/// Keys of a table that a message lists at most.
const MOST_KEYS: usize = 8;

/// What is said of a `what` that is called as none of `names`.
fn unknown_name(what: &str, name: &str, names: &[&str]) -> String {
    let near = hint(name, names);
    let known = if near.is_empty() { format!("; known are {}", names.join(", ")) } else { near };
    format!("unknown {what} `{}`{known}", name.escape_debug())
}

/// What users of other tools call some keys.
const SYNONYMS: [(&str, &str); 22] = [
    ("activation", "activations"),
    ("batch", "batch_size"),
    ("bs", "batch_size"),
    ("dataset", "data"),
    ("early_stopping", "patience"),
    ("epoch", "budget.epochs"),
    ("epochs", "budget.epochs"),
    ("grad_clip", "clip_norm"),
    ("layers", "depth"),
    ("loss", "objective"),
    ("lr", "learning_rate"),
    ("lr_schedule", "schedule"),
    ("lr_scheduler", "schedule"),
    ("max_epochs", "budget.epochs"),
    ("max_steps", "budget.steps"),
    ("momentum", "optimizer.momentum"),
    ("network", "model"),
    ("optim", "optimizer"),
    ("scheduler", "schedule"),
    ("steps", "budget.steps"),
    ("warmup_steps", "warmup"),
    ("wd", "weight_decay"),
];

/// Parts of an experiment as headers have them, and what the schema calls them.
const PARTS: [(&str, &str); 4] = [
    ("[tasks.NAME]", "Task"),
    ("[tasks.NAME.training]", "TrainingSpec"),
    ("[tasks.NAME.data]", "DataSpec"),
    ("the experiment", ""),
];

/// What is said of a key that none of the tables `fitting` has, which `form` describes.
fn unknown_key(key: &str, form: &str, fitting: &[&'static Value]) -> String {
    let mut all: Vec<&str> = fitting.iter().flat_map(|form| keys(form)).collect();
    all.sort_unstable();
    all.dedup();
    let synonym = SYNONYMS.iter().find(|(other, own)| {
        let first = own.split('.').next().unwrap_or(own);
        *other == key && all.contains(&first)
    });
    let near = match synonym {
        Some((_, own)) => activation::did_you_mean(&[own]),
        None => hint(key, &all),
    };
    if !near.is_empty() {
        return format!("unknown key{near}");
    }
    let here = |node: &[&'static Value]| {
        node.iter().any(|one| fitting.iter().any(|own| std::ptr::eq(*one, *own)))
    };
    let has = |node: &'static Value| {
        let forms = forms(node);
        !here(&forms) && forms.iter().any(|form| keys(form).any(|own| own == key))
    };
    let schema = |name: &str| if name.is_empty() { &*SCHEMA } else { &SCHEMA["$defs"][name] };
    match PARTS.iter().find(|(_, name)| has(schema(name))) {
        Some((part, _)) => format!("unknown key here; it is a key of {part}"),
        None => format!("unknown key; the keys {form} are {}", all.join(", ")),
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
            let key = last(path);
            let what = if tag == "name" { noun(key) } else { tag };
            return Some((below(tag), unknown_name(what, name, &names)));
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
            let form = match (given.get(tag), &fitting[..]) {
                (Some(Value::String(name)), [_]) if !names.is_empty() => format!("of {name}"),
                _ => "here".to_owned(),
            };
            let message = unknown_key(key, &form, &fitting);
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
