//! `actlab explain`: what is known of an activation.

mod cost;
mod plot;
mod text;
mod words;

use crate::Error;
use crate::cli::ExplainArgs;
use crate::command::list;
use crate::console::{out, outln};
use crate::environment;
use crate::guard::guarded;
use activation::properties::{Bound, Features, Interval, Properties, Samples};
use activation::{Activation, ActivationRequest, Parameters};
use analysis::Shape;
use cost::Cost;
use record::write_atomically;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;

/// Relatives that are shown.
const NEAREST: usize = 5;

/// Columns where standard output is no terminal.
const COLUMNS: usize = 100;

/// An activation with what was computed.
struct Explained {
    activation: Arc<Activation>,
    properties: Properties,
    /// Labels and distances, the nearest first.
    relatives: Vec<(String, f64)>,
    cost: Option<Cost>,
}

pub(crate) fn run(args: &ExplainArgs) -> Result<(), Error> {
    let requests = args
        .names
        .iter()
        .map(|name| Ok(name.parse::<ActivationRequest>()?))
        .collect::<Result<Vec<_>, Error>>()?;
    let built = requests.iter().map(|request| {
        let panics = |reason| Error::Usage(format!("`{request}` cannot be built: {reason}"));
        Ok(guarded(|| activation::build(request)).map_err(panics)??)
    });
    let activations = built.collect::<Result<Vec<_>, Error>>()?;
    let others = registered();
    let explained = activations
        .into_iter()
        .map(|activation| explain(activation, &others, args))
        .collect::<Result<Vec<_>, Error>>()?;
    if args.svg.is_some() || args.png.is_some() {
        draw(&explained, args)?;
    }
    if args.json {
        let all: Vec<Value> = explained.iter().map(to_json).collect();
        outln!("{}", serde_json::to_string_pretty(&all).unwrap_or_default());
        return Ok(());
    }
    match explained.as_slice() {
        [one] => out!("{}", text::one(one, columns(args))),
        several => out!("{}", text::several(several)),
    }
    Ok(())
}

/// Columns of the text.
fn columns(args: &ExplainArgs) -> usize {
    let terminal = || terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
    let asked = args.width.map(usize::from);
    asked.unwrap_or_else(|| terminal().unwrap_or(COLUMNS).clamp(40, COLUMNS))
}

/// Every pointwise activation with its values; one that panics is left out.
fn registered() -> Vec<(String, Samples)> {
    let pointwise = activation::all().iter().filter(|entry| entry.kind == "pointwise");
    let samples = |name: &String| {
        let request = ActivationRequest { name: name.clone(), parameters: Parameters::new() };
        let samples = guarded(|| activation::build(&request).map(|one| Samples::of(&one)));
        Some((name.clone(), samples.ok()?.ok()?))
    };
    pointwise.filter_map(|entry| samples(&entry.name)).collect()
}

fn explain(
    activation: Arc<Activation>,
    others: &[(String, Samples)],
    args: &ExplainArgs,
) -> Result<Explained, Error> {
    let label = activation.label();
    let panics = |reason| Error::Usage(format!("`{label}` cannot be computed: {reason}"));
    let (properties, own, cost) = guarded(|| {
        let cost = (!args.no_timing).then(|| cost::measure(&activation)).flatten();
        (Properties::of(&activation), Samples::of(&activation), cost)
    })
    .map_err(panics)?;
    let name = &activation.registration().name;
    let mut relatives: Vec<(String, f64)> = others
        .iter()
        // What has the name with other parameters is a relative as well.
        .filter(|(other, _)| other != name || label != *name)
        .map(|(other, samples)| (other.clone(), own.distance(samples)))
        .filter(|(_, distance)| !distance.is_nan())
        .collect();
    relatives.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
    relatives.truncate(NEAREST);
    Ok(Explained { activation, properties, relatives, cost })
}

