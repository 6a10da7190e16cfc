//! From files, the environment and flags to an experiment.

use super::check::Refusal;
use super::kinds::fault_of_experiment;
use super::layers::{Moved, Origins, Setting, Text, environment, non_finite, to_toml};
use super::{DEFAULT_FILE, DEFAULTS, Experiment, flags, position, words};
use crate::Error;
use crate::arm::ArmRequest;
use crate::cli::{ExperimentArgs, Flags};
use crate::console::{detail, note};
use crate::wandb_sweep;
use config::{Config, FileFormat};
use std::path::Path;

/// What lies upon the file of an experiment.
#[derive(Debug, Default)]
struct Layers {
    settings: Vec<Setting>,
    /// Values of `settings` that stand elsewhere in their own file.
    moved: Vec<Moved>,
}

impl Experiment {
    /// Reads the experiment: defaults, then the file, then the environment, then the flags.
    pub(crate) fn load(args: &ExperimentArgs) -> Result<Self, Error> {
        let mut file = args.file.clone().unwrap_or_else(|| DEFAULT_FILE.into());
        let read = |file: &Path| {
            std::fs::read_to_string(file)
                .map_err(|error| missing(file, args.file.is_none(), &error))
        };
        let mut text = read(&file)?;
        let mut layers = Layers::default();
        if wandb_sweep::is_one(&file) {
            let table = |base: &Path| table(base, &read(base)?);
            let changes = wandb_sweep::read(&file, &text, &table)?;
            for line in &changes.notes {
                note!("note: {}: {line}", file.display());
            }
            layers = Layers { settings: changes.settings, moved: changes.moved };
            file = changes.base;
            text = read(&file)?;
        }
        Self::layered(&Source { file: &file, text: &text, written: true }, layers, &args.flags)
    }

    /// The experiment `text`, without environment and flags.
    pub(crate) fn of_text(text: &str) -> Result<Self, Error> {
        let source = Source { file: Path::new(DEFAULT_FILE), text, written: true };
        Self::parse(&source, Layers::default(), &Asked::default())
    }

    /// The experiment `text` that is to be written to `file`, without environment and flags.
    pub(crate) fn of_answers(file: &Path, text: &str) -> Result<Self, Error> {
        let source = Source { file, text, written: false };
        Self::parse(&source, Layers::default(), &Asked::default())
    }

    /// The experiment `base` as the sweep file `text` varies it, without environment and flags.
    pub(crate) fn of_sweep(text: &str, base: &str) -> Result<Self, Error> {
        let table = |file: &Path| table(file, base);
        let changes = wandb_sweep::read(Path::new("sweep.yaml"), text, &table)?;
        let layers = Layers { settings: changes.settings, moved: changes.moved };
        let source = Source { file: &changes.base, text: base, written: true };
        Self::parse(&source, layers, &Asked::default())
    }

    /// The experiment of `source`, with `layers` upon it, then the environment, then the flags.
    fn layered(source: &Source<'_>, mut layers: Layers, args: &Flags) -> Result<Self, Error> {
        layers.settings.extend(environment(std::env::vars_os())?);
        detail!("experiment: {}", source.file.display());
        layers.settings.iter().for_each(|setting| detail!("  {}", setting.shown()));
        let asked = Asked { settings: flags::settings(args)?, tasks: flags::tasks(args) };
        asked.settings.iter().for_each(|setting| detail!("  {}", setting.shown()));
        let mut experiment = Self::parse(source, layers, &asked)?;
        experiment.wandb_flag = args.run.wandb;
        experiment.mlflow_flag.clone_from(&args.run.mlflow);
        Ok(experiment)
    }

