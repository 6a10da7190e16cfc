//! Activations in words: one with all that is known of it, or several side by side.

use super::words::{
    fixed, intervals, kinks, limits, lipschitz, monotone, number, poles, range, searched, wrapped,
    zeros,
};
use super::{Explained, plot};
use crate::command::list;
use crate::command::sites::layout;
use crate::console::{printable, table};
use crate::environment;
use activation::{Activation, Infix, Kind};
use actlab_core::component;
use actlab_core::{Activations, ModelRegistration};
use std::sync::Arc;

/// Columns of keys.
const KEYS: usize = 13;

/// A text of keys and values.
struct Page {
    text: String,
    width: usize,
}

impl Page {
    fn heading(&mut self, words: &str) {
        self.text += &format!("\n{words}\n");
    }

    /// A key with its value, which continues below itself where it is long.
    fn line(&mut self, key: &str, value: &str) {
        if !value.is_empty() {
            self.lines(key, &wrapped(value, self.width.saturating_sub(KEYS + 2)));
        }
    }

    fn lines(&mut self, key: &str, lines: &[String]) {
        for (i, line) in lines.iter().enumerate() {
            let key = if i == 0 { key } else { "" };
            self.text += &format!("  {key:<KEYS$}{}\n", printable(line));
        }
    }

    /// A formula, whose lines are kept where they fit.
    fn infix(&mut self, key: &str, infix: &Infix) {
        let width = self.width.saturating_sub(KEYS + 2);
        let lines: Vec<String> =
            infix.lines().iter().flat_map(|line| wrapped(line, width)).collect();
        self.lines(key, &lines);
    }
}

/// Everything about one activation.
pub(super) fn one(explained: &Explained, width: usize) -> String {
    let activation = &explained.activation;
    let mut page = Page { text: String::new(), width };
    head(&mut page, activation);
    if let Kind::Gated(_) = activation.kind() {
        let gate = "What follows is about the nonlinearity of the gate, f(x), without the value.";
        page.text += &format!("\n{gate}\n");
    }
    page.text.push('\n');
    let f = activation.nonlinearity();
    page.text += &plot::plot(width, |x| f.eval(x));
    page.text += "       ⣀⠔ f(x)   · f′(x)\n";
    features(&mut page, explained);
    moments(&mut page, explained);
    costs(&mut page, explained);
    sites(&mut page, activation);
    page.heading("Nearest by √E[(f − g)²], z ~ N(0, 1)");
    let nearest: Vec<String> = explained.relatives.iter().map(relative).collect();
    page.line("activations", &nearest.join(", "));
    page.text
}

fn head(page: &mut Page, activation: &Activation) {
    let registration = activation.registration();
    let title = registration.card.title.clone();
    page.text += &format!("{}\n", printable(&title.unwrap_or_else(|| activation.label())));
    if !registration.is_of_experiment() {
        page.line("name", &activation.label());
    }
    page.line("aliases", &registration.aliases.join(", "));
    for (name, is) in &registration.variants {
        page.line("variant", &format!("{name} is {is}"));
    }
    page.line("kind", registration.kind);
    match registration.formula() {
        Some(formula) => page.line("formula", formula),
        None => page.infix("formula", &activation.infix()),
    }
    if let Kind::Gated(_) = activation.kind() {
        page.infix("gate", &activation.infix_of_nonlinearity());
    }
    page.line("LaTeX", &registration.latex);
    for (place, (by, infix)) in activation.infix_of_derivatives().iter().enumerate() {
        let key = if place == 0 { "f′(x)".to_owned() } else { format!("∂f/∂{by}") };
        page.infix(&key, infix);
    }
    for parameter in &registration.parameters {
        let value = activation.parameters().get(parameter.name.as_ref());
        let learned = activation.learned().is_some_and(|learned| {
            learned.learning().names.iter().any(|name| *name == parameter.name)
        });
        let learned = if learned { ", learned" } else { "" };
        let help = if parameter.help.is_empty() {
            parameter.domain.to_string()
        } else {
            format!("{}; {}", parameter.help, parameter.domain)
        };
        let value = value.map(list::plain).unwrap_or_default();
        page.line("parameter", &format!("{} = {value}{learned}: {help}", parameter.name));
    }
    page.line("source", &registration.citation);
    list::notes(&registration.card, &mut |key, value| page.line(key, value));
}

fn features(page: &mut Page, explained: &Explained) {
    let features = &explained.properties.features;
    page.heading("Shape");
    page.line("range", &range(features));
    page.line("monotone", &monotone(features));
    page.line("Lipschitz", &lipschitz(features));
    page.line("zeros", &zeros(features));
    page.line("poles", &poles(&features.poles));
    page.line("dead", &format!("{} (f = 0 and f′ = 0)", intervals(&features.dead)));
    page.line("saturated", &format!("{} (|f′| < 0.001)", intervals(&features.saturated)));
    page.line("kinks", &kinks(&features.kinks));
    page.line("limits", &limits(features.limits));
    page.line("searched", &searched(features.searched));
    if features.has_nan {
        page.line("NaN", "some values are NaN, see `actlab check`");
    }
}