/// Draws values and derivatives into the files that are asked for.
fn draw(explained: &[Explained], args: &ExplainArgs) -> Result<(), Error> {
    let shape = |one: &Explained| {
        let f = one.activation.nonlinearity();
        Shape::within(one.activation.label(), plot::INPUTS, |x| f.eval(x))
    };
    let shapes: Vec<Shape> = explained.iter().map(shape).collect();
    let picture = analysis::draw_shapes(&shapes)
        .map_err(|reason| Error::Usage(format!("the plot cannot be drawn: {reason}")))?;
    let write = |path: &Path, bytes: &[u8]| write_atomically(path, bytes).map_err(Error::from);
    if let Some(path) = &args.svg {
        write(path, picture.svg.as_bytes())?;
    }
    if let Some(path) = &args.png {
        write(path, &picture.png)?;
    }
    Ok(())
}

/// JSON has no NaN and no infinity: they are text, as in `actlab eval --json`.
fn number(x: f64) -> Value {
    if x.is_finite() { json!(x) } else { json!(x.to_string()) }
}

fn numbers(all: &[f64]) -> Value {
    all.iter().map(|x| number(*x)).collect()
}

fn intervals(all: &[Interval]) -> Value {
    all.iter().map(|one| json!([number(one.from), number(one.to)])).collect()
}

fn bound(bound: &Bound) -> Value {
    json!({ "value": number(bound.value), "at": bound.at.map(number) })
}

fn features(features: &Features) -> Value {
    let kinks = features.kinks.iter().map(|kink| {
        json!({
            "at": number(kink.at),
            "slope_below": number(kink.below),
            "slope_above": number(kink.above),
            "jump": number(kink.jump),
        })
    });
    let poles = features.poles.iter().map(|pole| {
        json!({ "at": number(pole.at), "below": number(pole.below), "above": number(pole.above) })
    });
    json!({
        "infimum": bound(&features.infimum),
        "supremum": bound(&features.supremum),
        "monotone": features.monotone.word(),
        "turns": numbers(&features.turns),
        "lipschitz": number(features.lipschitz),
        "zeros": numbers(&features.zeros),
        "poles": poles.collect::<Vec<_>>(),
        "dead": intervals(&features.dead),
        "saturated": intervals(&features.saturated),
        "kinks": kinks.collect::<Vec<_>>(),
        "limits": features.limits.map(|limit| limit.map(number)),
        "searched_within": features.searched,
        "has_nan": features.has_nan,
    })
}

fn to_json(one: &Explained) -> Value {
    let Explained { activation, properties, relatives, cost } = one;
    let registration = activation.registration();
    let moments = &properties.moments;
    let derivatives = activation.infix_of_derivatives();
    let derivatives = derivatives.iter().map(|(by, infix)| (by.clone(), json!(infix.lines())));
    let relatives: Vec<Value> = relatives
        .iter()
        .map(|(label, distance)| json!({ "activation": label, "distance": number(*distance) }))
        .collect();
    let cost = cost.map(|cost| {
        json!({
            "processor": environment::cpu(),
            "forward": cost.own.forward / cost.relu.forward,
            "backward": cost.own.backward / cost.relu.backward,
            "forward_nanoseconds": cost.own.forward,
            "backward_nanoseconds": cost.own.backward,
        })
    });
    json!({
        "label": activation.label(),
        "activation": list::to_json(registration),
        "parameters": activation.parameters(),
        "formula": activation.infix().lines(),
        "nonlinearity": activation.infix_of_nonlinearity().lines(),
        "derivatives": derivatives.collect::<serde_json::Map<_, _>>(),
        "mean": number(moments.mean),
        "second_moment": number(moments.second),
        "second_moment_of_derivative": number(moments.slope),
        "gain": number(moments.gain()),
        "features": features(&properties.features),
        "operations": activation.operations(),
        "operations_of_derivatives": activation.operations_of_derivatives(),
        "cost_relative_to_relu": cost,
        "nearest": relatives,
        "fingerprint": activation.fingerprint(),
    })
}