    fn parse(source: &Source<'_>, layers: Layers, asked: &Asked) -> Result<Self, Error> {
        let Source { file, text, written } = *source;
        let table = table(file, text)?;
        let (tasks, arms) = (tasks_of(&table), arms_of(&table));
        let config = Config::builder()
            .add_source(config::File::from_str(DEFAULTS, FileFormat::Toml))
            .add_source(Text { origin: file.display().to_string(), table });
        let settings: Vec<Setting> =
            layers.settings.iter().chain(&asked.settings).cloned().collect();
        let whole = settings.iter().filter_map(Setting::whole).collect();
        let mut config = settings
            .into_iter()
            .fold(config, |config, setting| {
                let clear = setting.clear(&config);
                config.add_source(clear).add_source(setting)
            })
            .build()
            .map_err(|error| Error::Experiment(format!("{}: {error}", file.display())))?;
        let left_out = flags::retain_tasks(&mut config.cache, &asked.tasks)?;
        let values = config.cache.clone();
        let text = if written { text } else { "" };
        let origins = Origins {
            file: file.to_owned(),
            text: text.into(),
            values,
            moved: layers.moved,
            whole,
        };
        // JSON, in which specs are written, has no such numbers.
        if let Some((key, number)) = non_finite(&origins.values, "") {
            return Err(origins.error(&key, &format!("must be a finite number, not {number}")));
        }
        // By way of TOML, which is strict: config itself would take 2.5 epochs for 3.
        let values = to_toml(config.cache).unwrap_or(toml::Value::Table(toml::Table::new()));
        let mut experiment: Self =
            serde_path_to_error::deserialize(values.clone()).map_err(|error| {
                let key = error.path().to_string();
                if let Some((task, message)) = unknown_task(&key, &tasks)
                    && !origins.is_given_whole(&task)
                {
                    return origins.error(&task, &message);
                }
                match fault_at(&values, &key) {
                    Some((key, message)) => origins.error(&key, &message),
                    None => {
                        let message = words::plain(&error.inner().to_string());
                        let (key, message) = below_task(&key, &message);
                        origins.error(&key, &message)
                    }
                }
            })?;
        (experiment.origins, experiment.left_out) = (origins, left_out);
        experiment.left_out_arms = experiment.arms_left_out(&arms);
        experiment.add_precisions().map_err(|(key, message)| experiment.error(&key, &message))?;
        if let Some(tune) = &mut experiment.tune {
            tune.fill_in(&experiment.seeds);
        }
        if let Some(search) = &mut experiment.search {
            search.fill_in(&experiment.seeds);
        }
        experiment.check().map_err(|Refusal { key, others, message }| {
            experiment.conflict(&key, &others, &message)
        })?;
        Ok(experiment)
    }

    /// An experiment again that [`Experiment::registered`] told of, which `file` holds, called `name`.
    pub(crate) fn again(
        file: &Path,
        registered: &serde_json::Value,
        name: &str,
        flags: &Flags,
    ) -> Result<Self, Error> {
        let mut registered = registered.clone();
        if let Some(table) = registered.as_object_mut() {
            table.insert("name".to_owned(), name.into());
        }
        let text = toml::Table::try_from(&registered).map(|table| table.to_string());
        let text =
            text.map_err(|error| Error::Experiment(format!("{}: {error}", file.display())))?;
        Self::layered(&Source { file, text: &text, written: false }, Layers::default(), flags)
    }
}

/// The text of an experiment.
#[derive(Clone, Copy)]
struct Source<'a> {
    file: &'a Path,
    text: &'a str,
    /// Whether the file is this text, so that its lines can be named.
    written: bool,
}

/// What flags ask for.
#[derive(Default)]
struct Asked {
    settings: Vec<Setting>,
    /// The tasks that are trained; all where there is none.
    tasks: Vec<String>,
}

/// The table `text` of `file`.
fn table(file: &Path, text: &str) -> Result<toml::Table, Error> {
    let table: toml::Table = toml::from_str(text).map_err(|error| {
        Error::Experiment(position::syntax(&file.display().to_string(), text, &error))
    })?;
    if let Some((key, time)) = table.iter().find_map(|(key, value)| date(value, key)) {
        let place = position::of_key(text, &key).map(|place| format!(":{place}"));
        let place = format!("{}{}: {key}", file.display(), place.unwrap_or_default());
        let message =
            format!("{place}: must not be a date; text is in quotation marks: \"{time}\"");
        return Err(Error::Experiment(message));
    }
    Ok(table)
}

