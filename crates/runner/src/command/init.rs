//! Writes an experiment with comments, from flags and answers.

use crate::arm::ArmRequest;
use crate::cli::InitArgs;
use crate::console::{ask, outln};
use crate::experiment::{Experiment, comma_separated, seeds_of_flag};
use crate::{Error, shell};
use activation::{did_you_mean, nearest};
use actlab_core::component::{self, Registration};
use actlab_core::{DatasetRegistration, ModelRegistration};
use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::path::{Path, PathBuf};

/// A recipe that a model trains well with.
struct Recipe {
    model: &'static str,
    /// Data sets that it is offered for, the first by default.
    data: &'static [&'static str],
    /// Name of the task.
    task: &'static str,
    /// Lines before the data set: model and objective.
    head: &'static str,
    /// Lines of the recipe behind its budget.
    training: &'static str,
    batch: u32,
    epochs: u32,
}

const RECIPES: [Recipe; 4] = [
    Recipe {
        model: "resnet",
        data: &["fashion-mnist-mini", "fashion-mnist", "mnist", "cifar-10", "image-folder"],
        task: "images",
        head: "# depth = 6n + 2: 8, 14, 20, …\nmodel = { name = \"resnet\", depth = 8 }\n",
        training: "optimizer = { name = \"sgd\", momentum = 0.9, nesterov = true }\nlearning_rate = 0.1\n\
                   weight_decay = 5e-4\nschedule = \"cosine\"\nwarmup = 0.2\n",
        batch: 128,
        epochs: 3,
    },
    Recipe {
        model: "bert",
        data: &["movie-reviews", "sst-2"],
        task: "texts",
        head: "# size: tiny, mini or small\nmodel = { name = \"bert\", size = \"tiny\", max_length = 32, dropout = 0.1 }\n",
        training: "optimizer = { name = \"adamw\" }\nlearning_rate = 5e-4\nweight_decay = 0.01\n\
                   schedule = \"linear\"\nwarmup = 0.1\n",
        batch: 32,
        epochs: 3,
    },
    Recipe {
        model: "gpt",
        data: &["king-james-bible", "text"],
        task: "language",
        head: "model = { name = \"gpt\", size = \"nano\", max_length = 64 }\n\
               # It predicts the next token, and is judged in bits per byte: fewer are better.\nobjective = \"causal_lm\"\n",
        training: "optimizer = { name = \"adamw\", beta2 = 0.99 }\nlearning_rate = 2e-3\nweight_decay = 0.1\n\
                   schedule = \"cosine\"\nwarmup = 0.1\nclip_norm = 1.0\n",
        batch: 16,
        epochs: 1,
    },
    Recipe {
        model: "mlp",
        data: &["table", "fashion-mnist-mini", "fashion-mnist", "mnist", "cifar-10"],
        task: "rows",
        head: "model = { name = \"mlp\", widths = [256, 128] }\n",
        training: "optimizer = { name = \"adamw\" }\nlearning_rate = 1e-3\nweight_decay = 0.01\n",
        batch: 64,
        epochs: 20,
    },
];

const ACTIVATIONS: &str = "relu, gelu, silu";

pub(crate) fn run(args: &InitArgs) -> Result<(), Error> {
    let mut answers = Answers { asks: !args.yes && std::io::stdin().is_terminal() };
    let name = match (&args.name, &args.file) {
        (Some(name), _) => name.clone(),
        (None, Some(file)) => {
            let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            if stem.is_empty() { "experiment".to_owned() } else { stem }
        }
        (None, None) => answers.ask("name of the experiment", None, "experiment")?,
    };
    let file = args.file.clone().unwrap_or_else(|| PathBuf::from(format!("{name}.toml")));
    if file.exists() && !args.force {
        return Err(Error::Usage(format!(
            "{} exists already: name another file, or overwrite it with --force",
            file.display()
        )));
    }
    let recipe = recipe(args, &mut answers)?;
    let data = data(recipe, args, &mut answers)?;
    let activations = answers.ask(
        "activations, separated by commas",
        args.activations.as_deref(),
        ACTIVATIONS,
    )?;
    let activations = comma_separated(&[activations], "--activations")?;
    let labels = labels(&activations)?;
    let baseline = match &args.baseline {
        None => activations[0].clone(),
        Some(baseline) => {
            let asked: ArmRequest = baseline.parse().map_err(at("--baseline"))?;
            let label = asked.label_among(labels.iter()).map_err(at("--baseline"))?;
            if !labels.contains(&label) {
                return Err(Error::Usage(format!(
                    "--baseline: `{label}` is not among the activations ({}): add it to --activations",
                    labels.join(", ")
                )));
            }
            baseline.clone()
        }
    };
    let repeated = labels.iter().enumerate().find(|(place, one)| labels[..*place].contains(one));
    if let Some((_, label)) = repeated {
        return Err(Error::Usage(format!("--activations: duplicate activation {label}")));
    }
    if args.epochs == Some(0) {
        return Err(Error::Usage("--epochs 0: must be 1 or more".to_owned()));
    }
    let seeds = answers.ask("seeds: a number, or a list", args.seeds.as_deref(), "5")?;
    let seeds = seeds_of_flag(&seeds)?;
    let text = text(&Written {
        name: &name,
        file: &file.display().to_string(),
        recipe,
        data: &data,
        activations: &activations,
        baseline: &baseline,
        seeds: &seeds.to_string(),
        epochs: args.epochs.unwrap_or(recipe.epochs),
    });
    // What was asked for may be wrong in a way that only the whole shows.
    Experiment::of_answers(&file, &text)?;
    write(&file, &text, args.force)?;
    let shown = shell::quoted(&file.display().to_string());
    outln!("wrote {}", file.display());
    outln!("\nNext:\n  actlab sweep {shown} --dry-run     show the plan and how long it takes");
    outln!("  actlab sweep {shown}               train, compare and report");
    Ok(())
}

