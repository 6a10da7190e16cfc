//! The activations that are linked into the program, collected by `inventory`.

use crate::activation::Learned;
use crate::body::{Body, Graphs, MOST_NUMBERS};
use crate::card;
use crate::error::nearest;
use crate::graph::Trace;
use crate::learning::{KEYS, LEARN, Learning};
use crate::{
    Activation, ActivationRequest, BuildError, Domain, Formula, GatedFormula, Numbers, Parameter,
    Parameters, TextFormula,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

/// What can be known of an activation without building it.
#[derive(Debug)]
pub struct Registration {
    /// Name in experiment files and tables.
    pub name: String,
    /// Other names that mean the same.
    pub aliases: Vec<String>,
    /// Names of the activation with certain hyper-parameters, and what each stands for.
    pub variants: Vec<(String, String)>,
    /// `pointwise` or `gated`.
    pub kind: &'static str,
    /// The formula, in LaTeX without delimiters.
    pub latex: String,
    /// Where the formula is from.
    pub citation: String,
    /// Hyper-parameters.
    pub parameters: Vec<Parameter>,
    /// Package that registers it; empty for a formula of an experiment.
    pub package: String,
    /// What its card says beside.
    pub card: card::Notes,
    /// What is learned where the user says nothing.
    pub learning: Learning,
    pub(crate) source: Source,
}

/// Where the formula is.
pub(crate) enum Source {
    /// In Rust. What it needs are the choices, and the numbers by their places.
    Compiled {
        choices: Parameters,
        body: fn(&Parameters, &[f64]) -> Result<Body, String>,
        graphs: fn(&Parameters) -> Result<Graphs, String>,
    },
    /// As text, with the text of the nonlinearity of one input where it is another than that of a value of 1.
    Text { formula: Box<TextFormula>, alone: Option<TextFormula> },
    /// Nowhere: its card is wrong.
    Broken { file: String, reason: String },
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Compiled { .. } => f.write_str("compiled"),
            Self::Text { formula, .. } => f.write_str(formula.text()),
            Self::Broken { reason, .. } => f.write_str(reason),
        }
    }
}

/// What `inventory` collects: something that makes registrations when they are first asked for.
#[derive(Debug)]
pub struct Entry {
    make: fn(&str) -> Vec<Registration>,
    package: &'static str,
}

inventory::collect!(Entry);

impl Entry {
    /// The entry of the formula `T`; called by [`register!`](crate::register).
    #[doc(hidden)]
    #[must_use]
    pub const fn of<T: Registrable<K>, K>(package: &'static str) -> Self {
        Self { make: |package| vec![T::registration(package)], package }
    }

    /// The entry of cards; called by [`register_cards!`](crate::register_cards).
    #[doc(hidden)]
    #[must_use]
    pub const fn of_cards(package: &'static str, make: fn(&str) -> Vec<Registration>) -> Self {
        Self { make, package }
    }
}

/// What [`register!`](crate::register) needs of a formula. `K` tells the kinds apart, and is inferred.
pub trait Registrable<K> {
    /// What is registered.
    fn registration(package: &str) -> Registration;
}

/// Marker of [`Formula`] for [`Registrable`].
#[derive(Debug)]
pub struct PointwiseKind;

/// Marker of [`GatedFormula`] for [`Registrable`].
#[derive(Debug)]
pub struct GatedKind;

fn choices_of<T: Default + Serialize>() -> Parameters {
    serde_json::to_value(T::default())
        .ok()
        .and_then(|value| serde_json::from_value(value).ok())
        .unwrap_or_default()
}

fn formula<T: DeserializeOwned>(choices: &Parameters) -> Result<T, String> {
    let map = choices.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    serde_json::from_value(Value::Object(map)).map_err(|error| error.to_string())
}

/// Refuses numbers that are declared otherwise than the formula takes them.
fn counted<N: Numbers<f64>>(parameters: &[Parameter], numbers: &[f64]) -> Result<(), String> {
    let declared = parameters.iter().filter(|parameter| parameter.domain.is_number()).count();
    if declared != N::COUNT || numbers.len() != N::COUNT {
        return Err(format!("PARAMETERS has {declared} numbers, `Numbers` has {}", N::COUNT));
    }
    if declared > MOST_NUMBERS {
        return Err(format!("{declared} numbers; at most {MOST_NUMBERS} are supported"));
    }
    Ok(())
}