/// A date or time in `value`, which is at `key`: no value of an experiment is one.
fn date(value: &toml::Value, key: &str) -> Option<(String, toml::value::Datetime)> {
    match value {
        toml::Value::Datetime(time) => Some((key.to_owned(), *time)),
        toml::Value::Array(items) => {
            items.iter().enumerate().find_map(|(i, item)| date(item, &format!("{key}[{i}]")))
        }
        toml::Value::Table(table) => {
            table.iter().find_map(|(name, value)| date(value, &format!("{key}.{name}")))
        }
        _ => None,
    }
}

/// Names of the tasks in an experiment's file.
fn tasks_of(experiment: &toml::Table) -> Vec<String> {
    let tasks = experiment.get("tasks").and_then(toml::Value::as_table);
    tasks.into_iter().flat_map(|tasks| tasks.keys().cloned()).collect()
}

/// The activations of an experiment's file; none where they cannot be read.
fn arms_of(experiment: &toml::Table) -> Vec<ArmRequest> {
    let arms = experiment.get("activations").and_then(toml::Value::as_array);
    arms.into_iter().flatten().filter_map(|arm| arm.clone().try_into().ok()).collect()
}

/// What is wrong where the task that lacks the value at `key` is none of the file's `tasks`: a setting has made it, most
/// likely by a slip of the pen.
fn unknown_task(key: &str, tasks: &[String]) -> Option<(String, String)> {
    let name = key.strip_prefix("tasks.")?.split('.').next()?;
    if tasks.is_empty() || tasks.iter().any(|own| own == name) {
        return None;
    }
    let near =
        activation::did_you_mean(&activation::nearest(name, tasks.iter().map(String::as_str)));
    let message = format!("there is no task `{name}`{near}; the tasks are {}", tasks.join(", "));
    Some((format!("tasks.{name}"), message))
}

/// The key that `message` begins with, as the errors of a whole task do, below `key`.
fn below_task(key: &str, message: &str) -> (String, String) {
    const PARTS: [&str; 4] = ["model", "objective", "data", "training"];
    let of_task = key.starts_with("tasks.");
    let part = |own: &str| own.split('.').next().is_some_and(|first| PARTS.contains(&first));
    match message.split_once(": ") {
        Some((own, rest)) if of_task && part(own) && !own.contains(' ') => {
            (format!("{key}.{own}"), rest.to_owned())
        }
        _ => (key.to_owned(), message.to_owned()),
    }
}

/// The value that is not of its kind, in the part of the experiment that an error at `key` is about.
fn fault_at(values: &toml::Value, key: &str) -> Option<(String, String)> {
    let part = key.split(['.', '[']).next()?;
    let value = serde_json::to_value(values.get(part)?).ok()?;
    fault_of_experiment(&serde_json::json!({ part: value }))
}

