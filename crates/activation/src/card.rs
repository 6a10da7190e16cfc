//! Activations as cards: TOML files with a formula as text and what is known of it.

use crate::learning::{Learning, Per};
use crate::registry::Source;
use crate::{Domain, Parameter, Registration, TextFormula};
use indexmap::IndexMap;
use serde::Deserialize;

/// What a card says beside formula, parameters and citation.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Notes {
    /// Name of the card's file.
    pub file: Option<String>,
    /// The name as people write it.
    pub title: Option<String>,
    /// Models and systems that use it.
    pub used_in: Option<String>,
    /// What overflows or cancels in it, and how the formula avoids that.
    pub traps: Option<String>,
    /// The function in PyTorch.
    pub pytorch: Option<String>,
    /// The gain of weights before it that its paper uses: their variance is gain² / fan-in.
    pub gain: Option<f64>,
    /// What it is the same as.
    pub identities: Vec<Identity>,
    /// Figures of papers.
    pub published: Vec<Published>,
}

/// What is known of an activation that is compiled, beside its formula: texts, which are empty where there is nothing to say.
#[derive(Debug, Clone, Copy, Default)]
pub struct StaticNotes {
    /// Models and systems that use it.
    pub used_in: &'static str,
    /// What overflows or cancels in it, and how the formula avoids that.
    pub traps: &'static str,
    /// The function in PyTorch.
    pub pytorch: &'static str,
    /// Figures of papers.
    pub published: &'static [StaticPublished],
}

/// A figure of a paper, as [`Published`].
#[derive(Debug, Clone, Copy)]
pub struct StaticPublished {
    /// Model and data.
    pub setting: &'static str,
    /// What was measured.
    pub figure: &'static str,
    /// The paper, and where in it.
    pub source: &'static str,
}

impl StaticNotes {
    /// Nothing.
    pub const NONE: Self = Self { used_in: "", traps: "", pytorch: "", published: &[] };
}

impl From<StaticNotes> for Notes {
    fn from(notes: StaticNotes) -> Self {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let published = notes.published.iter().map(|one| Published {
            setting: one.setting.to_owned(),
            figure: one.figure.to_owned(),
            source: one.source.to_owned(),
        });
        Self {
            used_in: text(notes.used_in),
            traps: text(notes.traps),
            pytorch: text(notes.pytorch),
            published: published.collect(),
            ..Self::default()
        }
    }
}

/// Two activations that are the same function.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// One of them, as a user would write it.
    pub this: String,
    /// The other.
    pub is: String,
    /// How far apart they may be.
    pub tolerance: f64,
}

/// A figure of a paper.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Published {
    /// Model and data.
    pub setting: String,
    /// What was measured.
    pub figure: String,
    /// The paper, and where in it.
    pub source: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Card {
    name: String,
    title: String,
    #[serde(default)]
    aliases: Vec<String>,
    formula: String,
    nonlinearity: Option<String>,
    latex: String,
    citation: String,
    used_in: Option<String>,
    traps: Option<String>,
    pytorch: Option<String>,
    gain: Option<f64>,
    #[serde(default)]
    learn: Vec<String>,
    #[serde(default)]
    per: Per,
    #[serde(default)]
    parameters: IndexMap<String, CardParameter>,
    #[serde(default)]
    identities: Vec<Identity>,
    #[serde(default)]
    published: Vec<Published>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CardParameter {
    default: f64,
    min: f64,
    max: f64,
    help: String,
}

/// The registrations of cards, which are pairs of file names and texts. One that is wrong is registered under the name of
/// its file, and says so when it is asked for.
#[doc(hidden)]
#[must_use]
pub fn registrations(package: &str, cards: &[(&str, &str)]) -> Vec<Registration> {
    let registration = |(file, text): &(&str, &str)| {
        read(package, file, text).unwrap_or_else(|reason| broken(package, file, reason))
    };
    cards.iter().map(registration).collect()
}

/// The registration of the card `text` in `file`, or why it cannot be used.
fn read(package: &str, file: &str, text: &str) -> Result<Registration, String> {
    let card: Card = toml::from_str(text).map_err(|error| error.to_string())?;
    if file.strip_suffix(".toml") != Some(card.name.as_str()) {
        return Err(format!(
            "its name is `{}`: the file of a card has the name of its activation",
            card.name
        ));
    }
    let parse = |text: &str| TextFormula::parse(text).map_err(|error| error.to_string());
    let formula = parse(&card.formula)?;
    let alone = card.nonlinearity.as_deref().map(parse).transpose()?;
    if let Some(alone) = &alone
        && (alone.is_gated() || !formula.is_gated())
    {
        return Err(
            "`nonlinearity` must be a formula of `x`, and is a key of gated formulas alone"
                .to_owned(),
        );
    }
    for name in formula.parameters().chain(alone.iter().flat_map(TextFormula::parameters)) {
        if !card.parameters.contains_key(name) {
            return Err(format!("`{name}` is in the formula, but not in `parameters`"));
        }
    }
    let used = |name: &str| {
        formula
            .parameters()
            .chain(alone.iter().flat_map(TextFormula::parameters))
            .any(|other| other == name)
    };
    let mut parameters = Vec::new();
    for (name, CardParameter { default, min, max, help }) in &card.parameters {
        if !used(name) {
            return Err(format!("`parameters.{name}` is not in the formula"));
        }
        if !(*min..=*max).contains(default) {
            return Err(format!(
                "the default of `{name}` is {default}, but must be from {min} to {max}"
            ));
        }
        let domain = Domain::Number { default: *default, min: *min, max: *max };
        parameters.push(Parameter { name: name.clone().into(), domain, help: help.clone().into() });
    }
    if let Some(gain) = card.gain
        && !(gain > 0.0 && gain.is_finite())
    {
        return Err(format!("`gain` is {gain}, but must be a number above 0"));
    }
    if let Some(wrong) = card.learn.iter().find(|name| !card.parameters.contains_key(*name)) {
        return Err(format!("`{wrong}` in `learn` is no parameter"));
    }
    let names = card.parameters.keys().filter(|name| card.learn.contains(name)).cloned().collect();
    Ok(Registration {
        name: card.name,
        aliases: card.aliases,
        variants: Vec::new(),
        kind: if formula.is_gated() { "gated" } else { "pointwise" },
        latex: card.latex,
        citation: card.citation,
        parameters,
        package: package.to_owned(),
        card: Notes {
            file: Some(file.to_owned()),
            title: Some(card.title),
            used_in: card.used_in,
            traps: card.traps,
            pytorch: card.pytorch,
            gain: card.gain,
            identities: card.identities,
            published: card.published,
        },
        learning: Learning { names, per: card.per, ..Learning::nothing() },
        source: Source::Text { formula: Box::new(formula), alone },
    })
}

fn broken(package: &str, file: &str, reason: String) -> Registration {
    Registration {
        name: file.strip_suffix(".toml").unwrap_or(file).to_owned(),
        aliases: Vec::new(),
        variants: Vec::new(),
        kind: "pointwise",
        latex: String::new(),
        citation: String::new(),
        parameters: Vec::new(),
        package: package.to_owned(),
        card: Notes { file: Some(file.to_owned()), ..Notes::default() },
        learning: Learning::nothing(),
        source: Source::Broken { file: file.to_owned(), reason },
    }
}
