use super::components;
use crate::cli::{ListArgs, ListKind};
use crate::console::{out, outln};
use activation::Registration;
use serde_json::{Value, json};

pub(crate) fn run(args: &ListArgs) {
    if args.kind != ListKind::Activations {
        components::list(args.kind, args.json);
        return;
    }
    let all = activation::all();
    if args.json {
        let entries: Vec<Value> = all.iter().map(|entry| entry_json(entry)).collect();
        outln!("{}", serde_json::to_string_pretty(&entries).unwrap_or_default());
        return;
    }
    let blocks: Vec<String> = all.iter().map(|entry| block(entry)).collect();
    out!("{}", blocks.join("\n"));
}

fn entry_json(entry: &Registration) -> Value {
    let defaults = entry.defaults();
    let parameters: Vec<Value> = entry
        .parameters
        .iter()
        .map(|parameter| {
            json!({
                "name": parameter.name,
                "default": defaults.get(parameter.name.as_ref()),
                "domain": parameter.domain.to_string(),
                "help": parameter.help,
            })
        })
        .collect();
    json!({
        "name": entry.name,
        "aliases": entry.aliases,
        "kind": entry.kind,
        "latex": entry.latex,
        "citation": entry.citation,
        "parameters": parameters,
        "package": entry.package,
    })
}

fn block(entry: &Registration) -> String {
    let defaults = entry.defaults();
    let mut text = entry.name.clone();
    if !entry.aliases.is_empty() {
        text += &format!(" (also {})", entry.aliases.join(", "));
    }
    text += &format!("\n  kind        {}\n  formula     {}\n", entry.kind, entry.latex);
    for parameter in &entry.parameters {
        let default = defaults.get(parameter.name.as_ref()).map(ToString::to_string).unwrap_or_default();
        text += &format!(
            "  parameter   {} = {default}: {}; {}\n",
            parameter.name, parameter.help, parameter.domain
        );
    }
    text + &format!("  source      {}\n  package     {}\n", entry.citation, entry.package)
}
