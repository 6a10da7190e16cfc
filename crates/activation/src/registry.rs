//! The activations that are linked into the program, collected by `inventory`.

use crate::activation::Registrable;
use crate::error::nearest;
use crate::{Activation, ActivationRequest, BuildError, Parameter, Parameters};
use std::sync::Arc;

/// What a plugin registers: everything that can be known of an activation without building it.
#[derive(Debug)]
pub struct Registration {
    /// Name in experiment files and tables.
    pub name: &'static str,
    /// Other names that mean the same.
    pub aliases: &'static [&'static str],
    /// Names of the activation with certain hyper-parameters, and what each stands for.
    pub variants: &'static [(&'static str, &'static str)],
    /// `pointwise` or `gated`.
    pub kind: &'static str,
    /// The formula, in LaTeX without delimiters.
    pub latex: &'static str,
    /// Where the formula is from.
    pub citation: &'static str,
    /// Hyper-parameters.
    pub parameters: &'static [Parameter],
    /// Package that registers it.
    pub package: &'static str,
    defaults: fn() -> Parameters,
    build: Build,
}

/// Builds an activation from all of its hyper-parameters.
type Build = fn(&'static Registration, Parameters) -> Result<Arc<dyn Activation>, BuildError>;

inventory::collect!(Registration);

impl Registration {
    /// The entry for `T`; called by [`register!`](crate::register).
    #[doc(hidden)]
    #[must_use]
    pub const fn of<T: Registrable<K>, K>(package: &'static str) -> Self {
        Self {
            name: T::NAME,
            aliases: T::ALIASES,
            variants: T::VARIANTS,
            kind: T::KIND,
            latex: T::LATEX,
            citation: T::CITATION,
            parameters: T::PARAMETERS,
            package,
            defaults: T::defaults,
            build: T::build,
        }
    }

    /// Hyper-parameters at their defaults.
    #[must_use]
    pub fn defaults(&self) -> Parameters {
        (self.defaults)()
    }

    /// Checks `given` against the declared parameters and builds the activation.
    ///
    /// # Errors
    /// If a parameter is unknown, of the wrong type or out of range.
    pub fn build(&'static self, given: &Parameters) -> Result<Arc<dyn Activation>, BuildError> {
        let mut parameters = self.defaults();
        for (name, value) in given {
            let Some(parameter) = self.parameters.iter().find(|parameter| parameter.name == name)
            else {
                let known: Vec<_> =
                    self.parameters.iter().map(|parameter| parameter.name).collect();
                return Err(BuildError::UnknownParameter {
                    activation: self.name,
                    parameter: name.clone(),
                    nearest: nearest(name, known.iter().copied()),
                    known,
                });
            };
            let (activation, domain) = (self.name, parameter.domain);
            let parameter = parameter.name;
            if !domain.has_type(value) {
                let value = value.clone();
                return Err(BuildError::WrongType { activation, parameter, value, domain });
            }
            if !domain.contains(value) {
                let value = value.clone();
                return Err(BuildError::OutOfRange { activation, parameter, value, domain });
            }
            parameters.insert(name.clone(), domain.canonical(value));
        }
        (self.build)(self, parameters)
    }
}

/// Makes the activation available to every program that links this crate.
///
/// Takes a type that implements [`Formula`](crate::Formula) or [`GatedFormula`](crate::GatedFormula).
#[macro_export]
macro_rules! register {
    ($formula:ty) => {
        $crate::reexport::inventory::submit! {
            $crate::Registration::of::<$formula, _>(env!("CARGO_PKG_NAME"))
        }
    };
}

/// Every registered activation, by name.
#[must_use]
pub fn all() -> Vec<&'static Registration> {
    let mut all: Vec<_> = inventory::iter::<Registration>().collect();
    all.sort_by_key(|registration| registration.name);
    all
}

/// The activation called `name`, or with that alias, or one of whose variants that is; `-` counts as `_`, and case
/// does not matter.
///
/// # Errors
/// If none is; the error lists the nearest names and all of them.
pub fn find(name: &str) -> Result<&'static Registration, BuildError> {
    resolve(name).map(|(entry, _)| entry)
}

/// The activation called `name`, as [`find`] has it, and what the name stands for where it is one of a variant.
fn resolve(name: &str) -> Result<(&'static Registration, Option<&'static str>), BuildError> {
    let wanted = name.trim().to_lowercase().replace('-', "_");
    let all = all();
    // A name goes before another's alias, and that before a variant.
    if let Some(entry) = all
        .iter()
        .find(|entry| entry.name == wanted)
        .or_else(|| all.iter().find(|entry| entry.aliases.contains(&wanted.as_str())))
    {
        return Ok((entry, None));
    }
    let variant = all.iter().find_map(|entry| {
        let (_, meaning) = entry.variants.iter().find(|(variant, _)| *variant == wanted)?;
        Some((*entry, Some(*meaning)))
    });
    variant.ok_or_else(|| {
        // Of each activation the one name that looks most like it.
        let names = all.iter().filter_map(|entry| {
            let variants = entry.variants.iter().map(|(variant, _)| variant);
            let names = std::iter::once(&entry.name).chain(entry.aliases).chain(variants);
            nearest(&wanted, names.copied()).first().copied()
        });
        BuildError::UnknownName {
            name: name.to_owned(),
            nearest: nearest(&wanted, names),
            known: all.iter().map(|entry| entry.name).collect(),
        }
    })
}

/// Builds the activation that `request` asks for. Hyper-parameters that stand beside the name of a variant are added
/// to its own.
///
/// # Errors
/// If its name or a parameter is unknown, or a value is of the wrong type or out of range, or contradicts the
/// variant.
pub fn build(request: &ActivationRequest) -> Result<Arc<dyn Activation>, BuildError> {
    let (entry, meaning) = resolve(&request.name)?;
    let Some(meaning) = meaning else { return entry.build(&request.parameters) };
    let plugin = |reason: String| BuildError::Plugin { activation: entry.name, reason };
    let meant: ActivationRequest = meaning.parse().map_err(|error| plugin(format!("{error}")))?;
    let mut parameters = meant.parameters;
    for (parameter, value) in &request.parameters {
        let own = parameters.entry(parameter.clone()).or_insert_with(|| value.clone());
        if own != value {
            return Err(BuildError::Variant {
                variant: request.name.clone(),
                meaning,
                parameter: parameter.clone(),
            });
        }
    }
    entry.build(&parameters)
}
