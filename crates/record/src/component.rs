//! A part of a spec that is chosen by name: a model, an optimizer, a schedule, a data set, an objective.

use indexmap::IndexMap;
use serde::de::{Error, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use std::fmt;

/// Key of a component's name.
const NAME: &str = "name";

/// The name of a registered component, and its parameters. In JSON and TOML it is one table,
/// `{ "name": "resnet", "depth": 20 }`; a name alone may stand for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Component {
    /// Registered name.
    pub name: String,
    /// Parameters by name; a resolved spec states all of them.
    pub parameters: IndexMap<String, Value>,
}

impl Component {
    /// The component called `name`, without parameters.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned(), parameters: IndexMap::new() }
    }

    /// The component with one more parameter.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.parameters.insert(key.to_owned(), value.into());
        self
    }

    /// The parameters as one JSON object.
    #[must_use]
    pub fn object(&self) -> Value {
        Value::Object(
            self.parameters.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
        )
    }
}

impl fmt::Display for Component {
    /// As in `resnet (depth 20, width 16)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        for (place, (key, value)) in self.parameters.iter().enumerate() {
            let before = if place == 0 { " (" } else { ", " };
            let key = key.replace('_', " ");
            match value {
                Value::String(text) => write!(f, "{before}{key} {text}")?,
                other => write!(f, "{before}{key} {other}")?,
            }
        }
        if self.parameters.is_empty() { Ok(()) } else { f.write_str(")") }
    }
}

impl Serialize for Component {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1 + self.parameters.len()))?;
        map.serialize_entry(NAME, &self.name)?;
        for (key, value) in &self.parameters {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Component {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Table;

        impl<'de> Visitor<'de> for Table {
            type Value = Component;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name, or a table with a `name`")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<Component, E> {
                Ok(Component::named(name))
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Component, M::Error> {
                let mut name = None;
                let mut parameters = IndexMap::new();
                while let Some(key) = map.next_key::<String>()? {
                    if key == NAME {
                        name = Some(map.next_value()?);
                    } else {
                        parameters.insert(key, map.next_value()?);
                    }
                }
                let name = name.ok_or_else(|| M::Error::missing_field(NAME))?;
                Ok(Component { name, parameters })
            }
        }

        deserializer.deserialize_any(Table)
    }
}

/// A component that is a plain text where it has no parameters, as `"cosine"`.
pub(crate) mod short {
    use super::Component;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        component: &Component,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        if component.parameters.is_empty() {
            return serializer.serialize_str(&component.name);
        }
        component.serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Component, D::Error> {
        Component::deserialize(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_is_one_table_or_a_name() {
        let json = r#"{"name":"resnet","depth":20,"width":16}"#;
        let component: Component = serde_json::from_str(json).unwrap();
        assert_eq!(component, Component::named("resnet").with("depth", 20).with("width", 16));
        assert_eq!(serde_json::to_string(&component).unwrap(), json);
        assert_eq!(component.to_string(), "resnet (depth 20, width 16)");
        let cosine: Component = serde_json::from_str("\"cosine\"").unwrap();
        assert_eq!(cosine, Component::named("cosine"));
        assert_eq!(cosine.to_string(), "cosine");
    }

    #[test]
    fn a_table_needs_a_name() {
        let error = serde_json::from_str::<Component>(r#"{"depth":20}"#).unwrap_err().to_string();
        assert!(error.starts_with("missing field `name`"), "{error}");
        let error = serde_json::from_str::<Component>("3").unwrap_err().to_string();
        assert!(error.contains("expected a name, or a table with a `name`"), "{error}");
    }
}