macro_rules! registrable {
    ($formula:ident, $marker:ident, $kind:literal, $body:ident, $graphs:ident) => {
        impl<T: $formula> Registrable<$marker> for T {
            fn registration(package: &str) -> Registration {
                let owned = |name: &&str| (*name).to_owned();
                Registration {
                    name: T::NAME.to_owned(),
                    aliases: T::ALIASES.iter().map(owned).collect(),
                    variants: T::VARIANTS.iter().map(|(a, b)| (owned(a), owned(b))).collect(),
                    kind: $kind,
                    latex: T::LATEX.to_owned(),
                    citation: T::CITATION.to_owned(),
                    parameters: T::PARAMETERS.to_vec(),
                    package: package.to_owned(),
                    card: T::NOTES.into(),
                    learning: Learning::nothing(),
                    source: Source::Compiled {
                        choices: choices_of::<T>(),
                        body: |choices, numbers| {
                            counted::<T::Numbers<f64>>(T::PARAMETERS, numbers)?;
                            Ok(Body::$body(formula::<T>(choices)?, numbers))
                        },
                        graphs: |choices| Ok(Graphs::$graphs(&formula::<T>(choices)?)),
                    },
                }
            }
        }
    };
}

registrable!(Formula, PointwiseKind, "pointwise", of_formula, of_formula);
registrable!(GatedFormula, GatedKind, "gated", of_gated, of_gated);

/// Key of the text of a formula.
pub(crate) const FORMULA: &str = "formula";

impl Registration {
    /// That of `formula` as an experiment gives it, called `name`, with the values of its parameters.
    pub(crate) fn of_text(
        name: String,
        formula: TextFormula,
        given: &Parameters,
    ) -> Result<Self, BuildError> {
        let names: Vec<&str> = formula.parameters().collect();
        let known: Vec<&str> = given.keys().map(String::as_str).collect();
        let mut parameters = Vec::new();
        for name in &names {
            let Some(value) = given.get(*name) else {
                return Err(formula.without_value(name, &known).into());
            };
            let default = value.as_f64().unwrap_or(f64::NAN);
            let domain = Domain::Number { default, min: f64::NEG_INFINITY, max: f64::INFINITY };
            let name = (*name).to_owned();
            parameters.push(Parameter { name: name.into(), domain, help: "".into() });
        }
        let other = |key: &&String| {
            !names.contains(&key.as_str()) && !KEYS.contains(&key.as_str()) && *key != FORMULA
        };
        if let Some(parameter) = given.keys().find(other) {
            let near = nearest(parameter, names.iter().copied().chain(KEYS));
            return Err(BuildError::NotInFormula {
                formula: formula.text().to_owned(),
                parameter: parameter.clone(),
                nearest: near.into_iter().map(str::to_owned).collect(),
            });
        }
        Ok(Self {
            name,
            aliases: Vec::new(),
            variants: Vec::new(),
            kind: if formula.is_gated() { "gated" } else { "pointwise" },
            latex: String::new(),
            citation: String::new(),
            parameters,
            package: String::new(),
            card: card::Notes::default(),
            learning: Learning::nothing(),
            source: Source::Text { formula: Box::new(formula), alone: None },
        })
    }

    /// What messages call it.
    pub(crate) fn called(&self) -> String {
        let is_unnamed = self.is_of_experiment() && self.name == FORMULA;
        let text = self.formula().filter(|_| is_unnamed);
        text.unwrap_or(&self.name).to_owned()
    }

    /// Its formula as text, where it has one.
    #[must_use]
    pub fn formula(&self) -> Option<&str> {
        match &self.source {
            Source::Text { formula, .. } => Some(formula.text()),
            Source::Compiled { .. } | Source::Broken { .. } => None,
        }
    }

    /// Whether it is a formula of an experiment, and not registered.
    #[must_use]
    pub fn is_of_experiment(&self) -> bool {
        self.package.is_empty()
    }

    /// Its hyper-parameters that are numbers.
    pub fn numbers(&self) -> impl Iterator<Item = &Parameter> {
        self.parameters.iter().filter(|parameter| parameter.domain.is_number())
    }

    /// Hyper-parameters at their defaults.
    #[must_use]
    pub fn defaults(&self) -> Parameters {
        let choices = match &self.source {
            Source::Compiled { choices, .. } => choices.clone(),
            Source::Text { .. } | Source::Broken { .. } => Parameters::new(),
        };
        let mut defaults = Parameters::new();
        for parameter in &self.parameters {
            let value = match parameter.domain {
                Domain::Number { default, .. } => Some(Value::from(default)),
                Domain::Choice(_) => choices.get(parameter.name.as_ref()).cloned(),
            };
            defaults.extend(value.map(|value| (parameter.name.to_string(), value)));
        }
        defaults
    }