fn moments(page: &mut Page, explained: &Explained) {
    let moments = &explained.properties.moments;
    page.heading("Under z ~ N(0, 1)");
    page.line("E[f]", &fixed(moments.mean));
    page.line("E[f²]", &fixed(moments.second));
    page.line("E[f′²]", &fixed(moments.slope));
    page.line("gain", &format!("{}, 1/√E[f²]", fixed(moments.gain())));
    page.line(
        "gradients",
        &format!("variance × {} for each layer with that gain", fixed(moments.gradient_factor())),
    );
}

/// How many sites of a small model of each kind it can be at.
fn sites(page: &mut Page, activation: &Arc<Activation>) {
    page.heading("Sites of models, as `actlab sites` lists them");
    let activations = Activations::new(Arc::clone(activation), Vec::new());
    for model in component::all::<ModelRegistration>() {
        let example = model.example();
        let Ok(layout) = layout(&example, &activations, false) else { continue };
        let gated = layout.sites.iter().filter(|site| site.gated).count();
        let alone = layout.sites.len() - gated;
        let words = match activation.kind() {
            Kind::Pointwise(_) => layout.sites.len().to_string(),
            Kind::Gated(_) => format!("{gated} with gate and value, {alone} with f alone"),
        };
        let described = component::describe::<ModelRegistration>(&example);
        let label = described.map_or(example.name, |described| described.label);
        page.line(&label, &words);
    }
}

fn costs(page: &mut Page, explained: &Explained) {
    let activation = &explained.activation;
    page.heading("Cost");
    let operations = format!(
        "{} in the formula, {} in its derivatives",
        activation.operations(),
        activation.operations_of_derivatives()
    );
    page.line("operations", &operations);
    let Some(cost) = explained.cost else { return };
    let ratio = |own: f64, relu: f64| {
        format!("{:.2} × relu ({own:.3} ns for each number, one thread)", own / relu)
    };
    page.line("forward", &ratio(cost.own.forward, cost.relu.forward));
    page.line("backward", &ratio(cost.own.backward, cost.relu.backward));
    page.line("measured on", &environment::cpu());
}

/// A relative with its distance.
fn relative((name, distance): &(String, f64)) -> String {
    // Less than this is rounding.
    if *distance < 1e-9 {
        format!("{name} (equal)")
    } else {
        format!("{name} {}", number(*distance))
    }
}

/// A line of a comparison: what it is called, and what it says of an activation.
type Row = (&'static str, fn(&Explained) -> String);

const ROWS: &[Row] = &[
    ("kind", |one| one.activation.registration().kind.to_owned()),
    ("range", |one| range(&one.properties.features)),
    ("monotone", |one| one.properties.features.monotone.word().to_owned()),
    ("Lipschitz", |one| number(one.properties.features.lipschitz)),
    ("zeros", |one| zeros(&one.properties.features)),
    ("dead", |one| intervals(&one.properties.features.dead)),
    ("saturated", |one| intervals(&one.properties.features.saturated)),
    ("limits", |one| {
        let limit = |limit: Option<f64>| limit.map_or_else(|| "none".to_owned(), number);
        one.properties.features.limits.map(limit).join(", ")
    }),
    ("E[f]", |one| fixed(one.properties.moments.mean)),
    ("E[f²]", |one| fixed(one.properties.moments.second)),
    ("E[f′²]", |one| fixed(one.properties.moments.slope)),
    ("gain 1/√E[f²]", |one| fixed(one.properties.moments.gain())),
    ("gradients / layer", |one| fixed(one.properties.moments.gradient_factor())),
    ("operations", |one| one.activation.operations().to_string()),
    ("  of derivatives", |one| one.activation.operations_of_derivatives().to_string()),
    ("forward / relu", |one| {
        one.cost
            .map_or_else(String::new, |cost| format!("{:.2}", cost.own.forward / cost.relu.forward))
    }),
    ("backward / relu", |one| {
        one.cost.map_or_else(String::new, |cost| {
            format!("{:.2}", cost.own.backward / cost.relu.backward)
        })
    }),
    ("nearest", |one| one.relatives.first().map_or_else(String::new, relative)),
];

/// Activations side by side, one column each.
pub(super) fn several(all: &[Explained]) -> String {
    let labels: Vec<String> = all.iter().map(|one| one.activation.label()).collect();
    let header: Vec<&str> = std::iter::once("").chain(labels.iter().map(String::as_str)).collect();
    let timed = all.iter().any(|one| one.cost.is_some());
    let rows = ROWS.iter().filter(|(name, _)| timed || !name.ends_with("/ relu"));
    let cells = |(name, say): &Row| {
        std::iter::once((*name).to_owned()).chain(all.iter().map(say)).collect::<Vec<String>>()
    };
    let rows: Vec<Vec<String>> = rows.map(cells).collect();
    let mut text = table(&header, &rows);
    if all.iter().any(|one| matches!(one.activation.kind(), Kind::Gated(_))) {
        text += "Of a gated activation the nonlinearity of the gate is described.\n";
    }
    if timed {
        text += &format!("Costs were measured on {}, one thread.\n", environment::cpu());
    }
    text
}
