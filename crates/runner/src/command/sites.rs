//! The activation sites of a model.

use crate::Error;
use crate::arm::ArmRequest;
use crate::cli::SitesArgs;
use crate::console::{out, outln, table};
use crate::experiment::fault;
use actlab_core::model::{Head, InputShape, Interface};
use actlab_core::{Activations, Layout};
use record::Component;
use serde_json::{Value, json};

/// What models are shown with: their widths do not depend on it.
const IMAGES: InputShape = InputShape::Images { channels: 3, height: 32, width: 32 };
const TOKENS: InputShape = InputShape::Tokens { vocabulary: 8000 };
const CLASSES: Head = Head::Classes(10);

/// Shows the sites of the model that `args` name, in the order of the forward pass.
pub(crate) fn run(args: &SitesArgs) -> Result<(), Error> {
    let mut model = Component::named(&args.model);
    for pair in &args.set {
        let (key, value) = pair.split_once('=').ok_or_else(|| {
            Error::Usage(format!("--set {pair}: must be KEY=VALUE, as in --set depth=20"))
        })?;
        model.parameters.insert(key.trim().to_owned(), value_of(value.trim()));
    }
    // Before the model's own answer, which knows keys by the names of its fields.
    if let Ok(part) = serde_json::to_value(&model)
        && let Some((key, reason)) = fault(&json!({ "model": part }))
    {
        return Err(refusal(key.trim_start_matches("model").trim_start_matches('.'), &reason));
    }
    let arm = args.activation.parse::<ArmRequest>()?.build()?;
    let layout = layout(&model, &arm.activations, args.tokens).map_err(|error| match error {
        Error::Core(error) => refusal(error.key().unwrap_or_default(), &error),
        other => other,
    })?;
    arm.activations.check(&layout.sites)?;
    if args.json {
        let sites: Vec<Value> = layout
            .sites
            .iter()
            .map(|site| {
                json!({
                    "site": site.name,
                    "width": site.width,
                    "gated": site.gated,
                    "activation": site.activation,
                })
            })
            .collect();
        outln!("{}", serde_json::to_string_pretty(&sites).unwrap_or_default());
        return Ok(());
    }
    let rows: Vec<Vec<String>> = layout
        .sites
        .iter()
        .map(|site| {
            let takes = if site.gated { "gate and value" } else { "one input" };
            vec![
                site.name.clone(),
                site.width.to_string(),
                takes.to_owned(),
                site.activation.clone(),
            ]
        })
        .collect();
    out!("{}", table(&["site", "units", "a gated activation has", "activation"], &rows));
    Ok(())
}

/// What is wrong with the value at `key` of the model, with the flag that has given it.
fn refusal(key: &str, reason: &dyn std::fmt::Display) -> Error {
    let flag = match key {
        "" | "name" => "--model".to_owned(),
        key => format!("--set {key}"),
    };
    Error::Usage(format!("{flag}: {reason}"))
}

/// The layout of `model` for what it takes as input: images or tokens. With `tokens` it predicts tokens.
pub(crate) fn layout(
    model: &Component,
    activations: &Activations,
    tokens: bool,
) -> Result<Layout, Error> {
    let interfaces =
        [(IMAGES, CLASSES), (TOKENS, CLASSES), (TOKENS, Head::Tokens), (TOKENS, Head::NextToken)];
    let mut refusal = None;
    for (inputs, head) in interfaces.into_iter().filter(|(_, head)| !tokens || *head != CLASSES) {
        match Layout::new(model, &Interface { inputs, head }, activations) {
            Ok(layout) => return Ok(layout),
            // What is wrong with its parameters is told, rather than that it takes something else.
            Err(error) if refusal.is_none() || error.key() != Some("name") => refusal = Some(error),
            Err(_) => {}
        }
    }
    Err(refusal.map_or_else(|| Error::Usage("no such model".to_owned()), Error::from))
}

/// A value as TOML has it; what is not TOML is a bare word.
fn value_of(text: &str) -> Value {
    toml::from_str::<toml::Table>(&format!("value = {text}"))
        .ok()
        .and_then(|table| serde_json::to_value(table.get("value")?).ok())
        .unwrap_or_else(|| text.into())
}
