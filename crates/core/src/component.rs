//! What can be chosen by name in an experiment: models, objectives, data sets, augmentations, optimizers, schedules.
//!
//! Each is a struct of parameters that implements [`Definition`] and the trait of its kind, and is handed to `inventory`
//! by a macro of that kind. It is found by its name, and nothing matches on names.

use crate::Error;
use record::Component;
use schemars::{JsonSchema, Schema};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::fmt::Debug;

/// A component with typed parameters; its fields are the keys of experiment files, and their docs are the docs of those.
pub trait Definition:
    Debug + Clone + Serialize + DeserializeOwned + JsonSchema + Send + Sync + 'static
{
    /// Name in experiment files.
    const NAME: &'static str;
    /// Other names that mean the same.
    const ALIASES: &'static [&'static str] = &[];
    /// What it is, in a line.
    const ABOUT: &'static str;
    /// Where it is from; empty where it needs no source.
    const CITATION: &'static str = "";

    /// Refuses parameters that make no sense.
    ///
    /// # Errors
    /// The key of the first one that is wrong, and what would be right.
    fn check(&self) -> Result<(), Error> {
        Ok(())
    }

    /// The component with its parameters in the words of a report, as in "SGD, momentum 0.9".
    fn words(&self) -> String;

    /// A short name for tables, as in `resnet-20`.
    fn label(&self) -> String {
        Self::NAME.to_owned()
    }
}

/// Everything that can be known of a component without its kind.
#[derive(Debug)]
pub struct Entry {
    /// Name in experiment files.
    pub name: &'static str,
    /// Other names that mean the same.
    pub aliases: &'static [&'static str],
    /// What it is, in a line.
    pub about: &'static str,
    /// Where it is from.
    pub citation: &'static str,
    /// Package that registers it.
    pub package: &'static str,
    schema: fn() -> Schema,
    /// The parameters, all stated.
    state: fn(&Component) -> Result<Map<String, Value>, Error>,
    describe: fn(&Component) -> Result<Description, Error>,
}

/// What a component without parameters takes.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NoParameters {}

/// A component in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Short name for tables.
    pub label: String,
    /// All of it, in the words of a report.
    pub words: String,
}

impl Entry {
    /// The entry of `D`, which `package` registers.
    #[must_use]
    pub const fn of<D: Definition>(package: &'static str) -> Self {
        Self {
            name: D::NAME,
            aliases: D::ALIASES,
            about: D::ABOUT,
            citation: D::CITATION,
            package,
            schema: || schemars::schema_for!(D),
            state: |component| {
                let given: D = typed(component)?;
                let stated = serde_json::to_value(&given);
                let stated = stated.map_err(|error| Error::spec("", error.to_string()))?;
                Ok(stated.as_object().cloned().unwrap_or_default())
            },
            describe: |component| {
                let given: D = parameters(component)?;
                Ok(Description { label: given.label(), words: given.words() })
            },
        }
    }

    /// The entry of a component called `name` that takes no parameters.
    #[must_use]
    pub const fn without_parameters(
        name: &'static str,
        about: &'static str,
        package: &'static str,
    ) -> Self {
        Self {
            name,
            aliases: &[],
            about,
            citation: "",
            package,
            schema: || schemars::schema_for!(NoParameters),
            state: |component| typed::<NoParameters>(component).map(|_| Map::new()),
            describe: |component| {
                let label = component.name.clone();
                Ok(Description { words: label.clone(), label })
            },
        }
    }

    /// JSON schema of its parameters.
    #[must_use]
    pub fn schema(&self) -> Schema {
        (self.schema)()
    }

    /// `component` under its registered name, with every parameter stated. Ranges are checked where it is built.
    ///
    /// # Errors
    /// If a parameter is unknown, or of the wrong type.
    pub fn resolve(&self, component: &Component) -> Result<Component, Error> {
        let parameters = (self.state)(component)?.into_iter().collect();
        Ok(Component { name: self.name.to_owned(), parameters })
    }

