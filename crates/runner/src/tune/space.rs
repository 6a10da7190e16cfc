//! What is tuned, and the points that are tried.

use super::range::{Range, Table};
use super::{Method, Tune};
use crate::experiment::limits::{MOST, MOST_PARAMETERS, grouped, within};
use crate::experiment::{BUDGET, words};
use actlab_core::stream::Stream;
use serde_json::{Value, json};

/// Beginning of a key that is about one task.
const TASKS: &str = "tasks.";

/// Parts of a task that can be tuned.
const PARTS: [&str; 3] = ["model", "data", "training"];

/// What is tuned.
#[derive(Debug, Clone)]
pub(crate) struct Space {
    method: Method,
    trials: Option<usize>,
    seed: u64,
    parameters: Vec<Parameter>,
}

#[derive(Debug, Clone)]
struct Parameter {
    /// As the user wrote it.
    key: String,
    /// The task that it is about, where it is about one.
    task: Option<String>,
    /// Its place in a task.
    path: String,
    range: Range,
}

/// One value of a trial.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Assignment {
    /// The key as the user wrote it.
    pub(crate) key: String,
    /// Its place in a task, as in `training.learning_rate`.
    pub(crate) path: String,
    /// Null takes the key away, so that its default holds.
    pub(crate) value: Value,
}

impl Assignment {
    /// It in words, as in `learning_rate = 0.1`: the last part of its key, and four digits of a number.
    pub(crate) fn short(&self) -> String {
        let key = self.path.rsplit('.').next().unwrap_or(&self.path);
        let rounded = self.value.as_f64().filter(|_| self.value.is_f64());
        let rounded = rounded.and_then(|number| format!("{number:.3e}").parse::<f64>().ok());
        match rounded {
            Some(number) => format!("{key} = {number:?}"),
            None if self.value.is_null() => format!("{key} by default"),
            None => format!("{key} = {}", self.value),
        }
    }

    /// The part of a task that it is.
    pub(crate) fn nested(&self) -> Value {
        self.path.rsplit('.').fold(self.value.clone(), |inner, segment| json!({ segment: inner }))
    }
}

impl Space {
    /// The space of `tune`; the error is a key below `tune` and what is wrong with it.
    pub(crate) fn new(tune: &Tune) -> Result<Self, (String, String)> {
        let mut parameters = Vec::new();
        flatten("", &tune.parameters, &mut parameters)
            .and_then(|()| {
                if parameters.is_empty() {
                    return Err((String::new(), "must hold one key or more".to_owned()));
                }
                within(parameters.len(), MOST_PARAMETERS, "keys")
                    .map_err(|message| (String::new(), message))?;
                parameters.iter().try_for_each(|parameter| parameter.check(tune.method))?;
                distinct_places(&parameters)
            })
            .map_err(|(key, message)| {
                let dot = if key.is_empty() { "" } else { "." };
                (format!("parameters{dot}{key}"), message)
            })?;
        Ok(Self { method: tune.method, trials: tune.trials, seed: tune.search_seed, parameters })
    }

    /// Paths that are tuned on `task`, and whether their values are on a logarithmic scale.
    pub(crate) fn paths(&self, task: &str) -> Vec<(String, bool)> {
        self.of(task).map(|one| (one.path.clone(), one.range.is_logarithmic())).collect()
    }

    /// Tasks that keys name.
    pub(crate) fn tasks(&self) -> impl Iterator<Item = (&str, &str)> {
        self.parameters.iter().filter_map(|one| Some((one.key.as_str(), one.task.as_deref()?)))
    }

    fn of<'a>(&'a self, task: &'a str) -> impl Iterator<Item = &'a Parameter> {
        self.parameters.iter().filter(move |one| one.task.as_deref().is_none_or(|own| own == task))
    }

    /// The trials of every arm on `task`; none where nothing is tuned on it.
    ///
    /// # Errors
    /// If there are too many.
    pub(crate) fn points(&self, task: &str) -> Result<Vec<Vec<Assignment>>, String> {
        let parameters: Vec<&Parameter> = self.of(task).collect();
        if parameters.is_empty() {
            return Ok(Vec::new());
        }
        match self.method {
            Method::Grid => grid(&parameters),
            Method::Random | Method::QuasiRandom => Ok(self.draws(&parameters)),
        }
    }