    /// Names of the fields of its struct, which are its choices.
    pub(crate) fn fields(&self) -> Vec<String> {
        match &self.source {
            Source::Compiled { choices, .. } => choices.keys().cloned().collect(),
            Source::Text { .. } | Source::Broken { .. } => Vec::new(),
        }
    }

    /// The hyper-parameters with those that are `given`, each checked.
    fn with(&self, given: &Parameters) -> Result<Parameters, BuildError> {
        let mut parameters = self.defaults();
        for (name, value) in given {
            if KEYS.contains(&name.as_str()) {
                continue;
            }
            if name == FORMULA && self.is_of_experiment() {
                continue;
            }
            let Some(parameter) = self.parameters.iter().find(|parameter| parameter.name == *name)
            else {
                let known = self.parameters.iter().map(|parameter| parameter.name.as_ref());
                let owned = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect();
                return Err(BuildError::UnknownParameter {
                    activation: self.called(),
                    parameter: name.clone(),
                    nearest: owned(nearest(name, known.clone())),
                    known: known.map(str::to_owned).collect(),
                });
            };
            let (activation, domain) = (self.called(), parameter.domain);
            let (parameter, value) = (parameter.name.to_string(), value.clone());
            if !domain.has_type(&value) {
                return Err(BuildError::WrongType { activation, parameter, value, domain });
            }
            if !domain.contains(&value) {
                return Err(BuildError::OutOfRange { activation, parameter, value, domain });
            }
            parameters.insert(parameter, domain.canonical(&value));
        }
        Ok(parameters)
    }

    fn choices(&self, parameters: &Parameters) -> Parameters {
        let is_choice = |name: &str| {
            let found = self.parameters.iter().find(|parameter| parameter.name == name);
            found.is_some_and(|parameter| !parameter.domain.is_number())
        };
        let choices = parameters.iter().filter(|(name, _)| is_choice(name));
        choices.map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    fn numbers_of<'a>(&'a self, parameters: &Parameters) -> Vec<(&'a Parameter, f64)> {
        let value = |name: &str| parameters.get(name).and_then(Value::as_f64).unwrap_or(f64::NAN);
        self.numbers().map(|number| (number, value(&number.name))).collect()
    }

    /// Its operations, with its numbers in their order.
    pub(crate) fn graphs(&self, parameters: &Parameters) -> Result<Graphs, BuildError> {
        let plugin = |reason| BuildError::Plugin { activation: self.name.clone(), reason };
        match &self.source {
            Source::Compiled { graphs, .. } => graphs(&self.choices(parameters)).map_err(plugin),
            Source::Text { formula, alone } => {
                let numbers: Vec<&str> =
                    self.numbers().map(|number| number.name.as_ref()).collect();
                let graph = self.of_card(formula.graph(&numbers))?;
                if !formula.is_gated() {
                    return Ok(Graphs { alone: graph, gated: None });
                }
                let one = match alone {
                    Some(alone) => self.of_card(alone.graph(&numbers))?,
                    None => graph.with_value_of_one(numbers.len()),
                };
                Ok(Graphs { alone: one, gated: Some(graph) })
            }
            Source::Broken { file, reason } => Err(BuildError::Card {
                name: self.name.clone(),
                file: file.clone(),
                reason: reason.clone(),
            }),
        }
    }

    /// An error in a card's formula names the card.
    fn of_card<T>(&self, result: Result<T, crate::FormulaError>) -> Result<T, BuildError> {
        result.map_err(|error| match &self.card.file {
            Some(file) => BuildError::Card {
                name: self.name.clone(),
                file: file.clone(),
                reason: error.to_string(),
            },
            None => error.into(),
        })
    }
}