    /// `component` in words.
    ///
    /// # Errors
    /// If a parameter is unknown, of the wrong type or out of range.
    pub fn describe(&self, component: &Component) -> Result<Description, Error> {
        (self.describe)(component)
    }

    fn is_called(&self, name: &str) -> bool {
        self.name == name || self.aliases.contains(&name)
    }
}

/// What `inventory` collects of one kind.
pub trait Registration: inventory::Collect + Debug {
    /// The kind, as in `optimizer`.
    const KIND: &'static str;

    /// What is known of it without its kind.
    fn entry(&self) -> &Entry;
}

/// The parameters of `component` as `D`, checked.
///
/// # Errors
/// If one is unknown, of the wrong type or out of range.
pub fn parameters<D: Definition>(component: &Component) -> Result<D, Error> {
    let given: D = typed(component)?;
    given.check()?;
    Ok(given)
}

/// The parameters of `component` as `D`, whatever their range.
fn typed<D: DeserializeOwned>(component: &Component) -> Result<D, Error> {
    serde_path_to_error::deserialize(component.object()).map_err(|error| {
        let path = error.path().to_string();
        let key = if path == "." { String::new() } else { path };
        let reason = error.inner().to_string();
        let missing =
            reason.strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
        match missing {
            Some(field) => {
                let reason = format!("{} needs `{field}`, which is missing", component.name);
                Error::Spec { key, reason }
            }
            None => Error::Spec { key, reason },
        }
    })
}

/// Every component of a kind, by name.
#[must_use]
pub fn all<R: Registration>() -> Vec<&'static R> {
    let mut all: Vec<&'static R> = inventory::iter::<R>().collect();
    all.sort_by_key(|one| one.entry().name);
    all
}

/// The component called `name`, or with that alias.
///
/// # Errors
/// If none is; the error lists the nearest names and all of them.
pub fn find<R: Registration>(name: &str) -> Result<&'static R, Error> {
    let all = all::<R>();
    all.iter().find(|one| one.entry().is_called(name)).copied().ok_or_else(|| {
        let names = all.iter().flat_map(|one| {
            let entry = one.entry();
            std::iter::once(entry.name).chain(entry.aliases.iter().copied())
        });
        Error::UnknownComponent {
            kind: R::KIND,
            name: name.to_owned(),
            nearest: activation::nearest(name, names),
            known: all.iter().map(|one| one.entry().name).collect(),
        }
    })
}

/// `component` under its registered name, with every parameter stated. Ranges are checked where it is built.
///
/// # Errors
/// If its name or a parameter is unknown, or a value is of the wrong type.
pub fn resolve<R: Registration>(component: &Component) -> Result<Component, Error> {
    find::<R>(&component.name)?.entry().resolve(component)
}

/// `component` in words.
///
/// # Errors
/// As [`resolve`].
pub fn describe<R: Registration>(component: &Component) -> Result<Description, Error> {
    find::<R>(&component.name)?.entry().describe(component)
}

/// Makes a component of core's own kinds available to every program that links the crate that calls it.
#[macro_export]
macro_rules! register_component {
    ($registration:ident: $($definition:ty),+ $(,)?) => {
        $($crate::reexport::inventory::submit! {
            $crate::$registration::of::<$definition>(env!("CARGO_PKG_NAME"))
        })+
    };
}

/// A check of one number: its key, whether it is right, and what would be.
pub type Check = (&'static str, bool, &'static str);

/// The first check that fails, as an error.
///
/// # Errors
/// If there is one.
pub fn check_all<const N: usize>(checks: [Check; N]) -> Result<(), Error> {
    match checks.into_iter().find(|(_, right, _)| !right) {
        Some((key, _, reason)) => Err(Error::spec(key, reason)),
        None => Ok(()),
    }
}