    /// Points between the ends of ranges.
    fn draws(&self, parameters: &[&Parameter]) -> Vec<Vec<Assignment>> {
        let trials = self.trials.unwrap_or(1);
        let steps = golden_steps(parameters.len());
        // A key has the same values on every task, but for `quasi_random` where a task has keys of its own.
        let columns: Vec<Vec<f64>> = parameters
            .iter()
            .zip(&steps)
            .map(|(one, step)| {
                let mut stream = Stream::new(self.seed, &format!("tune {}", one.path));
                let mut uniform = || stream.below(1 << 30) as f64 / f64::from(1_u32 << 30);
                match self.method {
                    Method::QuasiRandom => {
                        let shift = uniform();
                        (0..trials).map(|i| (shift + i as f64 * step).fract()).collect()
                    }
                    Method::Random | Method::Grid => (0..trials).map(|_| uniform()).collect(),
                }
            })
            .collect();
        (0..trials)
            .map(|i| {
                let values = parameters.iter().zip(&columns);
                values.map(|(one, column)| one.assignment(one.range.at(column[i]))).collect()
            })
            .collect()
    }
}

/// Every combination of values; the last key changes fastest.
fn grid(parameters: &[&Parameter]) -> Result<Vec<Vec<Assignment>>, String> {
    let size = parameters.iter().try_fold(1_usize, |size, one| {
        size.checked_mul(one.range.values().len()).filter(|size| *size <= MOST)
    });
    if size.is_none() {
        let most = grouped(MOST);
        return Err(format!("the grid has more than {most} points; at most {most} are supported"));
    }
    let mut points = vec![Vec::new()];
    for one in parameters {
        let with = |point: &Vec<Assignment>, value: &Value| {
            let added = one.assignment(value.clone());
            point.iter().cloned().chain(std::iter::once(added)).collect()
        };
        let longer = points.iter().flat_map(|point| {
            one.range.values().iter().map(move |value| with(point, value)).collect::<Vec<_>>()
        });
        points = longer.collect();
    }
    Ok(points)
}

/// Steps of an additive low-discrepancy sequence in `dimensions` dimensions: powers of the inverse of the root of
/// x^(d + 1) = x + 1 (Roberts 2018, "The unreasonable effectiveness of quasirandom sequences").
fn golden_steps(dimensions: usize) -> Vec<f64> {
    let power = 1.0 / (dimensions as f64 + 1.0);
    let root = (0..64).fold(2.0_f64, |root, _| libm::pow(1.0 + root, power));
    (1..=dimensions).map(|i| libm::pow(root, -(i as f64)).fract()).collect()
}

/// Collects the parameters in `table`: keys may be quoted, or tables in tables.
fn flatten(
    prefix: &str,
    table: &toml::Table,
    parameters: &mut Vec<Parameter>,
) -> Result<(), (String, String)> {
    for (key, value) in table {
        let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        let toml::Value::Table(inner) = value else {
            return Err((key, "must be a table with `values`, or with `min` and `max`".to_owned()));
        };
        let leaf = ["values", "min", "max"].iter().any(|word| inner.contains_key(*word));
        if leaf {
            parameters.push(Parameter::new(key, inner)?);
        } else {
            flatten(&key, inner, parameters)?;
        }
    }
    Ok(())
}

/// Refuses two keys that lead to one place on a task: which one would hold is not said anywhere.
fn distinct_places(parameters: &[Parameter]) -> Result<(), (String, String)> {
    for (i, one) in parameters.iter().enumerate() {
        for other in &parameters[..i] {
            let tasks = one.task.is_none() || other.task.is_none() || one.task == other.task;
            if tasks && overlap(&one.path, &other.path) {
                let message =
                    format!("leads to the same place as `{}`: keep one of them", other.key);
                return Err((one.key.clone(), message));
            }
        }
    }
    Ok(())
}

/// Whether two keys of a task lead to one place: they are equal, one lies in the other, or both are units of a budget.
pub(crate) fn overlap(a: &str, b: &str) -> bool {
    fn within(a: &str, b: &str) -> bool {
        a.strip_prefix(b).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }
    fn place(path: &str) -> &str {
        let end: usize =
            path.split('.').take_while(|part| *part != BUDGET).map(|part| part.len() + 1).sum();
        path.get(..end + BUDGET.len()).filter(|place| within(path, place)).unwrap_or(path)
    }
    within(place(a), place(b)) || within(place(b), place(a))
}

impl Parameter {
    fn assignment(&self, value: Value) -> Assignment {
        Assignment { key: self.key.clone(), path: self.path.clone(), value }
    }

