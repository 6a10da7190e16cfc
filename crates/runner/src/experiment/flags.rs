//! From flags to values of an experiment.

use super::layers::{Setting, from_toml};
use crate::Error;
use crate::choices::{AUTO, Jobs};
use crate::cli::Flags;
use crate::execute::launcher::LauncherKind;
use config::{Value, ValueKind};

/// The values that flags set, in the order in which they lie upon each other.
pub(super) fn settings(flags: &Flags) -> Result<Vec<Setting>, Error> {
    let Flags { choice, run, parallel } = flags;
    let mut settings = Vec::new();
    for pair in &run.set {
        let (key, value) = pair.split_once('=').ok_or_else(|| {
            Error::Usage(format!("--set {pair}: must be KEY=VALUE, as in --set 'seeds=[1,2]'"))
        })?;
        settings.push(Setting::new("--set", key.trim(), value.trim())?);
    }
    let count = |n: usize| toml::Value::Integer(i64::try_from(n).unwrap_or(i64::MAX));
    let text = |text: &String| toml::Value::String(text.clone());
    let names = comma_separated(&choice.activations, "--activations")?;
    let names: Vec<toml::Value> = names.into_iter().map(toml::Value::String).collect();
    let seeds = choice.seeds.as_deref().map(seeds_of_flag).transpose()?;
    let jobs = parallel.jobs.map(|jobs| match jobs {
        Jobs::Auto => toml::Value::String(AUTO.to_owned()),
        Jobs::Number(number) => count(number),
    });
    let launcher = parallel.launcher.map(|launcher| match launcher {
        LauncherKind::Local => "local".into(),
        LauncherKind::Slurm => "slurm".into(),
    });
    let values = [
        ("activations", Some(toml::Value::Array(names)).filter(|_| !choice.activations.is_empty())),
        ("seeds", seeds),
        ("baseline", choice.baseline.as_ref().map(text)),
        ("name", choice.name.as_ref().map(text)),
        ("device", run.device.as_ref().map(text)),
        ("threads", run.threads.map(count)),
        ("retries", run.retries.map(|retries| toml::Value::Integer(retries.into()))),
        ("output", run.output.as_ref().map(text)),
        ("tensorboard", run.tensorboard.then_some(toml::Value::Boolean(true))),
        ("jobs", jobs),
        ("launcher", launcher),
    ];
    for (key, value) in values {
        if let Some(value) = value {
            let value = from_toml(value, &format!("--{key}"));
            settings.push(Setting { key: key.to_owned(), value });
        }
    }
    Ok(settings)
}

/// The tasks that flags choose; none where all are meant.
pub(super) fn tasks(flags: &Flags) -> Vec<String> {
    let parts = flags.choice.tasks.iter().flat_map(|text| text.split(','));
    parts.map(|name| name.trim().to_owned()).collect()
}

/// The values of several flags whose parts are separated by commas outside of brackets.
pub(crate) fn comma_separated(values: &[String], flag: &str) -> Result<Vec<String>, Error> {
    let mut items: Vec<String> = Vec::new();
    for value in values {
        for part in commas(value) {
            let part = part.trim();
            let last = items.last_mut().filter(|last| continues(last, part));
            match last {
                // The parameters of a formula are separated by commas too.
                Some(last) => *last += &format!(", {part}"),
                None if part.is_empty() => {
                    let message = format!("{flag} {value}: an item is empty");
                    return Err(Error::Usage(message));
                }
                None => items.push(part.to_owned()),
            }
        }
    }
    Ok(items)
}

