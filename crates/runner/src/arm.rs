//! An arm of a sweep: one activation for a whole network, or several for its sites.

use crate::Error;
use crate::guard::guarded;
use activation::{Activation, ActivationRequest, BuildError, Learning, SyntaxError, TextFormula};
use actlab_core::Activations;
use record::{ActivationSpec, SiteActivation};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Key of the activation of the sites that no pattern matches.
const DEFAULT: &str = "default";

/// An arm as a user asks for it. Text (`gelu[blocks.0.*=relu]`) and tables
/// (`{ default = "gelu", "blocks.0.*" = "relu" }`) mean the same.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ArmRequest {
    /// The activation of the sites that no pattern matches.
    pub(crate) default: ActivationRequest,
    /// Patterns of site names, and the value; the last one that matches decides. Tables have no order, so that
    /// more specific patterns stand behind others: by the number of characters beside `*`.
    pub(crate) sites: Vec<(String, ActivationRequest)>,
}

impl ArmRequest {
    fn new(default: ActivationRequest, mut sites: Vec<(String, ActivationRequest)>) -> Self {
        let specific = |pattern: &str| pattern.chars().filter(|c| *c != '*').count();
        sites.sort_by(|(a, _), (b, _)| specific(a).cmp(&specific(b)).then(a.cmp(b)));
        Self { default, sites }
    }

    /// The arm that is asked for.
    ///
    /// # Errors
    /// If a name or a parameter is unknown, or a value is of the wrong type or out of range.
    pub(crate) fn build(&self) -> Result<Arm, BuildError> {
        let default = build(&self.default)?;
        let built = |(pattern, request): &(String, ActivationRequest)| {
            Ok((pattern.clone(), build(request)?))
        };
        let sites = self.sites.iter().map(built).collect::<Result<Vec<_>, BuildError>>()?;
        Ok(Arm::new(default, sites))
    }

    /// The label of the arm that is asked for.
    ///
    /// # Errors
    /// As [`ArmRequest::build`].
    pub(crate) fn label(&self) -> Result<String, BuildError> {
        Ok(self.build()?.spec.label)
    }

    /// The label of the arm that is asked for, which is one of `labels` if it is called so: a formula with a name of its
    /// own is not registered.
    ///
    /// # Errors
    /// As [`ArmRequest::build`].
    pub(crate) fn label_among<'a>(
        &self,
        mut labels: impl Iterator<Item = &'a String>,
    ) -> Result<String, BuildError> {
        let text = self.to_string();
        if labels.any(|label| *label == text) { Ok(text) } else { self.label() }
    }
}

/// An arm with its activations.
#[derive(Debug, Clone)]
pub(crate) struct Arm {
    pub(crate) spec: ActivationSpec,
    pub(crate) activations: Activations,
}

impl Arm {
    fn new(default: Arc<Activation>, sites: Vec<(String, Arc<Activation>)>) -> Self {
        let mut spec = spec(&default);
        for (pattern, activation) in &sites {
            let activation = self::spec(activation);
            spec.sites.push(SiteActivation { pattern: pattern.clone(), activation });
        }
        if !sites.is_empty() {
            let rule = |site: &SiteActivation| {
                format!("{}={}", site.pattern, in_brackets(site.activation.label.clone()))
            };
            let rules: Vec<String> = spec.sites.iter().map(rule).collect();
            spec.label = format!("{}[{}]", spec.label, rules.join(","));
        }
        Self { spec, activations: Activations::new(default, sites) }
    }

    /// Whether the two are one function, of which at least one is a formula as text. (Two registered activations may be:
    /// such a pair shows how much the seeds alone decide.)
    pub(crate) fn is_formula_of(&self, other: &Self) -> bool {
        let is_text = |spec: &ActivationSpec| spec.parameters.contains_key("formula");
        let learns = |spec: &ActivationSpec| {
            let learned = spec.parameters.get("learn").and_then(serde_json::Value::as_array);
            learned.is_some_and(|learned| !learned.is_empty())
        };
        let (a, b) = (&self.spec, &other.spec);
        (is_text(a) || is_text(b))
            && !learns(a)
            && !learns(b)
            && a.fingerprint == b.fingerprint
            && a.sites == b.sites
    }

    /// The activations of `spec`, if this program has them as they were.
    ///
    /// # Errors
    /// If one is unknown, or its formula is another one.
    pub(crate) fn of(spec: &ActivationSpec) -> Result<Self, Error> {
        let default = same(spec)?;
        let site = |site: &SiteActivation| Ok((site.pattern.clone(), same(&site.activation)?));
        let sites = spec.sites.iter().map(site).collect::<Result<Vec<_>, Error>>()?;
        Ok(Self { spec: spec.clone(), activations: Activations::new(default, sites) })
    }
}

