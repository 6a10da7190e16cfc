//! Scores from elsewhere, as comma-separated values.

use super::{ArmScores, TaskScores};
use crate::Error;
use crate::statistics::{Moments, Resolution};
use std::collections::{HashMap, HashSet};
use std::io::Read;

/// Columns that a table of scores has, one row a run.
const COLUMNS: [&str; 4] = ["activation", "task", "seed", "score"];

/// Columns of a table of published results, one row an arm.
const PUBLISHED: [&str; 5] = ["activation", "task", "n", "mean", "sd"];

/// A column that it may have: what guessing scores on the task.
const GUESSING: &str = "guessing";

/// A larger table is none of scores.
const MOST_BYTES: u64 = 256 << 20;

/// Reads a table of scores with the columns `activation`, `task`, `seed` and `score` (higher is better), in
/// any order, and perhaps `guessing`; others are passed over. A table of published results has `n`, `mean` and
/// `sd` (standard deviation) in the place of `seed` and `score`. Tasks and activations keep the order in which
/// they first appear. Seeds that are one number, as `1`, `1.0` and `01`, are one seed.
///
/// # Errors
/// [`Error::Scores`] with the line, if a column is missing or there twice, a score is no finite number, a seed of
/// an activation occurs twice on a task, or the table is larger than 256 MiB.
pub fn read_scores(table: impl Read) -> Result<Vec<TaskScores>, Error> {
    let mut limited = table.take(MOST_BYTES);
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(&mut limited);
    let headers = reader.headers()?.clone();
    let columns = Columns::find(&headers)?;
    let mut builder = Builder::default();
    for row in reader.records() {
        let row = row?;
        let line = row.position().map_or(0, csv::Position::line);
        builder.add(&Row::read(&row, &columns, line)?)?;
    }
    drop(reader);
    if limited.limit() == 0 {
        return Err(wrong(1, "the table is larger than 256 MiB".into()));
    }
    if builder.tasks.is_empty() {
        return Err(wrong(2, "there is no score".into()));
    }
    Ok(builder.tasks)
}

fn wrong(line: u64, reason: String) -> Error {
    Error::Scores { line, reason }
}

/// Where the columns are.
struct Columns {
    activation: usize,
    task: usize,
    measured: Measured<usize>,
    guessing: Option<usize>,
}

/// What a row says of an arm.
enum Measured<T> {
    Run { seed: T, score: T },
    Published { n: T, mean: T, sd: T },
}

impl Columns {
    fn find(headers: &csv::StringRecord) -> Result<Self, Error> {
        let names: Vec<&str> =
            headers.iter().map(|header| header.trim_start_matches('\u{feff}')).collect();
        let place = |name: &str| -> Result<Option<usize>, Error> {
            let places: Vec<usize> =
                (0..names.len()).filter(|place| names[*place] == name).collect();
            match places[..] {
                [] => Ok(None),
                [place] => Ok(Some(place)),
                _ => Err(wrong(1, format!("there are {} columns `{name}`", places.len()))),
            }
        };
        let required = |name: &str| -> Result<usize, Error> {
            place(name)?.ok_or_else(|| {
                let separated = match &names[..] {
                    [only] if only.contains(';') => "; it is separated by `;`, and commas are needed",
                    [only] if only.contains('\t') => "; it is separated by tabs, and commas are needed",
                    _ => "",
                };
                wrong(
                    1,
                    format!(
                        "there is no column `{name}`: the first line must name {} (of published results: {}), and \
                         names {}{separated}",
                        COLUMNS.join(", "),
                        PUBLISHED.join(", "),
                        names.join(", ")
                    ),
                )
            })
        };
        let published = names.contains(&"mean") && !names.contains(&"score");
        Ok(Self {
            activation: required("activation")?,
            task: required("task")?,
            measured: if published {
                Measured::Published {
                    n: required("n")?,
                    mean: required("mean")?,
                    sd: required("sd")?,
                }
            } else {
                Measured::Run { seed: required("seed")?, score: required("score")? }
            },
            guessing: place(GUESSING)?,
        })
    }
}

/// A run, or an arm of published results.
struct Row<'a> {
    line: u64,
    activation: &'a str,
    task: &'a str,
    /// A seed and a score.
    run: Option<(String, f64)>,
    published: Option<Moments>,
    guessing: Option<f64>,
}

