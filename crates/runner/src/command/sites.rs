//! The activation sites of a model.

use crate::Error;
use crate::arm::ArmRequest;
use crate::cli::SitesArgs;
use crate::console::{out, outln, table};
use actlab_core::Layout;
use actlab_core::model::{Head, InputShape, Interface};
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
    let arm = args.activation.parse::<ArmRequest>()?.build()?;
    let interfaces =
        [(IMAGES, CLASSES), (TOKENS, CLASSES), (TOKENS, Head::Tokens), (TOKENS, Head::NextToken)];
    let head = |head: &Head| !args.tokens || *head != CLASSES;
    let mut refusal = None;
    let layout = interfaces.into_iter().filter(|(_, of)| head(of)).find_map(|(inputs, head)| {
        match Layout::new(&model, &Interface { inputs, head }, &arm.activations) {
            Ok(layout) => Some(layout),
            Err(error) => {
                // What is wrong with its parameters is told, rather than that it takes something else.
                if refusal.is_none() || error.key() != Some("name") {
                    refusal = Some(error);
                }
                None
            }
        }
    });
    let Some(layout) = layout else {
        return Err(refusal.map_or_else(|| Error::Usage("no such model".to_owned()), Error::from));
    };
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

/// A value as TOML has it; what is not TOML is a bare word.
fn value_of(text: &str) -> Value {
    toml::from_str::<toml::Table>(&format!("value = {text}"))
        .ok()
        .and_then(|table| serde_json::to_value(table.get("value")?).ok())
        .unwrap_or_else(|| text.into())
}
