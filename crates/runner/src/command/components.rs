//! What can be chosen by name in an experiment, beside activations.

use crate::cli::ListKind;
use crate::console::{hanging, out, outln};
use actlab_core::component::{self, Entry, Registration};
use actlab_core::{
    AugmentationRegistration, DatasetRegistration, ModelRegistration, ObjectiveRegistration,
    OptimizerRegistration, ScheduleRegistration,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Shows the components of a kind other than activations.
pub(crate) fn list(kind: ListKind, as_json: bool) {
    let entries = match kind {
        ListKind::Models => entries::<ModelRegistration>(),
        ListKind::Objectives => entries::<ObjectiveRegistration>(),
        ListKind::Datasets => entries::<DatasetRegistration>(),
        ListKind::Augmentations => entries::<AugmentationRegistration>(),
        ListKind::Optimizers => entries::<OptimizerRegistration>(),
        ListKind::Schedules => entries::<ScheduleRegistration>(),
        ListKind::Sinks => return sinks(as_json),
        ListKind::Activations => Vec::new(),
    };
    if as_json {
        let entries: Vec<Value> = entries.into_iter().map(to_json).collect();
        outln!("{}", serde_json::to_string_pretty(&entries).unwrap_or_default());
        return;
    }
    let blocks: Vec<String> = entries.into_iter().map(block).collect();
    out!("{}", blocks.join("\n"));
}

fn entries<R: Registration>() -> Vec<&'static Entry> {
    component::all::<R>().into_iter().map(Registration::entry).collect()
}

/// Shows where runs can be logged.
fn sinks(as_json: bool) {
    let blocks = tracking::sinks().iter().map(|kind| {
        let schema = serde_json::to_value((kind.schema)()).unwrap_or_default();
        let parameters = parameters_of(&schema);
        if as_json {
            let parameters: Vec<Value> = parameters.into_iter().map(parameter_json).collect();
            let about = kind.description;
            return json!({ "name": kind.key, "about": about, "parameters": parameters });
        }
        let mut text = format!("{}\n  about       {}\n", kind.key, kind.description);
        parameters.into_iter().for_each(|one| text += &parameter_line(one));
        Value::String(text)
    });
    let blocks: Vec<Value> = blocks.collect();
    if as_json {
        outln!("{}", serde_json::to_string_pretty(&blocks).unwrap_or_default());
        return;
    }
    let blocks: Vec<&str> = blocks.iter().filter_map(Value::as_str).collect();
    out!("{}", blocks.join("\n"));
}

/// One parameter of a component.
struct Parameter {
    name: String,
    /// What a value must be.
    kind: String,
    /// What it is where nothing is said; absent where it must be given.
    default: Option<Value>,
    about: String,
}

fn parameters(entry: &Entry) -> Vec<Parameter> {
    parameters_of(&serde_json::to_value(entry.schema()).unwrap_or_default())
}

/// The parameters that a schema of a table has.
fn parameters_of(schema: &Value) -> Vec<Parameter> {
    let required: BTreeSet<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let properties = schema["properties"].as_object().into_iter().flatten();
    properties
        .map(|(name, property)| Parameter {
            name: name.clone(),
            kind: kind(schema, property),
            default: (!required.contains(name.as_str()))
                .then(|| property.get("default").cloned().unwrap_or_default()),
            about: one_line(property["description"].as_str().unwrap_or_default()),
        })
        .collect()
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What a value must be, by its schema.
fn kind(schema: &Value, property: &Value) -> String {
    let referred = property["$ref"].as_str().or_else(|| {
        let any = property["anyOf"].as_array()?;
        any.iter().find_map(|one| one["$ref"].as_str())
    });
    let property = match referred.and_then(|path| path.strip_prefix("#/$defs/")) {
        Some(name) => &schema["$defs"][name],
        None => property,
    };
    let words: Vec<&str> = match property["oneOf"].as_array() {
        Some(forms) => forms.iter().filter_map(|form| form["const"].as_str()).collect(),
        None => {
            property["enum"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
        }
    };
    if !words.is_empty() {
        return words.join(" | ");
    }
    let types = match &property["type"] {
        Value::Array(all) => all.iter().filter_map(Value::as_str).find(|one| *one != "null"),
        one => one.as_str(),
    };
    match types {
        Some("integer") => "whole number",
        Some("number") => "number",
        Some("boolean") => "true | false",
        Some("string") => "text",
        Some("array") => "list",
        _ => "value",
    }
    .to_owned()
}

fn to_json(entry: &Entry) -> Value {
    let parameters: Vec<Value> = parameters(entry).into_iter().map(parameter_json).collect();
    json!({
        "name": entry.name,
        "aliases": entry.aliases,
        "about": entry.about,
        "citation": entry.citation,
        "parameters": parameters,
        "package": entry.package,
    })
}

fn parameter_json(Parameter { name, kind, default, about }: Parameter) -> Value {
    json!({
        "name": name,
        "type": kind,
        "required": default.is_none(),
        "default": default,
        "help": about,
    })
}

fn parameter_line(Parameter { name, kind, default, about }: Parameter) -> String {
    let default = match default {
        None => ", required".to_owned(),
        Some(Value::Null) => String::new(),
        Some(Value::String(text)) => format!(" = {text}"),
        Some(value) => format!(" = {value}"),
    };
    hanging("  parameter   ", &format!("{name}{default}: {about} ({kind})"))
}

fn block(entry: &Entry) -> String {
    let mut text = entry.name.to_owned();
    if !entry.aliases.is_empty() {
        text += &format!(" (also {})", entry.aliases.join(", "));
    }
    text.push('\n');
    text += &hanging("  about       ", entry.about);
    parameters(entry).into_iter().for_each(|one| text += &parameter_line(one));
    if !entry.citation.is_empty() {
        text += &hanging("  source      ", entry.citation);
    }
    text + &format!("  package     {}\n", entry.package)
}