/// Builds `registration` with the parameters that are `given`, and defaults for the others.
///
/// # Errors
/// If a parameter is unknown, of the wrong type, or out of range, or the formula is wrong.
pub fn build_registered(
    registration: &Arc<Registration>,
    given: &Parameters,
) -> Result<Arc<Activation>, BuildError> {
    let mut parameters = registration.with(given)?;
    let learning = Learning::of(registration, given)?;
    let numbers = registration.numbers_of(&parameters);
    let values: Vec<f64> = numbers.iter().map(|(_, value)| *value).collect();
    let plugin = |reason| BuildError::Plugin { activation: registration.name.clone(), reason };
    let body = match &registration.source {
        Source::Compiled { body, .. } => {
            body(&registration.choices(&parameters), &values).map_err(plugin)?
        }
        Source::Text { .. } | Source::Broken { .. } => {
            Body::of_graphs(&registration.graphs(&parameters)?, &values)
        }
    };
    let label = crate::activation::label(registration, &parameters, &learning);
    if registration.is_of_experiment()
        && let Some(text) = registration.formula()
    {
        parameters.insert(FORMULA.to_owned(), text.into());
    }
    let learned = match learning.names.as_slice() {
        [] => None,
        _ => Some(Learned::new(&registration.graphs(&parameters)?, &numbers, &learning)),
    };
    learning.write(registration, &mut parameters);
    Ok(Arc::new(Activation::new(registration, parameters, label, body, learned)))
}

/// What a call of a registered activation in a formula is: its nonlinearity of `x`, with the parameters that are given.
/// Numbers that the activation learns by itself must be among these: inside a formula they would be constants.
pub(crate) fn call<'r>(
    name: &str,
    x: Trace<'r>,
    given: &[(&str, Trace<'r>)],
) -> Result<Trace<'r>, String> {
    let (entry, meaning) = resolve(name).map_err(|error| error.to_string())?;
    if entry.kind == "gated" {
        return Err(format!("`{name}` is gated: write its formula with `gate` and `value`"));
    }
    let fixed = match meaning {
        Some(meaning) => {
            let meant: ActivationRequest = meaning.parse().map_err(|error| format!("{error}"))?;
            meant.parameters
        }
        None => Parameters::new(),
    };
    let parameters = entry.with(&fixed).map_err(|error| error.to_string())?;
    let graphs = entry.graphs(&parameters).map_err(|error| error.to_string())?;
    let known: Vec<&str> = entry.numbers().map(|number| number.name.as_ref()).collect();
    if let Some((wrong, _)) = given.iter().find(|(parameter, _)| !known.contains(parameter)) {
        let near = crate::did_you_mean(&nearest(wrong, known.iter().copied()));
        return Err(format!("`{name}` has no number `{wrong}`{near}"));
    }
    let learned = match meaning {
        Some(_) => Learning::of(entry, &fixed).map_err(|error| error.to_string())?,
        None => entry.learning.clone(),
    };
    let values = entry.numbers_of(&parameters);
    if learned.names.iter().any(|learned| given.iter().all(|(name, _)| name != learned)) {
        return Err(learns_nothing_here(name, &learned, &values));
    }
    let number = |(number, value): (&Parameter, f64)| {
        let found = given.iter().find(|(name, _)| *name == number.name);
        found.map_or_else(|| crate::Algebra::constant(&x, value), |(_, value)| *value)
    };
    let numbers: Vec<Trace<'r>> = values.into_iter().map(number).collect();
    Ok(graphs.alone.eval(std::slice::from_ref(&x), &numbers))
}

/// That numbers of the activation `name` do not learn inside a formula, and what can be written.
fn learns_nothing_here(name: &str, learned: &Learning, values: &[(&Parameter, f64)]) -> String {
    let of_learned = |(number, value): &(&Parameter, f64)| {
        let is_learned = learned.names.iter().any(|learned| *learned == number.name);
        is_learned.then(|| (number.name.to_string(), *value))
    };
    let learned: Vec<(String, f64)> = values.iter().filter_map(of_learned).collect();
    let listed = |write: fn(&(String, f64)) -> String| {
        learned.iter().map(write).collect::<Vec<String>>().join(", ")
    };
    let constants = listed(|(number, value)| format!("{number}={value}"));
    let passed = listed(|(number, _)| format!("{number}={number}"));
    let names: Vec<&str> = learned.iter().map(|(number, _)| number.as_str()).collect();
    format!(
        "`{name}` learns {}, but numbers of a function inside a formula do not learn: write `{name}(x, {constants})` for \
         constants, or `{name}(x, {passed})` with `where {constants}, learn={}` at the end of the formula",
        names.join(", "),
        names.join("+"),
    )
}

/// Registers a [`Formula`] or [`GatedFormula`] under its name.
#[macro_export]
macro_rules! register {
    ($formula:ty) => {
        $crate::reexport::inventory::submit! {
            $crate::Entry::of::<$formula, _>(env!("CARGO_PKG_NAME"))
        }
    };
}