fn at<E: std::fmt::Display>(flag: &'static str) -> impl Fn(E) -> Error {
    move |error| Error::Usage(format!("{flag}: {error}"))
}

/// Answers of the user, or what stands in their place where nothing is asked.
struct Answers {
    asks: bool,
}

impl Answers {
    /// The value `given` by a flag, or the answer to `question`, or `default`.
    fn ask(&mut self, question: &str, given: Option<&str>, default: &str) -> Result<String, Error> {
        match given {
            Some(given) => Ok(given.to_owned()),
            None if self.asks => ask(question, default),
            None => Ok(default.to_owned()),
        }
    }
}

/// The recipe of the model that is asked for, or of one that fits the data set.
fn recipe(args: &InitArgs, answers: &mut Answers) -> Result<&'static Recipe, Error> {
    let fits = |data: &str| RECIPES.iter().find(|one| one.data.contains(&data));
    let by_data = args.data.as_deref().and_then(fits);
    let names: Vec<&str> = RECIPES.iter().map(|one| one.model).collect();
    let default = by_data.unwrap_or(&RECIPES[0]).model;
    let question = format!("model ({})", names.join(", "));
    let given = args.model.as_deref().or_else(|| by_data.map(|one| one.model));
    let model = answers.ask(&question, given, default)?;
    if let Some(recipe) = RECIPES.iter().find(|one| one.model == model) {
        return Ok(recipe);
    }
    let registered = component::find::<ModelRegistration>(&model);
    let reason = match registered {
        Ok(_) => "has no recipe here: copy an experiment that has one".to_owned(),
        Err(_) => {
            let near = did_you_mean(&nearest(&model, names.iter().copied()));
            format!("is unknown{near}; known are {}", names.join(", "))
        }
    };
    Err(Error::Usage(format!("--model: `{model}` {reason}")))
}

/// The line of the data set.
fn data(recipe: &Recipe, args: &InitArgs, answers: &mut Answers) -> Result<String, Error> {
    let question = format!("data set ({})", recipe.data.join(", "));
    let name = answers.ask(&question, args.data.as_deref(), recipe.data[0])?;
    let registration = component::find::<DatasetRegistration>(&name).map_err(at("--data"))?;
    let of_another = RECIPES.iter().any(|one| one.data.contains(&registration.entry().name));
    if of_another && !recipe.data.contains(&registration.entry().name) {
        return Err(Error::Usage(format!(
            "--data {name}: is not for the model {}; data sets for it are {}",
            recipe.model,
            recipe.data.join(", ")
        )));
    }
    let schema = serde_json::to_value(registration.entry().schema()).unwrap_or_default();
    let required: Vec<&str> = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|key| key.as_str())
        .collect();
    let mut line = format!("{{ name = {}", quoted(&name));
    for &key in &required {
        let (given, flag) = match key {
            "path" => (args.path.as_deref(), true),
            "label" => (args.label.as_deref(), true),
            _ => (None, false),
        };
        if given.is_none() && !answers.asks {
            let how =
                if flag { format!("give it by --{key}") } else { "it has no flag".to_owned() };
            return Err(Error::Usage(format!("--data {name}: needs `{key}`: {how}")));
        }
        let value = answers.ask(&format!("{key} of the data set"), given, "")?;
        line += &format!(", {key} = {}", quoted(&value));
    }
    for (key, given) in [("path", &args.path), ("label", &args.label)] {
        let Some(given) = given else { continue };
        if schema["properties"].get(key).is_none() {
            return Err(Error::Usage(format!("--{key}: the data set {name} has no `{key}`")));
        }
        if !required.contains(&key) {
            line += &format!(", {key} = {}", quoted(given));
        }
    }
    if let ("table", Some(path)) = (registration.entry().name, &args.path) {
        let label = args.label.as_deref().unwrap_or("label");
        let columns: Vec<String> =
            columns(path)?.iter().filter(|one| *one != label).map(|one| quoted(one)).collect();
        line += &format!(", features = [{}]", columns.join(", "));
    }
    Ok(line + " }")
}