impl<'a> Row<'a> {
    fn read(row: &'a csv::StringRecord, columns: &Columns, line: u64) -> Result<Self, Error> {
        let cell = |column: usize| row.get(column).unwrap_or_default();
        let activation = cell(columns.activation);
        if activation.is_empty() {
            return Err(wrong(line, "the activation is missing".into()));
        }
        if cell(columns.task).is_empty() {
            return Err(wrong(line, "the task is missing".into()));
        }
        let guessing = columns.guessing.map(cell).filter(|text| !text.is_empty());
        let guessing = guessing.map(|text| number(GUESSING, text, line)).transpose()?;
        let (mut run, mut published) = (None, None);
        match columns.measured {
            Measured::Run { seed, .. } if cell(seed).is_empty() => {
                return Err(wrong(line, "the seed is missing".into()));
            }
            Measured::Run { seed, score } => {
                run = Some((canonical(cell(seed)), number("score", cell(score), line)?));
            }
            Measured::Published { n, mean, sd } => {
                let whole =
                    |text: &str| text.parse().ok().filter(|n: &usize| (1..1 << 40).contains(n));
                let n = whole(cell(n)).ok_or_else(|| {
                    wrong(
                        line,
                        format!("n is `{}`, but must be a whole number of 1 or more", cell(n)),
                    )
                })?;
                let standard_deviation = number("sd", cell(sd), line)?;
                if standard_deviation < 0.0 {
                    return Err(wrong(line, "the sd must be 0 or more".into()));
                }
                if n == 1 && standard_deviation > 0.0 {
                    let reason = format!("a single run has no sd: write 0 instead of {}", cell(sd));
                    return Err(wrong(line, reason));
                }
                let mean = number("mean", cell(mean), line)?;
                published = Some(Moments { n, mean, standard_deviation });
            }
        }
        Ok(Self { line, activation, task: cell(columns.task), run, published, guessing })
    }
}

fn number(column: &str, text: &str, line: u64) -> Result<f64, Error> {
    if text.is_empty() {
        let reason = format!("the {column} is empty: leave out the line of a run without one");
        return Err(wrong(line, reason));
    }
    text.parse().ok().filter(|number: &f64| number.is_finite()).ok_or_else(|| {
        let hint = if text.contains(',') { ", with a point and not a comma" } else { "" };
        wrong(line, format!("the {column} `{text}` must be a finite number{hint}"))
    })
}

/// A seed as it is compared: numbers by their value, other text as it is.
fn canonical(seed: &str) -> String {
    if let Ok(whole) = seed.parse::<i128>() {
        return whole.to_string();
    }
    match seed.parse::<f64>() {
        Ok(number) if number.is_finite() && number == 0.0 => "0".to_owned(),
        // Whole numbers are written without a point.
        Ok(number) if number.is_finite() => number.to_string(),
        _ => seed.to_owned(),
    }
}

/// Tasks as they grow, and where their arms are.
#[derive(Default)]
struct Builder {
    tasks: Vec<TaskScores>,
    task_places: HashMap<String, usize>,
    arm_places: HashMap<(usize, String), usize>,
    seen: HashSet<(usize, usize, String)>,
}