/// Whether `part` is another parameter of the formula `before`, as in `x * b where b=1, learn=b`.
fn continues(before: &str, part: &str) -> bool {
    let is_word = |word: &str| {
        !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    before.contains(" where ") && part.split_once('=').is_some_and(|(key, _)| is_word(key.trim()))
}

/// The parts of `text` between commas outside of brackets and quotation marks.
fn commas(text: &str) -> Vec<&str> {
    let (mut parts, mut begin, mut depth) = (Vec::new(), 0, 0_usize);
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(mark), _) if mark == c => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '(' | '[' | '{') => depth += 1,
            (None, ')' | ']' | '}') => depth = depth.saturating_sub(1),
            (None, ',') if depth == 0 => {
                parts.push(&text[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[begin..]);
    parts
}

/// The value of `--seeds`: a number, or a list with brackets or without.
pub(crate) fn seeds_of_flag(text: &str) -> Result<toml::Value, Error> {
    let whole = text.trim();
    let inside = whole.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let number = |part: &str| {
        let part = part.trim();
        part.parse().ok().filter(|seed: &i64| *seed >= 0).map(toml::Value::Integer).ok_or_else(
            || {
                let example = "a number of seeds, as in 10, or a list of seeds, as in 3,5,8";
                Error::Usage(format!("--seeds {text}: must be {example}"))
            },
        )
    };
    if inside.is_none() && !whole.contains(',') {
        return number(whole);
    }
    let list = inside.unwrap_or(whole).trim().trim_end_matches(',');
    list.split(',').map(number).collect::<Result<Vec<_>, _>>().map(toml::Value::Array)
}

/// Takes the tasks away that are not among `wanted`, and what is tuned on them alone; their names. Changes that are for
/// one of these stay: places in a list are as in the file.
pub(super) fn retain_tasks(values: &mut Value, wanted: &[String]) -> Result<Vec<String>, Error> {
    let ValueKind::Table(experiment) = &mut values.kind else { return Ok(Vec::new()) };
    let tasks = experiment.get_mut("tasks").map(|one| &mut one.kind);
    let Some(ValueKind::Table(tasks)) = tasks.filter(|_| !wanted.is_empty()) else {
        return Ok(Vec::new());
    };
    if let Some(name) = wanted.iter().find(|name| !tasks.contains_key(*name)) {
        let known: Vec<&str> = tasks.keys().map(String::as_str).collect();
        let near = activation::nearest(name, known.iter().copied());
        return Err(Error::Usage(format!(
            "--tasks: there is no task `{name}`{}; the tasks of the experiment are {}",
            activation::did_you_mean(&near),
            known.join(", ")
        )));
    }
    let out: Vec<String> = tasks.keys().filter(|name| !wanted.contains(name)).cloned().collect();
    let is_out = |name: &str| out.iter().any(|own| own == name);
    tasks.retain(|name, _| !is_out(name));
    let tune = experiment.get_mut("tune").map(|one| &mut one.kind);
    let Some(ValueKind::Table(tune)) = tune else { return Ok(out) };
    if let Some(ValueKind::Table(parameters)) = tune.get_mut("parameters").map(|one| &mut one.kind)
    {
        parameters.retain(|key, _| {
            key.strip_prefix("tasks.")
                .and_then(|rest| rest.split('.').next())
                .is_none_or(|name| !is_out(name))
        });
        if let Some(ValueKind::Table(tasks)) = parameters.get_mut("tasks").map(|one| &mut one.kind)
        {
            tasks.retain(|name, _| !is_out(name));
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_split_outside_of_brackets() {
        let split = |text: &str| comma_separated(&[text.to_owned()], "--activations").unwrap();
        assert_eq!(split("relu, gelu"), ["relu", "gelu"]);
        assert_eq!(
            split("leaky_relu(slope=0.2),gelu[a=relu,b=silu(beta=2)]"),
            ["leaky_relu(slope=0.2)", "gelu[a=relu,b=silu(beta=2)]"]
        );
        assert_eq!(
            split("x * sigmoid(b * x) where b=1.5, learn=b, relu"),
            ["x * sigmoid(b * x) where b=1.5, learn=b", "relu"]
        );
        let both =
            comma_separated(&["relu".to_owned(), "gelu,silu".to_owned()], "--activations").unwrap();
        assert_eq!(both, ["relu", "gelu", "silu"]);
        assert!(comma_separated(&["relu,,gelu".to_owned()], "--activations").is_err());
    }

    #[test]
    fn seeds_are_a_number_or_a_list() {
        let shown = |text: &str| seeds_of_flag(text).map(|value| value.to_string());
        assert_eq!(shown("10").unwrap(), "10");
        assert_eq!(shown("3,5, 8").unwrap(), "[3, 5, 8]");
        assert_eq!(shown("[7]").unwrap(), "[7]");
        assert_eq!(shown("7,").unwrap(), "[7]");
        for wrong in ["", "ten", "-1", "1-10", "1,,2", "2.5"] {
            let message = shown(wrong).unwrap_err().to_string();
            assert!(message.contains("must be a number of seeds"), "{wrong}: {message}");
        }
    }
}