    fn new(key: String, table: &toml::Table) -> Result<Self, (String, String)> {
        let (task, path) = match key.strip_prefix(TASKS).and_then(|rest| rest.split_once('.')) {
            Some((task, path)) => (Some(task.to_owned()), path.to_owned()),
            None => (None, key.clone()),
        };
        if !PARTS.contains(&path.split('.').next().unwrap_or_default()) {
            let message =
                "must begin with `training.`, `model.` or `data.`, perhaps after `tasks.NAME.`";
            return Err((key, message.to_owned()));
        }
        let table: Table = match toml::Value::Table(table.clone()).try_into() {
            Ok(table) => table,
            Err(error) => return Err((key, words::plain(&error.to_string()))),
        };
        match Range::new(table) {
            Ok(range) => Ok(Self { key, task, path, range }),
            Err(message) => Err((key, message)),
        }
    }

    fn check(&self, method: Method) -> Result<(), (String, String)> {
        match (&self.range, method) {
            (Range::Between { .. } | Range::Whole { .. }, Method::Grid) => {
                Err((self.key.clone(), "a grid needs `values`".to_owned()))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space(text: &str) -> Result<Space, (String, String)> {
        Space::new(&toml::from_str(text).unwrap())
    }

    fn numbers(points: &[Vec<Assignment>], column: usize) -> Vec<f64> {
        points.iter().map(|point| point[column].value.as_f64().unwrap()).collect()
    }

    #[test]
    fn an_assignment_is_short_in_words() {
        let short = |path: &str, value: Value| {
            Assignment { key: String::new(), path: path.into(), value }.short()
        };
        assert_eq!(short("training.learning_rate", json!(0.123_456)), "learning_rate = 0.1235");
        assert_eq!(short("training.weight_decay", json!(5e-6)), "weight_decay = 5e-6");
        assert_eq!(short("training.batch_size", json!(123_456)), "batch_size = 123456");
        assert_eq!(short("training.schedule", json!("cosine")), "schedule = \"cosine\"");
        assert_eq!(short("model.dropout", Value::Null), "dropout by default");
    }

    #[test]
    fn a_grid_has_every_combination_and_keys_of_one_task_are_its_own() {
        let space = space(
            r#"
            method = "grid"
            seeds = [9]
            [parameters]
            training.learning_rate = { values = [0.1, 0.2] }
            "training.optimizer.momentum" = { values = [0.8, 0.9, 0.95] }
            "tasks.text.model.dropout".values = [0, 0.1]
            "#,
        )
        .unwrap();
        let images = space.points("images").unwrap();
        assert_eq!(numbers(&images, 0), [0.1, 0.1, 0.1, 0.2, 0.2, 0.2]);
        assert_eq!(numbers(&images, 1), [0.8, 0.9, 0.95, 0.8, 0.9, 0.95]);
        assert_eq!(space.points("text").unwrap().len(), 12);
        assert_eq!(
            images[0][1].nested(),
            json!({ "training": { "optimizer": { "momentum": 0.8 } } })
        );
        assert_eq!(space.tasks().collect::<Vec<_>>(), [("tasks.text.model.dropout", "text")]);
    }

    #[test]
    fn drawn_points_lie_within_and_repeat() {
        for method in ["random", "quasi_random"] {
            let text = format!(
                "method = {method:?}\ntrials = 64\nseeds = [9]\n[parameters]\n\
                 training.learning_rate = {{ min = 1e-3, max = 1.0, scale = \"log\" }}\n\
                 training.batch_size = {{ min = 16, max = 64, integer = true }}\n\
                 model.dropout = {{ values = [0.0, 0.1] }}\n"
            );
            let points = space(&text).unwrap().points("any").unwrap();
            assert_eq!(points, space(&text).unwrap().points("other").unwrap());
            let rates = numbers(&points, 0);
            assert!(rates.iter().all(|rate| (1e-3..=1.0).contains(rate)));
            // Half of a logarithmic range lies below its geometric mean.
            let low = rates.iter().filter(|rate| **rate < 0.0316).count();
            let spread = if method == "random" { 12 } else { 4 };
            assert!(low.abs_diff(32) <= spread, "{method}: {low}");
            assert!(points.iter().all(|point| point[1].value.is_i64()));
            let other = text.replace("seeds", "search_seed = 1\nseeds");
            assert_ne!(points, space(&other).unwrap().points("any").unwrap());
        }
    }

    #[test]
    fn quasi_random_points_are_spread_evenly() {
        let text = "method = \"quasi_random\"\ntrials = 64\nseeds = [9]\n[parameters]\n\
             training.learning_rate = { min = 0, max = 1 }\ntraining.weight_decay = { min = 0, max = 1 }\n";
        let points = space(text).unwrap().points("any").unwrap();
        let (x, y) = (numbers(&points, 0), numbers(&points, 1));
        // Of 16 squares none is empty, which 64 independent points leave about one in four times.
        let mut counts = [0; 16];
        for (x, y) in x.iter().zip(&y) {
            counts[((x * 4.0) as usize).min(3) * 4 + ((y * 4.0) as usize).min(3)] += 1;
        }
        assert!(counts.iter().all(|count| (2..=6).contains(count)), "{counts:?}");
    }

    /// Thirty points on three whole numbers: ten of each, where points are spread evenly.
    #[test]
    fn whole_numbers_are_drawn_equally_often() {
        let count = |method: &str, parameter: &str, which: i64| {
            let text = format!(
                "method = {method:?}\ntrials = 30\nseeds = [9]\n[parameters]\ntraining.batch_size = {parameter}\n"
            );
            let method = if method == "grid" { text.replace("trials = 30\n", "") } else { text };
            let points = space(&method).unwrap().points("any").unwrap();
            points.iter().filter(|point| point[0].value == json!(which)).count()
        };
        for which in 2..=4 {
            let range = "{ min = 2, max = 4, integer = true }";
            assert!(count("quasi_random", range, which).abs_diff(10) <= 1, "{which}");
            assert!(count("random", range, which).abs_diff(10) <= 6, "{which}");
            assert_eq!(count("grid", "{ values = [2, 3, 4] }", which), 1);
        }
        // On a logarithmic scale the shares of 1, 2 and 3 are as ln 3, ln 5/3 and ln 7/5.
        let range = "{ min = 1, max = 3, integer = true, scale = \"log\" }";
        for (which, share) in [(1, 16.9), (2, 7.9), (3, 5.2)] {
            let found = count("quasi_random", range, which) as f64;
            assert!((found - share).abs() <= 1.5, "{which}: {found}");
        }
    }

    #[test]
    fn keys_that_lead_to_one_place_overlap() {
        let same = [
            ("training.learning_rate", "training.learning_rate"),
            ("training.budget.epochs", "training.budget.steps"),
            ("training.budget", "training.budget.steps"),
            ("training.optimizer", "training.optimizer.momentum"),
            ("training", "training.warmup"),
        ];
        let other = [
            ("training.learning_rate", "training.learning_rate2"),
            ("training.optimizer.name", "training.optimizer.momentum"),
            ("training.budget.steps", "training.warmup"),
        ];
        for (a, b) in same {
            assert!(overlap(a, b) && overlap(b, a), "{a}, {b}");
        }
        for (a, b) in other {
            assert!(!overlap(a, b) && !overlap(b, a), "{a}, {b}");
        }
    }

    #[test]
    fn wrong_spaces_name_their_key() {
        let cases = [
            "training.learning_rate = 3",
            "training.learning_rate = { min = 1 }",
            "training.learning_rate = { min = 2, max = 1 }",
            "training.learning_rate = { min = 0, max = 1, scale = \"log\" }",
            "training.learning_rate = { values = [] }",
            "training.learning_rate = { values = [1], step = 2 }",
            "learning_rate = { values = [1] }",
            "training.batch_size = { min = 0.2, max = 0.8, integer = true }",
            "training.batch_size = { min = 1, max = 1e300, integer = true }",
            "training.learning_rate = { min = nan, max = 1 }",
            "training.learning_rate = { min = -1e308, max = 1e308 }",
            "training.learning_rate = { min = \"low\", max = 1 }",
            "training.budget.epochs = { values = [1] }\ntraining.budget.steps = { values = [1] }",
            "training.warmup = { values = [0.1] }\ntasks.a.training.warmup = { values = [0.2] }",
            "",
        ];
        let messages: Vec<String> = cases
            .iter()
            .map(|case| {
                let text =
                    format!("method = \"random\"\ntrials = 2\nseeds = [9]\n[parameters]\n{case}\n");
                let (key, message) = space(&text).unwrap_err();
                format!("{key}: {message}")
            })
            .collect();
        insta::assert_snapshot!(messages.join("\n"));
    }
}
