//! What is tuned, and the points that are tried.

use super::{Method, Tune};
use actlab_core::stream::Stream;
use serde::Deserialize;
use serde_json::{Value, json};

/// Beginning of a key that is about one task.
const TASKS: &str = "tasks.";

/// Parts of a task that can be tuned.
const PARTS: [&str; 3] = ["model.", "data.", "training."];

/// Significant digits of numbers that are drawn.
const DIGITS: i32 = 4;

/// Trials of a grid at most.
const MOST: usize = 100_000;

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

/// Values to try.
#[derive(Debug, Clone)]
enum Range {
    Values(Vec<Value>),
    Between { min: f64, max: f64, log: bool, integer: bool },
}

/// A range as users write it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    values: Option<Vec<Value>>,
    min: Option<f64>,
    max: Option<f64>,
    scale: Option<Scale>,
    #[serde(default)]
    integer: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Scale {
    Linear,
    Log,
}

/// One value of a trial.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Assignment {
    /// Its place in a task, as in `training.learning_rate`.
    pub(crate) path: String,
    pub(crate) value: Value,
}

impl Assignment {
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
                parameters.iter().try_for_each(|parameter| parameter.check(tune.method))
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
        let assignment = |parameter: &Parameter, value: Value| Assignment {
            path: parameter.path.clone(),
            value,
        };
        if self.method == Method::Grid {
            let size = parameters.iter().try_fold(1_usize, |size, one| {
                size.checked_mul(one.range.values().len()).filter(|size| *size <= MOST)
            });
            if size.is_none() {
                return Err(format!("the grid has more than {MOST} points"));
            }
            // The last key changes fastest.
            return Ok(parameters.iter().fold(vec![Vec::new()], |points, one| {
                let extend = |point: &Vec<Assignment>| {
                    let point = point.clone();
                    one.range
                        .values()
                        .iter()
                        .map(move |value| {
                            let mut point = point.clone();
                            point.push(assignment(one, value.clone()));
                            point
                        })
                        .collect::<Vec<_>>()
                };
                points.iter().flat_map(extend).collect()
            }));
        }
        let trials = self.trials.unwrap_or(1);
        let steps = golden_steps(parameters.len());
        // A key has the same values on every task.
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
        Ok((0..trials)
            .map(|i| {
                let values = parameters.iter().zip(&columns);
                values.map(|(one, column)| assignment(one, one.range.at(column[i]))).collect()
            })
            .collect())
    }
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

impl Parameter {
    fn new(key: String, table: &toml::Table) -> Result<Self, (String, String)> {
        let (task, path) = match key.strip_prefix(TASKS).and_then(|rest| rest.split_once('.')) {
            Some((task, path)) => (Some(task.to_owned()), path.to_owned()),
            None => (None, key.clone()),
        };
        if !PARTS.iter().any(|part| path.starts_with(part)) {
            let message =
                "must begin with `training.`, `model.` or `data.`, perhaps after `tasks.NAME.`";
            return Err((key, message.to_owned()));
        }
        let table: Table = match toml::Value::Table(table.clone()).try_into() {
            Ok(table) => table,
            Err(error) => return Err((key, error.to_string().trim_end().to_owned())),
        };
        match Range::new(table) {
            Ok(range) => Ok(Self { key, task, path, range }),
            Err(message) => Err((key, message.to_owned())),
        }
    }

    fn check(&self, method: Method) -> Result<(), (String, String)> {
        match (&self.range, method) {
            (Range::Between { .. }, Method::Grid) => {
                Err((self.key.clone(), "a grid needs `values`".to_owned()))
            }
            _ => Ok(()),
        }
    }
}

impl Range {
    fn new(table: Table) -> Result<Self, &'static str> {
        let Table { values, min, max, scale, integer } = table;
        match (values, min, max) {
            (Some(values), None, None) if scale.is_none() && !integer => {
                if values.is_empty() {
                    Err("must hold one value or more")
                } else {
                    Ok(Self::Values(values))
                }
            }
            (None, Some(min), Some(max)) => {
                let log = scale == Some(Scale::Log);
                if !(min < max && min.is_finite() && max.is_finite()) {
                    return Err("`min` must be below `max`");
                }
                if log && min <= 0.0 {
                    return Err("`min` must be above 0 on a logarithmic scale");
                }
                Ok(Self::Between { min, max, log, integer })
            }
            _ => Err("needs either `values`, or `min` and `max` (with `scale` and `integer`)"),
        }
    }

    fn values(&self) -> &[Value] {
        match self {
            Self::Values(values) => values,
            Self::Between { .. } => &[],
        }
    }

    /// Whether steps are better seen as factors: values a tenfold or more apart.
    fn is_logarithmic(&self) -> bool {
        match self {
            Self::Between { log, .. } => *log,
            Self::Values(values) => {
                let numbers: Option<Vec<f64>> = values.iter().map(Value::as_f64).collect();
                let Some(numbers) = numbers else { return false };
                let least = numbers.iter().copied().fold(f64::INFINITY, f64::min);
                let most = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                least > 0.0 && most / least >= 4.0
            }
        }
    }

    /// The value at `u`, from 0 to 1.
    fn at(&self, u: f64) -> Value {
        match self {
            Self::Values(values) => {
                values[((u * values.len() as f64) as usize).min(values.len() - 1)].clone()
            }
            Self::Between { min, max, log, integer } => {
                let value = if *log {
                    let (low, high) = (libm::log(*min), libm::log(*max));
                    libm::exp(low + u * (high - low))
                } else {
                    min + u * (max - min)
                };
                if *integer {
                    return json!(value.round().clamp(min.ceil(), max.floor()) as i64);
                }
                json!(rounded(value).clamp(*min, *max))
            }
        }
    }
}

/// The number with a few significant digits.
fn rounded(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let digits = usize::try_from(DIGITS - 1).unwrap_or(0);
    // By way of text, so that 0.3 is 0.3.
    format!("{value:.digits$e}").parse().unwrap_or(value)
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

    #[test]
    fn numbers_are_short() {
        assert_eq!(rounded(0.000_123_456), 0.000_123_5);
        assert_eq!(rounded(0.299_99), 0.3);
        assert_eq!(rounded(0.0), 0.0);
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