/// The activation that is asked for. What learns is looked at when it is built: a formula that panics is an error then.
fn build(request: &ActivationRequest) -> Result<Arc<Activation>, BuildError> {
    let panicked = |reason| BuildError::Plugin { activation: request.name.clone(), reason };
    guarded(|| activation::build(request)).unwrap_or_else(|reason| Err(panicked(reason)))
}

/// `activation` as a spec has it.
fn spec(activation: &Arc<Activation>) -> ActivationSpec {
    ActivationSpec {
        name: activation.registration().name.clone(),
        parameters: activation.parameters().clone(),
        label: activation.label(),
        // A formula that panics is to cost its runs, and those tell how.
        fingerprint: guarded(|| activation.fingerprint()).unwrap_or_else(|_| "panics".to_owned()),
        sites: Vec::new(),
    }
}

/// The activation of `spec` alone, without those of its sites.
fn same(spec: &ActivationSpec) -> Result<Arc<Activation>, Error> {
    let request =
        ActivationRequest { name: spec.name.clone(), parameters: spec.parameters.clone() };
    let activation = build(&request)?;
    if self::spec(&activation).fingerprint != spec.fingerprint {
        return Err(Error::Usage(format!(
            "this program's formula of {} is not the one that the run is about",
            spec.label
        )));
    }
    Ok(activation)
}

impl FromStr for ArmRequest {
    type Err = SyntaxError;

    fn from_str(text: &str) -> Result<Self, SyntaxError> {
        let Some((default, rest)) = text.split_once('[') else {
            return Ok(Self { default: text.parse()?, sites: Vec::new() });
        };
        let error =
            |reason: &str| SyntaxError::Form { text: text.to_owned(), reason: reason.to_owned() };
        let inside = rest.trim_end().strip_suffix(']');
        let inside = inside.ok_or_else(|| error("`]` is missing at the end"))?;
        let mut sites = Vec::new();
        let rules = split(inside);
        for (place, rule) in rules.iter().enumerate() {
            let of_form =
                || error(&format!("`{}` is not of the form site=activation", rule.trim()));
            let (pattern, activation) = rule.split_once('=').ok_or_else(of_form)?;
            let pattern = pattern.trim();
            if pattern.is_empty() {
                return Err(of_form());
            }
            if sites.iter().any(|(other, _)| other == pattern) {
                return Err(error(&format!("`{pattern}` is given twice")));
            }
            let activation = activation.trim();
            let inside = activation.strip_prefix('(').and_then(|text| text.strip_suffix(')'));
            let inside = inside.filter(|text| text.contains(" where "));
            let request: ActivationRequest = inside.unwrap_or(activation).parse()?;
            let behind = &rules[place + 1..];
            let values = behind.iter().take_while(|rule| is_value_of(&request, rule)).count();
            if values > 0 && inside.is_none() && activation.contains(" where ") {
                let values: String =
                    behind[..values].iter().map(|rule| format!(",{rule}")).collect();
                let right = format!("`{pattern}=({activation}{values})`");
                return Err(error(&format!("put the formula in brackets: {right}")));
            }
            sites.push((pattern.to_owned(), request));
        }
        Ok(Self::new(default.parse()?, sites))
    }
}

/// Whether the rule of a site is in truth a value of the formula before it: `learn=b`, or a parameter.
fn is_value_of(request: &ActivationRequest, rule: &str) -> bool {
    let key = rule.split('=').next().unwrap_or_default().trim();
    let formula = request.formula().and_then(|text| TextFormula::parse(text).ok());
    formula.is_some_and(|formula| {
        Learning::KEYS.contains(&key) || formula.parameters().any(|name| name == key)
    })
}

/// `text`, in brackets if a comma in it would end the rule of a site.
fn in_brackets(text: String) -> String {
    if text.contains(" where ") { format!("({text})") } else { text }
}

/// The parts of `text` between commas that stand in no brackets.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut begin, mut depth) = (Vec::new(), 0, 0_usize);
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(&text[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[begin..]);
    parts
}

impl fmt::Display for ArmRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.default)?;
        if self.sites.is_empty() {
            return Ok(());
        }
        let rule = |(pattern, request): &(String, ActivationRequest)| {
            format!("{pattern}={}", in_brackets(request.to_string()))
        };
        let rules: Vec<String> = self.sites.iter().map(rule).collect();
        write!(f, "[{}]", rules.join(","))
    }
}

