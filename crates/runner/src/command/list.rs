use super::components;
use crate::cli::{ListArgs, ListKind};
use crate::console::{cut, hanging, note, out, outln};
use activation::card::Notes;
use activation::{Domain, Parameter, Registration};
use serde_json::{Value, json};

/// Characters of a cell of the short list at most.
const LONGEST: usize = 44;

pub(crate) fn run(args: &ListArgs) {
    if args.kind != ListKind::Activations {
        components::list(args.kind, args.json);
        return;
    }
    let all = activation::all();
    if args.json {
        let entries: Vec<Value> = all.iter().map(|entry| to_json(entry)).collect();
        outln!("{}", serde_json::to_string_pretty(&entries).unwrap_or_default());
        return;
    }
    if args.long {
        let blocks: Vec<String> = all.iter().map(|entry| block(entry)).collect();
        out!("{}", blocks.join("\n"));
        return;
    }
    let rows: Vec<Vec<String>> = all.iter().map(|entry| row(entry)).collect();
    let header = ["activation", "also", "kind", "parameters", "source"];
    out!("{}", cut(&header, &rows, &[1, 3, 4]));
    note!(
        "{} activations; * is learned unless the experiment says otherwise.\n`actlab explain NAME` shows one, `actlab list \
         --long` everything.",
        all.len()
    );
}

/// What an activation is as JSON, with all that its card says.
pub(crate) fn to_json(entry: &Registration) -> Value {
    let parameters: Vec<Value> = entry.parameters.iter().map(|one| parameter(entry, one)).collect();
    let variants = entry.variants.iter().map(|(name, is)| json!({ "name": name, "is": is }));
    let Notes { file, title, used_in, traps, pytorch, gain, identities, published } = &entry.card;
    let identities = identities
        .iter()
        .map(|one| json!({ "this": one.this, "is": one.is, "tolerance": one.tolerance }));
    let published = published
        .iter()
        .map(|one| json!({ "setting": one.setting, "figure": one.figure, "source": one.source }));
    json!({
        "name": entry.name,
        "title": title,
        "aliases": entry.aliases,
        "variants": variants.collect::<Vec<_>>(),
        "kind": entry.kind,
        "formula": entry.formula(),
        "latex": entry.latex,
        "citation": entry.citation,
        "parameters": parameters,
        "learned": entry.learning.names,
        "learned_per": entry.learning.per.word(),
        "used_in": used_in,
        "traps": traps,
        "pytorch": pytorch,
        "gain_of_paper": gain,
        "identities": identities.collect::<Vec<_>>(),
        "published": published.collect::<Vec<_>>(),
        "card": file,
        "package": entry.package,
    })
}

fn parameter(entry: &Registration, parameter: &Parameter) -> Value {
    let range = match parameter.domain {
        Domain::Number { min, max, .. } if min.is_finite() && max.is_finite() => Some([min, max]),
        Domain::Number { .. } | Domain::Choice(_) => None,
    };
    json!({
        "name": parameter.name,
        "default": entry.defaults().get(parameter.name.as_ref()),
        "domain": parameter.domain.to_string(),
        "range": range,
        "learned": is_learned(entry, parameter),
        "help": parameter.help,
    })
}

fn is_learned(entry: &Registration, parameter: &Parameter) -> bool {
    entry.learning.names.iter().any(|name| *name == parameter.name)
}

fn row(entry: &Registration) -> Vec<String> {
    let variants = entry.variants.iter().map(|(name, _)| name);
    let also: Vec<&str> = entry.aliases.iter().chain(variants).map(String::as_str).collect();
    let defaults = entry.defaults();
    let parameters = entry.parameters.iter().map(|parameter| {
        let mark = if is_learned(entry, parameter) { "*" } else { "" };
        let default = defaults.get(parameter.name.as_ref()).map(plain).unwrap_or_default();
        format!("{}{mark}={default}", parameter.name)
    });
    vec![
        entry.name.clone(),
        joined(also.into_iter().map(str::to_owned)),
        entry.kind.to_owned(),
        joined(parameters),
        short_citation(&entry.citation),
    ]
}