/// Registers the cards in a list of pairs of file names and texts.
#[macro_export]
macro_rules! register_cards {
    ($cards:expr) => {
        $crate::reexport::inventory::submit! {
            $crate::Entry::of_cards(env!("CARGO_PKG_NAME"), |package| {
                $crate::card::registrations(package, $cards)
            })
        }
    };
}

struct Registry {
    /// By name.
    all: Vec<Arc<Registration>>,
    /// Name, alias and variant to the place of the activation, and what a variant stands for.
    names: HashMap<String, (usize, Option<String>)>,
}

fn registry() -> &'static Registry {
    static REGISTRY: OnceLock<Registry> = OnceLock::new();
    REGISTRY.get_or_init(|| {
        let entries = inventory::iter::<Entry>();
        let mut all: Vec<Arc<Registration>> =
            entries.flat_map(|entry| (entry.make)(entry.package)).map(Arc::new).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        let mut names = HashMap::new();
        // A name goes before another's alias, and that before a variant.
        for (place, entry) in all.iter().enumerate() {
            names.entry(entry.name.clone()).or_insert((place, None));
        }
        for (place, entry) in all.iter().enumerate() {
            for alias in &entry.aliases {
                names.entry(alias.clone()).or_insert((place, None));
            }
        }
        for (place, entry) in all.iter().enumerate() {
            for (variant, meaning) in &entry.variants {
                names.entry(variant.clone()).or_insert((place, Some(meaning.clone())));
            }
        }
        Registry { all, names }
    })
}

/// Every registered activation, by name.
#[must_use]
pub fn all() -> &'static [Arc<Registration>] {
    &registry().all
}

/// The activation of that name, alias or variant; case and `-` for `_` do not matter.
///
/// # Errors
/// If there is none.
pub fn find(name: &str) -> Result<&'static Arc<Registration>, BuildError> {
    resolve(name).map(|(entry, _)| entry)
}

/// An activation, and what `name` stands for if it is a variant.
fn resolve(name: &str) -> Result<(&'static Arc<Registration>, Option<&'static str>), BuildError> {
    let wanted = name.trim().to_lowercase().replace('-', "_");
    let registry = registry();
    if let Some((place, meaning)) = registry.names.get(&wanted) {
        return Ok((&registry.all[*place], meaning.as_deref()));
    }
    // Of each activation the one name that looks most like it.
    let names = registry.all.iter().filter_map(|entry| {
        let variants = entry.variants.iter().map(|(variant, _)| variant);
        let names = std::iter::once(&entry.name).chain(&entry.aliases).chain(variants);
        nearest(&wanted, names.map(String::as_str)).first().copied()
    });
    Err(BuildError::UnknownName {
        name: name.to_owned(),
        nearest: nearest(&wanted, names).into_iter().map(str::to_owned).collect(),
        known: registry.all.iter().map(|entry| entry.name.clone()).collect(),
    })
}

/// The activation that `request` asks for.
///
/// # Errors
/// If the name is unknown, a parameter is unknown, of the wrong type or out of range, or the formula is wrong.
pub fn build(request: &ActivationRequest) -> Result<Arc<Activation>, BuildError> {
    if let Some(text) = request.formula() {
        if request.name != FORMULA && find(&request.name).is_ok() {
            return Err(BuildError::TakenName(request.name.clone()));
        }
        let formula = TextFormula::parse(text)?;
        let name = request.name.clone();
        let registration = Registration::of_text(name, formula, &request.parameters)?;
        return build_registered(&Arc::new(registration), &request.parameters);
    }
    let (entry, meaning) = resolve(&request.name)?;
    let Some(meaning) = meaning else { return build_registered(entry, &request.parameters) };
    let plugin = |reason: String| BuildError::Plugin { activation: entry.name.clone(), reason };
    let meant: ActivationRequest = meaning.parse().map_err(|error| plugin(format!("{error}")))?;
    let mut parameters = meant.parameters;
    for (parameter, value) in &request.parameters {
        let own = parameters.entry(parameter.clone()).or_insert_with(|| value.clone());
        // Where a learned number begins is not what the variant is about.
        let begins = parameters_learn(meaning) && parameter != LEARN;
        if own != value && !begins {
            return Err(BuildError::Variant {
                variant: request.name.clone(),
                meaning: meaning.to_owned(),
                parameter: parameter.clone(),
            });
        }
        parameters.insert(parameter.clone(), value.clone());
    }
    build_registered(entry, &parameters)
}

/// Whether a variant is one that learns.
fn parameters_learn(meaning: &str) -> bool {
    meaning.contains(LEARN)
}
