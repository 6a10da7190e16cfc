//! The JSON schema of experiment files, assembled from what is registered.

use super::{DEFAULTS, Experiment};
use actlab_core::component::{self, Registration};
use actlab_core::{
    AugmentationRegistration, DatasetRegistration, ModelRegistration, ObjectiveRegistration,
    OptimizerRegistration, ScheduleRegistration,
};
use serde_json::{Map, Value, json};
use std::sync::LazyLock;

/// The schema, as JSON.
pub(super) static SCHEMA: LazyLock<Value> = LazyLock::new(assembled);

/// The JSON schema of experiment files.
pub(crate) fn schema() -> String {
    let mut text = serde_json::to_string_pretty(&*SCHEMA).unwrap_or_default();
    text.push('\n');
    text
}

fn assembled() -> Value {
    let mut schema = serde_json::to_value(schemars::schema_for!(Experiment)).unwrap_or_default();
    // Every key with a default may be left out.
    if let Some(required) = schema["required"].as_array_mut() {
        let given: toml::Table = toml::from_str(DEFAULTS).unwrap_or_default();
        required.retain(|key| !key.as_str().is_some_and(|key| given.contains_key(key)));
    }
    let mut definitions = Definitions(Map::new());
    let forms = [
        ("Task", "model", definitions.tables::<ModelRegistration>()),
        ("Task", "objective", definitions.names_or_tables::<ObjectiveRegistration>()),
        ("TrainingSpec", "optimizer", definitions.tables::<OptimizerRegistration>()),
        ("TrainingSpec", "schedule", definitions.names_or_tables::<ScheduleRegistration>()),
        ("DataSpec", "augmentation", definitions.names_or_tables::<AugmentationRegistration>()),
    ];
    for (part, key, forms) in forms {
        let property = &mut schema["$defs"][part]["properties"][key];
        let description = property["description"].take();
        let default = property.get("default").cloned();
        *property = json!({ "description": description, "oneOf": forms });
        if let Some(default) = default {
            property["default"] = default;
        }
    }
    // A data set has its own keys, and those that every one has.
    let common = schema["$defs"]["DataSpec"].take();
    let mut data = definitions.tables::<DatasetRegistration>();
    for form in &mut data {
        for (key, property) in common["properties"].as_object().into_iter().flatten() {
            if key != "name" {
                form["properties"][key] = property.clone();
            }
        }
        form["additionalProperties"] = false.into();
    }
    schema["$defs"]["DataSpec"] = json!({ "description": common["description"], "oneOf": data });
    if let Some(required) = schema["$defs"]["Task"]["required"].as_array_mut() {
        required.retain(|key| key != "objective");
    }
    if let Some(all) = schema["$defs"].as_object_mut() {
        all.extend(definitions.0);
    }
    schema
}

/// What the schemas of components refer to.
struct Definitions(Map<String, Value>);

impl Definitions {
    /// A table for each component of a kind.
    fn tables<R: Registration>(&mut self) -> Vec<Value> {
        component::all::<R>().into_iter().map(|one| self.table(one)).collect()
    }

    /// The names of those that need no parameter, and a table for each.
    fn names_or_tables<R: Registration>(&mut self) -> Vec<Value> {
        let all = component::all::<R>();
        let mut names: Vec<Value> = Vec::new();
        let mut forms: Vec<Value> = Vec::new();
        for one in all {
            let table = self.table(one);
            let required = table["required"].as_array().map_or(0, Vec::len);
            if required == 1 {
                let (name, about) = (one.entry().name, one.entry().about);
                names.push(json!({ "type": "string", "const": name, "description": about }));
            }
            forms.push(table);
        }
        names.into_iter().chain(forms).collect()
    }

    /// The table of one component.
    fn table<R: Registration>(&mut self, registration: &R) -> Value {
        let entry = registration.entry();
        // Two components may have a definition of one name.
        let own_prefix = format!("#/$defs/{}_{}_", R::KIND.replace(' ', "_"), entry.name);
        let text = serde_json::to_string(&entry.schema()).unwrap_or_default();
        let text = text.replace("#/$defs/", &own_prefix);
        let mut schema: Value = serde_json::from_str(&text).unwrap_or_default();
        let table = schema.as_object_mut();
        let Some(table) = table else { return schema };
        for key in ["$schema", "title"] {
            table.remove(key);
        }
        if let Some(Value::Object(own)) = table.remove("$defs") {
            let prefix = own_prefix.trim_start_matches("#/$defs/");
            self.0.extend(own.into_iter().map(|(name, part)| (format!("{prefix}{name}"), part)));
        }
        let name = if entry.aliases.is_empty() {
            json!({ "type": "string", "const": entry.name })
        } else {
            let names: Vec<&str> = [&[entry.name], entry.aliases].concat();
            json!({ "type": "string", "enum": names })
        };
        let mut properties = Map::from_iter([("name".to_owned(), name)]);
        if let Some(Value::Object(own)) = table.remove("properties") {
            properties.extend(own);
        }
        table.insert("properties".to_owned(), properties.into());
        let mut required = vec![Value::from("name")];
        if let Some(Value::Array(own)) = table.remove("required") {
            required.extend(own);
        }
        table.insert("required".to_owned(), required.into());
        schema
    }
}