/// `parts` with commas, as many as there is room for.
fn joined(parts: impl Iterator<Item = String>) -> String {
    let mut text = String::new();
    for part in parts {
        let comma = if text.is_empty() { "" } else { ", " };
        if text.chars().count() + comma.len() + part.chars().count() > LONGEST {
            return text + ", …";
        }
        text = text + comma + &part;
    }
    text
}

/// A default without what JSON adds to it.
pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::String(word) => word.clone(),
        // Four digits tell a default apart.
        Value::Number(number) => number.as_f64().map_or_else(
            || number.to_string(),
            |x| format!("{x:.3e}").parse::<f64>().unwrap_or(x).to_string(),
        ),
        other => other.to_string(),
    }
}

/// A citation up to its year; the first where there are several.
fn short_citation(citation: &str) -> String {
    let citation = citation.split(';').next().unwrap_or_default();
    let digits = |at: usize| {
        let year = citation.get(at..at + 4)?;
        let is_year = (year.starts_with("19") || year.starts_with("20"))
            && year.bytes().all(|byte| byte.is_ascii_digit());
        is_year.then_some(at + 4)
    };
    let end = (0..citation.len()).find_map(digits);
    let short = end.map_or(citation, |end| &citation[..end]);
    if short.chars().count() <= LONGEST {
        return short.to_owned();
    }
    short.chars().take(LONGEST - 1).chain(['…']).collect()
}

/// Everything that is known of an activation without building it.
fn block(entry: &Registration) -> String {
    let mut text = entry.name.clone();
    if !entry.aliases.is_empty() {
        text += &format!(" (also {})", entry.aliases.join(", "));
    }
    text.push('\n');
    let mut line = |key: &str, value: &str| {
        if !value.is_empty() {
            text += &hanging(&format!("  {key:<11} "), value);
        }
    };
    let defaults = entry.defaults();
    line("kind", entry.kind);
    line("formula", entry.formula().unwrap_or_default());
    line("LaTeX", &entry.latex);
    for parameter in &entry.parameters {
        let default = defaults.get(parameter.name.as_ref()).map(ToString::to_string);
        let learned = if is_learned(entry, parameter) { "; learned" } else { "" };
        line(
            "parameter",
            &format!(
                "{} = {}: {}; {}{learned}",
                parameter.name,
                default.unwrap_or_default(),
                parameter.help,
                parameter.domain
            ),
        );
    }
    for (name, is) in &entry.variants {
        line("variant", &format!("{name} is {is}"));
    }
    line("source", &entry.citation);
    notes(&entry.card, &mut line);
    line("package", &entry.package);
    text
}

/// What a card says beside the formula, as pairs of a key and a text.
pub(crate) fn notes(notes: &Notes, line: &mut dyn FnMut(&str, &str)) {
    line("used in", notes.used_in.as_deref().unwrap_or_default());
    line("traps", notes.traps.as_deref().unwrap_or_default());
    line("PyTorch", notes.pytorch.as_deref().unwrap_or_default());
    if let Some(gain) = notes.gain {
        line(
            "init",
            &format!("weights before it have variance {} / fan-in in its paper", gain * gain),
        );
    }
    for identity in &notes.identities {
        line("identity", &format!("{} is {}", identity.this, identity.is));
    }
    for published in &notes.published {
        line(
            "published",
            &format!("{}: {} ({})", published.setting, published.figure, published.source),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn citations_end_with_their_year() {
        for (citation, short) in [
            ("Misra 2019, arXiv:1908.08681", "Misra 2019"),
            (
                "Elfwing et al. 2018, arXiv:1702.03118; Ramachandran et al. 2017",
                "Elfwing et al. 2018",
            ),
            ("Classical; see the survey of Dubey et al. 2022", "Classical"),
            ("unpublished", "unpublished"),
        ] {
            assert_eq!(short_citation(citation), short);
        }
        assert_eq!(short_citation(&"é".repeat(60)).chars().count(), LONGEST);
    }

    #[test]
    fn long_lists_are_cut_between_parts() {
        let parts = |n: usize| (0..n).map(|i| format!("number{i}=0.5"));
        assert_eq!(joined(parts(2)), "number0=0.5, number1=0.5");
        assert!(joined(parts(9)).ends_with("number2=0.5, …"), "{}", joined(parts(9)));
        assert_eq!(joined(parts(0)), "");
    }
}