impl Serialize for ArmRequest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ArmRequest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use de::Error as _;
        use serde_json::Value;
        let value = Value::deserialize(deserializer)?;
        let request = |value: Value| {
            ActivationRequest::deserialize(value)
                .map_err(|error| D::Error::custom(error.to_string()))
        };
        match value {
            Value::String(text) => text.parse().map_err(D::Error::custom),
            Value::Object(mut table) if table.contains_key(DEFAULT) => {
                let default = request(table.remove(DEFAULT).unwrap_or_default())?;
                let sites =
                    table.into_iter().map(|(pattern, value)| Ok((pattern, request(value)?)));
                Ok(Self::new(default, sites.collect::<Result<_, D::Error>>()?))
            }
            other => Ok(Self { default: request(other)?, sites: Vec::new() }),
        }
    }
}

/// An activation, for the schema.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) enum ArmSchema {
    /// `name`, `name(parameter=value)`, `name[site=other]`, or a formula: `x * sigmoid(1.702 * x)`.
    Text(String),
    /// `{ name = "…", parameter = value }`.
    Activation {
        /// Name or alias.
        name: String,
        #[serde(flatten)]
        parameters: serde_json::Map<String, serde_json::Value>,
    },
    /// `{ formula = "x * sigmoid(b * x)", b = 1.0, learn = ["b"] }`.
    Formula {
        /// A formula of `x`, or of `gate` and `value`.
        formula: String,
        /// What it is called; otherwise the formula is its name.
        name: Option<String>,
        #[serde(flatten)]
        parameters: serde_json::Map<String, serde_json::Value>,
    },
    /// `{ default = "…", "blocks.0.*" = "…" }`: other activations at some sites.
    Sites {
        /// The activation of all other sites.
        default: serde_json::Value,
        /// Patterns of site names, and the value.
        #[serde(flatten)]
        sites: serde_json::Map<String, serde_json::Value>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arm_is_an_activation_or_has_others_at_some_sites() {
        let json = serde_json::json!({
            "default": "gelu", "blocks.0.*": "relu", "*.outer": { "name": "silu", "beta": 2.0 }
        });
        let arm: ArmRequest = serde_json::from_value(json).unwrap();
        // The more specific pattern stands behind the other.
        let text = "gelu[*.outer=silu(beta=2),blocks.0.*=relu]";
        assert_eq!(arm.to_string(), text);
        let other = "gelu[blocks.0.*=relu, *.outer=silu(beta=2)]";
        assert_eq!(other.parse::<ArmRequest>().unwrap(), arm);
        let built = arm.build().unwrap();
        assert_eq!(built.spec.label, text);
        assert_eq!(Arm::of(&built.spec).unwrap().spec, built.spec);
        assert_eq!("silu(beta=2)".parse::<ArmRequest>().unwrap().sites, []);
        let formula = serde_json::json!({
            "default": "gelu",
            "blocks.*": { "formula": "x * sigmoid(b * x)", "b": 1.5, "learn": ["b"] },
            "stem": "x * tanh(x)",
        });
        let arm: ArmRequest = serde_json::from_value(formula).unwrap();
        let label = arm.label().unwrap();
        assert_eq!(
            label,
            "gelu[stem=x * tanh(x),blocks.*=(x * sigmoid(b * x) where b=1.5, learn=b)]"
        );
        assert_eq!(label.parse::<ArmRequest>().unwrap().label().unwrap(), label);
        let one = "gelu[stem=b * x where b=2,blocks.*=relu]".parse::<ArmRequest>().unwrap();
        assert_eq!(one.sites.len(), 2);
        for (wrong, reason) in [
            ("gelu[blocks.0.*=relu", "`]` is missing at the end"),
            ("gelu[relu]", "`relu` is not of the form site=activation"),
            ("gelu[=relu]", "`=relu` is not of the form site=activation"),
            ("gelu[]", "`` is not of the form site=activation"),
            ("gelu[a=]", "the name is missing"),
            ("gelu[a=relu,a=silu]", "`a` is given twice"),
            (
                "gelu[layers.0.*=x * b where b=2, learn=b]",
                "put the formula in brackets: `layers.0.*=(x * b where b=2, learn=b)`",
            ),
            (
                "gelu[stem=b * c * x where b=2, c=0.5, blocks.*=relu]",
                "put the formula in brackets: `stem=(b * c * x where b=2, c=0.5)`",
            ),
        ] {
            let error = wrong.parse::<ArmRequest>().unwrap_err().to_string();
            assert!(error.contains(reason), "{wrong}: {error}");
        }
    }
}