impl Builder {
    fn add(&mut self, row: &Row<'_>) -> Result<(), Error> {
        let task = *self.task_places.entry(row.task.to_owned()).or_insert_with(|| {
            self.tasks.push(TaskScores {
                task: row.task.to_owned(),
                arms: Vec::new(),
                guessing: row.guessing,
                resolution: Resolution::Rounding,
                metric: None,
            });
            self.tasks.len() - 1
        });
        let of_task = &mut self.tasks[task];
        of_task.guessing = of_task.guessing.or(row.guessing);
        if row.guessing.is_some() && row.guessing != of_task.guessing {
            let reason = format!("task `{}` has two values of `{GUESSING}`", row.task);
            return Err(wrong(row.line, reason));
        }
        let arms = &mut of_task.arms;
        let place = (task, row.activation.to_owned());
        let arm = *self.arm_places.entry(place).or_insert_with(|| {
            arms.push(ArmScores::new(row.activation.to_owned(), Vec::new()));
            arms.len() - 1
        });
        if row.published.is_some() && arms[arm].published.is_some() {
            let reason = format!("{} stands twice on task `{}`", row.activation, row.task);
            return Err(wrong(row.line, reason));
        }
        arms[arm].published = row.published;
        let Some((seed, score)) = &row.run else { return Ok(()) };
        if !self.seen.insert((task, arm, seed.clone())) {
            let (activation, task) = (row.activation, row.task);
            let reason = format!("{activation} has two scores under seed {seed} on task `{task}`");
            return Err(wrong(row.line, reason));
        }
        arms[arm].runs.push((seed.clone(), *score));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_come_in_any_order() {
        let text = "seed,score,note,activation,task,guessing\n1,0.5,x,relu,a,0.1\n2, 0.75 ,,relu,a,\n1,0.6,,gelu,a,0.1\n";
        let tasks = read_scores(text.as_bytes()).unwrap();
        assert_eq!(tasks.len(), 1);
        assert_eq!(tasks[0].guessing, Some(0.1));
        let relu = &tasks[0].arms[0];
        assert_eq!(relu.runs, [("1".to_owned(), 0.5), ("2".to_owned(), 0.75)]);
        assert_eq!(tasks[0].arms[1].activation, "gelu");
    }

    #[test]
    fn published_results_have_no_seeds() {
        let text = "activation,task,n,mean,sd\nmish,c,23,87.48,0.397\nrelu,c,23,86.66,0.584\n";
        let tasks = read_scores(text.as_bytes()).unwrap();
        let mish = Moments { n: 23, mean: 87.48, standard_deviation: 0.397 };
        assert_eq!(tasks[0].arms[0].published, Some(mish));
        for (row, expected) in [
            ("mish,c,0,1,1", "line 2: n is `0`"),
            ("mish,c,2.5,1,1", "line 2: n is `2.5`"),
            ("mish,c,3,1,-1", "line 2: the sd must be 0 or more"),
            ("mish,c,1,1,0.1", "line 2: a single run has no sd: write 0 instead of 0.1"),
            ("mish,c,3,1,1\nmish,c,3,1,1", "line 3: mish stands twice"),
        ] {
            let text = format!("activation,task,n,mean,sd\n{row}\n");
            let error = read_scores(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn seeds_are_compared_by_value() {
        for (a, b) in
            [("1", "1.0"), ("01", "1"), ("1e0", "1"), ("0", "-0.0"), ("0.5", "0.50"), ("+7", "7")]
        {
            assert_eq!(canonical(a), canonical(b));
        }
        for (a, b) in
            [("1", "2"), ("a", "b"), ("1", "one"), ("18446744073709551615", "18446744073709551614")]
        {
            assert_ne!(canonical(a), canonical(b));
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (text, expected) in [
            ("activation,seed,score\n", "line 1: there is no column `task`"),
            ("activation,task,seed,score\n", "there is no score"),
            ("activation,task,seed,score\nrelu,a,1,high\n", "line 2: the score `high`"),
            ("activation,task,seed,score\nrelu,a,1,0.5\nrelu,a,2,NaN\n", "line 3: the score `NaN`"),
            ("activation,task,seed,score\nrelu,a,1,0.5\nrelu,a,2,\n", "line 3: the score is empty"),
            ("activation,task,seed,score\nrelu,a,1,\"0,5\"\n", "with a point and not a comma"),
            ("activation,task,seed,score\nrelu,a,1,0.5\nrelu,a,1,0.6\n", "line 3: relu has two"),
            (
                "activation,task,seed,score\nrelu,a,1,0.5\nrelu,a,1.0,0.6\n",
                "line 3: relu has two scores under seed 1 on task `a`",
            ),
            ("activation,task,seed,score\n,a,1,0.5\n", "line 2: the activation is missing"),
            (
                "activation,task,seed,score,score\nrelu,a,1,1,2\n",
                "line 1: there are 2 columns `score`",
            ),
            (
                "activation;task;seed;score\nrelu;t;1;0,91\n",
                "separated by `;`, and commas are needed",
            ),
            ("activation\ttask\tseed\tscore\n", "separated by tabs, and commas are needed"),
            (
                "activation,task,seed,score,guessing\nrelu,a,1,1,0.1\nrelu,a,2,1,0.2\n",
                "line 3: task `a` has two values of `guessing`",
            ),
        ] {
            let error = read_scores(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
