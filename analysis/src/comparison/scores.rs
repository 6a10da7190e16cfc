//! Scores from elsewhere, as comma-separated values.

use super::{ArmScores, TaskScores};
use crate::Error;
use std::io::Read;

/// Columns that a table of scores has.
const COLUMNS: [&str; 4] = ["activation", "task", "seed", "score"];

/// Reads a table of scores with the columns `activation`, `task`, `seed` and `score` (higher is better), in
/// any order; others are passed over. Tasks and activations keep the order in which they first appear.
///
/// # Errors
/// [`Error::Scores`] with the line, if a column is missing, a score is no finite number, or a seed of an
/// activation stands there twice on a task.
pub fn read_scores(table: impl Read) -> Result<Vec<TaskScores>, Error> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(table);
    let wrong = |line: u64, reason: String| Error::Scores { line, reason };
    let headers = reader.headers()?.clone();
    let mut columns = [0; 4];
    for (place, name) in columns.iter_mut().zip(COLUMNS) {
        *place = headers.iter().position(|header| header.trim_start_matches('\u{feff}') == name).ok_or_else(|| {
            let found: Vec<&str> = headers.iter().collect();
            let found = found.join(", ");
            wrong(1, format!("there is no column `{name}`: the first line must name {}, and names {found}", COLUMNS.join(", ")))
        })?;
    }
    let mut tasks: Vec<TaskScores> = Vec::new();
    for row in reader.records() {
        let row = row?;
        let line = row.position().map_or(0, csv::Position::line);
        let [activation, task, seed, score] =
            columns.map(|column| row.get(column).unwrap_or_default());
        if activation.is_empty() {
            return Err(wrong(line, "the activation is missing".into()));
        }
        let score: f64 =
            score.parse().ok().filter(|score: &f64| score.is_finite()).ok_or_else(|| {
                wrong(line, format!("the score `{score}` must be a finite number"))
            })?;
        let arms = match tasks.iter_mut().position(|known| known.task == task) {
            Some(place) => &mut tasks[place].arms,
            None => {
                tasks.push(TaskScores { task: task.to_owned(), arms: Vec::new() });
                let last = tasks.len() - 1;
                &mut tasks[last].arms
            }
        };
        let place = arms.iter().position(|arm| arm.activation == activation);
        let place = place.unwrap_or_else(|| {
            arms.push(ArmScores { activation: activation.to_owned(), runs: Vec::new() });
            arms.len() - 1
        });
        let runs = &mut arms[place].runs;
        if runs.iter().any(|(known, _)| known == seed) {
            return Err(wrong(
                line,
                format!("{activation} has two scores under seed {seed} on task `{task}`"),
            ));
        }
        runs.push((seed.to_owned(), score));
    }
    if tasks.is_empty() {
        return Err(wrong(2, "there is no score".into()));
    }
    Ok(tasks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_come_in_any_order() {
        let text =
            "seed,score,note,activation,task\n1,0.5,x,relu,a\n2, 0.75 ,,relu,a\n1,0.6,,gelu,a\n";
        let tasks = read_scores(text.as_bytes()).unwrap();
        assert_eq!(tasks.len(), 1);
        let relu = &tasks[0].arms[0];
        assert_eq!(relu.runs, [("1".to_owned(), 0.5), ("2".to_owned(), 0.75)]);
        assert_eq!(tasks[0].arms[1].activation, "gelu");
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (text, expected) in [
            ("activation,seed,score\n", "line 1: there is no column `task`"),
            ("activation,task,seed,score\n", "there is no score"),
            ("activation,task,seed,score\nrelu,a,1,high\n", "line 2: the score `high`"),
            ("activation,task,seed,score\nrelu,a,1,0.5\nrelu,a,2,NaN\n", "line 3: the score `NaN`"),
            ("activation,task,seed,score\nrelu,a,1,0.5\nrelu,a,1,0.6\n", "line 3: relu has two"),
            ("activation,task,seed,score\n,a,1,0.5\n", "line 2: the activation is missing"),
        ] {
            let error = read_scores(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