/// The names of the columns in the first line of a table.
fn columns(path: &str) -> Result<Vec<String>, Error> {
    let file = File::open(path).map_err(Error::io("read", Path::new(path)))?;
    let mut line = String::new();
    BufReader::new(file).read_line(&mut line).map_err(Error::io("read", Path::new(path)))?;
    let line = line.trim_start_matches('\u{feff}').trim_end();
    let separator = [',', ';', '\t'].into_iter().max_by_key(|c| line.matches(*c).count());
    let names = line.split(separator.unwrap_or(','));
    Ok(names.map(|name| name.trim().trim_matches('"').to_owned()).collect())
}

/// The labels of the activations; unknown ones are refused.
fn labels(activations: &[String]) -> Result<Vec<String>, Error> {
    let label = |text: &String| {
        let request: ArmRequest = text.parse().map_err(at("--activations"))?;
        request.label().map_err(at("--activations"))
    };
    activations.iter().map(label).collect()
}

/// `text` as TOML has it.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

struct Written<'a> {
    name: &'a str,
    file: &'a str,
    recipe: &'a Recipe,
    data: &'a str,
    activations: &'a [String],
    baseline: &'a str,
    seeds: &'a str,
    epochs: u32,
}

fn text(written: &Written<'_>) -> String {
    let Written { name, file, recipe, data, activations, baseline, seeds, epochs } = written;
    let activations: Vec<String> = activations.iter().map(|one| quoted(one)).collect();
    let Recipe { task, head, training, batch, .. } = recipe;
    format!(
        r#"# Every activation is trained on every task with every seed, under the same conditions.
#
#   actlab sweep {file} --dry-run    show the plan and how long it takes
#   actlab sweep {file}              train, compare and report; resumes where it was stopped
#
# `actlab list` shows activations, `actlab list models` models, and so on. All keys: docs/src/experiments.md.

# Names the folder of the results.
name = {name}
# The title of the report.
description = ""

# Names, as in "gelu"; with parameters, as in "leaky_relu(slope=0.2)"; or formulas, as in "x * tanh(softplus(x))".
activations = [{activations}]
# The others are compared with this one.
baseline = {baseline}
# A number N for the seeds 1 to N, or a list. `actlab plan {file} --effect 0.5` computes how many a difference takes.
seeds = {seeds}
# Differences of at most so many percentage points do not matter.
# margin = 0.5

[tasks.{task}]
{head}data = {data}

[tasks.{task}.training]
batch_size = {batch}
# Or a number of steps: budget = {{ steps = 500 }}
budget = {{ epochs = {epochs} }}
{training}"#,
        file = shell::quoted(file),
        name = quoted(name),
        activations = activations.join(", "),
        baseline = quoted(baseline),
    )
}

/// Writes a file that is not there, or is to be overwritten.
fn write(file: &std::path::Path, text: &str, force: bool) -> Result<(), Error> {
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    }
    let mut options = File::options();
    options.write(true);
    if force {
        options.create(true).truncate(true)
    } else {
        options.create_new(true)
    };
    let mut open = options.open(file).map_err(Error::io("write", file))?;
    open.write_all(text.as_bytes()).map_err(Error::io("write", file))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every recipe makes an experiment of known components.
    #[test]
    fn recipes_make_experiments() {
        for recipe in &RECIPES {
            let parameters = ["path = \"a\"", "label = \"b\""];
            for name in recipe.data {
                let registration = component::find::<DatasetRegistration>(name).unwrap();
                let schema = serde_json::to_value(registration.entry().schema()).unwrap();
                let needs = |key: &str| {
                    schema["required"]
                        .as_array()
                        .is_some_and(|all| all.iter().any(|one| one == key))
                };
                let mut data = format!("{{ name = \"{name}\"");
                for (key, parameter) in ["path", "label"].into_iter().zip(parameters) {
                    if needs(key) {
                        data += &format!(", {parameter}");
                    }
                }
                data += " }";
                let text = text(&Written {
                    name: "mine",
                    file: "mine.toml",
                    recipe,
                    data: &data,
                    activations: &["relu".to_owned(), "x * tanh(x)".to_owned()],
                    baseline: "relu",
                    seeds: "5",
                    epochs: recipe.epochs,
                });
                let experiment = Experiment::of_text(&text);
                assert!(experiment.is_ok(), "{name}: {}", experiment.unwrap_err());
            }
        }
    }
}