fn missing(file: &Path, default: bool, error: &std::io::Error) -> Error {
    let hint = if default {
        "; run it in the folder of the project, or name a file: actlab sweep FILE"
    } else {
        ""
    };
    Error::Experiment(format!("cannot read {}: {error}{hint}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::Task;

    const FILE: &str = r#"
        name = "test"
        activations = ["relu", { name = "silu", beta = 1.702 }]
        seeds = [1]
        [tasks.zebra]
        model = { name = "resnet", depth = 8 }
        data = { name = "fashion-mnist-mini" }
        training = { batch_size = 2, budget = { epochs = 1 }, optimizer = { name = "sgd" }, learning_rate = 1 }
        [tasks.ant]
        model = { name = "bert", size = "tiny" }
        data = { name = "movie-reviews" }
        training = { batch_size = 2, budget = { steps = 7 }, optimizer = { name = "adamw" }, learning_rate = 1e-3 }
    "#;

    fn parse(text: &str, flags: &[(&str, &str)]) -> Result<Experiment, String> {
        let settings =
            flags.iter().map(|(key, value)| Setting::new("--set", key, value).unwrap()).collect();
        let environment =
            environment([("ACTLAB_DESCRIPTION".into(), "from the environment".into())].into_iter());
        let layers = Layers { settings: environment.unwrap(), moved: Vec::new() };
        let source = Source { file: Path::new("x.toml"), text, written: true };
        Experiment::parse(&source, layers, &Asked { settings, tasks: Vec::new() })
            .map_err(|error| error.to_string())
    }

    #[test]
    fn layers_lie_over_each_other() {
        let flags =
            [("seeds", "[4, 5]"), ("tasks.zebra.training.budget.steps", "3"), ("device", "cuda:1")];
        let experiment = parse(FILE, &flags).unwrap();
        assert_eq!(experiment.seeds, [4, 5]);
        assert_eq!(experiment.description, "from the environment");
        assert_eq!(experiment.device, "cuda:1");
        assert_eq!(experiment.output, Path::new("results"));
        assert_eq!(experiment.tasks.keys().collect::<Vec<_>>(), ["zebra", "ant"]);
        assert_eq!(experiment.tasks["zebra"].training.budget, record::Budget::Steps(3));
        assert_eq!(experiment.activations[1].to_string(), "silu(beta=1.702)");
    }

    #[test]
    fn every_task_is_trained_in_every_precision() {
        let names = |value: &str| {
            let experiment = parse(FILE, &[("precisions", value)])?;
            let name =
                |(name, task): (&String, &Task)| format!("{name} {}", task.training.precision);
            Ok::<_, String>(experiment.tasks.iter().map(name).collect::<Vec<_>>())
        };
        let all = [
            "zebra f32",
            "zebra_bf16 bf16",
            "zebra_f16 f16",
            "ant f32",
            "ant_bf16 bf16",
            "ant_f16 f16",
        ];
        assert_eq!(names("[\"f16\", \"f32\", \"bf16\"]").unwrap(), all);
        assert_eq!(names("[\"bf16\"]").unwrap(), ["zebra_bf16 bf16", "ant_bf16 bf16"]);
        assert_eq!(names("[]").unwrap(), ["zebra f32", "ant f32"]);
        let twice = names("[\"bf16\", \"bf16\"]").unwrap_err();
        assert_eq!(twice, "--set: precisions: duplicate precision `bf16`");
        let changed = "[{ task = \"ant\", set = { training = { learning_rate = 0.5 } } }]";
        let flags = [("precisions", "[\"f32\", \"f16\"]"), ("overrides", changed)];
        let experiment = parse(FILE, &flags).unwrap();
        let meant = |name: &str| experiment.is_task(Some("ant"), name);
        assert_eq!(["zebra", "ant", "ant_f16"].map(meant), [false, true, true]);
        let own = [("precisions", "[\"bf16\"]"), ("tasks.ant.training.precision", "f16")];
        let refused = parse(FILE, &own).unwrap_err();
        assert_eq!(refused, "--set: precisions: task `ant` has a precision of its own");
    }

    #[test]
    fn what_a_setting_did_wrong_is_not_said_of_the_file() {
        let refused = |key: &str, value: &str| parse(FILE, &[(key, value)]).unwrap_err();
        assert_eq!(
            refused("tasks.zebr.training.batch_size", "8"),
            "--set: tasks.zebr: there is no task `zebr` (did you mean `zebra`?); the tasks are zebra, ant"
        );
        // A task that a flag gives as a whole is meant.
        let whole = refused("tasks.fox", "{ model = { name = \"mlp\" } }");
        assert_eq!(whole, "--set: tasks.fox: missing key `data`");
        assert_eq!(refused("tasks", "{}"), "--set: tasks: must hold one task or more");
        let budget = refused("tasks.zebra.training.budget", "{}");
        assert!(budget.starts_with("--set: tasks.zebra.training.budget: must be"), "{budget}");
        assert!(refused("output", "\"\"").starts_with("--set: output: must name a folder"));
        let folder = refused("data_folders.mnits", "x");
        assert!(
            folder.starts_with(
                "--set: data_folders.mnits: no data set of this name is read from a folder (did you mean `mnist`?)"
            ),
            "{folder}"
        );
        assert!(parse(FILE, &[("data_folders.mnist", "x")]).is_ok());
        let bundled = refused("data_folders.movie-reviews", "x");
        assert!(bundled.contains("no data set of this name is read from a folder"), "{bundled}");
    }

    #[test]
    fn a_description_is_that_of_the_files_own_comparison() {
        let file =
            FILE.replace("name = \"test\"", "name = \"test\"\ndescription = \"ReLU and SiLU\"");
        let of = |flags: &[(&str, &str)], tasks: &[&str]| {
            let settings = flags
                .iter()
                .map(|(key, value)| Setting::new("--set", key, value).unwrap())
                .collect();
            let source = Source { file: Path::new("x.toml"), text: &file, written: true };
            let tasks = tasks.iter().map(|task| (*task).to_owned()).collect();
            let experiment =
                Experiment::parse(&source, Layers::default(), &Asked { settings, tasks }).unwrap();
            experiment.own_description().to_owned()
        };
        assert_eq!(of(&[("seeds", "4")], &[]), "ReLU and SiLU");
        assert_eq!(of(&[("activations", "[\"relu\", \"gelu\"]")], &[]), "");
        assert_eq!(of(&[("name", "mine")], &[]), "");
        assert_eq!(of(&[], &["ant"]), "");
        let both = [("name", "mine"), ("description", "Mine")];
        assert_eq!(of(&both, &[]), "Mine");
    }

    #[test]
    fn dates_are_no_text() {
        let dated = FILE.replace("\"test\"", "2024-01-01");
        assert_eq!(
            parse(&dated, &[]).unwrap_err(),
            "x.toml:2:9: name: must not be a date; text is in quotation marks: \"2024-01-01\""
        );
        assert_eq!(parse(FILE, &[("name", "2024-01-01")]).unwrap().name, "2024-01-01");
    }

    #[test]
    fn a_setting_that_chooses_another_form_keeps_nothing_of_the_old_one() {
        let optimizer = |flags: &[(&str, &str)]| {
            let experiment = parse(FILE, flags).unwrap();
            experiment.tasks["zebra"].training.optimizer.to_string()
        };
        let momentum = ("tasks.zebra.training.optimizer.momentum", "0.5");
        assert_eq!(optimizer(&[momentum]), "sgd (momentum 0.5, nesterov false)");
        let adamw = "adamw (beta1 0.9, beta2 0.999, epsilon 1e-8)";
        assert_eq!(optimizer(&[momentum, ("tasks.zebra.training.optimizer.name", "adamw")]), adamw);
        assert_eq!(
            optimizer(&[momentum, ("tasks.zebra.training.optimizer", "{ name = \"adamw\" }")]),
            adamw
        );
        let budget = ("tasks.zebra.training.budget", "{ steps = 9 }");
        let experiment = parse(FILE, &[budget]).unwrap();
        assert_eq!(experiment.tasks["zebra"].training.budget, record::Budget::Steps(9));
    }

    /// What every data set has stays, and so does everything where the name is the same.
    #[test]
    fn another_name_drops_the_parameters_of_every_component() {
        let file = FILE
            .replace(
                r#"{ name = "movie-reviews" }"#,
                r#"{ name = "table", path = "a.csv", label = "mood", train_limit = 5, augmentation = { name = "none" } }"#,
            )
            .replace(r#"size = "tiny" }"#, r#"size = "tiny", dropout = 0.2 }
                     objective = { name = "masked_lm", masked = 0.2 }"#)
            .replace(r#"{ name = "adamw" }"#, r#"{ name = "adamw", beta1 = 0.8 }, schedule = { name = "cosine" }"#);
        let task = |flags: &[(&str, &str)]| {
            let flags: Vec<(String, &str)> =
                flags.iter().map(|(key, value)| (format!("tasks.ant.{key}"), *value)).collect();
            let flags: Vec<(&str, &str)> =
                flags.iter().map(|(key, value)| (key.as_str(), *value)).collect();
            parse(&file, &flags).map(|experiment| experiment.tasks["ant"].clone())
        };
        let data = task(&[("data.name", "mnist")]).unwrap().data;
        assert_eq!((data.name.as_str(), data.train_limit), ("mnist", Some(5)));
        assert!(data.parameters.is_empty(), "{data:?}");
        let data = task(&[("data.name", "text"), ("data.path", "b.txt")]).unwrap().data;
        assert_eq!(data.parameters["path"], "b.txt");
        assert!(!data.parameters.contains_key("label"), "{data:?}");
        let data = task(&[("data.name", "table")]).unwrap().data;
        assert_eq!(
            (&data.parameters["path"], &data.parameters["label"]),
            (&"a.csv".into(), &"mood".into())
        );
        let model = task(&[("model.name", "gpt"), ("model.size", "nano")]).unwrap().model;
        assert_eq!((model.name.as_str(), &model.parameters["dropout"]), ("gpt", &0.0.into()));
        let model = task(&[("model.name", "bert"), ("model.max_length", "9")]).unwrap().model;
        assert_eq!(model.parameters["dropout"], 0.2);
        let objective = task(&[("objective.name", "causal_lm")]).unwrap().objective;
        assert_eq!(objective, record::Component::named("causal_lm"));
        let training = task(&[
            ("training.optimizer.name", "sgd"),
            ("training.schedule.name", "linear"),
            ("data.augmentation.name", "crop_flip"),
        ]);
        let training = training.unwrap().training;
        assert_eq!(training.optimizer.to_string(), "sgd (momentum 0.9, nesterov false)");
        assert_eq!(training.schedule.name, "linear");
        // A name over a short form.
        let short = task(&[("training.schedule", "cosine"), ("training.schedule.name", "linear")]);
        assert_eq!(short.unwrap().training.schedule.name, "linear");
    }

    #[test]
    fn errors_name_file_key_and_what_would_be_right() {
        let cases: [(String, &[(&str, &str)]); 14] = [
            (FILE.into(), &[("tasks.ant.training.budget.steps", "2.5")]),
            (FILE.into(), &[("tasks.ant.training.batch_size", "true")]),
            (FILE.replace("seeds = [1]", "seeds = [1]\nactivations2 = 3"), &[]),
            (FILE.into(), &[("tasks.zebra.model.depth", "eight")]),
            (FILE.into(), &[("tasks.zebra.model.name", "resnt")]),
            (FILE.into(), &[("tasks.zebra.training.batchsize", "2")]),
            (FILE.into(), &[("seeds", "[1, -2]")]),
            (FILE.into(), &[("seeds", "[]")]),
            (FILE.into(), &[("tasks.zebra.training.budget", "{ hours = 1 }")]),
            (FILE.into(), &[("activations", "[\"gelu(\"]")]),
            (FILE.into(), &[("activations", "[3]")]),
            (FILE.into(), &[("overrides", "[{ task = \"x\", set = {} }]")]),
            (FILE.replace("seeds = [1]", ""), &[]),
            (FILE.replace("seeds = [1]", "seeds = [1"), &[]),
        ];
        let messages: Vec<_> =
            cases.iter().map(|(text, flags)| parse(text, flags).unwrap_err()).collect();
        insta::assert_snapshot!(messages.join("\n\n"));
    }
}
